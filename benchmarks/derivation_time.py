"""Time matcalc.derive against SymPy's .diff, case by case in one process, on the cases that both can do.

    python benchmarks/derivation_time.py [--rounds 5] [--each]

Ours starts from text and ends with the printed answer; SymPy's starts from finished objects and only calls .diff.
Both are warm: everything is imported and every case has been done once. SymPy's own cache of results is emptied
before each timing, or it would look its answer up; matcalc keeps no answers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import sympy as sp
from case_to_sympy import CannotSay, read_cases, translate
from sympy.core.cache import clear_cache
from sympy.tensor.array.expressions import ZeroArray

import matcalc


def derive_with_sympy(expression: Any, variable: Any, order: int) -> Any:
    """Return the derivative as SymPy's .diff gives it."""
    for _ in range(order):
        expression = expression.diff(variable)
    return expression


def derive_with_matcalc(case: dict[str, Any]) -> str:
    """Return the printed derivative, from the case's text."""
    return str(matcalc.derive(case["expr"], case["wrt"], shapes=case["shapes"], order=case["order"]))


def sympy_can(expression: Any, case: dict[str, Any], variable: Any) -> str:
    """Return "" where SymPy answers, else what it does instead; a zero that is none is no answer."""
    try:
        result = derive_with_sympy(expression, variable, case["order"])
    except Exception as error:
        return type(error).__name__
    if any("Derivative" in type(part).__name__ for part in sp.preorder_traversal(result)):
        return "unevaluated"
    is_zero = result == 0 or isinstance(result, sp.ZeroMatrix | ZeroArray)
    return "wrong zero" if is_zero and case["numerator"] != "0" and "zeros" not in case["numerator"] else ""


def time_once(work: Callable[[], Any]) -> float:
    """Return milliseconds, with SymPy's cache of results emptied first."""
    clear_cache()
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def time_case(case: dict[str, Any], expression: Any, variable: Any, rounds: int) -> tuple[float, float]:
    """Return the medians (ours, SymPy's) in milliseconds; the two take turns."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(time_once(lambda: derive_with_matcalc(case)))
        theirs.append(time_once(lambda: derive_with_sympy(expression, variable, case["order"])))
    return statistics.median(ours), statistics.median(theirs)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Print the table: per case with --each, then median and 95th percentile of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", action="store_true", help="a line for every case")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    times: list[tuple[float, float]] = []
    alone: list[float] = []
    skipped: dict[str, int] = {}
    for case in read_cases():
        derive_with_matcalc(case)
        try:
            expression, variable = translate(case)
            reason = sympy_can(expression, case, variable)
        except (CannotSay, TypeError, ValueError, AttributeError, NotImplementedError):
            reason = "cannot be said"
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            alone.append(min(time_once(lambda case=case: derive_with_matcalc(case)) for _ in range(options.rounds)))
            continue
        times.append(time_case(case, expression, variable, options.rounds))
        if options.each:
            print(f"{case['id']:22} {times[-1][0]:8.2f} ms {times[-1][1]:8.2f} ms   {case['expr']}")
    report(times, alone, skipped)
    return 0


def report(times: list[tuple[float, float]], alone: list[float], skipped: dict[str, int]) -> None:
    """Print the summary."""
    ours, theirs = [list(column) for column in zip(*times, strict=True)]
    print(f"{len(times)} cases that both can do; Python {sys.version.split()[0]}, SymPy {sp.__version__}")
    print(f"{'':10} {'median':>10} {'p95':>10}")
    for name, values in (("matcalc", ours), ("sympy", theirs)):
        print(f"{name:10} {statistics.median(values):7.2f} ms {percentile(values, 0.95):7.2f} ms")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"{'ratio':10} {ratio:10.2f} {percentile(ours, 0.95) / percentile(theirs, 0.95):10.2f}")
    print(f"median of the ratios case by case: {statistics.median(o / t for o, t in times):.2f}")
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(skipped.items()))
    print(f"{len(alone)} cases that SymPy cannot do ({reasons}): matcalc median {statistics.median(alone):.2f} ms, "
          f"p95 {percentile(alone, 0.95):.2f} ms")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
