"""Drawings of arrays: nested boxes with a colour for each axis; derivatives as rows, columns and matrices of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

from matcalc.derivation import Derivative
from matcalc.errors import DeclarationError
from matcalc.inputs import Layout
from matcalc.language.names import GREEK
from matcalc.language.sizes import write_shape
from matcalc.notebook.plots import COLOURS, Picture

MOST_NUMBERS = 60
MARKED = "#ffe9a8"
_CELL_WIDTH, _CELL_HEIGHT, _GAP = 1.0, 0.8, 0.18


# --- nested boxes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    """One bracket of a nested list, or one number, with its place: `axis` is None for a number."""

    left: float
    top: float
    width: float
    height: float
    axis: int | None
    index: tuple[int, ...]


def draw_boxes(array: Any, axes: Sequence[int] | None = None, title: str = "") -> Picture:
    """Draw an array of at most four axes as nested boxes, one for each bracket; the colour of a box is its axis's.

    `axes` are the numbers of the axes that the colours stand for, 0, 1, ... by default.  Raises DeclarationError for an
    array of more than 60 numbers.
    """
    numbers = numpy.asarray(array)
    return _draw_side_by_side([(title, numbers, _colour_axes(numbers, axes), ())])


def draw_along(
    array: Any, function: str, axis: int | Sequence[int] | None = None, *, keepdims: bool = False
) -> Picture:
    """Draw an array and what NumPy's `function` along `axis` makes of it: "sum", "mean", "max", "cumsum", ...

    An axis keeps its colour, so that one sees which box is gone; the numbers that the first number of the result is
    made of (where sums run, the last one) are marked.  Raises DeclarationError for an array of more than 60 numbers.

    >>> draw_along([[1, 2], [3, 4]], "sum", axis=0).axes[1].get_title(loc="left")
    'sum(axis=0), shape (2,)'
    """
    numbers = numpy.asarray(array)
    named = [axis] if isinstance(axis, int) else range(numbers.ndim) if axis is None else axis
    along = [place % numbers.ndim for place in named]
    keywords = ({} if axis is None else {"axis": axis if isinstance(axis, int) else tuple(along)}) | (
        {"keepdims": True} if keepdims else {}
    )
    result = numpy.asarray(getattr(numpy, function)(numbers, **keywords))
    kept = [place for place in range(numbers.ndim) if result.ndim == numbers.ndim or place not in along]
    told = ", ".join(f"{name}={value}" for name, value in keywords.items())
    # Of running results, the last one is made of all.
    first = [size - 1 if place in along else 0 for place, size in enumerate(result.shape)]
    parts = [
        (f"shape {_write_numbers(numbers.shape)}", numbers, range(numbers.ndim), _list_used(numbers.shape, along)),
        (f"{function}({told}), shape {_write_numbers(result.shape)}", result, kept, [
            tuple(first) if result.shape == numbers.shape else (0,) * result.ndim
        ]),
    ]  # fmt: skip
    return _draw_side_by_side(parts)


def _write_numbers(shape: Sequence[int]) -> str:
    return str(tuple(int(size) for size in shape))


def _colour_axes(numbers: Any, axes: Sequence[int] | None) -> Sequence[int]:
    return range(numbers.ndim) if axes is None else axes


def _list_used(shape: tuple[int, ...], along: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the indices of the numbers that one number of the result is made of."""
    return [
        index
        for index in numpy.ndindex(*shape)
        if all(place in along or index[place] == 0 for place in range(len(shape)))
    ]


def _draw_side_by_side(parts: Sequence[tuple[str, Any, Sequence[int], Sequence[tuple[int, ...]]]]) -> Picture:
    """Draw nested boxes side by side, all at one scale."""
    for _, numbers, _, _ in parts:
        if numbers.size > MOST_NUMBERS:
            raise DeclarationError(f"an array of {numbers.size} numbers is too large to draw", advice="60 at most")
    placed = [list(_place_boxes(numbers.shape)) for _, numbers, _, _ in parts]
    widths = [max(boxes[0].width, 0.185 * len(title)) for boxes, (title, *_) in zip(placed, parts, strict=True)]
    height = max(boxes[0].height for boxes in placed)
    scale = min(0.42, 9.0 / sum(widths))
    picture = Picture(
        figsize=(scale * (sum(widths) + 0.8 * len(parts)), scale * (height + 1.6)),
        dpi=90, layout="constrained", facecolor="white",
    )  # fmt: skip
    panels = numpy.atleast_1d(picture.subplots(1, len(parts), width_ratios=widths))
    for panel, (title, numbers, axes, marked), boxes, width in zip(panels, parts, placed, widths, strict=True):
        _draw_nested(panel, numbers, boxes, axes, set(marked))
        panel.set_xlim(-0.3, width + 0.3)
        panel.set_ylim(-height - 0.1, 0.8)
        panel.set_aspect("equal", anchor="NW")
        panel.set_title(title, fontsize=9, loc="left")
        panel.set_axis_off()
    return picture


def _place_boxes(
    shape: tuple[int, ...], left: float = 0, top: float = 0, index: tuple[int, ...] = ()
) -> Iterator[_Box]:
    """Yield a box and then those within it: numbers of the last axis from left to right, of the one before down."""
    width, height = _measure(shape)
    yield _Box(left, top, width, height, len(index) if shape else None, index)
    across, down = left + _GAP, top + _GAP
    for place in range(shape[0] if shape else 0):
        yield from _place_boxes(shape[1:], across, down, (*index, place))
        inner_width, inner_height = _measure(shape[1:])
        if _goes_across(shape):
            across += inner_width + _GAP
        else:
            down += inner_height + _GAP


def _goes_across(shape: tuple[int, ...]) -> bool:
    return len(shape) % 2 == 1


def _measure(shape: tuple[int, ...]) -> tuple[float, float]:
    if not shape:
        return _CELL_WIDTH, _CELL_HEIGHT
    width, height = _measure(shape[1:])
    along, beside = (width, height) if _goes_across(shape) else (height, width)
    whole = shape[0] * along + (shape[0] + 1) * _GAP, beside + 2 * _GAP
    return whole if _goes_across(shape) else (whole[1], whole[0])


def _draw_nested(panel: Axes, numbers: Any, boxes: Sequence[_Box], axes: Sequence[int], marked: set[Any]) -> None:
    for box in boxes:
        corner = (box.left, -box.top - box.height)
        if box.axis is None:
            if box.index in marked:
                panel.add_patch(Rectangle(corner, box.width, box.height, facecolor=MARKED, edgecolor="none"))
            middle = (box.left + box.width / 2, -box.top - box.height / 2)
            panel.text(*middle, f"{numbers[box.index]:.4g}", ha="center", va="center", fontsize=9)
        else:
            colour = COLOURS[axes[box.axis] % len(COLOURS)]
            panel.add_patch(FancyBboxPatch(
                corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.12",
                facecolor="none", edgecolor=colour, linewidth=2.0 - 0.3 * box.axis,
            ))  # fmt: skip
    for place, axis in enumerate(axes):
        panel.text(
            1.75 * place, 0.25, f"axis {axis}", color=COLOURS[axis % len(COLOURS)], fontsize=8, fontweight="bold"
        )


# --- rows and columns -----------------------------------------------------------------------------


def draw_layouts(
    derivative: Derivative, sizes: Mapping[str, int], layouts: Sequence[Layout] = ("numerator", "denominator")
) -> Picture:
    """Draw result, variable and the derivative in each layout as boxes, every box with the name of its entry.

    A scalar is one box, a vector a column; a box of the derivative says which entry of the result is differentiated by
    which of the variable.  As in the explorer, blue is the result and orange
    the variable.  Raises DeclarationError for a derivative of
    more than two axes.
    """
    if len(derivative.shape) > 2:
        raise DeclarationError(f"a derivative of shape {write_shape(derivative.shape)} is no row, column or matrix")
    result, variable = derivative.result_name, derivative.wrt.name
    of_result = _list_entries(result, _count(derivative.function.squeezed_shape, sizes))
    of_variable = _list_entries(variable, _count(derivative.wrt.squeezed_shape, sizes))
    grids = [(f"result {result}", [[entry] for entry in of_result])]
    grids.append((f"variable {variable}", [[entry] for entry in of_variable]))
    for layout in layouts:
        grids.append((f"{layout} layout", _arrange(derivative.in_layout(layout), of_result, of_variable)))
    return _draw_grids(grids)


def _count(shape: Sequence[Any], sizes: Mapping[str, int]) -> int:
    """Return how many entries a scalar or vector has; raises DeclarationError where a size is not given."""
    missing = [str(size) for size in shape if str(size) not in sizes and not str(size).isdigit()]
    if missing:
        raise DeclarationError(f"the size {missing[0]} is not given", advice=f'sizes={{"{missing[0]}": 3}}')
    return int(numpy.prod([sizes.get(str(size)) or int(str(size)) for size in shape], dtype=int)) if shape else 0


def _list_entries(name: str, count: int) -> list[str]:
    name = f"\\{name}" if name in GREEK else name
    return [f"${name}_{{{place + 1}}}$" for place in range(count)] if count else [f"${name}$"]


def _arrange(derivative: Derivative, of_result: list[str], of_variable: list[str]) -> list[list[str]]:
    """Return the entries of a derivative row by row, as its layout has them."""
    table = [[f"{above}/{below}" for below in of_variable] for above in of_result]
    if len(derivative.axes) == 2:
        of_rows = derivative.axes[0].split()[0]
        return table if of_rows == derivative.result_name else [list(row) for row in zip(*table, strict=True)]
    flat = [entry for row in table for entry in row]
    return [flat] if derivative.result.is_row(derivative.layout) else [[entry] for entry in flat]


def _draw_grids(grids: Sequence[tuple[str, list[list[str]]]]) -> Picture:
    """Draw tables of names as boxes, side by side at one scale."""
    cell = {"entry": 0.8, "fraction": 1.7}
    wide = [cell["fraction" if "/" in grid[0][0] else "entry"] for _, grid in grids]
    widths = [max(len(grid[0]) * each, 2.6) + 0.5 for (_, grid), each in zip(grids, wide, strict=True)]
    height = max(len(grid) for _, grid in grids)
    picture = Picture(
        figsize=(0.42 * sum(widths), 0.42 * (height + 1.9)), dpi=90, layout="constrained", facecolor="white"
    )
    panels = numpy.atleast_1d(picture.subplots(1, len(grids), width_ratios=widths))
    for place, (panel, (title, grid), each, width) in enumerate(zip(panels, grids, wide, widths, strict=True)):
        _draw_grid(panel, grid, each, COLOURS[place % 2])
        panel.set_xlim(-0.1, width)
        panel.set_ylim(-height - 0.1, 0.1)
        panel.set_aspect("equal", anchor="NW")
        panel.set_title(f"{title}\n{len(grid)}×{len(grid[0])}", fontsize=9, loc="left")
        panel.set_axis_off()
    return picture


def _draw_grid(panel: Axes, grid: list[list[str]], width: float, colour: str) -> None:
    for row, column in numpy.ndindex(len(grid), len(grid[0])):
        panel.add_patch(Rectangle((column * width, -row - 1), width, 1, facecolor="#eef4fb", edgecolor="#444444"))
        above, _, below = grid[row][column].partition("/")
        middle = ((column + 0.5) * width, -row - 0.5)
        if not below:
            panel.text(*middle, above, color=colour, ha="center", va="center", fontsize=10)
            continue
        for text, its_colour, side, shift in ((above, COLOURS[0], "right", -0.12), (below, COLOURS[1], "left", 0.12)):
            written = f"$\\partial {text.strip('$')}$"
            panel.text(middle[0] + shift, middle[1], written, color=its_colour, ha=side, va="center", fontsize=10)
        panel.text(*middle, "/", ha="center", va="center", fontsize=10)
