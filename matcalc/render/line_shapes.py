"""The shapes beside a line: (m, n) @ (n, k) @ (k, l) of a chain of products, else the shapes of what it is made of."""

from __future__ import annotations

from collections.abc import Iterator

from matcalc.engine.assemble import flatten
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, write_shape

LONGEST = 100


def write_line_shapes(line: Expression) -> str:
    """Return the shapes of the chains of products in a line and of the whole line.

    >>> from matcalc.language.text_to_expression import parse
    >>> write_line_shapes(parse("A @ x + 2*B @ x").expressions[0])
    '(m, n) @ (n, 1), shape (m,)'
    """
    told = tell_shape(line.dropped_shape)
    chains = dict.fromkeys(" @ ".join(map(write_held, chain)) for chain in _list_chains(line))
    text = ", ".join([*chains, told])
    return text if len(text) <= LONGEST else told


def tell_shape(shape: Shape) -> str:
    """A shape without unit axes in words: shape (m, n), or a scalar."""
    return f"shape {write_shape(shape)}" if shape else "a scalar"


def write_held(shape: Shape) -> str:
    """A shape with its unit axes: (1, n) for a row."""
    return "(" + ", ".join(map(str, shape)) + ")"


def _list_chains(line: Expression) -> Iterator[list[Shape]]:
    """The shapes of the factors of every chain that stands at the top of a term."""
    stack = [line]
    while stack:
        node = stack.pop()
        if node.op in ("add", "subtract", "negate", "divide", "transpose"):
            stack += reversed(node.args)
        elif node.op == "multiply":
            stack += [arg for arg in reversed(node.args) if arg.op != "number"]
        elif node.op == "call" and node.data[0].function in ("trace", "sum") and node.data[1] is None:
            stack.append(node.args[0])
        elif node.op == "matmul":
            yield [factor.shape for factor in flatten(node)]
