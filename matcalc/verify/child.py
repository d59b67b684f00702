"""What the checking process does: task after task, under its limits, each finding sent as soon as it is known."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from matcalc.errors import MatcalcError
from matcalc.verify.judge_task import Finding, judge_task
from matcalc.verify.tasks import Settings, Task

READY, FOUND, REFUSED = b"y", b"f", b"r"  # what a message begins with, so that it can be passed on unread


def check_tasks(pipe: Connection, inherited: Iterable[Connection], tasks: Sequence[Task], settings: Settings) -> None:
    """Send READY, then a finding for task after task; one of a spent limit is the last.

    Where the rules of the settings are wrong, that error is all that is sent.
    """
    ignore_signals()
    for other in inherited:
        other.close()
    threading.Thread(target=_leave_with_keeper, args=(pipe,), daemon=True).start()
    try:
        _prepare(settings)
    except MatcalcError as error:
        pipe.send_bytes(REFUSED + pickle.dumps(error))
        return
    pipe.send_bytes(READY)
    for task in tasks:
        finding = judge_task(task, settings)
        pipe.send_bytes(pack_finding(finding))
        if finding["limits"]:
            return


def pack_finding(finding: Finding) -> bytes:
    """Return the message that carries a finding; what it says is what a journal would give back."""
    return FOUND + json.dumps(finding).encode()


def unpack(message: bytes) -> Finding:
    """Return the finding of a message, or raise the error that it carries."""
    if message[:1] == REFUSED:
        raise pickle.loads(message[1:])
    finding: Finding = json.loads(message[1:])
    return finding


def ignore_signals() -> None:
    """Leave Ctrl-C and SIGTERM, which whole groups of processes get, to the run: a death here would be a finding."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _leave_with_keeper(pipe: Connection) -> None:
    """End this process at the end of the pipe, even in the middle of a task; nothing is ever sent down to it."""
    with suppress(EOFError, OSError):
        pipe.recv()
    os._exit(1)


def import_judge() -> None:
    """Import what the first task would import; nothing is computed, for a process that forks must have no threads."""
    from matcalc.rule_files import shipped_rules

    shipped_rules()
    with suppress(ImportError):  # without torch every task says so
        import torch

        import matcalc.check.compare
        import matcalc.check.sample  # noqa: F401

        torch.set_num_threads(1)


def _prepare(settings: Settings) -> None:
    from matcalc.user_rules import load_rules

    import_judge()
    with suppress(ImportError):  # without torch every task says so
        _choose_gpu(settings)
    for path in settings.rules:
        load_rules(path)
    if not str(settings.device).startswith("cuda"):
        _limit_memory(int(settings.memory * 2**30))


def _choose_gpu(settings: Settings) -> None:
    import torch

    if settings.device == "cuda" and torch.cuda.is_available():
        torch.cuda.set_device(settings.local_rank % torch.cuda.device_count())


def _limit_memory(more: int) -> None:
    """Let allocations fail that would take this process `more` bytes beyond what it holds now.

    Only where the system says what a process holds; a GPU's driver reserves far more addresses than memory.
    """
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as status:
        held = int(status.read().split()[0]) * resource.getpagesize()
    most: Any = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = held + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
