"""A derivation as LaTeX: one align* with the rule beside each line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from matcalc.engine.differentials import MARK, list_marks
from matcalc.language.expression import Expression, walk
from matcalc.render.latex_names import write_name, write_word
from matcalc.render.step import Step
from matcalc.render.to_latex import to_latex

_SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "^": r"\^{}", "~": r"\~{}",
})  # fmt: skip


# Signs that have their own space; what stands behind one of them, and what before.
_SIGNS = "odot|oslash|otimes|cdot"
_SIGN = r"\\odot)(?<!\\oslash)(?<!\\otimes)(?<!\\cdot"


def write_steps_latex(steps: Sequence[Step]) -> str:
    r"""Return a derivation as an align* environment, the rule and its source beside each line.

    Raises nothing of its own; what has no matrix notation stands in index notation.
    """
    shown = [step for step in steps if step.expression is not None]
    lines = []
    for before, step in pairwise([None, *shown]):
        assert step is not None
        same = before is not None and before.left == step.left
        left = "" if same else write_left(step)
        told = write_comment(step)
        lines.append(f"{left} &= {write_right(step)}" + (f" && {told}" if told else ""))
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def write_left(step: Step) -> str:
    """The left side: dY, or the derivative as a fraction."""
    if step.kind in ("again", "name"):
        return write_name(step.left)
    if "/" not in step.left:
        return _write_change(step.left)
    above, below = [side.split("[")[0][1:] for side in step.left.split("/")]
    order = above[0] if above[0].isdigit() else ""
    below = below.removesuffix(order)
    power = f"^{{{order}}}" if order else ""
    return f"\\frac{{\\partial{power} {write_name(above.removeprefix(order))}}}{{\\partial {write_name(below)}{power}}}"


def _write_change(text: str) -> str:
    return f"\\mathrm{{d}} {write_name(text[1:])}"


def write_right(step: Step) -> str:
    """The right side, d(..) and dX with an upright d."""
    shown = step.shown or step.expression
    assert shown is not None
    return write_marked_latex(shown)


def write_marked_latex(expression: Expression) -> str:
    r"""Return the LaTeX of a line: \mathrm{d}(..) for its marks, \mathrm{d} X for the change of X."""
    text = to_latex(expression)
    for node in walk(expression):
        if node.op == "symbol" and node.name.startswith("d") and len(node.name) > 1:
            text = set_change(text, node.name)
    if list_marks(expression):
        text = text.replace(write_word(MARK), "\\mathrm{d}")
    return text


def set_change(latex: str, name: str) -> str:
    r"""Return a formula with an upright d for the change `name` of a variable, a thin space on its open sides.

    >>> set_change(r"A \mathrm{dX} B + C \odot \mathrm{dX}", "dX")
    'A \\, \\mathrm{d} X \\, B + C \\odot \\mathrm{d} X'
    """
    change = _write_change(name)
    latex = latex.replace(write_name(name), change)
    place = re.escape(change)
    latex = re.sub(rf"(?<!{_SIGN})(?<=[\w)\]}}]) (?={place})", r" \\, ", latex)
    return re.sub(rf"({place}) (?=[\w(]|\\(?!{_SIGNS}|,|right))", r"\1 \\, ", latex)


def write_comment(step: Step) -> str:
    """The laws as equations with their sources in words."""
    laws = dict.fromkeys(f"{write_marked_latex(law.left)} = {write_marked_latex(law.right)}" for law in step.laws)
    words = step.source if step.laws else step.rule
    told = f"\\text{{{words.translate(_SPECIAL)}}}" if words else ""
    return ",\\; ".join(laws) + ("\\quad " if laws and told else "") + told
