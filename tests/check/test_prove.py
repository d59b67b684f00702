"""Every shipped rule is proven, and wrong rules are noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from matcalc.check.torch_values import has_own_value
from matcalc.check.verdict import prove_rule
from matcalc.rule_files import Rule, read_rule, shipped_rules
from tests.sampling import sample

RULES = list(shipped_rules())
NOT_DERIVED = {"sum", "size", "matrix_power", "tril", "triu"}
# What they are is their definition; their cases compare it with torch_words.
DEFINED = [rule for rule in RULES if rule.is_definition and not has_own_value(rule)]
COMPARED = [rule for rule in RULES if rule not in DEFINED]


@pytest.mark.parametrize("rule", sample("shipped rules", RULES, 0.5), ids=lambda rule: rule.name)
def test_shipped_rules_are_true(rule: Rule) -> None:
    report = prove_rule(rule)
    assert report, report.message
    assert report.points >= 3
    if "nothing to compare" in report.message:
        assert rule.opaque or rule.name in NOT_DERIVED or rule in DEFINED
        assert not rule.primary


def scaled(rule: Rule) -> Iterator[Rule]:
    """Yield the rule negated and doubled, one text at a time; 0 stays 0."""
    for form in ("-({})", "2*({})", "({})*1.000001"):
        for place, text in enumerate(rule.elementwise):
            if text != "0":
                texts = (*rule.elementwise[:place], form.format(text), *rule.elementwise[place + 1 :])
                yield replace(rule, elementwise=texts)
        # A definition whose derivative is 0 wherever it has one is pinned by its value, in tests/torch_words.py.
        for field in () if rule.differential.startswith("0*") else ("differential", "everywhere", "define", "primary"):
            if getattr(rule, field):
                yield replace(rule, **{field: form.format(getattr(rule, field))})


def transposed(rule: Rule) -> Iterator[Rule]:
    """Yield the rule with dX.T for dX, where that is another rule."""
    text = re.sub(r"\b(dX)\b", r"dX.T", rule.differential)
    if text != rule.differential and rule.name != "sym":  # the symmetric part of dX.T is that of dX
        yield replace(rule, differential=text)


@pytest.mark.parametrize("rule", sample("mutants of rules", COMPARED, 0.3), ids=lambda rule: rule.name)
def test_mutants_are_noticed(rule: Rule) -> None:
    for mutant in (*scaled(rule), *transposed(rule)):
        report = prove_rule(mutant)
        assert not report, f"{mutant.elementwise or mutant.differential or mutant.define}: {report.message}"
        if "X[m,n]" not in rule.call:
            assert report.verdict == "differs"
            assert report.worst is not None


def make_rule(**entry: object) -> Rule:
    return read_rule("mine", dict(entry), "my.toml")


@pytest.mark.parametrize(
    ("entry", "verdict", "sentence"),
    [
        ({"elementwise": "-sin(x)", "torch": "torch.cos"}, "agrees", "agrees with the jacobian of torch.cos at 9"),
        ({"elementwise": "sin(x)", "torch": "torch.cos"}, "differs", "differs: entry [0, 0, 0] should be"),
        ({"elementwise": "1/x", "torch": "torch.log", "domain": "x > 0"}, "agrees", "agrees with the jacobian"),
        ({"elementwise": "1/x", "torch": "torch.log"}, "agrees", "agrees with the jacobian"),
        ({"elementwise": "cos(x)"}, "could not check", "could not check: what mine(x) is, is not known"),
        ({"elementwise": "cos(", "torch": "torch.cos"}, "could not check", "could not check: "),
        ({"elementwise": "sum(x)", "torch": "torch.cos"}, "differs", "differs: "),
        ({"define": "sum(x**2)", "call": "mine(x[n])"}, "agrees", "evaluates at 3 points; nothing to compare it with"),
        ({"define": "log(-x**2)"}, "could not check", "could not check: "),
        (
            {"call": "mine(X[n,n]) -> [n,n]", "differential": "dX @ X + X.T @ dX", "torch": "torch.square"},
            "differs",
            "differs: entry [0, ",
        ),
        (
            {"call": "mine(X[m,n]) -> [m,n]", "differential": "dX.T", "torch": "torch.square"},
            "differs",
            "differs: dX.T has shape (n, m), but mine(X[m,n]) has (m, n)",
        ),
        (
            {"call": "mine(A[n,n], B[n,k]) -> [n,k]", "differential": "inv(A) @ (dB - dA @ inv(A) @ B)",
             "torch": "torch.linalg.solve", "kinks": "det(A)"},
            "agrees",
            "agrees with the jacobian of torch.linalg.solve",
        ),
        (
            {"call": "mine(A[n,n], B[n,k]) -> [n,k]", "differential": "inv(A) @ dB", "torch": "torch.linalg.solve"},
            "differs",
            "differs: entry [0, ",
        ),
    ],
)  # fmt: skip
def test_rules_of_a_reader(entry: dict[str, object], verdict: str, sentence: str) -> None:
    report = prove_rule(make_rule(**entry))
    assert report.verdict == verdict, report.message
    assert report.message.startswith(sentence)


def test_no_trials_prove_nothing() -> None:
    assert prove_rule(shipped_rules()["exp"], trials=0).message == "could not check: no points were asked for"


def test_rules_of_a_reader_may_call_each_other() -> None:
    first = read_rule("half", {"call": "half(x) -> x", "define": "x/2"}, "my.toml")
    second = read_rule("mine", {"elementwise": "half(x)/x", "torch": "torch.deg2rad"}, "my.toml")
    third = read_rule("shrunk", {"call": "shrunk(x[n])", "define": "sum(half(half(x)))"}, "my.toml")
    book = shipped_rules().extended([first, second, third])
    assert prove_rule(second, book=book).verdict == "differs"
    assert prove_rule(third, book=book)
    assert "could not check" in prove_rule(third).message


@pytest.mark.parametrize("name", ["polar", "prod_pairs_of_rows", "leading_outer"])
def test_what_nothing_else_states_is_compared_with_nothing(name: str) -> None:
    assert "nothing to compare it with" in prove_rule(shipped_rules()[name]).message


@pytest.mark.parametrize("name", ["softmax", "logsumexp", "det"])
def test_what_something_states_is_compared_with_it(name: str) -> None:
    assert "nothing to compare it with" not in prove_rule(shipped_rules()[name]).message
