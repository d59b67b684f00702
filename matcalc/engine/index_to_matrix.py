"""Index form -> typed expression: matrix notation where there is one, einsum where there is none.

A tensor of rank 1 is read as a column, one of rank 2 with axis 0 as rows.  What the user wrote is used
again wherever it is as short as what would be printed otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from matcalc.engine.assemble import Lengths, chain, compress, negated, number, product_of, quotient, transposed, transposed_whole
from matcalc.engine.factor_terms import Term, TermWriter
from matcalc.engine.index_form import Graph, Node, Part, reachable
from matcalc.engine.network import Network, as_diagonal
from matcalc.engine.rewrite_products import distributed
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size
from matcalc.rule_files import shipped_rules

# The user's own words are kept even where they are this many nodes longer than what would be printed.
OWN_WORDS = 4
# A whole formula is put under one .T only where that saves at least so many nodes.
OUTER_TRANSPOSE = 4
EinsumTerm = tuple[Fraction, list[Expression], list[Expression], Expression | None]
LETTERS = "ijklmnabcdefghopqrstuvwxyz"


class Reader:
    """Reads the nodes of one graph, each once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lengths = Lengths()
        self.known: dict[int, Expression] = {}
        self.own_transpose: set[Expression] = set()
        self.turned: dict[Expression, Expression] = {}
        self.writer = TermWriter(self._power_of, self.turn, self.lengths)

    def read(self, root: Node) -> Expression:
        """Return the expression of a node, reading what it is made of first."""
        if root.id not in self.known:
            for node in reachable(root):
                self._read_once(node)
        return self.known[root.id]

    def _read_once(self, node: Node) -> Expression:
        if node.id not in self.known:
            found = self._shorter(self._compute(node), self.graph.origins.get(node.id))
            self.known[node.id] = found
            if node.rank == 2 and (node.symmetric or self._turns_into_itself(node)):
                self.own_transpose.add(found)
        return self.known[node.id]

    def _turns_into_itself(self, node: Node) -> bool:
        """Whether a sum is symmetric; else its transpose is read too, to be used where it is shorter."""
        if node.op != "sum":
            return False
        turned = self._turned_sum(node)
        if turned is node:
            return True
        if turned.op == "sum" and turned.id not in self.known:
            self.read(turned)
        if turned.op == "sum" and turned.id in self.known:
            here, there = self.known[node.id], self.known[turned.id]
            if self.lengths(there) < self.lengths(here) + 2:
                self.turned[here] = there
            if self.lengths(here) < self.lengths(there) + 2:
                self.turned[there] = here
        return False

    def _turned_sum(self, node: Node) -> Node:
        """The transpose of a sum, term by term."""
        terms = [
            (coefficient, part, [1 - k for k in labels])
            for coefficient, (part, labels) in zip(node.payload, node.parts, strict=True)
        ]
        return self.graph.sum(terms, (0, 1), node.shape[::-1])

    def _shorter(self, computed: Expression, written: Expression | None) -> Expression:
        """The user's own words, if they are not longer."""
        if written is None:
            return computed
        if written.op == "call" and written.data[2]:
            rule, axis, _ = written.data
            shape = written.shape if axis else written.shape[::-1]
            written = ex.call(rule, written.args, shape, axis)
        if written.is_row:
            written = transposed(written)
        same = written.shape == computed.shape
        return written if same and self.lengths(written) <= self.lengths(computed) + OWN_WORDS else computed

    def turn(self, item: Expression) -> Expression:
        """The transpose of an item of a chain, nothing for a symmetric matrix."""
        if item in self.own_transpose:
            return item
        if item.op == "transpose" and item.args[0] in self.own_transpose:
            return item.args[0]
        if item in self.turned:
            return self.turned[item]
        if item.op in {"add", "subtract"} and len(item.shape) == 2 and not (item.is_row or item.is_column):
            return self._turn_sum(item)
        return transposed(item)

    def _turn_sum(self, item: Expression) -> Expression:
        """The transpose of a written sum, term by term where that is shorter; A + A.T is its own."""
        left, right = item.args
        if left.is_scalar or right.is_scalar:
            return transposed(item)
        parts = [self.turn(left), self.turn(right)]
        if item.op == "add" and parts == [right, left]:
            return item
        by_terms = (ex.add if item.op == "add" else ex.subtract)(*parts)
        return min((transposed(item), by_terms), key=self.lengths)

    def read_result(self, node: Node, letters: str = LETTERS, row: bool = False) -> Expression:
        """Return the expression of a result; its sums repeat nothing silently but say ones(n).

        With `row` a tensor of rank 1 is read as a row.  A matrix is read as it stands and as the transpose of
        its transpose, a product as it stands and multiplied out, and the shorter one is taken.
        """
        found = self._read_turned(node, letters, row)
        spread = distributed(self.graph, node)
        if spread is node:
            return found
        return min((found, self._read_turned(spread, letters, row)), key=self.lengths)

    def _read_turned(self, node: Node, letters: str, row: bool) -> Expression:
        self.read(node)
        if node.op == "zeros":
            return self.known[node.id]
        if node.rank == 1 and row:
            ways = [self._written(node, letters, True), transposed_whole(self._written(node, letters, False))]
        elif node.rank == 2:
            turned = self.graph.permuted(node, (1, 0))
            self.read(turned)
            ways = [self._written(node, letters, False), transposed_whole(self._written(turned, letters[1::-1], False))]
        else:
            ways = [self._written(node, letters, False)] * 2
        return ways[1] if self.lengths(ways[1]) <= self.lengths(ways[0]) - OUTER_TRANSPOSE else ways[0]

    def _written(self, node: Node, letters: str, row: bool) -> Expression:
        """The terms of a result written out, turned to rows if asked for."""
        coefficient, inner = self.graph.split(node)
        if inner.op == "product" and len(inner.parts) == 1 and inner.parts[0][0].op == "sum":
            tall, labels = inner.parts[0]
            if sorted(labels) == list(range(inner.rank)):
                terms = [(c, part, [labels[k] for k in at]) for c, (part, at) in zip(tall.payload, tall.parts, strict=True)]
                coefficient_inner, inner = self.graph.split(self.graph.sum(terms, range(inner.rank), inner.shape))
                coefficient *= coefficient_inner
        for part, _ in inner.parts:
            self.read(part)
        if inner.op != "sum":
            whole = Term(coefficient, {}, ()) if inner is self.graph.one else self._term(coefficient, inner, letters)
            return self.writer.write(self._row(whole) if row else whole)
        terms = self._sum_terms(inner, True, letters)
        if coefficient != 1:
            inside = self.writer.write_sum([self._row(term) if row else term for term in terms])
            outside = Term(coefficient, {}, (inside,))
            spread = [replace(term, coefficient=term.coefficient * coefficient) for term in terms]
            spread = [self._row(term) if row else term for term in spread]
            return min(self.writer.write(outside), self.writer.write_sum(spread), key=self.lengths)
        return self.writer.write_sum([self._row(term) if row else term for term in terms])

    def _row(self, term: Term) -> Term:
        return replace(term, items=tuple([self.turn(item) for item in reversed(term.items)]))

    # --- einsum -----------------------------------------------------------------------------------

    def einsum_terms(self, node: Node, letters: str) -> list[EinsumTerm]:
        """The terms of a node, each as coefficient, scalars above and below the bar, and an einsum (None for scalars)."""
        self.read(node)
        coefficient, inner = self.graph.split(node)
        tops = [(Fraction(1), inner, tuple(range(node.rank)))]
        if inner.op == "sum":
            tops = [(c, part, at) for c, (part, at) in zip(inner.payload, inner.parts, strict=True)]
        found = []
        for c, part, at in tops:
            missing = [(self.graph.ones(size), (k,)) for k, size in enumerate(node.shape) if k not in at]
            amount, whole = self.graph.split(self.graph.product(c * coefficient, [(part, at), *missing], range(node.rank)))
            self.read(whole)
            found.append(self._einsum_term(amount, whole, letters))
        return found

    def _einsum_term(self, coefficient: Fraction, node: Node, letters: str) -> EinsumTerm:
        if node.op == "number":
            return coefficient * node.payload, [], [], None
        parts = list(node.parts) if node.op == "product" else [(node, tuple(range(node.rank)))]
        if node.op == "zeros":
            return Fraction(0), [], [], None
        above: list[Expression] = []
        below: list[Expression] = []
        rest: list[Part] = []
        for component in _components(parts, node.rank):
            if any(label < node.rank for _, labels in component for label in labels):
                rest += component
                continue
            inner = component[0][0] if component[0][1] == () else self.graph.product(1, component, ())
            base, exponent = _base_and_exponent(inner)
            (above if exponent > 0 else below).append(self._power_of(base, abs(exponent)))
        if not node.rank:
            return coefficient, above, below, None
        network = self._network(rest, range(node.rank))
        network.reduce()
        above += network.scalars
        return coefficient, above, below, self._einsum(network, dict(enumerate(node.shape)), letters)

    def read_einsum(self, node: Node, letters: str) -> Expression:
        """The sum of the einsum terms as one expression."""
        if node.op == "zeros":
            return self.read(node)
        whole: Expression | None = None
        for coefficient, above, below, einsum in self.einsum_terms(node, letters):
            positive = quotient(abs(coefficient), above, [einsum] if einsum is not None else [], below)
            if whole is None:
                whole = positive if coefficient > 0 else negated(positive)
            else:
                whole = (ex.add if coefficient > 0 else ex.subtract)(whole, positive)
        assert whole is not None
        return whole

    # --- nodes ------------------------------------------------------------------------------------

    def _compute(self, node: Node) -> Expression:
        match node.op:
            case "variable":
                symbol: Expression = node.payload
                return transposed(symbol) if symbol.is_row else symbol
            case "number":
                return number(node.payload)
            case "constant":
                return ex.constant(node.payload)
            case "size":
                return ex.size_value(Size((node.payload,)))
            case "zeros" | "ones":
                return ex.filled(node.op, *node.shape)
            case "delta":
                return ex.filled("eye", node.shape[0])
            case "lower":
                ones = ex.filled("ones", *node.shape)
                return ex.call(shipped_rules()["tril"], (ones,), ones.shape)
            case "fuse":
                return ex.filled("fuse", *node.shape[1:])
            case "product":
                return self.writer.write(self._term(Fraction(1), node, LETTERS))
            case "sum":
                return self._sum(node, False, LETTERS)
            case "power":
                return self._power(node)
            case "mean":
                return ex.call(shipped_rules()["mean"], (self._read_once(node.parts[0][0]),), SCALAR)
            case "general_power":
                base, exponent = [self._placed(part, node.shape) for part in node.parts]
                return ex.power(base, exponent)
            case "apply":
                return self._apply(node)
            case "call":
                return self._call(node)
        return self._abstract(node)

    def _placed(self, part: Part, shape: Shape) -> Expression:
        """An operand of an elementwise node, turned so that it broadcasts along the axes it lacks."""
        operand, labels = part
        found = self._read_once(operand)
        if len(shape) == 2 and labels == (1,) or labels == (1, 0):
            return self.turn(found)
        return found

    def _apply(self, node: Node) -> Expression:
        arguments = [self._placed(part, node.shape) for part in node.parts]
        if isinstance(node.payload, str):
            return ex.compare(node.payload, arguments[0], arguments[1])
        return ex.call(node.payload, tuple(arguments), _held(node.shape))

    def _call(self, node: Node) -> Expression:
        rule, batch = node.payload
        arguments = tuple([self._read_once(part) for part, _ in node.parts])
        if not batch:
            return ex.call(rule, arguments, _held(node.shape))
        # The batch axis of the index form stands first; in the matrix it is the axis that is not summed over.
        (matrix,), labels = arguments, node.parts[0][1]
        axis = 0 if labels[0] else 1
        if node.rank == 1:
            return ex.call(rule, (matrix,), _held(node.shape), axis)
        mapped = ex.call(rule, (matrix,), matrix.shape, axis)
        return self.turn(mapped) if axis == 0 else mapped

    def _abstract(self, node: Node) -> Expression:
        name, order, result = node.payload
        argument = self._read_once(node.parts[0][0])
        if not order:
            return ex.abstract(name, argument, result)
        # D(u, x) has numerator layout: the axes of x in reverse, once for each order.
        whole = ex.abstract_derivative(name, argument, order, result)
        rank = node.parts[0][0].rank
        if rank < 2:
            return self._column_of(whole)
        letters = LETTERS[: node.rank]
        turned = letters[: len(result)]
        for k in range(order):
            turned += letters[len(result) + k * rank : len(result) + (k + 1) * rank][::-1]
        return ex.einsum(f"{turned}->{letters}", (whole,))

    @staticmethod
    def _column_of(found: Expression) -> Expression:
        return transposed(found) if found.is_row else found

    # --- powers -----------------------------------------------------------------------------------

    def _power_of(self, node: Node, exponent: Fraction) -> Expression:
        return self.read(self.graph.power(node, exponent))

    def _power(self, node: Node) -> Expression:
        base, exponent = node.parts[0][0], node.payload
        if exponent < 0:
            return ex.divide(ex.number(1), self._read_once(self.graph.power(base, -exponent)))
        inner = self._read_once(base)
        if exponent == Fraction(1, 2):
            return ex.call(shipped_rules()["sqrt"], (inner,), inner.shape)
        plain = ex.power(inner, number(exponent))
        if exponent.denominator != 2:
            return plain
        root = ex.power(self._read_once(self.graph.power(base, Fraction(1, 2))), number(2 * exponent))
        return min((plain, root), key=self.lengths)

    # --- products ---------------------------------------------------------------------------------

    def _term(self, coefficient: Fraction, node: Node, letters: str) -> Term:
        """One product as coefficient, scalar factors and a chain of matrices."""
        if node.op != "product":
            if node.rank == 0:
                return _scalar_term(coefficient, node)
            return Term(coefficient, {}, (self._read_once(node),))
        scalars: dict[Node, Fraction] = {}
        rest: list[Part] = []
        components = _components(node.parts, node.rank)
        for component in components:
            open_axes = any(label < node.rank for _, labels in component for label in labels)
            if open_axes:
                rest += component
                continue
            inner = component[0][0] if component[0][1] == () else self.graph.product(1, component, ())
            if len(components) == 1 and component[0][1] != ():
                return self._whole_sum(coefficient * node.payload, component)
            base, exponent = _base_and_exponent(inner)
            scalars[base] = scalars.get(base, Fraction(0)) + exponent
        self._write_means(scalars)
        items = self._items(rest, node.shape, letters) if node.rank else ()
        return Term(coefficient * node.payload, scalars, items)

    def _write_means(self, scalars: dict[Node, Fraction]) -> None:
        """sum(v)/n is mean(v)."""
        for node in [node for node, exponent in scalars.items() if exponent == 1]:
            summed = node.op == "product" and node.payload == 1 and len(node.parts) == 1 and len(set(node.parts[0][1]))
            part = node.parts[0][0] if summed else None
            if part is None or part.rank != summed or any(len(size.letters) != 1 for size in part.shape):
                continue
            letters = [self.graph.intern("size", (), size.letters[0]) for size in part.shape]
            if len(set(letters)) < len(letters) or any(scalars.get(letter, 0) > -1 for letter in letters):
                continue
            for letter in letters:
                scalars[letter] += 1
                if not scalars[letter]:
                    del scalars[letter]
            del scalars[node]
            scalars[self.graph.intern("mean", (), None, ((part, tuple(range(part.rank))),))] = Fraction(1)

    def _whole_sum(self, coefficient: Fraction, component: list[Part]) -> Term:
        """A product that is one connected sum: a dot product, a trace, a quadratic form."""
        network = self._network(component, ())
        network.reduce()
        if network.bound or network.others:
            return Term(coefficient, {}, (self._einsum(network, {}, LETTERS),))
        return Term(coefficient, {}, (product_of(network.scalars),))

    def _network(self, parts: Sequence[Part], out: Sequence[int]) -> Network:
        sizes = {label: size for part, labels in parts for label, size in zip(labels, part.shape, strict=True)}
        network = Network(sizes, out, self.turn, self.lengths)
        for part, labels in parts:
            if part.op == "ones":
                continue
            base, exponent = _base_and_exponent(part)
            divides = exponent < 0
            factor = self._read_once(self.graph.power(base, -exponent) if divides else part)
            network.add(factor, labels, divides, part.op == "delta")
        return network

    def _items(self, parts: list[Part], shape: Shape, letters: str) -> tuple[Expression, ...]:
        """The chain of a product with axes: a column for one axis, rows and columns for two."""
        axes = range(len(shape))
        network = self._network(parts, axes)
        network.reduce()
        sizes = dict(enumerate(shape))
        if network.bound or network.others or len(shape) > 2:
            return (*network.scalars, self._einsum(network, sizes, letters))
        columns = [self._column(network, k, sizes[k]) for k in axes]
        if len(shape) == 1:
            return (*network.scalars, *(columns[0] or [ex.filled("ones", sizes[0])]))
        return (*network.scalars, *self._matrix(network, columns, sizes))

    @staticmethod
    def _column(network: Network, point: int, size: Size) -> list[Expression]:
        pieces = network.pieces.get(point, [])
        return network.hadamard(pieces) if pieces else []

    def _matrix(
        self, network: Network, columns: list[list[Expression]], sizes: dict[int, Size]
    ) -> list[Expression]:
        """diag(u) @ M @ diag(v), diag(u), eye(n), u @ v.T, or ones(m, n)."""
        matrices = [edge for edge in network.edges if not edge.identity]
        if network.edges and not matrices:
            return [as_diagonal(chain(columns[0]))] if columns[0] else [ex.filled("eye", sizes[0])]
        if not network.edges:
            if not columns[0] and not columns[1]:
                return [ex.filled("ones", sizes[0], sizes[1])]
            left, right = [column or [ex.filled("ones", sizes[k])] for k, column in enumerate(columns)]
            return [*left, *network.reversed(right)]
        edge = matrices[0]
        items = edge.items if edge.start == 0 else network.reversed(edge.items)
        left = [as_diagonal(chain(columns[0]))] if columns[0] else []
        right = [as_diagonal(chain(columns[1]))] if columns[1] else []
        return [*left, *items, *right]

    def _einsum(self, network: Network, sizes: dict[int, Size], letters: str) -> Expression:
        """What is left of a network as one einsum: a letter for each axis, more for the sums that stay."""
        bound = network.bound
        free = [letter for letter in "pqrstuvwxyzcdefgh" if letter not in letters[: len(sizes)]]
        names = {k: letters[k] for k in sizes} | dict(zip(bound, free, strict=False))
        words: list[str] = []
        operands: list[Expression] = []
        for edge in network.edges:
            word, operand = names[edge.start] + names[edge.end], chain(compress(edge.items))
            turned = chain(compress(network.reversed(edge.items)))
            if self.lengths(turned) < self.lengths(operand):
                word, operand = word[::-1], turned
            words.append(word)
            operands.append(operand)
        for point, pieces in network.pieces.items():
            words.append(names[point])
            operands.append(chain(network.hadamard(pieces)))
        for other, labels in network.others:
            words.append("".join(names[label] for label in labels))
            operands.append(other)
        for k, size in sizes.items():
            if not any(names[k] in word for word in words):
                words.append(names[k])
                operands.append(ex.filled("ones", size))
        order = sorted(range(len(words)), key=lambda k: [letters.find(letter) % 99 for letter in words[k]])
        subscripts = ",".join(words[k] for k in order) + "->" + "".join(names[k] for k in sizes)
        return ex.einsum(subscripts, tuple([operands[k] for k in order]))

    # --- sums -------------------------------------------------------------------------------------

    def _sum(self, node: Node, explicit: bool, letters: str) -> Expression:
        """The terms of a sum, each turned to the shape of the sum.

        A term that lacks an axis is repeated along it: a scalar beside a vector or a matrix broadcasts (unless
        `explicit`), everything else is written out with ones.
        """
        return self.writer.write_sum(self._sum_terms(node, explicit, letters))

    def _sum_terms(self, node: Node, explicit: bool, letters: str) -> list[Term]:
        return [
            self._term_along(coefficient, part, labels, node.shape, explicit, letters)
            for coefficient, (part, labels) in zip(node.payload, node.parts, strict=True)
        ]

    def _term_along(
        self, coefficient: Fraction, part: Node, labels: tuple[int, ...], shape: Shape, explicit: bool, letters: str
    ) -> Term:
        rank = len(shape)
        if len(labels) == rank:
            return self._term(coefficient, part, letters)
        if rank > 2 or explicit or labels:
            missing = [(self.graph.ones(size), (k,)) for k, size in enumerate(shape) if k not in labels]
            return self._term(coefficient, self.graph.product(1, [(part, labels), *missing], range(rank)), letters)
        term = self._term(coefficient, part, letters)
        return term


def _held(shape: Shape) -> Shape:
    return shape + (UNIT,) * (2 - len(shape)) if shape else SCALAR


def _base_and_exponent(node: Node) -> tuple[Node, Fraction]:
    return (node.parts[0][0], node.payload) if node.op == "power" else (node, Fraction(1))


def _scalar_term(coefficient: Fraction, node: Node) -> Term:
    if node.op == "number":
        return Term(coefficient * node.payload)
    base, exponent = _base_and_exponent(node)
    return Term(coefficient, {base: exponent})


def _components(factors: Sequence[Part], rank: int) -> list[list[Part]]:
    """The factors of a product in groups that share indices which are summed over."""
    groups: list[tuple[set[int], list[Part]]] = []
    for part, labels in factors:
        bound = {label for label in labels if label >= rank}
        joined = [group for group in groups if group[0] & bound]
        parts = [factor for group in joined for factor in group[1]] + [(part, labels)]
        groups = [group for group in groups if group not in joined]
        groups.append((bound.union(*[group[0] for group in joined]) if joined else bound, parts))
    return [parts for _, parts in groups]
