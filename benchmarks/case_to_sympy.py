"""A case's text -> the SymPy objects that somebody would write for it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.matrices.expressions import HadamardPower, HadamardProduct, OneMatrix, ZeroMatrix
from sympy.matrices.expressions.kronecker import KroneckerProduct

CASES = Path(__file__).parents[1] / "tests" / "cases"
BINARY = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power"}


class CannotSay(Exception):
    """SymPy has no object for this part of the case."""


def read_cases() -> Iterator[dict[str, Any]]:
    """Yield the cases of both files, in file order."""
    for name in ("textbook.toml", "sympy_issues.toml"):
        yield from tomllib.loads((CASES / name).read_text())["case"]


def translate(case: dict[str, Any]) -> tuple[Any, Any]:
    """Return (expression, variable) in SymPy; raises CannotSay where SymPy lacks the words."""
    sizes: dict[str, Any] = {}
    symbols = {name: _make_symbol(name, shape, sizes) for name, shape in case["shapes"].items()}
    return Translator(symbols, sizes).visit(ast.parse(case["expr"], mode="eval").body), symbols[case["wrt"]]


def _make_symbol(name: str, shape: list[str], sizes: dict[str, Any]) -> Any:
    axes = [sizes.setdefault(letter, sp.Symbol(letter, integer=True, positive=True)) for letter in shape]
    if not axes:
        return sp.Symbol(name, real=True)
    return sp.MatrixSymbol(name, axes[0], axes[1] if len(axes) == 2 else 1)


def _is_matrix(value: Any) -> bool:
    return bool(getattr(value, "is_Matrix", False))


def _as_scalar(value: Any) -> Any:
    """A 1x1 product is no scalar to SymPy; its trace is one."""
    return sp.Trace(value) if _is_matrix(value) and value.shape == (1, 1) else value


def _entrywise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        value = _as_scalar(value)
        return value.applyfunc(sp.Lambda(DUMMY, function(DUMMY))) if _is_matrix(value) else function(value)

    return apply


def _total(value: Any) -> Any:
    rows, columns = value.shape
    total = OneMatrix(1, rows) * value if rows != 1 else value
    return _as_scalar(total * OneMatrix(columns, 1) if columns != 1 else total)


def _mean(value: Any) -> Any:
    return _total(value) / (value.shape[0] * value.shape[1])


def _shift(value: Any) -> Any:
    return value - _mean(value) * OneMatrix(*value.shape)


def _norm(value: Any, kind: Any = 2) -> Any:
    if kind == 1:
        return _total(_entrywise(sp.Abs)(value))
    if kind not in (2, "fro"):
        raise CannotSay(f"norm {kind!r}")
    return sp.sqrt(sp.Trace(value.T * value))


def _softmax(value: Any) -> Any:
    powers = _entrywise(sp.exp)(value)
    return powers / _total(powers)


DUMMY = sp.Dummy("d", real=True)
ENTRYWISE: dict[str, Callable[[Any], Any]] = {
    "exp": sp.exp, "log": sp.log, "sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "sinh": sp.sinh, "cosh": sp.cosh,
    "tanh": sp.tanh, "arcsin": sp.asin, "arccos": sp.acos, "arctan": sp.atan, "abs": sp.Abs, "sign": sp.sign,
    "sqrt": sp.sqrt, "erf": sp.erf, "square": lambda t: t**2, "log1p": lambda t: sp.log(1 + t),
    "expm1": lambda t: sp.exp(t) - 1, "sigmoid": lambda t: 1 / (1 + sp.exp(-t)), "relu": lambda t: sp.Max(0, t),
    "leaky_relu": lambda t: sp.Max(t, t / 100), "softplus": lambda t: sp.log(1 + sp.exp(t)),
    "silu": lambda t: t / (1 + sp.exp(-t)), "gelu": lambda t: t * (1 + sp.erf(t / sp.sqrt(2))) / 2,
    "elu": lambda t: sp.Piecewise((t, t > 0), (sp.exp(t) - 1, True)),
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "trace": sp.Trace, "det": sp.Determinant, "inv": sp.Inverse, "logdet": lambda x: sp.log(sp.Determinant(x)),
    "matrix_power": lambda x, k: x**k, "expm": lambda x: sp.exp(x), "dot": lambda x, y: sp.Trace(x.T * y),
    "outer": lambda x, y: x * y.T, "sum": _total, "mean": _mean, "norm": _norm, "softmax": _softmax,
    "diag": lambda x: sp.DiagMatrix(x) if x.shape[1] == 1 else sp.DiagonalOf(x), "kron": KroneckerProduct,
    "solve": lambda a, b: sp.Inverse(a) * b, "logsumexp": lambda x: sp.log(_total(_entrywise(sp.exp)(x))),
    "var": lambda x: sp.Trace(_shift(x).T * _shift(x)) / x.shape[0],
    "log_softmax": lambda x: x - FUNCTIONS["logsumexp"](x) * OneMatrix(*x.shape),
    "cross_entropy": lambda z, y: -sp.Trace(y.T * FUNCTIONS["log_softmax"](z)),
    "layer_norm": lambda x: _shift(x) / sp.sqrt(FUNCTIONS["var"](x) + sp.Rational(1, 100000)),
}  # fmt: skip
FILLED: dict[str, Callable[..., Any]] = {
    "eye": sp.Identity, "ones": lambda n, k=1: OneMatrix(n, k), "zeros": lambda n, k=1: ZeroMatrix(n, k)
}  # fmt: skip


class Translator(ast.NodeVisitor):
    """One method for each kind of node of the language."""

    def __init__(self, symbols: dict[str, Any], sizes: dict[str, Any]) -> None:
        self.symbols = symbols
        self.sizes = sizes

    def generic_visit(self, node: ast.AST) -> Any:
        raise CannotSay(type(node).__name__)

    def visit_Name(self, node: ast.Name) -> Any:
        return self.symbols[node.id] if node.id in self.symbols else self.sizes[node.id]

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value if isinstance(node.value, str) else sp.Rational(str(node.value))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        return self.visit(node.value).T

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return -self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.MatMult):
            return left * right
        return getattr(self, BINARY[type(node.op)])(left, right)

    def visit_Call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        function = _entrywise(ENTRYWISE[name]) if name in ENTRYWISE else FUNCTIONS.get(name) or FILLED.get(name)
        if function is None or node.keywords:
            raise CannotSay(ast.unparse(node))
        return function(*map(self.visit, node.args))

    def add(self, left: Any, right: Any) -> Any:
        """A scalar is added to every entry."""
        if _is_matrix(left) and _is_matrix(right) and left.shape == right.shape:
            return left + right
        left, right = _as_scalar(left), _as_scalar(right)
        if _is_matrix(left) and _is_matrix(right):
            raise CannotSay("broadcasting")
        if _is_matrix(left):
            return left + right * OneMatrix(*left.shape)
        return left * OneMatrix(*right.shape) + right if _is_matrix(right) else left + right

    def subtract(self, left: Any, right: Any) -> Any:
        return self.add(left, -right)

    def multiply(self, left: Any, right: Any) -> Any:
        left, right = _as_scalar(left), _as_scalar(right)
        if not (_is_matrix(left) and _is_matrix(right)):
            return left * right
        if left.shape != right.shape:
            raise CannotSay("broadcasting")
        return HadamardProduct(left, right)

    def divide(self, left: Any, right: Any) -> Any:
        return self.multiply(left, self.power(right, sp.Integer(-1)))

    def power(self, base: Any, exponent: Any) -> Any:
        base, exponent = _as_scalar(base), _as_scalar(exponent)
        if _is_matrix(exponent):
            raise CannotSay("a matrix as exponent")
        return HadamardPower(base, exponent) if _is_matrix(base) else base**exponent
