"""Rules are data: reads `rules/*.toml` into `Rule` objects, looked up by the function's name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matcalc.errors import RuleError


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter of a signature: `X[n,k]` (axes given), `x` (any shape), or a literal such as 'nuc'."""

    name: str
    axes: tuple[str, ...] | None = None
    literal: str | int | None = None


@dataclass(frozen=True, eq=False)
class Rule:
    """One function of the language: what it is, and what its differential is.

    Exactly one of these says how to differentiate: `elementwise` holds one partial derivative per
    parameter, `differential` is linear in dX for each parameter X, `define` is an expression that
    stands for the call, a `primitive` is known to the engine, an `opaque` function has no derivative.
    `primary` belongs to the Jacobian of a matrix function f: it is f'(X), to which the Jacobian comes down
    in a trace and along a direction that commutes with X.
    """

    name: str
    function: str
    parameters: tuple[Parameter, ...]
    result: str | tuple[str, ...] = ()
    axis: bool = False
    primitive: bool = False
    opaque: bool = False
    elementwise: tuple[str, ...] = ()
    differential: str = ""
    define: str = ""
    domain: str = ""
    kinks: str = ""
    torch: str = ""
    numpy: str = ""
    jax: str = ""
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
    def call(self) -> str:
        """The signature as written: logdet(X[n,n])."""
        written = [
            repr(p.literal) if p.literal is not None else p.name + (f"[{','.join(p.axes)}]" if p.axes else "")
            for p in self.parameters
        ]
        return f"{self.function}({', '.join(written)})"


_SIGNATURE = re.compile(r"^\s*(\w+)\s*\((.*)\)\s*(?:->\s*(.+?))?\s*$")
_PARAMETER = re.compile(
    r"""\s*(?:'(?P<text>\w+)'|(?P<number>\d+)|(?P<name>\w+)\s*(?:\[(?P<axes>[^\]]*)\])?)\s*(?:,|$)"""
)
# Words that are written into code which people run: only functions of these modules, and nothing private.
_WORDS = {
    "numpy": re.compile(r"(numpy(\.linalg)?|scipy\.(special|linalg))\.[A-Za-z]\w*"),
    "jax": re.compile(r"jax\.(numpy(\.linalg)?|nn|lax|scipy\.(special|linalg))\.[A-Za-z]\w*"),
}
_FLAGS = {"axis", "primitive", "opaque"}
_FIELDS = {"call", "elementwise", "differential", "define", "primitive", "opaque", "axis", "domain", "kinks",
           "torch", "numpy", "jax", "latex", "source", "note", "primary"}  # fmt: skip


def read_signature(call: str) -> tuple[str, tuple[Parameter, ...], str | tuple[str, ...]]:
    """Return function, parameters and result of "inv(X[n,n]) -> [n,n]"; the result is () for a scalar,
    a tuple of sizes, or the name of the parameter that it is shaped like."""
    match = _SIGNATURE.match(call) if isinstance(call, str) else None
    if match is None:
        raise RuleError(f"cannot read the signature {call!r}", advice='write it as "inv(X[n,n]) -> [n,n]"')
    function, inside, result_text = match.groups()
    parameters: list[Parameter] = []
    position = 0
    while position < len(inside):
        found = _PARAMETER.match(inside, position)
        if found is None or found.end() == position:
            raise RuleError(f"cannot read the parameters of {call!r}")
        position = found.end()
        if found["name"] is None:
            literal: str | int = found["text"] if found["text"] is not None else int(found["number"])
            parameters.append(Parameter("", literal=literal))
        else:
            parameters.append(Parameter(found["name"], _read_axes(found["axes"])))
    result: str | tuple[str, ...] = ()
    if result_text:
        result = _read_axes(result_text[1:-1]) or () if result_text.startswith("[") else result_text
    return function, tuple(parameters), result


def _read_axes(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_rule(name: str, entry: dict[str, Any], file: str) -> Rule:
    """Return the rule of one table of a rules file; raises RuleError where the table makes no sense."""
    unknown = set(entry) - _FIELDS
    if unknown:
        raise RuleError(
            f"rule [{name}] in {file} has the unknown field {sorted(unknown)[0]!r}",
            advice="the fields are " + ", ".join(sorted(_FIELDS)),
        )
    stated = [key for key in ("elementwise", "differential", "define", "primitive", "opaque") if entry.get(key)]
    if len(stated) != 1:
        raise RuleError(
            f"rule [{name}] in {file} must state exactly one of elementwise, differential, define; "
            f"it states {', '.join(stated) or 'none'}"
        )
    elementwise = entry.get("elementwise", ())
    if isinstance(elementwise, str):
        elementwise = (elementwise,)
    function, parameters, result = read_signature(entry.get("call", f"{name}(x)"))
    if not isinstance(elementwise, list | tuple):
        raise RuleError(f"rule [{name}] in {file}: elementwise is a text or a list of texts, not {elementwise!r}")
    variables = sum(parameter.literal is None for parameter in parameters)
    if elementwise and len(elementwise) != variables:
        raise RuleError(f"rule [{name}] in {file} has {variables} parameters and {len(elementwise)} derivatives")
    flags: dict[str, Any] = {key: bool(entry.get(key, False)) for key in _FLAGS}
    texts: dict[str, Any] = {key: str(entry.get(key, "")) for key in _FIELDS - _FLAGS - {"call", "elementwise"}}
    _check_words(name, texts, file)
    return Rule(
        name=name, function=function, parameters=parameters, result=result, elementwise=tuple(elementwise),
        file=file, **flags, **texts,
    )  # fmt: skip


def _check_words(name: str, texts: dict[str, Any], file: str) -> None:
    """Raise RuleError for a word of NumPy or JAX that is no function of theirs."""
    for backend, pattern in _WORDS.items():
        word = texts[backend]
        if word and not pattern.fullmatch(word):
            advice = f'name one as in {backend} = "{"numpy.exp" if backend == "numpy" else "jax.numpy.exp"}"'
            raise RuleError(f"rule [{name}] in {file}: {word!r} is no function of {backend}", advice=advice)


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
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RuleError(f"cannot read the rules file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RuleError(f"the rules file {path} is not valid TOML: {error}") from None
    rules = []
    for name, entry in tables.items():
        if not isinstance(entry, dict):
            raise RuleError(f"{path.name}: {name!r} is not a table", advice=f"write [{name}]")
        rules.append(read_rule(name, entry, path.name))
    return rules


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
