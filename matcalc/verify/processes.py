"""Tasks -> findings in processes that may hang or die: one child checks, its keeper watches and replaces it."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from matcalc.errors import MatcalcError
from matcalc.verify.tasks import Finding, RunSettings, Task, judge_task, stop_task

READY, FOUND, REFUSED = b"y", b"f", b"r"  # what a message begins with, so that it can be passed on unread


def check_tasks(
    pipe: Connection, inherited: Iterable[Connection], tasks: Sequence[Task], settings: RunSettings
) -> None:
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
    import matcalc.check.exact
    from matcalc.rule_files import shipped_rules

    shipped_rules()
    with suppress(ImportError):  # without torch every task says so
        import torch

        import matcalc.check.compare
        import matcalc.check.points  # noqa: F401

        torch.set_num_threads(1)


def _prepare(settings: RunSettings) -> None:
    from matcalc.inputs import load_rules

    import_judge()
    with suppress(ImportError):  # without torch every task says so
        _choose_gpu(settings)
    for path in settings.rules:
        load_rules(path)
    if not str(settings.device).startswith("cuda"):
        _limit_memory(int(settings.memory * 2**30))


def _choose_gpu(settings: RunSettings) -> None:
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


# --- keeper -----------------------------------------------------------------------------------------
#
# Tasks -> findings in processes that may hang or die: one child checks, its keeper watches and replaces it.
#
# The keeper is started before anything that starts threads (gloo, a progress bar) or touches a GPU, so that the
# children it forks are clean; torch is imported once, and a new child starts at once.  The chain ends from the top:
# when the run dies its keeper reads the end of its pipe, kills the child and goes.


END, HANGS, LEFT = b"e", b"h", b"l"
RENEWED_AFTER = 1000  # tasks; so the caches of one child stay small beside the memory that a task may use
FORKING = "fork" if sys.platform == "linux" else "spawn"  # macOS has fork, but its libraries do not survive it


class LostProcessError(MatcalcError):
    """A process that the run depends on has died."""


class Keeper:
    """The keeper as the run sees it: findings for tasks, in their order."""

    def __init__(self, start: str = FORKING) -> None:
        context: Any = multiprocessing.get_context(start)
        self._pipe, far_end = context.Pipe()
        if start == "fork":
            import_judge()
        inherited = [self._pipe] if start == "fork" else []
        self._process = context.Process(target=_keep, args=(far_end, inherited, start))
        self._process.start()
        far_end.close()

    def find(self, tasks: Sequence[Task], settings: RunSettings) -> Iterator[Finding]:
        """Give the finding of each task; raises MatcalcError where the rules of the settings are refused."""
        try:
            self._pipe.send((tasks, settings))
            while (message := self._pipe.recv_bytes()) != END:
                yield unpack(message)
        except (EOFError, OSError):
            raise LostProcessError("the process that watches over the checks has died") from None

    def close(self) -> None:
        """End the keeper and its child, which may be in the middle of a task."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


# --- in the keeper's process ---------------------------------------------------------------------------------

_Messages = Generator[bytes, None, None]


def _keep(pipe: Connection, inherited: Iterable[Connection], start: str) -> None:
    """Serve requests until the run has gone; neither this process nor its children listen to anyone else."""
    ignore_signals()
    for other in inherited:
        other.close()
    try:
        while True:
            tasks, settings = pipe.recv()
            with closing(_watch_children(pipe, tasks, settings, start)) as messages:
                for message in messages:
                    pipe.send_bytes(message)
    except (EOFError, OSError):
        return


def _watch_children(pipe: Connection, tasks: Sequence[Task], settings: RunSettings, start: str) -> _Messages:
    """Give a finding for every task, of as many children as it takes, then END; or the one error that forbids all."""
    place = 0
    while place < len(tasks):
        for message in _watch_child(pipe, tasks[place : place + RENEWED_AFTER], settings, start):
            yield message
            if message[:1] == REFUSED:
                return
            place += 1
    yield END


def _watch_child(upward: Connection, tasks: Sequence[Task], settings: RunSettings, start: str) -> _Messages:
    """Give what one child finds, and last a finding of our own where it hangs or dies in a task.

    What it does before it is ready, such as proving the user's rules, is not timed.
    """
    done = 0
    with _start_child(upward, tasks, settings, start) as (pipe, process):
        message = _receive(pipe, upward, None)
        while message not in (HANGS, LEFT):
            if message != READY:
                yield message
                done += 1
            if done == len(tasks):
                return
            message = _receive(pipe, upward, settings.timeout)
        process.join(0 if message == HANGS else 10)
    if message == HANGS:
        yield pack_finding(stop_task(tasks[done], settings, f"stopped after {settings.timeout:g} s"))
    elif process.exitcode or not done:
        yield pack_finding(stop_task(tasks[done], settings, _describe_death(process.exitcode)))


@contextmanager
def _start_child(upward: Connection, tasks: Sequence[Task], settings: RunSettings, start: str) -> Iterator[Any]:
    context: Any = multiprocessing.get_context(start)
    pipe, far_end = context.Pipe()
    inherited = [pipe, upward] if start == "fork" else []
    process = context.Process(target=check_tasks, args=(far_end, inherited, tasks, settings))
    process.start()
    far_end.close()
    try:
        yield pipe, process
    finally:
        process.kill()
        process.join()
        pipe.close()


def _receive(pipe: Connection, upward: Connection, timeout: float | None) -> bytes:
    """Return the child's next message, HANGS or LEFT; raises EOFError when the run itself has gone."""
    ready = wait([pipe, upward], timeout)
    if upward in ready:
        raise EOFError
    if not ready:
        return HANGS
    try:
        return pipe.recv_bytes()
    except (EOFError, OSError):
        return LEFT


def _describe_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process that checked it died (exit code {code})"
    guess = ", probably out of memory" if -code in _SIGNALS_OF_LACK else ""
    return f"the process that checked it died (signal {-code}){guess}"


# The kernel kills where memory runs out; C++ aborts; a stack that cannot grow is a bad address.
_SIGNALS_OF_LACK = (6, 7, 9, 11)
