"""The mark d(..): the change of what stands in its brackets, while the variable changes by dX."""

from __future__ import annotations

from matcalc.language import expression as ex
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Shape, drop_units

# No name of a reader has a space in it.
MARK = "the change of"


def mark(node: Expression) -> Expression:
    """d(node), of the same held shape."""
    return ex.abstract(MARK, node, node.shape)


def is_mark(node: Expression) -> bool:
    """Whether the node is d(..)."""
    return node.op == "abstract" and node.name == MARK


def list_marks(line: Expression) -> list[Expression]:
    """The marks of a line, in reading order."""
    return [node for node in walk(line) if is_mark(node)]


def change_of(letter: Expression) -> Expression:
    """dU of a variable U; of what is no variable the mark."""
    return ex.symbol(f"d{letter.name}", letter.shape) if letter.op == "symbol" else mark(letter)


def zeros(shape: Shape) -> Expression:
    """Zeros of a held shape."""
    return ex.filled("zeros", *_name_sizes(shape)) if drop_units(shape) else ex.number(0)


def fit(node: Expression, shape: Shape) -> Expression:
    """Return the node with a column turned to a row or the reverse, or repeated along the axes that it lacks."""
    if node.shape == shape:
        return node
    if node.shape == shape[::-1]:
        return ex.transpose(node)
    return ex.multiply(ex.filled("ones", *_name_sizes(shape)), node)


def _name_sizes(shape: Shape) -> Shape:
    """The sizes of zeros and ones as they are written: a column has one."""
    return shape[:1] if len(shape) == 2 and shape[1].is_unit else shape
