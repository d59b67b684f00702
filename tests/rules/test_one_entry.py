"""One entry makes a function: a stranger's file, and nothing else, and each works everywhere."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

import matcalc
from matcalc import MatcalcError
from matcalc.check.evaluate import evaluate_with
from matcalc.check.prove import prove_rule
from matcalc.errors import MissingRuleError, RuleError
from matcalc.inputs import verified_rules
from matcalc.language.text_to_expression import parse
from matcalc.render.code.module import to_code
from matcalc.render.to_sympy import to_sympy
from matcalc.render.unicode import to_unicode
from matcalc.rule_files import RuleBook, read_rule, shipped_rules
from tests.requirements import find_absent, needs
from tests.sympy_reading import read_sympy_value

RULES = r"""
[log_cosh]
call        = "logcosh(x)"
elementwise = "tanh(x)"
define      = "abs(x) + softplus(-2*abs(x)) - log(2)"
latex       = "\\log\\cosh({x})"
source      = "log(cosh(x)) without overflow"

[my_mish]
elementwise = "tanh(softplus(x)) + x*sigmoid(x)*(1 - tanh(softplus(x))**2)"
define      = "x*tanh(softplus(x))"
torch       = "torch.nn.functional.mish"
latex       = "\\operatorname{mish}({x})"
source      = "Misra, Mish (2019)"

[cosine]
call   = "cosine(x[n], y[n])"
define = "sum(x*y)/(norm(x)*norm(y))"
axis   = true
latex  = "\\cos\\angle({x}, {y})"
source = "definition"

[my_rms_norm]
call   = "my_rms_norm(x) -> x"
define = "x/sqrt(mean(x**2) + 1e-5)"
axis   = true
latex  = "\\operatorname{rms}({x})"
source = "Zhang & Sennrich, Root mean square layer normalization (2019)"

[my_std]
define = "sqrt(var(x))"
axis   = true
torch  = "torch.std(x, dim, correction=0)"
numpy  = "numpy.std"
latex  = "\\operatorname{std}({x})"
source = "definition"

[deviation]
define = "sqrt(var(x))"
axis   = true
latex  = "\\operatorname{dev}({x})"
source = "definition"

[soft_maximum]
call         = "softest(x)"
differential = "sum(softmax(x)*dx)"
define       = "max(x) + log(mean(exp(x - max(x))))"
axis         = true
sympy        = "log(mean(exp(x)))"
jax          = "jax.nn.logmeanexp(x, axis)"
latex        = "\\operatorname{softest}({x})"
source       = "definition"

[shared]
call   = "shared(x) -> x"
define = "softmax(2*x)"
axis   = true
latex  = "\\operatorname{shared}({x})"
source = "definition"

[portions]
call   = "portions(x) -> x"
define = "exp(x)/sum(exp(x))"
axis   = true
torch  = "torch.softmax(x, dim)"
latex  = "\\operatorname{portions}({x})"
source = "definition"

[average]
define = "sum(x)/size(x)"
axis   = true
torch  = "torch.mean"
latex  = "\\operatorname{average}({x})"
source = "definition"

[pairs]
call         = "pairs(x[n], y[n])"
differential = "sum(y*dx) + sum(x*dy)"
define       = "sum(x*y)"
axis         = true
latex        = "\\langle {x}, {y} \\rangle"
source       = "definition"

[divergence]
call   = "divergence(p[n], q[n])"
define = "sum(p*log(p/q))"
latex  = "D({p}, {q})"
source = "definition"

[ratio]
call        = "ratio(y, x)"
elementwise = ["x/(x**2 + y**2)", "-y/(x**2 + y**2)"]
define      = "arctan(y/x)"
domain      = "x > 0"
torch       = "torch.arctan2(y, x)"
numpy       = "numpy.arctan2(y, x)"
jax         = "jax.numpy.arctan2(y, x)"
latex       = "\\operatorname{ratio}({y}, {x})"
source      = "definition"
"""
CALLS = [
    "logcosh(x)", "logcosh(A @ x)", "logcosh(X)", "my_mish(x)", "cosine(x, y)", "cosine(X, Y, axis=0)",
    "cosine(X, Y, axis=1)", "pairs(x, y)", "pairs(X, A @ X, axis=0)", "my_rms_norm(x)", "my_rms_norm(X)",
    "my_rms_norm(X, axis=0)", "my_rms_norm(X, axis=1)", "my_std(x)", "my_std(X)", "my_std(X, axis=0)",
    "my_std(X, axis=1, keepdims=True)", "deviation(X, axis=0)", "softest(x)", "softest(X)", "softest(X, axis=0)",
    "shared(X, axis=1)", "portions(X)", "portions(X, axis=0)", "average(X, axis=1)",
    "divergence(p, q)", "ratio(y, x)", "a.T @ my_std(X, axis=0)",
]  # fmt: skip
ASSUME = {"p": "simplex", "q": "simplex"}
# What each is, written once more.
VALUES: dict[str, Callable[..., np.ndarray]] = {
    "logcosh": lambda x: np.log(np.cosh(x)), "my_mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "my_rms_norm": lambda x, **axis: x / np.sqrt(np.mean(x**2, keepdims=True, **axis) + 1e-5),
    "my_std": lambda x, **axis: np.std(x, **axis), "deviation": lambda x, **axis: np.std(x, **axis),
    "softest": lambda x, **axis: np.log(np.mean(np.exp(x), **axis)),
    "shared": lambda x, **axis: np.exp(2 * x) / np.sum(np.exp(2 * x), keepdims=True, **axis),
    "portions": lambda x, **axis: np.exp(x) / np.sum(np.exp(x), keepdims=True, **axis), "average": np.mean,
    "cosine": lambda x, y, **axis: np.sum(x * y, **axis) / np.sqrt(np.sum(x**2, **axis) * np.sum(y**2, **axis)),
    "pairs": lambda x, y, **axis: np.sum(x * y, **axis), "divergence": lambda p, q: np.sum(p * np.log(p / q)),
    "ratio": np.arctan2,
}  # fmt: skip

every_call = pytest.mark.parametrize("text", CALLS)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> RuleBook:
    path = tmp_path_factory.mktemp("rules") / "stranger.toml"
    path.write_text(RULES, encoding="utf-8")
    return verified_rules(path)


def derive(text: str, book: RuleBook, order: int = 1) -> matcalc.Derivative:
    assume = ASSUME if text.startswith("divergence") else None
    wrt = next(name for name in ("X", "x", "p") if name in text.partition("(")[2])
    return matcalc.derive(text, wrt, rules=book, order=order, assume=assume)


def draw(derivative: matcalc.Derivative) -> dict[str, np.ndarray]:
    generator, sizes = np.random.default_rng(3), {"n": 3, "k": 4, "m": 5, "p": 2}
    return {
        name: generator.uniform(0.2, 1, [size.value(sizes) for size in node.squeezed_shape])
        for name, node in derivative.problem.symbols.items()
    }


@every_call
def test_it_is_derived_and_judged(text: str, book: RuleBook) -> None:
    assert derive(text, book).check().verdict == "agrees"


@every_call
def test_it_has_second_derivatives(text: str, book: RuleBook) -> None:
    scalar = text if derive(text, book).function.is_scalar else f"sum({text})"
    assert derive(scalar, book, order=2).check().verdict == "agrees"


@pytest.mark.parametrize("text", [text for text in CALLS if not text.startswith("a.T")])
def test_it_has_its_value(text: str, book: RuleBook) -> None:
    derivative = derive(text, book)
    values = draw(derivative)
    truth = eval(text, {}, {**VALUES, **values})
    value = evaluate_with(derivative.function, {name: torch.from_numpy(array) for name, array in values.items()})
    np.testing.assert_allclose(np.squeeze(value), np.squeeze(truth), rtol=1e-12)


@every_call
def test_it_is_shown(text: str, book: RuleBook) -> None:
    derivative = derive(text, book)
    assert derivative.latex()
    assert to_unicode(derivative.expression)
    assert derivative.write_steps("text")
    assert derivative.write_steps("latex")
    assert derivative.chain()
    assert str(derivative.graph())
    assert derivative._repr_html_()


@every_call
@pytest.mark.parametrize("backend", [pytest.param(name, marks=needs(name)) for name in ("numpy", "torch", "jax")])
def test_its_code_passes_its_own_check(text: str, backend: str, book: RuleBook) -> None:
    source = to_code(derive(text, book), backend)
    if backend == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
        exec(source, {"__name__": "__main__"})
    assert not ended.value.code


@every_call
def test_its_autograd_function_passes_gradcheck(text: str, book: RuleBook, capsys: pytest.CaptureFixture[str]) -> None:
    exec(derive(text, book).autograd_function(), {"__name__": "__main__"})
    assert "every gradient agrees" in capsys.readouterr().out


@every_call
def test_it_is_sympys(text: str, book: RuleBook) -> None:
    derivative = derive(text, book)
    values = draw(derivative)
    held = {name: value.reshape(-1, 1) if value.ndim == 1 else value for name, value in values.items()}
    sizes = {str(size): number for name, node in derivative.problem.symbols.items()
             for size, number in zip(node.squeezed_shape, values[name].shape, strict=True)}  # fmt: skip
    truth = derivative.function
    if text.startswith("ratio"):
        with pytest.raises(MatcalcError, match="ratio of several arrays"):
            to_sympy(truth)
        return
    tensors = {name: torch.from_numpy(array) for name, array in values.items()}
    value = read_sympy_value(to_sympy(truth), {**held, **sizes})
    np.testing.assert_allclose(np.squeeze(value), np.squeeze(evaluate_with(truth, tensors)), rtol=1e-10)


def test_words_are_called_as_the_entry_says(book: RuleBook) -> None:
    assert "torch.std(X, dim=0, correction=0)" in derive("my_std(X, axis=0)", book).code("torch")
    assert "torch.std(X, correction=0)" in derive("my_std(X)", book).code("torch")
    assert "np.std(X, axis=0)" in derive("my_std(X, axis=0)", book).code("numpy")
    assert "np.arctan2(y, x)" in derive("ratio(y, x)", book).code("numpy")
    assert "torch.softmax(X, dim=0)" in derive("portions(X, axis=0)", book).code("torch")
    assert "torch.mean(X)" in derive("average(X)", book).code("torch")
    if not find_absent("jax"):
        assert "jax.nn.logmeanexp(X, axis=1)" in derive("softest(X, axis=1)", book).code("jax")


@pytest.mark.parametrize("text", ["softest(x)", "logcosh(x)", "shared(x)"])
def test_definitions_do_not_overflow(text: str, book: RuleBook) -> None:
    function = parse(text, rules=book).expressions[0]
    value = evaluate_with(function, {"x": torch.tensor([1000.0, 999.0, 0.0], dtype=torch.float64)})
    assert np.isfinite(np.asarray(value)).all()


def test_a_name_alone_has_no_axis_in_torch() -> None:
    entry = {"differential": "mean(dx)", "axis": True, "torch": "torch.mean"}
    book = shipped_rules().extended([read_rule("mine", entry, "my.toml")])
    derivative = matcalc.derive("mine(X, axis=0)", rules=book)
    with pytest.raises(MissingRuleError, match=r'torch = "torch\.mean\(x, dim\)"'):
        derivative.code("torch")


# --- what is proven of an entry -----------------------------------------------------------------------------------

LOG = {"elementwise": "1/x", "domain": "x > 0", "torch": "torch.log"}


def test_a_definition_beside_a_derivative_is_proven() -> None:
    right, wrong = ({**LOG, "define": text} for text in ("log1p(x - 1)", "log1p(x)"))
    assert prove_rule(read_rule("mine", right, "my.toml")).message.count("; its definition agrees") == 1
    assert prove_rule(read_rule("mine", wrong, "my.toml")).verdict == "differs"


def test_a_derivative_is_proven_against_the_definition_where_there_is_no_word() -> None:
    entry = {"elementwise": "2*x", "define": "x**2"}
    assert prove_rule(read_rule("mine", entry, "my.toml")).message.startswith("agrees with the jacobian of its def")
    assert prove_rule(read_rule("mine", {**entry, "elementwise": "x"}, "my.toml")).verdict == "differs"


@pytest.mark.parametrize("word", ["torch.var(x, dim)", "torch.std(x, dim, correction=0)", "torch.cumsum(x, dim)"])
def test_a_call_that_is_another_function_is_refused(word: str) -> None:
    entry = {"define": "mean((x - mean(x))**2)", "axis": True}
    assert not prove_rule(read_rule("mine", {**entry, "torch": word}, "my.toml"))
    assert prove_rule(read_rule("mine", {**entry, "torch": "torch.var(x, dim, correction=0)"}, "my.toml"))


def test_what_it_is_in_sympy_is_proven() -> None:
    entry = {"elementwise": "1/x", "domain": "x > 0", "torch": "torch.log", "sympy": "log(x) + 1"}
    assert prove_rule(read_rule("mine", entry, "my.toml")).verdict == "differs"
    assert prove_rule(read_rule("mine", {**entry, "sympy": "log(x)"}, "my.toml"))


def test_a_word_of_sympy_is_proven() -> None:
    entry = {"elementwise": "cos(x)", "torch": "torch.sin", "sympy": "sympy.sin"}
    assert prove_rule(read_rule("mine", entry, "my.toml")).message.endswith("sympy.sin agrees")
    assert prove_rule(read_rule("mine", {**entry, "sympy": "sympy.cos"}, "my.toml")).verdict == "differs"
    with pytest.raises(RuleError, match="is no function of sympy that a rule may name"):
        read_rule("mine", {**entry, "sympy": "sympy.preview"}, "my.toml")


def test_what_it_is_of_scalars_is_read_and_proven() -> None:
    entry = {"call": "mine(X[n,n])", "define": "trace(X @ X)", "scalar": "X*X", "latex": "m({X})"}
    assert prove_rule(read_rule("mine", entry, "my.toml"))
    assert prove_rule(read_rule("mine", {**entry, "scalar": "1/X"}, "my.toml")).verdict == "differs"
    for wrong in ("X +", "X if X else 1", "(" * 300 + "X", "open('x')[0]"):
        with pytest.raises(RuleError, match="what the function is of numbers"):
            read_rule("mine", {**entry, "scalar": wrong}, "my.toml")
    book = shipped_rules().extended([read_rule("mine", entry, "my.toml")])
    assert str(matcalc.derive("mine(x.T @ y)", "x", rules=book)) == str(matcalc.derive("(x.T @ y)**2", "x"))


def test_one_definition_holds_of_matrices_columns_and_rows() -> None:
    call, define = "mine(A[m,n], B[p,q]) -> [m*p,n*q]", shipped_rules()["kron"].define
    rule = read_rule("mine", {"call": call, "define": define, "vectors": True, "torch": "torch.kron"}, "my.toml")
    assert prove_rule(rule).points == 27
    for text in ("mine(a, B)", "mine(A, b.T)", "mine(a.T, b)", "mine(a, b)"):
        derivative = matcalc.derive(text, "a" if "a" in text else "A", rules=shipped_rules().extended([rule]))
        assert str(derivative) == str(matcalc.derive(text.replace("mine", "kron"), derivative.wrt.name))
        assert derivative.check().verdict == "agrees"


def test_a_function_that_is_called_symmetric_is() -> None:
    entry = {"call": "mine(X[n,n]) -> [n,n]", "define": "X @ X", "symmetric": True}
    assert prove_rule(read_rule("mine", entry, "my.toml"))
    entry["define"] = "X @ diag(ones(n) + diag(X))"
    assert prove_rule(read_rule("mine", entry, "my.toml")).verdict == "differs"


def test_a_function_that_is_called_linear_is() -> None:
    entry = {"call": "mine(x[n], y[n])", "define": "x.T @ y", "linear": True}
    assert prove_rule(read_rule("mine", entry, "my.toml"))
    for wrong in ("x.T @ x + y.T @ y", "sum(x) + sum(y)"):
        assert prove_rule(read_rule("mine", {**entry, "define": wrong}, "my.toml")).verdict == "differs"


def test_a_call_is_refused_with_its_place() -> None:
    with pytest.raises(RuleError) as refused:
        read_rule("mine", {"define": "x", "axis": True, "torch": "torch.sum(x, axis)"}, "my.toml")
    assert str(refused.value).splitlines()[1:3] == ['  torch = "torch.sum(x, axis)"', " " * 24 + "^^^^"]


@pytest.mark.parametrize("word", ["torch.sum(x, dim, dim=0)", "torch.sum(x, dim=0)"])
def test_an_axis_is_not_given_twice(word: str) -> None:
    with pytest.raises(RuleError, match="is given one axis alone"):
        read_rule("mine", {"define": "sum(x)", "axis": True, "torch": word}, "my.toml")


@pytest.mark.parametrize("beside", ["primitive", "opaque"])
def test_a_definition_stands_beside_a_derivative_alone(beside: str) -> None:
    with pytest.raises(RuleError, match="it must state one of"):
        read_rule("sum", {"define": "x", beside: True}, "my.toml")
