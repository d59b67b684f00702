"""A derivative whose formula divides by 0 at special points -> the same one by differentials that hold there too.

The formula that a reader sees is the textbook's: x/norm(x), prod(x)*(1/x), det(X)*inv(X).  It has no value where x is
0 or X is singular, though the derivative exists there, or torch chooses one.  Numbers come from the `everywhere` of
the rules instead, whose functions a reader would not write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache

from matcalc.engine.result import Result, derive_each
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, call, rebuild, symbols, walk
from matcalc.rule_files import Rule, RuleBook, shipped_rules


def derive_everywhere(
    function: Expression, by: Sequence[Expression], printed: Expression, rules: RuleBook | None = None,
    meaning: str = "free",
) -> Result | None:
    """Return the derivative that has numbers at special points too, None where the printed one has or none is known."""
    book = shipped_rules() if rules is None else rules
    has_special = any(node.op == "call" and _is_special(node.data[0], book) for node in walk(function))
    names = {wrt.name for wrt in by}
    if not has_special or not any(_divides(node, names) for node in walk(printed)):
        return None
    try:
        special = _hold_everywhere(book)
        return derive_each(_call_from(special, function), [[wrt] for wrt in by], special, meaning)[0]
    except MatcalcError:  # there is no such derivative of this order
        return None


def _divides(node: Expression, names: Collection[str]) -> bool:
    """Whether a node may divide by 0 where the function does not: by what depends on the variables of these names."""
    if node.op == "divide":
        divisor = node.args[1]
    elif node.op == "power":
        base, exponent = node.args
        if exponent.op == "number" and exponent.data[0] >= 0:
            return False
        divisor = base
    elif node.op == "call" and (node.data[0].inverts or node.is_call("inv")):
        divisor = node
    else:
        return False
    return not symbols(divisor).keys().isdisjoint(names)


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
