"""Matrix forms that books have: no einsum, and no longer than in the book."""

from __future__ import annotations

import pytest

import matcalc

VECTORISED = [
    ("matrix_power(X, 4)", "X",
     "kron(X.T, X @ X) + kron(eye(n), X @ X @ X) + kron(X.T @ X.T, X) + kron(X.T @ X.T @ X.T, eye(n))"),
    ("inv(eye(n) + X) @ (eye(n) - X)", "X", "-2*kron(inv(eye(n) + X).T, inv(eye(n) + X))"),
    ("kron(A, X)", "X", "kron(kron(eye(q), commutation(k, p)), eye(n)) @ kron(vec(A), eye(k*n))"),
    ("kron(X, A)", "X", "kron(kron(eye(k), commutation(q, n)), eye(p)) @ kron(eye(k*n), vec(A))"),
    ("sqrtm(X)", "X", "inv(kron(eye(n), sqrtm(X)) + kron(sqrtm(X).T, eye(n)))"),
    ("vec(diag(a) @ X @ diag(a))", "a",
     "diag(vec(X @ diag(a))) @ kron(ones(n), eye(n)) + diag(vec(diag(a) @ X)) @ kron(eye(n), ones(n))"),
    ("diag(a) @ X @ diag(a)", "X", "diag(kron(a, a))"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "answer"), VECTORISED)
def test_vectorised_terms_are_kronecker_products(text: str, wrt: str, answer: str) -> None:
    derivative = matcalc.derive(text, wrt, layout="vec")
    assert str(derivative) == answer
    assert derivative.check().verdict == "agrees"


HESSIANS = [
    ("det(X)", "det(X)*(vec(inv(X).T) @ vec(inv(X).T).T - kron(inv(X), inv(X).T) @ commutation(n, n))"),
    ("logdet(X)", "-kron(inv(X), inv(X).T) @ commutation(n, n)"),
]


@pytest.mark.parametrize(("text", "answer"), HESSIANS)
def test_hessians_by_a_matrix_are_kronecker_products(text: str, answer: str) -> None:
    assert str(matcalc.derive(text, "X", order=2, layout="vec")) == answer


def test_every_term_of_a_hessian_is_a_kronecker_product() -> None:
    text = str(matcalc.derive("trace(A @ matrix_power(X, 3))", "X", order=2, layout="vec"))
    assert "einsum" not in text
    assert text.count("kron(") == 6


SHORT = [
    ("-sum(y*log_softmax(U @ tanh(W @ x)))", "W",
     "((1 - tanh(W @ x)**2)*(U.T @ (sum(y)*softmax(U @ tanh(W @ x)) - y))) @ x.T"),
    ("a.T @ (K*(Y.T @ Y)) @ a", "a", "((K + K.T)*(Y.T @ Y)) @ a"),
    ("sum(log(cosh(x.T @ W1)))", "x", "W1 @ tanh(W1.T @ x)"),
    ("sum(G*(softmax(Q @ K.T, axis=1) @ V))", "Q",
     "(softmax(Q @ K.T, axis=1)*(G @ V.T - sum(softmax(Q @ K.T, axis=1)*(G @ V.T), axis=1, keepdims=True))) @ K"),
    ("norm(y - X @ w)**2", "w", "-2*X.T @ (y - X @ w)"),  # the reader's own difference stays
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "answer"), SHORT)
def test_what_terms_share_is_taken_out(text: str, wrt: str, answer: str) -> None:
    assert str(matcalc.derive(text, wrt, layout="denominator")) == answer


def test_the_weights_of_a_distribution_sum_to_one_inside_a_network() -> None:
    text = "-sum(y*log(softmax(U @ tanh(W @ x))))"
    derivative = matcalc.derive(text, "W", layout="denominator", assume={"y": "simplex"})
    assert str(derivative) == "((1 - tanh(W @ x)**2)*(U.T @ (softmax(U @ tanh(W @ x)) - y))) @ x.T"


def test_both_ways_to_sum_along_an_axis_are_one_form() -> None:
    first, second = (str(matcalc.derive(text, "Z")) for text in ("sum(Z.T**2, axis=0).T", "sum(Z**2, axis=1)"))
    assert first == second


def test_summed_indices_are_matched_one_to_one() -> None:
    """A summed index of one term must not be taken for an axis that stands there in another."""
    derivative = matcalc.derive("logdet(X + x @ x.T)", order=("X", "x"), layout="vec")
    assert derivative.check().verdict == "agrees"
