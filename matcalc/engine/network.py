"""One product as a graph: indices are points, matrices are edges, vectors hang on points.

Summed points are removed one by one until only the axes of the result remain: a point with one edge is a
matrix times a vector, one with two edges a matrix product, two edges between the same points a Hadamard
product, an edge from a point to itself a diagonal, and at a summed point a trace.  Each step removes an
edge or a point, so it ends; points with three or more edges stay, and the product stays an einsum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matcalc.engine.assemble import Lengths, chain, flatten, is_ones, product_of, transposed
from matcalc.engine.fused_axes import resolve_fused_axis
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, UNIT, Size
from matcalc.rule_files import shipped_rules

Items = list[Expression]


@dataclass(eq=False)
class Piece:
    """A column on a point, as a chain of matrix products; `divides` if it stands below the fraction bar."""

    items: Items
    divides: bool = False


@dataclass(eq=False)
class Edge:
    """A matrix between two points, as a chain; `identity` marks a delta between two axes of the result."""

    start: int
    end: int
    items: Items
    divides: bool = False
    identity: bool = False


class Network:
    """The factors of one product, being reduced."""

    def __init__(
        self, sizes: dict[int, Size], out: Sequence[int], turn: Callable[[Expression], Expression], lengths: Lengths
    ) -> None:
        self.sizes = sizes
        self.out = list(out)
        self.turn = turn
        self.lengths = lengths
        self.pieces: dict[int, list[Piece]] = {}
        self.edges: list[Edge] = []
        self.scalars: list[Expression] = []
        self.others: list[tuple[Expression, tuple[int, ...]]] = []

    def add(self, factor: Expression, labels: tuple[int, ...], divides: bool = False, identity: bool = False) -> None:
        """Take in one factor with the points its axes lie on."""
        if len(labels) == 1:
            self.pieces.setdefault(labels[0], []).append(Piece(flatten(factor), divides))
        elif len(labels) == 2:
            self.edges.append(Edge(labels[0], labels[1], flatten(factor), divides, identity))
        else:
            self.others.append((ex.divide(ex.number(1), factor) if divides else factor, labels))

    # --- reduction --------------------------------------------------------------------------------

    def reduce(self) -> None:
        """Remove summed points while one of the steps applies."""
        steps = (self._close_loop, self._merge_parallel, self._remove_end, self._join_edges)
        while any(step() for step in steps) or (self.others and resolve_fused_axis(self)):
            pass

    @property
    def bound(self) -> list[int]:
        """The summed points that are left, in order."""
        points = {label for edge in self.edges for label in (edge.start, edge.end)} | set(self.pieces)
        points |= {label for _, labels in self.others for label in labels}
        return sorted(points - set(self.out))

    def _edges_by_point(self) -> dict[int, list[Edge]]:
        """The edges at each point."""
        found: dict[int, list[Edge]] = {}
        for edge in self.edges:
            for point in {edge.start, edge.end}:
                found.setdefault(point, []).append(edge)
        return found

    def _edges_at(self, point: int) -> list[Edge]:
        return [edge for edge in self.edges if point in (edge.start, edge.end)]

    def _is_held(self, point: int) -> bool:
        """Whether a tensor of more axes lies on the point."""
        return any(point in labels for _, labels in self.others)

    def reversed(self, items: Items) -> Items:
        """The transpose of a chain."""
        return [self.turn(item) for item in reversed(items)]

    def _leaving(self, edge: Edge, point: int) -> Items:
        """The chain of an edge read from the point outwards."""
        return edge.items if edge.start == point else self.reversed(edge.items)

    def _merge_parallel(self) -> bool:
        """A[i,j] * B[i,j] is (A*B)[i,j]; a pair that closes a loop through a plain point is a trace."""
        between: dict[frozenset[int], Edge] = {}
        for second in self.edges:
            first = None if second.identity else between.setdefault(frozenset((second.start, second.end)), second)
            if first is not None and first is not second:
                if not self._close_pair(first, second):
                    self._multiply_edges(first, second)
                return True
        self.invert_divisors()
        return False

    def invert_divisors(self) -> None:
        """A matrix below the fraction bar becomes a factor 1/M."""
        for edge in self.edges:
            if edge.divides:
                edge.items, edge.divides = [ex.divide(ex.number(1), chain(edge.items))], False

    def _multiply_edges(self, first: Edge, second: Edge) -> None:
        if first.divides and not second.divides:
            first, second = second, first
        self.edges.remove(second)
        left = chain(first.items)
        right = chain(second.items if second.start == first.start else self.reversed(second.items))
        if first.divides or not second.divides:
            first.items = [mask(left, right) or mask(right, left) or _entrywise(left, right)]
            return
        first.items = [ex.divide(left, right)]

    def _close_pair(self, first: Edge, second: Edge) -> bool:
        """A[i,j] B[j,i] with both points summed and otherwise bare: the trace of A @ B, if that is shorter."""
        ends = {first.start, first.end}
        if first.divides or second.divides or len(ends) == 1:
            return False
        for point in ends - set(self.out):
            if len(self._edges_at(point)) == 2 and not self.pieces.get(point) and not self._is_held(point):
                (far,) = ends - {point}
                loop = self.reversed(self._leaving(first, point)) + self._leaving(second, point)
                flat = min(
                    [ex.multiply(chain(self._leaving(first, end)), chain(self._leaving(second, end))) for end in ends],
                    key=self.lengths,
                )
                shortest = min(self.lengths(chain(loop)), self.lengths(chain(self.reversed(loop))))
                if shortest > self.lengths(flat) and (far not in self.out or len(loop) == 2):
                    return False
                self.edges = [edge for edge in self.edges if edge not in (first, second)]
                self.edges.append(Edge(far, far, loop))
                return True
        return False

    def _close_loop(self) -> bool:
        """M[i,i] is diag(M)[i], and trace(M) where i is summed and bare."""
        for edge in self.edges:
            if edge.start == edge.end:
                self.edges.remove(edge)
                point = edge.start
                bare = not self.pieces.get(point) and not self._edges_at(point) and not self._is_held(point)
                if point not in self.out and bare and not edge.divides:
                    self.scalars.append(self._trace(edge.items))
                else:
                    self.pieces.setdefault(point, []).append(Piece([_diagonal(chain(edge.items))], edge.divides))
                return True
        return False

    def _trace(self, items: Items) -> Expression:
        """The trace of a closed chain, turned to start where it reads shortest."""
        turns = [items[k:] + items[:k] for k in range(len(items))]
        turns += [self.reversed(turn) for turn in turns]
        best = min(turns, key=lambda turn: (self.lengths(chain(turn)), not ends_in_differential(turn)))
        return ex.call(shipped_rules()["trace"], (chain(best),), SCALAR)

    def _remove_end(self) -> bool:
        """Remove a summed point with no edge (a number) or one edge (matrix times vector)."""
        # Points with columns first: sum(A @ x) reads better than ones.T @ A @ x.
        edges_at = self._edges_by_point()
        for point in sorted(self.bound, key=lambda point: point not in self.pieces):
            edges = edges_at.get(point, [])
            if self._is_held(point) or len(edges) > 1:
                continue
            pieces = self.pieces.pop(point, [])
            if not edges:
                self.scalars.append(self.inner(pieces))
            else:
                (edge,) = edges
                self.edges.remove(edge)
                far = edge.end if edge.start == point else edge.start
                column = self.hadamard(pieces) if pieces else [ex.filled("ones", self.sizes[point])]
                self.pieces.setdefault(far, []).append(Piece(self.reversed(self._leaving(edge, point)) + column))
            return True
        return False

    def _join_edges(self) -> bool:
        """A[i,j] v[j] B[j,k] summed over j is A @ diag(v) @ B."""
        edges_at = self._edges_by_point()
        for point in self.bound:
            edges = edges_at.get(point, [])
            if len(edges) != 2 or self._is_held(point):
                continue
            first, second = edges
            pieces = self.pieces.pop(point, [])
            middle = [self.diagonal(pieces)] if pieces else []
            items = self.reversed(self._leaving(first, point)) + middle + self._leaving(second, point)
            ends = [edge.end if edge.start == point else edge.start for edge in edges]
            self.edges = [edge for edge in self.edges if edge not in edges]
            self.edges.append(Edge(ends[0], ends[1], items))
            return True
        return False

    # --- what remains -----------------------------------------------------------------------------

    def hadamard(self, pieces: Sequence[Piece]) -> Items:
        """The entrywise product of columns on one point, as a chain."""
        if len(pieces) == 1 and not pieces[0].divides:
            return pieces[0].items
        for piece in pieces:
            matrix = None if piece.divides else diagonal_matrix(piece.items[0])
            if matrix is not None:
                return [matrix, *self.hadamard([other for other in pieces if other is not piece])]
        above = [closed_chain(piece.items) for piece in pieces if not piece.divides]
        below = [closed_chain(piece.items) for piece in pieces if piece.divides]
        whole = product_of(above) if above else ex.number(1)
        return [ex.divide(whole, product_of(below)) if below else whole]

    def diagonal(self, pieces: Sequence[Piece]) -> Expression:
        """diag of the entrywise product of columns."""
        return as_diagonal(closed_chain(self.hadamard(pieces)))

    def inner(self, pieces: Sequence[Piece]) -> Expression:
        """The sum over a point: u.T @ v, x.T @ x, or sum(u)."""
        plain = [piece.items for piece in pieces if not piece.divides]
        if len(pieces) == len(plain) == 2:
            ways = [self.reversed(plain[0]) + plain[1], self.reversed(plain[1]) + plain[0]]
            return chain(min(ways, key=lambda way: (self.lengths(chain(way)), not ends_in_differential(way))))
        items = self.hadamard(pieces)
        if len(items) == 1:
            return self._sum_of(items[0])
        if items[-1].op == "filled" and items[-1].name == "ones":
            matrix = items[:-1]
            return self._sum_of(min((chain(matrix), chain(self.reversed(matrix))), key=self.lengths))
        return _call_sum(chain(items))

    def _sum_of(self, column: Expression) -> Expression:
        if column.op != "power" or column.args[1] is not ex.number(2):
            return _call_sum(column)
        base = column.args[0]
        norm = ex.power(ex.call(shipped_rules()["norm"], (base,), SCALAR), ex.number(2))
        return min((ex.matmul(transposed(base), base), norm), key=self.lengths) if base.is_column else norm


def closed_chain(items: Sequence[Expression]) -> Expression:
    """A chain as one expression; M @ ones(n) becomes sum(M, axis=1)."""
    if len(items) == 2 and is_ones(items[1]) and not (items[0].is_row or items[0].is_column):
        matrix, axis = (items[0].args[0], 0) if items[0].op == "transpose" else (items[0], 1)
        return ex.call(shipped_rules()["sum"], (matrix,), (items[0].shape[0], UNIT), axis)
    return chain(items)


def ends_in_differential(items: Sequence[Expression]) -> bool:
    """Whether a chain ends in dX, as a reader of differentials expects."""
    return items[-1].op == "symbol" and items[-1].name.startswith("d") and len(items[-1].name) > 1


def _call_sum(argument: Expression) -> Expression:
    return ex.call(shipped_rules()["sum"], (argument,), SCALAR)


def as_diagonal(column: Expression) -> Expression:
    """diag(v), or D where v is the diagonal of a diagonal matrix D."""
    matrix = diagonal_matrix(column)
    if matrix is not None:
        return matrix
    size = column.shape[0]
    return ex.call(shipped_rules()["diag_of_vector"], (column,), (size, size))


def diagonal_matrix(column: Expression) -> Expression | None:
    """Return D where the column is diag(D) of a matrix declared diagonal."""
    if column.op == "call" and column.data[0].name == "diag_of_matrix":
        matrix = column.args[0]
        return matrix if matrix.op == "symbol" and "diagonal" in matrix.data[1] else None
    return None


def _entrywise(left: Expression, right: Expression) -> Expression:
    """left*right, a square or a higher power where they are the same."""
    if left is right:
        return ex.power(left, ex.number(2))
    if left.op == "power" and left.args[0] is right and left.args[1].op == "number":
        return ex.power(right, ex.number(left.args[1].data[0] + 1))
    return ex.multiply(left, right)


def mask(ones: Expression, matrix: Expression) -> Expression | None:
    """tril(ones)*M is tril(M), its transpose triu(M); None where the first is no such mask."""
    turned = ones.op == "transpose"
    inner = ones.args[0] if turned else ones
    found = inner.op == "call" and inner.data[0].name == "tril" and inner.args[0].op == "filled"
    return ex.call(shipped_rules()["triu" if turned else "tril"], (matrix,), matrix.shape) if found else None


def _diagonal(matrix: Expression) -> Expression:
    return ex.call(shipped_rules()["diag_of_matrix"], (matrix,), (matrix.shape[0], UNIT))

