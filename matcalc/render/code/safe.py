"""Formulas -> the same formulas without overflow: log(1 + exp(x)) as softplus(x), log(softmax(x)) as log_softmax(x).

The functions that stand for them have definitions that hold for all numbers.  What is computed anyway is used again:
beside x - mean(x) the variance is its square.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import reduce

from matcalc.language.expression import (
    Expression,
    add,
    call,
    divide,
    einsum,
    matmul,
    multiply,
    negate,
    number,
    power,
    rebuild,
    size_value,
    transpose,
    walk,
)
from matcalc.language.rewrite import rewrite_each
from matcalc.render.code.exponentials import (
    MOST_FACTORS,
    NUMBER_1,
    call_like,
    grows,
    has_own_log,
    is_positive,
    map_entries,
    over,
    read_exponent,
    split_quotient,
    take_log,
    times,
)
from matcalc.render.code.quotients import divide_by_largest


def make_safe(*roots: Expression) -> list[Expression]:
    """Return expressions of the same values that do not overflow where these would.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(make_safe(parse("sum(log(1 + exp(x)))").expressions[0])[0])
    'sum(softplus(x))'
    """
    deviations = {(node.args[0], node.args[1].data[1]): node for node in walk(*roots) if _is_deviation(node)}
    done: dict[Expression, Expression] = {}
    shared, kept = _list_shared(roots), set[Expression]()
    for node in walk(*roots):
        whole = rebuild(node, [done[arg] for arg in node.args])
        deviation = deviations.get((node.args[0], node.data[1])) if node.is_call("var") else None
        if deviation is not None:
            whole = _square(done.get(deviation) or _rebuild(deviation, done), node)
        found = _replace(whole, kept)
        done[node] = found if found.shape == whole.shape else whole
        if node in shared:
            kept.add(done[node])
        grows(done[node])
    return [done[root] for root in roots]


def _list_shared(roots: Sequence[Expression]) -> set[Expression]:
    """Return the sigmoids that are needed for more than p*(1 - p), which is then written with the same p."""
    shared = {root for root in roots if root.is_call("sigmoid")}
    for node in walk(*roots):
        is_own = node.op == "multiply" or (node.op == "subtract" and node.args[0] is NUMBER_1)
        shared.update(arg for arg in node.args if arg.is_call("sigmoid") and not is_own)
    return shared


def _replace(node: Expression, kept: Collection[Expression]) -> Expression:
    if node.is_call("log") or node.is_call("log1p"):
        inside = node.args[0] if node.is_call("log") else add(NUMBER_1, node.args[0])
        # log1p(a + exp(x)) has more digits as it stands, where a may be anything.
        is_asked = has_own_log(inside) and (node.is_call("log") or is_positive(node.args[0]))
        found = take_log(inside) if is_asked else None
        return node if found is None or found.shape != node.shape else found
    if node.op == "divide" and node.args[0].op == "transpose" and node.args[1].is_scalar:
        return transpose(_replace(divide(node.args[0].args[0], node.args[1]), kept))
    if node.op == "divide":
        return divide_by_largest(node, kept)
    if node.op == "matmul":
        return _scale_rows(node)
    if node.op == "einsum":
        return _share_in_einsum(node)
    if node.op == "multiply":
        chosen = _choose_before_multiplying(node)
        return divide_by_largest(node, kept) if chosen is node else chosen
    if node.is_call("sqrt") and node.args[0].is_call("exp"):
        return map_entries("exp", divide(node.args[0].args[0], number(2)))
    if node.op == "power" and node.args[1] is number(2) and node.args[0].is_call("norm"):
        vector = node.args[0].args[0]
        return matmul(transpose(vector), vector) if vector.is_column else node
    return node


def _choose_before_multiplying(node: Expression) -> Expression:
    """Return where(x > 0, 0, 1)*exp(x) as where(x > 0, 0, exp(x)): where exp(x) overflows it is not chosen."""
    factors, stack = list[Expression](), [node]
    while stack:
        if len(factors) + len(stack) > MOST_FACTORS:
            return node
        each = stack.pop()
        if each.op == "multiply" and each.shape == node.shape:
            stack += [each.args[1], each.args[0]]
        else:
            factors.append(each)
    choice = next((each for each in factors if _is_choice(each)), None)
    power = next((each for each in factors if each.is_call("exp")), None)
    if choice is None or power is None or choice.shape != power.shape:
        return node
    condition, first, _ = choice.args
    branches = (number(0), power) if first is number(0) else (power, number(0))
    chosen = call(choice.data[0], (condition, *branches), choice.shape)
    left = [each for each in factors if each is not choice and each is not power]
    return reduce(multiply, [*left, chosen])


def _scale_rows(node: Expression) -> Expression:
    """Return diag(1/sum(exp(X), axis=1)) @ exp(X) as softmax(X, axis=1), and so the columns."""
    for place, turn in ((0, lambda weights: weights), (1, transpose)):
        weights, array = node.args[place], node.args[1 - place]
        scales = list[Expression]()
        while weights.op == "multiply" and weights.args[0].is_scalar:
            scales.append(weights.args[0])
            weights = weights.args[1]
        if not weights.is_call("diag_of_vector") or not grows(array) or not weights.args[0].is_column:
            continue
        above, below, is_negative = split_quotient(weights.args[0])
        if any(map(grows, below)) and all(factor.is_column or factor.is_scalar for factor in (*above, *below)):
            product = divide(reduce(multiply, [*scales, *map(turn, above), array]), reduce(multiply, map(turn, below)))
            whole = divide_by_largest(product)
            if whole is not product and whole.shape == node.shape:
                return negate(whole) if is_negative else whole
    return node


def _share_in_einsum(node: Expression) -> Expression:
    """Return einsum('i,ij', 1/sum(exp(X), axis=1), exp(X)) with softmax(X, axis=1).

    It ends as each time there is one sum less.
    """
    inputs, output = node.data[0].split("->")
    operands = list(zip(inputs.split(","), node.args, strict=True))
    for place, (letters, operand) in enumerate(operands):
        above, below, is_negative = split_quotient(operand)
        for at, factor in enumerate(below):
            count = read_exponent(factor) or Fraction(1)
            base = factor.args[0] if factor.op == "power" else factor
            if not base.is_call("sum") or not base.args[0].is_call("exp") or count.denominator != 1 or count < 1:
                continue
            axis = base.data[1]
            fits = [
                other for other, (own, each) in enumerate(operands)
                if each is base.args[0] and (axis is None or own[1 - axis:2 - axis] == letters)
            ]  # fmt: skip
            if not fits:
                continue
            share = call_like("softmax", [base.args[0].args[0]], base.args[0], None if axis is None else base)
            operands[fits[0]] = (operands[fits[0]][0], share)
            rest = [*below[:at], *([power(base, number(count - 1))] if count > 1 else []), *below[at + 1:]]
            weights = over(reduce(times, above, NUMBER_1), reduce(times, rest, NUMBER_1))
            weights = negate(weights) if is_negative else weights
            if weights is NUMBER_1:
                operands.pop(place)
            elif weights.squeezed_shape == operand.squeezed_shape:
                operands[place] = (letters, weights)
            else:
                return node
            subscripts = ",".join(own for own, _ in operands) + "->" + output
            return _share_in_einsum(einsum(subscripts, tuple(each for _, each in operands)))
    return node


def _is_choice(node: Expression) -> bool:
    return node.is_call("where") and set(node.args[1:]) == {number(0), number(1)}


# --- what is computed anyway --------------------------------------------------------------------------


def _is_deviation(node: Expression) -> bool:
    """Whether a node is x - mean(x), of a vector or along an axis."""
    if node.op != "subtract" or not node.args[1].is_call("mean"):
        return False
    left, right = node.args
    return right.args[0] is left and (node.is_column if right.data[1] is None else len(left.squeezed_shape) == 2)


def _rebuild(node: Expression, done: dict[Expression, Expression]) -> Expression:
    for each in walk(node):
        if each not in done:
            done[each] = rebuild(each, [done[arg] for arg in each.args])
    return done[node]


def _square(deviation: Expression, variance: Expression) -> Expression:
    if variance.data[1] is None:
        return divide(matmul(transpose(deviation), deviation), size_value(deviation.shape[0]))
    return call_like("mean", [power(deviation, number(2))], variance, variance)


# --- powers -------------------------------------------------------------------------------------------

# What is taken apart is computed by logarithms otherwise: of NumPy all powers but squares and roots.
_SPLIT = (Fraction(3, 2), Fraction(5, 2))
_SPLIT_IN_NUMPY = (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(4))


def split_powers(roots: Sequence[Expression], backend: str) -> list[Expression]:
    """Return expressions with products of squares and square roots for powers of arrays.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(split_powers(parse("x**3 + 1/x**(5/2)").expressions, "numpy")[0])
    'x*x**2 + 1/(x**2*sqrt(x))'
    """

    def change(node: Expression) -> Expression:
        exponent = read_exponent(node)
        if exponent is None or node.is_scalar or node.args[0].shape != node.shape:
            return node
        base, size = node.args[0], abs(exponent)
        if size not in _SPLIT and not (backend == "numpy" and size in _SPLIT_IN_NUMPY):
            return node
        if exponent < 0:
            return divide(number(1), change(power(base, number(size))))
        square = power(base, number(2))
        if size == 4:
            return power(square, number(2))
        root_of = map_entries("sqrt", base)
        ways = {
            Fraction(1, 2): root_of, Fraction(3, 2): multiply(base, root_of), Fraction(5, 2): multiply(square, root_of),
            Fraction(3): multiply(base, square),
        }  # fmt: skip
        return ways.get(size, node)

    return rewrite_each(roots, change)
