"""Formulas on a page: typeset where that can be read, as text or by the name of a call where it cannot."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING

from matcalc.errors import LimitError
from matcalc.language.expression import Expression, walk
from matcalc.render.html_parts import escape, typeset, write_block, write_line
from matcalc.render.latex_aligned import to_latex_named
from matcalc.render.name_parts import to_text_named

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

# Beyond these sizes steps, graph and code are named and not shown; beyond the last one nothing is typeset.
MOST_NODES, LONGEST_LATEX, LONGEST_TYPESET = 80, 1500, 6000
LONGEST_TEXT = 4000


def is_large(derivative: Derivative) -> bool:
    """Whether the steps, the graph and the code of a derivative are too long for a page.

    >>> from matcalc.derivation import derive
    >>> is_large(derive("A @ x")), is_large(derive("+".join(f"tanh(A_{k} @ x)" for k in range(40)), "x"))
    (False, True)
    """
    nodes = walk(derivative.function, derivative.expression)
    if sum(1 for _ in islice(nodes, MOST_NODES + 1)) > MOST_NODES:
        return True
    try:
        return len(derivative.latex()) > LONGEST_LATEX
    except LimitError:
        return True


def write_equation(left: str, expression: Expression, taken: Collection[str] = ()) -> str:
    """Return left = expression on a line of its own, as `write_typeset` does."""
    return write_line(write_typeset(expression, taken, left))


def write_typeset(expression: Expression, taken: Collection[str] = (), left: str = "") -> str:
    """Return left = expression typeset, `left` being LaTeX; a long one in named parts, a too long one as text."""
    try:
        latex = to_latex_named(expression, taken, left)
    except LimitError as error:
        return f"<p>{escape(error.reason)}</p>"
    return typeset(latex) if len(latex) <= LONGEST_TYPESET else _write_text(expression, taken)


def _write_text(expression: Expression, taken: Collection[str] = ()) -> str:
    text = to_text_named(expression, taken)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}\n… ({len(text)} characters; print() shows them all)"
    return write_block(text)
