"""`derive` and the `Derivative` it returns: one answer with several views of one index form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from matcalc.command_line import Declaration, list_paths, write_command
from matcalc.derivatives import BlockHessian, Derivatives, derive_several
from matcalc.engine.layout import check_layout
from matcalc.engine.result import Result, derive_mixed, derive_result
from matcalc.errors import LimitError, MatcalcError
from matcalc.language.declarations import Declared, read_shapes
from matcalc.language.expression import Expression, list_letters
from matcalc.language.sizes import Shape, write_shape
from matcalc.language.text_to_expression import Problem, parse
from matcalc.read_input import declare_variables, declared_shapes, read_asked, read_input, read_problem, write_input
from matcalc.reader_views import ReaderViews, show_report
from matcalc.render.entries import write_einsum, write_entries
from matcalc.render.named_parts import list_taken, to_text_named
from matcalc.render.notes import describe_notes
from matcalc.render.report import choose_result_name, name_question_axes, write_header, write_report
from matcalc.rule_files import RuleBook
from matcalc.user_rules import choose_rules

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.render.chain import Chain

Several = list[Any] | tuple[Any, ...] | Literal["all"]
Rules = RuleBook | str | Path | Iterable[str | Path] | None


@overload
def derive(expr: Any, wrt: Several, *, layout: str = ..., shapes: Declared = ..., assume: Declared = ...,
           order: Literal[1] = ..., rules: Rules = ...) -> Derivatives: ...  # fmt: skip
@overload
def derive(expr: Any, wrt: Several, *, layout: str = ..., shapes: Declared = ..., assume: Declared = ...,
           order: Literal[2], rules: Rules = ...) -> BlockHessian: ...  # fmt: skip
@overload
def derive(expr: Any, wrt: Any = ..., *, layout: str = ..., shapes: Declared = ..., assume: Declared = ...,
           order: int | str | Sequence[Any] = ..., rules: Rules = ...) -> Derivative: ...  # fmt: skip
def derive(
    expr: Any,
    wrt: Any = None,
    *,
    layout: str = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int | str | Sequence[Any] = 1,
    rules: Rules = None,
) -> Derivative | Derivatives | BlockHessian:
    """Derive an expression by one of its variables, or by several.

    `expr` is a text such as "A @ x", or a SymPy expression, `wrt` a name or a SymPy symbol, which carries its shape
    and need not occur; without it the variable is x, else X, else the only one.  In numerator layout the result has
    shape S_Y + order * reversed(S_X), in denominator layout all of it reversed.  `shapes` declares
    {"A": ("m", "n"), "x": ("n",), "c": ()}, `assume` what is known: {"A": "symmetric"}; `rules` adds rules of
    your own, verified before use.  Raises MatcalcError.

    wrt=["W", "b"] or "all" gives a `Derivatives`, one derivation shared; with order=2 a `BlockHessian`.
    order=("x", "y") is the mixed derivative, first by x, then by y, of shape S_Y + reversed(S_x) + reversed(S_y).

    >>> derive("x.T @ A @ x", layout="denominator")
    Derivative((A + A.T) @ x, shape=(n,), layout='denominator')
    """
    check_layout(layout)
    asked = read_asked(wrt, order)
    book = choose_rules(rules)
    variables = order if isinstance(order, list | tuple) else wrt
    source, shapes, assume, names = read_input(expr, shapes, assume, book, variables)
    shapes, text = declare_variables(variables, shapes, names), write_input(source)
    problem, asked = read_problem(source, asked, shapes=shapes, assume=assume, rules=book)
    make = partial(Derivative, text=text, layout=layout, rules=book, names=names, given=read_shapes(shapes),
                   files=list_paths(rules))  # fmt: skip
    try:
        if asked.several:
            return derive_several(problem, asked, book, make)
        by = asked.names if asked.mixed else asked.names * asked.order
        return make(problem, [problem.symbols[name] for name in by])
    except MatcalcError as error:
        named = {name: write_shape(found.declared_shape) for name, found in problem.symbols.items()}
        raise error.complete(text, named) from None


class Derivative(ReaderViews):
    """The derivative of an expression by a variable, in one layout; other layouts by `in_layout`.

    `str` gives a text of the same language, which can be derived, checked and evaluated again.
    """

    def __init__(
        self, problem: Problem, by: Sequence[Expression], *, text: str, layout: str, rules: RuleBook,
        names: Mapping[str, Any], given: Mapping[str, Shape], result: Result | None = None,
        files: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.problem = replace(problem, wrt=by[-1])
        self.by = tuple(by)
        self.text = text
        self.layout = layout
        self.order = len(by)
        self.names = names
        self.given = {name: tuple(map(str, shape)) for name, shape in given.items()}
        self._rules, self._files = rules, files
        self._result = result or derive_mixed(problem.expressions[0], by, rules)
        self.expression = self._result.expression(layout)

    @classmethod
    def _of(cls, other: Derivative, layout: str) -> Derivative:
        """The same derivative in another layout; nothing is derived again."""
        same = object.__new__(cls)
        same.__dict__.update({k: v for k, v in vars(other).items() if k in _SHARED})
        same.layout = layout
        same.expression = other._result.expression(layout)
        return same

    # --- what was asked ---------------------------------------------------------------------------

    @property
    def function(self) -> Expression:
        """The expression that was differentiated."""
        return self.problem.expressions[0]

    @property
    def wrt(self) -> Expression:
        """The variable, a symbol of the language; of a mixed derivative the last one."""
        return self.by[-1]

    @property
    def is_mixed(self) -> bool:
        """Whether it is a derivative by different variables, one after the other."""
        return len(set(self.by)) > 1

    @property
    def result(self) -> Result:
        """The derivative in index form."""
        return self._result

    @cached_property
    def declared(self) -> dict[str, tuple[str, ...]]:
        """The shape of every variable and abstract function, as `shapes=` takes it."""
        own = declared_shapes(self.problem.symbols)
        return own | {name: tuple(map(str, shape)) for name, shape in self.problem.abstract.items()}

    @cached_property
    def assumed(self) -> dict[str, tuple[str, ...]]:
        """What is known of each variable, as `assume=` takes it."""
        found = {name: tuple(sorted(symbol.data[1])) for name, symbol in self.problem.symbols.items()}
        return {name: words for name, words in found.items() if words}

    @property
    def notes(self) -> tuple[str, ...]:
        """How the text was understood, where there is no derivative, and what the answer's rarer words mean."""
        told = [describe_notes(self.function, wrt, self.expression) for wrt in dict.fromkeys(self.by)]
        return (*self.problem.notes, *dict.fromkeys(note for notes in told for note in notes))

    def as_input(self) -> tuple[str, Declared, Declared, Mapping[str, Any]]:
        """The text, shapes, assumptions and symbols with which it is an expression to derive or judge again."""
        return str(self), {**self.given, **self.declared}, self.assumed, self.names

    # --- views ------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return to_text_named(self.expression, self.taken)

    @cached_property
    def taken(self) -> set[str]:
        """The names that a named part of a long result may not have."""
        return list_taken(self.problem, self._rules, self.given)

    def __repr__(self) -> str:
        text = to_text_named(self.expression, self.taken, "; ")
        return f"Derivative({text}, shape={write_shape(self.shape) if self.shape else '()'}, layout={self.layout!r})"

    @cached_property
    def shape(self) -> Shape:
        """The shape, unit axes dropped: a tuple of sizes, each equal to its text."""
        return self._result.shape(self.layout)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """What each axis of the shape is: "Y axis 0", "X axis 1", ...

        >>> derive("A @ x").axes
        ('y axis 0', 'x axis 0')
        """
        by = [(wrt.name, wrt.dropped_shape) for wrt in self.by]
        return tuple(name_question_axes(self.result_name, len(self.function.dropped_shape), by, self.layout))

    @cached_property
    def result_name(self) -> str:
        """The name the answer gives to the function: Y, y or f, whichever is free."""
        taken = set(self.problem.symbols) | set(self.problem.abstract)
        return choose_result_name(len(self.function.dropped_shape), taken)

    @cached_property
    def entries(self) -> str:
        """The formula of one entry: dY[i,j]/dX[a,b] = A[i,a]*B[b,j]."""
        return write_entries(self._result, self.result_name)

    @cached_property
    def einsum(self) -> str:
        """The derivative as einsum, in this layout (in torch's order for the vec layout)."""
        return write_einsum(self._result, "torch" if self.layout == "vec" else self.layout)

    @cached_property
    def vec(self) -> str:
        """d vec(Y) / d vec(X).T, columns stacked: kron(B.T, A)."""
        return to_text_named(self._result.expression("vec"), self.taken, "; ")

    @cached_property
    def vec_shape(self) -> Shape:
        """The shape of `vec`."""
        return self._result.shape("vec")

    @cached_property
    def differential(self) -> str:
        """dY in terms of dX: dY = A @ dX @ B; of the first derivative."""
        first = self._result if self.order == 1 else derive_result(self.function, self.by[0], 1, self._rules)
        return to_text_named(first.differential(), self.taken, "; ", f"d{self.result_name} = ")

    def chain(self) -> Chain:
        """The derivative of a composition as a product of the derivatives of its parts; of order 1."""
        from matcalc.render.chain import write_chain

        return write_chain(self, _derive_part)

    @property
    def declaration(self) -> str:
        """The line that echoes what each name was taken for."""
        return write_header(self)[0]

    @property
    def header(self) -> str:
        """The line that names the derivative, its layout and its shape."""
        return write_header(self)[1]

    def report(self) -> str:
        """The whole answer as text, without the verdict."""
        return write_report(self)

    def in_layout(self, layout: str) -> Derivative:
        """The same derivative in another layout.

        >>> str(derive("A @ x").in_layout("denominator"))
        'A.T'
        """
        check_layout(layout)
        return Derivative._of(self, layout)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, the same fields in every release of version 1."""
        from matcalc.render.report import write_data

        return write_data(self)

    # --- numbers ----------------------------------------------------------------------------------

    def evaluate(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Any:
        """Return the derivative at a point: NumPy in, NumPy out; torch in, torch out; axes as in `shape`.

        Vectors may be (n,) or (n, 1); `sizes` gives the sizes that no value tells, as m in ones(m) @ x.T.
        Raises EvaluationError where values do not fit.
        """
        from matcalc.check.evaluate import evaluate_with

        return evaluate_with(self.expression, values, sizes, self.problem.symbols.values(), self._rules)

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of all sizes, in the order of their appearance.

        >>> derive("A @ x").letters
        ('m', 'n')
        """
        return list_letters(self.function, *self.by, self.expression)

    def draw_point(self, sizes: Mapping[str, int] | None = None, seed: int = 0) -> dict[str, Any]:
        """Return random NumPy values for every variable, from the domains in which the function is defined.

        `sizes` gives numbers for letters such as {"m": 3}, the rest are small; `evaluate` takes what comes out.
        Raises DeclarationError for sizes that do not exist, EvaluationError where no point is found.

        >>> derive("A @ x").draw_point({"m": 2, "n": 4})["A"].shape
        (2, 4)
        """
        from matcalc.check.draw_point import draw_point

        return draw_point(self.function, (self.expression, *self.by), self.shape, sizes, seed, self._rules)

    def check(
        self, trials: int = 3, seed: int = 0, dtype: str = "float64", device: str = "cpu"
    ) -> CheckReport:
        """Compare what `str` prints, read again, with torch.autograd.functional.jacobian of the expression."""
        from matcalc.check.question import ask
        from matcalc.check.report import could_not_check
        from matcalc.check.verdict import judge_question

        try:
            printed = self._read_again()
        except MatcalcError as error:
            how = "is too long to" if isinstance(error, LimitError) else "cannot"
            reason = f"the derivative {how} be read again: {error.reason}"
            return could_not_check(reason, seed=seed, layout=self.layout)
        expression, claim = printed.expressions
        by = [printed.symbols.get(wrt.name, wrt) for wrt in self.by]
        options: dict[str, Any] = {"trials": trials, "seed": seed, "dtype": dtype, "device": device}
        report = judge_question(ask(expression, claim, by, self.layout), rules=self._rules, **options)
        by_one = None if self.is_mixed else self.wrt.name
        declared = Declaration(by_one, self.given | self.declared, self.assumed, self._files)
        options |= {"layout": self.layout, "order": self._write_by() if self.is_mixed else self.order}
        command = write_command(["derive", self.text], declared, options)
        return replace(report, variables=dict(self.declared), command=command, page=show_report)

    def _write_by(self) -> str:
        return ",".join(wrt.name for wrt in self.by)

    def _read_again(self) -> Problem:
        """The expression and the printed derivative, both read from text with the declared shapes."""
        shapes = {**self.given, **self.declared}
        return parse([self.text, str(self)], wrt=self.wrt.name, shapes=shapes, assume=self.assumed, rules=self._rules)


def _derive_part(expression: Expression, name: str, like: Derivative) -> Derivative:
    return derive(expression, name, layout=like.layout, shapes=like.declared, assume=like.assumed, rules=like._rules)


_SHARED = {"problem", "text", "by", "order", "names", "given", "_rules", "_files", "_result", "declared", "assumed",
           "result_name", "vec", "vec_shape", "differential", "entries"}  # fmt: skip
