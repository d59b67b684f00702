"""The tower of the exact proof: quotients cancelled, signs, roots and logarithms by their laws."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
import sympy
from sympy.polys.rings import PolyElement

from matcalc.check.exact import has_counts
from matcalc.check.exact_field import Tower, is_contradiction
from matcalc.check.exact_functions import find_parity
from matcalc.check.exact_generators import Budget, FreeEntry
from matcalc.language.expression import walk
from matcalc.language.text_to_expression import parse


def build(*positive: bool) -> tuple[Tower, list[PolyElement]]:
    """A tower with one entry for each, positive or not."""
    tower = Tower(20, Budget(10**6, time.monotonic() + 600))
    entries = [FreeEntry("x", place, positive=one) for place, one in enumerate(positive)]
    return tower, [tower.element(tower.add(entry)) for entry in entries]


def test_a_sum_below_a_fraction_bar_cancels() -> None:
    tower, (x, y) = build(False, False)
    total, inverse = x + y, tower.invert(x + y)
    assert tower.cancel(tower.multiply(total * total, inverse)) == total
    assert tower.cancel(tower.multiply(x * total, tower.power(inverse, 2))) == tower.multiply(x, inverse)
    assert tower.cancel(tower.multiply(x, inverse)) == tower.multiply(x, inverse)
    assert tower.cancel(tower.multiply(x * x + y * y, inverse)) == tower.multiply(x * x + y * y, inverse)


def test_the_sign_of_what_is_positive_is_one() -> None:
    tower, (x, y) = build(True, False)
    assert tower.sign(x) == tower.one
    assert tower.sign(x * y) == tower.sign(y)
    assert tower.sign(-x) == -tower.one


def test_the_logarithm_of_a_root_is_a_part_of_the_logarithm() -> None:
    tower, (x,) = build(True)
    root = tower.take_root(x + 1, Fraction(1, 3))
    assert 3 * tower.log(root) == tower.log(x + 1)


def test_a_sum_is_raised_to_whole_powers() -> None:
    tower, (x, y) = build(False, False)
    assert [tower.power(x + y, exponent) for exponent in (0, 1, 3)] == [tower.one, x + y, (x + y) ** 3]
    assert tower.multiply(tower.power(x + y, -1), x + y) != tower.zero


def test_what_cannot_both_be_positive_is_a_contradiction() -> None:
    tower, (x, y) = build(False, False)
    assert is_contradiction([x], [-x])
    assert is_contradiction([x - 1], [-x - 1])
    assert not is_contradiction([x], [1 - x])
    assert not is_contradiction([x], [tower.constant(Fraction(1, 2)) - x])
    assert not is_contradiction([x], [-x - y])
    assert not is_contradiction([x], [y])


@pytest.mark.parametrize(("function", "parity"), [(sympy.sin, -1), (sympy.cos, 1), (sympy.exp, 0), (sympy.erf, -1)])
def test_parity_of_a_function_is_known(function: type[sympy.Function], parity: int) -> None:
    assert find_parity(function) == parity


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("x.T @ x", False),
        ("sum(ones(n)*x)", False),
        ("x.T @ eye(n) @ x", False),
        ("n*x", True),
        ("x/size(x)", True),
        ("trace(eye(n))*x", True),
    ],
)
def test_sizes_that_count_as_numbers_are_found(text: str, counts: bool) -> None:
    assert has_counts(walk(parse(text, shapes={"x": ("n",)}).expressions[0])) is counts
