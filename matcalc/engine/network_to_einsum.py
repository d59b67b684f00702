"""What is left of a network as one einsum: the notation that every product has."""

from __future__ import annotations

from matcalc.engine.assemble import chain, compress
from matcalc.engine.network import Network
from matcalc.errors import LimitError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.sizes import Size

LETTERS = "ijklmnabcdefghopqrstuvwxyz"
SUMMED = "pqrstuvwxyzcdefghabijklmno" + "pqrstuvwxyzcdefghabijklmno".upper()


def write_einsum(network: Network, sizes: dict[int, Size], letters: str) -> Expression:
    """What is left of a network as one einsum: a letter for each axis, more for the sums that stay."""
    bound = network.bound
    free = [letter for letter in SUMMED if letter not in letters[: len(sizes)]]
    if len(bound) > len(free):
        raise LimitError(f"a product is summed over more than {len(free)} indices", advice="derive a part of it")
    names = {k: letters[k] for k in sizes} | dict(zip(bound, free, strict=False))
    words: list[str] = []
    operands: list[Expression] = []
    for edge in network.edges:
        word, operand = names[edge.start] + names[edge.end], chain(compress(edge.items))
        turned = chain(compress(network.reversed(edge.items)))
        if network.lengths(turned) < network.lengths(operand):
            word, operand = word[::-1], turned
        words.append(word)
        operands.append(operand)
    for point, pieces in network.pieces.items():
        words.append(names[point])
        operands.append(chain(network.hadamard(pieces)))
    for other, labels in network.others:
        word, operand = _without_permutation(other, "".join(names[label] for label in labels))
        words.append(word)
        operands.append(operand)
    for k, size in sizes.items():
        if not any(names[k] in word for word in words):
            words.append(names[k])
            operands.append(ex.filled("ones", size))
    order = sorted(range(len(words)), key=lambda k: [letters.find(letter) % 99 for letter in words[k]])
    subscripts = ",".join(words[k] for k in order) + "->" + "".join(names[k] for k in sizes)
    return ex.einsum(subscripts, tuple([operands[k] for k in order]))


def _without_permutation(operand: Expression, word: str) -> tuple[str, Expression]:
    """An einsum that only permutes axes becomes the tensor itself under permuted letters."""
    if operand.op != "einsum" or len(operand.args) != 1:
        return word, operand
    inside, outside = operand.data[0].split("->")
    if sorted(inside) != sorted(outside):
        return word, operand
    return "".join(word[outside.index(letter)] for letter in inside), operand.args[0]
