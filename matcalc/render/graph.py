"""The computation graph of an expression: operations, local derivatives on the edges, the cost of both modes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, list_letters
from matcalc.language.sizes import check_sizes, write_shape
from matcalc.render.graph_costs import Peak, Polynomial, sum_polynomials
from matcalc.render.graph_nodes import GraphEdge, GraphNode, list_edges, list_needed_nodes, list_nodes, tell_node_shape
from matcalc.render.graph_picture import Drawing, DrawingError, lay_out, write_dot, write_mermaid, write_png, write_svg
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


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


# --- graph text -------------------------------------------------------------------------------------
#
# A computation graph as text: a table of the nodes, one of the local derivatives, one for each mode.


Rows = list[tuple[str, ...]]
Count = Polynomial | Peak


def write_graph_text(
    nodes: Sequence[GraphNode],
    edges: Sequence[GraphEdge],
    modes: tuple[Accumulation, Accumulation],
    sizes: Mapping[str, int] | None,
) -> str:
    """Return the tables, and a last line that compares the modes."""
    tables = [_write_nodes(nodes), _write_edges(edges), *(_write_mode(mode, sizes) for mode in modes)]
    return "\n\n".join([*filter(None, tables), compare_modes(modes, sizes)])


def _write_nodes(nodes: Sequence[GraphNode]) -> str:
    rows = [(node.name, node.operator, "" if node.is_input else node.text, tell_node_shape(node)) for node in nodes]
    return _align([("node", "operator", "formula", "shape"), *rows])


def _write_edges(edges: Sequence[GraphEdge]) -> str:
    rows = [(edge.name, edge.text, write_shape(edge.shape), str(edge.multiplications)) for edge in edges]
    return _align([("edge", "local derivative", "shape", "multiplications for one direction"), *rows]) if rows else ""


def _write_mode(mode: Accumulation, sizes: Mapping[str, int] | None) -> str:
    visits = _align([(visit.node, visit.product, str(visit.multiplications)) for visit in mode.visits])
    kept = f"{', '.join(mode.kept)}: {_tell(mode.kept_memory, sizes)}" if mode.kept else "nothing"
    totals = [("multiplications", _tell(mode.multiplications, sizes)), ("memory at most", _tell(mode.memory, sizes)),
              ("keeps for later", kept)]  # fmt: skip
    head = f"{mode.mode} accumulation, directions carried: {_tell(mode.directions, sizes)}"
    return "\n".join([head, *(f"  {line}" for line in f"{visits}\n{_align(totals)}".splitlines() if line)])


def _tell(count: Count, sizes: Mapping[str, int] | None) -> str:
    """The count in symbols, and in numbers where sizes are given."""
    text = str(count)
    return text if sizes is None or text.isdigit() else f"{text} = {count.value(sizes):,}"


def compare_modes(modes: tuple[Accumulation, Accumulation], sizes: Mapping[str, int] | None) -> str:
    """Return which mode takes fewer multiplications: each takes the same ones once for each direction it carries."""
    forward, reverse = modes
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
    if not rows:
        return ""
    widths = [min(60, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


# --- graph accumulation -----------------------------------------------------------------------------
#
# Forward and reverse accumulation over a computation graph: the order of visits, multiplications, memory.
#
# Forward carries d(node)/d(variable) from the variable up: one direction for each entry of the variable.  Reverse
# carries d(result)/d(node) from the result down: one for each entry of the result.  The first product, with the
# identity, is counted as well.  Memory is counted in numbers beside the variables: values of nodes for as long as
# something still takes them (a transpose has none of its own), and the derivatives that are carried.


@dataclass(frozen=True)
class Visit:
    """One node visited: what its products cost, and how many numbers are kept meanwhile."""

    node: str
    product: str
    multiplications: Polynomial
    memory: Polynomial


@dataclass(frozen=True)
class Accumulation:
    """One mode: the visits in order, the directions carried, and what is kept from the evaluation until its use.

    `multiplications` is a Polynomial in the sizes, `memory` the Peak of the numbers kept at one time, `kept` the
    nodes whose values must outlive the evaluation, `kept_memory` how many numbers those are.
    """

    mode: str
    visits: tuple[Visit, ...]
    directions: Polynomial
    multiplications: Polynomial
    memory: Peak
    kept: tuple[str, ...]
    kept_memory: Polynomial

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the nodes in the order of the visits."""
        return tuple(visit.node for visit in self.visits)

    def count(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return multiplications, memory and kept_memory in numbers; raises DeclarationError for a missing size."""
        return {
            "multiplications": self.multiplications.value(sizes),
            "memory": self.memory.value(sizes),
            "kept_memory": self.kept_memory.value(sizes),
        }

    def to_dict(self, sizes: Mapping[str, int] | None = None) -> dict[str, object]:
        """The mode as plain data, with numbers where sizes are given."""
        visits = [
            {"node": visit.node, "product": visit.product, "multiplications": str(visit.multiplications),
             "memory": str(visit.memory)}
            for visit in self.visits
        ]  # fmt: skip
        return {
            "visits": visits, "directions": str(self.directions), "multiplications": str(self.multiplications),
            "memory": str(self.memory), "kept": list(self.kept), "kept_memory": str(self.kept_memory),
            "numbers": self.count(sizes) if sizes is not None else None,
        }  # fmt: skip


@dataclass(frozen=True)
class _Plan:
    """The graph as both modes read it."""

    nodes: Mapping[str, GraphNode]
    edges: Sequence[GraphEdge]
    wrt: str
    result: str

    def size(self, name: str) -> Polynomial:
        return Polynomial.of_shape(self.nodes[name].expression.shape)

    def values(self, names: Iterable[str]) -> Polynomial:
        return sum_polynomials(self.size(name) for name in names if self._holds_numbers(name))

    def _holds_numbers(self, name: str) -> bool:
        return not (self.nodes[name].is_input or self.nodes[name].is_view)

    def carried(self, names: Iterable[str], directions: Polynomial) -> Polynomial:
        return sum_polynomials(self.size(name) for name in names) * directions

    @cached_property
    def _into(self) -> dict[str, list[GraphEdge]]:
        found: dict[str, list[GraphEdge]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            found[edge.target].append(edge)
        return found

    def into(self, name: str) -> list[GraphEdge]:
        return self._into[name]


def accumulate_forward(
    nodes: Mapping[str, GraphNode], edges: Sequence[GraphEdge], wrt: Expression, result: str
) -> Accumulation:
    """Return the forward mode; values and derivatives are given up at their last use."""
    plan = _Plan(nodes, edges, wrt.name, result)
    directions = Polynomial.of_shape(wrt.shape)
    visits = [_visit_forward(plan, name, live, directions) for name, live in _list_live(plan, ())]
    return _close("forward", visits, directions, (), plan)


def accumulate_in_reverse(
    nodes: Mapping[str, GraphNode], edges: Sequence[GraphEdge], wrt: Expression, result: str
) -> Accumulation:
    """Return the reverse mode: an evaluation that keeps what the local derivatives take, then the way back."""
    plan = _Plan(nodes, edges, wrt.name, result)
    directions = Polynomial.of_shape(nodes[result].expression.shape)
    kept = list_needed_nodes(edges, nodes)
    evaluation = [Visit(name, "", Polynomial(), plan.values(live)) for name, live in _list_live(plan, kept)]
    return _close("reverse", [*evaluation, *_go_back(plan, kept, directions)], directions, kept, plan)


def _close(
    mode: str, visits: Sequence[Visit], directions: Polynomial, kept: tuple[str, ...], plan: _Plan
) -> Accumulation:
    """Sum the visits up; those that only evaluate count for the memory alone."""
    shown = tuple(visit for visit in visits if visit.product)
    cost = sum_polynomials(visit.multiplications for visit in visits)
    memory = Peak.of(visit.memory for visit in visits)
    return Accumulation(mode, shown, directions, cost, memory, kept, plan.values(kept))


def _list_live(plan: _Plan, kept: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each node as it is evaluated, with the nodes whose values are held at that moment."""
    order = list(plan.nodes)
    last = {name: place for place, name in enumerate(order)}
    last |= {operand: place for place, name in enumerate(order) for operand in plan.nodes[name].operands}
    last |= dict.fromkeys(kept, len(order))
    for name in reversed(order):
        if plan.nodes[name].is_view:
            (operand,) = plan.nodes[name].operands
            last[operand] = max(last[operand], last[name])
    live: list[str] = []
    for place, name in enumerate(order):
        live = [*(other for other in live if last[other] >= place), name]
        yield name, live


def _visit_forward(plan: _Plan, name: str, live: Sequence[str], directions: Polynomial) -> Visit:
    memory = plan.values(live) + plan.carried([other for other in live if plan.nodes[other].varies], directions)
    edges = plan.into(name)
    products = " + ".join(f"{edge.name} · d{edge.source}/d{plan.wrt}" for edge in edges)
    cost = sum_polynomials(edge.multiplications for edge in edges) * directions
    text = f"d{name}/d{plan.wrt} = {products or 1}" if plan.nodes[name].varies else ""
    return Visit(name, text, cost, memory)


def _go_back(plan: _Plan, kept: Iterable[str], directions: Polynomial) -> Iterator[Visit]:
    """Visit what varies from the result down; a value is given up with the last local derivative that takes it."""
    way = [name for name in reversed(list(plan.nodes)) if plan.nodes[name].varies]
    left: dict[str, set[str]] = {name: set() for name in kept}
    for edge in plan.edges:
        for needed in left.keys() & set(edge.needs):
            left[needed].add(edge.target)
    carried: dict[str, None] = {}
    for name in way if plan.result in way else []:
        edges = plan.into(name)
        carried |= dict.fromkeys([name, *(edge.source for edge in edges)])
        memory = plan.values(left) + plan.carried(carried, directions)
        cost = sum_polynomials(edge.multiplications for edge in edges) * directions
        yield Visit(name, _write_reverse(plan, name, edges), cost, memory)
        left = {other: rest for other, users in left.items() if (rest := users - {name})}
        if name != plan.wrt:
            del carried[name]


def _write_reverse(plan: _Plan, name: str, edges: Sequence[GraphEdge]) -> str:
    """The seed at the result, and what is passed on to each operand."""
    top = f"d{plan.result}/d"
    parts = [f"{top}{edge.source} += {top}{name} · {edge.name}" for edge in edges]
    return "; ".join(([f"{top}{name} = 1"] if name == plan.result else []) + parts) or f"{top}{name} is complete"
