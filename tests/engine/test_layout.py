"""The layout law: in which order the axes stand, for results and variables of every rank."""

from __future__ import annotations

import pytest

import matcalc
from matcalc.engine.layout import LAYOUTS, arrange, torch_axes
from matcalc.errors import DeclarationError

# The nine results of the design: y, y and Y by x, x and X, with shapes in numerator and denominator layout.
NINE = [
    ("c*t", "t", {"c": (), "t": ()}, (), ()),
    ("x.T @ x", "x", {}, ("n",), ("n",)),
    ("trace(A @ X)", "X", {"X": ("n", "k")}, ("k", "n"), ("n", "k")),
    ("t*y", "t", {"t": (), "y": ("m",)}, ("m",), ("m",)),
    ("A @ x", "x", {}, ("m", "n"), ("n", "m")),
    ("A @ X @ b", "X", {}, ("m", "k", "n"), ("n", "k", "m")),
    ("t*B", "t", {"t": (), "B": ("m", "l")}, ("m", "l"), ("l", "m")),
    ("y @ x.T @ B", "x", {}, ("m", "l", "n"), ("n", "l", "m")),
    ("A @ X @ B", "X", {}, ("m", "l", "k", "n"), ("n", "k", "l", "m")),
]


@pytest.mark.parametrize(("text", "wrt", "declared", "numerator", "denominator"), NINE)
def test_shapes_follow_the_law(
    text: str, wrt: str, declared: dict[str, tuple[str, ...]], numerator: tuple[str, ...], denominator: tuple[str, ...]
) -> None:
    derivative = matcalc.derive(text, wrt, shapes=declared)
    assert derivative.shape == numerator
    assert derivative.in_layout("denominator").shape == denominator


def describe(rank_y: int, rank_x: int, order: int, layout: str) -> str:
    letters = {"result": "y", "wrt": "x"}
    axes = arrange(torch_axes(rank_y, rank_x, order), layout)
    return " ".join(f"{letters[axis.of]}{axis.axis}" + "'" * (axis.order - 1) for axis in axes)


@pytest.mark.parametrize(
    ("ranks", "layout", "expected"),
    [
        ((2, 2, 1), "numerator", "y0 y1 x1 x0"),
        ((2, 2, 1), "denominator", "x0 x1 y1 y0"),
        ((2, 2, 1), "torch", "y0 y1 x0 x1"),
        ((2, 2, 1), "mixed", "y0 y1 x1 x0"),
        ((0, 2, 1), "mixed", "x0 x1"),
        ((0, 2, 1), "numerator", "x1 x0"),
        ((0, 2, 2), "numerator", "x1 x0 x1' x0'"),
        ((0, 2, 2), "denominator", "x0' x1' x0 x1"),
        ((0, 2, 2), "mixed", "x0 x1 x0' x1'"),
        ((1, 1, 2), "denominator", "x0' x0 y0"),
    ],
)
def test_axes_stand_in_the_order_of_the_layout(ranks: tuple[int, int, int], layout: str, expected: str) -> None:
    assert describe(*ranks, layout) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_no_axis_is_lost(layout: str, order: int) -> None:
    axes = torch_axes(1, 2, order)
    assert sorted(map(str, arrange(axes, layout))) == sorted(map(str, axes))


def test_an_unknown_layout_is_an_error_that_lists_them() -> None:
    with pytest.raises(DeclarationError, match="sideways") as caught:
        arrange([], "sideways")
    assert "numerator, denominator, mixed, torch, vec" in str(caught.value)
