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
from matcalc.language.expression import Expression, symbols, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.sympy_to_expression import read_sympy
from matcalc.language.text_to_expression import list_abstract, parse
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
    assert_close(read_sympy_value(converted, values_of(case)), derivative.evaluate(point.values, point.sizes))


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
    (HadamardPower(2 * x, -1), "(2*x)**-1"),
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
    (sp.Heaviside(t, 1), "where(t >= 0, 1, 0)"),
    (sp.Heaviside(t, 0), "where(t > 0, 1, 0)"),
    (sp.log(t, 2), "log(t)/log(2)"),
    (sp.log(t, 2, evaluate=False), "log(t)/log(2)"),
    (sp.Rational(1, 3) * t, "t/3"),
    (0.1 * t, "0.1*t"),
    (sp.Float("0.1234567890123456789", 19) * t, "1234567890123456789e-19*t"),
    (sp.Symbol("e") * sp.E, "exp(1)*e"),
    (sp.Symbol("E") * sp.Symbol("lambda"), "E*lambda"),
    (sp.Symbol("exp") * sp.exp(t), "exp*exp(t)"),
    (sp.exp(A) * sp.exp(X), "expm(A) @ expm(X)"),
    (sp.exp(sp.exp(A)), "expm(expm(A))"),
    (sp.Pow(A, 2, evaluate=False), "matrix_power(A, 2)"),
    (sp.Piecewise((A, t > 0), (X, True)), "where(t > 0, A, X)"),
    (HadamardPower(x, t), "x**t"),
    (HadamardPower(x, sp.Rational(1, 2)), "sqrt(x)"),
    (HadamardPower(x, y), "x**y"),
    (x.applyfunc(sp.Lambda(d, sp.Max(d, 0) + sp.Trace(A) * d)), "x*trace(A) + maximum(0, x)"),
    (x.applyfunc(sp.Lambda(d, d * sp.Trace(A.applyfunc(sp.Lambda(d, d**2))))), "x*trace(A**2)"),
    (x.applyfunc(sp.Lambda(t, t**2)) * t, "t*x**2"),
    (x.applyfunc(sp.Lambda(d, sp.Piecewise((d, d > 0), (2 * d, True)))), "where(x > 0, x, 2*x)"),
    (r.applyfunc(sp.exp), "exp(r)"),
    (s.applyfunc(sp.Lambda(d, d * t)), "s*t"),
    (KroneckerProduct(r, 2 * x), "kron(r, 2*x)"),
    (DiagMatrix(r), "diag(r.T)"),
    (sp.DotProduct(r, x), "dot(r.T, x)"),
    (OneMatrix(1, 1) * t, "t*1"),
    (t * sp.Identity(n * m), "t*eye(m*n)"),
    (sp.diff(u(t**2), t), "2*t*D(u, t**2)"),
    (sp.Piecewise((t, t > 0), (c * t, True)), "where(t > 0, t, t*c)"),
    (sp.Piecewise((t, (t > 0) & (c < 1)), (c, True)), "where(t > 0, where(c < 1, t, c), c)"),
    (sp.Piecewise((t, (t > 0) | (c < 1)), (c, True)), "where(t > 0, t, where(c < 1, t, c))"),
    (sp.DotProduct(x, y), "dot(x, y)"),
    (s[0, 0] * t, "t*s"),
    (u(t) * t, "t*u(t)"),
    (u(t).diff(t, 2), "D(u, t, 2)"),
    (sp.asin(t) + sp.Abs(t), "abs(t) + arcsin(t)"),
    (sp.MatrixSymbol("Z", n * m, n**2), "Z"),
]  # fmt: skip


@pytest.mark.parametrize(("expr", "text"), READ, ids=[text for _, text in READ])
def test_a_sympy_expression_is_read(expr: sp.Basic, text: str) -> None:
    node, _ = read_sympy(expr)
    assert _sort_terms(to_text(node)) == _sort_terms(text)
    shapes = {**{name: found.declared_shape for name, found in symbols(node).items()}, **list_abstract(node)}
    assert parse(to_text(node), shapes=shapes).expressions[0].shape == node.shape


def _sort_terms(text: str) -> list[str]:
    """SymPy orders commutative products as it likes, and a size is written as it was written first."""
    return sorted(re.split(r"([*+()])", text))


@textbook
def test_reading_back_what_was_written_means_the_same(case: Case) -> None:
    function, point = derive_case(case).function, find_point(case, 0)
    try:
        again, _ = read_sympy(to_sympy(function))
    except MatcalcError:
        assert re.search(r"expm|nuc|minimum|prod|cumsum|einsum|vec", case.expr)
        return
    known = derive_case(case).problem.symbols.values()
    truth, value = (evaluate_with(one, point.values, point.sizes, known) for one in (function, again))
    assert_close(value, truth)


@textbook
def test_every_answer_that_was_written_is_read_back(case: Case) -> None:
    point = find_point(case, 0)
    for layout in BOTH:
        derivative = derive_case(case, layout)
        converted = convert(derivative.expression)
        if isinstance(converted, str):
            continue
        again, _ = read_sympy(converted)
        truth = derivative.evaluate({**point.values, **point.functions})
        known = derive_case(case).problem.symbols.values()
        assert_close(evaluate_with(again, point.values, point.sizes, known), truth)


def test_shapes_and_assumptions_come_along() -> None:
    found = symbols(read_sympy(c * r * A * x + s)[0])
    shapes = {name: node.declared_shape for name, node in found.items()}
    assert shapes == {"c": (), "r": (1, "n"), "A": ("n", "n"), "x": ("n",), "s": ()}
    assert {name: node.data[1] for name, node in found.items() if node.data[1]} == {"c": {"positive"}}
    fixed = derive(sp.MatrixSymbol("W", 2, 3) * sp.MatrixSymbol("v", 3, 1), "v")
    assert fixed.declared == {"W": ("2", "3"), "v": ("3",)}


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
        (sp.hankel1(1, t), "class hankel1"), (sp.I * t, "class ImaginaryUnit"), (sp.oo * t, "class Infinity"),
        (sp.Sum(t, (t, 1, m)), "class Sum"), (A[n - 1, 1], "class MatrixElement"), (A[1:, :], "class MatrixSlice"),
        (sp.log(A), "class log"), (sp.Integral(t, t), "class Integral"),
        (sp.MatPow(A, t), "class MatPow"), (u(t, c), "class u"), (sp.BlockMatrix([[A, B]]), "class BlockMatrix"),
        (sp.MatrixSymbol("Z", n / 2, m), "dimension n/2"), (sp.Symbol("\\alpha") * t, "alpha"),
        (sp.Symbol("in") * t, "'in'"), (sp.Symbol("x") * sp.Trace(x * x.T), "two SymPy symbols are called x"),
        (sp.Symbol("pi") * sp.pi, "called pi"), (t > 0, "comparison"),
    ],
)  # fmt: skip
def test_what_the_language_has_no_word_for_is_named(expr: sp.Basic, named: str) -> None:
    with pytest.raises(MatcalcError, match=named):
        derive(expr, "t")


OTHER = sp.Symbol("t", positive=True)
MEANT_OTHERWISE = [
    (sp.Add(A, t), "shapes .* are not the same"), (sp.sin(sp.exp(A)), "class sin"),
    (x + B, r"shapes \(n, m\) and \(n, 1\)"), (A * sp.MatrixSymbol("v", m, 1), "equal inner sizes"),
    (sp.Trace(B), "square matrix"), (DiagonalOf(x), "class DiagonalOf"), (DiagonalMatrix(x), "class DiagonalMatrix"),
    (x.applyfunc(u), "single entries"), (A.applyfunc(lambda entry: entry * X), "class Elementwise"),
    (x.applyfunc(sp.Lambda(d, d * sp.Trace(A.applyfunc(sp.Lambda(t, t * d))))), "single entries"),
    (x.applyfunc(sp.Lambda(d, sp.Trace(d * A))), "single entries"),
    (HadamardProduct(x.applyfunc(sp.Lambda(d, sp.Derivative(u(d), d))), x), "single entries"),
    (sp.Piecewise((t, t > 0)), "none of its conditions"), (sp.Heaviside(t, c), "class Heaviside"),
    (sp.Symbol("pi") * t, "called pi"), (sp.Symbol("x.T") * t, "'x.T' is no name"), (sp.Symbol("a b") * t, "'a b'"),
    (sp.Symbol("\u00b5") * sp.Symbol("\u03bc"), "two SymPy symbols"), (OTHER * t, "other things are assumed"),
    (sp.Dummy("t") * t, "a Dummy and a Symbol|a Symbol and a Dummy"), (A * sp.MatrixSymbol("A", n, m), "called A"),
    (sp.Symbol("A") * sp.Trace(A), "called A"), (u(sp.Symbol("u")), "called u"), (sp.Symbol("n") * x, "called n"),
    (sp.Symbol("a", imaginary=True) * t, "is not real"),
    (sp.Float("1e400") * t, "300 digits"), (10**400 * t, "300 digits"), (t**20000, "exponent is beyond"),
    (sp.MatrixSymbol("Z", 0, 1), "dimension 0"), (sp.MatrixSymbol("Z", 10**7, 1), "too large"),
    (sp.MatAdd(), "class GenericZeroMatrix"), (sp.Piecewise((t, sp.Eq(c, 1)), (0, True)), "class Equality"),
]  # fmt: skip


@pytest.mark.parametrize(("expr", "named"), MEANT_OTHERWISE, ids=[named for _, named in MEANT_OTHERWISE])
def test_what_would_mean_something_else_here_is_refused(expr: sp.Basic, named: str) -> None:
    with pytest.raises(MatcalcError, match=named):
        derive(expr, "t")


@pytest.mark.parametrize("name", ["var", "norm", "max", "det", "size", "sum", "exp", "eye", "where", "einsum", "D"])
def test_an_undefined_function_never_has_the_meaning_of_its_name(name: str) -> None:
    with pytest.raises(MatcalcError, match=f"{name} is a function of the language"):
        derive(sp.Function(name)(t) * t, t)


def test_an_undefined_function_of_any_other_name_is_one() -> None:
    derivative = derive(sp.Function("force")(t) * t, t)
    assert str(derivative) == "t*D(force, t) + force(t)"
    assert derivative.check().verdict == "agrees"


@pytest.mark.parametrize(
    "expr", [sp.Symbol("a", commutative=False) * sp.Symbol("b", commutative=False) * t,
             sp.Function("f", commutative=False)(t)],
)  # fmt: skip
def test_what_does_not_commute_is_no_scalar(expr: sp.Basic) -> None:
    with pytest.raises(MatcalcError, match="does not commute"):
        derive(expr, t)


# --- the variable -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "wrt", "named"),
    [
        (A * x, sp.Symbol("x"), r"a MatrixSymbol of shape \(n, 1\) and a Symbol"),
        (A * x, sp.MatrixSymbol("x", m, 1), r"shape \(n, 1\) and a MatrixSymbol of shape \(m, 1\)"),
        (s * t, sp.Symbol("s"), r"a MatrixSymbol of shape \(1, 1\) and a Symbol"),
        (t**2, OTHER, "other things are assumed"), (d**2, sp.Dummy("d"), "called d"),
        (derive(x.T * A * x, x), sp.Symbol("x"), "called x"), (n * x, n, "used as a size"),
        (A * x, A + X, "no variable|is a name"), (A * x, (A * X)[0, 1], "no variable|is a name"),
    ],
)  # fmt: skip
def test_a_variable_is_more_than_its_name(expr: object, wrt: object, named: str) -> None:
    asked = [lambda: derive(expr, wrt), lambda: derive(expr, [wrt]), lambda: derive(expr, order=(wrt, wrt)),
             lambda: check(expr, "0", wrt)]  # fmt: skip
    for ask in asked:
        with pytest.raises(MatcalcError, match=named):
            ask()


def test_the_shape_of_a_variable_is_not_declared_otherwise() -> None:
    for expr in (A * x, "A @ x"):
        with pytest.raises(MatcalcError, match=r"x has two shapes, \(4,\) and \(n,\)"):
            derive(expr, x, shapes={"x": (4,)})
    with pytest.raises(MatcalcError, match="x has two shapes"):
        check(x.T * A * x, sp.MatrixSymbol("x", m, 1).T, "x")
    assert str(derive(A * x, x, shapes={"x": ("n",), "A": (n, n)})) == "A"


def test_a_symbol_says_the_shape_of_a_name_in_a_text() -> None:
    assert str(derive("x**2", sp.Symbol("x"))) == "2*x"
    assert derive("A @ x", sp.MatrixSymbol("x", 3, 1)).shape == ("m", 3)
    assert str(derive(derive("x.T @ A @ x", x), x)) == "A + A.T"


Z = sp.MatrixSymbol("Z", m, k)
ZEROS = [(A * x, t, ("n",)), (A * x, y, ("n", "n")), (A * x, Z, ("n", "k", "m")), (A, Z, ("n", "n", "k", "m")),
         (x.T * x, Z, ("k", "m")), (t**2, c, ()), ("x @ x", y, ("n",)),
         (n * t, x, ("n",))]  # fmt: skip


@pytest.mark.parametrize(("expr", "wrt", "shape"), ZEROS)
def test_a_variable_that_does_not_occur_gives_zeros_of_the_right_shape(
    expr: object, wrt: sp.Basic, shape: tuple[str, ...]
) -> None:
    derivative = derive(expr, wrt)
    assert derivative.shape == shape
    assert derivative.in_layout("denominator").shape == shape[::-1]
    assert derivative.structure[:1] == ("zero",)
    assert derivative.check().verdict == "agrees"
    for layout in ("denominator", "mixed", "torch", "vec"):
        assert derivative.in_layout(layout).check().verdict == "agrees"
    own = shape[len(derivative.function.squeezed_shape) :]
    assert derive(expr, wrt, order=2).shape == shape + own


def test_zeros_beside_other_derivatives() -> None:
    both = derive(x.T * x, [x, Z], layout="denominator")
    assert [str(one) for one in both.values()] == ["2*x", "zeros(m, k)"]
    assert str(derive(x.T * x, [x, y], order=2)["x", "y"]) == "zeros(n, n)"
    assert str(derive(x.T * x, order=(x, y))) == "zeros(n, n)"
    assert check(x.T * x, ZeroMatrix(m, k), Z, layout="denominator").verdict == "agrees"
    assert check(x.T * x, ZeroMatrix(k, m), Z, layout="denominator").verdict == "differs"
    with pytest.raises(MatcalcError, match="no variable y"):
        derive(x.T * x, "y")


# --- no text in between -------------------------------------------------------------------------------------


def test_an_answer_to_a_sympy_expression_can_be_asked_for_again() -> None:
    derivative = derive(sp.log(c) * x.T * A * x, x, assume={"A": "symmetric"})
    assert derivative.header.startswith("df/dx")
    assert derivative.declared == {"c": (), "x": ("n",), "A": ("n", "n")}
    assert derivative.assumed == {"c": ("positive",), "A": ("symmetric",)}
    told = "--wrt x --vars 'c: scalar; x: n; A: n,n' --assume 'c: positive; A: symmetric'"
    assert derivative.check().command == f"matcalc derive 'log(c)*x.T @ A @ x' {told} --seed 0"
    again = derive(derivative.text, "x", shapes=derivative.declared, assume=derivative.assumed)
    assert again.expression is derivative.expression


def test_a_part_that_is_used_twice_is_read_once() -> None:
    deep = t
    for _ in range(12):
        deep = sp.exp(deep) * sp.sin(deep)
    assert len(list(walk(read_sympy(deep)[0]))) == 1 + 3 * 12


def test_reading_needs_no_depth_of_its_own() -> None:
    deep = t
    for _ in range(90):
        deep = sp.sin(2 * deep, evaluate=False)

    def read_below(depth: int) -> Expression:
        return read_below(depth - 1) if depth else read_sympy(deep)[0]

    assert read_below(300) is read_sympy(deep)[0]


@pytest.mark.parametrize("expr", [3, None, 2.5, [x], np.eye(2)])
def test_what_is_no_expression_is_refused(expr: object) -> None:
    with pytest.raises(MatcalcError, match="a text or a SymPy expression"):
        derive(expr)


def test_huge_sympy_expressions_are_refused_at_once() -> None:
    long = sp.Add(*sp.symbols("a:600"))
    many = sp.Max(*sp.symbols("a:200"), evaluate=False)
    deep = wide = t
    for _ in range(3000):
        deep = sp.sin(deep, evaluate=False)
    for _ in range(60):
        wide = sp.exp(wide) + sp.sin(wide)
    for expr in (deep, wide, long, many, sp.hankel1(1, wide) + t):
        with pytest.raises(MatcalcError, match=r"deep|long|class hankel1|characters"):
            derive(expr, "t")


def test_a_choice_between_two_arrays_leaves_as_a_function_of_their_difference() -> None:
    found = derive("sum(maximum(x, y))", "x", layout="denominator").to_sympy()
    assert str(found) == "Lambda(_d, Piecewise((1, _d <= 0), (0, True))).(-x + y)"
