"""A rule that is wrong is noticed: each rule and identity negated, doubled and transposed fails some case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest

import matcalc
from matcalc import MatcalcError
from matcalc.check.verdict import judge
from matcalc.language.expression import Expression, symbols, walk
from matcalc.language.text_to_expression import parse
from matcalc.rule_files import Identity, Rule, RuleBook, shipped_identities, shipped_rules
from tests.read_cases import Case, derive_case, read_cases
from tests.sampling import sample

# Wrong only in name: the transpose of the argument, or of the result, is the same thing.
EQUIVALENT = {
    "diag_of_vector transposed", "inv_of_identity transposed", "inv_of_diagonal transposed", "sym transposed",
    "cov transposed",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A wrong version of a rule, or of an identity."""

    name: str
    rule: Rule | Identity

    def __str__(self) -> str:
        return self.name


def turn_over(text: str) -> dict[str, str]:
    return {"negated": f"-({text})", "doubled": f"2*({text})"}


def mutate_elementwise(rule: Rule) -> Iterator[Mutant]:
    for k, text in enumerate(rule.elementwise):
        at = f"{rule.name} {rule.parameters[k].name}" if len(rule.elementwise) > 1 else rule.name
        wrong = turn_over(text) if text != "0" else {"not zero": "1"}
        for how, changed in wrong.items():
            texts = (*rule.elementwise[:k], changed, *rule.elementwise[k + 1 :])
            yield Mutant(f"{at} {how}", replace(rule, elementwise=texts))


def mutate_differential(rule: Rule) -> Iterator[Mutant]:
    if rule.differential.startswith("0*"):
        yield Mutant(f"{rule.name} not zero", replace(rule, differential=rule.differential.removeprefix("0*")))
        return
    for parameter in rule.variables:
        moved = rf"\bd{parameter.name}\b"
        at = f"{rule.name} {parameter.name}" if len(rule.variables) > 1 else rule.name
        for how, change in {"negated": "(-{})", "doubled": "(2*{})", "transposed": "{}.T"}.items():
            changed = re.sub(moved, change.format(f"d{parameter.name}"), rule.differential)
            yield Mutant(f"{at} {how}", replace(rule, differential=changed))


def mutate_definition(rule: Rule) -> Iterator[Mutant]:
    shapes = {parameter.name: parameter.axes for parameter in rule.variables}
    axes = shapes[rule.result] or ("m", "n") if isinstance(rule.result, str) else rule.result
    is_matrix = len([size for size in axes if size != "1"]) == 2
    wrong = turn_over(rule.define) | ({"transposed": f"({rule.define}).T"} if is_matrix else {})
    for how, changed in wrong.items():
        yield Mutant(f"{rule.name} {how}", replace(rule, define=changed))


def list_mutants() -> Iterator[Mutant]:
    for rule in shipped_rules():
        yield from mutate_elementwise(rule)
        if rule.differential:
            yield from mutate_differential(rule)
        if rule.is_definition:
            yield from mutate_definition(rule)
        if rule.primary:
            for how, changed in (turn_over(rule.primary) | {"transposed": f"({rule.primary}).T"}).items():
                yield Mutant(f"{rule.name} {how}", replace(rule, primary=changed))


def list_identity_mutants() -> Iterator[Mutant]:
    for identity in shipped_identities().values():
        scalar = identity.function in ("det", "logdet")
        wrong = turn_over(identity.right) | ({} if scalar else {"transposed": f"({identity.right}).T"})
        for how, changed in wrong.items():
            yield Mutant(f"{identity.name} {how}", replace(identity, right=changed))


def keep_different(mutants: Iterator[Mutant]) -> list[Mutant]:
    # The condition of `where` is held constant, whatever its entry says.
    return [mutant for mutant in mutants if mutant.name not in EQUIVALENT and mutant.name != "where c not zero"]


# An open regression must not hide what the mutants say.
CASES = [case for case in read_cases() if case.topic != "regressions"]


# --- which case uses what ----------------------------------------------------------------------------------


def names_in(node: Expression) -> set[str]:
    return set(symbols(node))


@cache
def uses_of(case: Case) -> frozenset[tuple[str, str]]:
    """The rules that a case's expression calls, each with the parameters that contain wrt."""
    found = set()
    for node in walk(derive_case(case).function):
        if node.op == "call":
            rule = node.data[0]
            for parameter, argument in zip(rule.variables, node.args, strict=True):
                found.add((rule.name, parameter.name if case.wrt in names_in(argument) else ""))
    return frozenset(found)


def cases_of(rule: Rule) -> list[Case]:
    """The cases that differentiate through the rule, the shortest first; of expm for [expm_jacobian]."""
    called = rule.name.removesuffix("_jacobian")
    found = [case for case in CASES if any(name == called and at for name, at in uses_of(case))]
    return sorted(found, key=lambda case: (case.order, len(case.expr)))


@pytest.mark.parametrize("rule", list(shipped_rules()), ids=lambda rule: rule.name)
def test_every_parameter_of_every_rule_has_a_case(rule: Rule) -> None:
    used = {use for case in CASES for use in uses_of(case)}
    for k, parameter in enumerate(rule.variables):
        constant = rule.opaque or (rule.elementwise and rule.elementwise[k] == "0") or parameter.name == "k"
        at = "" if constant and rule.name != "sign" else parameter.name
        assert (rule.name, at) in used or (rule.name, parameter.name) in used, f"no case has wrt in {parameter.name}"


def test_every_file_of_rules_has_a_file_of_cases() -> None:
    topics = {case.topic for case in CASES}
    assert {rule.file.removesuffix(".toml") for rule in shipped_rules()} | {"identities"} <= topics


# --- mutants -----------------------------------------------------------------------------------------------


def notices(case: Case, rules: RuleBook | None) -> bool:
    """Whether the answer derived by wrong rules is seen to differ from torch's; the true rules say what it means."""
    true, known = derive_case(case), {"shapes": case.shapes, "assume": case.domain, "order": case.order}
    try:
        wrong = matcalc.derive(case.expr, case.wrt, rules=rules, **known)
        read = parse([case.expr, str(wrong)], wrt=case.wrt, shapes=true.declared, assume=true.assumed)
    except MatcalcError:
        return True
    expression, claim = read.expressions
    assert read.wrt is not None
    return judge(expression, claim, read.wrt, order=case.order).verdict == "differs"


@pytest.mark.parametrize("mutant", sample("wrong rules", keep_different(list_mutants()), 0.2), ids=str)
def test_wrong_rule_is_noticed(mutant: Mutant) -> None:
    assert isinstance(mutant.rule, Rule)
    book = RuleBook(mutant.rule if rule.name == mutant.rule.name else rule for rule in shipped_rules())
    assert any(notices(case, book) for case in cases_of(mutant.rule))


@pytest.mark.parametrize("mutant", sample("wrong identities", keep_different(list_identity_mutants()), 0.1), ids=str)
def test_wrong_identity_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Mapping[tuple[str, str], Identity] = {
        key: mutant.rule if identity.name == mutant.rule.name else identity  # type: ignore[misc]
        for key, identity in shipped_identities().items()
    }
    for case in CASES:
        derive_case(case)
    monkeypatch.setattr("matcalc.engine.expression_to_index.shipped_identities", lambda: wrong)
    assert any(notices(case, None) for case in CASES if case.topic == "identities")
