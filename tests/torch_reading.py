"""A second reading of the language, by Python's own `eval` over torch functions: it shares nothing with matcalc.

Every value has the two axes in which it is held: a column is (n, 1), a scalar (1, 1).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Tensor]


class _Rewriter(ast.NodeTransformer):
    """Turns what torch words differently into calls: @, **, and numbers into tensors."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.MatMult: "matmul_", ast.Pow: "power_"}.get(type(node.op))
        if name is None:
            return node
        return ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])


def read_with_torch(text: str, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Tensor:
    """Return the value of a text, as held; `values` are held tensors and functions by name."""
    tree = ast.fix_missing_locations(_Rewriter().visit(ast.parse(text.strip(), mode="eval")))
    names = {**FUNCTIONS, "pi": torch.pi, "e": torch.e, **sizes, **values, "__builtins__": {}}
    return hold(eval(compile(tree, "<text>", "eval"), names))


def hold(value: Any) -> Tensor:
    """Return a value with two axes or more."""
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    return tensor.reshape(*tensor.shape, *[1] * (2 - tensor.ndim)) if tensor.ndim < 2 else tensor


def drop(value: Any) -> Tensor:
    """Return a value without its unit axes."""
    tensor = hold(value)
    return tensor.reshape([size for size in tensor.shape if size != 1])


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    if left.shape[1] != right.shape[0] and left.shape == right.shape and left.shape[1] == 1:
        left = left.mT
    return left @ right


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, Tensor) and not exponent.requires_grad and exponent.numel() == 1:
        exponent = float(exponent)
    return base**exponent


def _apply(function: Function) -> Function:
    """A function entry by entry, of numbers as well."""
    return lambda *args: function(*map(hold, args))


def _along(function: Callable[[Tensor, int], Tensor], shape_kept: bool = False) -> Function:
    """A function of a vector, made one of a whole array, or of each column (axis 0) or row (axis 1)."""

    def whole_or_each(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
        x = hold(x)
        if axis is None or 1 in x.shape:
            result = function(x.reshape(-1), 0)
            return result.reshape(x.shape) if shape_kept else hold(result)
        result = function(x, axis)
        return result if shape_kept else (result.unsqueeze(axis) if keepdims else result.unsqueeze(-1))

    return whole_or_each


def _layer_norm(x: Tensor, dim: int) -> Tensor:
    centred = x - x.mean(dim, keepdim=True)
    return centred / (centred.pow(2).mean(dim, keepdim=True) + 1e-5).sqrt()


def _norm(x: Any, p: Any = "fro") -> Tensor:
    """The norms of vectors by their power, of matrices by their name; 2 is the spectral norm of a matrix."""
    x = hold(x)
    if p in ("nuc", 2) and 1 not in x.shape:
        return hold(torch.linalg.matrix_norm(x, p))
    if p in ("fro", 2):
        return hold(x.pow(2).sum().sqrt())
    return hold(_power(_power(x.abs(), p).sum(), 1 / p))


def _diag(x: Tensor) -> Tensor:
    if 1 in x.shape:
        return torch.diag(x.reshape(-1))
    return hold(torch.diagonal(x))


def _vec(x: Any) -> Tensor:
    return hold(x).mT.reshape(-1, 1)


def _kron(a: Tensor, b: Tensor) -> Tensor:
    blocks = a[:, None, :, None] * b[None, :, None, :]
    return blocks.reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])


def _sqrtm(x: Tensor) -> Tensor:
    """The principal square root by scaling and Newton's iteration for the inverse root."""
    scale = torch.linalg.matrix_norm(x).detach()
    root, other = x / scale, torch.eye(x.shape[0], dtype=x.dtype)
    for _ in range(60):
        root, other = (root + torch.linalg.inv(other)) / 2, (other + torch.linalg.inv(root)) / 2
    return root * scale.sqrt()


def _einsum(subscripts: str, *operands: Any) -> Tensor:
    return hold(torch.einsum(subscripts, *map(drop, operands)))


def _where(condition: Tensor, chosen: Any, otherwise: Any) -> Tensor:
    return torch.where(hold(condition).bool(), hold(chosen), hold(otherwise))


def _clip(x: Any, low: Any, high: Any) -> Tensor:
    return torch.minimum(hold(high), torch.maximum(hold(x), hold(low)))


def _differentiate(function: Function, x: Any) -> Tensor:
    """D(u, x) of a scalar function, shaped like x.T: numerator layout."""
    jacobian = torch.autograd.functional.jacobian(function, drop(x), create_graph=True)
    return hold(jacobian.reshape(drop(x).shape).permute(*reversed(range(drop(x).ndim))))


def _ones(value: float) -> Function:
    return lambda *sizes: hold(torch.full(sizes, value, dtype=torch.float64))


_NN = torch.nn.functional
FUNCTIONS: dict[str, Function] = {
    "matmul_": lambda left, right: _matmul(hold(left), hold(right)), "power_": _power,
    **{name: _apply(getattr(torch, name)) for name in (
        "exp", "log", "log1p", "expm1", "sqrt", "square", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin",
        "arccos", "arctan", "abs", "sign", "sigmoid", "relu", "erf", "maximum", "minimum")},
    **{name: _apply(getattr(_NN, name)) for name in ("elu", "silu", "gelu", "softplus")},
    "leaky_relu": _apply(lambda x, a=torch.tensor(0.01, dtype=torch.float64): torch.where(x > 0, x, a * x)),
    "where": _where, "clip": _clip,
    "sum": _along(lambda x, dim: x.sum(dim)), "mean": _along(lambda x, dim: x.mean(dim)),
    "var": _along(lambda x, dim: x.var(dim, correction=0)), "prod": _along(lambda x, dim: x.prod(dim)),
    "max": _along(lambda x, dim: x.amax(dim)), "min": _along(lambda x, dim: x.amin(dim)),
    "logsumexp": _along(torch.logsumexp),
    "cumsum": _along(torch.cumsum, True), "softmax": _along(torch.softmax, True),
    "log_softmax": _along(torch.log_softmax, True), "layer_norm": _along(_layer_norm, True),
    "norm": _norm, "size": lambda x: hold(float(hold(x).numel())),
    "dot": lambda x, y: hold((hold(x).reshape(-1) * hold(y).reshape(-1)).sum()),
    "outer": lambda x, y: hold(x).reshape(-1, 1) * hold(y).reshape(1, -1),
    "kron": lambda a, b: _kron(hold(a), hold(b)),
    "trace": lambda x: hold(torch.diagonal(hold(x)).sum()), "det": lambda x: hold(torch.linalg.det(hold(x))),
    "logdet": lambda x: hold(torch.logdet(hold(x))), "inv": lambda x: torch.linalg.inv(hold(x)),
    "pinv": lambda x: torch.linalg.pinv(hold(x)), "solve": lambda a, b: torch.linalg.solve(a, hold(b)),
    "matrix_power": lambda x, k: torch.linalg.matrix_power(hold(x), k), "expm": torch.linalg.matrix_exp,
    "sqrtm": _sqrtm, "diag": _diag, "vec": _vec, "tril": torch.tril, "triu": torch.triu,
    "eye": lambda n: torch.eye(n, dtype=torch.float64), "ones": _ones(1.0), "zeros": _ones(0.0),
    "cross_entropy": lambda z, y: -hold((hold(y).reshape(-1) * torch.log_softmax(hold(z).reshape(-1), 0)).sum()),
    "einsum": _einsum, "D": _differentiate,
}  # fmt: skip
