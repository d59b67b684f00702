"""Index form -> typed expression: matrix notation where there is one, einsum where there is none.

A tensor of rank 1 is read as a column, one of rank 2 with axis 0 as rows.  What the user wrote is used
again wherever it is not much longer than what would be printed otherwise.
"""

from __future__ import annotations

from fractions import Fraction

from matcalc.engine.assemble import Lengths, as_column, number, transposed
from matcalc.engine.factor_terms import TermWriter
from matcalc.engine.index_form import Graph, Node, Part, reachable
from matcalc.engine.network_to_einsum import LETTERS
from matcalc.engine.product_to_term import read_sum, read_term
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, Shape, Size, hold
from matcalc.rule_files import shipped_rules

# The user's own words are kept even where they are this many nodes longer than what would be printed.
OWN_WORDS = 3


class Reader:
    """Reads the nodes of one graph, each once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lengths = Lengths()
        self.known: dict[int, Expression] = {}
        self.nodes: dict[Expression, Node] = {}
        self.own_transpose: set[Expression] = set()
        self.turned: dict[Expression, Expression] = {}
        variables = [node for node in graph.nodes() if node.op == "variable"]
        self.letters = {letter for node in variables for size in node.shape for letter in size.letters}
        self.writer = TermWriter(self.power_of, self.turn, self.lengths)

    def read(self, root: Node) -> Expression:
        """Return the expression of a node, reading what it is made of first."""
        if root.id not in self.known:
            for node in reachable(root):
                self.read_once(node)
        return self.known[root.id]

    def read_once(self, node: Node) -> Expression:
        """The expression of a node whose operands have been read."""
        if node.id not in self.known:
            found = self._shorter(node, self._compute(node), self.graph.origins.get(node.id))
            self.known[node.id] = found
            self.nodes.setdefault(found, node)
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

    def turn(self, item: Expression) -> Expression:
        """The transpose of an item of a chain, nothing for a symmetric matrix."""
        if item in self.own_transpose:
            return item
        if item.op == "transpose" and item.args[0] in self.own_transpose:
            return item.args[0]
        if item in self.turned:
            return self.turned[item]
        if item.is_row or item.is_column or len(item.shape) != 2:
            return transposed(item)
        if item.op in {"add", "subtract"}:
            return self._turn_sum(item)
        if item.op in {"multiply", "divide", "power", "negate"}:
            return self._turn_entrywise(item)
        return transposed(item)

    def _turn_entrywise(self, item: Expression) -> Expression:
        """(A*B.T).T is A.T*B, where that is not longer."""
        args = [arg if arg.is_scalar else self.turn(arg) for arg in item.args]
        pushed = ex.negate(*args) if item.op == "negate" else ex.elementwise(item.op, args[0], args[1])
        return min((pushed, transposed(item)), key=self.lengths)

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
                return self._size(Size((node.payload,)))
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
                return self.writer.write(read_term(self, Fraction(1), node, LETTERS))
            case "held":
                return self.read_once(node.parts[0][0])
            case "sum":
                return self._sum(node, False, LETTERS)
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
        if size.letters[0] in self.letters:
            return ex.size_value(size)
        return ex.call(shipped_rules()["sum"], (ex.filled("ones", size),), SCALAR)

    def _placed(self, part: Part, shape: Shape) -> Expression:
        """An operand of an elementwise node, turned so that it broadcasts along the axes it lacks."""
        operand, labels = part
        found = self.read_once(operand)
        if (len(shape) == 2 and labels == (1,)) or labels == (1, 0):
            return self.turn(found)
        return found

    def _apply(self, node: Node) -> Expression:
        arguments = [self._placed(part, node.shape) for part in node.parts]
        if isinstance(node.payload, str):
            return ex.compare(node.payload, arguments[0], arguments[1])
        return ex.call(node.payload, tuple(arguments), hold(node.shape))

    def _call(self, node: Node) -> Expression:
        rule, batch = node.payload
        arguments = tuple([self.read_once(part) for part, _ in node.parts])
        if not batch:
            return ex.call(rule, arguments, hold(node.shape))
        # The batch axis of the index form stands first; in the matrix it is the axis that is not summed over.
        (matrix,), labels = arguments, node.parts[0][1]
        axis = 0 if labels[0] else 1
        turned = self.turn(matrix)
        if self.lengths(turned) < self.lengths(matrix):
            matrix, axis = turned, 1 - axis
        if node.rank == 1:
            return ex.call(rule, (matrix,), hold(node.shape), axis)
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
        turned = letters[: len(result)]
        for k in range(order):
            turned += letters[len(result) + k * rank : len(result) + (k + 1) * rank][::-1]
        return ex.einsum(f"{turned}->{letters}", (whole,))

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
            return ex.call(shipped_rules()["sqrt"], (inner,), inner.shape)
        plain = ex.power(inner, number(exponent))
        if exponent.denominator != 2:
            return plain
        root = ex.power(self.read_once(self.graph.power(base, Fraction(1, 2))), number(2 * exponent))
        return min((plain, root), key=self.lengths)

    def _sum(self, node: Node, explicit: bool, letters: str) -> Expression:
        """The terms of a sum, each turned to the shape of the sum.

        A term that lacks an axis is repeated along it: a scalar beside a vector or a matrix broadcasts (unless
        `explicit`), everything else is written out with ones.
        """
        return self.writer.write_sum(read_sum(self, node, explicit, letters))
