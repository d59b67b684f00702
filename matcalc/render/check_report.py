"""The report on a claim as text: for the command, and for a test that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from matcalc.check.report import CheckReport


def write_check_report(report: CheckReport, paint: Callable[[str], str] = str) -> str:
    """Return the verdict, coloured by `paint`, what is wrong with the claim, and the points at which it was tried.

    >>> print(write_check_report(CheckReport("could not check", message="could not check: torch is not installed")))
    could not check: torch is not installed
    """
    rows = list(_list_rows(report))
    width = max((len(name) for name, _ in rows), default=0)
    body = [f"  {name:{width}}  {text}".replace("\n", f"\n{'':{width + 4}}") for name, text in rows]
    told = report.message.removeprefix(report.verdict)
    gap = ": " if told == report.message else ""
    return "\n".join([paint(report.verdict) + gap + told, *body])


def _list_rows(report: CheckReport) -> Iterator[tuple[str, str]]:
    if report.verdict == "differs":
        if report.correct:
            yield "derivative", f"{report.correct}        {report.layout} layout"
        yield "reasons", ", ".join(report.reasons)
        if report.worst:
            yield "worst", f"{report.worst.entry} {report.worst.numbers}"
    if report.domains:
        yield "points", _write_points(report)
    yield from (("note", note) for note in report.notes)
    if report.command:
        yield "repeat", report.command


def _write_points(report: CheckReport) -> str:
    """Return how many points there were, the sizes at the worst of them, and where the values came from."""
    sizes = ", ".join(f"{letter} = {number}" for letter, number in report.sizes.items())
    domains = ", ".join(f"{name} {domain}" for name, domain in report.domains.items())
    return "; ".join(filter(None, [f"{report.points} with seed {report.seed}", sizes, domains]))
