"""einsum with fused axes -> source: the fused axes as a reshape, else the backend's einsum."""

from __future__ import annotations

import string
from collections.abc import Mapping

from matcalc.language.expression import Expression, einsum, filled
from matcalc.language.expression_to_text import ATOM
from matcalc.language.sizes import Size
from matcalc.render.code.products import CodePart, transpose_part
from matcalc.render.code.words import Words


def unfuse(node: Expression) -> Expression | None:
    """Return the einsum with two axes for each fused one of the result, which is reshaped then; None where that fails.

    >>> from matcalc.language.expression import symbol
    >>> from matcalc.language.expression_to_text import to_text
    >>> m, n, p = map(Size.of, "mnp")
    >>> to_text(unfuse(einsum("ipa,pq->iqa", (filled("fuse", m, n), symbol("A", (m, p))))))
    "einsum('pq,ba->pbqa', A, eye(n))"
    """
    inputs, output = str(node.data[0]).split("->")
    operands = list(zip(inputs.split(","), node.args, strict=True))
    plain = [(own, arg) for own, arg in operands if not is_fuse(arg)]
    taken = set(inputs + output)
    free = iter(letter for letter in string.ascii_letters if letter not in taken)
    opened = output
    for own, arg in operands:
        if not is_fuse(arg):
            continue
        whole, ends = own[0], own[1:]
        others = "".join(text for text, other in operands if other is not arg or text != own)
        if output.count(whole) != 1 or whole in others:
            return None
        letters = ""
        for end, size in zip(ends, arg.shape[1:], strict=True):
            if end in opened.replace(whole, "") + letters:
                fresh = next(free)
                plain.append((fresh + end, filled("eye", size)))
                letters += fresh
            else:
                letters += end
        opened = opened.replace(whole, letters)
    if not set(opened) <= set("".join(own for own, _ in plain)):
        return None
    return einsum(",".join(own for own, _ in plain) + "->" + opened, tuple(arg for _, arg in plain))


def write_einsum_code(node: Expression, parts: Mapping[Expression, CodePart], words: Words) -> CodePart:
    """Return the source of an einsum; `parts` holds those of its operands but for fuse(m, p)."""
    inputs, output = str(node.data[0]).split("->")
    operands = list(zip(inputs.split(","), node.args, strict=True))
    texts = {place: _text_of(arg, parts, words) for place, (_, arg) in enumerate(operands)}
    letters = {place: own for place, (own, _) in enumerate(operands)}
    plain = "".join(own for own, arg in operands if not is_fuse(arg))
    groups: dict[str, str] = {}
    for place, (own, arg) in enumerate(operands):
        others = [text for other, text in letters.items() if other != place]
        if is_fuse(arg) and _can_reshape(own, plain, [*others, output], groups):
            groups[own[0]] = own[1:]
            del letters[place], texts[place]
    sizes = {letter: size for own, arg in operands for letter, size in zip(own, arg.squeezed_shape, strict=True)}
    for place in letters:
        if set(letters[place]) & set(groups):
            opened = _open(letters[place], groups)
            texts[place] = _reshape(texts[place], opened, sizes, words)
            letters[place] = opened
    whole = _open(output, groups)
    part = _contract([(letters[place], texts[place]) for place in letters], whole, node, words)
    return CodePart(_reshape(part, output, sizes, words).text, ATOM, node.shape) if whole != output else part


def _text_of(arg: Expression, parts: Mapping[Expression, CodePart], words: Words) -> CodePart:
    found = parts.get(arg)
    return words.to_tensor(found if found is not None else words.fill(arg))


def is_fuse(node: Expression) -> bool:
    """Whether a node is fuse(m, p), the array of ones where two axes are joined to one."""
    return node.op == "filled" and node.name == "fuse"


def _can_reshape(own: str, plain: str, others: list[str], groups: Mapping[str, str]) -> bool:
    """Whether a fuse(m, p) only joins two axes: no end stands twice in one operand, or beside the other end.

    `plain` holds the letters of the operands that are no fuse: both axes must come from them.
    """
    whole, first, second = tuple(own)
    if len(set(own)) < 3 or {whole, first, second} & (set(groups) | set("".join(groups.values()))):
        return False
    if whole not in plain and not (first in plain and second in plain):
        return False
    return all(text.count(whole) < 2 and not (whole in text and {first, second} & set(text)) for text in others)


def _open(letters: str, groups: Mapping[str, str]) -> str:
    return "".join(groups.get(letter, letter) for letter in letters)


def reshape_result(part: CodePart, node: Expression, words: Words) -> CodePart:
    """Return the source of an array with the shape of a node, which joins axes of it."""
    shape = node.squeezed_shape
    inside = words.write_sizes(shape) if len(shape) > 1 else "-1"
    return CodePart(f"{part.wrap(ATOM)}.reshape({inside})", ATOM, node.shape)


def _reshape(part: CodePart, letters: str, sizes: Mapping[str, Size], words: Words) -> CodePart:
    shape = tuple(sizes[letter] for letter in letters)
    inside = words.write_sizes(shape) if len(shape) > 1 else "-1"
    return CodePart(f"{part.wrap(ATOM)}.reshape({inside})", ATOM, shape)


def _contract(operands: list[tuple[str, CodePart]], output: str, node: Expression, words: Words) -> CodePart:
    if len(operands) == 1:
        (own, part), prefix = operands[0], words.prefix
        if own == output:
            return part
        if len(set(own)) == len(own) == len(output):
            return _transpose_part(own, part, output, node, words)
        if own == "ii":
            return CodePart(f"{prefix}.{'diagonal' if output else 'trace'}({part.text})", ATOM, node.shape)
    texts = ", ".join(part.text for _, part in operands)
    subscripts = ",".join(own for own, _ in operands) + "->" + output
    # NumPy alone would run over all letters at once.
    optimize = ", optimize=True" if words.backend == "numpy" and len(operands) > 2 else ""
    return CodePart(f"{words.prefix}.einsum('{subscripts}', {texts}{optimize})", ATOM, node.shape)


def _transpose_part(own: str, part: CodePart, output: str, node: Expression, words: Words) -> CodePart:
    if len(own) == 2:
        return CodePart(transpose_part(part).text, ATOM, node.shape)
    axes = tuple(own.index(letter) for letter in output)
    word = "permute" if words.backend == "torch" else "transpose"
    return CodePart(f"{words.prefix}.{word}({part.text}, {axes})", ATOM, node.shape)
