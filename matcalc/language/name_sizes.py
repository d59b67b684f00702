"""Open sizes -> letters, as a textbook would choose them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from matcalc.language.sizes import UNIT, Shape, Size
from matcalc.language.unknown_sizes import Axes, Axis, Unknown, list_factors, resolve

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
    free = (letter for letter in _list_letters(() if wrt else _OWN) if letter not in taken)
    for axes, preferred in ((wrt, _OWN), (result, _RESULT)):
        for axis, letter in zip(axes, preferred, strict=False):
            known = resolve(axis)
            if isinstance(known, Unknown) and known not in letters:
                letters[known] = Size.of(next(free) if letter in taken else letter)
                taken = taken | {letter}
    for axes in (wrt, *others, result):
        for axis in axes:
            _name_factors(axis, letters, free)
    return letters


def _name_factors(axis: Axis, letters: Letters, free: Iterator[str]) -> None:
    for factor in list_factors(axis):
        if isinstance(factor, Unknown) and factor not in letters:
            letters[factor] = Size.of(next(free))


def _list_letters(first: tuple[str, ...]) -> Iterator[str]:
    yield from (*first, *_OTHERS)
    yield from (f"p{number}" for number in count(1))


def settle(axes: Axes, letters: Letters) -> Shape:
    """Return a shape whose open sizes have been replaced by their letters."""
    sizes = []
    for axis in axes:
        size = UNIT
        for factor in list_factors(axis):
            size = size * (factor if isinstance(factor, Size) else letters[factor])
        sizes.append(size)
    return tuple(sizes)
