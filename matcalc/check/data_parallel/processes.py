"""The processes of data-parallel training on this machine: how they are started, and what each of them runs.

    python -m matcalc.check.data_parallel.processes FOLDER RANK PROCESSES

is one of them: it reads FOLDER/tasks.pt and, on rank 0, writes FOLDER/gradients.pt.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from matcalc.check.data_parallel import LossText
from matcalc.check.points import Point
from matcalc.check.torch_values import evaluate
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.text_to_expression import parse, rules_in_force

TASKS, GRADIENTS, MEETING = "tasks.pt", "gradients.pt", "meeting"
LAST_WORDS = 300
PAUSE = 0.02
# What torchrun and its kin tell a process about the group that it belongs to; ours belong to another.
FOREIGN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
           "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT")  # fmt: skip


Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class ProcessTask:
    """A loss, and for each point what each process sees of it."""

    source: LossText
    points: list[list[Point]]


def run_tasks(tasks: list[ProcessTask], processes: int, timeout: float) -> list[list[Gradients]] | str:
    """Return for each task and point the gradients by name, as held, that DistributedDataParallel averages.

    All tasks share one start of the processes.  Where a process dies, or they take more than `timeout` seconds,
    the reason is returned instead, and none of them is left behind.
    """
    with TemporaryDirectory(prefix="matcalc-") as name:
        folder = Path(name)
        torch.save(tasks, folder / TASKS)
        ranks = [str(rank) for rank in range(processes)]
        commands = [[sys.executable or "python3", "-m", __name__, name, rank, str(processes)] for rank in ranks]
        failure = run_together(commands, folder, timeout)
        return failure or torch.load(folder / GRADIENTS, weights_only=False)


def run_together(commands: Sequence[Sequence[str]], folder: Path, timeout: float) -> str | None:
    """Run commands at once in a folder; return None where all end well, else what went wrong with the first."""
    running: list[subprocess.Popen[bytes]] = []
    logs = [folder / f"process{number}.txt" for number in range(len(commands))]
    try:
        for command, log in zip(commands, logs, strict=True):
            running.append(_start(command, folder, log))
        return _wait(running, logs, timeout)
    except OSError as error:
        return f"the processes cannot be started: {error}"
    finally:
        for process in running:
            process.kill()
            process.wait()


def _start(command: Sequence[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as written:
        return subprocess.Popen(
            command, cwd=folder, env=clean_environment(),
            stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _wait(running: list[subprocess.Popen[bytes]], logs: list[Path], timeout: float) -> str | None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        codes = [process.poll() for process in running]
        for number, code in enumerate(codes):
            if code:
                return _explain_death(number, len(running), code, logs[number])
        if None not in codes:
            return None
        time.sleep(PAUSE)
    return f"the {len(running)} processes did not end within {timeout:g} seconds"


def _explain_death(number: int, processes: int, code: int, log: Path) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    words = f": {lines[-1][:LAST_WORDS]}" if lines else " without a word"
    return f"process {number + 1} of {processes} {how}{words}"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without any other group of processes, set up for small ones on CPUs.

    The modules are found where this process finds them, wherever the new one is started.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept = {name: value for name, value in kept.items() if not name.startswith(("TORCHELASTIC_", "PET_"))}
    own = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return kept | own | _name_loopback() | {"PYTHONPATH": os.pathsep.join(_list_folders())}


def _list_folders() -> list[str]:
    folders = list(dict.fromkeys(os.path.abspath(folder) for folder in sys.path))
    package = str(Path(__file__).resolve().parents[3])
    return folders if package in map(os.path.realpath, folders) else [package, *folders]


def _name_loopback() -> dict[str, str]:
    """Let gloo talk over the loopback interface: the name of this machine may lead elsewhere, or nowhere."""
    interfaces = [name for _, name in socket.if_nameindex()] if hasattr(socket, "if_nameindex") else []
    return next(({"GLOO_SOCKET_IFNAME": name} for name in ("lo", "lo0") if name in interfaces), {})


# --- in each process ------------------------------------------------------------------------------


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
