"""A computation graph as text: a table of the nodes, one of the local derivatives, one for each mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matcalc.language.sizes import write_shape
from matcalc.render.graph_accumulation import Accumulation
from matcalc.render.graph_edges import GraphEdge
from matcalc.render.graph_nodes import GraphNode, tell_shape
from matcalc.render.polynomial import Peak, Polynomial

Rows = list[tuple[str, ...]]
Count = Polynomial | Peak


def write_graph_text(
    nodes: Sequence[GraphNode],
    edges: Sequence[GraphEdge],
    modes: tuple[Accumulation, Accumulation],
    sizes: Mapping[str, int] | None,
) -> str:
    """Return the tables, and a last line that compares the modes."""
    tables = [_write_nodes(nodes), _write_edges(edges), *(_write_mode(mode, sizes) for mode in modes)]
    return "\n\n".join([*filter(None, tables), compare_modes(modes, sizes)])


def _write_nodes(nodes: Sequence[GraphNode]) -> str:
    rows = [(node.name, node.operator, "" if node.is_input else node.text, tell_shape(node)) for node in nodes]
    return _align([("node", "operator", "formula", "shape"), *rows])


def _write_edges(edges: Sequence[GraphEdge]) -> str:
    rows = [(edge.name, edge.text, write_shape(edge.shape), str(edge.multiplications)) for edge in edges]
    return _align([("edge", "local derivative", "shape", "multiplications for one direction"), *rows]) if rows else ""


def _write_mode(mode: Accumulation, sizes: Mapping[str, int] | None) -> str:
    visits = _align([(visit.node, visit.product, str(visit.multiplications)) for visit in mode.visits])
    kept = f"{', '.join(mode.kept)}: {_tell(mode.kept_memory, sizes)}" if mode.kept else "nothing"
    totals = [("multiplications", _tell(mode.multiplications, sizes)), ("memory at most", _tell(mode.memory, sizes)),
              ("keeps for later", kept)]  # fmt: skip
    head = f"{mode.mode} accumulation, directions carried: {_tell(mode.directions, sizes)}"
    return "\n".join([head, *(f"  {line}" for line in f"{visits}\n{_align(totals)}".splitlines() if line)])


def _tell(count: Count, sizes: Mapping[str, int] | None) -> str:
    """The count in symbols, and in numbers where sizes are given."""
    text = str(count)
    return text if sizes is None or text.isdigit() else f"{text} = {count.value(sizes):,}"


def compare_modes(modes: tuple[Accumulation, Accumulation], sizes: Mapping[str, int] | None) -> str:
    """Return which mode takes fewer multiplications: each takes the same ones once for each direction it carries."""
    forward, reverse = modes
    if not forward.visits:
        return "The result does not depend on the variable: its derivative is zero."
    if not forward.multiplications.terms:
        return "Neither mode takes a multiplication."
    left, right = forward.directions, reverse.directions
    if left == right:
        return f"Both modes take the same number of multiplications: each carries {left} {_direct(left)}."
    for name, fewer, other, more in (("Reverse", right, "forward", left), ("Forward", left, "reverse", right)):
        if fewer.is_at_most(more):
            ratio = _tell_ratio(fewer, more, sizes)
            return f"{name} mode never takes more: it carries {fewer} {_direct(fewer)}, {other} {more}{ratio}."
    rest = f": {left.value(sizes):,} and {right.value(sizes):,}" if sizes else ""
    return f"Which mode takes fewer depends on the sizes: forward carries {left} directions, reverse {right}{rest}."


def _direct(count: Polynomial) -> str:
    return "direction" if count == Polynomial.of(1) else "directions"


def _tell_ratio(fewer: Polynomial, more: Polynomial, sizes: Mapping[str, int] | None) -> str:
    if sizes is None:
        return ""
    ratio = more.value(sizes) / fewer.value(sizes)
    return f", here {ratio:.3g} times as many" if ratio < 1000 else f", here {ratio:,.0f} times as many"


def _align(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the rows in columns; a column that would be too wide is not padded to its longest cell."""
    if not rows:
        return ""
    widths = [min(60, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
