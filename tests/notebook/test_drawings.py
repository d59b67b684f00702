"""The drawings of arrays: what is drawn is what NumPy computes, and its colours and places say which axis it is."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle

import matcalc
from matcalc.errors import DeclarationError, ShapeError
from matcalc.notebook import drawings, plots

DD = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])


def read_numbers(panel):
    """The numbers of a panel with their places, from left to right and from the top down."""
    written = [(text.get_position(), text.get_text()) for text in panel.texts if not text.get_text().startswith("axis")]
    return [float(number) for _, number in sorted(written, key=lambda each: (-each[0][1], each[0][0]))]


def read_boxes(panel):
    """How many boxes there are of each colour."""
    colours = [to_hex(patch.get_edgecolor()) for patch in panel.patches if isinstance(patch, FancyBboxPatch)]
    return {colour: colours.count(colour) for colour in sorted({*colours}, key=plots.COLOURS.index)}


def read_marked(panel):
    marks = [patch for patch in panel.patches if isinstance(patch, Rectangle) and not isinstance(patch, FancyBboxPatch)]
    middles = [(mark.get_x() + mark.get_width() / 2, mark.get_y() + mark.get_height() / 2) for mark in marks]
    inside = [text for text in panel.texts if any(np.allclose(text.get_position(), middle) for middle in middles)]
    return sorted(float(text.get_text()) for text in inside)


def test_each_bracket_is_a_box_with_the_colour_of_its_axis():
    (panel,) = drawings.draw_boxes(DD).axes
    assert read_boxes(panel) == {plots.COLOURS[0]: 1, plots.COLOURS[1]: 2, plots.COLOURS[2]: 4}
    assert sorted(read_numbers(panel)) == [*range(1, 13)]
    assert read_numbers(panel)[:6] == [1, 2, 3, 7, 8, 9]


@pytest.mark.parametrize(
    ("function", "axis", "keepdims", "colours", "marked"),
    [
        ("sum", 0, False, [1, 2], [1, 7]), ("sum", 1, False, [0, 2], [1, 4]), ("sum", 2, False, [0, 1], [1, 2, 3]),
        ("sum", (0, 1), False, [2], [1, 4, 7, 10]), ("sum", 0, True, [0, 1, 2], [1, 7]),
        ("mean", -1, False, [0, 1], [1, 2, 3]),
        ("max", None, False, [], [*range(1, 13)]), ("cumsum", 1, False, [0, 1, 2], [1, 4]),
    ],
)  # fmt: skip
def test_an_axis_keeps_its_colour_and_what_is_summed_is_marked(function, axis, keepdims, colours, marked):
    left, right = drawings.draw_along(DD, function, axis=axis, keepdims=keepdims).axes
    keywords = {"axis": axis} | ({"keepdims": True} if keepdims else {})
    result = np.asarray(getattr(np, function)(DD, **keywords))
    assert sorted(read_numbers(right)) == sorted(result.reshape(-1))
    assert [*read_boxes(right)] == [plots.COLOURS[place] for place in colours]
    assert read_marked(left) == marked
    (made,) = read_marked(right)
    assert made == getattr(np, function.removeprefix("cum"))(marked)


def test_what_is_too_large_is_not_drawn():
    with pytest.raises(DeclarationError, match="100 numbers is too large"):
        drawings.draw_boxes(np.zeros((10, 10)))


@pytest.mark.parametrize(
    ("text", "wrt", "sizes", "numerator", "denominator"),
    [
        ("x.T @ A @ x", "x", {"n": 3}, "1×3", "3×1"), ("alpha**2 * v", "alpha", {"m": 2}, "2×1", "1×2"),
        ("A @ x", "x", {"m": 2, "n": 3}, "2×3", "3×2"), ("exp(alpha)", "alpha", {}, "1×1", "1×1"),
    ],
)  # fmt: skip
def test_rows_and_columns_are_those_of_the_layouts(text, wrt, sizes, numerator, denominator):
    panels = drawings.draw_layouts(matcalc.derive(text, wrt), sizes).axes
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles[2:] == [f"numerator layout\n{numerator}", f"denominator layout\n{denominator}"]
    assert [len(panel.patches) for panel in panels[2:]] == [len(panels[0].patches) * len(panels[1].patches)] * 2


def test_the_entries_of_a_transposed_jacobian_are_transposed():
    *_, numerator, denominator = drawings.draw_layouts(matcalc.derive("A @ x"), {"m": 2, "n": 3}).axes
    above = [text.get_text() for text in numerator.texts if "y" in text.get_text()]
    turned = [text.get_text() for text in denominator.texts if "y" in text.get_text()]
    assert above == [rf"$\partial y_{{{row}}}$" for row in (1, 1, 1, 2, 2, 2)]
    assert turned == [rf"$\partial y_{{{row}}}$" for row in (1, 2, 1, 2, 1, 2)]


def test_a_matrix_by_a_matrix_is_no_row():
    with pytest.raises(DeclarationError, match="no row, column or matrix"):
        drawings.draw_layouts(matcalc.derive("A @ X"), {"m": 2, "n": 2, "k": 2})
    with pytest.raises(DeclarationError, match="the size n is not given"):
        drawings.draw_layouts(matcalc.derive("a.T @ x", "x"), {})


def test_the_image_of_the_circle_is_that_of_the_matrix():
    A = np.array([[2.0, 1.0], [0.5, 1.0]])
    (panel,) = plots.plot_circle_images({"A": A}).axes
    x, y = panel.lines[2].get_data()
    np.testing.assert_allclose(np.linalg.norm(np.linalg.solve(A, [x, y]), axis=0), 1)
    np.testing.assert_allclose(np.hypot(x, y).max(), np.linalg.norm(A, 2), rtol=1e-3)
    with pytest.raises(ShapeError, match="only a 2×2 matrix"):
        plots.plot_circle_images({"A": np.eye(3)})


def test_a_kink_that_no_float_is_is_a_gap():
    _, right = plots.plot_function_and_derivative("maximum(0, w*x + b)", values={"w": 1.5, "b": 1.0}).axes
    pieces = [line.get_ydata() for line in right.lines if len(line.get_xdata()) > 2]
    assert [{*piece} for piece in pieces] == [{0.0}, {1.5}]


def test_curves_are_drawn_over_the_same_numbers():
    (panel,) = plots.plot_curves([1, 2, 3], {"a": [1, 10, 100], "b": [3, 2, 1]}, log="y", points=([1], [5])).axes
    assert [line.get_ydata().tolist() for line in panel.lines] == [[5], [1, 10, 100], [3, 2, 1]]
    assert panel.get_yscale() == "log"
