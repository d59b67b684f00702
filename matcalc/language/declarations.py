"""What a reader declares about names: shapes such as "A: m,n; c: scalar", and assumptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from matcalc.errors import DeclarationError, LimitError
from matcalc.language.sizes import Shape, Size

ASSUMPTIONS = (
    "real", "positive", "nonzero", "unit-interval", "sign", "simplex",
    "symmetric", "skew", "diagonal", "orthogonal", "posdef", "invertible",
)  # fmt: skip
SQUARE_ASSUMPTIONS = frozenset({"symmetric", "skew", "diagonal", "orthogonal", "posdef", "invertible"})
LARGEST_SIZE = 10**6

_HOW = 'write names and sizes as in "A: m,n; x: n; c: scalar"'


def read_declarations(text: str) -> dict[str, tuple[str, ...]]:
    """Return the shapes of "A: m,n; x: n; c: scalar" by name; raises DeclarationError for what is no declaration.

    >>> read_declarations("A: m,n; x: n; c: scalar")
    {'A': ('m', 'n'), 'x': ('n',), 'c': ()}
    """
    declared: dict[str, tuple[str, ...]] = {}
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        name, colon, sizes = (piece.strip() for piece in part.partition(":"))
        if not colon or not name.isidentifier():
            raise DeclarationError(f"cannot read the declaration {part.strip()!r}", advice=_HOW)
        if name in declared:
            raise DeclarationError(f"{name} is declared twice", advice="declare each name once")
        declared[name] = _split_sizes(sizes)
        read_shape(name, declared[name])
    return declared


def _split_sizes(text: str) -> tuple[str, ...]:
    text = text.strip().removeprefix("(").removesuffix(")")
    if text.strip() in ("scalar", "", "1"):
        return ()
    return tuple(part.strip() for part in text.replace(" x ", ",").replace("×", ",").split(",") if part.strip())


def read_shape(name: str, declared: Any) -> Shape:
    """Return the declared shape of a name as sizes; raises DeclarationError for what cannot be a shape.

    >>> read_shape("A", ("m", 3)), read_shape("x", "n")
    ((m, 3), (n,))
    """
    if isinstance(declared, str):
        declared = _split_sizes(declared)
    if isinstance(declared, int | Size):
        declared = (declared,)
    if not isinstance(declared, Iterable):
        raise DeclarationError(f"the shape of {name} cannot be {declared!r}", advice=_HOW)
    shape = tuple(_read_size(name, size) for size in declared)
    if len(shape) > 8:
        raise LimitError(f"{name} is declared with {len(shape)} axes; 8 is the most", advice=_HOW)
    return shape


def _read_size(name: str, declared: Any) -> Size:
    if isinstance(declared, bool) or (isinstance(declared, int) and declared < 1):
        raise DeclarationError(f"the shape of {name} has the size {declared!r}", advice="sizes are 1 or more")
    if isinstance(declared, Size):
        return declared
    parts = [part.strip() for part in str(declared).split("*")]
    for part in parts:
        if not (part.isidentifier() or re.fullmatch(r"0*[1-9][0-9]{0,12}", part)):
            raise DeclarationError(f"the shape of {name} has the size {str(declared)[:40]!r}", advice=_HOW)
    size = Size.of("*".join(parts))
    if size.number > LARGEST_SIZE:
        raise LimitError(f"the shape of {name} has the size {declared}; {LARGEST_SIZE} is the largest")
    return size


def read_shapes(declared: Mapping[str, Any] | str | None) -> dict[str, Shape]:
    """Return every declared shape by name; a text is read as "A: m,n; x: n"."""
    if isinstance(declared, str):
        declared = read_declarations(declared)
    shapes = {name: read_shape(name, shape) for name, shape in (declared or {}).items()}
    for name in shapes:
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(f"{name!r} cannot be a name", advice=_HOW)
    return shapes


def read_assumptions(declared: Mapping[str, Any] | None) -> dict[str, frozenset[str]]:
    """Return the assumptions by name; raises DeclarationError for one that is not known.

    >>> sorted(read_assumptions({"A": "symmetric, positive"})["A"])
    ['positive', 'symmetric']
    """
    found: dict[str, frozenset[str]] = {}
    for name, given in (declared or {}).items():
        words = re.split(r"[,\s]+", given.strip()) if isinstance(given, str) else list(given)
        unknown = [word for word in words if word not in ASSUMPTIONS]
        if unknown:
            raise DeclarationError(
                f"{unknown[0]!r} is not an assumption that can be made about {name}",
                advice="one of " + ", ".join(ASSUMPTIONS),
            )
        found[name] = frozenset(words) - {"real"}
    return found
