"""Losses -> reports: points are prepared, the processes run once for all of them, and their gradients are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from matcalc.check.compare import TOLERANCES, Comparison, compare_tensors, find_largest, find_shown, write_error
from matcalc.check.conditions import Trouble, find_hidden_kink, names_below
from matcalc.check.data_parallel.explain import explain, join_entries
from matcalc.check.data_parallel.launch import ProcessTask, run_tasks
from matcalc.check.data_parallel.points import ShareSearch, average_gradients, find_gradients
from matcalc.check.data_parallel.question import DataParallelReport, LossQuestion, Settings, split_point
from matcalc.check.data_parallel.ratios import find_ratio, write_multiple
from matcalc.check.modes import own_modes
from matcalc.check.points import NoPoint, Point
from matcalc.check.report import AGREES, COULD_NOT_CHECK, DIFFERS, CheckReport
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.errors import MatcalcError
from matcalc.language.text_to_expression import rules_in_force

_Values = Mapping[str, Tensor]

EQUAL_SHARES = "this holds for shares of one size; of unequal ones the mean of the means is not the mean"


def judge_losses(questions: Sequence[LossQuestion], settings: Settings) -> list[DataParallelReport]:
    """Return a report for each loss; the processes are started once for all of them."""
    with own_modes(settings.dtype):
        return _judge_losses(questions, settings)


def _judge_losses(questions: Sequence[LossQuestion], settings: Settings) -> list[DataParallelReport]:
    prepared = [_find_points(question, settings) for question in questions]
    ready = {place: points for place, points in enumerate(prepared) if not isinstance(points, str)}
    tasks = [_make_task(questions[place], points, settings) for place, points in ready.items()]
    measured = run_tasks(tasks, settings.processes, settings.timeout) if tasks else []
    if isinstance(measured, str):
        return [_give_up(question, measured, settings) for question in questions]
    found = dict(zip(ready, measured, strict=True))
    return [
        _give_up(question, points, settings)
        if isinstance(points, str)
        else _judge(_Measured(question, points, found[place], settings))
        for place, (question, points) in enumerate(zip(questions, prepared, strict=True))
    ]


def _tolerance(settings: Settings) -> float:
    return TOLERANCES[getattr(torch, settings.dtype)]


def _make_task(question: LossQuestion, points: list[Point], settings: Settings) -> ProcessTask:
    return ProcessTask(question.source, [split_point(point, question.batch, settings.processes) for point in points])


def _give_up(question: LossQuestion, reason: str, settings: Settings) -> DataParallelReport:
    given = _list_settings(question, settings)
    return DataParallelReport(COULD_NOT_CHECK, (reason,), message=f"could not check: {reason}", **given)


def _list_settings(question: LossQuestion, settings: Settings) -> dict[str, Any]:
    return {
        "seed": settings.seed, "layout": "torch", "dtype": settings.dtype, "processes": settings.processes,
        "batch": question.batch.letter, "variables": question.variables, "command": question.command,
        "correct": _write_derivatives(question),
    }  # fmt: skip


def _write_derivatives(question: LossQuestion) -> str:
    if len(question.written) == 1:
        return question.written[0]
    return "; ".join(f"{wrt.name}: {text}" for wrt, text in zip(question.parameters, question.written, strict=True))


# --- points ---------------------------------------------------------------------------------------


def _find_points(question: LossQuestion, settings: Settings) -> list[Point] | str:
    """Return points at which the symbolic derivatives are torch's of the whole batch, or why there are none."""
    search = ShareSearch(question, settings.processes, seed=settings.seed, dtype=getattr(torch, settings.dtype))
    points: list[Point] = []
    with rules_in_force(question.source.rules):
        for trial in range(settings.trials):
            try:
                point = _find_point(question, search, trial, settings)
            except NoAgreement as problem:
                return str(problem)
            if isinstance(point, NoPoint):
                return points or point.reason
            points.append(point)
    return points


class NoAgreement(MatcalcError):
    """The symbolic derivative is not torch's gradient, so nothing can be judged by it."""


def _find_point(question: LossQuestion, search: ShareSearch, trial: int, settings: Settings) -> Point | NoPoint:
    while not isinstance(point := search.find(trial), NoPoint):
        reason = "the derivative is not finite"
        try:
            if _is_sound(question, point, settings):
                return point
        except NoAgreement:
            raise
        except MatcalcError as error:
            reason = error.reason
        search.reject(Trouble(reason, names_below(question.loss)))
    return point


def _is_sound(question: LossQuestion, point: Point, settings: Settings) -> bool:
    """Return whether all gradients are finite; raises NoAgreement where the symbolic ones are not torch's."""
    shares = split_point(point, question.batch, settings.processes)
    if not bool(join_entries(average_gradients(question.loss, question.parameters, shares).values()).isfinite().all()):
        return False
    for place, wrt in enumerate(question.parameters):
        found = compare_tensors(lambda values, place=place, wrt=wrt: (  # type: ignore[misc]
            find_gradients(question.loss, (wrt,), point, values)[wrt.name], _derive(question, place, point, values)
        ), point, 1)  # fmt: skip
        if found is None:
            return False
        if found.error > _tolerance(settings):
            kink = find_hidden_kink(question.loss, point)
            raise NoAgreement(kink or _write_disagreement(wrt.name, found))
    return True


def _write_disagreement(name: str, found: Comparison) -> str:
    gap = f"relative error {write_error(found.error)}"
    return f"the symbolic derivative by {name} is not torch's gradient of the whole batch ({gap})"


def _derive(question: LossQuestion, place: int, point: Point, values: _Values) -> Tensor:
    """Return the symbolic derivative by one parameter at a point, without unit axes."""
    with torch.no_grad():
        value = evaluate(question.derivatives[place], values, dict(point.sizes), point.functions)
    return squeeze(question.parameters[place], value, point.sizes)


# --- verdict --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured:
    """A loss with its points and the gradients that the processes averaged there."""

    question: LossQuestion
    points: list[Point]
    averaged: list[dict[str, Tensor]]
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
        return join_entries(truth), join_entries(averaged)

    def compare(self, place: int, number: int) -> Comparison:
        """Return how far apart they are; rounding is judged by the same means computed here, at points nearby."""
        point, name = self.points[number], self.question.parameters[place].name

        def compute(values: _Values) -> tuple[Tensor, Tensor]:
            if values is point.values:
                return self.pair_up(place, number)
            shares = split_point(replace(point, values=dict(values)), self.question.batch, self.settings.processes)
            means = average_gradients(self.question.loss, (self.question.parameters[place],), shares)
            return _derive(self.question, place, point, values), means[name]

        found = compare_tensors(compute, point, number + 1)
        assert found is not None, "the points were chosen where all gradients are finite"
        return found


def _judge(measured: _Measured) -> DataParallelReport:
    question, settings = measured.question, measured.settings
    with rules_in_force(question.source.rules):
        reports = {wrt.name: _judge_parameter(measured, place) for place, wrt in enumerate(question.parameters)}
        worst = max(reports.values(), key=lambda report: report.max_error or 0.0)
        shared = _list_settings(question, settings) | {
            "max_error": worst.max_error, "points": len(measured.points), "sizes": worst.sizes,
            "domains": worst.domains, "worst": worst.worst, "parameters": reports,
        }  # fmt: skip
        if all(reports.values()):
            message = _write_agreement(measured, worst.max_error or 0.0)
            return DataParallelReport(AGREES, message=message, notes=(EQUAL_SHARES,), **shared)
        pairs = [measured.pair_up_all(number) for number in range(len(measured.points))]
        cause = explain(question, measured.points, pairs, settings.processes)
    reasons = ("other",) if cause.factor is None else ("factor",)
    return DataParallelReport(DIFFERS, reasons, factor=cause.factor, message=cause.message, **shared)


def _judge_parameter(measured: _Measured, place: int) -> CheckReport:
    question, settings = measured.question, measured.settings
    numbers = range(len(measured.points))
    comparisons = [measured.compare(place, number) for number in numbers]
    worst, shown = find_largest(comparisons), find_shown(comparisons)
    agrees = worst.error <= _tolerance(settings)
    shared: dict[str, Any] = {
        "max_error": worst.error, "points": len(numbers), "seed": settings.seed, "layout": "torch",
        "sizes": shown.point.sizes, "domains": shown.point.domains, "dtype": settings.dtype,
        "correct": question.written[place], "variables": question.variables,
    }  # fmt: skip
    name = question.parameters[place].name
    if agrees:
        message = f"agrees: the averaged gradient of {name} is its derivative, largest relative error"
        return CheckReport(AGREES, message=f"{message} {write_error(worst.error)}", **shared)
    ratio = find_ratio([measured.pair_up(place, number) for number in numbers], settings.processes)
    factor = ratio.constant if ratio else None
    shared |= {"worst": replace(worst.worst, seed=settings.seed), "factor": factor}
    reasons = ("other",) if factor is None else ("factor",)
    return CheckReport(DIFFERS, reasons, message=_write_difference(name, factor, worst), **shared)


def _write_difference(name: str, factor: float | None, worst: Comparison) -> str:
    if factor is not None:
        return f"differs: the averaged gradient of {name} is {write_multiple(factor)} its derivative"
    entry, numbers, point = worst.worst.entry, worst.worst.numbers, worst.worst.point
    return f"differs: {entry} of the averaged gradient of {name} {numbers} (point {point})"


def _write_agreement(measured: _Measured, error: float) -> str:
    count = len(measured.points)
    return (
        f"agrees: the gradient that DistributedDataParallel averages over {measured.settings.processes} processes is "
        f"the derivative of the whole-batch loss at {count} point{'s' if count != 1 else ''}, "
        f"largest relative error {write_error(error)}"
    )
