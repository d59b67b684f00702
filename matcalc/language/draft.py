"""Drafts: the nodes of an expression while some of their sizes are still open."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from matcalc.language.name_sizes import name_sizes, settle
from matcalc.language.names import CONSTANTS
from matcalc.language.read_text import SourceText
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size, write_shape
from matcalc.language.unknown_sizes import Axes, Axis, Unknown, is_unit, unify
from matcalc.rule_files import Rule, RuleBook

SCALAR_AXES: Axes = SCALAR
_NO_TEXT = SourceText("0")


@dataclass(slots=True, eq=False)
class Draft:
    """One node to be: as `Expression`, with open sizes, its place in the text, and its value if it is a number."""

    op: str
    args: tuple[Draft, ...]
    data: tuple[Any, ...]
    axes: Axes
    span: tuple[int, int]
    value: Fraction | None = None
    position: int = 0

    @property
    def is_scalar(self) -> bool:
        """Whether every axis is a unit axis."""
        return all(map(is_unit, self.axes))

    @property
    def is_column(self) -> bool:
        """Whether the shape is (n, 1)."""
        return len(self.axes) == 2 and is_unit(self.axes[1]) and not is_unit(self.axes[0])

    @property
    def is_row(self) -> bool:
        """Whether the shape is (1, n)."""
        return len(self.axes) == 2 and is_unit(self.axes[0]) and not is_unit(self.axes[1])

    @property
    def is_matrix(self) -> bool:
        """Whether the shape is (m, n) without unit axes."""
        return len(self.axes) == 2 and not is_unit(self.axes[0]) and not is_unit(self.axes[1])


Kinds = tuple[tuple[bool, ...], ...]  # of each argument, which of its axes are unit axes
FindShape = Callable[[RuleBook, Rule, Kinds], int | None]


@dataclass(slots=True, eq=False)
class Reading:
    """What is known while texts are read: the names, their shapes so far, the drafts in order, the notes.

    `defined` holds what names of definitions stand for, those of earlier texts too; `awaited` the names that
    the text has still to define.  `find_stated_shape` returns which argument the definition of a rule is shaped
    like, None for a scalar; it is handed in, since the definition is a text itself, read by the module that
    starts a reading.
    """

    book: RuleBook
    find_stated_shape: FindShape
    declared: Mapping[str, Shape] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    is_rule: bool = False
    source: SourceText = _NO_TEXT
    symbols: dict[str, Axes] = field(default_factory=dict)
    abstract: dict[str, Axes] = field(default_factory=dict)
    defined: dict[str, Draft] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    def add(
        self,
        op: str,
        args: tuple[Draft, ...],
        axes: Axes,
        span: tuple[int, int],
        data: tuple[Any, ...] = (),
        value: Fraction | None = None,
    ) -> Draft:
        """Register a new draft, after the drafts that it uses."""
        draft = Draft(op, args, data, axes, span, value, len(self.drafts))
        self.drafts.append(draft)
        return draft

    def write(self, draft: Draft) -> str:
        """Return a draft as the reader wrote it, shortened where it is long."""
        text = self.source.text[slice(*draft.span)]
        if len(text) <= 40:
            return text
        left, right = re.sub(r"\w+$", "", text[:19]), re.sub(r"^\w+", "", text[-19:])
        return f"{left.rstrip() or text[:18]} ... {right.lstrip() or text[-18:]}"

    def write_shapes(self, *shapes: Axes) -> list[str]:
        """Return shapes as an error shows them; open sizes have the letters of `write_symbols`."""
        known = [*self.symbols.values(), *self.abstract.values()]
        letters = name_sizes((), (), [*known, *shapes], {*self.symbols, *self.sizes, *self.declared, *CONSTANTS})
        return [write_shape(settle(shape, letters)) for shape in shapes]

    def write_size(self, axis: Axis) -> str:
        """Return a size as an error shows it."""
        return self.write_shapes((axis,))[0][1:-2]

    def write_symbols(self) -> dict[str, str]:
        """Return the shapes of the names as far as they are known, of a row with its unit axis."""
        shown = [axes if _is_row(axes) else drop_unit_axes(axes) for axes in self.symbols.values()]
        return dict(zip(self.symbols, self.write_shapes(*shown), strict=True))

    def describe(self, axes: Axes) -> str:
        """Return the kind of a shape: a scalar, a column (n, 1), a row (1, n), a matrix (m, n)."""
        count = len(drop_unit_axes(axes))
        if count == 0:
            return "a scalar"
        kind = "matrix" if len(axes) == 2 else "array"
        if count == 1 and len(axes) == 2:
            kind = "column" if is_unit(axes[1]) else "row"
        return f"a{'n' if kind == 'array' else ''} {kind} {self.write_shapes(axes)[0]}"

    def note(self, text: str) -> None:
        """Keep a remark for the answer, once."""
        if text not in self.notes:
            self.notes.append(text)


def hold(axes: Axes) -> Axes:
    """Return the shape as it is held: a vector as a column, a scalar as 1 by 1."""
    return axes + (UNIT,) * (2 - len(axes))


def drop_unit_axes(axes: Axes) -> Axes:
    """Return the axes that are not unit axes."""
    return tuple(axis for axis in axes if not is_unit(axis))


def open_shape(count: int) -> Axes:
    """Return the held shape of a name with so many axes, each of an open size."""
    return hold(tuple(Unknown() for _ in range(count)))


def broadcast_axes(left: Axes, right: Axes) -> Axes | None:
    """Return NumPy's common shape of two held shapes, unifying open sizes; None where there is none."""
    if all(map(is_unit, right)):
        return left
    if all(map(is_unit, left)):
        return right
    if len(left) != len(right):
        return None
    common = []
    for a, b in zip(left, right, strict=True):
        if is_unit(a) or is_unit(b):
            common.append(b if is_unit(a) else a)
        elif unify(a, b):
            common.append(a)
        else:
            return None
    return tuple(common)


def _is_row(axes: Axes) -> bool:
    return len(axes) == 2 and is_unit(axes[0]) and not is_unit(axes[1])
