"""einsum in SymPy: a Sum over entries where it is a number, else an array expression."""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy
from sympy.tensor.array.expressions import (
    ArrayAdd,
    ArrayContraction,
    ArrayDiagonal,
    ArrayTensorProduct,
    OneArray,
    PermuteDims,
)

from matcalc.language.expression import Expression


def is_array(node: Expression, value: Any) -> bool:
    """Whether a value is an array expression, not a matrix and not a number."""
    return not node.is_scalar and not getattr(value, "is_Matrix", False)


def drop_unit_axes(node: Expression, value: Any) -> Any:
    """Return a matrix as an array without unit axes: a column (n, 1) becomes (n,)."""
    units = [(axis,) for axis, size in enumerate(node.shape) if size.is_unit]
    return ArrayContraction(value, *units) if units and not is_array(node, value) else value


def add_arrays(node: Expression, values: list[Any], shape: list[Any], sign: int) -> Any:
    """Return the sum, or the difference, of two arrays of one shape; a number is added to every entry."""
    first, second = (
        scale_array(value, OneArray(*shape)) if arg.is_scalar else drop_unit_axes(arg, value)
        for arg, value in zip(node.args, values, strict=True)
    )
    return ArrayAdd(first, second if sign == 1 else scale_array(sign, second))


def scale_array(factor: Any, value: Any) -> Any:
    """Return an array times a number."""
    return ArrayTensorProduct(factor, value)


@cache
def make_dummy(letter: str) -> Any:
    """Return a bound variable, the same one each time, so that equal results are equal to SymPy too."""
    return sympy.Dummy(letter)


def write_number(node: Expression, values: list[Any]) -> Any:
    """Return an einsum without free indices as a Sum over entries of matrices."""
    words = node.data[0].split("->")[0].split(",")
    term: Any = sympy.Integer(1)
    ranges: dict[Any, Any] = {}
    for arg, value, word in zip(node.args, values, words, strict=True):
        letters = iter(word)
        places = [0 if size.is_unit else make_dummy(next(letters)) for size in arg.shape]
        ranges |= {place: size for place, size in zip(places, getattr(value, "shape", ()), strict=False) if place != 0}
        term = term * (value if arg.is_scalar else value[tuple(places)])
    return sympy.Sum(term, *((index, 0, size - 1) for index, size in ranges.items())) if ranges else term


def write_einsum(node: Expression, values: list[Any]) -> Any:
    """Return an einsum as a contraction of a tensor product; the result has no unit axes."""
    inputs, output = node.data[0].split("->")
    axes = _label_axes(node, values, inputs.split(","))
    whole = ArrayTensorProduct(*values)
    summed = _gather(axes, [label for label in dict.fromkeys(axes) if label not in output])
    if summed:
        whole = ArrayContraction(whole, *summed)
    gone = {place for group in summed for place in group}
    return _arrange(whole, [label for place, label in enumerate(axes) if place not in gone], output)


def _label_axes(node: Expression, values: list[Any], words: list[str]) -> list[str]:
    """Return the letter of each axis of the tensor product; a unit axis gets a number of its own."""
    labels: list[str] = []
    for arg, value, word in zip(node.args, values, words, strict=True):
        letters = iter(word)
        sizes = () if arg.is_scalar else arg.dropped_shape if is_array(arg, value) else arg.shape
        for size in sizes:
            labels.append(str(len(labels)) if size.is_unit else next(letters))
    return labels


def _gather(axes: list[str], labels: list[str]) -> list[tuple[int, ...]]:
    """Return the places of each label."""
    return [tuple(place for place, other in enumerate(axes) if other == label) for label in labels]


def _arrange(whole: Any, axes: list[str], output: str) -> Any:
    """Bring axes of the same letter together, then all in the order of the output."""
    repeated = [label for label in dict.fromkeys(axes) if axes.count(label) > 1]
    if repeated:
        whole = ArrayDiagonal(whole, *_gather(axes, repeated))
        axes = [label for label in axes if label not in repeated] + repeated
    order = [axes.index(letter) for letter in output]
    return whole if order == list(range(len(order))) else PermuteDims(whole, order)
