"""What a name stands for by convention: capital initial = matrix, lower-case = vector, Greek = scalar."""

from __future__ import annotations

import difflib
import itertools
import keyword
import re
import unicodedata
from collections.abc import Iterable

from matcalc.errors import DeclarationError, ParseError

_GREEK_TEXT = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon
    phi chi psi omega varepsilon vartheta varpi varrho varsigma varphi
"""
GREEK = frozenset(_GREEK_TEXT.split())
CONSTANTS = frozenset({"pi", "e"})
# basis(n, 0) takes a size as well, and behind it a place.
BASIS = "basis"
# The rows of the identity with which x[1:], pad(x, 1, 0) and concat(x, y) are products.
SELECTION, PAD, CONCAT = "selection", "pad", "concat"
FILLED = {"eye": (1, 1), "ones": (0, 8), "zeros": (0, 8), "fuse": (2, 2), "commutation": (2, 2),
          "duplication": (1, 1)}  # fmt: skip
# Functions that are read in a way of their own, and how each is written.
SPECIAL = {
    "eye": "eye(n)", "ones": "ones(m, n)", "zeros": "zeros(m, n)", "fuse": "fuse(m, p)",
    "commutation": "commutation(m, n)", "duplication": "duplication(n)",
    "einsum": "einsum('ij,jk->ik', A, B)", "where": "where(x > 0, x, y)", "matrix_power": "matrix_power(X, 3)",
    PAD: "pad(x, 1, 0)", CONCAT: "concat(x, y)",
}  # fmt: skip

_STEM = re.compile(r"_*([^\W\d_]*)")


def count_axes(name: str) -> int:
    """Return how many axes a name has by convention: 2 for `X1`, 1 for `x_hat`, 0 for `alpha_2` and `λ`.

    >>> [count_axes(name) for name in ("X1", "x_hat", "alpha_2", "λ", "Σ")]
    [2, 1, 0, 0, 2]
    """
    match = _STEM.match(name)
    stem = match.group(1) if match else name
    if stem[:1].isupper():
        return 2
    if stem in GREEK or (len(stem) == 1 and "\u0370" <= stem <= "\u03ff"):
        return 0
    return 1


def is_single_letter(name: str) -> bool:
    """Whether a name is one letter, with or without digits and underscores: u, U, u_1."""
    return re.fullmatch(r"[^\W\d_][\d_]*", name) is not None


def spell_greek(name: str) -> str:
    """Return a name with its Greek letter as a word, or its Greek word as a letter; another name as it is.

    >>> spell_greek("β_1"), spell_greek("Sigma")
    ('beta_1', 'Σ')
    """
    stem, line, rest = name.partition("_")
    if len(stem) == 1 and "\u0370" <= stem <= "\u03ff":
        size, _, word = unicodedata.name(stem, "").removeprefix("GREEK ").partition(" LETTER ")
        word = {"LAMDA": "LAMBDA", "FINAL SIGMA": "SIGMA"}.get(word, word)
        return (word.capitalize() if size == "CAPITAL" else word.lower()) + line + rest
    kind, word = ("CAPITAL" if stem[:1].isupper() else "SMALL"), {"lambda": "LAMDA"}.get(stem.lower(), stem.upper())
    if stem.lower() in GREEK and not stem.lower().startswith("var"):
        return unicodedata.lookup(f"GREEK {kind} LETTER {word}") + line + rest
    return name


def find_closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one most likely means, or None."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def read_name(symbol: object) -> str:
    """Return the name of a text or of a SymPy symbol; raises DeclarationError for one that cannot be spelled."""
    name = str(getattr(symbol, "name", symbol))
    if not is_plain_name(name):
        raise DeclarationError(f"the SymPy symbol {name!r} is no name", advice="use letters, digits and _, as in x_1")
    return normalize_name(name)


def name_wrt(wrt: object) -> str | None:
    """Return the name of the variable to differentiate by, given as a text, as a SymPy symbol or not at all.

    Raises DeclarationError for several names and for what is no name.
    """
    if wrt is None:
        return None
    if not isinstance(wrt, str):
        return read_name(wrt) if hasattr(wrt, "name") else _refuse_wrt(wrt)
    return normalize_name(wrt.strip()) if is_plain_name(wrt.strip()) else _refuse_wrt(wrt)


def _refuse_wrt(wrt: object) -> str:
    if isinstance(wrt, str) and not wrt.strip():
        raise DeclarationError("the name of the variable is empty", advice="leave --wrt out, or give a name")
    if isinstance(wrt, list | tuple) or (isinstance(wrt, str) and re.fullmatch(r"\s*\w+(\s*[,;\s]\s*\w+)+\s*", wrt)):
        raise DeclarationError(
            f"{str(wrt)[:40]} are several variables", advice="derive by one variable at a time, such as --wrt x"
        )
    raise DeclarationError(
        f"the variable to derive by is a name, not {str(wrt)[:40]}", advice="give one of the names, such as --wrt x"
    )


# --- foreign characters -----------------------------------------------------------------------------
#
# Characters that people paste and the language does not have: what to write in their place.


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
    is_word = name.isidentifier() and not is_taken_by_python(name)
    return is_word and not any(_advise(name, place) for place in range(len(name)))


def is_taken_by_python(name: str) -> bool:
    """Whether a name is a word of Python that no expression can hold as a name; lambda is the Greek letter."""
    return keyword.iskeyword(name) and name != "lambda"


# Letters of other scripts that look like a Latin one: beside that they would be two variables that nobody tells apart.
_CYRILLIC = dict(zip("АВЕЅІЈКМНОРСТУХаеорсухѕіј", "ABESIJKMHOPCTYXaeopcyxsij", strict=True))
_LOOKALIKES = _CYRILLIC | dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEZHIKMNOPTYXo", strict=True))


def describe_lookalikes(name: str) -> str | None:
    """Return a note on the first letter of a name that is not the Latin one that it looks like, or None.

    >>> describe_lookalikes("\u0410")
    '\u0410 is written with the Cyrillic letter U+0410, which is not the Latin A'
    """
    for letter in name:
        if letter in _LOOKALIKES:
            script = "Cyrillic" if letter in _CYRILLIC else "Greek"
            latin = _LOOKALIKES[letter]
            return f"{name} is written with the {script} letter U+{ord(letter):04X}, which is not the Latin {latin}"
    return None


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
