"""Identities of matrix functions: recognised where they hold, and only there."""

from __future__ import annotations

import pytest

from matcalc.engine.expression_to_index import convert
from matcalc.engine.index_form import Graph, Node
from matcalc.language.text_to_expression import parse

SQUARE = dict.fromkeys("ABQX", ("n", "n")) | {"c": ()}


def nodes_of(*texts: str, free: str = "", assume: dict[str, str] | None = None) -> list[Node]:
    """The tensors of texts in one graph: equal ones are identical."""
    graph = Graph(frozenset(free))
    problem = parse(texts, shapes=SQUARE, assume=assume)
    return [convert(graph, expression).node for expression in problem.expressions]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("inv(inv(X))", "X"),
        ("inv(A @ B)", "inv(B) @ inv(A)"),
        ("inv(A.T)", "inv(A).T"),
        ("inv(2*A)", "inv(A)/2"),
        ("inv(c*A)", "inv(A)/c"),
        ("det(A @ B)", "det(A)*det(B)"),
        ("det(A.T)", "det(A)"),
        ("det(inv(A))", "1/det(A)"),
        ("logdet(inv(A))", "-logdet(A)"),
        ("expm(A.T)", "expm(A).T"),
        ("inv(eye(n)) @ A", "A"),
        ("inv(A) @ A @ B", "B"),
        ("trace(A @ B)", "trace(B @ A)"),
        ("(A @ B).T", "B.T @ A.T"),
    ],
)
def test_both_sides_are_one_tensor(left: str, right: str) -> None:
    first, second = nodes_of(left, right)
    assert first is second


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("inv(A @ B)", "inv(A) @ inv(B)"),
        ("inv(A + B)", "inv(A) + inv(B)"),
        ("expm(A @ B)", "expm(A) @ expm(B)"),
        ("inv(Q)", "Q.T"),
        ("A @ B", "B @ A"),
        ("pinv(A @ B)", "pinv(B) @ pinv(A)"),
    ],
)
def test_what_is_not_equal_stays_different(left: str, right: str) -> None:
    first, second = nodes_of(left, right)
    assert first is not second


def test_declared_structure_is_used_except_on_the_variable() -> None:
    first, second = nodes_of("inv(Q)", "Q.T", assume={"Q": "orthogonal"})
    assert first is second
    first, second = nodes_of("inv(Q)", "Q.T", free="Q", assume={"Q": "orthogonal"})
    assert first is not second
