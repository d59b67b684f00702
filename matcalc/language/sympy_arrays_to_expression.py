"""SymPy's entries, sums over entries, blocks, slices, matrices written out and array expressions -> drafts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import sympy
from sympy.matrices import expressions as matrices
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice
from sympy.tensor.array import expressions as arrays
from sympy.tensor.array.expressions.array_expressions import ArrayElement, ArrayElementwiseApplyFunc, Reshape

from matcalc.errors import LimitError
from matcalc.language.calls import call_basis, fill, infer_where
from matcalc.language.draft import SCALAR_AXES, Draft, DraftAxis, hold_axes, squeeze_axes, unify
from matcalc.language.names import read_name
from matcalc.language.sizes import UNIT, Size
from matcalc.language.sympy_reader import (
    NOWHERE,
    EntryArray,
    Index,
    Read,
    Reader,
    ReadSteps,
    as_size,
    leaf,
    read_all,
    refuse,
    show,
)

MOST_WRITTEN_OUT = 64
# Points have sizes from 2 on, so that the first two places are on an axis of any length.
_SURE_PLACES = 2
_ROW, _COLUMN = sympy.Dummy("r"), sympy.Dummy("c")


# --- unit vectors -------------------------------------------------------------------------------------


def make_unit_vector(length: Any, place: Any) -> Any:
    """Return the unit vector that is 1 at a place, as a SymPy column."""
    one = sympy.KroneckerDelta(_ROW, place)
    return matrices.FunctionMatrix(length, 1, sympy.Lambda((_ROW, _COLUMN), one))


def find_unit_place(matrix: Any) -> Any:
    """Return the place at which a SymPy column is 1 if it is a unit vector of `make_unit_vector`, else None."""
    if not isinstance(matrix, matrices.FunctionMatrix) or matrix.lamda.variables != (_ROW, _COLUMN):
        return None
    delta = matrix.lamda.expr
    if not isinstance(delta, sympy.KroneckerDelta) or _ROW not in delta.args:
        return None
    return next(arg for arg in delta.args if arg != _ROW)


def unit_vector(reader: Reader, expr: Any, axis: DraftAxis, place: Any) -> Draft:
    """Return the column that picks an entry: of a place in numbers written out, of a letter a variable that is one-hot.

    Raises MatcalcError for other places, and for one that may lie beyond the axis.
    """
    size = as_size(axis)
    if place.is_Symbol:
        name = f"e_{read_name(place)}"
        reader.remember(make_unit_vector(_write_size(reader, size), place), name)
        reader.symbols[name], reader.assumptions[name] = hold_axes((size,)), frozenset({"one-hot"})
        return reader.add("symbol", (), hold_axes((size,)), NOWHERE, (name,))
    if not (place.is_Integer and place >= 0):
        raise refuse(expr, f"an entry is picked by a number or a letter, not by {show(place)}", "write a letter for it")
    _require_on_axis(expr, size, int(place) + 1)
    return call_basis(reader, size, reader.number(int(place)), NOWHERE)


def _write_size(reader: Reader, size: Size) -> Any:
    return sympy.Mul(size.number, *(reader.objects[letter] for letter in size.letters))


def _require_on_axis(expr: Any, size: Size, needed: int) -> None:
    if needed > (_SURE_PLACES if size.letters else size.number):
        why = f"entry {needed - 1}, counted from 0, need not exist on an axis of {size}"
        raise refuse(expr, why, "give the size as a number, or pick the entry by a letter")


def _select(reader: Reader, rows: Size, columns: Size, start: int, step: int) -> Draft:
    """Return the matrix with a 1 at row start + step*j of each column j, rows and columns counted from 0."""
    count = reader.call("cumsum", reader.fill("ones", rows, UNIT))
    if not columns.is_unit:
        along = reader.transpose(reader.call("cumsum", reader.fill("ones", columns, UNIT)))
        across = reader.matmul(None, reader.fill("ones", rows, UNIT), along)
        count = reader.matmul(None, count, reader.fill("ones", UNIT, columns))
        across = across if step == 1 else reader.combine("multiply", reader.number(step), across)
        count = reader.combine("subtract", count, across)
        start -= step
    count = count if start == -1 else reader.combine("subtract", count, reader.number(start + 1))
    distance = reader.call("abs", count)
    half = reader.combine("divide", reader.number(1), reader.number(2))
    return infer_where(reader, (reader.compare("<", distance, half), reader.number(1), reader.number(0)), NOWHERE)


# --- entries and sums over them -----------------------------------------------------------------------


def _element(reader: Reader, expr: Any) -> ReadSteps:
    """Read X[i, j]: within a Sum over i an axis of an array of entries, else the entry itself."""
    array, places = (expr.args[0], expr.args[1:]) if isinstance(expr, MatrixElement) else expr.args
    found = yield array
    if found.position in reader.indices:
        raise refuse(expr)
    if found.is_scalar:
        return found
    shape = [reader.size(size) for size in array.shape]
    places = [place for place, size in zip(places, shape, strict=True) if not size.is_unit]
    axes = squeeze_axes(found.axes)
    if not any(place in reader.running for place in places) and len(places) <= 2:
        units = [unit_vector(reader, expr, *each) for each in zip(axes, places, strict=True)]
        return _pick(reader, expr, found, units)
    own = [_index(reader, expr, axis, place) for axis, place in zip(axes, places, strict=True)]
    output = tuple(dict.fromkeys(index for index, place in zip(own, places, strict=True) if place in reader.running))
    if output == tuple(own):
        return reader.name_axes(found, output)
    parts = [(reader.transpose(found) if found.is_row else found, tuple(own))]
    for index, axis, place in zip(own, axes, places, strict=True):
        if place not in reader.running:
            parts.append((unit_vector(reader, expr, axis, place), (index,)))
    return reader.contract(parts, output)


def _pick(reader: Reader, expr: Any, found: Draft, units: list[Draft]) -> Draft:
    """Return e_i.T @ X @ e_j, or x.T @ e_i of a vector."""
    if len(units) == 2:
        return reader.matmul(expr, reader.matmul(expr, reader.transpose(units[0]), found), units[1])
    return reader.matmul(expr, found if found.is_row else reader.transpose(found), units[0])


def _index(reader: Reader, expr: Any, axis: DraftAxis, place: Any) -> Index:
    """Return the index of an axis: the one that runs over it, or a new one for a fixed place."""
    index = reader.running.get(place)
    if index is None:
        return Index(axis)
    if not unify(index.size, axis):
        why = f"{place} runs over {as_size(index.size)} entries, and the axis has {as_size(axis)}"
        raise refuse(expr, why, "let an index run over a whole axis")
    return index


def read_running(reader: Reader, index: Index) -> Draft:
    """Return a running index itself, the numbers 0, 1, 2 ... along its axis."""
    count = reader.call("cumsum", reader.fill("ones", as_size(index.size), UNIT))
    return reader.name_axes(reader.combine("subtract", count, reader.number(1)), (index,))


def _delta(reader: Reader, expr: Any) -> Draft:
    """Read KroneckerDelta(i, j): an entry of eye(n), or where neither runs the product of two unit vectors."""
    first, second = expr.args[:2]
    running = [reader.running[place] for place in (first, second) if place in reader.running]
    if len(running) == 2:
        if not unify(running[0].size, running[1].size):
            raise refuse(expr, f"{first} and {second} do not run over the same numbers")
        return reader.name_axes(reader.fill("eye", as_size(running[0].size), UNIT), tuple(running))
    if running:
        fixed = second if first in reader.running else first
        return reader.name_axes(unit_vector(reader, expr, running[0].size, fixed), tuple(running))
    if len(expr.args) < 3 or expr.args[2][0] != 0:
        why = "it does not say over how many numbers its letters run"
        raise refuse(expr, why, f"write KroneckerDelta({first}, {second}, (0, n - 1))")
    size = reader.size(expr.args[2][1] + 1)
    one, other = (unit_vector(reader, expr, size, place) for place in (first, second))
    return reader.matmul(expr, reader.transpose(one), other)


def _sum_of_entries(reader: Reader, expr: Any) -> ReadSteps:
    return (yield from _read_over(reader, expr, sympy.Add, _add_up))


def _product_of_entries(reader: Reader, expr: Any) -> ReadSteps:
    return (yield from _read_over(reader, expr, sympy.Mul, _multiply_up))


Close = Callable[[Reader, Any, Draft, Sequence[Index]], Draft]


def _read_over(reader: Reader, expr: Any, whole: Any, close: Close) -> ReadSteps:
    """Read a Sum or a Product over whole axes as an array, one over few numbers by its terms written out."""
    body, places = expr.function, {*reader.running, *expr.variables}
    for limit in expr.limits:
        if any(end.free_symbols & places for end in limit[1:]):
            raise refuse(expr, f"how far {limit[0]} runs depends on another index", "multiply by a Piecewise of both")
    if all(_runs_over_axes(body, *limit) for limit in expr.limits):
        over = [Index(reader.size(high + 1)) for _, _, high in expr.limits]
        # Of two limits with one letter the first is meant by it, as the inner of two sums is.
        running = dict(reversed([*zip(expr.variables, over, strict=True)]))
        found = reader.read_entries(running, body)
        reader.require_scalars(expr, [found])
        return close(reader, expr, found, over)
    return (yield whole(*_write_out(expr)))


def _runs_over_axes(body: Any, index: Any, *ends: Any) -> bool:
    """Whether an index runs from 0 to the end of each axis on which it stands."""
    if len(ends) != 2 or ends[0] != 0 or ends[1] == 0:
        return False
    axes: list[tuple[Any, Any]] = []
    for element in body.atoms(MatrixElement):
        axes += zip(element.args[1:], element.args[0].shape, strict=True)
    for element in body.atoms(ArrayElement):
        axes += zip(element.indices, element.name.shape, strict=True)
    return all(place == index and size == ends[1] + 1 for place, size in axes if index in place.free_symbols)


def _write_out(expr: Any) -> list[Any]:
    """Return the terms of a Sum, or the factors of a Product, that runs over few numbers; raises for other ranges."""
    terms, whole = [expr.function], []
    for limit in expr.limits:
        if _runs_over_axes(expr.function, *limit):
            whole.append(limit)
            continue
        index, *ends = limit
        if not (len(ends) == 2 and all(end.is_Integer for end in ends)):
            span = f"runs from {ends[0]} to {ends[1]}" if len(ends) == 2 else "has no ends"
            why = f"{index} {span}, which is no whole axis and no range of numbers"
            raise refuse(expr, why, "let an index run from 0 to n - 1 over an axis of n entries")
        places = range(int(ends[0]), int(ends[1]) + 1)
        if len(terms) * len(places) > MOST_WRITTEN_OUT:
            raise LimitError(f"{show(expr)} has more than {MOST_WRITTEN_OUT} terms", advice="use a letter for the size")
        terms = [term.xreplace({index: sympy.Integer(place)}) for place in places for term in terms]
    return [expr.func(term, *whole) for term in terms] if whole else terms


def _add_up(reader: Reader, expr: Any, found: Draft, over: Sequence[Index]) -> Draft:
    own = reader.entries(found)[1]
    total = reader.contract([(found, own)], tuple(index for index in own if index not in over)) if own else found
    for index in over:
        if index not in own:
            total = reader.combine("multiply", _count(reader, index), total)
    return total


def _multiply_up(reader: Reader, expr: Any, found: Draft, over: Sequence[Index]) -> Draft:
    own = reader.entries(found)[1]
    if any(index not in over for index in own) or len(own) > 2:
        raise refuse(expr, "a product along some of the axes has no word")
    whole = reader.call("prod", reader.forget_axes(found)) if own else found
    for index in over:
        whole = whole if index in own else reader.combine("power", whole, _count(reader, index))
    return whole


def _count(reader: Reader, index: Index) -> Draft:
    size = as_size(index.size)
    return reader.number(size.number) if not size.letters else reader.add("size", (), SCALAR_AXES, NOWHERE, (size,))


def _function_matrix(reader: Reader, expr: Any) -> Draft:
    """Read the matrix whose entries are a formula of their places."""
    sizes = [reader.size(size) for size in expr.shape]
    running = {
        place: Index(size) for place, size in zip(expr.lamda.variables, sizes, strict=True) if not size.is_unit
    }
    unit = {place: sympy.Integer(0) for place in expr.lamda.variables if place not in running}
    found = reader.read_entries(running, expr.lamda.expr.xreplace(unit))
    reader.require_scalars(expr, [found])
    return _as_plain(reader, reader.contract([reader.entries(found)], tuple(running.values())), sizes)


def _as_plain(reader: Reader, found: Draft, sizes: Sequence[Size]) -> Draft:
    """Return an array of entries as the array of a shape: as a row where the shape is (1, n)."""
    plain = reader.forget_axes(found)
    is_row = len(sizes) == 2 and sizes[0].is_unit and not sizes[1].is_unit
    return reader.transpose(plain) if is_row else plain


# --- blocks, slices, matrices written out -------------------------------------------------------------


def _blocks(reader: Reader, expr: Any) -> ReadSteps:
    """Read a BlockMatrix as the sum of its blocks, each brought to its place."""
    heights, widths = ([reader.size(size) for size in sizes] for sizes in (expr.rowblocksizes, expr.colblocksizes))
    total: Draft | None = None
    for row, column in itertools.product(range(len(heights)), range(len(widths))):
        block = expr.blocks[row, column]
        if block.is_ZeroMatrix:
            continue
        found = yield block
        left, right = (_place_block(reader, expr, *each) for each in ((heights, row), (widths, column)))
        found = found if left is None else reader.matmul(expr, left, found)
        found = found if right is None else reader.matmul(expr, found, reader.transpose(right))
        total = found if total is None else reader.combine("add", total, found)
    return total or reader.fill("zeros", *map(reader.size, expr.shape))


def _place_block(reader: Reader, expr: Any, sizes: list[Size], place: int) -> Draft | None:
    """Return the matrix that brings a block to its place along one axis, None where it is the only one."""
    if len(sizes) == 1:
        return None
    if all(size == sizes[0] for size in sizes):
        unit = call_basis(reader, Size((), len(sizes)), reader.number(place), NOWHERE)
        return unit if sizes[0].is_unit else reader.call("kron", unit, reader.fill("eye", sizes[0], UNIT))
    if any(size.letters for size in sizes):
        listed = ", ".join(map(str, sizes))
        raise refuse(expr, f"blocks of the sizes {listed} begin where no number says", "give the sizes as numbers")
    before = sum(size.number for size in sizes[:place])
    return _select(reader, Size((), sum(size.number for size in sizes)), sizes[place], before, 1)


def _slice(reader: Reader, expr: Any) -> ReadSteps:
    found = yield expr.parent
    ends = zip(expr.parent.shape, (expr.rowslice, expr.colslice), strict=True)
    rows, columns = (_select_slice(reader, expr, reader.size(size), *taken) for size, taken in ends)
    found = found if rows is None else reader.matmul(expr, reader.transpose(rows), found)
    return found if columns is None else reader.matmul(expr, found, columns)


def _select_slice(reader: Reader, expr: Any, size: Size, start: Any, stop: Any, step: Any) -> Draft | None:
    """Return the matrix that selects a slice of an axis, None for the whole one."""
    start, stop, step = map(sympy.sympify, (start, stop, step))
    if start == 0 and step == 1 and reader.size(stop) == size:
        return None
    if not (start.is_Integer and stop.is_Integer and step.is_Integer):
        why = f"{show(start)}:{show(stop)} is a part of the axis that no number tells"
        raise refuse(expr, why, "give the size and the ends as numbers")
    taken = range(int(start), int(stop), int(step))
    _require_on_axis(expr, size, max(taken) + 1)
    return _select(reader, size, Size((), len(taken)), taken[0], taken.step)


def _written_out(reader: Reader, expr: Any) -> ReadSteps:
    """Read a matrix or an array of entries as the sum of its entries, each at its place."""
    sizes = [Size((), int(size)) for size in expr.shape]
    count = math.prod(size.number for size in sizes)
    if count > MOST_WRITTEN_OUT:
        reason = f"a matrix of {count} entries is written out, more than {MOST_WRITTEN_OUT}"
        raise LimitError(reason, advice="use a MatrixSymbol and put the numbers in by evaluate")
    places = list(itertools.product(*(range(size.number) for size in sizes)))
    values = [sympy.sympify(expr[place]) for place in places]
    entries = dict(zip(map(id, values), (yield from read_all(values)), strict=True))
    if not all(draft.is_scalar for draft in entries.values()):
        raise refuse(expr, "its entries are no numbers", "write a BlockMatrix")
    long = [axis for axis, size in enumerate(sizes) if not size.is_unit]
    if len(set(values)) == 1 or not long:
        filled = _fill(reader, "ones", sizes)
        return entries[id(values[0])] if not long else reader.combine("multiply", entries[id(values[0])], filled)
    total: Draft | None = None
    for place, value in zip(places, values, strict=True):
        if value != 0:
            units = [call_basis(reader, sizes[axis], reader.number(place[axis]), NOWHERE) for axis in long]
            term = _as_plain(reader, _multiply_outer(reader, units), sizes)
            term = term if value == 1 else reader.combine("multiply", entries[id(value)], term)
            total = term if total is None else reader.combine("add", total, term)
    assert total is not None  # of different values one is not 0
    return total


def _multiply_outer(reader: Reader, vectors: Sequence[Draft]) -> Draft:
    named = [(vector, (Index(vector.axes[0]),)) for vector in vectors]
    if len(named) == 2:
        return reader.matmul(None, vectors[0], reader.transpose(vectors[1]))
    return reader.contract(named, tuple(index for _, (index,) in named))


def _fill(reader: Reader, function: str, sizes: Sequence[Size]) -> Draft:
    if len(sizes) == 2:
        return reader.fill(function, *sizes)
    return fill(reader, function, [size for size in sizes if not size.is_unit], NOWHERE)


# --- array expressions --------------------------------------------------------------------------------
#
# An array has the axes of its SymPy shape without unit axes; one of two axes is held as a matrix is.


_Axes = list[int]  # a number for each axis; joined axes have the same one


class _Layout:
    """The arrays that products, contractions, diagonals and permutations are made of, and their axes by number."""

    def __init__(self, expr: Any) -> None:
        self.leaves: list[tuple[Any, _Axes]] = []
        self.sizes: list[Any] = []
        self.joined: list[int] = []
        self.output = [self.find(axis) for axis in self.lay_out(expr)]

    def find(self, axis: int) -> int:
        """Return the number of the axis to which an axis has been joined."""
        while self.joined[axis] != axis:
            axis = self.joined[axis]
        return axis

    def join(self, axes: _Axes) -> int:
        for axis in axes[1:]:
            self.joined[self.find(axis)] = self.find(axes[0])
        return self.find(axes[0])

    def lay_out(self, expr: Any) -> _Axes:
        """Return the axes of an array expression."""
        if isinstance(expr, arrays.ArrayTensorProduct):
            return [axis for factor in expr.args for axis in self.lay_out(factor)]
        if isinstance(expr, arrays.ArrayContraction | arrays.ArrayDiagonal):
            axes, is_sum = self.lay_out(expr.expr), isinstance(expr, arrays.ArrayContraction)
            groups = expr.contraction_indices if is_sum else expr.diagonal_indices
            joined = [self.join([axes[place] for place in group]) for group in groups]
            gone = {int(place) for group in groups for place in group}
            return [axis for place, axis in enumerate(axes) if place not in gone] + ([] if is_sum else joined)
        if isinstance(expr, arrays.PermuteDims):
            axes = self.lay_out(expr.expr)
            return [axes[place] for place in expr.permutation.array_form]
        own = list(range(len(self.sizes), len(self.sizes) + len(_shape(expr))))
        self.sizes += _shape(expr)
        self.joined += own
        self.leaves.append((expr, own))
        return own


def _shape(expr: Any) -> Sequence[Any]:
    return tuple(getattr(expr, "shape", ()))


def _array(reader: Reader, expr: Any) -> ReadSteps:
    """Read products, contractions, diagonals and permutations of arrays as one einsum."""
    layout = _Layout(expr)
    sizes = [reader.size(size) for size in layout.sizes]
    for axis, size in enumerate(sizes):
        if size != sizes[layout.find(axis)]:
            raise refuse(expr, f"it joins an axis of {size} with one of {sizes[layout.find(axis)]}")
    indices = {axis: Index(size) for axis, size in enumerate(sizes) if not size.is_unit and layout.find(axis) == axis}
    parts: list[EntryArray] = []
    for array, axes in layout.leaves:
        found = yield array
        own = tuple(indices[layout.find(axis)] for axis in axes if not sizes[axis].is_unit)
        _require_axes(reader, array, found, own)
        parts.append((reader.transpose(found) if found.is_row else found, own))
    output = tuple(indices[axis] for axis in layout.output if axis in indices)
    return _as_plain(reader, reader.contract(parts, output), [sizes[axis] for axis in layout.output])


def _require_axes(reader: Reader, expr: Any, found: Draft, own: Sequence[Index]) -> None:
    axes = squeeze_axes(found.axes)
    if found.position in reader.indices or len(axes) != len(own):
        raise refuse(expr)
    assert all(unify(axis, index.size) for axis, index in zip(axes, own, strict=True))


def _array_sum(reader: Reader, expr: Any) -> ReadSteps:
    found = yield from read_all(expr.args)
    reader.require_alike(expr, found)
    return reduce(lambda left, right: reader.combine("add", left, right), found)


def _array_symbol(reader: Reader, expr: Any) -> Draft:
    sizes = [reader.size(size) for size in expr.shape]
    name = reader.remember(expr, read_name(expr.name))
    own = tuple(sizes) if len(sizes) == 2 else tuple(size for size in sizes if not size.is_unit)
    reader.symbols[name] = hold_axes(own)
    return reader.add("symbol", (), reader.symbols[name], NOWHERE, (name,))


def _filled_array(function: str) -> Read:
    return leaf(lambda reader, expr: _fill(reader, function, [reader.size(size) for size in expr.shape]))


def _reshape(reader: Reader, expr: Any) -> ReadSteps:
    """Read Reshape, row after row: axes are joined to one and split again by fuse(m, p)[I, i, j] = 1 at I = i*p + j."""
    found = yield expr.expr
    before, after = ([reader.size(size) for size in shape] for shape in (expr.expr.shape, expr.shape))
    _require_axes(reader, expr, found, [Index(axis) for axis in squeeze_axes(found.axes)])
    axes = [Index(size) for size in before if not size.is_unit]
    parts: list[EntryArray] = [(reader.transpose(found) if found.is_row else found, tuple(axes))]
    output = [Index(size) for size in after if not size.is_unit]
    if len(output) > 1 and len(axes) > 1:
        raise refuse(expr, "only axes that become one, or one that becomes several, can be reshaped", "use two Reshape")
    joined = _fuse(reader, parts, axes) if len(axes) > 1 else axes[0]
    split = _fuse(reader, parts, output) if len(output) > 1 else joined
    if as_size(joined.size) != as_size(split.size):
        raise refuse(expr, f"the sizes {as_size(joined.size)} and {as_size(split.size)} are not the same")
    parts = [(draft, tuple(joined if index is split else index for index in own)) for draft, own in parts]
    return _as_plain(reader, reader.contract(parts, tuple(output) if len(output) > 1 else (joined,)), after)


def _fuse(reader: Reader, parts: list[EntryArray], axes: Sequence[Index]) -> Index:
    """Add what joins axes, the first one major, to the parts; return the joined one."""
    whole = axes[0]
    for index in axes[1:]:
        sizes = [as_size(whole.size), as_size(index.size)]
        joined = Index(sizes[0] * sizes[1])
        parts.append((fill(reader, "fuse", sizes, NOWHERE), (joined, whole, index)))
        whole = joined
    return whole


def read_applied(reader: Reader, expr: Any) -> ReadSteps:
    """Read X.applyfunc(f): the body of f with X in the place of its variable."""
    array = yield expr.expr
    (variable,), body = expr.function.variables, expr.function.expr
    if array.position in reader.indices:
        raise refuse(expr)
    entry, found = reader.read_body(variable, body)
    if not found.is_scalar:
        raise refuse(expr)
    applied = reader.apply(expr, found, entry, array)
    if array.is_scalar or not applied.is_scalar:
        return applied
    return reader.combine("multiply", applied, _fill(reader, "ones", [reader.size(size) for size in expr.shape]))


def _indexed(reader: Reader, expr: Any) -> Draft:
    raise refuse(expr, "an IndexedBase says no shape", "use MatrixSymbol or ArraySymbol, whose entries are X[i, j]")


ARRAY_READERS: dict[type, Read] = {
    MatrixElement: _element, ArrayElement: _element, sympy.KroneckerDelta: leaf(_delta), sympy.Sum: _sum_of_entries,
    sympy.Product: _product_of_entries, matrices.FunctionMatrix: leaf(_function_matrix),
    sympy.BlockMatrix: _blocks, MatrixSlice: _slice, sympy.MatrixBase: _written_out, sympy.NDimArray: _written_out,
    arrays.ArrayTensorProduct: _array, arrays.ArrayContraction: _array, arrays.ArrayDiagonal: _array,
    arrays.PermuteDims: _array, arrays.ArrayAdd: _array_sum, arrays.ArraySymbol: leaf(_array_symbol),
    sympy.Indexed: leaf(_indexed),
    arrays.OneArray: _filled_array("ones"), arrays.ZeroArray: _filled_array("zeros"), Reshape: _reshape,
    ArrayElementwiseApplyFunc: read_applied, matrices.applyfunc.ElementwiseApplyFunction: read_applied,
}  # fmt: skip


def list_dimensions(expr: Any) -> Iterable[Any]:
    """Return the dimensions that a SymPy object states itself, those of its parts aside."""
    if isinstance(expr, arrays.ArraySymbol | arrays.OneArray | arrays.ZeroArray | matrices.FunctionMatrix):
        return _shape(expr)
    if isinstance(expr, sympy.Sum | sympy.Product):
        return [limit[2] + 1 for limit in expr.limits if len(limit) == 3 and limit[1] == 0]
    if isinstance(expr, sympy.KroneckerDelta) and len(expr.args) == 3:
        return [expr.args[2][1] + 1]
    return ()
