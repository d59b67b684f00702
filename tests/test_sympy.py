"""SymPy in and out: answers as SymPy objects have the right values, and SymPy expressions are read as what they are."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sympy as sp
from sympy.matrices.expressions import DiagMatrix, HadamardPower, HadamardProduct, OneMatrix, ZeroMatrix
from sympy.matrices.expressions.diagonal import DiagonalMatrix, DiagonalOf
from sympy.matrices.expressions.kronecker import KroneckerProduct

from matcalc import MatcalcError, check, derive
from matcalc.check.evaluate import evaluate_with
from matcalc.errors import LimitError
from matcalc.language.expression import Expression
from matcalc.language.sympy_to_expression import read_sympy
from matcalc.language.text_to_expression import parse
from matcalc.render.to_sympy import to_sympy
from tests.read_cases import Case, derive_case, find_point, read_cases
from tests.sampling import sample
from tests.sympy_reading import read_sympy_value

BOTH = ("numerator", "denominator")
TEXTBOOK = [case for case in read_cases() if case.topic in ("textbook", "sympy_issues")]
textbook = pytest.mark.parametrize("case", sample("sympy", TEXTBOOK, 0.25), ids=lambda case: case.id)
# SymPy has no exponential of a symbolic matrix, no entrywise minimum of two arrays, no polar factor.
NO_WORD = re.compile(r"\b(expm|minimum|polar|nuc)\b|fuse")


def values_of(case: Case) -> dict[str, object]:
    point = find_point(case, 0)
    return {**{name: value.numpy() for name, value in point.values.items()}, **point.sizes}


def convert(expression: Expression) -> Any:
    """The SymPy form, or the text of the refusal."""
    try:
        return to_sympy(expression)
    except MatcalcError as error:
        return str(error)


def assert_close(value: object, truth: object) -> None:
    value, truth = np.squeeze(value), np.squeeze(truth)
    assert value.shape == truth.shape
    np.testing.assert_allclose(value, truth, rtol=1e-8, atol=1e-10)


# --- out ----------------------------------------------------------------------------------------------------


@textbook
def test_every_answer_has_its_value_in_sympy(case: Case) -> None:
    point = find_point(case, 0)
    for layout in BOTH:
        derivative = derive_case(case, layout)
        converted = convert(derivative.expression)
        if isinstance(converted, str):
            assert NO_WORD.search(str(derivative)), converted
            continue
        truth = derivative.evaluate({**point.values, **point.functions})
        assert_close(read_sympy_value(converted, values_of(case)), truth)


OTHERS = [case for case in read_cases() if case not in TEXTBOOK]


@pytest.mark.parametrize("case", sample("other answers", OTHERS), ids=lambda case: case.id)
def test_other_answers_have_their_value_or_are_refused(case: Case) -> None:
    derivative, point = derive_case(case), find_point(case, 0)
    converted = convert(derivative.expression)
    if isinstance(converted, str) or point.functions:
        assert point.functions or converted.startswith("SymPy has no word")
        return
    assert_close(read_sympy_value(converted, values_of(case)), derivative.evaluate(point.values))


@pytest.mark.parametrize(
    "text",
    ["(A + A.T) @ x", "inv(A) @ x", "x*sin(x)", "diag(x) @ A", "kron(A, x)", "sum(A, axis=1)", "tril(A)",
     "softmax(x)", "x/norm(x)", "A*x", "einsum('i,jk->ijk', x, A)", "einsum('ij,ij->i', A, A)",
     "commutation(2, 3)", "where(x > 0, x, 2*x)", "A/x", "relu(x)", "matrix_power(A, 2)"],
)  # fmt: skip
def test_sympy_itself_reads_an_answer_so(text: str) -> None:
    """SymPy's own entries, as_explicit, are those of the test's reading."""
    expression = parse(text, shapes={"A": (2, 2), "x": (2,)}).expressions[0]
    values = {"A": np.array([[0.9, 0.2], [0.4, 0.7]]), "x": np.array([[0.3], [0.8]])}
    converted = to_sympy(expression)
    entries = {
        sp.MatrixSymbol(name, *value.shape)[place]: value[place]
        for name, value in values.items() for place in np.ndindex(value.shape)
    }  # fmt: skip
    traces = {trace: sp.ImmutableMatrix(trace.arg.as_explicit()).trace() for trace in converted.atoms(sp.Trace)}
    explicit = converted.as_explicit().applyfunc(lambda entry: sp.sympify(entry).xreplace(traces).xreplace(entries))
    assert_close(np.array(explicit.tolist(), dtype=float), read_sympy_value(converted, values))


def test_answers_are_sympys_matrix_expressions() -> None:
    n = sp.Symbol("n", integer=True, positive=True)
    A, x = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("x", n, 1)
    assert derive("x.T @ A @ x", layout="denominator").to_sympy() == (A + A.T) * x
    assert derive("logdet(A)", "A").to_sympy() == A.I
    assert derive("trace(A)**2", "A").to_sympy() == 2 * sp.Trace(A) * sp.Identity(n)
    assert derive("x.T @ x", order=2).to_sympy() == 2 * sp.Identity(n)
    assert derive("sum(c*x)", "c", shapes={"c": (), "x": ("n",)}).to_sympy() == sp.Trace(OneMatrix(1, n) * x)


def test_an_answer_is_given_in_the_symbols_of_the_question() -> None:
    n, t = sp.symbols("n t")
    A, x = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("x", n, 1)
    derivative = derive(t * x.T * A * x, x, layout="denominator")
    assert derivative.to_sympy() == t * (A + A.T) * x
    assert derivative.in_layout("numerator").to_sympy() == t * x.T * (A + A.T)
    assert derive(derivative, x).to_sympy() == t * (A + A.T)
    assert derive(sp.Trace(A), A).to_sympy() == sp.Identity(n)


def test_a_lambda_inside_a_lambda_has_a_variable_of_its_own() -> None:
    expression = parse("maximum(x, sum(exp(x)))", shapes={"x": (3,)}).expressions[0]
    values = {"x": np.array([[0.1], [0.4], [9.0]])}
    truth = np.maximum(values["x"], np.exp(values["x"]).sum())
    converted = to_sympy(expression)
    assert_close(read_sympy_value(converted, values), truth)
    (inner,) = converted.atoms(sp.Lambda) - {converted.function}
    assert inner.variables != converted.function.variables


@pytest.mark.parametrize(
    ("text", "named"),
    [("expm(X)", "expm"), ("pinv(X)", "pinv"), ("prod(X, axis=0)", "prod along an axis"),
     ("maximum(x, y)", "maximum of several arrays"), ("u(X)", "abstract function u"), ("polar(X)", "polar"),
     ("einsum('i,j,k->ijk', x, x, x)**2", "power")],
)  # fmt: skip
def test_what_sympy_has_no_word_for_is_named(text: str, named: str) -> None:
    with pytest.raises(MatcalcError, match=named):
        to_sympy(parse(text).expressions[0])


def test_abstract_functions_of_numbers_are_sympys() -> None:
    t = sp.Symbol("t")
    u = sp.Function("u")
    shapes = {"t": (), "u": ()}
    assert derive("t*u(t)", "t", shapes=shapes).to_sympy() == t * u(t).diff(t) + u(t)
    chain = derive("u(t**2)", "t", shapes=shapes).to_sympy()
    assert sp.simplify(chain.doit() - sp.diff(u(t**2), t).doit()) == 0


# --- in -----------------------------------------------------------------------------------------------------

n, m, k = sp.symbols("n m k", integer=True, positive=True)
A, X, B = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("X", n, n), sp.MatrixSymbol("B", n, m)
x, y, r = sp.MatrixSymbol("x", n, 1), sp.MatrixSymbol("y", n, 1), sp.MatrixSymbol("r", 1, n)
s = sp.MatrixSymbol("s", 1, 1)
t, c = sp.Symbol("t"), sp.Symbol("c", positive=True)
d = sp.Dummy("d")
u = sp.Function("u")

READ = [
    (x.T * A * x, "x.T @ A @ x"),
    (2 * A * x / 3, "2*A @ x/3"),
    (-A * x, "-A @ x"),
    (A * (x + y), "A @ (x + y)"),
    (x - y, "x - y"),
    ((t - 1) * A, "(t - 1)*A"),
    (t * sp.Identity(n) - A, "t*eye(n) - A"),
    (sp.Trace(A * X.I), "trace(A @ inv(X))"),
    (sp.log(sp.Determinant(X)), "log(det(X))"),
    (X**3, "matrix_power(X, 3)"),
    (sp.MatPow(X, sp.Rational(1, 2)), "sqrtm(X)"),
    (sp.exp(t * A), "expm(t*A)"),
    (sp.exp(x.T * y), "exp(x.T @ y)"),
    (sp.sqrt(x.T * x), "sqrt(x.T @ x)"),
    (HadamardProduct(A, X), "A*X"),
    (HadamardPower(x, 2), "x**2"),
    (HadamardPower(2 * x, -1), "(2*x)**(-1)"),
    (x.applyfunc(sp.sin), "sin(x)"),
    (x.applyfunc(sp.Lambda(d, d**2 + 1)), "x**2 + 1"),
    ((A * x).applyfunc(sp.Lambda(d, t * d)), "t*(A @ x)"),
    (x.applyfunc(sp.Lambda(d, t)), "t*ones(n)"),
    (KroneckerProduct(A, X, B), "kron(kron(A, X), B)"),
    (DiagMatrix(x) * A, "diag(x) @ A"),
    (DiagonalOf(A), "diag(A)"),
    (DiagonalMatrix(A), "diag(diag(A))"),
    (OneMatrix(1, n) * x, "ones(n).T @ x"),
    (OneMatrix(n, m), "ones(n, m)"),
    (ZeroMatrix(n, 1), "zeros(n)"),
    (r * x, "r @ x"),
    (s * t, "t*s"),
    (sp.Trace(s), "s"),
    (n * t, "t*n"),
    (sp.pi * sp.E * t, "exp(1)*pi*t"),
    (sp.Float(0.5) * t - sp.Rational(3, 2), "0.5*t - 3/2"),
    (1 / (t * c**2), "1/(t*c**2)"),
    (t ** sp.Rational(-1, 2), "t**(-1/2)"),
    (sp.Max(t, c), "maximum(c, t)"),
    (sp.Heaviside(t), "(1 + sign(t))/2"),
    (sp.Piecewise((t, t > 0), (c * t, True)), "where(t > 0, t, t*c)"),
    (sp.DotProduct(x, y), "dot(x, y)"),
    (s[0, 0] * t, "t*s"),
    (u(t) * t, "t*u(t)"),
    (u(t).diff(t, 2), "D(u, t, 2)"),
    (sp.asin(t) + sp.Abs(t), "abs(t) + arcsin(t)"),
    (sp.MatrixSymbol("Z", n * m, n**2), "Z"),
]  # fmt: skip


@pytest.mark.parametrize(("expr", "text"), READ, ids=[text for _, text in READ])
def test_a_sympy_expression_is_read(expr: sp.Basic, text: str) -> None:
    written, shapes, assume = read_sympy(expr)
    assert _sort_terms(written) == _sort_terms(text)
    parse(written, shapes=shapes, assume=assume)


def _sort_terms(text: str) -> list[str]:
    """SymPy orders commutative products as it likes."""
    return sorted(re.split(r"([*+])", text))


@textbook
def test_reading_back_what_was_written_means_the_same(case: Case) -> None:
    function, point = derive_case(case).function, find_point(case, 0)
    try:
        written, shapes, _ = read_sympy(to_sympy(function))
    except MatcalcError:
        assert re.search(r"expm|nuc|minimum|prod|cumsum|einsum|vec", case.expr)
        return
    again = parse(written, shapes={name: shape for name, shape in shapes.items() if name in point.values})
    known = derive_case(case).problem.symbols.values()
    truth, value = (evaluate_with(one, point.values, point.sizes, known) for one in (function, again.expressions[0]))
    assert_close(value, truth)


def test_shapes_and_assumptions_come_along() -> None:
    _, shapes, assume = read_sympy(c * r * A * x + s)
    assert shapes == {"c": (), "r": (1, "n"), "A": ("n", "n"), "x": ("n",), "s": ()}
    assert assume == {"c": "positive"}
    fixed = read_sympy(sp.MatrixSymbol("W", 2, 3) * sp.MatrixSymbol("v", 3, 1))
    assert fixed == ("W @ v", {"W": (2, 3), "v": (3,)}, {})


@pytest.mark.parametrize("wrt", ["x", x])
def test_a_derivative_by_name_or_by_symbol(wrt: object) -> None:
    derivative = derive(x.T * A * x, wrt, layout="denominator")
    assert str(derivative) == "(A + A.T) @ x"
    assert derivative.check().verdict == "agrees"


def test_a_text_can_be_derived_by_a_sympy_symbol() -> None:
    assert str(derive("A @ x", x)) == "A"


def test_a_claim_can_be_written_in_sympy() -> None:
    assert check(x.T * A * x, x.T * (A + A.T), x).verdict == "agrees"
    assert check("x.T @ A @ x", 2 * x.T * A, "x", shapes={"A": ("n", "n")}).verdict == "differs"


SILENT_ZEROS = [
    (sp.Trace(A) + 1, A, "eye(n)"),
    (sp.Trace(A.T * A) + sp.Trace(X.T * X), A, "2*A.T"),
    (sp.sin(sp.Trace(A)), A, "cos(trace(A))*eye(n)"),
    (t * sp.Determinant(A), A, "t*det(A)*inv(A)"),
]


@pytest.mark.parametrize(("expr", "wrt", "answer"), SILENT_ZEROS)
def test_what_sympy_gets_wrong_is_right_here(expr: sp.Basic, wrt: sp.Basic, answer: str) -> None:
    assert str(derive(expr, wrt)) == answer


@pytest.mark.parametrize(
    ("expr", "named"),
    [
        (sp.gamma(t), "class gamma"), (sp.I * t, "class ImaginaryUnit"), (sp.oo * t, "class Infinity"),
        (sp.Sum(t, (t, 1, 3)), "class Sum"), (A[0, 1], "class MatrixElement"), ((x.T * A * x)[0, 0], "class Sum"),
        (sp.Matrix([[1, 2]]), "DenseMatrix"), (sp.log(A), "class log"), (sp.Integral(t, t), "class Integral"),
        (sp.MatPow(A, t), "class MatPow"), (u(t, c), "class u"), (sp.BlockMatrix([[A, X]]), "class BlockMatrix"),
        (sp.MatrixSymbol("Z", n + 1, m), "dimension n \\+ 1"), (sp.Symbol("\\alpha") * t, "alpha"),
        (sp.Symbol("in") * t, "'in'"), (sp.Symbol("x") * sp.Trace(x * x.T), "two SymPy symbols are called x"),
        (sp.Symbol("pi") * sp.pi, "called pi"), (t > 0, "comparison"),
    ],
)  # fmt: skip
def test_what_the_language_has_no_word_for_is_named(expr: sp.Basic, named: str) -> None:
    with pytest.raises(MatcalcError, match=named):
        derive(expr, "t")


@pytest.mark.parametrize("expr", [3, None, 2.5, [x], np.eye(2)])
def test_what_is_no_expression_is_refused(expr: object) -> None:
    with pytest.raises(MatcalcError, match="a text or a SymPy expression"):
        derive(expr)


def test_huge_sympy_expressions_are_refused_at_once() -> None:
    deep = wide = t
    for _ in range(3000):
        deep = sp.sin(deep, evaluate=False)
    for _ in range(60):
        wide = sp.exp(wide) + sp.sin(wide)
    for expr in (deep, wide):
        with pytest.raises(LimitError):
            derive(expr, "t")
