"""The shapes of arrays -> numbers for the letters of the sizes, or what does not fit; without NumPy and torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Size, write_shape


def collect_letters(roots: Iterable[Expression]) -> list[str]:
    """Return the letters of all sizes below the roots, in the order of their appearance."""
    letters: dict[str, None] = {}
    for node in walk(*roots):
        for size in (*node.shape, *(node.data if node.op == "size" else ())):
            letters.update(dict.fromkeys(size.letters))
    return list(letters)


def deduce_sizes(
    given: Mapping[str, tuple[Expression, tuple[int, ...]]], sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return a number for each letter from the variables' shapes and the arrays' shapes, given by name.

    Raises EvaluationError naming the variable, its declared shape, what came, and the sizes in conflict.
    """
    origins = {letter: f"{letter} = {number} in sizes" for letter, number in (sizes or {}).items()}
    numbers = {letter: int(number) for letter, number in (sizes or {}).items()}
    equations = [
        (size, number, name)
        for name, (variable, shape) in given.items()
        for size, number in zip(variable.dropped_shape, fit_shape(name, variable, shape), strict=True)
    ]
    while equations:
        later = [equation for equation in equations if not _solve(*equation, given, numbers, origins)]
        if len(later) == len(equations):
            break
        equations = later
    return numbers


def fit_shape(name: str, variable: Expression, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return an array's shape without the unit axes of the variable."""
    plain, held = variable.dropped_shape, variable.shape
    if len(shape) == len(plain):
        return shape
    if not plain and math.prod(shape) == 1:
        return ()
    units_fit = all(number == 1 for size, number in zip(held, shape, strict=False) if size.is_unit)
    if len(shape) == len(held) and units_fit:
        return tuple(number for size, number in zip(held, shape, strict=True) if not size.is_unit)
    raise EvaluationError(_write_misfit(name, variable, shape), advice=_advise(name, variable))


def _write_misfit(name: str, variable: Expression, shape: tuple[int, ...]) -> str:
    came = "a single number" if not shape else f"shape {shape}"
    declared = write_shape(variable.dropped_shape)
    return f"{name} is {'a ' if declared == 'scalar' else ''}{declared}, but its value has {came}"


def _advise(name: str, variable: Expression) -> str:
    if variable.is_column:
        size = variable.shape[0]
        return f"give {name} the shape ({size},) or ({size}, 1)"
    return f"give {name} the shape {write_shape(variable.dropped_shape)}"


def _solve(
    size: Size, number: int, name: str,
    given: Mapping[str, tuple[Expression, tuple[int, ...]]], numbers: dict[str, int], origins: dict[str, str],
) -> bool:  # fmt: skip
    """Use one axis: check its size where all letters are known, find the only unknown letter; else return False."""
    unknown = [letter for letter in size.letters if letter not in numbers]
    if len(unknown) > 1:
        return False
    rest = math.prod((numbers[letter] for letter in size.letters if letter in numbers), start=size.number)
    if number % rest or (not unknown and number != rest):
        variable, shape = given[name]
        known = "; ".join(origins[letter] for letter in dict.fromkeys(size.letters) if letter in numbers)
        reason = f"{_write_misfit(name, variable, shape)}: {size} cannot be {number}"
        raise EvaluationError(f"{reason} when {known}" if known else reason)
    for letter in unknown:
        numbers[letter] = number // rest
        origins[letter] = f"{letter} = {number // rest} from {name}"
    return True
