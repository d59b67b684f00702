"""Points at which a formula is tried: random and generic, from the domains that the expression needs."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from matcalc.check.conditions import Trouble, find_trouble, names_below
from matcalc.check.deduce_sizes import collect_letters
from matcalc.check.domains import SmoothFunction, draw, list_domains, move
from matcalc.check.rule_texts import read_rule_text
from matcalc.check.torch_values import TensorFunction, evaluate_all
from matcalc.errors import EvaluationError, MatcalcError
from matcalc.language.expression import Expression, subtract, symbols, walk
from matcalc.language.sizes import Shape

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
COMFORTABLE_ENTRIES = 5_000
TRIES = 120
EXPLORATIONS = 32
_MOST_TRIALS = 3
PATIENCE = 3


@dataclass(frozen=True)
class Point:
    """Values of the variables as held tensors, numbers for the sizes, stand-ins for the abstract functions."""

    values: dict[str, Tensor]
    sizes: dict[str, int]
    functions: dict[str, SmoothFunction]
    domains: dict[str, str]
    largest: float


@dataclass(frozen=True)
class NoPoint:
    """No point was found, and why."""

    reason: str


# --- sizes ----------------------------------------------------------------------------------------


def choose_sizes(letters: list[str], seed: int, trial: int = 0, attempt: int = 0, shape: Shape = ()) -> dict[str, int]:
    """Return distinct primes for the letters, the smallest that will do.

    Each trial turns the primes by one place, so that no letter has the same number at every trial: a claim with
    3 in the place of n would agree there.  Where the derivative would have more than about 5,000 entries, small
    primes are used twice.

    >>> sorted(choose_sizes(["m", "n", "p"], seed=0).values())
    [2, 3, 5]
    """
    sizes: dict[str, int] = {}
    for primes in (PRIMES, (2, 3, 5), (2, 3), (2,)):
        hand = [primes[place % len(primes)] for place in range(max(3, len(letters)))]
        random.Random(f"{seed}/{attempt}").shuffle(hand)
        sizes = {letter: hand[(place + trial) % len(hand)] for place, letter in enumerate(letters)}
        if math.prod(size.value(sizes) for size in shape) <= COMFORTABLE_ENTRIES:
            break
    return sizes


# --- search ---------------------------------------------------------------------------------------


class PointSearch:
    """Draws points until one meets the conditions, trying other domains for the names that are in trouble."""

    def __init__(
        self,
        expression: Expression,
        extra: tuple[Expression, ...] = (),
        *,
        seed: int = 0,
        shape: Shape = (),
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
        tries: int = TRIES,
        symmetric: Iterable[str] = (),
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """`expression` sets the conditions; `extra` (the claim, wrt) adds names; `shape` is the derivative's.

        The matrices named `symmetric` are made so, whatever else is known of them; `sizes` are kept at each point.
        """
        self.expression, self.extra, self.shape = expression, extra, shape
        self.seed, self.dtype, self.device = seed, dtype, device
        self.tries_left = self.tries = tries
        self.given_sizes = dict(sizes or {})
        self.letters = collect_letters((expression, *extra))
        nodes = list(walk(expression, *extra))
        self.variables = {node.name: node for node in nodes if node.op == "symbol"}
        self.abstract = {node.name: _shape_of_function(node) for node in nodes if node.op.startswith("abstract")}
        self.domains = {name: list_domains(node) for name, node in self.variables.items()}
        for name in symmetric:
            self.domains[name] = [f"{domain} symmetric" for domain in self.domains[name]]
        self.domains |= {name: ["real", "positive"] for name in self.abstract}
        self.chosen = dict.fromkeys(self.domains, 0)
        self.random = random.Random(f"search {seed}")
        self.coverage = Coverage(expression, *extra)
        self.exploration: tuple[int, ...] = ()
        self.moved: dict[str, str] = {}
        self.reasons: Counter[str] = Counter()
        self.objection = ""
        self.explores, self.trial = True, 0
        self.rejections = 0

    def find(self, trial: int) -> Point | NoPoint:
        """Return a point that meets every condition, or the reason why none did or would do."""
        self.explores = self.explores or trial != self.trial
        self.trial = trial
        while self.tries_left > 0:
            self.tries_left -= 1
            point = self._draw(trial)
            trouble = self._inspect(point)
            if isinstance(trouble, Point):
                return self._show_more(trouble, trial) if self.coverage.forks and self.explores else trouble
            self.reasons[trouble.reason] += 1
            self._look_elsewhere(trouble.names)
        return NoPoint(self.objection or max(self.reasons, key=self.reasons.__getitem__, default="no tries were left"))

    def list_trials(self, trials: int) -> Iterator[int]:
        """Yield the numbers of the trials asked for, then of more while their points show more of the forks.

        Where the largest entry is chosen the trials are twice as many: a wrong choice may be right by chance.
        """
        trials *= 2 if self.coverage.chooses else 1
        yield from range(trials)
        seen = None
        for trial in range(trials, _MOST_TRIALS * trials):
            self.coverage.begin(trial)
            if self.coverage.seen == seen or not self.coverage.find_lacking():
                return
            seen = self.coverage.seen
            yield trial

    def _show_more(self, point: Point, trial: int) -> Point:
        """Return the point, or one that shows more sides of the forks which the trials before have not shown."""
        coverage = self.coverage
        coverage.begin(trial)
        shown = coverage.show(point.values, point.sizes, point.functions)
        choices = random.Random(f"forks {self.seed} {trial}")
        lacking = coverage.find_lacking(shown) if coverage.seen else []
        for number in range(EXPLORATIONS if lacking else 0):
            self.exploration, self.moved = (number,), self._move_some(choices.choice(lacking), choices)
            other = self._inspect(self._draw(trial))
            if isinstance(other, Point):
                sides = coverage.show(other.values, other.sizes, other.functions)
                if coverage.count_new(sides) > coverage.count_new(shown):
                    point, shown = other, sides
                    break
        self.exploration, self.moved = (), {}
        coverage.note(trial, shown)
        return point

    def _move_some(self, forks: tuple[Fork, ...], choices: random.Random) -> dict[str, str]:
        """Return other domains for the variables that decide at forks."""
        return {
            name: move(self.domains[name], fork.numbers, choices)
            for fork in forks for name in fork.names if name in self.variables
        }  # fmt: skip

    def reject(self, trouble: Trouble) -> None:
        """Note why a point that was found will not do; the next will be another."""
        self.objection = trouble.reason
        # What is wrong may be the very side of a fork that was looked for.
        self.explores = False
        self._look_elsewhere(trouble.names)

    def _look_elsewhere(self, troubled: tuple[str, ...]) -> None:
        """After a few draws that did not do choose other domains for the names in trouble.

        First all the names go one step on; later a coin decides between one domain for all of them and a
        random domain for one of them.
        """
        self.rejections += 1
        names = [name for name in dict.fromkeys(troubled) if len(self.domains.get(name, ())) > 1]
        if not names or self.rejections % PATIENCE:
            return
        step = self.rejections // PATIENCE
        together = step == 1 or self.random.random() < 0.5
        for name in names if together else [self.random.choice(names)]:
            place = step if together else self.random.randrange(len(self.domains[name]))
            self.chosen[name] = place % len(self.domains[name])

    def _draw(self, trial: int) -> Point:
        attempt = self.tries - self.tries_left - 1
        sizes = choose_sizes(self.letters, self.seed, trial, max(0, attempt - trial), self.shape) | self.given_sizes
        generator = torch.Generator().manual_seed(hash((self.seed, trial, attempt, *self.exploration)) % 2**62)
        domains = {name: options[self.chosen[name]] for name, options in self.domains.items()} | self.moved
        values = {
            name: draw(_measure(node.shape, sizes), domains[name], generator).to(self.device, self.dtype)
            for name, node in self.variables.items()
        }
        functions = {
            name: self._draw_function(_measure(shape, sizes), domains[name], 7919 * attempt + place)
            for place, (name, shape) in enumerate(self.abstract.items())
        }
        return Point(values, sizes, functions, domains, 1.0)

    def _draw_function(self, shape: tuple[int, ...], domain: str, number: int) -> SmoothFunction:
        return SmoothFunction(shape, hash((self.seed, number)) % 2**62, domain == "positive", self.dtype, self.device)

    def _inspect(self, point: Point) -> Point | Trouble:
        """Return the point with its magnitude where it will do, else what is wrong with it."""
        try:
            with torch.no_grad():
                trouble, largest = find_trouble(self.expression, point.values, point.sizes, point.functions)
        except EvaluationError as error:
            return Trouble(error.reason, tuple(self.domains))
        return trouble or Point(point.values, point.sizes, point.functions, point.domains, largest)


def _shape_of_function(node: Expression) -> Shape:
    return node.dropped_shape if node.op == "abstract" else tuple(size for size in node.data[2] if not size.is_unit)


def _measure(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size.value(sizes) for size in shape)


# --- forks ------------------------------------------------------------------------------------------
#
# Forks of a formula: places such as relu, abs, where that go one of two ways; a fair trial shows both.
#
# A claim that forgets one way, as 1 for the derivative of abs, is right wherever the other is taken.


_Side = tuple[int, int]  # the number of a fork, and 1 or -1
Sides = frozenset[tuple[_Side, ...]]  # sides alone, and pairs of sides that are taken at one entry
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
        self, values: Mapping[str, Tensor], sizes: Mapping[str, int], functions: Mapping[str, TensorFunction]
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
        self, values: Mapping[str, Tensor], sizes: Mapping[str, int], functions: Mapping[str, TensorFunction]
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


def _list_pairs(sides: list[_Side]) -> list[tuple[_Side, ...]]:
    return [pair for pair in combinations(sides, 2) if pair[0][0] != pair[1][0]]


def _meet(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two conditions hold at one entry; those of unlike shapes do not meet entry by entry."""
    if one is None or other is None:
        return False
    if one.ndim != other.ndim or any(m != n and 1 not in (m, n) for m, n in zip(one.shape, other.shape, strict=True)):
        return True
    return bool((one & other).any())
