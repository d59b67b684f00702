"""Definitions before the formula, p = softmax(A @ x); diag(p) - p @ p.T: where each part of a text begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from matcalc.errors import ParseError

HOW = "write definitions first and the formula last, as in p = softmax(x); diag(p) - p @ p.T"
_OPENERS, _CLOSERS, _QUOTES = "([{", ")]}", "'\""
# A line that begins so, or stands behind one that ends so, goes on where the line before it ended.
_BEGINS_INSIDE = ("+", "*", "/", "@", ".", "<", ">")
_ENDS_INSIDE = ("+", "-", "*", "/", "@", "<", ">", "=")


@dataclass(frozen=True, slots=True)
class Statement:
    """One part of a text: where it stands, and the place of its = where it is a definition."""

    start: int
    end: int
    equals: int | None = None


def split_statements(text: str) -> list[Statement]:
    """Return the definitions of a text and, last, its formula; the whole text where it defines nothing.

    Parts are separated by ; or by the end of a line, outside of brackets.  Raises ParseError where something
    else than a definition stands before the formula, or where the formula is missing.

    >>> text = "p = softmax(x); diag(p)"
    >>> [text[part.start:part.end] for part in split_statements(text)]
    ['p = softmax(x)', 'diag(p)']
    """
    whole = Statement(0, len(text))
    if "=" not in text:
        return [whole]
    parts = _join_lines(text, [part for part in _cut(text) if text[part.start : part.end].strip()])
    if not any(part.equals is not None for part in parts) or (len(parts) == 1 and ";" not in text):
        return [whole]
    _refuse_disorder(text, parts)
    return parts


def _refuse_disorder(text: str, parts: list[Statement]) -> None:
    for part in parts[:-1]:
        if part.equals is None:
            raise ParseError("only definitions stand before the formula", span=(part.start, part.end), advice=HOW)
    if parts[-1].equals is not None:
        end = len(text.rstrip())
        raise ParseError("the formula is missing behind the definitions", span=(end, end + 1), advice=HOW)


def _cut(text: str) -> Iterator[Statement]:
    """Yield the parts between ; and ends of lines, each without the space around it."""
    start, equals = 0, None
    for place in _list_marks(text):
        if text[place] == "=":
            equals = place if equals is None else equals
            continue
        yield _trim(text, start, place, equals)
        start, equals = place + 1, None
    yield _trim(text, start, len(text), equals)


def _trim(text: str, start: int, end: int, equals: int | None) -> Statement:
    inside = text[start:end]
    return Statement(start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip()), equals)


def _list_marks(text: str) -> Iterator[int]:
    """Yield the places of every ; and = and end of a line outside of brackets and quotes; == and >= are no =."""
    depth, quote = 0, ""
    for place, character in enumerate(text):
        if quote or character in _QUOTES:
            quote = "" if character == quote else quote or character
        elif character in _OPENERS or character in _CLOSERS:
            depth += 1 if character in _OPENERS else -1
        elif depth == 0 and (character in ";\n" or (character == "=" and _is_alone(text, place))):
            yield place


def _is_alone(text: str, place: int) -> bool:
    return not re.match(r"[=<>!:]=|.==", text[max(0, place - 1) : place + 2])


def _join_lines(text: str, parts: list[Statement]) -> list[Statement]:
    """Join the lines of one statement: of a formula all that follow, of a definition those that go on with it."""
    joined: list[Statement] = []
    for part in parts:
        if joined and part.equals is None and _goes_on(text, joined[-1], part):
            joined[-1] = Statement(joined[-1].start, part.end, joined[-1].equals)
        else:
            joined.append(part)
    return joined


def _goes_on(text: str, before: Statement, part: Statement) -> bool:
    if ";" in text[before.end : part.start]:
        return False
    if before.equals is None or text[before.start : before.end].endswith(_ENDS_INSIDE):
        return True
    return text.startswith(_BEGINS_INSIDE, part.start)
