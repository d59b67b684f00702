"""The scalar functions of SymPy are words without an entry of the reader's: derived, judged, typeset, run as code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import matcalc
from matcalc.check.prove import prove_rule
from matcalc.errors import EvaluationError, MatcalcError, MissingRuleError, ParseError
from matcalc.language.explain_calls import _ABSENT
from matcalc.language.text_to_expression import parse
from matcalc.render.latex import write_sympy_template
from matcalc.render.unicode import to_unicode
from matcalc.rule_files import ORDERS, Rule, find_sympy_rules, shipped_rules, sympy_rules
from matcalc.rule_words import find_foreign_latex
from tests.requirements import needs
from tests.sampling import only_in_whole_run, sample
from tests.write_functions import PAGE, write_page

# What SymPy knows no derivative of: words with values alone.
WITHOUT_DERIVATIVE = {"zeta", "dirichlet_eta"}
# mpmath takes seconds for the values that a proof needs.
SLOW = {"elliptic_pi", "betainc", "betainc_regularized"}


def list_forms() -> list[Rule]:
    """Each function of the file, of the order 2 where it has one."""
    forms = []
    for rule in sympy_rules():
        order = 2 if rule.parameters[0].name in ORDERS else None
        named = find_sympy_rules(rule.function, order)
        forms.append(next(form for form in named if form.name in (rule.name, f"{rule.name}_2")))
    return forms


def write_call(rule: Rule, last: str) -> str:
    """A call with `last` for the last parameter and other names for the others."""
    parameters = [repr(p.literal) if p.literal is not None else f"{p.name}_1" for p in rule.parameters]
    return f"{rule.function}({', '.join([*parameters[:-1], last])})"


FORMS = list_forms()
DERIVED = [rule for rule in FORMS if rule.name not in WITHOUT_DERIVATIVE]
SLOWLY = [rule for rule in DERIVED if rule.name in SLOW]
QUICK = [rule for rule in DERIVED if rule.name not in SLOW]


def find_name(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", sample("rule", QUICK, 0.1), ids=find_name)
def test_each_is_proven_with_its_words(rule: Rule) -> None:
    report = prove_rule(rule, trials=1)
    assert report.verdict == "agrees", report.message


@pytest.mark.parametrize("rule", sample("quick", QUICK, 0.4), ids=find_name)
def test_each_is_derived_and_judged_of_a_number(rule: Rule) -> None:
    shapes: Any = {f"{p.name}_1": () for p in rule.variables[:-1]} | {"x": ()}
    for order in (1, 2):
        derivative = matcalc.derive(write_call(rule, "x"), "x", shapes=shapes, order=order)
        report = derivative.check(trials=1)
        assert report.verdict == "agrees", (order, str(derivative), report.message)


@only_in_whole_run()
@pytest.mark.parametrize("rule", SLOWLY, ids=find_name)
def test_what_takes_mpmath_seconds_is_judged_as_well(rule: Rule) -> None:
    test_each_is_derived_and_judged_of_a_number(rule)


@pytest.mark.parametrize("rule", sample("matrices", QUICK, 0.2), ids=find_name)
def test_each_works_entry_by_entry_in_a_formula_of_matrices(rule: Rule) -> None:
    shapes: Any = {f"{p.name}_1": () for p in rule.variables[:-1]}
    text = f"sum({write_call(rule, 'A @ x')})"
    derivative = matcalc.derive(text, "x", shapes=shapes, layout="denominator")
    assert derivative.check(trials=1).verdict == "agrees", str(derivative)
    assert find_foreign_latex(rule.latex or write_sympy_template(rule)) is None
    assert derivative.latex()


@pytest.mark.parametrize("rule", sample("back", [rule for rule in QUICK if rule.sympy_word], 0.5), ids=find_name)
def test_each_comes_back_from_sympy(rule: Rule) -> None:
    shapes: Any = {f"{p.name}_1": () for p in rule.variables[:-1]} | {"x": ()}
    derivative = matcalc.derive(write_call(rule, "x"), "x", shapes=shapes)
    report = matcalc.check(write_call(rule, "x"), derivative.to_sympy(), "x", shapes=shapes, trials=1)
    assert report.verdict == "agrees", (str(derivative.to_sympy()), report.message)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_code_is_written_where_the_backend_has_the_function(backend: str) -> None:
    written, refused = set(), set()
    for rule in QUICK:
        text = write_call(rule, "x")
        shapes: Any = {f"{p.name}_1": () for p in rule.variables[:-1]} | {"x": ("n",)}
        try:
            matcalc.derive(f"sum({text})", "x", shapes=shapes).code(backend)
            written.add(rule.function)
        except MissingRuleError as error:
            refused.add(error.reason)
    least = {
        "numpy": {"gamma", "digamma", "besselj", "besselk", "beta", "erfi", "Ei", "sec", "elliptic_k", "polygamma"},
        "torch": {"digamma", "polygamma", "loggamma", "erfinv", "sec", "cot", "erf2", "floor"},
        "jax": {"gamma", "digamma", "loggamma", "erfinv", "polygamma", "beta", "sec"},
    }[backend]
    assert least <= written
    assert refused
    assert all("has no word in" in reason for reason in refused)


def test_every_scalar_function_of_sympy_is_a_word_or_is_refused_with_a_reason() -> None:
    missing = []
    for name in dir(sympy):
        found = getattr(sympy, name)
        if not (isinstance(found, type) and issubclass(found, sympy.Function)):
            continue
        if not found.__module__.startswith("sympy.functions."):
            continue
        is_known = shipped_rules().overloads(name) or find_sympy_rules(name, None)
        if not is_known and name.lower() not in _ABSENT and name not in ("ln", "transpose"):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize(
    ("text", "same"),
    [("asin(x)", "arcsin(x)"), ("atan2(x, y)", "arctan2(x, y)"), ("Max(x, y)", "maximum(x, y)"), ("Abs(x)", "abs(x)"),
     ("LambertW(x)", "lambertw(x)"), ("acosh(x)", "arccosh(x)")],
)  # fmt: skip
def test_a_name_of_sympy_is_that_of_the_language(text: str, same: str) -> None:
    assert parse(text).expressions == parse(same).expressions


def test_a_name_is_a_function_only_where_it_is_called() -> None:
    assert str(matcalc.derive("beta*x", "x")) == "beta*eye(n)"
    assert str(matcalc.derive("sum(gamma*gamma(x))", "x", layout="denominator")) == "gamma*gamma(x)*digamma(x)"
    assert str(matcalc.derive("zeta.T @ x", "x", shapes={"zeta": "n"}, layout="denominator")) == "zeta"


def test_a_product_that_looks_like_a_call_is_remarked() -> None:
    assert "gamma(...) is the function of that name; the product is gamma*(...)" in matcalc.derive("gamma(x)").notes
    assert not matcalc.derive("besselj(0, x)").notes


def test_a_greek_function_has_its_letter_in_a_line_of_signs() -> None:
    assert to_unicode(parse("gamma(x)").expressions[0]) == "Γ(x)"


@pytest.mark.parametrize(
    "text",
    [
        "sum(sec(x))",
        *(pytest.param(text, marks=needs("scipy")) for text in ("sum(besselj(0, x))", "sum(beta(x, x + 1))")),
        pytest.param("sum(legendre(3, x))", marks=needs("scipy")),
    ],
)
def test_the_code_has_the_values_of_the_derivative(text: str) -> None:
    at = np.array([0.3, 0.7, 1.9])
    derivative = matcalc.derive(text, "x", layout="denominator")
    assert np.allclose(derivative.compile("numpy")(at), derivative.evaluate({"x": at}), rtol=1e-12)


def test_an_absent_library_of_the_code_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(EvaluationError, match="the code for numpy imports scipy, which is not installed"):
        matcalc.derive("sum(besselj(0, x))", "x").compile("numpy")


def test_a_name_of_the_reader_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[gamma]\nfunction = "x**3"\n')
    assert str(matcalc.derive("sum(gamma(x))", "x", layout="denominator", rules=path)) == "3*x**2"
    declared = matcalc.derive("gamma(x)", "x", shapes={"gamma": ("m",)})
    assert str(declared) == "D(gamma, x)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("zeta(x)", "SymPy knows no derivative of zeta"), ("besselj(x, 2)", "no derivative of besselj(v, x) by v"),
        ("lowergamma(x, 2)", "no derivative of lowergamma(a, x) by a"), ("hankel1(1, x)", "complex valued"),
        ("fibonacci(x)", "whole numbers"), ("hyper(x)", "lists of numbers"), ("rf(x, 2)", "SymPy knows no derivative"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(text: str, reason: str) -> None:
    with pytest.raises(MatcalcError) as refused:
        matcalc.derive(text, "x")
    assert reason in str(refused.value)


@pytest.mark.parametrize("order", ["a", "1/2", "13", "10**9"])
def test_the_order_of_a_polynomial_is_written_out(order: str) -> None:
    with pytest.raises(ParseError, match="whole number up to 12"):
        matcalc.derive(f"legendre({order}, x)", "x", syntax="matcalc")


def test_an_order_may_be_a_number_of_the_formula() -> None:
    for text in ("besselj(1/2, x)", "besselk(a, x)", "besseli(-1, x)"):
        derivative = matcalc.derive(f"sum({text})", "x", shapes={"a": (), "x": ("n",)})
        assert derivative.check(trials=1).verdict == "agrees", str(derivative)


def test_sympy_is_imported_only_for_what_it_derives() -> None:
    code = "import matcalc, sys; str(matcalc.derive({!r}, 'x')); print('sympy' in sys.modules)"
    for text, is_imported in (("sin(A @ x)", "False"), ("gamma(x)", "True"), ("floor(x)", "False")):
        command = [sys.executable, "-c", code.format(text)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert done.stdout.strip() == is_imported


def test_the_page_is_what_the_program_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(), "write it again: python -m tests.write_functions"
