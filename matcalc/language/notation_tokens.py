r"""Text as people type it -> tokens: plain and Unicode text, LaTeX, MATLAB and Python share one kind of token.

Superscripts and subscripts become ^ and _ with a group, so that x², x^2 and x^{2} are the same tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from matcalc.errors import LimitError, ParseError

MOST_TOKENS = 3_000


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a text: its kind, what it stands for, its place, and whether a space stands before it.

    `apart` says that LaTeX has a space of its own there, such as \\, or \\quad, as blanks mean nothing.

    Kinds are number, name, word (a function's name set upright), ones, text (in quotes), op, open, close and end.
    """

    kind: str
    text: str
    start: int
    end: int
    spaced: bool = False
    bold: bool = False
    apart: bool = False


def detect_syntax(text: str) -> str:
    r"""Return what a text is written in: latex, python, matlab, or math where nothing tells.

    >>> [detect_syntax(text) for text in (r"x^\top A x", "np.trace(X)", "x'*A*x", "x^T A x")]
    ['latex', 'python', 'matlab', 'math']
    """
    if "$" in text or any(name in LATEX_NAMES for name in re.findall(r"\\([A-Za-z]+|[|,;!{}])", text)):
        return "latex"
    if re.search(r"(?:^|[\s{(^_])\\[A-Za-z]{2,}", text):  # a command, if not a known one; A\b has nothing before it
        return "latex"
    plain = normalize_keyboard(text)
    if _PYTHON.search(plain) or (_INDEXED.search(plain) and not _MATHEMATICAL.search(plain)):
        return "python"
    return "matlab" if _MATLAB.search(plain) else "math"


def is_mixed_code(text: str) -> bool:
    """Whether a text has .T or @ as code has, and factors side by side as mathematics: x.T A x.

    >>> is_mixed_code("x.T A x"), is_mixed_code("x.T @ A @ x"), is_mixed_code("np.dot(a, x) y")
    (True, False, False)
    """
    plain = normalize_keyboard(text)
    if _CODE.search(plain) or not re.search(r"@|\.T\b", plain):
        return False
    return re.search(r"(\w|\))\s+[(A-Za-z\u0370-\u03ff]|\)\s*[(\w]|\d\s*[(A-Za-z]", plain) is not None


# What only code has; in mathematics * and ** would be read otherwise.
_CODE = re.compile(r"\*|\b(np|numpy|torch|jnp|jax|F|nn|scipy|tf|math)\.\w|\blambda\b|=|\.[a-z]\w+\(|\[")


_PYTHON = re.compile(
    r"@|%\*%|\*\*|\b(np|numpy|torch|jnp|jax|F|nn|scipy|tf|math|cp|cvxpy)\.\w|\blambda\s+\w+(\s*,\s*\w+)*\s*:|\b(axis|dim|ord|keepdims?)\s*="
    r"|\w\.[a-z_]+\(|\.(T|mT|sum|mean|dot|norm|pow|t|trace|transpose|matmul|mm|mv|item|det|inverse)\b(?!\s*\.?[*^/'])"
)
# Brackets that hold a range stand in code and beside signs of mathematics alike.
_INDEXED = re.compile(r"\[[^\]]*(None|:)[^\]]*\]")
_MATHEMATICAL = re.compile(r"\^|\u2016|[\w)\]]\s+[\w(]")
_MATLAB = re.compile(
    r"\.[*/^\\]|(?<!\d)\.[-+](?=[\s\w(])|\b[A-Za-z]\w+\.\("
    r"|\.'|[\w)\]]'\s*[*/]|\*\s*\w+(\([^()]*\))?'|\bnorm[12]\(|\b(vector|matrix|scalar)\(|\(:\)|\w\s*\\\s*\w|\^.*\*|\*.*\^"
    r"|\btranspose\(|\w\([^()]*\bend\b[^()]*\)|\[[^\[\]]*;[^\[\]]*\]"
)


# --- characters -------------------------------------------------------------------------------------

_MINUS = "\u2212\u2013\u2014\u2010\u2011\uff0d\ufe63"
_QUOTES = "\u2018\u2019\u2032\u00b4\u02b9\uff07"
_KEYBOARD = {
    **dict.fromkeys(_MINUS, "-"), **dict.fromkeys(_QUOTES, "'"), **dict.fromkeys("\u201c\u201d\uff02", '"'),
    **dict.fromkeys("\u3000\u00a0\u2009\u200a\u202f\u2002\u2003\u2005\u2006\u2007\u2008\u205f\u200b\ufeff", " "),
    **dict.fromkeys("\u3001\uff64", ","), "\u3002": ".", "\u2217": "*", "\u2215": "/", "\u2044": "/", "\u00f7": "/",
    **dict.fromkeys("\u3010\u3014", "["), **dict.fromkeys("\u3011\u3015", "]"),
    "\u2223": "|", "\uff5c": "|", "\u2225": "‖", "\u3008": "⟨", "\u3009": "⟩", "\u27e8": "⟨", "\u27e9": "⟩",
    "\u2329": "⟨", "\u232a": "⟩", "\u22c6": "*", "\u2254": "=",
}  # fmt: skip


def normalize_keyboard(text: str) -> str:
    """Return a text of the same length with full-width and typographic characters as the keyboard has them.

    >>> normalize_keyboard("（Ａ＠x－b）")
    '(A@x-b)'
    """
    return text if text.isascii() else "".join(map(_normalize_character, text))


def _normalize_character(character: str) -> str:
    if character in _KEYBOARD:
        return _KEYBOARD[character]
    if character in "𝟏𝟙𝟭":
        return character
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E or 0x1D400 <= code <= 0x1D7FF:
        plain = unicodedata.normalize("NFKC", character)
        return plain if len(plain) == 1 else character
    return character


def _script(character: str) -> str:
    """Return <super> or <sub> of a raised or lowered character, else nothing."""
    kind = unicodedata.decomposition(character).partition(" ")[0]
    return kind if kind in ("<super>", "<sub>") else ""


def is_greek(character: str) -> bool:
    """Whether a character is a Greek letter."""
    return "\u0370" <= character <= "\u03ff" and character.isalpha()


# --- plain text, MATLAB and Python ----------------------------------------------------------------------

_OPERATORS = (
    "%*%", "%x%", "**", ".*", "./", ".^", ".\\", ".'", ".+", ".-", "==", "<=", ">=", "||", "->",
    *"+-*/@^_'=<>,;:.\\|·⋅•∙‧・×⊙∘◦⊗⊘≤≥‖∈∑Σ∏∂∇√⟨⟩⊤†⊺ᵀ!?≻⪰&~%∥≔↦→∞`",
)  # fmt: skip
_SAME = {
    **dict.fromkeys("⋅‧・•∙", "·"), "◦": "⊙", "∘": "⊙", "≤": "<=", "≥": ">=", "||": "‖", "∥": "‖", "⊺": "⊤",
    "**": "^", "%*%": "@", "%x%": "⊗", ".+": "+", ".-": "-", "`": "'",
}  # fmt: skip
_PRODUCT_SIGN = re.compile(r"Π\s*(?:_\{?[a-z]|[\u1d62-\u1d6a\u2090-\u209c\u2c7c])")
# Σ is a sum where an index stands below it, or at the letters that follow: Σᵢ, Σ_i, Σ(x_i - y_i)².
_SUM_SIGN = re.compile(
    r"Σ\s*(?:_(?!\{?\d)|[\u1d62-\u1d6a\u2090-\u209c\u2c7c]|\(?[^()Σ∑]*?[A-Za-z](?:_\{?[ijk]|[\u1d62\u2c7c\u2096])(?![A-Za-z0-9]))"
)


def read_tokens(text: str, syntax: str) -> list[Token]:
    """Return the tokens of a text, the last of kind end; raises ParseError for a character that has no meaning."""
    found = list(_read_latex(text)) if syntax == "latex" else list(_read_text(normalize_keyboard(text), syntax))
    if any(token.text == "@" and token.end - token.start == 3 for token in found):  # of R, where t(x) is the transpose
        found = [
            replace(token, text="transpose") if token.text == "t" and following.text == "(" else token
            for token, following in zip(found, [*found[1:], Token("end", "", 0, 0)], strict=True)
        ]
    if len(found) > MOST_TOKENS:
        raise LimitError(f"the text has more than {MOST_TOKENS} signs and words", advice="split it into parts")
    return [*found, Token("end", "", len(text), len(text))]


def _read_text(text: str, syntax: str) -> Iterator[Token]:
    place, spaced = 0, False
    while place < len(text):
        character = text[place]
        if character.isspace():
            if character == "\n":
                yield Token("op", ";", place, place + 1)
            place, spaced = place + 1, True
            continue
        before = text[place - 1] if place else " "
        for token in _read_one(text, place, before, syntax):
            yield replace(token, spaced=spaced)
            place, spaced = token.end, False


def _read_one(text: str, place: int, before: str, syntax: str) -> Iterator[Token]:
    """Yield the token at a place, of a raised or lowered run the group that it stands for."""
    character = text[place]
    if run := re.compile(r"\d+\.?\d*[eE]\d+[^\W\d]").match(text, place):
        raise ParseError("a number runs into a name", span=run.span(), advice="write a product with a space or *")
    if number := re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w])|\d+\.?\d*(?![.]\d)|\.\d+").match(text, place):
        if number[0].isascii():
            written = number[0]
            if written.endswith(".") and text[number.end() : number.end() + 1] in ("*", "/", "^", "T", "'", "+", "-"):
                written = written[:-1]
            yield Token("number", written, place, place + len(written))
            return
    if script := _script(character):
        yield from _read_script(text, place, script)
    elif unicodedata.decomposition(character).startswith("<fraction>"):
        yield Token("number", unicodedata.normalize("NFKC", character).replace("\u2044", "/"), place, place + 1)
    elif character in "𝟏𝟙𝟭":
        yield Token("ones", "1", place, place + 1)
    elif character in "\"'" and (quoted := _read_quoted(text, place, before)):
        yield Token("text", text[place + 1 : quoted - 1], place, quoted)
    elif character in "([{":
        yield Token("open", character, place, place + 1)
    elif character in ")]}":
        yield Token("close", character, place, place + 1)
    elif character == "Σ" and not _SUM_SIGN.match(text, place):
        yield Token("name", character, place, place + 1)
    elif _PRODUCT_SIGN.match(text, place):
        yield Token("op", "∏", place, place + 1)
    elif (character.isalpha() or (character == "_" and re.match(r"_\w", text[place:]) and not before.isalnum()
            and before not in ")]}'‖|ᵀ⊤Σ∑∏∇⟩>")) and character not in "Σᵀ":  # fmt: skip
        yield _read_name(text, place)
    else:
        operator = next((op for op in _OPERATORS if text.startswith(op, place)), None)
        if operator is None:
            raise ParseError(f"{character!r} has no meaning here", span=(place, place + 1))
        same = _SAME.get(operator, operator)
        yield Token("op", "**" if operator == "**" and syntax == "python" else same, place, place + len(operator))


def _read_quoted(text: str, place: int, before: str) -> int | None:
    """Return the end of a text in quotes; None where the quote is a transpose."""
    quote = text[place]
    if quote == "'" and (before.isalnum() or before in ")]}'._" or _script(before)):
        return None
    closing = re.compile(rf"{quote}[^{quote}]*{quote}").match(text, place)
    return closing.end() if closing else None


def _read_script(text: str, place: int, script: str) -> Iterator[Token]:
    """Yield ^ { - 1 } for a raised -1, and _ { i } for a lowered i."""
    end = place
    while end < len(text) and (_script(text[end]) == script):
        end += 1
    plain = unicodedata.normalize("NFKC", text[place:end]).replace("\u2212", "-")
    # x²ᵀ is the transpose of x²; ⁻ᵀ and ⁻¹ᵀ are one sign.
    is_transposed = script == "<super>" and plain.endswith("T") and plain.rstrip("T") not in ("", "-", "-1")
    for part in (plain[:-1], "T") if is_transposed else (plain,):
        yield Token("op", "^" if script == "<super>" else "_", place, place)
        yield Token("open", "{", place, place)
        for inside in _read_text(part, "math"):
            yield replace(inside, start=place, end=place)
        yield Token("close", "}", place, end)


def _read_name(text: str, place: int) -> Token:
    end = place + 1
    greek = is_greek(text[place])
    while end < len(text) and not _script(text[end]):
        following = text[end]
        is_letter = following.isalnum() and not (following.isalpha() and (greek or is_greek(following)))
        if not (is_letter or (following == "_" and re.match(r"_\w", text[end:]) and not _script(text[end + 1]))):
            break
        if following == "_" and greek and not re.match(r"_\w", text[end:]):
            break
        if following.isupper() and re.search(r"_[ijk]$", text[place:end]):  # x_iA_{ij}: an entry, and the next name
            break
        if following == "_":  # what follows is a subscript, which may have letters
            greek = False
        end += 1
    return Token("name", unicodedata.normalize("NFKC", text[place:end]), place, end)


# --- LaTeX ----------------------------------------------------------------------------------------------

_STYLES = frozenset(
    """mathbf boldsymbol bm mathrm mathit mathsf mathcal mathbb mathfrak text operatorname operatorname* textbf textrm
    textit mathop vec pmb symbf mathtt""".split()
)
_BOLD = {"bf", "mathbf", "boldsymbol", "bm", "textbf", "pmb", "symbf", "vec"}
_ACCENTS = {"hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde", "widetilde": "tilde",
            "dot": "dot", "ddot": "ddot"}  # fmt: skip
_SPACES = frozenset(
    """quad qquad , ; : ! left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle
    textstyle limits nolimits bf rm it mathstrut middle notag nonumber bigm thinspace medspace enspace""".split()
) | {" "}
_SIGNS = {
    "cdot": "·", "times": "×", "odot": "⊙", "circ": "⊙", "otimes": "⊗", "oslash": "⊘", "ast": "*", "sum": "∑",
    "prod": "∏", "partial": "∂", "nabla": "∇", "langle": "⟨", "rangle": "⟩", "lVert": "‖", "rVert": "‖", "Vert": "‖",
    "|": "‖", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "in": "∈", "top": "⊤", "intercal": "⊤",
    "prime": "'", "dagger": "†", "infty": "∞", "le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "div": "/",
    "backslash": "\\",
    "lt": "<", "gt": ">", "succ": "≻", "succeq": "⪰", "colon": ":", "to": "→", "mapsto": "→", "bullet": "·",
    "setminus": "\\", "transpose": "⊤", "trans": "⊤", "T": "⊤", "coloneqq": "=", "lbrack": "[", "rbrack": "]",
    "bigcirc": "⊙", "bigodot": "⊙", "bigotimes": "⊗", "hadamard": "⊙",
}  # fmt: skip
_WORDS = {
    "log", "ln", "exp", "det", "tr", "Tr", "trace", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos",
    "arctan", "max", "min", "diag", "softmax", "sigmoid", "relu", "ReLU", "rank", "sgn", "sign", "argmin", "argmax",
    "vect", "mean", "Diag", "norm", "arg", "abs", "inner",
}  # fmt: skip
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "varepsilon", "vartheta", "varpi",
    "varrho", "varsigma", "varphi", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi",
    "Omega",
}  # fmt: skip
_FRACTIONS = {"frac", "tfrac", "dfrac", "cfrac", "nicefrac", "sfrac"}
LATEX_NAMES = (
    _STYLES | set(_ACCENTS) | (_SPACES - {" "}) | set(_SIGNS) | _WORDS | _GREEK | _FRACTIONS
    | {"sqrt", "begin", "end", "ell", "{", "}", "lbrace", "rbrace", "min", "max"}
)  # fmt: skip
_SWITCH = re.compile(r"\{\s*\\(rm|bf|it|sf|tt)(?![A-Za-z])\s*([^{}]*)\}")
_APART = frozenset("\\, \\; \\: \\quad \\qquad \\thinspace \\medspace \\enspace".split())
_COMMAND = re.compile(r"\\([A-Za-z]+\*?|.)", re.DOTALL)


def _read_latex(text: str) -> Iterator[Token]:
    place, spaced, apart = 0, False, False
    while place < len(text):
        character = text[place]
        if character.isspace() or character in "$~&":
            place, spaced = place + 1, True
            continue
        if text.startswith("\\\\", place):
            place, spaced = place + 2, True
            continue
        if written := re.compile(r"\\begin\s*\{(\w*matrix|array|cases)\*?\}").match(text, place):
            reason = "arrays and cases that are written out are not read"
            raise ParseError(reason, span=written.span(), advice="give each block a name, or write where(x > 0, x, y)")
        if environment := re.compile(r"\\(begin|end)\s*\{[A-Za-z]+\*?\}(\{[^}]*\})?").match(text, place):
            place, spaced = environment.end(), True
            continue
        if switched := _SWITCH.match(text, place):
            tokens = list(_set_in_style(switched[2], place, switched.end(), switched[1]))
            if len(tokens) > 1:
                brackets = Token("open", "{", place, place), Token("close", "}", switched.end() - 1, switched.end())
                tokens = [brackets[0], *tokens, brackets[1]]
        elif character == "\\":
            tokens = list(_read_command(text, place))
        else:
            tokens = list(_read_plain_latex(text, place))
        end = switched.end() if switched else tokens[-1].end if tokens else place + 1
        for token in tokens:
            if token.kind != "space":
                yield replace(token, spaced=spaced, apart=apart)
                spaced = apart = False
            else:
                spaced = True
                apart = apart or text[place : token.end].rstrip() in _APART
        place = end


def _read_plain_latex(text: str, place: int) -> Iterator[Token]:
    """Yield a sign, a number, or one letter: letters that follow each other are a product."""
    character = normalize_keyboard(text[place])
    if number := re.compile(r"\d+(\.\d+)?|\.\d+").match(text, place):
        yield Token("number", number[0], place, number.end())
    elif character.isalpha() and not _script(character):
        yield Token("name", character, place, place + 1)
    elif text.startswith("||", place):
        yield Token("op", "‖", place, place + 2)
    elif text.startswith("''", place):
        yield Token("op", "'", place, place + 1)
    else:
        yield from _read_one(text[:place] + character + text[place + 1 :], place, "x", "latex")


def _read_command(text: str, place: int) -> Iterator[Token]:
    command = _COMMAND.match(text, place)
    if command is None:
        raise ParseError("a command is missing behind \\", span=(place, place + 1))
    name, end = command[1], command.end()
    if name in _SPACES:
        if name in ("left", "right", "middle") and text[end : end + 1] == ".":
            end += 1
        yield Token("space", "", place, end)
    elif name in _STYLES:
        yield from _read_style(text, place, end, name)
    elif name in _ACCENTS:
        inside, end = _read_group(text, end)
        base = re.sub(r"\\(mathbf|boldsymbol|bm|mathrm)|[\\{}\s]", "", inside)
        if not base.isalnum():
            raise ParseError(f"\\{name} stands over a name", span=(place, end))
        yield Token("name", f"{base}_{_ACCENTS[name]}", place, end)
    elif name in _FRACTIONS or name == "sqrt":
        yield Token("op", "frac" if name in _FRACTIONS else "√", place, end)
    elif name in _SIGNS:
        sign = _SIGNS[name]
        yield Token("open" if sign == "[" else "close" if sign == "]" else "op", sign, place, end)
    elif name in ("{", "lbrace", "}", "rbrace"):
        yield Token("open" if name in ("{", "lbrace") else "close", "(" if name in ("{", "lbrace") else ")", place, end)
    elif name in _WORDS:
        yield Token("word", name, place, end)
    elif name in _GREEK or name == "ell":
        yield Token("name", name, place, end)
    else:
        raise ParseError(f"\\{name} is a command that is not known here", span=(place, end))


def _read_group(text: str, place: int) -> tuple[str, int]:
    """Return what a command is applied to, a group or the next sign, and where it ends."""
    while place < len(text) and text[place].isspace():
        place += 1
    if text[place : place + 1] != "{":
        single = _COMMAND.match(text, place)
        end = single.end() if single else place + 1
        return text[place:end], min(end, len(text))
    depth = 0
    for end in range(place, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[place + 1 : end], end + 1
    raise ParseError("'{' is never closed", span=(place, place + 1), advice="close the bracket")


def _read_style(text: str, place: int, end: int, style: str) -> Iterator[Token]:
    r"""Yield the names in \mathbf{A} or \text{tr}: upright letters are one word, others stand each for itself."""
    inside, end = _read_group(text, end)
    yield from _set_in_style(inside, place, end, style)


def _set_in_style(inside: str, place: int, end: int, style: str) -> Iterator[Token]:
    bold, plain = style in _BOLD, inside.strip()
    if plain in ("E", "P", "V") and style == "mathbb":
        raise ParseError("expectations and probabilities are not known here", span=(place, end))
    if plain == "1" and style in _BOLD | {"mathbb"}:
        yield Token("ones", "1", place, end)
    elif re.fullmatch(r"[A-Za-z]{2,}(\s+[A-Za-z]+)*", plain) and style not in _BOLD | {"mathit", "it"}:
        for word in re.finditer(r"[A-Za-z]+", plain):
            yield Token("word", word[0], place, end)
    elif re.fullmatch(r"[A-Za-z]", plain):
        yield Token("name", plain, place, end, bold=bold)
    elif not plain:
        yield Token("space", "", place, end)
    else:
        tokens = list(_read_latex(inside))
        for token in tokens:
            yield replace(token, start=place, end=place, bold=bold)
        yield Token("space", "", place, end)
