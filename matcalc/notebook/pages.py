"""The parts of the explorer's state as HTML: errors, the answer, the judgement of a claim, and the tabs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from matcalc.errors import LimitError
from matcalc.language.sizes import Size
from matcalc.notebook.exploration import FieldTrouble
from matcalc.render.answer_html import (
    draw_graph,
    write_answer,
    write_chain_html,
    write_function_line,
    write_shape_tiles,
)
from matcalc.render.graph_picture import DrawingError
from matcalc.render.heat_map import draw_heat_map
from matcalc.render.html import STYLE, escape, fold, is_large, write_block, write_told, write_typeset
from matcalc.render.report import count_row_axes
from matcalc.render.report_html import write_check_html
from matcalc.render.steps import write_steps_table

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.notebook.exploration import Exploration


CODE_KINDS = ("numpy", "torch", "jax", "autograd")
_COPY = "navigator.clipboard.writeText(this.nextElementSibling.textContent);this.textContent='copied'"


def write_troubles(troubles: Iterable[FieldTrouble]) -> str:
    """Return what is wrong as blocks in which the caret stands under its place; screen readers tell them at once."""
    return "".join(write_block(trouble.message).replace("<pre>", '<pre role="alert">') for trouble in troubles)


def write_reading(state: Exploration, text: str) -> str:
    """Return a text, which may not be finished, typeset as it is read, "" where it cannot be read."""
    problem = state.read(text)
    return write_page(write_typeset(problem.expressions[0])) if problem else ""


def write_page(*parts: str) -> str:
    """Return parts of a page in the style that they share."""
    return f'{STYLE}<div class="matcalc">{"".join(parts)}</div>'


def write_answer_page(state: Exploration) -> str:
    """Return the derivative of a state with shape, layout and verdict, "" where there is none."""
    derivative, report = state.derivative, state.report
    if derivative is None or report is None:
        return ""
    # The definitions of a long function would be typeset beside those of its derivative, which are the same.
    function = "" if is_large(derivative) else write_function_line(derivative)
    return write_page(
        _tell(f"{derivative.header}; {report.message}"), function,
        write_answer(derivative, _write_axes(state, derivative)), write_told(report.verdict, report.message),
    )  # fmt: skip


def _write_axes(state: Exploration, derivative: Derivative) -> str:
    """The axes as tiles that slide from the layout before; the sentence with layout and shape stands there always."""
    tiles = write_shape_tiles(derivative, state.earlier)
    told = derivative.header.partition("   ")[2]
    return f"<p><b>{escape(told)}</b></p>{tiles}" if state.earlier else tiles


def write_claim_page(state: Exploration) -> str:
    """Return what the judge says of the claim, "" where there is none."""
    report = state.claim_report
    if report is None:
        return ""
    return _tell(report.message) + (report._repr_html_() or write_check_html(report))


def _tell(message: str) -> str:
    """Return a sentence that is read out and not seen: the page below it says the same at length."""
    return f'<div class="matcalc-told" role="status" aria-live="polite">{escape(message)}</div>'


def write_steps_page(derivative: Derivative) -> str:
    """Return the derivation step by step; raises MissingRuleError and LimitError as `Derivative.steps` does."""
    if is_large(derivative):
        # Typesetting hundreds of lines keeps a browser busy for long.
        return write_page(write_block(derivative.write_steps()))
    chain = write_chain_html(derivative.chain()) if derivative.order == 1 else ""
    heading = "<p><b>the same by the chain rule</b></p>" if chain else ""
    return write_page(write_steps_table(derivative.steps), heading, chain)


def write_graph_page(derivative: Derivative) -> str:
    """Return the drawn computation graph with what both modes cost; a large one as a table first."""
    graph = derivative.graph()
    text = str(graph)
    summary = f"<p>{escape(text.rstrip().splitlines()[-1])}</p>"
    try:
        drawn = draw_graph(graph)
    except DrawingError as error:
        return write_page(summary, write_block(text), f"<p>{escape(error)}</p>")
    if is_large(derivative):
        folded = fold("drawn, larger than the page", f'<div class="matcalc-graph matcalc-large">{drawn}</div>')
        return write_page(summary, folded, write_block(text))
    table = fold("as a table, with the cost of both modes", write_block(text))
    return write_page(summary, table, f'<div class="matcalc-graph">{drawn}</div>')


def write_code_page(derivative: Derivative, backend: str) -> str:
    """Return source code with a button that copies it; raises MissingRuleError where a function has no word there."""
    source = derivative.autograd_function() if backend == "autograd" else derivative.code(backend)
    button = f'<button type="button" class="jupyter-button" onclick="{_COPY}">copy</button>'
    return write_page(f'<div class="matcalc-code">{button}{write_block(source)}</div>')


# --- the numeric Jacobian at sizes that a reader chooses ----------------------------------------------

MOST_ENTRIES = 40_000
LARGEST_SHOWN_SIZE = 50
_FIRST_SIZES = (3, 4, 5, 2, 6, 7)
_LONGEST_ARRAY = 60


def choose_shown_sizes(derivative: Derivative, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return a number for each size of a derivative: the chosen one, else a small one, different for each letter."""
    letters = derivative.letters
    first = (*_FIRST_SIZES, *range(max(_FIRST_SIZES) + 1, LARGEST_SHOWN_SIZE + 1))
    return {letter: chosen.get(letter, first[k % len(first)]) for k, letter in enumerate(letters)}


def write_heat_page(derivative: Derivative, sizes: Mapping[str, int], seed: int = 0) -> str:
    """Return the heat map of a derivative at a random point as HTML, and the point in a fold-out.

    Raises LimitError for more than 40,000 entries, EvaluationError where no point is found, and HeatMapError
    where matplotlib is not installed.
    """
    entries = math.prod(size.value(sizes) for size in derivative.shape)
    if entries > MOST_ENTRIES:
        reason = f"the Jacobian would have {entries:,} entries, and at most {MOST_ENTRIES:,} are drawn"
        raise LimitError(reason, advice="choose smaller sizes")
    point = derivative.draw_point(sizes, seed)
    values = derivative.evaluate(point, sizes)
    ranks = derivative.result.ranks
    split = count_row_axes(len(derivative.function.squeezed_shape), ranks, derivative.layout)
    told = zip(derivative.axes, derivative.shape, strict=True)
    sides = [f"{name}, {_write_size(size, sizes)}" for name, size in told]
    rows, columns = "; ".join(sides[:split]), "; ".join(sides[split:])
    drawn = draw_heat_map(values, derivative.header.split("   ")[0], rows, columns, split=split)
    drawn_values = "\n".join(f"{name} = {_write_value(name, value)}" for name, value in point.items())
    point_fold = fold("the point, random values from the domains of the names", write_block(drawn_values))
    return f'<div class="mc-wide">{drawn}</div>{point_fold}'


def _write_size(size: Size, sizes: Mapping[str, int]) -> str:
    number = str(size.value(sizes))
    return number if str(size) == number else f"{size} = {number}"


def _write_value(name: str, value: Any) -> str:
    import numpy

    if callable(value):
        return "a smooth function, made up at random"
    if value.size > _LONGEST_ARRAY:
        return f"an array of shape {value.shape}"
    return numpy.array2string(value, precision=3, suppress_small=True, prefix=f"{name} = ")


# --- one style sheet in the colours of JupyterLab's theme, light or dark -----------------------------

# JupyterLab takes keys pressed on a button, a list or a tab for commands to the notebook: x cuts the cell, the arrows
# leave the panel.  It spares what bears this attribute.  In fields it knows that one types, and Ctrl-S still saves.
# The style sheet carries this since it is the one element of a panel that tells when it has arrived.
_KEEP_KEYS = (
    "this.closest('.matcalc-explorer')?.addEventListener('focusin',event=>{"
    "if(!event.target.matches('input[type=text],textarea'))"
    "event.target.setAttribute('data-lm-suppress-shortcuts','true')})"
)

EXPLORER_STYLE = f'<style onload="{_KEEP_KEYS}">' + """
.matcalc-explorer{color:var(--jp-ui-font-color1,#111);padding:.3em .1em;max-width:1200px;overflow:visible!important}
.matcalc-explorer .widget-html,.matcalc-explorer .widget-htmlmath{margin-top:0;margin-bottom:0}
.matcalc-explorer .widget-html-content,.matcalc-explorer .widget-htmlmath-content{line-height:1.45;color:inherit;
min-width:0;overflow-wrap:break-word}
.matcalc-explorer input,.matcalc-explorer select,.matcalc-explorer option{color:var(--jp-ui-font-color1,#111)!important;
background-color:var(--jp-layout-color1,#fff)!important;border-color:var(--jp-border-color1,#999)!important}
.matcalc-explorer input[type=text],.matcalc-explorer select{font-size:var(--jp-ui-font-size1,13px)}
.matcalc-expression input,.matcalc-claim input,.matcalc-variables input{
font-family:var(--jp-code-font-family,monospace)!important}
.matcalc-explorer .widget-label,.matcalc-explorer .widget-inline-hbox .widget-label{color:var(--jp-ui-font-color1,#111)}
.matcalc-explorer input:focus,.matcalc-explorer select:focus,.matcalc-explorer button:focus-visible{
outline:2px solid var(--jp-brand-color1,#1976d2)!important;outline-offset:1px}
.matcalc-explorer .jupyter-button{color:var(--jp-ui-font-color1,#111);background-color:var(--jp-layout-color2,#eee)}
.matcalc-explorer .jupyter-button.mod-active{color:#fff;background-color:#1565c0}
.matcalc-explorer .widget-toggle-buttons .jupyter-button{width:auto;padding:0 .7em;min-width:2.4em}
.matcalc-told,.matcalc-quiet .widget-label{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.matcalc-error pre{color:var(--jp-ui-font-color1,#111);background:rgba(211,47,47,.12);border-left:4px solid #d32f2f;
font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);line-height:1.35;
padding:.35em .7em;margin:.15em 0 .4em;white-space:pre-wrap;overflow-wrap:anywhere}
.matcalc-wrong input{border:2px solid #d32f2f!important}
.matcalc-stale{opacity:.35}
.matcalc-explorer .matcalc-note{color:var(--jp-ui-font-color2,#555)}
.matcalc-variables{max-height:19em;overflow-y:auto!important;overflow-x:hidden!important}
.matcalc-variables>*{flex:none}
.matcalc-variables .matcalc-row{align-items:center;overflow:visible}
.matcalc-variables code{font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);
background:none;color:inherit}
.matcalc-answer,.matcalc-claim-answer{min-width:0}
.matcalc-explorer>.widget-hbox{margin:.2em 0;gap:.2em 1em}
.matcalc-explorer .widget-toggle-buttons{display:flex;flex-flow:row wrap;align-items:center}
.matcalc-explorer .widget-toggle-buttons>.widget-label{margin-right:.6em}
.matcalc-explorer .matcalc-answer{border-left:4px solid var(--jp-brand-color1,#1976d2);padding:0 0 0 .9em}
.matcalc-answer>.widget-htmlmath-content,.matcalc-claim-answer>.widget-htmlmath-content{width:100%}
.matcalc-explorer .matcalc-tabs{margin-top:.6em}
.matcalc-explorer .matcalc-tabs .lm-TabBar-tab{color:var(--jp-ui-font-color1,#111)!important}
.matcalc-graph{overflow:auto;max-height:80em}
.matcalc-graph.matcalc-large svg{max-width:none}
.matcalc-graph svg{color:var(--jp-ui-font-color1,#111)}
.matcalc-code pre{user-select:all;font-family:var(--jp-code-font-family,monospace);
font-size:var(--jp-code-font-size,13px);line-height:1.35;white-space:pre;overflow:auto;max-height:36em;
padding:.6em;border:1px solid var(--jp-border-color2,#ccc);background:var(--jp-layout-color0,#fff);
color:var(--jp-ui-font-color1,#111)}
.matcalc-explorer .matcalc:not(.mc-card){background:none;max-width:none}
.matcalc-explorer .matcalc .mc-tall{max-height:none}
body[data-jp-theme-light="false"] .matcalc-explorer select{appearance:auto;background-image:none!important;
color-scheme:dark}
</style>"""
