"""Scalar algebra is SymPy's: parts that are functions of the same entries, entry by entry, in a field of fractions.

1/(1 + x) - x/(1 + x)**2 is an element of QQ(x), where it is 1/(1 + x)**2.  The entries of tensors and functions of
them are the generators; what holds between generators (r**2 = u for a root, c**2 = c for a condition) is applied too.
A form that comes back replaces the old one only where it reads shorter, calls no function at another place, raises
nothing that grows like exp to a higher power, and is the same element when it is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any

from matcalc.engine.index_form import Graph, Labels, Node, Part, reachable
from matcalc.engine.products import applies
from matcalc.engine.sums import add_remainders, drop_repeats, multiply_around, place_factors
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from sympy.polys.fields import FracElement
    from sympy.polys.rings import PolyElement

# A shorter form must be worth it: a reader follows the derivation step by step, and rewriting hides a step.
LEAST_GAIN = 3
# What a reader could not take in anyway is left alone, and what would take long.
_MOST_GENERATORS = 8
_MOST_FACTORS = 60
_HIGHEST_POWER = 12
_MOST_TERMS = 40
_PLAIN_SCALARS = frozenset({"variable", "size", "constant"})
_GROWING = frozenset({"exp", "cosh", "sinh", "expm1"})


def shorten_entrywise(graph: Graph, node: Node) -> Node:
    """Return the node in a shorter form that SymPy's field of fractions finds, else the node itself.

    It ends: a form is only taken where it is shorter, and each node is tried once.
    """
    if node.op not in {"sum", "product"} or node.weight > _MOST_FACTORS or not _may_repeat(node):
        return node
    key = ("scalar algebra", node.id)
    if key not in graph.partials:
        graph.partials[key] = node
        graph.partials[key] = _shorten(graph, node)
    return graph.partials[key]


def _may_repeat(node: Node) -> bool:
    """Whether a sum or a choice is there and something stands at two places; asked first, since it costs little."""
    seen: set[Any] = set()
    has_sum = repeats = False
    stack = [node]
    while stack and not (has_sum and repeats):
        top = stack.pop()
        if top.op in {"sum", "power"}:
            has_sum = has_sum or top.op == "sum"
            stack += [part for part, _ in top.parts]
            continue
        keys: list[Any] = [top.id]
        if applies(top, "where"):
            # u > v and u <= v are one condition.
            keys = [frozenset(part.id for part, _ in top.parts[0][0].parts)]
            stack += [part for part, _ in top.parts[1:]]
            has_sum = True
        elif top.op == "product":
            bound = tuple([(part.id, labels) for part, labels in top.parts if max(labels, default=-1) >= top.rank])
            stack += [part for part, labels in top.parts if max(labels, default=-1) < top.rank]
            keys = [bound, *{(identity, "matrix") for identity, _ in bound}] if bound else []
        elif top.op in {"number", "ones"}:
            continue
        repeats = repeats or not seen.isdisjoint(keys)
        seen.update(keys)
    return has_sum and repeats


def _shorten(graph: Graph, node: Node) -> Node:
    if node.op == "sum":
        node = _shorten_beside_matrix(graph, node)
    region = _Region(graph, node.shape)
    tree = region.read(node, tuple(range(node.rank)))
    if tree is None or not region.may_shorten(tree):
        return node
    lengths = _Lengths(graph)
    most = _count_terms(node)
    written = len(graph.sums)
    found = [form for form in region.forms(tree) if _count_terms(form) <= most]
    best = min(found, key=lengths.of, default=node)
    gain = lengths.of(node) - lengths.of(best)
    if gain >= LEAST_GAIN and region.are_equal(tree, best):
        return best
    # The order in which a form that is not taken wrote a sum must not become the order of that sum.
    while len(graph.sums) > written:
        graph.sums.popitem()
    return node


def _count_terms(node: Node) -> int:
    """The terms of the longest sum that is the node or a factor of it; denominators are what they are."""
    sums = [part for part in (node, *[part for part, _ in node.parts]) if part.op == "sum"]
    return max([len(part.parts) for part in sums], default=1)


def _shorten_beside_matrix(graph: Graph, node: Node) -> Node:
    """X.T @ u + X.T @ v is X.T @ (u + v) where u + v has a shorter form; the terms as they stand otherwise."""
    terms = [(c, part, axes, place_factors(part, axes)) for c, part, axes in node.terms]
    carriers = [{(factor.id, at) for factor, at in placed if min(at, default=0) < 0} for *_, placed in terms]
    shared = Counter(key for keys in carriers for key in keys)
    for (identity, labels), count in shared.most_common(3):
        if count < 2:
            break
        is_member = [any(factor.id == identity and at == labels for factor, at in placed) for *_, placed in terms]
        group = [(c * part.coefficient, placed) for c, part, _, placed in compress(terms, is_member)]
        found = _shorten_inside(graph, node, group)
        if found is not None:
            rest = [(c, part, axes) for (c, part, axes, _), member in zip(terms, is_member, strict=True) if not member]
            return graph.sum([*rest, (1, found, range(node.rank))], range(node.rank), node.shape)
    return node


def _shorten_inside(graph: Graph, node: Node, group: list[tuple[Fraction, list[Part]]]) -> Node | None:
    """The sum of the terms of a group, what they share taken out, if what is left has a shorter form."""
    common = [part for part in group[0][1] if all(part in placed for _, placed in group[1:])]
    total, kept = add_remainders(graph, group, common)
    shorter = shorten_entrywise(graph, total)
    return None if shorter is total else multiply_around(graph, common, (shorter, kept), node.shape)


# --- the tree of a region ---------------------------------------------------------------------------

_Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Tree:
    """What is computed entry by entry: a number, a generator, a sum, a product, an integer power, or a choice."""

    op: str
    number: Fraction = Fraction(1)
    key: _Key = ()
    parts: tuple[_Tree, ...] = ()
    numbers: tuple[Fraction, ...] = ()


def _walk(tree: _Tree) -> Iterator[_Tree]:
    yield tree
    for part in tree.parts:
        yield from _walk(part)


@dataclass
class _Region:
    """The generators of one node: for each key the node that it stands for and the axes of the region it lies on."""

    graph: Graph
    shape: tuple[Any, ...]
    nodes: dict[_Key, Part] = field(default_factory=dict)
    roots: dict[_Key, tuple[_Tree, Part, int]] = field(default_factory=dict)

    # --- from nodes to a tree ---------------------------------------------------------------------

    def read(self, node: Node, axes: Labels) -> _Tree | None:
        """The tree of a node whose axis k is axis `axes[k]` of the region; None where there is none."""
        match node.op:
            case "number":
                return _Tree("number", node.payload)
            case "ones":
                return _Tree("number", Fraction(1))
            case "zeros":
                return _Tree("number", Fraction(0))
            case "sum":
                parts = [self.read(part, tuple([axes[k] for k in labels])) for part, labels in node.parts]
                found = tuple([part for part in parts if part is not None])
                return _Tree("sum", parts=found, numbers=node.payload) if len(found) == len(parts) else None
            case "product":
                return self._read_product(node, axes)
            case "power":
                return self._read_power(node, axes)
            case "apply":
                return self._read_function(node, axes)
            case "general_power":
                return self._read_general_power(node, axes)
            case "delta" | "lower" | "fuse" | "duplication":
                # What stands on a diagonal is a node of its own; diag(s) - s @ s.T is better known than s*(eye - s.T).
                return None
        return self._generator(node, axes)

    def _generator(self, node: Node, axes: Labels) -> _Tree:
        key = (node.id, axes)
        self.nodes[key] = (node, axes)
        return _Tree("generator", key=key)

    def _read_product(self, node: Node, axes: Labels) -> _Tree | None:
        """Factors that are not summed over are read one by one; what is summed over is a generator."""
        rank = node.rank
        outer = [(part, labels) for part, labels in node.parts if all(k < rank for k in labels)]
        bound = [(part, labels) for part, labels in node.parts if any(k >= rank for k in labels)]
        parts = []
        for part, labels in outer:
            read = self.read(part, tuple([axes[k] for k in labels]))
            if read is None:
                return None
            parts.append(read)
        if bound:
            kept = sorted({k for _, labels in bound for k in labels if k < rank})
            parts.append(self._generator(self.graph.product(1, bound, kept), tuple([axes[k] for k in kept])))
        return _Tree("product", node.payload, parts=tuple(parts))

    def _read_power(self, node: Node, axes: Labels) -> _Tree:
        base, labels = node.parts[0]
        placed = tuple([axes[k] for k in labels])
        exponent = node.payload
        inner = self.read(base, placed)
        if inner is None or abs(exponent) * exponent.denominator > _HIGHEST_POWER:
            return self._generator(node, axes)
        if exponent.denominator == 1:
            return _Tree("power", exponent, parts=(inner,))
        key = ("root", base.id, placed, exponent.denominator)
        self.roots[key] = (inner, (base, placed), exponent.denominator)
        return _Tree("power", Fraction(exponent.numerator), parts=(_Tree("generator", key=key),))

    def _read_general_power(self, node: Node, axes: Labels) -> _Tree:
        """x**(a - 1) is x**a / x: integers in an exponent are powers of the base."""
        (base, labels), (exponent, at) = node.parts
        number, rest = _split_sum(self.graph, exponent)
        if number.denominator != 1 or not number or abs(number) > _HIGHEST_POWER:
            number, rest = Fraction(0), exponent
        sign, plain = self.graph.split(rest)
        count = sign if sign.denominator == 1 and abs(sign) <= _HIGHEST_POWER else Fraction(1)
        bare = self.graph.scaled(sign / count, plain)
        whole = self.graph.general_power((base, labels), (bare, at), node.shape)
        inner = self.read(base, tuple([axes[k] for k in labels]))
        if inner is None or whole.op != "general_power":
            return self._generator(node, axes)
        raised = _Tree("power", count, parts=(self._generator(whole, axes),))
        return _Tree("product", parts=(raised, _Tree("power", number, parts=(inner,)))) if number else raised

    def _read_function(self, node: Node, axes: Labels) -> _Tree:
        if applies(node, "where"):
            condition, *branches = [(part, tuple([axes[k] for k in labels])) for part, labels in node.parts]
            read = [self.read(part, labels) for part, labels in branches]
            if all(part is not None for part in read):
                chosen = tuple([part for part in read if part is not None])
                key, holds = _read_condition(condition)
                # The condition that was written first is the reader's own, not the opposite that a rule made of it.
                if key not in self.nodes or condition[0].id < self.nodes[key][0].id:
                    self.nodes[key] = condition
                return _Tree("choice", key=key, parts=chosen if holds else chosen[::-1])
        if applies(node, "exp"):
            (argument, labels) = node.parts[0]
            amount, plain = self.graph.split(argument)
            if amount != 1 and amount.denominator == 1 and abs(amount) <= _HIGHEST_POWER:
                # exp(-x) beside exp(x) is its reciprocal; alone it stays, since 1/exp(x) overflows sooner.
                found = self._find_exponential(node, plain, labels, axes)
                if found is not None:
                    return _Tree("power", amount, parts=(_Tree("generator", key=found),))
        return self._generator(node, axes)

    def _find_exponential(self, node: Node, plain: Node, labels: Labels, axes: Labels) -> _Key | None:
        whole = self.graph.apply(node.payload, [(plain, labels)], node.shape)
        key = (whole.id, axes)
        return key if key in self.nodes else None

    # --- whether it is worth trying ---------------------------------------------------------------

    def may_shorten(self, tree: _Tree) -> bool:
        """Whether a generator stands at two places, so that something may cancel, and all is of a size to read."""
        if self.shape and any(not node.rank and node.op not in _PLAIN_SCALARS for node, _ in self.nodes.values()):
            # (y - (x.T @ y)*x/norm(x)**2)/norm(x): numbers made of the whole array stay where they are.
            return False
        seen = Counter(part.key for part in _walk(tree) if part.op in {"generator", "choice"})
        kinds = {part.op for part in _walk(tree)}
        return len(seen) <= _MOST_GENERATORS and max(seen.values(), default=0) > 1 and bool(kinds & {"sum", "choice"})

    # --- from the field back to nodes -------------------------------------------------------------

    def forms(self, tree: _Tree) -> Iterator[Node]:
        """Yield nodes that equal the tree: multiplied out and factored, for each branch of a condition."""
        condition = next((part.key for part in _walk(tree) if part.op == "choice"), None)
        if condition is not None:
            yield from self._choose(tree, condition)
            return
        algebra = _Field(self, tree)
        if algebra.value is not None:
            yield from algebra.forms()

    def are_equal(self, tree: _Tree, node: Node) -> bool:
        """Whether a node, read again, is the same element as the tree, for each branch of each condition."""
        other = self.read(node, tuple(range(node.rank)))
        if other is None:
            return False
        return self._is_zero(_Tree("sum", parts=(tree, other), numbers=(Fraction(1), Fraction(-1))))

    def _is_zero(self, tree: _Tree) -> bool:
        condition = next((part.key for part in _walk(tree) if part.op == "choice"), None)
        if condition is None:
            value = _Field(self, tree).value
            return value is not None and not value
        return all(self._is_zero(_take_branch(tree, condition, holds)) for holds in (0, 1))

    def _choose(self, tree: _Tree, condition: _Key) -> Iterator[Node]:
        """where(c, u, v): the form of the tree where c holds, and where it does not."""
        lengths = _Lengths(self.graph)
        branches = []
        for holds in (0, 1):
            chosen = _take_branch(tree, condition, holds)
            found = list(self.forms(chosen))
            if not any(part.op == "choice" for part in _walk(chosen)):
                found = [form for form in found if _count_terms(form) <= _count_addends(chosen)]
                found.append(self.graph.repeated(*self._write(chosen), self.shape))
            if not found:
                return
            branches.append(self._without_ones(min(found, key=lengths.of)))
        if not _read_condition(self.nodes[condition])[1]:
            branches.reverse()
        if branches[0] == branches[1]:
            yield self.graph.repeated(*branches[0], self.shape)
            return
        # In the language the three of `where` have one shape, or are scalars.
        decider, own = self.nodes[condition]
        if list(own) == sorted(own) and len(own) <= 2 and all(labels in (own, ()) for _, labels in branches):
            place = {label: k for k, label in enumerate(own)}
            placed = [(part, tuple([place[label] for label in labels])) for part, labels in branches]
            arguments = [(decider, tuple(range(len(own)))), *placed]
            chosen_node = self.graph.apply(shipped_rules()["where"], arguments, decider.shape)
            yield self.graph.repeated(chosen_node, own, self.shape)

    def _write(self, tree: _Tree) -> Part:
        """The tree as it stands, as a node on some axes of the region."""
        if tree.op == "number":
            return self.graph.number(tree.number), ()
        if tree.op == "generator":
            return self.raise_generator(tree.key, 1)
        parts = [self._write(part) for part in tree.parts]
        if tree.op == "power":
            return self.graph.power(parts[0][0], tree.number), parts[0][1]
        kept = sorted({k for _, labels in parts for k in labels})
        if tree.op == "product":
            return self.graph.product(tree.number, parts, kept), tuple(kept)
        terms = [(number, part, labels) for number, (part, labels) in zip(tree.numbers, parts, strict=True)]
        return self.graph.sum(terms, kept, tuple([self.shape[k] for k in kept])), tuple(kept)

    def raise_generator(self, key: _Key, exponent: int) -> Part:
        """The power of a generator, and the axes on which it lies."""
        if key in self.roots:
            _, (base, labels), q = self.roots[key]
            return self.graph.power(base, Fraction(exponent, q)), labels
        node, labels = self.nodes[key]
        return self.graph.power(node, exponent), labels

    def _without_ones(self, node: Node) -> Part:
        """A branch without the axes along which it is merely repeated."""
        axes = tuple(range(node.rank))
        if node.op == "ones":
            return self.graph.one, ()
        if node.op == "zeros":
            return self.graph.number(0), ()
        return drop_repeats(self.graph, node, axes) if node.op == "product" else (node, axes)


def _read_condition(condition: Part) -> tuple[_Key, bool]:
    """A key that u > v, v < u, u <= v and v >= u share, and whether it is the condition or its opposite."""
    node, labels = condition
    if node.payload not in {">", "<", ">=", "<="}:
        return ("condition", node.id, labels), True
    compared = [(part.id, tuple([labels[k] for k in at])) for part, at in node.parts]
    ordered = compared if node.payload in {">", "<="} else compared[::-1]
    return ("condition", *ordered), node.payload in {">", "<"}


def _take_branch(tree: _Tree, condition: _Key, holds: int) -> _Tree:
    """The tree where a condition holds (0) or does not (1)."""
    if tree.op == "choice" and tree.key == condition:
        return _take_branch(tree.parts[holds], condition, holds)
    parts = tuple([_take_branch(part, condition, holds) for part in tree.parts])
    return _Tree(tree.op, tree.number, tree.key, parts, tree.numbers)


def _count_addends(tree: _Tree) -> int:
    """The terms of the longest sum of a tree, without those that are zero."""
    sums = [part for part in _walk(tree) if part.op == "sum"]
    return max([sum([not _is_nothing(term) for term in part.parts]) for part in sums], default=1)


def _is_nothing(tree: _Tree) -> bool:
    return (tree.op == "number" and not tree.number) or (tree.op == "product" and any(map(_is_nothing, tree.parts)))


def _split_sum(graph: Graph, node: Node) -> tuple[Fraction, Node]:
    """The number among the terms of an exponent and the rest."""
    coefficient, inner = graph.split(node)
    if inner.op == "product" and len(inner.parts) == 1 and inner.parts[0][1] == tuple(range(inner.rank)):
        inner = inner.parts[0][0]
    if inner.op != "sum":
        return Fraction(0), node
    terms = list(zip(inner.payload, inner.parts, strict=True))
    number = sum([c for c, (part, _) in terms if part is graph.one], Fraction(0))
    rest = [(c, part, labels) for c, (part, labels) in terms if part is not graph.one]
    return coefficient * number, graph.scaled(coefficient, graph.sum(rest, range(node.rank), node.shape))


class _Field:
    """The field of fractions of a tree without choices, and the tree as its element."""

    def __init__(self, region: _Region, tree: _Tree) -> None:
        from sympy import QQ
        from sympy.polys.fields import field as field_of
        from sympy.polys.orderings import lex

        self.region = region
        self.graph = region.graph
        self.tree = tree
        depths: dict[_Key, int] = {}
        self._find_generators(tree, 0, depths)
        # Roots first, so that what is divided by r**2 - u has less of r in the order of the terms, and roots inside of
        # others behind them.
        self.keys = sorted(depths.keys() & set(region.roots), key=lambda key: (depths[key], repr(key)))
        plain = depths.keys() - set(region.roots)
        self.keys += sorted(plain, key=lambda key: (region.nodes[key][0].id, key[1]))
        self.value: FracElement | None = None
        if not self.keys:
            self.keys = [()]
        made, *generators = field_of([f"g{k}" for k in range(len(self.keys))], QQ, lex)
        self.field = made
        self.generators = dict(zip(self.keys, generators, strict=True))
        try:
            self.value = self._reduce(self._evaluate(tree))
        except ZeroDivisionError:
            self.value = None

    def _find_generators(self, tree: _Tree, depth: int, depths: dict[_Key, int]) -> None:
        """Note the generators of a tree and inside of its roots, with how many roots they lie in at most."""
        for part in _walk(tree):
            if part.op == "generator" and depths.get(part.key, -1) < depth:
                depths[part.key] = depth
                if part.key in self.region.roots:
                    self._find_generators(self.region.roots[part.key][0], depth + 1, depths)

    @cached_property
    def limits(self) -> dict[_Key, int]:
        """How high each generator is raised anywhere in the tree as it is computed."""
        return self._degrees(self.tree)

    def _evaluate(self, tree: _Tree) -> FracElement:
        match tree.op:
            case "number":
                return self._number(tree.number)
            case "generator":
                return self.generators[tree.key]
            case "power":
                return self._evaluate(tree.parts[0]) ** int(tree.number)
            case "product":
                result = self._number(tree.number)
                for part in tree.parts:
                    result = result * self._evaluate(part)
                return result
        result = self._number(Fraction(0))
        for number, part in zip(tree.numbers, tree.parts, strict=True):
            result = result + self._number(number) * self._evaluate(part)
        return result

    def _number(self, value: Fraction) -> FracElement:
        ring = self.field.ring
        return self.field.raw_new(ring(value.numerator), ring(value.denominator))

    def _reduce(self, value: FracElement) -> FracElement:
        """Apply r**q = u for each root of a polynomial u."""
        for key in self.keys:
            if key not in self.region.roots:
                continue
            inner, _, q = self.region.roots[key]
            below = self._evaluate(inner)
            if below.denom != 1:
                continue
            relation = (self.generators[key] ** q).numer - below.numer
            value = self.field(value.numer.rem([relation])) / self.field(value.denom.rem([relation]))
        return value

    def _degrees(self, tree: _Tree) -> dict[_Key, int]:
        if tree.op == "generator":
            return {tree.key: 1}
        inner = [self._degrees(part) for part in tree.parts]
        if tree.op == "power":
            return {key: degree * abs(int(tree.number)) for key, degree in inner[0].items()}
        merge: Callable[[Sequence[int]], int] = sum if tree.op == "product" else max
        keys = {key for part in inner for key in part}
        return {key: merge([part.get(key, 0) for part in inner]) for key in keys}

    # --- forms ------------------------------------------------------------------------------------

    def forms(self) -> Iterator[Node]:
        """Yield the value multiplied out, and with numerator and denominator factored."""
        if self.value is None or len(self.value.numer) + len(self.value.denom) > _MOST_TERMS:
            return
        above, below = self.value.numer, self.value.denom
        if not above:
            yield self.graph.zeros(self.region.shape)
            return
        factored = [_factor(polynomial) for polynomial in (above, below)]
        plain = [(whole.LC, [(whole.quo_ground(whole.LC), 1)]) for whole in (above, below)]
        for top, bottom in ((plain[0], factored[1]), (factored[0], factored[1]), (plain[0], plain[1])):
            if self._is_safe([*top[1], *bottom[1]]):
                yield self._write(_fraction(top[0]) / _fraction(bottom[0]), top[1], bottom[1])
        terms = list(self._fractions(above, factored[1]))
        if 1 < len(terms) <= 4:
            axes = range(len(self.region.shape))
            yield self.graph.sum([(1, term, axes) for term in terms], axes, self.region.shape)

    def _fractions(self, above: PolyElement, below: tuple[Any, list[tuple[PolyElement, int]]]) -> Iterator[Node]:
        """Each term of the numerator over the denominator, where the denominator is a monomial."""
        if any(len(factor) > 1 for factor, _ in below[1]):
            return
        for monomial, coefficient in above.terms():
            value = self.field(above.ring({monomial: coefficient})) / self.field(self.value.denom)  # type: ignore[union-attr]
            top, bottom = _factor(value.numer), _factor(value.denom)
            yield self._write(_fraction(top[0]) / _fraction(bottom[0]), top[1], bottom[1])

    def _is_safe(self, factors: Sequence[tuple[PolyElement, int]]) -> bool:
        """Whether nothing that grows like exp is raised to a higher power than it was."""
        for place, key in enumerate(self.keys):
            if not key or key in self.region.roots or not _grows(self.region.nodes[key][0]):
                continue
            if any(abs(power) * factor.degree(place) > self.limits.get(key, 0) for factor, power in factors):
                return False
        return True

    def _write(
        self, coefficient: Fraction, above: Sequence[tuple[PolyElement, int]], below: Sequence[tuple[PolyElement, int]]
    ) -> Node:
        """coefficient * product of factors**power, as a node over all axes of the region."""
        parts: list[Part] = []
        if coefficient < 0:
            # u - v reads better than -(v - u).
            mixed = next((k for k, (factor, power) in enumerate(above) if power % 2 and _has_both_signs(factor)), None)
            if mixed is not None:
                coefficient = -coefficient
                above = [(-factor if k == mixed else factor, power) for k, (factor, power) in enumerate(above)]
        for factor, power in [*above, *((factor, -power) for factor, power in below)]:
            number, more = self._write_power(factor, power)
            coefficient *= number
            parts += more
        shape = self.region.shape
        ones = self.graph.missing_ones(shape, {k for _, labels in parts for k in labels})
        return self.graph.product(coefficient, [*parts, *ones], range(len(shape)))

    def _write_power(self, factor: PolyElement, power: int) -> tuple[Fraction, list[Part]]:
        """The parts of a factor that is raised to a power: those of a monomial, or one sum."""
        if len(factor) == 1:
            ((monomial, number),) = factor.terms()
            return _fraction(number) ** power, self._write_monomial(monomial, power)
        found = [(number, self._write_monomial(monomial, 1)) for monomial, number in _in_reading_order(factor)]
        kept = sorted({k for _, parts in found for _, labels in parts for k in labels})
        place = {axis: k for k, axis in enumerate(kept)}
        terms = []
        for number, parts in found:
            own = sorted({k for _, labels in parts for k in labels})
            terms.append((_fraction(number), self.graph.product(1, parts, own), [place[k] for k in own]))
        total = self.graph.sum(terms, range(len(kept)), tuple([self.region.shape[k] for k in kept]))
        number, bare = self.graph.split(total)
        return number**power, [(self.graph.power(bare, power), tuple(kept))]

    def _write_monomial(self, monomial: Sequence[int], power: int) -> list[Part]:
        pairs = zip(self.keys, monomial, strict=True)
        return [self.region.raise_generator(key, exponent * power) for key, exponent in pairs if exponent]


def _fraction(number: Any) -> Fraction:
    return Fraction(int(number.numerator), int(number.denominator))


def _in_reading_order(factor: PolyElement) -> list[tuple[tuple[int, ...], Any]]:
    """Numbers last, what is subtracted after what is added, earlier written generators first."""
    return sorted(factor.terms(), key=lambda term: (term[1] < 0, sum(term[0]) == 0))


def _factor(polynomial: PolyElement) -> tuple[Any, list[tuple[PolyElement, int]]]:
    """The number and the factors with their powers."""
    number, factors = polynomial.factor_list()
    return number, factors


def _has_both_signs(factor: PolyElement) -> bool:
    return len({number > 0 for number in factor.coeffs()}) == 2


def _grows(node: Node) -> bool:
    return any(applies(node, name) for name in _GROWING)


class _Lengths:
    """How many tokens a node is written with, as a tree; the inside of a generator counts as it is written."""

    def __init__(self, graph: Graph) -> None:
        self._known = graph.lengths

    def of(self, node: Node) -> int:
        """The number of tokens."""
        for each in reachable(node, known=self._known):
            self._known[each.id] = self._count(each)
        return self._known[node.id]

    def _count(self, node: Node) -> int:
        inside = sum([self._known[part.id] for part, _ in node.parts if part.op != "ones"])
        match node.op:
            case "number" | "variable" | "size" | "constant" | "ones" | "zeros":
                return 1
            case "delta" | "lower" | "fuse" | "duplication":
                return 1
            case "product":
                count = len([part for part, _ in node.parts if part.op != "ones"])
                sums = sum([part.op == "sum" for part, _ in node.parts])
                brackets = 2 * sums if count > 1 or node.payload != 1 else 0
                sign = 0 if node.payload == 1 else 1 if node.payload == -1 else 2
                return inside + max(count - 1, 0) + brackets + sign
            case "sum":
                coefficients = sum([0 if abs(c) == 1 or part.op == "number" else 2 for c, (part, _) in
                                    zip(node.payload, node.parts, strict=True)])  # fmt: skip
                return inside + len(node.parts) - 1 + coefficients
            case "power":
                # The bar of a fraction stands where the sign of a product would.
                return inside + (0 if node.payload == -1 else 2) + 2 * (node.parts[0][0].op in {"sum", "product"})
        return inside + 3 + max(len(node.parts) - 1, 0)
