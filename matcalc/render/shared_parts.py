"""Which parts of a long expression deserve a name: those that are written again and again, or nested too deeply.

All is worked out on the shared graph, in time linear in its size: the text itself may be exponentially longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matcalc.language.expression import Expression
from matcalc.render.to_text import Part, is_bracketed, write_node

# A transpose, a sign and a comparison are written where they stand; what they are of can have a name.
_NAMEABLE = frozenset({
    "add", "subtract", "multiply", "divide", "power", "matmul", "call", "einsum", "abstract", "abstract_derivative",
})  # fmt: skip
_MOST_PLACES = 10**9
_LONGEST_PART = 200
_NAME: Part = ("h1", 4)

# How many characters a name must save: A @ x is read at a glance, tanh(W @ x + b) is not.
_SAVED, _SAVED_BY_ONE_OPERATION = 9, 20
# Beyond so many brackets a formula is broken; what is then named has brackets and at least so many characters.
_DEEPEST, _DEEPEST_PART, _SHORTEST_CALL, _SHORTEST_PRODUCT = 6, 4, 12, 20


def choose_parts(nodes: Sequence[Expression]) -> set[int]:
    """Return the ids of the nodes that deserve a name; `nodes` are those of one expression, operands first."""
    shared = _choose_shared(nodes)
    return shared | _choose_nested(nodes, shared)


# --- what stands at several places --------------------------------------------------------------------


def _choose_shared(nodes: Sequence[Expression]) -> set[int]:
    """Return the nodes that stand at two places or more, counting a part that has a name once."""
    chosen = set[int]()
    lengths, operations = _measure(nodes, chosen)
    places = {id(node): 0 for node in nodes} | {id(nodes[-1]): 1}
    for node in reversed(nodes):
        count = places[id(node)]
        if count > 1 and node.op in _NAMEABLE and _is_worth_it(lengths[id(node)], operations[id(node)], count):
            chosen.add(id(node))
            count = 1
        for arg in node.args:
            places[id(arg)] = min(places[id(arg)] + count, _MOST_PLACES)
    return _drop_short(nodes, chosen, places)


def _drop_short(nodes: Sequence[Expression], chosen: set[int], places: dict[int, int]) -> set[int]:
    """Return the chosen nodes without those that are short once their own parts have names, such as u**2."""
    lengths, operations = _measure(nodes, chosen)
    return {part for part in chosen if _is_worth_it(lengths[part], operations[part], places[part])}


def _is_worth_it(length: int, operations: int, places: int) -> bool:
    saved = (places - 1) * (length - 3)
    return saved >= (_SAVED if operations > 1 else _SAVED_BY_ONE_OPERATION)


def _measure(nodes: Iterable[Expression], named: set[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Return the length of each node, and whether it is made of 0, 1 or more (2) operations; a name is a leaf."""
    lengths, counts = dict[int, int](), dict[int, int]()
    written = dict[int, Part]()
    for node in nodes:
        part = _write(node, written)
        written[id(node)], lengths[id(node)] = _NAME if id(node) in named else part, len(part[0])
        inside = sum([0 if id(arg) in named else counts[id(arg)] for arg in node.args])
        counts[id(node)] = min(2, bool(node.args) + inside)
    return lengths, counts


def _write_all(nodes: Iterable[Expression], named: set[int]) -> dict[int, Part]:
    """Return the beginnings of all texts, with a name in place of what has one."""
    written: dict[int, Part] = {}
    for node in nodes:
        written[id(node)] = _NAME if id(node) in named else _write(node, written)
    return written


def _write(node: Expression, written: dict[int, Part]) -> Part:
    text, level = write_node(node, [written[id(arg)] for arg in node.args])
    return text[:_LONGEST_PART], level


# --- what is nested too deeply ------------------------------------------------------------------------


def _choose_nested(nodes: Sequence[Expression], shared: set[int]) -> set[int]:
    """Return the nodes that break formulas of more brackets than one can follow, from the inside out."""
    deep = _list_deep(nodes, shared)
    if not deep:
        return deep
    breakable = deep & _list_bracketed(nodes, _write_all(nodes, shared))
    named = set(shared)
    written: dict[int, Part] = {}
    depths: dict[int, int] = {}
    for node in nodes[:-1]:
        written[id(node)], depths[id(node)] = _write(node, written), _count_own(node, written, depths, named)
        if id(node) in breakable and _breaks(node, written[id(node)][0], depths[id(node)]):
            named.add(id(node))
        if id(node) in named:
            written[id(node)] = _NAME
    return named - shared


def _breaks(node: Expression, text: str, depth: int) -> bool:
    if node.op not in _NAMEABLE or not depth:
        return False
    shortest = _SHORTEST_CALL if node.op == "call" else _SHORTEST_PRODUCT
    return depth >= _DEEPEST_PART or (node.op in ("call", "multiply") and len(text) >= shortest)


def count_brackets(nodes: Iterable[Expression], named: set[int]) -> dict[int, int]:
    """Return for each node how many brackets are open at its deepest place; in what has a name there are none."""
    written, depths = _write_all(nodes, named), dict[int, int]()
    for node in nodes:
        depths[id(node)] = _count_own(node, written, depths, named)
    return depths


def _count_own(node: Expression, written: dict[int, Part], depths: dict[int, int], named: set[int]) -> int:
    return max(
        (
            is_bracketed(node, place, written[id(arg)]) + (0 if id(arg) in named else depths[id(arg)])
            for place, arg in enumerate(node.args)
        ),
        default=0,
    )


def _list_deep(nodes: Sequence[Expression], shared: set[int]) -> set[int]:
    """Return the nodes of those definitions, and of the formula, that have too many brackets in each other."""
    depths = count_brackets(nodes, shared)
    deep = {part for part in (*shared, id(nodes[-1])) if depths[part] > _DEEPEST}
    for node in reversed(nodes):
        if id(node) in deep:
            deep.update(id(arg) for arg in node.args if id(arg) not in shared)
    return deep


def _list_bracketed(nodes: Sequence[Expression], written: dict[int, Part]) -> set[int]:
    """Return the nodes that stand in brackets or are a call: no mere beginnings of a sum or a product."""
    found = {id(node) for node in nodes if node.op == "call"}
    for node in nodes:
        found.update(id(arg) for at, arg in enumerate(node.args) if is_bracketed(node, at, written[id(arg)]))
    return found
