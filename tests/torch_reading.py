"""Random texts read by Python's own `eval` with the words of torch_words: nothing is shared with matcalc.

What Python and torch word differently is turned into calls first: `x @ y` of two columns, and powers.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tests.torch_words import WORDS, drop, hold


class _Rewriter(ast.NodeTransformer):
    """Turns @ and ** into calls."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.MatMult: "multiply_matrices", ast.Pow: "raise_to"}.get(type(node.op))
        return node if name is None else ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])


def read_with_torch(text: str, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Tensor:
    """Return the value of a text, with two axes or more; `values` are such tensors, and functions of them, by name."""
    tree = ast.fix_missing_locations(_Rewriter().visit(ast.parse(text.strip(), mode="eval")))
    return hold(eval(compile(tree, "<text>", "eval"), {**WORDS, **OPERATORS, **sizes, **values, "__builtins__": {}}))


def multiply_matrices(left: Any, right: Any) -> Tensor:
    left, right = hold(left), hold(right)
    is_dot = left.shape == right.shape and left.shape[1] == 1
    return (left.mT if is_dot else left) @ right


def raise_to(base: Any, exponent: Any) -> Any:
    """A constant exponent is a plain number, so that negative bases have derivatives."""
    if isinstance(exponent, Tensor) and not exponent.requires_grad and exponent.numel() == 1:
        exponent = float(exponent)
    return base**exponent


def multiply_kron(a: Any, b: Any) -> Tensor:
    a, b = hold(a), hold(b)
    blocks = a[:, None, :, None] * b[None, :, None, :]
    return blocks.reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])


def differentiate_scalar(function: Callable[[Any], Tensor], x: Any) -> Tensor:
    """D(u, x) of a scalar function, shaped like x.T: numerator layout."""
    at = drop(hold(x))
    jacobian = torch.autograd.functional.jacobian(function, at, create_graph=True).reshape(at.shape)
    return hold(jacobian.permute(*reversed(range(at.ndim))))


def take_root(x: Tensor) -> Tensor:
    """The principal square root by Newton's iteration, all of whose derivatives torch finds."""
    scale = torch.linalg.matrix_norm(x)
    root, inverse = x / scale, torch.eye(x.shape[0], dtype=x.dtype)
    for _ in range(40):
        root, inverse = (root + torch.linalg.inv(inverse)) / 2, (inverse + torch.linalg.inv(root)) / 2
    return root * scale.sqrt()


def hold_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """A word of matrices, of numbers as well."""
    return lambda x, *others, **along: function(hold(x), *others, **along)


OPERATORS: dict[str, Callable[..., Any]] = {
    "clip": lambda x, low, high: torch.clamp(hold(x), hold(low), hold(high)),
    **{name: hold_first(WORDS[name]) for name in (
        "norm", "trace", "det", "logdet", "inv", "pinv", "diag", "vec", "tril", "triu", "expm")},
    "multiply_matrices": multiply_matrices, "raise_to": raise_to, "kron": multiply_kron, "D": differentiate_scalar,
    "sqrtm": take_root, "where": lambda condition, x, y: WORDS["where"](hold(condition).bool(), x, y),
}  # fmt: skip
