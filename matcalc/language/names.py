"""What a name stands for by convention: capital initial = matrix, lower-case = vector, Greek = scalar."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable

from matcalc.errors import DeclarationError
from matcalc.language.foreign_characters import is_plain_name, normalize_name

_GREEK_TEXT = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon
    phi chi psi omega varepsilon vartheta varpi varrho varsigma varphi
"""
GREEK = frozenset(_GREEK_TEXT.split())
CONSTANTS = frozenset({"pi", "e"})
FILLED = {"eye": (1, 1), "ones": (0, 8), "zeros": (0, 8), "fuse": (2, 2), "commutation": (2, 2)}
SPECIAL = frozenset({*FILLED, "einsum", "where", "matrix_power"})

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


def find_closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one most likely means, or None."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def read_name(symbol: object) -> str:
    """Return the name of a text or of a SymPy symbol; raises DeclarationError for one that cannot be spelled."""
    name = str(getattr(symbol, "name", symbol))
    if not is_plain_name(name) or (keyword.iskeyword(name) and name != "lambda"):
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
