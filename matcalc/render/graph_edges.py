"""The edges of a computation graph: the local derivative of an operation by each operand that varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matcalc.engine.result import derive_result
from matcalc.language.expression import Expression, symbols, transpose
from matcalc.language.replace import replace
from matcalc.language.sizes import Shape
from matcalc.render.graph_costs import count_direction
from matcalc.render.graph_nodes import GraphNode
from matcalc.render.polynomial import Polynomial
from matcalc.render.to_text import to_text
from matcalc.rule_files import RuleBook


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


def list_needed(edges: Sequence[GraphEdge], nodes: Mapping[str, GraphNode]) -> tuple[str, ...]:
    """Return the operations, without the variables, whose values the local derivatives take."""
    needed = dict.fromkeys(name for edge in edges for name in edge.needs)
    return tuple(name for name in nodes if name in needed and not nodes[name].is_input)
