"""By what number an averaged gradient is off, and what that number says about a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

CLOSE = {torch.float64: 1e-6, torch.float32: 1e-3}
_LARGEST_DENOMINATOR = 64


@dataclass(frozen=True)
class Ratio:
    """How many times the true gradient the averaged one is: one number at all points, or `at` each point its own."""

    at: tuple[float, ...]
    constant: float | None

    @property
    def is_whole(self) -> bool:
        """Whether the averaged gradient is the true one."""
        return self.constant == 1


def find_ratio(pairs: Sequence[tuple[Tensor, Tensor]], processes: int) -> Ratio | None:
    """Return by what number each truth must be multiplied to give what came, None where no number does.

    `pairs` holds truth and averaged gradient at each point.  A single number is always a multiple of another,
    so of a scalar parameter only a number that is the same at several points, or a power of the number of
    processes, counts.
    """
    found = [_divide(truth.reshape(-1), got.reshape(-1)) for truth, got in pairs]
    at = tuple(ratio for ratio in found if ratio is not None)
    if not at or len(at) < len(found):
        return None
    constant = _join(at, processes, CLOSE[pairs[0][0].dtype])
    has_proof = pairs[0][0].numel() > 1 or (constant is not None and (len(at) > 1 or constant in powers(processes)))
    return Ratio(at, constant) if has_proof else None


def is_zero(pairs: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Return whether truth and averaged gradient vanish at all points, as those of a term without a parameter."""
    return not any(bool(truth.any()) or bool(got.any()) for truth, got in pairs)


def _divide(truth: Tensor, got: Tensor) -> float | None:
    square = float(truth @ truth)
    if square == 0:
        return None
    ratio = float(truth @ got) / square
    scale = max(float(truth.abs().amax()), float(got.abs().amax()))
    off = float((got - ratio * truth).abs().amax())
    close = CLOSE[truth.dtype]
    return ratio if off <= close * scale and abs(ratio) > close else None


def _join(at: tuple[float, ...], processes: int, close: float) -> float | None:
    """Return the one number that all are close to, rounded to a power of the processes or a simple fraction."""
    middle = sum(at) / len(at)
    if max(abs(ratio - middle) for ratio in at) > close * abs(middle):
        return None
    simple = [*powers(processes), float(Fraction(middle).limit_denominator(_LARGEST_DENOMINATOR))]
    return next((number for number in simple if abs(number - middle) <= close * abs(middle)), middle)


def powers(processes: int) -> list[float]:
    """Return the numbers by which sums, means, and means taken twice or thrice are off.

    >>> powers(2)
    [1.0, 0.5, 2.0, 0.25, 4.0, 0.125, 8.0]
    """
    return [1.0, *(float(processes) ** power for size in (1, 2, 3) for power in (-size, size))]


def write_multiple(ratio: float) -> str:
    """Return a number as the amount of something.

    >>> write_multiple(0.5), write_multiple(2.0), write_multiple(math.sqrt(2))
    ('1/2 of', '2 times', '1.414 times')
    """
    fraction = Fraction(ratio).limit_denominator(_LARGEST_DENOMINATOR)
    if not math.isclose(fraction, ratio, rel_tol=1e-9):
        return f"{ratio:.4g} times"
    return f"{fraction} of" if abs(fraction) < 1 else f"{fraction} times"
