"""The command derive, and the parser of all commands: answers to stdout, diagnostics to stderr, an exit code to trust.

Nothing heavy is imported at the top: `matcalc --help` and a syntax error answer at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

from matcalc.cli.arguments import (
    EXIT_CODES,
    JSON_VERSION,
    Parser,
    UsageError,
    add_device,
    add_expression_options,
    add_proof,
    add_proof_options,
    paint,
    print_json,
    read_declared,
    read_expression,
)
from matcalc.cli.check import add_check
from matcalc.cli.explore import add_explore
from matcalc.cli.graph import add_graph
from matcalc.cli.rules import check_rules, print_rules, show_rules
from matcalc.cli.several import answer_several, print_verdict, prove
from matcalc.cli.verify import add_verify
from matcalc.errors import MatcalcError

if TYPE_CHECKING:
    from matcalc.derivation import BlockHessian, Derivative, Derivatives


_BACKENDS = ("numpy", "torch", "jax", "autograd")
BAD_INPUT = 2
_INTERRUPTED = 130
PIPE_CLOSED = 141


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done or agrees, 1 differs, 2 bad input, 3 could not check."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _survive_narrow_encodings()
    try:
        options = _build_parser().parse_args(_keep_minus_expressions(given))
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except MatcalcError as error:
        return _refuse(error, as_json="--json" in given)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _leave_closed_pipe()
    except Exception as error:
        return _report_bug(error, as_json="--json" in given)


# --- arguments ------------------------------------------------------------------------------------


def _keep_minus_expressions(arguments: list[str]) -> list[str]:
    """Shield "-x" with a space, so that it is read as an expression; matcalc has no options of one dash."""
    asked = ["--help" if argument == "-h" else argument for argument in arguments]
    return [f" {argument}" if re.match(r"-[^-]", argument) else argument for argument in asked]


def _build_parser() -> Parser:
    parser = Parser(
        prog="matcalc",
        description="Derives matrix derivatives in the layout you ask for, each proven by torch, and judges yours.",
        epilog="exit codes: 0 done or agrees, 1 differs, 2 bad input, 3 could not check",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_derive(commands)
    add_check(commands)
    add_graph(commands)
    add_explore(commands)
    _add_rules(commands)
    add_verify(commands)
    return parser


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


def _add_derive(commands: Any) -> None:
    parser = commands.add_parser("derive", help="derive an expression and prove the answer", prog="matcalc derive")
    add = parser.add_argument
    add_expression_options(parser, several=True)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}")
    shown.add_argument("--latex", action="store_true", help="the derivative as LaTeX")
    shown.add_argument("--unicode", action="store_true", help="the derivative in the signs of mathematics")
    shown.add_argument("--steps", action="store_true", help="the derivation and the chain rule, step by step")
    shown.add_argument("--code", metavar="FOR", choices=_BACKENDS, help="Python source: numpy, torch, jax or autograd")
    add("--no-check", action="store_true", help="skip the proof")
    add_proof(parser)
    add_proof_options(parser)
    add_device(parser)
    parser.set_defaults(run=_derive)


def _add_rules(commands: Any) -> None:
    parser = commands.add_parser("rules", help="list, show or prove the rules", prog="matcalc rules")
    parser.set_defaults(run=print_rules)
    _add_rule_options(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    show = actions.add_parser("show", help="one rule in full", prog="matcalc rules show")
    show.add_argument("name", metavar="NAME", type=str.strip)
    show.set_defaults(run=show_rules)
    check = actions.add_parser("check", help="prove the shipped rules, or those of --rules", prog="matcalc rules check")
    check.set_defaults(run=check_rules)
    add_proof_options(check)
    for action in (show, check):
        _add_rule_options(action, default=argparse.SUPPRESS)


def _add_rule_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add the options that stand before or after the action; a suppressed default keeps what stood before."""
    parser.add_argument("--rules", action="append", default=default, metavar="FILE", help="your own rules as well")
    parser.add_argument(
        "--json", action="store_true", default=default or False, help=f"one JSON object, version {JSON_VERSION}"
    )


# --- derive ---------------------------------------------------------------------------------------


def _derive(options: argparse.Namespace) -> int:
    derivative = _derive_expression(options)
    if isinstance(derivative, Mapping):
        if options.steps or options.code or options.unicode:
            reason = "--steps, --code and --unicode are of one derivative"
            raise UsageError(reason, advice="name one variable with --wrt")
        return answer_several(derivative, options)
    if options.json:
        return _answer_json(derivative, options)
    print(_write_answer(derivative, options), flush=True)
    report = prove(derivative, options)
    if report is None:
        return 0
    print_verdict(report, options)
    return EXIT_CODES[report.verdict]


def _write_answer(derivative: Derivative, options: argparse.Namespace) -> str:
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


def _derive_expression(options: argparse.Namespace) -> Derivative | Derivatives | BlockHessian:
    from matcalc.derivation import derive

    answer: Derivative | Derivatives | BlockHessian = derive(
        read_expression(options.expression), options.wrt, **read_declared(options)
    )
    return answer


def _answer_json(derivative: Derivative, options: argparse.Namespace) -> int:
    report = prove(derivative, options)
    print_json({"derivative": derivative.to_dict(), "check": report.to_dict() if report else None})
    return EXIT_CODES[report.verdict] if report else 0


# --- errors ---------------------------------------------------------------------------------------


def _refuse(error: MatcalcError, as_json: bool) -> int:
    """Print what is wrong with the input."""
    print(paint("error:", "error", sys.stderr), error, file=sys.stderr)
    if as_json:
        fields = {"reason": error.reason, "span": error.span, "shapes": dict(error.shapes), "advice": error.advice}
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


def _leave_closed_pipe() -> int:
    """Point stdout at nothing, or Python would complain once more at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED


def _survive_narrow_encodings() -> None:
    """Let a terminal that cannot show a character show its number instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
