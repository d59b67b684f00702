"""Names for what lies deep in a SymPy expression while it is built, so that SymPy need not walk to the bottom of it.

SymPy asks each product and each sum for its shape, which it finds from the inside out, again for each that is built:
the layers of a network would take the square of their number, and at last more calls than Python allows.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.matrices.expressions import HadamardPower, HadamardProduct, MatPow
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

# What lies deeper than this gets a name, but for the levels that SymPy looks at where it puts factors in order.
_DEEPEST, _KEPT = 40, 3
# What is put together as it stands: its shapes have been checked.
_PLAIN = (
    sympy.MatMul, sympy.MatAdd, HadamardProduct, HadamardPower, ElementwiseApplyFunction, sympy.Transpose,
    sympy.Inverse, MatPow,
)  # fmt: skip


class Parts:
    """The parts of one expression that have names."""

    def __init__(self) -> None:
        self.named: dict[Any, Any] = {}
        self._depths: dict[Any, int] = {}

    def shorten(self, value: Any) -> Any:
        """Return a matrix with names for what lies deep in it; anything else, and what is not deep, as it is."""
        is_deep = isinstance(value, sympy.MatrixExpr) and self._measure(value) > _DEEPEST
        return self._cut(value, _KEPT) if is_deep else value

    def restore(self, value: Any) -> Any:
        """Return a value with what the names stand for."""
        if not self.named:
            return value
        whole: dict[Any, Any] = {}
        # A part has names for parts that were named before it only, so nothing here goes deep.
        for part, name in self.named.items():
            whole[name] = _rebuild(part, whole)
            hash(whole[name])
        return _rebuild(value, whole)

    def _measure(self, value: Any) -> int:
        """Return how many levels an expression has."""
        if value not in self._depths:
            self._depths[value] = 1 + max([self._measure(arg) for arg in value.args], default=0)
        return self._depths[value]

    def _cut(self, value: Any, levels: int) -> Any:
        if not isinstance(value, sympy.MatrixExpr) or isinstance(value, sympy.MatrixSymbol) or not value.args:
            return value
        if levels and isinstance(value, _PLAIN):
            return _put_together(value, [self._cut(arg, levels - 1) for arg in value.args])
        if self._measure(value) < _KEPT:
            return value
        if value not in self.named:
            # No reader can write such a name.
            self.named[value] = sympy.MatrixSymbol(f"[{len(self.named):06}]", *value.shape)
        return self.named[value]


def _rebuild(value: Any, whole: dict[Any, Any]) -> Any:
    """Return a value with others in place of some of its parts; each part is noted in `whole`."""
    if value not in whole:
        whole[value] = _put_together(value, [_rebuild(arg, whole) for arg in value.args])
    return whole[value]


def _put_together(value: Any, args: list[Any]) -> Any:
    if all(new is old for new, old in zip(args, value.args, strict=True)):
        return value
    return sympy.Basic.__new__(type(value), *args) if isinstance(value, _PLAIN) else value.func(*args)
