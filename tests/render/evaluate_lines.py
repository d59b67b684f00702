"""The value of a line in which d(..) marks the change of what stands in its brackets while the variable moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from matcalc.check.torch_values import TensorFunction, evaluate_all
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.rewrite import replace


def evaluate_lines(
    lines: Sequence[Expression],
    mark: str,
    wrt: Expression,
    direction: tuple[str, Tensor],
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
) -> list[Tensor]:
    """Return the held value of each line at a point.

    `mark` is the name under which d(..) stands in the lines; its value is torch's derivative of what is in the
    brackets along the `direction`, the name of dX and its held value.  Raises EvaluationError.
    """
    marks = [node for node in walk(*lines) if node.op == "abstract" and node.name == mark]
    changes = _move([node.args[0] for node in marks], wrt, direction[1], values, sizes, functions)
    names = {node: symbol(f"{mark} {place}", node.shape) for place, node in enumerate(marks)}
    known = {**values, direction[0]: direction[1]}
    known |= {names[node].name: change for node, change in zip(marks, changes, strict=True)}
    named = [replace(line, names) for line in lines]
    found = evaluate_all(tuple(named), known, sizes, functions)
    return [found[line].detach() for line in named]


def _move(
    roots: Sequence[Expression],
    wrt: Expression,
    direction: Tensor,
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None,
) -> list[Tensor]:
    """Return the derivative of each expression along the direction, in its 2-D shape."""

    def compute(x: Tensor) -> tuple[Tensor, ...]:
        found = evaluate_all(tuple(roots), {**values, wrt.name: x}, sizes, functions)
        return tuple(found[root] for root in roots)

    if not roots:
        return []
    # torch's product with a Jacobian differentiates twice, and its logcumsumexp has no second derivative.
    at = values[wrt.name]
    jacobians = torch.autograd.functional.jacobian(compute, at)
    return [torch.tensordot(each, direction, dims=at.ndim) for each in jacobians]
