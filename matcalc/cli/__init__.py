"""The command line: the parser of all commands, answers to stdout, diagnostics to stderr, an exit code to trust.

Nothing heavy is imported at the top: `matcalc --help` and a syntax error answer at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matcalc.cli.arguments import Parser, paint, print_json
from matcalc.cli.check import add_check
from matcalc.cli.derive import add_derive
from matcalc.cli.explore import add_explore
from matcalc.cli.graph import add_graph
from matcalc.cli.rules import add_rules
from matcalc.cli.spelling import spell_out
from matcalc.cli.verify import add_verify
from matcalc.errors import MatcalcError

BAD_INPUT = 2
_INTERRUPTED = 130
PIPE_CLOSED = 141
_NOT_WRITTEN = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `matcalc` and return its exit code: 0 done or agrees, 1 differs, 2 bad input, 3 no check."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _survive_narrow_encodings()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    try:
        if sys.stdout is None:
            raise MatcalcError("there is nowhere to write the answer: stdout is closed")
        parser = build_parser()
        if "_ARGCOMPLETE" in os.environ:
            offer_completions(parser)
        options = parser.parse_args(spell_out(given, list_commands(parser)))
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except MatcalcError as error:
        return _refuse(error, as_json="--json" in given)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Stdout points at nothing from here on, or Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            return _report_bug(error, as_json="--json" in given)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _refuse(MatcalcError(f"the answer cannot be written: {error.strerror}"), as_json=False)
    except Exception as error:
        return _report_bug(error, as_json="--json" in given)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="matcalc",
        description="Derives matrix derivatives in the layout you ask for, each proven by torch, and judges yours.",
        epilog="exit codes: 0 done or agrees, 1 differs, 2 bad input, 3 could not check",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_derive, add_check, add_graph, add_explore, add_rules, add_verify):
        add(commands)
    return parser


def list_commands(parser: Parser) -> tuple[str, ...]:
    """Return the names of the commands of a parser."""
    return tuple(next(action.choices for action in parser._actions if isinstance(action.choices, dict)))


def offer_completions(parser: Parser) -> None:
    """Answer the shell that asks how a line goes on, where argcomplete is installed."""
    try:
        from argcomplete import autocomplete
    except ImportError:
        return
    autocomplete(parser)


class _PrintVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("matcalc-checker")
        except PackageNotFoundError:
            found = "(a checkout that is not installed)"
        print(f"matcalc {found}")
        parser.exit()


def _survive_narrow_encodings() -> None:
    """Let a terminal that cannot show a character show its number instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _refuse(error: MatcalcError, as_json: bool) -> int:
    """Print what is wrong with the input."""
    print(paint("error:", "error", sys.stderr), error, file=sys.stderr)
    if as_json and sys.stdout is not None:
        others = [{"reason": reason, "span": span} for reason, span in error.others]
        place = {"reason": error.reason, "span": error.span, "others": others}
        fields = {**place, "shapes": dict(error.shapes), "advice": error.advice}
        print_json({"error": {"kind": type(error).__name__, "message": str(error), **fields}})
    return BAD_INPUT


def _report_bug(error: Exception, as_json: bool) -> int:
    """Print one line about an error of our own, or its whole traceback where MATCALC_DEBUG is set."""
    if os.environ.get("MATCALC_DEBUG"):
        import traceback

        traceback.print_exception(error)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    message = f"internal error: {said}; please report it with the command that you typed"
    return _refuse(MatcalcError(message), as_json)
