"""The result once more, with everything known of the variables used: the pass between differentiating and reading.

Differentiating treats the variable as unstructured, every entry free; afterwards its declared structure
holds again (A.T is A).  One pass over the nodes, operands first, so it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

from matcalc.engine.expression_to_index import apply_identity, convert_body
from matcalc.engine.index_form import LONG_SUM, Graph, Node, Part, reachable
from matcalc.engine.products import applies, base_and_exponent, is_closed
from matcalc.engine.scalar_algebra import shorten_entrywise
from matcalc.engine.sums import add_remainders, multiply_around, place_factors
from matcalc.rule_files import shipped_rules


def simplify(old: Graph, roots: Sequence[Node], free: frozenset[str] = frozenset()) -> tuple[Graph, list[Node]]:
    """Return a graph in which only the variables in `free` are unstructured, and the roots in it.

    What the roots share is rebuilt once.
    """
    graph = Graph(free, old.rules)
    known: dict[int, Node] = {}
    kept: set[int] = set()
    tops = [*roots, *(node for node in old.nodes() if node.id in old.origins)]
    nodes = reachable(*tops)
    uses = Counter(part.id for node in nodes for part, _ in node.parts)
    for node in nodes:
        new = _rebuild(graph, node, known)
        known[node.id] = new = graph.held_running(new) if uses[node.id] > 1 else new
        is_same = node.op == new.op and node.payload == new.payload and len(node.parts) == len(new.parts)
        if is_same and all(part.id in kept for part, _ in node.parts):
            kept.add(node.id)
        # What became simpler is no longer what the reader wrote.
        if node.id in old.origins and node.id in kept:
            graph.origins.setdefault(known[node.id].id, old.origins[node.id])
    return graph, [known[root.id] for root in roots]


def _rebuild(graph: Graph, node: Node, known: dict[int, Node]) -> Node:
    """The same node from rebuilt operands; products go through the rewrites."""
    parts = [(known[part.id], labels) for part, labels in node.parts]
    axes = tuple(range(node.rank))
    match node.op:
        case "variable":
            return graph.variable(node.payload)
        case "product":
            found = rewritten_product(graph, node.payload, fresh_parts(graph, parts, node.rank), node.rank)
            return shorten_entrywise(graph, found)
        case "sum":
            terms = [(c, part, labels) for c, (part, labels) in zip(node.payload, parts, strict=True)]
            return shorten_entrywise(graph, shorter_sum(graph, graph.sum(terms, axes, node.shape)))
        case "power":
            return graph.power(parts[0][0], node.payload)
        case "general_power":
            return graph.general_power(parts[0], parts[1], node.shape)
        case "apply":
            return graph.apply(node.payload, _readable_step(graph, node, parts), node.shape)
        case "call":
            rule, batch = node.payload
            is_of_matrix = not batch and len(parts) == 1 and parts[0][0].rank == 2
            simpler = apply_identity(graph, rule, parts[0][0]) if is_of_matrix else None
            return simpler or graph.call(rule, batch, parts, node.shape)
        case "held" if parts[0][0].op not in {"product", "sum"}:
            return parts[0][0]
    return graph.intern(node.op, node.shape, node.payload, tuple(parts), node.symmetric)


_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}


def _readable_step(graph: Graph, node: Node, parts: list[Part]) -> list[Part]:
    """where(0 > z, 0, 1) is where(z >= 0, 1, 0): the variable first, and what counts where the condition holds."""
    if node.payload != shipped_rules()["where"] or parts[0][0].payload not in _OPPOSITE:
        return parts
    (condition, labels), (chosen, _), (otherwise, _) = parts
    sign, compared = condition.payload, list(condition.parts)
    if not compared[0][0].rank and compared[0][0].op == "number":
        sign, compared = _MIRRORED[sign], compared[::-1]
    if chosen.op == otherwise.op == "number" and not chosen.payload and otherwise.payload:
        sign, parts = _OPPOSITE[sign], [parts[0], parts[2], parts[1]]
    return [(graph.apply(sign, compared, condition.shape), labels), *parts[1:]]


# --- rewrite products -------------------------------------------------------------------------------
#
# Rewrites of a product of the result: each makes it smaller, so rewriting ends.
#
# * a sum with more than two axes is multiplied out, since a reader sees it term by term;
# * a sum is multiplied out where that leaves fewer factors: y.T @ (eye - ones @ s.T) is y.T - sum(y)*s.T;
# * exp(z)/(1 + exp(z)) is sigmoid(z), sinh(z)/cosh(z) is tanh(z), sin(z)/cos(z) is tan(z);
# * relu(z) times the step of z is relu(z), z*sign(z) is abs(z), abs(z)*sign(z) is z;
# * what stands below a fraction bar cancels where it stands opened above: (A @ x)/(A @ x)**2 is 1/(A @ x);
# * a bracket times a vector is the difference of vectors where that has fewer factors: (eye - s @ ones.T) @ y;
# * the Jacobian of a matrix function f comes down to f'(X) in a trace and along a direction that commutes with X;
# * the entries of a point of the simplex sum to 1, of a matrix those of each row, and so do those of one-hot rows.


_MANY_TERMS = 200
# Brackets are multiplied out on trial only in products and sums that a reader could still take in.
FEW_TERMS = LONG_SUM
_FEW_FACTORS = 12


def rewritten_product(graph: Graph, coefficient: Fraction, parts: list[Part], rank: int) -> Node:
    """Return coefficient * product of parts, with axes 0 ... rank - 1, after the rewrites."""
    parts = [(rewritten_scalar(graph, part), labels) for part, labels in parts]
    for rewrite in (
        _logistic, _quotient, _absorbed_step, _absorbed_sign, _power_of_sums, _bracket_times_vector,
        _trace_of_jacobian, _commuting_direction, _simplex_sum,
    ):
        found = rewrite(graph, parts, rank)
        while found is not None:
            parts = found
            found = rewrite(graph, parts, rank)
    tall = next((k for k, (part, _) in enumerate(parts) if part.op == "sum" and part.rank > 2), None)
    if tall is not None and len(parts[tall][0].parts) <= _MANY_TERMS:
        return multiplied_out(graph, coefficient, parts, rank, tall)
    plain = graph.product(coefficient, parts, range(rank))
    scalars = [part for part, _ in plain.parts if is_closed(part)] if plain.op == "product" else []
    if any(rewritten_scalar(graph, part) is not part for part in scalars):
        return rewritten_product(graph, plain.payload, fresh_parts(graph, list(plain.parts), rank), rank)
    if plain.op == "product" and len(plain.parts) < len(parts):
        parts = list(plain.parts)
        coefficient = plain.payload
    return _shorter_multiplied(graph, plain, coefficient, parts, rank)


def rewritten_scalar(graph: Graph, node: Node) -> Node:
    """A scalar that is one connected sum, after the rewrites, once for each; anything else as it stands."""
    if not is_closed(node):
        return node
    key = ("rewritten", node.id)
    if key not in graph.partials:
        graph.partials[key] = node
        graph.partials[key] = rewritten_product(graph, node.payload, fresh_parts(graph, list(node.parts), 0), 0)
    return graph.partials[key]


def fresh_parts(graph: Graph, parts: list[Part], rank: int) -> list[Part]:
    """The same factors with indices of this graph: axes 0, 1, ... stay, summed ones are fresh."""
    bound = sorted({label for _, labels in parts for label in labels if label >= rank})
    rename = dict(zip(bound, graph.fresh(len(bound)), strict=True)) | {k: k for k in range(rank)}
    return [(part, tuple([rename[label] for label in labels])) for part, labels in parts]


def multiplied_out(graph: Graph, coefficient: Fraction, parts: list[Part], rank: int, k: int) -> Node:
    """Multiply out the sum that is factor k."""
    found = [(1, rewritten_product(graph, c, factors, rank), range(rank)) for c, factors in _expand(graph, parts, k)]
    return graph.scaled(coefficient, graph.sum(found, range(rank), found[0][1].shape))


def _expand(graph: Graph, parts: list[Part], k: int) -> Iterator[tuple[Fraction, list[Part]]]:
    """The terms that multiplying out factor k gives: coefficient and factors."""
    total, labels = parts[k]
    rest = parts[:k] + parts[k + 1 :]
    for c, part, at in total.terms:
        missing = [(graph.ones(total.shape[a]), (labels[a],)) for a in range(total.rank) if a not in at]
        yield c, [*rest, (part, tuple([labels[a] for a in at])), *missing]


def _shorter_multiplied(graph: Graph, plain: Node, coefficient: Fraction, parts: list[Part], rank: int) -> Node:
    """Multiply out a sum, if that leaves fewer factors: terms cancel, deltas and ones go."""
    if len(parts) > _FEW_FACTORS:
        return plain
    for k, (part, labels) in enumerate(parts):
        if part.op != "sum" or len(part.parts) > FEW_TERMS or _stays_longer(parts, k):
            continue
        # Tried without rewriting the terms, so that many sums in one product do not multiply the work.
        expanded = [(c, graph.product(1, factors, range(rank)), range(rank)) for c, factors in _expand(graph, parts, k)]
        found = graph.sum(expanded, range(rank), plain.shape)
        # u*(1 - u**2) stays: only what cancels, or is summed over, is worth multiplying out.
        simpler = any(label >= rank for label in labels) or _count_terms(found) < len(expanded)
        if not simpler and not _cancels(part, parts[:k] + parts[k + 1 :]):
            continue
        if found.weight < plain.weight or (found.weight == plain.weight and not part.rank):
            return multiplied_out(graph, coefficient, parts, rank, k)
    return plain


def _stays_longer(parts: list[Part], k: int) -> bool:
    """Whether it is seen without trying that multiplying out factor k shortens nothing.

    That is so where the terms of the sum have nothing in common with each other and with the other factors, so that
    each repeats all of these.
    """
    total, labels = parts[k]
    rest = parts[:k] + parts[k + 1 :]
    if not total.rank or (len(rest) == 1 and rest[0][0].op == "sum"):
        return False
    beside = {_look(part, at) for part, at in rest}
    if len(beside) < len(rest) or any(look is None for look in beside):
        return False
    terms = set()
    for _, term, axes in total.terms:
        factors = term.factors if term.op != "number" else ()
        placed = [(part, tuple([labels[axes[at]] if at < term.rank else -at for at in own])) for part, own in factors]
        looks = [_look(part, at) for part, at in placed]
        if any(look is None or look in beside for look in looks):
            return False
        terms.add(tuple(sorted([part.id for part, _ in factors])))
    return len(terms) == len(total.parts)


def _look(node: Node, labels: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
    """What is raised to a power in a factor, and where it stands; None for what products open or rewrite."""
    base, _ = base_and_exponent(node)
    if not base.is_plain or (base.op == "product" and not is_closed(base)):
        return None
    return base.id, tuple(sorted(labels)) if base.symmetric else labels


def _count_terms(node: Node) -> int:
    """The terms of a sum, or of the longest sum that is a factor of the node; 1 where there is none."""
    sums = [part for part, _ in ((node, ()), *node.parts) if part.op == "sum"]
    return max([len(part.parts) for part in sums], default=1) if node.op in {"sum", "product"} else 1


def _cancels(total: Node, rest: list[Part]) -> bool:
    """Whether a factor beside a sum stands in it on the other side of the fraction bar: u*(v/u + w)."""
    beside = {base.id: exponent for base, exponent in map(base_and_exponent, [part for part, _ in rest])}
    inside = [inner for part, _ in total.parts for inner, _ in part.factors]
    return any(beside.get(base.id, 0) * exponent < 0 for base, exponent in map(base_and_exponent, inside))


def shorter_sum(graph: Graph, total: Node) -> Node:
    """Multiply out the terms of a sum, if that leaves fewer factors, as where terms cancel."""
    if total.op != "sum" or len(total.parts) > FEW_TERMS:
        return total
    total = _identity_beside_inverse(graph, total)
    if total.op != "sum":
        return total
    if not any(part.op == "product" and any(inner.op == "sum" for inner, _ in part.parts) for part, _ in total.parts):
        return total
    expanded = distributed(graph, total)
    return expanded if expanded.weight < total.weight else total


def _identity_beside_inverse(graph: Graph, total: Node) -> Node:
    """P @ inv(M) + c*eye(n) is (P + c*M) @ inv(M), where that is shorter: inv(I + X) @ (I - X) + I is 2*inv(I + X)."""
    terms = list(zip(total.payload, total.parts, strict=True))
    if total.rank != 2 or len(terms) != 2 or terms[0][1][0].op == terms[1][1][0].op:
        return total
    (amount, (identity, _)), (coefficient, (chain, axes)) = sorted(terms, key=lambda term: term[1][0].op != "delta")
    if identity.op != "delta" or chain.op != "product" or axes != (0, 1):
        return total
    for k, (part, labels) in enumerate(chain.parts):
        if part.op != "call" or part.payload[0].name != "inv" or min(labels) > 1 or max(labels) < 2:
            continue
        inner, (middle, end) = part.parts[0][0], (max(labels), min(labels))
        rest = graph.product(chain.payload, [*chain.parts[:k], *chain.parts[k + 1 :]], (1 - end, middle))
        below = inner if labels[0] == middle else graph.permuted(inner, (1, 0))
        bracket = graph.sum([(coefficient, rest, (0, 1)), (amount, below, (0, 1))], (0, 1), rest.shape)
        found = graph.product(1, [(bracket, (1 - end, middle)), (part, labels)], (0, 1))
        if found.weight < total.weight:
            return found
    return total


def distributed(graph: Graph, node: Node, least_rank: int = 0) -> Node:
    """Return the node with each of its products multiplied out once, at a sum of at least so many axes."""
    coefficient, inner = graph.split(node)
    axes = range(node.rank)
    if inner.op == "sum":
        terms = [(c, distributed(graph, part, least_rank), labels) for c, part, labels in inner.terms]
        return graph.scaled(coefficient, graph.sum(terms, axes, node.shape))
    if inner.op != "product" or len(inner.parts) > _FEW_FACTORS:
        return node
    for k, (part, _) in enumerate(inner.parts):
        if part.op == "sum" and part.rank >= least_rank and len(part.parts) <= FEW_TERMS and len(inner.parts) > 1:
            return multiplied_out(graph, coefficient * inner.payload, list(inner.parts), node.rank, k)
    return node


def gathered(graph: Graph, node: Node) -> Node:
    """Return a sum of products with what most of its terms share taken out, and the rest of them as one sum.

    X[i,a] U[k,j] P[i,j] - X[i,a] U[k,j] Y[i,j] is X[i,a] U[k,j] (P - Y)[i,j]: what lies inside a chain of matrices
    between the same indices is added there.
    """
    coefficient, inner = graph.split(node)
    if inner.op == "product":
        parts = [(gathered(graph, part) if part.op == "sum" else part, labels) for part, labels in inner.parts]
        same = all(new is part for (new, _), (part, _) in zip(parts, inner.parts, strict=True))
        return node if same else graph.product(coefficient * inner.payload, parts, range(node.rank))
    if inner.op != "sum" or len(inner.parts) > FEW_TERMS:
        return node
    terms = [(c * part.coefficient, place_factors(part, axes)) for c, part, axes in inner.terms]
    first, group, rest = terms[0], [terms[0]], []
    common = list(first[1])
    for term in terms[1:]:
        renamed = _rename_alike(first[1], term[1])
        shared = [part for part in common if part in renamed]
        if any(label < 0 for _, labels in shared for label in labels):
            group.append((term[0], renamed))
            common = shared
        else:
            rest.append(term)
    ways = [common, *([part for part in common if part is not one] for one in common)]
    taken = (_take_out(graph, group, way, inner) for way in ways) if len(group) > 1 else iter(())
    found = next((way for way in taken if way is not None), None)
    if found is None:
        return node
    others = [(1, graph.product(c, parts, own), own) for c, parts in rest for own in [_axes_of(parts)]]
    axes = range(inner.rank)
    return graph.scaled(coefficient, graph.sum([(1, found, axes), *others], axes, inner.shape))


def _axes_of(parts: list[Part]) -> list[int]:
    return sorted({label for _, labels in parts for label in labels if label >= 0})


def _rename_alike(pattern: list[Part], parts: list[Part]) -> list[Part]:
    """The factors of a term with the summed indices of another where the same factors stand at them."""
    known: dict[int, int] = {}
    left = list(parts)
    changed = True
    while changed:
        changed = False
        for part, labels in left:
            for other, at in pattern:
                pairs = list(zip(labels, at, strict=True)) if other is part else []
                fresh = {a: b for a, b in pairs if a < 0 and a not in known}
                renamed = known | fresh
                fits = all(renamed.get(a, a) == b and (a < 0) == (b < 0) for a, b in pairs)
                anchored = any(a >= 0 or a in known for a, _ in pairs)
                if fits and anchored and fresh and len(set(renamed.values())) == len(renamed):
                    known = renamed
                    changed = True
    # What has no counterpart gets numbers that no index of the pattern has.
    free = min([label for _, labels in [*pattern, *parts] for label in labels], default=0)
    for label in sorted({label for _, labels in parts for label in labels if label < 0 and label not in known}):
        free -= 1
        known[label] = free
    return [(part, tuple([known.get(label, label) for label in labels])) for part, labels in parts]


def _take_out(graph: Graph, group: list[tuple[Fraction, list[Part]]], common: list[Part], total: Node) -> Node | None:
    """common * (the sum of what is left of each term); None where that is no matrix, column or row."""
    inner, kept = add_remainders(graph, group, common)
    if not 0 < len(kept) <= 2:
        return None
    return multiply_around(graph, common, (shorter_sum(graph, inner), kept), total.shape)


def _logistic(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """exp(z) / (1 + exp(z)) = sigmoid(z)."""
    for k, (node, labels) in enumerate(parts):
        if node.op != "power" or node.payload != -1 or node.parts[0][0].op != "sum":
            continue
        grown = _one_plus_exponential(graph, node.parts[0][0])
        if grown is None or (grown, labels) not in parts:
            continue
        rest = [part for at, part in enumerate(parts) if at != k]
        rest.remove((grown, labels))
        sigmoid = graph.apply(shipped_rules()["sigmoid"], grown.parts, grown.shape)
        return [*rest, (sigmoid, labels)]
    return None


_QUOTIENTS = (("sinh", "cosh", "tanh"), ("sin", "cos", "tan"))


def _quotient(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """sinh(z)/cosh(z) = tanh(z), which does not overflow, and sin(z)/cos(z) = tan(z)."""
    for above, below, name in _QUOTIENTS:
        for node, labels in parts:
            base, exponent = base_and_exponent(node)
            if base.op != "apply" or base.payload != shipped_rules()[above] or exponent < 0:
                continue
            divisor = graph.power(graph.apply(shipped_rules()[below], base.parts, base.shape), -exponent)
            if (divisor, labels) in parts:
                rest = list(parts)
                rest.remove((node, labels))
                rest.remove((divisor, labels))
                whole = graph.apply(shipped_rules()[name], base.parts, base.shape)
                return [*rest, (graph.power(whole, exponent), labels)]
    return None


# The functions that are z on one side of 0 and 0 on the other, by the side.
_RECTIFIED = {">": ("relu", "maximum"), ">=": ("relu", "maximum"), "<": ("minimum",), "<=": ("minimum",)}


def _absorbed_step(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """relu(z)*where(z > 0, 1, 0) = relu(z), and so with maximum(0, z), minimum(0, z) and their powers."""
    for step, labels in parts:
        if not applies(step, "where"):
            continue
        (condition, at), (chosen, _), (otherwise, _) = step.parts
        if (chosen.op, otherwise.op) != ("number", "number") or (chosen.payload, otherwise.payload) != (1, 0):
            continue
        if condition.payload not in _RECTIFIED or at != tuple(range(step.rank)) or not _is_zero(condition.parts[1]):
            continue
        for node, own in parts:
            base, exponent = base_and_exponent(node)
            rectifies = any(applies(base, name) for name in _RECTIFIED[condition.payload]) and exponent > 0
            if rectifies and own == labels and [p for p in base.parts if not _is_zero(p)] == [condition.parts[0]]:
                return [part for part in parts if part != (step, labels)]
    return None


def _absorbed_sign(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """z*sign(z) = abs(z), and abs(z)*sign(z) = z."""
    for sign, labels in parts:
        if not applies(sign, "sign") or sign.parts[0][1] != tuple(range(sign.rank)):
            continue
        inner = sign.parts[0][0]
        absolute = graph.apply(shipped_rules()["abs"], sign.parts, sign.shape)
        for node, own in parts:
            base, exponent = base_and_exponent(node)
            if own == labels and base in (inner, absolute) and exponent >= 1:
                rest = [part for part in parts if part not in ((sign, labels), (node, own))]
                whole = absolute if base is inner else inner
                return [*rest, (graph.power(base, exponent - 1), labels), (whole, labels)]
        others = [part for part in parts if part != (sign, labels)]
        opened = _find_opened(inner, labels, others, rank) if inner.op == "product" and inner.payload == 1 else None
        if opened is not None:
            return [*[part for at, part in enumerate(others) if at not in opened], (absolute, labels)]
    return None


def _is_zero(part: Part) -> bool:
    return part[0].op == "number" and not part[0].payload


def _power_of_sums(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """(A @ x)**k times A @ x, whose factors stand opened in the product, is (A @ x)**(k + 1)."""
    for k, (node, labels) in enumerate(parts):
        base, exponent = base_and_exponent(node)
        if base.op != "product" or base.payload != 1 or exponent > -1:
            continue
        others = [part for at, part in enumerate(parts) if at != k]
        found = _find_opened(base, labels, others, rank)
        if found is not None:
            rest = [part for at, part in enumerate(others) if at not in found]
            return [*rest, (graph.power(base, exponent + 1), labels)]
    return None


def _find_opened(base: Node, labels: tuple[int, ...], parts: list[Part], rank: int) -> set[int] | None:
    """The places of the factors that are those of `base`, summed over what no other factor has."""
    matched: list[tuple[set[int], dict[int, int]]] = [(set(), dict(enumerate(labels)))]
    for inner, at in base.parts:
        grown: list[tuple[set[int], dict[int, int]]] = []
        for taken, known in matched:
            for place, (part, own) in enumerate(parts):
                if part is not inner or place in taken or len(grown) > FEW_TERMS:
                    continue
                pairs = list(zip(at, own, strict=True))
                if all(known.get(k, label) == label for k, label in pairs):
                    grown.append((taken | {place}, known | dict(pairs)))
        matched = grown
    for taken, known in matched:
        summed = [label for k, label in known.items() if k >= base.rank]
        beside = {label for place, (_, own) in enumerate(parts) if place not in taken for label in own} | set(labels)
        if len(set(summed)) == len(summed) and all(label >= rank and label not in beside for label in summed):
            return taken
    return None


def _bracket_times_vector(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """(eye(n) - s @ ones(n).T) @ y = y - sum(y)*s, inside a longer product too."""
    used = Counter(label for part, at in parts if part.op != "ones" for label in at)
    for k, (total, labels) in enumerate(parts):
        if total.op != "sum" or total.rank != 2 or len(total.parts) > FEW_TERMS or labels[0] == labels[1]:
            continue
        for middle, far in (labels, labels[::-1]):
            places = [at for at, (part, own) in enumerate(parts) if own == (middle,) and part.op != "ones"]
            if middle < rank or not places or used[middle] != 1 + len(places):
                continue
            (summed,) = graph.fresh(1)
            bracket = (total, tuple([summed if label == middle else 0 for label in labels]))
            vectors = [(parts[at][0], (summed,)) for at in places]
            terms = [(c, rewritten_product(graph, Fraction(1), factors, 1), (0,)) for c, factors in
                     _expand(graph, [bracket, *vectors], 0)]  # fmt: skip
            found = graph.sum(terms, (0,), (total.shape[labels.index(far)],))
            if (shifted := _without_shift(graph, bracket, vectors, summed)) is not None:
                return [(shifted, own) if at in places else (part, own) for at, (part, own) in enumerate(parts)]
            # An identity matrix goes; of other brackets only what becomes shorter.
            spare = any(part.op == "delta" for part, _ in total.parts)
            if found.weight < total.weight + sum([part.weight for part, _ in vectors]) + spare:
                return [*[part for at, part in enumerate(parts) if at != k and at not in places], (found, (far,))]
    return None


def _without_shift(graph: Graph, bracket: Part, vectors: Sequence[Part], summed: int) -> Node | None:
    """Return v for (diag(s) - s @ s.T) @ (c + v), where s sums to 1, so that c goes; v has a term less."""
    vector = vectors[0][0]
    if len(vectors) != 1 or vector.op != "sum":
        return None
    moved = [(c, part, labels) for c, (part, labels) in zip(vector.payload, vector.parts, strict=True) if labels]
    if len(moved) == len(vector.parts):
        return None
    ones = (graph.ones(vector.shape[0]), (summed,))
    terms = _expand(graph, [bracket, ones], 0)
    rows = [(c, rewritten_product(graph, Fraction(1), factors, 1), (0,)) for c, factors in terms]
    is_lost = graph.sum(rows, (0,), rows[0][1].shape).op == "zeros"
    return graph.sum(moved, (0,), vector.shape) if is_lost else None


def _one_plus_exponential(graph: Graph, total: Node) -> Node | None:
    """Return exp(z) if the sum is 1 + exp(z)."""
    if len(total.parts) != 2 or set(total.payload) != {Fraction(1)}:
        return None
    grown = [part for part, labels in total.parts if part.op == "apply" and part.payload == shipped_rules()["exp"]]
    return grown[0] if grown and any(part is graph.one for part, _ in total.parts) else None


def _trace_of_jacobian(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """The trace of df(X)[dX] is the trace of f'(X) dX: J[i,i,a,b] summed over i is f'(X)[b,a]."""
    for k, (node, labels) in enumerate(parts):
        if not _is_jacobian(node) or labels[0] != labels[1]:
            continue
        used = Counter(label for _, at in parts for label in at)
        if labels[0] >= rank and used[labels[0]] == 2:
            return [*parts[:k], *parts[k + 1 :], (_primary(graph, node), (labels[3], labels[2]))]
    return None


def _commuting_direction(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """df(X)[A] is A f'(X) where X is a multiple of A."""
    for k, (node, labels) in enumerate(parts):
        if not _is_jacobian(node):
            continue
        direction = _single_matrix(node.parts[0][0])
        used = Counter(label for _, at in parts for label in at)
        for at, (other, ends) in enumerate(parts):
            summed = all(label >= rank and used[label] == 2 for label in labels[2:])
            if other is direction and ends == labels[2:] and summed:
                (middle,) = graph.fresh(1)
                kept = [part for place, part in enumerate(parts) if place not in (k, at)]
                return [*kept, (other, (labels[0], middle)), (_primary(graph, node), (middle, labels[1]))]
    return None


def _single_matrix(argument: Node) -> Node:
    """A, where the argument is a number or a scalar times A."""
    if argument.op != "product":
        return argument
    matrices = [(part, labels) for part, labels in argument.parts if part.rank]
    plain = len(matrices) == 1 and matrices[0][1] == (0, 1)
    return matrices[0][0] if plain else argument


def _is_jacobian(node: Node) -> bool:
    return node.op == "call" and bool(node.payload[0].primary)


def _primary(graph: Graph, node: Node) -> Node:
    """f'(X) of the Jacobian of f at X."""
    rule, argument = node.payload[0], node.parts[0][0]
    return convert_body(graph, rule, rule.primary, (argument.shape,), {"X": argument})


def _simplex_sum(graph: Graph, parts: list[Part], rank: int) -> list[Part] | None:
    """sum(y) = 1 for a point y of the simplex, and for softmax(x), along its axis."""
    used = Counter(label for part, at in parts if part.op != "ones" for label in at)
    for k, (node, labels) in enumerate(parts):
        summed = _simplex_axis(graph, node)
        if summed is None or labels[summed] < rank or used[labels[summed]] != 1:
            continue
        rest = [part for at, part in enumerate(parts) if at != k and labels[summed] not in part[1]]
        return rest + [(graph.ones(node.shape[a]), (labels[a],)) for a in range(node.rank) if a != summed]
    return None


def _simplex_axis(graph: Graph, node: Node) -> int | None:
    """The axis along which the entries of a node sum to 1, if there is one."""
    if node.rank and (graph.has(node, "simplex") or graph.has(node, "one-hot")):
        return node.rank - 1
    if node.rank and graph.has(node, "simplex-columns"):
        return 0
    if node.op == "call" and node.payload[0].name == "softmax":
        return node.payload[1] if node.rank == node.payload[1] + 1 else None
    return None
