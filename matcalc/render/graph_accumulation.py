"""Forward and reverse accumulation over a computation graph: the order of visits, multiplications, memory.

Forward carries d(node)/d(variable) from the variable up: one direction for each entry of the variable.  Reverse
carries d(result)/d(node) from the result down: one for each entry of the result.  The first product, with the
identity, is counted as well.  Memory is counted in numbers beside the variables: values of nodes for as long as
something still takes them (a transpose has none of its own), and the derivatives that are carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from matcalc.language.expression import Expression
from matcalc.render.graph_edges import GraphEdge, list_needed
from matcalc.render.graph_nodes import GraphNode
from matcalc.render.polynomial import Peak, Polynomial, sum_polynomials


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
    kept = list_needed(edges, nodes)
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
