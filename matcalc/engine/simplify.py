"""The result once more, with everything known of the variables used: the pass between differentiating and reading.

Differentiating treats the variable as unstructured, every entry free; afterwards its declared structure
holds again (A.T is A).  Sums of tensors with more than two axes are multiplied out, since a reader sees
them term by term.  One pass over the nodes, operands first, so it ends.
"""

from __future__ import annotations

from fractions import Fraction

from matcalc.engine.index_form import Graph, Node, Part, reachable

MANY_TERMS = 200


def simplify(old: Graph, root: Node) -> tuple[Graph, Node]:
    """Return a graph in which no variable is free, and the root in it."""
    graph = Graph()
    known: dict[int, Node] = {}
    written = {node.id: node for node in old.nodes() if node.id in old.origins}
    written.update({node.id: node for node in reachable(root)})
    for top in list(written.values()):
        written.update({node.id: node for node in reachable(top)})
    for identity in sorted(written):
        node = written[identity]
        known[identity] = _rebuild(graph, node, known)
        if identity in old.origins:
            graph.origins.setdefault(known[identity].id, old.origins[identity])
    return graph, known[root.id]


def _rebuild(graph: Graph, node: Node, known: dict[int, Node]) -> Node:
    parts = [(known[part.id], labels) for part, labels in node.parts]
    axes = tuple(range(node.rank))
    match node.op:
        case "variable":
            return graph.variable(node.payload)
        case "product":
            return expanded(graph, node.payload, _shifted(graph, parts, node.rank), node.rank)
        case "sum":
            terms = [(c, part, labels) for c, (part, labels) in zip(node.payload, parts, strict=True)]
            return graph.sum(terms, axes, node.shape)
        case "power":
            return graph.power(parts[0][0], node.payload)
        case "general_power":
            return graph.general_power(parts[0], parts[1], node.shape)
        case "apply":
            return graph.apply(node.payload, parts, node.shape)
        case "call":
            return graph.call(node.payload[0], node.payload[1], parts, node.shape)
    return graph.intern(node.op, node.shape, node.payload, tuple(parts), node.symmetric)


def _shifted(graph: Graph, parts: list[Part], rank: int) -> list[Part]:
    """The same factors with indices of this graph: axes 0, 1, ... stay, summed ones are fresh."""
    bound = sorted({label for _, labels in parts for label in labels if label >= rank})
    rename = dict(zip(bound, graph.fresh(len(bound)), strict=True)) | {k: k for k in range(rank)}
    return [(part, tuple([rename[label] for label in labels])) for part, labels in parts]


def expanded(graph: Graph, coefficient: Fraction, parts: list[Part], rank: int) -> Node:
    """A product, multiplied out where a factor is a sum with more than two axes."""
    k = next((k for k, (part, _) in enumerate(parts) if part.op == "sum" and part.rank > 2), None)
    if k is None or len(parts[k][0].parts) > MANY_TERMS:
        return graph.product(coefficient, parts, range(rank))
    tall, labels = parts[k]
    rest = parts[:k] + parts[k + 1 :]
    terms = []
    for c, (part, at) in zip(tall.payload, tall.parts, strict=True):
        missing = [(graph.ones(tall.shape[a]), (labels[a],)) for a in range(tall.rank) if a not in at]
        factors = [*rest, (part, tuple([labels[a] for a in at])), *missing]
        terms.append((1, expanded(graph, coefficient * c, factors, rank), range(rank)))
    shape = terms[0][1].shape
    return graph.sum(terms, range(rank), shape)
