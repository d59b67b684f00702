"""SymPy's entries, sums, blocks, slices and arrays are read with the values that they have in SymPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from sympy.matrices.expressions import BlockDiagMatrix, FunctionMatrix, OneMatrix
from sympy.tensor.array.expressions import (
    ArrayAdd,
    ArrayContraction,
    ArrayDiagonal,
    ArraySymbol,
    ArrayTensorProduct,
    OneArray,
    PermuteDims,
    ZeroArray,
)
from sympy.tensor.array.expressions.array_expressions import ArrayElementwiseApplyFunc, Reshape

from matcalc import MatcalcError, check, derive
from matcalc.check.evaluate import evaluate_with
from matcalc.inputs import read_input
from matcalc.language.expression import symbols
from matcalc.language.sympy_to_expression import read_sympy
from tests.sympy_reading import read_sympy_value

n, m, k = sp.symbols("n m k", integer=True, positive=True)
i, j, h, t, c = sp.symbols("i j h t c")
A, X, B = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("X", n, n), sp.MatrixSymbol("B", n, m)
x, y, z, r = (sp.MatrixSymbol(*given) for given in (("x", n, 1), ("y", n, 1), ("z", m, 1), ("r", 1, n)))
F, G, v = sp.MatrixSymbol("F", 2, 3), sp.MatrixSymbol("G", 3, 2), sp.MatrixSymbol("v", 3, 1)
Q = sp.MatrixSymbol("Q", k + 1, 2 * k + 2)
T, T1 = ArraySymbol("T", (n, m, 2)), ArraySymbol("T1", (1, n, m))
over_i, over_j, over_h = (i, 0, n - 1), (j, 0, n - 1), (h, 0, m - 1)
SIZES = {"n": 4, "m": 3, "k": 2, "k_plus_1": 3}
SHAPES = {"A": (4, 4), "X": (4, 4), "B": (4, 3), "x": (4, 1), "y": (4, 1), "z": (3, 1), "r": (1, 4), "F": (2, 3),
          "G": (3, 2), "v": (3, 1), "T": (4, 3, 2), "T1": (1, 4, 3), "Q": (3, 6), "t": (), "c": ()}  # fmt: skip


def draw_values() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {name: generator.uniform(0.2, 0.9, shape) for name, shape in SHAPES.items()} | SIZES


def evaluate_both(expr: Any, **places: int) -> tuple[Any, Any]:
    """The value of what was read, and SymPy's."""
    values = draw_values() | places
    expression, _ = read_sympy(expr)
    found = symbols(expression)
    own = {name: np.squeeze(values[name]) for name in found if name in values}
    for name, node in found.items():
        if name[2:] in places:
            own[name] = np.eye(node.shape[0].value(SIZES))[places[name[2:]]]
    value = evaluate_with(expression, own, SIZES, found.values())
    return np.asarray(value), np.squeeze(read_sympy_value(expr, values))


def assert_read(expr: Any, **places: int) -> None:
    value, truth = evaluate_both(expr, **places)
    assert value.shape == truth.shape
    np.testing.assert_allclose(value, truth, rtol=1e-10, atol=1e-12)


ENTRIES = [
    A[0, 1], B[1, 0], x[1, 0], r[0, 1], F[1, 2], v[2, 0], A[i, j], B[i, 0], x[j, 0], r[0, i], F[0, j],
    A[i, j] * B[i, 1] + t, sp.sin(A[0, 1]) ** 2, sp.exp(A[0, 1] * x[0, 0]), A[i, i], T[1, 0, 1], T[i, 0, 1],
    T[i, j, 0],
    (A * x)[i, 0], (A + X)[i, 1], A[0, 1] * X, sp.KroneckerDelta(i, j, (0, n - 1)) * t,
]  # fmt: skip


@pytest.mark.parametrize("expr", ENTRIES, ids=str)
def test_an_entry_is_read(expr: Any) -> None:
    for first, second in ((0, 0), (0, 1), (1, 0)):
        assert_read(expr, i=first, j=second)


SUMS = [
    sp.Sum(A[i, i], over_i), sp.Sum(A[i, j] * x[j, 0] * y[i, 0], over_i, over_j), (x.T * A * y)[0, 0],
    sp.Sum(x[i, 0], over_i) * sp.Sum(y[i, 0], over_i), sp.Sum(A[i, j] ** 2, over_j)* t, sp.Sum(A[0, j] ** 2, over_j),
    sp.Sum((x[i, 0] - y[i, 0]) ** 2, over_i), sp.Sum(sp.exp(x[i, 0]) * sp.log(y[i, 0] + t), over_i),
    sp.Sum(x[i, 0] + B[j, h], over_i, over_j, over_h), sp.Sum(x[i, 0] * z[h, 0] / (B[i, h] + t), over_i, over_h),
    sp.Sum(t * x[i, 0] + c, over_i), sp.Sum(t, over_i), sp.Sum(i * x[i, 0], over_i), sp.Sum((i + 1) ** 2 * t, over_i),
    sp.Sum(sp.Sum(A[i, j] * x[j, 0], over_j) ** 2, over_i),
    sp.Sum(sp.Sum(A[i, j] * x[j, 0], over_j) * y[i, 0], over_i),
    sp.Sum(x[i, 0] * sp.Sum(A[i, j] * x[j, 0], over_j) * sp.Sum(A[i, j] * x[j, 0], over_j), over_i),
    sp.Sum(y[j, 0] * sp.Sum(A[i, j] * sp.Sum(X[h, i], (h, 0, n - 1)), over_i), over_j),
    sp.Sum(sp.KroneckerDelta(i, j) * A[i, j], over_i, over_j), sp.Sum(sp.KroneckerDelta(i, 1) * x[i, 0], over_i),
    sp.Sum(sp.Piecewise((x[i, 0], x[i, 0] > y[i, 0]), (2 * y[i, 0], True)), over_i),
    sp.Sum(sp.Piecewise((A[i, j], i >= j), (0, True)), over_i, over_j),
    sp.Sum(x[i, 0] * t, over_i, over_i), sp.Sum(x[0, 0], over_i, over_i, over_h), sp.Sum(v[1, 0], (i, 0, 1), (i, 0, 2)),
    sp.Sum(sp.Piecewise((A[i, j], x[i, 0] > y[j, 0]), (t, x[i, 0] < t), (z[h, 0], True)), over_i, over_j, over_h),
    sp.Sum(sp.Max(x[i, 0], y[j, 0]), over_i, over_j), sp.Sum(x[i, 0] ** y[j, 0], over_i, over_j),
    sp.Sum(A[i, j] * A[j, i], over_i, over_j), sp.Sum(r[0, i] * x[i, 0], over_i), sp.Sum(r[0, i] + x[i, 0], over_i),
    sp.Sum(F[i, j] ** 2, (i, 0, 1), (j, 0, 2)), sp.Sum(F[i, j], (i, 0, 1), (j, 1, 2)), sp.Sum(t**i, (i, 1, 3)),
    sp.Sum(v[i, 0] * v[i + 1, 0], (i, 0, 1)), sp.Sum(T[i, h, j] * B[i, h] * F[j, 1], over_i, over_h, (j, 0, 1)),
    sp.Trace(A * X).rewrite(sp.Sum), sp.Product(x[i, 0], over_i), sp.Product(A[i, j], over_i, over_j),
    sp.Product(t, over_i), sp.Product(v[i, 0] + t, (i, 0, 1)), sp.Sum(x[i, 0] * v[j, 0], over_i, (j, 1, 2)),
    sp.Sum(sp.Abs(-x[i, 0]), over_i) * A,
    FunctionMatrix(n, n, sp.Lambda((i, j), sp.Piecewise((1, i >= j), (0, True)))) * A,
    FunctionMatrix(n, m, sp.Lambda((i, j), i + 2 * j + t)), FunctionMatrix(1, n, sp.Lambda((i, j), j * t)),
    FunctionMatrix(n, 1, sp.Lambda((i, j), x[i, 0] ** 2 + j)), FunctionMatrix(n, m, sp.Lambda((i, j), t)),
    FunctionMatrix(n, m, sp.Lambda((j, i), B[j, i] * x[j, 0])),
]  # fmt: skip


@pytest.mark.parametrize("expr", SUMS, ids=str)
def test_a_formula_of_entries_is_read(expr: Any) -> None:
    if isinstance(expr, sp.Mul) and expr.has(A[i, j]) and i in expr.free_symbols:
        return assert_read(expr, i=1)
    assert_read(expr)


BLOCKS = [
    sp.BlockMatrix([[A, X], [X.T, A]]), sp.BlockMatrix([[A, X]]),
    sp.BlockMatrix([[x], [y]]), sp.BlockMatrix([[F, sp.Identity(2)], [sp.ZeroMatrix(3, 3), G]]),
    BlockDiagMatrix(A, X),
    sp.BlockMatrix([[r, r]]), sp.BlockMatrix([[v], [OneMatrix(1, 1)]]),
    sp.BlockMatrix([[A, X], [X.T, A]]) * OneMatrix(2 * n, 1),
    A[:, 0], A[1, :], A[0:2, :], A[:, 1:2], F[:, 1:3], F[0:2, 0:3:2], v[1:, :], (A * X)[:, 1], A[:, :], x[0:2, 0],
    sp.Matrix([[1, 2], [3, t]]) * F, sp.Matrix([t, c, 2]), sp.Matrix([[t, c, 0]]), sp.eye(2) * F,
    sp.ImmutableMatrix([[1, 1], [1, 1]]) * F, sp.Matrix([[t]]), sp.zeros(2, 3) + F, sp.Matrix(F.as_explicit()),
    sp.Array([[[t, 1, 0], [c, 2, 3]], [[0, 0, t**2], [1, 0, 5]]]), sp.Array([1, t, 3]), Q, Q.T * Q,
    sp.Trace(Q * Q.T) * (k + 1),
    sp.MatPow(A * A.T, sp.Rational(3, 2)), sp.MatPow(A * A.T, sp.Rational(-1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("expr", BLOCKS, ids=str)
def test_blocks_slices_and_what_is_written_out_are_read(expr: Any) -> None:
    assert_read(expr)


ARRAYS = [
    ArrayTensorProduct(A, X), ArrayTensorProduct(x, B), ArrayTensorProduct(t, B), ArrayTensorProduct(t, c, x, y),
    ArrayContraction(ArrayTensorProduct(A, B), (1, 2)), ArrayContraction(A, (0, 1)), ArrayContraction(x, (1,)),
    ArrayContraction(ArrayTensorProduct(A, X, B), (1, 2, 4)), ArrayContraction(B, (0,)), ArrayContraction(r, (0,)),
    ArrayDiagonal(ArrayTensorProduct(A, x), (1, 2)), ArrayDiagonal(A, (0, 1)), T1,
    ArrayDiagonal(ArrayTensorProduct(A, X), (0, 3), (1, 2)), PermuteDims(T, [2, 0, 1]), PermuteDims(B, [1, 0]),
    PermuteDims(ArrayTensorProduct(A, B), [0, 2, 3, 1]), PermuteDims(r, [1, 0]), PermuteDims(T1, [2, 0, 1]),
    PermuteDims(PermuteDims(T, [2, 0, 1]), [1, 2, 0]), ArrayAdd(T, ArrayTensorProduct(2, T)), ArrayAdd(A, X),
    ArrayAdd(A, PermuteDims(A, [1, 0])), ArrayAdd(PermuteDims(x, [1, 0]), r), ArrayAdd(T, OneArray(n, m, 2)),
    ZeroArray(n, m), OneArray(n, m, 2), OneArray(1, n),
    ArrayContraction(ArrayDiagonal(ArrayTensorProduct(A, X, B), (1, 2)), (2, 4)),
    ArrayContraction(PermuteDims(ArrayTensorProduct(T, B), [3, 0, 1, 2, 4]), (0, 1), (2, 4)),
    ArrayElementwiseApplyFunc(sp.sin, T),
    ArrayElementwiseApplyFunc(sp.Lambda(t, 2 * t + c), PermuteDims(T, [2, 0, 1])),
    ArrayTensorProduct(x.T * A * x, B), ArrayTensorProduct(sp.Trace(A), T), ArrayTensorProduct(A * x, r),
    Reshape(B, (n * m,)), Reshape(T, (n * m * 2,)), Reshape(Reshape(B, (n * m,)), (m, n)), Reshape(x, (n,)),
    Reshape(B, (1, n * m)), PermuteDims(ArrayTensorProduct(T, x), [4, 3, 1, 0, 2]),
]  # fmt: skip


@pytest.mark.parametrize("expr", ARRAYS, ids=str)
def test_an_array_expression_is_read(expr: Any) -> None:
    assert_read(expr)


FUNCTIONS = [sp.sec, sp.csc, sp.cot, sp.sech, sp.csch, sp.coth, sp.acot, sp.acsch, sp.asech, sp.sinc, sp.erfc,
             sp.asinh, sp.atanh, lambda a: sp.acosh(1 + a), lambda a: sp.asec(1 + a), lambda a: sp.acsc(1 + a),
             lambda a: sp.acoth(1 + a), lambda a: sp.atan2(a, t)]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function(t)))
def test_functions_that_others_express_are_read(function: Any) -> None:
    assert_read(function(c))
    assert_read(x.applyfunc(lambda entry: function(entry)))
    assert_read(sp.Sum(function(x[i, 0]), over_i))
    assert check(function(c), sp.diff(function(c), c), c).verdict == "agrees"


def test_the_exporter_s_objects_are_read_back() -> None:
    """The exporter's arrays, sums, products and masks are read as what they were written from."""
    for expr, wrt in ((A, A), (A * X, A), (x * x.T, x), (sp.Trace(A) * A, A), (A * x, A), (sp.Trace(A * X) * x, A)):
        derivative = derive(expr, wrt)
        assert check(expr, derivative.to_sympy(), wrt).verdict == "agrees"
    for text in ("sum(tril(A)**2)", "prod(x)", "einsum('ij,ji->', A, A)", "sum(triu(A) @ x)"):
        shapes = {"A": ("n", "n"), "x": ("n",)}
        wrt = "A" if "A" in text else "x"
        claim = derive(text, wrt, shapes=shapes, layout="denominator").to_sympy()
        assert check(text, claim, wrt, shapes=shapes, layout="denominator").verdict == "agrees"


REFUSED = [
    (A[7, 0], "entry 7, counted from 0, need not exist on an axis of n"),
    (A[i + 1, 0], "by a number or a letter, not by i"),
    (A[n - 1, 0], "by a number or a letter"), (A[0:3, :], "entry 2, counted from 0, need not exist"),
    (A[1:, :], "a part of the axis that no number tells"),
    (A[i, 0] * B[0, i], "two SymPy symbols are called e_i"),
    (sp.Sum(x[i, 0], (i, 1, n - 1)), "i runs from 1 to n - 1"),
    (sp.Sum(x[i, 0], (i, 0, m - 1)), "i runs from 0 to m - 1"),
    (sp.Sum(t**i, (i, 1, 100)), "more than 64 terms"), (t * A[j, j + 1], "letter"),
    (sp.Sum(sp.Product(B[i, h], over_h), over_i), "along some"),
    (sp.Sum(sp.Sum(t, (j, 0, i)), over_i), "another index"),
    (sp.BlockMatrix([[A, B]]), "blocks of the sizes n, m begin where no number says"),
    (sp.MatPow(A, t), "sum of as many terms as the exponent says"),
    (sp.KroneckerDelta(i, j), "over how many numbers"),
    (sp.zeros(9, 9) + sp.eye(9), "a matrix of 81 entries is written out"),
    (Reshape(T, (m, n * 2)), "axes that become one"),
    (sp.Sum(sp.Function("u")(x[i, 0]), over_i), "class u"), (sp.Sum(sp.Trace(x[i, 0] * A), over_i), "entry"),
    (sp.MatrixSymbol("Z", n / 2, m), "dimension n/2"), (sp.Derivative(sp.Function("u")(t, c), t), "class u"),
    (sp.Derivative(t**2, (t, n)), "order is no number"),
]


@pytest.mark.parametrize(("expr", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_stays_refused_says_why(expr: Any, reason: str) -> None:
    with pytest.raises(MatcalcError, match=reason):
        derive(expr, "t")


def test_a_letter_may_be_a_place_and_a_number() -> None:
    """As to SymPy a place does not vary with the number."""
    derivative = derive(sp.sin(i**2 * x[i, 0]), i)
    assert derivative.to_sympy() == 2 * i * x[i, 0] * sp.cos(i**2 * x[i, 0])
    assert derivative.check().verdict == "agrees"


def test_a_derivative_inside_an_expression_has_its_value() -> None:
    for expr, value in (
        (sp.Derivative(sp.Trace(A * X), X), A.T), (sp.Derivative(x.T * A * x, x), (A + A.T) * x),
        (sp.Derivative(A * x, x), A.T), (t * sp.Derivative(sp.sin(t) * c, t), t * c * sp.cos(t)),
        (sp.Derivative(sp.Trace(A * X) ** 2, X) * x, 2 * sp.Trace(A * X) * A.T * x),
        (sp.Derivative(t**2 * x, t), 2 * t * x), (sp.Derivative(t**2 * r, t), 2 * t * r),
        (sp.Derivative(t**4, (t, 2)), 12 * t**2),
        (sp.Derivative(r * x, r), x.T),
    ):  # fmt: skip
        own, other = (read_input(given, None, None)[0] for given in (expr, value))
        known = symbols(own, other)
        values = {name: np.squeeze(each) for name, each in draw_values().items() if name in known}
        found, truth = (evaluate_with(each, values, SIZES, known.values()) for each in (own, other))
        np.testing.assert_allclose(found, truth, rtol=1e-10)
