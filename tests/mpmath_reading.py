"""Texts of the language read with mpmath: values and derivatives to many digits, where torch's own overflow or cancel.

Nothing is shared with matcalc, nor with torch: Python's own `eval` reads the text, arrays of NumPy hold the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np

Array = np.ndarray[Any, Any]

# The step of a difference quotient, and the digits in which it is taken: more where one vanishes beside another.
_STEP, _DIGITS = mpmath.mpf(10) ** -80, (240, 1400)


def read_with_mpmath(text: str, values: Mapping[str, Any]) -> Array:
    """Return the value of a text without unit axes, an array of floats."""
    return _try_digits(lambda: _drop(_read(text, _hold_all(values))))


def differentiate_with_mpmath(text: str, wrt: str, values: Mapping[str, Any], order: int = 1) -> Array:
    """Return the derivative of a text in torch's layout, by central differences."""

    def differentiate() -> Array:
        held = _hold_all(values)
        return _differentiate(lambda at: _drop(_read(text, {**held, wrt: at})), held[wrt], order)

    return _try_digits(differentiate)


def differentiate_entries_with_mpmath(text: str, wrt: str, values: Mapping[str, Any], order: int = 1) -> Array:
    """Return the derivatives of the entries of a function entry by entry, each by its own entry of a vector."""

    def differentiate() -> Array:
        held = _hold_all(values)
        steps = _STEP * np.minimum(abs(held[wrt]), mpmath.mpf(1))
        weights = {1: [(-1, -0.5), (1, 0.5)], 2: [(-1, 1), (0, -2), (1, 1)]}[order]
        ends = [weight * _read(text, {**held, wrt: held[wrt] + place * steps}) for place, weight in weights]
        return _drop(sum(ends[1:], ends[0]) / steps**order)

    return _try_digits(differentiate)


def _try_digits(read: Callable[[], Array]) -> Array:
    for digits in _DIGITS:
        with mpmath.workdps(digits):
            try:
                found = to_floats(read())
            except ZeroDivisionError:
                continue
        if np.isfinite(found).all():
            break
    return found


def to_floats(array: Array) -> Array:
    """Return the nearest floats, nan for what is no real number."""
    entries = [float("nan") if isinstance(entry, mpmath.mpc) else float(entry) for entry in array.reshape(-1)]
    return np.array(entries).reshape(array.shape)


def _hold_all(values: Mapping[str, Any]) -> dict[str, Array]:
    return {name: hold(value) for name, value in values.items()}


def _differentiate(function: Callable[[Array], Array], at: Array, order: int) -> Array:
    inner = function if order == 1 else lambda moved: _differentiate(function, moved, order - 1)
    columns = []
    for place in np.ndindex(at.shape):
        step = _STEP * min(abs(at[place]) or 1, 1)
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[place] += sign * step
            ends.append(inner(moved))
        columns.append(np.asarray((ends[0] - ends[1]) / (2 * step), dtype=object))
    return np.moveaxis(np.array(columns, dtype=object), 0, -1).reshape((*columns[0].shape, *_drop(at).shape))


def hold(value: Any) -> Array:
    """Return an array of mpmath's numbers with two axes; a list of n numbers stands as a column."""
    array = np.asarray(value, dtype=object)
    array = array.reshape(-1, 1) if array.ndim < 2 else array
    return np.vectorize(mpmath.mpf, otypes=[object])(array)


def _drop(value: Array) -> Array:
    return value.reshape([size for size in value.shape if size != 1])


def _read(text: str, values: Mapping[str, Array]) -> Array:
    found: Array = eval(text, {"__builtins__": {}}, {**WORDS, **values})
    return found


# --- words ------------------------------------------------------------------------------------------------------


def _entrywise(function: Callable[..., Any]) -> Callable[..., Any]:
    mapped = np.frompyfunc(function, function.__code__.co_argcount, 1)
    return lambda *args: mapped(*args)


def _along(function: Callable[[Array], Any]) -> Callable[..., Array]:
    """Of all entries together, or for each row (axis 1) and column (axis 0)."""

    def reduce(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        if axis is None:
            return np.array([[function(x.reshape(-1))]], dtype=object)
        parts = x.T if axis == 0 else x
        column = np.array([[function(part)] for part in parts], dtype=object)
        return column.T if keepdims and axis == 0 else column

    return reduce


def _map(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """Of all entries together, or of each row or column."""

    def apply(x: Array, axis: int | None = None) -> Array:
        if axis is None:
            return function(x.reshape(-1)).reshape(x.shape)
        return np.stack([function(part) for part in (x.T if axis == 0 else x)], axis=1 - axis % 2)

    return apply


def _matrix(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    return lambda x: hold(np.array(function(mpmath.matrix(x.tolist())).tolist(), dtype=object))


def _norm(x: Array, p: Any = 2) -> Array:
    p = p if isinstance(p, int) else mpmath.mpf(p)
    return np.array([[mpmath.fsum(abs(entry) ** p for entry in x.reshape(-1)) ** (mpmath.mpf(1) / p)]], dtype=object)


def _softmax(x: Array) -> Array:
    grown = EXP(x)
    share: Array = grown / grown.sum()
    return share


def _det(x: Array) -> Array:
    return np.array([[mpmath.det(mpmath.matrix(x.tolist()))]], dtype=object)


EXP, LOG = _entrywise(lambda x: mpmath.exp(x)), _entrywise(lambda x: mpmath.log(x))
_SIGMOID = _entrywise(lambda x: 1 / (1 + mpmath.exp(-x)))
WORDS: dict[str, Any] = {
    "exp": EXP, "log": LOG, "sigmoid": _SIGMOID,
    "pi": mpmath.pi, "e": mpmath.e,
    "log1p": _entrywise(lambda x: mpmath.log(1 + x)), "expm1": _entrywise(lambda x: mpmath.exp(x) - 1),
    "sqrt": _entrywise(lambda x: mpmath.sqrt(x)), "square": _entrywise(lambda x: x * x),
    "sin": _entrywise(lambda x: mpmath.sin(x)), "cos": _entrywise(lambda x: mpmath.cos(x)),
    "tan": _entrywise(lambda x: mpmath.tan(x)), "sinh": _entrywise(lambda x: mpmath.sinh(x)),
    "cosh": _entrywise(lambda x: mpmath.cosh(x)), "tanh": _entrywise(lambda x: mpmath.tanh(x)),
    "arctan": _entrywise(lambda x: mpmath.atan(x)), "arcsinh": _entrywise(lambda x: mpmath.asinh(x)),
    "arctan2": _entrywise(lambda y, x: mpmath.atan2(y, x)), "hypot": _entrywise(lambda x, y: mpmath.hypot(x, y)),
    "abs": _entrywise(lambda x: abs(x)), "erf": _entrywise(lambda x: mpmath.erf(x)),
    "erfc": _entrywise(lambda x: mpmath.erfc(x)), "maximum": _entrywise(lambda x, y: max(x, y)),
    "minimum": _entrywise(lambda x, y: min(x, y)),
    "gelu": _entrywise(lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2), "silu": lambda x: x * _SIGMOID(x),
    "softplus": lambda x: LOG(1 + EXP(x)), "mish": _entrywise(lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x)))),
    "logsigmoid": lambda x: LOG(_SIGMOID(x)), "softsign": _entrywise(lambda x: x / (1 + abs(x))),
    "elu": _entrywise(lambda x: x if x > 0 else mpmath.exp(x) - 1),
    "logit": _entrywise(lambda x: mpmath.log(x / (1 - x))), "logaddexp": lambda x, y: LOG(EXP(x) + EXP(y)),
    "xlogy": _entrywise(lambda x, y: x * mpmath.log(y) if x else x), "entr": lambda x: -x * LOG(x),
    "sum": _along(mpmath.fsum), "mean": _along(lambda x: mpmath.fsum(x) / len(x)),
    "max": _along(max), "min": _along(min), "ones": lambda n: hold([1] * n),
    "prod": _along(mpmath.fprod), "logsumexp": _along(lambda x: mpmath.log(mpmath.fsum(map(mpmath.exp, x)))),
    "var": _along(lambda x: mpmath.fsum((x - mpmath.fsum(x) / len(x)) ** 2) / len(x)),
    "softmax": _map(_softmax), "log_softmax": _map(lambda x: LOG(_softmax(x))), "norm": _norm,
    "inv": _matrix(lambda x: x**-1), "det": _det, "logdet": lambda x: LOG(_det(x)),
    "trace": lambda x: hold([x.trace()]),
    "diag": lambda x: hold(np.diag(x.reshape(-1))) if 1 in x.shape else x.diagonal().reshape(-1, 1),
    "cross_entropy": lambda z, y: hold([(-y * LOG(_softmax(z))).sum()]),
    "binary_cross_entropy_with_logits": lambda z, y: hold([(LOG(1 + EXP(z)) - z * y).sum() / len(z)]),
}  # fmt: skip
