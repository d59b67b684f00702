"""Derive a random problem and judge the answer twice: by matcalc's own check, and by a reading of our own."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch

from matcalc import Derivative, MatcalcError, derive
from matcalc.check.sample import NoPoint, Point, PointSearch
from matcalc.errors import DeclarationError, LimitError, MissingRuleError, RuleError, ShapeError
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse
from tests.strategies import Case
from tests.torch_reading import drop, hold, read_with_torch

PATIENCE = 20
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
    """Raise Hang after so many seconds."""

    def stop(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def examine(case: Case, seed: int = 0) -> Outcome:
    """Return what became of a case; every exception but a MatcalcError that says what is missing is a failure."""
    step, started = "derive", time.perf_counter()
    derived = started
    try:
        with time_limit(PATIENCE):
            answer = derive(case.expr, **case.options())
        derived, step = time.perf_counter(), "judge"
        with time_limit(PATIENCE):
            kind, detail = _judge(case, answer, seed)
        return Outcome(kind, detail, derived - started)
    except (LimitError, MissingRuleError) as error:
        return Outcome(type(error).__name__, f"{step}: {error.reason}", derived - started)
    except (ShapeError, DeclarationError, RuleError) as error:
        refused = step == "derive" and _is_refused_by_the_parser(case)
        kind = f"{type(error).__name__} of the parser" if refused else f"{type(error).__name__} in {step}"
        return Outcome(kind, str(error), 0.0, not refused)
    except Hang:
        return Outcome(f"hang in {step}", f"longer than {PATIENCE} s", PATIENCE, True)
    except NotFiniteError as error:
        return Outcome("could not check", f"{error} is not finite", derived - started)
    except WrongAnswerError as error:
        return Outcome(error.args[0], error.args[1], derived - started, True)
    except Exception as error:
        return Outcome(f"{type(error).__name__} in {step}", _shorten(error), derived - started, True)


def _is_refused_by_the_parser(case: Case) -> bool:
    """Whether the problem itself is ill-formed, which is the generator's mistake and not the engine's."""
    try:
        parse(case.expr, wrt=case.wrt, shapes=case.shapes, assume=case.assume)
    except MatcalcError:
        return True
    return False


def _shorten(error: Exception) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines[-4:]) if len(lines) > 4 else "".join(lines)


# --- the judgement ------------------------------------------------------------------------------------


def _judge(case: Case, answer: Derivative, seed: int) -> tuple[str, str]:
    _require_shape(case, answer)
    report = answer.check(trials=1, seed=seed)
    if report.verdict == "differs":
        raise WrongAnswerError("differs", f"{report.message}; str(d) = {answer}")
    point = PointSearch(answer.function, (answer.wrt, answer.expression), seed=seed, shape=answer.shape).find(0)
    if isinstance(point, Point):
        _compare_independently(case, answer, point)
        _compare_views(case, answer, point)
    if report.verdict != "agrees":
        return report.verdict, "; ".join(report.reasons)
    return ("could not check", point.reason) if isinstance(point, NoPoint) else ("agrees", "")


def _require_shape(case: Case, answer: Derivative) -> None:
    """The shape is what the layout's law says."""
    law = state_law(answer.function.dropped_shape, answer.wrt.dropped_shape, case.layout, case.order)
    if tuple(answer.shape) != law or tuple(answer.expression.dropped_shape) != law:
        found = f"{answer.shape}, printed as {answer.expression.dropped_shape}"
        raise WrongAnswerError("shape", f"the shape should be {law}, not {found}")


def state_law(of_y: Any, of_x: Any, layout: str, order: int) -> tuple[Any, ...]:
    """Return the shape of a derivative in a layout."""
    numerator = (*of_y, *(size for _ in range(order) for size in reversed(of_x)))
    if layout == "denominator":
        return numerator[::-1]
    if layout == "torch" or (layout == "mixed" and not of_y):
        return (*of_y, *(order * tuple(of_x)))
    if layout == "vec":
        one = Size.of(1)
        both = prod((*of_y, *((order - 1) * tuple(of_x))), start=one), prod(of_x, start=one)
        return tuple(size for size in both if size != 1)
    return numerator


def _compare_independently(case: Case, answer: Derivative, point: Point) -> None:
    """`evaluate` gives what torch gives for the text as Python reads it."""
    values = {name: value for name, value in point.values.items() if name in case.expr or name == case.wrt}
    truth = differentiate_text(case, values, point)
    if case.order == 1:
        _compare_differential(case, answer, point, truth)
    truth = lay_out(truth, len(answer.function.dropped_shape), len(answer.wrt.dropped_shape), case)
    got = _evaluate(answer.expression, point)
    _require_close(truth, got, point, "evaluate", str(answer))


def differentiate_text(case: Case, values: Mapping[str, Any], point: Point) -> torch.Tensor:
    """Return the derivative in torch's order of axes, by autograd of the text, each entry on its own."""
    functions = {name: _wrap(function) for name, function in point.functions.items()}

    def function(x: torch.Tensor) -> torch.Tensor:
        held = x.reshape(values[case.wrt].shape)
        return drop(read_with_torch(case.expr, {**values, **functions, case.wrt: held}, point.sizes))

    at = drop(values[case.wrt])
    shape = function(at).shape
    entries = [_differentiate_entry(function, place, at, case.order) for place in range(prod(shape))]
    return torch.stack(entries).reshape(tuple(shape) + case.order * tuple(at.shape))


def _differentiate_entry(function: Any, place: int, at: torch.Tensor, order: int) -> torch.Tensor:
    def entry(x: torch.Tensor) -> torch.Tensor:
        return function(x).reshape(-1)[place]

    if order == 2:
        return torch.autograd.functional.hessian(entry, at).detach()
    return torch.autograd.functional.jacobian(entry, at).detach()


def _wrap(function: Any) -> Any:
    return lambda x: hold(function(drop(x)))


def lay_out(tensor: torch.Tensor, rank_y: int, rank_x: int, case: Case) -> torch.Tensor:
    """Return a tensor of shape S_Y + order*S_X in the layout."""
    axes = list(range(tensor.ndim))
    copies = [axes[start : start + rank_x] for start in range(rank_y, tensor.ndim, rank_x)] if rank_x else []
    numerator = axes[:rank_y] + [axis for copy in copies for axis in copy[::-1]]
    if case.layout == "torch" or (case.layout == "mixed" and rank_y == 0):
        return tensor
    if case.layout == "denominator":
        return tensor.permute(numerator[::-1])
    if case.layout != "vec":
        return tensor.permute(numerator)
    last = copies[-1] if copies else []
    first = axes[: tensor.ndim - len(last)]
    rows, columns = (prod(tensor.shape[axis] for axis in part) for part in (first, last))
    shape = [count for count, part in ((rows, first), (columns, last)) if part]
    return tensor.permute(first[::-1] + last[::-1]).reshape(shape)


def _evaluate(expression: Any, point: Point) -> torch.Tensor:
    from matcalc.check.evaluate_nodes import evaluate, squeeze

    with torch.no_grad():
        return squeeze(expression, evaluate(expression, point.values, point.sizes, point.functions), point.sizes)


def _require_close(truth: torch.Tensor, got: torch.Tensor, point: Point, what: str, text: str) -> None:
    if truth.shape != got.shape:
        raise WrongAnswerError(f"{what}: shape", f"{tuple(got.shape)} instead of {tuple(truth.shape)}: {text}")
    if not bool((truth + got).isfinite().all()):
        raise NotFiniteError(what)
    truth = truth.detach()
    scale = max(float(truth.abs().max()), 1e-6 * point.largest, 1e-3)
    error = float((truth - got).abs().max()) / scale
    if not error < TOLERANCE:
        raise WrongAnswerError(f"{what}: value", f"relative error {error:.1e}: {text}")


def _compare_differential(case: Case, answer: Derivative, point: Point, truth: torch.Tensor) -> None:
    """`differential` is linear in dX, and gives what the derivative in torch's order gives for a small change."""
    name, wrt = f"d{answer.wrt.name}", point.values[answer.wrt.name]
    if name in answer.declared:
        return
    change = torch.cos(torch.arange(wrt.numel(), dtype=torch.float64)).reshape(wrt.shape)
    text = answer.differential.split(" = ", 1)[1]
    got = _read(case, answer, text, {name: answer.declared[answer.wrt.name]}, point, {name: change})
    wanted = torch.tensordot(truth, drop(change), dims=drop(change).ndim)
    _require_close(wanted, got, point, "differential", answer.differential)


def _read(
    case: Case, answer: Derivative, text: str, shapes: Any, point: Point, values: Mapping[str, Any]
) -> torch.Tensor:
    """Return the value of a view of the answer, read from its text; the sizes are those of the case."""
    declared = {**answer.declared, **shapes}
    _, again = parse([case.expr, text], wrt=case.wrt, shapes=declared, assume=answer.assumed).expressions
    return _evaluate(again, replace(point, values={**point.values, **values}))


def _compare_views(case: Case, answer: Derivative, point: Point) -> None:
    """`einsum` and `vec` are texts of the same value; the other views are written without an exception."""
    vec = _evaluate(answer.in_layout("vec").expression, point)
    plain = vec if answer.layout == "vec" else _evaluate(answer.expression, point)
    in_torch_order = _evaluate(answer.in_layout("torch").expression, point)
    wanted = {"einsum": in_torch_order if answer.layout == "vec" else plain, "vec": vec, "str": plain}
    texts = {"einsum": answer.einsum, "vec": answer.vec, "str": str(answer)}
    for what, text in texts.items():
        _require_close(wanted[what], _read(case, answer, text, {}, point, {}), point, what, text)
    assert answer.entries
    assert answer.report()
    assert answer.latex()
