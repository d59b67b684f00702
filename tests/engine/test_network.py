"""Fused axes: what stacks columns prints kron, vec and the commutation matrix, and means it."""

from __future__ import annotations

import pytest

import matcalc
from matcalc.engine.index_form import Graph
from matcalc.engine.network import closed_chain
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse
from tests.engine.index_graphs import M, N, multiply, variable, write


@pytest.mark.parametrize(
    ("text", "wrt", "expected"),
    [
        ("A @ X @ B", "X", "kron(B.T, A)"),
        ("X", "X", "eye(k*n)"),
        ("X.T", "X", "commutation(n, k)"),
        ("inv(X)", "X", "-kron(inv(X).T, inv(X))"),
        ("A @ x", "x", "A"),
        ("trace(A @ X)", "X", "vec(A.T).T"),
        ("x @ x.T @ a", "a", "x @ x.T"),
    ],
)
def test_vec_layout_prints_products_of_kronecker(text: str, wrt: str, expected: str) -> None:
    derivative = matcalc.derive(text, wrt, layout="vec")
    assert str(derivative) == expected
    assert derivative.check().verdict == "agrees"


def test_two_columns_are_stacked_as_kron() -> None:
    graph = Graph()
    a, b = variable(graph, "a", "m"), variable(graph, "b", "n")
    assert write(graph, multiply(graph, "Iij,i,j->I", graph.fuse(M, N), a, b)) == "kron(a, b)"


def test_a_matrix_is_stacked_as_vec() -> None:
    graph = Graph()
    a = variable(graph, "A", "m", "n")
    assert write(graph, multiply(graph, "Iji,ij->I", graph.fuse(N, M), a)) == "vec(A)"


def test_columns_on_a_stacked_matrix_are_kept() -> None:
    graph = Graph()
    a, x, y = variable(graph, "A", "m", "n"), variable(graph, "x", "m"), variable(graph, "y", "n")
    stacked = multiply(graph, "Iji,ij,i,j->I", graph.fuse(N, M), a, x, y)
    assert write(graph, stacked) == "vec(diag(x) @ A @ diag(y))"


@pytest.mark.parametrize("text", ["kron(A, X)", "kron(X, A)", "kron(X, x)", "vec(X @ A)", "kron(x.T, X)", "vec(X.T)"])
@pytest.mark.parametrize("layout", ["numerator", "vec"])
def test_kron_and_vec_are_differentiated(text: str, layout: str) -> None:
    assert matcalc.derive(text, "X", layout=layout).check().verdict == "agrees"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["A", "ones(n)"], "sum(A, axis=1)"),
        (["A.T", "ones(m)"], "sum(A, axis=0)"),
        (["x.T", "ones(n)"], "x.T @ ones(n)"),
        (["A", "x"], "A @ x"),
        (["A", "B", "ones(k)"], "A @ B @ ones(k)"),
    ],
)
def test_a_matrix_before_ones_is_summed_along_its_rows(texts: list[str], expected: str) -> None:
    shapes = {"A": ("m", "n"), "B": ("n", "k"), "x": ("n",)}
    items = [parse(text, shapes=shapes).expressions[0] for text in texts]
    assert to_text(closed_chain(items)) == expected
