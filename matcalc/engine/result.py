"""From a typed expression to its derivative in index form, and from there to any layout."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, reduce
from itertools import product
from operator import mul

from matcalc.engine.assemble import trace_of, transposed_whole
from matcalc.engine.differentiate import differentiate_by_each
from matcalc.engine.expression_to_index import convert
from matcalc.engine.factor_terms import FactoredTerm
from matcalc.engine.index_form import Graph, Node
from matcalc.engine.index_to_matrix import MatrixReader, read_sum, read_term
from matcalc.engine.layout import Axis, arrange, is_row, mixed_axes
from matcalc.engine.meaning import apply_meaning
from matcalc.engine.network import LETTERS
from matcalc.engine.simplify import distributed, gathered, simplify
from matcalc.errors import LimitError, MatcalcError
from matcalc.language.declarations import measure_change
from matcalc.language.expression import Expression, filled, matmul, subtract, symbol, transpose, walk
from matcalc.language.sizes import UNIT, Shape
from matcalc.rule_files import RuleBook

MAX_RANK = 12


@dataclass(frozen=True)
class Result:
    """A derivative by the variables `by`, one after the other: a node with axes S_Y, then those of each variable.

    All views share the reader, and so do all results of one graph.  Of a derivative by a matrix whose entries are tied
    to each other `free` is the one with every entry free, which the differential is told by.
    """

    graph: Graph
    function: Node
    node: Node
    by: tuple[Expression, ...]
    reader: MatrixReader
    free: Result | None = None
    meaning: str = "free"

    @property
    def wrt(self) -> Expression:
        """The variable; of a mixed derivative the last one."""
        return self.by[-1]

    @property
    def order(self) -> int:
        """How often it was differentiated."""
        return len(self.by)

    @cached_property
    def axes(self) -> list[Axis]:
        """What each axis of the node is."""
        return mixed_axes(self.function.rank, self.ranks)

    @property
    def ranks(self) -> list[int]:
        """How many axes belong to each variable."""
        return [len(measure_change(wrt, self.meaning)) for wrt in self.by]

    @cached_property
    def letters(self) -> dict[Axis, str]:
        """One letter for each axis: i, j for the function, a, b for the variable, then c, d ...

        Names of variables are left out as long as there are others: df/dX[c,d] = a[c]*b[d].
        """
        taken = {node.payload.name for node in self.graph.nodes() if node.op == "variable"}
        own, other = (
            iter(sorted(letters, key=taken.__contains__)) for letters in ("ijklmn", "abcdefgh" + string.ascii_uppercase)
        )
        return {axis: next(own) if axis.of == "result" else next(other) for axis in self.axes}

    def arranged(self, layout: str) -> tuple[Node, list[Axis]]:
        """Return the node with its axes in the order of a layout, and those axes."""
        order = arrange(self.axes, layout)
        return self.graph.permuted(self.node, [self.axes.index(axis) for axis in order]), order

    def shape(self, layout: str) -> Shape:
        """The shape of the derivative in a layout, unit axes dropped."""
        if layout == "vec":
            # Rows and columns of d vec(Y) / d vec(X).T, written in the order of the axes: (m*l, n*k).
            split = self.node.rank - self.ranks[-1]
            sides = [self.node.shape[:split], self.node.shape[split:]]
            return tuple([reduce(mul, side, UNIT) for side in sides if side])
        return self.arranged(layout)[0].shape

    def expression(self, layout: str) -> Expression:
        """The derivative in a layout, in matrix notation where there is one."""
        if layout == "vec":
            return read_result(self.reader, self.vectorised(), row=self.is_row(layout))
        node, axes = self.arranged(layout)
        return read_result(self.reader, node, "".join(self.letters[axis] for axis in axes), self.is_row(layout))

    def is_row(self, layout: str) -> bool:
        """Whether it has a single axis in a layout, and that lies along a row."""
        return is_row(self.axes, layout, self.order)

    def vectorised(self) -> Node:
        """d vec(Y) / d vec(X).T: the axes of Y (and of earlier differentiations) fused, and those of X.

        Term by term, so that each becomes a Kronecker product of its own.
        """
        coefficient, inner = self.graph.split(distributed(self.graph, self.node, least_rank=3))
        if inner.op != "sum":
            return self._vectorise(self.node)
        terms = [
            (coefficient * c, self._vectorise(self.graph.repeated(part, at, self.node.shape)))
            for c, part, at in inner.terms
        ]
        shape = terms[0][1].shape
        axes = range(len(shape))
        return self.graph.sum([(c, term, axes) for c, term in terms], axes, shape)

    def _vectorise(self, node: Node) -> Node:
        labels = self.graph.fresh(node.rank)
        split = node.rank - self.ranks[-1]
        factors = [(node, labels)]
        ends = [self._fuse(group, factors) for group in (labels[:split], labels[split:])]
        return self.graph.product(1, factors, [end for group in ends for end in group])

    def _fuse(self, labels: tuple[int, ...], factors: list) -> tuple[int, ...]:  # type: ignore[type-arg]
        """Fuse axes into one, the last axis major, as stacking columns does."""
        sizes = dict(zip(factors[0][1], self.node.shape, strict=True))
        while len(labels) > 1:
            (whole,) = self.graph.fresh(1)
            first, second = labels[0], labels[1]
            fuse = self.graph.fuse(sizes[second], sizes[first])
            factors.append((fuse, (whole, second, first)))
            sizes[whole] = fuse.shape[0]
            labels = (whole, *labels[2:])
        return labels

    def pick(self, units: Sequence[Expression | None], entry: Expression) -> Result:
        """The derivative by an entry of the last variable, or by a part, that `entry` stands for.

        Of each axis a unit vector picks a place, a selection a range, None all.
        """
        labels, split = self.graph.fresh(self.node.rank), self.node.rank - len(units)
        factors, kept = [(self.node, labels)], list(labels[:split])
        for unit, label in zip(units, labels[split:], strict=True):
            if unit is None:
                kept.append(label)
                continue
            node = convert(self.graph, unit).node
            rows = self.graph.fresh(node.rank - 1)
            factors.append((node, (*rows, label)))
            kept += rows
        picked = self.graph.product(1, factors, tuple(kept))
        graph, (node,) = simplify(self.graph, [picked])
        return Result(graph, self.function, node, (*self.by[:-1], entry), MatrixReader(graph))

    def differential(self) -> Expression:
        """dY as an expression in dX, of order 1: the printed derivative times dX where it is a matrix."""
        if self.free is not None:
            return self.free.differential()
        whole = None if self.node.op == "zeros" or not self.node.rank else self._differential_of_matrix()
        if whole is not None and not self.function.rank:
            return whole
        by_terms = self._differential_by_terms()
        return by_terms if whole is None else min((by_terms, whole), key=self.reader.lengths)

    @cached_property
    def moving(self) -> Expression:
        """dX, a row where X is one; d_X where the reader has a variable of that name."""
        taken = {node.payload.name for node in self.graph.nodes() if node.op == "variable"}
        name = next(word for word in (f"d{self.wrt.name}", f"d_{self.wrt.name}", "delta_") if word not in taken)
        return symbol(name, self.wrt.shape if self.wrt.is_row else self.wrt.squeezed_shape)

    def _differential_of_matrix(self) -> Expression | None:
        """J @ dx, or trace(G @ dX) of a scalar function; None where there is no such form."""
        moving = self.moving
        rank = len(moving.squeezed_shape)
        if self.function.rank + rank > 2 or (self.function.rank and rank != 1):
            return None
        matrix = self.expression("numerator")
        if rank == 2:
            return trace_of(matrix, moving) if all(node.op != "einsum" for node in walk(matrix)) else None
        return matmul(matrix, transpose(moving) if moving.is_row else moving)

    def _differential_by_terms(self) -> Expression:
        labels = self.graph.fresh(self.node.rank)
        moving = self.graph.variable(self.moving)
        terms = []
        own = labels[: self.function.rank]
        for coefficient, part, at in self.graph.split_terms(self.node):
            placed = tuple([labels[k] for k in at])
            missing = [
                (self.graph.ones(self.node.shape[k]), (labels[k],)) for k in range(self.node.rank) if k not in at
            ]
            factors = [(part, placed), *missing, (moving, labels[self.function.rank :])]
            terms.append((coefficient, self.graph.product(1, factors, own), own))
        return read_result(self.reader, self.graph.sum(terms, own, self.function.shape))


def derive_result(
    expression: Expression, wrt: Expression, order: int = 1, rules: RuleBook | None = None, meaning: str = "free"
) -> Result:
    """Return the derivative of an expression by a variable, whose entries are free or tied by what is assumed of it.

    Raises MissingRuleError where a function on the way has no rule, LimitError beyond 12 axes and for what is
    nested too deeply.
    """
    return derive_each(expression, [[wrt]] * order, rules, meaning)[0]


def derive_each(
    expression: Expression, by: Sequence[Sequence[Expression]], rules: RuleBook | None = None, meaning: str = "free"
) -> list[Result]:
    """Return a derivative for each way to choose a variable from each of the sequences.

    [[x, y]] asks for both first derivatives, [[x, y], [x, y]] for the four second derivatives.  What they have
    in common is derived once: one backward pass through each function serves all variables.  Raises as
    `derive_result`.
    """
    for chosen in product(*by):
        rank = sum(len(each.squeezed_shape) for each in (expression, *chosen))
        if rank > MAX_RANK:
            raise LimitError(f"the derivative would have {rank} axes, more than {MAX_RANK}", advice="lower the order")
    try:
        return _derive(expression, by, rules, meaning)
    except RecursionError:
        raise LimitError("the expression is nested too deeply", advice="split it into parts") from None


def _derive(
    expression: Expression, by: Sequence[Sequence[Expression]], rules: RuleBook | None, meaning: str
) -> list[Result]:
    free = frozenset([wrt.name for wrts in by for wrt in wrts])
    graph = Graph(free, rules)
    function = convert(graph, expression).node
    found: list[tuple[Graph, Node, tuple[Expression, ...]]] = [(graph, function, ())]
    for step, wrts in enumerate(by, 1):
        still_free = free if step < len(by) else frozenset[str]()
        found = [derived for each in found for derived in _derive_again(*each, wrts, still_free)]
    readers = {id(graph): MatrixReader(graph) for graph, _, _ in found}
    results = [Result(graph, function, node, chosen, readers[id(graph)]) for graph, node, chosen in found]
    return results if meaning == "free" else [_give_meaning(result, meaning) for result in results]


def _derive_again(
    graph: Graph, node: Node, before: tuple[Expression, ...], wrts: Sequence[Expression], free: frozenset[str]
) -> Iterator[tuple[Graph, Node, tuple[Expression, ...]]]:
    """Yield the derivatives of a node by each variable, simplified in one graph, as they share most of their nodes."""
    derived = differentiate_by_each(graph, node, [graph.variable(wrt) for wrt in wrts])
    simplified, nodes = simplify(graph, derived, free)
    for wrt, one in zip(wrts, nodes, strict=True):
        yield simplified, one, (*before, wrt)


def _give_meaning(result: Result, meaning: str) -> Result:
    """Return a derivative with every entry free as the one in another meaning."""
    mapped = apply_meaning(result.graph, result.node, result.function.rank, result.by, meaning)
    graph, (node,) = simplify(result.graph, [mapped])
    return replace(result, graph=graph, node=node, reader=MatrixReader(graph), free=result, meaning=meaning)


def is_identical(left: Expression, right: Expression, rules: RuleBook | None = None) -> bool:
    """Whether two expressions of one shape, unit axes aside, come to the same index form.

    >>> from matcalc.language.text_to_expression import parse
    >>> is_identical(*parse(["(A + A.T) @ x", "A @ x + (x.T @ A).T"]).expressions)
    True
    """
    if left.shape != right.shape:
        right = transpose(right)
    graph = Graph(frozenset(), rules)
    try:
        difference = convert(graph, subtract(left, right)).node
        _, (simplified,) = simplify(graph, [difference])
    except (MatcalcError, RecursionError):
        return False
    return simplified.op == "zeros"


# --- read result ------------------------------------------------------------------------------------
#
# A derivative as the reader will see it: of the ways to write it the shortest that reads well.


# A whole formula is put under one .T only where that saves at least so many nodes.
OUTER_TRANSPOSE = 4
# Brackets are multiplied out only where that makes the text shorter than this share of it.
SPREAD_GAIN = 0.96


def read_result(reader: MatrixReader, node: Node, letters: str = LETTERS, row: bool = False) -> Expression:
    """Return the expression of a result; its sums repeat nothing silently but say ones(n).

    With `row` a tensor of rank 1 is read as a row.  A matrix is read as it stands and as the transpose of
    its transpose, a product as it stands and multiplied out, a sum also with what its terms share taken out, and
    the shorter one is taken.
    """
    found = _read_transposed(reader, node, letters, row)
    for other in (distributed(reader.graph, node, least_rank=2), gathered(reader.graph, node)):
        if other is not node:
            read = _read_transposed(reader, other, letters, row)
            found = read if reader.lengths(read) < SPREAD_GAIN * reader.lengths(found) else found
    return found


def _read_transposed(reader: MatrixReader, node: Node, letters: str, row: bool) -> Expression:
    reader.read(node)
    if node.op == "zeros":
        return filled("zeros", UNIT, *node.shape) if node.rank == 1 and row else reader.known[node.id]
    if node.rank == 1 and row:
        ways = [_written(reader, node, letters, True), transposed_whole(_written(reader, node, letters, False))]
    elif node.rank == 2:
        transposed = reader.graph.permuted(node, (1, 0))
        reader.read(transposed)
        other = _written(reader, transposed, letters[1::-1], False)
        here = _written(reader, node, letters, False)
        if _open_transposed_sum(reader, node) == _open_transposed_sum(reader, transposed):
            return min((here, other), key=reader.lengths)
        ways = [here, transposed_whole(other)]
    else:
        ways = [_written(reader, node, letters, False)] * 2
    return ways[1] if reader.lengths(ways[1]) <= reader.lengths(ways[0]) - OUTER_TRANSPOSE else ways[0]


def _written(reader: MatrixReader, node: Node, letters: str, row: bool) -> Expression:
    """The terms of a result written out, transposed to rows if asked for."""
    coefficient, inner = _open_transposed_sum(reader, node)
    for part, _ in inner.parts:
        reader.read(part)
    if inner.op != "sum":
        is_number = inner is reader.graph.one
        whole = FactoredTerm(coefficient) if is_number else read_term(reader, coefficient, inner, letters)
        return reader.writer.write(_row(reader, whole) if row else whole)
    terms = read_sum(reader, inner, True, letters)
    terms = [_row(reader, term) for term in terms] if row else terms
    plain = reader.writer.write_sum([replace(term, coefficient=term.coefficient * coefficient) for term in terms])
    if coefficient == 1:
        return plain
    outside = FactoredTerm(coefficient, {}, (reader.writer.write_sum(terms),))
    return min(reader.writer.write(outside), plain, key=reader.lengths)


def _open_transposed_sum(reader: MatrixReader, node: Node) -> tuple[Fraction, Node]:
    """The number in front and the rest; the transpose of a sum becomes a sum of transposes."""
    coefficient, inner = reader.graph.split(node)
    transposed = inner.op == "product" and len(inner.parts) == 1 and inner.parts[0][0].op == "sum"
    if not transposed or sorted(inner.parts[0][1]) != list(range(inner.rank)):
        return coefficient, inner
    total, labels = inner.parts[0]
    terms = [(c, part, [labels[k] for k in at]) for c, part, at in total.terms]
    more, opened = reader.graph.split(reader.graph.sum(terms, range(inner.rank), inner.shape))
    return coefficient * more, opened


def _row(reader: MatrixReader, term: FactoredTerm) -> FactoredTerm:
    return replace(term, items=tuple([reader.transpose(item) for item in reversed(term.items)]))
