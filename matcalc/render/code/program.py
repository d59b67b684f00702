"""The program that code is written from: operations on arrays, each once, with what each costs.

An operation is one of

| kind | what it is | data |
| --- | --- | --- |
| node | a node of an expression, computed from its operands | the node |
| inverse | the inverse of a matrix | what is known of it |
| alone | one array summed over indices, its axes in another order | its indices, those of the result |
| multiply | two arrays multiplied entry by entry, or an outer product | the indices of both, those of the result |
| matmul | a product of two matrices, or of a matrix and a vector | |
| solve | A^-1 @ B, or A^-T @ B where it says so | whether transposed, what is known of A |
| dot | the sum of all entries of a product entry by entry | |
| contract | a product of two arrays of more axes as matrices | whether what is summed comes first, in each; its axes |
| einsum | any other product of two arrays | the indices of both, those of the result |
| scale | number * times * array / over | number, how many of the operands are times |
| sum | terms added, each repeated along the indices that it lacks | signs, the indices of each, those of the result |
| diagonal | an array that is added to the entries of equal indices | sign, indices, which equal which, the result's |

Operations are interned, so that what two formulas have in common is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size

# What a letter counts for where no sizes are given.
USUAL_SIZE = 100
# An operation from which two ways to compute a value both go on.
_BOTH = 3


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation; `shape` has no unit axes, `cost` is the number of multiplications and additions of entries.

    `place` is how many were made before it.
    """

    kind: str
    args: tuple[Operation, ...]
    data: tuple[Any, ...]
    shape: Shape
    cost: int
    place: int


class Program:
    """Operations in the order in which they were made, which is one in which they can run."""

    def __init__(self, measure: Callable[[Size], int] | None = None) -> None:
        self.measure = measure or measure_usual
        self.operations: list[Operation] = []
        self._interned: dict[Any, Operation] = {}

    def make(
        self, kind: str, args: Iterable[Operation], data: tuple[Any, ...], shape: Shape, cost: int | None = None
    ) -> Operation:
        """Return the one operation with these contents; without a cost it is the number of entries."""
        operands = tuple(args)
        key = (kind, tuple(map(id, operands)), data, shape)
        found = self._interned.get(key)
        if found is None:
            cost = self.count(shape) if cost is None else cost
            found = Operation(kind, operands, data, shape, cost, len(self.operations))
            self._interned[key] = found
            self.operations.append(found)
        return found

    def count(self, sizes: Iterable[Size]) -> int:
        """Return the number of entries of an array."""
        entries = 1
        for size in sizes:
            entries *= self.measure(size)
        return entries

    def choose_cheaper(self, first: Operation, second: Operation) -> Operation:
        """Return of two ways to compute a value the one that costs less, the first of equal ones.

        Both are followed from the latest operation down until they have all that is left in common, since a walk
        over everything below would take the square of the length of a program.
        """
        sides = {first: 1, second: 2} if first is not second else {}
        waiting = [(-operation.place, operation) for operation in sides]
        heapify(waiting)
        balance, apart = 0, len(sides)
        while apart:
            _, operation = heappop(waiting)
            side = sides[operation]
            apart -= side != _BOTH
            balance += (operation.cost if side == 1 else -operation.cost) if side != _BOTH else 0
            for arg in dict.fromkeys(operation.args):
                before = sides.get(arg, 0)
                sides[arg] = before | side
                apart += (sides[arg] != _BOTH) - (before not in (0, _BOTH))
                if not before:
                    heappush(waiting, (-arg.place, arg))
        return second if balance > 0 else first

    def reachable(self, roots: Iterable[Operation]) -> list[Operation]:
        """Return the operations that roots are computed from, in order."""
        found, stack = set[Operation](), list(roots)
        while stack:
            operation = stack.pop()
            if operation not in found:
                found.add(operation)
                stack += operation.args
        return [operation for operation in self.operations if operation in found]


def count_uses(operations: Iterable[Operation], roots: Iterable[Operation]) -> Counter[Operation]:
    """Return how often the value of each operation is needed."""
    return Counter(arg for operation in operations for arg in operation.args) + Counter(roots)


def order_entries(pattern: Sequence[int]) -> tuple[int, ...]:
    """Return the indices of the entries at which those of a pattern are equal, those that stand once before the others.

    >>> order_entries([0, 1, 2, 1])
    (0, 2, 1)
    """
    return tuple(sorted(dict.fromkeys(pattern), key=lambda label: pattern.count(label) > 1))


def find_symbols(operation: Operation, known: dict[Operation, frozenset[str]]) -> frozenset[str]:
    """Return the names of the arrays that a value is computed from; `known` is filled."""
    for each in _walk(operation, known):
        below = frozenset[str]().union(*(known[arg] for arg in each.args))
        own: Expression | None = each.data[0] if each.kind == "node" else None
        known[each] = below | ({own.name} if own is not None and own.op == "symbol" else frozenset())
    return known[operation]


def _walk(root: Operation, known: dict[Operation, frozenset[str]]) -> Iterator[Operation]:
    stack = [root]
    while stack:
        operation = stack[-1]
        waiting = [arg for arg in operation.args if arg not in known]
        if operation in known:
            stack.pop()
        elif waiting:
            stack += waiting
        else:
            yield stack.pop()


def measure_usual(size: Size) -> int:
    """Return what a size counts for where no numbers are given."""
    return int(size.number * USUAL_SIZE ** len(size.letters))
