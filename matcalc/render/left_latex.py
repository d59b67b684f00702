r"""The left side of an answer in LaTeX: \frac{\partial Y}{\partial X}, and the formula of one entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from matcalc.engine.index_to_matrix import einsum_terms
from matcalc.engine.layout import Axis, arrange
from matcalc.engine.result import Result
from matcalc.language.expression import Expression
from matcalc.render.index_letters import avoid_sizes
from matcalc.render.latex_names import write_name
from matcalc.render.latex_templates import enclose
from matcalc.render.to_latex import to_latex


def write_left_side(own: str, by: Sequence[str], layout: str = "") -> str:
    r"""Return the derivative of `own` by one variable after the other as a fraction; by none it is `own` itself.

    >>> print(write_left_side("f", ["x", "x", "y"]))
    \frac{\partial^{3} f}{\partial x^{2} \, \partial y}
    >>> print(write_left_side("Y", ["X"], "vec"))
    \frac{\partial \, \mathrm{vec}(Y)}{\partial \, \mathrm{vec}(X)^\top}
    """
    if layout == "vec" and by:
        earlier = write_left_side(own, by[:-1])
        above, below = (f"\\partial \\, \\mathrm{{vec}}({text})" for text in (earlier, write_name(by[-1])))
        return f"\\frac{{{above}}}{{{below}^\\top}}"
    return _write_fraction(write_name(own), by, write_name)


def _write_fraction(above: str, by: Sequence[str], write: Callable[[str], str]) -> str:
    if not by:
        return above
    runs = [(name, len(list(run))) for name, run in groupby(by)]
    below = " \\, ".join(f"\\partial {write(name)}{_write_order(count)}" for name, count in runs)
    return f"\\frac{{\\partial{_write_order(len(by))} {above}}}{{{below}}}"


def _write_order(count: int) -> str:
    return f"^{{{count}}}" if count > 1 else ""


# --- entries --------------------------------------------------------------------------------------


def write_entries_latex(result: Result, name: str) -> str:
    r"""Return the formula of one entry: \frac{\partial Y_{i j}}{\partial X_{a b}} = A_{i a} B_{b j}.

    Raises LimitError for what has more than 100,000 characters.
    """
    axes = arrange(result.axes, "torch")
    letters = "".join(result.letters[axis] for axis in axes)
    return f"{_write_entry(result, name)} = {_write_terms(result, letters)}"


def _write_entry(result: Result, name: str) -> str:
    def place(word: str, axes: Sequence[Axis]) -> str:
        inside = " ".join(result.letters[axis] for axis in axes)
        written = write_name(word)
        if not inside:
            return written
        return f"{written}_{{{inside}}}" if "_" not in written else f"({written})_{{{inside}}}"

    own = place(name, [axis for axis in result.axes if axis.of == "result"])
    by = [
        place(wrt.name, [axis for axis in result.axes if axis.of == "wrt" and axis.order == order])
        for order, wrt in enumerate(result.by, 1)
    ]
    return _write_fraction(own, by, str)


def _write_terms(result: Result, letters: str) -> str:
    """The terms of the right side, signs between them."""
    text = ""
    for coefficient, above, below, einsum in einsum_terms(result.reader, result.node, letters):
        factors = [_bracket(item) for item in above] + (_write_factors(einsum, letters) if einsum else [])
        number, divisor = abs(coefficient).numerator, abs(coefficient).denominator
        factors = ([str(number)] if number != 1 or not factors else []) + factors
        divisors = ([str(divisor)] if divisor != 1 else []) + [_bracket(item) for item in below]
        term = " ".join(factors)
        term = f"\\frac{{{term}}}{{{' '.join(divisors)}}}" if divisors else term
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {term}" if text else ("-" if sign == "-" else "") + term
    return text or "0"


def _write_factors(einsum: Expression, letters: str) -> list[str]:
    """The factors of one einsum term as entries; what is summed stands under a sign in front."""
    inputs, output = avoid_sizes(einsum, letters).split("->")
    pairs = zip(inputs.split(","), einsum.args, strict=True)
    factors = [_place(operand, word) for word, operand in pairs if not _is_ones(operand)]
    summed = sorted(set(inputs) - set(output) - {","})
    body = " ".join(factors) or "1"
    return [f"\\sum_{{{' '.join(summed)}}} {body}"] if summed else factors


def _place(operand: Expression, word: str) -> str:
    """One factor with its indices; the unit matrix is Kronecker's delta."""
    if operand.op == "filled" and operand.name == "eye":
        return f"\\delta_{{{' '.join(word)}}}"
    if not word:
        return _bracket(operand)
    latex = to_latex(operand)
    # A text that ends in an index of its own would get a second one.
    is_plain = re.fullmatch(r"\w|\\[A-Za-z]+|\\\w+\{\w+\}", latex) or (latex[-1] == ")" and "_" not in latex)
    named = operand.op in ("symbol", "call", "abstract")
    return f"{latex if is_plain and named else enclose(latex)}_{{{' '.join(word)}}}"


def _is_ones(operand: Expression) -> bool:
    return operand.op == "filled" and operand.name == "ones"


def _bracket(scalar: Expression) -> str:
    latex = to_latex(scalar)
    plain = scalar.op in {"symbol", "call", "number", "size", "constant", "power", "abstract"}
    return latex if plain else enclose(latex)
