"""Every error a reader can see: the reason, the place in the text, the shapes by name, what to do."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class MatcalcError(Exception):
    """The one base class: a reason, and where known the text, the place, the shapes, other faults and the advice.

    Inner code raises the bare reason with a `span` (start and end offset in the user's text);
    the entry point that knows the text completes it once with `complete`.

    >>> print(MatcalcError("A has 2 axes", advice="write A.T").complete("A + 1", {"A": "(m, n)"}))
    A has 2 axes
      shapes: A: (m, n)
      try: write A.T
    """

    def __init__(
        self, reason: str, *, span: tuple[int, int] | None = None, advice: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.span = span
        self.advice = advice
        self.text: str | None = None
        self.shapes: Mapping[str, str] = {}
        self.others: tuple[tuple[str, tuple[int, int]], ...] = ()

    def complete(self, text: str, shapes: Mapping[str, str]) -> MatcalcError:
        """Return the error itself, now knowing the user's text and the shapes; the first caller wins."""
        if self.text is None:
            self.text = text
            self.shapes = dict(shapes)
        return self

    def __str__(self) -> str:
        lines = [escape_hidden(self.reason)]
        if self.text is not None and self.span is not None:
            lines += _point_at(self.text, *self.span)
        for reason, span in self.others:
            lines += ["and " + escape_hidden(reason), *(_point_at(self.text, *span) if self.text is not None else ())]
        if self.shapes:
            lines.append("  shapes: " + "   ".join(f"{name}: {shape}" for name, shape in self.shapes.items()))
        if self.advice:
            lines.append(f"  try: {escape_hidden(self.advice)}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: the error and the user's own line, or the traceback in a mode asked for."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is not None and shell.InteractiveTB.mode not in ("Context", "Minimal"):
            full: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, self.__traceback__)
            return full
        place = _find_own_line(self.__traceback__, shell)
        return [f"{type(self).__name__}: {self}", *([f"  {place}"] if place else [])]


def _point_at(text: str, start: int, end: int, width: int = 100) -> list[str]:
    """Return the text and a line of carets under text[start:end], cut to `width` characters."""
    if "\n" in text:
        text = text.replace("\n", " ")
    left = max(0, start - width // 2)
    shown = text[left : left + width]
    start, end = start - left, max(start + 1, end) - left
    before, place = escape_hidden(shown[:start]), escape_hidden(shown[start:end])
    return [f"  {before}{place}{escape_hidden(shown[end:])}", f"  {' ' * len(before)}{'^' * max(1, len(place))}"]


def escape_hidden(text: str) -> str:
    r"""Return a text with escapes in the place of what a terminal obeys or hides; line ends stay.

    >>> print(escape_hidden("red\x1b[31m, turned\u202e"))
    red\x1b[31m, turned\u202e
    """
    return "".join(ascii(each)[1:-1] if _is_hidden(each) else each for each in text)


def _is_hidden(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


# --- the line of the user's own code, for IPython --------------------------------------------------


def _find_own_line(trace: TracebackType | None, shell: Any) -> str | None:
    """Return "in Cell In[3], line 2: d = ..." of the innermost frame that is the user's; None where none is."""
    for frame, number in reversed(list(traceback.walk_tb(trace))):
        path = frame.f_code.co_filename
        if name := shell and shell.compile.format_code_name(path):
            return _write_place(" ".join(name), number, _undo_magic(path, number, name[1], shell))
        if _is_own(path):
            return _write_place(path, number, linecache.getline(path, number))
    return None


def _write_place(name: str, number: int, line: str) -> str:
    line = line.strip()
    return f"in {name}, line {number}: {line[:100]}{'…' if len(line) > 100 else ''}".rstrip(": ")


def _undo_magic(path: str, number: int, name: str, shell: Any) -> str:
    """Return a line of a cell as it was typed: IPython runs %matcalc as a call of its own."""
    line = linecache.getline(path, number)
    count = re.search(r"\d+", name)
    if "get_ipython()" not in line or count is None:
        return line
    typed = dict(enumerate(shell.history_manager.input_hist_raw)).get(int(count[0]), "")
    lines = dict(enumerate(re.sub(r"\A(\s*\n)+", "", typed).splitlines(), start=1))
    return lines.get(number, line)


def _is_own(path: str) -> bool:
    """Whether a file is neither ours, nor Python's, nor of an installed package."""
    folders = {Path(path).resolve(), *Path(path).resolve().parents}
    others = {Path(__file__).resolve().parent, Path(os.__file__).resolve().parent}
    installed = any(folder.name in ("site-packages", "dist-packages") for folder in folders)
    return Path(path).is_file() and not installed and not folders & others


# The distribution is on no index: what is optional is installed from a clone.
INSTALL_NOTEBOOK = "in the clone of matcalc: pip install -c constraints.txt '.[notebook]'"


class ParseError(MatcalcError):
    """The text is not an expression of the language."""


class ShapeError(MatcalcError):
    """The shapes of two parts do not fit."""


class DeclarationError(MatcalcError):
    """A name, a shape, an assumption or a layout was declared in a way that cannot be."""


class MissingRuleError(MatcalcError):
    """A function has no rule for its derivative."""


class RuleError(MatcalcError):
    """A rule is malformed, registered twice, or proven wrong."""


class LimitError(MatcalcError):
    """The input is beyond a bound that keeps matcalc from hanging."""


class EvaluationError(MatcalcError):
    """Values do not fit the expression they are put into."""
