"""What a run shows and writes: results as they come on stderr, JUnit XML for CI, and the table at the end."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from matcalc.check.report import AGREES, COULD_NOT_CHECK, DIFFERS
from matcalc.errors import DeclarationError
from matcalc.verify.run import Run
from matcalc.verify.tasks import Finding, Outcome, Task, count_stated, count_verdicts

_Show = Callable[[Task, Finding], None]


@contextmanager
def show_progress(run: Run) -> Iterator[_Show]:
    """Give the function to call with each result of a prepared run."""
    if run.taken and run.is_first:
        print(f"{run.taken} of {run.count} results taken over from the journal", file=sys.stderr)
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _write_line
    elif run.is_first:
        with _draw_bar(run) as show:
            yield show
    else:  # the processes of one machine share a terminal
        yield lambda task, finding: None


def _write_line(task: Task, finding: Finding) -> None:
    sys.stderr.write(f"{task.id}  {task.layout}  {finding['report']['verdict']}\n")
    sys.stderr.flush()


@contextmanager
def _draw_bar(run: Run) -> Iterator[_Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("checking", total=len(run.list_share()))
        yield lambda task, finding: progress.advance(bar)


# --- JUnit XML, as CI systems read it: a suite for each sheet, a test for each task -----------------

# The characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(outcomes: Sequence[Outcome], path: str | Path) -> None:
    """Write the outcomes: what differs is a failure, what could not be checked an error, for it proves nothing.

    Of what agrees the proof is told as the output of the test.

    Raises DeclarationError where the file cannot be written.
    """
    document: Any = JUnitXml("matcalc verify")
    for sheet, group in groupby(outcomes, key=lambda outcome: outcome.task.sheet):
        suite = TestSuite(_clean(Path(sheet).name))
        for outcome in group:
            suite.add_testcase(_build_case(outcome))
        document.add_testsuite(suite)
    document.update_statistics()
    try:
        document.write(str(path), pretty=True)
    except OSError as error:
        raise DeclarationError(f"{path} cannot be written: {error.strerror or error}") from None


def _build_case(outcome: Outcome) -> Any:
    case = TestCase(_clean(f"{outcome.task.id} [{outcome.task.layout}]"), _clean(Path(outcome.task.sheet).stem))
    kinds: dict[str, Any] = {DIFFERS: Failure, COULD_NOT_CHECK: Error}
    if outcome.verdict in kinds:
        result = kinds[outcome.verdict](_clean(" ".join(outcome.message.split())), outcome.verdict)
        result.text = _clean("\n".join(_list_lines(outcome)))
        case.result = [result]
    else:
        case.system_out = _clean(" ".join(outcome.message.split()))
    return case


def _list_lines(outcome: Outcome) -> Iterator[str]:
    """Give the task and what the report says of it, a field a line; a reader of CI pages wants no JSON."""
    task = outcome.task
    asked = {"expression": task.expr, "wrt": task.wrt, "order": task.order, "layout": task.layout, "claim": task.claim}
    for name, value in (asked | outcome.report).items():
        if value not in (None, "", [], {}):
            yield f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)


# --- the table at the end and the line that counts the outcomes --------------------------------------

MOST_ROWS = 40
_WIDTH = 120  # where there is no terminal that has one
_STYLES: dict[str, str] = {AGREES: "green", DIFFERS: "red", COULD_NOT_CHECK: "yellow"}


def print_table(outcomes: Sequence[Outcome], show_all: bool = False) -> None:
    """Print a row for each outcome, of more than 40 only for what needs a look, and the counts."""
    shown = outcomes
    if not show_all and len(outcomes) > MOST_ROWS:
        shown = [one for one in outcomes if one.verdict != AGREES or one.is_as_stated is False]
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    with console.capture() as written:
        if shown:
            console.print(_build_table(shown, len({outcome.task.sheet for outcome in outcomes}) > 1))
        console.print(Text(write_counts(outcomes)))
        if len(shown) < len(outcomes):
            console.print(Text(f"not shown: {len(outcomes) - len(shown)} that agree; --all shows them"))
    print("\n".join(line.rstrip() for line in written.get().splitlines()))


def write_counts(outcomes: Sequence[Outcome]) -> str:
    """Return how often each verdict was given, and how often it is the one that the sheet states."""
    counts = ", ".join(f"{verdict}: {count}" for verdict, count in count_verdicts(outcomes).items())
    right, stated = count_stated(outcomes)
    return f"{counts}; {right} of {stated} as stated in the sheet" if stated else counts


def _build_table(outcomes: Sequence[Outcome], several_sheets: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    if several_sheets:
        table.add_column("sheet", overflow="fold")
    table.add_column("id", overflow="fold")
    table.add_column("layout")
    table.add_column("verdict")
    table.add_column("found", ratio=1, overflow="fold")
    for outcome in outcomes:
        task, verdict = outcome.task, Text(outcome.verdict, style=_STYLES[outcome.verdict])
        if outcome.is_as_stated is False:
            verdict.append(f"\nstated: {task.expected}", style="bold")
        sheet = [Text(Path(task.sheet).name)] if several_sheets else []
        table.add_row(*sheet, Text(task.id), Text(task.layout), verdict, Text(outcome.message))
    return table
