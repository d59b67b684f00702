"""Numbers of derivatives where the printed formula divides by 0: evaluated and in written code."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sympy import MatrixSymbol

import matcalc
from matcalc.check.evaluate import evaluate_with
from matcalc.engine.special_points import derive_everywhere
from matcalc.errors import EvaluationError
from matcalc.language.expression import walk

A = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
SOLUTION = np.array([1.0, 2.0])
ROWS = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [2.0, 3.0, 4.0]])
SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 5.0]])

def expand_determinant(x: torch.Tensor) -> torch.Tensor:
    """The determinant of a 3 by 3 matrix; torch's own derivative of it is 0 where the matrix is singular."""
    return x[0] @ torch.linalg.cross(x[1], x[2])


# An expression, its variable, the values, and the function in torch of the values in the order of their names.
POINTS: list[tuple[str, str, dict[str, Any], Any]] = [
    ("norm(x)", "x", {"x": np.zeros(3)}, torch.linalg.vector_norm),
    ("norm(A @ x - b)", "x", {"A": A, "b": A @ SOLUTION, "x": SOLUTION},
     lambda a, b, x: torch.linalg.vector_norm(a @ x - b)),
    ("norm(A @ x - b)", "A", {"A": A, "b": A @ SOLUTION, "x": SOLUTION},
     lambda a, b, x: torch.linalg.vector_norm(a @ x - b)),
    ("norm(x, 2)", "x", {"x": np.zeros(3)}, torch.linalg.vector_norm),
    ("norm(x, 3)", "x", {"x": np.zeros(3)}, lambda x: torch.linalg.vector_norm(x, 3)),
    ("norm(x, 3)", "x", {"x": np.array([0.0, -1.0, 2.0])}, lambda x: torch.linalg.vector_norm(x, 3)),
    ("norm(x, 1.5)", "x", {"x": np.zeros(3)}, lambda x: torch.linalg.vector_norm(x, 1.5)),
    ("norm(X)", "X", {"X": np.zeros((2, 3))}, torch.linalg.vector_norm),
    ("norm(X, 'fro')", "X", {"X": np.zeros((2, 3))}, torch.linalg.vector_norm),
    ("sum(norm(X, axis=1))", "X", {"X": ROWS}, lambda x: torch.linalg.vector_norm(x, dim=1).sum()),
    ("norm(x) + prod(x)", "x", {"x": np.zeros(2)}, lambda x: torch.linalg.vector_norm(x) + x.prod()),
    ("exp(norm(x))*sum(x)", "x", {"x": np.zeros(3)}, lambda x: torch.exp(torch.linalg.vector_norm(x)) * x.sum()),
    ("prod(x)", "x", {"x": np.array([2.0, 0.0, 3.0])}, torch.prod),
    ("prod(x)", "x", {"x": np.array([2.0, 0.0, 0.0])}, torch.prod),
    ("prod(X)", "X", {"X": ROWS[:, :1] + [[2.0, 3.0]]}, torch.prod),
    ("prod(X, axis=0)", "X", {"X": ROWS}, lambda x: torch.prod(x, 0)),
    ("sum(prod(X, axis=1))", "X", {"X": ROWS}, lambda x: torch.prod(x, 1).sum()),
    ("prod(relu(x))", "x", {"x": np.array([2.0, -1.0, 3.0])}, lambda x: torch.prod(torch.relu(x))),
    ("prod(sin(x))", "x", {"x": np.array([2.0, 0.0, 3.0])}, lambda x: torch.prod(torch.sin(x))),
    ("prod(A @ x - b)", "x", {"A": A, "b": A @ SOLUTION + [0, 1, 2], "x": SOLUTION},
     lambda a, b, x: torch.prod(a @ x - b)),
    ("det(X)", "X", {"X": SINGULAR}, expand_determinant),
    ("det(X)", "X", {"X": np.ones((3, 3))}, expand_determinant),
    ("det(X)", "X", {"X": np.zeros((2, 2))}, lambda x: x[0, 0] * x[1, 1] - x[0, 1] * x[1, 0]),
    ("det(X)**2 + trace(X)", "X", {"X": SINGULAR}, lambda x: expand_determinant(x) ** 2 + torch.trace(x)),
]  # fmt: skip
NAMES = [f"{expression} by {wrt} {place}" for place, (expression, wrt, *_) in enumerate(POINTS)]


def differentiate(function: Any, wrt: str, values: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Torch's own derivative by one of the values."""
    tensors = {name: torch.tensor(value) for name, value in values.items()}

    def vary(at: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = function(*(tensors | {wrt: at}).values())
        return found

    return np.asarray(torch.autograd.functional.jacobian(vary, tensors[wrt]))


@pytest.mark.parametrize(("expression", "wrt", "values", "function"), POINTS, ids=NAMES)
def test_numbers_at_special_points_are_those_of_torch(
    expression: str, wrt: str, values: dict[str, Any], function: Any
) -> None:
    answer, truth = matcalc.derive(expression, wrt, layout="torch"), differentiate(function, wrt, values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(answer.evaluate(values), truth, atol=1e-12)
        for backend in ("numpy", "torch"):
            compiled = answer.compile(backend)
            arrays = {n: torch.tensor(value) if backend == "torch" else value for n, value in values.items()}
            np.testing.assert_allclose(np.asarray(compiled(**arrays)), truth, atol=1e-12)


@pytest.mark.parametrize(("expression", "wrt"), dict.fromkeys((each, wrt) for each, wrt, *_ in POINTS))
def test_elsewhere_the_numbers_are_those_of_the_printed_formula(expression: str, wrt: str) -> None:
    answer = matcalc.derive(expression, wrt, order=1)
    assert answer.numeric is not answer.expression
    values = answer.draw_point(seed=3)
    printed = matcalc.derive(str(answer), shapes=answer.declared, wrt=wrt).function
    numbers, plain = answer.evaluate(values), evaluate_with(printed, values)
    np.testing.assert_allclose(numbers[np.isfinite(plain)], plain[np.isfinite(plain)], rtol=1e-9, atol=1e-12)


def expand_product(x: torch.Tensor) -> torch.Tensor:
    """The product of three entries, without a division."""
    return x[0] * x[1] * x[2]


HESSIANS: list[tuple[str, Any, Any]] = [
    *(("prod(x)", np.array(x), expand_product) for x in ([1.0, 0.0, 2.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0])),
    ("prod(sin(x))", np.array([0.0, 1.0, 2.0]), lambda x: expand_product(torch.sin(x))),
    ("prod(x)**2 + prod(x)", np.array([0.0, 1.0, 0.0]), lambda x: expand_product(x) ** 2 + expand_product(x)),
    *(("det(X)", X, expand_determinant) for X in (SINGULAR, np.ones((3, 3)), np.zeros((3, 3)), np.diag([1.0, 2, 3]))),
    *(("sum(prod(X, axis=1))", np.array(X), lambda x: expand_product(x.T).sum()) for X in (ROWS, ZEROS)),
    *(("sum(prod(X, axis=0)**2)", np.array(X).T, lambda x: (expand_product(x) ** 2).sum()) for X in (ROWS, ZEROS)),
    ("det(X)**2", SINGULAR, lambda x: expand_determinant(x) ** 2),
    ("det(X.T)*trace(X)", SINGULAR, lambda x: expand_determinant(x) * torch.trace(x)),
]


@pytest.mark.parametrize(("expression", "at", "function"), HESSIANS)
def test_second_derivatives_at_special_points_are_those_of_torch(expression: str, at: Any, function: Any) -> None:
    name = "x" if at.ndim == 1 else "X"
    answer, truth = matcalc.derive(expression, name, order=2, layout="torch"), differentiate_twice(function, at)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(answer.evaluate({name: at}), truth, atol=1e-12)
        np.testing.assert_allclose(answer.compile("numpy")(**{name: at}), truth, atol=1e-12)
        np.testing.assert_allclose(answer.compile("torch")(**{name: torch.tensor(at)}), truth, atol=1e-12)


def differentiate_twice(function: Any, at: Any) -> np.ndarray[Any, Any]:
    return np.asarray(torch.autograd.functional.hessian(function, torch.tensor(at)))


def test_a_third_derivative_that_is_not_known_there_is_no_number() -> None:
    third = matcalc.derive("prod(x)", order=3).evaluate({"x": np.array([0.0, 1.0, 2.0])})
    assert not np.isfinite(third).all()


def test_a_torch_function_has_the_gradient_at_special_points() -> None:
    namespace: dict[str, Any] = {"__name__": "written"}
    exec(matcalc.derive("norm(A @ x - b)*prod(x)", "x").autograd_function(), namespace)
    a, b, x = torch.tensor(A), torch.tensor(A[:, 0]), torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    namespace["Formula"].apply(a, x, b).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]


def test_the_printed_formula_stays() -> None:
    assert str(matcalc.derive("norm(x)")) == "x.T/norm(x)"
    assert str(matcalc.derive("prod(x)")) == "prod(x)*(1/x).T"
    assert str(matcalc.derive("det(X)")) == "det(X)*inv(X)"


def test_where_nothing_is_divided_nothing_is_derived_again() -> None:
    for expression in ("norm(A @ x - b)**2", "softmax(x)", "prod(exp(x))"):
        answer = matcalc.derive(expression)
        assert answer.numeric is answer.expression


def test_a_division_by_a_size_is_none_by_zero() -> None:
    ridge = "mean((X @ w - y)**2) + alpha*norm(w)**2"
    hessian = matcalc.derive(ridge, "w", order=2, shapes={"alpha": ()})
    values = {"X": A, "y": np.zeros(3), "alpha": 0.5, "w": np.zeros(2)}
    np.testing.assert_allclose(hessian.evaluate(values), 2 * A.T @ A / 3 + np.eye(2))


def test_where_the_function_itself_has_no_value_there_is_no_number() -> None:
    value = matcalc.derive("a.T @ x/norm(x)", "x").evaluate({"a": np.ones(2), "x": np.zeros(2)})
    assert not np.isfinite(value).any()


def test_norms_have_no_second_derivative_at_zero_as_in_torch() -> None:
    zero = torch.zeros(2, dtype=torch.float64)
    found = matcalc.derive("norm(x)", order=2).evaluate({"x": zero})
    truth = torch.autograd.functional.hessian(torch.linalg.vector_norm, zero)
    assert torch.equal(found.isnan(), truth.isnan())


def test_an_entry_of_a_singular_matrix() -> None:
    whole = matcalc.derive("det(X)", "X", layout="denominator")
    entry = matcalc.derive("det(X)", MatrixSymbol("X", 3, 3)[0, 1])
    assert entry.evaluate({"X": SINGULAR}) == pytest.approx(whole.evaluate({"X": SINGULAR})[0, 1])


def test_a_function_of_ones_own_may_be_defined_by_a_norm(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[distance]\ncall = "distance(x[n], y[n])"\ndefine = "norm(x - y)"\n', encoding="utf-8")
    answer = matcalc.derive("distance(x, c)", "x", shapes={"c": ("n",), "x": ("n",)}, rules=path)
    at = np.array([1.0, 2.0])
    assert answer.evaluate({"x": at, "c": at}).tolist() == [0.0, 0.0]


def test_logdet_has_its_derivative_near_singular_matrices() -> None:
    """The judge takes no such point; the reader who gives one has the numbers."""
    diagonal = np.array([1.0, 1e-7, 1e-15])
    for expression in ("logdet(X)", "logabsdet(X)"):
        found = matcalc.derive(expression).evaluate({"X": np.diag(diagonal)})
        np.testing.assert_allclose(found, np.diag(1 / diagonal))
    power = matcalc.derive("sum(matrix_power(X, -1) @ a)", "a").evaluate({"X": np.diag(diagonal), "a": np.ones(3)})
    np.testing.assert_allclose(power, 1 / diagonal)


def test_a_singular_matrix_has_no_inverse() -> None:
    with pytest.raises(EvaluationError, match="singular"):
        matcalc.derive("logdet(X)").evaluate({"X": np.ones((2, 2)) * 2})


def test_what_a_reader_would_not_write_stays_out_of_the_answer() -> None:
    for expression, wrt, *_ in POINTS:
        answer = matcalc.derive(expression, wrt)
        words = {node.data[0].name for node in walk(answer.expression) if node.op == "call"}
        assert not words & {"prod_others", "adjugate", "reciprocal_or_zero"}
        assert derive_everywhere(answer.function, answer.by, answer.expression) is not None
