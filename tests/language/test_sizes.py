"""Sizes of arrays: the numbers of the letters are found, and what does not fit is told with what it does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from matcalc.errors import EvaluationError
from matcalc.language.expression import symbol
from matcalc.language.sizes import Size, deduce_sizes

TRIANGLE = Size.of("n").triangle()


def deduce(given: dict[str, tuple[tuple[Any, ...], tuple[int, ...]]], **sizes: int) -> dict[str, int]:
    variables = {name: symbol(name, tuple(map(Size.of, declared))) for name, (declared, _) in given.items()}
    return deduce_sizes({name: (variables[name], shape) for name, (_, shape) in given.items()}, sizes)


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ({"A": (("m", "n"), (2, 3)), "x": (("n",), (3,))}, {"m": 2, "n": 3}),
        ({"x": (("n",), (4, 1))}, {"n": 4}),
        ({"x": (("2*n",), (6,))}, {"n": 3}),
        ({"x": (("n*k",), (6,)), "y": (("k",), (2,))}, {"k": 2, "n": 3}),
        ({"x": (("n - 1",), (3,))}, {"n": 4}),
        ({"x": (("n + k",), (6,)), "y": (("k",), (2,))}, {"k": 2, "n": 4}),
        ({"x": (("n + k",), (6,)), "y": (("n - 1",), (3,))}, {"k": 2, "n": 4}),
        ({"x": (("n + k",), (6,))}, {}),
        ({"x": (("n + k",), (3,)), "y": (("k",), (2,))}, {"k": 2, "n": 1}),
        ({"x": ((TRIANGLE,), (6,))}, {"n": 3}),
        ({"x": ((TRIANGLE,), (210,))}, {"n": 20}),
        ({"c": ((), (1,))}, {}),
    ],
)
def test_sizes_are_deduced(given: dict[str, Any], numbers: dict[str, int]) -> None:
    assert deduce(given) == numbers


@pytest.mark.parametrize(
    ("given", "sizes", "told"),
    [
        ({"x": (("n",), (3,))}, {"n": 2}, "x is (n,), but its value has shape (3,): n cannot be 3 when n = 2 in sizes"),
        ({"x": (("n",), (3,)), "y": (("n",), (5,))}, {},
         "y is (n,), but its value has shape (5,): n cannot be 5 when n = 3 from x"),
        ({"x": (("2*n",), (7,))}, {}, "x is (2*n,), but its value has shape (7,): 2*n cannot be 7"),
        ({"y": (("n",), (5,)), "x": (("n - 1",), (3,))}, {},
         "x is (n - 1,), but its value has shape (3,): n - 1 cannot be 3 when n = 5 from y"),
        ({"y": (("k",), (7,)), "x": (("n + k",), (7,))}, {},
         "x is (k + n,), but its value has shape (7,): k + n cannot be 7 when k = 7 from y"),
        ({"x": (("n*n + 1",), (10,)), "y": (("n",), (4,))}, {},
         "x is (n*n + 1,), but its value has shape (10,): n*n + 1 cannot be 10 when n = 4 from y"),
        ({"x": ((TRIANGLE,), (5,))}, {}, f"x is ({TRIANGLE},), but its value has shape (5,): {TRIANGLE} cannot be 5"),
        ({"c": ((), (2,))}, {}, "c is a scalar, but its value has shape (2,)"),
        ({"x": (("n",), ())}, {}, "x is (n,), but its value has a single number"),
        ({"x": (("n",), (1, 4))}, {}, "x is (n,), but its value has shape (1, 4)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(given: dict[str, Any], sizes: dict[str, int], told: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        deduce(given, **sizes)
    assert caught.value.reason == told
