"""A short way to write nodes of the index form in tests: letters name the indices, as in einsum."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from matcalc.engine.index_form import Graph, Node
from matcalc.engine.index_to_matrix import MatrixReader
from matcalc.engine.result import read_result
from matcalc.language.expression import symbol
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import Size

M, N, K = (Size.of(letter) for letter in "mnk")


def variable(graph: Graph, name: str, *sizes: Any, assume: str = "") -> Node:
    """X, or x, of these sizes."""
    shape = tuple(Size.of(size) for size in sizes)
    return graph.variable(symbol(name, shape, frozenset([assume] if assume else [])))


def multiply(graph: Graph, subscripts: str, *factors: Node, by: int | Fraction = 1) -> Node:
    """multiply(graph, "ij,j->i", A, x) is A @ x."""
    inputs, output = subscripts.split("->")
    label = {letter: graph.fresh(1)[0] for letter in sorted(set(subscripts) & set("abcdefghijklmnopqrstuvwxyzI"))}
    parts = [(factor, tuple(label[a] for a in at)) for factor, at in zip(factors, inputs.split(","), strict=True)]
    return graph.product(by, parts, [label[letter] for letter in output])


def add(graph: Graph, *terms: tuple[int, Node]) -> Node:
    """The sum of terms of one shape."""
    axes = graph.fresh(terms[0][1].rank)
    return graph.sum([(c, node, axes) for c, node in terms], axes, terms[0][1].shape)


def write(graph: Graph, node: Node) -> str:
    """The text that a reader would see for a node."""
    return to_text(read_result(MatrixReader(graph), node))
