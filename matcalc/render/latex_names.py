"""Names -> LaTeX: Greek words, subscripts, accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from matcalc.language.names import GREEK

# Capitals that look like Latin ones have no command of their own.
_CAPITALS = frozenset("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split())
_ACCENTS = {"hat": "\\hat", "bar": "\\bar", "tilde": "\\tilde", "dot": "\\dot"}
_NAME = re.compile(r"([^\W\d_]+)(?:_?(\d+))?((?:_[^\W_]+)*)")


def write_name(name: str, bold: bool = False) -> str:
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
    if bold:
        text = f"\\{'boldsymbol' if text.startswith(chr(92)) else 'mathbf'}{{{text}}}"
    if words and words[0] in _ACCENTS:
        text = f"{_ACCENTS[words.pop(0)]}{{{text}}}"
    below = ",".join(([digits] if digits else []) + [_write_letter(word) for word in words])
    return f"{text}_{{{below}}}" if below else text


_is_bold: ContextVar[bool] = ContextVar("is_bold", default=False)


@contextmanager
def bold_arrays(bold: bool) -> Iterator[None]:
    """Write the names of vectors and matrices in bold meanwhile."""
    token = _is_bold.set(bold)
    try:
        yield
    finally:
        _is_bold.reset(token)


def write_variable(name: str, is_array: bool) -> str:
    r"""Return the name of a variable, that of an array in bold where that was asked for.

    >>> with bold_arrays(True):
    ...     [write_variable(name, name != "c") for name in ("x", "x_hat", "Sigma", "c")]
    ['\\mathbf{x}', '\\hat{\\mathbf{x}}', '\\boldsymbol{\\Sigma}', 'c']
    """
    return write_name(name, bold=is_array and _is_bold.get())


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
