"""A claim that is right at some entries only -> the branch on whose one side it is wrong: where x > 1.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from torch import Tensor

from matcalc.check.points import Branch, Coverage, name_arguments
from matcalc.check.question import Question, search_points
from matcalc.check.scales import is_fair, list_scaled
from matcalc.check.terms import Sample, sample_at, take_sample
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, compare, number, symbols
from matcalc.language.rewrite import replace
from matcalc.language.sizes import Shape

TRIALS_OF_A_FORK = 12
FEWEST = 2

_Marks = list[Tensor]  # at each sample, which entries


@dataclass(frozen=True)
class Fork:
    """Where a claim is wrong: conditions, all of which hold there, or one of them at least."""

    conditions: tuple[Expression, ...]
    joins: str = "and"


def find_fork(question: Question, seed: int, dtype: str, device: str) -> Fork | None:
    """Return the sides of branches of function and claim on which the claim is wrong, being right on the others.

    None where there are none, or the points do not show both.
    """
    roots = (question.function.root, *(() if question.claim.root is None else (question.claim.root,)))
    coverage = Coverage(*roots)
    if not coverage.branches or question.shape(question.layout) != question.claim.shape:
        return None
    samples = [*_take_samples(question, seed, dtype, device)]
    wrong = [_find_wrong(sample, question) for sample in samples]
    if not any(bool(marks.any()) for marks in wrong) or all(bool(marks.all()) for marks in wrong):
        return None
    try:
        measured = [coverage.measure(sample.point) for sample in samples]
    except MatcalcError:
        return None
    sides: list[tuple[Expression, _Marks, Shape]] = []
    for place, branch in enumerate(coverage.branches):
        decider = _write_decider(branch)
        for sign in (1, -1):
            marks = [sign * distances[place] > 0 for distances in measured]
            sides.append((_write_side(decider, sign), marks, decider.squeezed_shape))
    return next(_match_sides(sides, wrong, question.shape(question.layout)), None)


def _take_samples(question: Question, seed: int, dtype: str, device: str) -> Iterator[Sample]:
    """Yield samples that show both sides of the branches, then those over many scales, as far as branches lie there."""
    search = search_points(question, seed, dtype, device)
    first = None
    for trial in range(TRIALS_OF_A_FORK):
        sample = take_sample(question, search, trial)
        if sample is None:
            return
        first = first or sample
        yield sample
    for point in list_scaled(first.point, seed) if first is not None else ():
        if is_fair(question.function.root, point) and (sample := sample_at(question, point)) is not None:
            yield sample


def _find_wrong(sample: Sample, question: Question) -> Tensor:
    """Return which entries of the claim are wrong."""
    truth = question.arrange(sample.truth, question.layout)
    return torch.logical_not(sample.compare(sample.claim, truth))


def _write_decider(branch: Branch) -> Expression:
    """Return what decides, in the names of the formula."""
    if branch.call is None:
        return branch.decider
    arguments, leaves = name_arguments(branch.call), symbols(branch.decider)
    return replace(branch.decider, {leaf: arguments[name] for name, leaf in leaves.items()})


def _write_side(decider: Expression, sign: int) -> Expression:
    left, right = decider.args if decider.op == "subtract" else (decider, number(0))
    return compare(">" if sign > 0 else "<", left, right)


def _match_sides(
    sides: Sequence[tuple[Expression, _Marks, Shape]], wrong: _Marks, shape: Shape
) -> Iterator[Fork]:
    """Yield the one side, or the two, on which the claim is wrong everywhere, and nowhere else."""
    for condition, marks, own in sides:
        for axes in _list_axes(own, shape):
            if _is_same(_squeeze(marks, own), _reduce(wrong, axes)):
                yield Fork((condition,))
    for (one, first, own), (other, second, beside) in combinations(sides, 2):
        if own != beside:
            continue
        pairs = list(zip(_squeeze(first, own), _squeeze(second, own), strict=True))
        for axes, joins in product(_list_axes(own, shape), ("and", "or")):
            marks = [a & b if joins == "and" else a | b for a, b in pairs]
            if not all(bool(mark.all()) for mark in marks) and _is_same(marks, _reduce(wrong, axes)):
                yield Fork((one, other), joins)


def _squeeze(marks: _Marks, own: Shape) -> _Marks:
    return [mark.reshape([size for size in mark.shape if size != 1][: len(own)] or [1] * len(own)) for mark in marks]


def _list_axes(own: Shape, shape: Shape) -> list[tuple[int, ...]]:
    """Return the axes of the derivative along which a decider of a shape may decide; none of a single number."""
    if not own:
        return [()]
    pairs = product(range(len(shape)), repeat=len(own))
    return [axes for axes in pairs if len(set(axes)) == len(axes) and tuple(shape[axis] for axis in axes) == own]


def _reduce(wrong: _Marks, axes: tuple[int, ...]) -> _Marks:
    """Return where along some axes anything is wrong, in their order."""
    reduced = []
    for marks in wrong:
        others = tuple(axis for axis in range(marks.ndim) if axis not in axes)
        kept = marks.permute(*axes, *others) if marks.ndim else marks
        reduced.append(kept.flatten(len(axes)).any(-1) if others else kept)
    return reduced


def _is_same(marks: _Marks, wrong: _Marks) -> bool:
    """Whether what is wrong is one side: at some entries, and not at others, of all samples together."""
    count = sum(int(mark.sum()) for mark in marks)
    total = sum(mark.numel() for mark in marks)
    return FEWEST <= count <= total - FEWEST and all(map(torch.equal, marks, wrong))
