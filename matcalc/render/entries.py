"""The derivative entry by entry: one formula for all, in text, LaTeX and einsum, or each written out in SymPy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matcalc.engine.index_to_matrix import einsum_terms, read_einsum
from matcalc.engine.layout import arrange
from matcalc.engine.result import Result
from matcalc.errors import LimitError, MatcalcError
from matcalc.language.declarations import name_change
from matcalc.language.expression import Expression, collect_letters, collect_sums, symbols
from matcalc.language.expression_to_text import list_indexed_factors, to_text
from matcalc.language.sizes import check_sizes, fit_numbers
from matcalc.language.text_to_expression import rules_in_force
from matcalc.render.latex import enclose, enclose_before_index, to_latex, write_change, write_fraction
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.exact_entries import Entries
    from matcalc.check.exact_field import Tower

MOST_COMPONENTS = 300
_PRODUCTS, _SECONDS, _CAPACITY = 400_000, 10.0, 120


def write_einsum(result: Result, layout: str) -> str:
    """The derivative in a layout as a sum of einsum terms; a scalar as it stands."""
    if not result.node.rank:
        return to_text(result.expression(layout))
    node, axes = result.arranged(layout)
    return to_text(read_einsum(result.reader, node, "".join(result.letters[axis] for axis in axes)))


def write_entries(result: Result, name: str) -> str:
    """The formula of one entry, in the letters of the einsum: dY[i,j]/dX[a,b] = A[i,a]*B[b,j]."""
    own, *by = [_write_entry(word, letters) for word, letters in _list_sides(result, name, "d")]
    order = "" if result.order == 1 else str(result.order)
    below = by[0] if result.order == 1 else f"({' '.join(by)})"
    return f"d{order}{own}/{below} = {_write_terms(result, _TEXT)}"


def write_entries_latex(result: Result, name: str) -> str:
    r"""Return the formula of one entry: \frac{\partial Y_{i j}}{\partial X_{a b}} = A_{i a} B_{b j}.

    Raises LimitError for what has more than 100,000 characters.
    """
    own, *by = [_write_entry_latex(word, letters) for word, letters in _list_sides(result, name)]
    return f"{write_fraction(own, by, str)} = {_write_terms(result, _LATEX)}"


def _list_sides(result: Result, name: str, before: str = "") -> list[tuple[str, str]]:
    """The function and the variables, one differentiation after the other, each with the letters of its axes."""
    names = [name_change(wrt, result.meaning) for wrt in result.by]
    words = [name, *(f"{before}{'' if word.isidentifier() or not before else ' '}{word}" for word in names)]
    return [
        (word, "".join(result.letters[axis] for axis in result.axes if axis.order == order))
        for order, word in enumerate(words)
    ]


def _write_entry(word: str, letters: str) -> str:
    return f"{word}[{','.join(letters)}]" if letters else word


def _write_entry_latex(word: str, letters: str) -> str:
    written = write_change(word)
    if not letters:
        return written
    return f"{written if '_' not in written else f'({written})'}_{{{' '.join(letters)}}}"


@dataclass(frozen=True)
class _Notation:
    """How the parts of a sum of products of entries are written."""

    times: str
    delta: Callable[[str], str]
    scalar: Callable[[Expression], str]
    entry: Callable[[Expression, str], str]
    total: Callable[[str, str], str]  # over which letters, of what
    divide: Callable[[str, list[str]], str]


def _write_terms(result: Result, notation: _Notation) -> str:
    """The terms of the right side, signs between them."""
    letters = "".join(result.letters[axis] for axis in arrange(result.axes, "torch"))
    text = ""
    for coefficient, above, below, einsum in einsum_terms(result.reader, result.node, letters):
        factors = [*map(notation.scalar, above), *(_write_factors(einsum, letters, notation) if einsum else [])]
        number = abs(coefficient)
        if number.numerator != 1 or not factors:
            factors.insert(0, str(number.numerator))
        divisors = ([str(number.denominator)] if number.denominator != 1 else []) + [*map(notation.scalar, below)]
        term = notation.times.join(factors)
        term = notation.divide(term, divisors) if divisors else term
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {term}" if text else ("-" if sign == "-" else "") + term
    return text or "0"


def _write_factors(einsum: Expression, letters: str, notation: _Notation) -> list[str]:
    """The factors of one einsum term as entries; what is summed is said in front."""
    found, summed, _ = list_indexed_factors(einsum, letters)
    factors = [
        notation.delta(word) if operand.is_filled("eye") else notation.entry(operand, word) for operand, word in found
    ]
    body = notation.times.join(factors) or "1"
    return [notation.total("".join(sorted(summed)), body)] if summed else factors


def _bracket(operand: Expression) -> str:
    """A factor with brackets where it is more than a name or a call."""
    text = to_text(operand)
    plain = operand.op in {"symbol", "call", "abstract", "filled", "number", "size", "constant", "transpose"}
    return text if plain or (operand.op == "power" and operand.is_scalar) else f"({text})"


def _bracket_latex(scalar: Expression) -> str:
    latex = to_latex(scalar)
    plain = scalar.op in {"symbol", "call", "number", "size", "constant", "power", "abstract"}
    return latex if plain else enclose(latex)


_TEXT = _Notation(
    times="*",
    delta=lambda word: f"delta({','.join(word)})",
    scalar=_bracket,
    entry=lambda operand, word: _write_entry(_bracket(operand), word),
    total=lambda word, body: f"sum_{word}({body})",
    divide=lambda above, below: f"{above}/{below[0] if len(below) == 1 else '(' + '*'.join(below) + ')'}",
)
_LATEX = _Notation(
    times=" ",
    delta=lambda word: f"\\delta_{{{' '.join(word)}}}",
    scalar=_bracket_latex,
    entry=lambda operand, word: f"{enclose_before_index(operand, to_latex(operand))}_{{{' '.join(word)}}}",
    total=lambda word, body: f"\\sum_{{{' '.join(word)}}} {body}",
    divide=lambda above, below: f"\\frac{{{above}}}{{{' '.join(below)}}}",
)


# --- written out ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Components:
    """The function and the derivative as SymPy objects, and the sizes at which they are written out.

    A scalar is an expression, a vector a column or a row, a matrix an ImmutableDenseMatrix, and what has more axes
    an ImmutableDenseNDimArray.
    """

    function: Any
    derivative: Any
    sizes: dict[str, int]

    def _repr_latex_(self) -> str:
        import sympy

        return f"$\\displaystyle {sympy.latex(self.function)}\\;,\\quad {sympy.latex(self.derivative)}$"


def write_components(
    function: Expression, derivative: Expression, sizes: Mapping[str, int] | None = None, rules: RuleBook | None = None
) -> Components:
    """Return both written out; letters without a number are 2, 3, ...

    Raises DeclarationError for sizes that there are not, LimitError for too many entries, and MatcalcError for a
    function that has no exact form.
    """
    from matcalc.check.exact import list_sizes
    from matcalc.check.exact_generators import NotShown

    letters = collect_letters((function, derivative))
    check_sizes(sizes or {}, letters)
    chosen = {**next(list_sizes(letters)), **(sizes or {})}
    chosen = fit_numbers(chosen, collect_sums((function, derivative)), sizes or ())
    for root in (function, derivative):
        count = math.prod(size.value(chosen) for size in root.shape)
        if count > MOST_COMPONENTS:
            reason = f"written out it has {count} entries, more than {MOST_COMPONENTS}"
            raise LimitError(reason, advice="choose smaller sizes")
    try:
        with rules_in_force(rules):
            return Components(*_write_both(function, derivative, chosen), chosen)
    except NotShown as error:
        raise MatcalcError(f"this cannot be written out: {error.reason}") from None


def _write_both(function: Expression, derivative: Expression, sizes: Mapping[str, int]) -> tuple[Any, Any]:
    import sympy

    from matcalc.check.exact_entries import Entries, Writing, write_out
    from matcalc.check.exact_field import Tower
    from matcalc.check.exact_generators import Budget, FreeEntry

    tower = Tower(_CAPACITY, Budget(_PRODUCTS, time.monotonic() + _SECONDS))
    values, named = {}, {}
    for name, symbol in symbols(function, derivative).items():
        shape = tuple(size.value(sizes) for size in symbol.shape)
        array = sympy.Symbol(name) if symbol.is_scalar else sympy.MatrixSymbol(name, *shape)
        flat = []
        for place in range(math.prod(shape)):
            generator = tower.add(FreeEntry(name, place))
            named[generator.index] = array if symbol.is_scalar else array[divmod(place, shape[1])]
            flat.append(tower.element(generator))
        values[name] = Entries(shape, tuple(flat))
    tower.assumes_conditions = True
    writing = Writing(tower, values, sizes)
    both = [write_out(root, writing) for root in (function, derivative)]
    return _to_array(tower, both[0], named), _to_array(tower, both[1], named)


def _to_array(tower: Tower, entries: Entries, named: Mapping[int, Any]) -> Any:
    """Return entries as SymPy holds them: a number, a matrix, or an array of more axes."""
    import sympy

    found = dict(named)

    def write(element: Any) -> Any:
        """Return an element as an expression."""
        generators = tower.list_generators(element)
        for generator in generators:
            if generator.index not in found:
                found[generator.index] = generator.to_sympy(tower, write)
        return sympy.Add(*(
            sympy.Mul(
                sympy.Rational(int(coefficient.numerator), int(coefficient.denominator)),
                *(found[one.index] ** monomial[one.index] for one in generators if monomial[one.index]),
            )
            for monomial, coefficient in element.items()
        ))  # fmt: skip

    flat = [write(entry) for entry in entries.flat]
    if len(entries.shape) > 2:
        return sympy.ImmutableDenseNDimArray(flat, entries.shape)
    return flat[0] if entries.shape == (1, 1) else sympy.ImmutableDenseMatrix(*entries.shape, flat)
