"""Which functions are linear in which of their parameters: read off their definitions."""

from __future__ import annotations

from functools import lru_cache

from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, RuleBook

_PRIMITIVES = frozenset({"sum", "tril", "triu"})
_CONSTANT, _LINEAR, _OTHER = range(3)


def is_linear_call(rule: Rule, shapes: tuple[Shape, ...], place: int, book: RuleBook | None) -> bool:
    """Whether a function is linear in its parameter at a place, the others held fixed.

    Only a primitive or a definition can tell; a function that is known by its differential is none.
    """
    if rule.primitive:
        return rule.name in _PRIMITIVES
    return rule.is_definition and place in _list_linear(rule, shapes, book)


@lru_cache(maxsize=500)
def _list_linear(rule: Rule, shapes: tuple[Shape, ...], book: RuleBook | None) -> frozenset[int]:
    body = parse_rule_text(rule, rule.define, shapes, book)
    places = enumerate(rule.variables)
    return frozenset(place for place, parameter in places if _measure(body, parameter.name, book) == _LINEAR)


def _measure(root: Expression, name: str, book: RuleBook | None) -> int:
    """Return how the expression depends on a variable: not at all, linearly, or in another way."""
    found: dict[Expression, int] = {}
    for node in walk(root):
        found[node] = _measure_node(node, [found[arg] for arg in node.args], name, book)
    return found[root]


def _measure_node(node: Expression, args: list[int], name: str, book: RuleBook | None) -> int:
    if node.op == "symbol":
        return _LINEAR if node.name == name else _CONSTANT
    if not any(args):
        return _CONSTANT
    if node.op == "call":
        return _measure_call(node, args, book)
    if node.op in ("negate", "transpose"):
        return args[0]
    if node.op in ("add", "subtract"):
        return _LINEAR if args == [_LINEAR, _LINEAR] else _OTHER
    if node.op in ("multiply", "matmul", "einsum") or (node.op == "divide" and args[1] == _CONSTANT):
        return _LINEAR if sum(args) == _LINEAR else _OTHER
    return _OTHER


def _measure_call(node: Expression, args: list[int], book: RuleBook | None) -> int:
    rule = node.data[0]
    if rule.name == "size":
        return _CONSTANT
    shapes = tuple([arg.shape for arg in node.args])
    linear = sum(args) == _LINEAR and is_linear_call(rule, shapes, args.index(_LINEAR), book)
    return _LINEAR if linear else _OTHER
