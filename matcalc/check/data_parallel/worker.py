"""What each process runs: the loss as a module in DistributedDataParallel, its backward pass, the averaged gradients.

    python -m matcalc.check.data_parallel.worker FOLDER RANK PROCESSES

reads FOLDER/tasks.pt and, on rank 0, writes FOLDER/gradients.pt.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from matcalc.check.data_parallel.launch import GRADIENTS, MEETING, TASKS, ProcessTask
from matcalc.check.points import Point
from matcalc.check.torch_values import evaluate
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.text_to_expression import parse, rules_in_force

Gradients = dict[str, Tensor]


class Loss(torch.nn.Module):  # type: ignore[misc]
    """A module that holds the parameters of a loss and takes the values of its other variables."""

    def __init__(self, expression: Expression, wrt: tuple[str, ...], share: Point) -> None:
        super().__init__()
        self.expression, self.wrt, self.share = expression, wrt, share
        self.held = torch.nn.ParameterList([torch.nn.Parameter(share.values[name].clone()) for name in wrt])

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, a scalar."""
        everything = {**values, **dict(zip(self.wrt, self.held, strict=True))}
        return evaluate(self.expression, everything, dict(self.share.sizes), self.share.functions).reshape(())


def measure(task: ProcessTask, rank: int) -> list[Gradients]:
    """Return at each point the gradients by name, as held, that DistributedDataParallel leaves in the parameters."""
    source = task.source
    problem = parse(source.text, wrt=source.wrt[0], shapes=source.shapes, assume=source.assume, rules=source.rules)
    with rules_in_force(source.rules):
        return [_measure_at(problem.expressions[0], source.wrt, shares[rank]) for shares in task.points]


def _measure_at(expression: Expression, wrt: tuple[str, ...], share: Point) -> Gradients:
    loss = Loss(expression, wrt, share)
    # A parameter that the loss ignores has no gradient to wait for.
    parallel = DistributedDataParallel(loss, find_unused_parameters=True)
    value = parallel({name: value for name, value in share.values.items() if name not in wrt})
    if value.requires_grad:
        value.backward()
    return {
        name: torch.zeros_like(held) if held.grad is None else held.grad.detach()
        for name, held in zip(wrt, loss.held, strict=True)
    }


def _main(folder: Path, rank: int, processes: int) -> None:
    """Meet the other processes, take part in every task, and write down what came out.

    Ends the process with the reason where a loss cannot be evaluated.
    """
    torch.set_num_threads(1)
    tasks: list[ProcessTask] = torch.load(folder / TASKS, weights_only=False)
    store = torch.distributed.FileStore(str(folder / MEETING), processes)
    torch.distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=processes, timeout=timedelta(minutes=10)
    )
    try:
        found = [measure(task, rank) for task in tasks]
    except MatcalcError as error:
        sys.exit(error.reason)
    if rank == 0:
        torch.save(found, folder / GRADIENTS)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    # All is written: one exit in forty or so ends in an abort of torch's own threads, after the interpreter is gone.
    os._exit(0)
