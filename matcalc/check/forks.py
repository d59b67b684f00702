"""Forks of a formula: places such as relu, abs, where that go one of two ways; a fair trial shows both.

A claim that forgets one way, as 1 for the derivative of abs, is right wherever the other is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from matcalc.check.conditions import names_below
from matcalc.check.evaluate_nodes import Function, evaluate_all
from matcalc.check.rule_texts import read_rule_text
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, subtract, walk

Side = tuple[int, int]  # the number of a fork, and 1 or -1
Sides = frozenset[Side | tuple[Side, Side]]
MOST_FORKS = 12


@dataclass(frozen=True)
class Fork:
    """A part of a formula whose sign decides; with a call it is part of a text about the call's arguments."""

    decider: Expression
    call: Expression | None = None

    @property
    def roots(self) -> tuple[Expression, ...]:
        """The parts of the formula itself that decide."""
        return self.call.args if self.call else (self.decider,)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The variables and abstract functions that decide."""
        return tuple(name for root in self.roots for name in names_below(root))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The numbers beside them, with which they may be compared."""
        return tuple(abs(float(part.data[0])) for part in walk(*self.roots) if part.op == "number")


def list_forks(*roots: Expression) -> tuple[Fork, ...]:
    """Return the forks below the roots at which a variable decides, at most MOST_FORKS of them.

    >>> from matcalc.language.text_to_expression import parse
    >>> len(list_forks(*parse("relu(x) + where(x > 2, 1, x) + exp(x)").expressions))
    2
    """
    found: dict[Fork, None] = {}
    for node in walk(*roots):
        if node.op == "compare":
            found[Fork(subtract(*node.args))] = None
        elif node.op == "call":
            found.update(dict.fromkeys(_list_forks_of_call(node)))
        if _takes_root(node):
            found.update(dict.fromkeys(_list_squares(node.args[0])))
    return tuple(fork for fork in found if fork.names)[:MOST_FORKS]


def _list_forks_of_call(node: Expression) -> Iterator[Fork]:
    rule, axis, _ = node.data
    shapes = tuple(arg.shape for arg in node.args)
    if rule.is_elementwise and rule.kinks:
        yield from (Fork(factor, node) for factor in _split_factors(read_rule_text(rule, rule.kinks, shapes)))
    elif rule.define and not rule.kinks and not rule.domain and axis is None:
        inner = list_forks(read_rule_text(rule, rule.define, shapes))
        yield from (Fork(fork.decider, node) for fork in inner if fork.call is None)


def _split_factors(node: Expression) -> Iterator[Expression]:
    for arg in node.args if node.op == "multiply" else ():
        yield from _split_factors(arg)
    if node.op != "multiply":
        yield node


def _takes_root(node: Expression) -> bool:
    """Whether the node is a power that is not a whole one: it may undo a square, which leaves an absolute value."""
    if node.op == "call":
        return bool(node.data[0].name == "sqrt")
    return node.op == "power" and not _is_number(node.args[1], 1)


def _is_number(node: Expression, divisor: int) -> bool:
    """Whether a node is a whole number that can be divided."""
    return node.op == "number" and float(node.data[0]) % divisor == 0


def _list_squares(root: Expression) -> Iterator[Fork]:
    """Yield what is squared below a root: its sign decides in sqrt(x**2)."""
    for node in walk(root):
        is_power = node.op == "power" and _is_number(node.args[1], 2)
        is_product = node.op == "multiply" and node.args[0] is node.args[1]
        if is_power or is_product or (node.op == "call" and node.data[0].name == "square"):
            yield Fork(node.args[0])


class Coverage:
    """Which sides of the forks the points of a trial have shown so far, alone and beside the sides of other forks."""

    def __init__(self, *roots: Expression) -> None:
        self.forks = list_forks(*roots)
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
        """Return the sides that a point shows, and the pairs of sides of two forks."""
        try:
            with torch.no_grad():
                distances = self._measure(values, sizes, functions)
        except MatcalcError:
            return frozenset()
        signs = [(place, sign, sign * distance) for place, distance in enumerate(distances) for sign in (1, -1)]
        return _add_pairs([(place, sign) for place, sign, distance in signs if bool((distance > 0).any())])

    def _measure(
        self, values: Mapping[str, Tensor], sizes: Mapping[str, int], functions: Mapping[str, Function]
    ) -> list[Tensor]:
        found = evaluate_all(tuple(root for fork in self.forks for root in fork.roots), values, sizes, functions)
        distances = []
        for fork in self.forks:
            inner: Mapping[Expression, Tensor] = found
            if fork.call is not None:
                names = [parameter.name for parameter in fork.call.data[0].variables]
                args = {name: found[arg] for name, arg in zip(names, fork.call.args, strict=True)}
                inner = evaluate_all((fork.decider,), args, sizes, functions)
            distances.append(inner[fork.decider])
        return distances

    def count_new(self, shown: Sides) -> tuple[int, int]:
        """Return how many sides a point shows for the first time, and how many pairs of sides."""
        new = shown - self.seen
        alone = sum(1 for item in new if isinstance(item[1], int))
        return alone, len(new) - alone

    def find_lacking(self, shown: Sides) -> list[Fork]:
        """Return the forks of which a side is missing still, or where none is, a pair of sides."""
        sides = [(place, sign) for place in range(len(self.forks)) for sign in (1, -1)]
        missing = _add_pairs(sides) - self.seen - shown
        alone = {item[0] for item in missing if isinstance(item[1], int)}
        places = alone or {side[0] for pair in missing for side in pair if isinstance(side, tuple)}
        return [self.forks[place] for place in sorted(places)]


def _add_pairs(sides: list[Side]) -> Sides:
    return frozenset([*sides, *(pair for pair in combinations(sides, 2) if pair[0][0] != pair[1][0])])
