"""Letters of indices where the sizes of the same line are letters as well."""

from __future__ import annotations

from matcalc.language.expression import Expression, walk

_FREE = "pqrstuvwxyzcdefghijklmnabo"


def avoid_sizes(einsum: Expression, kept: str = "") -> str:
    """Return the subscripts of an einsum whose indices, but for the kept ones, differ from the sizes shown.

    >>> from matcalc.language.text_to_expression import parse
    >>> avoid_sizes(parse("einsum('ipq,pq->i', fuse(p, q), ones(p, q))").expressions[0])
    'irs,rs->i'
    """
    subscripts = str(einsum.data[0])
    shown = _list_size_letters(einsum)
    used = [letter for letter in dict.fromkeys(subscripts) if letter.isalpha()]
    free = [letter for letter in _FREE if letter not in shown and letter not in used and letter not in kept]
    clashing = [letter for letter in used if letter in shown and letter not in kept]
    return subscripts.translate(dict(zip(map(ord, clashing), free, strict=False)))


def _list_size_letters(einsum: Expression) -> set[str]:
    """The letters of sizes that are printed: of fuse(p, q) or n, not of delta and of the ones, which show none."""
    shown: set[str] = set()
    for node in walk(*[arg for arg in einsum.args if arg.op != "filled" or arg.name not in ("eye", "ones")]):
        sizes = node.data[1] if node.op == "filled" else node.data if node.op == "size" else ()
        shown.update(letter for size in sizes for letter in size.letters)
    return shown
