"""`check` where the function or the claim is Python code: no text tells what its arguments are, the shapes do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from matcalc.errors import DeclarationError, EvaluationError
from matcalc.judgement import Options
from matcalc.language.declarations import Declared, read_shapes
from matcalc.language.expression import Expression
from matcalc.language.names import count_axes
from matcalc.language.text_to_expression import Problem, parse
from matcalc.read_input import declared_shapes, is_code, read_input
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.code import Code
    from matcalc.check.question import Claim, Function
    from matcalc.check.report import CheckReport


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
    question = Question(function, claimed, pair.problem.wrt, options.layout, options.order)
    report = options.judge(question, None if is_code(expr) else function.root, rules)
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
