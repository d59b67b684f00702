"""Pictures of functions and their derivatives, every value computed from a formula that matcalc reads or derives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from textwrap import wrap
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.polynomial import legendre
from numpy.typing import NDArray
from PIL import Image

from matcalc.check.evaluate import evaluate_with
from matcalc.derivation import Derivative, derive
from matcalc.errors import DeclarationError, EvaluationError, ShapeError
from matcalc.inputs import Layout, current_rules
from matcalc.language.sizes import write_shape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555")
STYLES = ("-", "--", "-.", ":")


class Picture(Figure):
    """A figure that shows itself in a notebook as a small PNG, whichever backend is in use."""

    def _repr_png_(self) -> bytes:
        full, small = BytesIO(), BytesIO()
        self.savefig(full, format="png")
        # A palette is a third of the size, and leaves out the version of matplotlib: the same picture, the same file.
        Image.open(full).convert("RGB").quantize(64).save(small, format="png", optimize=True)
        return small.getvalue()


def open_picture(panels: int, width: float = 7.4, height: float = 2.8) -> tuple[Picture, list[Axes]]:
    """Return an empty picture and its panels from left to right."""
    picture = Picture(figsize=(width, height), dpi=80, layout="constrained", facecolor="white")
    axes = list(numpy.atleast_1d(picture.subplots(1, panels)))
    for panel in axes:
        panel.tick_params(labelsize=8)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    return picture, axes


def _name_panel(panel: Axes, title: str, across: str = "", up: str = "", *, legend: bool = False) -> None:
    """Write a panel's title, the names of its axes and, if wanted, its legend."""
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(up, fontsize=9)
    if legend:
        panel.legend(fontsize=7)


def _draw_line(panel: Axes, points: Any, heights: Any, place: int, label: str) -> None:
    """Draw one curve of several: colour and dashes belong to its place, so that it is told without colours too."""
    panel.plot(
        points, heights, linewidth=1.8, label=label,
        color=COLOURS[place % len(COLOURS)], linestyle=STYLES[place % len(STYLES)],
    )  # fmt: skip


def _value_of_function(derivative: Derivative, values: Mapping[str, Any]) -> Any:
    """Return the value of the expression that was differentiated; raises EvaluationError where values do not fit."""
    known = derivative.problem.symbols.values()
    return evaluate_with(derivative.function, values, None, known, current_rules())


def _shapes_told(values: Mapping[str, Any] | None) -> dict[str, tuple[()]]:
    """Return the declaration of the names whose values are single numbers: scalars, whatever their letter."""
    return {name: () for name, value in (values or {}).items() if numpy.ndim(value) == 0}


# --- a function of one number beside its derivative -----------------------------------------------


Array = NDArray[numpy.float64]
_Curve = Callable[[float], float]
POINTS = 241


def plot_function_and_derivative(
    expr: str, wrt: str = "x", *, low: float = -4, high: float = 4, values: Mapping[str, Any] | None = None
) -> Picture:
    """Plot a function of one number beside its derivative, from matcalc's values of both; kinks are marked.

    The variable is taken for a scalar, and so are names whose `values` are numbers.  At a kink the limits from either
    side are open circles, and a dot is the value that the formula has there.  Raises ShapeError where the function is
    not a scalar.
    """
    derivative = derive(expr, wrt, shapes={wrt: ()} | _shapes_told(values))
    _refuse_arrays(derivative, "is one curve", advice="use plot_along_entry")

    def function(at: float) -> float:
        return float(_value_of_function(derivative, {**(values or {}), wrt: at}))

    def slope(at: float) -> float:
        return float(derivative.evaluate({**(values or {}), wrt: at}))

    kinks = _find_kinks(derivative, slope, low, high)
    picture, (left, right) = open_picture(2)
    for panel, curve in ((left, function), (right, slope)):
        _draw_pieces(panel, curve, kinks, low, high)
    for kink in kinks:
        _mark_kink(left, right, function, slope, kink)
    _name_panel(left, _break_title(f"f = {derivative.text}"), wrt)
    _name_panel(right, _break_title(f"df/d{wrt} = {derivative}"), wrt, legend=bool(kinks))
    return picture


def _break_title(title: str) -> str:
    """Return a title in lines that are no wider than one panel of two."""
    return "\n".join(wrap(title, 46))


def _refuse_arrays(derivative: Derivative, what: str, advice: str = "") -> None:
    if shape := derivative.function.squeezed_shape:
        reason = f"{derivative.text} has the shape {write_shape(shape)}, and only a scalar {what}"
        raise ShapeError(reason, advice=advice)


def _draw_pieces(panel: Axes, curve: _Curve, kinks: Sequence[float], low: float, high: float) -> None:
    """Draw a curve from kink to kink, so that a jump is a gap and not a steep line."""
    for start, end in pairwise([low, *kinks, high]):
        points = numpy.linspace(start, end, POINTS)
        points[0] += _GAP if start in kinks else 0
        points[-1] -= _GAP if end in kinks else 0
        panel.plot(points, [curve(point) for point in points], color=COLOURS[0], linewidth=1.8)


# --- kinks ----------------------------------------------------------------------------------------

_GAP = 1e-9
_JUMP = 1e-4


def _find_kinks(derivative: Derivative, slope: _Curve, low: float, high: float) -> list[float]:
    """Return where the derivative jumps, if matcalc notes that there are kinks; each within GAP."""
    if not any("not differentiable" in note for note in derivative.notes):
        return []
    # An odd number of steps keeps a kink in the middle from being a point of the grid.
    grid = numpy.linspace(low, high, POINTS + 1)
    found = {_close_in(slope, float(left), float(right)) for left, right in pairwise(grid)}
    return sorted(kink for kink in found if kink is not None)


def _close_in(slope: _Curve, left: float, right: float) -> float | None:
    """Return the point in an interval at which the slope still jumps when the interval is tiny, if any."""
    at_left, at_right = slope(left), slope(right)
    while abs(at_right - at_left) > _JUMP:
        middle = (left + right) / 2
        if right - left < _GAP:
            rounded = round(middle, 8) + 0.0
            return rounded if left <= rounded <= right else middle
        at_middle = slope(middle)
        if abs(at_middle - at_left) >= abs(at_right - at_middle):
            right, at_right = middle, at_middle
        else:
            left, at_left = middle, at_middle
    return None


def _mark_kink(left: Axes, right: Axes, function: _Curve, slope: _Curve, kink: float) -> None:
    left.plot([kink], [function(kink)], "o", color=COLOURS[1], markersize=5)
    sides = [slope(kink - _GAP), slope(kink + _GAP)]
    right.plot([kink, kink], sides, "o", markerfacecolor="white", color=COLOURS[0], markersize=5, zorder=3)
    chosen = f"kink at {kink:g}: the formula gives {slope(kink):g}"
    right.plot([kink], [slope(kink)], "o", color=COLOURS[1], markersize=5, zorder=4, label=chosen)


# --- a vector of which one entry moves --------------------------------------------------------------


def plot_along_entry(
    expr: str, at: Sequence[float], wrt: str = "x", *, entry: int = 0, low: float = -4, high: float = 4,
    values: Mapping[str, Any] | None = None,
) -> Picture:  # fmt: skip
    """Plot every entry of a function of a vector, and its derivative by one entry, while that entry moves.

    `at` is the vector, `entry` the entry of it that runs from `low` to `high`.  The right panel shows the column of the
    Jacobian (numerator layout) that belongs to it, of a scalar the entry of the gradient.  Raises ShapeError where the
    function is a matrix.
    """
    derivative = derive(expr, wrt, shapes=_shapes_told(values))
    if len(derivative.function.squeezed_shape) > 1:
        raise ShapeError(f"{derivative.text} is a matrix", advice="plot a vector, or a scalar")
    points = numpy.linspace(low, high, POINTS)
    moved = numpy.tile(numpy.array(at, dtype=float), (POINTS, 1))
    moved[:, entry] = points
    given = [{**(values or {}), wrt: row} for row in moved]
    picture, (left, right) = open_picture(2)
    result, moving = derivative.result_name, f"{wrt}[{entry}]"
    _draw_entries(left, points, [_value_of_function(derivative, one) for one in given], result)
    _draw_entries(right, points, [derivative.evaluate(one)[..., entry] for one in given], f"d{result}", f"/d{moving}")
    _name_panel(left, f"{result} = {derivative.text}", moving, legend=True)
    part = "column" if derivative.function.squeezed_shape else "entry"
    _name_panel(right, f"{part} {entry} of d{result}/d{wrt}", moving, legend=True)
    return picture


def _draw_entries(panel: Axes, points: Array, rows: Sequence[Any], name: str, below: str = "") -> None:
    lines = numpy.array(rows).reshape(len(points), -1).T
    for place, line in enumerate(lines):
        label = f"{name}[{place}]{below}" if numpy.ndim(rows[0]) else name + below
        _draw_line(panel, points, line, place, label)


# --- how the gradient at the input of a deep network shrinks with its depth -----------------------


def plot_gradient_against_depth(
    activations: Sequence[str] = ("sigmoid", "tanh", "relu"), *, depth: int = 12, width: int = 32, seed: int = 0
) -> Picture:
    """Plot the length of df/dx of f = c.T @ h, h being `depth` layers such as sigmoid(W_1 @ x), against the depth.

    The W are random orthogonal matrices and c has length 1, so that a layer multiplies the length of the gradient by at
    most the largest slope of its activation; x and the W follow from the seed.
    """
    picture, (panel,) = open_picture(1, width=5.0, height=3.0)
    depths = list(range(1, depth + 1))
    values = _draw_network(depth, width, seed)
    for place, activation in enumerate(activations):
        lengths = [_measure_gradient(activation, layers, values) for layers in depths]
        _draw_line(panel, depths, lengths, place, activation)
    if "sigmoid" in activations:
        bound = [0.25**layers for layers in depths]
        panel.plot(depths, bound, color="#999999", linewidth=0.8, label="bound $(1/4)^L$")
    panel.set_yscale("log")
    _name_panel(panel, "length of df/dx", "layers $L$", legend=True)
    return picture


def _draw_network(depth: int, width: int, seed: int) -> dict[str, Array]:
    generator = numpy.random.default_rng(seed)
    drawn = [generator.normal(size=(width, width)) for _ in range(depth)]
    weights = {f"W_{layer}": numpy.linalg.qr(matrix)[0] for layer, matrix in enumerate(drawn, 1)}
    last = generator.normal(size=width)
    return {"x": generator.normal(size=width), "c": last / numpy.linalg.norm(last), **weights}


def _measure_gradient(activation: str, layers: int, values: dict[str, Array]) -> float:
    text = "x"
    for layer in range(1, layers + 1):
        text = f"{activation}(W_{layer} @ {text})"
    square = {f"W_{layer}": ("n", "n") for layer in range(1, layers + 1)}
    gradient = derive(f"c.T @ {text}", "x", layout="denominator", shapes=square)
    return float(numpy.linalg.norm(gradient.evaluate({name: values[name] for name in ("x", "c", *square)})))


# --- overfitting and what holds it back -----------------------------------------------------------


@dataclass(frozen=True)
class NoisyPolynomial:
    """A sample of a polynomial with noise: y = X @ truth + noise, X[i,j] being the Legendre polynomial P_j at t[i]."""

    t: Array
    truth: Array
    y: Array

    @property
    def X(self) -> Array:
        """The columns P_0 ... P_d at the points of the sample, shape (points, d + 1)."""
        return self.columns(self.t)

    def columns(self, t: Array) -> Array:
        """The same columns at other points."""
        return numpy.asarray(legendre.legvander(t, len(self.truth) - 1), dtype=float)

    def error(self, weights: Array) -> float:
        """The mean squared distance from the polynomial without noise, over 201 points from -1 to 1."""
        every = self.columns(numpy.linspace(-1, 1, 201))
        return float(numpy.mean((every @ (weights - self.truth)) ** 2))


def draw_noisy_polynomial(points: int = 14, degree: int = 9, noise: float = 0.3, seed: int = 0) -> NoisyPolynomial:
    """Draw a polynomial of `degree` of which only P_1 and P_3 have a weight, and noisy values of it at even distances.

    >>> sample = draw_noisy_polynomial()
    >>> sample.X.shape, sample.y.shape
    ((14, 10), (14,))
    """
    truth = numpy.zeros(degree + 1)
    truth[[1, 3]] = 1.0, -0.8
    t = numpy.linspace(-1, 1, points)
    exact = legendre.legvander(t, degree) @ truth
    return NoisyPolynomial(t, truth, exact + noise * numpy.random.default_rng(seed).normal(size=points))


# --- descent --------------------------------------------------------------------------------------

_TINY = 1e-9
_FLAT = 1e-7


def find_minimum(loss: str, values: Mapping[str, Any], start: Any, *, wrt: str = "w", steps: int = 4000) -> Array:
    """Return where a convex loss of a vector is least, by gradient descent along matcalc's derivative.

    The loss is quadratic but for kinks where an entry is zero, as in norm(X@w - y)**2 + alpha*norm(w, 1).  A step is
    2/(a + b) times the gradient, a and b the least and the largest eigenvalue of the Hessian.  An entry that would
    cross zero stops there, and stays while the derivatives on both sides of zero point back to it.  Raises
    EvaluationError where `steps` are not enough.

    >>> find_minimum("norm(w - y)**2 + alpha*norm(w, 1)", {"y": [3.0, 0.4], "alpha": 1.0}, [0, 0]).round(6)
    array([2.5, 0. ])
    """
    gradient = derive(loss, wrt, layout="denominator", shapes=_shapes_told(values))
    weights = numpy.array(start, dtype=float)
    hessian = derive(loss, wrt, order=2, shapes=_shapes_told(values)).evaluate({**values, wrt: weights})
    eigenvalues = numpy.linalg.eigvalsh(numpy.atleast_2d(hessian))
    step = float(2 / (eigenvalues[0] + eigenvalues[-1]))
    for _ in range(steps):
        slope = _find_slope(gradient, values, weights)
        if numpy.abs(slope).max() < _FLAT:
            return weights
        moved = weights - step * slope
        weights = numpy.where(moved * weights < 0, 0.0, moved)
    raise EvaluationError(f"{loss} is still falling after {steps} steps", advice="give more steps, or scale the data")


def _find_slope(gradient: Derivative, values: Mapping[str, Any], weights: Array) -> Array:
    """Return the gradient; of an entry at zero the derivative of the side to which the loss falls, if any, else 0."""
    name, at_zero = gradient.wrt.name, weights == 0
    above: Array = gradient.evaluate({**values, name: numpy.where(at_zero, _TINY, weights)})
    if not at_zero.any():
        return above
    below: Array = gradient.evaluate({**values, name: numpy.where(at_zero, -_TINY, weights)})
    falling = numpy.where(above < 0, above, numpy.where(below > 0, below, 0.0))
    return numpy.where(at_zero, falling, above)


# --- pictures ---------------------------------------------------------------------------------------


def plot_fits(sample: NoisyPolynomial, losses: Mapping[str, str], alpha: float = 1.0) -> Picture:
    """Plot the polynomial that each loss finds, and its weights; the legend tells how far it is from the truth.

    `losses` are expressions in X, w, y and alpha by the name to show: {"L2": "norm(X@w - y)**2 + alpha*norm(w)**2"}.
    """
    picture, (left, right) = open_picture(2, width=8.0, height=3.1)
    every = numpy.linspace(-1, 1, 201)
    left.plot(sample.t, sample.y, "o", color="black", markersize=4)
    left.plot(every, sample.columns(every) @ sample.truth, color="#999999", linewidth=1, label="without noise")
    for place, (name, loss) in enumerate(losses.items()):
        weights = find_minimum(loss, _fill(sample, loss, alpha), numpy.zeros_like(sample.truth))
        label = f"{name}: error {sample.error(weights):.3f}"
        _draw_line(left, every, sample.columns(every) @ weights, place, label)
        _draw_weights(right, weights, place, len(losses), name)
    right.set_xticks(range(len(sample.truth)), [f"$P_{power}$" for power in range(len(sample.truth))])
    _name_panel(left, "fits of the noisy points", "t", legend=True)
    _name_panel(right, "weights", legend=True)
    return picture


def _fill(sample: NoisyPolynomial, loss: str, alpha: float) -> dict[str, Any]:
    return {"X": sample.X, "y": sample.y} | ({"alpha": alpha} if "alpha" in loss else {})


def _draw_weights(panel: Axes, weights: Array, place: int, count: int, name: str) -> None:
    width = 0.8 / count
    shift = (place - (count - 1) / 2) * width
    zeros = int((weights == 0).sum())
    label = f"{name}: {zeros} of {len(weights)} exactly zero"
    panel.bar(numpy.arange(len(weights)) + shift, weights, width, color=COLOURS[place], label=label)


def plot_weights(sample: NoisyPolynomial, losses: Mapping[str, str], alphas: Sequence[float]) -> Picture:
    """Plot how the weights that each loss finds shrink as alpha grows, one panel for each loss."""
    picture, panels = open_picture(len(losses), width=3.8 * len(losses), height=2.9)
    for panel, (name, loss) in zip(panels, losses.items(), strict=True):
        paths = _follow_weights(sample, loss, alphas).T
        panel.plot(alphas, paths[sample.truth == 0].T, color="#aaaaaa", linewidth=1.2)
        for place, power in enumerate(numpy.flatnonzero(sample.truth)):
            _draw_line(panel, alphas, paths[power], place, f"$P_{power}$, in the truth")
        panel.set_xscale("log")
        _name_panel(panel, f"{name}: {loss}", "alpha", legend=True)
    return picture


def _follow_weights(sample: NoisyPolynomial, loss: str, alphas: Sequence[float]) -> Array:
    """Return the weights for each alpha, each descent starting where the one before it ended."""
    found = [numpy.zeros_like(sample.truth)]
    for alpha in alphas:
        found.append(find_minimum(loss, _fill(sample, loss, alpha), found[-1]))
    return numpy.array(found[1:])


# --- the gradient of a scalar on its contour lines ------------------------------------------------


def plot_gradients(
    *expressions: str, wrt: str = "x", reach: float = 2, values: Mapping[str, Any] | None = None
) -> Picture:
    """Plot contour lines of scalar functions of a vector with two entries, with their gradients as arrows.

    Both entries run from -reach to reach; the longest arrow of each panel has the same length.  Raises ShapeError where
    a function is not a scalar.  A function uses those of the `values` that it has names for.
    """
    picture, panels = open_picture(len(expressions), width=2.6 * len(expressions), height=2.8)
    for panel, expr in zip(panels, expressions, strict=True):
        derivative = derive(expr, wrt, layout="denominator", shapes=_shapes_told(values))
        _refuse_arrays(derivative, "has contour lines")
        given = {name: value for name, value in (values or {}).items() if name in derivative.problem.symbols}
        _draw_contours(panel, derivative, reach, given)
        _draw_arrows(panel, derivative, reach, given)
        _name_panel(panel, expr, f"{wrt}[0]", f"{wrt}[1]")
        panel.set_aspect("equal")
    return picture


def _draw_contours(panel: Axes, derivative: Derivative, reach: float, values: Mapping[str, Any]) -> None:
    line = numpy.linspace(-reach, reach, 41)
    points = [{**values, derivative.wrt.name: numpy.array([across, up])} for up in line for across in line]
    heights = numpy.array([_value_of_function(derivative, point) for point in points])
    # Where a function is flat, as relu on its left, the contour line of its least value is rounding errors.
    levels = MaxNLocator(8).tick_values(heights.min(), heights.max())
    above = [level for level in levels if level > heights.min() + 1e-9]
    panel.contour(line, line, heights.reshape(41, 41), levels=above, colors="#777777", linewidths=0.9)


def _draw_arrows(panel: Axes, derivative: Derivative, reach: float, values: Mapping[str, Any]) -> None:
    # An even number of points keeps the arrows off the axes, where norms have their kinks.
    line = numpy.linspace(-0.85 * reach, 0.85 * reach, 6)
    points = numpy.array([[a, b] for a in line for b in line])
    arrows = numpy.array([derivative.evaluate({**values, derivative.wrt.name: point}) for point in points])
    longest = numpy.linalg.norm(arrows, axis=1).max() or 1.0
    scaled = arrows / longest * (line[1] - line[0]) * 0.8
    panel.quiver(*points.T, *scaled.T, angles="xy", scale_units="xy", scale=1, color=COLOURS[1], width=0.009)


# --- a Jacobian as a matrix -------------------------------------------------------------------------


def plot_layouts(
    derivative: Derivative, values: Mapping[str, Any], layouts: Sequence[Layout] = ("numerator", "denominator")
) -> Picture:
    """Draw the numbers of a derivative as the matrix, row or column that each layout makes of them.

    Raises ShapeError for a derivative of more than two axes.
    """
    if len(derivative.shape) > 2:
        shape = write_shape(derivative.shape)
        raise ShapeError(f"the derivative has the shape {shape}, and a picture has two axes")
    picture, panels = open_picture(len(layouts), width=3.3 * len(layouts), height=2.9)
    for panel, layout in zip(panels, layouts, strict=True):
        _draw_matrix(panel, derivative.in_layout(layout), values)
    return picture


def _draw_matrix(panel: Axes, derivative: Derivative, values: Mapping[str, Any]) -> None:
    numbers = derivative.evaluate(values)
    # The unit axis of a row or a column is restored.
    is_column = len(derivative.shape) == 1 and not derivative.result.is_row(derivative.layout)
    matrix = numbers[:, None] if is_column else numpy.atleast_2d(numbers)
    bound = numpy.abs(matrix).max() or 1.0
    panel.imshow(matrix, cmap="RdBu_r", norm=TwoSlopeNorm(0, -bound, bound))
    for (row, column), number in numpy.ndenumerate(matrix):
        colour = "white" if abs(number) > 0.6 * bound else "black"
        panel.text(column, row, f"{number:.3g}", ha="center", va="center", fontsize=8, color=colour)
    panel.grid(visible=False)
    panel.set_xticks(range(matrix.shape[1]))
    panel.set_yticks(range(matrix.shape[0]))
    rows, columns = derivative.axes if len(derivative.axes) == 2 else ("", "".join(derivative.axes))
    if len(derivative.axes) == 1 and not derivative.result.is_row(derivative.layout):
        rows, columns = columns, rows
    _name_panel(panel, f"{derivative.layout}: {derivative}", columns, rows)


# --- an array of any rank: axes joined to rows and columns, blocks outlined -----------------------


MOST_CELLS = 10_000


def plot_unfolded(values: Any, rows: str = "", columns: str = "", split: int | None = None) -> Picture:
    """Return the heat map of an array whose first `split` axes, half of them by default, are joined to rows.

    The last axis of each side counts fastest, as in NumPy's reshape; lines stand where another axis moves on.  Zero
    is white, red is positive, blue negative.  `rows` and `columns` name the sides.  Raises DeclarationError for a
    split that is none and for an array of more than 10,000 entries.

    >>> plot_unfolded(numpy.ones((2, 3, 3, 2)), rows="Y[i, j]", columns="X[a, b]").axes[0].get_xlabel()
    'X[a, b]'
    """
    array = numpy.asarray(values, dtype=float)
    split = array.ndim // 2 if split is None else split
    if not 0 <= split <= array.ndim:
        raise DeclarationError(f"an array of {array.ndim} axes is split after 0 to {array.ndim} of them, not {split}")
    if not 0 < array.size <= MOST_CELLS:
        raise DeclarationError(f"an array of {array.size} entries cannot be drawn", advice=f"1 to {MOST_CELLS:,}")
    sides = array.shape[:split], array.shape[split:]
    cells = array.reshape([math.prod(side) for side in sides])
    height, width = cells.shape
    # The inches that leave the cells about square, within a page.
    picture, (panel,) = open_picture(1, width=min(7.4, max(2.4, 2.0 * width / height + 1.2)), height=2.6)
    largest = float(numpy.abs(cells).max()) or 1.0
    image = panel.imshow(cells, cmap="RdBu_r", vmin=-largest, vmax=largest)
    panel.grid(False)
    panel.set_xticks([])
    panel.set_yticks([])
    picture.colorbar(image, ax=panel, shrink=0.8).ax.tick_params(labelsize=8)
    _outline(panel, sides)
    panel.set_ylabel(rows, fontsize=8)
    panel.set_xlabel(columns, fontsize=8)
    return picture


def _outline(panel: Axes, sides: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Draw a line after every block: as many cells as the last of several joined axes has."""
    for side, draw in zip(sides, (panel.axhline, panel.axvline), strict=True):
        if len(side) > 1:
            for place in range(side[-1], math.prod(side), side[-1]):
                draw(place - 0.5, color="black", linewidth=1)


# --- curves that were computed elsewhere ----------------------------------------------------------


def plot_curves(
    across: Sequence[float], curves: Mapping[str, Any], *, title: str = "", along: str = "", up: str = "",
    points: tuple[Any, Any] | None = None, log: str = "", limits: tuple[float, float] | None = None,
) -> Picture:  # fmt: skip
    """Plot several curves over the same numbers, told apart by colour and dashes, with a legend.

    `points` are dots to show as well; `log` names the axes that are logarithmic, "x", "y" or "xy"; `limits` are those
    of the heights.
    """
    picture, (panel,) = open_picture(1, width=5.4, height=3.0)
    if points is not None:
        panel.plot(*points, "o", color="black", markersize=4)
    for place, (label, heights) in enumerate(curves.items()):
        _draw_line(panel, across, heights, place, label)
    if "x" in log:
        panel.set_xscale("log")
    if "y" in log:
        panel.set_yscale("log")
    if limits is not None:
        panel.set_ylim(*limits)
    _name_panel(panel, title, along, up, legend=True)
    return picture


# --- a matrix and the unit circle -----------------------------------------------------------------


def plot_circle_images(matrices: Mapping[str, Any], reach: float | None = None) -> Picture:
    """Plot what 2×2 matrices make of the unit circle: an ellipse whose half axes are the singular values.

    `matrices` are titles with matrices, a panel for each.  Arrows are the half axes, s1*u1 and s2*u2; the dotted circle
    has the largest singular value for its radius, the spectral norm.  Raises ShapeError for a matrix of another shape.
    """
    arrays = {title: numpy.asarray(matrix, dtype=float) for title, matrix in matrices.items()}
    for title, matrix in arrays.items():
        if matrix.shape != (2, 2):
            raise ShapeError(f"{title} has the shape {matrix.shape}, and only a 2×2 matrix is drawn")
    reach = reach or 1.1 * max(1.0, *(float(numpy.linalg.norm(matrix, 2)) for matrix in arrays.values()))
    picture, panels = open_picture(len(arrays), width=2.5 * len(arrays), height=2.9)
    for panel, (title, matrix) in zip(panels, arrays.items(), strict=True):
        _draw_circle_image(panel, matrix)
        _name_panel(panel, title)
        panel.set_xlim(-reach, reach)
        panel.set_ylim(-reach, reach)
        panel.set_aspect("equal")
    return picture


def _draw_circle_image(panel: Axes, matrix: Array) -> None:
    angles = numpy.linspace(0, 2 * math.pi, POINTS)
    circle = numpy.array([numpy.cos(angles), numpy.sin(angles)])
    left, stretches, _ = numpy.linalg.svd(matrix)
    panel.plot(*circle, color="#999999", linewidth=1, linestyle="--")
    panel.plot(*(stretches[0] * circle), color="#bbbbbb", linewidth=1, linestyle=":")
    panel.plot(*(matrix @ circle), color=COLOURS[0], linewidth=1.8)
    for place, (direction, stretch) in enumerate(zip(left.T, stretches, strict=True)):
        # Of the two directions of an axis the one that points up, so that a picture does not depend on signs.
        upward = direction if (direction[1], direction[0]) > (-1e-12, 0) else -direction
        colour = COLOURS[1 + place]
        if stretch > 1e-9:
            panel.quiver(
                0, 0, *(stretch * upward), angles="xy", scale_units="xy", scale=1, color=colour, width=0.012, zorder=3
            )
        panel.plot([], [], color=colour, label=f"$\\sigma_{place + 1}$ = {stretch:.2f}")
    panel.legend(fontsize=7, loc="lower right")
