"""What each axis of a derivative is: its size, its name, and whether it comes from the function or the variable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.engine.layout import Axis, arrange, mixed_axes
from matcalc.language.sizes import Shape
from matcalc.render.report import name_mixed

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

RESULT, WRT = "result", "wrt"


@dataclass(frozen=True)
class AxisRow:
    """One axis of a derivative; `of` is "result" or "wrt", `members` are the axes of function and variable in it.

    It has one member in every layout but vec, where all axes of a side are joined.
    """

    size: str
    name: str
    of: str
    members: tuple[Axis, ...]


def list_axis_rows(derivative: Derivative) -> list[AxisRow]:
    """Return the axes of a derivative in the order of its shape.

    >>> from matcalc.derivation import derive
    >>> [(row.size, row.name, row.of) for row in list_axis_rows(derive("A @ x"))]
    [('m', 'y axis 0', 'result'), ('n', 'x axis 0', 'wrt')]
    """
    groups = group_axes(derivative.result.axes, derivative.layout, derivative.order)
    told = zip(derivative.shape, derivative.axes, groups, strict=True)
    return [AxisRow(str(size), name, find_side(members), members) for size, name, members in told]


def group_axes(axes: Sequence[Axis], layout: str, order: int) -> list[tuple[Axis, ...]]:
    """Return which axes stand in each axis of a layout: one each, in vec layout all of a side."""
    if layout != "vec":
        return [(axis,) for axis in arrange(list(axes), layout)]
    rows = tuple(axis for axis in axes if axis.of == RESULT or axis.order < order)
    columns = tuple(axis for axis in axes if axis not in rows)
    return [group for group in (rows, columns) if group]


def find_side(members: Sequence[Axis]) -> str:
    """Return "result" where an axis of the function is among the axes, else "wrt"."""
    return RESULT if any(axis.of == RESULT for axis in members) else WRT


def name_question_axes(own: str, rank: int, by: Sequence[tuple[str, Shape]], layout: str) -> list[str]:
    """Return the names of the axes of a derivative of `own`, which has that rank, by these variables.

    >>> name_question_axes("y", 1, [("x", ())], "numerator")
    ['y axis 0']
    """
    names, ranks = [name for name, _ in by], [len(shape) for _, shape in by]
    if layout == "vec":
        sides = [(name_mixed(own, names[:-1]), rank + sum(ranks[:-1])), *zip(names[-1:], ranks[-1:], strict=True)]
        return [f"vec({name})" for name, count in sides if count]
    return [_name(axis, own, names) for (axis,) in group_axes(mixed_axes(rank, ranks), layout, len(by))]


def _name(axis: Axis, own: str, by: Sequence[str]) -> str:
    if axis.of == RESULT:
        return f"{own} axis {axis.axis}"
    again = f" (differentiation {axis.order})" if len(by) > 1 else ""
    return f"{by[axis.order - 1]} axis {axis.axis}{again}"


def choose_result_name(rank: int, taken: Collection[str]) -> str:
    """Return the name that an answer gives to a function of that rank: Y, y or f, whichever is free."""
    names = ["YZWVF", "yzwvf", "fghyz"][2 - min(rank, 2)]
    return next((name for name in names if name not in taken), names[0] + "0")


def count_row_axes(rank: int, ranks: Sequence[int], layout: str) -> int:
    """Return how many axes of a derivative are the rows where it is shown as a matrix; the others are its columns.

    `rank` is that of the function, `ranks` those of the variables.  The rows are the axes of the function, or those of
    the variables where they come first; the gradient of a scalar is a row in numerator layout.

    >>> count_row_axes(2, [2], "numerator"), count_row_axes(1, [2], "denominator"), count_row_axes(0, [1], "numerator")
    (2, 2, 0)
    """
    if layout == "vec":
        return 1 if rank + sum(ranks[:-1]) else 0
    if rank and sum(ranks):
        return sum(ranks) if layout == "denominator" else rank
    if list(ranks) == [1] and layout == "numerator":
        return 0
    return (rank + sum(ranks) + 1) // 2
