"""A wrong claim that no plain reading explains -> the slips that do: each is made on purpose and compared with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, permutations

import torch
from torch import Tensor

from matcalc.check.compare import TOLERANCES
from matcalc.check.factors import Factor, find_factor
from matcalc.check.jacobian import true_derivative
from matcalc.check.question import ExpressionFunction, Question
from matcalc.check.slips import Change, list_changes, replace_freely, spell_out
from matcalc.check.terms import ROOM, Sample, list_splits
from matcalc.check.torch_values import evaluate_all
from matcalc.errors import MatcalcError
from matcalc.language.expression import (
    Expression,
    add,
    divide,
    multiply,
    number,
    power,
    subtract,
    symbol,
    symbols,
    walk,
)

MAX_PASSES = 3000
MAX_NODES = 150
MAX_ATOMS = 40
MAX_AXES = 4
MAX_CONSTANTS = 12
POWERS = (1, -1, 2, -2)
# Beside each other two deviations are compared by their squares, which lose half of the digits.
NEAR_SQUARE = 1e-12


@dataclass(frozen=True)
class Slip:
    """One thing done wrong.

    `kind` is "write" (the claim is right with `new` for `old`), "by" (it is the derivative by `new`), "constant"
    (`old` is taken for one), "through" (what goes through `old` has the factor), "local" (`old` is differentiated as
    if it were `new`), "term" (the term `old` of the derivative has the factor `new`), "entry" (all of it has),
    "formula" (`new` stands where the derivative has `old`), or "function" (the claim belongs to the function with
    `new` for `old`).
    """

    kind: str
    old: Expression
    new: Expression | None = None
    factor: Factor | None = None


@dataclass(frozen=True)
class Explanation:
    """The slips that together make the claim, the factor that it has beside them, and the order of its axes.

    `repaired` is the claim without them, where it is a formula.
    """

    slips: tuple[Slip, ...]
    factor: Factor | None = None
    axes: tuple[int, ...] = ()
    repaired: Expression | None = None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """What a claim would be after some slips; of a repair it is the claim that changes, not the derivative."""

    slips: tuple[Slip, ...]
    compute: Callable[[Sample], Tensor]
    repaired: Expression | None = None

    def at(self, sample: Sample) -> Tensor | None:
        """Return its value at a sample, None where it has none."""
        try:
            value = self.compute(sample)
        except (MatcalcError, RuntimeError):
            return None
        return value if bool(value.isfinite().all()) else None


def explain(
    question: Question, samples: Sequence[Sample], derived: Expression | None, scalars: Sequence[Expression] = ()
) -> Explanation | None:
    """Return the slips that make the claim at every sample, the fewest and plainest, or None.

    `derived` is a formula of the derivative in the shape of the question, confirmed at the samples; without it only the
    slips in the function are known.  `scalars` are what a factor beside them may be a power of.
    """
    # What is 0 is the derivative of a constant, which explains nothing.
    if not samples or not any(bool(sample.claim.any()) for sample in samples):
        return None
    return _Search(question, list(samples), derived, scalars).find()


class _Search:
    """One claim, and what it is compared with."""

    def __init__(
        self, question: Question, samples: list[Sample], derived: Expression | None, scalars: Sequence[Expression]
    ) -> None:
        self.question, self.samples, self.derived, self.scalars = question, samples, derived, scalars
        self.truths = [question.arrange(sample.truth, question.layout) for sample in samples]
        given = question.claim.shape
        orders = permutations(range(len(given))) if len(given) <= MAX_AXES else [tuple(range(len(given)))]
        expected = question.shape(question.layout)
        fitting = [axes for axes in orders if tuple(given[axis] for axis in axes) == expected]
        self.orders = fitting if len(given) == len(expected) else []

    def find(self) -> Explanation | None:
        """Return the first explanation: one slip, one slip with a factor or other axes, two slips."""
        if not self.orders:
            return None
        candidates = list(self.list_candidates())
        valued = [(one, value) for one in candidates if (value := one.at(self.samples[0])) is not None]
        for order in self.orders:
            for candidate, value in valued:
                if self._is_equal(0, value, order) and (found := self._confirm(candidate, order)):
                    return found
        for order in self.orders:
            for candidate, value in valued:
                if self._find_ratio(0, value, order) and (found := self._confirm(candidate, order, True)):
                    return found
        return self._find_pair(valued)

    # --- comparison ---------------------------------------------------------------------------------

    def _claim(self, place: int, order: tuple[int, ...]) -> Tensor:
        claim = self.samples[place].claim
        return claim.permute(order) if claim.ndim else claim

    def _is_equal(self, place: int, value: Tensor, order: tuple[int, ...]) -> bool:
        claim = self._claim(place, order)
        return self.samples[place].is_equal(claim, value) and bool(value.any())

    def _find_ratio(self, place: int, value: Tensor, order: tuple[int, ...]) -> float:
        """Return the number that the claim is times a value, 0 where it is none."""
        claim, square = self._claim(place, order), float((value * value).sum())
        if not square or claim.shape != value.shape:
            return 0.0
        ratio = float((value * claim).sum()) / square
        return ratio if self.samples[place].is_equal(claim, ratio * value) else 0.0

    def _confirm(self, candidate: _Candidate, order: tuple[int, ...], scaled: bool = False) -> Explanation | None:
        """Return the explanation by a candidate where it holds at every sample."""
        values = [candidate.at(sample) for sample in self.samples]
        if any(value is None for value in values):
            return None
        factor = None
        axes = order if order != tuple(range(len(order))) else ()
        whole = [value for value in values if value is not None]
        if scaled:
            ratios = [self._find_ratio(place, value, order) for place, value in enumerate(whole)]
            factor = self._name(ratios) if all(ratios) else None
            if factor is None or not factor.is_named:
                return None
        elif not all(self._is_equal(place, value, order) for place, value in enumerate(whole)):
            return None
        if candidate.repaired is not None and (scaled or axes):
            return None  # the repair would be but a part of one
        return Explanation(candidate.slips, factor, axes, candidate.repaired)

    def _name(self, ratios: Sequence[float]) -> Factor | None:
        tolerance = ROOM * TOLERANCES[self.truths[0].dtype]
        return find_factor(ratios, [sample.point.sizes for sample in self.samples], tolerance, self.scalar_values)

    @cached_property
    def scalar_values(self) -> list[tuple[Expression, list[float]]]:
        """The scalars beside the sizes of which a factor may be a power, with their values."""
        found = []
        for node in self.scalars:
            values = [_evaluate(node, sample) for sample in self.samples]
            if all(value is not None and bool(value.any()) for value in values):
                found.append((node, [float(value) for value in values if value is not None]))
        return found

    # --- two slips ------------------------------------------------------------------------------------

    def _find_pair(self, valued: list[tuple[_Candidate, Tensor]]) -> Explanation | None:
        """Return two slips whose deviations add up to that of the claim, or of which one multiplies the other."""
        order = self.orders[0]
        alone = [(one, value) for one, value in valued if one.repaired is None and value.shape == self.truths[0].shape]
        for first, second in self._list_pairs(alone):
            if found := self._confirm(_join(first, second, self._truth), order):
                return found
        return next(filter(None, (self._confirm(one, order) for one in self._list_constant_pairs())), None)

    def _truth(self, sample: Sample) -> Tensor:
        return self.question.arrange(sample.truth, self.question.layout)

    def _list_pairs(self, alone: list[tuple[_Candidate, Tensor]]) -> Iterator[tuple[_Candidate, _Candidate]]:
        if not alone:
            return
        truth, claim = self.truths[0].reshape(-1), self._claim(0, self.orders[0]).reshape(-1)
        away = torch.stack([value.reshape(-1) - truth for _, value in alone])
        rest = claim - truth
        gram = away @ away.mT
        square = gram.diagonal()
        left = away @ rest
        apart = float(rest @ rest) + square[:, None] + square[None, :] - 2 * (left[:, None] + left[None, :] - gram)
        scale = float(rest @ rest) + square[:, None] + square[None, :]
        close = torch.triu(apart <= NEAR_SQUARE * scale, 1).nonzero()
        for one, other in sorted(close.tolist(), key=sum)[:MAX_ATOMS]:
            yield alone[one][0], alone[other][0]

    def _list_constant_pairs(self) -> Iterator[_Candidate]:
        """Yield two parts of the function taken for constants together, and each with another slip in the function."""
        for root in self._functions:
            nodes = self._list_moving(root)
            for one, other in combinations(nodes[:MAX_CONSTANTS], 2):
                held = {"#0": one, "#1": other}
                changed = replace_freely(root, other, symbol("#1", other.declared_shape))
                changed = changed and replace_freely(changed, one, symbol("#0", one.declared_shape))
                if changed is not None:
                    yield self._give_function(changed, held, Slip("constant", one), Slip("constant", other))

    # --- one slip -------------------------------------------------------------------------------------

    def list_candidates(self) -> Iterator[_Candidate]:
        """Yield every slip that is tried, the plainest first."""
        yield from self._list_other_variables()
        yield from self._list_repairs()
        yield from self._list_constants()
        if self.derived is not None:
            yield from self._list_factors(self.derived)
            for change in _limit(list_changes(self.derived, self._names)):
                changed = change.apply(self.derived)
                if changed is not None:
                    yield self._give_formula(changed, Slip("formula", change.old, change.new))
        yield from self._list_function_slips()

    @property
    def _names(self) -> list[Expression]:
        return list(symbols(self.question.function.root).values()) if self._functions else []

    @cached_property
    def _functions(self) -> list[Expression]:
        """The function as it is written, and spelled out; none where it is code, or too long."""
        function = self.question.function
        if not isinstance(function, ExpressionFunction) or not self.question.order:
            return []
        roots = dict.fromkeys((function.root, spell_out(function.root)))
        passes = max(1, self.samples[0].truth.numel() // self.samples[0].point.values[self.question.wrt.name].numel())
        self.most = MAX_PASSES // passes
        return [root for root in roots if sum(1 for _ in walk(root)) <= MAX_NODES and self.question.order == 1]

    def _list_moving(self, root: Expression) -> list[Expression]:
        """Return the parts of the function that depend on the variable, the deepest first, the whole apart."""
        moving: dict[Expression, bool] = {}
        for node in walk(root):
            moving[node] = node is self.question.wrt or any(moving[arg] for arg in node.args)
        return [node for node, moves in moving.items() if moves and node.op != "symbol" and node is not root]

    def _list_other_variables(self) -> Iterator[_Candidate]:
        shape = self.question.wrt.squeezed_shape
        for other in self._names:
            if other is not self.question.wrt and sorted(map(str, other.squeezed_shape)) == sorted(map(str, shape)):
                question = replace(self.question, wrt=other)

                def compute(sample: Sample, question: Question = question) -> Tensor:
                    point = sample.point
                    return question.compute_truth(point.values, point, question.layout)

                if other.squeezed_shape == shape and other.name not in self.question.arbitrary:
                    yield _Candidate((Slip("by", self.question.wrt, other),), compute)

    def _list_repairs(self) -> Iterator[_Candidate]:
        """Yield the claim with one part of it written otherwise."""
        root = self.question.claim.root
        if root is None or sum(1 for _ in walk(root)) > MAX_NODES:
            return
        for change in _limit(list_changes(root, self._names)):
            changed = change.apply(root)
            if changed is None:
                continue

            def compute(sample: Sample, changed: Expression = changed) -> Tensor:
                value = _evaluate(changed, sample)
                if value is None:
                    raise RuntimeError
                # It is right if it is the truth: then what the claim has in its place is the slip.
                value = value.reshape(sample.claim.shape)
                truth = self._truth(sample)
                return sample.claim if sample.is_equal(value, truth) else torch.full_like(truth, torch.nan)

            yield _Candidate((Slip("write", change.old, change.new),), compute, changed)

    def _list_constants(self) -> Iterator[_Candidate]:
        """Yield each part of the function taken for a constant, and what goes through it with a factor."""
        for root in self._functions:
            for node in self._list_moving(root)[: self.most]:
                held = symbol("#0", node.declared_shape)
                changed = replace_freely(root, node, held)
                if changed is None:
                    continue
                constant = self._give_function(changed, {"#0": node}, Slip("constant", node))
                yield constant
                if weighted := self._weigh(constant, node):
                    yield weighted

    def _weigh(self, constant: _Candidate, node: Expression) -> _Candidate | None:
        """Return the candidate in which what goes through a node has a factor, where it explains the claim."""
        ratios = []
        for place, sample in enumerate(self.samples):
            value, truth = constant.at(sample), self.truths[place]
            if value is None or sample.claim.shape != truth.shape:
                return None
            away = truth - value
            square = float((away * away).sum())
            ratio = float((away * (sample.claim - value)).sum()) / square if square else 0.0
            if not ratio or not sample.is_equal(sample.claim, value + ratio * away):
                return None
            ratios.append(ratio)
        factor = self._name(ratios)
        if factor is None or not factor.is_named or factor.value in (0, 1):
            return None
        return _Candidate((Slip("through", node, factor=factor),), lambda sample: sample.claim)

    def _list_function_slips(self) -> Iterator[_Candidate]:
        """Yield the function with a slip in it, and with one in the derivative of a part alone."""
        for root in self._functions:
            moving = set(self._list_moving(root))
            changes = list(_limit(list_changes(root, self._names)))[: self.most]
            for change in changes:
                if change.old in moving and change.new.shape == change.old.shape:
                    held = {"#0": subtract(change.old, change.new)}
                    local = add(symbol("#0", change.old.declared_shape), change.new)
                    changed = replace_freely(root, change.old, local)
                    if changed is not None:
                        yield self._give_function(changed, held, Slip("local", change.old, change.new))
            for change in changes:
                changed = change.apply(root)
                if changed is not None:
                    yield self._give_function(changed, {}, Slip("function", change.old, change.new))

    def _list_factors(self, derived: Expression) -> Iterator[_Candidate]:
        """Yield the derivative with a part of the formula as a factor, in all of it or in one of its terms."""
        atoms = [node for node in self._list_atoms(derived) if _fits(node, derived)][:MAX_ATOMS]
        ways = [[term.expression for term in terms] for terms in list_splits(derived)[:2]]
        wholes = [("entry", derived), *(("term", term) for terms in ways for term in terms)]
        for kind, whole in wholes:
            rest = None if kind == "entry" else subtract(derived, whole)
            for atom in atoms:
                for exponent in POWERS:
                    factor = _raise(atom, exponent)
                    scaled = divide(whole, _raise(atom, -exponent)) if exponent < 0 else multiply(whole, factor)
                    yield self._give_formula(scaled if rest is None else add(rest, scaled), Slip(kind, whole, factor))

    def _list_atoms(self, derived: Expression) -> Iterator[Expression]:
        """Yield the parts of function and derivative that may be a factor, the shortest first."""
        nodes = walk(derived, *self._functions)
        yield from (node for node in nodes if node.op not in ("number", "filled", "compare") and len(node.shape) == 2)

    # --- values -----------------------------------------------------------------------------------------

    def _give_formula(self, formula: Expression, *slips: Slip) -> _Candidate:
        def compute(sample: Sample) -> Tensor:
            value = _evaluate(formula, sample)
            if value is None:
                raise RuntimeError
            return value.reshape(self._truth(sample).shape)

        return _Candidate(slips, compute)

    def _give_function(self, root: Expression, held: dict[str, Expression], *slips: Slip) -> _Candidate:
        def compute(sample: Sample) -> Tensor:
            point, question = sample.point, self.question
            values = dict(point.values)
            if held:
                with torch.no_grad():
                    found = evaluate_all(tuple(held.values()), values, point.sizes, point.functions)
                values |= {name: found[node] for name, node in held.items()}
            truth = true_derivative(root, question.by, values, point.sizes, point.functions)
            return question.arrange(truth, question.layout)

        return _Candidate(slips, compute)


def _join(first: _Candidate, second: _Candidate, truth: Callable[[Sample], Tensor]) -> _Candidate:
    """Return both slips at once, in parts of the derivative that are added."""
    return _Candidate(
        (*first.slips, *second.slips), lambda sample: first.compute(sample) + second.compute(sample) - truth(sample)
    )


def _limit(changes: Iterable[Change]) -> Iterator[Change]:
    for place, change in enumerate(changes):
        if place >= MAX_PASSES:
            return
        yield change


def _fits(node: Expression, whole: Expression) -> bool:
    """Whether a part multiplies a whole entry by entry, as it stands or row by row."""
    return len(whole.shape) == 2 and all(
        size == other or size.is_unit for size, other in zip(node.shape, whole.shape, strict=True)
    )


def _raise(node: Expression, exponent: int) -> Expression:
    return node if exponent == 1 else power(node, number(exponent))


def _evaluate(node: Expression, sample: Sample) -> Tensor | None:
    point = sample.point
    try:
        with torch.no_grad():
            return evaluate_all((node,), point.values, point.sizes, point.functions)[node]
    except (MatcalcError, RuntimeError):
        return None
