"""`derive` and the `Derivative` it returns: one answer with several views of one index form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.command_line import Declaration, write_command
from matcalc.engine.derive_result import Result, derive_result
from matcalc.engine.layout import Axis, arrange, check_layout
from matcalc.errors import DeclarationError, LimitError, MatcalcError
from matcalc.language.declarations import Declared, read_shapes, split_assumptions, split_shapes
from matcalc.language.expression import Expression, symbols
from matcalc.language.names import name_wrt
from matcalc.language.sizes import Shape, drop_units, write_shape
from matcalc.language.text_to_expression import Problem, parse
from matcalc.render.entries import write_einsum, write_entries
from matcalc.render.notes import describe_notes
from matcalc.render.report import name_derivative, write_header, write_report
from matcalc.render.to_text import to_text
from matcalc.rule_files import RuleBook
from matcalc.user_rules import choose_rules

if TYPE_CHECKING:
    from matcalc.check.verdict import CheckReport

MAX_ORDER = 6


def derive(
    expr: Any,
    wrt: Any = None,
    *,
    layout: str = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int = 1,
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
) -> Derivative:
    """Derive an expression by one of its variables.

    `expr` is a text such as "A @ x", or a SymPy expression, `wrt` a name or a SymPy symbol; without it the
    variable is x, else X, else the only one.  In numerator layout the result has shape
    S_Y + order * reversed(S_X), in denominator layout all of it reversed.  `shapes` declares
    {"A": ("m", "n"), "x": ("n",), "c": ()}, `assume` what is known: {"A": "symmetric"}; `rules` adds rules of
    your own, verified before use.  Raises MatcalcError.

    >>> derive("x.T @ A @ x", layout="denominator")
    Derivative((A + A.T) @ x, shape=(n,), layout='denominator')
    """
    check_layout(layout)
    check_order(order)
    book = choose_rules(rules)
    text, shapes, assume, names = read_input(expr, shapes, assume)
    name = name_wrt(wrt)
    problem = parse(text, wrt=name, choose_wrt=name is None, shapes=shapes, assume=assume, rules=book)
    try:
        return Derivative(problem, text, layout, order, book, names, read_shapes(shapes))
    except MatcalcError as error:
        named = {name: write_shape(found.dropped_shape) for name, found in problem.symbols.items()}
        raise error.complete(text, named) from None


def check_order(order: int) -> None:
    """Raise DeclarationError for an order that is not a whole number from 1 to MAX_ORDER."""
    if not isinstance(order, int) or not 1 <= order <= MAX_ORDER:
        raise DeclarationError(f"the order is a whole number from 1 to {MAX_ORDER}, not {order!r}")


def read_input(expr: Any, shapes: Declared, assume: Declared) -> tuple[str, Declared, Declared, Mapping[str, Any]]:
    """Return the text of an input; a SymPy expression brings its shapes, assumptions and symbols along."""
    shapes, assume = split_shapes(shapes), split_assumptions(assume)
    if isinstance(expr, str):
        return expr, shapes, assume, {}
    if isinstance(expr, Derivative):
        return str(expr), {**expr.given, **expr.declared, **shapes}, {**expr.assumed, **assume}, expr.names
    if isinstance(expr, Expression):
        found = symbols(expr)
        return to_text(expr), {**declared_shapes(found), **shapes}, assume, {}
    from matcalc.language.sympy_to_expression import list_names, read_sympy

    text, found_shapes, found_assume = read_sympy(expr)
    return text, {**found_shapes, **shapes}, {**found_assume, **assume}, list_names(expr)


def is_code(expr: Any) -> bool:
    """Whether an input is a Python function of tensors; a SymPy symbol can be called as well, but is none."""
    return callable(expr) and not hasattr(expr, "free_symbols")


def declared_shapes(found: Mapping[str, Expression]) -> dict[str, tuple[str, ...]]:
    """The shapes of variables as they would be declared."""
    return {name: tuple(map(str, symbol.dropped_shape)) for name, symbol in found.items()}


class Derivative:
    """The derivative of an expression by a variable, in one layout; other layouts by `in_layout`.

    `str` gives a text of the same language, which can be derived, checked and evaluated again.
    """

    def __init__(
        self, problem: Problem, text: str, layout: str, order: int, rules: RuleBook,
        names: Mapping[str, Any], given: Mapping[str, Shape],
    ) -> None:  # fmt: skip
        assert problem.wrt is not None
        self.problem = problem
        self.text = text
        self.layout = layout
        self.order = order
        self.names = names
        self.given = {name: tuple(map(str, drop_units(shape))) for name, shape in given.items()}
        self._rules = rules
        self._result = derive_result(problem.expressions[0], problem.wrt, order, rules)
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
        """The variable, a symbol of the language."""
        assert self.problem.wrt is not None
        return self.problem.wrt

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
        return (*self.problem.notes, *describe_notes(self.function, self.wrt, self.expression))

    # --- views ------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return to_text(self.expression)

    def __repr__(self) -> str:
        return f"Derivative({self}, shape={write_shape(self.shape) if self.shape else '()'}, layout={self.layout!r})"

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
        if self.layout == "vec":
            return tuple(f"vec({name})" for name, rank in self._vec_sides if rank)
        return tuple(self._name_axis(axis) for axis in arrange(self._result.axes, self.layout))

    @property
    def _vec_sides(self) -> list[tuple[str, int]]:
        left = name_derivative(self.result_name, self.wrt.name, self.order - 1)
        rank = self._result.function.rank + (self.order - 1) * len(self.wrt.dropped_shape)
        return [(left, rank), (self.wrt.name, len(self.wrt.dropped_shape))]

    def _name_axis(self, axis: Axis) -> str:
        if axis.of == "result":
            return f"{self.result_name} axis {axis.axis}"
        again = f" (differentiation {axis.order})" if self.order > 1 else ""
        return f"{self.wrt.name} axis {axis.axis}{again}"

    @cached_property
    def result_name(self) -> str:
        """The name the answer gives to the function: Y, y or f, whichever is free."""
        rank = len(self.function.dropped_shape)
        names = ["YZWVF", "yzwvf", "fghyz"][2 - min(rank, 2)]
        taken = set(self.problem.symbols) | set(self.problem.abstract)
        return next((name for name in names if name not in taken), names[0] + "0")

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
        return to_text(self._result.expression("vec"))

    @cached_property
    def vec_shape(self) -> Shape:
        """The shape of `vec`."""
        return self._result.shape("vec")

    @cached_property
    def differential(self) -> str:
        """dY in terms of dX: dY = A @ dX @ B; of the first derivative."""
        first = self._result if self.order == 1 else derive_result(self.function, self.wrt, 1, self._rules)
        return f"d{self.result_name} = {to_text(first.differential())}"

    def latex(self) -> str:
        """The derivative as LaTeX."""
        from matcalc.render.to_latex import to_latex

        return to_latex(self.expression)

    def to_sympy(self) -> Any:
        """The derivative as a SymPy expression; raises MatcalcError where SymPy has no word for it."""
        from matcalc.render.to_sympy import to_sympy

        return to_sympy(self.expression, self.names)

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
        return {
            "expression": self.text,
            "wrt": self.wrt.name,
            "order": self.order,
            "layout": self.layout,
            "derivative": str(self),
            "shape": [str(size) for size in self.shape],
            "axes": list(self.axes),
            "variables": {name: list(shape) for name, shape in self.declared.items()},
            "assumptions": {name: list(words) for name, words in self.assumed.items()},
            "result_shape": [str(size) for size in self.function.dropped_shape],
            "entries": self.entries,
            "einsum": self.einsum,
            "vec": self.vec,
            "vec_shape": [str(size) for size in self.vec_shape],
            "differential": self.differential,
            "latex": self.latex(),
            "notes": list(self.notes),
        }

    # --- numbers ----------------------------------------------------------------------------------

    def evaluate(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Any:
        """Return the derivative at a point: NumPy in, NumPy out; torch in, torch out; axes as in `shape`.

        Vectors may be (n,) or (n, 1); `sizes` gives the sizes that no value tells, as m in ones(m) @ x.T.
        Raises EvaluationError where values do not fit.
        """
        from matcalc.check.evaluate import evaluate_with

        return evaluate_with(self.expression, values, sizes, self.problem.symbols.values(), self._rules)

    def check(
        self, trials: int = 3, seed: int = 0, dtype: str = "float64", device: str = "cpu"
    ) -> CheckReport:
        """Compare what `str` prints, read again, with torch.autograd.functional.jacobian of the expression."""
        from matcalc.check.report import could_not_check
        from matcalc.check.verdict import judge

        try:
            printed = self._read_again()
        except LimitError as error:
            reason = f"the derivative is too long to be read again: {error.reason}"
            return could_not_check(reason, seed=seed, layout=self.layout)
        expression, claim = printed.expressions
        wrt = printed.symbols.get(self.wrt.name, self.wrt)
        options: dict[str, Any] = {
            "layout": self.layout, "order": self.order,
            "trials": trials, "seed": seed, "dtype": dtype, "device": device,
        }  # fmt: skip
        report = judge(expression, claim, wrt, rules=self._rules, **options)
        declared = Declaration(self.wrt.name, self.given | self.declared, self.assumed)
        command = write_command(["derive", self.text], declared, options)
        return replace(report, variables=dict(self.declared), command=command)

    def _read_again(self) -> Problem:
        """The expression and the printed derivative, both read from text with the declared shapes."""
        shapes = {**self.given, **self.declared}
        return parse([self.text, str(self)], wrt=self.wrt.name, shapes=shapes, assume=self.assumed, rules=self._rules)


_SHARED = {"problem", "text", "order", "names", "given", "_rules", "_result", "declared", "assumed", "result_name",
           "vec", "vec_shape", "differential", "entries"}  # fmt: skip
