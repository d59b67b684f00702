"""One reading of a SymPy expression: the walk, names and sizes, and drafts whose axes may be indices of entries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from itertools import combinations
from typing import Any

import sympy

from matcalc.errors import DeclarationError, LimitError, MatcalcError, ShapeError
from matcalc.language import names
from matcalc.language.calls import fill, refuse_comparison
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import (
    SCALAR_AXES,
    Axes,
    Draft,
    DraftAxis,
    Reading,
    broadcast_axes,
    hold_axes,
    settle,
    squeeze_axes,
    unify,
)
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.infer_shapes import bound_value, compute_value
from matcalc.language.match_rules import call_function
from matcalc.language.read_text import DEEPEST_TREE, MOST_NODES
from matcalc.language.sizes import UNIT, Size
from matcalc.language.text_to_expression import build_expressions

# A reader of a class yields the parts of its expression that it needs as drafts, and returns its own draft.
ReadSteps = Generator[Any, Draft, Draft]
Read = Callable[["Reader", Any], ReadSteps]
# The derivative of an expression by a variable: axes of the variable, then those of the expression.
Derive = Callable[[Expression, Expression], Expression]
NOWHERE = (0, 0)  # there is no text to point at
_LETTERS = "ijklmnopqrstuvwxyzabcdefgh"
_MOST_FACTORS = 32


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """An index of entries within a Sum, a Product or a FunctionMatrix, and how far it runs."""

    size: DraftAxis


Indices = tuple[Index, ...]
EntryArray = tuple[Draft, Indices]  # an array, and the indices of its axes


@dataclass(slots=True, eq=False)
class Reader(Reading):
    """One reading of a SymPy expression: a `Reading` whose sizes are all known from the start.

    `readers` has a reader for each class.  `letters` are the symbols of sizes, `sums` the sizes that are sums, as
    k + 1; `objects` holds all symbols by name, `bound` the draft of each Lambda's variable while its body is read.

    A formula of entries, as x[i]*A[i, j] within a Sum, is read as an array with an axis for each index: `running`
    are the indices that run where one reads, `indices` those of the axes of each such draft, by its position, and
    `products` the factors of those that are products.
    """

    readers: Mapping[type, Read] = field(default_factory=dict)
    derive: Derive | None = None
    letters: frozenset[Any] = frozenset()
    sums: frozenset[Any] = frozenset()
    objects: dict[str, Any] = field(default_factory=dict)
    assumptions: dict[str, frozenset[str]] = field(default_factory=dict)
    bound: dict[Any, Draft] = field(default_factory=dict)
    running: dict[Any, Index] = field(default_factory=dict)
    indices: dict[int, Indices] = field(default_factory=dict)
    products: dict[int, list[EntryArray]] = field(default_factory=dict)
    done: dict[int, tuple[Any, Draft]] = field(default_factory=dict)
    origins: dict[int, Any] = field(default_factory=dict)
    visited: int = 0
    depth: int = 0

    # --- the walk ---------------------------------------------------------------------------------

    def read(self, root: Any) -> Draft:
        """Return the draft of an expression; a part that is used twice is read once."""
        waiting = [(root, self._begin(root))]
        answer: Any = None
        while waiting:
            expr, steps = waiting[-1]
            try:
                wanted = steps.send(answer)
            except StopIteration as end:
                waiting.pop()
                answer = self._finish(expr, end.value)
                continue
            # The expression is kept beside its draft, so that no other can get its id.
            answer = self.done[id(wanted)][1] if id(wanted) in self.done else None
            if answer is None:
                waiting.append((wanted, self._begin(wanted)))
        assert isinstance(answer, Draft)
        return answer

    def _begin(self, expr: Any) -> ReadSteps:
        self.visited, self.depth = self.visited + 1, self.depth + 1
        if self.depth > DEEPEST_TREE:
            raise LimitError(f"the expression is more than {DEEPEST_TREE} levels deep", advice="split it into parts")
        if max(self.visited, len(self.drafts)) > MOST_NODES:
            raise LimitError(f"the expression is more than {MOST_NODES} parts long")
        for kind in type(expr).__mro__:
            if kind in self.readers:
                return self.readers[kind](self, expr)
        raise refuse(expr)

    def _finish(self, expr: Any, draft: Draft) -> Draft:
        self.depth -= 1
        self.done[id(expr)] = expr, draft
        self.origins.setdefault(draft.position, expr)
        return draft

    def read_body(self, variable: Any, body: Any) -> tuple[Draft, Draft]:
        """Return the draft of a Lambda's variable, a number, and that of its body."""
        # What it is a draft of does not matter: `apply` puts a matrix in its place.
        entry = self.add("number", (), SCALAR_AXES, NOWHERE, (Fraction(0),))
        outer = self.bound, self.done
        self.bound, self.done = {**self.bound, variable: entry}, {}
        try:
            return entry, self.read(body)
        finally:
            self.bound, self.done = outer

    def read_entries(self, running: Mapping[Any, Index], body: Any) -> Draft:
        """Return a formula of entries as an array with an axis for each index that it depends on."""
        outer = self.running, self.done
        self.running, self.done = {**self.running, **running}, {}
        try:
            return self.read(body)
        finally:
            self.running, self.done = outer

    def apply(self, expr: Any, body: Draft, entry: Draft, matrix: Draft) -> Draft:
        """Return a body with a matrix in the place of its variable; raises where it does not work entry by entry."""
        needed = {body.position}
        for draft in reversed(self.drafts[entry.position : body.position + 1]):
            needed |= {arg.position for arg in draft.args if draft.position in needed}
        made = {entry.position: matrix}
        for draft in self.drafts[entry.position : body.position + 1]:
            if draft.position in needed and any(arg.position in made for arg in draft.args):
                if not (draft.is_scalar and _is_entrywise(draft.op, draft.data)):
                    reason = f"{show(self.origins.get(draft.position, expr))} is no function of the single entries"
                    raise MatcalcError(reason, advice="apply a known function of numbers")
                args = tuple(made.get(arg.position, arg) for arg in draft.args)
                made[draft.position] = self.add(draft.op, args, matrix.axes, NOWHERE, draft.data)
        return made.get(body.position, body)

    def write(self, draft: Draft) -> str:
        """Return a draft as SymPy writes it."""
        return show(self.origins.get(draft.position, "it"))

    # --- names and sizes --------------------------------------------------------------------------

    def remember(self, found: Any, name: str | None = None) -> str:
        """Return a name and keep its object; raises DeclarationError where two objects have it."""
        name = names.read_name(found) if name is None else name
        if name == "pi":
            reason = "a SymPy symbol is called pi, which is the number 3.141... here"
            raise DeclarationError(reason, advice="rename it, or use sympy.pi")
        known = self.objects.setdefault(name, found)
        if known != found:
            raise _explain_two(name, known, found)
        return name

    def size(self, dimension: Any) -> Size:
        """Return a dimension as a size; raises MatcalcError for one that is no product of letters and numbers.

        A sum such as k + 1 is a letter of its own, k_plus_1.
        """
        number, letters = 1, []
        for factor in sympy.Mul.make_args(normalize_dimension(dimension)):
            base, exponent = factor.as_base_exp()
            is_known = base.is_Symbol or base in self.sums or (base.is_Integer and base > 0)
            if not (exponent.is_Integer and 0 < exponent < 9 and is_known):
                reason = f"the dimension {show(dimension)} cannot be a size"
                raise MatcalcError(reason, advice="sizes are names, numbers, and sums and products of them")
            if base.is_Integer:
                number *= int(base) ** int(exponent)
            else:
                letters += [self.remember(base, None if base.is_Symbol else spell_sum(base))] * int(exponent)
        if number > LARGEST_SIZE:
            raise LimitError(f"the dimension {show(dimension)} is too large; {LARGEST_SIZE} is the largest")
        return Size(tuple(letters), number)

    # --- drafts -----------------------------------------------------------------------------------

    def add(
        self, op: str, args: tuple[Draft, ...], axes: Axes, span: tuple[int, int],
        data: tuple[Any, ...] = (), value: Fraction | None = None,
    ) -> Draft:  # fmt: skip
        """Register a new draft; of arrays of entries only a function of the single entries is one again.

        Raises MatcalcError for anything else, whose axes would be taken for those of a matrix.
        """
        draft = Reading.add(self, op, args, axes, span, data, value)
        found = {self.indices.get(arg.position, ()) for arg in args if not arg.is_scalar}
        if any(found):
            if len(found) > 1 or draft.is_scalar or not _is_entrywise(op, data):
                reason = f"{self.write(args[0])} is an entry, and what is done with it is no function of the entries"
                raise MatcalcError(reason, advice="write it with whole matrices")
            self.indices[draft.position] = found.pop()
        return draft

    def is_number(self, draft: Draft) -> bool:
        """Whether a draft is a number to SymPy: a scalar, or an array of entries."""
        return draft.is_scalar or draft.position in self.indices

    def require_scalars(self, expr: Any, drafts: Iterable[Draft]) -> None:
        """Raise where a part of an expression is an array, of which SymPy means another thing than its entries."""
        if not all(map(self.is_number, drafts)):
            raise refuse(expr)

    def require_alike(self, expr: Any, drafts: Sequence[Draft]) -> None:
        """Raise unless all parts have one shape: nothing is broadcast in SymPy."""
        if all(map(self.is_number, drafts)):
            return
        for draft in drafts[1:]:
            if not all(map(unify, drafts[0].axes, draft.axes)):
                one, other = self.write_shapes(drafts[0].axes, draft.axes)
                raise ShapeError(f"the shapes {one} and {other} in {show(expr)} are not the same")

    def number(self, value: Fraction | int) -> Draft:
        """Return the draft of an exact number."""
        value = bound_value(Fraction(value), NOWHERE)
        return self.add("number", (), SCALAR_AXES, NOWHERE, (value,), value)

    def combine(self, op: str, left: Draft, right: Draft) -> Draft:
        """Return left op right, entry by entry."""
        for part in (left, right):
            refuse_comparison(part)
        if op == "multiply" and self._runs_crosswise(left, right):
            return self.contract([self.entries(left), self.entries(right)], self._unite([left, right]))
        left, right = self.align([left, right])
        axes = broadcast_axes(left.axes, right.axes)
        assert axes is not None
        value = compute_value(op, left, right, NOWHERE)
        return self.add(op, (left, right), axes, NOWHERE, (), value)

    def negate(self, operand: Draft) -> Draft:
        """Return -operand."""
        value = None if operand.value is None else -operand.value
        return self.add("negate", (operand,), operand.axes, NOWHERE, (), value)

    def compare(self, sign: str, left: Draft, right: Draft) -> Draft:
        """Return the comparison of two numbers or, entry by entry, of arrays."""
        left, right = self.align([left, right])
        axes = broadcast_axes(left.axes, right.axes)
        assert axes is not None
        return self.add("compare", (left, right), axes, NOWHERE, (sign,))

    def transpose(self, operand: Draft) -> Draft:
        """Return operand.T, of a number itself."""
        return operand if operand.is_scalar else self.add("transpose", (operand,), operand.axes[::-1], NOWHERE)

    def matmul(self, expr: Any, left: Draft, right: Draft) -> Draft:
        """Return left @ right; raises ShapeError where the inner sizes differ."""
        if not unify(left.axes[1], right.axes[0]):
            one, other = self.write_shapes(left.axes, right.axes)
            raise ShapeError(f"{show(expr)} needs equal inner sizes, not {one} and {other}")
        return self.add("matmul", (left, right), (left.axes[0], right.axes[1]), NOWHERE)

    def call(self, function: str, *args: Draft) -> Draft:
        """Return the call of a function of the language."""
        return call_function(self, function, tuple(self.align(args)), NOWHERE)

    def fill(self, function: str, rows: Size, columns: Size) -> Draft:
        """Return eye, ones or zeros of a shape."""
        if function == "eye":
            return fill(self, function, [rows], NOWHERE)
        if rows.is_unit:
            return self.transpose(fill(self, function, [columns], NOWHERE))
        return fill(self, function, [rows] if columns.is_unit else [rows, columns], NOWHERE)

    def adopt(self, expression: Expression) -> Draft:
        """Return a typed expression as drafts."""
        made: dict[Expression, Draft] = {}
        for node in walk(expression):
            value = node.data[0] if node.op == "number" else None
            args = tuple(made[arg] for arg in node.args)
            made[node] = self.add(node.op, args, node.shape, NOWHERE, node.data, value)
        return made[expression]

    def build(self, draft: Draft) -> Expression:
        """Return the typed expression of a draft."""
        return build_expressions(self.drafts, {}, self.make_symbols())[draft.position]

    def make_symbols(self) -> dict[str, Expression]:
        """Return the variables that were met so far."""
        return {
            name: symbol(name, settle(axes, {}), self.assumptions.get(name, frozenset()))
            for name, axes in self.symbols.items()
        }

    # --- entries ----------------------------------------------------------------------------------

    def entries(self, draft: Draft) -> EntryArray:
        """Return an array of entries with the indices of its axes; a scalar has none."""
        return draft, self.indices.get(draft.position, ())

    def name_axes(self, draft: Draft, indices: Indices) -> Draft:
        """Return an array of numbers as one of entries: each of its axes without unit axes has one of the indices."""
        axes = squeeze_axes(draft.axes)
        assert all(unify(axis, index.size) for axis, index in zip(axes, indices, strict=True))
        if draft.is_row:
            draft = self.transpose(draft)
        # A draft of its own: the same array may stand beside itself with other indices.
        named = Reading.add(self, draft.op, draft.args, draft.axes, NOWHERE, draft.data, draft.value)
        if indices:
            self.indices[named.position] = indices
        return named

    def forget_axes(self, draft: Draft) -> Draft:
        """Return an array of entries as a plain array, with its axes in their order."""
        return Reading.add(self, draft.op, draft.args, draft.axes, NOWHERE, draft.data, draft.value)

    def align(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return arrays of entries with the same axes in the same order; what has no indices is left as it is."""
        united = self._unite(drafts)
        return [
            draft if self.indices.get(draft.position, united) == united
            else self.contract([self.entries(draft)], united) for draft in drafts
        ]  # fmt: skip

    def _unite(self, drafts: Sequence[Draft]) -> Indices:
        return tuple(dict.fromkeys(index for draft in drafts for index in self.indices.get(draft.position, ())))

    def _runs_crosswise(self, left: Draft, right: Draft) -> bool:
        one, other = self.indices.get(left.position, ()), self.indices.get(right.position, ())
        return bool(one and other and one != other)

    def contract(self, parts: Sequence[EntryArray], output: Indices) -> Draft:
        """Return the product of arrays of entries, summed over the indices that the output has not.

        An index that no part has runs over ones.
        """
        opened = [inner for part in parts for inner in self._open_product(part)]
        known = {index for _, indices in opened for index in indices}
        opened += [
            (self.fill("ones", as_size(index.size), UNIT), (index,)) for index in output if index not in known
        ]
        parts = self._multiply_matrices([self._take_diagonal(part) for part in opened], output)
        factors = [draft for draft, indices in parts if not indices]
        arrays = [(draft, indices) for draft, indices in parts if indices]
        if arrays:
            factors.append(self._write_einsum(arrays, output))
        found = factors[0] if factors else self.number(1)
        for factor in factors[1:]:
            found = self.add("multiply", (found, factor), factor.axes, NOWHERE)
        if output and len(factors) == 1 and found.position in self.indices:
            self.products.setdefault(found.position, opened)
        return found

    def _take_diagonal(self, part: EntryArray) -> EntryArray:
        """Return A[i, i] as an array of one axis."""
        draft, indices = part
        if len(indices) != 2 or indices[0] is not indices[1]:
            return part
        diagonal = self.call("diag", self.forget_axes(draft))
        self.indices[diagonal.position] = indices[:1]
        return diagonal, indices[:1]

    def _multiply_matrices(self, parts: list[EntryArray], output: Indices) -> list[EntryArray]:
        """Return the factors after each sum over an index of two matrices or vectors alone has become their product."""
        while True:
            uses = Counter(index for _, indices in parts for index in indices)
            pairs = [
                (left, right) for left, right in combinations(parts, 2)
                if len({*left[1]} & {*right[1]}) == 1 and _is_product(left[1], right[1], uses, output)
            ]  # fmt: skip
            if not pairs:
                return parts
            chosen = min(pairs, key=lambda pair: len(pair[0][1]) + len(pair[1][1]))
            parts = [part for part in parts if part is not chosen[0] and part is not chosen[1]]
            parts.append(self._multiply_pair(*chosen))

    def _multiply_pair(self, left: EntryArray, right: EntryArray) -> EntryArray:
        if len(left[1]) < len(right[1]):
            left, right = right, left  # a matrix before a vector, so that the product is a column
        ((first, own), (second, other)), (index,) = (left, right), {*left[1]} & {*right[1]}
        first = first if len(own) == 2 and own[1] is index else self._transpose_entries(first)
        second = second if other[0] is index else self._transpose_entries(second)
        rest = tuple(each for each in (*own, *other) if each is not index)
        product = Reading.add(self, "matmul", (first, second), (first.axes[0], second.axes[1]), NOWHERE)
        if rest:
            self.indices[product.position] = rest
        return product, rest

    def _transpose_entries(self, draft: Draft) -> Draft:
        return Reading.add(self, "transpose", (draft,), draft.axes[::-1], NOWHERE)

    def _open_product(self, part: EntryArray) -> list[EntryArray]:
        """Return the factors of an array that is a product of entries itself; its own sums get indices of their own."""
        draft, indices = part
        factors = self.products.get(draft.position, [part])
        fresh = {index: Index(index.size) for _, own in factors for index in own if index not in indices}
        return [(factor, tuple(fresh.get(index, index) for index in own)) for factor, own in factors]

    def _write_einsum(self, parts: list[EntryArray], output: Indices) -> Draft:
        """Return a product of arrays, summed: in matrix notation where two indices suffice, else as einsum."""
        if len(parts) == 1 and parts[0][1] == output:
            return parts[0][0]
        used = tuple(dict.fromkeys((*output, *(index for _, indices in parts for index in indices))))
        if len(used) > len(_LETTERS) or len(parts) > _MOST_FACTORS:
            reason = f"a sum over entries has more than {len(_LETTERS)} indices or {_MOST_FACTORS} factors"
            raise LimitError(reason, advice="split it into parts")
        if len(used) <= 2 and all(len({*indices}) == len(indices) <= 2 for _, indices in parts):
            whole = reduce(self._broadcast, [self._lay(*part, used) for part in parts])
            draft = self._sum_broadcast(whole, used, output)
        else:
            letters = dict(zip(used, _LETTERS, strict=False))
            *words, last = ("".join(letters[index] for index in own) for own in (*(own for _, own in parts), output))
            axes = hold_axes(tuple(index.size for index in output))
            arrays = tuple(array for array, _ in parts)
            draft = Reading.add(self, "einsum", arrays, axes, NOWHERE, (f"{','.join(words)}->{last}",))
        if output:
            self.indices[draft.position] = output
        return draft

    def _lay(self, draft: Draft, indices: Indices, used: Indices) -> Draft:
        """Return an array as a factor over one or two indices: of the second one alone as a row."""
        is_across = indices == used[::-1] if len(indices) == 2 else indices[0] is not used[0]
        return self._transpose_entries(draft) if is_across else self.forget_axes(draft)

    def _broadcast(self, left: Draft, right: Draft) -> Draft:
        if left.is_row and right.is_column:
            left, right = right, left
        if left.is_column and right.is_row:
            return self.matmul(None, left, right)
        axes = broadcast_axes(left.axes, right.axes)
        assert axes is not None
        return self.add("multiply", (left, right), axes, NOWHERE)

    def _sum_broadcast(self, whole: Draft, used: Indices, output: Indices) -> Draft:
        if len(output) == len(used):
            return whole
        if not output:
            return self.call("sum", whole)
        return self.matmul(None, whole, self.fill("ones", as_size(used[1].size), UNIT))


def _is_product(left: Indices, right: Indices, uses: Counter[Index], output: Indices) -> bool:
    """Whether two factors are matrices or vectors that share an index which is summed over and stands nowhere else."""
    (shared,) = {*left} & {*right}
    alone = uses[shared] == 2 and shared not in output
    return alone and all(len(own) <= 2 and len({*own}) == len(own) for own in (left, right))


def as_size(axis: DraftAxis) -> Size:
    """Return a size of this reading, none of which is open."""
    (size,) = settle((axis,), {})
    return size


def _is_entrywise(op: str, data: tuple[Any, ...]) -> bool:
    """Whether an operation on numbers means the same for each entry of an array."""
    if op == "call":
        return all(parameter.axes is None for parameter in data[0].variables)
    return op in ("add", "subtract", "multiply", "divide", "power", "negate", "compare")


def read_all(parts: Iterable[Any]) -> Generator[Any, Draft, list[Draft]]:
    """Return the drafts of several parts, within a reader of a class."""
    found = []
    for part in parts:
        found.append((yield part))
    return found


def leaf(read: Callable[[Reader, Any], Draft]) -> Read:
    """Return the reader of a class whose expressions have no parts to be read."""

    def steps(reader: Reader, expr: Any) -> ReadSteps:
        return read(reader, expr)
        yield

    return steps


# --- sizes that are sums ------------------------------------------------------------------------------

_SIGNS = {" ": "", "+": "_plus_", "-": "_minus_", "**": "_to_", "*": "_times_"}


def normalize_dimension(dimension: Any) -> Any:
    """Return a dimension so that equal ones are the same: 2*k + 2 as 2*(k + 1)."""
    dimension = sympy.sympify(dimension)
    return sympy.factor_terms(sympy.expand(dimension)) if dimension.has(sympy.Add) else dimension


def list_sums(dimension: Any) -> list[Any]:
    """Return the factors of a dimension that are sums of names and whole numbers."""
    factors = [factor.as_base_exp()[0] for factor in sympy.Mul.make_args(normalize_dimension(dimension))]
    return [factor for factor in factors if factor.is_Add and spell_sum(factor).isidentifier()]


def spell_sum(dimension: Any) -> str:
    """Return the letter of a size that is a sum: k_plus_1 of k + 1; no name for one that has none."""
    return re.sub(r"\*\*|[ +*-]", lambda sign: _SIGNS[sign[0]], str(dimension))


# --- errors -------------------------------------------------------------------------------------------


def show(expr: Any) -> str:
    """Return a SymPy expression as an error shows it; a long one is not written, which can take forever."""
    stack, count = [expr], 0
    while stack and count <= 400:
        stack += getattr(stack.pop(), "args", ())
        count += 1
    text = str(expr) if count <= 400 else f"{type(expr).__name__}(...)"
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(expr: Any, why: str = "", advice: str = "") -> MatcalcError:
    """Return the error for a SymPy class that the language has no word for, or for a use of one and why not."""
    reason = f"the SymPy class {type(expr).__name__} has no word in the language: {show(expr)}"
    return MatcalcError(f"{reason}; {why}" if why else reason, advice=advice or _USUAL)


_USUAL = "use MatrixSymbol, Trace, Determinant, Inverse, HadamardProduct, applyfunc, or write a text"


def require_same(name: str, one: Any, other: Any) -> None:
    """Raise DeclarationError unless two SymPy symbols are equal, or matrices of the same shape, letter by letter."""
    if isinstance(one, sympy.MatrixSymbol) and isinstance(other, sympy.MatrixSymbol):
        if str(one.shape) == str(other.shape):
            return
    if one != other:
        raise _explain_two(name, one, other)


def _explain_two(name: str, one: Any, other: Any) -> DeclarationError:
    first, second = (
        f"a MatrixSymbol of shape {found.shape}" if isinstance(found, sympy.MatrixSymbol)
        else f"a {type(found).__name__}" if isinstance(found, sympy.Symbol) else "a Function" for found in (one, other)
    )  # fmt: skip
    second = "another one, of which other things are assumed" if second == first == "a Symbol" else second
    return DeclarationError(f"two SymPy symbols are called {name}: {first} and {second}", advice="rename one of them")


