"""The operations of random expressions that give a result of any shape."""

from __future__ import annotations

from tests.random_parts import SCALAR, Parts, Shape, bracket, drop_units

SMOOTH = (
    "sin", "cos", "tanh", "sigmoid", "softplus", "silu", "gelu", "erf", "arctan", "square", "exp", "expm1", "sinh",
    "cosh", "tan", "relu", "leaky_relu", "elu", "abs", "sign", "size",
    "arcsinh", "erfc", "expit", "logsigmoid", "softsign", "selu", "celu", "relu6", "hardtanh", "hardsigmoid",
    "hardswish", "exp2",
)  # fmt: skip
FAST_GROWING = ("exp", "sinh", "cosh", "expm1", "tan", "exp2")
NEED_POSITIVE = ("log", "sqrt", "log1p", "log2", "log10", "entr", "rsqrt", "reciprocal")
NEED_UNIT = ("arcsin", "arccos", "arctanh")
REDUCTIONS = ("sum", "mean", "var", "prod", "max", "min", "logsumexp", "std", "norm")
ALONG = ("softmax", "softmax", "log_softmax", "log_softmax", "layer_norm", "layer_norm", "largest", "smallest",
         "rms_norm", "batch_norm", "normalize")  # fmt: skip
EINSUMS: dict[int, tuple[tuple[str, str], ...]] = {
    0: (("i,i->", ""), ("ij,ij->", ""), ("ij,ji->", ""), ("ii->", ""), ("i,ij,j->", ""), ("ij,jk,ki->", ""),
        ("i->", ""), ("i,i", ""), ("i,j,ij->", ""), ("ij->", "")),
    1: (("ij,j->i", "i"), ("i,i->i", "i"), ("ii->i", "i"), ("ij,ij->i", "i"), ("ij->j", "j"), (",i->i", "i"),
        ("ij,jk,k->i", "i"), ("ji,j", "i"), ("ij,ik->i", "i"), ("i,j->i", "i")),
    2: (("ij,jk->ik", "ik"), ("i,j->ij", "ij"), ("ij,ij->ij", "ij"), ("ij->ji", "ji"), ("ik,jk->ij", "ij"),
        ("ij,j->ij", "ij"), ("ii,ij->ij", "ij"), ("ij,jk", "ik"), ("i,ij,j->ij", "ij"), ("ij,k->ik", "ik")),
    3: (("i,jk->ijk", "ijk"), ("ij,jk->ijk", "ijk"), ("i,j,k->kij", "kij"), ("ij,kj->jki", "jki")),
}  # fmt: skip
FUNCTION_NAMES = {2: ("U", "V", "F"), 1: ("u", "v", "f"), 0: ("phi", "psi", "chi")}


class Operations(Parts):
    """Writes an expression of an asked shape out of others."""

    def smooth(self, shape: Shape, depth: int) -> str:
        name = self.pick(SMOOTH)
        if name == "size":
            return f"size({self.other(self.any_shape(), 0)})*{self.inner(shape, depth)}"
        inside = self.moderate(shape, depth) if name in FAST_GROWING else self.write(shape, depth)
        return f"{name}({inside})"

    def guarded(self, shape: Shape, depth: int) -> str:
        name = self.pick(NEED_POSITIVE + NEED_UNIT)
        inside = self.positive(shape, depth) if name in NEED_POSITIVE else self.unit(shape, depth)
        if name in ("log10", "arctanh") and self.happens(50):
            return f"arccosh({inside} + 2)" if name == "arctanh" else f"logit(sigmoid({inside}))"
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
        kind = self.pick(("maximum", "minimum", "where", "clip", "leaky_relu", "logaddexp", "arctan2", "xlogy"))
        left, right = self.broadcast(shape)
        first, second = self.write(left, depth), self.other(right, depth)
        if kind == "where":
            return f"where({self.condition(self.pick((shape, SCALAR)), min(depth, 1))}, {first}, {second})"
        if kind == "clip":
            bounds = self.pick(("-0.5, 0.5", "0, 1", f"{self.write(SCALAR, 0)} - 1, {self.write(SCALAR, 0)} + 1"))
            return f"clip({self.write(shape, depth)}, {bounds})"
        if kind == "leaky_relu":
            return f"leaky_relu({self.write(shape, depth)}, {self.pick(('0.2', self.other(SCALAR, 0)))})"
        if kind == "xlogy":
            second = self.positive(right, 0)
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
