"""The language's functions in SymPy's words; what SymPy has no word for is missing here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from sympy.matrices.expressions import DiagMatrix, DiagonalOf, FunctionMatrix, HadamardProduct, MatPow
from sympy.matrices.expressions.kronecker import KroneckerProduct

from matcalc.language.expression import Expression
from matcalc.render.sympy_arrays import make_dummy

# Of numbers; an array gets them entry by entry.
ENTRYWISE: dict[str, Callable[..., Any]] = {
    "exp": sympy.exp, "log": sympy.log,
    "sqrt": sympy.sqrt, "square": lambda t: t**2, "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "arcsin": sympy.asin, "arccos": sympy.acos,
    "arctan": sympy.atan, "abs": sympy.Abs, "sign": sympy.sign, "erf": sympy.erf,
    "maximum": sympy.Max, "minimum": sympy.Min, "where": lambda c, x, y: choose(c, x, y),
}  # fmt: skip


def choose(condition: Any, chosen: Any, otherwise: Any) -> Any:
    """Return `chosen` where the condition holds, else `otherwise`."""
    return sympy.Piecewise((chosen, condition), (otherwise, True))


def take_entry(product: Any) -> Any:
    """Return a 1x1 product as a number: the trace of its matrices times its scalars."""
    scalar, matrices = product.as_coeff_matrices() if product.is_MatMul else (sympy.Integer(1), [product])
    matrices = [matrix for matrix in matrices if matrix != sympy.OneMatrix(1, 1)]
    return scalar * sympy.Trace(sympy.MatMul(*matrices)) if matrices else scalar


def total(x: Any) -> Any:
    """Return the sum of all entries as the trace of a product with ones."""
    rows, columns = x.shape
    product = x if rows == 1 else sympy.OneMatrix(1, rows) * x
    return take_entry(product if columns == 1 else product * sympy.OneMatrix(columns, 1))


def total_along(x: Any, axis: int) -> Any:
    """Return the sums of the columns (axis 0, a row) or of the rows (axis 1, a column)."""
    rows, columns = x.shape
    return sympy.OneMatrix(1, rows) * x if axis == 0 else x * sympy.OneMatrix(columns, 1)


def _kronecker(x: Any, y: Any) -> Any:
    """Return the Kronecker product, numbers in front: SymPy 1.14 cannot take them out of a product itself."""
    (one, x), (other, y) = x.as_coeff_mmul(), y.as_coeff_mmul()
    return one * other * KroneckerProduct(x, y)


def _norm(x: Any) -> Any:
    return sympy.sqrt(sympy.Trace(x.T * x) if x.shape[1] != 1 else take_entry(x.T * x))


def _product(x: Any) -> Any:
    rows, columns = x.shape
    i, j = make_dummy("i"), make_dummy("j")
    return sympy.Product(x[i, j], (i, 0, rows - 1), (j, 0, columns - 1))


def _triangle(x: Any, relation: Any) -> Any:
    i, j = make_dummy("i"), make_dummy("j")
    mask = sympy.Lambda((i, j), choose(relation(i, j), sympy.Integer(1), sympy.Integer(0)))
    return HadamardProduct(FunctionMatrix(*x.shape, mask), x)


# Of arrays, by the name of the rule; a vector comes as a column, a scalar argument as a number.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": total, "size": lambda x: x.shape[0] * x.shape[1], "trace": sympy.Trace, "det": sympy.Determinant,
    "logdet": lambda x: sympy.log(sympy.Determinant(x)), "inv": sympy.Inverse, "norm": _norm, "norm_2": _norm,
    "norm_fro": _norm, "matrix_power": MatPow, "sqrtm": lambda x: MatPow(x, sympy.Rational(1, 2)),
    "kron": _kronecker, "kron_of_vectors": _kronecker, "kron_of_vector_and_matrix": _kronecker,
    "kron_of_matrix_and_vector": _kronecker, "diag_of_vector": DiagMatrix, "diag_of_matrix": DiagonalOf,
    "prod": _product, "tril": lambda x: _triangle(x, sympy.Ge), "triu": lambda x: _triangle(x, sympy.Le),
}  # fmt: skip

# The same functions where a number stands in the place of an array.
OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "size": lambda x: sympy.Integer(1), "logdet": sympy.log, "inv": lambda x: 1 / x, "norm": sympy.Abs,
    "norm_2": sympy.Abs, "norm_fro": sympy.Abs, "sqrtm": sympy.sqrt, "matrix_power": lambda x, k: x**k,
    "kron": lambda x, y: x * y, "kron_of_vectors": lambda x, y: x * y,
    "kron_of_vector_and_matrix": lambda x, y: x * y, "kron_of_matrix_and_vector": lambda x, y: x * y,
}  # fmt: skip


def call_of_arrays(name: str, node: Expression, args: list[Any]) -> Any:
    """Call a function of arrays; where a number stands for one, most functions are the number itself."""
    operands = node.args[:1] if name == "matrix_power" else node.args
    if any(arg.is_scalar for arg in operands):
        return OF_NUMBERS[name](*args) if name in OF_NUMBERS else args[0]
    return FUNCTIONS[name](*args)



def commute(rows: Any, columns: Any) -> Any:
    """Return the commutation matrix K of K @ vec(X) = vec(X.T), X of this shape."""
    i, j = make_dummy("i"), make_dummy("j")
    place = sympy.Mod(i, columns) * rows + sympy.floor(i / columns)
    one = choose(sympy.Eq(place, j), sympy.Integer(1), sympy.Integer(0))
    return FunctionMatrix(rows * columns, rows * columns, sympy.Lambda((i, j), one))
