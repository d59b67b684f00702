"""What the explorer shows, without widgets: everything that follows from an expression and the reader's choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from matcalc.claim import check
from matcalc.derivation import Derivative, derive
from matcalc.engine.layout import check_layout
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.inputs import Layout, choose_rules, read_input, write_input
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import Declared, read_assumptions, read_shape, split_assumptions, split_shapes
from matcalc.language.names import normalize_name
from matcalc.language.read_text import split_statements
from matcalc.language.sizes import write_shape
from matcalc.language.text_to_expression import Problem
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport


_Found = TypeVar("_Found")

HIGHEST_SHOWN_ORDER = 3
FIRST_EXPRESSION = "norm(A@x - b)**2"
# Expressions of a course, each with the variable of interest.
EXAMPLES: dict[str, tuple[str, str]] = {
    "linear map": ("A @ x", "x"),
    "quadratic form": ("x.T @ A @ x", "x"),
    "least squares": (FIRST_EXPRESSION, "x"),
    "ridge regression": ("norm(X@w - y)**2 + lambda*norm(w)**2", "w"),
    "mean squared error": ("mean((X@w - y)**2)", "w"),
    "logistic loss": ("sum(log(1 + exp(-y*(X@w))))", "w"),
    "softmax": ("softmax(x)", "x"),
    "cross entropy of a layer": ("cross_entropy(W@x, y)", "W"),
    "log determinant": ("logdet(X)", "X"),
    "matrix by matrix": ("A @ X @ B", "X"),
    "layer normalisation": ("layer_norm(x)", "x"),
    "two-layer network": ("norm(W_2 @ relu(W_1 @ x + b) - y)**2", "W_1"),
    "with a definition": ("p = softmax(A @ x); -log(p).T @ y", "x"),
}


@dataclass(frozen=True)
class ExplorerQuestion:
    """What a reader has entered: the texts and choices of the panel."""

    expr: str
    wrt: str | None = None
    layout: Layout = "numerator"
    order: int = 1
    claim: str = ""
    shapes: Mapping[str, str] = field(default_factory=dict)
    assume: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> Declarations:
        """The declarations of the reader."""
        return Declarations(self.shapes, self.assume)


class Exploration:
    """The state of the explorer: a question, and what follows from it, each part computed when it is asked for.

    What cannot be answered is None, and `troubles` say why and in which field.  `turn` gives the state after a
    change; what the change leaves as it was is not computed again.

    >>> state = explore_state("A @ x", claim="A.T")
    >>> str(state.derivative), state.report.verdict, state.claim_report.fits
    ('A', 'agrees', ('denominator',))
    >>> str(state.turn(layout="denominator").derivative)
    'A.T'
    >>> [trouble.field for trouble in state.turn(expr="A @@ x").troubles]
    ['expression']
    """

    def __init__(self, question: ExplorerQuestion, rules: RuleBook, before: Exploration | None = None) -> None:
        self.rules = rules
        known = before.reading if before and _name_reading(before.question) == _name_reading(question) else None
        self.reading: _Reading = known if known and known.problem else _read(question, rules)
        self.question: ExplorerQuestion = _forget(question, self.reading)
        lost = f"{question.wrt} is no variable of this expression; the derivative is by {self.wrt}"
        self.wrt_note = "" if self.question.wrt == question.wrt else lost
        self._known: Derivative | None = None
        self.earlier: Derivative | None = None
        if before is not None and before.derivative and _name_derivation(before) == _name_derivation(self):
            self._take_over(before)

    def _take_over(self, before: Exploration) -> None:
        """Keep what is known of the same derivation: the derivative, whatever its layout, and the verdicts."""
        self._known, self.wrt_note = before.derivative, before.wrt_note
        if before.question.layout != self.question.layout:
            self.earlier = before.derivative
            return
        self.earlier = before.earlier
        kept = ["_outcome", "report"] + (["_judgement"] if before.question.claim == self.question.claim else [])
        self.__dict__.update({name: value for name, value in vars(before).items() if name in kept})

    def turn(self, **changes: Any) -> Exploration:
        """Return the state after some fields of the question have changed."""
        return Exploration(replace(self.question, **changes), self.rules, self)

    def declare(self, kind: str, name: str, text: str) -> Exploration:
        """Return the state with another shape ("shapes") or assumption ("assume") of a name; "" infers it again."""
        declared = self.question.declared.change(kind, name, text)
        return self.turn(shapes=declared.shapes, assume=declared.assume)

    def read(self, text: str) -> Problem | None:
        """Return another expression as it would be read with what is declared, None where it cannot be."""
        if text == self.question.expr:
            return self.reading.problem
        return _read(replace(self.question, expr=join_lines(text), wrt=None), self.rules).problem

    # --- the derivative ---------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The rows of the table: the names of the expression, as far as it can be read."""
        return self.reading.variables

    @property
    def wrt(self) -> str | None:
        """The variable, None where the expression cannot be read."""
        return self.reading.wrt

    @cached_property
    def _outcome(self) -> tuple[Derivative | None, FieldTrouble | None]:
        if self.reading.problem is None:
            return None, self.reading.troubles[0]
        known, asked = self._known, self.question
        blamed = "order" if asked.order > 1 else "expression"
        if known is not None:
            return attempt(blamed, lambda: known.in_layout(asked.layout))
        return attempt(blamed, lambda: derive(asked.expr, self.wrt, **self._list_settings(asked.expr)))

    def _list_settings(self, *texts: str) -> dict[str, Any]:
        """Return what `derive` and `check` are told beside the texts: of the declarations those of names in them."""
        asked, kept = self.question, self.question.declared.keep(*texts)
        settings = {"layout": asked.layout, "order": asked.order, "shapes": kept.shapes, "assume": kept.assume}
        return settings | {"rules": self.rules}

    @property
    def derivative(self) -> Derivative | None:
        """The derivative, or None where there is none; `earlier` is the same in the layout before, after a flip."""
        return self._outcome[0]

    @cached_property
    def report(self) -> CheckReport | None:
        """The proof of the derivative, or None where there is no derivative."""
        derivative = self.derivative
        return None if derivative is None else derivative.check()

    # --- the claim --------------------------------------------------------------------------------

    @cached_property
    def _judgement(self) -> tuple[CheckReport | None, FieldTrouble | None]:
        expr, claim = self.question.expr, self.question.claim
        if not claim.strip() or self.reading.problem is None:
            return None, None
        return attempt("claim", lambda: check(expr, claim, self.wrt, **self._list_settings(expr, claim)))

    @property
    def claim_report(self) -> CheckReport | None:
        """What the judge says of the claim; None where there is none, or where it cannot be read."""
        return self._judgement[0]

    # --- what is wrong ----------------------------------------------------------------------------

    @property
    def troubles(self) -> tuple[FieldTrouble, ...]:
        """What keeps the expression from being read and derived; more than one where several fields are wrong."""
        own = self._outcome[1]
        return self.reading.troubles or ((own,) if own else ())

    @property
    def claim_trouble(self) -> FieldTrouble | None:
        """What keeps the claim from being judged."""
        return self._judgement[1]


def explore_state(
    expr: Any, wrt: str | None = None, *, layout: Layout = "numerator", shapes: Declared = None,
    assume: Declared = None, order: int = 1, claim: str = "", rules: Any = None,
) -> Exploration:  # fmt: skip
    """Return the state in which the explorer starts; `expr` may be a text or a SymPy expression.

    Raises MatcalcError for declarations and rules that cannot be read at all.
    """
    check_layout(layout)
    if order not in range(1, HIGHEST_SHOWN_ORDER + 1):
        raise DeclarationError(f"the explorer shows the orders 1 to {HIGHEST_SHOWN_ORDER}, not {order!r}")
    source, shapes, assume, _ = read_input(expr, shapes, assume)
    text = write_input(source)
    question = ExplorerQuestion(
        join_lines(text), wrt, layout, order, join_lines(claim), _write_shapes(shapes), _write_assumptions(assume)
    )
    return Exploration(question, choose_rules(rules))


def _write_shapes(declared: Declared) -> dict[str, str]:
    shapes = split_shapes(declared)
    return {
        name: write_shape(tuple(shape)) if isinstance(shape, list | tuple) else str(shape)
        for name, shape in shapes.items()
    }


def _write_assumptions(declared: Declared) -> dict[str, str]:
    given = split_assumptions(declared)
    return {name: words if isinstance(words, str) else ", ".join(sorted(words)) for name, words in given.items()}


def attempt(field_name: str, compute: Callable[[], _Found]) -> tuple[_Found | None, FieldTrouble | None]:
    """Return what a computation gives, or the trouble it ends in: whatever goes wrong, the panel goes on."""
    try:
        return compute(), None
    except MatcalcError as error:
        return None, FieldTrouble(field_name, str(error))
    except KeyboardInterrupt:
        return None, FieldTrouble(field_name, "interrupted; change something to go on")
    except Exception as error:
        return None, FieldTrouble(field_name, describe_surprise(error))


def describe_surprise(error: BaseException) -> str:
    """Return one sentence on an error that nobody foresaw."""
    told = " ".join(str(error).split())[:200]
    return f"this did not work, which is a mistake in matcalc: {type(error).__name__}" + (f": {told}" if told else "")


# --- from one state to the next -------------------------------------------------------------------


def _forget(question: ExplorerQuestion, reading: _Reading) -> ExplorerQuestion:
    """Return the question without what is said of names that are gone, once the expression can be read."""
    if reading.problem is None:
        return question
    kept = question.declared.keep(question.expr, question.claim)
    wrt = question.wrt if question.wrt in reading.names else None
    return replace(question, wrt=wrt, shapes=kept.shapes, assume=kept.assume)


def _read(asked: ExplorerQuestion, rules: RuleBook) -> _Reading:
    reading, trouble = attempt("expression", lambda: _read_expression(asked.expr, asked.declared, rules, asked.wrt))
    return reading or _Reading((), None, (trouble,) if trouble else ())


def _name_reading(question: ExplorerQuestion) -> tuple[Any, ...]:
    """What the reading of an expression depends on."""
    return question.expr, question.wrt, question.shapes, question.assume


def _name_derivation(state: Exploration) -> tuple[Any, ...]:
    """What a derivation depends on: not the layout."""
    return *_name_reading(state.question), state.question.order


# --- an expression and what is declared -> its variables, and what is wrong with which field ---------


@dataclass(frozen=True)
class FieldTrouble:
    """What is wrong with what a reader entered: the message and the field that it belongs to.

    The fields are "expression", "shape of A", "assumptions of A", "variables", "wrt", "order" and "claim".
    """

    field: str
    message: str


@dataclass(frozen=True)
class Variable:
    """A name of the expression: its shape and what is assumed of it, as texts, and whether a reader declared them."""

    name: str
    shape: str
    assumed: str = ""
    is_declared: bool = False
    is_function: bool = False

    @property
    def how(self) -> str:
        """How the name was taken: inferred or declared."""
        return "declared" if self.is_declared else "inferred"


@dataclass(frozen=True)
class _Reading:
    """An expression as it was read: `problem` is None where it cannot be, and `troubles` say why."""

    variables: tuple[Variable, ...]
    problem: Problem | None = None
    troubles: tuple[FieldTrouble, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which one can differentiate."""
        return tuple(variable.name for variable in self.variables if not variable.is_function)

    @property
    def wrt(self) -> str | None:
        """The variable to differentiate by, None where the expression cannot be read."""
        return self.problem.wrt.name if self.problem and self.problem.wrt else None


@dataclass(frozen=True)
class Declarations:
    """What a reader declares: shapes and assumptions by name, as the texts that were typed."""

    shapes: Mapping[str, str]
    assume: Mapping[str, str]

    def __contains__(self, name: object) -> bool:
        return name in self.shapes or name in self.assume

    def keep(self, *texts: str) -> Declarations:
        """Return the declarations of the names that stand in some texts."""
        names = {normalize_name(word) for text in texts for word in re.findall(r"\w+", text)}
        kept = ({name: told for name, told in each.items() if name in names} for each in (self.shapes, self.assume))
        return Declarations(*kept)

    def change(self, kind: str, name: str, text: str) -> Declarations:
        """Return them with another shape ("shapes") or assumption ("assume") of a name; an empty text drops it."""
        changed = {**getattr(self, kind), name: text.strip()}
        changed = {key: value for key, value in changed.items() if value}
        return Declarations(changed, self.assume) if kind == "shapes" else Declarations(self.shapes, changed)


_NOTHING = Declarations({}, {})


def _read_expression(text: str, declared: Declarations, rules: RuleBook, wrt: str | None = None) -> _Reading:
    """Return what an expression says under the declarations; what is wrong with it is in the troubles.

    The variable is `wrt` if the expression has it, else x, else X, else the first name.

    >>> from matcalc.rule_files import shipped_rules
    >>> reading = _read_expression("A @ x", Declarations({"A": "m, m"}, {}), shipped_rules())
    >>> [(variable.name, variable.shape, variable.how) for variable in reading.variables]
    [('A', '(m, m)', 'declared'), ('x', '(m,)', 'inferred')]
    """
    declared = declared.keep(text)
    wrong = tuple(_check_fields(declared))
    if wrong:
        return _Reading(_list_known(text, declared, None, rules, wrt), None, wrong)
    try:
        problem = _parse_by(text, declared, rules, wrt)
    except MatcalcError as error:
        trouble = FieldTrouble(_find_culprit(text, declared, rules), str(error))
        return _Reading(_list_known(text, declared, error, rules, wrt), None, (trouble,))
    found = tuple(_list_variables(problem, declared))
    if not problem.symbols:
        reason = DeclarationError("there is no variable to differentiate by", advice="use a name, as in A @ x")
        return _Reading(found, None, (FieldTrouble("expression", str(reason)),))
    return _Reading(found, problem)


def join_lines(text: str) -> str:
    """Return a text of several lines as one, its definitions separated by semicolons.

    >>> join_lines("p = softmax(A @ x)\\n\\nsum(p)")
    'p = softmax(A @ x); sum(p)'
    """
    if "\n" not in text:
        return text
    try:
        parts = split_statements(text)
    except MatcalcError:
        return " ".join(text.split())
    return "; ".join(" ".join(text[part.start : part.end].split()) for part in parts)


def _parse(text: str, declared: Declarations, rules: RuleBook, wrt: str | None = None) -> Problem:
    return parse_any(text, wrt=wrt, shapes=declared.shapes, assume=declared.assume, rules=rules)


def _parse_by(text: str, declared: Declarations, rules: RuleBook, wanted: str | None) -> Problem:
    """Read an expression with its variable: the wanted one if there, else x, else X, else the first."""
    problem = _parse(text, declared, rules)
    found = [name for name in (wanted, "x", "X", *problem.symbols) if name in problem.symbols]
    return _parse(text, declared, rules, found[0]) if found else problem


# --- what is wrong --------------------------------------------------------------------------------


def _check_fields(declared: Declarations) -> Iterator[FieldTrouble]:
    """Yield what cannot be read in a field of the table, whatever the expression is."""
    for name, text in declared.shapes.items():
        try:
            if text.startswith("(") != text.endswith(")"):
                raise DeclarationError(f"a bracket is missing in the shape of {name}")
            read_shape(name, text)
        except MatcalcError as error:
            error.advice = "write the sizes with commas, as in m, n, or scalar; an empty field is inferred"
            yield FieldTrouble(f"shape of {name}", str(error))
    for name, text in declared.assume.items():
        try:
            read_assumptions({name: text})
        except MatcalcError as error:
            yield FieldTrouble(f"assumptions of {name}", str(error))


def _find_culprit(text: str, declared: Declarations, rules: RuleBook) -> str:
    """Return the field to blame for an error: a declaration without which there is none, else the expression."""
    for name, kind in [*((n, "shapes") for n in declared.shapes), *((n, "assume") for n in declared.assume)]:
        if _can_be_read(text, declared.change(kind, name, ""), rules):
            return f"shape of {name}" if kind == "shapes" else f"assumptions of {name}"
    some = declared.shapes or declared.assume
    return "variables" if some and _can_be_read(text, _NOTHING, rules) else "expression"


def _can_be_read(text: str, declared: Declarations, rules: RuleBook) -> bool:
    try:
        _parse(text, declared, rules)
    except MatcalcError:
        return False
    return True


# --- the table ------------------------------------------------------------------------------------


def _list_variables(problem: Problem, declared: Declarations) -> Iterator[Variable]:
    for name, symbol in problem.symbols.items():
        known = declared.assume.get(name, ", ".join(sorted(symbol.data[1])))
        yield Variable(name, write_shape(symbol.declared_shape), known, name in declared)
    for name, shape in problem.abstract.items():
        yield Variable(name, write_shape(shape), "", name in declared, is_function=True)


def _list_known(
    text: str, declared: Declarations, error: MatcalcError | None, rules: RuleBook, wrt: str | None
) -> tuple[Variable, ...]:
    """Return what is known of the names of an expression that cannot be read as declared.

    It is what can be read without declarations, else what the error tells; the declarations stand as they were typed.
    """
    try:
        problem = _parse_by(text, _NOTHING, rules, wrt)
        found = {variable.name: variable for variable in _list_variables(problem, _NOTHING)}
    except MatcalcError:
        found = {name: Variable(name, shape) for name, shape in (error.shapes if error else {}).items()}
    found = {name: Variable(name, "") for name in (*declared.shapes, *declared.assume)} | found
    rows = (
        replace(
            row, shape=declared.shapes.get(name, row.shape), assumed=declared.assume.get(name, row.assumed),
            is_declared=name in declared,
        )
        for name, row in found.items()
    )  # fmt: skip
    places = {name: re.search(rf"\b{re.escape(name)}\b", text) for name in found}
    starts = {name: place.start() if place else len(text) for name, place in places.items()}
    return tuple(sorted(rows, key=lambda row: (row.is_function, starts[row.name])))


# --- one change of the panel at a time, whichever thread it comes from --------------------------------


class Turns:
    """Keeps the changes of a panel apart: JupyterLab may deliver the messages of each field in a thread of its own.

    >>> turns, done = Turns(), []
    >>> turns.take(lambda: (done.append("work"), turns.take(lambda: done.append("what it sets off"))))
    >>> done
    ['work']
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: int | None = None

    def take(self, work: Callable[[], object]) -> None:
        """Do some work when all that began before is done; work that is set off by work is left out."""
        if self._owner == get_ident():
            return
        with self._lock:
            self._owner = get_ident()
            try:
                work()
            finally:
                self._owner = None
