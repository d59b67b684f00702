"""What is judged: a function with its true derivative by torch, a claim, the variable, the layout and the order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matcalc.check.layouts import mixed_shape
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.points import Point, PointSearch


Values = Mapping[str, "Tensor"]


class Function(Protocol):
    """A function whose derivative torch knows."""

    @property
    def shape(self) -> Shape:
        """The shape of its value, without unit axes."""

    @property
    def root(self) -> Expression:
        """The expression whose conditions a point must meet."""

    @property
    def variables(self) -> tuple[Expression, ...]:
        """The variables that need a value beyond those of the root."""

    def differentiate(self, wrt: Expression, values: Values, point: Point, order: int) -> Tensor:
        """Return the true derivative in torch's order of axes; of order 0 the value."""

    def find_hidden_kink(self, point: Point) -> str | None:
        """Return the kink on which the point lies by the structure of a variable, if any."""


class Claim(Protocol):
    """What somebody says the derivative is."""

    @property
    def shape(self) -> Shape:
        """The shape of the claim, without unit axes."""

    @property
    def root(self) -> Expression | None:
        """The expression that is claimed; None where the claim is code."""

    def evaluate(self, values: Values, point: Point) -> Tensor:
        """Return the claimed values."""


@dataclass(frozen=True)
class ExpressionFunction:
    """A function written in the language."""

    root: Expression

    @property
    def shape(self) -> Shape:
        """The shape of its value, without unit axes."""
        return self.root.dropped_shape

    @property
    def variables(self) -> tuple[Expression, ...]:
        """None: they all stand in the expression."""
        return ()

    def differentiate(self, wrt: Expression, values: Values, point: Point, order: int) -> Tensor:
        """Return torch.autograd.functional.jacobian of the expression, repeated."""
        from matcalc.check.jacobian import true_derivative
        from matcalc.check.torch_values import evaluate, squeeze

        if order == 0:
            return squeeze(self.root, evaluate(self.root, values, point.sizes, point.functions), point.sizes).detach()
        return true_derivative(self.root, wrt, values, point.sizes, point.functions, order)

    def find_hidden_kink(self, point: Point) -> str | None:
        """Return the kink on which the point lies by the structure of a variable, if any."""
        from matcalc.check.conditions import find_hidden_kink

        return find_hidden_kink(self.root, point.values, point.sizes, point.functions)


@dataclass(frozen=True)
class MixedFunction(ExpressionFunction):
    """A function that is differentiated by one variable after the other."""

    by: tuple[Expression, ...]

    def differentiate(self, wrt: Expression, values: Values, point: Point, order: int) -> Tensor:
        """Return the derivative by all its variables, `wrt` being the last; of order 0 the value."""
        from matcalc.check.jacobian import true_mixed_derivative

        if order == 0:
            return super().differentiate(wrt, values, point, order)
        return true_mixed_derivative(self.root, self.by, values, point.sizes, point.functions)


@dataclass(frozen=True)
class ExpressionClaim:
    """A formula of the language."""

    root: Expression

    @property
    def shape(self) -> Shape:
        """The shape of the formula, without unit axes."""
        return self.root.dropped_shape

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
    variables before wrt, in the order of the differentiations.
    """

    function: Function
    claim: Claim
    wrt: Expression
    layout: str = "numerator"
    order: int = 1
    earlier: tuple[Expression, ...] = ()

    @property
    def by(self) -> tuple[Expression, ...]:
        """The variables in the order of the differentiations."""
        return (*self.earlier, self.wrt) if self.earlier else (self.wrt,) * self.order

    def shape(self, layout: str) -> Shape:
        """Return the shape of the derivative in a layout, without unit axes."""
        return mixed_shape(self.function.shape, [wrt.dropped_shape for wrt in self.by], layout)

    @property
    def names(self) -> tuple[Expression, ...]:
        """The expressions beside the function's own whose variables need values."""
        claimed = () if self.claim.root is None else (self.claim.root,)
        return (*claimed, *self.earlier, self.wrt, *self.function.variables)

    def compute_truth(self, values: Values, point: Point, layout: str) -> Tensor:
        """Return the true derivative at a point in a layout."""
        truth = self.function.differentiate(self.wrt, values, point, self.order)
        return self.arrange(truth, layout)

    def arrange(self, truth: Tensor, layout: str) -> Tensor:
        """Return a derivative in torch's order of axes in a layout's order."""
        from matcalc.check.jacobian import arrange_mixed

        ranks = [len(wrt.dropped_shape) for wrt in self.by]
        return arrange_mixed(truth, len(self.function.shape), ranks, layout) if ranks else truth

    def compute_both(self, values: Values, point: Point) -> tuple[Tensor, Tensor]:
        """Return the true derivative in the question's layout, and the claim in the same shape."""
        truth = self.compute_truth(values, point, self.layout)
        return truth, self.claim.evaluate(values, point).reshape(truth.shape)


def ask(expression: Expression, claim: Expression, by: Sequence[Expression], layout: str) -> Question:
    """Return the question whether a claim is the derivative of an expression by one variable after the other."""
    *earlier, wrt = by
    claimed = ExpressionClaim(claim)
    if all(one is wrt for one in earlier):
        return Question(ExpressionFunction(expression), claimed, wrt, layout, len(by))
    return Question(MixedFunction(expression, tuple(by)), claimed, wrt, layout, len(by), tuple(earlier))


# --- question points --------------------------------------------------------------------------------
#
# The points at which a question can be asked, and what is too large to be asked.


MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


def search_points(
    question: Question, seed: int, dtype: str, device: str, symmetric: Iterable[str] = ()
) -> PointSearch:
    """Return the search for points at which the question can be asked, some matrices symmetric where asked."""
    import torch

    from matcalc.check.points import PointSearch

    return PointSearch(
        question.function.root, question.names,
        seed=seed, shape=question.shape("torch"), dtype=getattr(torch, dtype), device=device, symmetric=symmetric,
    )  # fmt: skip


def find_excess(question: Question, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    entries = math.prod(size.value(point.sizes) for size in question.shape("torch"))
    passes = entries // math.prod(size.value(point.sizes) for size in question.wrt.dropped_shape)
    if entries > MAX_ENTRIES:
        return f"the derivative has {entries} entries, more than {MAX_ENTRIES}"
    if passes > MAX_PASSES:
        return f"the derivative needs {passes} passes of autograd, more than {MAX_PASSES}"
    return None
