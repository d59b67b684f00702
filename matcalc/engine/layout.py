"""Layouts: in which order the axes of a derivative stand.  The last step; the engine before it knows none.

| layout | axes of the derivative of Y by X, order r |
| --- | --- |
| numerator | S_Y + r * reversed(S_X) |
| denominator | the numerator's, all reversed |
| mixed | numerator, except for a scalar function: S_X, once for each order |
| torch | S_Y + r * S_X |
| vec | d vec(Y) / d vec(X).T, columns stacked |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from matcalc.errors import DeclarationError

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")


@dataclass(frozen=True)
class Axis:
    """One axis of a derivative: of the function ("result") or of the variable, in which differentiation, which axis."""

    of: str
    order: int
    axis: int


def torch_axes(rank_result: int, rank_wrt: int, order: int) -> list[Axis]:
    """The axes as the engine leaves them: those of the function, then those of the variable for each order."""
    return mixed_axes(rank_result, [rank_wrt] * order)


def mixed_axes(rank_result: int, ranks: Sequence[int]) -> list[Axis]:
    """The axes of the function, then those of each variable, in the order of the differentiations."""
    own = [Axis("result", 0, k) for k in range(rank_result)]
    return own + [Axis("wrt", r, k) for r, rank in enumerate(ranks, 1) for k in range(rank)]


def arrange(axes: list[Axis], layout: str) -> list[Axis]:
    """Return the axes in the order of a layout; vec is built on the torch order.

    >>> [a.of + str(a.axis) for a in arrange(torch_axes(1, 2, 1), "numerator")]
    ['result0', 'wrt1', 'wrt0']
    """
    check_layout(layout)
    own = [axis for axis in axes if axis.of == "result"]
    if layout in {"torch", "vec"} or (layout == "mixed" and not own):
        return list(axes)
    numerator = own + sorted((axis for axis in axes if axis.of == "wrt"), key=lambda axis: (axis.order, -axis.axis))
    return numerator[::-1] if layout == "denominator" else numerator


def is_row(axes: Sequence[Axis], layout: str, order: int = 1) -> bool:
    """Whether a derivative with these axes is a row: they lie along the columns of a matrix, and none along its rows.

    Columns are those of the variable in numerator layout, those of the function in denominator layout, and in vec those
    of the last variable; mixed and torch have the shape of what the axes are of.

    >>> is_row(torch_axes(0, 1, 1), "numerator"), is_row(torch_axes(1, 0, 1), "denominator")
    (True, True)
    """
    if layout == "vec":
        return bool(axes) and all(axis.of == "wrt" and axis.order == order for axis in axes)
    across = {"numerator": "wrt", "denominator": "result"}.get(layout)
    return len(axes) == 1 and axes[0].of == across


def check_layout(layout: str) -> None:
    """Raise DeclarationError for a layout that does not exist."""
    if layout not in LAYOUTS:
        meant = spell_layout(str(layout))
        advice = f"did you mean {meant}?" if meant in LAYOUTS else "use one of " + ", ".join(LAYOUTS)
        raise DeclarationError(f"there is no layout {layout!r}", advice=advice)


def spell_layout(written: str) -> str:
    """Return the layout that is meant by an abbreviation or a misspelling; what means none as it is.

    >>> [spell_layout(word) for word in ("num", "Denominator", "denom", "numertor", "sideways")]
    ['numerator', 'denominator', 'denominator', 'numerator', 'sideways']
    """
    word = written.strip().lower()
    begun = [layout for layout in LAYOUTS if word and layout.startswith(word)]
    found = begun or get_close_matches(word, LAYOUTS, 1, 0.8)
    return found[0] if len(found) == 1 else written
