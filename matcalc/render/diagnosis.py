"""The readings of a wrong claim -> plain sentences for a student."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from matcalc.language.declarations import name_structure
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import write_shape

if TYPE_CHECKING:
    from matcalc.check.diagnose import Diagnosis, Hint
    from matcalc.check.explain import Explanation, Slip
    from matcalc.check.factors import ClaimFactor
    from matcalc.check.forks import Fork
    from matcalc.check.question import Question
    from matcalc.check.report import Worst
    from matcalc.check.terms import TermReading
    from matcalc.language.expression import Expression


NEARLY_RIGHT = 1e-2


def write_diagnosis(found: Diagnosis, question: Question, worst: Worst | None, subject: str = "the derivative") -> str:
    """Return what is wrong with a claim, one sentence for each reading; `subject` is what was claimed."""
    example = f": at point {worst.point} {worst.entry} {worst.numbers}" if worst else ""
    if found.fork is not None:
        return f"It is {subject} at some entries, but it is wrong where {_write_fork(found.fork)}{example}."
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
    if found.explanation:
        sentences.append(_write_explanation(found.explanation, subject))
    return " ".join([*sentences, *_write_elsewhere(found.elsewhere, subject)])


def _write_fork(fork: Fork) -> str:
    return f" {fork.joins} ".join(to_text(condition) for condition in fork.conditions)


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
    for term, factor in terms.weighted:
        fate = "is missing" if factor is None else f"has the factor {_write_value(factor)} in it"
        fate = "has the wrong sign in it" if factor and factor.value == -1 else fate
        yield f"The term {to_text(term)} {fate}."
    if terms.unmatched and terms.foreign:
        right, wrong = to_text(terms.unmatched), to_text(terms.foreign)
        yield f"Some of its terms are right, but {wrong} stands where {right} should."


def _write_hint(hint: Hint, subject: str) -> str:
    if hint.kind != "scalar":
        return _HINTS[hint.kind].format(subject=subject)
    if hint.factor is None:
        return f"It points the right way: at each point it is some number times {subject}."
    return f"It {write_factor(hint.factor, subject)}."


_HINTS = {
    "diagonal": "It is the diagonal of {subject}: write diag(...) around it.",
    "matrix": "Its diagonal is {subject}: write it without diag, as a vector.",
    "constant": "Each entry of {subject} is this number: multiply it by ones(...).",
    "rows": "It would be right if vec stacked rows, as NumPy's reshape does; here vec stacks columns.",
}


def _write_explanation(found: Explanation, subject: str) -> str:
    """Say which slips make a claim: one in a sentence of its own, several counted."""
    told = [_SLIPS[slip.kind](slip, subject) for slip in found.slips]
    if found.axes:
        told.append("its axes are turned" if len(found.axes) > 2 else "it is transposed")
    if found.factor is not None:
        beside = "with the wrong sign" if found.factor.value == -1 else f"times {_write_value(found.factor)}"
        told.append(f"it stands there {beside}")
    if len(told) == 1:
        return f"{told[0][0].upper()}{told[0][1:]}."
    return f"{('Two', 'Three', 'Four')[len(told) - 2]} slips explain it: {'; '.join(told)}."


def _tell(node: Expression | None) -> str:
    return "" if node is None else to_text(node)


_SLIPS: dict[str, Callable[[Slip, str], str]] = {
    "write": lambda slip, subject: f"it is right with {_tell(slip.new)} in the place of {_tell(slip.old)}",
    "by": lambda slip, subject: (
        f"it is {subject} by {_tell(slip.new)}, not by {_tell(slip.old)}: the two are swapped, perhaps"
    ),
    "constant": lambda slip, subject: (
        f"it takes {_tell(slip.old)} for a constant: the term of {subject} that goes through it is missing"
    ),
    "through": lambda slip, subject: (
        f"the term of {subject} that goes through {_tell(slip.old)} has the factor {_write_value_of(slip)} in it"
    ),
    "local": lambda slip, subject: (
        f"it has the derivative of {_tell(slip.new)} in the place of that of {_tell(slip.old)}"
    ),
    "term": lambda slip, subject: (
        f"the term {_tell(slip.old)} has the factor {_tell_power(slip)} too much"
        if slip.power > 0 else f"the term {_tell(slip.old)} lacks the factor {_tell_power(slip)}"
    ),
    "entry": lambda slip, subject: (
        f"it has the factor {_tell_power(slip)} too much, entry by entry: divide it by that"
        if slip.power > 0 else f"it lacks the factor {_tell_power(slip)}, entry by entry: multiply it by that"
    ),
    "weight": lambda slip, subject: f"the term {_tell(slip.old)} has the factor {_write_value_of(slip)} in it",
    "own": lambda slip, subject: (
        f"it takes each entry of {_tell(slip.old)} to depend on one place alone, but the sum has all of them"
    ),
    "formula": lambda slip, subject: f"it has {_tell(slip.new)} where {_tell(slip.old)} belongs",
    "function": lambda slip, subject: (
        f"it is {subject} of the formula with {_tell(slip.new)} in the place of {_tell(slip.old)}"
    ),
}


def _tell_power(slip: Slip) -> str:
    """Return x, (x - y)**2, ...: what the factor is, above or below."""
    text, exponent = _tell(slip.new), abs(slip.power)
    if exponent == 1:
        return text
    is_one = text.isidentifier() or (slip.new is not None and slip.new.op == "call")
    return f"{text if is_one else f'({text})'}**{exponent}"


def _write_value_of(slip: Slip) -> str:
    return "" if slip.factor is None else _write_value(slip.factor)


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


def write_factor(factor: ClaimFactor, subject: str) -> str:
    """Return the rest of a sentence: what a claim is, and what to do where the factor is known exactly.

    >>> from matcalc.check.factors import find_factor
    >>> write_factor(find_factor([0.5, 0.5], [{}, {}]), "the derivative")
    'is 1/2 of the derivative: multiply it by 2'
    >>> write_factor(find_factor([3 / 2, 5 / 4, 7 / 6], [{"n": 3}, {"n": 5}, {"n": 7}]), "the derivative")
    'is n/(n - 1) times the derivative: multiply it by (n - 1)/n'
    >>> write_factor(find_factor([0.1234, 0.1234], [{}, {}]), "the derivative")
    'is 0.1234 times the derivative'
    """
    if factor.value == -1:
        return f"is {subject} with the wrong sign"
    text = _write_value(factor)
    if not factor.is_named:
        return f"is {text} times {subject}"
    inverse = _write_value(factor.invert())
    if "/" not in text:
        return f"is {text} times {subject}: divide it by {_bracket(factor, text)}"
    return f"is {text} {'of' if text.startswith(('1/', '-1/')) else 'times'} {subject}: multiply it by {inverse}"


def _bracket(factor: ClaimFactor, text: str) -> str:
    """Return a divisor in brackets where without them only a part of it would divide."""
    return f"({text})" if factor.expression.op in ("add", "subtract") else text


def _write_value(factor: ClaimFactor) -> str:
    return to_text(factor.expression) if factor.is_named else f"{factor.coefficient:.6g}"


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
