"""How the shape of a derivative comes about: axis by axis in each layout, and the two memory rules for vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from matcalc.engine.layout import Axis, arrange
from matcalc.language.expression import Expression
from matcalc.language.sizes import Size, write_shape

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def unfold_shape(derivative: Derivative) -> Iterator[tuple[str, str]]:
    """Yield the axes of a derivative of rank 3 and more one after the other, each with the shape so far.

    >>> from matcalc import derive
    >>> for axis, shape in unfold_shape(derive("A @ X @ B", "X")):
    ...     print(axis, shape)
    Y's first axis, m (m,)
    Y's second axis, l (m, l)
    X's second axis, k (m, l, k)
    X's first axis, n (m, l, k, n)
    """
    axes = derivative.result.axes
    if len(axes) < 3 or derivative.layout == "vec":
        return
    sizes = dict(zip(axes, derivative.result.node.shape, strict=True))
    shape: list[Size] = []
    for axis in arrange(axes, derivative.layout):
        shape.append(sizes[axis])
        yield f"{_name_axis(derivative, axis)}, {sizes[axis]}", write_shape(tuple(shape))


def _name_axis(derivative: Derivative, axis: Axis) -> str:
    name = derivative.result_name if axis.of == "result" else derivative.wrt.name
    rank = len((derivative.function if axis.of == "result" else derivative.wrt).dropped_shape)
    again = f" (differentiation {axis.order})" if axis.of == "wrt" and derivative.order > 1 else ""
    return f"{name}'s {_ORDINALS[axis.axis] + ' ' if rank > 1 else ''}axis{again}"


def explain_layout(derivative: Derivative) -> str:
    """One sentence on how the derivative lies in its layout."""
    memory = _remember(derivative)
    return f"{derivative.layout} layout: {memory or _order_axes(derivative)}"


def _remember(derivative: Derivative) -> str:
    """The memory rule for a scalar by a vector and a vector by a scalar."""
    own, other = derivative.function.dropped_shape, derivative.wrt.dropped_shape
    if derivative.order > 1 or len(own) + len(other) != 1 or derivative.layout in ("torch", "vec"):
        return ""
    top, bottom = derivative.result_name, derivative.wrt.name
    scalar, vector = (bottom, top) if own else (top, bottom)
    size = (own or other)[0]
    read = f"read {scalar} as a row of one, {vector} as a column"
    if derivative.layout == "denominator" or (derivative.layout == "mixed" and not own):
        return f"{read}: rows as {bottom} below, {f'({size}, 1)' if other else f'(1, {size})'}"
    return f"{read}: rows as {top} above, {f'({size}, 1)' if own else f'(1, {size})'}"


def _order_axes(derivative: Derivative) -> str:
    """The order of the axes in words."""
    own, other = _list_axes(derivative.result_name, derivative.function), derivative.wrt.name
    rank = len(derivative.wrt.dropped_shape)
    if not derivative.shape:
        return "two scalars, no axes to order"
    match derivative.layout:
        case "vec":
            return f"columns of {derivative.result_name} stacked give the rows, columns of {other} stacked the columns"
        case "denominator":
            return "all axes of numerator layout in reverse"
    turned = derivative.layout != "torch" and not (derivative.layout == "mixed" and not own) and rank > 1
    by = f"the axes of {other}{' in reverse' if turned else ''}" if rank else ""
    by += ", once for each differentiation" if derivative.order > 1 else ""
    return ", then ".join(text for text in (own, by) if text)


def _list_axes(name: str, node: Expression) -> str:
    return f"the axes of {name}" if node.dropped_shape else ""
