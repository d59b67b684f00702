"""An expression and what a reader declares about its names -> the variables, and what is wrong with which field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.declarations import read_assumptions, read_shape
from matcalc.language.definitions import split_statements
from matcalc.language.foreign_characters import normalize_name
from matcalc.language.sizes import write_shape
from matcalc.language.text_to_expression import Problem, parse
from matcalc.rule_files import RuleBook

Texts = Mapping[str, str]

HOW_TO_SHAPE = "write the sizes with commas, as in m, n, or scalar; an empty field is inferred"


@dataclass(frozen=True)
class Trouble:
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
class Reading:
    """An expression as it was read: `problem` is None where it cannot be, and `troubles` say why."""

    variables: tuple[Variable, ...]
    problem: Problem | None = None
    troubles: tuple[Trouble, ...] = ()

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

    shapes: Texts
    assume: Texts

    def keep(self, names: set[str]) -> Declarations:
        """Return the declarations of these names only."""
        return Declarations(_choose(self.shapes, names), _choose(self.assume, names))

    def drop(self, name: str) -> Declarations:
        """Return the declarations of all other names."""
        return self.keep({*self.shapes, *self.assume} - {name})

    def change(self, kind: str, name: str, text: str) -> Declarations:
        """Return them with another shape ("shapes") or assumption ("assume") of a name; an empty text drops it."""
        changed = {**getattr(self, kind), name: text.strip()}
        changed = {key: value for key, value in changed.items() if value}
        return Declarations(changed, self.assume) if kind == "shapes" else Declarations(self.shapes, changed)


NOTHING = Declarations({}, {})


def _choose(texts: Texts, names: set[str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name in names}


def read_expression(text: str, declared: Declarations, rules: RuleBook, wrt: str | None = None) -> Reading:
    """Return what an expression says under the declarations; what is wrong with it is in the troubles.

    The variable is `wrt` if the expression has it, else x, else X, else the first name.

    >>> from matcalc.rule_files import shipped_rules
    >>> reading = read_expression("A @ x", Declarations({"A": "m, m"}, {}), shipped_rules())
    >>> [(variable.name, variable.shape, variable.how) for variable in reading.variables]
    [('A', '(m, m)', 'declared'), ('x', '(m,)', 'inferred')]
    """
    declared = declared.keep(list_words(text))
    wrong = tuple(_check_fields(declared))
    if wrong:
        return Reading(_list_known(text, declared, None, rules, wrt), None, wrong)
    try:
        problem = _parse_by(text, declared, rules, wrt)
    except MatcalcError as error:
        trouble = Trouble(_find_culprit(text, declared, rules), str(error))
        return Reading(_list_known(text, declared, error, rules, wrt), None, (trouble,))
    found = tuple(_list_variables(problem, declared))
    if not problem.symbols:
        reason = DeclarationError("there is no variable to differentiate by", advice="use a name, as in A @ x")
        return Reading(found, None, (Trouble("expression", str(reason)),))
    return Reading(found, problem)


def list_words(text: str) -> set[str]:
    """Return all words of a text, spelled as names are."""
    return {normalize_name(word) for word in re.findall(r"\w+", text)}


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
    return parse(text, wrt=wrt, shapes=declared.shapes, assume=declared.assume, rules=rules)


def _parse_by(text: str, declared: Declarations, rules: RuleBook, wanted: str | None) -> Problem:
    """Read an expression with its variable: the wanted one if there, else x, else X, else the first."""
    problem = _parse(text, declared, rules)
    found = [name for name in (wanted, "x", "X", *problem.symbols) if name in problem.symbols]
    return _parse(text, declared, rules, found[0]) if found else problem


# --- what is wrong --------------------------------------------------------------------------------


def _check_fields(declared: Declarations) -> Iterator[Trouble]:
    """Yield what cannot be read in a field of the table, whatever the expression is."""
    for name, text in declared.shapes.items():
        try:
            if text.startswith("(") != text.endswith(")"):
                raise DeclarationError(f"a bracket is missing in the shape of {name}")
            read_shape(name, text)
        except MatcalcError as error:
            error.advice = HOW_TO_SHAPE
            yield Trouble(f"shape of {name}", str(error))
    for name, text in declared.assume.items():
        try:
            read_assumptions({name: text})
        except MatcalcError as error:
            yield Trouble(f"assumptions of {name}", str(error))


def _find_culprit(text: str, declared: Declarations, rules: RuleBook) -> str:
    """Return the field to blame for an error: a declaration without which there is none, else the expression."""
    for name, kind in [*((n, "shapes") for n in declared.shapes), *((n, "assume") for n in declared.assume)]:
        if _can_be_read(text, declared.change(kind, name, ""), rules):
            return f"shape of {name}" if kind == "shapes" else f"assumptions of {name}"
    some = declared.shapes or declared.assume
    return "variables" if some and _can_be_read(text, NOTHING, rules) else "expression"


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
        yield Variable(name, write_shape(symbol.declared_shape), known, _is_declared(name, declared))
    for name, shape in problem.abstract.items():
        yield Variable(name, write_shape(shape), "", _is_declared(name, declared), is_function=True)


def _list_known(
    text: str, declared: Declarations, error: MatcalcError | None, rules: RuleBook, wrt: str | None
) -> tuple[Variable, ...]:
    """Return what is known of the names of an expression that cannot be read as declared.

    It is what can be read without declarations, else what the error tells; the declarations stand as they were typed.
    """
    try:
        problem = _parse_by(text, NOTHING, rules, wrt)
        found = {variable.name: variable for variable in _list_variables(problem, NOTHING)}
    except MatcalcError:
        found = {name: Variable(name, shape) for name, shape in (error.shapes if error else {}).items()}
    found = {name: Variable(name, "") for name in (*declared.shapes, *declared.assume)} | found
    rows = (_overlay(variable, declared) for variable in found.values())
    return tuple(sorted(rows, key=lambda row: (row.is_function, _find_place(text, row.name))))


def _overlay(variable: Variable, declared: Declarations) -> Variable:
    name = variable.name
    return replace(
        variable, shape=declared.shapes.get(name, variable.shape), assumed=declared.assume.get(name, variable.assumed),
        is_declared=_is_declared(name, declared),
    )  # fmt: skip


def _find_place(text: str, name: str) -> int:
    found = re.search(rf"\b{re.escape(name)}\b", text)
    return found.start() if found else len(text)


def _is_declared(name: str, declared: Declarations) -> bool:
    return name in declared.shapes or name in declared.assume
