"""Counts as polynomials in the sizes: m*n + 2*m*k multiplications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import mul

from matcalc.errors import DeclarationError
from matcalc.language.sizes import UNIT, Shape, Size

Terms = tuple[tuple[tuple[str, ...], int], ...]


@dataclass(frozen=True)
class Polynomial:
    """A sum of products of size letters with whole coefficients, none of them negative.

    >>> m, n = Polynomial.of(Size.of("m")), Polynomial.of(Size.of("n"))
    >>> print(m * n + 2 * m * m + m * n)
    2*m**2 + 2*m*n
    """

    terms: Terms = ()

    @classmethod
    def of(cls, value: Size | int) -> Polynomial:
        """Return the polynomial of one size or one number."""
        size = Size.of(value)
        return cls._collect([(tuple(sorted(size.letters)), size.number)])

    @classmethod
    def of_shape(cls, shape: Shape) -> Polynomial:
        """Return the number of entries of an array of a shape."""
        return cls.of(reduce(mul, shape, UNIT))

    @classmethod
    def _collect(cls, terms: Iterable[tuple[tuple[str, ...], int]]) -> Polynomial:
        found: dict[tuple[str, ...], int] = {}
        for letters, number in terms:
            found[letters] = found.get(letters, 0) + number
        return cls(tuple((letters, number) for letters, number in found.items() if number))

    def __add__(self, other: Polynomial) -> Polynomial:
        return self._collect((*self.terms, *other.terms))

    def __mul__(self, other: Polynomial | int) -> Polynomial:
        right = other if isinstance(other, Polynomial) else Polynomial.of(other)
        return self._collect((tuple(sorted(a + b)), c * d) for a, c in self.terms for b, d in right.terms)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and dict(self.terms) == dict(other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms))

    def __str__(self) -> str:
        ordered = sorted(self.terms, key=lambda term: (-len(term[0]), term[0]))
        return " + ".join(_write_term(letters, number) for letters, number in ordered) or "0"

    def value(self, sizes: Mapping[str, int]) -> int:
        """Return the number for given sizes; raises DeclarationError for a letter without one."""
        missing = sorted({letter for letters, _ in self.terms for letter in letters if letter not in sizes})
        if missing:
            raise DeclarationError(f"the size {missing[0]} has no number", advice=f'add it, as in "{missing[0]}=3"')
        return sum(reduce(mul, (sizes[letter] for letter in letters), number) for letters, number in self.terms)

    def is_at_most(self, other: Polynomial) -> bool:
        """Whether it is not larger for any sizes from 1 on, as far as comparing term by term can tell.

        >>> Polynomial.of(Size.of("m")).is_at_most(Polynomial.of(Size.of("m*n")))
        True
        """
        room = dict(other.terms)
        for letters, number in sorted(self.terms, key=lambda term: -len(term[0])):
            for larger in sorted(room, key=len):
                if number and _contains(larger, letters):
                    used = min(number, room[larger])
                    room[larger] -= used
                    number -= used
            if number:
                return False
        return True


def sum_polynomials(parts: Iterable[Polynomial]) -> Polynomial:
    """Return the sum of any number of polynomials."""
    return reduce(lambda left, right: left + right, parts, Polynomial())


@dataclass(frozen=True)
class Peak:
    """The largest of several counts; those that are never the largest are left out."""

    candidates: tuple[Polynomial, ...]

    @classmethod
    def of(cls, counts: Iterable[Polynomial]) -> Peak:
        """Return the largest of the counts."""
        kept: list[Polynomial] = []
        for count in counts:
            if not any(count.is_at_most(other) for other in kept):
                kept = [other for other in kept if not other.is_at_most(count)] + [count]
        return cls(tuple(kept))

    def __str__(self) -> str:
        texts = [str(candidate) for candidate in self.candidates]
        return f"max({', '.join(texts)})" if len(texts) > 1 else (texts or ["0"])[0]

    def value(self, sizes: Mapping[str, int]) -> int:
        """Return the number for given sizes; raises DeclarationError for a letter without one."""
        return max((candidate.value(sizes) for candidate in self.candidates), default=0)


def _contains(letters: tuple[str, ...], others: tuple[str, ...]) -> bool:
    left = list(letters)
    for letter in others:
        if letter not in left:
            return False
        left.remove(letter)
    return True


def _write_term(letters: tuple[str, ...], number: int) -> str:
    counts = {letter: letters.count(letter) for letter in letters}
    parts = [letter if count == 1 else f"{letter}**{count}" for letter, count in counts.items()]
    return "*".join(([str(number)] if number != 1 or not parts else []) + parts)
