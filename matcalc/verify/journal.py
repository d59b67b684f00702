"""The journal: every result is on disk before it is counted, so that a run that was cut off can go on."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matcalc.errors import DeclarationError
from matcalc.verify.read_sheet import VERDICTS
from matcalc.verify.tasks import Finding

HEADER = b'{"matcalc-journal": 1}\n'


class Journal:
    """The results of one run by key, in JSON Lines; each process of a run writes a file of its own.

    A run takes over what it finds in its own file and in those of all processes of an earlier run.  The file is made
    with the first result, and `remove` takes all of them away.
    """

    def __init__(self, path: str | Path, rank: int | None = None) -> None:
        """Name the files: `path`, or `path`.rank<rank> for a process of several; nothing is opened yet."""
        self._base = Path(path)
        self.path = self._base if rank is None else self._base.with_name(f"{self._base.name}.rank{rank}")
        self._file: int | None = None

    def _list_files(self) -> Iterator[Path]:
        ranked = self._base.parent.glob(f"{glob.escape(self._base.name)}.rank*")
        return (path for path in [self._base, *sorted(ranked)] if path.is_file())

    def exists(self) -> bool:
        """Return whether a run has left something."""
        return any(self._list_files())

    def refuse_leftovers(self) -> None:
        """Raise DeclarationError where an unfinished run left a journal: to write over it would lose its results."""
        for path in self._list_files():
            advice = f"add --resume to go on from there, or delete {path} to begin anew"
            raise DeclarationError(f"{path} is left from a run that did not finish", advice=advice)

    def read(self) -> dict[str, Finding]:
        """Return the findings by key; a line that was cut off is left out.

        Raises DeclarationError for a file that is not a journal.
        """
        found: dict[str, Finding] = {}
        for path in self._list_files():
            for line in _read_lines(path):
                record = _read_record(line)
                if record is not None:
                    found[record["key"]] = record["finding"]
        return found

    def add(self, key: str, finding: Finding) -> None:
        """Write one result; the system has it when this returns."""
        record = {"key": key, "finding": finding}
        line = json.dumps({**record, "sum": _add_up(record)}).encode() + b"\n"
        if self._file is None:
            self._file, empty = _open(self.path)
            line = HEADER + line if empty else line
        try:
            os.write(self._file, line)
        except OSError as error:
            raise _refuse_writing(self.path, error) from None

    def close(self) -> None:
        """Close the file; what it holds stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Take away every file of the run, which is complete."""
        self.close()
        for path in self._list_files():
            path.unlink(missing_ok=True)


def _read_lines(path: Path) -> list[bytes]:
    """Return the whole lines after the header; what follows the last line end was cut off."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeclarationError(f"the journal {path} cannot be read: {error.strerror or error}") from None
    if not content.startswith(HEADER) and not HEADER.startswith(content):
        raise DeclarationError(f"{path} is not a journal of matcalc", advice="name another file with --journal")
    return content[len(HEADER) :].split(b"\n")[:-1]


def _read_record(line: bytes) -> dict[str, Any] | None:
    """Return a record, or None for a line that is damaged, or not what was written: its task is then done again."""
    try:
        record = json.loads(line)
        total = record.pop("sum")
        whole = isinstance(record["key"], str) and record["finding"]["report"]["verdict"] in VERDICTS
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if whole and total == _add_up(record) else None


def _add_up(record: dict[str, Any]) -> str:
    """Return the checksum of a record."""
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:16]


def _open(path: Path) -> tuple[int, bool]:
    """Open the journal for this process alone, without a line that was cut off; say whether it is empty."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    except OSError as error:
        raise _refuse_writing(path, error) from None
    _lock(file, path)
    kept = path.read_bytes().rfind(b"\n") + 1
    os.truncate(file, kept)
    return file, kept == 0


def _refuse_writing(path: Path, error: OSError) -> DeclarationError:
    reason = f"the journal {path} cannot be written: {error.strerror or error}"
    return DeclarationError(reason, advice="name a file in a folder that can be written with --journal")


def _lock(file: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        reason = f"the journal {path} is being written by another run"
        raise DeclarationError(reason, advice="wait for it, or name another file with --journal") from None
    except OSError:  # a file system without locks
        return
