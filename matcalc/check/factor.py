"""Ratios of claim to truth at several points -> one factor: a number, or a text in the sizes such as "n" or "2/m"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product

LARGEST_DENOMINATOR = 360
LARGEST_COEFFICIENT = 12


@dataclass(frozen=True)
class Atom:
    """A size or its neighbour, n, n - 1 or n + 1, with its exponent."""

    letter: str
    shift: int
    exponent: int = 1

    def value(self, sizes: Mapping[str, int]) -> float:
        """Return its value, 0 where it has none."""
        base = sizes[self.letter] + self.shift
        return float(base) ** self.exponent if base else 0.0

    def __str__(self) -> str:
        sign = "+" if self.shift > 0 else "-"
        base = f"({self.letter} {sign} {abs(self.shift)})" if self.shift else self.letter
        return base if abs(self.exponent) == 1 else f"{base}**{abs(self.exponent)}"


def name_factor(
    ratios: Sequence[float], sizes: Sequence[Mapping[str, int]], tolerance: float = 1e-8
) -> int | float | str | None:
    """Return the one factor that explains the ratios found at points of these sizes, or None.

    >>> name_factor([0.5, 0.5], [{"n": 2}, {"n": 3}])
    0.5
    >>> name_factor([3, 5, 7], [{"n": 3, "m": 2}, {"n": 5, "m": 3}, {"n": 7, "m": 5}])
    'n'
    >>> name_factor([3 / 2, 5 / 4, 7 / 6], [{"n": 3}, {"n": 5}, {"n": 7}])
    'n/(n - 1)'
    """
    if _is_constant(ratios, tolerance):
        return _round(ratios[0], tolerance)
    letters = list(sizes[0])
    for atoms in _list_monomials(letters):
        values = [_evaluate(atoms, numbers) for numbers in sizes]
        if not all(values):
            continue
        rest = [ratio / value for ratio, value in zip(ratios, values, strict=True)]
        coefficient = Fraction(rest[0]).limit_denominator(LARGEST_COEFFICIENT)
        small = 0 < abs(coefficient.numerator) <= LARGEST_COEFFICIENT
        if small and all(abs(one - coefficient) <= tolerance * abs(one) for one in rest):
            return _write(coefficient, atoms)
    return None


def _is_constant(ratios: Sequence[float], tolerance: float) -> bool:
    return all(abs(ratio - ratios[0]) <= tolerance * abs(ratios[0]) for ratio in ratios)


def _round(ratio: float, tolerance: float) -> int | float:
    """Return the simple fraction that the ratio nearly is, or the ratio itself."""
    near = Fraction(ratio).limit_denominator(LARGEST_DENOMINATOR)
    if abs(float(near) - ratio) > tolerance * abs(ratio):
        return ratio
    return near.numerator if near.denominator == 1 else float(near)


def _list_monomials(letters: Sequence[str]) -> Iterator[tuple[Atom, ...]]:
    """Yield products of powers of the sizes, the plainest first."""
    for letter, exponent in product(letters, (1, -1, 2, -2)):
        yield (Atom(letter, 0, exponent),)
    for count in (2, 3):
        for chosen in combinations(letters, count):
            for signs in product((1, -1), repeat=count):
                yield tuple(Atom(letter, 0, sign) for letter, sign in zip(chosen, signs, strict=True))
    for letter, shift, exponent in product(letters, (-1, 1), (1, -1)):
        yield (Atom(letter, shift, exponent),)
        for other in letters:
            yield (Atom(other, 0, -exponent), Atom(letter, shift, exponent))
            yield (Atom(other, 0, exponent), Atom(letter, shift, exponent))


def _evaluate(atoms: tuple[Atom, ...], sizes: Mapping[str, int]) -> float:
    total = 1.0
    for atom in atoms:
        total *= atom.value(sizes)
    return total


def _write(coefficient: Fraction, atoms: tuple[Atom, ...]) -> str:
    above = [str(atom) for atom in atoms if atom.exponent > 0]
    below = [str(atom) for atom in atoms if atom.exponent < 0]
    number = abs(coefficient)
    above = ([str(number.numerator)] if number.numerator != 1 or not above else []) + above
    below = ([str(number.denominator)] if number.denominator != 1 else []) + below
    top = "*".join(above)
    if not below:
        top = top[1:-1] if len(above) == 1 and top.startswith("(") and top.endswith(")") else top
    bottom = "*".join(below) if len(below) < 2 else f"({'*'.join(below)})"
    return ("-" if coefficient < 0 else "") + (f"{top}/{bottom}" if below else top)
