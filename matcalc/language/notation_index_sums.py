"""Entries A_ij and sums over their indices -> drafts: sum_i x_i^2, A_ij x_j, max_i |x_i|."""

from __future__ import annotations

import re
from collections.abc import Mapping

from matcalc.errors import ParseError, ShapeError
from matcalc.language.draft import is_unit, unify
from matcalc.language.notation_to_draft import Handler, Indexed, Interpreter, Meaning, ask_which
from matcalc.language.notation_tree import NotationNode, walk_nodes


def find_repeated(root: NotationNode) -> frozenset[str]:
    """Return the indices that stand at two entries or under a sum, so that A_ij x_j is a sum over j."""
    letters = [letter for node in walk_nodes(root) for letter in list_indices(node)]
    summed = {letter for node in walk_nodes(root) if node.kind == "sum" for letter in read_index_sum(node)[0]}
    return frozenset({letter for letter in letters if letters.count(letter) > 1} | summed)


def list_indices(node: NotationNode) -> str:
    """Return the indices below a name or a bracket: ij of A_ij, i of (A x)_i."""
    if node.kind == "entry":
        return _read_entry(node)[1]
    below = str(node.value or "").replace(",", "") if node.kind == "subscripted" and node.args else ""
    return below if re.fullmatch(r"[ijklmnpqrs]{1,2}", below) else ""


def _read_subscripted(self: Interpreter, node: NotationNode) -> Meaning:
    """Return the entry (A x)_i of an expression, where a sum runs over its indices."""
    letters = list_indices(node)
    if not letters or not set(letters) <= self.repeated | set(self.bound):
        raise ParseError("a subscript stands behind a name", span=node.span)
    array = self.draft(node.args[0])
    axes = [axis for axis in array.axes if not is_unit(axis)]
    if len(axes) != len(letters):
        text = self.spell(array)
        raise ShapeError(f"{text} has {len(axes)} axes, not {len(letters)}", span=node.span)
    return Indexed(((array, letters),), "".join(dict.fromkeys(letters)))


def find_summed(root: NotationNode) -> frozenset[str]:
    """Return the names whose entries are summed over an index that is written."""
    sums = [node for node in walk_nodes(root) if node.kind == "sum"]
    entries = [_read_entry(entry) for node in sums for entry in walk_nodes(node) if entry.kind == "entry"]
    return frozenset(stem for stem, _, _ in entries)


def read_index_sum(node: NotationNode) -> tuple[str, str, str]:
    """Return the indices of a sum, the name of the size up to which they run, and what is done: sum, prod, max, min."""
    assert isinstance(node.value, tuple)
    letters, size, function = node.value
    return letters, size, function


def _read_entry(node: NotationNode) -> tuple[str, str, str]:
    assert isinstance(node.value, tuple)
    stem, letters, name = node.value
    return str(stem), str(letters), str(name)


def _read_entry_node(self: Interpreter, node: NotationNode) -> Meaning:
    stem, letters, name = _read_entry(node)
    known = name in self.reading.declared or name in self.reading.symbols or name in self.reading.defined
    if known:
        return self.read_name(name, node.span)
    if not set(letters) & (self.repeated | set(self.bound)):
        if stem in self.reading.defined:
            one, other = f"{stem}[{', '.join(letters)}]", f"{stem} entry by entry"
            raise ask_which(f"{node.value[2]} is one entry of {stem}", one, other, node.span)  # type: ignore[index]
        # The other entries of the same array are summed: of e^{x_i}/sum_j e^{x_j} there is one for each i.
        if stem not in self.summed:
            return self.read_name(name, node.span)
    array = self.read_name(stem, node.span)
    axes = [axis for axis in array.axes if not is_unit(axis)]
    if len(axes) != len(letters):
        raise ShapeError(f"{stem} has {len(axes)} axes, not {len(letters)}", span=node.span)
    for letter, axis in zip(letters, axes, strict=True):
        if letter in self.limits and not unify(axis, self.limits[letter]):
            raise ShapeError(f"the index {letter} runs over another size", span=node.span)
    free = "".join(dict.fromkeys(letters))
    return Indexed(((array, letters),), free)


def _sum_entries(self: Interpreter, node: NotationNode) -> Meaning:
    letters, upper, function = read_index_sum(node)
    self.bound.extend(letters)
    if upper in self.reading.sizes:
        self.limits |= dict.fromkeys(letters, self.reading.sizes[upper])
    body = self.read(node.args[0])
    del self.bound[len(self.bound) - len(letters) :]
    if not isinstance(body, Indexed) or not set(letters) <= set(body.free):
        lost = next((letter for letter in letters if not isinstance(body, Indexed) or letter not in body.free), letters)
        raise ParseError(
            f"nothing behind {function} has the index {lost}",
            span=node.span,
            advice=f"write {function}(x), or {function}_i x_i",
        )
    if function != "sum":
        return _reduce_entries(self, body, letters, function, node)
    rest = "".join(letter for letter in body.free if letter not in letters)
    if rest:
        return Indexed(((self._contract(body, rest, node), rest),), rest)
    return self._contract(body, rest, node)


def _reduce_entries(self: Interpreter, body: Indexed, letters: str, function: str, node: NotationNode) -> Meaning:
    """Return the product, the largest or the smallest of the entries over some of their indices."""
    if set(body.free) != set(letters) or len(letters) > 2:
        advice = f"write {function}(X, axis=1)"
        raise ParseError(f"{function} runs over some of the indices", span=node.span, advice=advice)
    return self.call(function, (self._contract(body, body.free, node),), node.span)


INDEX_HANDLERS: Mapping[str, Handler] = {
    "entry": _read_entry_node, "subscripted": _read_subscripted, "sum": _sum_entries,
}  # fmt: skip
