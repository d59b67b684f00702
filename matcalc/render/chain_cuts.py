"""Where an expression is a composition: the parts through which every path from the variable to the result passes."""

from __future__ import annotations

from itertools import pairwise

from matcalc.language.expression import Expression, symbols, walk

MOST_FACTORS = 6
_NO_STEP = frozenset({"add", "subtract", "negate", "transpose"})
_LINEAR = frozenset({"add", "subtract", "negate", "transpose", "matmul", "multiply", "divide"})


def list_cuts(root: Expression, wrt: Expression) -> list[Expression]:
    """Return the parts that all of the variable passes through, from the inside out; at most five.

    A part that is only shifted, turned or scaled by a number on its way is none: X @ w - y is one step.  Where
    there are too many, those that are linear go first, so that the layers of a network are left.
    """
    users = _list_users(root, wrt)
    stations = [node for node in _list_dominators(wrt, users) if len(node.shape) == 2 or node is root]
    while len(stations) > 1 and stations[0] is wrt and _is_hardly_changed(wrt, stations[1], users):
        wrt = stations[1]
        stations = stations[1:]
    cuts = [
        inner
        for inner, outer in pairwise(stations)
        if inner is not wrt and not _is_hardly_changed(inner, outer, users)
    ]
    if len(cuts) >= MOST_FACTORS:
        cuts = [cut for cut in cuts if cut.op not in _LINEAR]
    return cuts[1 - MOST_FACTORS :]


def _list_users(root: Expression, wrt: Expression) -> dict[Expression, list[Expression]]:
    """The nodes that contain the variable, operands first, each with the varying nodes that use it."""
    users: dict[Expression, list[Expression]] = {}
    for node in walk(root):
        below = [arg for arg in dict.fromkeys(node.args) if arg in users]
        if node is wrt or below:
            users[node] = []
        for arg in below:
            users[arg].append(node)
    return users


def _list_dominators(wrt: Expression, users: dict[Expression, list[Expression]]) -> list[Expression]:
    """The nodes on every path from the variable to the root.

    Nodes come operands first; a node is on every path where no node before it is used by one behind it.
    """
    order = {node: place for place, node in enumerate(users)}
    found, reach = [], 0
    for node, place in order.items():
        if place >= reach:
            found.append(node)
        reach = max([reach, *(order[user] for user in users[node])])
    return found if wrt in order else []


def _is_hardly_changed(inner: Expression, outer: Expression, users: dict[Expression, list[Expression]]) -> bool:
    """Whether a part is only shifted, turned, or scaled by a number, or stands in a longer chain of products."""
    if users[inner] != [outer]:
        return False
    others = [arg for arg in outer.args if arg is not inner]
    if any(arg in users for arg in others):
        return False
    if outer.op in ("multiply", "divide"):
        numbers = bool(others) and all(not symbols(arg) and arg.is_scalar for arg in others)
        return numbers and (outer.op == "multiply" or outer.args[0] is inner)
    if outer.op == "matmul":
        return inner.op == "matmul"
    return outer.op in _NO_STEP
