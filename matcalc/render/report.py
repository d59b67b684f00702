"""The answer as a page of text, as the command prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from matcalc.language.sizes import write_shape
from matcalc.render.to_text import to_text

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


def write_header(derivative: Derivative) -> tuple[str, str]:
    """Return the line that echoes what was read, and the line that names layout and shape."""
    own = derivative.result_name
    shapes = {name: symbol.declared_shape for name, symbol in derivative.problem.symbols.items()}
    shapes |= {f"{name}()": shape for name, shape in derivative.problem.abstract.items()}
    shapes[own] = derivative.function.dropped_shape
    told = []
    for name, shape in shapes.items():
        known = ", ".join(derivative.assumed.get(name, ()))
        told.append(f"{name}: {write_shape(shape)}" + (f" {known}" if known else ""))
    first = f"{own} = {to_text(derivative.function)}"
    return f"{first}        {'   '.join(told)}", _header(derivative)


def _header(derivative: Derivative) -> str:
    own, by = derivative.result_name, [wrt.name for wrt in derivative.by]
    name = name_mixed(own, by)
    if derivative.layout == "vec":
        # Of a higher order it is the matrix of the vectorised derivative before.
        name = f"d vec({name_mixed(own, by[:-1])})/d vec({by[-1]}).T"
    shape = write_shape(derivative.shape)
    told = "a scalar" if shape == "scalar" else f"shape {shape}{_orientation(derivative)}"
    return f"{name}   {derivative.layout} layout, {told}"


def name_derivative(own: str, wrt: str, order: int) -> str:
    """Return the name of a derivative: y, dy/dx, d2y/dx2, ..."""
    if order < 2:
        return f"d{own}/d{wrt}" if order else own
    return f"d{order}{own}/d{wrt}{order}"


def name_mixed(own: str, by: Sequence[str]) -> str:
    """Return the name of a derivative by one variable after the other: d2f/(dx dy), d3f/(dx2 dy).

    >>> name_mixed("f", ["x", "x", "y"]), name_mixed("f", ["x", "x"])
    ('d3f/(dx2 dy)', 'd2f/dx2')
    """
    runs = [(name, len(list(run))) for name, run in groupby(by)]
    if len(runs) < 2:
        return name_derivative(own, by[0] if by else "", len(by))
    below = " ".join(f"d{name}{count if count > 1 else ''}" for name, count in runs)
    return f"d{len(by)}{own}/({below})"


def _orientation(derivative: Derivative) -> str:
    """Say of one remaining axis whether it is printed as a row or as a column."""
    if len(derivative.shape) != 1:
        return ""
    scalar = not derivative.function.dropped_shape
    if derivative.expression.is_row or (scalar and derivative.layout in {"numerator", "vec"}):
        return f", a 1×{derivative.shape[0]} row"
    strict = derivative.layout == "denominator" and not derivative.wrt.dropped_shape
    row = f"; strictly a 1×{derivative.shape[0]} row" if strict else ""
    return f", a column{row}"


def write_report(derivative: Derivative) -> str:
    """Return the whole answer: what was read, the derivative, and the views that say more than it does."""
    declaration, header = write_header(derivative)
    lines = [declaration, "", header]
    rows = [(name, text) for name, text in _views(derivative)]
    width = max(len(name) for name, _ in rows)
    begin = "\n" + " " * (width + 4)
    lines += [f"  {name.ljust(width)}  {begin.join(text.splitlines())}" for name, text in rows]
    lines += [f"  note: {note}" for note in derivative.notes]
    return "\n".join(lines)


def _views(derivative: Derivative) -> Iterator[tuple[str, str]]:
    """The formula in matrix notation, and entries, einsum, vec and differential where they add something."""
    text = str(derivative)
    tall = len(derivative.shape) > 2
    if not tall or "einsum" not in text:
        yield "formula", text
    if tall or "einsum" in text:
        yield "entries", derivative.entries
        yield "einsum", text if "einsum" in text else derivative.einsum
        if derivative.layout != "vec" and "fuse" not in derivative.vec:
            yield "vec", f"{derivative.vec}            {write_shape(derivative.vec_shape)}"
    if derivative.order == 1:
        yield "differential", derivative.differential.replace("; ", "\n")
