"""A computation graph as a picture: DOT for Graphviz, Mermaid for Markdown, SVG and PNG where Graphviz is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from matcalc.errors import MatcalcError
from matcalc.language.sizes import write_shape
from matcalc.render.graph_edges import GraphEdge
from matcalc.render.graph_nodes import GraphNode, tell_shape

LONGEST_LABEL = 60
LONGEST_DRAWING = 60  # seconds that Graphviz may take


class DrawingError(MatcalcError):
    """A picture could not be drawn."""


def write_dot(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> str:
    """Return the graph in Graphviz's language; where nothing varies the edge is dashed and has no derivative."""
    place = {node.name: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["digraph {", "  rankdir=BT", '  node [shape=box, fontname="monospace"]', '  edge [fontname="monospace"]']
    for node in nodes:
        style = ", style=rounded" if node.is_input else ""
        text = "\\n".join(map(_escape_dot, _label_node(node)))
        lines.append(f'  {place[node.name]} [label="{text}"{style}]')
    for source, target, label in _list_arrows(nodes, edges):
        # A space at both ends keeps the label off its arrow.
        text = "\\n".join(f" {_escape_dot(line)} " for line in label)
        lines.append(f"  {place[source]} -> {place[target]} [" + (f'label="{text}"]' if label else "style=dashed]"))
    return "\n".join([*lines, "}", ""])


def write_mermaid(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> str:
    """Return the graph as a Mermaid flowchart; where nothing varies the edge is dotted and has no derivative."""
    place = {node.name: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart BT"]
    for node in nodes:
        text = "<br/>".join(map(_escape_mermaid, _label_node(node)))
        lines.append(f'  {place[node.name]}("{text}")' if node.is_input else f'  {place[node.name]}["{text}"]')
    for source, target, label in _list_arrows(nodes, edges):
        text = "<br/>".join(map(_escape_mermaid, label))
        arrow = f'-->|"{text}"|' if label else "-.->"
        lines.append(f"  {place[source]} {arrow} {place[target]}")
    return "\n".join([*lines, ""])


def _label_node(node: GraphNode) -> list[str]:
    text = node.name if node.is_input else f"{node.name} = {node.text}"
    return [_shorten(text), tell_shape(node)]


def _list_arrows(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> list[tuple[str, str, list[str]]]:
    """Every use of an operand, with the local derivative where there is one."""
    found = {(edge.source, edge.target): edge for edge in edges}
    return [
        (operand, node.name, _label_edge(found[operand, node.name]) if (operand, node.name) in found else [])
        for node in nodes for operand in node.operands
    ]  # fmt: skip


def _label_edge(edge: GraphEdge) -> list[str]:
    return [_shorten(edge.text), write_shape(edge.shape)]


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 2] + " …"


def _escape_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _escape_mermaid(text: str) -> str:
    """Write what Markdown, HTML or Mermaid would read as a mark of their own by its number."""
    return "".join(char if char.isalnum() or char in " .,=+/()-…" else f"#{ord(char)};" for char in text)


# --- Graphviz -------------------------------------------------------------------------------------


def find_graphviz() -> str | None:
    """Return the path of Graphviz's command, or None where it is not installed."""
    return shutil.which("dot")


def draw(dot: str, kind: str) -> bytes:
    """Return the picture that Graphviz draws, svg or png; raises DrawingError where it cannot."""
    command = find_graphviz()
    if command is None:
        advice = "install Graphviz (apt-get install graphviz, brew install graphviz), or take the format mermaid or dot"
        reason = f"to draw {kind.upper()} the command dot of Graphviz is needed, and it is not here"
        raise DrawingError(reason, advice=advice)
    try:
        done = subprocess.run([command, f"-T{kind}"], input=dot.encode(), capture_output=True, timeout=LONGEST_DRAWING)
    except subprocess.TimeoutExpired:
        reason = f"Graphviz did not finish within {LONGEST_DRAWING} seconds"
        raise DrawingError(reason, advice="take the format text, or a smaller expression") from None
    if done.returncode:
        raise DrawingError(f"Graphviz could not draw the graph: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout
