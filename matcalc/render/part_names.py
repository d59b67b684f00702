"""Names for the parts of an expression, as a person would choose them: p for softmax, h1, h2 for layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, count

from matcalc.language import names
from matcalc.language.expression import Expression
from matcalc.rule_files import shipped_rules

_SCALARS, _VECTORS, _MATRICES, _ARRAYS = range(4)
# For parts that are nothing in particular: scalars are Greek, vectors small, matrices capital.
_ANY = (
    ("alpha", "beta", "gamma", "delta", "eta", "kappa", "rho", "tau"),
    ("u", "v", "w", "z", "q", "t"), ("U", "V", "W", "Z", "Q", "M"), ("G", "H", "K", "L"),
)  # fmt: skip
# The letters of parts that have a usual one.
_USUAL = {
    "softmax": ("omega", "p", "P", "P"), "sigmoid": ("sigma", "s", "S", "S"), "layer": ("eta", "h", "H", "H"),
    "residual": ("rho", "r", "R", "R"), "affine": ("zeta", "z", "Z", "Z"), "delta": ("delta", "g", "G", "G"),
}  # fmt: skip
_ACTIVATIONS = frozenset({"tanh", "relu", "leaky_relu", "elu", "silu", "gelu", "softplus"})


def choose_names(parts: Sequence[Expression], taken: Collection[str]) -> list[str]:
    """Return a name for each part, none of them taken, the name of a function or a number.

    >>> from matcalc.language.text_to_expression import parse
    >>> choose_names(parse(["softmax(A @ x)", "A @ x", "tanh(B @ x)"]).expressions, {"u"})
    ['p', 'v', 'h']
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, part in enumerate(parts):
        groups.setdefault(_find_letters(part), []).append(place)
    used, chosen = set(taken), [""] * len(parts)
    # Letters of their own come before those that are nothing in particular.
    for letters, places in sorted(groups.items(), key=lambda group: len(group[0])):
        for place, name in zip(places, _list_names(letters, len(places), used), strict=False):
            chosen[place] = name
            used.add(name)
    return chosen


def _find_letters(part: Expression) -> tuple[str, ...]:
    kind = min(len(part.dropped_shape), _ARRAYS)
    usual = _find_usual(part)
    return _ANY[kind] if usual is None else (_USUAL[usual][kind],)


def _find_usual(part: Expression) -> str | None:
    """Return which of the parts with a usual letter this is: a layer, a residual, ..."""
    function = part.data[0].function if part.op == "call" else ""
    if function in ("softmax", "log_softmax"):
        return "softmax"
    if function == "sigmoid":
        return function
    if function in _ACTIVATIONS:
        return "layer"
    has_product = any(arg.op == "matmul" for arg in part.args)
    if part.op == "subtract" and has_product:
        return "residual"
    if part.op == "add" and has_product:
        return "affine"
    return "delta" if part.op == "multiply" and has_product and not part.is_scalar else None


def _list_names(letters: tuple[str, ...], many: int, used: Collection[str]) -> Iterator[str]:
    """Yield so many names: the letters as they are where there are enough of them, else one with numbers."""
    free = [letter for letter in letters if _is_free(letter, used)]
    if len(free) >= many:
        return iter(free[:many])
    numbered = next(
        stem
        for stem in chain(letters, (f"{letters[0]}_{number}_" for number in count(1)))
        if not any(f"{stem}{number}" in used for number in range(1, many + 1))
    )
    return (f"{numbered}{number}" for number in range(1, many + 1))


def _is_free(name: str, used: Collection[str]) -> bool:
    return not (name in used or name in names.CONSTANTS or name in names.SPECIAL or shipped_rules().overloads(name))
