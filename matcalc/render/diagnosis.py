"""The readings of a wrong claim -> plain sentences for a student."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from matcalc.language.declarations import name_structure
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import write_shape

if TYPE_CHECKING:
    from matcalc.check.diagnose import Diagnosis, Hint
    from matcalc.check.question import Question
    from matcalc.check.report import Worst
    from matcalc.check.terms import TermReading


NEARLY_RIGHT = 1e-2


def write_diagnosis(found: Diagnosis, question: Question, worst: Worst | None, subject: str = "the derivative") -> str:
    """Return what is wrong with a claim, one sentence for each reading; `subject` is what was claimed."""
    example = f": at point {worst.point} {worst.entry} {worst.numbers}" if worst else ""
    if found.nearly and worst and not _is_near(worst):
        return f"It is {subject} at most points, but not everywhere{example}: a branch is missed, perhaps."
    if found.nearly:
        rounded = "numbers in it are rounded, perhaps; write 2/3, not 0.66666667"
        return f"It is nearly {subject}{example}: {rounded}."
    sentences = list(_write_readings(found, question, subject))
    if "shape" in found.reasons and not found.fits and not found.axes:
        sentences.insert(0, _write_shape(question, subject))
    if "other" in found.reasons:
        sentences = [f"It is not {subject}{example}.", *_write_terms(found.terms)]
    if found.assumed:
        name = question.wrt.name
        within = "the gradient is that within such matrices"
        held = f"{name}'s tied entries count once" if found.assumed == "tied" else within
        do = f'assume "{name}: symmetric", meaning {found.assumed}'
        sentences.append(f"Right if {name} is symmetric and {held}: {do}.")
    sentences += [_write_hint(hint, subject) for hint in found.hints]
    return " ".join([*sentences, *_write_elsewhere(found.elsewhere, subject)])


def _is_near(worst: Worst) -> bool:
    """Whether the worst entry is off by no more than a number that is rounded makes it."""
    return abs(worst.got - worst.expected) <= NEARLY_RIGHT * max(abs(worst.got), abs(worst.expected))


def _write_readings(found: Diagnosis, question: Question, subject: str) -> Iterator[str]:
    if found.meanings:
        yield _write_meanings(found.meanings, question)
    if found.fits:
        yield _write_fits(found, question)
    elif found.axes:
        yield _write_axes(found, subject)
    if found.factor is not None:
        yield f"It {write_factor(found.factor, subject)}."
    if found.terms.missing:
        yield f"Missing: {to_text(found.terms.missing)}."
    if found.terms.extra:
        yield f"Too much: {to_text(found.terms.extra)}."
    if found.symmetric and (found.fits or found.axes):
        yield f"As it stands it would be right only if {_join(found.symmetric)} were symmetric."
    elif found.symmetric:
        yield f"Right only if {_are_symmetric(found.symmetric)}, which is not assumed."
    if found.summing:
        words = {"columns": "simplex-columns"}
        told = "; ".join(f"{name}: {words.get(kind, 'simplex')}" for name, kind in found.summing)
        yield f'Right if {_sum_to_one(found.summing)}, which is not assumed: "{told}" says so.'


def _write_meanings(meanings: tuple[str, ...], question: Question) -> str:
    """Return in which meanings of a derivative by a structured matrix a claim is right, each with its word."""
    kinds = {wrt.name: kind for wrt in question.by if (kind := name_structure(wrt))}
    names, (kind, *_) = _join(tuple(kinds)), (*kinds.values(),)
    told = {
        "free": f"if every entry of {names} is free", "tied": f"if {names}'s tied entries count once",
        "space": f"for the gradient within the {kind} matrices",
        "vech": f"by the vector of {names}'s independent entries",
    }  # fmt: skip
    return f"Right {'; '.join(f'{told[meaning]}: meaning {meaning}' for meaning in meanings)}."


def _write_terms(terms: TermReading) -> Iterator[str]:
    """Say which terms are wrong of a claim that no single reading explains."""
    fates: dict[int | float | str | None, str] = {-1: "has the wrong sign in it", 0: "is missing"}
    for term, weight in terms.weighted:
        factor = f"has the factor {_write_number(float(weight or 0))} in it"
        yield f"The term {to_text(term)} {fates.get(weight, factor)}."
    if terms.unmatched and terms.foreign:
        right, wrong = to_text(terms.unmatched), to_text(terms.foreign)
        yield f"Some of its terms are right, but {wrong} stands where {right} should."


def _write_hint(hint: Hint, subject: str) -> str:
    if hint.kind != "scalar":
        return _HINTS[hint.kind].format(subject=subject)
    if hint.scalar is None:
        return f"It points the right way: at each point it is some number times {subject}."
    return f"It {write_factor(_write_power(hint), subject)}."


_HINTS = {
    "diagonal": "It is the diagonal of {subject}: write diag(...) around it.",
    "matrix": "Its diagonal is {subject}: write it without diag, as a vector.",
    "constant": "Each entry of {subject} is this number: multiply it by ones(...).",
    "rows": "It would be right if vec stacked rows, as NumPy's reshape does; here vec stacks columns.",
}


def _write_power(hint: Hint) -> str:
    """Return 2*norm(x), 1/norm(x)**2, ...: what the claim is off by."""
    assert hint.scalar is not None
    scalar = to_text(hint.scalar)
    if abs(hint.power) > 1:
        scalar = f"{scalar if scalar.isidentifier() or scalar.endswith(')') else f'({scalar})'}**{abs(hint.power)}"
    factor = hint.coefficient if isinstance(hint.coefficient, str) else _write_number(hint.coefficient or 1)
    if hint.power < 0:
        return f"{factor}/{scalar if '@' not in scalar and '*' not in scalar else f'({scalar})'}"
    return scalar if factor == "1" else f"{factor}*{scalar}"


def _write_fits(found: Diagnosis, question: Question) -> str:
    right = f"Right in {_join(found.fits)} layout; in {question.layout} layout, which you asked for, "
    given, expected = write_shape(question.claim.shape), write_shape(question.shape(question.layout))
    arrow = f", {given} → {expected}" if given != expected else ""
    if not found.axes:
        return f"{right}the shape is {expected}, not {given}." if arrow else f"{right}the entries stand elsewhere."
    if len(found.axes) == 2:
        order = "it is the transpose"
    elif _are_reversed(found.axes):
        order = "the axes stand in reverse"
    else:
        order = f"the axes are permuted by {found.axes}"
    return right + order + arrow + "."


def _are_reversed(axes: tuple[int, ...]) -> bool:
    return axes == tuple(reversed(range(len(axes))))


def _write_axes(found: Diagnosis, subject: str) -> str:
    if len(found.axes) == 2:
        return f"It is the transpose of {subject}."
    if _are_reversed(found.axes):
        return f"It is {subject} with its axes in reverse."
    return f"It is {subject} with its axes in another order: permute them by {found.axes}."


def write_factor(factor: int | float | str, subject: str) -> str:
    """Return the rest of a sentence: what a claim is, and what to do.

    >>> write_factor(0.5, "the derivative")
    'is 1/2 of the derivative: multiply it by 2'
    >>> write_factor("n/(n - 1)", "the derivative")
    'is n/(n - 1) times the derivative: multiply it by (n - 1)/n'
    """
    if factor == -1:
        return f"is {subject} with the wrong sign"
    text = factor if isinstance(factor, str) else _write_number(factor)
    above, slash, below = text.partition("/")
    if not slash:
        return f"is {text} times {subject}: divide it by {text}"
    if above in ("1", "-1"):
        inverse = below[1:-1] if re.fullmatch(r"\([^()]*\)", below) else below
        return f"is {text} of {subject}: multiply it by {'-' if above == '-1' else ''}{inverse}"
    return f"is {text} times {subject}: multiply it by {below}/{f'({above})' if '*' in above else above}"


def _write_number(value: int | float) -> str:
    near = Fraction(value).limit_denominator(360)
    return str(near) if abs(float(near) - value) < 1e-8 * abs(value) else f"{value:.6g}"


def _write_shape(question: Question, subject: str) -> str:
    shapes = (write_shape(shape) for shape in (question.claim.shape, question.shape(question.layout)))
    told, wanted = ("is a scalar" if shape == "scalar" else f"has shape {shape}" for shape in shapes)
    where = f" in {question.layout} layout" if question.order and question.has_layouts else ""
    return f"It {told}, but {subject}{where} {wanted}."


def _write_elsewhere(elsewhere: tuple[tuple[str, Diagnosis], ...], subject: str) -> Iterator[str]:
    """Say what the claim is in other layouts, those of which the same holds together."""
    told: dict[str, list[str]] = {}
    for layout, reading in elsewhere:
        told.setdefault(_describe(reading, subject), []).append(layout)
    for sentence, layouts in told.items():
        yield f"In {_join(tuple(layouts))} layout it {sentence}."


def _describe(reading: Diagnosis, subject: str) -> str:
    if reading.factor is not None:
        return write_factor(reading.factor, subject)
    if reading.terms.missing:
        return f"is {subject} but for the missing {to_text(reading.terms.missing)}"
    if reading.terms.extra:
        return f"is {subject} with {to_text(reading.terms.extra)} too much"
    if reading.symmetric:
        return f"is {subject} if {_are_symmetric(reading.symmetric)}"
    return f"is {subject} if {_sum_to_one(reading.summing)}"


def _are_symmetric(names: tuple[str, ...]) -> str:
    return f"{_join(names)} {'is' if len(names) == 1 else 'are'} symmetric"


def _sum_to_one(summing: tuple[tuple[str, str], ...]) -> str:
    """Return a clause: the rows of Y and the entries of y sum to 1."""
    return f"{_join(tuple(f'the {kind} of {name}' for name, kind in summing))} sum to 1"


def _join(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
