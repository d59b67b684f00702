"""The chain rule: the product of the factors is the derivative, in every layout and with every shape between."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

import matcalc
from matcalc import Derivative, MatcalcError
from matcalc.check.points import Point, PointSearch
from matcalc.language.expression import Expression
from matcalc.render.chain import Chain, write_chain
from tests.read_cases import Case, derive_case, error_of, find_point, read_cases, true_derivative
from tests.sampling import is_whole, sample

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")
FIRST = [case for case in read_cases() if case.order == 1]


def derive_part(expression: Expression, name: str, like: Derivative) -> Derivative:
    return matcalc.derive(expression, name, layout=like.layout, shapes=like.declared, assume=like.assumed)


def chain_of(text: str, wrt: str, layout: str = "numerator") -> Chain:
    return write_chain(matcalc.derive(text, wrt, layout=layout), derive_part)


def evaluate_factors(chain: Chain, point: Point) -> list[Tensor]:
    """The values of the factors at a point, the parts computed from the inside out."""
    known: dict[str, object] = {**point.values, **point.functions}
    values = []
    for factor in reversed(chain.factors):
        derivative = factor.derivative
        names = {*derivative.problem.symbols, *derivative.problem.abstract}
        here = {name: value for name, value in known.items() if name in names}
        values.append(as_tensor(derivative.evaluate(here, point.sizes)))
        known[factor.name] = value_of(derivative, here, point)
    return values[::-1]


def as_tensor(value: object) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def value_of(derivative: Derivative, values: dict[str, object], point: Point) -> Tensor:
    from matcalc.check.evaluate import evaluate_with

    known = derivative.problem.symbols.values()
    return as_tensor(evaluate_with(derivative.function, values, point.sizes, known))


def measure_error(case: Case, chain: Chain) -> float:
    values = evaluate_factors(chain, find_point(case, 0))
    product = torch.einsum(chain.contraction, *values)
    return error_of(product, true_derivative(case, chain.layout, 0))


def test_product_of_the_factors_is_the_derivative() -> None:
    count = 0
    for case in sample("chains", FIRST):
        for layout in ("numerator", "denominator", "vec"):
            chain = write_chain(derive_case(case, layout), derive_part)
            if len(chain.factors) > 1:
                count += 1
                assert measure_error(case, chain) < 1e-9, f"{case.id} {layout}: {chain}"
    assert count > (300 if is_whole() else 0)


VECTORS = [
    ("softmax(A @ x)", "x"), ("norm(A @ x - b)**2", "x"), ("tanh(B @ sin(A @ x))", "x"), ("sum(exp(A @ x))*b", "x"),
    ("sin(exp(alpha)*b)", "alpha"), ("exp(sin(alpha))", "alpha"), ("a.T @ tanh(sum(x**2)*b)", "x"),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("text", "wrt"), VECTORS, ids=[text for text, _ in VECTORS])
def test_the_formula_multiplies_the_matrices_that_it_names(text: str, wrt: str, layout: str) -> None:
    derivative = matcalc.derive(text, wrt, layout=layout, shapes={"b": "m"} if "b" in text else {})
    chain = write_chain(derivative, derive_part)
    point = PointSearch(derivative.function, (derivative.expression, derivative.wrt), seed=0).find(0)
    assert isinstance(point, Point)
    known = {}
    for factor, value in zip(chain.factors, evaluate_factors(chain, point), strict=True):
        known[factor.left] = value.reshape(measure_strictly(factor.derivative, point))
    left, right = chain.product.split(" = ")
    words = {name: f"known[{name!r}]" for name in known}
    product = eval(re.sub(r"d\w+/d\w+", lambda match: words[match[0]], right), {"known": known})
    whole = as_tensor(derivative.evaluate({**point.values, **point.functions}, point.sizes))
    assert left == f"d{derivative.result_name}/d{wrt}"
    assert error_of(product.squeeze(), whole) < 1e-9
    assert tuple(product.shape) == read_shape(chain.shapes.split(" = ")[0], point)


def measure_strictly(derivative: Derivative, point: Point) -> tuple[int, int]:
    """Rows and columns as the layout counts them, unit axes included."""
    sizes = [
        sizes[0].value(point.sizes) if sizes else 1
        for sizes in (derivative.function.squeezed_shape, derivative.wrt.squeezed_shape)
    ]
    gradient = derivative.layout in ("mixed", "torch") and not derivative.function.squeezed_shape
    return (sizes[1], sizes[0]) if derivative.layout == "denominator" or gradient else (sizes[0], sizes[1])


def read_shape(text: str, point: Point) -> tuple[int, ...]:
    return tuple(int(eval(size, dict(point.sizes))) for size in text.strip("()").split(", "))


WRITTEN = [
    ("softmax(A @ x)", "x", "numerator", "dy/dx = dy/du1 @ du1/dx", "(m, n) = (m, m) @ (m, n)"),
    ("softmax(A @ x)", "x", "denominator", "dy/dx = du1/dx @ dy/du1", "(n, m) = (n, m) @ (m, m)"),
    ("logsumexp(A @ x)", "x", "numerator", "df/dx = df/du1 @ du1/dx", "(1, n) = (1, p) @ (p, n)"),
    ("logsumexp(A @ x)", "x", "mixed", "df/dx = (du1/dx).T @ df/du1", "(n, 1) = (n, p) @ (p, 1)"),
    ("inv(A @ X)", "X", "numerator", "dY/dX = einsum('ijqp,pqba->ijba', dY/dU1, dU1/dX)",
     "(k, k, k, n) from (k, k, k, k) and (k, k, k, n)"),
    ("inv(A @ X)", "X", "vec", "dY/dX = dY/dU1 @ dU1/dX", "(k*k, n*k) = (k*k, k*k) @ (k*k, n*k)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "layout", "product", "shapes"), WRITTEN)
def test_product_and_shapes_are_written(text: str, wrt: str, layout: str, product: str, shapes: str) -> None:
    chain = chain_of(text, wrt, layout)
    assert (chain.product, chain.shapes) == (product, shapes)


def test_a_tensor_contraction_says_what_is_summed() -> None:
    assert chain_of("inv(A @ X)", "X").summed == "summed over p, q (the axes of U1)"
    assert chain_of("softmax(A @ x)", "x").summed == ""


def test_each_factor_is_a_derivative_of_a_named_part() -> None:
    chain = chain_of("norm(X @ w - y)**2", "w")
    told = [(factor.left, factor.definition, str(factor.derivative)) for factor in chain.factors]
    assert told == [
        ("df/du2", "u2**2", "2*u2"), ("du2/du1", "norm(u1)", "u1.T/norm(u1)"), ("du1/dw", "X @ w - y", "X"),
    ]  # fmt: skip
    assert all(isinstance(factor.derivative, Derivative) for factor in chain.factors)
    assert "u1 = X @ w - y" in str(chain)


def test_a_function_of_two_uses_of_the_variable_is_one_factor() -> None:
    chain = chain_of("x.T @ A @ x", "x")
    assert len(chain.factors) == 1
    assert "one factor" in str(chain)


def test_a_deep_network_has_its_layers_as_factors() -> None:
    chain = chain_of("sum(tanh(D @ tanh(C @ tanh(B @ tanh(A @ x)))))", "x")
    assert [factor.definition for factor in chain.factors] == [
        "sum(u4)", "tanh(D @ u3)", "tanh(C @ u2)", "tanh(B @ u1)", "tanh(A @ x)",
    ]  # fmt: skip


def test_parts_do_not_take_the_names_of_variables() -> None:
    chain = chain_of("softmax(A @ x + u1)", "x")
    assert [factor.name for factor in chain.factors] == ["y", "v1"]


def test_it_is_plain_data_too() -> None:
    data = chain_of("softmax(A @ x)", "x").to_dict()
    assert data["product"] == "dy/dx = dy/du1 @ du1/dx"
    assert data["factors"] == [
        {"name": "dy/du1", "function": "softmax(u1)", "shape": ["m", "m"],
         "derivative": "diag(softmax(u1)) - softmax(u1) @ softmax(u1).T"},
        {"name": "du1/dx", "function": "A @ x", "shape": ["m", "n"], "derivative": "A"},
    ]  # fmt: skip


def test_a_higher_order_is_refused() -> None:
    with pytest.raises(MatcalcError, match="first derivatives"):
        write_chain(matcalc.derive("sum(exp(A @ x))", "x", order=2), derive_part)


@pytest.mark.parametrize(
    ("text", "wrt", "layout", "first"),
    [
        ("norm(A@x - b)**2", "x", "denominator",
         r"\frac{\partial f}{\partial x} &= \frac{\partial u_{1}}{\partial x}\, "
         r"\frac{\partial u_{2}}{\partial u_{1}}\, \frac{\partial f}{\partial u_{2}} "
         r"&& \text{(n, 1) = (n, p) @ (p, 1) @ (1, 1)}"),
        ("sum(tanh(A@x))", "x", "mixed",
         r"\frac{\partial f}{\partial x} &= \left(\frac{\partial u_{1}}{\partial x}\right)^\top\, "
         r"\left(\frac{\partial u_{2}}{\partial u_{1}}\right)^\top\, \frac{\partial f}{\partial u_{2}} "
         r"&& \text{(n, 1) = (n, p) @ (p, p) @ (p, 1)}"),
    ],
)  # fmt: skip
def test_it_is_typeset_with_its_shapes(text: str, wrt: str, layout: str, first: str) -> None:
    lines = matcalc.derive(text, wrt, layout=layout).chain().latex().splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[1].removesuffix(r" \\") == first


def test_a_contraction_is_typeset_as_einsum() -> None:
    latex = matcalc.derive("norm(A@X@B)**2", "X").chain().latex()
    assert r"\operatorname{einsum}(\texttt{,qp,pqba→ba},\, \frac{\partial f}{\partial u_{2}}," in latex
    assert r"U_{1} &= A X B" in latex
    assert r"&&& \text{summed over p, q (the axes of U1)}" in latex


@pytest.mark.parametrize("wrt", ["A", "D", "c"])
@pytest.mark.parametrize("shape", [("n", "k"), ("n",), (1, "n"), ()])
def test_a_choice_inside_a_function(wrt: str, shape: tuple[Any, ...]) -> None:
    derivative = matcalc.derive("exp(where(A > 0, D, c))", wrt, shapes={"A": shape, "D": shape, "c": ()})
    chain = derivative.chain()
    assert chain.factors[-1].by == wrt
    assert chain.latex()
    for form in ("text", "markdown", "latex"):
        assert derivative.write_steps(form)


def test_a_variable_that_is_a_row_stays_one() -> None:
    chain = matcalc.derive("tanh(x @ A + b)", "x", shapes={"x": (1, "k"), "A": ("k", "n"), "b": (1, "n")}).chain()
    assert [factor.definition for factor in chain.factors] == ["tanh(u1.T).T", "(x @ A + b).T"]
