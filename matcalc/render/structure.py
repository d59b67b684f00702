"""What kind of matrix a derivative is, read off its formula: diagonal, of low rank, symmetric, a Kronecker product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add, matmul
from typing import TYPE_CHECKING

from matcalc.engine.assemble import flatten
from matcalc.language.expression import Expression, symbols, walk

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

HIGHEST_RANK = 3
_SYMMETRIC = {"symmetric", "posdef", "diagonal"}

_Factor = tuple[int, bool, bool]  # which matrix, whether it is transposed, and whether that makes no difference
_Term = tuple[int, Counter[int], tuple[_Factor, ...]]  # the sign, the scalars, the matrices


def describe_structure(derivative: Derivative) -> tuple[str, ...]:
    """Return words for what the formula shows; what it does not show is not said, and nothing is tried in numbers.

    >>> from matcalc.derivation import derive
    >>> [describe_structure(derive(text)) for text in ("x**2", "softmax(x)", "A @ x", "A @ X @ B")]
    [('diagonal', 'symmetric'), ('diagonal plus rank 1', 'symmetric'), ('constant',), ('constant', 'Kronecker product')]
    """
    return tuple(_list_words(derivative))


def _list_words(derivative: Derivative) -> Iterator[str]:
    expression = derivative.expression
    is_zero = expression.op == "number" and expression.data[0] == 0
    if is_zero or expression.is_filled("zeros"):
        yield "zero"
        return
    if _is_constant(derivative):
        yield "constant"
    if len(derivative.shape) == 2:
        yield from _describe_matrix(expression)
    if len(derivative.shape) > 2 or derivative.layout == "vec":
        yield from _describe_kron(derivative.result.expression("vec"))


def _is_constant(derivative: Derivative) -> bool:
    """Whether no variable of the differentiation stands in the derivative: the function is affine in it."""
    known = symbols(derivative.expression)
    has_unknown = any(node.op.startswith("abstract") for node in walk(derivative.expression))
    return not has_unknown and not any(wrt.name in known for wrt in derivative.by)


def _describe_matrix(expression: Expression) -> Iterator[str]:
    if expression.is_filled("eye"):
        yield "identity"
    split = _split(expression)
    if split.diagonal and split.rank == 0:
        yield "diagonal"
    elif split.rank is not None and 0 < split.rank <= HIGHEST_RANK:
        rank = f"rank {split.rank}" if split.rank == 1 else f"rank at most {split.rank}"
        yield f"diagonal plus {rank}" if split.diagonal else rank
    if _is_symmetric(expression):
        yield "symmetric"
    yield from _describe_triangle(expression)


def _describe_triangle(expression: Expression) -> Iterator[str]:
    is_transposed = expression.op == "transpose"
    node = expression.args[0] if is_transposed else expression
    if node.op == "call" and node.data[0].function in ("tril", "triu"):
        yield "lower triangular" if (node.data[0].function == "tril") != is_transposed else "upper triangular"


def _describe_kron(expression: Expression) -> Iterator[str]:
    """Products whose factors have the same shapes in each term."""
    terms = [_strip_scalars(term) for _, term in _list_terms(expression)]
    if not all(term.op == "call" and term.data[0].function == "kron" for term in terms):
        return
    if len({tuple(factor.shape for factor in term.args) for term in terms}) == 1:
        yield "Kronecker product" if len(terms) == 1 else f"sum of {len(terms)} Kronecker products"


# --- diagonal and low rank ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Split:
    """A matrix as a diagonal part, if there is one, and a rest of at most this rank; None where none is known."""

    diagonal: bool
    rank: int | None

    def __add__(self, other: _Split) -> _Split:
        known = self.rank is not None and other.rank is not None
        return _Split(self.diagonal or other.diagonal, (self.rank or 0) + (other.rank or 0) if known else None)

    def __matmul__(self, other: _Split) -> _Split:
        if self.rank is not None and other.rank is not None:
            both = self.diagonal and other.diagonal
            bounds = [each.rank for each in (self, other) if each.rank is not None and not each.diagonal]
            return _Split(both, min(bounds) if bounds else self.rank + other.rank)
        bounds = [each.rank for each in (self, other) if each.rank is not None and not each.diagonal]
        return _Split(False, min(bounds) if bounds else None)


def _split(node: Expression) -> _Split:
    if len(node.shape) == 2 and any(size.is_unit for size in node.shape):
        return _Split(False, 1)
    if _is_diagonal(node):
        return _Split(True, 0)
    if node.is_filled("ones"):
        return _Split(False, 1)
    if _is_sum(node) or node.op == "negate":
        return reduce(add, [_split(term) for _, term in _list_terms(node)])
    if node.op == "transpose":
        return _split(node.args[0])
    if node.op in ("multiply", "divide") and (scaled := _find_scaled(node)) is not None:
        return _split(scaled)
    if node.op == "matmul":
        return reduce(matmul, [_split(factor) for factor in flatten(node)])
    return _Split(False, None)


def _is_sum(node: Expression) -> bool:
    """Whether a node adds arrays of its own shape, none of them broadcast."""
    return node.op in ("add", "subtract") and all(arg.shape == node.shape for arg in node.args)


def _is_diagonal(node: Expression) -> bool:
    if node.op == "filled":
        return node.name == "eye"
    if node.op == "symbol":
        return "diagonal" in node.data[1]
    return node.op == "call" and node.data[0].name == "diag_of_vector"


def _find_scaled(node: Expression) -> Expression | None:
    """The array that a scalar multiplies or divides, None where none does."""
    left, right = node.args
    if right.is_scalar:
        return left
    return right if left.is_scalar and node.op == "multiply" else None


# --- symmetry -------------------------------------------------------------------------------------


def _is_symmetric(node: Expression) -> bool:
    """Whether the terms are the same when each is transposed."""
    terms = [_read_term(sign, term) for sign, term in _list_terms(node)]
    transposed = [
        (sign, scalars, tuple((base, not turned and not same, same) for base, turned, same in reversed(factors)))
        for sign, scalars, factors in terms
    ]
    return all(transposed.count(term) == terms.count(term) for term in terms)


def _list_terms(node: Expression, sign: int = 1) -> Iterator[tuple[int, Expression]]:
    """The terms of a sum of arrays of one shape, with their signs."""
    waiting = [(sign, node)]
    while waiting:
        sign, node = waiting.pop()
        if _is_sum(node):
            waiting += [(sign if node.op == "add" else -sign, node.args[1]), (sign, node.args[0])]
        elif node.op == "negate":
            waiting.append((-sign, node.args[0]))
        else:
            yield sign, node


def _read_term(sign: int, term: Expression) -> _Term:
    scalars: Counter[int] = Counter()
    factors = tuple(_read_factor(_strip_scalars(factor, scalars)) for factor in flatten(_strip_scalars(term, scalars)))
    return sign, scalars, factors


def _strip_scalars(node: Expression, found: Counter[int] | None = None) -> Expression:
    """The array without the scalars that multiply or divide it, which are counted in `found`."""
    while node.op in ("multiply", "divide") and (scaled := _find_scaled(node)) is not None:
        if found is not None:
            other = node.args[1] if scaled is node.args[0] else node.args[0]
            found[id(other)] += 1 if node.op == "multiply" else -1
        node = scaled
    return node


def _read_factor(node: Expression) -> _Factor:
    is_transposed = node.op == "transpose"
    base = node.args[0] if is_transposed else node
    is_symmetric = _is_symmetric_factor(base)
    return id(base), is_transposed and not is_symmetric, is_symmetric


def _is_symmetric_factor(node: Expression) -> bool:
    if _is_diagonal(node) or (node.is_filled("ones") and node.shape[0] == node.shape[1]):
        return True
    if node.op == "symbol":
        return bool(_SYMMETRIC & node.data[1])
    if node.op == "call" and node.data[0].symmetric:
        return _is_symmetric(node.args[0])
    return _is_sum(node) and _is_symmetric(node)
