"""A computation graph in the plane: where each box, label and line of its picture lies, laid out by grandalf.

The result stands on top and every operation above its operands, in layers.  A local derivative is a label of a layer
of its own, from which its line goes on, so that it is plain which line it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from matcalc.errors import MatcalcError
from matcalc.render.graph_edges import GraphEdge
from matcalc.render.graph_languages import label_node, list_arrows
from matcalc.render.graph_nodes import GraphNode

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
class Line:
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
    lines: tuple[Line, ...]


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
    ports = _spread_ports([edge for way in ways for edge in way], passed)
    lines = [_draw_line(edge, passed[edge], ports, edge is way[0], len(way) == 1) for way in ways for edge in way]
    return _frame([_draw_box(vertex) for vertex in vertices], lines)


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


def _spread_ports(edges: Sequence[Any], passed: Mapping[Any, list[Place]]) -> dict[tuple[Any, Any], float]:
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


def _draw_line(
    edge: Any, passed: Sequence[Place], ports: Mapping[tuple[Any, Any], float], arrow: bool, dashed: bool
) -> Line:
    upper, lower = edge.v
    first, last = lower.view.xy[0] + ports[edge, lower], upper.view.xy[0] + ports[edge, upper]
    start, end = lower.view.xy[1] - lower.view.h / 2, upper.view.xy[1] + upper.view.h / 2
    middle = [(first, passed[0][1]), *passed[1:-1], (last, passed[-1][1])]
    return Line(((first, start), *middle, (last, end)), dashed, arrow)


def _draw_box(vertex: Any) -> Box:
    view = vertex.view
    return Box(vertex.lines, view.xy[0], view.xy[1], view.w, view.h, vertex.kind)


def _frame(boxes: Sequence[Box], lines: Sequence[Line]) -> Drawing:
    """Return the drawing moved so that it begins at its top left, with a margin around it."""
    xs = [x for box in boxes for x in (box.x - box.width / 2, box.x + box.width / 2)]
    xs += [x for line in lines for x, _ in line.places]
    ys = [y for box in boxes for y in (box.y - box.height / 2, box.y + box.height / 2)]
    left, top = min(xs) - _MARGIN, min(ys) - _MARGIN
    moved = [Box(box.lines, box.x - left, box.y - top, box.width, box.height, box.kind) for box in boxes]
    ways = [Line(tuple((x - left, y - top) for x, y in line.places), line.dashed, line.arrow) for line in lines]
    return Drawing(max(xs) - left + _MARGIN, max(ys) - top + _MARGIN, tuple(moved), tuple(ways))
