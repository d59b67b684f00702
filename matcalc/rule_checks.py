"""What one table of a rules file may hold; all else is refused with its place, before anything is done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matcalc.errors import RuleError
from matcalc.rule_forms import Form, read_form
from matcalc.rule_latex import find_foreign_latex
from matcalc.rule_signature import Parameter, Result, read_signature
from matcalc.rule_words import BACKENDS, advise_word, is_word, takes_text

FLAGS = ("axis", "primitive", "opaque", "linear")
TEXTS = ("call", "differential", "define", "domain", "kinks", *BACKENDS, "sympy", "latex", "source", "note", "primary")
FIELDS = ("elementwise", *TEXTS, *FLAGS)
PRIMITIVES = ("sum", "size", "matrix_power", "tril", "triu")
LONGEST_LATEX = 500
_DERIVED_BY = ("elementwise", "differential", "define", "primitive", "opaque")
# The definition beside a derivative is the value.
_WITH_VALUE = (["elementwise", "define"], ["differential", "define"])


@dataclass(frozen=True)
class Entry:
    """One table of a rules file: its name, the file, its fields as they are written."""

    name: str
    file: str
    fields: Mapping[str, Any]

    def read_signature(self) -> tuple[str, tuple[Parameter, ...], Result]:
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
    stated = [field for field in _DERIVED_BY if entry.fields.get(field)]
    if len(stated) != 1 and stated not in _WITH_VALUE:
        listed = ", ".join(stated) or "none"
        reason = "it must state one of elementwise, differential, define, or one of the first two with define"
        raise entry.refuse(f"{reason}; it states {listed}")


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
    latex = entry.fields.get("latex", "")
    if len(latex) > LONGEST_LATEX:
        raise entry.refuse(f"latex has more than {LONGEST_LATEX} characters", "latex")
    if found := find_foreign_latex(latex):
        raise entry.refuse(found[0], "latex", found[1], found[2])
