"""SymPy expression -> text of the language, with the shapes and assumptions that its symbols carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy

from matcalc.errors import LimitError, MatcalcError
from matcalc.language.sympy_calls import CALLS
from matcalc.language.sympy_reader import ATOM, POWER, PRODUCT, SIGN, SUM, Part, Reader, is_scalar, refuse


def read_sympy(expr: Any) -> tuple[str, dict[str, tuple[Any, ...]], dict[str, str]]:
    """Return the text of a SymPy expression, the shape of each of its names, and what is assumed of them.

    An n x 1 MatrixSymbol is a vector, a 1 x 1 one a scalar.  Raises MatcalcError naming the SymPy class for
    what the language has no word for.

    >>> n = sympy.Symbol("n")
    >>> A, x = sympy.MatrixSymbol("A", n, n), sympy.MatrixSymbol("x", n, 1)
    >>> read_sympy(x.T * A * x)
    ('x.T @ A @ x', {'x': ('n',), 'A': ('n', 'n')}, {})
    """
    if not isinstance(expr, sympy.Basic | sympy.MatrixBase):
        raise MatcalcError(
            f"an expression is a text or a SymPy expression, not {type(expr).__name__}", advice='write it as "A @ x"'
        )
    reader = Reader(_READERS)
    try:
        text = reader.read(expr)[0]
    except RecursionError:
        raise LimitError("the SymPy expression is nested too deeply", advice="split it into parts") from None
    return text, reader.shapes, reader.assume


def list_names(expr: Any) -> dict[str, Any]:
    """Return the symbols of a SymPy expression by name, sizes too, so that an answer can be given in them."""
    found: set[Any] = set(getattr(expr, "free_symbols", ()))
    matrices = {symbol for symbol in found if getattr(symbol, "is_Matrix", False)}
    found |= {size for matrix in matrices for size in matrix.shape if size.is_Symbol}
    return {symbol.name: symbol for symbol in found if symbol not in matrices or not is_scalar(symbol)}


def _symbol(reader: Reader, expr: Any) -> Part:
    if expr in reader.bound:
        return reader.bound[expr]
    name = reader.remember(expr)
    if expr not in reader.sizes:
        reader.shapes[name] = ()
        if expr.is_positive or expr.is_nonzero:
            reader.assume[name] = "positive" if expr.is_positive else "nonzero"
    return name, ATOM


def _matrix_symbol(reader: Reader, expr: Any) -> Part:
    rows, columns = (int(size) if size.is_Integer else reader.size(size) for size in expr.shape)
    name = reader.remember(expr)
    is_scalar, is_vector = rows == columns == 1, columns == 1
    reader.shapes[name] = () if is_scalar else (rows,) if is_vector else (rows, columns)
    return name, ATOM


def _integer(reader: Reader, expr: Any) -> Part:
    return str(expr), ATOM if expr >= 0 else SIGN


def _rational(reader: Reader, expr: Any) -> Part:
    return f"{expr.p}/{expr.q}", PRODUCT


def _float(reader: Reader, expr: Any) -> Part:
    return repr(float(expr)), ATOM if expr >= 0 else SIGN


# --- sums and products --------------------------------------------------------------------------------


def _sum(reader: Reader, expr: Any) -> Part:
    """Write a sum in the order in which SymPy prints it, a term with a plus sign first."""
    terms = expr.as_ordered_terms() if expr.is_Add else expr.args
    parts = sorted((reader.wrapped(term, PRODUCT) for term in terms), key=lambda part: part.startswith("-"))
    text = parts[0]
    for part in parts[1:]:
        text += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
    return text, SUM


def _product(reader: Reader, expr: Any) -> Part:
    """Write a product of scalars as a fraction."""
    return _fraction(reader, *_split(expr.args))


def _split(factors: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return what stands above and below the line of a fraction."""
    above, below = [], []
    for factor in factors:
        if factor.is_Rational:
            above += [sympy.Integer(factor.p)] if factor.p != 1 else []
            below += [sympy.Integer(factor.q)] if factor.q != 1 else []
        elif factor.is_Pow and factor.exp.is_Rational and factor.exp < 0:
            below.append(factor.base ** (-factor.exp))
        elif factor.is_Mul and not getattr(factor, "is_Matrix", False):
            more_above, more_below = _split(factor.args)
            above, below = above + more_above, below + more_below
        else:
            above.append(factor)
    return above, below


def _fraction(reader: Reader, above: list[Any], below: list[Any], matrices: str = "") -> Part:
    """Write above/below, the matrices of a product after the scalars above."""
    sign = above[:1] == [sympy.Integer(-1)] and (len(above) > 1 or bool(matrices))
    texts = [reader.wrapped(factor, SIGN if place == 0 else POWER) for place, factor in enumerate(above[sign:])]
    text = ("-" if sign else "") + "*".join(texts + ([matrices] if matrices else [])) or "1"
    if below:
        divisor = "*".join(reader.wrapped(factor, POWER) for factor in below)
        text += f"/({divisor})" if len(below) > 1 else f"/{divisor}"
    return text, PRODUCT


def _matrix_product(reader: Reader, expr: Any) -> Part:
    """Write 2*A @ x/3: scalars first, then the matrices."""
    scalars = [arg for arg in expr.args if not getattr(arg, "is_Matrix", False)]
    matrices = [arg for arg in expr.args if getattr(arg, "is_Matrix", False)]
    above, below = _split(scalars)
    if len(matrices) == 1:
        return _fraction(reader, above, below, reader.wrapped(matrices[0], POWER))
    text = " @ ".join(reader.wrapped(matrix, POWER) for matrix in matrices)
    return _fraction(reader, above, below, text)


def _entrywise_product(reader: Reader, expr: Any) -> Part:
    return "*".join(reader.wrapped(arg, POWER) for arg in expr.args), PRODUCT


# --- powers -------------------------------------------------------------------------------------------


def _power(reader: Reader, expr: Any) -> Part:
    base, exponent = expr.args
    if exponent == sympy.Rational(1, 2):
        return reader.call("sqrt", base)
    if exponent == -1 and is_scalar(base):
        return "1/" + reader.wrapped(base, POWER), PRODUCT
    return f"{reader.wrapped(base)}**{reader.wrapped(exponent)}", POWER


def _matrix_power(reader: Reader, expr: Any) -> Part:
    base, exponent = expr.args
    if is_scalar(base):
        return _power(reader, expr)
    if exponent == sympy.Rational(1, 2):
        return reader.call("sqrtm", base)
    if not exponent.is_Integer:
        raise refuse(expr)
    return reader.call("inv", base) if exponent == -1 else reader.call("matrix_power", base, exponent)


_READERS: dict[str, Callable[[Reader, Any], Part]] = {
    "Symbol": _symbol, "MatrixSymbol": _matrix_symbol, "Integer": _integer, "Rational": _rational, "Float": _float,
    "Pi": lambda reader, expr: (reader.remember(expr), ATOM), "Exp1": lambda reader, expr: ("exp(1)", ATOM),
    "Add": _sum, "MatAdd": _sum, "Mul": _product, "MatMul": _matrix_product, "Pow": _power, "MatPow": _matrix_power,
    "HadamardProduct": _entrywise_product, "HadamardPower": _power,
    **CALLS,
}  # fmt: skip
