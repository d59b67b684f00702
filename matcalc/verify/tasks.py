"""Entries -> tasks, one formula in one layout each with a key, and what becomes of a task whatever happens."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matcalc.check.report import COULD_NOT_CHECK, CheckReport, could_not_check, list_versions
from matcalc.claim import check
from matcalc.derivation import Derivative, derive
from matcalc.errors import DeclarationError, MatcalcError, RuleError
from matcalc.verify.read_sheet import VERDICTS, SheetEntry


@dataclass(frozen=True)
class RunSettings:
    """How every task of a run is judged; `timeout` is in seconds, `memory` in GiB, and `device` None is left open."""

    layout: str = "numerator"
    trials: int = 3
    seed: int = 0
    dtype: str = "float64"
    device: str | None = None
    timeout: float = 60.0
    memory: float = 4.0
    rules: tuple[str, ...] = ()
    strict: bool = False
    local_rank: int = 0

    @property
    def limits(self) -> list[float]:
        """What a task may use at most: a task that was stopped may succeed under others."""
        return [self.timeout, self.memory]


@dataclass(frozen=True)
class Task:
    """One thing to judge: a claimed formula in a layout, or, without one, the derivative that matcalc derives."""

    sheet: str
    id: str
    layout: str
    expr: str
    wrt: str | None
    shapes: Any
    assume: Any
    order: int
    claim: str | None
    expected: str | None
    meaning: str = "free"
    strict: bool = False


def list_tasks(entries: Iterable[SheetEntry], layout: str) -> list[Task]:
    """Return the tasks of the entries: one for each formula given, else one derivation in `layout`.

    An id may stand more than once; the second task of one sheet, id and layout is called id#2, and so on.

    >>> [(task.id, task.layout) for task in list_tasks([SheetEntry("a.toml", "ax", "A@x", claim="A")] * 2, "numerator")]
    [('ax', 'numerator'), ('ax#2', 'numerator')]
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    tasks = []
    for task in (task for entry in entries for task in _split_entry(entry, layout)):
        seen[place := (task.sheet, task.id, task.layout)] += 1
        tasks.append(task if seen[place] == 1 else replace(task, id=f"{task.id}#{seen[place]}"))
    return tasks


def _split_entry(entry: SheetEntry, layout: str) -> list[Task]:
    asked = entry.layout or layout
    claims: list[tuple[str, str | None]] = [(asked, entry.claim)] if entry.claim else []
    claims += entry.forms.items()
    return [
        Task(entry.sheet, entry.id, where, entry.expr, entry.wrt, entry.shapes, entry.assume, entry.order, claim,
             entry.expected, entry.meaning, entry.strict)
        for where, claim in claims or [(asked, None)]
    ]  # fmt: skip


def find_keys(tasks: Sequence[Task], settings: RunSettings) -> list[str]:
    """Return a digest for each task of all that its result depends on: its content, the settings, the versions.

    The limits on time and memory are not in it: they decide only what becomes of a task that reaches them.
    Raises RuleError where a file of rules cannot be read.
    """
    assert settings.device is not None
    common = [
        settings.trials, settings.seed, settings.dtype, settings.device.split(":")[0], settings.strict, list_versions(),
        [_digest_file(path) for path in settings.rules],
    ]  # fmt: skip
    return [_digest(json.dumps([_describe(task), *common], sort_keys=True, default=str).encode()) for task in tasks]


def _describe(task: Task) -> dict[str, Any]:
    """Say what is judged; neither the folder of the sheet nor the stated verdict changes the result."""
    return {**vars(task), "sheet": Path(task.sheet).name, "expected": None}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _digest_file(path: str) -> str:
    try:
        return _digest(Path(path).read_bytes())
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror or error}") from None


# --- task -> finding, whatever happens ------------------------------------------------------------


Finding = dict[str, Any]
"""{"report": a report as plain data, "limits": None, or the limits on time and memory of which one made it}."""

# What torch, NumPy and the C++ library say where memory runs out.
_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "bad_alloc", "out of memory", "unable to allocate")


def judge_task(task: Task, settings: RunSettings) -> Finding:
    """Return what the judge finds of a task; an error is a verdict, not the end of the run."""
    lack = f"it needs more than the {settings.memory:g} GiB of memory that --memory allows"
    if str(settings.device).startswith("cuda"):
        lack = f"the memory of the device {settings.device} does not suffice"
    try:
        report = _judge(task, settings)
    except MemoryError:
        return stop_task(task, settings, lack)
    except MatcalcError as error:
        report = _give_up(task, settings, "; ".join(filter(None, (error.reason, error.advice))))
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        report = _give_up(task, settings, f"internal error: {said}; please report it with this entry")
    if report.verdict == COULD_NOT_CHECK and any(words in report.message.lower() for words in _OUT_OF_MEMORY):
        return stop_task(task, settings, lack)
    return {"report": report.to_dict(), "limits": None}


def stop_task(task: Task, settings: RunSettings, reason: str) -> Finding:
    """Return the finding of a task that reached a limit."""
    return {"report": _give_up(task, settings, reason).to_dict(), "limits": settings.limits}


def _judge(task: Task, settings: RunSettings) -> CheckReport:
    how: dict[str, Any] = {name: getattr(settings, name) for name in ("trials", "seed", "dtype", "device")}
    what: dict[str, Any] = {name: getattr(task, name) for name in ("layout", "shapes", "assume", "order", "meaning")}
    if task.claim is None:
        derivative = derive(task.expr, task.wrt, **what)
        if not isinstance(derivative, Derivative):
            reason = "an entry of a sheet is derived by one variable"
            raise DeclarationError(reason, advice="write an entry for each variable")
        report = replace(derivative.check(**how), correct=str(derivative))
    else:
        strict = task.strict or settings.strict
        report = check(task.expr, task.claim, task.wrt, **what, **how, strict=strict)
    rules = [word for path in settings.rules for word in ("--rules", path)]  # they are in force here, each proven once
    return replace(report, command=f"{report.command} {shlex.join(rules)}") if rules else report


def _give_up(task: Task, settings: RunSettings, reason: str) -> CheckReport:
    assert settings.device is not None
    return could_not_check(
        reason, seed=settings.seed, layout=task.layout, dtype=settings.dtype, device=settings.device
    )


# --- what became of a task, and of all of them together -------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """A task and the report on it, as plain data."""

    task: Task
    report: dict[str, Any]

    @property
    def verdict(self) -> str:
        """agrees, differs, or could not check."""
        return str(self.report["verdict"])

    @property
    def message(self) -> str:
        """The judge's sentence, without the verdict in front of it."""
        message = str(self.report["message"])
        return message.removeprefix(self.verdict).lstrip(":. ") or message

    @property
    def is_as_stated(self) -> bool | None:
        """Whether the verdict is the one that the sheet states; None where it states none."""
        return None if self.task.expected is None else self.task.expected == self.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data for JSON."""
        task = self.task
        stated = {} if task.expected is None else {"expected": task.expected, "as_stated": self.is_as_stated}
        return {
            "sheet": task.sheet, "id": task.id, "expression": task.expr, "wrt": task.wrt, "order": task.order,
            "layout": task.layout, "claim": task.claim, "verdict": self.verdict, **stated, "report": self.report,
        }  # fmt: skip


def count_verdicts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how often each verdict was given, the three always in the same order."""
    counted = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def count_stated(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """Return how many verdicts are those that the sheets state, and how many the sheets state."""
    stated = [outcome.is_as_stated for outcome in outcomes if outcome.is_as_stated is not None]
    return sum(stated), len(stated)
