"""`check_data_parallel`: does a loss keep its gradient when a batch is dealt to several processes?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matcalc.check.data_parallel import (
    Batch,
    DataParallelReport,
    LossQuestion,
    LossText,
    Settings,
    find_batch,
    refuse_abstract_samples,
    split_loss,
)
from matcalc.check.report import COULD_NOT_CHECK, find_missing
from matcalc.check.verdict import DTYPES
from matcalc.derivation import derive
from matcalc.errors import DeclarationError, MatcalcError, ShapeError
from matcalc.inputs import Dtype, choose_rules, declare_variables, list_paths, read_input, write_input
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import Declared, read_assumptions, read_shapes
from matcalc.language.expression import walk
from matcalc.language.names import name_wrt
from matcalc.language.sizes import write_shape
from matcalc.language.text_to_expression import Problem
from matcalc.rule_files import RuleBook

MOST_PROCESSES = 16
MOST_TRIALS = 100


def check_data_parallel(
    loss_expr: Any,
    wrt: Any = None,
    batch_axis: Any = 0,
    processes: int = 2,
    *,
    shapes: Declared = None,
    assume: Declared = None,
    trials: int = 3,
    seed: int = 0,
    dtype: Dtype = "float64",
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
    timeout: float = 120.0,
    syntax: str = "auto",
) -> DataParallelReport:
    """Compare the gradient that DistributedDataParallel averages with the derivative of the whole-batch loss.

    The loss, a scalar, runs in a real torch.nn.parallel.DistributedDataParallel module in that many gloo processes
    on this machine's CPU, each with an equal share of the batch.  `wrt` is a parameter or a list of them.  All
    other variables are data: `batch_axis` says along which axis their samples lie, as an axis (0: the rows), as a
    size letter such as "m", or as {"X": 0, "y": 0}; a variable without samples is given whole to every process.
    The loss is read as `derive` reads it, notation included, in the `syntax` that it takes.
    Raises MatcalcError for what cannot be read; processes that die or take longer than `timeout` seconds are
    "could not check".

        check_data_parallel("norm(X@w - y)**2", "w").factor            # 0.5: it sums over the batch
        check_data_parallel("mean((X@w - y)**2)", "w").verdict         # 'agrees'
    """
    settings = read_settings(processes, trials, seed, dtype, timeout)
    question = read_loss(loss_expr, wrt, batch_axis, shapes=shapes, assume=assume, rules=rules, syntax=syntax)
    written = loss_expr if isinstance(loss_expr, str) else question.source.text
    question = replace(question, command=_write_command(question, settings, rules))
    reason = find_missing() or _find_missing_group()
    if reason:
        message = f"could not check: {reason}"
        return DataParallelReport(COULD_NOT_CHECK, (reason,), message=message, seed=seed, processes=processes)
    from matcalc.check.data_parallel.judge import judge_losses

    report = judge_losses([question], settings)[0]
    if written != question.source.text:
        report = replace(report, notes=(f"the loss is read as {question.source.text}", *report.notes))
    return replace(report, page=_show)


def _show(report: Any) -> str:
    from matcalc.render.report_html import write_data_parallel_html

    return write_data_parallel_html(report)


def _find_missing_group() -> str | None:
    """Return what keeps torch's processes from working together, or None."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_gloo_available():
        return None
    return "this torch is built without gloo, by which the processes work together"


def read_settings(processes: int, trials: int, seed: int, dtype: str, timeout: float) -> Settings:
    """Return how a loss is tried; raises DeclarationError for what is out of range."""
    for what, given, least, most in (("processes", processes, 2, MOST_PROCESSES), ("trials", trials, 1, MOST_TRIALS)):
        if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
            raise DeclarationError(f"{what} is a whole number from {least} to {most}, not {given!r}"[:200])
    if not isinstance(seed, int):
        raise DeclarationError(f"the seed is a whole number, not {seed!r}"[:200])
    if dtype not in DTYPES:
        raise DeclarationError(f"{dtype!r} is not a dtype"[:200], advice="use one of " + ", ".join(DTYPES))
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise DeclarationError(f"the timeout is a number of seconds, not {timeout!r}"[:200])
    return Settings(processes, trials, seed, dtype, float(timeout))


# --- the loss -------------------------------------------------------------------------------------


def read_loss(
    loss_expr: Any,
    wrt: Any = None,
    batch_axis: Any = 0,
    *,
    shapes: Declared = None,
    assume: Declared = None,
    rules: RuleBook | str | Path | Iterable[str | Path] | None = None,
    syntax: str = "auto",
) -> LossQuestion:
    """Return what is asked of a loss, its derivative by each parameter included; raises MatcalcError."""
    book = choose_rules(rules)
    loss, given, assume, carried = read_input(loss_expr, shapes, assume, book)
    text, given = write_input(loss), declare_variables(wrt, given, carried)
    names = _list_names(wrt)
    first = names[0] if names else None
    problem = parse_any(
        text, wrt=first, choose_wrt=first is None, shapes=given, assume=assume, rules=book, syntax=syntax
    )
    assert problem.wrt is not None
    text, names = problem.reading or text, [problem.wrt.name, *names[1:]]  # β by its name, beta
    declared = _declare_all(problem, given)
    _refuse_no_scalar(text, problem, read_shapes(given))
    batch = _find_batch(text, problem, names, batch_axis, is_chosen=first is None)
    found = [derive(text, name, layout="torch", shapes=declared, assume=assume, rules=book) for name in names]
    parts = tuple(split_loss(problem.expressions[0], frozenset(names)))
    assumed = {name: tuple(sorted(words)) for name, words in read_assumptions(assume).items()}
    source = LossText(text, tuple(names), declared, assumed, book)
    return LossQuestion(
        source, problem.expressions[0], tuple(one.wrt for one in found), tuple(one.expression for one in found),
        tuple(map(str, found)), parts, batch,
    )  # fmt: skip


def _list_names(wrt: Any) -> list[str]:
    """Return the names of the parameters, none where the choice is left to us; raises DeclarationError."""
    if wrt is None:
        return []
    given = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    if not given:
        raise DeclarationError("the list of parameters is empty", advice='name the parameters, as in wrt=["W", "b"]')
    return list(dict.fromkeys(str(name_wrt(one)) for one in given))


def _declare_all(problem: Problem, shapes: Declared) -> dict[str, tuple[str, ...]]:
    """Return the shapes of all names, so that every reading of the text letters the sizes alike."""
    given = {name: tuple(map(str, shape)) for name, shape in read_shapes(shapes).items()}
    found = {name: symbol.declared_shape for name, symbol in problem.symbols.items()} | problem.abstract
    return {name: tuple(map(str, shape)) for name, shape in found.items()} | given


def _refuse_no_scalar(text: str, problem: Problem, shapes: Mapping[str, Any]) -> None:
    """Raise ShapeError unless the loss is a scalar."""
    loss = problem.expressions[0]
    divisors = [node.args[1].name for node in walk(loss) if node.op == "divide" and node.args[1].op == "symbol"]
    for name in divisors:
        if name not in shapes and (name in problem.inferred or not problem.symbols[name].is_scalar):
            advice = f'if {name} counts the samples, declare it as a size, as in shapes={{"X": ("{name}", "n")}}'
            reason = f"{name} may count the samples, and each process has its own"
            raise ShapeError(reason, advice=advice).complete(text, _write_symbols(problem))
    if loss.is_scalar:
        return
    advice = "take its mean over the samples, as in mean(...)"
    error = ShapeError(f"a loss is a scalar, and this has the shape {write_shape(loss.squeezed_shape)}", advice=advice)
    raise error.complete(text, _write_symbols(problem))


def _write_symbols(problem: Problem) -> dict[str, str]:
    return {name: write_shape(symbol.declared_shape) for name, symbol in problem.symbols.items()}


def _find_batch(text: str, problem: Problem, names: list[str], batch_axis: Any, is_chosen: bool) -> Batch:
    try:
        batch = find_batch(problem.symbols, names, batch_axis)
        refuse_abstract_samples(problem.expressions[0], batch)
    except MatcalcError as error:
        if is_chosen:
            reason = f"{names[0]} was taken for the parameter, and {error.reason}"
            error = DeclarationError(reason, advice='say which variables are trained, as in wrt="w" or wrt=["W", "b"]')
        raise error.complete(text, _write_symbols(problem)) from None
    return batch


def _write_command(question: LossQuestion, settings: Settings, rules: Any) -> str:
    """Return a line for the shell that asks the same again; a RuleBook has no name there."""
    source = question.source
    given = {
        "shapes": {name: list(shape) for name, shape in source.shapes.items()},
        "assume": {name: list(words) for name, words in source.assume.items()},
        "rules": list(list_paths(rules)), "trials": settings.trials, "seed": settings.seed, "dtype": settings.dtype,
    }  # fmt: skip
    options = ", ".join(f"{name}={value!r}" for name, value in given.items() if value not in ({}, []))
    asked = f"{source.text!r}, {list(source.wrt)!r}, {question.batch.letter!r}, {settings.processes}, {options}"
    return f"python -c {shlex.quote(f'import matcalc; print(matcalc.check_data_parallel({asked}))')}"
