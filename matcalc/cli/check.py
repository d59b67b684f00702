"""The command `matcalc check`: a formula that somebody claims is judged, and if it is wrong, what is wrong with it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from matcalc.check.report import CheckReport
from matcalc.claim import check
from matcalc.cli.arguments import (
    EXIT_CODES,
    JSON_VERSION,
    add_device,
    add_expression_options,
    add_meaning,
    add_proof,
    add_proof_options,
    add_strict,
    paint,
    print_json,
    read_declared,
    read_expression,
    read_proof_settings,
)
from matcalc.render.check_report import write_check_report


def add_check(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("check", help="say whether your own formula is right", prog="matcalc check")
    add_expression_options(parser)
    add = parser.add_argument
    add("--claim", required=True, metavar="FORMULA", type=str.strip, help="the derivative as you have it")
    add("--rtol", type=float, metavar="R", help="how far off it may be, relative to the largest entry")
    add("--atol", type=float, metavar="A", help="how far off it may be")
    add("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}")
    add_meaning(parser)
    add_strict(parser)
    add_proof(parser)
    add_proof_options(parser)
    add_device(parser)
    parser.set_defaults(run=check_claim)


def check_claim(options: argparse.Namespace) -> int:
    """Judge the claim, print the verdict and what is wrong with it, and return the exit code."""
    settings = read_declared(options) | read_proof_settings(options)
    settings |= {"rtol": options.rtol, "atol": options.atol, "strict": options.strict}
    report = check(read_expression(options.expression), options.claim, options.wrt, **settings)
    if options.json:
        print_json({"check": report.to_dict()})
    else:
        print(_write_report(report))
    return EXIT_CODES[report.verdict]


def _write_report(report: CheckReport) -> str:
    """Return what the names were taken for, and the report below it."""
    told = write_check_report(report, lambda verdict: paint(verdict, verdict, sys.stdout))
    return f"{_write_variables(report)}\n\n{told}"


def _write_variables(report: CheckReport) -> str:
    """Return the line that echoes what each name was taken for."""
    shapes = {name: ", ".join(shape) + ("," if len(shape) == 1 else "") for name, shape in report.variables.items()}
    return "   ".join(f"{name}: ({shape})" if shape else f"{name}: scalar" for name, shape in shapes.items())
