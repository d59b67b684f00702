"""What a word of a formula is: a function, a name, a size, or letters side by side that may be a product."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count

from matcalc.errors import ParseError
from matcalc.language.explain_calls import advise_function
from matcalc.language.habits import AmbiguityError
from matcalc.language.notation_cursor import TokenCursor, is_sign
from matcalc.language.notation_tokens import Token, is_greek
from matcalc.language.notation_tree import (
    NotationNode,
    list_entry_letters,
    make_subscripted,
    read_indices,
    split_letters,
)
from matcalc.language.notation_words import (
    CALLED_WORDS,
    FUNCTION_LETTERS,
    FUNCTION_WORDS,
    GREEK_LETTERS,
    KEYWORDS,
    NAME_WORDS,
    PARTS_OF_CALLS,
    QUESTION_WORDS,
)


class WordReader(TokenCursor):
    """Reads single words at the cursor; where a run of letters may be a name or a product, the tree has a choice."""

    def __init__(self, syntax: str, known: Collection[str], functions: Collection[str]) -> None:
        super().__init__(syntax, known)
        self.functions = functions
        self._choices = count()

    def _function(self, token: Token) -> str | None:
        """Return the function that a word means, None where it is a name."""
        text = token.text
        if text in self.known and not (self._next.kind == "open" and text in self.functions):
            return None
        bare = text.lower() if len(text) > 1 else text
        follows = not self._next.spaced or (self.syntax == "latex" and not self._next.apart)
        called = self._next.kind == "open" and follows
        if text in ("σ", "sigma") and called and self._next.text == "(":
            return "sigmoid"
        if len(text) == 1 or is_greek(text[0]) or (text in GREEK_LETTERS):
            return self._name_extreme(text)
        if text == "LN" and called:
            raise AmbiguityError("LN has two meanings", span=(token.start, token.end),
                                 advice="did you mean log(x), or layer_norm(x)?")  # fmt: skip
        word = text if text in FUNCTION_WORDS else bare
        if word in FUNCTION_WORDS and (called or word not in CALLED_WORDS):
            return FUNCTION_WORDS[word]
        if text in self.functions or (called and text in PARTS_OF_CALLS):
            return text
        return bare if bare in self.functions else None

    def _index_word(self, token: Token) -> tuple[str, str, str] | None:
        """Return the function, the indices of sum_i, sum_{ij}, max_i or sum_{i=1}^n, and up to which size they run."""
        if token.text in self.known:
            return None
        found = re.fullmatch(r"(sum|prod|max|min)_([a-z]{1,3})", token.text, re.IGNORECASE)
        word = (found[1] if found else token.text).lower()
        letters, upper = found[2] if found else "", ""
        if word in ("sum", "prod", "max", "min") and self._is("_"):
            place = self._place
            letters = read_indices(self._read_below()[0])
            if not letters:
                self._place = place
        if letters and self._is("^"):
            upper, _ = self._read_below()
        return (word, letters, upper) if letters else None

    def _refuse_call(self, token: Token) -> None:
        """Raise for foo(x) and f(x): a function that is not known is no factor."""
        name, following = token.text, self._next
        if following.kind != "open" or following.text != "(" or following.spaced or name in self.known:
            return
        is_word = len(name.partition("_")[0]) > 1 and name.islower() and name not in GREEK_LETTERS
        is_word = is_word or re.fullmatch(r"([A-Z][a-z]{2,})+", name) is not None
        if is_word or self._is_extreme(name) or name in FUNCTION_LETTERS or name.startswith("__"):
            reason = f"{name} is no function that is known here"
            is_factor = name in FUNCTION_LETTERS
            advice = "write a product with a space or a sign" if is_factor else advise_function(name, self.functions)
            raise ParseError(reason, span=(token.start, token.end), advice=advice)

    def _has_row_of_ones(self) -> bool:
        """Whether 1 with a transpose stands in the formula: of 1ᵀA1 the last 1 is a column of ones as well."""
        pairs = zip(self._tokens, self._tokens[1:], strict=False)
        return any(
            each.kind == "number" and each.text == "1" and is_sign(following, "'", "⊤", "^") and not following.spaced
            for each, following in pairs
        )

    def _name_extreme(self, name: str) -> str | None:
        """Return lambda_max or lambda_min where a bracket stands behind that name."""
        found = re.fullmatch(r"(?:λ|lambda)_(min|max)", name)
        return f"lambda_{found[1]}" if found and self._next.kind == "open" and self._next.text == "(" else None

    def _is_extreme(self, name: str) -> bool:
        """Whether a name with a bracket behind it is the largest eigenvalue, or the like, of what stands inside."""
        return self._next.kind == "open" and re.fullmatch(r"(λ|lambda|σ|sigma)_(min|max)", name) is not None

    def _letters(self, token: Token, functions: bool = True) -> NotationNode:
        """Return a run of letters as a name, as a product of names, or as the choice between them."""
        text, start, end = token.text, token.start, token.end
        whole = NotationNode("name", (), text, start, end)
        stem, _, below = text.partition("_")
        if stem == "I" and below and text not in self.known:
            sized = self._read_sized(NotationNode("name", (), "I", start, start + 1), below, end)
            return sized or whole
        if below and len(stem) > 1 and text not in self.known and stem in ("log", "ln", "exp", "sin", "cos", "tanh"):
            raise ParseError(f"{stem} takes no subscript", span=(start, end), advice=f"write {stem}(x)")
        if text in self.known or len(stem) <= 1 or token.kind == "word" or (self.syntax == "latex" and len(text) > 1):
            return make_subscripted(stem, below, start, end) if below and text not in self.known else whole
        if stem.lower() in KEYWORDS or (stem in QUESTION_WORDS and self.syntax == "math"):
            advice = f"write a product with spaces, {' '.join(stem)}"
            advice = advice if len(stem) < 3 else "write the formula alone"
            raise ParseError(f"{stem} is a word, and no name", span=(start, end), advice=advice)
        if stem in GREEK_LETTERS or stem.lower() in NAME_WORDS or text == "None":
            return whole
        if stem[1:] == "1" and (stem[0] in self.known or any(each.kind == "ones" for each in self._tokens)
                or self._has_row_of_ones()):  # fmt: skip
            ones = NotationNode("ones", (), None, end - 1, end)
            letter = NotationNode("name", (), stem[0], start, start + 1)
            return self._choose((self._join([letter, ones]), 0.0), (whole, 1.0))
        spaced = split_letters(stem, self.known)
        if spaced is None:
            return whole
        product = self._product_of_letters(spaced, below, start, end)
        return self._choose(*self._weigh(text, stem, whole, product))

    def _weigh(
        self, text: str, stem: str, whole: NotationNode, product: NotationNode
    ) -> list[tuple[NotationNode, float]]:
        """Return the readings of a run of letters with their costs: the usual one costs nothing."""
        letters = re.findall(r"[^\W\d_]", stem)
        is_known = any(letter in self.known for letter in letters)
        if self.syntax == "python":
            return [(whole, 0.0), (product, 0.0 if is_known and not stem.islower() else 4.0)]
        if stem.islower() and len(stem) > 2:
            return [(whole, 0.0), (product, 3.0)]
        if stem.islower():
            return [(product, 0.0), (whole, 1.5)]
        return [(product, 0.0), (whole, 3.0)]

    def _product_of_letters(self, parts: list[str], below: str, start: int, end: int) -> NotationNode:
        place, product = start, None
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            stop = end if last else place + len(part)
            if part in ("T", "t") and product is not None and number:
                last_factor = product.args[-1] if product.kind == "juxtapose" else product
                turned = NotationNode("transpose", (last_factor,), None, last_factor.start, stop)
                before = product.args[:-1] if product.kind == "juxtapose" else ()
                product = replace(product, args=(*before, turned), end=stop) if before else turned
            else:
                factor = (
                    make_subscripted(part, below, place, stop)
                    if last and below
                    else NotationNode("name", (), part, place, stop)
                )
                product = factor if product is None else NotationNode("juxtapose", (product, factor), None, start, stop)
            place = stop
        assert product is not None
        return product

    def _read_sized(self, base: NotationNode, below: str, end: int) -> NotationNode | None:
        """Return the identity I_n, ones 1_n or zeros 0_n of a size; None for what is none of them."""
        sizes = tuple(size for size in re.split(r"[×,]", below) if size)
        words = {"I": "eye", "1": "ones", "0": "zeros"}
        word = (
            "ones" if base.kind == "ones" else words.get(str(base.value)) if base.kind in ("name", "number") else None
        )
        if (
            word is None
            or str(base.value) in self.known
            or not all(size.isidentifier() or size.isdigit() for size in sizes)
        ):
            return None
        return NotationNode("sized", (), (word, sizes), base.start, end)

    def _choose(self, *readings: tuple[NotationNode, float]) -> NotationNode:
        nodes = tuple(node for node, _ in readings)
        if len(nodes) == 1:
            return nodes[0]
        return NotationNode(
            "choice", nodes, (next(self._choices), tuple(cost for _, cost in readings)), nodes[0].start, nodes[0].end
        )

    def _join(self, factors: Sequence[NotationNode]) -> NotationNode:
        product = factors[0]
        for factor in factors[1:]:
            product = NotationNode("juxtapose", (product, factor), None, product.start, factor.end)
        return product

    def _subscript(self, base: NotationNode) -> NotationNode:
        """Return a name with its subscript: W_1 is a name, A_{ij} an entry, λ_{max} a function before a bracket."""
        place = self._next
        if base.kind == "power" and base.args[0].kind == "norm" and base.args[0].value is None:  # ‖x‖²₂
            norm, exponent = base.args
            below, end = self._read_below()
            return replace(base, args=(replace(norm, value=below), exponent), end=end)
        if base.kind == "group" or base.kind in ("call", "norm", "bars"):
            below, end = self._read_below()
            return NotationNode("subscripted", (base,), below, base.start, end)
        below, end = self._read_below()
        if (filled := self._read_sized(base, below, end)) is not None:
            return filled
        if re.search(r"[<>=≤≥∈]", below):
            advice = "write where(x > 0, 1, 0)"
            raise ParseError("an indicator is not read", span=(base.start, end), advice=advice)
        if base.kind not in ("name", "ones", "choice", "number"):
            raise ParseError("a subscript stands behind a name", span=(place.start, end))
        if base.kind != "name":
            return NotationNode("ones" if base.kind in ("ones", "number") else "subscripted", (), None, base.start, end)
        named = make_subscripted(str(base.value), below, base.start, end)
        # Of the letters of "min" each could be an index.
        if (extreme := self._name_extreme(f"{base.value}_{below.strip()}")) is not None:
            return NotationNode("function", (), extreme, base.start, end)
        if self._is_extreme(str(named.value)):
            advice = "write norm(X, 2) for the largest singular value"
            raise ParseError(f"{named.value} is no function that is known here", span=named.span, advice=advice)
        return named

    @staticmethod
    def _invert_and_transpose(base: NotationNode, end: int) -> NotationNode:
        inverse = NotationNode("power", (base, NotationNode("number", (), "-1", end, end)), None, base.start, end)
        return NotationNode("transpose", (inverse,), None, base.start, end)

    def _special_power(self, base: NotationNode, word: str) -> NotationNode:
        start = self._next.start
        if word == "+":
            end = self._skip_exponent()
            return NotationNode("call", (base,), "pinv", base.start, end)
        raise ParseError(f"the power {word} has no meaning here", span=(start, start + 1))

    @staticmethod
    def _reduce_entries(whole: NotationNode, function: str) -> NotationNode:
        """Return sum x_i^2 as a sum over i; any other call as it is."""
        letters = list_entry_letters(whole.args[0]) if len(whole.args) == 1 else ""
        if function not in ("sum", "prod", "max", "min", "mean") or not letters or not set(letters) <= set("ijk"):
            return whole
        return NotationNode("sum", whole.args, (letters, "", function), whole.start, whole.end)
