"""Time the command as a person sees it against importing what it stands on, the pairs taking turns.

python benchmarks/start_time.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

DERIVE = ["-m", "matcalc", "derive", "A@x", "--layout", "numerator"]
PAIRS = [
    ("derive, no check", [*DERIVE, "--no-check"], "import sympy", ["-c", "import sympy"], 1.4),
    ("derive and check", DERIVE, "import torch, sympy", ["-c", "import torch, sympy"], 1.15),
]


def time_command(arguments: list[str]) -> float:
    """Return the seconds that a fresh Python takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


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
