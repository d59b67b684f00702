"""Curves: a function of one number beside its derivative, and the entries of a result as one entry of x moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy
from matplotlib.axes import Axes
from numpy.typing import NDArray

from matcalc.derivation import Derivative, derive
from matcalc.errors import ShapeError
from matcalc.language.sizes import write_shape
from matcalc.notebook.plots_picture import (
    COLOURS,
    Picture,
    draw_line,
    name_panel,
    open_picture,
    shapes_told,
    value_of_function,
)

Array = NDArray[numpy.float64]
Curve = Callable[[float], float]
POINTS = 241


def plot_function_and_derivative(
    expr: str, wrt: str = "x", *, low: float = -4, high: float = 4, values: Mapping[str, Any] | None = None
) -> Picture:
    """Plot a function of one number beside its derivative, from matcalc's values of both; kinks are marked.

    The variable is taken for a scalar, and so are names whose `values` are numbers.  At a kink the limits from either
    side are open circles, and a dot is the value that the formula has there.  Raises ShapeError where the function is
    not a scalar.
    """
    derivative = derive(expr, wrt, shapes={wrt: ()} | shapes_told(values))
    _refuse_arrays(derivative)
    function, slope = _follow(derivative, values)
    kinks = _find_kinks(derivative, slope, low, high)
    picture, (left, right) = open_picture(2)
    for panel, curve in ((left, function), (right, slope)):
        _draw_pieces(panel, curve, kinks, low, high)
    for kink in kinks:
        _mark_kink(left, right, function, slope, kink)
    name_panel(left, f"f = {derivative.text}", wrt)
    name_panel(right, f"df/d{wrt} = {derivative}", wrt, legend=bool(kinks))
    return picture


def _refuse_arrays(derivative: Derivative) -> None:
    if derivative.function.dropped_shape:
        shape = write_shape(derivative.function.dropped_shape)
        raise ShapeError(
            f"{derivative.text} has the shape {shape}, and only a scalar is one curve", advice="use plot_along_entry"
        )


def _follow(derivative: Derivative, values: Mapping[str, Any] | None) -> tuple[Curve, Curve]:
    """Return the function and its derivative as functions of one number."""
    name, others = derivative.wrt.name, dict(values or {})
    return (
        lambda at: float(value_of_function(derivative, {**others, name: at})),
        lambda at: float(derivative.evaluate({**others, name: at})),
    )


def _draw_pieces(panel: Axes, curve: Curve, kinks: Sequence[float], low: float, high: float) -> None:
    """Draw a curve from kink to kink, so that a jump is a gap and not a steep line."""
    ends = [low, *kinks, high]
    for start, end in pairwise(ends):
        points = numpy.linspace(start, end, POINTS)
        points[0] += GAP if start in kinks else 0
        points[-1] -= GAP if end in kinks else 0
        panel.plot(points, [curve(point) for point in points], color=COLOURS[0], linewidth=1.8)


# --- kinks ----------------------------------------------------------------------------------------

GAP = 1e-9
_JUMP = 1e-4


def _find_kinks(derivative: Derivative, slope: Curve, low: float, high: float) -> list[float]:
    """Return where the derivative jumps, if matcalc notes that there are kinks; each within GAP."""
    if not any("not differentiable" in note for note in derivative.notes):
        return []
    # An odd number of steps keeps a kink in the middle from being a point of the grid.
    grid = numpy.linspace(low, high, POINTS + 1)
    found = {_close_in(slope, float(left), float(right)) for left, right in pairwise(grid)}
    return sorted(kink for kink in found if kink is not None)


def _close_in(slope: Curve, left: float, right: float) -> float | None:
    """Return the point in an interval at which the slope still jumps when the interval is tiny, if any."""
    at_left, at_right = slope(left), slope(right)
    while abs(at_right - at_left) > _JUMP:
        middle = (left + right) / 2
        if right - left < GAP:
            return round(middle, 8) + 0.0
        at_middle = slope(middle)
        if abs(at_middle - at_left) >= abs(at_right - at_middle):
            right, at_right = middle, at_middle
        else:
            left, at_left = middle, at_middle
    return None


def _mark_kink(left: Axes, right: Axes, function: Curve, slope: Curve, kink: float) -> None:
    left.plot([kink], [function(kink)], "o", color=COLOURS[1], markersize=5)
    sides = [slope(kink - GAP), slope(kink + GAP)]
    right.plot([kink, kink], sides, "o", markerfacecolor="white", color=COLOURS[0], markersize=5, zorder=3)
    chosen = f"kink at {kink:g}: the formula gives {slope(kink):g}"
    right.plot([kink], [slope(kink)], "o", color=COLOURS[1], markersize=5, zorder=4, label=chosen)


# --- a vector of which one entry moves --------------------------------------------------------------


def plot_along_entry(
    expr: str, at: Sequence[float], wrt: str = "x", *, entry: int = 0, low: float = -4, high: float = 4,
    values: Mapping[str, Any] | None = None,
) -> Picture:  # fmt: skip
    """Plot every entry of a function of a vector, and its derivative by one entry, while that entry moves.

    `at` is the vector, `entry` the entry of it that runs from `low` to `high`.  The right panel shows the column of the
    Jacobian (numerator layout) that belongs to it.  Raises ShapeError where the function is a matrix.
    """
    derivative = derive(expr, wrt, shapes=shapes_told(values))
    if len(derivative.function.dropped_shape) > 1:
        raise ShapeError(f"{derivative.text} is a matrix", advice="plot a vector, or a scalar")
    points = numpy.linspace(low, high, POINTS)
    rows = [_move(at, entry, point) for point in points]
    given = [{**(values or {}), wrt: row} for row in rows]
    picture, (left, right) = open_picture(2)
    result, moving = derivative.result_name, f"{wrt}[{entry}]"
    _draw_entries(left, points, [value_of_function(derivative, one) for one in given], result)
    _draw_entries(right, points, [derivative.evaluate(one)[..., entry] for one in given], f"d{result}", f"/d{moving}")
    name_panel(left, f"{result} = {derivative.text}", moving, legend=True)
    name_panel(right, f"column {entry} of d{result}/d{wrt}", moving, legend=True)
    return picture


def _move(at: Sequence[float], entry: int, value: float) -> Array:
    moved = numpy.array(at, dtype=float)
    moved[entry] = value
    return moved


def _draw_entries(panel: Axes, points: Array, rows: Sequence[Any], name: str, below: str = "") -> None:
    lines = numpy.array(rows).reshape(len(points), -1).T
    for place, line in enumerate(lines):
        label = f"{name}[{place}]{below}" if numpy.ndim(rows[0]) else name + below
        draw_line(panel, points, line, place, label)
