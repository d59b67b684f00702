"""Forks of a formula: places such as relu, abs, where that go one of two ways; a fair trial shows both.

A claim that forgets one way, as 1 for the derivative of abs, is right wherever the other is taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from matcalc.check.conditions import names_below
from matcalc.check.evaluate_nodes import Function, evaluate_all
from matcalc.check.rule_texts import read_rule_text
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, subtract, symbols, walk

Side = tuple[int, int]  # the number of a fork, and 1 or -1
Sides = frozenset[tuple[Side, ...]]  # sides alone, and pairs of sides that are taken at one entry
MOST_FORKS = 12
CHOICES = ("max", "min", "largest", "smallest")


@dataclass(frozen=True)
class Fork:
    """A part of a formula whose sign decides; with a call it is part of a text about the call's arguments."""

    decider: Expression
    call: Expression | None = None

    @property
    def roots(self) -> tuple[Expression, ...]:
        """The parts of the formula itself that decide."""
        if self.call is None:
            return (self.decider,)
        deciding = symbols(self.decider)
        return tuple(arg for name, arg in _name_arguments(self.call).items() if name in deciding)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The variables and abstract functions that decide."""
        return tuple(name for root in self.roots for name in names_below(root))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The numbers beside them, with which they may be compared."""
        return tuple(abs(float(part.data[0])) for part in walk(*self.roots) if part.op == "number")

    @property
    def key(self) -> Hashable:
        """What two forks share that part at the same places, as relu(x - y) and y > x."""
        if self.call is None and self.decider.op == "subtract":
            return frozenset(self.decider.args)
        return (self.decider, self.call)


def _name_arguments(call: Expression) -> dict[str, Expression]:
    names = [parameter.name for parameter in call.data[0].variables]
    return dict(zip(names, call.args, strict=True))


def list_forks(*roots: Expression) -> tuple[Fork, ...]:
    """Return the forks below the roots at which a variable decides, at most MOST_FORKS of them.

    >>> from matcalc.language.text_to_expression import parse
    >>> len(list_forks(*parse("relu(x) + where(x > 2, 1, x) + exp(x)").expressions))
    2
    """
    found: dict[Hashable, Fork] = {}
    for node in walk(*roots):
        for fork in _list_forks_of_node(node):
            if fork.names and len(found) < MOST_FORKS:
                found.setdefault(fork.key, fork)
    return tuple(found.values())


def _list_forks_of_node(node: Expression) -> Iterator[Fork]:
    if node.op == "compare":
        yield Fork(_strip(subtract(*node.args)))
    elif node.op == "call":
        yield from _list_forks_of_call(node)
    if _takes_root(node):
        yield from (Fork(_strip(base)) for base in _list_squares(node.args[0]))


def _list_forks_of_call(node: Expression) -> Iterator[Fork]:
    rule, axis, _ = node.data
    shapes = tuple(arg.shape for arg in node.args)
    deciders: list[Expression] = []
    if rule.is_elementwise and rule.kinks:
        deciders = [part for part in _split_factors(read_rule_text(rule, rule.kinks, shapes)) if part.op != "call"]
    elif rule.is_definition and not rule.kinks and not rule.domain and axis is None:
        inner = list_forks(read_rule_text(rule, rule.define, shapes))
        deciders = [fork.decider for fork in inner if fork.call is None]
    for text in deciders:
        decider = _put_arguments(text, _name_arguments(node))
        yield Fork(text, node) if decider is None else Fork(_strip(decider))


def _split_factors(node: Expression) -> Iterator[Expression]:
    for arg in node.args if node.op == "multiply" else ():
        yield from _split_factors(arg)
    if node.op != "multiply":
        yield node


def _put_arguments(text: Expression, args: Mapping[str, Expression]) -> Expression | None:
    """Return a text about parameters as a part of the formula: x or x - y; None for other texts."""
    if text.op == "symbol":
        return args[text.name]
    if text.op != "subtract" or any(side.op != "symbol" for side in text.args):
        return None
    return subtract(*(args[side.name] for side in text.args))


def _strip(decider: Expression) -> Expression:
    """Return what decides at the same places in fewer words: x for -x, 2*x and x - 0."""
    while decider.op in ("negate", "subtract", "multiply", "divide"):
        rest = [arg for arg in decider.args if arg.op != "number"]
        zero = [arg for arg in decider.args if arg.op == "number" and not arg.data[0]]
        if len(rest) != 1 or bool(zero) != (decider.op == "subtract" and len(decider.args) == 2):
            break
        decider = rest[0]
    return decider


def _takes_root(node: Expression) -> bool:
    """Whether the node is a power that is not a whole one: it may undo a square, which leaves an absolute value."""
    if node.op == "call":
        return bool(node.data[0].name == "sqrt")
    return node.op == "power" and not _is_number(node.args[1], 1)


def _is_number(node: Expression, divisor: int) -> bool:
    """Whether a node is a whole number that can be divided."""
    return node.op == "number" and float(node.data[0]) % divisor == 0


def _list_squares(node: Expression) -> Iterator[Expression]:
    """Yield what stands squared among the factors below a root: its sign decides in sqrt(x**2*y)."""
    is_power = node.op == "power" and _is_number(node.args[1], 2)
    is_product = node.op == "multiply" and node.args[0] is node.args[1]
    if is_power or is_product or (node.op == "call" and node.data[0].name == "square"):
        yield node.args[0]
    elif node.op in ("multiply", "divide"):
        for arg in node.args:
            yield from _list_squares(arg)


# --- what the points show -------------------------------------------------------------------------


class Coverage:
    """Which sides of the forks the points of a trial have shown so far, alone and together with other forks' sides."""

    def __init__(self, *roots: Expression) -> None:
        self.forks = list_forks(*roots)
        self.chooses = any(node.op == "call" and node.data[0].name in CHOICES for node in walk(*roots))
        self.seen: Sides = frozenset()
        self._latest: tuple[int, Sides] = (0, frozenset())

    def note(self, trial: int, shown: Sides) -> None:
        """Keep what the point of a trial shows; it is seen once the next trial begins, for it may yet be rejected."""
        self._latest = (trial, shown)

    def begin(self, trial: int) -> None:
        """Count as seen what the points of earlier trials have shown."""
        if self._latest[0] != trial:
            self.seen |= self._latest[1]

    def show(
        self, values: Mapping[str, Tensor], sizes: Mapping[str, int], functions: Mapping[str, Function]
    ) -> Sides:
        """Return the sides that a point shows, and the pairs of sides of two forks that it shows at one entry."""
        try:
            with torch.no_grad():
                distances = self._measure(values, sizes, functions)
        except MatcalcError:
            return frozenset()
        taken = {
            (place, sign): taken for place, distance in enumerate(distances)
            for sign in (1, -1) if bool((taken := sign * distance > 0).any())
        }  # fmt: skip
        pairs = _list_pairs(list(taken))
        return frozenset([*((side,) for side in taken), *(pair for pair in pairs if _meet(*map(taken.get, pair)))])

    def _measure(
        self, values: Mapping[str, Tensor], sizes: Mapping[str, int], functions: Mapping[str, Function]
    ) -> list[Tensor]:
        roots = (root for fork in self.forks for root in (fork.call.args if fork.call else fork.roots))
        found = evaluate_all(tuple(roots), values, sizes, functions)
        distances = []
        for fork in self.forks:
            inner: Mapping[Expression, Tensor] = found
            if fork.call is not None:
                args = {name: found[arg] for name, arg in _name_arguments(fork.call).items()}
                inner = evaluate_all((fork.decider,), args, sizes, functions)
            distances.append(inner[fork.decider])
        return distances

    def count_new(self, shown: Sides) -> tuple[int, int]:
        """Return how many sides a point shows for the first time, and how many pairs of sides."""
        new = shown - self.seen
        alone = sum(1 for sides in new if len(sides) == 1)
        return alone, len(new) - alone

    def find_lacking(self, shown: Sides = frozenset()) -> list[tuple[Fork, ...]]:
        """Return the forks of which neither the earlier trials nor a point show a side, or else the pairs of forks."""
        sides = [(place, sign) for place in range(len(self.forks)) for sign in (1, -1)]
        have = self.seen | shown
        missing = [(side,) for side in sides if (side,) not in have] or _list_pairs(sides)
        places = sorted({tuple(place for place, _ in group) for group in missing if group not in have})
        return [tuple(self.forks[place] for place in group) for group in places]


def _list_pairs(sides: list[Side]) -> list[tuple[Side, ...]]:
    return [pair for pair in combinations(sides, 2) if pair[0][0] != pair[1][0]]


def _meet(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two conditions hold at one entry; those of unlike shapes do not meet entry by entry."""
    if one is None or other is None:
        return False
    if one.ndim != other.ndim or any(m != n and 1 not in (m, n) for m, n in zip(one.shape, other.shape, strict=True)):
        return True
    return bool((one & other).any())
