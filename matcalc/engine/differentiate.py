"""Reverse accumulation over the index form (Laue, Mitterreiter & Giesen, AAAI 2020).

One adjoint per node: the derivative of the result by that node, with the axes of the result first and
the axes of the node behind them.  It is the sum over all uses of the node, so the work is linear in the
size of the graph.  Nodes are visited from the result down, each after all nodes that use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction

from matcalc.engine.expression_to_index import Tensor, convert
from matcalc.engine.index_form import Graph, Labels, Node, Part, reachable
from matcalc.engine.sums import sum_inside
from matcalc.errors import MissingRuleError, RuleError
from matcalc.language.expression import symbol
from matcalc.language.scalar_calculus import state_partial
from matcalc.language.sizes import UNIT, Shape, squeeze_shape, to_2d_shape, write_shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import shipped_rules

# Products of up to so many factors are opened where they are a factor of another product.
LONG_PRODUCT = 12


def differentiate(graph: Graph, root: Node, wrt: Node) -> Node:
    """Return the derivative of `root` by the variable `wrt`, axes of the result first, then those of wrt.

    Zero is the answer only where the result does not contain the variable, or where every path to it
    has derivative zero.
    """
    return differentiate_by_each(graph, root, [wrt])[0]


def differentiate_by_each(graph: Graph, root: Node, wrts: Sequence[Node]) -> list[Node]:
    """Return the derivatives of `root` by several variables: one backward pass finds the adjoints of them all."""
    leaves = {wrt.id: graph.zeros(root.shape + wrt.shape) for wrt in wrts}
    varying = _varying(root, leaves)
    pending: dict[int, list[Node]] = {root.id: [_identity(graph, root)]} if root.id in varying else {}
    for node in sorted(varying.values(), key=lambda node: -node.id):
        contributions = pending.pop(node.id, [])
        adjoint = _add(graph, contributions, root.shape + node.shape)
        if node.id in leaves:
            leaves[node.id] = adjoint
            continue
        if adjoint.op == "zeros" or (adjoint.op == "number" and not adjoint.payload):
            continue
        adjoint = _hold(graph, node, adjoint, varying)
        for operand, contribution in _pull_back(graph, node, adjoint, root.rank, varying):
            pending.setdefault(operand.id, []).append(contribution)
    return [leaves[wrt.id] for wrt in wrts]


def _hold(graph: Graph, node: Node, adjoint: Node, varying: Collection[int]) -> Node:
    """Return an adjoint as one factor or term if it is a long product, or a sum that runs on to several operands.

    Opened at every step of a long chain, the work would grow with the square of its length.
    """
    if adjoint.op == "product" and len(adjoint.parts) > LONG_PRODUCT:
        return graph.held(adjoint)
    return graph.held_running(adjoint) if sum(part.id in varying for part, _ in node.parts) > 1 else adjoint


def _varying(root: Node, leaves: Collection[int]) -> dict[int, Node]:
    """Return the nodes below the root that contain one of the variables."""
    varying: dict[int, Node] = {}
    for node in reachable(root):
        if node.id in leaves or any(part.id in varying for part, _ in node.parts):
            varying[node.id] = node
    return varying


def _identity(graph: Graph, root: Node) -> Node:
    """The derivative of the root by itself: one delta for each axis."""
    left, right = graph.fresh(root.rank), graph.fresh(root.rank)
    deltas = [(graph.delta(size), (a, b)) for size, a, b in zip(root.shape, left, right, strict=True)]
    return graph.product(1, deltas, left + right)


def _add(graph: Graph, contributions: list[Node], shape: Shape) -> Node:
    # The last visited was written first; zeros would count as a matrix that all contributions share.
    contributions = [node for node in reversed(contributions) if node.op != "zeros"]
    if len(contributions) < 2:
        return contributions[0] if contributions else graph.zeros(shape)
    shared = _shared_matrices(contributions)
    if shared:
        # A[i,j] u[i] + A[i,j] v[i] = A[i,j] (u + v)[i]: the sum is taken of what is smaller.
        own = tuple(range(len(shape)))
        return sum_inside(graph, [(Fraction(1), node, own) for node in contributions], shape, shared)
    axes = graph.fresh(len(shape))
    return graph.sum([(1, node, axes) for node in contributions], axes, shape)


def _shared_matrices(contributions: list[Node]) -> list[Part]:
    """The matrices that stand on the same axes in every contribution: those that the adjoint came through."""
    common: list[Part] = []
    for at, node in enumerate(contributions):
        parts = node.factors
        found = [part for part in parts if len(part[1]) == 2 and max(part[1]) < node.rank and part[0].op != "delta"]
        common = found if not at else [part for part in common if part in found]
    return common


def _pull_back(
    graph: Graph, node: Node, adjoint: Node, rank: int, varying: dict[int, Node]
) -> Iterator[tuple[Node, Node]]:
    """Yield (operand, its share of the adjoint) for each use of a varying operand."""
    out = graph.fresh(rank)
    if node.op == "held":
        axes = graph.fresh(node.rank)
        yield node.parts[0][0], _contract(graph, Fraction(1), [(adjoint, out + axes)], out, axes, node)
    elif node.op == "product":
        yield from _pull_back_product(graph, node, adjoint, out, varying)
    elif node.op == "sum":
        axes = graph.fresh(node.rank)
        for coefficient, part, labels in node.terms:
            if part.id in varying:
                placed = [axes[k] for k in labels]
                yield part, _contract(graph, coefficient, [(adjoint, out + axes)], out, placed, part)
    else:
        yield from _pull_back_function(graph, node, adjoint, out, varying)


def _pull_back_product(
    graph: Graph, node: Node, adjoint: Node, out: Labels, varying: dict[int, Node]
) -> Iterator[tuple[Node, Node]]:
    """d(f g h) by g is f h, contracted with the adjoint."""
    used = sorted({label for _, labels in node.parts for label in labels} | set(range(node.rank)))
    labels = dict(zip(used, graph.fresh(len(used)), strict=True))
    axes = tuple([labels[k] for k in range(node.rank)])
    parts = [(part, tuple([labels[label] for label in at])) for part, at in node.parts]
    for k, (part, at) in enumerate(parts):
        if part.id in varying:
            others = parts[:k] + parts[k + 1 :]
            yield part, _contract(graph, node.payload, [(adjoint, out + axes), *others], out, at, part)


def _contract(
    graph: Graph, coefficient: Fraction, factors: list[Part], out: Labels, at: Sequence[int], part: Node
) -> Node:
    """Contract the factors to the axes of the result and those of the operand.

    An index that stands twice on the operand (its diagonal) gets a delta; one that no factor carries is ones.
    """
    ends: list[int] = []
    factors = list(factors)
    carried = {label for _, labels in factors for label in labels}
    for label, size in zip(at, part.shape, strict=True):
        if label in ends:
            (end,) = graph.fresh(1)
            factors.append((graph.delta(size), (label, end)))
            label = end
        elif label not in carried:
            factors.append((graph.ones(size), (label,)))
        ends.append(label)
    return graph.product(coefficient, factors, out + tuple(ends))


def _pull_back_function(
    graph: Graph, node: Node, adjoint: Node, out: Labels, varying: dict[int, Node]
) -> Iterator[tuple[Node, Node]]:
    axes = graph.fresh(node.rank)
    carried = (adjoint, out + axes)
    for k, (part, at) in enumerate(node.parts):
        if part.id not in varying:
            continue
        if node.op == "call":
            yield part, _pull_back_call(graph, node, k, carried, out, axes)
        elif node.op == "abstract":
            yield part, _pull_back_abstract(graph, node, carried, out, axes)
        else:
            partial = _local_partial(graph, node, k)
            placed = [axes[label] for label in at]
            yield part, _contract(graph, Fraction(1), [carried, (partial, axes)], out, placed, part)


def _local_partial(graph: Graph, node: Node, k: int) -> Node:
    """The partial derivative of an elementwise node by operand k, with the axes of the node."""
    key = (node.id, k)
    if key not in graph.partials:
        if node.op == "power":
            base, exponent = node.parts[0][0], node.payload
            graph.partials[key] = graph.scaled(exponent, graph.power(base, exponent - 1))
        elif node.op == "general_power":
            graph.partials[key] = _power_partial(graph, node, k)
        else:
            graph.partials[key] = elementwise_partial(graph, node, k)
    return graph.partials[key]


def _power_partial(graph: Graph, node: Node, k: int) -> Node:
    """d(x**y) by x is y * x**(y - 1), by y it is x**y * log(x)."""
    base, exponent = node.parts
    axes = range(node.rank)
    if k == 1:
        logarithm = graph.apply(shipped_rules()["log"], [(base[0], tuple(range(base[0].rank)))], base[0].shape)
        return graph.product(1, [(node, tuple(axes)), (logarithm, base[1])], axes)
    own = tuple(range(exponent[0].rank))
    less = graph.sum([(1, exponent[0], own), (-1, graph.one, ())], own, exponent[0].shape)
    lowered = graph.general_power(base, (less, exponent[1]), node.shape)
    return graph.product(1, [exponent, (lowered, tuple(axes))], axes)


def _pull_back_call(graph: Graph, node: Node, k: int, carried: Part, out: Labels, axes: Labels) -> Node:
    """Contract the adjoint with the derivative of the call; batch axes are shared, not summed."""
    partial = call_partial(graph, node, k)
    batch = node.payload[1]
    part, at = node.parts[k]
    inner = graph.fresh(sum(1 for label in at if label >= batch))
    ends = list(axes[:batch])[: part.rank - len(inner)] + list(inner)
    return graph.product(1, [carried, (partial, axes + inner)], out + tuple(ends))


def _pull_back_abstract(graph: Graph, node: Node, carried: Part, out: Labels, axes: Labels) -> Node:
    """u(x) by x is D(u, x), and so on with each order."""
    name, order, result = node.payload
    part = node.parts[0][0]
    inner = graph.fresh(part.rank)
    derivative = graph.abstract(name, order + 1, part, result)
    return graph.product(1, [carried, (derivative, axes + inner)], out + inner)


# --- derivative rules -------------------------------------------------------------------------------
#
# What the rules say of one node: its derivative by each of its operands, as a tensor.
#
# An elementwise function gives one partial derivative per operand; a function with a differential gives
# the coefficient of dX, found by differentiating the differential, which is linear in dX, by dX.


def elementwise_partial(graph: Graph, node: Node, k: int) -> Node:
    """Return f'_k(arguments), a tensor with the axes of the node; 0 for the sides of a comparison."""
    rule = node.payload
    text = "0" if isinstance(rule, str) else state_partial(rule, k, graph.rules)
    if text == "0":
        return graph.zeros(node.shape)
    bindings = {parameter.name: Tensor(part) for parameter, (part, _) in zip(rule.variables, node.parts, strict=True)}
    # An operand that lacks axes of the result has unit axes in their place.
    shapes = tuple([
        to_2d_shape(tuple([size if k in labels else UNIT for k, size in enumerate(node.shape)]))
        for _, labels in node.parts
    ])
    body = parse_rule_text(rule, text, shapes, graph.rules)
    partial = convert(graph, body, bindings).node
    carried = [at for at, size in enumerate(body.shape) if not size.is_unit] if not body.is_scalar else []
    missing = graph.missing_ones(node.shape, carried)
    return graph.product(1, [(partial, tuple(carried)), *missing], range(node.rank)) if missing else partial


def call_partial(graph: Graph, node: Node, k: int) -> Node:
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
        if any(each is wrt for each in reachable(partial)):
            raise RuleError(f"the differential of [{rule.name}] is not linear in d{rule.variables[k].name}")
        graph.partials[key] = partial
    return graph.partials[key]


def _differential(graph: Graph, node: Node, k: int) -> tuple[Node, Node]:
    """Return the differential with only operand k varying, and the variable that stands for dX."""
    rule, batch = node.payload
    shapes = tuple([
        to_2d_shape(tuple([size for size, label in zip(argument.shape, labels, strict=True) if label >= batch]))
        for argument, labels in node.parts
    ])
    bindings = {}
    for at, (parameter, (argument, _)) in enumerate(zip(rule.variables, node.parts, strict=True)):
        mapped = batch if any(label < batch for label in node.parts[at][1]) else 0
        bindings[parameter.name] = Tensor(argument, mapped)
        # A name that no reader can write: the argument may contain a variable called dX.
        moving = graph.variable(symbol(f"d[{parameter.name}]", squeeze_shape(shapes[at])))
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
