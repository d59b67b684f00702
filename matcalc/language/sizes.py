"""Sizes of axes: letters, numbers, their products, sums and differences, equal to the text a reader would write."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from matcalc.errors import DeclarationError, EvaluationError

if TYPE_CHECKING:
    from matcalc.language.expression import Expression

_LARGEST_SIZE = 10**12


class Size:
    """The number of entries along one axis: a product of letters and a number, such as m*p or 3.

    A size equals its text, so `d.shape == ("m", "n")` holds; the order of factors does not matter.  A sum or a
    difference, such as n - 1, is one letter that knows its parts.

    >>> Size.of("m") * Size.of("p") == "p*m"
    True
    >>> Size.of(3) * Size.of("n")
    3*n
    >>> Size.of("n") - Size.of(1), Size.of("n-1") + Size.of(1), Size.of("m*(n-1)") == "m*n - m"
    (n - 1, n, True)
    """

    __slots__ = ("letters", "number", "_key", "_hash")

    def __init__(self, letters: tuple[str, ...], number: int = 1) -> None:
        self.letters = letters
        self.number = number
        self._key: Any = (tuple(sorted(letters)), number)
        if any(map(_is_sum, letters)):
            self._key = frozenset(self.terms.items())
            self._hash = hash(self._key)
        elif not letters:
            self._hash = hash(number)
        elif number == 1 and len(letters) == 1:
            self._hash = hash(letters[0])
        else:
            self._hash = hash(self._key)

    @classmethod
    def of(cls, value: Any) -> Size:
        """Return the size that a letter, a number, or a text such as "m*p" stands for."""
        if isinstance(value, Size):
            return value
        if isinstance(value, int):
            return cls((), value)
        if triangle := _TRIANGLE.fullmatch(str(value).replace(" ", "")):
            return cls.of(triangle[1]).triangle()
        if _SUM_SIGNS.search(str(value)):
            return _read_sum(str(value))
        letters: list[str] = []
        number = 1
        for part in str(value).replace(" ", "").split("*"):
            if part.isdigit():
                number *= int(part)
            else:
                letters.append(part)
        return cls(tuple(letters), number)

    def triangle(self) -> Size:
        """Return n*(n+1)/2, how many entries of an n by n matrix stand on and below the diagonal; as one letter.

        >>> Size.of("n").triangle(), Size.of(3).triangle(), Size.of("n").triangle().value({"n": 4})
        (n*(n+1)/2, 6, 10)
        """
        if not self.letters:
            return Size((), self.number * (self.number + 1) // 2)
        base = f"({self})".replace(" ", "") if any(map(_is_sum, self.letters)) else str(self)
        return Size((f"{base}*({base}+1)/2",))

    @property
    def base_letters(self) -> tuple[str, ...]:
        """The letters that have numbers of their own: n for n*(n+1)/2 and for n - 1."""
        return tuple(one for letter in self.letters for one in _list_base(letter))

    @property
    def terms(self) -> dict[tuple[str, ...], int]:
        """The size as a sum: how often each product of letters stands in it, of () the number.

        >>> Size.of("m*(n-1)").terms
        {('m', 'n'): 1, ('m',): -1}
        """
        total: dict[tuple[str, ...], int] = {(): self.number}
        for letter in self.letters:
            parts = _split_sum(letter) if _is_sum(letter) else {(letter,): 1}
            total = _add_terms(
                (tuple(sorted(one + other)), count * times)
                for one, count in total.items() for other, times in parts.items()
            )  # fmt: skip
        return total

    @property
    def is_sum(self) -> bool:
        """Whether the size is a sum or a difference alone, which stands in brackets beside factors."""
        return self.number == 1 and len(self.letters) == 1 and _is_sum(self.letters[0])

    @property
    def is_unit(self) -> bool:
        """Whether the size is the number 1, an axis that results drop."""
        return not self.letters and self.number == 1

    def evaluate(self, numbers: Mapping[str, int]) -> int:
        """Return the number once each letter has one, be it below 0."""
        return reduce(lambda product, letter: product * _count(letter, numbers), self.letters, self.number)

    def isolate(self, letter: str) -> tuple[int, Size] | None:
        """Return the sign of a letter in a sum and the rest: n - 1 is (1, -1) of n; None where it stands otherwise.

        >>> Size.of("m - n").isolate("n")
        (-1, m)
        """
        count = self.terms.get((letter,), 0)
        rest = self - Size((letter,), count)
        return (count, rest) if abs(count) == 1 and letter not in rest.base_letters else None

    def __mul__(self, other: Size) -> Size:
        return Size(self.letters + other.letters, self.number * other.number)

    def __add__(self, other: Size) -> Size:
        return _write_terms(_add_terms((*self.terms.items(), *other.terms.items())))

    def __sub__(self, other: Size) -> Size:
        return self + Size(other.letters, -other.number)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Size):
            return bool(self._key == other._key)
        if isinstance(other, int):
            return not self.letters and self.number == other
        if isinstance(other, str) or hasattr(other, "free_symbols"):
            return bool(self._key == Size.of(str(other))._key)
        return NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        if not self.letters:
            return str(self.number)
        if self.is_sum:
            return self.letters[0][1:-1]
        return "*".join(([str(self.number)] if self.number != 1 else []) + list(self.letters))

    def _sympy_(self) -> Any:
        import sympy

        letters = [_to_sympy(letter) for letter in self.letters]
        return sympy.Mul(self.number, *letters)

    def value(self, numbers: Mapping[str, int]) -> int:
        """Return the number of entries once each letter has a number; raises EvaluationError for one below 0."""
        number = self.evaluate(numbers)
        if number < 0:
            given = ", ".join(f"{letter} = {numbers[letter]}" for letter in dict.fromkeys(self.base_letters))
            raise EvaluationError(f"{self} is {number} where {given}", advice="give larger arrays, or other sizes")
        return number


# n*(n+1)/2, the number of independent entries of a symmetric matrix, is one letter.
_TRIANGLE = re.compile(r"(.+)\*\(\1\+1\)/2")


def _count(letter: str, numbers: Mapping[str, int]) -> int:
    if _is_sum(letter):
        return sum(
            count * math.prod(_count(each, numbers) for each in product)
            for product, count in _split_sum(letter).items()
        )
    found = _TRIANGLE.fullmatch(letter)
    return numbers[letter] if found is None else Size((), Size.of(found[1]).value(numbers)).triangle().number


def _to_sympy(letter: str) -> Any:
    import sympy

    if _is_sum(letter):
        products = (Size(product, count)._sympy_() for product, count in _split_sum(letter).items())
        return sympy.Add(*products)
    if found := _TRIANGLE.fullmatch(letter):
        base = Size.of(found[1])._sympy_()
        return base * (base + 1) / 2
    return sympy.Symbol(letter, integer=True, positive=True)


# --- sums and differences -----------------------------------------------------------------------------
#
# n - 1 is one letter, "(n - 1)": what counts letters, multiplies or divides by them needs not know what it is.

_SUM_SIGNS = re.compile(r"[-+(]")


def _is_sum(letter: str) -> bool:
    return letter[0] == "(" and letter[-1] == ")"


@lru_cache(maxsize=1000)
def _split_sum(letter: str) -> Mapping[tuple[str, ...], int]:
    """Return the terms of a letter that is a sum."""
    found: dict[tuple[str, ...], int] = {}
    for sign, term in re.findall(r"(^|[-+] )((?:[^-+()]|\S\([^()]*\S\))+)", letter[1:-1]):
        parts = term.strip().split("*") if not _TRIANGLE.search(term) else [term.strip()]
        number = math.prod(int(part) for part in parts if part.isdigit())
        found[tuple(part for part in parts if not part.isdigit())] = -number if sign == "- " else number
    return found


def _list_base(letter: str) -> tuple[str, ...]:
    if _is_sum(letter):
        letters = (each for product in _split_sum(letter) for each in product)
        return tuple(dict.fromkeys(one for each in letters for one in _list_base(each)))
    found = _TRIANGLE.fullmatch(letter)
    return Size.of(found[1]).base_letters if found else (letter,)


def _add_terms(terms: Iterable[tuple[tuple[str, ...], int]]) -> dict[tuple[str, ...], int]:
    total: dict[tuple[str, ...], int] = {}
    for product, count in terms:
        total[product] = total.get(product, 0) + count
    return {product: count for product, count in total.items() if count}


def _write_terms(terms: dict[tuple[str, ...], int]) -> Size:
    """Return the size of a sum; what all its terms have in common is a factor of it, so that each has one spelling."""
    if not terms:
        return Size((), 0)
    number = math.gcd(*terms.values()) * (-1 if all(count < 0 for count in terms.values()) else 1)
    products = [Counter(product) for product in terms]
    common = tuple(reduce(and_, products).elements())
    if len(terms) == 1:
        ((product, count),) = terms.items()
        return Size(product, count)
    text = ""
    for product, count in sorted(terms.items(), key=lambda term: (term[1] < 0, not term[0], len(term[0]), term[0])):
        rest = tuple((Counter(product) - Counter(common)).elements())
        written = str(Size(rest, abs(count // number)))
        text += f" {'-' if count // number < 0 else '+'} {written}" if text else written
    return Size((*common, f"({text})"), number)


def _read_sum(text: str) -> Size:
    """Return the size that a text such as n - 1 or m*(n + 1) stands for; raises DeclarationError for others."""
    try:
        return _read_tree(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError):
        raise DeclarationError(f"{text[:40]} is no size") from None


def _read_tree(tree: ast.expr) -> Size:
    match tree:
        case ast.Name(id=name):
            return Size((name,))
        case ast.Constant(value=int(value)):
            return Size((), value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _read_tree(left) + _read_tree(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _read_tree(left) - _read_tree(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _read_tree(left) * _read_tree(right)
    raise TypeError


UNIT = Size((), 1)

Shape = tuple[Size, ...]
SCALAR: Shape = (UNIT, UNIT)


def check_sizes(sizes: Mapping[str, int], letters: Collection[str]) -> None:
    """Raise DeclarationError for numbers that a reader gives to letters that do not exist, and for what is no size."""
    for letter, number in sizes.items():
        if letter not in letters:
            raise DeclarationError(f"there is no size {letter}; there are {', '.join(letters) or 'none'}")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _LARGEST_SIZE:
            raise DeclarationError(f"the size {letter} is a whole number from 1 on, not {number!r}"[:200])


def fit_numbers(
    numbers: Mapping[str, int], sums: Collection[Size], kept: Collection[str] = (), least: int = 1
) -> dict[str, int]:
    """Return numbers for letters at which every sum, such as n - q, is as large at least; larger ones where one is not.

    Raises EvaluationError where none are found; those of the letters that are kept stay.

    >>> fit_numbers({"n": 2, "q": 3}, [Size.of("n - q")])
    {'n': 4, 'q': 3}
    """
    fitted = dict(numbers)
    for _ in range(50):
        short = next(((size, value) for size in sums if (value := size.evaluate(fitted)) < least), None)
        if short is None:
            return fitted
        size, value = short
        growing = [
            product[0] for product, count in size.terms.items()
            if count > 0 and len(product) == 1 and product[0] in fitted and product[0] not in kept
        ]  # fmt: skip
        if not growing:
            break
        fitted[growing[0]] += least - value
    listed = " and ".join(dict.fromkeys(map(str, sums)))
    reason = f"there are no sizes at which {listed} are {least} or more"
    raise EvaluationError(reason, advice="change the ranges, or give sizes")


def squeeze_shape(shape: Shape) -> Shape:
    """Return the shape without its unit axes: a column (n, 1) has shape (n,), a scalar ()."""
    return tuple(size for size in shape if not size.is_unit)


def to_2d_shape(shape: Shape) -> Shape:
    """Return the 2-D shape: a scalar has shape (1, 1), a vector is a column (n, 1); more axes stay.

    >>> to_2d_shape((Size.of("n"),)), to_2d_shape(())
    ((n, 1), (1, 1))
    """
    return shape + (UNIT,) * (2 - len(shape))


def write_shape(shape: Shape) -> str:
    """Return the shape as a reader writes it: (m, n), (n,) or scalar.

    >>> write_shape((Size.of("n"),)), write_shape(())
    ('(n,)', 'scalar')
    """
    if not shape:
        return "scalar"
    return f"({shape[0]},)" if len(shape) == 1 else "(" + ", ".join(map(str, shape)) + ")"


# --- sizes of arrays --------------------------------------------------------------------------------
#
# The shapes of arrays -> numbers for the letters of the sizes, or what does not fit.


def deduce_sizes(
    given: Mapping[str, tuple[Expression, tuple[int, ...]]], sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return a number for each letter from the variables' shapes and the arrays' shapes, given by name.

    Raises EvaluationError naming the variable, its declared shape, what came, and the sizes in conflict.
    """
    origins = {letter: f"{letter} = {number} in sizes" for letter, number in (sizes or {}).items()}
    numbers = {letter: int(number) for letter, number in (sizes or {}).items()}
    equations = [
        (size, number, name)
        for name, (variable, shape) in given.items()
        for size, number in zip(variable.squeezed_shape, fit_shape(name, variable, shape), strict=True)
    ]
    while equations:
        later = [equation for equation in equations if not _solve(*equation, given, numbers, origins)]
        if len(later) == len(equations):
            break
        equations = later
    return numbers


def fit_shape(name: str, variable: Expression, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return an array's shape without the unit axes of the variable."""
    plain, held = variable.squeezed_shape, variable.shape
    if len(shape) == len(plain):
        return shape
    if not plain and math.prod(shape) == 1:
        return ()
    units_fit = all(number == 1 for size, number in zip(held, shape, strict=False) if size.is_unit)
    if len(shape) == len(held) and units_fit:
        return tuple(number for size, number in zip(held, shape, strict=True) if not size.is_unit)
    raise EvaluationError(_write_misfit(name, variable, shape), advice=_advise(name, variable))


def _write_misfit(name: str, variable: Expression, shape: tuple[int, ...]) -> str:
    came = "a single number" if not shape else f"shape {shape}"
    declared = write_shape(variable.squeezed_shape)
    return f"{name} is {'a ' if declared == 'scalar' else ''}{declared}, but its value has {came}"


def _advise(name: str, variable: Expression) -> str:
    if variable.is_column:
        size = variable.shape[0]
        return f"give {name} the shape ({size},) or ({size}, 1)"
    return f"give {name} the shape {write_shape(variable.squeezed_shape)}"


def _solve(
    size: Size, number: int, name: str,
    given: Mapping[str, tuple[Expression, tuple[int, ...]]], numbers: dict[str, int], origins: dict[str, str],
) -> bool:  # fmt: skip
    """Use one axis: check its size where all letters are known, find the only unknown letter; else return False."""
    unknown = [letter for letter in size.base_letters if letter not in numbers]
    if len(unknown) > 1:
        return False
    if triangle := _TRIANGLE.fullmatch(str(size)):
        rows = (math.isqrt(8 * number + 1) - 1) // 2
        if rows * (rows + 1) == 2 * number:
            return _solve(Size.of(triangle[1]), rows, name, given, numbers, origins)
        raise EvaluationError(f"{_write_misfit(name, *given[name])}: {size} cannot be {number}")
    if any(map(_is_sum, size.letters)):
        return _solve_sum(size, number, name, unknown, given, numbers, origins)
    rest = math.prod((numbers[letter] for letter in size.letters if letter in numbers), start=size.number)
    if number % rest or (not unknown and number != rest):
        variable, shape = given[name]
        known = "; ".join(origins[letter] for letter in dict.fromkeys(size.letters) if letter in numbers)
        reason = f"{_write_misfit(name, variable, shape)}: {size} cannot be {number}"
        raise EvaluationError(f"{reason} when {known}" if known else reason)
    for letter in unknown:
        numbers[letter] = number // rest
        origins[letter] = f"{letter} = {number // rest} from {name}"
    return True


def _solve_sum(
    size: Size, number: int, name: str, unknown: list[str],
    given: Mapping[str, tuple[Expression, tuple[int, ...]]], numbers: dict[str, int], origins: dict[str, str],
) -> bool:  # fmt: skip
    """Check n - 1 where n is known, find it where it is not; return False where that cannot be done yet."""
    value = number
    if unknown:
        found = size.isolate(unknown[0])
        if found is None:
            return False
        sign, rest = found
        value = sign * (number - rest.evaluate(numbers))
        if value >= 1:
            numbers[unknown[0]] = value
            origins[unknown[0]] = f"{unknown[0]} = {value} from {name}"
    if (unknown and value < 1) or size.evaluate(numbers) != number:
        known = "; ".join(origins[letter] for letter in dict.fromkeys(size.base_letters) if letter in origins)
        reason = f"{_write_misfit(name, *given[name])}: {size} cannot be {number}"
        raise EvaluationError(f"{reason} when {known}" if known else reason)
    return True
