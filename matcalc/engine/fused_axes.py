"""Fused axes back to matrices: an axis I that joins x and y (I = x*size(y) + y) gives vec and kron.

Each of the two joined indices leads somewhere: to nothing (a column, or ones), to another index through one
matrix, or it is itself needed elsewhere, as if through the identity.  Both lead to each other: vec(M).
Neither leads on: kron(u, v).  One does: kron(u, M).  Both lead to the parts of another fused axis: kron(M, N),
with the commutation matrix behind it where they arrive crosswise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.engine.assemble import chain, kron
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import UNIT
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from matcalc.engine.network import Edge, Network

Fuse = tuple[Expression, tuple[int, ...]]


@dataclass(eq=False)
class Link:
    """Where a joined index leads: the index at the far end (None for nowhere) through a chain of matrices."""

    end: int | None
    items: list[Expression]
    edge: Edge | None = None


def resolve_fused_axis(network: Network) -> bool:
    """Turn one fused axis of the network into vec or kron; return whether one could be."""
    fused = [other for other in network.others if other[0].op == "filled" and other[0].name == "fuse"]
    return any(_resolve(network, fuse, fused) for fuse in fused)


def _resolve(network: Network, fuse: Fuse, fused: list[Fuse]) -> bool:
    whole, major, minor = fuse[1]
    if whole in (major, minor) or major == minor:
        return False
    first, second = _link(network, fuse, major), _link(network, fuse, minor)
    if first.edge is not None and first.edge is second.edge:
        stacked = _call("vec", _stack(network, first.edge, minor, major))
        _finish(network, fuse, [first.edge])
        _add_vector(network, whole, stacked)
        return True
    if first.end is None and second.end is None:
        _finish(network, fuse, [])
        _add_vector(network, whole, kron(chain(first.items), chain(second.items)))
        return True
    if first.end is None or second.end is None:
        end = second.end if first.end is None else first.end
        assert end is not None
        _finish(network, fuse, [link.edge for link in (first, second) if link.edge])
        _add_matrix(network, whole, end, [kron(chain(first.items), chain(second.items))])
        return True
    return _resolve_pair(network, fuse, fused, first, second)


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
            items = [commutation] if _is_identity(items[0]) else [*items, commutation]
        for label in (major, minor):
            network.pieces.pop(label, None)
        _finish(network, fuse, [link.edge for link in (first, second) if link.edge])
        network.others.remove(other)
        _add_matrix(network, fuse[1][0], whole, items)
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
    return diagonal if _is_identity(chain(link.items)) else chain([*link.items, diagonal])


def _is_needed(network: Network, label: int, fuses: tuple[Fuse, Fuse], edges: tuple[Edge | None, ...]) -> bool:
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


def _add_vector(network: Network, point: int, column: Expression) -> None:
    network.add(column, (point,))


def _add_matrix(network: Network, start: int, end: int, items: list[Expression]) -> None:
    network.add(chain(items), (start, end))


def _is_identity(item: Expression) -> bool:
    return item.op == "filled" and item.name == "eye"


def _call(name: str, argument: Expression) -> Expression:
    """vec(M)."""
    rows, columns = argument.shape
    return ex.call(shipped_rules()[name], (argument,), (rows * columns, UNIT))
