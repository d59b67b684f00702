"""Sums of products -> operations: the cheapest order by the sizes at hand, numbers with the smallest array.

Two arrays at a time are multiplied.  Up to seven factors all orders are weighed, beyond that the cheapest pair is taken
again and again, as opt_einsum does (Smith & Gray, Journal of Open Source Software 3 (2018) 753); that inverses are
solved for, and that diagonals and identities are indices, is part of what is weighed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import combinations, product
from typing import Any

from matcalc.engine.index_form import Labels
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size
from matcalc.render.code.program import Operation, Program
from matcalc.render.code.terms import Factor, Term, TermSum, ones_for, split_common, split_scalars

# To weigh all orders of n factors takes 3**n steps.
_MOST_WEIGHED = 7
# Longer products are not looked up among those that have been made.
_MOST_COMPARED = 16
# To keep a product for another use counts as computing so small a part of it.
_HELD = 8
# The kinds whose value is a new array, which may be changed.
FRESH = ("multiply", "matmul", "contract", "solve", "einsum", "scale", "sum", "diagonal")


@dataclass(frozen=True)
class _Item:
    """An array with indices that takes part in a product; of an inverse it is what is inverted."""

    operation: Operation
    labels: Labels
    is_inverse: bool = False
    is_symmetric: bool = False
    kind: str = ""


@dataclass(frozen=True)
class _Pair:
    """Two trees that are multiplied, with the indices that are left, and the number of arrays in both."""

    left: _Tree
    right: _Tree
    labels: frozenset[int]
    leaves: int


_Tree = _Item | _Pair


class Planner:
    """Makes the operations of terms; `written` gives the operation of each node."""

    def __init__(self, program: Program, written: Callable[[Expression], Operation]) -> None:
        self.program, self.written = program, written
        self.sizes: Mapping[int, Size] = {}
        self.made: dict[Any, tuple[Operation, Labels]] = {}

    def plan(self, terms: TermSum) -> Operation:
        """Return the operation whose value is the sum of the terms, with its axes in the order of `out`."""
        self.sizes = terms.sizes
        common, inner = split_common(terms)
        if not common:
            times, over, inner = split_scalars(inner, terms.out)
            total = self._add(inner, terms.out)
            scalars = [[self.written(node) for node in nodes] for nodes in (times, over)]
            return self._scale(total, Fraction(1), *scalars) if times or over else total
        covered = {label for term in inner for label in term.labels} & set(terms.out)
        kept = tuple(label for label in terms.out if label in covered)
        total = self._add(inner, kept)
        items = [*map(self._make_item, common), _Item(total, kept)]
        return self._multiply(items, terms.out, Fraction(1), [], [])

    def _shape(self, labels: Iterable[int]) -> Shape:
        return tuple(self.sizes[label] for label in labels)

    def _count(self, labels: Iterable[int]) -> int:
        return self.program.count(self._shape(labels))

    # --- sums -------------------------------------------------------------------------------------

    def _add(self, terms: Sequence[Term], out: Labels) -> Operation:
        """Add terms: those for all entries first, then those for entries of equal indices, which are written on top."""
        dense = [term for term in terms if not term.equal]
        placed: dict[tuple[int, ...], list[Term]] = {}
        for term in terms:
            if term.equal:
                placed.setdefault(tuple(term.equal.get(label, label) for label in out), []).append(term)
        if not dense and len(placed) > 1:
            common = dict(set.intersection(*(set(term.equal.items()) for term in terms)))
            if common:
                return self._add_within(terms, common, out)
        total = self._add_dense(dense, out, bool(placed)) if dense else None
        for pattern, group in placed.items():
            total = self._add_diagonal(total, group, pattern, out)
        assert total is not None
        return total

    def _add_dense(self, terms: Sequence[Term], out: Labels, is_changed: bool) -> Operation:
        if len(terms) == 1:
            return self._multiply_term(terms[0], out, out)
        # The first one has no sign to apply, if there is such a one.
        first = next((place for place, term in enumerate(terms) if term.number > 0), 0)
        ordered = [terms[first], *terms[:first], *terms[first + 1 :]]
        if is_changed:  # what is changed in place begins with an array of all entries
            ordered.sort(key=lambda term: not set(out) <= term.labels)
        signs = [1 if place == 0 or term.number > 0 else -1 for place, term in enumerate(ordered)]
        covered = {label for term in ordered for label in term.labels}
        labels = [
            tuple(label for label in out if label in term.labels or (place == 0 and label not in covered))
            for place, term in enumerate(ordered)
        ]
        signed = [replace(term, number=sign * term.number) for sign, term in zip(signs, ordered, strict=True)]
        # What short products compute is there for long ones.
        made = {
            place: self._multiply_term(signed[place], labels[place], labels[place])
            for place in sorted(range(len(ordered)), key=lambda place: len(ordered[place].factors))
        }
        parts = [made[place] for place in range(len(ordered))]
        data = (tuple(signs), tuple(labels), out)
        return self.program.make("sum", parts, data, self._shape(out), self._count(out) * (len(parts) - 1))

    def _add_within(self, terms: Sequence[Term], common: Mapping[int, int], out: Labels) -> Operation:
        """Add terms all of which have some indices equal: without these first, so that the result is filled once.

        It ends as each call has fewer pairs of equal indices.
        """
        pattern = tuple(common.get(label, label) for label in out)
        inner = [
            replace(term, equal={label: other for label, other in term.equal.items() if label not in common})
            for term in terms
        ]
        own = order_by_factors(pattern, inner)
        return self._place(None, self._add(inner, own), 1, own, pattern, out)

    def _add_diagonal(
        self, total: Operation | None, terms: Sequence[Term], pattern: Labels, out: Labels
    ) -> Operation:
        """Add terms for the entries of equal indices: where the indices of the result are those of the pattern."""
        own = order_by_factors(pattern, [replace(term, equal={}) for term in terms])
        sign = -1 if total is not None and all(term.number < 0 for term in terms) else 1
        signed = [replace(term, number=sign * term.number, equal={}) for term in terms]
        return self._place(total, self._add_dense(signed, own, False), sign, own, pattern, out)

    def _place(
        self, total: Operation | None, value: Operation, sign: int, own: Labels, pattern: Labels, out: Labels
    ) -> Operation:
        """Add an array to the entries of equal indices."""
        args = (value,) if total is None else (value, total)
        cost = self._count(set(pattern)) + (self._count(out) if total is None else 0)
        # How operations are shared must not depend on how indices are numbered.
        names = {label: place for place, label in enumerate(dict.fromkeys(pattern))}
        data = (sign, tuple(names[label] for label in own), tuple(names[label] for label in pattern))
        return self.program.make("diagonal", args, data, self._shape(out), cost)

    # --- products ---------------------------------------------------------------------------------

    def _multiply_term(self, term: Term, wanted: Labels, out: Labels) -> Operation:
        factors = list(term.factors)
        missing = tuple(label for label in wanted if label not in term.labels)
        if missing:
            factors.append(ones_for(missing, self.sizes))
        items = [self._make_item(factor) for factor in factors]
        times, over = ([self.written(node) for node in nodes] for nodes in (term.times, term.over))
        return self._multiply(items, out, term.number, times, over)

    def _make_item(self, factor: Factor) -> _Item:
        known = factor.is_inverse, factor.is_symmetric, factor.kind
        return _Item(self.written(factor.node), factor.labels, *known)

    def _multiply(
        self, items: list[_Item], out: Labels, number: Fraction, times: list[Operation], over: list[Operation]
    ) -> Operation:
        items = self._sum_alone(items, out)
        times = times + [item.operation for item in items if not item.labels]
        items = [item for item in items if item.labels]
        is_scaled = number != 1 or bool(times) or bool(over)
        if not items:
            return self._scale(self.program.make("one", (), (), ()), number, times, over)
        if not is_scaled:
            return self._build(self._order(items, out), out)
        place = self._find_smallest(items, out)
        if place is not None:
            item = items[place]
            items[place] = _Item(self._scale(item.operation, number, times, over), item.labels)
            return self._build(self._order(items, out), out)
        tree = self._order(items, out)
        return self._scale_within(tree, out, number, times, over)

    def _find_smallest(self, items: Sequence[_Item], out: Labels) -> int | None:
        """Return which factor is multiplied with the scalars, the smallest; None where the result is as small."""
        uses = Counter(item.operation for item in items)
        counts = [
            (self._count(item.labels), place) for place, item in enumerate(items)
            # What stands twice is part of what is computed once, as in (A * v).T @ (A * v).
            if not item.is_inverse and uses[item.operation] == 1 and not self._is_part(items, place, out)
        ]  # fmt: skip
        if not counts or min(counts)[0] >= self._count(out):
            return None
        return min(counts)[1]

    def _is_part(self, items: Sequence[_Item], place: int, out: Labels) -> bool:
        """Whether the product of a factor with another one is there, which it would not be of the factor scaled."""
        for other in range(len(items)):
            if other != place and self.made:
                rest = {label for k, item in enumerate(items) if k not in (place, other) for label in item.labels}
                pair, _ = self._pair(items[place], items[other], rest | set(out))
                if _identify(pair)[0] in self.made:
                    return True
        return False

    def _scale_within(
        self, tree: _Tree, out: Labels, number: Fraction, times: list[Operation], over: list[Operation]
    ) -> Operation:
        """Multiply with scalars the smaller of the two arrays that are multiplied last, or the result."""
        if isinstance(tree, _Pair) and not self._is_gram(tree):
            pairs = ((tree.left, tree.right), (tree.right, tree.left))
            sides = [side for side, other in pairs if self._is_smaller(side, other, out)]
            if sides:
                smallest = min(sides, key=lambda side: self._count(side.labels))
                own = self._choose_axes(smallest, out)
                is_even = isinstance(smallest, _Item) and smallest.is_symmetric
                scaled = self._scale(self._build(smallest, own), number, times, over)
                item = _Item(scaled, own, is_symmetric=is_even)
                left, right = (item if side is smallest else side for side in (tree.left, tree.right))
                return self._build(replace(tree, left=left, right=right, leaves=2), out)
        return self._scale(self._build(tree, out), number, times, over)

    def _is_gram(self, tree: _Pair) -> bool:
        """Whether a matrix is multiplied with its own transpose, of which BLAS computes the half."""
        rows, columns = (tuple(sorted(set(side.labels) & tree.labels)) for side in (tree.left, tree.right))
        summed = tuple(sorted((set(tree.left.labels) & set(tree.right.labels)) - tree.labels))
        is_even = _list_leaves(tree.left) == _list_leaves(tree.right)
        if not summed or not is_even or len(rows) != len(columns) or set(rows) & set(columns):
            return False
        if self._stands_first(tree.left, set(summed)):
            return self._build(tree.left, summed + rows) is self._build(tree.right, summed + columns)
        return self._build(tree.left, rows + summed) is self._build(tree.right, columns + summed)

    def _is_smaller(self, side: _Tree, other: _Tree, out: Labels) -> bool:
        is_array = isinstance(side, _Pair) or not side.is_inverse or not self._is_solved(side, other)
        return is_array and self._count(side.labels) < self._count(out)

    def _scale(
        self, operation: Operation, number: Fraction, times: list[Operation], over: list[Operation]
    ) -> Operation:
        data = (number, len(times))
        return self.program.make("scale", (operation, *times, *over), data, operation.shape)

    def _sum_alone(self, items: list[_Item], out: Labels) -> list[_Item]:
        """Sum over the indices that one factor alone has, and take diagonals."""
        made = []
        for place, item in enumerate(items):
            others = {label for k, other in enumerate(items) if k != place for label in other.labels} | set(out)
            kept = tuple(dict.fromkeys(label for label in item.labels if label in others))
            if kept != item.labels:
                whole = self._invert(item)
                made.append(_Item(self._arrange(whole, item.labels, kept), kept))
            else:
                made.append(item)
        return made

    def _invert(self, item: _Item) -> Operation:
        if not item.is_inverse:
            return item.operation
        return make_inverse(self.program, item.operation, item.kind)

    def _arrange(self, operation: Operation, labels: Labels, wanted: Labels) -> Operation:
        """Return an array with its axes in another order, summed over the indices that are not wanted."""
        if labels == wanted:
            return operation
        names = {label: place for place, label in enumerate(dict.fromkeys(labels))}
        data = (tuple(names[label] for label in labels), tuple(names[label] for label in wanted))
        if operation.kind == "alone" and sorted(data[0]) == sorted(data[1]) == sorted(operation.data[0]):
            inner, outer = operation.data
            if sorted(inner) == sorted(outer):  # the transpose of a transpose
                order = tuple(inner.index(outer[labels.index(label)]) for label in wanted)
                if order == tuple(range(len(order))):
                    return operation.args[0]
        is_view = len(set(labels)) == len(labels) == len(wanted)
        cost = 0 if is_view else self._count(set(labels))
        return self.program.make("alone", (operation,), data, self._shape(wanted), cost)

    # --- order ------------------------------------------------------------------------------------

    def _order(self, items: Sequence[_Item], out: Labels) -> _Tree:
        if len(items) == 1:
            return items[0]
        return self._weigh_all(items, out) if len(items) <= _MOST_WEIGHED else self._take_cheapest(items, out)

    def _weigh_all(self, items: Sequence[_Item], out: Labels) -> _Tree:
        everything = frozenset(range(len(items)))
        best: dict[frozenset[int], tuple[int, int, _Tree]] = {
            frozenset({place}): (0, 0, item) for place, item in enumerate(items)
        }
        for length in range(2, len(items) + 1):
            for chosen in combinations(range(len(items)), length):
                whole = frozenset(chosen)
                rest = {label for place in everything - whole for label in items[place].labels} | set(out)
                found = None
                # Of equal costs the first is taken, (A @ B) @ C, as Python reads A @ B @ C.
                for more in range(length - 2, -1, -1):
                    for others in combinations(chosen[1:], more):
                        one = frozenset({chosen[0], *others})
                        two = whole - one
                        tree, cost = self._pair(best[one][2], best[two][2], rest)
                        total = cost + best[one][0] + best[two][0]
                        held = self._count(tree.labels) + best[one][1] + best[two][1]
                        if found is None or (total, held) < found[:2]:
                            found = total, held, tree
                assert found is not None
                best[whole] = found
        return best[everything][2]

    def _take_cheapest(self, items: Sequence[_Item], out: Labels) -> _Tree:
        """Multiply the pair that costs least, again and again; pairs without a common index come last."""
        trees: dict[int, _Tree] = dict(enumerate(items))
        uses: dict[int, set[int]] = {}
        for place, tree in trees.items():
            for label in set(tree.labels):
                uses.setdefault(label, set()).add(place)
        waiting: list[tuple[int, int, int]] = []

        def offer(place: int) -> None:
            for other in {each for label in trees[place].labels for each in uses[label]} - {place}:
                left, right = sorted((place, other))
                heappush(waiting, (self._pair(trees[left], trees[right], rest(left, right))[1], left, right))

        def rest(left: int, right: int) -> set[int]:
            both = set(trees[left].labels) | set(trees[right].labels)
            return set(out) | {label for label in both if uses[label] - {left, right}}

        for place in range(len(items) - 1):
            offer(place)
        following = len(items)
        while len(trees) > 1:
            left, right = next(self._draw(waiting, trees), tuple(sorted(trees)[:2]))
            pair, _ = self._pair(trees[left], trees[right], rest(left, right))
            for place in (left, right):
                for label in trees.pop(place).labels:
                    uses[label].discard(place)
            trees[following] = pair
            for label in pair.labels:
                uses[label].add(following)
            offer(following)
            following += 1
        return next(iter(trees.values()))

    @staticmethod
    def _draw(waiting: list[tuple[int, int, int]], trees: Mapping[int, _Tree]) -> Iterator[tuple[int, ...]]:
        """Yield the cheapest pairs whose two sides are still there."""
        while waiting:
            _, left, right = heappop(waiting)
            if left in trees and right in trees:
                yield left, right

    def _pair(self, left: _Tree, right: _Tree, rest: set[int]) -> tuple[_Pair, int]:
        both = set(left.labels) | set(right.labels)
        cost = self._count(both)
        for side, other in ((left, right), (right, left)):
            if isinstance(side, _Item) and side.is_inverse:
                solved = self._is_solved(side, other)
                rows = self._count(side.labels[:1])
                cost += self._measure_solve(side, other) if solved else measure_inverse(rows, side.kind)
        leaves = sum(side.leaves if isinstance(side, _Pair) else 1 for side in (left, right))
        pair = _Pair(left, right, frozenset(both & rest), leaves)
        if leaves == 2 and self.made and _identify(pair)[0] in self.made:
            cost = self._count(pair.labels) // _HELD  # it is there, and stays in memory for this
        return pair, cost

    def _measure_solve(self, inverse: _Item, other: _Tree) -> int:
        """Return what a solution costs beyond a product: a factor, and triangles, which are slower than products."""
        return self._count(inverse.labels[:1]) ** 3 + 2 * self._count({*inverse.labels, *other.labels})

    def _is_solved(self, inverse: _Item, other: _Tree) -> bool:
        """Whether it is cheaper to solve for the other factor than to invert: not where that has more columns."""
        shared = set(inverse.labels) & set(other.labels)
        if len(shared) != 1 or len(other.labels) > 2 or (isinstance(other, _Item) and other.is_inverse):
            return False
        return self._count(set(other.labels) - shared) <= self._count(inverse.labels[:1])

    # --- operations -------------------------------------------------------------------------------

    def _build(self, tree: _Tree, wanted: Labels) -> Operation:
        if isinstance(tree, _Item):
            same = tree.is_symmetric and set(wanted) == set(tree.labels)
            return self._arrange(self._invert(tree), wanted if same else tree.labels, wanted)
        if tree.leaves > _MOST_COMPARED:
            return self._build_pair(tree, wanted)
        key, names = _identify(tree)
        if key in self.made:
            operation, axes = self.made[key]
            labels = {name: label for label, name in names.items()}
            return self._arrange(operation, tuple(labels[name] for name in axes), wanted)
        operation = self._build_pair(tree, wanted)
        self.made[key] = operation, tuple(names[label] for label in wanted)
        return operation

    def _build_pair(self, tree: _Pair, wanted: Labels) -> Operation:
        left, right = set(tree.left.labels), set(tree.right.labels)
        summed = (left & right) - tree.labels
        if not summed:
            return self._build_entrywise(tree, wanted)
        is_matrix = len(summed) == 1 and not (left & right & tree.labels) and max(len(left), len(right)) <= 2
        if is_matrix:
            return self._build_matmul(tree, wanted, *summed)
        if not (left & right & tree.labels) and left != right:
            return self._build_contract(tree, wanted, summed)
        own = self._choose_axes(tree.left, wanted)
        other = own if left == right else self._choose_axes(tree.right, wanted)
        args = (self._build(tree.left, own), self._build(tree.right, other))
        if not wanted and left == right:
            return self.program.make("dot", args, (), (), self._count(left))
        return self._make_indexed("einsum", args, (own, other), wanted)

    def _build_contract(self, tree: _Pair, wanted: Labels, summed: set[int]) -> Operation:
        """Multiply arrays of more axes as matrices, whose rows and columns are several axes joined."""
        inner = tuple(sorted(summed))
        sides = []
        for side in (tree.left, tree.right):
            own = self._choose_axes(side, wanted)
            rows = tuple(label for label in own if label not in summed)
            is_first = self._stands_first(side, summed)
            sides.append((self._build(side, inner + rows if is_first else rows + inner), is_first, rows))
        (left, left_first, rows), (right, right_first, columns) = sides
        cost = self._count([*inner, *rows, *columns])
        data = (left_first, right_first, len(inner))
        shape = self._shape((*rows, *columns))
        made = self.program.make("contract", (left, right), data, shape, cost)
        return self._arrange(made, (*rows, *columns), wanted)

    def _stands_first(self, tree: _Tree, summed: set[int]) -> bool:
        """Whether the axes that are summed over come first in the arrays that have them, where they stand at hand."""
        stack, votes = [tree], 0
        while stack:
            side = stack.pop()
            if isinstance(side, _Pair):
                stack += [side.left, side.right]
            elif summed & set(side.labels):
                votes += 1 if side.labels[0] in summed else -1
        return votes > 0

    def _choose_axes(self, tree: _Tree, wanted: Labels) -> Labels:
        """Return an order of axes: that of an array at hand, of a product that of the result."""
        if isinstance(tree, _Item):
            return wanted if set(wanted) == set(tree.labels) and not tree.is_inverse else tree.labels
        kept = [label for label in wanted if label in tree.labels]
        summed = sorted(set(tree.labels) - set(kept))
        is_first = len(tree.labels) > 2 and summed and self._stands_first(tree, set(summed))
        return (*summed, *kept) if is_first else (*kept, *summed)

    def _build_entrywise(self, tree: _Pair, wanted: Labels) -> Operation:
        own, other = (
            tuple(label for label in wanted if label in side.labels) for side in (tree.left, tree.right)
        )
        left, right = self._build(tree.left, own), self._build(tree.right, other)
        if not own or not other:  # a product of two vectors, or a trace, is a number
            array, scalar = (right, left) if not own else (left, right)
            return self._scale(array, Fraction(1), [scalar], [])
        return self._make_indexed("multiply", (left, right), (own, other), wanted)

    def _make_indexed(
        self, kind: str, args: tuple[Operation, ...], labels: tuple[Labels, ...], wanted: Labels
    ) -> Operation:
        every = dict.fromkeys([*wanted, *(label for own in labels for label in own)])
        names = {label: place for place, label in enumerate(every)}
        data = (*(tuple(names[label] for label in own) for own in labels), tuple(names[label] for label in wanted))
        return self.program.make(kind, args, data, self._shape(wanted), self._count(every))

    def _build_matmul(self, tree: _Pair, wanted: Labels, inner: int) -> Operation:
        left, right = tree.left, tree.right
        rows, columns = (tuple(label for label in side.labels if label != inner) for side in (left, right))
        if len(wanted) == 2 and wanted != rows + columns:
            left, right, rows, columns = right, left, columns, rows
        cost = self._count([inner, *wanted])
        for is_left, side, other in ((True, left, right), (False, right, left)):
            if isinstance(side, _Item) and side.is_inverse and self._is_solved(side, other):
                return self._build_solve(side, other, inner, is_left, wanted)
        args = (self._build(left, (*rows, inner)), self._build(right, (inner, *columns)))
        return self.program.make("matmul", args, (), self._shape(wanted), cost)

    def _build_solve(self, inverse: _Item, other: _Tree, inner: int, is_left: bool, wanted: Labels) -> Operation:
        # R[i,k] B[k,j] is solve(A, B); with R.T it is solve(A.T, B).
        transposed = inverse.labels[0] == inner and not inverse.is_symmetric
        rest = tuple(label for label in other.labels if label != inner)
        free = tuple(label for label in inverse.labels if label != inner)
        cost = self._count([*inverse.labels, *rest]) + self._measure_solve(inverse, other)
        right = self._build(other, (inner, *rest))
        data = (transposed, inverse.kind)
        shape = self._shape((*free, *rest))
        solved = self.program.make("solve", (inverse.operation, right), data, shape, cost)
        return self._arrange(solved, (*free, *rest), wanted)


def make_inverse(program: Program, matrix: Operation, kind: str) -> Operation:
    """Return the inverse of a matrix, of which is known what `find_kind` says."""
    cost = measure_inverse(program.count(matrix.shape[:1]), kind)
    return program.make("inverse", (matrix,), (kind,), matrix.shape, cost)


def measure_inverse(rows: int, kind: str) -> int:
    """Return what an inverse costs, as LAPACK was measured beside products of matrices: three to five of them."""
    return (3 if kind else 4) * rows**3


def order_by_factors(pattern: Labels, terms: Sequence[Term]) -> Labels:
    """Return the indices of a pattern that terms depend on, in the order in which most of their arrays have them."""
    before: Counter[tuple[int, int]] = Counter()
    used = {label for term in terms for label in (*term.labels, *term.equal, *term.equal.values())}
    for term in terms:
        for factor in term.factors:
            before.update(combinations(factor.labels, 2))
    left = [label for label in dict.fromkeys(pattern) if label in used]
    order = list[int]()
    while left:
        first = min(left, key=lambda label: sum(before[other, label] - before[label, other] for other in left))
        order.append(first)
        left.remove(first)
    return tuple(order)


def _list_leaves(tree: _Tree) -> Counter[Operation]:
    """Return how often each array stands in a product."""
    if isinstance(tree, _Item):
        return Counter([tree.operation])
    return _list_leaves(tree.left) + _list_leaves(tree.right)


def _identify(tree: _Pair) -> tuple[Any, dict[int, int]]:
    """Return what a product is, whatever the order of factors and the indices are, and the names of its indices."""
    leaves, stack = list[_Item](), [*(tree.left, tree.right)]
    while stack:
        side = stack.pop()
        if isinstance(side, _Pair):
            stack += [side.right, side.left]
        else:
            leaves.append(side)
    leaves.sort(key=lambda item: (id(item.operation), item.is_inverse))
    # A symmetric matrix may be read either way.
    ways = [[item.labels, item.labels[::-1]] if item.is_symmetric else [item.labels] for item in leaves]
    return min((_name(leaves, way, tree) for way in product(*ways)), key=lambda found: found[0])


def _name(leaves: Sequence[_Item], read: Sequence[Labels], tree: _Pair) -> tuple[Any, dict[int, int]]:
    names: dict[int, int] = {}
    for labels in read:
        for label in labels:
            names.setdefault(label, len(names))
    factors = tuple(
        (id(item.operation), item.is_inverse, tuple(names[label] for label in labels))
        for item, labels in zip(leaves, read, strict=True)
    )
    return (factors, tuple(sorted(names[label] for label in tree.labels))), names
