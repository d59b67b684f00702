"""A derivative as an operator that keeps its structure: sums of products with indices, of which no entry is formed.

The rows are the axes of Y, of a Hessian those of the gradient; the columns are those of X.  A term is a product of
arrays with an index on each axis, some of the rows and columns being equal: 2*eye(m)[a,c] * G[b,d] is the array G and
the statement that a is c.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from matcalc.engine.index_form import Labels
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.expression import call
from matcalc.language.sizes import deduce_sizes
from matcalc.render.code.compile import compile_function
from matcalc.render.code.module import WrittenFunction
from matcalc.render.code.regroup import regroup
from matcalc.render.code.terms import Term, TermSum, open_terms
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.language.expression import Expression

_Array = Any
# At so many sums a product of sums is multiplied out.
_MOST_SPREAD = 32


def compile_structured(derivative: Derivative, formula: Expression) -> Callable[..., StructuredArray]:
    """Return a function of NumPy arrays that gives the derivative as a `StructuredArray`.

    `formula` is the derivative in torch's layout.  Raises MissingRuleError for what NumPy has no word for.
    """
    terms = open_terms(regroup(formula)[0], lambda node: False, spread=_MOST_SPREAD)
    nodes = list(dict.fromkeys(node for term in terms.terms for node in _list_nodes(term)))
    name, book = f"parts_of_derivative_of_{derivative.result_name}", derivative.result.graph.rules
    pack = lambda texts: f"[{', '.join(texts)}]"  # noqa: E731
    functions = [derivative.function, formula]
    parts = compile_function(
        lambda: WrittenFunction(name, derivative.problem, nodes, "numpy", book, pack, functions)
    )
    # Of a Hessian the rows are the axes of the gradient.
    rank = len(terms.out) - len(derivative.wrt.squeezed_shape)
    places = {node: place for place, node in enumerate(nodes)}
    recipes = [_Recipe.read(term, places) for term in terms.terms]
    arguments = list(inspect.signature(parts).parameters)
    known: dict[Any, dict[int, int]] = {}

    def build(*values: Any, **named: Any) -> StructuredArray:
        found = parts(*values, **named)
        given = dict(zip(arguments, values, strict=False)) | named
        key = tuple([value if isinstance(value, int) else np.shape(value) for value in given.values()])
        sizes = known.get(key)
        if sizes is None:
            sizes = known[key] = _find_sizes(terms, dict(zip(nodes, found, strict=True)), derivative, given)
        made = tuple([recipe.make(found) for recipe in recipes])
        return StructuredArray(made, terms.out[:rank], terms.out[rank:], sizes)

    return build


def _list_nodes(term: Term) -> list[Expression]:
    inverses = [
        call(shipped_rules()["inv"], (each.node,), each.node.shape) if each.is_inverse else each.node
        for each in term.factors
    ]
    return [*inverses, *term.times, *term.over]


def _find_sizes(
    terms: TermSum, found: Mapping[Expression, Any], derivative: Derivative, given: Mapping[str, Any]
) -> dict[int, int]:
    """Return the number for each index: from the arrays, and from the arguments for those that no array has."""
    numbers: dict[int, int] = {}
    for term in terms.terms:
        for factor, node in zip(term.factors, _list_nodes(term), strict=False):
            numbers.update(zip(factor.labels, np.shape(found[node]), strict=True))
        for label, other in term.equal.items():
            numbers.update({label: numbers[other]} if other in numbers else {})
    if set(terms.out) <= set(numbers):
        return numbers
    symbols = derivative.problem.symbols
    arrays = {name: (symbols[name], np.shape(value)) for name, value in given.items() if name in symbols}
    letters = {name: value for name, value in given.items() if name not in symbols and isinstance(value, int)}
    sizes = deduce_sizes(arrays, letters)
    return {**{label: terms.sizes[label].value(sizes) for label in terms.out}, **numbers}


@dataclass(frozen=True)
class _Recipe:
    """Where the arrays of a term stand among those that are computed, the scalars above and below, and its indices."""

    number: float
    factors: tuple[tuple[int, Labels], ...]
    times: tuple[int, ...]
    over: tuple[int, ...]
    equal: Mapping[int, int]

    @classmethod
    def read(cls, term: Term, places: Mapping[Expression, int]) -> _Recipe:
        """Read a term; `places` says where each node stands."""
        arrays = _list_nodes(term)[: len(term.factors)]
        factors = tuple((places[node], each.labels) for node, each in zip(arrays, term.factors, strict=True))
        times, over = (tuple(places[node] for node in nodes) for nodes in (term.times, term.over))
        return cls(float(term.number), factors, times, over, dict(term.equal))

    def make(self, found: Sequence[Any]) -> _Product:
        """Return the term of the arrays at hand."""
        number = self.number
        for place in self.times:
            number *= float(found[place])
        for place in self.over:
            number /= float(found[place])
        return _Product(number, tuple([(found[place], labels) for place, labels in self.factors]), self.equal)


@dataclass(frozen=True)
class _Product:
    """number * the arrays, where indices are equal as `equal` says, 0 elsewhere."""

    number: float
    factors: tuple[tuple[_Array, Labels], ...]
    equal: Mapping[int, int]

    @property
    def labels(self) -> set[int]:
        """All indices of its arrays."""
        return {label for _, labels in self.factors for label in labels}

    def equate(self, pairs: Sequence[tuple[int, int]]) -> _Product:
        """Return the entries at which further indices are equal."""
        stands_for = dict(self.equal)

        def find(label: int) -> int:
            while label in stands_for:
                label = stands_for[label]
            return label

        for first, second in pairs:
            one, two = sorted((find(first), find(second)))
            if one != two:
                stands_for[two] = one
        factors = tuple((array, tuple(map(find, labels))) for array, labels in self.factors)
        return _Product(self.number, factors, {label: find(label) for label in stands_for})

    def shorten(self, out: Labels, sizes: Mapping[int, int]) -> _Product:
        """Return the product with arrays summed over an index of their own where the sum is smaller than they are."""
        factors = list(self.factors)
        for label in sorted(self.labels - {self.equal.get(each, each) for each in out}):
            own = [factor for factor in factors if label in factor[1]]
            left = tuple(dict.fromkeys(each for _, labels in own for each in labels if each != label))
            if math.prod(sizes[each] for each in left) < max(np.size(array) for array, _ in own):
                factors = [factor for factor in factors if label not in factor[1]]
                factors.append((_Product(1.0, tuple(own), {}).contract(left, sizes), left))
        return replace(self, factors=tuple(factors))

    def contract(self, out: Labels, sizes: Mapping[int, int], more: Sequence[tuple[_Array, Labels]] = ()) -> _Array:
        """Return the sum over all other indices, with axes `out`; `more` are further factors."""
        pattern = [self.equal.get(label, label) for label in out]
        entries = list(dict.fromkeys(pattern))
        factors = [*self.factors, *((array, [self.equal.get(label, label) for label in own]) for array, own in more)]
        present = {label for _, labels in factors for label in labels}
        factors += [(np.ones(sizes[label]), [label]) for label in entries if label not in present]
        names = {label: place for place, label in enumerate(dict.fromkeys([*entries, *_flatten(factors)]))}
        operands = [part for array, labels in factors for part in (array, [names[label] for label in labels])]
        optimize = len(factors) > 2 or any(np.ndim(array) > 1 for array, _ in factors)
        value = np.einsum(*operands, [names[label] for label in entries], optimize=optimize) if factors else 1.0
        value = self.number * value
        if len(entries) == len(out):
            return value
        whole = np.zeros([sizes[label] for label in out], np.asarray(value).dtype)
        np.einsum(whole, [names[label] for label in pattern], [names[label] for label in entries])[...] = value
        return whole


def _flatten(factors: Sequence[tuple[_Array, Sequence[int]]]) -> list[int]:
    return [label for _, labels in factors for label in labels]


@dataclass(frozen=True, eq=False)
class StructuredArray:
    """The derivative of Y by X as a linear map: `@` applies it to an array of the shape of X.

    >>> from matcalc import derive
    >>> J = derive("softmax(x)", layout="torch").compile(form="structured")([0.0, 0.0])
    >>> J.structure, (J @ [1.0, 0.0]).tolist(), J.dense().tolist()
    ('diagonal + rank 1', [0.25, -0.25], [[0.25, -0.25], [-0.25, 0.25]])
    """

    terms: tuple[_Product, ...]
    rows: Labels
    columns: Labels
    sizes: Mapping[int, int]

    def _shape_of(self, labels: Labels) -> tuple[int, ...]:
        return tuple(self.sizes[label] for label in labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `dense()`: the axes of Y, then those of X."""
        return self._shape_of(self.rows + self.columns)

    @property
    def T(self) -> StructuredArray:
        """The transposed map: from arrays of the shape of Y to arrays of the shape of X."""
        return replace(self, rows=self.columns, columns=self.rows)

    def dense(self) -> _Array:
        """Return all entries as one array."""
        return self._add(term.contract(self.rows + self.columns, self.sizes) for term in self.terms)

    def __matmul__(self, direction: Any) -> _Array:
        """Return the map applied to an array of the shape of X; raises EvaluationError for another shape."""
        given = self._fit(direction, self.columns)
        return self._add(term.contract(self.rows, self.sizes, [(given, self.columns)]) for term in self.short_terms)

    def diagonal(self) -> _Array:
        """Return the entries at which each axis of Y has the index of the axis of X in its place.

        Raises EvaluationError where they are not of one shape.
        """
        self._refuse_unequal("a diagonal")
        pairs = list(zip(self.rows, self.columns, strict=True))
        return self._add(term.equate(pairs).contract(self.rows, self.sizes) for term in self.terms)

    def solve(self, right: Any) -> _Array:
        """Return the array of the shape of X that the map takes to `right`.

        Diagonals are divided by, diagonal plus low rank is solved by Woodbury's identity, a Kronecker product factor by
        factor, blocks on the diagonal one by one, all else as a dense matrix.  Raises EvaluationError for a map that is
        not square, numpy.linalg.LinAlgError for a singular one.
        """
        self._refuse_unequal("a solution")
        given = self._fit(right, self.rows)
        for way in (self._solve_kronecker, self._solve_woodbury):
            found = way(given)
            if found is not None:
                return found
        size = math.prod(given.shape)
        solved = np.linalg.solve(self.dense().reshape(size, size), given.reshape(size))
        return solved.reshape(self._shape_of(self.columns))

    def as_linear_operator(self) -> Any:
        """Return a scipy.sparse.linalg.LinearOperator on flattened arrays; raises EvaluationError without SciPy."""
        try:
            from scipy.sparse.linalg import LinearOperator
        except ModuleNotFoundError:
            raise EvaluationError("SciPy is not installed", advice="pip install scipy") from None
        rows, columns = self._shape_of(self.rows), self._shape_of(self.columns)
        return LinearOperator(
            (math.prod(rows), math.prod(columns)), dtype=float,
            matvec=lambda v: (self @ v.reshape(columns)).ravel(),
            rmatvec=lambda v: (self.T @ v.reshape(rows)).ravel(),
        )  # fmt: skip

    @cached_property
    def short_terms(self) -> tuple[_Product, ...]:
        """The terms with sums carried out where that makes fewer numbers: V.T @ V for V twice."""
        return tuple(term.shorten(self.rows + self.columns, self.sizes) for term in self.terms)

    @cached_property
    def structure(self) -> str:
        """What the terms are: diagonal, Kronecker product, blocks on the diagonal, rank r, or dense, joined by +."""
        return " + ".join(dict.fromkeys(map(self._name, self.terms))) or "zero"

    @property
    def entries(self) -> str:
        """How many numbers are held of how many that `dense()` would have.

        >>> from matcalc import derive
        >>> derive("exp(x)").compile(form="structured")([0.0, 1.0, 2.0]).entries
        '3 of 9 entries'
        """
        arrays = {id(array): array for term in self.short_terms for array, _ in term.factors}
        held = sum(np.size(array) for array in arrays.values())
        return f"{held} of {math.prod(self.shape)} entries"

    # --- parts ------------------------------------------------------------------------------------

    def _add(self, values: Any) -> _Array:
        total = None
        for value in values:
            total = value if total is None else total + value
        return total

    def _fit(self, value: Any, labels: Labels) -> _Array:
        array, shape = np.asarray(value), self._shape_of(labels)
        if array.shape != shape and array.shape != (math.prod(shape),):
            raise EvaluationError(f"the array has shape {array.shape}, not {shape}")
        return array.reshape(shape)

    def _refuse_unequal(self, what: str) -> None:
        if self._shape_of(self.rows) != self._shape_of(self.columns):
            raise EvaluationError(f"there is {what} only where Y and X have one shape, not {self.shape}")

    def _name(self, term: _Product) -> str:
        if self._is_diagonal(term):
            return "diagonal"
        if self._split_kronecker(term) is not None:
            return "Kronecker product"
        if any(self._find(term, row) == self._find(term, column) for row in self.rows for column in self.columns):
            return "blocks on the diagonal"
        rank = self._find_rank(term)
        return f"rank {rank}" if rank is not None and rank < max(self._shape_of(self.rows), default=0) else "dense"

    @staticmethod
    def _find(term: _Product, label: int) -> int:
        return term.equal.get(label, label)

    def _is_diagonal(self, term: _Product) -> bool:
        pairs = list(zip(self.rows, self.columns, strict=False))
        is_square = len(self.rows) == len(self.columns) > 0
        return is_square and all(self._find(term, row) == self._find(term, column) for row, column in pairs)

    def _find_rank(self, term: _Product) -> int | None:
        """Return the number of entries of the indices that are summed over in a product of a column and a row side."""
        if term.equal or len(self.rows) != 1 or len(self.columns) != 1:
            return None
        if any({self.rows[0], self.columns[0]} <= set(labels) for _, labels in term.factors):
            return None
        bound = term.labels - set(self.rows + self.columns)
        return math.prod(self.sizes[label] for label in bound)

    # --- solutions --------------------------------------------------------------------------------

    def _split_kronecker(self, term: _Product) -> list[_Product] | None:
        """Return for each pair of a row and a column the part of a product that has them, where parts share nothing."""
        pairs = list(zip(self.rows, self.columns, strict=False))
        if len(self.rows) != len(self.columns) or len(pairs) < 2:
            return None
        groups = [{self._find(term, row), self._find(term, column)} for row, column in pairs]
        factors = list(term.factors)
        parts: list[list[tuple[_Array, Labels]]] = [[] for _ in pairs]
        for _ in range(len(factors) + 1):
            for factor in list(factors):
                homes = [place for place, group in enumerate(groups) if group & set(factor[1])]
                if len(homes) > 1:
                    return None
                if homes:
                    groups[homes[0]] |= set(factor[1])
                    parts[homes[0]].append(factor)
                    factors.remove(factor)
        if factors or any(one & two for place, one in enumerate(groups) for two in groups[:place]):
            return None
        own = [{label: rep for label, rep in term.equal.items() if label in pair} for pair in pairs]
        return [_Product(1.0, tuple(part), equal) for part, equal in zip(parts, own, strict=True)]

    def _solve_kronecker(self, right: _Array) -> _Array | None:
        parts = self._split_kronecker(self.terms[0]) if len(self.terms) == 1 else None
        if parts is None:
            return self._solve_blocks(right)
        solved = right / self.terms[0].number
        for axis, (part, row, column) in enumerate(zip(parts, self.rows, self.columns, strict=True)):
            if part.equal and not part.factors:
                continue
            matrix = part.contract((row, column), self.sizes)
            moved = np.moveaxis(solved, axis, 0)
            flat = np.linalg.solve(matrix, moved.reshape(len(matrix), -1))
            solved = np.moveaxis(flat.reshape(moved.shape), 0, axis)
        return solved

    def _solve_blocks(self, right: _Array) -> _Array | None:
        """Solve where of two pairs of axes one is equal in all terms: a matrix for each entry of it."""
        if len(self.rows) != 2 or len(self.columns) != 2:
            return None
        for place in (0, 1):
            row, column = self.rows[place], self.columns[place]
            if all(self._find(term, row) == self._find(term, column) for term in self.terms):
                other = self.rows[1 - place], self.columns[1 - place]
                equated = [term.equate([(row, column)]) for term in self.terms]
                blocks = self._add(term.contract((row, *other), self.sizes) for term in equated)
                solved = np.linalg.solve(blocks, np.moveaxis(right, place, 0)[..., None])[..., 0]
                return np.moveaxis(solved, 0, place)
        return None

    def _solve_woodbury(self, right: _Array) -> _Array | None:
        """Return (D + U @ V)^-1 @ b = D^-1 b - D^-1 U (I + V D^-1 U)^-1 V D^-1 b, None where it is no such sum."""
        diagonal = [term for term in self.terms if self._is_diagonal(term)]
        low = [term for term in self.terms if not self._is_diagonal(term)]
        ranks = [self._find_rank(term) for term in low]
        if not diagonal or any(rank is None for rank in ranks):
            return None
        entries = self._add(term.contract(self.rows, self.sizes) for term in diagonal)
        if not np.all(entries):
            return None
        if not low:
            return right / entries
        if sum(rank or 0 for rank in ranks) >= len(right):
            return None
        sides = [self._split_sides(term) for term in low]
        U = np.concatenate([left for left, _ in sides], 1)
        V = np.concatenate([other for _, other in sides], 0)
        scaled, first = U / entries[:, None], right / entries
        small = np.eye(len(V)) + V @ scaled
        return first - scaled @ np.linalg.solve(small, V @ first)

    def _split_sides(self, term: _Product) -> tuple[_Array, _Array]:
        """Return U and V of a term U @ V: the factors with the row, and all others."""
        row, column = self.rows[0], self.columns[0]
        left = [factor for factor in term.factors if row in factor[1]]
        others = [factor for factor in term.factors if row not in factor[1]]
        bound = tuple(sorted(term.labels - {row, column}))
        U = _Product(term.number, tuple(left), {}).contract((row, *bound), self.sizes)
        V = _Product(1.0, tuple(others), {}).contract((*bound, column), self.sizes)
        return U.reshape(len(U), -1), V.reshape(-1, V.shape[-1])


def refuse_form(form: str, backend: str) -> None:
    """Raise DeclarationError for a form that a compiled derivative does not have, or not in a backend."""
    if form != "structured":
        raise DeclarationError(f"there is no form {form!r}", advice="use dense or structured")
    if backend != "numpy":
        raise DeclarationError(f"there is no structured form for {backend}", advice="use numpy, or hvp, jvp and vjp")
