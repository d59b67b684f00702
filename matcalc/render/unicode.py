"""Typed expression -> a line for the terminal in the signs of mathematics: 2 Aᵀ (A x − b)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from matcalc.errors import LimitError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import (
    ATOM,
    LONGEST_TEXT,
    POWER,
    PRODUCT,
    SIGN,
    SUM,
    TextPart,
    wrap,
    write_node,
    write_nodes,
)
from matcalc.language.names import GREEK
from matcalc.language.show_slices import show_slices
from matcalc.render.latex import write_sympy_template
from matcalc.render.named_parts import has_named_parts, name_parts
from matcalc.rule_files import Rule

_ABOVE = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_BELOW = {**dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True)), **dict(zip("mnkpljhist", "ₘₙₖₚₗⱼₕᵢₛₜ", strict=True))}
_FENCES = {"norm": "‖{}‖", "abs": "|{}|", "inv": "{}⁻¹", "sqrt": "√{}", "trace": "tr {}"}

def to_unicode(expression: Expression, taken: Collection[str] = ()) -> str:
    """Return an expression for people to read, not to be read again; the parts of a long one are named.

    Entrywise products are ⊙ and quotients ⊘, entrywise powers ∘².  Raises LimitError beyond 100,000 characters.

    >>> from matcalc.language.text_to_expression import parse
    >>> print(to_unicode(parse("2*A.T @ (A @ x1 - b)/norm(x1)**2").expressions[0]))
    2 Aᵀ (A x₁ − b)/‖x₁‖²
    """
    if not has_named_parts(expression, taken):
        return _write(expression)
    named = name_parts(expression, taken)
    lines = [f"{_write_name(name)} = {_write(part)}" for name, part in named.definitions]
    return "\n".join([*lines, _write(named.formula)])


def _write(expression: Expression) -> str:
    for _, (text, _) in write_nodes(show_slices(expression), _write_node):
        if len(text) > LONGEST_TEXT:
            raise LimitError(f"the text of the answer has more than {LONGEST_TEXT} characters")
    return text


def _write_node(node: Expression, parts: list[TextPart]) -> TextPart:
    match node.op:
        case "symbol" | "constant":
            return _write_name(node.name), ATOM
        case "transpose":
            return wrap(parts[0], ATOM) + "ᵀ", POWER
        case "add" | "subtract":
            sign = " + " if node.op == "add" else " − "
            return parts[0][0] + sign + wrap(parts[1], PRODUCT), SUM
        case "negate":
            return "−" + wrap(parts[0], PRODUCT), SIGN if parts[0][1] >= POWER else SUM
        case "matmul":
            return f"{wrap(parts[0], PRODUCT)} {wrap(parts[1], POWER)}", PRODUCT
        case "multiply" | "divide":
            return _write_entrywise(node, parts)
        case "power":
            return _write_power(node, parts)
        case "filled":
            return _write_filled(node, parts)
        case "call":
            return _write_call(node, parts)
    return write_node(node, parts)


def _write_entrywise(node: Expression, parts: list[TextPart]) -> TextPart:
    arrays = not any(arg.is_scalar for arg in node.args)
    if node.op == "divide":
        sign = "/" if node.args[1].is_scalar else " ⊘ "
    else:
        sign = " ⊙ " if arrays else " "
    return wrap(parts[0], PRODUCT) + sign + wrap(parts[1], POWER), PRODUCT


def _write_power(node: Expression, parts: list[TextPart]) -> TextPart:
    ring = "" if node.args[0].is_scalar else "∘"
    whole = re.fullmatch(r"−?-?\d+", parts[1][0])
    exponent = parts[1][0].replace("−", "-").translate(_ABOVE) if whole else f"^{wrap(parts[1], ATOM)}"
    return wrap(parts[0], ATOM) + ring + exponent, POWER


def _write_filled(node: Expression, parts: list[TextPart]) -> TextPart:
    letters = [str(size) for size in dict.fromkeys(node.data[1])]
    sign = {"eye": "I", "ones": "1", "zeros": "0"}.get(node.name)
    if sign and len(letters) == 1 and all(letter in _BELOW for letter in letters[0]) and len(node.data[1]) == 1:
        return sign + "".join(_BELOW[letter] for letter in letters[0]), ATOM
    return write_node(node, parts)


def _write_call(node: Expression, parts: list[TextPart]) -> TextPart:
    rule, axis, _ = node.data
    fence = _FENCES.get(rule.function) if axis is None and len(rule.parameters) == 1 else None
    if fence is None:
        text, level = write_node(node, parts)
        letter = _find_letter(rule)
        return (letter + text.removeprefix(rule.function) if letter else text), level
    bars = rule.function in ("norm", "abs")
    return fence.format(parts[0][0] if bars else wrap(parts[0], ATOM)), ATOM if bars else POWER


def _find_letter(rule: Rule) -> str:
    """Return the Greek letter that a function of SymPy is called by, as Γ; "" where it has none."""
    template = (rule.latex or write_sympy_template(rule)) if rule.sympy_word else ""
    match = re.match(r"\\([A-Z]?[a-z]+)\(", template)
    return _write_name(match[1]) if match and match[1].lower() in GREEK else ""


def _write_name(name: str) -> str:
    """Return Greek words as letters and digits at the end below the line: alpha_1 is α₁."""
    match = re.fullmatch(r"([^\W\d_]+)_?(\d*)", name)
    if match is None:
        return name
    stem, digits = match.groups()
    if stem.lower() in GREEK:
        kind = "CAPITAL" if stem[0].isupper() else "SMALL"
        word = stem.lower().removeprefix("var").replace("lambda", "lamda").upper()
        stem = unicodedata.lookup(f"GREEK {kind} LETTER {word}")
    return stem + "".join(_BELOW[digit] for digit in digits)
