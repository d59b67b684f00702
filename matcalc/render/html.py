"""Pieces of a page for a notebook: escaped text, typeset mathematics, tables, fold-outs, verdicts, and their style."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from matcalc.errors import LimitError
from matcalc.language.expression import Expression, walk
from matcalc.render.latex import to_latex_named
from matcalc.render.named_parts import to_text_named

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


# A sign beside the word: a verdict is never told by its colour alone.
_SIGNS = {"agrees": "✓", "differs": "✗", "could not check": "?"}
_COLOURS = {"agrees": "#2e7d32", "differs": "#c62828"}

STYLE = """<style>
.matcalc{color:var(--jp-ui-font-color1,#111);background:var(--jp-layout-color1,#fff);line-height:1.45;max-width:64em}
.matcalc.mc-card{border:1px solid var(--jp-border-color2,#ccc);border-radius:6px;padding:.6em .9em;margin:.3em 0}
.matcalc p{margin:.35em 0}
.matcalc .mc-wide{overflow-x:auto;overflow-y:hidden;padding:.3em 0}
.matcalc .mc-tall{max-height:30em;overflow:auto}
.matcalc .mc-soft{color:var(--jp-ui-font-color2,#555)}
.matcalc .mc-chip{display:inline-block;border:1px solid var(--jp-border-color2,#ccc);border-radius:4px;padding:0 .45em;
margin:.1em .35em .1em 0;white-space:nowrap}
.matcalc .mc-result{background:rgba(33,150,243,.2)}
.matcalc .mc-wrt{background:rgba(255,152,0,.25)}
.matcalc .mc-verdict{display:inline-block;border-radius:4px;padding:0 .5em;color:#fff;background:#616161;
font-weight:600;margin-right:.2em}
.matcalc table{border-collapse:collapse;margin:.3em 0;font-size:inherit}
.matcalc th,.matcalc td{text-align:left!important;vertical-align:top!important;padding:.15em .8em .15em .4em!important;
border-bottom:1px solid var(--jp-border-color2,#ccc);max-width:none!important;white-space:normal}
.matcalc tr:nth-child(n){background:none!important}
.matcalc td.mc-result{background:rgba(33,150,243,.2)}
.matcalc td.mc-wrt{background:rgba(255,152,0,.25)}
.matcalc code{white-space:pre-wrap}
.matcalc summary{cursor:pointer}
.matcalc details{margin:.15em 0}
.matcalc details>div{margin:.2em 0 .4em 1em}
.matcalc pre{margin:.3em 0;white-space:pre;overflow:auto;max-height:30em}
.matcalc svg{max-width:100%;height:auto}
</style>"""


def escape(text: object) -> str:
    """Return a text in which nothing is a tag and nothing is read as mathematics.

    MathJax looks for $ and backslashes in what one piece of text holds: alone in a piece they start nothing.

    >>> escape("<b> $x$")
    '&lt;b&gt; <span>$</span>x<span>$</span>'
    """
    written = html.escape(str(text))
    for sign in "\\$":
        written = written.replace(sign, f"<span>{sign}</span>")
    return written


def typeset(latex: str) -> str:
    r"""Return mathematics that MathJax sets within a line, large as on a line of its own.

    >>> typeset("a < b")
    '\\(\\displaystyle a &lt; b\\)'
    """
    # MathJax draws the bars of a norm too small around what is no taller than an x.
    latex = latex.replace("\\left\\| ", "\\left\\|\\mathstrut ")
    return f"\\(\\displaystyle {html.escape(latex, quote=False)}\\)"


def write_line(*parts: str) -> str:
    """Return a line of mathematics and text that scrolls where it is too wide."""
    return f'<div class="mc-wide">{" ".join(part for part in parts if part)}</div>'


def write_code(text: object) -> str:
    """Return a text as code within a line; MathJax leaves it alone."""
    return f"<code>{html.escape(str(text), quote=False)}</code>"


def write_block(text: str) -> str:
    """Return a text as it stands, line by line."""
    return f"<pre>{html.escape(text, quote=False)}</pre>"


def fold(summary: str, body: str, is_open: bool = False) -> str:
    """Return a fold-out; both parts are HTML, and without a body there is none."""
    if not body:
        return ""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary><div>{body}</div></details>"


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells in HTML; a cell that is a whole <td> stands as it is."""
    # Where no style sheet is let through, Jupyter sets cells to the right.
    left = 'style="text-align:left"'
    lines = ["".join(f"<th {left}>{cell}</th>" for cell in head)] if head else []
    lines += ["".join(cell if cell.startswith("<td") else f"<td {left}>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def write_chip(text: str, kind: str = "") -> str:
    """Return a small label; `kind` is "result" or "wrt" for the two colours of axes."""
    return f'<span class="mc-chip{f" mc-{kind}" if kind else ""}">{text}</span>'


def write_verdict(verdict: str) -> str:
    """Return the word of a verdict with its sign and its colour, which stands in the tag: untrusted pages keep it.

    >>> write_verdict("agrees")
    '<span class="mc-verdict" style="color:#fff;background-color:#2e7d32">✓ agrees</span>'
    """
    style = f"color:#fff;background-color:{_COLOURS.get(verdict, '#616161')}"
    return f'<span class="mc-verdict" style="{style}">{_SIGNS.get(verdict, "?")} {escape(verdict)}</span>'


def write_told(verdict: str, message: str) -> str:
    """Return the verdict and the rest of the sentence that begins with it."""
    rest = message.removeprefix(verdict).lstrip(" .:")
    gap = ": " if rest == message else " "
    return f"<p>{write_verdict(verdict)}{gap}{escape(rest)}</p>"


def write_note(note: str) -> str:
    """Return a note; the lines of an error stand as they are, the caret below its place."""
    if "\n" in note:
        return f'<p class="mc-soft">note:</p>{write_block(note)}'
    return f'<p class="mc-soft">note: {escape(note)}</p>'


def write_picture(svg: str, told: str) -> str:
    """Return a drawing as a picture on white; a page that is not trusted keeps pictures, and strips drawings.

    `told` says what it shows to those who cannot see it.

    >>> write_picture("<svg></svg>", "nothing").partition(" alt=")[2]
    '"nothing" src="data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=">'
    """
    drawn = base64.b64encode(svg.replace("currentColor", "#111").encode()).decode()
    style = "background-color:#fff;color:#111;max-width:100%;padding:2px"
    return f'<img style="{style}" alt="{html.escape(told)}" src="data:image/svg+xml;base64,{drawn}">'


def write_card(*parts: str) -> str:
    """Return the parts in a frame, with the style that they need."""
    return f'{STYLE}<div class="matcalc mc-card">{"".join(parts)}</div>'


# --- formulas: typeset where that can be read, as text or by the name of a call where it cannot ------

# Beyond these sizes steps, graph and code are named and not shown; beyond the last one nothing is typeset.
_MOST_NODES, _LONGEST_LATEX, LONGEST_TYPESET = 80, 1500, 6000
_LONGEST_TEXT = 4000


def is_large(derivative: Derivative) -> bool:
    """Whether the steps, the graph and the code of a derivative are too long for a page.

    >>> from matcalc.derivation import derive
    >>> is_large(derive("A @ x")), is_large(derive("+".join(f"tanh(A_{k} @ x)" for k in range(40)), "x"))
    (False, True)
    """
    nodes = walk(derivative.function, derivative.expression)
    if sum(1 for _ in islice(nodes, _MOST_NODES + 1)) > _MOST_NODES:
        return True
    try:
        return len(derivative.latex()) > _LONGEST_LATEX
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
    if len(latex) <= LONGEST_TYPESET:
        return typeset(latex)
    text = to_text_named(expression, taken)
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}\n… ({len(text)} characters; print() shows them all)"
    return write_block(text)
