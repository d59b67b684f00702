"""Products with selections -> what a reader sees of them: x[1:], pad(v, 1, 0), concat(x, y)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from matcalc.language import expression as ex
from matcalc.language.expression import Expression, rebuild, walk
from matcalc.language.names import SELECTION
from matcalc.language.sizes import Size

_ZERO = Size((), 0)
_PARTS = ("padded", "joined", "sliced")
Change = Callable[[Expression], Expression]


def show_slices(root: Expression) -> Expression:
    """Return an expression in which slices, padding and concatenation stand for products with selections.

    One without selections stays as it is, and so does one in which they stand for them already, so that this ends.
    """
    if not any(node.is_call(SELECTION) for node in walk(root)):
        return root
    heads = _list_heads(root)
    done: dict[Expression, Expression] = {}
    for node in walk(root):
        if node.op == "matmul":
            done[node] = _show_product([done[factor] for factor in _flatten(node)]) if node in heads else node
        elif node.is_call(SELECTION) or _is_selection(node) or _is_transposed(node):
            done[node] = node
        elif (total := _show_total(node)) is not None:
            done[node] = total
        else:
            args = [done[arg] if node.op == "transpose" else _show_alone(done[arg]) for arg in node.args]
            shown = _show_sum(node.op, *args) if node.op in ("add", "subtract") else None
            done[node] = shown or rebuild(node, args)
    return _show_alone(done[root])


def _list_heads(root: Expression) -> set[Expression]:
    """Return the products that are no factor of a longer one alone."""
    nodes = list(walk(root))
    others = {arg for node in nodes if node.op != "matmul" for arg in node.args}
    inside = {arg for node in nodes if node.op == "matmul" for arg in node.args}
    return {node for node in nodes if node is root or node in others or node not in inside}


def _flatten(node: Expression) -> list[Expression]:
    factors, stack = [], [node]
    while stack:
        part = stack.pop()
        if part.op == "matmul":
            stack += reversed(part.args)
        else:
            factors.append(part)
    return factors


# --- products -------------------------------------------------------------------------------------------


def _show_product(factors: list[Expression]) -> Expression:
    """Return a chain of factors: selections take rows of what follows and columns of what stands before them.

    Each step takes one selection away; those that nothing can be taken of pad all that stands on their one side.
    """
    factors = list(factors)
    while (place := _find_slice(factors)) is not None:
        left, right = factors[place : place + 2]
        is_right = _is_transposed(right)
        factors[place : place + 2] = [_slice_columns(_show_alone(left), right) if is_right else _slice_rows(left, right)]
    if len(factors) > 1 and _is_transposed(factors[0]):
        return _pad_rows(_turn(factors[0]), _show_product(factors[1:]))
    if len(factors) > 1 and _is_selection(factors[-1]):
        return _turn(_pad_rows(factors[-1], _turn(_show_product(factors[:-1]))))
    return reduce(ex.matmul, map(_show_alone, factors))


def _find_slice(factors: Sequence[Expression]) -> int | None:
    """Return the place of two factors of which one is a part of the other: S @ X or X @ S.T."""
    for place, (left, right) in enumerate(zip(factors, factors[1:], strict=False)):
        if _is_transposed(right) and not _is_transposed(left):
            return place
        if _is_selection(left) and not _is_selection(right) and not _is_transposed(right):
            return place
    return None


def _slice_rows(selection: Expression, array: Expression) -> Expression:
    return _each_selection(selection, lambda each: _within_scale(array, lambda inner: _slice_one(each, inner)))


def _slice_one(selection: Expression, array: Expression) -> Expression:
    if array.op == "transpose" and not array.args[0].is_row:
        return ex.transpose(ex.sliced(array.args[0], 1, *_read_ends(selection)))
    return ex.sliced(array, 0, *_read_ends(selection))


def _slice_columns(array: Expression, selection: Expression) -> Expression:
    """Return the columns of an array that a transposed selection takes; those of a transpose are rows."""
    return _turn(_slice_rows(_turn(selection), _turn(array))) if _is_turned(array) else _each_selection(
        _turn(selection),
        lambda each: _within_scale(array, lambda inner: ex.sliced(inner, 1, *_read_ends(each))),
    )


def _pad_rows(selection: Expression, array: Expression) -> Expression:
    return _each_selection(selection, lambda each: _within_scale(array, lambda inner: _pad_one(each, inner)))


def _pad_one(selection: Expression, array: Expression) -> Expression:
    if array.op == "transpose" and not array.args[0].is_row:
        return ex.transpose(ex.padded(array.args[0], 1, *_read_ends(selection)))
    return ex.padded(array, 0, *_read_ends(selection))


def _each_selection(node: Expression, change: Change) -> Expression:
    """Return a sum of selections, each perhaps with a sign or a scalar, with each of them changed."""
    if node.op in ("add", "subtract"):
        return ex.elementwise(node.op, *(_each_selection(arg, change) for arg in node.args))
    is_scaled = _scaled(node) is not node
    return _within_scale(node, lambda inner: _each_selection(inner, change)) if is_scaled else change(node)


def _within_scale(array: Expression, change: Change) -> Expression:
    """Return an array changed within its sign and the numbers that scale it: (2*x)[1:] is 2*x[1:]."""
    match array.op:
        case "negate":
            return ex.negate(_within_scale(array.args[0], change))
        case "multiply" if array.args[0].is_scalar:
            return ex.multiply(array.args[0], _within_scale(array.args[1], change))
        case "multiply" | "divide" if array.args[1].is_scalar:
            return ex.elementwise(array.op, _within_scale(array.args[0], change), array.args[1])
    return change(array)


def _is_turned(array: Expression) -> bool:
    """Whether the transpose of an array is the shorter of both."""
    return array.is_row or _scaled(array).op == "transpose"


def _scaled(array: Expression) -> Expression:
    """Return what stands within the sign and the numbers that scale an array."""
    found = array
    while found.op == "negate" or (found.op in ("multiply", "divide") and any(arg.is_scalar for arg in found.args)):
        found = next((arg for arg in found.args if not arg.is_scalar), found.args[0])
    return found


def _turn(array: Expression) -> Expression:
    """Return the transpose; of a sum of transposes the sum of what was transposed."""
    if array.op in ("add", "subtract") and all(_scaled(arg).op == "transpose" for arg in array.args):
        return ex.elementwise(array.op, *map(_turn, array.args))
    return _within_scale(array, lambda inner: inner.args[0] if inner.op == "transpose" else ex.transpose(inner))


def _is_selection(node: Expression) -> bool:
    """Whether it is a selection, or a sum of them, each perhaps with a scalar."""
    node = _scaled(node)
    if node.op in ("add", "subtract"):
        return all(map(_is_selection, node.args))
    return node.is_call(SELECTION) and all(_read_count(end) is not None for end in node.args[2:])


def _is_transposed(node: Expression) -> bool:
    node = _scaled(node)
    if node.op in ("add", "subtract"):
        return all(map(_is_transposed, node.args))
    return node.op == "transpose" and _is_selection(node.args[0])


def _read_ends(selection: Expression) -> tuple[Size, Size]:
    before, after = (_read_count(end) for end in selection.args[2:])
    assert before is not None and after is not None
    return before, after


def _read_count(node: Expression) -> Size | None:
    """Return the number of rows before or behind a selection as a size."""
    if node.op == "size":
        size: Size = node.data[0]
        return size
    return Size((), int(node.data[0])) if node.op == "number" and node.data[0].denominator == 1 else None


def _show_alone(node: Expression) -> Expression:
    """Return a selection that multiplies nothing as rows of the identity."""
    if _is_transposed(node):
        return _turn(_show_alone(_turn(node)))
    if not _is_selection(node):
        return node
    return _each_selection(node, lambda each: _slice_one(each, ex.filled("eye", each.shape[1])))


def _show_total(node: Expression) -> Expression | None:
    """Return sum(S, axis=0) of a selection, which is padded ones; None for any other node."""
    if not (node.is_call("sum") and node.data[1] == 0 and not node.data[2] and _is_selection(node.args[0])):
        return None
    return _pad_rows(node.args[0], ex.filled("ones", node.args[0].shape[0]))


# --- sums -----------------------------------------------------------------------------------------------


def _show_sum(op: str, left: Expression, right: Expression) -> Expression | None:
    """Return two arrays that are padded to stand one after another as a concatenation, None for any other two."""
    if all(_scaled(each).op == "transpose" and _scaled(each).args[0].op in _PARTS for each in (left, right)):
        inner = _turn(left), _turn(right)
        return ex.transpose(_show_sum(op, *inner) or ex.elementwise(op, *inner))
    if left.op != "padded" or right.op != "padded" or left.data[0] != right.data[0]:
        return None
    axis, before, after = left.data
    _, start, behind = right.data
    first, second = left.args[0], right.args[0]
    if before + first.shape[axis] != start:
        return None
    joined = ex.joined([first, second if op == "add" else ex.negate(second)], axis)
    return joined if before == behind == _ZERO else ex.padded(joined, axis, before, behind)


def write_range(before: Size, after: Size, whole: Size) -> str:
    """Return a range as text, its stop counted from the end where that is shorter: 1:, :-1, q:n - 1.

    >>> write_range(Size.of(1), Size((), 0), Size.of("n")), write_range(Size((), 0), Size.of("q"), Size.of("n"))
    ('1:', ':-q')
    """
    start, stop = ("" if found is None else f"{'-' * (found[0] < 0)}{found[1]}" for found in find_bounds(before, after, whole))
    return f"{start}:{stop}"


def find_bounds(before: Size, after: Size, whole: Size) -> tuple[tuple[int, Size] | None, ...]:
    """Return the start and the stop of a range, each with the sign - where it is counted from the end, None at an end."""
    start = None if before == _ZERO else _find_bound(before, whole)
    return start, None if after == _ZERO else _find_bound(whole - after, whole)


def _find_bound(bound: Size, whole: Size) -> tuple[int, Size]:
    behind = whole - bound
    is_shorter = len(behind.terms) == 1 and behind.number > 0 and len(str(behind)) + 1 < len(str(bound))
    return (-1, behind) if is_shorter else (1, bound)
