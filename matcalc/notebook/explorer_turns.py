"""One change of the panel at a time, whichever thread it comes from."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, get_ident


class Turns:
    """Keeps the changes of a panel apart: JupyterLab may deliver the messages of each field in a thread of its own.

    >>> turns, done = Turns(), []
    >>> turns.take(lambda: (done.append("work"), turns.take(lambda: done.append("what it sets off"))))
    >>> done
    ['work']
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: int | None = None

    def take(self, work: Callable[[], object]) -> None:
        """Do some work when all that began before is done; work that is set off by work is left out."""
        if self._owner == get_ident():
            return
        with self._lock:
            self._owner = get_ident()
            try:
                work()
            finally:
                self._owner = None
