"""The card of a derivative: what it says, that it is small, and that no text becomes a tag or mathematics."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from matplotlib.mathtext import MathTextParser

from matcalc import check, derive
from matcalc.check.report import CheckReport, could_not_check
from matcalc.engine.layout import LAYOUTS
from matcalc.render.answer_html import (
    LONGEST_VIEW,
    STRIDE,
    write_derivative_html,
    write_derivatives_html,
    write_shape_tiles,
)
from matcalc.render.entries import write_entries_latex
from matcalc.render.html import escape, fold, typeset, write_block, write_code, write_table, write_told
from matcalc.render.report import list_axis_rows, name_question_axes
from tests.read_cases import derive_case, read_cases
from tests.render.read_html import Page, open_pictures

NASTY = "<script>alert(1)</script> & $x$ \\(y\\) \\[z\\]"
TYPESETTER = MathTextParser("path")


def show(expr: str, wrt: object = None, **options: object) -> Page:
    return Page(write_derivative_html(derive(expr, wrt, **options)))


def nest(depth: int) -> str:
    text = "x"
    for k in range(depth):
        text = f"tanh(W_{k} @ {text})"
    return f"sum({text})"


# --- the card -------------------------------------------------------------------------------------


def test_a_card_says_function_derivative_shape_and_verdict():
    derivative = derive("norm(A@x - b)**2", layout="denominator")
    page = Page(write_derivative_html(derivative, derivative.check()))
    assert r"\displaystyle f = \left\| A x - b \right\|^{2}" in page.mathematics
    assert r"\displaystyle \frac{\partial f}{\partial x} = 2 A^\top (A x - b)" in page.mathematics
    assert "A: (p, n)" in page.text
    assert "denominator layout, shape (n,), a column" in page.text
    assert "0nx axis 0variable" in page.text
    equal = "✓ agrees: exactly equal in SymPy at p, n = 2, 3 and 3, 2"
    assert f"{equal}; agrees with torch.autograd.functional.jacobian at 3 points, largest relative error" in page.text
    codes = ["code", "numpy", "torch", "jax", "torch.autograd.Function"]
    assert page.folds == ["steps", "chain rule", "graph", *codes, "components"]


def test_assumptions_and_notes_are_told():
    assert "S: (n, n) posdef" in show("logdet(S)", "S", assume={"S": "posdef"}).text
    assert "note: relu(W @ x + b) is not differentiable where W @ x + b = 0" in show("relu(W @ x + b)", "x").text


def test_rank_four_is_told_entry_by_entry():
    page = show("A @ X @ B", "X")
    formula = r"\displaystyle \frac{\partial Y_{i j}}{\partial X_{a b}} = A_{i a} B_{b j}"
    assert formula in page.mathematics
    assert r"\displaystyle B^\top \otimes A" in page.mathematics
    assert r"\displaystyle \mathrm{d} Y = A \, \mathrm{d} X \, B" in page.mathematics
    assert "einsum('ia,bj->ijba', A, B)" in page.text
    assert "0mY axis 0result1lY axis 1result2kX axis 1variable3nX axis 0variable" in page.text
    assert (page.find_classes("mc-result"), page.find_classes("mc-wrt")) == (2, 2)


@pytest.mark.parametrize(
    ("expr", "wrt", "order", "layout", "left"),
    [
        ("x.T @ A @ x", "x", 2, "numerator", r"\frac{\partial^{2} f}{\partial x^{2}}"),
        ("x.T @ A @ y", None, ("x", "y"), "numerator", r"\frac{\partial^{2} f}{\partial x \, \partial y}"),
        ("A @ X", "X", 1, "vec", r"\frac{\partial \, \mathrm{vec}(Y)}{\partial \, \mathrm{vec}(X)^\top}"),
        ("alpha**2", "alpha", 1, "torch", r"\frac{\partial f}{\partial \alpha}"),
    ],
)
def test_the_left_side_names_order_variables_and_layout(expr, wrt, order, layout, left):
    page = show(expr, wrt, order=order, layout=layout)
    assert any(text.startswith(rf"\displaystyle {left} = ") for text in page.mathematics)


def test_a_scalar_has_no_table_of_axes():
    page = show("alpha**2", "alpha")
    assert "numerator layout, a scalar" in page.text
    assert "what it is" not in page.text


def test_a_view_that_there_is_not_says_why():
    page = show("x.T @ A @ y", order=("x", "y"))
    assert page.folds == ["graph", "components"]
    assert "no steps and no code: steps are shown of derivatives by one variable" in page.text


def test_the_chain_rule_is_of_first_derivatives():
    assert "chain rule" not in show("sum(x**3)", "x", order=2).folds


@pytest.mark.parametrize(("verdict", "sign"), [("agrees", "✓"), ("differs", "✗"), ("could not check", "?")])
def test_a_verdict_has_a_word_and_a_sign_beside_its_colour(verdict, sign):
    page = Page(write_derivative_html(derive("A @ x"), CheckReport(verdict, message=f"{verdict}: because")))
    assert f"{sign} {verdict} because" in page.text


def test_without_a_report_there_is_no_verdict():
    assert Page(write_derivative_html(derive("A @ x"))).find_classes("mc-verdict") == 0


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("expr", ["A @ x", "norm(A@x - b)**2", "softmax(x)", "log_softmax(A @ x)"])
def test_the_card_of_a_simple_derivative_is_small(expr):
    derivative = derive(expr, "x")
    assert len(write_derivative_html(derivative, derivative.check()).encode()) < 25_000


@pytest.mark.parametrize(
    ("expr", "order"), [(nest(24), 1), ("*".join(["x"] * 60), 1), (nest(5).replace("W_4", "V"), 2)]
)
def test_a_large_derivative_names_the_calls(expr, order):
    html = write_derivative_html(derive(expr, "x", order=order))
    page = Page(html)
    assert len(html) < 3 * LONGEST_VIEW
    assert "d.steps" in page.text
    assert "steps" not in page.folds


def test_a_formula_too_long_to_typeset_is_text_and_says_that_it_is_cut():
    derivative = derive(" + ".join(f"tanh(A_{k} @ x)*c_{k}" for k in range(150)), "x", shapes={})
    page = Page(write_derivative_html(derivative))
    assert "characters; print() shows them all" in page.text
    assert len(page.text) < 30_000


# --- many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cards_of_textbook_cases_are_whole(layout):
    for place, case in enumerate(read_cases()):
        if place % 40 == LAYOUTS.index(layout):
            derivative = derive_case(case, layout)
            page = Page(write_derivative_html(derivative))
            # What is too long to be typeset stands there as text, entry by entry.
            assert len(page.mathematics) >= 2 or derivative.entries in page.text, case.id
            rows = list_axis_rows(derivative)
            assert [row.size for row in rows] == [str(size) for size in derivative.shape], case.id


def test_entry_formulas_can_be_typeset_and_say_what_the_text_says():
    for place, case in enumerate(read_cases()):
        if place % 8 == 0:
            derivative = derive_case(case, "numerator")
            latex = write_entries_latex(derivative.result, derivative.result_name)
            assert latex.count(r"\sum_") == derivative.entries.count("sum_"), case.id
            if "substack" not in latex and "text{" not in latex:
                TYPESETTER.parse(f"${latex}$".replace(r"\top", "T").replace(r"\operatorname", r"\mathrm"))


# --- several --------------------------------------------------------------------------------------


def test_several_derivatives_share_a_card():
    found = derive("norm(X@w + b - y)**2", ["w", "b"], layout="denominator", shapes={"b": ()})
    page = Page(write_derivatives_html(found))
    assert r"\displaystyle \frac{\partial f}{\partial w} = 2 X^\top (X w + b - y)" in page.mathematics
    assert any(text.startswith(r"\displaystyle \frac{\partial f}{\partial b} = ") for text in page.mathematics)
    assert page.text.count("✓ agrees") == 2
    assert page.text.count("X: (p, n)") == 1
    assert found._repr_html_() == write_derivatives_html(found)


def test_a_block_hessian_is_a_table_of_blocks():
    page = Page(write_derivatives_html(derive("x.T @ A @ y + y.T @ y", "x, y", order=2)))
    assert [text.removeprefix(r"\displaystyle ") for text in page.mathematics[1:]] == [
        r"\mathbf{0}_{n \times n}", "A", r"A^\top", "2 I_{p}"
    ]  # fmt: skip
    assert page.text.count("✓ agrees") == 4
    assert "(p, n)" in page.text


def test_reports_that_were_made_before_are_shown_as_they_are():
    found = derive("x.T @ y", ["x", "y"])
    reports = {"x": could_not_check("no time"), "y": found["y"].check()}
    page = Page(write_derivatives_html(found, reports))
    assert "? could not check no time" in page.text
    assert page.text.count("✓ agrees") == 1


# --- texts of others ------------------------------------------------------------------------------


def test_what_is_not_ours_becomes_neither_a_tag_nor_mathematics():
    for html in (escape(NASTY), write_told("differs", NASTY), write_code(NASTY), write_block(NASTY),
                 fold(escape(NASTY), escape(NASTY)), write_table([escape(NASTY)], [[escape(NASTY)]])):  # fmt: skip
        page = Page(html)
        assert page.count("script") == 0
        assert "<script>alert(1)</script> & $x$ \\(y\\)" in page.text


def test_prose_starts_no_mathematics_within_one_piece_of_text():
    page = Page(escape(NASTY))
    assert page.mathematics == []
    assert not [piece for piece in page.pieces if len(piece) > 1 and re.search(r"[$\\]", piece)]


def test_a_message_in_a_card_is_escaped():
    page = Page(write_derivative_html(derive("A @ x"), CheckReport("differs", message=f"differs: {NASTY}")))
    assert page.count("script") == 0
    assert NASTY in page.text


def test_mathematics_is_escaped_for_html():
    assert Page(typeset("a < b & c")).mathematics == [r"\displaystyle a < b & c"]
    page = show("where(x > 0, x, 0*x)", "x")
    assert any(">" in text for text in page.mathematics)


# --- graphs ---------------------------------------------------------------------------------------


def test_the_graph_is_a_picture_that_pages_keep_which_are_not_trusted():
    html = write_derivative_html(derive("norm(A@x - b)**2"))
    assert "<svg" not in html
    drawn = open_pictures(html)
    assert "<svg" in drawn
    assert not re.search(r'\sid="|<title|<!--|<\?xml|"black"|"white"', drawn)


def test_where_the_graph_cannot_be_drawn_it_is_text():
    code = "import sys; sys.modules['grandalf'] = None; import matcalc; print(matcalc.derive('A @ x')._repr_html_())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    page = Page(done.stdout)
    assert "reverse accumulation, directions carried" in page.text
    assert page.count("svg") == 0


# --- tiles ----------------------------------------------------------------------------------------


def list_tiles(html: str) -> list[tuple[str, float]]:
    """The size on each tile, and how many places to the right of its own it starts."""
    found = re.findall(r'<div class="mc-tile[^"]*"(?: style="--from:(-?[\d.]+)em")?><b>([^<]*)</b>', html)
    return [(size, float(start or 0) / STRIDE) for start, size in found]


def test_tiles_start_where_they_stood():
    derivative = derive("A @ X @ B", "X")
    turned = write_shape_tiles(derivative.in_layout("denominator"), derivative)
    assert list_tiles(turned) == [("n", 3), ("k", 1), ("l", -1), ("m", -3)]
    assert "numerator (m, l, k, n) → denominator (n, k, l, m)" in Page(turned).text
    assert list_tiles(write_shape_tiles(derivative)) == [(size, 0) for size in "mlkn"]


def test_equal_sizes_slide_by_what_they_are():
    derivative = derive("A @ x", shapes={"A": ("n", "n")})
    turned = write_shape_tiles(derivative.in_layout("denominator"), derivative)
    assert list_tiles(turned) == [("n", 1), ("n", -1)]


def test_the_axes_of_vec_are_joined():
    derivative = derive("A @ X @ B", "X")
    joined = write_shape_tiles(derivative.in_layout("vec"), derivative)
    assert list_tiles(joined) == [("m*l", 0.5), ("n*k", 1.5)]
    parted = write_shape_tiles(derivative, derivative.in_layout("vec"))
    assert list_tiles(parted) == [("m", 0), ("l", -1), ("k", -1), ("n", -2)]


def test_a_scalar_is_one_tile():
    assert list_tiles(write_shape_tiles(derive("alpha**2", "alpha"))) == [("scalar", 0)]


def test_who_asks_for_less_motion_sees_none():
    assert "prefers-reduced-motion:reduce" in write_shape_tiles(derive("A @ x"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("expr", "order"), [("A @ X", 1), ("sum(X)", 1), ("X @ v", 1), ("A @ x", 1), ("x.T @ A @ x", 2), ("sum(X**3)", 2)]
)
def test_a_question_names_the_axes_as_the_derivative_does(expr, order, layout):
    derivative = derive(expr, layout=layout, order=order)
    by = [(wrt.name, wrt.squeezed_shape) for wrt in derivative.by]
    rank = len(derivative.function.squeezed_shape)
    assert name_question_axes(derivative.result_name, rank, by, layout) == list(derivative.axes)


def test_a_notebook_shows_these_pages():
    derivative = derive("A @ x")
    assert derivative._repr_html_() == write_derivative_html(derivative, derivative.check())
    assert check("A @ x", "A")._repr_html_().count("matcalc mc-card") == 1
