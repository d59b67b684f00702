"""The explorer and the rich results as a person meets them: in a real JupyterLab, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.notebook.explorer_panel import (
    ANSWER,
    CLAIM,
    ERROR,
    EXPRESSION,
    JUDGEMENT,
    LAYOUT,
    PANEL,
    READING,
    TABS,
    VARIABLE,
    ExplorerPanel,
    NotebookPage,
)  # fmt: skip
from tests.notebook.jupyterlab_session import Lab, name_missing_parts, run_browser, run_lab
from tests.requirements import BRINGS

pytestmark = pytest.mark.browser
HEAT_MAPS = "heat maps of the true derivative and of the claim"
OUTPUT = ".jp-OutputArea-output"
THEMES = ["JupyterLab Light", "JupyterLab Dark"]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    missing = name_missing_parts()
    if missing and os.environ.get("MATCALC_REQUIRE_BROWSER") == "1":
        pytest.fail(f"MATCALC_REQUIRE_BROWSER is 1, and this machine lacks {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"this machine lacks {', '.join(missing)}; apt-get install chromium chromium-driver; {BRINGS}")
    with run_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with run_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def opened(browser: Any, lab: Lab) -> ExplorerPanel:
    lab.choose_theme(THEMES[0])
    panel = ExplorerPanel(browser, lab)
    panel.open_explorer("explorer")
    return panel


@pytest.fixture
def panel(opened: ExplorerPanel) -> Iterator[ExplorerPanel]:
    """The explorer, its claim empty and its layout numerator, whatever the test before has left."""
    opened.enter(CLAIM, "")
    opened.enter(EXPRESSION, "start.T @ x")
    opened.choose_layout("numerator")
    opened.await_text(ANSWER, "start: (n,)", "numerator layout", "agrees")
    yield opened
    assert opened.list_browser_errors() == []


# --- an expression, its variable, its layout ------------------------------------------------------


def test_what_is_typed_is_answered_with_shape_and_verdict(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ X @ B")
    seen = panel.await_text(ANSWER, "numerator layout, shape (m, l, k, n)", "agrees")
    assert "agrees with torch.autograd.functional.jacobian at 3 points" in seen
    assert "A: (m, n)" in seen
    assert "X: (n, k)" in seen


def test_mathematics_is_typeset(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "norm(A@x - b)**2")
    panel.await_text(ANSWER, "shape (n,)", "agrees")
    panel.wait(lambda: len(panel.read_mathematics(ANSWER)) >= 2, "two typeset formulas")
    assert not [sign for sign in ("\\(", "\\)", "\\frac", "$$") if sign in panel.read(PANEL)]


def test_what_is_typed_is_typeset_while_one_types_and_answered_when_the_hand_rests(panel: ExplorerPanel) -> None:
    from selenium.webdriver.common.keys import Keys

    panel.click(f"{EXPRESSION} input")
    panel.press("a", held=Keys.CONTROL)
    panel.press(Keys.BACKSPACE, *"y^T B")
    panel.wait(lambda: "B" in "".join(panel.read_mathematics(READING)), "the reading of what is typed so far")
    panel.press(*" x")
    panel.await_text(ANSWER, "x: (n,)", "y: (p,)", "numerator layout, shape (n,)", "agrees")
    assert "x" in "".join(panel.read_mathematics(READING))


def test_another_variable_is_chosen(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ x - b")
    panel.await_text(ANSWER, "shape (m, n)", "agrees")
    panel.choose_variable("A")
    panel.await_text(ANSWER, "shape (n, k, n)", "agrees")
    panel.choose_variable("b")
    panel.await_text(ANSWER, "shape (n, n)", "agrees")


def test_the_layout_is_flipped_with_a_click_and_from_the_keyboard(panel: ExplorerPanel) -> None:
    from selenium.webdriver.common.keys import Keys

    panel.enter(EXPRESSION, "A @ x")
    panel.await_text(ANSWER, "numerator layout, shape (m, n)", "agrees")
    panel.choose_layout("denominator")
    panel.await_text(ANSWER, "denominator layout, shape (n, m)", "agrees")
    panel.reach(f"{LAYOUT} button", "torch")
    panel.press(Keys.SPACE)
    panel.await_text(ANSWER, "torch layout, shape (m, n)", "agrees")
    panel.reach(f"{LAYOUT} button", "numerator", back=True)
    panel.press(Keys.ENTER)
    panel.await_text(ANSWER, "numerator layout, shape (m, n)", "agrees")


def test_a_flip_moves_the_axes_of_the_shape_to_their_new_places(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ X @ B")
    panel.await_text(ANSWER, "shape (m, l, k, n)")
    assert panel.read_tiles() == ["m", "l", "k", "n"]
    panel.choose_layout("denominator")
    panel.await_text(ANSWER, "shape (n, k, l, m)", "numerator (m, l, k, n) → denominator (n, k, l, m)")
    panel.await_rest()
    assert panel.read_tiles() == ["n", "k", "l", "m"]


def test_the_order_is_raised(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "x.T @ A @ x")
    panel.click_named(".matcalc-order button", "2")
    panel.await_text(ANSWER, "shape (n, n)", "agrees")
    panel.click_named(".matcalc-order button", "1")
    panel.await_text(ANSWER, "shape (n,)", "agrees")


# --- the table of variables -----------------------------------------------------------------------


def test_a_shape_is_edited(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ x")
    panel.await_text(ANSWER, "shape (m, n)", "agrees")
    panel.wait(lambda: panel.read_shapes() == {"A": "(m, n)", "x": "(n,)"}, "the shapes as inferred")
    panel.edit_variable("A", "shape", "k, k")
    panel.await_text(ANSWER, "shape (k, k)", "agrees")
    panel.wait(lambda: panel.read_shapes() == {"A": "(k, k)", "x": "(k,)"}, "the shapes as declared")


def test_an_assumption_is_edited(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "x.T @ S @ x")
    panel.await_text(ANSWER, "shape (n,)", "agrees")
    panel.wait(lambda: "∂f∂x=x⊤(S+S⊤)" in panel.read_mathematics(ANSWER), "a formula for any S")
    panel.edit_variable("S", "assumptions", "symmetric")
    panel.await_text(ANSWER, "symmetric", "agrees")
    panel.wait(lambda: "∂f∂x=2x⊤S" in panel.read_mathematics(ANSWER), "a shorter formula")


def test_a_shape_that_does_not_fit_is_told_below_it_and_can_be_taken_back(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "C @ x")
    panel.await_text(ANSWER, "shape (m, n)", "agrees")
    panel.edit_variable("C", "shape", "2, 3, 4")
    panel.await_text(f".matcalc-variables {ERROR}", "shape")
    assert "agrees" not in panel.read(ANSWER)
    panel.click_named("button", "infer again")
    panel.await_text(ANSWER, "shape (m, n)", "agrees")
    assert not panel.read(ERROR).strip()


# --- the claim ------------------------------------------------------------------------------------


def test_a_wrong_claim_is_diagnosed(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "x.T @ B @ x")
    panel.choose_layout("denominator")
    panel.await_text(ANSWER, "denominator layout, shape (n,)", "agrees")
    panel.enter(CLAIM, "2*B @ x")
    panel.await_text(JUDGEMENT, "differs", "Right only if B is symmetric, which is not assumed.")
    panel.await_text(JUDGEMENT, "both Jacobians in numbers", "the worst, framed: entry [")
    panel.wait(lambda: HEAT_MAPS in panel.list_pictures(JUDGEMENT), "the heat maps of claim and truth")


def test_a_right_claim_agrees(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "x.T @ B @ x")
    panel.choose_layout("denominator")
    panel.enter(CLAIM, "B @ x + B.T @ x")
    panel.await_text(JUDGEMENT, "agrees")
    assert "differs" not in panel.read(JUDGEMENT)


def test_the_judgement_follows_the_layout(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ x")
    panel.enter(CLAIM, "A")
    panel.await_text(JUDGEMENT, "agrees")
    panel.choose_layout("denominator")
    panel.await_text(JUDGEMENT, "differs", "transpose")


# --- errors ---------------------------------------------------------------------------------------


def test_an_error_stands_below_the_field_with_its_caret_and_the_old_answer_is_gone(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "x @ A")
    seen = panel.await_text(ERROR, "x @ A needs equal inner sizes", "^^^^^", "try: write x.T @ A")
    assert has_caret_below(seen, "x @ A")
    assert "agrees" not in panel.read(ANSWER)
    field, message = panel.find(f"{EXPRESSION} input").rect, panel.find(f"{ERROR} pre").rect
    assert 0 <= message["y"] - (field["y"] + field["height"]) < 30
    panel.enter(EXPRESSION, "x.T @ A")
    panel.await_text(ANSWER, "agrees")
    assert not panel.read(ERROR).strip()


def has_caret_below(text: str, place: str) -> bool:
    """Whether the line after the one that holds the text points at its first sign."""
    pairs = pairwise(text.splitlines())
    return any(line.strip() == place and below.find("^") == line.find(place) for line, below in pairs)


def test_a_claim_that_cannot_be_read_is_an_error_below_the_claim(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ x")
    panel.enter(CLAIM, "A @@ 2")
    panel.await_text(ERROR, "A @@ 2", "^")
    assert not panel.read(JUDGEMENT).strip()
    assert "agrees" in panel.read(ANSWER)


# --- the tabs -------------------------------------------------------------------------------------


def test_every_tab_shows_its_page(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "norm(A@x - b)**2")
    panel.await_text(ANSWER, "shape (n,)", "agrees")
    panel.open_tab("steps")
    panel.wait(lambda: panel.read_mathematics(TABS), "typeset steps")
    panel.open_tab("graph")
    panel.wait(lambda: panel.find_all(f"{TABS} svg"), "a drawn graph")
    panel.open_tab("code")
    panel.await_text(TABS, "import numpy", "def ")
    panel.open_tab("heat map")
    panel.wait(lambda: panel.find_all(f"{TABS} svg"), "a heat map")
    panel.open_tab("steps")


def test_a_size_changes_the_heat_map(panel: ExplorerPanel) -> None:
    panel.enter(EXPRESSION, "A @ x")
    panel.await_text(ANSWER, "shape (m, n)", "agrees")
    panel.open_tab("heat map")
    panel.await_text(TABS, "dy/dx, shape (3, 4)")
    panel.choose_size("n", 9)
    panel.await_text(TABS, "dy/dx, shape (3, 9)")
    panel.open_tab("steps")


# --- the keyboard ---------------------------------------------------------------------------------


def test_the_whole_way_from_the_keyboard_alone(panel: ExplorerPanel) -> None:
    from selenium.webdriver.common.keys import Keys

    panel.reach(f"{EXPRESSION} input", back=True)
    panel.type_over("x.T @ K @ x")
    panel.await_text(ANSWER, "K: (n, n)", "numerator layout, shape (n,)", "agrees")
    panel.reach(f"{VARIABLE} select")
    panel.press(Keys.ARROW_DOWN)
    panel.await_text(ANSWER, "shape (n, n)", "agrees")
    panel.press(Keys.ARROW_UP)
    panel.await_text(ANSWER, "shape (n,)", "agrees")
    panel.reach(f"{LAYOUT} button", "denominator")
    panel.press(Keys.SPACE)
    panel.await_text(ANSWER, "denominator layout, shape (n,)", "agrees")
    panel.reach(f"{CLAIM} input")
    panel.type_over("2*K @ x")
    panel.await_text(JUDGEMENT, "differs", "Right only if K is symmetric")
    panel.reach(f"{TABS} .lm-TabBar-tab", "steps")
    panel.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    panel.await_text(TABS, "import numpy")
    panel.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ENTER)
    panel.wait(lambda: panel.read_mathematics(TABS), "typeset steps")


def test_keys_pressed_on_a_button_are_no_commands_to_the_notebook(panel: ExplorerPanel) -> None:
    """x cuts a cell, a adds one, the arrows leave the panel: nobody means that who stands on the layout's buttons."""
    panel.reach(f"{LAYOUT} button", "numerator", back=True)
    panel.press("a", "b", "x", "d", "d")
    panel.reach(f"{LAYOUT} button", "torch")
    assert len(panel.find_all(".jp-Cell")) == 2  # that of the explorer, and the empty one below it


# --- both themes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
def test_the_explorer_is_legible(browser: Any, lab: Lab, theme: str) -> None:
    lab.choose_theme(theme)
    panel = ExplorerPanel(browser, lab)
    call = "matcalc.explore('x.T @ A @ x', layout='denominator', claim='2*A @ x', assume='x: positive')"
    panel.open_explorer(f"explorer {theme}", call)
    panel.await_text(JUDGEMENT, "differs")
    unreadable = set(panel.list_illegible(PANEL))
    for title in ("graph", "code", "heat map"):
        panel.open_tab(title)
        panel.wait(lambda title=title: panel.find_all(f"{TABS} {'pre' if title == 'code' else 'svg'}"), title)
        unreadable |= set(panel.list_illegible(TABS))
    panel.enter(EXPRESSION, "x @ A")
    panel.await_text(ERROR, "^^^^^")
    unreadable |= set(panel.list_illegible(PANEL))
    assert not unreadable, "\n".join(sorted(unreadable))
    assert panel.list_browser_errors() == []


@pytest.mark.parametrize("theme", THEMES)
def test_rich_results_are_typeset_and_legible_and_fold_open(browser: Any, lab: Lab, theme: str) -> None:
    lab.choose_theme(theme)
    page = NotebookPage(browser, lab)
    asked = "'norm(A@x - b)**2', layout='denominator'"
    check = "matcalc.check('x.T @ A @ x', '2*A @ x', layout='denominator')"
    page.open(f"results {theme}", f"import matcalc\nmatcalc.derive({asked})", check)
    page.run_cell()
    page.await_text(OUTPUT, "denominator layout, shape (n,)", "agrees")
    page.wait(lambda: page.read_mathematics(OUTPUT), "typeset mathematics")
    assert "\\(" not in page.read(OUTPUT)
    page.run_cell(1)
    page.await_text(OUTPUT, "Right only if A is symmetric")
    assert page.open_folds(OUTPUT) >= 4
    page.await_text(OUTPUT, "Matrix Cookbook", "import numpy", "matcalc check ")
    page.wait(lambda: HEAT_MAPS in page.list_pictures(OUTPUT), "the heat maps of claim and truth")
    assert "the computation graph with the local derivatives" in page.list_pictures(OUTPUT)
    assert not page.list_illegible(OUTPUT), "\n".join(page.list_illegible(OUTPUT))
    assert page.list_browser_errors() == []
