"""Typed expression -> text in the same language: what is printed can be read again and means the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from matcalc.errors import LimitError
from matcalc.language.expression import Expression, walk
from matcalc.language.names import BASIS
from matcalc.language.show_slices import show_slices, write_range

# What is shared in an expression is written out at each place, which can double the text again and again.
LONGEST_TEXT = 100_000

# How closely a text holds together, the loosest first: one scale for the language, Unicode, code and LaTeX.  Only LaTeX
# tells a sign before a product from one before a factor, products entry by entry, and products of scalars alone.
COMPARE, SUM, SIGNED, ENTRYWISE, PRODUCT, SCALED, SIGN, POWER, ATOM = range(9)
_OPERATORS = {
    "add": (" + ", SUM), "subtract": (" - ", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "matmul": (" @ ", PRODUCT), "power": ("**", POWER),
}  # fmt: skip


TextPart = tuple[str, int]  # a text and how tightly it binds
WriteNode = Callable[[Expression, list[TextPart]], TextPart]


def to_text(expression: Expression) -> str:
    """Return the text of an expression; raises LimitError where it has more than 100,000 characters.

    >>> from matcalc.language.text_to_expression import parse
    >>> to_text(parse("(A+A.T)@x").expressions[0])
    '(A + A.T) @ x'
    """
    for _, (text, _) in write_nodes(show_slices(expression), write_node):
        if len(text) > LONGEST_TEXT:
            reason = f"the text of the answer has more than {LONGEST_TEXT} characters"
            raise LimitError(reason, advice="name its parts, as in p = softmax(x); diag(p) - p @ p.T")
    return text


def write_nodes(root: Expression, write: WriteNode) -> Iterator[tuple[Expression, TextPart]]:
    """Yield each node below a root, the root last, with what `write` makes of the texts of its operands."""
    written: dict[int, TextPart] = {}
    for node in walk(root):
        written[id(node)] = part = write(node, [written[id(arg)] for arg in node.args])
        yield node, part


def is_longer(expression: Expression, length: int) -> bool:
    """Whether the text of an expression has more characters than that; the long text itself is not written."""
    return any(len(text) > length for _, (text, _) in write_nodes(show_slices(expression), write_node))


def write_node(node: Expression, parts: list[TextPart]) -> TextPart:
    """Return the text of a node, given the texts of its operands, and how tightly both bind."""
    if node.op in _OPERATORS:
        return _binary(node, parts)
    texts = [text for text, _ in parts]
    match node.op:
        case "symbol" | "constant":
            return node.name, ATOM
        case "number":
            return _number(node.data[0])
        case "size":
            text = str(node.data[0])
            return text, SUM if node.data[0].is_sum else PRODUCT if "*" in text else ATOM
        case "negate":
            text, level = parts[0]
            return ("-" + (text if level >= POWER else f"({text})")), SIGN
        case "transpose":
            return wrap(parts[0], ATOM) + ".T", ATOM
        case "compare":
            return f"{wrap(parts[0], SUM)} {node.data[0]} {wrap(parts[1], SUM)}", COMPARE
        case "call":
            return _call(node, texts), ATOM
        case "einsum":
            return f"einsum('{node.data[0]}', {', '.join(texts)})", ATOM
        case "filled":
            return f"{node.name}({', '.join(map(str, node.data[1]))})", ATOM
        case "abstract":
            return f"{node.name}({texts[0]})", ATOM
        case "sliced":
            return write_slice(node, wrap(parts[0], ATOM)), ATOM
        case "padded":
            axis, before, after = node.data
            return f"pad({texts[0]}, {before}, {after}{', axis=1' if axis else ''})", ATOM
        case "joined":
            return f"concat({', '.join(texts)}{', axis=1' if node.data[0] else ''})", ATOM
    order = f", {node.data[1]}" if node.data[1] > 1 else ""
    return f"D({node.name}, {texts[0]}{order})", ATOM


def write_slice(node: Expression, array: str) -> str:
    """Return a part of an array whose text is given: x[1:], X[:, 1:], X[1:, 1:]."""
    axis, before, after = node.data
    inner = node.args[0]
    taken = write_range(before, after, inner.shape[axis])
    if not axis:
        return f"{array}[{taken}]"
    if inner.op == "sliced" and inner.data[0] == 0:
        return f"{array[:-1]}, {taken}]"
    return f"{array}[:, {taken}]"


def is_bracketed(node: Expression, place: int, part: TextPart) -> bool:
    """Whether the operand at a place, with this text, stands in brackets, be it those of a function."""
    if node.op not in _OPERATORS:
        return node.op not in ("transpose", "negate", "compare") or part[1] < POWER
    if node.op == "power":
        return part[1] < ATOM
    return part[1] < _OPERATORS[node.op][1] + place or (place == 0 and _reads_better_bracketed(node))


def wrap(part: TextPart, level: int, enclose: Callable[[str], str] = "({})".format) -> str:
    """Put brackets around what binds weaker than `level`."""
    text, own = part
    return text if own >= level else enclose(text)


def _binary(node: Expression, parts: list[TextPart]) -> TextPart:
    symbol, level = _OPERATORS[node.op]
    if node.op == "power":
        # Python reads -x**2 as -(x**2) and 2**-1 as it stands.
        number = node.args[1].args[0] if node.args[1].op == "negate" else node.args[1]
        return wrap(parts[0], ATOM) + symbol + wrap(parts[1], SIGN if number.op == "number" else ATOM), POWER
    first = wrap(parts[0], level)
    if _reads_better_bracketed(node):
        first = f"({parts[0][0]})"
    second = wrap(parts[1], level + 1)
    if second[0] == "-":
        second = f"({parts[1][0]})"
    return first + symbol + second, level


def _reads_better_bracketed(node: Expression) -> bool:
    """Whether the left operand gets brackets that Python does not need: (x.T @ y)*a, (1/x) @ y.T, (A*B) @ C."""
    left = node.args[0]
    if (node.op, left.op) in {("multiply", "matmul"), ("matmul", "divide")}:
        return True
    return node.op == "matmul" and left.op == "multiply" and not any(arg.is_scalar for arg in left.args)


def _number(value: Fraction) -> TextPart:
    if value.denominator == 1:
        return str(value.numerator), ATOM if value >= 0 else SIGN
    text = write_decimal(value)
    if text is not None:
        return text, ATOM if value >= 0 else SIGN
    return f"{value.numerator}/{value.denominator}", PRODUCT


def write_decimal(value: Fraction) -> str | None:
    """Write the number exactly with a decimal point or an exponent, or None where it has no end."""
    denominator, digits = value.denominator, 0
    while denominator % 10 == 0:
        denominator //= 10
        digits += 1
    while denominator % 2 == 0 or denominator % 5 == 0:
        denominator //= 2 if denominator % 2 == 0 else 5
        digits += 1
    if denominator != 1:
        return None
    scaled = value * 10**digits
    text = re.sub(r"e([-+])0", r"e\1", repr(float(value)))
    if Fraction(text) == value:
        return text
    sign, numerals = ("-", str(-scaled.numerator)) if scaled < 0 else ("", str(scaled.numerator))
    if digits > 18:
        return f"{sign}{numerals}e-{digits}"
    return f"{sign}{numerals[:-digits] or '0'}.{numerals[-digits:].zfill(digits)}"


def _call(node: Expression, texts: list[str]) -> str:
    rule, axis, keepdims = node.data
    if rule.name == BASIS and node.args[0].is_filled("ones"):
        return f"{BASIS}({node.shape[0]}, {texts[1]})"
    left = iter(texts)
    arguments = [repr(p.literal) if p.literal is not None else next(left) for p in rule.parameters]
    if axis is not None:
        arguments.append(f"axis={axis}")
    if keepdims:
        arguments.append("keepdims=True")
    return f"{rule.function}({', '.join(arguments)})"


# --- index letters ----------------------------------------------------------------------------------
#
# Letters of indices where the sizes of the same line are letters as well.


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


def list_indexed_factors(einsum: Expression, kept: str = "") -> tuple[list[tuple[Expression, str]], list[str], str]:
    """Return the operands of an einsum, each with its indices, the indices that are summed, and those of the result.

    Ones only stretch the result along an index, and are left out unless they alone carry an index that is summed.
    """
    inputs, output = avoid_sizes(einsum, kept).split("->")
    factors = list(zip(einsum.args, inputs.split(","), strict=True))
    told = set(output).union(*(word for operand, word in factors if not operand.is_filled("ones")))
    summed = [letter for letter in dict.fromkeys(inputs) if letter not in output + ","]
    shown = [pair for pair in factors if not pair[0].is_filled("ones") or not told.issuperset(pair[1])]
    return shown, summed, output


def _list_size_letters(einsum: Expression) -> set[str]:
    """The letters of sizes that are printed: of fuse(p, q) or n, not of delta and of the ones, which show none."""
    shown: set[str] = set()
    for node in walk(*[arg for arg in einsum.args if not arg.is_filled("eye") and not arg.is_filled("ones")]):
        sizes = node.data[1] if node.op == "filled" else node.data if node.op == "size" else ()
        shown.update(letter for size in sizes for letter in size.letters)
    return shown
