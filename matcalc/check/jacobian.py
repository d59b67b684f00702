"""The truth: torch's own jacobian of the expression, and the judge's own arrangement of it in a layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce

import torch
from torch import Tensor

from matcalc.check.evaluate_nodes import Function, evaluate, repeat_jacobian, squeeze
from matcalc.language.expression import Expression


def true_derivative(
    expression: Expression,
    wrt: Expression,
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, Function] | None = None,
    order: int = 1,
) -> Tensor:
    """Return torch.autograd.functional.jacobian of the expression, shape S_Y + order*S_X without unit axes.

    Every entry of wrt moves freely, whatever structure its value has; where the expression does not
    depend on wrt the derivative is zeros.
    """

    def function(x: Tensor) -> Tensor:
        moved = {**values, wrt.name: x.reshape(held)}
        return squeeze(expression, evaluate(expression, moved, sizes, functions), sizes)

    held = values[wrt.name].shape
    at = squeeze(wrt, values[wrt.name], sizes)
    if order == 1:
        return torch.autograd.functional.jacobian(function, at)
    return _repeat_entry_by_entry(function, at, order)


def _repeat_entry_by_entry(function: Callable[[Tensor], Tensor], at: Tensor, order: int) -> Tensor:
    """Return a higher derivative, each entry of the function on its own.

    Taken together, every pass of the outer jacobian runs through the graphs of all entries.
    """

    def take_entry(x: Tensor, place: int) -> Tensor:
        return repeat_jacobian(lambda point: function(point).reshape(-1)[place], x, order - 1)

    shape = function(at).shape
    entries = [
        torch.autograd.functional.jacobian(partial(take_entry, place=place), at) for place in range(math.prod(shape))
    ]
    return torch.stack(entries).reshape(tuple(shape) + order * tuple(at.shape))


def arrange(tensor: Tensor, rank_y: int, rank_x: int, order: int, layout: str) -> Tensor:
    """Return a tensor of shape S_Y + order*S_X, torch's order of axes, in a layout's order.

    numerator: S_Y + order*reversed(S_X); denominator: all of that reversed; mixed: numerator, except
    torch's order for a scalar function; vec: d vec(Y)/d vec(X).T with columns stacked, and for a higher
    order the vec of that by vec(X) again.

    >>> arrange(torch.zeros(2, 3, 5, 7), 2, 2, 1, "numerator").shape
    torch.Size([2, 3, 7, 5])
    """
    of_y = list(range(rank_y))
    of_x = [list(range(rank_y + k * rank_x, rank_y + (k + 1) * rank_x)) for k in range(order)]
    if layout == "torch" or (layout == "mixed" and rank_y == 0):
        return tensor
    if layout == "vec":
        return _stack_columns(tensor, of_y, of_x)
    numerator = of_y + [axis for copy in of_x for axis in reversed(copy)]
    return tensor.permute(numerator[::-1] if layout == "denominator" else numerator)


def _stack_columns(tensor: Tensor, of_y: list[int], of_x: list[list[int]]) -> Tensor:
    """Return the matrix whose rows count Y, then each earlier copy of X, Y's first axis fastest; columns the last X."""
    fastest_first = of_y + [axis for copy in of_x[:-1] for axis in copy]
    last = of_x[-1]
    shape = [_count(tensor, axes) for axes in (fastest_first, last) if axes]
    return tensor.permute(fastest_first[::-1] + last[::-1]).reshape(shape)


def _count(tensor: Tensor, axes: list[int]) -> int:
    return reduce(lambda product, axis: product * tensor.shape[axis], axes, 1)
