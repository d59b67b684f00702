"""Every error a reader can see: the reason, the place in the text, the shapes by name, what to do."""

from __future__ import annotations

from collections.abc import Mapping


class MatcalcError(Exception):
    """The one base class: a reason, and where known the text, the place, the shapes and the advice.

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

    def complete(self, text: str, shapes: Mapping[str, str]) -> MatcalcError:
        """Return the error itself, now knowing the user's text and the shapes; the first caller wins."""
        if self.text is None:
            self.text = text
            self.shapes = dict(shapes)
        return self

    def __str__(self) -> str:
        lines = [self.reason]
        if self.text is not None and self.span is not None:
            lines += _point_at(self.text, *self.span)
        if self.shapes:
            lines.append("  shapes: " + "   ".join(f"{name}: {shape}" for name, shape in self.shapes.items()))
        if self.advice:
            lines.append(f"  try: {self.advice}")
        return "\n".join(lines)


def _point_at(text: str, start: int, end: int, width: int = 100) -> list[str]:
    """Return the text and a line of carets under text[start:end], cut to `width` characters."""
    if "\n" in text:
        text = text.replace("\n", " ")
    left = max(0, start - width // 2)
    shown = text[left : left + width]
    start, end = start - left, max(start + 1, end) - left
    carets = " " * start + "^" * max(1, min(end, len(shown)) - start)
    return [f"  {shown}", f"  {carets}"]


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
