"""A derivative whose formula divides by 0 at special points -> the same one by differentials that hold there too.

The formula that a reader sees is the textbook's: x/norm(x), prod(x)*(1/x), det(X)*inv(X).  It has no value where x is
0 or X is singular, though the derivative exists there, or torch chooses one.  Numbers come from the `everywhere` of
the rules instead, whose functions a reader would not write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from matcalc.engine.result import Result, derive_each
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, call, rebuild, walk
from matcalc.rule_files import Rule, RuleBook, shipped_rules


def derive_everywhere(
    function: Expression, by: Sequence[Expression], printed: Expression, rules: RuleBook | None = None,
    meaning: str = "free",
) -> Result | None:
    """Return the derivative that has numbers at special points too, None where the printed one has or none is known."""
    book = shipped_rules() if rules is None else rules
    if not _has_special(function, book) or not any(_list_divided([printed] * len(by), [wrt.name for wrt in by])):
        return None
    found = _derive_specially(function, [[wrt] for wrt in by], book, meaning)
    return found[0] if found else None


def derive_each_everywhere(
    function: Expression, wrts: Sequence[Expression], printed: Sequence[Expression], rules: RuleBook | None = None,
    meaning: str = "free",
) -> list[Result | None]:
    """Return for each of several variables what `derive_everywhere` does, from one derivation."""
    book = shipped_rules() if rules is None else rules
    nothing: list[Result | None] = [None] * len(wrts)
    if not _has_special(function, book):
        return nothing
    needs = _list_divided(printed, [wrt.name for wrt in wrts])
    asked = [wrt for wrt, is_needed in zip(wrts, needs, strict=True) if is_needed]
    found = iter(_derive_specially(function, [asked], book, meaning) if asked else [])
    return [next(found, None) if is_needed else None for is_needed in needs]


def _has_special(function: Expression, book: RuleBook) -> bool:
    return any(node.op == "call" and _is_special(node.data[0], book) for node in walk(function))


def _derive_specially(
    function: Expression, by: Sequence[Sequence[Expression]], book: RuleBook, meaning: str
) -> list[Result]:
    """Return the derivatives by the differentials that hold everywhere; none where there are none of this order."""
    try:
        special = _hold_everywhere(book)
        return derive_each(_call_from(special, function), by, special, meaning)
    except MatcalcError:
        return []


def _list_divided(printed: Sequence[Expression], names: Sequence[str]) -> list[bool]:
    """Return whether each formula may divide by 0 where the function does not: by what holds the variable beside it."""
    bits = {name: 1 << place for place, name in enumerate(dict.fromkeys(names))}
    held: dict[Expression, int] = {}
    divided: dict[Expression, int] = {}
    for node in walk(*printed):
        held[node] = bits.get(node.name, 0) if node.op == "symbol" else 0
        divided[node] = 0
        for arg in node.args:
            held[node] |= held[arg]
            divided[node] |= divided[arg]
        if (divisor := _find_divisor(node)) is not None:
            divided[node] |= held[divisor]
    return [bool(divided[formula] & bits[name]) for formula, name in zip(printed, names, strict=True)]


def _find_divisor(node: Expression) -> Expression | None:
    """Return what a node divides by."""
    if node.op == "divide":
        return node.args[1]
    if node.op == "power":
        base, exponent = node.args
        return None if exponent.op == "number" and exponent.data[0] >= 0 else base
    return node if node.op == "call" and (node.data[0].inverts or node.is_call("inv")) else None


@lru_cache(maxsize=512)
def _is_special(rule: Rule, book: RuleBook) -> bool:
    """Whether the rule, or one that its definition calls, states a differential for special points."""
    called = re.findall(r"\w+", rule.define) if rule.is_definition else []
    others = [each for name in called if name != rule.function for each in book.overloads(name)]
    return bool(rule.everywhere) or any(_is_special(each, book) for each in others)


@lru_cache(maxsize=16)
def _hold_everywhere(book: RuleBook) -> RuleBook:
    """Return the book in which `everywhere` is the differential of each rule that has one."""
    return RuleBook(replace(rule, differential=rule.everywhere) if rule.everywhere else rule for rule in book)


def _call_from(book: RuleBook, expression: Expression) -> Expression:
    """Return the expression with the functions of a book."""
    done: dict[Expression, Expression] = {}
    for node in walk(expression):
        args = tuple(done[arg] for arg in node.args)
        if node.op == "call" and (rule := book.find(node.data[0].name)) is not None:
            _, axis, keepdims = node.data
            done[node] = call(rule, args, node.shape, axis, keepdims)
        else:
            done[node] = rebuild(node, list(args))
    return done[expression]
