"""Products regrouped before they are planned: vectors meet matrices first, diag(p) - p @ p.T is never formed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import reduce

from matcalc.language.expression import (
    Expression,
    add,
    divide,
    matmul,
    multiply,
    negate,
    number,
    rebuild,
    subtract,
    transpose,
    walk,
)


def regroup(*roots: Expression) -> list[Expression]:
    """Return the same expressions with products in a cheaper order.

    (A @ B) @ x becomes A @ (B @ x), so that equal parts of several products are one node, and a sum of diagonal
    matrices and outer products is applied term by term: (diag(p) - p @ p.T) @ x is diag(p) @ x - p @ (p.T @ x).

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(regroup(parse("A @ (diag(p) - p @ p.T) @ x").expressions[0])[0])
    'A @ (diag(p) @ x - p @ (p.T @ x))'
    """
    parents = _list_parents(roots)
    for root in roots:
        parents[root].add("")
    done: dict[Expression, Expression] = {}
    for node in walk(*roots):
        whole = rebuild(node, [done[arg] for arg in node.args])
        # A product within a longer one is regrouped with it.
        is_chain = node.op == "matmul" and parents[node] != {"matmul"}
        done[node] = _order(whole) if is_chain else whole
    return [done[root] for root in roots]


def _list_parents(roots: Sequence[Expression]) -> dict[Expression, set[str]]:
    """Return in what each node stands."""
    parents: dict[Expression, set[str]] = defaultdict(set)
    for node in walk(*roots):
        for arg in node.args:
            parents[arg].add(node.op)
    return parents


def _order(product: Expression) -> Expression:
    factors = _list_factors(product)
    # Between a column and a row there is nothing to sum over: each side is a product of its own.
    cuts = [place + 1 for place, factor in enumerate(factors[:-1]) if factor.shape[1].is_unit]
    sides = [factors[start:end] for start, end in zip([0, *cuts], [*cuts, len(factors)], strict=True)]
    return reduce(matmul, map(_order_side, sides))


def _order_side(factors: list[Expression]) -> Expression:
    if factors[-1].is_column:
        return reduce(lambda right, left: _apply(left, right, matmul), factors[-2::-1], factors[-1])
    if factors[0].is_row and all(factor.op in ("symbol", "transpose") for factor in factors[1:]):
        # A row is written as the column that it is the transpose of, which often stands elsewhere as well.
        return transpose(_order_side([_transpose(factor) for factor in reversed(factors)]))
    if factors[0].is_row:
        return reduce(lambda left, right: _apply(right, left, lambda a, b: matmul(b, a)), factors[1:], factors[0])
    sums = [place for place, factor in enumerate(factors) if _is_light_sum(factor)]
    if len(sums) != 1:
        return reduce(matmul, factors)
    return _expand(factors[: sums[0]], factors[sums[0]], factors[sums[0] + 1 :])


def _transpose(node: Expression) -> Expression:
    return node.args[0] if node.op == "transpose" else transpose(node)


def _list_factors(product: Expression) -> list[Expression]:
    factors, stack = [], [product]
    while stack:
        node = stack.pop()
        if node.op == "matmul":
            stack += [node.args[1], node.args[0]]
        else:
            factors.append(node)
    return factors


Multiply = Callable[[Expression, Expression], Expression]


def _apply(matrix: Expression, vector: Expression, times: Multiply) -> Expression:
    """Return the product of a matrix with a vector on one of its sides; `times` puts them in order."""
    if matrix.op == "negate":
        return negate(_apply(matrix.args[0], vector, times))
    if _is_light_sum(matrix):
        build = add if matrix.op == "add" else subtract
        return build(*(_apply(term, vector, times) for term in matrix.args))
    scaled = _split_scalar(matrix)
    if scaled is not None and _is_light(matrix):
        scalar, rest = scaled
        product = _apply(rest, vector, times)
        return divide(product, scalar) if matrix.op == "divide" else multiply(scalar, product)
    if matrix.op == "matmul" and _is_light(matrix):
        ends = matrix.args if times(matrix, vector).is_row else matrix.args[::-1]
        return reduce(lambda inner, factor: times(factor, inner), ends, vector)
    return vector if _is_eye(matrix) else times(matrix, vector)


def _expand(before: list[Expression], light: Expression, after: list[Expression]) -> Expression:
    """Return the sum of the products with each term of a light sum."""
    if light.op in ("add", "subtract"):
        build = add if light.op == "add" else subtract
        return build(*(_expand(before, term, after) for term in light.args))
    if light.op == "negate":
        return negate(_expand(before, light.args[0], after))
    factors = [factor for factor in (*before, light, *after) if not _is_eye(factor)]
    return reduce(matmul, factors or [light])


# --- running sums ---------------------------------------------------------------------------------------


def share_sums(*roots: Expression) -> list[Expression]:
    """Return the same expressions with sums written from shorter sums of the same terms.

    The backward pass of a residual network adds a term with each layer: a + b, a + b + c, ... are one sum that runs.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(share_sums(parse("(y + x)*(x + z + y)").expressions[0])[0])
    '(y + x)*(y + x + z)'
    """
    parents = _list_parents(roots)
    done: dict[Expression, Expression] = {}
    known: dict[_Term, list[tuple[frozenset[_Term], Expression]]] = defaultdict(list)
    sums: dict[Expression, list[_Term]] = {}
    for node in walk(*roots):
        whole = rebuild(node, [done[arg] for arg in node.args])
        if node.op in ("add", "subtract") and all(arg.shape == node.shape or arg.is_scalar for arg in node.args):
            terms = _list_terms(node, sums, done)
            if len(terms) <= _MOST_OPENED:
                sums[node] = terms
            if parents[node] <= {"add", "subtract"} and node not in roots:
                done[node] = whole
                continue
            terms = _write_ones(terms, whole)
            whole = _share(terms, whole, known)
            _note(terms, whole, known)
        done[node] = whole
    return [done[root] for root in roots]


_Term = tuple[int, Expression]
# Sums of more terms are one term of those that they stand in, else a sum that runs would be opened at each step.
_MOST_OPENED = 16
# A sum is compared with so many of the latest sums that have a term in common with it.
_LATEST = 3


def _list_terms(
    node: Expression, sums: dict[Expression, list[_Term]], done: dict[Expression, Expression]
) -> list[_Term]:
    """Return the terms of a sum, those of sums within it opened."""
    left, right = node.args
    sign = 1 if node.op == "add" else -1
    first = sums.get(left) or [(1, done[left])]
    second = sums.get(right) or [(1, done[right])]
    return [*first, *((sign * own, term) for own, term in second)]


def _write_ones(terms: list[_Term], whole: Expression) -> list[_Term]:
    """Return the terms with 1 for an array of ones, which is what sums write that are factors."""
    if all(term.is_filled("ones") or term.shape != whole.shape for _, term in terms):
        return terms
    return [(sign, number(1) if term.is_filled("ones") else term) for sign, term in terms]


def _share(
    terms: list[_Term], whole: Expression, known: dict[_Term, list[tuple[frozenset[_Term], Expression]]]
) -> Expression:
    every = frozenset(terms)
    if len(every) < len(terms):
        return whole
    near = [each for term in (terms[0], terms[-1]) for each in known[term][-_LATEST:]]
    parts = [each for each in near if each[0] < every and each[1].shape == whole.shape]
    if not parts:
        return whole
    inner, node = max(parts, key=lambda each: len(each[0]))
    rest = [term for term in terms if term not in inner]
    return reduce(lambda total, term: (add if term[0] > 0 else subtract)(total, term[1]), rest, node)


def _note(
    terms: list[_Term], whole: Expression, known: dict[_Term, list[tuple[frozenset[_Term], Expression]]]
) -> None:
    every = frozenset(terms)
    if len(every) == len(terms):
        for term in (terms[0], terms[-1]):
            known[term].append((every, whole))


# --- what is light ------------------------------------------------------------------------------------


def _is_light_sum(node: Expression) -> bool:
    return node.op in ("add", "subtract") and len(node.squeezed_shape) == 2 and _is_light(node)


def _is_light(node: Expression) -> bool:
    """Whether a matrix is diagonal, an outer product, or a sum and a multiple of such."""
    if node.op in ("add", "subtract"):
        return all(arg.shape == node.shape and _is_light(arg) for arg in node.args)
    if node.op == "negate":
        return _is_light(node.args[0])
    scaled = _split_scalar(node)
    if scaled is not None:
        return _is_light(scaled[1])
    is_outer = node.op == "matmul" and node.args[0].is_column and node.args[1].is_row
    return is_outer or _is_eye(node) or (node.op == "call" and node.data[0].name == "diag_of_vector")


def _is_eye(node: Expression) -> bool:
    return node.op == "filled" and node.name == "eye" and node.shape[0] == node.shape[1]


def _split_scalar(node: Expression) -> tuple[Expression, Expression] | None:
    """Return the scalar and the matrix of a multiple of a matrix."""
    if node.op == "divide" and node.args[1].is_scalar and node.args[0].shape == node.shape:
        return node.args[1], node.args[0]
    if node.op != "multiply":
        return None
    left, right = node.args
    if left.is_scalar and right.shape == node.shape:
        return left, right
    return (right, left) if right.is_scalar and left.shape == node.shape else None
