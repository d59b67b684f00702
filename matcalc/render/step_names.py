"""Names for what stands in the lines of a derivation again and again: z = W @ x + b, then d(softmax(z))."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace as replace_fields

from matcalc.engine.differentials import is_mark
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.replace import replace
from matcalc.render.line_shapes import tell_shape
from matcalc.render.part_names import choose_names
from matcalc.render.shared_parts import choose_parts
from matcalc.render.step import Step, write_marked
from matcalc.render.to_text import is_longer, to_text

LONGEST_LINE = 100
_LINES = frozenset({"rule", "collect", "read"})


def name_parts_of_steps(steps: Sequence[Step], taken: Collection[str]) -> list[Step]:
    """Return the steps of one differentiation, in names where a line is too long; the names stand behind the start."""
    lines = [step.expression for step in steps if step.kind in _LINES and step.expression is not None]
    if not any(is_longer(line, LONGEST_LINE) for line in lines):
        return list(steps)
    table = _choose(steps, taken)
    named = [_rename(step, table) for step in steps]
    return [*named[:1], *_define(table), *named[1:]] if table else named


def _choose(steps: Sequence[Step], taken: Collection[str]) -> dict[Expression, Expression]:
    """The parts that deserve a name, operands first, each with the symbol that stands for it."""
    last = [step.expression for step in steps if step.kind == "rule"][-1]
    assert last is not None
    nodes = list(walk(last))
    chosen, constant = choose_parts(nodes), _list_constant(nodes, steps[0].moving)
    parts = [node for node in nodes if id(node) in chosen and node in constant]
    names = choose_names(parts, taken)
    return {part: symbol(name, part.shape) for part, name in zip(parts, names, strict=True)}


def _list_constant(nodes: Sequence[Expression], moving: Expression | None) -> set[Expression]:
    """The nodes in which nothing changes: without dX and marks."""
    found: set[Expression] = set()
    for node in nodes:
        if node is not moving and not is_mark(node) and all(arg in found for arg in node.args):
            found.add(node)
    return found


def _define(table: dict[Expression, Expression]) -> list[Step]:
    steps = []
    for place, (part, name) in enumerate(table.items()):
        earlier = dict(list(table.items())[:place])
        body = replace(part, earlier)
        shapes = tell_shape(part.dropped_shape)
        steps.append(Step(name.name, to_text(body), "name", shapes=shapes, expression=body))
    return steps


def _rename(step: Step, table: dict[Expression, Expression]) -> Step:
    """The step in names; entry by entry, and where it begins, it stays as it is."""
    if step.expression is None or step.kind not in _LINES or "[" in step.left:
        return step
    shown = replace(step.expression, table)
    return replace_fields(step, right=write_marked(shown), shown=shown)
