"""Pieces of Python source: a text, how strongly it binds, and the shape of its value."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from matcalc.language.expression_to_text import ATOM, POWER, PRODUCT, SIGN, SUM
from matcalc.language.sizes import Shape, squeeze_shape


@dataclass(frozen=True)
class CodePart:
    """The source of a value; arrays have no unit axes, `shape` is the 2-D one; a `plain` part is a Python number."""

    text: str
    level: int
    shape: Shape
    plain: bool = False

    @property
    def rank(self) -> int:
        """The number of axes that the value has when the code runs."""
        return len(squeeze_shape(self.shape))

    @property
    def is_simple(self) -> bool:
        """Whether writing the text twice computes nothing twice."""
        return self.plain or re.fullmatch(r"\w+(\.T)?", self.text) is not None

    def wrap(self, level: int) -> str:
        """Return the text, in brackets where it binds weaker than `level`."""
        return self.text if self.level >= level else f"({self.text})"


def align(part: CodePart, shape: Shape) -> CodePart:
    """Return the part indexed so that it broadcasts against an array of a 2-D shape as arrays of 2-D shapes would.

    >>> from matcalc.language.sizes import UNIT, Size
    >>> m, n = Size.of("m"), Size.of("n")
    >>> align(CodePart("x", ATOM, (m, UNIT)), (m, n)).text
    'x[:, None]'
    """
    if not part.rank or len(part.shape) != len(shape):
        return part
    kept = [own for own, size in zip(part.shape, shape, strict=True) if not size.is_unit]
    index = ["None" if own.is_unit else ":" for own in kept]
    while index and index[0] == "None":
        del index[0]
    if "None" not in index:
        return part
    return CodePart(f"{part.wrap(ATOM)}[{', '.join(index)}]", ATOM, part.shape)


def hold_part(part: CodePart) -> CodePart:
    """Return the part with its unit axes put back: x[:, None] of a column, x[None, :] of a row.

    >>> from matcalc.language.sizes import UNIT, Size
    >>> hold_part(CodePart("x", ATOM, (UNIT, Size.of("n")))).text
    'x[None, :]'
    """
    if part.rank == len(part.shape):
        return part
    index = ", ".join("None" if size.is_unit else ":" for size in part.shape)
    return CodePart(f"{part.wrap(ATOM)}[{index}]", ATOM, part.shape)


_SYMBOLS = {
    "add": ("+", SUM), "subtract": ("-", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "matmul": ("@", PRODUCT), "power": ("**", POWER),
}  # fmt: skip


def join_parts(op: str, left: CodePart, right: CodePart, shape: Shape) -> CodePart:
    """Return left op right, entry by entry or, for matmul, as a product."""
    symbol, level = _SYMBOLS[op]
    if op != "matmul":
        left, right = align(left, shape), align(right, shape)
    if op == "power":
        first, second = left.wrap(ATOM), right.wrap(SIGN)
    else:
        first, second = left.wrap(level), right.wrap(PRODUCT if level == SUM else POWER)
        if second.startswith("-"):
            second = f"({second})"
    return CodePart(f"{first} {symbol} {second}", level, shape, left.plain and right.plain)


def negate_part(part: CodePart) -> CodePart:
    """Return -part."""
    return CodePart(f"-{part.wrap(POWER)}", SIGN, part.shape, part.plain)


def align_labels(part: CodePart, own: Sequence[Hashable], wanted: Sequence[Hashable]) -> CodePart:
    """Return the part indexed so that it broadcasts against an array whose axes have the wanted indices.

    >>> align_labels(CodePart("x", ATOM, ()), "a", "ab").text
    'x[:, None]'
    """
    index = [":" if label in own else "None" for label in wanted]
    while index and index[0] == "None":
        del index[0]
    if "None" not in index:
        return part
    return CodePart(f"{part.wrap(ATOM)}[{', '.join(index)}]", ATOM, part.shape, part.plain)


def transpose_part(part: CodePart) -> CodePart:
    """Return the part transposed, which of vectors leaves the value as it is."""
    shape = part.shape[::-1]
    if part.rank < 2:
        return CodePart(part.text, part.level, shape, part.plain)
    text = part.text[:-2] if part.level == ATOM and part.text.endswith(".T") else part.wrap(ATOM) + ".T"
    return CodePart(text, ATOM, shape)
