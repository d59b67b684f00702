"""The explorer: a panel in which an expression, its variables, the layout and a claim are edited and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from matcalc.engine.layout import LAYOUTS
from matcalc.notebook.exploration import HIGHEST_ORDER, Exploration, Question, attempt, describe_surprise
from matcalc.notebook.explorer_examples import EXAMPLES
from matcalc.notebook.explorer_pages import write_answer_page, write_claim_page, write_troubles
from matcalc.notebook.explorer_reading import Trouble
from matcalc.notebook.explorer_style import STYLE
from matcalc.notebook.explorer_tabs import ExplorerTabs
from matcalc.notebook.explorer_turns import Turns
from matcalc.notebook.explorer_variables import VariablesTable
from matcalc.render.html_parts import escape

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
        wide = {"continuous_update": False, "layout": widgets.Layout(width="auto", flex="1 1 22em")}
        self.expression_box = _label(widgets.Text(**wide), "expression", "matcalc-expression")
        self.examples_box = _label(widgets.Dropdown(options=[_ASK, *EXAMPLES]), "examples", "matcalc-examples")
        self.wrt_box = _label(widgets.Dropdown(layout=widgets.Layout(width="auto")), "differentiate by", "matcalc-wrt")
        orders, own = range(1, HIGHEST_ORDER + 1), {"layout": widgets.Layout(width="auto")}
        self.order_box = _label(widgets.ToggleButtons(options=list(orders), **own), "order", "matcalc-order")
        self.order_box.tooltips = [f"derivative of order {order}" for order in orders]
        self.layout_box = _label(widgets.ToggleButtons(options=LAYOUTS, **own), "layout", "matcalc-layout")
        self.layout_box.tooltips = list(_LAYOUTS_TOLD)
        self.claim_box = _label(widgets.Text(**wide), "your claim", "matcalc-claim")
        self.claim_box.placeholder = "what you derived by hand, such as 2*A.T @ (A@x - b)"
        self.variables = VariablesTable(self._edit_variable, self._infer_again)

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
            widgets.HTML(STYLE, layout=widgets.Layout(display="none")),
            widgets.HBox([self.expression_box, self.examples_box], layout=wrapped), self.expression_error,
            widgets.HBox([self.wrt_box, self.order_box, self.layout_box], layout=wrapped),
            self.wrt_note, self.wrt_error, self.order_error,
            widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap")),
            widgets.HBox([self.claim_box], layout=wrapped), self.claim_error, self.claim_answer,
            self.tabs,
        ]  # fmt: skip

    def _observe(self) -> None:
        for field, box in {**self._boxes, "wrt": self.wrt_box}.items():
            box.observe(lambda change, field=field: self._turn(**{field: change["new"]}), "value")
        self.examples_box.observe(lambda change: self._take_example(change["new"]), "value")

    @property
    def _boxes(self) -> dict[str, widgets.Widget]:
        """The fields that show a part of the question as it is, by the part's name."""
        return {
            "expr": self.expression_box, "claim": self.claim_box, "order": self.order_box, "layout": self.layout_box
        }  # fmt: skip

    # --- what a reader does -----------------------------------------------------------------------

    def _turn(self, **changes: Any) -> None:
        self._change(lambda: self.exploration.turn(**changes))

    def _edit_variable(self, kind: str, name: str, text: str) -> None:
        self._change(lambda: self.exploration.declare(kind, name, text))

    def _infer_again(self) -> None:
        self._turn(shapes={}, assume={})

    def _take_example(self, name: str) -> None:
        if name in EXAMPLES:
            expr, wrt = EXAMPLES[name]
            self._turn(expr=expr, wrt=wrt, order=1, claim="", shapes={}, assume={})

    def _change(self, compute: Callable[[], Exploration]) -> None:
        """Go to another state, unless it is the panel itself that sets its fields."""
        self._turns.take(lambda: self._go_to(compute))

    def _go_to(self, compute: Callable[[], Exploration]) -> None:
        answers = (self.answer, self.claim_answer, self.tabs)
        for box in answers:
            box.add_class("matcalc-stale")
        try:
            self._show(compute(), self.exploration)
        except Exception as error:
            self._show_surprise(error)
        finally:
            for box in answers:
                box.remove_class("matcalc-stale")

    # --- what the panel shows ---------------------------------------------------------------------

    def _show(self, state: Exploration, before: Exploration | None) -> None:
        self.exploration = state
        self._show_question(state.question, before.question if before else None)
        self._show_fields(state)
        self._show_answer(state)
        self._show_claim(state)
        self.tabs.show(state.derivative)

    def _show_question(self, asked: Question, before: Question | None) -> None:
        """Set what has changed only: what somebody enters in another field meanwhile is newer, and must not be lost."""
        for field, box in self._boxes.items():
            if before is None or getattr(asked, field) != getattr(before, field):
                box.value = getattr(asked, field)

    def _show_surprise(self, error: Exception) -> None:
        """Take back all answers, which may not be those to what stands in the fields, and say what happened."""
        self.answer.value = self.claim_answer.value = ""
        self.tabs.show(None)
        self.expression_error.value = write_troubles([Trouble("expression", describe_surprise(error))])

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


def _label(box: widgets.Widget, text: str, name: str) -> widgets.Widget:
    box.description = text
    box.style.description_width = "initial"
    return box.add_class(name)
