"""Prove every case and every claim of the tests exactly, and print how many are shown, refuted and left, and the times.

    python benchmarks/exact_proof.py [--each]

A case is the derivative that matcalc derives, in numerator and in denominator layout; a claim is a formula of a person,
right or wrong as its file says, in the layout that it names.  What is measured is the time of the processor, everything
imported and nothing known beforehand.  Claims of a wrong shape are left out, and so are those that ask for a column or
a row: both are refused before.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from matcalc.check.exact import prove_exactly
from matcalc.check.question import Question, ask
from matcalc.check.report import ExactProof
from matcalc.errors import MatcalcError
from matcalc.language.text_to_expression import parse
from tests.read_cases import derive_case, read_cases

CASES = Path(__file__).parents[1] / "tests" / "cases"
LAYOUTS = ("numerator", "denominator")


@dataclass(frozen=True)
class Measured:
    """One proof: what it is of, what was found, and in how many seconds."""

    group: str
    name: str
    proof: ExactProof
    seconds: float


def measure(group: str, name: str, question: Question) -> Measured:
    """Prove once, timed."""
    start = time.process_time()
    proof = prove_exactly(question)
    return Measured(group, name, proof, time.process_time() - start)


def measure_cases() -> Iterator[Measured]:
    """Prove the derivative of every case in both layouts."""
    for case in read_cases():
        for layout in LAYOUTS:
            one = derive_case(case, layout)
            question = ask(one.function, one.expression, one.by, layout)
            yield measure(case.topic, f"{case.id} {layout}", question)


def measure_claims() -> Iterator[Measured]:
    """Prove every claim that has the shape asked for, those that are right and those that are wrong."""
    for path in sorted(CASES.glob("claims*.toml")):
        for claim in tomllib.loads(path.read_text(encoding="utf-8"))["claim"]:
            question = None if claim.get("strict") else read_claim(claim)
            if question is not None and question.shape(question.layout) == question.claim.shape:
                kind = "right claims" if claim["verdict"] == "agrees" else "wrong claims"
                yield measure(kind, claim["id"], question)


def read_claim(claim: dict[str, Any]) -> Question | None:
    """Return the question of a claim, None where its parts do not fit together."""
    options = {"wrt": claim["wrt"], "shapes": claim["shapes"], "assume": claim.get("domain")}
    try:
        problem = parse([claim["expr"], claim["claim"]], **options)
    except MatcalcError:
        return None
    assert problem.wrt is not None
    by, meaning = [problem.wrt] * claim.get("order", 1), claim.get("meaning", "free")
    return ask(*problem.expressions, by, claim["layout"], meaning)


def write_rows(measured: Iterable[Measured]) -> Iterator[str]:
    """Yield a line for each group."""
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one.group, []).append(one)
        if not one.group.endswith("claims"):
            groups.setdefault("all cases", []).append(one)
    yield f"{'':16}{'proofs':>8}{'equal':>8}{'different':>11}{'not shown':>11}{'median':>11}{'95 %':>9}{'longest':>10}"
    for group, ones in groups.items():
        verdicts = Counter(one.proof.verdict for one in ones)
        seconds = sorted(one.seconds for one in ones)
        counts = f"{len(ones):8}{verdicts['equal']:8}{verdicts['different']:11}{verdicts['not shown']:11}"
        late = seconds[int(0.95 * len(seconds))]
        yield f"{group:16}{counts}{statistics.median(seconds) * 1e3:8.1f} ms{late:7.2f} s{seconds[-1]:8.2f} s"


def main() -> None:
    """Measure all and print the table; with --each what is not shown, or takes longer than a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", action="store_true", help="name what is not shown or takes longer than a second")
    options = parser.parse_args()
    measured = [*measure_cases(), *measure_claims()]
    print("\n".join(write_rows(measured)))
    for one in measured if options.each else ():
        if one.proof.verdict == "not shown" or one.seconds > 1:
            print(f"{one.seconds:7.2f} s  {one.name}: {one.proof.verdict} {one.proof.reason}")


if __name__ == "__main__":
    main()
