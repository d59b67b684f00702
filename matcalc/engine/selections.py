"""Products of selections: rows of rows are rows, rows of what is padded are a part of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul
from typing import TYPE_CHECKING

from matcalc.language.names import SELECTION
from matcalc.language.sizes import Size

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part

_ZERO = Size((), 0)


def is_selection(node: Node) -> bool:
    """Whether a node is a selection, the rows of the identity between two places that sizes tell."""
    is_call = node.op == "call" and node.payload[0].name == SELECTION and not node.payload[1]
    return is_call and all(_is_size(part) for part, _ in node.parts[2:])


def _is_size(node: Node) -> bool:
    if node.op == "size":
        return True
    is_whole = node.op in ("number", "product") and node.payload.denominator == 1
    return is_whole and all(_is_size(part) for part, _ in node.parts)


def contract_selections(
    graph: Graph, factors: Sequence[Part], places: Mapping[int, Sequence[tuple[int, int]]], out: set[int]
) -> list[Part] | None:
    """Return the factors with two selections that share an index as one, None where there are none; one less each time.

    S[i,j] summed over j is 1; S[i,j] R[j,k] is a selection again; S[i,j] R[k,j] is one where the range of one holds the
    other, 0 where they have nothing in common.
    """
    for k, (node, labels) in enumerate(factors):
        if not is_selection(node) or labels[1] in out or labels[0] == labels[1]:
            continue
        used = places[labels[1]]
        rest = [part for at, part in enumerate(factors) if at not in {place for place, _ in used}]
        if len(used) == 1:
            return [*rest, (graph.ones(node.shape[0]), labels[:1])]
        other, position = used[0] if used[0][0] != k else used[-1]
        partner, ends = factors[other]
        if len(used) != 2 or other == k or not is_selection(partner) or ends[0] == ends[1]:
            continue
        if position == 0:
            found = _join(graph, node, partner)
            return [*rest, (found, (labels[0], ends[1]))]
        for one, two, at in ((node, partner, (ends[0], labels[0])), (partner, node, (labels[0], ends[0]))):
            overlap = _overlap(graph, one, two)
            if overlap is not None:
                return [*rest, (overlap, at)]
    return None


def _join(graph: Graph, outer: Node, inner: Node) -> Node:
    """Return rows of rows: x[1:][:-1] is x[1:-1]."""
    (before, after), (first, last) = _read_ends(outer), _read_ends(inner)
    return _select(graph, outer, before + first, after + last)


def _overlap(graph: Graph, one: Node, two: Node) -> Node | None:
    """Return how the rows of the second stand among those of the first, (two, one); None where that is not known."""
    if one is two:
        return graph.delta(one.shape[0])
    (before, after), (first, last) = _read_ends(one), _read_ends(two)
    if _is_positive(first - before) and _is_positive(last - after):
        return _select(graph, two, first - before, last - after)
    whole = one.shape[1]
    if _is_positive(first + after - whole) or _is_positive(before + last - whole):
        return graph.zeros((two.shape[0], one.shape[0]))
    return None


def _select(graph: Graph, rows: Node, before: Size, after: Size) -> Node:
    """Return the selection of as many rows with so many before and behind."""
    size = rows.shape[0]
    if before == after == _ZERO:
        return graph.delta(size)
    whole = before + size + after
    ends = [(graph.size(end), ()) for end in (before, after)]
    parts = [(graph.ones(size), (0,)), (graph.ones(whole), (1,)), *ends]
    return graph.call(rows.payload[0], 0, parts, (size, whole))


def _is_positive(size: Size) -> bool:
    """Whether a size is 0 or more, whatever its letters are."""
    return all(count >= 0 for count in size.terms.values())


def _read_ends(node: Node) -> tuple[Size, Size]:
    before, after = (_read_size(part) for part, _ in node.parts[2:])
    return before, after


def _read_size(node: Node) -> Size:
    if node.op == "size":
        return Size((node.payload,))
    return reduce(mul, (_read_size(part) for part, _ in node.parts), Size((), int(node.payload)))
