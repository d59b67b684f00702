"""A chain of matrix products -> source: scalars in front, vectors before matrices, no diagonal or inverse formed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import ATOM, POWER, PRODUCT, SIGN, SUM
from matcalc.language.sizes import Shape, Size, squeeze_shape

# What a letter counts for when two orders of multiplying are compared.
_USUAL_SIZE = 100
# Longer chains are multiplied from the end that is a vector: to weigh all orders takes the cube of the length.
_MOST_WEIGHED = 30


@dataclass
class PartChain:
    """factors[0] @ factors[1] @ ..., times and divided by scalars; `kinds` says what stands for what.

    Of kind "diag" the factor is the vector of a diagonal matrix, of "inv" and "inv.T" the matrix to invert,
    of "ones" a vector of ones; of "plain" it is the factor itself.
    """

    factors: list[tuple[str, Expression]] = field(default_factory=list)
    times: list[Expression] = field(default_factory=list)
    over: list[Expression] = field(default_factory=list)
    negative: bool = False

    @property
    def nodes(self) -> list[Expression]:
        """The expressions that must be written before the chain."""
        return [node for _, node in self.factors] + self.times + self.over


def split_chain(root: Expression, is_shared: Callable[[Expression], bool]) -> PartChain:
    """Return the factors of a product of matrices, looking through scalars, signs and products used only here."""
    chain = PartChain()
    stack = [root]
    while stack:
        node = stack.pop()
        if node is not root and is_shared(node):
            chain.factors.append(_name_kind(node, is_shared))
        elif node.op == "matmul":
            stack += [node.args[1], node.args[0]]
        elif node.op == "negate":
            chain.negative = not chain.negative
            stack.append(node.args[0])
        elif (scaled := _find_scaled(node)) is not None:
            (chain.over if node.op == "divide" else chain.times).append(node.args[1 - scaled])
            stack.append(node.args[scaled])
        else:
            chain.factors.append(_name_kind(node, is_shared))
    return chain


def _find_scaled(node: Expression) -> int | None:
    """Return which operand is an array times, or divided by, a scalar."""
    if node.is_scalar or node.op not in ("multiply", "divide"):
        return None
    left, right = node.args
    if right.is_scalar and left.shape == node.shape:
        return 0
    return 1 if node.op == "multiply" and left.is_scalar and right.shape == node.shape else None


def _name_kind(node: Expression, is_shared: Callable[[Expression], bool]) -> tuple[str, Expression]:
    if node.op == "call" and node.data[0].name == "diag_of_vector":
        return "diag", node.args[0]
    if node.op == "filled" and node.name == "ones" and len(node.squeezed_shape) == 1:
        return "ones", node
    # An inverse that is needed anyway is not solved for again.
    if _is_inverse(node) and not is_shared(node):
        return "inv", node.args[0]
    if node.op == "transpose" and _is_inverse(node.args[0]) and not is_shared(node) and not is_shared(node.args[0]):
        return "inv.T", node.args[0].args[0]
    return "plain", node


def _is_inverse(node: Expression) -> bool:
    return node.op == "call" and node.data[0].name == "inv"


# --- order ----------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A factor or a product of factors; `rows` and `columns` are those of the matrix that it stands for."""

    kind: str
    part: CodePart
    rows: Size
    columns: Size


def write_product_chain(
    chain: PartChain, written: Callable[[Expression], CodePart], prefix: str, shape: Shape
) -> CodePart:
    """Return the source of a chain, multiplied in the cheapest order."""
    pieces = [_make_piece(kind, node, written(node)) for kind, node in chain.factors]
    product = _form(_multiply_in_order(pieces, prefix), prefix)
    return _scale(product, chain, written, shape)


def write_trace(chain: PartChain, written: Callable[[Expression], CodePart], prefix: str, shape: Shape) -> CodePart:
    """Return the source of the trace of a chain of matrices: sum(A * B.T) where A @ B would be the last product."""
    pieces = [_make_piece(kind, node, written(node)) for kind, node in chain.factors]
    costs = _weigh(pieces)[0]
    cut = min(range(1, len(pieces)), key=lambda k: costs.get((0, k), 0) + costs.get((k, len(pieces)), 0))
    left, right = (_form(_multiply_in_order(side, prefix), prefix) for side in (pieces[:cut], pieces[cut:]))
    inner = join_parts("multiply", left, transpose_part(right), left.shape)
    return _scale(CodePart(f"{prefix}.sum({inner.text})", ATOM, shape), chain, written, shape)


def _make_piece(kind: str, node: Expression, part: CodePart) -> _Piece:
    if kind == "diag":
        (size,) = node.squeezed_shape
        return _Piece(kind, part, size, size)
    rows, columns = node.shape
    return _Piece(kind, part, rows, columns)


def _multiply_in_order(pieces: list[_Piece], prefix: str) -> _Piece:
    return _multiply(pieces, _find_splits(pieces), prefix)


def _find_splits(pieces: list[_Piece]) -> dict[tuple[int, int], int]:
    """Return where to cut each span of factors so that the product takes the fewest multiplications."""
    count = len(pieces)
    if count <= _MOST_WEIGHED:
        return _weigh(pieces)[1]
    if pieces[-1].columns.is_unit:
        return {(k, count): k + 1 for k in range(count - 1)}
    return {(0, k): k - 1 for k in range(2, count + 1)}


def _multiply(pieces: list[_Piece], splits: dict[tuple[int, int], int], prefix: str) -> _Piece:
    """Multiply along the splits, without recursion: shorter spans are ready before longer ones."""
    wanted, spans = [(0, len(pieces))], []
    while wanted:
        start, end = wanted.pop()
        spans.append((start, end))
        if end - start > 1:
            cut = splits[start, end]
            wanted += [(start, cut), (cut, end)]
    ready: dict[tuple[int, int], _Piece] = {}
    for start, end in reversed(spans):
        cut = splits.get((start, end), end)
        ready[start, end] = (
            pieces[start] if end - start == 1 else _combine(ready[start, cut], ready[cut, end], prefix)
        )
    return ready[0, len(pieces)]


def _measure(size: Size) -> int:
    return int(size.number * _USUAL_SIZE ** len(size.letters))


def _weigh(pieces: list[_Piece]) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    count = len(pieces)
    costs = {(k, k + 1): 0 for k in range(count)}
    kinds = {(k, k + 1): piece.kind for k, piece in enumerate(pieces)}
    splits: dict[tuple[int, int], int] = {}
    sizes = [_measure(piece.rows) for piece in pieces] + [_measure(pieces[-1].columns)]
    for length in range(2, count + 1):
        for start in range(count - length + 1):
            end = start + length
            # Of equal costs the last cut is taken: (A @ B) @ C, as Python reads A @ B @ C.
            options = [
                (costs[start, k] + costs[k, end] + _estimate(
                    kinds[start, k], kinds[k, end], sizes[start], sizes[k], sizes[end]), -k)
                for k in range(start + 1, end)
            ]  # fmt: skip
            costs[start, end], cut = min(options)
            splits[start, end] = -cut
            both = kinds[start, -cut], kinds[-cut, end]
            kinds[start, end] = "diag" if both == ("diag", "diag") else "product"
    return costs, splits


def _estimate(left: str, right: str, rows: int, inner: int, columns: int) -> int:
    if "diag" in (left, right) or inner == 1:
        return rows * columns
    if left == "ones" or right == "ones":
        return rows * columns * inner // 2
    solving = inner**3 // 3 if "inv" in left + right else 0
    return rows * inner * columns + solving


# --- one product ----------------------------------------------------------------------------------


def _combine(left: _Piece, right: _Piece, prefix: str) -> _Piece:
    shape = (left.rows, right.columns)
    if left.kind == right.kind == "diag":
        return _Piece("diag", join_parts("multiply", left.part, right.part, left.part.shape), *shape)
    return _Piece("product", _multiply_pair(left, right, shape, prefix), *shape)


def _multiply_pair(left: _Piece, right: _Piece, shape: Shape, prefix: str) -> CodePart:
    if left.kind == "diag":
        column = CodePart(left.part.text, left.part.level, (left.rows, Size((), 1)))
        return join_parts("multiply", column, _form(right, prefix), shape)
    if right.kind == "diag":
        row = CodePart(right.part.text, right.part.level, (Size((), 1), right.rows))
        return join_parts("multiply", _form(left, prefix), row, shape)
    if left.columns.is_unit:
        return _multiply_outer(_form(left, prefix), _form(right, prefix), shape, prefix)
    if left.kind.startswith("inv"):
        return _solve(left.part, left.kind == "inv.T", _form(right, prefix), shape, prefix)
    if right.kind.startswith("inv"):
        transposed = _solve(right.part, right.kind == "inv", transpose_part(_form(left, prefix)), shape[::-1], prefix)
        return transpose_part(transposed)
    return _add_up(left, right, shape, prefix) or join_parts("matmul", _form(left, prefix), _form(right, prefix), shape)


def _add_up(left: _Piece, right: _Piece, shape: Shape, prefix: str) -> CodePart | None:
    """Return a product with a vector of ones as a sum; None where there is none."""
    if left.kind == "ones" and right.kind != "ones":
        other, axis = _form(right, prefix), 0
    elif right.kind == "ones" and left.kind != "ones":
        other, axis = _form(left, prefix), 1
    else:
        return None
    along = f", axis={axis}" if other.rank > 1 else ""
    return CodePart(f"{prefix}.sum({other.text}{along})", ATOM, shape)


def _multiply_outer(left: CodePart, right: CodePart, shape: Shape, prefix: str) -> CodePart:
    if not left.rank or not right.rank:
        return join_parts("multiply", left, right, shape)
    return CodePart(f"{prefix}.outer({left.text}, {right.text})", ATOM, shape)


def _solve(matrix: CodePart, transposed: bool, right: CodePart, shape: Shape, prefix: str) -> CodePart:
    text = transpose_part(matrix).text if transposed else matrix.text
    return CodePart(f"{prefix}.linalg.solve({text}, {right.text})", ATOM, shape)


def _form(piece: _Piece, prefix: str) -> CodePart:
    """Return the matrix that a factor stands for."""
    shape = (piece.rows, piece.columns)
    if piece.kind == "diag":
        return CodePart(f"{prefix}.diag({piece.part.text})", ATOM, shape)
    if piece.kind.startswith("inv"):
        inverse = CodePart(f"{prefix}.linalg.inv({piece.part.text})", ATOM, shape)
        return transpose_part(inverse) if piece.kind == "inv.T" else inverse
    return piece.part


def transpose_part(part: CodePart) -> CodePart:
    """Return the part transposed, which of vectors leaves the value as it is."""
    shape = part.shape[::-1]
    if part.rank < 2:
        return CodePart(part.text, part.level, shape, part.plain)
    text = part.text[:-2] if part.level == ATOM and part.text.endswith(".T") else part.wrap(ATOM) + ".T"
    return CodePart(text, ATOM, shape)


def _scale(product: CodePart, chain: PartChain, written: Callable[[Expression], CodePart], shape: Shape) -> CodePart:
    """Return scalars * (product) / scalars, so that a scalar meets the smallest array."""
    if chain.times:
        front = written(chain.times[0])
        for scalar in chain.times[1:]:
            front = join_parts("multiply", front, written(scalar), front.shape)
        front = negate_part(front) if chain.negative else front
        product = join_parts("multiply", front, product, shape)
    for scalar in chain.over:
        product = join_parts("divide", product, written(scalar), shape)
    return negate_part(product) if chain.negative and not chain.times else product


# --- code parts -------------------------------------------------------------------------------------
#
# Pieces of Python source: a text, how strongly it binds, and the shape of its value.


# Python's precedence, low to high.


@dataclass(frozen=True)
class CodePart:
    """The source of a value; arrays have no unit axes, `shape` is the 2-D one; a `plain` part is a Python number."""

    text: str
    level: int
    shape: Shape
    plain: bool = False

    @property
    def rank(self) -> int:
        """The number of axes that the value has when the code runs."""
        return len(squeeze_shape(self.shape))

    @property
    def is_simple(self) -> bool:
        """Whether writing the text twice computes nothing twice."""
        return self.plain or re.fullmatch(r"\w+(\.T)?", self.text) is not None

    def wrap(self, level: int) -> str:
        """Return the text, in brackets where it binds weaker than `level`."""
        return self.text if self.level >= level else f"({self.text})"


def align(part: CodePart, shape: Shape) -> CodePart:
    """Return the part indexed so that it broadcasts against an array of a 2-D shape as arrays of 2-D shapes would.

    >>> from matcalc.language.sizes import UNIT, Size
    >>> m, n = Size.of("m"), Size.of("n")
    >>> align(CodePart("x", ATOM, (m, UNIT)), (m, n)).text
    'x[:, None]'
    """
    if not part.rank or len(part.shape) != len(shape):
        return part
    kept = [own for own, size in zip(part.shape, shape, strict=True) if not size.is_unit]
    index = ["None" if own.is_unit else ":" for own in kept]
    while index and index[0] == "None":
        del index[0]
    if "None" not in index:
        return part
    return CodePart(f"{part.wrap(ATOM)}[{', '.join(index)}]", ATOM, part.shape)


def hold_part(part: CodePart) -> CodePart:
    """Return the part with its unit axes put back: x[:, None] of a column, x[None, :] of a row.

    >>> from matcalc.language.sizes import UNIT, Size
    >>> hold_part(CodePart("x", ATOM, (UNIT, Size.of("n")))).text
    'x[None, :]'
    """
    if part.rank == len(part.shape):
        return part
    index = ", ".join("None" if size.is_unit else ":" for size in part.shape)
    return CodePart(f"{part.wrap(ATOM)}[{index}]", ATOM, part.shape)


_SYMBOLS = {
    "add": ("+", SUM), "subtract": ("-", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "matmul": ("@", PRODUCT), "power": ("**", POWER),
}  # fmt: skip


def join_parts(op: str, left: CodePart, right: CodePart, shape: Shape) -> CodePart:
    """Return left op right, entry by entry or, for matmul, as a product."""
    symbol, level = _SYMBOLS[op]
    if op != "matmul":
        left, right = align(left, shape), align(right, shape)
    if op == "power":
        first, second = left.wrap(ATOM), right.wrap(SIGN)
    else:
        first, second = left.wrap(level), right.wrap(PRODUCT if level == SUM else POWER)
        if second.startswith("-"):
            second = f"({second})"
    return CodePart(f"{first} {symbol} {second}", level, shape, left.plain and right.plain)


def negate_part(part: CodePart) -> CodePart:
    """Return -part."""
    return CodePart(f"-{part.wrap(POWER)}", SIGN, part.shape, part.plain)
