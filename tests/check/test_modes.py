"""Whatever of torch's modes is switched on, the judge computes as if none were, and leaves them as they were."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

import matcalc
from matcalc.check.modes import own_modes
from matcalc.check.points import draw
from matcalc.check.prove import prove_rule
from matcalc.errors import EvaluationError, RuleError
from matcalc.notebook.measure import average_in_processes
from matcalc.render.report_html import write_data_parallel_html
from matcalc.rule_files import read_rule
from tests.sampling import only_in_whole_run, spread

Work = Callable[[], Any]
Run = Callable[[Work], Any]

# --- the modes ------------------------------------------------------------------------------------


def within(*makers: Callable[[], AbstractContextManager[Any]]) -> Run:
    """Return what runs work inside of all these contexts."""

    def run(work: Work) -> Any:
        with ExitStack() as stack:
            for make in makers:
                stack.enter_context(make())
            return work()

    return run


def inside(transform: Callable[[Callable[[torch.Tensor], torch.Tensor]], Any]) -> Run:
    """Return what runs work inside of a function that a transform of torch.func calls."""

    def run(work: Work) -> Any:
        found: list[Any] = []

        def function(x: torch.Tensor) -> torch.Tensor:
            found.append(work())
            return (x * x).sum()

        transform(function)
        return found[0]

    return run


@contextmanager
def setting(write: Callable[[Any], Any], value: Any, before: Any) -> Iterator[None]:
    write(value)
    try:
        yield
    finally:
        write(before)


@contextmanager
def rough_products() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        for backend in MATMULS:
            backend.fp32_precision = "none"


def set_precision(backend: Any, value: str) -> None:
    backend.fp32_precision = value


def decide(is_on: bool) -> None:
    torch.use_deterministic_algorithms(is_on)


VECTOR = torch.tensor([0.5, 1.5])
MATMULS = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul

MODES: dict[str, Run] = {
    "no mode": lambda work: work(),
    "inference": within(torch.inference_mode),
    "no_grad": within(torch.no_grad),
    "autocast": within(partial(torch.autocast, "cpu", dtype=torch.bfloat16)),
    "float16": within(partial(setting, torch.set_default_dtype, torch.float16, torch.float32)),
    "float64": within(partial(setting, torch.set_default_dtype, torch.float64, torch.float32)),
    "default device": within(partial(setting, torch.set_default_device, "meta", None)),
    "device": within(partial(torch.device, "meta")),
    "deterministic": within(partial(setting, decide, True, False)),
    "anomalies": within(partial(torch.autograd.set_detect_anomaly, True)),
    "rough products": within(rough_products),
    "rough backends": within(partial(setting, partial(set_precision, torch.backends), "tf32", "none")),
    "doubled when saved": within(partial(torch.autograd.graph.saved_tensors_hooks, lambda x: x, lambda x: 2 * x)),
    "no hooks": within(partial(torch.autograd.graph.disable_saved_tensors_hooks, "no hooks here")),
    "no forward": within(partial(forward_ad._set_fwd_grad_enabled, False)),
    "dual level": within(forward_ad.dual_level),
    "grad": inside(lambda function: torch.func.grad(function)(VECTOR)),
    "vmap": inside(lambda function: torch.vmap(function)(VECTOR)),
    "jvp": inside(lambda function: torch.func.jvp(function, (VECTOR,), (VECTOR,))),
    "hessian": inside(lambda function: torch.func.hessian(function)(VECTOR)),
    "many": within(
        partial(torch.device, "meta"), partial(torch.autocast, "cpu"), torch.inference_mode,
        partial(setting, torch.set_default_dtype, torch.float16, torch.float32),
    ),
}  # fmt: skip

every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def read_state() -> dict[str, Any]:
    """Return all that a mode may change; the precision of products with what the backends inherit."""
    levels = torch._C._functorch.get_interpreter_stack() or []
    return {
        "inference": torch.is_inference_mode_enabled(),
        "gradients": (torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "dtype": torch.get_default_dtype(),
        "device": (torch.get_default_device(), torch.empty(0).device),
        "determinism": (
            torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        ),
        "anomalies": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "precision": [backend.fp32_precision for backend in (torch.backends, *MATMULS)],
        "hooks": torch._C._autograd._top_saved_tensors_default_hooks(True),
        "disabled": torch._C._autograd._saved_tensors_hooks_get_disabled_error_message(),
        "dual level": forward_ad._current_level,
        "levels": [(level.key(), level.level()) for level in levels],
        "modes": [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()],
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _no_mode_is_left() -> Iterator[None]:
    before = read_state()
    yield
    assert read_state() == before


# --- what is judged in them -----------------------------------------------------------------------

SHAPES = {"A": ("m", "n"), "x": ("n",)}
SOFTPLUS = "log(1 + exp(x))"


class Right(torch.autograd.Function):
    """log(1 + exp(x)), whose backward needs what was saved."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.log(1 + torch.exp(x))

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output * torch.sigmoid(*ctx.saved_tensors)


class Wrong(Right):
    @staticmethod
    def backward(ctx, grad_output):
        return 0 * grad_output


def judge_texts() -> list[str]:
    right = matcalc.check("sum(exp(x))", "exp(x)", "x", layout="denominator")
    wrong = matcalc.check("sum(exp(x))", "0*x", "x", layout="denominator")
    return [right.verdict, wrong.verdict]


def judge_float32() -> list[str]:
    right = matcalc.check("norm(A @ x)**2", "2*A.T @ A @ x", "x", layout="denominator", dtype="float32")
    wrong = matcalc.check("norm(A @ x)**2", "2*A.T @ A @ x + x/100", "x", layout="denominator", dtype="float32")
    return [right.verdict, wrong.verdict]


def judge_second_order() -> list[str]:
    right = matcalc.check("sum(x**3)", "6*diag(x)", "x", order=2)
    return [right.verdict, matcalc.check("sum(x**3)", "0*diag(x)", "x", order=2).verdict]


def judge_code() -> list[str]:
    # What it makes itself fits the point: the default dtype is that of the check.
    claims = [lambda x: torch.exp(x) * torch.ones(len(x)), lambda x: torch.zeros(len(x))]
    return [
        matcalc.check(lambda x: torch.ones(len(x)) @ torch.exp(x), claim, "x", layout="denominator").verdict
        for claim in claims
    ]


def judge_code_in_float32() -> list[str]:
    claims = [lambda x: torch.eye(len(x)) * 2, lambda x: torch.eye(len(x))]
    return [matcalc.check(lambda x: 2 * torch.eye(len(x)) @ x, claim, dtype="float32").verdict for claim in claims]


def judge_code_and_text() -> list[str]:
    asked = partial(matcalc.check, wrt="x", shapes=SHAPES)
    return [asked(lambda A, x: A @ x, "A").verdict, asked("A @ x", lambda A, x: 0 * A).verdict]


def judge_derivatives() -> list[str]:
    texts = ("softmax(A @ x)", "u(x)", "norm(u(A @ x))**2")
    found = [matcalc.derive(text, "x").check() for text in texts]
    assert all(found), [report.message for report in found]
    return [found[0].verdict, matcalc.check("u(x)", "0*x @ x.T", "x", shapes={"u": ("n",)}).verdict]


def judge_mixed() -> list[str]:
    derivative = matcalc.derive("x.T @ tanh(A @ y)", order=("x", "y"))
    return [derivative.check().verdict, matcalc.check("x.T @ A @ x", "0*x", layout="denominator").verdict]


def judge_backward() -> list[str]:
    return [matcalc.check_backward(function, SOFTPLUS).verdict for function in (Right, Wrong)]


def judge_rules() -> list[str]:
    rules = [read_rule("mine", {"elementwise": text, "torch": "torch.deg2rad"}, "my") for text in ("pi/180", "0*x")]
    return [prove_rule(rule).verdict for rule in rules]


WORKS = {
    "texts": judge_texts, "float32": judge_float32, "order 2": judge_second_order, "code": judge_code,
    "code in float32": judge_code_in_float32, "code and text": judge_code_and_text, "derive": judge_derivatives,
    "mixed": judge_mixed, "backward": judge_backward, "rules": judge_rules,
}  # fmt: skip


@pytest.mark.parametrize(("mode", "work"), spread("works", MODES, list(WORKS)))
def test_right_claims_agree_and_wrong_ones_differ(mode: str, work: str) -> None:
    def judge() -> list[str]:
        before = read_state()
        verdicts: list[str] = WORKS[work]()
        assert read_state() == before
        return verdicts

    assert MODES[mode](judge) == ["agrees", "differs"]


@every_mode
def test_what_is_wrong_is_told_as_ever(mode: Run) -> None:
    def judge() -> list[str]:
        texts = matcalc.check("x.T @ A @ x", "2*A @ x", layout="denominator", shapes={"A": ("n", "n")})
        terms = matcalc.check("sum(exp(x)) + x.T @ A @ x", "exp(x) + A @ x", "x", layout="denominator")
        return [texts.message, terms.message, matcalc.check_backward(Wrong, SOFTPLUS).message]

    assert mode(judge) == judge()


@every_mode
def test_code_sees_no_mode_and_its_error_leaves_all_as_before(mode: Run) -> None:
    seen: list[dict[str, Any]] = []

    def interrupt(x: torch.Tensor) -> torch.Tensor:
        seen.append(read_state())
        if len(seen) > 3:
            raise KeyboardInterrupt
        return 2 * x

    def judge() -> tuple[dict[str, Any], dict[str, Any]]:
        before = read_state()
        with pytest.raises(KeyboardInterrupt):
            matcalc.check(interrupt, "2*eye(n)", shapes={"x": ("n",)})
        return before, read_state()

    before, after = mode(judge)
    assert before == after
    found, plain = seen[-1], read_state()
    cpu = torch.device("cpu")
    assert (found["dtype"], *found["device"], found["autocast"][0]) == (torch.float64, cpu, cpu, False)
    assert set(found["precision"][1:]) <= {"ieee", "none"}
    assert found["gradients"][1]
    for name in ("inference", "determinism", "anomalies", "hooks", "levels"):
        assert found[name] == plain[name], name


# --- numbers --------------------------------------------------------------------------------------


def bend(x: Any) -> Any:
    return torch.sin(x) * x.sum()


POINT = np.array([0.25, 0.5, 2.0])
BENT = np.cos(POINT) * POINT.sum() * np.eye(3) + np.sin(POINT)[:, None]


@every_mode
def test_arrays_are_evaluated_as_ever(mode: Run) -> None:
    values = {"u": bend, "x": POINT}
    first, second = matcalc.derive("u(x)"), matcalc.derive("sum(u(x))", order=2)
    matrix = matcalc.derive("x.T @ A @ y", "x, y", order=2)
    numbers = {"A": np.arange(6.0).reshape(2, 3), "x": np.ones(2), "y": np.ones(3)}

    def evaluate() -> list[Any]:
        single = first.evaluate({"u": bend, "x": POINT.astype(np.float32)})
        assert single.dtype == np.float32
        return [first.evaluate(values), single, second.evaluate(values), matrix.matrix(numbers)]

    found = mode(evaluate)
    for got, expected in zip(found, evaluate(), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(found[0], BENT)


def evaluate_tensor() -> Any:
    return matcalc.derive("u(x)").evaluate({"u": bend, "x": torch.tensor(POINT, device="cpu")})


def call_compiled() -> Any:
    return matcalc.derive("u(x)").compile("torch")(torch.tensor(POINT, device="cpu"), bend)


# What a caller does to the tensors that a gradient saves is part of a computation with the caller's own tensors.
@pytest.mark.parametrize("name", [name for name in MODES if name != "doubled when saved"])
@pytest.mark.parametrize("work", [evaluate_tensor, call_compiled])
def test_tensors_have_the_derivative_of_a_function_or_none(name: str, work: Work) -> None:
    if name in ("grad", "vmap", "jvp", "hessian"):
        with pytest.raises((EvaluationError, RuntimeError), match="functorch"):
            MODES[name](work)
    else:
        np.testing.assert_allclose(MODES[name](work).detach().numpy(), BENT)


@pytest.mark.parametrize("is_on", [True, False])
def test_evaluate_keeps_the_mode_of_gradients(is_on: bool) -> None:
    x = torch.tensor(POINT, requires_grad=True)
    with torch.set_grad_enabled(is_on):
        value = matcalc.derive("sum(x**3)", layout="denominator").evaluate({"x": x})
        bent = matcalc.derive("u(x)").evaluate({"u": bend, "x": x})
    assert value.requires_grad == bent.requires_grad == is_on
    if is_on:
        (again,) = torch.autograd.grad(value.sum(), x)
        np.testing.assert_allclose(again.numpy(), 6 * POINT)
        assert torch.autograd.grad(bent.sum(), x)[0].abs().sum() > 0


def test_evaluate_takes_the_tensors_of_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.tensor(POINT)
    derivative = matcalc.derive("u(x)")
    np.testing.assert_allclose(derivative.evaluate({"u": bend, "x": x}).detach().numpy(), BENT)
    np.testing.assert_allclose(derivative.compile("torch")(x, bend).detach().numpy(), BENT)
    with torch.inference_mode():
        np.testing.assert_allclose(derivative.evaluate({"u": bend, "x": x}).numpy(), BENT)


def test_evaluate_keeps_the_dtype_of_its_tensors() -> None:
    A, x = torch.rand(3, 3), torch.rand(3)
    formula = partial(matcalc.derive("norm(A @ x)**2", "x").evaluate, {"A": A, "x": x})
    function = partial(matcalc.derive("u(x)").evaluate, {"u": lambda x: torch.sin(A @ x), "x": x})
    for compute in (formula, function):
        found = MODES["autocast"](compute)
        assert found.dtype == torch.float32
        assert torch.equal(found, compute())


def test_a_function_of_arrays_keeps_the_default_dtype() -> None:
    found = matcalc.derive("u(x)").evaluate({"u": lambda x: 2 * torch.eye(3) @ x, "x": POINT.astype(np.float32)})
    np.testing.assert_array_equal(found, 2 * np.eye(3))


@every_mode
def test_points_are_drawn_as_ever(mode: Run) -> None:
    derivative = matcalc.derive("norm(u(A @ x))**2", "x")
    plain, found = derivative.draw_point({"p": 2}, seed=5), mode(partial(derivative.draw_point, {"p": 2}, seed=5))
    np.testing.assert_array_equal(found["A"], plain["A"])
    np.testing.assert_array_equal(derivative.evaluate(found), derivative.evaluate(plain))
    # The function was first called inside the mode, and keeps its weights.
    tensors = {name: value if name == "u" else torch.tensor(value) for name, value in found.items()}
    np.testing.assert_allclose(derivative.evaluate(tensors).detach().numpy(), derivative.evaluate(plain))


@pytest.mark.parametrize("domain", ["real", "real posdef", "dominant", "real symmetric orthogonal"])
def test_values_are_drawn_where_the_random_numbers_are(domain: str) -> None:
    """As in a check on a GPU, whose code finds it to be the default device."""
    with torch.device("meta"):
        assert draw((3, 3), domain, torch.Generator().manual_seed(0)).device.type == "cpu"


@every_mode
def test_a_function_that_is_first_called_in_a_mode_can_be_called_outside(mode: Run) -> None:
    derivative = matcalc.derive("u(x)")
    function, same = (derivative.draw_point({"n": 3})["u"] for _ in range(2))
    mode(lambda: function(torch.ones(5, dtype=torch.float64, device="cpu")))
    found = derivative.evaluate({"u": function, "x": torch.ones(5, dtype=torch.float64)})
    assert torch.equal(found, derivative.evaluate({"u": same, "x": torch.ones(5, dtype=torch.float64)}))


@every_mode
def test_evidence_is_computed_as_ever(mode: Run) -> None:
    def judge() -> Any:
        return matcalc.check("sum(exp(x))", "0*x", "x", layout="denominator")

    plain = judge()
    expected = plain.jacobians()
    for found in (mode(judge).jacobians(), mode(plain.jacobians), mode(lambda: judge().jacobians())):
        assert torch.equal(found.truth, expected.truth)
        assert torch.equal(found.claim, expected.claim)
        assert not found.truth.is_inference()
    assert mode(plain._repr_html_) == plain._repr_html_()


@every_mode
def test_code_is_written_as_ever(mode: Run) -> None:
    derivative = matcalc.derive("sum(log(A @ x))", "x")
    assert mode(partial(derivative.code, "torch")) == derivative.code("torch")


def test_a_compiled_derivative_keeps_tensors_on_their_device() -> None:
    compiled = matcalc.derive("x.T @ x", layout="denominator").compile("torch")
    with torch.device("meta"):
        assert compiled(torch.ones(2, device="cpu")).device.type == "cpu"


@every_mode
def test_rules_of_a_file_are_proven_in_any_mode(mode: Run, tmp_path) -> None:
    right, wrong = tmp_path / "right.toml", tmp_path / "wrong.toml"
    right.write_text('[bend]\nelementwise = "cos(x)"\ntorch = "torch.sin"\n')
    wrong.write_text('[bend]\nelementwise = "0*x"\ntorch = "torch.sin"\n')
    assert str(mode(lambda: matcalc.derive("sum(bend(x))", layout="denominator", rules=right))) == "cos(x)"
    with pytest.raises(RuleError, match="is refused: differs"):
        mode(lambda: matcalc.derive("bend(x)", rules=wrong))


@only_in_whole_run()
def test_processes_and_their_gradients_in_many_modes() -> None:
    report = MODES["many"](lambda: matcalc.check_data_parallel("norm(X@w - y)**2", "w", trials=1))
    assert report.factor == 0.5, report.message
    values = {"X": np.eye(2), "w": np.ones(2), "y": np.zeros(2)}
    found = MODES["many"](lambda: average_in_processes("norm(X@w - y)**2", "w", values))
    np.testing.assert_array_equal(found, [1, 1])


# --- what cannot be set aside ---------------------------------------------------------------------


class Doubling(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        value = func(*args, **(kwargs or {}))
        return 2 * value if func is torch.exp else value


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def trace(work: Work) -> Any:
    found: list[Any] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        found.append(work())
        return 2 * x

    torch.jit.trace(function, VECTOR, check_trace=False)
    return found[0]


STRANGE = {
    "FakeTensorMode": within(FakeTensorMode), "Doubling": within(Doubling), "Watching": within(Watching),
    "torch.jit.trace": trace, "Doubling is": within(torch.inference_mode, Doubling, partial(torch.device, "meta")),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_mode_that_cannot_be_set_aside_is_named(name: str) -> None:
    mode, derivative = STRANGE[name], matcalc.derive("sum(exp(x))", layout="denominator")
    rule = read_rule("mine", {"elementwise": "pi/180", "torch": "torch.deg2rad"}, "my.toml")
    plain = matcalc.check("sum(exp(x))", "0*x")

    def judge() -> list[Any]:
        before = read_state()
        parallel = matcalc.check_data_parallel("norm(X@w - y)**2", "w")
        assert write_data_parallel_html(parallel)
        backward = matcalc.check_backward(Right, SOFTPLUS)
        reports = [
            matcalc.check("sum(exp(x))", "exp(x)"), matcalc.check("sum(exp(x))", "0*x"), derivative.check(),
            matcalc.check(bend, "0*eye(n)"), prove_rule(rule), parallel, backward.forward, backward.inputs["x"],
        ]  # fmt: skip
        assert read_state() == before
        return reports

    reports = mode(judge)
    assert {report.verdict for report in reports} == {"could not check"}
    assert all(name in report.message and "call matcalc outside of" in report.message for report in reports)
    assert mode(plain.jacobians) is None
    for compute in (derivative.draw_point, lambda: derivative.evaluate({"x": POINT})):
        with pytest.raises(EvaluationError, match=name):
            mode(compute)
    assert mode(partial(derivative.code, "torch")).startswith('"""f = sum(exp(x)) and its derivative')
    assert mode(lambda: matcalc.check("A @ x", "x").reasons) == ("shape",)


def test_code_that_keeps_tensors_of_a_mode_could_not_be_checked() -> None:
    with torch.inference_mode():
        kept = torch.ones(1, dtype=torch.float64)
        report = matcalc.check(lambda x: kept * x, "eye(n)", shapes={"x": ("n",)})
    assert report.verdict == "could not check"
    assert "Inference tensors cannot be saved for backward" in report.message

    def judge(x: torch.Tensor) -> torch.Tensor:
        verdicts.append(matcalc.check(lambda y: x.sum() * y, "0*eye(n)", shapes={"y": ("n",)}).verdict)
        verdicts.append(matcalc.check(lambda y: x.sum() * y, "2*eye(n)", shapes={"y": ("n",)}).verdict)
        return x.sum()

    verdicts: list[str] = []
    torch.vmap(judge)(VECTOR)
    torch.func.grad(judge)(VECTOR)
    assert verdicts == ["could not check", "could not check", "differs", "agrees"]


# --- threads and processes ------------------------------------------------------------------------


def test_threads_that_overlap_leave_the_settings_of_the_process_as_before() -> None:
    """The first to enter leaves first; the second computes on in its own dtype and restores what the first found."""
    entered, left, seen = threading.Event(), threading.Event(), []

    def read() -> tuple[torch.dtype, bool]:
        return torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()

    def compute_second() -> None:
        with own_modes("float32"):
            entered.set()
            left.wait(10)
            seen.append(read())
        seen.append(read())

    torch.use_deterministic_algorithms(True)
    try:
        second = threading.Thread(target=compute_second)
        with own_modes("float64"):
            second.start()
            entered.wait(10)
        left.set()
        second.join()
        assert seen == [(torch.float32, False), (torch.float32, True)]
    finally:
        torch.use_deterministic_algorithms(False)


def test_what_inherits_a_precision_inherits_it_afterwards() -> None:
    torch.backends.fp32_precision = "tf32"
    try:
        with own_modes():
            assert [backend.fp32_precision for backend in MATMULS] == ["ieee", "ieee"]
        torch.backends.fp32_precision = "ieee"
        assert [backend.fp32_precision for backend in MATMULS] == ["ieee", "ieee"]
    finally:
        torch.backends.fp32_precision = "none"


def test_modes_nest() -> None:
    with torch.inference_mode(), own_modes("float32"):
        outer = read_state()
        with own_modes("float64"):
            assert torch.get_default_dtype() == torch.float64
        assert read_state() == outer
        assert torch.is_grad_enabled()


FIRST_USE = """
import torch, matcalc
constant = matcalc.derive("2*t", "t", shapes={"t": ()})
with torch.inference_mode(), torch.device("meta"):
    assert constant.evaluate({}) == 2
    assert matcalc.derive("u(x)").check(), "inside"
assert constant.evaluate({}) == 2
assert matcalc.derive("norm(u(x))").check(), "outside"
"""


def test_the_judge_may_be_imported_in_any_mode() -> None:
    """Nothing that a module keeps is made in the mode of the first caller."""
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
