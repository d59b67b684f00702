"""Words for what a chain and its scalars say: mean(v) for sum(v)/n, sum(M, axis=1) for M @ ones(n)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from matcalc.engine.assemble import is_ones, split_product, transposed
from matcalc.engine.index_form import Node
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, UNIT, Shape
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from matcalc.engine.index_to_matrix import Reader


def write_means(reader: Reader, scalars: dict[Node, Fraction]) -> None:
    """sum(v)/n is mean(v)."""
    for node in [node for node, exponent in scalars.items() if exponent == 1]:
        found = reader.read(node)
        if found.op != "call" or found.data[0].name != "sum" or found.data[1] is not None:
            continue
        if _take_sizes(reader, scalars, found.args[0].dropped_shape):
            del scalars[node]
            mean = ex.call(shipped_rules()["mean"], found.args, SCALAR)
            scalars[reader.graph.intern("written", (), mean)] = Fraction(1)


def _take_sizes(reader: Reader, scalars: dict[Node, Fraction], shape: Shape) -> bool:
    """Remove the sizes of a shape from below the fraction bar, if all stand there."""
    letters = [letter for size in shape for letter in size.letters]
    nodes = [reader.graph.intern("size", (), letter) for letter in letters]
    if any(size.number != 1 for size in shape) or any(scalars.get(n, 0) > -nodes.count(n) for n in nodes):
        return False
    for node in nodes:
        scalars[node] += 1
        if not scalars[node]:
            del scalars[node]
    return True


def write_axis_sums(
    reader: Reader, items: Sequence[Expression], scalars: dict[Node, Fraction]
) -> tuple[Expression, ...]:
    """M @ ones(n) is sum(M, axis=1), over n it is mean(M, axis=1); the same with ones(m).T @ M along axis 0."""
    written: list[Expression] = []
    for item in items:
        before = written[-1] if written else None
        if before is not None and before.is_column and is_ones(before) and not (item.is_row or item.is_column):
            written.append(item)
            continue
        if before is not None and is_ones(item) and item.is_column and not (before.is_row or before.is_column):
            written[-1] = _axis_sum(reader, before, 1, scalars)
        elif before is not None and before.op == "transpose" and is_ones(before.args[0]) and not item.is_column:
            written[-1] = transposed(_axis_sum(reader, item, 0, scalars))
        else:
            written.append(item)
    return tuple(written)


def _axis_sum(reader: Reader, matrix: Expression, axis: int, scalars: dict[Node, Fraction]) -> Expression:
    if matrix.op == "transpose":
        matrix, axis = matrix.args[0], 1 - axis
    name = "mean" if _take_sizes(reader, scalars, (matrix.shape[axis],)) else "sum"
    return ex.call(shipped_rules()[name], (matrix,), (matrix.shape[1 - axis], UNIT), axis)


def pull_scalars(
    reader: Reader, items: Sequence[Expression], scalars: dict[Node, Fraction]
) -> tuple[Expression, ...]:
    """Move scalar divisors of the items in front: A.T @ (M/s) is A.T @ M over s."""
    pulled: list[Expression] = []
    for item in items:
        while item.op == "divide" and item.args[1].is_scalar and not item.args[0].is_scalar:
            item, divisor = item.args
            for factor in split_product(divisor):
                node, exponent = reader.node_of(factor)
                scalars[node] = scalars.get(node, Fraction(0)) - exponent
                if not scalars[node]:
                    del scalars[node]
        pulled.append(item)
    return tuple(pulled)
