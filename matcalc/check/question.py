"""What is judged: a function with its true derivative by torch, a claim, the variable, the layout and the order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from matcalc.check.jacobian import arrange_axes, find_orientation, layout_shape
from matcalc.check.report import find_missing
from matcalc.check.tolerance import USUAL, Tolerance
from matcalc.errors import MatcalcError
from matcalc.language.declarations import measure_change
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape
from matcalc.language.text_to_expression import rules_in_force
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.backward import BackwardClaim
    from matcalc.check.code import CodeClaim, CodeFunction
    from matcalc.check.points import Point, PointSearch


Values = Mapping[str, "Tensor"]
Function = Union["ExpressionFunction", "CodeFunction"]
Claim = Union["ExpressionClaim", "CodeClaim", "BackwardClaim"]


@dataclass(frozen=True)
class ExpressionFunction:
    """A function written in the language."""

    root: Expression

    @property
    def shape(self) -> Shape:
        """The shape of its value, without unit axes."""
        return self.root.squeezed_shape

    @property
    def variables(self) -> tuple[Expression, ...]:
        """None: they all stand in the expression."""
        return ()

    def differentiate(
        self, by: Sequence[Expression], values: Values, point: Point, meaning: str = "free"
    ) -> Tensor:
        """Return torch's derivative by one variable after the other, in torch's order of axes; by none the value."""
        from matcalc.check.jacobian import true_derivative

        return true_derivative(self.root, by, values, point.sizes, point.functions, meaning)

    def find_hidden_kink(self, point: Point) -> str | None:
        """Return the kink on which the point lies by the structure of a variable, if any."""
        from matcalc.check.conditions import find_hidden_kink

        return find_hidden_kink(self.root, point)


@dataclass(frozen=True)
class ExpressionClaim:
    """A formula of the language."""

    root: Expression

    @property
    def shape(self) -> Shape:
        """The shape of the formula, without unit axes."""
        return self.root.squeezed_shape

    def evaluate(self, values: Values, point: Point) -> Tensor:
        """Return the formula's value."""
        import torch

        from matcalc.check.torch_values import evaluate

        with torch.no_grad():
            return evaluate(self.root, values, point.sizes, point.functions).detach()


@dataclass(frozen=True)
class Question:
    """Is the claim the derivative of the function by wrt, of that order, in that layout?

    Of order 0 it asks whether the claim is the function's own value.  Of a mixed derivative `earlier` are the
    variables before wrt, in the order of the differentiations.  `sizes` are those that hold at each point.  Where
    the layout is nobody's choice, as that of a gradient in torch, the claim has no other one to be right in.  Of the
    `arbitrary` variables nothing can be assumed, as of the weights of a vector-Jacobian product.  Where it is `strict`
    a claim is wrong that is a column where the layout has a row.  The `meaning` is that of a derivative by a variable
    whose entries are tied to each other.
    """

    function: Function
    claim: Claim
    wrt: Expression
    layout: str = "numerator"
    order: int = 1
    earlier: tuple[Expression, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    has_layouts: bool = True
    arbitrary: frozenset[str] = frozenset()
    tolerance: Tolerance = USUAL
    strict: bool = False
    meaning: str = "free"

    @property
    def is_code(self) -> bool:
        """Whether the function or the claim is code, which does not tell where it bends."""
        return bool(self.function.variables) or self.claim.root is None

    @property
    def by(self) -> tuple[Expression, ...]:
        """The variables in the order of the differentiations."""
        return (*self.earlier, self.wrt) if self.earlier else (self.wrt,) * self.order

    @property
    def shapes_of_change(self) -> list[Shape]:
        """The shape of what each differentiation is by: a variable, or its independent entries."""
        return [measure_change(wrt, self.meaning) for wrt in self.by]

    def shape(self, layout: str) -> Shape:
        """Return the shape of the derivative in a layout, without unit axes."""
        return layout_shape(self.function.shape, self.shapes_of_change, layout)

    @property
    def names(self) -> tuple[Expression, ...]:
        """The expressions beside the function's own whose variables need values."""
        claimed = () if self.claim.root is None else (self.claim.root,)
        return (*claimed, *self.earlier, self.wrt, *self.function.variables)

    def find_turn(self, layout: str) -> str:
        """Return "row" or "column" where the derivative is one in a layout and the claim is the other, "" elsewhere.

        Code has one axis there, and of a function or a variable that is itself written as a row either will do.
        """
        claim, function = self.claim.root, self.function.root
        if claim is None or not self.has_layouts or any(one.is_row for one in (function, *self.by)):
            return ""
        ranks = [len(shape) for shape in self.shapes_of_change]
        wanted = find_orientation(len(self.function.shape), ranks, layout)
        is_other = claim.is_row if wanted == "column" else claim.is_column
        return wanted if wanted and is_other else ""

    def compute_truth(self, values: Values, point: Point, layout: str) -> Tensor:
        """Return the true derivative at a point in a layout."""
        return self.arrange(self.function.differentiate(self.by, values, point, self.meaning), layout)

    def arrange(self, truth: Tensor, layout: str) -> Tensor:
        """Return a derivative in torch's order of axes in a layout's order."""
        ranks = [len(shape) for shape in self.shapes_of_change]
        return arrange_axes(truth, len(self.function.shape), ranks, layout) if ranks else truth

    def compute_both(self, point: Point, values: Values) -> tuple[Tensor, Tensor]:
        """Return the true derivative in the question's layout, and the claim in the same shape."""
        truth = self.compute_truth(values, point, self.layout)
        return truth, self.claim.evaluate(values, point).reshape(truth.shape)

    def compute_sums(self, point: Point, values: Values) -> tuple[Tensor, Tensor] | None:
        """Return both in torch's order, their rows weighed by random numbers and added: no wrong row is lost.

        It costs one pass of autograd; None where a derivative is no matrix of rows by one variable's free entries.
        """
        import torch

        from matcalc.check.jacobian import order_axes, sum_rows
        from matcalc.check.torch_values import draw_unit

        rank_y, ranks = len(self.function.shape), [len(shape) for shape in self.shapes_of_change]
        is_plain = self.order == len(self.by) == 1 and self.meaning == "free" and self.layout != "vec"
        if not (is_plain and rank_y and isinstance(self.function, ExpressionFunction)):
            return None

        def weigh(shape: tuple[int, ...]) -> Tensor:
            return draw_unit(shape, torch.Generator().manual_seed(0)) + 0.5

        root = self.function.root
        truth = sum_rows(root, self.wrt, values, point.sizes, point.functions, weigh)
        claim = self.claim.evaluate(values, point)
        axes = order_axes(rank_y, ranks, self.layout)
        numbers = [size.value(point.sizes) for size in self.shape(self.layout)]
        rows = claim.reshape(numbers).permute([axes.index(axis) for axis in range(len(axes))])
        weights = weigh(tuple(rows.shape[:rank_y])).to(rows)
        return truth, torch.tensordot(weights, rows, rank_y)


def ask(
    expression: Expression, claim: Expression, by: Sequence[Expression], layout: str, meaning: str = "free"
) -> Question:
    """Return the strict question whether a claim is the derivative of an expression by one variable after the other."""
    *earlier, wrt = by
    is_mixed = any(one is not wrt for one in earlier)
    function, claimed = ExpressionFunction(expression), ExpressionClaim(claim)
    before = tuple(earlier) if is_mixed else ()
    return Question(function, claimed, wrt, layout, len(by), before, strict=True, meaning=meaning)


# --- question points --------------------------------------------------------------------------------
#
# The points at which a question can be asked, and what is too large to be asked.


MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


def search_points(
    question: Question, seed: int, dtype: str, device: str, symmetric: Iterable[str] = (),
    summing: Mapping[str, str] | None = None,
) -> PointSearch:
    """Return the search for points at which the question can be asked, some arrays symmetric or with sums 1."""
    import torch

    from matcalc.check.points import PointSearch

    return PointSearch(
        question.function.root, question.names,
        seed=seed, shape=question.shape("torch"), dtype=getattr(torch, dtype), device=device, symmetric=symmetric,
        summing=summing, sizes=question.sizes,
    )  # fmt: skip


def find_excess(question: Question, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    entries = math.prod(size.value(point.sizes) for size in question.shape("torch"))
    passes = entries // math.prod(size.value(point.sizes) for size in measure_change(question.wrt, question.meaning))
    if entries > MAX_ENTRIES:
        return f"the derivative has {entries} entries, more than {MAX_ENTRIES}"
    if passes > MAX_PASSES:
        return f"the derivative needs {passes} passes of autograd, more than {MAX_PASSES}"
    return None


# --- evidence -----------------------------------------------------------------------------------------
#
# The numbers behind a report: the true derivative and the claimed one at the point of the largest error.


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
        if find_missing(self.device):
            return None
        from matcalc.check.modes import own_modes

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

        point = search_points(self.question, self.seed, self.dtype, self.device).find(0)
        return point if isinstance(point, Point) and find_excess(self.question, point) is None else None

    def _compute_at(self, point: Point) -> NumericJacobians:
        question = self.question
        truth = question.compute_truth(point.values, point, question.layout)
        claim = question.claim.evaluate(point.values, point)
        claim = claim.reshape([size.value(point.sizes) for size in question.claim.shape])
        return NumericJacobians(truth, claim, dict(point.sizes), self.number, self.worst)
