"""Numbers the summed indices of a product so that isomorphic index graphs get the same numbers.

Colour refinement: indices are told apart by the factors around them; what stays tied is told apart by choice.
Each round splits a class of indices, so it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Part

Places = dict[int, list[tuple[int, int]]]


def number_indices(graph: Graph, factors: Sequence[Part], out: Sequence[int]) -> tuple[int, list[Part]]:
    """Return a sign and the factors in order, axes numbered from 0 and summed indices behind them.

    The sign is that of the skew matrices which were turned.
    """
    number = {label: k for k, label in enumerate(out)}
    bound = {label for _, labels in factors for label in labels if label not in number}
    for k, label in enumerate(_ordered(factors, bound, number)):
        number[label] = len(out) + k
    sign = 1
    numbered = []
    for node, labels in factors:
        new = tuple([number[label] for label in labels])
        if len(new) == 2 and new[0] > new[1] and (node.symmetric or graph.has(node, "skew")):
            new = new[::-1]
            sign = sign if node.symmetric else -sign
        numbered.append((node, new))
    return sign, sorted(numbered, key=lambda factor: (factor[0].id, factor[1]))


def _ordered(factors: Sequence[Part], bound: set[int], number: dict[int, int]) -> list[int]:
    """Return the summed indices in an order that isomorphic products share."""
    if len(bound) < 2:
        return list(bound)
    walked = _walk_from_axes(factors, bound, number)
    if walked is not None:
        return walked
    colours: dict[int, Any] = {label: (0, k) for label, k in number.items()} | dict.fromkeys(bound, (1, 0))
    places: Places = {label: [] for label in bound}
    for k, (node, labels) in enumerate(factors):
        for position, label in enumerate(labels):
            if label in places:
                places[label].append((k, 0 if node.symmetric else position))
    while True:
        _refine(factors, colours, places)
        classes: dict[Any, list[int]] = {}
        for label in bound:
            classes.setdefault(colours[label], []).append(label)
        tied = sorted(colour for colour, members in classes.items() if len(members) > 1)
        if not tied:
            return sorted(bound, key=lambda label: colours[label])
        colours[min(classes[tied[0]])] = (1, tied[0][1] - Fraction(1, 2))


def _walk_from_axes(factors: Sequence[Part], bound: set[int], number: dict[int, int]) -> list[int] | None:
    """Number the summed indices in the order in which a walk from the axes meets them.

    None where two factors at one index look alike, or where some index is not met: then colours must tell.
    Each index is visited once, so a long chain costs no more than its length.
    """
    touching: dict[int, list[int]] = {}
    for k, (_, labels) in enumerate(factors):
        for label in set(labels):
            touching.setdefault(label, []).append(k)
    known = dict(number)
    visited: set[int] = set()
    queue = list(number)
    for label in queue:
        met = [k for k in touching.get(label, []) if k not in visited]
        looks = {_appearance(factors[k], known): k for k in met}
        if len(looks) < len(met):
            return None
        visited.update(met)
        for look in sorted(looks):
            for other in factors[looks[look]][1]:
                if other not in known:
                    known[other] = len(known)
                    queue.append(other)
    order = queue[len(number) :]
    return order if len(order) == len(bound) else None


def _appearance(factor: Part, known: dict[int, int]) -> tuple[int, tuple[int, ...]]:
    """What a factor looks like from the indices that are numbered already; -1 stands for the others."""
    node, labels = factor
    seen = [known.get(label, -1) for label in labels]
    return node.id, tuple(sorted(seen) if node.symmetric else seen)


def _refine(factors: Sequence[Part], colours: dict[int, Any], places: Places) -> None:
    """Split the colours of summed indices by the factors around them, until no class splits."""
    count = len({colours[label] for label in places})
    while True:
        around = []
        for node, labels in factors:
            seen = [colours[label] for label in labels]
            around.append((node.id, tuple(sorted(seen)) if node.symmetric else tuple(seen)))
        signature = {
            label: (colours[label], tuple(sorted([(around[k], position) for k, position in spots])))
            for label, spots in places.items()
        }
        ranks = {value: k for k, value in enumerate(sorted(set(signature.values())))}
        for label, value in signature.items():
            colours[label] = (1, ranks[value])
        if len(ranks) == count or len(ranks) == len(places):
            return
        count = len(ranks)
