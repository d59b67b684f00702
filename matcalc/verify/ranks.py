"""The processes of one run: alone, or as many as torchrun started, on one machine or on several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from matcalc.verify.keeper import LostProcessError

_T = TypeVar("_T")
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(days=30)  # one process may have far more to do than another; a dead one is noticed at once


def find_rank() -> int | None:
    """Return the rank that torchrun gave this process, or that which sets what torchrun sets; None alone."""
    return int(os.environ["RANK"]) if all(name in os.environ for name in _SET_BY_TORCHRUN) else None


class Ranks:
    """This process among those of its run: `rank` of `world`; alone it is 0 of 1 and nothing is ever sent."""

    def __init__(self) -> None:
        self.rank, self.world, self.local_rank = 0, 1, 0
        self.has_own_gpu = False

    def split(self, items: Sequence[_T]) -> Sequence[_T]:
        """Return this process's share: every world-th item from its rank on, as DistributedSampler deals them out.

        Unlike there no item is dealt twice to make the shares equal.
        """
        return items[self.rank :: self.world]

    def exchange(self, own: _T) -> list[_T]:
        """Return what every process gave, by rank."""
        return [own]

    def gather(self, own: _T) -> list[_T]:
        """Return on rank 0 what every process gave, by rank, and elsewhere nothing."""
        return [own]

    def total(self, own: int) -> int:
        """Return the sum of every process's number."""
        return own

    def wait(self) -> None:
        """Return when every process has come to this point."""

    def leave(self) -> None:
        """Part from the others."""


class TorchRanks(Ranks):
    """The processes that torchrun started, over torch.distributed: gloo, and nccl where each has its own GPU.

    Every method raises LostProcessError when another process has died.
    """

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        super().__init__()
        self.rank, self.world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.has_own_gpu = int(os.environ.get("LOCAL_WORLD_SIZE", self.world)) <= torch.cuda.device_count()
        if self.has_own_gpu:
            torch.cuda.set_device(self.local_rank)
        self._dist: Any = dist
        self._start("cpu:gloo,cuda:nccl" if self.has_own_gpu else "gloo")

    def _start(self, backend: str) -> None:
        try:
            self._dist.init_process_group(backend)
            self._group = self._dist.new_group(backend="gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = f"the processes of the run do not find each other: {_first_line(error)}"
            raise LostProcessError(reason, advice="start all of them with torchrun") from None

    def exchange(self, own: _T) -> list[_T]:
        """Return what every process gave, by rank."""
        everyone: list[Any] = [None] * self.world
        self._speak(lambda: self._dist.all_gather_object(everyone, own, group=self._group))
        return everyone

    def gather(self, own: _T) -> list[_T]:
        """Return on rank 0 what every process gave, by rank, and elsewhere nothing."""
        everyone: list[Any] | None = [None] * self.world if self.rank == 0 else None
        self._speak(lambda: self._dist.gather_object(own, everyone, dst=0, group=self._group))
        return everyone or []

    def total(self, own: int) -> int:
        """Return the sum of every process's number; on GPUs it is nccl that adds."""
        import torch

        number = torch.tensor([own], device="cuda" if self.has_own_gpu else "cpu")
        self._speak(lambda: self._dist.all_reduce(number, group=None if self.has_own_gpu else self._group))
        return int(number.item())

    def wait(self) -> None:
        """Return when every process has come to this point."""
        self._speak(lambda: self._dist.barrier(group=self._group))

    def leave(self) -> None:
        """Part from the others, all at one time."""
        self.wait()
        self._dist.destroy_process_group()

    def _speak(self, word: Any) -> None:
        try:
            word()
        except RuntimeError:
            raise LostProcessError("another process of the run has died") from None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200]
