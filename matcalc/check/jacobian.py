"""The truth: torch's own jacobian of the expression, and the judge's own arrangement of it in a layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from matcalc.check.layouts import order_axes
from matcalc.check.torch_values import TensorFunction, evaluate, repeat_jacobian, squeeze
from matcalc.language.expression import Expression


def true_derivative(
    expression: Expression,
    wrt: Expression,
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
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


def true_mixed_derivative(
    expression: Expression,
    by: Sequence[Expression],
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
) -> Tensor:
    """Return the derivative by one variable after the other, shape S_Y + S_X1 + S_X2 + ... without unit axes.

    Each is torch.autograd.functional.jacobian of the one before.
    """

    def differentiate(count: int, place: int, values: Mapping[str, Tensor]) -> Tensor:
        if not count:
            return squeeze(expression, evaluate(expression, values, sizes, functions), sizes).reshape(-1)[place]
        wrt = by[count - 1]
        held = values[wrt.name].shape

        def function(x: Tensor) -> Tensor:
            return differentiate(count - 1, place, {**values, wrt.name: x.reshape(held)})

        at = squeeze(wrt, values[wrt.name], sizes)
        return torch.autograd.functional.jacobian(function, at, create_graph=count < len(by))

    shape = squeeze(expression, evaluate(expression, values, sizes, functions), sizes).shape
    entries = [differentiate(len(by), place, values) for place in range(math.prod(shape))]
    return torch.stack(entries).reshape(tuple(shape) + tuple(entries[0].shape))


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


def arrange_axes(tensor: Tensor, rank_y: int, rank_x: int, order: int, layout: str) -> Tensor:
    """Return a tensor of shape S_Y + order*S_X, torch's order of axes, in a layout's order.

    numerator: S_Y + order*reversed(S_X); denominator: all of that reversed; mixed: numerator, except
    torch's order for a scalar function; vec: d vec(Y)/d vec(X).T with columns stacked, and for a higher
    order the vec of that by vec(X) again.

    >>> arrange_axes(torch.zeros(2, 3, 5, 7), 2, 2, 1, "numerator").shape
    torch.Size([2, 3, 7, 5])
    """
    return arrange_mixed(tensor, rank_y, [rank_x] * order, layout)


def arrange_mixed(tensor: Tensor, rank_y: int, ranks: Sequence[int], layout: str) -> Tensor:
    """Return a derivative by variables of these ranks, one after the other, in a layout's order of axes."""
    axes = order_axes(rank_y, ranks, layout)
    if layout != "vec":
        return tensor if axes == sorted(axes) else tensor.permute(axes)
    split = len(axes) - ranks[-1]
    return tensor.permute(axes).reshape([_count(tensor, side) for side in (axes[:split], axes[split:]) if side])


def _count(tensor: Tensor, axes: list[int]) -> int:
    return reduce(lambda product, axis: product * tensor.shape[axis], axes, 1)
