"""The chain rule with shapes: where all of the variable passes through one part, the derivative is a product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matcalc.engine.assemble import transposed
from matcalc.errors import DeclarationError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, list_letters, symbol
from matcalc.language.replace import replace
from matcalc.render.chain_cuts import list_cuts
from matcalc.render.chain_latex import write_chain_latex
from matcalc.render.chain_product import Side, write_contraction, write_product, write_shapes, write_summed
from matcalc.render.to_text import to_text

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

Derive = Callable[[Expression, str, "Derivative"], "Derivative"]


@dataclass(frozen=True)
class Factor:
    """One factor of the chain rule: d(name)/d(by), where name is `definition`, a formula in `by`."""

    name: str
    by: str
    definition: str
    derivative: Derivative

    @property
    def left(self) -> str:
        """The factor as it is written in the product: dY/du1."""
        return f"d{self.name}/d{self.by}"


@dataclass(frozen=True)
class Chain:
    """A derivative as a product of factors, the outermost first.

    `product` is the formula, dY/dX = dY/du1 @ du1/dX, in the order of the layout; `shapes` the same of the shapes;
    `summed` says which axes are summed; `contraction` is the einsum of the factors' values, unit axes dropped.
    """

    factors: tuple[Factor, ...]
    layout: str
    product: str
    shapes: str
    summed: str
    contraction: str

    def __str__(self) -> str:
        if len(self.factors) == 1:
            (factor,) = self.factors
            return f"{factor.left} is one factor: {factor.by} does not pass through one part of {factor.name} alone"
        lines = [f"{self.product}        {self.shapes}"]
        lines += [f"  {self.summed}"] if self.summed else []
        lines += [f"  {factor.name} = {factor.definition}" for factor in reversed(self.factors)]
        width = max(len(factor.left) for factor in self.factors)
        for factor in self.factors:
            shape = factor.derivative.header.partition("layout, ")[2]
            lines.append(f"  {factor.left.ljust(width)} = {factor.derivative}        {shape}")
        return "\n".join(lines)

    def latex(self) -> str:
        """The chain as LaTeX, an `aligned` block."""
        return write_chain_latex(self)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def to_dict(self) -> dict[str, object]:
        """The chain as plain data."""
        factors = [
            {"name": factor.left, "function": factor.definition, "derivative": str(factor.derivative),
             "shape": [str(size) for size in factor.derivative.shape]}
            for factor in self.factors
        ]  # fmt: skip
        return {
            "product": self.product, "shapes": self.shapes, "summed": self.summed,
            "contraction": self.contraction, "factors": factors,
        }  # fmt: skip


def write_chain(derivative: Derivative, derive: Derive) -> Chain:
    """Return the derivative of a composition as a product of the derivatives of its parts.

    `derive(expression, name, like)` derives an expression by a name in the layout of `like` and with what is
    declared there.  Raises DeclarationError for a derivative of higher order.
    """
    if derivative.order > 1:
        raise DeclarationError("the chain rule is shown of first derivatives", advice="ask for order 1")
    cuts = list_cuts(derivative.function, derivative.wrt)
    names = _name_cuts(derivative, cuts)
    stations = [derivative.wrt, *(symbol(name, cut.dropped_shape) for cut, name in zip(cuts, names, strict=True))]
    parts = [derivative.wrt, *cuts, derivative.function]
    factors = []
    for place, whole in enumerate(parts[1:]):
        name = [*names, derivative.result_name][place]
        body = _cut_off(whole, parts[place], stations[place])
        by = stations[place].name
        factors.append(Factor(name, by, to_text(body), derive(body, by, derivative)))
    return _join(tuple(reversed(factors)), derivative)


def _join(factors: tuple[Factor, ...], derivative: Derivative) -> Chain:
    ends = [factors[0].derivative.function, *(factor.derivative.wrt for factor in factors)]
    sides = [Side(name, end.dropped_shape) for name, end in zip(_list_names(factors), ends, strict=True)]
    layout = derivative.layout
    return Chain(
        factors, layout, write_product(sides, layout), write_shapes(sides, layout), write_summed(sides, layout),
        write_contraction(sides, layout),
    )  # fmt: skip


def _list_names(factors: Sequence[Factor]) -> list[str]:
    return [factors[0].name, *(factor.by for factor in factors)]


def _name_cuts(derivative: Derivative, cuts: Sequence[Expression]) -> list[str]:
    """u1, U2, ... from the inside out, with another letter where one of them is taken."""
    problem = derivative.problem
    taken = {*problem.symbols, *problem.abstract, *derivative.declared, *list_letters(derivative.function)}
    for letter in "uvwzhabcg":
        names = [(letter.upper() if len(cut.dropped_shape) > 1 else letter) + str(k) for k, cut in enumerate(cuts, 1)]
        if not taken & {letter, *names}:
            return names
    return [f"part{k}" for k in range(1, len(cuts) + 1)]


def _cut_off(whole: Expression, inner: Expression, station: Expression) -> Expression:
    """The part as a function of the part below it; rows are turned to columns."""
    table = {inner: station}
    if inner.is_row:
        table = {inner: ex.transpose(station), ex.transpose(inner): station}
    body = replace(whole, table)
    return transposed(body) if body.is_row else body
