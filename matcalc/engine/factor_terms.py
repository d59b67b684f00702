"""Sums of matrix terms as a reader would write them: common factors taken out where that is shorter.

A x + A.T x is (A + A.T) @ x; diag(u) + diag(v) is diag(u + v); a scalar that all terms share stands outside.
Every step leaves sums of fewer or shorter terms, so the search ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

from matcalc.engine.assemble import Lengths, call_shipped, chain, flatten, negated, product_of, quotient, transposed
from matcalc.engine.index_form import Node
from matcalc.engine.network import as_diagonal
from matcalc.errors import ShapeError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.names import SELECTION

_MANY_TERMS = 24
_CONSTANTS = {"number", "constant", "size"}
# A scalar is taken out of a sum only where that saves more nodes than this: 2*x*sin(x) + x**2*cos(x) stays.
SCALAR_GAIN = 2


@dataclass(frozen=True)
class FactoredTerm:
    """coefficient * scalars * items[0] @ items[1] ...; scalars map a scalar node to its exponent."""

    coefficient: Fraction
    scalars: dict[Node, Fraction] = field(default_factory=dict)
    items: tuple[Expression, ...] = ()


class TermWriter:
    """Turns terms into one expression; `power_of` reads a power of a scalar node."""

    def __init__(
        self,
        power_of: Callable[[Node, Fraction], Expression],
        transpose: Callable[[Expression], Expression],
        lengths: Lengths,
        is_own: Callable[[Expression], bool] = lambda _: False,
    ) -> None:
        self.is_own = is_own
        self.power_of = power_of
        self.transpose = transpose
        self.lengths = lengths
        self.sums: dict[tuple[object, ...], Expression] = {}
        self.held: set[Expression] = set()

    # --- one term ---------------------------------------------------------------------------------

    def write(self, term: FactoredTerm) -> Expression:
        """One term with its sign."""
        positive = self.write_positive(replace(term, coefficient=abs(term.coefficient)))
        if term.coefficient >= 0:
            return positive
        return self._swap_difference(positive) or negated(positive)

    def _swap_difference(self, node: Expression) -> Expression | None:
        """X.T @ (p - y) for -(X.T @ (y - p)); a difference that the reader wrote stays, and so does 1 - u."""
        match node.op:
            case "subtract" if not self.is_own(node) and node.args[0].op != "number":
                return ex.subtract(node.args[1], node.args[0])
            case "matmul" | "multiply" | "divide":
                left, right = node.args
                swapped = None if node.op == "divide" else self._swap_difference(right)
                if swapped is not None:
                    return ex.rebuild(node, (left, swapped))
                swapped = self._swap_difference(left)
                return None if swapped is None else ex.rebuild(node, (swapped, right))
        return None

    def write_positive(self, term: FactoredTerm) -> Expression:
        """One term without its sign."""
        above = self._factors({node: exponent for node, exponent in term.scalars.items() if exponent > 0})
        below = self._factors({node: -exponent for node, exponent in term.scalars.items() if exponent < 0})
        return quotient(abs(term.coefficient), above, term.items, below, self.held)

    def _factors(self, scalars: dict[Node, Fraction]) -> list[Expression]:
        """Scalars to positive powers; roots of numbers go under one root, sqrt(2*pi)."""
        roots = [node for node, exponent in scalars.items() if exponent == Fraction(1, 2) and node.op in _CONSTANTS]
        joined = roots if len(roots) > 1 else []
        factors = [self.power_of(node, exponent) for node, exponent in scalars.items() if node not in joined]
        if joined:
            under = product_of([self.power_of(node, Fraction(1)) for node in joined])
            factors.append(call_shipped("sqrt", under, under.shape))
        return factors

    # --- sums -------------------------------------------------------------------------------------

    def write_sum(self, terms: Sequence[FactoredTerm]) -> Expression:
        """The shortest way found to write the sum; the terms in the order given where that is as short."""
        if len(terms) == 1:
            return self.write(terms[0])
        key = tuple([(term.coefficient, *term.scalars.items(), term.items) for term in terms])
        if key not in self.sums:
            self.sums[key] = self._shortest(terms)
        return self.sums[key]

    def _shortest(self, terms: Sequence[FactoredTerm]) -> Expression:
        best = self._plain(terms)
        if len(terms) > _MANY_TERMS:
            return best
        ways: list[Callable[[Sequence[FactoredTerm]], Expression | None]] = [
            self._common_scalars, self._scalars_of_some, self._merged_diagonals,
            partial(self._common_item, at=-1), partial(self._common_item, at=0),
        ]  # fmt: skip
        for way in ways:
            factored = way(terms)
            gain = SCALAR_GAIN if way in (self._common_scalars, self._scalars_of_some) else 0
            if factored is not None and self.lengths(factored) + gain < self.lengths(best):
                best = factored
        return best

    def _plain(self, terms: Sequence[FactoredTerm]) -> Expression:
        """The terms one after the other: a positive one first, A before A.T."""
        first = next((k for k, term in enumerate(terms) if term.coefficient > 0), 0)
        ordered = [terms[first], *terms[:first], *terms[first + 1 :]]
        for k in range(len(ordered) - 1):
            one, other = ordered[k : k + 2]
            if one.coefficient == other.coefficient and _is_transpose(one, other):
                ordered[k : k + 2] = other, one
        parts = _keep_dimensions([self.write(ordered[0]), *map(self.write_positive, ordered[1:])])
        whole = parts[0]
        for term, part in zip(ordered[1:], parts[1:], strict=True):
            whole = self._append(whole, part, term.coefficient > 0)
        return whole

    def _append(self, whole: Expression, term: Expression, plus: bool) -> Expression:
        """whole + term or whole - term; a sum that is added needs no brackets, one that runs on stays one."""
        if plus and term.op in {"add", "subtract"} and term.shape == whole.shape and term not in self.held:
            left, right = term.args
            return self._append(self._append(whole, left, True), right, term.op == "add")
        return (ex.add if plus else ex.subtract)(whole, term)

    def _common_scalars(self, terms: Sequence[FactoredTerm]) -> Expression | None:
        """s*a + s*b = s*(a + b), and a/s + b/s**2 = (a + b/s)/s."""
        common = _shared_scalars(terms)
        if not common:
            return None
        inner = self.write_sum([replace(term, scalars=_without(term.scalars, common)) for term in terms])
        if inner.is_scalar:
            above = [self.power_of(node, e) for node, e in common.items() if e > 0]
            below = [self.power_of(node, -e) for node, e in common.items() if e < 0]
            return quotient(Fraction(1), [*above, inner], (), below)
        return self.write(FactoredTerm(Fraction(1), common, (inner,)))

    def _scalars_of_some(self, terms: Sequence[FactoredTerm]) -> Expression | None:
        """A + s*B + s*B.T = A + s*(B + B.T), for the scalars that most of the terms have alike."""
        groups: dict[frozenset[tuple[Node, Fraction]], list[int]] = {}
        for k, term in enumerate(terms):
            if term.scalars and term.items:
                groups.setdefault(frozenset(term.scalars.items()), []).append(k)
        members = max(groups.values(), key=len, default=[])
        if len(members) < 2 or len(members) == len(terms):
            return None
        number = common_number([terms[k] for k in members])
        inside = [replace(terms[k], coefficient=terms[k].coefficient / number, scalars={}) for k in members]
        merged = FactoredTerm(number, terms[members[0]].scalars, (self.write_sum(inside),))
        return self._with_group(terms, members, merged)

    def _merged_diagonals(self, terms: Sequence[FactoredTerm]) -> Expression | None:
        """diag(u) + diag(v) = diag(u + v)."""
        members = [
            k for k, term in enumerate(terms) if len(term.items) == 1 and term.items[0].is_call("diag_of_vector")
        ]
        if len(members) < 2:
            return None
        number = common_number([terms[k] for k in members])
        columns = [
            replace(terms[k], coefficient=terms[k].coefficient / number, items=(terms[k].items[0].args[0],))
            for k in members
        ]
        merged = FactoredTerm(number, {}, (as_diagonal(self.write_sum(columns)),))
        return self._with_group(terms, members, merged)

    def _common_item(self, terms: Sequence[FactoredTerm], at: int) -> Expression | None:
        """a @ b + c @ b = (a + c) @ b for the last items, b @ a + b @ c = b @ (a + c) for the first."""
        ways: dict[Expression, dict[int, FactoredTerm]] = {}
        for k, term in enumerate(terms):
            for way in self._ways(term):
                if len(way.items) > 2 or (len(way.items) == 2 and not _selects(way.items[-1 - at])):
                    ways.setdefault(way.items[at], {}).setdefault(k, way)
        if not ways:
            return None
        group = max(ways.values(), key=lambda members: (len(members), -min(members)))
        if len(group) < 2:
            return None
        count = _count_common([way.items[::-1] if at else way.items for way in group.values()])
        common = next(iter(group.values())).items[-count:] if at else next(iter(group.values())).items[:count]
        rest = slice(None, -count) if at else slice(count, None)
        number = common_number(list(group.values()))
        scalars = _shared_scalars(list(group.values()))
        inside = [replace(way, coefficient=way.coefficient / number, items=way.items[rest]) for way in group.values()]
        inner = self._write_inside([replace(way, scalars=_without(way.scalars, scalars)) for way in inside])
        parts = flatten(inner) if inner.op == "matmul" else [inner]
        items = (*parts, *common) if at else (*common, *parts)
        try:
            chain(items)
        except ShapeError:
            return None
        return self._with_group(terms, list(group), FactoredTerm(number, scalars, items))

    def _write_inside(self, terms: Sequence[FactoredTerm]) -> Expression:
        """A sum in brackets; one of rows as the transpose of a sum of columns, if that is shorter."""
        plain = self.write_sum(terms)
        if not plain.is_row:
            return plain
        rows = [replace(term, items=tuple([self.transpose(item) for item in reversed(term.items)])) for term in terms]
        return min((plain, transposed(self.write_sum(rows))), key=self.lengths)

    def _ways(self, term: FactoredTerm) -> Iterable[FactoredTerm]:
        """The term, and for a vector the ways to draw a dot product into the chain: (p.T @ q)*a = a @ p.T @ q."""
        yield term
        whole = chain(term.items) if term.items else None
        if whole is None or not (whole.is_column or whole.is_row):
            return
        for node, exponent in term.scalars.items():
            dot = self.power_of(node, Fraction(1)) if exponent == 1 else None
            if dot is not None and len(flatten(dot)) == 2:
                rest = {other: e for other, e in term.scalars.items() if other is not node}
                items = tuple(flatten(dot))
                for drawn in (items, tuple([self.transpose(item) for item in reversed(items)])):
                    joined = (*term.items, *drawn) if whole.is_column else (*drawn, *term.items)
                    yield replace(term, scalars=rest, items=joined)

    def _with_group(self, terms: Sequence[FactoredTerm], members: Sequence[int], merged: FactoredTerm) -> Expression:
        """The sum with the members replaced by one term, at the place of the first."""
        rest = [merged if k == members[0] else term for k, term in enumerate(terms) if k not in members[1:]]
        return self.write_sum(rest)


def _selects(item: Expression) -> bool:
    """Whether a factor takes a slice: x[1:] - x[:-1] is easier to read than what is multiplied by x."""
    return (item.args[0] if item.op == "transpose" else item).is_call(SELECTION)


def _keep_dimensions(parts: list[Expression]) -> list[Expression]:
    """M - sum(M, axis=1) @ ones(n).T is M - sum(M, axis=1, keepdims=True), where another term has the whole shape."""
    kept = [_without_ones(part) for part in parts]
    if all(one is not None or _is_repeated(part) for one, part in zip(kept, parts, strict=True)):
        return parts
    return [part if one is None else one for part, one in zip(parts, kept, strict=True)]


def _is_repeated(part: Expression) -> bool:
    """Whether a matrix is one column or row repeated, v @ ones(n).T or ones(n) @ v.T."""
    if part.op != "matmul":
        return False
    left, right = part.args
    return left.is_filled("ones") or (right.op == "transpose" and right.args[0].is_filled("ones"))


def _without_ones(part: Expression) -> Expression | None:
    """f(M, axis=1, keepdims=True) for f(M, axis=1) @ ones(n).T, and for axis 0 likewise; None for anything else."""
    if part.op != "matmul":
        return None
    left, right = part.args
    if right.op == "transpose" and right.args[0].is_filled("ones") and left.op == "call" and left.data[1] == 1:
        return ex.call(left.data[0], left.args, left.shape, 1, keepdims=True)
    if left.is_filled("ones") and right.op == "transpose" and right.args[0].op == "call" and right.args[0].data[1] == 0:
        inner = right.args[0]
        return ex.call(inner.data[0], inner.args, right.shape, 0, keepdims=True)
    return None


def _is_transpose(first: FactoredTerm, second: FactoredTerm) -> bool:
    """Whether the first term is M.T and the second M."""
    return (
        first.scalars == second.scalars
        and len(first.items) == len(second.items) == 1
        and first.items[0].op == "transpose"
        and first.items[0].args[0] is second.items[0]
    )


def _count_common(chains: Sequence[tuple[Expression, ...]]) -> int:
    """How many items all chains begin with, each of which keeps one item at least."""
    shortest = min(map(len, chains)) - 1
    return next((k for k in range(1, shortest) if any(one[k] is not chains[0][k] for one in chains)), shortest)


def common_number(terms: Sequence[FactoredTerm]) -> Fraction:
    """The number that every coefficient equals up to sign, else 1, with a minus where all have one."""
    sizes = {abs(term.coefficient) for term in terms}
    size = sizes.pop() if len(sizes) == 1 else Fraction(1)
    return -size if all(term.coefficient < 0 for term in terms) else size


def _shared_scalars(terms: Sequence[FactoredTerm]) -> dict[Node, Fraction]:
    """The scalars that all terms have above, or all below, the fraction bar, each with its smallest power."""
    common: dict[Node, Fraction] = {}
    for node in terms[0].scalars:
        others = [term.scalars.get(node, Fraction(0)) for term in terms]
        if all(other > 0 for other in others):
            common[node] = min(others)
        elif all(other < 0 for other in others):
            common[node] = max(others)
    return common


def _without(scalars: dict[Node, Fraction], common: dict[Node, Fraction]) -> dict[Node, Fraction]:
    left = {node: exponent - common.get(node, Fraction(0)) for node, exponent in scalars.items()}
    return {node: exponent for node, exponent in left.items() if exponent}
