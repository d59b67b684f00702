"""`assert_derivative`, `assert_backward`: for tests, a check that fails with the report as its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matcalc.backward import check_backward
from matcalc.claim import check
from matcalc.render.check_report import write_check_report


def assert_derivative(expr: Any, claim: Any, wrt: Any = None, **options: Any) -> None:
    """Raise AssertionError unless a formula, or code, is the derivative of an expression; its text is the report.

    The options are those of `check`, `rtol` and `atol` among them.  What could not be checked raises as well.  Raises
    MatcalcError for what cannot be read.

    >>> assert_derivative("x.T @ A @ x", "(A + A.T) @ x", "x", layout="denominator")
    >>> try:
    ...     assert_derivative("x.T @ A @ x", "2*A @ x", "x", layout="denominator")
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[0])
    differs. Right only if A is symmetric, which is not assumed.
    """
    __tracebackhide__ = True
    report = check(expr, claim, wrt, **options)
    if not report:
        raise AssertionError(write_check_report(report))


def assert_backward(fn: Callable[..., Any], expr: Any, wrt: Any = None, **options: Any) -> None:
    """Raise AssertionError unless forward and backward of a function are those of a formula; its text is the report.

    The options are those of `check_backward`.  Raises MatcalcError for what cannot be read.

    >>> assert_backward(lambda A, x: A @ x, "A @ x")
    """
    __tracebackhide__ = True
    report = check_backward(fn, expr, wrt, **options)
    if not report:
        raise AssertionError(report.message)
