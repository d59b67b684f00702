"""Networks of many layers: what is derived, printed and written grows in proportion to the depth, and is right."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

import matcalc
from matcalc.derivation import Derivative
from matcalc.engine.index_form import reachable
from matcalc.language.expression import walk
from tests.sampling import sample, spread

# A layer as it is written, and what it computes of h, the weights of its number and a.
LAYERS: dict[str, str] = {
    "plain": "tanh(W{k} @ {h})",
    "bias": "tanh(W{k} @ {h} + b{k})",
    "residual": "{h} + tanh(W{k} @ {h})",
    "residual, bias": "{h} + tanh(W{k} @ {h} + b{k})",
    "residual, layer norm": "{h} + tanh(W{k} @ layer_norm({h}))",
    "residual, two matrices": "{h} + V{k} @ relu(W{k} @ {h})",
    "scaled residual": "a*{h} + tanh(W{k} @ {h})",
}
Shapes = dict[str, tuple[str, ...]]


def write_network(family: str, depth: int) -> tuple[str, Shapes]:
    layer = LAYERS[family]
    lines = [f"h{k} = " + layer.format(k=k, h=f"h{k - 1}" if k > 1 else "x") for k in range(1, depth + 1)]
    shapes: Shapes = {"x": ("n",)}
    for k in range(1, depth + 1):
        shapes |= {f"W{k}": ("n", "n")}
        shapes |= {f"V{k}": ("n", "n")} if "V{k}" in layer else {}
        shapes |= {f"b{k}": ("n",)} if "b{k}" in layer else {}
    return "; ".join([*lines, f"sum(h{depth})"]), shapes | ({"a": ()} if "a*" in layer else {})


def derive(family: str, depth: int, wrt: str = "x", order: int = 1) -> Derivative:
    text, shapes = write_network(family, depth)
    found = matcalc.derive(text, wrt, layout="denominator", shapes=shapes, order=order)
    assert isinstance(found, Derivative)
    return found


def count(one: Derivative) -> dict[str, int]:
    return {
        "index": len(reachable(one.result.node)),
        "terms": sum(len(node.parts) for node in reachable(one.result.node)),
        "nodes": len(list(walk(one.expression))),
        "characters": len(str(one)),
        "code": len(one.code("numpy")),
    }


@pytest.mark.parametrize(("family", "wrt"), spread("deep", sample("deep gradients", LAYERS, 0.4), ["x", "W1"]))
def test_a_gradient_grows_in_proportion_to_the_depth(family: str, wrt: str) -> None:
    few, many = count(derive(family, 16, wrt)), count(derive(family, 32, wrt))
    assert all(many[size] <= 2.3 * few[size] for size in few), (few, many)


@pytest.mark.parametrize("family", sample("deep Hessians", LAYERS, 0.15))
def test_a_hessian_grows_in_proportion_to_the_depth(family: str) -> None:
    few, many = count(derive(family, 16, order=2)), count(derive(family, 32, order=2))
    assert all(many[size] <= 2.5 * few[size] for size in few), (few, many)


@pytest.mark.parametrize("family", ["residual", "residual, two matrices"])
def test_the_source_of_an_autograd_function_grows_in_proportion(family: str) -> None:
    assert len(derive(family, 24).autograd_function()) < 2.3 * len(derive(family, 12).autograd_function())


def test_a_residual_network_has_a_form_in_sympy() -> None:
    assert isinstance(derive("residual", 40).to_sympy(), sympy.MatrixExpr)


def evaluate_sympy(root: Any, values: dict[str, Any]) -> Any:
    """The value of a matrix expression, each part's once; SymPy's own printers would write shared parts many times."""
    known: dict[int, Any] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        waiting = [arg for arg in node.args if id(arg) not in known and isinstance(arg, sympy.MatrixExpr)]
        stack += waiting
        if not waiting:
            known[id(stack.pop())] = evaluate_sympy_node(node, values, known)
    return known[id(root)]


def evaluate_sympy_node(node: Any, values: dict[str, Any], known: dict[int, Any]) -> Any:
    args = [known.get(id(arg), arg) for arg in node.args]
    match type(node).__name__:
        case "MatrixSymbol":
            return values[node.name].reshape(len(values["x"]), -1)
        case "OneMatrix":
            return np.ones([len(values["x"]) if size.is_symbol else int(size) for size in node.shape])
        case "Transpose":
            return args[0].T
        case "MatMul":
            numbers = [float(arg.subs("a", values.get("a", 1))) for arg in node.args if not arg.is_Matrix]
            matrices = [value for value, arg in zip(args, node.args, strict=True) if arg.is_Matrix]
            return math.prod(numbers) * reduce(np.matmul, matrices)
        case "MatAdd":
            return sum(args[1:], args[0])
        case "HadamardProduct":
            return reduce(np.multiply, args)
        case "HadamardPower":
            return args[0] ** int(args[1])
    assert isinstance(node, ElementwiseApplyFunction), type(node)
    return sympy.lambdify(x := sympy.Symbol("x"), node.function(x), "numpy")(args[1])


# Of so many layers parts lie deeper than SymPy is let look at once.
@pytest.mark.parametrize("family", ["plain", "bias", "residual", "scaled residual"])
def test_a_network_in_sympy_is_what_it_is_in_numpy(family: str) -> None:
    one = derive(family, 40)
    random = np.random.default_rng(0)
    shapes = {name: [3] * len(shape) for name, shape in write_network(family, 40)[1].items()}
    values = {name: 0.5 * random.normal(size=shape) for name, shape in shapes.items()}
    function = one.compile()
    expected = function(*(values[name] for name in inspect.signature(function).parameters))
    assert np.allclose(evaluate_sympy(one.to_sympy(), values)[:, 0], expected, rtol=1e-10, atol=1e-30)


def test_256_layers_have_a_form_in_sympy() -> None:
    assert isinstance(derive("plain", 256).to_sympy(), sympy.MatMul)


def count_calls(work: Callable[[], object]) -> int:
    calls = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


VIEWS: dict[str, tuple[str, int, Callable[[Derivative], object]]] = {
    "print": ("bias", 1, str),
    "autograd": ("plain", 1, Derivative.autograd_function),
    "sympy": ("plain", 1, Derivative.to_sympy),
    "code of a Hessian": ("plain", 2, lambda one: one.code("numpy")),
}


@pytest.mark.parametrize("view", VIEWS)
def test_the_work_of_a_view_grows_in_proportion_to_the_depth(view: str) -> None:
    family, order, write = VIEWS[view]
    write(derive(family, 4, order=order))
    few, many = [count_calls(partial(write, derive(family, depth, order=order))) for depth in (32, 64)]
    assert many < 2.2 * few, (few, many)


@pytest.mark.parametrize("family", sample("deepest", ["plain", "residual", "scaled residual"], 0.3))
def test_256_layers_meet_no_limit(family: str) -> None:
    one = derive(family, 256)
    assert len(str(one).splitlines()) > 256
    assert one.compile()


def test_the_sum_that_runs_backwards_is_named_once_for_each_layer() -> None:
    lines = str(derive("residual", 12)).splitlines()
    assert lines[-2:] == ["z11 = z10 + W2.T @ (z10*(1 - h_1_2**2))", "z11 + W1.T @ (z11*(1 - h_1_1**2))"]


def compute(family: str, depth: int) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
    def run(v: dict[str, torch.Tensor]) -> torch.Tensor:
        h = v["x"]
        for k in range(1, depth + 1):
            inside = torch.nn.functional.layer_norm(h, h.shape) if "norm" in family else h
            z = v[f"W{k}"] @ inside + v.get(f"b{k}", torch.zeros(()))
            step = v[f"V{k}"] @ torch.relu(z) if "two" in family else torch.tanh(z)
            h = v.get("a", torch.ones(())) * h + step if "residual" in family else step
        return h.sum()

    return run


@pytest.mark.parametrize("family", sample("deep values", LAYERS, 0.3))
def test_values_of_deep_networks_are_those_of_torch(family: str) -> None:
    depth = 11
    text, shapes = write_network(family, depth)
    torch.manual_seed(0)
    values = {name: 0.4 * torch.randn([3] * len(shape), dtype=torch.float64) for name, shape in shapes.items()}
    network = compute(family, depth)

    def of_x(x: torch.Tensor) -> torch.Tensor:
        return network({**values, "x": x})

    for order, expected in ((1, torch.func.grad(of_x)(values["x"])), (2, torch.func.hessian(of_x)(values["x"]))):
        one = derive(family, depth, order=order)
        function = one.compile("torch")
        found = function(*(values[name] for name in inspect.signature(function).parameters))
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    weights = [name for name in shapes if name[0] in "WVb"]
    both = matcalc.derive(text, weights, layout="denominator", shapes=shapes).compile()
    arrays = {name: values[name].numpy() for name in inspect.signature(both).parameters}
    gradients = torch.func.grad(network)(values)
    for name, found in both(**arrays).items():
        assert np.allclose(found, gradients[name].numpy(), rtol=1e-10, atol=1e-12)


def test_squares_of_squares_are_not_multiplied_out() -> None:
    """A square of a square and so on has 2**40 factors, and 40 lines."""
    lines = ["h1 = x*x", *(f"h{k} = h{k - 1}*h{k - 1}" for k in range(2, 41)), "sum(h40)"]
    found = matcalc.derive("; ".join(lines), "x", layout="denominator", shapes={"x": ("n",)})
    assert str(found) == "1099511627776*x**1099511627775"
    for backend in ("numpy", "torch"):
        assert found.compile(backend)([1.0, -1.0]).tolist() == [2.0**40, -(2.0**40)]
    value, gradient = found.value_and_derivative()([1.0, -1.0])
    assert (value, gradient.tolist()) == (2.0, [2.0**40, -(2.0**40)])
