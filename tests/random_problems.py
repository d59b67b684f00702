"""Random problems: expressions of the whole language, typed by their shapes.

Expressions are written from the result down, so that each is valid: whoever needs an (m, n) matrix asks for
one.  Functions with a domain get arguments that mostly lie in it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from matcalc.engine.layout import LAYOUTS
from tests.random_operations import REDUCTIONS, Operations
from tests.random_parts import SCALAR, Pick, Shape, bracket, drop_units


@dataclass(frozen=True)
class Case:
    """One random problem, as it is given to `derive`."""

    expr: str
    wrt: str
    shapes: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    assume: dict[str, str] = field(default_factory=dict)
    layout: str = "numerator"
    order: int = 1

    def options(self) -> dict[str, Any]:
        """Return the keywords of `derive`."""
        return {"wrt": self.wrt, "shapes": self.shapes, "assume": self.assume, "layout": self.layout,
                "order": self.order, "syntax": "matcalc"}  # fmt: skip

SQUARE = (
    "inv", "expm", "sqrtm", "matrix_power", "diag", "diag", "pinv", "quadratic", "det", "sum", "sym", "skew", "adj",
    "cov",
)  # fmt: skip
PAIRS = (
    "cross_entropy", "cross_entropy", "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "cosine_similarity",
    "binary_cross_entropy_with_logits",
)  # fmt: skip


class Writer(Operations):
    """Writes expressions of asked shapes, and keeps what it said about the names."""

    def produce(self, shape: Shape, depth: int) -> str:
        return str(self.pick(_list_productions(shape))(self, shape, depth))

    # --- scalars ----------------------------------------------------------------------------------------------

    def reduction(self, shape: Shape, depth: int) -> str:
        return f"{self.pick(REDUCTIONS)}({self.write(self.any_shape(), depth)})"

    def norm(self, shape: Shape, depth: int) -> str:
        kind = self.pick(("", "", ", 1", ", 2", ", 3", ", p", ", 'nuc'", ", 'fro'", ", 2m"))
        if kind == "":
            return f"norm({self.write(self.any_shape(), depth)})"
        if kind in (", 'nuc'", ", 'fro'", ", 2m"):
            return f"norm({self.write((self.size(), self.size()), depth)}{kind.removesuffix('m')})"
        power = f", {self.positive(SCALAR, 0)} + 1" if kind == ", p" else kind
        return f"norm({self.write((self.size(), '1'), depth)}{power})"

    def determinant(self, shape: Shape, depth: int) -> str:
        name, size = self.pick(("trace", "det", "logdet", "logabsdet")), self.size()
        if name == "trace":
            return f"trace({self.write((size, size), depth)})"
        return f"{name}({self.posdef(size, depth) if name == 'logdet' else self.invertible(size, depth)})"

    def dot(self, shape: Shape, depth: int) -> str:
        size, other = self.size(), self.size()
        left = self.write((size, "1"), depth)
        right = self.other((size, "1"), depth)
        matrix = bracket(self.other((size, other), depth))
        return str(self.pick((
            f"dot({left}, {right})", f"{bracket(left)}.T @ {bracket(right)}", f"{bracket(left)} @ {bracket(right)}",
            f"{self.pick(PAIRS)}({left}, {right})",
            f"{self.pick(('binary_cross_entropy', 'kl_div'))}(sigmoid({left}), sigmoid({right}))",
            f"{bracket(left)}.T @ {matrix} @ {bracket(self.other((other, '1'), 0))}",
            f"({bracket(left)} - {bracket(right)}).T @ {bracket(left)}",
        )))  # fmt: skip

    # --- vectors ------------------------------------------------------------------------------------------------

    def reduced(self, shape: Shape, depth: int) -> str:
        """A matrix reduced along an axis, to a column, or with keepdims to a row."""
        name, size, other = self.pick(REDUCTIONS), *drop_units(shape), self.size()
        if shape[0] == "1":
            return f"{name}({self.write((other, size), depth)}, axis=0, keepdims=True)"
        if self.happens(50):
            return f"{name}({self.write((other, size), depth)}, axis=0)"
        return f"{name}({self.write((size, other), depth)}, axis={self.pick(('1', '-1', '1, keepdims=True'))})"

    def product(self, shape: Shape, depth: int) -> str:
        inner = self.size()
        return f"{self.inner((shape[0], inner), depth)} @ {bracket(self.other((inner, shape[1]), depth))}"

    def vector_function(self, shape: Shape, depth: int) -> str:
        size = shape[0]
        kind = self.pick(("cumsum", "diag", "solve", "inverse", "vec", "long", "basis", "cross", "slice"))
        if kind == "slice" and "*" not in size:
            part = self.pick(("[1:], 0, 1", "[1:], 1, 0", "[:-1], 1, 0", "[:-1], 0, 1"))
            return f"pad({bracket(self.write(shape, depth))}{part})"
        if kind == "basis" and self.may_write_sizes and "*" not in size:
            return f"basis({size}, {self.pick('01')})*{self.write(SCALAR, depth)}"
        if kind == "cross" and size == "3":
            return f"cross({self.write(shape, depth)}, {self.other(shape, depth)})"
        if kind == "cumsum":
            return f"cumsum({self.write(shape, depth)})"
        if kind == "vec":
            return f"vec({self.write(shape, depth)})"
        if kind == "diag" or "*" in size:
            return f"diag({self.write((size, size), depth)})"
        if kind == "long":
            other = self.size()
            return f"{self.inner((size, f'{other}*{size}'), 0)} @ {bracket(self.long((f'{other}*{size}', '1'), depth))}"
        matrix, vector = self.invertible(size, depth), self.other(shape, depth)
        return f"solve({matrix}, {vector})" if kind == "solve" else f"inv({matrix}) @ {bracket(vector)}"

    def long(self, shape: Shape, depth: int) -> str:
        """A vector whose size is a product: vec(X) or kron(a, b)."""
        first, second = shape[0].split("*", 1)
        if self.happens(60) or "*" in second:
            return f"vec({self.write((second, first), depth)})" if "*" not in second else self.leaf(shape)
        return f"kron({self.write((first, '1'), depth)}, {self.other((second, '1'), depth)})"

    def turned(self, shape: Shape, depth: int) -> str:
        return f"{self.inner(shape[::-1], depth)}.T"

    # --- matrices ----------------------------------------------------------------------------------------------

    def outer(self, shape: Shape, depth: int) -> str:
        column, row = self.write((shape[0], "1"), depth), self.other((shape[1], "1"), depth)
        return str(self.pick((f"outer({column}, {row})", f"{bracket(column)} @ {bracket(row)}.T")))

    def triangle(self, shape: Shape, depth: int) -> str:
        text = self.write(shape, depth)
        return str(self.pick((f"tril({text})", f"triu({text})", f"cumsum({text}, axis=0)", f"cumsum({text}, axis=1)")))

    def pseudo_inverse(self, shape: Shape, depth: int) -> str:
        return f"pinv({self.write(shape[::-1], depth)})"

    def solved(self, shape: Shape, depth: int) -> str:
        return f"solve({self.invertible(shape[0], depth)}, {self.other(shape, depth)})"

    def kron(self, shape: Shape, depth: int) -> str:
        """kron(A, B), whose sizes are products, summed back to the shape asked for."""
        if not self.may_write_sizes:
            return self.leaf(shape)
        rows, columns, a, b = *shape, self.size(), self.size()
        text = f"kron({self.write((rows, a), depth)}, {self.other((b, columns), depth)})"
        return f"kron(eye({rows}), ones({b})).T @ {text} @ kron(ones({a}), eye({columns}))"

    def square_function(self, shape: Shape, depth: int) -> str:
        size = shape[0]
        kind = self.pick(SQUARE)
        if kind in ("sym", "skew"):
            return f"{kind}({self.write(shape, depth)})"
        if kind == "adj":
            return f"adj({self.invertible(size, depth)})"
        if kind == "cov":
            return f"cov({self.write((size, self.size()), depth)})"
        if kind == "diag":
            return f"diag({self.write((size, '1'), depth)})"
        if kind == "expm":
            return f"expm({self.moderate(shape, depth)})"
        if kind == "sqrtm":
            return f"sqrtm({self.posdef(size, depth)})"
        if kind == "matrix_power":
            power = self.pick(("2", "3", "0", "1", "-1", "4", "-2"))
            base = self.invertible(size, depth) if power[0] == "-" else self.write(shape, depth)
            return f"matrix_power({base}, {power})"
        part = self.inner(shape, depth)
        if kind == "quadratic":
            return f"{part}.T @ {part}"
        if kind == "sum":
            return f"{part} + {part}.T"
        matrix = self.invertible(size, depth)
        return {"inv": f"inv({matrix})", "pinv": f"pinv({part})"}.get(kind, f"det({matrix})*{part}")

    def joined(self, shape: Shape, depth: int) -> str:
        """kron(A, B) where both sizes are products."""
        (a, b), (c, d) = (size.split("*", 1) for size in shape)
        return f"kron({self.write((a, c), depth)}, {self.other((b, d), depth)})"

    def half_joined(self, shape: Shape, depth: int) -> str:
        """kron of a vector and a matrix, where the first size is a product."""
        a, b = shape[0].split("*", 1)
        if self.happens(50):
            return f"kron({self.write((a, '1'), depth)}, {self.other((b, shape[1]), depth)})"
        return f"kron({self.write((a, shape[1]), depth)}, {self.other((b, '1'), depth)})"


Production = Callable[[Writer, Shape, int], str]
_EVERYWHERE: list[Production] = [
    Writer.smooth, Writer.smooth, Writer.smooth, Writer.guarded, Writer.arithmetic, Writer.arithmetic,
    Writer.arithmetic, Writer.power, Writer.choose, Writer.negative, Writer.along, Writer.reuse, Writer.scaled_by,
    Writer.abstract, Writer.einsum,
]  # fmt: skip
_SCALARS: list[Production] = [Writer.reduction, Writer.norm, Writer.determinant, Writer.dot] * 3
_ROWS: list[Production] = [Writer.reduced, Writer.product, Writer.turned]
_COLUMNS: list[Production] = [Writer.vector_function] * 4 + [Writer.reduced, Writer.product, Writer.product]
_MATRICES: list[Production] = [
    Writer.product, Writer.product, Writer.outer, Writer.triangle, Writer.triangle, Writer.pseudo_inverse,
    Writer.solved, Writer.kron, Writer.turned,
]  # fmt: skip
_BEYOND: list[Production] = [Writer.smooth, Writer.einsum, Writer.einsum]


def _list_productions(shape: Shape) -> list[Production]:
    if len(shape) > 2:
        return _BEYOND
    if shape == SCALAR:
        return _EVERYWHERE + _SCALARS
    if shape[1] == "1":
        return _EVERYWHERE + _COLUMNS + ([Writer.long] * 9 if "*" in shape[0] else [])
    if shape[0] == "1":
        return _EVERYWHERE + _ROWS
    square = [Writer.square_function] * 8 if shape[0] == shape[1] else []
    joined = [Writer.joined] * 9 if "*" in shape[0] and "*" in shape[1] else []
    half_joined = [Writer.half_joined] * 9 if "*" in shape[0] and "*" not in shape[1] else []
    return _EVERYWHERE + _MATRICES + square + joined + half_joined


# --- problems ---------------------------------------------------------------------------------------------


SIZES = (("m", "n", "p"), ("m", "n"), ("n",), ("m", "3"), ("2", "3"), ("n", "k", "2"))


def number_case(number: int, max_depth: int = 5) -> Case:
    """Return the problem with that number, the same each time."""
    return write_case(random.Random(number).choice, max_depth)


def write_case(pick: Pick, max_depth: int = 5) -> Case:
    """Return a problem, every choice made by `pick`."""
    sizes = pick(SIZES)
    declared = pick(range(5)) > 0 or any(size.isdigit() for size in sizes)
    writer = Writer(pick, *_choose_wrt(pick, sizes, declared), sizes, bare=declared)
    shape = _choose_result(writer, declared)
    order = pick((1, 1, 2)) if len(shape) == 2 else 1
    text = writer.write(shape, pick(range(1, max_depth + 2 - order)))
    if not _occurs(writer.wrt, text) and len(shape) == 2 and writer.happens(95):
        text = f"{bracket(text)}{pick('+-*')}{bracket(writer.bridge(shape))}"
    if writer.wrt_shape[0] == writer.wrt_shape[1] != "1" and writer.happens(30):
        writer.assume.setdefault(writer.wrt, writer.assumption(writer.wrt_shape))
    said = writer.variables | writer.functions if declared else {writer.wrt: writer.wrt_shape} | writer.functions
    return Case(
        text, writer.wrt, {name: _declare(found) for name, found in said.items()},
        {name: word for name, word in writer.assume.items() if declared or _occurs(name, text)},
        pick(LAYOUTS), order,
    )  # fmt: skip


def _occurs(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _choose_wrt(pick: Pick, sizes: tuple[str, ...], declared: bool) -> tuple[str, Shape]:
    kind = pick("svvmmmq")
    if kind == "s":
        return pick(("alpha", "x")) if declared else "alpha", SCALAR
    if kind == "v":
        return pick(("x", "w")), (pick(sizes), "1")
    rows = pick(sizes)
    return pick(("X", "W")), (rows, rows if kind == "q" else pick(sizes))


def _choose_result(writer: Writer, declared: bool) -> Shape:
    if declared and writer.happens(6):
        long = f"{writer.size()}*{writer.size()}"
        return (long, str(writer.pick(("1", writer.size(), f"{writer.size()}*{writer.size()}"))))
    if writer.happens(2):
        return (writer.size(), writer.size(), writer.size())
    return writer.any_shape() if writer.happens(65) else SCALAR


def _declare(shape: Shape) -> tuple[str | int, ...]:
    return tuple(int(size) if size.isdigit() else size for size in drop_units(shape))
