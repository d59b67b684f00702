"""Points at which a formula is tried: random and generic, from the domains that the expression needs."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from matcalc.check.conditions import Trouble, find_trouble, names_below
from matcalc.check.modes import own_modes
from matcalc.check.torch_values import draw_unit, evaluate_all
from matcalc.errors import EvaluationError, MatcalcError
from matcalc.language.declarations import list_structures
from matcalc.language.expression import Expression, collect_letters, collect_sums, subtract, symbols, walk
from matcalc.language.sizes import Shape, fit_numbers
from matcalc.language.text_to_expression import list_abstract, parse_rule_text

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
        if _count_entries(shape, sizes) <= COMFORTABLE_ENTRIES:
            break
    return sizes


def _count_entries(shape: Shape, sizes: dict[str, int]) -> int:
    """How many entries an array has; a range that is empty at these sizes, n - 5 at n = 2, is made longer later."""
    return math.prod(max(1, size.evaluate(sizes)) for size in shape)


# The smallest and the largest size, and how many entries a derivative may have then: of a gradient many are one pass.
_OTHER_SIZES = ((12, 20, 24), (4, 9, 100), (4, 7, 100))


def choose_other_sizes(letters: list[str], seed: int, shape: Shape) -> dict[str, int]:
    """Return sizes that `choose_sizes` does not use, none where a derivative of that shape would be a large one.

    A claim with (n - 2)*(n - 3)*(n - 5) in it is right at every size that is used otherwise.

    >>> set(choose_other_sizes(["m", "n"], 0, ()).values()) & {2, 3, 5}
    set()
    """
    for smallest, largest, most in _OTHER_SIZES:
        numbers = [number for number in range(smallest, largest + len(letters)) if number not in PRIMES[:3]]
        sizes = dict(zip(letters, random.Random(f"other {seed}").sample(numbers, len(letters)), strict=True))
        if _count_entries(shape, sizes) <= most:
            return sizes
    return {}


# --- domains --------------------------------------------------------------------------------------
#
# The domains that a variable may be drawn from, and random values from each.


class SmoothFunction:
    """A random smooth function in the place of an abstract one: shift + C @ sin(W @ x + b), x of any shape.

    All its derivatives are generic; with `positive` all its values are.
    """

    def __init__(self, shape: tuple[int, ...], seed: int, positive: bool, dtype: torch.dtype, device: str) -> None:
        self.shape, self.seed, self.positive, self.dtype, self.device = shape, seed, positive, dtype, device
        self._weights: dict[tuple[int, ...], tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        inner, phases, outer = self._weights.get(tuple(x.shape)) or self._draw(tuple(x.shape))
        waves = outer @ torch.sin(inner @ x.reshape(-1) + phases)
        return (waves + 2.5 * self.positive).reshape(self.shape)

    @own_modes(None)  # what is drawn is kept: no mode of the first caller may mark it
    def _draw(self, shape: tuple[int, ...], features: int = 6) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        entries = max(1, math.prod(shape))
        inner = torch.randn(features, entries, generator=generator, dtype=torch.float64) / math.sqrt(entries)
        phases = torch.rand(features, generator=generator, dtype=torch.float64) * 6
        outer = torch.rand(math.prod(self.shape), features, generator=generator, dtype=torch.float64) - 0.5
        to = {"dtype": self.dtype, "device": self.device}
        self._weights[shape] = (inner.to(**to), phases.to(**to), (outer * 4 / math.sqrt(features)).to(**to))
        return self._weights[shape]


def _eye_like(x: Tensor) -> Tensor:
    return torch.eye(x.shape[0], dtype=x.dtype, device=x.device)


def _signed(u: Tensor, generator: torch.Generator) -> Tensor:
    return torch.where(draw_unit(u.shape, generator) < 0.5, -u, u)


_ENTRIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "real": lambda u, g: _signed(0.2 + 1.4 * u, g),
    "nonzero": lambda u, g: _signed(0.2 + 1.4 * u, g),
    "positive": lambda u, g: 0.3 + 1.5 * u,
    "unit-interval": lambda u, g: 0.1 + 0.8 * u,
    "sign": lambda u, g: _signed(torch.ones_like(u), g),
    # Of a matrix each row is a point of the simplex, as a batch of targets has it.
    "simplex": lambda u, g: (0.2 + u) / (0.2 + u).sum(dim=_axis_of_rows(u), keepdim=True),
    "simplex-columns": lambda u, g: (0.2 + u) / (0.2 + u).sum(dim=0, keepdim=True),
    "one-hot": lambda u, g: (u == u.amax(dim=_axis_of_rows(u), keepdim=True)).to(u.dtype),
    "unit-sum": lambda u, g: _sum_to_one(_signed(0.2 + 1.4 * u, g), _axis_of_rows(u)),
    "unit-sum-columns": lambda u, g: _sum_to_one(_signed(0.2 + 1.4 * u, g), 0),
    "small": lambda u, g: _signed(0.02 + 0.2 * u, g),
    "negative": lambda u, g: -0.3 - 1.5 * u,
    "large": lambda u, g: 2 + 2 * u,
    "huge": lambda u, g: 4 + 36 * u**2,
    "tiny": lambda u, g: _signed(0.0005 + 0.02 * u**2, g),
    "near": lambda u, g: 0.85 + 0.3 * u,
    "around": lambda u, g: _signed(0.85 + 0.3 * u, g),
    "dominant": lambda u, g: _dominate(_signed(0.2 + 1.4 * u, g)),
}


def _axis_of_rows(x: Tensor) -> int:
    """Return the axis along a row, of a column that along it."""
    return 0 if x.ndim == 1 or x.shape[1] == 1 else 1


def _sum_to_one(x: Tensor, axis: int) -> Tensor:
    return x + (1 - x.sum(dim=axis, keepdim=True)) / x.shape[axis]


def _dominate(x: Tensor) -> Tensor:
    """Add to the diagonal until every eigenvalue has a positive real part."""
    return x + (0.6 + float(torch.linalg.matrix_norm(x, 2))) * _eye_like(x)


def _make_invertible(x: Tensor) -> Tensor:
    """Return a matrix that is not symmetric, well conditioned, with a positive determinant."""
    left, singular, right = torch.linalg.svd(x)
    x = left @ torch.diag(singular + 0.3 * singular[0]) @ right
    if float(torch.linalg.det(x)) < 0:
        x[0] = -x[0]
    return x


def _make_symmetric(x: Tensor) -> Tensor:
    return (x + x.mT) / 2


def _make_orthogonal(x: Tensor) -> Tensor:
    """Return an orthogonal matrix; of one that is symmetric, or diagonal, a reflection, which is so as well."""
    if not torch.equal(x, x.mT):
        return torch.linalg.qr(x).Q
    normal = x[:, 0] / torch.linalg.vector_norm(x[:, 0])
    return _eye_like(x) - 2 * torch.outer(normal, normal)


# Each holds to the last bit, save orthogonality: a formula may take the largest entry of A - A.T.
_STRUCTURES: dict[str, Callable[[Tensor], Tensor]] = {
    "invertible": _make_invertible,
    "symmetric": _make_symmetric,
    "skew": lambda x: (x - x.mT) / 2,
    "diagonal": lambda x: torch.diag(torch.diag(x)),
    "lower-triangular": torch.tril,
    "upper-triangular": torch.triu,
    "orthogonal": _make_orthogonal,
    # The product alone is not symmetric on every processor; the eigenvalues are 1/2 at least.
    "posdef": lambda x: _make_symmetric(x @ x.mT / x.shape[0] + 0.5 * _eye_like(x)),
}


_TIMES = " times "
_FIXED_ENTRIES = ("sign", "one-hot", "simplex", "simplex-columns", "unit-interval")
FIXED_DOMAINS = {*_FIXED_ENTRIES, "unit-sum", "unit-sum-columns", "orthogonal"}
_SUMMING = {"rows": ("unit-sum", "simplex"), "entries": ("unit-sum", "simplex"),
            "columns": ("unit-sum-columns", "simplex-columns")}  # fmt: skip
_CAN_DOMINATE = ("", " invertible", " symmetric", " diagonal", " lower-triangular", " upper-triangular")


def list_domains(symbol: Expression) -> list[str]:
    """Return the domains that a variable may be drawn from, the least special first; assumptions fix the first word."""
    assumptions = list_structures(symbol)
    structure = "".join(f" {name}" for name in _STRUCTURES if name in assumptions)
    for fixed in _FIXED_ENTRIES:
        if fixed in assumptions:
            return [fixed + structure]
    if "positive" in assumptions:
        kinds = ["positive", "unit-interval", "large", "huge"]
    else:
        kinds = ["nonzero" if "nonzero" in assumptions else "real"]
        kinds += ["positive", "unit-interval", "small", "negative", "large", "huge", "tiny"]
        square = len(symbol.shape) == 2 and symbol.shape[0] == symbol.shape[1] and not symbol.is_scalar
        kinds[1:1] = ["dominant"] if square and structure in _CAN_DOMINATE else []
    return [kind + structure for kind in kinds]


def draw(shape: tuple[int, ...], domain: str, generator: torch.Generator) -> Tensor:
    """Return random float64 entries from a domain such as "real", "positive symmetric" or "real times 10"."""
    domain, _, scale = domain.partition(_TIMES)
    kind, *structures = domain.split()
    value = _ENTRIES[kind](draw_unit(shape, generator), generator)
    for structure in structures:
        value = _STRUCTURES[structure](value)
    return float(scale) * value if scale else value


def move(domains: list[str], numbers: Iterable[float], choices: random.Random) -> str:
    """Return one of the domains, in half of the cases scaled to one of the numbers or near it, if it may be."""
    domain = choices.choice(domains)
    if choices.random() < 0.5 or not FIXED_DOMAINS.isdisjoint(domain.split()):
        return domain
    kind, *structures = domain.split()
    near = "around" if any(other.startswith("negative") for other in domains) else "near"
    scale = choices.choice([number for number in numbers if number] or [3.0, 10.0])
    return f"{' '.join([choices.choice([kind, near]), *structures])}{_TIMES}{scale:g}"


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
        summing: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """`expression` sets the conditions; `extra` (the claim, wrt) adds names; `shape` is the derivative's.

        The matrices named `symmetric` are made so, whatever else is known of them; the rows, columns or all entries of
        those in `summing` sum to 1, as {"Y": "rows"}; `sizes` are kept at each point.
        """
        self.expression, self.extra, self.shape = expression, extra, shape
        self.seed, self.dtype, self.device = seed, dtype, device
        self.tries_left = self.tries = tries
        self.given_sizes = dict(sizes or {})
        self.letters = collect_letters((expression, *extra))
        self.sums = collect_sums((expression, *extra))
        self.variables = symbols(expression, *extra)
        self.abstract = list_abstract(expression, *extra)
        self.domains = {name: list_domains(node) for name, node in self.variables.items()}
        for name in symmetric:
            self.domains[name] = [f"{domain} symmetric" for domain in self.domains[name]]
        self.domains |= {name: list(_SUMMING[kind]) for name, kind in (summing or {}).items()}
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
                return self._show_more(trouble, trial) if self.coverage.branches and self.explores else trouble
            self.reasons[trouble.reason] += 1
            self._look_elsewhere(trouble.names)
        return NoPoint(self.objection or max(self.reasons, key=self.reasons.__getitem__, default="no tries were left"))

    def list_trials(self, trials: int) -> Iterator[int]:
        """Yield the numbers of the trials asked for, then of more while their points show more of the branches.

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
        """Return the point, or one that shows more sides of the branches which the trials before have not shown."""
        coverage = self.coverage
        coverage.begin(trial)
        shown = coverage.show(point)
        choices = random.Random(f"forks {self.seed} {trial}")
        lacking = coverage.find_lacking(shown) if coverage.seen else []
        for number in range(EXPLORATIONS if lacking else 0):
            self.exploration, self.moved = (number,), self._move_some(choices.choice(lacking), choices)
            other = self._inspect(self._draw(trial))
            if isinstance(other, Point):
                sides = coverage.show(other)
                if coverage.count_new(sides) > coverage.count_new(shown):
                    point, shown = other, sides
                    break
        self.exploration, self.moved = (), {}
        coverage.note(trial, shown)
        return point

    def _move_some(self, branches: tuple[Branch, ...], choices: random.Random) -> dict[str, str]:
        """Return other domains for the variables that decide at branches."""
        return {
            name: move(self.domains[name], branch.numbers, choices)
            for branch in branches for name in branch.names if name in self.variables
        }  # fmt: skip

    def draw_at(self, sizes: Mapping[str, int], trial: int) -> Point:
        """Return a point of other sizes from the domains in which points were found; it is not yet looked at."""
        fitted = fit_numbers({**sizes, **self.given_sizes}, self.sums, self.given_sizes, 2)
        given, self.given_sizes = self.given_sizes, fitted
        try:
            return self._draw(trial)
        finally:
            self.given_sizes = given

    def reject(self, trouble: Trouble) -> None:
        """Note why a point that was found will not do; the next will be another."""
        self.objection = trouble.reason
        # What is wrong may be the very side of a branch that was looked for.
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
        # An axis of one entry would hide what is added up along it.
        sizes = fit_numbers(sizes, self.sums, self.given_sizes, 1 if self.given_sizes else 2)
        generator = torch.Generator().manual_seed(hash((self.seed, trial, attempt, *self.exploration)) % 2**62)
        domains = {name: options[self.chosen[name]] for name, options in self.domains.items()} | self.moved
        values = {
            name: draw(_measure(node.shape, sizes), domains[name], generator).to(self.device, self.dtype)
            for name, node in self.variables.items()
        }
        functions = {
            name: SmoothFunction(
                _measure(shape, sizes), hash((self.seed, 7919 * attempt + place)) % 2**62, domains[name] == "positive",
                self.dtype, self.device,
            )
            for place, (name, shape) in enumerate(self.abstract.items())
        }  # fmt: skip
        return Point(values, sizes, functions, domains, 1.0)

    def _inspect(self, point: Point) -> Point | Trouble:
        """Return the point with its magnitude where it will do, else what is wrong with it."""
        try:
            with torch.no_grad():
                trouble, largest = find_trouble(self.expression, point)
        except EvaluationError as error:
            return Trouble(error.reason, tuple(self.domains))
        return trouble or Point(point.values, point.sizes, point.functions, point.domains, largest)


def _measure(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size.value(sizes) for size in shape)


# --- branches ------------------------------------------------------------------------------------------
#
# Branches of a formula: places such as relu, abs, where that go one of two ways; a fair trial shows both.
#
# A claim that forgets one way, as 1 for the derivative of abs, is right wherever the other is taken.


_Side = tuple[int, int]  # the number of a branch, and 1 or -1
Sides = frozenset[tuple[_Side, ...]]  # sides alone, and pairs of sides that are taken at one entry
MOST_BRANCHES = 12
CHOICES = ("max", "min", "largest", "smallest")


@dataclass(frozen=True)
class Branch:
    """A part of a formula whose sign decides; with a call it is part of a text about the call's arguments."""

    decider: Expression
    call: Expression | None = None

    @property
    def roots(self) -> tuple[Expression, ...]:
        """The parts of the formula itself that decide."""
        if self.call is None:
            return (self.decider,)
        deciding = symbols(self.decider)
        return tuple(arg for name, arg in name_arguments(self.call).items() if name in deciding)

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
        """What two branches share that part at the same places, as relu(x - y) and y > x."""
        if self.call is None and self.decider.op == "subtract":
            return frozenset(self.decider.args)
        return (self.decider, self.call)


def name_arguments(call: Expression) -> dict[str, Expression]:
    """Return the arguments of a call by the names of its rule's parameters."""
    names = [parameter.name for parameter in call.data[0].variables]
    return dict(zip(names, call.args, strict=True))


def list_branches(*roots: Expression) -> tuple[Branch, ...]:
    """Return the branches below the roots at which a variable decides, at most MOST_BRANCHES of them.

    >>> from matcalc.language.text_to_expression import parse
    >>> len(list_branches(*parse("relu(x) + where(x > 2, 1, x) + exp(x)").expressions))
    2
    """
    found: dict[Hashable, Branch] = {}
    for node in walk(*roots):
        for branch in _list_branches_of_node(node):
            if branch.names and len(found) < MOST_BRANCHES:
                found.setdefault(branch.key, branch)
    return tuple(found.values())


def _list_branches_of_node(node: Expression) -> Iterator[Branch]:
    if node.op == "compare":
        yield Branch(_strip(subtract(*node.args)))
    elif node.op == "call":
        yield from _list_branches_of_call(node)
    # A power that is no whole one may undo a square, which leaves an absolute value.
    if node.is_call("sqrt") or (node.op == "power" and not _is_number(node.args[1], 1)):
        yield from (Branch(_strip(base)) for base in _list_squares(node.args[0]))


def _list_branches_of_call(node: Expression) -> Iterator[Branch]:
    rule, axis, _ = node.data
    shapes = tuple(arg.shape for arg in node.args)
    deciders: list[Expression] = []
    if rule.is_elementwise and rule.kinks:
        deciders = [part for part in split_factors(parse_rule_text(rule, rule.kinks, shapes)) if part.op != "call"]
    elif rule.is_definition and not rule.kinks and not rule.domain and axis is None:
        inner = list_branches(parse_rule_text(rule, rule.define, shapes))
        deciders = [branch.decider for branch in inner if branch.call is None]
    for text in deciders:
        decider = _put_arguments(text, name_arguments(node))
        yield Branch(text, node) if decider is None else Branch(_strip(decider))


def split_factors(node: Expression) -> Iterator[Expression]:
    """Yield the factors of a product, of anything else itself."""
    for arg in node.args if node.op == "multiply" else ():
        yield from split_factors(arg)
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
    """Which sides of the branches a trial's points have shown so far, alone and together."""

    def __init__(self, *roots: Expression) -> None:
        self.branches = list_branches(*roots)
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

    def show(self, point: Point) -> Sides:
        """Return the sides that a point shows, and the pairs of sides of two branches that it shows at one entry."""
        try:
            with torch.no_grad():
                distances = self.measure(point)
        except MatcalcError:
            return frozenset()
        taken = {
            (place, sign): taken for place, distance in enumerate(distances)
            for sign in (1, -1) if bool((taken := sign * distance > 0).any())
        }  # fmt: skip
        pairs = [pair for pair in _list_pairs(list(taken)) if _meet(taken[pair[0]], taken[pair[1]])]
        return frozenset([*((side,) for side in taken), *pairs])

    def measure(self, point: Point) -> list[Tensor]:
        """Return what decides at each branch, at a point."""
        roots = (root for branch in self.branches for root in (branch.call.args if branch.call else branch.roots))
        found = evaluate_all(tuple(roots), point.values, point.sizes, point.functions)
        distances = []
        for branch in self.branches:
            inner: Mapping[Expression, Tensor] = found
            if branch.call is not None:
                args = {name: found[arg] for name, arg in name_arguments(branch.call).items()}
                inner = evaluate_all((branch.decider,), args, point.sizes, point.functions)
            distances.append(inner[branch.decider])
        return distances

    def count_new(self, shown: Sides) -> tuple[int, int]:
        """Return how many sides a point shows for the first time, and how many pairs of sides."""
        new = shown - self.seen
        alone = sum(1 for sides in new if len(sides) == 1)
        return alone, len(new) - alone

    def find_lacking(self, shown: Sides = frozenset()) -> list[tuple[Branch, ...]]:
        """Return the branches, or the pairs of them, of which neither the earlier trials nor a point show a side."""
        sides = [(place, sign) for place in range(len(self.branches)) for sign in (1, -1)]
        have = self.seen | shown
        missing = [(side,) for side in sides if (side,) not in have] or _list_pairs(sides)
        places = sorted({tuple(place for place, _ in group) for group in missing if group not in have})
        return [tuple(self.branches[place] for place in group) for group in places]


def _list_pairs(sides: list[_Side]) -> list[tuple[_Side, _Side]]:
    return [pair for pair in combinations(sides, 2) if pair[0][0] != pair[1][0]]


def _meet(one: Tensor, other: Tensor) -> bool:
    """Whether two conditions hold at one entry; those of unlike shapes do not meet entry by entry."""
    if one.ndim != other.ndim or any(m != n and 1 not in (m, n) for m, n in zip(one.shape, other.shape, strict=True)):
        return True
    return bool((one & other).any())
