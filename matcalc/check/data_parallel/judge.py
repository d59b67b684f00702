"""Losses -> reports: points are prepared, the processes run once for all of them, and their gradients are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from matcalc.check.compare import Comparison, compare_tensors, find_largest, find_shown, write_error
from matcalc.check.conditions import Trouble, find_hidden_kink, names_below
from matcalc.check.data_parallel import DataParallelReport, LossQuestion, Settings
from matcalc.check.data_parallel.processes import Gradients, ProcessTask, run_tasks
from matcalc.check.modes import own_modes
from matcalc.check.points import PATIENCE, PRIMES, NoPoint, Point, PointSearch, draw
from matcalc.check.report import AGREES, COULD_NOT_CHECK, DIFFERS, CheckReport
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import rules_in_force

EQUAL_SHARES = "this holds for shares of one size; of unequal ones the mean of the means is not the mean"

_Pairs = Sequence[tuple[Tensor, Tensor]]


def judge_losses(questions: Sequence[LossQuestion], settings: Settings) -> list[DataParallelReport]:
    """Return a report for each loss; the processes are started once for all of them."""
    with own_modes(settings.dtype):
        prepared = [_find_points(question, settings) for question in questions]
        tasks = [
            ProcessTask(question.source, [question.batch.deal(point, settings.processes) for point in points])
            for question, points in zip(questions, prepared, strict=True)
            if not isinstance(points, str)
        ]
        measured = run_tasks(tasks, settings.processes, settings.timeout) if tasks else []
        if isinstance(measured, str):
            return [_give_up(question, measured, settings) for question in questions]
        found = iter(measured)
        return [
            _give_up(question, points, settings)
            if isinstance(points, str)
            else _judge(_Measured(question, points, next(found), settings))
            for question, points in zip(questions, prepared, strict=True)
        ]


def _give_up(question: LossQuestion, reason: str, settings: Settings) -> DataParallelReport:
    given = _list_settings(question, settings)
    return DataParallelReport(COULD_NOT_CHECK, (reason,), message=f"could not check: {reason}", **given)


def _list_settings(question: LossQuestion, settings: Settings) -> dict[str, Any]:
    texts = [f"{wrt.name}: {text}" for wrt, text in zip(question.parameters, question.written, strict=True)]
    return {
        "seed": settings.seed, "layout": "torch", "dtype": settings.dtype, "processes": settings.processes,
        "batch": question.batch.letter, "variables": dict(question.source.shapes), "command": question.command,
        "correct": "; ".join(texts) if len(texts) > 1 else question.written[0],
    }  # fmt: skip


# --- points ---------------------------------------------------------------------------------------


def _find_points(question: LossQuestion, settings: Settings) -> list[Point] | str:
    """Return points at which the symbolic derivatives are torch's of the whole batch, or why there are none."""
    search = ShareSearch(question, settings)
    points: list[Point] = []
    with rules_in_force(question.source.rules):
        for trial in range(settings.trials):
            try:
                point = _find_point(question, search, trial)
            except NoAgreement as problem:
                return str(problem)
            if isinstance(point, NoPoint):
                return points or point.reason
            points.append(point)
    return points


class NoAgreement(MatcalcError):
    """The symbolic derivative is not torch's gradient, so nothing can be judged by it."""


# Of two samples too much is special: their deviations from the mean, for one, are equal but for the sign.
SHARES = (*PRIMES[1:], 2)


class ShareSearch(PointSearch):
    """Draws points whose batch can be dealt in equal shares, each share a fair point itself."""

    def __init__(self, question: LossQuestion, settings: Settings) -> None:
        extra = (*question.parameters, *question.derivatives)
        shape = max((wrt.squeezed_shape for wrt in question.parameters), key=len)
        dtype = getattr(torch, settings.dtype)
        super().__init__(question.loss, extra, seed=settings.seed, shape=shape, dtype=dtype)
        self.batch, self.processes = question.batch, settings.processes

    def deal(self, point: Point) -> list[Point]:
        """Return the point as each process sees it."""
        return self.batch.deal(point, self.processes)

    def _draw(self, trial: int) -> Point:
        point = super()._draw(trial)
        sizes = point.sizes | {self.batch.letter: self.processes * self._choose_share(trial, point.sizes)}
        generator = torch.Generator().manual_seed(hash((self.seed, trial, self.tries_left)) % 2**62)
        values = dict(point.values)
        for name in self.batch.axes:
            shape = tuple(size.value(sizes) for size in self.variables[name].shape)
            values[name] = draw(shape, point.domains[name], generator).to(self.device, self.dtype)
        return replace(point, values=values, sizes=sizes)

    def _choose_share(self, trial: int, sizes: Mapping[str, int]) -> int:
        """Return a size of the shares that is none of the other sizes, another one at each trial."""
        others = {size for letter, size in sizes.items() if letter != self.batch.letter}
        free = [prime for prime in SHARES if prime not in others]
        return free[(trial + self.rejections // PATIENCE) % len(free)]

    def _inspect(self, point: Point) -> Point | Trouble:
        """Return the point where it and all its shares will do, else what is wrong."""
        found = super()._inspect(point)
        if isinstance(found, Trouble):
            return found
        inspected = map(super()._inspect, self.deal(found))
        return next((share for share in inspected if isinstance(share, Trouble)), found)


def _find_point(question: LossQuestion, search: ShareSearch, trial: int) -> Point | NoPoint:
    while not isinstance(point := search.find(trial), NoPoint):
        reason = "the derivative is not finite"
        try:
            if _is_sound(question, point, search.deal(point)):
                return point
        except NoAgreement:
            raise
        except MatcalcError as error:
            reason = error.reason
        search.reject(Trouble(reason, names_below(question.loss)))
    return point


def _is_sound(question: LossQuestion, point: Point, shares: list[Point]) -> bool:
    """Return whether all gradients are finite; raises NoAgreement where the symbolic ones are not torch's."""
    if not bool(_join_entries(average_gradients(question.loss, question.parameters, shares).values()).isfinite().all()):
        return False
    for place, wrt in enumerate(question.parameters):
        found = compare_tensors(lambda values, place=place, wrt=wrt: (  # type: ignore[misc]
            find_gradients(question.loss, (wrt,), replace(point, values=values))[wrt.name],
            _derive(question, place, point, values),
        ), point, 1)  # fmt: skip
        if found is None:
            return False
        if not found.is_small:
            kink = find_hidden_kink(question.loss, point)
            gap = f"relative error {write_error(found.error)}"
            told = f"the symbolic derivative by {wrt.name} is not torch's gradient of the whole batch ({gap})"
            raise NoAgreement(kink or told)
    return True


# --- gradients ------------------------------------------------------------------------------------


def _derive(question: LossQuestion, place: int, point: Point, values: Gradients) -> Tensor:
    """Return the symbolic derivative by one parameter at a point, without unit axes."""
    with torch.no_grad():
        value = evaluate(question.derivatives[place], values, dict(point.sizes), point.functions)
    return squeeze(question.parameters[place], value, point.sizes)


def find_gradients(expression: Expression, parameters: tuple[Expression, ...], point: Point) -> Gradients:
    """Return torch's gradients of a scalar expression by name, without unit axes."""
    moving = {wrt.name: point.values[wrt.name].detach().clone().requires_grad_() for wrt in parameters}
    with torch.enable_grad():
        value = evaluate(expression, point.values | moving, dict(point.sizes), point.functions).reshape(())
    found: Sequence[Tensor | None] = [None] * len(moving)
    if value.requires_grad:
        found = torch.autograd.grad(value, [*moving.values()], allow_unused=True)
    return {
        wrt.name: squeeze(wrt, torch.zeros_like(x) if gradient is None else gradient, point.sizes)
        for wrt, x, gradient in zip(parameters, moving.values(), found, strict=True)
    }


def average_gradients(expression: Expression, parameters: tuple[Expression, ...], shares: list[Point]) -> Gradients:
    """Return the mean over the shares of their gradients, by name."""
    found = [find_gradients(expression, parameters, share) for share in shares]
    return {name: torch.stack([one[name] for one in found]).mean(dim=0) for name in found[0]}


def _join_entries(gradients: Iterable[Tensor]) -> Tensor:
    """Return the entries of all gradients in one row."""
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


# --- verdict --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured:
    """A loss with its points and the gradients that the processes averaged there."""

    question: LossQuestion
    points: list[Point]
    averaged: list[Gradients]
    settings: Settings

    def pair_up(self, place: int, number: int) -> tuple[Tensor, Tensor]:
        """Return the symbolic derivative by one parameter and its averaged gradient at a point."""
        wrt, point = self.question.parameters[place], self.points[number]
        averaged = squeeze(wrt, self.averaged[number][wrt.name], point.sizes)
        return _derive(self.question, place, point, point.values), averaged

    def pair_up_all(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the entries of all derivatives and of all averaged gradients at a point."""
        pairs = [self.pair_up(place, number) for place in range(len(self.question.parameters))]
        truth, averaged = zip(*pairs, strict=True)
        return _join_entries(truth), _join_entries(averaged)

    def compare(self, place: int, number: int) -> Comparison:
        """Return how far apart they are; rounding is judged by the same means computed here, at points nearby."""
        question, point = self.question, self.points[number]
        wrt = question.parameters[place]

        def compute(values: Gradients) -> tuple[Tensor, Tensor]:
            if values is point.values:
                return self.pair_up(place, number)
            shares = question.batch.deal(replace(point, values=values), self.settings.processes)
            means = average_gradients(question.loss, (wrt,), shares)
            return _derive(question, place, point, values), means[wrt.name]

        found = compare_tensors(compute, point, number + 1)
        assert found is not None, "the points were chosen where all gradients are finite"
        return found


def _judge(measured: _Measured) -> DataParallelReport:
    question, settings, count = measured.question, measured.settings, len(measured.points)
    with rules_in_force(question.source.rules):
        reports = {wrt.name: _judge_parameter(measured, place) for place, wrt in enumerate(question.parameters)}
        worst = max(reports.values(), key=lambda report: report.max_error or 0.0)
        shared = _list_settings(question, settings) | {
            "max_error": worst.max_error, "points": count, "sizes": worst.sizes, "domains": worst.domains,
            "worst": worst.worst, "parameters": reports,
        }  # fmt: skip
        if all(reports.values()):
            message = (
                f"agrees: the gradient that DistributedDataParallel averages over {settings.processes} processes is "
                f"the derivative of the whole-batch loss at {count} point{'s' if count != 1 else ''}, "
                f"largest relative error {write_error(worst.max_error or 0.0)}"
            )
            return DataParallelReport(AGREES, message=message, notes=(EQUAL_SHARES,), **shared)
        factor, message = _explain(measured)
    return DataParallelReport(DIFFERS, _name_reason(factor), factor=factor, message=f"differs: {message}", **shared)


def _judge_parameter(measured: _Measured, place: int) -> CheckReport:
    question, settings = measured.question, measured.settings
    numbers = range(len(measured.points))
    comparisons = [measured.compare(place, number) for number in numbers]
    worst, shown = find_largest(comparisons), find_shown(comparisons)
    shared: dict[str, Any] = {
        "max_error": worst.error, "points": len(numbers), "seed": settings.seed, "layout": "torch",
        "sizes": shown.point.sizes, "domains": shown.point.domains, "dtype": settings.dtype,
        "correct": question.written[place], "variables": dict(question.source.shapes),
    }  # fmt: skip
    name = question.parameters[place].name
    if worst.is_small:
        message = f"agrees: the averaged gradient of {name} is its derivative, largest relative error"
        return CheckReport(AGREES, message=f"{message} {write_error(worst.error)}", **shared)
    ratio = find_ratio([measured.pair_up(place, number) for number in numbers], settings.processes)
    factor, entry = ratio.constant if ratio else None, replace(worst.worst, seed=settings.seed)
    if factor is not None:
        message = f"differs: the averaged gradient of {name} is {write_multiple(factor)} its derivative"
    else:
        message = f"differs: {entry.entry} of the averaged gradient of {name} {entry.numbers} (point {entry.point})"
    return CheckReport(DIFFERS, _name_reason(factor), worst=entry, factor=factor, message=message, **shared)


def _name_reason(factor: float | None) -> tuple[str]:
    return ("other",) if factor is None else ("factor",)


# --- by what number a gradient is off -------------------------------------------------------------

CLOSE = {torch.float64: 1e-6, torch.float32: 1e-3}
_LARGEST_DENOMINATOR = 64


@dataclass(frozen=True)
class Ratio:
    """How many times the true gradient the averaged one is: one number at all points, or `at` each point its own."""

    at: tuple[float, ...]
    constant: float | None

    @property
    def is_whole(self) -> bool:
        """Whether the averaged gradient is the true one."""
        return self.constant == 1


def find_ratio(pairs: _Pairs, processes: int) -> Ratio | None:
    """Return by what number each truth must be multiplied to give what came, None where no number does.

    `pairs` holds truth and averaged gradient at each point.  A single number is always a multiple of another,
    so of a scalar parameter only a number that is the same at several points, or a power of the number of
    processes, counts.
    """
    found = [_divide(truth.reshape(-1), got.reshape(-1)) for truth, got in pairs]
    at = tuple(ratio for ratio in found if ratio is not None)
    if not at or len(at) < len(found):
        return None
    constant = _find_constant(at, processes, CLOSE[pairs[0][0].dtype])
    has_proof = pairs[0][0].numel() > 1 or (constant is not None and (len(at) > 1 or constant in powers(processes)))
    return Ratio(at, constant) if has_proof else None


def _divide(truth: Tensor, got: Tensor) -> float | None:
    square = float(truth @ truth)
    if square == 0:
        return None
    ratio = float(truth @ got) / square
    scale = max(float(truth.abs().amax()), float(got.abs().amax()))
    off = float((got - ratio * truth).abs().amax())
    close = CLOSE[truth.dtype]
    return ratio if off <= close * scale and abs(ratio) > close else None


def _find_constant(at: tuple[float, ...], processes: int, close: float) -> float | None:
    """Return the one number that all are close to, rounded to a power of the processes or a simple fraction."""
    middle = sum(at) / len(at)
    if max(abs(ratio - middle) for ratio in at) > close * abs(middle):
        return None
    simple = [*powers(processes), float(Fraction(middle).limit_denominator(_LARGEST_DENOMINATOR))]
    return next((number for number in simple if abs(number - middle) <= close * abs(middle)), middle)


def powers(processes: int) -> list[float]:
    """Return the numbers by which sums, means, and means taken twice or thrice are off.

    >>> powers(2)
    [1.0, 0.5, 2.0, 0.25, 4.0, 0.125, 8.0]
    """
    return [1.0, *(float(processes) ** power for size in (1, 2, 3) for power in (-size, size))]


def write_multiple(ratio: float) -> str:
    """Return a number as the amount of something.

    >>> write_multiple(0.5), write_multiple(2.0), write_multiple(math.sqrt(2))
    ('1/2 of', '2 times', '1.414 times')
    """
    fraction = Fraction(ratio).limit_denominator(_LARGEST_DENOMINATOR)
    if not math.isclose(fraction, ratio, rel_tol=1e-9):
        return f"{ratio:.4g} times"
    return f"{fraction} of" if abs(fraction) < 1 else f"{fraction} times"


# --- why it is off: the loss sums, some of its terms do, or it does not split at all --------------

LONGEST_PART = 60
_SUMS = "use the mean over the batch, or multiply the loss by the number of processes"
_APART = "use the mean over the batch in every term that has the data, and no size of the batch in the others"
_ALONE = "write the loss as the mean of one term for each sample"


def _explain(measured: _Measured) -> tuple[float | None, str]:
    """Return the number by which the averaged gradients, all together, are off, if there is one, and why they are."""
    question, points, processes = measured.question, measured.points, measured.settings.processes
    ratio = find_ratio([measured.pair_up_all(number) for number in range(len(points))], processes)
    if ratio is not None and ratio.constant is not None and not ratio.is_whole:
        return ratio.constant, _explain_factor(ratio.constant, processes)
    parts = _measure_parts(question, points, processes)
    if len(parts) > 1:
        return None, _explain_parts(parts, processes)
    if ratio is not None:
        return None, _explain_varying(ratio, points, question.batch.letter)
    return None, (
        "the loss is neither a sum nor a mean over samples, so the gradients of the "
        f"{processes} processes do not average to the gradient of the whole batch; {_ALONE}"
    )


def _explain_factor(factor: float, processes: int) -> str:
    if factor == 1 / processes:
        averages = f"DistributedDataParallel averages over its {processes} processes"
        why = f"the loss sums over the batch, and {averages}; {_SUMS}"
    elif factor in powers(processes) and factor > 1:
        why = "the loss divides by the size of the batch more than once, and each process by that of its share"
        why += "; divide by it once"
    else:
        why = "the loss neither sums nor averages over the batch; use the mean over the batch"
    return f"the averaged gradient is {write_multiple(factor)} the derivative of the whole-batch loss: {why}"


def _explain_varying(ratio: Ratio, points: list[Point], letter: str) -> str:
    found = {point.sizes[letter]: multiple for point, multiple in zip(points, ratio.at, strict=True)}
    listed = ", ".join(f"{multiple:.4g} times for {letter} = {size}" for size, multiple in sorted(found.items()))
    return (
        f"the averaged gradient is a multiple of the derivative of the whole-batch loss, {listed}: the loss "
        "divides by something else than the size of the batch; use the mean over the batch"
    )


def _measure_parts(question: LossQuestion, points: list[Point], processes: int) -> list[tuple[str, Ratio | None]]:
    """Return the terms of the loss that have a gradient, each with the number by which it is off."""
    measured = []
    for part in question.parts:
        pairs = [
            (
                _join_entries(find_gradients(part, question.parameters, point).values()),
                _join_entries(average_gradients(part, question.parameters, shares).values()),
            )
            for point, shares in ((point, question.batch.deal(point, processes)) for point in points)
        ]
        if any(bool(truth.any()) or bool(got.any()) for truth, got in pairs):
            measured.append((to_text(part), find_ratio(pairs, processes)))
    return measured


def _explain_parts(parts: list[tuple[str, Ratio | None]], processes: int) -> str:
    """Return what becomes of each term, those with the same fate together."""
    fates: dict[str, list[str]] = {}
    for text, ratio in parts:
        shown = text if len(text) <= LONGEST_PART else text[: LONGEST_PART - 4] + " ..."
        fates.setdefault(_tell_fate(ratio, processes), []).append(shown)
    told = "; ".join(f"{' and '.join(texts)} {fate}" for fate, texts in fates.items())
    if any(ratio is None for _, ratio in parts):
        return f"{told}; {_ALONE}"
    return f"the terms of the loss are not averaged alike, so no single factor mends it: {told}; {_APART}"


def _tell_fate(ratio: Ratio | None, processes: int) -> str:
    if ratio is None:
        return "does not split into samples, being neither a sum nor a mean over them"
    if ratio.is_whole:
        return "arrives whole"
    if ratio.constant is None:
        return "arrives with a factor that depends on the size of the batch"
    sums = "sums over the batch and " if ratio.constant == 1 / processes else ""
    return f"{sums}arrives as {write_multiple(ratio.constant)} its derivative"
