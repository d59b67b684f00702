"""Numbers of a text: exact, and bounded before anything is computed with them."""

from __future__ import annotations

import re
from fractions import Fraction

from matcalc.errors import LimitError, ParseError
from matcalc.language.draft import Draft

MOST_DIGITS = 300
LARGEST_EXPONENT = 10_000

Span = tuple[int, int]


def read_number(text: str, value: int | float, span: Span) -> Fraction:
    """Return the exact value of a literal; raises LimitError for more than 300 digits or a huge exponent.

    >>> read_number("0.1", 0.1, (0, 3))
    Fraction(1, 10)
    """
    if isinstance(value, float):
        exponent = re.search(r"[eE]([+-]?\d+)$", text.replace("_", ""))
        if len(text) > MOST_DIGITS or (exponent and abs(int(exponent.group(1)[:9])) > MOST_DIGITS):
            raise _refuse(span)
        return Fraction(text.replace("_", ""))
    return bound_value(Fraction(value), span)


def bound_value(value: Fraction, span: Span) -> Fraction:
    """Return the value; raises LimitError where it has more than 300 digits."""
    if max(abs(value.numerator).bit_length(), value.denominator.bit_length()) > MOST_DIGITS * 10 // 3:
        raise _refuse(span)
    return value


def _refuse(span: Span) -> LimitError:
    return LimitError(f"the number has more than {MOST_DIGITS} digits", span=span, advice="use a name for it")


def compute_value(op: str, left: Draft, right: Draft, span: Span) -> Fraction | None:
    """Return the value of left op right where it is a number; raises for 1/0 and for powers beyond the bound."""
    if op == "power":
        return _compute_power(left.value, right.value, span)
    if op == "divide" and right.value == 0:
        raise ParseError("division by zero", span=span)
    if left.value is None or right.value is None:
        return None
    if op == "add":
        return bound_value(left.value + right.value, span)
    if op == "subtract":
        return bound_value(left.value - right.value, span)
    return bound_value(left.value * right.value if op == "multiply" else left.value / right.value, span)


def _compute_power(base: Fraction | None, exponent: Fraction | None, span: Span) -> Fraction | None:
    if exponent is None:
        return None
    if abs(exponent) > LARGEST_EXPONENT:
        raise LimitError(f"the exponent is beyond {LARGEST_EXPONENT}", span=span, advice="use a name for it")
    if base is None:
        return None
    if base == 0 and exponent < 0:
        raise ParseError("division by zero", span=span)
    if exponent.denominator != 1:
        return None
    bits = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent) > MOST_DIGITS * 10 // 3:
        raise _refuse(span)
    return bound_value(base**exponent.numerator, span)
