"""The long run over random problems, by hand: `python -m tests.long_run --examples 5000`.

Prints what became of the problems, and writes each failure, made small, to a file of cases.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.examine import Outcome, examine
from tests.random_problems import Case, number_case
from tests.shrink import shrink

SLOW = 2.0


@dataclass
class Tally:
    """What the run found so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, Case, Outcome]] = field(default_factory=list)
    slowest: list[tuple[float, int, str]] = field(default_factory=list)


def run(first: int, examples: int, depth: int, output: Path, shrinking: bool = True) -> Tally:
    """Examine problems by their numbers, in one process."""
    tally, started = Tally(), time.perf_counter()
    for seed in range(first, first + examples):
        case = number_case(seed, depth)
        outcome = examine(case, seed)
        _count(tally, seed, case, outcome)
        if outcome.is_failure:
            _record(tally, seed, case, outcome, output, shrinking)
        if (seed - first + 1) % 500 == 0:
            print(f"{seed - first + 1} in {time.perf_counter() - started:.0f} s: {dict(tally.kinds)}", flush=True)
    return tally


def _count(tally: Tally, seed: int, case: Case, outcome: Outcome) -> None:
    tally.kinds[outcome.kind] += 1
    tally.slowest.append((outcome.seconds, seed, case.expr))
    if not outcome.is_failure and outcome.kind != "agrees":
        tally.reasons[f"{outcome.kind}: {outcome.detail.splitlines()[0][:110]}"] += 1


def _record(tally: Tally, seed: int, case: Case, outcome: Outcome, output: Path, shrinking: bool) -> None:
    """Write a failure as a case, made small."""
    if shrinking and not outcome.kind.startswith("hang"):
        case = shrink(case, lambda smaller: examine(smaller, seed).kind == outcome.kind)
        outcome = examine(case, seed)
    tally.failures.append((seed, case, outcome))
    text = write_toml(case, f"random-{seed}", f"{outcome.kind}: {outcome.detail}")
    with output.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    print(text, flush=True)


def write_toml(case: Case, name: str, comment: str) -> str:
    """Return a case as an entry of tests/cases/regressions.toml."""
    shapes = ", ".join(f"{key} = {list(shape)!r}".replace("'", '"') for key, shape in case.shapes.items())
    lines = [f"# {line[:300]}" for line in comment.splitlines() if line.strip()]
    lines += ["[[case]]", f'id = "{name}"', f'expr = "{case.expr}"', f'wrt = "{case.wrt}"']
    lines += [f"shapes = {{ {shapes} }}"]
    if case.assume:
        lines.append("assume = { " + ", ".join(f'{key} = "{word}"' for key, word in case.assume.items()) + " }")
    return "\n".join([*lines, f"order = {case.order}", f'layouts = ["{case.layout}"]', ""])


def write_summary(tally: Tally) -> str:
    """Return what became of the problems, and why some could not be checked."""
    total = sum(tally.kinds.values())
    lines = [f"{count:6d}  {count / total:6.1%}  {kind}" for kind, count in tally.kinds.most_common()]
    lines += ["", "reasons:"] + [f"{count:6d}  {reason}" for reason, count in tally.reasons.most_common(25)]
    slow = [entry for entry in sorted(tally.slowest, reverse=True)[:10] if entry[0] > SLOW]
    lines += [""] + [f"slow: {seconds:.1f} s  #{seed}  {text[:150]}" for seconds, seed, text in slow]
    return "\n".join([*lines, f"{total} problems, {len(tally.failures)} failures"])


def main() -> int:
    """Run from the command line; 1 where there was a failure."""
    parser = argparse.ArgumentParser(description="Derive random problems and compare each with torch.")
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first problem")
    parser.add_argument("--depth", type=int, default=5, help="how deep the expressions may be")
    parser.add_argument("--output", type=Path, default=Path("failures.toml"), help="file that failures are added to")
    parser.add_argument("--no-shrink", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tally = run(options.first, options.examples, options.depth, options.output, not options.no_shrink)
    print(write_summary(tally))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
