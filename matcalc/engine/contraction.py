"""Products of tensors in canonical form: deltas removed, powers collected, indices numbered.

Two products are the same node if their index graphs are isomorphic with the axes held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from matcalc.engine.cancellation import Places, cancel_inverse, cancel_signs, find_places
from matcalc.engine.index_numbering import number_indices
from matcalc.errors import LimitError
from matcalc.language.sizes import Size

if TYPE_CHECKING:
    from matcalc.engine.index_form import Graph, Node, Part


MANY_FACTORS = 200


def is_closed(node: Node) -> bool:
    """Whether a scalar is one connected sum of products, a factor that is not opened."""
    return node.op == "product" and node.rank == 0 and any(labels for _, labels in node.parts)


def connected(factors: Sequence[Part], out: set[int]) -> list[list[Part]]:
    """The factors in groups that share indices which are summed over."""
    groups: list[tuple[set[int], list[Part]]] = []
    for part, labels in factors:
        bound = {label for label in labels if label not in out}
        joined = [group for group in groups if group[0] & bound]
        parts = [factor for group in joined for factor in group[1]] + [(part, labels)]
        groups = [group for group in groups if group not in joined]
        groups.append((bound.union(*[group[0] for group in joined]), parts))
    return [parts for _, parts in groups]


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
        self.reduce()
        self._close_scalars()
        if self.zero:
            return graph.zeros(shape)
        if not self.factors:
            return graph.number(self.coefficient)
        sign, factors = number_indices(graph, self.factors, self.out)
        self.coefficient *= sign
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
        groups = connected(self.factors, set(self.out))
        closed = [group for group in groups if group[0][1] and self._is_inner(group)]
        if not closed or (len(groups) == 1 and self.coefficient == 1):
            return
        self.factors = [factor for group in groups if group not in closed for factor in group]
        for group in closed:
            self._add(self.graph.product(1, group, ()), ())
        self._collect_powers()

    def _is_inner(self, group: list[Part]) -> bool:
        return not any(label in self.out for _, labels in group for label in labels)

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

    def reduce(self) -> None:
        """Remove deltas, collect powers, cancel inverses and count free sums, until nothing changes."""
        changed = True
        while changed:
            self._join_deltas()
            self._collect_powers()
            self._drop_covered_ones()
            changed = self._join_fused() or self._cancel_inverses() or self._contract_orthogonal()
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
            node, labels = self._as_diagonal(node, labels)
            if node.op == "delta":
                self._join(*labels)
                rest.append((self.graph.ones(node.shape[0]), (labels[0],)))
            else:
                rest.append((node, labels))
        self._rename(rest)

    def _as_diagonal(self, node: Node, labels: tuple[int, ...]) -> Part:
        """D[i,j] of a diagonal D is D[i,i] * delta[i,j]."""
        if len(labels) == 2 and labels[0] != labels[1] and self.graph.has(node, "diagonal"):
            self._join(*labels)
        return node, labels

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
            base, exponent = (node.parts[0][0], node.payload) if node.op == "power" else (node, Fraction(1))
            if base.symmetric and len(labels) == 2:
                labels = (min(labels), max(labels))
            bases[base.id] = base
            key = (base.id, labels)
            exponents[key] = exponents.get(key, Fraction(0)) + exponent
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
            plain, amount = (node.parts[0][0], node.payload) if node.op == "power" else (node, Fraction(1))
            bases[plain.id] = plain
            exponents[plain.id, labels] = exponents.get((plain.id, labels), Fraction(0)) + amount

    def _settle(self, base: Node, exponent: Fraction, labels: tuple[int, ...], factors: list[Part]) -> Node | None:
        """Return the factor base**exponent, or None where it became a number or ones."""
        if exponent == 0:
            factors.extend((self.graph.ones(size), (k,)) for size, k in zip(base.shape, labels, strict=True))
            return None
        if base.op in {"ones", "delta", "lower", "fuse"}:
            return self.graph.power(base, exponent) if exponent < 0 else base
        if base.op == "number" and exponent.denominator == 1:
            self.coefficient *= base.payload ** int(exponent)
            return None
        return base if exponent == 1 else self.graph.power(base, exponent)

    def _uses(self) -> Places:
        """Return for each index the places (factor, position) where it stands, ones left out."""
        return find_places(self.factors)

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
        uses, out = self._uses(), set(self.out)
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
        uses, out = self._uses(), set(self.out)
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

    def _drop_covered_ones(self) -> None:
        """Ones beside another factor are nothing; left there they would count an index that a later step sums away."""
        uses = self._uses()
        self.factors = [part for part in self.factors if part[0].op != "ones" or part[1][0] not in uses]

    def _drop_ones(self) -> None:
        """Ones beside another factor are nothing; ones summed over count the size of the index."""
        uses, out = self._uses(), set(self.out)
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
