"""Calls -> drafts: which form of a function fits, the shape of what it returns, abstract functions and einsum."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

from matcalc.errors import DeclarationError, LimitError, ParseError, RuleError, ShapeError
from matcalc.language import names as names
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import (
    SCALAR_AXES,
    Axes,
    Draft,
    DraftAxis,
    Reading,
    Unknown,
    broadcast_axes,
    hold_axes,
    is_unit,
    note_greek,
    note_index,
    open_shape,
    squeeze_axes,
    unify,
)
from matcalc.language.explain_calls import explain_missing, write_forms
from matcalc.language.match_rules import call_function, call_rule, find_forms
from matcalc.language.read_text import restore_name
from matcalc.language.sizes import UNIT, Size
from matcalc.rule_files import COMPOUND_SIZE, find_sympy_rules

HIGHEST_ORDER = 6


def name_function(reading: Reading, node: ast.Call) -> str:
    """Return the name of the function called; raises for calls of anything but a name."""
    if isinstance(node.func, ast.Name):
        return restore_name(node.func.id)
    advice: str | None = "call functions by name, as in exp(x)"
    if isinstance(node.func, ast.Attribute):
        advice = _advise_member(reading, node, node.func)
    written = reading.source.write(node.func)[:40]
    raise ParseError(f"{written}(...) is not in the language", span=reading.source.span(node), advice=advice)


_MODULE = r"(?:np|numpy|torch|math|sympy|F|jnp|scipy)(?:\.\w+)*"


def _advise_member(reading: Reading, node: ast.Call, function: ast.Attribute) -> str | None:
    """Return how a function of a library or a method is called here: np.exp(x) is exp(x), A.inv() is inv(A)."""
    before, name = reading.source.write(function.value), function.attr
    if name in ("transpose", "t", "H"):
        return f"write {before}.T"
    name = {"I": "inv", "dot": "matmul"}.get(name, name)
    owner = [] if re.fullmatch(_MODULE, before) else [before]
    args = [re.sub(rf"\b{_MODULE}\.(?=\w+\()", "", text) for text in [*owner, *map(reading.source.write, node.args)]]
    rules = reading.book.overloads(name) or list(find_sympy_rules(name, None))
    if not rules and name not in names.SPECIAL:
        return explain_missing(reading, name, reading.source.span(node), args).advice
    if rules and all(len(rule.parameters) != len(args) for rule in rules):
        return "write " + (names.SPECIAL.get(name) or write_forms(rules))
    inside = ", ".join([*args, *map(reading.source.write, node.keywords)])
    return f"write {name}({inside if len(inside) <= 60 else '...'})"


def list_operands(reading: Reading, node: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call that are expressions of their own."""
    name = name_function(reading, node)
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            raise ParseError("arguments cannot be starred", span=reading.source.span(arg), advice="write them out")
    if name in names.FILLED:
        return []
    if _is_basis(node):
        return node.args[1:]
    if name == names.PAD:
        return node.args[:1]
    if name == "D" and len(node.args) >= 2:
        return [node.args[1]]
    return node.args


def list_size_names(tree: ast.expr) -> set[str]:
    """Return the names that stand for sizes in eye(n), ones(m, n) and their kin."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names.FILLED:
            for arg in node.args:
                found.update(restore_name(part.id) for part in ast.walk(arg) if isinstance(part, ast.Name))
        elif isinstance(node, ast.Call) and _is_basis(node):
            found.update(restore_name(part.id) for part in ast.walk(node.args[0]) if isinstance(part, ast.Name))
    return found


def _is_basis(node: ast.Call) -> bool:
    """Whether a call is basis(n, 0), whose first argument is a size."""
    if not isinstance(node.func, ast.Name) or node.func.id != names.BASIS or len(node.args) != 2:
        return False
    return all(isinstance(part, ast.Name | ast.Constant | ast.BinOp | ast.operator | ast.expr_context)
               for part in ast.walk(node.args[0]))  # fmt: skip


def infer_call(reading: Reading, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return the draft of a call; raises where no form of the function fits."""
    name, span = name_function(reading, node), reading.source.span(node)
    is_derivative = name == "D" and len(node.args) >= 2
    _refuse_keywords(reading, name, node, none_allowed=name in names.SPECIAL or is_derivative)
    if name == "where":
        return infer_where(reading, args, span)
    for arg in args:
        refuse_comparison(arg)
    if name in names.FILLED:
        return fill(reading, name, _read_sizes(reading, name, node), span)
    if name == "einsum":
        return infer_einsum(reading, args, span)
    if _is_basis(node):
        return call_basis(reading, _read_size(reading, node.args[0]), args[0], span)
    if is_derivative:
        return _infer_derivative(reading, node, args[0])
    if reading.book.overloads(name) or (not _is_own(reading, name) and find_forms(reading, name, args)):
        note_index(reading, name, args)
        note_greek(reading, name)
        return call_rule(reading, name, node, read_power(reading, args, span) if name == "matrix_power" else args)
    return _infer_abstract(reading, name, node, args)


def _is_own(reading: Reading, name: str) -> bool:
    """Whether a name stands for something of the reader's, so that no function of SymPy is meant."""
    own = (reading.declared, reading.abstract, reading.defined, reading.awaited, reading.sizes)
    return any(name in names for names in own)


def _refuse_keywords(reading: Reading, name: str, node: ast.Call, none_allowed: bool) -> None:
    given = [keyword.arg for keyword in node.keywords]
    for place, keyword in enumerate(node.keywords):
        if none_allowed or keyword.arg in given[:place]:
            reason = f"{name} takes no {keyword.arg}=" if none_allowed else f"{keyword.arg}= is given twice"
            raise ParseError(reason, span=reading.source.span(keyword), advice="leave it out")


# --- abstract functions -----------------------------------------------------------------------------


def _infer_abstract(reading: Reading, name: str, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """u(x): a function of which only the shape of its result is known."""
    span = reading.source.span(node)
    if name.startswith("__"):
        raise ParseError(f"{name[:50]} is not in the language", span=span)
    axes = _shape_abstract(reading, name, span, [reading.write(arg) for arg in args])
    if node.keywords or len(args) != 1 or args[0].op == "text":
        raise ParseError(f"the abstract function {name} takes one argument", span=span, advice=f"write {name}(x)")
    return reading.add("abstract", args, hold_axes(axes), span, (name,))


def _shape_abstract(reading: Reading, name: str, span: tuple[int, int], written: list[str] | None = None) -> Axes:
    """Return the output shape of an abstract function, without unit axes."""
    if name in reading.defined or name in reading.awaited:
        advice = "write a product with * or @, or rename the definition"
        raise ParseError(f"{name} is defined as an expression, not as a function", span=span, advice=advice)
    if name not in reading.abstract:
        if name in reading.sizes:
            raise ParseError(f"{name} is a size, not a function", span=span)
        if name in reading.declared:
            reading.abstract[name] = squeeze_axes(reading.declared[name])
        elif reading.is_rule or not names.is_single_letter(name):
            raise explain_missing(reading, name, span, written)
        else:
            reading.abstract[name] = squeeze_axes(open_shape(names.count_axes(name)))
    return reading.abstract[name]


def _infer_derivative(reading: Reading, node: ast.Call, argument: Draft) -> Draft:
    """D(u, x) and D(u, x, 2): derivatives of an abstract function in numerator layout."""
    span, first = reading.source.span(node), node.args[0]
    if not isinstance(first, ast.Name) or len(node.args) > 3 or argument.op == "text":
        reason = "D takes an abstract function, its argument and an order"
        raise ParseError(reason, span=span, advice="write D(u, x, 2)")
    order = _read_order(node, span)
    name = restore_name(first.id)
    if name in reading.symbols or reading.book.overloads(name):
        raise DeclarationError(f"{name} is not an abstract function", span=reading.source.span(first))
    shape = _shape_abstract(reading, name, reading.source.span(first))
    whole = shape + order * squeeze_axes(argument.axes)[::-1]
    return reading.add("abstract_derivative", (argument,), hold_axes(whole), span, (name, order, shape))


def _read_order(node: ast.Call, span: tuple[int, int]) -> int:
    given = node.args[2] if len(node.args) == 3 else ast.Constant(1)
    order = given.value if isinstance(given, ast.Constant) else None
    if type(order) is not int or not 1 <= order <= HIGHEST_ORDER:
        reason = f"the order of D is a whole number from 1 to {HIGHEST_ORDER}"
        raise ParseError(reason, span=span, advice="write D(u, x, 2)")
    return order


# --- infer built in ---------------------------------------------------------------------------------
#
# Calls of the functions that are built in: eye, ones, zeros and their kin, einsum, where, matrix_power.


LARGEST_FILLED = 10**7
LARGEST_MATRIX_POWER = 64

_Span = tuple[int, int]


# --- arrays filled with numbers ---------------------------------------------------------------------


def fill(reading: Reading, name: str, sizes: list[Size], span: _Span) -> Draft:
    """Return the draft of eye(n), ones(m, n), fuse(m, p) and their kin; without sizes, a number.

    Raises LimitError for an array of too many entries.
    """
    axes = _shape_filled(name, sizes)
    if all(size.is_unit for size in sizes) and name != "fuse":
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


def call_basis(reading: Reading, size: DraftAxis, place: Draft, span: _Span) -> Draft:
    """Return the unit vector of a size that is 1 at a place, counted from 0; raises ParseError for no such place."""
    value, count = place.value, size.number if isinstance(size, Size) and not size.letters else None
    if value is not None and (value.denominator != 1 or value < 0 or (count is not None and value >= count)):
        reason = f"there is no place {value} on an axis of {'that size' if count is None else count}"
        raise ParseError(reason, span=place.span, advice="places are counted from 0")
    ones = reading.add("filled", (), (size, UNIT), span, ("ones", (size,)))
    return call_function(reading, names.BASIS, (ones, place), span)


def fill_open(reading: Reading, name: str, span: _Span) -> Draft:
    """Return the identity, or a column of ones, of the size that fits."""
    size = Unknown()
    axes: Axes = (size, size) if name == "eye" else (size, UNIT)
    return reading.add("filled", (), axes, span, (name, (size,)))


def _read_sizes(reading: Reading, name: str, node: ast.Call) -> list[Size]:
    fewest, most = names.FILLED[name]
    span, count = reading.source.span(node), len(node.args)
    if not fewest <= count <= most:
        wanted = f"{most} size{'s' if most > 1 else ''}" if fewest == most else f"at most {most} sizes"
        raise ParseError(f"{name} takes {wanted}, not {count}", span=span, advice=f"write {names.SPECIAL[name]}")
    sizes = [_read_size(reading, arg) for arg in node.args]
    if name in ("ones", "zeros") and len(sizes) > 2:
        return [size for size in sizes if not size.is_unit]
    if name == "fuse" and any(size.is_unit for size in sizes) and not reading.is_rule:
        raise ParseError("fuse joins two axes, neither of size 1", span=span, advice=f"write {names.SPECIAL[name]}")
    return sizes


def _shape_filled(name: str, sizes: list[Size]) -> tuple[Size, ...]:
    if name == "eye":
        return (sizes[0], sizes[0])
    if name == "fuse":
        return (sizes[0] * sizes[1], *sizes)
    if name == "commutation":
        return (sizes[0] * sizes[1],) * 2
    if name == "duplication":
        return (sizes[0] * sizes[0], sizes[0].triangle())
    return (*sizes, *(UNIT,) * (2 - len(sizes)))


def _read_size(reading: Reading, node: ast.expr) -> Size:
    """Return a size argument: a name, a number, their sums, differences and products."""
    compound = COMPOUND_SIZE.fullmatch(ast.unparse(node).replace(" ", "")) if isinstance(node, ast.BinOp) else None
    if compound and compound[3]:
        return reading.sizes[restore_name(compound[3])].triangle()
    size = _read_sum(reading, node)
    span = reading.source.span(node)
    if len(size.letters) > 16 or len(size.base_letters) > 32:
        raise LimitError("a size is a product of more than 16 letters", span=span)
    if all(count <= 0 for count in size.terms.values()):
        raise ParseError(f"{reading.source.write(node)[:40]} is {size}, and no size", span=span)
    return size


def _read_sum(reading: Reading, node: ast.expr) -> Size:
    size, stack = UNIT, [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult):
            stack += [part.right, part.left]
        elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add | ast.Sub):
            left, right = _read_sum(reading, part.left), _read_sum(reading, part.right)
            size = size * (left + right if isinstance(part.op, ast.Add) else left - right)
        else:
            size = size * _read_factor(reading, part)
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
        advice="sizes are names, positive whole numbers, their products and sums, as in ones(m*p, n - 1)",
    )  # fmt: skip


# --- einsum -------------------------------------------------------------------------------------------

_EINSUM_FORM = f"write letters as in {names.SPECIAL['einsum']}"


def infer_einsum(reading: Reading, args: tuple[Draft, ...], span: _Span) -> Draft:
    """einsum('ij,jk->ik', A, B) on the shapes without unit axes; a rule's text may give letters to these as well."""
    if not args or args[0].op != "text":
        raise ParseError("einsum begins with its letters", span=span, advice=_EINSUM_FORM)
    operands = args[1:]
    inputs, output = _read_subscripts(args[0].data[0], len(operands), args[0].span)
    whole = output
    if reading.is_rule:
        inputs, output, operands = _drop_units(inputs, output, operands)
    sizes: dict[str, DraftAxis] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        _bind_operand(reading, letters, operand, sizes)
    if reading.is_rule and inputs == [output] and operands[0].is_column:
        return operands[0]
    data = (",".join(inputs) + "->" + output,)
    found = reading.add("einsum", operands, hold_axes(tuple(sizes[letter] for letter in output)), span, data)
    is_row = len(whole) == 2 and len(output) == 1 and whole[0] not in output
    return reading.add("transpose", (found,), found.axes[::-1], span) if is_row else found


def _drop_units(
    inputs: list[str], output: str, operands: tuple[Draft, ...]
) -> tuple[list[str], str, tuple[Draft, ...]]:
    """Return an einsum without the letters of unit axes, and without fuse(m, p) where one of its sizes is 1.

    So one definition holds of matrices, columns and rows: fuse(m, 1) is the identity, whose two letters are one.
    """
    same: dict[str, str] = {}
    kept = []
    for letters, operand in zip(inputs, operands, strict=True):
        pairs = zip(letters, operand.axes, strict=True) if len(letters) == len(operand.axes) else ()
        units = [letter for letter, axis in pairs if is_unit(axis)]
        same |= dict.fromkeys(units, "")
        if not units or operand.op != "filled" or operand.data[0] != "fuse":
            kept.append((letters, operand))
        elif letters[0] not in units:
            same[letters[0]] = next(letter for letter in letters[1:] if letter not in units)
    table = str.maketrans(same)
    texts = [letters.translate(table) for letters, _ in kept]
    return texts, output.translate(table), tuple(operand for _, operand in kept)


def _bind_operand(reading: Reading, letters: str, operand: Draft, sizes: dict[str, DraftAxis]) -> None:
    """Give the letters of one operand their sizes."""
    if operand.op == "text":
        raise ParseError("a text in quotes has no meaning here", span=operand.span, advice=_EINSUM_FORM)
    axes = squeeze_axes(operand.axes)
    if len(letters) != len(axes):
        given = f"{reading.write(operand)}, {reading.describe(operand.axes)}"
        reason = f"einsum gives {len(letters)} letter{'s' if len(letters) != 1 else ''} to {given}"
        advice = "give one letter for each axis; vectors have one, scalars none"
        raise ShapeError(reason, span=operand.span, advice=advice)
    for letter, axis in zip(letters, axes, strict=True):
        if not unify(sizes.setdefault(letter, axis), axis):
            two = f"{reading.write_size(sizes[letter])} and {reading.write_size(axis)}"
            raise ShapeError(f"einsum letter {letter} stands for two sizes, {two}", span=operand.span)


def _read_subscripts(text: str, count: int, span: _Span) -> tuple[list[str], str]:
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

_WHERE_FORM = f"write {names.SPECIAL['where']}"


def refuse_comparison(draft: Draft) -> None:
    """Raise for a comparison that is not the condition of where."""
    if draft.op == "compare":
        raise ParseError("a comparison is only the condition of where", span=draft.span, advice=_WHERE_FORM)


def infer_where(reading: Reading, args: tuple[Draft, ...], span: _Span) -> Draft:
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


def read_power(reading: Reading, args: tuple[Draft, ...], span: _Span) -> tuple[Draft, ...]:
    """Return the arguments of matrix_power(X, k), with k as one number."""
    advice = f"write {names.SPECIAL['matrix_power']}"
    if len(args) != 2:
        raise ParseError(f"matrix_power takes 2 arguments, not {len(args)}", span=span, advice=advice)
    value = args[1].value
    if value is None or value.denominator != 1:
        raise ParseError("the power of matrix_power is a whole number", span=args[1].span, advice=advice)
    if abs(value) > LARGEST_MATRIX_POWER:
        raise LimitError(f"the power is beyond {LARGEST_MATRIX_POWER}", span=args[1].span)
    return args[0], reading.add("number", (), SCALAR_AXES, args[1].span, (value,), value)
