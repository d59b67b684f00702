"""Typed expressions -> lines of Python that compute them, each shared sub-expression once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import write_shape
from matcalc.render.code_einsum import is_fuse, write_einsum_code
from matcalc.render.code_parts import ATOM, COMPARE, SUM, CodePart, align, join_parts, negate_part
from matcalc.render.code_products import PartChain, split_chain, transpose_part, write_product_chain, write_trace
from matcalc.render.code_words import Words

_LONGEST = 80


@dataclass(frozen=True)
class Line:
    """An assignment, with the node whose value it names."""

    name: str
    text: str
    node: Expression

    def __str__(self) -> str:
        shape = self.node.dropped_shape
        return f"{self.name} = {self.text}" + (f"  # {write_shape(shape)}" if shape else "")


@dataclass
class Names:
    """Names for intermediate values: c1 for scalars, v1 for vectors, M1 for matrices, T1 beyond; none twice."""

    taken: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def draw(self, rank: int) -> str:
        """Return a free name for an array of that many axes."""
        stem = "cvMT"[min(rank, 3)]
        while True:
            self.counts[stem] += 1
            name = f"{stem}{self.counts[stem]}"
            if name not in self.taken:
                self.taken.add(name)
                return name


class Writer:
    """Writes several expressions at once; `known` holds the nodes that have a name already."""

    def __init__(
        self, roots: Collection[Expression], words: Words, names: Names, known: Mapping[Expression, CodePart]
    ) -> None:
        self.words, self.names = words, names
        self.parts: dict[Expression, CodePart] = dict(known)
        self.known = set(known)
        self.lines: list[Line] = []
        self.roots = list(roots)
        self.parents = Counter(arg for node in walk(*roots) for arg in node.args) + Counter(self.roots)
        self.chains: dict[Expression, PartChain] = {}
        self.needs: dict[Expression, list[Expression]] = {}
        self._plan()
        self.uses = Counter(need for needs in self.needs.values() for need in needs) + Counter(self.roots)
        self._write()

    def _plan(self) -> None:
        """Find which nodes each node is written from: a chain of products is written from its factors."""
        stack = list(self.roots)
        while stack:
            node = stack.pop()
            if node not in self.needs:
                self.needs[node] = [] if node in self.known else self._find_needs(node)
                stack += self.needs[node]

    def _find_needs(self, node: Expression) -> list[Expression]:
        product = node.args[0] if _is_trace(node) else node
        if product.op == "matmul" and (product is node or not self._is_shared(product)):
            self.chains[node] = split_chain(product, self._is_shared)
            if len(self.chains[node].factors) > 1:
                return self.chains[node].nodes
            del self.chains[node]
        if node.op == "einsum":
            return [arg for arg in node.args if not is_fuse(arg)]
        return list(node.args)

    def _is_shared(self, node: Expression) -> bool:
        return self.parents[node] > 1 or node in self.known

    def _write(self) -> None:
        for node in self._in_order():
            if node not in self.parts:
                self.parts[node] = self._name(node, self._compose(node))

    def _in_order(self) -> Iterator[Expression]:
        """Yield the nodes that are written, those that a node needs before it."""
        seen: set[Expression] = set()
        stack = [(root, False) for root in reversed(self.roots)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(need, False) for need in reversed(self.needs[node])]

    def _name(self, node: Expression, part: CodePart) -> CodePart:
        """Give a value a line of its own where it is used again, or where the text grows long."""
        again = self.uses[node] > 1 and not part.is_simple
        long = len(part.text) > _LONGEST and not part.plain and node.op != "compare" and self.uses[node] > 0
        if not again and not (long and node not in self.roots):
            return part
        line = Line(self.names.draw(part.rank), part.text, node)
        self.lines.append(line)
        return CodePart(line.name, ATOM, node.shape)

    def _compose(self, node: Expression) -> CodePart:
        if node in self.chains:
            write = write_trace if _is_trace(node) else write_product_chain
            return write(self.chains[node], self.parts.__getitem__, self.words.prefix, node.shape)
        if node.op in ("add", "subtract", "multiply", "divide", "matmul"):
            return join_parts(node.op, self.parts[node.args[0]], self.parts[node.args[1]], node.shape)
        return _COMPOSERS[node.op](self, node)

    def list_roots(self, node: Expression) -> list[int]:
        """Return the places of the roots that are computed from a node."""
        return [place for place, root in enumerate(self.roots) if node in self._reach(root)]

    def _reach(self, root: Expression) -> set[Expression]:
        seen, stack = {root}, [root]
        while stack:
            for need in self.needs[stack.pop()]:
                if need not in seen:
                    seen.add(need)
                    stack.append(need)
        return seen


def _is_trace(node: Expression) -> bool:
    return node.op == "call" and node.data[0].name == "trace"


# --- single nodes -----------------------------------------------------------------------------------


def _compose_power(writer: Writer, node: Expression) -> CodePart:
    base, exponent = (writer.parts[arg] for arg in node.args)
    number = node.args[1]
    half = number.op == "number" and number.data[0] == Fraction(1, 2)
    half = half or (number.op == "divide" and exponent.text == "1 / 2")
    if not half:
        return join_parts("power", base, exponent, node.shape)
    if not base.plain:
        return CodePart(f"{writer.words.prefix}.sqrt({base.text})", ATOM, node.shape)
    return join_parts("power", base, CodePart("0.5", ATOM, exponent.shape, True), node.shape)


def _compose_compare(writer: Writer, node: Expression) -> CodePart:

    left, right = (align(writer.parts[arg], node.shape) for arg in node.args)
    if left.plain and right.plain:
        left = writer.words.to_tensor(left)
    return CodePart(f"{left.wrap(SUM)} {node.data[0]} {right.wrap(SUM)}", COMPARE, node.shape)


def _compose_einsum(writer: Writer, node: Expression) -> CodePart:
    return write_einsum_code(node, writer.parts, writer.words)


def _compose_abstract(writer: Writer, node: Expression) -> CodePart:
    return CodePart(f"{node.name}({writer.parts[node.args[0]].text})", ATOM, node.shape)


def _compose_derivative(writer: Writer, node: Expression) -> CodePart:
    """D(u, x): of NumPy a function that is given, elsewhere what the backend's own jacobian returns."""
    name, order, _ = node.data
    at = writer.words.to_tensor(writer.parts[node.args[0]])
    if writer.words.backend == "numpy":
        return CodePart(f"{name_derivative_of(name, order)}({at.text})", ATOM, node.shape)
    again = f", order={order}" if order > 1 else ""
    return CodePart(f"{writer.words.use_helper('differentiate')}({name}, {at.text}{again})", ATOM, node.shape)


def name_derivative_of(name: str, order: int) -> str:
    """Return the name of the function that gives D(u, x), or D(u, x, 2), where there is no automatic one.

    >>> name_derivative_of("u", 1), name_derivative_of("u", 2)
    ('D_u', 'D2_u')
    """
    return f"D{order if order > 1 else ''}_{name}"


_COMPOSERS: dict[str, Callable[[Writer, Expression], CodePart]] = {
    "number": lambda writer, node: writer.words.write_number(node.data[0]),
    "constant": lambda writer, node: writer.words.write_constant(node.name),
    "size": lambda writer, node: writer.words.write_size(node.data[0]),
    "filled": lambda writer, node: writer.words.fill(node),
    "negate": lambda writer, node: negate_part(writer.parts[node.args[0]]),
    "transpose": lambda writer, node: transpose_part(writer.parts[node.args[0]]),
    "call": lambda writer, node: writer.words.call(node, [writer.parts[arg] for arg in node.args]),
    "power": _compose_power,
    "compare": _compose_compare,
    "einsum": _compose_einsum,
    "abstract": _compose_abstract,
    "abstract_derivative": _compose_derivative,
}
