"""The explorer's panel, its fields set as a browser sets them; ipywidgets needs no browser for that."""

import asyncio
import html
import subprocess
import sys
import threading

import pytest

from tests.requirements import find_absent

pytest.importorskip("ipywidgets", reason=find_absent("ipywidgets"))

import matcalc
from matcalc.notebook.exploration import EXAMPLES
from matcalc.notebook.explorer import Explorer

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")


@pytest.fixture
def panel() -> Explorer:
    return matcalc.explore("A @ x")


def list_errors(panel: Explorer) -> list[str]:
    """Every error that the panel shows at the moment."""
    boxes = [panel.expression_error, panel.order_error, panel.claim_error, panel.variables.error_box]
    boxes += [row.error_box for row in panel.variables.rows.values()]
    boxes += [page.error_box for page in panel.tabs.children]
    return [box.value for box in boxes if box.value]


def test_it_opens_with_an_answer():
    panel = matcalc.explore()
    assert panel.expression_box.value == "norm(A@x - b)**2"
    assert (panel.wrt_box.value, panel.layout_box.value, panel.order_box.value) == ("x", "numerator", 1)
    assert list(panel.wrt_box.options) == ["A", "x", "b"]
    assert panel.report.verdict == "agrees"
    assert "numerator layout, shape (n,), a 1×n row" in panel.answer.value
    assert list_errors(panel) == []


def test_it_opens_as_it_is_asked_to():
    panel = matcalc.explore(
        "x.T @ A @ x", "x", layout="denominator", assume={"A": "symmetric"}, order=2, claim="2*A", shapes={"x": ("q",)}
    )
    assert (panel.layout_box.value, panel.order_box.value, panel.claim_box.value) == ("denominator", 2, "2*A")
    row = panel.variables.rows["A"]
    assert (row.shape_box.value, row.assume_box.value) == ("(q, q)", "symmetric")
    assert panel.claim_report.verdict == "agrees"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_switch_turns_shape_and_formula(panel, layout):
    panel.layout_box.value = layout
    assert panel.derivative.layout == layout
    assert f"{layout} layout, shape {panel.derivative.shape}" in panel.answer.value
    assert panel.report.layout == layout


def test_a_flip_shows_where_the_axes_were_before(panel):
    panel.layout_box.value = "denominator"
    assert "numerator (m, n) → denominator (n, m)" in panel.answer.value
    panel.order_box.value = 2
    assert "→" not in panel.answer.value


def test_the_variable_and_the_order_are_chosen(panel):
    panel.wrt_box.value = "A"
    assert panel.derivative.wrt.name == "A"
    assert panel.variables.rows["A"].shape_box.value == "(n, k)"
    panel.order_box.value = 2
    assert len(panel.derivative.shape) == 5


def type_into(box, *texts):
    """What the browser sends while somebody types: the whole text after each key, until the hand rests."""

    async def send():
        for text in texts:
            box.set_state({"value": text})
        await asyncio.sleep(0.1)

    asyncio.run(send())


def test_what_is_typed_is_typeset_at_once_and_answered_when_the_hand_rests(panel, monkeypatch):
    monkeypatch.setattr("matcalc.notebook.explorer.REST", 60)
    type_into(panel.expression_box, "x^T", "x^T A", "x^T A x")
    assert "x^\\top A x" in panel.reading_box.value
    assert str(panel.derivative) == "A"
    assert "matcalc-stale" in panel.answer._dom_classes
    monkeypatch.setattr("matcalc.notebook.explorer.REST", 0)
    type_into(panel.expression_box, "x^T A", "x^T B x")
    assert str(panel.derivative) == "x.T @ (B + B.T)"
    assert "matcalc-stale" not in panel.answer._dom_classes


def test_what_is_typed_is_not_lost_to_another_field(panel, monkeypatch):
    monkeypatch.setattr("matcalc.notebook.explorer.REST", 60)
    type_into(panel.expression_box, "A @ x + b")
    panel.layout_box.value = "denominator"
    assert (panel.expression_box.value, panel.derivative.layout) == ("A @ x + b", "denominator")
    assert panel.derivative.text == "A @ x + b"


def test_what_is_not_finished_is_no_error_yet(panel, monkeypatch):
    type_into(panel.expression_box, "A @ (x")
    assert panel.reading_box.value == ""
    assert not list_errors(panel)
    monkeypatch.setattr("matcalc.notebook.explorer.LONG_REST", 0)
    type_into(panel.expression_box, "A @ (x + ")
    assert list_errors(panel)


def test_another_expression_has_other_variables(panel):
    panel.wrt_box.value = "A"
    panel.expression_box.value = "norm(X@w - y)**2"
    assert list(panel.wrt_box.options) == ["X", "w", "y"]
    assert panel.derivative.wrt.name == panel.wrt_box.value == "X"
    assert "A is no variable" in panel.wrt_note.value
    assert list(panel.variables.rows) == ["X", "w", "y"]
    panel.wrt_box.value = "w"
    assert (panel.derivative.wrt.name, panel.wrt_note.value) == ("w", "")


# --- errors ---------------------------------------------------------------------------------------


def test_a_wrong_expression_hides_every_answer_and_points_at_the_place(panel):
    panel.claim_box.value = "A"
    panel.expression_box.value = "A @@ x"
    (error,) = list_errors(panel)
    assert error == panel.expression_error.value
    assert 'role="alert"' in error
    assert "^" in error
    assert panel.answer.value == panel.claim_answer.value == ""
    assert "no derivative" in panel.tabs.steps_page.content.value
    assert panel.derivative is panel.report is panel.claim_report is None
    assert panel.wrt_box.disabled
    panel.expression_box.value = "A @ x"
    assert list_errors(panel) == []
    assert not panel.wrt_box.disabled
    assert "agrees" in panel.answer.value
    assert "agrees" in panel.claim_answer.value


def test_rows_that_nothing_is_known_of_are_greyed_and_come_back(panel):
    row = panel.variables.rows["A"]
    panel.expression_box.value = "A @"
    assert row.shape_box.disabled
    panel.expression_box.value = "A @ x"
    assert panel.variables.rows["A"] is row
    assert not row.shape_box.disabled


def test_a_wrong_shape_is_told_in_its_row_and_the_rows_stay_as_widgets(panel):
    rows = dict(panel.variables.rows)
    rows["A"].shape_box.value = "3x4"
    assert list_errors(panel) == [rows["A"].error_box.value]
    assert "matcalc-wrong" in rows["A"].shape_box._dom_classes
    assert rows["A"].shape_box.value == "3x4"
    assert panel.answer.value == ""
    assert panel.variables.rows == rows
    rows["A"].shape_box.value = "3, 4"
    assert list_errors(panel) == []
    assert "matcalc-wrong" not in rows["A"].shape_box._dom_classes
    assert (rows["A"].shape_box.value, rows["x"].shape_box.value) == ("(3, 4)", "(4,)")


def test_a_wrong_assumption_is_told_in_its_row(panel):
    panel.variables.rows["A"].assume_box.value = "sym"
    assert "did you mean symmetric" in panel.variables.rows["A"].error_box.value
    assert "matcalc-wrong" in panel.variables.rows["A"].assume_box._dom_classes


def test_a_wrong_claim_is_told_below_the_claim(panel):
    panel.claim_box.value = "A @@"
    assert list_errors(panel) == [panel.claim_error.value]
    assert panel.claim_answer.value == ""
    assert "agrees" in panel.answer.value


def test_an_order_without_a_derivative_is_told_below_the_order():
    panel = matcalc.explore("expm(X)")
    panel.order_box.value = 2
    assert list_errors(panel) == [panel.order_error.value]
    panel.order_box.value = 1
    assert list_errors(panel) == []


def test_what_nobody_foresaw_is_one_sentence_and_the_panel_goes_on(panel, monkeypatch, caplog):
    monkeypatch.setattr(panel.variables, "show", lambda *_: 1 // 0)
    panel.expression_box.value = "B @ x"
    assert "ZeroDivisionError" in panel.expression_error.value
    assert panel.answer.value == ""
    assert caplog.text == ""
    monkeypatch.undo()
    panel.expression_box.value = "A @ x"
    assert list_errors(panel) == []
    assert "matcalc-stale" not in panel.answer._dom_classes
    assert str(panel.derivative) == "A"


def test_what_is_typed_is_never_a_tag(panel):
    panel.expression_box.value = "<script>alert(1)</script>"
    panel.claim_box.value = "<b>A</b>"
    shown = [panel.answer.value, panel.claim_answer.value, *list_errors(panel)]
    assert not any("<script" in text or "<b>A" in text for text in shown)


# --- the table ------------------------------------------------------------------------------------


def test_what_is_edited_is_a_declaration_until_it_is_dropped(panel):
    assert panel.variables.reset_button.disabled
    panel.variables.rows["A"].shape_box.value = "q, q"
    panel.variables.rows["x"].assume_box.value = "positive"
    panel.expression_box.value = "x.T @ A @ x"
    assert panel.derivative.declared["A"] == ("q", "q")
    assert panel.derivative.assumed == {"x": ("positive",)}
    assert not panel.variables.reset_button.disabled
    panel.variables.reset_button.click()
    assert panel.variables.rows["A"].shape_box.value == "(n, n)"
    assert panel.derivative.assumed == {}


def test_an_emptied_shape_is_inferred_again(panel):
    box = panel.variables.rows["A"].shape_box
    box.value = "q, q"
    box.value = ""
    assert box.value == "(m, n)"
    assert panel.exploration.question.shapes == {}


# --- claims ---------------------------------------------------------------------------------------


def test_a_claim_follows_every_change():
    panel = matcalc.explore("x.T @ A @ x", layout="denominator")
    panel.claim_box.value = "2*A @ x"
    assert panel.claim_report.reasons == ("symmetric-only",)
    assert "Right only if A is symmetric" in html.unescape(panel.claim_answer.value)
    panel.variables.rows["A"].assume_box.value = "symmetric"
    assert panel.claim_report.verdict == "agrees"
    panel.expression_box.value = "3*x.T @ A @ x"
    assert panel.claim_report.verdict == "differs"
    panel.claim_box.value = ""
    assert (panel.claim_report, panel.claim_answer.value) == (None, "")


def test_a_claim_in_the_other_layout_is_right_after_the_flip(panel):
    panel.claim_box.value = "A.T"
    assert panel.claim_report.fits == ("denominator",)
    panel.layout_box.value = "denominator"
    assert panel.claim_report.verdict == "agrees"


# --- examples and tabs ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_answered_in_every_tab(panel, name):
    panel.claim_box.value = "A"
    panel.examples_box.value = name
    assert (panel.expression_box.value, panel.wrt_box.value) == EXAMPLES[name]
    assert panel.claim_box.value == panel.claim_answer.value == ""
    assert panel.report.verdict == "agrees"
    for place in range(4):
        panel.tabs.selected_index = place
    assert list_errors(panel) == []
    # The list is ready for the next choice, be it the same.
    assert panel.examples_box.value not in EXAMPLES


def test_a_tab_is_written_only_when_it_is_looked_at(panel):
    tabs = panel.tabs
    assert "<table" in tabs.steps_page.content.value
    assert tabs.graph_page.content.value == tabs.code_page.content.value == tabs.heat_page.content.value == ""
    tabs.selected_index = 2
    assert "import numpy" in tabs.code_page.content.value
    before = tabs.steps_page.content.value
    panel.expression_box.value = "A @ x + b"
    assert tabs.steps_page.content.value == before
    tabs.selected_index = 0
    assert tabs.steps_page.content.value != before


def test_a_tab_never_shows_an_older_answer(panel):
    tabs = panel.tabs
    tabs.selected_index = 1
    panel.expression_box.value = "A @@"
    tabs.selected_index = 0
    assert "no derivative" in tabs.steps_page.content.value
    panel.expression_box.value = "sum(x)"
    assert "<table" in tabs.steps_page.content.value
    tabs.selected_index = 1
    assert "sum" in tabs.graph_page.content.value


@pytest.mark.parametrize(
    ("backend", "word"), [("numpy", "numpy"), ("torch", "torch"), ("jax", "jax"), ("autograd", "Function")]
)
def test_the_code_follows_the_choice(panel, backend, word):
    panel.tabs.selected_index = 2
    panel.tabs.code_page.backend_box.value = backend
    assert word in panel.tabs.code_page.content.value


def test_the_heat_map_follows_sizes_and_points(panel):
    heat = panel.tabs.heat_page
    panel.tabs.selected_index = 3
    first = heat.content.value
    heat.size_boxes["n"].value = 6
    assert "(3, 6)" in heat.content.value
    heat.size_boxes["n"].value = 4
    assert heat.content.value == first
    panel.expression_box.value = "x.T @ A @ x"
    at_seed_0 = heat.content.value
    heat.another_button.click()
    assert heat.seed_box.value == 1
    assert heat.content.value != at_seed_0


def test_a_heat_map_that_is_too_large_says_so_and_the_sizes_can_be_mended():
    panel = matcalc.explore("A @ X @ B", "X")
    heat = panel.tabs.heat_page
    panel.tabs.selected_index = 3
    for box in heat.size_boxes.values():
        box.value = 50
    assert "at most 40,000" in heat.error_box.value
    assert heat.content.value == ""
    for box in heat.size_boxes.values():
        box.value = 2
    assert heat.error_box.value == ""
    assert "<svg" in heat.content.value


# --- keyboard, labels, names ----------------------------------------------------------------------


def list_widgets(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from list_widgets(child)


def test_every_control_has_a_label_and_applies_when_it_is_left(panel):
    panel.tabs.selected_index = 3
    controls = [widget for widget in list_widgets(panel) if hasattr(widget, "description") and hasattr(widget, "value")]
    controls = [widget for widget in controls if not type(widget).__name__.startswith("HTML")]
    assert len(controls) >= 12
    assert [widget for widget in controls if not widget.description] == []
    # The expression is typeset while one types; its answer waits until the hand rests.
    assert [box for box in controls if getattr(box, "continuous_update", False)] == [panel.expression_box]


def test_the_important_parts_carry_their_names(panel):
    names = {name for widget in list_widgets(panel) for name in widget._dom_classes}
    wanted = "expression wrt layout order variables answer claim claim-answer tabs error examples"
    assert {f"matcalc-{name}" for name in wanted.split()} <= names


def test_the_sentence_for_screen_readers_is_the_answer(panel):
    told = "dy/dx   numerator layout, shape (m, n); exactly equal in SymPy at m, n = 2, 3 and 3, 2; agrees"
    assert f'aria-live="polite">{told}' in panel.answer.value


# --- threads --------------------------------------------------------------------------------------


def test_changes_from_several_threads_wait_for_each_other(panel):
    """JupyterLab hands the messages of the fields to threads of their own."""
    texts = [f"A @ x + {number}*x" for number in range(2, 8)]
    claims = [f"A + {number}*eye(n)" for number in range(2, 8)]

    def type_in(box, values):
        for value in values:
            box.value = value

    threads = [
        threading.Thread(target=type_in, args=(panel.expression_box, texts)),
        threading.Thread(target=type_in, args=(panel.claim_box, claims)),
        threading.Thread(target=type_in, args=(panel.layout_box, ["denominator", "vec", "torch", "numerator"])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (panel.expression_box.value, panel.claim_box.value) == (texts[-1], claims[-1])
    assert panel.exploration.question.expr == texts[-1]
    assert panel.exploration.question.claim == claims[-1]
    assert (panel.derivative.layout, panel.claim_report.verdict) == ("numerator", "agrees")
    assert "matcalc-stale" not in panel.answer._dom_classes


# --- without ipywidgets ---------------------------------------------------------------------------


def test_without_ipywidgets_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['ipywidgets'] = None\nimport matcalc\n"
        "try:\n    matcalc.explore()\nexcept matcalc.MatcalcError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install -c constraints.txt '.[notebook]'" in done.stdout


def test_importing_the_package_imports_no_widgets():
    heavy = "('ipywidgets', 'IPython', 'numpy', 'torch')"
    code = f"import sys, matcalc.notebook; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
