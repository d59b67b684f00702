"""Code written for NumPy, torch and JAX: that of every case runs, agrees with the derivative, passes its own check."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import matcalc
from matcalc import Derivative
from matcalc.check.evaluate import evaluate_with
from matcalc.check.points import Point
from matcalc.errors import DeclarationError, MissingRuleError, RuleError
from matcalc.language.expression_to_text import to_text
from matcalc.render.code.autograd import to_autograd_function
from matcalc.render.code.module import to_code
from matcalc.render.code.regroup import regroup
from matcalc.rule_files import read_rule, shipped_rules
from tests.read_cases import LAYOUTS, Case, arrange, derive_case, differentiate, error_of, find_point, read_cases
from tests.requirements import find_absent, need, needs
from tests.sampling import sample, spread

CASES = read_cases()
MODULES = {"numpy": "numpy", "torch": "torch", "jax": "jax.numpy"}
BACKENDS = tuple(MODULES)
INSTALLED = [name for name in BACKENDS if not find_absent(name)]
# Each case is written in one of the layouts for each backend, so that every layout meets every kind of formula.
LAYOUT = {
    (case, name): LAYOUTS[(k + j) % len(LAYOUTS)] for k, case in enumerate(CASES) for j, name in enumerate(BACKENDS)
}

every_backend = pytest.mark.parametrize("backend", [pytest.param(name, marks=needs(name)) for name in BACKENDS])
# The programs of JAX run once, so that time spent on making them fast is lost.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")


@pytest.fixture(autouse=True)
def use_double_precision(request: pytest.FixtureRequest) -> Any:
    if "jax" not in request.node.name or find_absent("jax"):
        yield
        return
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@cache
def write_case(case: Case, backend: str) -> str:
    source = to_code(derive_case(case, LAYOUT[case, backend]), backend)
    if "import scipy" in source:
        need("scipy")
    return source


def execute(source: str, name: str = "written") -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(source, "<written>", "exec"), namespace)
    return namespace


def run_check(source: str) -> int:
    """The exit status of a script that ends with SystemExit, run in this process."""
    with pytest.raises(SystemExit) as ended:
        execute(source, "__main__")
    return int(ended.value.code or 0)


# --- values ----------------------------------------------------------------------------------------------------


class Stand:
    """A smooth function in the place of an abstract one, in the words of each backend."""

    def __init__(self, shape: tuple[int, ...], module: ModuleType) -> None:
        self.shape, self.module = shape, module

    def __call__(self, x: Any) -> Any:
        flat, count = self.module.ravel(x), int(np.prod(self.shape))
        weights = np.sin(np.arange(1.0, count + 1)[:, None] * np.arange(1.0, len(flat) + 1))
        shift = np.arange(1.0, count + 1)
        if self.module is torch:
            weights, shift = torch.from_numpy(weights), torch.from_numpy(shift)
        return (2 + self.module.sin(weights @ flat + shift)).reshape(self.shape)


def differentiate_stand(function: Stand, order: int) -> Callable[[Any], Any]:
    """D(u, x) in numerator layout, as NumPy code takes it."""

    def evaluate(x: Any) -> Any:
        at = torch.from_numpy(np.array(x))
        tensor = differentiate(Stand(function.shape, torch), at, order)
        return arrange(tensor, tensor.ndim - order * at.ndim, at.ndim, "numerator").detach().numpy()

    return evaluate


def convert(value: torch.Tensor, backend: str) -> Any:
    return value if backend == "torch" else importlib.import_module(MODULES[backend]).asarray(value.numpy())


def find_arguments(derivative: Derivative, function: Callable[..., Any], point: Point, backend: str) -> list[Any]:
    """A value for each argument of the written function: arrays, functions, their derivatives, sizes."""
    module = importlib.import_module(MODULES[backend])
    symbols, found = derivative.problem.symbols, []
    for name in inspect.signature(function).parameters:
        own = name if name in symbols else name.removesuffix("_")
        if own in symbols:
            shape = [size.value(point.sizes) for size in symbols[own].squeezed_shape]
            found.append(convert(point.values[own].reshape(shape), backend))
        elif name in point.functions:
            found.append(Stand(point.functions[name].shape, module))
        elif name in point.sizes:
            found.append(point.sizes[name])
        else:
            order, _, letter = name.removeprefix("D").partition("_")
            found.append(differentiate_stand(Stand(point.functions[letter].shape, np), int(order or 1)))
    return found


def compute(derivative: Derivative, source: str, point: Point, backend: str) -> torch.Tensor:
    function = execute(source)[f"derivative_of_{derivative.result_name}"]
    arguments = find_arguments(derivative, function, point, backend)
    # One program is compiled sooner than its operations one by one, but not the many steps of sqrtm.
    if backend == "jax" and "sqrtm" not in source:
        import jax

        fixed = tuple(place for place, given in enumerate(arguments) if not isinstance(given, jax.Array))
        function = jax.jit(function, static_argnums=fixed)
    value = function(*arguments)
    return value if backend == "torch" else torch.from_numpy(np.array(value))


@pytest.mark.parametrize(("case", "backend"), spread("code", sample("code", CASES, 0.3), INSTALLED), ids=str)
def test_written_code_agrees_with_the_derivative(case: Case, backend: str) -> None:
    derivative, point = derive_case(case, LAYOUT[case, backend]), find_point(case, 0)
    value = compute(derivative, write_case(case, backend), point, backend)
    functions = {name: Stand(function.shape, torch) for name, function in point.functions.items()}
    truth = torch.as_tensor(derivative.evaluate({**point.values, **functions}, point.sizes)).detach()
    assert value.shape == truth.shape
    assert value.dtype == torch.float64
    assert error_of(value, truth) < 1e-9


# --- the check at the bottom ------------------------------------------------------------------------------------

# Where differences are no judge: torch's choice at a kink, and a pseudo-inverse that is nearly singular.
NOT_BY_DIFFERENCES = {"regression-kink-of-skew-matrix", "regression-sums-are-written-once"}


@pytest.mark.parametrize(("place", "case"), sample("checks of code", enumerate(CASES), 0.2), ids=str)
def test_written_check_passes(place: int, case: Case) -> None:
    backend = "torch" if place % 2 or case.id in NOT_BY_DIFFERENCES else "numpy"
    assert run_check(write_case(case, backend)) == 0


@needs("jax")
@pytest.mark.parametrize("text", ["logdet(X.T @ X)", "softmax(A @ x)", "sum(log(x))", "u(A @ x)"])
def test_written_check_of_jax_passes(text: str) -> None:
    assert run_check(to_code(matcalc.derive(text), "jax")) == 0


@every_backend
@pytest.mark.parametrize("word", ["symmetric", "skew", "posdef", "orthogonal", "invertible", "diagonal"])
def test_written_check_draws_a_scalar_with_a_structure(backend: str, word: str) -> None:
    derivative = matcalc.derive("X*exp(X)", "X", shapes={"X": ()}, assume={"X": word})
    assert run_check(to_code(derivative, backend)) == 0


@every_backend
@pytest.mark.parametrize("word", ["posdef", "symmetric, orthogonal"])
def test_written_check_draws_what_is_symmetric_to_the_last_bit(backend: str, word: str) -> None:
    source = to_code(matcalc.derive("trace(A @ B)", "B", assume={"A": word}, shapes={"A": ("n", "n")}), backend)
    drawn = source.replace("    value = ", "    assert bool((A == A.T).all())\n    value = ")
    assert drawn != source
    assert run_check(drawn) == 0


@every_backend
def test_written_check_notices_a_wrong_formula(backend: str) -> None:
    source = to_code(matcalc.derive("x.T @ A @ x"), backend)
    assert source.count("A + A.T") == 2
    assert run_check(source.replace("A + A.T", "A + A")) == 1


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("layer_norm(X @ w + b)", "numpy"), ("gelu(x)", "numpy"), ("inv(A @ X)", "torch"),
        pytest.param("softmax(A @ x)", "jax", marks=needs("jax")),
    ],
)
def test_written_code_is_a_script(tmp_path: Any, text: str, backend: str) -> None:
    path = tmp_path / "written.py"
    path.write_text(to_code(matcalc.derive(text), backend), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "largest error" in done.stdout
    assert "matcalc" not in path.read_text(encoding="utf-8")


# --- how it reads -----------------------------------------------------------------------------------------------


def read_body(source: str, name: str) -> str:
    """The lines of a function below its docstring."""
    after = source.split(f"def {name}(")[1].split('"""', 2)[2]
    return inspect.cleandoc(after.split("\n\n\n")[0])


READINGS = [
    ("x.T @ A @ x", "denominator", "return (A + A.T) @ x"),
    ("norm(X@w - y)**2", "denominator", "return 2 * (X.T @ (X @ w - y))"),
    ("softmax(A @ x)", "torch", "v1 = softmax(A @ x)  # (m,)\nreturn v1[:, None] * (A - v1 @ A)"),
    ("trace(A @ X @ B)", "denominator", "return A.T @ B.T"),
    ("inv(A) @ x", "numerator", "return np.linalg.inv(A)"),
    ("sum(A @ x)", "denominator", "return np.sum(A, axis=0)"),
    ("sum(exp(A @ B @ C @ x))", "denominator", "return C.T @ (B.T @ (A.T @ np.exp(A @ (B @ (C @ x)))))"),
]


@pytest.mark.parametrize(("text", "layout", "body"), READINGS)
def test_code_is_written_without_waste(text: str, layout: str, body: str) -> None:
    derivative = matcalc.derive(text, "w" if "w" in text else None, layout=layout)
    source = to_code(derivative, "numpy")
    assert read_body(source, f"derivative_of_{derivative.result_name}") == body


def test_inverse_is_solved_for_and_trace_needs_no_product() -> None:
    source = to_code(matcalc.derive("trace(A @ X) + y.T @ inv(B) @ x", "x"), "numpy")
    assert "np.sum(A * X.T)" in source
    assert "np.linalg.solve(" in source
    assert "inv(" not in read_body(source, "f")


def test_docstring_names_shapes_formula_and_layout() -> None:
    function = execute(to_code(matcalc.derive("A @ x", layout="denominator"), "torch"))["derivative_of_y"]
    assert "dy/dx = A.T." in function.__doc__
    assert "denominator layout, shape (n, m)" in function.__doc__
    assert "A: (m, n)" in function.__doc__


def test_sizes_that_no_array_tells_are_arguments() -> None:
    function = execute(to_code(matcalc.derive("ones(m) @ x.T"), "numpy"))["derivative_of_Y"]
    assert list(inspect.signature(function).parameters) == ["x", "m"]
    assert function(np.ones(3), 2).shape == (2, 3, 3)


def test_names_that_python_keeps_are_written_with_an_underscore() -> None:
    source = to_code(matcalc.derive("lambda*np + error", "np"), "numpy")
    function = execute(source)["derivative_of_y"]
    assert set(inspect.signature(function).parameters) == {"lambda_", "np_", "error_"}
    assert run_check(source) == 0


def test_code_of_a_deep_network_grows_in_proportion() -> None:
    def measure(depth: int) -> int:
        text = "x"
        for layer in range(depth):
            text = f"tanh(W{layer} @ {text})"
        return len(read_body(to_code(matcalc.derive(f"sum({text})", layout="denominator"), "numpy"), "derivative_of_f"))

    assert measure(16) < 2.3 * measure(8)


def test_products_are_regrouped_to_equal_values() -> None:
    text = "y.T @ A @ (2*diag(x) - x @ x.T/3 + eye(n)) @ A.T + (A @ (diag(x) - x @ x.T) @ A.T @ y).T"
    function = matcalc.derive(text, "y").function
    (whole,) = regroup(function)
    values = {"A": np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 4.0]]), "x": np.array([1.0, -2.0, 0.5]), "y": np.ones(2)}
    assert np.allclose(evaluate_with(whole, values), evaluate_with(function, values), rtol=1e-13)
    assert "eye" not in to_text(whole)


# --- a torch.autograd.Function ------------------------------------------------------------------------------------


FIRST = [case for case in CASES if case.order == 1 and "abstract" not in case.id and not case.id.endswith("-constant")]


@pytest.mark.parametrize("case", sample("autograd", FIRST, 0.25), ids=lambda case: case.id)
def test_autograd_function_passes_gradcheck(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    execute(to_autograd_function(derive_case(case)), "__main__")
    assert "every gradient agrees" in capsys.readouterr().out


def test_autograd_function_is_judged_right() -> None:
    namespace = execute(to_autograd_function(matcalc.derive("softmax(W @ x + b)"), "Layer"))
    report = matcalc.check_backward(namespace["Layer"], "softmax(W @ x + b)")
    assert [each.verdict for each in report.inputs.values()] == ["agrees"] * 3


def test_autograd_function_shares_what_gradients_have_in_common() -> None:
    source = to_autograd_function(matcalc.derive("softmax(W @ x)"))
    assert "save_for_backward(W, x, y)" in source
    assert "v1 = y * (grad_output - y @ grad_output)  # (m,)" in source
    assert "grad_x = W.T @ v1" in source


def test_autograd_function_computes_only_gradients_that_are_wanted() -> None:
    layer = execute(to_autograd_function(matcalc.derive("A @ x")))["Formula"]
    A, x = torch.ones(2, 3, dtype=torch.float64), torch.ones(3, dtype=torch.float64, requires_grad=True)
    layer.apply(A, x).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 2.0, dtype=torch.float64))
    assert A.grad is None


def test_wrong_gradient_fails_the_check() -> None:
    source = to_autograd_function(matcalc.derive("A @ x")).replace("grad_x = A.T @", "grad_x = 2 * A.T @")
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        execute(source, "__main__")


# --- what cannot be written ---------------------------------------------------------------------------------------

MISH = {"elementwise": "tanh(softplus(x)) + x*sigmoid(x)*(1 - tanh(softplus(x))**2)",
        "torch": "torch.nn.functional.mish"}  # fmt: skip


def test_function_without_a_word_is_refused_by_name() -> None:
    book = shipped_rules().extended([read_rule("mish", MISH, "my.toml")])
    derivative = matcalc.derive("mish(x)", rules=book)
    assert run_check(to_code(derivative, "torch")) == 0
    with pytest.raises(MissingRuleError, match=r"mish\(x\) has no word in NumPy"):
        to_code(derivative, "numpy")


@needs("jax")
def test_rule_names_its_words() -> None:
    book = shipped_rules().extended([read_rule("mish", {**MISH, "jax": "jax.nn.mish"}, "my.toml")])
    source = to_code(matcalc.derive("mish(x)", rules=book), "jax")
    assert "jax.nn.mish(x)" in source
    assert run_check(source) == 0


@pytest.mark.parametrize("word", ["os.system", "numpy.ctypeslib.load_library.x", "numpy._core", "exp", "jax.numpy.exp"])
def test_word_must_be_a_function_of_its_module(word: str) -> None:
    with pytest.raises(RuleError, match="is no function of numpy"):
        read_rule("mish", {**MISH, "numpy": word}, "my.toml")


def test_unknown_backend_and_abstract_function_are_refused() -> None:
    with pytest.raises(DeclarationError, match="no code for 'fortran'"):
        to_code(matcalc.derive("A @ x"), "fortran")
    with pytest.raises(MissingRuleError, match="u is an abstract function"):
        to_autograd_function(matcalc.derive("u(x)"))
