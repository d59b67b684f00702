"""Rewrites of the result: each known form is found, and a result once simplified stays as it is."""

from __future__ import annotations

import pytest

import matcalc
import matcalc.engine.simplify as module
from matcalc.engine.index_form import Graph, Node, Part
from matcalc.engine.simplify import simplify
from tests.engine.index_graphs import write
from tests.random_problems import number_case


@pytest.mark.parametrize(
    ("text", "wrt", "expected"),
    [
        ("ones(m).T @ log(1 + exp(A @ x))", "x", "A.T @ sigmoid(A @ x)"),
        ("trace(expm(X))", "X", "expm(X).T"),
        ("trace(sqrtm(X))", "X", "inv(sqrtm(X)).T/2"),
        ("trace(inv(A) @ X @ A)", "X", "eye(n)"),
        ("trace(X) + trace(X.T)", "X", "2*eye(n)"),
        ("x.T @ A @ x - x.T @ A.T @ x", "x", "zeros(n)"),
        ("cross_entropy(x, y)", "x", "sum(y)*softmax(x) - y"),
    ],
)
def test_known_forms_are_found(text: str, wrt: str, expected: str) -> None:
    assert str(matcalc.derive(text, wrt, layout="denominator")) == expected


def test_what_is_not_multiplied_out_on_trial_would_not_be_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    multiply_out, stays_longer = module._shorter_multiplied, module._stays_longer

    def compare(graph: Graph, plain: Node, coefficient: module.Fraction, parts: list[Part], rank: int) -> Node:
        nonlocal seen
        for k, (part, _) in enumerate(parts if plain.op == "product" else []):
            if part.op == "sum" and len(part.parts) <= module.FEW_TERMS and stays_longer(parts, k):
                terms = [(c, graph.product(1, more, range(rank)), range(rank))
                         for c, more in module._expand(graph, parts, k)]  # fmt: skip
                assert graph.sum(terms, range(rank), plain.shape).weight >= plain.weight
                seen += 1
        return multiply_out(graph, plain, coefficient, parts, rank)

    monkeypatch.setattr(module, "_shorter_multiplied", compare)
    texts = ["sum(tanh(B @ tanh(A @ x)))", "sum((x + a)*(x + b)/x)", "x.T @ (A + B) @ y", "sum(sigmoid(A @ x)*x)"]
    for text in texts:
        matcalc.derive(text, "x")
    for number in range(40):
        case = number_case(number)
        try:
            matcalc.derive(case.expr, **case.options())
        except matcalc.MatcalcError:
            continue
    assert seen > 5


def test_what_sums_to_1_disappears() -> None:
    derivative = matcalc.derive("cross_entropy(x, y)", "x", layout="denominator", assume={"y": "simplex"})
    assert str(derivative) == "softmax(x) - y"


def test_exponential_of_a_multiple_commutes_with_its_matrix() -> None:
    assert str(matcalc.derive("expm(t*A)", "t", shapes={"t": ()})) == "A @ expm(t*A)"


@pytest.mark.parametrize("text", ["softmax(A @ x)", "x.T @ A @ x", "layer_norm(x)", "norm(A @ x - b)**2"])
def test_a_simplified_result_stays_as_it_is(text: str) -> None:
    result = matcalc.derive(text, "x").result
    once = simplify(result.graph, [result.node])
    twice = simplify(*once)
    (graph, (node,)), (again, (same,)) = once, twice
    assert write(again, same) == write(graph, node)
