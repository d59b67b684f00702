"""The result once more, with everything known of the variables used: the pass between differentiating and reading.

Differentiating treats the variable as unstructured, every entry free; afterwards its declared structure
holds again (A.T is A).  One pass over the nodes, operands first, so it ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from matcalc.engine.index_form import Graph, Node, reachable
from matcalc.engine.rewrite_products import fresh_parts, rewritten_product, shorter_sum


def simplify(old: Graph, root: Node, free: frozenset[str] = frozenset()) -> tuple[Graph, Node]:
    """Return a graph in which only the variables in `free` are unstructured, and the root in it."""
    graph, (found,) = simplify_together(old, [root], free)
    return graph, found


def simplify_together(
    old: Graph, roots: Sequence[Node], free: frozenset[str] = frozenset()
) -> tuple[Graph, list[Node]]:
    """Return one such graph of several roots, what they share rebuilt once, and the roots in it."""
    graph = Graph(free, old.rules)
    known: dict[int, Node] = {}
    kept: set[int] = set()
    tops = [*roots, *(node for node in old.nodes() if node.id in old.origins)]
    for node in reachable(*tops):
        known[node.id] = _rebuild(graph, node, known)
        if all(part.id in kept for part, _ in node.parts) and _is_same(node, known[node.id]):
            kept.add(node.id)
        # What became simpler is no longer what the reader wrote.
        if node.id in old.origins and node.id in kept:
            graph.origins.setdefault(known[node.id].id, old.origins[node.id])
    return graph, [known[root.id] for root in roots]


def _is_same(node: Node, rebuilt: Node) -> bool:
    return node.op == rebuilt.op and node.payload == rebuilt.payload and len(node.parts) == len(rebuilt.parts)


def _rebuild(graph: Graph, node: Node, known: dict[int, Node]) -> Node:
    """The same node from rebuilt operands; products go through the rewrites."""
    parts = [(known[part.id], labels) for part, labels in node.parts]
    axes = tuple(range(node.rank))
    match node.op:
        case "variable":
            return graph.variable(node.payload)
        case "product":
            return rewritten_product(graph, node.payload, fresh_parts(graph, parts, node.rank), node.rank)
        case "sum":
            terms = [(c, part, labels) for c, (part, labels) in zip(node.payload, parts, strict=True)]
            return shorter_sum(graph, graph.sum(terms, axes, node.shape))
        case "power":
            return graph.power(parts[0][0], node.payload)
        case "general_power":
            return graph.general_power(parts[0], parts[1], node.shape)
        case "apply":
            return graph.apply(node.payload, parts, node.shape)
        case "call":
            return graph.call(node.payload[0], node.payload[1], parts, node.shape)
    return graph.intern(node.op, node.shape, node.payload, tuple(parts), node.symmetric)
