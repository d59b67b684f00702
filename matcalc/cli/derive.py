"""The command `matcalc derive`: each derivative with its proof, and the worst verdict as exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from textwrap import indent
from typing import Any

from matcalc.check.report import CheckReport, find_worst
from matcalc.cli.arguments import (
    EXIT_CODES,
    JSON_VERSION,
    UsageError,
    add_device,
    add_expression_options,
    add_meaning,
    add_proof,
    add_proof_options,
    paint,
    print_json,
    read_declared,
    read_expression,
    read_proof_settings,
)
from matcalc.derivation import Derivative, derive

_BACKENDS = ("numpy", "torch", "jax", "autograd")


def add_derive(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("derive", help="derive an expression and prove the answer", prog="matcalc derive")
    add_expression_options(parser, several=True)
    add_meaning(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}")
    shown.add_argument("--latex", action="store_true", help="the derivative as LaTeX")
    shown.add_argument("--unicode", action="store_true", help="the derivative in the signs of mathematics")
    shown.add_argument("--steps", action="store_true", help="the derivation and the chain rule, step by step")
    shown.add_argument("--code", metavar="FOR", choices=_BACKENDS, help="Python source: numpy, torch, jax or autograd")
    parser.add_argument("--no-check", action="store_true", help="skip the proof")
    add_proof(parser)
    add_proof_options(parser)
    add_device(parser)
    parser.set_defaults(run=show_derivatives)


def show_derivatives(options: argparse.Namespace) -> int:
    """Print one derivative or several, each with its verdict, and return the exit code of the worst one."""
    answer: Any = derive(read_expression(options.expression), options.wrt, **read_declared(options))
    several = isinstance(answer, Mapping)
    if several and (options.steps or options.code or options.unicode):
        reason = "--steps, --code and --unicode are of one derivative"
        raise UsageError(reason, advice="name one variable with --wrt")
    if several and not options.json and not options.latex:
        print(answer.write_head(), flush=True)
    is_unasked = options.no_check or options.proof == "none"
    reports: list[CheckReport | None] = []
    derivatives: list[Derivative] = list(answer.values()) if several else [answer]
    for derivative in derivatives:
        if not options.json:
            print(_write_one_of_several(derivative, options) if several else _write(derivative, options), flush=True)
        reports.append(None if is_unasked else derivative.check(**read_proof_settings(options)))
        if reports[-1] is not None and not options.json:
            _print_verdict(reports[-1], options)
    if options.json:
        found = [
            {"derivative": derivative.to_dict(), "check": None if report is None else report.to_dict()}
            for derivative, report in zip(derivatives, reports, strict=True)
        ]
        print_json({"derivatives": found} if several else found[0])
    return EXIT_CODES[find_worst(report.verdict for report in reports if report is not None)]


def _write(derivative: Derivative, options: argparse.Namespace) -> str:
    if options.latex:
        return derivative.latex()
    if options.unicode:
        return derivative.unicode()
    if options.code:
        return derivative.autograd_function() if options.code == "autograd" else derivative.code(options.code)
    return _write_steps(derivative) if options.steps else derivative.report()


def _write_steps(derivative: Derivative) -> str:
    """Return the answer, the steps that lead to it, and of the first order the chain rule with shapes."""
    parts = [derivative.report(), "steps\n" + indent(derivative.write_steps(), "  ")]
    if derivative.order == 1:
        parts.append("chain rule\n" + indent(str(derivative.chain()), "  "))
    return "\n\n".join(parts)


def _write_one_of_several(derivative: Derivative, options: argparse.Namespace) -> str:
    """Return the derivative without the line on the names, which all have in common."""
    if options.latex:
        return f"% {derivative.header}\n{derivative.latex()}"
    return f"\n{derivative.report().removeprefix(derivative.declaration).lstrip()}"


def _print_verdict(report: CheckReport, options: argparse.Namespace) -> None:
    """Print the verdict on its own line, as a comment where LaTeX or code stands before it."""
    comment = "% " if options.latex else "# " if options.code else ""
    line = f"check   {report.message}"
    print(f"{comment}{line}" if comment else f"\n{paint(line, report.verdict, sys.stdout)}", flush=True)
