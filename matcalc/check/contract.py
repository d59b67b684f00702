"""einsum of many operands, contracted two at a time, the smallest intermediate first."""

from __future__ import annotations

from itertools import combinations
from math import prod

import torch
from torch import Tensor


def contract(subscripts: str, operands: list[Tensor]) -> Tensor:
    """Return einsum(subscripts, *operands) without the huge intermediates of one sum over all letters.

    >>> contract("ij,jk,k->i", [torch.ones(2, 3), torch.ones(3, 5), torch.ones(5)])
    tensor([15., 15.])
    """
    inputs, output = subscripts.split("->")
    parts = list(zip(inputs.split(","), operands, strict=True))
    sizes = {letter: size for letters, operand in parts for letter, size in zip(letters, operand.shape, strict=True)}
    while len(parts) > 2:
        first, second = _find_cheapest([letters for letters, _ in parts], output, sizes)
        right, left = parts.pop(second), parts.pop(first)
        kept = _keep(left[0] + right[0], [letters for letters, _ in parts], output)
        parts.append((kept, torch.einsum(f"{left[0]},{right[0]}->{kept}", left[1], right[1])))
    return torch.einsum(",".join(letters for letters, _ in parts) + "->" + output, *[operand for _, operand in parts])


def _keep(letters: str, others: list[str], output: str) -> str:
    """Return the letters that the result or another operand still needs, each once."""
    needed = set(output).union(*others)
    return "".join(letter for letter in dict.fromkeys(letters) if letter in needed)


def _find_cheapest(terms: list[str], output: str, sizes: dict[str, int]) -> tuple[int, int]:
    """Return the places of the two operands whose product has the fewest entries."""

    def count(pair: tuple[int, int]) -> int:
        others = [term for place, term in enumerate(terms) if place not in pair]
        return prod(sizes[letter] for letter in _keep(terms[pair[0]] + terms[pair[1]], others, output))

    return min(combinations(range(len(terms)), 2), key=count)
