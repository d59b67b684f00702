"""How a rule's word is called: by its name alone, or as a call that says where each parameter and the axis go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from matcalc.errors import RuleError
from matcalc.rule_signature import LARGEST_LITERAL, Parameter

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

    >>> from matcalc.rule_signature import read_signature
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
            places.append(names.get(value) or Parameter("", literal=_read_number(value, span)))
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
        return _read_number(value, found.span("value"))
    if value not in _CONSTANTS.get(keyword, ()):
        advice = "the constants are " + ", ".join([f"{name}=0" for name in _NUMBERS] + [*_CONSTANTS])
        raise RuleError(f"{keyword}={value} is no constant that a word is given", span=found.span(), advice=advice)
    return value.strip("'") if value.startswith("'") else value == "True"


def _read_number(text: str, span: tuple[int, int]) -> int | float:
    value = int(text) if text.lstrip("-").isdigit() and len(text) < 9 else float(text)
    if not abs(value) <= LARGEST_LITERAL:
        raise RuleError(f"{text} is beyond {LARGEST_LITERAL}", span=span)
    return value


def _advise_name(value: str, backend: str) -> str:
    if value in AXIS_NAMES.values():
        return f"{backend} calls it {AXIS_NAMES[backend]}, once"
    return _INSTEAD
