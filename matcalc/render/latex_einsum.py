r"""einsum -> a sum over entries: \left[ \sum_{j} A_{i j} B_{j k} \right]_{i k}."""

from __future__ import annotations

import re

from matcalc.language.expression import Expression
from matcalc.render.index_letters import avoid_sizes
from matcalc.render.latex_templates import PRODUCT, SUM, SUPERSCRIPT, Part, enclose, wrap


def write_einsum(node: Expression, parts: list[Part]) -> Part:
    """Return the entries of an einsum, in square brackets with their indices where there are any."""
    inputs, output = avoid_sizes(node).split("->")
    words = inputs.split(",")
    factors = [_write_factor(*item) for item in zip(node.args, parts, words, strict=True)]
    # Ones only stretch the result along an index, unless they alone carry an index that is summed.
    rest = "".join(word for word, arg in zip(words, node.args, strict=True) if not _is_ones(arg))
    kept = [
        factor for factor, word, arg in zip(factors, words, node.args, strict=True)
        if not _is_ones(arg) or any(letter not in rest + output for letter in word)
    ]  # fmt: skip
    summed = [letter for letter in dict.fromkeys(inputs.replace(",", "")) if letter not in output]
    body = " ".join(kept) or "1"
    if summed:
        body = f"\\sum_{{{' '.join(summed)}}} {body}"
    if output:
        return f"\\left[ {body} \\right]_{{{' '.join(output)}}}", SUPERSCRIPT
    return body, SUM if summed else PRODUCT


def _is_ones(node: Expression) -> bool:
    return node.op == "filled" and node.name == "ones"


def _write_factor(node: Expression, part: Part, word: str) -> str:
    """Return one operand with its indices; the unit matrix is Kronecker's delta."""
    if not word:
        return wrap(part, SUPERSCRIPT)
    below = f"_{{{' '.join(word)}}}"
    if node.op == "filled" and node.name == "eye":
        return "\\delta" + below
    if _is_ones(node):
        return "\\mathbf{1}" + below
    # A text that ends in an index of its own would get a second one.
    is_plain = re.fullmatch(r"\w|\\[A-Za-z]+|\\\w+\{\w+\}", part[0]) or (part[0][-1] == ")" and "_" not in part[0])
    return (part[0] if is_plain and node.op in ("symbol", "call", "abstract") else enclose(part[0])) + below
