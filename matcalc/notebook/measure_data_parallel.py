"""The gradient that DistributedDataParallel leaves in the parameters, from real processes, for values of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from matcalc.data_parallel import MOST_PROCESSES, read_loss
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.declarations import Declared

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.data_parallel.question import LossQuestion
    from matcalc.check.sample import Point


def average_in_processes(
    loss: Any,
    wrt: str,
    values: Mapping[str, Any],
    shares: Sequence[int] = (),
    *,
    batch_axis: Any = 0,
    shapes: Declared = None,
    timeout: float = 120.0,
) -> Any:
    """Return the gradient by `wrt`, a NumPy array, that DistributedDataParallel averages over gloo processes.

    Each process holds the parameter whole and, of the variables that have the batch axis, as many samples as its
    entry in `shares` says, in order: (4, 4) are two processes with four samples each, (6, 2) unequal ones.
    `values` gives an array for every variable of the loss.  Raises DeclarationError where the shares do not make
    up the batch, EvaluationError where values do not fit or the processes fail.

        average_in_processes("mean((X@w - y)**2)", "w", {"X": X, "y": y, "w": w}, shares=(4, 4))
    """
    from matcalc.check.data_parallel.launch import Task, run_tasks
    from matcalc.check.evaluate_nodes import squeeze
    from matcalc.check.modes import own_modes

    question = read_loss(loss, wrt, batch_axis, shapes=shapes)
    with own_modes():
        point = _read_point(question, values)
        points = _deal(question, point, _check_shares(shares, point.sizes[question.batch.letter]))
        measured = run_tasks([Task(question.source, [points])], len(points), timeout)
        if isinstance(measured, str):
            raise EvaluationError(measured)
        return squeeze(question.parameters[0], measured[0][0][wrt], point.sizes).numpy()


def _check_shares(shares: Sequence[int], samples: int) -> list[int]:
    """Return the shares, equal ones for two processes where none are given."""
    found = list(shares) or [samples // 2, samples - samples // 2]
    if sum(found) != samples or min(found) < 1:
        reason = f"the shares {', '.join(map(str, found))} do not deal out the {samples} samples of the batch"
        raise DeclarationError(reason, advice="give every process one sample or more, and each sample to one process")
    if not 2 <= len(found) <= MOST_PROCESSES:
        raise DeclarationError(f"there are 2 to {MOST_PROCESSES} processes, not {len(found)}")
    return found


def _read_point(question: LossQuestion, values: Mapping[str, Any]) -> Point:
    """Return the values as the judge's processes take them: float64 tensors with their unit axes."""
    import torch

    from matcalc.check.evaluate import deduce_sizes
    from matcalc.check.sample import Point
    from matcalc.language.expression import symbols

    variables = symbols(question.loss)
    if missing := [name for name in variables if name not in values]:
        raise EvaluationError(f"{missing[0]} has no value", advice=f"give all of {', '.join(variables)}")
    tensors = {name: torch.as_tensor(values[name], dtype=torch.float64) for name in variables}
    sizes = deduce_sizes({name: (variables[name], tuple(tensor.shape)) for name, tensor in tensors.items()})
    held = {
        name: tensor.reshape([size.value(sizes) for size in variables[name].shape]) for name, tensor in tensors.items()
    }
    largest = max(float(tensor.abs().max()) for tensor in held.values())
    return Point(held, sizes, {}, dict.fromkeys(held, "real"), largest)


def _deal(question: LossQuestion, point: Point, shares: Sequence[int]) -> list[Point]:
    """Return the point as each process sees it."""
    from dataclasses import replace

    letter, starts = question.batch.letter, [0, *accumulate(shares)]
    return [
        replace(point, values=_cut(question, point.values, start, share), sizes={**point.sizes, letter: share})
        for start, share in zip(starts, shares, strict=False)
    ]


def _cut(question: LossQuestion, values: Mapping[str, Tensor], start: int, share: int) -> dict[str, Tensor]:
    axes = question.batch.axes
    return {
        name: value.narrow(axes[name], start, share).contiguous() if name in axes else value
        for name, value in values.items()
    }
