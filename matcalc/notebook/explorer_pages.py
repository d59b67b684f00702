"""The parts of the explorer's state as HTML: errors, the answer, the judgement of a claim, and the tabs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from matcalc.notebook.explorer_reading import Trouble
from matcalc.render.fold_outs import draw_graph, write_chain_html
from matcalc.render.formula_html import is_large
from matcalc.render.graph_layout import DrawingError
from matcalc.render.html_parts import STYLE, escape, fold, write_block, write_told
from matcalc.render.report_html import write_check_html
from matcalc.render.shape_tiles import write_shape_tiles
from matcalc.render.steps_html import write_steps_table
from matcalc.render.to_html import write_answer, write_function_line

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.notebook.exploration import Exploration

BACKENDS = ("numpy", "torch", "jax", "autograd")
_COPY = "navigator.clipboard.writeText(this.nextElementSibling.textContent);this.textContent='copied'"


def write_troubles(troubles: Iterable[Trouble]) -> str:
    """Return what is wrong as blocks in which the caret stands under its place; screen readers tell them at once."""
    return "".join(write_block(trouble.message).replace("<pre>", '<pre role="alert">') for trouble in troubles)


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
