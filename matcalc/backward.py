"""`check_backward`: a hand-written forward and backward are judged against the formula they claim to compute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.check.question import ExpressionFunction, Question
from matcalc.check.report import CheckReport, could_not_check, find_missing, find_worst
from matcalc.claim import Options, list_arguments
from matcalc.errors import DeclarationError, EvaluationError, MatcalcError
from matcalc.inputs import choose_rules, declare_variables, declared_shapes, read_input, write_input
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import Declared, read_shapes
from matcalc.language.expression import Expression
from matcalc.language.names import name_wrt
from matcalc.language.text_to_expression import Problem, parse
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.backward import BackwardClaim
    from matcalc.check.code import Code

COTANGENT = "grad_output"
GRADIENT = "the vector-Jacobian product"


@dataclass(frozen=True)
class BackwardReport:
    """What the judge found of a function: its value, and the gradient that it returns for each input.

    `forward` and every entry of `inputs` are reports of their own; `correct` of an input is the formula that
    backward should compute, in terms of grad_output.
    """

    forward: CheckReport
    inputs: dict[str, CheckReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def verdict(self) -> str:
        """The worst verdict of all parts."""
        return find_worst(report.verdict for report in (self.forward, *self.inputs.values()))

    @property
    def message(self) -> str:
        """One line for the value and one for each input."""
        lines = _write_lines({"forward": self.forward, **self.inputs})
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __bool__(self) -> bool:
        return self.verdict == "agrees"

    def __str__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        from matcalc.render.report_html import write_backward_html

        return write_backward_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.message)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        inputs = {name: report.to_dict() for name, report in self.inputs.items()}
        return {"verdict": self.verdict, "forward": self.forward.to_dict(), "inputs": inputs, "notes": list(self.notes)}


def _write_lines(reports: Mapping[str, CheckReport]) -> list[str]:
    width = max(map(len, reports))
    lines = []
    for name, report in reports.items():
        lines.append(f"{name:{width}}  {report.message}")
        if report.verdict == "differs" and report.correct:
            lines.append(f"{'':{width}}  It should be {report.correct}")
    return lines


def check_backward(
    fn: Callable[..., Any],
    expr: Any,
    wrt: str | Iterable[str] | None = None,
    *,
    shapes: Declared = None,
    assume: Declared = None,
    inputs: Sequence[str] | None = None,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
) -> BackwardReport:
    """Judge a torch.autograd.Function, a module or any differentiable function against the formula it computes.

    First its value is compared with the expression's, then for every input in `wrt` (all of them by default) the
    vector-Jacobian product that its backward returns for a random grad_output with torch's own derivative of the
    expression.  `inputs` names its arguments in order; by default they have the names that its forward gives them.
    Vectors are passed as (n,), matrices as (m, n).  Raises MatcalcError for what cannot be read.

    >>> import torch
    >>> report = check_backward(lambda A, x: A @ x, "A @ x")
    >>> report.verdict, list(report.inputs)
    ('agrees', ['A', 'x'])
    """
    book = choose_rules(rules)
    options = Options("torch", 1, trials, seed, dtype, device)
    call = getattr(fn, "apply", fn) if isinstance(fn, type) else fn
    formula, shapes, assume, carried = read_input(expr, shapes, assume, book)
    text, shapes = write_input(formula), declare_variables(wrt, shapes, carried)
    problem = parse_any(text, shapes=shapes, assume=assume, rules=book)
    text = problem.reading or text
    names, note = _name_inputs(call, problem, inputs, shapes)
    judge = _Judge(text, call, names, problem, assume, options, book)
    reports = {name: judge.judge_input(name) for name in _choose_inputs(wrt, names)}
    return BackwardReport(judge.judge_value(), reports, (note,) if note else ())


def _name_inputs(
    call: Callable[..., Any], problem: Problem, inputs: Sequence[str] | None, shapes: Declared
) -> tuple[list[str], str]:
    """Return the variables that a function takes, in its order, and a note where the order had to be guessed."""
    known = list(problem.symbols)
    if inputs is not None:
        unknown = [name for name in inputs if name not in known]
        if unknown:
            raise DeclarationError(f"the formula has no variable {unknown[0]}; it has {', '.join(known)}")
        return list(inputs), ""
    own = list_arguments(call, shapes)
    if all(name in known for name in own):
        return own, ""
    ordered = [name for name in read_shapes(shapes) if name in known]
    ordered = ordered if len(ordered) == len(known) else known
    if len(own) != len(ordered):
        reason = f"the function takes {', '.join(own)}, but the formula has {', '.join(known)}"
        raise DeclarationError(reason, advice=f"name its arguments in order, as in inputs={ordered}")
    pairs = ", ".join(f"{one} is {other}" for one, other in zip(own, ordered, strict=True))
    return ordered, f"the arguments were taken in this order: {pairs}; inputs= names them otherwise"


def _choose_inputs(wrt: str | Iterable[str] | None, names: list[str]) -> list[str]:
    """Return the inputs whose gradients are judged; raises DeclarationError for one that the function lacks."""
    if wrt is None:
        return names
    chosen = [name_wrt(wrt)] if isinstance(wrt, str) else [name_wrt(name) for name in wrt]
    for name in chosen:
        if name not in names:
            raise DeclarationError(f"{name} is no input of the function; it takes {', '.join(names)}")
    return [name for name in chosen if name is not None] or names


@dataclass(frozen=True)
class _Judge:
    """A function, the formula it claims to compute, and how both are judged."""

    text: str
    call: Callable[..., Any]
    names: list[str]
    problem: Problem
    assume: Declared
    options: Options
    rules: RuleBook

    def judge_value(self) -> CheckReport:
        """Return the report on the value that forward computes."""
        from matcalc.check.code import CodeClaim, infer_code_shape

        missing = find_missing(self.options.device)
        settings = {"seed": self.options.seed, "dtype": self.options.dtype, "device": self.options.device}
        if missing:
            return could_not_check(missing, **settings)
        code, formula = self._read_code(self.problem), self.problem.expressions[0]
        try:
            shape = infer_code_shape(code, self.options.seed, self.options.dtype, self.options.device)
        except EvaluationError as error:
            return could_not_check(error.reason, **settings)
        question = Question(ExpressionFunction(formula), CodeClaim(code, shape), code.parameters[0], "torch", 0)
        return replace(self.options, order=0).judge(question, formula, self.rules, "the formula", "the value")

    def judge_input(self, name: str) -> CheckReport:
        """Return the report on the gradient that backward gives for one input."""
        from matcalc.check.backward import BackwardClaim

        try:
            problem, cotangent = self._weigh_output(name)
        except MatcalcError as error:
            return could_not_check(error.reason, seed=self.options.seed, layout="torch")
        assert problem.wrt is not None
        weighted = problem.expressions[0]
        claim = BackwardClaim(self._read_code(problem), problem.wrt, cotangent)
        question = Question(ExpressionFunction(weighted), claim, problem.wrt, "torch")
        report = self.options.judge(question, weighted, self.rules, "torch.autograd of the formula", GRADIENT)
        return self._add_misuse(report, question, claim)

    def _weigh_output(self, name: str) -> tuple[Problem, Expression]:
        """Return the problem of sum(grad_output*Y), whose gradient is the vector-Jacobian product, and grad_output."""
        shape = self.problem.expressions[0].squeezed_shape
        names = (COTANGENT + count * "_" for count in itertools.count())
        cotangent = next(name for name in names if name not in self.problem.symbols)
        product = f"{cotangent}*({self.text})"
        declared = {**declared_shapes(self.problem.symbols), **self.problem.abstract, cotangent: tuple(map(str, shape))}
        problem = parse(
            f"sum({product})" if shape else product, wrt=name, shapes=declared, assume=self.assume, rules=self.rules
        )
        return problem, problem.symbols[cotangent]

    def _add_misuse(self, report: CheckReport, question: Question, claim: BackwardClaim) -> CheckReport:
        """Add to a report that differs what backward does with grad_output, where that explains it."""
        from matcalc.check.backward import describe_misuse

        if report.verdict != "differs":
            return report
        options = self.options
        misuse = describe_misuse(question, claim, seed=options.seed, dtype=options.dtype, device=options.device)
        return replace(report, message=f"{report.message} {misuse}") if misuse else report

    def _read_code(self, problem: Problem) -> Code:
        from matcalc.check.code import Code

        return Code(self.call, tuple(problem.symbols[name] for name in self.names))
