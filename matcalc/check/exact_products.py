"""Products of elements with many terms: exponents packed into one whole number each, coefficients made whole.

SymPy adds exponents one by one and multiplies fractions; where it has no GMP that takes nearly all of a proof's time.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import or_
from typing import Any

from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

_FEW_PRODUCTS = 6
# What a byte holds after an addition.
_LARGEST_EXPONENT = 127
_Packed = list[tuple[int, int]]


def multiply_elements(left: Element, right: Element) -> Element:
    """Return left*right, nothing reduced."""
    if len(left) * len(right) <= _FEW_PRODUCTS or max(find_degree(left), find_degree(right)) > _LARGEST_EXPONENT:
        return left * right
    first, below_first = _pack(left)
    second, below_second = _pack(right)
    found: dict[int, int] = {}
    get = found.get
    for exponents, coefficient in first:
        for others, factor in second:
            key = exponents + others
            found[key] = get(key, 0) + coefficient * factor
    return _unpack(found, below_first * below_second, left)


def find_degree(element: Element) -> int:
    """Return the largest exponent."""
    return max(map(max, element), default=0)


def list_places(element: Element) -> list[int]:
    """Return the places of the generators that occur, the lowest first."""
    count = element.ring.ngens
    try:
        packed = reduce(or_, (int.from_bytes(bytes(monomial), "little") for monomial in element), 0)
    except ValueError:  # an exponent is larger than a byte
        return [place for place, top in enumerate(map(max, zip(*element, strict=True))) if top]
    return [place for place, byte in enumerate(packed.to_bytes(count, "little")) if byte]


def make_primitive(element: Element) -> tuple[Any, Element]:
    """Return a number and the multiple of an element with coprime whole coefficients, the leading one positive."""
    above = math.gcd(*(int(coefficient.numerator) for coefficient in element.values()))
    below = math.lcm(*(int(coefficient.denominator) for coefficient in element.values()))
    content = QQ(above if element.LC > 0 else -above, below)
    return content, element if content == 1 else element.quo_ground(content)


def differentiate_element(element: Element, place: int) -> Element:
    """Return the derivative by one generator, all others held."""
    result = element.ring.zero
    for monomial, coefficient in element.items():
        if exponent := monomial[place]:
            result[(*monomial[:place], exponent - 1, *monomial[place + 1 :])] = coefficient * exponent
    return result


def _pack(element: Element) -> tuple[_Packed, int]:
    """Return the terms of a multiple with whole coefficients, a byte for each exponent, and which multiple it is."""
    below = math.lcm(*(int(coefficient.denominator) for coefficient in element.values()))
    whole = (int(coefficient.numerator) * (below // int(coefficient.denominator)) for coefficient in element.values())
    return list(zip((int.from_bytes(bytes(monomial), "little") for monomial in element), whole, strict=True)), below


def _unpack(found: dict[int, int], below: int, like: Element) -> Element:
    """Return the element with these terms, divided by a number."""
    count = like.ring.ngens
    make: Any = QQ.dtype if below == 1 else lambda value: QQ.dtype(value, below)
    product = like.ring.zero
    product.update({tuple(key.to_bytes(count, "little")): make(value) for key, value in found.items() if value})
    return product
