"""What was asked -> the command line that asks the same again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matcalc.language.declarations import Declared, read_assumptions, read_shapes
from matcalc.rule_files import RuleBook

DEFAULTS = {"layout": "numerator", "order": 1, "trials": 3, "dtype": "float64", "device": "cpu"}


@dataclass(frozen=True)
class Declaration:
    """What is declared about the names of an expression, and the files of the rules it was read with."""

    wrt: str | None
    shapes: Declared
    assume: Declared
    rules: tuple[str, ...] = ()


def write_command(words: Iterable[str], declared: Declaration, options: Mapping[str, Any]) -> str:
    """Return the command line of some words, declarations and options; what has its default is left out but the seed.

    >>> write_command(["derive", "A @ x"], Declaration("x", {"A": ("m", "n")}, None), {"layout": "vec", "seed": 0})
    "matcalc derive 'A @ x' --wrt x --vars 'A: m,n' --layout vec --seed 0"
    """
    line = ["matcalc", *words]
    line += ["--wrt", declared.wrt] if declared.wrt else []
    line += ["--vars", _write_shapes(declared.shapes)] if declared.shapes else []
    line += ["--assume", _write_assumptions(declared.assume)] if declared.assume else []
    line += [word for path in declared.rules for word in ("--rules", path)]
    for name, default in DEFAULTS.items():
        value = options.get(name, default)
        line += [f"--{name}", str(value)] if value != default else []
    return shlex.join([*line, "--seed", str(options["seed"])])


def list_paths(rules: Any) -> tuple[str, ...]:
    """Return the files that a `rules` argument names; a book has no name on a command line."""
    if rules is None or isinstance(rules, RuleBook):
        return ()
    return (str(rules),) if isinstance(rules, str | Path) else tuple(str(path) for path in rules)


def _write_shapes(shapes: Declared) -> str:
    """Return the declaration as --vars takes it: A: m,n; c: scalar."""
    read = read_shapes(shapes)
    return "; ".join(f"{name}: {','.join(map(str, shape)) or 'scalar'}" for name, shape in read.items())


def _write_assumptions(assume: Declared) -> str:
    read = read_assumptions(assume)
    return "; ".join(f"{name}: {', '.join(sorted(words)) or 'real'}" for name, words in read.items())
