"""The magics %matcalc and %%matcalc: in one line, or one cell, what the command does in a shell."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from matcalc.claim import check
from matcalc.cli.arguments import (
    Parser,
    UsageError,
    add_declarations,
    add_derivative_options,
    add_device,
    add_meaning,
    add_proof,
    add_proof_options,
    add_strict,
    build_graph,
    read_declared,
    read_proof_settings,
    read_sizes,
)
from matcalc.derivation import derive
from matcalc.engine.layout import LAYOUTS
from matcalc.notebook.exploration import FIRST_EXPRESSION, explore_state
from matcalc.rule_files import shipped_rules

HELP = """\
%matcalc A @ x --layout denominator           derives; the expression needs no quotes
%matcalc check x.T @ A @ x --claim 2*A @ x    judges your own formula
%matcalc graph norm(A@x - b)**2               draws the computation graph
%matcalc explore A @ x                        opens the explorer
%matcalc derive --help                        lists the options; so do check, graph and explore --help

%%matcalc --layout denominator                in a cell: definitions line by line, the formula last;
p = softmax(x)                                # a comment
diag(p) - p @ p.T
claim: eye(n)                                 where there is a claim, it is judged

d = %matcalc A @ x                            keeps the answer
"""
SHELL_COMMANDS = ("rules", "verify")
# What the options of the shell print, an answer in a notebook has as methods.
_METHODS = {
    "code": 'print(d.code("numpy"))', "device": "d.check(device=...)", "dtype": "d.check(dtype=...)",
    "json": "d.to_dict()", "latex": "d.latex()", "seed": "d.check(seed=...)", "steps": "d.steps",
    "trials": "d.check(trials=...)", "unicode": "d.unicode()",
}  # fmt: skip
_REPEATED = ("vars", "assume", "rules")  # what is declared adds up; of all else only the last would count
_QUOTED = r"""(?P<quoted>"[^"]*"|(?<![\w)\]])'[^']*')"""  # behind a name ' is a transpose written wrongly
_OPTION = re.compile(_QUOTED + r"|(?<!\S)--(?P<name>[a-z][a-z-]+)(?==|\s|$)")
_COMMENT = re.compile(_QUOTED + r"|\s*#.*")
_CLAIM = re.compile(r"\s*claim\s*:(.*)", re.IGNORECASE)


# --- what the commands answer ---------------------------------------------------------------------


def _derive(options: argparse.Namespace) -> Any:
    return derive(options.expression, options.wrt, **read_declared(options))


def _check(options: argparse.Namespace) -> Any:
    settings = read_declared(options) | read_proof_settings(options) | {"strict": options.strict}
    return check(options.expression, options.claim, options.wrt, **settings)


def _explore(options: argparse.Namespace) -> Any:
    from matcalc.notebook.explorer import Explorer

    declared = {name: value for name, value in read_declared(options).items() if name not in ("syntax", "meaning")}
    return Explorer(explore_state(options.expression, options.wrt, **declared, claim=options.claim or ""))


COMMANDS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "derive": _derive,
    "check": _check,
    "graph": lambda options: build_graph(options.expression, options),
    "explore": _explore,
}
_COMMAND = re.compile(rf"({'|'.join([*COMMANDS, *SHELL_COMMANDS])})(?!\S)(?!\s*[@*/+=.;,)])\s*")


def _build_parser(command: str) -> Parser:
    parser = Parser(prog=f"%matcalc {command}")
    add = parser.add_argument
    add("expression", metavar="EXPR", help="such as A @ x, without quotes; for %%%%matcalc it stands in the cell")
    if command == "graph":
        add("--wrt", metavar="NAME", help="the variable: x, else X, else the only one")
        add_declarations(parser)
        add("--sizes", type=read_sizes, metavar="SIZES", help="numbers for the costs: m=3, n=5")
        parser.set_defaults(layout="numerator", order=1)
        return parser
    add_derivative_options(parser, several=command == "derive")
    if command != "explore":
        add_meaning(parser)
    if command != "derive":
        add("--claim", metavar="FORMULA", help="the derivative as you have it")
    if command == "check":
        add_proof(parser)
        add_proof_options(parser)
        add_device(parser)
        add_strict(parser)
    return parser


# --- what was typed -------------------------------------------------------------------------------


@dataclass(frozen=True)
class MagicLine:
    """What stands behind %matcalc: the command if one is named, the expression, and each option with its value."""

    command: str | None
    expression: str
    options: tuple[tuple[str, str], ...] = ()


def read_line(text: str) -> MagicLine:
    """Return the parts of a line: the expression ends, and so does each value, where the next option begins.

    >>> read_line("check A @ x --layout denominator --claim A.T  # the transpose")
    MagicLine(command='check', expression='A @ x', options=(('layout', 'denominator'), ('claim', 'A.T')))
    """
    text = _end(_drop_comment(text))
    named = _COMMAND.match(text)
    text = text[named.end() :] if named else text
    marks = [found for found in _OPTION.finditer(text) if found["name"]]
    ends = [found.start() for found in marks] + [len(text)]
    values = [_unquote(text[found.end() : end].removeprefix("=")) for found, end in zip(marks, ends[1:], strict=True)]
    options = zip((found["name"] for found in marks), values, strict=True)
    return MagicLine(named[1] if named else None, _unquote(_end(text[: ends[0]])), tuple(options))


def read_cell(text: str) -> tuple[str, str | None]:
    """Return the expression of a cell and its claim, without comments and blank lines.

    Raises UsageError for a cell without an expression, and for a claim that is empty or stands there twice.

    >>> read_cell("A @ x   # linear\\nclaim: A.T")
    ('A @ x', 'A.T')
    """
    lines = [line for line in map(_drop_comment, text.splitlines()) if line.strip()]
    places = [place for place, line in enumerate(lines) if _CLAIM.match(line)]
    if len(places) > 1:
        raise UsageError("the cell has two claims", advice="judge one formula a cell")
    end = places[0] if places else len(lines)
    expression, claim = (_end("\n".join(part)) for part in (lines[:end], lines[end:]))
    if not expression:
        raise UsageError("there is no expression in the cell", advice="write it below the line with %%matcalc")
    if not places:
        return expression, None
    claim = _CLAIM.sub(r"\1", claim, count=1).strip()
    if not claim:
        raise UsageError("there is no formula behind claim:", advice="write the derivative as you have it")
    return expression, claim


def _drop_comment(line: str) -> str:
    return _COMMENT.sub(lambda found: found["quoted"] or "", line).rstrip()


def _end(text: str) -> str:
    """Return a text without the semicolon in which many lines of a notebook end by habit."""
    return text.strip().rstrip("; \n")


def _unquote(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1].strip() if quoted else text


# --- the magics -----------------------------------------------------------------------------------


def run_magic(line: str, cell: str | None = None) -> Any:
    read = read_line(line)
    if read.command in SHELL_COMMANDS:
        raise UsageError(f"{read.command} is a command of the shell", advice=f"!matcalc {line.strip()}")
    if read.expression in ("-h", "help") or "help" in dict(read.options):
        return print(_build_parser(read.command).format_help() if read.command else HELP)
    if cell is None:
        is_empty = not (read.expression or read.options or read.command)
        return print(HELP) if is_empty else _run(read)
    return _run(_join_cell(read, cell))


run_magic.__doc__ = HELP


def _join_cell(read: MagicLine, cell: str) -> MagicLine:
    """Return the line with what stands in the cell below it."""
    if read.expression:
        advice = "move it into the cell, or write %matcalc with one percent sign"
        raise UsageError("behind %%matcalc stand options only; the expression is the cell", advice=advice)
    expression, claim = read_cell(cell)
    if claim is None:
        return MagicLine(read.command, expression, read.options)
    if "claim" in dict(read.options):
        raise UsageError("there are two claims, one in the cell and one behind %%matcalc", advice="leave one of them")
    if read.command not in (None, "check", "explore"):
        raise UsageError(f"{read.command} judges no claim", advice="%%matcalc check, or leave the claim out")
    return MagicLine(read.command, expression, (*read.options, ("claim", claim)))


def _run(read: MagicLine) -> Any:
    named = dict(read.options)
    command = read.command or ("check" if "claim" in named else "derive")
    if command == "explore" and not read.expression:
        read = replace(read, expression=FIRST_EXPRESSION)
    if not read.expression:
        advice = "%matcalc A @ x --layout denominator"
        raise UsageError("the expression comes first, the options behind it", advice=advice)
    counted = Counter(name for name, _ in read.options if name not in _REPEATED)
    if twice := next((name for name, count in counted.items() if count > 1), None):
        raise UsageError(f"--{twice} stands there twice", advice="leave one of them")
    if command == "derive":
        _refuse_shell_options(read)
    if command == "check" and "claim" not in named:
        raise UsageError("there is no claim to judge", advice="--claim FORMULA, or in a cell the line claim: FORMULA")
    words = [f"--{name}={value}" if value else f"--{name}" for name, value in read.options]
    return COMMANDS[command](_build_parser(command).parse_args([*words, "--", read.expression]))


def _refuse_shell_options(read: MagicLine) -> None:
    """Point to the method of the answer that does what an option does in a shell."""
    for name, _ in read.options:
        if name in _METHODS:
            reason = f"--{name} is of the command in the shell"
            kept = [f"--{name} {value}".rstrip() for name, value in read.options if name not in _METHODS]
            line = " ".join([read.expression.splitlines()[0], *kept])
            raise UsageError(reason, advice=f"d = %matcalc {line} and then {_METHODS[name]}")


def complete(_: Any, event: Any) -> list[str]:
    """Return what may stand at the cursor: a layout, an option, or a command and the functions."""
    before = event.line[: len(event.line) - len(event.symbol)]
    if before.rstrip().endswith("--layout"):
        words = [*LAYOUTS]
    elif event.symbol.startswith("-"):
        command = read_line(before.lstrip().lstrip("%").removeprefix("matcalc")).command
        words = re.findall("--[a-z-]+", _build_parser(command if command in COMMANDS else "derive").format_usage())
    else:
        words = sorted({*COMMANDS, *(rule.function for rule in shipped_rules())})
    return [word for word in words if word.startswith(event.symbol)]


def register_magics(shell: Any) -> None:
    """Register %matcalc and %%matcalc, in which $x and {x} stay as they are typed."""
    from IPython.core.magic import no_var_expand

    shell.register_magic_function(no_var_expand(run_magic), "line_cell", "matcalc")
    for name in ("%matcalc", "%%matcalc"):
        shell.set_hook("complete_command", complete, str_key=name)
