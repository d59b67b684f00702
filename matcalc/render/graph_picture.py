"""A laid-out computation graph as a picture: SVG, and PNG by matplotlib; the two show the same everywhere."""

from __future__ import annotations

import io
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, cast
from xml.etree import ElementTree

from matcalc.render.graph_layout import FONT_SIZE, Box, Drawing, DrawingError, Line, Place

_FONTS = "DejaVu Sans Mono,Menlo,Consolas,monospace"
_ROUNDING = {"input": 9, "operation": 0}
_DASHES = (5, 3)
_ARROW = (4, 9)  # half its width, and its length
_SHARPNESS = 144  # dots of a PNG for 72 pixels of the drawing
_TOLD = "the computation graph with the local derivatives"


def write_svg(drawing: Drawing, ink: str = "black", paper: str = "white") -> str:
    """Return the picture as SVG; with ink="currentColor" and no paper it takes the colours of the page around it."""
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", width=width, height=height, role="img")
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("aria-label", _TOLD)
    if paper:
        ElementTree.SubElement(root, "rect", width="100%", height="100%", fill=paper)
    shapes = ElementTree.SubElement(root, "g", fill="none", stroke=ink)
    heads = ElementTree.SubElement(root, "g", fill=ink)
    texts = ElementTree.SubElement(root, "g", fill=ink)
    texts.set("font-family", _FONTS)
    texts.set("font-size", str(FONT_SIZE))
    texts.set("text-anchor", "middle")
    for line in drawing.lines:
        path = ElementTree.SubElement(shapes, "path", d=_write_path(line))
        if line.dashed:
            path.set("stroke-dasharray", " ".join(map(str, _DASHES)))
        if line.arrow:
            ElementTree.SubElement(heads, "path", d="M" + "L".join(map(_write_place, _list_corners(line))) + "z")
    for box in drawing.boxes:
        _write_box(box, shapes, texts)
    return ElementTree.tostring(root, encoding="unicode")


def _write_box(box: Box, shapes: ElementTree.Element, texts: ElementTree.Element) -> None:
    if box.kind in _ROUNDING:
        frame = {"x": box.x - box.width / 2, "y": box.y - box.height / 2, "width": box.width, "height": box.height}
        rect = ElementTree.SubElement(shapes, "rect", {name: f"{value:.1f}" for name, value in frame.items()})
        if _ROUNDING[box.kind]:
            rect.set("rx", str(_ROUNDING[box.kind]))
    for text, height in zip(box.lines, box.baselines, strict=True):
        ElementTree.SubElement(texts, "text", x=f"{box.x:.1f}", y=f"{height:.1f}").text = text


def _write_path(line: Line) -> str:
    """Return a way with a bend wherever it goes sideways: it leaves and comes upright."""
    parts = [f"M{_write_place(line.places[0])}"]
    for here, there in pairwise(line.places):
        bend = _list_bend(here, there)
        parts.append(f"C{' '.join(map(_write_place, bend))}" if bend else f"L{_write_place(there)}")
    return "".join(parts)


def _list_bend(here: Place, there: Place) -> tuple[Place, ...]:
    """Return the three places that shape a curve to the second place, none where a straight line does."""
    if abs(here[0] - there[0]) < 0.05:
        return ()
    middle = (here[1] + there[1]) / 2
    return (here[0], middle), (there[0], middle), there


def _list_corners(line: Line) -> tuple[Place, ...]:
    """Return the corners of the arrow at the upper end of a line."""
    (x, y), (half, length) = line.places[-1], _ARROW
    return (x, y), (x - half, y + length), (x + half, y + length)


def _write_place(place: Place) -> str:
    return f"{place[0]:.1f},{place[1]:.1f}"


# --- PNG --------------------------------------------------------------------------------------------------


def write_png(drawing: Drawing) -> bytes:
    """Return the picture as PNG; raises DrawingError where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        reason = "to draw PNG the package matplotlib is needed, and it is not here"
        raise DrawingError(reason, advice="pip install matplotlib, or take the format svg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), dpi=_SHARPNESS, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    for line in drawing.lines:
        _draw_line(axes, line)
    for box in drawing.boxes:
        _draw_box(axes, box)
    written, canvas = io.BytesIO(), cast(Any, FigureCanvasAgg(figure))
    canvas.print_png(written)
    return written.getvalue()


def _draw_line(axes: Any, line: Line) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    places, codes = [line.places[0]], [Path.MOVETO]
    for here, there in pairwise(line.places):
        bend = _list_bend(here, there) or (there,)
        places += bend
        codes += [Path.CURVE4 if len(bend) > 1 else Path.LINETO] * len(bend)
    style = (0, _DASHES) if line.dashed else "solid"
    axes.add_patch(PathPatch(Path(places, codes), fill=False, edgecolor="black", linewidth=1, linestyle=style))
    if line.arrow:
        axes.add_patch(Polygon(_list_corners(line), facecolor="black", edgecolor="none"))


def _draw_box(axes: Any, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    if box.kind in _ROUNDING:
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        rounding = _ROUNDING[box.kind]
        style = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        axes.add_patch(
            FancyBboxPatch(corner, box.width, box.height, boxstyle=style, fill=False, edgecolor="black", linewidth=1)
        )
    for text, height in zip(box.lines, box.baselines, strict=True):
        axes.text(
            box.x, height, text, size=FONT_SIZE, family="DejaVu Sans Mono", ha="center", va="baseline", color="black",
            parse_math=False,
        )  # fmt: skip
