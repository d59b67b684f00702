"""Claims that are built to pass: right near 1 and at the usual sizes, wrong far away, near 0, or for other sizes."""

from __future__ import annotations

from typing import Any

import pytest

import matcalc
from matcalc.check.points import choose_other_sizes
from matcalc.check.scales import is_low_polynomial
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse

BUILT = [
    ("x.T @ x", "2*arcsin(sin(x))"),
    ("x.T @ x", "2*x + (x/10)**30"),
    ("x.T @ x", "2*x + sigmoid(50*(x - 3))"),
    ("x.T @ x", "2*x + (n - 2)*(n - 3)*(n - 5)*x"),
    ("x.T @ x", "2*x + (n - 2)*(n - 3)*(n - 5)*(n - 7)*x"),
    ("x.T @ x", "2*x + 1e-6*exp(x - 20)"),
    ("x.T @ x", "2*x + exp(-1000*x**2)"),
    ("x.T @ x", "2*x*(1 + sigmoid(100*(abs(x) - 5)))"),
    ("norm(x)", "x/norm(x) + sigmoid(50*(x - 30))"),
    ("x.T @ A @ x", "(A + A.T) @ x + sigmoid(50*(A @ x - 40))"),
    ("trace(X.T @ X)", "2*X + sigmoid(50*(X - 9))"),
    ("alpha**3", "3*alpha**2 + sigmoid(50*(alpha - 3))"),
    ("alpha**3", "3*alpha**2 + sigmoid(-50*(alpha + 3))"),
    ("sum(exp(A @ x))", "A.T @ exp(A @ x) + 1e-6*exp(-(A.T @ exp(A @ x))**2)"),
    ("sum((x - mu)**2)", "-2*sum(x - mu) + 1e-3*exp(-4*sum(x - mu)**2)"),
]


@pytest.mark.parametrize("proof", ["torch", "both", "exact"])
@pytest.mark.parametrize(("expression", "claim"), BUILT)
def test_a_claim_that_is_built_to_pass_differs(expression: str, claim: str, proof: str) -> None:
    known = {"A": ("n", "n") if "x.T" in expression else ("m", "n"), "x": ("n",), "mu": ()}
    shapes = {name: shape for name, shape in known.items() if name in expression}
    wrt = "mu" if "mu" in expression else None
    report = matcalc.check(expression, claim, wrt, layout="denominator", shapes=shapes, proof=proof)
    assert report.verdict == "differs", report.message


JACOBIANS = [
    ("tanh(x)", "diag(1 - tanh(x)**2 + exp(-1000*x**2))"),
    ("A @ tanh(x)", "diag(1 - tanh(x)**2) @ A.T + sigmoid(50*(x - 30)) @ ones(m).T"),
    ("A @ tanh(x)", "diag(1 - tanh(x)**2) @ A.T + 1e-3*sigmoid(50*(x - 30)) @ (basis(m, 0) - basis(m, 1)).T"),
]


@pytest.mark.parametrize("proof", ["torch", "both"])
@pytest.mark.parametrize(("expression", "claim"), JACOBIANS)
def test_a_wrong_row_differs(expression: str, claim: str, proof: str) -> None:
    """Beyond the usual points the rows of a Jacobian are added before any entry is looked at."""
    test_a_claim_that_is_built_to_pass_differs(expression, claim, proof)


@pytest.mark.parametrize("seed", range(1, 6))
def test_at_every_seed(seed: int) -> None:
    for expression, claim in BUILT[:4]:
        report = matcalc.check(expression, claim, layout="denominator", proof="torch", seed=seed)
        assert report.verdict == "differs", (claim, report.message)


RIGHT = [
    ("logsumexp(x)", "softmax(x)"),
    ("sum(softplus(x))", "sigmoid(x)"),
    ("sum(exp(x))", "exp(x)"),
    ("mean(tanh(x))", "(1 - tanh(x)**2)/n"),
    ("sum(tanh(x))", "1/cosh(x)**2"),
    ("sum(log(cosh(x)))", "tanh(x)"),
    ("norm(x)**4", "4*norm(x)**2*x"),
    ("det(X)", "det(X)*inv(X).T"),
    ("log(det(X.T @ X))", "2*X @ inv(X.T @ X)"),
]


@pytest.mark.parametrize(("expression", "claim"), RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_right_is_right_far_from_1(expression: str, claim: str, seed: int) -> None:
    report = matcalc.check(expression, claim, layout="denominator", proof="torch", seed=seed)
    assert report.verdict == "agrees", report.message
    assert "at 3 points" in report.message


def test_other_sizes_are_other_sizes() -> None:
    n, m = Size.of("n"), Size.of("m")
    for seed in range(20):
        sizes = choose_other_sizes(["m", "n"], seed, (m, n))
        assert not {2, 3, 5} & set(sizes.values())
        assert m.value(sizes) * n.value(sizes) <= 100
    assert choose_other_sizes(["m", "n"], 0, (m, n, m, n)) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A @ x - 2*b", True), ("x.T @ x", True), ("x**4", True), ("x**5", False), ("x/2", True), ("1/x", False),
     ("exp(x)", False), ("x*n", False), ("trace(A)*x", True), ("trace(eye(n))*sum(ones(n))*x", False)],
)  # fmt: skip
def test_what_is_plainly_a_polynomial_of_a_low_degree(text: str, expected: bool) -> None:
    shapes = {"A": ("n", "n"), "x": ("n",), "b": ("n",)}
    (formula,) = parse(text, shapes=shapes).expressions
    assert is_low_polynomial(formula) == expected


@pytest.mark.parametrize("proof", ["torch", "both"])
def test_what_a_large_part_swallows_far_away_is_no_difference(proof: Any) -> None:
    claim = "diag(cosh(x)**2 + sinh(x)**4) + diag(sinh(x)**2) - diag(sinh(x)**4)"
    report = matcalc.check("sinh(x)*cosh(x)", claim, "x", layout="denominator", proof=proof)
    assert report.verdict == "agrees", report.message
