"""Sums in canonical form: like terms are one, so are multiples of one sum, and deltas of all terms are taken out."""

from __future__ import annotations

from matcalc.engine.index_form import Graph
from tests.engine.index_graphs import N, add, multiply, variable, write


def test_like_terms_are_collected() -> None:
    graph = Graph()
    x, y = variable(graph, "x", "n"), variable(graph, "y", "n")
    assert add(graph, (2, x), (-1, y), (1, x), (1, y)) is graph.scaled(3, x)
    assert add(graph, (1, x), (-1, x)) is graph.zeros((N,))


def test_a_multiple_of_a_sum_is_one_node() -> None:
    graph = Graph()
    x, y = variable(graph, "x", "n"), variable(graph, "y", "n")
    assert add(graph, (1, y), (-1, x)) is graph.scaled(-1, add(graph, (1, x), (-1, y)))
    assert add(graph, (4, x), (6, y)) is graph.scaled(2, add(graph, (2, x), (3, y)))


def test_a_multiple_of_a_sum_is_opened_where_its_terms_cancel() -> None:
    graph = Graph()
    x, y, z = (variable(graph, name, "n") for name in "xyz")
    total = add(graph, (1, x), (1, y))
    assert add(graph, (2, total), (-2, x)) is graph.scaled(2, y)
    assert write(graph, add(graph, (2, total), (1, z))) == "2*(x + y) + z"


def test_a_delta_that_all_terms_have_stands_outside() -> None:
    graph = Graph()
    x, y, delta = variable(graph, "x", "n"), variable(graph, "y", "n"), graph.delta(N)
    terms = [multiply(graph, "i,ij->ij", one, delta) for one in (x, y)]
    assert add(graph, (1, terms[0]), (3, terms[1])) is multiply(graph, "i,ij->ij", add(graph, (1, x), (3, y)), delta)
    assert add(graph, (1, terms[0]), (1, delta)) is multiply(
        graph, "i,ij->ij", graph.sum([(1, x, (0,)), (1, graph.one, ())], (0,), (N,)), delta
    )
