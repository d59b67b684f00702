"""An array of any rank as a picture: some axes joined to rows, the others to columns, its blocks outlined."""

from __future__ import annotations

import math
from typing import Any

import numpy
from matplotlib.axes import Axes

from matcalc.errors import DeclarationError
from matcalc.notebook.plots_picture import Picture, open_picture

MOST_CELLS = 10_000


def plot_unfolded(values: Any, rows: str = "", columns: str = "", split: int | None = None) -> Picture:
    """Return the heat map of an array whose first `split` axes, half of them by default, are joined to rows.

    The last axis of each side counts fastest, as in NumPy's reshape; lines stand where another axis moves on.  Zero
    is white, red is positive, blue negative.  `rows` and `columns` name the sides.  Raises DeclarationError for a
    split that is none and for an array of more than 10,000 entries.

    >>> plot_unfolded(numpy.ones((2, 3, 3, 2)), rows="Y[i, j]", columns="X[a, b]").axes[0].get_xlabel()
    'X[a, b]'
    """
    array = numpy.asarray(values, dtype=float)
    split = array.ndim // 2 if split is None else split
    if not 0 <= split <= array.ndim:
        raise DeclarationError(f"an array of {array.ndim} axes is split after 0 to {array.ndim} of them, not {split}")
    if not 0 < array.size <= MOST_CELLS:
        raise DeclarationError(f"an array of {array.size} entries cannot be drawn", advice=f"1 to {MOST_CELLS:,}")
    sides = array.shape[:split], array.shape[split:]
    cells = array.reshape([math.prod(side) for side in sides])
    picture, (panel,) = open_picture(1, width=_measure_width(*cells.shape), height=2.6)
    _fill(panel, cells, picture)
    _outline(panel, sides)
    panel.set_ylabel(rows, fontsize=8)
    panel.set_xlabel(columns, fontsize=8)
    return picture


def _measure_width(height: int, width: int) -> float:
    """The inches that leave the cells about square, within a page."""
    return min(7.4, max(2.4, 2.0 * width / height + 1.2))


def _fill(panel: Axes, cells: Any, picture: Picture) -> None:
    largest = float(numpy.abs(cells).max()) or 1.0
    image = panel.imshow(cells, cmap="RdBu_r", vmin=-largest, vmax=largest)
    panel.grid(False)
    panel.set_xticks([])
    panel.set_yticks([])
    picture.colorbar(image, ax=panel, shrink=0.8).ax.tick_params(labelsize=8)


def _outline(panel: Axes, sides: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Draw a line after every block: as many cells as the last of several joined axes has."""
    for side, draw in zip(sides, (panel.axhline, panel.axvline), strict=True):
        if len(side) > 1:
            for place in range(side[-1], math.prod(side), side[-1]):
                draw(place - 0.5, color="black", linewidth=1)
