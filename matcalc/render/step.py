"""One step of a derivation, and its text."""

from __future__ import annotations

from dataclasses import dataclass

from matcalc.engine.differentials import MARK, Law
from matcalc.language.expression import Expression
from matcalc.render.to_text import to_text


@dataclass(frozen=True)
class Step:
    """One line of a derivation, `left` = `right`, with the rule that leads to it, its source and its shapes.

    `kind` says what the step does: "start", "rule", "collect", "name" (a part gets a name), "read" (the derivative
    is read off), "again" (the function of the next differentiation), "axis" (the shape unfolds) or "layout".
    `expression` is the right side where it is one; d(..) in it is an abstract function with the name MARK; `shown`
    is the same with names for its parts.  `function` is what is differentiated here and `moving` the variable's
    change, so that a line can be checked.
    """

    left: str
    right: str
    kind: str
    rule: str = ""
    source: str = ""
    shapes: str = ""
    expression: Expression | None = None
    laws: tuple[Law, ...] = ()
    function: Expression | None = None
    moving: Expression | None = None
    shown: Expression | None = None

    @property
    def line(self) -> str:
        """The line as text."""
        return f"{self.left} = {self.right}" if self.kind != "axis" else f"{self.left}: {self.right}"

    def to_dict(self) -> dict[str, str]:
        """The step as plain data."""
        return {
            "line": self.line, "kind": self.kind, "rule": self.rule, "source": self.source, "shapes": self.shapes,
        }  # fmt: skip


def write_marked(expression: Expression) -> str:
    """The text of a line with d(..) for its marks."""
    return to_text(expression).replace(f"{MARK}(", "d(")


def write_law(law: Law) -> str:
    """A law as an equation: d inv(U) = -inv(U) @ dU @ inv(U)."""
    inside = law.left.args[0]
    plain = inside.op == "call" and inside.data[1] is None
    left = f"d {to_text(inside)}" if plain else f"d({to_text(inside)})"
    return f"{left} = {write_marked(law.right)}"
