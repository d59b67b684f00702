"""`check`: a formula that somebody claims is judged against torch, and where it is wrong, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.command_line import Declaration, list_paths, write_command
from matcalc.errors import ShapeError
from matcalc.judgement import Options, derive_text
from matcalc.language.declarations import Declared, read_assumptions, read_shapes
from matcalc.language.expression import Expression, symbols
from matcalc.language.names import name_wrt
from matcalc.language.sizes import Shape, write_shape
from matcalc.language.text_to_expression import Problem, parse
from matcalc.read_input import check_order, declare_variables, declared_shapes, is_code, read_input, write_input
from matcalc.reader_views import show_report
from matcalc.rule_files import RuleBook
from matcalc.user_rules import choose_rules

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport

def check(
    expr: Any,
    claim: Any,
    wrt: Any = None,
    *,
    layout: str = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int = 1,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
) -> CheckReport:
    """Say whether a formula is the derivative of an expression, and if not, what is wrong with it.

    The claim is compared with torch.autograd.functional.jacobian of the expression at random points; `expr` may be
    a text, a SymPy expression, or a function of torch tensors, whose arguments are then the variables.  The report
    has the `verdict`, and of a claim that differs all `reasons` that hold, the `correct` derivative and a sentence.
    Raises MatcalcError for what cannot be read.

    >>> report = check("A @ x", "A", layout="denominator")
    >>> report.verdict, report.reasons, report.fits
    ('differs', ('layout', 'transpose', 'shape'), ('numerator', 'torch', 'vec'))
    >>> print(check("x.T @ A @ x", "2*A @ x", layout="denominator"))
    differs. Right only if A is symmetric, which is not assumed.
    """
    options = Options(layout, order, trials, seed, dtype, device)
    check_order(order)
    book = choose_rules(rules)
    if is_code(expr) or is_code(claim):
        from matcalc.code_claim import check_code

        return check_code(expr, claim, name_wrt(wrt), declare_variables(wrt, shapes, {}), assume, options, book)
    claimed, shapes, assume, _ = read_input(claim, shapes, assume, book)
    function, shapes, assume, names = read_input(expr, shapes, assume, book, wrt)
    asked = Asked(function, claimed, name_wrt(wrt), declare_variables(wrt, shapes, names), assume, book)
    words = ["check", write_input(function), "--claim", write_input(claimed)]
    report = _judge_text(asked, options)
    declared = Declaration(asked.wrt, asked.shapes, asked.assume, list_paths(rules))
    return replace(report, command=write_command(words, declared, vars(options)))


@dataclass(frozen=True)
class Asked:
    """The texts of a question, or the expressions in their place, and what is declared about their names."""

    function: str | Expression
    claim: str | Expression
    wrt: str | None
    shapes: Declared
    assume: Declared
    rules: RuleBook

    def read_function(self) -> Problem:
        """Return the expression read by itself: a claim may not change its shapes."""
        words = re.findall(r"\w+", self.function) if isinstance(self.function, str) else symbols(self.function)
        named = set(words) | set(read_shapes(self.shapes))
        known = {name: words for name, words in read_assumptions(self.assume).items() if name in named}
        return parse(
            self.function, wrt=self.wrt, choose_wrt=self.wrt is None, shapes=self.shapes, assume=known, rules=self.rules
        )

    def read_both(self, alone: Problem) -> Problem:
        """Return the expression and the claim, the shapes of the expression's variables being given."""
        assert alone.wrt is not None
        shapes = {**read_shapes(self.shapes), **declared_shapes(alone.symbols), **alone.abstract}
        return parse(
            [self.function, self.claim], wrt=alone.wrt.name, shapes=shapes, assume=self.assume, rules=self.rules
        )


def _judge_text(asked: Asked, options: Options) -> CheckReport:
    from matcalc.check.question import ExpressionClaim, ExpressionFunction, Question

    alone = asked.read_function()
    try:
        problem = asked.read_both(alone)
    except ShapeError as error:
        return _refuse_claim(alone, error, options, asked.rules)
    assert problem.wrt is not None
    expression, formula = problem.expressions
    question = Question(
        ExpressionFunction(expression), ExpressionClaim(formula), problem.wrt, options.layout, options.order
    )
    report = options.judge(question, expression, asked.rules)
    return replace(report, notes=_note_new_names(problem, alone) + report.notes, variables=_list_variables(problem))


def _refuse_claim(alone: Problem, error: ShapeError, options: Options, rules: RuleBook) -> CheckReport:
    """Return the report of a claim whose own parts do not fit together, which cannot be right."""
    from matcalc.check.report import DIFFERS, CheckReport

    assert alone.wrt is not None
    correct = derive_text(alone.expressions[0], alone.wrt, options.layout, options.order, rules)
    message = f"differs. The shapes in the claim do not fit: {error.reason}."
    return CheckReport(
        DIFFERS, ("shape",), seed=options.seed, layout=options.layout, message=message, correct=correct,
        notes=_show_place(error), dtype=options.dtype, device=options.device, variables=_list_variables(alone),
        page=show_report,
    )  # fmt: skip


def _show_place(error: ShapeError) -> tuple[str, ...]:
    """Return what an error shows beside its reason, which the message tells."""
    told = str(error).partition("\n")[2]
    return (f"in the claim\n{told}",) if told else ()


def _list_variables(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Return the shape that each variable and abstract function was taken for."""
    return declared_shapes(problem.symbols) | {
        f"{name}()": tuple(map(str, shape)) for name, shape in problem.abstract.items()
    }


def _note_new_names(problem: Problem, alone: Problem) -> tuple[str, ...]:
    """Say of each name that only the claim has what it was taken for."""
    new = {name: symbol for name, symbol in problem.symbols.items() if name not in alone.symbols}
    return tuple(
        f"{name} stands in the claim only; it is taken for {_name_kind(symbol.dropped_shape)}"
        for name, symbol in new.items()
    )


def _name_kind(shape: Shape) -> str:
    return "a scalar" if not shape else f"an array of shape {write_shape(shape)}"
