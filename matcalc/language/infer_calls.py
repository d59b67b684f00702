"""Calls -> drafts: which function is called, and abstract functions u(x) with their derivatives D(u, x)."""

from __future__ import annotations

import ast
import re

from matcalc.errors import DeclarationError, ParseError
from matcalc.language import names as names
from matcalc.language.draft import Axes, Draft, Reading, drop_unit_axes, hold, note_index, open_shape
from matcalc.language.explain_calls import explain_missing
from matcalc.language.infer_built_in import infer_einsum, infer_filled, infer_where, read_power, refuse_comparison
from matcalc.language.match_rules import call_rule
from matcalc.language.read_text import restore_name

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
    is_derivative = name == "D" and len(node.args) >= 2
    _refuse_keywords(reading, name, node, none_allowed=name in names.SPECIAL or is_derivative)
    if name == "where":
        return infer_where(reading, args, span)
    for arg in args:
        refuse_comparison(arg)
    if name in names.FILLED:
        return infer_filled(reading, name, node)
    if name == "einsum":
        return infer_einsum(reading, args, span)
    if is_derivative:
        return _infer_derivative(reading, node, args[0])
    if reading.book.overloads(name):
        note_index(reading, name, args)
        return call_rule(reading, name, node, read_power(reading, args, span) if name == "matrix_power" else args)
    return _infer_abstract(reading, name, node, args)


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
    return reading.add("abstract", args, hold(axes), span, (name,))


def _shape_abstract(reading: Reading, name: str, span: tuple[int, int], written: list[str] | None = None) -> Axes:
    """Return the output shape of an abstract function, without unit axes."""
    if name in reading.defined or name in reading.awaited:
        advice = "write a product with * or @, or rename the definition"
        raise ParseError(f"{name} is defined as an expression, not as a function", span=span, advice=advice)
    if name not in reading.abstract:
        if name in reading.sizes:
            raise ParseError(f"{name} is a size, not a function", span=span)
        if name in reading.declared:
            reading.abstract[name] = drop_unit_axes(reading.declared[name])
        elif reading.is_rule or not names.is_single_letter(name):
            raise explain_missing(reading, name, span, written)
        else:
            reading.abstract[name] = drop_unit_axes(open_shape(names.count_axes(name)))
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
    whole = shape + order * drop_unit_axes(argument.axes)[::-1]
    return reading.add("abstract_derivative", (argument,), hold(whole), span, (name, order, shape))


def _read_order(node: ast.Call, span: tuple[int, int]) -> int:
    given = node.args[2] if len(node.args) == 3 else ast.Constant(1)
    order = given.value if isinstance(given, ast.Constant) else None
    if type(order) is not int or not 1 <= order <= HIGHEST_ORDER:
        reason = f"the order of D is a whole number from 1 to {HIGHEST_ORDER}"
        raise ParseError(reason, span=span, advice="write D(u, x, 2)")
    return order
