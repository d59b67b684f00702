"""What the rules say of one node: its derivative by each of its operands, as a tensor.

An elementwise function gives one partial derivative per operand; a function with a differential gives
the coefficient of dX, found by differentiating the differential, which is linear in dX, by dX.
"""

from __future__ import annotations

from collections.abc import Callable

from matcalc.engine.expression_to_index import Tensor, convert
from matcalc.engine.index_form import Graph, Node, reachable
from matcalc.errors import MissingRuleError, RuleError
from matcalc.language.expression import symbol
from matcalc.language.sizes import UNIT, Shape, drop_units, hold, write_shape
from matcalc.language.text_to_expression import parse_rule_text

Differentiate = Callable[[Graph, Node, Node], Node]


def elementwise_partial(graph: Graph, node: Node, k: int) -> Node:
    """Return f'_k(arguments), a tensor with the axes of the node; 0 for the sides of a comparison."""
    rule = node.payload
    if isinstance(rule, str) or rule.elementwise[k] == "0":
        return graph.zeros(node.shape)
    bindings = {parameter.name: Tensor(part) for parameter, (part, _) in zip(rule.variables, node.parts, strict=True)}
    shapes = tuple([_placed_shape(labels, node.shape) for _, labels in node.parts])
    body = parse_rule_text(rule, rule.elementwise[k], shapes, graph.rules)
    partial = convert(graph, body, bindings).node
    carried = [at for at, size in enumerate(body.shape) if not size.is_unit] if not body.is_scalar else []
    return _spread(graph, partial, tuple(carried), node.shape)


def _placed_shape(labels: tuple[int, ...], shape: Shape) -> Shape:
    """The held shape of an operand that has only these axes of the result: others are unit axes."""
    return hold(tuple([size if k in labels else UNIT for k, size in enumerate(shape)]))


def _spread(graph: Graph, node: Node, labels: tuple[int, ...], shape: Shape) -> Node:
    """Repeat a tensor along the axes of the result that it lacks."""
    ones = [(graph.ones(size), (k,)) for k, size in enumerate(shape) if k not in labels]
    return graph.product(1, [(node, labels), *ones], range(len(shape))) if ones else node



def call_partial(graph: Graph, node: Node, k: int, differentiate: Differentiate) -> Node:
    """Return the derivative of a call by operand k: batch axes, axes of the result, axes of the operand.

    Raises MissingRuleError where the rule has no differential, RuleError for one that cannot be.
    """
    key = ("call", node.id, k)
    if key not in graph.partials:
        rule = node.payload[0]
        if not rule.differential:
            raise MissingRuleError(
                f"{rule.function} has no rule for its derivative",
                advice=f'add differential = "..." to [{rule.name}] in {rule.file}',
            )
        if ("open", *key) in graph.partials:
            raise RuleError(f"the differential of [{rule.name}] is stated by {rule.function} itself")
        graph.partials["open", *key] = node
        body, wrt = _differential(graph, node, k)
        if body.shape != node.shape:
            given, needed = write_shape(body.shape), write_shape(node.shape)
            raise RuleError(f"the differential of [{rule.name}] has shape {given}, but {rule.function} has {needed}")
        partial = differentiate(graph, body, wrt)
        if _contains(partial, wrt):
            raise RuleError(f"the differential of [{rule.name}] is not linear in d{rule.variables[k].name}")
        graph.partials[key] = partial
    return graph.partials[key]


def _differential(graph: Graph, node: Node, k: int) -> tuple[Node, Node]:
    """Return the differential with only operand k varying, and the variable that stands for dX."""
    rule, batch = node.payload
    shapes = tuple([_core_shape(argument, labels, batch) for argument, labels in node.parts])
    bindings = {}
    for at, (parameter, (argument, _)) in enumerate(zip(rule.variables, node.parts, strict=True)):
        mapped = batch if any(label < batch for label in node.parts[at][1]) else 0
        bindings[parameter.name] = Tensor(argument, mapped)
        # A name that no reader can write: the argument may contain a variable called dX.
        moving = graph.variable(symbol(f"d[{parameter.name}]", drop_units(shapes[at])))
        bindings[f"d{parameter.name}"] = Tensor(moving if at == k else graph.zeros(moving.shape))
        if at == k:
            wrt = moving
    body = convert(graph, parse_rule_text(rule, rule.differential, shapes, graph.rules), bindings)
    return _with_batch(graph, body, node, batch), wrt


def _with_batch(graph: Graph, body: Tensor, node: Node, batch: int) -> Node:
    if body.batch == batch:
        return body.node
    ones = graph.fresh(1)
    axes = graph.fresh(body.node.rank)
    return graph.product(1, [(graph.ones(node.shape[0]), ones), (body.node, axes)], (*ones, *axes))


def _core_shape(argument: Node, labels: tuple[int, ...], batch: int) -> Shape:
    sizes = tuple([size for size, label in zip(argument.shape, labels, strict=True) if label >= batch])
    return hold(sizes)


def _contains(root: Node, wanted: Node) -> bool:
    return any(node is wanted for node in reachable(root))
