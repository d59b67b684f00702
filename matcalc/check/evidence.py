"""The numbers behind a report: the true derivative and the claimed one at the point of the largest error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.errors import MatcalcError

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.points import Point
    from matcalc.check.question import Question
    from matcalc.rule_files import RuleBook


@dataclass(frozen=True)
class NumericJacobians:
    """The true derivative and the claim at one point, each without unit axes, `truth` in the layout that was asked for.

    Where the shapes differ `claim` has its own.  `worst` is the index of the entry with the largest error, None where
    there is none to be told; `point` counts from 1.
    """

    truth: Tensor
    claim: Tensor
    sizes: dict[str, int]
    point: int
    worst: tuple[int, ...] | None


@dataclass(frozen=True)
class Evidence:
    """What was asked, and the point of the largest error, None where the shapes alone decided."""

    question: Question
    seed: int
    dtype: str
    device: str
    rules: RuleBook | None
    point: Point | None = None
    number: int = 1
    worst: tuple[int, ...] | None = None

    def compute(self) -> NumericJacobians | None:
        """Return both Jacobians, None where there is no point at which both can be computed."""
        from matcalc.check.modes import own_modes
        from matcalc.check.report import find_missing
        from matcalc.check.rule_texts import rules_in_force

        if find_missing(self.device):
            return None
        with rules_in_force(self.rules), own_modes(self.dtype, self.device):
            point = self.point or self._find_point()
            if point is None:
                return None
            try:
                return self._compute_at(point)
            except (MatcalcError, RuntimeError):
                return None

    def _find_point(self) -> Point | None:
        from matcalc.check.points import Point
        from matcalc.check.question import find_excess, search_points

        point = search_points(self.question, self.seed, self.dtype, self.device).find(0)
        return point if isinstance(point, Point) and find_excess(self.question, point) is None else None

    def _compute_at(self, point: Point) -> NumericJacobians:
        question = self.question
        truth = question.compute_truth(point.values, point, question.layout)
        claim = question.claim.evaluate(point.values, point)
        claim = claim.reshape([size.value(point.sizes) for size in question.claim.shape])
        return NumericJacobians(truth, claim, dict(point.sizes), self.number, self.worst)
