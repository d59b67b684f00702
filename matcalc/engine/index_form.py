"""The index form: interned tensors with positional axes, joined by named indices.

A node is one of

| op | what it is | payload | parts |
| --- | --- | --- | --- |
| variable | X[a, b] | the symbol | |
| number, size, constant | a scalar | Fraction, letter, name | |
| zeros, ones, delta, lower, fuse, duplication | fixed arrays of 0 and 1 | | |
| product | coefficient * factors, summed over the indices that are no axes | coefficient | (factor, indices) ... |
| sum | terms added; a term without an axis is repeated along it | coefficients | (term, axes) ... |
| held | a long product or sum that is not opened where it is a factor or a term | | (the product, axes) |
| power | base ** exponent, entry by entry | exponent (Fraction) | (base, axes) |
| general_power | base ** exponent with a tensor as exponent | | base, exponent |
| apply | an elementwise function | rule, or the text of a comparison | (argument, axes) ... |
| call | a function with a differential, once for each batch index | rule, batch rank | (argument, axes) ... |
| abstract | u(x), and of order 1 and up D(u, x) | name, order, shape of u | (argument, axes) |
| written | a scalar known by its text only, made while reading | the expression | |

Nodes are interned in a `Graph` that lives as long as one derivation: equal means identical, and the
`id` of a node is the order in which it was first written, which keeps the reader's order of terms.
Operands always have smaller ids than the nodes that use them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from matcalc.engine.products import ONE, Contraction, to_fraction
from matcalc.engine.sums import add_terms
from matcalc.errors import LimitError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size
from matcalc.rule_files import Rule, RuleBook

Labels = tuple[int, ...]
Part = tuple["Node", Labels]

# Beside the functions of numbers, what no rewrite of a product looks for.
_PLAIN = {"product", "sum", "held", "size", "constant", "written", "abstract"}
IDEMPOTENT = {"ones", "delta", "lower", "fuse", "duplication"}
# Axes are numbered from 0; indices that are made up start beyond any of them.
FIRST_FRESH = 1000
# Sums of up to so many terms are opened where they are used several times, and rewritten by multiplying out.
LONG_SUM = 8
SYMMETRIC = {"symmetric", "posdef", "diagonal"}


class Node:
    """One tensor; `shape` holds the size of each axis, `parts` the operands with the indices on their axes.

    `weight` is how many factors are written for the node; the inside of a function counts as one.  What `is_plain` has
    nothing to do with other factors of a product, but for powers of the same.
    """

    __slots__ = ("id", "op", "shape", "payload", "parts", "symmetric", "weight", "is_plain")

    def __init__(
        self, identity: int, op: str, shape: Shape, payload: Any, parts: tuple[Part, ...], symmetric: bool | None
    ) -> None:
        self.id = identity
        self.op = op
        self.shape = shape
        self.payload = payload
        self.parts = parts
        self.symmetric = symmetric
        self.weight = self._weigh()
        self.is_plain = self._stands_alone()

    def _weigh(self) -> int:
        # Of the weights of the operands, since a walk over all that is below would take each shared node many times.
        if self.op in {"product", "sum", "held"}:
            return sum([part.weight for part, _ in self.parts])
        if self.op == "power":
            return self.parts[0][0].weight + (self.payload not in (1, -1))
        if self.op == "number":
            return 1 if self.payload else 0
        return 0 if self.op == "zeros" else 1

    def _stands_alone(self) -> bool:
        if self.op == "variable":
            return not self.payload.data[1]
        return self.op in _PLAIN or (self.op == "apply" and getattr(self.payload, "name", "") != "sign")

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def factors(self) -> tuple[Part, ...]:
        """The factors of a product; of anything else the node itself."""
        return self.parts if self.op == "product" else ((self, tuple(range(self.rank))),)

    @property
    def coefficient(self) -> Fraction:
        """The number in front of the factors."""
        return self.payload if self.op == "product" else ONE

    @property
    def terms(self) -> Iterator[tuple[Fraction, Node, Labels]]:
        """The terms of a sum, each with its coefficient and its axes."""
        return ((coefficient, *part) for coefficient, part in zip(self.payload, self.parts, strict=True))

    def __repr__(self) -> str:
        inside = ", ".join(f"{part.op}#{part.id}{list(labels)}" for part, labels in self.parts)
        return f"{self.op}#{self.id}({self.payload}; {inside})"


class Graph:
    """The nodes of one derivation, and the constructors that keep them in canonical form.

    `free` names the variables whose declared structure must not be used, because every entry of
    them is differentiated by on its own; `rules` are those that the texts of rules may call.
    """

    def __init__(self, free: frozenset[str] = frozenset(), rules: RuleBook | None = None) -> None:
        self.free = free
        self.rules = rules
        self.origins: dict[int, Expression] = {}
        self.partials: dict[Any, Node] = {}
        self.labels = FIRST_FRESH
        self._interned: dict[Any, Node] = {}
        self.sums: dict[Any, Node] = {}
        self.lengths: dict[int, int] = {}
        self.one = self.number(1)

    def fresh(self, count: int) -> Labels:
        """Return indices that no other factor carries."""
        self.labels += count
        return tuple(range(self.labels - count, self.labels))

    def intern(
        self, op: str, shape: Shape, payload: Any = None, parts: tuple[Part, ...] = (), symmetric: bool | None = None
    ) -> Node:
        """Return the one node with these contents; `symmetric` says whether its two axes may be exchanged."""
        key = (op, shape, payload, tuple([(part.id, labels) for part, labels in parts]))
        found = self._interned.get(key)
        if found is not None:
            return found
        node = Node(len(self._interned), op, shape, payload, parts, symmetric)
        self._interned[key] = node
        return node

    def nodes(self) -> Iterator[Node]:
        """Every node, oldest first."""
        yield from list(self._interned.values())

    # --- leaves -----------------------------------------------------------------------------------

    def variable(self, symbol: Expression) -> Node:
        """X, with its unit axes dropped."""
        structure = symbol.data[1] if symbol.name not in self.free else frozenset()
        return self.intern("variable", symbol.squeezed_shape, symbol, (), bool(structure & SYMMETRIC))

    def has(self, node: Node, assumption: str) -> bool:
        """Whether the node is a variable that was declared so and may be simplified by it, or a function that is so."""
        if node.op == "call":
            return assumption == "orthogonal" and not node.payload[1] and bool(node.payload[0].orthogonal)
        return node.op == "variable" and node.payload.name not in self.free and assumption in node.payload.data[1]

    def number(self, value: Fraction | int) -> Node:
        """An exact number."""
        return self.intern("number", (), to_fraction(value))

    def constant(self, name: str) -> Node:
        """pi or e."""
        return self.intern("constant", (), name)

    def size(self, size: Size) -> Node:
        """A size as a number: the product of its letters."""
        letters = [(self.intern("size", (), letter), ()) for letter in size.letters]
        return self.product(Fraction(size.number), letters, ())

    def zeros(self, shape: Shape) -> Node:
        """The tensor of zeros."""
        return self.number(0) if not shape else self.intern("zeros", shape)

    def ones(self, size: Size) -> Node:
        """The vector of ones."""
        return self.intern("ones", (size,))

    def missing_ones(self, shape: Shape, axes: Collection[int]) -> list[Part]:
        """Ones along the axes of a shape but for these, by which a product has the others as well."""
        return [(self.ones(size), (k,)) for k, size in enumerate(shape) if k not in axes]

    def repeated(self, node: Node, axes: Sequence[int], shape: Shape) -> Node:
        """The node that lies on these axes of a shape, repeated along the others."""
        return self.product(1, [(node, tuple(axes)), *self.missing_ones(shape, axes)], range(len(shape)))

    def delta(self, size: Size) -> Node:
        """delta[i, j], the identity matrix."""
        return self.intern("delta", (size, size), symmetric=True)

    def lower(self, rows: Size, columns: Size) -> Node:
        """lower[i, j] = 1 where i >= j."""
        return self.intern("lower", (rows, columns))

    def fuse(self, first: Size, second: Size) -> Node:
        """fuse[I, i, p] = 1 where I = i*second + p: the axis I joins the axes i and p."""
        return self.intern("fuse", (first * second, first, second))

    def duplication(self, size: Size) -> Node:
        """duplication[I, h] = 1 where entry I of vec(X) is the entry h on or below the diagonal of a symmetric X."""
        return self.intern("duplication", (size * size, size.triangle()), size)

    # --- products and sums ------------------------------------------------------------------------

    def product(self, coefficient: Fraction | int, factors: Sequence[Part], out: Sequence[int]) -> Node:
        """coefficient * product of factors, summed over every index that is not in `out`."""
        return Contraction(self, to_fraction(coefficient), factors, out).node()

    def scaled(self, coefficient: Fraction | int, node: Node) -> Node:
        """coefficient * node."""
        if coefficient == 1:
            return node
        axes = self.fresh(node.rank)
        return self.product(coefficient, [(node, axes)], axes)

    def permuted(self, node: Node, order: Sequence[int]) -> Node:
        """The node with axis `order[k]` of it as axis k."""
        if list(order) == list(range(node.rank)):
            return node
        axes = self.fresh(node.rank)
        return self.product(1, [(node, axes)], [axes[k] for k in order])

    def split(self, node: Node) -> tuple[Fraction, Node]:
        """Return the number in front of the node and the rest."""
        if node.op == "number":
            return node.payload, self.one
        if node.op != "product" or node.payload == 1:
            return ONE, node
        axes = range(node.rank)
        if len(node.parts) == 1 and node.parts[0][1] == tuple(axes):
            return node.payload, node.parts[0][0]
        return node.payload, self.intern("product", node.shape, ONE, node.parts, node.symmetric)

    def split_terms(self, node: Node) -> list[tuple[Fraction, Node, Labels]]:
        """The terms of a sum, each with its coefficient and its axes; of anything else the node itself."""
        coefficient, inner = self.split(node)
        if inner.op != "sum":
            return [(coefficient, inner, tuple(range(node.rank)))]
        return [(coefficient * c, part, at) for c, part, at in inner.terms]

    def held(self, node: Node) -> Node:
        """The node as one factor that products do not open, one term that sums do not open."""
        return self.intern("held", node.shape, None, ((node, tuple(range(node.rank))),), node.symmetric)

    def held_running(self, node: Node) -> Node:
        """The node, held if it is a sum, or a multiple of one, that is long or holds one that was.

        Opened at each of its uses, a sum that runs through the layers of a network grows with their square.
        """
        coefficient, total = self.split(node)
        if total.op != "sum" or (len(total.parts) <= LONG_SUM and all(part.op != "held" for part, _ in total.parts)):
            return node
        return self.scaled(coefficient, self.held(total))

    def sum(
        self, terms: Iterable[tuple[Fraction | int, Node, Sequence[int]]], out: Sequence[int], shape: Shape
    ) -> Node:
        """Add terms (coefficient, node, indices of its axes), each repeated along the indices it lacks."""
        return add_terms(self, terms, out, shape)

    # --- functions --------------------------------------------------------------------------------

    def power(self, base: Node, exponent: Fraction | int) -> Node:
        """base ** exponent, entry by entry.

        (x**a)**b is x**(a*b), and (c*u*v)**b is c**b * u**b * v**b, only where b is an integer: for other
        exponents the two sides differ at negative entries.
        """
        exponent = to_fraction(exponent)
        if exponent == 1:
            return base
        axes = self.fresh(base.rank)
        if exponent == 0:
            return self.product(1, [(self.ones(size), (k,)) for size, k in zip(base.shape, axes, strict=True)], axes)
        if base.op == "ones" or base is self.one or (base.op in IDEMPOTENT and exponent > 0):
            return base
        if (base.op in IDEMPOTENT or base.op == "zeros") and exponent < 0:
            raise LimitError("division by zero", advice="an array with zeros stands below a fraction bar")
        whole = exponent.denominator == 1
        if base.op == "number" and whole and abs(exponent) <= 64 and base.payload:
            return self.number(base.payload ** int(exponent))
        if base.op == "power" and whole:
            return self.power(base.parts[0][0], base.payload * exponent)
        if base.op == "apply" and whole and exponent % 2 == 0 and getattr(base.payload, "name", "") == "abs":
            return self.power(base.parts[0][0], exponent)
        if base.op == "product" and not whole and self._is_positive_constant(base):
            roots = [(self.power(part, exponent), ()) for part, _ in base.parts]
            return self.product(1, [(self.power(self.number(base.payload), exponent), ()), *roots], ())
        if base.op == "product" and (whole or (base.payload == 1 and len(base.parts) == 1)):
            return self._power_of_product(base, exponent)
        return self.intern("power", base.shape, exponent, ((base, tuple(range(base.rank))),), base.symmetric)

    @staticmethod
    def _is_positive_constant(base: Node) -> bool:
        return base.payload > 0 and all(part.op in {"constant", "size"} for part, _ in base.parts)

    def _power_of_product(self, base: Node, exponent: Fraction) -> Node:
        """Raise the factors that are not summed over; what is summed over stays together."""
        out = range(base.rank)
        factors: list[Part] = []
        bound: list[Part] = []
        for part, labels in base.parts:
            if all(label < base.rank for label in labels):
                factors.append((self.power(part, exponent), labels))
            else:
                bound.append((part, labels))
        coefficient = base.payload
        if not bound:
            return self.product(self._number_power(coefficient, exponent), factors, out)
        if not factors and coefficient == 1:
            return self.intern("power", base.shape, exponent, ((base, tuple(out)),), base.symmetric)
        axes = sorted({label for _, labels in bound for label in labels if label < base.rank})
        inner = self.power(self.product(1, bound, axes), exponent)
        return self.product(self._number_power(coefficient, exponent), [*factors, (inner, tuple(axes))], out)

    @staticmethod
    def _number_power(value: Fraction, exponent: Fraction) -> Fraction:
        return value ** int(exponent) if exponent.denominator == 1 else value

    def general_power(self, base: Part, exponent: Part, shape: Shape) -> Node:
        """base ** exponent where the exponent is no number; indices are axes of the result."""
        if exponent[0].op == "number":
            return self.repeated(self.power(base[0], exponent[0].payload), base[1], shape)
        return self.intern("general_power", shape, None, (base, exponent))

    def apply(self, rule: Rule | str, arguments: Sequence[Part], shape: Shape) -> Node:
        """An elementwise function, or a comparison; the indices are axes of the result."""
        parts = tuple(arguments)
        symmetric = len(parts) == 1 and parts[0][0].symmetric
        return self.intern("apply", shape, rule, parts, symmetric)

    def call(self, rule: Rule, batch: int, arguments: Sequence[Part], shape: Shape) -> Node:
        """A function with a differential; indices below `batch` are batch axes, the others its own axes."""
        parts = tuple(arguments)
        symmetric = rule.symmetric and not batch and parts[0][0].symmetric
        return self.intern("call", shape, (rule, batch), parts, symmetric)

    def abstract(self, name: str, order: int, argument: Node, result: Shape) -> Node:
        """u(x), or its derivative of some order with axes S_u, then those of x once for each order."""
        shape = result + order * argument.shape
        return self.intern("abstract", shape, (name, order, result), ((argument, tuple(range(argument.rank))),))


def reachable(*roots: Node, known: Collection[int] = ()) -> list[Node]:
    """Return every node below the roots, operands first; what has its id in `known` is left out, with all below it."""
    found: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.id not in found and node.id not in known:
            found[node.id] = node
            stack.extend(part for part, _ in node.parts)
    return [found[identity] for identity in sorted(found)]
