"""A computation graph as text that other programs draw: DOT for Graphviz, Mermaid for Markdown viewers."""

from __future__ import annotations

from collections.abc import Sequence

from matcalc.language.sizes import write_shape
from matcalc.render.graph_edges import GraphEdge
from matcalc.render.graph_nodes import GraphNode, tell_shape

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
    return [_shorten(text), tell_shape(node)]


def list_arrows(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> list[tuple[str, str, list[str]]]:
    """Return operand, operation and the lines of the local derivative, none where nothing varies, for each use."""
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
