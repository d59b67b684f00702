r"""Tokens of mathematical notation -> a tree: one grammar for blackboard and LaTeX, MATLAB and Python.

Where a text can be read in two ways, such as Ax as a product or as a name, the tree has a choice: what the names are
decides it, and where both fit the reader is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from matcalc.errors import LimitError, ParseError
from matcalc.language.names import GREEK, spell_greek
from matcalc.language.notation_cursor import is_sign
from matcalc.language.notation_tokens import Token
from matcalc.language.notation_tree import (
    NotationNode,
    is_minus_one,
    list_entry_letters,
    list_last_factors,
    read_indices,
    refuse_blocks,
    replace_last_factors,
)
from matcalc.language.notation_word_reader import WordReader
from matcalc.language.notation_words import (
    DERIVED_LETTERS,
    FUNCTION_WORDS,
    INFIX_WORDS,
    INVERTIBLE,
    MODULES,
    NORM_WORDS,
    NORMS,
    TRANSPOSES,
    find_part,
)

DEEPEST = 60
NO_STEP = "write start:stop, or multiply by a 0/1 matrix"


# --- the grammar --------------------------------------------------------------------------------------------

_COMPARE, _SUM, _PRODUCT, _ADJACENT, _POWER = 5, 10, 20, 30, 40
_INFIX = {
    "+": ("add", _SUM), "-": ("subtract", _SUM), "*": ("star", _PRODUCT), "/": ("divide", _PRODUCT),
    "@": ("matmul", _PRODUCT), "·": ("dot_sign", _PRODUCT), "×": ("cross_sign", _PRODUCT),
    "⊙": ("hadamard", _PRODUCT), ".*": ("hadamard", _PRODUCT),
    "./": ("quotient", _PRODUCT), "⊘": ("quotient", _PRODUCT),
    "⊗": ("kron", _PRODUCT), "\\": ("solve", _PRODUCT), ".\\": ("solve", _PRODUCT), ":": ("frobenius", _PRODUCT),
    "<": ("compare", _COMPARE), ">": ("compare", _COMPARE), "<=": ("compare", _COMPARE), ">=": ("compare", _COMPARE),
}  # fmt: skip
# What the (x) of A (x) B costs as a sign: as much as a scalar x.
UNUSUAL_SIGN = 1.6
_METHODS_AS_SIGNS = frozenset({"T", "mT", "H", "I"})


class NotationParser(WordReader):
    """A Pratt parser: each sign has a strength, and names next to each other are a product."""

    def __init__(
        self, syntax: str, known: Collection[str], functions: Collection[str], is_plain: bool = False
    ) -> None:
        super().__init__(syntax, known, functions)
        self.is_plain = is_plain
        self._depth = 0
        self._splits = False  # within MATLAB's brackets, where a space separates

    def read(self, tokens: Sequence[Token]) -> NotationNode:
        """Return the tree of one formula."""
        if not tokens:
            raise ParseError("a part of the formula is missing")
        end = tokens[-1].end
        self._tokens, self._place = [*tokens, Token("end", "", end, end)], 0
        self._closers = []
        node = self._expression(0)
        if self._next.kind != "end":
            raise self._unexpected()
        return node

    # --- expressions

    def _expression(self, strength: int) -> NotationNode:
        self._depth += 1
        if self._depth > DEEPEST:
            raise LimitError("the formula is nested too deeply", advice="split it into parts")
        left = self._prefix()
        while (grown := self._grow(left, strength)) is not None:
            left = grown
        self._depth -= 1
        return left

    def _grow(self, left: NotationNode, strength: int) -> NotationNode | None:
        """Return what `left` becomes with the next sign or factor, None where it is complete."""
        token = self._next
        if token.kind == "op":
            if token.text in self._closers:
                return None
            if token.text in ("^", ".^", "'", "⊤", ".'", "**", "†"):
                return self._postfix(left)
            if token.text == "." and token.spaced and self._peek(1).spaced and left.kind != "number":
                return self._infix(left, "matmul", _PRODUCT) if strength < _PRODUCT else None
            if token.text == "." and left.kind != "number":
                return self._member(left)
            if token.text == "_" and left.kind == "group" and (end := self._skip_plus()):  # (1 - t)_+
                return NotationNode("call", left.args, "relu", left.start, end)
            if token.text == "_":
                named = self._subscript(left)
                return self._call(str(named.value), self._peek(-1)) if named.kind == "function" else named
            if token.text == "⊙" and is_sign(self._peek(1), "^"):  # x∘²
                self._take(), self._take()
                exponent = self._exponent()
                return NotationNode("entry_power", (left, exponent), None, left.start, exponent.end)
            infix = _INFIX.get(token.text)
            if infix is not None:
                kind, binding = infix
                if token.text == "<" and self._starts_inner():
                    return self._adjacent(left) if strength < _ADJACENT else None
                return self._infix(left, kind, binding) if binding > strength else None
        if token.kind == "name" and (kind_of_word := self._infix_word(token)):
            return self._infix(left, kind_of_word, _PRODUCT) if strength < _PRODUCT else None
        if token.kind == "open" and token.text == "[" and not token.spaced:
            if self.syntax == "python" or (self.syntax == "math" and left.kind != "number" and self._is_place()):
                return self._brackets(left)
        if self._is_bare_transpose(left, token):
            return self._transpose_or_multiply(left)
        if self.syntax == "matlab" and token.text == "(" and not token.spaced and self._has_range():
            return self._brackets(left)
        if self._starts_factor(token) and strength < _ADJACENT and not (self._splits and token.spaced):
            return self._adjacent(left)
        return None

    def _infix_word(self, token: Token) -> str | None:
        """Return what A kron B or A o B means: a word that stands between two factors as a sign does."""
        meant = INFIX_WORDS.get(token.text.lower() if len(token.text) > 1 else token.text)
        following = self._peek(1)
        stands_between = token.spaced and following.spaced and self._starts_factor(following)
        return meant if stands_between and token.text not in self.known and self.syntax != "python" else None

    def _infix(self, left: NotationNode, kind: str, binding: int) -> NotationNode:
        token = self._take()
        if kind == "divide":
            return self._divide(left, token)
        right = self._expression(binding)
        if kind == "frobenius" and "number" in (left.kind, right.kind):
            span = (left.start, right.end)
            raise ParseError("a range stands in brackets behind an array", span=span, advice="write x[0:2]")
        value = token.text if kind == "compare" else None
        if kind == "star" and self.is_plain:
            # A*x without a mark of mathematics may be code, which repeats x along the rows.
            whole = NotationNode(kind, (left, right), None, left.start, right.end)
            return self._choose((whole, 0.0), (replace(whole, kind="star_row"), 0.2))
        return NotationNode(kind, (left, right), value, left.start, right.end)

    def _divide(self, left: NotationNode, slash: Token) -> NotationNode:
        """Return a quotient; of 1/2 x, 1/N sum(x) and a / b c it is decided how far the denominator reaches."""
        tight = not slash.spaced and not self._next.spaced
        is_differential = self._next.kind == "name" and re.fullmatch(r"[d∂]\w", self._next.text) is not None
        if left.kind == "name" and left.value in ("d", "∂") and is_differential and self._next.text not in self.known:
            advice = "write the function alone; it is derived"
            raise ParseError("a derivative stands inside", span=(left.start, self._next.end), advice=advice)
        first = self._expression(_ADJACENT)
        quotient = NotationNode("divide", (left, first), None, left.start, first.end)
        if not self._starts_factor(self._next) or self.syntax == "python":
            return quotient
        if tight and left.kind == first.kind == "number" and self._is_count(self._next):
            count = self._expression(_ADJACENT)
            whole = NotationNode("divide", (left, self._join([first, count])), None, left.start, count.end)
            return self._choose((self._join([quotient, count]), 0.0), (whole, 0.0))  # 1/2n
        if first.kind == "number" and (left.kind == "number" or self._next.spaced or not self._next.text[:1].isalpha()):
            return quotient  # 1/2 x, λ/2 ‖w‖²
        if tight and self._next.spaced:
            return quotient  # 1/N sum(x)
        rest = [self._expression(_ADJACENT)]
        while self._starts_factor(self._next):
            rest.append(self._expression(_ADJACENT))
        whole = NotationNode("divide", (left, self._join([first, *rest])), None, left.start, rest[-1].end)
        if tight and first.kind != "number":
            return whole  # xᵀAx/xᵀx
        scaled = self._join([quotient, *rest])
        return self._choose((whole, 0.0), (scaled, 0.0))

    def _adjacent(self, left: NotationNode) -> NotationNode:
        before = self._place
        if self.syntax == "python" and left.kind not in ("number",) and self._next.kind != "number":
            raise self._unexpected()
        if left.kind == "number" and self._next.kind == "number":
            raise self._unexpected()
        if self._next.kind == "open" and is_sign(self._peek(1), ":") and self._peek(2).kind == "close":
            self._place += 3  # X(:)
            return NotationNode("call", (left,), "vec", left.start, self._peek(-1).end)
        if self._is_kron_sign():
            sign = self._place
            self._place += 3
            right = self._expression(_ADJACENT)
            kron = NotationNode("kron", (left, right), None, left.start, right.end)
            place, self._place = self._place, sign
            scalar = self._expression(_ADJACENT)
            self._place = place
            return self._choose((kron, UNUSUAL_SIGN), (self._join([left, scalar, right]), 0.0))
        right = self._expression(_ADJACENT)
        assert self._place > before
        return NotationNode("juxtapose", (left, right), None, left.start, right.end)

    def _transpose_or_multiply(self, left: NotationNode) -> NotationNode:
        """Return (A x - b)T(A x - b) with the T as a transpose, or as a matrix."""
        token = self._take()
        turned = NotationNode("transpose", (left,), None, left.start, token.end)
        name = NotationNode("name", (), token.text, token.start, token.end)
        rest = [self._expression(_ADJACENT)] if self._starts_factor(self._next) else []
        return self._choose((self._join([turned, *rest]), 0.0), (self._join([left, name, *rest]), 0.0))

    # --- prefixes

    def _prefix(self) -> NotationNode:
        token = self._take()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "ones" and self._next.kind == "open" and self._next.text in "[(" and not self._next.spaced:
            inside = self._group(self._take())
            if inside.args and inside.args[0].kind == "compare":  # 𝟙[x > 0]
                return inside.args[0]
            ones = NotationNode("ones", (), None, token.start, token.end)
            return NotationNode("juxtapose", (ones, inside), None, token.start, inside.end)
        if token.kind == "ones":
            return NotationNode("ones", (), None, token.start, token.end)
        if token.kind == "text":
            return NotationNode("text", (), token.text, token.start, token.end)
        if token.kind in ("name", "word"):
            return self._name(token)
        if token.kind == "open":
            return self._group(token)
        if token.kind == "op":
            return self._sign(token)
        self._place -= token.kind != "end"
        raise self._unexpected()

    def _number(self, token: Token) -> NotationNode:
        node = NotationNode("number", (), token.text, token.start, token.end)
        transposed = is_sign(self._next, "'", "⊤") or (
            is_sign(self._next, "^") and self._exponent_word(1) in TRANSPOSES
        )
        if set(token.text) == {"1"} and transposed and len(token.text) <= 2:
            ones = NotationNode("ones", (), None, token.start, token.end)
            if len(token.text) == 2:  # 1 1^T without a space
                return NotationNode("juxtapose", (ones, self._postfix(ones)), None, token.start, token.end)
            return ones
        following = self._next
        if following.kind == "name" and following.text == "j" and not following.spaced and self.syntax != "latex":
            raise ParseError("complex numbers are not known here", span=(token.start, following.end))
        if token.text == "1" and self._is_turned_name():  # X + 1 b^T
            return NotationNode("ones", (), None, token.start, token.end)
        if token.text == "1" and following.kind == "number" and following.text == "1":
            return NotationNode("ones", (), None, token.start, token.end)
        return node

    def _group(self, opening: Token) -> NotationNode:
        closing = {"(": ")", "[": "]", "{": "}"}[opening.text]
        if opening.text == "{" and self.syntax != "latex":
            advice = "use round brackets"
            raise ParseError("braces have no meaning here", span=(opening.start, opening.end), advice=advice)
        rows = self._read_rows(opening) if opening.text == "[" and self.syntax == "matlab" else None
        if rows is not None:
            return rows
        items = self._list(closing)
        end = self._close(opening, closing).end
        if opening.text == "[" and self.syntax in ("python", "matlab") and len(items) != 1:
            return NotationNode("list", tuple(items), None, opening.start, end)
        if len(items) == 1:
            inside = items[0]
            if opening.text == "[" and self.syntax in ("math", "matlab") and not self._is("_"):
                refuse_blocks(inside, opening.start, end)
            return NotationNode("group", (inside,), None, opening.start, end)
        return NotationNode("list", tuple(items), None, opening.start, end)

    def _read_rows(self, opening: Token) -> NotationNode | None:
        """Return MATLAB's [A, B; C, D] or [A B; C D], whose rows end at semicolons; None for one part alone."""
        place, outer = self._place, self._closers
        self._closers, self._splits = [], True
        rows: list[list[NotationNode]] = [[]]
        while self._next.kind not in ("close", "end"):
            if self._is(";"):
                rows.append([])
            if self._is(",", ";"):
                self._take()
            else:
                rows[-1].append(self._expression(0))
        self._closers, self._splits = outer, False
        if len(rows) == 1 and len(rows[0]) < 2:
            self._place = place
            return None
        end = self._close(opening, "]").end
        spans = [(row[0].start, row[-1].end) if row else (opening.start, end) for row in rows]
        if not all(rows):
            raise ParseError("a row of the brackets is empty", span=(opening.start, end), advice="write [x; y]")
        lines = [NotationNode("list", tuple(row), None, *span) for row, span in zip(rows, spans, strict=True)]
        return NotationNode("blocks", tuple(lines), None, opening.start, end)

    def _list(self, closing: str) -> list[NotationNode]:
        """Return the items between brackets, keywords included."""
        outer, self._closers = self._closers, []
        splits, self._splits = self._splits, False
        items: list[NotationNode] = []
        while not (self._next.kind == "close" and self._next.text == closing):
            if self._next.kind == "end":
                break
            items.append(self._item())
            if self._is(",", ";"):
                self._take()
            elif self._next.kind != "close":
                break
        self._closers, self._splits = outer, splits
        return items

    def _item(self) -> NotationNode:
        token = self._next
        if token.kind == "name" and is_sign(self._peek(1), "="):
            self._take(), self._take()
            inside = self._item()
            return NotationNode("keyword", (inside,), token.text, token.start, inside.end)
        if self._is(":"):
            self._take()
            return NotationNode("all", (), None, token.start, token.end)
        if token.kind == "name" and is_sign(self._peek(1), ",") and (function := self._function(token)) is not None:
            self._take()  # sum(abs2, x) of Julia
            return NotationNode("function", (), function, token.start, token.end)
        return self._expression(0)

    def _sign(self, token: Token) -> NotationNode:
        text = token.text
        if text in ("-", "+"):
            operand = self._expression(_PRODUCT)
            return NotationNode("negate", (operand,), None, token.start, operand.end) if text == "-" else operand
        if text in ("‖", "|"):
            return self._bars(token)
        if text in ("⟨", "<"):
            return self._inner(token)
        if text == "√":
            return self._root(token)
        if text == "frac":
            over, under = self._braced(), self._braced()
            return NotationNode("divide", (over, under), "frac", token.start, under.end)
        if text in ("∑", "Σ", "∏"):
            return self._over_indices(token, "prod" if text == "∏" else "sum")
        if text in ("∇", "∂"):
            raise ParseError("only the function is written; it is derived", span=(token.start, token.end),
                             advice="leave out what asks for the derivative")  # fmt: skip
        self._place -= 1
        raise self._unexpected()

    def _braced(self) -> NotationNode:
        if self._next.kind == "open" and self._next.text == "{":
            opening = self._take()
            inside = self._inside("}")
            self._close(opening, "}")
            return inside
        return self._single(is_fraction=True)

    def _inside(self, closing: str) -> NotationNode:
        outer, self._closers = self._closers, []
        inside = self._expression(0)
        self._closers = outer
        return inside

    def _single(self, is_fraction: bool = False) -> NotationNode:
        """Return what one sign stands for, as LaTeX reads an exponent without braces."""
        token = self._take()
        if token.kind == "number" and is_fraction and len(token.text) == 2 and token.text.isdigit():
            rest = replace(token, text=token.text[1], start=token.start + 1)
            self._tokens[self._place - 1 : self._place] = [replace(token, text=token.text[0], end=rest.start), rest]
            token = self._tokens[self._place - 1]
        if token.kind == "number":
            if self.syntax == "latex" and len(token.text) > 1:
                raise ParseError(
                    "digits without braces", span=(token.start, token.end), advice="write braces, as in {12}"
                )
            return NotationNode("number", (), token.text, token.start, token.end)
        if token.kind in ("name", "ones"):
            return NotationNode("name", (), token.text, token.start, token.end)
        self._place -= 1
        return self._prefix()

    def _root(self, token: Token) -> NotationNode:
        if self._next.kind == "open" and self._next.text == "[":
            raise ParseError(
                "roots of another degree than 2 are not read", span=(token.start, token.end), advice="write x**(1/3)"
            )
        if self._next.kind == "open":
            inside = self._group(self._take())
        else:
            inside = self._expression(_ADJACENT) if self.syntax != "latex" else self._braced()
        return NotationNode("call", (inside,), "sqrt", token.start, inside.end)

    def _bars(self, opening: Token) -> NotationNode:
        self._closers, outer = [opening.text], self._closers
        inside = self._expression(0)
        if not self._is(opening.text):
            if self._next.kind == "end":
                raise ParseError(
                    f"{opening.text!r} is never closed", span=(opening.start, opening.end), advice="close the bars"
                )
            raise self._unexpected()
        self._closers = outer
        end = self._take().end
        kind = "norm" if opening.text == "‖" else "bars"
        if self._next.kind == "number" and not self._next.spaced and self.syntax != "python":
            number = self._next.text
            advice = f"did you mean a subscript, ||x||_{number}, or a power, ||x||^{number}?"
            raise ParseError("a number stands behind the bars", span=(end, self._next.end), advice=advice)
        below: str | None = None
        if self._is("_"):
            below, end = self._read_below()
            kind = "norm" if below.lower() in NORMS | {"∞", "inf"} else kind  # |x|_1
        return NotationNode(kind, (inside,), below, opening.start, end)

    def _inner(self, opening: Token) -> NotationNode:
        closing = "⟩" if opening.text == "⟨" else ">"
        self._closers, outer = [closing], self._closers
        left = self._expression(0)
        if not self._is(",", "|"):
            raise self._unexpected()
        self._take()
        right = self._expression(0)
        if not self._is(closing):
            raise self._unexpected()
        self._closers = outer
        end = self._take().end
        if self._is("_"):
            _, end = self._read_below()
        return NotationNode("inner", (left, right), None, opening.start, end)

    def _over_indices(self, token: Token, function: str) -> NotationNode:
        """Return a sum or product over indices: what it runs over is the product that follows."""
        below, upper = "", ""
        for _ in range(2):
            if self._is("_"):
                below, _ = self._read_below()
            elif self._is("^"):
                upper, _ = self._read_below()
        letters = read_indices(below)
        return self._reduce(letters, token, function, upper)

    def _reduce(self, letters: str, token: Token, function: str, upper: str = "") -> NotationNode:
        # A product with signs is summed as one, and divides what stands behind it where it is no sum.
        body = self._expression(_SUM if function == "sum" else _PRODUCT)
        size = upper if upper.isidentifier() else ""
        letters = letters or list_entry_letters(body)
        if not letters:
            word = {"sum": "sum", "prod": "product"}.get(function, function)
            advice = f"write {function}(x), or {function}_i x_i"
            raise ParseError(f"the {word} has no index", span=(token.start, token.end), advice=advice)
        return NotationNode("sum", (body,), (letters, size, function), token.start, body.end)

    # --- powers and what else stands behind

    def _postfix(self, base: NotationNode) -> NotationNode:
        """Return a base with the power or transpose that follows; behind letters it belongs to the last of them."""
        start = self._place
        ends = []
        for last in list_last_factors(base):
            self._place = start
            ends.append(self._postfix_of(last))
        return replace_last_factors(base, ends)

    def _postfix_of(self, base: NotationNode) -> NotationNode:
        token = self._take()
        if token.text == "'" and base.kind == "name" and self._next.text == "(" and not self._next.spaced:
            if base.value in DERIVED_LETTERS and base.value not in self.known:
                reason, advice = f"{base.value}' may be a derivative", f"for the product write {base.value}^T x"
                raise ParseError(reason, span=(base.start, token.end), advice=advice)
        if token.text in ("'", "⊤", ".'"):
            return NotationNode("transpose", (base,), None, base.start, token.end)
        if token.text == "†":
            return NotationNode("dagger", (base,), None, base.start, token.end)
        if token.text == ".^":
            if self._is("'", "⊤"):
                return NotationNode("transpose", (base,), None, base.start, self._take().end)
            exponent = self._exponent()
            return NotationNode("entry_power", (base, exponent), None, base.start, exponent.end)
        if token.text == "**":
            exponent = self._exponent()
            return NotationNode("entry_power", (base, exponent), None, base.start, exponent.end)
        self._cut_transpose()
        word = self._exponent_word(0)
        if word in TRANSPOSES and not (word in ("t", "tr") and word in self.known):
            if word == "T" and "T" in self.known:
                raise ParseError(
                    "T is a name here, and the transpose", span=(token.start, self._next.end), advice="write A.T"
                )
            end = self._skip_exponent()
            return NotationNode("transpose", (base,), None, base.start, end)
        if self._is_minus_transpose():
            opening = self._take()
            while self._next.kind != "close":
                self._take()
            end = self._close(opening, {"(": ")", "{": "}", "[": "]"}[opening.text]).end
            return self._invert_and_transpose(base, end)
        if self._is("-") and self._peek(1).text in ("T", "⊤", "'") and "T" not in self.known:
            self._take()
            return self._invert_and_transpose(base, self._take().end)
        if word == "†":
            return NotationNode("dagger", (base,), None, base.start, self._skip_exponent())
        if word in ("⊙", "*", "+") and self._next.kind != "name":
            return self._special_power(base, word)
        if base.kind == "name" and base.value != "e" and (end := self._find_iterate()):
            reason = f"{base.value} may be a power, or one of several that are numbered"
            advice = f"for the power write {base.value}^{{n}}, for a name {base.value}_1"
            raise ParseError(reason, span=(base.start, end), advice=advice)
        if base.kind == "name" and (layer := self._read_layer()):
            return NotationNode("name", (), f"{base.value}_{layer}", base.start, self._peek(-1).end)
        exponent = self._exponent()
        return NotationNode("power", (base, exponent), None, base.start, exponent.end)

    def _exponent(self) -> NotationNode:
        if self._is("-"):
            sign = self._take()
            operand = self._exponent_operand()
            return NotationNode("negate", (operand,), None, sign.start, operand.end)
        return self._exponent_operand()

    def _exponent_operand(self) -> NotationNode:
        if self._next.kind == "open" and self._next.text == "{":
            opening = self._take()
            if is_sign(self._next, "⊙"):
                self._take()
                inside = self._inside("}")
                end = self._close(opening, "}").end
                return NotationNode("entrywise", (inside,), None, opening.start, end)
            inside = self._inside("}")
            end = self._close(opening, "}").end
            return NotationNode("group", (inside,), None, opening.start, end)
        if self._next.kind == "open":
            return self._group(self._take())
        if self.syntax == "latex":
            return self._single()
        token = self._take()
        if token.kind == "number":
            return NotationNode("number", (), token.text, token.start, token.end)
        if token.kind in ("name", "word"):
            if self._next.kind == "open" and not self._next.spaced and self._function(token) is not None:
                return self._name(token)
            return self._letters(token, functions=False)
        self._place -= token.kind != "end"
        raise self._unexpected()

    def _member(self, left: NotationNode) -> NotationNode:
        """Return X.T, x.dot(y), or the product x.A.x of Mathematica."""
        dot, token = self._take(), self._take()
        if token.kind == "open" and token.text == "(":
            right = self._group(token)
            return NotationNode("matmul", (left, right), None, left.start, right.end)
        if left.kind == "call" and (part := find_part(str(left.value), token.text)) is not None:
            return NotationNode("call", left.args[:1], part, left.start, token.end)
        if token.kind not in ("name", "word"):
            raise ParseError("a name stands behind the point", span=(dot.start, dot.end))
        is_call = self._next.kind == "open" and self._next.text == "(" and not self._next.spaced
        bare_t = token.text == "t" and self.syntax == "python" and "t" not in self.known
        if token.text in _METHODS_AS_SIGNS or bare_t or (token.text in ("t", "transpose", "T") and is_call):
            end = token.end
            if is_call and token.text != "T":
                opening = self._take()
                self._list(")")
                end = self._close(opening, ")").end
            if token.text == "I":
                return NotationNode("call", (left,), "inv", left.start, end)
            return NotationNode("transpose", (left,), None, left.start, end)
        if is_call and (len(token.text) > 1) and not is_sign(self._peek(1), "."):
            opening = self._take()
            items = self._list(")")
            end = self._close(opening, ")").end
            return NotationNode("call", (left, *items), f".{token.text}", left.start, end)
        if token.text in ("shape", "size", "ndim"):
            return NotationNode("size_of", (left,), token.text, left.start, token.end)
        right = self._letters(token, functions=False)
        while self._is("^", "'", "⊤"):
            right = self._postfix(right)
        return NotationNode("matmul", (left, right), None, left.start, right.end)

    def _brackets(self, left: NotationNode) -> NotationNode:
        opening = self._take()
        closing = ")" if opening.text == "(" else "]"
        known, self.known = self.known, self.known | ({"end"} if opening.text == "(" else set())
        outer, self._closers = self._closers, [":"]
        items: list[NotationNode] = []
        while self._next.kind not in ("close", "end"):
            items.append(self._read_place())
            if not self._is(","):
                break
            self._take()
        self._closers, self.known = outer, known
        end = self._close(opening, closing).end
        counted = "from 1" if opening.text == "(" else None
        return NotationNode("pick", (left, *items), counted, left.start, end)

    def _read_place(self) -> NotationNode:
        """Return the place of an entry, : for a whole axis, or a range start:stop; each bound may be left out."""
        first = self._next
        start = None if self._is(":") else self._expression(0)
        if not self._is(":"):
            return start if start is not None else NotationNode("all", (), None, first.start, first.end)
        end = self._take().end
        stop = None if self._is(",") or self._next.kind in ("close", "end") or self._is(":") else self._expression(0)
        if self._is(":"):
            raise ParseError("a range has no step here", span=(self._next.start, self._next.end), advice=NO_STEP)
        if start is None and stop is None:
            return NotationNode("all", (), None, first.start, end)
        left_out = NotationNode("all")
        bounds = (start or left_out, stop or left_out)
        return NotationNode("range", bounds, None, first.start, stop.end if stop else end)

    # --- names

    def _name(self, token: Token) -> NotationNode:
        if token.text in MODULES and is_sign(self._next, ".") and token.text not in self.known:
            return self._library_call(token)
        if token.kind == "word" and token.text in ("abs", "inner") and self._next.text == "{":
            return self._latex_brackets(token)
        if token.text.lower() in NORM_WORDS and self._next.text == "norm" and token.text not in self.known:
            self._take()
            return self._norm_of(token, NORM_WORDS[token.text.lower()])
        if (base := re.fullmatch(r"log_(2|10)", token.text)) and token.text not in self.known:
            return self._call(f"log{base[1]}", token)
        norm = re.fullmatch(r"norm_(\w+)", token.text, re.IGNORECASE)
        if norm and norm[1].lower() in NORMS and self._next.kind == "open" and token.text not in self.known:
            return self._norm_of(token, norm[1])
        reduced = self._index_word(token)
        if reduced is not None:
            word, letters, upper = reduced
            return self._reduce(letters, token, word, upper)
        function = self._function(token)
        if function is not None:
            return self._call(function, token)
        self._refuse_call(token)
        return self._letters(token)

    def _latex_brackets(self, token: Token) -> NotationNode:
        r"""Return \abs{x} and \inner{x}{y} as the bars and brackets that these commands are defined as."""
        inside = [self._braced() for _ in range(1 if token.text == "abs" else 2)]
        kind = "bars" if token.text == "abs" else "inner"
        return NotationNode(kind, tuple(inside), None, token.start, inside[-1].end)

    def _call(self, function: str, token: Token) -> NotationNode:
        if self._is(".") and self._peek(1).kind == "open" and not self._next.spaced:  # exp.(x) of Julia
            self._take()
            function = f"entry.{function}"
        if self._next.text == "of" and self.syntax == "math":  # trace of X^T X
            self._take()
        power: NotationNode | None = None
        if self._is("^") and self.syntax in ("math", "latex", "matlab"):
            if self._exponent_word(1) in TRANSPOSES:
                raise ParseError(f"{token.text} is a function and cannot be transposed", span=(token.start, token.end))
            self._take()
            power = self._exponent()
        if self._is("_") and is_sign(self._peek(1), "⊙"):
            self._take(), self._take()
            function = f"entry.{function}"
        keywords: tuple[NotationNode, ...] = ()
        if self._is("_"):
            below, end = self._read_below()
            if below in ("axis0", "axis1"):
                axis = NotationNode("number", (), below[-1], token.start, end)
                keywords = (NotationNode("keyword", (axis,), "axis", token.start, end),)
            elif function == "log" and below in ("2", "10"):
                function = "log" + below
            elif function == "norm" and below.lower() in NORMS:
                return self._norm_of(token, below)
            elif not (function == "log" and below == "e"):
                raise ParseError(f"{token.text} takes no subscript", span=(token.start, end))
        if power is not None and function in INVERTIBLE and is_minus_one(power):
            reason = f"{token.text}^{{-1}} has two meanings"
            advice = f"did you mean arc{function}(x), or 1/{function}(x)?"
            raise ParseError(reason, span=(token.start, power.end), advice=advice)
        node = self._apply(function, token)
        node = replace(node, args=(*node.args, *keywords)) if keywords else self._reduce_entries(node, function)
        return node if power is None else NotationNode("power", (node, power), None, token.start, node.end)

    def _norm_of(self, token: Token, below: str) -> NotationNode:
        """Return norm_2(x) as ‖x‖_2."""
        whole = self._apply("norm", token)
        if len(whole.args) != 1:
            raise ParseError("norm with a subscript takes one array", span=whole.span, advice=f"write norm_{below}(x)")
        return NotationNode("norm", whole.args, below, whole.start, whole.end)

    def _apply(self, function: str, token: Token) -> NotationNode:
        if self._next.kind == "open" and not (self._next.text == "{" and self.syntax == "python"):
            opening = self._take()
            closing = {"(": ")", "[": "]", "{": "}"}[opening.text]
            items = self._list(closing)
            end = self._close(opening, closing).end
            return NotationNode("call", tuple(items), function, token.start, end)
        if self.syntax == "python" or function == "transpose" or not self._starts_argument():
            raise ParseError(
                f"{token.text} is a function", span=(token.start, token.end), advice=f"write {token.text}(x)"
            )
        if self._is("-"):
            inside = self._expression(_PRODUCT)
            return NotationNode("call", (inside,), function, token.start, inside.end)
        if function in ("sum", "mean", "prod"):  # what a sum runs over is the whole product
            inside = self._expression(_SUM if function == "sum" else _PRODUCT)
            return NotationNode("call", (inside,), function, token.start, inside.end)
        factors = [self._expression(_ADJACENT)]
        while self._starts_factor(self._next) and not self._next.apart and not self._starts_function(self._next):
            factors.append(self._expression(_ADJACENT))
        whole = NotationNode("call", (self._join(factors),), function, token.start, factors[-1].end)
        if len(factors) == 1 or function in ("trace", "det", "logdet"):
            return whole
        first = NotationNode("call", (factors[0],), function, token.start, factors[0].end)
        # Of cos θ x it is not told whether x belongs to the angle.
        is_angle = factors[0].kind == "name" and spell_greek(str(factors[0].value)) in GREEK
        return self._choose((whole, 0.0), (self._join([first, *factors[1:]]), 0.0 if is_angle else 0.5))

    def _starts_argument(self) -> bool:
        return self._starts_factor(self._next) or self._is("-", "∑", "Σ", "∏")

    def _starts_function(self, token: Token) -> bool:
        if token.kind not in ("name", "word"):
            return False
        bare = token.text.lower() if len(token.text) > 1 else token.text
        return len(token.text) > 1 and (
            bare in FUNCTION_WORDS or bare in self.functions or token.text.startswith(("sum_", "prod_", "max_", "min_"))
        )

    def _library_call(self, token: Token) -> NotationNode:
        """Return np.linalg.norm(x): the function of a library, with the meaning it has there."""
        path = [token.text]
        while self._is("."):
            self._take()
            path.append(self._take().text)
        if self._next.kind == "open" and self._next.text == "(":
            opening = self._take()
            items = self._list(")")
            end = self._close(opening, ")").end
            return NotationNode("call", tuple(items), ".".join(path), token.start, end)
        if path[-1] in ("pi", "e", "inf"):
            return NotationNode("name", (), path[-1], token.start, self._peek(-1).end)
        if path[-1] in ("newaxis",):
            return NotationNode("name", (), "None", token.start, token.end)
        raise ParseError(
            f"{'.'.join(path)} has no meaning here", span=(token.start, token.end), advice="call the function"
        )

