"""The differential of an expression, law by law: from d(Y) to a formula in dX, as a person writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matcalc.engine.differential_laws import Law, is_linear, list_operands, state_law
from matcalc.engine.marks import is_mark, list_marks, mark, zeros
from matcalc.errors import LimitError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, walk
from matcalc.language.replace import replace
from matcalc.rule_files import RuleBook

MAX_LINES = 400


@dataclass(frozen=True)
class Line:
    """One line, equal to the line before it, and the laws that lead to it."""

    expression: Expression
    laws: tuple[Law, ...] = ()


def expand_differential(
    expression: Expression, wrt: Expression, moving: Expression, rules: RuleBook | None = None
) -> Iterator[Line]:
    """Yield the lines from d(expression) to one in which only `moving`, the change of the variable, is left.

    Each line applies one law wherever it fits, the outermost first; what is linear is done at once.  Raises
    MissingRuleError where a function has no rule, LimitError beyond 400 lines.
    """
    yield from _Expansion(wrt, moving, rules).run(expression)


class _Expansion:
    """The lines for one variable."""

    def __init__(self, wrt: Expression, moving: Expression, rules: RuleBook | None) -> None:
        self.wrt, self.moving, self.rules = wrt, moving, rules
        self._varying: dict[Expression, bool] = {}
        self._laws: dict[Expression, Law] = {}

    def run(self, expression: Expression) -> Iterator[Line]:
        """Yield the lines."""
        line = mark(expression)
        yield Line(line)
        if not list_marks(line := self._settle(line)):
            yield Line(line)
        for _ in range(MAX_LINES):
            marks = list_marks(line)
            if not marks:
                return
            line, laws = self._take_step(line, marks)
            yield Line(line, laws)
        raise LimitError(f"the derivation has more than {MAX_LINES} lines")

    def _settle(self, line: Expression) -> Expression:
        return replace(line, {node: self._change(node.args[0]) for node in list_marks(line)})

    def _take_step(self, line: Expression, marks: list[Expression]) -> tuple[Expression, tuple[Law, ...]]:
        """Do all that is linear; where nothing is, apply the law of the first mark wherever it fits."""
        linear = [node for node in marks if self._is_linear(node.args[0])]
        if linear:
            return self._go_inside(line, linear)
        key = _kind(marks[0].args[0])
        return self._apply([node for node in marks if _kind(node.args[0]) == key], line)

    def _go_inside(self, line: Expression, marks: list[Expression]) -> tuple[Expression, tuple[Law, ...]]:
        laws: dict[Expression, Law] = {}
        while marks:
            line, applied = self._apply(marks, line)
            laws.update({law.left: law for law in applied})
            marks = [node for node in list_marks(line) if self._is_linear(node.args[0])]
        return line, tuple(laws.values())

    def _apply(self, marks: list[Expression], line: Expression) -> tuple[Expression, tuple[Law, ...]]:
        laws: dict[Expression, Law] = {}
        table = {}
        for node in marks:
            law = self._find_law(node.args[0])
            operands = list_operands(node.args[0])
            table[node] = self._settle(law.instantiate(operands, [self._change(operand) for operand in operands]))
            laws.setdefault(law.left, law)
        return replace(line, table), tuple(laws.values())

    # --- one node -------------------------------------------------------------------------------------

    def _varies(self, root: Expression) -> bool:
        if root not in self._varying:
            for node in walk(root):
                if node not in self._varying:
                    self._varying[node] = self._moves(node)
        return self._varying[root]

    def _moves(self, node: Expression) -> bool:
        """Whether a node changes with the variable; a comparison, a number of entries and sign(x) do not."""
        if node is self.wrt:
            return True
        if node.op == "compare" or (node.op == "call" and node.data[0].name == "size"):
            return False
        weights = node.data[0].elementwise if node.op == "call" else ()
        return any(
            self._varying[arg] and not (weights and weights[place] == "0") for place, arg in enumerate(node.args)
        )

    def _change(self, node: Expression) -> Expression:
        """The change of a node: dX, zeros, or a mark, the signs and transposes outside."""
        if is_mark(node):
            return node
        if not self._varies(node):
            return zeros(node.shape)
        if node is self.wrt:
            return self.moving
        if node.op == "negate":
            return ex.negate(self._change(node.args[0]))
        if node.op == "transpose":
            return ex.transpose(self._change(node.args[0]))
        return mark(node)

    def _moving_operands(self, node: Expression) -> list[bool]:
        return [self._varies(operand) for operand in list_operands(node)]

    def _is_linear(self, node: Expression) -> bool:
        return is_linear(node, self._moving_operands(node), self.rules)

    def _find_law(self, node: Expression) -> Law:
        if node not in self._laws:
            self._laws[node] = state_law(node, self._moving_operands(node), self.rules)
        return self._laws[node]


def _kind(node: Expression) -> tuple[object, ...]:
    """Nodes of one kind obey one law."""
    if node.op != "call":
        return (node.op,)
    return (node.data[0].name, node.data[1])
