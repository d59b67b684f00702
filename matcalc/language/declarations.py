"""What a reader declares about names: shapes such as "A: m,n; c: scalar", and assumptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from matcalc.errors import DeclarationError, LimitError
from matcalc.language.expression import Expression
from matcalc.language.names import find_closest, is_plain_name, normalize_name
from matcalc.language.sizes import Shape, Size
from matcalc.rule_files import COMPOUND_SIZE

ASSUMPTIONS = (
    "real", "positive", "nonzero", "unit-interval", "sign", "simplex", "simplex-columns", "one-hot",
    "symmetric", "skew", "diagonal", "lower-triangular", "upper-triangular", "orthogonal", "posdef", "invertible",
)  # fmt: skip
SQUARE_ASSUMPTIONS = frozenset(ASSUMPTIONS[ASSUMPTIONS.index("symmetric") :])
LARGEST_SIZE = 10**6

Declared = Mapping[str, Any] | str | None

_HOW = 'write names and sizes as in "A: m,n; x: n; c: scalar"'


def read_declarations(text: str) -> dict[str, tuple[str, ...]]:
    """Return the shapes of "A: m,n; x: n; c: scalar" by name; raises DeclarationError for what is no declaration.

    >>> read_declarations("A: m,n; x: n; c: scalar")
    {'A': ('m', 'n'), 'x': ('n',), 'c': ()}
    """
    if not text.isascii():
        from matcalc.language.notation_tokens import normalize_keyboard

        text = normalize_keyboard(text)
    declared: dict[str, tuple[str, ...]] = {}
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        name, colon, sizes = (piece.strip() for piece in part.partition(":"))
        name = normalize_name(name) if is_plain_name(name) else ""
        if not colon or not name:
            raise DeclarationError(f"cannot read the declaration {part.strip()!r}", advice=_HOW)
        if name in declared:
            raise DeclarationError(f"{name} is declared twice", advice="declare each name once")
        declared[name] = _split_sizes(sizes)
        read_shape(name, declared[name])
    return declared


def _split_sizes(text: str) -> tuple[str, ...]:
    text = text.strip().removeprefix("(").removesuffix(")").strip()
    if space := _REAL_SPACE.fullmatch(text):
        text = space[1].replace("\\times", ",")
    if text.lower() in ("scalar", "标量", "", "1"):
        return ()
    return tuple(part.strip() for part in text.replace(" x ", ",").replace("×", ",").split(",") if part.strip())


_REAL_SPACE = re.compile(r"(?:R|ℝ|\\mathbb\s*\{R\})\s*\^\s*\{?([^{}]+)\}?")
_KINDS = frozenset("vector matrix row column array tensor number real 向量 矩阵 vektor matriz".split())


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
    return declared if isinstance(declared, Size) else _read_size_text(name, str(declared))


# The same few letters are declared again and again, of the function and of each claim.
@lru_cache(maxsize=512)
def _read_size_text(name: str, declared: str) -> Size:
    if declared.lower() in _KINDS or re.fullmatch(r"[a-z](x[a-z])+", declared):
        raise DeclarationError(f"{declared} is no size of {name}", advice=_HOW)
    compound = COMPOUND_SIZE.fullmatch(declared.replace(" ", ""))
    if compound and compound[3]:
        return _read_size(name, compound[3]).triangle()
    text = re.sub(r"[^\W\d]\w*", lambda found: normalize_name(found[0]), declared.strip())
    parts = [part.strip() for part in re.split(r"[-+*()]", text)]
    if not re.search(r"[-+()]", text) and "" in parts:
        raise DeclarationError(f"the shape of {name} has the size {declared[:40]!r}", advice=_HOW)
    for part in filter(None, parts):
        if not (is_plain_name(part) or re.fullmatch(r"0*[1-9][0-9]{0,12}", part)):
            raise DeclarationError(f"the shape of {name} has the size {declared[:40]!r}", advice=_HOW)
    size = Size.of(text)
    if size.number < 1:
        raise DeclarationError(f"the shape of {name} has the size {declared!r}", advice="sizes are 1 or more")
    if size.number > LARGEST_SIZE:
        raise LimitError(f"the shape of {name} has the size {declared}; {LARGEST_SIZE} is the largest")
    return size


def read_shapes(declared: Declared) -> dict[str, Shape]:
    """Return every declared shape by name; a text is read as "A: m,n; x: n"."""
    declared = split_shapes(declared)
    for name in declared:
        if not isinstance(name, str) or not is_plain_name(name):
            raise DeclarationError(f"{name!r} cannot be a name", advice=_HOW)
        if normalize_name(name) == "pi":
            # A derivative may bring the number in, as that of erf does, beside the variable.
            raise DeclarationError("pi is a number and cannot be a variable", advice="give the variable another name")
    return {normalize_name(name): read_shape(name, shape) for name, shape in declared.items()}


def split_shapes(declared: Declared) -> Mapping[str, Any]:
    """Return the declarations by name, of a text as well; what is no text is returned as it is."""
    return read_declarations(declared) if isinstance(declared, str) else _as_mapping(declared, "shapes", _HOW)


def _as_mapping(declared: Any, what: str, advice: str) -> Mapping[str, Any]:
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        raise DeclarationError(f"{what} are given by name, not as {declared!r}"[:200], advice=advice)
    return declared


def read_assumptions(declared: Declared) -> dict[str, frozenset[str]]:
    """Return the assumptions by name; raises DeclarationError for one that is not known.

    >>> sorted(read_assumptions({"A": "symmetric, positive"})["A"])
    ['positive', 'symmetric']
    >>> read_assumptions("A: symmetric; x: positive")["x"]
    frozenset({'positive'})
    """
    found: dict[str, frozenset[str]] = {}
    for name, given in split_assumptions(declared).items():
        if not isinstance(given, Iterable):
            raise _explain_assumption(name, str(given))
        words = re.split(r"[,\s]+", given.strip()) if isinstance(given, str) else list(given)
        unknown = [word for word in words if word not in ASSUMPTIONS]
        if unknown:
            raise _explain_assumption(name, str(unknown[0]))
        found[normalize_name(name)] = frozenset(words) - {"real"}
    return found


def name_structure(variable: Expression) -> str | None:
    """Return the linear space of matrices in which a variable is assumed to lie, None where each entry is free.

    >>> from matcalc.language.text_to_expression import parse
    >>> name_structure(parse("det(X)", assume={"X": "posdef"}).symbols["X"])
    'symmetric'
    """
    words: frozenset[str] = variable.data[1]
    if len(variable.squeezed_shape) < 2 or "orthogonal" in words:
        return None
    triangles = words & _TRIANGLES
    is_symmetric = bool(words & {"symmetric", "posdef"})
    if "diagonal" in words or len(triangles) > 1 or (triangles and is_symmetric):
        return "diagonal"
    found = ("symmetric" if is_symmetric else None, *triangles, *(words & {"skew"}))
    return next(filter(None, found), None)


MEANINGS = ("free", "tied", "space", "vech")


def list_meanings(variable: Expression) -> tuple[str, ...]:
    """Return what a derivative by a variable may mean: one thing where its entries are free; a skew X has no vech."""
    kind = name_structure(variable)
    return MEANINGS[:1] if kind is None else MEANINGS[:3] if kind == "skew" else MEANINGS


def measure_change(variable: Expression, meaning: str) -> Shape:
    """Return the shape of what a derivative is by: the variable's own, in the meaning vech its independent entries'."""
    kind = name_structure(variable) if meaning == "vech" else None
    if kind is None:
        return variable.squeezed_shape
    size = variable.shape[0]
    return (size if kind == "diagonal" else size.triangle(),)


def name_change(variable: Expression, meaning: str) -> str:
    """Return what a derivative is by, in words: X, or vech(X) in that meaning, diag(X) for a diagonal X."""
    kind = name_structure(variable) if meaning == "vech" else None
    words = {None: "{}", "diagonal": "diag({})", "upper-triangular": "vech({}.T)"}
    return words.get(kind, "vech({})").format(variable.name)


_TRIANGLES = frozenset({"lower-triangular", "upper-triangular"})


def list_structures(variable: Expression) -> frozenset[str]:
    """Return what is assumed of a variable, diagonal for a triangular matrix that is symmetric, or both triangles."""
    words: frozenset[str] = variable.data[1]
    return (words - _TRIANGLES) | {"diagonal"} if name_structure(variable) == "diagonal" else words


def split_assumptions(declared: Declared) -> Mapping[str, Any]:
    """Return {"A": "symmetric", "x": "positive"} of "A: symmetric; x: positive"; raises DeclarationError.

    What is no text is returned as it is.
    """
    if not isinstance(declared, str):
        return _as_mapping(declared, "assumptions", f"write names and words as in {_ASSUMED}")
    read: dict[str, str] = {}
    for part in filter(None, map(str.strip, re.split(r"[;\n]", declared))):
        name, colon, words = map(str.strip, part.partition(":"))
        if not (is_plain_name(name) and colon and words):
            reason = f"cannot read the assumption {part[:80]!r}"
            raise DeclarationError(reason, advice=f"write names and words as in {_ASSUMED}")
        read[name] = f"{read[name]}, {words}" if name in read else words
    return read


_ASSUMED = '"A: symmetric; x: positive"'
_OTHER_WORDS = {
    "psd": "posdef", "pd": "posdef", "spd": "posdef", "definite": "posdef", "semidefinite": "posdef",
    "sym": "symmetric", "hermitian": "symmetric", "antisymmetric": "skew", "diag": "diagonal",
    "lower": "lower-triangular", "upper": "upper-triangular", "triangular": "lower-triangular",
    "tril": "lower-triangular", "triu": "upper-triangular",
    "orthonormal": "orthogonal", "unitary": "orthogonal", "rotation": "orthogonal", "nonsingular": "invertible",
    "regular": "invertible", "probability": "simplex", "probabilities": "simplex", "distribution": "simplex",
    "simplex-rows": "simplex", "one-hot-rows": "one-hot", "onehot": "one-hot", "stochastic": "simplex",
    "pos": "positive",
    "nonnegative": "positive", "unit": "unit-interval",
}  # fmt: skip


def _explain_assumption(name: str, word: str) -> DeclarationError:
    reason = f"{word[:40]!r} is not an assumption that can be made about {name}"
    if ":" in word:
        return DeclarationError(reason, advice=f"separate the names with ; as in {_ASSUMED}")
    meant = _OTHER_WORDS.get(word.lower()) or find_closest(word, ASSUMPTIONS)
    listed = "one of " + ", ".join(ASSUMPTIONS)
    return DeclarationError(reason, advice=f"did you mean {meant}? It is {listed}" if meant else listed)
