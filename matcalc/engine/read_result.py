"""A derivative as the reader will see it: of the ways to write it the shortest that reads well."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from matcalc.engine.assemble import transposed_whole
from matcalc.engine.factor_terms import Term
from matcalc.engine.index_form import Node
from matcalc.engine.index_to_matrix import Reader
from matcalc.engine.network_to_einsum import LETTERS
from matcalc.engine.product_to_term import read_sum, read_term
from matcalc.engine.rewrite_products import distributed
from matcalc.language.expression import Expression

# A whole formula is put under one .T only where that saves at least so many nodes.
OUTER_TRANSPOSE = 4
# Brackets are multiplied out only where that makes the text shorter than this share of it.
SPREAD_GAIN = 0.96


def read_result(reader: Reader, node: Node, letters: str = LETTERS, row: bool = False) -> Expression:
    """Return the expression of a result; its sums repeat nothing silently but say ones(n).

    With `row` a tensor of rank 1 is read as a row.  A matrix is read as it stands and as the transpose of
    its transpose, a product as it stands and multiplied out, and the shorter one is taken.
    """
    found = _read_turned(reader, node, letters, row)
    spread = distributed(reader.graph, node, least_rank=2)
    if spread is node:
        return found
    other = _read_turned(reader, spread, letters, row)
    return other if reader.lengths(other) < SPREAD_GAIN * reader.lengths(found) else found


def _read_turned(reader: Reader, node: Node, letters: str, row: bool) -> Expression:
    reader.read(node)
    if node.op == "zeros":
        return reader.known[node.id]
    if node.rank == 1 and row:
        ways = [_written(reader, node, letters, True), transposed_whole(_written(reader, node, letters, False))]
    elif node.rank == 2:
        turned = reader.graph.permuted(node, (1, 0))
        reader.read(turned)
        other = _written(reader, turned, letters[1::-1], False)
        here = _written(reader, node, letters, False)
        if _open_turned_sum(reader, node) == _open_turned_sum(reader, turned):
            return min((here, other), key=reader.lengths)
        ways = [here, transposed_whole(other)]
    else:
        ways = [_written(reader, node, letters, False)] * 2
    return ways[1] if reader.lengths(ways[1]) <= reader.lengths(ways[0]) - OUTER_TRANSPOSE else ways[0]


def _written(reader: Reader, node: Node, letters: str, row: bool) -> Expression:
    """The terms of a result written out, turned to rows if asked for."""
    coefficient, inner = _open_turned_sum(reader, node)
    for part, _ in inner.parts:
        reader.read(part)
    if inner.op != "sum":
        whole = Term(coefficient) if inner is reader.graph.one else read_term(reader, coefficient, inner, letters)
        return reader.writer.write(_row(reader, whole) if row else whole)
    terms = read_sum(reader, inner, True, letters)
    terms = [_row(reader, term) for term in terms] if row else terms
    plain = reader.writer.write_sum([replace(term, coefficient=term.coefficient * coefficient) for term in terms])
    if coefficient == 1:
        return plain
    outside = Term(coefficient, {}, (reader.writer.write_sum(terms),))
    return min(reader.writer.write(outside), plain, key=reader.lengths)


def _open_turned_sum(reader: Reader, node: Node) -> tuple[Fraction, Node]:
    """The number in front and the rest; the transpose of a sum becomes a sum of transposes."""
    coefficient, inner = reader.graph.split(node)
    turned = inner.op == "product" and len(inner.parts) == 1 and inner.parts[0][0].op == "sum"
    if not turned or sorted(inner.parts[0][1]) != list(range(inner.rank)):
        return coefficient, inner
    total, labels = inner.parts[0]
    terms = [(c, part, [labels[k] for k in at]) for c, (part, at) in zip(total.payload, total.parts, strict=True)]
    more, opened = reader.graph.split(reader.graph.sum(terms, range(inner.rank), inner.shape))
    return coefficient * more, opened


def _row(reader: Reader, term: Term) -> Term:
    return replace(term, items=tuple([reader.turn(item) for item in reversed(term.items)]))
