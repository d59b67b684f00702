"""Index form as einsum: the notation that every rank has, and that a product falls back to."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from matcalc.engine.assemble import negated, quotient
from matcalc.engine.contraction import connected
from matcalc.engine.index_form import Node, Part, base_and_exponent
from matcalc.engine.network_to_einsum import write_einsum
from matcalc.engine.product_to_term import build_network
from matcalc.language import expression as ex
from matcalc.language.expression import Expression

if TYPE_CHECKING:
    from matcalc.engine.index_to_matrix import Reader

# Up to so many factors the entries of a matrix or a vector are written out, sums and all.
FEW_FACTORS = 6
EinsumTerm = tuple[Fraction, list[Expression], list[Expression], Expression | None]


def einsum_terms(reader: Reader, node: Node, letters: str) -> list[EinsumTerm]:
    """The terms of a node: coefficient, scalars above and below the bar, and an einsum (None for a scalar)."""
    reader.read(node)
    coefficient, inner = reader.graph.split(node)
    tops = [(Fraction(1), inner, tuple(range(node.rank)))]
    if inner.op == "sum":
        tops = [(c, part, at) for c, (part, at) in zip(inner.payload, inner.parts, strict=True)]
    found = []
    for c, part, at in tops:
        missing = [(reader.graph.ones(size), (k,)) for k, size in enumerate(node.shape) if k not in at]
        spread = reader.graph.product(c * coefficient, [(part, at), *missing], range(node.rank))
        amount, whole = reader.graph.split(spread)
        reader.read(whole)
        found.append(_einsum_term(reader, amount, whole, letters))
    # A positive term first, as a reader would write it.
    first = next((k for k, term in enumerate(found) if term[0] > 0), 0)
    return [found[first], *found[:first], *found[first + 1 :]]


def _einsum_term(reader: Reader, coefficient: Fraction, node: Node, letters: str) -> EinsumTerm:
    if node.op == "number":
        return coefficient * node.payload, [], [], None
    parts = list(node.parts) if node.op == "product" else [(node, tuple(range(node.rank)))]
    if node.op == "zeros":
        return Fraction(0), [], [], None
    above: list[Expression] = []
    below: list[Expression] = []
    rest: list[Part] = []
    for component in connected(parts, set(range(node.rank))):
        if any(label < node.rank for _, labels in component for label in labels):
            rest += component
            continue
        inner = component[0][0] if component[0][1] == () else reader.graph.product(1, component, ())
        base, exponent = base_and_exponent(inner)
        (above if exponent > 0 else below).append(reader.power_of(base, abs(exponent)))
    if not node.rank:
        return coefficient, above, below, None
    network = build_network(reader, rest, range(node.rank))
    if node.rank > 2 or len(rest) > FEW_FACTORS:
        network.reduce()
    network.invert_divisors()
    above += network.scalars
    return coefficient, above, below, write_einsum(network, dict(enumerate(node.shape)), letters)


def read_einsum(reader: Reader, node: Node, letters: str) -> Expression:
    """The sum of the einsum terms as one expression."""
    if node.op == "zeros":
        return reader.read(node)
    whole: Expression | None = None
    terms = [term for term in einsum_terms(reader, node, letters) if term[0]]
    if not terms:
        return ex.filled("zeros", *node.shape)
    for coefficient, above, below, einsum in terms:
        positive = quotient(abs(coefficient), above, [einsum] if einsum is not None else [], below)
        if whole is None:
            whole = positive if coefficient > 0 else negated(positive)
        else:
            whole = (ex.add if coefficient > 0 else ex.subtract)(whole, positive)
    assert whole is not None
    return whole
