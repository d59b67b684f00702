"""Typed expression -> LaTeX, as it would stand in a paper."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from matcalc.errors import LimitError
from matcalc.language.expression import Expression, walk
from matcalc.render.latex_einsum import write_einsum
from matcalc.render.latex_names import write_name, write_variable, write_word
from matcalc.render.latex_templates import (
    ATOM,
    ENTRYWISE,
    PRODUCT,
    SCALED,
    SIGN,
    SUM,
    SUPERSCRIPT,
    Part,
    enclose,
    fill_template,
    wrap,
)  # fmt: skip
from matcalc.render.to_text import LONGEST_TEXT, write_decimal

_RELATIONS = {">": ">", "<": "<", ">=": "\\geq", "<=": "\\leq"}
_OPPOSITE = {">": "\\leq", "<": "\\geq", ">=": "<", "<=": ">"}


def to_latex(expression: Expression) -> str:
    r"""Return the LaTeX of an expression, without dollar signs.

    Products of arrays entry by entry are \odot, quotients \oslash, powers x^{\circ 2}; a function of a matrix
    that could be taken for a matrix function has a small circle as well.

    >>> from matcalc.language.text_to_expression import parse
    >>> print(to_latex(parse("(A + A.T) @ x1 / norm(x1)").expressions[0]))
    \frac{(A + A^\top) x_{1}}{\left\| x_{1} \right\|}
    """
    return _write_all(expression)[id(expression)][0]


def list_latex_terms(expression: Expression) -> list[tuple[Expression, str]]:
    r"""Return the terms of a sum with their LaTeX, which begins with + or - but for the first; joined they are the sum.

    >>> from matcalc.language.text_to_expression import parse
    >>> [latex for _, latex in list_latex_terms(parse("A @ x - (x - y) + b").expressions[0])]
    ['A x', '- (x - y)', '+ b']
    """
    written = _write_all(expression)
    terms: list[tuple[Expression, str]] = []
    while expression.op in ("add", "subtract"):
        left, right = expression.args
        whole = _WRITERS[expression.op](expression, [written[id(left)], written[id(right)]])[0]
        terms.append((right, whole.removeprefix(written[id(left)][0]).lstrip()))
        expression = left
    return [(expression, written[id(expression)][0]), *reversed(terms)]


def _write_all(expression: Expression) -> dict[int, Part]:
    written: dict[int, Part] = {}
    for node in walk(expression):
        written[id(node)] = part = _WRITERS[node.op](node, [written[id(arg)] for arg in node.args])
        if len(part[0]) > LONGEST_TEXT:
            raise LimitError(f"the LaTeX of the answer has more than {LONGEST_TEXT} characters")
    return written


# --- leaves ---------------------------------------------------------------------------------------


def _symbol(node: Expression, parts: list[Part]) -> Part:
    return write_variable(node.name, not node.is_scalar), ATOM


def _number(node: Expression, parts: list[Part]) -> Part:
    value: Fraction = node.data[0]
    if value < 0:
        return "-" + _write_number(-value)[0], SIGN
    return _write_number(value)


def _write_number(value: Fraction) -> Part:
    """Return a number that is not negative: 2, 0.01, 10^{-5} or a fraction."""
    text = str(value) if value.denominator == 1 else write_decimal(value)
    if text is None or (value.denominator == 2 and "e" not in text):
        return f"\\frac{{{value.numerator}}}{{{value.denominator}}}", SUPERSCRIPT
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text, ATOM
    power = f"10^{{{int(exponent)}}}"
    return (power, SUPERSCRIPT) if mantissa == "1" else (f"{mantissa} \\cdot {power}", PRODUCT)


def _constant(node: Expression, parts: list[Part]) -> Part:
    return "\\pi" if node.name == "pi" else "e", ATOM


def _size(node: Expression, parts: list[Part]) -> Part:
    size = node.data[0]
    number = [str(size.number)] if size.number != 1 else []
    letters = [write_name(letter) for letter in size.letters]
    return " ".join(number + letters), SCALED if len(number + letters) > 1 else ATOM


def _filled(node: Expression, parts: list[Part]) -> Part:
    name, sizes = node.data
    if not sizes:
        return "1" if name == "ones" else "0", ATOM
    if name == "eye":
        sizes = sizes[:1] if sizes[0] == sizes[-1] else sizes
    letters = [" ".join(write_name(part) for part in str(size).split("*")) for size in sizes]
    sign = {"eye": "I", "ones": "\\mathbf{1}", "zeros": "\\mathbf{0}", "commutation": "K"}.get(name)
    between = "," if name in ("commutation", "fuse") else " \\times "
    return f"{sign or write_word(name)}_{{{between.join(letters)}}}", ATOM


# --- operators ------------------------------------------------------------------------------------


def _add(node: Expression, parts: list[Part]) -> Part:
    right = parts[1][0]
    return f"{parts[0][0]} + {enclose(right) if right.startswith('-') else right}", SUM


def _subtract(node: Expression, parts: list[Part]) -> Part:
    return f"{parts[0][0]} - {wrap(parts[1], ENTRYWISE)}", SUM


def _negate(node: Expression, parts: list[Part]) -> Part:
    return "-" + wrap(parts[0], ENTRYWISE), SIGN if parts[0][1] != ENTRYWISE else SUM


def _multiply(node: Expression, parts: list[Part]) -> Part:
    left, right = node.args
    if left.is_scalar or right.is_scalar:
        return _scale(node, parts)
    first = parts[0] if left.op in ("multiply", "negate") else (wrap(parts[0], SUPERSCRIPT), ATOM)
    text = f"{wrap(first, SIGN)} \\odot {wrap(parts[1], SUPERSCRIPT)}"
    return text, SUM if first[1] == SIGN else ENTRYWISE


def _scale(node: Expression, parts: list[Part]) -> Part:
    """Write the scalar first; a scalar that is a product of vectors is in brackets."""
    (left, first), (right, second) = zip(node.args, parts, strict=True)
    if right.is_scalar and (not left.is_scalar or (right.op == "number" and left.op != "number")):
        first, second = second, first
    other = wrap(second, PRODUCT)
    level = SIGN if first[1] == SIGN else SCALED if node.is_scalar and second[1] != PRODUCT else PRODUCT
    one = first[0] if level == SIGN else wrap(first, SCALED)
    return one + (" \\cdot " if other[0].isdigit() else " ") + other, level


def _matmul(node: Expression, parts: list[Part]) -> Part:
    other = wrap(parts[1], SUPERSCRIPT if node.args[1].op == "multiply" else PRODUCT)
    level = SIGN if parts[0][1] == SIGN else PRODUCT
    return f"{wrap(parts[0], level)} {other}", level


def _divide(node: Expression, parts: list[Part]) -> Part:
    above, below = parts
    if node.args[1].is_scalar:
        sign = "-" if above[1] == SIGN else ""
        return f"{sign}\\frac{{{above[0][len(sign):]}}}{{{below[0]}}}", SIGN if sign else SUPERSCRIPT
    return f"{wrap(above, SUPERSCRIPT)} \\oslash {wrap(below, SUPERSCRIPT)}", ENTRYWISE


def _power(node: Expression, parts: list[Part]) -> Part:
    base, exponent = node.args
    is_half = exponent.op == "number" and exponent.data[0] == Fraction(1, 2)
    is_half = is_half or (exponent.op == "divide" and parts[1][0] == "\\frac{1}{2}")
    # The circle would bind to the first term of a sum alone.
    written = parts[1][0] if node.is_scalar or parts[1][1] != SUM else enclose(parts[1][0])
    return _write_power(base, parts[0], "1/2" if is_half else written, node.is_scalar)


def _write_power(base: Expression, part: Part, exponent: str, is_scalar: bool) -> Part:
    if exponent == "1/2" and not _is_matrix(base):
        return f"\\sqrt{{{part[0]}}}", ATOM
    sign = "" if is_scalar else "\\circ "
    return f"{wrap(part, ATOM)}^{{{sign}{exponent}}}", SUPERSCRIPT


def _is_matrix(node: Expression) -> bool:
    return len(node.dropped_shape) > 1


def _transpose(node: Expression, parts: list[Part]) -> Part:
    (operand,) = node.args
    if node.is_scalar:
        return parts[0]
    if operand.op == "call" and operand.data[0].function == "inv" and parts[0][0].endswith("^{-1}"):
        return parts[0][0].removesuffix("1}") + "\\top}", SUPERSCRIPT
    return wrap(parts[0], ATOM) + "^\\top", SUPERSCRIPT


def _compare(node: Expression, parts: list[Part]) -> Part:
    return f"{parts[0][0]} {_RELATIONS[node.data[0]]} {parts[1][0]}", SUM


# --- calls ----------------------------------------------------------------------------------------


def _einsum(node: Expression, parts: list[Part]) -> Part:
    return write_einsum(node, parts)


def _abstract(node: Expression, parts: list[Part]) -> Part:
    return write_name(node.name) + enclose(parts[0][0]), ATOM


def _abstract_derivative(node: Expression, parts: list[Part]) -> Part:
    """Write D(u, x) as a partial derivative, at another argument as D u(A x)."""
    name, order = write_name(node.name), f"^{{{node.data[1]}}}" if node.data[1] > 1 else ""
    if node.args[0].op == "symbol":
        return f"\\frac{{\\partial{order} {name}}}{{\\partial {parts[0][0]}{order}}}", SUPERSCRIPT
    return f"\\mathrm{{D}}{order} {name}{enclose(parts[0][0])}", ATOM


def _call(node: Expression, parts: list[Part]) -> Part:
    rule, axis, keepdims = node.data
    special = _SPECIAL.get(rule.name)
    if special is not None:
        return special(node, parts)
    template = rule.latex or _make_template(node)
    if axis is not None:
        template = _mark_operator(template, f"{{\\mathrm{{axis}}\\,{axis}}}")
    elif rule.is_elementwise and _is_matrix(node) and rule.function in _ALSO_OF_MATRICES:
        template = _mark_operator(template, "\\circ")
    arguments = {parameter.name: part for parameter, part in zip(rule.variables, parts, strict=True)}
    text, level = fill_template(template, arguments)
    return (f"{text}^\\top", SUPERSCRIPT) if keepdims and axis == 0 else (text, level)


# exp(X) and its kin, entry by entry, could be taken for functions of the matrix.
_ALSO_OF_MATRICES = frozenset({"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign"})


def _make_template(node: Expression) -> str:
    rule = node.data[0]
    inside = [f"\\text{{{p.literal}}}" if p.literal is not None else f"{{{p.name}}}" for p in rule.parameters]
    return f"{write_word(rule.function)}({', '.join(inside)})"


def _mark_operator(template: str, mark: str) -> str:
    """Put a subscript on the operator before the first bracket, or on brackets around the whole."""
    operator, bracket, rest = template.partition("(")
    if operator and bracket and "{x}" not in operator:
        return f"{operator}_{mark}({rest}"
    return f"({template})_{mark}"


def _sum(node: Expression, parts: list[Part]) -> Part:
    """Write a sum as a product with ones, on the left for the rows and on the right for the columns."""
    (operand,) = node.args
    _, axis, keepdims = node.data
    rows, columns = operand.shape[0], operand.shape[-1]
    if len(operand.shape) > 2 or operand.is_scalar:
        return f"\\mathrm{{sum}}{enclose(parts[0][0])}", ATOM
    if axis == 0 and not keepdims and not columns.is_unit and not rows.is_unit:
        return f"{wrap(parts[0], ATOM)}^\\top {_write_ones(rows)}", PRODUCT
    left = "" if axis == 1 or rows.is_unit else f"{_write_ones(rows)}^\\top "
    right = "" if axis == 0 or columns.is_unit else f" {_write_ones(columns)}"
    return left + wrap(parts[0], SUPERSCRIPT if left and operand.op == "multiply" else PRODUCT) + right, PRODUCT


def _write_ones(size: object) -> str:
    return f"\\mathbf{{1}}_{{{' '.join(write_name(part) for part in str(size).split('*'))}}}"


def _where(node: Expression, parts: list[Part]) -> Part:
    """Write where(c, 1, 0) as the bracket [c], other choices as two lines."""
    condition, chosen, otherwise = (text for text, _ in parts)
    if (chosen, otherwise) == ("1", "0"):
        return f"[{condition}]", ATOM
    if (chosen, otherwise) == ("0", "1") and node.args[0].op == "compare":
        old, new = f" {_RELATIONS[node.args[0].data[0]]} ", f" {_OPPOSITE[node.args[0].data[0]]} "
        if condition.count(old) == 1:
            return f"[{condition.replace(old, new)}]", ATOM
    lines = f"{chosen} \\;\\text{{if}}\\; {condition} \\\\ {otherwise} \\;\\text{{otherwise}}"
    return f"\\left\\{{ \\substack{{ {lines} }} \\right.", SUM


def _square(node: Expression, parts: list[Part]) -> Part:
    return _write_power(node.args[0], parts[0], "2", node.is_scalar)


def _sqrt(node: Expression, parts: list[Part]) -> Part:
    return _write_power(node.args[0], parts[0], "1/2", node.is_scalar)


_SPECIAL: dict[str, Callable[[Expression, list[Part]], Part]] = {
    "sum": _sum, "where": _where, "square": _square, "sqrt": _sqrt,
}  # fmt: skip
_WRITERS: dict[str, Callable[[Expression, list[Part]], Part]] = {
    "symbol": _symbol, "number": _number, "constant": _constant, "size": _size, "filled": _filled, "add": _add,
    "subtract": _subtract, "negate": _negate, "multiply": _multiply, "divide": _divide, "power": _power,
    "matmul": _matmul, "transpose": _transpose, "compare": _compare, "call": _call, "einsum": _einsum,
    "abstract": _abstract, "abstract_derivative": _abstract_derivative,
}  # fmt: skip
