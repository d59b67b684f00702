"""The command line: one file for each command, and one for what their arguments and answers share."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `matcalc` and return its exit code: 0 done or agrees, 1 differs, 2 bad input, 3 no check."""
    from matcalc.cli.derive import run_command

    return run_command(arguments)
