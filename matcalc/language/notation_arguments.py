"""A call in notation: its name and library, its arguments and keywords, and axis= and keepdims= among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matcalc.errors import ParseError
from matcalc.language.draft import Draft
from matcalc.language.match_rules import Along, call_along_axis
from matcalc.language.notation_to_draft import SCALAR_FOR_ARRAY, Interpreter
from matcalc.language.notation_tree import NotationNode


@dataclass(frozen=True, slots=True)
class CallNode:
    """One call: the last part of its name, where it comes from, its arguments and keywords, its place."""

    name: str
    library: str
    args: tuple[NotationNode, ...]
    keywords: Mapping[str, NotationNode]
    node: NotationNode

    @property
    def span(self) -> tuple[int, int]:
        """The place in the text."""
        return self.node.span

    @property
    def is_torch(self) -> bool:
        """Whether the call is torch's for certain."""
        return self.library in ("torch", "F", "nn") or bool({"dim", "keepdim", "unbiased"} & set(self.keywords))


def strip_groups(reader: Interpreter, node: NotationNode) -> NotationNode:
    while node.kind in ("group", "choice"):
        node = reader.choose(node) if node.kind == "choice" else node.args[0]
    return node


def read_axis(reader: Interpreter, call: CallNode) -> tuple[Along, bool, list[str]]:
    """Return axis, keepdims, and the names of the keywords that are left."""
    axis: Along = None
    keepdims, rest = False, []
    for name, value in call.keywords.items():
        if name in ("axis", "dim"):
            axis = None if value.kind == "name" and value.value == "None" else read_axes(reader, value)
        elif name in ("keepdims", "keepdim"):
            keepdims = read_bool(value)
        else:
            rest.append(name)
    return axis, keepdims, rest


def read_axes(reader: Interpreter, node: NotationNode) -> int | tuple[int, ...]:
    """Return the axis, or the axes of a tuple or a list."""
    if node.kind == "list":
        return tuple(read_integer(reader, item) for item in node.args)
    return read_integer(reader, node)


def read_integer(reader: Interpreter, node: NotationNode) -> int:
    """Return the whole number that a part is; raises ParseError for anything else."""
    draft = reader.draft(node)
    if draft.value is None or draft.value.denominator != 1:
        raise ParseError("a whole number stands here", span=node.span)
    return int(draft.value)


def read_bool(node: NotationNode) -> bool:
    if node.kind == "name" and node.value in ("True", "False"):
        return node.value == "True"
    raise ParseError("True or False stands here", span=node.span)


def apply_along_axis(
    reader: Interpreter, call: CallNode, drafts: Sequence[Draft], axis: Along, keepdims: bool
) -> Draft:
    reading, first = reader.reading, drafts[0]
    if first.is_scalar:
        reader.cost += SCALAR_FOR_ARRAY
    found = call_along_axis(reading, reading.book.overloads(call.name), call.span, tuple(drafts), axis, keepdims)
    if keepdims and axis is not None and found.is_column:
        reader.columns.add(found.position)
    return found


def read_drafts(
    reader: Interpreter, call: CallNode, count: int | None = None, allowed: Sequence[str] = ()
) -> list[Draft]:
    """Return the arguments; raises ParseError for another number of them, and for keywords that are not allowed."""
    if count is not None and len(call.args) != count:
        raise ParseError(f"{call.name} cannot take {len(call.args)} arguments", span=call.span)
    if unknown := [name for name in call.keywords if name not in allowed]:
        raise ParseError(f"{call.name} takes no {unknown[0]}= here", span=call.span)
    return [reader.draft(arg) for arg in call.args]
