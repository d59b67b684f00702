"""A claim that misses a branch is told where it is wrong, and no reading is named that the claim does not need."""

from __future__ import annotations

import pytest

import matcalc

MISSED = [
    ("sum(relu(x))", "ones(n)", "x < 0"),
    ("sum(abs(x))", "ones(n)", "x < 0"),
    ("sum(clip(x, 0, 1.1))", "where(x > 0, 1, 0)", "x > 1.1"),
    ("sum(where(x > 1.1, x**2, x))", "ones(n)", "x > 1.1"),
    ("sum(where(x > 5, x**2, x))", "ones(n)", "x > 5"),
    ("sum(relu6(x))", "where(x > 0, 1, 0)", "x > 6"),
    ("relu(x)", "eye(n)", "x < 0"),
    ("norm(x)*where(norm(x) > 2, 1, 2)", "2*x/norm(x)", "norm(x) > 2"),
    ("x.T@D@x + sum(where(x > 1.1, x**2, x))", "(D+D.T)@x + ones(n)", "x > 1.1"),
    ("sum(hardtanh(x)*y)", "y", "x**2 > 1"),
    ("sum(clip(x, 0, 1))", "ones(n)", "x < 0 or x > 1"),
    ("sum(where(x > 0, where(x < 1, x**2/2, x), x))", "ones(n)", "x > 0 and x < 1"),
]


@pytest.mark.parametrize(("expr", "claim", "where"), MISSED)
def test_a_missed_branch_is_told(expr, claim, where):
    report = matcalc.check(expr, claim, "x", layout="denominator", shapes={"x": ["n"]})
    assert report.verdict == "differs"
    assert f"It is the derivative at some entries, but it is wrong where {where}: at point" in report.message
    assert (report.reasons, report.symmetric) == (("other",), ())


NOT_SYMMETRIC = [
    ("sum(where(x > 1.1, D@x, 0))", "D.T@where(x > 0, 1, 0)"),
    ("x.T@D@x + sum(where(x > 1.4, x**2, x))", "(D+D.T)@x + ones(n)"),
    ("sum(relu(x - 1.2)) + sum(D@x)", "sum(D, axis=0)"),
]


@pytest.mark.parametrize(("expr", "claim"), NOT_SYMMETRIC)
@pytest.mark.parametrize("seed", range(4))
def test_a_symmetry_that_does_not_matter_is_not_asked_for(expr, claim, seed):
    shapes = {"x": ["n"], "D": ["n", "n"]}
    report = matcalc.check(expr, claim, "x", layout="denominator", shapes=shapes, seed=seed, proof="torch")
    assert report.verdict == "differs"
    assert not report.symmetric
    assert "symmetric" not in report.message


NEEDED = [
    ("x.T@D@x", "2*D@x", ("D",)),
    ("sum(where(D@x > 0.1, D@x, 0))", "D@where(D@x > 0.1, 1, 0)", ("D",)),
    ("x.T@A@x + x.T@D@x", "2*A@x + (D + D.T)@x", ("A",)),
    ("x.T@A@D@x", "(A@D + D@A)@x", ("A", "D")),
]


@pytest.mark.parametrize(("expr", "claim", "names"), NEEDED)
def test_a_symmetry_that_matters_is_asked_for(expr, claim, names):
    shapes = {"x": ["n"], "A": ["n", "n"], "D": ["n", "n"]}
    used = {name: shape for name, shape in shapes.items() if name in expr}
    assert matcalc.check(expr, claim, "x", layout="denominator", shapes=used).symmetric == names


def test_a_number_that_is_not_rounded_is_not_told_to_be():
    report = matcalc.check("sum(where(x > 1.3, 0, x**2/2))", "x", layout="denominator")
    assert "rounded" not in report.message
    assert "wrong where x > 1.3" in report.message
