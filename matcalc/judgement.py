"""A question and how it is to be judged -> the report: the verdict, and of a wrong claim what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from matcalc.engine.result import derive_result
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import to_text
from matcalc.reader_views import show_report
from matcalc.render.diagnosis import write_diagnosis
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.diagnose import Diagnosis
    from matcalc.check.question import Question
    from matcalc.check.report import CheckReport

TRUTH = "torch.autograd.functional.jacobian"


@dataclass(frozen=True)
class Options:
    """How a claim is judged, as `check` takes it."""

    layout: str = "numerator"
    order: int = 1
    trials: int = 3
    seed: int = 0
    dtype: str = "float64"
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Raise DeclarationError for an unknown layout or dtype."""
        from matcalc.check.verdict import refuse_unknown

        refuse_unknown(self.layout, self.dtype)

    def judge(
        self, question: Question, function: Expression | None, rules: RuleBook,
        truth: str = TRUTH, subject: str = "the derivative",
    ) -> CheckReport:  # fmt: skip
        """Return the verdict on a question, and of a claim that differs every reading that holds.

        `function` is the expression that is differentiated, None where it is code: its terms are not known then.
        `truth` names what the claim is compared with, `subject` what it claims to be.
        """
        from matcalc.check.verdict import judge_question

        report = judge_question(
            question, trials=self.trials, seed=self.seed, dtype=self.dtype, device=self.device, rules=rules, truth=truth
        )
        if report.verdict == "differs":
            return explain_difference(report, question, function, rules, subject)
        return replace(report, page=show_report)


def explain_difference(
    report: CheckReport, question: Question, function: Expression | None, rules: RuleBook, subject: str
) -> CheckReport:
    """Return the report of a claim that differs with its diagnosis: reasons, the right derivative, sentences."""
    from matcalc.check.report import find_missing

    if find_missing(report.device):  # that a shape is wrong is seen without torch
        return replace(report, page=show_report)
    from matcalc.check.diagnose import diagnose
    from matcalc.check.rule_texts import rules_in_force

    derive = _prepare(function, question.wrt, question.order, rules)
    with rules_in_force(rules):
        found = diagnose(question, derive, seed=report.seed, dtype=report.dtype, device=report.device)
    correct = derive(question.layout) if found.confirmed else None
    message = f"differs. {write_diagnosis(found, question, report.worst, subject)}"
    page = partial(show_report, correct=correct)
    return replace(_copy_readings(report, found), correct=_write(correct), message=message, page=page)


def _copy_readings(report: CheckReport, found: Diagnosis) -> CheckReport:
    return replace(
        report, reasons=found.reasons, fits=found.fits, factor=found.factor,
        missing=_write(found.terms.missing), extra=_write(found.terms.extra), symmetric=found.symmetric,
    )  # fmt: skip


def derive_text(function: Expression, wrt: Expression, layout: str, order: int, rules: RuleBook) -> str:
    """Return the derivative in a layout as text, "" where the engine has none."""
    return _write(_prepare(function, wrt, order, rules)(layout))


def _prepare(
    function: Expression | None, wrt: Expression, order: int, rules: RuleBook
) -> Callable[[str], Expression | None]:
    """Return what gives the derivative in a layout, derived once; None where the engine has none."""
    try:
        result = derive_result(function, wrt, order, rules) if function is not None and order else None
    except MatcalcError:
        return lambda layout: None

    @cache
    def derive(layout: str) -> Expression | None:
        if result is None:
            return function
        try:
            return result.expression(layout)
        except MatcalcError:
            return None

    return derive


def _write(formula: Expression | None) -> str:
    return "" if formula is None else to_text(formula)
