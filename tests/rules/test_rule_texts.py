"""The texts of the rules and of the cases are all in the language."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from matcalc.errors import ParseError, RuleError
from matcalc.language.sizes import Size, to_2d_shape
from matcalc.language.text_to_expression import parse, parse_rule_text
from matcalc.rule_files import Rule, read_rule, shipped_rules

CASES = Path(__file__).parents[1] / "cases"


def read_cases(file: str, table: str) -> list[dict[str, Any]]:
    with (CASES / file).open("rb") as stream:
        return list(tomllib.load(stream)[table])


def shape_of(text: str, **options: Any) -> Any:
    return parse(text, **options).expressions[0].squeezed_shape


# --- rules ------------------------------------------------------------------------------------------------


_NUMBERS = ("p", "k", "alpha", "beta")


def make_shapes(rule: Rule) -> tuple[tuple[Size, ...], ...]:
    """One vector for each parameter without axes, except the exponents."""
    axes = [
        parameter.axes if parameter.axes is not None else () if parameter.name in _NUMBERS else ("n",)
        for parameter in rule.variables
    ]
    return tuple(to_2d_shape(tuple(map(Size.of, letters))) for letters in axes)


@pytest.mark.parametrize("rule", list(shipped_rules()), ids=lambda rule: rule.name)
def test_texts_of_the_shipped_rules_are_read(rule: Rule) -> None:
    shapes = make_shapes(rule)
    for text in (*rule.elementwise, rule.define, rule.differential, rule.domain, rule.kinks):
        if text:
            parse_rule_text(rule, text, shapes)
    if rule.define or rule.differential:
        shape = parse_rule_text(rule, rule.define or rule.differential, shapes).shape
        like = next((given for p, given in zip(rule.variables, shapes, strict=True) if p.name == rule.result), None)
        if like is not None:
            assert shape == like
        elif rule.result:
            # Of two sizes the smaller one is the second, where both are letters.
            sizes = [re.sub(r"min\(\w+,(\w+)\)", r"\1", size) for size in rule.result]
            assert shape == to_2d_shape(tuple(map(Size.of, sizes)))


def test_sizes_of_a_rule_are_those_of_its_arguments() -> None:
    rule = shipped_rules()["vec"]
    shape: Any = parse_rule_text(rule, rule.define, ((Size.of("a"), Size.of(7)),)).shape
    assert shape == ("7*a", 1)


def test_texts_of_rules_know_only_their_parameters() -> None:
    rule = shipped_rules()["exp"]
    column = (Size.of("n"), Size.of(1))
    with pytest.raises(ParseError, match="q is no parameter"):
        parse_rule_text(rule, "exp(q)", (column,))
    assert parse_rule_text(rule, "exp(x)*dx", (column,)) is parse_rule_text(rule, "exp(x)*dx", (column,))


def add_rule(name: str, **entry: Any) -> Any:
    return shipped_rules().extended([read_rule(name, entry, "my.toml")])


def test_a_rule_that_states_no_shape_has_that_of_its_definition() -> None:
    assert shape_of("swish(X)", rules=add_rule("swish", define="x*sigmoid(x)")) == ("m", "l")
    assert shape_of("spread(x)", rules=add_rule("spread", define="max(x) - min(x)")) == ()
    pair = add_rule("pair", call="pair(x, y)", define="sum(x*y)")
    assert parse("pair(x, y)", rules=pair).symbols["y"].squeezed_shape == ("n",)


def test_a_rule_whose_shape_is_unclear_is_refused() -> None:
    with pytest.raises(RuleError, match="does not say the shape"):
        parse("pairs(x)", rules=add_rule("pairs", define="x @ x.T"))
    with pytest.raises(RuleError, match="defined by itself"):
        parse("loop(x)", rules=add_rule("loop", define="loop(x) + 1"))
    book = add_rule("ping", define="pong(x) + 1").extended([read_rule("pong", {"define": "2*ping(x)"}, "my.toml")])
    with pytest.raises(RuleError, match=r"rule \[ping\] in my.toml is defined by itself"):
        parse("ping(x)", rules=book)


def test_a_rule_can_ask_for_a_row() -> None:
    book = add_rule(
        "kron_row", call="kron(a[1,n], B[p,q]) -> [p,n*q]", define="einsum('Jbd,b,cd->cJ', fuse(n, q), a, B)"
    )
    assert shape_of("kron(b.T, eye(m))", rules=book) == ("m", "n*m")


# --- the cases of the textbooks ------------------------------------------------------------------------------

TEXTBOOK = [*read_cases("textbook.toml", "case"), *read_cases("sympy_issues.toml", "case")]


@pytest.mark.parametrize("case", TEXTBOOK, ids=lambda case: case["id"])
def test_textbook_cases_are_read(case: dict[str, Any]) -> None:
    texts = [case["expr"], *(case[key] for key in ("numerator", "denominator") if case.get(key))]
    problem = parse(texts, wrt=case["wrt"], shapes=case["shapes"], assume=case.get("domain"))
    assert problem.wrt is not None
    result, variable = problem.expressions[0].squeezed_shape, problem.wrt.squeezed_shape
    assert list(result + case["order"] * variable[::-1]) == case["shape_numerator"]
    if case["wrt"] in parse(case["expr"]).symbols:
        parse(texts, wrt=case["wrt"])


@pytest.mark.parametrize("case", read_cases("claims.toml", "claim"), ids=lambda case: case["id"])
def test_claims_are_read(case: dict[str, Any]) -> None:
    parse([case["expr"], case["claim"]], wrt=case["wrt"], shapes=case["shapes"], assume=case.get("domain"))
