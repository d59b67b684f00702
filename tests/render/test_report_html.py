"""The page of a check: verdict, claim beside truth, both Jacobians, the worst entry, and no text that becomes a tag."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

import matcalc
from matcalc.check.data_parallel import DataParallelReport
from matcalc.check.report import CheckReport, could_not_check
from matcalc.language.text_to_expression import parse
from matcalc.render.report_html import QuestionNames, write_backward_html, write_check_html, write_data_parallel_html
from tests.check.test_backward import Softmax
from tests.render.read_html import Page, open_pictures
from tests.render.test_heat_map import find_frame, list_texts

NASTY = "<img src=x onerror=alert(1)> & $x$ \\(y\\)"
SQUARE = {"A": ("n", "n"), "x": ("n",), "b": ("n",)}


def judge(expr: object, claim: object, wrt: str | None = None, **options: object) -> CheckReport:
    return matcalc.check(expr, claim, wrt, **options)


def show(expr: object, claim: object, wrt: str | None = None, **options: object) -> Page:
    return Page(judge(expr, claim, wrt, **options)._repr_html_())


def read_map(report: CheckReport) -> str:
    found = re.search(r"<svg.*?</svg>", open_pictures(report._repr_html_()))
    assert found is not None
    return found[0]


# --- what is said ---------------------------------------------------------------------------------


def test_a_wrong_claim_stands_beside_the_truth():
    page = show("norm(A@x - b)**2", "2*A@(A@x - b)", layout="denominator", shapes=SQUARE)
    assert "✗ differs Right only if A is symmetric, which is not assumed." in page.text
    assert page.mathematics == [
        r"\displaystyle f = \left\| A x - b \right\|^{2}",
        r"\displaystyle \frac{\partial f}{\partial x} = 2 A (A x - b)",
        r"\displaystyle 2 A^\top (A x - b)",
    ]
    assert "symmetric-only" in page.text
    assert "denominator layout, n = 5, 3 points, the worst at point 2, seed 0" in page.text
    assert "matcalc check 'norm(A@x - b)**2'" in page.text
    assert page.folds == ["both Jacobians in numbers", "repeat this check"]


def test_the_worst_entry_is_framed_and_named():
    report = judge("norm(A@x - b)**2", "2*A@(A@x - b)", layout="denominator", shapes=SQUARE)
    assert report.worst is not None
    (place,) = report.worst.index
    assert find_frame(read_map(report)) == [(0.5, place + 0.5)] * 2
    told = f"entry [{place}] should be {report.worst.expected:.6g}, is {report.worst.got:.6g}"
    assert told in Page(report._repr_html_()).text


def test_a_worst_entry_beyond_what_is_drawn_is_not_called_framed():
    shapes = {"A": (150, 2), "x": (2,), "c": (150,)}
    report = judge("A @ x", "diag(c) @ A", "x", shapes=shapes)
    assert report.worst is not None
    assert report.worst.index[0] > 100
    told = Page(report._repr_html_()).text
    assert f"the worst, beyond what is drawn: entry {list(report.worst.index)} should be" in told
    assert find_frame(read_map(report)) == []


def test_the_maps_hold_the_numbers_that_the_report_computes():
    report = judge("A @ x", "2*A")
    found = report.jacobians()
    assert found is not None
    texts = list_texts(read_map(report))
    assert {f"{value:.3g}".replace("-", "−") for value in found.truth.flatten().tolist()} <= set(texts)
    assert {f"{value:.3g}".replace("-", "−") for value in found.claim.flatten().tolist()} <= set(texts)


def test_other_shapes_show_at_once():
    report = judge("A @ x", "A", layout="denominator")
    texts = list_texts(read_map(report))
    assert {"should be, shape (5, 2)", "claim, shape (2, 5)"} <= set(texts)
    assert {"x axis 0, n = 5", "y axis 0, m = 2"} <= set(texts)
    page = Page(report._repr_html_())
    assert "layout transpose shape" in page.text
    assert "the worst, framed" not in page.text


def test_a_missing_term_is_named():
    page = show("softmax(x)", "diag(softmax(x))")
    assert "missing-softmax(x) @ softmax(x).T" in page.text


def test_a_right_claim_folds_its_numbers():
    html = judge("A @ x", "A")._repr_html_()
    assert "✓ agrees: exactly equal in SymPy at m, n = 2, 3 and 3, 2; agrees with torch.autograd." in Page(html).text
    assert "<details open>" not in html
    assert "correct" not in Page(html).text
    assert find_frame(read_map(judge("A @ x", "A"))) == []


def test_a_wrong_claim_opens_its_numbers():
    assert "<details open><summary>both Jacobians" in judge("A @ x", "2*A")._repr_html_()


def test_the_right_derivative_is_text_where_no_expression_is_given():
    report = judge("A @ x", "2*A")
    assert "correctA" in Page(write_check_html(report)).text
    expression = parse("A @ x").expressions[0].args[0]
    assert r"\displaystyle A" in Page(write_check_html(report, expression)).mathematics


def test_a_claim_whose_own_shapes_do_not_fit_has_no_numbers():
    page = show("sum(x)", "x @ ones(3)")
    assert "✗ differs The shapes in the claim do not fit" in page.text
    assert "  ^^^^^^^^^^^" in page.text
    assert page.count("svg") == 0


def test_what_could_not_be_checked_says_so():
    page = Page(write_check_html(could_not_check("torch is not installed", layout="numerator")))
    assert "? could not check torch is not installed" in page.text
    assert page.count("svg") == page.count("table") == 0


# --- code -----------------------------------------------------------------------------------------


def test_a_function_that_is_code_is_not_shown_as_its_first_argument():
    page = show(lambda x: torch.softmax(x, 0), "diag(softmax(x)) - softmax(x) @ softmax(x).T")
    assert "functionPython code" in page.text
    assert r"\displaystyle y = x" not in page.mathematics
    assert any(text.startswith(r"\displaystyle \frac{\partial y}{\partial x} = ") for text in page.mathematics)


def test_a_claim_that_is_code_is_called_so():
    page = show("A @ x", lambda A, x: 2 * A, "x", shapes={"A": ("m", "n"), "x": ("n",)})
    assert "as Python code computes it" in page.text
    assert "✗ differs" in page.text


# --- rows and columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "wrt", "layout", "order", "split"),
    [
        ("A @ x", "x", "numerator", 1, 1), ("A @ x", "x", "denominator", 1, 1), ("sum(x)", "x", "numerator", 1, 0),
        ("sum(x)", "x", "denominator", 1, 1), ("sum(X)", "X", "numerator", 1, 1), ("A @ X", "X", "numerator", 1, 2),
        ("A @ X @ b", "X", "numerator", 1, 1), ("A @ X @ b", "X", "denominator", 1, 2), ("A @ X", "X", "vec", 1, 1),
        ("sum(x)", "x", "vec", 1, 0), ("alpha*x", "alpha", "numerator", 1, 1), ("x.T @ A @ x", "x", "torch", 2, 1),
        ("alpha**2", "alpha", "numerator", 1, 0),
    ],
)  # fmt: skip
def test_rows_are_the_axes_that_come_first(expr, wrt, layout, order, split):
    derivative = matcalc.derive(expr, wrt, layout=layout, order=order)
    report = derivative.check()
    assert report.evidence is not None
    asked = QuestionNames(report.evidence.question)
    assert asked.split == split
    rows, columns = asked.label(report.sizes)
    count = sum(len(text.split(mark)) for text, mark in ((rows, "\n"), (columns, "; ")) if text)
    assert count == len(derivative.shape)


def test_derivatives_of_any_rank_have_a_page():
    for expr, wrt, options in (
        ("A @ X @ B", "X", {}), ("A @ X @ B", "X", {"layout": "vec"}), ("alpha**2", "alpha", {}),
        ("x.T @ A @ x", "x", {"order": 2}), ("trace(X @ X @ X)", "X", {"order": 2}),
        ("x.T @ A @ y", None, {"order": ("x", "y")}),
    ):  # fmt: skip
        page = Page(matcalc.derive(expr, wrt, **options).check()._repr_html_())
        assert "✓ agrees" in page.text
        assert page.count("svg") == 1


# --- several parts --------------------------------------------------------------------------------


def test_a_backward_pass_has_a_row_for_value_and_inputs():
    report = matcalc.check_backward(Softmax, "softmax(x)")
    page = Page(write_backward_html(report))
    assert "forward✓ agreeswith the formula at 3 points" in page.text
    assert "It should be (diag(softmax(x)) - softmax(x) @ softmax(x).T) @ grad_output" in page.text
    assert page.folds[0] == "forward"
    assert "x" in page.folds
    assert page.text.index("✗ differs") < page.text.index("forward"), "the verdict over all stands first"


def test_a_data_parallel_report_has_a_row_for_each_parameter():
    part = CheckReport("differs", ("factor",), message=f"differs: {NASTY}", correct="2*w")
    whole = DataParallelReport(
        "differs", ("factor",), message="differs: by 1/2", processes=4, batch="m", parameters={"w": part, "b": part}
    )
    page = Page(write_data_parallel_html(whole))
    assert "✗ differs by 1/2" in page.text
    assert "4 processes, each with m/4 samples" in page.text
    assert page.folds[:1] == ["w"]
    assert page.count("img") == 0


# --- texts of others ------------------------------------------------------------------------------


def test_no_text_of_a_report_becomes_a_tag_or_mathematics():
    report = replace(
        judge("A @ x", "2*A"), message=f"differs. {NASTY}", correct=NASTY, missing=NASTY, extra=NASTY, command=NASTY,
        notes=(NASTY, f"two\n{NASTY}"), reasons=(NASTY,), sizes={NASTY: 3}, layout=NASTY,
    )  # fmt: skip
    page = Page(write_check_html(report))
    assert page.count("img") == 0
    assert page.text.count(NASTY) == 10
    assert page.mathematics == Page(write_check_html(judge("A @ x", "2*A"))).mathematics


def test_pages_stay_small():
    report = judge("A @ X @ B", "einsum('ia,jb->ijba', A, B)", "X",
                   shapes={"A": ("m", "n"), "X": ("n", "n"), "B": ("n", "n")})  # fmt: skip
    assert len(report._repr_html_()) < 25_000
