"""Outcomes -> the table at the end and the line that counts them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matcalc.check.report import AGREES, COULD_NOT_CHECK, DIFFERS
from matcalc.verify.outcome import Outcome, count_stated, count_verdicts

MOST_ROWS = 40
WIDTH = 120  # where there is no terminal that has one
_STYLES = {AGREES: "green", DIFFERS: "red", COULD_NOT_CHECK: "yellow"}


def print_table(outcomes: Sequence[Outcome], show_all: bool = False) -> None:
    """Print a row for each outcome, of more than 40 only for what needs a look, and the counts."""
    shown = outcomes if show_all or len(outcomes) <= MOST_ROWS else [one for one in outcomes if _needs_look(one)]
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
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


def _needs_look(outcome: Outcome) -> bool:
    return outcome.verdict != AGREES or outcome.is_as_stated is False


def _build_table(outcomes: Sequence[Outcome], several_sheets: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    if several_sheets:
        table.add_column("sheet", overflow="fold")
    table.add_column("id", overflow="fold")
    table.add_column("layout")
    table.add_column("verdict")
    table.add_column("found", ratio=1, overflow="fold")
    for outcome in outcomes:
        sheet = [Text(Path(outcome.task.sheet).name)] if several_sheets else []
        table.add_row(*sheet, Text(outcome.task.id), Text(outcome.task.layout), _write_verdict(outcome),
                      Text(outcome.message))  # fmt: skip
    return table


def _write_verdict(outcome: Outcome) -> Text:
    text = Text(outcome.verdict, style=_STYLES[outcome.verdict])
    if outcome.is_as_stated is False:
        text.append(f"\nstated: {outcome.task.expected}", style="bold")
    return text
