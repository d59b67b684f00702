"""Sums of tensors in canonical form: nested sums opened, like terms collected, multiples recognised.

A sum that is a multiple of one written before becomes that multiple, so that x - y and y - x are one sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING, Any

from matcalc.engine.products import ONE, to_fraction
from matcalc.language.sizes import Shape

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part


_Term = tuple[Fraction, "Node", tuple[int, ...]]


def add_terms(
    graph: Graph, terms: Iterable[tuple[Fraction | int, Node, Sequence[int]]], out: Sequence[int], shape: Shape
) -> Node:
    """Add terms (coefficient, node, indices of its axes), each repeated along the indices it lacks.

    Nested sums are opened from the outside in, and every later step leaves fewer terms or axes, so it ends.
    """
    position = {label: k for k, label in enumerate(out)}
    placed = [(to_fraction(c), node, tuple([position[label] for label in labels])) for c, node, labels in terms]
    kept = _collect(graph, placed, False)
    if any(node.op == "sum" for _, node, _ in kept):
        opened = _collect(graph, kept, True)
        kept = opened if len(opened) <= len(kept) else kept
    return _sum_of(graph, _scalars_collected(graph, kept), shape)


def _scalars_collected(graph: Graph, terms: list[_Term]) -> list[_Term]:
    """a*t + b*t = (a + b)*t for scalars a and b and a tensor t."""
    groups: dict[Any, list[_Term]] = {}
    for term in terms:
        groups.setdefault(_without_scalars(term), []).append(term)
    if len(groups) == len(terms) or (None in groups and len(groups) - 1 + len(groups[None]) == len(terms)):
        return terms
    collected: list[_Term] = []
    for key, members in groups.items():
        collected += [_joined(graph, members)] if key is not None and len(members) > 1 else members
    return collected


def _without_scalars(term: _Term) -> Any:
    """What a term is apart from its scalar factors; None for a scalar."""
    _, node, axes = term
    if not node.rank:
        return None
    parts = node.factors
    return axes, tuple([(part.id, labels) for part, labels in parts if part.rank])


def _joined(graph: Graph, members: list[_Term]) -> _Term:
    """One term of several that differ in their scalar factors only."""
    _, node, axes = members[0]
    parts = list(node.factors)
    scalars = []
    for coefficient, member, _ in members:
        factors = [part for part in member.parts if not part[0].rank] if member.op == "product" else []
        scalars.append((1, graph.product(coefficient, factors, ()), ()))
    total = graph.sum(scalars, (), ())
    whole = graph.product(1, [(total, ()), *[part for part in parts if part[0].rank]], range(node.rank))
    coefficient, rest = graph.split(whole)
    return coefficient, rest, axes


def _collect(graph: Graph, terms: Iterable[_Term], open_multiples: bool) -> list[_Term]:
    """Add up like terms; with `open_multiples`, 2*(a + b) counts as 2*a + 2*b."""
    collected: dict[tuple[int, tuple[int, ...]], Fraction] = {}
    nodes: dict[int, Node] = {}
    for coefficient, node, axes in terms:
        for amount, part, part_axes in _flat_terms(graph, coefficient, node, axes, open_multiples):
            key = (part.id, part_axes)
            nodes[part.id] = part
            collected[key] = collected[key] + amount if key in collected else amount
    return [(amount, nodes[key[0]], key[1]) for key, amount in collected.items() if amount]


def _flat_terms(
    graph: Graph, coefficient: Fraction, node: Node, axes: tuple[int, ...], open_multiples: bool
) -> Iterator[_Term]:
    """Yield the terms of a term: nested sums opened, numbers moved out, axes in ascending order."""
    amount, node = graph.split(node)
    coefficient *= amount
    if node.op == "zeros" or not coefficient:
        return
    if node.op == "ones":
        node, axes = graph.one, ()
    if node.op == "product":
        node, axes = drop_repeats(graph, node, axes)
    if list(axes) != sorted(set(axes)):
        order = sorted(set(axes))
        more, node = graph.split(graph.product(1, [(node, axes)], order))
        axes, coefficient = tuple(order), coefficient * more
        if node.op == "product":
            node, axes = drop_repeats(graph, node, axes)
    inner = node
    inner_axes = axes
    if node.op == "product" and len(node.parts) == 1 and node.parts[0][0].op == "sum":
        inner = node.parts[0][0]
        placed = node.parts[0][1]
        inner_axes = tuple([axes[k] for k in placed]) if max(placed, default=0) < len(axes) else ()
    if inner.op == "sum" and (open_multiples or abs(coefficient) == 1) and len(inner_axes) == inner.rank:
        for sub_coefficient, part, part_axes in inner.terms:
            sub_axes = tuple([inner_axes[k] for k in part_axes])
            yield from _flat_terms(graph, coefficient * sub_coefficient, part, sub_axes, open_multiples)
        return
    yield coefficient, node, axes


def drop_repeats(graph: Graph, node: Node, axes: tuple[int, ...]) -> tuple[Node, tuple[int, ...]]:
    """Drop the axes along which a product is merely repeated: a sum repeats its terms by itself."""
    repeated = {labels[0] for part, labels in node.parts if part.op == "ones"}
    if not repeated:
        return node, axes
    parts = [part for part in node.parts if part[0].op != "ones"]
    kept = [k for k in range(node.rank) if k not in repeated]
    return graph.product(node.payload, parts, kept), tuple([axes[k] for k in kept])


def _sum_of(graph: Graph, terms: list[_Term], shape: Shape) -> Node:
    """Return the interned sum of collected terms."""
    if not terms:
        return graph.zeros(shape)
    if len(terms) == 1:
        coefficient, node, axes = terms[0]
        ones = graph.missing_ones(shape, axes)
        return graph.product(coefficient, [(node, axes), *ones], range(len(shape)))
    common = _common_size(terms)
    if common != 1:
        terms = [(coefficient / common, node, axes) for coefficient, node, axes in terms]
        return graph.scaled(common, _sum_of(graph, terms, shape))
    # Beyond a matrix every term is read on its own, with its deltas.
    shared = _shared_delta(terms) if len(shape) == 2 else None
    if shared is not None:
        return _sum_on_diagonal(graph, terms, shape, shared)
    around = _shared_factors(terms) if len(shape) > 2 else []
    if around:
        return sum_inside(graph, terms, shape, around)
    ordered = sorted(terms, key=lambda term: (term[1].id, term[2]))
    lead = ordered[0][0]
    key = (shape, tuple([(c if lead == 1 else c / lead, node.id, axes) for c, node, axes in ordered]))
    total = graph.sums.get(key)
    if total is None:
        missing = [k for k in range(len(shape)) if all(k not in axes for _, _, axes in terms)]
        if missing:
            return _repeated_sum(graph, terms, shape, missing)
        parts = tuple([(node, axes) for _, node, axes in terms])
        symmetric = all(bool(node.symmetric) if len(axes) == 2 else not axes for _, node, axes in terms)
        total = graph.intern("sum", shape, tuple([c for c, _, _ in terms]), parts, symmetric)
        graph.sums[key] = total
    first = min(total.terms, key=lambda term: (term[1].id, term[2]))[0]
    return total if lead == first else graph.scaled(lead / first, total)


def _repeated_sum(graph: Graph, terms: list[_Term], shape: Shape, missing: list[int]) -> Node:
    """A sum none of whose terms has some axis: the smaller sum, times ones."""
    kept = [k for k in range(len(shape)) if k not in missing]
    rename = {k: new for new, k in enumerate(kept)}
    smaller = _sum_of(graph,
        [(c, node, tuple([rename[k] for k in axes])) for c, node, axes in terms], tuple([shape[k] for k in kept])
    )
    ones = [(graph.ones(shape[k]), (k,)) for k in missing]
    return graph.product(1, [(smaller, tuple(kept)), *ones], range(len(shape)))


def place_factors(node: Node, axes: Sequence[int]) -> list[Part]:
    """The factors of a term with the axes of its sum; what is summed over is numbered below zero."""
    return [
        (part, tuple([axes[k] if k < node.rank else node.rank - k - 1 for k in labels]))
        for part, labels in node.factors
    ]


def _shared_factors(terms: list[_Term]) -> list[Part]:
    """The factors that every term has, if what is left of each lies on two axes at most."""
    placed = [place_factors(node, axes) for _, node, axes in terms]
    common = [
        part for part in placed[0]
        if part[0].rank and min(part[1]) >= 0 and all(part in own for own in placed[1:])
    ]  # fmt: skip
    left = {k for own in placed for part in own if part not in common for k in part[1] if k >= 0}
    covered = {k for _, labels in common for k in labels}
    return common if len(left) <= 2 and left <= covered else []


def sum_inside(graph: Graph, terms: list[_Term], shape: Shape, common: list[Part]) -> Node:
    """t[i] delta[i,a] delta[i,b] + u[i] delta[i,a] delta[i,b] = (t + u)[i] delta[i,a] delta[i,b]."""
    placed = [(c * node.coefficient, place_factors(node, axes)) for c, node, axes in terms]
    return multiply_around(graph, common, add_remainders(graph, placed, common), shape)


def add_remainders(graph: Graph, terms: Sequence[tuple[Fraction, list[Part]]], common: list[Part]) -> Part:
    """The sum of what is left of terms without the factors that they share, and the indices on which it lies."""
    beside = {label for _, labels in common for label in labels}
    sizes = {label: size for _, parts in terms for part, labels in parts
             for label, size in zip(labels, part.shape, strict=True)}  # fmt: skip
    inner, used = [], set[int]()
    for coefficient, parts in terms:
        left = [part for part in parts if part not in common]
        own = sorted({label for _, labels in left for label in labels if label >= 0 or label in beside})
        inner.append((1, graph.product(coefficient, left, own), own))
        used.update(own)
    kept = tuple(sorted(used))
    return graph.sum(inner, kept, tuple([sizes[label] for label in kept])), kept


def multiply_around(graph: Graph, common: list[Part], inner: Part, shape: Shape) -> Node:
    """The factors that terms share times the sum of what is left of them, with the axes of the whole."""
    covered = {label for _, labels in (*common, inner) for label in labels}
    return graph.product(1, [*common, inner, *graph.missing_ones(shape, covered)], range(len(shape)))


def _shared_delta(terms: list[_Term]) -> tuple[int, int] | None:
    """The two axes that a delta joins in every term, if there are such."""
    common: set[tuple[int, int]] | None = None
    for _, node, axes in terms:
        parts = node.factors
        deltas = [labels for part, labels in parts if part.op == "delta"]
        pairs = {(axes[a], axes[b]) for a, b in deltas if max(a, b) < node.rank}
        common = pairs if common is None else common & pairs
        if not common:
            return None
    first = min(common) if common else None
    return (first[0], first[1]) if first else None


def _sum_on_diagonal(graph: Graph, terms: list[_Term], shape: Shape, shared: tuple[int, int]) -> Node:
    """delta[i,j] u[i] + delta[i,j] v[i] = delta[i,j] (u + v)[i]."""
    _, second = shared
    kept = [k for k in range(len(shape)) if k != second]
    inner = []
    for coefficient, node, axes in terms:
        # Of two axes there is one delta.
        rest = [part for part in node.factors if part[0].op != "delta"]
        ends = [k for k in range(node.rank) if axes[k] != second]
        ones = [(graph.ones(node.shape[k]), (k,)) for k in ends]
        inner.append((coefficient, graph.product(node.coefficient, [*rest, *ones], ends),
                      [axes[k] for k in ends]))  # fmt: skip
    smaller = graph.sum(inner, kept, tuple([shape[k] for k in kept]))
    return graph.product(1, [(graph.delta(shape[second]), shared), (smaller, tuple(kept))], range(len(shape)))


def _common_size(terms: list[_Term]) -> Fraction:
    """What stands in front of all: a whole number that divides every coefficient, or the one that all equal.

    With a minus where all have one.
    """
    if all(coefficient == 1 for coefficient, _, _ in terms):
        return ONE
    sizes = {abs(coefficient) for coefficient, _, _ in terms}
    whole = all(size.denominator == 1 for size in sizes)
    size = Fraction(gcd(*[size.numerator for size in sizes])) if whole else Fraction(1)
    size = next(iter(sizes)) if len(sizes) == 1 else size
    return -size if all(coefficient < 0 for coefficient, _, _ in terms) else size
