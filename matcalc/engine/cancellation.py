"""Factors of a product that cancel: an inverse against what it inverts, signs against absolute values.

Each step removes a factor, so cancelling ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part

Places = dict[int, list[tuple[int, int]]]
Exponents = dict[tuple[int, tuple[int, ...]], Fraction]


def cancel_inverse(graph: Graph, factors: list[Part], out: set[int]) -> list[Part] | None:
    """inv(M)[i,j] M[j,k] = delta[i,k], where M may be a chain of factors; None where nothing cancels."""
    inverses = [k for k, (node, _) in enumerate(factors) if node.op == "call" and node.payload[0].name == "inv"]
    if not inverses:
        return None
    places = find_places(factors)
    for k in inverses:
        node, labels = factors[k]
        for position in (0, 1):
            found = _matched_chain(factors, places, out, k, position) if labels[0] != labels[1] else None
            if found is not None:
                used, end = found
                rest = [part for at, part in enumerate(factors) if at not in used and at != k]
                return [*rest, (graph.delta(node.shape[0]), (labels[1 - position], end))]
    return None


def find_places(factors: list[Part]) -> Places:
    """Where each index stands: (factor, position), ones left out."""
    places: Places = {}
    for k, (node, labels) in enumerate(factors):
        if node.op != "ones":
            for position, label in enumerate(labels):
                places.setdefault(label, []).append((k, position))
    return places


def _matched_chain(
    factors: list[Part], places: Places, out: set[int], k: int, position: int
) -> tuple[set[int], int] | None:
    """Walk from one end of the inverse along factors that spell its argument; return them and the far index."""
    inverse, labels = factors[k]
    argument = inverse.parts[0][0]
    # inv(M)[i,j] M[j,k]: the second index of the inverse meets the first of M.
    whole: list[Part] = [(argument, (0, 1))]
    for spelled in (whole, _chain_of(argument)):
        for entry in {1 - position} | ({position} if argument.symmetric else set()):
            found = _walk(factors, places, out, k, labels[position], spelled, entry)
            if found is not None:
                return found
    return None


def _chain_of(argument: Node) -> list[Part]:
    """The factors of M in order from axis 0 to axis 1, if M is a plain chain of matrices."""
    return order_chain(argument.parts) if argument.op == "product" and argument.payload == 1 else []


def order_chain(parts: Sequence[Part]) -> list[Part]:
    """Return matrices in the order in which they lead from axis 0 to axis 1; empty if they are no plain chain."""
    if any(len(labels) != 2 or labels[0] == labels[1] for _, labels in parts):
        return []
    left, label, chain = list(parts), 0, []
    while left:
        following = [part for part in left if label in part[1]]
        if len(following) != 1:
            return []
        chain.append(following[0])
        left.remove(following[0])
        label = following[0][1][0] if following[0][1][1] == label else following[0][1][1]
    return chain if label == 1 else []


def _walk(
    factors: list[Part], places: Places, out: set[int], start: int, label: int, spelled: list[Part], entry: int
) -> tuple[set[int], int] | None:
    """Follow the indices from `label` through factors equal to the spelled ones, entered at axis `entry`."""
    if not spelled:
        return None
    order = spelled if entry == 0 else spelled[::-1]
    used: set[int] = set()
    before, joint = start, entry
    for node, ends in order:
        if label in out or len(places[label]) != 2:
            return None
        at, place = next((use for use in places[label] if use[0] != before), (before, 0))
        expected = ends.index(joint)
        if at in used or at == start or factors[at][0] is not node or (place != expected and not node.symmetric):
            return None
        used.add(at)
        before, label, joint = at, factors[at][1][1 - place], ends[1 - expected]
    return used, label


def cancel_signs(graph: Graph, exponents: Exponents, bases: dict[int, Node]) -> None:
    """sign(u)**2 = 1, sign(u)*abs(u)**k = u**k for odd k, u*sign(u) = abs(u); entries of sign +-1 squared are 1."""
    for key in [key for key in exponents if graph.has(bases[key[0]], "sign") and exponents[key].denominator == 1]:
        exponents[key] = Fraction(exponents[key] % 2)
    for key in [key for key in exponents if _applies(bases[key[0]], "sign")]:
        identity, labels = key
        if exponents[key].denominator != 1:
            continue
        exponents[key] = Fraction(exponents[key] % 2)
        inside = bases[identity].parts[0][0]
        size = next((other for other in exponents if other[1] == labels and _is_size(bases[other[0]], inside)), None)
        plain = (inside.id, labels)
        if not exponents[key]:
            continue
        if size is not None and exponents[size] % 2 == 1:
            bases[inside.id] = inside
            exponents[plain] = exponents.get(plain, Fraction(0)) + exponents.pop(size)
            exponents[key] = Fraction(0)


def _applies(node: Node, name: str) -> bool:
    return node.op == "apply" and getattr(node.payload, "name", "") == name


def _is_size(node: Node, inside: Node) -> bool:
    return _applies(node, "abs") and node.parts[0][0] is inside
