r"""The `latex` of a rule, with arguments in the places of its parameters.

In a template `{x}` stands for the argument x, in brackets where it would be misread: in `\log({x})` a sum
needs none, in `{x}^\top` it does.  All else is LaTeX as it is.  So `{{x}}` is the argument in braces; where
a command asks for braces, as in `\sqrt{x}` and `\frac{x}{y}`, those of the parameter are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# How tightly a text binds, low to high: sums, a sign before a product, products entry by entry, products,
# products of scalars (to which a factor can be added), texts with a superscript (which cannot get another one).
SUM, SIGN, ENTRYWISE, PRODUCT, SCALED, SUPERSCRIPT, ATOM = range(7)
Part = tuple[str, int]

_OPENERS = ("(", "[", "{", ",", "|", ";")
_CLOSERS = (")", "]", "}", ",", "|", ";", "\\right")
# The commands whose argument is in braces; other commands are operators before their argument.
_MACRO = r"\\(?:[dt]?frac|sqrt|binom|(?:over|under)(?:line|set)|bar|hat|tilde|dot|wide(?:hat|tilde)|text|math\w+)"


def fill_template(template: str, arguments: Mapping[str, Part]) -> Part:
    r"""Return a template with its parameters replaced by arguments.

    >>> fill_template("{X}^{-1}", {"X": ("A + B", SUM)})
    ('(A + B)^{-1}', 5)
    """
    if any(is_tall(text) for text, _ in arguments.values()):
        template = re.sub(r"(?<!\\left)(?<!\\right)([()])", _stretch, template)
    names = "|".join(map(re.escape, arguments))
    filled = re.sub(r"\{(" + names + r")\}", lambda place: _fill_place(place, arguments), template)
    return filled, find_level(template)


def _stretch(bracket: re.Match[str]) -> str:
    return ("\\left" if bracket[0] == "(" else "\\right") + bracket[0]


def _fill_place(place: re.Match[str], arguments: Mapping[str, Part]) -> str:
    before, after = place.string[: place.start()], place.string[place.end() :].lstrip()
    part = arguments[place[1]]
    if re.search(_MACRO + r"$|(frac|binom|set)\{[^{}]*\}$|[\^_]$", before):
        return "{" + part[0] + "}"
    space = " " if re.search(r"\\[A-Za-z]+$", before) else ""
    return space + _bracket(part, before.rstrip(), after)


def _bracket(part: Part, before: str, after: str) -> str:
    """Return an argument between these texts, in brackets where it would be misread without."""
    if after.startswith("^"):
        return wrap(part, ATOM)
    if not after.startswith(_CLOSERS) and after:
        return wrap(part, SUPERSCRIPT)
    if before.endswith(("+", "-")):
        return wrap(part, ENTRYWISE)
    return part[0] if before.endswith(_OPENERS) else wrap(part, SUPERSCRIPT)


def find_level(template: str) -> int:
    r"""Return how tightly a filled template binds.

    >>> [find_level(text) for text in (r"\exp({x})", r"{X}^{-1}", r"{A} \otimes {B}", r"{A}^{-1} {b}")]
    [6, 5, 2, 3]
    """
    flat, before = re.sub(r"\\(left|right)(?![A-Za-z])", "", template), ""
    flat = re.sub(r"\\(\||[lr]?[vV]ert(?![A-Za-z]))", "|", flat)
    while flat != before:
        before = flat
        flat = re.sub(r"\([^(){}|]*\)|\|[^(){}|]*\|", "#", re.sub(r"\{[^(){}|]*\}", "~", flat))
    flat = re.sub(_MACRO + r"(?=~)", "", flat)
    if re.search(r"\s[+-]\s", flat):
        return SUM
    if re.search(r"\\(otimes|odot|oslash|oplus)", flat):
        return ENTRYWISE
    if re.fullmatch(r"(\w|~)\^(~|\w)", flat):
        return SUPERSCRIPT
    closed = re.fullmatch(r"(\\[A-Za-z]+|[\w~_])*#+(_[\w~*])?|~+", flat)
    return ATOM if closed else PRODUCT


def wrap(part: Part, level: int) -> str:
    """Put brackets around what binds weaker than `level`."""
    text, own = part
    return text if own >= level else enclose(text)


def enclose(text: str) -> str:
    """Return the text in brackets, which grow with it where it is tall."""
    return f"\\left({text}\\right)" if is_tall(text) else f"({text})"


def is_tall(text: str) -> bool:
    """Whether a text is higher than a line, so that its brackets have to grow."""
    return any(command in text for command in ("\\frac", "\\left(", "\\sum", "\\substack"))
