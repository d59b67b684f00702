"""Ratios of a claim to the truth at several points -> one factor: a number, or a formula in sizes and other scalars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import combinations, product

from matcalc.language.expression import (
    Expression,
    add,
    call,
    constant,
    divide,
    multiply,
    number,
    power,
    size_value,
    subtract,
)
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import SCALAR, Size
from matcalc.language.text_to_expression import choose_book

LARGEST_DENOMINATOR = 360
LARGEST_COEFFICIENT = 12
MOST_SCALARS = 8
HALF = Fraction(1, 2)

Base = tuple[Expression, Fraction]
_Valued = tuple[tuple[Base, ...], tuple[float, ...]]


@dataclass(frozen=True)
class ClaimFactor:
    """coefficient * base**exponent * ..., the bases being scalars; a float is a coefficient that has no name."""

    coefficient: Fraction | float
    bases: tuple[Base, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether the coefficient is known exactly."""
        return isinstance(self.coefficient, Fraction)

    @property
    def value(self) -> int | float | str:
        """The number, or the text of what is no number."""
        if self.bases:
            return to_text(self.expression)
        return int(self.coefficient) if self.coefficient == int(self.coefficient) else float(self.coefficient)

    @property
    def expression(self) -> Expression:
        """The formula, as a quotient: 2*n/sqrt(m)."""
        coefficient = Fraction(self.coefficient)
        above = [base for base in self.bases if base[1] > 0]
        below = [(base, -exponent) for base, exponent in self.bases if exponent < 0]
        over, under = coefficient.numerator, coefficient.denominator
        top = [number(over)] if over != 1 or not above else []
        bottom = [number(under)] if under != 1 else []
        whole = _join([*top, *(_raise(*base) for base in above)])
        parts = [*bottom, *(_raise(*base) for base in below)]
        return divide(whole, _join(parts)) if parts else whole

    def invert(self) -> ClaimFactor:
        """Return 1 over it."""
        return ClaimFactor(1 / self.coefficient, tuple((base, -exponent) for base, exponent in self.bases))

    def apply(self, formula: Expression) -> Expression:
        """Return the formula times the factor, written without a 1 and with the number first."""
        if not self.bases and self.coefficient == 1:
            return formula
        return multiply(self.expression, formula)


def _raise(base: Expression, exponent: Fraction) -> Expression:
    if exponent == 1:
        return base
    if exponent == HALF:
        return call(choose_book(None)["sqrt"], (base,), SCALAR)
    return power(base, number(exponent))


def _join(parts: Sequence[Expression]) -> Expression:
    return reduce(multiply, parts)


def find_factor(
    ratios: Sequence[float],
    sizes: Sequence[Mapping[str, int]],
    tolerance: float = 1e-8,
    scalars: Sequence[tuple[Expression, Sequence[float]]] = (),
) -> ClaimFactor | None:
    """Return the one factor that explains the ratios found at points of these sizes, or None.

    `scalars` are what else it may be a power of, with their values at the points.

    >>> find_factor([0.5, 0.5], [{"n": 2}, {"n": 3}]).value
    0.5
    >>> find_factor([3, 5, 7], [{"n": 3, "m": 2}, {"n": 5, "m": 3}, {"n": 7, "m": 5}]).value
    'n'
    >>> find_factor([3 / 2, 5 / 4, 7 / 6], [{"n": 3}, {"n": 5}, {"n": 7}]).value
    'n/(n - 1)'
    >>> find_factor([3**-0.5, 5**-0.5], [{"n": 3}, {"n": 5}]).invert().value
    'sqrt(n)'
    """
    if all(abs(ratio - ratios[0]) <= tolerance * abs(ratios[0]) for ratio in ratios):
        return name_number(ratios[0], tolerance)
    for bases, values in (*_list_monomials(sizes), *_list_powers(scalars)):
        if not all(values) or not all(map(math.isfinite, values)):
            continue
        rest = [ratio / value for ratio, value in zip(ratios, values, strict=True)]
        if all(abs(one - rest[0]) <= tolerance * abs(one) for one in rest):
            coefficient = name_number(rest[0], tolerance)
            number, more = coefficient.coefficient, coefficient.bases
            if isinstance(number, Fraction) and max(abs(number.numerator), number.denominator) <= LARGEST_COEFFICIENT:
                return ClaimFactor(number, (*more, *bases))
    return None


def name_number(ratio: float, tolerance: float) -> ClaimFactor:
    """Return a number as a simple fraction, or one beside pi or a root, where it nearly is one; else as it stands.

    >>> name_number(2**-0.5, 1e-8).value, name_number(0.1234, 1e-8).value
    ('1/sqrt(2)', 0.1234)
    """
    pi = constant("pi")
    known: list[tuple[float, tuple[Base, ...], int]] = [
        (1.0, (), LARGEST_DENOMINATOR), (math.pi, ((pi, Fraction(1)),), LARGEST_COEFFICIENT),
        (1 / math.pi, ((pi, Fraction(-1)),), LARGEST_COEFFICIENT),
    ]  # fmt: skip
    for value, bases, most in known:
        near = Fraction(ratio / value).limit_denominator(most)
        if near and abs(float(near) * value - ratio) <= tolerance * abs(ratio):
            return ClaimFactor(near, bases)
    square = Fraction(ratio * ratio).limit_denominator(LARGEST_DENOMINATOR)
    over, under = square.numerator, square.denominator
    if over and max(over, under) <= LARGEST_DENOMINATOR and abs(float(square) - ratio * ratio) <= tolerance * ratio**2:
        roots = tuple((number(part), sign * HALF) for part, sign in ((over, 1), (under, -1)) if part != 1)
        return ClaimFactor(Fraction(1 if ratio > 0 else -1), roots)
    return ClaimFactor(ratio)


def _list_monomials(sizes: Sequence[Mapping[str, int]]) -> Iterator[_Valued]:
    """Yield products of powers of the sizes, the plainest first, with their values at the points."""
    letters = list(sizes[0])
    plain = {letter: size_value(Size.of(letter)) for letter in letters}
    beside = {
        (letter, shift): (subtract if shift < 0 else add)(plain[letter], number(1))
        for letter, shift in product(letters, (-1, 1))
    }

    def give(*atoms: tuple[str, int, int | Fraction]) -> _Valued:
        bases = tuple(
            (beside[letter, shift] if shift else plain[letter], Fraction(exponent)) for letter, shift, exponent in atoms
        )
        values = tuple(
            math.prod(
                float(numbers[letter] + shift) ** float(exponent) if numbers[letter] + shift else 0.0
                for letter, shift, exponent in atoms
            )
            for numbers in sizes
        )
        return bases, values

    for letter, exponent in product(letters, (1, -1, 2, -2)):
        yield give((letter, 0, exponent))
    for count in (2, 3):
        for chosen in combinations(letters, count):
            for signs in product((1, -1), repeat=count):
                yield give(*((letter, 0, sign) for letter, sign in zip(chosen, signs, strict=True)))
    for letter, shift, exponent in product(letters, (-1, 1), (1, -1)):
        yield give((letter, shift, exponent))
        for other in letters:
            yield give((other, 0, -exponent), (letter, shift, exponent))
            yield give((other, 0, exponent), (letter, shift, exponent))
    for letter, root in product(letters, (HALF, -HALF, 3 * HALF, -3 * HALF)):
        yield give((letter, 0, root))
    for letter, other in combinations(letters, 2):
        for one, two in product((HALF, -HALF), repeat=2):
            yield give((letter, 0, one), (other, 0, two))


def _list_powers(scalars: Sequence[tuple[Expression, Sequence[float]]]) -> Iterator[_Valued]:
    whole = [(node, values) for node, values in scalars if all(values)]
    for (node, values), exponent in product(whole, (1, -1, 2, -2)):
        yield ((node, Fraction(exponent)),), tuple(value**exponent for value in values)
    for (node, values), (other, more) in combinations(whole[:MOST_SCALARS], 2):
        for one, two in product((1, -1), repeat=2):
            bases = ((node, Fraction(one)), (other, Fraction(two)))
            yield bases, tuple(value**one * beside**two for value, beside in zip(values, more, strict=True))
