"""Truth and claim at several points, as every reading of a wrong claim needs them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from matcalc.check.compare import ABSOLUTE, LARGEST_FLOOR, TOLERANCES
from matcalc.check.conditions import Trouble, names_below
from matcalc.check.points import NoPoint, Point, PointSearch
from matcalc.check.question import Question, find_excess, search_points
from matcalc.errors import MatcalcError

# A reading is named, not proven: its tolerance leaves room for the rounding that the verdict measures.
ROOM = 10
SEED_STEP = 7919


@dataclass(frozen=True)
class Sample:
    """A point with the true derivative in torch's order of axes and the claim, whatever shapes they have."""

    point: Point
    truth: Tensor
    claim: Tensor

    def is_equal(self, got: Tensor, truth: Tensor) -> bool:
        """Whether two tensors of one shape are equal but for rounding; `truth` sets the scale."""
        tolerance = ROOM * TOLERANCES[truth.dtype]
        floor = ABSOLUTE[truth.dtype] / TOLERANCES[truth.dtype] * min(self.point.largest, LARGEST_FLOOR)
        scale = max(float(truth.abs().amax()), floor)
        return got.shape == truth.shape and bool(((got - truth).abs() <= tolerance * scale).all())


def take_samples(
    question: Question, count: int, *, seed: int, dtype: str, device: str, symmetric: Iterable[str] = ()
) -> list[Sample]:
    """Return samples at points of different sizes, fewer where points cannot be found.

    Each has a seed of its own, so that the sizes are dealt anew.
    """
    samples: list[Sample] = []
    for place in range(count):
        search = search_points(question, seed + SEED_STEP * place, dtype, device, symmetric)
        sample = _take_sample(question, search, place)
        if sample is None:
            break
        samples.append(sample)
    return samples


def _take_sample(question: Question, search: PointSearch, number: int) -> Sample | None:
    while not isinstance(point := search.find(number), NoPoint):
        if find_excess(question, point):
            return None
        reason = "not finite"
        try:
            truth = question.function.differentiate(question.wrt, point.values, point, question.order)
            claim = question.claim.evaluate(point.values, point)
            claim = claim.reshape([size.value(point.sizes) for size in question.claim.shape])
            if bool(truth.isfinite().all()) and bool(claim.isfinite().all()):
                return Sample(point, truth, claim)
        except (MatcalcError, RuntimeError) as error:
            reason = str(error)
        search.reject(Trouble(reason, names_below(question.claim.root or question.function.root)))
    return None
