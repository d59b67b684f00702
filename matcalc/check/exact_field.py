"""Exact arithmetic with functions: a polynomial ring over the rationals whose generators obey relations.

Every relation that is used is true wherever the expressions are defined, so what comes to zero is zero; what does not
come to zero may be zero all the same, where the generators obey more relations than are known here.

The file is long since it is one class: splitting, roots, logarithms, signs and zero each need the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
from sympy.polys.domains import QQ
from sympy.polys.orderings import lex
from sympy.polys.rings import PolyElement as Element
from sympy.polys.rings import PolyRing

from matcalc.check.exact_generators import (
    Budget,
    Exponential,
    Generator,
    Inverse,
    Logarithm,
    Name,
    NoRoom,
    NotShown,
    Pi,
    Root,
    Sign,
    Undefined,
    UnitEntry,
)
from matcalc.check.exact_products import (
    differentiate_element,
    find_degree,
    list_places,
    make_primitive,
    multiply_elements,
)

_LARGEST_FACTORED = 10**12
_LARGEST_POWER_OF_A_SUM, _LARGEST_POWER_OF_A_NUMBER = 60, 10_000
_MOST_TERMS_TO_FACTOR = 40
_HIGHEST_DEGREE_TO_FACTOR = 200
_MOST_SIGNS = 12
_LONGEST_SUM = 30
_MOST_PRODUCTS = 1000


Condition = tuple[Element, str]


@cache
def _make_ring(capacity: int) -> PolyRing:
    return PolyRing([f"g{place}" for place in range(capacity)], QQ, lex)


@dataclass(frozen=True)
class Factors:
    """coefficient * product of powers of generators * rest, a sum with coprime whole coefficients, or 1."""

    coefficient: Any
    powers: dict[Generator, int]
    rest: Element


class Tower:
    """Elements and what can be done with them; relations are used as soon as they apply."""

    def __init__(self, capacity: int, budget: Budget) -> None:
        self.ring = _make_ring(capacity)
        self.zero, self.one = self.ring.zero, self.ring.one
        self.budget = budget
        self.generators: list[Generator] = []
        # What must be positive for everything to be defined, with the reason if it is not.
        self.conditions: list[Condition] = []
        self.assumes_conditions = False
        self._has_names = False
        self._assumed: set[Element] = set()
        self._found: dict[Any, Generator] = {}
        self._pairs: list[tuple[int, int]] = []
        self._powers: dict[int, tuple[int, Element]] = {}
        self._slopes: dict[tuple[int, int], Element] = {}
        self._exponents: list[tuple[Element, dict[int, Any]]] = []
        self._bases: list[Exponential] = []

    # --- elements ---

    def constant(self, value: Fraction | int) -> Element:
        """Return a rational number."""
        value = Fraction(value)
        return self.ring.ground_new(QQ(value.numerator, value.denominator))

    def add(self, generator: Generator) -> Generator:
        """Return the generator, which now has a place; raises NoRoom where there is none left."""
        if len(self.generators) == self.ring.ngens:
            raise NoRoom("it takes too many functions")
        generator.index = len(self.generators)
        self.generators.append(generator)
        if relation := generator.find_relation(self):
            self._powers[generator.index] = relation
        if isinstance(generator, Inverse) and len(generator.of) == 1:
            (below,) = list_places(generator.of)
            self._pairs.append((below, generator.index))
        return generator

    def element(self, generator: Generator) -> Element:
        """Return a generator as an element."""
        return self.ring.gens[generator.index]

    def find(self, key: Any, make: Callable[[], Generator]) -> Generator:
        """Return the generator with this key, made where there is none."""
        if key not in self._found:
            self._found[key] = self.add(make())
        return self._found[key]

    def list_generators(self, element: Element) -> list[Generator]:
        """Return the generators of an element, the lowest first."""
        return [self.generators[place] for place in list_places(element)]

    def shorten(self, element: Element) -> Element:
        """Return an element, a long sum by its name."""
        if len(element) <= _LONGEST_SUM:
            return element
        if self._is_zero_in_disguise(element):
            return self.zero
        self._has_names = True
        content, of = make_primitive(element)
        name = self.find(("name", of), lambda: Name(of, positive=self.is_positive(of)))
        return self.element(name).mul_ground(content)

    def _is_zero_in_disguise(self, element: Element) -> bool:
        """Whether what has names in it comes to zero."""
        return any(isinstance(g, Name) for g in self.list_generators(element)) and self.is_zero(element)

    def multiply(self, left: Element, right: Element) -> Element:
        """Return the product, of sums that would become a very long one by their names."""
        if len(left) > 1 < len(right) and len(left) * len(right) > _MOST_PRODUCTS:
            left, right = self.shorten(left), self.shorten(right)
        return self._expand(left, right)

    def _expand(self, left: Element, right: Element) -> Element:
        """Return the product term by term."""
        if not left or not right:
            return self.zero
        self.budget.spend(len(left) * len(right))
        if not self._pairs and not self._powers:
            return multiply_elements(left, right)
        return self._reduce(multiply_elements(left, right), {*list_places(left), *list_places(right)})

    def power(self, base: Element, exponent: int) -> Element:
        """Return base**exponent for a whole exponent."""
        if exponent < 0:
            return self.power(self.invert(base), -exponent)
        if len(base) == 1:
            if exponent > _LARGEST_POWER_OF_A_NUMBER and abs(base.LC) != 1:
                raise NotShown(f"a number is raised to the power {exponent}")
            return self._reduce(base**exponent, set(list_places(base))) if exponent else self.one
        if exponent > 1 and len(self.shorten(base)) == 1:
            return self.power(self.shorten(base), exponent)
        result = self.one
        while exponent:
            if exponent % 2:
                result = self.multiply(result, base)
            exponent //= 2
            base = self.multiply(base, base) if exponent else base
        return result

    def divide(self, left: Element, right: Element) -> Element:
        """Return left/right."""
        if right and right.is_ground:
            return left.quo_ground(right.LC)
        return self.multiply(left, self.invert(right))

    def sum(self, elements: Iterable[Element]) -> Element:
        """Return the sum of elements."""
        total: dict[Any, Any] = {}
        for element in elements:
            for monomial, coefficient in element.items():
                total[monomial] = total[monomial] + coefficient if monomial in total else coefficient
        return self.build({monomial: coefficient for monomial, coefficient in total.items() if coefficient})

    def product(self, elements: Iterable[Element]) -> Element:
        """Return the product of elements."""
        total = self.one
        for element in elements:
            total = self.multiply(total, element)
        return total

    def build(self, terms: dict[Any, Any]) -> Element:
        """Return the element with these terms, none of them 0."""
        element = self.ring.zero
        element.update(terms)
        return element

    def _reduce(self, element: Element, used: set[int]) -> Element:
        """Return what has some generators with 1/g times g cancelled, and powers of roots and signs brought down."""
        pairs = [(left, right) for left, right in self._pairs if left in used and right in used]
        powers = [(place, *self._powers[place]) for place in used & self._powers.keys()]
        if not pairs and not powers:
            return element
        kept: dict[Any, Any] = {}
        lowered: dict[tuple[tuple[int, int], ...], dict[Any, Any]] = {}
        changed = False
        for monomial, coefficient in element.items():
            key, counts = _reduce_monomial(monomial, pairs, powers)
            changed = changed or key is not monomial
            terms = lowered.setdefault(counts, {}) if counts else kept
            terms[key] = terms[key] + coefficient if key in terms else coefficient
        if not changed:
            return element
        result = self.build({monomial: value for monomial, value in kept.items() if value})
        for counts, terms in lowered.items():
            factor = self.product(self.power(self._powers[place][1], count) for place, count in counts)
            result = result + self.multiply(self.build({key: value for key, value in terms.items() if value}), factor)
        return result

    # --- inverses ---

    def invert(self, element: Element) -> Element:
        """Return 1/element; raises Undefined for 0."""
        if element and element.is_ground:
            return self.ring.ground_new(1 / element.LC)
        factors = self.split(element)
        result = self.ring.ground_new(1 / factors.coefficient)
        for generator, exponent in factors.powers.items():
            one = generator.invert(self) if exponent > 0 else self.element(generator)
            result = self.multiply(result, self.power(one, abs(exponent)))
        if factors.rest == 1:
            return result
        rest = self.shorten(factors.rest)
        if len(rest) == 1:
            return self.multiply(result, self.invert(rest))
        return self.multiply(result, self.element(self.find_inverse(rest)))

    def invert_power(self, generator: Generator) -> Element:
        """Return 1/g of a generator with g**degree = below."""
        degree, below = self._powers[generator.index]
        return self.multiply(self.power(self.element(generator), degree - 1), self.invert(below))

    def find_inverse(self, of: Element) -> Generator:
        """Return the generator 1/u; raises Undefined where u is 0 for some signs in it."""
        return self.find(("inverse", of), lambda: Inverse(self._require_sides(of), positive=self.is_positive(of)))

    def _require_sides(self, element: Element, count: int = 0) -> Element:
        """Return an element that is not 0 for any signs in it; raises Undefined."""
        branch = next((g for g in self.list_generators(element) if isinstance(g, Sign | UnitEntry)), None)
        if not element:
            raise Undefined("a division by 0 on one side of a branch")
        if branch is not None and count < _MOST_SIGNS:
            for side in (1, -1):
                self._require_sides(self.substitute(element, {branch.index: self.constant(side)}), count + 1)
        return element

    def split(self, element: Element) -> Factors:
        """Return an element as a product of a number, powers of generators and a sum; raises Undefined for 0."""
        powers: dict[Generator, int] = {}
        element = self.cancel(element)
        while lower := [g for g in self.list_generators(element) if isinstance(g, Inverse)]:
            divisor = lower[-1]
            element, degree = self._clear(element, divisor)
            powers[divisor] = powers.get(divisor, 0) + degree
        if not element or (len(element) > 1 and self._is_zero_in_disguise(element)):
            raise Undefined("a division by 0, or its like")
        least = tuple(map(min, zip(*element, strict=True)))
        for place, exponent in enumerate(least):
            if exponent:
                generator = self.generators[place]
                powers[generator] = powers.get(generator, 0) + exponent
        if any(least):
            element = element.quo_term((least, QQ(1)))
        content, element = make_primitive(element)
        return Factors(content, {g: e for g, e in powers.items() if e}, element)

    def _clear(self, element: Element, divisor: Inverse) -> tuple[Element, int]:
        """Return element/divisor**degree without the divisor, and the degree in which it had it."""
        parts = self._collect(element, divisor)
        degree = max(parts)
        factor, total = self.one, self.zero
        for exponent in range(degree, -1, -1):
            if exponent in parts:
                total = total + self._expand(parts[exponent], factor)
            factor = self._expand(factor, divisor.of) if exponent else factor
        return total, degree

    def _collect(self, element: Element, generator: Generator) -> dict[int, Element]:
        """Return the coefficients of the powers of a generator."""
        place = generator.index
        parts: dict[int, dict[Any, Any]] = {}
        for monomial, coefficient in element.items():
            exponent = monomial[place]
            rest = (*monomial[:place], 0, *monomial[place + 1 :]) if exponent else monomial
            parts.setdefault(exponent, {})[rest] = coefficient
        return {exponent: self.build(terms) for exponent, terms in parts.items()}

    def cancel(self, element: Element) -> Element:
        """Return an element with powers of 1/u made lower where u divides what they are multiplied with."""
        for divisor in reversed(self.list_generators(element)):
            if not isinstance(divisor, Inverse) or len(divisor.of) == 1:
                continue
            parts = self._collect(element, divisor)
            degree, changed = max(parts), False
            while degree:
                top = parts[degree]
                if not top:
                    pass
                elif len(top) < len(divisor.of) or len(top) * len(divisor.of) > 20_000:
                    break
                else:
                    self.budget.spend(len(top) * len(divisor.of))
                    quotient, remainder = top.div(divisor.of)
                    if remainder:
                        break
                    parts[degree - 1] = parts.get(degree - 1, self.zero) + quotient
                    changed = True
                del parts[degree]
                degree -= 1
                parts.setdefault(degree, self.zero)
            if changed:
                one = self.element(divisor)
                element = self.sum(self.multiply(part, one**exponent) for exponent, part in parts.items())
        return element

    # --- signs ---

    def is_positive(self, element: Element) -> bool:
        """Whether an element is known to be positive wherever it is not 0."""
        if element in self._assumed:
            return True
        for monomial, coefficient in element.items():
            if coefficient < 0:
                return False
            odd = (place for place, exponent in enumerate(monomial) if exponent % 2)
            if not all(self.generators[place].positive for place in odd):
                return False
        return True

    def sign(self, element: Element) -> Element:
        """Return the sign of an element, 0 for 0."""
        return self.choose(element, (-1, 0, 1))

    def choose(self, element: Element, values: tuple[int, int, int]) -> Element:
        """Return one of three numbers, for an element below 0, 0 itself, and above.

        What holds signs may be 0 for one side of them and not for the other, as x + |x| is: each side is asked.
        """
        if not element:
            return self.constant(values[1])
        branch = next(self._list_branches(element), None)
        if branch is None:
            below, _, above = values
            apart = self._sign_of_one(element).mul_ground(QQ(above - below, 2))
            return apart + self.constant(Fraction(above + below, 2))
        total = self.zero
        for side in (1, -1):
            half = (self.one + self.element(branch).mul_ground(QQ(side))).mul_ground(QQ(1, 2))
            told = self.choose(self.substitute(element, {branch.index: self.constant(side)}), values)
            total = total + self.multiply(half, told)
        return total

    def _sign_of_one(self, element: Element) -> Element:
        """Return the sign of an element without signs; raises Undefined for 0."""
        if self.is_positive(element) and element:
            return self.one
        factors = self.split(element)
        result = self.constant(1 if factors.coefficient > 0 else -1)
        for generator, exponent in factors.powers.items():
            if exponent % 2:
                result = self.multiply(result, generator.take_sign(self))
        if factors.rest == 1 or self.is_positive(factors.rest):
            return result
        return self.multiply(result, self.find_sign(factors.rest))

    def find_sign(self, of: Element) -> Element:
        """Return the generator for the sign of u."""
        if of in self._assumed:
            return self.one
        of = self.shorten(of)
        return self.element(self.find(("sign", of), lambda: Sign(of)))

    def absolute(self, element: Element) -> Element:
        """Return the absolute value."""
        return self.multiply(self.sign(element), element) if element else element

    def require_positive(self, element: Element, reason: str) -> None:
        """Note that an element must be positive for everything to be defined; raises Undefined where it cannot be."""
        if not element or (element.is_ground and element.LC < 0):
            raise Undefined(reason)
        if self.is_positive(element):
            return
        self.conditions.append((element, reason))
        if self.assumes_conditions:
            factors = self.split(element)
            unknown = [g for g, exponent in factors.powers.items() if exponent % 2 and not g.positive]
            if factors.coefficient > 0 and not unknown and factors.rest != 1:
                self._assumed |= {factors.rest, self.shorten(factors.rest)}
            elif factors.coefficient > 0 and len(unknown) == 1 and factors.rest == 1:
                self._assumed.add(self.element(unknown[0]))
                unknown[0].positive = True

    # --- powers, exponentials and logarithms ---

    def raise_to(self, base: Element, exponent: Element) -> Element:
        """Return base**exponent; raises Undefined where it has no real value."""
        if not exponent:
            return self.one
        if exponent.is_ground:
            value = Fraction(int(exponent.LC.numerator), int(exponent.LC.denominator))
            if value.denominator == 1:
                return self.power(base, value.numerator)
            self.require_positive(base, "a power needs a positive base")
            return self.take_root(base, value)
        if base == 1:
            return base
        self.require_positive(base, "a power needs a positive base")
        return self.exp(self.multiply(exponent, self.log_absolute(base)))

    def take_root(self, base: Element, exponent: Fraction) -> Element:
        """Return base**exponent for a fraction, base being positive wherever that is defined."""
        factors = self.split(base)
        degree = exponent.denominator
        result, inside = self._root_of_number(factors.coefficient, exponent)
        for generator, power in factors.powers.items():
            if generator.positive:
                result = self.multiply(result, self._raise_positive(generator, power * exponent))
                continue
            count, rest = divmod(power, degree)
            size = self.multiply(self.element(generator), generator.take_sign(self))
            result = self.multiply(result, self.power(size, count * exponent.numerator))
            flip = generator.take_sign(self) if count % 2 and degree % 2 else self.one
            inside = self.multiply(self.multiply(inside, self.power(self.element(generator), rest)), flip)
        for part, count in self._factor(factors.rest):
            whole, rest = divmod(count, degree)
            if whole:
                result = self.multiply(result, self.power(self.absolute(part), whole * exponent.numerator))
            if self.is_positive(part):
                result = self.multiply(result, self._find_root(part, exponent * rest))
            else:
                inside = self.multiply(inside, self.power(part, rest))
                if whole % 2 and degree % 2:
                    inside = self.multiply(inside, self.sign(part))
        return self.multiply(result, self._find_root(inside, exponent))

    def _root_of_number(self, number: Any, exponent: Fraction) -> tuple[Element, Element]:
        """Return |number|**exponent, roots of primes apart, and the sign that stays inside."""
        result = self.one
        for prime, count in _factor_number(abs(number)):
            power = count * exponent
            whole = math.floor(power)
            scale = Fraction(prime) ** whole
            result = self.multiply(result.mul_ground(QQ(scale.numerator, scale.denominator)),
                                   self._find_root(self.constant(prime), power - whole))  # fmt: skip
        return result, self.constant(1 if number > 0 else -1)

    def _raise_positive(self, generator: Generator, exponent: Fraction) -> Element:
        if isinstance(generator, Inverse):
            return self.take_root(generator.of, -exponent)
        if isinstance(generator, Root):
            return self.take_root(generator.of, exponent / generator.degree)
        if isinstance(generator, Exponential):
            return self.exp(generator.argument.mul_ground(QQ(exponent.numerator, exponent.denominator)))
        return self._find_root(self.element(generator), exponent)

    def _find_root(self, of: Element, exponent: Fraction) -> Element:
        """Return u**exponent by the finest root of u that is needed so far."""
        if of == 1 or not exponent:
            return self.one
        of = self.shorten(of)
        whole = math.floor(exponent)
        rest = exponent - whole
        result = self.power(of, whole) if whole >= 0 else self.power(self.invert(of), -whole)
        if not rest:
            return result
        key = ("root", of)
        known = self._found.get(key)
        degree = known.degree if isinstance(known, Root) else 1
        if rest.denominator > 1 and degree % rest.denominator:
            finer = math.lcm(degree, rest.denominator)
            below = of if known is None else self.element(known)
            self._found[key] = self.add(Root(of, finer, finer // degree, below, positive=True))
            known, degree = self._found[key], finer
        assert known is not None
        root = self.power(self.element(known), int(rest * degree))
        return self.multiply(result, root)

    def _factor(self, element: Element) -> list[tuple[Element, int]]:
        """Return a primitive sum as powers of sums without square factors."""
        if element == 1:
            return []
        used = self.list_generators(element)
        if len(element) > _MOST_TERMS_TO_FACTOR or not used or find_degree(element) > _HIGHEST_DEGREE_TO_FACTOR:
            return [(element, 1)]
        small = _make_ring(len(used))
        places = [generator.index for generator in used]
        told = small.from_dict({tuple(m[place] for place in places): c for m, c in element.items()})
        if _is_squarefree(told):
            return [(element, 1)]
        return [(self._lift(part, places), count) for part, count in told.sqf_list()[1]]

    def _lift(self, part: Element, places: list[int]) -> Element:
        terms = {}
        for monomial, coefficient in part.items():
            exponents = [0] * self.ring.ngens
            for place, exponent in zip(places, monomial, strict=True):
                exponents[place] = exponent
            terms[tuple(exponents)] = coefficient
        return make_primitive(self.build(terms))[1]

    def log(self, element: Element) -> Element:
        """Return log(element), which must be positive."""
        self.require_positive(element, "log needs a positive argument")
        return self.log_absolute(element)

    def log_absolute(self, element: Element) -> Element:
        """Return log|element| as a sum of logarithms."""
        factors = self.split(element)
        total = self.sum(
            self.find_log(self.constant(prime)).mul_ground(QQ(count))
            for prime, count in _factor_number(abs(factors.coefficient))
        )
        for generator, exponent in factors.powers.items():
            total = total + generator.take_log(self).mul_ground(QQ(exponent))
        for part, count in self._factor(factors.rest):
            total = total + self.find_log(part).mul_ground(QQ(count))
        return total

    def find_log(self, of: Element) -> Element:
        """Return the generator log|u|."""
        of = self.shorten(of)
        return self.element(self.find(("log", of), lambda: Logarithm(of)))

    def exp(self, argument: Element) -> Element:
        """Return exp(argument), as a product of exponentials that are there already where it is one."""
        argument = self.cancel(argument)
        result, argument = self._take_logs_out(argument)
        if not argument:
            return result
        rest, counts = self._reduce_exponent(argument)
        if rest:
            known = self._recognise(argument)
            if known is not None:
                return self.multiply(result, known)
            base = Exponential(argument, positive=True)
            self.add(base)
            self._bases.append(base)
            place = len(self._bases) - 1
            self._exponents.append((rest, {place: QQ(1), **{other: -count for other, count in counts.items()}}))
            counts = {place: QQ(1)}
        for place, count in counts.items():
            result = self.multiply(result, self._raise_base(place, count))
        return result

    def _take_logs_out(self, argument: Element) -> tuple[Element, Element]:
        """Return the powers that exp makes of logarithms, and the rest of the argument."""
        result, rest = self.one, argument
        for generator in self.list_generators(argument):
            if isinstance(generator, Logarithm):
                monomial = self.element(generator).leading_expv()
                if coefficient := argument.get(monomial):
                    rest = rest - self.build({monomial: coefficient})
                    exponent = Fraction(int(coefficient.numerator), int(coefficient.denominator))
                    size = self.absolute(generator.of)
                    power = self.power(size, exponent.numerator) if exponent.denominator == 1 else None
                    result = self.multiply(result, self.take_root(size, exponent) if power is None else power)
        return result, rest

    def _reduce_exponent(self, argument: Element) -> tuple[Element, dict[int, Any]]:
        """Return what is left of an argument, and how often each known exponent is contained in it."""
        counts: dict[int, Any] = {}
        for row, parts in self._exponents:
            pivot = row.LM
            if coefficient := argument.get(pivot):
                factor = coefficient / row[pivot]
                argument = argument - row.mul_ground(factor)
                for place, count in parts.items():
                    counts[place] = counts.get(place, QQ(0)) + factor * count
        return argument, {place: count for place, count in counts.items() if count}

    def _recognise(self, argument: Element) -> Element | None:
        """Return the exponential of an argument that is a known one, or its negative, written in another way."""
        if not any(isinstance(generator, Inverse) for generator in self.list_generators(argument)):
            return None
        for base in self._bases:
            if self.is_zero(argument - base.argument):
                return self.element(base)
            if self.is_zero(argument + base.argument):
                return base.invert(self)
        return None

    def _raise_base(self, place: int, count: Any) -> Element:
        """Return exp of so many times a known exponent; a fraction makes the known one finer."""
        base = self._bases[place]
        if count.denominator != 1:
            degree = int(count.denominator)
            finer = Exponential(base.argument.mul_ground(QQ(1, degree)), (degree, self.element(base)), positive=True)
            self.add(finer)
            self._bases[place] = finer
            self._exponents = [
                (row, {other: times * degree if other == place else times for other, times in parts.items()})
                for row, parts in self._exponents
            ]
            base, count = finer, count * degree
        if count > 0:
            return self.power(self.element(base), int(count))
        return self.power(base.invert(self), -int(count))

    def pi(self) -> Element:
        """Return the number pi."""
        return self.element(self.find("pi", lambda: Pi(positive=True)))

    # --- derivatives and substitutions ---

    def differentiate(self, element: Element, by: Generator) -> Element:
        """Return the derivative by a free variable, by the chain rule."""
        total = self.zero
        for generator in self.list_generators(element):
            slope = self.differentiate_generator(generator, by)
            if slope:
                total = total + self.multiply(differentiate_element(element, generator.index), slope)
        return total

    def differentiate_generator(self, generator: Generator, by: Generator) -> Element:
        """Return the derivative of one generator."""
        key = (generator.index, by.index)
        if key not in self._slopes:
            self._slopes[key] = generator.differentiate(self, by)
        return self._slopes[key]

    def substitute(self, element: Element, images: dict[int, Element]) -> Element:
        """Return an element with generators replaced; `images` has those of some by place, and is completed."""
        total = self.zero
        generators = self.list_generators(element)
        for generator in generators:
            if generator.index not in images:
                images[generator.index] = generator.substitute(self, lambda below: self.substitute(below, images))
        for monomial, coefficient in element.items():
            product = self.ring.ground_new(coefficient)
            for generator in generators:
                if monomial[generator.index]:
                    product = self.multiply(product, self.power(images[generator.index], monomial[generator.index]))
            total = total + product
        return total

    # --- zero ---

    def is_zero(self, element: Element) -> bool:
        """Whether an element comes to zero; False says only that it did not."""
        return self._vanishes(element, False) or (self._has_names and self._vanishes(element, True))

    def _vanishes(self, element: Element, writes_names: bool) -> bool:
        """Whether an element comes to zero, names standing for anything or written out."""
        kinds = (Inverse, Name) if writes_names else (Inverse,)
        last = next((g for g in reversed(self.list_generators(element)) if isinstance(g, kinds)), None)
        if last is None:
            return not element
        if isinstance(last, Name):
            return self._vanishes(self._write_name(element, last), True)
        groups: dict[Any, dict[Any, Any]] = {}
        place = last.index + 1
        for monomial, coefficient in element.items():
            lower = monomial[:place] + (0,) * (len(monomial) - place)
            groups.setdefault(monomial[place:], {})[lower] = coefficient
        return all(self._vanishes(self._clear(self.build(group), last)[0], writes_names) for group in groups.values())

    def _write_name(self, element: Element, name: Name) -> Element:
        """Return an element with a sum in the place of its name."""
        parts = self._collect(element, name)
        result = self.zero
        for exponent in range(max(parts), -1, -1):
            result = self._expand(result, name.of) + parts.get(exponent, self.zero)
        return result

    def comes_to_zero(self, element: Element, known: tuple[Element, ...] = ()) -> bool:
        """Whether an element comes to zero, if need be for every combination of signs that can be.

        `known` are the elements that are positive in the combination at hand.
        """
        if self.is_zero(element):
            return True
        sign = next(iter(self.list_signs(element)), None)
        if sign is None or len(known) >= _MOST_SIGNS:
            return False
        for side in (1, -1):
            more = self._list_products(known, sign.of.mul_ground(QQ(side)))
            if not (side < 0 and self.is_positive(sign.of)) and not is_contradiction(known, more):
                one_side = self.substitute(element, {sign.index: self.constant(side)})
                if not self.comes_to_zero(one_side, (*known, *more)):
                    return False
        return True

    def _list_products(self, known: tuple[Element, ...], last: Element) -> list[Element]:
        """Return one more positive element, and where it is a single term its products with those that are."""
        if len(last) > 1:
            return [last]
        return [last, *(self.multiply(last, other) for other in known if len(other) == 1)]

    def has_signs(self, element: Element) -> bool:
        """Whether signs occur in an element, or inside of its generators."""
        return next(self._list_branches(element), None) is not None

    def list_signs(self, element: Element) -> list[Sign]:
        """Return the signs in an element, and inside of its generators."""
        return [g for g in self._list_branches(element) if isinstance(g, Sign)]

    def _list_branches(self, element: Element) -> Iterator[Sign | UnitEntry]:
        """Yield what is 1 or -1 in an element, or inside of its generators."""
        for generator in self._list_all(element):
            if isinstance(generator, Sign | UnitEntry):
                yield generator

    def _list_all(self, element: Element) -> list[Generator]:
        """Return the generators of an element and those inside of them, the lowest first."""
        found: dict[int, Generator] = {}
        stack = [element]
        while stack:
            for generator in self.list_generators(stack.pop()):
                if generator.index not in found:
                    found[generator.index] = generator
                    stack.extend(generator.list_inside(self))
        return [found[place] for place in sorted(found)]


def _reduce_monomial(
    monomial: Any, pairs: list[tuple[int, int]], powers: list[tuple[int, int, Element]]
) -> tuple[Any, tuple[tuple[int, int], ...]]:
    """Return what is left of a monomial, itself where it is reduced, and which relations are used how often."""
    exponents: list[int] | None = None
    for left, right in pairs:
        if monomial[left] and monomial[right]:
            exponents = exponents or list(monomial)
            least = min(monomial[left], monomial[right])
            exponents[left] -= least
            exponents[right] -= least
    counts: tuple[tuple[int, int], ...] = ()
    for place, degree, below in powers:
        if monomial[place] >= degree:
            exponents = exponents or list(monomial)
            count, exponents[place] = divmod(monomial[place], degree)
            counts = (*counts, (place, count)) if below != 1 else counts
    return (monomial if exponents is None else tuple(exponents)), counts


def is_contradiction(known: Iterable[Element], more: Iterable[Element]) -> bool:
    """Whether one of the known elements and one more cannot both be positive, multiples of them adding up to less."""
    for last in more:
        pivot = next((monomial for monomial in last if any(monomial)), None)
        for other in known:
            if pivot is None or not other.get(pivot) or last[pivot] * other[pivot] > 0:
                continue
            total = last.mul_ground(abs(other[pivot])) + other.mul_ground(abs(last[pivot]))
            if not total or (total.is_ground and total.LC < 0):
                return True
    return False


def _is_squarefree(element: Element) -> bool:
    """Whether no square divides a sum, seen along a line in the direction of each generator."""
    line = _make_ring(1)
    count = element.ring.ngens
    for direction in range(count):
        terms: dict[tuple[int], Any] = {}
        for monomial, coefficient in element.items():
            for place, exponent in enumerate(monomial):
                if place != direction:
                    coefficient = coefficient * (7 + 4 * place) ** exponent
            key = (monomial[direction],)
            terms[key] = terms.get(key, 0) + coefficient
        one = line.from_dict({key: value for key, value in terms.items() if value})
        if not one or not one.gcd(one.diff(line.gens[0])).is_ground:
            return False
    return True


def _factor_number(number: Any) -> list[tuple[int, int]]:
    """Return the primes of a positive fraction with their exponents; a large number counts as a prime."""
    found: list[tuple[int, int]] = []
    for part, side in ((int(number.numerator), 1), (int(number.denominator), -1)):
        if part > _LARGEST_FACTORED:
            found.append((part, side))
        elif part > 1:
            found += [(int(prime), side * int(count)) for prime, count in sympy.factorint(part).items()]
    return found
