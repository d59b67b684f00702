"""What SymPy's functions are where torch has none: mpmath's values and derivatives, at 30 digits, as torch functions.

The derivatives are those of numbers, by differences at more digits: nothing of SymPy's calculus is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mpmath
import sympy
import torch
from mpmath.libmp import NoConvergence
from torch import Tensor

from matcalc.language.scalar_calculus import write_function
from matcalc.rule_files import Rule

_DIGITS = 30

Orders = tuple[int, ...]  # how often a function is differentiated by each of its arguments


def call_mpmath(rule: Rule, args: list[Tensor]) -> Tensor:
    """Return the value of a function of numbers at every entry; it can be differentiated as often as one likes.

    Where mpmath finds no real number, there is none (nan).
    """
    found: Tensor = _Entrywise.apply(rule, (0,) * len(args), *torch.broadcast_tensors(*args))
    return found


class _Entrywise(torch.autograd.Function):  # type: ignore[misc]
    """A derivative of a function of numbers, entry by entry; its own derivatives are those of a higher order."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, orders: Orders, *args: Tensor) -> Tensor:
        ctx.rule, ctx.orders = rule, orders
        ctx.save_for_backward(*args)
        points = zip(*(arg.detach().cpu().to(torch.float64).reshape(-1).tolist() for arg in args), strict=True)
        values = [_compute_derivative(rule, orders, point) for point in points]
        return torch.tensor(values, dtype=args[0].dtype, device=args[0].device).reshape(args[0].shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        found: list[Tensor | None] = [None, None]
        for place, is_needed in enumerate(ctx.needs_input_grad[2:]):
            orders = tuple(order + (at == place) for at, order in enumerate(ctx.orders))
            partial = _Entrywise.apply(ctx.rule, orders, *ctx.saved_tensors) if is_needed else None
            found.append(None if partial is None else grads[0] * partial)
        return tuple(found)


@lru_cache(maxsize=20000)
def _compute_derivative(rule: Rule, orders: Orders, point: tuple[float, ...]) -> float:
    """Return a derivative at one point; nan where mpmath finds none that is real."""
    function = _find_function(rule)
    with mpmath.workdps(_DIGITS):
        at = tuple(map(mpmath.mpf, point))
        try:
            value = mpmath.diff(function, at, orders) if any(orders) else function(*at)
            # The difference of two large values that are equal in half of their digits, or in more, is not told well.
            most = mpmath.mpf(10) ** (_DIGITS // 2)
            if any(orders) and abs(function(*at)) > most * max(1, abs(value)):
                return float("nan")
        except (ArithmeticError, ValueError, TypeError, NotImplementedError, NoConvergence):
            return float("nan")
        value = mpmath.mpmathify(value)
        is_real = not abs(mpmath.im(value)) > mpmath.mpf(10) ** (-_DIGITS // 2) * max(1, abs(value))
        return float(mpmath.re(value)) if is_real else float("nan")


@lru_cache(maxsize=1000)
def _find_function(rule: Rule) -> Callable[..., Any]:
    """Return a function of SymPy as one of mpmath's numbers."""
    symbols = [sympy.Dummy(parameter.name) for parameter in rule.variables]
    function: Callable[..., Any] = sympy.lambdify(symbols, write_function(rule, symbols), [_ALSO, "mpmath"])
    return function


# What mpmath has no name of its own for.
_ALSO: dict[str, Callable[..., Any]] = {
    "airyaiprime": lambda x: mpmath.airyai(x, derivative=1), "airybiprime": lambda x: mpmath.airybi(x, derivative=1),
    "jn": lambda n, x: mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besselj(n + mpmath.mpf(1) / 2, x),
    "yn": lambda n, x: mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.bessely(n + mpmath.mpf(1) / 2, x),
}  # fmt: skip
