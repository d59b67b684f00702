"""Computation graph -> Markdown tables, every symbol typeset: nodes, local derivatives, both modes step by step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.language.sizes import write_shape
from matcalc.render.graph_costs import Accumulation, Polynomial
from matcalc.render.latex import to_latex

if TYPE_CHECKING:
    from matcalc.render.graph import ComputationGraph

_DERIVATIVE = re.compile(r"([d∂])(\w+)/[d∂](\w+)")


@dataclass(frozen=True)
class GraphTable:
    """A computation graph as Markdown with typeset formulas, which a notebook shows."""

    markdown: str

    def __str__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


def write_graph_table(graph: ComputationGraph) -> GraphTable:
    r"""Return the graph as tables; a local derivative is written with \partial, what a mode carries with d.

    >>> from matcalc.derivation import derive
    >>> print(str(write_graph_table(derive("x.T @ x", "x").graph())).splitlines()[8])
    | $\frac{\partial v_{1}}{\partial x}$ | $I_{n}$ | (n, n) | $0$ |
    """
    names = {node.name: to_latex(node.symbol) for node in graph.nodes}
    nodes = [
        [f"${names[node.name]}$", "input" if node.is_input else f"${_escape(to_latex(node.body))}$", node.shape_told]
        for node in graph.nodes
    ]
    edges = [
        [f"${_typeset(edge.name, names)}$", f"${_escape(to_latex(edge.expression))}$", write_shape(edge.shape),
         _typeset_count(edge.multiplications)]
        for edge in graph.edges
    ]  # fmt: skip
    tables = [
        _write_rows(["node", "is", "shape"], nodes),
        _write_rows(["local derivative", "is", "shape", "multiplications for one direction"], edges),
        *(_write_mode(mode, names) for mode in (graph.forward, graph.reverse) if mode.visits),
    ]
    return GraphTable("\n\n".join(tables))


def _write_mode(mode: Accumulation, names: dict[str, str]) -> str:
    rows = [
        [f"${names[visit.node]}$", "; ".join(_typeset_line(part, names) for part in visit.product.split("; ")),
         _typeset_count(visit.multiplications)]
        for visit in mode.visits
    ]  # fmt: skip
    return _write_rows([f"{mode.mode} accumulation at", "step", "multiplications"], rows)


def _typeset_line(line: str, names: dict[str, str]) -> str:
    """Return one step: an equation, an addition to what is there, or a remark."""
    remark = " is complete"
    if line.endswith(remark):
        return f"${_typeset(line.removesuffix(remark), names)}${remark}"
    return f"${_typeset(line, names)}$".replace("+=", r"\mathrel{+}=").replace("·", r"\cdot")


def _typeset(text: str, names: dict[str, str]) -> str:
    r"""Return dv2/dx and ∂v2/∂v1 as fractions, with \mathrm{d} and with \partial."""
    signs = {"d": r"\mathrm{d}", "∂": r"\partial "}
    return _DERIVATIVE.sub(
        lambda found: rf"\frac{{{signs[found[1]]}{names[found[2]]}}}{{{signs[found[1]]}{names[found[3]]}}}", text
    )


def _typeset_count(count: Polynomial) -> str:
    """Return a number of multiplications: a bare n**2*m would be read as bold by Markdown."""
    return "$" + re.sub(r"\*\*(\d+)", r"^{\1}", str(count)).replace("*", r"\,") + "$"


def _escape(latex: str) -> str:
    """Return LaTeX without bars, which would end a cell of the table."""
    return latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _write_rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
