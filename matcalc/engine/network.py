"""One product as a graph: indices are points, matrices are edges, vectors hang on points.

Summed points are removed one by one until only the axes of the result remain: a point with one edge is a
matrix times a vector, one with two edges a matrix product, two edges between the same points a Hadamard
product, an edge from a point to itself a diagonal, and at a summed point a trace.  Each step removes an
edge or a point, so it ends; points with three or more edges stay, and the product stays an einsum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from matcalc.engine.assemble import Lengths, call_shipped, chain, compress, flatten, kron, product_of, transposed
from matcalc.errors import LimitError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import SCALAR, UNIT, Size

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
        self, sizes: dict[int, Size], out: Sequence[int], transpose: Callable[[Expression], Expression],
        lengths: Lengths, held: Collection[Expression] = (),
    ) -> None:
        self.sizes = sizes
        self.out = list(out)
        self.transpose = transpose
        self.lengths = lengths
        self.held = held
        self.pieces: dict[int, list[Piece]] = {}
        self.edges: list[Edge] = []
        self.scalars: list[Expression] = []
        self.others: list[tuple[Expression, tuple[int, ...]]] = []

    def add(self, factor: Expression, labels: tuple[int, ...], divides: bool = False, identity: bool = False) -> None:
        """Take in one factor with the points its axes lie on."""
        if len(labels) == 1:
            self.pieces.setdefault(labels[0], []).append(Piece(flatten(factor, self.held), divides))
        elif len(labels) == 2:
            self.edges.append(Edge(labels[0], labels[1], flatten(factor, self.held), divides, identity))
        else:
            self.others.append((ex.divide(ex.number(1), factor) if divides else factor, labels))

    # --- reduction --------------------------------------------------------------------------------

    def reduce(self) -> None:
        """Remove summed points while one of the steps applies."""
        steps = (self._close_loop, self._merge_parallel, self._remove_end, self._join_edges)
        while any(step() for step in steps) or (
            self.others and (resolve_fused_axis(self) or _turn_with_vector(self))
        ):
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
        return [self.transpose(item) for item in reversed(items)]

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
                    self.pieces.setdefault(point, []).append(Piece([self._diagonal_of(edge.items)], edge.divides))
                return True
        return False

    def _diagonal_of(self, items: Items) -> Expression:
        """diag(A @ B), and of a longer chain sum(A*(B @ C).T, axis=1), which needs no square matrix."""
        matrix = chain(items)
        column = call_shipped("diag_of_matrix", matrix, (matrix.shape[0], UNIT))
        if len(items) < 3:
            return column
        product = ex.multiply(items[0], chain(self.reversed(items[1:])))
        if product.is_column:
            return product
        summed = call_shipped("sum", product, (matrix.shape[0], UNIT), 1)
        return summed if self.lengths(summed) <= self.lengths(column) + 2 else column

    def _trace(self, items: Items) -> Expression:
        """The trace of a closed chain, transposed to start where it reads shortest."""
        turns = [items[k:] + items[:k] for k in range(len(items))]
        turns += [self.reversed(turn) for turn in turns]
        best = min(turns, key=lambda turn: (self.lengths(chain(turn)), not ends_in_differential(turn)))
        return call_shipped("trace", chain(best), SCALAR)

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
        # Bare points first: K*(Y.T @ Y) stands between the same points as K, and is a Hadamard product with it.
        edges_at = self._edges_by_point()
        for point in sorted(self.bound, key=lambda point: point in self.pieces):
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
        if items[-1].is_filled("ones"):
            matrix = items[:-1]
            return self._sum_of(min((chain(matrix), chain(self.reversed(matrix))), key=self.lengths))
        return call_shipped("sum", chain(items), SCALAR)

    def _sum_of(self, column: Expression) -> Expression:
        if column.op != "power" or column.args[1] is not ex.number(2):
            return call_shipped("sum", column, SCALAR)
        base = column.args[0]
        norm = ex.power(call_shipped("norm", base, SCALAR), ex.number(2))
        return min((ex.matmul(transposed(base), base), norm), key=self.lengths) if base.is_column else norm


def closed_chain(items: Sequence[Expression]) -> Expression:
    """A chain as one expression; M @ ones(n) becomes sum(M, axis=1)."""
    if len(items) == 2 and items[1].is_filled("ones") and not (items[0].is_row or items[0].is_column):
        matrix, axis = (items[0].args[0], 0) if items[0].op == "transpose" else (items[0], 1)
        return call_shipped("sum", matrix, (items[0].shape[0], UNIT), axis)
    return chain(items)


def ends_in_differential(items: Sequence[Expression]) -> bool:
    """Whether a chain ends in dX, as a reader of differentials expects."""
    return items[-1].op == "symbol" and items[-1].name.startswith("d") and len(items[-1].name) > 1


def as_diagonal(column: Expression) -> Expression:
    """diag(v), or D where v is the diagonal of a diagonal matrix D."""
    matrix = diagonal_matrix(column)
    if matrix is not None:
        return matrix
    size = column.shape[0]
    return call_shipped("diag_of_vector", column, (size, size))


def diagonal_matrix(column: Expression) -> Expression | None:
    """Return D where the column is diag(D) of a matrix declared diagonal."""
    if column.is_call("diag_of_matrix"):
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
    transposed = ones.op == "transpose"
    inner = ones.args[0] if transposed else ones
    found = inner.is_call("tril") and inner.args[0].op == "filled"
    return call_shipped("triu" if transposed else "tril", matrix, matrix.shape) if found else None


# --- fused axes -------------------------------------------------------------------------------------
#
# Fused axes back to matrices: an axis I that joins x and y (I = x*size(y) + y) gives vec and kron.
#
# Each of the two joined indices leads somewhere: to nothing (a column, or ones), to another index through one
# matrix, or it is itself needed elsewhere, as if through the identity.  Both lead to each other: vec(M).
# Neither leads on: kron(u, v).  One does: kron(u, M).  Both lead to the parts of another fused axis: kron(M, N),
# with the commutation matrix behind it where they arrive crosswise.


Fuse = tuple[Expression, tuple[int, ...]]


@dataclass(eq=False)
class Link:
    """Where a joined index leads: the index at the far end (None for nowhere) through a chain of matrices."""

    end: int | None
    items: list[Expression]
    edge: Edge | None = None


def resolve_fused_axis(network: Network) -> bool:
    """Turn one fused axis of the network into vec or kron; return whether one could be."""
    fused = [other for other in network.others if other[0].is_filled("fuse")]
    return any(_resolve(network, fuse, fused) for fuse in fused)


def _resolve(network: Network, fuse: Fuse, fused: list[Fuse]) -> bool:
    whole, major, minor = fuse[1]
    if whole in (major, minor) or major == minor:
        return False
    if _resolve_columns(network, fuse) or _resolve_product(network, fuse, fused) or _resolve_jacobian(network, fused):
        return True
    first, second = _link(network, fuse, major), _link(network, fuse, minor)
    if first.edge is not None and first.edge is second.edge:
        matrix = _stack(network, first.edge, minor, major)
        stacked = call_shipped("vec", matrix, (matrix.shape[0] * matrix.shape[1], UNIT))
        _finish(network, fuse, [first.edge])
        network.add(stacked, (whole,))
        return True
    if first.end is None and second.end is None:
        _finish(network, fuse, [])
        network.add(kron(chain(first.items), chain(second.items)), (whole,))
        return True
    if first.end is None or second.end is None:
        end = second.end if first.end is None else first.end
        assert end is not None
        _finish(network, fuse, [link.edge for link in (first, second) if link.edge])
        network.add(kron(chain(first.items), chain(second.items)), (whole, end))
        return True
    return _resolve_pair(network, fuse, fused, first, second)


def _resolve_columns(network: Network, fuse: Fuse) -> bool:
    """diag(vec(M)) @ kron(ones(n), eye(m)): the two joined indices meet in M, and one of them is needed elsewhere."""
    whole, major, minor = fuse[1]
    meeting = [edge for edge in network.edges if {edge.start, edge.end} == {major, minor}]
    for free, kept in ((major, minor), (minor, major)):
        if len(meeting) != 1 or meeting[0].divides or kept not in network.out:
            continue
        if _is_needed(network, free, (fuse,), meeting):
            continue
        pieces = network.pieces.pop(kept, [])
        column = call_shipped("vec", _stack(network, meeting[0], minor, major), (network.sizes[whole], UNIT))
        ones, eye = ex.filled("ones", network.sizes[free]), ex.filled("eye", network.sizes[kept])
        _finish(network, fuse, meeting)
        network.pieces.update({kept: pieces} if pieces else {})
        network.add(chain([as_diagonal(column), kron(ones, eye) if free == major else kron(eye, ones)]), (whole, kept))
        return True
    return False


def _resolve_product(network: Network, fuse: Fuse, fused: list[Fuse]) -> bool:
    """d vec(kron(A, X)) by vec(X): kron(kron(eye, commutation), eye) @ kron(vec(A), eye); by vec(A) likewise.

    Source: Magnus & Neudecker, Matrix Differential Calculus, section 3.7.
    """
    whole, columns, rows = fuse[1]
    inner = {other[1][0]: other for other in fused if other is not fuse}
    if columns not in inner or rows not in inner or len(network.others) != 4:
        return False
    (_, left, right), (_, upper, lower) = inner[columns][1], inner[rows][1]
    for ends, moving, is_left in (((upper, left), (right, lower), False), ((lower, right), (left, upper), True)):
        edges = [edge for edge in network.edges if {edge.start, edge.end} == set(ends)]
        moved = [other for other in fused if other[1][1:] == moving]
        if len(edges) != 1 or len(network.edges) != 1 or len(moved) != 1 or network.pieces:
            continue
        sizes = network.sizes
        fixed = call_shipped("vec", _stack(network, edges[0], *ends), (sizes[ends[0]] * sizes[ends[1]], UNIT))
        whole_of_moved = ex.filled("eye", sizes[moved[0][1][0]])
        swap = kron(ex.filled("eye", sizes[left]), ex.filled("commutation", sizes[right], sizes[upper]))
        items = [kron(swap, ex.filled("eye", sizes[lower])),
                 kron(whole_of_moved, fixed) if is_left else kron(fixed, whole_of_moved)]  # fmt: skip
        network.edges.remove(edges[0])
        network.others.clear()
        network.add(chain(items), (whole, moved[0][1][0]))
        return True
    return False


def _resolve_jacobian(network: Network, fused: list[Fuse]) -> bool:
    """The Jacobian of sqrtm, its axes joined, is the inverse of a Kronecker sum: dX = S dS + dS S.

    Source: Higham, Functions of Matrices, section 6.1.
    """
    for factor, labels in network.others:
        if not factor.is_call("sqrtm_jacobian"):
            continue
        for result in fused:
            for moved in fused:
                if (*result[1][:0:-1], *moved[1][:0:-1]) != labels or len(network.others) != 3:
                    continue
                root = call_shipped("sqrtm", factor.args[0], factor.args[0].shape)
                eye = ex.filled("eye", root.shape[0])
                total = ex.add(kron(eye, root), kron(network.transpose(root), eye))
                network.others.clear()
                network.add(call_shipped("inv", total, total.shape), (result[1][0], moved[1][0]))
                return True
    return False


def _turn_with_vector(network: Network) -> bool:
    """The Levi-Civita symbol with a vector on one of its axes is the matrix of the cross product, skew(v)."""
    for other in network.others:
        factor, labels = other
        for place, label in enumerate(labels if factor.is_call("levi_civita") else ()):
            pieces, others = network.pieces.get(label, []), [one for one in network.others if one is not other]
            is_needed = label in network.out or network._edges_at(label) or any(label in held for _, held in others)
            if is_needed or labels.count(label) > 1 or len(pieces) != 1 or pieces[0].divides:
                continue
            column = chain(network.pieces.pop(label)[0].items)
            network.others.remove(other)
            matrix = call_shipped("skew_of_vector", column, (column.shape[0],) * 2)
            network.add(matrix, (labels[place - 1], labels[place - 2]))
            return True
    return False


def _resolve_pair(network: Network, fuse: Fuse, fused: list[Fuse], first: Link, second: Link) -> bool:
    """kron(M, N), or kron(M, N) @ commutation where the two ends stand crosswise in the other fused axis."""
    for other in fused:
        whole, major, minor = other[1]
        if other is fuse or {first.end, second.end} != {major, minor} or first.end == second.end:
            continue
        if any(_is_needed(network, label, (fuse, other), (first.edge, second.edge)) for label in (major, minor)):
            continue
        crossed = first.end == minor
        items = [kron(_scaled(network, first), _scaled(network, second))]
        if crossed:
            commutation = ex.filled("commutation", network.sizes[minor], network.sizes[major])
            items = [commutation] if items[0].is_filled("eye") else [*items, commutation]
        for label in (major, minor):
            network.pieces.pop(label, None)
        _finish(network, fuse, [link.edge for link in (first, second) if link.edge])
        network.others.remove(other)
        network.add(chain(items), (fuse[1][0], whole))
        return True
    return False


def _link(network: Network, fuse: Fuse, label: int) -> Link:
    """Where a joined index leads; columns on an index that leads on stand as diag in front."""
    edges = [edge for edge in network.edges if label in (edge.start, edge.end)]
    shared = any(label in labels for other, labels in network.others if labels is not fuse[1])
    size = network.sizes[label]
    plain = label not in network.out and not shared
    if plain and not edges:
        pieces = network.pieces.get(label, [])
        return Link(None, network.hadamard(pieces) if pieces else [ex.filled("ones", size)])
    if plain and len(edges) == 1 and edges[0].start != edges[0].end and not edges[0].divides:
        edge = edges[0]
        end = edge.end if edge.start == label else edge.start
        items = edge.items if edge.start == label else network.reversed(edge.items)
        pieces = network.pieces.get(label, [])
        front = [network.diagonal(pieces)] if pieces else []
        return Link(end, [*front, *items], edge)
    return Link(label, [ex.filled("eye", size)])


def _stack(network: Network, edge: Edge, rows: int, columns: int) -> Expression:
    """The matrix between the two joined indices, with the columns on them multiplied in."""
    items = edge.items if edge.start == rows else network.reversed(edge.items)
    left = [network.diagonal(network.pieces[rows])] if network.pieces.get(rows) else []
    right = [network.diagonal(network.pieces[columns])] if network.pieces.get(columns) else []
    return chain([*left, *items, *right])


def _scaled(network: Network, link: Link) -> Expression:
    """The chain of a link with the columns on its far end multiplied in."""
    pieces = network.pieces.get(link.end, []) if link.end is not None else []
    if not pieces:
        return chain(link.items)
    diagonal = network.diagonal(pieces)
    return diagonal if chain(link.items).is_filled("eye") else chain([*link.items, diagonal])


def _is_needed(network: Network, label: int, fuses: Sequence[Fuse], edges: Sequence[Edge | None]) -> bool:
    """Whether an index is an axis of the result or touches anything beyond these fused axes and matrices."""
    if label in network.out:
        return True
    if any(label in (edge.start, edge.end) for edge in network.edges if edge not in edges):
        return True
    return any(label in labels for other, labels in network.others if all(labels is not fuse[1] for fuse in fuses))


def _finish(network: Network, fuse: Fuse, edges: list[Edge]) -> None:
    """Remove the fused axis, its matrices and the columns on indices that lead nowhere else."""
    network.others.remove(fuse)
    network.edges = [edge for edge in network.edges if edge not in edges]
    for label in fuse[1][1:]:
        used = any(label in (edge.start, edge.end) for edge in network.edges)
        used = used or label in network.out or any(label in labels for _, labels in network.others)
        if not used:
            network.pieces.pop(label, None)


# --- network to einsum ------------------------------------------------------------------------------
#
# What is left of a network as one einsum: the notation that every product has.


LETTERS = "ijklmnabcdefghopqrstuvwxyz"
SUMMED = "pqrstuvwxyzcdefghabijklmno" + "pqrstuvwxyzcdefghabijklmno".upper()


def build_einsum(network: Network, sizes: dict[int, Size], letters: str) -> Expression:
    """What is left of a network as one einsum: a letter for each axis, more for the sums that stay."""
    bound = network.bound
    free = [letter for letter in SUMMED if letter not in letters[: len(sizes)]]
    if len(bound) > len(free):
        raise LimitError(f"a product is summed over more than {len(free)} indices", advice="derive a part of it")
    names = {k: letters[k] for k in sizes} | dict(zip(bound, free, strict=False))
    words: list[str] = []
    operands: list[Expression] = []
    for edge in network.edges:
        word, operand = names[edge.start] + names[edge.end], chain(compress(edge.items))
        transposed = chain(compress(network.reversed(edge.items)))
        if network.lengths(transposed) < network.lengths(operand):
            word, operand = word[::-1], transposed
        words.append(word)
        operands.append(operand)
    for point, pieces in network.pieces.items():
        words.append(names[point])
        operands.append(chain(network.hadamard(pieces)))
    for other, labels in network.others:
        word, operand = _without_permutation(other, "".join(names[label] for label in labels))
        words.append(word)
        operands.append(operand)
    for k, size in sizes.items():
        if not any(names[k] in word for word in words):
            words.append(names[k])
            operands.append(ex.filled("ones", size))
    order = sorted(range(len(words)), key=lambda k: [letters.find(letter) % 99 for letter in words[k]])
    subscripts = ",".join(words[k] for k in order) + "->" + "".join(names[k] for k in sizes)
    return ex.einsum(subscripts, tuple([operands[k] for k in order]))


def _without_permutation(operand: Expression, word: str) -> tuple[str, Expression]:
    """An einsum that only permutes axes becomes the tensor itself under permuted letters."""
    if operand.op != "einsum" or len(operand.args) != 1:
        return word, operand
    inside, outside = operand.data[0].split("->")
    if sorted(inside) != sorted(outside):
        return word, operand
    return "".join(word[outside.index(letter)] for letter in inside), operand.args[0]
