"""Overfitting and what holds it back: a noisy polynomial, fitted by gradient descent along matcalc's derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from matplotlib.axes import Axes
from numpy.polynomial import legendre
from numpy.typing import NDArray

from matcalc.derivation import Derivative, derive
from matcalc.errors import EvaluationError
from matcalc.notebook.plots_picture import COLOURS, Picture, draw_line, name_panel, open_picture, shapes_told

Array = NDArray[numpy.float64]


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
    gradient = derive(loss, wrt, layout="denominator", shapes=shapes_told(values))
    weights = numpy.array(start, dtype=float)
    step = _choose_step(loss, {**values, wrt: weights}, wrt)
    for _ in range(steps):
        slope = _find_slope(gradient, values, weights)
        if numpy.abs(slope).max() < _FLAT:
            return weights
        moved = weights - step * slope
        weights = numpy.where(moved * weights < 0, 0.0, moved)
    raise EvaluationError(f"{loss} is still falling after {steps} steps", advice="give more steps, or scale the data")


def _choose_step(loss: str, values: Mapping[str, Any], wrt: str) -> float:
    hessian = derive(loss, wrt, order=2, shapes=shapes_told(values)).evaluate(values)
    eigenvalues = numpy.linalg.eigvalsh(numpy.atleast_2d(hessian))
    return float(2 / (eigenvalues[0] + eigenvalues[-1]))


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
        draw_line(left, every, sample.columns(every) @ weights, place, label)
        _draw_weights(right, weights, place, len(losses), name)
    right.set_xticks(range(len(sample.truth)), [f"$P_{power}$" for power in range(len(sample.truth))])
    name_panel(left, "fits of the noisy points", "t", legend=True)
    name_panel(right, "weights", legend=True)
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
            draw_line(panel, alphas, paths[power], place, f"$P_{power}$, in the truth")
        panel.set_xscale("log")
        name_panel(panel, f"{name}: {loss}", "alpha", legend=True)
    return picture


def _follow_weights(sample: NoisyPolynomial, loss: str, alphas: Sequence[float]) -> Array:
    """Return the weights for each alpha, each descent starting where the one before it ended."""
    found = [numpy.zeros_like(sample.truth)]
    for alpha in alphas:
        found.append(find_minimum(loss, _fill(sample, loss, alpha), found[-1]))
    return numpy.array(found[1:])
