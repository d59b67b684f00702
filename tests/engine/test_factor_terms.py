"""Sums of terms are written in the shortest way: factors taken out, diagonals merged, brackets kept."""

from __future__ import annotations

import pytest

import matcalc
from matcalc.engine.index_form import Graph
from tests.engine.index_graphs import add, multiply, variable, write

SHAPES = {"A": "n n", "B": "n n", "C": "m n", "x": "n", "y": "n", "c": ""}


def write_sum(*terms: tuple[int, str, str]) -> str:
    """The text of a sum of terms (coefficient, subscripts, names)."""
    graph = Graph()
    known = {name: variable(graph, name, *sizes.split()) for name, sizes in SHAPES.items()}
    return write(graph, add(graph, *[(c, multiply(graph, at, *map(known.get, names))) for c, at, names in terms]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([(1, "ij,j->i", "Ax"), (1, "ji,j->i", "Ax")], "(A + A.T) @ x"),
        ([(1, "ij,j->i", "Ax"), (1, "ij,j->i", "Bx")], "(A + B) @ x"),
        ([(1, "ij,j->i", "Ax"), (1, "ij,j->i", "Ay")], "A @ (x + y)"),
        ([(1, "ij,j->i", "Ax"), (-2, "ij,j->i", "Bx")], "(A - 2*B) @ x"),
        ([(2, "ij,j->i", "Ax"), (-2, "i->i", "y")], "2*(A @ x - y)"),
        ([(-1, "i->i", "x"), (1, "i->i", "y")], "y - x"),
        ([(1, "ij->ij", "A"), (1, "ij->ji", "A")], "A + A.T"),
    ],
)
def test_sums_are_factored(terms: list[tuple[int, str, str]], expected: str) -> None:
    assert write_sum(*terms) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sin(x)*exp(x)", "diag(cos(x)*exp(x) + sin(x)*exp(x))"),
        ("x + x**2", "diag(1 + 2*x)"),
        ("exp(x) + x**2", "diag(exp(x) + 2*x)"),
    ],
)
def test_diagonals_are_merged(text: str, expected: str) -> None:
    found = str(matcalc.derive(text, "x"))
    assert found.count("diag(") == 1
    assert len(found) <= len(expected)


def test_products_of_sums_are_not_expanded() -> None:
    derivative = matcalc.derive("norm((A + B) @ x - (C + D) @ y)**2", "x", layout="denominator")
    assert str(derivative) == "2*(A + B).T @ ((A + B) @ x - (C + D) @ y)"
