"""What a reader may want of a derivative beside its formula: steps, a graph, code, LaTeX, SymPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative
    from matcalc.render.graph import ComputationGraph
    from matcalc.render.steps import Steps


class ReaderViews:
    """The views of a `Derivative` that other modules write."""

    expression: Expression
    names: Mapping[str, Any]
    _rules: RuleBook

    @property
    def _derivative(self) -> Derivative:
        return cast("Derivative", self)

    @cached_property
    def steps(self) -> Steps:
        """The derivation as a person writes it, law by law, each with its source."""
        from matcalc.render.steps import list_steps

        self._refuse_mixed("steps are shown")
        return list_steps(self._derivative)

    def write_steps(self, form: str = "text") -> str:
        """Return the steps as a page of text, as Markdown, or as LaTeX (an align* environment).

        Raises DeclarationError for another form.
        """
        from matcalc.render.steps import write_steps, write_steps_latex, write_steps_markdown

        writers = {"text": write_steps, "markdown": write_steps_markdown, "latex": write_steps_latex}
        if form not in writers:
            raise DeclarationError(f"steps are not written as {form!r}", advice="use one of " + ", ".join(writers))
        return writers[form](self.steps)

    def _refuse_mixed(self, what: str) -> None:
        if self._derivative.is_mixed:
            raise DeclarationError(f"{what} of derivatives by one variable", advice="derive by one name")

    def graph(self, sizes: Mapping[str, int] | None = None) -> ComputationGraph:
        """The computation graph of the function, with what forward and reverse accumulation cost."""
        from matcalc.render.graph import write_graph

        return write_graph(self._derivative, self._rules, sizes)

    def code(self, backend: str = "numpy") -> str:
        """Python source of the derivative for numpy, torch or jax, with its own check at the bottom.

        Raises MissingRuleError where a function has no word there.
        """
        from matcalc.render.to_code import to_code

        self._refuse_mixed("code is written")
        return to_code(self._derivative, backend)

    def autograd_function(self, name: str = "Formula") -> str:
        """Python source of a torch.autograd.Function of the expression, with torch.autograd.gradcheck at the bottom."""
        from matcalc.render.to_autograd_function import to_autograd_function

        return to_autograd_function(self._derivative, name)

    def latex(self, bold: bool = False) -> str:
        """The derivative as LaTeX, vectors and matrices in bold if asked for.

        Of a long one the parts that repeat are named and the lines aligned.
        """
        from matcalc.render.latex import bold_arrays, to_latex_named

        with bold_arrays(bold):
            return to_latex_named(self.expression, self._derivative.taken)

    def unicode(self) -> str:
        """The derivative in the signs of mathematics, for a terminal: 2 Aᵀ (A x − b)."""
        from matcalc.render.unicode import to_unicode

        return to_unicode(self.expression, self._derivative.taken)

    @cached_property
    def structure(self) -> tuple[str, ...]:
        """What kind of array the formula shows: zero, diagonal, rank 1, symmetric, Kronecker product, constant, ...

        >>> from matcalc import derive
        >>> derive("softmax(x)").structure
        ('diagonal plus rank 1', 'symmetric')
        """
        from matcalc.render.structure import describe_structure

        return describe_structure(self._derivative)

    def compile(self, backend: str = "numpy") -> Callable[..., Any]:
        """Return the derivative as a function of numpy, torch or jax arrays: what `code` writes, ready to be called.

        Raises MissingRuleError where a function has no word there.

        >>> from matcalc import derive
        >>> derive("norm(x)**2", layout="denominator").compile()([1.0, 2.0]).tolist()
        [2.0, 4.0]
        """
        from matcalc.render.to_code import compile_code

        self._refuse_mixed("code is written")
        return compile_code(self._derivative, backend)

    def to_sympy(self) -> Any:
        """The derivative as a SymPy expression; raises MatcalcError where SymPy has no word for it."""
        from matcalc.check.rule_texts import rules_in_force
        from matcalc.render.to_sympy import to_sympy

        with rules_in_force(self._rules):
            return to_sympy(self.expression, self.names)

    def _repr_html_(self) -> str:
        from matcalc.render.answer_html import write_derivative_html

        return write_derivative_html(self._derivative, self._derivative.check())

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def show_report(report: CheckReport, correct: Expression | None = None) -> str:
    """Return what a notebook shows of a report, as HTML; `correct` is the right derivative where it is known."""
    from matcalc.render.report_html import write_check_html

    return write_check_html(report, correct)
