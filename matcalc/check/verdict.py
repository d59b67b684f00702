"""Expression and claimed derivative -> a verdict: agrees, differs, or could not check, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matcalc.check.prove import prove_rule
from matcalc.check.report import DIFFERS, CheckReport, Worst, could_not_check, find_missing
from matcalc.check.rule_texts import rules_in_force
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.sizes import UNIT, Shape, drop_units, write_shape
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.compare import Comparison
    from matcalc.check.sample import Point, PointSearch

__all__ = ["CheckReport", "Worst", "judge", "layout_shape", "prove_rule"]

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")
DTYPES = ("float64", "float32")
MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


@dataclass(frozen=True)
class Question:
    """What is judged: is claim the derivative of expression by wrt, of that order, in that layout?"""

    expression: Expression
    claim: Expression
    wrt: Expression
    layout: str = "numerator"
    order: int = 1

    def shape(self, layout: str) -> Shape:
        """Return the shape of the derivative in a layout, without unit axes."""
        return layout_shape(self.expression.dropped_shape, self.wrt.dropped_shape, layout, self.order)


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
    for what, given, allowed in (("layout", layout, LAYOUTS), ("dtype", dtype, DTYPES)):
        if given not in allowed:
            raise DeclarationError(f"{given!r} is not a {what}", advice="use one of " + ", ".join(allowed))
    question = Question(expression, claim, wrt, layout, order)
    settings: dict[str, Any] = {"seed": seed, "layout": layout}
    misfit = _find_misfit(question)
    if misfit:
        return CheckReport(DIFFERS, ("shape",), message=f"differs: {misfit}", **settings)
    reason = "no points were asked for" if trials < 1 else find_missing(device)
    if reason:
        return could_not_check(reason, **settings)
    with rules_in_force(rules):
        return _judge_at_points(question, trials, seed, dtype, device)


def _find_misfit(question: Question) -> str | None:
    expected, given = question.shape(question.layout), question.claim.dropped_shape
    if expected == given:
        return None
    return f"the claim has shape {write_shape(given)}, but the {question.layout} layout has {write_shape(expected)}"


def layout_shape(shape_y: Shape, shape_x: Shape, layout: str, order: int = 1) -> Shape:
    """Return the shape of a derivative in a layout, without unit axes.

    >>> from matcalc.language.sizes import Size
    >>> m, n, k = (Size.of(letter) for letter in "mnk")
    >>> layout_shape((m,), (n, k), "numerator"), layout_shape((m,), (n, k), "vec")
    ((m, k, n), (m, n*k))
    """
    if layout == "torch" or (layout == "mixed" and not shape_y):
        return shape_y + order * shape_x
    if layout == "vec":
        rows, columns = shape_y + (order - 1) * shape_x, shape_x
        return drop_units((math.prod(rows, start=UNIT), math.prod(columns, start=UNIT)))
    numerator = shape_y + order * shape_x[::-1]
    return numerator[::-1] if layout == "denominator" else numerator


# --- points ---------------------------------------------------------------------------------------


def _judge_at_points(question: Question, trials: int, seed: int, dtype: str, device: str) -> CheckReport:
    import torch

    from matcalc.check.compare import summarize
    from matcalc.check.sample import PointSearch

    search = PointSearch(
        question.expression, (question.claim, question.wrt),
        seed=seed, shape=question.shape("torch"), dtype=getattr(torch, dtype), device=device,
    )  # fmt: skip
    comparisons: list[Comparison] = []
    found: Comparison | str = ""
    for trial in range(trials):
        try:
            found = _compare_at_some_point(question, search, trial)
        except (MatcalcError, RuntimeError) as error:
            found = getattr(error, "reason", str(error))
        if isinstance(found, str):
            break
        comparisons.append(found)
    reason = found if isinstance(found, str) else ""
    return summarize(comparisons, reason, "torch.autograd.functional.jacobian", seed=seed, layout=question.layout)


def _compare_at_some_point(question: Question, search: PointSearch, trial: int) -> Comparison | str:
    """Return the comparison at the first point where truth and claim are finite, or why there is none."""
    from matcalc.check.compare import compare
    from matcalc.check.conditions import Trouble, names_below
    from matcalc.check.sample import NoPoint

    while not isinstance(point := search.find(trial), NoPoint):
        if excess := _find_excess(question, point):
            return excess
        reason = "the derivative or the claim is not finite"
        try:
            comparison = compare(lambda values: _compute_both(question, point, values), point, trial + 1)
            if comparison is not None:
                return _explain_by_kink(question, point, comparison) or comparison
        except MatcalcError as error:
            reason = error.reason
        search.reject(Trouble(reason, names_below(question.claim)))
    return point.reason


def _explain_by_kink(question: Question, point: Point, comparison: Comparison) -> str | None:
    """Return the kink that lets truth and claim differ at a point where there is no derivative, if any."""
    from matcalc.check.compare import TOLERANCES
    from matcalc.check.conditions import find_hidden_kink

    if comparison.error <= TOLERANCES[comparison.dtype]:
        return None
    return find_hidden_kink(question.expression, point.values, point.sizes, point.functions)


def _compute_both(question: Question, point: Point, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the true derivative in the question's layout, and the claim in the same shape."""
    import torch

    from matcalc.check.evaluate_nodes import evaluate
    from matcalc.check.jacobian import arrange, true_derivative

    ranks = len(question.expression.dropped_shape), len(question.wrt.dropped_shape)
    truth = true_derivative(question.expression, question.wrt, values, point.sizes, point.functions, question.order)
    truth = arrange(truth, *ranks, question.order, question.layout)
    with torch.no_grad():
        claim = evaluate(question.claim, values, point.sizes, point.functions)
    return truth, claim.detach().reshape(truth.shape)


def _find_excess(question: Question, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    entries = math.prod(size.value(point.sizes) for size in question.shape("torch"))
    passes = entries // math.prod(size.value(point.sizes) for size in question.wrt.dropped_shape)
    if entries > MAX_ENTRIES:
        return f"the derivative has {entries} entries, more than {MAX_ENTRIES}"
    if passes > MAX_PASSES:
        return f"the derivative needs {passes} passes of autograd, more than {MAX_PASSES}"
    return None
