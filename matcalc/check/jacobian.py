"""The truth: torch's own jacobian of the expression, and the judge's own arrangement of it in a layout.

torch is imported where numbers are computed: the layouts are needed without it as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from matcalc.language.expression import Expression
from matcalc.language.sizes import UNIT, Shape, squeeze_shape

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.torch_values import TensorFunction

JUDGED_LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")


def true_derivative(
    expression: Expression,
    by: Sequence[Expression],
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
    meaning: str = "free",
) -> Tensor:
    """Return the derivative by one variable after the other, shape S_Y + S_X1 + S_X2 + ... without unit axes.

    Each is torch.autograd.functional.jacobian of the one before; by none it is the value.  Every entry of a variable
    moves freely, whatever structure its value has, unless another `meaning` says that they move with its independent
    entries alone; where the expression does not depend on it the derivative is zeros.
    """
    import torch

    from matcalc.check.meaning import find_ties
    from matcalc.check.torch_values import evaluate, squeeze

    def compute(values: Mapping[str, Tensor]) -> Tensor:
        return squeeze(expression, evaluate(expression, values, sizes, functions), sizes)

    def differentiate(count: int, values: Mapping[str, Tensor], compute: Callable[..., Tensor]) -> Tensor:
        if not count:
            return compute(values)
        wrt = by[count - 1]
        held = values[wrt.name].shape
        ties = None if meaning == "free" else find_ties(wrt, held[0])

        def function(x: Tensor) -> Tensor:
            moved = x.reshape(held) if ties is None else ties.write(x)
            return differentiate(count - 1, {**values, wrt.name: moved}, compute)

        at = squeeze(wrt, values[wrt.name], sizes) if ties is None else ties.read(values[wrt.name])
        found = torch.autograd.functional.jacobian(function, at, create_graph=count < len(by))
        return found if ties is None else ties.expand(found, meaning)

    if len(by) < 2:
        return differentiate(len(by), values, compute).detach()
    # Each entry on its own: taken together, every pass of the outer jacobian runs through the graphs of all of them.
    shape = compute(values).shape
    entries = [
        differentiate(len(by), values, lambda values, place=place: compute(values).reshape(-1)[place])
        for place in range(math.prod(shape))
    ]
    return torch.stack(entries).reshape(tuple(shape) + tuple(entries[0].shape))


def sum_rows(
    expression: Expression, wrt: Expression, values: Mapping[str, Tensor], sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction], weigh: Callable[[tuple[int, ...]], Tensor],
) -> Tensor:  # fmt: skip
    """Return the derivative by one variable with its rows, one for each entry of Y, weighed and added, shape S_X.

    It is the gradient of sum(w * y), one pass of autograd where `true_derivative` takes one for each row.
    """
    import torch

    from matcalc.check.torch_values import evaluate, squeeze

    held = values[wrt.name].shape
    at = squeeze(wrt, values[wrt.name], sizes).detach().requires_grad_()
    y = squeeze(expression, evaluate(expression, {**values, wrt.name: at.reshape(held)}, sizes, functions), sizes)
    if not y.requires_grad:
        return torch.zeros_like(at)
    (found,) = torch.autograd.grad(y, at, weigh(tuple(y.shape)).to(y), allow_unused=True, materialize_grads=True)
    return found


# --- layouts ------------------------------------------------------------------------------------------


def layout_shape(shape_y: Shape, shapes: Sequence[Shape], layout: str) -> Shape:
    """Return the shape of a derivative by variables of these shapes, one after the other, without unit axes.

    In numerator layout it is S_Y + reversed(S_X1) + reversed(S_X2) + ..., in denominator layout all of it reversed.

    >>> from matcalc.language.sizes import Size
    >>> m, n, k = (Size.of(letter) for letter in "mnk")
    >>> layout_shape((m,), [(n, k)], "numerator"), layout_shape((m,), [(n, k)], "vec")
    ((m, k, n), (m, n*k))
    """
    sizes = [*shape_y, *(size for shape in shapes for size in shape)]
    ordered = tuple(sizes[axis] for axis in order_axes(len(shape_y), [len(shape) for shape in shapes], layout))
    if layout != "vec" or not shapes:
        return ordered
    # The first axis is the fastest, and a size is written in the order of the axes.
    split = len(ordered) - len(shapes[-1])
    sides = (ordered[:split], ordered[split:])
    return squeeze_shape(tuple(math.prod(reversed(side), start=UNIT) for side in sides))


def order_axes(rank_y: int, ranks: Sequence[int], layout: str) -> list[int]:
    """Return the order of a layout's axes, as places in torch's order, S_Y + S_X1 + S_X2 + ...

    numerator: S_Y + reversed(S_X1) + reversed(S_X2) + ...; denominator: all of that reversed; mixed: numerator, except
    torch's order for a scalar function; vec: rows count Y, then each earlier copy of X, columns the last X, both with
    the first axis fastest.

    >>> order_axes(2, [2], "numerator"), order_axes(2, [2], "vec")
    ([0, 1, 3, 2], [1, 0, 3, 2])
    """
    ends = list(accumulate(ranks, initial=rank_y))
    of_y, of_x = list(range(rank_y)), [list(range(start, end)) for start, end in pairwise(ends)]
    if not ranks or layout == "torch" or (layout == "mixed" and rank_y == 0):
        return list(range(ends[-1]))
    if layout == "vec":
        rows = of_y + [axis for copy in of_x[:-1] for axis in copy]
        return rows[::-1] + of_x[-1][::-1]
    numerator = of_y + [axis for copy in of_x for axis in reversed(copy)]
    return numerator[::-1] if layout == "denominator" else numerator


def find_orientation(rank_y: int, ranks: Sequence[int], layout: str) -> str | None:
    """Return whether a derivative of one axis is a "row" or a "column" in a layout, None where it is neither.

    Where the function runs along the rows and the variable along the columns, as in numerator layout, a gradient is a
    row; denominator layout is the reverse; mixed has a gradient of the variable's own shape; torch has one axis alone.

    >>> find_orientation(0, [1], "numerator"), find_orientation(1, [0], "denominator")
    ('row', 'row')
    """
    if layout == "vec" and ranks:
        rows, columns = rank_y + sum(ranks[:-1]), ranks[-1]
        return None if bool(rows) == bool(columns) else "row" if columns else "column"
    if rank_y + sum(ranks) != 1 or layout == "torch":
        return None
    is_row = {"numerator": not rank_y, "denominator": bool(rank_y)}.get(layout, False)
    return "row" if is_row else "column"


def arrange_axes(tensor: Tensor, rank_y: int, ranks: Sequence[int], layout: str) -> Tensor:
    """Return a derivative by variables of these ranks, one after the other, in a layout's order of axes.

    It comes in torch's order; vec is d vec(Y)/d vec(X).T with columns stacked, and for a higher order the vec of that
    by vec(X) again.

    >>> import torch
    >>> arrange_axes(torch.zeros(2, 3, 5, 7), 2, [2], "numerator").shape
    torch.Size([2, 3, 7, 5])
    """
    axes = order_axes(rank_y, ranks, layout)
    if layout != "vec" or not ranks:
        return tensor if axes == sorted(axes) else tensor.permute(axes)
    split = len(axes) - ranks[-1]
    shape = [math.prod(tensor.shape[axis] for axis in side) for side in (axes[:split], axes[split:]) if side]
    return tensor.permute(axes).reshape(shape)
