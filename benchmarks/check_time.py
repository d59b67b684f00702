"""Time matcalc.check on textbook claims, right ones and wrong ones, beside torch's own tools on the same functions.

    python benchmarks/check_time.py [--rounds 3] [--cases 0]

Ours starts from text and ends with the report: reading, drawing three points, the verdict of torch, and for a wrong
claim its diagnosis.  The peers are what an engineer would write: the function and the closed form as Python code, read
before the clock starts, at the same three points, which are given to them; torch.autograd.functional.jacobian or
torch.func.jacrev and torch.allclose; and torch.autograd.gradcheck, which needs no closed form and judges none.
All take turns in one process, on one thread, after everything has been imported and done once.  What is measured is
the time of the processor, so that other work on the machine does not count.

The share of time inside torch is counted by cProfile in a run of its own: the time of torch's builtins and of the
Python that torch itself consists of, over all.  The profiler makes Python dearer and builtins not, so the true share
is larger.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

import matcalc
from matcalc.check.points import Point
from tests.read_cases import Case, arrange, find_point, read_cases
from tests.torch_words import WORDS, drop, hold

TRIALS = 3


def check_with_matcalc(case: Case, layout: str, claim: str) -> str:
    """Return the verdict on a claim."""
    options: dict[str, Any] = {"shapes": case.shapes, "assume": case.domain, "order": case.order, "proof": "torch"}
    return matcalc.check(case.expr, claim, case.wrt, layout=layout, **options).verdict


# --- the peers ----------------------------------------------------------------------------------------------


class ByHand:
    """A case as Python code of torch: its function, its closed form, and three points."""

    def __init__(self, case: Case, layout: str) -> None:
        self.case, self.layout = case, layout
        self.points = [find_point(case, seed) for seed in range(TRIALS)]
        self.function = compile(case.expr, "function", "eval")
        self.claim = compile(case.closed_form(layout), "claim", "eval")

    def call(self, point: Point, x: Tensor) -> Tensor:
        """Return the function's value with another value of the variable, held or not."""
        moved = x.reshape(point.values[self.case.wrt].shape)
        return hold(eval(self.function, {**WORDS, **point.sizes, **point.values, self.case.wrt: moved}))

    def compare(self, differentiate: Callable[..., Tensor]) -> bool:
        """Return whether the closed form is what torch's jacobian, taken by one of its functions, gives."""
        return all(self._compare_at(point, differentiate) for point in self.points)

    def _compare_at(self, point: Point, differentiate: Callable[..., Tensor]) -> bool:
        at = drop(point.values[self.case.wrt])
        truth = differentiate(lambda x: drop(self.call(point, x)), at)
        truth = arrange(truth, truth.ndim - at.ndim, at.ndim, self.layout)
        claimed = eval(self.claim, {**WORDS, **point.sizes, **point.values})
        return torch.allclose(drop(hold(claimed)).to(truth), truth)

    def check_gradients(self) -> bool:
        """Return whether torch's derivative is that of finite differences; it says nothing of a closed form."""
        moving = [(point, point.values[self.case.wrt].clone().requires_grad_()) for point in self.points]
        return all(torch.autograd.gradcheck(partial(self.call, point), (at,)) for point, at in moving)


# --- times --------------------------------------------------------------------------------------------------


def time_once(work: Callable[[], Any]) -> float:
    """Return milliseconds."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def list_works(case: Case, layout: str) -> dict[str, Callable[[], Any]]:
    """Return what is timed for a case, by name; each is done once here, and the peers must find the claim right."""
    right = case.closed_form(layout)
    by_hand = ByHand(case, layout)
    works: dict[str, Callable[[], Any]] = {
        "matcalc, right claim": lambda: check_with_matcalc(case, layout, right),
        "matcalc, wrong claim": lambda: check_with_matcalc(case, layout, f"2*({right})"),
        "functional.jacobian": lambda: by_hand.compare(torch.autograd.functional.jacobian),
        "func.jacrev": lambda: by_hand.compare(lambda f, x: torch.func.jacrev(f)(x)),
        "gradcheck": by_hand.check_gradients,
    }
    assert [work() for work in works.values()][::2] == ["agrees", True, True], case.id
    return works


def share_of_torch(works: Iterable[Callable[[], Any]]) -> float:
    """Return which part of the time is spent in torch's builtins and in torch's own Python."""
    profile = cProfile.Profile()
    for work in works:
        profile.runcall(work)
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    inside = sum(
        own for (file, _, name), (_, _, own, _, _) in stats.items()
        if "/torch/" in file or (file == "~" and "torch" in name)
    )  # fmt: skip
    return inside / sum(own for _, _, own, _, _ in stats.values())


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Print a line for each way of checking: checks a second, median, 95th percentile, ratio to functional.jacobian."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=0, help="only so many cases")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for case in read_cases() if case.topic == "textbook" and case.numerator and case.order == 1]
    cases = cases[: options.cases or None]
    works = [list_works(case, layout) for case in cases for layout in ("numerator", "denominator")]
    times: dict[str, list[float]] = {name: [] for name in works[0]}
    for _ in range(options.rounds):
        for one in works:
            for name, work in one.items():
                times[name].append(time_once(work))
    report(times, len(works))
    for name in ("matcalc, right claim", "matcalc, wrong claim"):
        print(f"{name}: {share_of_torch(one[name] for one in works):.0%} of the time inside torch")
    return 0


def report(times: dict[str, list[float]], count: int) -> None:
    """Print the table."""
    print(f"{count} claims; Python {sys.version.split()[0]}, torch {torch.__version__}")
    print(f"{'':22} {'checks/s':>9} {'median':>11} {'p95':>11} {'ratio':>7}")
    peer = statistics.mean(times["functional.jacobian"])
    for name, values in times.items():
        mean = statistics.mean(values)
        print(f"{name:22} {1000 / mean:9.0f} {statistics.median(values):8.2f} ms {percentile(values, 0.95):8.2f} ms "
              f"{mean / peer:7.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
