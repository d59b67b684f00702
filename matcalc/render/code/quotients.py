"""Quotients of sums of exponentials -> the same ones without overflow: shares, tanh, or divided by the largest term.

(2*exp(x) + 1)/(3 + exp(x)) has infinite parts beyond 709, but each term has a share of the sum: sigmoid(x - log(3))
and sigmoid(log(3) - x).  Of a sum over entries the shares are softmax(x).  Sums with more terms are divided by the
largest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import reduce

from matcalc.language.expression import Expression, add, divide, negate, number, power, rebuild, subtract, transpose
from matcalc.render.code.exponentials import (
    NUMBER_1,
    ExponentialTerm,
    Linear,
    call_like,
    combine,
    find_largest_exponent,
    grows,
    is_positive,
    map_entries,
    over,
    read_exponent,
    read_exponentials,
    read_fraction,
    read_linear,
    scale_down,
    scale_linear,
    scale_terms,
    split_quotient,
    times,
    write_linear,
)

_MOST_POWERS, _DEPTH = 4, 6
# The factors above the bar with shares among them, and how many factors stay below; None where nothing changes.
_Found = tuple[list[Expression], int] | None


def divide_by_largest(node: Expression, kept: Collection[Expression] = ()) -> Expression:
    """Return a product of quotients, entry by entry, without overflow; the node itself where none is to be feared.

    `kept` are sigmoids that are computed anyway.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> texts = ["exp(x)/(2 + exp(x))", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "y*exp(x)/sum(exp(x))"]
    >>> [to_text(divide_by_largest(each)) for each in parse(texts).expressions]
    ['sigmoid(x - log(2))', 'tanh(x)', 'y*softmax(x)']
    """
    if not grows(node) and not _holds_share(node, _DEPTH):
        return node
    above, below, is_negative = split_quotient(node)
    found = _distribute(above, below) or _divide(above, below, kept)
    if found is None or found.shape != node.shape:
        return node
    return negate(found) if is_negative else found


def _holds_share(node: Expression, depth: int) -> bool:
    """Whether sigmoid(x) is a factor."""
    if node.op in ("multiply", "divide", "negate"):
        return depth > 0 and any(_holds_share(arg, depth - 1) for arg in node.args)
    return node.is_call("sigmoid") or _is_complement(node)


def _divide(
    above: list[Expression], below: list[Expression], kept: Collection[Expression] = ()
) -> Expression | None:
    """Return the quotient without overflow, None where it is written without."""
    before = list(above), list(below)
    above, below = _cancel(above, below)
    for place in [place for place, factor in enumerate(below) if grows(factor)]:
        exponent = read_exponent(below[place])
        base, count = (below[place], Fraction(1)) if exponent is None else (below[place].args[0], exponent)
        if count not in range(1, _MOST_POWERS + 1):
            continue
        for way in (_take_shares_of_entries, _take_shares_of_terms, _divide_by_exponential, _scale_terms, _scale_sums):
            found = way(base, int(count), above)
            if found is not None:
                above, left = found
                below[place] = NUMBER_1 if not left else base if left == 1 else power(base, number(left))
                break
    above, below = _cancel(_join_shares(above), [factor for factor in below if factor is not NUMBER_1])
    above = _pair_shares(above, kept)
    return None if (above, below) == before else _write(above, below)


def _write(above: Sequence[Expression], below: Sequence[Expression]) -> Expression:
    return over(reduce(times, above, NUMBER_1), reduce(times, below, NUMBER_1))


def _cancel(above: Sequence[Expression], below: Sequence[Expression]) -> tuple[list[Expression], list[Expression]]:
    """Return the factors without those above and below that may overflow, or lose digits as 1 - sigmoid(x)."""
    above, left = list(above), list[Expression]()
    for factor in below:
        is_share = factor.is_call("sigmoid") or _is_complement(factor)
        same = [factor, _take_opposite(factor)] if is_share else [factor] if grows(factor) else []
        place = next((at for at, each in enumerate(above) if each in same), None)
        if place is None:
            left.append(factor)
        else:
            above.pop(place)
    return above, left


def _join_shares(factors: list[Expression]) -> list[Expression]:
    """exp(x)*sigmoid(-x) is sigmoid(x)."""
    for place, factor in enumerate(factors):
        if factor.is_call("exp"):
            opposite = map_entries("sigmoid", write_linear(scale_linear(read_linear(factor.args[0]), Fraction(-1))))
            if opposite in factors:
                rest = [each for at, each in enumerate(factors) if at != place]
                rest[rest.index(opposite)] = map_entries("sigmoid", factor.args[0])
                return _join_shares(rest)
    return factors


def _take_opposite(share: Expression) -> Expression:
    """Return sigmoid(-x) for 1 - sigmoid(x), and 1 - sigmoid(-x) for sigmoid(x)."""
    inside = share.args[1].args[0] if _is_complement(share) else share.args[0]
    opposite = map_entries("sigmoid", write_linear(scale_linear(read_linear(inside), Fraction(-1))))
    return opposite if _is_complement(share) else subtract(NUMBER_1, opposite)


def _distribute(above: Sequence[Expression], below: Sequence[Expression]) -> Expression | None:
    """exp(z)*(a/sum(exp(z)) - y/exp(z)) = a*softmax(z) - y; None where nothing is gained by it.

    It ends as each term is a product of its own, with one sum less.
    """
    for place, factor in enumerate(above):
        if factor.op not in ("add", "subtract"):
            continue
        others = [each for at, each in enumerate(above) if at != place]
        if not any(map(grows, others)) or not any(map(_holds_quotient, factor.args)):
            continue
        parts = []
        for term in factor.args:
            own_above, own_below, is_negative = split_quotient(term)
            upper, lower = [*others, *own_above], [*below, *own_below]
            part = _divide(upper, lower) or _write(upper, lower)
            parts.append(negate(part) if is_negative else part)
        left, right = parts
        whole = add(left, right) if factor.op == "add" else subtract(left, right)
        if not any(map(_is_feared, parts)) and whole.shape == _write(above, below).shape:
            return whole
    return None


def _holds_quotient(term: Expression) -> bool:
    return any(grows(factor) or _is_complement(factor) for factor in split_quotient(term)[1])


def _is_feared(node: Expression) -> bool:
    """Whether something above and something below the bar may overflow together."""
    above, below, _ = split_quotient(node)
    return any(map(grows, above)) and any(grows(factor) or _is_complement(factor) for factor in below)


# --- sums of entries ------------------------------------------------------------------------------------------------


def _take_shares_of_entries(base: Expression, count: int, above: list[Expression]) -> _Found:
    """exp(x)/sum(exp(x)) is softmax(x), inside what is linear in exp(x) as well."""
    base = base.args[0] if base.op == "transpose" else base
    if not (base.is_call("sum") and base.args[0].is_call("exp")):
        return None
    factors, left = list(above), count
    for place, factor in enumerate(above):
        found = _share(factor, base) if left else None
        if found is not None:
            factors[place], left = found, left - 1
    return None if left == count else (factors, left)


def _share(above: Expression, below: Expression) -> Expression | None:
    """Return above/below with softmax(x) for exp(x); it ends as each call has a part of what is above."""
    if above.is_call("exp"):
        exponent, summed = above.args[0], below.args[0].args[0]
        is_whole = below.data[1] is None
        if summed is exponent or (is_whole and (summed is transpose(exponent) or exponent is transpose(summed))):
            return call_like("softmax", [exponent], above, None if is_whole else below)
        return None
    is_linear = above.op in ("negate", "transpose") or any(map(above.is_call, ("diag_of_vector", "sum", "mean")))
    if not below.is_scalar:
        return None
    if is_linear:
        inner = _share(above.args[0], below)
        return None if inner is None else rebuild(above, [inner])
    if above.op in ("add", "subtract") and all(arg.shape == above.shape for arg in above.args):
        parts = [_share(arg, below) for arg in above.args]
        return None if None in parts else rebuild(above, [part for part in parts if part is not None])
    if above.op in ("matmul", "multiply"):
        left, right = above.args
        if (inner := _share(right, below)) is not None:
            return rebuild(above, [left, inner])
        if (inner := _share(left, below)) is not None:
            return rebuild(above, [inner, right])
    return None


# --- two terms ------------------------------------------------------------------------------------------------------


def _take_shares_of_terms(base: Expression, count: int, above: list[Expression]) -> _Found:
    """Of c*exp(a) + d*exp(b) the terms have the shares sigmoid(t) and sigmoid(-t) with t = a - b + log(c/d)."""
    terms = read_exponentials(base)
    if terms is None or len(terms) != 2 or not all(is_positive(term.factor) for term in terms):
        return None
    shares = _write_shares(terms)
    factors, left = list[Expression](), count
    for factor in above:
        if left and grows(factor) and _is_difference(factor) and not _is_difference_of(factor, terms):
            # expm1(x)/(2 + exp(x)): shares would cancel near 0.
            return None
        found = _read_share(factor, terms, shares) if left and grows(factor) else None
        left -= found is not None
        factors.append(factor if found is None else found)
    if any(map(grows, factors)) and _may_expand([factor for factor in above if grows(factor)]):
        # Multiplied by a share that vanishes, what is left would be infinite times 0.
        return None
    # What is left of the power is a share too where a term is constant: 1/(1 + exp(-x)) is sigmoid(x).
    constant = next((place for place, term in enumerate(terms) if not term.exponent), None)
    if constant is not None and (left < count or terms[constant].factor is NUMBER_1):
        share = over(shares[constant], terms[constant].factor)
        factors, left = [*factors, *[share] * left], 0
    return None if left == count else (factors, left)


def _is_difference(factor: Expression) -> bool:
    """Whether a factor is c*(exp(a) - exp(b))."""
    terms = read_exponentials(factor)
    return terms is not None and len(terms) == 2 and times(number(-1), terms[0].factor) is terms[1].factor


def _is_difference_of(factor: Expression, terms: Sequence[ExponentialTerm]) -> bool:
    """Whether it is the difference of terms of the same weight."""
    found = read_exponentials(factor) or []
    exponents = [term.exponent for term in terms]
    return terms[0].factor is terms[1].factor and all(term.exponent in exponents for term in found)


def _write_shares(terms: Sequence[ExponentialTerm]) -> tuple[Expression, Expression]:
    gap = _measure_gap(terms)
    opposite = scale_linear(gap, Fraction(-1))
    return map_entries("sigmoid", write_linear(gap)), map_entries("sigmoid", write_linear(opposite))


def _measure_gap(terms: Sequence[ExponentialTerm]) -> Linear:
    """Return by how much the logarithm of the first term is larger."""
    first, second = terms
    ratio = over(first.factor, second.factor)
    weight = {} if ratio is NUMBER_1 else read_linear(map_entries("log", ratio))
    if (value := read_fraction(ratio)) is not None and 0 < value < 1:
        weight = {map_entries("log", number(1 / value)): Fraction(-1)}
    return combine(combine(first.exponent, second.exponent, -1), weight)


def _read_share(
    factor: Expression, terms: Sequence[ExponentialTerm], shares: Sequence[Expression]
) -> Expression | None:
    """Return a sum with the exponents of the terms, divided by them."""
    found = read_exponentials(factor)
    if found is None:
        return None
    weights: list[Expression | None] = [None, None]
    for each in found:
        place = next((at for at, term in enumerate(terms) if term.exponent == each.exponent), None)
        if place is None:
            return None
        weights[place] = over(each.factor, terms[place].factor)
    first, second = weights
    if first is not None and second is not None:
        if first is second:
            return first
        if times(number(-1), first) is second:
            return times(first, map_entries("tanh", write_linear(scale_linear(_measure_gap(terms), Fraction(1, 2)))))
    parts = [times(weight, share) for weight, share in zip(weights, shares, strict=True) if weight is not None]
    return parts[0] if len(parts) == 1 else _add(*parts)


def _add(left: Expression, right: Expression) -> Expression:
    return subtract(left, right.args[0]) if right.op == "negate" else add(left, right)


def _pair_shares(factors: Sequence[Expression], kept: Collection[Expression]) -> list[Expression]:
    """Return q*(1 - q) for p*(1 - p): of the smaller share, q = sigmoid(-abs(x)), 1 - q loses no digits.

    It ends as q and 1 - q, once written, are not looked at again.
    """
    waiting, done = list(factors), list[Expression]()
    while waiting:
        factor = waiting.pop(0)
        share = factor.args[1] if _is_complement(factor) else factor
        place = _find_complement(factor, waiting) if share.is_call("sigmoid") and share not in kept else None
        if place is None:
            done.append(factor)
            continue
        gap = read_linear(share.args[0])
        gap = gap if max(gap.values(), default=1) > 0 else scale_linear(gap, Fraction(-1))
        smaller = map_entries("sigmoid", negate(map_entries("abs", write_linear(gap))))
        done += [smaller, subtract(NUMBER_1, smaller)]
        waiting.pop(place)
    return done


def _is_complement(node: Expression) -> bool:
    return node.op == "subtract" and node.args[0] is NUMBER_1 and node.args[1].is_call("sigmoid")


def _find_complement(factor: Expression, others: Sequence[Expression]) -> int | None:
    """Return the place of 1 - p, as it is written or as sigmoid(-x)."""
    if _is_complement(factor):
        wanted = {factor.args[1]}
    else:
        opposite = write_linear(scale_linear(read_linear(factor.args[0]), Fraction(-1)))
        wanted = {map_entries("sigmoid", opposite), subtract(NUMBER_1, factor)}
    return next((place for place, other in enumerate(others) if other in wanted), None)


# --- one term, and many ---------------------------------------------------------------------------------------------


def _divide_by_exponential(base: Expression, count: int, above: list[Expression]) -> _Found:
    """exp(a)/exp(b) is exp(a - b)."""
    if not base.is_call("exp"):
        return None
    factors, left = list(above), count
    for place, factor in enumerate(above):
        if left and factor.is_call("exp"):
            gap = combine(read_linear(factor.args[0]), read_linear(base.args[0]), -1)
            factors[place], left = map_entries("exp", write_linear(gap)), left - 1
    return None if left == count else (factors, left)


def _scale_terms(base: Expression, count: int, above: list[Expression]) -> _Found:
    """A quotient of sums with more terms has both divided by the largest exponential."""
    terms = read_exponentials(base)
    growing = [each for factor in above if grows(factor) for each in _open_power(factor)]
    largest = find_largest_exponent(base) if growing and terms is not None else None
    if terms is None or largest is None:
        return None
    top = read_linear(largest)
    scaled = scale_terms(terms, top)
    below = scaled if count == 1 else power(scaled, number(count))
    others = [factor for factor in above if not grows(factor)]
    found = read_exponentials(reduce(times, growing)) if _may_expand(growing) else None
    if found is not None:
        return [*others, divide(scale_terms(found, scale_linear(top, Fraction(count))), below)], 0
    parts = [read_exponentials(factor) for factor in growing[:count]]
    if None in parts:
        return None
    above = [scale_terms(part, top) for part in parts if part is not None]
    if len(parts) < count:
        above.append(map_entries("exp", write_linear(scale_linear(top, Fraction(len(parts) - count)))))
    return [*others, *growing[count:], divide(reduce(times, above), below)], 0


def _open_power(factor: Expression) -> list[Expression]:
    """Return sinh(x) twice for sinh(x)**2."""
    exponent = read_exponent(factor) or Fraction(1)
    return [factor.args[0]] * int(exponent) if exponent in range(2, _MOST_POWERS + 1) else [factor]


def _may_expand(factors: Sequence[Expression]) -> bool:
    """Whether a product multiplied out has no terms that cancel where the factors do not."""
    read = [read_exponentials(factor) for factor in factors]
    mixed = [terms for terms in read if terms is None or not all(is_positive(term.factor) for term in terms)]
    return not mixed or (len(mixed) == 1 and sum(terms is None or len(terms) > 1 for terms in read) == 1)


def _scale_sums(base: Expression, count: int, above: list[Expression]) -> _Found:
    """So of sums of entries, each factor above the bar by itself."""
    largest = find_largest_exponent(base) if any(map(grows, above)) else None
    scaled = scale_down(base, largest) if largest is not None else None
    if largest is None or scaled is None or scaled.shape != base.shape:
        return None
    factors, left = list(above), count
    for place, factor in enumerate(above):
        found = scale_down(factor, largest) if left and grows(factor) else None
        if found is not None and found.shape == factor.shape:
            factors[place], left = divide(found, scaled), left - 1
    return None if left == count else (factors, left)
