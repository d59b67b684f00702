"""Expression and claimed derivative -> a verdict: agrees, differs, or could not check, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matcalc.check.prove import prove_rule
from matcalc.check.question import LAYOUTS, ExpressionClaim, ExpressionFunction, Question, layout_shape
from matcalc.check.report import DIFFERS, CheckReport, Worst, could_not_check, find_missing
from matcalc.check.rule_texts import rules_in_force
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, write_shape
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.compare import Comparison
    from matcalc.check.sample import Point, PointSearch

__all__ = ["CheckReport", "Worst", "judge", "judge_question", "layout_shape", "prove_rule", "search_points"]

DTYPES = ("float64", "float32")
MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


def judge(
    expression: Expression,
    claim: Expression,
    wrt: Expression,
    *,
    layout: str = "numerator",
    order: int = 1,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    abstract: Mapping[str, Shape] | None = None,
    rules: RuleBook | None = None,
) -> CheckReport:
    """Return whether claim is the derivative of expression by wrt in that layout, tried at random points.

    The truth is torch.autograd.functional.jacobian of the expression.  `abstract` may give the shapes of
    abstract functions; the nodes carry them already.  `rules` is the book that the expression was read with.
    Raises DeclarationError for an unknown layout or dtype; all else that goes wrong is "could not check".
    """
    question = Question(ExpressionFunction(expression), ExpressionClaim(claim), wrt, layout, order)
    return judge_question(question, trials=trials, seed=seed, dtype=dtype, device=device, rules=rules)


def judge_question(
    question: Question,
    *,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    rules: RuleBook | None = None,
    truth: str = "torch.autograd.functional.jacobian",
) -> CheckReport:
    """Return the verdict on a question, tried at random points; `truth` names in the message what it is compared with.

    Raises DeclarationError for an unknown layout or dtype; all else that goes wrong is "could not check".
    """
    for what, given, allowed in (("layout", question.layout, LAYOUTS), ("dtype", dtype, DTYPES)):
        if given not in allowed:
            raise DeclarationError(f"{given!r} is not a {what}", advice="use one of " + ", ".join(allowed))
    settings: dict[str, Any] = {"seed": seed, "layout": question.layout, "dtype": dtype, "device": device}
    misfit = _find_misfit(question)
    if misfit:
        return CheckReport(DIFFERS, ("shape",), message=f"differs: {misfit}", **settings)
    reason = "no points were asked for" if trials < 1 else find_missing(device)
    if reason:
        return could_not_check(reason, **settings)
    with rules_in_force(rules):
        report = _judge_at_points(question, trials, seed, dtype, device, truth)
    return replace(report, dtype=dtype, device=device)


def _find_misfit(question: Question) -> str | None:
    expected, given = question.shape(question.layout), question.claim.shape
    if expected == given:
        return None
    return f"the claim has shape {write_shape(given)}, but the {question.layout} layout has {write_shape(expected)}"


# --- points ---------------------------------------------------------------------------------------


def search_points(
    question: Question, seed: int, dtype: str, device: str, symmetric: Iterable[str] = ()
) -> PointSearch:
    """Return the search for points at which the question can be asked, some matrices symmetric where asked."""
    import torch

    from matcalc.check.sample import PointSearch

    return PointSearch(
        question.function.root, question.names,
        seed=seed, shape=question.shape("torch"), dtype=getattr(torch, dtype), device=device, symmetric=symmetric,
    )  # fmt: skip


def _judge_at_points(
    question: Question, trials: int, seed: int, dtype: str, device: str, truth: str
) -> CheckReport:
    from matcalc.check.compare import summarize

    search = search_points(question, seed, dtype, device)
    comparisons: list[Comparison] = []
    found: Comparison | str = ""
    for trial in search.list_trials(trials):
        try:
            found = _compare_at_some_point(question, search, trial)
        except (MatcalcError, RuntimeError) as error:
            found = getattr(error, "reason", str(error))
        if isinstance(found, str):
            break
        comparisons.append(found)
    reason = found if isinstance(found, str) else ""
    # A claim without a value at most points is not confirmed by the few where it has one.
    if len(comparisons) < trials and search.objection and all(one.is_small for one in comparisons):
        comparisons = []
    report = summarize(comparisons, reason, truth, seed=seed, layout=question.layout)
    if not report or not search.objection:
        return report
    return replace(report, notes=(f"at some points it could not be tried: {search.objection}",))


def _compare_at_some_point(question: Question, search: PointSearch, trial: int) -> Comparison | str:
    """Return the comparison at the first point where truth and claim are finite, or why there is none."""
    from matcalc.check.compare import compare
    from matcalc.check.conditions import Trouble, names_below
    from matcalc.check.sample import NoPoint

    while not isinstance(point := search.find(trial), NoPoint):
        if excess := find_excess(question, point):
            return excess
        reason = "the derivative or the claim is not finite"
        try:
            comparison = compare(lambda values: question.compute_both(values, point), point, trial + 1)
            if comparison is not None:
                return _explain_by_kink(question, point, comparison) or comparison
        except MatcalcError as error:
            reason = error.reason
        search.reject(Trouble(reason, names_below(question.claim.root or question.function.root)))
    return point.reason


def _explain_by_kink(question: Question, point: Point, comparison: Comparison) -> str | None:
    """Return the kink that lets truth and claim differ at a point where there is no derivative, if any."""
    if comparison.is_small:
        return None
    return question.function.find_hidden_kink(point)


def find_excess(question: Question, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    entries = math.prod(size.value(point.sizes) for size in question.shape("torch"))
    passes = entries // math.prod(size.value(point.sizes) for size in question.wrt.dropped_shape)
    if entries > MAX_ENTRIES:
        return f"the derivative has {entries} entries, more than {MAX_ENTRIES}"
    if passes > MAX_PASSES:
        return f"the derivative needs {passes} passes of autograd, more than {MAX_PASSES}"
    return None
