"""Identities of functions of matrices: inv(A @ B) = inv(B) @ inv(A), det(c*X) = c**n*det(X), ...

The entries are data (`rules/identities.toml`); here the argument is recognised as one of their forms.
Each right side calls the function on a smaller argument only, so the rewriting ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from matcalc.engine.products import order_chain
from matcalc.language.sizes import Shape, to_2d_shape
from matcalc.rule_files import Identity, Rule, shipped_identities

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node

Body = Callable[["Graph", Rule, str, tuple[Shape, ...], Mapping[str, "Node"]], "Node"]
_Form = tuple[str, dict[str, "Node"]]


def apply_identity(
    graph: Graph, rule: Rule, arguments: list[Node], shapes: tuple[Shape, ...], convert_body: Body
) -> Node | None:
    """Return the simpler tensor that f(argument) equals, or None where no identity fits."""
    if len(arguments) != 1 or arguments[0].rank != 2:
        return None
    table = shipped_identities()
    for form, values in _forms(graph, arguments[0]):
        identity = table.get((rule.name, form))
        if identity is not None and _holds(graph, identity, values):
            held = {name: to_2d_shape(value.shape) for name, value in values.items()}
            return _instantiate(graph, rule, identity, shapes, held, values, convert_body)
    return None


def _holds(graph: Graph, identity: Identity, values: dict[str, Node]) -> bool:
    if identity.assume and not all(graph.has(value, identity.assume) for value in values.values()):
        return False
    square = all(value.shape[0] == value.shape[1] for value in values.values() if value.rank == 2)
    return square or identity.function == "pinv"


def _instantiate(
    graph: Graph, rule: Rule, identity: Identity, shapes: tuple[Shape, ...], held: dict[str, Shape],
    values: dict[str, Node], convert_body: Body,
) -> Node:  # fmt: skip
    """Return the right side with the parts of the argument for its names."""
    pattern = _as_rule(rule, identity, tuple(values))
    body_shapes = tuple([held[name] for name in values]) if values else shapes
    return convert_body(graph, pattern, identity.right, body_shapes, values)


def _as_rule(rule: Rule, identity: Identity, names: tuple[str, ...]) -> Rule:
    """A rule whose parameters are the identity's names, so that its right side can be read like a rule's text."""
    from matcalc.rule_files import Parameter

    key = (identity.name, names)
    if key not in _rules:
        parameters = tuple([Parameter(name, _AXES.get(name, _axes(rule))) for name in names])
        parameters = parameters or rule.parameters
        _rules[key] = Rule(name=identity.name, function=identity.name, parameters=parameters, define=identity.right)
    return _rules[key]


_rules: dict[tuple[str, tuple[str, ...]], Rule] = {}


_AXES: dict[str, tuple[str, ...] | None] = {"c": None, "v": None}


def _axes(rule: Rule) -> tuple[str, ...] | None:
    return rule.variables[0].axes


def _forms(graph: Graph, node: Node) -> Iterator[_Form]:
    """Yield the forms that the argument has, the most telling first."""
    if node.op == "delta":
        yield "identity", {}
    elif node.op == "call" and not node.payload[1] and len(node.parts) == 1:
        yield node.payload[0].function, {"X": node.parts[0][0]}
    elif node.op == "product":
        yield from _product_forms(graph, node)
    yield "bare", {"Q": node}


def _product_forms(graph: Graph, node: Node) -> Iterator[_Form]:
    column = _diagonal(graph, node)
    if column is not None:
        yield "diagonal", {"v": column}
    scalars = [part for part in node.parts if part[0].rank == 0]
    matrices = [part for part in node.parts if part[0].rank != 0]
    if scalars or node.payload != 1:
        rest = graph.product(1, matrices, (0, 1))
        if rest.rank == 2 and matrices:
            yield "multiple", {"c": graph.product(node.payload, scalars, ()), "X": rest}
        return
    if len(matrices) == 1 and matrices[0][1] == (1, 0):
        yield "transpose", {"X": matrices[0][0]}
        return
    chain = order_chain(matrices)
    if len(chain) > 1:
        first, rest_labels = chain[0], chain[1:]
        joint = next(label for label in first[1] if label != 0)
        left = graph.product(1, [first], (0, joint))
        yield "product", {"A": left, "B": graph.product(1, rest_labels, (joint, 1))}


def _diagonal(graph: Graph, node: Node) -> Node | None:
    """v, where the node is delta[i,j] v[i]."""
    rest = [part for part in node.parts if part[0].op != "delta"]
    if len(rest) == len(node.parts) or not rest or any(1 in labels for _, labels in rest):
        return None
    carried = any(0 in labels for _, labels in rest)
    return graph.product(node.payload, rest, (0,)) if carried else None
