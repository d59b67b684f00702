"""What a test needs that not every machine has: the test is skipped, and says what brings it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

BRINGS = ".venv/bin/pip install -c constraints.txt -e '.[dev]'"


def find_absent(*packages: str) -> str:
    """Which of the packages are not installed and what brings them, "" where none is missing."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"{' and '.join(absent)} not installed; {BRINGS} brings it" if absent else ""


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip a test where one of these packages is not installed."""
    reason = find_absent(*packages)
    return pytest.mark.skipif(bool(reason), reason=reason)


def need(*packages: str) -> None:
    """Skip a whole file, or the tests of a fixture, before it imports what is not there."""
    if reason := find_absent(*packages):
        pytest.skip(reason, allow_module_level=True)
