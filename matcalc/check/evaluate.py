"""A reader's arrays -> the expression's value, NumPy in, NumPy out; torch in, torch out; and random arrays to try."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from matcalc.check.modes import own_modes, without_autocast
from matcalc.check.points import NoPoint, PointSearch
from matcalc.check.question import MAX_ENTRIES
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.expression import Expression, collect_letters, symbols, walk
from matcalc.language.sizes import Shape, check_sizes, deduce_sizes, fit_numbers, write_shape
from matcalc.language.text_to_expression import rules_in_force
from matcalc.rule_files import RuleBook


def evaluate_with(
    expression: Expression,
    values: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    known: Iterable[Expression] = (),
    rules: RuleBook | None = None,
) -> Any:
    """Return the expression's value without unit axes, a torch tensor if any value is one, else a NumPy array.

    Values are arrays or numbers by name, vectors of shape (n,) or (n, 1); a function of tensors stands for an
    abstract function.  Sizes follow from the arrays; `sizes` adds those that do not.  `known` lists variables
    that may be given although the expression lacks them; `rules` is the book that it was read with.  With tensors
    the result has a gradient where torch's are switched on; none of torch's modes changes that of arrays.  Raises
    EvaluationError for a name that is missing or unknown, and for shapes that do not fit.
    """
    variables = {symbol.name: symbol for symbol in known} | symbols(expression)
    with rules_in_force(rules):
        if any(isinstance(value, Tensor) for value in values.values()):
            return _evaluate(expression, values, sizes, variables)
        with own_modes(dtype=None), torch.no_grad():
            return _evaluate(expression, values, sizes, variables).numpy()


def _evaluate(
    expression: Expression,
    values: Mapping[str, Any],
    sizes: Mapping[str, int] | None,
    variables: Mapping[str, Expression],
) -> Tensor:
    """Return the value as a tensor, in the dtype of the arrays; without a gradient where they are switched off."""
    functions = {name: value for name, value in values.items() if callable(value) and not hasattr(value, "__array__")}
    arrays = {name: value for name, value in values.items() if name not in functions}
    _check_names(expression, variables, arrays, functions)
    tensors = _align({name: _read_array(name, value) for name, value in arrays.items()}, arrays)
    numbers = deduce_sizes({name: (variables[name], tuple(tensors[name].shape)) for name in tensors}, sizes)
    held = {
        name: tensor.reshape([size.value(numbers) for size in variables[name].shape])
        for name, tensor in tensors.items()
    }
    with without_autocast(*(tensor.device.type for tensor in held.values())):
        value = evaluate(expression, held, numbers, functions, needs_regular=False)
        result = squeeze(expression, value, numbers)
    return result if torch.is_grad_enabled() else result.detach()


def _check_names(
    expression: Expression,
    variables: Mapping[str, Expression],
    arrays: Mapping[str, Any],
    functions: Mapping[str, Any],
) -> None:
    abstract = {node.name for node in walk(expression) if node.op.startswith("abstract")}
    names = ", ".join(variables) or "none"
    for name in [*arrays, *(name for name in functions if name not in abstract)]:
        if name not in variables:
            raise EvaluationError(f"{name} is not a variable of the expression", advice=f"the variables are: {names}")
    for name in symbols(expression):
        if name not in arrays:
            shape = write_shape(variables[name].squeezed_shape)
            raise EvaluationError(f"{name} has no value", advice=f"give {name}, an array of shape {shape}")


# --- arrays ---------------------------------------------------------------------------------------


def _read_array(name: str, value: Any) -> Tensor:
    """Return the tensor of what a reader gave: a tensor itself, or a copy of an array, a list or a number."""
    if not isinstance(value, Tensor):
        import numpy

        try:
            array = numpy.array(value)
            value = torch.from_numpy(array) if array.dtype.kind in "fiub" else None
        except (TypeError, ValueError):
            value = None
    if value is None or value.is_complex():
        raise EvaluationError(f"the value of {name} is not an array of real numbers")
    return value


def _align(tensors: dict[str, Tensor], given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Bring all tensors to one floating dtype, the widest of the arrays, and to the device of those on one."""
    weighty = [tensors[name].dtype for name in tensors if hasattr(given[name], "dtype")]
    floating = [dtype for dtype in weighty if dtype.is_floating_point]
    dtype = torch.float64
    if floating:
        dtype = max(floating, key=lambda one: torch.finfo(one).bits)
    devices = {str(tensors[name].device) for name in tensors if isinstance(given[name], Tensor)}
    if len(devices) > 1:
        raise EvaluationError(f"the values lie on different devices: {', '.join(sorted(devices))}")
    device = devices.pop() if devices else "cpu"
    return {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors.items()}


# --- random values ----------------------------------------------------------------------------------


def draw_point(
    expression: Expression,
    extra: tuple[Expression, ...],
    shape: Shape,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    rules: RuleBook | None = None,
) -> dict[str, Any]:
    """Return a NumPy array without unit axes for each variable, and a function for each abstract one.

    The values come from the domains in which the expression is defined.  `extra` adds the names of other expressions,
    `shape` is the derivative's; sizes that are not given are small.  Raises DeclarationError for sizes that are unknown
    or too large, EvaluationError where no point is found.
    """
    letters = collect_letters((expression, *extra))
    check_sizes(sizes or {}, letters)
    with rules_in_force(rules), own_modes():
        search = PointSearch(expression, extra, seed=seed, shape=shape, sizes=sizes)
        _refuse_large([shape, *(node.shape for node in search.variables.values())], search, sizes or {})
        point = search.find(0)
        if isinstance(point, NoPoint):
            raise EvaluationError(f"no point was found: {point.reason}")
        values = {name: squeeze(search.variables[name], value, point.sizes) for name, value in point.values.items()}
        return {name: value.numpy() for name, value in values.items()} | point.functions


def _refuse_large(shapes: Iterable[Shape], search: PointSearch, sizes: Mapping[str, int]) -> None:
    """Raise DeclarationError before an array is drawn that nobody would look at."""
    numbers = fit_numbers(dict.fromkeys(search.letters, 2) | dict(sizes), search.sums, sizes)
    entries = max(math.prod(size.value(numbers) for size in shape) for shape in shapes)
    if entries > MAX_ENTRIES:
        reason = f"an array would have {entries} entries, more than {MAX_ENTRIES}"
        raise DeclarationError(reason, advice="choose smaller sizes")
