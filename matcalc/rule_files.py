"""Rules are data: reads `rules/*.toml` into `Rule` objects; what an entry may not hold is refused with its place."""

from __future__ import annotations

import ast
import keyword
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from matcalc.errors import LimitError, RuleError
from matcalc.rule_words import BACKENDS, SYMPY_WORDS, advise_word, find_foreign_latex, is_word, takes_text

# --- rule signature ---------------------------------------------------------------------------------
#
# The signature of a rule, as in "inv(X[n,n]) -> [n,n]": names, axes and literals, each checked and bounded.


LONGEST_CALL = 200
MOST_PARAMETERS = 8
MOST_AXES = 4
# An axis of the arrays that the proof draws, and a number that a function is given: more would only take long.
LARGEST_AXIS = 20
LARGEST_LITERAL = 1000

_Result = str | tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter of a signature: `X[n,k]` (axes given), `x` (any shape), or a literal such as 'nuc'."""

    name: str
    axes: tuple[str, ...] | None = None
    literal: str | int | float | None = None


_SIGNATURE = re.compile(r"\s*(\w+)\s*\((.*)\)\s*(?:->\s*(\S.*?))?\s*")
_PARAMETER = re.compile(
    r"""\s*(?:'(?P<text>\w+)'|(?P<number>\d+)|(?P<name>\w+)\s*(?:\[(?P<axes>[^\]]*)\])?)\s*(?:,|$)"""
)


def read_signature(call: str) -> tuple[str, tuple[Parameter, ...], _Result]:
    """Return function, parameters and result of "inv(X[n,n]) -> [n,n]"; the result is () for a scalar,
    a tuple of sizes, or the name of the parameter that it is shaped like.

    Raises RuleError with the place in the text.
    """
    if len(call) > LONGEST_CALL:
        raise RuleError(f"a signature has {LONGEST_CALL} characters at most", span=(LONGEST_CALL, len(call)))
    match = _SIGNATURE.fullmatch(call)
    if match is None:
        raise RuleError(f"cannot read the signature {call!r}", advice='write it as "inv(X[n,n]) -> [n,n]"')
    _check_name(match[1], match.span(1))
    parameters = tuple(_read_parameters(call, *match.span(2)))
    names = [parameter.name for parameter in parameters if parameter.literal is None]
    if not names or len(parameters) > MOST_PARAMETERS:
        raise RuleError(f"a function takes 1 to {MOST_PARAMETERS} parameters", span=match.span(2))
    # The differential speaks of dx for each x.
    if len({*names, *(f"d{name}" for name in names)}) < 2 * len(names):
        raise RuleError("two parameters have the same name, or one that of the change of another", span=match.span(2))
    result = _read_result(match[3], parameters, match.span(3)) if match[3] else ()
    return match[1], parameters, result


def _read_parameters(call: str, start: int, end: int) -> Iterator[Parameter]:
    while start < end:
        found = _PARAMETER.match(call[:end], start)
        if found is None:
            reason = f"cannot read the parameters of {call!r}"
            raise RuleError(reason, span=(start, end), advice="write names, whole numbers and texts such as 'nuc'")
        yield _read_parameter(found)
        start = found.end()


def _read_parameter(found: re.Match[str]) -> Parameter:
    if found["text"] is not None:
        return Parameter("", literal=found["text"])
    if found["number"] is not None:
        return Parameter("", literal=_read_number(found["number"], range(LARGEST_LITERAL + 1), found.span("number")))
    _check_name(found["name"], found.span("name"))
    axes = None if found["axes"] is None else _read_axes(found["axes"], found.span("axes"), "")
    return Parameter(found["name"], axes)


def _check_name(name: str, span: tuple[int, int]) -> None:
    """Raise RuleError for what the language could not read as a name, or would read as another one."""
    if not name.isidentifier() or keyword.iskeyword(name) or unicodedata.normalize("NFKC", name) != name:
        raise RuleError(f"{name!r} is no name", span=span, advice="use letters, digits and _, and no word of Python")


def _read_number(text: str, allowed: range, span: tuple[int, int]) -> int:
    if not text.isascii() or len(text) > len(str(allowed[-1])) or int(text) not in allowed:
        raise RuleError(f"{text} is no number from {allowed[0]} to {allowed[-1]}", span=span)
    return int(text)


def _read_axes(text: str, span: tuple[int, int], times: str) -> tuple[str, ...]:
    """Return the sizes between brackets: letters and numbers, and products of them where there is a sign for it."""
    axes = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(axes) > MOST_AXES:
        raise RuleError(f"an array has {MOST_AXES} axes at most", span=span)
    for part in (part.strip() for size in axes for part in (size.split(times) if times else [size])):
        if part.isdigit():
            _read_number(part, range(1, LARGEST_AXIS + 1), span)
        else:
            _check_name(part, span)
    return axes


def _read_result(text: str, parameters: tuple[Parameter, ...], span: tuple[int, int]) -> _Result:
    """Return the sizes of "[n,m]", or the name of the parameter whose shape the result has."""
    if text.startswith("[") and text.endswith("]"):
        axes = _read_axes(text[1:-1], span, "*")
        letters = {letter for parameter in parameters for letter in parameter.axes or ()}
        unknown = [part for size in axes for part in re.split(r"[\s*]+", size) if part not in letters]
        if lost := next((part for part in unknown if not part.isdigit()), None):
            raise RuleError(f"the result has the size {lost}, which no parameter has", span=span)
        return axes
    if text not in (parameter.name for parameter in parameters if parameter.literal is None):
        reason = f"the result is shaped like {text!r}, which is no parameter"
        raise RuleError(reason, span=span, advice="write [n,m], or the name of a parameter")
    return text


# --- rule forms -------------------------------------------------------------------------------------
#
# How a rule's word is called: by its name alone, or as a call that says where each parameter and the axis go.


Value = TypeVar("Value")

# What torch calls dim is axis elsewhere.
AXIS_NAMES = {"torch": "dim", "numpy": "axis", "jax": "axis"}
_NUMBERS = "axis dim correction ddof alpha beta delta eps negative_slope threshold min_val max_val p ord".split()
_CONSTANTS: dict[str, tuple[str, ...]] = {
    "approximate": ("False", "'none'", "'tanh'"), "log_target": ("False", "True"),
    "reduction": ("'none'", "'mean'", "'sum'"),
}  # fmt: skip
_CALL = re.compile(r"([\w.]+)\((.*)\)", re.ASCII)
_ARGUMENT = re.compile(
    r"\s*(?:(?P<keyword>[a-z_]+)\s*=\s*)?(?P<value>(?P<number>-?\d+(?:\.\d+)?(?:e-?\d+)?)|'\w*'|(?P<name>\w+))\s*(?:,|$)",
    re.ASCII,
)
_INSTEAD = "write its parameters, numbers, then dim or axis and constants, as in torch.var(x, dim, correction=0)"


@dataclass(frozen=True)
class Form:
    """The path of a word, what stands in its places, and its constants by keyword.

    With `has_axis` it says that it works along an axis, which is given by keyword; `is_written` tells a call from
    a name alone.
    """

    path: str
    places: tuple[Parameter, ...]
    keywords: tuple[tuple[str, Any], ...] = ()
    has_axis: bool = False
    is_written: bool = False

    def fill(self, values: Mapping[str, Value]) -> list[Value | Any]:
        """Return what stands in each place, of the values of the parameters by name; literals are themselves."""
        return [values[place.name] if place.literal is None else place.literal for place in self.places]


@lru_cache(maxsize=2000)
def read_form(text: str, backend: str, parameters: tuple[Parameter, ...]) -> Form:
    """Return how a word of a rule with these parameters is called; raises RuleError, with the place, for no such call.

    >>> from matcalc.rule_files import read_signature
    >>> form = read_form("torch.var(x, dim, correction=0)", "torch", read_signature("f(x)")[1])
    >>> form.path, form.has_axis, form.keywords
    ('torch.var', True, (('correction', 0),))
    """
    call = _CALL.fullmatch(text)
    if call is None:
        return Form(text, parameters)
    names = {parameter.name: parameter for parameter in parameters if parameter.literal is None}
    places: list[Parameter] = []
    keywords: dict[str, Any] = {}
    has_axis, (start, end) = False, call.span(2)
    while start < end:
        found = _ARGUMENT.match(text[:end], start)
        if found is None:
            raise RuleError("this is no argument of a word", span=(start, end), advice=_INSTEAD)
        value, span = found["value"], found.span("value")
        if found["keyword"]:
            if found["keyword"] in keywords:
                raise RuleError(f"{found['keyword']}= is given twice", span=found.span("keyword"))
            keywords[found["keyword"]] = _read_constant(found)
        elif value in names or found["number"]:
            if has_axis or keywords:
                raise RuleError(f"{value} stands behind the axis or a keyword", span=span, advice=_INSTEAD)
            places.append(names.get(value) or Parameter("", literal=_read_argument_number(value, span)))
        elif value == AXIS_NAMES[backend] and not has_axis:
            has_axis = True
        else:
            raise RuleError(f"{value} is no parameter of the rule", span=span, advice=_advise_name(value, backend))
        start = found.end()
    if not any(place.name for place in places):
        raise RuleError("a word takes a parameter of the rule", span=call.span(2), advice=_INSTEAD)
    return Form(call[1], tuple(places), tuple(keywords.items()), has_axis, is_written=True)


def _read_constant(found: re.Match[str]) -> Any:
    """Return the constant of a keyword; raises RuleError for a keyword or a value that no word is given."""
    keyword, value = found["keyword"], found["value"]
    if keyword in _NUMBERS and found["number"]:
        return _read_argument_number(value, found.span("value"))
    if value not in _CONSTANTS.get(keyword, ()):
        advice = "the constants are " + ", ".join([f"{name}=0" for name in _NUMBERS] + [*_CONSTANTS])
        raise RuleError(f"{keyword}={value} is no constant that a word is given", span=found.span(), advice=advice)
    return value.strip("'") if value.startswith("'") else value == "True"


def _read_argument_number(text: str, span: tuple[int, int]) -> int | float:
    value = int(text) if text.lstrip("-").isdigit() and len(text) < 9 else float(text)
    if not abs(value) <= LARGEST_LITERAL:
        raise RuleError(f"{text} is beyond {LARGEST_LITERAL}", span=span)
    return value


def _advise_name(value: str, backend: str) -> str:
    if value in AXIS_NAMES.values():
        return f"{backend} calls it {AXIS_NAMES[backend]}, once"
    return _INSTEAD


# --- rule checks ------------------------------------------------------------------------------------
#
# What one table of a rules file may hold; all else is refused with its place, before anything is done with it.


FLAGS = ("axis", "primitive", "opaque", "linear", "vectors", "inverts", "symmetric")
TEXTS = (
    "call", "function", "differential", "everywhere", "define", "domain", "kinks", *BACKENDS, "sympy", "scalar",
    "nondifferentiable", "latex", "source", "note", "primary",
)  # fmt: skip
FIELDS = ("elementwise", *TEXTS, *FLAGS)
PRIMITIVES = ("sum", "size", "matrix_power", "tril", "triu")
LONGEST_LATEX = 500
_DERIVED_BY = ("elementwise", "function", "differential", "define", "primitive", "opaque")
# The definition beside a derivative is the value; derivatives beside what the function is are those of SymPy, kept.
_WITH_VALUE = (
    ["elementwise", "define"], ["differential", "define"], ["function", "define"], ["elementwise", "function"],
    ["elementwise", "function", "define"],
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One table of a rules file: its name, the file, its fields as they are written."""

    name: str
    file: str
    fields: Mapping[str, Any]

    def read_signature(self) -> tuple[str, tuple[Parameter, ...], _Result]:
        """Return function, parameters and result of the call, name(x) where there is none; raises RuleError."""
        try:
            return read_signature(self.fields.get("call", f"{self.name}(x)"))
        except RuleError as error:
            raise self.refuse(error.reason, "call", error.span, error.advice) from None

    def refuse(
        self, reason: str, field: str = "", span: tuple[int, int] | None = None, advice: str | None = None
    ) -> RuleError:
        """Return the error for a reason, which shows the field with carets below the place in it."""
        error = RuleError(f"rule [{self.name}] in {self.file}: {reason}", advice=advice)
        if field not in self.fields:
            return error
        value, before = self.fields[field], _show(field)[:80]
        if not isinstance(value, str):
            error.span = 0, len(before)
            error.complete(f"{before} = ...", {})
            return error
        start, end = span or (0, len(value))
        before += f' = "{_show(value[:start])}'
        place = _show(value[start:end])
        error.span = len(before), len(before) + len(place)
        error.complete(f'{before}{place}{_show(value[end:])}"', {})
        return error


def _show(text: str) -> str:
    """Return a text with escapes in the place of what cannot be seen."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def check_fields(entry: Entry) -> None:
    """Raise RuleError for what is no name, and for fields that are unknown, of a wrong kind, or at odds with others."""
    if not re.fullmatch(r"[A-Za-z]\w{0,99}", entry.name, re.ASCII):
        raise RuleError(f"{entry.file}: {ascii(entry.name)[:80]} is no name of a rule", advice="use letters, digits, _")
    for field, value in entry.fields.items():
        if field not in FIELDS:
            advice = "the fields are " + ", ".join(sorted(FIELDS))
            raise entry.refuse(f"it has the unknown field {ascii(field)[:80]}", field, advice=advice)
        if field in FLAGS:
            _check_flag(entry, field, value)
        else:
            _check_texts(entry, field, value)
    if entry.fields.get("scalar"):
        _check_scalar(entry, entry.fields["scalar"])
    stated = [field for field in _DERIVED_BY if entry.fields.get(field)]
    is_of_sympy = not stated and entry.fields.get("sympy", "").startswith("sympy.")
    if len(stated) != 1 and stated not in _WITH_VALUE and not is_of_sympy:
        listed = ", ".join(stated) or "none"
        reason = "it must state one of function, elementwise, differential, define"
        raise entry.refuse(f"{reason}, or one of the first three with define; it states {listed}")


def _check_flag(entry: Entry, field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise entry.refuse(f"{field} is true or false", field)
    if field == "primitive" and value and entry.name not in PRIMITIVES:
        raise entry.refuse("the engine knows no such function", field, advice="state its differential or define it")


def _check_texts(entry: Entry, field: str, value: object) -> None:
    texts = value if field == "elementwise" and isinstance(value, list | tuple) else [value]
    for text in texts:
        if not isinstance(text, str):
            kinds = "a text or a list of texts" if field == "elementwise" else "a text"
            raise entry.refuse(f"{field} is {kinds}", field)
        # An escape could write anything onto a reader's terminal.
        for place, character in enumerate("" if text.isprintable() else text):
            if not character.isprintable() and character not in "\n\t":
                raise entry.refuse(f"{character!a} cannot be printed", field, (place, place + 1))


_OF_SCALARS = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.Mult, ast.Div, ast.Pow, ast.Call,
)  # fmt: skip


def _check_scalar(entry: Entry, text: str) -> None:
    """Raise RuleError for what is not made of parameters, numbers, products, quotients, powers and functions."""
    try:
        nodes = list(ast.walk(ast.parse(text[:LONGEST_CALL], mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        nodes = [ast.Pass()]
    if len(text) > LONGEST_CALL or not all(isinstance(node, _OF_SCALARS) for node in nodes):
        reason = "scalar says what the function is of numbers"
        raise entry.refuse(reason, "scalar", advice="write 1/X, X*Y, or a function of a number")


def _read_word(entry: Entry, backend: str, parameters: tuple[Parameter, ...]) -> Form:
    try:
        form = read_form(entry.fields.get(backend, ""), backend, parameters)
    except RuleError as error:
        raise entry.refuse(error.reason, backend, error.span, error.advice) from None
    if form.has_axis and not entry.fields.get("axis"):
        raise entry.refuse("a word is given an axis, but the rule has none", backend, advice="add axis = true")
    if entry.fields.get("axis") and {"axis", "dim"} & dict(form.keywords).keys():
        reason = "a word of a rule with axis = true is given one axis alone"
        raise entry.refuse(reason, backend, advice="write no number")
    return form


def check_words(entry: Entry, parameters: tuple[Parameter, ...]) -> None:
    """Raise RuleError for words that no rule may name, texts that such a word does not know, and foreign LaTeX."""
    texts = [(place, p.literal) for place, p in enumerate(parameters) if isinstance(p.literal, str)]
    for backend in BACKENDS:
        form = _read_word(entry, backend, parameters)
        word = form.path
        if word and not is_word(word, backend):
            reason = f"{ascii(word)[:80]} is no function of {backend} that a rule may name"
            raise entry.refuse(reason, backend, advice=advise_word(word, backend))
        for place, text in texts:
            if word and not form.is_written and not takes_text(word, text, place):
                start = entry.fields["call"].index(f"'{text}'")
                reason = f"{word} documents no text {text!r} in this place"
                raise entry.refuse(reason, "call", (start, start + len(text) + 2), "leave it out, or name no word")
    word = entry.fields.get("sympy", "")
    if word.startswith("sympy.") and not is_word(word, "sympy"):
        reason = f"{ascii(word)[:80]} is no function of sympy that a rule may name"
        raise entry.refuse(reason, "sympy", advice="a rule names one of " + ", ".join(sorted(SYMPY_WORDS)))
    latex = entry.fields.get("latex", "")
    if len(latex) > LONGEST_LATEX:
        raise entry.refuse(f"latex has more than {LONGEST_LATEX} characters", "latex")
    if found := find_foreign_latex(latex):
        raise entry.refuse(found[0], "latex", found[1], found[2])
    names = {parameter.name for parameter in parameters}
    for named in re.finditer(r"\{(.*?)\}", entry.fields.get("nondifferentiable", "")):
        if named[1] not in names:
            raise entry.refuse(f"{ascii(named[1])[:80]} is no parameter", "nondifferentiable", named.span())


# --- rule files -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rule:
    """One function of the language: what it is, and what its differential is.

    Exactly one of these says how to differentiate: `elementwise` holds one partial derivative per
    parameter, `formula` is what a function of numbers is, of which SymPy finds those, `differential` is linear in dX
    for each parameter X, `define` is an expression that stands for the call, a `primitive` is known to the engine, an
    `opaque` function has no derivative.  Where there is none of them, it is the function of SymPy that `sympy` names.
    Beside one of the first three `define` is the value alone.  `sympy` is a word of SymPy, or a definition for it
    where `define` says what SymPy lacks.  A `linear` function is so in each of its parameters; of one with
    `vectors` a column or a row may stand in the place of each matrix.  `scalar` is what the function is where
    numbers stand in the place of its arrays, for a number is a 1 by 1 matrix.  A function that `inverts` its first
    matrix has no value where that is singular; a `symmetric` one is symmetric where that is.
    `primary` belongs to the Jacobian of a matrix function f: it is f'(X), to which the Jacobian comes down
    in a trace and along a direction that commutes with X.  `everywhere` is a differential, too: one that also has
    numbers where the other, or that of the definition, divides by 0.  `nondifferentiable` says to a reader where there
    is no derivative, with {X} for the argument X.
    """

    name: str
    function: str
    parameters: tuple[Parameter, ...]
    result: _Result = ()
    axis: bool = False
    primitive: bool = False
    opaque: bool = False
    linear: bool = False
    vectors: bool = False
    inverts: bool = False
    symmetric: bool = False
    elementwise: tuple[str, ...] = ()
    formula: str = ""
    differential: str = ""
    everywhere: str = ""
    define: str = ""
    domain: str = ""
    kinks: str = ""
    nondifferentiable: str = ""
    torch: str = ""
    numpy: str = ""
    jax: str = ""
    sympy: str = ""
    scalar: str = ""
    latex: str = ""
    source: str = ""
    note: str = ""
    primary: str = ""
    file: str = ""

    @property
    def variables(self) -> tuple[Parameter, ...]:
        """The parameters that are expressions, without the literals."""
        return tuple(p for p in self.parameters if p.literal is None)

    @property
    def is_elementwise(self) -> bool:
        """Whether the function works entry by entry."""
        return bool(self.elementwise) or self.is_derived_by_sympy

    @property
    def is_derived_by_sympy(self) -> bool:
        """Whether the rule says what the function is and leaves its derivatives to SymPy."""
        is_word = not (self.differential or self.define or self.primitive or self.opaque) and bool(self.sympy_word)
        return not self.elementwise and (bool(self.formula) or is_word)

    @property
    def is_definition(self) -> bool:
        """Whether its definition is all that there is to derive."""
        return bool(self.define) and not (self.elementwise or self.formula or self.differential)

    def read_form(self, backend: str) -> Form:
        """Return how the rule's word in a backend is called; its path is "" where there is none."""
        return read_form(getattr(self, backend), backend, self.parameters)

    @property
    def sympy_word(self) -> str:
        """The function of SymPy that `sympy` names, as in sympy.exp; "" where it is a definition or missing."""
        return self.sympy if self.sympy.startswith("sympy.") else ""

    @property
    def sympy_definition(self) -> str:
        """What stands for the function in SymPy."""
        return self.define if self.sympy_word else self.sympy or self.define

    @property
    def call(self) -> str:
        """The signature as written: logdet(X[n,n])."""
        written = [
            repr(p.literal) if p.literal is not None else p.name + (f"[{','.join(p.axes)}]" if p.axes else "")
            for p in self.parameters
        ]
        return f"{self.function}({', '.join(written)})"


LONGEST_FILE = 100_000
_LONGEST_LINE = 5_000
MOST_RULES = 300


def read_rule(name: str, fields: Mapping[str, Any], file: str) -> Rule:
    """Return the rule of one table of a rules file; raises RuleError, with the place, for what it may not hold."""
    entry = Entry(name, file, fields)
    check_fields(entry)
    function, parameters, result = entry.read_signature()
    variables = sum(parameter.literal is None for parameter in parameters)
    elementwise = fields.get("elementwise", ())
    elementwise = (elementwise,) if isinstance(elementwise, str) else tuple(elementwise)
    if elementwise and len(elementwise) != variables:
        raise entry.refuse(f"it has {variables} parameters and {len(elementwise)} derivatives", "elementwise")
    check_words(entry, parameters)
    flags: dict[str, Any] = {key: fields.get(key, False) for key in FLAGS}
    texts: dict[str, Any] = {key: fields.get(key, "") for key in TEXTS if key not in ("call", "function")}
    formula = fields.get("function", "")
    if formula and (result or any(parameter.axes for parameter in parameters)):
        raise entry.refuse("function says what a function of numbers is", "function", advice="define one of arrays")
    texts["define"] = texts["define"] or formula
    return Rule(
        name=name, function=function, parameters=parameters, result=result, elementwise=elementwise, formula=formula,
        file=file, **flags, **texts,
    )  # fmt: skip


class RuleBook:
    """The rules in force: by entry name, and by function for the overloads of one function in file order."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._by_name: dict[str, Rule] = {}
        self._by_function: dict[str, list[Rule]] = {}
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Register a rule; a name registered twice is an error, never the last one wins."""
        if rule.name in self._by_name:
            first = self._by_name[rule.name]
            raise RuleError(
                f"rule [{rule.name}] in {rule.file} is already defined in {first.file}", advice="choose another name"
            )
        self._by_name[rule.name] = rule
        self._by_function.setdefault(rule.function, []).append(rule)

    def overloads(self, function: str) -> list[Rule]:
        """The rules of one function, most specific first as the file orders them; empty if unknown."""
        return self._by_function.get(function, [])

    def find(self, name: str) -> Rule | None:
        """The rule of this name, None where there is none."""
        return self._by_name.get(name)

    def extended(self, rules: Iterable[Rule]) -> RuleBook:
        """A new book with these rules added."""
        return RuleBook([*self, *rules])

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Rule:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def functions(self) -> list[str]:
        """The names a reader can call."""
        return list(self._by_function)


def rules_folder() -> Path:
    """Return the folder of the shipped rules: in the installed package, else beside a checkout's pyproject.toml."""
    here = Path(__file__).resolve().parent
    installed = here / "rules"
    if installed.is_dir():
        return installed
    if (here.parent / "pyproject.toml").is_file() and (here.parent / "rules").is_dir():
        return here.parent / "rules"
    raise RuleError("the shipped rules are missing", advice="reinstall matcalc-checker")


def read_rules(path: Path | str) -> list[Rule]:
    """Return the rules of one TOML file, in file order; raises RuleError for what cannot be read."""
    path = Path(path)
    rules = []
    for name, fields in _read_tables(path).items():
        if not isinstance(fields, dict):
            raise RuleError(f"{path.name}: {ascii(name)[:80]} is not a table", advice="write [name] above its fields")
        rules.append(read_rule(name, fields, path.name))
    return rules


def _read_tables(path: Path) -> dict[str, Any]:
    """Return what a rules file holds; raises RuleError, or LimitError for a file of absurd size or depth."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE or max(map(len, text.split("\n"))) > _LONGEST_LINE:
            reason = f"the rules file {path} has more than {LONGEST_FILE} characters, or {_LONGEST_LINE} in a line"
            raise LimitError(reason)
        tables = tomllib.loads(text)
    except OSError as error:
        raise RuleError(f"cannot read the rules file {path}: {error.strerror}") from None
    except RecursionError:
        raise LimitError(f"the rules file {path} is nested too deeply") from None
    except ValueError as error:
        if "\0" in str(path):
            raise RuleError(f"cannot read the rules file {path}: {error}") from None
        raise RuleError(f"the rules file {path} is not valid TOML: {error}"[:300]) from None
    if len(tables) > MOST_RULES:
        raise LimitError(f"the rules file {path} has more than {MOST_RULES} entries")
    return tables


FUNCTION_FILES = ("primitives.toml", "elementwise.toml", "vector.toml", "matrix.toml", "neural.toml")


@lru_cache(maxsize=1)
def shipped_rules() -> RuleBook:
    """Return the rules that come with matcalc, read once."""
    folder = rules_folder()
    return RuleBook(rule for name in FUNCTION_FILES for rule in read_rules(folder / name))


# The first parameter of a function of SymPy that has an order: a whole number n that is written out, or any number v.
ORDERS = ("n", "v")
# Of a higher order polynomials are too long to be read, and their values lose too many digits.
HIGHEST_POLYNOMIAL = 12


@lru_cache(maxsize=1)
def sympy_rules() -> RuleBook:
    """Return the functions of numbers that SymPy knows and the other files lack, read once."""
    return RuleBook(read_rules(rules_folder() / "sympy.toml"))


@lru_cache(maxsize=4000)
def find_sympy_rules(function: str, order: int | None) -> tuple[Rule, ...]:
    """Return the forms of a function by its name in SymPy, asin for arcsin too; () where SymPy's numbers have none.

    `order` is the first argument where that is a whole number: besselj(0, x) is a function of x alone.
    """
    named = [*sympy_rules().overloads(function)]
    named = named or [rule for rule in (*shipped_rules(), *sympy_rules()) if rule.sympy == f"sympy.{function}"]
    return tuple(_fix_order(rule, order) for rule in named if rule.is_elementwise)


def _fix_order(rule: Rule, order: int | None) -> Rule:
    """Return the rule with the number in the place of its order n or v, which no backend takes below 0."""
    largest = dict(zip(ORDERS, (HIGHEST_POLYNOMIAL, LARGEST_LITERAL), strict=True)).get(rule.parameters[0].name)
    if order is None or largest is None or abs(order) > largest:
        return rule
    kept: dict[str, Any] = dict.fromkeys(BACKENDS, "") if order < 0 else {}
    name = f"{rule.name}_{order}".replace("-", "minus")
    parameters = (Parameter("", literal=order), *rule.parameters[1:])
    return replace(rule, name=name, parameters=parameters, latex=rule.latex.replace("{n}", str(order)), **kept)


@dataclass(frozen=True, eq=False)
class Identity:
    """f(form) = right, where form is one of: transpose, multiple, product, identity, diagonal, scaled rows,
    scaled columns, f (a function), bare.
    """

    name: str
    function: str
    form: str
    right: str
    assume: str = ""
    source: str = ""


_IDENTITY = re.compile(r"^\s*(\w+)\((.*)\)\s*=\s*(.+?)\s*$")
_FORMS = (("transpose", r"\w+\.T"), ("multiple", r"\w+\*\w+"), ("product", r"\w+ @ \w+"), ("identity", r"eye\(n\)"),
          ("scaled rows", r"diag\(\w+\) @ \w+"), ("scaled columns", r"\w+ @ diag\(\w+\)"),
          ("diagonal", r"diag\(v\)"), ("bare", r"\w+"))  # fmt: skip


def read_identity(name: str, entry: dict[str, Any]) -> Identity:
    """Return the identity of one table; raises RuleError for a left side of another form."""
    match = _IDENTITY.match(str(entry.get("identity", "")))
    if match is None:
        raise RuleError(f"identity [{name}] is not of the form f(..) = ..")
    function, inside, right = match.groups()
    form = next((form for form, pattern in _FORMS if re.fullmatch(pattern, inside)), "")
    call = re.fullmatch(r"(\w+)\(\w+\)", inside)
    if not form and call is None:
        raise RuleError(f"identity [{name}]: {inside!r} is not a form that can be recognised")
    assume, source = str(entry.get("assume", "")), str(entry.get("source", ""))
    return Identity(name, function, form or (call[1] if call else ""), right, assume, source)


@lru_cache(maxsize=1)
def shipped_identities() -> dict[tuple[str, str], Identity]:
    """Return the identities that come with matcalc, by function and form."""
    path = rules_folder() / "identities.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    identities = [read_identity(name, entry) for name, entry in tables.items()]
    return {(identity.function, identity.form): identity for identity in identities}
