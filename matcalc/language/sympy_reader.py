"""What all readers of SymPy classes share: names, sizes, brackets, and the refusal of a class without a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from matcalc.errors import DeclarationError, LimitError, MatcalcError
from matcalc.language.names import read_name
from matcalc.language.read_text import LONGEST_TEXT

# Python's precedence, low to high.
SUM, PRODUCT, SIGN, POWER, ATOM = range(5)
Part = tuple[str, int]


class Reader:
    """One reading: the names found so far, and the texts that stand for the variables of a Lambda.

    `readers` holds a function for each SymPy class by name; a class without one is read like its parent.
    """

    def __init__(self, readers: Mapping[str, Callable[[Reader, Any], Part]]) -> None:
        self.readers = readers
        self.shapes: dict[str, tuple[Any, ...]] = {}
        self.assume: dict[str, str] = {}
        self.objects: dict[str, Any] = {}
        self.sizes: set[Any] = set()
        self.bound: dict[Any, Part] = {}

    def read(self, expr: Any) -> Part:
        """Return the text of an expression and how tightly it binds."""
        for kind in type(expr).__mro__:
            if kind.__name__ in self.readers:
                text, level = self.readers[kind.__name__](self, expr)
                if len(text) > LONGEST_TEXT:
                    raise LimitError(f"the expression has more than {LONGEST_TEXT} characters as text")
                return text, level
        raise refuse(expr)

    def wrapped(self, expr: Any, level: int = ATOM) -> str:
        """The text, in brackets where it binds weaker than `level`."""
        return wrap(self.read(expr), level)

    def call(self, function: str, *args: Any) -> Part:
        """Return the call of a function of the language."""
        return f"{function}({', '.join(self.read(arg)[0] for arg in args)})", ATOM

    def remember(self, symbol: Any) -> str:
        """Return a name and keep the object; raises where two objects have it."""
        name = read_name(symbol) if symbol != sympy.pi else "pi"
        if self.objects.setdefault(name, symbol) != symbol:
            raise DeclarationError(f"two SymPy symbols are called {name}", advice="rename one of them")
        return name

    def size(self, size: Any) -> str:
        """Return a dimension as text: a letter, a number, or a product of them."""
        factors = _list_factors(size)
        for factor in factors:
            if factor.is_Symbol:
                self.sizes.add(factor)
                self.shapes.pop(self.remember(factor), None)
                self.assume.pop(factor.name, None)
        return "*".join(map(str, factors))


def _list_factors(size: Any) -> list[Any]:
    """Return the letters and the number that a dimension is the product of: n**2 is n, n."""
    factors: list[Any] = []
    for factor in sympy.Mul.make_args(size):
        base, exponent = factor.as_base_exp()
        if not (exponent.is_Integer and 0 < exponent < 9 and (base.is_Symbol or (base.is_Integer and base > 0))):
            raise MatcalcError(f"the dimension {size} cannot be a size", advice="sizes are names, numbers and products")
        factors += [base] * int(exponent)
    return factors


def refuse(expr: Any) -> MatcalcError:
    """Return the error for a SymPy class that the language has no word for."""
    name, text = type(expr).__name__, str(expr)
    shown = text if len(text) <= 60 else text[:57] + "..."
    reason = f"the SymPy class {name} has no word in the language: {shown}"
    return MatcalcError(reason, advice=_ADVICE.get(name, _USUAL))


_USUAL = "use MatrixSymbol, Trace, Determinant, Inverse, HadamardProduct, applyfunc, or write a text"
_ADVICE = {
    "MatrixElement": "pick an entry with vectors, a.T*X*b",
    "Sum": "write Trace(x.T*y) for a 1x1 product instead of its entry [0, 0], and OneMatrix(1, n)*x for a sum",
    "MutableDenseMatrix": "use a MatrixSymbol and put the numbers in by evaluate",
    "ImmutableDenseMatrix": "use a MatrixSymbol and put the numbers in by evaluate",
}


def wrap(part: Part, level: int) -> str:
    """Put brackets around what binds weaker than `level`."""
    text, own = part
    return text if own >= level else f"({text})"


def is_scalar(expr: Any) -> bool:
    """Whether an expression is a number to the language; SymPy's 1x1 matrices are."""
    return not getattr(expr, "is_Matrix", False) or all(size == 1 for size in expr.shape)
