"""The derivation as a person writes it: by differentials, law by law, then read off, then put in the layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, Any

from matcalc.engine.differentials import Law, Line, expand_differential
from matcalc.engine.result import Result, derive_result
from matcalc.language.expression import Expression, symbol
from matcalc.language.replace import replace
from matcalc.render.entries import write_entries
from matcalc.render.line_shapes import tell_shape, write_line_shapes
from matcalc.render.name_parts import list_taken
from matcalc.render.report import name_derivative
from matcalc.render.step import Step, write_law, write_marked
from matcalc.render.step_names import name_parts_of_steps
from matcalc.render.steps_text import write_steps
from matcalc.render.to_text import to_text
from matcalc.render.unfold_shape import explain_layout, unfold_shape
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

_STRUCTURES = frozenset({"symmetric", "posdef", "skew", "diagonal", "orthogonal"})
_AGAIN = "differentiate again, the axes in the order of torch layout"


class Steps(tuple[Step, ...]):
    """The lines of a derivation, in order; a notebook shows them as a table."""

    def __str__(self) -> str:
        return write_steps(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from matcalc.render.steps_html import write_steps_html

        return write_steps_html(self)


def list_steps(derivative: Derivative) -> Steps:
    """Return the derivation of a derivative step by step, of a higher order one differentiation after the other.

    Raises MissingRuleError where a function has no rule, LimitError where the derivation has too many lines.
    """
    return Steps(_derive(derivative))


# --- one differentiation after the other --------------------------------------------------------------


def _derive(derivative: Derivative) -> Iterator[Step]:
    name, function, wrt, result = derivative.result_name, derivative.function, derivative.wrt, derivative.result
    if derivative.order > 1:
        # Every entry is free: what is known of the variable must not enter before the last differentiation.
        free = symbol(wrt.name, wrt.shape, wrt.data[1] - _STRUCTURES)
        function, wrt = replace(function, {wrt: free}), free
        result = derive_result(function, wrt, 1, derivative.result.graph.rules)
    for order in range(1, derivative.order + 1):
        steps = [*_differentiate(name, function, result, derivative), _read_off(name, function, result)]
        yield from name_parts_of_steps(steps, _list_taken(derivative, result))
        if order < derivative.order:
            whole = name_derivative(derivative.result_name, wrt.name, order)
            name, function = _name_next(derivative, order), result.expression("torch")
            shapes = tell_shape(function.dropped_shape)
            yield Step(name, f"{whole} = {to_text(function)}", "again", rule=_AGAIN, shapes=shapes, expression=function)
            result = derive_result(function, wrt, 1, derivative.result.graph.rules)
    yield from _arrange(derivative)


def _list_taken(derivative: Derivative, result: Result) -> set[str]:
    """The names that no part can have."""
    known = list_taken(derivative.problem, result.graph.rules or shipped_rules(), derivative.declared)
    return {*known, result.moving.name, derivative.result_name, *"GHJK"}


def _name_next(derivative: Derivative, order: int) -> str:
    """The name of the derivative of an order while it is differentiated again: G, H, ..."""
    taken = {*derivative.problem.symbols, *derivative.problem.abstract, derivative.result_name}
    return [letter for letter in "GHJKLMNPQRSTUVWZ" if letter not in taken][order - 1]


def _differentiate(name: str, function: Expression, result: Result, derivative: Derivative) -> Iterator[Step]:
    """The lines from d(Y) to the differential in its shortest form."""
    moving = result.moving
    known = (function, moving)
    lines = list(expand_differential(function, result.wrt, moving, derivative.result.graph.rules))
    for place, line in enumerate(lines):
        yield _write_line(f"d{name}", line, place, known)
    shortest = result.differential()
    if to_text(shortest) != write_marked(lines[-1].expression):
        rule = "terms collected, products in order" if lines[-1].laws else "simplified"
        yield _write_expression(f"d{name}", shortest, "collect", rule, known)


def _write_line(left: str, line: Line, place: int, known: tuple[Expression, Expression]) -> Step:
    rules = "; ".join(dict.fromkeys(write_law(law) for law in line.laws))
    sources = "; ".join(dict.fromkeys(law.source for law in line.laws))
    kind = "rule" if place else "start"
    if place and not line.laws:
        rules = "a constant does not change" if not _varies(line) else "the variable itself"
    return _write_expression(left, line.expression, kind, rules, known, sources, line.laws)


def _varies(line: Line) -> bool:
    return line.expression.op != "filled" and line.expression.op != "number"


def _write_expression(
    left: str, expression: Expression, kind: str, rule: str, known: tuple[Expression, Expression], source: str = "",
    laws: tuple[Law, ...] = (),
) -> Step:  # fmt: skip
    shapes = write_line_shapes(expression)
    return Step(left, write_marked(expression), kind, rule, source, shapes, expression, laws, *known)


# --- reading off ----------------------------------------------------------------------------------------


def _read_off(name: str, function: Expression, result: Result) -> Step:
    """The derivative in numerator layout as what stands before dX, or entry by entry."""
    left, rank = f"d{name}/d{result.wrt.name}", len(result.wrt.dropped_shape)
    expression = result.expression("numerator")
    shape = tell_shape(result.shape("numerator"))
    read = Step(left, to_text(expression), "read", shapes=shape, expression=expression, function=function)
    read, moving = replace_fields(read, moving=result.moving), to_text(result.moving)
    if len(function.dropped_shape) + rank > 2:
        left, _, right = write_entries(result, name).partition(" = ")
        letters = ",".join(result.letters[axis] for axis in result.axes if axis.of == "wrt")
        rule = f"read off the derivative: what stands before {moving}[{letters}]"
        return replace_fields(read, left=left, right=right, rule=rule, shapes=f"all entries together: {shape}")
    if rank == 2:
        rule = f"read off the derivative: d{name} = trace({left} @ {moving}) in numerator layout"
    else:
        rule = f"read off the derivative: what stands before {moving}"
    return replace_fields(read, rule=rule)


def _arrange(derivative: Derivative) -> Iterator[Step]:
    """The shape axis by axis where it has three or more, and the derivative in the layout that was asked for."""
    for left, right in unfold_shape(derivative):
        yield Step(left, right, "axis")
    name = name_derivative(derivative.result_name, derivative.wrt.name, derivative.order)
    told = tell_shape(derivative.shape)
    yield Step(
        name, str(derivative), "layout", explain_layout(derivative), shapes=told, expression=derivative.expression,
        function=derivative.function,
    )  # fmt: skip


def list_rules(steps: Iterable[Step]) -> Sequence[tuple[str, str]]:
    """Every law that a derivation uses with its source, each once."""
    return list(dict.fromkeys((write_law(law), law.source) for step in steps for law in step.laws))
