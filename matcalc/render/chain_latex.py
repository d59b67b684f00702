"""The chain rule as LaTeX: the product with its shapes, the parts, and the derivative of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matcalc.render.latex_names import write_name
from matcalc.render.to_latex import to_latex

if TYPE_CHECKING:
    from matcalc.render.chain import Chain, Factor

_FRACTION = re.compile(r"d(\w+)/d(\w+)")
_EINSUM = re.compile(r"einsum\('([^']*)', (.*)\)")


def write_chain_latex(chain: Chain) -> str:
    r"""Return a chain as an `aligned` block: \frac{\partial y}{\partial x} = ..., where u = ..., its factors."""
    factors = list(reversed(chain.factors))
    rows = [_write_product(chain)] if len(factors) > 1 else []
    rows += [f"&&& \\text{{{chain.summed}}}"] if chain.summed and rows else []
    rows += [f"{write_name(factor.name)} &= {to_latex(factor.derivative.function)}" for factor in factors]
    rows += [_write_factor(factor) for factor in chain.factors]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _write_product(chain: Chain) -> str:
    left, _, right = chain.product.partition(" = ")
    contraction = _EINSUM.fullmatch(right)
    if contraction:
        word, operands = contraction.groups()
        inside = _write_fractions(operands.replace(", ", ",\\, "))
        product = f"\\operatorname{{einsum}}(\\texttt{{{word.replace('->', '→')}}},\\, {inside})"
    else:
        turned = right.replace(" @ ", "\\, ").replace("(", "\\left(").replace(").T", "\\right)^\\top")
        product = _write_fractions(turned)
    return f"{_write_fractions(left)} &= {product} && \\text{{{chain.shapes}}}"


def _write_factor(factor: Factor) -> str:
    shape = factor.derivative.header.partition("layout, ")[2].replace("×", "$\\times$")
    return f"{_write_fractions(factor.left)} &= {factor.derivative.latex()} && \\text{{{shape}}}"


def _write_fractions(text: str) -> str:
    return _FRACTION.sub(
        lambda found: f"\\frac{{\\partial {write_name(found[1])}}}{{\\partial {write_name(found[2])}}}", text
    )
