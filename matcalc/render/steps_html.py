"""A derivation as a table for a notebook: each line typeset, with the law, its source and the shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from matcalc.render.html_parts import STYLE, escape, typeset, write_table
from matcalc.render.step import Step
from matcalc.render.steps_latex import write_left, write_marked_latex, write_right

# A longer line of LaTeX scrolls by itself, so that law and shapes stay in sight.
LONG_LINE = 240


def write_steps_html(steps: Sequence[Step]) -> str:
    """Return a derivation as a page of its own, with the style that it needs."""
    return f'{STYLE}<div class="matcalc">{write_steps_table(steps)}</div>'


def write_steps_table(steps: Sequence[Step]) -> str:
    """Return a derivation as a table that scrolls where it is too wide or too long.

    >>> from matcalc.derivation import derive
    >>> write_steps_table(derive("A @ x").steps).count("<tr>")
    5
    """
    rows = [_write_row(step, before) for before, step in pairwise([None, *steps]) if step is not None]
    return f'<div class="mc-wide mc-tall">{write_table(["line", "law", "source", "shapes"], rows)}</div>'


def _write_row(step: Step, before: Step | None) -> list[str]:
    laws = dict.fromkeys(f"{write_marked_latex(law.left)} = {write_marked_latex(law.right)}" for law in step.laws)
    told = "<br>".join(map(typeset, laws)) or _keep_shapes(escape(step.rule))
    return [_write_line(step, before), told, escape(step.source), _keep_shapes(escape(step.shapes))]


def _keep_shapes(told: str) -> str:
    """A shape is not broken over lines."""
    return re.sub(r"\([^()]*\)", lambda shape: shape[0].replace(" ", "&nbsp;"), told)


def _write_line(step: Step, before: Step | None) -> str:
    """left = right; the left side once where it stays the same."""
    if step.expression is None:
        return f'<span style="white-space:nowrap">&emsp;{escape(step.line)}</span>'
    same = before is not None and before.left == step.left and step.kind != "layout"
    latex = f"{'' if same else write_left(step)} = {write_right(step)}"
    if len(latex) <= LONG_LINE:
        return typeset(latex)
    return f'<div style="max-width:34em;overflow-x:auto;overflow-y:hidden;padding:.4em 0">{typeset(latex)}</div>'
