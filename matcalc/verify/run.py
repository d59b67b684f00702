"""Sheets -> outcomes: read, taken over from a journal, judged, and brought together on rank 0."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from matcalc.errors import DeclarationError, MatcalcError
from matcalc.verify.journal import Journal
from matcalc.verify.judge_task import Finding
from matcalc.verify.keeper import Keeper, LostProcessError
from matcalc.verify.outcome import Outcome
from matcalc.verify.ranks import Ranks, TorchRanks, find_rank
from matcalc.verify.read_sheet import read_sheet
from matcalc.verify.tasks import Settings, Task, find_keys, list_tasks

Findings = dict[str, Finding]
Show = Callable[[Task, Finding], None]


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
        self, sheets: Sequence[str | Path], settings: Settings, journal: str | Path, resume: bool = False
    ) -> None:
        self.settings = settings
        self.rank = find_rank()
        self.journal = Journal(journal, self.rank)
        self.plan = Plan()
        self.taken = self.done = 0
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
            keeper = self._open.enter_context(Keeper())
            self._ranks = TorchRanks()
        device = self.settings.device or ("cuda" if self._ranks.has_own_gpu else "cpu")
        self.settings = replace(self.settings, device=device, local_rank=self._ranks.local_rank)
        self.plan = self._agree_on_plan()
        self.taken = len(self.plan.found)
        self._keeper = keeper or self._open.enter_context(Keeper())

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

    def judge(self, show: Show) -> list[Outcome]:
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
        return [Outcome.of(task, found[key]) for key, task in zip(self.plan.keys, self.plan.tasks, strict=True)]

    def _judge_share(self, show: Show) -> tuple[Findings, MatcalcError | None]:
        tasks = dict(zip(self.plan.keys, self.plan.tasks, strict=True))
        share, own = self.list_share(), {}
        findings = self._keeper.find([tasks[key] for key in share], self.settings)
        try:
            for key, finding in zip(share, findings, strict=True):
                self.journal.add(key, finding)
                own[key] = finding
                self.done += 1
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
