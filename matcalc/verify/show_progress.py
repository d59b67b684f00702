"""Results as they come, on stderr: a bar on a terminal, elsewhere one plain line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from matcalc.verify.judge_task import Finding
from matcalc.verify.run import Run
from matcalc.verify.tasks import Task

Show = Callable[[Task, Finding], None]


@contextmanager
def show_progress(run: Run) -> Iterator[Show]:
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
def _draw_bar(run: Run) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("checking", total=len(run.list_share()))
        yield lambda task, finding: progress.advance(bar)
