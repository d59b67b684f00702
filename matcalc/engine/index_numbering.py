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
