"""What the command line prints: colour on a terminal, and JSON that any reader can load."""

from __future__ import annotations

import os
from typing import Any, TextIO

JSON_VERSION = 1
EXIT_CODES = {"agrees": 0, "differs": 1, "could not check": 3}
_COLORS = {"agrees": "32", "differs": "31", "could not check": "33", "error": "31"}


def paint(text: str, meaning: str, stream: TextIO) -> str:
    """Colour the text on a terminal, unless NO_COLOR asks for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_COLORS[meaning]}m{text}\x1b[0m"


def print_json(answer: dict[str, Any]) -> None:
    """Print the answer as one JSON object with its version."""
    import json

    print(json.dumps(_finite({"version": JSON_VERSION} | answer), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return the value with null for what JSON cannot say: infinity and not-a-number."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
