"""How the gradient at the input of a deep network shrinks with its depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from matcalc.derivation import derive
from matcalc.notebook.plots_picture import Picture, draw_line, name_panel, open_picture

Array = NDArray[numpy.float64]


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
        draw_line(panel, depths, lengths, place, activation)
    if "sigmoid" in activations:
        bound = [0.25**layers for layers in depths]
        panel.plot(depths, bound, color="#999999", linewidth=0.8, label="bound $(1/4)^L$")
    panel.set_yscale("log")
    name_panel(panel, "length of df/dx", "layers $L$", legend=True)
    return picture


def _draw_network(depth: int, width: int, seed: int) -> dict[str, Array]:
    generator = numpy.random.default_rng(seed)
    weights = {f"W_{layer}": _draw_orthogonal(generator, width) for layer in range(1, depth + 1)}
    last = generator.normal(size=width)
    return {"x": generator.normal(size=width), "c": last / numpy.linalg.norm(last), **weights}


def _draw_orthogonal(generator: numpy.random.Generator, width: int) -> Array:
    return numpy.linalg.qr(generator.normal(size=(width, width)))[0]


def _measure_gradient(activation: str, layers: int, values: dict[str, Array]) -> float:
    text = "x"
    for layer in range(1, layers + 1):
        text = f"{activation}(W_{layer} @ {text})"
    used = {name: value for name, value in values.items() if name in ("x", "c") or int(name[2:]) <= layers}
    square = {name: ("n", "n") for name in used if name.startswith("W_")}
    gradient = derive(f"c.T @ {text}", "x", layout="denominator", shapes=square)
    return float(numpy.linalg.norm(gradient.evaluate(used)))
