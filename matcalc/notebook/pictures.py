"""The figure that the plots return, and what they share: values of expressions, and shapes told by values."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from matcalc.check.evaluate import evaluate_with
from matcalc.derivation import Derivative
from matcalc.inputs import current_rules

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555")
STYLES = ("-", "--", "-.", ":")


class Picture(Figure):
    """A figure that shows itself in a notebook as a small PNG, whichever backend is in use."""

    def _repr_png_(self) -> bytes:
        full, small = BytesIO(), BytesIO()
        self.savefig(full, format="png")
        # A palette is a third of the size, and leaves out the version of matplotlib: the same picture, the same file.
        Image.open(full).convert("RGB").quantize(64).save(small, format="png", optimize=True)
        return small.getvalue()


def open_picture(panels: int, width: float = 7.4, height: float = 2.8) -> tuple[Picture, list[Axes]]:
    """Return an empty picture and its panels from left to right."""
    picture = Picture(figsize=(width, height), dpi=80, layout="constrained", facecolor="white")
    axes = list(numpy.atleast_1d(picture.subplots(1, panels)))
    for panel in axes:
        panel.tick_params(labelsize=8)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    return picture, axes


def name_panel(panel: Axes, title: str, across: str = "", up: str = "", *, legend: bool = False) -> None:
    """Write a panel's title, the names of its axes and, if wanted, its legend."""
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(up, fontsize=9)
    if legend:
        panel.legend(fontsize=7)


def draw_line(panel: Axes, points: Any, heights: Any, place: int, label: str) -> None:
    """Draw one curve of several: colour and dashes belong to its place, so that it is told without colours too."""
    panel.plot(
        points, heights, linewidth=1.8, label=label,
        color=COLOURS[place % len(COLOURS)], linestyle=STYLES[place % len(STYLES)],
    )  # fmt: skip


def value_of_function(derivative: Derivative, values: Mapping[str, Any]) -> Any:
    """Return the value of the expression that was differentiated; raises EvaluationError where values do not fit."""
    known = derivative.problem.symbols.values()
    return evaluate_with(derivative.function, values, None, known, current_rules())


def values_of(derivative: Derivative, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return those of the values whose names the derivative has."""
    return {name: value for name, value in (values or {}).items() if name in derivative.problem.symbols}


def shapes_told(values: Mapping[str, Any] | None) -> dict[str, tuple[()]]:
    """Return the declaration of the names whose values are single numbers: scalars, whatever their letter."""
    return {name: () for name, value in (values or {}).items() if numpy.ndim(value) == 0}
