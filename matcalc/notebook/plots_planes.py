"""Planes: the gradient of a scalar on its contour lines, and a Jacobian as the matrix that each layout makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from matcalc.derivation import Derivative, derive
from matcalc.errors import ShapeError
from matcalc.language.sizes import write_shape
from matcalc.notebook.plots_picture import (
    COLOURS,
    Picture,
    name_panel,
    open_picture,
    shapes_told,
    value_of_function,
    values_of,
)


def plot_gradients(
    *expressions: str, wrt: str = "x", reach: float = 2, values: Mapping[str, Any] | None = None
) -> Picture:
    """Plot contour lines of scalar functions of a vector with two entries, with their gradients as arrows.

    Both entries run from -reach to reach; the longest arrow of each panel has the same length.  Raises ShapeError where
    a function is not a scalar.  A function uses those of the `values` that it has names for.
    """
    picture, panels = open_picture(len(expressions), width=2.6 * len(expressions), height=2.8)
    for panel, expr in zip(panels, expressions, strict=True):
        derivative = derive(expr, wrt, layout="denominator", shapes=shapes_told(values))
        if derivative.function.dropped_shape:
            shape = write_shape(derivative.function.dropped_shape)
            raise ShapeError(f"{expr} has the shape {shape}, and only a scalar has contour lines")
        given = values_of(derivative, values)
        _draw_contours(panel, derivative, reach, given)
        _draw_arrows(panel, derivative, reach, given)
        name_panel(panel, expr, f"{wrt}[0]", f"{wrt}[1]")
        panel.set_aspect("equal")
    return picture


def _draw_contours(panel: Axes, derivative: Derivative, reach: float, values: Mapping[str, Any]) -> None:
    line = numpy.linspace(-reach, reach, 41)
    points = [{**values, derivative.wrt.name: numpy.array([across, up])} for up in line for across in line]
    heights = numpy.array([value_of_function(derivative, point) for point in points])
    panel.contour(line, line, heights.reshape(41, 41), levels=7, colors="#777777", linewidths=0.9)


def _draw_arrows(panel: Axes, derivative: Derivative, reach: float, values: Mapping[str, Any]) -> None:
    # An even number of points keeps the arrows off the axes, where norms have their kinks.
    line = numpy.linspace(-0.85 * reach, 0.85 * reach, 6)
    points = numpy.array([[a, b] for a in line for b in line])
    arrows = numpy.array([derivative.evaluate({**values, derivative.wrt.name: point}) for point in points])
    longest = numpy.linalg.norm(arrows, axis=1).max() or 1.0
    scaled = arrows / longest * (line[1] - line[0]) * 0.8
    panel.quiver(*points.T, *scaled.T, angles="xy", scale_units="xy", scale=1, color=COLOURS[1], width=0.009)


# --- a Jacobian as a matrix -------------------------------------------------------------------------


def plot_layouts(
    derivative: Derivative, values: Mapping[str, Any], layouts: Sequence[str] = ("numerator", "denominator")
) -> Picture:
    """Draw the numbers of a derivative as the matrix, row or column that each layout makes of them.

    Raises ShapeError for a derivative of more than two axes.
    """
    if len(derivative.shape) > 2:
        shape = write_shape(derivative.shape)
        raise ShapeError(f"the derivative has the shape {shape}, and a picture has two axes")
    picture, panels = open_picture(len(layouts), width=3.3 * len(layouts), height=2.9)
    for panel, layout in zip(panels, layouts, strict=True):
        _draw_matrix(panel, derivative.in_layout(layout), values)
    return picture


def _draw_matrix(panel: Axes, derivative: Derivative, values: Mapping[str, Any]) -> None:
    matrix = _unfold(derivative, derivative.evaluate(values))
    bound = numpy.abs(matrix).max() or 1.0
    panel.imshow(matrix, cmap="RdBu_r", norm=TwoSlopeNorm(0, -bound, bound))
    for (row, column), number in numpy.ndenumerate(matrix):
        colour = "white" if abs(number) > 0.6 * bound else "black"
        panel.text(column, row, f"{number:.3g}", ha="center", va="center", fontsize=8, color=colour)
    panel.grid(visible=False)
    panel.set_xticks(range(matrix.shape[1]))
    panel.set_yticks(range(matrix.shape[0]))
    rows, columns = _name_sides(derivative)
    name_panel(panel, f"{derivative.layout}: {derivative}", columns, rows)


def _unfold(derivative: Derivative, numbers: Any) -> Any:
    """Return the numbers as a matrix, the unit axes of a row or a column restored."""
    if len(derivative.shape) != 1:
        return numpy.atleast_2d(numbers)
    return numbers[None, :] if _is_row(derivative) else numbers[:, None]


def _is_row(derivative: Derivative) -> bool:
    """Whether a lone axis is a row: the variable's in numerator layout, the result's in denominator layout."""
    of_variable = not derivative.function.dropped_shape
    return derivative.layout in ("numerator", "vec") if of_variable else derivative.layout == "denominator"


def _name_sides(derivative: Derivative) -> tuple[str, str]:
    if len(derivative.axes) != 1:
        return ("", "") if not derivative.axes else (derivative.axes[0], derivative.axes[1])
    return ("", derivative.axes[0]) if _is_row(derivative) else (derivative.axes[0], "")
