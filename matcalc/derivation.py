"""`derive` and the `Derivative` it returns: one answer with several views of one index form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from matcalc.engine.layout import check_layout
from matcalc.engine.result import Result, derive_each, derive_result
from matcalc.engine.special_points import derive_everywhere
from matcalc.errors import DeclarationError, LimitError, MatcalcError
from matcalc.inputs import (
    Declaration,
    Dtype,
    EntryVariable,
    Layout,
    Proof,
    StructureMeaning,
    check_meaning,
    choose_rules,
    declare_inferred,
    declare_variables,
    declared_shapes,
    list_paths,
    read_asked,
    read_entry_asked,
    read_input,
    read_problem,
    write_command,
    write_input,
)
from matcalc.language.declarations import Declared, measure_change, name_change, read_shapes
from matcalc.language.expression import Expression, list_letters
from matcalc.language.sizes import Shape, write_shape
from matcalc.language.text_to_expression import Problem, parse, rules_in_force
from matcalc.render.entries import write_einsum, write_entries
from matcalc.render.named_parts import KnownNames, list_taken, to_text_named
from matcalc.render.notes import describe_notes
from matcalc.render.report import choose_result_name, name_question_axes, write_header, write_report
from matcalc.rule_files import RuleBook
from matcalc.several_variables import BlockHessian, Derivatives

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.render.chain import Chain
    from matcalc.render.entries import Components
    from matcalc.render.graph import ComputationGraph
    from matcalc.render.steps import Steps


Several = list[Any] | tuple[Any, ...] | Literal["all"]
Rules = RuleBook | str | Path | Iterable[str | Path] | None


@overload
def derive(expr: Any, wrt: Several, *, layout: Layout = ..., shapes: Declared = ..., assume: Declared = ...,
           order: Literal[1] = ..., rules: Rules = ..., syntax: str = ...,
           meaning: StructureMeaning = ...) -> Derivatives: ...  # fmt: skip
@overload
def derive(expr: Any, wrt: Several, *, layout: Layout = ..., shapes: Declared = ..., assume: Declared = ...,
           order: Literal[2], rules: Rules = ..., syntax: str = ...,
           meaning: StructureMeaning = ...) -> BlockHessian: ...  # fmt: skip
@overload
def derive(expr: Any, wrt: Any = ..., *, layout: Layout = ..., shapes: Declared = ..., assume: Declared = ...,
           order: int | str | Sequence[Any] = ..., rules: Rules = ...,
           syntax: str = ..., meaning: StructureMeaning = ...) -> Derivative: ...  # fmt: skip
def derive(
    expr: Any,
    wrt: Any = None,
    *,
    layout: Layout = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int | str | Sequence[Any] = 1,
    rules: Rules = None,
    syntax: str = "auto",
    meaning: StructureMeaning = "free",
) -> Derivative | Derivatives | BlockHessian:
    """Derive an expression by one of its variables, or by several.

    `expr` is a text such as "A @ x", or a SymPy expression, `wrt` a name or a SymPy symbol, which carries its shape
    and need not occur, or an entry X[i, j] of one; without it the variable is x, else X, else the only one.  In
    numerator layout the result has shape S_Y + order * reversed(S_X), in denominator layout all of it reversed.
    `shapes` declares {"A": ("m", "n"), "x": ("n",), "c": ()}, `assume` what is known: {"A": "symmetric"}; `rules`
    adds rules of your own, verified before use.  Raises MatcalcError.

    A text that is not in the language is read as people write it: x^T A x, LaTeX, MATLAB, calls of NumPy and torch; the
    `reading` says how.  `syntax` is auto, matcalc (the language alone), math, latex, matlab or python.

    The derivative by a matrix that is assumed symmetric, skew, diagonal or triangular has a `meaning`: free, each entry
    on its own; tied, by the entries that are independent, the others moving with them; space, the gradient within such
    matrices; vech, by the vector of the independent entries.

    wrt=["W", "b"] or "all" gives a `Derivatives`, one derivation shared; with order=2 a `BlockHessian`.
    order=("x", "y") is the mixed derivative, first by x, then by y, of shape S_Y + reversed(S_x) + reversed(S_y).

    >>> derive("x.T @ A @ x", layout="denominator")
    Derivative((A + A.T) @ x, shape=(n,), layout='denominator')
    """
    check_layout(layout)
    book = choose_rules(rules)
    entry = read_entry_asked(wrt, order, book)
    wrt = wrt if entry is None else entry.asked
    asked = read_asked(wrt, order)
    variables = order if isinstance(order, list | tuple) else wrt
    source, shapes, assume, names = read_input(expr, shapes, assume, book, variables)
    shapes, text = declare_variables(variables, shapes, names), write_input(source)
    problem, asked = read_problem(source, asked, shapes=shapes, assume=assume, rules=book, syntax=syntax)
    text, shapes = problem.reading or text, declare_inferred(problem, shapes)
    given = {name: tuple(map(str, shape)) for name, shape in read_shapes(shapes).items()}
    files = list_paths(rules)
    try:
        by = [[problem.symbols[name] for name in step] for step in asked.steps]
        check_meaning(meaning, [wrt for step in by for wrt in step], is_entry=entry is not None)
        results = derive_each(problem.expressions[0], by, book, meaning)
        if entry is not None:
            variable, problem = entry.settle(problem)
            results = [each.pick(variable.units, variable.symbol) for each in results]
            names = {**names, **variable.names}
        moved = None if entry is None else variable
        made = [
            Derivative(
                problem, each, text=text, layout=layout, rules=book, names=names, given=given, files=files, entry=moved,
                meaning=meaning,
            )
            for each in results
        ]
    except MatcalcError as error:
        named = {name: write_shape(found.declared_shape) for name, found in problem.symbols.items()}
        raise error.complete(text, named) from None
    if not asked.several:
        return made[0]
    if asked.order == 1:
        return Derivatives({one.wrt.name: one for one in made})
    return BlockHessian({(one.by[0].name, one.by[1].name): one for one in made})


class Derivative:
    """The derivative of an expression by a variable, in one layout; other layouts by `in_layout`.

    `str` gives a text of the same language, which can be derived, checked and evaluated again.
    """

    def __init__(
        self, problem: Problem, result: Result, *, text: str, layout: Layout, rules: RuleBook,
        names: Mapping[str, Any], given: dict[str, tuple[str, ...]], files: tuple[str, ...] = (),
        entry: EntryVariable | None = None, meaning: StructureMeaning = "free",
    ) -> None:  # fmt: skip
        self.problem = replace(problem, wrt=result.wrt)
        self.entry = entry
        self.text = text
        self.layout: Layout = layout
        self.meaning: StructureMeaning = meaning
        self.names = names
        self.given = given
        self._rules, self._files = rules, files
        self._result = result
        self.expression = result.expression(layout)

    # --- what was asked ---------------------------------------------------------------------------

    @property
    def function(self) -> Expression:
        """The expression that was differentiated."""
        return self.problem.expressions[0]

    @property
    def reading(self) -> str | None:
        """How the text was read, in the language, where it was written in another notation.

        >>> derive("x'Ax").reading
        'x.T @ A @ x'
        """
        return self.problem.reading

    @property
    def by(self) -> tuple[Expression, ...]:
        """The variables, in the order of the differentiations."""
        return self._result.by

    @property
    def wrt(self) -> Expression:
        """The variable, a symbol of the language; of a mixed derivative the last one."""
        return self._result.wrt

    @property
    def order(self) -> int:
        """How often it was differentiated."""
        return self._result.order

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
        told = [describe_notes(self.function, wrt, self.expression, self.meaning) for wrt in dict.fromkeys(self.by)]
        return (*self.problem.notes, *dict.fromkeys(note for notes in told for note in notes))

    def as_input(self) -> tuple[str, Declared, Declared, Mapping[str, Any]]:
        """The text, shapes, assumptions and symbols with which it is an expression to derive or judge again."""
        return str(self), {**self.given, **self.declared}, self.assumed, self.names

    # --- views ------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return to_text_named(self.expression, self.taken)

    @cached_property
    def taken(self) -> KnownNames:
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
        by = [(name, measure_change(wrt, self.meaning)) for name, wrt in zip(self.names_by, self.by, strict=True)]
        return tuple(name_question_axes(self.result_name, len(self.function.squeezed_shape), by, self.layout))

    @property
    def names_by(self) -> tuple[str, ...]:
        """What it is by, in the order of the differentiations: the variables, or vech(X) for independent entries."""
        return tuple(name_change(wrt, self.meaning) for wrt in self.by)

    @cached_property
    def result_name(self) -> str:
        """The name the answer gives to the function: Y, y or f, whichever is free."""
        taken = set(self.problem.symbols) | set(self.problem.abstract)
        return choose_result_name(len(self.function.squeezed_shape), taken)

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

        self._refuse_mixed("chains are shown")
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

    def in_layout(self, layout: Layout) -> Derivative:
        """The same derivative in another layout.

        >>> str(derive("A @ x").in_layout("denominator"))
        'A.T'
        """
        check_layout(layout)
        return Derivative(
            self.problem, self._result, text=self.text, layout=layout, rules=self._rules, names=self.names,
            given=self.given, files=self._files, entry=self.entry, meaning=self.meaning,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, the same fields in every release of version 1."""
        from matcalc.render.report import write_data

        return write_data(self)

    # --- for a reader ----------------------------------------------------------------------------

    @cached_property
    def steps(self) -> Steps:
        """The derivation as a person writes it, law by law, each with its source."""
        from matcalc.render.steps import list_steps

        self._refuse_mixed("steps are shown")
        return list_steps(self)

    def write_steps(self, form: str = "text") -> str:
        """Return the steps as a page of text, as Markdown, or as LaTeX (an align* environment).

        Raises DeclarationError for another form.
        """
        from matcalc.render.steps import write_steps, write_steps_latex, write_steps_markdown

        writers = {"text": write_steps, "markdown": write_steps_markdown, "latex": write_steps_latex}
        if form not in writers:
            raise DeclarationError(f"steps are not written as {form!r}", advice="use one of " + ", ".join(writers))
        return writers[form](self.steps)

    def _refuse_mixed(self, what: str, with_meaning: bool = False) -> None:
        if self.is_mixed:
            raise DeclarationError(f"{what} of derivatives by one variable", advice="derive by one name")
        if self.entry is not None:
            name = self.entry.matrix.name
            raise DeclarationError(f"{what} of derivatives by a whole variable", advice=f"derive by {name}")
        if self.meaning != "free" and not with_meaning:
            raise DeclarationError(f"{what} of derivatives with every entry free", advice="derive with meaning free")

    def graph(self, sizes: Mapping[str, int] | None = None) -> ComputationGraph:
        """The computation graph of the function, with what forward and reverse accumulation cost."""
        from matcalc.render.graph import write_graph

        return write_graph(self, self._rules, sizes)

    def code(self, backend: str = "numpy") -> str:
        """Python source of the derivative for numpy, torch or jax, with its own check at the bottom.

        Raises MissingRuleError where a function has no word there.
        """
        from matcalc.render.code.module import to_code

        self._refuse_mixed("code is written")
        return to_code(self, backend)

    def autograd_function(self, name: str = "Formula") -> str:
        """Python source of a torch.autograd.Function of the expression, with torch.autograd.gradcheck at the bottom."""
        from matcalc.render.code.autograd import to_autograd_function

        return to_autograd_function(self, name)

    def latex(self, bold: bool = False) -> str:
        """The derivative as LaTeX, vectors and matrices in bold if asked for.

        Of a long one the parts that repeat are named and the lines aligned.
        """
        from matcalc.render.latex import bold_arrays, to_latex_named

        with bold_arrays(bold):
            return to_latex_named(self.expression, self.taken)

    def unicode(self) -> str:
        """The derivative in the signs of mathematics, for a terminal: 2 Aᵀ (A x − b)."""
        from matcalc.render.unicode import to_unicode

        return to_unicode(self.expression, self.taken)

    @cached_property
    def structure(self) -> tuple[str, ...]:
        """What kind of array the formula shows: zero, diagonal, rank 1, symmetric, Kronecker product, constant, ...

        >>> from matcalc import derive
        >>> derive("softmax(x)").structure
        ('diagonal plus rank 1', 'symmetric')
        """
        from matcalc.render.structure import describe_structure

        return describe_structure(self)

    def compile(self, backend: str = "numpy", form: Literal["dense", "structured"] = "dense") -> Callable[..., Any]:
        """Return the derivative as a function of numpy, torch or jax arrays: what `code` writes, ready to be called.

        With form="structured", of NumPy, it gives a `StructuredArray`, which applies, transposes and solves with the
        derivative and forms no entry.  Raises MissingRuleError where a function has no word there, DeclarationError for
        another backend or form.

        >>> from matcalc import derive
        >>> derive("norm(x)**2", layout="denominator").compile()([1.0, 2.0]).tolist()
        [2.0, 4.0]
        """
        if form != "dense":
            from matcalc.structured import compile_structured, refuse_form

            refuse_form(form, backend)
            self._refuse_mixed("operators are made")
            return compile_structured(self, self.in_layout("torch").numeric)
        return self._compile([self.numeric], f"derivative_of_{self.result_name}", backend)

    def value_and_derivative(self, backend: str = "numpy") -> Callable[..., Any]:
        """Return a function of arrays that gives the value and the derivative, what they have in common computed once.

        Raises MissingRuleError where a function has no word in the backend.

        >>> from matcalc import derive
        >>> value, gradient = derive("norm(x)**2", layout="denominator").value_and_derivative()([3.0, 4.0])
        >>> float(value), gradient.tolist()
        (25.0, [6.0, 8.0])
        """
        return self._compile([self.function, self.numeric], f"value_and_derivative_of_{self.result_name}", backend)

    def vjp(self, name: str = "g") -> Derivative:
        """Return the gradient of sum(g*Y) by X: the cotangent g times the derivative, which is never formed.

        Raises DeclarationError where the name is taken.

        >>> from matcalc import derive
        >>> str(derive("tanh(A @ x)").vjp())
        'A.T @ (g*(1 - tanh(A @ x)**2))'
        """
        from matcalc.directional import derive_vjp

        return derive_vjp(self._refuse_higher("vjp"), name, self._rules, self._files)

    def jvp(self, name: str = "") -> Derivative:
        """Return the derivative along a direction, dX unless named otherwise, of the shape of Y.

        Raises DeclarationError where the name is taken.

        >>> from matcalc import derive
        >>> str(derive("A @ inv(X)", "X").jvp())
        '-A @ inv(X) @ dX @ inv(X)'
        """
        from matcalc.directional import derive_jvp

        return derive_jvp(self._refuse_higher("jvp"), name or f"d{self.wrt.name}", self._rules, self._files)

    def hvp(self, name: str = "") -> Derivative:
        """Return the Hessian of a scalar function times a direction, dX unless named otherwise; it is never formed.

        Raises DeclarationError for a function that is no scalar, and where the name is taken.

        >>> from matcalc import derive
        >>> str(derive("sum(exp(A @ x))", "x").hvp())
        'A.T @ (exp(A @ x)*(A @ dx))'
        """
        from matcalc.directional import derive_hvp

        return derive_hvp(self._refuse_higher("hvp"), name or f"d{self.wrt.name}", self._rules, self._files)

    def _refuse_higher(self, what: str) -> Derivative:
        self._refuse_mixed(f"{what} is taken")
        if self.order > 1:
            raise DeclarationError(f"{what} is of a derivative of order 1", advice="leave `order` out")
        return self

    def _compile(self, roots: list[Expression], name: str, backend: str) -> Callable[..., Any]:
        if self.entry is not None:
            self._refuse_mixed("code is written")
        from matcalc.render.code.compile import compile_expressions

        return compile_expressions(self.problem, roots, name, backend, self.result.graph.rules)

    def to_sympy(self) -> Any:
        """The derivative as a SymPy expression; raises MatcalcError where SymPy has no word for it."""
        from matcalc.render.to_sympy import to_sympy

        with rules_in_force(self._rules):
            return to_sympy(self.expression, self.names)

    def components(self, sizes: Mapping[str, int] | None = None) -> Components:
        """Function and derivative written out entry by entry as SymPy matrices, or arrays of more axes.

        `sizes` gives numbers for letters, the others are 2, 3, ...  Raises MatcalcError for what cannot be written out.

        >>> from matcalc import derive
        >>> derive("norm(x)**2", layout="denominator").components({"n": 2}).derivative
        Matrix([
        [2*x[0, 0]],
        [2*x[1, 0]]])
        """
        from matcalc.render.entries import write_components

        return write_components(self.function, self.expression, sizes, self._rules)

    # --- as a SymPy object ------------------------------------------------------------------------

    def _sympy_(self) -> Any:
        """What SymPy takes it for wherever it takes an expression: sympify(d), x + d."""
        return self.to_sympy()

    def _sympystr(self, printer: Any) -> str:
        return str(self)

    def _latex(self, printer: Any) -> str:
        return self.latex()

    def _pretty(self, printer: Any) -> Any:
        from sympy.printing.pretty.stringpict import prettyForm

        try:
            return printer._print(self.to_sympy())
        except MatcalcError:  # what SymPy has no word for is shown in the signs of mathematics
            return prettyForm(self.unicode())

    def _repr_html_(self) -> str:
        from matcalc.render.answer_html import write_derivative_html

        return write_derivative_html(self, self.check())

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    # --- numbers ----------------------------------------------------------------------------------

    def evaluate(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Any:
        """Return the derivative at a point: NumPy in, NumPy out; torch in, torch out; axes as in `shape`.

        Vectors may be (n,) or (n, 1); `sizes` gives the sizes that no value tells, as m in ones(m) @ x.T.
        Raises EvaluationError where values do not fit.
        """
        from matcalc.check.evaluate import evaluate_with

        return evaluate_with(self._safe, values, sizes, self.problem.symbols.values(), self._rules)

    @cached_property
    def numeric(self) -> Expression:
        """The formula by which numbers are computed: `expression`, or one that has them where that divides by 0."""
        entry = self.entry
        by = self.by if entry is None else (*self.by[:-1], entry.matrix)
        found = derive_everywhere(self.function, by, self.expression, self._rules, self.meaning)
        if found is None:
            return self.expression
        try:
            return (found if entry is None else found.pick(entry.units, entry.symbol)).expression(self.layout)
        except MatcalcError:  # a rule holds for vectors, and the derivative is along an axis
            return self.expression

    @cached_property
    def _safe(self) -> Expression:
        """The formula by which numbers are computed, without overflow."""
        from matcalc.render.code.safe import make_safe

        return make_safe(self.numeric)[0]

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
        from matcalc.check.evaluate import draw_point

        return draw_point(self.function, (self.expression, *self.by), self.shape, sizes, seed, self._rules)

    def check(
        self, trials: int = 3, seed: int = 0, dtype: Dtype = "float64", device: str = "cpu", proof: Proof = "both"
    ) -> CheckReport:
        """Compare what `str` prints, read again, with torch.autograd.functional.jacobian of the expression.

        It is compared exactly as well, in SymPy, entry by entry at small sizes; proof="exact" or "torch" asks for one.
        """
        from matcalc.check.question import ask
        from matcalc.check.report import could_not_check
        from matcalc.check.verdict import judge_question

        try:
            shapes = self.given | self.declared
            texts = [self.text, str(self)]
            printed = parse(texts, wrt=self._name_whole(), shapes=shapes, assume=self.assumed, rules=self._rules)
        except MatcalcError as error:
            how = "is too long to" if isinstance(error, LimitError) else "cannot"
            reason = f"the derivative {how} be read again: {error.reason}"
            return could_not_check(reason, seed=seed, layout=self.layout)
        # An entry is a variable of its own: X + X_01*outer(e_0, e_1) stands in the place of X.
        move = self.entry.move if self.entry else lambda formula: formula
        expression, claim = map(move, printed.expressions)
        by = [printed.symbols.get(wrt.name, wrt) for wrt in self.by]
        options: dict[str, Any] = {"trials": trials, "seed": seed, "dtype": dtype, "device": device, "proof": proof}
        question = ask(expression, claim, by, self.layout, self.meaning)
        report = judge_question(question, rules=self._rules, **options)
        mixed = ",".join(wrt.name for wrt in self.by)
        by_one = None if self.is_mixed else self.wrt.name if self.entry is None else self.entry.written
        declared = Declaration(by_one, shapes, self.assumed, self._files)
        options |= {
            "layout": self.layout, "order": mixed if self.is_mixed else self.order, "meaning": self.meaning
        }  # fmt: skip
        command = write_command(["derive", self.text], declared, options)
        return replace(report, variables=dict(self.declared), command=command, page=show_report)

    def _name_whole(self) -> str:
        """Return the name of the variable, of an entry that of its matrix."""
        return self.wrt.name if self.entry is None else self.entry.matrix.name


def _derive_part(expression: Expression, name: str, like: Derivative) -> Derivative:
    return derive(expression, name, layout=like.layout, shapes=like.declared, assume=like.assumed, rules=like._rules)


def show_report(report: CheckReport, correct: Expression | None = None) -> str:
    """Return what a notebook shows of a report, as HTML; `correct` is the right derivative where it is known."""
    from matcalc.render.report_html import write_check_html

    return write_check_html(report, correct)
