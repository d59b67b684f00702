"""Numbers -> a heat map as SVG, drawn by matplotlib: one colour scale about zero, the worst entry framed."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from matcalc.errors import MatcalcError

if TYPE_CHECKING:
    from matcalc.check.question import NumericJacobians

# Up to so many rows and columns the numbers stand in the cells; so many are drawn at all.
MOST_NUMBERED, _MOST_DRAWN = 8, 400
_INK = "#010203"  # becomes the colour of the page's text
_COLOURS, _WORST = "RdBu_r", "#00c853"
_FONT = "font:9px DejaVu Sans,Verdana,sans-serif"
_LETTER = 0.07  # inches
_WIDEST = 3.4  # inches of one map


class HeatMapError(MatcalcError):
    """A heat map could not be drawn."""


@dataclass(frozen=True)
class _Map:
    """Values as a matrix, with what is written around them.

    `grid` tells after how many rows and columns a block ends, `mark` is the row and column to be framed.
    """

    cells: Any
    title: str
    rows: str
    columns: str
    grid: tuple[int, int]
    mark: tuple[int, int] | None

    @property
    def is_numbered(self) -> bool:
        """Whether the numbers stand in the cells."""
        return bool(max(self.cells.shape) <= MOST_NUMBERED)

    def measure(self) -> tuple[float, float]:
        """Return how wide and how high the map is in inches, its labels not included."""
        height, width = self.cells.shape
        cell, tall = (min(0.3, _WIDEST / max(height, width)),) * 2
        if self.is_numbered:
            longest = max((len(_write_number(value)) for value in self.cells.flat), default=1)
            cell, tall = max(0.5, 0.1 * longest), 0.32
        above, beside = (
            _LETTER * max(map(len, text.split("\n"))) for text in (f"{self.title}\n{self.columns}", self.rows)
        )
        return max(cell * width, above, 0.7), max(tall * height, beside, 0.35)


def is_drawable() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_heat_map(
    values: Any, title: str = "", rows: str = "", columns: str = "", mark: Sequence[int] | None = None,
    *, split: int | None = None,
) -> str:  # fmt: skip
    """Return the heat map of an array or a tensor as SVG, zero in white, the entry at the index `mark` framed.

    Of rank three and more the first `split` axes (half of them by default) are joined as rows, the others as
    columns, with lines between the blocks; a vector is a column, with split=0 a row.  More than 400 rows or
    columns are cut.  Raises HeatMapError where matplotlib is not installed.

    >>> draw_heat_map([[1.0, -2.0]], rows="y axis 0", columns="x axis 0")[:4]
    '<svg'
    """
    return _draw([_prepare(values, title, rows, columns, mark, split)])


def draw_jacobians(
    jacobians: NumericJacobians, rows: str = "", columns: str = "", *,
    split: int | None = None, most: int = _MOST_DRAWN,
) -> str:  # fmt: skip
    """Return the true and the claimed Jacobian side by side on one colour scale, the worst entry framed in both.

    `rows`, `columns` and `split` are as in `draw_heat_map`; more than `most` rows or columns are cut.  Raises
    HeatMapError where matplotlib is not installed.
    """
    same = tuple(jacobians.claim.shape) == tuple(jacobians.truth.shape)
    beside = jacobians.worst if same else None
    truth = _prepare(jacobians.truth, "should be", rows, columns, jacobians.worst, split, most)
    # Axes of another rank are not those that `split` counts.
    own = split if jacobians.claim.ndim == jacobians.truth.ndim else None
    claim = _prepare(jacobians.claim, "claim", rows if same else "", columns if same else "", beside, own, most)
    return _draw([truth, claim])


# --- arrays ---------------------------------------------------------------------------------------


def _prepare(
    values: Any, title: str, rows: str, columns: str, mark: Sequence[int] | None, split: int | None,
    most: int = _MOST_DRAWN,
) -> _Map:  # fmt: skip
    import numpy as np

    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)
    split = max(1, array.ndim // 2) if split is None else split
    sides = array.shape[:split], array.shape[split:]
    lengths = [math.prod(side) for side in sides]
    # A block is what the last of several joined axes counts.
    height, width = (side[-1] if len(side) > 1 else 0 for side in sides)
    place = None if mark is None else find_place(mark, array.shape, split)
    shape = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
    told = f"{title}, shape ({shape})" if array.ndim else f"{title}, scalar"
    cells = array.reshape(lengths)
    drawn = cells[:most, :most]
    if drawn.shape != cells.shape:
        told += f"\n(the first {drawn.shape[0]} rows and {drawn.shape[1]} columns of {lengths[0]}×{lengths[1]})"
    return _Map(drawn, told.removeprefix(", "), rows, columns, (height, width), place)


def find_place(index: Sequence[int], shape: Sequence[int], split: int) -> tuple[int, int]:
    """Return the row and the column of an entry where the first `split` axes are joined as rows, the others as columns.

    >>> find_place((1, 0, 2), (2, 3, 4), 1)
    (1, 2)
    """
    places = [0, 0]
    for axis, (at, size) in enumerate(zip(index, shape, strict=True)):
        places[axis >= split] = places[axis >= split] * size + at
    return places[0], places[1]


# --- drawing --------------------------------------------------------------------------------------


def _draw(maps: Sequence[_Map]) -> str:
    if not is_drawable():
        reason = "to draw a heat map matplotlib is needed, and it is not here"
        raise HeatMapError(reason, advice="pip install matplotlib")
    import numpy as np
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    largest = max(float(np.abs(one.cells[np.isfinite(one.cells)]).max(initial=0)) for one in maps) or 1.0
    with _own_style():
        widths, heights = zip(*(one.measure() for one in maps), strict=True)
        height = max(heights)
        figure = Figure(figsize=(sum(widths) + 0.45 * len(maps) + 0.9, height + 0.75), layout="constrained")
        FigureCanvasSVG(figure)
        *places, bar = figure.subplots(1, len(maps) + 1, width_ratios=[*widths, 0.12])
        for place, one in zip(places, maps, strict=True):
            _fill(place, one, largest)
        _fill_bar(bar, largest)
        return _write_svg(figure)


@contextmanager
def _own_style() -> Iterator[None]:
    """matplotlib's own settings whatever the reader has set, with texts as texts; all is as before afterwards."""
    import matplotlib.style

    with matplotlib.style.context(["default", {
        "svg.fonttype": "none", "svg.hashsalt": "matcalc", "font.size": 9, "text.color": _INK,
        "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "axes.titlesize": 9, "font.family": "sans-serif", "text.parse_math": False,
    }]):  # fmt: skip
        yield


def _write_number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _fill(axes: Any, one: _Map, largest: float) -> None:
    import numpy as np

    axes.imshow(
        np.ma.masked_invalid(one.cells), cmap=_list_colours(), vmin=-largest, vmax=largest, aspect="auto",
        interpolation="none", clip_on=False,
    )  # fmt: skip
    wide, tall = one.measure()
    axes.set_box_aspect(tall / wide)
    axes.set_anchor("N")
    axes.set_title(one.title)
    axes.set_xlabel(one.columns)
    axes.set_ylabel(one.rows)
    axes.xaxis.set_label_position("top")
    axes.set_xticks([])
    axes.set_yticks([])
    _draw_blocks(axes, one)
    if one.is_numbered:
        for (row, column), value in np.ndenumerate(one.cells):
            dark = 0.6 * largest < abs(value) < math.inf
            axes.text(column, row, _write_number(value), ha="center", va="center", color="#fff" if dark else "#111")
    if one.mark is not None and one.mark[0] < one.cells.shape[0] and one.mark[1] < one.cells.shape[1]:
        _frame(axes, one.mark)


def _list_colours() -> Any:
    """Few colours make a small picture; of an odd number the middle one is zero's; what is not finite is grey."""
    import matplotlib

    return matplotlib.colormaps[_COLOURS].resampled(65).with_extremes(bad="#bdbdbd")


def _draw_blocks(axes: Any, one: _Map) -> None:
    (height, width), (rows, columns) = one.grid, one.cells.shape
    lines = [([-0.5, columns - 0.5], [place - 0.5] * 2) for place in (range(height, rows, height) if height else ())]
    lines += [([place - 0.5] * 2, [-0.5, rows - 0.5]) for place in (range(width, columns, width) if width else ())]
    for across, down in lines:
        axes.plot(across, down, color="#333", lw=1, clip_on=False)


def _frame(axes: Any, place: tuple[int, int]) -> None:
    from matplotlib.patches import Rectangle

    corner = (place[1] - 0.5, place[0] - 0.5)
    for colour, width in (("#111", 4), (_WORST, 2)):
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=colour, lw=width, clip_on=False, zorder=3))


def _fill_bar(axes: Any, largest: float) -> None:
    """One bar of colours, which holds for all maps."""
    import numpy as np

    levels = np.linspace(largest, -largest, 65)[:, None]
    axes.imshow(levels, cmap=_list_colours(), aspect="auto", interpolation="none", clip_on=False)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, 32, 64], [_write_number(largest), "0", _write_number(-largest)])
    axes.tick_params(length=0)


# --- SVG ------------------------------------------------------------------------------------------


def _write_svg(figure: Any) -> str:
    """Return the figure without what a page does not need; two figures in a page share no name."""
    from io import StringIO

    written = StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = shrink_svg(written.getvalue()).replace(_INK, "currentColor")
    return drawn.replace("<svg", f'<svg style="{_FONT}" role="img"', 1)


def shrink_svg(svg: str) -> str:
    """Return an SVG for a page: without header, comments and titles, names kept only where they are used.

    >>> shrink_svg('<?xml version="1.0"?><!-- x --><svg><g id="a"><title>a</title></g></svg>')
    '<svg><g></g></svg>'
    """
    svg = svg[svg.index("<svg") :]
    # A style in a picture would hold for the whole page.
    svg = re.sub(r"<!--.*?-->|<(title|metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = _rename(svg)
    svg = re.sub(r"<[^>]*>", lambda tag: _shorten_tag(tag[0]), svg)
    return re.sub(r">\s+<", "><", svg).replace("<defs></defs>", "").strip()


def _rename(svg: str) -> str:
    """Return an SVG whose names no other picture has."""
    names = set(re.findall(r'\sid="([^"]*)"', svg))
    used = names & set(re.findall(r'#([^")]*)[")]', svg))
    svg = re.sub(r'\s+id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    prefix = hashlib.sha256(svg.encode()).hexdigest()[:8]
    for name in used:
        svg = re.sub(rf'(id="|#){re.escape(name)}(?=["\)])', rf"\g<1>m{prefix}-{name}", svg)
    return svg


def _shorten_tag(tag: str) -> str:
    """Return a tag with two decimals, a transformation with four, without what every text of a figure says again."""
    if "base64" not in tag:
        tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    tag = re.sub(r'transform="[^"]*"', lambda found: re.sub(r"(\d\.\d{4})\d+", r"\1", found[0]), tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(r"font-size: 9px; font-family: [^;]*; ", "", tag)
    return re.sub(r"\s*\n\s*", " ", tag)
