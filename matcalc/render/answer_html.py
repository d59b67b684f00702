"""A derivative as a card for a notebook: typeset mathematics, named axes, the verdict, and folds for the rest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from matcalc.errors import LimitError, MatcalcError
from matcalc.language.expression import walk
from matcalc.language.sizes import write_shape
from matcalc.render.chain import Chain, write_chain_latex
from matcalc.render.entries import write_entries_latex
from matcalc.render.graph_picture import DRAWING_TOLD, DrawingError, write_svg
from matcalc.render.html import (  # fmt: skip
    LONGEST_TYPESET,
    escape,
    fold,
    is_large,
    typeset,
    write_block,
    write_card,
    write_chip,
    write_code,
    write_equation,
    write_line,
    write_note,
    write_picture,
    write_table,
    write_told,
    write_typeset,
    write_verdict,
)
from matcalc.render.latex import write_left_side, write_name
from matcalc.render.named_parts import is_long
from matcalc.render.report import AxisRow, list_axis_rows, list_names
from matcalc.render.steps import set_change, write_steps_table

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative
    from matcalc.render.graph import ComputationGraph


_SIDES = {"result": "result", "wrt": "variable"}


def write_derivative_html(derivative: Derivative, report: CheckReport | None = None) -> str:
    r"""Return the card of a derivative: mathematics in \( \) for MathJax, all texts escaped.

    With a report it shows the verdict and the error.  Raises nothing of its own: a view that there is not says why.

    >>> from matcalc.derivation import derive
    >>> r"\(\displaystyle \frac{\partial y}{\partial x} = A\)" in write_derivative_html(derive("A @ x"))
    True
    """
    parts = (write_function_line(derivative), write_answer(derivative), _write_report(report))
    return write_card(*parts, write_fold_outs(derivative))


def write_function_line(derivative: Derivative) -> str:
    """Return the function, typeset, with what each name was taken for."""
    own = derivative.result_name
    names = " ".join(
        write_chip(f"<b>{escape(name)}</b>: {escape(shape)}" + (f" <i>{escape(known)}</i>" if known else ""))
        for name, shape, known in list_names(derivative)
    )
    return f"{write_equation(write_name(own), derivative.function, derivative.taken)}<p>{names}</p>"


def write_answer(derivative: Derivative, axes: str = "") -> str:
    """Return the derivative in its layout: the formula, the other views where it has no matrix form, the axes.

    `axes` is what shows shape and layout, a table unless something else is given.
    """
    rows = [[f'<span class="mc-soft">{name}</span>', view] for name, view in _list_further_views(derivative)]
    views = f'<div class="mc-wide">{write_table([], rows)}</div>' if rows else ""
    notes = "".join(map(write_note, derivative.notes))
    return _write_formula(derivative) + views + (axes or write_shape_table(derivative)) + notes


def _write_formula(derivative: Derivative) -> str:
    """The answer in matrix notation; what has none is told entry by entry."""
    if _is_index_form(derivative):
        return write_line(_write_entries(derivative))
    left = write_left_side(derivative.result_name, list(derivative.names_by), derivative.layout)
    return write_equation(left, derivative.expression, derivative.taken)


def _is_index_form(derivative: Derivative) -> bool:
    return any(node.op == "einsum" for node in walk(derivative.expression))


def _list_further_views(derivative: Derivative) -> Iterator[tuple[str, str]]:
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
        # dY = A dX B, with an upright d.
        left = f"\\mathrm{{d}} {write_name(derivative.result_name)}"
        typeset_form = write_typeset(derivative.result.differential(), derivative.taken, left)
        yield "differential", set_change(typeset_form, derivative.result.moving.name)
    if derivative.structure:
        yield "structure", escape(", ".join(derivative.structure))


def _write_entries(derivative: Derivative) -> str:
    try:
        latex = write_entries_latex(derivative.result, derivative.result_name)
    except MatcalcError as error:
        return f"<p>{escape(error.reason)}</p>"
    return typeset(latex) if len(latex) <= LONGEST_TYPESET else write_code(derivative.entries)


def write_shape_table(derivative: Derivative) -> str:
    """Return the layout, the shape, and a row for each axis: its position, its size, what it is."""
    told = derivative.header.partition("   ")[2]
    rows = []
    for place, row in enumerate(list_axis_rows(derivative)):
        coloured = f'<td style="text-align:left" class="mc-{row.of}"><b>{escape(row.size)}</b></td>'
        rows.append([str(place), coloured, escape(row.name), _SIDES[row.of]])
    head = ["axis", "size", "what it is", "from the"]
    return f"<p><b>{escape(told)}</b></p>" + (write_table(head, rows) if rows else "")


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
    cells = {key: _write_cell(block, reports.get(key)) for key, block in blocks.items()}
    rows = [[f"<b>{escape(row)}</b>", *(cells[row, column] for column in names)] for row in names]
    table = write_table(["first by ↓, then by →", *map(escape, names)], rows)
    return f'<p><b>block Hessian, {escape(layout)} layout</b></p><div class="mc-wide">{table}</div>'


def _write_cell(block: Derivative, report: CheckReport | None) -> str:
    """One block: its formula, its shape, its verdict."""
    verdict = "" if report is None else write_verdict(report.verdict)
    return f"{write_typeset(block.expression, block.taken)}<br>{escape(write_shape(block.shape))} &ensp;{verdict}"


def _write_report(report: CheckReport | None) -> str:
    return "" if report is None else write_told(report.verdict, report.message)


# --- the axes as tiles, which slide to their new places when the layout changes ----------------------

STRIDE = 8  # em from one tile to the next
_TILE_SIDES = {"result": "of the function", "wrt": "of the variable"}

# A tile starts --from em away from its place; who asks for less motion sees it in its place at once.
TILE_STYLE = """<style>
.matcalc-tiles{color:var(--jp-ui-font-color1,#111);padding:.3em 0;overflow-x:auto}
.matcalc-tiles .mc-row{display:flex}
.matcalc-tiles .mc-tile{flex:none;box-sizing:border-box;width:7.5em;margin-right:.5em;padding:.3em .4em;
text-align:center;border:2px solid #888;border-radius:6px;line-height:1.3;animation:matcalc-slide 1.1s ease-in-out both}
.matcalc-tiles .mc-tile b{display:block;font-size:1.6em}
.matcalc-tiles .mc-tile span,.matcalc-tiles .mc-tile i{display:block;font-size:.85em}
.matcalc-tiles .mc-tile.mc-result{background:rgba(33,150,243,.2);border-color:#1e88e5}
.matcalc-tiles .mc-tile.mc-wrt{background:rgba(255,152,0,.25);border-color:#fb8c00}
.matcalc-tiles p{margin:.4em 0}
@keyframes matcalc-slide{from{transform:translateX(var(--from,0em))}to{transform:none}}
@media (prefers-reduced-motion:reduce){.matcalc-tiles .mc-tile{animation:none}}
</style>"""


def write_shape_tiles(derivative: Derivative, before: Derivative | None = None) -> str:
    """Return the axes of a derivative as tiles: the size large, what it is small, two colours for the two sides.

    `before` is the same derivative in the layout before: each tile starts where it stood there.

    >>> from matcalc.derivation import derive
    >>> d = derive("A @ x")
    >>> "numerator (m, n) → denominator (n, m)" in write_shape_tiles(d.in_layout("denominator"), d)
    True
    """
    rows = list_axis_rows(derivative)
    former = [] if before is None else list_axis_rows(before)
    tiles = "".join(_write_tile(row, _find_start(place, row, former)) for place, row in enumerate(rows))
    tiles = tiles or '<div class="mc-tile"><b>scalar</b><span>no axes</span></div>'
    told = derivative.header.partition("   ")[2] if before is None else _tell_change(before, derivative)
    return f'{TILE_STYLE}<div class="matcalc-tiles"><div class="mc-row">{tiles}</div><p>{escape(told)}</p></div>'


def _write_tile(row: AxisRow, start: float) -> str:
    style = f' style="--from:{start:g}em"' if start else ""
    told = f"<b>{escape(row.size)}</b><span>{escape(row.name)}</span><i>{_TILE_SIDES[row.of]}</i>"
    return f'<div class="mc-tile mc-{row.of}"{style}>{told}</div>'


def _find_start(place: int, row: AxisRow, former: Sequence[AxisRow]) -> float:
    """How far from its place, in em, the tile stood before: in the middle of the tiles that had its axes."""
    stood = [k for k, one in enumerate(former) if set(one.members) & set(row.members)]
    return STRIDE * (sum(stood) / len(stood) - place) if stood else 0.0


def _tell_change(before: Derivative, derivative: Derivative) -> str:
    """numerator (m, n) → denominator (n, m); where the sizes are the same, what each axis is."""
    told = [f"{one.layout} {write_shape(one.shape)}" for one in (before, derivative)]
    if before.shape == derivative.shape and before.axes != derivative.axes:
        told = [f"{text}: {', '.join(one.axes)}" for text, one in zip(told, (before, derivative), strict=True)]
    elif before.shape == derivative.shape:
        told = [one.header.partition("   ")[2] for one in (before, derivative)]
    return " → ".join(told)


# --- fold-outs: steps, the chain rule, the computation graph, and code -------------------------------

View = tuple[str, Callable[[], str], str]  # the name, what writes it, the call that shows it in full

LONGEST_VIEW = 20_000
# Of a graph with more nodes the drawing is larger than the page.
_MOST_DRAWN = 40
# More is no view for a page, and SymPy takes seconds to typeset it.
_MOST_PARTS = 5_000
_BACKENDS = ("numpy", "torch", "jax")


def write_fold_outs(derivative: Derivative) -> str:
    """Return what folds open below a derivative; a view that there is not is named with its reason in one line.

    Of a large derivative the calls that print the views are named instead.
    """
    if is_large(derivative):
        calls = ", ".join(map(write_code, ("d.steps", "d.graph()", "print(d.code())")))
        return f'<p class="mc-soft">a long answer: for this derivative d {calls} show steps, graph and code</p>'
    return "".join(_fold_view(*view) for view in _list_views(derivative))


def _list_views(derivative: Derivative) -> list[View]:
    """The views that there are; code is not written of what the steps refuse either."""
    steps: View = ("steps", lambda: write_steps_table(derivative.steps), "d.steps")
    chain: View = ("chain rule", lambda: write_chain_html(derivative.chain()), "d.chain()")
    graph: View = ("graph", lambda: write_graph_html(derivative.graph()), "d.graph()")
    code: View = ("code", lambda: write_codes(derivative), "print(d.code())")
    components: View = ("components", lambda: write_components_html(derivative), "d.components()")
    if derivative.is_mixed:
        return [("steps and no code", *steps[1:]), graph, components]
    views = [steps, chain, graph, code] if derivative.order == 1 else [steps, graph, code]
    return [*views, components]


def _fold_view(name: str, write: Callable[[], str], call: str) -> str:
    """A fold-out; the reason where there is no such view, and the call that shows it where it is too long."""
    try:
        body = write()
    except MatcalcError as error:
        return f'<p class="mc-soft">no {name}: {escape(error.reason)}</p>'
    if len(body) > LONGEST_VIEW:
        return f'<p class="mc-soft">{name}: long; {write_code(call)} of this derivative d shows it</p>'
    return fold(name, body)


def write_chain_html(chain: Chain) -> str:
    """Return the chain rule with its shapes and its factors; a sentence where there is only one factor."""
    if len(chain.factors) == 1:
        return f"<p>{escape(chain)}</p>"
    return write_line(typeset(write_chain_latex(chain)))


def write_graph_html(graph: ComputationGraph) -> str:
    """Return the drawn graph with the costs of both modes below it, its text where it is not drawn."""
    if len(graph.nodes) > _MOST_DRAWN:
        return write_block(str(graph))
    try:
        drawn = write_picture(draw_graph(graph), DRAWING_TOLD)
    except DrawingError:
        return write_block(str(graph))
    costs = " · ".join(
        f"{name} accumulation: {write_code(mode.multiplications)} multiplications"
        for name, mode in (("forward", graph.forward), ("reverse", graph.reverse))
    )
    return f"{write_line(drawn)}<p>{costs}</p>"


def draw_graph(graph: ComputationGraph) -> str:
    """Return the drawn graph as a part of a page, in the colour of its text; raises DrawingError as `to_svg` does."""
    return write_svg(graph.drawing, ink="currentColor", paper="")


def write_components_html(derivative: Derivative) -> str:
    """Return function and derivative written out entry by entry; raises MatcalcError where they cannot be."""
    from sympy import latex

    found = derivative.components()
    parts = itertools.chain(_walk(found.function), _walk(found.derivative))
    if next(itertools.islice(parts, _MOST_PARTS, None), None) is not None:
        raise LimitError(f"the entries have more than {_MOST_PARTS} parts", advice="d.components() has them")
    sizes = ", ".join(f"{letter} = {number}" for letter, number in found.sizes.items())
    told = f"<p>written out{f' at {escape(sizes)}' if sizes else ''}</p>"
    return told + "".join(write_line(typeset(latex(one))) for one in (found.function, found.derivative))


def _walk(written: Any) -> Iterator[Any]:
    """Yield the parts of a SymPy object, those of an array's entries among them."""
    from sympy import preorder_traversal

    entries = written.flat() if hasattr(written, "flat") else [written]
    return itertools.chain.from_iterable(map(preorder_traversal, entries))


def write_codes(derivative: Derivative) -> str:
    """Return the derivative as Python for each backend, and as a torch.autograd.Function, each in a fold-out."""
    sources: dict[str, tuple[Callable[[], str], str]] = {
        name: (partial(derivative.code, name), f"print(d.code({name!r}))") for name in _BACKENDS
    }
    if derivative.order == 1:
        sources["torch.autograd.Function"] = (derivative.autograd_function, "print(d.autograd_function())")
    return "".join(
        _fold_view(name, lambda write=write: write_block(write()), call)  # type: ignore[misc]
        for name, (write, call) in sources.items()
    )
