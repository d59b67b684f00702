"""Gradients that differ -> why, in a sentence: the loss sums, some of its terms do, or it does not split at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from matcalc.check.data_parallel.points import average_gradients, find_gradients
from matcalc.check.data_parallel.question import LossQuestion, split_point
from matcalc.check.data_parallel.ratios import Ratio, find_ratio, is_zero, powers, write_multiple
from matcalc.check.points import Point
from matcalc.language.expression import Expression

LONGEST_PART = 60
_SUMS = "use the mean over the batch, or multiply the loss by the number of processes"
_APART = "use the mean over the batch in every term that has the data, and no size of the batch in the others"
_ALONE = "write the loss as the mean of one term for each sample"

Pairs = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Cause:
    """Why an averaged gradient differs: the number it is off by, if there is one, and the sentence."""

    factor: float | None
    message: str


def explain(question: LossQuestion, points: list[Point], pairs: Pairs, processes: int) -> Cause:
    """Return why the averaged gradients, all parameters together, are not those of the whole batch."""
    ratio = find_ratio(pairs, processes)
    if ratio is not None and ratio.constant is not None and not ratio.is_whole:
        return Cause(ratio.constant, _explain_factor(ratio.constant, processes))
    parts = _measure_parts(question, points, processes)
    if len(parts) > 1:
        return Cause(None, _explain_parts(parts, processes))
    if ratio is not None:
        return Cause(None, _explain_varying(ratio, points, question.batch.letter))
    return Cause(None, _explain_whole(processes))


def _explain_factor(factor: float, processes: int) -> str:
    start = f"differs: the averaged gradient is {write_multiple(factor)} the derivative of the whole-batch loss"
    if factor == 1 / processes:
        averages = f"DistributedDataParallel averages over its {processes} processes"
        return f"{start}: the loss sums over the batch, and {averages}; {_SUMS}"
    if factor in powers(processes) and factor > 1:
        why = "the loss divides by the size of the batch more than once, and each process by that of its share"
        return f"{start}: {why}; divide by it once"
    return f"{start}: the loss neither sums nor averages over the batch; use the mean over the batch"


def _explain_varying(ratio: Ratio, points: list[Point], letter: str) -> str:
    found = {point.sizes[letter]: multiple for point, multiple in zip(points, ratio.at, strict=True)}
    listed = ", ".join(f"{multiple:.4g} times for {letter} = {size}" for size, multiple in sorted(found.items()))
    return (
        f"differs: the averaged gradient is a multiple of the derivative of the whole-batch loss, {listed}: the loss "
        "divides by something else than the size of the batch; use the mean over the batch"
    )


def _explain_whole(processes: int) -> str:
    return (
        "differs: the loss is neither a sum nor a mean over samples, so the gradients of the "
        f"{processes} processes do not average to the gradient of the whole batch; {_ALONE}"
    )


# --- terms ----------------------------------------------------------------------------------------


def _measure_parts(question: LossQuestion, points: list[Point], processes: int) -> list[tuple[str, Ratio | None]]:
    """Return the terms of the loss that have a gradient, each with the number by which it is off."""
    measured = []
    for part in question.parts:
        pairs = [_pair_up(question, part.expression, point, processes) for point in points]
        if not is_zero(pairs):
            measured.append((part.text, find_ratio(pairs, processes)))
    return measured


def _pair_up(question: LossQuestion, part: Expression, point: Point, processes: int) -> tuple[Tensor, Tensor]:
    whole = find_gradients(part, question.parameters, point)
    mean = average_gradients(part, question.parameters, split_point(point, question.batch, processes))
    return join_entries(whole.values()), join_entries(mean.values())


def join_entries(gradients: Iterable[Tensor]) -> Tensor:
    """Return the entries of all gradients in one row."""
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def _explain_parts(parts: list[tuple[str, Ratio | None]], processes: int) -> str:
    """Return what becomes of each term, those with the same fate together."""
    fates: dict[str, list[str]] = {}
    for text, ratio in parts:
        fates.setdefault(_tell_fate(ratio, processes), []).append(_shorten(text))
    told = "; ".join(f"{' and '.join(texts)} {fate}" for fate, texts in fates.items())
    if all(ratio is not None for _, ratio in parts):
        start = "the terms of the loss are not averaged alike, so no single factor mends it"
        return f"differs: {start}: {told}; {_APART}"
    return f"differs: {told}; {_ALONE}"


def _tell_fate(ratio: Ratio | None, processes: int) -> str:
    if ratio is None:
        return "does not split into samples, being neither a sum nor a mean over them"
    if ratio.is_whole:
        return "arrives whole"
    if ratio.constant is None:
        return "arrives with a factor that depends on the size of the batch"
    sums = "sums over the batch and " if ratio.constant == 1 / processes else ""
    return f"{sums}arrives as {write_multiple(ratio.constant)} its derivative"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_PART else text[: LONGEST_PART - 4] + " ..."
