"""Formula -> its terms: what stands between plus and minus once products and linear functions are multiplied out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import product

from matcalc.language.expression import (
    Expression,
    add,
    call,
    divide,
    einsum,
    filled,
    matmul,
    multiply,
    negate,
    number,
    power,
    subtract,
    transpose,
    walk,
)

MAX_TERMS = 12
MAX_NODES = 300
MAX_WAYS = 12


@dataclass(frozen=True)
class Term:
    """One term with its sign apart, so that 2*(x - a) gives -2*a and not 2*(-a)."""

    body: Expression
    negative: bool = False

    @property
    def expression(self) -> Expression:
        """The term as it is written."""
        return _change_sign(self.body) if self.negative else self.body

    def turned(self, negative: bool = True) -> Term:
        """Return the term with the other sign, where `negative`."""
        return Term(self.body, self.negative != negative)


def _change_sign(node: Expression) -> Expression:
    """Return -node, the sign drawn to what it begins with: -2*A @ b, -x @ x.T/norm(x)."""
    if node.op == "number":
        return number(-node.data[0])
    if node.op in ("multiply", "divide", "matmul"):
        return _BUILDERS[node.op](_change_sign(node.args[0]), node.args[1])
    return negate(node)


def list_splits(formula: Expression) -> list[list[Term]]:
    """Return the ways to see a formula as a sum of two terms or more, the fewest terms first; a huge one has none.

    Products are multiplied out, of matrices, of numbers and entry by entry, one factor at a time or all of them;
    except s*(1 - s): where the other factor is itself a term of the sum, people know the product as one thing.

    >>> from matcalc.language.text_to_expression import parse
    >>> [len(terms) for terms in list_splits(parse("(A + A.T) @ (x - b)").expressions[0])]
    [2, 2, 4]
    """
    if sum(1 for _ in walk(formula)) > MAX_NODES:
        return []
    ways = [_spread(terms, formula) for terms in _list_ways(formula) if len(terms) > 1]
    return sorted(ways, key=len)[:MAX_WAYS]


def join_terms(terms: Iterable[Term]) -> Expression:
    """Return the sum of some terms, one at least, a positive one first where there is one."""
    first, *others = sorted(terms, key=lambda term: term.negative)
    start = first.expression
    return reduce(lambda total, term: (subtract if term.negative else add)(total, term.body), others, start)


@lru_cache(maxsize=256)
def _list_ways(node: Expression) -> list[list[Term]]:
    """Return the ways to write a node as terms, the node itself as one term last."""
    ways = [terms for terms in _WAYS[node.op](node) if 1 <= len(terms) <= MAX_TERMS] if node.op in _WAYS else []
    return [*ways[:MAX_WAYS], [Term(node)]]


def _split_sum(node: Expression) -> list[list[Term]]:
    """Of a sum both sides are always split; how deep is what the ways differ in."""
    left, right = (_list_ways(arg) for arg in node.args)
    pairs = sorted(product(left, right), key=lambda pair: len(pair[0]) + len(pair[1]))
    return [one + [term.turned(node.op == "subtract") for term in other] for one, other in pairs[:MAX_WAYS]]


def _spread(terms: list[Term], node: Expression) -> list[Term]:
    """Return the terms in the shape of the whole they stand in: the 1 of 1 + log(x) is ones(n)."""
    return [term if term.body.shape == node.shape else Term(_fill(term.body, node), term.negative) for term in terms]


def _fill(body: Expression, node: Expression) -> Expression:
    ones = filled("ones", *node.dropped_shape)
    is_one = body.op == "number" and body.data[0] == 1
    return ones if is_one and ones.shape == node.shape else multiply(body, ones)


def _split_negation(node: Expression) -> list[list[Term]]:
    return [[term.turned() for term in terms] for terms in _list_ways(node.args[0])]


def _split_product(node: Expression) -> list[list[Term]]:
    """Multiply out a product or a linear function of one or several operands."""
    parts = [_list_ways(arg) for arg in node.args]
    choices = sorted(product(*parts), key=lambda choice: math.prod(map(len, choice)))
    return [terms for choice in choices[:MAX_WAYS] if len(terms := _multiply_out(node, list(choice))) > 1]


def _split_entrywise_product(node: Expression) -> list[list[Term]]:
    """Multiply out a*b; a square such as s*(1 - s) stays."""
    sums = [min(_list_ways(arg), key=lambda way: -len(way)) for arg in node.args]
    return [] if _repeats(*sums) or _repeats(*sums[::-1]) else _split_product(node)


def _split_quotient(node: Expression) -> list[list[Term]]:
    above, below = node.args
    return [_multiply_out(node, [terms, [Term(below)]]) for terms in _list_ways(above) if len(terms) > 1]


def _split_call(node: Expression) -> list[list[Term]]:
    return _split_product(node) if node.data[0].linear else []


def _repeats(factor: list[Term], terms: list[Term]) -> bool:
    """Whether the only term of a factor is, but for a power or a number, itself one of several terms."""
    if len(factor) != 1 or len(terms) < 2:
        return False
    kernel = _strip(factor[0].body)
    return kernel.op != "number" and any(_strip(term.body) is kernel for term in terms)


def _strip(node: Expression) -> Expression:
    """Return a node without powers and without numbers that multiply it."""
    while True:
        if node.op == "power":
            node = node.args[0]
        elif node.op == "multiply" and node.args[0].op == "number":
            node = node.args[1]
        else:
            return node


def _multiply_out(node: Expression, parts: list[list[Term]]) -> list[Term]:
    if math.prod(map(len, parts)) > MAX_TERMS:
        return []
    if node.op not in ("multiply", "divide"):
        parts = [_spread(part, arg) for part, arg in zip(parts, node.args, strict=True)]
    return [_build(node, choice) for choice in product(*parts)]


def _build(node: Expression, choice: tuple[Term, ...]) -> Term:
    """Return the node with these terms in the place of its operands."""
    bodies = tuple(term.body for term in choice)
    negative = sum(term.negative for term in choice) % 2 == 1
    if node.op == "call":
        return Term(call(node.data[0], bodies, node.shape, *node.data[1:]), negative)
    if node.op == "einsum":
        return Term(einsum(node.data[0], bodies), negative)
    return Term(_BUILDERS[node.op](*bodies), negative)


def _multiply(left: Expression, right: Expression) -> Expression:
    """Return left * right without a factor 1 and without brackets: 2*alpha*w."""
    for one, other in ((left, right), (right, left)):
        if one.op == "number" and one.data[0] == 1:
            return other
    if left.op == "number" and right.op == "matmul":
        return _matmul(_multiply(left, right.args[0]), right.args[1])
    if right.op == "multiply":
        return _multiply(_multiply(left, right.args[0]), right.args[1])
    return multiply(left, right)


def _matmul(left: Expression, right: Expression) -> Expression:
    """Return left @ right without brackets: X.T @ X @ w."""
    if right.op == "matmul" and left.shape[1] == right.args[0].shape[0]:
        return _matmul(_matmul(left, right.args[0]), right.args[1])
    return matmul(left, right)


def _divide(above: Expression, below: Expression) -> Expression:
    """Return above / below; x/a/a as x/a**2."""
    if above.op == "divide" and above.args[1] is below:
        return divide(above.args[0], power(below, number(2)))
    return divide(above, below)


_BUILDERS: dict[str, Callable[..., Expression]] = {
    "multiply": _multiply,
    "divide": _divide,
    "matmul": _matmul,
    "transpose": transpose,
}

_WAYS: dict[str, Callable[[Expression], list[list[Term]]]] = {
    "add": _split_sum,
    "subtract": _split_sum,
    "negate": _split_negation,
    "multiply": _split_entrywise_product,
    "matmul": _split_product,
    "transpose": _split_product,
    "einsum": _split_product,
    "divide": _split_quotient,
    "call": _split_call,
}
