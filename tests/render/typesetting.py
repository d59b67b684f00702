"""LaTeX as matplotlib's typesetter can read it, which knows no arrays: their rows stand side by side."""

from __future__ import annotations

import re

from matplotlib.mathtext import MathTextParser

_TYPESETTER = MathTextParser("path")
_INNERMOST = re.compile(r"\\begin\{bmatrix\}((?:(?!\\begin\{bmatrix\}).)*?)\\end\{bmatrix\}")


def write_flat(latex: str) -> str:
    r"""Return LaTeX with [x ; y] for an array of two rows.

    >>> write_flat(r"\begin{bmatrix}x \\ y\end{bmatrix}^\top")
    '{[x ; y]}^\\top'
    """
    count = 1
    while count:
        latex, count = _INNERMOST.subn(
            lambda found: "{[" + found[1].replace("\\\\", ";").replace("&", ",") + "]}", latex
        )
    return latex


def typeset(latex: str) -> None:
    """Typeset LaTeX; raises ValueError where it cannot be."""
    _TYPESETTER.parse(f"${write_flat(latex)}$")
