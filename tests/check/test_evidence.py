"""The numbers behind a report, and points at sizes that a reader chooses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import matcalc
from matcalc.errors import DeclarationError


def test_a_wrong_claim_shows_both_jacobians_at_its_worst_entry():
    report = matcalc.check("x.T @ A @ x", "2*A @ x", layout="denominator", shapes={"A": ("n", "n")})
    found = report.jacobians()
    assert found is not None
    assert found.worst == report.worst.index
    assert found.point == report.worst.point
    assert found.sizes == report.sizes
    assert float(found.truth[found.worst]) == pytest.approx(report.worst.expected, rel=1e-14)
    assert float(found.claim[found.worst]) == pytest.approx(report.worst.got, rel=1e-14)
    assert int((found.truth - found.claim).abs().argmax()) == found.worst[0]


def test_a_claim_of_another_shape_keeps_its_shape():
    found = matcalc.check("A @ x", "A", layout="denominator").jacobians()
    assert found is not None
    assert found.worst is None
    assert tuple(found.claim.shape) == tuple(found.truth.shape)[::-1]
    assert torch.equal(found.claim.T, found.truth)


def test_a_claim_that_agrees_has_no_worst_entry():
    found = matcalc.derive("softmax(x)").check().jacobians()
    assert found is not None
    assert found.worst is None
    assert torch.allclose(found.claim, found.truth)


def test_what_could_not_be_checked_has_no_numbers():
    report = matcalc.check("sum(sqrt(x))", "ones(n)/(2*sqrt(x))", assume="x: positive", trials=0)
    assert report.verdict == "could not check"
    assert report.jacobians() is None


def test_code_has_numbers_too():
    found = matcalc.check(lambda x: torch.logsumexp(x, 0), "2*softmax(x)", layout="denominator").jacobians()
    assert found is not None
    assert torch.allclose(found.claim, 2 * found.truth)


def test_numbers_are_no_part_of_the_data():
    report = matcalc.check("A @ x", "2*A")
    assert not {"evidence", "page"} & set(report.to_dict())
    assert "evidence" not in repr(report)
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("A @ X @ B", {"m": 2, "n": 3, "k": 4, "l": 5}), ("softmax(x)", {"n": 6}), ("logdet(X)", {"n": 4})],
)
def test_a_point_has_the_chosen_sizes(text, sizes):
    derivative = matcalc.derive(text)
    jacobian = derivative.evaluate(derivative.draw_point(sizes))
    assert jacobian.shape == tuple(size.value(sizes) for size in derivative.shape)


def test_a_point_lies_where_the_function_is_defined():
    values = matcalc.derive("sum(log(x))").draw_point({"n": 50})
    assert (values["x"] > 0).all()
    assert np.linalg.det(matcalc.derive("logdet(X)").draw_point({"n": 4})["X"]) > 0


def test_a_point_depends_on_its_seed_alone():
    derivative = matcalc.derive("A @ x")
    first, again, other = (derivative.draw_point({"m": 2, "n": 3}, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first["A"], again["A"])
    assert not np.array_equal(first["A"], other["A"])


def test_an_abstract_function_gets_a_stand_in():
    derivative = matcalc.derive("u(x)*x", shapes={"u": ("n",)})
    assert derivative.evaluate(derivative.draw_point({"n": 3})).shape == (3, 3)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"q": 3}, "there is no size q; there are m, n"),
        ({"m": 0}, "the size m is a whole number from 1 on, not 0"),
        ({"m": True}, "the size m is a whole number from 1 on, not True"),
        ({"m": 10_000, "n": 1_000}, "an array would have 10000000 entries, more than 1000000"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, sentence):
    with pytest.raises(DeclarationError, match=sentence):
        matcalc.derive("A @ x").draw_point(sizes)


# --- what was declared stays what it was -----------------------------------------------------------

ROW = {"A": ("1", "n"), "x": ("n",)}


def test_a_declared_row_is_a_row_for_the_judge_as_well():
    derivative = matcalc.derive("sum(A*x)", "x", shapes=ROW, layout="denominator")
    assert derivative.declaration.endswith("A: (1, n)   x: (n,)   f: scalar")
    assert derivative.check().verdict == "agrees"
    assert "--vars 'A: 1,n; x: n'" in derivative.check().command
    assert matcalc.check("sum(A*x)", derivative, "x", shapes=ROW, layout="denominator").verdict == "agrees"
    assert matcalc.check("sum(A*x)", "A.T", "x", shapes=ROW, layout="denominator").verdict == "differs"
    code = matcalc.check(lambda x, A: (A * x[:, None]).sum(), "sum(A)*ones(n)", "x", shapes=ROW, layout="denominator")
    assert code.verdict == "agrees"
    backward = matcalc.check_backward(lambda A, x: (A * x[:, None]).sum(), "sum(A*x)", shapes=ROW)
    assert backward.verdict == "agrees"


def test_a_declared_row_can_be_read_again():
    assert matcalc.derive("A @ X @ B", shapes={"A": "1, n"}).check().verdict == "agrees"


def test_what_cannot_be_read_again_could_not_be_checked_and_still_shows_its_card():
    derivative = matcalc.derive("sum(x)", shapes={"x": "m, m, m"}, order=3)
    report = derivative.check()
    assert (report.verdict, report.jacobians()) == ("could not check", None)
    assert "cannot be read again: zeros takes at most 8 sizes" in report.message
    assert "? could not check" in derivative._repr_html_()


@pytest.fixture
def own_rules(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[third]\ncall = "third(x)"\ndefine = "x**3"\n[both]\ncall = "both(x)"\ndefine = "third(x) + x"\n')
    return str(path)


def test_rules_of_ones_own_that_call_each_other_hold_in_code_numbers_and_command(own_rules):
    derivative = matcalc.derive("sum(both(A @ x))", "x", rules=own_rules)
    report = derivative.in_layout("denominator").check()
    assert report.verdict == "agrees"
    assert report.jacobians() is not None
    assert f"--rules {own_rules}" in report.command
    assert "def derivative_of_f" in derivative.code("numpy")
    assert "class Formula" in derivative.autograd_function()
    assert str(matcalc.derive("both(x)*both(y)", "y", rules=own_rules, shapes={"x": (), "y": ()}).to_sympy())
