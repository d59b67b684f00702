"""Drafts: the nodes of an expression while some of their sizes are still open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, count
from math import gcd, prod
from typing import Any, TypeVar

from matcalc.errors import LimitError
from matcalc.language.names import CONSTANTS, GREEK
from matcalc.language.read_text import SourceText
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size, write_shape
from matcalc.rule_files import Rule, RuleBook

SCALAR_AXES: Axes = SCALAR
_NO_TEXT = SourceText("0")


@dataclass(slots=True, eq=False)
class Draft:
    """One node to be: as `Expression`, with open sizes, its place in the text, and its value if it is a number."""

    op: str
    args: tuple[Draft, ...]
    data: tuple[Any, ...]
    axes: Axes
    span: tuple[int, int]
    value: Fraction | None = None
    position: int = 0

    @property
    def is_scalar(self) -> bool:
        """Whether every axis is a unit axis."""
        return all(map(is_unit, self.axes))

    @property
    def is_column(self) -> bool:
        """Whether the shape is (n, 1)."""
        return len(self.axes) == 2 and is_unit(self.axes[1]) and not is_unit(self.axes[0])

    @property
    def is_row(self) -> bool:
        """Whether the shape is (1, n)."""
        return len(self.axes) == 2 and is_unit(self.axes[0]) and not is_unit(self.axes[1])

    @property
    def is_matrix(self) -> bool:
        """Whether the shape is (m, n) without unit axes."""
        return len(self.axes) == 2 and not is_unit(self.axes[0]) and not is_unit(self.axes[1])


Kinds = tuple[tuple[bool, ...], ...]  # of each argument, which of its axes are unit axes
FindShape = Callable[[RuleBook, Rule, Kinds], int | None]


@dataclass(slots=True, eq=False)
class Reading:
    """What is known while texts are read: the names, their shapes so far, the drafts in order, the notes.

    `defined` holds what names of definitions stand for, those of earlier texts too; `awaited` the names that
    the text has still to define.  With `has_identity` an I that is no variable is the identity of the size that fits,
    and `assumed` has the numbers of axes of names that are not those of their letters.
    `find_stated_shape` returns which argument the definition of a rule is shaped
    like, None for a scalar; it is handed in, since the definition is a text itself, read by the module that
    starts a reading.
    """

    book: RuleBook
    find_stated_shape: FindShape
    declared: Mapping[str, Shape] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    is_rule: bool = False
    has_identity: bool = False
    assumed: dict[str, int] = field(default_factory=dict)
    source: SourceText = _NO_TEXT
    symbols: dict[str, Axes] = field(default_factory=dict)
    abstract: dict[str, Axes] = field(default_factory=dict)
    defined: dict[str, Draft] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    def add(
        self,
        op: str,
        args: tuple[Draft, ...],
        axes: Axes,
        span: tuple[int, int],
        data: tuple[Any, ...] = (),
        value: Fraction | None = None,
    ) -> Draft:
        """Register a new draft, after the drafts that it uses."""
        draft = Draft(op, args, data, axes, span, value, len(self.drafts))
        self.drafts.append(draft)
        return draft

    def write(self, draft: Draft) -> str:
        """Return a draft as the reader wrote it, shortened where it is long."""
        text = self.source.text[slice(*draft.span)]
        if len(text) <= 40:
            return text
        left, right = re.sub(r"\w+$", "", text[:19]), re.sub(r"^\w+", "", text[-19:])
        return f"{left.rstrip() or text[:18]} ... {right.lstrip() or text[-18:]}"

    def write_shapes(self, *shapes: Axes) -> list[str]:
        """Return shapes as an error shows them; open sizes have the letters of `write_symbols`."""
        known = [*self.symbols.values(), *self.abstract.values()]
        letters = name_sizes((), (), [*known, *shapes], {*self.symbols, *self.sizes, *self.declared, *CONSTANTS})
        return [write_shape(settle(shape, letters)) for shape in shapes]

    def write_size(self, axis: DraftAxis) -> str:
        """Return a size as an error shows it."""
        return self.write_shapes((axis,))[0][1:-2]

    def write_symbols(self) -> dict[str, str]:
        """Return the shapes of the names as far as they are known, of a row with its unit axis."""
        shown = [
            axes if len(axes) == 2 and is_unit(axes[0]) and not is_unit(axes[1]) else squeeze_axes(axes)
            for axes in self.symbols.values()
        ]
        return dict(zip(self.symbols, self.write_shapes(*shown), strict=True))

    def describe(self, axes: Axes) -> str:
        """Return the kind of a shape: a scalar, a column (n, 1), a row (1, n), a matrix (m, n)."""
        count = len(squeeze_axes(axes))
        if count == 0:
            return "a scalar"
        kind = "matrix" if len(axes) == 2 else "array"
        if count == 1 and len(axes) == 2:
            kind = "column" if is_unit(axes[1]) else "row"
        return f"a{'n' if kind == 'array' else ''} {kind} {self.write_shapes(axes)[0]}"

    def note(self, text: str) -> None:
        """Keep a remark for the answer, once."""
        if text not in self.notes:
            self.notes.append(text)


def hold_axes(axes: Axes) -> Axes:
    """Return the 2-D shape: a vector as a column, a scalar as 1 by 1."""
    return axes + (UNIT,) * (2 - len(axes))


def squeeze_axes(axes: Axes) -> Axes:
    """Return the axes that are not unit axes."""
    return tuple(axis for axis in axes if not is_unit(axis))


def open_shape(count: int) -> Axes:
    """Return the 2-D shape of a name with so many axes, each of an open size."""
    return hold_axes(tuple(Unknown() for _ in range(count)))


def broadcast_axes(left: Axes, right: Axes) -> Axes | None:
    """Return NumPy's common shape of two held shapes, unifying open sizes; None where there is none."""
    if all(map(is_unit, right)):
        return left
    if all(map(is_unit, left)):
        return right
    if len(left) != len(right):
        return None
    common = []
    for a, b in zip(left, right, strict=True):
        if is_unit(a) or is_unit(b):
            common.append(b if is_unit(a) else a)
        elif unify(a, b):
            common.append(a)
        else:
            return None
    return tuple(common)


# --- unknown sizes ----------------------------------------------------------------------------------
#
# Sizes that are not known yet, and what is learnt when two of them must be equal.


_MOST_FACTORS = 64


class Unknown:
    """A size that is still open; it is never 1, since the number of axes is known from the start."""

    __slots__ = ("bound",)

    def __init__(self) -> None:
        self.bound: DraftAxis | None = None


class Product:
    """A product of sizes of which some are still open, such as the rows of kron(A, B)."""

    __slots__ = ("factors",)

    def __init__(self, factors: tuple[SizeFactor, ...]) -> None:
        self.factors = factors


class Sum:
    """A sum of sizes of which some are still open, each as often as its number says, such as the rows of x[1:]."""

    __slots__ = ("terms",)

    def __init__(self, terms: tuple[tuple[DraftAxis, int], ...]) -> None:
        self.terms = terms


SizeFactor = Size | Unknown | Sum
DraftAxis = SizeFactor | Product
Axes = tuple[DraftAxis, ...]


def resolve(axis: DraftAxis) -> DraftAxis:
    """Return what is known of a size by now: a Size, an open Unknown, a Product or a Sum with an open part."""
    while isinstance(axis, Unknown) and axis.bound is not None:
        axis = axis.bound
    if isinstance(axis, Sum):
        return add_axes(axis.terms)
    return multiply_axes(axis.factors) if isinstance(axis, Product) else axis


def add_axes(terms: Iterable[tuple[DraftAxis, int]]) -> DraftAxis:
    """Return the sum of sizes, each so many times: x[1:] has ((n, 1), (1, -1)) entries."""
    known, counts = Size((), 0), Counter[DraftAxis]()
    stack = list(terms)
    while stack:
        axis, count = stack.pop()
        axis = resolve(axis)
        if isinstance(axis, Sum):
            stack += [(part, times * count) for part, times in axis.terms]
        elif isinstance(axis, Size):
            known = known + Size(axis.letters, axis.number * count)
        else:
            counts[axis] += count
        if len(stack) > _MOST_FACTORS:
            raise LimitError(f"a size is a sum of more than {_MOST_FACTORS} sizes")
    opened = tuple((axis, count) for axis, count in counts.items() if count)
    if not opened:
        return known
    if known == 0 and len(opened) == 1 and opened[0][1] == 1:
        return opened[0][0]
    return Sum(opened if known == 0 else (*opened, (known, 1)))


def subtract_axes(left: DraftAxis, right: DraftAxis) -> DraftAxis:
    """Return the difference of two sizes."""
    return add_axes(((left, 1), (right, -1)))


def list_unknown(axis: DraftAxis) -> list[Unknown]:
    """Return the open sizes of a size, in order."""
    found: list[Unknown] = []
    for factor in list_factors(axis):
        if isinstance(factor, Sum):
            found += [each for part, _ in factor.terms for each in list_unknown(part)]
        elif isinstance(factor, Unknown):
            found.append(factor)
    return found


def multiply_axes(axes: Iterable[DraftAxis]) -> DraftAxis:
    """Return the product of sizes, in the order given."""
    factors = [factor for axis in axes for factor in list_factors(axis)]
    if all(isinstance(factor, Size) for factor in factors):
        return prod((factor for factor in factors if isinstance(factor, Size)), start=UNIT)
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def list_factors(axis: DraftAxis) -> list[SizeFactor]:
    """Return the factors of a size in order; raises LimitError beyond 64, since kron of kron doubles them."""
    found: list[SizeFactor] = []
    stack = [axis]
    while stack:
        part = stack.pop()
        while isinstance(part, Unknown) and part.bound is not None:
            part = part.bound
        part = resolve(part) if isinstance(part, Sum) else part
        if isinstance(part, Product):
            stack.extend(reversed(part.factors))
        else:
            found.append(part)
        if len(found) + len(stack) > _MOST_FACTORS:
            raise LimitError(f"a size is a product of more than {_MOST_FACTORS} sizes")
    return found


def is_unit(axis: DraftAxis) -> bool:
    """Whether the axis is a unit axis; an open size never is."""
    axis = resolve(axis)
    return isinstance(axis, Size) and axis.is_unit


def unify(left: DraftAxis, right: DraftAxis) -> bool:
    """Make two sizes equal and return True, or return False where they cannot be."""
    left, right = resolve(left), resolve(right)
    if left is right:
        return True
    if isinstance(left, Size) and isinstance(right, Size):
        return left == right
    if isinstance(left, Unknown):
        return _bind(left, right)
    if isinstance(right, Unknown):
        return _bind(right, left)
    if isinstance(left, Sum) or isinstance(right, Sum):
        return _unify_sums(left, right)
    return _unify_products(list_factors(left), list_factors(right))


def _bind(unknown: Unknown, value: DraftAxis) -> bool:
    if is_unit(value) or unknown in list_unknown(value) or (isinstance(value, Size) and value.number < 1):
        return False
    unknown.bound = value
    return True


def _unify_sums(left: DraftAxis, right: DraftAxis) -> bool:
    """Make the difference of two sizes 0: of its open sizes one is the rest; the numbers of n - 1 and 4 make n 5."""
    rest = subtract_axes(left, right)
    if isinstance(rest, Size):
        return rest == 0
    terms = rest.terms if isinstance(rest, Sum) else ((rest, 1),)
    for place, (axis, sign) in enumerate(terms):
        if isinstance(axis, Unknown) and abs(sign) == 1:
            others = add_axes((other, -times * sign) for other, times in (*terms[:place], *terms[place + 1 :]))
            if _bind(axis, others):
                return True
    return False


def _unify_products(left: list[SizeFactor], right: list[SizeFactor]) -> bool:
    """Cancel what both products have; what is left must be equal one by one, or one open size the rest."""
    left_open, right_open = _drop_common(
        *([one for one in side if not isinstance(one, Size)] for side in (left, right))
    )
    sizes = [prod((one for one in side if isinstance(one, Size)), start=UNIT) for side in (left, right)]
    common = gcd(*(size.number for size in sizes))
    letters = _drop_common(*(size.letters for size in sizes))
    left_size, right_size = (
        Size(tuple(own), size.number // common) for own, size in zip(letters, sizes, strict=True)
    )
    if not left_open and not right_open:
        return left_size == right_size
    if len(left_open) == len(right_open) and left_size.is_unit and right_size.is_unit:
        return all(unify(a, b) for a, b in zip(left_open, right_open, strict=True))
    if len(left_open) == 1 and left_size.is_unit:
        return unify(left_open[0], multiply_axes([right_size, *right_open] if not right_size.is_unit else right_open))
    if len(right_open) == 1 and right_size.is_unit:
        return unify(right_open[0], multiply_axes([left_size, *left_open] if not left_size.is_unit else left_open))
    return False


_Item = TypeVar("_Item")


def _drop_common(left: Iterable[_Item], right: Iterable[_Item]) -> tuple[list[_Item], list[_Item]]:
    """Return both lists without the items that pair off."""
    left, right = list(left), list(right)
    for item in list(left):
        if item in right:
            left.remove(item)
            right.remove(item)
    return left, right


# --- name sizes -------------------------------------------------------------------------------------
#
# Open sizes -> letters, as a textbook would choose them.


_OWN = ("n", "k")
_RESULT = ("m", "l")
_OTHERS = "pqrsthdgbcfvw"

Letters = dict[Unknown, Size]


def name_sizes(wrt: Axes, result: Axes, others: Iterable[Axes], taken: set[str]) -> Letters:
    """Return a letter for each open size: n, k for wrt, m, l for the result, p, q, r ... for the others.

    Where wrt has no sizes of its own, n and k are free for the others.
    `taken` are the names that stand for something else.
    """
    letters: Letters = {}
    possible = chain(() if wrt else _OWN, _OTHERS, (f"p{number}" for number in count(1)))
    free = (letter for letter in possible if letter not in taken)
    for axes, preferred in ((wrt, _OWN), (result, _RESULT)):
        for axis, letter in zip(axes, preferred, strict=False):
            known = resolve(axis)
            if isinstance(known, Unknown) and known not in letters:
                letters[known] = Size.of(next(free) if letter in taken else letter)
                taken = taken | {letter}
    for axes in (wrt, *others, result):
        for factor in (factor for axis in axes for factor in list_unknown(axis)):
            if factor not in letters:
                letters[factor] = Size.of(next(free))
    return letters


def settle(axes: Axes, letters: Letters) -> Shape:
    """Return a shape whose open sizes have been replaced by their letters."""
    return tuple(prod((_settle_factor(factor, letters) for factor in list_factors(axis)), start=UNIT) for axis in axes)


def _settle_factor(factor: SizeFactor, letters: Letters) -> Size:
    if isinstance(factor, Unknown):
        return letters[factor]
    if isinstance(factor, Size):
        return factor
    settled = add_axes((settle((axis,), letters)[0], count) for axis, count in factor.terms)
    assert isinstance(settled, Size)
    return settled


# --- note names -------------------------------------------------------------------------------------
#
# Remarks on names that are not what they look like: Ax is one name, I no unit matrix, e a number.


def note_name(reading: Reading, name: str) -> None:
    """Remark, once, that a name which the reader did not declare may be a product or a transpose in their mind."""
    if reading.is_rule or name in reading.declared:
        return
    if re.fullmatch(r"([A-Z]{1,2}|[xyzwv]T[A-Z]?)[xyzwv]", name):
        # ABx is A @ B @ x, and xTAx is x.T @ A @ x.
        factors = re.findall(r"[a-z]T|\w", name)
        spaced = " @ ".join(factor.replace("T", ".T") if factor[0].islower() else factor for factor in factors)
        reading.note(f"{name} is one name; the product is {spaced}")
    elif re.fullmatch(r"[xyzwv]T", name):
        reading.note(f"{name} is one name; the transpose is {name[0]}.T")
    elif name == "I":
        reading.note("I is a variable; the identity is eye(n)")


def note_constant(reading: Reading, name: str) -> None:
    """Remark that e is a number, which many a text uses for a residual."""
    if name == "e" and not reading.is_rule:
        reading.note("e is the number 2.718...; declare e to use it as a variable")


def note_greek(reading: Reading, function: str) -> None:
    """Remark that gamma(x - 1) is the function, which many a text uses for a product."""
    if function in GREEK and not reading.is_rule:
        reading.note(f"{function}(...) is the function of that name; the product is {function}*(...)")


def note_index(reading: Reading, function: str, args: tuple[Draft, ...]) -> None:
    """Remark that sum(x_i) does not run over i."""
    if reading.is_rule or function not in ("sum", "mean", "prod") or len(args) != 1 or args[0].op != "symbol":
        return
    found = re.fullmatch(r"([A-Za-z])_[ijk]", args[0].data[0])
    if found and args[0].data[0] not in reading.declared:
        reading.note(f"{found[0]} is a name of its own, not an entry; write {function}({found[1]})")
