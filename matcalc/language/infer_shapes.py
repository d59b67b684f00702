"""Syntax tree -> drafts: what each part is, and what its shape says about the sizes of the names."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from matcalc.errors import LimitError, ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.calls import fill_open, infer_call, list_operands, name_function, refuse_comparison
from matcalc.language.draft import (
    SCALAR_AXES,
    Draft,
    Reading,
    broadcast_axes,
    hold_axes,
    is_unit,
    note_constant,
    note_name,
    open_shape,
    unify,
)
from matcalc.language.explain_calls import write_forms
from matcalc.language.read_text import DEEPEST_TREE, MOST_NODES, Definition, restore_name
from matcalc.language.slices import infer_concat, infer_pad, infer_slice, is_range

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power",
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], str] = {ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<="}
_INSTEAD: dict[type[ast.AST], str] = {
    ast.BitAnd: "use * for products",
    ast.FloorDiv: "use / for quotients", ast.Mod: "there are no remainders",
    ast.LShift: "use * for products", ast.RShift: "use / for quotients",
    ast.Invert: "use - for the negative", ast.Not: "conditions go into where(x > 0, x, y)",
    ast.Subscript: "entries cannot be picked; multiply by a unit vector instead, as in e_1.T @ X @ e_2",
    ast.IfExp: "write where(x > 0, x, y)", ast.BoolOp: "conditions go into where(x > 0, x, y)",
    ast.Lambda: "name a scalar `lambda` without a colon", ast.Tuple: "write one expression",
    ast.List: "arrays cannot be written out; use a name", ast.NamedExpr: "write one expression without :=",
    ast.GeneratorExp: "use sum(x)", ast.ListComp: "use sum(x)", ast.JoinedStr: "use a name",
}  # fmt: skip
_ATTRIBUTES = {
    "I": "inv({0})", "inv": "inv({0})", "H": "{0}.T", "t": "{0}.T", "mT": "{0}.T", "transpose": "{0}.T",
    "dot": "{0} @ x", "sum": "sum({0})", "mean": "mean({0})", "trace": "trace({0})", "det": "det({0})",
}  # fmt: skip


def infer(reading: Reading) -> Draft:
    """Return the draft of the text that `reading.source` holds; raises for what is not in the language."""
    begin_definitions(reading)
    visited = 0
    for definition in reading.source.definitions:
        draft, visited = _infer_tree(reading, definition.tree, visited)
        define(reading, definition, draft)
    return _infer_tree(reading, reading.source.tree, visited)[0]


def _infer_tree(reading: Reading, root: ast.expr, visited: int) -> tuple[Draft, int]:
    """Return the draft of a tree, and how many nodes of the text have been visited by then."""
    done: dict[int, Draft] = {}
    stack: list[tuple[ast.expr, int, bool]] = [(root, 0, False)]
    while stack:
        node, depth, ready = stack.pop()
        operands = list_operands(reading, node) if isinstance(node, ast.Call) else _list_operands(reading, node)
        if ready:
            done[id(node)] = _infer_node(reading, node, tuple(done[id(operand)] for operand in operands))
            continue
        visited += 1
        if depth > DEEPEST_TREE or visited > MOST_NODES:
            bound = f"{DEEPEST_TREE} levels deep" if depth > DEEPEST_TREE else f"{MOST_NODES} parts long"
            raise LimitError(f"the expression is more than {bound}", span=reading.source.span(node))
        stack.append((node, depth, True))
        stack.extend((operand, depth + 1, False) for operand in reversed(operands))
    if not reading.is_rule:  # the domain of a rule is a comparison: x > 0
        _refuse_out_of_place(reading, done[id(root)])
    return done[id(root)], visited


def _list_operands(reading: Reading, node: ast.expr) -> list[ast.expr]:
    """Return the sub-expressions of a node in the order of the text."""
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare) and len(node.comparators) == 1:
        return [node.left, node.comparators[0]]
    if (isinstance(node, ast.Attribute) and node.attr == "T") or (isinstance(node, ast.Subscript) and is_range(node)):
        return [node.value]
    return []


def _infer_node(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    joining = _JOINING.get(name_function(reading, node)) if isinstance(node, ast.Call) else None
    if isinstance(node, ast.Call) and joining is None:
        return infer_call(reading, node, args)
    for arg in args:
        _refuse_out_of_place(reading, arg)
    if isinstance(node, ast.Call) and joining is not None:
        return joining(reading, node, args)
    if is_range(node):
        return infer_slice(reading, node, args)
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise ParseError(
            f"{reading.source.write(node)[:40]} is not in the language",
            span=reading.source.span(node), advice=_INSTEAD.get(type(node), "use + - * / ** @ .T and functions"),
        )  # fmt: skip
    return handler(reading, node, args)


_JOINING = {names.PAD: infer_pad, names.CONCAT: infer_concat}


def _refuse_out_of_place(reading: Reading, draft: Draft) -> None:
    """Raise for a comparison or a text that is not an argument of the function that takes it."""
    refuse_comparison(draft)
    if draft.op == "text":
        raise ParseError("a text in quotes has no meaning here", span=draft.span, advice="write names without quotes")


def _infer_name(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.Name)
    name, span = restore_name(node.id), reading.source.span(node)
    if name in reading.awaited or name in reading.defined:
        return use_definition(reading, name, span)
    if name in reading.declared:
        reading.symbols.setdefault(name, hold_axes(reading.declared[name]))
    elif name in reading.sizes:
        return reading.add("size", (), SCALAR_AXES, span, (reading.sizes[name],))
    elif name in names.CONSTANTS:
        note_constant(reading, name)
        return reading.add("constant", (), SCALAR_AXES, span, (name,))
    elif name == "I" and reading.has_identity:
        return fill_open(reading, "eye", span)
    elif name not in reading.symbols:
        _refuse_name(reading, name, span)
        note_name(reading, name)
        reading.symbols[name] = open_shape(reading.assumed.get(name, names.count_axes(name)))
    return reading.add("symbol", (), reading.symbols[name], span, (name,))


def _refuse_name(reading: Reading, name: str, span: tuple[int, int]) -> None:
    """Raise for a name that cannot be a variable."""
    if reading.is_rule:
        raise ParseError(f"{name} is no parameter of the rule", span=span)
    if name in names.SPECIAL or reading.book.overloads(name):
        form = names.SPECIAL.get(name) or write_forms(reading.book.overloads(name)[:1])
        advice = f"write {form}, or declare the shape of {name}"
        raise ParseError(f"{name} is a function", span=span, advice=advice)
    if name.startswith("__") or len(name) > 50:
        raise ParseError(f"{name[:50]} cannot be a name", span=span, advice="use letters and digits, such as W_1")


def _infer_constant(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.Constant)
    span = reading.source.span(node)
    if isinstance(node.value, str):
        return reading.add("text", (), SCALAR_AXES, span, (node.value,))
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise ParseError(f"{reading.source.write(node)[:40]} is not a real number", span=span)
    value = read_number(reading.source.write(node), node.value, span)
    return reading.add("number", (), SCALAR_AXES, span, (value,), value)


def _infer_operator(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.BinOp)
    left, right = args
    span = reading.source.span(node)
    if isinstance(node.op, ast.MatMult):
        return infer_product(reading, span, left, right)
    op = _OPERATORS.get(type(node.op))
    if op is None:
        between = (left.span[1], right.span[0])
        advice = _INSTEAD.get(type(node.op))
        raise ParseError("this operator is not in the language", span=between, advice=advice)
    value = compute_value(op, left, right, span)
    axes = broadcast_axes(left.axes, right.axes)
    if axes is None:
        raise _explain_elementwise(reading, op, left, right, span)
    _note_broadcast(reading, op, left, right)
    if op == "power" and right.op == "symbol" and right.data[0] == "T" and "T" not in reading.declared:
        text = reading.write(left)
        reading.note(f"{text}**T is a power with the exponents T; write {_transpose_text(text)} for the transpose")
    return reading.add(op, (left, right), axes, span, (), value)


_DOING = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "compare": "a comparison"}


def _explain_elementwise(reading: Reading, op: str, left: Draft, right: Draft, span: tuple[int, int]) -> ShapeError:
    one, other = reading.write_shapes(left.axes, right.axes)
    advice = "declare the shapes, or multiply with @" if op == "multiply" else None
    if (
        len(left.axes) == len(right.axes) == 2
        and left.is_row != right.is_row
        and not (left.is_matrix or right.is_matrix)
    ):
        advice = f"write {_transpose_text(reading.write(right))}"
    given = f"{reading.write(left)} is {one}, {reading.write(right)} is {other}"
    reason = f"{_DOING[op]} works entry by entry: {given}{_name_differing(reading, left, right)}"
    return ShapeError(reason, span=span, advice=advice)


def _name_differing(reading: Reading, left: Draft, right: Draft) -> str:
    for a, b in zip(left.axes, right.axes, strict=False):
        if not (is_unit(a) or is_unit(b) or unify(a, b)):
            return f"; {reading.write_size(a)} and {reading.write_size(b)} are different sizes"
    return ""


_VERBS = {"add": "is added to", "subtract": "is subtracted from", "multiply": "multiplies", "divide": "divides"}


def _note_broadcast(reading: Reading, op: str, left: Draft, right: Draft) -> None:
    """Remark that a vector is used for every column or row of a matrix."""
    vector, matrix = (left, right) if right.is_matrix else (right, left)
    if reading.is_rule or not (vector.is_column or vector.is_row):
        return
    if (left.is_column and right.is_row) or (left.is_row and right.is_column):
        reading.note(f"{reading.write(left)} and {reading.write(right)} are a column and a row: every pair is combined")
    if not matrix.is_matrix:
        return
    if "keepdims" in reading.source.text[slice(*vector.span)]:
        return  # a row that the reader asked for
    text = reading.write(vector)
    verb = _VERBS.get(op, "is used for") if vector is right or op in ("add", "multiply") else "is used for"
    if vector.is_row:
        reading.note(f"{text} {verb} every row")
        return
    action = verb.replace("is ", "").replace("added", "add it").replace("subtracted", "subtract it")
    infinitive = {"multiplies": "multiply", "divides": "divide", "used for": "use it for"}.get(action, action)
    reading.note(f"{text} {verb} every column; write {_transpose_text(text)} to {infinitive} every row, as torch does")


def infer_product(reading: Reading, span: tuple[int, int], left: Draft, right: Draft) -> Draft:
    """Return the draft of left @ right; raises ShapeError where the inner sizes differ."""
    if len(left.axes) != 2 or len(right.axes) != 2:
        raise ShapeError(
            "@ multiplies matrices and vectors only", span=span, advice="use einsum for arrays with more axes"
        )
    inner, outer = left.axes[1], right.axes[0]
    if is_unit(inner) == is_unit(outer):
        if unify(inner, outer):
            return reading.add("matmul", (left, right), (left.axes[0], right.axes[1]), span)
    elif left.is_column and right.is_column and unify(left.axes[0], outer):
        return reading.add("matmul", (left, right), SCALAR_AXES, span)
    raise _explain_product(reading, span, left, right)


def _explain_product(reading: Reading, span: tuple[int, int], left: Draft, right: Draft) -> ShapeError:
    """Say which inner sizes differ, and which transpose would fit."""
    one, other = reading.write(left), reading.write(right)
    # Brackets are no part of a draft: where the product reaches further than its operand, there are some.
    first, second = f"({one})" if span[0] < left.span[0] else one, f"({other})" if right.span[1] < span[1] else other
    shape_left, shape_right = reading.write_shapes(left.axes, right.axes)
    advice = "transpose one of them, or declare their shapes"
    if left.is_scalar or right.is_scalar:
        advice = f"write {first} * {second}, since a scalar scales{_suggest_declaring(reading, left, right)}"
    elif not right.is_column and left.is_column:
        advice = f"write {_transpose_text(one)} @ {second}"
    elif right.is_row:
        advice = f"write {first} @ {_transpose_text(other)}"
    return ShapeError(
        f"{first} @ {second} needs equal inner sizes, not {shape_left} @ {shape_right}", span=span, advice=advice
    )


def _suggest_declaring(reading: Reading, left: Draft, right: Draft) -> str:
    """Say how a Greek letter, or e, becomes the vector that the reader may have meant."""
    scalar, inner = (left, right.axes[0]) if left.is_scalar else (right, left.axes[1])
    leaf = scalar.args[0] if scalar.op == "transpose" else scalar
    if leaf.op not in ("symbol", "constant") or leaf.data[0] in reading.declared or is_unit(inner):
        return ""
    name = leaf.data[0]
    what = "a scalar by convention" if leaf.op == "symbol" else "2.718..." if name == "e" else "3.141..."
    return f"; {name} is {what}: for a vector declare it, --vars '{name}: {reading.write_size(inner)}'"


def _transpose_text(text: str) -> str:
    if text.endswith(".T"):
        return text[:-2]
    return f"{text}.T" if text.isidentifier() or (text.endswith(")") and text.count("(") == 1) else f"({text}).T"


def _infer_sign(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.UnaryOp)
    (operand,) = args
    if isinstance(node.op, ast.UAdd):
        return operand
    if not isinstance(node.op, ast.USub):
        raise ParseError(
            "this operator is not in the language", span=reading.source.span(node), advice=_INSTEAD[type(node.op)]
        )
    value = None if operand.value is None else -operand.value
    return reading.add("negate", args, operand.axes, reading.source.span(node), (), value)


def _infer_transpose(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.Attribute)
    span = reading.source.span(node)
    if not args:
        before = reading.source.write(node.value)
        advice = _ATTRIBUTES.get(node.attr, "the only attribute is .T").format(before)
        if before in ("np", "numpy", "torch", "math", "sympy", "F", "jnp", "linalg", "np.linalg", "torch.linalg"):
            advice = f"write {node.attr} without {before}."
        elif "{0}" in _ATTRIBUTES.get(node.attr, ""):
            advice = "write " + advice
        raise ParseError(f".{node.attr} is not in the language", span=span, advice=advice)
    if len(args[0].axes) != 2:
        raise ShapeError(
            f".T turns matrices and vectors, not {reading.describe(args[0].axes)}", span=span, advice="use einsum"
        )
    return reading.add("transpose", args, args[0].axes[::-1], span)


def _infer_comparison(reading: Reading, node: ast.expr, args: tuple[Draft, ...]) -> Draft:
    assert isinstance(node, ast.Compare)
    span = reading.source.span(node)
    symbol = _COMPARISONS.get(type(node.ops[0]))
    if symbol is None or not args:
        reason = "comparisons cannot be chained" if not args else "this comparison is not in the language"
        raise ParseError(reason, span=span, advice="one of > < >= <= as the condition of where")
    axes = broadcast_axes(args[0].axes, args[1].axes)
    if axes is None:
        raise _explain_elementwise(reading, "compare", args[0], args[1], span)
    return reading.add("compare", args, axes, span, (symbol,))


_Handler = Callable[[Reading, ast.expr, tuple[Draft, ...]], Draft]
_HANDLERS: dict[type[ast.expr], _Handler] = {
    ast.Name: _infer_name, ast.Constant: _infer_constant, ast.BinOp: _infer_operator, ast.UnaryOp: _infer_sign,
    ast.Attribute: _infer_transpose, ast.Compare: _infer_comparison,
}  # fmt: skip


# --- infer definitions ------------------------------------------------------------------------------
#
# Definitions -> drafts: a defined name is the draft of what it stands for, one node however often it is used.


_Span = tuple[int, int]
_RENAME = "use another name for one of them"


def begin_definitions(reading: Reading) -> None:
    """Note which names the text will define; raises ParseError for a name that cannot be defined.

    Names that an earlier text has defined are known here too, and may be defined anew.
    """
    reading.awaited = set()
    for definition in reading.source.definitions:
        if definition.name in reading.awaited:
            raise ParseError(f"{definition.name} is defined twice", span=definition.span, advice=_RENAME)
        _refuse_definition(reading, definition.name, definition.span)
        reading.awaited.add(definition.name)


def _refuse_definition(reading: Reading, name: str, span: _Span) -> None:
    taken = _find_other_meaning(reading, name)
    if taken:
        raise ParseError(f"{name} is {taken}, so it cannot be defined", span=span, advice=_RENAME)
    if name.startswith("__") or len(name) > 50:
        raise ParseError(f"{name[:50]} cannot be a name", span=span, advice="use letters and digits, such as p_1")


def _find_other_meaning(reading: Reading, name: str) -> str | None:
    if name in reading.declared:
        return "a parameter of the rule" if reading.is_rule else "declared as a variable"
    if name in reading.sizes:
        return "a size"
    if name in reading.symbols:
        return "a variable"
    if name in reading.abstract or name in names.SPECIAL or name == "D" or reading.book.overloads(name):
        return "a function"
    return "a number" if name == "pi" else None


def define(reading: Reading, definition: Definition, draft: Draft) -> None:
    """Let a name stand for a draft from here on."""
    reading.awaited.discard(definition.name)
    reading.defined[definition.name] = draft


def use_definition(reading: Reading, name: str, span: _Span) -> Draft:
    """Return the draft that a name stands for, placed where it is used; raises ParseError where it has none yet."""
    if name not in reading.awaited:
        return replace(reading.defined[name], span=span)
    own = next(definition.span for definition in reading.source.definitions if definition.name == name)
    current = next(part for part in reading.source.definitions if part.name in reading.awaited)
    if current.name == name:
        raise ParseError(f"{name} is defined by itself", span=span, advice="give the new value another name")
    assert own[0] > span[0]
    raise ParseError(f"{name} is used before it is defined", span=span, advice=f"move the definition of {name} up")


# --- limit numbers ----------------------------------------------------------------------------------
#
# Numbers of a text: exact, and bounded before anything is computed with them.


MOST_DIGITS = 300
LARGEST_EXPONENT = 10_000



def read_number(text: str, value: int | float, span: _Span) -> Fraction:
    """Return the exact value of a literal; raises LimitError for more than 300 digits or a huge exponent.

    >>> read_number("0.1", 0.1, (0, 3))
    Fraction(1, 10)
    """
    if isinstance(value, float):
        exponent = re.search(r"[eE]([+-]?\d+)$", text.replace("_", ""))
        if len(text) > MOST_DIGITS or (exponent and abs(int(exponent.group(1)[:9])) > MOST_DIGITS):
            raise _refuse(span)
        return Fraction(text.replace("_", ""))
    return bound_value(Fraction(value), span)


def bound_value(value: Fraction, span: _Span) -> Fraction:
    """Return the value; raises LimitError where it has more than 300 digits."""
    if max(abs(value.numerator).bit_length(), value.denominator.bit_length()) > MOST_DIGITS * 10 // 3:
        raise _refuse(span)
    return value


def _refuse(span: _Span) -> LimitError:
    return LimitError(f"the number has more than {MOST_DIGITS} digits", span=span, advice="use a name for it")


def compute_value(op: str, left: Draft, right: Draft, span: _Span) -> Fraction | None:
    """Return the value of left op right where it is a number; raises for 1/0 and for powers beyond the bound."""
    if op == "power":
        return _compute_power(left.value, right.value, span)
    if op == "divide" and right.value == 0:
        raise ParseError("division by zero", span=span)
    if left.value is None or right.value is None:
        return None
    if op == "add":
        return bound_value(left.value + right.value, span)
    if op == "subtract":
        return bound_value(left.value - right.value, span)
    return bound_value(left.value * right.value if op == "multiply" else left.value / right.value, span)


def _compute_power(base: Fraction | None, exponent: Fraction | None, span: _Span) -> Fraction | None:
    if exponent is None:
        return None
    if abs(exponent) > LARGEST_EXPONENT:
        raise LimitError(f"the exponent is beyond {LARGEST_EXPONENT}", span=span, advice="use a name for it")
    if base is None:
        return None
    if base == 0 and exponent < 0:
        raise ParseError("division by zero", span=span)
    if exponent.denominator != 1:
        return None
    bits = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent) > MOST_DIGITS * 10 // 3:
        raise _refuse(span)
    return bound_value(base**exponent.numerator, span)
