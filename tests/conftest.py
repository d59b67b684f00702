"""The two runs: a quick one, which takes a sample of what is a product, and the whole one."""

from __future__ import annotations

import os

import pytest

from tests.sampling import SEED, WHOLE, choose_seed, is_whole

if "PYTEST_XDIST_WORKER" in os.environ:
    # Every core has a process of its own already; this must be said before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("matcalc")
    group.addoption("--whole", action="store_true", help="run every case in every layout, backend and seed")
    group.addoption("--sample-seed", type=int, metavar="N", help="take the sample that a run before has taken")


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    seed = config.getoption("--sample-seed")
    os.environ[SEED] = str(choose_seed() if seed is None else seed)
    os.environ[WHOLE] = "1" if config.getoption("--whole") else "0"


def pytest_report_header() -> str:
    if is_whole():
        return "matcalc: every case in every layout, backend and seed"
    seed = os.environ[SEED]
    return f"matcalc: a sample of the cases, drawn from --sample-seed {seed}; --whole runs all of them"
