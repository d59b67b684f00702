"""Slices, padding and concatenation -> products with selections, the rows of the identity: x[1:] is eye(n)[1:] @ x."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from matcalc.errors import ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.calls import call_basis
from matcalc.language.draft import (
    SCALAR_AXES,
    Draft,
    DraftAxis,
    Reading,
    Sum,
    add_axes,
    is_unit,
    multiply_axes,
    resolve,
    subtract_axes,
    unify,
)
from matcalc.language.match_rules import call_function
from matcalc.language.notation import NO_STEP
from matcalc.language.read_text import restore_name
from matcalc.language.sizes import UNIT, Size

_Span = tuple[int, int]
_ZERO = Size((), 0)
_HOW = "bounds are sizes: whole numbers, names, their sums and differences, as in x[1:], x[:-1], x[q:n-1]"


@dataclass(frozen=True, slots=True)
class Range:
    """A range of an axis as it is written, start:stop with the end excluded; None where a bound is left out."""

    start: DraftAxis | None
    stop: DraftAxis | None
    span: _Span


def slice_array(reading: Reading, array: Draft, ranges: Sequence[Range | None], span: _Span) -> Draft:
    """Return the part of an array within a range of each axis; None takes the whole of one, as do axes left out.

    Raises ShapeError for more ranges than axes, and for a range that is empty or goes beyond its axis.
    """
    long = [place for place, axis in enumerate(array.axes) if not is_unit(axis)]
    if len(array.axes) != 2 or not long:
        reason = f"ranges are taken of vectors and matrices, and {reading.write(array)} is"
        raise ShapeError(f"{reason} {reading.describe(array.axes)}", span=span)
    places = list(range(2)) if len(ranges) == 2 and len(long) == 1 else long
    pairs = list(zip(places, ranges, strict=False))
    if len(ranges) > len(places) or any(found is not None and at not in long for at, found in pairs):
        given = f"{reading.write(array)} is {reading.describe(array.axes)}"
        advice = "give one range for each axis" if len(long) == 2 else f"write {reading.write(array)}[1:]"
        raise ShapeError(f"{given}, and {len(ranges)} ranges are given", span=span, advice=advice)
    for place, found in pairs:
        taken = None if found is None else select_rows(reading, array.axes[place], found)
        if taken is None:
            continue
        if place == 0:
            array = taken if _is_eye(array) else _multiply(reading, span, taken, array)
        else:
            array = _multiply(reading, span, array, _transpose(reading, taken, span))
    return array


def _multiply(reading: Reading, span: _Span, left: Draft, right: Draft) -> Draft:
    return reading.add("matmul", (left, right), (left.axes[0], right.axes[1]), span)


def _transpose(reading: Reading, draft: Draft, span: _Span) -> Draft:
    return reading.add("transpose", (draft,), draft.axes[::-1], span)


def _is_eye(draft: Draft) -> bool:
    return draft.op == "filled" and bool(draft.data[0] == "eye")


def select_rows(reading: Reading, axis: DraftAxis, found: Range) -> Draft | None:
    """Return the rows of the identity within a range, None for all of them, of a single one the unit vector as a row.

    Raises ShapeError for an empty range, and for one that goes beyond the axis.
    """
    before = _ZERO if found.start is None else _count_from_front(axis, found.start)
    stop = axis if found.stop is None else _count_from_front(axis, found.stop)
    count, after = subtract_axes(stop, before), subtract_axes(axis, stop)
    if resolve(before) == _ZERO and resolve(after) == _ZERO:
        return None
    require_range(reading, before, count, after, axis, found.span)
    if is_unit(count):
        unit = call_basis(reading, axis, _count(reading, before, found.span), found.span)
        return _transpose(reading, unit, found.span)
    return add_selection(reading, axis, before, count, after, found.span)


def _count_from_front(axis: DraftAxis, bound: DraftAxis) -> DraftAxis:
    """Return a bound counted from 0; one that is negative is counted from the end."""
    return add_axes(((axis, 1), (bound, 1))) if _is_negative(resolve(bound)) else bound


def _is_negative(bound: DraftAxis) -> bool:
    if isinstance(bound, Sum):
        return all(_is_negative(part) if isinstance(part, Size) else count < 0 for part, count in bound.terms)
    return isinstance(bound, Size) and all(count < 0 for count in bound.terms.values()) and bound != _ZERO


def require_range(
    reading: Reading, before: DraftAxis, count: DraftAxis, after: DraftAxis, axis: DraftAxis, span: _Span
) -> None:
    """Raise ShapeError where numbers say that a range is empty, or goes beyond its axis."""
    text = reading.source.text[slice(*span)]
    before, count, after = resolve(before), resolve(count), resolve(after)
    if isinstance(count, Size) and (count == 0 or _is_negative(count)):
        advice = "a range is start:stop, with the stop excluded"
        raise ShapeError(f"the range {text} is empty", span=span, advice=advice)
    if _is_negative(before) or _is_negative(after):
        reason = f"the range {text} goes beyond an axis of {reading.write_size(axis)}"
        raise ShapeError(reason, span=span, advice="places are counted from 0, and negative ones from the end")


def require_ranges(reading: Reading) -> None:
    """Raise ShapeError where sizes that became known behind a range make it empty, of one entry, or too long."""
    for draft in reading.drafts:
        if draft.op == "call" and draft.data[0].name == names.SELECTION and not reading.is_rule:
            count, axis = draft.axes
            if not all(map(_is_place, draft.args[2:])):
                continue  # who calls the function itself may give it any number
            before, after = (end.data[0] for end in draft.args[2:])
            ends = [Size((), int(end)) if isinstance(end, Fraction) else end for end in (before, after)]
            require_range(reading, ends[0], count, ends[1], axis, draft.span)
            if is_unit(count):
                reason = f"the range {reading.source.text[slice(*draft.span)]} has one entry by what follows"
                raise ShapeError(reason, span=draft.span, advice="declare the shape of what it is taken of")


def _is_place(draft: Draft) -> bool:
    return draft.op == "size" or (draft.op == "number" and draft.data[0].denominator == 1)


def add_selection(
    reading: Reading, axis: DraftAxis, before: DraftAxis, count: DraftAxis, after: DraftAxis, span: _Span
) -> Draft:
    """Return the matrix (count, axis) of the rows of the identity that have so many rows before and after them."""
    ones = [reading.add("filled", (), (size, UNIT), span, ("ones", (size,))) for size in (count, axis)]
    ends = [_count(reading, size, span) for size in (before, after)]
    return call_function(reading, names.SELECTION, (*ones, *ends), span)


def _count(reading: Reading, size: DraftAxis, span: _Span) -> Draft:
    """Return a size as a number."""
    size = resolve(size)
    if isinstance(size, Size) and not size.letters:
        value = Fraction(size.number)
        return reading.add("number", (), SCALAR_AXES, span, (value,), value)
    return reading.add("size", (), SCALAR_AXES, span, (size,))


def pad_array(reading: Reading, array: Draft, before: DraftAxis, after: DraftAxis, axis: int, span: _Span) -> Draft:
    """Return an array with so many zeros before and after it along an axis."""
    inner = array.axes[axis]
    whole = add_axes(((before, 1), (inner, 1), (after, 1)))
    if resolve(before) == _ZERO and resolve(after) == _ZERO:
        return array
    if is_unit(inner):
        place = call_basis(reading, whole, _count(reading, before, span), span)
        place = _transpose(reading, place, span) if axis else place
        if array.is_scalar:
            return reading.add("multiply", (array, place), place.axes, span)
        return _multiply(reading, span, array, place) if axis else _multiply(reading, span, place, array)
    rows = add_selection(reading, whole, before, inner, after, span)
    if axis:
        return _multiply(reading, span, array, rows)
    return _multiply(reading, span, _transpose(reading, rows, span), array)


def concatenate(reading: Reading, arrays: Sequence[Draft], axis: int, span: _Span) -> Draft:
    """Return arrays one after another along an axis; raises ShapeError where their other sizes differ."""
    other = 1 - axis
    first = arrays[0]
    for array in arrays[1:]:
        fits = len(array.axes) == len(first.axes) == 2 and (
            is_unit(array.axes[other]) == is_unit(first.axes[other]) and unify(array.axes[other], first.axes[other])
        )
        if not fits:
            shapes = " and ".join(reading.write_shapes(first.axes, array.axes))
            how = "one below the other" if axis == 0 else "side by side"
            given = f"{reading.write(first)} and {reading.write(array)} are {shapes}"
            raise ShapeError(f"{given}, and do not stand {how}", span=span, advice="declare their shapes")
    total: Draft | None = None
    for place, array in enumerate(arrays):
        before, after = (
            add_axes((each.axes[axis], 1) for each in side) for side in (arrays[:place], arrays[place + 1 :])
        )
        padded = pad_array(reading, array, before, after, axis, span)
        total = padded if total is None else reading.add("add", (total, padded), total.axes, span)
    assert total is not None
    return total


# --- in the language ------------------------------------------------------------------------------------
#
# X[1:, :k], pad(x, 1, 0) and concat(x, y) as Python's own grammar reads them.


def is_range(node: ast.expr) -> bool:
    """Whether brackets behind an array hold ranges alone: x[1:], X[:, :k]."""
    return isinstance(node, ast.Subscript) and all(isinstance(item, ast.Slice) for item in _list_items(node))


def _list_items(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def list_bound_names(node: ast.AST) -> set[str]:
    """Return the names that stand for sizes in the bounds of ranges and in pad(x, q, 0)."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.Slice):
        parts = [bound for bound in (node.lower, node.upper) if bound is not None]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == names.PAD:
        parts = node.args[1:]
    return {restore_name(part.id) for whole in parts for part in ast.walk(whole) if isinstance(part, ast.Name)}


def infer_slice(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    """Return x[1:] and X[1:, :k]."""
    assert isinstance(node, ast.Subscript)
    ranges: list[Range | None] = []
    for item in _list_items(node):
        assert isinstance(item, ast.Slice)
        if item.step is not None:
            raise refuse_step(reading.source.span(item.step))
        start, stop = (None if bound is None else _read_bound(reading, bound) for bound in (item.lower, item.upper))
        is_whole = start is None and stop is None
        ranges.append(None if is_whole else Range(start, stop, _find_span(reading, item)))
    return slice_array(reading, args[0], ranges, reading.source.span(node))


def _find_span(reading: Reading, item: ast.Slice) -> _Span:
    """Return the place of a range, which Python has no place for where it lacks a bound."""
    ends = [bound for bound in (item.lower, item.upper) if bound is not None]
    start, end = reading.source.span(ends[0])[0], reading.source.span(ends[-1])[1]
    text = reading.source.text
    if item.lower is None:
        start = text.rindex(":", 0, start)
    if item.upper is None:
        end = text.index(":", end) + 1
    return start, end


def refuse_step(span: _Span) -> ParseError:
    """Return the error that refuses x[::2]."""
    return ParseError("a range has no step here", span=span, advice=NO_STEP)


def _read_bound(reading: Reading, node: ast.expr) -> DraftAxis:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return Size((), value)
        case ast.Name(id=name) if restore_name(name) in reading.sizes:
            return reading.sizes[restore_name(name)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return add_axes(((_read_bound(reading, operand), -1),))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return add_axes(((_read_bound(reading, left), 1), (_read_bound(reading, right), 1)))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return subtract_axes(_read_bound(reading, left), _read_bound(reading, right))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return multiply_axes((_read_bound(reading, left), _read_bound(reading, right)))
    raise refuse_bound(reading, reading.source.span(node))


def refuse_bound(reading: Reading, span: _Span) -> ParseError:
    """Return the error for a bound that is no size."""
    return ParseError(f"{reading.source.text[slice(*span)][:40]} is no bound of a range", span=span, advice=_HOW)


def infer_pad(reading: Reading, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return pad(x, before, after) and pad(X, before, after, axis=1)."""
    span, axis = reading.source.span(node), _read_axis(node)
    if axis is None or len(node.args) != 3 or len(args[0].axes) != 2:
        raise _refuse_pad(span)
    before, after = (_read_bound(reading, bound) for bound in node.args[1:])
    if _is_negative(before) or _is_negative(after):
        raise _refuse_pad(span)
    return pad_array(reading, args[0], before, after, axis, span)


def _read_axis(node: ast.Call) -> int | None:
    """Return the axis that axis= names, 0 where there is none, None where it is no axis of a matrix."""
    if not node.keywords:
        return 0
    value = node.keywords[0].value
    is_axis = len(node.keywords) == 1 and node.keywords[0].arg == "axis" and isinstance(value, ast.Constant)
    given = value.value if is_axis and isinstance(value, ast.Constant) else None
    return given if type(given) is int and given in (0, 1) else None


def _refuse_pad(span: _Span) -> ParseError:
    reason = "pad takes an array and how many zeros stand before and behind it"
    return ParseError(reason, span=span, advice=f"write {names.SPECIAL[names.PAD]}, or pad(X, 1, 0, axis=1)")


def infer_concat(reading: Reading, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return concat(x, y), one below the other, and concat(X, Y, axis=1), side by side."""
    span, axis = reading.source.span(node), _read_axis(node)
    if axis is None or not args:
        reason = "concat takes arrays, and puts them one after another along axis 0 or 1"
        raise ParseError(reason, span=span, advice=f"write {names.SPECIAL[names.CONCAT]}, or concat(X, Y, axis=1)")
    return concatenate(reading, args, axis, span)
