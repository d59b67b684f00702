"""What a caller gives -> texts, shapes, assumptions, and the variables to differentiate by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matcalc.errors import DeclarationError
from matcalc.language.declarations import Declared, split_assumptions, split_shapes
from matcalc.language.expression import Expression, symbols
from matcalc.language.expression_to_text import to_text
from matcalc.language.names import name_wrt
from matcalc.language.text_to_expression import Problem, parse

MAX_ORDER = 6
ALL = "all"


def check_order(order: Any) -> None:
    """Raise DeclarationError for an order that is not a whole number from 1 to MAX_ORDER."""
    if not isinstance(order, int) or not 1 <= order <= MAX_ORDER:
        raise DeclarationError(f"the order is a whole number from 1 to {MAX_ORDER}, not {order!r}")


# --- the expression -------------------------------------------------------------------------------


def read_input(expr: Any, shapes: Declared, assume: Declared) -> tuple[str, Declared, Declared, Mapping[str, Any]]:
    """Return the text of an input; a SymPy expression brings its shapes, assumptions and symbols along."""
    shapes, assume = split_shapes(shapes), split_assumptions(assume)
    if isinstance(expr, str):
        return expr, shapes, assume, {}
    if isinstance(expr, Expression):
        found = symbols(expr)
        return to_text(expr), {**declared_shapes(found), **shapes}, assume, {}
    if hasattr(expr, "as_input"):
        text, known_shapes, known_assume, names = expr.as_input()
        return text, {**known_shapes, **shapes}, {**known_assume, **assume}, names
    from matcalc.language.sympy_to_expression import list_names, read_sympy

    text, known_shapes, known_assume = read_sympy(expr)
    return text, {**known_shapes, **shapes}, {**known_assume, **assume}, list_names(expr)


def is_code(expr: Any) -> bool:
    """Whether an input is a Python function of tensors; a SymPy symbol can be called as well, but is none."""
    return callable(expr) and not hasattr(expr, "free_symbols")


def declared_shapes(found: Mapping[str, Expression]) -> dict[str, tuple[str, ...]]:
    """The shapes of variables as they would be declared."""
    return {name: tuple(map(str, symbol.declared_shape)) for name, symbol in found.items()}


# --- the variables --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """By what to differentiate: by each of several names, by one after the other (mixed), or by one."""

    names: tuple[str, ...] = ()
    order: int = 1
    several: bool = False
    every: bool = False
    mixed: bool = False


def read_asked(wrt: Any, order: Any) -> Asked:
    """Return by what to differentiate: wrt="x", ["W", "b"], "W, b" or "all"; order=2 or ("x", "y").

    Raises DeclarationError for what is no name, for a name given twice, and for an order that does not exist.
    """
    order = _split_names(order)
    if isinstance(order, list | tuple):
        return _read_mixed(wrt, order)
    check_order(order)
    wrt = _split_names(wrt)
    if isinstance(wrt, str) and wrt.strip() == ALL:
        return _check_several(Asked((), order, several=True, every=True))
    if isinstance(wrt, list | tuple):
        return _check_several(Asked(_read_names(wrt), order, several=True))
    name = name_wrt(wrt)
    return Asked(() if name is None else (name,), order)


def _split_names(given: Any) -> Any:
    """Return the names of a text such as "x, y"; anything else as it is."""
    return given.strip().strip(",").split(",") if isinstance(given, str) and "," in given else given


def _read_names(given: Sequence[Any]) -> tuple[str, ...]:
    return tuple(name for name in map(name_wrt, given) if name is not None)


def _read_mixed(wrt: Any, order: Sequence[Any]) -> Asked:
    names = _read_names(order)
    if wrt is not None:
        reason = f"the order {', '.join(names)} names the variables already"
        raise DeclarationError(reason, advice="leave wrt out, or give the order as a number")
    if len(names) != len(order) or not 1 <= len(names) <= MAX_ORDER:
        raise DeclarationError(f"a mixed derivative names from 1 to {MAX_ORDER} variables, not {len(names)}")
    return Asked(names, len(names), mixed=True)


def _check_several(asked: Asked) -> Asked:
    twice = next((name for name in asked.names if asked.names.count(name) > 1), None)
    if twice:
        advice = f'give each name once; for the second derivative by {twice} there is order=("{twice}", "{twice}")'
        raise DeclarationError(f"{twice} is named twice", advice=advice)
    if not asked.every and not asked.names:
        raise DeclarationError("no variable is named", advice='give names, such as ["W", "b"], or "all"')
    if asked.order > 2:
        reason = f"several variables have first and second derivatives here, not those of order {asked.order}"
        raise DeclarationError(reason, advice='name the variables of one mixed derivative: order=("x", "x", "y")')
    return asked


def read_problem(text: str, asked: Asked, **declared: Any) -> tuple[Problem, Asked]:
    """Return what a text says, every asked variable among its symbols, and the names that were asked for.

    Raises the errors of `parse`.
    """
    if asked.every:
        found = parse(text, **declared).symbols
        if not found:
            raise DeclarationError("there is no variable", advice="declare its shape if the derivative shall be zero")
        # A variable called "all" is meant by its name.
        asked = Asked((ALL,), asked.order) if ALL in found else replace(asked, names=tuple(found))
    first = asked.names[0] if asked.names else None
    problem = parse(text, wrt=first, choose_wrt=first is None, **declared)
    for name in asked.names:
        if name not in problem.symbols:
            problem.symbols[name] = parse(text, wrt=name, **declared).symbols[name]
    if not asked.names:
        assert problem.wrt is not None
        asked = replace(asked, names=(problem.wrt.name,))
    return problem, asked
