"""Definitions before the formula: what they mean, how they may be written, what is said where they cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

import matcalc
from matcalc import MatcalcError
from matcalc.check.evaluate import evaluate_with
from matcalc.engine.result import derive_result
from matcalc.errors import LimitError
from matcalc.language.expression import walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.read_text import LONGEST_SOURCE, MOST_NODES
from matcalc.language.text_to_expression import parse
from matcalc.render.named_parts import to_text_named

SAME = [
    ("p = softmax(A @ x); diag(p) - p @ p.T", "diag(softmax(A @ x)) - softmax(A @ x) @ softmax(A @ x).T"),
    ("p = softmax(x)\ndiag(p)\n - p @ p.T", "diag(softmax(x)) - softmax(x) @ softmax(x).T"),
    ("\n\np = softmax(x) ;\n\n-p\n", "-softmax(x)"),
    ("h1 = tanh(W_1 @ x)\nh2 = tanh(W_2 @ h1)\nsum(h2)", "sum(tanh(W_2 @ tanh(W_1 @ x)))"),
    ("a = x\n + y\na", "x + y"),
    ("a = x +\n y\na", "x + y"),
    ("a = (x\n + y)\na*a", "(x + y)*(x + y)"),
    ("α1 = norm(x); β = 2*α1; β*x", "2*norm(x)*x"),
    ("e = X @ w - y; e.T @ e", "(X @ w - y).T @ (X @ w - y)"),
    ("lambda = norm(x); lambda*x", "norm(x)*x"),
    ("k = 3; matrix_power(X, k)", "matrix_power(X, 3)"),
    ("u = A @ x; D(v, u)", "D(v, A @ x)"),
    ("unused = y; A @ x", "A @ x"),
    ("a = sum(X, axis=0); a.T @ a", "sum(X, axis=0).T @ sum(X, axis=0)"),
    ("x +\n y", "x + y"),
]  # fmt: skip

# text, reason, what the carets are under, part of the advice
REFUSED = [
    ("p = x; p = y; p", "p is defined twice", (7, 8), "another name"),
    ("p = p + 1; p", "p is defined by itself", (4, 5), "another name"),
    ("q = p; p = x; q", "p is used before it is defined", (4, 5), "move"),
    ("p = softmax(x);", "the formula is missing", (15, 16), "formula last"),
    ("p = x; q = y", "the formula is missing", (12, 13), "formula last"),
    ("p =; p", "what p stands for is missing", (2, 3), "p = softmax"),
    ("x; p = 1; p", "only definitions stand before the formula", (0, 1), "formula last"),
    ("f(x) = x; f", "only a name stands on the left", (0, 4), "p = softmax"),
    ("if = x; x", "only a name stands on the left", (0, 2), ""),
    ("sum = x; sum", "sum is a function", (0, 3), "another name"),
    ("pi = 3; pi", "pi is a number", (0, 2), ""),
    ("n = norm(x); ones(n) @ x", "n is a size", (0, 1), ""),
    ("__a = x; x", "cannot be a name", (0, 3), ""),
    ("p = x; p(x)", "not as a function", (7, 11), "rename"),
    ("p = x > 0; where(p, x, 0)", "only the condition of where", (4, 9), ""),
    ("p = softmax(x); p @", "not an expression", (19, 20), "what follows @"),
    ("p = soft max(x); p", "not an expression", (9, 10), ""),
    ("ä = softmax(x); ä @ A @ q", "needs equal inner sizes", (16, 21), "ä.T @ A"),
    ("y = A @ x", "not an expression", (2, 3), "right of ="),
    ("p = (x; p", "never closed", (4, 5), "close"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), SAME, ids=[row[0] for row in SAME])
def test_a_defined_name_is_what_it_stands_for(text: str, meaning: str) -> None:
    defined, written_out = parse([text, meaning]).expressions
    assert defined is written_out


@pytest.mark.parametrize(("text", "reason", "span", "advice"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_read_is_shown(text: str, reason: str, span: tuple[int, int], advice: str) -> None:
    with pytest.raises(MatcalcError) as caught:
        parse(text)
    assert reason in caught.value.reason
    assert caught.value.span == span
    assert advice in (caught.value.advice or "")
    carets = str(caught.value).splitlines()[2]
    assert (carets.index("^") - 2, len(carets) - 2) == span


def test_a_declared_name_is_not_defined() -> None:
    with pytest.raises(MatcalcError, match="p is declared as a variable, so it cannot be defined"):
        parse("p = softmax(x); p", shapes="p: n")


def test_a_defined_name_is_no_variable() -> None:
    with pytest.raises(MatcalcError, match="p is defined by the formula, so it is not a variable; the variables are x"):
        matcalc.derive("p = softmax(x); sum(p**2)", "p")


def test_sizes_do_not_get_the_letter_of_a_definition() -> None:
    problem = parse("p = softmax(A @ x); sum(p**2)", wrt="x")
    letters = {size for symbol in problem.symbols.values() for size in symbol.squeezed_shape}
    assert "p" not in letters
    assert len(letters) == 2


def test_a_claim_may_use_the_definitions_of_the_function_and_replace_them() -> None:
    function = "r = X @ w - y; sum(r**2)"
    for claim in ("2*X.T @ r", "r = y - X @ w; -2*X.T @ r", "a = 2*X.T; a @ r"):
        assert matcalc.check(function, claim, "w", layout="denominator").verdict == "agrees"
    assert matcalc.check(function, "X.T @ r", "w", layout="denominator").factor == 0.5


def test_a_claim_cannot_define_a_variable_of_the_function() -> None:
    with pytest.raises(MatcalcError, match="x is declared as a variable, so it cannot be defined"):
        matcalc.check("sum(x**2)", "x = 2; x", "x")


def test_the_answer_of_a_text_with_definitions_is_proven() -> None:
    assert matcalc.derive("p = softmax(A @ x)\nsum(p**2)", "x").check().verdict == "agrees"


# --- bounds -------------------------------------------------------------------------------------------


def repeat(step: str, count: int, start: str = "x") -> str:
    """Return definitions a1, a2, ... of which each is `step` of the one before, written as a question mark."""
    lines = [f"a{k} = {step.replace('?', f'a{k - 1}')}" for k in range(1, count + 1)]
    return "\n".join([f"a0 = {start}", *lines, f"sum(a{count})"])


def test_the_bounds_hold_for_all_parts_together() -> None:
    with pytest.raises(LimitError, match=f"{LONGEST_SOURCE} is the most"):
        parse(repeat("exp(?)", 3000))
    with pytest.raises(LimitError, match=f"{MOST_NODES} parts long"):
        parse(repeat("-?-?-?-?-?-?-?-?-?", 350))
    with pytest.raises(LimitError, match="brackets are nested"):
        parse("a = " + "(" * 200 + "x" + ")" * 200 + "; a")


@pytest.mark.parametrize("step", ["tanh(?)*exp(?)", "tanh(?) + exp(?)", "? + tanh(W @ ?)", "?*?", "? + ?", "?/(1 + ?)"])
def test_what_doubles_at_each_definition_is_read_and_derived_all_the_same(step: str) -> None:
    many = 12 if "/" in step else 40
    problem = parse(repeat(step, many), wrt="x")
    assert len(list(walk(problem.expressions[0]))) < 6 * many + 10
    assert problem.wrt is not None
    answer = derive_result(problem.expressions[0], problem.wrt).expression("denominator")
    if step != "?*?":  # the exponent 2**40 is beyond what is read
        again = parse([repeat(step, many), to_text_named(answer)], wrt="x").expressions[1]
        if "W" not in step:
            assert again is answer
            return
        # A sum that runs on is named where it stands, so that its terms may have changed places.
        point = {"x": np.array([0.1, 0.2]), "W": np.array([[0.3, -0.1], [0.2, 0.1]])}
        np.testing.assert_allclose(evaluate_with(again, point), evaluate_with(answer, point), rtol=1e-12)


def test_a_text_that_doubles_is_refused_not_written() -> None:
    with pytest.raises(LimitError, match="more than 100000 characters"):
        to_text(parse(repeat("tanh(?)*exp(?)", 60)).expressions[0])


def test_a_chain_of_hundreds_of_definitions_is_read_derived_and_printed() -> None:
    text = repeat("tanh(?)", 400)
    problem = parse(text, wrt="x")
    assert problem.wrt is not None
    answer = derive_result(problem.expressions[0], problem.wrt).expression("denominator")
    again = parse([text, to_text_named(answer)], wrt="x").expressions[1]
    assert id(again) == id(answer)  # to show the nodes themselves would take too deep a recursion
