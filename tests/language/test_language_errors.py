"""Errors of the language: the reason, the place and the advice; and hostile input."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from matcalc.errors import DeclarationError, LimitError, MatcalcError, MissingRuleError, ParseError, ShapeError
from matcalc.language.text_to_expression import parse


def error_of(text: Any, **options: Any) -> MatcalcError:
    with pytest.raises(MatcalcError) as caught:
        parse(text, **options)
    return caught.value


# --- errors -------------------------------------------------------------------------------------------

BAD: list[tuple[str, type[MatcalcError], str, str, str]] = [
    # text, kind, reason, the place, advice
    ("x @ A", ShapeError, "needs equal inner sizes, not (n, 1) @ (k, p)", "x @ A", "write x.T @ A"),
    ("A @ x.T", ShapeError, "needs equal inner sizes", "A @ x.T", "write A @ x"),
    ("x.T @ y.T", ShapeError, "needs equal inner sizes", "x.T @ y.T", "write x.T @ y"),
    ("A @ alpha", ShapeError, "not (n, k) @ (1, 1)", "A @ alpha", "write A * alpha"),
    ("2 + (x @ A) * 3", ShapeError, "needs equal inner sizes", "x @ A", "x.T"),
    ("eye(m) @ ones(n)", ShapeError, "(m, m) @ (n, 1)", "eye(m) @ ones(n)", "transpose"),
    ("eye(m) + eye(n)", ShapeError, "m and n are different sizes", "eye(m) + eye(n)", ""),
    ("inv(A @ x)", ShapeError, "A @ x is a column (n, 1)", "inv(A @ x)", "takes a matrix"),
    ("det(ones(m, n))", ShapeError, "takes a square matrix", "ones(m, n)", "X.T @ X"),
    ("cumsum(X)", ShapeError, "X is a matrix", "cumsum(X)", "axis=0"),
    ("sum(x, axis=1)", ShapeError, "has no axis 1", "sum(x, axis=1)", "leave axis= out"),
    ("sum(X, axis=2)", ShapeError, "no axis 2", "sum(X, axis=2)", "axis=1"),
    ("diag(x.T)", ShapeError, "x.T is a row", "diag(x.T)", "write x"),
    ("norm(x, p)", ShapeError, "p is a column", "norm(x, p)", "declare p as a scalar"),
    ("norm(X, 'foo')", ShapeError, "not 'foo'", "norm(X, 'foo')", "'nuc'"),
    ("einsum('ij->ji', x)", ShapeError, "gives 2 letters to x", "x)", "one letter for each axis"),
    ("einsum('ii->', ones(m, n))", ShapeError, "two sizes, m and n", "ones(m, n)", ""),
    ("einsum('ijk->kij', A)", ShapeError, "3 letters", "A", ""),
    ("where(x > 0, A, ones(p, q, r))", ShapeError, "where needs equal shapes", "where", ""),
    ("zeros(m, n, k) @ x", ShapeError, "matrices and vectors only", "zeros", "einsum"),
    ("zeros(m, n, k).T", ShapeError, "an array (m, n, k)", "zeros", "einsum"),
    ("einsum('ij,jk->ik', A)", ParseError, "2 operands and gets 1", "'ij,jk->ik'", "einsum('ij,jk->ik', A, B)"),
    ("einsum('ij->ii', A)", ParseError, "i is in the result more than once", "'ij->ii'", ""),
    ("einsum('ij->k', A)", ParseError, "but in no operand", "'ij->k'", ""),
    ("einsum('i...', A)", ParseError, "cannot be 'i...'", "'i...'", ""),
    ("einsum(A, x)", ParseError, "begins with its letters", "einsum(A, x)", "einsum('ij"),
    ("einsum()", ParseError, "begins with its letters", "einsum()", "einsum('ij"),
    ("A^2", ParseError, "not in the language", "^", "use ** for powers"),
    ("X[0]", ParseError, "not in the language", "X[0]", "entries cannot be picked"),
    ("A.I @ x", ParseError, ".I is not in the language", "A.I", "write inv(A)"),
    ("A.inv()", ParseError, "not in the language", "A.inv()", "write inv(A)"),
    ("A.transpose()", ParseError, "not in the language", "A.transpose()", "write A.T"),
    ("np.exp(x)", ParseError, "not in the language", "np.exp(x)", "write exp(x)"),
    ("torch.linalg.norm(x)", ParseError, "not in the language", "torch", "write norm(x)"),
    ("np.pi", ParseError, "not in the language", "np.pi", "write pi without np."),
    ("y = A @ x", ParseError, "not an expression", "=", "right of ="),
    ("2x + 1", ParseError, "not an expression", "2", "2*x"),
    ("A' @ x", ParseError, "not an expression", "'", "write the transpose of X as X.T"),
    ("A @", ParseError, "not an expression", "", ""),
    ("(A", ParseError, "never closed", "(", ""),
    ("A)", ParseError, "no opening bracket", ")", ""),
    ("[A)", ParseError, "no opening bracket", ")", ""),
    ("A # B", ParseError, "'#'", "#", "comments"),
    ("", ParseError, "there is no expression", "", "A @ x"),
    ("exp + 1", ParseError, "exp is a function", "exp", "write exp(x), or declare the shape of exp"),
    ("x > 0", ParseError, "only the condition of where", "x > 0", "where(x > 0, x, y)"),
    ("exp(x > 0)", ParseError, "only the condition of where", "x > 0", "where(x > 0, x, y)"),
    ("where(0 < x < 1, x, 0)", ParseError, "chained", "0 < x < 1", ""),
    ("where(x == 0, x, 0)", ParseError, "this comparison", "x == 0", "> < >= <="),
    ("where(x, x, 0)", ParseError, "first argument of where", "x, x", ""),
    ("where(x > 0, x)", ParseError, "3 arguments, not 2", "where", ""),
    ("x if x > 0 else y", ParseError, "not in the language", "x if", "where(x > 0, x, y)"),
    ("[x, y]", ParseError, "not in the language", "[x, y]", "use a name"),
    ("'x'", ParseError, "text in quotes", "'x'", "without quotes"),
    ("norm('x')", ParseError, "text in quotes", "'x'", "without quotes"),
    ("exp('x')", ParseError, "text in quotes", "'x'", "without quotes"),
    ("exp(x, y)", ParseError, "cannot take 2 arguments", "exp(x, y)", "write exp(x)"),
    ("sum(X, 0)", ParseError, "cannot take 2 arguments", "sum(X, 0)", "write sum(X, axis=0)"),
    ("sum(X, dim=0)", ParseError, "cannot take dim=0", "dim=0", "axis=0"),
    ("sum(X, axis=0, axis=1)", ParseError, "given twice", "axis=1", ""),
    ("sum(X, axis=a)", ParseError, "cannot take axis=a", "axis=a", ""),
    ("sum(X, axis=(0, 2))", ShapeError, "no axis 2", "sum(X, axis=(0, 2))", "write sum(X) for both axes"),
    ("sum(x, axis=(0, 1))", ShapeError, "no 2 axes", "sum(x, axis=(0, 1))", "leave axis= out"),
    ("sum(X, axis=(0, -2))", ParseError, "axis 0 is named more than once", "sum(X, axis=(0, -2))", "sum(X, axis=0)"),
    ("sum(X, axis=[])", ParseError, "names no axis", "sum(X, axis=[])", "write sum(X) for all entries"),
    ("cumsum(X, axis=(0, 1))", ParseError, "goes along one axis", "cumsum(X, axis=(0, 1))", "cumsum(X, axis=1)"),
    ("softmax(X, axis=[0, 1])", ParseError, "goes along one axis", "softmax(X, axis=[0, 1])", "softmax(X, axis=0)"),
    ("sum(X, dim=[0, 1])", ParseError, "cannot take dim=[0, 1]", "dim=[0, 1]", "axis=[0, 1]"),
    ("sum(X, axis=(0, a))", ParseError, "cannot take axis=(0, a)", "axis=(0, a)", "axis=(0, 1)"),
    ("exp(X, axis=0)", ParseError, "takes no axis=", "exp(X, axis=0)", "write exp(x)"),
    ("softmax(X, axis=0, keepdims=True)", ParseError, "takes no keepdims=", "softmax", ""),
    ("eye(n, axis=0)", ParseError, "takes no axis=", "axis=0", ""),
    ("sum(*x)", ParseError, "starred", "*x", ""),
    ("sum(x for x in y)", ParseError, "not in the language", "", ""),
    ("eye(n, m)", ParseError, "takes 1 size, not 2", "eye(n, m)", "eye(n)"),
    ("eye(0)", ParseError, "not a size", "0", "positive whole numbers"),
    ("ones(n/2)", ParseError, "n/2 is not a size", "n/2", ""),
    ("ones(2 - 3)", ParseError, "2 - 3 is -1, and no size", "2 - 3", ""),
    ("x[::2]", ParseError, "a range has no step here", "2", "0/1 matrix"),
    ("x[2:2]", ShapeError, "the range 2:2 is empty", "2:2", "with the stop excluded"),
    ("sum(x[:-3]) + sum(eye(3) @ x)", ShapeError, "the range :-3 is empty", ":-3", ""),
    ("sum(x[:5]) + sum(eye(3) @ x)", ShapeError, "the range :5 goes beyond an axis of 3", ":5", "negative ones"),
    ("sum(x[1:]) + sum(eye(2) @ x)", ShapeError, "range 1: has one entry by what follows", "1:", "declare the shape"),
    ("x[1.5:]", ParseError, "1.5 is no bound of a range", "1.5", "bounds are sizes"),
    ("x[1:, 2:]", ShapeError, "x is a column (n, 1), and 2 ranges are given", "x[1:, 2:]", "write x[1:]"),
    ("X[1:, 2:, :]", ShapeError, "3 ranges are given", "X[1:, 2:, :]", "one range for each axis"),
    ("alpha[1:]", ShapeError, "ranges are taken of vectors and matrices", "alpha[1:]", ""),
    ("pad(x, 1)", ParseError, "how many zeros stand before and behind", "pad(x, 1)", "write pad(x, 1, 0)"),
    ("pad(x, -1, 0)", ParseError, "how many zeros stand before and behind", "pad(x, -1, 0)", ""),
    ("concat(A, B, axis=2)", ParseError, "along axis 0 or 1", "concat(A, B, axis=2)", "concat(x, y)"),
    ("concat(x, x.T)", ShapeError, "do not stand one below the other", "concat(x, x.T)", ""),
    ("ones(10**9)", ParseError, "not a size", "10**9", ""),
    ("matrix_power(X, k)", ParseError, "whole number", "k", "matrix_power(X, 3)"),
    ("matrix_power(X, 1/2)", ParseError, "whole number", "1/2", ""),
    ("D(u, x, 0)", ParseError, "order of D", "D(u, x, 0)", "D(u, x, 2)"),
    ("D(x + 1, x)", ParseError, "abstract function", "D(x + 1, x)", ""),
    ("u(x, y)", ParseError, "one argument", "u(x, y)", "u(x)"),
    ("1/0", ParseError, "division by zero", "1/0", ""),
    ("x/(2 - 2)", ParseError, "division by zero", "x/(2 - 2)", ""),
    ("2j*x", ParseError, "not a real number", "2j", ""),
    ("True", ParseError, "not a real number", "True", ""),
    ("lambda x: x", ParseError, "not an expression", "", ""),
    ("x.__class__", ParseError, "not in the language", "x.__class__", ".T"),
    ("__import__('os')", ParseError, "not in the language", "__import__", ""),
    ("(lambda: 0)()", ParseError, "", "", ""),
    ("x; y", ParseError, "not an expression", ";", ""),
    ("x // 2", ParseError, "operator", "//", "use /"),
    ("not x", ParseError, "operator", "not x", ""),
    ("u + u(x)", DeclarationError, "as a function and as a variable", "", "rename"),
    ("foo(x)", MissingRuleError, "the function foo has no rule", "foo(x)", '[foo]\n    elementwise = "..."'),
    ("sofmax(x)", MissingRuleError, "sofmax", "sofmax(x)", "if softmax is meant, write softmax(x)"),
    ("ln(x)", MissingRuleError, "ln", "ln(x)", "write log(x)"),
    ("9**9**9", LimitError, "exponent", "9**9**9", ""),
    ("x**100000", LimitError, "exponent", "x**100000", ""),
    ("10**400", LimitError, "300 digits", "10**400", ""),
    ("1e999", LimitError, "300 digits", "1e999", ""),
    ("ones(1000000000)", LimitError, "beyond 1000000", "1000000000", ""),
    ("ones(10000, 10000)", LimitError, "entries", "ones(10000, 10000)", ""),
    ("matrix_power(X, 1000)", LimitError, "beyond 64", "1000", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "reason", "place", "advice"), BAD, ids=[row[0] or "empty" for row in BAD])
def test_errors_say_what_where_and_what_to_do(
    text: str, kind: type[MatcalcError], reason: str, place: str, advice: str
) -> None:
    error = error_of(text)
    assert type(error) is kind
    assert reason in error.reason
    assert advice in (error.advice or "")
    assert error.text == text
    if place:
        assert error.span is not None
        assert text[error.span[0] :].lstrip().startswith(place) or text[slice(*error.span)].strip().startswith(place)


def test_errors_show_the_caret_and_the_shapes_with_the_same_letters() -> None:
    assert str(error_of("x @ A")) == (
        "x @ A needs equal inner sizes, not (n, 1) @ (k, p)\n"
        "  x @ A\n"
        "  ^^^^^\n"
        "  shapes: x: (n,)   A: (k, p)\n"
        "  try: write x.T @ A"
    )


def test_carets_stand_under_letters_that_take_more_than_one_byte() -> None:
    error = error_of("λ*α + β*(x @ A)")
    assert error.span == (9, 14)
    assert error.text is not None
    assert error.text[9:14] == "x @ A"


def test_a_declared_size_conflict_names_both_sizes() -> None:
    error = error_of("x + y", shapes={"x": ("m",), "y": ("n",)})
    assert "m and n are different sizes" in error.reason


def test_texts_that_are_no_texts() -> None:
    assert isinstance(error_of([3]), ParseError)


# --- what people paste --------------------------------------------------------------------------------

PASTED = {
    "x·y": "write @ for a product, * entry by entry, or dot(x, y)", "A⋅x": "@ for a product", "A×B": "@ for a product",
    "xᵀ@x": "write x.T", "(A@B)ᵀ@x": "write (A@B).T", "x⊤@y": ".T for the transpose", "𝐱.T@y": "write x",
    "A^T@x": "write A.T", "A^{T}@x": "write A.T", "A^-1@x": "write inv(A)", "(A@B)^{-1}": "write inv(A@B)",
    "A⁻¹@x": "write inv(A)", "x²": "write x**2", "xⁿ": "write x**n", "x₁₂": "write x_12", "½*x": "write 1/2",
    "||x||": "write norm(x)", "‖x‖": "write norm(x)", "|x|": "write abs(x)", "|X|": "write det(X)",
    "log|X|": "write logdet(X)", "∑x": "write sum(x)", "√x": "write sqrt(x)", "x⊙y": "write * entry",
    "A⊗B": "kron(A, B)",
    "x − y": "write -", "x – y": "write -", "where(x ≥ 0, x, 0)": "write >=", "∂x": "only the function",
}  # fmt: skip


@pytest.mark.parametrize(("text", "advice"), PASTED.items(), ids=PASTED)
def test_characters_of_the_page_say_what_to_write_instead(text: str, advice: str) -> None:
    error = error_of(text)
    assert type(error) is ParseError
    assert advice in (error.advice or "")
    assert error.reason.endswith("is not in the language")
    assert error.span is not None
    assert repr(text[slice(*error.span)]) in error.reason


@pytest.mark.parametrize(("written", "meant"), [("µ", "μ"), ("ϵ", "ε"), ("ϕ", "φ"), ("𝛼", "α")])
def test_variants_of_a_greek_letter_are_the_letter(written: str, meant: str) -> None:
    problem = parse(f"{written}*x", wrt="x", shapes=f"{written}: scalar")
    assert set(problem.symbols) == {meant, "x"}


@pytest.mark.parametrize("name", ["x·y", "xᵀ", "x²"])
def test_a_declared_name_is_refused_like_one_in_the_text(name: str) -> None:
    for options in ({"shapes": f"{name}: n"}, {"shapes": {name: "n"}}, {"assume": f"{name}: positive"}):
        assert isinstance(error_of("x", **options), DeclarationError)


# --- what people mean ---------------------------------------------------------------------------------

ADVICE = {
    "X@beta": "since a scalar scales; beta is a scalar by convention: for a vector declare it, --vars 'beta: k'",
    "mu.T@x": "for a vector declare it, --vars 'mu: n'",
    "e.T@x": "e is 2.718...: for a vector declare it, --vars 'e: n'",
    "det X": "write det(X)", "log det X": "write logdet(X)", "A @ x +": "write what follows +",
    "transpose(A)@x": "write A.T", "tr(A @ B)": "write trace(A @ B)", "ReLU(x)": "write relu(x)",
    "mse(x, y)": "write mean((x - y)**2)", "huber(x)": "write where(abs(x) <= delta,",
    "logm(X)": "no matrix logarithm", "vstack(x, y)": "concat(A, B) puts", "foo(x, y)": 'call = "foo(x, y)"',
    "max(x, 0)": "write maximum(x, 0) entry by entry", "min(X, 0)": "minimum(X, 0) entry by entry, or min(X, axis=0)",
    "norm(X, ord=2)": "write norm(X, 2)", "norm(x, 0)": "norm(x, 1), the sum of their absolute values",
    "norm(x, inf)": "write max(abs(x))", "norm(X, 1)": "write sum(abs(X))", "softmax(x, dim=0)": "write axis=0",
    "exp(x, dim=0)": "leave it out", "dot(A, x)": "write A @ x",
    "solve(x, A)": "write solve(A, x), which is inv(A) @ b",
}  # fmt: skip


@pytest.mark.parametrize(("text", "advice"), ADVICE.items(), ids=ADVICE)
def test_advice_is_what_the_reader_most_likely_means(text: str, advice: str) -> None:
    assert advice in (error_of(text).advice or "")


def test_advice_to_declare_a_vector_can_be_followed() -> None:
    assert parse("X@beta", wrt="X", shapes="beta: k").symbols["beta"].squeezed_shape == ("k",)
    assert parse("e.T@x", wrt="x", shapes="e: n").symbols["e"].squeezed_shape == ("n",)


def test_a_known_name_is_not_buried_under_the_entry_to_add() -> None:
    for text in ("ln(x)", "tr(A)", "sofmax(x)", "vstack(x, y)"):
        assert "elementwise" not in (error_of(text).advice or "")


def test_the_forms_of_a_function_are_those_a_reader_writes() -> None:
    assert "[" not in error_of("norm(X, 3)").reason


def test_the_caret_of_a_text_that_ends_too_early_stands_at_its_end() -> None:
    assert error_of("A @ x +").span == (7, 8)


DECLARED: list[tuple[dict[str, Any], str]] = [
    ({"assume": "A: symmetric, x: positive"}, 'separate the names with ; as in "A: symmetric; x: positive"'),
    ({"assume": "A: PSD"}, "did you mean posdef?"), ({"assume": {"A": "symetric"}}, "did you mean symmetric?"),
    ({"assume": "symmetric"}, 'as in "A: symmetric; x: positive"'),
    ({"shapes": "x: n; n: scalar"}, "a size is also a number, as in sum(x)/n"),
    ({"shapes": "pi: scalar"}, "give the variable another name"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "advice"), DECLARED)
def test_declarations_say_what_was_meant(options: dict[str, Any], advice: str) -> None:
    error = error_of("A @ x", **options)
    assert isinstance(error, DeclarationError)
    assert advice in (error.advice or "")


# --- hostile input --------------------------------------------------------------------------------------

HOSTILE = {
    "brackets": "(" * 10_000 + "x" + ")" * 10_000, "open brackets": "(" * 9_000, "minus": "-" * 15_000 + "x",
    "plus": "x" + "+x" * 9_000, "powers": "x" + "**x" * 6_000, "products": "A" + "@A" * 600, "dots": "x" + ".T" * 5_000,
    "long": "x+" * 50_000 + "x", "digits": "9" * 15_000, "power of digits": "9" * 5_000 + "**" + "9" * 5_000,
    "not": "not " * 4_000 + "x", "lambda": "lambda:" * 2_800 + "x", "calls": "f" + "()" * 5_000,
    "picks": "x" + "[0]" * 5_000,
    "arguments": "f(" + "x," * 9_000 + "x)", "comparisons": "x" + "<x" * 5_000, "string": "'" + "a" * 19_000 + "'",
    "null": "x\0y", "surrogate": "x\ud800", "emoji": "x😀", "if": "x if x else " * 1_500 + "x",
    "sizes": "ones(" + "9*" * 3_000 + "9)",
    "doubling": "+".join(f"sum(x{i + 1} - kron(x{i}, x{i}))" for i in range(60)), "name": "a" * 19_999,
    "einsum": "einsum('" + "ij," * 4_000 + "ij->i'" + ", A" * 4_000 + ")", "product": "9" + "*9" * 450,
    "backslash": "x \\\n + y", "formatted": "f'{x}'", "bytes": "b'x'", "walrus": "(x := 1)", "star": "**x",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_soon(text: str) -> None:
    start = time.perf_counter()
    assert str(error_of(text))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("depth", [64, 128])
def test_deep_networks_are_read(depth: int) -> None:
    assert len(parse("tanh(W @ " * depth + "x" + ")" * depth).expressions[0].squeezed_shape) == 1


PIECES = (
    [*"AxXybc()[]'.,+-*/@<>=^ 019", "**", ".T", "exp(", "sum(", "axis=", "einsum('ij,j->i',", "eye(", "norm(", "where(",
     "u(", "alpha", "kron(", "D(", "λ", "matrix_power(", "keepdims=True", "lambda", "if", "e5", "#", "->"]
)  # fmt: skip


def test_any_text_is_an_expression_or_a_matcalc_error() -> None:
    # Importing it takes as long as many a test.
    from hypothesis import given, settings
    from hypothesis import strategies as st

    @given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
    @settings(max_examples=300, deadline=None)
    def read(text: str) -> None:
        with contextlib.suppress(MatcalcError):
            assert len(parse(text, choose_wrt=True).expressions) == 1

    read()
