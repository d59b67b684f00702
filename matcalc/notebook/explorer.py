"""The explorer: a panel in which an expression, its variables, the layout and a claim are edited and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from matcalc.engine.layout import LAYOUTS
from matcalc.language.declarations import ASSUMPTIONS
from matcalc.notebook.exploration import (
    EXAMPLES,
    HIGHEST_SHOWN_ORDER,
    Exploration,
    ExplorerQuestion,
    FieldTrouble,
    Turns,
    Variable,
    attempt,
    describe_surprise,
)
from matcalc.notebook.pages import (
    CODE_KINDS,
    EXPLORER_STYLE,
    LARGEST_SHOWN_SIZE,
    MOST_ENTRIES,
    choose_shown_sizes,
    write_answer_page,
    write_claim_page,
    write_code_page,
    write_graph_page,
    write_heat_page,
    write_page,
    write_reading,
    write_steps_page,
    write_troubles,
)
from matcalc.render.html import escape, write_code

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative


_ASK = "choose one …"
# In the order of LAYOUTS: numerator, denominator, mixed, torch, vec.
_LAYOUTS_TOLD = (
    "axes of the result, then those of the variable in reverse; A @ x gives A",
    "all axes of numerator layout in reverse; A @ x gives A.T",
    "numerator layout, but the shape of the variable where the function is a scalar",
    "axes of the result, then those of the variable, as torch.autograd.functional.jacobian",
    "d vec(Y) / d vec(X).T, columns stacked",
)


class Explorer(widgets.VBox):
    """The panel of `explore`; what it shows at the moment is `exploration`, `derivative`, `report`, `claim_report`.

    Its fields can be set from code: `expression_box`, `examples_box`, `wrt_box`, `order_box`, `layout_box`,
    `variables`, `claim_box`, `tabs`.  Whatever is entered, the panel goes on: errors stand below their field.
    """

    def __init__(self, exploration: Exploration) -> None:
        self.exploration = exploration
        self._turns = Turns()
        self._make_fields()
        self._make_answers()
        super().__init__(self._arrange())
        self.add_class("matcalc-explorer")
        self._observe()
        self._turns.take(lambda: self._show(exploration, None))

    @property
    def derivative(self) -> Derivative | None:
        """The derivative that is shown, None where there is none."""
        return self.exploration.derivative

    @property
    def report(self) -> CheckReport | None:
        """The proof of the derivative that is shown."""
        return self.exploration.report

    @property
    def claim_report(self) -> CheckReport | None:
        """What the judge says of the claim."""
        return self.exploration.claim_report

    # --- widgets ----------------------------------------------------------------------------------

    def _make_fields(self) -> None:
        wide = {"layout": widgets.Layout(width="auto", flex="1 1 22em")}
        self.expression_box = _label(TypedText(**wide), "expression", "matcalc-expression")
        self.reading_box = widgets.HTMLMath().add_class("matcalc-reading")
        self.examples_box = _label(widgets.Dropdown(options=[_ASK, *EXAMPLES]), "examples", "matcalc-examples")
        self.wrt_box = _label(widgets.Dropdown(layout=widgets.Layout(width="auto")), "differentiate by", "matcalc-wrt")
        orders, own = range(1, HIGHEST_SHOWN_ORDER + 1), {"layout": widgets.Layout(width="auto")}
        self.order_box = _label(widgets.ToggleButtons(options=list(orders), **own), "order", "matcalc-order")
        self.order_box.tooltips = [f"derivative of order {order}" for order in orders]
        self.layout_box = _label(widgets.ToggleButtons(options=LAYOUTS, **own), "layout", "matcalc-layout")
        self.layout_box.tooltips = list(_LAYOUTS_TOLD)
        self.claim_box = _label(widgets.Text(continuous_update=False, **wide), "your claim", "matcalc-claim")
        self.claim_box.placeholder = "what you derived by hand, such as 2*A.T @ (A@x - b)"
        self.variables = VariablesTable(
            lambda kind, name, text: self._change(lambda: self.exploration.declare(kind, name, text)),
            lambda: self._turn(shapes={}, assume={}),
        )

    def _make_answers(self) -> None:
        self.expression_error, self.wrt_error, self.order_error, self.claim_error = (
            widgets.HTML().add_class("matcalc-error") for _ in range(4)
        )
        self.wrt_note = widgets.HTML().add_class("matcalc-note")
        self.answer = widgets.HTMLMath().add_class("matcalc-answer")
        self.claim_answer = widgets.HTMLMath().add_class("matcalc-claim-answer")
        self.tabs = ExplorerTabs(self._turns).add_class("matcalc-tabs")

    def _arrange(self) -> list[widgets.Widget]:
        wrapped = widgets.Layout(flex_flow="row wrap", align_items="center")
        left = widgets.VBox([self.variables], layout=widgets.Layout(flex="0 1 auto"))
        right = widgets.VBox([self.answer], layout=widgets.Layout(flex="1 1 34em", min_width="0"))
        return [
            widgets.HTML(EXPLORER_STYLE, layout=widgets.Layout(display="none")),
            widgets.HBox([self.expression_box, self.examples_box], layout=wrapped),
            self.reading_box, self.expression_error,
            widgets.HBox([self.wrt_box, self.order_box, self.layout_box], layout=wrapped),
            self.wrt_note, self.wrt_error, self.order_error,
            widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap")),
            widgets.HBox([self.claim_box], layout=wrapped), self.claim_error, self.claim_answer,
            self.tabs,
        ]  # fmt: skip

    def _observe(self) -> None:
        self.expression_box.observe(lambda change: self._read(change["new"]), "value")
        for field, box in {**self._boxes, "wrt": self.wrt_box}.items():
            if box is self.expression_box:
                continue
            box.observe(lambda change, field=field: self._turn(**{field: change["new"]}), "value")
        self.examples_box.observe(lambda change: self._take_example(change["new"]), "value")

    @property
    def _boxes(self) -> dict[str, widgets.Widget]:
        """The fields that show a part of the question as it is, by the part's name."""
        return {
            "expr": self.expression_box, "claim": self.claim_box, "order": self.order_box, "layout": self.layout_box
        }  # fmt: skip

    @property
    def _answers(self) -> tuple[widgets.Widget, ...]:
        return self.answer, self.claim_answer, self.tabs

    # --- what a reader does -----------------------------------------------------------------------

    def _turn(self, **changes: Any) -> None:
        def take_turn() -> Exploration:
            # What was typed last comes first, though the hand went on to another field at once.
            typed = {"expr": self.expression_box.value} if self.expression_box.stop() else {}
            return self.exploration.turn(**typed | changes)

        self._change(take_turn)

    def _read(self, text: str) -> None:
        """Show at once how a text is read, and answer it: while one types, when the hand rests."""
        if not self.expression_box.is_typed:
            self._turn(expr=text)
            return
        self.reading_box.value = reading = write_reading(self.exploration, text)
        for box in self._answers:
            box.add_class("matcalc-stale")
        self.expression_box.rest(
            REST if reading else LONG_REST, lambda: self._turn(expr=self.expression_box.value)
        )

    def _take_example(self, name: str) -> None:
        if name in EXAMPLES:
            expr, wrt = EXAMPLES[name]
            self._turn(expr=expr, wrt=wrt, order=1, claim="", shapes={}, assume={})

    def _change(self, compute: Callable[[], Exploration]) -> None:
        """Go to another state, unless it is the panel itself that sets its fields."""
        self._turns.take(lambda: self._go_to(compute))

    def _go_to(self, compute: Callable[[], Exploration]) -> None:
        for box in self._answers:
            box.add_class("matcalc-stale")
        try:
            self._show(compute(), self.exploration)
        except Exception as error:
            self._show_surprise(error)
        finally:
            for box in self._answers:
                box.remove_class("matcalc-stale")

    # --- what the panel shows ---------------------------------------------------------------------

    def _show(self, state: Exploration, before: Exploration | None) -> None:
        self.exploration = state
        self._show_question(state.question, before.question if before else None)
        self._show_fields(state)
        if before is None or state.reading is not before.reading:
            self.reading_box.value = write_reading(state, state.question.expr)
        self._show_answer(state)
        self._show_claim(state)
        self.tabs.show(state.derivative)

    def _show_question(self, asked: ExplorerQuestion, before: ExplorerQuestion | None) -> None:
        """Set what has changed only: what somebody enters in another field meanwhile is newer, and must not be lost."""
        for field, box in self._boxes.items():
            if before is None or getattr(asked, field) != getattr(before, field):
                box.value = getattr(asked, field)

    def _show_surprise(self, error: Exception) -> None:
        """Take back all answers, which may not be those to what stands in the fields, and say what happened."""
        self.answer.value = self.claim_answer.value = ""
        self.tabs.show(None)
        self.expression_error.value = write_troubles([FieldTrouble("expression", describe_surprise(error))])

    def _show_fields(self, state: Exploration) -> None:
        self.examples_box.value = _ASK
        if state.wrt is not None:
            self.wrt_box.options = state.reading.names
            self.wrt_box.value = state.wrt
        self.wrt_box.disabled = state.wrt is None
        self.wrt_note.value = escape(state.wrt_note)
        self.variables.show(state.variables, state.troubles)

    def _show_answer(self, state: Exploration) -> None:
        page, trouble = attempt("expression", lambda: write_answer_page(state))
        troubles = [*state.troubles, *([trouble] if trouble else [])]
        self.answer.value = page or ""
        boxes = {"expression": self.expression_error, "wrt": self.wrt_error, "order": self.order_error}
        for field, box in boxes.items():
            box.value = write_troubles(trouble for trouble in troubles if trouble.field == field)

    def _show_claim(self, state: Exploration) -> None:
        page, trouble = attempt("claim", lambda: write_claim_page(state))
        found = [each for each in (state.claim_trouble, trouble) if each]
        self.claim_answer.value = page or ""
        self.claim_error.value = write_troubles(found[:1])


# Seconds without a key after which a text is answered; one that cannot be read is not finished, most often.
REST, LONG_REST = 0.4, 1.5


class TypedText(widgets.Text):
    """A field that tells every key: `is_typed` while what comes is from somebody's hand and not from code."""

    def __init__(self, **settings: Any) -> None:
        self.is_typed = False
        self._waiting: asyncio.TimerHandle | None = None
        super().__init__(**settings)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser sends."""
        self.is_typed = True
        try:
            super().set_state(sync_data)
        finally:
            self.is_typed = False

    def rest(self, seconds: float, work: Callable[[], None]) -> None:
        """Do the work when no key has come for so long; at once where nothing keeps time."""
        self.stop()
        try:
            self._waiting = asyncio.get_running_loop().call_later(seconds, work)
        except RuntimeError:
            work()

    def stop(self) -> bool:
        """Do not wait any longer, and say whether it was waited."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None


def _label(box: widgets.Widget, text: str, name: str) -> widgets.Widget:
    box.description = text
    box.style.description_width = "initial"
    return box.add_class(name)


# --- the tabs: each is computed when it is looked at --------------------------------------------------


Write = Callable[["Derivative"], str]

Renew = Callable[["Page"], None]

_NOTHING = write_page('<p class="mc-soft">There is no derivative at the moment.</p>')


class Page(widgets.VBox):
    """One tab: `content` shows what `write` makes of a derivative, `error_box` why that did not work."""

    def __init__(self, write: Write, content: widgets.HTML, controls: tuple[widgets.Widget, ...] = ()) -> None:
        self.content, self.error_box = content, widgets.HTML().add_class("matcalc-error")
        self._write = write
        self._shown: Derivative | None = None
        self.is_current = False  # set it to False, and the page is written anew when it is shown next
        super().__init__([*controls, self.error_box, content])

    def show(self, derivative: Derivative | None) -> None:
        """Show the page of a derivative; what is shown already is not written again."""
        if self.is_current and derivative is self._shown:
            return
        page, trouble = attempt("tab", lambda: _NOTHING if derivative is None else self._write(derivative))
        self._shown, self.is_current = derivative, True
        self.error_box.value = write_troubles([trouble] if trouble else [])
        self.content.value = page or ""


class CodePage(Page):
    """The code of a derivative for the backend chosen in `backend_box`."""

    def __init__(self, renew: Renew) -> None:
        self.backend_box = widgets.Dropdown(options=CODE_KINDS, description="code for", style=_narrow())
        super().__init__(
            lambda derivative: write_code_page(derivative, self.backend_box.value), widgets.HTML(), (self.backend_box,)
        )
        self.backend_box.observe(lambda _: renew(self), "value")


class HeatPage(Page):
    """The numeric Jacobian: `size_boxes` hold a size for each letter, `seed_box` says which random point."""

    def __init__(self, renew: Renew) -> None:
        self.size_boxes: dict[str, widgets.BoundedIntText] = {}
        self.seed_box = widgets.BoundedIntText(
            value=0, min=0, max=10**6, description="seed", style=_narrow(), layout=widgets.Layout(width="8em")
        )
        self.another_button = widgets.Button(description="another point", tooltip="draw new random values")
        self._all_boxes: dict[str, widgets.BoundedIntText] = {}
        self._renew = renew
        self._line = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        sizes = f"Random values at these sizes, 1 to {LARGEST_SHOWN_SIZE} each"
        limit = f"{sizes}; at most {MOST_ENTRIES:,} entries are drawn."
        super().__init__(self._write_heat, widgets.HTML(), (widgets.HTML(write_page(f"<p>{limit}</p>")), self._line))
        self.seed_box.observe(lambda _: self._renew(self), "value")
        self.another_button.on_click(lambda _: setattr(self.seed_box, "value", self.seed_box.value + 1))

    def _write_heat(self, derivative: Derivative) -> str:
        sizes = choose_shown_sizes(derivative, {letter: box.value for letter, box in self._all_boxes.items()})
        self.size_boxes = {letter: self._find_box(letter, number) for letter, number in sizes.items()}
        boxes = (*self.size_boxes.values(), self.seed_box, self.another_button)
        if self._line.children != boxes:
            self._line.children = boxes
        return write_page(write_heat_page(derivative, sizes, self.seed_box.value))

    def _find_box(self, letter: str, number: int) -> widgets.BoundedIntText:
        if letter not in self._all_boxes:
            box = widgets.BoundedIntText(
                value=number, min=1, max=LARGEST_SHOWN_SIZE, description=f"{letter} =", style=_narrow(),
                layout=widgets.Layout(width="7em"),
            )  # fmt: skip
            box.observe(lambda _: self._renew(self), "value")
            self._all_boxes[letter] = box
        return self._all_boxes[letter]


class ExplorerTabs(widgets.Tab):
    """Steps, graph, code and heat map of the derivative that `show` was given last."""

    def __init__(self, turns: Turns) -> None:
        self._derivative: Derivative | None = None
        self._turns = turns
        self.steps_page = Page(write_steps_page, widgets.HTMLMath())
        self.graph_page = Page(write_graph_page, widgets.HTML())
        self.code_page = CodePage(self._renew)
        self.heat_page = HeatPage(self._renew)
        super().__init__([self.steps_page, self.graph_page, self.code_page, self.heat_page])
        self.titles = ("steps", "graph", "code", "heat map")
        self.selected_index = 0
        self.observe(lambda _: turns.take(self.refresh), "selected_index")

    def _renew(self, page: Page) -> None:
        def write_anew() -> None:
            page.is_current = False
            self.refresh()

        self._turns.take(write_anew)

    def show(self, derivative: Derivative | None) -> None:
        """Show another derivative, or nothing; only the page that is looked at is written."""
        self._derivative = derivative
        if derivative is None:
            for page in self.children:
                page.show(None)
        self.refresh()

    def refresh(self) -> None:
        """Write the page that is looked at, if what it shows has changed."""
        if self.selected_index is not None:
            self.children[self.selected_index].show(self._derivative)


def _narrow() -> dict[str, Any]:
    return {"description_width": "initial"}


# --- the table of variables ---------------------------------------------------------------------------


# Told of every change, those that come from the panel itself included: "shapes" or "assume", the name, the text.
Edit = Callable[[str, str, str], None]

_AT_START = {"width": "auto", "align_self": "flex-start"}
_WIDTHS = {"name": "5em", "shape": "9em", "assumed": "12em", "how": "6em"}


class VariableRow(widgets.VBox):
    """One name: `shape_box` and `assume_box` hold what is known of it, and an error stands below them."""

    def __init__(self, name: str, edit: Edit) -> None:
        self.shape_box = _make_box(widgets.Text, f"shape of {name}", "shape", "inferred")
        self.assume_box = _make_box(widgets.Combobox, f"assumptions of {name}", "assumed", "real")
        self.assume_box.options = ASSUMPTIONS
        self.error_box = widgets.HTML().add_class("matcalc-error")
        self._label = widgets.HTML(layout=_set_width("name"))
        self._how = widgets.HTML(layout=_set_width("how")).add_class("matcalc-note")
        self._name = name
        line = widgets.HBox([self._label, self.shape_box, self.assume_box, self._how]).add_class("matcalc-row")
        super().__init__([line, self.error_box])
        self.shape_box.observe(lambda change: edit("shapes", name, change["new"]), "value")
        self.assume_box.observe(lambda change: edit("assume", name, change["new"]), "value")

    def show(self, variable: Variable, troubles: Sequence[FieldTrouble]) -> None:
        """Show what a name was taken for, and what is wrong with what is declared of it."""
        self._label.value = write_code(f"{variable.name}()" if variable.is_function else variable.name)
        self.shape_box.value = variable.shape
        self.assume_box.value = variable.assumed
        self.assume_box.disabled = variable.is_function
        self._how.value = variable.how
        self._show_troubles(troubles)

    def _show_troubles(self, troubles: Sequence[FieldTrouble]) -> None:
        fields = {f"shape of {self._name}": self.shape_box, f"assumptions of {self._name}": self.assume_box}
        own = {trouble.field: trouble for trouble in troubles if trouble.field in fields}
        for field, box in fields.items():
            (box.add_class if field in own else box.remove_class)("matcalc-wrong")
        self.error_box.value = write_troubles(own.values())


class VariablesTable(widgets.VBox):
    """A row for each name, by name in `rows`, and `reset_button`, which drops what a reader has declared."""

    def __init__(self, edit: Edit, reset: Callable[[], None]) -> None:
        self.rows: dict[str, VariableRow] = {}
        self._edit = edit
        self._list = widgets.VBox().add_class("matcalc-variables")
        self.error_box = widgets.HTML().add_class("matcalc-error")
        self.reset_button = widgets.Button(description="infer again", layout=_AT_START)
        self.reset_button.tooltip = "drop all declarations and infer again"
        self.reset_button.on_click(lambda _: reset())
        heads = {"name": "variable", "shape": "shape", "assumed": "assumptions", "how": "taken"}
        cells = [widgets.HTML(text, layout=_set_width(column)) for column, text in heads.items()]
        head = widgets.HBox([cell.add_class("matcalc-note") for cell in cells])
        super().__init__([head, self._list, self.error_box, self.reset_button])

    def show(self, variables: Sequence[Variable], troubles: Sequence[FieldTrouble]) -> None:
        """Show the names of an expression; where none is known the rows before stay, greyed."""
        stale = not variables and bool(troubles)
        (self._list.add_class if stale else self._list.remove_class)("matcalc-stale")
        if not stale:
            self._show_rows(variables, troubles)
        for row in self.rows.values():
            row.shape_box.disabled = stale
            row.assume_box.disabled = stale or row.assume_box.disabled
        self.error_box.value = write_troubles([trouble for trouble in troubles if trouble.field == "variables"])
        self.reset_button.disabled = not any(variable.is_declared for variable in variables)

    def _show_rows(self, variables: Sequence[Variable], troubles: Sequence[FieldTrouble]) -> None:
        self.rows = {v.name: self.rows.get(v.name) or VariableRow(v.name, self._edit) for v in variables}
        for variable in variables:
            self.rows[variable.name].show(variable, troubles)
        # Set only where they changed: the browser would draw them anew, and the keyboard lose its place.
        if list(self._list.children) != list(self.rows.values()):
            self._list.children = list(self.rows.values())


def _make_box(kind: type[widgets.Text], label: str, column: str, placeholder: str) -> widgets.Text:
    box = kind(description=label, placeholder=placeholder, continuous_update=False, layout=_set_width(column))
    return box.add_class("matcalc-quiet")


def _set_width(column: str) -> widgets.Layout:
    return widgets.Layout(width=_WIDTHS[column], flex="0 0 auto")
