"""The derivative entry by entry and as einsum: the views that exist for every rank."""

from __future__ import annotations

from matcalc.engine.index_to_matrix import einsum_terms, read_einsum
from matcalc.engine.layout import Axis, arrange
from matcalc.engine.result import Result
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import avoid_sizes, to_text


def write_einsum(result: Result, layout: str) -> str:
    """The derivative in a layout as a sum of einsum terms; a scalar as it stands."""
    if not result.node.rank:
        return to_text(result.expression(layout))
    node, axes = result.arranged(layout)
    return to_text(read_einsum(result.reader, node, "".join(result.letters[axis] for axis in axes)))


def write_entries(result: Result, name: str) -> str:
    """The formula of one entry, in the letters of the einsum: dY[i,j]/dX[a,b] = A[i,a]*B[b,j]."""
    axes = arrange(result.axes, "torch")
    letters = "".join(result.letters[axis] for axis in axes)
    right = _write_terms(result, letters)
    return f"{_left_side(result, name)} = {right}"


def _left_side(result: Result, name: str) -> str:
    """dY[i,j]/dX[a,b], or d2f/(dx[a] dx[b])."""

    def entry(word: str, axes: list[Axis]) -> str:
        inside = ",".join(result.letters[axis] for axis in axes)
        return f"{word}[{inside}]" if inside else word

    own = [axis for axis in result.axes if axis.of == "result"]
    by = [
        entry(f"d{wrt.name}", [axis for axis in result.axes if axis.of == "wrt" and axis.order == k])
        for k, wrt in enumerate(result.by, 1)
    ]
    above = entry("d" if result.order == 1 else f"d{result.order}", []) + entry(name, own)
    return f"{above}/{by[0]}" if result.order == 1 else f"{above}/({' '.join(by)})"


def _write_terms(result: Result, letters: str) -> str:
    """The terms of the right side, signs between them."""
    text = ""
    for coefficient, above, below, einsum in einsum_terms(result.reader, result.node, letters):
        factors = [_bracketed(item) for item in above] + (_entry_factors(einsum, letters) if einsum else [])
        number = abs(coefficient)
        if number.numerator != 1 or not factors:
            factors.insert(0, str(number.numerator))
        divisors = ([str(number.denominator)] if number.denominator != 1 else []) + [_bracketed(item) for item in below]
        term = "*".join(factors)
        if divisors:
            term += "/" + (divisors[0] if len(divisors) == 1 else f"({'*'.join(divisors)})")
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {term}" if text else ("-" if sign == "-" else "") + term
    return text or "0"


def _entry_factors(einsum: Expression, letters: str) -> list[str]:
    """The factors of one einsum term as entries: A[i,a], delta(j,b); summed letters are named in front."""
    inputs, output = avoid_sizes(einsum, letters).split("->")
    words = inputs.split(",")
    factors = []
    for word, operand in zip(words, einsum.args, strict=True):
        if operand.op == "filled" and operand.name == "eye":
            factors.append(f"delta({','.join(word)})")
        elif not (operand.op == "filled" and operand.name == "ones"):
            factors.append(f"{_bracketed(operand)}[{','.join(word)}]")
    summed = sorted(set(inputs) - set(output) - {","})
    body = "*".join(factors) or "1"
    return [f"sum_{''.join(summed)}({body})"] if summed else ([body] if factors else [])


def _bracketed(operand: Expression) -> str:
    """A factor with brackets where it is more than a name or a call."""
    text = to_text(operand)
    plain = operand.op in {"symbol", "call", "abstract", "filled", "number", "size", "constant", "transpose"}
    return text if plain or (operand.op == "power" and operand.is_scalar) else f"({text})"
