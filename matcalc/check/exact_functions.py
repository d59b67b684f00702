"""Functions of SymPy, and abstract ones, in exact arithmetic; their derivatives are those of `sympy.diff`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
from mpmath import mp
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

from matcalc.check.exact_field import Tower
from matcalc.check.exact_generators import Generator, Image, Inverse, NotShown, Numbers, Undefined

_MOST_MULTIPLES = 12


# --- sine and cosine ----------------------------------------------------------------------------------


@dataclass(eq=False)
class Wave(Generator):
    """The cosine or the sine of an angle."""

    angle: Element
    is_sine: bool
    partner: Wave | None = None

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        assert self.partner is not None
        change = tower.multiply(tower.element(self.partner), tower.differentiate(self.angle, by))
        return change if self.is_sine else -change

    def substitute(self, tower: Tower, image: Image) -> Element:
        sine, cosine = find_waves(tower, image(self.angle))
        return sine if self.is_sine else cosine

    def evaluate(self, numbers: Numbers) -> Any:
        return (mp.sin if self.is_sine else mp.cos)(numbers.require_moderate(numbers.evaluate(self.angle)))

    def invert(self, tower: Tower) -> Element:
        return tower.element(tower.find_inverse(tower.element(self)))

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.angle]

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        return (2, tower.one - tower.element(self.partner) ** 2) if self.partner is not None and self.is_sine else None

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return (sympy.sin if self.is_sine else sympy.cos)(write(self.angle))


def find_waves(tower: Tower, angle: Element) -> tuple[Element, Element]:
    """Return the sine and the cosine of an angle."""
    angle = tower.cancel(angle)
    if not angle:
        return tower.zero, tower.one
    if len(angle) == 2:
        first = tower.ring.from_dict({angle.LM: angle.LC})
        (a, b), (c, d) = _find_wave(tower, first), _find_wave(tower, angle - first)
        return tower.multiply(a, d) + tower.multiply(b, c), tower.multiply(b, d) - tower.multiply(a, c)
    return _find_wave(tower, angle)


def _find_wave(tower: Tower, angle: Element) -> tuple[Element, Element]:
    content, unit = angle.primitive()
    if unit.LC < 0:
        content, unit = -content, -unit
    times, divisor = int(content.numerator), int(content.denominator)
    if abs(times) > _MOST_MULTIPLES:
        unit, times = unit.mul_ground(QQ(abs(times))), 1 if times > 0 else -1
    unit = unit.mul_ground(QQ(1, divisor))
    cosine = tower.find(("cosine", unit), lambda: Wave(unit, is_sine=False))
    assert isinstance(cosine, Wave)
    if cosine.partner is None:
        cosine.partner = Wave(unit, True, cosine)
        tower.add(cosine.partner)
    s, c = tower.element(cosine.partner), tower.element(cosine)
    found = tower.zero, tower.one
    for _ in range(abs(times)):
        found = (tower.multiply(found[0], c) + tower.multiply(found[1], s),
                 tower.multiply(found[1], c) - tower.multiply(found[0], s))  # fmt: skip
    return (found[0], found[1]) if times > 0 else (-found[0], found[1])


# --- abstract functions -------------------------------------------------------------------------------


@dataclass(eq=False)
class AbstractEntry(Generator):
    """An entry of an abstract function, differentiated by some of the entries of its argument."""

    name: str
    place: int
    by: tuple[int, ...]
    arguments: tuple[Element, ...]

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        total = tower.zero
        for place, argument in enumerate(self.arguments):
            if change := tower.differentiate(argument, by):
                slope = find_abstract(tower, self.name, self.place, (*self.by, place), self.arguments)
                total += tower.multiply(slope, change)
        return total

    def substitute(self, tower: Tower, image: Image) -> Element:
        return find_abstract(tower, self.name, self.place, self.by, tuple(map(image, self.arguments)))

    def evaluate(self, numbers: Numbers) -> Any:
        """Return the value, or derivative, of a fixed generic function: a sum of two sines."""
        values = [numbers.evaluate(argument) for argument in self.arguments]
        total = mp.mpf(2) if not self.by else mp.zero
        for wave in (1, 2):
            slopes = [_pick(self.name, self.place, wave, place) for place in range(len(values))]
            angle = mp.fsum(slope * value for slope, value in zip(slopes, values, strict=True))
            factor = mp.fprod(slopes[place] for place in self.by)
            total += factor * mp.sin(angle + _pick(self.name, self.place, wave, -1) + mp.pi / 2 * len(self.by)) / wave
        return total

    def list_inside(self, tower: Tower) -> list[Element]:
        return list(self.arguments)

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        arguments = [write(argument) for argument in self.arguments]
        function = sympy.Function(f"{self.name}_{self.place}")
        if not self.by:
            return function(*arguments)
        if all(arguments[place].is_symbol for place in self.by):
            return function(*arguments).diff(*(arguments[place] for place in self.by))
        # Differentiated by what is no letter, SymPy has it for letters of its own, which are replaced afterwards.
        letters = sympy.symbols(f"xi_1:{len(arguments) + 1}")
        slope = function(*letters).diff(*(letters[place] for place in self.by))
        return sympy.Subs(slope, letters, tuple(arguments))


def _pick(name: str, place: int, wave: int, number: int) -> Any:
    """Return a fixed number between 1/2 and 3/2, another one for each place."""
    seed = sum(map(ord, name)) * 31 + place * 17 + wave * 7 + number * 5
    return mp.mpf(50 + seed * 37 % 101) / 101


def find_abstract(tower: Tower, name: str, place: int, by: tuple[int, ...], arguments: tuple[Element, ...]) -> Element:
    """Return an entry of an abstract function, differentiated by entries of its argument in any order."""
    arguments = tuple(map(tower.cancel, arguments))
    by = tuple(sorted(by))
    key = ("abstract", name, place, by, arguments)
    return tower.element(tower.find(key, lambda: AbstractEntry(name, place, by, arguments)))


# --- functions of SymPy -------------------------------------------------------------------------------


@dataclass(eq=False)
class Call(Generator):
    """A function of SymPy that has no relations here."""

    function: Any
    arguments: tuple[Element, ...]

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        total = tower.zero
        for place, argument in enumerate(self.arguments):
            if change := tower.differentiate(argument, by):
                partial, letters = differentiate_scalar(self.function, len(self.arguments), place)
                slope = apply_expression(tower, partial, dict(zip(letters, self.arguments, strict=True)))
                total += tower.multiply(slope, change)
        return total

    def substitute(self, tower: Tower, image: Image) -> Element:
        return apply_function(tower, self.function, tuple(map(image, self.arguments)))

    def evaluate(self, numbers: Numbers) -> Any:
        found = [numbers.require_moderate(numbers.evaluate(argument)) for argument in self.arguments]
        values = [sympy.Float(value, mp.dps) for value in found]
        value = self.function(*values).evalf(mp.dps)
        if not value.is_Float:
            raise Undefined(f"{self.function.__name__} has no real value")
        return mp.mpf(value._mpf_)

    def list_inside(self, tower: Tower) -> list[Element]:
        return list(self.arguments)

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return self.function(*map(write, self.arguments))


@cache
def differentiate_scalar(function: Any, count: int, place: int) -> tuple[Any, tuple[Any, ...]]:
    """Return SymPy's derivative of a function of so many numbers by one of them, and the letters it is written in."""
    letters = tuple(sympy.Dummy(real=True) for _ in range(count))
    return sympy.diff(function(*letters), letters[place]), letters


def apply_function(tower: Tower, function: Any, arguments: tuple[Element, ...]) -> Element:
    """Return a function of SymPy of elements; what the tower knows itself is written in its own generators."""
    if function in _NOT_SMOOTH:
        raise NotShown(f"{function.__name__} has no exact form")
    own = _OWN.get(function)
    if own is not None:
        return own(tower, *arguments)
    arguments = tuple(map(tower.cancel, arguments))
    rewritten = _rewrite(function, len(arguments))
    if rewritten is not None:
        expression, letters = rewritten
        return apply_expression(tower, expression, dict(zip(letters, arguments, strict=True)))
    if all(not argument or argument.is_ground for argument in arguments):
        value = function(*(_to_rational(argument) for argument in arguments))
        if not isinstance(value, function):
            return apply_expression(tower, value, {})
    parity = find_parity(function) if len(arguments) == 1 else 0
    flipped = bool(parity and arguments[0] and arguments[0].LC < 0)
    if flipped:
        arguments = (-arguments[0],)
    result = tower.element(_find_call(tower, function, arguments))
    return -result if flipped and parity < 0 else result


def _find_call(tower: Tower, function: Any, arguments: tuple[Element, ...]) -> Generator:
    key = ("call", function, arguments)
    if key not in tower._found and any(isinstance(g, Inverse) for a in arguments for g in tower.list_generators(a)):
        for known in [g for g in tower.generators if isinstance(g, Call) and g.function is function]:
            if all(tower.is_zero(a - b) for a, b in zip(arguments, known.arguments, strict=True)):
                tower._found[key] = known
                break
    return tower.find(key, lambda: Call(function, arguments))


def apply_expression(tower: Tower, expression: Any, values: Mapping[Any, Element]) -> Element:
    """Return a SymPy expression in scalars, elements standing for its symbols."""
    if expression in values:
        return values[expression]
    if expression.is_Rational:
        return tower.constant(Fraction(int(expression.p), int(expression.q)))
    if expression is sympy.pi:
        return tower.pi()
    if expression is sympy.E:
        return tower.exp(tower.one)
    if not expression.args:
        raise NotShown(f"SymPy's {expression} has no place here")
    if isinstance(expression, sympy.exp):
        return tower.exp(apply_expression(tower, expression.args[0], values))
    args = tuple(apply_expression(tower, arg, values) for arg in expression.args)
    if expression.is_Add:
        return tower.sum(args)
    if expression.is_Mul:
        return tower.product(args)
    if expression.is_Pow:
        return tower.raise_to(*args)
    if isinstance(expression, sympy.Function | sympy.Max | sympy.Min) and not expression.is_Piecewise:
        return apply_function(tower, expression.func, args)
    raise NotShown(f"{type(expression).__name__} of SymPy has no place here")


def _to_rational(element: Element) -> Any:
    return sympy.Rational(int(element.LC.numerator), int(element.LC.denominator)) if element else sympy.S.Zero


@cache
def find_parity(function: Any) -> int:
    """Return 1 for an even function of SymPy, -1 for an odd one, 0 for others."""
    x = sympy.Dummy(real=True)
    return next((side for side in (1, -1) if function(-x) == side * function(x)), 0)


@cache
def _rewrite(function: Any, count: int) -> tuple[Any, tuple[Any, ...]] | None:
    """Return a function written with exp, log, sine and cosine, and the letters, where it is one of theirs."""
    letters = tuple(sympy.Dummy(real=True) for _ in range(count))
    expression = function(*letters)
    if function in _HYPERBOLIC:
        return expression.rewrite(sympy.exp), letters
    if function in _TRIGONOMETRIC:
        return _TRIGONOMETRIC[function](*letters), letters
    return None if isinstance(expression, function) else (expression, letters)


def _choose_larger(tower: Tower, *elements: Element) -> Element:
    return _fold(tower, elements, 1)


def _choose_smaller(tower: Tower, *elements: Element) -> Element:
    return _fold(tower, elements, -1)


def _fold(tower: Tower, elements: tuple[Element, ...], side: int) -> Element:
    """Return (a + b + |a - b|)/2, or with - for the smaller one."""
    result = elements[0]
    for other in elements[1:]:
        apart = tower.absolute(result - other).mul_ground(QQ(side))
        result = (result + other + apart).mul_ground(QQ(1, 2))
    return result


_NOT_SMOOTH = {
    sympy.DiracDelta, sympy.Heaviside, sympy.floor, sympy.ceiling, sympy.frac, sympy.re, sympy.im, sympy.conjugate,
    sympy.arg, sympy.Mod,
}  # fmt: skip
_HYPERBOLIC = {sympy.sinh, sympy.cosh, sympy.tanh, sympy.coth, sympy.sech, sympy.csch}
_TRIGONOMETRIC: dict[Any, Callable[..., Any]] = {
    sympy.tan: lambda x: sympy.sin(x) * sympy.cos(x) ** -1,
    sympy.cot: lambda x: sympy.cos(x) * sympy.sin(x) ** -1,
    sympy.sec: lambda x: sympy.cos(x) ** -1,
    sympy.csc: lambda x: sympy.sin(x) ** -1,
    sympy.asinh: lambda x: sympy.log(x + sympy.sqrt(x**2 + 1)),
    sympy.acosh: lambda x: sympy.log(x + sympy.sqrt(x**2 - 1)),
    sympy.atanh: lambda x: sympy.log((1 + x) / (1 - x)) / 2,
    sympy.erfc: lambda x: 1 - sympy.erf(x),
}


_OWN: dict[Any, Callable[..., Element]] = {
    sympy.exp: Tower.exp,
    sympy.log: Tower.log,
    sympy.sin: lambda tower, x: find_waves(tower, x)[0],
    sympy.cos: lambda tower, x: find_waves(tower, x)[1],
    sympy.Abs: Tower.absolute,
    sympy.sign: Tower.sign,
    sympy.Max: _choose_larger,
    sympy.Min: _choose_smaller,
}
