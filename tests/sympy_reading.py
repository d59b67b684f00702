"""A SymPy expression and NumPy arrays -> its value: what each SymPy class means, written down once more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np


class SympyReading:
    """The values of symbols by name: matrices as arrays of two axes, numbers and sizes as numbers."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.bound: dict[Any, Any] = {}

    def read(self, expr: Any) -> Any:
        if isinstance(expr, int):
            return expr
        for kind in type(expr).__mro__:
            if kind.__name__ in READERS:
                return READERS[kind.__name__](self, expr)
        raise AssertionError(f"{type(expr).__name__} is not read: {expr}")

    def size(self, size: Any) -> int:
        return int(self.read(size))

    def shape(self, expr: Any) -> tuple[int, ...]:
        return tuple(self.size(size) for size in expr.shape)

    def with_bound(self, names: Any, values: Any, body: Any) -> Any:
        """The value of a body in which these symbols have these values."""
        outer, self.bound = self.bound, {**self.bound, **dict(zip(names, values, strict=True))}
        try:
            return self.read(body)
        finally:
            self.bound = outer

    def over(self, body: Any, limits: Any) -> list[Any]:
        """The values of a body over all indices within their limits."""
        indices = [index for index, _, _ in limits]
        ranges = [range(self.size(low), self.size(high) + 1) for _, low, high in limits]
        return [self.with_bound(indices, place, body) for place in itertools.product(*ranges)]


def _symbol(reading: SympyReading, expr: Any) -> Any:
    return reading.bound[expr] if expr in reading.bound else np.asarray(reading.values[expr.name]).item()


def _matrix_symbol(reading: SympyReading, expr: Any) -> Any:
    value = np.asarray(reading.values[expr.name], dtype=float)
    assert value.shape == reading.shape(expr), f"{expr.name} has shape {value.shape}"
    return value


def _fold(function: Callable[[Any, Any], Any]) -> Callable[[SympyReading, Any], Any]:
    return lambda reading, expr: reduce(function, map(reading.read, expr.args))


def _map(function: Callable[..., Any]) -> Callable[[SympyReading, Any], Any]:
    return lambda reading, expr: function(*map(reading.read, expr.args))


def _matrix_product(reading: SympyReading, expr: Any) -> Any:
    scalars = [reading.read(arg) for arg in expr.args if not arg.is_Matrix]
    matrices = [reading.read(arg) for arg in expr.args if arg.is_Matrix]
    return math.prod(scalars) * reduce(np.matmul, matrices)


def _matrix_power(reading: SympyReading, expr: Any) -> Any:
    base, exponent = map(reading.read, expr.args)
    if exponent == int(exponent):
        return np.linalg.matrix_power(base, int(exponent))
    roots, vectors = np.linalg.eig(base)
    return np.real(vectors @ np.diag(roots.astype(complex) ** float(exponent)) @ np.linalg.inv(vectors))


def _apply(reading: SympyReading, expr: Any) -> Any:
    value, (variable,) = reading.read(expr.expr), expr.function.variables
    entries = [reading.with_bound((variable,), (entry,), expr.function.expr) for entry in value.ravel()]
    return np.array([float(entry) for entry in entries]).reshape(value.shape)


def _function_matrix(reading: SympyReading, expr: Any) -> Any:
    rows, columns = reading.shape(expr)
    (names, body), places = (expr.lamda.variables, expr.lamda.expr), itertools.product(range(rows), range(columns))
    return np.array([float(reading.with_bound(names, place, body)) for place in places]).reshape(rows, columns)


def _piecewise(reading: SympyReading, expr: Any) -> Any:
    return next(reading.read(value) for value, condition in expr.args if reading.read(condition))


def _element(reading: SympyReading, expr: Any) -> Any:
    matrix, row, column = expr.args
    return reading.read(matrix)[reading.size(row), reading.size(column)]


def _array_element(reading: SympyReading, expr: Any) -> Any:
    return reading.read(expr.name)[tuple(map(reading.size, expr.indices))]


def _slice(reading: SympyReading, expr: Any) -> Any:
    rows, columns = (slice(*map(reading.size, ends)) for ends in (expr.rowslice, expr.colslice))
    return reading.read(expr.parent)[rows, columns]


def _blocks(reading: SympyReading, expr: Any) -> Any:
    rows, columns = expr.blockshape
    return np.block([[reading.read(expr.blocks[row, column]) for column in range(columns)] for row in range(rows)])


def _written_out(reading: SympyReading, expr: Any) -> Any:
    places = itertools.product(*map(range, expr.shape))
    return np.array([float(reading.read(expr[place])) for place in places]).reshape(expr.shape)


def _array_symbol(reading: SympyReading, expr: Any) -> Any:
    value = np.asarray(reading.values[str(expr.name)], dtype=float)
    assert value.shape == reading.shape(expr)
    return value


def _tensor_product(reading: SympyReading, expr: Any) -> Any:
    return reduce(np.multiply.outer, map(reading.read, expr.args))


def _contract(reading: SympyReading, expr: Any) -> Any:
    return _einsum(reading.read(expr.expr), expr.contraction_indices, keep=False)


def _take_diagonals(reading: SympyReading, expr: Any) -> Any:
    return _einsum(reading.read(expr.expr), expr.diagonal_indices, keep=True)


def _einsum(value: Any, groups: Any, keep: bool) -> Any:
    """Join the axes of each group: diagonals go last, contractions go away."""
    labels = list(range(value.ndim))
    for group in groups:
        for axis in group:
            labels[axis] = group[0]
    joined = {axis for group in groups for axis in group}
    rest = [axis for axis in range(value.ndim) if axis not in joined]
    return np.einsum(value, labels, rest + ([group[0] for group in groups] if keep else []))


READERS: dict[str, Callable[[SympyReading, Any], Any]] = {
    "Symbol": _symbol, "MatrixSymbol": _matrix_symbol, "Number": lambda reading, expr: float(expr),
    "NumberSymbol": lambda reading, expr: float(expr), "BooleanTrue": lambda reading, expr: True,
    "BooleanFalse": lambda reading, expr: False,
    "Add": _fold(lambda a, b: a + b), "MatAdd": _fold(np.add), "Mul": _fold(lambda a, b: a * b),
    "MatMul": _matrix_product, "Pow": _map(lambda a, b: a**b), "MatPow": _matrix_power,
    "HadamardProduct": _fold(np.multiply), "HadamardPower": _map(np.power), "KroneckerProduct": _fold(np.kron),
    "Transpose": _map(np.transpose), "Inverse": lambda reading, expr: np.linalg.inv(reading.read(expr.args[0])),
    "Trace": _map(np.trace), "Determinant": _map(np.linalg.det), "DiagMatrix": _map(lambda x: np.diag(x.ravel())),
    "DiagonalOf": _map(lambda x: np.diag(x).reshape(-1, 1)), "ElementwiseApplyFunction": _apply,
    "MatrixElement": _element, "Piecewise": _piecewise,
    "Identity": lambda reading, expr: np.eye(*reading.shape(expr)),
    "OneMatrix": lambda reading, expr: np.ones(reading.shape(expr)),
    "ZeroMatrix": lambda reading, expr: np.zeros(reading.shape(expr)),
    "OneArray": lambda reading, expr: np.ones(reading.shape(expr)),
    "ZeroArray": lambda reading, expr: np.zeros(reading.shape(expr)),
    "Sum": lambda reading, expr: sum(reading.over(expr.function, expr.limits)),
    "Product": lambda reading, expr: math.prod(reading.over(expr.function, expr.limits)),
    "StrictGreaterThan": _map(lambda a, b: a > b), "StrictLessThan": _map(lambda a, b: a < b),
    "GreaterThan": _map(lambda a, b: a >= b), "LessThan": _map(lambda a, b: a <= b),
    "Equality": _map(lambda a, b: a == b), "Mod": _map(lambda a, b: a % b), "floor": _map(math.floor),
    "ITE": _map(lambda c, a, b: a if c else b), "And": _map(lambda *c: all(c)), "Or": _map(lambda *c: any(c)),
    "Not": _map(lambda c: not c), "Max": _map(max), "Min": _map(min), "Abs": _map(abs), "sign": _map(np.sign),
    "FunctionMatrix": _function_matrix, "KroneckerDelta": lambda reading, expr: int(
        reading.size(expr.args[0]) == reading.size(expr.args[1])
    ),
    "MatrixSlice": _slice, "BlockMatrix": _blocks, "MatrixBase": _written_out, "NDimArray": _written_out,
    "ArrayElement": _array_element, "ArraySymbol": _array_symbol, "ArrayElementwiseApplyFunc": _apply,
    "Reshape": lambda reading, expr: reading.read(expr.expr).reshape(reading.shape(expr)),
    "sec": _map(lambda t: 1 / math.cos(t)), "csc": _map(lambda t: 1 / math.sin(t)),
    "cot": _map(lambda t: 1 / math.tan(t)), "sech": _map(lambda t: 1 / math.cosh(t)),
    "csch": _map(lambda t: 1 / math.sinh(t)), "coth": _map(lambda t: 1 / math.tanh(t)),
    "asec": _map(lambda t: math.acos(1 / t)), "acsc": _map(lambda t: math.asin(1 / t)),
    "acot": _map(lambda t: math.atan(1 / t)), "asech": _map(lambda t: math.acosh(1 / t)),
    "acsch": _map(lambda t: math.asinh(1 / t)), "acoth": _map(lambda t: math.atanh(1 / t)),
    "sinc": _map(lambda t: math.sin(t) / t), "erfc": _map(math.erfc), "asinh": _map(math.asinh),
    "acosh": _map(math.acosh), "atanh": _map(math.atanh), "atan2": _map(math.atan2),
    "exp": _map(math.exp), "log": _map(math.log), "sin": _map(math.sin), "cos": _map(math.cos), "tan": _map(math.tan),
    "sinh": _map(math.sinh), "cosh": _map(math.cosh), "tanh": _map(math.tanh), "asin": _map(math.asin),
    "acos": _map(math.acos), "atan": _map(math.atan), "erf": _map(math.erf),
    "ArrayTensorProduct": _tensor_product, "ArrayContraction": _contract, "ArrayDiagonal": _take_diagonals,
    "ArrayAdd": _fold(np.add), "PermuteDims": lambda reading, expr: np.transpose(
        reading.read(expr.expr), expr.permutation.array_form
    ),
}  # fmt: skip


def read_sympy_value(expr: Any, values: Mapping[str, Any]) -> Any:
    """Return the value of a SymPy expression as a NumPy array."""
    return np.asarray(SympyReading(values).read(expr), dtype=float)
