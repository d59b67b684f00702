"""The numeric Jacobian of a derivative at sizes that a reader chooses, as a heat map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matcalc.errors import LimitError
from matcalc.language.sizes import Size
from matcalc.render.axis_rows import count_row_axes, list_axis_rows
from matcalc.render.heat_map import draw_heat_map
from matcalc.render.html_parts import escape, fold, write_block

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

MOST_ENTRIES = 40_000
LARGEST_SIZE = 50
_FIRST_SIZES = (3, 4, 5, 2, 6, 7)
_LONGEST_ARRAY = 60


def choose_sizes(derivative: Derivative, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return a number for each size of a derivative: the chosen one, else a small one, different for each letter."""
    letters = derivative.letters
    first = (*_FIRST_SIZES, *range(max(_FIRST_SIZES) + 1, LARGEST_SIZE + 1))
    return {letter: chosen.get(letter, first[k % len(first)]) for k, letter in enumerate(letters)}


def write_heat_page(derivative: Derivative, sizes: Mapping[str, int], seed: int = 0) -> str:
    """Return the heat map of a derivative at a random point as HTML, and the point in a fold-out.

    Raises LimitError for more than 40,000 entries, EvaluationError where no point is found, and HeatMapError
    where matplotlib is not installed.
    """
    entries = math.prod(size.value(sizes) for size in derivative.shape)
    if entries > MOST_ENTRIES:
        reason = f"the Jacobian would have {entries:,} entries, and at most {MOST_ENTRIES:,} are drawn"
        raise LimitError(reason, advice="choose smaller sizes")
    point = derivative.draw_point(sizes, seed)
    values = derivative.evaluate(point, sizes)
    rows, columns, split = _arrange_axes(derivative, sizes)
    drawn = draw_heat_map(values, derivative.header.split("   ")[0], rows, columns, split=split)
    return f'<div class="mc-wide">{drawn}</div>{_write_point(point)}'


def _arrange_axes(derivative: Derivative, sizes: Mapping[str, int]) -> tuple[str, str, int]:
    """Return what stands beside the rows of the map and above its columns, and how many axes are rows."""
    axes = list_axis_rows(derivative)
    ranks = [len(wrt.dropped_shape) for wrt in derivative.by]
    split = count_row_axes(len(derivative.function.dropped_shape), ranks, derivative.layout)
    names = [f"{axis.name}, {_write_size(size, sizes)}" for axis, size in zip(axes, derivative.shape, strict=True)]
    return "; ".join(names[:split]), "; ".join(names[split:]), split


def _write_size(size: Size, sizes: Mapping[str, int]) -> str:
    number = str(size.value(sizes))
    return number if str(size) == number else f"{size} = {number}"


def _write_point(point: Mapping[str, Any]) -> str:
    lines = [f"{name} = {_write_value(name, value)}" for name, value in point.items()]
    return fold(escape("the point, random values from the domains of the names"), write_block("\n".join(lines)))


def _write_value(name: str, value: Any) -> str:
    import numpy

    if callable(value):
        return "a smooth function, made up at random"
    if value.size > _LONGEST_ARRAY:
        return f"an array of shape {value.shape}"
    return numpy.array2string(value, precision=3, suppress_small=True, prefix=f"{name} = ")
