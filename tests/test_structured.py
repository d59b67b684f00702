"""Derivatives as operators: each agrees with its entries, holds few numbers, and solves by its structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matcalc
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.structured import StructuredArray
from tests.requirements import needs

CASES: list[tuple[str, str, int, str]] = [
    ("exp(x)", "x", 1, "diagonal"),
    ("softmax(x)", "x", 1, "diagonal + rank 1"),
    ("layer_norm(x)", "x", 1, "diagonal + rank 1"),
    ("sum(x**2) + (x.T @ y)**2", "x", 2, "rank 1 + diagonal"),
    ("sum(X**3)", "X", 2, "diagonal"),
    ("A @ X", "X", 1, "Kronecker product"),
    ("A @ X @ B", "X", 1, "Kronecker product"),
    ("inv(X)", "X", 1, "Kronecker product"),
    ("norm(U @ V.T - M)**2", "U", 2, "Kronecker product"),
    ("sum(exp(X @ v))", "X", 2, "Kronecker product"),
    ("sum(logsumexp(X @ W, axis=1))", "W", 2, "blocks on the diagonal + dense"),
    ("diag(x)", "x", 1, "blocks on the diagonal"),
    ("X.T", "X", 1, "blocks on the diagonal"),
    ("sum(softplus(A @ x))", "x", 2, "rank 2"),
    ("norm(V @ tanh(W @ x) - y)**2", "x", 2, "dense"),
    ("x.T @ A @ x", "x", 1, "dense"),
    ("exp(X)*A**2", "X", 1, "diagonal"),
]


def compile_both(text: str, wrt: str, order: int) -> tuple[StructuredArray, np.ndarray]:
    derivative = matcalc.derive(text, wrt, order=order, layout="torch")
    point = derivative.draw_point()
    return derivative.compile(form="structured")(**point), derivative.compile()(**point)


@pytest.mark.parametrize(("text", "wrt", "order", "structure"), CASES)
def test_operator_agrees_with_its_entries(text: str, wrt: str, order: int, structure: str) -> None:
    operator, dense = compile_both(text, wrt, order)
    assert operator.structure == structure
    assert operator.shape == dense.shape
    rng, rank = np.random.default_rng(0), len(operator.columns)
    left, right = (rng.standard_normal(shape) for shape in (dense.shape[:-rank], dense.shape[-rank:]))
    assert np.allclose(operator.dense(), dense)
    assert np.allclose(operator @ right, np.tensordot(dense, right, rank))
    assert np.allclose(operator @ right.ravel(), np.tensordot(dense, right, rank))
    assert np.allclose(operator.T @ left, np.tensordot(left, dense, left.ndim))
    if left.shape == right.shape:
        matrix = dense.reshape(left.size, -1)
        assert np.allclose(operator.diagonal().ravel(), np.diag(matrix))
        if np.linalg.cond(matrix) < 1e8:
            assert np.allclose(matrix @ operator.solve(left).ravel(), left.ravel())


@pytest.mark.parametrize(
    ("text", "wrt", "order"),
    [("exp(x)", "x", 1), ("layer_norm(x)", "x", 1), ("norm(U @ V.T - M)**2", "U", 2), ("sum(exp(X @ v))", "X", 2)],
)
def test_nothing_of_the_size_of_the_entries_is_formed(
    text: str, wrt: str, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = {"n": 40, "k": 7, "m": 40, "p": 9}
    derivative = matcalc.derive(text, wrt, order=order, layout="torch")
    sizes = {letter: letters[letter] for letter in derivative.letters}
    operator = derivative.compile(form="structured")(**derivative.draw_point(sizes))
    held = sum(np.size(array) for term in operator.terms for array, _ in term.factors)
    entries = int(np.prod(operator.shape))
    assert held * 10 < entries
    assert operator.entries.endswith(f" of {entries} entries")
    monkeypatch.setattr(StructuredArray, "dense", lambda self: pytest.fail("the entries were formed"))
    columns = operator.shape[len(operator.rows):]
    assert (operator @ np.ones(columns)).shape == operator.shape[: len(operator.rows)]
    assert operator.diagonal().shape == columns


@pytest.mark.parametrize("text", ["exp(x)", "x/(1 + x.T @ x)"])
def test_diagonal_and_low_rank_are_solved_without_entries(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operator, dense = compile_both(text, "x", 1)
    monkeypatch.setattr(StructuredArray, "dense", lambda self: pytest.fail("the entries were formed"))
    assert np.allclose(dense @ operator.solve(np.ones(len(dense))), 1)


def test_sizes_that_no_array_tells_come_from_the_arguments() -> None:
    operator = matcalc.derive("ones(m) @ x.T", layout="torch").compile(form="structured")(np.ones(3), 2)
    assert operator.shape == (2, 3, 3)
    assert np.array_equal(operator @ np.arange(3.0), np.tile(np.arange(3.0), (2, 1)))


def test_sizes_are_found_once_for_each_combination_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    from matcalc import structured

    asked: list[Any] = []
    find = structured._find_sizes
    monkeypatch.setattr(structured, "_find_sizes", lambda *given: asked.append(given) or find(*given))
    function = matcalc.derive("norm(U @ V.T - M)**2", "U", order=2, layout="torch").compile(form="structured")
    U, V, M = np.ones((4, 2)), np.ones((50, 2)), np.ones((4, 50))
    for _ in range(3):
        operator = function(U=U, V=V, M=M)
    assert len(asked) == 1
    assert operator.entries == "4 of 64 entries"  # V.T @ V, not V twice


@needs("scipy")
def test_linear_operator_of_scipy() -> None:
    import scipy.sparse.linalg

    operator, dense = compile_both("x/(1 + x.T @ x)", "x", 1)
    linear = operator.as_linear_operator()
    assert linear.shape == dense.shape
    solved, status = scipy.sparse.linalg.gmres(linear, np.ones(len(dense)), rtol=1e-12)
    assert status == 0
    assert np.allclose(dense @ solved, 1)
    assert np.allclose(linear.T @ np.ones(len(dense)), dense.T @ np.ones(len(dense)))


def test_what_does_not_fit_is_refused() -> None:
    operator, _ = compile_both("A @ x", "x", 1)
    with pytest.raises(EvaluationError, match="the array has shape"):
        operator @ np.ones(99)
    with pytest.raises(EvaluationError, match="only where Y and X have one shape"):
        operator.solve(np.ones(operator.shape[0]))
    derivative: Any = matcalc.derive("A @ x")
    with pytest.raises(DeclarationError, match="no form 'sparse'"):
        derivative.compile(form="sparse")
    with pytest.raises(DeclarationError, match="no structured form for torch"):
        derivative.compile("torch", form="structured")
