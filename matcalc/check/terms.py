"""Formula -> its terms: what stands between plus and minus once products and linear functions are multiplied out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import chain, combinations, islice, product

import torch
from torch import Tensor

from matcalc.check.compare import ABSOLUTE, LARGEST_FLOOR, TOLERANCES
from matcalc.check.conditions import Trouble, names_below
from matcalc.check.factors import ClaimFactor, find_factor
from matcalc.check.points import NoPoint, Point, PointSearch
from matcalc.check.question import Question, find_excess, search_points
from matcalc.check.torch_values import evaluate_all
from matcalc.errors import MatcalcError
from matcalc.language.expression import (
    Expression,
    add,
    call,
    divide,
    einsum,
    filled,
    matmul,
    multiply,
    negate,
    number,
    power,
    subtract,
    transpose,
    walk,
)

MAX_TERMS = 12
MAX_NODES = 300
MAX_WAYS = 12


@dataclass(frozen=True)
class _Term:
    """One term with its sign apart, so that 2*(x - a) gives -2*a and not 2*(-a)."""

    body: Expression
    negative: bool = False

    @property
    def expression(self) -> Expression:
        """The term as it is written."""
        return _change_sign(self.body) if self.negative else self.body

    def negated(self, negative: bool = True) -> _Term:
        """Return the term with the other sign, where `negative`."""
        return _Term(self.body, self.negative != negative)


def _change_sign(node: Expression) -> Expression:
    """Return -node, the sign drawn to what it begins with: -2*A @ b, -x @ x.T/norm(x)."""
    if node.op == "number":
        return number(-node.data[0])
    if node.op in ("multiply", "divide", "matmul"):
        return _BUILDERS[node.op](_change_sign(node.args[0]), node.args[1])
    return negate(node)


def list_splits(formula: Expression) -> list[list[_Term]]:
    """Return the ways to see a formula as a sum of two terms or more, the fewest terms first; a huge one has none.

    Products are multiplied out, of matrices, of numbers and entry by entry, one factor at a time or all of them;
    except s*(1 - s): where the other factor is itself a term of the sum, people know the product as one thing.

    >>> from matcalc.language.text_to_expression import parse
    >>> [len(terms) for terms in list_splits(parse("(A + A.T) @ (x - b)").expressions[0])]
    [2, 2, 4]
    """
    if sum(1 for _ in walk(formula)) > MAX_NODES:
        return []
    ways = [_expand(terms, formula) for terms in _list_ways(formula) if len(terms) > 1]
    return sorted(ways, key=len)[:MAX_WAYS]


def join_terms(terms: Iterable[_Term]) -> Expression:
    """Return the sum of some terms, one at least, a positive one first where there is one."""
    first, *others = sorted(terms, key=lambda term: term.negative)
    start = first.expression
    return reduce(lambda total, term: (subtract if term.negative else add)(total, term.body), others, start)


@lru_cache(maxsize=256)
def _list_ways(node: Expression) -> list[list[_Term]]:
    """Return the ways to write a node as terms, the node itself as one term last."""
    ways = [terms for terms in _WAYS[node.op](node) if 1 <= len(terms) <= MAX_TERMS] if node.op in _WAYS else []
    return [*ways[:MAX_WAYS], [_Term(node)]]


def _split_sum(node: Expression) -> list[list[_Term]]:
    """Of a sum both sides are always split; how deep is what the ways differ in."""
    left, right = (_list_ways(arg) for arg in node.args)
    pairs = sorted(product(left, right), key=lambda pair: len(pair[0]) + len(pair[1]))
    return [one + [term.negated(node.op == "subtract") for term in other] for one, other in pairs[:MAX_WAYS]]


def _expand(terms: list[_Term], node: Expression) -> list[_Term]:
    """Return the terms in the shape of the whole they stand in: the 1 of 1 + log(x) is ones(n)."""
    return [term if term.body.shape == node.shape else _Term(_fill(term.body, node), term.negative) for term in terms]


def _fill(body: Expression, node: Expression) -> Expression:
    ones = filled("ones", *node.squeezed_shape)
    is_one = body.op == "number" and body.data[0] == 1
    return ones if is_one and ones.shape == node.shape else multiply(body, ones)


def _split_product(node: Expression) -> list[list[_Term]]:
    """Multiply out a product or a linear function of one or several operands."""
    parts = [_list_ways(arg) for arg in node.args]
    choices = sorted(product(*parts), key=lambda choice: math.prod(map(len, choice)))
    return [terms for choice in choices[:MAX_WAYS] if len(terms := _multiply_out(node, list(choice))) > 1]


def _split_entrywise_product(node: Expression) -> list[list[_Term]]:
    """Multiply out a*b; a square such as s*(1 - s) stays."""
    sums = [min(_list_ways(arg), key=lambda way: -len(way)) for arg in node.args]
    return [] if _repeats(*sums) or _repeats(*sums[::-1]) else _split_product(node)


def _split_quotient(node: Expression) -> list[list[_Term]]:
    above, below = node.args
    return [_multiply_out(node, [terms, [_Term(below)]]) for terms in _list_ways(above) if len(terms) > 1]


def _repeats(factor: list[_Term], terms: list[_Term]) -> bool:
    """Whether the only term of a factor is, but for a power or a number, itself one of several terms."""
    if len(factor) != 1 or len(terms) < 2:
        return False
    kernel = _strip(factor[0].body)
    return kernel.op != "number" and any(_strip(term.body) is kernel for term in terms)


def _strip(node: Expression) -> Expression:
    """Return a node without powers and without numbers that multiply it."""
    while True:
        if node.op == "power":
            node = node.args[0]
        elif node.op == "multiply" and node.args[0].op == "number":
            node = node.args[1]
        else:
            return node


def _multiply_out(node: Expression, parts: list[list[_Term]]) -> list[_Term]:
    if math.prod(map(len, parts)) > MAX_TERMS:
        return []
    if node.op not in ("multiply", "divide"):
        parts = [_expand(part, arg) for part, arg in zip(parts, node.args, strict=True)]
    return [_build(node, choice) for choice in product(*parts)]


def _build(node: Expression, choice: tuple[_Term, ...]) -> _Term:
    """Return the node with these terms in the place of its operands."""
    bodies = tuple(term.body for term in choice)
    negative = sum(term.negative for term in choice) % 2 == 1
    if node.op == "call":
        return _Term(call(node.data[0], bodies, node.shape, *node.data[1:]), negative)
    if node.op == "einsum":
        return _Term(einsum(node.data[0], bodies), negative)
    return _Term(_BUILDERS[node.op](*bodies), negative)


def _multiply(left: Expression, right: Expression) -> Expression:
    """Return left * right without a factor 1 and without brackets: 2*alpha*w."""
    for one, other in ((left, right), (right, left)):
        if one.op == "number" and one.data[0] == 1:
            return other
    if left.op == "number" and right.op == "matmul":
        return _matmul(_multiply(left, right.args[0]), right.args[1])
    if right.op == "multiply":
        return _multiply(_multiply(left, right.args[0]), right.args[1])
    return multiply(left, right)


def _matmul(left: Expression, right: Expression) -> Expression:
    """Return left @ right without brackets: X.T @ X @ w."""
    if right.op == "matmul" and left.shape[1] == right.args[0].shape[0]:
        return _matmul(_matmul(left, right.args[0]), right.args[1])
    return matmul(left, right)


def _divide(above: Expression, below: Expression) -> Expression:
    """Return above / below; x/a/a as x/a**2."""
    if above.op == "divide" and above.args[1] is below:
        return divide(above.args[0], power(below, number(2)))
    return divide(above, below)


_BUILDERS: dict[str, Callable[..., Expression]] = {
    "multiply": _multiply,
    "divide": _divide,
    "matmul": _matmul,
    "transpose": transpose,
}

_WAYS: dict[str, Callable[[Expression], list[list[_Term]]]] = {
    "add": _split_sum,
    "subtract": _split_sum,
    "negate": lambda node: [[term.negated() for term in terms] for terms in _list_ways(node.args[0])],
    "multiply": _split_entrywise_product,
    "matmul": _split_product,
    "transpose": _split_product,
    "einsum": _split_product,
    "divide": _split_quotient,
    "call": lambda node: _split_product(node) if node.data[0].linear else [],
}


# --- match terms ------------------------------------------------------------------------------------
#
# Claim and derivative, term by term: which terms of the derivative the claim lacks, and which it has too much.


MAX_CHOICES = 1000

Weighted = tuple[Expression, ClaimFactor | None]


@dataclass(frozen=True)
class TermReading:
    """What a claim looks like beside the terms of the derivative.

    claim + missing = truth, or claim - extra = truth.  `weighted` holds terms of the derivative that stand in the
    claim with a wrong factor before them, None for 0; of a claim that shares some terms with the derivative,
    `unmatched` are those of the derivative that it lacks, and `foreign` those that it has in their place.
    """

    missing: Expression | None = None
    extra: Expression | None = None
    weighted: tuple[Weighted, ...] = ()
    unmatched: Expression | None = None
    foreign: Expression | None = None


def read_terms(
    samples: Sequence[Sample], truths: Sequence[Tensor], claim: Expression | None, derived: Expression | None
) -> TermReading:
    """Return what is missing of the derivative's terms and what the claim has too much.

    `derived` is a formula of the derivative, `claim` the claimed one; where either is None its terms are not known.
    """
    if not samples:
        return TermReading()
    claims = [sample.claim for sample in samples]
    of_truth, of_claim = _list_valued(derived, samples), _list_valued(claim, samples)
    for terms in of_truth:
        if missing := _find_rest(terms, samples, claims):
            return TermReading(missing=missing)
    for terms in of_claim:
        if extra := _find_rest(terms, samples, truths):
            return TermReading(extra=extra)
    for terms in of_truth:
        if weighted := _find_weights(terms, samples):
            return TermReading(weighted=weighted)
    readings = (_compare_terms(right, claimed, samples) for right, claimed in product(of_truth, of_claim))
    return next((reading for reading in readings if reading.foreign), TermReading())


@dataclass(frozen=True, eq=False)
class _Valued:
    """A term with its value at every sample."""

    term: _Term
    values: tuple[Tensor, ...]


def _list_valued(formula: Expression | None, samples: Sequence[Sample]) -> list[list[_Valued]]:
    """Return the ways to see a formula as a sum, with the values of the terms; none where one has no value."""
    ways = [] if formula is None else list_splits(formula)
    roots = tuple(dict.fromkeys(term.expression for terms in ways for term in terms))
    try:
        found = [_evaluate_roots(roots, sample) for sample in samples]
    except MatcalcError:
        return []
    return [[_Valued(term, tuple(values[term.expression] for values in found)) for term in terms] for terms in ways]


def _evaluate_roots(roots: tuple[Expression, ...], sample: Sample) -> dict[Expression, Tensor]:
    point = sample.point
    with torch.no_grad():
        values = evaluate_all(roots, point.values, point.sizes, point.functions) if roots else {}
    return {root: values[root].reshape(sample.claim.shape) for root in roots}


# --- missing and extra terms ----------------------------------------------------------------------


def _find_rest(terms: list[_Valued], samples: Sequence[Sample], wholes: Sequence[Tensor]) -> Expression | None:
    """Return the sum of the fewest terms without which the others add up to the wholes, at least one being kept."""
    choices = chain.from_iterable(combinations(terms, count) for count in range(1, len(terms)))
    for left_out in islice(choices, MAX_CHOICES):
        kept = [term for term in terms if term not in left_out]
        if all(
            sample.is_equal(sum(term.values[place] for term in kept), whole)
            for place, (sample, whole) in enumerate(zip(samples, wholes, strict=True))
        ):
            return join_terms(term.term for term in left_out)
    return None


# --- terms that are there, but not as they should be ----------------------------------------------


def _find_weights(terms: list[_Valued], samples: Sequence[Sample]) -> tuple[Weighted, ...]:
    """Return the terms that the claim has with a wrong factor before them, where others are right."""
    if not terms:
        return ()
    claims = [sample.claim for sample in samples]
    columns = [torch.stack([term.values[place].reshape(-1) for term in terms], dim=1) for place in range(len(claims))]
    tolerance = ROOM * TOLERANCES[claims[0].dtype]
    # One weight for all points where there is one, else one for each.
    solved = _solve_weights(torch.cat(columns), torch.cat([claim.reshape(-1) for claim in claims]), tolerance)
    each = [solved] * len(claims) if solved else [
        _solve_weights(own, claim.reshape(-1), tolerance) for own, claim in zip(columns, claims, strict=True)
    ]  # fmt: skip
    if not all(each):
        return ()
    sizes = [sample.point.sizes for sample in samples]
    named: list[ClaimFactor | None] = []
    for weights in zip(*each, strict=True):
        vanishes = all(abs(weight) <= tolerance for weight in weights)
        factor = None if vanishes else find_factor(weights, sizes, tolerance)
        if factor is None and not vanishes:
            return ()
        named.append(factor)
    wrong = [
        (term.term.expression, factor) for term, factor in zip(terms, named, strict=True)
        if factor is None or factor.value != 1
    ]  # fmt: skip
    return tuple(wrong) if len(wrong) < len(terms) else ()


def _solve_weights(columns: Tensor, claim: Tensor, tolerance: float) -> list[float]:
    """Return the weights with which columns add up to a claim; none where there are none, or more than one choice."""
    if columns.shape[0] < columns.shape[1] or int(torch.linalg.matrix_rank(columns)) < columns.shape[1]:
        return []
    weights = torch.linalg.lstsq(columns, claim[:, None]).solution[:, 0]
    fits = bool(((columns @ weights - claim).abs() <= tolerance * claim.abs().amax()).all())
    return [float(weight) for weight in weights] if fits else []


def _compare_terms(of_truth: list[_Valued], of_claim: list[_Valued], samples: Sequence[Sample]) -> TermReading:
    """Return the terms on either side that have no equal on the other, where some have."""
    pairs = list(_match(of_truth, of_claim, samples))
    unmatched = [term.term for term in of_truth if all(term is not one for one, _ in pairs)]
    foreign = [term.term for term in of_claim if all(term is not other for _, other in pairs)]
    if not pairs or not unmatched or not foreign:
        return TermReading()
    return TermReading(unmatched=join_terms(unmatched), foreign=join_terms(foreign))


def _match(
    of_truth: list[_Valued], of_claim: list[_Valued], samples: Sequence[Sample]
) -> Iterator[tuple[_Valued, _Valued]]:
    free = list(of_claim)
    for term in of_truth:
        for other in free:
            if all(map(Sample.is_equal, samples, other.values, term.values)):
                free.remove(other)
                yield term, other
                break


# --- samples ----------------------------------------------------------------------------------------
#
# Truth and claim at several points, as every reading of a wrong claim needs them.


# A reading is named, not proven: its tolerance leaves room for the rounding that the verdict measures.
ROOM = 10
SEED_STEP = 7919


@dataclass(frozen=True)
class Sample:
    """A point with the true derivative in torch's order of axes and the claim, whatever shapes they have."""

    point: Point
    truth: Tensor
    claim: Tensor

    def is_equal(self, got: Tensor, truth: Tensor) -> bool:
        """Whether two tensors of one shape are equal but for rounding; `truth` sets the scale."""
        return got.shape == truth.shape and bool(self.compare(got, truth).all())

    def compare(self, got: Tensor, truth: Tensor) -> Tensor:
        """Return which entries of two tensors of one shape are equal but for rounding."""
        tolerance = ROOM * TOLERANCES[truth.dtype]
        floor = ABSOLUTE[truth.dtype] / TOLERANCES[truth.dtype] * min(self.point.largest, LARGEST_FLOOR)
        scale = max(float(truth.abs().amax()), floor)
        return (got - truth).abs() <= tolerance * scale


def take_samples(
    question: Question, count: int, *, seed: int, dtype: str, device: str, symmetric: Iterable[str] = (),
    summing: Mapping[str, str] | None = None,
) -> list[Sample]:
    """Return samples at points of different sizes, fewer where points cannot be found.

    Each has a seed of its own, so that the sizes are dealt anew.
    """
    samples: list[Sample] = []
    for place in range(count):
        search = search_points(question, seed + SEED_STEP * place, dtype, device, symmetric, summing)
        sample = take_sample(question, search, place)
        if sample is None:
            break
        samples.append(sample)
    return samples


def take_sample(question: Question, search: PointSearch, number: int) -> Sample | None:
    """Return the sample at the next fair point of a trial, None where there is none."""
    while not isinstance(point := search.find(number), NoPoint):
        if find_excess(question, point):
            return None
        if (sample := sample_at(question, point)) is not None:
            return sample
        search.reject(Trouble("not finite", names_below(question.claim.root or question.function.root)))
    return None


def sample_at(question: Question, point: Point) -> Sample | None:
    """Return truth and claim at a point, None where one of them has no finite value."""
    try:
        truth = question.function.differentiate(question.by, point.values, point, question.meaning)
        claim = question.claim.evaluate(point.values, point)
        claim = claim.reshape([size.value(point.sizes) for size in question.claim.shape])
    except (MatcalcError, RuntimeError):
        return None
    return Sample(point, truth, claim) if bool(truth.isfinite().all()) and bool(claim.isfinite().all()) else None
