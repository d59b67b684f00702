"""Derivatives for those who work in SymPy: `diff` takes SymPy objects and returns SymPy objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matcalc.derivation import Rules, derive
from matcalc.errors import DeclarationError
from matcalc.inputs import Layout, is_entry
from matcalc.language.declarations import Declared


def diff(
    expr: Any, *variables: Any, layout: Layout = "denominator", assume: Declared = None, rules: Rules = None
) -> Any:
    """Return the derivative of a SymPy expression by variables, one after the other, as a SymPy expression.

    d(x.T*A*x)/dx = (A + A.T)*x, of shape (n, 1): the default layout has the gradient of a number in the shape of X and
    the derivative of a vector by a vector as (n, m), as SymPy has; an array with more axes has its unit axes dropped.
    A variable is a Symbol, a MatrixSymbol or an entry X[i, j]; a number behind it says how often, as in
    `sympy.diff`.  Raises MatcalcError for what cannot be read or has no word in SymPy.

    >>> from sympy import MatrixSymbol, Symbol
    >>> n = Symbol("n")
    >>> A, x = MatrixSymbol("A", n, n), MatrixSymbol("x", n, 1)
    >>> diff(x.T * A * x, x)
    (A + A.T)*x
    >>> diff(x.T * A * x, x, 2)
    A + A.T
    >>> diff(x.T * A * x, A[0, 1])
    x[0, 0]*x[1, 0]
    """
    by = list(_repeat(variables))
    entries, others = [each for each in by if is_entry(each)], [each for each in by if not is_entry(each)]
    options: dict[str, Any] = {"assume": assume, "rules": rules}
    if not by:
        raise DeclarationError("no variable is given to derive by", advice="write diff(expr, X)")
    # The order does not matter, and a derivative by a number has the axes of what is differentiated.
    while len(entries) > (not others):
        expr = derive(expr, entries.pop(), layout="torch", **options)
    if len(set(map(str, others))) > 1:
        return derive(expr, order=others, layout=layout, **options).to_sympy()
    return derive(expr, (others or entries)[0], order=len(others) or 1, layout=layout, **options).to_sympy()


def _repeat(variables: tuple[Any, ...]) -> Iterator[Any]:
    """Yield each variable as often as the number behind it says."""
    for place, variable in enumerate(variables):
        if isinstance(variable, tuple):
            yield from _repeat(variable)
        elif getattr(variable, "is_Integer", isinstance(variable, int)):
            continue
        else:
            after = variables[place + 1] if place + 1 < len(variables) else 1
            is_number = getattr(after, "is_Integer", isinstance(after, int))
            yield from [variable] * (int(after) if is_number else 1)
