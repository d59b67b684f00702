"""Text in the language or in any notation -> typed expression; the reader of notation is loaded when it is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from matcalc.errors import DeclarationError, LimitError, MatcalcError, MissingRuleError, ParseError
from matcalc.language.declarations import Declared
from matcalc.language.expression import Expression
from matcalc.language.habits import AmbiguityError, is_doubtful, require_one_meaning
from matcalc.language.names import SPECIAL
from matcalc.language.text_to_expression import Problem, Texts, Understood
from matcalc.rule_files import RuleBook

SYNTAXES = ("auto", "matcalc", "math", "latex", "matlab", "python")


def parse_any(
    texts: str | Expression | Sequence[str | Expression],
    *,
    wrt: str | None = None,
    choose_wrt: bool = False,
    shapes: Declared = None,
    assume: Declared = None,
    rules: RuleBook | None = None,
    syntax: str = "auto",
) -> Problem:
    """Return the typed expressions of texts in the language, or as people write mathematics.

    What the language accepts means what it means there; what it refuses is read as notation: x^T A x, LaTeX, MATLAB,
    calls of NumPy and torch.  `reading` of the problem is then the first text in the language.  `syntax` is one of
    auto, matcalc (the language alone), math, latex, matlab and python.  Raises a MatcalcError that points at the place.

    >>> problem = parse_any("\u2016Ax \u2212 b\u2016\u00b2")
    >>> problem.reading, problem.symbols["A"].shape
    ('norm(A @ x - b)**2', (n, k))
    """
    if syntax not in SYNTAXES:
        raise DeclarationError(f"there is no syntax {syntax!r}"[:80], advice="use one of " + ", ".join(SYNTAXES))
    asked = Texts.of(texts, wrt, choose_wrt, shapes, assume, rules)
    if syntax == "matcalc":
        return asked.settle(asked.read_language())
    try:
        return _read_any(asked, syntax)
    except (AmbiguityError, LimitError):
        raise
    except (ParseError, MissingRuleError) as error:
        raise _tell_all_faults(error, asked, syntax) from None


def _tell_all_faults(error: MatcalcError, asked: Texts, syntax: str) -> MatcalcError:
    """Return the error of a text with its other faults, and with the text without them where that can be read."""
    from matcalc.language.faults import correct, list_text_faults

    index = next((place for place, text in enumerate(asked.texts) if text == error.text), None)
    if index is None or not isinstance(asked.texts[index], str) or (error.advice or "").startswith("did you mean"):
        return error
    text = str(asked.texts[index])
    faults = list_text_faults(text, {*asked.rules.functions, *SPECIAL}, asked.declared)
    span = error.span or (-1, -1)
    error.others = tuple(
        (fault.reason, (fault.start, fault.end)) for fault in faults
        if not (span[0] <= fault.start < max(span[1], span[0] + 1)) and fault.reason != error.reason
    )  # fmt: skip
    mended = correct(text, faults) if faults else None
    if mended is None or not mended.strip():
        return error
    texts = tuple(mended if place == index else each for place, each in enumerate(asked.texts))
    try:
        problem = _read_any(replace(asked, texts=texts), syntax)
    except MatcalcError:
        return error
    error.advice = problem.reading if index == 0 and problem.reading else mended.strip()
    return error


def _read_any(asked: Texts, syntax: str) -> Problem:
    """Return what texts mean in the language or in a notation; raises as `parse_any`."""
    understood: Understood | None = None
    refused: MatcalcError | None = None
    if syntax == "auto":
        try:
            understood = asked.read_language()
        except LimitError:
            raise
        except MatcalcError as error:
            refused = error
        if understood is not None and _is_matlab(asked):
            from matcalc.language.notation_to_expression import read_notation

            return read_notation(asked, "matlab", None, None)
        if understood is not None:
            _require_one_meaning(asked, understood)
            if not is_doubtful(understood.reading):
                return asked.settle(understood)
    from matcalc.language.notation_to_expression import read_notation

    return read_notation(asked, syntax, understood, refused)


def _is_matlab(asked: Texts) -> bool:
    """Whether a text of the language has 1./x, as MATLAB and Julia divide entry by entry."""
    return not asked.declared and any(re.search(r"\d\./", text) for text in asked.texts if isinstance(text, str))


def _require_one_meaning(asked: Texts, understood: Understood) -> None:
    """Raise AmbiguityError for what people hardly mean as the language reads it, with the whole text as they may."""
    try:
        require_one_meaning(understood.reading, asked.wrt)
    except AmbiguityError as error:
        from matcalc.language.notation_to_expression import read_notation

        try:
            meant = read_notation(asked, "math", None, error).reading
        except MatcalcError:
            raise error from None
        if not meant or meant.replace(" ", "") == str(asked.texts[0]).replace(" ", ""):
            raise error from None
        error.advice = f"did you mean {meant}? --syntax matcalc reads the text as it stands"
        raise error from None


def list_words(text: str) -> set[str]:
    """Return the words of a text, and the letters of which words such as Ax are made."""
    words = set(re.findall(r"\w+", text))
    return words | {letter for word in words for letter in word if letter.isalpha()}
