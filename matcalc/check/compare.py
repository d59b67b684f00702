"""Truth and claim at each point -> how far apart they are, and the verdict over all points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from matcalc.check.points import Point
from matcalc.check.report import AGREES, DIFFERS, CheckReport, Worst, could_not_check
from matcalc.check.tolerance import USUAL, Tolerance
from matcalc.check.torch_values import draw_unit

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
# Where nothing but numbers tells: all but a few right claims are nearer than that, and of those rounding is measured.
FINE = {torch.float64: 1e-11, torch.float32: 1e-4}
ABSOLUTE = {torch.float64: 1e-13, torch.float32: 1e-6}
LARGEST_FLOOR = 1e3
SUSPICIOUS = 1e3
_NUDGE = 500
ROUNDING_ALLOWED = 10

Both = Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Comparison:
    """Truth and claim at one point: the relative error and the entry where it is largest, and how large it may be."""

    error: float
    worst: Worst
    point: Point
    dtype: torch.dtype
    tolerance: float
    asked: Tolerance = USUAL

    @property
    def is_small(self) -> bool:
        """Whether the two agree at this point."""
        return self.error <= self.tolerance


def compare_tensors(
    compute: Both, point: Point, number: int, asked: Tolerance = USUAL, suspicious: float = SUSPICIOUS,
    fine: bool = False,
) -> Comparison | None:  # fmt: skip
    """Return how far apart the two tensors are that `compute` gives at the point, or None if not finite.

    The error is relative to the largest true entry, with an absolute floor for derivatives that are exactly
    zero.  An error slightly too large is judged again: it counts only so far as it is larger than the rounding
    errors, which computing at two neighbouring points shows; one of `suspicious` tolerances and more counts whole.
    A `fine` comparison has a smaller tolerance.
    """
    truth, got = compute(point.values)
    difference = (truth - got).abs()
    if not bool(difference.isfinite().all()):
        return None
    usual = asked.rtol or TOLERANCES[truth.dtype]
    tolerance = FINE[truth.dtype] if fine and not asked else usual
    floor = ABSOLUTE[truth.dtype] * min(point.largest, LARGEST_FLOOR) if asked.atol is None else asked.atol
    largest, scale = float(difference.amax()), float(truth.abs().amax())
    scale = max(scale, floor / tolerance)
    if tolerance * scale < largest and largest < suspicious * usual * max(scale, point.largest):
        scale = max(scale, ROUNDING_ALLOWED / tolerance * _measure_rounding(compute, point, truth, got))
    place = find_place(int(difference.argmax()), tuple(truth.shape))
    worst = Worst(place, float(truth[place]), float(got[place]), number)
    error = largest / scale if scale else math.inf if largest else 0.0
    return Comparison(error, worst, point, truth.dtype, tolerance, asked)


def find_place(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the place of an entry in an array whose entries are numbered row by row.

    >>> find_place(5, (2, 3)), find_place(0, ())
    ((1, 2), ())
    """
    place: list[int] = []
    for size in reversed(shape):
        number, at = divmod(number, size)
        place.insert(0, at)
    return tuple(place)


def _measure_rounding(compute: Both, point: Point, truth: Tensor, got: Tensor) -> float:
    """Return how much truth and claim change when every value changes in its last digits."""
    generator = torch.Generator().manual_seed(0)
    changes = [0.0]
    for _ in range(2):
        moved = {name: nudge(value, generator) for name, value in point.values.items()}
        for there, here in zip(compute(moved), (truth, got), strict=True):
            changes.append(float((there - here).abs().amax()))
    return max(changes)


def nudge(value: Tensor, generator: torch.Generator) -> Tensor:
    """Return a value with its last digits changed."""
    noise = draw_unit(value.shape, generator).to(value) - 0.5
    return value * (1 + 2 * _NUDGE * torch.finfo(value.dtype).eps * noise)


def summarize(comparisons: list[Comparison], reason: str, truth: str, *, seed: int, layout: str = "") -> CheckReport:
    """Return the verdict over all points; without a single point it is "could not check" with the reason."""
    if not comparisons:
        return could_not_check(reason, seed=seed, layout=layout)
    worst, shown = find_largest(comparisons), find_shown(comparisons)
    agrees = worst.is_small
    if agrees:
        count = f"{len(comparisons)} point" + ("s" if len(comparisons) != 1 else "")
        message = f"agrees with {truth} at {count}, {tell_error_size(worst.error)}"
        message += f", within {worst.asked}" if worst.asked else ""
    else:
        where = f"point {worst.worst.point}, relative error {worst.error:.1e}"
        message = f"differs: {worst.worst.entry} {worst.worst.numbers} ({where})"
    return CheckReport(
        AGREES if agrees else DIFFERS, () if agrees else ("other",), worst.error, len(comparisons), seed, layout,
        shown.point.sizes, shown.point.domains, None if agrees else replace(worst.worst, seed=seed), message,
    )  # fmt: skip


def find_largest(comparisons: list[Comparison]) -> Comparison:
    """Return the comparison with the largest error."""
    return max(comparisons, key=lambda comparison: comparison.error)


def find_shown(comparisons: list[Comparison]) -> Comparison:
    """Return the comparison whose point a report names: the largest error, the first where all are mere rounding.

    Which rounding error is the largest depends on the processor, and a report is the same on all of them.
    """
    largest = find_largest(comparisons)
    return comparisons[0] if largest.is_small else largest


def tell_error_size(error: float) -> str:
    """Return how large a relative error is, in words where there is none.

    >>> tell_error_size(2.22e-16), tell_error_size(0.0)
    ('largest relative error 2.2e-16', 'equal to the last bit')
    """
    return f"largest relative error {write_error(error)}" if error else "equal to the last bit"


def write_error(error: float) -> str:
    """Return a relative error with two digits, 0 as it stands.

    >>> write_error(2.22e-16), write_error(0.0)
    ('2.2e-16', '0')
    """
    return f"{error:.1e}" if error else "0"
