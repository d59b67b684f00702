"""Evaluation: every function is what the language says, arrays of either kind fit or say why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from matcalc.check.evaluate import evaluate_with
from matcalc.check.torch_values import contract, find_torch_function
from matcalc.errors import EvaluationError, LimitError
from matcalc.language.expression import filled
from matcalc.language.sizes import Size, deduce_sizes
from matcalc.language.text_to_expression import parse

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4))
S = RANDOM.normal(size=(3, 3)) + 3 * np.eye(3)
v = RANDOM.normal(size=3)
w = RANDOM.normal(size=3)


def value_of(text: str, shapes: dict[str, Any] | None = None, **values: Any) -> Any:
    return evaluate_with(parse(text, shapes=shapes).expressions[0], values)


def softmax(x: np.ndarray[Any, Any], axis: int | None = None) -> np.ndarray[Any, Any]:
    weights: np.ndarray[Any, Any] = np.exp(x)
    return weights / weights.sum(axis=axis, keepdims=axis is not None)


def normalize(x: np.ndarray[Any, Any], axis: int | None = None) -> np.ndarray[Any, Any]:
    keep = axis is not None
    result: np.ndarray[Any, Any] = (x - x.mean(axis, keepdims=keep)) / np.sqrt(x.var(axis, keepdims=keep) + 1e-5)
    return result


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "var": np.var,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "logsumexp": lambda x, **along: np.log(np.sum(np.exp(x), **along)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_along_axes(name: str) -> None:
    expected = REDUCTIONS[name]
    np.testing.assert_allclose(value_of(f"{name}(x)", x=v), expected(v))
    np.testing.assert_allclose(value_of(f"{name}(X)", X=X), expected(X))
    for axis in (0, 1):
        np.testing.assert_allclose(value_of(f"{name}(X, axis={axis})", X=X), expected(X, axis=axis))
        kept = value_of(f"X - {name}(X, axis={axis}, keepdims=True)", X=X)
        np.testing.assert_allclose(kept, X - expected(X, axis=axis, keepdims=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("softmax", softmax),
        ("log_softmax", lambda x, axis=None: np.log(softmax(x, axis))),
        ("layer_norm", normalize),
        ("cumsum", lambda x, axis=0: np.cumsum(x, axis)),
    ],
)
def test_maps_along_axes(name: str, expected: Callable[..., Any]) -> None:
    np.testing.assert_allclose(value_of(f"{name}(x)", x=v), expected(v))
    for axis in (0, 1):
        np.testing.assert_allclose(value_of(f"{name}(X, axis={axis})", X=X), expected(X, axis))


SINGULAR = np.linalg.svd(X, full_matrices=False)

FUNCTIONS = [
    ("norm(X)", np.sqrt((X**2).sum())),
    ("norm(X, 'fro')", np.sqrt((X**2).sum())),
    ("norm(X, 'nuc')", SINGULAR[1].sum()),
    ("norm(X, 2)", SINGULAR[1][0]),
    ("polar(X)", SINGULAR[0] @ SINGULAR[2]),
    ("adjugate(S)", np.linalg.det(S) * np.linalg.inv(S)),
    ("prod_others(x)", np.prod(v) / v),
    ("prod_pairs(x)", np.prod(v) / np.outer(v, v) * (1 - np.eye(len(v)))),
    ("prod_others(X)", np.prod(X) / X),
    ("reciprocal_or_zero(x**2) + reciprocal_or_zero(0*x)", v**-2),
    ("leading_outer(X)", np.outer(SINGULAR[0][:, 0], SINGULAR[2][0])),
    ("norm(x)", np.sqrt((v**2).sum())),
    ("norm(x, 1)", np.abs(v).sum()),
    ("norm(x, 2)", np.sqrt((v**2).sum())),
    ("norm(x, 3)", (np.abs(v) ** 3).sum() ** (1 / 3)),
    ("vec(X)", X.T.reshape(-1)),
    ("vec(x)", v),
    ("kron(X, S)", np.kron(X, S)),
    ("kron(x, y)", np.kron(v, w)),
    ("kron(X.T, S)", np.kron(X.T, S)),
    ("kron(x, S)", np.kron(v[:, None], S)),
    ("kron(S, x)", np.kron(S, v[:, None])),
    ("diag(x)", np.diag(v)),
    ("diag(S)", np.diag(S)),
    ("tril(X) + 2*triu(X)", np.tril(X) + 2 * np.triu(X)),
    ("trace(S)", np.trace(S)),
    ("det(S)", np.linalg.det(S)),
    ("logdet(S)", np.log(np.linalg.det(S))),
    ("inv(S)", np.linalg.inv(S)),
    ("pinv(X)", np.linalg.pinv(X)),
    ("solve(S, x)", np.linalg.solve(S, v)),
    ("solve(S, X)", np.linalg.solve(S, X)),
    ("matrix_power(S, 3)", S @ S @ S),
    ("matrix_power(S, -1)", np.linalg.inv(S)),
    ("matrix_power(S, 0)", np.eye(3)),
    ("sqrtm(S) @ sqrtm(S)", S),
    ("expm(S) @ expm(-S)", np.eye(3)),
    ("dot(x, y)", v @ w),
    ("outer(x, y)", np.outer(v, w)),
    ("x @ y", v @ w),
    ("x.T @ X", v @ X),
    ("X + x", X + v[:, None]),
    ("size(X) + size(x)", 15.0),
    ("sum(x)/n + pi - e", v.sum() / 3 + np.pi - np.e),
    ("where(x > 0, x, 5)", np.where(v > 0, v, 5)),
    ("where(x <= y, x**2, -y)", np.where(v <= w, v**2, -w)),
    ("clip(x, -1/2, 1/2)", np.clip(v, -0.5, 0.5)),
    ("leaky_relu(x)", np.where(v > 0, v, 0.01 * v)),
    ("leaky_relu(x, 0.3)", np.where(v > 0, v, 0.3 * v)),
    ("silu(x)", v / (1 + np.exp(-v))),
    ("softplus(x)", np.log(1 + np.exp(v))),
    ("maximum(x, 0) + minimum(x, y)", np.maximum(v, 0) + np.minimum(v, w)),
    ("cross_entropy(x, y)", -(w * np.log(softmax(v))).sum()),
    ("X**2 * 2**X", X**2 * 2**X),
    ("abs(x)**x", np.abs(v) ** v),
    ("eye(n) + ones(n, n)", np.eye(3) + 1),
    ("einsum('ij,i->j', X, x)", v @ X),
    ("einsum('ij,kj,k,i->', X, X, x, y)", w @ X @ X.T @ v),
    ("einsum('ii->i', S)", np.diag(S)),
]


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS, ids=[text for text, _ in FUNCTIONS])
def test_functions_are_what_they_are_called(text: str, expected: Any) -> None:
    expression = parse(text, shapes={"X": ("n", "k"), "S": ("n", "n"), "x": ("n",), "y": ("n",)}).expressions[0]
    known = parse("X*0 + x*0 + y*0 + S @ x*0", shapes={"X": ("n", "k"), "S": ("n", "n")}).symbols.values()
    found = evaluate_with(expression, {"X": X, "S": S, "x": v, "y": w}, known=known)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["sqrtm", "expm"])
def test_jacobians_of_matrix_functions(name: str) -> None:
    expected = torch.autograd.functional.jacobian(lambda x: value_of(f"{name}(X)", X=x), torch.tensor(S))
    np.testing.assert_allclose(value_of(f"{name}_jacobian(X)", X=S), expected, rtol=1e-10, atol=1e-12)


def test_fuse_and_commutation() -> None:
    m, p = Size.of("m"), Size.of("p")
    fuse = evaluate_with(filled("fuse", m, p), {}, {"m": 2, "p": 3})
    for i, j, row in itertools.product(range(2), range(3), range(6)):
        assert fuse[row, i, j] == (row == 3 * i + j)
    turned = evaluate_with(filled("commutation", m, p), {}, {"m": 3, "p": 4})
    np.testing.assert_array_equal(turned @ X.T.reshape(-1), X.reshape(-1))


def test_contraction_of_many_operands() -> None:
    operands = [torch.tensor(RANDOM.normal(size=shape)) for shape in ((2, 3), (3, 4), (4, 4), (), (4, 2))]
    text = "ij,jk,kk,,kl->lik"
    assert torch.allclose(contract(text, operands), torch.einsum(text, *operands))


# --- a reader's arrays --------------------------------------------------------------------------------


def test_numpy_gives_numpy_and_torch_gives_torch() -> None:
    assert isinstance(value_of("X @ y", shapes={"y": ("k",)}, X=X, y=np.ones(4)), np.ndarray)
    found = value_of("X @ y", X=torch.tensor(X, requires_grad=True), y=np.ones((4, 1)))
    assert isinstance(found, torch.Tensor)
    assert found.requires_grad
    assert found.shape == (3,)
    assert value_of("2*alpha", alpha=3).dtype == np.float64
    assert value_of("x/2", x=np.array([1, 2])).tolist() == [0.5, 1.0]
    assert value_of("x/2", x=[1, 2]).tolist() == [0.5, 1.0]
    assert value_of("alpha*x", x=np.ones(2, dtype=np.float32), alpha=2.5).dtype == np.float32
    assert value_of("alpha*x", x=torch.ones(2), alpha=2).dtype == torch.float32


def test_vectors_come_with_or_without_their_unit_axis() -> None:
    shapes = {"x": ("n",), "y": ("n",)}
    for shape in ((3,), (3, 1)):
        assert value_of("x @ y", shapes, x=v.reshape(shape), y=w).shape == ()
    assert value_of("x @ y.T", shapes, x=v, y=w).shape == (3, 3)
    assert value_of("x", x=np.ones(1)).shape == (1,)
    assert value_of("a*x", {"a": ()}, a=np.ones((1, 1)), x=v).shape == (3,)


@pytest.mark.parametrize(
    ("text", "values", "sentence"),
    [
        ("A @ x", {"A": X}, "x has no value"),
        ("A @ x", {"A": X, "x": np.ones(4), "z": 1}, "z is not a variable of the expression"),
        (
            "A @ x",
            {"A": X, "x": np.ones(3)},
            "x is (n,), but its value has shape (3,): n cannot be 3 when n = 4 from A",
        ),
        ("A @ x", {"A": np.ones(3), "x": np.ones(3)}, "A is (m, n), but its value has shape (3,)"),
        ("A @ x", {"A": X, "x": np.ones((1, 4))}, "x is (n,), but its value has shape (1, 4)"),
        ("alpha", {"alpha": [1, 2]}, "alpha is a scalar, but its value has shape (2,)"),
        ("x", {"x": "hello"}, "the value of x is not an array of real numbers"),
        ("x", {"x": np.ones(2) * 1j}, "the value of x is not an array of real numbers"),
        ("x", {"x": [[1], [2, 3]]}, "the value of x is not an array of real numbers"),
        ("u(x)", {"x": [1, 2]}, "u is an abstract function"),
        ("inv(A)", {"A": np.zeros((2, 2))}, "inv(X[n,n]) cannot be evaluated"),
    ],
)
def test_errors_say_what_does_not_fit(text: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value_of(text, **values)
    assert caught.value.reason.startswith(sentence)


def test_sizes_that_no_array_tells() -> None:
    expression = parse("ones(q, q)").expressions[0]
    with pytest.raises(EvaluationError, match="the size q does not follow from the values"):
        evaluate_with(expression, {})
    assert evaluate_with(expression, {}, {"q": 2}).shape == (2, 2)
    with pytest.raises(LimitError, match="more than 10000000 entries"):
        evaluate_with(expression, {}, {"q": 10**5})


def test_sizes_follow_from_products_and_numbers() -> None:
    expression = parse("x", shapes={"x": ("m*p",), "A": ("m", 3)}).expressions[0]
    variables = parse("A", shapes={"A": ("m", 3)}).symbols
    shapes = {"x": (expression, (10,)), "A": (variables["A"], (2, 3))}
    assert deduce_sizes(shapes) == {"m": 2, "p": 5}
    with pytest.raises(EvaluationError, match=r"m\*p cannot be 7 when m = 2 from A"):
        deduce_sizes(shapes | {"x": (expression, (7,))})
    with pytest.raises(EvaluationError, match=r"3 cannot be 4$"):
        deduce_sizes({"A": (variables["A"], (2, 4))})


def test_known_variables_may_be_given_though_absent() -> None:
    problem = parse("A @ x + b")
    a = problem.symbols["A"]
    values = {"A": X, "x": np.ones(4), "b": v}
    np.testing.assert_array_equal(evaluate_with(a, values, known=problem.symbols.values()), X)
    with pytest.raises(EvaluationError, match="x is not a variable"):
        evaluate_with(a, values)


def test_functions_stand_for_abstract_functions() -> None:
    found = value_of("D(u, x)", {"u": ("m",)}, x=v, u=lambda x: torch.stack([x.sum(), (x**2).sum()]))
    np.testing.assert_allclose(found, np.stack([np.ones(3), 2 * v]))
    third = value_of("D(U, x)", {"U": ("m", "k")}, x=v, U=lambda x: torch.outer(x, x[:2]))
    expected = torch.autograd.functional.jacobian(lambda x: torch.outer(x, x[:2]), torch.tensor(v))
    np.testing.assert_allclose(third, expected)


@pytest.mark.parametrize("path", ["torch.load", "os.system", "torch.hub.load", "torch.Tensor", "torch.nothing", "exp"])
def test_rules_reach_only_functions_of_the_list(path: str) -> None:
    with pytest.raises(EvaluationError, match="is no function of torch that a rule may name"):
        find_torch_function(path)
    assert find_torch_function("torch.special.bessel_j0") is torch.special.bessel_j0
