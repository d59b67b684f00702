"""Names -> LaTeX: Greek words, subscripts, accents."""

from __future__ import annotations

import re
import unicodedata

from matcalc.language.names import GREEK

# Capitals that look like Latin ones have no command of their own.
_CAPITALS = frozenset("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split())
_ACCENTS = {"hat": "\\hat", "bar": "\\bar", "tilde": "\\tilde", "dot": "\\dot"}
_NAME = re.compile(r"([^\W\d_]+)(?:_?(\d+))?((?:_[^\W_]+)*)")


def write_name(name: str) -> str:
    r"""Return a name as LaTeX.

    >>> [write_name(name) for name in ("x", "alpha", "λ", "x1", "X_12", "x_hat", "loss", "w_max")]
    ['x', '\\alpha', '\\lambda', 'x_{1}', 'X_{12}', '\\hat{x}', '\\mathrm{loss}', 'w_{\\mathrm{max}}']
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return write_word(name)
    stem, digits, rest = match.groups()
    words = rest.split("_")[1:]
    text = _write_letter(stem)
    if words and words[0] in _ACCENTS:
        text = f"{_ACCENTS[words.pop(0)]}{{{text}}}"
    below = ",".join(([digits] if digits else []) + [_write_letter(word) for word in words])
    return f"{text}_{{{below}}}" if below else text


def _write_letter(stem: str) -> str:
    """A letter stands as it is, a Greek word becomes its letter, another word stands upright."""
    word = _spell_greek(stem)
    if word == "omicron":
        return "o"
    if word in GREEK or word in _CAPITALS:
        return "\\" + word
    return stem if len(stem) == 1 or stem.isdigit() else write_word(stem)


def _spell_greek(stem: str) -> str:
    """Return "lambda" for λ and "Sigma" for Σ, other texts as they are."""
    spelled = unicodedata.name(stem, "").split() if len(stem) == 1 else []
    if spelled[:1] != ["GREEK"] or spelled[2:3] != ["LETTER"]:
        return stem
    word = spelled[-1].lower().replace("lamda", "lambda")
    return word.capitalize() if spelled[1] == "CAPITAL" else word


def write_word(word: str) -> str:
    """Return a word in upright letters."""
    return "\\mathrm{" + word.replace("_", "\\_") + "}"
