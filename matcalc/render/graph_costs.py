"""What it costs to push one direction through an operation: multiplications, by the structure of the operation.

| operation | multiplications for one direction |
| --- | --- |
| + - .T, sum, trace, diag, vec | none: entries are added and moved |
| * / ** and functions that work entry by entry | one for each entry of the result: the local derivative is diagonal |
| (a, b) @ (b, c) | a*b*c |
| einsum | the product of the sizes of all its letters, once for each further operand |
| a function with a rule | those of its differential or its definition by the lines above, or a*b if that is less |
| any other function | a*b: its local derivative is a full matrix (a, b) |

Additions, and the values of the nodes and of the local derivatives themselves, are not counted: they are the same
in both modes.  A direction costs the same forward and in reverse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import TYPE_CHECKING

from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.sizes import UNIT, Shape, Size
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, RuleBook

if TYPE_CHECKING:
    from matcalc.render.graph import ComputationGraph, GraphEdge

# --- counts as polynomials in the sizes: m*n + 2*m*k ------------------------------------------------


Terms = tuple[tuple[tuple[str, ...], int], ...]


@dataclass(frozen=True)
class Polynomial:
    """A sum of products of size letters with whole coefficients, none of them negative.

    >>> m, n = Polynomial.of(Size.of("m")), Polynomial.of(Size.of("n"))
    >>> print(m * n + 2 * m * m + m * n)
    2*m**2 + 2*m*n
    """

    terms: Terms = ()

    @classmethod
    def of(cls, value: Size | int) -> Polynomial:
        """Return the polynomial of one size or one number."""
        size = Size.of(value)
        return cls._collect([(tuple(sorted(size.letters)), size.number)])

    @classmethod
    def of_shape(cls, shape: Shape) -> Polynomial:
        """Return the number of entries of an array of a shape."""
        return cls.of(reduce(mul, shape, UNIT))

    @classmethod
    def _collect(cls, terms: Iterable[tuple[tuple[str, ...], int]]) -> Polynomial:
        found: Counter[tuple[str, ...]] = Counter()
        for letters, number in terms:
            found[letters] += number
        return cls(tuple((letters, number) for letters, number in found.items() if number))

    def __add__(self, other: Polynomial) -> Polynomial:
        return self._collect((*self.terms, *other.terms))

    def __mul__(self, other: Polynomial | int) -> Polynomial:
        right = other if isinstance(other, Polynomial) else Polynomial.of(other)
        return self._collect((tuple(sorted(a + b)), c * d) for a, c in self.terms for b, d in right.terms)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and dict(self.terms) == dict(other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms))

    def __str__(self) -> str:
        ordered = sorted(self.terms, key=lambda term: (-len(term[0]), term[0]))
        return " + ".join(_write_term(letters, number) for letters, number in ordered) or "0"

    def value(self, sizes: Mapping[str, int]) -> int:
        """Return the number for given sizes; raises DeclarationError for a letter without one."""
        missing = sorted({letter for letters, _ in self.terms for each in letters
                          for letter in Size((each,)).base_letters if letter not in sizes})
        if missing:
            raise DeclarationError(f"the size {missing[0]} has no number", advice=f'add it, as in "{missing[0]}=3"')
        return sum(Size(letters, number).value(sizes) for letters, number in self.terms)

    def is_at_most(self, other: Polynomial) -> bool:
        """Whether it is not larger for any sizes from 1 on, as far as comparing term by term can tell.

        >>> Polynomial.of(Size.of("m")).is_at_most(Polynomial.of(Size.of("m*n")))
        True
        """
        room = dict(other.terms)
        for letters, number in sorted(self.terms, key=lambda term: -len(term[0])):
            for larger in sorted(room, key=len):
                if number and Counter(letters) <= Counter(larger):
                    used = min(number, room[larger])
                    room[larger] -= used
                    number -= used
            if number:
                return False
        return True


def sum_polynomials(parts: Iterable[Polynomial]) -> Polynomial:
    """Return the sum of any number of polynomials."""
    return reduce(add, parts, Polynomial())


@dataclass(frozen=True)
class Peak:
    """The largest of several counts; those that are never the largest are left out."""

    candidates: tuple[Polynomial, ...]

    @classmethod
    def of(cls, counts: Iterable[Polynomial]) -> Peak:
        """Return the largest of the counts."""
        kept: list[Polynomial] = []
        for count in counts:
            if not any(count.is_at_most(other) for other in kept):
                kept = [other for other in kept if not other.is_at_most(count)] + [count]
        return cls(tuple(kept))

    def __str__(self) -> str:
        texts = [str(candidate) for candidate in self.candidates]
        return f"max({', '.join(texts)})" if len(texts) > 1 else (texts or ["0"])[0]

    def value(self, sizes: Mapping[str, int]) -> int:
        """Return the number for given sizes; raises DeclarationError for a letter without one."""
        return max((candidate.value(sizes) for candidate in self.candidates), default=0)


def _write_term(letters: tuple[str, ...], number: int) -> str:
    parts = [letter if count == 1 else f"{letter}**{count}" for letter, count in Counter(letters).items()]
    return "*".join(([str(number)] if number != 1 or not parts else []) + parts)


# --- the multiplications of one direction ------------------------------------------------------------


_FREE = frozenset({"add", "subtract", "negate", "transpose", "compare"})
_ENTRYWISE = frozenset({"multiply", "divide", "power"})
_PRIMITIVES_THAT_MOVE = frozenset({"sum", "size", "tril", "triu"})
_NOTHING = Polynomial()


def count_direction(node: Expression, operand: Expression, rules: RuleBook) -> Polynomial:
    """Return the multiplications that push one direction of an operand through a node, or back.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.rule_files import shipped_rules
    >>> node = parse("A @ X").expressions[0]
    >>> print(count_direction(node, node.args[1], shipped_rules()))
    l*m*n
    """
    return sum_polynomials(
        _count_place(node, place, rules) for place, argument in enumerate(node.args) if argument is operand
    )


def _count_place(node: Expression, place: int, rules: RuleBook) -> Polynomial:
    if node.op in _FREE:
        return _NOTHING
    if node.op in _ENTRYWISE:
        return Polynomial.of_shape(node.shape)
    if node.op == "matmul":
        left, right = node.args
        if _only_places(node.args[1 - place]):
            return _NOTHING
        return Polynomial.of_shape((*left.shape, right.shape[1]))
    if node.op == "einsum":
        return _count_einsum(node)
    if node.op == "call":
        return _count_call(node, place, rules)
    return Polynomial.of_shape((*node.shape, *node.args[place].shape))


def _count_einsum(node: Expression) -> Polynomial:
    inputs = node.data[0].split("->")[0].split(",")
    factors = [(letters, arg) for letters, arg in zip(inputs, node.args, strict=True) if not _only_places(arg)]
    sizes: dict[str, Size] = {}
    for letters, arg in factors:
        sizes |= dict(zip(letters, arg.squeezed_shape, strict=True))
    return Polynomial.of(reduce(mul, sizes.values(), UNIT)) * max(0, len(factors) - 1)


def _only_places(node: Expression) -> bool:
    """Whether a factor is a constant of zeros and ones: to multiply by it only moves and adds entries."""
    if node.op == "call" and node.data[0].function in ("tril", "triu"):
        return _only_places(node.args[0])
    return node.op == "filled"


def _count_call(node: Expression, place: int, rules: RuleBook) -> Polynomial:
    rule: Rule = node.data[0]
    if rule.opaque or (rule.primitive and rule.function in _PRIMITIVES_THAT_MOVE):
        return _NOTHING
    if rule.is_elementwise:
        return Polynomial.of_shape(node.shape)
    if rule.function == "matrix_power":
        return _count_power(node)
    if not (rule.differential or rule.define):
        return Polynomial.of_shape((*node.shape, *node.args[place].shape))
    shapes, result, slices = _slice(node)
    full = Polynomial.of_shape((*shapes[place], *result))
    by_rule = _count_text(rule, place, shapes, rules)
    return (full if full.is_at_most(by_rule) else by_rule) * slices


def _count_power(node: Expression) -> Polynomial:
    """X @ X @ ... @ X by the product rule, two products for each factor but the first; an inverse is one more."""
    exponent = node.args[1].data[0] if node.args[1].op == "number" else None
    size = Polynomial.of(node.shape[0])
    if exponent is None:
        return size * size * size * size
    products: int = 2 * max(0, abs(int(exponent)) - (exponent > 0))
    return size * size * size * products


def _slice(node: Expression) -> tuple[tuple[Shape, ...], Shape, Polynomial]:
    """The shapes that a rule takes and gives, and how many times: along an axis, once for each slice."""
    axis = node.data[1]
    if axis is None:
        return tuple(arg.shape for arg in node.args), node.shape, Polynomial.of(1)
    first = node.args[0].shape
    taken = tuple((arg.shape[axis], UNIT) for arg in node.args)
    return taken, (node.shape[axis],), Polynomial.of(first[1 - axis])


def _count_text(rule: Rule, place: int, shapes: tuple[Shape, ...], rules: RuleBook) -> Polynomial:
    """Count what depends on the parameter in the definition, or on its differential in the rule's."""
    text = rule.differential or rule.define
    root = parse_rule_text(rule, text, shapes, rules)
    name = rule.variables[place].name
    return _count_tree(root, symbol(f"d{name}" if rule.differential else name, shapes[place]), rules)


def _count_tree(root: Expression, moving: Expression, rules: RuleBook) -> Polynomial:
    """The number of entries, size(x), depends on nothing."""
    depends = {moving}
    total = _NOTHING
    for node in walk(root):
        if node.op == "call" and node.data[0].function == "size":
            continue
        for operand in [arg for arg in dict.fromkeys(node.args) if arg in depends]:
            depends.add(node)
            total = total + count_direction(node, operand, rules)
    return total


# --- both modes over a whole graph ------------------------------------------------------------------
#
# Forward carries d(node)/d(variable) from the variable up: one direction for each entry of the variable.  Reverse
# carries d(result)/d(node) from the result down: one for each entry of the result.  These are total derivatives, over
# all paths; the local one of an edge, all other operands held fixed, is written with ∂.  The first product, with the
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
        return {name: getattr(self, name).value(sizes) for name in ("multiplications", "memory", "kept_memory")}

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


def accumulate_forward(graph: ComputationGraph) -> Accumulation:
    """Return the forward mode; values and derivatives are given up at their last use."""
    plan = _Plan(graph)
    directions = Polynomial.of_shape(graph.wrt.shape)
    visits = []
    for name, live in plan.list_live(()):
        memory = plan.values(live) + plan.carried([other for other in live if plan.nodes[other].varies], directions)
        products = " + ".join(f"{edge.name} · d{edge.source}/d{plan.wrt}" for edge in plan.into[name])
        text = f"d{name}/d{plan.wrt} = {products or 1}" if plan.nodes[name].varies else ""
        visits.append(Visit(name, text, plan.products(name, directions), memory))
    return plan.sum_up("forward", visits, directions, ())


def accumulate_in_reverse(graph: ComputationGraph) -> Accumulation:
    """Return the reverse mode: an evaluation that keeps what the local derivatives take, then the way back."""
    plan = _Plan(graph)
    directions = Polynomial.of_shape(graph.result.expression.shape)
    needed = {name for edge in plan.edges for name in edge.needs}
    kept = tuple(name for name, node in plan.nodes.items() if name in needed and not node.is_input)
    evaluation = [Visit(name, "", Polynomial(), plan.values(live)) for name, live in plan.list_live(kept)]
    return plan.sum_up("reverse", [*evaluation, *_go_back(plan, kept, directions)], directions, kept)


class _Plan:
    """The graph as both modes read it."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.nodes = {node.name: node for node in graph.nodes}
        self.edges, self.wrt, self.result = graph.edges, graph.wrt.name, graph.result.name
        self.into: dict[str, list[GraphEdge]] = {name: [] for name in self.nodes}
        for edge in graph.edges:
            self.into[edge.target].append(edge)

    def carried(self, names: Iterable[str], directions: Polynomial) -> Polynomial:
        """The numbers of the derivatives that are carried at some nodes."""
        return sum_polynomials(Polynomial.of_shape(self.nodes[name].expression.shape) for name in names) * directions

    def values(self, names: Iterable[str]) -> Polynomial:
        """The numbers of the values at some nodes: variables are there anyway, a transpose holds none of its own."""
        nodes = {name: self.nodes[name] for name in names}
        own = [name for name, node in nodes.items() if not (node.is_input or node.is_view)]
        return self.carried(own, Polynomial.of(1))

    def products(self, name: str, directions: Polynomial) -> Polynomial:
        """The multiplications at one node."""
        return sum_polynomials(edge.multiplications for edge in self.into[name]) * directions

    def list_live(self, kept: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        """Each node as it is evaluated, with the nodes whose values are held at that moment."""
        order = list(self.nodes)
        last = {name: place for place, name in enumerate(order)}
        last |= {operand: place for place, name in enumerate(order) for operand in self.nodes[name].operands}
        last |= dict.fromkeys(kept, len(order))
        for name in reversed(order):
            if self.nodes[name].is_view:
                (operand,) = self.nodes[name].operands
                last[operand] = max(last[operand], last[name])
        live: list[str] = []
        for place, name in enumerate(order):
            live = [*(other for other in live if last[other] >= place), name]
            yield name, live

    def sum_up(self, mode: str, visits: Sequence[Visit], directions: Polynomial, kept: tuple[str, ...]) -> Accumulation:
        """Sum the visits up; those that only evaluate count for the memory alone."""
        shown = tuple(visit for visit in visits if visit.product)
        cost = sum_polynomials(visit.multiplications for visit in visits)
        memory = Peak.of(visit.memory for visit in visits)
        return Accumulation(mode, shown, directions, cost, memory, kept, self.values(kept))


def _go_back(plan: _Plan, kept: Iterable[str], directions: Polynomial) -> Iterator[Visit]:
    """Visit what varies from the result down; a value is given up with the last local derivative that takes it."""
    way = [name for name in reversed(list(plan.nodes)) if plan.nodes[name].varies]
    left: dict[str, set[str]] = {name: set() for name in kept}
    for edge in plan.edges:
        for needed in left.keys() & set(edge.needs):
            left[needed].add(edge.target)
    carried: dict[str, None] = {}
    top = f"d{plan.result}/d"
    for name in way if plan.result in way else []:
        edges = plan.into[name]
        carried |= dict.fromkeys([name, *(edge.source for edge in edges)])
        memory = plan.values(left) + plan.carried(carried, directions)
        # The seed at the result, and what is passed on to each operand.
        told = [f"{top}{name} = 1"] if name == plan.result else []
        told += [f"{top}{edge.source} += {top}{name} · {edge.name}" for edge in edges]
        text = "; ".join(told) or f"{top}{name} is complete"
        yield Visit(name, text, plan.products(name, directions), memory)
        left = {other: rest for other, users in left.items() if (rest := users - {name})}
        if name != plan.wrt:
            del carried[name]
