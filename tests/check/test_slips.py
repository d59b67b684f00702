"""Slips in formulas: which are made, what the formula is then, and the sentences for claims that are formulas."""

from __future__ import annotations

import re

import pytest

import matcalc
from matcalc.check.slips import list_changes, list_own, replace_freely, write_definitions, write_entrywise
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse

SHAPES = {"X": ("m", "n"), "Y": ("m", "n"), "A": ("n", "n"), "B": ("n", "n"), "x": ("n",), "y": ("n",), "s": ("m",)}


def read(text: str) -> Expression:
    shapes = {name: shape for name, shape in SHAPES.items() if name in text}
    return parse(text, shapes=shapes).expressions[0]


def slip(text: str) -> set[str]:
    root = read(text)
    return {to_text(changed) for change in list_changes(root) if (changed := change.apply(root)) is not None}


MADE = [
    ("A @ x", {"A.T @ x", "x", "ones(n, n) @ x", "A @ ones(n)"}),
    ("A @ B", {"B @ A", "A", "B", "A.T @ B", "A @ B.T", "(A @ B).T", "B @ B"}),
    ("x - y", {"x + y", "y - x", "x", "y", "y - y", "ones(n) - y"}),
    ("x*y", {"x/y", "x", "y"}),
    ("x/norm(x)", {"x", "x*norm(x)", "norm(x)/x", "x/sum(x)"}),
    ("x**3", {"x**2", "x**4", "x**6", "x", "x**(1/3)"}),
    ("tanh(x)", {"sigmoid(x)", "x", "sinh(x)"}),
    ("softmax(X, axis=1)", {"softmax(X, axis=0)", "softmax(X)", "X", "log_softmax(X, axis=1)"}),
    ("X - mean(X, axis=1, keepdims=True)",
     {"X - mean(X, axis=0, keepdims=True)", "X - mean(X)", "X - sum(X, axis=1, keepdims=True)", "X",
      "X - n/(n - 1)*mean(X, axis=1, keepdims=True)"}),
    ("where(x > 0, x, y)", {"where(x > 0, y, x)", "x", "y", "where(x > 1, x, y)"}),
    ("x/sqrt(var(x) + 0.01)", {"x/(sqrt(var(x)) + 0.01)", "x/sqrt(var(x))", "x/(var(x) + 0.01)"}),
    ("-x", {"x"}),
    ("A.T @ x", {"A @ x"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), MADE)
def test_slips_that_people_make_are_made(text, wanted):
    found = slip(text)
    missing = {to_text(read(one)) for one in wanted} - found
    assert not missing, sorted(found)
    assert to_text(read(text)) not in found


def test_what_stands_twice_is_changed_at_one_place_and_at_both():
    found = slip("A @ x + A.T @ x")
    assert {"A.T @ x + A.T @ x", "A @ x + A @ x"} <= found
    assert "A @ ones(n) + A.T @ x" in found
    assert "A @ ones(n) + A.T @ ones(n)" in found


def test_what_is_added_outside_of_a_root_is_told_with_the_root():
    told = {tuple(map(to_text, change.pair)) for change in list_changes(read("sqrt(x**2 + 1)"))}
    assert ("sqrt(x**2 + 1)", "sqrt(x**2) + 1") in told
    assert ("x**2 + 1", "(sqrt(x**2) + 1)**2") not in told
    assert all(right != wrong for right, wrong in told)


def test_a_change_that_does_not_fit_is_none():
    root = read("A @ x")
    assert replace_freely(root, root.args[0], read("X")) is None
    assert replace_freely(root, root.args[1], read("s")) is None
    assert replace_freely(root, read("y"), read("x")) is None


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("rms_norm(x)", "x/sqrt(mean(x**2) + 1e-5)"),
        ("silu(x)", "x*sigmoid(x)"),
        ("layer_norm(X, axis=1)", "(X - mean(X, axis=1, keepdims=True))/sqrt(var(X, axis=1, keepdims=True) + 1e-5)"),
        ("tanh(sum(x))*x", "tanh(sum(x))*x"),
    ],
)
def test_definitions_are_spelled_out(text, spelled):
    assert to_text(write_definitions(read(text))) == spelled


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("diag(s) @ X", "s*X"),
        ("X @ diag(x)", "X*x.T"),
        ("s @ ones(n).T", "s*ones(m, n)"),
        ("ones(m) @ x.T", "x.T*ones(m, n)"),
        ("X @ x", "sum(X*x.T, axis=1, keepdims=True)"),
        ("diag(sum(X, axis=1)) @ X", "sum(X, axis=1, keepdims=True)*X"),
        ("X @ diag(sum(X, axis=0))", "X*sum(X, axis=0, keepdims=True)"),
        ("A @ B", "A @ B"),
    ],
)
def test_products_are_written_entry_by_entry(text, written):
    assert to_text(write_entrywise(read(text))) == written


def test_an_entrys_own_share_of_a_sum():
    root = read("exp(X)/sum(exp(X), axis=1, keepdims=True)")
    assert [(to_text(node), to_text(part)) for node, part in list_own(root)] == [
        ("sum(exp(X), axis=1, keepdims=True)", "exp(X)")
    ]
    assert [to_text(part) for _, part in list_own(read("X - mean(X, axis=0).T"))] == []
    assert [to_text(part) for _, part in list_own(read("x - mean(x)"))] == ["x/n"]


TOLD = [
    ("norm(A@x - b)**2", "2*A.T@(A@x + b)", "x", "It is right with A @ x - b in the place of A @ x + b."),
    ("x.T@x + b.T@x", "2*x + c", "x", "It is right with b in the place of c."),
    ("sum(X**3/3)", "X", "X", "It lacks the factor X, entry by entry: multiply it by that."),
    ("sum(log(x))", "1/x**2", "x", "It is right with x in the place of x**2."),
    ("sum(exp(x)*y)", "exp(x)*y**2", "x", "It is right with y in the place of y**2."),
    ("x.T@A@y", "A.T@x", "x", "It is the derivative by y, not by x: the two are swapped, perhaps."),
    ("sum(silu(x))", "sigmoid(x)*(1 - sigmoid(x))", "x", "derivative of sigmoid(x) in the place of that of silu(x)."),
    ("sum(silu(x))", "2*sigmoid(x)*(1 - sigmoid(x))", "x", "Two slips explain it: "),
    ("sum(sqrt(softmax(x))*y)", "y*sqrt(softmax(x))/4", "x", "it takes sum(exp(x)) for a constant"),  # no shift
]


@pytest.mark.parametrize(("expr", "claim", "wrt", "sentence"), TOLD)
def test_a_slip_in_a_formula_is_told(expr, claim, wrt, sentence):
    shapes = {"A": ["n", "n"], "X": ["m", "n"], "y": ["n"], "x": ["n"], "b": ["n"], "c": ["n"]}
    words = set(re.findall(r"\w+", f"{expr} {claim}"))
    used = {name: shape for name, shape in shapes.items() if name in words}
    report = matcalc.check(expr, claim, wrt, layout="denominator", shapes=used)
    assert report.verdict == "differs"
    assert sentence in report.message


@pytest.mark.parametrize("claim", ["sigmoid(x)*(1 + sigmoid(x))", "sigmoid(x)*(1 - 2*sigmoid(x))"])
def test_a_product_with_a_factor_that_stands_in_the_other_is_not_told_term_by_term(claim):
    message = matcalc.check("sum(sigmoid(x))", claim, "x", layout="denominator").message
    assert "It is right with " in message
    assert "The term" not in message
