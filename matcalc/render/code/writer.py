"""Typed expressions -> lines of Python that compute them, each shared sub-expression once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce

from matcalc.language.expression import (
    Expression,
    add,
    divide,
    matmul,
    multiply,
    negate,
    rebuild,
    subtract,
    transpose,
    walk,
)
from matcalc.language.expression_to_text import ATOM, COMPARE, SUM
from matcalc.language.sizes import Size, write_shape
from matcalc.render.code.products import (
    CodePart,
    PartChain,
    align,
    join_parts,
    negate_part,
    split_chain,
    transpose_part,
    write_product_chain,
    write_trace,
)
from matcalc.render.code.words import Words

_LONGEST = 80


@dataclass(frozen=True)
class Line:
    """An assignment, with the node whose value it names."""

    name: str
    text: str
    node: Expression

    def __str__(self) -> str:
        shape = self.node.squeezed_shape
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


def write_lines(
    roots: list[Expression], words: Words, names: Names, known: Mapping[Expression, CodePart]
) -> tuple[Writer, list[str], list[CodePart]]:
    """Return the writer of expressions, the lines that find the sizes which they need, and each as an array."""
    before, words.sizes_used = words.sizes_used, {}
    writer = Writer(roots, words, names, known)
    results = [words.to_tensor(writer.parts[root]) for root in roots]
    sizes = words.signature.write_sizes(words.sizes_used)
    words.sizes_used |= before
    return writer, sizes, results


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
    "einsum": lambda writer, node: write_einsum_code(node, writer.parts, writer.words),
    "abstract": lambda writer, node: CodePart(f"{node.name}({writer.parts[node.args[0]].text})", ATOM, node.shape),
    "abstract_derivative": _compose_derivative,
}


# --- code regroup -----------------------------------------------------------------------------------
#
# Products regrouped before they are written: vectors meet matrices first, diag(p) - p @ p.T is never formed.


def regroup(*roots: Expression) -> list[Expression]:
    """Return the same expressions with products in a cheaper order.

    (A @ B) @ x becomes A @ (B @ x), so that equal parts of several products are one node, and a sum of diagonal
    matrices and outer products is applied term by term: (diag(p) - p @ p.T) @ x is diag(p) @ x - p @ (p.T @ x).

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.language.expression_to_text import to_text
    >>> to_text(regroup(parse("A @ (diag(p) - p @ p.T) @ x").expressions[0])[0])
    'A @ (diag(p) @ x - p @ (p.T @ x))'
    """
    parents: dict[Expression, set[str]] = defaultdict(set)
    for node in walk(*roots):
        for arg in node.args:
            parents[arg].add(node.op)
    for root in roots:
        parents[root].add("")
    done: dict[Expression, Expression] = {}
    for node in walk(*roots):
        whole = rebuild(node, [done[arg] for arg in node.args])
        # A product within a longer one is regrouped with it.
        is_chain = node.op == "matmul" and parents[node] != {"matmul"}
        done[node] = _order(whole) if is_chain else whole
    return [done[root] for root in roots]


def _order(product: Expression) -> Expression:
    factors = _list_factors(product)
    # Between a column and a row there is nothing to sum over: each side is a product of its own.
    cuts = [place + 1 for place, factor in enumerate(factors[:-1]) if factor.shape[1].is_unit]
    sides = [factors[start:end] for start, end in zip([0, *cuts], [*cuts, len(factors)], strict=True)]
    return reduce(matmul, map(_order_side, sides))


def _order_side(factors: list[Expression]) -> Expression:
    if factors[-1].is_column:
        return reduce(lambda right, left: _apply(left, right, matmul), factors[-2::-1], factors[-1])
    if factors[0].is_row and all(factor.op in ("symbol", "transpose") for factor in factors[1:]):
        # A row is written as the column that it is the transpose of, which often stands elsewhere as well.
        return transpose(_order_side([_transpose(factor) for factor in reversed(factors)]))
    if factors[0].is_row:
        return reduce(lambda left, right: _apply(right, left, lambda a, b: matmul(b, a)), factors[1:], factors[0])
    sums = [place for place, factor in enumerate(factors) if _is_light_sum(factor)]
    if len(sums) != 1:
        return reduce(matmul, factors)
    return _expand(factors[: sums[0]], factors[sums[0]], factors[sums[0] + 1 :])


def _transpose(node: Expression) -> Expression:
    return node.args[0] if node.op == "transpose" else transpose(node)


def _list_factors(product: Expression) -> list[Expression]:
    factors, stack = [], [product]
    while stack:
        node = stack.pop()
        if node.op == "matmul":
            stack += [node.args[1], node.args[0]]
        else:
            factors.append(node)
    return factors


Multiply = Callable[[Expression, Expression], Expression]


def _apply(matrix: Expression, vector: Expression, times: Multiply) -> Expression:
    """Return the product of a matrix with a vector on one of its sides; `times` puts them in order."""
    if matrix.op == "negate":
        return negate(_apply(matrix.args[0], vector, times))
    if _is_light_sum(matrix):
        build = add if matrix.op == "add" else subtract
        return build(*(_apply(term, vector, times) for term in matrix.args))
    scaled = _split_scalar(matrix)
    if scaled is not None and _is_light(matrix):
        scalar, rest = scaled
        product = _apply(rest, vector, times)
        return divide(product, scalar) if matrix.op == "divide" else multiply(scalar, product)
    if matrix.op == "matmul" and _is_light(matrix):
        ends = matrix.args if times(matrix, vector).is_row else matrix.args[::-1]
        return reduce(lambda inner, factor: times(factor, inner), ends, vector)
    return vector if _is_eye(matrix) else times(matrix, vector)


def _expand(before: list[Expression], light: Expression, after: list[Expression]) -> Expression:
    """Return the sum of the products with each term of a light sum."""
    if light.op in ("add", "subtract"):
        build = add if light.op == "add" else subtract
        return build(*(_expand(before, term, after) for term in light.args))
    if light.op == "negate":
        return negate(_expand(before, light.args[0], after))
    factors = [factor for factor in (*before, light, *after) if not _is_eye(factor)]
    return reduce(matmul, factors or [light])


# --- what is light --------------------------------------------------------------------------------


def _is_light_sum(node: Expression) -> bool:
    return node.op in ("add", "subtract") and len(node.squeezed_shape) == 2 and _is_light(node)


def _is_light(node: Expression) -> bool:
    """Whether a matrix is diagonal, an outer product, or a sum and a multiple of such."""
    if node.op in ("add", "subtract"):
        return all(arg.shape == node.shape and _is_light(arg) for arg in node.args)
    if node.op == "negate":
        return _is_light(node.args[0])
    scaled = _split_scalar(node)
    if scaled is not None:
        return _is_light(scaled[1])
    is_outer = node.op == "matmul" and node.args[0].is_column and node.args[1].is_row
    return is_outer or _is_eye(node) or (node.op == "call" and node.data[0].name == "diag_of_vector")


def _is_eye(node: Expression) -> bool:
    return node.op == "filled" and node.name == "eye" and node.shape[0] == node.shape[1]


def _split_scalar(node: Expression) -> tuple[Expression, Expression] | None:
    """Return the scalar and the matrix of a multiple of a matrix."""
    if node.op == "divide" and node.args[1].is_scalar and node.args[0].shape == node.shape:
        return node.args[1], node.args[0]
    if node.op != "multiply":
        return None
    left, right = node.args
    if left.is_scalar and right.shape == node.shape:
        return left, right
    return (right, left) if right.is_scalar and left.shape == node.shape else None


# --- code einsum ------------------------------------------------------------------------------------
#
# einsum -> source: products where a letter or two say so, fused axes as a reshape, else the backend's einsum.


def write_einsum_code(node: Expression, parts: Mapping[Expression, CodePart], words: Words) -> CodePart:
    """Return the source of an einsum; `parts` holds those of its operands but for fuse(m, p)."""
    inputs, output = str(node.data[0]).split("->")
    operands = list(zip(inputs.split(","), node.args, strict=True))
    texts = {place: _text_of(arg, parts, words) for place, (_, arg) in enumerate(operands)}
    letters = {place: own for place, (own, _) in enumerate(operands)}
    plain = "".join(own for own, arg in operands if not is_fuse(arg))
    groups: dict[str, str] = {}
    for place, (own, arg) in enumerate(operands):
        others = [text for other, text in letters.items() if other != place]
        if is_fuse(arg) and _can_reshape(own, plain, [*others, output], groups):
            groups[own[0]] = own[1:]
            del letters[place], texts[place]
    sizes = {letter: size for own, arg in operands for letter, size in zip(own, arg.squeezed_shape, strict=True)}
    for place in letters:
        if set(letters[place]) & set(groups):
            opened = _open(letters[place], groups)
            texts[place] = _reshape(texts[place], opened, sizes, words)
            letters[place] = opened
    whole = _open(output, groups)
    part = _contract([(letters[place], texts[place]) for place in letters], whole, node, words)
    return CodePart(_reshape(part, output, sizes, words).text, ATOM, node.shape) if whole != output else part


def _text_of(arg: Expression, parts: Mapping[Expression, CodePart], words: Words) -> CodePart:
    found = parts.get(arg)
    return words.to_tensor(found if found is not None else words.fill(arg))


def is_fuse(node: Expression) -> bool:
    """Whether a node is fuse(m, p), the array of ones where two axes are joined to one."""
    return node.op == "filled" and node.name == "fuse"


def _can_reshape(own: str, plain: str, others: list[str], groups: Mapping[str, str]) -> bool:
    """Whether a fuse(m, p) only joins two axes: no end stands twice in one operand, or beside the other end.

    `plain` holds the letters of the operands that are no fuse: both axes must come from them.
    """
    whole, first, second = tuple(own)
    if len(set(own)) < 3 or {whole, first, second} & (set(groups) | set("".join(groups.values()))):
        return False
    if whole not in plain and not (first in plain and second in plain):
        return False
    return all(text.count(whole) < 2 and not (whole in text and {first, second} & set(text)) for text in others)


def _open(letters: str, groups: Mapping[str, str]) -> str:
    return "".join(groups.get(letter, letter) for letter in letters)


def _reshape(part: CodePart, letters: str, sizes: Mapping[str, Size], words: Words) -> CodePart:
    shape = tuple(sizes[letter] for letter in letters)
    inside = words.write_sizes(shape) if len(shape) > 1 else "-1"
    return CodePart(f"{part.wrap(ATOM)}.reshape({inside})", ATOM, shape)


def _contract(operands: list[tuple[str, CodePart]], output: str, node: Expression, words: Words) -> CodePart:
    if len(operands) == 1:
        (own, part), prefix = operands[0], words.prefix
        if own == output:
            return part
        if len(set(own)) == len(own) == len(output):
            return _transpose_part(own, part, output, node, words)
        if own == "ii":
            return CodePart(f"{prefix}.{'diagonal' if output else 'trace'}({part.text})", ATOM, node.shape)
    texts = ", ".join(part.text for _, part in operands)
    subscripts = ",".join(own for own, _ in operands) + "->" + output
    # NumPy alone would run over all letters at once.
    optimize = ", optimize=True" if words.backend == "numpy" and len(operands) > 2 else ""
    return CodePart(f"{words.prefix}.einsum('{subscripts}', {texts}{optimize})", ATOM, node.shape)


def _transpose_part(own: str, part: CodePart, output: str, node: Expression, words: Words) -> CodePart:
    if len(own) == 2:
        return CodePart(transpose_part(part).text, ATOM, node.shape)
    axes = tuple(own.index(letter) for letter in output)
    word = "permute" if words.backend == "torch" else "transpose"
    return CodePart(f"{words.prefix}.{word}({part.text}, {axes})", ATOM, node.shape)
