"""Typed expressions -> the operations that compute them, each shared value once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import reduce

from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Size
from matcalc.render.code.contraction import Planner, make_inverse
from matcalc.render.code.products import CodePart
from matcalc.render.code.program import Operation, Program
from matcalc.render.code.reshape import is_fuse, unfuse
from matcalc.render.code.terms import TermSum, find_kind, open_terms

# A product of sums is multiplied out to so many terms: each sum that is multiplied out makes one more.
_MOST_TERMS = 8
# What may be a sum of products; of the first only where there are products in it.
_ARITHMETIC = ("add", "subtract", "multiply", "divide", "negate")


class ProgramPlan:
    """The program of several expressions; `known` holds the nodes that have a name already.

    With `open_inverses` an inverse that is needed more than once is solved for at each of its uses.
    """

    def __init__(
        self, roots: Collection[Expression], known: Mapping[Expression, CodePart],
        measure: Callable[[Size], int] | None, structured: bool, open_inverses: bool = False,
    ) -> None:  # fmt: skip
        self.known, self.structured, self.open_inverses = known, structured, open_inverses
        self.roots = list(roots)
        self.parents = Counter(arg for node in walk(*roots) for arg in node.args) + Counter(self.roots)
        self.program = Program(measure)
        self.planner = Planner(self.program, self._find_operation)
        self.terms: dict[Expression, list[TermSum]] = {}
        self.unfused: dict[Expression, Expression] = {}
        self.needs: dict[Expression, list[Expression]] = {}
        self.operations: dict[Expression, Operation] = {}
        self._read()
        self._plan()

    @property
    def cost(self) -> int:
        """What all of it costs to compute."""
        return sum(each.cost for each in self.program.reachable([self.operations[root] for root in self.roots]))

    @property
    def has_shared_inverse(self) -> bool:
        """Whether an inverse is needed more than once."""
        return any(number > 1 and node.is_call("inv") for node, number in self.parents.items())

    def _read(self) -> None:
        """Find which nodes each node is written from: a sum of products is written from its factors."""
        stack = list(self.roots)
        while stack:
            node = stack.pop()
            if node not in self.needs:
                self.needs[node] = [] if node in self.known else self._find_needs(node)
                stack += self.needs[node]

    def _find_needs(self, node: Expression) -> list[Expression]:
        if node.op in _ARITHMETIC or node.op in ("matmul", "einsum") or node.is_call("trace"):
            terms = open_terms(node, self._is_shared, structured=self.structured)
            is_whole = node in terms.nodes  # it is no product, but a factor
            if not is_whole and (node.op not in _ARITHMETIC or terms.has_products):
                spread = open_terms(node, self._is_shared, spread=_MOST_TERMS, structured=self.structured)
                is_other = len(terms.terms) < len(spread.terms) <= _MOST_TERMS
                self.terms[node] = [terms, spread] if is_other else [terms]
                return [each for way in self.terms[node] for each in way.nodes]
        if node.op == "einsum":
            if (opened := unfuse(node)) is not None:
                self.unfused[node] = opened
                return [opened]
            return [arg for arg in node.args if not is_fuse(arg)]
        return list(node.args)

    def _is_shared(self, node: Expression) -> bool:
        is_again = self.parents[node] > 1 and not (self.open_inverses and node.is_call("inv"))
        return is_again or node in self.known

    def _plan(self) -> None:
        for node in self._in_order():
            if node in self.terms:
                ways = [self.planner.plan(terms) for terms in self.terms[node]]
                self.operations[node] = reduce(self.program.choose_cheaper, ways)
            else:
                args = [self.operations[need] for need in self.needs[node]]
                if node.is_call("inv") and len(node.squeezed_shape) == 2 and node not in self.known:
                    kind = find_kind(node.args[0], self.structured)
                    self.operations[node] = make_inverse(self.program, args[0], kind)
                else:
                    cost = 0 if node in self.known or node.op == "transpose" else None
                    self.operations[node] = self.program.make("node", args, (node,), node.squeezed_shape, cost)

    def _find_operation(self, node: Expression) -> Operation:
        """Return the operation of a node; one without operands may be new."""
        if node not in self.operations:
            self.operations[node] = self.program.make("node", (), (node,), node.squeezed_shape)
        return self.operations[node]

    def _in_order(self) -> Iterator[Expression]:
        """Yield the nodes that are written, those that a node needs before it."""
        seen: set[Expression] = set()
        stack = [(root, False) for root in reversed(self.roots)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(need, False) for need in reversed(self.needs[node])]


def make_plan(
    roots: Collection[Expression], known: Mapping[Expression, CodePart], measure: Callable[[Size], int] | None,
    structured: bool,
) -> ProgramPlan:  # fmt: skip
    """Return the cheaper program: inverses that are needed again formed once, or solved for at each use."""
    plan = ProgramPlan(roots, known, measure, structured)
    if not plan.has_shared_inverse:
        return plan
    return min(plan, ProgramPlan(roots, known, measure, structured, open_inverses=True), key=lambda each: each.cost)
