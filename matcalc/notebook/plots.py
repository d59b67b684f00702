"""Pictures of functions and their derivatives, every value computed from a formula that matcalc reads or derives."""

from matcalc.notebook.plots_curves import plot_along_entry, plot_function_and_derivative
from matcalc.notebook.plots_depth import plot_gradient_against_depth
from matcalc.notebook.plots_fits import (
    NoisyPolynomial,
    draw_noisy_polynomial,
    find_minimum,
    plot_fits,
    plot_weights,
)
from matcalc.notebook.plots_planes import plot_gradients, plot_layouts
from matcalc.notebook.plots_unfolded import plot_unfolded

__all__ = [
    "NoisyPolynomial", "draw_noisy_polynomial", "find_minimum",
    "plot_along_entry", "plot_fits", "plot_function_and_derivative", "plot_gradient_against_depth",
    "plot_gradients", "plot_layouts", "plot_unfolded", "plot_weights",
]  # fmt: skip
