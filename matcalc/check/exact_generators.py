"""The generators of exact arithmetic: what each of them is, its derivative, its image, its inverse, its value.

A generator is an entry of a variable, or 1/u, a root, an exponential, a logarithm or a sign of what lies below it.
What is said of one holds wherever it is defined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sympy
from mpmath import mp
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

if TYPE_CHECKING:
    from matcalc.check.exact_field import Tower

Image = Callable[[Element], Element]

_LARGEST_VALUE = 10**5


class NotShown(Exception):
    """The exact way ends here, and why; it says nothing about what is asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Undefined(NotShown):
    """Something has no value at these sizes, as the inverse of a matrix of too low a rank."""


class NoRoom(NotShown):
    """The ring has too few generators; a larger one is needed."""


class Budget:
    """How many products of terms an answer may take, and until when."""

    def __init__(self, products: int, deadline: float) -> None:
        self.products, self.deadline, self.spent = products, deadline, 0

    def spend(self, products: int) -> None:
        """Count products of terms; raises NotShown where there are too many."""
        if self.spent + products > self.products:
            raise NotShown("it takes too many terms")
        self.spent += products
        if time.monotonic() > self.deadline:
            raise NotShown("it takes too long")


# --- generators -------------------------------------------------------------------------------------


@dataclass(eq=False)
class Generator:
    """One generator of the tower; `positive` where its sign is known."""

    positive: bool = field(default=False, kw_only=True)
    index: int = field(default=-1, init=False)

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        """Return the derivative by a free variable."""
        return tower.zero

    def list_inside(self, tower: Tower) -> list[Element]:
        """Return the elements of which it is made."""
        return []

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        """Return d and u where g**d = u for something lower, None where there is no such relation."""
        return None

    def substitute(self, tower: Tower, image: Image) -> Element:
        """Return what the generator becomes, `image` giving what elements below it become."""
        return tower.element(self)

    def evaluate(self, numbers: Numbers) -> Any:
        """Return the value at a point."""
        raise NotImplementedError

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        """Return the generator as a SymPy expression, `write` giving what lies below it; raises NotShown."""
        raise NotShown(f"{type(self).__name__} has no word in SymPy")

    def invert(self, tower: Tower) -> Element:
        """Return 1/g."""
        return tower.element(tower.find_inverse(tower.element(self)))

    def take_log(self, tower: Tower) -> Element:
        """Return log|g|."""
        return tower.find_log(tower.element(self))

    def take_sign(self, tower: Tower) -> Element:
        """Return the sign of g."""
        return tower.one if self.positive else tower.find_sign(tower.element(self))


@dataclass(eq=False)
class FreeEntry(Generator):
    """An entry of a variable, free to move."""

    name: str
    place: int = 0

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        return tower.one if by is self else tower.zero

    def evaluate(self, numbers: Numbers) -> Any:
        return numbers.values[self.name, self.place]


@dataclass(eq=False)
class UnitEntry(FreeEntry):
    """An entry that is 1 or -1."""

    def invert(self, tower: Tower) -> Element:
        return tower.element(self)

    def take_log(self, tower: Tower) -> Element:
        return tower.zero

    def take_sign(self, tower: Tower) -> Element:
        return tower.element(self)

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        return 2, tower.one


@dataclass(eq=False)
class Pi(Generator):
    """The number pi."""

    def evaluate(self, numbers: Numbers) -> Any:
        return +mp.pi

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return sympy.pi


@dataclass(eq=False)
class Name(Generator):
    """A long sum u under a name of its own; it is written out where something would otherwise not come to zero."""

    of: Element

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        return tower.differentiate(self.of, by)

    def substitute(self, tower: Tower, image: Image) -> Element:
        return tower.shorten(image(self.of))

    def evaluate(self, numbers: Numbers) -> Any:
        return numbers.evaluate(self.of)

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.of]

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return write(self.of)


@dataclass(eq=False)
class Inverse(Generator):
    """1/u of a lower generator u, which cancels with it at once, or of a sum, when something is compared with zero."""

    of: Element

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        return tower.multiply(-tower.power(tower.element(self), 2), tower.differentiate(self.of, by))

    def substitute(self, tower: Tower, image: Image) -> Element:
        return tower.invert(image(self.of))

    def evaluate(self, numbers: Numbers) -> Any:
        return numbers.divide(mp.one, numbers.evaluate(self.of))

    def invert(self, tower: Tower) -> Element:
        return self.of

    def take_log(self, tower: Tower) -> Element:
        return -tower.log_absolute(self.of)

    def take_sign(self, tower: Tower) -> Element:
        return tower.sign(self.of)

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.of]

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return 1 / write(self.of)


@dataclass(eq=False)
class Root(Generator):
    """w**(1/degree), where w is positive wherever the root is defined."""

    of: Element
    degree: int
    # The generator's own relation is g**step = below, since roots are refined one upon the other.
    step: int
    below: Element

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        change = tower.differentiate(self.of, by)
        if not change:
            return tower.zero
        scaled = tower.multiply(change, tower.invert(self.of)).mul_ground(QQ(1, self.degree))
        return tower.multiply(tower.element(self), scaled)

    def substitute(self, tower: Tower, image: Image) -> Element:
        return tower.take_root(image(self.of), Fraction(1, self.degree))

    def evaluate(self, numbers: Numbers) -> Any:
        return numbers.require_positive(numbers.evaluate(self.of)) ** (mp.one / self.degree)

    def invert(self, tower: Tower) -> Element:
        return tower.invert_power(self)

    def take_log(self, tower: Tower) -> Element:
        return tower.log_absolute(self.of).mul_ground(QQ(1, self.degree))

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.of]

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        return self.step, self.below

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return write(self.of) ** sympy.Rational(1, self.degree)


@dataclass(eq=False)
class Exponential(Generator):
    """exp(argument)."""

    argument: Element
    # Of one that refines another, the other is its power.
    relation: tuple[int, Element] | None = None

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        return tower.multiply(tower.element(self), tower.differentiate(self.argument, by))

    def substitute(self, tower: Tower, image: Image) -> Element:
        return tower.exp(image(self.argument))

    def evaluate(self, numbers: Numbers) -> Any:
        return mp.exp(numbers.require_moderate(numbers.evaluate(self.argument)))

    def invert(self, tower: Tower) -> Element:
        return tower.invert_power(self) if self.relation else super().invert(tower)

    def take_log(self, tower: Tower) -> Element:
        return self.argument

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.argument]

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        return self.relation

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return sympy.exp(write(self.argument))


@dataclass(eq=False)
class Logarithm(Generator):
    """log|u|."""

    of: Element

    def differentiate(self, tower: Tower, by: Generator) -> Element:
        change = tower.differentiate(self.of, by)
        return tower.multiply(change, tower.invert(self.of)) if change else tower.zero

    def substitute(self, tower: Tower, image: Image) -> Element:
        return tower.log_absolute(image(self.of))

    def evaluate(self, numbers: Numbers) -> Any:
        return mp.log(abs(numbers.require_nonzero(numbers.evaluate(self.of))))

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.of]

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return sympy.log(write(self.of) if tower.is_positive(self.of) else sympy.Abs(write(self.of)))


@dataclass(eq=False)
class Sign(Generator):
    """1 where u > 0, -1 where u < 0; at 0 nothing is said."""

    of: Element

    def substitute(self, tower: Tower, image: Image) -> Element:
        below = image(self.of)
        if not below:
            raise Undefined("the two sides of a kink meet there")
        return tower.sign(below)

    def evaluate(self, numbers: Numbers) -> Any:
        return mp.sign(numbers.require_nonzero(numbers.evaluate(self.of)))

    def invert(self, tower: Tower) -> Element:
        return tower.element(self)

    def take_log(self, tower: Tower) -> Element:
        return tower.zero

    def take_sign(self, tower: Tower) -> Element:
        return tower.element(self)

    def list_inside(self, tower: Tower) -> list[Element]:
        return [self.of]

    def find_relation(self, tower: Tower) -> tuple[int, Element] | None:
        return 2, tower.one

    def to_sympy(self, tower: Tower, write: Callable[[Element], Any]) -> Any:
        return sympy.sign(write(self.of))


# --- numbers ------------------------------------------------------------------------------------------


class Numbers:
    """The values of generators at one point, to as many digits as mpmath works with."""

    def __init__(self, tower: Tower, values: Mapping[tuple[str, int], Any]) -> None:
        self.tower, self.values = tower, values
        self._found: dict[int, Any] = {}

    def find(self, generator: Generator) -> Any:
        """Return the value of a generator; raises Undefined where it has none."""
        if generator.index not in self._found:
            self._found[generator.index] = generator.evaluate(self)
        return self._found[generator.index]

    def evaluate(self, element: Element) -> Any:
        """Return the value of an element; raises Undefined where it has none."""
        generators = self.tower.list_generators(element)
        values = [(generator.index, self.find(generator)) for generator in generators]
        total = mp.zero
        for monomial, coefficient in element.items():
            product = mp.mpf(int(coefficient.numerator)) / int(coefficient.denominator)
            for place, value in values:
                if monomial[place]:
                    product *= value ** monomial[place]
            total += product
        return total

    def divide(self, left: Any, right: Any) -> Any:
        """Return left/right; raises Undefined where right is as good as 0."""
        return left / self.require_nonzero(right)

    def require_nonzero(self, value: Any) -> Any:
        """Return the value; raises Undefined where it is as good as 0."""
        if abs(value) < mp.mpf(10) ** (-mp.dps // 3):
            raise Undefined("a value is nearly 0")
        return value

    def require_moderate(self, value: Any) -> Any:
        """Return the value; raises Undefined where a function of it would take all memory, as exp(exp(exp(9)))."""
        if abs(value) > _LARGEST_VALUE:
            raise Undefined("a value is too large")
        return value

    def require_positive(self, value: Any) -> Any:
        """Return the value; raises Undefined where it is not positive."""
        if value <= mp.mpf(10) ** (-mp.dps // 3):
            raise Undefined("a value is not positive")
        return value
