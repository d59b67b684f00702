"""Formulas -> the same formulas without overflow: log(1 + exp(x)) as softplus(x), log(softmax(x)) as log_softmax(x).

The functions that stand for them have definitions that hold for all numbers.  What is computed anyway is used again:
beside x - mean(x) the variance is its square.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from operator import mul

from matcalc.language.expression import (
    Expression,
    call,
    divide,
    matmul,
    multiply,
    negate,
    number,
    power,
    rebuild,
    size_value,
    subtract,
    transpose,
    walk,
)
from matcalc.language.rewrite import rewrite
from matcalc.rule_files import shipped_rules


def make_safe(*roots: Expression) -> list[Expression]:
    """Return expressions of the same values that do not overflow where these would.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(make_safe(parse("sum(log(1 + exp(x)))").expressions[0])[0])
    'sum(softplus(x))'
    """
    deviations = {(node.args[0], node.args[1].data[1]): node for node in walk(*roots) if _is_deviation(node)}
    done: dict[Expression, Expression] = {}
    for node in walk(*roots):
        whole = rebuild(node, [done[arg] for arg in node.args])
        deviation = deviations.get((node.args[0], node.data[1])) if node.is_call("var") else None
        if deviation is not None:
            whole = _square(done.get(deviation) or _rebuild(deviation, done), node)
        done[node] = _replace(whole)
    return [done[root] for root in roots]


def _replace(node: Expression) -> Expression:
    if node.is_call("log"):
        return _replace_log(node, node.args[0])
    if node.op == "divide" and node.args[0].op == "transpose" and node.args[1].is_scalar:
        return transpose(_replace(divide(node.args[0].args[0], node.args[1])))
    if node.op == "divide":
        return _share(*node.args) or _replace_logistic(node)
    if node.op == "multiply":
        return _choose_before_multiplying(node)
    if node.op == "power" and node.args[1] is number(2) and node.args[0].is_call("norm"):
        vector = node.args[0].args[0]
        return matmul(transpose(vector), vector) if vector.is_column else node
    if node.is_call("log1p") and node.args[0].is_call("exp"):
        return _call("softplus", node.args[0].args[0], node)
    return node


def _choose_before_multiplying(node: Expression) -> Expression:
    """Return where(x > 0, 0, 1)*exp(x) as where(x > 0, 0, exp(x)): where exp(x) overflows it is not chosen."""
    factors, stack = list[Expression](), [node]
    while stack:
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


def _is_choice(node: Expression) -> bool:
    return node.is_call("where") and set(node.args[1:]) == {number(0), number(1)}


def _replace_log(node: Expression, inside: Expression) -> Expression:
    if inside.op == "add":
        for one, other in (inside.args, inside.args[::-1]):
            if one is number(1) and other.is_call("exp"):
                return _call("softplus", other.args[0], node)
    if inside.is_call("sigmoid"):
        return negate(_call("softplus", negate(inside.args[0]), node))
    if inside.op == "subtract" and inside.args[0] is number(1) and inside.args[1].is_call("sigmoid"):
        return negate(_call("softplus", inside.args[1].args[0], node))
    if inside.is_call("mean") and inside.data[1] is None and inside.args[0].is_call("exp"):
        entries = size_value(reduce(mul, inside.args[0].squeezed_shape))
        return subtract(_call("logsumexp", inside.args[0].args[0], node), call(node.data[0], (entries,), node.shape))
    if inside.is_call("softmax"):
        return _call("log_softmax", inside.args[0], node, inside)
    if inside.is_call("sum") and inside.args[0].is_call("exp"):
        return _call("logsumexp", inside.args[0].args[0], node, inside)
    return node


def _share(above: Expression, below: Expression) -> Expression | None:
    """Return above/below with softmax(x) for exp(x)/sum(exp(x)), and sigmoid(x) for exp(x)/(1 + exp(x)).

    It ends as each call has a part of what is above.
    """
    if above.is_call("exp"):
        return _replace_share(divide(above, below), above.args[0], below)
    if not (below.is_scalar and below.is_call("sum") and below.args[0].is_call("exp")) and above.op != "negate":
        return None
    if above.op in ("negate", "transpose") or above.is_call("diag_of_vector"):
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


def _replace_share(node: Expression, exponent: Expression, below: Expression) -> Expression | None:
    if below.is_call("sum") and below.args[0].is_call("exp"):
        summed = below.args[0].args[0]
        if summed in (exponent, transpose(exponent)) or exponent is transpose(summed):
            is_whole = below.data[1] is None
            if summed is exponent or is_whole:
                return _call("softmax", exponent, node, below if not is_whole else None)
    if node.shape == exponent.shape and _find_exp(below) is node.args[0]:
        return _call("sigmoid", exponent, node)
    return None


def _find_exp(node: Expression) -> Expression | None:
    """Return exp(u) of 1 + exp(u)."""
    if node.op == "add":
        for one, other in (node.args, node.args[::-1]):
            if one is number(1) and other.is_call("exp"):
                return other
    return None


def _replace_logistic(node: Expression) -> Expression:
    """Return a quotient by (1 + exp(u))**k in p = sigmoid(-u): exp(u)/(1 + exp(u)) is 1 - p, a + b*exp(u) likewise."""
    above, below = node.args
    exponent = read_exponent(below)
    base, left = (below, Fraction(1)) if exponent is None else (below.args[0], exponent)
    power_of = _find_exp(base)
    if power_of is None or power_of.shape != node.shape or left not in (1, 2, 3, 4):
        return node
    argument = power_of.args[0]
    p = _call("sigmoid", argument.args[0] if argument.op == "negate" else negate(argument), node)
    factors, stack, is_negative = list[Expression](), [above], False
    while stack:
        each = stack.pop()
        if each.op == "multiply":
            stack += [each.args[1], each.args[0]]
        elif each.op == "negate":
            stack.append(each.args[0])
            is_negative = not is_negative
        else:
            inside = _split_logistic(each, power_of, p) if left else None
            left -= inside is not None
            factors.append(each if inside is None else inside)
    whole = reduce(_multiply, [*factors, *[p] * int(left)])
    return negate(whole) if is_negative else whole


def _split_logistic(node: Expression, power_of: Expression, p: Expression) -> Expression | None:
    """Return (a + b*exp(u))/(1 + exp(u)), None where exp(u) is no factor of a term."""
    if node is power_of:
        return subtract(number(1), p)
    if node.op not in ("add", "subtract"):
        return None
    parts = [_scale_logistic(arg, power_of, p) for arg in node.args]
    return rebuild(node, [part for part in parts if part is not None]) if None not in parts else None


def _scale_logistic(node: Expression, power_of: Expression, p: Expression) -> Expression | None:
    if power_of not in walk(node):
        return _multiply(node, p)
    for each, other in (node.args, node.args[::-1]) if node.op == "multiply" else [(node, number(1))]:
        if each is power_of and power_of not in walk(other):
            return _multiply(other, subtract(number(1), p))
    return None


def _multiply(left: Expression, right: Expression) -> Expression:
    return right if left is number(1) else multiply(left, right)


def _call(name: str, argument: Expression, node: Expression, like: Expression | None = None) -> Expression:
    _, axis, keepdims = like.data if like is not None else (None, None, False)
    return call(shipped_rules()[name], (argument,), node.shape, axis, keepdims)


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
    return _call("mean", power(deviation, number(2)), variance, variance)


# --- powers -------------------------------------------------------------------------------------------

# What is taken apart is computed by logarithms otherwise: of NumPy all powers but squares and roots.
_SPLIT = (Fraction(3, 2), Fraction(5, 2))
_SPLIT_IN_NUMPY = (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(4))


def split_powers(root: Expression, backend: str) -> Expression:
    """Return an expression with products of squares and square roots for powers of arrays.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(split_powers(parse("x**3 + 1/x**(5/2)").expressions[0], "numpy"))
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
        root_of = _call("sqrt", base, node)
        ways = {
            Fraction(1, 2): root_of, Fraction(3, 2): multiply(base, root_of), Fraction(5, 2): multiply(square, root_of),
            Fraction(3): multiply(base, square),
        }  # fmt: skip
        return ways.get(size, node)

    return rewrite(root, change)


def read_exponent(node: Expression) -> Fraction | None:
    """Return the number to which a power raises, None for what is no power or raises to a formula."""
    return _read_number(node.args[1]) if node.op == "power" else None


def _read_number(node: Expression) -> Fraction | None:
    if node.op == "negate":
        value = _read_number(node.args[0])
        return None if value is None else -value
    if node.op == "divide" and all(arg.op == "number" for arg in node.args):
        return Fraction(node.args[0].data[0]) / Fraction(node.args[1].data[0])
    return Fraction(node.data[0]) if node.op == "number" else None
