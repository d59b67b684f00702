"""What is wrong with a text that cannot be read: every fault with its place, and the whole text without them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from matcalc.language.explain_calls import is_explained
from matcalc.language.notation_calls import KNOWN_CALLS
from matcalc.language.notation_tokens import LATEX_NAMES, normalize_keyboard
from matcalc.language.notation_words import FUNCTION_WORDS, GREEK_LETTERS, MODULES


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what is wrong, its place, and what stands there instead; None where that is not known."""

    reason: str
    start: int
    end: int
    instead: str | None = None


_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MOST_FAULTS = 12
_LONGEST = 2_000


def list_text_faults(text: str, functions: Collection[str], known: Collection[str]) -> list[Fault]:
    """Return the faults of a text in the order of their places: brackets, functions, commands, signs, characters.

    `functions` are those of the language, `known` the names that are declared.

    >>> [(fault.reason, fault.instead) for fault in list_text_faults("sofmax(A @ x", ["softmax"], ())]
    [('sofmax is no function that is known here; softmax is', 'softmax'), ("'(' is never closed", ')')]
    """
    if len(text) > _LONGEST:
        return []
    plain = normalize_keyboard(text)
    found = [
        *_find_brackets(plain), *_find_functions(plain, functions, known), *_find_commands(plain), *_find_signs(plain),
        *_find_characters(plain),
    ]  # fmt: skip
    return sorted(found, key=lambda fault: (fault.start, fault.end))[:_MOST_FAULTS]


def correct(text: str, faults: Collection[Fault]) -> str | None:
    """Return a text without its faults; None where one of them is not mended.

    >>> correct("sofmax(A @ x", list_text_faults("sofmax(A @ x", ["softmax"], ()))
    'softmax(A @ x)'
    """
    for fault in sorted(faults, key=lambda fault: (fault.start, fault.end), reverse=True):
        if fault.instead is None:
            return None
        text = text[: fault.start] + fault.instead + text[fault.end :]
    return text


def _find_brackets(text: str) -> Iterator[Fault]:
    stack: list[tuple[str, int]] = []
    for place, character in enumerate(text):
        if text[place - 1 : place] == "\\":
            continue
        if character in _CLOSING:
            stack.append((character, place))
        elif character in _CLOSING.values():
            if not stack:
                yield Fault(f"{character!r} has no opening bracket", place, place + 1, "")
            elif _CLOSING[stack[-1][0]] != character:
                opening, _ = stack.pop()
                yield Fault(f"{character!r} closes {opening!r}", place, place + 1, _CLOSING[opening])
            else:
                stack.pop()
    for number, (character, place) in enumerate(reversed(stack)):
        # What is missing stands behind the text, the innermost first.
        yield Fault(f"{character!r} is never closed", place, place, "") if number > 20 else Fault(
            f"{character!r} is never closed", len(text) + number, len(text) + number, _CLOSING[character]
        )


def _find_functions(text: str, functions: Collection[str], known: Collection[str]) -> Iterator[Fault]:
    words = {*functions, *FUNCTION_WORDS, *KNOWN_CALLS}
    for found in re.finditer(r"(?<![\w.\\])([A-Za-z]\w{2,})\s*\(", text):
        name = found[1]
        is_name = name in known or name in MODULES or name in GREEK_LETTERS or name.lower() in words
        is_name = is_name or is_explained(name)
        if is_name or not name.isalpha() or re.match(r"\s*(lambda|def|return|where)\b", name):
            continue
        close = get_close_matches(name.lower(), list(words), 1, 0.75)
        reason = f"{name} is no function that is known here" + (f"; {close[0]} is" if close else "")
        yield Fault(reason, found.start(1), found.end(1), close[0] if close else None)


def _find_commands(text: str) -> Iterator[Fault]:
    for found in re.finditer(r"\\([A-Za-z]{2,})", text):
        if found[1] not in LATEX_NAMES:
            close = get_close_matches(found[1], list(LATEX_NAMES), 1, 0.75) if len(found[1]) > 3 else []
            reason = f"\\{found[1]} is a command that is not known here" + (f"; \\{close[0]} is" if close else "")
            yield Fault(reason, found.start(), found.end(), f"\\{close[0]}" if close else None)


_SIGNS = (
    (re.compile(r"[+\-*/@,=]+\s*$"), "what follows this sign is missing", ""),
    (re.compile(r"^\s*[*/@,=)]+"), "what stands before this sign is missing", ""),
    (re.compile(r"@\s*@+"), "one @ too many", "@"),
    (re.compile(r"\*{3,}"), "one * too many", "**"),
    (re.compile(r"\+\s*\++"), "one + too many", "+"),
    (re.compile(r"/\s*/+"), "one / too many", "/"),
    (re.compile(r"(?<=[@*+\-/])\s*(?=\))"), "a factor is missing here", None),
)


def _find_signs(text: str) -> Iterator[Fault]:
    for pattern, reason, instead in _SIGNS:
        for found in pattern.finditer(text):
            yield Fault(reason, found.start(), found.end(), instead)


def _find_characters(text: str) -> Iterator[Fault]:
    comment = re.search(r"\s*#.*$", text)
    if comment and comment.start():
        yield Fault("'#' and what follows is no part of a formula", comment.start(), comment.end(), "")
        text = text[: comment.start()]
    for found in re.finditer(r"(?:[#`\"\x00-\x08?]|;(?=\s*$)|!(?!=))+", text):
        yield Fault(f"{found[0]!r} has no meaning here", found.start(), found.end(), "")
