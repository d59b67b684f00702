"""The product of the chain rule in each layout: matrices multiplied in order, or the axes of tensors contracted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matcalc.engine.layout import arrange, torch_axes
from matcalc.language.sizes import UNIT, Shape, Size


@dataclass(frozen=True)
class Side:
    """One variable of the chain, from Y on the outside to X on the inside, with its shape without unit axes."""

    name: str
    shape: Shape


def is_matrix_product(sides: Sequence[Side], layout: str) -> bool:
    """Whether every factor is a matrix, so that they are multiplied; in the vec layout they always are."""
    return layout == "vec" or all(len(side.shape) < 2 for side in sides)


def write_product(sides: Sequence[Side], layout: str) -> str:
    """dY/dX = dY/du1 @ du1/dX, the other way round in denominator layout, or the einsum of the factors."""
    factors = [f"d{outer.name}/d{inner.name}" for outer, inner in pairwise(sides)]
    whole = f"d{sides[0].name}/d{sides[-1].name}"
    if not is_matrix_product(sides, layout):
        return f"{whole} = einsum('{write_contraction(sides, layout)}', {', '.join(factors)})"
    turned = [_turn_gradient(factor, sides, layout, place) for place, factor in enumerate(factors)]
    return f"{whole} = {' @ '.join(turned[::-1] if _is_reversed(sides, layout) else turned)}"


def _is_reversed(sides: Sequence[Side], layout: str) -> bool:
    """Whether the innermost factor stands first: in denominator layout, and for gradients in mixed layout."""
    return layout == "denominator" or (layout in ("mixed", "torch") and not sides[0].shape)


def _turn_gradient(factor: str, sides: Sequence[Side], layout: str, place: int) -> str:
    """In mixed and torch layout gradients are columns, and Jacobians (m, n): where both meet, one is turned."""
    outer, inner = sides[place], sides[place + 1]
    is_gradient = not outer.shape and bool(inner.shape)
    is_jacobian = bool(outer.shape)
    turned = is_jacobian if _is_reversed(sides, layout) else is_gradient
    return f"({factor}).T" if turned and layout in ("mixed", "torch") else factor


def write_shapes(sides: Sequence[Side], layout: str) -> str:
    """(m, n) = (m, k) @ (k, n): the shapes of the product, unit axes shown."""
    pairs = [_write_pair(outer, inner, sides, layout) for outer, inner in pairwise(sides)]
    if not is_matrix_product(sides, layout):
        return f"{_write_pair(sides[0], sides[-1], sides, layout)} from {' and '.join(pairs)}"
    whole = _write_pair(sides[0], sides[-1], sides, layout)
    return f"{whole} = {' @ '.join(pairs[::-1] if _is_reversed(sides, layout) else pairs)}"


def _write_pair(outer: Side, inner: Side, sides: Sequence[Side], layout: str) -> str:
    if not is_matrix_product(sides, layout):
        axes = arrange(torch_axes(len(outer.shape), len(inner.shape), 1), layout)
        shape = [(outer.shape if axis.of == "result" else inner.shape)[axis.axis] for axis in axes]
    else:
        shape = [_count(outer.shape), _count(inner.shape)]
        shape = shape[::-1] if _is_reversed(sides, layout) else shape
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})" if shape else "()"


def _count(shape: Shape) -> Size:
    total = UNIT
    for size in shape:
        total = total * size
    return total


def write_summed(sides: Sequence[Side], layout: str) -> str:
    """Say which axes are summed where factors have three axes and more."""
    if is_matrix_product(sides, layout):
        return ""
    told = [
        f"{', '.join(letters)} ({'the axes' if len(letters) > 1 else 'the axis'} of {side.name})"
        for side, letters in zip(sides[1:-1], _name_axes(sides)[1:-1], strict=True)
        if letters
    ]
    return f"summed over {' and '.join(told)}" if told else "nothing is summed: a scalar stands between"


def write_contraction(sides: Sequence[Side], layout: str) -> str:
    """The einsum of the factors, the outermost first, as they lie in the layout without unit axes."""
    letters = _name_axes(sides)
    if layout == "vec":
        letters = [word[:1] for word in letters]
    factors = [_arrange_letters(outer, inner, layout) for outer, inner in pairwise(letters)]
    return f"{','.join(factors)}->{_arrange_letters(letters[0], letters[-1], layout)}"


def _name_axes(sides: Sequence[Side]) -> list[str]:
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
