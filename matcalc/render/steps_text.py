"""A derivation as text, as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from matcalc.render.step import Step

WIDTH = 120
WIDEST_LINE = 64
_GAP = "    "


def write_steps(steps: Sequence[Step]) -> str:
    """Return a derivation as aligned text, rule, source and shapes beside each line or, where too wide, below it."""
    rows = [(_write_sides(step, before), _comment(step)) for step, before in zip(steps, [None, *steps], strict=False)]
    width = max((len(line) for line, _ in rows if len(line) <= WIDEST_LINE), default=0)
    return "\n".join(text for line, comment in rows for text in _place(line, comment, width))


def _write_sides(step: Step, before: Step | None) -> str:
    """left = right; the left side once where it stays the same."""
    if step.kind == "axis":
        return f"{_GAP}{step.line}"
    if before is not None and before.left == step.left and step.kind != "layout":
        return f"{' ' * len(step.left)} = {step.right}"
    return step.line


def _comment(step: Step) -> list[str]:
    told = f"{step.rule}  [{step.source}]" if step.source else step.rule
    return [text for text in (told, step.shapes) if text]


def _place(line: str, comment: list[str], width: int) -> Iterator[str]:
    """The line with its comment beside it, or below where one of them is too wide."""
    widest = max(map(len, comment), default=0)
    if not comment or len(line) > width or width + len(_GAP) + widest > WIDTH:
        yield line
        yield from (f"{_GAP}{_GAP}{text}" for text in comment)
        return
    yield f"{line.ljust(width)}{_GAP}{comment[0]}"
    yield from (f"{' ' * width}{_GAP}{text}" for text in comment[1:])


def write_steps_markdown(steps: Sequence[Step]) -> str:
    """Return a derivation as a Markdown table: line, rule with its source, shapes."""
    rows = ["| line | rule | shapes |", "| --- | --- | --- |"]
    for step in steps:
        source = f" ({_quote(step.source)})" if step.source else ""
        rule = _code(step.rule) if step.laws else step.rule
        rows.append(f"| {_code(step.line)} | {_escape(rule)}{source} | {_escape(step.shapes)} |")
    return "\n".join(rows)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _quote(text: str) -> str:
    """Return the words of a rule as they stand: no tag, no link, no mathematics."""
    return re.sub(r"[\\`\[\]$|<]", r"\\\g<0>", text)
