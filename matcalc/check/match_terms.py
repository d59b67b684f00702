"""Claim and derivative, term by term: which terms of the derivative the claim lacks, and which it has too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, product

import torch
from torch import Tensor

from matcalc.check.compare import TOLERANCES
from matcalc.check.evaluate_nodes import evaluate_all
from matcalc.check.factor import name_factor
from matcalc.check.samples import ROOM, Sample
from matcalc.check.terms import Term, join_terms, list_splits
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression

MAX_CHOICES = 1000

Weighted = tuple[Expression, int | float | str | None]


@dataclass(frozen=True)
class TermReading:
    """What a claim looks like beside the terms of the derivative.

    claim + missing = truth, or claim - extra = truth.  `weighted` holds terms of the derivative that stand in the
    claim with a wrong number before them; of a claim that shares some terms with the derivative, `unmatched` are
    those of the derivative that it lacks, and `foreign` those that it has in their place.
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
        if weighted := _find_weights(terms, claims):
            return TermReading(weighted=weighted)
    readings = (_compare_terms(right, claimed, samples) for right, claimed in product(of_truth, of_claim))
    return next((reading for reading in readings if reading.foreign), TermReading())


@dataclass(frozen=True, eq=False)
class _Valued:
    """A term with its value at every sample."""

    term: Term
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


def _find_weights(terms: list[_Valued], claims: Sequence[Tensor]) -> tuple[Weighted, ...]:
    """Return the terms that the claim has with a wrong number before them, where others are right."""
    if not terms:
        return ()
    columns = torch.stack([torch.cat([value.reshape(-1) for value in term.values]) for term in terms], dim=1)
    claim = torch.cat([value.reshape(-1) for value in claims])
    if columns.shape[0] < columns.shape[1] or int(torch.linalg.matrix_rank(columns)) < columns.shape[1]:
        return ()
    weights = torch.linalg.lstsq(columns, claim[:, None]).solution[:, 0]
    tolerance = ROOM * TOLERANCES[claim.dtype]
    if not bool(((columns @ weights - claim).abs() <= tolerance * claim.abs().amax()).all()):
        return ()
    named = [name_factor([weight], [{}], tolerance) if abs(weight) > tolerance else 0 for weight in weights.tolist()]
    wrong = [(term.term.expression, weight) for term, weight in zip(terms, named, strict=True) if weight != 1]
    return tuple(wrong) if len(wrong) < len(terms) else ()


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
