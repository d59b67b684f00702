"""The pictures of the notebooks: every curve, arrow and number is the one that NumPy computes without matcalc."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from matcalc.derivation import derive
from matcalc.errors import EvaluationError, ShapeError
from matcalc.notebook import plots as plots

RIDGE = "norm(X@w - y)**2 + alpha*norm(w)**2"
LASSO = "norm(X@w - y)**2 + alpha*norm(w, 1)"


def curves(panel):
    """The points of all curves of a panel, one after the other."""
    lines = [line for line in panel.lines if len(line.get_xdata()) > 2]
    return np.concatenate([line.get_xdata() for line in lines]), np.concatenate([line.get_ydata() for line in lines])


# --- a function of one number -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "function", "slope"),
    [
        ("sigmoid(x)", lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        ("tanh(x)", np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        ("relu(x)", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
        ("abs(x - 1)", lambda x: np.abs(x - 1), lambda x: np.sign(x - 1)),
    ],
)
def test_curves_are_those_of_the_function_and_its_derivative(text, function, slope):
    left, right = plots.plot_function_and_derivative(text).axes
    for panel, expected in ((left, function), (right, slope)):
        points, heights = curves(panel)
        assert points.min() == -4
        assert points.max() == 4
        np.testing.assert_allclose(heights, expected(points), atol=1e-8)


@pytest.mark.parametrize(
    ("text", "kinks"),
    [("relu(x)", [0]), ("abs(x)", [0]), ("relu(x - 1.5)", [1.5]), ("relu(x) + relu(1 - x)", [0, 1]), ("tanh(x)", [])],
)
def test_kinks_are_marked_where_they_are_and_nowhere_else(text, kinks):
    left, _ = plots.plot_function_and_derivative(text).axes
    marks = [line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(marks, kinks, atol=1e-8)


def test_a_long_title_is_broken_and_not_cut():
    text = "relu(x + 1) - 3*relu(x) + 3*relu(x - 1)"
    titles = [panel.get_title() for panel in plots.plot_function_and_derivative(text).axes]
    assert titles[0] == f"f = {text}"
    assert titles[1].replace("\n", " ") == f"df/dx = {derive(text, shapes={'x': ()})}"
    assert max(len(line) for title in titles for line in title.splitlines()) <= 46


def test_a_kink_shows_both_limits_and_the_value_of_the_formula():
    _, right = plots.plot_function_and_derivative("leaky_relu(x, a)", values={"a": 0.2}).axes
    (limits,) = [line.get_ydata() for line in right.lines if len(line.get_xdata()) == 2]
    (chosen,) = [line.get_ydata() for line in right.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(limits, [0.2, 1])
    np.testing.assert_allclose(chosen, [0.2])
    assert right.get_legend().get_texts()[0].get_text() == "kink at 0: the formula gives 0.2"


def test_no_curve_crosses_a_jump():
    _, right = plots.plot_function_and_derivative("relu(x)").axes
    pieces = [line for line in right.lines if len(line.get_xdata()) > 2]
    assert [set(piece.get_ydata()) for piece in pieces] == [{0.0}, {1.0}]


def test_what_is_not_a_scalar_is_refused():
    with pytest.raises(ShapeError, match="only a scalar is one curve"):
        plots.plot_function_and_derivative("x*b")


# --- a vector of which one entry moves --------------------------------------------------------------


def test_softmax_along_an_entry():
    left, right = plots.plot_along_entry("softmax(x)", at=[0, 0.5, -1], entry=1).axes
    points = left.lines[0].get_xdata()
    weights = np.exp(np.stack([0 * points, points, 0 * points - 1]))
    p = weights / weights.sum(axis=0)
    np.testing.assert_allclose([line.get_ydata() for line in left.lines], p)
    slopes = [-p[0] * p[1], p[1] * (1 - p[1]), -p[2] * p[1]]
    np.testing.assert_allclose([line.get_ydata() for line in right.lines], slopes)


def test_a_gradient_has_entries_and_a_jacobian_columns():
    titles = [plots.plot_along_entry(text, at=[0, 1]).axes[1].get_title() for text in ("softmax(x)", "logsumexp(x)")]
    assert titles == ["column 0 of dy/dx", "entry 0 of df/dx"]


def test_a_matrix_has_no_curves():
    with pytest.raises(ShapeError, match="is a matrix"):
        plots.plot_along_entry("x @ x.T", at=[0, 1])


# --- planes -----------------------------------------------------------------------------------------


def read_arrows(panel):
    (arrows,) = [artist for artist in panel.collections if hasattr(artist, "U")]
    return np.array(arrows.XY), np.stack([arrows.U, arrows.V], axis=1)


def test_arrows_are_the_gradients_up_to_one_length():
    A = np.array([[1.0, 2.0], [0.0, 3.0]])
    round_, skew = plots.plot_gradients("norm(x)", "x.T @ A @ x", values={"A": A}).axes
    points, arrows = read_arrows(round_)
    away = points / np.linalg.norm(points, axis=1)[:, None]
    np.testing.assert_allclose(arrows / np.linalg.norm(arrows[0]), away)
    points, arrows = read_arrows(skew)
    truth = points @ (A + A.T)
    np.testing.assert_allclose(arrows / np.linalg.norm(arrows), truth / np.linalg.norm(truth))


def test_only_a_scalar_has_contour_lines():
    with pytest.raises(ShapeError, match="only a scalar has contour lines"):
        plots.plot_gradients("2*x")


def drawn(picture):
    return [panel.images[0].get_array().data for panel in picture.axes]


def test_a_jacobian_in_each_layout():
    A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    numerator, denominator = drawn(plots.plot_layouts(derive("A @ x"), {"A": A, "x": np.zeros(3)}))
    np.testing.assert_array_equal(numerator, A)
    np.testing.assert_array_equal(denominator, A.T)


@pytest.mark.parametrize(
    ("text", "wrt", "values", "shapes"),
    [
        ("norm(x)", "x", {"x": [1.0, 2.0]}, [(1, 2), (2, 1)]),
        ("alpha*b", "alpha", {"alpha": 2.0, "b": [1.0, 2.0]}, [(2, 1), (1, 2)]),
        ("alpha**2", "alpha", {"alpha": 2.0}, [(1, 1), (1, 1)]),
    ],
)
def test_rows_and_columns_follow_the_layout(text, wrt, values, shapes):
    assert [matrix.shape for matrix in drawn(plots.plot_layouts(derive(text, wrt), values))] == shapes


def test_three_axes_are_no_picture():
    with pytest.raises(ShapeError, match=r"has the shape \(m, k, n\)"):
        plots.plot_layouts(derive("A @ X @ b"), {})


# --- fits -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    return plots.draw_noisy_polynomial(seed=4)


def fill(sample, alpha):
    return {"X": sample.X, "y": sample.y, "alpha": alpha}


def test_a_sample_follows_from_its_seed(sample):
    again, other = plots.draw_noisy_polynomial(seed=4), plots.draw_noisy_polynomial(seed=5)
    np.testing.assert_array_equal(sample.y, again.y)
    assert not np.allclose(sample.y, other.y)
    assert sample.error(sample.truth) == 0


def test_descent_finds_the_solution_of_the_normal_equations(sample):
    found = plots.find_minimum(RIDGE, fill(sample, 0.7), np.zeros(10))
    exact = np.linalg.solve(sample.X.T @ sample.X + 0.7 * np.eye(10), sample.X.T @ sample.y)
    np.testing.assert_allclose(found, exact, atol=1e-6)
    assert np.all(found != 0)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_descent_finds_the_point_where_l1_is_balanced(sample, alpha):
    found = plots.find_minimum(LASSO, fill(sample, alpha), np.ones(10))
    pull = 2 * sample.X.T @ (sample.X @ found - sample.y)
    assert 0 < np.sum(found == 0) < 10
    assert np.all(np.abs(pull[found == 0]) <= alpha)
    np.testing.assert_allclose(pull[found != 0], -alpha * np.sign(found[found != 0]), atol=1e-6)


def test_descent_says_when_it_has_not_arrived(sample):
    with pytest.raises(EvaluationError, match="still falling after 3 steps"):
        plots.find_minimum(RIDGE, fill(sample, 0.7), np.zeros(10), steps=3)


def test_fits_and_weights_are_those_of_the_minimum(sample):
    left, right = plots.plot_fits(sample, {"L2": RIDGE}, alpha=0.7).axes
    exact = np.linalg.solve(sample.X.T @ sample.X + 0.7 * np.eye(10), sample.X.T @ sample.y)
    every = np.linspace(-1, 1, 201)
    np.testing.assert_allclose(left.lines[-1].get_ydata(), np.polynomial.legendre.legval(every, exact), atol=1e-6)
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], exact, atol=1e-6)


def test_weights_shrink_with_alpha(sample):
    (panel,) = plots.plot_weights(sample, {"L1": LASSO}, alphas=[0.01, 1.0, 100.0]).axes
    paths = np.array([line.get_ydata() for line in panel.lines])
    assert paths.shape == (10, 3)
    assert np.all(np.diff(np.abs(paths).sum(axis=0)) < 0)
    assert np.all(paths[:, -1] == 0)


# --- depth ------------------------------------------------------------------------------------------


def test_gradients_of_orthogonal_layers_shrink_at_least_as_the_bound_says():
    (panel,) = plots.plot_gradient_against_depth(["sigmoid", "tanh"], depth=5, width=6).axes
    sigmoid, tanh, bound = [line.get_ydata() for line in panel.lines]
    np.testing.assert_allclose(bound, [0.25**layers for layers in range(1, 6)])
    assert np.all(sigmoid <= bound)
    assert np.all(tanh <= 1)
    assert np.all(tanh > sigmoid)


# --- all of them ------------------------------------------------------------------------------------


def test_a_picture_shows_itself_small_and_the_same_every_time():
    first, second = [plots.plot_function_and_derivative("relu(x)") for _ in range(2)]
    assert isinstance(first, Figure)
    assert first._repr_png_().startswith(b"\x89PNG")
    assert first._repr_png_() == second._repr_png_()
    assert len(first._repr_png_()) < 25_000
