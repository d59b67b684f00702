"""`check_backward`: a hand-written forward and backward are judged against the formula they claim to compute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.check.question import ExpressionFunction, Question
from matcalc.check.report import DIFFERS, CheckReport, could_not_check, find_missing, find_worst
from matcalc.claim import Options, list_arguments
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.inputs import Dtype, choose_rules, declare_variables, read_input, write_input
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import Declared, read_shapes
from matcalc.language.expression import Expression, call, multiply, symbol
from matcalc.language.names import name_wrt
from matcalc.language.sizes import SCALAR, deduce_sizes
from matcalc.language.text_to_expression import Problem
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
        return bool(self.verdict)

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
    params: Mapping[str, str] | None = None,
    trials: int = 3,
    seed: int = 0,
    dtype: Dtype = "float64",
    device: str = "cpu",
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> BackwardReport:
    """Judge a torch.autograd.Function, a module or any differentiable function against the formula it computes.

    First its value is compared with the expression's, then for every input in `wrt` (all of them by default) the
    vector-Jacobian product that its backward returns for a random grad_output with torch's own derivative of the
    expression.  `inputs` names its arguments in order; by default they have the names that its forward gives them.
    `params` says which parameters of a module stand in the formula, as in {"W": "weight"}: they are inputs as well,
    in the module's own sizes.  Vectors are passed as (n,), matrices as (m, n).  Raises MatcalcError for what cannot
    be read, and for a variable of the formula that the function does not get.  `rtol` and `atol` are those of `check`.

    >>> import torch
    >>> report = check_backward(lambda A, x: A @ x, "A @ x")
    >>> report.verdict, list(report.inputs)
    ('agrees', ['A', 'x'])
    """
    book = choose_rules(rules)
    options = Options("torch", 1, trials, seed, dtype, device, rtol=rtol, atol=atol)
    formula, shapes, assume, carried = read_input(expr, shapes, assume, book)
    text, shapes = write_input(formula), declare_variables(wrt, shapes, carried)
    problem = parse_any(text, shapes=shapes, assume=assume, rules=book)
    bound = dict(params or {})
    call = _read_call(fn, bound)
    names, note = _name_inputs(fn, problem, inputs, shapes, bound)
    judge = _Judge(call, names, problem, options, book, _fix_sizes(call, problem, bound))
    reports = {name: judge.judge_input(name) for name in _choose_inputs(wrt, names)}
    return BackwardReport(judge.judge_value(), reports, (note,) if note else ())


def _read_call(fn: Callable[..., Any], bound: Mapping[str, str]) -> Callable[..., Any]:
    """Return what is called: `apply` of a torch.autograd.Function, a module with the parameters that are bound."""
    if isinstance(fn, type):
        call: Callable[..., Any] = getattr(fn, "apply", fn)
        return call
    if find_missing():
        return fn
    from torch.nn import Module

    from matcalc.check.code import BoundModule

    if isinstance(fn, Module):
        return BoundModule(fn, tuple(bound.values()))
    if bound:
        raise DeclarationError("params= binds variables to the parameters of a torch.nn.Module, and this is none")
    return fn


def _fix_sizes(call: Callable[..., Any], problem: Problem, bound: Mapping[str, str]) -> dict[str, int]:
    """Return the sizes that the parameters of a module have; raises DeclarationError where they do not fit."""
    if not bound:
        return {}
    from matcalc.check.code import BoundModule

    assert isinstance(call, BoundModule)
    shapes = dict(zip(bound, call.measure_parameters(), strict=True))
    return deduce_sizes({name: (problem.symbols[name], shape) for name, shape in shapes.items()})


def _name_inputs(
    fn: Callable[..., Any], problem: Problem, inputs: Sequence[str] | None, shapes: Declared, bound: Mapping[str, str]
) -> tuple[list[str], str]:
    """Return the variables that a function takes, in its order, those that are bound last, and a note on the order."""
    if unknown := [name for name in (*(inputs or ()), *bound) if name not in problem.symbols]:
        known = ", ".join(problem.symbols)
        raise DeclarationError(f"the formula has no variable {unknown[0]}; it has {known}")
    free = [name for name in problem.symbols if name not in bound]
    names, note = (list(inputs), "") if inputs is not None else _match_arguments(fn, free, shapes)
    if left := [name for name in free if name not in names]:
        reason = f"the formula has {', '.join(left)}, which the function does not get"
        advice = f'bind the parameters of a module, as in params={{"{left[0]}": "weight"}}, or pass all as arguments'
        raise DeclarationError(reason, advice=advice)
    return [*names, *bound], note


def _match_arguments(fn: Callable[..., Any], known: list[str], shapes: Declared) -> tuple[list[str], str]:
    """Return the variables that a function's own names mean, and a note where the order had to be guessed."""
    own = list_arguments(fn, shapes)
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

    call: Callable[..., Any]
    names: list[str]
    problem: Problem
    options: Options
    rules: RuleBook
    sizes: Mapping[str, int]

    def judge_value(self) -> CheckReport:
        """Return the report on the value that forward computes."""
        from matcalc.check.code import CodeClaim, infer_code_shape

        missing, settings = find_missing(self.options.device), self.settings
        if missing:
            return could_not_check(missing, **settings)
        code, formula = self._read_code(), self.problem.expressions[0]
        try:
            shape = infer_code_shape(code, **settings, sizes=self.sizes, expected=formula.squeezed_shape)
        except EvaluationError as error:
            return could_not_check(error.reason, **settings)
        claim = CodeClaim(code, shape)
        question = Question(ExpressionFunction(formula), claim, code.parameters[0], "torch", 0, sizes=self.sizes)
        return replace(self.options, order=0).judge(question, formula, self.rules, "the formula", "the value")

    def judge_input(self, name: str) -> CheckReport:
        """Return the report on the gradient that backward gives for one input, whichever others need one as well."""
        if missing := find_missing(self.options.device):
            return could_not_check(missing, **self.settings, layout="torch")
        cases = self._list_needed(name)
        report = CheckReport("could not check")
        for case in cases:
            report = self._judge_gradient(name, case)
            if not report:
                return report if len(cases) == 1 else self._tell_needed(report, name, case, cases)
        return report

    def _list_needed(self, name: str) -> list[frozenset[str]]:
        """Return which inputs need a gradient in the cases to be judged: all, one alone, and all but one."""
        whole = frozenset(self.names)
        cases = [whole, frozenset({name}), *(whole - {other} for other in self.names if other != name)]
        return list(dict.fromkeys(cases))

    def _tell_needed(
        self, report: CheckReport, name: str, case: frozenset[str], cases: list[frozenset[str]]
    ) -> CheckReport:
        """Add to a report that differs in one case that it agrees in another."""
        others = [other for other in cases if other != case and report.verdict == "differs"]
        right = next((other for other in others if self._judge_gradient(name, other, explains=False)), None)
        if right is None:
            return report
        told = f"That is so where {self._join(case)}; where {self._join(right)}, it agrees."
        return replace(report, message=f"{report.message} {told}")

    def _join(self, needed: frozenset[str]) -> str:
        names = [name for name in self.names if name in needed]
        return f"{names[0]} alone needs a gradient" if len(names) == 1 else f"{', '.join(names)} need a gradient"

    def _judge_gradient(self, name: str, needed: frozenset[str], explains: bool = True) -> CheckReport:
        """Return the report on the gradient for one input where those that are named need one."""
        from matcalc.check.backward import BackwardClaim, find_faults

        weighted, cotangent = self._weigh_output()
        wrt = self.problem.symbols[name]
        claim = BackwardClaim(self._read_code(), wrt, cotangent, needed)
        question = Question(
            ExpressionFunction(weighted), claim, wrt, "torch", sizes=self.sizes, has_layouts=False,
            arbitrary=frozenset({cotangent.name}),
        )  # fmt: skip
        claim, fault = find_faults(question, claim, trials=self.options.trials, **self.settings)
        report = self.options.judge(
            replace(question, claim=claim), weighted, self.rules, "torch.autograd of the formula", GRADIENT, explains
        )
        if fault:
            return replace(report, verdict=DIFFERS, reasons=("other",), message=f"differs. {fault}")
        return self._add_misuse(report, question, claim) if explains else report

    def _weigh_output(self) -> tuple[Expression, Expression]:
        """Return sum(grad_output*Y), whose gradient is the vector-Jacobian product, and grad_output."""
        formula = self.problem.expressions[0]
        names = (COTANGENT + count * "_" for count in itertools.count())
        cotangent = symbol(next(name for name in names if name not in self.problem.symbols), formula.shape)
        product = multiply(cotangent, formula)
        return product if formula.is_scalar else call(self.rules["sum"], (product,), SCALAR), cotangent

    def _add_misuse(self, report: CheckReport, question: Question, claim: BackwardClaim) -> CheckReport:
        """Add to a report that differs what backward does with grad_output, where that explains it."""
        from matcalc.check.backward import describe_misuse

        if report.verdict != DIFFERS:
            return report
        misuse = describe_misuse(question, claim, **self.settings)
        return replace(report, message=f"{report.message} {misuse}") if misuse else report

    def _read_code(self) -> Code:
        from matcalc.check.code import Code

        return Code(self.call, tuple(self.problem.symbols[name] for name in self.names))

    @property
    def settings(self) -> dict[str, Any]:
        """What every check of the function shares."""
        return {"seed": self.options.seed, "dtype": self.options.dtype, "device": self.options.device}
