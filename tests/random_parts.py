"""What random expressions are made of: names, numbers, filled arrays, and arguments that lie in a domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Shape = tuple[str, ...]  # as held: ("m", "n"), a column ("m", "1"), a row ("1", "m"), a scalar ("1", "1")
Pick = Callable[[Any], Any]  # chooses one of several: by hypothesis, or by a random number generator

SCALAR: Shape = ("1", "1")
NAMES = {
    2: ("A", "B", "C", "G", "H", "W", "Z", "S", "K", "L"),
    1: ("a", "b", "c", "y", "z", "w", "r", "s", "q", "t"),
    0: ("alpha", "beta", "gamma", "delta", "eta", "mu", "rho", "tau", "theta", "omega"),
}
ENTRY_ASSUMPTIONS = ("positive", "nonzero", "unit-interval", "real")
SQUARE_ASSUMPTIONS = ("symmetric", "skew", "diagonal", "orthogonal", "posdef", "invertible")


def drop_units(shape: Shape) -> Shape:
    """Return the shape without unit axes."""
    return tuple(size for size in shape if size != "1")


def bracket(text: str) -> str:
    """Put brackets around a text unless it is a name, a number or a call."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"


class Parts:
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
        return self.produce(shape, depth - 1)

    def produce(self, shape: Shape, depth: int) -> str:
        """Return an expression of that shape, some operation on expressions at most that deep."""
        raise NotImplementedError

    def einsum(self, shape: Shape, depth: int) -> str:
        """Return an einsum with a result of that shape."""
        raise NotImplementedError

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
        return str(self.pick([*options, options[0].replace("ones", "zeros")] if self.happens(25) else options))

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
