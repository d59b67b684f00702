"""The chain rule with shapes: where all of the variable passes through one part, the derivative is a product."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from matcalc.engine.assemble import transposed
from matcalc.engine.layout import arrange, torch_axes
from matcalc.errors import DeclarationError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, list_letters, symbol, symbols, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import replace
from matcalc.language.sizes import UNIT, Shape
from matcalc.render.latex import to_latex, write_name

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


_Derive = Callable[[Expression, str, "Derivative"], "Derivative"]


@dataclass(frozen=True)
class _Factor:
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

    factors: tuple[_Factor, ...]
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


def write_chain(derivative: Derivative, derive: _Derive) -> Chain:
    """Return the derivative of a composition as a product of the derivatives of its parts.

    `derive(expression, name, like)` derives an expression by a name in the layout of `like` and with what is
    declared there.  Raises DeclarationError for a derivative of higher order.
    """
    if derivative.order > 1:
        raise DeclarationError("the chain rule is shown of first derivatives", advice="ask for order 1")
    cuts = list_cuts(derivative.function, derivative.wrt)
    names = _name_cuts(derivative, cuts)
    stations = [derivative.wrt, *(symbol(name, cut.squeezed_shape) for cut, name in zip(cuts, names, strict=True))]
    parts = [derivative.wrt, *cuts, derivative.function]
    factors = []
    for place, whole in enumerate(parts[1:]):
        name = [*names, derivative.result_name][place]
        body = _cut_off(whole, parts[place], stations[place])
        by = stations[place].name
        factors.append(_Factor(name, by, to_text(body), derive(body, by, derivative)))
    return _join(tuple(reversed(factors)), derivative)


def _join(factors: tuple[_Factor, ...], derivative: Derivative) -> Chain:
    ends = [factors[0].derivative.function, *(factor.derivative.wrt for factor in factors)]
    names = [factors[0].name, *(factor.by for factor in factors)]
    sides = [_Side(name, end.squeezed_shape) for name, end in zip(names, ends, strict=True)]
    layout = derivative.layout
    return Chain(
        factors, layout, write_product(sides, layout), write_shapes(sides, layout), write_summed(sides, layout),
        write_contraction(sides, layout),
    )  # fmt: skip


def _name_cuts(derivative: Derivative, cuts: Sequence[Expression]) -> list[str]:
    """u1, U2, ... from the inside out, with another letter where one of them is taken."""
    problem = derivative.problem
    taken = {*problem.symbols, *problem.abstract, *derivative.declared, *list_letters(derivative.function)}
    for letter in "uvwzhabcg":
        names = [(letter.upper() if len(cut.squeezed_shape) > 1 else letter) + str(k) for k, cut in enumerate(cuts, 1)]
        if not taken & {letter, *names}:
            return names
    return [f"part{k}" for k in range(1, len(cuts) + 1)]


def _cut_off(whole: Expression, inner: Expression, station: Expression) -> Expression:
    """The part as a function of the part below it; rows are transposed to columns, but not the variable itself."""
    table = {inner: station}
    if inner.is_row and station.is_column:
        table = {inner: ex.transpose(station), ex.transpose(inner): station}
    body = replace(whole, table)
    return transposed(body) if body.is_row else body


# --- chain cuts -------------------------------------------------------------------------------------
#
# Where an expression is a composition: the parts through which every path from the variable to the result passes.


_MOST_FACTORS = 6
_NO_STEP = frozenset({"add", "subtract", "negate", "transpose"})
_LINEAR = frozenset({"add", "subtract", "negate", "transpose", "matmul", "multiply", "divide"})


def list_cuts(root: Expression, wrt: Expression) -> list[Expression]:
    """Return the parts that all of the variable passes through, from the inside out; at most five.

    A part that is only shifted, transposed or scaled by a number on its way is none: X @ w - y is one step.  Where
    there are too many, those that are linear go first, so that the layers of a network are left.
    """
    users = _list_users(root, wrt)
    stations = [node for node in _list_dominators(wrt, users) if len(node.shape) == 2 or node is root]
    while len(stations) > 1 and stations[0] is wrt and _is_hardly_changed(wrt, stations[1], users):
        wrt = stations[1]
        stations = stations[1:]
    cuts = [
        inner
        for inner, outer in pairwise(stations)
        if inner is not wrt and not _is_hardly_changed(inner, outer, users)
    ]
    if len(cuts) >= _MOST_FACTORS:
        cuts = [cut for cut in cuts if cut.op not in _LINEAR]
    return cuts[1 - _MOST_FACTORS :]


def _list_users(root: Expression, wrt: Expression) -> dict[Expression, list[Expression]]:
    """The nodes that contain the variable, operands first, each with the varying nodes that use it."""
    users: dict[Expression, list[Expression]] = {}
    for node in walk(root):
        below = [arg for arg in dict.fromkeys(node.args) if arg in users]
        if node is wrt or below:
            users[node] = []
        for arg in below:
            users[arg].append(node)
    return users


def _list_dominators(wrt: Expression, users: dict[Expression, list[Expression]]) -> list[Expression]:
    """The nodes on every path from the variable to the root.

    Nodes come operands first; a node is on every path where no node before it is used by one behind it.
    """
    order = {node: place for place, node in enumerate(users)}
    found, reach = [], 0
    for node, place in order.items():
        if place >= reach:
            found.append(node)
        reach = max([reach, *(order[user] for user in users[node])])
    return found if wrt in order else []


def _is_hardly_changed(inner: Expression, outer: Expression, users: dict[Expression, list[Expression]]) -> bool:
    """Whether a part is only shifted, transposed, or scaled by a number, or stands in a longer chain of products."""
    if users[inner] != [outer]:
        return False
    others = [arg for arg in outer.args if arg is not inner]
    if any(arg in users for arg in others):
        return False
    if outer.op in ("multiply", "divide"):
        numbers = bool(others) and all(not symbols(arg) and arg.is_scalar for arg in others)
        return numbers and (outer.op == "multiply" or outer.args[0] is inner)
    if outer.op == "matmul":
        return inner.op == "matmul"
    return outer.op in _NO_STEP


# --- chain latex ------------------------------------------------------------------------------------
#
# The chain rule as LaTeX: the product with its shapes, the parts, and the derivative of each.


_FRACTION = re.compile(r"d(\w+)/d(\w+)")
_EINSUM = re.compile(r"einsum\('([^']*)', (.*)\)")


def write_chain_latex(chain: Chain) -> str:
    r"""Return a chain as an `aligned` block: \frac{\partial y}{\partial x} = ..., where u = ..., its factors."""
    factors = list(reversed(chain.factors))
    rows = [_write_product(chain)] if len(factors) > 1 else []
    rows += [f"&&& \\text{{{chain.summed}}}"] if chain.summed and rows else []
    rows += [f"{write_name(factor.name)} &= {to_latex(factor.derivative.function)}" for factor in factors]
    for factor in chain.factors:
        shape = factor.derivative.header.partition("layout, ")[2].replace("×", "$\\times$")
        rows.append(f"{_write_fractions(factor.left)} &= {factor.derivative.latex()} && \\text{{{shape}}}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _write_product(chain: Chain) -> str:
    left, _, right = chain.product.partition(" = ")
    contraction = _EINSUM.fullmatch(right)
    if contraction:
        word, operands = contraction.groups()
        inside = _write_fractions(operands.replace(", ", ",\\, "))
        product = f"\\operatorname{{einsum}}(\\texttt{{{word.replace('->', '→')}}},\\, {inside})"
    else:
        typeset = right.replace(" @ ", "\\, ").replace("(", "\\left(").replace(").T", "\\right)^\\top")
        product = _write_fractions(typeset)
    return f"{_write_fractions(left)} &= {product} && \\text{{{chain.shapes}}}"


def _write_fractions(text: str) -> str:
    return _FRACTION.sub(
        lambda found: f"\\frac{{\\partial {write_name(found[1])}}}{{\\partial {write_name(found[2])}}}", text
    )


# --- chain product ----------------------------------------------------------------------------------
#
# The product of the chain rule in each layout: matrices multiplied in order, or the axes of tensors contracted.


@dataclass(frozen=True)
class _Side:
    """One variable of the chain, from Y on the outside to X on the inside, with its shape without unit axes."""

    name: str
    shape: Shape


def is_matrix_product(sides: Sequence[_Side], layout: str) -> bool:
    """Whether every factor is a matrix, so that they are multiplied; in the vec layout they always are."""
    return layout == "vec" or all(len(side.shape) < 2 for side in sides)


def write_product(sides: Sequence[_Side], layout: str) -> str:
    """dY/dX = dY/du1 @ du1/dX, the other way round in denominator layout, or the einsum of the factors."""
    factors = [f"d{outer.name}/d{inner.name}" for outer, inner in pairwise(sides)]
    whole = f"d{sides[0].name}/d{sides[-1].name}"
    if not is_matrix_product(sides, layout):
        return f"{whole} = einsum('{write_contraction(sides, layout)}', {', '.join(factors)})"
    transposed = [_transpose_gradient(factor, sides, layout, place) for place, factor in enumerate(factors)]
    return f"{whole} = {' @ '.join(transposed[::-1] if _is_reversed(sides, layout) else transposed)}"


def _is_reversed(sides: Sequence[_Side], layout: str) -> bool:
    """Whether the innermost factor stands first: in denominator layout, and for gradients in mixed layout."""
    return layout == "denominator" or (layout in ("mixed", "torch") and not sides[0].shape)


def _transpose_gradient(factor: str, sides: Sequence[_Side], layout: str, place: int) -> str:
    """In mixed and torch layout gradients are columns, and Jacobians (m, n): where both meet, one is transposed."""
    outer, inner = sides[place], sides[place + 1]
    is_gradient = not outer.shape and bool(inner.shape)
    is_jacobian = bool(outer.shape)
    transposed = is_jacobian if _is_reversed(sides, layout) else is_gradient
    return f"({factor}).T" if transposed and layout in ("mixed", "torch") else factor


def write_shapes(sides: Sequence[_Side], layout: str) -> str:
    """(m, n) = (m, k) @ (k, n): the shapes of the product, unit axes shown."""
    pairs = [_write_pair(outer, inner, sides, layout) for outer, inner in pairwise(sides)]
    if not is_matrix_product(sides, layout):
        return f"{_write_pair(sides[0], sides[-1], sides, layout)} from {' and '.join(pairs)}"
    whole = _write_pair(sides[0], sides[-1], sides, layout)
    return f"{whole} = {' @ '.join(pairs[::-1] if _is_reversed(sides, layout) else pairs)}"


def _write_pair(outer: _Side, inner: _Side, sides: Sequence[_Side], layout: str) -> str:
    if not is_matrix_product(sides, layout):
        axes = arrange(torch_axes(len(outer.shape), len(inner.shape), 1), layout)
        shape = [(outer.shape if axis.of == "result" else inner.shape)[axis.axis] for axis in axes]
    else:
        shape = [prod(outer.shape, start=UNIT), prod(inner.shape, start=UNIT)]
        shape = shape[::-1] if _is_reversed(sides, layout) else shape
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})" if shape else "()"


def write_summed(sides: Sequence[_Side], layout: str) -> str:
    """Say which axes are summed where factors have three axes and more."""
    if is_matrix_product(sides, layout):
        return ""
    told = [
        f"{', '.join(letters)} ({'the axes' if len(letters) > 1 else 'the axis'} of {side.name})"
        for side, letters in zip(sides[1:-1], _name_axes(sides)[1:-1], strict=True)
        if letters
    ]
    return f"summed over {' and '.join(told)}" if told else "nothing is summed: a scalar stands between"


def write_contraction(sides: Sequence[_Side], layout: str) -> str:
    """The einsum of the factors, the outermost first, as they lie in the layout without unit axes."""
    letters = _name_axes(sides)
    if layout == "vec":
        letters = [word[:1] for word in letters]
    factors = [_arrange_letters(outer, inner, layout) for outer, inner in pairwise(letters)]
    return f"{','.join(factors)}->{_arrange_letters(letters[0], letters[-1], layout)}"


def _name_axes(sides: Sequence[_Side]) -> list[str]:
    """i, j for Y, a, b for X, p, q, ... for what is between."""
    own, other, between = iter("ijklmn"), iter("abcdefgh"), iter("pqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    last = len(sides) - 1
    return [
        "".join(next(own if place == 0 else other if place == last else between) for _ in side.shape)
        for place, side in enumerate(sides)
    ]


def _arrange_letters(outer: str, inner: str, layout: str) -> str:
    axes = arrange(torch_axes(len(outer), len(inner), 1), layout)
    return "".join((outer if axis.of == "result" else inner)[axis.axis] for axis in axes)
