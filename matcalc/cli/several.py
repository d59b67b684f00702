"""The command `matcalc derive` with several variables: each answer with its proof, the worst verdict as exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from matcalc.check.report import find_worst
from matcalc.cli.arguments import EXIT_CODES, paint, print_json

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import BlockHessian, Derivative, Derivatives


def answer_several(answer: Derivatives | BlockHessian, options: argparse.Namespace) -> int:
    """Print all derivatives, each with its verdict, and return the exit code of the worst one."""
    if not options.json and not options.latex:
        print(answer.write_head(), flush=True)
    reports = []
    for derivative in answer.values():
        if not options.json:
            _print_one(derivative, options)
        reports.append(prove(derivative, options))
        if reports[-1] is not None and not options.json:
            print_verdict(reports[-1], options)
    if options.json:
        pairs = zip(answer.values(), reports, strict=True)
        print_json({
            "derivatives": [{"derivative": one.to_dict(), "check": told.to_dict() if told else None}
                            for one, told in pairs]
        })  # fmt: skip
    return _choose_code(reports)


def prove(derivative: Derivative, options: argparse.Namespace) -> CheckReport | None:
    """Return the proof that the options ask for, None where they ask for none."""
    if options.no_check or options.proof == "none":
        return None
    return derivative.check(options.trials, options.seed, options.dtype, options.device, options.proof)


def _print_one(derivative: Derivative, options: argparse.Namespace) -> None:
    if options.latex:
        print(f"% {derivative.header}\n{derivative.latex()}", flush=True)
    else:
        print(f"\n{derivative.report().removeprefix(derivative.declaration).lstrip()}", flush=True)


def print_verdict(report: CheckReport, options: argparse.Namespace) -> None:
    """Print the verdict on its own line, as a comment where LaTeX or code stands before it."""
    comment = "% " if options.latex else "# " if options.code else ""
    line = f"check   {report.message}"
    print(f"{comment}{line}" if comment else f"\n{paint(line, report.verdict, sys.stdout)}", flush=True)


def _choose_code(reports: list[CheckReport | None]) -> int:
    """0 where nothing was checked or all agrees, else the code of the worst verdict."""
    return EXIT_CODES[find_worst(report.verdict for report in reports if report is not None)]
