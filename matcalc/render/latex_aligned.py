"""Long results in LaTeX: the definitions and the formula as lines of an `aligned` block, long sums over several."""

from __future__ import annotations

from collections.abc import Collection

from matcalc.language.expression import Expression
from matcalc.render.latex_names import write_variable
from matcalc.render.name_parts import is_long, name_parts
from matcalc.render.to_latex import list_latex_terms, to_latex
from matcalc.render.to_text import to_text

# As many characters of plain text as fit on a line of a paper.
WIDTH = 90

Row = tuple[str, str]  # what stands on the left and on the right of &


def to_latex_named(expression: Expression, taken: Collection[str] = (), left: str = "") -> str:
    r"""Return the LaTeX of an expression: as `to_latex` where it is short, else as an `aligned` block.

    `left` is what the expression is equal to, such as \nabla f; without it a long formula stands alone.
    Raises LimitError for what has more than 100,000 characters.

    >>> from matcalc.language.text_to_expression import parse
    >>> to_latex_named(parse("A @ x").expressions[0], left="y")
    'y = A x'
    """
    if not is_long(expression):
        return f"{left} = {to_latex(expression)}" if left else to_latex(expression)
    lines = [f"{before} & {after}".strip() for before, after in list_rows(expression, taken, left)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def list_rows(expression: Expression, taken: Collection[str] = (), left: str = "") -> list[Row]:
    """Return the lines of a long result, each in two parts: the definitions, then the formula."""
    named = name_parts(expression, taken)
    named_parts = [(write_variable(name, not part.is_scalar), part) for name, part in named.definitions]
    rows = [row for name, part in named_parts for row in _break_sum(name, part)]
    return rows + _break_sum(left, named.formula)


def _break_sum(left: str, expression: Expression) -> list[Row]:
    """Return the lines of left = expression: one, or a sum of which each line has what fits on it."""
    sign = "= " if left else ""
    lines: list[list[str]] = [[]]
    width = 0
    for term, latex in list_latex_terms(expression):
        length = len(to_text(term)) + 3
        if lines[-1] and width + length > WIDTH:
            lines.append([])
            width = 0
        lines[-1].append(latex)
        width += length
    first, *others = [" ".join(line) for line in lines]
    return [(left, sign + first), *(("", "\\quad " + line) for line in others)]
