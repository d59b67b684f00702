"""The signature of a rule, as in "inv(X[n,n]) -> [n,n]": names, axes and literals, each checked and bounded."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from matcalc.errors import RuleError

LONGEST_CALL = 200
MOST_PARAMETERS = 8
MOST_AXES = 4
# An axis of the arrays that the proof draws, and a number that a function is given: more would only take long.
LARGEST_AXIS = 20
LARGEST_LITERAL = 1000

Result = str | tuple[str, ...]


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


def read_signature(call: str) -> tuple[str, tuple[Parameter, ...], Result]:
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


def _read_result(text: str, parameters: tuple[Parameter, ...], span: tuple[int, int]) -> Result:
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
