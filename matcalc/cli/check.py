"""The command `matcalc check`: a formula that somebody claims is judged, and if it is wrong, what is wrong with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from matcalc.check.report import CheckReport
from matcalc.claim import check
from matcalc.cli.arguments import (
    EXIT_CODES,
    JSON_VERSION,
    add_device,
    add_expression_options,
    add_proof,
    add_proof_options,
    paint,
    print_json,
    read_declared,
    read_expression,
    read_proof_settings,
)


def add_check(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("check", help="say whether your own formula is right", prog="matcalc check")
    add_expression_options(parser)
    add = parser.add_argument
    add("--claim", required=True, metavar="FORMULA", type=str.strip, help="the derivative as you have it")
    add("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}")
    add_proof(parser)
    add_proof_options(parser)
    add_device(parser)
    parser.set_defaults(run=check_claim)


def check_claim(options: argparse.Namespace) -> int:
    """Judge the claim, print the verdict and what is wrong with it, and return the exit code."""
    settings = read_declared(options) | read_proof_settings(options)
    report = check(read_expression(options.expression), options.claim, options.wrt, **settings)
    if options.json:
        print_json({"check": report.to_dict()})
    else:
        print(_write_report(report))
    return EXIT_CODES[report.verdict]


def _write_report(report: CheckReport) -> str:
    """Return the verdict, what is wrong with the claim, and the points at which it was tried."""
    head = paint(report.verdict, report.verdict, sys.stdout)
    rows = list(_list_rows(report))
    width = max((len(name) for name, _ in rows), default=0)
    body = [f"  {name:{width}}  {text}".replace("\n", f"\n{'':{width + 4}}") for name, text in rows]
    told = report.message.removeprefix(report.verdict)
    gap = ": " if told == report.message else ""
    return "\n".join([_write_variables(report), "", head + gap + told, *body])


def _write_variables(report: CheckReport) -> str:
    """Return the line that echoes what each name was taken for."""
    shapes = {name: ", ".join(shape) + ("," if len(shape) == 1 else "") for name, shape in report.variables.items()}
    return "   ".join(f"{name}: ({shape})" if shape else f"{name}: scalar" for name, shape in shapes.items())


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
