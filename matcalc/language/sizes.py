"""Sizes of axes: letters, numbers and their products, equal to the text a reader would write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any

from matcalc.errors import DeclarationError

_LARGEST_SIZE = 10**12


class Size:
    """The number of entries along one axis: a product of letters and a number, such as m*p or 3.

    A size equals its text, so `d.shape == ("m", "n")` holds; the order of factors does not matter.

    >>> Size.of("m") * Size.of("p") == "p*m"
    True
    >>> Size.of(3) * Size.of("n")
    3*n
    """

    __slots__ = ("letters", "number", "_key", "_hash")

    def __init__(self, letters: tuple[str, ...], number: int = 1) -> None:
        self.letters = letters
        self.number = number
        self._key: Any = (tuple(sorted(letters)), number)
        if not letters:
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
        letters: list[str] = []
        number = 1
        for part in str(value).replace(" ", "").split("*"):
            if part.isdigit():
                number *= int(part)
            else:
                letters.append(part)
        return cls(tuple(letters), number)

    @property
    def is_unit(self) -> bool:
        """Whether the size is the number 1, an axis that results drop."""
        return not self.letters and self.number == 1

    def __mul__(self, other: Size) -> Size:
        return Size(self.letters + other.letters, self.number * other.number)

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
        return "*".join(([str(self.number)] if self.number != 1 else []) + list(self.letters))

    def _sympy_(self) -> Any:
        import sympy

        letters = [sympy.Symbol(letter, integer=True, positive=True) for letter in self.letters]
        return sympy.Mul(self.number, *letters)

    def value(self, numbers: Mapping[str, int]) -> int:
        """Return the number of entries once each letter has a number."""
        return reduce(lambda product, letter: product * numbers[letter], self.letters, self.number)


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
