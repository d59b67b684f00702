"""Functions that are Python code: run on torch tensors, differentiated by torch, their shapes found by running them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from matcalc.check.meaning import find_ties
from matcalc.check.modes import own_modes
from matcalc.check.points import NoPoint, Point, PointSearch
from matcalc.check.question import Values
from matcalc.check.torch_values import draw_unit, repeat_jacobian, squeeze
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size, squeeze_shape

SHAPE_POINTS = 3
STEPS = {torch.float64: 1e-6, torch.float32: 1e-2}
STEP_TOLERANCES = {torch.float64: 1e-4, torch.float32: 5e-2}


@dataclass(frozen=True)
class Code:
    """A Python function of torch tensors and the variables it takes, in their order."""

    call: Callable[..., Any]
    parameters: tuple[Expression, ...]

    def run(self, values: Values, sizes: Mapping[str, int]) -> Tensor:
        """Return the function's value; vectors are passed as (n,), scalars as ().

        Raises EvaluationError with the function's own error, or where it returns no tensor.
        """
        return self.call_with(self.copy_arguments(values, sizes))

    def copy_arguments(self, values: Values, sizes: Mapping[str, int]) -> list[Tensor]:
        """Return what the function is called with: copies, for it may write into them."""
        return [squeeze(symbol, values[symbol.name], sizes).clone() for symbol in self.parameters]

    def call_with(self, arguments: Sequence[Tensor]) -> Tensor:
        """Return the function's value; raises EvaluationError as `run` does."""
        try:
            value = self.call(*arguments)
        except Exception as error:
            raise tell_error(self.name, error) from error
        if not isinstance(value, Tensor):
            raise EvaluationError(f"{self.name} returned a {type(value).__name__}, not a tensor")
        return value

    @property
    def name(self) -> str:
        """The name by which messages speak of the function."""
        owner = getattr(self.call, "__self__", self.call)
        named = owner if inspect.isclass(owner) else self.call
        return str(getattr(named, "__name__", type(self.call).__name__))


@dataclass(frozen=True)
class BoundModule:
    """A module as a function of its arguments and of those of its parameters that are named.

    What else it holds stays as it is, in the dtype of what it is called with; nothing is written into the module.
    """

    module: torch.nn.Module
    parameters: tuple[str, ...] = ()

    def __call__(self, *arguments: Tensor) -> Any:
        """Return what the module gives with the last arguments in the place of the parameters."""
        count = len(arguments) - len(self.parameters)
        held = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        copies = {name: _copy_like(value.detach(), arguments) for name, value in held.items()}
        bound = dict(zip(self.parameters, arguments[count:], strict=True))
        return torch.func.functional_call(self.module, {**copies, **bound}, arguments[:count])

    def measure_parameters(self) -> list[tuple[int, ...]]:
        """Return the shapes of the parameters; raises DeclarationError for one that the module does not have."""
        held = dict(self.module.named_parameters())
        for name in self.parameters:
            if name not in held:
                known = ", ".join(held) or "none"
                raise DeclarationError(f"the module has no parameter {name!r}; it has {known}"[:500])
        return [tuple(held[name].shape) for name in self.parameters]

    @property
    def __name__(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__


def _copy_like(value: Tensor, arguments: Sequence[Tensor]) -> Tensor:
    return value.to(arguments[0], copy=True) if value.is_floating_point() and arguments else value.clone()


@dataclass(frozen=True)
class CodeFunction:
    """A function that is code, of known shape."""

    code: Code
    shape: Shape

    @property
    def root(self) -> Expression:
        """A variable: code has no expression that sets conditions."""
        return self.code.parameters[0]

    @property
    def variables(self) -> tuple[Expression, ...]:
        """The function's parameters."""
        return self.code.parameters

    def differentiate(
        self, by: Sequence[Expression], values: Values, point: Point, meaning: str = "free"
    ) -> Tensor:
        """Return torch.autograd.functional.jacobian of the code, repeated for a variable that is named again.

        Raises EvaluationError where finite differences disagree with it: then torch does not see the whole function.
        """
        wrt = by[-1]
        ties = None if meaning == "free" else find_ties(wrt, values[wrt.name].shape[0])

        def function(x: Tensor) -> Tensor:
            value = x.reshape(values[wrt.name].shape) if ties is None else ties.write(x)
            return measure_result(self.code, self.shape, {**values, wrt.name: value}, point)

        at = squeeze(wrt, values[wrt.name], point.sizes) if ties is None else ties.read(values[wrt.name])
        _compare_with_differences(self.code, function, at)
        found = repeat_jacobian(function, at, len(by)).detach()
        return found if ties is None else ties.expand_each(found, len(by), meaning)

    def find_hidden_kink(self, point: Point) -> str | None:
        """None: code does not tell where its kinks are."""
        return None


@dataclass(frozen=True)
class CodeClaim:
    """A claim that is code, of known shape."""

    code: Code
    shape: Shape
    root: Expression | None = None

    def evaluate(self, values: Values, point: Point) -> Tensor:
        """Return the value of the code."""
        with torch.no_grad():
            return measure_result(self.code, self.shape, values, point).detach()


def measure_result(code: Code, shape: Shape, values: Values, point: Point) -> Tensor:
    """Return the value of the code without unit axes; raises EvaluationError where it has another shape."""
    value = code.run(values, point.sizes)
    expected = tuple(size.value(point.sizes) for size in shape)
    if tuple(size for size in value.shape if size != 1) != tuple(size for size in expected if size != 1):
        raise EvaluationError(f"{code.name} returned the shape {tuple(value.shape)}, not {expected}")
    return value.reshape(expected)


def _compare_with_differences(code: Code, function: Callable[[Tensor], Tensor], at: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    direction = draw_unit(at.shape, generator).to(at) - 0.3
    step, tolerance = STEPS[at.dtype], STEP_TOLERANCES[at.dtype]
    with torch.no_grad():
        differences = (function(at + step * direction) - function(at - step * direction)) / (2 * step)
    if not bool(differences.isfinite().all()):
        raise EvaluationError(f"the value of {code.name} is not finite")
    _, derivative = torch.autograd.functional.jvp(function, at, direction)
    scale = max(float(differences.abs().amax()), float(derivative.abs().amax()), float(function(at).abs().amax()))
    if bool(((differences - derivative).abs() > tolerance * scale).any()):
        raise EvaluationError(
            f"torch's derivative of {code.name} is not that of its values: it detaches, or has a wrong backward"
        )


def tell_error(who: str, error: Exception) -> EvaluationError:
    """Return the error in which a reader's own code failed, in one line."""
    said = (str(error).strip() or "no message").splitlines()[0]
    return EvaluationError(f"{who} raised {type(error).__name__}: {said}")


# --- parameters -----------------------------------------------------------------------------------


def list_parameters(call: Callable[..., Any], declared: Sequence[str] = ()) -> list[str]:
    """Return the names of a function's tensor arguments: those without a default, and declared ones.

    Of a torch.autograd.Function and of a module they are those of its forward.  Raises DeclarationError where
    they cannot be told.
    """
    forward = find_forward(call)
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        reason = "the arguments of the function have no names"
        raise DeclarationError(reason, advice="wrap it in a def that names them") from None
    if forward is not call and parameters and parameters[0].name == "ctx":
        parameters = parameters[1:]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        raise DeclarationError("a function with *args has no names for its arguments", advice="write them out")
    empty = inspect.Parameter.empty
    return [one.name for one in parameters if one.default is empty or one.name in declared]


def find_forward(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method that names the arguments: forward of a torch.autograd.Function or of a module."""
    owner = call if inspect.isclass(call) else getattr(call, "__self__", None)
    if inspect.isclass(owner) and issubclass(owner, torch.autograd.Function):
        call = owner
    found: Callable[..., Any] = getattr(call, "forward", call)
    return found


# --- shapes ---------------------------------------------------------------------------------------


def infer_code_shape(
    code: Code, seed: int, dtype: str, device: str,
    sizes: Mapping[str, int] | None = None, expected: Shape | None = None,
) -> Shape:  # fmt: skip
    """Return the symbolic shape of a function's value, without unit axes, by running it at different sizes.

    `sizes` are those that cannot be different ones; `expected` is the shape where it fits at each point.
    Raises EvaluationError where the function fails, or where an axis is no product of the sizes.
    """
    with own_modes(dtype, device), torch.no_grad():
        seen = [_measure_value(code, number, seed, dtype, device, sizes) for number in range(SHAPE_POINTS)]
    if expected is not None and all(_fits(expected, *one) for one in seen):
        return expected
    if len({len(shape) for shape, _ in seen}) > 1:
        raise EvaluationError(f"the value of {code.name} has not always as many axes")
    letters = sorted(seen[0][1])
    axes = zip(*(shape for shape, _ in seen), strict=True)
    return squeeze_shape(tuple(_name_axis(code, axis, letters, [sizes for _, sizes in seen]) for axis in axes))


def _fits(expected: Shape, shape: tuple[int, ...], sizes: Mapping[str, int]) -> bool:
    return [size.value(sizes) for size in expected] == [number for number in shape if number != 1]


def _measure_value(
    code: Code, number: int, seed: int, dtype: str, device: str, sizes: Mapping[str, int] | None
) -> tuple[tuple[int, ...], Mapping[str, int]]:
    """Return the shape of the value at a point, and the point's sizes."""
    search = PointSearch(
        code.parameters[0], code.parameters, seed=seed, dtype=getattr(torch, dtype), device=device, sizes=sizes
    )
    point = search.find(number)
    if isinstance(point, NoPoint):
        raise EvaluationError(point.reason)
    return tuple(code.run(point.values, point.sizes).shape), point.sizes


def _name_axis(code: Code, axis: tuple[int, ...], letters: list[str], sizes: list[Mapping[str, int]]) -> Size:
    for size in _list_sizes(axis, letters):
        if all(size.value(numbers) == length for numbers, length in zip(sizes, axis, strict=True)):
            return size
    reason = f"an axis of the value of {code.name} has the sizes {', '.join(map(str, axis))} when the variables' are "
    told = [", ".join(f"{letter} = {number}" for letter, number in numbers.items()) for numbers in sizes]
    raise EvaluationError(reason + "; ".join(told))


def _list_sizes(axis: tuple[int, ...], letters: list[str]) -> Iterator[Size]:
    if len(set(axis)) == 1:
        yield Size((), axis[0])
    for count in (1, 2, 3):
        for chosen in combinations_with_replacement(letters, count):
            yield Size(chosen)
    for letter in letters:
        yield from (Size((letter,), number) for number in range(2, 9))
