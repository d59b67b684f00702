"""Characters that people paste and the language does not have: what to write in their place."""

from __future__ import annotations

import itertools
import re
import unicodedata

from matcalc.errors import ParseError

_PRODUCT = "write @ for a product, * entry by entry, or dot(x, y)"
_INSTEAD = {
    **dict.fromkeys("\u00b7\u0387\u22c5\u2022\u2219\u2027", _PRODUCT),
    "×": "write @ for a product or * entry by entry", "∗": "write * entry by entry", "⊗": "write kron(A, B)",
    **dict.fromkeys("⊙∘◦", "write * entry by entry"), **dict.fromkeys("÷∕⁄⊘", "write /"),
    **dict.fromkeys("−–—‐‑", "write -, the minus of the keyboard"),
    "∑": "write sum(x)", "∏": "write prod(x)", "√": "write sqrt(x)",
    **dict.fromkeys("‖∥", "write norm(x)"), "∣": "write abs(x), or det(X) of a matrix",
    **dict.fromkeys("⟨⟩", "write dot(x, y)"), "≤": "write <=", "≥": "write >=",
    **dict.fromkeys("⊤′‵†", "write .T for the transpose, as in A.T"),
    **dict.fromkeys("∇∂", "write only the function; matcalc derives it"), "∞": "write a number",
    **dict.fromkeys("‘’“”", "write 'nuc' with the straight quotes of the keyboard, and A.T for a transpose"),
    "#": "leave comments out", "\\": "write the expression in one line",
}  # fmt: skip


def refuse_foreign(text: str) -> None:
    """Raise ParseError at the first character that is not in the language, saying what to write instead."""
    for place, character in enumerate(text):
        advice = _advise(text, place)
        if advice:
            raise ParseError(f"{character!r} is not in the language", span=(place, place + 1), advice=advice)


def is_plain_name(name: str) -> bool:
    """Whether a text can be a name: letters, digits and _ that mean what they look like."""
    return name.isidentifier() and not any(_advise(name, place) for place in range(len(name)))


def normalize_name(name: str) -> str:
    """Return a name as the tree of a text has it: the micro sign becomes the letter mu."""
    return unicodedata.normalize("NFKC", name)


def _advise(text: str, place: int) -> str | None:
    character = text[place]
    if character == "^":
        return _advise_power(text, place)
    if character == "|":
        return _advise_bar(text, place)
    if character.isascii():
        return _INSTEAD.get(character)
    return _INSTEAD.get(character) or _advise_variant(text, place)


def _base(text: str, place: int) -> str:
    """Return the name or bracket that ends at a place, to be shown in an advice."""
    found = re.search(r"(\w+(\.T)*|\([^()]*\))\s*$", text[max(0, place - 60) : place])
    return found[1] if found else "X"


def _advise_power(text: str, place: int) -> str:
    after, base = text[place + 1 :], _base(text, place)
    if re.match(r"\s*[({]?\s*(T|t|top|⊤|ᵀ|H|')(?!\w)", after):
        return f"write {base}.T"
    if re.match(r"\s*[({]?\s*-\s*1(?![\w.])", after):
        return f"write inv({_unwrap(base)}) of a matrix, 1/{base} entry by entry"
    return "use ** for powers"


def _advise_bar(text: str, place: int) -> str:
    """|x|, ||x|| and log|X|, with the same bars again behind."""
    bars = "||" if text.startswith("||", place) else "|"
    inside, _, rest = text[place + len(bars) :].partition(bars)
    inside = inside.strip() if rest or text.endswith(bars) else ""
    if bars == "||":
        return f"write norm({inside or 'x'})"
    if re.search(r"log\s*$", text[:place]):
        return f"write logdet({inside or 'X'})"
    if inside[:1].isupper():
        return f"write det({inside}), or abs({inside}) entry by entry"
    return f"write abs({inside or 'x'})"


def _advise_variant(text: str, place: int) -> str | None:
    """Advice for a letter or digit that only looks like another: superscripts, subscripts, bold letters."""
    character = text[place]
    plain = unicodedata.normalize("NFKC", character)
    kind = unicodedata.decomposition(character).partition(" ")[0]
    if plain == character or not kind.startswith("<") or (len(plain) == 1 and "\u0370" <= plain <= "\u03ff"):
        return None
    if kind == "<super>":
        return _advise_superscript(text, place)
    if kind == "<sub>":
        return f"write {_base(text, place).rstrip('_')}_{_read_run(text, place, '<sub>')}"
    if kind == "<fraction>":
        return "write " + plain.replace("\u2044", "/")
    return f"write {plain}"


def _advise_superscript(text: str, place: int) -> str:
    plain, base = _read_run(text, place, "<super>"), _base(text, place)
    if plain in ("T", "t", "H", "⊤"):
        return f"write {base}.T"
    if plain == "-1":
        return f"write inv({_unwrap(base)}) of a matrix, 1/{base} entry by entry"
    return f"write {base}**{plain}"


def _read_run(text: str, place: int, kind: str) -> str:
    """Return superscripts or subscripts that follow each other in plain characters: -1 of ⁻¹."""
    run = itertools.takewhile(lambda character: kind in unicodedata.decomposition(character), text[place:])
    return unicodedata.normalize("NFKC", "".join(run)).replace("\u2212", "-")


def _unwrap(base: str) -> str:
    return base[1:-1] if base.startswith("(") else base
