"""What is asked of data-parallel training: the loss, its parameters, their derivatives, the batch and its shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from matcalc.check.data_parallel.batch import Batch
from matcalc.check.report import CheckReport
from matcalc.language.expression import Expression, divide, multiply, symbols
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.points import Point


@dataclass(frozen=True)
class BatchPart:
    """A term of the loss, and how it is written."""

    expression: Expression
    text: str


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

    `derivation` are the symbolic ones in torch's layout, in the order of `parameters`, and `written` their texts;
    `parts` are the terms of the loss; `command` asks the same again.
    """

    source: LossText
    loss: Expression
    parameters: tuple[Expression, ...]
    derivatives: tuple[Expression, ...]
    written: tuple[str, ...]
    parts: tuple[BatchPart, ...]
    batch: Batch
    command: str = ""

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """The shape that each name was taken for."""
        return dict(self.source.shapes)


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


def split_point(point: Point, batch: Batch, processes: int) -> list[Point]:
    """Return the point as each process sees it: its share of the samples, all else whole."""
    sizes = point.sizes | {batch.letter: point.sizes[batch.letter] // processes}
    shares = [batch.take_share(point.values, rank, processes) for rank in range(processes)]
    return [replace(point, values=values, sizes=dict(sizes)) for values in shares]


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
