"""The table of variables as widgets: a row for each name, its shape and assumptions to be edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets

from matcalc.language.declarations import ASSUMPTIONS
from matcalc.notebook.explorer_pages import write_troubles
from matcalc.notebook.explorer_reading import Trouble, Variable
from matcalc.render.html_parts import write_code

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

    def show(self, variable: Variable, troubles: Sequence[Trouble]) -> None:
        """Show what a name was taken for, and what is wrong with what is declared of it."""
        self._label.value = write_code(f"{variable.name}()" if variable.is_function else variable.name)
        self.shape_box.value = variable.shape
        self.assume_box.value = variable.assumed
        self.assume_box.disabled = variable.is_function
        self._how.value = variable.how
        self._show_troubles(troubles)

    def _show_troubles(self, troubles: Sequence[Trouble]) -> None:
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
        super().__init__([_make_head(), self._list, self.error_box, self.reset_button])

    def show(self, variables: Sequence[Variable], troubles: Sequence[Trouble]) -> None:
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

    def _show_rows(self, variables: Sequence[Variable], troubles: Sequence[Trouble]) -> None:
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


def _make_head() -> widgets.HBox:
    heads = {"name": "variable", "shape": "shape", "assumed": "assumptions", "how": "taken"}
    cells = [widgets.HTML(text, layout=_set_width(column)) for column, text in heads.items()]
    return widgets.HBox([cell.add_class("matcalc-note") for cell in cells])
