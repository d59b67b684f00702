"""Hypothesis strategies for random problems: expressions of the whole language, typed by their shapes.

Expressions are written from the result down, so that each is valid: whoever needs an (m, n) matrix asks for
one.  Functions with a domain get arguments that mostly lie in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from matcalc.engine.layout import LAYOUTS

Shape = tuple[str, ...]  # as held: ("m", "n"), a column ("m", "1"), a row ("1", "m"), a scalar ("1", "1")

Pick = Callable[[Any], Any]  # chooses one of several: by hypothesis, or by a random number generator

SCALAR: Shape = ("1", "1")
SMOOTH = (
    "sin", "cos", "tanh", "sigmoid", "softplus", "silu", "gelu", "erf", "arctan", "square", "exp", "expm1", "sinh",
    "cosh", "tan", "relu", "leaky_relu", "elu", "abs", "sign", "size",
)  # fmt: skip
NEED_POSITIVE = ("log", "sqrt", "log1p")
NEED_UNIT = ("arcsin", "arccos")
REDUCTIONS = ("sum", "mean", "var", "prod", "max", "min", "logsumexp")
ALONG = ("softmax", "log_softmax", "layer_norm")
EINSUMS: dict[int, tuple[tuple[str, str], ...]] = {
    0: (("i,i->", ""), ("ij,ij->", ""), ("ij,ji->", ""), ("ii->", ""), ("i,ij,j->", ""), ("ij,jk,ki->", ""),
        ("i->", ""), ("i,i", ""), ("i,j,ij->", ""), ("ij->", "")),
    1: (("ij,j->i", "i"), ("i,i->i", "i"), ("ii->i", "i"), ("ij,ij->i", "i"), ("ij->j", "j"), (",i->i", "i"),
        ("ij,jk,k->i", "i"), ("ji,j", "i"), ("ij,ik->i", "i"), ("i,j->i", "i")),
    2: (("ij,jk->ik", "ik"), ("i,j->ij", "ij"), ("ij,ij->ij", "ij"), ("ij->ji", "ji"), ("ik,jk->ij", "ij"),
        ("ij,j->ij", "ij"), ("ii,ij->ij", "ij"), ("ij,jk", "ik"), ("i,ij,j->ij", "ij"), ("ij,k->ik", "ik")),
    3: (("i,jk->ijk", "ijk"), ("ij,jk->ijk", "ijk"), ("i,j,k->kij", "kij"), ("ij,kj->jki", "jki")),
}  # fmt: skip
NAMES = {
    2: ("A", "B", "C", "G", "H", "W", "Z", "S", "K", "L"),
    1: ("a", "b", "c", "y", "z", "w", "r", "s", "q", "t"),
    0: ("alpha", "beta", "gamma", "delta", "eta", "mu", "rho", "tau", "theta", "omega"),
}
FUNCTION_NAMES = {2: ("U", "V", "F"), 1: ("u", "v", "f"), 0: ("phi", "psi", "chi")}
ENTRY_ASSUMPTIONS = ("positive", "nonzero", "unit-interval", "real")
SQUARE_ASSUMPTIONS = ("symmetric", "skew", "diagonal", "orthogonal", "posdef", "invertible")


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
                "order": self.order}  # fmt: skip


def drop_units(shape: Shape) -> Shape:
    """Return the shape without unit axes."""
    return tuple(size for size in shape if size != "1")


def bracket(text: str) -> str:
    """Put brackets around a text unless it is a name, a number or a call."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"


class Writer:
    """Writes expressions of asked shapes, and keeps what it said about the names."""

    def __init__(self, pick: Pick, wrt: str, wrt_shape: Shape, sizes: tuple[str, ...], bare: bool):
        self.pick, self.wrt, self.wrt_shape, self.sizes = pick, wrt, wrt_shape, sizes
        self.may_write_sizes = bare
        self.variables: dict[str, Shape] = {wrt: wrt_shape}
        self.functions: dict[str, Shape] = {}
        self.assume: dict[str, str] = {}

    # --- choices --------------------------------------------------------------------------------------

    def happens(self, percent: int) -> bool:
        return bool(self.pick(range(100)) >= 100 - percent)

    def size(self) -> str:
        return str(self.pick(self.sizes))

    def any_shape(self) -> Shape:
        kind = self.pick("svvmmmrw")
        if kind == "w":
            return self.wrt_shape
        return {"s": SCALAR, "v": (self.size(), "1"), "r": ("1", self.size()), "m": (self.size(), self.size())}[kind]

    # --- expressions ------------------------------------------------------------------------------------

    def write(self, shape: Shape, depth: int) -> str:
        """Return an expression of that shape, at most that deep."""
        if depth <= 0 or self.happens(4):
            return self.leaf(shape)
        return str(self.pick(_list_productions(shape))(self, shape, depth - 1))

    def other(self, shape: Shape, depth: int) -> str:
        """Return a second operand, often a flat one, to keep expressions readable."""
        return self.write(shape, self.pick((0, 0, min(1, depth), min(2, depth), depth)))

    def inner(self, shape: Shape, depth: int) -> str:
        return bracket(self.write(shape, depth))

    def leaf(self, shape: Shape) -> str:
        if shape == self.wrt_shape and self.happens(75):
            return self.wrt
        if shape == self.wrt_shape[::-1] and self.happens(75):
            return f"{self.wrt}.T"
        if len(shape) > 2:
            return self.einsum(shape, 0)
        if self.happens(35):
            return self.bridge(shape)
        if self.happens(15):
            return self.filled(shape)
        if len(drop_units(shape)) == 1 and shape[0] == "1":
            return f"{self.name(shape[::-1])}.T"
        return self.name(shape)

    def bridge(self, shape: Shape) -> str:
        """Return something small of that shape that depends on the variable."""
        (rows, columns), wrt = self.wrt_shape, self.wrt
        if self.wrt_shape == SCALAR:
            other = f"{self.name(shape[::-1])}.T" if shape[0] == "1" else self.name(shape)
            return wrt if shape == SCALAR else f"{wrt}*{other}"
        if shape == SCALAR:
            return f"{self.name((rows, '1'))}.T @ {wrt}" if columns == "1" else f"{self.pick(('sum', 'norm'))}({wrt})"
        left = "" if rows == shape[0] else f"{self.name((shape[0], rows))} @ "
        if shape[0] == "1":
            left = f"{self.name((rows, '1'))}.T @ "
        right = "" if columns == shape[1] else f" @ {self.name((columns, shape[1]))}"
        if columns == "1" != shape[1]:
            right = f" @ {self.name((shape[1], '1'))}.T"
        return f"{left}{wrt}{right}"

    def filled(self, shape: Shape) -> str:
        if shape == SCALAR:
            bare = [size for size in self.sizes if not size.isdigit()] if self.may_write_sizes else []
            return str(self.pick(["2", "3", "0.5", "pi", "e", "1", "0", "0.1", *bare]))
        options = [f"ones({', '.join(drop_units(shape) if shape[1] == '1' else shape)})"]
        if shape[0] == shape[1]:
            options += [f"eye({shape[0]})"] * 3
        return str(self.pick([*options, options[0].replace("ones", "zeros")] if self.happens(10) else options))

    def name(self, shape: Shape, assumption: str = "") -> str:
        """Return a variable of that shape: one that is there, or a new one."""
        known = [name for name, found in self.variables.items()
                 if found == shape and assumption in ("", self.assume.get(name, ""))]  # fmt: skip
        if known and self.happens(70):
            return str(self.pick(known))
        free = [name for name in NAMES[len(drop_units(shape))] if name not in self.variables]
        if not free:
            return str(self.pick(known)) if known else self.filled(shape)
        self.variables[free[0]] = shape
        if not assumption and self.happens(30):
            assumption = self.assumption(shape)
        if assumption:
            self.assume[free[0]] = assumption
        return free[0]

    def assumption(self, shape: Shape) -> str:
        if shape[0] == shape[1] != "1":
            return str(self.pick(SQUARE_ASSUMPTIONS + ENTRY_ASSUMPTIONS))
        return str(self.pick((*ENTRY_ASSUMPTIONS, "simplex") if shape[1] == "1" != shape[0] else ENTRY_ASSUMPTIONS))

    # --- arguments that lie in a domain -------------------------------------------------------------------

    def positive(self, shape: Shape, depth: int) -> str:
        kind = self.pick(("leaf", "square", "softplus", "sigmoid", "abs", "exp", "raw"))
        if kind == "leaf" and shape[0] != "1":
            return self.name(shape, "positive")
        inside = self.write(shape, depth)
        forms = {"square": f"{bracket(inside)}**2 + 1", "abs": f"abs({inside}) + 1", "raw": inside,
                 "exp": f"exp(tanh({inside}))", "sigmoid": f"sigmoid({inside})"}  # fmt: skip
        return forms.get(kind, f"softplus({inside})")

    def unit(self, shape: Shape, depth: int) -> str:
        inside = self.write(shape, depth)
        return str(self.pick((f"sigmoid({inside})", f"tanh({inside})/2", f"0.9*sin({inside})")))

    def moderate(self, shape: Shape, depth: int) -> str:
        inside = self.write(shape, depth)
        return str(self.pick((f"tanh({inside})", f"{bracket(inside)}/4", f"sin({inside})", inside)))

    def invertible(self, size: str, depth: int) -> str:
        kind = self.pick(("leaf", "shifted", "gram", "raw"))
        if kind == "leaf":
            return self.name((size, size), self.pick(("invertible", "posdef", "orthogonal")))
        if kind == "gram":
            return self.posdef(size, depth)
        inside = self.write((size, size), depth)
        return inside if kind == "raw" else f"tanh({inside}) + 4*eye({size})"

    def posdef(self, size: str, depth: int) -> str:
        kind = self.pick(("leaf", "gram", "expm"))
        if kind == "leaf":
            return self.name((size, size), "posdef")
        if kind == "expm":
            return f"expm({self.write((size, size), depth)})"
        factor = self.inner((self.size(), size), min(depth, 1))
        return f"{factor}.T @ {factor} + eye({size})"

    def condition(self, shape: Shape, depth: int) -> str:
        sign = self.pick((">", "<", ">=", "<="))
        return f"{self.inner(shape, depth)} {sign} {bracket(self.other(self.pick((SCALAR, shape)), depth))}"

    # --- productions for every shape ------------------------------------------------------------------------

    def smooth(self, shape: Shape, depth: int) -> str:
        name = self.pick(SMOOTH)
        if name == "size":
            return f"size({self.other(self.any_shape(), 0)})*{self.inner(shape, depth)}"
        return f"{name}({self.moderate(shape, depth) if name in ('exp', 'sinh', 'cosh', 'expm1', 'tan') else self.write(shape, depth)})"

    def guarded(self, shape: Shape, depth: int) -> str:
        name = self.pick(NEED_POSITIVE + NEED_UNIT)
        inside = self.positive(shape, depth) if name in NEED_POSITIVE else self.unit(shape, depth)
        return f"{name}({inside})"

    def broadcast(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return two shapes that give this one together."""
        options = [(shape, shape)] * 4 + [(SCALAR, shape), (shape, SCALAR)]
        if len(drop_units(shape)) == 2 == len(shape):
            column, row = (shape[0], "1"), ("1", shape[1])
            options += [(column, shape), (shape, column), (row, shape), (shape, row), (column, row), (row, column)]
        first, second = self.pick(options)
        return first, second

    def arithmetic(self, shape: Shape, depth: int) -> str:
        left, right = self.broadcast(shape)
        sign = self.pick(("+", "-", "*", "*", "+", "/"))
        second = self.positive(right, min(depth, 1)) if sign == "/" else self.other(right, depth)
        first = self.inner(left, depth)
        return f"{first}{sign}{bracket(second)}" if sign in "*/" else f"{first} {sign} {bracket(second)}"

    def power(self, shape: Shape, depth: int) -> str:
        exponent = self.pick(("2", "3", "-1", "(1/2)", "0", "1", "-2", "by", "of", "4", "1.5"))
        if exponent in ("2", "3", "0", "1", "4"):
            return f"{self.inner(shape, depth)}**{exponent}"
        if exponent == "of":
            return f"{self.pick(('2', '0.5', 'e'))}**{bracket(self.moderate(shape, depth))}"
        base, to = self.broadcast(shape) if exponent == "by" else (shape, SCALAR)
        text = bracket(self.positive(base, depth))
        return f"{text}**{bracket(self.other(to, depth)) if exponent == 'by' else exponent}"

    def choose(self, shape: Shape, depth: int) -> str:
        kind = self.pick(("maximum", "minimum", "where", "clip", "leaky_relu"))
        left, right = self.broadcast(shape)
        first, second = self.write(left, depth), self.other(right, depth)
        if kind == "where":
            return f"where({self.condition(self.pick((shape, SCALAR)), min(depth, 1))}, {first}, {second})"
        if kind == "clip":
            bounds = self.pick(("-0.5, 0.5", "0, 1", f"{self.write(SCALAR, 0)} - 1, {self.write(SCALAR, 0)} + 1"))
            return f"clip({self.write(shape, depth)}, {bounds})"
        if kind == "leaky_relu":
            return f"leaky_relu({self.write(shape, depth)}, {self.pick(('0.2', self.other(SCALAR, 0)))})"
        return f"{kind}({first}, {second})"

    def negative(self, shape: Shape, depth: int) -> str:
        return f"-{self.inner(shape, depth)}"

    def along(self, shape: Shape, depth: int) -> str:
        axis = self.pick(("", ", axis=0", ", axis=1")) if len(drop_units(shape)) == 2 else ""
        return f"{self.pick(ALONG)}({self.write(shape, depth)}{axis})"

    def reuse(self, shape: Shape, depth: int) -> str:
        """The same sub-expression twice."""
        part = self.inner(shape, depth)
        form = self.pick(("{0}*tanh({0})", "{0} + sin({0})", "{0}/({0}**2 + 1)", "{0}*{0}*{0}", "{0} - {0}*{0}"))
        return str(form.format(part))

    def scaled_by(self, shape: Shape, depth: int) -> str:
        """A sub-expression times a scalar made from the same one."""
        part = self.inner(shape, depth)
        form = self.pick(("{0}*sum({0})", "{0}/(norm({0}) + 1)", "{0} - mean({0})", "{0} - max({0})", "{0}*var({0})"))
        return str(form.format(part))

    def abstract(self, shape: Shape, depth: int) -> str:
        """A function of which only the shape of its result is known; rarely its derivative."""
        if self.happens(15) and shape[0] != "1":
            name = self.function(SCALAR)
            return f"D({name}, {self.write(shape, depth)}){'.T' if shape[1] != '1' else ''}"
        if len(drop_units(shape)) == 1 and shape[0] == "1":
            return f"{self.abstract(shape[::-1], depth)}.T"
        return f"{self.function(shape)}({self.write(self.any_shape(), depth)})"

    def function(self, shape: Shape) -> str:
        known = [name for name, found in self.functions.items() if found == shape]
        if known:
            return str(self.pick(known))
        free = [name for name in FUNCTION_NAMES[len(drop_units(shape))] if name not in self.functions]
        if free:
            self.functions[free[0]] = shape
        return free[0] if free else "exp"

    def einsum(self, shape: Shape, depth: int) -> str:
        dropped = drop_units(shape)
        subscripts, output = self.pick(EINSUMS[len(dropped)])
        sizes = dict(zip(output, dropped, strict=True))
        operands = []
        for place, letters in enumerate(subscripts.split("->")[0].split(",")):
            if len(set(letters)) < len(letters) and len({sizes.get(letter) for letter in letters}) > 1:
                return self.leaf(shape)
            held = (*(sizes.setdefault(letter, self.size()) for letter in letters), "1", "1")[: max(2, len(letters))]
            held = held[::-1] if len(letters) == 1 and self.happens(15) else held
            operands.append(self.other(held, depth) if place else self.write(held, depth))
        text = f"einsum('{subscripts}', {', '.join(operands)})"
        return f"{bracket(text)}.T" if len(dropped) == 1 and shape[0] == "1" else text

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
        name, size = self.pick(("trace", "det", "logdet")), self.size()
        if name == "trace":
            return f"trace({self.write((size, size), depth)})"
        return f"{name}({self.invertible(size, depth) if name == 'det' else self.posdef(size, depth)})"

    def dot(self, shape: Shape, depth: int) -> str:
        size, other = self.size(), self.size()
        left = self.write((size, "1"), depth)
        right = self.other((size, "1"), depth)
        matrix = bracket(self.other((size, other), depth))
        return str(self.pick((
            f"dot({left}, {right})", f"{bracket(left)}.T @ {bracket(right)}", f"{bracket(left)} @ {bracket(right)}",
            f"cross_entropy({left}, {right})",
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
        kind = self.pick(("cumsum", "diag", "solve", "inverse", "vec", "long"))
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
        kind = self.pick(("inv", "expm", "sqrtm", "matrix_power", "diag", "diag", "pinv", "quadratic", "det", "sum"))
        if kind == "diag":
            return f"diag({self.write((size, '1'), depth)})"
        if kind == "expm":
            return f"expm({self.moderate(shape, depth)})"
        if kind == "sqrtm":
            return f"sqrtm({self.posdef(size, depth)})"
        if kind == "matrix_power":
            power = self.pick(("2", "3", "0", "1", "-1", "4", "-2"))
            return f"matrix_power({self.invertible(size, depth) if power[0] == '-' else self.write(shape, depth)}, {power})"
        part = self.inner(shape, depth)
        if kind == "quadratic":
            return f"{part}.T @ {part}"
        if kind == "sum":
            return f"{part} + {part}.T"
        return f"inv({self.invertible(size, depth)})" if kind != "det" else f"det({self.invertible(size, depth)})*{part}"

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


@st.composite
def cases(draw: Callable[..., Any], max_depth: int = 5) -> Case:
    """Random problems: an expression, the variable, declared shapes, assumptions, a layout and an order."""
    return write_case(lambda options: draw(st.sampled_from(options)), max_depth)


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
