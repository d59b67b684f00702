"""The tabs of the explorer as widgets: steps, graph, code, heat map; each is computed when it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from matcalc.notebook.exploration import attempt
from matcalc.notebook.explorer_numbers import LARGEST_SIZE, MOST_ENTRIES, choose_sizes, write_heat_page
from matcalc.notebook.explorer_pages import (
    BACKENDS,
    write_code_page,
    write_graph_page,
    write_page,
    write_steps_page,
    write_troubles,
)
from matcalc.notebook.explorer_turns import Turns

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

Write = Callable[["Derivative"], str]

Renew = Callable[["Page"], None]

_NOTHING = write_page('<p class="mc-soft">There is no derivative at the moment.</p>')


class Page(widgets.VBox):
    """One tab: `content` shows what `write` makes of a derivative, `error_box` why that did not work."""

    def __init__(self, write: Write, content: widgets.HTML, controls: tuple[widgets.Widget, ...] = ()) -> None:
        self.content, self.error_box = content, widgets.HTML().add_class("matcalc-error")
        self._write = write
        self._shown: Derivative | None = None
        self._is_current = False
        super().__init__([*controls, self.error_box, content])

    def forget(self) -> None:
        """Have the page written anew when it is shown next."""
        self._is_current = False

    def show(self, derivative: Derivative | None) -> None:
        """Show the page of a derivative; what is shown already is not written again."""
        if self._is_current and derivative is self._shown:
            return
        page, trouble = attempt("tab", lambda: _NOTHING if derivative is None else self._write(derivative))
        self._shown, self._is_current = derivative, True
        self.error_box.value = write_troubles([trouble] if trouble else [])
        self.content.value = page or ""


class CodePage(Page):
    """The code of a derivative for the backend chosen in `backend_box`."""

    def __init__(self, renew: Renew) -> None:
        self.backend_box = widgets.Dropdown(options=BACKENDS, description="code for", style=_narrow())
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
        limit = f"Random values at these sizes, 1 to {LARGEST_SIZE} each; at most {MOST_ENTRIES:,} entries are drawn."
        super().__init__(self._write_heat, widgets.HTML(), (widgets.HTML(write_page(f"<p>{limit}</p>")), self._line))
        self.seed_box.observe(lambda _: self._renew(self), "value")
        self.another_button.on_click(lambda _: self._draw_another())

    def _draw_another(self) -> None:
        self.seed_box.value += 1

    def _write_heat(self, derivative: Derivative) -> str:
        sizes = choose_sizes(derivative, {letter: box.value for letter, box in self._all_boxes.items()})
        self.size_boxes = {letter: self._find_box(letter, number) for letter, number in sizes.items()}
        boxes = (*self.size_boxes.values(), self.seed_box, self.another_button)
        if self._line.children != boxes:
            self._line.children = boxes
        return write_page(write_heat_page(derivative, sizes, self.seed_box.value))

    def _find_box(self, letter: str, number: int) -> widgets.BoundedIntText:
        if letter not in self._all_boxes:
            box = widgets.BoundedIntText(
                value=number, min=1, max=LARGEST_SIZE, description=f"{letter} =", style=_narrow(),
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
        self._turns.take(lambda: self._write_anew(page))

    def _write_anew(self, page: Page) -> None:
        page.forget()
        self.refresh()

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
