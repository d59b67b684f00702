"""Entries -> tasks: one formula in one layout each, with a key that says whether it was done before."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matcalc.check.report import list_versions
from matcalc.errors import RuleError
from matcalc.verify.read_sheet import Entry


@dataclass(frozen=True)
class Settings:
    """How every task of a run is judged; `timeout` is in seconds, `memory` in GiB, and `device` None is left open."""

    layout: str = "numerator"
    trials: int = 3
    seed: int = 0
    dtype: str = "float64"
    device: str | None = None
    timeout: float = 60.0
    memory: float = 4.0
    rules: tuple[str, ...] = ()
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


def list_tasks(entries: Iterable[Entry], layout: str) -> list[Task]:
    """Return the tasks of the entries: one for each formula given, else one derivation in `layout`.

    An id may stand more than once; the second task of one sheet, id and layout is called id#2, and so on.

    >>> [(task.id, task.layout) for task in list_tasks([Entry("a.toml", "ax", "A@x", claim="A")] * 2, "numerator")]
    [('ax', 'numerator'), ('ax#2', 'numerator')]
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    tasks = []
    for task in (task for entry in entries for task in _split_entry(entry, layout)):
        seen[place := (task.sheet, task.id, task.layout)] += 1
        tasks.append(task if seen[place] == 1 else replace(task, id=f"{task.id}#{seen[place]}"))
    return tasks


def _split_entry(entry: Entry, layout: str) -> list[Task]:
    asked = entry.layout or layout
    claims: list[tuple[str, str | None]] = [(asked, entry.claim)] if entry.claim else []
    claims += entry.forms.items()
    return [
        Task(entry.sheet, entry.id, where, entry.expr, entry.wrt, entry.shapes, entry.assume, entry.order, claim,
             entry.expected)
        for where, claim in claims or [(asked, None)]
    ]  # fmt: skip


def find_keys(tasks: Sequence[Task], settings: Settings) -> list[str]:
    """Return a digest for each task of all that its result depends on: its content, the settings, the versions.

    The limits on time and memory are not in it: they decide only what becomes of a task that reaches them.
    Raises RuleError where a file of rules cannot be read.
    """
    assert settings.device is not None
    common = [
        settings.trials, settings.seed, settings.dtype, settings.device.split(":")[0], list_versions(),
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
