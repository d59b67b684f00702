"""Entries, rows and columns in notation -> products with unit vectors: x[0], X[i, j], X[:, k]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matcalc.errors import ParseError, ShapeError
from matcalc.language.calls import call_basis
from matcalc.language.draft import (
    SCALAR_AXES,
    Draft,
    DraftAxis,
    add_axes,
    is_unit,
    multiply_axes,
    subtract_axes,
    unify,
)
from matcalc.language.infer_shapes import infer_product
from matcalc.language.notation_fills import read_axis_size
from matcalc.language.notation_to_draft import UNUSUAL, Handler, Indexed, Interpreter, Meaning
from matcalc.language.notation_tree import NotationNode
from matcalc.language.notation_words import find_part
from matcalc.language.sizes import Size
from matcalc.language.slices import Range, refuse_bound, slice_array


def read_pick(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return x[:, None], x[None, :], slogdet(X)[1] and eigh(X)[0]; other entries are not read."""
    base, *items = node.args
    if base.kind == "size_of":
        return reader.reading.add("size", (), SCALAR_AXES, node.span, (read_axis_size(reader, node),))
    if base.kind == "call" and len(items) == 1 and base.args:
        if (part := find_part(str(base.value), str(items[0].value))) is not None:
            return reader.call(part, (reader.draft(base.args[0]),), node.span)
    if any(item.kind == "range" for item in items):
        return _read_slice(reader, node)
    if node.value == "from 1":
        reason = "a place in brackets () may be a factor as well"
        raise ParseError(reason, span=node.span, advice="write a range, as in x(2:end)")
    signs = ["all" if item.kind == "all" else str(item.value) for item in items]
    array = reader.draft(base)
    if signs == ["all"] or signs == ["all", "all"]:
        return array
    if array.is_column and signs == ["all", "None"]:
        # A copy that has two axes: the name itself still has one.
        shown = reader.reading.add(array.op, array.args, array.axes, array.span, array.data)
        reader.columns.add(shown.position)
        return shown
    if array.is_column and signs == ["None", "all"]:
        return reader.transpose(array, node.span)
    return _pick_entries(reader, node, array, items)


def _pick_entries(reader: Interpreter, node: NotationNode, array: Draft, items: Sequence[NotationNode]) -> Meaning:
    """Return x[0], X[i, j], X[:, k] or X[0] as a product with unit vectors, or as entries where a sum runs over i."""
    axes = [axis for axis in array.axes if not is_unit(axis)]
    if not items:
        raise ParseError("the brackets are empty", span=node.span, advice="write a place, as in x[0] or X[0, 1]")
    if not axes or len(items) > len(axes) or (array.is_column and array.position in reader.columns):
        text = reader.spell(array)
        raise ShapeError(f"{text} has {len(axes)} axes, not {len(items)}", span=node.span, advice=f"write {text}")
    if len(axes) == 1 and array.op == "symbol" and array.data[0][0].isupper() and not reader.reading.declared:
        reader.cost += UNUSUAL  # of A[0] the matrix A has rows
    if len(items) < len(axes) and reader.syntax != "python":
        text = reader.spell(array)
        raise ShapeError(f"{text} has two axes", span=node.span, advice=f"write {text}[0, :] for its first row")
    letters = [str(item.value) if item.kind == "name" else "" for item in items]
    if any(letter in reader.bound or letter in reader.repeated for letter in letters):
        if not all(letters) or len(letters) != len(axes):
            raise ParseError("a sum runs over one of these indices", span=node.span, advice="write all with letters")
        return Indexed(((array, "".join(letters)),), "".join(dict.fromkeys(letters)))
    units = [
        None if item.kind == "all" else _read_unit(reader, item, axis)
        for item, axis in zip([*items, *[_WHOLE] * (len(axes) - len(items))], axes, strict=True)
    ]
    if len(axes) == 1:
        vector = reader.transpose(array, array.span) if array.is_row else array
        assert units[0] is not None
        return infer_product(reader.reading, node.span, reader.transpose(units[0], units[0].span), vector)
    row, column = units
    if row is None:
        return array if column is None else infer_product(reader.reading, node.span, array, column)
    if column is None and reader.syntax != "python":  # a row, where nothing says that it has one axis
        return infer_product(reader.reading, node.span, reader.transpose(row, row.span), array)
    if column is None:
        return infer_product(reader.reading, node.span, reader.transpose(array, array.span), row)
    picked = infer_product(reader.reading, node.span, reader.transpose(row, row.span), array)
    return infer_product(reader.reading, node.span, picked, column)


def _read_slice(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return X[1:, :k], and X[1:, j], which is an entry of each row."""
    base, *items = node.args
    array = reader.draft(base)
    axes = [axis for axis in array.axes if not is_unit(axis)]
    if len(items) > len(axes):
        text = reader.spell(array)
        raise ShapeError(f"{text} has {len(axes)} axes, not {len(items)}", span=node.span, advice=f"write {text}[1:]")
    if len(items) < len(axes) and reader.syntax != "python":
        text = reader.spell(array)
        raise ShapeError(f"{text} has two axes", span=node.span, advice="write a range for each, as in X[1:, :]")
    first = 1 if node.value == "from 1" else 0
    ranges = [_read_range(reader, item, axis, first) for item, axis in zip(items, axes, strict=False)]
    sliced = slice_array(reader.reading, array, ranges, node.span)
    if all(item.kind in ("range", "all") for item in items):
        return sliced
    if first:
        raise ParseError("entries and ranges stand in one pair of brackets", span=node.span, advice="write X(2:2, 1:3)")
    whole = [_WHOLE if item.kind == "range" else item for item in items]
    return _pick_entries(reader, replace(node, args=(base, *whole)), sliced, whole)


def _read_range(reader: Interpreter, item: NotationNode, axis: DraftAxis, first: int) -> Range | None:
    """Return a range of an axis; one that is counted from 1 includes its end."""
    if item.kind != "range":
        return None
    start, stop = (None if bound.kind == "all" else read_bound(reader, bound, axis) for bound in item.args)
    if start is not None and first:
        start = subtract_axes(start, Size.of(1))
    return Range(start, stop, item.span)


def read_bound(reader: Interpreter, node: NotationNode, axis: DraftAxis) -> DraftAxis:
    """Return the size that a bound is; raises ParseError for anything else."""
    args = [read_bound(reader, arg, axis) for arg in node.args] if node.kind in _OF_SIZES else []
    match node.kind:
        case "number" if str(node.value).isdigit():
            return Size((), int(str(node.value)))
        case "name" if node.value == "end":
            return axis
        case "name" if str(node.value) in reader.reading.sizes:
            return reader.reading.sizes[str(node.value)]
        case "choice":
            return read_bound(reader, reader.choose(node), axis)
        case "pick" if node.args[0].kind == "size_of":
            return read_axis_size(reader, node)
        case "group":
            return args[0]
        case "negate":
            return add_axes(((args[0], -1),))
        case "add":
            return add_axes(((args[0], 1), (args[1], 1)))
        case "subtract":
            return subtract_axes(*args)
        case "star" | "juxtapose":
            return multiply_axes(args)
    raise refuse_bound(reader.reading, node.span)


_OF_SIZES = frozenset({"group", "negate", "add", "subtract", "star", "juxtapose"})
_WHOLE = NotationNode("all")


def _read_unit(reader: Interpreter, item: NotationNode, axis: DraftAxis) -> Draft:
    """Return the unit vector of a place: of a number basis(n, 0), of a letter a variable e_i that is one-hot."""
    reading = reader.reading
    if item.kind == "name":
        name = f"e_{item.value}"
        symbol = reader.read_name(name, item.span)
        if symbol.is_scalar or not unify(symbol.axes[0], axis):
            reason = f"the index {item.value} runs over two sizes"
            raise ShapeError(reason, span=item.span, advice="write another letter")
        return symbol
    place = reader.draft(item)
    if place.value is None or place.value.denominator != 1:
        raise ParseError("a place is a whole number or a letter", span=item.span, advice="write x[0] or x[i]")
    if place.value < 0:  # counted from the end
        size = reading.add("size", (), SCALAR_AXES, item.span, (axis,))
        place = reader.elementwise("subtract", size, reader.number(-place.value, item.span), item.span)
    return call_basis(reading, axis, place, item.span)


def list_place_letters(node: NotationNode) -> set[str]:
    """Return the letters in the brackets of X[i, j]."""
    items = node.args[1:] if node.kind == "pick" else ()
    return {str(item.value) for item in items if item.kind == "name"} - {"None"}


ENTRY_HANDLERS: Mapping[str, Handler] = {"pick": read_pick}
