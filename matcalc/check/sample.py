"""Points at which a formula is tried: random and generic, from the domains that the expression needs."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from matcalc.check.conditions import Trouble, find_trouble
from matcalc.check.domains import SmoothFunction, draw, list_domains, move
from matcalc.check.forks import Coverage, Fork
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Shape

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
COMFORTABLE_ENTRIES = 5_000
TRIES = 120
EXPLORATIONS = 32
MOST_TRIALS = 3
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


def collect_letters(roots: Iterable[Expression]) -> list[str]:
    """Return the letters of all sizes below the roots, in the order of their appearance."""
    letters: dict[str, None] = {}
    for node in walk(*roots):
        for size in (*node.shape, *(node.data if node.op == "size" else ())):
            letters.update(dict.fromkeys(size.letters))
    return list(letters)


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
        for trial in range(trials, MOST_TRIALS * trials):
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
