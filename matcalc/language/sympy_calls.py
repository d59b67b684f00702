"""SymPy's functions of matrices and of numbers -> calls of the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from matcalc.language.names import read_name
from matcalc.language.sympy_reader import ATOM, PRODUCT, SUM, Part, Reader, is_scalar, refuse


def _filled(function: str) -> Callable[[Reader, Any], Part]:
    """eye(n), ones(m, n), zeros(n).T: constants of a shape."""

    def read(reader: Reader, expr: Any) -> Part:
        rows, columns = expr.shape
        if is_scalar(expr):
            return "0" if function == "zeros" else "1", ATOM
        if function == "eye":
            return f"eye({reader.size(rows)})", ATOM
        if rows == 1:
            return f"{function}({reader.size(columns)}).T", ATOM
        sizes = [rows] if columns == 1 else [rows, columns]
        return f"{function}({', '.join(map(reader.size, sizes))})", ATOM

    return read


def _kronecker(reader: Reader, expr: Any) -> Part:
    first, *others = expr.args
    text, one = reader.read(first)[0], is_scalar(first)
    for other in others:
        scales = one or is_scalar(other)
        text = f"({text})*{reader.wrapped(other)}" if scales else f"kron({text}, {reader.read(other)[0]})"
        one = one and is_scalar(other)
    return text, ATOM if text.startswith("kron") else PRODUCT


def _of_matrix(function: str) -> Callable[[Reader, Any], Part]:
    """A function of one matrix, which of a 1x1 matrix is its entry."""

    def read(reader: Reader, expr: Any) -> Part:
        return reader.read(expr.args[0]) if is_scalar(expr.args[0]) else reader.call(function, expr.args[0])

    return read


def _of_entries(function: str) -> Callable[[Reader, Any], Part]:
    """A function of numbers; of a whole matrix SymPy means another one."""

    def read(reader: Reader, expr: Any) -> Part:
        if function == "exp" and not is_scalar(expr.args[0]):
            return reader.call("expm", expr.args[0])
        if not all(map(is_scalar, expr.args)):
            raise refuse(expr)
        return reader.call(function, *expr.args)

    return read


def _extreme(function: str) -> Callable[[Reader, Any], Part]:
    """Max and Min of any number of arguments."""

    def read(reader: Reader, expr: Any) -> Part:
        text = reader.read(expr.args[0])[0]
        for arg in expr.args[1:]:
            text = f"{function}({text}, {reader.read(arg)[0]})"
        return text, ATOM

    return read


def _transpose(reader: Reader, expr: Any) -> Part:
    (operand,) = expr.args
    return reader.read(operand) if is_scalar(operand) else (reader.wrapped(operand) + ".T", ATOM)


def _inverse(reader: Reader, expr: Any) -> Part:
    (operand, *_) = expr.args
    return (f"1/{reader.wrapped(operand)}", PRODUCT) if is_scalar(operand) else reader.call("inv", operand)


def _apply(reader: Reader, expr: Any) -> Part:
    """Read X.applyfunc(f): the body of f with X in the place of its variable."""
    if not isinstance(expr.function, sympy.Lambda):
        raise refuse(expr)
    (variable,), body = expr.function.variables, expr.function.expr
    if not body.has(variable):
        ones = _filled("ones")(reader, expr)[0]
        return f"{reader.wrapped(body)}*{ones}", PRODUCT
    outer, reader.bound = reader.bound, {**reader.bound, variable: reader.read(expr.expr)}
    try:
        return reader.read(body)
    finally:
        reader.bound = outer


def _element(reader: Reader, expr: Any) -> Part:
    matrix, *places = expr.args
    if is_scalar(matrix) and places == [0, 0]:
        return reader.read(matrix)
    raise refuse(expr)


def _diagonal_matrix(reader: Reader, expr: Any) -> Part:
    text, level = reader.call("diag", expr.args[0])
    return f"diag({text})", level


def _heaviside(reader: Reader, expr: Any) -> Part:
    return f"(1 + {reader.call('sign', expr.args[0])[0]})/2", PRODUCT


def _piecewise(reader: Reader, expr: Any) -> Part:
    *choices, (otherwise, last) = expr.args
    if last != sympy.true:
        raise refuse(expr)
    text = reader.read(otherwise)[0]
    for value, condition in reversed(choices):
        text = f"where({reader.read(condition)[0]}, {reader.read(value)[0]}, {text})"
    return text, ATOM


def _relation(sign: str) -> Callable[[Reader, Any], Part]:
    return lambda reader, expr: (f"{reader.wrapped(expr.lhs, SUM)} {sign} {reader.wrapped(expr.rhs, SUM)}", SUM - 1)


def _abstract(reader: Reader, expr: AppliedUndef) -> Part:
    if len(expr.args) != 1 or not is_scalar(expr.args[0]):
        raise refuse(expr)
    name = read_name(expr.func)
    reader.shapes[name] = ()
    return reader.call(name, expr.args[0])


def _derivative(reader: Reader, expr: Any) -> Part:
    """Read Derivative(u(x), (x, k)) as D(u, x, k)."""
    function, *variables = expr.args
    if not (isinstance(function, AppliedUndef) and len(variables) == 1 and function.args == (variables[0][0],)):
        raise refuse(expr)
    variable, order = variables[0]
    _abstract(reader, function)
    more = f", {order}" if order != 1 else ""
    return f"D({function.func.name}, {reader.read(variable)[0]}{more})", ATOM


CALLS: dict[str, Callable[[Reader, Any], Part]] = {
    "Identity": _filled("eye"), "OneMatrix": _filled("ones"), "ZeroMatrix": _filled("zeros"),
    "KroneckerProduct": _kronecker,
    "Transpose": _transpose, "Adjoint": _transpose, "Inverse": _inverse, "Trace": _of_matrix("trace"),
    "Determinant": _of_matrix("det"), "ElementwiseApplyFunction": _apply, "MatrixElement": _element,
    "DiagMatrix": lambda reader, expr: reader.call("diag", expr.args[0]), "DiagonalMatrix": _diagonal_matrix,
    "DiagonalOf": lambda reader, expr: reader.call("diag", expr.args[0]),
    "DotProduct": lambda reader, expr: reader.call("dot", *expr.args),
    "exp": _of_entries("exp"), "log": _of_entries("log"), "sin": _of_entries("sin"), "cos": _of_entries("cos"),
    "tan": _of_entries("tan"), "sinh": _of_entries("sinh"), "cosh": _of_entries("cosh"), "tanh": _of_entries("tanh"),
    "asin": _of_entries("arcsin"), "acos": _of_entries("arccos"), "atan": _of_entries("arctan"),
    "Abs": _of_entries("abs"), "sign": _of_entries("sign"), "erf": _of_entries("erf"), "Heaviside": _heaviside,
    "Max": _extreme("maximum"), "Min": _extreme("minimum"), "Piecewise": _piecewise,
    "StrictGreaterThan": _relation(">"), "StrictLessThan": _relation("<"), "GreaterThan": _relation(">="),
    "LessThan": _relation("<="), "AppliedUndef": _abstract, "Derivative": _derivative,
}  # fmt: skip
