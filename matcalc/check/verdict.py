"""Expression and claimed derivative -> a verdict: agrees, differs, or could not check, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from matcalc.check.jacobian import JUDGED_LAYOUTS
from matcalc.check.prove import prove_rule
from matcalc.check.question import (
    Evidence,
    ExpressionClaim,
    ExpressionFunction,
    Question,
    find_excess,
    search_points,
)
from matcalc.check.report import (
    AGREES,
    COULD_NOT_CHECK,
    DIFFERENT,
    DIFFERS,
    NOT_SHOWN,
    PROOFS,
    CheckReport,
    ExactProof,
    Worst,
    could_not_check,
    find_missing,
)
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.declarations import name_structure
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Shape, write_shape
from matcalc.language.text_to_expression import rules_in_force
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.compare import Comparison
    from matcalc.check.points import PointSearch

__all__ = ["CheckReport", "Worst", "judge", "judge_question", "prove_rule"]

DTYPES = ("float64", "float32")


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
    proof: str = "both",
) -> CheckReport:
    """Return whether claim is the derivative of expression by wrt in that layout, tried at random points.

    The truth is torch.autograd.functional.jacobian of the expression.  `abstract` may give the shapes of
    abstract functions; the nodes carry them already.  `rules` is the book that the expression was read with.
    Raises DeclarationError for an unknown layout or dtype; all else that goes wrong is "could not check".
    """
    question = Question(ExpressionFunction(expression), ExpressionClaim(claim), wrt, layout, order)
    return judge_question(question, trials=trials, seed=seed, dtype=dtype, device=device, rules=rules, proof=proof)


def judge_question(
    question: Question,
    *,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    rules: RuleBook | None = None,
    truth: str = "torch.autograd.functional.jacobian",
    proof: str = "both",
) -> CheckReport:
    """Return the verdict on a question, tried at random points and compared exactly in SymPy, or one of the two.

    `proof` is "both", "exact", which imports neither torch nor NumPy, "torch" or "none"; where the question has a
    tolerance the numbers alone are compared.  `truth` names in the message what the claim is compared with at the
    points.  Raises DeclarationError for an unknown layout, dtype or proof; all else that goes wrong is
    "could not check".
    """
    refuse_unknown(question.layout, dtype, proof)
    if question.tolerance and proof == "exact":
        raise DeclarationError("an exact proof has no tolerance", advice="leave out rtol and atol, or the proof")
    settings: dict[str, Any] = {"seed": seed, "layout": question.layout, "dtype": dtype, "device": device}
    misfit = _find_misfit(question)
    evidence = Evidence(question, seed, dtype, device, rules)
    if misfit:
        return CheckReport(DIFFERS, ("shape",), message=f"differs: {misfit}", evidence=evidence, **settings)
    if proof == "none":
        return could_not_check("no proof was asked for", **settings)
    return _judge_orientation(question, _judge_value(evidence, trials, truth, proof, settings))


def _judge_value(evidence: Evidence, trials: int, truth: str, proof: str, settings: dict[str, Any]) -> CheckReport:
    question, rules = evidence.question, evidence.rules
    if question.meaning != "free":
        names = [wrt.name for wrt in dict.fromkeys(question.by) if name_structure(wrt)]
        truth = f"{truth} by the independent entries of {' and '.join(names)}"
    exact = None
    if proof != "torch" and not question.tolerance:
        from matcalc.check.exact import prove_exactly

        exact = prove_exactly(question, rules)
    if proof == "exact":
        return _report_exactly(exact, replace(could_not_check("", **settings), evidence=evidence))
    is_fine = exact is not None and exact.verdict == NOT_SHOWN
    report = _judge_by_torch(evidence, trials, truth, settings, is_fine)
    if exact is None:
        return report
    if exact and report.verdict == DIFFERS and report.sizes not in exact.sizes:
        # A claim with n - 2 in it is right where n is 2: which of the two is wrong shows where torch says so.
        from matcalc.check.exact import prove_exactly

        there = prove_exactly(question, rules, at=report.sizes)
        if there.verdict == DIFFERENT:
            return replace(report, exact=there)
    return _join_proofs(exact, report)


def _judge_orientation(question: Question, report: CheckReport) -> CheckReport:
    """Return the report with what is to be said of a row in the place of a column; of a strict question it differs."""
    turn = question.find_turn(question.layout)
    if not turn or not (report or question.strict):
        return report
    report = replace(report, turn=turn)
    if not report or not question.strict:
        return report
    other = "column" if turn == "row" else "row"
    others = [layout for layout in JUDGED_LAYOUTS if layout != "mixed" and not question.find_turn(layout)]
    fits = tuple(layout for layout in others if question.shape(layout) == question.claim.shape)
    message = f"differs. It is the derivative as a {other}; in {question.layout} layout it is a {turn}"
    return replace(report, verdict=DIFFERS, reasons=("orientation",), fits=fits, message=message)


def _judge_by_torch(
    asked: Evidence, trials: int, truth: str, settings: dict[str, Any], fine: bool = False
) -> CheckReport:
    reason = "no points were asked for" if trials < 1 else find_missing(asked.device)
    if reason:
        return could_not_check(reason, **settings)
    from matcalc.check.modes import own_modes

    with rules_in_force(asked.rules), own_modes(asked.dtype, asked.device):
        report = _judge_at_points(asked, trials, truth, fine)
    return replace(report, dtype=asked.dtype, device=asked.device)


# --- both proofs ------------------------------------------------------------------------------------


def _join_proofs(exact: ExactProof, report: CheckReport) -> CheckReport:
    """Return torch's report with what the exact comparison adds; where they contradict each other nothing is proven."""
    report = replace(report, exact=exact)
    if report.verdict == AGREES and exact:
        return replace(report, message=f"{_write_equal(exact)}; {report.message}")
    if report.verdict == AGREES and exact.verdict == DIFFERENT:
        return _report_rounding(exact, report)
    if report.verdict == COULD_NOT_CHECK and (exact or exact.verdict == DIFFERENT):
        told = _write_equal(exact) if exact else f"the claim is not the derivative, as SymPy shows{exact.where}"
        return replace(report, notes=(*report.notes, told))
    if report.verdict == DIFFERS and exact:
        reason = f"{_write_equal(exact)}, but torch {report.message}; please report this as a bug"
        return replace(could_not_check(reason), **_keep(report))
    return report


def _keep(report: CheckReport) -> dict[str, Any]:
    """Return the fields of a report that say what was tried."""
    names = ("max_error", "points", "seed", "layout", "sizes", "domains", "worst", "notes", "dtype", "device", "exact",
             "evidence")  # fmt: skip
    return {name: getattr(report, name) for name in names}


_NEARLY, _LAST_DIGIT = 1e-5, 1e-30


def _report_rounding(exact: ExactProof, report: CheckReport) -> CheckReport:
    """Return the report on a claim that torch cannot tell from the derivative, and that is another formula."""
    if exact.apart < _NEARLY:
        near = f"to {exact.apart:.1g}" if exact.apart > _LAST_DIGIT else "to the last digit"
        agree, reason = near, "numbers in it are rounded, perhaps; write 2/3, not 0.66666667"
    else:
        agree, reason = "at the points", "a branch is taken at another place, perhaps"
    told = f"the formula is not the derivative, as SymPy shows{exact.where}: {reason}."
    message = f"differs. The numbers agree {agree}, but {told}"
    return replace(report, verdict=DIFFERS, reasons=("other",), message=message)


def _report_exactly(exact: ExactProof | None, report: CheckReport) -> CheckReport:
    """Return the verdict of the exact comparison alone."""
    assert exact is not None
    report = replace(report, exact=exact)
    if exact:
        return replace(report, verdict=AGREES, reasons=(), message=_write_equal(exact))
    if exact.verdict == DIFFERENT:
        entry = f"entry {list(exact.index)}" if exact.index else "the value"
        told = f"differs: {entry} is off by {exact.apart:.2g} times the largest, as SymPy shows{exact.where}"
        return replace(report, verdict=DIFFERS, reasons=("other",), message=told)
    shown = f"; they are equal{exact.where}" if exact.sizes else ""
    return replace(could_not_check(f"not shown in SymPy: {exact.reason}{shown}"), **_keep(report))


def _write_equal(exact: ExactProof) -> str:
    return f"exactly equal in SymPy{exact.where}"


def refuse_unknown(layout: str, dtype: str, proof: str = "both") -> None:
    """Raise DeclarationError for a layout, a dtype or a proof that the judge does not know."""
    known = (("layout", layout, JUDGED_LAYOUTS), ("dtype", dtype, DTYPES), ("proof", proof, PROOFS))
    for what, given, allowed in known:
        if given not in allowed:
            raise DeclarationError(f"{given!r} is not a {what}", advice="use one of " + ", ".join(allowed))


def _find_misfit(question: Question) -> str | None:
    expected, given = question.shape(question.layout), question.claim.shape
    if expected == given:
        return None
    return f"the claim has shape {write_shape(given)}, but the {question.layout} layout has {write_shape(expected)}"


# --- points ---------------------------------------------------------------------------------------


def _judge_at_points(asked: Evidence, trials: int, truth: str, fine: bool) -> CheckReport:
    from matcalc.check.compare import find_shown, summarize

    question, seed = asked.question, asked.seed
    search = search_points(question, seed, asked.dtype, asked.device)
    comparisons: list[Comparison] = []
    found: Comparison | str = ""
    for trial in search.list_trials(trials):
        try:
            found = _compare_at_some_point(question, search, trial, fine)
        except (MatcalcError, RuntimeError) as error:
            found = getattr(error, "reason", str(error))
        if isinstance(found, str):
            break
        comparisons.append(found)
    reason = found if isinstance(found, str) else ""
    # A claim without a value at most points is not confirmed by the few where it has one.
    if len(comparisons) < trials and search.objection and all(one.is_small for one in comparisons):
        comparisons = []
    if question.is_code and comparisons and all(one.is_small for one in comparisons):
        comparisons = _look_far(question, comparisons)
    elif comparisons and all(one.is_small for one in comparisons):
        comparisons = _look_beyond(question, search, comparisons)
    report = summarize(comparisons, reason, truth, seed=seed, layout=question.layout)
    if comparisons:
        shown = find_shown(comparisons)
        worst = None if report.worst is None else report.worst.index
        evidence = replace(asked, point=shown.point, number=shown.worst.point, worst=worst)
        report = replace(report, evidence=evidence)
    if not report or not search.objection:
        return report
    return replace(report, notes=(f"at some points it could not be tried: {search.objection}",))


def _look_beyond(question: Question, search: PointSearch, comparisons: list[Comparison]) -> list[Comparison]:
    """Return the comparisons, or the one where the claim is wrong far from 1, at sizes that are not the usual ones."""
    from matcalc.check.points import choose_other_sizes
    from matcalc.check.scales import find_wrong_beyond, is_low_polynomial
    from matcalc.check.torch_values import is_slow

    roots = (question.function.root, *filter(None, [question.claim.root]))
    if is_low_polynomial(*roots) or any(is_slow(node) for node in walk(*roots)):
        return comparisons

    point, number = comparisons[0].point, len(comparisons) + 1
    sizes = choose_other_sizes(search.letters, search.seed, question.shape("torch"))
    point = search.draw_at(sizes, number) if sizes else point
    wrong = find_wrong_beyond(
        question.function.root, question.compute_both, point, number, search.seed, question.tolerance,
        question.compute_sums,
    )
    return comparisons if wrong is None or _is_lost(roots, wrong) else [wrong]


def _is_lost(roots: Iterable[Expression], found: Comparison) -> bool:
    """Whether a part of the formulas is so large at a point that what two derivatives are apart is lost beside it."""
    import torch

    from matcalc.check.compare import ROUNDING_ALLOWED
    from matcalc.check.torch_values import evaluate_all

    point, worst = found.point, found.worst
    with torch.no_grad():
        parts = evaluate_all(tuple(roots), point.values, point.sizes, point.functions).values()
    largest = max((float(part.abs().nan_to_num(0, 0, 0).amax()) for part in parts if part.numel()), default=0.0)
    rounding: float = torch.finfo(found.dtype).eps * largest
    return abs(worst.expected - worst.got) <= ROUNDING_ALLOWED * rounding


def _look_far(question: Question, comparisons: list[Comparison]) -> list[Comparison]:
    """Return the comparisons, or the one where the claim is wrong at another scale: code does not tell its branches."""
    from matcalc.check.scales import find_wrong

    number = len(comparisons) + 1
    wrong = find_wrong(
        question.function.root, question.compute_both, comparisons[0].point, number, question.tolerance
    )
    return comparisons if wrong is None else [wrong]


def _compare_at_some_point(
    question: Question, search: PointSearch, trial: int, fine: bool = False
) -> Comparison | str:
    """Return the comparison at the first point where truth and claim are finite, or why there is none."""
    from matcalc.check.compare import compare_tensors
    from matcalc.check.conditions import Trouble, names_below
    from matcalc.check.points import NoPoint

    while not isinstance(point := search.find(trial), NoPoint):
        if excess := find_excess(question, point):
            return excess
        reason = "the derivative or the claim is not finite"
        try:
            compute = partial(question.compute_both, point)
            is_fine = fine and not question.is_code
            comparison = compare_tensors(compute, point, trial + 1, question.tolerance, fine=is_fine)
            if comparison is not None and comparison.is_small:
                return comparison
            if comparison is not None:
                # At a kink there is no derivative, and truth and claim may differ.
                is_free = question.meaning == "free"
                return (question.function.find_hidden_kink(point) if is_free else None) or comparison
        except MatcalcError as error:
            reason = error.reason
        search.reject(Trouble(reason, names_below(question.claim.root or question.function.root)))
    return point.reason
