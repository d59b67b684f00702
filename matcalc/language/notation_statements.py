r"""What a text around a formula says: definitions, conditions, and by what it asks to derive."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from matcalc.errors import ParseError
from matcalc.language.names import is_taken_by_python
from matcalc.language.notation import NotationParser
from matcalc.language.notation_cursor import is_sign, opens_inner
from matcalc.language.notation_tokens import Token, read_tokens
from matcalc.language.notation_tree import NotationNode, respell, spell_as_known


@dataclass(frozen=True, slots=True)
class Formula:
    """What a text says: definitions in order, the formula, by what it is to be derived, and what is said of names."""

    definitions: tuple[tuple[str, NotationNode], ...]
    root: NotationNode
    wrt: str | None = None
    shapes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assumed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bold: frozenset[str] = frozenset()


_SEPARATORS = frozenset("then where with and for if given when let assuming suppose such that here subject to".split())
ASSUMED_WORDS = {
    "symmetric": "symmetric", "sym": "symmetric", "skew": "skew", "diagonal": "diagonal", "orthogonal": "orthogonal",
    "invertible": "invertible", "nonsingular": "invertible", "posdef": "posdef", "spd": "posdef", "pd": "posdef",
    "positive": "positive", "definite": "posdef", "psd": "posdef", "nonzero": "nonzero",
}  # fmt: skip


# --- the text around the formula ----------------------------------------------------------------------

_NAME = (
    r"(?:\\?[A-Za-z\u0370-\u03ff]+(?:_?\{?\w+\}?)?"  # x, \beta, W_1
    r"|\\(?:mathbf|boldsymbol|bm|vec)\s*\{?\\?\w+\}?)"  # \mathbf{x}
)
_VERB = (
    r"(?:(?:how\s+(?:do|can|would|should)\s+(?:i|you|we|one)\s+|how\s+to\s+"
    r"|i\s+(?:want|need|would\s+like)\s+(?:to\s+)?)?(?:please\s+)?"
    r"(?:find|compute|calculate|determine|evaluate|derive|get|take|show|what\s+is|what's|what\s+would\s+be)?\s*)?"
)
_D = r"(?:d|\\partial|\\mathrm\s*\{d\})"
_ASKED = re.compile(
    rf"\s*{_VERB}(?:the\s+)?(?:(?:partial|first|matrix)\s+)*(?:derivative|gradient|jacobian|grad)"
    r"\s+(?:of|for)\s+(?:the\s+function\s+)?",
    re.IGNORECASE,
)
_SECOND = re.compile(
    rf"\s*(?:[d∂]|\\partial)\s*(?:²|\^\s*\{{?2\}}?)\s*/|\s*\\[dt]?frac\s*\{{\s*{_D}\s*\^\s*\{{?2\}}?"
    r"|\s*(?:∇|\\nabla)\s*(?:²|\^\s*\{?2\}?)|\s*hessian\s+of\b",
    re.IGNORECASE,
)
_DIFFERENTIATE = re.compile(
    r"\s*(?:how\s+(?:do|can|would|should)\s+(?:i|you|we|one)\s+|how\s+to\s+)?(?:please\s+)?(?:differentiate|derive)"
    r"\s+(?=\S)(?![-+*/@=^(\[])",
    re.IGNORECASE,
)
_BY_NAME = re.compile(rf"\s+by\s+({_NAME})\s*[.?!]*\s*$")
_OVER = re.compile(rf"\s+(?:over|in|by\s+varying)\s+({_NAME})\s*$")
_QUOTED = re.compile(r"""\s*(?:"([^"]*)"|\u201c([^\u201d]*)\u201d|`+([^`]*)`+|\u00ab([^\u00bb]*)\u00bb)\s*[.?!]?\s*""")
_BY = re.compile(
    r"[\s,]+(?:with\s+respect\s+to|w\.?\s?r\.?\s?t\.?|wrt)\s+(?:the\s+)?(?:matrix\s+|vector\s+|scalar\s+)?"
    rf"({_NAME})\s*[.?!]*\s*$",
    re.IGNORECASE,
)
_OPTIMIZE = re.compile(
    r"\s*\\?(?:operatorname\*?\{)?(?:arg(?:\s|\\[,;:! ])*\\?(?=min|max)|(?=\w))"
    r"(?:minimi[sz]e|maximi[sz]e|(?:arg\s?)?(?:min|max)(?=\}?\s*_|\s+over\b)|arg\s?(?:min|max)(?=\s))\}?"
    rf"\s*(?:_\s*(?:\{{([^{{}}]*)\}}|(\w))|(?:over|for)\s+({_NAME})[\s:,]+)?[\s:]*",
    re.IGNORECASE,
)
_UNDER = re.compile(
    r"\s*\\under(?:set|brace)\s*\{([^{}]*)\}\s*\{\s*(?:\\(?:text|mathrm|operatorname\*?)\s*\{)?\s*\\?"
    r"(?:arg(?:\s|\\[,;:! ])*\\?)?(?:min|max)(?:imi[sz]e)?\s*\}+"
)
_D_FRONT = re.compile(
    rf"\s*{_VERB}(?:\(\s*)?(?:d|∂|\\partial)\s*/\s*(?:d|∂|\\partial)\s*({_NAME})(?![\w])(?:\s*\))?(?:\s+of\b)?"
)
_D_FRACTION = re.compile(rf"\s*\\[dt]?frac\s*\{{\s*{_D}\s*\}}\s*\{{\s*{_D}\s*({_NAME})\s*\}}")
_D_WHOLE_FRACTION = re.compile(
    rf"\s*\\[dt]?frac\s*\{{\s*{_D}\s*(?=[\\(\[|{{A-Za-z])(.+)\}}\s*\{{\s*{_D}\s*({_NAME})\s*\}}\s*$", re.DOTALL
)
_D_WHOLE = re.compile(
    r"\s*(?:∂|d(?=\s*[(\[|‖]|\s*(?:tr|log|det|sum|norm|trace|exp)\b|\s+))\s*(.+?)"
    rf"\s*/\s*[∂d]\s*({_NAME})\s*$",
    re.DOTALL,
)
_NABLA = re.compile(
    rf"\s*(?:∇|\\nabla|grad(?:ient)?(?=\s*[_(]|\s+[\w‖|\\(]))\s*(?:(ₓ)|_?\s*\{{\s*({_NAME})\s*\}}|_\s*({_NAME}?)(?=[\s(\[\\|‖])|(?=\s*[(\[\\])|(?<=grad\s)(?=\s*\w))"
)
_D_BRACKETS = re.compile(
    rf"\s*(?:D|[Gg]rad|gradient|diff|jacobian)(?P<open>[\[(])(.+),\s*\{{?\s*({_NAME})\s*\}}?[\])]\s*"
)
_QUOTIENT = re.compile(r"∂(\w+\s*/\s*)∂(\w+\s*(?:[,;]|where\b|with\b|if\b|for\b))")
_RETURN = re.compile(r"\s*(?:def\s+\w+\([^()]*\)\s*(?:->[^:]*)?:\s*)?return\s+")
_LAMBDA = re.compile(r"\s*(?:\w+\s*=\s*)?lambda\s+(\w+(?:\s*,\s*\w+)*)\s*:\s*")
_MAPS = re.compile(rf"\s*(?:\w+\s*:\s*)?({_NAME})\s*(?:↦|\\mapsto(?![a-z]))\s*")
_PLAIN = re.compile(r"[\w\s.+\-*/(),]*", re.ASCII)
_MATHEMATICS = re.compile(r"\s*(\$\$?|\\\[|\\\()(.*?)(\$\$?|\\\]|\\\))\s*[.,]?\s*", re.DOTALL)


def strip_question(text: str) -> tuple[str, str | None]:
    """Return a text with what asks for the derivative blanked out, and by what it asks.

    >>> strip_question("d/dX tr(AX)")
    ('     tr(AX)', 'X')
    """
    wrt: str | None = None
    if found := _SECOND.match(text):
        reason = "the second derivative is asked for beside the text"
        raise ParseError(reason, span=found.span(), advice="write the function alone, and --order 2, or order=2")
    if found := _RETURN.match(text):
        text = _blank(text, 0, found.end())
    text = _QUOTIENT.sub(r"d\1d\2", text)  # ∂f/∂x where f = ...
    found = _D_BRACKETS.fullmatch(text)  # D[f, x] of Mathematica, gradient(f, x)
    if found and _closes_last(text, found.start("open")):
        wrt, text = found[3], _blank(_blank(text, 0, found.start(2)), found.end(2), len(text))
    if found := _MAPS.match(text):
        text, wrt = _blank(text, 0, found.end()), found[1]
    if found := _LAMBDA.match(text):
        names = found[1].split(",")
        text, wrt = _blank(text, 0, found.end()), names[0].strip() if len(names) == 1 else None
    if quoted := _QUOTED.fullmatch(text):
        group = quoted.lastindex or 1
        text = _blank(_blank(text, 0, quoted.start(group)), quoted.end(group), len(text))
    dollars = _MATHEMATICS.fullmatch(text)
    if dollars:
        text = _blank(_blank(text, 0, dollars.end(1)), dollars.start(3), len(text))
    if found := _BY.search(text) or (_BY_NAME.search(text) if _DIFFERENTIATE.match(text) else None):
        wrt, text = found[1], _blank(text, found.start(), len(text))
    if found := _ASKED.match(text) or (wrt and _DIFFERENTIATE.match(text)) or None:
        text = _blank(text, 0, found.end())
    if found := _UNDER.match(text):  # \underset{x}{\text{minimize}}
        wrt, text = found[1] if re.fullmatch(_NAME, found[1].strip()) else wrt, _blank(text, 0, found.end())
    found = _OPTIMIZE.match(text)
    asked = found and (found[1] or found[2] or found[3])
    is_entry = asked and re.fullmatch(r"[ijk]", asked)  # max_i x_i is the largest entry, argmax x its place
    if found and not is_entry and (asked or not re.fullmatch(r"\s*\w+\s*", text[found.end() :])):
        wrt = asked if asked and re.fullmatch(_NAME, asked.strip()) else wrt
        text = _blank(text, 0, found.end())
        if over := _OVER.search(text):
            wrt, text = over[1], _blank(text, over.start(), len(text))
    for pattern in (_D_FRONT, _D_FRACTION):
        if found := pattern.match(text):
            return _end(_blank(text, 0, found.end())), read_variable(found[1])
    for pattern in (_D_WHOLE_FRACTION, _D_WHOLE):
        if found := pattern.match(text):
            text = _blank(_blank(text, 0, found.start(1)), found.end(1), len(text))
            return _end(text), read_variable(found[2])
    if found := _NABLA.match(text):
        wrt = (found[1] and "x") or found[2] or found[3] or wrt
        text = _blank(text, 0, found.end())
    return _end(text), None if wrt is None else read_variable(wrt)


def _closes_last(text: str, place: int) -> bool:
    """Whether the bracket at a place is closed by the last one of a text."""
    depth = 0
    for each in range(place, len(text)):
        depth += (text[each] in "([{") - (text[each] in ")]}")
        if depth == 0:
            return not text[each + 1 :].strip()
    return False


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


def _end(text: str) -> str:
    """Return a text without the point or question mark behind it."""
    kept = re.sub(r"(?:\s*=\s*\?)?[\s.?,;]*$", "", text)
    return kept + " " * (len(text) - len(kept))


def read_variable(text: str) -> str:
    r"""Return the name of a variable as it is written: \mathbf{x} is x, \beta is beta."""
    return re.sub(r"\\(mathbf|boldsymbol|bm|vec)(?![A-Za-z])|[\\{}\s]", "", text)


# --- the formula ------------------------------------------------------------------------------------------


def read_formula(text: str, syntax: str, known: Collection[str], functions: Collection[str]) -> Formula:
    """Return what a text in some notation says; raises ParseError with a place where it cannot be read.

    `known` are names that are variables for certain, `functions` those of the functions that exist.

    >>> formula = read_formula("x^T A x, A symmetric", "math", (), ())
    >>> formula.root.kind, dict(formula.assumed)
    ('juxtapose', {'A': ('symmetric',)})
    """
    stripped, wrt = strip_question(text)
    tokens = list(_open_remarks(read_tokens(_read_decimal_comma(stripped), syntax)))
    if len(tokens) == 1:
        raise ParseError("there is no expression", advice="write one, such as A @ x")
    known = {*known, *([wrt] if wrt else [])}
    statements = list(_split(tokens))
    defined = {part[0].text for part in statements if _is_definition(part)} | set(_list_arguments(statements))
    is_plain = syntax == "math" and text.count("*") <= 4 and _PLAIN.fullmatch(text) is not None
    reader = NotationParser(syntax, known | defined, frozenset(functions), is_plain)
    bold = frozenset(
        spell_as_known(token.text, reader.known) for token in tokens if token.bold and token.kind == "name"
    )
    return replace(_read_statements(statements, reader, wrt), bold=bold)


def _read_decimal_comma(text: str) -> str:
    """Return a text with 0,5 outside of brackets as 0.5, where a comma between digits separates nothing."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
        if character == "," and not depth and re.search(r"(?<![\w.,])\d+$", text[:place]):
            if re.match(r"\d+(?![\w.,])", text[place + 1 :]):
                text = text[:place] + "." + text[place + 1 :]
    return text


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the statements of a text: what stands between , ; and words such as where, outside of brackets."""
    depth, inner = 0, False
    part: list[Token] = []
    for place, token in enumerate(tokens):
        depth += {"open": 1, "close": -1}.get(token.kind, 0) or {"⟨": 1, "⟩": -1}.get(token.text, 0)
        if is_sign(token, "<") and opens_inner(tokens, place):
            depth, inner = depth + 1, True
        elif inner and is_sign(token, ">"):
            depth, inner = depth - 1, False
        separates = token.kind == "op" and token.text in (",", ";")
        if token.kind in ("name", "word") and token.text.lower() in _SEPARATORS and len(token.text) > 1:
            following = tokens[place + 1]
            is_call = following.kind == "open" and following.text == "(" and not following.spaced
            separates = (place > 0 and not is_call) or token.text.lower() == "let"
        if token.kind == "end" or (depth <= 0 and separates):
            if part:
                yield part
            part = []
        else:
            part.append(token)


def _open_remarks(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens with (A symmetric) behind a formula as a statement of its own."""
    for place, token in enumerate(tokens):
        if token.kind == "open" and token.text == "(" and place:
            end = next((each for each in range(place, len(tokens)) if tokens[each].kind == "close"), place)
            inside = tokens[place + 1 : end]
            words = [each.text.lower() for each in inside]
            if set(words) & set(ASSUMED_WORDS) and all(each.kind in ("name", "word") for each in inside):
                yield Token("op", ",", token.start, token.end)
                yield from inside
                yield from _open_remarks([Token("op", ",", tokens[end].start, tokens[end].end), *tokens[end + 1 :]])
                return
        yield token


def _list_arguments(statements: Sequence[Sequence[Token]]) -> Iterator[str]:
    """Yield the names in the bracket of f(x, y) = ..., which are variables."""
    for part in statements:
        head = _find_head(part)
        if head is not None and head[1]:
            inside = part[2 : head[2] - 2]
            if all(token.kind == "name" for token in inside[::2]) and all(is_sign(sign, ",") for sign in inside[1::2]):
                yield from (token.text for token in inside[::2])


def _is_definition(part: Sequence[Token]) -> bool:
    return len(part) > 2 and part[0].kind == "name" and is_sign(part[1], "=")


def _read_statements(statements: list[list[Token]], reader: NotationParser, wrt: str | None) -> Formula:
    definitions: list[tuple[str, list[Token]]] = []
    formulas: list[list[Token]] = []
    shapes: dict[str, tuple[str, ...]] = {}
    assumed: dict[str, tuple[str, ...]] = {}
    for part in statements:
        if _read_membership(part, shapes) or _read_assumption(part, assumed, bool(formulas or definitions)):
            continue
        head = _find_head(part)
        if head is None:
            formulas.append(part)
        elif head[1] and not formulas:
            formulas.append(part[head[2] :])
        elif is_taken_by_python(head[0]):
            raise ParseError(f"{head[0]} cannot be a name", span=(part[0].start, part[0].end))
        else:
            definitions.append((head[0], part[head[2] :]))
    used = {token.text for _, part in definitions for token in part} | {
        token.text for part in formulas for token in part
    }
    formulas, asked = _resolve_quotients(formulas, definitions)
    wrt = asked or wrt
    if not formulas:  # f = x'Ax: what is defined and not used is the formula itself
        open_ends = [place for place, (name, _) in enumerate(definitions) if name not in used] or [len(definitions) - 1]
        if not definitions or len(open_ends) != 1:
            raise ParseError("the formula is missing", advice="write the formula, and definitions beside it")
        formulas.append(definitions.pop(open_ends[0])[1])
    if len(formulas) > 1:
        first = formulas[1][0]
        raise ParseError(
            "there are several formulas", span=(first.start, formulas[1][-1].end), advice="write one formula"
        )
    known = reader.known
    defined = tuple((name, respell(reader.read(part), known)) for name, part in definitions)
    return Formula(defined, respell(reader.read(formulas[0]), known), wrt, shapes, assumed)


def _resolve_quotients(
    formulas: list[list[Token]], definitions: list[tuple[str, list[Token]]]
) -> tuple[list[list[Token]], str | None]:
    """Return the formulas with dy/dx replaced by what y is defined as, and by what it is derived."""
    defined = dict(definitions)
    for place, part in enumerate(formulas):
        texts = [token.text for token in part]
        if len(texts) == 3 and texts[1] == "/" and texts[0][:1] in "d∂" and texts[2][:1] in "d∂":
            if texts[0][1:] in defined and texts[2][1:]:
                definitions[:] = [(name, tokens) for name, tokens in definitions if name != texts[0][1:]]
                return [*formulas[:place], defined[texts[0][1:]], *formulas[place + 1 :]], texts[2][1:]
    return formulas, None


def _find_head(part: Sequence[Token]) -> tuple[str, bool, int] | None:
    """Return the name before =, whether it is called as f(x) is, and where the right side begins; None without ="""
    depth = 0
    for place, token in enumerate(part):
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
        if depth == 0 and is_sign(token, "=") and place > 0:
            left = part[:place]
            if left[0].kind not in ("name", "word"):
                return None
            _refuse_equation(part, place)
            if len(left) == 1:
                return left[0].text, False, place + 1
            if left[1].kind == "open" and left[-1].kind == "close":
                return left[0].text, True, place + 1
            kinds = [each.kind for each in left]
            if left[0].text.lower() in ("log", "ln", "exp") and kinds[2:3] == ["open"] and kinds[-1] == "close":
                return left[1].text, True, place + 1  # log p(x) = ...
            if len(left) == 3 and is_sign(left[1], "_"):
                return f"{left[0].text}_{left[2].text}", False, place + 1
            return None
    return None


_SIDES = re.compile(r"[A-Z]{1,2}[xyzwvβθ]|[A-Z][XYZW]|[XYZW][A-Z]")


def _refuse_equation(part: Sequence[Token], place: int) -> None:
    """Raise for Ax = λx and det(A - λI) = 0, two sides of an equation: neither names what stands on the right."""
    left, right = part[:place], part[place + 1 :]
    is_value = len(left) > 1 and left[1].kind == "open" and left[0].text.lower() in ("det", "tr", "trace", "log", "ln")
    is_zero = [token.text for token in right] == ["0"]
    if _SIDES.fullmatch(left[0].text) if len(left) == 1 else is_zero or (is_value and any(
            token.kind == "op" and token.text not in (",", "^", "'", "⊤") for token in left)):  # fmt: skip
        raise ParseError("two sides of an equation", span=(part[place].start, part[place].end), advice=_ONE_SIDE)


_ONE_SIDE = "leave one side and the sign = out"


def _read_membership(part: Sequence[Token], shapes: dict[str, tuple[str, ...]]) -> bool:
    r"""Keep the shape of x ∈ R^n or A ∈ R^{m×n}; whether the statement is one."""
    place = next((place for place, token in enumerate(part) if is_sign(token, "∈")), None)
    place = place or next((place for place, token in enumerate(part) if token.text == "in" and place), None)
    if not place or place + 1 >= len(part) or part[place + 1].text not in ("R", "ℝ"):
        return False
    sizes = [token.text for token in part[place + 2 :] if token.kind in ("name", "number")]
    sizes = [letter for size in sizes for letter in (re.split("x", size) if re.fullmatch(r"\w+x\w+", size) else [size])]
    sizes = [size for size in sizes if size != "x"]
    for token in part[:place]:
        if token.kind == "name":
            shapes[token.text] = tuple(sizes)
    return True


def _read_assumption(part: Sequence[Token], assumed: dict[str, tuple[str, ...]], has_formula: bool) -> bool:
    """Keep what is said of names in "A symmetric"; whether the statement says nothing else."""
    texts = [token.text for token in part if token.kind not in ("open", "close")]
    if has_formula and len(texts) in (4, 5) and texts[:3] == [texts[0], "=", texts[0]]:  # A = A^T
        if "".join(texts[3:]) in ("^T", "⊤", "'", "^⊤"):
            assumed[texts[0]] = (*assumed.get(texts[0], ()), "symmetric")
            return True
    words = [
        token.text.lower() for token in part if token.kind in ("name", "word") and token.text.lower() in ASSUMED_WORDS
    ]
    names = [token.text for token in part if token.kind == "name" and token.text.lower() not in ASSUMED_WORDS]
    fillers = {"is", "are", "a", "an", "matrix", "matrices", "all", "be", "semi", "semidefinite"}
    names = [name for name in names if name not in fillers]
    others = [token for token in part if token.kind not in ("name", "word")]
    if not words or not has_formula or others:
        return False
    kinds = [ASSUMED_WORDS[word] for word in words if not (word == "positive" and {"definite", "posdef"} & set(words))]
    for name in names or list(assumed)[-1:]:
        assumed[name] = (*assumed.get(name, ()), *kinds)
    return True
