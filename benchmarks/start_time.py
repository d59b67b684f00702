"""Time the command against importing what it stands on, the pairs taking turns, in seconds of the processor.

python benchmarks/start_time.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

DERIVE = ["-m", "matcalc", "derive", "A@x", "--layout", "numerator"]
SCALAR = ["-m", "matcalc", "derive", "x/(1+x)", "--no-check"]
PAIRS = [
    ("derive, no check", [*DERIVE, "--no-check"], "import sympy", ["-c", "import sympy"], 0.6),
    ("scalar, no check", SCALAR, "import sympy", ["-c", "import sympy"], 1.4),
    ("derive and check", DERIVE, "import torch, sympy", ["-c", "import torch, sympy"], 1.25),
]


def time_command(arguments: list[str]) -> float:
    """Return the seconds of the processor that a fresh Python takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Compiled modules are kept, as they are for anybody who runs the command twice.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the medians, their ratio and the goal; returns 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    missed = 0
    print(f"{'command':18} {'median':>9}   {'against':20} {'median':>9}   ratio   goal")
    for name, ours, other_name, other, goal in PAIRS:
        time_command(ours), time_command(other)  # the disk's cache is warm from here on
        pairs = [(time_command(ours), time_command(other)) for _ in range(rounds)]
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        missed += mine / theirs > goal
        print(f"{name:18} {mine:7.3f} s   {other_name:20} {theirs:7.3f} s   {mine / theirs:5.2f}   {goal}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
