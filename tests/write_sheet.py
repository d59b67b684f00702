"""Writes docs/sheet.html and docs/sheet.pdf, both layouts on two pages to print, from cases that the tests prove.

`python -m tests.write_sheet` from the root of the repository.
"""

from __future__ import annotations

import html
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matcalc import Derivative
from matcalc.language.sizes import write_shape
from tests.read_cases import Case, derive_case, read_cases
from tests.write_shapes import COMBINATIONS

FOLDER = Path(__file__).parents[1] / "docs"
HTML, PDF = FOLDER / "sheet.html", FOLDER / "sheet.pdf"
# Thirty cases of tests/cases, by what they are of.
TABLE = {
    "scalar by vector": (
        "d2l-sv-dot-u", "d2l-sv-sum", "d2l-sv-norm2", "norm-l2", "norm-l1", "wiki-sv-bAx", "wiki-sv-xAx",
        "wiki-sv-xAx-sym", "norm-l2-res", "d2l-linreg2", "d2l-ridge", "d2l-lasso", "red-mean", "fn-var", "fn-logsumexp",
        "act-ce",
    ),
    "vector by vector": (
        "d2l-vv-Ax", "d2l-vv-xTA", "d2l-vv-Au", "had-vec", "red-cumsum", "act-sigmoid", "act-softmax",
        "act-logsoftmax",
    ),
    "scalar by matrix": (
        "d2l-sm-bilin", "d2l-sm-fro", "wiki-sm-trAX", "wiki-sm-det", "wiki-sm-logdet",
    ),
    "matrix by scalar": ("wiki-ms-inv",),
}  # fmt: skip
SIZES = {"m": 2, "l": 3, "n": 3, "k": 2}
RULES = [
    "Numerator layout: rows like the numerator, the result. Denominator layout: rows like the denominator, the "
    "variable.",
    "A scalar is read as a row of one, a vector as a column. Scalar by vector: a row in numerator layout, a column in "
    "denominator layout. Vector by scalar: a column in numerator layout, a row in denominator layout.",
    "Shape in numerator layout: that of the result, then that of the variable backwards. In denominator layout: all of "
    "that backwards.",
    "Gradient test: in w − η ∂f/∂w the derivative must look like w. That is denominator layout.",
    "Linear test: a book in which ∂(Ax)/∂x is A has numerator layout; if it is Aᵀ, denominator layout.",
]
CHAIN = [
    "Numerator layout, outermost function first: ∂z/∂x = ∂z/∂y · ∂y/∂x, shapes (k, n) = (k, m) (m, n).",
    "Denominator layout, the other way around: ∂z/∂x = ∂y/∂x · ∂z/∂y, shapes (n, k) = (n, m) (m, k).",
    "By a matrix, or of one: a sum over all axes of what stands between; by differentials, dY = A dX B.",
    "A variable that enters twice has two paths: the derivative is the sum over the paths.",
]


LEGEND = (
    "⊙ is the product entry by entry; 1 is a vector or matrix of ones; tril keeps the lower triangle. A scalar by a "
    "vector is a row in numerator layout and a column in denominator layout. Letters without a word beside them are "
    "arbitrary."
)


@dataclass(frozen=True)
class Trap:
    """A sentence, with a claim that is wrong and one that is right in denominator layout."""

    told: str
    expr: str
    wrt: str
    wrong: str
    right: str
    shapes: dict[str, tuple[str, ...]]
    assume: str = ""


VECTOR, SQUARE = {"x": ("n",)}, {"A": ("n", "n"), "x": ("n",)}
TRAPS = [
    Trap("xᵀAx has the gradient 2Ax only if A is symmetric, else (A + Aᵀ) x.",
         "x.T @ A @ x", "x", "2*A @ x", "(A + A.T) @ x", SQUARE),
    Trap("A function entry by entry has a diagonal Jacobian: diag(σ(x) ⊙ (1 − σ(x))), not the vector.",
         "sigmoid(x)", "x", "sigmoid(x)*(1 - sigmoid(x))", "diag(sigmoid(x)*(1 - sigmoid(x)))", VECTOR),
    Trap("The softmax is none of those: diag(p) − p pᵀ.",
         "softmax(x)", "x", "diag(softmax(x)*(1 - softmax(x)))", "diag(softmax(x)) - softmax(x) @ softmax(x).T",
         VECTOR),
    Trap("softmax(z) − y is the gradient of cross entropy only if the entries of y sum to one.",
         "cross_entropy(z, y)", "z", "softmax(z) - y", "sum(y)*softmax(z) - y", {"z": ("n",), "y": ("n",)}),
    Trap("A mean keeps its 1/m in the gradient.",
         "mean((X @ w - y)**2)", "w", "2*X.T @ (X @ w - y)", "2*X.T @ (X @ w - y)/m", {"X": ("m", "n"), "w": ("n",)}),
    Trap("log det X has the gradient X⁻ᵀ; for a covariance matrix one does not see the difference.",
         "logdet(X)", "X", "inv(X)", "inv(X).T", {"X": ("n", "n")}),
    Trap("A norm and its square: x/‖x‖ and 2x. Only the square is smooth at 0.",
         "norm(x)", "x", "2*x", "x/norm(x)", VECTOR),
]  # fmt: skip
VEC = Trap("vec stacks columns: vec(AXB) = (Bᵀ ⊗ A) vec X. NumPy's reshape stacks rows, which gives A ⊗ Bᵀ.",
           "A @ X @ B", "X", "kron(A, B.T)", "kron(B.T, A)", {})  # fmt: skip


# --- what stands on the pages --------------------------------------------------------------------------


def list_table() -> Iterator[tuple[str, Case]]:
    """Yield the cases with what they are of."""
    known = {case.id: case for case in read_cases()}
    for kind, ids in TABLE.items():
        yield from ((kind, known[name]) for name in ids)


def write_row(case: Case) -> tuple[str, str, str, str]:
    """Return the function with what is assumed, the variable, and the derivative in both layouts."""
    numerator, denominator = derive_case(case), derive_case(case, "denominator")
    assumed = {"symmetric": "symmetric", "simplex": "sums to one", "invertible": "invertible"}
    shown = case.domain if case.id != "wiki-ms-inv" else {}  # an inverse in the function says so itself
    told = [f"{name} {assumed[word]}" for name, word in shown.items() if word in assumed]
    return (
        write_signs(numerator, function=True) + (f"   ({', '.join(told)})" if told else ""), case.wrt,
        write_signs(numerator), write_signs(denominator),
    )  # fmt: skip


def write_signs(derivative: Derivative, *, function: bool = False) -> str:
    """Return the derivative, or the function, in the signs of mathematics on one line."""
    from matcalc.render.unicode import to_unicode

    return to_unicode(derivative.function if function else derivative.expression).replace("\n", "; ")


def list_nine() -> Iterator[tuple[str, str, Derivative]]:
    """Yield what is differentiated, by what, and an example, for the nine combinations."""
    import matcalc

    for of, by, text, wrt in COMBINATIONS:
        yield of, by, matcalc.derive(text, wrt)


def find_strict_shape(derivative: Derivative) -> tuple[str, ...]:
    """Return the shape with the unit axis that makes a row or a column of a single axis."""
    shape = tuple(str(size) for size in derivative.shape)
    if len(shape) != 1:
        return shape
    of_variable = not derivative.function.squeezed_shape
    is_row = derivative.layout == ("numerator" if of_variable else "denominator")
    return ("1", *shape) if is_row else (*shape, "1")


def place_cells(shape: Sequence[str]) -> list[tuple[float, float]]:
    """Return the places of the cells of an array on paper: its last two axes are a matrix, those before repeat it.

    >>> place_cells(("m", "n"))[-1]
    (2.0, 1.0)
    """
    sizes = [SIZES.get(letter, 1) for letter in shape]
    sizes = [1] * (4 - len(sizes)) + sizes
    if len(shape) == 3:  # one matrix beside the other
        sizes = [1, *sizes[1:]]
    return [
        (across * (sizes[3] + 0.7) + column, down * (sizes[2] + 0.7) + row)
        for down, across, row, column in itertools.product(*map(range, sizes))
    ]


def measure_cells(cells: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return max(left for left, _ in cells) + 1, max(top for _, top in cells) + 1


# --- HTML ----------------------------------------------------------------------------------------------

_STYLE = """
@page { size: A4; margin: 11mm }
body { font: 9.2pt/1.32 "DejaVu Sans", "Segoe UI", "Noto Sans", sans-serif; color: #111; background: #fff;
  max-width: 188mm; margin: 4mm auto }
h1 { font-size: 14pt; margin: 0 0 1mm } h2 { font-size: 10.5pt; margin: 3mm 0 1mm } p { margin: 0 0 2mm }
table { border-collapse: collapse; width: 100% }
td, th { border: 0.3pt solid #999; padding: 0.7mm 1.5mm; text-align: left } th { background: #f0f0f0; font-weight: 600 }
ul { margin: 0; padding-left: 4mm } .num { color: #b04a00 } .den { color: #005a96 }
.nine td { vertical-align: top; width: 28% } .nine div { display: inline-block; vertical-align: top; margin-right: 5mm }
.nine svg { display: block }
.page { break-after: page }
@media screen { .page { border-bottom: 1px dashed #bbb; margin-bottom: 6mm; padding-bottom: 4mm } }
"""
_PIXELS = 7


def write_html() -> str:
    """Return the page as HTML that needs nothing else, with a break for the printer."""
    kinds = ["scalar", "vector", "matrix"]
    nine = {(of, by): derivative for of, by, derivative in list_nine()}
    head = "".join(f"<th>by {kind}</th>" for kind in kinds)
    rows = "".join(
        f"<tr><th>{of}</th>{''.join(_write_pair(nine[of, by]) for by in kinds)}</tr>" for of in kinds
    )
    traps = [trap.told for trap in [*TRAPS, VEC]]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Matrix derivatives in both layouts</title>
<style>{_STYLE}</style></head>
<body>
<div class="page">
<h1>Matrix derivatives in both layouts</h1>
<p>Each case is proven by matcalc's tests. <span class="num">Orange: numerator layout.</span>
<span class="den">Blue: denominator layout.</span> Written by <code>python -m tests.write_sheet</code>.</p>
<h2>The nine shapes</h2>
<table class="nine"><tr><th></th>{head}</tr>{rows}</table>
<p>The result has the shape (m,) or (m, l), the variable (n,) or (n, k). Drawn with m = 2, l = 3, n = 3, k = 2; more
than two axes are a row or a table of matrices of the last two.</p>
<h2>Memory rules</h2>{_write_list(RULES)}
<h2>Chain rule</h2>{_write_list(CHAIN)}
<h2>Traps (denominator layout)</h2>{_write_list(traps)}
</div>
<h2>Thirty derivatives</h2>
<table><tr><th>function</th><th>by</th><th class="num">numerator layout</th><th class="den">denominator layout</th></tr>
{_write_table()}</table>
<p>{html.escape(LEGEND)}</p>
</body></html>
"""


def _write_list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _write_pair(derivative: Derivative) -> str:
    parts = [f"<code>{html.escape(derivative.text)}</code><br>"]
    for layout, name in (("numerator", "num"), ("denominator", "den")):
        shape = find_strict_shape(derivative.in_layout(layout))
        parts.append(f'<div class="{name}">{write_shape(shape) if shape else "()"}{_write_svg(shape, name)}</div>')
    return f"<td>{''.join(parts)}</td>"


def _write_svg(shape: Sequence[str], name: str) -> str:
    cells = place_cells(shape)
    width, height = (round(_PIXELS * size + 1) for size in measure_cells(cells))
    squares = "".join(
        f'<rect x="{_PIXELS * left + 0.5:g}" y="{_PIXELS * top + 0.5:g}" width="{_PIXELS}" height="{_PIXELS}"/>'
        for left, top in cells
    )
    colour, fill = {"num": ("#b04a00", "#fdeee2"), "den": ("#005a96", "#e3f0fa")}[name]
    return f'<svg width="{width}" height="{height}" stroke="{colour}" fill="{fill}" stroke-width="0.7">{squares}</svg>'


def _write_table() -> str:
    lines = []
    for kind, group in itertools.groupby(list_table(), key=lambda pair: pair[0]):
        lines.append(f'<tr><th colspan="4">{kind}</th></tr>')
        for _, case in group:
            cells = [html.escape(text) for text in write_row(case)]
            lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return "\n".join(lines)


# --- PDF -----------------------------------------------------------------------------------------------


_WIDTH, _HEIGHT = 8.27, 11.69  # A4 in inches
_LEFT, _RIGHT = 0.06, 0.94
_ORANGE, _BLUE = "#b04a00", "#005a96"


def write_pdf(path: Path) -> None:
    """Write the same two pages as PDF, with matplotlib alone."""
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "DejaVu Sans"}):
        untold = dict.fromkeys(("CreationDate", "Producer", "Creator"))  # what changes from day to day
        metadata = {"Title": "Matrix derivatives in both layouts", **untold}
        with PdfPages(path, metadata=metadata) as pages:
            for draw in (_draw_first, _draw_second):
                figure = Figure(figsize=(_WIDTH, _HEIGHT))
                draw(figure)
                pages.savefig(figure)


def _draw_first(figure: Any) -> None:
    figure.text(_LEFT, 0.965, "Matrix derivatives in both layouts", fontsize=14, fontweight="bold", va="top")
    figure.text(_LEFT, 0.938, "Each case is proven by matcalc's tests.", fontsize=7.5, va="top")
    figure.text(0.36, 0.938, "Orange: numerator layout.", fontsize=7.5, va="top", color=_ORANGE)
    figure.text(0.58, 0.938, "Blue: denominator layout.", fontsize=7.5, va="top", color=_BLUE)
    _draw_nine(figure, top=0.915)
    height = 0.565
    for title, lines in (("Memory rules", RULES), ("Chain rule", CHAIN),
                         ("Traps (denominator layout)", [trap.told for trap in [*TRAPS, VEC]])):  # fmt: skip
        height = _draw_list(figure, title, lines, height)


def _draw_nine(figure: Any, top: float) -> None:
    from matplotlib.patches import Rectangle

    kinds, step, ups = ["scalar", "vector", "matrix"], 0.275, (0.02, 0.105, 0.195)
    nine = {(of, by): derivative for of, by, derivative in list_nine()}
    for column, by in enumerate(kinds):
        figure.text(0.13 + column * step, top, f"by {by}", fontsize=8.5, fontweight="bold", va="top")
    for (row, of), (column, by) in itertools.product(enumerate(kinds), enumerate(kinds)):
        left, up = 0.13 + column * step, top - ups[row]
        if column == 0:
            figure.text(_LEFT, up - 0.012, of, fontsize=8.5, fontweight="bold", va="top")
        figure.text(left, up - 0.012, nine[of, by].text, fontsize=7.5, va="top", family="DejaVu Sans Mono")
        for place, (layout, colour, fill) in enumerate(
            (("numerator", _ORANGE, "#fdeee2"), ("denominator", _BLUE, "#e3f0fa"))
        ):
            shape = find_strict_shape(nine[of, by].in_layout(layout))
            beside = left + place * 0.13
            told = write_shape(shape) if shape else "()"
            figure.text(beside, up - 0.03, told, fontsize=7.5, va="top", color=colour)
            for across, down in place_cells(shape):
                corner = (beside + 0.0106 * across, up - 0.055 - 0.0075 * down)
                figure.add_artist(Rectangle(corner, 0.0106, 0.0075, edgecolor=colour, facecolor=fill, linewidth=0.5))


def _draw_list(figure: Any, title: str, lines: Sequence[str], top: float) -> float:
    """Draw a title and its lines, broken where they are too long; return how far down that went."""
    figure.text(_LEFT, top, title, fontsize=10, fontweight="bold", va="top")
    top -= 0.020
    for line in lines:
        broken = textwrap.wrap(line, 105)
        figure.text(_LEFT, top, "•", fontsize=9, va="top")
        figure.text(_LEFT + 0.015, top, "\n".join(broken), fontsize=9, va="top", linespacing=1.3)
        top -= 0.016 * len(broken) + 0.003
    return top - 0.012


def _draw_second(figure: Any) -> None:
    from matplotlib.lines import Line2D

    columns = [(_LEFT, "black"), (0.37, "black"), (0.41, _ORANGE), (0.685, _BLUE)]
    figure.text(_LEFT, 0.965, "Thirty derivatives", fontsize=12, fontweight="bold", va="top")
    top = 0.935
    for (left, colour), head in zip(columns, ("function", "by", "numerator layout", "denominator layout"), strict=True):
        figure.text(left, top, head, fontsize=8.5, fontweight="bold", va="top", color=colour)
    for kind, group in itertools.groupby(list_table(), key=lambda pair: pair[0]):
        top -= 0.026
        figure.text(_LEFT, top, kind, fontsize=8, fontweight="bold", va="top")
        for _, case in group:
            top -= 0.0235
            figure.add_artist(Line2D([_LEFT, _RIGHT], [top + 0.0045] * 2, color="#bbbbbb", linewidth=0.4))
            for (left, colour), text in zip(columns, write_row(case), strict=True):
                small = 8.2 if len(text) < 34 else 6.9
                figure.text(left, top, text.replace("$", r"\$"), fontsize=small, va="top", color=colour)
    figure.text(
        _LEFT, top - 0.04,
        "\n".join(textwrap.wrap(LEGEND, 125)), fontsize=7.2, va="top", linespacing=1.4,
    )  # fmt: skip


def main() -> None:
    HTML.write_text(write_html(), encoding="utf-8")
    write_pdf(PDF)


if __name__ == "__main__":
    main()
