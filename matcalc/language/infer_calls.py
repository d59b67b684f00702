"""Calls -> drafts: sizes taken by eye and its kin, einsum, where, abstract functions, functions with a rule."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

from matcalc.errors import DeclarationError, LimitError, MissingRuleError, ParseError, RuleError, ShapeError
from matcalc.language import names
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import SCALAR_AXES, Draft, Reading, broadcast_axes, drop_unit_axes, hold, open_shape
from matcalc.language.match_rules import call_rule
from matcalc.language.read_text import restore_name
from matcalc.language.sizes import UNIT, Size
from matcalc.language.unknown_sizes import Axis, unify

LARGEST_FILLED = 10**7
LARGEST_MATRIX_POWER = 64
HIGHEST_ORDER = 6


def name_function(reading: Reading, node: ast.Call) -> str:
    """Return the name of the function called; raises for calls of anything but a name."""
    if isinstance(node.func, ast.Name):
        return restore_name(node.func.id)
    span, written = reading.source.span(node), reading.source.write(node.func)
    advice = "call functions by name, as in exp(x)"
    if isinstance(node.func, ast.Attribute):
        before, attribute = reading.source.write(node.func.value), node.func.attr
        inside = before if not node.args or attribute in ("inv", "sum", "mean") else ""
        is_module = re.fullmatch(r"(np|numpy|torch|math|sympy|F|jnp|scipy)(\.\w+)*", before) is not None
        advice = f"write {attribute}(...)" if is_module else f"write {attribute}({inside or before + ', ...'})"
        if attribute in ("transpose", "t", "I", "H"):
            advice = f"write {before}.T"
    raise ParseError(f"{written[:40]}(...) is not in the language", span=span, advice=advice)


def list_operands(reading: Reading, node: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call that are expressions of their own."""
    name = name_function(reading, node)
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            raise ParseError("arguments cannot be starred", span=reading.source.span(arg), advice="write them out")
    if name in names.FILLED:
        return []
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
    return found


def infer_call(reading: Reading, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return the draft of a call; raises where no form of the function fits."""
    name, span = name_function(reading, node), reading.source.span(node)
    if name not in ("where",):
        for arg in args:
            if arg.op == "compare":
                raise ParseError(
                    "a comparison is only the condition of where", span=arg.span, advice="write where(x > 0, x, y)"
                )
    if name in names.SPECIAL or (name == "D" and len(node.args) >= 2):
        for keyword in node.keywords:
            raise ParseError(f"{name} takes no {keyword.arg}=", span=reading.source.span(keyword))
    if name in names.FILLED:
        return _infer_filled(reading, name, node)
    if name == "einsum":
        return _infer_einsum(reading, args, span)
    if name == "where":
        return _infer_where(reading, args, span)
    if name == "D" and len(node.args) >= 2:
        return _infer_derivative(reading, node, args[0])
    if reading.book.overloads(name):
        if name == "matrix_power":
            args = _read_power(reading, args, span)
        return call_rule(reading, name, node, args)
    return _infer_abstract(reading, name, node, args)


# --- arrays filled with numbers ---------------------------------------------------------------------


def _infer_filled(reading: Reading, name: str, node: ast.Call) -> Draft:
    """eye(n), ones(m, n), zeros(...), fuse(m, p), commutation(m, n); without sizes, a number."""
    span = reading.source.span(node)
    fewest, most = names.FILLED[name]
    if not fewest <= len(node.args) <= most:
        raise ParseError(f"{name} takes {fewest} sizes, not {len(node.args)}", span=span, advice=_FILLED_FORMS[name])
    sizes = [_read_size(reading, arg) for arg in node.args]
    if len(sizes) > 2 and name in ("ones", "zeros"):
        sizes = [size for size in sizes if not size.is_unit]
    axes = _shape_filled(name, sizes)
    entries = UNIT
    for size in axes:
        entries = entries * size
    if entries.number > LARGEST_FILLED or any(size.number > LARGEST_SIZE for size in sizes):
        raise LimitError(
            f"{reading.source.write(node)[:40]} is too large", span=span, advice=f"sizes are at most {LARGEST_SIZE}"
        )
    if all(size.is_unit for size in sizes):
        return _infer_number(reading, 0 if name == "zeros" else 1, span)
    return reading.add("filled", (), axes, span, (name, tuple(sizes)))


_FILLED_FORMS = {
    "eye": "write eye(n)", "ones": "write ones(m, n)", "zeros": "write zeros(m, n)", "fuse": "write fuse(m, p)",
    "commutation": "write commutation(m, n)",
}  # fmt: skip


def _shape_filled(name: str, sizes: list[Size]) -> tuple[Size, ...]:
    if name == "eye":
        return (sizes[0], sizes[0])
    if name == "fuse":
        return (sizes[0] * sizes[1], *sizes)
    if name == "commutation":
        return (sizes[0] * sizes[1],) * 2
    return (*sizes, *(UNIT,) * (2 - len(sizes)))


def _infer_number(reading: Reading, value: int, span: tuple[int, int]) -> Draft:
    return reading.add("number", (), SCALAR_AXES, span, (Fraction(value),), Fraction(value))


def _read_size(reading: Reading, node: ast.expr) -> Size:
    """Return a size argument: a name, a number, or a product of them."""
    size, stack = UNIT, [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult):
            stack += [part.right, part.left]
        elif isinstance(part, ast.Name):
            size = size * reading.sizes[restore_name(part.id)]
        elif isinstance(part, ast.Constant) and type(part.value) is int and part.value >= 1:
            if part.value > LARGEST_SIZE:
                raise LimitError(
                    f"the size {str(part.value)[:20]} is beyond {LARGEST_SIZE}", span=reading.source.span(part)
                )
            size = size * Size.of(part.value)
        else:
            raise ParseError(
                f"{reading.source.write(part)[:40]} is not a size", span=reading.source.span(part),
                advice="sizes are names, positive whole numbers and their products, as in ones(m*p, 3)",
            )  # fmt: skip
    return size


# --- einsum, where, matrix_power ----------------------------------------------------------------------


def _infer_einsum(reading: Reading, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """einsum('ij,jk->ik', A, B) on the shapes without unit axes."""
    if not args or args[0].op != "text":
        raise ParseError("einsum begins with its letters", span=span, advice="write einsum('ij,jk->ik', A, B)")
    operands = args[1:]
    inputs, output = _read_subscripts(args[0].data[0], len(operands), args[0].span)
    sizes: dict[str, Axis] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        if operand.op == "text":
            raise ParseError("a text in quotes has no meaning here", span=operand.span)
        axes = drop_unit_axes(operand.axes)
        if len(letters) != len(axes):
            raise ShapeError(
                f"einsum gives {len(letters)} letters ({letters}) to {reading.write(operand)}, {reading.describe(operand.axes)}",
                span=operand.span, advice="give one letter for each axis; vectors have one, scalars none",
            )  # fmt: skip
        for letter, axis in zip(letters, axes, strict=True):
            if not unify(sizes.setdefault(letter, axis), axis):
                two = f"{reading.write_size(sizes[letter])} and {reading.write_size(axis)}"
                raise ShapeError(f"einsum letter {letter} stands for two sizes, {two}", span=operand.span)
    data = (",".join(inputs) + "->" + output,)
    return reading.add("einsum", operands, hold(tuple(sizes[letter] for letter in output)), span, data)


def _read_subscripts(text: str, count: int, span: tuple[int, int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result; without ->, the letters used once, sorted."""
    advice = "write letters as in einsum('ij,jk->ik', A, B)"
    compact = text.replace(" ", "")
    match = re.fullmatch(r"([A-Za-z,]*)(?:->([A-Za-z]*))?", compact)
    if match is None:
        raise ParseError(f"the letters of einsum cannot be {text[:40]!r}", span=span, advice=advice)
    inputs = match.group(1).split(",")
    if len(inputs) != count or count == 0:
        raise ParseError(f"einsum has letters for {len(inputs)} operands and gets {count}", span=span, advice=advice)
    used = "".join(inputs)
    output = match.group(2)
    if output is None:
        output = "".join(sorted(letter for letter in set(used) if used.count(letter) == 1))
    for letter in output:
        if letter not in used or output.count(letter) > 1:
            reason = "more than once" if letter in used else "but in no operand"
            raise ParseError(f"einsum letter {letter} is in the result {reason}", span=span, advice=advice)
    if max(map(len, [*inputs, output])) > 16 or count > 32:
        raise LimitError("einsum is limited to 32 operands of 16 axes", span=span)
    return inputs, output


def _infer_where(reading: Reading, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """where(x > 0, x, y); in rules a parameter can be the condition."""
    rules = reading.book.overloads("where")
    if not rules:
        raise RuleError("the rule book has no rule for where")
    if len(args) != 3:
        raise ParseError(f"where takes 3 arguments, not {len(args)}", span=span, advice="write where(x > 0, x, y)")
    if args[0].op != "compare" and not (reading.is_rule and args[0].op == "symbol"):
        raise ParseError(
            "the first argument of where is a comparison", span=args[0].span, advice="write where(x > 0, x, y)"
        )
    for arg in args[1:]:
        if arg.op in ("compare", "text"):
            raise ParseError("where chooses between two expressions", span=arg.span, advice="write where(x > 0, x, y)")
    axes = broadcast_axes(args[0].axes, args[1].axes)
    axes = broadcast_axes(axes, args[2].axes) if axes is not None else None
    if axes is None:
        written = ", ".join(reading.write_shapes(*(arg.axes for arg in args)))
        raise ShapeError(f"where needs equal shapes, not {written}", span=span)
    return reading.add("call", args, axes, span, (rules[0], None, False))


def _read_power(reading: Reading, args: tuple[Draft, ...], span: tuple[int, int]) -> tuple[Draft, ...]:
    """Return the arguments of matrix_power(X, k), with k as one number."""
    if len(args) != 2:
        raise ParseError(
            f"matrix_power takes 2 arguments, not {len(args)}", span=span, advice="write matrix_power(X, 3)"
        )
    value = args[1].value
    if value is None or value.denominator != 1:
        raise ParseError(
            "the power of matrix_power is a whole number", span=args[1].span, advice="write matrix_power(X, 3)"
        )
    if abs(value) > LARGEST_MATRIX_POWER:
        raise LimitError(f"the power is beyond {LARGEST_MATRIX_POWER}", span=args[1].span)
    return args[0], reading.add("number", (), SCALAR_AXES, args[1].span, (value,), value)


# --- abstract functions -----------------------------------------------------------------------------


def _infer_abstract(reading: Reading, name: str, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """u(x): a function of which only the shape of its result is known."""
    span = reading.source.span(node)
    if name.startswith("__"):
        raise ParseError(f"{name[:50]} is not in the language", span=span)
    axes = _shape_abstract(reading, name, span)
    if node.keywords or len(args) != 1 or args[0].op == "text":
        raise ParseError(f"the abstract function {name} takes one argument", span=span, advice=f"write {name}(x)")
    return reading.add("abstract", args, hold(axes), span, (name,))


def _shape_abstract(reading: Reading, name: str, span: tuple[int, int]) -> tuple[Axis, ...]:
    """Return the output shape of an abstract function, without unit axes."""
    if name not in reading.abstract:
        if name in reading.sizes:
            raise ParseError(f"{name} is a size, not a function", span=span)
        if name in reading.declared:
            reading.abstract[name] = drop_unit_axes(reading.declared[name])
        elif reading.is_rule or not names.is_single_letter(name):
            raise explain_missing(reading, name, span)
        else:
            reading.abstract[name] = drop_unit_axes(open_shape(names.count_axes(name)))
    return reading.abstract[name]


def explain_missing(reading: Reading, name: str, span: tuple[int, int]) -> MissingRuleError:
    """Return the error for a function without a rule: the closest name, or the entry to add and where."""
    known = [*reading.book.functions, *names.SPECIAL]
    closest = _OTHER_NAMES.get(name) or names.find_closest(name, known)
    advice = f"write {closest}(...), or " if closest else ""
    advice += (
        f"add a rule to rules/elementwise.toml, or to a file of your own given with --rules:\n\n"
        f'    [{name}]\n    elementwise = "..."   # the derivative of {name}(x) by x\n\n'
        f"  or declare its shape to use it as an abstract function"
    )
    return MissingRuleError(f"the function {name} has no rule", span=span, advice=advice)


_OTHER_NAMES = {
    "ln": "log", "log2": "log", "log10": "log", "tr": "trace", "Tr": "trace", "inverse": "inv", "transpose": "x.T",
    "sgn": "sign", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "power": "x**k", "matmul": "A @ B",
    "multiply": "A * B", "hadamard": "A * B", "slogdet": "logdet", "determinant": "det", "identity": "eye",
    "I": "eye", "fabs": "abs", "absolute": "abs", "swish": "silu", "logistic": "sigmoid", "clamp": "clip",
    "amax": "max", "amin": "min", "std": "sqrt", "average": "mean", "matrix_exp": "expm",
}  # fmt: skip


def _infer_derivative(reading: Reading, node: ast.Call, argument: Draft) -> Draft:
    """D(u, x) and D(u, x, 2): derivatives of an abstract function in numerator layout."""
    span, first = reading.source.span(node), node.args[0]
    if not isinstance(first, ast.Name) or len(node.args) > 3:
        raise ParseError(
            "D takes an abstract function, its argument and an order", span=span, advice="write D(u, x, 2)"
        )
    order = 1
    if len(node.args) == 3:
        third = node.args[2]
        order = third.value if isinstance(third, ast.Constant) and type(third.value) is int else 0
    if not 1 <= order <= HIGHEST_ORDER:
        raise ParseError(
            f"the order of D is a whole number from 1 to {HIGHEST_ORDER}", span=span, advice="write D(u, x, 2)"
        )
    name = restore_name(first.id)
    if name in reading.symbols or reading.book.overloads(name):
        raise DeclarationError(f"{name} is not an abstract function", span=reading.source.span(first))
    shape = _shape_abstract(reading, name, reading.source.span(first))
    whole = shape + order * drop_unit_axes(argument.axes)[::-1]
    return reading.add("abstract_derivative", (argument,), hold(whole), span, (name, order, shape))
