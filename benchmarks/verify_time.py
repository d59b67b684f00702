"""Time `matcalc verify` on a sheet of 2,000 cases: one process against two under torchrun, taking turns.

python benchmarks/verify_time.py [--cases 2000] [--rounds 3]

The cases are those of tests/cases/textbook.toml, over and over under other ids.  A sheet of one case shows what
starting costs; "after start" is the rest.  Of each command the fastest round counts: what slows a round down is
somebody else's work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOAL = 1.7
VERIFY = ["-m", "matcalc", "verify"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
COMMANDS = {
    "matcalc verify": VERIFY,
    "torchrun, 1 process": [*TORCHRUN, "1", *VERIFY],
    "torchrun, 2 processes": [*TORCHRUN, "2", *VERIFY],
}


def write_sheet(path: Path, count: int) -> None:
    """Write the textbook's cases over and over, each time under other ids."""
    cases = tomllib.loads((ROOT / "tests" / "cases" / "textbook.toml").read_text(encoding="utf-8"))["case"]
    tables = ({**cases[n % len(cases)], "id": f"{cases[n % len(cases)]['id']}-{n // len(cases)}"} for n in range(count))
    path.write_text("".join(json.dumps(table) + "\n" for table in tables))


def time_command(arguments: list[str], sheet: Path) -> tuple[float, bytes]:
    """Return the seconds that a command takes, and its answer."""
    settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments, sheet.name], cwd=sheet.parent, env=os.environ | settings, check=True,
        capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - begin, done.stdout


def time_all(sheet: Path, rounds: int) -> dict[str, float]:
    """Return the fastest time of each command, in rounds in which they take turns; the answers must be the same."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    answers = set()
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            seconds, answer = time_command(arguments, sheet)
            times[name].append(seconds)
            answers.add(answer)
    assert len(answers) == 1, "the answer depends on the number of processes"
    return {name: min(seconds) for name, seconds in times.items()}


def main() -> int:
    """Print the times and what two processes gain; returns 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sheet, single = Path(folder) / "sheet.jsonl", Path(folder) / "single.jsonl"
        write_sheet(sheet, options.cases)
        write_sheet(single, 1)
        starts, wholes = time_all(single, options.rounds), time_all(sheet, options.rounds)
    return report(starts, wholes)


def report(starts: dict[str, float], wholes: dict[str, float]) -> int:
    """Print a table and the ratios."""
    print(f"{'command':22} {'whole':>8} {'start':>8} {'after start':>12}")
    for name in COMMANDS:
        print(f"{name:22} {wholes[name]:6.2f} s {starts[name]:6.2f} s {wholes[name] - starts[name]:10.2f} s")
    missed = 0
    *ones, two = COMMANDS
    for one in ones:
        after = (wholes[one] - starts[one]) / (wholes[two] - starts[two])
        missed += after < GOAL
        print(f"{two} against {one}: {wholes[one] / wholes[two]:.2f} as a whole, {after:.2f} after start, goal {GOAL}")
    print(f"load of this machine beside us: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
