"""The nodes of a computation graph, each distinct sub-expression once, and the local derivatives on its edges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from matcalc.engine.result import derive_result
from matcalc.language.expression import Expression, rebuild, symbol, symbols, transpose, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import replace
from matcalc.language.sizes import Shape, write_shape
from matcalc.render.graph_costs import Polynomial, count_direction
from matcalc.rule_files import RuleBook

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


def list_nodes(root: Expression, wrt: Expression, result_name: str, taken: Collection[str]) -> list[GraphNode]:
    """Return the nodes, operands before what uses them, the result last; the variable is one in any case."""
    drawn = _list_drawn(root, wrt)
    names = _name_nodes(drawn, root, result_name, taken)
    table = {node: symbol(names[node], node.shape, _list_assumptions(node)) for node in drawn}
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
    return GraphNode(name.name, name_operator(node), to_text(body), operands, varies, node, body, name)


def name_operator(node: Expression) -> str:
    """Return the sign or the function of an operation: @, exp, einsum."""
    if node.op == "call":
        return str(node.data[0].function)
    if node.op == "compare":
        return str(node.data[0])
    return _OPERATORS.get(node.op) or (node.name if node.op in ("abstract", "filled") else node.op)


def _list_assumptions(node: Expression) -> frozenset[str]:
    return node.data[1] if node.op == "symbol" else frozenset()


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


def tell_node_shape(node: GraphNode) -> str:
    """Return the shape as the reader sees it: (m, n), a row as (1, n), a scalar."""
    return write_shape(node.expression.shape if node.expression.is_row else node.shape)


# --- graph edges ------------------------------------------------------------------------------------
#
# The edges of a computation graph: the local derivative of an operation by each operand that varies.


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
        """The edge as a derivative: dv2/dv1."""
        return f"d{self.target}/d{self.source}"

    def to_dict(self) -> dict[str, object]:
        """The edge as plain data."""
        return {
            "source": self.source, "target": self.target, "derivative": self.text,
            "shape": [str(size) for size in self.shape], "needs": list(self.needs),
            "multiplications": str(self.multiplications),
        }  # fmt: skip


def list_edges(nodes: Sequence[GraphNode], rules: RuleBook) -> list[GraphEdge]:
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
            body = replace(node.body, views)
            views |= {transpose(node.symbol): body.args[0], node.symbol: body} if body.op == "transpose" else {}
    return views


def _derive_edge(
    node: GraphNode, operand: GraphNode, views: Mapping[Expression, Expression], rules: RuleBook
) -> GraphEdge:
    """The value of the node itself may be in its derivative: exp(v1) is there already, as v2."""
    result = derive_result(node.body, operand.symbol, 1, rules)
    local = replace(replace(result.expression("numerator"), {node.body: node.symbol}), views)
    cost = count_direction(node.body, operand.symbol, rules)
    return GraphEdge(
        operand.name, node.name, to_text(local), result.shape("numerator"), tuple(symbols(local)), cost, local
    )


def list_needed_nodes(edges: Sequence[GraphEdge], nodes: Mapping[str, GraphNode]) -> tuple[str, ...]:
    """Return the operations, without the variables, whose values the local derivatives take."""
    needed = dict.fromkeys(name for edge in edges for name in edge.needs)
    return tuple(name for name in nodes if name in needed and not nodes[name].is_input)
