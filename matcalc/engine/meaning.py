"""A derivative by a matrix with every entry free -> the one by a matrix whose entries are tied to each other.

The entries of a symmetric matrix, say, are not independent: X = P(t) is linear in those that are.  With G the
derivative with every entry free, the derivative by t is P' applied to G, and as a matrix again it is a linear map of G,
the same for every function, and for the axes of each differentiation:

| X is | meaning tied | meaning space |
| --- | --- | --- |
| symmetric | G + G.T - diag(diag(G)) | (G + G.T)/2 |
| skew | G - G.T | (G - G.T)/2 |
| diagonal | diag(diag(G)) | the same |
| lower-triangular | tril(G) | the same |
| upper-triangular | triu(G) | the same |

In the meaning vech it is a vector: duplication(n).T @ vec(G) for a symmetric X, the same of tril(G) or triu(G) for a
triangular one, and diag(G) for a diagonal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from matcalc.engine.index_form import Graph, Node
from matcalc.language.declarations import measure_change, name_structure
from matcalc.language.expression import Expression


def apply_meaning(graph: Graph, node: Node, rank: int, by: Sequence[Expression], meaning: str) -> Node:
    """Return a derivative by the variables, behind `rank` axes of the function, in another meaning than free."""
    place = rank
    for wrt in by:
        kind = name_structure(wrt)
        if kind is not None and meaning == "vech":
            node = _take_independent(graph, node, place, kind)
        elif kind is not None:
            node = _map_pair(graph, node, place, kind, meaning)
        place += len(measure_change(wrt, meaning))
    return node


def _map_pair(graph: Graph, node: Node, place: int, kind: str, meaning: str) -> Node:
    """Return the node with the linear map of a structure applied along two neighbouring axes."""
    if kind in ("symmetric", "skew"):
        sign = 1 if kind == "symmetric" else -1
        half = Fraction(1, 2) if meaning == "space" else Fraction(1)
        axes = list(range(node.rank))
        swapped = [*axes[:place], axes[place + 1], axes[place], *axes[place + 2 :]]
        terms = [(half, node, axes), (sign * half, node, swapped)]
        if meaning == "tied" and kind == "symmetric":
            terms.append((Fraction(-1), _mask(graph, node, place, graph.delta(node.shape[place])), axes))
        return graph.sum(terms, axes, node.shape)
    size = node.shape[place]
    if kind == "diagonal":
        return _mask(graph, node, place, graph.delta(size))
    return _mask(graph, node, place, graph.lower(size, size), kind == "upper-triangular")


def _take_independent(graph: Graph, node: Node, place: int, kind: str) -> Node:
    """Return the node with two neighbouring axes made one, that of the independent entries.

    They are duplication(n).T @ vec(G), which adds what stands on both sides of the diagonal; of a triangular matrix
    one side is 0.  For a diagonal matrix they are diag(G).
    """
    labels = graph.fresh(node.rank)
    row, column = labels[place], labels[place + 1]
    size = node.shape[place]
    factors = [(node, labels)]
    if kind == "diagonal":
        factors.append((graph.delta(size), (row, column)))
        return graph.product(1, factors, [*labels[: place + 1], *labels[place + 2 :]])
    if kind != "symmetric":
        factors = [(_map_pair(graph, node, place, kind, "tied"), labels)]
    whole, independent = graph.fresh(2)
    # Columns are stacked, so that the column is the major part.
    factors += [(graph.fuse(size, size), (whole, column, row)), (graph.duplication(size), (whole, independent))]
    return graph.product(1, factors, [*labels[:place], independent, *labels[place + 2 :]])


def _mask(graph: Graph, node: Node, place: int, mask: Node, transposed: bool = False) -> Node:
    """Return the node times a matrix of 0 and 1 along two neighbouring axes."""
    labels = graph.fresh(node.rank)
    pair = (labels[place], labels[place + 1])
    return graph.product(1, [(node, labels), (mask, pair[::-1] if transposed else pair)], labels)
