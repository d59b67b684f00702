"""The program behind written code: what is computed, in which order, and what is never formed."""

from __future__ import annotations

import inspect
import random
import re
import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import matcalc
from benchmarks.problems import PROBLEMS, Problem
from matcalc import Derivative
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.text_to_expression import parse
from matcalc.render.code.products import CodePart
from matcalc.render.code.program import Operation, Program
from matcalc.render.code.regroup import regroup
from matcalc.render.code.signature import Signature
from matcalc.render.code.words import Words
from matcalc.render.code.writer import Names, Writer
from tests.requirements import needs
from tests.sampling import only_in_whole_run, sample

BACKENDS = ("numpy", "torch", pytest.param("jax", marks=needs("jax")))
VECTORS = {"A": ("m", "n"), "B": ("n", "l"), "x": ("n",), "y": ("m",), "v": ("n",), "S": ("n", "n")}


def derive_problem(problem: Problem) -> Derivative:
    options: dict[str, Any] = {"shapes": problem.shapes, "assume": problem.assume, "order": problem.order}
    return matcalc.derive(problem.text, problem.wrt, layout="torch", **options)


@pytest.mark.parametrize("seed", range(50))
def test_the_cheaper_of_two_ways_is_the_one_whose_whole_program_costs_less(seed: int) -> None:
    choose, program, made = random.Random(seed), Program(), list[Operation]()
    for number in range(20):
        args = choose.sample(made, min(len(made), choose.randrange(4)))
        made.append(program.make("node", args, (number,), (), choose.randrange(5)))

    def total(operation: Operation) -> int:
        return sum(each.cost for each in program.reachable([operation]))

    for first, second in product(made, made):
        assert program.choose_cheaper(first, second) is (second if total(second) < total(first) else first)


def draw(problem: Problem, seed: int = 0) -> dict[str, np.ndarray]:
    rng, sizes = np.random.default_rng(seed), problem.size("small")
    values = {}
    for name, shape in problem.shapes.items():
        value = rng.standard_normal([sizes[letter] for letter in shape])
        if value.ndim == 2 and value.shape[0] == value.shape[1]:
            value = (value @ value.T if name in problem.assume else value) + 3 * np.eye(len(value))
        values[name] = value
    return values


def write(
    text: str, backend: str = "numpy", sizes: dict[str, int] | None = None, is_concrete: bool = False, **options: Any
) -> Writer:  # fmt: skip
    """The writer of a formula; sizes that are not given count for 100."""
    problem = parse(text, shapes=options.pop("shapes", VECTORS), **options)
    signature = Signature(problem.symbols, {})
    known = {node: CodePart(name, 8, node.shape) for name, node in problem.symbols.items()}
    numbers = sizes or {}
    (root,) = regroup(problem.expressions[0])
    letters = {"m": 100, "n": 100, "l": 100, **numbers}
    words, names = Words(backend, signature), Names(set(problem.symbols))
    return Writer([root], words, names, known, lambda size: size.value(letters), is_concrete=is_concrete)


def read(text: str, backend: str = "numpy", **options: Any) -> str:
    """The lines of a formula."""
    writer = write(text, backend, **options)
    return "\n".join([*map(str, writer.lines), writer.part(writer.roots[0]).text])


def count(text: str, **options: Any) -> int:
    """The multiplications and additions of a formula's program."""
    writer = write(text, **options)
    return sum(each.cost for each in writer.program.reachable([writer.operations[writer.roots[0]]]))


# --- the order of products ------------------------------------------------------------------------------------


def test_order_of_a_product_is_chosen_by_sizes() -> None:
    assert read("A @ S @ B", sizes={"m": 2, "n": 50, "l": 50}) == "A @ S @ B"
    assert read("A @ S @ B", sizes={"m": 50, "n": 50, "l": 2}) == "A @ (S @ B)"


def test_einsum_of_many_operands_takes_two_at_a_time() -> None:
    text = "einsum('a,ac,b,d->abcd', x, S, v, v)"
    assert read(text) == "(x[:, None] * S)[:, None, :, None] * np.outer(v, v)[:, None, :]"
    assert count(text) == 100**4 + 2 * 100**2


def test_numbers_and_signs_are_multiplied_with_the_smallest_array() -> None:
    assert read("-3*einsum('ia,bj->ijab', A, B)/7", sizes={"l": 5}) == "np.einsum('ab,cd->adbc', A, -3 / 7 * B)"
    assert read("(-y @ x.T)/2") == "np.outer(-y / 2, x)"


def test_equal_products_are_computed_once_in_either_orientation() -> None:
    assert read("A.T @ y @ (y.T @ A)") == "v1 = A.T @ y  # (n,)\nnp.outer(v1, v1)"
    lines = read("B.T @ A.T @ A @ B", sizes={"m": 20, "n": 50, "l": 50})
    assert lines == "M1 = B.T @ A.T  # (l, m)\nM1 @ M1.T"


def test_long_products_are_planned_in_time_in_proportion_to_their_length() -> None:
    text = " @ ".join([f"W{k}" for k in range(40)] + ["x"])
    shapes = {"x": ("n",)} | {f"W{k}": ("n", "n") for k in range(40)}
    writer = write(text, shapes=shapes)
    assert {operation.kind for operation in writer.program.reachable([writer.operations[writer.roots[0]]])} == {
        "node", "matmul",
    }  # fmt: skip
    assert count(text, shapes=shapes) < 41 * 100**2 + 41 * 100**2


# --- factors of sums ------------------------------------------------------------------------------------------


def test_common_outer_factor_is_taken_out() -> None:
    assert read("(diag(y) - y @ y.T) @ A") == "y[:, None] * (A - y @ A)"
    assert read("y*(A @ x) - y*(y.T @ (A @ x))") == "v1 = A @ x  # (m,)\ny * (v1 - y @ v1)"


def test_product_of_a_sum_is_multiplied_out_where_that_is_cheaper() -> None:
    text = "A.T @ (A @ A.T + 2*diag(y)) @ A"
    small, large = ({"m": 10, "n": 100}, {"m": 100, "n": 10})
    assert count(text, sizes=large) < 3 * (100 * 10 * 10) + 4 * 100 * 10 + 300
    assert "np.einsum('ii->i'" in read(text, sizes=small)
    assert "np.einsum" not in read(text, sizes=large)


def test_product_of_many_sums_is_not_multiplied_out() -> None:
    sums = " @ ".join(f"(A{k} @ B{k} + C{k})" for k in range(24))
    shapes = {f"{letter}{k}": ("n", "n") for letter in "ABC" for k in range(24)}
    writer = write(f"{sums} @ D", shapes=shapes | {"D": ("n", "n")})
    assert len(writer.program.operations) < 2000
    assert max(map(len, writer.plan.terms.values())) == 1


# --- structure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_identity_and_diagonal_are_written_into_the_result(backend: str) -> None:
    lines = read("einsum('ac,bd->abcd', eye(n), S)", backend)
    assert "eye" not in lines
    assert "zeros" in lines
    assert "outer" in (lines := read("2*eye(n) - x @ x.T/3", backend))
    assert "eye" not in lines
    assert "diag(" not in lines


def test_ones_are_never_formed_in_a_product() -> None:
    assert read("ones(m).T @ A @ x + ones(n).T @ x") == "np.sum(A, axis=0) @ x + np.sum(x)"
    assert read("(eye(n) - ones(n, n)/n) @ S") == "S - np.sum(S, axis=0) / n"


def test_matrix_factorisation_costs_its_zeros_and_one_small_product() -> None:
    problem = next(each for each in PROBLEMS if "factorisation" in each.name)
    source = derive_problem(problem).compile().source
    assert "np.eye" not in source
    assert "optimize" not in source
    assert source.count("np.zeros") == 1


def test_torch_takes_the_kronecker_product_of_a_transposed_row() -> None:
    """torch.kron cannot read one, though it says that it is contiguous."""
    A, B = torch.randn(1, 3, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    value, derivative = matcalc.derive("kron(A.T, B)", "B").value_and_derivative("torch")(A, B)
    torch.testing.assert_close(value, torch.kron(A.reshape(3, 1), B))
    truth = torch.autograd.functional.jacobian(lambda B: torch.kron(A.reshape(3, 1), B), B)
    torch.testing.assert_close(derivative.reshape(6, 2, 2, 2), truth.permute(0, 1, 3, 2))


@pytest.mark.parametrize("text", ["kron(A, X)", "kron(X, X)", "vec(A @ X)", "kron(X, B) @ vec(Y)", "vec(X)"])
def test_joined_axes_are_reshaped_at_the_end(text: str) -> None:
    derivative = matcalc.derive(text, "X", layout="torch")
    function = derivative.compile()
    assert "eye" not in function.source
    assert "optimize" not in function.source
    assert ".reshape(" in function.source
    point = derivative.draw_point()
    assert np.allclose(function(**point), derivative.evaluate(point), rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_diagonal_whose_axes_are_joined_is_placed(backend: str) -> None:
    derivative = matcalc.derive("trace(exp(X))", "X", layout="vec")
    X = np.array([[0.0, 1.0], [2.0, 3.0]])
    found = derivative.compile(backend)(X if backend == "numpy" else torch.from_numpy(X))
    assert np.allclose(found, [1.0, 0.0, 0.0, np.exp(3.0)])


def test_positive_definite_matrix_is_inverted_by_its_cholesky_factor() -> None:
    options: dict[str, Any] = {"shapes": {"S": ("n", "n"), "x": ("n",)}, "assume": {"S": "posdef"}}
    assert "cholesky_inverse(" in matcalc.derive("logdet(S)", "S", **options).compile("torch").source
    assert "cholesky_solve(" in matcalc.derive("x.T @ inv(S) @ x", "S", **options).compile("torch").source
    # The function is differentiated by every entry of S in the check at the bottom, of which Cholesky reads the half.
    function = matcalc.derive("x.T @ inv(S) @ x", "S", **options).code("torch").split("def derivative")[0]
    assert "cholesky" not in function


def test_gram_matrix_is_solved_for_without_transposing() -> None:
    assert read("A @ inv(A.T @ A)") == "np.linalg.solve(A.T @ A, A.T).T"
    # Of more columns than rows the inverse is cheaper.
    assert read("A @ inv(A.T @ A)", sizes={"m": 300, "n": 20}) == "A @ np.linalg.inv(A.T @ A)"


def test_inverse_that_is_needed_again_is_solved_for_where_that_is_cheaper() -> None:
    text = "y.T @ A @ inv(A.T @ A) @ A.T @ y"
    source = matcalc.derive(text, "A", shapes=VECTORS).compile().source
    assert source.count("np.linalg.solve(") == 1
    assert "np.linalg.inv(" not in source
    # Where the inverse itself is a part of the result it is formed once.
    source = matcalc.derive("logdet(S) + x.T @ inv(S) @ x", "S", shapes=VECTORS).compile().source
    assert source.count("np.linalg.inv(") == 1
    assert "np.linalg.solve(" not in source


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_symmetric_matrix_goes_to_cholesky_where_it_has_a_factor(sign: float) -> None:
    for text, helper in (("logdet(A.T @ A + s*eye(n))", "inverse_of"), ("x.T @ inv(A.T @ A + s*eye(n)) @ x", "solve_")):
        derivative = matcalc.derive(text, "A", shapes=VECTORS | {"s": ()}, layout="torch")
        at = {"A": np.random.default_rng(0).standard_normal((4, 3)), "s": np.array(sign * 4.0), "x": np.ones(3)}
        values = {name: at[name] for name in derivative.problem.symbols}
        found = derivative.compile("torch")(**{name: torch.from_numpy(value) for name, value in values.items()})
        assert np.allclose(found, derivative.evaluate(values), rtol=1e-10)
        assert helper not in derivative.compile("torch").source  # which is traced


def test_products_of_arrays_of_more_axes_are_products_of_matrices() -> None:
    shapes = {"X": ("m", "n"), "W": ("n", "k"), "Y": ("m", "k")}
    hessian = matcalc.derive("sum(logsumexp(X @ W, axis=1)) - trace(Y.T @ X @ W)", "W", shapes=shapes, order=2)
    source = hessian.in_layout("torch").compile().source
    assert source.count(".reshape(m, n * k)") >= 2
    assert "einsum('" not in source.replace("np.einsum('ijkj", "")
    point = hessian.draw_point()
    assert np.allclose(hessian.compile()(**point), hessian.evaluate(point), rtol=1e-10)


def test_entries_of_equal_indices_are_filled_once() -> None:
    text = "(X - mean(X, axis=0, keepdims=True))/sqrt(var(X, axis=0, keepdims=True) + 1)"
    source = matcalc.derive(text, "X", shapes={"X": ("m", "n")}, layout="torch").compile().source
    assert source.count("np.zeros") == 1
    assert source.count("(m, n, m, n)  #") + source.count("# (m, n, m, n)") == 1
    assert "np.var" not in source  # the deviations are there
    assert "transpose" not in source
    ridge = matcalc.derive("sum((A @ X - B)**2) + l*sum(X**2)", "X", order=2, layout="torch")
    assert "ones" not in ridge.compile().source


def test_new_arrays_are_changed_in_place_and_let_go_of() -> None:
    assert read("2*(A.T @ A + c*eye(n))", is_concrete=True).endswith("M1 *= 2\nM1")
    assert read("diag(y) @ (A - ones(m) @ (y.T @ A))", is_concrete=True).endswith("M1 *= y[:, None]\nM1")
    assert read("2*(A.T @ A)", "torch", is_concrete=True) == "(A.T @ A).mul_(2)"
    # What may be mapped over is not written into an array that another argument may batch.
    assert "_(" not in read("c*(A.T @ A)", "torch")
    # A matrix times its transpose is multiplied by numbers afterwards: BLAS computes one half of it.
    assert read("2*((A @ v) @ (A @ v).T)").startswith("v1 = A @ v")
    assert read("2*(A @ B) @ (A @ B).T", sizes={"l": 3}) == "M1 = A @ B  # (m, l)\n2 * (M1 @ M1.T)"


def test_powers_are_products_of_squares_and_roots() -> None:
    source = matcalc.derive("sum(sqrt(1 + x**2))", order=2).compile().source
    assert source.count("np.sqrt(") == 1
    assert "3 / 2" not in source
    derivative = matcalc.derive("sum(x**5 + 1/x**2)", layout="denominator")
    x = np.array([-1.5, 2.0])
    assert np.allclose(derivative.compile()(x), 5 * x**4 - 2 / x**3)


def test_norm_below_a_norm_needs_no_look_for_zero() -> None:
    assert "reciprocal" not in matcalc.derive("x/norm(x)").compile().source
    assert "reciprocal" in matcalc.derive("norm(x)").compile().source


@pytest.mark.parametrize("problem", sample("memory", PROBLEMS, 0.3), ids=lambda problem: problem.name)
def test_no_more_memory_is_held_than_by_the_closed_form(problem: Problem) -> None:
    rng, sizes = np.random.default_rng(0), problem.size("medium")
    values = {name: rng.standard_normal([sizes[each] for each in shape]) for name, shape in problem.shapes.items()}
    values |= {name: np.cov(values[name]) + np.eye(len(values[name])) for name in problem.assume}
    function = derive_problem(problem).compile()
    function(**values)
    hands = [measure_memory(lambda form=form: form(np, *values.values())) for form in problem.numpy]
    assert measure_memory(lambda: function(**values)) <= 1.1 * min(hands) + 2000


# --- compiled -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", sample("problems", PROBLEMS, 0.5), ids=lambda problem: problem.name)
def test_compiled_derivative_agrees_with_the_closed_form(problem: Problem) -> None:
    values, derivative = draw(problem), derive_problem(problem)
    truth = problem.numpy[0](np, *values.values())
    found = derivative.compile()(**values)
    assert found.shape == truth.shape
    assert np.abs(found - truth).max() < 1e-10 * np.abs(truth).max()
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    assert np.abs(derivative.compile("torch")(**tensors).numpy() - truth).max() < 1e-10 * np.abs(truth).max()


@pytest.mark.parametrize("problem", sample("traced", PROBLEMS, 0.2), ids=lambda problem: problem.name)
def test_compiled_derivative_is_mapped_over_each_argument(problem: Problem) -> None:
    function, given = find_function(problem)
    truth = function(*given)
    for place in range(len(given)):
        many = [torch.stack([value, 2 * value]) if k == place else value for k, value in enumerate(given)]
        dims = tuple(0 if k == place else None for k in range(len(given)))
        assert torch.allclose(torch.func.vmap(function, dims)(*many)[0], truth)


@only_in_whole_run()
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_compiled_derivative_is_traced_as_one_graph(problem: Problem) -> None:
    function, given = find_function(problem)
    torch._dynamo.reset()  # all functions of one test file are counted against one limit of recompilations
    traced = torch.compile(function, fullgraph=True, backend="eager")
    assert torch.allclose(traced(*given), function(*given))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("problem", sample("single", PROBLEMS, 0.3), ids=lambda problem: problem.name)
def test_single_precision_is_kept(problem: Problem, backend: str) -> None:
    convert = np.asarray if backend == "numpy" else torch.from_numpy
    values = {name: convert(value.astype(np.float32)) for name, value in draw(problem).items()}
    both = derive_problem(problem).value_and_derivative(backend)(**values)
    assert [str(each.dtype).removeprefix("torch.") for each in both] == ["float32"] * 2


@needs("jax")
@pytest.mark.parametrize("problem", sample("jitted", PROBLEMS, 0.2), ids=lambda problem: problem.name)
def test_compiled_derivative_is_traced_by_jax(problem: Problem) -> None:
    import jax

    function, values = derive_problem(problem).compile("jax"), draw(problem)
    given = [jax.numpy.asarray(values[name]) for name in inspect.signature(function).parameters]
    assert np.allclose(jax.jit(function)(*given), function(*given), rtol=1e-4, atol=1e-4)


def measure_memory(work: Callable[[], Any]) -> int:
    """The most bytes that are held during a call beyond what was there before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def find_function(problem: Problem) -> tuple[Any, list[torch.Tensor]]:
    """The derivative in torch, and its arguments in order."""
    values, function = draw(problem), derive_problem(problem).compile("torch")
    return function, [torch.from_numpy(values[name]) for name in inspect.signature(function).parameters]


KEPT = ["gelu(x)", "relu(x)", "sigmoid(A @ x)", "layer_norm(x)", "sum(A @ x)", "max(x)", "prod(x)", "x @ x.T"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", sample("dtypes", KEPT, 0.5))
def test_dtype_is_kept(text: str, backend: str) -> None:
    derivative = matcalc.derive(text, "x")
    point = {name: value.astype(np.float32) for name, value in derivative.draw_point().items()}
    convert = {"numpy": np.asarray, "torch": torch.as_tensor, "jax": np.asarray}[backend]
    both = derivative.value_and_derivative(backend)(**{name: convert(value) for name, value in point.items()})
    assert [str(each.dtype).removeprefix("torch.") for each in both] == ["float32"] * 2


def test_shapes_are_checked_once_for_each_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    from matcalc.render.code import compile as compiling

    function, asked = matcalc.derive("A @ B @ x", "x").compile(), []
    checked = compiling.deduce_sizes
    monkeypatch.setattr(compiling, "deduce_sizes", lambda shapes: asked.append(shapes) or checked(shapes))
    A, B, x = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
    for _ in range(3):
        function(A, B, x)
    assert len(asked) == 1
    function(np.ones((5, 3)), B, x)
    assert len(asked) == 2
    with pytest.raises(EvaluationError, match="n cannot be 3 when n = 4"):
        function(A, B, np.ones(3))


def test_each_combination_of_shapes_has_a_program_of_its_own() -> None:
    function = matcalc.derive("A @ S @ B @ x", "x", shapes=VECTORS | {"x": ("l",)}).compile()
    point = {"A": np.ones((2, 60)), "S": np.ones((60, 60)), "B": np.ones((60, 50)), "x": np.ones(50)}
    assert np.allclose(function(**point), point["A"] @ point["S"] @ point["B"])
    turned = {"A": np.ones((60, 60)), "S": np.ones((60, 60)), "B": np.ones((60, 2)), "x": np.ones(2)}
    assert np.allclose(function(**turned), turned["A"] @ turned["S"] @ turned["B"])


def test_lists_integers_columns_and_names_are_taken() -> None:
    function = matcalc.derive("x.T @ A @ x", layout="denominator").compile()
    expected = [3.0, 7.0]
    assert function([1, 1], [[1, 0], [0, 2]]).tolist() == [2.0, 4.0]
    assert function(A=np.array([[1, 1], [0, 3]]), x=np.ones((2, 1))).tolist() == expected
    with pytest.raises(TypeError):
        function(np.eye(2))
    with pytest.raises(DeclarationError, match="no code for"):
        matcalc.derive("A @ x").compile("fortran")


# --- several values in one program ------------------------------------------------------------------------------


def test_value_and_derivative_share_what_they_have_in_common() -> None:
    derivative = matcalc.derive("sum(tanh(A @ x))", layout="denominator")
    function = derivative.value_and_derivative()
    assert function.source.count("np.tanh(A @ x)") == 1
    A, x = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.3, 0.4])
    value, gradient = function(A, x)
    assert np.isclose(value, np.tanh(A @ x).sum())
    assert np.allclose(gradient, derivative.evaluate({"A": A, "x": x}))


def test_all_weights_of_a_network_take_two_products_a_layer() -> None:
    layers = 32
    lines = [f"h{k + 1} = tanh(W{k} @ h{k})" for k in range(layers)]
    text = "; ".join(["h0 = x", *lines, f"sum(h{layers})"])
    shapes = {f"W{k}": ("n", "n") for k in range(layers)} | {"x": ("n",)}
    gradients = matcalc.derive(text, [f"W{k}" for k in range(layers)], layout="denominator", shapes=shapes)
    function = gradients.compile()
    assert function.source.count(" @ ") < 2 * layers
    rng = np.random.default_rng(0)
    point = {name: rng.standard_normal((3,) * len(shape)) for name, shape in shapes.items()}
    tensors = {name: torch.from_numpy(value).requires_grad_() for name, value in point.items()}
    h = tensors["x"]
    for k in range(layers):
        h = torch.tanh(tensors[f"W{k}"] @ h)
    h.sum().backward()
    found = function(**point)
    assert all(np.allclose(found[name], tensors[name].grad, rtol=1e-10, atol=1e-14) for name in found)


def test_block_hessian_and_mixed_derivative_are_compiled() -> None:
    blocks = matcalc.derive("sum(exp(x*y))", ["x", "y"], order=2, layout="torch")
    x, y = np.array([0.1, 0.2]), np.array([0.5, -0.3])
    found = blocks.compile()(x=x, y=y)
    expected = blocks.evaluate({"x": x, "y": y})
    assert all(np.allclose(found[key], expected[key]) for key in expected)
    mixed = matcalc.derive("x.T @ A @ y", order=("x", "y"))
    assert np.array_equal(mixed.compile()(x, np.eye(2), y), np.eye(2))


def test_code_of_a_residual_network_grows_in_proportion() -> None:
    def measure(depth: int) -> int:
        lines = [f"h{k + 1} = h{k} + tanh(W{k} @ h{k})" for k in range(depth)]
        text = "; ".join(["h0 = x", *lines, f"sum(h{depth})"])
        shapes = {f"W{k}": ("n", "n") for k in range(depth)} | {"x": ("n",)}
        return len(matcalc.derive(text, "x", layout="denominator", shapes=shapes).compile().source)

    assert measure(32) < 2.3 * measure(16)


# --- products with a derivative that is not formed -----------------------------------------------------------------


PRODUCTS = [
    ("A @ X @ B", "X", "A.T @ g @ B.T", "A @ dX @ B"),
    ("tanh(A @ x)", "x", "A.T @ (g*(1 - tanh(A @ x)**2))", "(1 - tanh(A @ x)**2)*(A @ dx)"),
    ("inv(X)", "X", "-inv(X).T @ g @ inv(X).T", "-inv(X) @ dX @ inv(X)"),
    ("logdet(X)", "X", "g*inv(X).T", "trace(inv(X) @ dX)"),
]


@pytest.mark.parametrize(("text", "wrt", "backward", "forward"), PRODUCTS)
def test_vjp_and_jvp_are_expressions_that_agree(text: str, wrt: str, backward: str, forward: str) -> None:
    derivative = matcalc.derive(text, wrt)
    assert str(derivative.vjp()) == backward
    assert str(derivative.jvp()) == forward
    assert derivative.vjp().check().verdict == derivative.jvp().check().verdict == "agrees"


def test_hvp_is_the_hessian_times_a_direction_and_forms_none() -> None:
    text = "norm(V @ tanh(W @ x) - y)**2"
    along = matcalc.derive(text, "W").hvp()
    point = along.draw_point()
    at = {name: value for name, value in point.items() if name != "dW"}
    hessian = matcalc.derive(text, "W", order=2, layout="torch").evaluate(at)
    found = along.compile()(**{name: point[name] for name in along.problem.symbols})
    assert np.allclose(found, np.einsum("abcd,cd->ab", hessian, point["dW"]), rtol=1e-10)
    assert not re.search(r"T\d+ =|einsum", along.compile().source)
    gradient = matcalc.derive(text, "W", layout="mixed").compile().source
    assert along.compile().source.count(" @ ") <= 2 * gradient.count(" @ ") + 1
    assert along.check().verdict == "agrees"


def test_products_are_refused_where_there_are_none() -> None:
    with pytest.raises(DeclarationError, match="hvp is of a scalar function"):
        matcalc.derive("A @ x").hvp()
    with pytest.raises(DeclarationError, match="g is a name in the expression"):
        matcalc.derive("g*x", "x").vjp()
    assert str(matcalc.derive("g*x", "x").vjp("u")) == "u*g"
    with pytest.raises(DeclarationError, match="of a derivative of order 1"):
        matcalc.derive("x.T @ A @ x", order=2).jvp()


# --- values that do not overflow ----------------------------------------------------------------------------------

HARD = ["log(1 + exp(x))", "log1p(exp(x))", "log(softmax(x))", "log(sum(exp(x)))", "log(sigmoid(x))", "sigmoid(x)",
        "softmax(x)", "logsumexp(x)", "gelu(x)", "softplus(x)", "silu(x)", "tanh(x)", "1/(1 + exp(-x))",
        "exp(x)/sum(exp(x))", "log(exp(x)/sum(exp(x)))", "log(1/(1 + exp(-x)))"]  # fmt: skip


@pytest.mark.parametrize(("text", "scale"), sample("hard", product(HARD, [1.0, 40.0, 1e3]), 0.5))
@pytest.mark.filterwarnings("error")
def test_value_and_derivative_do_not_overflow(text: str, scale: float) -> None:
    derivative = matcalc.derive(text, layout="torch")
    x = scale * np.array([1.0, -1.0, 0.25])
    value, jacobian = derivative.value_and_derivative()(x)
    words = {"softmax": lambda x: torch.softmax(x, 0), "logsumexp": lambda x: torch.logsumexp(x, 0)}
    stable = {"log(1 + exp(x))": "softplus(x)", "log1p(exp(x))": "softplus(x)", "log(softmax(x))": "log_softmax(x)",
              "log(sum(exp(x)))": "logsumexp(x)", "log(sigmoid(x))": "logsigmoid(x)",
              "1/(1 + exp(-x))": "sigmoid(x)", "exp(x)/sum(exp(x))": "softmax(x)",
              "log(exp(x)/sum(exp(x)))": "log_softmax(x)", "log(1/(1 + exp(-x)))": "logsigmoid(x)"}  # fmt: skip
    names = {**words, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "log_softmax": lambda x: torch.log_softmax(x, 0),
             "softplus": lambda x: torch.logaddexp(x, 0 * x), "logsigmoid": torch.nn.functional.logsigmoid,
             "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}  # fmt: skip
    name = stable.get(text, text).removesuffix("(x)")
    at = torch.from_numpy(x)
    truth = torch.autograd.functional.jacobian(names[name], at).numpy()
    assert np.allclose(value, names[name](at).numpy(), rtol=1e-12, atol=1e-300)
    assert np.isfinite(jacobian).all()
    assert np.allclose(jacobian, truth, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_branch_that_is_not_chosen_may_overflow(backend: str) -> None:
    hessian = matcalc.derive("sum(elu(x))", "x", order=2).compile(backend)
    x = np.array([1e3, -1e3, -1.0])
    with np.errstate(over="ignore"):
        found = np.asarray(hessian(x if backend == "numpy" else torch.from_numpy(x)))
    assert np.allclose(found, np.diag([0.0, 0.0, np.exp(-1.0)]))
