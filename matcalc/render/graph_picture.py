"""A computation graph as a picture: laid out by grandalf, written as SVG and PNG; as DOT and Mermaid for others.

The result stands on top and every operation above its operands, in layers.  A local derivative is a label of a layer
of its own, from which its line goes on, so that it is plain which line it belongs to.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

from matcalc.errors import MatcalcError
from matcalc.language.sizes import write_shape

if TYPE_CHECKING:
    from matcalc.render.graph import GraphEdge, GraphNode

# Lengths are in pixels, of a text of 14 in a font of fixed width.
FONT_SIZE, LINE_HEIGHT = 14, 17
_LETTER_WIDTH = 0.602 * FONT_SIZE
_PADDING = {"box": (16, 12), "label": (8, 4)}
_BETWEEN, _LAYERS_APART, _MARGIN = 24, 28, 8
_PORTS_APART = 12
_ROUNDS = 8  # of ordering each layer by its neighbours, after which lines seldom cross less

Place = tuple[float, float]


class DrawingError(MatcalcError):
    """A picture could not be drawn."""


@dataclass(frozen=True)
class Box:
    """Lines of text about a middle point; an input is drawn rounded, a label of a line without a frame."""

    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    kind: str

    @property
    def baselines(self) -> list[float]:
        """The heights at which the lines of text stand."""
        first = self.y - (len(self.lines) - 1) / 2 * LINE_HEIGHT + 0.35 * FONT_SIZE
        return [first + number * LINE_HEIGHT for number in range(len(self.lines))]


@dataclass(frozen=True)
class Curve:
    """A way upwards through places, straight where two lie above one another; with an arrow it ends in an operation."""

    places: tuple[Place, ...]
    dashed: bool
    arrow: bool


@dataclass(frozen=True)
class Drawing:
    """The picture of a graph, from (0, 0) at its top left to (width, height)."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Curve, ...]


def lay_out(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> Drawing:
    """Return where everything lies; raises DrawingError where grandalf is not installed."""
    if find_spec("grandalf") is None:
        reason = "to draw the graph the package grandalf is needed, and it is not here"
        raise DrawingError(reason, advice="pip install grandalf, or take the format mermaid or dot")
    from grandalf.graphs import Edge, Graph, Vertex

    boxes = {node.name: Vertex(node.name) for node in nodes}
    vertices = [_size(boxes[node.name], label_node(node), "input" if node.is_input else "operation") for node in nodes]
    ways: list[tuple[Any, ...]] = []
    for source, target, label in list_arrows(nodes, edges):
        middle = [_size(Vertex((source, target)), label, "label")] if label else []
        vertices += middle
        stops = [boxes[target], *middle, boxes[source]]
        ways.append(tuple(Edge(upper, lower) for upper, lower in pairwise(stops)))
    # The result is reached first, and then its operands from left to right.
    parts = Graph(vertices[::-1], [edge for way in ways for edge in way]).C
    passed = _place_side_by_side(parts)
    ports = _space_ports([edge for way in ways for edge in way], passed)
    lines = [_place_line(edge, passed[edge], ports, edge is way[0], len(way) == 1) for way in ways for edge in way]
    views = [(vertex, vertex.view) for vertex in vertices]
    placed = [Box(vertex.lines, view.xy[0], view.xy[1], view.w, view.h, vertex.kind) for vertex, view in views]
    return _frame(placed, lines)


def _size(vertex: Any, lines: Sequence[str], kind: str) -> Any:
    from grandalf.layouts import VertexViewer

    across, down = _PADDING["label" if kind == "label" else "box"]
    width = max(map(len, lines)) * _LETTER_WIDTH + across
    vertex.view = VertexViewer(width, len(lines) * LINE_HEIGHT + down)
    vertex.lines, vertex.kind = tuple(lines), kind
    return vertex


# --- layers -----------------------------------------------------------------------------------------------


def _place_side_by_side(parts: Sequence[Any]) -> dict[Any, list[Place]]:
    """Place the vertices of each connected part, one part beside the other; return what each edge passes between."""
    from grandalf.layouts import SugiyamaLayout

    left = 0.0
    passed: dict[Any, list[Place]] = {}
    for part in parts:
        layout = SugiyamaLayout(part)
        layout.xspace, layout.yspace = _BETWEEN, _LAYERS_APART
        # A line that passes a layer takes little room there.
        layout.dw, layout.dh = 1, 1
        layout.init_all()
        layout.draw(_ROUNDS)
        views = [one.view for one in layout.grx]
        shift = left - min(view.xy[0] - view.w / 2 for view in views)
        for view in views:
            view.xy = (view.xy[0] + shift, view.xy[1])
        left = max(view.xy[0] + view.w / 2 for view in views) + _BETWEEN
        halves = [max(one.view.h for one in layer) / 2 for layer in layout.layers]
        passed |= {edge: _list_passed(edge, layout, halves) for edge in part.E()}
    return passed


def _list_passed(edge: Any, layout: Any, halves: Sequence[float]) -> list[Place]:
    """Return the places from the operand up: straight through each layer, and sideways between two layers only."""
    upper, lower = edge.v
    top, bottom = layout.grx[upper].rank, layout.grx[lower].rank
    stops = {top: upper, bottom: lower, **layout.ctrls.get(edge, {})}
    places: list[Place] = []
    for rank in range(bottom, top - 1, -1):
        x, y = stops[rank].view.xy
        places += [(x, y + halves[rank])] * (rank != bottom) + [(x, y - halves[rank])] * (rank != top)
    return places


# --- lines ------------------------------------------------------------------------------------------------


def _space_ports(edges: Sequence[Any], passed: Mapping[Any, list[Place]]) -> dict[tuple[Any, Any], float]:
    """Return how far from the middle of a box each line meets it, so that no two lines meet in one place."""
    sides: dict[tuple[Any, bool], list[Any]] = {}
    for edge in edges:
        for end in (0, 1):
            sides.setdefault((edge.v[end], bool(end)), []).append(edge)
    ports = {}
    for (vertex, is_below), meeting in sides.items():
        ordered = sorted(meeting, key=lambda edge: passed[edge][1 if is_below else -2][0])
        apart = min(_PORTS_APART, 0.7 * vertex.view.w / len(ordered))
        for number, edge in enumerate(ordered):
            ports[edge, vertex] = (number - (len(ordered) - 1) / 2) * apart
    return ports


def _place_line(
    edge: Any, passed: Sequence[Place], ports: Mapping[tuple[Any, Any], float], arrow: bool, dashed: bool
) -> Curve:
    upper, lower = edge.v
    first, last = lower.view.xy[0] + ports[edge, lower], upper.view.xy[0] + ports[edge, upper]
    start, end = lower.view.xy[1] - lower.view.h / 2, upper.view.xy[1] + upper.view.h / 2
    middle = [(first, passed[0][1]), *passed[1:-1], (last, passed[-1][1])]
    return Curve(((first, start), *middle, (last, end)), dashed, arrow)


def _frame(boxes: Sequence[Box], lines: Sequence[Curve]) -> Drawing:
    """Return the drawing moved so that it begins at its top left, with a margin around it."""
    xs = [x for box in boxes for x in (box.x - box.width / 2, box.x + box.width / 2)]
    xs += [x for line in lines for x, _ in line.places]
    ys = [y for box in boxes for y in (box.y - box.height / 2, box.y + box.height / 2)]
    left, top = min(xs) - _MARGIN, min(ys) - _MARGIN
    moved = [replace(box, x=box.x - left, y=box.y - top) for box in boxes]
    ways = [replace(line, places=tuple((x - left, y - top) for x, y in line.places)) for line in lines]
    return Drawing(max(xs) - left + _MARGIN, max(ys) - top + _MARGIN, tuple(moved), tuple(ways))


# --- SVG, and PNG by matplotlib; the two show the same everywhere ------------------------------------------

_FONTS = "DejaVu Sans Mono,Menlo,Consolas,monospace"
_ROUNDING = {"input": 9, "operation": 0}
_DASHES = (5, 3)
_ARROW = (4, 9)  # half its width, and its length
_SHARPNESS = 144  # dots of a PNG for 72 pixels of the drawing
DRAWING_TOLD = "the computation graph with the local derivatives"


def write_svg(drawing: Drawing, ink: str = "black", paper: str = "white") -> str:
    """Return the picture as SVG; with ink="currentColor" and no paper it takes the colours of the page around it."""
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", width=width, height=height, role="img")
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("aria-label", DRAWING_TOLD)
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


def _write_path(line: Curve) -> str:
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


def _list_corners(line: Curve) -> tuple[Place, ...]:
    """Return the corners of the arrow at the upper end of a line."""
    (x, y), (half, length) = line.places[-1], _ARROW
    return (x, y), (x - half, y + length), (x + half, y + length)


def _write_place(place: Place) -> str:
    return f"{place[0]:.1f},{place[1]:.1f}"


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


def _draw_line(axes: Any, line: Curve) -> None:
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


# --- text that other programs draw: DOT for Graphviz, Mermaid for Markdown viewers -------------------------

LONGEST_LABEL = 60


def write_dot(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> str:
    """Return the graph in Graphviz's language; where nothing varies the edge is dashed and has no derivative."""
    place = {node.name: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["digraph {", "  rankdir=BT", '  node [shape=box, fontname="monospace"]', '  edge [fontname="monospace"]']
    for node in nodes:
        style = ", style=rounded" if node.is_input else ""
        text = "\\n".join(map(_escape_dot, label_node(node)))
        lines.append(f'  {place[node.name]} [label="{text}"{style}]')
    for source, target, label in list_arrows(nodes, edges):
        # A space at both ends keeps the label off its arrow.
        text = "\\n".join(f" {_escape_dot(line)} " for line in label)
        lines.append(f"  {place[source]} -> {place[target]} [" + (f'label="{text}"]' if label else "style=dashed]"))
    return "\n".join([*lines, "}", ""])


def write_mermaid(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> str:
    """Return the graph as a Mermaid flowchart; where nothing varies the edge is dotted and has no derivative."""
    place = {node.name: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart BT"]
    for node in nodes:
        text = "<br/>".join(map(_escape_mermaid, label_node(node)))
        lines.append(f'  {place[node.name]}("{text}")' if node.is_input else f'  {place[node.name]}["{text}"]')
    for source, target, label in list_arrows(nodes, edges):
        text = "<br/>".join(map(_escape_mermaid, label))
        arrow = f'-->|"{text}"|' if label else "-.->"
        lines.append(f"  {place[source]} {arrow} {place[target]}")
    return "\n".join([*lines, ""])


def label_node(node: GraphNode) -> list[str]:
    """Return the lines that stand in the box of a node: what it is, and its shape."""
    text = node.name if node.is_input else f"{node.name} = {node.text}"
    return [_shorten(text), node.shape_told]


def list_arrows(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> list[tuple[str, str, list[str]]]:
    """Return operand, operation and the lines of the local derivative, none where nothing varies, for each use."""
    labels = {(edge.source, edge.target): [_shorten(edge.text), write_shape(edge.shape)] for edge in edges}
    return [
        (operand, node.name, labels.get((operand, node.name), [])) for node in nodes for operand in node.operands
    ]


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 2] + " …"


def _escape_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _escape_mermaid(text: str) -> str:
    """Write what Markdown, HTML or Mermaid would read as a mark of their own by its number."""
    return "".join(char if char.isalnum() or char in " .,=+/()-…" else f"#{ord(char)};" for char in text)
