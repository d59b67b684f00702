"""Products, contents and derivatives of packed terms against SymPy's own."""

from __future__ import annotations

import random

import pytest
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement, PolyRing

from matcalc.check.exact_products import differentiate_element, list_places, make_primitive, multiply_elements

RING = PolyRing([f"g{place}" for place in range(9)], QQ)


def draw(terms: int, largest: int, seed: int) -> PolyElement:
    choices = random.Random(seed)
    element = RING.zero
    for _ in range(terms):
        monomial = tuple(choices.choice((0, 0, choices.randrange(largest + 1))) for _ in range(9))
        element[monomial] = QQ(choices.choice((-6, -1, 2, 9)), choices.choice((1, 2, 15)))
    return element


@pytest.mark.parametrize("largest", [1, 3, 127, 128, 255, 1000])
@pytest.mark.parametrize("terms", [(1, 1), (1, 9), (3, 3), (20, 30)])
def test_what_is_packed_is_what_sympy_has(terms: tuple[int, int], largest: int) -> None:
    left, right = draw(terms[0], largest, 1), draw(terms[1], largest, 2)
    assert multiply_elements(left, right) == left * right
    assert multiply_elements(left + right, left - right) == left * left - right * right
    assert list_places(right) == [place for place in range(9) if right.degree(RING.gens[place]) > 0]
    for place, generator in enumerate(RING.gens):
        assert differentiate_element(right, place) == right.diff(generator)


@pytest.mark.parametrize("seed", range(5))
def test_a_primitive_sum_has_coprime_whole_coefficients(seed: int) -> None:
    element = draw(7, 3, seed)
    content, primitive = make_primitive(element)
    assert primitive.mul_ground(content) == element
    own, theirs = element.primitive()
    assert (abs(content), primitive) == (own, theirs if theirs.LC > 0 else -theirs)


def test_nothing_has_no_places() -> None:
    assert list_places(RING.zero) == []
    assert not multiply_elements(draw(9, 3, 1), RING.zero)
