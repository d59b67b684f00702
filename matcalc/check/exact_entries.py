"""An expression written out entry by entry at explicit sizes, every entry an element of a tower of exact functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import sympy
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

from matcalc.check.exact_field import Tower
from matcalc.check.exact_functions import apply_function, find_abstract
from matcalc.check.exact_generators import FreeEntry, NotShown, Undefined
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import UNIT, Shape, squeeze_shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule

_MOST_ENTRIES = 2_000
_LARGEST_MATRIX = 9


@dataclass(frozen=True)
class Entries:
    """An array: its shape in numbers, and its entries row by row."""

    shape: tuple[int, ...]
    flat: tuple[Element, ...]

    def reshape(self, shape: tuple[int, ...]) -> Entries:
        """Return the same entries in another shape."""
        return Entries(shape, self.flat)

    def squeeze(self) -> Entries:
        """Return the array without its unit axes."""
        return Entries(tuple(size for size in self.shape if size != 1), self.flat)

    def rows(self) -> list[list[Element]]:
        """Return the rows of a matrix."""
        width = self.shape[1]
        return [list(self.flat[start : start + width]) for start in range(0, len(self.flat), width)]

    def index(self) -> Iterator[tuple[tuple[int, ...], Element]]:
        """Yield the index of every entry with the entry."""
        return zip(product(*map(range, self.shape)), self.flat, strict=True)


def make_scalar(entry: Element) -> Entries:
    """Return a number as it is held, of shape (1, 1)."""
    return Entries((1, 1), (entry,))


def transpose_entries(array: Entries) -> Entries:
    """Return the transpose of a matrix."""
    rows, columns = array.shape
    flat = tuple(array.flat[row * columns + column] for column in range(columns) for row in range(rows))
    return Entries((columns, rows), flat)


def multiply_matrices(left: Entries, right: Entries, tower: Tower) -> Entries:
    """Return left @ right."""
    columns = transpose_entries(right).rows()
    flat = tuple(
        tower.sum(tower.multiply(a, b) for a, b in zip(row, column, strict=True))
        for row in left.rows() for column in columns
    )  # fmt: skip
    return Entries((left.shape[0], right.shape[1]), flat)


# --- expressions ----------------------------------------------------------------------------------------


@dataclass
class Writing:
    """What a writing depends on: the tower, the values of the variables, the sizes."""

    tower: Tower
    values: Mapping[str, Entries]
    sizes: Mapping[str, int]
    found: dict[Expression, Entries] = field(default_factory=dict)

    def measure(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape in numbers; raises NotShown for an array that is too large."""
        measured = tuple(size.value(self.sizes) for size in shape)
        if math.prod(measured) > _MOST_ENTRIES:
            raise NotShown(f"an array has more than {_MOST_ENTRIES} entries")
        return measured


def write_out(expression: Expression, writing: Writing) -> Entries:
    """Return every entry of an expression, of the shape it is held in; raises NotShown for what has no exact form."""
    found = writing.found
    for node in walk(expression):
        if node not in found:
            shape = writing.measure(node.shape)
            found[node] = _WRITERS[node.op](node, [found[arg] for arg in node.args], writing).reshape(shape)
    return found[expression]


# --- operators ------------------------------------------------------------------------------------------


def stretch(array: Entries, shape: tuple[int, ...]) -> Sequence[Element]:
    """Return the entries of an array broadcast to a shape."""
    if array.shape == shape:
        return array.flat
    if len(array.flat) == 1:
        return array.flat * math.prod(shape)
    steps, step = [], 1
    for size in reversed(array.shape):
        steps.append(0 if size == 1 else step)
        step *= size
    steps.reverse()
    return [
        array.flat[sum(place * step for place, step in zip(index, steps, strict=True))]
        for index in product(*map(range, shape))
    ]


def _combine(join: Callable[[Tower, Element, Element], Element]) -> _Writer:
    """Return the writer of an operation entry by entry."""

    def write(node: Expression, args: list[Entries], writing: Writing) -> Entries:
        shape = writing.measure(node.shape)
        left, right = (stretch(arg, shape) for arg in args)
        return Entries(shape, tuple(join(writing.tower, a, b) for a, b in zip(left, right, strict=True)))

    return write


def _negate(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return Entries(args[0].shape, tuple(-entry for entry in args[0].flat))


def _multiply_nodes(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return multiply_matrices(args[0], args[1], writing.tower)


def _transpose_node(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return transpose_entries(args[0])


def _compare(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    """Return 1 where the comparison holds and 0 where not; of what is equal by chance nothing is said."""
    values = {">": (0, 0, 1), ">=": (0, 1, 1), "<": (1, 0, 0), "<=": (1, 1, 0)}[node.data[0]]
    return _combine(lambda tower, a, b: tower.choose(a - b, values))(node, args, writing)


# --- leaves ---------------------------------------------------------------------------------------------


def _look_up(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return writing.values[node.name]


def _read_number(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return make_scalar(writing.tower.constant(node.data[0]))


def _read_constant(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return make_scalar(writing.tower.pi() if node.name == "pi" else writing.tower.exp(writing.tower.one))


def _read_size(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    return make_scalar(writing.tower.constant(node.data[0].value(writing.sizes)))


def _fill(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    """Return eye, ones, zeros, fuse[I,i,p] = 1 where I = i*p_size + p, commutation @ vec(X) = vec(X.T), or duplication.

    duplication @ h = vec(X) for a symmetric X whose entries on and below the diagonal are h, column by column.
    """
    name, sizes = node.data
    shape = writing.measure(node.shape)
    lengths = [size.value(writing.sizes) for size in sizes]
    # The places [column, row] on and below the diagonal, column by column.
    lower = [[j, i] for j in range(lengths[0] if lengths else 0) for i in range(j, lengths[0])]
    is_one: Callable[[tuple[int, ...]], bool] = {
        "ones": lambda index: True,
        "zeros": lambda index: False,
        "eye": lambda index: index[0] == index[1],
        "fuse": lambda index: index[0] == index[1] * lengths[1] + index[2],
        "commutation": lambda index: divmod(index[0], lengths[1]) == divmod(index[1], lengths[0])[::-1],
        "duplication": lambda index: lower[index[1]] == sorted(divmod(index[0], lengths[0])),
    }[name]
    zero, one = writing.tower.zero, writing.tower.one
    return Entries(shape, tuple(one if is_one(index) else zero for index in product(*map(range, shape))))


# --- einsum ---------------------------------------------------------------------------------------------

_Sparse = dict[tuple[int, ...], Element]


def _contract(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    """Return an einsum of arrays without unit axes, two at a time, zeros left out."""
    inputs, output = node.data[0].split("->")
    tower = writing.tower
    lengths: dict[str, int] = {}
    parts: list[tuple[str, _Sparse]] = []
    for letters, operand, array in zip(inputs.split(","), node.args, args, strict=True):
        shape = tuple(size.value(writing.sizes) for size in operand.squeezed_shape)
        lengths.update(zip(letters, shape, strict=True))
        entries = {index: entry for index, entry in array.reshape(shape).index() if entry}
        parts.append(_sum_out(letters, entries, set(output).union(*inputs.split(",")), tower))
    while len(parts) > 1:
        first, second = _choose_pair(parts)
        (right, right_entries), (left, left_entries) = parts.pop(second), parts.pop(first)
        needed = set(output).union(*(letters for letters, _ in parts))
        parts.append(_join(left, left_entries, right, right_entries, needed, tower))
    letters, found = _sum_out(*parts[0], set(output), tower)
    shape = tuple(lengths[letter] for letter in output)
    order = [letters.index(letter) for letter in output]
    turned = {tuple(index[place] for place in order): entry for index, entry in found.items()}
    return Entries(shape, tuple(turned.get(index, tower.zero) for index in product(*map(range, shape))))


def _sum_out(letters: str, entries: _Sparse, needed: set[str], tower: Tower) -> tuple[str, _Sparse]:
    """Return an operand without letters that stand twice or that nothing else needs."""
    kept = "".join(letter for letter in dict.fromkeys(letters) if letter in needed)
    if kept == letters:
        return letters, entries
    found: _Sparse = {}
    for index, entry in entries.items():
        named = dict(zip(letters, index, strict=True))
        if all(named[letter] == place for letter, place in zip(letters, index, strict=True)):
            key = tuple(named[letter] for letter in kept)
            found[key] = found[key] + entry if key in found else entry
    return kept, found


def _choose_pair(parts: list[tuple[str, _Sparse]]) -> tuple[int, int]:
    """Return the two operands to multiply first: those that share a letter and have few entries."""
    pairs = [(i, j) for j in range(len(parts)) for i in range(j)]
    return min(pairs, key=lambda pair: (
        not set(parts[pair[0]][0]) & set(parts[pair[1]][0]), len(parts[pair[0]][1]) * len(parts[pair[1]][1])
    ))  # fmt: skip


def _join(
    left: str, left_entries: _Sparse, right: str, right_entries: _Sparse, needed: set[str], tower: Tower
) -> tuple[str, _Sparse]:
    shared = [letter for letter in left if letter in right]
    kept = [letter for letter in dict.fromkeys(left + right) if letter in needed]
    by_shared: dict[tuple[int, ...], list[tuple[dict[str, int], Element]]] = {}
    for index, entry in right_entries.items():
        named = dict(zip(right, index, strict=True))
        by_shared.setdefault(tuple(named[letter] for letter in shared), []).append((named, entry))
    found: _Sparse = {}
    for index, entry in left_entries.items():
        named = dict(zip(left, index, strict=True))
        for other, value in by_shared.get(tuple(named[letter] for letter in shared), ()):
            both = named | other
            key = tuple(both[letter] for letter in kept)
            term = tower.multiply(entry, value)
            found[key] = found[key] + term if key in found else term
    return "".join(kept), {index: entry for index, entry in found.items() if entry}


# --- abstract functions -----------------------------------------------------------------------------------


def _call_abstract(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    count = math.prod(writing.measure(node.shape))
    flat = tuple(find_abstract(writing.tower, node.name, place, (), args[0].flat) for place in range(count))
    return Entries((count,), flat)


def _differentiate_abstract(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    """Return D(u, x): S_u + order*reversed(S_x)."""
    name, order, declared = node.data
    own = writing.measure(squeeze_shape(declared))
    inside = writing.measure(node.args[0].squeezed_shape)
    shape = own + order * inside[::-1]
    flat = []
    for index in product(*map(range, shape)):
        by = []
        for copy in range(order):
            start = len(own) + copy * len(inside)
            by.append(_find_place(index[start : start + len(inside)][::-1], inside))
        place = _find_place(index[: len(own)], own)
        flat.append(find_abstract(writing.tower, name, place, tuple(by), args[0].flat))
    return Entries(shape, tuple(flat))


def _find_place(index: Sequence[int], shape: Sequence[int]) -> int:
    """Return the place of an entry in the row by row order."""
    place = 0
    for one, size in zip(index, shape, strict=True):
        place = place * size + one
    return place


# --- calls ------------------------------------------------------------------------------------------------


def _call(node: Expression, args: list[Entries], writing: Writing) -> Entries:
    rule, axis, _ = node.data
    shapes = tuple(arg.shape for arg in node.args)
    if rule.name in _ALONG:
        return _reduce_along(_ALONG[rule.name], args[0], axis, writing.tower)
    if axis is None:
        return _apply_rule(rule, shapes, args, writing)
    of_columns = tuple((shape[axis], UNIT) for shape in shapes)
    lines = zip(*((arg if axis == 1 else transpose_entries(arg)).rows() for arg in args), strict=True)
    results = [
        _apply_rule(rule, of_columns, [Entries((len(line), 1), tuple(line)) for line in each], writing)
        for each in lines
    ]
    stacked = Entries((len(results), len(results[0].flat)), tuple(entry for one in results for entry in one.flat))
    return stacked if axis == 1 else transpose_entries(stacked)


def _apply_rule(rule: Rule, shapes: tuple[Shape, ...], args: list[Entries], writing: Writing) -> Entries:
    """Return a function's value: from the tables, else by its definition, else by the SymPy function of its name."""
    if rule.name in _ALONG:
        return _reduce_along(_ALONG[rule.name], args[0], None, writing.tower)
    if rule.name in MATRIX_FUNCTIONS:
        return MATRIX_FUNCTIONS[rule.name](writing.tower, *args)
    # What avoids overflow is longer.
    if text := min(filter(None, (rule.sympy_definition, rule.define)), key=len, default=""):
        values = {parameter.name: value for parameter, value in zip(rule.variables, args, strict=True)}
        return _write_text(parse_rule_text(rule, text, shapes), Writing(writing.tower, values, writing.sizes))
    return _apply_entrywise(rule, args, writing)


def _write_text(root: Expression, writing: Writing) -> Entries:
    """Return the value of a rule's text; what a branch of it needs is not assumed, since the other may be taken."""
    tower = writing.tower
    before = tower.assumes_conditions
    tower.assumes_conditions = before and not any(node.op == "compare" for node in walk(root))
    try:
        return write_out(root, writing)
    finally:
        tower.assumes_conditions = before


def _apply_entrywise(rule: Rule, args: list[Entries], writing: Writing) -> Entries:
    """Return a function entry by entry: where, or the SymPy function of the rule's word in torch."""
    tower = writing.tower
    form = rule.read_form("torch")
    if rule.name == "where":
        join: Callable[..., Element] = lambda *values: _select(tower, *values)  # noqa: E731
    elif rule.is_elementwise and form.path in _FUNCTIONS and form.places == rule.variables and not form.keywords:
        join = lambda *values: apply_function(tower, _FUNCTIONS[form.path], values)  # noqa: E731
    else:
        raise NotShown(f"{rule.call} has no exact form")
    arrays = [arg.shape for arg in args if len(arg.flat) > 1] or [args[0].shape]
    shape = tuple(map(max, zip(*arrays, strict=True)))
    return Entries(shape, tuple(map(join, *(stretch(arg, shape) for arg in args))))


def _select(tower: Tower, condition: Element, chosen: Element, otherwise: Element) -> Element:
    """Return chosen where the condition is not 0, else the other."""
    if not condition or condition.is_ground:
        return chosen if condition else otherwise
    if not tower.is_zero(tower.multiply(condition, condition) - condition):
        if tower.has_signs(condition):
            raise NotShown("the condition of where is no comparison")
        return chosen
    return otherwise + tower.multiply(condition, chosen - otherwise)


# What functions entry by entry are, by the words of torch that name them in a rule.
_FUNCTIONS: dict[str, Any] = {
    "torch.exp": sympy.exp, "torch.log": sympy.log, "torch.sin": sympy.sin, "torch.cos": sympy.cos,
    "torch.tan": sympy.tan, "torch.sinh": sympy.sinh, "torch.cosh": sympy.cosh, "torch.tanh": sympy.tanh,
    "torch.arcsin": sympy.asin, "torch.arccos": sympy.acos, "torch.arctan": sympy.atan, "torch.abs": sympy.Abs,
    "torch.sign": sympy.sign, "torch.erf": sympy.erf, "torch.maximum": sympy.Max, "torch.minimum": sympy.Min,
    "torch.special.erf": sympy.erf, "torch.special.erfc": sympy.erfc, "torch.erfc": sympy.erfc,
    "torch.special.erfinv": sympy.erfinv, "torch.digamma": sympy.digamma, "torch.special.digamma": sympy.digamma,
    "torch.lgamma": sympy.loggamma, "torch.special.gammaln": sympy.loggamma,
}  # fmt: skip


# --- determinants and inverses ------------------------------------------------------------------------


def find_determinant(tower: Tower, x: Entries) -> Element:
    """Return the determinant by cofactors."""
    return _Minors(tower, x).find(tuple(range(x.shape[0])), tuple(range(x.shape[0])))


class _Minors:
    """The minors of a matrix, each computed once."""

    def __init__(self, tower: Tower, x: Entries) -> None:
        if x.shape[0] > _LARGEST_MATRIX:
            raise NotShown(f"a determinant has more than {_LARGEST_MATRIX} rows")
        self.tower, self.rows = tower, x.rows()
        self.found: dict[tuple[tuple[int, ...], tuple[int, ...]], Element] = {((), ()): tower.one}

    def find(self, rows: tuple[int, ...], columns: tuple[int, ...]) -> Element:
        """Return the determinant of some rows and columns, by cofactors along the first of the rows."""
        if (rows, columns) not in self.found:
            total = self.tower.zero
            for place, column in enumerate(columns):
                entry = self.rows[rows[0]][column]
                if entry:
                    minor = self.find(rows[1:], columns[:place] + columns[place + 1 :])
                    term = self.tower.multiply(entry, minor)
                    total = total - term if place % 2 else total + term
            self.found[rows, columns] = total
        return self.found[rows, columns]

    def find_cofactor(self, row: int, column: int) -> Element:
        """Return the determinant without a row and a column, with its sign."""
        every = tuple(range(len(self.rows)))
        minor = self.find(every[:row] + every[row + 1 :], every[:column] + every[column + 1 :])
        return -minor if (row + column) % 2 else minor


def invert_matrix(tower: Tower, x: Entries) -> Entries:
    """Return the inverse by cofactors; raises Undefined for a matrix that has none."""
    size = x.shape[0]
    minors, every = _Minors(tower, x), tuple(range(size))
    determinant = tower.cancel(minors.find(every, every))
    if tower.is_zero(determinant):
        raise Undefined("a matrix has no inverse at these sizes")
    over = tower.invert(determinant)
    flat = [tower.cancel(tower.multiply(minors.find_cofactor(j, i), over)) for i in every for j in every]
    return Entries((size, size), tuple(flat))


def _find_adjugate(tower: Tower, x: Entries) -> Entries:
    """Return the transpose of the cofactors."""
    minors, every = _Minors(tower, x), tuple(range(x.shape[0]))
    return Entries(x.shape, tuple(minors.find_cofactor(j, i) for i in every for j in every))


def _multiply_but_two(tower: Tower, x: Entries) -> Entries:
    """Return at [i, j] the product of all entries but those two, 0 on the diagonal."""
    size = len(x.flat)
    flat = [
        tower.constant(0) if i == j else tower.product([x.flat[k] for k in range(size) if k not in (i, j)])
        for i in range(size) for j in range(size)
    ]  # fmt: skip
    return Entries((size, size), tuple(flat))


def _multiply_but_two_of_rows(tower: Tower, x: Entries) -> Entries:
    """Return at [i, j, k] the product of all entries of row i but those two, 0 where j = k."""
    rows = [_multiply_but_two(tower, Entries((1, len(row)), tuple(row))).flat for row in x.rows()]
    return Entries((*x.shape, x.shape[1]), tuple(entry for row in rows for entry in row))


def _take_power(tower: Tower, x: Entries, exponent: Entries) -> Entries:
    count = exponent.flat[0]
    if not count.is_ground or (count and count.LC.denominator != 1):
        raise NotShown("a power of a matrix needs a whole exponent")
    times = int(count.LC.numerator) if count else 0
    if abs(times) > 12:
        raise NotShown(f"a matrix is raised to the power {times}")
    base = invert_matrix(tower, x) if times < 0 else x
    result = _make_identity(tower, x.shape[0])
    for _ in range(abs(times)):
        result = multiply_matrices(result, base, tower)
    return result


def _make_identity(tower: Tower, size: int) -> Entries:
    return Entries((size, size), tuple(tower.one if i == j else tower.zero for i in range(size) for j in range(size)))


def _invert_generally(tower: Tower, x: Entries) -> Entries:
    """Return the pseudo-inverse of a matrix of full rank."""
    turned = transpose_entries(x)
    if x.shape[0] == x.shape[1]:
        return invert_matrix(tower, x)
    if x.shape[0] < x.shape[1]:
        return multiply_matrices(turned, invert_matrix(tower, multiply_matrices(x, turned, tower)), tower)
    return multiply_matrices(invert_matrix(tower, multiply_matrices(turned, x, tower)), turned, tower)


def _keep_triangle(is_kept: Callable[[int, int], bool]) -> Callable[[Tower, Entries], Entries]:
    def keep(tower: Tower, x: Entries) -> Entries:
        return Entries(x.shape, tuple(entry if is_kept(*index) else tower.zero for index, entry in x.index()))

    return keep


def _require_two(x: Entries, what: str) -> None:
    if x.shape[0] != 2:
        raise NotShown(f"{what} is written out for one row or two")


def _combine_with_identity(tower: Tower, x: Entries, factor: Element, shift: Element) -> Entries:
    """Return factor*X + shift*I."""
    flat = tuple(
        tower.multiply(entry, factor) + (shift if index[0] == index[1] else tower.zero) for index, entry in x.index()
    )
    return Entries(x.shape, flat)


def _find_trace(tower: Tower, x: Entries) -> Element:
    return tower.sum(entry for index, entry in x.index() if index[0] == index[1])


def take_square_root(tower: Tower, x: Entries) -> Entries:
    """Return the principal square root of a matrix of two rows: (X + t*I)/sqrt(tr X + 2*t) with t = sqrt(det X)."""
    if x.shape[0] == 1:
        return make_scalar(tower.raise_to(x.flat[0], tower.constant(Fraction(1, 2))))
    _require_two(x, "sqrtm")
    t = tower.raise_to(find_determinant(tower, x), tower.constant(Fraction(1, 2)))
    over = tower.raise_to(_find_trace(tower, x) + t.mul_ground(QQ(2)), tower.constant(Fraction(-1, 2)))
    return _combine_with_identity(tower, x, over, tower.multiply(t, over))


def take_exponential(tower: Tower, x: Entries) -> Entries:
    """Return exp(s)*(cosh(d)*I + sinh(d)/d*(X - s*I)) of a matrix of two rows, s = tr X/2 and d**2 = s**2 - det X."""
    if x.shape[0] == 1:
        return make_scalar(tower.exp(x.flat[0]))
    _require_two(x, "expm")
    half = _find_trace(tower, x).mul_ground(QQ(1, 2))
    square = tower.multiply(half, half) - find_determinant(tower, x)
    outside = tower.exp(half)
    if tower.is_zero(square):
        return _combine_with_identity(tower, x, outside, outside - tower.multiply(outside, half))
    # Both functions of d are even, so that it does not matter whether d is real.
    d = tower.take_root(square, Fraction(1, 2))
    up, down = tower.exp(d), tower.exp(-d)
    for generator in tower.list_generators(d + up + down):
        generator.positive = False
    cosh = tower.multiply(outside, (up + down).mul_ground(QQ(1, 2)))
    slope = tower.multiply(outside, tower.divide((up - down).mul_ground(QQ(1, 2)), d))
    return _combine_with_identity(tower, x, slope, cosh - tower.multiply(slope, half))


def _differentiate_matrix_function(
    function: Callable[[Tower, Entries], Entries],
) -> Callable[[Tower, Entries], Entries]:
    """Return the function [i,j,a,b] = d f(X)[i,j]/dX[a,b], differentiated at a matrix of free entries."""

    def differentiate(tower: Tower, x: Entries) -> Entries:
        free = [tower.find(("free", place), partial(FreeEntry, "free", place)) for place in range(len(x.flat))]
        conditions = list(tower.conditions)
        value = function(tower, Entries(x.shape, tuple(map(tower.element, free))))
        tower.conditions = conditions
        images = {generator.index: entry for generator, entry in zip(free, x.flat, strict=True)}
        flat = tuple(tower.substitute(tower.differentiate(one, by), images) for one in value.flat for by in free)
        return Entries((*x.shape, *x.shape), flat)

    return differentiate


def _take_gram(tower: Tower, x: Entries) -> tuple[Entries, bool]:
    """Return the smaller one of X @ X.T and X.T @ X, and whether it is the former; raises NotShown for three rows."""
    is_wide, turned = x.shape[0] <= x.shape[1], transpose_entries(x)
    gram = multiply_matrices(x, turned, tower) if is_wide else multiply_matrices(turned, x, tower)
    if gram.shape[0] != 2:
        raise NotShown("singular values are written out for two rows or columns only")
    return gram, is_wide


def _sum_singular_values(tower: Tower, x: Entries) -> Entries:
    """Return s + t, from (s + t)**2 = tr G + 2*sqrt(det G)."""
    gram, _ = _take_gram(tower, x)
    root = tower.take_root(find_determinant(tower, gram), Fraction(1, 2))
    return make_scalar(tower.take_root(_find_trace(tower, gram) + root.mul_ground(QQ(2)), Fraction(1, 2)))


def _find_polar_factor(tower: Tower, x: Entries) -> Entries:
    """Return G**(-1/2) @ X, or X @ G**(-1/2)."""
    gram, is_wide = _take_gram(tower, x)
    middle = invert_matrix(tower, take_square_root(tower, gram))
    return multiply_matrices(middle, x, tower) if is_wide else multiply_matrices(x, middle, tower)


def _split_eigenvalues(tower: Tower, gram: Entries) -> tuple[Element, Element]:
    """Return the larger eigenvalue of a symmetric matrix of two rows, and by how much it is larger."""
    trace, determinant = _find_trace(tower, gram), find_determinant(tower, gram)
    apart = tower.take_root(tower.multiply(trace, trace) - determinant.mul_ground(QQ(4)), Fraction(1, 2))
    return (trace + apart).mul_ground(QQ(1, 2)), apart


def _find_largest_singular_value(tower: Tower, x: Entries) -> Entries:
    largest, _ = _split_eigenvalues(tower, _take_gram(tower, x)[0])
    return make_scalar(tower.take_root(largest, Fraction(1, 2)))


def _find_leading_outer(tower: Tower, x: Entries) -> Entries:
    """Return u @ v.T of the largest singular value: (G - smaller*I)/(larger - smaller) times X/s."""
    gram, is_wide = _take_gram(tower, x)
    largest, apart = _split_eigenvalues(tower, gram)
    over = tower.multiply(tower.invert(apart), tower.take_root(largest, Fraction(-1, 2)))
    middle = _combine_with_identity(tower, gram, over, tower.multiply(over, apart - largest))
    return multiply_matrices(middle, x, tower) if is_wide else multiply_matrices(x, middle, tower)


MATRIX_FUNCTIONS: dict[str, Callable[..., Entries]] = {
    "size": lambda tower, x: make_scalar(tower.constant(len(x.flat))),
    "det": lambda tower, x: make_scalar(find_determinant(tower, x)),
    "logdet": lambda tower, x: make_scalar(tower.log(find_determinant(tower, x))),
    "inv": invert_matrix,
    "pinv": _invert_generally,
    "adjugate": _find_adjugate,
    "prod_pairs": _multiply_but_two,
    "prod_pairs_of_rows": _multiply_but_two_of_rows,
    "matrix_power": _take_power,
    "tril": _keep_triangle(lambda row, column: column <= row),
    "triu": _keep_triangle(lambda row, column: column >= row),
    "sqrtm": take_square_root,
    "sqrtm_jacobian": _differentiate_matrix_function(take_square_root),
    "expm": take_exponential,
    "expm_jacobian": _differentiate_matrix_function(take_exponential),
    "norm_nuc": _sum_singular_values,
    "polar": _find_polar_factor,
    "norm_spectral": _find_largest_singular_value,
    "leading_outer": _find_leading_outer,
}


# --- functions along an axis --------------------------------------------------------------------------------

_Line = Callable[[Tower, list[Element]], list[Element]]


def _reduce_along(function: _Line, array: Entries, axis: int | None, tower: Tower) -> Entries:
    """Return a function of all entries, or of each line along an axis; the lines stay in their places."""
    if axis is None:
        flat = tuple(function(tower, list(array.flat)))
        return Entries(array.shape if len(flat) == len(array.flat) else (1, 1), flat)
    results = [function(tower, line) for line in (array.rows() if axis == 1 else transpose_entries(array).rows())]
    stacked = Entries((len(results), len(results[0])), tuple(entry for line in results for entry in line))
    return stacked if axis == 1 else transpose_entries(stacked)


def _mark_largest(tower: Tower, line: list[Element], side: int = 1) -> list[Element]:
    """Return 1 for the largest entry and 0 for the others; entries that are one and the same share the 1."""
    marks: dict[Element, Element] = {}
    for entry in dict.fromkeys(line):
        chosen = tower.constant(Fraction(1, line.count(entry)))
        for other in dict.fromkeys(line):
            if other != entry:
                if tower.has_signs(entry - other):
                    raise NotShown("entries of which the largest is taken may be equal")
                step = tower.one + tower.sign((entry - other).mul_ground(QQ(side)))
                chosen = tower.multiply(chosen, step.mul_ground(QQ(1, 2)))
        marks[entry] = chosen
    return [marks[entry] for entry in line]


def _take_largest(tower: Tower, line: list[Element], side: int = 1) -> list[Element]:
    marks = _mark_largest(tower, line, side)
    return [tower.sum(tower.multiply(mark, entry) for mark, entry in zip(marks, line, strict=True))]


def _multiply_others(tower: Tower, line: list[Element]) -> list[Element]:
    """Return for each entry the product of those before it with those behind it."""
    before, behind = [tower.one], [tower.one]
    for first, last in zip(line[:-1], line[:0:-1], strict=True):
        before.append(tower.multiply(before[-1], first))
        behind.append(tower.multiply(behind[-1], last))
    return [tower.multiply(a, b) for a, b in zip(before, reversed(behind), strict=True)]


_ALONG: dict[str, _Line] = {
    "sum": lambda tower, line: [tower.sum(line)],
    "prod": lambda tower, line: [tower.product(line)],
    "prod_others": _multiply_others,
    "prod_others_of_vector": _multiply_others,
    "max": _take_largest,
    "min": lambda tower, line: _take_largest(tower, line, -1),
    "largest": _mark_largest,
    "smallest": lambda tower, line: _mark_largest(tower, line, -1),
}


_Writer = Callable[[Expression, list[Entries], Writing], Entries]

_WRITERS: dict[str, _Writer] = {
    "symbol": _look_up,
    "number": _read_number,
    "constant": _read_constant,
    "size": _read_size,
    "add": _combine(lambda tower, a, b: a + b),
    "subtract": _combine(lambda tower, a, b: a - b),
    "multiply": _combine(Tower.multiply),
    "divide": _combine(Tower.divide),
    "power": _combine(Tower.raise_to),
    "negate": _negate,
    "matmul": _multiply_nodes,
    "transpose": _transpose_node,
    "compare": _compare,
    "einsum": _contract,
    "filled": _fill,
    "abstract": _call_abstract,
    "abstract_derivative": _differentiate_abstract,
    "call": _call,
}
