"""How formulas are read that people wrote: `python -m tests.written` tells right, asks and misread for each kind."""

import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from matcalc.check.evaluate import evaluate_with
from matcalc.check.points import draw
from matcalc.errors import MatcalcError
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.expression import symbols
from matcalc.language.names import spell_greek
from matcalc.language.text_to_expression import Problem, parse

CASES = Path(__file__).parent / "cases" / "written.toml"
SIZES = {"n": 3, "m": 5, "k": 2, "l": 4, "p": 7, "q": 6}


@dataclass(frozen=True)
class Outcome:
    """What became of one spelling: right, asks or misread, and what was read or said."""

    word: str
    told: str


def read_written(path: Path = CASES) -> list[dict[str, Any]]:
    """Return the spellings."""
    return tomllib.loads(path.read_text())["case"]


def spell(name: str) -> str:
    """Return a name as it is compared: β is beta, W_2 is W2."""
    return (spell_greek(name) if not name.isascii() else name).replace("_", "")


def judge_reading(case: dict[str, Any], syntax: str = "auto") -> Outcome:
    """Say whether a spelling is read as what it means: its variables, their ranks and its value at two points."""
    declared = case["shapes"] if case["declared"] else None
    wrt = case["wrt"]
    try:
        problem = parse_any(case["written"], wrt=wrt, shapes=declared, syntax=syntax)
    except MatcalcError as error:
        first = str(error)
        for other in {spell_greek(wrt), wrt.replace("_", "")} - {wrt}:
            try:
                problem = parse_any(case["written"], wrt=other, shapes=declared, syntax=syntax)
                break
            except MatcalcError:
                continue
        else:
            return Outcome("asks", first)
    meanings = [case["means"]] if isinstance(case["means"], str) else case["means"]
    told = problem.reading or case["written"]
    for meaning in meanings:
        wanted = parse(meaning, wrt=wrt, shapes=case["shapes"])
        if (reason := find_difference(problem, wanted, case)) is None:
            return Outcome("right", told)
    shown = ", ".join(f"{name}: {found.squeezed_shape}" for name, found in symbols(problem.expressions[0]).items())
    return Outcome("misread", f"{told}  [{shown}] {reason}; notes {problem.notes}")


def find_difference(problem: Problem, wanted: Problem, case: dict[str, Any]) -> str | None:
    """Return in what a reading differs from what is meant; None where they agree."""
    read, meant = problem.expressions[0], wanted.expressions[0]
    ours = {spell(name): found for name, found in symbols(read).items()}
    theirs = {spell(name): found for name, found in symbols(meant).items()}
    if set(ours) != set(theirs):
        return f"variables {sorted(ours)}, not {sorted(theirs)}"
    for name, found in theirs.items():
        if len(found.squeezed_shape) != len(ours[name].squeezed_shape):
            return f"{name} has {len(ours[name].squeezed_shape)} axes"
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        drawn = {}
        for name, shape in case["shapes"].items():
            domain = case.get("domain", {}).get(name, "real")
            kind = f"real {domain}" if domain in ("posdef", "invertible", "symmetric") else domain
            drawn[spell(name)] = draw(tuple(SIZES[size] for size in shape), kind, generator)
        left, right = (
            evaluate_with(
                root, {found.name: drawn[spell(found.name)] for found in symbols(root).values()}, known_sizes(root)
            )
            for root in (read, meant)
        )
        if tuple(left.shape) != tuple(right.shape):
            return f"shape {tuple(left.shape)}, not {tuple(right.shape)}"
        if not torch.allclose(left, right, rtol=1e-6, atol=1e-8, equal_nan=True):
            return "another value"
    return None


def known_sizes(root: Any) -> dict[str, int]:
    """Return numbers for the letters that no value tells."""
    from matcalc.language.expression import list_letters

    told = {letter for found in symbols(root).values() for size in found.shape for letter in size.letters}
    return {letter: SIZES.get(letter, 3) for letter in list_letters(root) if letter not in told}


def main() -> None:
    """Print the table, and each spelling that is not right."""
    table: dict[str, Counter[str]] = {}
    started = time.perf_counter()
    for case in read_written(Path(sys.argv[1]) if len(sys.argv) > 1 else CASES):
        try:
            outcome = judge_reading(case)
        except Exception as error:
            outcome = Outcome("crash", f"{type(error).__name__} {error}")
        table.setdefault(case["kind"], Counter())[outcome.word] += 1
        if outcome.word != "right":
            print(case["id"], outcome.word, repr(case["written"]), "=>", outcome.told)
    for kind, counts in table.items():
        print(f"{kind:12}", *(f"{word} {counts[word]:3}" for word in ("right", "asks", "misread", "crash")))
    print(
        "in all      ",
        *(f"{word} {sum(c[word] for c in table.values()):3}" for word in ("right", "asks", "misread", "crash")),
    )
    print(f"{time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
