"""Tasks -> findings in processes that may hang or die: one child checks, its keeper watches and replaces it.

The keeper is started before anything that starts threads (gloo, a progress bar) or touches a GPU, so that the children
it forks are clean; torch is imported once, and a new child starts at once.  The chain ends from the top: when the
run dies its keeper reads the end of its pipe, kills the child and goes.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from matcalc.errors import MatcalcError
from matcalc.verify.child import READY, REFUSED, check_tasks, ignore_signals, import_judge, pack_finding, unpack
from matcalc.verify.judge_task import Finding, stop_task
from matcalc.verify.tasks import Settings, Task

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

    def find(self, tasks: Sequence[Task], settings: Settings) -> Iterator[Finding]:
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

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def _watch_children(pipe: Connection, tasks: Sequence[Task], settings: Settings, start: str) -> _Messages:
    """Give a finding for every task, of as many children as it takes, then END; or the one error that forbids all."""
    place = 0
    while place < len(tasks):
        for message in _watch_child(pipe, tasks[place : place + RENEWED_AFTER], settings, start):
            yield message
            if message[:1] == REFUSED:
                return
            place += 1
    yield END


def _watch_child(upward: Connection, tasks: Sequence[Task], settings: Settings, start: str) -> _Messages:
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
def _start_child(upward: Connection, tasks: Sequence[Task], settings: Settings, start: str) -> Iterator[Any]:
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
