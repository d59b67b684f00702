"""The truth: torch's own jacobian of the expression, and the judge's own arrangement of it in a layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from matcalc.check.torch_values import TensorFunction, evaluate, squeeze
from matcalc.language.expression import Expression


def true_derivative(
    expression: Expression,
    by: Sequence[Expression],
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
) -> Tensor:
    """Return the derivative by one variable after the other, shape S_Y + S_X1 + S_X2 + ... without unit axes.

    Each is torch.autograd.functional.jacobian of the one before; by none it is the value.  Every entry of a variable
    moves freely, whatever structure its value has; where the expression does not depend on it the derivative is zeros.
    """

    def compute(values: Mapping[str, Tensor]) -> Tensor:
        return squeeze(expression, evaluate(expression, values, sizes, functions), sizes)

    def differentiate(count: int, values: Mapping[str, Tensor], compute: Callable[..., Tensor]) -> Tensor:
        if not count:
            return compute(values)
        wrt = by[count - 1]
        held = values[wrt.name].shape

        def function(x: Tensor) -> Tensor:
            return differentiate(count - 1, {**values, wrt.name: x.reshape(held)}, compute)

        at = squeeze(wrt, values[wrt.name], sizes)
        return torch.autograd.functional.jacobian(function, at, create_graph=count < len(by))

    if len(by) < 2:
        return differentiate(len(by), values, compute).detach()
    # Each entry on its own: taken together, every pass of the outer jacobian runs through the graphs of all of them.
    shape = compute(values).shape
    entries = [
        differentiate(len(by), values, lambda values, place=place: compute(values).reshape(-1)[place])
        for place in range(math.prod(shape))
    ]
    return torch.stack(entries).reshape(tuple(shape) + tuple(entries[0].shape))


def arrange_axes(tensor: Tensor, rank_y: int, ranks: Sequence[int], layout: str) -> Tensor:
    """Return a derivative by variables of these ranks, one after the other, in a layout's order of axes.

    It comes in torch's order, S_Y + S_X1 + S_X2 + ...  numerator: S_Y + reversed(S_X1) + reversed(S_X2) + ...;
    denominator: all of that reversed; mixed: numerator, except torch's order for a scalar function; vec: d vec(Y)/d
    vec(X).T with columns stacked, and for a higher order the vec of that by vec(X) again.

    >>> arrange_axes(torch.zeros(2, 3, 5, 7), 2, [2], "numerator").shape
    torch.Size([2, 3, 7, 5])
    """
    of_y = list(range(rank_y))
    ends = list(accumulate(ranks, initial=rank_y))
    of_x = [list(range(start, end)) for start, end in pairwise(ends)]
    if layout == "torch" or (layout == "mixed" and rank_y == 0):
        return tensor
    if layout == "vec":
        # Rows count Y, then each earlier copy of X, Y's first axis fastest; columns count the last X.
        rows, columns = [axis for axes in (of_y, *of_x[:-1]) for axis in axes], of_x[-1]
        shape = [math.prod(tensor.shape[axis] for axis in axes) for axes in (rows, columns) if axes]
        return tensor.permute(rows[::-1] + columns[::-1]).reshape(shape)
    numerator = of_y + [axis for copy in of_x for axis in reversed(copy)]
    return tensor.permute(numerator[::-1] if layout == "denominator" else numerator)
