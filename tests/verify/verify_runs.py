"""`matcalc verify` in processes of its own: alone, under torchrun, on a terminal; and the processes it leaves."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "matcalc", "verify"]
PATIENCE = 120

# Quick ones of every verdict, and two at the end that take minutes: whoever judges them can be caught at it.
QUICK = [
    {"id": "affine", "expr": "A @ x + b", "wrt": "x", "numerator": "A", "denominator": "A.T"},
    {"id": "form", "expr": "x.T @ A @ x", "layout": "denominator", "claim": "2*A @ x", "verdict": "differs"},
    {"id": "norm", "expr": "norm(x)**2", "layout": "denominator", "claim": "2*x", "verdict": "agrees"},
    {"id": "no words", "expr": "A @@ x", "claim": "A", "verdict": "could not check"},
    {"id": "derived", "expr": "softmax(x)", "shapes": {"x": ["n"]}},
    {"id": "trace", "expr": "trace(A @ X)", "wrt": "X", "claim": "A.T", "verdict": "agrees"},
    {"id": "gram", "expr": "logdet(X.T @ X)", "wrt": "X", "denominator": "2*X @ inv(X.T @ X)"},
]
SLOW = {"expr": "sum(exp(A @ x))", "wrt": "x", "shapes": {"A": [30, 100], "x": [100]}, "order": 3}


def make_mixed_sheet(folder: Path) -> Path:
    """Three times the quick ones, then two slow ones, so that each of two processes has one at its end."""
    tables = [{**table, "id": f"{table['id']} {n}"} for n in range(3) for table in QUICK]
    tables += [{**SLOW, "id": f"slow {n}", "claim": "zeros(100, 100, 100)"} for n in range(2)]
    path = folder / "mixed.jsonl"
    path.write_text("".join(json.dumps(table) + "\n" for table in tables))
    return path


def make_environment(**more: str) -> dict[str, str]:
    """The environment of a child: matcalc of this checkout, and no word of a torchrun that these tests run under."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def verify(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return _run([*COMMAND, *map(str, arguments)], folder)


def verify_with_torchrun(folder: Path, processes: int, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the command under torchrun."""
    return _run(write_torchrun(processes, *arguments), folder)


def write_torchrun(processes: int, *arguments: Any) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*torchrun, "-m", "matcalc", "verify", *map(str, arguments)]


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=make_environment(), capture_output=True, text=True, timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def start(command: Sequence[str], folder: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and kill it should the test leave it running."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": make_environment()} | options
    with subprocess.Popen(command, cwd=folder, **settings) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(is_true: Callable[[], Any]) -> Any:
    """Wait for something and return it."""
    end = time.monotonic() + PATIENCE
    while not (found := is_true()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
    return found


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


# --- processes ------------------------------------------------------------------------------------


def list_children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def find_chain(pid: int) -> list[int]:
    """The process that runs verify, its keeper and the child that checks, as soon as all three are there."""
    chain = [pid]
    while len(chain) < 3:
        chain.append(wait_until(lambda: list_children(chain[-1]))[0])
    return chain


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


# --- a terminal -----------------------------------------------------------------------------------


class Terminal:
    """The command on a terminal of its own, 60 columns wide: what it writes there can be read, keys be pressed."""

    def __init__(self, folder: Path, *arguments: Any, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        settings = make_environment(TERM="xterm", COLUMNS="60", **environment)
        # A session of its own with the terminal as its own: only then is Ctrl-C a signal.
        login = "import os, sys; os.setsid(); os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", login, *COMMAND, *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=folder, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def read(self) -> str:
        """Return all that was written until the command ended."""
        written = b""
        while part := self._read_part():
            written += part
        self.process.wait(PATIENCE)
        os.close(self._ours)
        return written.decode()

    def _read_part(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return b""
