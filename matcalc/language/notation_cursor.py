"""Where the reader of notation stands among the tokens: what comes next, what an exponent is, what a subscript says."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from matcalc.errors import ParseError
from matcalc.language.notation_tokens import Token
from matcalc.language.notation_tree import NotationNode
from matcalc.language.notation_words import GREEK_LETTERS, TRANSPOSES


def is_sign(token: Token, *signs: str) -> bool:
    return token.kind == "op" and token.text in signs


def opens_inner(tokens: Sequence[Token], place: int) -> bool:
    """Whether the < at a place opens an inner product: <a, b> has a comma before its >."""
    depth, comma = 0, False
    for token in tokens[place + 1 :]:
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
        if depth < 0:
            return False
        comma = comma or (depth == 0 and is_sign(token, ","))
        if depth == 0 and is_sign(token, ">"):
            return comma
    return False


class TokenCursor:
    """A place among the tokens of one formula, with the names that are known and the bars that are open."""

    def __init__(self, syntax: str, known: Collection[str]) -> None:
        self.syntax = syntax
        self.known = frozenset(known)
        self._tokens: list[Token] = []
        self._place = 0
        self._closers: list[str] = []

    @property
    def _next(self) -> Token:
        token = self._tokens[self._place]
        if self._closers == ["|"] and is_sign(token, "‖") and token.end - token.start == 2:  # |a||b| closes and opens
            middle = token.start + 1
            halves = [replace(token, text="|", end=middle), replace(token, text="|", start=middle, spaced=False)]
            self._tokens[self._place : self._place + 1] = halves
        return self._tokens[self._place]

    def _peek(self, ahead: int) -> Token:
        return self._tokens[min(self._place + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        if token.kind != "end":
            self._place += 1
        return token

    def _is(self, *signs: str) -> bool:
        return is_sign(self._next, *signs)

    def _unexpected(self) -> ParseError:
        token = self._next
        if token.kind == "end":
            return ParseError(
                "the formula ends too early", span=(token.start, token.start + 1), advice="write what follows"
            )
        advice = "leave one side and the sign = out" if token.text == "=" else None
        span = token.start, max(token.end, token.start + 1)
        return ParseError(f"{token.text!r} cannot stand here", span=span, advice=advice)

    def _close(self, opening: Token, closing: str) -> Token:
        if self._next.kind != "close" or self._next.text != closing:
            if self._next.kind == "end":
                raise ParseError(
                    f"{opening.text!r} is never closed", span=(opening.start, opening.end), advice="close the bracket"
                )
            raise self._unexpected()
        return self._take()

    def _exponent_word(self, ahead: int) -> str:
        """Return the one word that an exponent is, without its brackets; nothing where it is more."""
        token = self._peek(ahead)
        if token.kind == "open":
            inside, closing = self._peek(ahead + 1), self._peek(ahead + 2)
            return inside.text if closing.kind == "close" and inside.kind in ("name", "word", "op") else ""
        return token.text if token.kind in ("name", "word", "op") else ""

    def _read_layer(self) -> str:
        """Take the (2) of W^{(2)}, which numbers W; nothing where the exponent is no number in brackets of its own."""
        texts = [self._peek(ahead).text for ahead in range(5)]
        if texts[0] != "{" or texts[1] not in "([" or not re.fullmatch(r"\w", texts[2]) or texts[3] not in ")]":
            return ""
        if texts[4] != "}":
            return ""
        self._place += 5
        return texts[2]

    def _find_iterate(self) -> int:
        """Return the end of the exponent {(t+1)}, which numbers iterates; 0 where it is none."""
        texts = [self._peek(ahead).text for ahead in range(7)]
        is_number = texts[:2] == ["{", "("] and texts[3] in "+-" and texts[5:] == [")", "}"]
        return self._peek(6).end if is_number and re.fullmatch(r"[a-z]", texts[2]) else 0

    def _cut_transpose(self) -> None:
        """Cut the T of x^TAx from the letters behind it, as an exponent without braces is one sign."""
        place = self._place + self._is("-")
        token = self._tokens[place]
        is_run = token.kind == "name" and re.fullmatch(r"T[A-Za-z\u0370-\u03ff]\w*", token.text)
        if is_run and token.text not in self.known and "T" not in self.known and self.syntax in ("math", "matlab"):
            middle = token.start + 1
            halves = [replace(token, text="T", end=middle), replace(token, text=token.text[1:], start=middle)]
            self._tokens[place : place + 1] = [halves[0], replace(halves[1], spaced=False)]

    def _is_minus_transpose(self) -> bool:
        if self._next.kind != "open":
            return False
        texts = []
        for ahead in range(1, 5):
            token = self._peek(ahead)
            if token.kind == "close":
                break
            texts.append(token.text)
        return texts[:1] == ["-"] and len(texts) in (2, 3) and texts[-1] in TRANSPOSES and texts[1:-1] in ([], ["1"])

    def _is_bare_transpose(self, left: NotationNode, token: Token) -> bool:
        """Whether a T stands at once behind a bracket, as in (A x - b)T(A x - b)."""
        is_behind = left.kind == "group" and token.start == left.end and token.kind == "name" and token.text == "T"
        return is_behind and "T" not in self.known and self.syntax in ("math", "matlab")

    def _is_count(self, token: Token) -> bool:
        """Whether the n of 1/2n stands at once behind a number, where it may belong below the line."""
        is_letter = token.kind == "name" and token.text in ("n", "m", "N", "M", "d", "p", "k")
        return is_letter and not token.spaced and self.syntax != "latex"

    def _skip_plus(self) -> int:
        """Take the subscript + of (1 - t)_+, the positive part, and return where it ends; 0 where it is none."""
        texts = [self._peek(ahead).text for ahead in range(4)]
        length = 2 if texts[1] == "+" else 4 if texts[1:4] == ["{", "+", "}"] else 0
        self._place += length
        return self._peek(-1).end if length else 0

    def _is_turned_name(self) -> bool:
        """Whether a name with a transpose follows, and no factor behind it: of 1 b^T the 1 is a column of ones."""
        sign = self._peek(1)
        if self._next.kind != "name" or (len(self._next.text) > 1 and self._next.text not in GREEK_LETTERS):
            return False
        length = 2 if is_sign(sign, "'", "⊤") else 0
        if is_sign(sign, "^") and self._exponent_word(2) in TRANSPOSES:
            length = 5 if self._peek(2).kind == "open" else 3
        return length > 0 and not self._starts_factor(self._peek(length))

    def _is_kron_sign(self) -> bool:
        """Whether (x) stands by itself between two factors, as the sign of the Kronecker product is typed."""
        opening, inside, closing, following = (self._peek(ahead) for ahead in range(4))
        is_sign_typed = [opening.text, inside.text, closing.text] == ["(", "x", ")"] and "x" not in self.known
        return is_sign_typed and opening.spaced and following.spaced and self._starts_factor(following)

    def _skip_exponent(self) -> int:
        token = self._take()
        if token.kind == "open":
            while self._next.kind != "close":
                self._take()
            return self._take().end
        return token.end

    def _read_below(self) -> tuple[str, int]:
        """Return the text of a subscript and where it ends."""
        self._take()
        token = self._take()
        if token.kind not in ("open", "name", "number", "word") and not is_sign(token, "*", "∞"):
            self._place -= token.kind != "end"
            raise self._unexpected()
        if token.kind != "open":
            return token.text, token.end
        if token.text != "{":
            self._place -= 1
            raise self._unexpected()
        words = []
        while self._next.kind not in ("close", "end"):
            words.append(self._take().text)
        return "".join(words), self._close(token, {"(": ")", "[": "]", "{": "}"}[token.text]).end

    def _is_place(self) -> bool:
        """Whether brackets hold the place of an entry or ranges: x[0], X[i, j], X[:, k] or X[1:, :-1]."""
        if self._has_range():
            return True
        for ahead in range(1, 6):
            token = self._peek(ahead)
            if token.kind == "close":
                return token.text == "]" and ahead > 1
            is_letter = token.kind == "name" and re.fullmatch(r"[ijklmnpqrs]", token.text) is not None
            if not (is_letter or token.kind == "number" or is_sign(token, ",", ":", "-")) or token.text in self.known:
                return False
        return False

    def _has_range(self) -> bool:
        """Whether brackets hold a range, whose bounds are letters and numbers: x[1:], x[:n-1]; (:) is none."""
        found = False
        for ahead in range(1, 24):
            token = self._peek(ahead)
            if token.kind == "close":
                return found and ahead > 2
            is_bound = token.kind in ("number", "name") or is_sign(token, ",", ":", "-", "+", "*")
            if not is_bound or (token.kind == "name" and not (token.text == "None" or token.text[0].islower())):
                return False
            found = found or is_sign(token, ":")
        return False

    def _starts_inner(self) -> bool:
        """Whether < opens an inner product."""
        return ">" not in self._closers and opens_inner(self._tokens, self._place)

    def _starts_factor(self, token: Token) -> bool:
        """Whether a token begins a factor that can stand beside another one without a sign."""
        if token.kind in ("name", "word", "number", "ones"):
            return True
        if token.kind == "open":
            return token.text in ("([{" if self.syntax == "latex" else "([" if token.spaced else "(")
        if token.kind != "op" or token.text in self._closers:
            return False
        return token.text in ("‖", "|", "⟨", "√", "frac", "∑", "Σ", "∏") or (token.text == "<" and self._starts_inner())
