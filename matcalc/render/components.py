"""A function and its derivative written out entry by entry at explicit sizes, as SymPy matrices and arrays."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matcalc.check.deduce_sizes import collect_letters
from matcalc.errors import LimitError, MatcalcError
from matcalc.language.expression import Expression, symbols
from matcalc.language.sizes import check_sizes
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.exact_field import Tower
    from matcalc.check.exact_matrices import Entries

MOST_COMPONENTS = 300
_PRODUCTS, _SECONDS, _CAPACITY = 400_000, 10.0, 120


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
    from matcalc.check.rule_texts import rules_in_force

    letters = collect_letters((function, derivative))
    check_sizes(sizes or {}, letters)
    chosen = {**next(list_sizes(letters)), **(sizes or {})}
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

    from matcalc.check.exact_entries import Writing, write_out
    from matcalc.check.exact_field import Tower
    from matcalc.check.exact_generators import Budget, FreeEntry
    from matcalc.check.exact_matrices import Entries

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
