"""The judge's long run, by hand: `python -m tests.judge_long_run`; every case, both layouts, ten seeds.

The right derivative must agree at every seed: the closed form, or where a case has none matcalc's own answer.
Wrong ones must never agree: one mistake in the text, 1.0000001 times the truth, one entry that is off by 0.01.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from matcalc.check.report import CheckReport
from matcalc.language.expression_to_text import to_text
from tests.claim_mutants import BOTH, Mutant, compare_with_truth, judge_text, mutate, read_mutant, read_truth
from tests.read_cases import Case, derive_case, read_cases

RIGHT = {"right": "agrees", "equal": "agrees"}
UNKNOWN = ("undefined", "unclear")
LONGEST_TO_CHANGE = 250


@dataclass
class Tally:
    """What was judged how: (what the claim is in truth, verdict) -> how often; and what was not judged right."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)


def list_claims(case: Case, layout: str) -> Iterator[tuple[str, str]]:
    """Claims about a case, each with what it is in truth: right, nearly right, one entry off, different, ..."""
    text = case.closed_form(layout) or to_text(derive_case(case, layout).expression)
    yield "right", text
    if bool(read_truth(case, text, 100).any()):
        yield "times 1.0000001", f"1.0000001*({text})"
    yield "one entry off", f"({text}) + 0.01*{write_unit(case, layout)}"
    for changed, kind in mutate(text).items() if len(text) <= LONGEST_TO_CHANGE else ():
        mutant = Mutant(case, layout, kind, text, changed)
        if read_mutant(mutant) is not None:
            yield compare_with_truth(mutant), changed


def write_unit(case: Case, layout: str) -> str:
    """The text of the array that is 1 at its last entry and 0 elsewhere, of the derivative's shape."""
    sizes = derive_case(case, layout).shape
    letters = "abcdefgh"[: len(sizes)]
    units = [f"largest(cumsum(ones({size})))" for size in sizes]
    return f"einsum('{','.join(letters)}->{letters}', {', '.join(units)})" if sizes else "1"


def judge_case(case: Case, layout: str, seeds: range, tally: Tally) -> None:
    for truth, text in list_claims(case, layout):
        for seed in seeds:
            report = judge_text(case, layout, text, seed)
            tally.counts[truth, report.verdict] += 1
            note(case, f"{case.id} {layout}, seed {seed}, {truth}: {text}", truth, report, tally)


def note(case: Case, claim: str, truth: str, report: CheckReport, tally: Tally) -> None:
    """Keep what was judged wrong, and why a claim could not be checked."""
    if report.verdict == "could not check":
        tally.unchecked[f"{truth}: {case.expr}: {report.message}"] += 1
    elif report.verdict != RIGHT.get(truth, "differs") and (truth not in UNKNOWN or report.verdict == "agrees"):
        tally.wrong.append(f"{claim}\n    {report.message}")


def write_summary(tally: Tally) -> str:
    """A line for each kind of claim, then what was not judged, then what was judged wrong."""
    verdicts = ("agrees", "differs", "could not check")
    lines = [f"{'claims that are in truth':26}" + "".join(f"{verdict:>17}" for verdict in verdicts)]
    for truth in dict.fromkeys(truth for truth, _ in tally.counts):
        lines.append(f"{truth:26}" + "".join(f"{tally.counts[truth, verdict]:17}" for verdict in verdicts))
    lines += ["", f"could not check: {len(tally.unchecked)} claims, (seeds):"]
    lines += [f"  ({count}) {reason}" for reason, count in tally.unchecked.most_common()]
    lines += ["", f"wrong verdicts: {len(tally.wrong)}", *tally.wrong]
    return "\n".join(lines)


def main() -> int:
    """Run from the command line; 1 where a verdict was wrong."""
    parser = argparse.ArgumentParser(description="Judge right and wrong derivatives of every case.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--topic", help="only this file of cases, such as textbook")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tally, started = Tally(), time.perf_counter()
    cases = [case for case in read_cases() if options.topic in (case.topic, None)]
    for place, case in enumerate(cases, 1):
        for layout in BOTH:
            judge_case(case, layout, range(options.seeds), tally)
        if place % 25 == 0:
            seconds = time.perf_counter() - started
            print(f"{place} of {len(cases)} cases in {seconds:.0f} s: {tally.counts.total()} checks", flush=True)
    print(write_summary(tally))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
