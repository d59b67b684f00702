"""Drafts -> typed nodes, once every size has its letter."""

from __future__ import annotations

from collections.abc import Mapping

from matcalc.language import expression
from matcalc.language.draft import Draft, Letters, settle
from matcalc.language.expression import Expression

_BINARY = {
    "add": expression.add, "subtract": expression.subtract, "multiply": expression.multiply,
    "divide": expression.divide, "power": expression.power, "matmul": expression.matmul,
}  # fmt: skip
_UNARY = {"negate": expression.negate, "transpose": expression.transpose}


def build_expressions(drafts: list[Draft], letters: Letters, symbols: Mapping[str, Expression]) -> list[Expression]:
    """Return one node for each draft; a draft comes after the drafts that it uses."""
    built: list[Expression] = []
    for draft in drafts:
        built.append(_build(draft, tuple(built[arg.position] for arg in draft.args), letters, symbols))
    return built


def _build(
    draft: Draft, args: tuple[Expression, ...], letters: Letters, symbols: Mapping[str, Expression]
) -> Expression:
    op, data = draft.op, draft.data
    if op in _BINARY:
        return _BINARY[op](*args)
    if op in _UNARY:
        return _UNARY[op](*args)
    if op == "symbol":
        return symbols[data[0]]
    if op == "call":
        rule, axis, keepdims = data
        return expression.call(rule, args, settle(draft.axes, letters), axis, keepdims)
    if op == "compare":
        return expression.compare(data[0], *args)
    if op == "einsum":
        return expression.einsum(data[0], args)
    return _build_leaf(draft, args, letters)


def _build_leaf(draft: Draft, args: tuple[Expression, ...], letters: Letters) -> Expression:
    op, data = draft.op, draft.data
    if op == "number":
        return expression.number(data[0])
    if op == "constant":
        return expression.constant(data[0])
    if op == "size":
        return expression.size_value(data[0])
    if op == "filled":
        return expression.filled(data[0], *data[1])
    if op == "abstract":
        return expression.abstract(data[0], args[0], settle(draft.axes, letters))
    if op == "abstract_derivative":
        return expression.abstract_derivative(data[0], args[0], data[1], settle(data[2], letters))
    return expression.number(0)  # a quoted literal such as 'nuc', which the chosen rule stands for
