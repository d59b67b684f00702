"""What a caller gives: expressions, declarations, variables, rules of one's own; and the command that repeats it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Literal

from matcalc.errors import DeclarationError, LimitError, RuleError
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import (
    MEANINGS,
    Declared,
    list_meanings,
    name_structure,
    read_assumptions,
    read_shape,
    read_shapes,
    split_assumptions,
    split_shapes,
)
from matcalc.language.expression import Expression, add, einsum, matmul, multiply, symbol, symbols, transpose
from matcalc.language.expression_to_text import is_longer, to_text
from matcalc.language.names import name_wrt, normalize_name
from matcalc.language.read_text import LONGEST_SOURCE, SourceText
from matcalc.language.rewrite import replace as replace_nodes
from matcalc.language.sizes import UNIT, Size
from matcalc.language.text_to_expression import Problem, list_abstract, parse, require_shape
from matcalc.rule_files import RuleBook, read_rules, shipped_rules

# What an editor offers; the judge has the same lists, and refuses everything else.
Layout = Literal["numerator", "denominator", "mixed", "torch", "vec"]
Dtype = Literal["float64", "float32"]
Proof = Literal["both", "exact", "torch", "none"]
StructureMeaning = Literal["free", "tied", "space", "vech"]

MAX_ORDER = 6
ALL = "all"


def check_order(order: Any) -> None:
    """Raise DeclarationError for an order that is not a whole number from 1 to MAX_ORDER."""
    if not isinstance(order, int) or not 1 <= order <= MAX_ORDER:
        raise DeclarationError(f"the order is a whole number from 1 to {MAX_ORDER}, not {order!r}")


# --- the expression -------------------------------------------------------------------------------


def read_input(
    expr: Any, shapes: Declared, assume: Declared, rules: RuleBook | None = None, wrt: Any = None
) -> tuple[str | Expression, Declared, Declared, Mapping[str, Any]]:
    """Return a text, or the typed expression that a SymPy expression is, with its shapes, assumptions and symbols."""
    shapes, assume = split_shapes(shapes), split_assumptions(assume)
    if isinstance(expr, str):
        return expr, shapes, assume, {}
    if hasattr(expr, "as_input"):
        text, known_shapes, known_assume, names = expr.as_input()
        return text, {**known_shapes, **shapes}, {**known_assume, **assume}, names
    names = {}
    if not isinstance(expr, Expression):
        from matcalc.language.sympy_to_expression import read_sympy

        expr, names = read_sympy(expr, rules, _list_symbols(wrt), partial(_derive_inside, rules))
    known_assume = {name: sorted(found.data[1]) for name, found in symbols(expr).items() if found.data[1]}
    known_shapes = declared_shapes(symbols(expr)) | {
        name: tuple(map(str, shape)) for name, shape in list_abstract(expr).items()
    }
    return expr, {**known_shapes, **shapes}, {**known_assume, **assume}, names


def _derive_inside(rules: RuleBook | None, function: Expression, wrt: Expression) -> Expression:
    """Return the derivative that stands in an expression, with the axes of wrt before those of the function."""
    from matcalc.engine.result import derive_result

    result, own = derive_result(function, wrt, 1, rules), len(wrt.squeezed_shape)
    rank = own + len(function.squeezed_shape)
    if rank < 2 or own in (0, rank):
        return result.expression("torch")
    letters = ascii_lowercase[:rank]
    order = letters[rank - own :] + letters[: rank - own]
    return einsum(f"{letters}->{order}", (result.expression("torch"),))


def write_input(source: str | Expression) -> str:
    """Return an input as text; raises LimitError where a typed expression is too long or too deep to be read again."""
    if isinstance(source, str):
        return source
    advice = "write it as text, with definitions such as p = softmax(x); diag(p) - p @ p.T"
    if is_longer(source, LONGEST_SOURCE):
        raise LimitError(f"the expression has more than {LONGEST_SOURCE} characters as text", advice=advice)
    try:
        return SourceText(to_text(source)).text
    except LimitError as error:
        raise LimitError(f"the expression is too deep as text: {error.reason}", advice=advice) from None


def declare_variables(wrt: Any, shapes: Declared, names: Mapping[str, Any]) -> Declared:
    """Return the shapes with those of the SymPy symbols by which to differentiate, which need not occur.

    `names` are the SymPy symbols of the expression.  Raises DeclarationError where another one of that name is
    among them, or where another shape is declared.
    """
    declared = dict(split_shapes(shapes))
    for variable in _list_symbols(wrt):
        from matcalc.language.sympy_reader import require_same
        from matcalc.language.sympy_to_expression import read_sympy

        node, _ = read_sympy(variable)
        if node.op != "symbol":
            raise DeclarationError(f"{variable} is no variable to derive by", advice="give a Symbol or a MatrixSymbol")
        require_same(node.name, names.get(node.name, variable), variable)
        known = declared.setdefault(node.name, node.declared_shape)
        require_shape(node.name, read_shape(node.name, known), node.declared_shape)
    return declared


def _list_symbols(wrt: Any) -> list[Any]:
    """Return what is SymPy's among one or several variables."""
    given = wrt if isinstance(wrt, list | tuple) else [wrt]
    return [variable for variable in given if hasattr(variable, "free_symbols")]


@dataclass(frozen=True)
class EntryVariable:
    """One entry or a part of a variable, by which to differentiate: what picks it, a symbol that stands for it.

    For each axis a unit vector picks one place, a selection (m, n) a range, None the whole axis.  `asked` is the whole
    variable as it was given, `written` the entry.
    """

    matrix: Expression
    units: tuple[Expression | None, ...]
    symbol: Expression
    written: str
    names: Mapping[str, Any]
    asked: Any

    def settle(self, problem: Problem) -> tuple[EntryVariable, Problem]:
        """Return the entry of the variable as the problem has it, and the problem with all that the answer may name."""
        picking = [unit for unit in self.units if unit is not None]
        added = {name: found for name, found in symbols(*picking).items() if name not in problem.symbols}
        name = self.symbol.name
        while name in problem.symbols:
            name += "_"
        what = "the entry " if self.symbol.is_scalar else ""
        note = f"{name} is {what}{self.written}, counted from 0"
        known = replace(problem, symbols=problem.symbols | added, notes=(*problem.notes, note))
        moved = symbol(name, self.symbol.squeezed_shape)
        return replace(self, matrix=problem.symbols[self.matrix.name], symbol=moved), known

    def move(self, expression: Expression) -> Expression:
        """Return an expression with the entry moved by its symbol, X + X_01*outer(e_0, e_1) in the place of X.

        Of a part it is X + S.T @ X_part @ R, with the selections of the rows and of the columns.
        """
        if self.symbol.is_scalar:
            units = [unit for unit in self.units if unit is not None]
            place = units[0] if len(units) == 1 else matmul(units[0], transpose(units[1]))
            change = multiply(self.symbol, transpose(place) if self.matrix.is_row else place)
        else:
            change = self._place_part()
        return replace_nodes(expression, {self.matrix: add(self.matrix, change)})

    def _place_part(self) -> Expression:
        """Return the symbol of a part at its place among zeros."""
        if len(self.units) == 1:
            (selection,) = self.units
            assert selection is not None
            placed = matmul(transpose(selection), self.symbol)
            return transpose(placed) if self.matrix.is_row else placed
        rows, columns = self.units
        part = transpose(self.symbol) if rows is not None and rows.is_column else self.symbol  # X[0, :] is a row
        if rows is not None:
            part = matmul(rows if rows.is_column else transpose(rows), part)
        if columns is not None:
            part = matmul(part, transpose(columns) if columns.is_column else columns)
        return part


@dataclass(frozen=True)
class WrittenEntry:
    """An entry such as X[0, 1] or X[i, j], or a part such as X[:, k] or x[1:], that a text names.

    It holds the variable, the places or ranges on its axes, what was written.
    """

    asked: str
    places: tuple[str, ...]
    written: str

    def settle(self, problem: Problem) -> tuple[EntryVariable, Problem]:
        """Return the entry as the problem has it, and the problem with what the answer may name.

        Raises DeclarationError where the variable has another number of axes, or none of that length.
        """
        matrix = problem.symbols[self.asked]
        sizes = matrix.squeezed_shape
        if len(sizes) != len(self.places):
            reason = f"{self.asked} has {len(sizes)} axes, and {self.written} picks of {len(self.places)}"
            raise DeclarationError(reason, advice="give a place for each axis, as in --wrt 'X[0, 1]'")
        units = tuple(
            None if place == ":" else _build_selection(place, size) if ":" in place else build_unit_vector(place, size)
            for place, size in zip(self.places, sizes, strict=True)
        )
        if not any(unit is not None for unit in units):
            reason = f"{self.written} is all of {self.asked}"
            raise DeclarationError(reason, advice=f"derive by {self.asked}")
        kept = [
            size if unit is None else unit.shape[0]
            for unit, size in zip(units, sizes, strict=True) if unit is None or not unit.is_column
        ]  # fmt: skip
        between = "" if all(len(place) == 1 for place in self.places) else "_"
        name = f"{self.asked}_part" if kept else f"{self.asked}_{between.join(self.places)}"
        return EntryVariable(matrix, units, symbol(name, tuple(kept)), self.written, {}, self.asked).settle(problem)


def _build_selection(place: str, size: Size) -> Expression:
    """Return the rows of the identity within a range, of one of a single entry the unit vector; raises ShapeError."""
    found = parse(f"eye({size})[{place}]").expressions[0]
    return transpose(found) if found.is_row else found


def build_unit_vector(place: str, size: Size) -> Expression:
    """Return the unit vector that is 1 at a place: basis(n, 0) of a number, of a letter a variable that is one-hot.

    Raises DeclarationError for a place beyond the axis.
    """
    if not place.isdigit():
        return symbol(f"e_{place}", (size, UNIT), frozenset({"one-hot"}))
    if not size.letters and int(place) >= size.number:
        reason = f"there is no place {place} on an axis of {size.number}"
        raise DeclarationError(reason, advice="places are counted from 0")
    return parse(f"basis({size}, {place})").expressions[0]


_PLACE = r"\s*(\d{1,6}|[^\W\d_]|[-+*\w\s]{0,40}:[-+*\w\s]{0,40})\s*"
_ENTRY = re.compile(rf"\s*(\w+)\s*\[{_PLACE}(?:,{_PLACE})?\]\s*")


def is_entry(wrt: Any) -> bool:
    """Whether a variable is a SymPy MatrixElement, which is seen without SymPy."""
    return all(hasattr(wrt, part) for part in ("parent", "i", "j"))


def read_entry_asked(wrt: Any, order: Any, rules: RuleBook | None) -> EntryVariable | WrittenEntry | None:
    """Return the entry by which to differentiate, None where the variable is none; raises DeclarationError."""
    written = _ENTRY.fullmatch(wrt) if isinstance(wrt, str) else None
    if written is None and not is_entry(wrt):
        return None
    if order != 1:
        raise DeclarationError(f"{wrt} is an entry, and one derives by it once", advice="derive the derivative again")
    if written is not None:
        given = tuple(place.strip() for place in written.groups()[1:] if place)
        return WrittenEntry(normalize_name(written[1]), given, f"{written[1]}[{', '.join(given)}]")
    from matcalc.language.sympy_to_expression import read_entry

    matrix, units, found = read_entry(wrt, rules)
    places = [str(place) for place, size in zip(wrt.args[1:], matrix.shape, strict=True) if not size.is_unit]
    between = "" if all(len(place) == 1 for place in places) else "_"
    named = symbol(f"{matrix.name}_{between.join(places)}", ())
    return EntryVariable(matrix, units, named, str(wrt), found, wrt.parent)


def declare_inferred(problem: Problem, shapes: Declared) -> dict[str, Any]:
    """Return the declared shapes with those without which the text, or its reading, would be read otherwise."""
    known = declared_shapes(problem.symbols)
    return {**split_shapes(shapes), **{name: known[name] for name in problem.inferred}}


def check_meaning(meaning: str, by: Sequence[Expression], is_entry: bool = False) -> None:
    """Raise DeclarationError for a meaning that a derivative by these variables does not have."""
    if meaning not in MEANINGS:
        raise DeclarationError(f"{meaning!r} is not a meaning", advice="use one of " + ", ".join(MEANINGS))
    if meaning == "free":
        return
    if is_entry:
        raise DeclarationError("the derivative by one entry has one meaning", advice="leave meaning out")
    named = [wrt for wrt in by if name_structure(wrt)]
    if lacking := next((wrt for wrt in named if meaning not in list_meanings(wrt)), None):
        reason = f"there is no derivative of meaning {meaning} by {lacking.name}, which is {name_structure(lacking)}"
        raise DeclarationError(reason, advice="use one of " + ", ".join(list_meanings(lacking)))
    if not named:
        name, is_orthogonal = by[0].name, "orthogonal" in by[0].data[1]
        told = "as orthogonal matrices are no linear space" if is_orthogonal else "whose entries are all free"
        advice = "use meaning free" if is_orthogonal else f'say what {name} is, as in assume={{"{name}": "symmetric"}}'
        raise DeclarationError(f"there is no derivative of meaning {meaning} by {name}, {told}", advice=advice)


def is_code(expr: Any) -> bool:
    """Whether an input is a Python function of tensors; a SymPy symbol can be called as well, but is none."""
    return callable(expr) and not hasattr(expr, "free_symbols")


def declared_shapes(found: Mapping[str, Expression]) -> dict[str, tuple[str, ...]]:
    """The shapes of variables as they would be declared."""
    return {name: tuple(map(str, symbol.declared_shape)) for name, symbol in found.items()}


# --- the variables --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """By what to differentiate: by each of several names, by one after the other (mixed), or by one."""

    names: tuple[str, ...] = ()
    order: int = 1
    several: bool = False
    every: bool = False
    mixed: bool = False

    @property
    def steps(self) -> list[tuple[str, ...]]:
        """The names by which each differentiation goes: one of them, or all of several."""
        return [(name,) for name in self.names] if self.mixed else [self.names] * self.order


def read_asked(wrt: Any, order: Any) -> Asked:
    """Return by what to differentiate: wrt="x", ["W", "b"], "W, b" or "all"; order=2 or ("x", "y").

    Raises DeclarationError for what is no name, for a name given twice, and for an order that does not exist.
    """
    order = _split_names(order)
    if isinstance(order, list | tuple):
        return _read_mixed(wrt, order)
    check_order(order)
    wrt = _split_names(wrt)
    if isinstance(wrt, str) and wrt.strip() == ALL:
        return _check_several(Asked((), order, several=True, every=True))
    if isinstance(wrt, list | tuple):
        return _check_several(Asked(_read_names(wrt), order, several=True))
    name = name_wrt(wrt)
    return Asked(() if name is None else (name,), order)


def _split_names(given: Any) -> Any:
    """Return the names of a text such as "x, y"; anything else as it is."""
    return given.strip().strip(",").split(",") if isinstance(given, str) and "," in given else given


def _read_names(given: Sequence[Any]) -> tuple[str, ...]:
    return tuple(name for name in map(name_wrt, given) if name is not None)


def _read_mixed(wrt: Any, order: Sequence[Any]) -> Asked:
    names = _read_names(order)
    if wrt is not None:
        reason = f"the order {', '.join(names)} names the variables already"
        raise DeclarationError(reason, advice="leave wrt out, or give the order as a number")
    if len(names) != len(order) or not 1 <= len(names) <= MAX_ORDER:
        raise DeclarationError(f"a mixed derivative names from 1 to {MAX_ORDER} variables, not {len(names)}")
    return Asked(names, len(names), mixed=True)


def _check_several(asked: Asked) -> Asked:
    twice = next((name for name in asked.names if asked.names.count(name) > 1), None)
    if twice:
        advice = f'give each name once; for the second derivative by {twice} there is order=("{twice}", "{twice}")'
        raise DeclarationError(f"{twice} is named twice", advice=advice)
    if not asked.every and not asked.names:
        raise DeclarationError("no variable is named", advice='give names, such as ["W", "b"], or "all"')
    if asked.order > 2:
        reason = f"several variables have first and second derivatives here, not those of order {asked.order}"
        raise DeclarationError(reason, advice='name the variables of one mixed derivative: order=("x", "x", "y")')
    return asked


def read_problem(text: str | Expression, asked: Asked, **declared: Any) -> tuple[Problem, Asked]:
    """Return what a text says, every asked variable among its symbols, and the names that were asked for.

    Raises the errors of `parse_any`.
    """
    if asked.every:
        found = parse_any(text, **declared).symbols
        if not found:
            raise DeclarationError("there is no variable", advice="declare its shape if the derivative shall be zero")
        # A variable called "all" is meant by its name.
        asked = Asked((ALL,), asked.order) if ALL in found else replace(asked, names=tuple(found))
    first = asked.names[0] if asked.names else None
    problem = parse_any(text, wrt=first, choose_wrt=first is None, **declared)
    assert problem.wrt is not None
    if first is not None and first != problem.wrt.name:  # β by its name, beta
        asked = replace(asked, names=(problem.wrt.name, *asked.names[1:]))
    for name in asked.names:
        if name not in problem.symbols:
            problem.symbols[name] = parse_any(text, wrt=name, **declared).symbols[name]
    if not asked.names:
        asked = replace(asked, names=(problem.wrt.name,))
    return problem, asked


# --- user rules -------------------------------------------------------------------------------------
#
# Rules of one's own: read from a file, proven numerically, and only then used.


_loaded: list[RuleBook] = []


def current_rules() -> RuleBook:
    """The shipped rules and those loaded by `load_rules`."""
    return _loaded[-1] if _loaded else shipped_rules()


def choose_rules(rules: RuleBook | str | Path | Iterable[str | Path] | None) -> RuleBook:
    """Return the book that a call names: a book as it is, those in force and the files', or those in force."""
    if isinstance(rules, RuleBook):
        return rules
    return current_rules() if rules is None else verified_rules(rules)


def load_rules(path: str | Path) -> RuleBook:
    """Add the rules of a file to all later derivations, each proven numerically first.

    Raises RuleError, naming the entry where a rule differs, and adds nothing then.
    """
    book = verified_rules([path])
    _loaded.append(book)
    return book


def verified_rules(paths: str | Path | Iterable[str | Path]) -> RuleBook:
    """Return the rules in force and those of the files, each proven numerically first; raises RuleError."""
    if not isinstance(paths, Iterable) and not isinstance(paths, Path):
        raise RuleError(f"rules are a RuleBook, a file or several files, not {paths!r}"[:200])
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    added = [rule for path in paths for rule in read_rules(path)]
    # Reading runs nothing and imports nothing; what may not be used has been refused by now.
    from matcalc.check.verdict import prove_rule

    book = current_rules().extended(added)
    for rule in added:
        report = prove_rule(rule, book=book)
        if report.verdict != "agrees":
            raise RuleError(f"rule [{rule.name}] in {rule.file} is refused: {report.message}")
    return book


# --- command line -----------------------------------------------------------------------------------
#
# What was asked -> the command line that asks the same again.


DEFAULTS: dict[str, Any] = {
    "layout": "numerator", "order": 1, "trials": 3, "dtype": "float64", "device": "cpu", "proof": "both",
    "rtol": None, "atol": None, "meaning": "free",
}  # fmt: skip


@dataclass(frozen=True)
class Declaration:
    """What is declared about the names of an expression, and the files of the rules it was read with."""

    wrt: str | None
    shapes: Declared
    assume: Declared
    rules: tuple[str, ...] = ()


def write_command(words: Iterable[str], declared: Declaration, options: Mapping[str, Any]) -> str:
    """Return the command line of some words, declarations and options; what has its default is left out but the seed.

    >>> write_command(["derive", "A @ x"], Declaration("x", {"A": ("m", "n")}, None), {"layout": "vec", "seed": 0})
    "matcalc derive 'A @ x' --wrt x --vars 'A: m,n' --layout vec --seed 0"
    """
    line = ["matcalc", *words]
    line += ["--wrt", declared.wrt] if declared.wrt else []
    line += ["--vars", _write_shapes(declared.shapes)] if declared.shapes else []
    line += ["--assume", _write_assumptions(declared.assume)] if declared.assume else []
    line += [word for path in declared.rules for word in ("--rules", path)]
    for name, default in DEFAULTS.items():
        value = options.get(name, default)
        line += [f"--{name}", str(value)] if value != default else []
    line += ["--strict"] if options.get("strict") else []
    return shlex.join([*line, "--seed", str(options["seed"])])


def list_paths(rules: Any) -> tuple[str, ...]:
    """Return the files that a `rules` argument names; a book has no name on a command line."""
    if rules is None or isinstance(rules, RuleBook):
        return ()
    return (str(rules),) if isinstance(rules, str | Path) else tuple(str(path) for path in rules)


def _write_shapes(shapes: Declared) -> str:
    """Return the declaration as --vars takes it: A: m,n; c: scalar."""
    read = read_shapes(shapes)
    return "; ".join(f"{name}: {','.join(map(str, shape)) or 'scalar'}" for name, shape in read.items())


def _write_assumptions(assume: Declared) -> str:
    read = read_assumptions(assume)
    return "; ".join(f"{name}: {', '.join(sorted(words)) or 'real'}" for name, words in read.items())
