"""The tree of a formula in notation: its nodes, runs of letters that may be a product, names with a subscript."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from matcalc.errors import ParseError
from matcalc.language.names import spell_greek
from matcalc.language.notation_words import GREEK_LETTERS


@dataclass(frozen=True, slots=True, eq=False)
class NotationNode:
    """One part of a formula: an operation on others, a name, a number, or a choice between several readings.

    `value` is the name, the number or what else belongs to the kind; of a choice its number and the cost of each.
    """

    kind: str
    args: tuple[NotationNode, ...] = ()
    value: object = None
    start: int = 0
    end: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The place in the text."""
        return self.start, self.end


def walk_nodes(*roots: NotationNode) -> Iterator[NotationNode]:
    """Yield every node below the roots, each before its operands."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.args))


_INDEX_LETTERS = frozenset("ijklmnpqrs")


def list_last_factors(node: NotationNode) -> list[NotationNode]:
    """Return what a power behind a run of letters belongs to: of Ax as a product x, as a name Ax."""
    if node.kind != "choice":
        return [node]
    return [reading.args[-1] if reading.kind == "juxtapose" else reading for reading in node.args]


def replace_last_factors(node: NotationNode, ends: Sequence[NotationNode]) -> NotationNode:
    """Return a run of letters whose last factors have been replaced."""
    if node.kind != "choice":
        return ends[0]
    readings = tuple(
        replace(reading, args=(*reading.args[:-1], end), end=end.end) if reading.kind == "juxtapose" else end
        for reading, end in zip(node.args, ends, strict=True)
    )
    return replace(node, args=readings, end=ends[0].end)


def split_letters(stem: str, known: Collection[str]) -> list[str] | None:
    """Return the letters of a run that may be a product: Ax, AXB, xTAx, Xbeta; None where it is a word.

    >>> split_letters("xTAx", ()), split_letters("hidden", ())
    (['x', 'T', 'A', 'x'], None)
    """
    for name in sorted({*GREEK_LETTERS, *known}, key=len, reverse=True):
        if len(name) > 2 and stem.endswith(name) and len(stem) - len(name) in (1, 2) and stem[: -len(name)].isalpha():
            return [*stem[: -len(name)], name]
    if not re.fullmatch(r"[A-Za-z\u0370-\u03ff]\d?(?:[A-Za-z\u0370-\u03ff]\d?)+", stem):
        return None
    parts = re.findall(r"[A-Za-z\u0370-\u03ff]\d*", stem)
    if stem.islower() and len(parts) > 3:
        return None
    return parts if len(parts) <= 8 and (len(parts) <= 3 or not re.search(r"[a-z]{3}", stem)) else None


def refuse_blocks(node: NotationNode, start: int, end: int) -> None:
    """Raise for [A B], which stands for two blocks as often as for a product."""
    parts = node.args if node.kind == "juxtapose" else ()
    is_spaced = len(parts) == 2 and parts[1].start > parts[0].end
    if is_spaced and all(part.kind == "name" and str(part.value)[0].isupper() for part in parts):
        one, other = (str(part.value) for part in parts)
        advice = f"write ({one} {other}) for the product; blocks have names of their own"
        raise ParseError(f"[{one} {other}] may be two blocks", span=(start, end), advice=advice)


def is_minus_one(node: NotationNode) -> bool:
    """Whether an exponent is -1."""
    while node.kind == "group":
        node = node.args[0]
    return node.kind == "negate" and node.args[0].kind == "number" and node.args[0].value == "1"


def list_entry_letters(node: NotationNode) -> str:
    """Return the indices of the entries below a node that no sum below it runs over.

    The index of sum x_i^2 is that of its entries.
    """
    if node.kind == "entry":
        assert isinstance(node.value, tuple)
        return "".join(dict.fromkeys(str(node.value[1])))
    inside = "".join(dict.fromkeys("".join(map(list_entry_letters, node.args))))
    if node.kind == "subscripted" and re.fullmatch(r"[ijk]{1,2}", str(node.value)):
        inside += "".join(letter for letter in dict.fromkeys(str(node.value)) if letter not in inside)
    if node.kind != "sum":
        return inside
    assert isinstance(node.value, tuple)
    return "".join(letter for letter in inside if letter not in node.value[0])


def read_indices(below: str) -> str:
    """Return the letters of an index text such as i, ij, "i,j", i=1: each a lower-case letter."""
    text = re.sub(r"=[^,]*", "", below).replace(",", "").replace(" ", "")
    text = text.split("∈")[0]
    return text if re.fullmatch(r"[a-z]{1,4}", text) and len(set(text)) == len(text) else ""


def spell_as_known(name: str, known: Collection[str]) -> str:
    """Return a name as the reader spelled it elsewhere: β where beta is declared, W_2 where W2 is."""
    if name in known:
        return name
    others = [spell_greek(name), name.replace("_", ""), spell_greek(name).replace("_", "")]
    return next((other for other in others if other in known), name)


def respell(node: NotationNode, known: Collection[str]) -> NotationNode:
    """Return a tree whose names are spelled as those that are known."""
    if node.kind == "name":
        return replace(node, value=spell_as_known(str(node.value), known))
    if node.kind == "entry":
        assert isinstance(node.value, tuple)
        stem, letters, name = node.value
        return replace(node, value=(spell_as_known(stem, known), letters, spell_as_known(name, known)))
    return replace(node, args=tuple(respell(arg, known) for arg in node.args)) if node.args else node


# h_{t-1}, h_{t+1}, K_* and K_{**} are names of their own.
_SUBSCRIPT_SIGNS = str.maketrans({"-": "m", "+": "p", "*": "s", "∞": "inf", "^": "ss", "'": "prime"})


def make_subscripted(stem: str, below: str, start: int, end: int) -> NotationNode:
    """Return a name with a subscript, which is an entry where the subscript is of index letters."""
    below = re.sub(r"[\s{}]", "", below)
    if re.fullmatch(r"[ijk][-+]\d+", below):
        raise ParseError(f"the index {below} is not read", span=(start, end), advice="write the difference as A @ x")
    plain = re.sub(r"\W", "", below.translate(_SUBSCRIPT_SIGNS))
    if not plain:
        raise ParseError("this subscript is not read", span=(start, end), advice=f"write {stem}_1")
    letters = below.replace(",", "")
    name = f"{stem}_{plain}"
    if re.fullmatch(r"[a-z]{1,3}", letters) and set(letters) <= _INDEX_LETTERS:
        return NotationNode("entry", (), (stem, letters, name), start, end)
    return NotationNode("name", (), name, start, end)
