"""Index form -> typed expression: matrix notation where there is one, einsum where there is none.

A tensor of rank 1 is read as a column, one of rank 2 with axis 0 as rows.  What the user wrote is used
again wherever it is not much longer than what would be printed otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from matcalc.engine.assemble import (
    Lengths,
    as_column,
    build_number,
    call_shipped,
    chain,
    flatten,
    negated,
    product_of,
    quotient,
    split_product,
    transposed,
)
from matcalc.engine.factor_terms import FactoredTerm, TermWriter
from matcalc.engine.index_form import Graph, Node, Part, reachable
from matcalc.engine.network import LETTERS, Network, as_diagonal, build_einsum, closed_chain, mask
from matcalc.engine.products import ONE, ZERO, base_and_exponent, connected
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size, to_2d_shape
from matcalc.rule_files import shipped_rules

# The user's own words are kept even where they are this many nodes longer than what would be printed.
OWN_WORDS = 3


class MatrixReader:
    """Reads the nodes of one graph, each once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lengths = Lengths()
        self.known: dict[int, Expression] = {}
        self.nodes: dict[Expression, Node] = {}
        self.terms: dict[int, FactoredTerm] = {}
        self.own_transpose: set[Expression] = set()
        self.transposed: dict[Expression, Expression] = {}
        self.turned: dict[Expression, Expression] = {}
        variables = [node for node in graph.nodes() if node.op == "variable"]
        self.names = {node.payload.name for node in variables}
        self.letters = {letter for node in variables for size in node.shape for letter in size.base_letters}
        own = set(walk(*graph.origins.values()))
        self.writer = TermWriter(self.power_of, self.transpose, self.lengths, own.__contains__)

    def read(self, root: Node) -> Expression:
        """Return the expression of a node, reading what it is made of first."""
        for node in reachable(root, known=self.known):
            self.read_once(node)
        return self.known[root.id]

    def read_once(self, node: Node) -> Expression:
        """The expression of a node whose operands have been read."""
        if node.id not in self.known:
            found = self._shorter(node, self._compute(node), self.graph.origins.get(node.id))
            self.known[node.id] = found
            self.nodes.setdefault(found, node)
            if node.rank == 2 and (node.symmetric or self._equals_its_transpose(node)):
                self.own_transpose.add(found)
        return self.known[node.id]

    def _equals_its_transpose(self, node: Node) -> bool:
        """Whether a sum is symmetric; else its transpose is read too, to be used where it is shorter."""
        if node.op != "sum":
            return False
        transposed = self._transposed_sum(node)
        if transposed is node:
            return True
        if transposed.op == "sum" and transposed.id not in self.known:
            self.read(transposed)
        if transposed.op == "sum" and transposed.id in self.known:
            here, there = self.known[node.id], self.known[transposed.id]
            if self.lengths(there) < self.lengths(here) + 2:
                self.transposed[here] = there
            if self.lengths(here) < self.lengths(there) + 2:
                self.transposed[there] = here
        return False

    def _transposed_sum(self, node: Node) -> Node:
        """The transpose of a sum, term by term."""
        terms = [
            (coefficient, part, [1 - k for k in labels])
            for coefficient, part, labels in node.terms
        ]
        return self.graph.sum(terms, (0, 1), node.shape[::-1])

    def _shorter(self, node: Node, computed: Expression, written: Expression | None) -> Expression:
        """The user's own words, if they are not longer."""
        if written is None:
            return computed
        if written.op == "call" and written.data[2]:
            rule, axis, _ = written.data
            shape = written.shape if axis else written.shape[::-1]
            written = ex.call(rule, written.args, shape, axis)
        if written.is_row:
            written = as_column(written)
        same = written.shape == computed.shape
        spare = OWN_WORDS if node.parts else 0
        return written if same and self.lengths(written) <= self.lengths(computed) + spare else computed

    def transpose(self, item: Expression) -> Expression:
        """The transpose of an item of a chain, nothing for a symmetric matrix."""
        if item in self.own_transpose:
            return item
        if item.op == "transpose" and item.args[0] in self.own_transpose:
            return item.args[0]
        if item not in self.turned:
            # Brackets stand in brackets: without a note of those that were turned, each layer would turn all below it.
            self.turned[item] = self._turn(item)
        found = self.transposed.get(item, self.turned[item])
        if item in self.writer.held:
            self.writer.held.add(found)
        return found

    def _turn(self, item: Expression) -> Expression:
        if item.op == "matmul":
            pushed = [self.transpose(part) for part in reversed(flatten(item))]
            if pushed == flatten(item):
                return item
            if item.is_row:
                return min((chain(pushed), transposed(item)), key=self.lengths)
        if item.is_row or item.is_column or len(item.shape) != 2:
            return transposed(item)
        if item.op in {"add", "subtract"}:
            return self._transpose_sum(item)
        if item.op in {"multiply", "divide", "power", "negate"}:
            return self._transpose_entrywise(item)
        return transposed(item)

    def _transpose_entrywise(self, item: Expression) -> Expression:
        """(A*B.T).T is A.T*B, where that is not longer."""
        args = [arg if arg.is_scalar else self.transpose(arg) for arg in item.args]
        pushed = ex.negate(*args) if item.op == "negate" else ex.elementwise(item.op, args[0], args[1])
        return min((pushed, transposed(item)), key=self.lengths)

    def _transpose_sum(self, item: Expression) -> Expression:
        """The transpose of a written sum, term by term where that is shorter; A + A.T is its own."""
        # From the inside out: a sum of many terms stands in as many brackets.
        sums = [item]
        while sums[-1].args[0].op in {"add", "subtract"} and sums[-1].args[0] not in self.turned:
            sums.append(sums[-1].args[0])
        for one in reversed(sums[1:]):
            self.transpose(one)
        left, right = item.args
        if left.is_scalar or right.is_scalar:
            return transposed(item)
        parts = [self.transpose(left), self.transpose(right)]
        if item.op == "add" and parts == [right, left]:
            return item
        by_terms = (ex.add if item.op == "add" else ex.subtract)(*parts)
        return min((transposed(item), by_terms), key=self.lengths)

    def _compute(self, node: Node) -> Expression:
        match node.op:
            case "variable":
                symbol: Expression = node.payload
                return transposed(symbol) if symbol.is_row else symbol
            case "number":
                return build_number(node.payload)
            case "constant":
                return ex.constant(node.payload)
            case "size":
                return self._size(Size((node.payload,)))
            case "zeros" | "ones":
                return ex.filled(node.op, *node.shape)
            case "delta":
                return ex.filled("eye", node.shape[0])
            case "lower":
                ones = ex.filled("ones", *node.shape)
                return call_shipped("tril", ones, ones.shape)
            case "fuse":
                return ex.filled("fuse", *node.shape[1:])
            case "duplication":
                return ex.filled("duplication", node.payload)
            case "product":
                return self.writer.write(read_term(self, ONE, node, LETTERS))
            case "held":
                found = self.read_once(node.parts[0][0])
                self.writer.held.add(found)
                return found
            case "sum":
                return self.writer.write_sum(read_sum(self, node, False, LETTERS))
            case "power":
                return self._power(node)
            case "written":
                written: Expression = node.payload
                return written
            case "general_power":
                base, exponent = [self._placed(part, node.shape) for part in node.parts]
                return ex.power(base, exponent)
            case "apply":
                return self._apply(node)
            case "call":
                return self._call(node)
        return self._abstract(node)

    def _size(self, size: Size) -> Expression:
        """A size as a number; one that no variable has is told by sum(ones(m)), which can be read on its own."""
        if self.letters.issuperset(size.base_letters):
            return ex.size_value(size)
        return call_shipped("sum", ex.filled("ones", size), SCALAR)

    def _placed(self, part: Part, shape: Shape) -> Expression:
        """An operand of an elementwise node, transposed so that it broadcasts along the axes it lacks."""
        operand, labels = part
        found = self.read_once(operand)
        if (len(shape) == 2 and labels == (1,)) or labels == (1, 0):
            return self.transpose(found)
        return found

    def _apply(self, node: Node) -> Expression:
        arguments = [self._placed(part, node.shape) for part in node.parts]
        if isinstance(node.payload, str):
            return ex.compare(node.payload, arguments[0], arguments[1])
        return ex.call(node.payload, tuple(arguments), to_2d_shape(node.shape))

    def _call(self, node: Node) -> Expression:
        rule, batch = node.payload
        arguments = tuple([self.read_once(part) for part, _ in node.parts])
        if not batch:
            return ex.call(rule, arguments, to_2d_shape(node.shape))
        # The batch axis of the index form stands first; in the matrix it is the axis that is not summed over.
        (matrix,), labels = arguments, node.parts[0][1]
        axis = 0 if labels[0] else 1
        other = self.transpose(matrix)
        if self.lengths(other) < self.lengths(matrix):
            matrix, axis = other, 1 - axis
        if node.rank == 1:
            return ex.call(rule, (matrix,), to_2d_shape(node.shape), axis)
        mapped = ex.call(rule, (matrix,), matrix.shape, axis)
        return transposed(mapped) if axis == 0 else mapped

    def _abstract(self, node: Node) -> Expression:
        name, order, result = node.payload
        argument = self.read_once(node.parts[0][0])
        if not order:
            return ex.abstract(name, argument, result)
        # D(u, x) has numerator layout: the axes of x in reverse, once for each order.
        whole = ex.abstract_derivative(name, argument, order, result)
        rank = node.parts[0][0].rank
        if rank < 2:
            return self._column_of(whole)
        letters = LETTERS[: node.rank]
        transposed = letters[: len(result)]
        for k in range(order):
            transposed += letters[len(result) + k * rank : len(result) + (k + 1) * rank][::-1]
        return ex.einsum(f"{transposed}->{letters}", (whole,))

    @staticmethod
    def _column_of(found: Expression) -> Expression:
        return transposed(found) if found.is_row else found

    def node_of(self, scalar: Expression) -> tuple[Node, Fraction]:
        """The node and exponent that a scalar was read from; a node that stands for the text where there is none."""
        node = self.nodes.get(scalar)
        if node is None:
            node = self.graph.intern("written", (), scalar)
        return (node.parts[0][0], node.payload) if node.op == "power" else (node, Fraction(1))

    def power_of(self, node: Node, exponent: Fraction) -> Expression:
        """The expression of node ** exponent."""
        return self.read(self.graph.power(node, exponent))

    def _power(self, node: Node) -> Expression:
        base, exponent = node.parts[0][0], node.payload
        if exponent < 0:
            return ex.divide(ex.number(1), self.read_once(self.graph.power(base, -exponent)))
        inner = self.read_once(base)
        if exponent == Fraction(1, 2):
            return call_shipped("sqrt", inner, inner.shape)
        plain = ex.power(inner, build_number(exponent))
        if exponent.denominator != 2:
            return plain
        root = ex.power(self.read_once(self.graph.power(base, Fraction(1, 2))), build_number(2 * exponent))
        return min((plain, root), key=self.lengths)


# --- product to term --------------------------------------------------------------------------------
#
# One product of the index form as a term of matrix notation: coefficient, scalars, and a chain of matrices.


def read_term(reader: MatrixReader, coefficient: Fraction, node: Node, letters: str) -> FactoredTerm:
    """One product as coefficient, scalar factors and a chain of matrices; read once, but for what has letters."""
    if node.op != "product":
        if node.rank == 0:
            return _scalar_term(coefficient, node)
        return FactoredTerm(coefficient, {}, (reader.read_once(node),))
    found = reader.terms.get(node.id) or _read_product(reader, node, letters)
    if all(item.op != "einsum" for item in found.items):
        reader.terms[node.id] = found
    return found if coefficient == 1 else replace(found, coefficient=coefficient * found.coefficient)


def _read_product(reader: MatrixReader, node: Node, letters: str) -> FactoredTerm:
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
            return _whole_sum(reader, node.payload, component)
        base, exponent = base_and_exponent(inner)
        scalars[base] = scalars.get(base, ZERO) + exponent
    write_means(reader, scalars)
    if not node.rank:
        return FactoredTerm(node.payload, scalars)
    network = build_network(reader, rest, range(node.rank))
    network.reduce()
    for scalar in network.scalars:
        base, exponent = reader.node_of(scalar)
        scalars[base] = scalars.get(base, ZERO) + exponent
    items = _items(network, dict(enumerate(node.shape)), letters)
    if node.rank <= 2:
        items = write_axis_sums(reader, items, scalars)
        items = pull_scalars(reader, items, scalars) if len(items) > 1 or items[0].op != "divide" else items
    return FactoredTerm(node.payload, scalars, items)


def _whole_sum(reader: MatrixReader, coefficient: Fraction, component: list[Part]) -> FactoredTerm:
    """A product that is one connected sum: a dot product, a trace, a quadratic form."""
    network = build_network(reader, component, ())
    network.reduce()
    if network.bound or network.others:
        return FactoredTerm(coefficient, {}, (product_of([*network.scalars, build_einsum(network, {}, LETTERS)]),))
    return FactoredTerm(coefficient, {}, (product_of(network.scalars),))


def build_network(reader: MatrixReader, parts: Sequence[Part], out: Sequence[int]) -> Network:
    """The factors of a product as a network whose axes are the points `out`."""
    sizes = {label: size for part, labels in parts for label, size in zip(labels, part.shape, strict=True)}
    network = Network(sizes, out, reader.transpose, reader.lengths, reader.writer.held)
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
        return (_without_einsum(build_einsum(network, sizes, letters)),)
    columns = [network.hadamard(network.pieces[k]) if network.pieces.get(k) else [] for k in sizes]
    if len(sizes) == 1:
        return tuple(columns[0] or [ex.filled("ones", sizes[0])])
    return tuple(_matrix(network, columns, sizes))


def _without_einsum(einsum: Expression) -> Expression:
    """An einsum that only repeats its one operand is that operand: D(u, X) for einsum('iba->iba', D(u, X))."""
    inputs, output = einsum.data[0].split("->")
    return einsum.args[0] if inputs == output and einsum.args[0].shape == einsum.shape else einsum


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


def read_sum(reader: MatrixReader, node: Node, explicit: bool, letters: str) -> list[FactoredTerm]:
    """The terms of a sum, each transposed to its shape.

    A scalar beside a vector or a matrix broadcasts, unless `explicit`, which still lets it beside a vector that is
    a function entry by entry; everything else that lacks an axis is written out with ones.
    """
    terms = []
    spelled = explicit and not (node.rank == 1 and _is_entrywise(node))
    for coefficient, part, labels in node.terms:
        if len(labels) < node.rank and (spelled or labels):
            missing = reader.graph.missing_ones(node.shape, labels)
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
    divisors = [factor.parts[0][0] for factor in _factors(part) if factor.op == "power" and factor.payload == -1]
    return any(divisor.op == "size" for divisor in divisors)


def _scalar_term(coefficient: Fraction, node: Node) -> FactoredTerm:
    if node.op == "number":
        return FactoredTerm(coefficient * node.payload)
    base, exponent = base_and_exponent(node)
    return FactoredTerm(coefficient, {base: exponent})


# --- tidy terms -------------------------------------------------------------------------------------
#
# Words for what a chain and its scalars say: mean(v) for sum(v)/n, sum(M, axis=1) for M @ ones(n).


def write_means(reader: MatrixReader, scalars: dict[Node, Fraction]) -> None:
    """sum(v)/n is mean(v)."""
    for node in [node for node, exponent in scalars.items() if exponent == 1]:
        found = reader.read(node)
        if not found.is_call("sum") or found.data[1] is not None:
            continue
        if _take_sizes(reader, scalars, found.args[0].squeezed_shape):
            del scalars[node]
            mean = ex.call(shipped_rules()["mean"], found.args, SCALAR)
            scalars[reader.graph.intern("written", (), mean)] = Fraction(1)


def _take_sizes(reader: MatrixReader, scalars: dict[Node, Fraction], shape: Shape) -> bool:
    """Remove the sizes of a shape from below the fraction bar, if all stand there."""
    letters = [letter for size in shape for letter in size.letters]
    nodes = [reader.graph.intern("size", (), letter) for letter in letters]
    if any(size.number != 1 for size in shape) or any(scalars.get(n, 0) > -nodes.count(n) for n in nodes):
        return False
    for node in nodes:
        scalars[node] += 1
        if not scalars[node]:
            del scalars[node]
    return True


def write_axis_sums(
    reader: MatrixReader, items: Sequence[Expression], scalars: dict[Node, Fraction]
) -> tuple[Expression, ...]:
    """M @ ones(n) is sum(M, axis=1), over n it is mean(M, axis=1); the same with ones(m).T @ M along axis 0."""
    written: list[Expression] = []
    for item in items:
        before = written.pop() if written else None
        if before is None:
            written = [item]
        elif item.is_filled("ones") and item.is_column and not (before.is_row or before.is_column):
            written.append(_axis_sum(reader, before, 1, scalars))
        elif before.op == "transpose" and before.args[0].is_filled("ones") and not item.is_column:
            written.append(transposed(_axis_sum(reader, item, 0, scalars)))
        else:
            written += [before, item]
    return tuple(written)


def _axis_sum(reader: MatrixReader, matrix: Expression, axis: int, scalars: dict[Node, Fraction]) -> Expression:
    if matrix.op == "transpose":
        matrix, axis = matrix.args[0], 1 - axis
    name = "mean" if _take_sizes(reader, scalars, (matrix.shape[axis],)) else "sum"
    return call_shipped(name, matrix, (matrix.shape[1 - axis], UNIT), axis)


def pull_scalars(
    reader: MatrixReader, items: Sequence[Expression], scalars: dict[Node, Fraction]
) -> tuple[Expression, ...]:
    """Move scalar divisors of the items in front: A.T @ (M/s) is A.T @ M over s."""
    pulled: list[Expression] = []
    for item in items:
        while item.op == "divide" and item.args[1].is_scalar and not item.args[0].is_scalar:
            item, divisor = item.args
            for factor in split_product(divisor):
                node, exponent = reader.node_of(factor)
                scalars[node] = scalars.get(node, Fraction(0)) - exponent
                if not scalars[node]:
                    del scalars[node]
        pulled.append(item)
    return tuple(pulled)


# --- index to einsum --------------------------------------------------------------------------------
#
# Index form as einsum: the notation that every rank has, and that a product falls back to.


# Up to so many factors the entries of a matrix or a vector are written out, sums and all.
_FEW_FACTORS = 6
EinsumTerm = tuple[Fraction, list[Expression], list[Expression], Expression | None]


def einsum_terms(reader: MatrixReader, node: Node, letters: str) -> list[EinsumTerm]:
    """The terms of a node: coefficient, scalars above and below the bar, and an einsum (None for a scalar)."""
    reader.read(node)
    found = []
    for coefficient, part, at in reader.graph.split_terms(node):
        missing = reader.graph.missing_ones(node.shape, at)
        expanded = reader.graph.product(coefficient, [(part, at), *missing], range(node.rank))
        amount, whole = reader.graph.split(expanded)
        reader.read(whole)
        found.append(_einsum_term(reader, amount, whole, letters))
    # A positive term first, as a reader would write it.
    first = next((k for k, term in enumerate(found) if term[0] > 0), 0)
    return [found[first], *found[:first], *found[first + 1 :]]


def _einsum_term(reader: MatrixReader, coefficient: Fraction, node: Node, letters: str) -> EinsumTerm:
    if node.op == "number":
        return coefficient * node.payload, [], [], None
    parts = list(node.factors)
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
    if node.rank > 2 or len(rest) > _FEW_FACTORS:
        network.reduce()
    network.invert_divisors()
    above += network.scalars
    return coefficient, above, below, build_einsum(network, dict(enumerate(node.shape)), letters)


def read_einsum(reader: MatrixReader, node: Node, letters: str) -> Expression:
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
