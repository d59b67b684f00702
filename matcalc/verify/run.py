"""Sheets -> outcomes: read, taken over from a journal, judged, and brought together on rank 0."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from matcalc.errors import DeclarationError, MatcalcError
from matcalc.verify.journal import Journal
from matcalc.verify.processes import Keeper, LostProcessError
from matcalc.verify.read_sheet import read_sheet
from matcalc.verify.tasks import Finding, Outcome, RunSettings, Task, find_keys, list_tasks

Findings = dict[str, Finding]
_Show = Callable[[Task, Finding], None]


@dataclass(frozen=True)
class Plan:
    """What there is to do: the tasks by key in the order of the sheets, and what journals hold of them already.

    Tasks that are the same in everything have one key and are judged once.
    """

    tasks: Sequence[Task] = ()
    keys: Sequence[str] = ()
    found: Findings = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The keys of what is not found yet."""
        return [key for key in dict.fromkeys(self.keys) if key not in self.found]

    @property
    def digest(self) -> str:
        """A digest of what is asked: the same in all processes, or they read different sheets."""
        return hashlib.sha256("".join(self.keys).encode()).hexdigest()


class Run:
    """One run over some sheets, in this process and those that torchrun started beside it.

    Call `prepare`, `judge`, and when the outcomes have been printed `finish`, which removes the journal; a run that
    ends before that can be resumed.  All processes of a run do the same; only where `is_first` there is an answer.
    """

    def __init__(
        self, sheets: Sequence[str | Path], settings: RunSettings, journal: str | Path, resume: bool = False
    ) -> None:
        self.settings = settings
        self.rank = find_rank()
        self.journal = Journal(journal, self.rank)
        self.plan = Plan()
        self.taken = 0
        self._sheets, self._resume = sheets, resume
        self._ranks = Ranks()
        self._open = ExitStack()

    def __enter__(self) -> Run:
        self._open.callback(self.journal.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints."""
        return not self.rank

    @property
    def count(self) -> int:
        """How many different tasks the sheets hold."""
        return len(set(self.plan.keys))

    # --- what there is to do ----------------------------------------------------------------------

    def prepare(self) -> None:
        """Read the sheets and the journal and find the other processes; raises MatcalcError for what is wrong."""
        keeper = None
        if self.rank is not None:
            keeper = self._open.enter_context(closing(Keeper()))
            self._ranks = Ranks(started_by_torchrun=True)
        device = self.settings.device or ("cuda" if self._ranks.has_own_gpu else "cpu")
        self.settings = replace(self.settings, device=device, local_rank=self._ranks.local_rank)
        self.plan = self._agree_on_plan()
        self.taken = len(self.plan.found)
        self._keeper = keeper or self._open.enter_context(closing(Keeper()))

    def _agree_on_plan(self) -> Plan:
        """Bring together what the journals of all processes hold, or raise the first error of any of them."""
        plan, error = self._try_to_plan()
        plans = self._ranks.exchange((error, plan.digest, plan.found))
        _raise_first([error for error, _, _ in plans])
        if len({digest for _, digest, _ in plans}) > 1:
            raise DeclarationError("the processes read different sheets or rules", advice="give all the same files")
        return replace(plan, found={key: finding for _, _, found in plans for key, finding in found.items()})

    def _try_to_plan(self) -> tuple[Plan, MatcalcError | None]:
        try:
            if not self._resume:
                self.journal.refuse_leftovers()
            entries = [entry for sheet in self._sheets for entry in read_sheet(sheet)]
            tasks = list_tasks(entries, self.settings.layout)
            keys = find_keys(tasks, self.settings)
            return Plan(tasks, keys, self._take_over(set(keys))), None
        except MatcalcError as error:
            return Plan(), error

    def _take_over(self, keys: set[str]) -> Findings:
        """Return what the journal holds of these keys; what a limit stopped is tried again under another one."""
        found = self.journal.read() if self._resume else {}
        limits = (None, self.settings.limits)
        return {key: finding for key, finding in found.items() if key in keys and finding.get("limits") in limits}

    # --- doing it ---------------------------------------------------------------------------------

    def list_share(self) -> list[str]:
        """Return the keys of the tasks that this process judges."""
        return list(self._ranks.split(self.plan.missing))

    def judge(self, show: _Show) -> list[Outcome]:
        """Judge this process's share, telling `show` of each result, and return all outcomes on rank 0."""
        own, error = self._judge_share(show)
        everyone = self._ranks.gather((error, own))
        total = self._ranks.total(len(own))
        _raise_first([error for error, _ in everyone])
        if not self.is_first:
            return []
        found = self.plan.found | {key: finding for _, findings in everyone for key, finding in findings.items()}
        if total != sum(len(findings) for _, findings in everyone):
            raise LostProcessError("results were lost on their way from the other processes")
        return [Outcome(task, found[key]["report"]) for key, task in zip(self.plan.keys, self.plan.tasks, strict=True)]

    def _judge_share(self, show: _Show) -> tuple[Findings, MatcalcError | None]:
        tasks = dict(zip(self.plan.keys, self.plan.tasks, strict=True))
        share, own = self.list_share(), {}
        findings = self._keeper.find([tasks[key] for key in share], self.settings)
        try:
            for key, finding in zip(share, findings, strict=True):
                self.journal.add(key, finding)
                own[key] = finding
                show(tasks[key], finding)
        except MatcalcError as error:
            return own, error
        return own, None

    def finish(self) -> None:
        """Part from the other processes once rank 0 has answered, and remove the journal."""
        self._ranks.wait()
        self.journal.remove()
        self._ranks.leave()


def _raise_first(errors: Sequence[MatcalcError | None]) -> None:
    for rank, error in enumerate(errors):
        if error is not None and rank:
            error.reason = f"process {rank}: {error.reason}"
        if error is not None:
            raise error


# --- the processes of one run: alone, or as many as torchrun started ------------------------------


_T = TypeVar("_T")
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=30)  # one process may have far more to do than another; a dead one is noticed at once


def find_rank() -> int | None:
    """Return the rank that torchrun gave this process, or that which sets what torchrun sets; None alone."""
    return int(os.environ["RANK"]) if all(name in os.environ for name in _SET_BY_TORCHRUN) else None


class Ranks:
    """This process among those of its run: `rank` of `world`; alone it is 0 of 1 and nothing is ever sent.

    What torchrun started speaks over torch.distributed: gloo, and nccl where each process has its own GPU.  Every
    method then raises LostProcessError when another process has died.
    """

    def __init__(self, started_by_torchrun: bool = False) -> None:
        self.rank, self.world, self.local_rank = 0, 1, 0
        self.has_own_gpu = False
        self._dist: Any = None
        if started_by_torchrun:
            self._meet()

    def _meet(self) -> None:
        import torch

        self.rank, self.world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.has_own_gpu = int(os.environ.get("LOCAL_WORLD_SIZE", self.world)) <= torch.cuda.device_count()
        if self.has_own_gpu:
            torch.cuda.set_device(self.local_rank)
        self._dist = torch.distributed
        try:
            self._dist.init_process_group("cpu:gloo,cuda:nccl" if self.has_own_gpu else "gloo")
            self._group = self._dist.new_group(backend="gloo", timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = f"the processes of the run do not find each other: {_first_line(error)}"
            raise LostProcessError(reason, advice="start all of them with torchrun") from None

    def split(self, items: Sequence[_T]) -> Sequence[_T]:
        """Return this process's share: every world-th item from its rank on, as DistributedSampler deals them out.

        Unlike there no item is dealt twice to make the shares equal.
        """
        return items[self.rank :: self.world]

    def exchange(self, own: _T) -> list[_T]:
        """Return what every process gave, by rank."""
        everyone: list[Any] = [own] * self.world
        self._speak(lambda: self._dist.all_gather_object(everyone, own, group=self._group))
        return everyone

    def gather(self, own: _T) -> list[_T]:
        """Return on rank 0 what every process gave, by rank, and elsewhere nothing."""
        everyone: list[Any] | None = [own] * self.world if self.rank == 0 else None
        self._speak(lambda: self._dist.gather_object(own, everyone, dst=0, group=self._group))
        return everyone or []

    def total(self, own: int) -> int:
        """Return the sum of every process's number; on GPUs it is nccl that adds."""
        if self._dist is None:
            return own
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
        self._speak(lambda: self._dist.destroy_process_group())

    def _speak(self, word: Callable[[], object]) -> None:
        """Say something to the others, if there are any."""
        if self._dist is None:
            return
        try:
            word()
        except RuntimeError:
            raise LostProcessError("another process of the run has died") from None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200]
