"""Small builders of expressions: transposes pushed inwards, chains, quotients, and the length of what is printed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import reduce
from itertools import groupby

from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, Shape
from matcalc.rule_files import shipped_rules

_LENGTHS: dict[str, int] = {"symbol": 2, "constant": 2, "transpose": 2, "compare": 2, "einsum": 4}


class Lengths:
    """The number of nodes of Python's syntax tree of the printed text, memoised over shared nodes."""

    def __init__(self) -> None:
        self.known: dict[Expression, int] = {}

    def __call__(self, root: Expression) -> int:
        # Not all of `walk`: what is known need not be walked again, so each node is visited once in all.
        stack = [root]
        while stack:
            node = stack.pop()
            if node in self.known:
                continue
            unknown = [arg for arg in node.args if arg not in self.known]
            if unknown:
                stack += [node, *unknown]
            else:
                self.known[node] = self._own(node) + sum([self.known[arg] for arg in node.args])
        return self.known[root]

    @staticmethod
    def _own(node: Expression) -> int:
        if node.op == "number":
            value = node.data[0]
            return (1 if value.denominator == 1 or _is_decimal(value) else 4) + (2 if value < 0 else 0)
        if node.op == "size":
            return max(2, 4 * len(node.data[0].letters) - 2)
        if node.op == "filled":
            return 3 + sum(max(1, 4 * len(size.letters) - 2) for size in node.data[1])
        if node.op == "call":
            literals = len(node.data[0].parameters) - len(node.args)
            return 3 + literals + (2 if node.data[1] is not None else 0) + (2 if node.data[2] else 0)
        return _LENGTHS.get(node.op, 2 if node.op in _BINARY else 3)


_BINARY = {"add", "subtract", "multiply", "divide", "power", "matmul", "negate"}


def _is_decimal(value: Fraction) -> bool:
    """Whether the number is written with a decimal point: 0.01, but 1/2 and 1/3."""
    denominator = value.denominator
    if denominator % 5:
        return False
    while denominator % 5 == 0:
        denominator //= 5
    while denominator % 2 == 0:
        denominator //= 2
    return denominator == 1


def build_number(value: Fraction) -> Expression:
    """A number as an expression: p, p/q, or a decimal; a negative one under a minus sign."""
    if value < 0:
        return ex.negate(build_number(-value))
    if value.denominator == 1 or _is_decimal(value):
        return ex.number(value)
    return ex.divide(ex.number(value.numerator), ex.number(value.denominator))


def transposed(node: Expression) -> Expression:
    """node.T with the obvious cases resolved: (A.T).T is A, a diagonal or identity matrix is its own transpose."""
    if node.op == "transpose":
        return node.args[0]
    if node.is_scalar:
        return node
    if node.op == "filled":
        name, sizes = node.data
        if name == "eye":
            return node
        if len(sizes) == 2 and name in {"ones", "zeros"}:
            return ex.filled(name, sizes[1], sizes[0])
    if node.is_call("diag_of_vector"):
        return node
    if node.op == "call" and node.data[0].function == "kron":
        return kron(*[transposed(arg) for arg in node.args])
    return ex.transpose(node)


# Elementwise functions that are defined by a power.
_POWERS = {"sqrt", "square"}


def as_column(row: Expression) -> Expression:
    """The transpose of a row, pushed through what works entry by entry: x.T + y.T becomes x + y."""
    entrywise = row.op in {"add", "subtract", "multiply", "divide", "power", "negate"}
    if row.op == "call" and (row.data[0].is_elementwise or row.data[0].name in _POWERS) and row.args[0].op != "compare":
        return ex.call(row.data[0], tuple([_transposed_operand(arg) for arg in row.args]), row.shape[::-1])
    if row.op == "matmul":
        # (x.T @ W).T is W.T @ x.
        parts = flatten(row)
        pushed = [transposed(part) for part in reversed(parts)]
        shorter = sum([part.op == "transpose" for part in pushed]) <= sum([part.op == "transpose" for part in parts])
        return chain(pushed) if shorter else transposed(row)
    if not entrywise:
        return transposed(row)
    args = [_transposed_operand(arg) for arg in row.args]
    return ex.negate(*args) if row.op == "negate" else ex.elementwise(row.op, args[0], args[1])


def _transposed_operand(operand: Expression) -> Expression:
    return operand if operand.is_scalar else as_column(operand)


def kron(left: Expression, right: Expression) -> Expression:
    """kron(left, right) of matrices, columns or rows; the identity of the joined axis where both are identities."""
    rows, columns = left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]
    if left.op == right.op == "filled" and left.name == right.name == "eye":
        return ex.filled("eye", rows)
    return ex.call(shipped_rules()["kron"], (left, right), (rows, columns))


def call_shipped(name: str, argument: Expression, shape: Shape, axis: int | None = None) -> Expression:
    """The call of a shipped function of one argument."""
    return ex.call(shipped_rules()[name], (argument,), shape, axis)


def product_of(factors: Sequence[Expression]) -> Expression:
    """factors[0] * factors[1] * ..."""
    return reduce(ex.multiply, factors)


def chain(items: Sequence[Expression]) -> Expression:
    """items[0] @ items[1] @ ..."""
    return reduce(ex.matmul, items)


def trace_of(matrix: Expression, moving: Expression) -> Expression:
    """trace(matrix @ moving) with sign and scalars in front; v.T @ moving @ u where the matrix is u @ v.T."""
    negative, matrix = strip_sign(matrix)
    above, rest, below = _pull_scalars(matrix)
    items = [*flatten(rest), moving]
    row = next((k for k, item in enumerate(items) if item.is_row), None)
    inner = call_shipped("trace", chain(items), SCALAR)
    if row is not None:
        inner = chain([*items[row:], *items[:row]])
    whole = quotient(Fraction(1), [*above, inner], (), below)
    return negated(whole) if negative else whole


def _pull_scalars(node: Expression) -> tuple[list[Expression], Expression, list[Expression]]:
    """The scalar factors of a product of matrices, what is left, and the scalar divisors."""
    if node.op == "divide" and node.args[1].is_scalar:
        above, rest, below = _pull_scalars(node.args[0])
        return above, rest, [*below, node.args[1]]
    if node.op == "multiply" and node.args[0].is_scalar:
        above, rest, below = _pull_scalars(node.args[1])
        return [*split_product(node.args[0]), *above], rest, below
    if node.op == "matmul":
        above, rest, below = _pull_scalars(node.args[0])
        return above, ex.matmul(rest, node.args[1]), below
    return [], node, []


def split_product(node: Expression) -> list[Expression]:
    """The factors of a*b*c, the reverse of `product_of`."""
    return [*split_product(node.args[0]), node.args[1]] if node.op == "multiply" else [node]


def compress(items: Sequence[Expression]) -> list[Expression]:
    """A @ A @ A is matrix_power(A, 3), from three factors on; ones(m) @ ones(n).T is ones(m, n)."""
    packed: list[Expression] = []
    for item, run in groupby(_join_ones(items)):
        count = len(list(run))
        if count < 3:
            packed += [item] * count
            continue
        base = item.args[0] if item.op == "transpose" else item
        power = ex.call(shipped_rules()["matrix_power"], (base, ex.number(count)), base.shape)
        packed.append(ex.transpose(power) if item.op == "transpose" else power)
    return packed


def _join_ones(items: Sequence[Expression]) -> list[Expression]:
    joined: list[Expression] = []
    for item in items:
        before = joined[-1] if joined else None
        row_of_ones = item.is_row and item.op == "transpose" and item.args[0].is_filled("ones")
        if before is not None and row_of_ones and before.is_filled("ones") and before.is_column:
            joined[-1] = ex.filled("ones", before.shape[0], item.shape[1])
        else:
            joined.append(item)
    return joined


def strip_sign(node: Expression) -> tuple[bool, Expression]:
    """Return whether a minus sign leads the expression, and the expression without it."""
    if node.op == "negate":
        return True, node.args[0]
    if node.op in {"matmul", "multiply", "divide"}:
        negative, left = strip_sign(node.args[0])
        if negative:
            right = node.args[1]
            if node.op == "multiply" and left is ex.number(1):
                return True, right
            return True, _REBUILD[node.op](left, right)
    return False, node


_REBUILD = {"matmul": ex.matmul, "multiply": ex.multiply, "divide": ex.divide}


def negated(positive: Expression) -> Expression:
    """Put the minus sign on the first factor, as in -X.T @ b."""
    if positive.op in _REBUILD:
        left, right = positive.args
        return _REBUILD[positive.op](negated(left), right)
    return ex.negate(positive)


def transposed_whole(node: Expression) -> Expression:
    """The transpose of a finished formula, a leading minus sign kept outside the brackets."""
    negative, inside = strip_sign(node)
    return ex.negate(transposed(inside)) if negative else transposed(node)


def quotient(
    coefficient: Fraction, above: Sequence[Expression], items: Sequence[Expression], below: Sequence[Expression],
    held: Collection[Expression] = (),
) -> Expression:  # fmt: skip
    """coefficient * above * items[0] @ items[1] ... / below, for a positive coefficient."""
    items = compress([part for item in items for part in flatten(item, held)])
    if len(items) == 1 and items[0].op == "divide":
        # Entry by entry, so one fraction bar is enough: (1/u)/2 is 1/(2*u).
        over, under = items[0].args
        items, below = ([] if over is ex.number(1) else flatten(over)), [*below, under]
    if len(items) == 1 and items[0].op == "multiply":
        items, above = [items[0].args[1]], [*above, items[0].args[0]]
    # A number needs no brackets with its factor: 2*s*M @ x for 2*(s*M) @ x.
    numbers = [item.args[0] for item in items if _is_scaled(item)]
    items, above = [item.args[1] if _is_scaled(item) else item for item in items], [*above, *numbers]
    decimal = _is_decimal(coefficient)
    numerator = coefficient if decimal else Fraction(coefficient.numerator)
    denominator = 1 if decimal else coefficient.denominator
    prefix = [build_number(numerator)] if numerator != 1 else []
    prefix += above
    if items:
        prefix.append(items[0])
    whole = product_of(prefix) if prefix else ex.number(1)
    whole = reduce(ex.matmul, items[1:], whole)
    divisors = ([ex.number(denominator)] if denominator != 1 else []) + list(below)
    return ex.divide(whole, product_of(divisors)) if divisors else whole


def _is_scaled(node: Expression) -> bool:
    """Whether a node is a scalar times an array."""
    return node.op == "multiply" and node.args[0].is_scalar and not node.args[1].is_scalar


def flatten(node: Expression, held: Collection[Expression] = ()) -> list[Expression]:
    """The factors of a chain of matrix products; a plain node is a chain of one, and so is one that is held."""
    items: list[Expression] = []
    stack = [node]
    while stack:
        top = stack.pop()
        if top.op == "matmul" and top not in held:
            stack += [top.args[1], top.args[0]]
        else:
            items.append(top)
    return items
