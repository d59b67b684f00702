"""Typed expressions -> sums of products with an index on every axis: the form in which products are planned.

A product is opened through transposes, signs, scalars, diagonal matrices and identities, none of which is formed:
`A.T @ diag(p) @ A` is A[k,i] p[k] A[k,j], `eye(n)` two indices that are one, `ones(n)` nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import count

from matcalc.engine.assemble import flatten
from matcalc.engine.index_form import Labels
from matcalc.language.expression import Expression, filled, size_value, transpose
from matcalc.language.sizes import Size

# The index on each axis of a 2-D shape; a unit axis has none.
_Axes = tuple[int | None, ...]


@dataclass(frozen=True)
class Factor:
    """An array with an index on each of its axes; of the inverse, `is_inverse`, the node is what is inverted.

    `kind` is what is known of the inverted matrix, as `find_kind` says.
    """

    node: Expression
    labels: Labels
    is_inverse: bool = False
    is_symmetric: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Term:
    """number * times * factors / over, summed over the indices that no axis of the result has.

    `equal` says which indices of the result must be equal for the entry not to be 0: of each the one it equals.
    """

    number: Fraction
    factors: tuple[Factor, ...]
    times: tuple[Expression, ...] = ()
    over: tuple[Expression, ...] = ()
    equal: Mapping[int, int] = field(default_factory=dict)

    @property
    def nodes(self) -> list[Expression]:
        """The expressions that it is computed from."""
        return [*(factor.node for factor in self.factors), *self.times, *self.over]

    @property
    def labels(self) -> set[int]:
        """All indices of its factors."""
        return {label for factor in self.factors for label in factor.labels}


@dataclass
class TermSum:
    """A value as a sum of terms: `out` has the index of each of its axes, `sizes` the size of each index.

    `has_products` says whether there is more in it than arithmetic entry by entry.
    """

    out: Labels
    terms: list[Term]
    sizes: dict[int, Size]
    has_products: bool

    @property
    def nodes(self) -> list[Expression]:
        """The expressions that it is computed from."""
        return [node for term in self.terms for node in term.nodes]


def open_terms(
    node: Expression, is_shared: Callable[[Expression], bool], spread: int = 0, structured: bool = False
) -> TermSum:
    """Return a node as a sum of products; what is needed elsewhere as well stays whole.

    Products of sums are multiplied out where the sums have products in them, at so many sums as `spread` says; with
    `structured` the declared structure of variables is used.
    """
    reader = _Reader(is_shared, spread, structured)
    axes = reader.label(node)
    out = tuple(label for label in axes if label is not None)
    terms = [reader.resolve(found, out) for found in reader.open_sum(node, axes)]
    if len(terms) > 1 and not all(_takes_scalars(term, out) for term in terms):
        # A number or scalar around the sum is multiplied once, not with each term.
        reader.spread = spread
        terms = [reader.resolve(found, out) for found in reader.open_sum(node, axes, inside=False)]
    return TermSum(out, terms, reader.sizes, reader.has_products)


def _takes_scalars(term: Term, out: Labels) -> bool:
    """Whether a scalar is multiplied with less than the whole result."""
    plain = [factor for factor in term.factors if not factor.is_inverse]
    return bool(term.equal) or not term.factors or any(len(factor.labels) < len(out) for factor in plain)


@dataclass
class _Found:
    """A product as it is opened; `deltas` are pairs of indices that must be equal."""

    number: Fraction = Fraction(1)
    factors: list[Factor] = field(default_factory=list)
    times: list[Expression] = field(default_factory=list)
    over: list[Expression] = field(default_factory=list)
    deltas: list[tuple[int, int]] = field(default_factory=list)
    ones: list[int] = field(default_factory=list)

    def copy(self) -> _Found:
        """Return a product that can be opened further on its own."""
        return _Found(
            self.number, [*self.factors], [*self.times], [*self.over], [*self.deltas], [*self.ones]
        )  # fmt: skip


class _Reader:
    """Opens one node; indices are numbered from 0."""

    def __init__(self, is_shared: Callable[[Expression], bool], spread: int, structured: bool) -> None:
        self.is_shared, self.spread, self.structured = is_shared, spread, structured
        self.sizes: dict[int, Size] = {}
        self.has_products = False
        self._fresh = count()

    def label(self, node: Expression) -> _Axes:
        """Return a new index for each axis of a node."""
        return tuple(None if size.is_unit else self._draw(size) for size in node.shape)

    def _draw(self, size: Size) -> int:
        label = next(self._fresh)
        self.sizes[label] = size
        return label

    # --- sums -------------------------------------------------------------------------------------

    def open_sum(self, root: Expression, axes: _Axes, inside: bool = True) -> Iterator[_Found]:
        """Yield the terms; with `inside` scalars around a sum are put into its terms."""
        stack = [(root, axes, _Found())]
        while stack:
            node, own, outer = stack.pop()
            is_open = node is root or not self.is_shared(node)
            if is_open and node.op in ("add", "subtract"):
                left, right = node.args
                second = replace(outer, number=-outer.number) if node.op == "subtract" else outer
                stack += [(right, _fit(right, own), second), (left, _fit(left, own), outer)]
            elif is_open and node.op == "negate":
                stack.append((node.args[0], own, replace(outer, number=-outer.number)))
            elif is_open and node.op == "transpose":
                stack.append((node.args[0], own[::-1], outer))
            elif inside and is_open and (scaled := self._find_scaled_sum(node)) is not None:
                inner, scalar = scaled
                further = replace(outer)
                if node.op == "divide":
                    further.over = [*outer.over, scalar]
                else:
                    further.times = [*outer.times, scalar]
                stack.append((inner, own, further))
            else:
                yield from self._open_products(node, own, outer, node is root)

    def _find_scaled_sum(self, node: Expression) -> tuple[Expression, Expression] | None:
        """Return the inside and the scalar of an array times, or divided by, scalars that is a sum inside."""
        found = self._find_scaled(node)
        inner = found[0] if found is not None else None
        while inner is not None and not self.is_shared(inner):
            if inner.op in ("add", "subtract"):
                return found
            further = self._find_scaled(inner)
            inner = further[0] if further is not None else None
        return None

    @staticmethod
    def _find_scaled(node: Expression) -> tuple[Expression, Expression] | None:
        if node.is_scalar or node.op not in ("multiply", "divide"):
            return None
        for place, other in [(0, 1)] if node.op == "divide" else [(1, 0), (0, 1)]:
            inner, scalar = node.args[place], node.args[other]
            if scalar.is_scalar and inner.shape == node.shape:
                return inner, scalar
        return None

    # --- products ---------------------------------------------------------------------------------

    def _open_products(self, root: Expression, axes: _Axes, outer: _Found, is_root: bool) -> Iterator[_Found]:
        """Yield the product that a node is, or several if it is multiplied out."""
        first = _Found(outer.number)
        for scalar in outer.times:
            self._scale(first, scalar)
        for scalar in outer.over:
            self._divide(first, scalar)
        states = [(first, [(root, axes)])]
        while states:
            found, stack = states.pop()
            while stack:
                node, own = stack.pop()
                whole = self.is_shared(node) and not (is_root and node is root) and not _is_structural(node)
                if self.spread and not whole and node is not root and _has_products(node):
                    # A product of many sums has a term for each choice of theirs: the others stay factors.
                    self.spread -= 1
                    left, right = node.args
                    other = found.copy()
                    other.number *= -1 if node.op == "subtract" else 1
                    states.append((other, [*stack, (right, _fit(right, own))]))
                    stack.append((left, _fit(left, own)))
                    continue
                opened = None if whole else self._open(node, own, found)
                if opened is None:
                    self._keep(node, own, found)
                else:
                    self.has_products = self.has_products or node.op in ("matmul", "einsum", "filled", "call")
                    stack += reversed(opened)
            yield found

    def _open(self, node: Expression, axes: _Axes, found: _Found) -> list[tuple[Expression, _Axes]] | None:
        """Return what a product consists of; None for what is no product."""
        args = node.args
        if node.op == "number":
            found.number *= node.data[0]
            return []
        if node.op == "negate":
            found.number = -found.number
            return [(args[0], axes)]
        if node.op == "transpose":
            return [(args[0], axes[::-1])]
        if node.op == "matmul":
            size = args[0].shape[1]
            inner = None if size.is_unit else self._draw(size)
            return [(args[0], (axes[0], inner)), (args[1], (inner, axes[1]))]
        if node.op == "multiply":
            return [(arg, _fit(arg, axes)) for arg in args]
        if node.op == "divide" and args[1].is_scalar and _is_nonzero(args[1]):
            self._divide(found, args[1])
            return [(args[0], _fit(args[0], axes))]
        if node.op == "filled":
            return self._open_filled(node, axes, found)
        if node.op == "einsum" and not any(arg.is_filled("fuse") for arg in args):
            return self._open_einsum(node, axes)
        if node.is_call("diag_of_vector"):
            label = axes[0]
            if label is None:
                return [(args[0], (None, None))]
            self._equate(label, axes[1], found)
            return [(args[0], tuple(None if size.is_unit else label for size in args[0].shape))]
        if node.is_call("trace"):
            size = args[0].shape[0]
            label = None if size.is_unit else self._draw(size)
            return [(args[0], (label, label))]
        if node.is_call("inv") and axes[0] is not None and axes[1] is not None:
            # The inverse of a symmetric matrix is read as it is written, so that it is solved for without transposing.
            kind = find_kind(args[0], self.structured)
            is_even = is_symmetric(args[0], self.structured)
            found.factors.append(Factor(args[0], (axes[0], axes[1]), True, is_even, kind))
            return []
        return None

    def _open_filled(self, node: Expression, axes: _Axes, found: _Found) -> list[tuple[Expression, _Axes]] | None:
        if node.name == "eye" and node.shape[0] == node.shape[1]:
            if axes[0] is not None:
                self._equate(axes[0], axes[1], found)
            return []
        if node.name == "ones":
            found.ones += [label for label in axes if label is not None]
            return []
        return None

    def _open_einsum(self, node: Expression, axes: _Axes) -> list[tuple[Expression, _Axes]]:
        inputs, output = str(node.data[0]).split("->")
        labels = dict(zip(output, [label for label in axes if label is not None], strict=True))
        opened = []
        for letters, arg in zip(inputs.split(","), node.args, strict=True):
            for letter, size in zip(letters, arg.squeezed_shape, strict=True):
                if letter not in labels:
                    labels[letter] = self._draw(size)
            own = iter(labels[letter] for letter in letters)
            opened.append((arg, tuple(None if size.is_unit else next(own) for size in arg.shape)))
        return opened

    @staticmethod
    def _equate(first: int | None, second: int | None, found: _Found) -> None:
        assert first is not None
        assert second is not None
        found.deltas.append((first, second))

    def _keep(self, node: Expression, axes: _Axes, found: _Found) -> None:
        if node.is_scalar:
            self._scale(found, node)
        else:
            labels = tuple(label for label in axes if label is not None)
            is_even = len(labels) == 2 and is_symmetric(node, self.structured)
            found.factors.append(Factor(node, labels, is_symmetric=is_even))

    @staticmethod
    def _scale(found: _Found, scalar: Expression) -> None:
        if scalar.op == "number":
            found.number *= scalar.data[0]
        else:
            found.times.append(scalar)

    @staticmethod
    def _divide(found: _Found, scalar: Expression) -> None:
        if scalar.op == "number":
            found.number /= scalar.data[0]
        else:
            found.over.append(scalar)

    # --- equal indices ----------------------------------------------------------------------------

    def resolve(self, found: _Found, out: Labels) -> Term:
        """Return the term with indices that must be equal made one, as far as they are none of the result."""
        stands_for: dict[int, int] = {}

        def find(label: int) -> int:
            while label in stands_for:
                label = stands_for[label]
            return label

        def out_first(label: int) -> tuple[bool, int]:
            return label not in out, label

        for pair in found.deltas:
            first, second = sorted(map(find, pair), key=lambda label: (label not in out, label))
            if first != second:
                stands_for[second] = first
        factors = tuple(found.factors)
        if stands_for:
            factors = tuple(replace(factor, labels=tuple(map(find, factor.labels))) for factor in factors)
        # R @ v and v.T @ R are the same where R is symmetric, trace(A @ R) is sum(A*R): the result's index is first.
        factors = tuple(
            replace(each, labels=tuple(sorted(each.labels, key=out_first))) if each.is_symmetric else each
            for each in factors
        )
        equal = {label: find(label) for label in out if find(label) != label}
        used = {label for factor in factors for label in factor.labels} | set(out)
        ends = (label for pair in found.deltas for label in pair)
        sums = dict.fromkeys(find(label) for label in (*found.ones, *ends))
        times, over, number = *_cancel(found.times, found.over), found.number
        for label in sums:
            if label not in used:
                size = size_value(self.sizes[label])
                if size.op == "number":
                    number *= size.data[0]
                else:
                    times.append(size)
        return Term(number, factors, tuple(times), tuple(over), equal)


def find_kind(node: Expression, structured: bool) -> str:
    """Return "definite" for a matrix that is declared positive definite, "symmetric" for a formula that is symmetric.

    What is only declared symmetric is neither: it is seldom definite, and its two halves may differ.
    """
    if node.op == "symbol":
        return "definite" if structured and "posdef" in node.data[1] else ""
    return "symmetric" if is_symmetric(node, structured) else ""


def _cancel(times: list[Expression], over: list[Expression]) -> tuple[list[Expression], list[Expression]]:
    """Return scalars with 1/c for reciprocal_or_zero(c) beside another 1/c: where c is 0 neither is a number."""
    kept = list(over)
    left = []
    for node in times:
        if node.is_call("reciprocal_or_zero") and node.args[0] in over:
            kept.append(node.args[0])
        else:
            left.append(node)
    return left, kept


def _fit(arg: Expression, axes: _Axes) -> _Axes:
    """Return the indices of an operand of arithmetic entry by entry."""
    if len(arg.shape) != len(axes):
        return (None,) * len(arg.shape)
    return tuple(None if size.is_unit else label for size, label in zip(arg.shape, axes, strict=True))


def _is_structural(node: Expression) -> bool:
    """Whether nothing is computed for a node itself, so that it is opened at each of its uses."""
    return node.op in ("transpose", "negate", "number") or (
        node.op == "filled" and node.name in ("eye", "ones")
    ) or node.is_call("diag_of_vector")


def _is_nonzero(node: Expression) -> bool:
    return node.op != "number" or bool(node.data[0])


def _has_products(node: Expression) -> bool:
    """Whether a node is a sum of matrices, one of them a product, a diagonal matrix or an identity."""
    if node.op not in ("add", "subtract") or len(node.squeezed_shape) != 2:
        return False
    return any(_is_product(arg) for arg in node.args)


def _is_product(node: Expression) -> bool:
    while node.op in ("negate", "transpose", "multiply", "divide") and len(node.squeezed_shape) == 2:
        node = next((arg for arg in node.args if arg.shape == node.shape), node.args[0])
    is_diagonal = node.is_call("diag_of_vector") or node.is_filled("eye")
    return is_diagonal or node.op in ("matmul", "einsum") or _has_products(node)


@lru_cache(maxsize=4096)
def is_symmetric(node: Expression, structured: bool = True) -> bool:
    """Whether a matrix is its own transpose: declared so, X.T @ X, or a sum or multiple of such.

    >>> from matcalc.language.text_to_expression import parse
    >>> is_symmetric(parse("X.T @ X + 2*eye(n)").expressions[0])
    True
    """
    if node.op == "symbol":
        return structured and bool(node.data[1] & {"symmetric", "posdef", "diagonal"})
    if node.op in ("add", "subtract"):
        return all(arg.shape == node.shape and is_symmetric(arg, structured) for arg in node.args)
    if node.op in ("multiply", "divide", "power"):
        return all(arg.is_scalar or is_symmetric(arg, structured) for arg in node.args)
    if node.op == "call" and node.data[0].is_elementwise:
        return all(arg.is_scalar or (arg.shape == node.shape and is_symmetric(arg, structured)) for arg in node.args)
    if node.op == "matmul":
        factors = flatten(node)
        pairs = zip(factors[: len(factors) // 2 + 1], reversed(factors), strict=False)
        return all(_is_mirrored(left, right, structured) for left, right in pairs)
    if node.op in ("negate", "transpose") or node.is_call("inv"):
        return is_symmetric(node.args[0], structured)
    return node.is_filled("eye") or node.is_call("diag_of_vector")


def _is_mirrored(left: Expression, right: Expression, structured: bool) -> bool:
    is_turned = left is transpose(right) or right is transpose(left)
    return is_turned or (left is right and is_symmetric(left, structured))


# --- factoring ----------------------------------------------------------------------------------------


def split_common(terms: TermSum) -> tuple[list[Factor], list[Term]]:
    """Return the factors that all terms share, and the terms without them.

    Only factors whose indices are all those of the result: p[i]*A[i,j] - p[i]*m[j] is p[i]*(A[i,j] - m[j]).
    """
    found = terms.terms
    if len(found) < 2 or any(term.equal for term in found):
        return [], found
    out, common = set(terms.out), list[Factor]()
    for factor in found[0].factors:
        is_free = set(factor.labels) <= out and len(set(factor.labels)) == len(factor.labels)
        if is_free and not factor.is_inverse and all(_count(term, factor) > common.count(factor) for term in found):
            common.append(factor)
    if not common:
        return [], found
    return common, [replace(term, factors=_without(term.factors, common)) for term in found]


def split_scalars(
    terms: list[Term], out: Labels
) -> tuple[tuple[Expression, ...], tuple[Expression, ...], list[Term]]:
    """Return the scalars around a sum, above and below, where they are multiplied once, and the terms without them.

    They stay in the terms where each term has a smaller array to multiply with them.
    """
    if len(terms) < 2 or all(_takes_scalars(term, out) for term in terms):
        return (), (), terms
    times = tuple(node for node in dict.fromkeys(terms[0].times) if all(node in term.times for term in terms))
    over = tuple(node for node in dict.fromkeys(terms[0].over) if all(node in term.over for term in terms))
    left = [
        replace(term, times=_leave_out(term.times, times), over=_leave_out(term.over, over)) for term in terms
    ]
    return times, over, left


def _leave_out(nodes: tuple[Expression, ...], taken: tuple[Expression, ...]) -> tuple[Expression, ...]:
    left = list(nodes)
    for node in taken:
        left.remove(node)
    return tuple(left)


def _count(term: Term, factor: Factor) -> int:
    return term.factors.count(factor)


def _without(factors: tuple[Factor, ...], common: list[Factor]) -> tuple[Factor, ...]:
    left = list(factors)
    for factor in common:
        left.remove(factor)
    return tuple(left)


def ones_for(labels: Labels, sizes: Mapping[int, Size]) -> Factor:
    """Return an array of ones with these indices."""
    return Factor(filled("ones", *(sizes[label] for label in labels)), labels)
