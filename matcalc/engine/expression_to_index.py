"""Typed expression -> index form: each node becomes a tensor whose axes are its axes that are no unit axes.

The body of a rule that is mapped along an axis is converted with its parameter bound to a tensor that
has one batch axis in front; every node below that depends on it then has that batch axis in front too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from operator import mul

from matcalc.engine.index_form import Graph, Labels, Node, Part
from matcalc.engine.products import base_and_exponent, order_chain
from matcalc.errors import LimitError, MissingRuleError
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import UNIT, Shape, Size, squeeze_shape, to_2d_shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Identity, Parameter, Rule, shipped_identities, shipped_rules


@dataclass(frozen=True)
class Tensor:
    """A node of the index form; with `batch` 1 its first axis is the batch axis."""

    node: Node
    batch: int = 0


def convert(graph: Graph, expression: Expression, bindings: Mapping[str, Tensor] | None = None) -> Tensor:
    """Return the index form of an expression; `bindings` gives the tensors of a rule's parameters."""
    converter = _Converter(graph, bindings)
    return converter.convert(expression)


class _Converter:
    """One walk over one expression, each distinct node converted once."""

    def __init__(self, graph: Graph, bindings: Mapping[str, Tensor] | None) -> None:
        self.graph = graph
        self.bindings = bindings
        self.done: dict[int, Tensor] = {}
        self.beta = graph.fresh(1)[0]

    def convert(self, expression: Expression) -> Tensor:
        """Return the index form of the expression, and remember for each tensor what the reader wrote."""
        for node in walk(expression):
            tensor = self._convert_node(node)
            self.done[id(node)] = tensor
            if self.bindings is None and node.op != "compare":
                self.graph.origins.setdefault(tensor.node.id, node)
        return self.done[id(expression)]

    def _convert_node(self, node: Expression) -> Tensor:
        match node.op:
            case "number":
                return Tensor(self.graph.number(node.data[0]))
            case "constant":
                return Tensor(self.graph.constant(node.name))
            case "size":
                return Tensor(self.graph.size(node.data[0]))
            case "add" | "subtract":
                return self._add(node)
            case "compare":
                return self._apply(node, node.data[0])
        method: Callable[[Expression], Tensor] = getattr(self, f"_{node.op}")
        return method(node)

    def _arg(self, node: Expression, k: int = 0) -> Tensor:
        return self.done[id(node.args[k])]

    # --- leaves -----------------------------------------------------------------------------------

    def _symbol(self, node: Expression) -> Tensor:
        if self.bindings is not None and node.name in self.bindings:
            return self.bindings[node.name]
        return Tensor(self.graph.variable(node))

    def _filled(self, node: Expression) -> Tensor:
        graph, (name, sizes) = self.graph, node.data
        kept = squeeze_shape(node.shape)
        if name == "eye":
            return Tensor(graph.delta(sizes[0]) if kept else graph.one)
        if name == "zeros":
            return Tensor(graph.zeros(kept))
        if name == "ones":
            axes = graph.fresh(len(kept))
            ones = [(graph.ones(size), (k,)) for size, k in zip(kept, axes, strict=True)]
            return Tensor(graph.product(1, ones, axes))
        if name == "duplication":
            return Tensor(graph.duplication(*sizes))
        return Tensor(graph.fuse(*sizes) if name == "fuse" else self._commutation(*sizes))

    def _commutation(self, rows: Size, columns: Size) -> Node:
        """K vec(X) = vec(X.T) for X (rows, columns): K[(i,j),(j,i)] = 1 with vec(X.T) stacked by i."""
        left, right, i, j = self.graph.fresh(4)
        factors = [(self.graph.fuse(rows, columns), (left, i, j)), (self.graph.fuse(columns, rows), (right, j, i))]
        return self.graph.product(1, factors, (left, right))

    # --- operators --------------------------------------------------------------------------------

    def _places(self, shape: Shape) -> list[int | None]:
        """One index for each axis that is no unit axis."""
        return [None if size.is_unit else self.graph.fresh(1)[0] for size in shape]

    def _aligned(self, arg: Expression, tensor: Tensor, places: list[int | None]) -> Part:
        """The tensor with the indices of a broadcast result on its axes."""
        labels = [self.beta] * tensor.batch
        if not arg.is_scalar:
            labels += [p for p, size in zip(places, arg.shape, strict=True) if not size.is_unit and p is not None]
        return tensor.node, tuple(labels)

    def _operands(self, node: Expression) -> tuple[list[Part], Labels, Shape, int]:
        """Return the aligned operands of a broadcasting node, and indices, shape and batch of the result."""
        places = self._places(node.shape)
        tensors = [self.done[id(arg)] for arg in node.args]
        parts = [self._aligned(arg, tensor, places) for arg, tensor in zip(node.args, tensors, strict=True)]
        batch = max((tensor.batch for tensor in tensors), default=0)
        out = (self.beta,) * batch + tuple([p for p in places if p is not None])
        shape = squeeze_shape(node.shape)
        if batch:
            shape = (next(t.node.shape[0] for t in tensors if t.batch), *shape)
        return parts, out, shape, batch

    def _add(self, node: Expression) -> Tensor:
        (left, right), out, shape, batch = self._operands(node)
        return Tensor(self.graph.sum([(1, *left), (1 if node.op == "add" else -1, *right)], out, shape), batch)

    def _negate(self, node: Expression) -> Tensor:
        tensor = self._arg(node)
        return Tensor(self.graph.scaled(-1, tensor.node), tensor.batch)

    def _multiply(self, node: Expression) -> Tensor:
        parts, out, shape, batch = self._operands(node)
        return Tensor(self._entrywise_product(parts, out, shape), batch)

    def _entrywise_product(self, parts: list[Part], out: Labels, shape: Shape) -> Node:
        """The product of two operands; one with a power of itself, as (A @ x)**2*(A @ x), is a power."""
        (left, exponent), (right, more) = (base_and_exponent(part) for part, _ in parts)
        if left is right and parts[0][1] == parts[1][1] == out:
            return self.graph.power(left, exponent + more)
        return self.graph.product(1, parts + self._ones(parts, out, shape), out)

    def _ones(self, parts: list[Part], out: Labels, shape: Shape) -> list[Part]:
        """Ones along the indices of the result that no operand has."""
        used = {label for _, labels in parts for label in labels}
        return [(self.graph.ones(size), (k,)) for k, size in zip(out, shape, strict=True) if k not in used]

    def _divide(self, node: Expression) -> Tensor:
        parts, out, shape, batch = self._operands(node)
        divisor, labels = parts[1]
        if divisor.op == "number" and not divisor.payload:
            raise LimitError("division by zero")
        parts[1] = (self.graph.power(divisor, -1), labels)
        return Tensor(self._entrywise_product(parts, out, shape), batch)

    def _power(self, node: Expression) -> Tensor:
        parts, out, shape, batch = self._operands(node)
        (base, base_labels), (exponent, _) = parts
        if base.op == "constant" and base.payload == "e":
            power = self.graph.apply(shipped_rules()["exp"], [(exponent, tuple(range(exponent.rank)))], shape)
            return Tensor(power, batch)
        if exponent.op == "number" and list(base_labels) == list(out):
            if base.op == "number" and not base.payload and exponent.payload < 0:
                raise LimitError("division by zero")
            return Tensor(self.graph.power(base, exponent.payload), batch)
        position = {label: k for k, label in enumerate(out)}
        placed = [(part, tuple([position[label] for label in labels])) for part, labels in parts]
        return Tensor(self.graph.general_power(placed[0], placed[1], shape), batch)

    def _transpose(self, node: Expression) -> Tensor:
        tensor = self._arg(node)
        if tensor.node.rank - tensor.batch < 2:
            return tensor
        order = [1, 0] if not tensor.batch else [0, 2, 1]
        return Tensor(self.graph.permuted(tensor.node, order), tensor.batch)

    def _matmul(self, node: Expression) -> Tensor:
        left, right = node.args
        row, inner, column = self._places((left.shape[0], left.shape[1], right.shape[1]))
        parts = [
            self._aligned(left, self._arg(node, 0), [row, inner]),
            self._aligned(right, self._arg(node, 1), [inner, column]),
        ]
        batch = max(self._arg(node, 0).batch, self._arg(node, 1).batch)
        out = (self.beta,) * batch + tuple([p for p in (row, column) if p is not None])
        return Tensor(self.graph.product(1, parts, out), batch)

    def _einsum(self, node: Expression) -> Tensor:
        inputs, output = node.data[0].split("->")
        letters = {letter: self.graph.fresh(1)[0] for letter in dict.fromkeys(inputs.replace(",", ""))}
        parts = []
        batch = 0
        for word, arg in zip(inputs.split(","), node.args, strict=True):
            tensor = self.done[id(arg)]
            batch = max(batch, tensor.batch)
            parts.append((tensor.node, (self.beta,) * tensor.batch + tuple([letters[letter] for letter in word])))
        out = (self.beta,) * batch + tuple([letters[letter] for letter in output])
        return Tensor(self.graph.product(1, parts, out), batch)

    def _apply(self, node: Expression, rule: Rule | str) -> Tensor:
        parts, out, shape, batch = self._operands(node)
        position = {label: k for k, label in enumerate(out)}
        placed = [(part, tuple([position[label] for label in labels])) for part, labels in parts]
        return Tensor(self.graph.apply(rule, placed, shape), batch)

    # --- functions --------------------------------------------------------------------------------

    def _abstract(self, node: Expression) -> Tensor:
        argument = self._arg(node).node
        return Tensor(self.graph.abstract(node.name, 0, argument, squeeze_shape(node.shape)))

    def _abstract_derivative(self, node: Expression) -> Tensor:
        name, order, shape = node.data
        result = squeeze_shape(shape)
        argument = self._arg(node).node
        derivative = self.graph.abstract(name, order, argument, result)
        rank = argument.rank
        axes = list(range(len(result)))
        for k in range(order):
            axes += range(len(result) + (k + 1) * rank - 1, len(result) + k * rank - 1, -1)
        return Tensor(self.graph.permuted(derivative, axes))

    def _call(self, node: Expression) -> Tensor:
        rule, axis, _ = node.data
        if rule.is_elementwise:
            return self._apply(node, rule)
        if rule.primitive:
            method: Callable[[Expression], Tensor] = getattr(self, f"_primitive_{rule.name}")
            return method(node)
        tensors = [self.done[id(arg)] for arg in node.args]
        along = axis is not None and node.args[0].shape[0] != UNIT and node.args[0].shape[1] != UNIT
        if not along:
            return self._plain_call(node, rule, tensors)
        return self._mapped_call(rule, tensors, axis)

    def _plain_call(self, node: Expression, rule: Rule, tensors: list[Tensor]) -> Tensor:
        shapes = tuple([arg.shape for arg in node.args])
        if rule.is_definition:
            body = parse_rule_text(rule, rule.define, shapes, self.graph.rules)
            names = [parameter.name for parameter in rule.variables]
            return convert(self.graph, body, dict(zip(names, tensors, strict=True)))
        if len(tensors) == 1 and tensors[0].node.rank == 2 and not tensors[0].batch:
            simpler = apply_identity(self.graph, rule, tensors[0].node)
            if simpler is not None:
                return Tensor(simpler)
        return self._core_call(rule, tensors, squeeze_shape(node.shape))

    def _core_call(self, rule: Rule, tensors: list[Tensor], result: Shape) -> Tensor:
        batch = max(tensor.batch for tensor in tensors)
        if batch and rule.opaque and len(result) > 1:
            return self._call_of_rows(rule, tensors[0], result)
        parts: list[Part] = []
        core = batch
        for tensor in tensors:
            width = tensor.node.rank - tensor.batch
            parts.append((tensor.node, (*range(tensor.batch), *range(core, core + width))))
            core += width
        shape = (next(t.node.shape[0] for t in tensors if t.batch), *result) if batch else result
        return Tensor(self.graph.call(rule, batch, parts, shape), batch)

    def _call_of_rows(self, rule: Rule, tensor: Tensor, result: Shape) -> Tensor:
        """A matrix for each row, where a function is known that gives them all."""
        of_rows = (self.graph.rules or shipped_rules()).find(f"{rule.name}_of_rows")
        if of_rows is None:
            raise MissingRuleError(f"{rule.function} along an axis cannot be written: it is a matrix for each row")
        return Tensor(self.graph.call(of_rows, 0, [(tensor.node, (0, 1))], (tensor.node.shape[0], *result)), 1)

    def _mapped_call(self, rule: Rule, tensors: list[Tensor], axis: int) -> Tensor:
        """A call along one axis of matrices of one shape: the other axis becomes the batch axis."""
        if any(tensor.batch for tensor in tensors):
            raise MissingRuleError(f"{rule.function} along an axis cannot stand inside a rule that is mapped itself")
        nodes = [tensor.node if axis == 1 else self.graph.permuted(tensor.node, [1, 0]) for tensor in tensors]
        operands = [Tensor(node, 1) for node in nodes]
        core = (nodes[0].shape[1], UNIT)
        if rule.is_definition:
            body = parse_rule_text(rule, rule.define, (core,) * len(operands), self.graph.rules)
            names = [parameter.name for parameter in rule.variables]
            mapped = convert(self.graph, body, dict(zip(names, operands, strict=True)))
        else:
            like = isinstance(rule.result, str)
            mapped = self._core_call(rule, operands, (core[0],) if like else ())
        transposed = mapped.node.rank == 2 and axis == 0
        return Tensor(self.graph.permuted(mapped.node, [1, 0]) if transposed else mapped.node)

    def _primitive_sum(self, node: Expression) -> Tensor:
        tensor = self._arg(node)
        axis = node.data[1]
        places = self._places(node.args[0].shape)
        part = self._aligned(node.args[0], tensor, places)
        kept = [] if axis is None else [places[1 - axis]]
        out = (self.beta,) * tensor.batch + tuple([p for p in kept if p is not None])
        return Tensor(self.graph.product(1, [part], out), tensor.batch)

    def _primitive_size(self, node: Expression) -> Tensor:
        return Tensor(self.graph.size(reduce(mul, node.args[0].squeezed_shape, UNIT)))

    def _primitive_matrix_power(self, node: Expression) -> Tensor:
        """X @ X @ ... as one product; negative powers are those of the inverse."""
        matrix, exponent = self._arg(node).node, node.args[1].data[0]
        count = abs(int(exponent))
        if count == 0:
            return Tensor(self.graph.delta(matrix.shape[0]))
        if exponent < 0:
            shapes = (node.args[0].shape,)
            matrix = convert_body(self.graph, shipped_rules()["inv"], "inv(X)", shapes, {"X": matrix})
        labels = self.graph.fresh(count + 1)
        factors = [(matrix, (labels[k], labels[k + 1])) for k in range(count)]
        return Tensor(self.graph.product(1, factors, (labels[0], labels[-1])))

    def _primitive_tril(self, node: Expression) -> Tensor:
        tensor, upper = self._arg(node), node.is_call("triu")
        rows, columns = tensor.node.shape[-2:]
        i, j = self.graph.fresh(2)
        mask = (self.graph.lower(columns, rows), (j, i)) if upper else (self.graph.lower(rows, columns), (i, j))
        out = (self.beta,) * tensor.batch + (i, j)
        return Tensor(self.graph.product(1, [mask, (tensor.node, out)], out), tensor.batch)

    _primitive_triu = _primitive_tril


def convert_body(graph: Graph, rule: Rule, text: str, shapes: tuple[Shape, ...], values: Mapping[str, Node]) -> Node:
    """Return the index form of a text of a rule, with nodes for its parameters."""
    body = parse_rule_text(rule, text, shapes, graph.rules)
    return convert(graph, body, {name: Tensor(node) for name, node in values.items()}).node


# --- identities -------------------------------------------------------------------------------------
#
# Identities of functions of matrices: inv(A @ B) = inv(B) @ inv(A), det(c*X) = c**n*det(X), ...
#
# The entries are data (`rules/identities.toml`); here the argument is recognised as one of their forms.
# Each right side calls the function on a smaller argument only, so the rewriting ends.


def apply_identity(graph: Graph, rule: Rule, argument: Node) -> Node | None:
    """Return the simpler tensor that f(argument) equals, or None where no identity fits."""
    table = shipped_identities()
    for form, values in _list_forms(graph, argument):
        identity = table.get((rule.name, form))
        if identity is not None and _holds(graph, identity, values):
            shapes = tuple([to_2d_shape(value.shape) for value in values.values()] or [to_2d_shape(argument.shape)])
            return convert_body(graph, _as_rule(rule, identity, tuple(values)), identity.right, shapes, values)
    return None


def _holds(graph: Graph, identity: Identity, values: dict[str, Node]) -> bool:
    if identity.assume and not all(graph.has(value, identity.assume) for value in values.values()):
        return False
    square = all(value.shape[0] == value.shape[1] for value in values.values() if value.rank == 2)
    return square or identity.function == "pinv"


@cache
def _as_rule(rule: Rule, identity: Identity, names: tuple[str, ...]) -> Rule:
    """A rule whose parameters are the identity's names, so that its right side can be read like a rule's text."""
    axes = rule.variables[0].axes
    parameters = tuple([Parameter(name, None if name in ("c", "v") else axes) for name in names]) or rule.parameters
    return Rule(name=identity.name, function=identity.name, parameters=parameters, define=identity.right)


def _list_forms(graph: Graph, node: Node) -> Iterator[tuple[str, dict[str, Node]]]:
    """Yield the forms that the argument has, the most telling first."""
    if node.op == "delta":
        yield "identity", {}
    elif node.op == "call" and not node.payload[1] and len(node.parts) == 1:
        yield node.payload[0].function, {"X": node.parts[0][0]}
    elif node.op == "product":
        yield from _product_list_forms(graph, node)
    yield "bare", {"Q": node}


def _product_list_forms(graph: Graph, node: Node) -> Iterator[tuple[str, dict[str, Node]]]:
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
    for end, form in enumerate(("scaled rows", "scaled columns")):
        scales = [part for part in matrices if part[1] == (end,) and part[0].op != "ones"]
        others = [part for part in matrices if part not in scales]
        if scales and {0, 1} <= {label for _, labels in others for label in labels}:
            yield form, {"v": graph.product(1, scales, (end,)), "X": graph.product(1, others, (0, 1))}
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
