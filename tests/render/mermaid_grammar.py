"""The part of Mermaid's flowchart grammar that the graphs use, as its own parser reads it.

Labels stand in quotes; within them a mark is its number (#64;), a line ends with <br/>, and there is no quote.
"""

from __future__ import annotations

import re

_LABEL = r'"(?:[^\W_]|[ .,=+/()\-…]|#\d+;|<br/>)+"'
_NODE = re.compile(rf"  (n\d+)(?:\[{_LABEL}\]|\({_LABEL}\))")
_EDGE = re.compile(rf"  (n\d+) (?:-->\|{_LABEL}\||-\.->) (n\d+)")


def check_mermaid(text: str) -> tuple[int, int]:
    """Return the numbers of nodes and edges; an AssertionError shows a line that is neither."""
    head, *lines = text.rstrip("\n").split("\n")
    assert head == "flowchart BT"
    nodes: set[str] = set()
    edges = 0
    for line in lines:
        node, edge = _NODE.fullmatch(line), _EDGE.fullmatch(line)
        assert node or edge, line
        if node:
            nodes.add(node[1])
        if edge:
            assert set(edge.groups()) <= nodes, line
            edges += 1
    return len(nodes), edges
