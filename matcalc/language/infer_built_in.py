"""Calls of the functions that are built in: eye, ones, zeros, fuse, commutation, einsum, where, matrix_power."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

from matcalc.errors import LimitError, ParseError, RuleError, ShapeError
from matcalc.language import names as names
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import SCALAR_AXES, Axis, Draft, Reading, broadcast_axes, drop_unit_axes, hold, unify
from matcalc.language.read_text import restore_name
from matcalc.language.sizes import UNIT, Size

LARGEST_FILLED = 10**7
LARGEST_MATRIX_POWER = 64

Span = tuple[int, int]


# --- arrays filled with numbers ---------------------------------------------------------------------


def infer_filled(reading: Reading, name: str, node: ast.Call) -> Draft:
    """eye(n), ones(m, n), zeros(...), fuse(m, p), commutation(m, n); without sizes, a number."""
    return fill(reading, name, _read_sizes(reading, name, node), reading.source.span(node))


def fill(reading: Reading, name: str, sizes: list[Size], span: Span) -> Draft:
    """Return the draft of an array filled with numbers; raises LimitError for one of too many entries."""
    axes = _shape_filled(name, sizes)
    if all(size.is_unit for size in sizes):
        value = Fraction(0 if name == "zeros" else 1)
        return reading.add("number", (), SCALAR_AXES, span, (value,), value)
    entries = UNIT
    for size in axes:
        entries = entries * size
    if entries.number > LARGEST_FILLED:
        written = f"{name}({', '.join(map(str, sizes))})"[:40]
        raise LimitError(
            f"{written} has more than {LARGEST_FILLED} entries", span=span, advice="use a letter for the size"
        )
    return reading.add("filled", (), axes, span, (name, tuple(sizes)))


_FILLED_FORMS = {
    "eye": "write eye(n)", "ones": "write ones(m, n)", "zeros": "write zeros(m, n)", "fuse": "write fuse(m, p)",
    "commutation": "write commutation(m, n)",
}  # fmt: skip


def _read_sizes(reading: Reading, name: str, node: ast.Call) -> list[Size]:
    fewest, most = names.FILLED[name]
    span, count = reading.source.span(node), len(node.args)
    if not fewest <= count <= most:
        wanted = f"{most} size{'s' if most > 1 else ''}" if fewest == most else f"at most {most} sizes"
        raise ParseError(f"{name} takes {wanted}, not {count}", span=span, advice=_FILLED_FORMS[name])
    sizes = [_read_size(reading, arg) for arg in node.args]
    if name in ("ones", "zeros") and len(sizes) > 2:
        return [size for size in sizes if not size.is_unit]
    if name == "fuse" and any(size.is_unit for size in sizes):
        raise ParseError("fuse joins two axes, neither of size 1", span=span, advice=_FILLED_FORMS[name])
    return sizes


def _shape_filled(name: str, sizes: list[Size]) -> tuple[Size, ...]:
    if name == "eye":
        return (sizes[0], sizes[0])
    if name == "fuse":
        return (sizes[0] * sizes[1], *sizes)
    if name == "commutation":
        return (sizes[0] * sizes[1],) * 2
    return (*sizes, *(UNIT,) * (2 - len(sizes)))


def _read_size(reading: Reading, node: ast.expr) -> Size:
    """Return a size argument: a name, a number, or a product of them."""
    size, stack = UNIT, [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult):
            stack += [part.right, part.left]
        else:
            size = size * _read_factor(reading, part)
    if len(size.letters) > 16:
        raise LimitError("a size is a product of more than 16 letters", span=reading.source.span(node))
    return size


def _read_factor(reading: Reading, node: ast.expr) -> Size:
    span = reading.source.span(node)
    if isinstance(node, ast.Name):
        return reading.sizes[restore_name(node.id)]
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value >= 1:
        if node.value > LARGEST_SIZE:
            raise LimitError(f"the size {str(node.value)[:20]} is beyond {LARGEST_SIZE}", span=span)
        return Size.of(node.value)
    raise ParseError(
        f"{reading.source.write(node)[:40]} is not a size", span=span,
        advice="sizes are names, positive whole numbers and their products, as in ones(m*p, 3)",
    )  # fmt: skip


# --- einsum -------------------------------------------------------------------------------------------

_EINSUM_FORM = "write letters as in einsum('ij,jk->ik', A, B)"


def infer_einsum(reading: Reading, args: tuple[Draft, ...], span: Span) -> Draft:
    """einsum('ij,jk->ik', A, B) on the shapes without unit axes."""
    if not args or args[0].op != "text":
        raise ParseError("einsum begins with its letters", span=span, advice=_EINSUM_FORM)
    operands = args[1:]
    inputs, output = _read_subscripts(args[0].data[0], len(operands), args[0].span)
    sizes: dict[str, Axis] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        _bind_operand(reading, letters, operand, sizes)
    data = (",".join(inputs) + "->" + output,)
    return reading.add("einsum", operands, hold(tuple(sizes[letter] for letter in output)), span, data)


def _bind_operand(reading: Reading, letters: str, operand: Draft, sizes: dict[str, Axis]) -> None:
    """Give the letters of one operand their sizes."""
    if operand.op == "text":
        raise ParseError("a text in quotes has no meaning here", span=operand.span, advice=_EINSUM_FORM)
    axes = drop_unit_axes(operand.axes)
    if len(letters) != len(axes):
        given = f"{reading.write(operand)}, {reading.describe(operand.axes)}"
        reason = f"einsum gives {len(letters)} letter{'s' if len(letters) != 1 else ''} to {given}"
        advice = "give one letter for each axis; vectors have one, scalars none"
        raise ShapeError(reason, span=operand.span, advice=advice)
    for letter, axis in zip(letters, axes, strict=True):
        if not unify(sizes.setdefault(letter, axis), axis):
            two = f"{reading.write_size(sizes[letter])} and {reading.write_size(axis)}"
            raise ShapeError(f"einsum letter {letter} stands for two sizes, {two}", span=operand.span)


def _read_subscripts(text: str, count: int, span: Span) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result; without ->, the letters used once, sorted."""
    match = re.fullmatch(r"([A-Za-z,]*)(?:->([A-Za-z]*))?", text.replace(" ", ""))
    if match is None:
        raise ParseError(f"the letters of einsum cannot be {text[:40]!r}", span=span, advice=_EINSUM_FORM)
    inputs = match.group(1).split(",")
    if len(inputs) != count or count == 0:
        reason = f"einsum has letters for {len(inputs)} operands and gets {count}"
        raise ParseError(reason, span=span, advice=_EINSUM_FORM)
    used, output = "".join(inputs), match.group(2)
    if output is None:
        output = "".join(sorted(letter for letter in set(used) if used.count(letter) == 1))
    for letter in output:
        if letter not in used or output.count(letter) > 1:
            reason = "more than once" if letter in used else "but in no operand"
            raise ParseError(f"einsum letter {letter} is in the result {reason}", span=span, advice=_EINSUM_FORM)
    if max(map(len, [*inputs, output])) > 16 or count > 32:
        raise LimitError("einsum is limited to 32 operands of 16 axes", span=span)
    return inputs, output


# --- where, matrix_power ------------------------------------------------------------------------------

_WHERE_FORM = "write where(x > 0, x, y)"


def refuse_comparison(draft: Draft) -> None:
    """Raise for a comparison that is not the condition of where."""
    if draft.op == "compare":
        raise ParseError("a comparison is only the condition of where", span=draft.span, advice=_WHERE_FORM)


def infer_where(reading: Reading, args: tuple[Draft, ...], span: Span) -> Draft:
    """where(x > 0, x, y); in rules a parameter can be the condition."""
    if len(args) != 3:
        raise ParseError(f"where takes 3 arguments, not {len(args)}", span=span, advice=_WHERE_FORM)
    if args[0].op != "compare" and not (reading.is_rule and args[0].op == "symbol"):
        raise ParseError("the first argument of where is a comparison", span=args[0].span, advice=_WHERE_FORM)
    for arg in args[1:]:
        if arg.op in ("compare", "text"):
            raise ParseError("where chooses between two expressions", span=arg.span, advice=_WHERE_FORM)
    axes = broadcast_axes(args[0].axes, args[1].axes)
    axes = broadcast_axes(axes, args[2].axes) if axes is not None else None
    if axes is None:
        written = ", ".join(reading.write_shapes(*(arg.axes for arg in args)))
        raise ShapeError(f"where needs equal shapes, not {written}", span=span)
    if not reading.book.overloads("where"):
        raise RuleError("the rules in force have none for where", advice="add them to the shipped rules")
    return reading.add("call", args, axes, span, (reading.book.overloads("where")[0], None, False))


def read_power(reading: Reading, args: tuple[Draft, ...], span: Span) -> tuple[Draft, ...]:
    """Return the arguments of matrix_power(X, k), with k as one number."""
    advice = "write matrix_power(X, 3)"
    if len(args) != 2:
        raise ParseError(f"matrix_power takes 2 arguments, not {len(args)}", span=span, advice=advice)
    value = args[1].value
    if value is None or value.denominator != 1:
        raise ParseError("the power of matrix_power is a whole number", span=args[1].span, advice=advice)
    if abs(value) > LARGEST_MATRIX_POWER:
        raise LimitError(f"the power is beyond {LARGEST_MATRIX_POWER}", span=args[1].span)
    return args[0], reading.add("number", (), SCALAR_AXES, args[1].span, (value,), value)
