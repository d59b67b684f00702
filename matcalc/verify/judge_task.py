"""Task -> finding, whatever happens: a task that cannot be read or runs out of memory is "could not check"."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from matcalc.check.report import COULD_NOT_CHECK, CheckReport, could_not_check
from matcalc.claim import check
from matcalc.derivation import Derivative, derive
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.verify.tasks import Settings, Task

Finding = dict[str, Any]
"""{"report": a report as plain data, "limits": None, or the limits on time and memory of which one made it}."""

# What torch, NumPy and the C++ library say where memory runs out.
_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "bad_alloc", "out of memory", "unable to allocate")


def judge_task(task: Task, settings: Settings) -> Finding:
    """Return what the judge finds of a task; an error is a verdict, not the end of the run."""
    try:
        report = _judge(task, settings)
    except MemoryError:
        return stop_task(task, settings, _name_lack(settings))
    except MatcalcError as error:
        report = _give_up(task, settings, "; ".join(filter(None, (error.reason, error.advice))))
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        report = _give_up(task, settings, f"internal error: {said}; please report it with this entry")
    if report.verdict == COULD_NOT_CHECK and any(words in report.message.lower() for words in _OUT_OF_MEMORY):
        return stop_task(task, settings, _name_lack(settings))
    return {"report": report.to_dict(), "limits": None}


def stop_task(task: Task, settings: Settings, reason: str) -> Finding:
    """Return the finding of a task that reached a limit."""
    return {"report": _give_up(task, settings, reason).to_dict(), "limits": settings.limits}


def _judge(task: Task, settings: Settings) -> CheckReport:
    report = _judge_entry(task, settings)
    rules = [word for path in settings.rules for word in ("--rules", path)]  # they are in force here, each proven once
    return replace(report, command=f"{report.command} {shlex.join(rules)}") if rules else report


def _judge_entry(task: Task, settings: Settings) -> CheckReport:
    how: dict[str, Any] = {"trials": settings.trials, "seed": settings.seed, "dtype": settings.dtype}
    how["device"] = settings.device
    what: dict[str, Any] = {"layout": task.layout, "shapes": task.shapes, "assume": task.assume}
    what["order"] = task.order
    if task.claim is None:
        derivative = derive(task.expr, task.wrt, **what)
        if not isinstance(derivative, Derivative):
            reason = "an entry of a sheet is derived by one variable"
            raise DeclarationError(reason, advice="write an entry for each variable")
        return replace(derivative.check(**how), correct=str(derivative))
    return check(task.expr, task.claim, task.wrt, **what, **how)


def _give_up(task: Task, settings: Settings, reason: str) -> CheckReport:
    assert settings.device is not None
    return could_not_check(
        reason, seed=settings.seed, layout=task.layout, dtype=settings.dtype, device=settings.device
    )


def _name_lack(settings: Settings) -> str:
    if str(settings.device).startswith("cuda"):
        return f"the memory of the device {settings.device} does not suffice"
    return f"it needs more than the {settings.memory:g} GiB of memory that --memory allows"
