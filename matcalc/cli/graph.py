"""The command `matcalc graph`: the computation graph, and what forward and reverse accumulation cost on it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.cli.arguments import (
    JSON_VERSION,
    UsageError,
    add_declarations,
    print_json,
    read_declared,
    read_expression,
    read_sizes,
)

if TYPE_CHECKING:
    from matcalc.render.graph import ComputationGraph


FORMATS = ("text", "mermaid", "dot", "svg", "png")
_ENDINGS = {".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg", ".png": "png"}


def add_graph(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("graph", help="the computation graph, and what each mode costs", prog="matcalc graph")
    add = parser.add_argument
    add("expression", metavar="EXPR", type=str.strip, help='such as "norm(A@x - b)**2"; - reads it from standard input')
    add("--wrt", metavar="NAME", type=str.strip, help="the variable: x, else X, else the only one")
    add_declarations(parser)
    add("--sizes", type=read_sizes, metavar="SIZES", help='numbers for the costs: "m=3, n=5"')
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--format", choices=FORMATS, help="text (default), mermaid, dot, svg, png")
    shown.add_argument("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}")
    add("--output", metavar="FILE", help="write to this file; its ending tells the format where --format does not")
    parser.set_defaults(run=show_graph, layout="numerator", order=1)


def show_graph(options: argparse.Namespace) -> int:
    """Print the graph, or write it to a file, and return the exit code."""
    graph = _build_graph(options)
    if options.json:
        print_json({"graph": graph.to_dict()})
        return 0
    kind = options.format or _ENDINGS.get(Path(options.output or "").suffix.lower(), "text")
    if kind == "png" and not options.output and sys.stdout.isatty():
        raise UsageError("a PNG picture cannot be shown as text", advice="add --output graph.png")
    _write(_write_graph(graph, kind), options.output)
    return 0


def _build_graph(options: argparse.Namespace) -> ComputationGraph:
    from matcalc.derivation import Derivative, derive
    from matcalc.inputs import choose_rules
    from matcalc.render.graph import write_graph

    book = choose_rules(options.rules or None)
    declared = read_declared(options) | {"rules": book}
    derivative = derive(read_expression(options.expression), options.wrt, **declared)
    if not isinstance(derivative, Derivative):
        raise UsageError("a graph is drawn for one variable", advice="give one name: --wrt x")
    return write_graph(derivative, book, options.sizes)


def _write_graph(graph: ComputationGraph, kind: str) -> bytes:
    if kind == "png":
        return graph.to_png()
    writers = {"text": graph.__str__, "mermaid": graph.to_mermaid, "dot": graph.to_dot, "svg": graph.to_svg}
    return (writers[kind]().rstrip("\n") + "\n").encode()


def _write(content: bytes, output: str | None) -> None:
    """Write to the file, or to standard output, where a picture goes as it is."""
    if output is None:
        try:
            sys.stdout.write(content.decode())
        except UnicodeDecodeError:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        return
    try:
        Path(output).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
