"""One factor for the ratios of several points: numbers, sizes, roots, other scalars, and what has no name."""

from __future__ import annotations

from fractions import Fraction

import pytest

from matcalc.check.factors import ClaimFactor, find_factor, name_number
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse

SIZES = [{"m": 2, "n": 3}, {"m": 3, "n": 5}, {"m": 5, "n": 2}, {"m": 7, "n": 11}]

# What the factor is, of sizes m and n, its text and that of its inverse.
NAMED = [
    (lambda m, n: 2.0, 2, "1/2"),
    (lambda m, n: -1 / 3, -1 / 3, "-3"),
    (lambda m, n: 3.141592653589793, "pi", "1/pi"),
    (lambda m, n: 1 / 3.141592653589793, "1/pi", "pi"),
    (lambda m, n: 2**0.5, "sqrt(2)", "1/sqrt(2)"),
    (lambda m, n: -((2 / 3) ** 0.5), "-1*sqrt(2)/sqrt(3)", "-1*sqrt(3)/sqrt(2)"),
    (lambda m, n: n, "n", "1/n"),
    (lambda m, n: 2 / m, "2/m", "1/2*m"),
    (lambda m, n: n * n, "n**2", "1/n**2"),
    (lambda m, n: m / n, "m/n", "n/m"),
    (lambda m, n: 1 / (m * n), "1/(m*n)", "m*n"),
    (lambda m, n: n / (n - 1), "n/(n - 1)", "(n - 1)/n"),
    (lambda m, n: n + 1, "n + 1", "1/(n + 1)"),
    (lambda m, n: n**0.5, "sqrt(n)", "1/sqrt(n)"),
    (lambda m, n: n**-1.5, "1/n**1.5", "n**1.5"),
    (lambda m, n: (m / n) ** 0.5, "sqrt(m)/sqrt(n)", "sqrt(n)/sqrt(m)"),
    (lambda m, n: n**0.5 / 3**0.5, "sqrt(n)/sqrt(3)", "sqrt(3)/sqrt(n)"),
]


@pytest.mark.parametrize(("make", "text", "inverse"), NAMED)
def test_a_factor_and_its_inverse_are_named(make, text, inverse):
    factor = find_factor([make(**sizes) for sizes in SIZES], SIZES)
    assert factor is not None
    assert factor.is_named
    assert factor.value == text if isinstance(text, str) else factor.value == pytest.approx(text)
    turned = factor.invert()
    assert to_text(turned.expression).replace("1/2*m", "m/2") in (inverse, inverse.replace("1/2*m", "m/2"))
    assert turned.invert().expression is factor.expression


def test_a_whole_number_is_one():
    assert repr(name_number(2.0, 1e-8).value) == "2"
    assert repr(name_number(0.5, 1e-8).value) == "0.5"


def test_what_no_formula_explains_has_no_factor():
    assert find_factor([1.0, 2.0, 4.0, 9.0], SIZES) is None
    assert find_factor([2.0, 2.0, 2.0, 2.00001], SIZES) is None


def test_a_number_without_a_name_stays_one():
    factor = name_number(0.1234321, 1e-8)
    assert (factor.is_named, factor.value) == (False, 0.1234321)


def test_other_scalars_are_tried_alone_and_in_pairs():
    a, b = parse(["alpha", "beta"]).expressions
    values = [(a, [0.5, 2.0, 0.3, 0.7]), (b, [1.5, 0.9, 0.2, 1.1])]
    for power in (1, -1, 2, -2):
        ratios = [3 * value**power for value in values[0][1]]
        assert find_factor(ratios, SIZES, scalars=values) == ClaimFactor(Fraction(3), ((a, Fraction(power)),))
    ratios = [one / other for one, other in zip(values[0][1], values[1][1], strict=True)]
    found = find_factor(ratios, SIZES, scalars=values)
    assert found is not None
    assert found.value == "alpha/beta"
    assert find_factor(ratios, SIZES, scalars=[(a, [0.0, 1.0, 1.0, 1.0])]) is None


def test_a_factor_of_one_leaves_a_formula_as_it_is():
    x = parse("x").expressions[0]
    assert ClaimFactor(Fraction(1)).apply(x) is x
    assert to_text(ClaimFactor(Fraction(2, 3)).apply(x)) == "2/3*x"
