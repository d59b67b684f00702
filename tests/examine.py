"""Derive a random problem and judge the answer twice: by matcalc's own check, and by a reading of our own."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from matcalc import Derivative, MatcalcError, derive
from matcalc.check.conditions import find_hidden_kink
from matcalc.check.points import NoPoint, Point, PointSearch
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.errors import LimitError, MissingRuleError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse
from tests.random_problems import Case
from tests.read_cases import arrange
from tests.torch_reading import read_with_torch
from tests.torch_words import drop, hold

PATIENCE = 20  # seconds of the processor: another process that takes it is no hang
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What became of a problem: agrees, could not check, an error's name, or a failure with its details."""

    kind: str
    detail: str = ""
    seconds: float = 0.0
    is_failure: bool = False


class Hang(BaseException):
    """Raised when a step takes longer than PATIENCE; no `except Exception` may swallow it."""


class WrongAnswerError(Exception):
    """The answer was derived, and is wrong."""


class NotFiniteError(Exception):
    """There is nothing to compare at this point."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise Hang after so many seconds of the processor."""

    def stop(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def examine(case: Case, seed: int = 0) -> Outcome:
    """Return what became of a case; every exception but a MatcalcError that says what is missing is a failure."""
    started, seconds, step = time.process_time(), 0.0, "derive"
    try:
        with time_limit(PATIENCE):
            answer = derive(case.expr, **case.options())
        seconds, step = time.process_time() - started, "judge"
        with time_limit(PATIENCE):
            return replace(_judge(case, answer, seed), seconds=seconds)
    except (LimitError, MissingRuleError) as error:
        return Outcome(type(error).__name__, f"{step}: {error.reason}", seconds)
    except NotFiniteError as error:
        return Outcome("could not check", f"{error} is not finite", seconds)
    except WrongAnswerError as error:
        return Outcome(*error.args, seconds, True)
    except Hang:
        return Outcome(f"hang in {step}", f"longer than {PATIENCE} s", PATIENCE, True)
    except Exception as error:
        return _describe_exception(case, error, step, seconds)


def _describe_exception(case: Case, error: Exception, step: str, seconds: float) -> Outcome:
    """An ill-formed problem is the generator's mistake; all else that is raised is matcalc's."""
    try:
        parse(case.expr, wrt=case.wrt, shapes=case.shapes, assume=case.assume)
    except MatcalcError:
        return Outcome(f"{type(error).__name__} of the parser", str(error), seconds)
    lines = traceback.format_exception(error)
    return Outcome(f"{type(error).__name__} in {step}", "".join(lines[-4:]), seconds, True)


# --- the judgement ------------------------------------------------------------------------------------


def _judge(case: Case, answer: Derivative, seed: int) -> Outcome:
    _require_shape(case, answer)
    report = answer.check(trials=1, seed=seed)
    if report.verdict == "differs":
        raise WrongAnswerError("differs", f"{report.message}; str(d) = {answer}")
    point = PointSearch(answer.function, (answer.wrt, answer.expression), seed=seed, shape=answer.shape).find(0)
    if isinstance(point, NoPoint):
        return Outcome("could not check", point.reason)
    truth = differentiate_text(case, point)
    try:
        got = _evaluate(answer.expression, point)
        _require_close(_lay_out(case, answer, truth), got, point, "evaluate", str(answer))
    except WrongAnswerError:
        kink = find_hidden_kink(answer.function, point)
        if kink is None:
            raise
        return Outcome("could not check", kink)
    if case.order == 1:
        _compare_differential(case, answer, point, truth)
    _compare_views(case, answer, point)
    return Outcome(report.verdict, "; ".join(report.reasons))


def _require_shape(case: Case, answer: Derivative) -> None:
    """The shape is what the layout's law says."""
    law = state_law(answer.function.squeezed_shape, answer.wrt.squeezed_shape, case.layout, case.order)
    if tuple(answer.shape) != law or tuple(answer.expression.squeezed_shape) != law:
        found = f"{answer.shape}, printed as {answer.expression.squeezed_shape}"
        raise WrongAnswerError("shape", f"the shape should be {law}, not {found}")


def state_law(of_y: tuple[Size, ...], of_x: tuple[Size, ...], layout: str, order: int) -> tuple[Size, ...]:
    """Return the shape of a derivative in a layout."""
    numerator = of_y + order * of_x[::-1]
    if layout == "denominator":
        return numerator[::-1]
    if layout == "torch" or (layout == "mixed" and not of_y):
        return of_y + order * of_x
    if layout != "vec":
        return numerator
    sides = prod(of_y + (order - 1) * of_x, start=Size.of(1)), prod(of_x, start=Size.of(1))
    return tuple(size for size in sides if size != 1)


def differentiate_text(case: Case, point: Point) -> Tensor:
    """Return the derivative in torch's order of axes, by autograd of the text, each entry on its own."""
    functions = {name: _wrap(function) for name, function in point.functions.items()}
    held = point.values[case.wrt]

    def function(x: Tensor) -> Tensor:
        moved = {**point.values, **functions, case.wrt: x.reshape(held.shape)}
        return drop(read_with_torch(case.expr, moved, point.sizes))

    at = drop(held)
    shape = tuple(function(at).shape)
    entries = [_differentiate_entry(function, place, at, case.order) for place in range(prod(shape))]
    return torch.stack(entries).reshape(shape + case.order * tuple(at.shape))


def _wrap(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    return lambda x: hold(function(drop(hold(x))))


def _differentiate_entry(function: Callable[[Tensor], Tensor], place: int, at: Tensor, order: int) -> Tensor:
    def entry(x: Tensor) -> Tensor:
        return function(x).reshape(-1)[place]

    if order == 2:
        return torch.autograd.functional.hessian(entry, at).detach()
    return torch.autograd.functional.jacobian(entry, at).detach()


def _lay_out(case: Case, answer: Derivative, truth: Tensor) -> Tensor:
    return arrange(truth, len(answer.function.squeezed_shape), len(answer.wrt.squeezed_shape), case.layout)


def _evaluate(expression: Expression, point: Point) -> Tensor:
    with torch.no_grad():
        return squeeze(expression, evaluate(expression, point.values, point.sizes, point.functions), point.sizes)


def _require_close(truth: Tensor, got: Tensor, point: Point, what: str, text: str) -> None:
    if truth.shape != got.shape:
        raise WrongAnswerError(f"{what}: shape", f"{tuple(got.shape)} instead of {tuple(truth.shape)}: {text}")
    truth, got = truth.detach(), got.detach()
    if not bool((truth + got).isfinite().all()):
        raise NotFiniteError(what)
    scale = max(float(truth.abs().max()), 1e-6 * point.largest, 1e-3)
    error = float((truth - got).abs().max()) / scale
    if not error < TOLERANCE:
        raise WrongAnswerError(f"{what}: value", f"relative error {error:.1e}: {text}")


# --- the other views ------------------------------------------------------------------------------------


def _read(
    case: Case, answer: Derivative, text: str, shapes: Mapping[str, Any], point: Point, values: Mapping[str, Tensor]
) -> Tensor:
    """Return the value of a view of the answer, read from its text; the sizes are those of the case."""
    declared = {**answer.declared, **shapes}
    _, again = parse([case.expr, text], wrt=case.wrt, shapes=declared, assume=answer.assumed).expressions
    return _evaluate(again, replace(point, values={**point.values, **values}))


def _compare_differential(case: Case, answer: Derivative, point: Point, truth: Tensor) -> None:
    """`differential` is linear in dX, and gives what the derivative in torch's order gives for a small change."""
    name, wrt = f"d{answer.wrt.name}", point.values[answer.wrt.name]
    change = torch.cos(torch.arange(wrt.numel(), dtype=torch.float64)).reshape(wrt.shape)
    *definitions, line = answer.differential.split("; ")
    text = "; ".join([*definitions, line.split(" = ", 1)[1]])
    got = _read(case, answer, text, {name: answer.declared[answer.wrt.name]}, point, {name: change})
    wanted = torch.tensordot(truth, drop(change), dims=drop(change).ndim)
    _require_close(wanted, got, point, "differential", answer.differential)


def _compare_views(case: Case, answer: Derivative, point: Point) -> None:
    """`einsum` and `vec` are texts of the same value; the other views are written without an exception."""
    vec = _evaluate(answer.in_layout("vec").expression, point)
    plain = _evaluate(answer.expression, point)
    in_torch_order = _evaluate(answer.in_layout("torch").expression, point)
    wanted = {"einsum": in_torch_order if answer.layout == "vec" else plain, "vec": vec, "str": plain}
    texts = {"einsum": answer.einsum, "vec": answer.vec, "str": str(answer)}
    for what, text in texts.items():
        _require_close(wanted[what], _read(case, answer, text, {}, point, {}), point, what, text)
    assert answer.entries
    assert answer.report()
    assert answer.latex()
