"""Points over many scales: where a function lives, from a thousandth to a thousand, and both sides of its branches.

The points at which a claim is first tried have entries near 1, and what is wrong beyond 6 is right there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from matcalc.check.compare import (
    ABSOLUTE,
    LARGEST_FLOOR,
    ROUNDING_ALLOWED,
    TOLERANCES,
    Both,
    Comparison,
    compare_tensors,
    nudge,
)
from matcalc.check.conditions import POLE_DISTANCE, find_trouble
from matcalc.check.points import FIXED_DOMAINS, Branch, Point, list_branches, name_arguments, split_factors
from matcalc.check.tolerance import USUAL, Tolerance
from matcalc.check.torch_values import draw_unit, evaluate, evaluate_all, is_of_sympy
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, subtract, walk
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule

# Rounding errors are larger there, and what is wrong on one side of a branch is wrong by much.
FAR_ROOM = 1e3
DECADES = 3

_Pair = tuple[Tensor, Tensor]
_Values = dict[str, Tensor]
_Compute = Callable[[Expression, Point, _Values], _Pair]


def list_scaled(point: Point, seed: int = 0) -> Iterator[Point]:
    """Yield the point with its values times numbers from a thousandth to a thousand, and with either sign.

    First all values alike, then each variable and each entry by itself; structures, such as symmetry, are kept.
    """
    steps = 3 * DECADES
    signs = {name: -1.0 if _may_change_sign(domain) else 1.0 for name, domain in point.domains.items()}
    free = [name for name, domain in point.domains.items() if FIXED_DOMAINS.isdisjoint(domain.split())]
    for step in range(steps):
        scale = 10 ** (2 * DECADES * step / (steps - 1) - DECADES)
        for sign in (1.0, -1.0) if -1.0 in signs.values() else (1.0,):
            factors = {name: scale * (signs[name] if sign < 0 else 1.0) for name in free if name in point.values}
            yield _scale(point, {name: torch.tensor(factor) for name, factor in factors.items()})
    generator = torch.Generator().manual_seed(seed)
    for by_entry in (False, True) * 4:
        shapes = {name: point.values[name].shape for name in free if name in point.values}
        whole = {name: by_entry and len(point.domains[name].split()) == 1 for name in shapes}
        drawn = {name: draw_unit(shape if whole[name] else (), generator) for name, shape in shapes.items()}
        yield _scale(point, {name: 10 ** (2 * DECADES * unit - DECADES) for name, unit in drawn.items()})


_SCALABLE = frozenset({"symmetric", "skew", "diagonal", "lower-triangular", "upper-triangular"})


def _may_change_sign(domain: str) -> bool:
    kind, *structures = domain.split()
    return kind in ("real", "nonzero") and _SCALABLE.issuperset(structures)


def _scale(point: Point, factors: dict[str, Tensor]) -> Point:
    scaled = {name: point.values[name] * factor.to(point.values[name]) for name, factor in factors.items()}
    values = point.values | scaled
    largest = max([1.0, *(float(value.abs().amax()) for value in values.values())])
    return replace(point, values=values, largest=max(largest, point.largest))


_POLYNOMIAL = frozenset(
    "symbol number constant add subtract multiply negate matmul transpose einsum filled power divide call".split()
)
_HIGHEST_POWER = 4


def is_low_polynomial(*roots: Expression) -> bool:
    """Whether all entries are plainly polynomials of a low degree, with no size in them that counts as a number.

    Two of them that agree at a few random points are the same: nothing can hide far away.
    """
    nodes = list(walk(*roots))
    return sum(node.op == "filled" for node in nodes) < 2 and all(map(_keeps_polynomials, nodes))


def _keeps_polynomials(node: Expression) -> bool:
    if node.op in ("power", "divide"):
        second = node.args[1]
        return second.op == "number" and (node.op == "divide" or second.data[0] in range(_HIGHEST_POWER + 1))
    return node.op in _POLYNOMIAL and (node.op != "call" or bool(node.data[0].linear))


# The powers of ten by which the entries of a far point are scaled: beyond every number that is common, and near 0.
_BEYOND, _LESS_BEYOND, _NEAR = (0.6, 2.2), (0.3, 1.0), (-3.0, -0.7)
_SHARE_BEYOND = 0.7
_MANY = 4


def find_wrong_beyond(
    root: Expression, compute: Callable[[Point, _Values], _Pair], point: Point, number: int, seed: int,
    tolerance: Tolerance = USUAL, add_rows: Callable[[Point, _Values], _Pair | None] | None = None,
) -> Comparison | None:  # fmt: skip
    """Return how far two tensors are apart at a point far from 1, None where they are not.

    Where `add_rows` gives the sums of their rows, and these agree closely, all entries need not be computed.

    What is added to a right claim so that it is felt only far away, or near 0, is smooth and has no branch to look for.
    The entries lie far or near 0, each in its own measure, those of a matrix with structure all in one; then all of
    them near 0.  Of few entries some would not be tried far, on both sides of 0: they are tried at three points.
    """
    has_few = max((value.numel() for value in point.values.values()), default=0) < _MANY
    for share, side in ((1.0, 1), (1.0, -1), (0.0, 1)) if has_few else ((_SHARE_BEYOND, 1), (0.0, 1)):
        for decades in (_BEYOND, _LESS_BEYOND) if share else (_BEYOND,):
            scaled = _scale(point, _draw_factors(point, decades, share, side, seed))
            if add_rows is not None and _are_close(partial(add_rows, scaled), scaled):
                break
            found = _compare(partial(compute, scaled), scaled, number, tolerance)
            if found is not None and found.is_small:
                break
            # Whether the function has a value there is asked only where it matters.
            if found is not None and is_fair(root, scaled):
                return found
    return None


def _are_close(compute: Callable[[_Values], _Pair | None], point: Point) -> bool:
    """Whether two tensors are finite and agree as well as near 1: what is further apart is looked at by entries."""
    try:
        pair = compute(point.values)
    except (MatcalcError, RuntimeError):
        return False
    if pair is None:
        return False
    truth, got = pair
    error, scale = (truth - got).abs().amax(), truth.abs().amax()
    return bool(scale.isfinite()) and float(error) <= TOLERANCES[truth.dtype] * float(scale)


def _draw_factors(
    point: Point, decades: tuple[float, float], share: float, side: int, seed: int
) -> dict[str, Tensor]:
    """Return factors for the values, a share of them evenly from these decades, the sides of 0 in turn."""
    factors = {}
    for place, (name, value) in enumerate(point.values.items()):
        kind, *structures = point.domains[name].partition(" times ")[0].split()
        if FIXED_DOMAINS.isdisjoint([kind, *structures]):
            shape = () if structures or kind == "dominant" else value.shape
            is_signed = kind in ("real", "nonzero")
            drawn = _spread_factors(math.prod(shape), decades, share, side if is_signed else 0, seed + place)
            factors[name] = drawn.reshape(shape) * (value.sign().to(drawn) if shape and is_signed else 1)
    return factors


@lru_cache(maxsize=256)
def _spread_factors(count: int, decades: tuple[float, float], share: float, side: int, seed: int) -> Tensor:
    beyond = round(share * count)
    powers = [torch.linspace(*ends, steps) for ends, steps in ((decades[::-1], beyond), (_NEAR, count - beyond))]
    factors = 10 ** torch.cat(powers)
    if side:
        factors = factors * side * (1.0 - 2.0 * (torch.arange(count) % 2))
    return factors[torch.argsort(draw_unit((count,), torch.Generator().manual_seed(seed)))]


def find_wrong(
    root: Expression,
    compute: Callable[[Point, _Values], _Pair],
    point: Point,
    number: int,
    tolerance: Tolerance = USUAL,
) -> Comparison | None:
    """Return how far two tensors are apart at a scaled point where they differ, None where they do at none.

    The points are fair ones for the expression; `number` is what a report calls the one that is found.
    """
    for scaled in list_scaled(point):
        if is_fair(root, scaled):
            found = _compare(partial(compute, scaled), scaled, number, tolerance)
            if found is not None and not found.is_small:
                return found
    return None


def is_fair(root: Expression, point: Point) -> bool:
    """Whether a point of another scale is a fair one for the expression."""
    try:
        with torch.no_grad():
            return find_trouble(root, point, math.inf)[0] is None
    except MatcalcError:
        return False


def _compare(compute: Both, point: Point, number: int, tolerance: Tolerance) -> Comparison | None:
    """Return the comparison at a point, None where the tensors are not finite or cannot be computed.

    What rounding explains is no difference, nor is what is near it: rounding errors are larger there.
    """
    try:
        found = compare_tensors(compute, point, number, tolerance, suspicious=math.inf)
    except (MatcalcError, RuntimeError):
        return None
    return found and replace(found, tolerance=max(found.tolerance, FAR_ROOM * TOLERANCES[found.dtype]))


# --- functions entry by entry ---------------------------------------------------------------------

_STEPS = 48
# No number at which a function would bend: there either side may be stated.
_OFF_WHOLE = 1.0371
_HALVINGS = 20
_LINES = 3
_ASIDE = (1e-3, 3e-2)
_SMALLEST = 10**-DECADES

_Probes = dict[str, Tensor]


@dataclass(frozen=True)
class WrongEntry:
    """Where what is stated of a function is wrong: the arguments, the parameter, the true and the stated value."""

    arguments: dict[str, float]
    name: str
    expected: float
    got: float

    @property
    def place(self) -> str:
        """The arguments as a reader writes them."""
        return ", ".join(f"{name} = {value:.6g}" for name, value in self.arguments.items())


def scan_entries(node: Expression, texts: Sequence[str], compute: _Compute, seed: int) -> WrongEntry | None:
    """Return where two columns that belong to a function entry by entry are apart, None where they are not.

    `node` calls the function on columns.  They are tried along lines, on which one argument goes through all scales:
    on the grid, and on both sides of each branch of the texts, of each end of the domain, and of where the first column
    bends most sharply, found in each interval by bisection on its second difference.
    """
    scan = _Scan(node, compute)
    left, right = scan.draw_segments([*texts, scan.rule.domain], seed)
    passed = [scan.bisect_branch(branch, left, right) for branch in scan.list_branches(texts)]
    # SymPy's functions bend where their texts say, and each of their values costs mpmath milliseconds.
    bends = [] if is_of_sympy(scan.rule) else [scan.bisect_bend(left, right)]
    middles = [*filter(None, passed), *bends]
    beside = [probes for middle in middles for probes in _step_aside(middle)]
    return scan.find_wrong_entry(_join([left, right, *beside]))


def _join(parts: Sequence[_Probes]) -> _Probes:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _take(probes: _Probes, which: Tensor) -> _Probes:
    return {name: value[which] for name, value in probes.items()}


def _choose(which: Tensor, one: _Probes, other: _Probes) -> _Probes:
    return {name: torch.where(which, one[name], other[name]) for name in one}


def _meet(one: _Probes, other: _Probes) -> _Probes:
    return {name: (one[name] + other[name]) / 2 for name in one}


def _step_aside(middle: _Probes) -> Iterator[_Probes]:
    """Yield probes on both sides of each probe, along every argument."""
    for name, share, sign in itertools.product(middle, _ASIDE, (1, -1)):
        yield middle | {name: middle[name] + sign * share * middle[name].abs().clamp(_SMALLEST)}


@dataclass(frozen=True)
class _Scan:
    """A function called on columns, and what gives the two columns to be compared at probes."""

    node: Expression
    compute: _Compute

    @property
    def rule(self) -> Rule:
        """The function's rule."""
        rule: Rule = self.node.data[0]
        return rule

    @property
    def names(self) -> list[str]:
        """The names of the arguments."""
        return [parameter.name for parameter in self.rule.variables]

    def parse(self, text: str) -> Expression:
        """Return the expression of a text of the rule."""
        return parse_rule_text(self.rule, text, tuple(arg.shape for arg in self.node.args))

    def make_point(self, probes: _Probes) -> Point:
        """Return the probes as one point: columns with an entry for each."""
        (letter,) = self.node.shape[0].letters
        count = len(next(iter(probes.values())))
        values = {name: value.reshape(-1, 1) for name, value in probes.items()}
        return Point(values, {letter: count}, {}, dict.fromkeys(probes, "real"), 1.0)

    def compute_pair(self, probes: _Probes) -> _Pair:
        """Return both columns, a row for each parameter."""
        point = self.make_point(probes)
        count = len(next(iter(probes.values())))
        truth, stated = self.compute(self.node, point, point.values)
        return truth.detach().reshape(-1, count), stated.detach().reshape(-1, count)

    def measure(self, branch: Branch, probes: _Probes) -> Tensor:
        """Return what decides at a branch."""
        point = self.make_point(probes)
        values: Mapping[str, Tensor] = point.values
        if branch.call is not None:
            found = evaluate_all(branch.call.args, values, point.sizes)
            values = {name: found[arg] for name, arg in name_arguments(branch.call).items()}
        count = len(next(iter(probes.values())))
        return evaluate(branch.decider, values, point.sizes).expand(count, 1).reshape(-1)

    # --- segments and what lies in them -----------------------------------------------------------

    def draw_segments(self, texts: Iterable[str], seed: int) -> tuple[_Probes, _Probes]:
        """Return the ends of segments: along each line one argument goes through all scales, the others stay."""
        generator = torch.Generator().manual_seed(seed)
        sides = torch.logspace(-DECADES, DECADES, _STEPS, dtype=torch.float64) * _OFF_WHOLE
        parts = walk(*(self.parse(text) for text in texts if text))
        # The scales come as near to 0 as there is need; at 0 itself many a function has two derivatives.
        numbers = {abs(float(part.data[0])) for part in parts if part.op == "number"} - {0.0}
        around = [number * (1 + sign * share) for number in numbers for share in _ASIDE for sign in (1, -1)]
        positive = torch.cat([sides, torch.tensor(around, dtype=torch.float64)])
        grid = torch.cat([-positive, positive]).unique()
        lines = [
            {other: _draw_any(generator).expand(len(grid)) for other in self.names} | {name: grid}
            for name in self.names for _ in range(_LINES if self.names[1:] else 1)
        ]  # fmt: skip
        ends = slice(None, -1), slice(1, None)
        left, right = (_join([{name: value[end] for name, value in line.items()} for line in lines]) for end in ends)
        return left, right

    def list_branches(self, texts: Sequence[str]) -> list[Branch]:
        """Return the branches of the rule's texts, the end of its domain among them."""
        roots = [self.parse(text) for text in (*texts, self.rule.domain) if text]
        kinks = [Branch(part) for part in split_factors(self.parse(self.rule.kinks))] if self.rule.kinks else []
        return [*list_branches(*roots), *kinks]

    def bisect_branch(self, branch: Branch, left: _Probes, right: _Probes) -> _Probes:
        """Return the middles of where a branch is passed on the segments; none where it is not."""
        first = self.measure(branch, left) > 0
        crossed = first != (self.measure(branch, right) > 0)
        if not bool(crossed.any()):
            return {}
        left, right, first = _take(left, crossed), _take(right, crossed), first[crossed]
        for _ in range(_HALVINGS):
            middle = _meet(left, right)
            is_before = (self.measure(branch, middle) > 0) == first
            left, right = _choose(is_before, middle, left), _choose(is_before, right, middle)
        return left

    def bisect_bend(self, left: _Probes, right: _Probes) -> _Probes:
        """Return, for each segment, where the first column has its largest second difference."""
        for _ in range(_HALVINGS):
            middle = _meet(left, right)
            probes = [left, _meet(left, middle), middle, _meet(middle, right), right]
            at = self.compute_pair(_join(probes))[0].nan_to_num(0, 0, 0).unflatten(1, (5, -1))
            before, after = ((at[:, k] - 2 * at[:, k + 1] + at[:, k + 2]).abs().amax(0) for k in (0, 2))
            left, right = _choose(before > after, left, middle), _choose(before > after, middle, right)
        return _meet(left, right)

    # --- what is wrong ----------------------------------------------------------------------------

    def find_wrong_entry(self, probes: _Probes) -> WrongEntry | None:
        """Return the probe at which the columns are apart the most, if they are more than rounding explains."""
        probes = _take(probes, self._find_inside(probes))
        if not len(probes[self.names[0]]):
            return None
        truth, stated = self.compute_pair(probes)
        values = torch.stack([value.abs() for value in probes.values()]).amax(0).clamp(1, LARGEST_FLOOR)
        tolerance, error = FAR_ROOM * TOLERANCES[truth.dtype], (truth - stated).abs()
        allowed = tolerance * truth.abs().clamp(ABSOLUTE[truth.dtype] / TOLERANCES[truth.dtype] * values)
        allowed = torch.maximum(allowed, ROUNDING_ALLOWED * self._measure_rounding(probes, truth, stated))
        excess = torch.where(error.isfinite() & allowed.isfinite(), error / allowed, 0)
        if float(excess.amax()) <= 1:
            return None
        row, column = map(int, torch.unravel_index(excess.argmax(), excess.shape))
        arguments = {name: float(value[column]) for name, value in probes.items()}
        name = self.names[row] if len(truth) == len(self.names) else ""
        return WrongEntry(arguments, name, float(truth[row, column]), float(stated[row, column]))

    def _measure_rounding(self, probes: _Probes, truth: Tensor, stated: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        truth_there, stated_there = self.compute_pair({name: nudge(value, generator) for name, value in probes.items()})
        changes = torch.maximum((truth_there - truth).abs(), (stated_there - stated).abs())
        return changes.nan_to_num(0, math.inf)

    def _find_inside(self, probes: _Probes) -> Tensor:
        """Return which probes lie in the domain, and not too near its end."""
        inside = torch.ones(len(probes[self.names[0]]), dtype=torch.bool)
        if not self.rule.domain:
            return inside
        comparison = self.parse(self.rule.domain)
        smaller, larger = comparison.args if comparison.data[0] in ("<", "<=") else comparison.args[::-1]
        return self.measure(Branch(subtract(larger, smaller)), probes) > POLE_DISTANCE


def _draw_any(generator: torch.Generator) -> Tensor:
    """Return a number of any sign from a hundredth to a hundred."""
    unit = 2 * draw_unit((1,), generator) - 1
    return unit.sign() * 10 ** (4 * unit.abs() - 2)
