"""Rules are data: reads `rules/*.toml` into `Rule` objects, looked up by the function's name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matcalc.errors import LimitError, RuleError
from matcalc.rule_checks import FLAGS, TEXTS, Entry, check_fields, check_words
from matcalc.rule_forms import Form, read_form
from matcalc.rule_signature import Parameter, Result


@dataclass(frozen=True, eq=False)
class Rule:
    """One function of the language: what it is, and what its differential is.

    Exactly one of these says how to differentiate: `elementwise` holds one partial derivative per
    parameter, `differential` is linear in dX for each parameter X, `define` is an expression that
    stands for the call, a `primitive` is known to the engine, an `opaque` function has no derivative.
    Beside one of the first two `define` is the value alone.  `sympy` is a definition for SymPy, where `define`
    says what SymPy lacks.  A `linear` function is so in each of its parameters.
    `primary` belongs to the Jacobian of a matrix function f: it is f'(X), to which the Jacobian comes down
    in a trace and along a direction that commutes with X.
    """

    name: str
    function: str
    parameters: tuple[Parameter, ...]
    result: Result = ()
    axis: bool = False
    primitive: bool = False
    opaque: bool = False
    linear: bool = False
    elementwise: tuple[str, ...] = ()
    differential: str = ""
    define: str = ""
    domain: str = ""
    kinks: str = ""
    torch: str = ""
    numpy: str = ""
    jax: str = ""
    sympy: str = ""
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
        return bool(self.elementwise)

    @property
    def is_definition(self) -> bool:
        """Whether its definition is all that there is to derive."""
        return bool(self.define) and not (self.elementwise or self.differential)

    def read_form(self, backend: str) -> Form:
        """Return how the rule's word in a backend is called; its path is "" where there is none."""
        return read_form(getattr(self, backend), backend, self.parameters)

    @property
    def call(self) -> str:
        """The signature as written: logdet(X[n,n])."""
        written = [
            repr(p.literal) if p.literal is not None else p.name + (f"[{','.join(p.axes)}]" if p.axes else "")
            for p in self.parameters
        ]
        return f"{self.function}({', '.join(written)})"


LONGEST_FILE = 100_000
LONGEST_LINE = 5_000
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
    texts: dict[str, Any] = {key: fields.get(key, "") for key in TEXTS if key != "call"}
    return Rule(
        name=name, function=function, parameters=parameters, result=result, elementwise=elementwise,
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
        if len(text) > LONGEST_FILE or max(map(len, text.split("\n"))) > LONGEST_LINE:
            reason = f"the rules file {path} has more than {LONGEST_FILE} characters, or {LONGEST_LINE} in a line"
            raise LimitError(reason)
        tables = tomllib.loads(text)
    except OSError as error:
        raise RuleError(f"cannot read the rules file {path}: {error.strerror}") from None
    except RecursionError:
        raise LimitError(f"the rules file {path} is nested too deeply") from None
    except ValueError as error:
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


@dataclass(frozen=True, eq=False)
class Identity:
    """f(form) = right, where form is one of: transpose, multiple, product, identity, diagonal, f (a function), bare."""

    name: str
    function: str
    form: str
    right: str
    assume: str = ""
    source: str = ""


_IDENTITY = re.compile(r"^\s*(\w+)\((.*)\)\s*=\s*(.+?)\s*$")
_FORMS = (("transpose", r"\w+\.T"), ("multiple", r"\w+\*\w+"), ("product", r"\w+ @ \w+"), ("identity", r"eye\(n\)"),
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
