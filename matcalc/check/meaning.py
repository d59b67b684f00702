"""What a derivative by a structured matrix means: which of its entries move together, and how often they count.

A matrix that is assumed symmetric, skew, diagonal or triangular is X = P(t), linear in its independent entries
t, each of which stands at some places of X, with the sign 1 or -1.  With g the derivative by t, through P:

| meaning | entry [i, j] of the derivative, t[k] standing at [i, j] |
| --- | --- |
| free | that of the function of all entries, none tied to another |
| tied | g[k], with the sign that t[k] has there; 0 where X is 0 |
| space | the same over how often t[k] stands in X: the projection of the free gradient onto these matrices |
| vech | g itself, a vector |
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from matcalc.language.declarations import list_structures, name_structure
from matcalc.language.expression import Expression

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ties:
    """The places [i, j] of each independent entry with its sign there, the entries in the order of vech.

    That is column by column, of an upper-triangular matrix row by row, each where it stands first, with the sign 1.
    """

    size: int
    places: tuple[tuple[tuple[int, int, int], ...], ...]

    @cached_property
    def number(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Which independent entry stands at a place, and its sign."""
        return {(i, j): (k, sign) for k, places in enumerate(self.places) for i, j, sign in places}

    def read(self, matrix: Tensor) -> Tensor:
        """Return the independent entries of a matrix."""
        rows, columns = ([places[0][axis] for places in self.places] for axis in (0, 1))
        return matrix[rows, columns]

    def write(self, entries: Tensor) -> Tensor:
        """Return the matrix P(t) of independent entries t."""
        return self._spread(entries, [1.0] * len(self.places))

    def expand(self, derivative: Tensor, meaning: str) -> Tensor:
        """Return a derivative by the independent entries, its last axis, as that by the matrix in a meaning."""
        if meaning == "vech":
            return derivative
        return self._spread(derivative, [1 / len(places) if meaning == "space" else 1.0 for places in self.places])

    def expand_each(self, derivative: Tensor, count: int, meaning: str) -> Tensor:
        """Return a derivative by the independent entries, its last `count` axes, as that by the matrix each time."""
        first = derivative.ndim - count
        for _ in range(count if meaning != "vech" else 0):
            derivative = self.expand(derivative.movedim(first, -1), meaning)
        return derivative

    def _spread(self, entries: Tensor, weights: list[float]) -> Tensor:
        import torch

        spread = torch.zeros(len(self.places), self.size, self.size, dtype=entries.dtype, device=entries.device)
        for (i, j), (k, sign) in self.number.items():
            spread[k, i, j] = sign * weights[k]
        return torch.tensordot(entries, spread, dims=1)


def find_ties(variable: Expression, size: int) -> Ties | None:
    """Return the ties of a square matrix of that size by what is assumed of it, None where its entries are free."""
    return list_ties(list_structures(variable), size) if name_structure(variable) else None


@lru_cache(maxsize=256)
def list_ties(kinds: Collection[str], size: int) -> Ties:
    """Return the ties that some assumptions make among the entries of a square matrix.

    >>> list_ties(frozenset({"symmetric"}), 2).places
    (((0, 0, 1),), ((1, 0, 1), (0, 1, 1)), ((1, 1, 1),))
    """
    mirrored = -1 if "skew" in kinds else 1 if {"symmetric", "posdef"} & set(kinds) else 0
    found: list[tuple[tuple[int, int, int], ...]] = []
    is_upper = "upper-triangular" in kinds
    for column in range(size):
        for row in range(size):
            i, j = (column, row) if is_upper else (row, column)
            if _is_zero(kinds, i, j) or (mirrored and i < j):
                continue
            is_alone = not mirrored or i == j or _is_zero(kinds, j, i)
            found.append(((i, j, 1),) if is_alone else ((i, j, 1), (j, i, mirrored)))
    return Ties(size, tuple(found))


def _is_zero(kinds: Collection[str], i: int, j: int) -> bool:
    return (
        ("diagonal" in kinds and i != j) or ("skew" in kinds and i == j)
        or ("lower-triangular" in kinds and i < j) or ("upper-triangular" in kinds and i > j)
    )  # fmt: skip
