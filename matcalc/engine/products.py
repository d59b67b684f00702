"""Products of tensors in canonical form: deltas removed, powers collected, indices numbered.

Two products are the same node if their index graphs are isomorphic with the axes held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from matcalc.engine.selections import contract_selections, selects_rows
from matcalc.errors import LimitError
from matcalc.language.sizes import Size

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part


MANY_FACTORS = 200
# Made once: a Fraction takes a microsecond, and most numbers in front of products are these.
ZERO, ONE = Fraction(0), Fraction(1)


def to_fraction(value: Fraction | int) -> Fraction:
    """The number as a fraction."""
    if type(value) is Fraction:
        return value
    return ONE if value == 1 else Fraction(value)


def is_closed(node: Node) -> bool:
    """Whether a scalar is one connected sum of products, a factor that is not opened."""
    return node.op == "product" and node.rank == 0 and any(labels for _, labels in node.parts)


def base_and_exponent(node: Node) -> tuple[Node, Fraction]:
    """The base of a power and its exponent; 1 for what is no power."""
    return (node.parts[0][0], node.payload) if node.op == "power" else (node, ONE)


def connected(factors: Sequence[Part], out: set[int]) -> list[list[Part]]:
    """The factors in groups that share indices which are summed over."""
    groups: dict[int, tuple[list[Part], list[int]]] = {}
    group_of: dict[int, int] = {}
    for number, (part, labels) in enumerate(factors):
        known = [label for label in labels if label not in out]
        members: list[Part] = []
        for group in sorted({group_of[label] for label in known if label in group_of}):
            before, its = groups.pop(group)
            members += before
            known += its
        groups[number] = [*members, (part, labels)], known
        group_of.update(dict.fromkeys(known, number))
    return [members for members, _ in groups.values()]


class Contraction:
    """One product on its way to canonical form.

    Each pass of `reduce` removes a factor or joins two indices, so the loop ends.
    """

    def __init__(self, graph: Graph, coefficient: Fraction, factors: Sequence[Part], out: Sequence[int]) -> None:
        self.graph = graph
        self.coefficient = coefficient
        self.out = list(out)
        self.sizes: dict[int, Size] = {}
        self.factors: list[Part] = []
        self.zero = not coefficient
        self.joined: dict[int, int] = {}
        for node, labels in factors:
            self._add(node, tuple(labels))
        if len(self.factors) > MANY_FACTORS:
            raise LimitError(f"a product of more than {MANY_FACTORS} factors", advice="write it as several expressions")

    def _add(self, node: Node, labels: tuple[int, ...]) -> None:
        """Take in one factor; a product is opened with fresh indices for those it sums over."""
        for label, size in zip(labels, node.shape, strict=True):
            self.sizes.setdefault(label, size)
        if node.op == "number":
            self.coefficient *= node.payload
            self.zero = self.zero or not self.coefficient
        elif node.op == "zeros":
            self.zero = True
        elif node.op == "product" and not is_closed(node):
            self._open(node, labels)
        else:
            self.factors.append((node, labels))

    def _open(self, node: Node, labels: tuple[int, ...]) -> None:
        rename: dict[int, int] = dict(enumerate(labels))
        if node.payload != 1:
            self.coefficient *= node.payload
            self.zero = self.zero or not self.coefficient
        for part, part_labels in node.parts:
            for label in part_labels:
                if label not in rename:
                    rename[label] = self.graph.fresh(1)[0]
            self._add(part, tuple([rename[label] for label in part_labels]))

    def node(self) -> Node:
        """Return the canonical node."""
        graph = self.graph
        shape = tuple([self.sizes[label] for label in self.out])
        if self.zero:
            return graph.zeros(shape)
        if not self._is_reduced():
            self.reduce()
        self._close_scalars()
        if self.zero:
            return graph.zeros(shape)
        if not self.factors:
            return graph.number(self.coefficient)
        sign, factors = number_indices(graph, self.factors, self.out)
        self.coefficient = self.coefficient if sign == 1 else -self.coefficient
        if self.coefficient == 1 and len(factors) == 1 and factors[0][1] == tuple(range(len(shape))):
            return factors[0][0]
        node = graph.intern("product", shape, self.coefficient, tuple(factors))
        if node.symmetric is None:
            node.symmetric = self._is_symmetric(node, factors)
        return node

    def _close_scalars(self) -> None:
        """Make each connected part without an axis, such as x.T @ y, one scalar factor.

        So it stays whole where it is raised to a power or divided by, and is differentiated once.
        """
        out = set(self.out)
        if all(not labels or not out.isdisjoint(labels) for _, labels in self.factors):
            return
        groups = connected(self.factors, out)
        closed = [group for group in groups if group[0][1] and out.isdisjoint(at for _, axes in group for at in axes)]
        if not closed or (len(groups) == 1 and self.coefficient == 1):
            return
        self.factors = [factor for group in groups if group not in closed for factor in group]
        for group in closed:
            self._add(self.graph.product(1, group, ()), ())
        self._collect_powers()

    def _is_symmetric(self, node: Node, factors: list[Part]) -> bool:
        """Whether the product of two axes equals its transpose, as X.T @ X does."""
        if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
            return False
        if any(part.op == "delta" for part, _ in factors):
            return True
        ends = [sorted([part.id for part, labels in factors if end in labels]) for end in (0, 1)]
        if ends[0] != ends[1]:
            return False
        node.symmetric = False
        return self.graph.permuted(node, (1, 0)) is node

    # --- reduction --------------------------------------------------------------------------------

    def _is_reduced(self) -> bool:
        """Whether there is nothing to join, to cancel or to collect, which is so of most products."""
        seen: set[tuple[int, tuple[int, ...]]] = set()
        for node, labels in self.factors:
            base = node.parts[0][0] if node.op == "power" else node
            key = (base.id, labels)
            if not base.is_plain or key in seen or (base.symmetric and len(labels) == 2 and labels[0] > labels[1]):
                return False
            seen.add(key)
        return True

    def reduce(self) -> None:
        """Remove deltas, collect powers, cancel inverses and count free sums, until nothing changes."""
        changed = True
        while changed:
            self._join_deltas()
            self._collect_powers()
            # Ones beside another factor are nothing; left there they would count an index that a later step sums away.
            uses = find_places(self.factors)
            self.factors = [part for part in self.factors if part[0].op != "ones" or part[1][0] not in uses]
            changed = (
                self._join_fused() or self._cancel_inverses() or self._contract_orthogonal() or self._join_selections()
            )
        self._drop_ones()

    def _find(self, label: int) -> int:
        while label in self.joined:
            label = self.joined[label]
        return label

    def _join(self, first: int, second: int) -> None:
        """Record that two indices are equal; an index of the result is kept rather than a summed one."""
        first, second = self._find(first), self._find(second)
        if first == second:
            return
        order = {label: k for k, label in enumerate(self.out)}
        far = len(order)
        if order.get(second, far) < order.get(first, far):
            first, second = second, first
        self.joined[second] = first

    def _join_deltas(self) -> None:
        """delta[i,j] t[j] = t[i]; a delta between two axes of the result stays, on the earlier axis."""
        self.joined = {}
        rest: list[Part] = []
        for node, labels in self.factors:
            if len(labels) == 2 and labels[0] != labels[1] and self.graph.has(node, "diagonal"):
                self._join(*labels)  # D[i,j] of a diagonal D is D[i,i] * delta[i,j]
            if node.op == "delta":
                self._join(*labels)
                rest.append((self.graph.ones(node.shape[0]), (labels[0],)))
            else:
                rest.append((node, labels))
        self._rename(rest)

    def _rename(self, factors: list[Part]) -> None:
        if not self.joined:
            self.factors = factors
            return
        renamed: list[Part] = [(node, tuple([self._find(label) for label in labels])) for node, labels in factors]
        for label in self.out:
            root = self._find(label)
            if root != label:
                renamed.append((self.graph.delta(self.sizes[label]), (root, label)))
        self.factors = renamed

    def _collect_powers(self) -> None:
        """t[i] * t[i] = (t**2)[i]; numbers move into the coefficient."""
        exponents: dict[tuple[int, tuple[int, ...]], Fraction] = {}
        bases: dict[int, Node] = {}
        for node, labels in self.factors:
            base, exponent = base_and_exponent(node)
            if base.symmetric and len(labels) == 2:
                labels = (min(labels), max(labels))
            bases[base.id] = base
            key = (base.id, labels)
            exponents[key] = exponents[key] + exponent if key in exponents else exponent
        self._raise_general_powers(exponents, bases)
        cancel_signs(self.graph, exponents, bases)
        factors: list[Part] = []
        for (identity, labels), exponent in exponents.items():
            settled = self._settle(bases[identity], exponent, labels, factors)
            if settled is not None:
                factors.append((settled, labels))
        self.factors = factors

    def _raise_general_powers(
        self, exponents: dict[tuple[int, tuple[int, ...]], Fraction], bases: dict[int, Node]
    ) -> None:
        """x * x**(a - 1) = x**a."""
        raised = [key for key in exponents if bases[key[0]].op == "general_power" and exponents[key] == 1]
        for identity, labels in raised:
            (base, at), (exponent, exponent_at) = bases[identity].parts
            key = (base.id, tuple([labels[k] for k in at]))
            if key not in exponents or not exponents[key]:
                continue
            own = tuple(range(exponent.rank))
            more = self.graph.sum([(1, exponent, own), (exponents.pop(key), self.graph.one, ())], own, exponent.shape)
            node = self.graph.general_power((base, at), (more, exponent_at), bases[identity].shape)
            del exponents[identity, labels]
            plain, amount = base_and_exponent(node)
            bases[plain.id] = plain
            exponents[plain.id, labels] = exponents.get((plain.id, labels), ZERO) + amount

    def _settle(self, base: Node, exponent: Fraction, labels: tuple[int, ...], factors: list[Part]) -> Node | None:
        """Return the factor base**exponent, or None where it became a number or ones."""
        if exponent == 0:
            factors.extend((self.graph.ones(size), (k,)) for size, k in zip(base.shape, labels, strict=True))
            return None
        if base.op in {"ones", "delta", "lower", "fuse", "duplication"} or selects_rows(base):
            return self.graph.power(base, exponent) if exponent < 0 else base
        if base.op == "number" and exponent.denominator == 1:
            self.coefficient *= base.payload ** int(exponent)
            return None
        return base if exponent == 1 else self.graph.power(base, exponent)

    def _join_fused(self) -> bool:
        """Two fused axes joined are their parts joined, and the reverse; a fused axis summed away is ones."""
        fused = [k for k, (node, _) in enumerate(self.factors) if node.op == "fuse"]
        if not fused:
            return False
        for at, k in enumerate(fused):
            for other in fused[at + 1 :]:
                if self._join_fused_pair(k, other):
                    return True
        return self._sum_fused(fused)

    def _join_fused_pair(self, k: int, other: int) -> bool:
        (node, labels), (node2, labels2) = self.factors[k], self.factors[other]
        if node is not node2 or (labels[0] != labels2[0] and labels[1:] != labels2[1:]):
            return False
        pairs = zip(labels, labels2, strict=True)
        del self.factors[other]
        sizes = node.shape
        self.factors += [(self.graph.delta(s), (a, b)) for (a, b), s in zip(pairs, sizes, strict=True) if a != b]
        return True

    def _sum_fused(self, fused: list[int]) -> bool:
        uses, out = find_places(self.factors), set(self.out)
        for k in fused:
            node, labels = self.factors[k]
            alone = [label not in out and len(uses[label]) == 1 for label in labels]
            if alone[0] or (alone[1] and alone[2]):
                kept = labels[1:] if alone[0] else labels[:1]
                shape = node.shape[1:] if alone[0] else node.shape[:1]
                del self.factors[k]
                # Ones on an index that is gone would count its size.
                gone = set(labels) - set(kept)
                self.factors = [factor for factor in self.factors if gone.isdisjoint(factor[1])]
                self.factors += [(self.graph.ones(s), (label,)) for label, s in zip(kept, shape, strict=True)]
                return True
        return False

    def _cancel_inverses(self) -> bool:
        """inv(M)[i,j] M[j,k] = delta[i,k]."""
        found = cancel_inverse(self.graph, self.factors, set(self.out))
        self.factors = self.factors if found is None else found
        return found is not None

    def _contract_orthogonal(self) -> bool:
        """Q[i,j] Q[i,k] = delta[j,k] where i is summed, for an orthogonal Q."""
        turns = [k for k, (node, _) in enumerate(self.factors) if self.graph.has(node, "orthogonal")]
        squared = [
            k for k, (node, _) in enumerate(self.factors)
            if node.op == "power" and node.payload == 2 and self.graph.has(node.parts[0][0], "orthogonal")
        ]  # fmt: skip
        if not turns and not squared:
            return False
        uses, out = find_places(self.factors), set(self.out)
        for label, places in uses.items():
            if label in out:
                continue
            if len(places) == 1 and places[0][0] in squared:
                k, position = places[0]
                node, labels = self.factors.pop(k)
                self.factors.append((self.graph.ones(node.shape[0]), (labels[1 - position],)))
                return True
            if len(places) == 2 and self._turn_pair(places, turns):
                return True
        return False

    def _join_selections(self) -> bool:
        """Two selections that share a summed index are one, a delta or 0."""
        found = contract_selections(self.graph, self.factors, find_places(self.factors), set(self.out))
        if found is None:
            return False
        self.factors = found
        self.zero = self.zero or any(node.op == "number" and not node.payload for node, _ in found)
        return not self.zero

    def _turn_pair(self, places: list[tuple[int, int]], turns: list[int]) -> bool:
        (k, position), (other, place) = places
        if k == other or k not in turns or other not in turns or position != place:
            return False
        (node, labels), (node2, labels2) = self.factors[k], self.factors[other]
        if node is not node2:
            return False
        self.factors = [factor for at, factor in enumerate(self.factors) if at not in (k, other)]
        self.factors.append((self.graph.delta(node.shape[0]), (labels[1 - position], labels2[1 - position])))
        return True

    def _drop_ones(self) -> None:
        """Ones beside another factor are nothing; ones summed over count the size of the index."""
        uses, out = find_places(self.factors), set(self.out)
        kept: list[Part] = []
        seen: set[int] = set()
        counted: list[Size] = []
        for node, labels in self.factors:
            if node.op != "ones":
                kept.append((node, labels))
            elif labels[0] not in uses and labels[0] not in seen:
                seen.add(labels[0])
                if labels[0] in out:
                    kept.append((node, labels))
                else:
                    counted.append(node.shape[0])
        self.factors = kept
        for size in counted:
            self.coefficient *= size.number
            self.factors += [(self.graph.intern("size", (), letter), ()) for letter in size.letters]
        if any(size.letters for size in counted):
            self._collect_powers()


# --- cancellation -----------------------------------------------------------------------------------
#
# Factors of a product that cancel: an inverse against what it inverts, signs against absolute values.
#
# Each step removes a factor, so cancelling ends.


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
    for key in [key for key in exponents if applies(bases[key[0]], "sign")]:
        identity, labels = key
        if exponents[key].denominator != 1:
            continue
        exponents[key] = Fraction(exponents[key] % 2)
        inside = bases[identity].parts[0][0]
        sizes = [other for other in exponents if other[1] == labels and applies(bases[other[0]], "abs")]
        size = next((other for other in sizes if bases[other[0]].parts[0][0] is inside), None)
        plain = (inside.id, labels)
        if not exponents[key]:
            continue
        if size is not None and exponents[size] % 2 == 1:
            bases[inside.id] = inside
            exponents[plain] = exponents.get(plain, ZERO) + exponents.pop(size)
            exponents[key] = ZERO


def applies(node: Node, name: str) -> bool:
    """Whether a node is a function of this name, applied entry by entry."""
    return node.op == "apply" and getattr(node.payload, "name", "") == name


# --- index numbering --------------------------------------------------------------------------------
#
# Numbers the summed indices of a product so that isomorphic index graphs get the same numbers.
#
# Colour refinement: indices are told apart by the factors around them; what stays tied is told apart by choice.
# Each round splits a class of indices, so it ends.


def number_indices(graph: Graph, factors: Sequence[Part], out: Sequence[int]) -> tuple[int, list[Part]]:
    """Return a sign and the factors in order, axes numbered from 0 and summed indices behind them.

    The sign is that of the skew matrices which were transposed.
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
