"""The arguments that several commands share, and what all of them print: colour on a terminal, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Collection
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from matcalc.derivation import Derivative, derive
from matcalc.engine.layout import LAYOUTS, spell_layout
from matcalc.errors import MatcalcError
from matcalc.language.declarations import read_declarations

if TYPE_CHECKING:
    from matcalc.render.graph import ComputationGraph

LONGEST_INPUT = 1_000_000  # characters read from a pipe; the language refuses far less, with a better sentence


class UsageError(MatcalcError):
    """The command was called with arguments it does not have."""


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of exiting, so that --json reports a misspelled option as well."""

    def __init__(self, **options: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **options)
        self.add_argument("--help", action="help", help="show this text and exit (also -h)")

    def error(self, message: str) -> NoReturn:
        commands = [action.choices for action in self._actions if isinstance(action.choices, dict)]
        parsers = [self, *(parser for choices in commands for parser in choices.values())]
        known = [option for parser in parsers for action in parser._actions for option in action.option_strings]
        raise UsageError(message, advice=advise_option(message, known) or f"{self.prog} --help")


def advise_option(message: str, options: Collection[str]) -> str | None:
    """Return the option that is meant by one that a message of argparse names; None where none is close.

    >>> advise_option("unrecognized arguments: --wtr x", ["--wrt", "--layout"])
    'did you mean --wrt?'
    """
    unknown = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
    close = get_close_matches(unknown[1], list(options), 1, 0.6) if unknown else []
    return f"did you mean {close[0]}?" if close else None


def add_expression_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add the expression and what is declared about it; `several` variables where the command takes them."""
    help_text = 'such as "A@x"; - reads it from standard input'
    parser.add_argument("expression", metavar="EXPR", type=str.strip, help=help_text)
    add_derivative_options(parser, several)


def add_derivative_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add by what to derive, the layout, the order, and what is declared about the names."""
    add = parser.add_argument
    by, often = ("; or W,b; or all", "; or by what, x,y") if several else ("", "")
    add("--wrt", metavar="NAME", type=str.strip, help=f"the variable: x, else X, else the only one{by}")
    layouts = "numerator (default), denominator, mixed, torch or vec; num and denom will do (also -l)"
    layout = add("--layout", type=spell_layout, default="numerator", metavar="LAYOUT", help=layouts)
    layout.completer = lambda **_: LAYOUTS  # type: ignore[attr-defined]  # what argcomplete offers
    add("--order", type=read_order, default=1, metavar="N", help=f"how often to derive (default 1){often}")
    add_declarations(parser)


def add_declarations(parser: argparse.ArgumentParser) -> None:
    """Add what is declared about the names of an expression, and the rules it is read with."""
    add = parser.add_argument
    add("--syntax", default="auto", metavar="SYNTAX", help="auto (default), matcalc, math, latex, matlab or python")
    add("--vars", action="append", default=[], metavar="DECL", help='shapes: "A: m,n; x: n; c: scalar"')
    add("--assume", action="append", default=[], metavar="DECL", help='what is known: "A: symmetric; x: positive"')
    add("--rules", action="append", default=[], metavar="FILE", help="your own rules, verified first; may be repeated")


def read_declared(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options declare, as `derive` and `check` take it."""
    return {
        "layout": options.layout,
        "shapes": read_declarations("; ".join(options.vars)) if options.vars else None,
        "assume": "; ".join(options.assume),
        "order": options.order,
        "rules": options.rules or None,
        "syntax": options.syntax,
        "meaning": getattr(options, "meaning", "free"),
    }


def add_proof_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of points and their seed."""
    add = parser.add_argument
    trials = partial(read_whole_number, allowed=range(1, 1_000_000), told="a whole number from 1 to 999999")
    seed = partial(read_whole_number, allowed=range(10**18), told="a whole number from 0 on")
    add("--trials", type=trials, default=3, metavar="N", help="points of the proof (default 3)")
    add("--seed", type=seed, default=0, metavar="N", help="seed of the points (default 0)")


def add_proof(parser: argparse.ArgumentParser) -> None:
    """Add the choice between the two proofs."""
    choices = ("both", "exact", "torch", "none")
    help_text = "exact (SymPy), torch, both (default) or none"
    parser.add_argument("--proof", default="both", metavar="PROOF", choices=choices, help=help_text)


def add_meaning(parser: argparse.ArgumentParser) -> None:
    """Add what the derivative by a structured matrix means."""
    help_text = "by a symmetric X and the like: free (default), tied, space or vech"
    parser.add_argument("--meaning", default="free", metavar="MEANING", help=help_text)


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add that a column is wrong where the layout has a row."""
    parser.add_argument("--strict", action="store_true", help="a column where the layout has a row differs")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the precision with which torch computes, and the device."""
    add = parser.add_argument
    add("--dtype", default="float64", metavar="DTYPE", help="float64 (default) or float32")
    add("--device", type=read_device, default="cpu", metavar="DEVICE", help="cpu (default), cuda or cuda:N")


def read_proof_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return how a proof is made, as `Derivative.check` and `check` take it."""
    return {name: getattr(options, name) for name in ("trials", "seed", "dtype", "device", "proof")}


def build_graph(expression: str, options: argparse.Namespace) -> ComputationGraph:
    """Return the computation graph of an expression as the options declare it; raises UsageError for several variables.

    The costs are told in numbers as well where the options give sizes.
    """
    derivative = derive(expression, options.wrt, **read_declared(options))
    if not isinstance(derivative, Derivative):
        raise UsageError("a graph is drawn for one variable", advice="give one name: --wrt x")
    return derivative.graph(options.sizes)


def read_whole_number(text: str, allowed: range, told: str) -> int:
    """Return the whole number; raises ArgumentTypeError for what is none in the range, `told` saying what it is."""
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*", text) or int(text) not in allowed:
        raise argparse.ArgumentTypeError(f"{text.strip()[:40]!r} is not {told}")
    return int(text)


def read_order(text: str) -> int | str:
    """Return the number, or the text itself for `derive` to refuse: the limits have one place and one sentence."""
    return int(text) if re.fullmatch(r"\s*-?[0-9]{1,6}\s*", text) else text.strip()[:40]


def read_device(text: str) -> str:
    """Return the device; raises ArgumentTypeError for what torch would not know."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"{text.strip()[:40]!r} is not cpu, cuda or cuda:N")
    return text


def read_sizes(text: str) -> dict[str, int]:
    """Return the sizes of "m=3, n=5" by letter; raises ArgumentTypeError for any other text."""
    sizes = {}
    for part in filter(None, (part.strip() for part in re.split("[,;]", text))):
        found = re.fullmatch(r"(\w{1,40})\s*=\s*([0-9]{1,12})", part)
        if found is None:
            raise argparse.ArgumentTypeError(f'{part[:40]!r} is not a size; write "m=3, n=5"')
        sizes[found[1]] = int(found[2])
    return sizes


def read_expression(text: str) -> str:
    """Return the expression; - stands for standard input."""
    if text != "-":
        return text
    try:
        return sys.stdin.read(LONGEST_INPUT).strip()
    except UnicodeDecodeError:
        raise UsageError("standard input is not text in UTF-8") from None


# --- output -----------------------------------------------------------------------------------------

JSON_VERSION = 1
EXIT_CODES = {"agrees": 0, "differs": 1, "could not check": 3}
_COLORS = {"agrees": "32", "differs": "31", "could not check": "33", "error": "31"}


def paint(text: str, meaning: str, stream: TextIO) -> str:
    """Colour the text on a terminal, unless NO_COLOR asks for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_COLORS[meaning]}m{text}\x1b[0m"


def print_json(answer: dict[str, Any]) -> None:
    """Print the answer as one JSON object with its version."""
    print(json.dumps(_finite({"version": JSON_VERSION} | answer), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return the value with null for what JSON cannot say: infinity and not-a-number."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
