"""One product of the index form as a term of matrix notation: coefficient, scalars, and a chain of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from matcalc.engine.assemble import chain, product_of
from matcalc.engine.contraction import connected
from matcalc.engine.factor_terms import Term
from matcalc.engine.index_form import Node, Part, base_and_exponent
from matcalc.engine.network import Network, as_diagonal, closed_chain, mask
from matcalc.engine.network_to_einsum import LETTERS, write_einsum
from matcalc.engine.tidy_terms import pull_scalars, write_axis_sums, write_means
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import Size

if TYPE_CHECKING:
    from matcalc.engine.index_to_matrix import Reader


def read_term(reader: Reader, coefficient: Fraction, node: Node, letters: str) -> Term:
    """One product as coefficient, scalar factors and a chain of matrices."""
    if node.op != "product":
        if node.rank == 0:
            return _scalar_term(coefficient, node)
        return Term(coefficient, {}, (reader.read_once(node),))
    scalars: dict[Node, Fraction] = {}
    rest: list[Part] = []
    groups = connected(node.parts, set(range(node.rank)))
    for component in groups:
        open_axes = any(label < node.rank for _, labels in component for label in labels)
        if open_axes:
            rest += component
            continue
        inner = component[0][0] if component[0][1] == () else reader.graph.product(1, component, ())
        if len(groups) == 1 and component[0][1] != ():
            return _whole_sum(reader, coefficient * node.payload, component)
        base, exponent = base_and_exponent(inner)
        scalars[base] = scalars.get(base, Fraction(0)) + exponent
    write_means(reader, scalars)
    if not node.rank:
        return Term(coefficient * node.payload, scalars)
    network = build_network(reader, rest, range(node.rank))
    network.reduce()
    for scalar in network.scalars:
        base, exponent = reader.node_of(scalar)
        scalars[base] = scalars.get(base, Fraction(0)) + exponent
    items = _items(network, dict(enumerate(node.shape)), letters)
    if node.rank <= 2:
        items = write_axis_sums(reader, items, scalars)
        items = pull_scalars(reader, items, scalars) if len(items) > 1 or items[0].op != "divide" else items
    return Term(coefficient * node.payload, scalars, items)


def _whole_sum(reader: Reader, coefficient: Fraction, component: list[Part]) -> Term:
    """A product that is one connected sum: a dot product, a trace, a quadratic form."""
    network = build_network(reader, component, ())
    network.reduce()
    if network.bound or network.others:
        return Term(coefficient, {}, (product_of([*network.scalars, write_einsum(network, {}, LETTERS)]),))
    return Term(coefficient, {}, (product_of(network.scalars),))


def build_network(reader: Reader, parts: Sequence[Part], out: Sequence[int]) -> Network:
    """The factors of a product as a network whose axes are the points `out`."""
    sizes = {label: size for part, labels in parts for label, size in zip(labels, part.shape, strict=True)}
    network = Network(sizes, out, reader.turn, reader.lengths)
    for part, labels in parts:
        if part.op == "ones":
            continue
        base, exponent = base_and_exponent(part)
        divides = exponent < 0
        factor = reader.read_once(reader.graph.power(base, -exponent) if divides else part)
        network.add(factor, labels, divides, part.op == "delta")
    return network


def _items(network: Network, sizes: dict[int, Size], letters: str) -> tuple[Expression, ...]:
    """The chain of a reduced product with axes: a column for one axis, rows and columns for two."""
    if network.bound or network.others or len(sizes) > 2:
        return (_without_einsum(write_einsum(network, sizes, letters)),)
    columns = [_column(network, k) for k in sizes]
    if len(sizes) == 1:
        return tuple(columns[0] or [ex.filled("ones", sizes[0])])
    return tuple(_matrix(network, columns, sizes))


def _without_einsum(einsum: Expression) -> Expression:
    """An einsum that only repeats its one operand is that operand: D(u, X) for einsum('iba->iba', D(u, X))."""
    inputs, output = einsum.data[0].split("->")
    return einsum.args[0] if inputs == output and einsum.args[0].shape == einsum.shape else einsum


def _column(network: Network, point: int) -> list[Expression]:
    pieces = network.pieces.get(point, [])
    return network.hadamard(pieces) if pieces else []


def _matrix(network: Network, columns: list[list[Expression]], sizes: dict[int, Size]) -> list[Expression]:
    """diag(u) @ M @ diag(v), diag(u), eye(n), u @ v.T, or ones(m, n)."""
    matrices = [edge for edge in network.edges if not edge.identity]
    if network.edges and not matrices:
        return [as_diagonal(closed_chain(columns[0]))] if columns[0] else [ex.filled("eye", sizes[0])]
    if not network.edges:
        if not columns[0] and not columns[1]:
            return [ex.filled("ones", sizes[0], sizes[1])]
        left, right = [column or [ex.filled("ones", sizes[k])] for k, column in enumerate(columns)]
        return [*left, *network.reversed(right)]
    edge = matrices[0]
    items = edge.items if edge.start == 0 else network.reversed(edge.items)
    if columns[0] and columns[1] and len(items) == 1:
        masked = mask(items[0], chain([*columns[0], *network.reversed(columns[1])]))
        if masked is not None:
            return [masked]
    left = [as_diagonal(closed_chain(columns[0]))] if columns[0] else []
    right = [as_diagonal(closed_chain(columns[1]))] if columns[1] else []
    return [*left, *items, *right]


def read_sum(reader: Reader, node: Node, explicit: bool, letters: str) -> list[Term]:
    """The terms of a sum, each turned to its shape.

    A scalar beside a vector or a matrix broadcasts, unless `explicit`, which still lets it beside a vector that is
    a function entry by entry; everything else that lacks an axis is written out with ones.
    """
    terms = []
    spelled = explicit and not (node.rank == 1 and _is_entrywise(node))
    for coefficient, (part, labels) in zip(node.payload, node.parts, strict=True):
        if len(labels) < node.rank and (spelled or labels):
            missing = [(reader.graph.ones(size), (k,)) for k, size in enumerate(node.shape) if k not in labels]
            part = reader.graph.product(1, [(part, labels), *missing], range(node.rank))
        terms.append(read_term(reader, coefficient, part, letters))
    return terms


def _is_entrywise(node: Node) -> bool:
    """Whether a sum reads entry by entry, as 1 + log(p) does and ones(n) + 2*x does not."""
    if any(part.op == "product" and not labels and _is_mean(part) for part, labels in node.parts):
        return True
    factors = [factor for part, _ in node.parts for factor in (part, *_factors(part))]
    return any(factor.rank and factor.op in {"apply", "power"} for factor in factors)


def _factors(part: Node) -> list[Node]:
    return [factor for factor, _ in part.parts] if part.op == "product" else []


def _is_mean(part: Node) -> bool:
    """Whether a scalar is a sum divided by a size."""
    return any(_divides_by_size(factor) for factor in _factors(part))


def _divides_by_size(factor: Node) -> bool:
    return factor.op == "power" and factor.payload == -1 and factor.parts[0][0].op == "size"


def _scalar_term(coefficient: Fraction, node: Node) -> Term:
    if node.op == "number":
        return Term(coefficient * node.payload)
    base, exponent = base_and_exponent(node)
    return Term(coefficient, {base: exponent})
