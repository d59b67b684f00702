"""A call -> the definition of its function, of the arguments of the call: what stands where there is no word for it."""

from __future__ import annotations

from matcalc.engine.differentials import fit, is_along
from matcalc.errors import ShapeError
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.rewrite import map_along, replace, rewrite
from matcalc.language.sizes import UNIT, Size
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, shipped_rules


def define_call(node: Expression, definition: str = "") -> Expression | None:
    """Return the definition, or another one, with the arguments in it, along its axis where the call has one.

    None where there is no definition, or none that can be carried out along an axis.
    """
    rule, axis, _ = node.data
    definition = definition or rule.define
    arguments = dict(zip((parameter.name for parameter in rule.variables), node.args, strict=True))
    if not definition:
        return None
    if is_along(node):
        core = parse_rule_text(rule, definition, tuple((arg.shape[axis], UNIT) for arg in node.args))
        mapped = map_along(_spell_out(core), arguments, axis)
        return None if mapped is None else fit(mapped, node.shape)
    body = parse_rule_text(rule, definition, tuple(arg.shape for arg in node.args))
    return fit(replace(body, {leaf: arguments[leaf.name] for leaf in walk(body) if leaf.op == "symbol"}), node.shape)


def define_function(rule: Rule, backend: str) -> tuple[tuple[Expression, ...], Expression] | None:
    """Return the variables and the value of a function that is written above the code, None for all others.

    It is a shipped one whose definition stands beside its derivative and holds no sizes, so that one function serves
    arrays of any shape, and in NumPy and JAX any axis.
    """
    if not rule.define or rule.is_definition or shipped_rules().find(rule.name) is not rule:
        return None
    axes = [(parameter.name, ("n",) if parameter.axes is None else parameter.axes) for parameter in rule.variables]
    variables = tuple(symbol(name, tuple(map(Size.of, letters))) for name, letters in axes)
    try:
        body = parse_rule_text(rule, rule.define, tuple(variable.shape for variable in variables))
    except ShapeError:  # it has arguments that must be numbers beside its arrays
        return None
    if any(node.op in ("size", "filled") or (node.op == "call" and node.data[0].name == "size") for node in walk(body)):
        return None
    matrices = {name: symbol(name, (Size.of("m"), Size.of("n"))) for name, _ in axes}
    is_along = not rule.axis or (backend != "torch" and map_along(body, matrices, 0) is not None)
    return (variables, body) if is_along else None


def _spell_out(body: Expression) -> Expression:
    """Return a formula with definitions for the functions in it that have no axis, such as norm(x)."""

    def change(node: Expression) -> Expression:
        is_defined = node.op == "call" and node.data[0].is_definition and not node.data[0].axis
        defined = define_call(node) if is_defined else None
        return node if defined is None else _spell_out(defined)

    return rewrite(body, change)
