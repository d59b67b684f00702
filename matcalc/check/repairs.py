"""The repairs that a diagnosis advises -> the claim with each of them, judged: what does not agree then is not said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matcalc.check.factors import ClaimFactor
from matcalc.check.question import ExpressionClaim, Question
from matcalc.check.verdict import judge_question
from matcalc.errors import MatcalcError
from matcalc.language.expression import (
    Expression,
    add,
    call,
    divide,
    filled,
    multiply,
    number,
    power,
    subtract,
    transpose,
)
from matcalc.language.sizes import UNIT, to_2d_shape
from matcalc.language.text_to_expression import choose_book

if TYPE_CHECKING:
    from matcalc.check.diagnose import Diagnosis, Hint
    from matcalc.check.explain import Explanation
    from matcalc.check.terms import TermReading

# Points that no reading has seen.
OTHER_SEED = 104_729


def confirm_repairs(found: Diagnosis, question: Question, **settings: Any) -> Diagnosis:
    """Return the diagnosis without the readings whose repair does not agree, and with the formulas of those that do.

    What is code has no text that could be repaired; its readings hold at the points alone.
    """
    claim = question.claim.root
    if claim is None:
        return found
    judge = _Judge(question, settings)
    repairs: list[Expression] = []

    def keep(formula: Expression | None, layout: str = question.layout) -> bool:
        agrees = formula is None or judge.agrees(formula, layout)
        if agrees and formula is not None and layout == question.layout:
            repairs.append(formula)
        return agrees

    if not keep(repair_factor(claim, found.factor)):
        found = _drop(replace(found, factor=None), "factor")
    if not keep(repair_terms(claim, found.terms)):
        found = _drop(replace(found, terms=type(found.terms)()), "missing-term", "extra-term")
    if not keep(_reverse(claim, found.axes)):
        found = _drop(replace(found, axes=()), "transpose")
    explanation = found.explanation and _orient_slips(claim, found.explanation)
    if explanation is not None and not keep(repair_slips(claim, explanation)):
        explanation = None
    hints = tuple(hint for hint in found.hints if keep(repair_hint(claim, hint, question)))
    elsewhere = tuple(
        (layout, reading) for layout, reading in found.elsewhere
        if keep(repair_factor(claim, reading.factor), layout) and keep(repair_terms(claim, reading.terms), layout)
    )  # fmt: skip
    return replace(
        found, explanation=explanation, hints=hints, elsewhere=elsewhere, repairs=tuple(dict.fromkeys(repairs))
    )


def _drop(found: Diagnosis, *reasons: str) -> Diagnosis:
    return replace(found, reasons=tuple(reason for reason in found.reasons if reason not in reasons) or ("other",))


class _Judge:
    """Whether a formula is right where the claim was not."""

    def __init__(self, question: Question, settings: dict[str, Any]) -> None:
        self.question = question
        self.settings = {**settings, "seed": settings["seed"] + OTHER_SEED}

    def agrees(self, formula: Expression, layout: str) -> bool:
        """Whether it agrees at points of its own."""
        # A row in the place of a column is told apart from what is repaired.
        asked = replace(self.question, claim=ExpressionClaim(formula), layout=layout, strict=False)
        try:
            return bool(judge_question(asked, proof="torch", **self.settings))
        except MatcalcError:
            return False


# --- what the claim is after the repair -----------------------------------------------------------


def repair_factor(claim: Expression, factor: ClaimFactor | None) -> Expression | None:
    """Return the claim without the factor, None where it has none that has a name."""
    return None if factor is None or not factor.is_named else factor.invert().apply(claim)


def repair_terms(claim: Expression, terms: TermReading) -> Expression | None:
    """Return the claim with the terms that it lacks and without those it has too much, None where none is known."""
    lacking = [part for part in (terms.missing, terms.unmatched) if part is not None]
    extra = [part for part in (terms.extra, terms.foreign) if part is not None]
    for term, factor in terms.weighted:
        lacking.append(term)
        if factor is not None:
            extra.append(factor.apply(term))
    changed = claim
    for parts, build in ((lacking, add), (extra, subtract)):
        for part in parts:
            fitting = next(_orient(part, claim), None)
            if fitting is None:
                return None
            changed = build(changed, fitting)
    return None if changed is claim else changed


def _orient(part: Expression, claim: Expression) -> Iterator[Expression]:
    """Yield a term in the shape of the claim: a row as a column where the claim is one."""
    if part.shape == claim.shape:
        yield part
    elif len(part.shape) == 2 and part.shape[::-1] == claim.shape and len(part.squeezed_shape) == 1:
        yield transpose(part)


def _reverse(claim: Expression, axes: tuple[int, ...]) -> Expression | None:
    return transpose(claim) if len(axes) == 2 and len(claim.squeezed_shape) == 2 and len(claim.shape) == 2 else None


def _orient_slips(claim: Expression, found: Explanation) -> Explanation | None:
    """Return the explanation with a factor of all entries as a row where the claim is one; None where it has none."""
    slip = found.slips[0]
    if slip.kind != "entry" or slip.new is None or slip.new.is_scalar or len(found.slips) > 1 or found.axes:
        return found
    if all(size in (UNIT, other) for size, other in zip(slip.new.shape, claim.shape, strict=False)):
        return found
    new = next(_orient(slip.new, claim), None)
    return None if new is None else replace(found, slips=(replace(slip, new=new),))


def repair_slips(claim: Expression, found: Explanation) -> Expression | None:
    """Return the claim without its slips, None where they lie in the derivative and not in its text."""
    repaired = found.repaired
    if repaired is None and len(found.slips) == 1 and found.slips[0].kind == "entry" and not found.axes:
        slip = found.slips[0]
        assert slip.new is not None
        factor = slip.new if abs(slip.power) == 1 else power(slip.new, number(abs(slip.power)))
        repaired = (divide if slip.power > 0 else multiply)(claim, factor)
        repaired = repaired if found.factor is None else found.factor.invert().apply(repaired)
        repaired = repaired if repaired.squeezed_shape == claim.squeezed_shape else None
    return repaired


def repair_hint(claim: Expression, hint: Hint, question: Question) -> Expression | None:
    """Return the claim as the hint advises to write it, None where it advises nothing."""
    book = choose_book(None)
    shape = question.shape(question.layout)
    if hint.kind == "scalar":
        return repair_factor(claim, hint.factor)
    if hint.kind == "constant" and len(shape) <= 2:
        return multiply(claim, filled("ones", *shape))
    side = claim.squeezed_shape[:1]
    if hint.kind == "diagonal":
        return call(book["diag_of_vector"], (transpose(claim) if claim.is_row else claim,), (*side, *side))
    return call(book["diag_of_matrix"], (claim,), to_2d_shape(side)) if hint.kind == "matrix" else None
