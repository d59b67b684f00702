"""Typed expressions -> a program -> lines of Python that compute them, each shared value once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import ATOM, COMPARE, SUM
from matcalc.language.sizes import Size, write_shape
from matcalc.render.code.exponentials import read_exponent
from matcalc.render.code.operations import OperationWriter
from matcalc.render.code.plan import make_plan
from matcalc.render.code.products import CodePart, align, join_parts, negate_part, transpose_part
from matcalc.render.code.program import Operation, count_uses
from matcalc.render.code.reshape import is_fuse, reshape_result, write_einsum_code
from matcalc.render.code.words import Words

_LONGEST = 80


@dataclass(frozen=True)
class Line:
    """A statement, and the operation whose value it names or changes."""

    text: str
    operation: Operation

    def __str__(self) -> str:
        return self.text


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
    """Writes several expressions at once; `known` holds the nodes that have a name already.

    `measure` gives the number that a size counts for when orders of multiplying are compared; with `structured` the
    declared structure of variables is used, which a function that is differentiated by them must not; `is_concrete`
    says that the code meets only arrays that nothing traces or maps over, so that it may look at values.
    """

    def __init__(
        self, roots: Collection[Expression], words: Words, names: Names, known: Mapping[Expression, CodePart],
        measure: Callable[[Size], int] | None = None, structured: bool = True, is_concrete: bool = False,
    ) -> None:  # fmt: skip
        self.words, self.names, self.known, self.is_concrete = words, names, known, is_concrete
        self.roots = list(roots)
        self.plan = make_plan(roots, known, measure, structured)
        self.program, self.operations = self.plan.program, self.plan.operations
        self.lines: list[Line] = []
        self.parts: dict[Operation, CodePart] = {}
        self._write()

    # --- operations to lines ----------------------------------------------------------------------

    def _write(self) -> None:
        results = [self.operations[root] for root in self.roots]
        steps = self.program.reachable(results)
        self.uses = count_uses(steps, results)
        self.is_root = set(results)
        compose = OperationWriter(self)
        for operation in steps:
            if operation.kind == "node":
                part = self._compose_node(operation.data[0])
            else:
                part = compose.write(operation)
            self.parts[operation] = self._name(operation, part)

    def _name(self, operation: Operation, part: CodePart) -> CodePart:
        """Give a value a line of its own where it is used again, or where the text grows long."""
        again = self.uses[operation] > 1 and not part.is_simple
        is_test = operation.kind == "node" and operation.data[0].op == "compare"
        long = len(part.text) > _LONGEST and not part.plain and not is_test
        if not again and not (long and operation not in self.is_root):
            return part
        return self.name_line(operation, part)

    def name_line(self, operation: Operation, part: CodePart) -> CodePart:
        """Write a line that gives a value a name, and return the name."""
        shape = operation.shape
        name = self.names.draw(len(shape))
        self.add_line(operation, f"{name} = {part.text}" + (f"  # {write_shape(shape)}" if shape else ""))
        return CodePart(name, ATOM, part.shape)

    def add_line(self, operation: Operation, text: str) -> None:
        """Write a statement that belongs to an operation."""
        self.lines.append(Line(text, operation))

    def part(self, node: Expression) -> CodePart:
        """Return the source of a node's value, with the node's shape."""
        part = self.known.get(node)
        return part if part is not None else replace(self.parts[self.operations[node]], shape=node.shape)

    def _compose_node(self, node: Expression) -> CodePart:
        if node in self.known:
            return self.known[node]
        if node.op in ("add", "subtract", "multiply", "divide", "matmul"):
            return join_parts(node.op, self.part(node.args[0]), self.part(node.args[1]), node.shape)
        return _COMPOSERS[node.op](self, node)

    def list_roots(self) -> dict[Operation, int]:
        """Return for each operation which roots are computed from it: bit k of the number stands for root k."""
        steps = self.program.reachable([self.operations[root] for root in self.roots])
        found = dict.fromkeys(steps, 0)
        for place, root in enumerate(self.roots):
            found[self.operations[root]] |= 1 << place
        for step in reversed(steps):
            for arg in step.args:
                found[arg] |= found[step]
        return found


def free_arrays(lines: list[str]) -> list[str]:
    """Return lines that let go of each matrix once it is not needed, so that its memory is there for the next.

    >>> free_arrays(["M1 = A @ B", "M2 = np.linalg.inv(M1)", "return M2 @ M2"])
    ['M1 = A @ B', 'M2 = np.linalg.inv(M1)', 'del M1', 'return M2 @ M2']
    """
    codes = [line.split("  #")[0] for line in lines]
    last = {name: place for place, code in enumerate(codes) for name in re.findall(r"\b[MT]\d+\b", code)}
    written = {match[0] for line in lines if (match := re.match(r"[MT]\d+(?= = )", line))}
    free: dict[int, list[str]] = {}
    for name in sorted(written):
        free.setdefault(last[name], []).append(name)
    freed = []
    for place, line in enumerate(lines):
        is_done = place in free and place < len(lines) - 1
        freed += [line, f"del {', '.join(free[place])}"] if is_done else [line]
    return freed


def write_lines(
    roots: list[Expression], words: Words, names: Names, known: Mapping[Expression, CodePart],
    measure: Callable[[Size], int] | None = None, structured: bool = True, is_concrete: bool = False,
) -> tuple[Writer, list[str], list[CodePart]]:  # fmt: skip
    """Return the writer of expressions, the lines that find the sizes which they need, and each as an array."""
    before, words.sizes_used = words.sizes_used, {}
    writer = Writer(roots, words, names, known, measure, structured, is_concrete)
    results = [words.to_tensor(writer.part(root)) for root in roots]
    sizes = words.signature.write_sizes(words.sizes_used)
    words.sizes_used |= before
    return writer, sizes, results


# --- single nodes -----------------------------------------------------------------------------------


def _compose_power(writer: Writer, node: Expression) -> CodePart:
    base, exponent = (writer.part(arg) for arg in node.args)
    if read_exponent(node) != Fraction(1, 2):
        return join_parts("power", base, exponent, node.shape)
    if not base.plain:
        return CodePart(f"{writer.words.prefix}.sqrt({base.text})", ATOM, node.shape)
    return join_parts("power", base, CodePart("0.5", ATOM, exponent.shape, True), node.shape)


def _compose_compare(writer: Writer, node: Expression) -> CodePart:
    left, right = (align(writer.part(arg), node.shape) for arg in node.args)
    if left.plain and right.plain:
        left = writer.words.to_tensor(left)
    return CodePart(f"{left.wrap(SUM)} {node.data[0]} {right.wrap(SUM)}", COMPARE, node.shape)


def _compose_derivative(writer: Writer, node: Expression) -> CodePart:
    """D(u, x): of NumPy a function that is given, elsewhere what the backend's own jacobian returns."""
    name, order, _ = node.data
    at = writer.words.to_tensor(writer.part(node.args[0]))
    if writer.words.backend == "numpy":
        return CodePart(f"{name_derivative_of(name, order)}({at.text})", ATOM, node.shape)
    again = f", order={order}" if order > 1 else ""
    return CodePart(f"{writer.words.use_helper('differentiate')}({name}, {at.text}{again})", ATOM, node.shape)


def _compose_einsum(writer: Writer, node: Expression) -> CodePart:
    if node in writer.plan.unfused:
        return reshape_result(writer.part(writer.plan.unfused[node]), node, writer.words)
    return write_einsum_code(node, {arg: writer.part(arg) for arg in node.args if not is_fuse(arg)}, writer.words)


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
    "negate": lambda writer, node: negate_part(writer.part(node.args[0])),
    "transpose": lambda writer, node: transpose_part(writer.part(node.args[0])),
    "call": lambda writer, node: writer.words.call(node, [writer.part(arg) for arg in node.args]),
    "sliced": lambda writer, node: writer.words.slice(node, writer.part(node.args[0])),
    "padded": lambda writer, node: writer.words.pad(node, writer.part(node.args[0])),
    "joined": lambda writer, node: writer.words.join(node, [writer.part(arg) for arg in node.args]),
    "power": _compose_power,
    "compare": _compose_compare,
    "einsum": lambda writer, node: _compose_einsum(writer, node),
    "abstract": lambda writer, node: CodePart(f"{node.name}({writer.part(node.args[0]).text})", ATOM, node.shape),
    "abstract_derivative": _compose_derivative,
}
