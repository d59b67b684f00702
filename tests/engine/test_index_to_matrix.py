"""The way back: products as chains, Hadamard products, diagonals and traces; einsum only where nothing else is true."""

from __future__ import annotations

from functools import reduce

import pytest

import matcalc
from matcalc.engine.index_form import Graph
from matcalc.engine.index_to_matrix import MatrixReader
from matcalc.language.expression import add as add_expressions
from matcalc.language.expression import symbol
from matcalc.language.sizes import Size
from tests.engine.index_graphs import M, N, add, multiply, variable, write


@pytest.mark.parametrize(
    ("subscripts", "names", "expected"),
    [
        ("ij,jk->ik", "AB", "A @ B"),
        ("ij,jk->ki", "AB", "B.T @ A.T"),
        ("ij,j->i", "Ax", "A @ x"),
        ("i,ij->j", "aA", "A.T @ a"),
        ("i,ij,j->", "aAx", "a.T @ A @ x"),
        ("i,j->ij", "ax", "a @ x.T"),
        ("i,ij->ij", "aA", "diag(a) @ A"),
        ("ij,j->ij", "Ax", "A @ diag(x)"),
        ("ij,ij->ij", "AC", "A*C"),
        ("ij,ij->", "AC", "sum(A*C)"),
        ("ij,jk,ki->", "ABD", "trace(D @ A @ B)"),
        ("ij,j,jk->ik", "AxB", "A @ diag(x) @ B"),
        ("i,i->", "xz", "x.T @ z"),
        ("i,i->i", "xz", "x*z"),
        ("ij->i", "A", "sum(A, axis=1)"),
        ("ij->j", "A", "sum(A, axis=0)"),
        ("ij->", "A", "sum(A)"),
        ("ii->i", "S", "diag(S)"),
        ("ii->", "S", "trace(S)"),
        ("ij,kj->ik", "AA", "A @ A.T"),
    ],
)
def test_products_read_as_matrix_notation(subscripts: str, names: str, expected: str) -> None:
    shapes = {"A": "m n", "B": "n k", "C": "m n", "D": "k m", "S": "n n", "a": "m", "x": "n", "z": "n"}
    graph = Graph()
    factors = [variable(graph, name, *shapes[name].split()) for name in names]
    assert write(graph, multiply(graph, subscripts, *factors)) == expected


def test_fixed_arrays_have_names() -> None:
    graph = Graph()
    assert write(graph, graph.delta(N)) == "eye(n)"
    assert write(graph, graph.zeros((M, N))) == "zeros(m, n)"
    assert write(graph, multiply(graph, "i,j->ij", graph.ones(M), graph.ones(N))) == "ones(m, n)"


def test_three_axes_need_einsum() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "m", "n"), variable(graph, "x", "k")
    assert write(graph, multiply(graph, "ij,k->ijk", a, x)).startswith("einsum(")


def test_an_index_on_three_factors_is_still_matrix_notation_where_two_are_vectors() -> None:
    graph = Graph()
    a, x, z = variable(graph, "A", "m", "n"), variable(graph, "x", "n"), variable(graph, "z", "n")
    assert write(graph, multiply(graph, "ij,j,j->i", a, x, z)) == "A @ (x*z)"


def test_terms_stand_in_the_order_they_were_written() -> None:
    graph = Graph()
    a, b = variable(graph, "B", "m", "n"), variable(graph, "A", "m", "n")
    assert write(graph, add(graph, (1, a), (2, b))) == "B + 2*A"


@pytest.mark.parametrize(
    ("text", "wrt", "layout", "expected"),
    [
        ("trace(A @ X @ B)", "X", "denominator", "A.T @ B.T"),
        ("a.T @ X @ b", "X", "denominator", "a @ b.T"),
        ("norm(x)", "x", "denominator", "x/norm(x)"),
        ("logdet(X)", "X", "denominator", "inv(X).T"),
        ("det(X)", "X", "denominator", "det(X)*inv(X).T"),
        ("A @ exp(x)", "x", "numerator", "A @ diag(exp(x))"),
        ("x.T @ A @ x", "x", "numerator", "x.T @ (A + A.T)"),
        ("x.T @ A @ x", "A", "denominator", "x @ x.T"),
        ("sum(X)", "X", "denominator", "ones(n, k)"),
        ("logsumexp(x)", "x", "denominator", "softmax(x)"),
    ],
)
def test_answers_read_as_in_a_textbook(text: str, wrt: str, layout: str, expected: str) -> None:
    assert str(matcalc.derive(text, wrt, layout=layout)) == expected


@pytest.mark.parametrize(
    ("text", "wrt", "expected"),
    [
        ("A @ B @ x", "x", "einsum('ip,pa->ia', A, B)"),
        ("(A*C) @ x", "x", "einsum('ia,ia->ia', A, C)"),
        ("A @ diag(a) @ x", "x", "einsum('ib,b->ib', A, a)"),
    ],
)
def test_every_factor_of_a_matrix_stands_in_its_einsum(text: str, wrt: str, expected: str) -> None:
    assert matcalc.derive(text, wrt).einsum == expected


def test_a_sum_of_very_many_terms_is_transposed() -> None:
    """Its terms stand in as many brackets, more than a recursion may have."""
    shape = (Size.of("m"), Size.of("n"))
    matrices = [symbol(f"A{k}", shape) for k in range(3000)]
    turned = MatrixReader(Graph()).transpose(reduce(add_expressions, matrices))
    terms = [turned.args[0]] if turned.op == "transpose" else [turned]
    while terms[-1].op == "add":
        terms[-1:] = terms[-1].args[::-1]
    assert turned.shape == shape[::-1]
    assert [node.name if node.op == "symbol" else node.args[0].name for node in terms] == [
        one.name for one in reversed(matrices)
    ]
