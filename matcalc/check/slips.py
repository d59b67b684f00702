"""A formula -> the same with one slip in it, as people make them: another function, axis or exponent, a factor lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from matcalc.errors import MatcalcError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, number, rebuild, symbols, walk
from matcalc.language.rewrite import map_along, replace, rewrite
from matcalc.language.sizes import UNIT, Shape, Size
from matcalc.language.text_to_expression import choose_book, parse_rule_text
from matcalc.rule_files import Rule, RuleBook

_ENTRYWISE = ("add", "subtract", "multiply", "divide", "power", "compare")


@dataclass(frozen=True)
class Change:
    """A part of a formula, and what stands in its place after a slip.

    `told` are the two as people say it, where they say it otherwise.
    """

    old: Expression
    new: Expression
    told: tuple[Expression, ...] = ()

    @property
    def pair(self) -> tuple[Expression, Expression]:
        """What a reader is told: the right part and the wrong one."""
        return (self.told[0], self.told[1]) if self.told else (self.old, self.new)

    def apply(self, root: Expression) -> Expression | None:
        """Return the formula with the change, None where what is above it does not fit any longer."""
        return replace_freely(root, self.old, self.new)


def replace_freely(root: Expression, old: Expression, new: Expression) -> Expression | None:
    """Return the formula with a part replaced by one that may have another shape; None where the whole changes its own.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> x, root, mean = parse(["X", "X - sum(X, axis=1, keepdims=True)", "sum(X, axis=0, keepdims=True)"]).expressions
    >>> to_text(replace_freely(root, root.args[1], mean))
    'X - sum(X, axis=0, keepdims=True)'
    """
    done: dict[Expression, Expression] = {}
    for node in walk(root):
        if node is old:
            done[node] = new
            continue
        args = [done[arg] for arg in node.args]
        if all(map(lambda one, other: one is other, args, node.args)):
            done[node] = node
            continue
        rebuilt = _rebuild_freely(node, args)
        if rebuilt is None:
            return None
        done[node] = rebuilt
    changed = done[root]
    return changed if changed is not root and changed.shape == root.shape else None


def _rebuild_freely(node: Expression, args: list[Expression]) -> Expression | None:
    """Return the operation on operands that may have other shapes; None where they do not fit."""
    if all(arg.shape == before.shape for arg, before in zip(args, node.args, strict=True)):
        return rebuild(node, args)
    try:
        if node.op in _ENTRYWISE:
            return ex.elementwise(node.op, args[0], args[1], node.data)
        if node.op in ("negate", "transpose", "matmul"):
            build: Callable[..., Expression] = getattr(ex, node.op)
            return build(*args)
        if node.op == "einsum":
            return ex.einsum(node.data[0], tuple(args))
    except MatcalcError:
        return None
    return _call_freely(node, args) if node.op == "call" else None


def _call_freely(node: Expression, args: list[Expression]) -> Expression | None:
    rule, axis, keepdims = node.data
    if rule.is_elementwise:
        shape: Shape | None = args[0].shape
        for arg in args[1:]:
            shape = None if shape is None else ex.broadcast(shape, arg.shape)
        return None if shape is None else ex.call(rule, tuple(args), shape, axis, keepdims)
    if len(args) != 1:
        return None
    if node.shape == node.args[0].shape:
        return ex.call(rule, tuple(args), args[0].shape, axis, keepdims)
    shape = _reduce(args[0].shape, axis, keepdims) if _is_reduction(node) else None
    return None if shape is None else ex.call(rule, tuple(args), shape, axis, keepdims)


def _reduce(shape: Shape, axis: int | None, keepdims: bool) -> Shape | None:
    """Return the 2-D shape of a sum along an axis: without keepdims a vector is a column."""
    if len(shape) != 2:
        return None
    if axis is None:
        return (UNIT, UNIT)
    left = shape[1 - axis]
    return ((UNIT, left) if axis == 0 else (left, UNIT)) if keepdims else (left, UNIT)


def _count(node: Expression, axis: int | None) -> Expression:
    """Return how many entries are taken together along an axis."""
    rows, columns = node.shape
    return ex.size_value(rows * columns if axis is None else node.shape[axis])


def list_own(root: Expression) -> Iterator[tuple[Expression, Expression]]:
    """Yield each sum in a function with what an entry adds to it itself.

    A sum that is broadcast again has such a part at each entry, as the denominator of a softmax.
    """
    for node in walk(root):
        if _is_reduction(node) and node.data[0].name in ("sum", "mean") and not node.args[0].is_scalar:
            part = node.args[0]
            part = part if node.data[0].name == "sum" else ex.divide(part, _count(part, node.data[1]))
            if ex.broadcast(node.shape, part.shape) == part.shape:
                yield node, part


def _is_reduction(node: Expression) -> bool:
    """Whether a node is one like sum, whose shape is that of its operand without an axis."""
    if node.op != "call" or len(node.args) != 1:
        return False
    rule, axis, keepdims = node.data
    return bool(rule.axis) and node.shape == _reduce(node.args[0].shape, axis, keepdims)


# --- definitions ----------------------------------------------------------------------------------


def write_definitions(root: Expression) -> Expression:
    """Return the formula with definitions for the functions that have one, sums and means apart.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(write_definitions(parse("rms_norm(x)").expressions[0]))
    'x/sqrt(mean(x**2) + 1e-5)'
    """

    def change(node: Expression) -> Expression:
        defined = _define(node)
        if defined is None:
            return node
        # Of silu the product is its definition, of what stands in it another function is the plainer word.
        return defined if node.data[0].is_elementwise else write_definitions(defined)

    return rewrite(root, change)


def _define(node: Expression) -> Expression | None:
    if node.op != "call" or not node.data[0].define or _is_reduction(node):
        return None
    rule, axis, _ = node.data
    arguments = dict(zip((parameter.name for parameter in rule.variables), node.args, strict=True))
    try:
        if axis is None:
            body: Expression | None = parse_rule_text(rule, rule.define, tuple(arg.shape for arg in node.args))
            assert body is not None
            body = replace(body, {leaf: arguments[leaf.name] for leaf in walk(body) if leaf.op == "symbol"})
        else:
            shapes = tuple((arg.shape[axis], UNIT) for arg in node.args)
            body = map_along(parse_rule_text(rule, rule.define, shapes), arguments, axis)
    except MatcalcError:
        return None
    # sqrt(x) is the plainer word for x**(1/2).
    is_plainer = body is None or body.op == "power" or (rule.is_elementwise and body.op not in ("multiply", "divide"))
    return None if is_plainer or body is None or body.shape != node.shape else body


# --- entry by entry -------------------------------------------------------------------------------
#
# Books write diag(v) @ M, code v*M: there another axis still fits, and a factor of one row is seen.


def write_entrywise(root: Expression) -> Expression:
    """Return the formula with products by diagonal matrices, by ones and by columns written entry by entry.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(write_entrywise(parse("diag(sum(X, axis=1)) @ X").expressions[0]))
    'sum(X, axis=1, keepdims=True)*X'
    """
    return rewrite(root, _write_entrywise)


def _write_entrywise(node: Expression) -> Expression:
    if node.op == "call" and _is_reduction(node) and node.data[1] == 1:
        return ex.call(node.data[0], node.args, node.shape, 1, True)
    if node.op == "transpose" and _is_reduction(node.args[0]) and node.args[0].data[1] == 0:
        inner = node.args[0]
        return ex.call(inner.data[0], inner.args, node.shape, 0, True)
    if node.op != "matmul":
        return node
    left, right = node.args
    if _is_diagonal(left):
        return ex.multiply(left.args[0], right)
    if _is_diagonal(right):
        return ex.multiply(left, _turn(right.args[0]))
    if len(left.shape) == 2 and right.is_column and not (left.is_row or left.is_column):
        along = ex.multiply(left, _turn(right))
        return ex.call(choose_book(None)["sum"], (along,), node.shape, 1, True)
    if left.is_column and right.op == "transpose" and right.args[0].is_filled("ones"):
        return ex.multiply(left, ex.filled("ones", *node.shape))
    if left.is_filled("ones") and right.is_row:
        return ex.multiply(right, ex.filled("ones", *node.shape))
    return node


def _is_diagonal(node: Expression) -> bool:
    """Whether a node is diag(v)."""
    return node.op == "call" and bool(node.data[0].function == "diag") and node.args[0].is_column


def _turn(column: Expression) -> Expression:
    """Return a column as a row, a sum down the columns as the row that it is."""
    return _write_entrywise(ex.transpose(column))


# --- changes --------------------------------------------------------------------------------------


def list_changes(root: Expression, others: Sequence[Expression] = ()) -> Iterator[Change]:
    """Yield the slips in a formula, those deep inside first; `others` are variables and numbers that may stand in it.

    A number, and what stands at several places, is changed at one of them: what is around it is told then.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> [to_text(change.new) for change in list_changes(parse("alpha**2").expressions[0])][:4]
    ['1', 'alpha**3', 'alpha', 'alpha**4']
    """
    names = list(dict.fromkeys((*symbols(root).values(), *others)))
    places = [(node, place) for node in walk(root) for place in range(len(node.args))]
    uses = Counter(node.args[place] for node, place in places)
    seen: set[tuple[Expression, Expression]] = set()
    for node, place in (*places, (root, None)):
        part = root if place is None else node.args[place]
        is_leaf = part.op in ("number", "size")
        for slip in _list_slips(part, root, names):
            found = [] if is_leaf else [Change(part, slip)]
            if place is not None and (is_leaf or uses[part] > 1) and (around := _put(node, place, slip)) is not None:
                found.append(Change(node, around))
            for change in found:
                if change.new is not change.old and (change.old, change.new) not in seen:
                    seen.add((change.old, change.new))
                    yield change
    yield from _list_outside(root)


def _list_outside(root: Expression) -> Iterator[Change]:
    """Yield sqrt(v) + eps for each root of v + eps, and for its powers alike."""
    sqrt = choose_book(None)["sqrt"]
    for node in walk(root):
        if node.op == "add" and any(arg.op == "number" for arg in node.args):
            part, rest = sorted(node.args, key=lambda arg: arg.op != "number")
            outside = ex.add(ex.call(sqrt, (rest,), rest.shape), part)
            yield Change(node, ex.power(outside, number(2)), (ex.call(sqrt, (node,), node.shape), outside))


def _put(node: Expression, place: int | None, slip: Expression) -> Expression | None:
    """Return a node with another operand at one place, None where it does not fit."""
    if node.op == slip.op == "transpose":
        return slip.args[0]
    if node.op == "power" and place == 1 and slip is number(1):
        return node.args[0]
    return _rebuild_freely(node, [slip if at == place else arg for at, arg in enumerate(node.args)])


def _list_slips(node: Expression, root: Expression, names: Sequence[Expression]) -> Iterator[Expression]:
    match node.op:
        case "number":
            yield from _change_number(node)
            yield from (other for other in names if other.op == "number")
        case "size":
            yield from _change_size(node, root)
        case "symbol":
            yield from _change_symbol(node, names)
        case "call":
            yield from _change_call(node)
        case "add" | "subtract" | "multiply" | "divide" | "power":
            yield from _change_operation(node)
        case "matmul":
            yield from (arg for arg in node.args if arg.shape == node.shape)
            yield from _try(ex.matmul, node.args[1], node.args[0])
        case "negate" | "transpose":
            yield from node.args
    if len(node.shape) == 2 and node.shape[0] == node.shape[1] and not node.is_scalar and node.op != "transpose":
        yield ex.transpose(node)


def _try(build: Callable[..., Expression], *args: Expression) -> Iterator[Expression]:
    try:
        yield build(*args)
    except MatcalcError:
        return


def _change_number(node: Expression) -> Iterator[Expression]:
    value: Fraction = node.data[0]
    for other in (value + 1, value - 1, 2 * value, value / 2, -value, 1 / value if value else value, Fraction(0)):
        yield number(other)


def _change_size(node: Expression, root: Expression) -> Iterator[Expression]:
    for letter in ex.list_letters(root):
        yield ex.size_value(Size.of(letter))
    yield ex.subtract(node, number(1))
    yield ex.call(choose_book(None)["sqrt"], (node,), node.shape)
    yield number(1)


def _change_symbol(node: Expression, names: Sequence[Expression]) -> Iterator[Expression]:
    """Another variable of the shape, or what it is where it is forgotten."""
    yield number(1) if node.is_scalar else ex.filled("ones", *node.declared_shape)
    yield from (other for other in names if other.shape == node.shape and other.op == "symbol")


def _change_operation(node: Expression) -> Iterator[Expression]:
    left, right = node.args
    swapped = {"add": "subtract", "subtract": "add", "multiply": "divide", "divide": "multiply"}
    yield from (arg for arg in node.args if arg.shape == node.shape and not (node.op == "power" and arg is right))
    if node.op in swapped:
        yield ex.elementwise(swapped[node.op], left, right)
    if node.op in ("subtract", "divide"):
        yield ex.elementwise(node.op, right, left)
    if node.op == "divide":
        yield ex.divide(number(1), right) if left.is_scalar and right.shape == node.shape else left
    if node.op == "power":
        yield from _pull_out(node)


def _change_call(node: Expression) -> Iterator[Expression]:
    rule, axis, keepdims = node.data
    yield from (arg for arg in node.args if arg.shape == node.shape and arg.op != "compare")
    if rule.name == "where":
        yield ex.call(rule, (node.args[0], node.args[2], node.args[1]), node.shape, axis, keepdims)
    if len(node.args) != 1:
        return
    yield from _change_axis(node)
    yield from _pull_out(node)
    if _is_reduction(node):
        # The size less one, as a sample has it.
        size = _count(node.args[0], axis)
        yield ex.multiply(ex.divide(size, ex.subtract(size, number(1))), node)
    for other in _list_alike(rule, choose_book(None), _is_reduction(node), node.shape == node.args[0].shape):
        yield ex.call(other, node.args, node.shape, axis, keepdims)


def _change_axis(node: Expression) -> Iterator[Expression]:
    rule, axis, keepdims = node.data
    arg = node.args[0]
    if not rule.axis or len(arg.squeezed_shape) != 2:
        return
    for other in (0, 1, None):
        if other == axis:
            continue
        if node.shape == arg.shape:
            yield ex.call(rule, (arg,), node.shape, other)
        elif (shape := _reduce(arg.shape, other, keepdims)) is not None:
            yield ex.call(rule, (arg,), shape, other, keepdims and other is not None)


def _pull_out(node: Expression) -> Iterator[Expression]:
    """sqrt(v) + eps in the place of sqrt(v + eps): a number that stands inside goes outside, or away."""
    inner = node.args[0]
    if inner.op not in ("add", "subtract"):
        return
    for part, rest in (inner.args, inner.args[::-1]):
        if part.op == "number" and rest.shape == inner.shape:
            bare = rebuild(node, [rest, *node.args[1:]])
            yield from (ex.add(bare, part), bare)


@lru_cache(maxsize=512)
def _list_alike(rule: Rule, book: RuleBook, is_reduction: bool, keeps_shape: bool) -> tuple[Rule, ...]:
    """Return the functions that may be taken for one: of one array, entry by entry or along an axis as it is."""
    return tuple(
        other for other in book
        if other is not rule and bool(other.torch) and len(other.parameters) == 1 and not other.opaque
        and other.is_elementwise == rule.is_elementwise and other.axis == rule.axis
        and (rule.is_elementwise or (is_reduction and not other.result) or (keeps_shape and bool(other.result)))
        and other.parameters[0].axes == rule.parameters[0].axes
    )  # fmt: skip
