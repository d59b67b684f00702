"""What it costs to push one direction through an operation: multiplications, by the structure of the operation.

| operation | multiplications for one direction |
| --- | --- |
| + - .T, sum, trace, diag, vec | none: entries are added and moved |
| * / ** and functions that work entry by entry | one for each entry of the result: the local derivative is diagonal |
| (a, b) @ (b, c) | a*b*c |
| einsum | the product of the sizes of all its letters, once for each further operand |
| a function with a rule | those of its differential or its definition by the lines above, or a*b if that is less |
| any other function | a*b: its local derivative is a full matrix (a, b) |

Additions, and the values of the nodes and of the local derivatives themselves, are not counted: they are the same
in both modes.  A direction costs the same forward and in reverse.
"""

from __future__ import annotations

from functools import reduce
from operator import mul

from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.sizes import UNIT, Shape, Size
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.render.polynomial import Polynomial, sum_polynomials
from matcalc.rule_files import Rule, RuleBook

_FREE = frozenset({"add", "subtract", "negate", "transpose", "compare"})
_ENTRYWISE = frozenset({"multiply", "divide", "power"})
_PRIMITIVES_THAT_MOVE = frozenset({"sum", "size", "tril", "triu"})
NOTHING = Polynomial()


def count_direction(node: Expression, operand: Expression, rules: RuleBook) -> Polynomial:
    """Return the multiplications that push one direction of an operand through a node, or back.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.rule_files import shipped_rules
    >>> node = parse("A @ X").expressions[0]
    >>> print(count_direction(node, node.args[1], shipped_rules()))
    l*m*n
    """
    return sum_polynomials(
        _count_place(node, place, rules) for place, argument in enumerate(node.args) if argument is operand
    )


def _count_place(node: Expression, place: int, rules: RuleBook) -> Polynomial:
    if node.op in _FREE:
        return NOTHING
    if node.op in _ENTRYWISE:
        return Polynomial.of_shape(node.shape)
    if node.op == "matmul":
        left, right = node.args
        if _only_places(node.args[1 - place]):
            return NOTHING
        return Polynomial.of_shape((*left.shape, right.shape[1]))
    if node.op == "einsum":
        return _count_einsum(node)
    if node.op == "call":
        return _count_call(node, place, rules)
    return Polynomial.of_shape((*node.shape, *node.args[place].shape))


def _count_einsum(node: Expression) -> Polynomial:
    inputs = node.data[0].split("->")[0].split(",")
    factors = [(letters, arg) for letters, arg in zip(inputs, node.args, strict=True) if not _only_places(arg)]
    sizes: dict[str, Size] = {}
    for letters, arg in factors:
        sizes |= dict(zip(letters, arg.dropped_shape, strict=True))
    return Polynomial.of(reduce(mul, sizes.values(), UNIT)) * max(0, len(factors) - 1)


def _only_places(node: Expression) -> bool:
    """Whether a factor is a constant of zeros and ones: to multiply by it only moves and adds entries."""
    if node.op == "call" and node.data[0].function in ("tril", "triu"):
        return _only_places(node.args[0])
    return node.op == "filled"


# --- functions ------------------------------------------------------------------------------------


def _count_call(node: Expression, place: int, rules: RuleBook) -> Polynomial:
    rule: Rule = node.data[0]
    if rule.opaque or (rule.primitive and rule.function in _PRIMITIVES_THAT_MOVE):
        return NOTHING
    if rule.is_elementwise:
        return Polynomial.of_shape(node.shape)
    if rule.function == "matrix_power":
        return _count_power(node)
    if not (rule.differential or rule.define):
        return Polynomial.of_shape((*node.shape, *node.args[place].shape))
    shapes, slices = _slice(node)
    full = Polynomial.of_shape((*shapes[place], *_drop_slices(node)))
    by_rule = _count_text(rule, place, shapes, rules)
    return (full if full.is_at_most(by_rule) else by_rule) * slices


def _count_power(node: Expression) -> Polynomial:
    """X @ X @ ... @ X by the product rule, two products for each factor but the first; an inverse is one more."""
    exponent = node.args[1].data[0] if node.args[1].op == "number" else None
    size = Polynomial.of(node.shape[0])
    if exponent is None:
        return size * size * size * size
    products: int = 2 * max(0, abs(int(exponent)) - (exponent > 0))
    return size * size * size * products


def _slice(node: Expression) -> tuple[tuple[Shape, ...], Polynomial]:
    """The shapes to which a rule is applied, and how many times: along an axis, once for each slice."""
    axis = node.data[1]
    if axis is None:
        return tuple(arg.shape for arg in node.args), Polynomial.of(1)
    first = node.args[0].shape
    return ((first[axis], UNIT), *(arg.shape for arg in node.args[1:])), Polynomial.of(first[1 - axis])


def _drop_slices(node: Expression) -> Shape:
    """The shape of the result for one slice."""
    axis = node.data[1]
    return node.shape if axis is None else (node.shape[axis],)


def _count_text(rule: Rule, place: int, shapes: tuple[Shape, ...], rules: RuleBook) -> Polynomial:
    """Count what depends on the parameter in the definition, or on its differential in the rule's."""
    text = rule.differential or rule.define
    root = parse_rule_text(rule, text, shapes, rules)
    name = rule.variables[place].name
    return _count_tree(root, symbol(f"d{name}" if rule.differential else name, shapes[place]), rules)


def _count_tree(root: Expression, moving: Expression, rules: RuleBook) -> Polynomial:
    """The number of entries, size(x), depends on nothing."""
    depends = {moving}
    total = NOTHING
    for node in walk(root):
        if node.op == "call" and node.data[0].function == "size":
            continue
        for operand in [arg for arg in dict.fromkeys(node.args) if arg in depends]:
            depends.add(node)
            total = total + count_direction(node, operand, rules)
    return total
