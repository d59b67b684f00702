"""The layouts that are judged: the shape of a derivative in each, and the order of its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from matcalc.language.sizes import UNIT, Shape, drop_units

JUDGED_LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")


def layout_shape(shape_y: Shape, shape_x: Shape, layout: str, order: int = 1) -> Shape:
    """Return the shape of a derivative in a layout, without unit axes.

    >>> from matcalc.language.sizes import Size
    >>> m, n, k = (Size.of(letter) for letter in "mnk")
    >>> layout_shape((m,), (n, k), "numerator"), layout_shape((m,), (n, k), "vec")
    ((m, k, n), (m, n*k))
    """
    return mixed_shape(shape_y, [shape_x] * order, layout)


def mixed_shape(shape_y: Shape, shapes: Sequence[Shape], layout: str) -> Shape:
    """Return the shape of a derivative by variables of these shapes, one after the other.

    In numerator layout it is S_Y + reversed(S_X1) + reversed(S_X2) + ..., in denominator layout all of it reversed.
    """
    if not shapes or layout == "torch" or (layout == "mixed" and not shape_y):
        return shape_y + _join(shapes)
    if layout == "vec":
        rows, columns = shape_y + _join(shapes[:-1]), shapes[-1]
        return drop_units((math.prod(rows, start=UNIT), math.prod(columns, start=UNIT)))
    numerator = shape_y + _join([shape[::-1] for shape in shapes])
    return numerator[::-1] if layout == "denominator" else numerator


def order_axes(rank_y: int, ranks: Sequence[int], layout: str) -> list[int]:
    """Return the order of a layout's axes, as places in torch's order: S_Y + S_X1 + S_X2 + ...

    Of vec it is the order in which the entries of rows and columns are counted, the last axis fastest.

    >>> order_axes(2, [2], "numerator"), order_axes(2, [2], "vec")
    ([0, 1, 3, 2], [1, 0, 3, 2])
    """
    ends = list(accumulate(ranks, initial=rank_y))
    of_y, of_x = list(range(rank_y)), [list(range(start, end)) for start, end in pairwise(ends)]
    if not ranks or layout == "torch" or (layout == "mixed" and rank_y == 0):
        return list(range(ends[-1]))
    if layout == "vec":
        rows = of_y + [axis for copy in of_x[:-1] for axis in copy]
        return rows[::-1] + of_x[-1][::-1]
    numerator = of_y + [axis for copy in of_x for axis in reversed(copy)]
    return numerator[::-1] if layout == "denominator" else numerator


def _join(shapes: Sequence[Shape]) -> Shape:
    return tuple(size for shape in shapes for size in shape)
