"""Products of selections and unit vectors: rows of rows are rows, rows of padded ones are a part of them or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import TYPE_CHECKING

from matcalc.language.names import BASIS, SELECTION
from matcalc.language.sizes import UNIT, Size

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part

_ZERO = Size((), 0)


def selects_rows(node: Node) -> bool:
    """Whether all entries are 0 or 1, since they are those of the identity."""
    return node.op == "call" and node.payload[0].name in (BASIS, SELECTION)


@dataclass(frozen=True)
class _Rows:
    """Some rows of the identity, with the index of the rows, None for the one of a unit vector, and of the columns."""

    node: Node
    row: int | None
    column: int
    before: Size
    after: Size

    @property
    def count(self) -> Size:
        return self.node.shape[0] if self.row is not None else UNIT

    def place(self, graph: Graph, before: Size, after: Size, column: int | None) -> list[Part]:
        """Return as many rows with so many before and behind; without an index of the columns they are the whole."""
        whole = before + self.count + after
        own = () if self.row is None else (self.row,)
        if column is None:
            return [(graph.one, ())] if self.row is None else [(graph.ones(self.count), own)]
        if before == after == _ZERO:
            return [(graph.ones(whole), (column,)) if self.row is None else (graph.delta(whole), (*own, column))]
        sizes = [*([] if self.row is None else [self.count]), whole]
        ends = [graph.size(end) for end in ((before,) if self.row is None else (before, after))]
        parts = [(graph.ones(size), (place,)) for place, size in enumerate(sizes)] + [(end, ()) for end in ends]
        return [(graph.call(self.node.payload[0], 0, parts, tuple(sizes)), (*own, column))]


def contract_selections(
    graph: Graph, factors: Sequence[Part], places: Mapping[int, Sequence[tuple[int, int]]], out: set[int]
) -> list[Part] | None:
    """Return the factors with two selections that share an index as one, None where there are none; one less each time.

    S[i,j] summed over j is 1; S[i,j] R[j,k] is a selection again; S[i,j] R[k,j] is one where the range of one holds the
    other, 0 where they have nothing in common.
    """
    found = {k: rows for k, part in enumerate(factors) if (rows := _read_rows(*part)) is not None}
    for k, rows in found.items():
        used = places[rows.column]
        if rows.column in out or len(used) > 2:
            continue
        rest = [part for at, part in enumerate(factors) if at not in {place for place, _ in used}]
        if len(used) == 1:
            return [*rest, *rows.place(graph, rows.before, rows.after, None)]
        partner = found.get(used[0][0] if used[0][0] != k else used[1][0])
        if partner is None or partner is rows:
            continue
        if partner.row == rows.column:  # rows of rows
            before, after = rows.before + partner.before, rows.after + partner.after
            return [*rest, *rows.place(graph, before, after, partner.column)]
        overlap = _overlap(graph, rows, partner)
        if overlap is not None:
            return [*rest, *overlap]
    return None


def _overlap(graph: Graph, one: _Rows, two: _Rows) -> list[Part] | None:
    """Return how some rows stand among others of the same columns; None where the sizes do not tell."""
    whole = one.before + one.count + one.after
    for outer, inner in ((one, two), (two, one)):
        first, last = inner.before - outer.before, inner.after - outer.after
        if _is_positive(first) and _is_positive(last):
            return inner.place(graph, first, last, outer.row)
        if _is_positive(inner.before + outer.after - whole):
            return [(graph.number(0), ())]
    return None


def _is_positive(size: Size) -> bool:
    """Whether a size is 0 or more, whatever its letters are."""
    return all(count >= 0 for count in size.terms.values())


# --- reading --------------------------------------------------------------------------------------------


def _read_rows(node: Node, labels: tuple[int, ...]) -> _Rows | None:
    """Return what a factor selects, None for any other one and for places that no size tells."""
    if node.op != "call" or node.payload[1] or len(set(labels)) < len(labels):
        return None
    name = node.payload[0].name
    if name == SELECTION and len(labels) == 2 and all(_is_size(part) for part, _ in node.parts[2:]):
        before, after = (_read_size(part) for part, _ in node.parts[2:])
        is_whole = before + node.shape[0] + after == node.shape[1]
        return _Rows(node, labels[0], labels[1], before, after) if is_whole else None
    if name == BASIS and len(labels) == 1 and _is_size(node.parts[1][0]):
        before = _read_size(node.parts[1][0])
        return _Rows(node, None, labels[0], before, node.shape[0] - before - UNIT)
    return None


def _is_size(node: Node) -> bool:
    if node.op == "size":
        return True
    is_whole = node.op in ("number", "product") and node.payload.denominator == 1
    return is_whole and all(_is_size(part) for part, _ in node.parts)


def _read_size(node: Node) -> Size:
    if node.op == "size":
        return Size((node.payload,))
    return reduce(mul, (_read_size(part) for part, _ in node.parts), Size((), int(node.payload)))
