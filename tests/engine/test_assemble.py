"""Builders of expressions: the length they minimise is that of the printed text."""

from __future__ import annotations

import ast

import pytest

from matcalc.engine.assemble import Lengths, as_column, flatten, transposed, transposed_whole
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse

TEXTS = [
    "A @ x", "(A + A.T) @ x", "2*X.T @ (X @ w - y)", "-x/2", "x**2 - 0.01*x",
    "diag(softmax(x)) - softmax(x) @ softmax(x).T",
    "einsum('ij,jk->ik', A, B)", "sum(X, axis=0)", "sum(X, axis=1, keepdims=True)", "ones(m, n) @ x", "kron(A, B)",
    "norm(X, 'nuc')", "exp(-x**2/2)/sqrt(2*pi)", "where(x > 0, 1, 0.01)", "matrix_power(A, 3)", "-3*x", "u(x)",
]  # fmt: skip
SQUARE = {"A": ("n", "n"), "B": ("n", "n"), "x": ("n",), "y": ("n",)}


@pytest.mark.parametrize("text", TEXTS)
def test_length_is_that_of_pythons_syntax_tree(text: str) -> None:
    expression = parse(text, shapes={"u": ("m",)} if "u(" in text else None).expressions[0]
    printed = to_text(expression)
    assert Lengths()(expression) == sum(1 for _ in ast.walk(ast.parse(printed, mode="eval").body))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "A.T"),
        ("A.T", "A"),
        ("x", "x.T"),
        ("inv(A)", "inv(A).T"),
        ("diag(x)", "diag(x)"),
        ("eye(n)", "eye(n)"),
        ("ones(m, n)", "ones(n, m)"),
    ],
)
def test_transposes_of_leaves(text: str, expected: str) -> None:
    (expression,) = parse(text, shapes=SQUARE).expressions
    assert to_text(transposed(expression)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x.T - y.T", "x - y"),
        ("x.T/y.T", "x/y"),
        ("-(x.T)", "-x"),
        ("2*x.T", "2*x"),
        ("sin(x.T)**2", "sin(x)**2"),
        ("x.T @ A", "A.T @ x"),
        ("x.T @ A.T - y.T", "A @ x - y"),
    ],
)
def test_rows_are_turned_inside_of_what_works_entry_by_entry(text: str, expected: str) -> None:
    assert to_text(as_column(parse(text, shapes=SQUARE).expressions[0])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A @ B", "(A @ B).T"), ("-A @ B", "-(A @ B).T"), ("-(A.T)", "-A"), ("A.T", "A")],
)
def test_the_sign_of_a_transposed_formula_stands_outside(text: str, expected: str) -> None:
    assert to_text(transposed_whole(parse(text, shapes=SQUARE).expressions[0])) == expected


def test_a_chain_falls_into_its_factors() -> None:
    assert [to_text(item) for item in flatten(parse("A @ B @ x").expressions[0])] == ["A", "B", "x"]
