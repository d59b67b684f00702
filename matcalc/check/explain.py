"""A wrong claim that no plain reading explains -> the slips that do: each is made on purpose and compared with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations, permutations, product

import torch
from torch import Tensor

from matcalc.check.compare import TOLERANCES
from matcalc.check.factors import ClaimFactor, find_factor
from matcalc.check.question import ExpressionFunction, Question
from matcalc.check.slips import Change, list_changes, list_own, replace_freely, write_definitions, write_entrywise
from matcalc.check.terms import ROOM, Sample, join_terms, list_splits
from matcalc.check.torch_values import evaluate_all
from matcalc.errors import EvaluationError, MatcalcError
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
from matcalc.language.rewrite import replace as replace_nodes

MOST_COMPUTED = 60_000
LONGEST_FORMULA = 150
MAX_ATOMS = 40
MOST_PAIRED = 1000
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
    if it were `new`), "term" (the term `old` of the derivative has the factor `new` to the `power`), "entry" (all of it
    has), "formula" (`new` stands where the derivative has `old`), "own" (of the sum `old` only the part is
    differentiated that an entry adds itself), or "function" (the claim belongs to the function with `new` for `old`).
    """

    kind: str
    old: Expression
    new: Expression | None = None
    factor: ClaimFactor | None = None
    power: int = 1


@dataclass(frozen=True)
class Explanation:
    """The slips that together make the claim, the factor that it has beside them, and the order of its axes.

    `repaired` is the claim without them, where it is a formula.
    """

    slips: tuple[Slip, ...]
    factor: ClaimFactor | None = None
    axes: tuple[int, ...] = ()
    repaired: Expression | None = None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """What a claim would be after some slips; of a repair it is the claim that changes, not the derivative."""

    slips: tuple[Slip, ...]
    compute: Callable[[Sample], Tensor]
    cost: int
    repaired: Expression | None = None

    def at(self, sample: Sample) -> Tensor | None:
        """Return its value at a sample, None where it has none."""
        try:
            value = self.compute(sample)
        except (MatcalcError, RuntimeError):
            return None
        return value if value.is_floating_point() and bool(value.isfinite().all()) else None


def explain(
    question: Question, samples: Sequence[Sample], derived: Expression | None, scalars: Sequence[Expression] = ()
) -> Explanation | None:
    """Return the slips that make the claim at every sample, the fewest and plainest, or None.

    `derived` is a formula of the derivative in the shape of the question, confirmed at the samples; without it only the
    slips in the function are known.  `scalars` are what a factor beside them may be a power of.
    """
    search = _Search(question, list(samples), derived, scalars)
    return search.find() if search.is_fit else None


def explain_missing_term(question: Question, samples: Sequence[Sample]) -> Explanation | None:
    """Return the parts of the function that a claim with a missing term takes for constants, or None.

    Who writes a formula sees from the term itself what is missing, unless the part stands in the function as written.
    """
    search = _Search(question, list(samples), None, ())
    return search.find_constants() if search.is_fit else None


@dataclass(frozen=True)
class _Function:
    """A function with some of its parts held: a symbol stands for each, in the order in which they are computed."""

    root: Expression
    held: tuple[tuple[Expression, Expression], ...] = ()
    idle: frozenset[Expression] = frozenset()

    def _name_next(self, shape: Expression) -> Expression:
        return symbol(f"#{len(self.held)}", shape.declared_shape)

    def hold(self, node: Expression, is_idle: bool = False) -> _Function | None:
        """Return the function with a part taken for a constant; of an `idle` one nobody is told."""
        held = self._put(node, node, None)
        return held if held is None or not is_idle else replace(held, idle=self.idle | {held.held[-1][0]})

    def differentiate_as(self, node: Expression, other: Expression) -> _Function | None:
        """Return the function with the value of a part, and the derivative of another one in its place."""
        return self._put(node, subtract(node, other), other)

    def _put(self, node: Expression, constant: Expression, moving: Expression | None) -> _Function | None:
        name = self._name_next(constant)
        root = replace_freely(self.root, node, name if moving is None else add(name, moving))
        return None if root is None else _Function(root, (*self.held, (name, constant)), self.idle)

    def tell(self, node: Expression) -> Expression:
        """Return a part as a reader knows it, without the symbols: exp(x) for exp(x - max(x)), where that is idle."""
        shifted = [part for part in walk(node) if part.op == "subtract" and part.args[1] in self.idle]
        for part in shifted:
            if part.shape == part.args[0].shape:
                node = replace_nodes(node, {part: part.args[0]})
        for name, constant in reversed(self.held):
            node = replace_nodes(node, {name: constant})
        return node

    def fill(self, sample: Sample) -> dict[str, Tensor]:
        """Return the values of all names at a sample."""
        values, point = dict(sample.point.values), sample.point
        with torch.no_grad():
            for name, constant in self.held:
                values[name.name] = evaluate_all((constant,), values, point.sizes, point.functions)[constant]
        return values


class _Search:
    """One claim, and what it is compared with."""

    def __init__(
        self, question: Question, samples: list[Sample], derived: Expression | None, scalars: Sequence[Expression]
    ) -> None:
        self.question, self.samples, self.derived, self.scalars = question, samples, derived, scalars
        self.nodes_left = MOST_COMPUTED
        self.known: dict[tuple[Expression, int], Tensor | None] = {}
        self.truths = [question.arrange(sample.truth, question.layout) for sample in samples]
        given = question.claim.shape
        orders = permutations(range(len(given))) if len(given) <= MAX_AXES else [tuple(range(len(given)))]
        expected = question.shape(question.layout)
        fitting = [axes for axes in orders if tuple(given[axis] for axis in axes) == expected]
        self.orders = fitting if len(given) == len(expected) else []

    @property
    def is_fit(self) -> bool:
        """Whether the claim has the axes of the derivative, and is not 0, which any constant explains."""
        return bool(self.orders) and any(bool(sample.claim.any()) for sample in self.samples)

    def find_constants(self) -> Explanation | None:
        """Return the part of the function, or the two, that are taken for constants."""
        if self.question.claim.root is not None:
            del self._functions[1:]
        candidates = chain(self._list_constants(weighs=False), self._list_constant_pairs())
        return next(filter(None, (self._confirm(one, self.orders[0]) for one in self._limit(candidates))), None)

    def find(self) -> Explanation | None:
        """Return the first explanation: one slip, one slip with a factor or other axes, two slips."""
        candidates = self._limit(self.list_candidates())
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

    def _limit(self, candidates: Iterable[_Candidate]) -> Iterator[_Candidate]:
        """Yield candidates until so many nodes are computed: the sentence of a wrong claim may not take minutes."""
        for candidate in candidates:
            self.nodes_left -= candidate.cost
            if self.nodes_left < 0:
                return
            yield candidate

    # --- comparison ---------------------------------------------------------------------------------

    def _claim(self, place: int, order: tuple[int, ...]) -> Tensor:
        claim = self.samples[place].claim
        return claim.permute(order) if claim.ndim else claim

    def _is_equal(self, place: int, value: Tensor, order: tuple[int, ...]) -> bool:
        claim = self._claim(place, order)
        return self.samples[place].is_equal(claim, value)

    def _find_ratio(self, place: int, value: Tensor, order: tuple[int, ...]) -> float:
        """Return the number that the claim is times a value, 0 where it is none."""
        claim, square = self._claim(place, order), float((value * value).sum())
        if not square or claim.shape != value.shape:
            return 0.0
        ratio = float((value * claim).sum()) / square
        return ratio if self.samples[place].is_equal(claim, ratio * value) else 0.0

    def _confirm(self, candidate: _Candidate, order: tuple[int, ...], scaled: bool = False) -> Explanation | None:
        """Return the explanation by a candidate where it holds at every sample."""
        whole: list[Tensor] = []
        for place, sample in enumerate(self.samples):
            value = candidate.at(sample)
            if value is None or not (scaled or self._is_equal(place, value, order)):
                return None
            whole.append(value)
        if not any(bool(value.any()) for value in whole):
            return None
        factor = None
        axes = order if order != tuple(range(len(order))) else ()
        if scaled:
            ratios = [self._find_ratio(place, value, order) for place, value in enumerate(whole)]
            factor = self._name(ratios) if all(ratios) else None
            if factor is None or not factor.is_named:
                return None
        if candidate.repaired is not None and (scaled or axes):
            return None  # the repair would be but a part of one
        return Explanation(candidate.slips, factor, axes, candidate.repaired)

    def _name(self, ratios: Sequence[float]) -> ClaimFactor | None:
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
        pairs = chain(self._list_constant_pairs(), self._list_scaled_changes())
        return next(filter(None, (self._confirm(one, order) for one in self._limit(pairs))), None)

    def _list_scaled_changes(self) -> Iterator[_Candidate]:
        """Yield a slip in a term of the derivative together with a factor of it, where the first sample has both."""
        for formula in self._formulas[-1:]:
            for kind, whole, rest in self._list_terms(formula):
                atoms = [node for node in self._list_atoms(formula) if _fits(node, whole)][:MAX_ATOMS]
                factors = [(atom, exponent) for atom, exponent in product(atoms, POWERS)]
                changes = [(one, new) for one in list_changes(whole, self._names) if (new := one.apply(whole))]
                for change, factor in self._match_numbers(whole, rest, changes):
                    scaled = factor.apply(change[1])
                    slips = Slip("formula", *change[0].pair), Slip("weight", change[1], factor=factor)
                    yield self._give_formula(scaled if rest is None else add(rest, scaled), *slips)
                for change, atom, exponent in self._match_scaled(whole, rest, changes, factors):
                    scaled = _scale(change[1], atom, exponent)
                    slips = Slip("formula", *change[0].pair), Slip(kind, change[1], atom, power=exponent)
                    yield self._give_formula(scaled if rest is None else add(rest, scaled), *slips)

    def _match_numbers(
        self, whole: Expression, rest: Expression | None, changes: list[tuple[Change, Expression]]
    ) -> Iterator[tuple[tuple[Change, Expression], ClaimFactor]]:
        """Yield the changes of a term that make the claim but for a number, a size or another scalar."""
        others = [_evaluate(rest, sample) if rest is not None else torch.zeros(()) for sample in self.samples]
        for change in changes:
            self.nodes_left -= _count(change[1])
            if self.nodes_left < 0:
                return
            ratios: list[float] = []
            for place, sample in enumerate(self.samples):
                value, other, claim = _evaluate(change[1], sample), others[place], self._claim(place, self.orders[0])
                if value is None or other is None or value.numel() != claim.numel() or not bool(value.any()):
                    break
                wanted = claim.reshape(value.shape) - other
                ratio = float((value * wanted).sum() / (value * value).sum())
                if not ratio or not sample.is_equal(ratio * value, wanted):
                    break
                ratios.append(ratio)
            factor = self._name(ratios) if len(ratios) == len(self.samples) else None
            if factor is not None and factor.is_named:
                yield change, factor

    def _match_scaled(
        self, whole: Expression, rest: Expression | None, changes: list[tuple[Change, Expression]],
        factors: list[tuple[Expression, int]],
    ) -> Iterator[tuple[tuple[Change, Expression], Expression, int]]:  # fmt: skip
        """Yield the changes of a term and the factors with which it makes the claim at the first sample."""
        sample = self.samples[0]
        shape = [size.value(sample.point.sizes) for size in whole.shape]
        claim = self._claim(0, self.orders[0])
        if claim.numel() != math.prod(shape) or not factors:
            return
        others = _evaluate(rest, sample) if rest is not None else torch.zeros(())
        powers = [_evaluate(_raise(atom, exponent), sample) for atom, exponent in factors]
        if others is None:
            return
        wanted = claim.reshape(shape) - others
        kept = [(factor, value) for factor, value in zip(factors, powers, strict=True) if value is not None]
        stacked = torch.stack([value.expand(shape) for _, value in kept])
        for change in changes:
            self.nodes_left -= _count(change[1])
            if self.nodes_left < 0:
                return
            value = _evaluate(change[1], sample)
            if value is None or not bool(value.any()):
                continue
            away = (stacked * value - wanted).abs().flatten(1).amax(1)
            for place in (away <= ROOM * TOLERANCES[claim.dtype] * wanted.abs().amax()).nonzero()[:, 0].tolist():
                yield change, *kept[place][0]

    def _truth(self, sample: Sample) -> Tensor:
        return self.question.arrange(sample.truth, self.question.layout)

    def _list_pairs(self, alone: list[tuple[_Candidate, Tensor]]) -> Iterator[tuple[_Candidate, _Candidate]]:
        alone = alone[:MOST_PAIRED]
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
        for function in self._functions:
            for one, other in combinations(self._list_moving(function)[:MAX_CONSTANTS], 2):
                both = (outer := function.hold(other)) and outer.hold(one)
                if both:
                    slips = (Slip("constant", function.tell(node)) for node in (one, other))
                    yield self._give_function(both, *slips)

    # --- one slip -------------------------------------------------------------------------------------

    def list_candidates(self) -> Iterator[_Candidate]:
        """Yield every slip that is tried, the plainest first."""
        yield from self._list_other_variables()
        yield from self._list_repairs()
        yield from self._list_constants()
        yield from self._list_own()
        for formula in self._formulas:
            yield from self._list_factors(formula)
        for formula in self._formulas:
            for change in list_changes(formula, self._names):
                changed = change.apply(formula)
                if changed is not None:
                    yield self._give_formula(changed, Slip("formula", *change.pair))
        yield from self._list_function_slips()

    @cached_property
    def _formulas(self) -> list[Expression]:
        """The derivative as it is written, and entry by entry; none where it is not known, or too long."""
        if self.derived is None:
            return []
        whole = self.derived
        forms = [whole, *(one for one in [write_entrywise(whole)] if one is not whole and one.shape == whole.shape)]
        return [form for form in forms if _count(form) <= LONGEST_FORMULA]

    def _list_own(self) -> Iterator[_Candidate]:
        """Yield the function with only that part of a sum differentiated that each entry adds itself."""
        for function in self._functions:
            for node, part in list_own(function.root):
                if changed := function.differentiate_as(node, part):
                    yield self._give_function(changed, Slip("own", function.tell(node)))

    @property
    def _names(self) -> list[Expression]:
        """The variables and the numbers of the function, each of which may stand where another belongs."""
        root = self.question.function.root
        numbers = [node for node in walk(root) if node.op == "number"]
        return [*symbols(root).values(), *numbers] if self._functions else []

    @cached_property
    def _functions(self) -> list[_Function]:
        """The function as it is written, and spelled out; none where it is code, or too long."""
        function = self.question.function
        if not isinstance(function, ExpressionFunction) or self.question.order != 1 or self.question.earlier:
            return []
        spelled = write_entrywise(write_definitions(function.root))
        found = [_Function(function.root)]
        if spelled is not function.root and spelled.shape == function.root.shape:
            found.append(self._hold_idle(_Function(spelled), set(walk(function.root))))
        return [one for one in found if _count(one.root) <= LONGEST_FORMULA]

    @property
    def _passes(self) -> int:
        """How many passes of autograd a derivative needs: one for each entry of the function."""
        sample = self.samples[0]
        return max(1, int(sample.truth.numel() // sample.point.values[self.question.wrt.name].numel()))

    def _hold_idle(self, function: _Function, known: set[Expression]) -> _Function:
        """Return the function with those parts of its definitions held that do not matter, as the maximum in softmax.

        Beside a slip they would: what they add and take away again would be left.
        """
        for node in self._list_moving(function):
            if node in known or node is function.root or node not in set(walk(function.root)):
                continue
            held = function.hold(node, is_idle=True)
            value = None if held is None else self._give_function(held, Slip("constant", node)).at(self.samples[0])
            if held is not None and value is not None and self.samples[0].is_equal(value, self.truths[0]):
                function = held
        return function

    def _list_moving(self, function: _Function) -> list[Expression]:
        """Return the parts of the function that depend on the variable, the deepest first, the whole apart."""
        root, moving = function.root, dict[Expression, bool]()
        for node in walk(root):
            moving[node] = node is self.question.wrt or any(moving[arg] for arg in node.args)
        return [node for node, moves in moving.items() if moves and node.op != "symbol" and node is not root]

    def _list_other_variables(self) -> Iterator[_Candidate]:
        shape = self.question.wrt.squeezed_shape
        for other in self._names:
            is_other = other.op == "symbol" and other is not self.question.wrt and other.squeezed_shape == shape
            if is_other and other.name not in self.question.arbitrary:
                question = replace(self.question, wrt=other)

                def compute(sample: Sample, question: Question = question) -> Tensor:
                    point = sample.point
                    return question.compute_truth(point.values, point, question.layout)

                yield _Candidate((Slip("by", self.question.wrt, other),), compute, _count(self.question.function.root))

    def _list_repairs(self) -> Iterator[_Candidate]:
        """Yield the claim with one part of it written otherwise."""
        root = self.question.claim.root
        if root is None or _count(root) > LONGEST_FORMULA:
            return
        for change in list_changes(root, self._names):
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

            yield _Candidate((Slip("write", *change.pair),), compute, _count(changed), changed)

    def _list_constants(self, weighs: bool = True) -> Iterator[_Candidate]:
        """Yield each part of the function taken for a constant, and what goes through it with a factor."""
        for function in self._functions:
            for node in self._list_moving(function):
                held = function.hold(node)
                if held is None:
                    continue
                constant = self._give_function(held, Slip("constant", function.tell(node)))
                yield constant
                if weighs and (weighted := self._weigh(constant, function.tell(node))):
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
        return _Candidate((Slip("through", node, factor=factor),), lambda sample: sample.claim, 0)

    def _list_function_slips(self) -> Iterator[_Candidate]:
        """Yield the function with a slip in it, and with one in the derivative of a part alone."""
        for function in self._functions:
            moving = set(self._list_moving(function))
            changes = list(list_changes(function.root, self._names))
            for change in changes:
                if change.old in moving and change.new.shape == change.old.shape:
                    changed = function.differentiate_as(change.old, change.new)
                    if changed is not None:
                        yield self._give_function(changed, _tell(function, "local", change))
            for change in changes:
                root = change.apply(function.root)
                if root is not None:
                    changed = replace(function, root=root)
                    yield self._give_function(changed, _tell(function, "function", change))

    def _list_factors(self, derived: Expression) -> Iterator[_Candidate]:
        """Yield the derivative with a part of the formula as a factor, in all of it or in one of its terms."""
        for kind, whole, rest in self._list_terms(derived):
            atoms = [node for node in self._list_atoms(derived) if _fits(node, whole)][:MAX_ATOMS]
            for atom, exponent in product(atoms, POWERS):
                yield self._give_factor(whole, rest, atom, exponent, Slip(kind, whole, atom, power=exponent))

    def _give_factor(
        self, whole: Expression, rest: Expression | None, atom: Expression, exponent: int, slip: Slip
    ) -> _Candidate:
        def compute(sample: Sample) -> Tensor:
            parts = [self._recall(node, sample) for node in (whole, atom, *(() if rest is None else (rest,)))]
            value = parts[0] * parts[1] ** exponent + (parts[2] if rest is not None else 0)
            return value.reshape(self._truth(sample).shape)

        return _Candidate((slip,), compute, 1)

    def _recall(self, node: Expression, sample: Sample) -> Tensor:
        """Return the value of a part of a formula, computed once for each sample."""
        key = (node, id(sample))
        if key not in self.known:
            self.known[key] = _evaluate(node, sample)
        value = self.known[key]
        if value is None:
            raise EvaluationError("it has no value")
        return value

    def _list_terms(self, derived: Expression) -> Iterator[tuple[str, Expression, Expression | None]]:
        """Yield the derivative and its terms, each with the rest."""
        yield "entry", derived, None
        for terms in list_splits(derived)[:2]:
            for place, term in enumerate(terms):
                yield "term", term.expression, join_terms(terms[:place] + terms[place + 1 :])

    def _list_atoms(self, derived: Expression) -> Iterator[Expression]:
        """Yield the parts of function and derivative that may be a factor, the shortest first."""
        nodes = walk(derived, *(function.root for function in self._functions[:1]))
        yield from (node for node in nodes if node.op not in ("number", "filled", "compare") and len(node.shape) == 2)

    # --- values -----------------------------------------------------------------------------------------

    def _give_formula(self, formula: Expression, *slips: Slip) -> _Candidate:
        def compute(sample: Sample) -> Tensor:
            value = _evaluate(formula, sample)
            if value is None:
                raise RuntimeError
            return value.reshape(self._truth(sample).shape)

        return _Candidate(slips, compute, _count(formula))

    def _give_function(self, function: _Function, *slips: Slip) -> _Candidate:
        def compute(sample: Sample) -> Tensor:
            point, question = sample.point, self.question
            values = function.fill(sample)
            truth = ExpressionFunction(function.root).differentiate(question.by, values, point, question.meaning)
            return question.arrange(truth, question.layout)

        return _Candidate(slips, compute, 3 * _count(function.root) * self._passes)


def _count(*roots: Expression) -> int:
    return sum(1 for _ in walk(*roots))


def _tell(function: _Function, kind: str, change: Change) -> Slip:
    old, new = change.pair
    return Slip(kind, function.tell(old), function.tell(new))


def _join(first: _Candidate, second: _Candidate, truth: Callable[[Sample], Tensor]) -> _Candidate:
    """Return both slips at once, in parts of the derivative that are added."""
    return _Candidate(
        (*first.slips, *second.slips), lambda sample: first.compute(sample) + second.compute(sample) - truth(sample),
        first.cost + second.cost,
    )  # fmt: skip


def _fits(node: Expression, whole: Expression) -> bool:
    """Whether a part multiplies a whole entry by entry, as it stands or row by row."""
    return len(whole.shape) == 2 and all(
        size == other or size.is_unit for size, other in zip(node.shape, whole.shape, strict=True)
    )


def _scale(whole: Expression, atom: Expression, exponent: int) -> Expression:
    return divide(whole, _raise(atom, -exponent)) if exponent < 0 else multiply(whole, _raise(atom, exponent))


def _raise(node: Expression, exponent: int) -> Expression:
    return node if exponent == 1 else power(node, number(exponent))


def _evaluate(node: Expression, sample: Sample) -> Tensor | None:
    point = sample.point
    try:
        with torch.no_grad():
            return evaluate_all((node,), point.values, point.sizes, point.functions)[node]
    except (MatcalcError, RuntimeError):
        return None
