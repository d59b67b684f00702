"""A derivative as a card for a notebook: typeset mathematics, named axes, the verdict, and folds for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from matcalc.errors import MatcalcError
from matcalc.language.expression import walk
from matcalc.language.sizes import write_shape
from matcalc.render.axis_rows import AxisRow, list_axis_rows
from matcalc.render.fold_outs import write_fold_outs
from matcalc.render.formula_html import LONGEST_TYPESET, write_equation, write_typeset
from matcalc.render.html_parts import (
    escape,
    typeset,
    write_card,
    write_chip,
    write_code,
    write_line,
    write_note,
    write_table,
    write_told,
    write_verdict,
)  # fmt: skip
from matcalc.render.latex_names import write_name
from matcalc.render.left_latex import write_entries_latex, write_left_side
from matcalc.render.name_parts import is_long
from matcalc.render.steps_latex import set_change

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative

_SIDES = {"result": "result", "wrt": "variable"}


def write_derivative_html(derivative: Derivative, report: CheckReport | None = None) -> str:
    r"""Return the card of a derivative: mathematics in \( \) for MathJax, all texts escaped.

    With a report it shows the verdict and the error.  Raises nothing of its own: a view that there is not says why.

    >>> from matcalc.derivation import derive
    >>> r"\(\displaystyle \frac{\partial y}{\partial x} = A\)" in write_derivative_html(derive("A @ x"))
    True
    """
    verdict = _write_report(report)
    return write_card(write_function_line(derivative), write_answer(derivative), verdict, write_fold_outs(derivative))


def write_function_line(derivative: Derivative) -> str:
    """Return the function, typeset, with what each name was taken for."""
    own = derivative.result_name
    names = " ".join(map(write_chip, _list_names(derivative)))
    return f"{write_equation(write_name(own), derivative.function, derivative.taken)}<p>{names}</p>"


def _list_names(derivative: Derivative) -> Iterator[str]:
    """The names with their shapes and what is assumed of them."""
    shapes = {name: symbol.declared_shape for name, symbol in derivative.problem.symbols.items()}
    shapes |= {f"{name}()": shape for name, shape in derivative.problem.abstract.items()}
    shapes[derivative.result_name] = derivative.function.dropped_shape
    for name, shape in shapes.items():
        known = ", ".join(derivative.assumed.get(name, ()))
        yield f"<b>{escape(name)}</b>: {escape(write_shape(shape))}" + (f" <i>{escape(known)}</i>" if known else "")


def write_answer(derivative: Derivative, axes: str = "") -> str:
    """Return the derivative in its layout: the formula, the other views where it has no matrix form, the axes.

    `axes` is what shows shape and layout, a table unless something else is given.
    """
    rows = [[f'<span class="mc-soft">{name}</span>', view] for name, view in _list_views(derivative)]
    views = f'<div class="mc-wide">{write_table([], rows)}</div>' if rows else ""
    notes = "".join(map(write_note, derivative.notes))
    return _write_formula(derivative) + views + (axes or write_shape_table(derivative)) + notes


def _write_formula(derivative: Derivative) -> str:
    """The answer in matrix notation; what has none is told entry by entry."""
    if _is_index_form(derivative):
        return write_line(_write_entries(derivative))
    left = write_left_side(derivative.result_name, [wrt.name for wrt in derivative.by], derivative.layout)
    return write_equation(left, derivative.expression, derivative.taken)


def _is_index_form(derivative: Derivative) -> bool:
    return any(node.op == "einsum" for node in walk(derivative.expression))


def _list_views(derivative: Derivative) -> Iterator[tuple[str, str]]:
    """The views that say more than the formula does."""
    if _is_index_form(derivative):
        yield "einsum", write_code(derivative)
    elif len(derivative.shape) > 2:
        yield "entries", _write_entries(derivative)
        yield "einsum", write_code(derivative.einsum)
    if len(derivative.shape) > 2 and "fuse" not in derivative.vec:
        vec = write_typeset(derivative.result.expression("vec"), derivative.taken)
        yield "vec layout", f"{vec} &emsp; shape {escape(write_shape(derivative.vec_shape))}"
    if derivative.order == 1 and not is_long(derivative.expression):
        yield "differential", _write_differential(derivative)
    if derivative.structure:
        yield "structure", escape(", ".join(derivative.structure))


def _write_differential(derivative: Derivative) -> str:
    """dY = A dX B, with an upright d."""
    result, own = derivative.result, f"\\mathrm{{d}} {write_name(derivative.result_name)}"
    return set_change(write_typeset(result.differential(), derivative.taken, own), result.moving.name)


def _write_entries(derivative: Derivative) -> str:
    try:
        latex = write_entries_latex(derivative.result, derivative.result_name)
    except MatcalcError as error:
        return f"<p>{escape(error.reason)}</p>"
    return typeset(latex) if len(latex) <= LONGEST_TYPESET else write_code(derivative.entries)


def write_shape_table(derivative: Derivative) -> str:
    """Return the layout, the shape, and a row for each axis: its position, its size, what it is."""
    told = derivative.header.partition("   ")[2]
    rows = [_write_axis(place, row) for place, row in enumerate(list_axis_rows(derivative))]
    head = ["axis", "size", "what it is", "from the"]
    return f"<p><b>{escape(told)}</b></p>" + (write_table(head, rows) if rows else "")


def _write_axis(place: int, row: AxisRow) -> list[str]:
    coloured = f'<td style="text-align:left" class="mc-{row.of}">'
    return [str(place), f"{coloured}<b>{escape(row.size)}</b></td>", escape(row.name), _SIDES[row.of]]


# --- several --------------------------------------------------------------------------------------


def write_derivatives_html(
    derivatives: Mapping[Any, Derivative], reports: Mapping[Any, CheckReport] | None = None
) -> str:
    """Return `Derivatives` in one card, a `BlockHessian` as a table of blocks.

    Without reports they are checked here.
    """
    found = {key: one.check() for key, one in derivatives.items()} if reports is None else reports
    head = write_function_line(next(iter(derivatives.values())))
    if any(isinstance(key, tuple) for key in derivatives):
        return write_card(head, _write_blocks(derivatives, found))
    answers = [f"<hr>{write_answer(one)}{_write_report(found.get(key))}" for key, one in derivatives.items()]
    return write_card(head, *answers)


def _write_blocks(blocks: Mapping[Any, Derivative], reports: Mapping[Any, CheckReport]) -> str:
    """A row for the first variable, a column for the second."""
    names = list(dict.fromkeys(row for row, _ in blocks))
    layout = next(iter(blocks.values())).layout
    cells = [[_write_cell(row, column, blocks, reports) for column in names] for row in names]
    rows = [[f"<b>{escape(name)}</b>", *row] for name, row in zip(names, cells, strict=True)]
    table = write_table(["first by ↓, then by →", *map(escape, names)], rows)
    return f'<p><b>block Hessian, {escape(layout)} layout</b></p><div class="mc-wide">{table}</div>'


def _write_cell(
    row: str, column: str, blocks: Mapping[Any, Derivative], reports: Mapping[Any, CheckReport]
) -> str:
    """One block: its formula, its shape, its verdict."""
    block, report = blocks[row, column], reports.get((row, column))
    verdict = "" if report is None else write_verdict(report.verdict)
    return f"{write_typeset(block.expression, block.taken)}<br>{escape(write_shape(block.shape))} &ensp;{verdict}"


def _write_report(report: CheckReport | None) -> str:
    return "" if report is None else write_told(report.verdict, report.message)
