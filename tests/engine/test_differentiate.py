"""Reverse accumulation: one adjoint per node, linear in the size of the graph, zero only where it is."""

from __future__ import annotations

import pytest

import matcalc
from matcalc import MatcalcError
from matcalc.engine.differentials import fit
from matcalc.engine.differentiate import differentiate
from matcalc.engine.index_form import Graph, reachable
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse
from matcalc.rule_files import shipped_rules
from tests.engine.index_graphs import K, M, N, add, multiply, variable


def test_a_variable_by_itself_is_the_identity() -> None:
    graph = Graph()
    x, a = variable(graph, "x", "n"), variable(graph, "A", "m", "n")
    assert differentiate(graph, x, x) is graph.delta(N)
    assert differentiate(graph, a, a) is multiply(graph, "ik,jl->ijkl", graph.delta(M), graph.delta(N))


def test_axes_of_the_result_come_first() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "m", "n"), variable(graph, "x", "n")
    ax = multiply(graph, "ij,j->i", a, x)
    assert differentiate(graph, ax, x) is a
    assert differentiate(graph, ax, a).shape == (M, M, N)


def test_a_node_without_the_variable_gives_zeros() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "m", "k"), variable(graph, "x", "n")
    assert differentiate(graph, a, x) is graph.zeros((M, K, N))


def test_every_use_of_a_factor_is_counted() -> None:
    graph = Graph(frozenset(["x"]))
    a, x = variable(graph, "A", "n", "n"), variable(graph, "x", "n")
    quadratic = multiply(graph, "i,ij,j->", x, a, x)
    both = add(graph, (1, multiply(graph, "ij,j->i", a, x)), (1, multiply(graph, "ij,i->j", a, x)))
    assert differentiate(graph, quadratic, x) is both


def test_a_diagonal_is_differentiated_on_the_diagonal_only() -> None:
    graph = Graph()
    a = variable(graph, "A", "n", "n")
    assert differentiate(graph, multiply(graph, "ii->", a), a) is graph.delta(N)


def test_a_broadcast_axis_is_summed() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    spread = multiply(graph, "i,j->ij", x, graph.ones(M))
    total = multiply(graph, "ij->", spread)
    assert differentiate(graph, total, x) is multiply(graph, "i,->i", graph.ones(N), graph.size(M))


def test_powers_and_functions_use_their_rules() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    sine = graph.apply(shipped_rules()["sin"], [(x, (0,))], (N,))
    cosine = graph.apply(shipped_rules()["cos"], [(x, (0,))], (N,))
    assert differentiate(graph, graph.power(x, 3), x) is multiply(
        graph, "i,ij->ij", graph.power(x, 2), graph.delta(N), by=3
    )
    assert differentiate(graph, sine, x) is multiply(graph, "i,ij->ij", cosine, graph.delta(N))


def count_nodes(layers: int) -> int:
    text = "x"
    for k in range(layers):
        text = f"tanh(W{k} @ {text})"
    result = matcalc.derive(f"sum({text})", "x", shapes={f"W{k}": ("n", "n") for k in range(layers)}).result
    return len(reachable(result.node))


def test_the_derivative_grows_linearly_with_the_depth() -> None:
    eight, sixteen = count_nodes(8), count_nodes(16)
    assert sixteen < 2.3 * eight


def test_a_function_without_a_derivative_is_an_error_that_names_it() -> None:
    with pytest.raises(MatcalcError, match="polar"):
        matcalc.derive("polar(X)", "X")


@pytest.mark.parametrize("text", ["sign(x)", "3*y", "x - x", "where(x > 0, 1, 2)", "x**0"])
def test_zero_is_printed_with_its_shape_only_where_it_is_true(text: str) -> None:
    derivative = matcalc.derive(text, "x", shapes={"x": ("n",), "y": ("m",)})
    assert str(derivative).startswith("zeros(")
    assert derivative.check().verdict == "agrees"


@pytest.mark.parametrize(
    ("expression", "derivative"),
    [
        ("y*x*x**(a - 1)", "x**a"),
        ("y*x**2*x**(a - 1)", "x**(a + 1)"),
        ("y*x/x*x**(a - 1)", "x**(a - 1)"),
        ("y*z*x**(a - 1)", "z*x**(a - 1)"),
    ],
)
def test_powers_of_one_base_are_collected_whatever_the_exponent(expression: str, derivative: str) -> None:
    shapes: dict[str, tuple[str, ...]] = dict.fromkeys("axyz", ())
    assert str(matcalc.derive(expression, "y", shapes=shapes, assume={"x": "positive"})) == derivative


@pytest.mark.parametrize(
    ("expression", "derivative"),
    [
        ("tril(S) @ x", "triu(S)"),
        ("softmax(S, axis=1) @ x", "softmax(S, axis=1).T"),
        ("inv(S) @ x", "inv(S)"),
    ],
)
def test_a_function_of_a_symmetric_matrix_is_symmetric_where_its_rule_says_so(expression: str, derivative: str) -> None:
    found = matcalc.derive(expression, "x", layout="denominator", assume={"S": "symmetric"})
    assert str(found) == derivative


@pytest.mark.parametrize("expression", ["kron(x, ones(p)).T @ b", "kron(ones(p), x).T @ b"])
def test_one_part_of_a_joined_axis_may_be_summed_alone(expression: str) -> None:
    report = matcalc.derive(expression, "x", shapes={"x": ("n",), "b": ("n*p",)}).check()
    assert report.verdict == "agrees", report.message


def test_a_node_is_fitted_to_a_shape() -> None:
    column, scalar = parse("x").expressions[0], parse("alpha").expressions[0]
    n, _ = column.shape
    assert fit(column, column.shape) is column
    assert to_text(fit(column, column.shape[::-1])) == "x.T"
    assert to_text(fit(scalar, column.shape)) == f"ones({n})*alpha"
    assert to_text(fit(column, (n, n))) == f"ones({n}, {n})*x"


@pytest.mark.parametrize("expression", ["x/(x - x)", "sum(x)/(x.T @ x - x.T @ x)"])
def test_what_comes_to_a_division_by_zero_is_refused(expression: str) -> None:
    with pytest.raises(MatcalcError, match="division by zero"):
        matcalc.derive(expression, "x")


def test_a_division_by_ones_is_none() -> None:
    assert str(matcalc.derive("x/ones(n)", "x")) == "eye(n)"
