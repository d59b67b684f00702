"""What is asked of data-parallel training: the loss, its parameters, their derivatives, the batch and its shares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from matcalc.check.report import CheckReport
from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, divide, multiply, symbols, walk
from matcalc.language.sizes import Size, write_shape
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.points import Point

Symbols = Mapping[str, Expression]


@dataclass(frozen=True)
class Batch:
    """The letter that counts the samples, and for each variable that has it the axis, of the shape as it is held."""

    letter: str
    axes: Mapping[str, int]

    def deal(self, point: Point, processes: int) -> list[Point]:
        """Return the point as each process sees it: every `processes`-th sample, as DistributedSampler deals them."""
        return self.split(point, [slice(rank, None, processes) for rank in range(processes)])

    def split(self, point: Point, shares: Sequence[slice]) -> list[Point]:
        """Return the point with each of the shares of its samples, all else whole."""
        samples = range(point.sizes[self.letter])
        places = {name: (slice(None),) * axis for name, axis in self.axes.items()}
        return [
            replace(
                point,
                values={
                    name: value[(*places[name], share)].contiguous() if name in places else value
                    for name, value in point.values.items()
                },
                sizes=point.sizes | {self.letter: len(samples[share])},
            )
            for share in shares
        ]


@dataclass(frozen=True)
class LossText:
    """The loss as text, with all that is needed to read it again in another process."""

    text: str
    wrt: tuple[str, ...]
    shapes: Mapping[str, tuple[str, ...]]
    assume: Mapping[str, Any]
    rules: RuleBook | None = None


@dataclass(frozen=True)
class Settings:
    """How losses are tried."""

    processes: int = 2
    trials: int = 3
    seed: int = 0
    dtype: str = "float64"
    timeout: float = 120.0


@dataclass(frozen=True)
class LossQuestion:
    """Is the mean of the gradients on equal shares of the batch the derivative of the whole-batch loss?

    `derivatives` are the symbolic ones in torch's layout, in the order of `parameters`, and `written` their texts;
    `parts` are the terms of the loss; `command` asks the same again.
    """

    source: LossText
    loss: Expression
    parameters: tuple[Expression, ...]
    derivatives: tuple[Expression, ...]
    written: tuple[str, ...]
    parts: tuple[Expression, ...]
    batch: Batch
    command: str = ""


@dataclass(frozen=True)
class DataParallelReport(CheckReport):
    """What was found for all parameters together, and under `parameters` for each of them.

    `batch` is the size that counts the samples; each of the `processes` has an equal share of them.
    """

    processes: int = 2
    batch: str = ""
    parameters: dict[str, CheckReport] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return super().to_dict() | {"parameters": {name: one.to_dict() for name, one in self.parameters.items()}}


def split_loss(loss: Expression, wrt: frozenset[str]) -> list[Expression]:
    """Return the terms of a loss without their signs; common factors that have no parameter are drawn into each.

    >>> from matcalc.language.text_to_expression import parse
    >>> len(split_loss(parse("(mean(X@w) - alpha*norm(w))/2").expressions[0], frozenset("w")))
    2
    """
    if loss.op in ("add", "subtract", "negate"):
        return [part for arg in loss.args for part in split_loss(arg, wrt)]
    if loss.op in ("multiply", "divide"):
        left, right = loss.args
        if right.is_scalar and left.is_scalar and not wrt & symbols(right).keys():
            build = multiply if loss.op == "multiply" else divide
            return [build(part, right) for part in split_loss(left, wrt)]
        if loss.op == "multiply" and left.is_scalar and right.is_scalar and not wrt & symbols(left).keys():
            return [multiply(left, part) for part in split_loss(right, wrt)]
    return [loss]


# --- the batch ------------------------------------------------------------------------------------


def find_batch(symbols: Symbols, parameters: Collection[str], batch_axis: Any) -> Batch:
    """Return the batch of a loss, given as an axis of the data, as a size letter or as {"X": 0, "y": 0}.

    The data are the variables that are no parameters.  Raises DeclarationError where no batch, or no single
    one, can be found.
    """
    data = {name: symbol for name, symbol in symbols.items() if name not in parameters}
    if not data:
        listed = ", ".join(parameters)
        reason = f"the loss has no data to split: all its variables are parameters ({listed})"
        raise DeclarationError(reason, advice="name in wrt only what is trained")
    letter = _find_letter(data, [symbols[name] for name in parameters if name in symbols], batch_axis)
    axes = {name: places[0] for name, symbol in data.items() if (places := _find_places(name, symbol, letter))}
    if not axes:
        raise DeclarationError(f"no variable of the data has the size {letter}: {_list_shapes(data)}", advice=_DECLARE)
    return Batch(letter, axes)


_DECLARE = 'declare the shapes, as in shapes={"X": ("m", "n"), "y": ("m",)}'


def _find_letter(data: Symbols, parameters: Iterable[Expression], batch_axis: Any) -> str:
    own = {letter: wrt.name for wrt in parameters for size in wrt.shape for letter in size.letters}
    if isinstance(batch_axis, Mapping):
        letter = _read_axes(data, batch_axis)
    elif isinstance(batch_axis, int) and not isinstance(batch_axis, bool):
        return _find_along(data, batch_axis, own)
    else:
        letter = str(batch_axis).strip()
        if not isinstance(batch_axis, str) or not letter.isidentifier():
            reason = f"the batch axis is an axis such as 0, or a size such as 'm', not {str(batch_axis)[:40]!r}"
            raise DeclarationError(reason, advice='give 0, "m" or {"X": 0, "y": 0}')
    if letter in own:
        reason = f"{letter} is a size of the parameter {own[letter]}, which every process holds whole"
        raise DeclarationError(reason, advice="choose the size that counts the samples")
    return letter


def _find_along(data: Symbols, axis: int, own: Mapping[str, str]) -> str:
    """Return the only letter that the data have along an axis and the parameters have not."""
    found = {name: size for name, symbol in data.items() if (size := _find_size(symbol, axis)) is not None}
    letters: dict[str, list[str]] = {}
    for name, size in found.items():
        if size.letters and not own.keys() & size.letters:
            letters.setdefault(_read_letter(name, axis, size), []).append(name)
    if len(letters) == 1:
        return next(iter(letters))
    if letters:
        could = " or ".join(f"{letter} (of {', '.join(names)})" for letter, names in letters.items())
        reason = f"the size of the batch could be {could} along axis {axis}"
        raise DeclarationError(reason, advice=f'say which: batch_axis="{next(iter(letters))}"')
    raise _explain_none(data, found, axis, own)


def _find_size(symbol: Expression, axis: Any) -> Size | None:
    shape = symbol.squeezed_shape
    is_axis = isinstance(axis, int) and not isinstance(axis, bool) and -len(shape) <= axis < len(shape)
    return shape[axis] if is_axis else None


def _explain_none(data: Symbols, found: Mapping[str, Size], axis: int, own: Mapping[str, str]) -> DeclarationError:
    if not found:
        return DeclarationError(f"none of the data has an axis {axis}: {_list_shapes(data)}", advice=_DECLARE)
    name, size = next(iter(found.items()))
    if not size.letters:
        reason = f"{name} has the fixed size {size} along axis {axis}, and a batch is split into smaller ones"
        return DeclarationError(reason, advice=f"give the batch a letter: {_DECLARE}")
    wrt = next(own[letter] for letter in size.letters if letter in own)
    reason = f"{name} has along axis {axis} the size {size}, which the parameter {wrt} has too, so it counts no samples"
    return DeclarationError(reason, advice=f"count the samples along another axis, as in batch_axis={int(axis == 0)}")


def _read_axes(data: Symbols, axes: Mapping[Any, Any]) -> str:
    """Return the letter that the named axes have in common; every variable that has it must be named."""
    different = list(dict.fromkeys(_read_axis(data, name, axis) for name, axis in axes.items()))
    if len(different) != 1:
        reason = f"the batch has one size, not {' and '.join(different) or 'none'}"
        raise DeclarationError(reason, advice=f"give the batch one letter: {_DECLARE}")
    letter = different[0]
    for name, symbol in data.items():
        if name not in axes and letter in map(str, symbol.squeezed_shape):
            raise DeclarationError(f"{name} has the size {letter} of the batch, too", advice=f"name {name} as well")
    return letter


def _read_axis(data: Symbols, name: Any, axis: Any) -> str:
    if name not in data:
        reason = f"{str(name)[:40]} is none of the data; they are {', '.join(data)}"
        raise DeclarationError(reason, advice="name variables that are no parameters")
    size = _find_size(data[name], axis)
    if size is None:
        reason = f"{name} has no axis {axis!r}; its shape is {write_shape(data[name].squeezed_shape)}"
        raise DeclarationError(reason, advice=f'count the axes from 0, as in {{"{name}": 0}}')
    return _read_letter(name, axis, size)


def _read_letter(name: str, axis: Any, size: Size) -> str:
    if len(size.letters) != 1 or size.number != 1:
        reason = f"{name} has along axis {axis} the size {size}, and a batch needs a letter of its own"
        raise DeclarationError(reason, advice=_DECLARE)
    return size.letters[0]


def _find_places(name: str, symbol: Expression, letter: str) -> list[int]:
    """Return the axes of a variable that count the samples: one or none; raises DeclarationError for others."""
    places = [place for place, size in enumerate(symbol.shape) if letter in size.letters]
    if len(places) > 1:
        reason = f"{name} has the size {letter} of the batch along {len(places)} axes, so no process can have a share"
        raise DeclarationError(reason, advice="choose a size that counts samples, one in each row")
    if places and symbol.shape[places[0]] != letter:
        reason = f"{name} has the size {symbol.shape[places[0]]}, of which {letter} is only a part"
        raise DeclarationError(reason, advice="declare the batch as one letter")
    return places


def refuse_abstract_samples(loss: Expression, batch: Batch) -> None:
    """Raise DeclarationError where a function of which nothing is known takes or gives all samples at once."""
    for node in walk(loss):
        if node.op not in ("abstract", "abstract_derivative"):
            continue
        if any(batch.letter in size.letters for size in (*node.shape, *node.args[0].shape)):
            reason = f"{node.name} takes or gives all {batch.letter} samples, and of a share nothing is known of it"
            raise DeclarationError(reason, advice="write the loss with known functions")


def _list_shapes(data: Symbols) -> str:
    return ", ".join(f"{name} is {write_shape(symbol.squeezed_shape)}" for name, symbol in data.items())
