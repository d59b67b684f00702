"""`check`: a formula that somebody claims is judged against torch, and where it is wrong, what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.check.tolerance import Tolerance
from matcalc.derivation import show_report
from matcalc.engine.result import derive_result, is_identical
from matcalc.errors import DeclarationError, EvaluationError, MatcalcError, ShapeError
from matcalc.inputs import (
    Declaration,
    Dtype,
    EntryVariable,
    Layout,
    Proof,
    StructureMeaning,
    WrittenEntry,
    check_meaning,
    check_order,
    choose_rules,
    declare_variables,
    declared_shapes,
    is_code,
    list_paths,
    read_entry_asked,
    read_input,
    write_command,
    write_input,
)
from matcalc.language.any_text_to_expression import list_words, parse_any
from matcalc.language.declarations import Declared, read_assumptions, read_shapes
from matcalc.language.expression import Expression, symbols
from matcalc.language.expression_to_text import to_text
from matcalc.language.names import count_axes, name_wrt
from matcalc.language.rewrite import transpose_inside
from matcalc.language.sizes import write_shape
from matcalc.language.text_to_expression import Problem, parse, rules_in_force
from matcalc.render.diagnosis import write_diagnosis
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.code import Code
    from matcalc.check.question import Claim, Function, Question
    from matcalc.check.report import CheckReport


def check(
    expr: Any,
    claim: Any,
    wrt: Any = None,
    *,
    layout: Layout = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int = 1,
    trials: int = 3,
    seed: int = 0,
    dtype: Dtype = "float64",
    device: str = "cpu",
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
    proof: Proof = "both",
    rtol: float | None = None,
    atol: float | None = None,
    syntax: str = "auto",
    strict: bool = False,
    meaning: StructureMeaning = "free",
) -> CheckReport:
    """Say whether a formula is the derivative of an expression, and if not, what is wrong with it.

    The claim is compared with torch.autograd.functional.jacobian of the expression at random points, and exactly,
    entry by entry, in SymPy at small sizes; proof="exact" or "torch" asks for one of the two.  With `rtol`, relative to
    the largest entry of the derivative, or `atol` it may be that far off at the points.  A column where the layout has
    a row agrees and is told so; `strict` makes it differ.  The `meaning` of a derivative by a structured matrix is what
    `derive` takes.  `expr` may be
    a text, a SymPy expression, or a function of torch tensors, whose arguments are then the variables; texts are read
    in the `syntax` that `derive` takes.  The report
    has the `verdict`, and of a claim that differs all `reasons` that hold, the `correct` derivative and a sentence.
    Raises MatcalcError for what cannot be read.

    >>> report = check("A @ x", "A", layout="denominator")
    >>> report.verdict, report.reasons, report.fits
    ('differs', ('layout', 'transpose', 'shape'), ('numerator', 'torch', 'vec'))
    >>> print(check("x.T @ A @ x", "2*A @ x", layout="denominator"))
    differs. Right only if A is symmetric, which is not assumed.
    """
    options = Options(layout, order, trials, seed, dtype, device, proof, rtol, atol, strict, meaning)
    check_order(order)
    book = choose_rules(rules)
    if is_code(expr) or is_code(claim):
        from matcalc.claim import check_code

        return check_code(expr, claim, name_wrt(wrt), declare_variables(wrt, shapes, {}), assume, options, book)
    entry = read_entry_asked(wrt, order, book)
    wrt = wrt if entry is None else entry.asked
    claimed, shapes, assume, _ = read_input(claim, shapes, assume, book)
    function, shapes, assume, names = read_input(expr, shapes, assume, book, wrt)
    asked = _Asked(function, claimed, name_wrt(wrt), declare_variables(wrt, shapes, names), assume, book, entry, syntax)
    words = ["check", write_input(function), "--claim", write_input(claimed)]
    report = _judge_text(asked, options)
    named = asked.wrt if entry is None else entry.written
    declared = Declaration(named, asked.shapes, asked.assume, list_paths(rules))
    return replace(report, command=write_command(words, declared, vars(options)))


@dataclass(frozen=True)
class _Asked:
    """The texts of a question, or the expressions in their place, and what is declared about their names."""

    function: str | Expression
    claim: str | Expression
    wrt: str | None
    shapes: Declared
    assume: Declared
    rules: RuleBook
    entry: EntryVariable | WrittenEntry | None = None
    syntax: str = "auto"

    def read_function(self) -> Problem:
        """Return the expression read by itself: a claim may not change its shapes."""
        words = list_words(self.function) if isinstance(self.function, str) else symbols(self.function)
        named = set(words) | set(read_shapes(self.shapes))
        known = {name: words for name, words in read_assumptions(self.assume).items() if name in named}
        return parse_any(
            self.function, wrt=self.wrt, choose_wrt=self.wrt is None, shapes=self.shapes, assume=known,
            rules=self.rules, syntax=self.syntax,
        )  # fmt: skip

    def read_both(self, alone: Problem) -> Problem:
        """Return the expression and the claim, the shapes of the expression's variables being given."""
        assert alone.wrt is not None
        shapes = {**read_shapes(self.shapes), **declared_shapes(alone.symbols), **alone.abstract}
        return parse_any(
            [self.function, self.claim], wrt=alone.wrt.name, shapes=shapes, assume=self.assume, rules=self.rules,
            syntax=self.syntax,
        )  # fmt: skip


def _judge_text(asked: _Asked, options: Options) -> CheckReport:
    from matcalc.check.question import ExpressionClaim, ExpressionFunction, Question

    alone = asked.read_function()
    try:
        problem = asked.read_both(alone)
    except ShapeError as error:
        return _refuse_claim(alone, error, options, asked.rules)
    assert problem.wrt is not None
    expression, formula = problem.expressions
    wrt, entry = problem.wrt, None
    if asked.entry is not None:
        entry, problem = asked.entry.settle(problem)
        wrt, expression, formula = entry.symbol, entry.move(expression), entry.move(formula)
    check_meaning(options.meaning, [wrt], is_entry=entry is not None)
    question = Question(
        ExpressionFunction(expression), ExpressionClaim(formula), wrt, options.layout, options.order,
        meaning=options.meaning,
    )  # fmt: skip
    report = options.judge(question, expression, asked.rules)
    if report and options.proof in ("both", "exact"):
        report = _add_every_size(report, question, expression, asked.rules)
    report = advise_turn(report, question, asked.rules, options.proof)
    if entry is not None and report.correct:
        picked = derive_result(problem.expressions[0], entry.matrix, 1, asked.rules).pick(entry.units, entry.symbol)
        report = replace(report, correct=to_text(picked.expression(options.layout)))
    return replace(report, notes=_note_readings(problem, alone) + report.notes, variables=_list_variables(problem))


def _add_every_size(report: CheckReport, question: Question, function: Expression, rules: RuleBook) -> CheckReport:
    """Return the report with what the engine adds where claim and derivative have the same index form."""
    derive = _prepare(function, question.wrt, question.order, rules, question.meaning)
    derived, claim = derive(question.layout), question.claim.root
    if derived is None or claim is None or not is_identical(derived, claim, rules):
        return report
    return replace(report, every_size=True, message=f"{report.message}; identical in index form, so for every size")


def _refuse_claim(alone: Problem, error: ShapeError, options: Options, rules: RuleBook) -> CheckReport:
    """Return the report of a claim whose own parts do not fit together, which cannot be right."""
    from matcalc.check.report import DIFFERS, CheckReport

    assert alone.wrt is not None
    correct = _write(_prepare(alone.expressions[0], alone.wrt, options.order, rules, options.meaning)(options.layout))
    message = f"differs. The shapes in the claim do not fit: {error.reason}."
    told = str(error).partition("\n")[2]  # what an error shows beside its reason, which the message tells
    return CheckReport(
        DIFFERS, ("shape",), seed=options.seed, layout=options.layout, message=message, correct=correct,
        notes=(f"in the claim\n{told}",) if told else (), dtype=options.dtype, device=options.device,
        variables=_list_variables(alone), page=show_report,
    )  # fmt: skip


def _list_variables(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Return the shape that each variable and abstract function was taken for."""
    return declared_shapes(problem.symbols) | {
        f"{name}()": tuple(map(str, shape)) for name, shape in problem.abstract.items()
    }


def _note_readings(problem: Problem, alone: Problem) -> tuple[str, ...]:
    """Say how the texts were read where they were written in another notation, and what was assumed of their names."""
    claim = to_text(problem.expressions[1]) if problem.reading is not None else None
    read = [f"read as {alone.reading}"] if alone.reading else []
    read += [f"the claim is read as {claim}"] if claim else []
    assumed = [note for note in (*alone.notes, *problem.notes) if "is taken for" in note]
    return (*read, *dict.fromkeys(assumed), *_note_new_names(problem, alone))


def _note_new_names(problem: Problem, alone: Problem) -> tuple[str, ...]:
    """Say of each name that only the claim has what it was taken for."""
    new = {name: symbol.squeezed_shape for name, symbol in problem.symbols.items() if name not in alone.symbols}
    kinds = {name: f"an array of shape {write_shape(shape)}" if shape else "a scalar" for name, shape in new.items()}
    return tuple(f"{name} stands in the claim only; it is taken for {kind}" for name, kind in kinds.items())


# --- code claim -------------------------------------------------------------------------------------
#
# `check` where the function or the claim is Python code: no text tells what its arguments are, the shapes do.


def check_code(
    expr: Any, claim: Any, wrt: str | None, shapes: Declared, assume: Declared, options: Options, rules: RuleBook
) -> CheckReport:
    """Return the report on a claim, where the function is code, or the claim, or both.

    The arguments of code are the variables of the same names.  Raises DeclarationError where a shape is not known.
    """
    from matcalc.check.question import Question
    from matcalc.check.report import could_not_check, find_missing

    reason = find_missing(options.device)
    if reason:
        return could_not_check(reason, seed=options.seed, layout=options.layout)
    pair = _Pair.read(expr, claim, wrt, shapes, assume, rules)
    assert pair.problem.wrt is not None
    try:
        function, claimed = pair.build_function(options), pair.build_claim(options)
    except EvaluationError as error:
        return could_not_check(error.reason, seed=options.seed, layout=options.layout)
    check_meaning(options.meaning, [pair.problem.wrt])
    question = Question(
        function, claimed, pair.problem.wrt, options.layout, options.order, meaning=options.meaning
    )
    report = options.judge(question, None if is_code(expr) else function.root, rules)
    report = advise_turn(report, question, rules, options.proof)
    return replace(report, variables=declared_shapes(pair.problem.symbols))


@dataclass(frozen=True)
class _Pair:
    """A function and a claim, one of them code at least, read with names that they share."""

    expr: Any
    claim: Any
    names: dict[str, list[str]]
    problem: Problem

    @classmethod
    def read(
        cls, expr: Any, claim: Any, wrt: str | None, shapes: Declared, assume: Declared, rules: RuleBook
    ) -> _Pair:
        """Read what is text, and a bare name for every argument of what is code."""
        inputs = [read_input(given, shapes, assume, rules) for given in (expr, claim) if not is_code(given)]
        for _, more_shapes, more_assumptions, _ in inputs:
            shapes, assume = more_shapes, more_assumptions
        names = {side: list_arguments(given, shapes) for side, given in (("expr", expr), ("claim", claim))}
        require_shapes([*names["expr"], *names["claim"]], shapes)
        own: list[str | Expression] = [*names["expr"]] or [inputs[0][0]]
        alone = parse(own, wrt=wrt, choose_wrt=wrt is None, shapes=shapes, rules=rules)
        assert alone.wrt is not None
        texts = [*names["expr"], *names["claim"], *(text for text, *_ in inputs)]
        known = {**read_shapes(shapes), **declared_shapes(alone.symbols)}
        problem = parse(texts, wrt=alone.wrt.name, shapes=known, assume=assume, rules=rules)
        return cls(expr, claim, names, problem)

    def build_function(self, options: Options) -> Function:
        """Return the function; raises EvaluationError where its code fails."""
        from matcalc.check.code import CodeFunction
        from matcalc.check.question import ExpressionFunction

        if not is_code(self.expr):
            return ExpressionFunction(self.problem.expressions[-1 if is_code(self.claim) else -2])
        return CodeFunction(*self._run(self.expr, self.names["expr"], options))

    def build_claim(self, options: Options) -> Claim:
        """Return the claim; raises EvaluationError where its code fails."""
        from matcalc.check.code import CodeClaim
        from matcalc.check.question import ExpressionClaim

        if not is_code(self.claim):
            return ExpressionClaim(self.problem.expressions[-1])
        return CodeClaim(*self._run(self.claim, self.names["claim"], options))

    def _run(self, call: Any, names: list[str], options: Options) -> tuple[Code, Any]:
        from matcalc.check.code import Code, infer_code_shape

        code = Code(call, tuple(self.problem.symbols[name] for name in names))
        return code, infer_code_shape(code, options.seed, options.dtype, options.device)


def list_arguments(given: Any, shapes: Declared) -> list[str]:
    """Return the names of a function's tensor arguments; none of what is no code."""
    if not is_code(given):
        return []
    from matcalc.check.code import list_parameters

    found = list_parameters(given, list(read_shapes(shapes)))
    if not found:
        raise DeclarationError("the function has no arguments to differentiate by")
    return found


def require_shapes(names: Iterable[str], shapes: Declared) -> None:
    """Raise DeclarationError for an argument of code whose shape nothing tells; of a single one its name does."""
    unique = list(dict.fromkeys(names))
    unknown = [name for name in unique if name not in read_shapes(shapes) and count_axes(name)]
    if unknown and len(unique) > 1:
        listed = ", ".join(unknown)
        reason = f"nothing tells the shape of {listed}: the arguments of Python code have no text to infer it from"
        raise DeclarationError(reason, advice='declare it, as in shapes={"A": ("m", "n"), "x": ("n",)}')


# --- judgement --------------------------------------------------------------------------------------
#
# A question and how it is to be judged -> the report: the verdict, and of a wrong claim what is wrong with it.


TRUTH = "torch.autograd.functional.jacobian"


@dataclass(frozen=True)
class Options:
    """How a claim is judged, as `check` takes it."""

    layout: str = "numerator"
    order: int = 1
    trials: int = 3
    seed: int = 0
    dtype: str = "float64"
    device: str = "cpu"
    proof: str = "both"
    rtol: float | None = None
    atol: float | None = None
    strict: bool = False
    meaning: str = "free"

    def __post_init__(self) -> None:
        """Raise DeclarationError for an unknown layout, dtype or proof, and for what is no tolerance."""
        from matcalc.check.verdict import refuse_unknown

        refuse_unknown(self.layout, self.dtype, self.proof)
        Tolerance(self.rtol, self.atol)

    def judge(
        self, question: Question, function: Expression | None, rules: RuleBook,
        truth: str = TRUTH, subject: str = "the derivative", explains: bool = True,
    ) -> CheckReport:  # fmt: skip
        """Return the verdict on a question, and of a claim that differs every reading that holds, where it `explains`.

        `function` is the expression that is differentiated, None where it is code: its terms are not known then.
        `truth` names what the claim is compared with, `subject` what it claims to be.
        """
        from matcalc.check.verdict import judge_question

        question = replace(question, tolerance=Tolerance(self.rtol, self.atol), strict=self.strict)
        report = judge_question(
            question, trials=self.trials, seed=self.seed, dtype=self.dtype, device=self.device, rules=rules,
            truth=truth, proof=self.proof,
        )  # fmt: skip
        if report.verdict != "differs" or not explains or report.reasons == ("orientation",):
            return replace(report, page=show_report)
        if report.is_refuted_exactly or self.proof in ("exact", "none"):
            return correct_exactly(report, question, function, rules)
        return explain_difference(report, question, function, rules, subject)


def advise_turn(report: CheckReport, question: Question, rules: RuleBook, proof: str) -> CheckReport:
    """Return the report of a claim that is a column for a row, or the reverse, with the claim written as it should be.

    It is advised only where the judge finds it right.
    """
    if not report.turn or question.claim.root is None or not (report or report.reasons == ("orientation",)):
        return report
    from matcalc.check.question import ExpressionClaim
    from matcalc.check.verdict import judge_question

    formula = transpose_inside(question.claim.root)
    asked = replace(question, claim=ExpressionClaim(formula), strict=True)
    is_right = judge_question(
        asked, trials=1, seed=report.seed, dtype=report.dtype, device=report.device, rules=rules,
        proof="exact" if proof == "exact" else "torch",
    )  # fmt: skip
    size = write_shape(question.shape(question.layout)).strip("(,)")
    form = f"a 1×{size} row" if report.turn == "row" else f"a column, {size}×1,"
    turned = to_text(formula) if is_right else ""
    advice = f": write {turned}" if turned else ""
    if report:
        message = f"{report.message}; as {form} in {question.layout} layout{advice}"
    else:
        message = f"{report.message.removesuffix(f'a {report.turn}')}{form.strip(',')}{advice}."
    return replace(report, turned=turned, correct="" if report else turned, message=message)


def correct_exactly(
    report: CheckReport, question: Question, function: Expression | None, rules: RuleBook
) -> CheckReport:
    """Return the report of a claim that SymPy alone refutes with the right derivative, where SymPy confirms it."""
    from matcalc.check.question import ExpressionClaim
    from matcalc.check.verdict import judge_question

    correct = _prepare(function, question.wrt, question.order, rules, question.meaning)(question.layout)
    if correct is not None:
        asked = replace(question, claim=ExpressionClaim(correct))
        correct = correct if judge_question(asked, rules=rules, proof="exact") else None
    return replace(report, correct=_write(correct), page=partial(show_report, correct=correct))


def explain_difference(
    report: CheckReport, question: Question, function: Expression | None, rules: RuleBook, subject: str
) -> CheckReport:
    """Return the report of a claim that differs with its diagnosis: reasons, the right derivative, sentences."""
    from matcalc.check.report import find_missing

    if find_missing(report.device):  # that a shape is wrong is seen without torch
        return replace(report, page=show_report)
    from matcalc.check.diagnose import diagnose

    derive = _prepare(function, question.wrt, question.order, rules, question.meaning)
    with rules_in_force(rules):
        found = diagnose(question, derive, seed=report.seed, dtype=report.dtype, device=report.device)
    correct = derive(question.layout) if found.confirmed else None
    message = f"differs. {write_diagnosis(found, question, report.worst, subject)}"
    reasons = found.reasons
    if report.turn:
        reasons = (*(reason for reason in reasons if reason != "other"), "orientation")
        other = "column" if report.turn == "row" else "row"
        message += f" It is a {other} as well, and in {question.layout} layout the derivative is a {report.turn}."
    page = partial(show_report, correct=correct)
    return replace(
        report, reasons=reasons, fits=found.fits, meanings=found.meanings,
        factor=None if found.factor is None else found.factor.value, missing=_write(found.terms.missing),
        extra=_write(found.terms.extra), symmetric=found.symmetric, repairs=tuple(map(_write, found.repairs)),
        correct=_write(correct), message=message, page=page,
    )  # fmt: skip


def _prepare(
    function: Expression | None, wrt: Expression, order: int, rules: RuleBook, meaning: str = "free"
) -> Callable[[str], Expression | None]:
    """Return what gives the derivative in a layout, derived once; None where the engine has none."""
    try:
        result = derive_result(function, wrt, order, rules, meaning) if function is not None and order else None
    except MatcalcError:
        return lambda layout: None

    @cache
    def derive(layout: str) -> Expression | None:
        if result is None:
            return function
        try:
            return result.expression(layout)
        except MatcalcError:
            return None

    return derive


def _write(formula: Expression | None) -> str:
    return "" if formula is None else to_text(formula)
