"""What became of a task, and of all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matcalc.verify.judge_task import Finding
from matcalc.verify.read_sheet import VERDICTS
from matcalc.verify.tasks import Task


@dataclass(frozen=True)
class Outcome:
    """A task and the report on it, as plain data."""

    task: Task
    report: dict[str, Any]

    @classmethod
    def of(cls, task: Task, finding: Finding) -> Outcome:
        """Return the outcome of a finding."""
        return cls(task, finding["report"])

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
