"""The fold-outs below a derivative on a page: its steps, the chain rule, the computation graph, and code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from matcalc.errors import MatcalcError
from matcalc.render.chain import Chain
from matcalc.render.chain_latex import write_chain_latex
from matcalc.render.formula_html import is_large
from matcalc.render.graph_layout import DrawingError
from matcalc.render.graph_picture import write_svg
from matcalc.render.html_parts import escape, fold, typeset, write_block, write_code, write_line, write_picture
from matcalc.render.steps_html import write_steps_table

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.render.graph import ComputationGraph

View = tuple[str, Callable[[], str], str]  # the name, what writes it, the call that shows it in full

LONGEST_VIEW = 20_000
# Of a graph with more nodes the drawing is larger than the page.
MOST_DRAWN = 40
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
    if derivative.is_mixed:
        return [("steps and no code", *steps[1:]), graph]
    return [steps, chain, graph, code] if derivative.order == 1 else [steps, graph, code]


def _fold_view(name: str, write: Callable[[], str], call: str) -> str:
    """A fold-out; the reason where there is no such view, and the call that shows it where it is too long."""
    try:
        body = write()
    except MatcalcError as error:
        return f'<p class="mc-soft">no {name}: {escape(error.reason)}</p>'
    if len(body) > LONGEST_VIEW:
        return f'<p class="mc-soft">{name}: long; {write_code(call)} of this derivative d shows it</p>'
    return fold(name, body)


# --- chain rule, graph and code -------------------------------------------------------------------


def write_chain_html(chain: Chain) -> str:
    """Return the chain rule with its shapes and its factors; a sentence where there is only one factor."""
    if len(chain.factors) == 1:
        return f"<p>{escape(chain)}</p>"
    return write_line(typeset(write_chain_latex(chain)))


def write_graph_html(graph: ComputationGraph) -> str:
    """Return the drawn graph with the costs of both modes below it, its text where it is not drawn."""
    if len(graph.nodes) > MOST_DRAWN:
        return write_block(str(graph))
    try:
        drawn = write_picture(draw_graph(graph), "the computation graph with the local derivatives")
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


def write_codes(derivative: Derivative) -> str:
    """Return the derivative as Python for each backend, and as a torch.autograd.Function, each in a fold-out."""
    call = "print(d.autograd_function())"
    views: list[View] = [
        (name, partial(_write_code, derivative, name), f"print(d.code({name!r}))") for name in _BACKENDS
    ]
    if derivative.order == 1:
        views.append(("torch.autograd.Function", lambda: write_block(derivative.autograd_function()), call))
    return "".join(_fold_view(*view) for view in views)


def _write_code(derivative: Derivative, backend: str) -> str:
    return write_block(derivative.code(backend))
