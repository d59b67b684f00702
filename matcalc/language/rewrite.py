"""Sub-expressions replaced by others of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matcalc.language import expression as ex
from matcalc.language.expression import Expression, rebuild, walk
from matcalc.language.sizes import UNIT, Shape


def replace(root: Expression, table: Mapping[Expression, Expression]) -> Expression:
    """Return the expression with every node of the table replaced by its partner, which has the same shape.

    What stands below a replaced node is not looked at.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> problem = parse("exp(A @ x) + x")
    >>> to_text(replace(problem.expressions[0], {problem.symbols["x"]: parse("y").expressions[0]}))
    'exp(A @ y) + y'
    """
    return replace_each([root], table)[0]


def replace_each(roots: Sequence[Expression], table: Mapping[Expression, Expression]) -> list[Expression]:
    """Return several expressions as `replace` does, what they share replaced once."""
    done: dict[Expression, Expression] = {}
    for node in walk(*roots):
        found = table.get(node)
        done[node] = rebuild(node, [done[arg] for arg in node.args]) if found is None else found
    return [done[root] for root in roots]


def rewrite(root: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Return the expression with every node changed, each after its operands and once; what comes of it stays.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> of_sum = parse("exp(x + y) - y").expressions[0]
    >>> to_text(rewrite(of_sum, lambda node: node.args[0] if node.op == "add" else node))
    'exp(x) - y'
    """
    return rewrite_each([root], change)[0]


def rewrite_each(roots: Sequence[Expression], change: Callable[[Expression], Expression]) -> list[Expression]:
    """Return several expressions as `rewrite` does, what they share changed once."""
    done: dict[Expression, Expression] = {}
    for node in walk(*roots):
        done[node] = change(rebuild(node, [done[arg] for arg in node.args]))
    return [done[root] for root in roots]


# --- map along --------------------------------------------------------------------------------------
#
# A formula for a vector, carried out along one axis of a matrix: sum(x) becomes sum(X, axis=1, keepdims=True).


_ENTRYWISE = frozenset({"add", "subtract", "multiply", "divide", "power", "compare"})


def map_along(body: Expression, table: Mapping[str, Expression], axis: int) -> Expression | None:
    """Return the formula for every column (axis 0) or row (axis 1) of the matrices that the table gives for its names.

    None where the formula is not made of functions entry by entry and of functions along an axis.
    """
    done: dict[Expression, Expression] = {}
    for node in walk(body):
        mapped = _map_node(node, [done[arg] for arg in node.args], table, axis)
        if mapped is None:
            return None
        done[node] = mapped
    return done[body]


def _map_node(
    node: Expression, args: list[Expression], table: Mapping[str, Expression], axis: int
) -> Expression | None:
    if node.op == "symbol":
        return table.get(node.name)
    if not args:
        return node if node.is_scalar else None
    if node.op in _ENTRYWISE:
        return ex.elementwise(node.op, args[0], args[1], node.data)
    if node.op == "negate":
        return ex.negate(args[0])
    return _map_call(node, args, axis) if node.op == "call" else None


def _map_call(node: Expression, args: list[Expression], axis: int) -> Expression | None:
    rule = node.data[0]
    if rule.name == "size":
        return ex.size_value(node.args[0].shape[0])
    if rule.is_elementwise or (len(args) == 1 and node.args[0].is_scalar and node.is_scalar):
        return ex.call(rule, tuple(args), _join_shapes(args))
    if not rule.axis or len(args[0].squeezed_shape) != 2 or node.data[1] is not None:
        return None
    if not node.is_scalar:
        return ex.call(rule, tuple(args), args[0].shape, axis)
    kept = list(args[0].shape)
    kept[axis] = UNIT
    return ex.call(rule, tuple(args), tuple(kept), axis, True)


def _join_shapes(args: list[Expression]) -> Shape:
    shape = args[0].shape
    for arg in args[1:]:
        shape = ex.broadcast(shape, arg.shape) or shape
    return shape


# --- transpose inside -------------------------------------------------------------------------------


# What these assumptions say of a matrix holds of its transpose as well: it is the same matrix.
_OWN_TRANSPOSE = frozenset({"symmetric", "posdef", "diagonal"})


def transpose_inside(root: Expression) -> Expression:
    """Return the transpose of a formula as one would write it: inside where that takes no more .T than around it.

    Of a product the factors change places; a sum of a matrix and its transpose stays as it is.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> [to_text(transpose_inside(one)) for one in parse(["(A + A.T) @ x", "2*A.T @ (A @ x - b)"]).expressions]
    ['x.T @ (A + A.T)', '2*(A @ x - b).T @ A']
    """
    turned: dict[Expression, Expression] = {}
    # How many .T a formula has, and how many its transpose; a shared node counts at each use, as it is written.
    counts: dict[Expression, tuple[int, int]] = {}
    for node in walk(root):
        own = (node.op == "transpose") + sum(counts[arg][0] for arg in node.args)
        if node.is_scalar or len(node.shape) != 2 or _is_own_transpose(node, turned):
            turned[node], inner = node, own
        elif node.op == "transpose":
            turned[node], inner = node.args[0], own - 1
        else:
            inner = sum(counts[arg][1] for arg in node.args)
            is_inside = (node.op in ("matmul", "negate") or node.op in _ENTRYWISE) and inner <= own + 1
            turned[node] = _transpose_operands(node, turned) if is_inside else ex.transpose(node)
            inner = inner if is_inside else own + 1
        counts[node] = (own, inner)
    return turned[root]


def _is_own_transpose(node: Expression, turned: Mapping[Expression, Expression]) -> bool:
    """Whether a matrix is seen to be symmetric: by what is assumed of it, or as A + A.T is."""
    if node.op == "symbol":
        return bool(node.data[1] & _OWN_TRANSPOSE)
    if node.op == "add":
        return tuple(turned[arg] for arg in node.args) == node.args[::-1]
    is_kept = node.op == "call" and node.data[0].symmetric and turned[node.args[0]] is node.args[0]
    return node.is_filled("eye") or node.is_call("diag_of_vector") or is_kept


def _transpose_operands(node: Expression, turned: Mapping[Expression, Expression]) -> Expression:
    args = [turned[arg] for arg in node.args]
    if node.op == "matmul":
        # (2*A.T) @ x is 2*x.T @ A: what scales the factor that comes to stand behind goes in front.
        return _scale_front(args[1], args[0])
    return ex.negate(args[0]) if node.op == "negate" else ex.elementwise(node.op, args[0], args[1], node.data)


def _scale_front(left: Expression, right: Expression) -> Expression:
    if right.op == "multiply" and right.args[0].is_scalar:
        return _scale_front(ex.multiply(right.args[0], left), right.args[1])
    if right.op == "negate":
        return _scale_front(ex.negate(left), right.args[0])
    return ex.matmul(left, right)
