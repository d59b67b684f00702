"""A rule may say only what a function is: its derivatives are SymPy's, short, safe from overflow, and no code runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matcalc
from matcalc.check.prove import prove_rule
from matcalc.errors import MatcalcError, RuleError
from matcalc.language.scalar_calculus import is_exactly_stated, state_partial
from matcalc.rule_files import Rule, read_rule, shipped_rules


def read_function(text: str, **fields: Any) -> Rule:
    return read_rule("mine", {"function": text, **fields}, "my.toml")


def state(rule: Rule, place: int = 0) -> str:
    return state_partial(rule, place, shipped_rules().extended([rule]))


# What a function is, and its derivative.
DERIVATIVES = [
    ("1/(1 + exp(-x))", "(1 - mine(x))*mine(x)"),
    ("exp(2*x)/(1 + exp(2*x))", "2*(1 - mine(x))*mine(x)"),
    ("tanh(x)", "1 - tanh(x)**2"),
    ("x*tanh(log(1 + exp(x)))", "x*(1 - tanh(softplus(x))**2)*sigmoid(x) + tanh(softplus(x))"),
    ("x*tanh(softplus(x))", "x*(1 - tanh(softplus(x))**2)*sigmoid(x) + tanh(softplus(x))"),
    ("log(1 + exp(-3*x))", "-3*sigmoid(-3*x)"),
    ("maximum(x, 0)", "where(x > 0, 1, 0)"),
    ("where(x > 0, x, x/10)", "where(x > 0, 1, 1/10)"),
    ("abs(x)**3", "x**2*sign(x) + 2*x*abs(x)"),
    ("gamma(x)", "digamma(x)*gamma(x)"),
]


@pytest.mark.parametrize(("text", "derivative"), DERIVATIVES)
def test_the_derivative_is_sympys_in_short_words(text: str, derivative: str) -> None:
    rule = read_function(text, domain="x > 0") if "gamma" in text else read_function(text, kinks="x")
    assert sorted(state(rule)) == sorted(derivative)  # SymPy may order factors otherwise
    report = prove_rule(rule, trials=1, book=shipped_rules().extended([rule]))
    assert report.verdict == "agrees", report.message


def test_a_function_of_several_numbers_has_partial_derivatives(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[mine]\ncall = "mine(x, y, z)"\nfunction = "z*log(exp(x) + exp(y))"\n')
    for wrt in "xyz":
        derivative = matcalc.derive("sum(mine(x, A @ y, z))", wrt, shapes={"z": ()}, rules=path)
        assert derivative.check().verdict == "agrees"
    assert "logaddexp" in str(derivative)
    assert matcalc.derive("mine(x, a, b)", "x", shapes={"a": (), "b": ()}, order=2, rules=path).check()


def test_what_overflows_is_not_in_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[mine]\nfunction = "x*tanh(log(1 + exp(x)))"\ndefine = "x*tanh(softplus(x))"\n')
    derivative = matcalc.derive("sum(mine(x))", "x", layout="denominator", rules=path)
    found = derivative.compile("numpy")(np.array([-1000.0, 0.0, 1000.0]))
    assert np.allclose(found, [0, 0.6, 1])
    assert matcalc.derive("sum(mine(x))", "x", order=2, rules=path).check().verdict == "agrees"
    assert "mine" not in str(derivative.to_sympy())


def test_a_definition_beside_it_must_have_its_values() -> None:
    rule = read_function("x**3", define="x**2*abs(x)")
    report = prove_rule(rule, book=shipped_rules().extended([rule]))
    assert report.verdict == "differs"


@pytest.mark.parametrize("text", ["mine(x)", "1 + mine(x)", "sum(x)", "x @ x", "y", "norm(x)", "det(x)", "x; x"])
def test_what_is_no_function_of_numbers_is_refused(text: str) -> None:
    rule = read_function(text)
    report = prove_rule(rule, book=shipped_rules().extended([rule]))
    assert report.verdict != "agrees", report.message


def test_a_function_of_arrays_is_defined_instead() -> None:
    with pytest.raises(RuleError, match="function says what a function of numbers is"):
        read_rule("mine", {"call": "mine(x[n])", "function": "x"}, "my.toml")


# What SymPy would run if it were given the text.
HOSTILE = [
    "__import__('os').system('touch marker')", "exec('open(\"marker\", \"w\")')", "().__class__.__bases__[0]",
    "open('marker', 'w')", "lambda: x", "Symbol('x').func", "Function('f')(x)", "sympify('open(1)')", "x.subs(x, 1)",
    "parse_expr('x')", "lambdify(x, x)", "eval('x')", "[x for x in x]", "srepr(x)", "Lambda(x, x)", "9**9**9**9",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_runs_nothing(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.toml"
    path.write_text(f"[mine]\nfunction = '''{text}'''\n")
    with pytest.raises(MatcalcError):
        matcalc.derive("mine(x)", "x", rules=path)
    with pytest.raises(MatcalcError):
        matcalc.derive(text, "x", syntax="matcalc")
    assert not (tmp_path / "marker").exists()


# --- derivatives that are written out ---------------------------------------------------------------------------


def test_the_written_derivatives_are_exactly_sympys() -> None:
    stated = {rule.name: rule for rule in shipped_rules() if rule.elementwise}
    exact = {
        name: [is_exactly_stated(rule, place) for place in range(len(rule.variables))] for name, rule in stated.items()
    }
    assert not [name for name, found in exact.items() if False in found]
    assert {name for name, found in exact.items() if not all(found)} <= {"where", "clip", "arccosh", "hardswish"}


@pytest.mark.parametrize(
    ("define", "derivative"),
    [("x**2", "2.0000000001*x"), ("exp(-x**2/2)/sqrt(2*pi)", "-x*exp(-x**2/2)/2.50662827463100051"),
     ("tanh(x)", "1.00000000000001 - tanh(x)**2")],
)  # fmt: skip
def test_a_derivative_that_is_right_in_its_first_digits_is_refused(define: str, derivative: str) -> None:
    report = prove_rule(read_rule("mine", {"define": define, "elementwise": derivative}, "my.toml"))
    assert report.verdict == "differs"
    assert "not the derivative that SymPy finds" in report.message
