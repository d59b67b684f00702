"""Reports on a hand-written backward pass and on data-parallel training as pages for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matcalc.render.html_parts import (
    escape,
    fold,
    write_card,
    write_code,
    write_note,
    write_table,
    write_told,
    write_verdict,
)  # fmt: skip
from matcalc.render.report_html import write_check_body

if TYPE_CHECKING:
    from matcalc.backward import BackwardReport
    from matcalc.check.data_parallel.question import DataParallelReport
    from matcalc.check.report import CheckReport


def write_backward_html(report: BackwardReport) -> str:
    """Return the page of a backward pass: a row for the value and for each input, and the page of each in a fold."""
    parts = {"forward": report.forward, **report.inputs}
    head = f"<p>{write_verdict(report.verdict)}</p>" + write_part_table(parts)
    return write_card(head, "".join(map(write_note, report.notes)), _fold_parts(parts))


def write_data_parallel_html(report: DataParallelReport) -> str:
    """Return the page of a data-parallel check: what was found, and a row for each parameter."""
    told = f"<p>{escape(_tell_shares(report))}</p>" + "".join(map(write_note, report.notes))
    table = write_part_table(report.parameters) if report.parameters else ""
    command = fold("repeat this check", write_code(report.command)) if report.command else ""
    return write_card(
        write_told(report.verdict, report.message), table, told, _fold_parts(report.parameters), command
    )


def _tell_shares(report: DataParallelReport) -> str:
    shares = f", each with {report.batch}/{report.processes} samples" if report.batch else ""
    return f"{report.processes} processes{shares}"


def write_part_table(parts: Mapping[str, CheckReport]) -> str:
    """Return a row for each part: its name, its verdict, what was found and, where it differs, what it should be."""
    rows = [[f"<b>{escape(name)}</b>", write_verdict(one.verdict), _tell(one)] for name, one in parts.items()]
    return f'<div class="mc-wide">{write_table([], rows)}</div>'


def _tell(report: CheckReport) -> str:
    told = escape(report.message.removeprefix(report.verdict).lstrip(" .:"))
    if report.verdict == "differs" and report.correct:
        told += f"<br>It should be {write_code(report.correct)}"
    return told


def _fold_parts(parts: Mapping[str, CheckReport]) -> str:
    return "".join(fold(escape(name), write_check_body(one)) for name, one in parts.items())
