"""The computation graph of an expression: operations, local derivatives on the edges, the cost of both modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, list_letters
from matcalc.language.sizes import check_sizes
from matcalc.render.graph_accumulation import Accumulation, Visit, accumulate_forward, accumulate_in_reverse
from matcalc.render.graph_edges import GraphEdge, list_edges
from matcalc.render.graph_languages import write_dot, write_mermaid
from matcalc.render.graph_layout import Drawing, DrawingError, lay_out
from matcalc.render.graph_nodes import GraphNode, list_nodes
from matcalc.render.graph_picture import write_png, write_svg
from matcalc.render.graph_text import write_graph_text
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

__all__ = ["Accumulation", "ComputationGraph", "DrawingError", "GraphEdge", "GraphNode", "Visit", "write_graph"]



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
        return accumulate_forward({node.name: node for node in self.nodes}, self.edges, self.wrt, self.result.name)

    @cached_property
    def reverse(self) -> Accumulation:
        """Reverse accumulation: from the result to the variable."""
        return accumulate_in_reverse({node.name: node for node in self.nodes}, self.edges, self.wrt, self.result.name)

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
        return write_graph_text(self.nodes, self.edges, (self.forward, self.reverse), self.sizes)

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
    nodes = list_nodes(derivative.function, derivative.wrt, derivative.result_name, taken)
    graph = ComputationGraph(tuple(nodes), tuple(list_edges(nodes, rules)), derivative.wrt)
    return graph if sizes is None else graph.with_sizes(sizes)
