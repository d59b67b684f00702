"""The computation graph of an expression: operations, local derivatives on the edges, the cost of both modes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from matcalc.engine.result import derive_result
from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, list_letters, rebuild, symbol, symbols, transpose, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import replace as rewrite
from matcalc.language.sizes import Shape, check_sizes, write_shape
from matcalc.render.graph_costs import (
    Accumulation,
    Peak,
    Polynomial,
    accumulate_forward,
    accumulate_in_reverse,
    count_direction,
)
from matcalc.render.graph_picture import Drawing, DrawingError, lay_out, write_dot, write_mermaid, write_png, write_svg
from matcalc.render.report import align_columns
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.render.graph_table import GraphTable


@dataclass(frozen=True)
class ComputationGraph:
    """The operations of an expression, each distinct one once, and what differentiating it by one variable costs.

    `nodes` stand operands first, the result last; `edges` carry the local derivatives in numerator layout;
    `forward` and `reverse` tell the order of visits and the cost.  `sizes`, if given, are the numbers for which
    the costs are told as well.  In a notebook it shows itself: drawn, or as Mermaid where grandalf is not installed.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    wrt: Expression
    sizes: Mapping[str, int] | None = None

    @property
    def result(self) -> GraphNode:
        """The node of the whole expression."""
        return self.nodes[-1]

    @cached_property
    def forward(self) -> Accumulation:
        """Forward accumulation: from the variable to the result."""
        return accumulate_forward(self)

    @cached_property
    def reverse(self) -> Accumulation:
        """Reverse accumulation: from the result to the variable."""
        return accumulate_in_reverse(self)

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of all sizes, in the order of their appearance."""
        return list_letters(self.wrt, *(node.expression for node in self.nodes))

    def with_sizes(self, sizes: Mapping[str, int]) -> ComputationGraph:
        """Return the same graph, its costs told in numbers too; raises DeclarationError for sizes that do not fit."""
        for letter in self.letters:
            if letter not in sizes:
                advice = f"give every size: {', '.join(f'{each}=3' for each in self.letters)}"
                raise DeclarationError(f"the size {letter} has no number", advice=advice)
        check_sizes(sizes, self.letters)
        return replace(self, sizes=dict(sizes))

    @cached_property
    def drawing(self) -> Drawing:
        """Where everything lies in the picture; raises DrawingError where grandalf is not installed."""
        return lay_out(self.nodes, self.edges)

    def to_dot(self) -> str:
        """The graph as text in Graphviz's language DOT."""
        return write_dot(self.nodes, self.edges)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart, which Markdown viewers draw."""
        return write_mermaid(self.nodes, self.edges)

    def to_svg(self) -> str:
        """The drawn graph; raises DrawingError where grandalf is not installed."""
        return write_svg(self.drawing)

    def to_png(self) -> bytes:
        """The drawn graph; raises DrawingError where grandalf and matplotlib are not installed."""
        return write_png(self.drawing)

    def table(self) -> GraphTable:
        """The nodes, the local derivatives and both modes as tables with typeset symbols, for a notebook."""
        from matcalc.render.graph_table import write_graph_table

        return write_graph_table(self)

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain data."""
        return {
            "wrt": self.wrt.name,
            "result": self.result.name,
            "nodes": [node.to_dict() for node in self.nodes],
            "edges": [edge.to_dict() for edge in self.edges],
            "forward": self.forward.to_dict(self.sizes),
            "reverse": self.reverse.to_dict(self.sizes),
            "sizes": dict(self.sizes) if self.sizes is not None else None,
        }

    def __str__(self) -> str:
        return _write_text(self)

    def _repr_svg_(self) -> str | None:
        try:
            return self.to_svg()
        except DrawingError:
            return None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        svg = self._repr_svg_()
        if svg is not None:
            return {"text/plain": str(self), "image/svg+xml": svg}
        mermaid = self.to_mermaid()
        drawn_by_others = {"text/vnd.mermaid": mermaid, "text/markdown": f"```mermaid\n{mermaid}```\n"}
        return {"text/plain": str(self), **drawn_by_others}


def write_graph(
    derivative: Derivative, rules: RuleBook, sizes: Mapping[str, int] | None = None
) -> ComputationGraph:
    """Return the computation graph of the function of a derivative, whatever its layout and order.

    `rules` is the book that it was derived with; `sizes` are numbers for the letters of the sizes.  Raises
    MissingRuleError where an operation has no rule, and DeclarationError for sizes that do not fit.

    >>> from matcalc.derivation import derive
    >>> from matcalc.rule_files import shipped_rules
    >>> graph = write_graph(derive("norm(A @ x - b)**2", "x"), shipped_rules(), {"p": 100, "n": 1000})
    >>> print(graph.reverse.multiplications, "=", graph.reverse.count(graph.sizes)["multiplications"])
    n*p + p + 1 = 100101
    >>> graph.forward.count(graph.sizes)["multiplications"]
    100101000
    """
    problem = derivative.problem
    taken = {*problem.symbols, *problem.abstract, *derivative.declared, *list_letters(derivative.function)}
    nodes = _list_nodes(derivative.function, derivative.wrt, derivative.result_name, taken)
    graph = ComputationGraph(tuple(nodes), tuple(_list_edges(nodes, rules)), derivative.wrt)
    return graph if sizes is None else graph.with_sizes(sizes)


# --- nodes ----------------------------------------------------------------------------------------

_OPERATORS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "matmul": "@",
    "negate": "-", "transpose": ".T", "abstract_derivative": "D",
}  # fmt: skip


@dataclass(frozen=True)
class GraphNode:
    """One distinct sub-expression: a variable ("input"), or an operation on other nodes.

    `text` is the operation in the names of its operands, v2 = tanh(v1); numbers and other constants are part of
    it and no nodes.  `varies` says whether it is on a way from the variable to the result.
    """

    name: str
    operator: str
    text: str
    operands: tuple[str, ...]
    varies: bool
    expression: Expression = field(repr=False)
    body: Expression = field(repr=False)
    symbol: Expression = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The shape, unit axes dropped."""
        return self.expression.squeezed_shape

    @property
    def shape_told(self) -> str:
        """The shape as the reader sees it: (m, n), a row as (1, n), a scalar."""
        return write_shape(self.expression.shape if self.expression.is_row else self.shape)

    @property
    def is_input(self) -> bool:
        """Whether the node is a variable."""
        return self.operator == "input"

    @property
    def is_view(self) -> bool:
        """Whether the node is a transpose, which holds no numbers of its own."""
        return self.expression.op == "transpose"

    @property
    def formula(self) -> str:
        """The node in the variables themselves; raises LimitError where that has more than 100,000 characters."""
        return to_text(self.expression)

    def to_dict(self) -> dict[str, object]:
        """The node as plain data."""
        return {
            "name": self.name, "operator": self.operator, "text": self.text, "operands": list(self.operands),
            "shape": [str(size) for size in self.shape], "varies": self.varies,
        }  # fmt: skip


def _list_nodes(root: Expression, wrt: Expression, result_name: str, taken: Collection[str]) -> list[GraphNode]:
    """Return the nodes, operands before what uses them, the result last; the variable is one in any case."""
    drawn = _list_drawn(root, wrt)
    names = _name_nodes(drawn, root, result_name, taken)
    known = {node: node.data[1] if node.op == "symbol" else frozenset() for node in drawn}
    table = {node: symbol(names[node], node.shape, known[node]) for node in drawn}
    varying = _list_varying(drawn, wrt)
    return [_make_node(node, table, node in varying) for node in drawn]


def _list_drawn(root: Expression, wrt: Expression) -> list[Expression]:
    """The variables, then the operations on them; what has no variable in it is a constant, not drawn."""
    moving = {wrt}
    for node in walk(root):
        if node.op == "symbol" or node is root or any(arg in moving for arg in node.args):
            moving.add(node)
    drawn = [node for node in walk(wrt, root) if node in moving]
    return sorted(drawn, key=lambda node: node.op != "symbol")


def _list_varying(drawn: Sequence[Expression], wrt: Expression) -> set[Expression]:
    """The nodes on a way from the variable to the result; a condition, constant but for its jumps, is on none."""
    varying = {wrt}
    for node in drawn:
        if any(arg in varying for arg in node.args) and node.op != "compare":
            varying.add(node)
    reached = {drawn[-1]}
    for node in reversed(drawn):
        if node in reached and node in varying:
            reached.update(node.args)
    return varying & reached if drawn[-1] in varying else set()


def _make_node(node: Expression, table: Mapping[Expression, Expression], varies: bool) -> GraphNode:
    name = table[node]
    if node.op == "symbol":
        return GraphNode(node.name, "input", node.name, (), varies, node, node, name)
    body = rebuild(node, tuple(table.get(arg, arg) for arg in node.args))
    operands = tuple(table[arg].name for arg in dict.fromkeys(node.args) if arg in table)
    return GraphNode(name.name, _name_operator(node), to_text(body), operands, varies, node, body, name)


def _name_operator(node: Expression) -> str:
    """Return the sign or the function of an operation: @, exp, einsum."""
    if node.op == "call":
        return str(node.data[0].function)
    if node.op == "compare":
        return str(node.data[0])
    return _OPERATORS.get(node.op) or (node.name if node.op in ("abstract", "filled") else node.op)


def _name_nodes(
    nodes: Sequence[Expression], root: Expression, result_name: str, taken: Collection[str]
) -> dict[Expression, str]:
    """v1, V2, ...: capitals for matrices; the result has its own name."""
    inner = [node for node in nodes if node.op != "symbol" and node is not root]
    names = {node: node.name for node in nodes if node.op == "symbol"}
    names |= dict(zip(inner, _choose_names(inner, {*taken, result_name}), strict=True))
    return {root: result_name} | names if root.op != "symbol" else names


def _choose_names(nodes: Sequence[Expression], taken: Collection[str]) -> Iterator[str]:
    """Names that differ from those taken by more than a capital: no V1 beside a variable v1."""
    spoken = {name.lower() for name in taken}
    for letter in "vuwzhgq":
        names = [_capitalise(letter, node) + str(number) for number, node in enumerate(nodes, 1)]
        if not {name.lower() for name in names} & spoken:
            return iter(names)
    return iter([f"{_capitalise('node', node)}_{number}" for number, node in enumerate(nodes, 1)])


def _capitalise(word: str, node: Expression) -> str:
    return word.capitalize() if len(node.squeezed_shape) > 1 else word


# --- edges ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GraphEdge:
    """The derivative of the node `target` by its operand `source`, all else held fixed, in numerator layout.

    `text` is its formula in the names of nodes, `needs` the nodes whose values it takes; `multiplications` is
    what one direction costs, pushed forward from source to target or back.
    """

    source: str
    target: str
    text: str
    shape: Shape
    needs: tuple[str, ...]
    multiplications: Polynomial
    expression: Expression = field(repr=False)

    @property
    def name(self) -> str:
        """The edge as a local derivative, ∂v2/∂v1: dv2/dv1 would be the sum over all paths."""
        return f"∂{self.target}/∂{self.source}"

    def to_dict(self) -> dict[str, object]:
        """The edge as plain data."""
        return {
            "source": self.source, "target": self.target, "derivative": self.text,
            "shape": [str(size) for size in self.shape], "needs": list(self.needs),
            "multiplications": str(self.multiplications),
        }  # fmt: skip


def _list_edges(nodes: Sequence[GraphNode], rules: RuleBook) -> list[GraphEdge]:
    """Return an edge for each operand that varies, in the order of the nodes.

    An operand that stands twice, as in x*x, has one edge.  Raises MissingRuleError where a function has no rule.
    """
    known = {node.name: node for node in nodes}
    views = _list_views(nodes)
    return [
        _derive_edge(node, known[operand], views, rules)
        for node in nodes if node.varies
        for operand in node.operands if known[operand].varies
    ]  # fmt: skip


def _list_views(nodes: Sequence[GraphNode]) -> dict[Expression, Expression]:
    """The transposed nodes, written as what they are: a local derivative takes x, not a copy of x.T."""
    views: dict[Expression, Expression] = {}
    for node in nodes:
        if node.is_view:
            body = rewrite(node.body, views)
            views |= {transpose(node.symbol): body.args[0], node.symbol: body} if body.op == "transpose" else {}
    return views


def _derive_edge(
    node: GraphNode, operand: GraphNode, views: Mapping[Expression, Expression], rules: RuleBook
) -> GraphEdge:
    """The value of the node itself may be in its derivative: exp(v1) is there already, as v2."""
    result = derive_result(node.body, operand.symbol, 1, rules)
    local = rewrite(rewrite(result.expression("numerator"), {node.body: node.symbol}), views)
    cost = count_direction(node.body, operand.symbol, rules)
    return GraphEdge(
        operand.name, node.name, to_text(local), result.shape("numerator"), tuple(symbols(local)), cost, local
    )


# --- text -----------------------------------------------------------------------------------------


_Count = Polynomial | Peak


def _write_text(graph: ComputationGraph) -> str:
    """Return a table of the nodes, one of the local derivatives, one for each mode, and a line that compares those."""
    nodes = [
        (node.name, node.operator, "" if node.is_input else node.text, node.shape_told) for node in graph.nodes
    ]  # fmt: skip
    edges = [(edge.name, edge.text, write_shape(edge.shape), str(edge.multiplications)) for edge in graph.edges]
    tables = [_align([("node", "operator", "formula", "shape"), *nodes])]
    if edges:
        tables.append(_align([("edge", "local derivative", "shape", "multiplications for one direction"), *edges]))
    tables += [_write_mode(mode, graph.sizes) for mode in (graph.forward, graph.reverse)]
    return "\n\n".join([*tables, _compare_modes(graph)])


def _write_mode(mode: Accumulation, sizes: Mapping[str, int] | None) -> str:
    visits = _align([(visit.node, visit.product, str(visit.multiplications)) for visit in mode.visits])
    kept = f"{', '.join(mode.kept)}: {_tell(mode.kept_memory, sizes)}" if mode.kept else "nothing"
    totals = [("multiplications", _tell(mode.multiplications, sizes)), ("memory at most", _tell(mode.memory, sizes)),
              ("keeps for later", kept)]  # fmt: skip
    head = f"{mode.mode} accumulation, directions carried: {_tell(mode.directions, sizes)}"
    return "\n".join([head, *(f"  {line}" for line in f"{visits}\n{_align(totals)}".splitlines() if line)])


def _tell(count: _Count, sizes: Mapping[str, int] | None) -> str:
    """The count in symbols, and in numbers where sizes are given."""
    text = str(count)
    return text if sizes is None or text.isdigit() else f"{text} = {count.value(sizes):,}"


def _compare_modes(graph: ComputationGraph) -> str:
    """Return which mode takes fewer multiplications: each takes the same ones once for each direction it carries."""
    forward, reverse, sizes = graph.forward, graph.reverse, graph.sizes
    if not forward.visits:
        return "The result does not depend on the variable: its derivative is zero."
    if not forward.multiplications.terms:
        return "Neither mode takes a multiplication."
    left, right = forward.directions, reverse.directions
    if left == right:
        return f"Both modes take the same number of multiplications: each carries {left} {_direct(left)}."
    for name, fewer, other, more in (("Reverse", right, "forward", left), ("Forward", left, "reverse", right)):
        if fewer.is_at_most(more):
            ratio = _tell_ratio(fewer, more, sizes)
            return f"{name} mode never takes more: it carries {fewer} {_direct(fewer)}, {other} {more}{ratio}."
    rest = f": {left.value(sizes):,} and {right.value(sizes):,}" if sizes else ""
    return f"Which mode takes fewer depends on the sizes: forward carries {left} directions, reverse {right}{rest}."


def _direct(count: Polynomial) -> str:
    return "direction" if count == Polynomial.of(1) else "directions"


def _tell_ratio(fewer: Polynomial, more: Polynomial, sizes: Mapping[str, int] | None) -> str:
    if sizes is None:
        return ""
    ratio = more.value(sizes) / fewer.value(sizes)
    return f", here {ratio:.3g} times as many" if ratio < 1000 else f", here {ratio:,.0f} times as many"


def _align(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the rows in columns; a column that would be too wide is not padded to its longest cell."""
    return "\n".join(align_columns(rows, most=60))
