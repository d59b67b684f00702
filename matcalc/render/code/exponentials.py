"""Sums of exponentials: what their terms are, their logarithm term by term, and the same sum divided by exp(m).

exp(x) and cosh(x) overflow beyond 709, log(2 + exp(x)) = logaddexp(log(2), x) does not.  Coefficients must be known to
be positive, as numbers are: otherwise a sum may vanish where its largest term does not.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import mul

from matcalc.language.expression import (
    Expression,
    add,
    broadcast,
    call,
    divide,
    matmul,
    multiply,
    negate,
    number,
    rebuild,
    size_value,
    subtract,
    transpose,
)
from matcalc.rule_files import shipped_rules

# What is nested more deeply, or has more terms, is left as it is written.
_DEPTH, _MOST_TERMS, MOST_FACTORS = 10, 6, 40
NUMBER_0, NUMBER_1 = number(0), number(1)
_EXPONENTIALS = frozenset({"exp", "cosh", "sinh", "expm1"})
_POSITIVE = frozenset({"exp", "cosh", "sigmoid", "softmax", "softplus"})
_POSITIVE_SYMBOLS = frozenset({"positive", "unit-interval"})

# A sum of multiples of expressions, as 2*x - y: each with its coefficient; numbers are multiples of 1.
Linear = dict[Expression, Fraction]


def call_like(
    name: str, args: Sequence[Expression], node: Expression, like: Expression | None = None
) -> Expression:
    """Return a call of a shipped function, of the shape of a node, along the axis of another call."""
    _, axis, keepdims = like.data if like is not None else (None, None, False)
    return call(shipped_rules()[name], tuple(args), node.shape, axis, keepdims)


def map_entries(name: str, *args: Expression) -> Expression:
    """Return a function entry by entry of expressions whose shapes broadcast."""
    shape = args[0].shape
    for arg in args[1:]:
        shape = broadcast(shape, arg.shape) or shape
    return call(shipped_rules()[name], args, shape)


# --- numbers and exponents ------------------------------------------------------------------------------------------


def read_fraction(node: Expression) -> Fraction | None:
    """Return the number that a node writes, such as -1/2, None for a formula."""
    if node.op == "negate":
        value = read_fraction(node.args[0])
        return None if value is None else -value
    if node.op == "divide" and all(arg.op == "number" for arg in node.args) and node.args[1].data[0]:
        return Fraction(node.args[0].data[0]) / Fraction(node.args[1].data[0])
    return Fraction(node.data[0]) if node.op == "number" else None


def read_exponent(node: Expression) -> Fraction | None:
    """Return the number to which a power raises, None for what is no power or raises to a formula."""
    return read_fraction(node.args[1]) if node.op == "power" else None


def read_linear(node: Expression, depth: int = _DEPTH) -> Linear:
    """Return an expression as a sum of multiples of others.

    >>> from matcalc.language.text_to_expression import parse
    >>> [str(number) for number in read_linear(parse("2*x - (x - 3*y)/2").expressions[0]).values()]
    ['3/2', '3/2']
    """
    value = read_fraction(node)
    if value is not None:
        return {NUMBER_1: value} if value else {}
    if depth and node.op in ("add", "subtract"):
        left, right = (read_linear(arg, depth - 1) for arg in node.args)
        return combine(left, right, -1 if node.op == "subtract" else 1)
    if depth and node.op == "matmul" and node.args[0].op == "negate":
        return scale_linear(read_linear(matmul(node.args[0].args[0], node.args[1]), depth - 1), Fraction(-1))
    if depth and node.op == "negate":
        return scale_linear(read_linear(node.args[0], depth - 1), Fraction(-1))
    if depth and node.op in ("multiply", "divide"):
        before, behind = map(read_fraction, node.args)
        if behind:
            return scale_linear(read_linear(node.args[0], depth - 1), behind if node.op == "multiply" else 1 / behind)
        if before is not None and node.op == "multiply":
            return scale_linear(read_linear(node.args[1], depth - 1), before)
    return {node: Fraction(1)}


def combine(left: Linear, right: Linear, sign: int = 1) -> Linear:
    """Return left + right, or left - right where the sign is -1."""
    whole = {part: left.get(part, Fraction(0)) + sign * right.get(part, Fraction(0)) for part in left | right}
    return {part: value for part, value in whole.items() if value}


def scale_linear(linear: Linear, factor: Fraction) -> Linear:
    """Return a multiple."""
    return {part: factor * value for part, value in linear.items()} if factor else {}


def write_linear(linear: Linear) -> Expression:
    """Return the expression: what is added first, numbers last."""
    whole: Expression | None = None
    for part, value in sorted(linear.items(), key=lambda item: (item[0] is NUMBER_1, item[1] < 0)):
        term = _write_multiple(part, abs(value))
        if whole is None:
            whole = negate(term) if value < 0 else term
        else:
            whole = add(whole, term) if value > 0 else subtract(whole, term)
    return NUMBER_0 if whole is None else whole


def _write_multiple(part: Expression, value: Fraction) -> Expression:
    if part is NUMBER_1:
        return number(value)
    if value.denominator != 1 and value.numerator == 1:
        return divide(part, number(value.denominator))
    return part if value == 1 else multiply(number(value), part)


def _have_opposite(exponents: Sequence[Linear]) -> bool:
    """Whether there are two exponents, beside 0, and one is the negative of the other."""
    others = [each for each in exponents if each]
    return len(others) == 2 and not combine(others[0], others[1])


# --- terms ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExponentialTerm:
    """factor*exp(exponent), entry by entry."""

    factor: Expression
    exponent: Linear


def grows(node: Expression) -> bool:
    """Whether there are exponentials in a sum, product, or sum of entries."""
    found = _growing.get(node)
    if found is None:
        found = _growing[node] = _find_growth(node)
    return found


# Below what is asked for all is known already: `make_safe` asks from the leaves up.
_growing: weakref.WeakKeyDictionary[Expression, bool] = weakref.WeakKeyDictionary()
_LINEAR = frozenset({"add", "subtract", "multiply", "divide", "negate", "transpose", "matmul"})


def _find_growth(node: Expression) -> bool:
    if node.op == "call":
        function = node.data[0].function
        return function in _EXPONENTIALS or (function in ("sum", "mean", "diag") and grows(node.args[0]))
    if node.op == "power":
        return _is_base(node.args[0]) or (read_exponent(node) is not None and grows(node.args[0]))
    return node.op in _LINEAR and any(map(grows, node.args))


def _is_base(node: Expression) -> bool:
    """Whether a power of it is an exponential: of e, 2, 10 by what is no number."""
    return (node.op == "number" and node.data[0] > 1) or node.op == "constant"


def read_exponentials(node: Expression, depth: int = _DEPTH) -> list[ExponentialTerm] | None:
    """Return the terms of a sum of exponentials entry by entry; None where there are many, or sums of entries in it."""
    found = _read_terms(node, depth)
    if found is None:
        return None
    merged: dict[frozenset[tuple[Expression, Fraction]], ExponentialTerm] = {}
    for term in found:
        key = frozenset(term.exponent.items())
        merged[key] = ExponentialTerm(add(merged[key].factor, term.factor), term.exponent) if key in merged else term
    return list(merged.values()) if len(merged) <= _MOST_TERMS else None


def _read_terms(node: Expression, depth: int) -> list[ExponentialTerm] | None:
    if node.op == "call" and node.data[0].function in _EXPONENTIALS:
        return _read_function(node)
    if not grows(node):
        return [ExponentialTerm(node, {})]
    if not depth or node.op not in ("add", "subtract", "negate", "multiply", "divide", "power"):
        return None
    if node.op == "power" and _is_base(node.args[0]):
        return [ExponentialTerm(NUMBER_1, _read_power(*node.args))]
    if node.op == "power":
        exponent, base = read_exponent(node), _read_terms(node.args[0], depth - 1)
        if exponent is None or base is None or len(base) != 1 or base[0].factor is not NUMBER_1:
            return None
        return [ExponentialTerm(NUMBER_1, scale_linear(base[0].exponent, exponent))]
    parts = [_read_terms(arg, depth - 1) for arg in node.args]
    left = parts[0]
    if left is None or None in parts:
        return None
    right = parts[-1] or []
    if node.op == "negate":
        return [_negate_term(term) for term in left]
    if node.op in ("add", "subtract"):
        return [*left, *(map(_negate_term, right) if node.op == "subtract" else right)]
    if len(left) * len(right) > _MOST_TERMS or (node.op == "divide" and len(right) > 1):
        return None
    join = times if node.op == "multiply" else over
    sign = 1 if node.op == "multiply" else -1
    return [
        ExponentialTerm(join(one.factor, other.factor), combine(one.exponent, other.exponent, sign))
        for one in left for other in right
    ]  # fmt: skip


def _read_power(base: Expression, exponent: Expression) -> Linear:
    """Return log(2)*x of 2**x."""
    linear = read_linear(exponent)
    if base.op == "constant" and base.name == "e":
        return linear
    logarithm = map_entries("log", base)
    return {times(logarithm, part): value for part, value in linear.items()}


def _read_function(node: Expression) -> list[ExponentialTerm]:
    exponent, function = read_linear(node.args[0]), node.data[0].function
    whole = ExponentialTerm(NUMBER_1, exponent)
    if function == "exp":
        return [whole]
    if function == "expm1":
        return [whole, ExponentialTerm(number(-1), {})]
    other = ExponentialTerm(number(Fraction(-1 if function == "sinh" else 1, 2)), scale_linear(exponent, Fraction(-1)))
    return [ExponentialTerm(number(Fraction(1, 2)), exponent), other]


def _negate_term(term: ExponentialTerm) -> ExponentialTerm:
    return ExponentialTerm(times(number(-1), term.factor), term.exponent)


def times(left: Expression, right: Expression) -> Expression:
    """Return a product, of numbers the number."""
    numbers = read_fraction(left), read_fraction(right)
    if numbers[0] is not None and numbers[1] is not None:
        return number(numbers[0] * numbers[1])
    if numbers[0] == -1 or numbers[1] == -1:
        return negate(right if numbers[0] == -1 else left)
    return right if left is NUMBER_1 else left if right is NUMBER_1 else multiply(left, right)


def over(left: Expression, right: Expression) -> Expression:
    """Return a quotient, of numbers the number."""
    numbers = read_fraction(left), read_fraction(right)
    if numbers[0] is not None and numbers[1]:
        return number(numbers[0] / numbers[1])
    return left if right is NUMBER_1 else divide(left, right)


def is_positive(node: Expression, depth: int = _DEPTH) -> bool:
    """Whether all entries are seen to be positive numbers."""
    if node.op == "number":
        return bool(node.data[0] > 0)
    if node.op == "symbol":
        return bool(node.data[1] & _POSITIVE_SYMBOLS)
    if node.op in ("constant", "size") or node.is_filled("ones"):
        return True
    if not depth:
        return False
    if node.op == "call":
        name = node.data[0].function
        inside = name in ("sum", "mean", "sqrt") and is_positive(node.args[0], depth - 1)
        return inside or name in _POSITIVE
    if node.op == "subtract" and node.args[0] is NUMBER_1:
        share = node.args[1]
        return share.is_call("sigmoid") or (share.op == "symbol" and "unit-interval" in share.data[1])
    if node.op == "power":
        return is_positive(node.args[0], depth - 1)
    is_made = node.op in ("add", "multiply", "divide", "transpose")
    return is_made and all(is_positive(arg, depth - 1) for arg in node.args)


# --- logarithms -----------------------------------------------------------------------------------------------------


def take_log(node: Expression, depth: int = _DEPTH) -> Expression | None:
    """Return the logarithm of what is positive, term by term and factor by factor; None where it is not seen to be.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> [to_text(take_log(each)) for each in parse(["2 + exp(x)", "cosh(x)", "1 + sum(exp(x))"]).expressions]
    ['logaddexp(x, log(2))', 'logaddexp(x, -x) - log(2)', 'softplus(logsumexp(x))']
    """
    if not depth:
        return None
    if node is NUMBER_1:
        return NUMBER_0
    if node.op == "call":
        return _take_log_of_call(node, depth)
    if node.op == "transpose":
        inside = take_log(node.args[0], depth - 1)
        return None if inside is None else transpose(inside)
    if node.op == "power" and _is_base(node.args[0]) and grows(node):
        return write_linear(_read_power(*node.args))
    exponent = read_exponent(node)
    if exponent is not None and is_positive(node.args[0]):
        inside = take_log(node.args[0], depth - 1)
        return None if inside is None else times(number(exponent), inside)
    if node.op in ("multiply", "divide"):
        return _take_log_of_product(node, depth)
    if node.op in ("add", "subtract"):
        logs = [take_log(arg, depth - 1) for arg in node.args]
        left, right = logs
        if left is None or right is None or not all(map(is_positive, node.args)):
            return _take_log_of_largest(node) if grows(node) else None
        return _add_logs(left, right, node) if node.op == "add" else _subtract_logs(left, right, node)
    if node.op == "matmul" and is_all_ones(node.args[0]) and node.args[1].is_column:
        return take_log(call_like("sum", [node.args[1]], node), depth - 1)
    return map_entries("log", node) if is_positive(node) else None


def _take_log_of_largest(node: Expression) -> Expression | None:
    """log(a + exp(x)) = m + log(a*exp(-m) + exp(x - m)) with m = maximum(x, 0), whatever the sign of a."""
    largest = find_largest_exponent(node)
    terms = read_exponentials(node)
    if largest is None:
        return None
    scaled = scale_down(node, largest) if terms is None else scale_terms(terms, read_linear(largest))
    return None if scaled is None or scaled.shape != node.shape else add(largest, map_entries("log", scaled))


def is_all_ones(node: Expression) -> bool:
    """Whether it is a row of ones."""
    return node.is_row and (node.is_filled("ones") or (node.op == "transpose" and node.args[0].is_filled("ones")))


def _take_log_of_call(node: Expression, depth: int) -> Expression | None:
    name, (first, *_) = node.data[0].function, node.args
    if name == "exp":
        return first
    if name == "cosh":
        return subtract(map_entries("logaddexp", first, negate(first)), map_entries("log", number(2)))
    if name == "sigmoid":
        return negate(map_entries("softplus", negate(first)))
    if name == "softmax":
        return call_like("log_softmax", [first], node, node)
    if name in ("sum", "mean") and is_positive(first):
        inside = take_log(first, depth - 1)
        if inside is None or inside.shape != first.shape:
            return None
        whole = call_like("logsumexp", [inside], node, node)
        axis = node.data[1]
        count = size_value(reduce(mul, first.squeezed_shape) if axis is None else first.shape[axis])
        return whole if name == "sum" else subtract(whole, map_entries("log", count))
    if name == "sqrt" and is_positive(first):
        inside = take_log(first, depth - 1)
        return None if inside is None else divide(inside, number(2))
    return map_entries("log", node) if is_positive(node) else None


def _take_log_of_product(node: Expression, depth: int) -> Expression | None:
    """Return the sum of the logarithms: of what grows term by term, of all other factors together.

    Factors that may be negative stay together, as two of them may be.
    """
    above, below, is_negative = split_quotient(node)
    is_split = sum(not is_positive(factor) for factor in (*above, *below)) < 2
    logs: list[tuple[int, Expression]] = []
    rest: list[list[Expression]] = [[], []]
    for place, factors in enumerate((above, below)):
        for factor in factors:
            is_asked = has_own_log(factor) and (is_split or is_positive(factor))
            found = take_log(factor, depth - 1) if is_asked else None
            if found is None:
                rest[place].append(factor)
            else:
                logs.append((1 - 2 * place, found))
    if not logs or is_negative or any(grows(factor) for factors in rest for factor in factors):
        return None
    others = over(reduce(times, rest[0], NUMBER_1), reduce(times, rest[1], NUMBER_1))
    if others is not NUMBER_1:
        logs.append((1, map_entries("log", others)))
    (sign, whole), *more = sorted(logs, key=lambda item: -item[0])
    whole = whole if sign > 0 else negate(whole)
    for sign, found in more:
        if found is not NUMBER_0:
            whole = found if whole is NUMBER_0 and sign > 0 else (add if sign > 0 else subtract)(whole, found)
    return whole


def has_own_log(node: Expression) -> bool:
    """Whether the logarithm of a factor is another formula than log(factor)."""
    base = node.args[0] if node.op in ("power", "transpose") else node
    return grows(base) or any(map(base.is_call, ("sigmoid", "softmax"))) or (
        base.op == "subtract" and base.args[0] is NUMBER_1 and base.args[1].is_call("sigmoid"))  # fmt: skip


def _add_logs(left: Expression, right: Expression, node: Expression) -> Expression:
    if left is NUMBER_0 or right is NUMBER_0:
        return map_entries("softplus", right if left is NUMBER_0 else left)
    # What is written first in the code is the formula, then the number.
    first, second = (right, left) if _is_constant(left) and not _is_constant(right) else (left, right)
    return map_entries("logaddexp", first, second)


def _is_constant(node: Expression) -> bool:
    return node.is_call("log") and node.args[0].op in ("number", "constant", "size")


def _subtract_logs(left: Expression, right: Expression, node: Expression) -> Expression:
    """log(exp(a) - exp(b)) = a + log(-expm1(b - a)), and log(1 - sigmoid(x)) = -softplus(x)."""
    if left is NUMBER_0 and node.args[1].is_call("sigmoid"):
        return negate(map_entries("softplus", node.args[1].args[0]))
    difference = write_linear(combine(read_linear(right), read_linear(left), -1))
    gap = map_entries("log", negate(map_entries("expm1", difference)))
    return gap if left is NUMBER_0 else add(left, gap)


def split_quotient(node: Expression) -> tuple[list[Expression], list[Expression], bool]:
    """Return the factors above and below the bar of a product entry by entry, and whether it is negative.

    Of a product of very many factors it is the product itself.
    """
    above, below, is_negative = list[Expression](), list[Expression](), False
    stack = [(node, True)]
    while stack:
        if len(above) + len(below) + len(stack) > MOST_FACTORS:
            return [node], [], False
        each, is_above = stack.pop()
        if each.op in ("multiply", "divide"):
            first, second = each.args
            stack += [(second, is_above == (each.op == "multiply")), (first, is_above)]
        elif each.op == "negate":
            stack.append((each.args[0], is_above))
            is_negative = not is_negative
        elif each is not NUMBER_1:
            (above if is_above else below).append(each)
    return above, below, is_negative


# --- divided by the largest exponential -----------------------------------------------------------------------------


def find_largest_exponent(node: Expression) -> Expression | None:
    """Return the largest exponent of a sum, of sums of entries too; None where no term is seen to be positive.

    Where other terms may vanish or be negative it is 0 at least, so that nothing is made larger than it is.
    """
    found = _list_largest(node, _DEPTH)
    return None if found is None else _write_maximum(found)


def _find_largest_of_terms(terms: Sequence[ExponentialTerm]) -> Expression:
    exponents = [term.exponent for term in terms]
    if _have_opposite(exponents):
        first = next(each for each in exponents if each)
        return map_entries("abs", write_linear(first if max(first.values()) > 0 else scale_linear(first, Fraction(-1))))
    return _write_maximum([write_linear(exponent) for exponent in exponents])


def _write_maximum(exponents: Sequence[Expression]) -> Expression:
    found = sorted(dict.fromkeys(exponents), key=lambda each: each is NUMBER_0)
    return reduce(lambda one, other: map_entries("maximum", one, other), found)


def _list_largest(node: Expression, depth: int) -> list[Expression] | None:
    """Return the exponents of which one is the largest; None where nothing that grows is positive."""
    terms = read_exponentials(node) if depth else None
    if terms is not None:
        positive = [term for term in terms if is_positive(term.factor)]
        if not any(term.exponent for term in positive):
            return None
        largest = _find_largest_of_terms(positive)
        return [largest] if len(positive) == len(terms) or largest.is_call("abs") else [largest, NUMBER_0]
    if not depth:
        return None
    if node.op == "add":
        parts = [_list_largest(arg, depth - 1) if grows(arg) else [NUMBER_0] for arg in node.args]
        return None if None in parts else [each for part in parts if part is not None for each in part]
    if node.op == "multiply":
        left, right = node.args
        growing, other = (left, right) if grows(left) else (right, left)
        return _list_largest(growing, depth - 1) if is_positive(other) else None
    if node.op == "divide" and is_positive(node.args[1]) and not grows(node.args[1]):
        return _list_largest(node.args[0], depth - 1)
    if (node.is_call("sum") or node.is_call("mean")) and is_positive(node.args[0]):
        inside = _list_largest(node.args[0], depth - 1)
        if inside is None or (node.data[1] is not None and not (node.data[1] == 1 or node.data[2])):
            return None
        return [each if each.is_scalar else call_like("max", [each], node, node) for each in inside]
    return None


def scale_down(node: Expression, largest: Expression, depth: int = _DEPTH) -> Expression | None:
    """Return node*exp(-largest) without overflow, None where it is not linear in exponentials."""
    if not depth:
        return None
    if not grows(node):
        factor = map_entries("exp", write_linear(scale_linear(read_linear(largest), Fraction(-1))))
        return times(node, factor) if broadcast(node.shape, factor.shape) == node.shape else None
    terms = read_exponentials(node) if node.op in ("call", "power", "subtract") else None
    if terms is not None:
        return scale_terms(terms, read_linear(largest))
    if node.op in ("add", "subtract", "negate", "transpose") or any(map(node.is_call, ("sum", "mean"))) \
            or node.is_call("diag_of_vector"):  # fmt: skip
        parts = [scale_down(arg, largest, depth - 1) for arg in node.args]
        is_same = all(part is not None and part.shape == arg.shape for part, arg in zip(parts, node.args, strict=True))
        return rebuild(node, [part for part in parts if part is not None]) if is_same else None
    if node.op in ("multiply", "matmul", "divide"):
        left, right = node.args
        place = 1 if node.op != "divide" and grows(right) else 0
        part = scale_down(node.args[place], largest, depth - 1)
        if part is None or part.shape != node.args[place].shape or (node.op == "divide" and grows(right)):
            return None
        return rebuild(node, [left, part] if place else [part, right])
    return None


def scale_terms(terms: Sequence[ExponentialTerm], top: Linear) -> Expression:
    """Return the sum of factor*exp(exponent - top); of exp(a) - exp(b) without cancelling where a is near b."""
    if len(terms) == 2 and times(number(-1), terms[0].factor) is terms[1].factor:
        gap = combine(terms[0].exponent, terms[1].exponent, -1)
        shared = max(gap.values(), default=Fraction(1)) if len(gap) == 1 else Fraction(1)
        part, distance = write_linear(scale_linear(gap, 1 / shared)), number(-abs(shared))
        rise = combine(read_linear(_find_largest_of_terms(terms)), top, -1)
        front = times(terms[0].factor, number(-1 if shared > 0 else 1))
        parts = [map_entries("sign", part), map_entries("expm1", times(distance, map_entries("abs", part)))]
        return reduce(times, [front, *parts, *([map_entries("exp", write_linear(rise))] if rise else [])])
    written = []
    for term in terms:
        rise = combine(term.exponent, top, -1)
        written.append(times(term.factor, map_entries("exp", write_linear(rise))) if rise else term.factor)
    return reduce(lambda one, other: subtract(one, other.args[0]) if other.op == "negate" else add(one, other), written)
