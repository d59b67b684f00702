"""The answer as a page of text, as the command prints it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from matcalc.engine.layout import Axis, arrange, mixed_axes
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import Shape, write_shape

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.several_variables import BlockHessian


def write_header(derivative: Derivative) -> tuple[str, str]:
    """Return the line that echoes what was read, and the line that names layout and shape."""
    own, by = derivative.result_name, list(derivative.names_by)
    names = "   ".join(f"{name}: {shape} {known}".rstrip() for name, shape, known in list_names(derivative))
    declaration = f"{own} = {to_text(derivative.function)}        {names}"
    name = name_mixed(own, by)
    if derivative.layout == "vec":
        # Of a higher order it is the matrix of the vectorised derivative before.
        last = f"vec({by[-1]})" if derivative.wrt.name == by[-1] else by[-1]
        name = f"d vec({name_mixed(own, by[:-1])})/d {last}.T"
    shape = write_shape(derivative.shape)
    told = "a scalar" if shape == "scalar" else f"shape {shape}{_orientation(derivative)}"
    return declaration, f"{name}   {derivative.layout} layout, {told}"


def list_names(derivative: Derivative) -> Iterator[tuple[str, str, str]]:
    """Yield each name of an answer with its shape and with what is assumed of it, as texts."""
    shapes = {name: symbol.declared_shape for name, symbol in derivative.problem.symbols.items()}
    shapes |= {f"{name}()": shape for name, shape in derivative.problem.abstract.items()}
    shapes[derivative.result_name] = derivative.function.squeezed_shape
    for name, shape in shapes.items():
        yield name, write_shape(shape), ", ".join(derivative.assumed.get(name, ()))


def name_derivative(own: str, wrt: str, order: int) -> str:
    """Return the name of a derivative: y, dy/dx, d2y/dx2, ...; by what is no name dy/d vech(X)."""
    wrt = wrt if wrt.isidentifier() else f" {wrt}"
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
    size = derivative.shape[0]
    written = f"({size})" if size.is_sum else size
    return f", a 1×{written} row" if derivative.result.is_row(derivative.layout) else ", a column"


def write_report(derivative: Derivative) -> str:
    """Return the whole answer: what was read, the derivative, and the views that say more than it does."""
    declaration, header = write_header(derivative)
    read = [f"read as  {derivative.reading}"] if derivative.reading else []
    lines = [*read, declaration, "", header]
    rows = list(_views(derivative))
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


# --- what each axis of a derivative is ---------------------------------------------------------------

RESULT, WRT = "result", "wrt"


@dataclass(frozen=True)
class AxisRow:
    """One axis of a derivative; `of` is "result" or "wrt", `members` are the axes of function and variable in it.

    It has one member in every layout but vec, where all axes of a side are joined; it is of the result if one is.
    """

    size: str
    name: str
    of: str
    members: tuple[Axis, ...]


def list_axis_rows(derivative: Derivative) -> list[AxisRow]:
    """Return the axes of a derivative in the order of its shape.

    >>> from matcalc.derivation import derive
    >>> [(row.size, row.name, row.of) for row in list_axis_rows(derive("A @ x"))]
    [('m', 'y axis 0', 'result'), ('n', 'x axis 0', 'wrt')]
    """
    groups = group_axes(derivative.result.axes, derivative.layout, derivative.order)
    told = zip(derivative.shape, derivative.axes, groups, strict=True)
    return [
        AxisRow(str(size), name, RESULT if any(axis.of == RESULT for axis in members) else WRT, members)
        for size, name, members in told
    ]


def group_axes(axes: Sequence[Axis], layout: str, order: int) -> list[tuple[Axis, ...]]:
    """Return which axes stand in each axis of a layout: one each, in vec layout all of a side."""
    if layout != "vec":
        return [(axis,) for axis in arrange(list(axes), layout)]
    rows = tuple(axis for axis in axes if axis.of == RESULT or axis.order < order)
    columns = tuple(axis for axis in axes if axis not in rows)
    return [group for group in (rows, columns) if group]


def name_question_axes(own: str, rank: int, by: Sequence[tuple[str, Shape]], layout: str) -> list[str]:
    """Return the names of the axes of a derivative of `own`, which has that rank, by these variables.

    >>> name_question_axes("y", 1, [("x", ())], "numerator")
    ['y axis 0']
    """
    names, ranks = [name for name, _ in by], [len(shape) for _, shape in by]
    if layout == "vec":
        sides = [(name_mixed(own, names[:-1]), rank + sum(ranks[:-1])), *zip(names[-1:], ranks[-1:], strict=True)]
        return [f"vec({name})" for name, count in sides if count]
    return [_name(axis, own, names) for (axis,) in group_axes(mixed_axes(rank, ranks), layout, len(by))]


def _name(axis: Axis, own: str, by: Sequence[str]) -> str:
    if axis.of == RESULT:
        return f"{own} axis {axis.axis}"
    again = f" (differentiation {axis.order})" if len(by) > 1 else ""
    return f"{by[axis.order - 1]} axis {axis.axis}{again}"


def choose_result_name(rank: int, taken: Collection[str]) -> str:
    """Return the name that an answer gives to a function of that rank: Y, y or f, whichever is free."""
    names = ["YZWVF", "yzwvf", "fghyz"][2 - min(rank, 2)]
    return next((name for name in names if name not in taken), names[0] + "0")


def count_row_axes(rank: int, ranks: Sequence[int], layout: str) -> int:
    """Return how many axes of a derivative are the rows where it is shown as a matrix; the others are its columns.

    `rank` is that of the function, `ranks` those of the variables.  The rows are the axes of the function, or those of
    the variables where they come first; the gradient of a scalar is a row in numerator layout.

    >>> count_row_axes(2, [2], "numerator"), count_row_axes(1, [2], "denominator"), count_row_axes(0, [1], "numerator")
    (2, 2, 0)
    """
    if layout == "vec":
        return 1 if rank + sum(ranks[:-1]) else 0
    if rank and sum(ranks):
        return sum(ranks) if layout == "denominator" else rank
    if list(ranks) == [1] and layout == "numerator":
        return 0
    return (rank + sum(ranks) + 1) // 2


# --- a block Hessian as a table ----------------------------------------------------------------------

# A wider table would be broken by most terminals; it then shows the shapes alone.
_WIDEST = 110


def write_block_table(blocks: BlockHessian, formulas: bool = True) -> str:
    """Return the blocks with their shapes as a table.

    Where it would be too wide it shows the shapes alone, with the `formulas` below it if they are asked for.
    """
    title = f"block Hessian, {blocks.layout} layout; row: first by, column: then by"
    shapes = {key: write_shape(block.shape) for key, block in blocks.items()}
    full = _lay_out(blocks.names, {key: f"{block}  {shapes[key]}" for key, block in blocks.items()})
    if all(len(line) <= _WIDEST for line in full):
        return "\n".join([title, *full])
    below = [line for block in blocks.values() for line in (block.header, f"  {block}") if formulas]
    return "\n".join([title, *_lay_out(blocks.names, shapes), *below])


def _lay_out(names: tuple[str, ...], cells: dict[tuple[str, str], str]) -> list[str]:
    rows = [["", *names], *([row, *(cells[row, column] for column in names)] for row in names)]
    return [f"  {line}".rstrip() for line in align_columns(rows, gap="   ")]


def align_columns(rows: Sequence[Sequence[str]], gap: str = "  ", most: int | None = None) -> list[str]:
    """Return the rows as lines in columns, of which none is padded to more than `most` characters.

    >>> align_columns([("a", "b"), ("long", "c")])
    ['a     b', 'long  c']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = widths if most is None else [min(most, width) for width in widths]
    return [gap.join(map(str.ljust, row, widths)).rstrip() for row in rows]


# --- the answer as plain data, the same fields in every release of version 1 -------------------------


def write_data(derivative: Derivative) -> dict[str, Any]:
    """Return the fields of a derivative; of a mixed one `wrt` names the variables in their order, "x,y"."""
    by = [wrt.name for wrt in derivative.by]
    return {
        "expression": derivative.text,
        "wrt": ",".join(by) if derivative.is_mixed else by[0],
        "order": derivative.order,
        "layout": derivative.layout,
        "derivative": str(derivative),
        "shape": [str(size) for size in derivative.shape],
        "axes": list(derivative.axes),
        "variables": {name: list(shape) for name, shape in derivative.declared.items()},
        "assumptions": {name: list(words) for name, words in derivative.assumed.items()},
        "result_shape": [str(size) for size in derivative.function.squeezed_shape],
        "entries": derivative.entries,
        "einsum": derivative.einsum,
        "vec": derivative.vec,
        "vec_shape": [str(size) for size in derivative.vec_shape],
        "differential": derivative.differential,
        "latex": derivative.latex(),
        "notes": list(derivative.notes),
        "reading": derivative.reading,
        "meaning": derivative.meaning,
    }
