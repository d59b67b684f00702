"""The command `matcalc graph`: the computation graph, and what forward and reverse accumulation cost on it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from matcalc.cli.arguments import (
    JSON_VERSION,
    UsageError,
    add_declarations,
    build_graph,
    print_json,
    read_expression,
    read_sizes,
)

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
    graph = build_graph(read_expression(options.expression), options)
    if options.json:
        print_json({"graph": graph.to_dict()})
        return 0
    kind = options.format or _ENDINGS.get(Path(options.output or "").suffix.lower(), "text")
    if kind == "png" and not options.output and sys.stdout.isatty():
        raise UsageError("a PNG picture cannot be shown as text", advice="add --output graph.png")
    if kind == "png":
        content = graph.to_png()
    else:
        writers = {"text": graph.__str__, "mermaid": graph.to_mermaid, "dot": graph.to_dot, "svg": graph.to_svg}
        content = (writers[kind]().rstrip("\n") + "\n").encode()
    _write(content, options.output)
    return 0


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
