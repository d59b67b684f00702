"""Definitions -> drafts: a defined name is the draft of what it stands for, one node however often it is used."""

from __future__ import annotations

from dataclasses import replace

from matcalc.errors import ParseError
from matcalc.language import names
from matcalc.language.draft import Draft, Reading
from matcalc.language.read_text import Definition

Span = tuple[int, int]
_RENAME = "use another name for one of them"


def begin_definitions(reading: Reading) -> None:
    """Note which names the text will define; raises ParseError for a name that cannot be defined.

    Names that an earlier text has defined are known here too, and may be defined anew.
    """
    reading.awaited = set()
    for definition in reading.source.definitions:
        if definition.name in reading.awaited:
            raise ParseError(f"{definition.name} is defined twice", span=definition.span, advice=_RENAME)
        _refuse_name(reading, definition.name, definition.span)
        reading.awaited.add(definition.name)


def _refuse_name(reading: Reading, name: str, span: Span) -> None:
    taken = _find_other_meaning(reading, name)
    if taken:
        raise ParseError(f"{name} is {taken}, so it cannot be defined", span=span, advice=_RENAME)
    if name.startswith("__") or len(name) > 50:
        raise ParseError(f"{name[:50]} cannot be a name", span=span, advice="use letters and digits, such as p_1")


def _find_other_meaning(reading: Reading, name: str) -> str | None:
    if name in reading.declared:
        return "a parameter of the rule" if reading.is_rule else "declared as a variable"
    if name in reading.sizes:
        return "a size"
    if name in reading.symbols:
        return "a variable"
    if name in reading.abstract or name in names.SPECIAL or name == "D" or reading.book.overloads(name):
        return "a function"
    return "a number" if name == "pi" else None


def define(reading: Reading, definition: Definition, draft: Draft) -> None:
    """Let a name stand for a draft from here on."""
    reading.awaited.discard(definition.name)
    reading.defined[definition.name] = draft


def use_definition(reading: Reading, name: str, span: Span) -> Draft:
    """Return the draft that a name stands for, placed where it is used; raises ParseError where it has none yet."""
    if name not in reading.awaited:
        return replace(reading.defined[name], span=span)
    own = next(definition.span for definition in reading.source.definitions if definition.name == name)
    current = next(part for part in reading.source.definitions if part.name in reading.awaited)
    if current.name == name:
        raise ParseError(f"{name} is defined by itself", span=span, advice="give the new value another name")
    assert own[0] > span[0]
    raise ParseError(f"{name} is used before it is defined", span=span, advice=f"move the definition of {name} up")
