"""Sizes that are not known yet, and what is learnt when two of them must be equal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import gcd

from matcalc.errors import LimitError
from matcalc.language.sizes import UNIT, Size

MOST_FACTORS = 64


class Unknown:
    """A size that is still open; it is never 1, since the number of axes is known from the start."""

    __slots__ = ("bound",)

    def __init__(self) -> None:
        self.bound: Axis | None = None


class Product:
    """A product of sizes of which some are still open, such as the rows of kron(A, B)."""

    __slots__ = ("factors",)

    def __init__(self, factors: tuple[Size | Unknown, ...]) -> None:
        self.factors = factors


Axis = Size | Unknown | Product
Axes = tuple[Axis, ...]


def resolve(axis: Axis) -> Axis:
    """Return what is known of a size by now: a Size, an open Unknown, or a Product with an open factor."""
    while isinstance(axis, Unknown) and axis.bound is not None:
        axis = axis.bound
    return multiply_axes(axis.factors) if isinstance(axis, Product) else axis


def multiply_axes(axes: Iterable[Axis]) -> Axis:
    """Return the product of sizes, in the order given."""
    factors = [factor for axis in axes for factor in list_factors(axis)]
    if all(isinstance(factor, Size) for factor in factors):
        return reduce(lambda a, b: a * b, (f for f in factors if isinstance(f, Size)), UNIT)
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def list_factors(axis: Axis) -> list[Size | Unknown]:
    """Return the factors of a size in order; raises LimitError beyond 64, since kron of kron doubles them."""
    found: list[Size | Unknown] = []
    stack = [axis]
    while stack:
        part = stack.pop()
        while isinstance(part, Unknown) and part.bound is not None:
            part = part.bound
        if isinstance(part, Product):
            stack.extend(reversed(part.factors))
        else:
            found.append(part)
        if len(found) + len(stack) > MOST_FACTORS:
            raise LimitError(f"a size is a product of more than {MOST_FACTORS} sizes")
    return found


def is_unit(axis: Axis) -> bool:
    """Whether the axis is a unit axis; an open size never is."""
    axis = resolve(axis)
    return isinstance(axis, Size) and axis.is_unit


def unify(left: Axis, right: Axis) -> bool:
    """Make two sizes equal and return True, or return False where they cannot be."""
    left, right = resolve(left), resolve(right)
    if left is right:
        return True
    if isinstance(left, Size) and isinstance(right, Size):
        return left == right
    if isinstance(left, Unknown):
        return _bind(left, right)
    if isinstance(right, Unknown):
        return _bind(right, left)
    return _unify_products(list_factors(left), list_factors(right))


def _bind(unknown: Unknown, value: Axis) -> bool:
    if is_unit(value) or (isinstance(value, Product) and unknown in value.factors):
        return False
    unknown.bound = value
    return True


def _unify_products(left: list[Size | Unknown], right: list[Size | Unknown]) -> bool:
    """Cancel what both products have; what is left must be equal one by one, or one open size the rest."""
    left_open, right_open, left_size, right_size = _cancel(left, right)
    if not left_open and not right_open:
        return left_size == right_size
    if len(left_open) == len(right_open) and left_size.is_unit and right_size.is_unit:
        return all(unify(a, b) for a, b in zip(left_open, right_open, strict=True))
    if len(left_open) == 1 and left_size.is_unit:
        return _bind(left_open[0], multiply_axes([right_size, *right_open] if not right_size.is_unit else right_open))
    if len(right_open) == 1 and right_size.is_unit:
        return _bind(right_open[0], multiply_axes([left_size, *left_open] if not left_size.is_unit else left_open))
    return False


def _cancel(left: list[Size | Unknown], right: list[Size | Unknown]) -> tuple[list[Unknown], list[Unknown], Size, Size]:
    left_open = [factor for factor in left if isinstance(factor, Unknown)]
    right_open = [factor for factor in right if isinstance(factor, Unknown)]
    for factor in list(left_open):
        if factor in right_open:
            left_open.remove(factor)
            right_open.remove(factor)
    return left_open, right_open, *_cancel_sizes(_known_part(left), _known_part(right))


def _known_part(factors: list[Size | Unknown]) -> Size:
    return reduce(lambda a, b: a * b, (factor for factor in factors if isinstance(factor, Size)), UNIT)


def _cancel_sizes(left: Size, right: Size) -> tuple[Size, Size]:
    left_letters, right_letters = list(left.letters), list(right.letters)
    for letter in list(left_letters):
        if letter in right_letters:
            left_letters.remove(letter)
            right_letters.remove(letter)
    common = gcd(left.number, right.number)
    return Size(tuple(left_letters), left.number // common), Size(tuple(right_letters), right.number // common)
