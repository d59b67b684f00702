"""Tiny slips in right formulas are seen, wherever they hide; the same formulas written otherwise agree."""

from __future__ import annotations

import os
import random

import pytest

import matcalc
from matcalc.check.report import NOT_SHOWN
from matcalc.language.text_to_expression import parse
from tests.judge_slips import run
from tests.rewritings import write_otherwise
from tests.sampling import SEED, is_whole


def test_slips_differ_and_rewritings_agree() -> None:
    slips, rewritings = (120, 40) if is_whole() else (16, 6)
    tally = run(slips, rewritings, int(os.environ.get(SEED, "0")))
    assert not tally.wrong
    assert tally.count("slip") == slips
    assert tally.count("rewriting") == rewritings


@pytest.mark.parametrize(
    ("expression", "claim"),
    [
        # right at 2, 3 and 5 of which the usual sizes are made, and elsewhere nearly
        ("sum(X**2)", "2*X*(1 + 0.0000000001*(n - 2)*(n - 3)*(k - 2)*(k - 3))"),
        ("sum(X**2)", "2*X*(1 + 0.0000000001*(n - 2)*(n - 3))"),
        # an entry that the usual sizes do not have
        ("x.T @ x", "2*x + basis(n, 40)"),
        ("x.T @ x", "2*x + 1e-11*basis(n, 4)"),
        ("sum(X**2)", "2*X + 1e-11*basis(n, 5) @ basis(k, 3).T"),
        # a branch that is taken at nearly the right place
        ("sum(relu(x))", "where(x > 1e-12, 1, 0)"),
        ("sum(abs(x - y))", "sign(x - y*1.00000001)"),
        ("sum(relu(A @ x))", "A.T @ where(A @ x > 1e-9, 1, 0)"),
        ("sum(clip(x, 0, 1))", "where(x > 0, 1, 0)*where(x < 1.00000001, 1, 0)"),
        ("sum(max(X, axis=1))", "largest(X + 1e-10*A, axis=1)"),
        # a branch that no point reaches, nor any usual size
        ("sum(x**2)", "where(x > 1e6, 3*x, 2*x)"),
        ("sum(x**2)", "2*x + relu(-x - 1e7)"),
        ("sum(x**2)", "where(size(x) > 50, x, 2*x)"),
        ("sum(x**2)", "2*x*(1 + 1e-11*(trace(eye(n)) - 2)*(sum(ones(n)) - 3))"),
    ],
)
def test_a_slip_that_hides_is_found(expression: str, claim: str) -> None:
    wrt = "X" if "X" in expression else "x"
    report = matcalc.check(expression, claim, wrt, layout="mixed", shapes={"X": ("n", "k"), "x": ("n",)})
    assert report.verdict == "differs", report.message


@pytest.mark.parametrize(
    ("expression", "claim"),
    [
        ("sum(relu(x))", "where(x >= 0, 1, 0)"),
        ("sum(abs(x))", "where(x > 0, 1, -1)"),
        ("basis(n, 4).T @ x", "basis(n, 4)"),
        ("sum(basis(n, 6))*sum(x)", "ones(n)"),
        ("mean(x**2)*(n - 1)", "2*(n - 1)/n*x"),
    ],
)
def test_what_is_no_slip_agrees(expression: str, claim: str) -> None:
    report = matcalc.check(expression, claim, "x", layout="mixed", shapes={"x": ("n",)})
    assert report.exact
    assert report.verdict == "agrees", report.message


@pytest.mark.parametrize(
    ("factor", "verdict"), [("1", "agrees"), ("1.0000000001", "differs"), ("0.99999999995", "differs")]
)
def test_where_sympy_shows_nothing_numbers_are_compared_to_the_last_digits(factor: str, verdict: str) -> None:
    claim = f"{factor}*expm(X).T"
    report = matcalc.check("trace(expm(X))", claim, "X", layout="denominator", shapes={"X": (3, 3)})
    assert report.exact.verdict == NOT_SHOWN
    assert report.verdict == verdict, report.message


def test_a_place_needs_an_axis_that_has_it() -> None:
    report = matcalc.check("basis(n, 4).T @ X @ x", "X.T @ basis(n, 4)", "x", layout="mixed")
    assert report.verdict == "agrees", report.message
    assert all(sizes["n"] > 4 for sizes in (*report.exact.sizes, report.sizes))


def test_a_branch_at_another_place_is_not_called_a_rounded_number() -> None:
    report = matcalc.check("sum(relu(x))", "where(x > 1e-9, 1, 0)", "x", layout="mixed")
    assert "a branch is taken at another place" in report.message


def test_a_rewriting_is_another_text() -> None:
    choices, text = random.Random(0), "inv(A @ B)*sigmoid(t) + trace(A.T @ B)*A"
    problem = parse(text)
    kinds = {write_otherwise(problem.expressions[0], choices)[0] for _ in range(300)}
    assert {"inverse of a product", "trace cyclic", "sigmoid", "sum reordered", "product transposed"} <= kinds
