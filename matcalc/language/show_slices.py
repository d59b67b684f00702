"""Products with selections -> what a reader sees of them: x[1:], pad(v, 1, 0), concat(x, y)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise

from matcalc.language import expression as ex
from matcalc.language.expression import Expression, rebuild, walk
from matcalc.language.names import BASIS, SELECTION
from matcalc.language.sizes import UNIT, Size

_ZERO = Size((), 0)
_SUMS = ("add", "subtract")
_PARTS = ("padded", "joined", "sliced")
_Change = Callable[[Expression], Expression]
# ex.sliced or ex.padded: of an array, along an axis, with so many rows before and behind.
_Part = Callable[[Expression, int, Size, Size], Expression]


def show_slices(root: Expression) -> Expression:
    """Return an expression in which slices, padding and concatenation stand for products with selections.

    One without selections stays as it is, and so does one in which they stand for them already, so that this ends.
    """
    if not has_selections(root):
        return root
    nodes = list(walk(root))
    whole_products, whole_sums = _list_whole(nodes)
    done: dict[Expression, Expression] = {}
    for node in nodes:
        if node in whole_products and (factors := _flatten(node)) and any(map(_selects, factors)):
            done[node] = _show_product([done[factor] for factor in factors])
        elif _selects(node):
            done[node] = node
        elif node in whole_sums:
            done[node] = _show_sum([(sign, done[term]) for sign, term in _list_terms(node)])
        elif node.op in ("add", "subtract"):
            done[node] = node
        elif (total := _show_total(node)) is not None:
            done[node] = total
        else:
            args = [done[arg] if node.op == "transpose" else _show_alone(done[arg]) for arg in node.args]
            done[node] = rebuild(node, args)
    return _show_alone(done[root])


def has_selections(*roots: Expression) -> bool:
    """Whether there is a selection below the roots, so that `show_slices` may change them."""
    return any(node.is_call(SELECTION) or node.is_call(BASIS) for node in walk(*roots))


def _list_whole(nodes: Sequence[Expression]) -> tuple[set[Expression], set[Expression]]:
    """Return the products and the sums that are no part of longer ones alone."""
    root, users = nodes[-1], [(node, place, arg) for node in nodes for place, arg in enumerate(node.args)]
    others = {arg for node, _, arg in users if node.op != "matmul"}
    products = {node for node in nodes if node.op == "matmul"}
    within = {arg for node, _, arg in users if node.op == "matmul"}
    starts = {arg for node, place, arg in users if node.op in _SUMS and place == 0}
    beside = {arg for node, place, arg in users if node.op not in _SUMS or place == 1}
    sums = {node for node in nodes if node.op in _SUMS}
    return (
        {node for node in products if node is root or node in others or node not in within},
        {node for node in sums if node is root or node in beside or node not in starts},
    )


def _list_terms(node: Expression) -> list[tuple[int, Expression]]:
    """Return the terms of a sum with their signs, as they are written from left to right."""
    terms = []
    while node.op in _SUMS:
        terms.append((1 if node.op == "add" else -1, node.args[1]))
        node = node.args[0]
    return [(1, node), *reversed(terms)]


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
    ends = [place + 1 for place, factor in enumerate(factors[:-1]) if factor.shape[1].is_unit]
    if ends:  # an outer product, whose two sides stay two
        sides = zip([0, *ends], [*ends, len(factors)], strict=True)
        shown = [_show_product(factors[start:stop]) for start, stop in sides]
        return reduce(ex.matmul, [factor for side in shown for factor in _flatten(side)])
    factors = list(factors)
    while (place := _find_slice(factors)) is not None:
        left, right = factors[place : place + 2]
        is_right = _is_transposed(right)
        part = _slice_columns(_show_alone(left), right) if is_right else _slice_rows(left, right)
        factors[place : place + 2] = [part]
    if len(factors) > 1 and _is_transposed(factors[0]):
        return _pad_rows(_turn(factors[0]), _show_product(factors[1:]))
    if len(factors) > 1 and _is_selection(factors[-1]):
        return _turn(_pad_rows(factors[-1], _turn(_show_product(factors[:-1]))))
    return reduce(ex.matmul, map(_show_alone, factors))


def _find_slice(factors: Sequence[Expression]) -> int | None:
    """Return the place of two factors of which one is a part of the other: S @ X or X @ S.T."""
    for place, (left, right) in enumerate(pairwise(factors)):
        if _is_transposed(right) and not _is_transposed(left):
            return place
        if _is_selection(left) and not _is_selection(right) and not _is_transposed(right):
            return place
    return None


def _slice_rows(selection: Expression, array: Expression) -> Expression:
    return _each_selection(selection, lambda each: _within_scale(array, lambda inner: _take(ex.sliced, each, inner)))


def _take(part: _Part, selection: Expression, array: Expression) -> Expression:
    """Return the rows of an array that a selection takes or pads; those of a transpose are columns of what it turns."""
    if array.op == "transpose" and not array.args[0].is_row:
        return ex.transpose(part(array.args[0], 1, *_read_ends(selection)))
    return part(array, 0, *_read_ends(selection))


def _slice_columns(array: Expression, selection: Expression) -> Expression:
    """Return the columns of an array that a transposed selection takes; those of a transpose are rows."""
    if _is_turned(array):
        return _turn(_slice_rows(_turn(selection), _turn(array)))
    return _each_selection(
        _turn(selection), lambda each: _within_scale(array, lambda inner: ex.sliced(inner, 1, *_read_ends(each)))
    )


def _pad_rows(selection: Expression, array: Expression) -> Expression:
    return _each_selection(selection, lambda each: _within_scale(array, lambda inner: _take(ex.padded, each, inner)))


def _each_selection(node: Expression, change: _Change) -> Expression:
    """Return a sum of selections, each perhaps with a sign or a scalar, with each of them changed."""
    if node.op in ("add", "subtract"):
        left, right = (_each_selection(arg, change) for arg in node.args)
        return ex.elementwise(node.op, left, right)
    is_scaled = _scaled(node) is not node
    return _within_scale(node, lambda inner: _each_selection(inner, change)) if is_scaled else change(node)


def _within_scale(array: Expression, change: _Change) -> Expression:
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
        left, right = map(_turn, array.args)
        return ex.elementwise(array.op, left, right)
    return _within_scale(array, lambda inner: inner.args[0] if inner.op == "transpose" else ex.transpose(inner))


def _is_selection(node: Expression) -> bool:
    """Whether it is a selection, or a sum of them, each perhaps with a scalar."""
    node = _scaled(node)
    if node.op in ("add", "subtract"):
        return all(map(_is_selection, node.args))
    if not node.is_call(SELECTION):
        return False
    before, after = (_read_count(end) for end in node.args[2:])
    return before is not None and after is not None and before + node.shape[0] + after == node.shape[1]


def _selects(factor: Expression) -> bool:
    """Whether a factor of a product is a selection, or one that is transposed."""
    return _is_selection(factor) or _is_transposed(factor)


def _is_transposed(node: Expression) -> bool:
    node = _scaled(node)
    if node.op in ("add", "subtract"):
        return all(map(_is_transposed, node.args))
    return node.op == "transpose" and _is_selection(node.args[0])


def _read_ends(selection: Expression) -> tuple[Size, Size]:
    before, after = (_read_count(end) for end in selection.args[2:])
    assert before is not None
    assert after is not None
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
    return _each_selection(node, lambda each: _take(ex.sliced, each, ex.filled("eye", each.shape[1])))


def _show_total(node: Expression) -> Expression | None:
    """Return sum(S, axis=0) of a selection, which is padded ones; None for any other node."""
    if not (node.is_call("sum") and node.data[1] == 0 and not node.data[2] and _is_selection(node.args[0])):
        return None
    return _pad_rows(node.args[0], ex.filled("ones", node.args[0].shape[0]))


# --- sums -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A term that is an array with zeros before and behind it along an axis; `is_padded` where it is shown as one."""

    inner: Expression
    axis: int
    before: Size
    after: Size
    is_padded: bool


def _show_sum(terms: Sequence[tuple[int, Expression]]) -> Expression:
    """Return a sum in which arrays that stand one after another are concatenated; each step joins two terms."""
    turned = [_scaled(term).args[0] for _, term in terms if _scaled(term).op == "transpose"]
    is_part = [inner.op in _PARTS for inner in turned]
    if len(turned) == len(terms) and any(is_part) and all(
        part or inner.is_call(BASIS) for part, inner in zip(is_part, turned, strict=True)
    ):
        return ex.transpose(_show_sum([(sign, _turn(term)) for sign, term in terms]))
    shown: list[tuple[int, Expression]] = []
    rest = list(terms)
    while rest:
        count, joined = _join_first(rest)
        shown.append((rest[0][0], _show_alone(rest[0][1])) if joined is None else (1, joined))
        del rest[: max(1, count)]
    (_, total), *others = shown
    for sign, term in others:
        total = (ex.add if sign > 0 else ex.subtract)(total, term)
    return total


def _join_first(terms: Sequence[tuple[int, Expression]]) -> tuple[int, Expression | None]:
    """Return how many of the first terms stand one after another, and what they are together, None for one alone."""
    for axis in (0, 1):
        run: list[_Placed] = []
        for sign, term in terms:
            found = _read_placed(term, axis)
            if found is None or (run and run[-1].before + run[-1].inner.shape[axis] != found.before):
                break
            run.append(found if sign > 0 else replace(found, inner=ex.negate(found.inner)))
        if len(run) < 2:
            continue
        before, after = run[0].before, run[-1].after
        joined = ex.joined([each.inner for each in run], axis)
        is_whole = before == after == _ZERO
        if any(each.is_padded for each in run) or (is_whole and not run[0].inner.is_scalar):
            return len(run), joined if is_whole else ex.padded(joined, axis, before, after)
    return 0, None


def _read_placed(term: Expression, axis: int) -> _Placed | None:
    """Return a term as an array at a place along an axis: pad(X, 1, 0), basis(n, 2) @ x.T, 3*basis(n, 0)."""
    core = _scaled(term)
    if core.op == "transpose" and core.args[0].op == "padded":
        found = _read_placed(_turn(term), 1 - axis)
        return None if found is None else replace(found, inner=_turn(found.inner), axis=axis)
    if core.op == "padded":
        own, before, after = core.data
        inner = _within_scale(term, lambda node: node.args[0])
        return _Placed(inner, axis, before, after, True) if own == axis else None
    selection = core.args[0] if axis == 0 and core.op == "transpose" else core
    if selection.is_call(SELECTION) and _is_selection(selection) and (selection is not core) == (axis == 0):
        inner = _within_scale(term, lambda _: ex.filled("eye", selection.shape[0]))
        return _Placed(inner, axis, *_read_ends(selection), False)
    factors = _flatten(core) if core.op == "matmul" else [core]
    if len(factors) > 1:
        place = _read_place(factors[0] if axis == 0 else factors[-1], axis)
        rest = factors[1:] if axis == 0 else factors[:-1]
        inner = _within_scale(term, lambda _: reduce(ex.matmul, rest))
    else:
        place = _read_place(core, axis)
        inner = _read_scale(term)
    if place is None or inner.shape[axis] != UNIT:
        return None
    return _Placed(inner, axis, place, term.shape[axis] - place - UNIT, False)


def _read_scale(term: Expression) -> Expression:
    """Return the scalar by which a unit vector is multiplied."""
    match term.op:
        case "negate":
            return ex.negate(_read_scale(term.args[0]))
        case "multiply" | "divide":
            scalar, inner = sorted(term.args, key=lambda arg: not arg.is_scalar)
            scale = _read_scale(inner)
            if term.op == "divide":
                return ex.divide(scale, scalar)
            return scalar if scale == ex.number(1) else ex.multiply(scalar, scale)
    return ex.number(1)


def _read_place(node: Expression, axis: int) -> Size | None:
    """Return the place of the 1 in a unit vector, which for axis 1 is a row."""
    if axis and node.op == "transpose":
        return _read_place(node.args[0], 0)
    if axis or not node.is_call(BASIS):
        return None
    place = node.args[1]
    if place.op == "subtract":  # n - 1
        ends = [_read_count(end) for end in place.args]
        return None if ends[0] is None or ends[1] is None else ends[0] - ends[1]
    return _read_count(place)


def write_range(before: Size, after: Size, whole: Size) -> str:
    """Return a range as text, its stop counted from the end where that is shorter: 1:, :-1, q:n - 1.

    >>> write_range(Size.of(1), Size((), 0), Size.of("n")), write_range(Size((), 0), Size.of("q"), Size.of("n"))
    ('1:', ':-q')
    """
    bounds = find_bounds(before, after, whole)
    return ":".join("" if bound is None else f"{'-' * (bound[0] < 0)}{bound[1]}" for bound in bounds)


def find_bounds(before: Size, after: Size, whole: Size) -> tuple[tuple[int, Size] | None, ...]:
    """Return the start and the stop of a range, with the sign -1 where it is counted from the end; None at an end."""
    start = None if before == _ZERO else _find_bound(before, whole)
    return start, None if after == _ZERO else _find_bound(whole - after, whole)


def _find_bound(bound: Size, whole: Size) -> tuple[int, Size]:
    behind = whole - bound
    is_shorter = len(behind.terms) == 1 and behind.number > 0 and len(str(behind)) + 1 < len(str(bound))
    return (-1, behind) if is_shorter else (1, bound)
