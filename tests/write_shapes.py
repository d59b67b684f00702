"""Writes docs/shapes.md: the nine shape combinations with their derivations, by the program itself.

`python -m tests.write_shapes` from the root of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matcalc
from matcalc import Derivative
from matcalc.language.sizes import write_shape
from matcalc.render.steps import list_steps, write_steps

PAGE = Path(__file__).parents[1] / "docs" / "shapes.md"
# One function for each combination, rows by the result, columns by the variable.
COMBINATIONS = [
    ("scalar", "scalar", "exp(alpha)", "alpha"), ("scalar", "vector", "x.T @ A @ x", "x"),
    ("scalar", "matrix", "trace(A @ X)", "X"), ("vector", "scalar", "sin(alpha)*b", "alpha"),
    ("vector", "vector", "A @ x", "x"), ("vector", "matrix", "A @ X @ b", "X"),
    ("matrix", "scalar", "alpha*A", "alpha"), ("matrix", "vector", "A @ x @ b.T", "x"),
    ("matrix", "matrix", "A @ X @ B", "X"),
]  # fmt: skip

_HEAD = """# The nine shapes

What is differentiated is a scalar, a vector or a matrix, and so is the variable: nine combinations. Each row of the
table is one of them, with the derivation and the shape in numerator and in denominator layout. This page is written by
the program: `python -m tests.write_shapes`.
"""
_RULES = """
Two memory rules settle a scalar by a vector and a vector by a scalar. Read the scalar as a row of one element and the
vector as a column: numerator layout follows the top of the fraction, so `df/dx` is a row (1, n) and `dy/dalpha` a
column (m, 1); denominator layout follows the bottom, so `df/dx` is a column (n, 1) and `dy/dalpha` a row (1, m). Axes
of length one are dropped from the shapes.
"""


def write_page() -> str:
    """Return the page."""
    rows = ["| of | by | derivation | numerator | denominator |", "| --- | --- | --- | --- | --- |"]
    sections = []
    for of, by, text, wrt in COMBINATIONS:
        derivative = matcalc.derive(text, wrt)
        rows.append(_write_row(of, by, derivative))
        sections += [_write_section(of, by, derivative)]
    return "\n".join([_HEAD, *rows, _RULES, *sections])


def _write_row(of: str, by: str, derivative: Derivative) -> str:
    lines = [step.line for step in list_steps(derivative) if step.kind in ("start", "rule", "collect", "read")]
    cells = [of, by, "<br>".join(f"`{line}`" for line in lines)]
    for layout in ("numerator", "denominator"):
        cells.append(_write_shape(derivative.in_layout(layout)))
    return f"| {' | '.join(cells)} |"


def _write_shape(derivative: Derivative) -> str:
    return write_shape(derivative.shape) if derivative.shape else "()"


def _write_section(of: str, by: str, derivative: Derivative) -> str:
    return "\n".join(_list_lines(of, by, derivative))


def _list_lines(of: str, by: str, derivative: Derivative) -> Iterator[str]:
    yield f"## {of.capitalize()} by {by}"
    yield ""
    yield "```text"
    yield derivative.declaration
    yield ""
    yield write_steps(list_steps(derivative))
    # The steps before the layout are the same: only what the layout changes is said again.
    turned = [step for step in list_steps(derivative.in_layout("denominator")) if step.kind in ("axis", "layout")]
    yield ""
    yield write_steps(turned)
    yield "```"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
