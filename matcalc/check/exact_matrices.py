"""Arrays of exact entries: products, determinants and inverses by cofactors, and functions of a matrix of two rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product

from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

from matcalc.check.exact_field import Tower
from matcalc.check.exact_generators import FreeEntry, NotShown, Undefined

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


def invert_matrix(tower: Tower, x: Entries) -> Entries:
    """Return the inverse by cofactors; raises Undefined for a matrix that has none."""
    size = x.shape[0]
    minors, every = _Minors(tower, x), tuple(range(size))
    determinant = tower.cancel(minors.find(every, every))
    if tower.is_zero(determinant):
        raise Undefined("a matrix has no inverse at these sizes")
    over = tower.invert(determinant)
    flat = []
    for i in every:
        for j in every:
            minor = minors.find(every[:j] + every[j + 1 :], every[:i] + every[i + 1 :])
            flat.append(tower.cancel(tower.multiply(-minor if (i + j) % 2 else minor, over)))
    return Entries((size, size), tuple(flat))


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
