"""Typed expression -> LaTeX, as it would stand in a paper."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import cache, partial
from itertools import groupby

from matcalc.errors import LimitError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import (
    ATOM,
    ENTRYWISE,
    LONGEST_TEXT,
    POWER,
    PRODUCT,
    SCALED,
    SIGNED,
    SUM,
    TextPart,
    WriteNode,
    list_indexed_factors,
    to_text,
    wrap,
    write_decimal,
    write_nodes,
)
from matcalc.language.names import GREEK
from matcalc.language.scalar_calculus import apply_word, find_sympy_word
from matcalc.language.show_slices import show_slices, write_range
from matcalc.language.sizes import Size
from matcalc.render.named_parts import has_named_parts, name_parts
from matcalc.rule_files import Rule

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
    shown = show_slices(expression)
    return _write_all(shown)[shown][0]


def list_latex_terms(expression: Expression) -> list[tuple[Expression, str]]:
    r"""Return the terms of a sum with their LaTeX, which begins with + or - but for the first; joined they are the sum.

    >>> from matcalc.language.text_to_expression import parse
    >>> [latex for _, latex in list_latex_terms(parse("A @ x - (x - y) + b").expressions[0])]
    ['A x', '- (x - y)', '+ b']
    """
    expression = show_slices(expression)
    written = _write_all(expression)
    terms: list[tuple[Expression, str]] = []
    while expression.op in ("add", "subtract"):
        left, right = expression.args
        whole = _write_node(expression, [written[left], written[right]])[0]
        terms.append((right, whole.removeprefix(written[left][0]).lstrip()))
        expression = left
    return [(expression, written[expression][0]), *reversed(terms)]


def _write_all(expression: Expression) -> dict[Expression, TextPart]:
    written = {}
    for node, part in write_nodes(expression, _write_node):
        written[node] = part
        if len(part[0]) > LONGEST_TEXT:
            raise LimitError(f"the LaTeX of the answer has more than {LONGEST_TEXT} characters")
    return written


def _write_node(node: Expression, parts: list[TextPart]) -> TextPart:
    """Return the LaTeX of a node, given that of its operands, and how tightly it binds."""
    texts = [text for text, _ in parts]
    match node.op:
        case "symbol":
            return write_variable(node.name, not node.is_scalar), ATOM
        case "number":
            value: Fraction = node.data[0]
            return _write_number(value) if value >= 0 else ("-" + _write_number(-value)[0], SIGNED)
        case "constant":
            return "\\pi" if node.name == "pi" else "e", ATOM
        case "add":
            return f"{texts[0]} + {enclose(texts[1]) if texts[1].startswith('-') else texts[1]}", SUM
        case "subtract":
            return f"{texts[0]} - {_wrap(parts[1], ENTRYWISE)}", SUM
        case "negate":
            return "-" + _wrap(parts[0], ENTRYWISE), SIGNED if parts[0][1] != ENTRYWISE else SUM
        case "compare":
            return f"{texts[0]} {_RELATIONS[node.data[0]]} {texts[1]}", SUM
        case "abstract":
            return write_name(node.name) + enclose(texts[0]), ATOM
    return _WRITERS[node.op](node, parts)


# --- leaves ---------------------------------------------------------------------------------------


def _write_number(value: Fraction) -> TextPart:
    """Return a number that is not negative: 2, 0.01, 10^{-5} or a fraction."""
    text = str(value) if value.denominator == 1 else write_decimal(value)
    if text is None or (value.denominator == 2 and "e" not in text):
        return f"\\frac{{{value.numerator}}}{{{value.denominator}}}", POWER
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text, ATOM
    power = f"10^{{{int(exponent)}}}"
    return (power, POWER) if mantissa == "1" else (f"{mantissa} \\cdot {power}", PRODUCT)


def _size(node: Expression, parts: list[TextPart]) -> TextPart:
    size: Size = node.data[0]
    count = len(size.letters) + (size.number != 1)
    return _write_size(size), SUM if size.is_sum else SCALED if count > 1 else ATOM


def _write_size(size: object) -> str:
    """Return a size, be it a text, in LaTeX: m p, n - 1."""
    return re.sub(r"[^\W\d]\w*", lambda found: write_name(found[0]), str(size)).replace("*", " ")


def _filled(node: Expression, parts: list[TextPart]) -> TextPart:
    name, sizes = node.data
    if not sizes:
        return "1" if name == "ones" else "0", ATOM
    if name == "eye":
        sizes = sizes[:1] if sizes[0] == sizes[-1] else sizes
    letters = [_write_size(size) for size in sizes]
    sign = {"eye": "I", "ones": "\\mathbf{1}", "zeros": "\\mathbf{0}", "commutation": "K", "duplication": "D"}.get(name)
    between = "," if name in ("commutation", "fuse") else " \\times "
    return f"{sign or write_word(name)}_{{{between.join(letters)}}}", ATOM


# --- operators ------------------------------------------------------------------------------------


def _multiply(node: Expression, parts: list[TextPart]) -> TextPart:
    left, right = node.args
    if left.is_scalar or right.is_scalar:
        return _scale(node, parts)
    first = parts[0] if left.op in ("multiply", "negate") else (_wrap(parts[0], POWER), ATOM)
    text = f"{_wrap(first, SIGNED)} \\odot {_wrap(parts[1], POWER)}"
    return text, SUM if first[1] == SIGNED else ENTRYWISE


def _scale(node: Expression, parts: list[TextPart]) -> TextPart:
    """Write the scalar first; a scalar that is a product of vectors is in brackets."""
    (left, first), (right, second) = zip(node.args, parts, strict=True)
    if right.is_scalar and (not left.is_scalar or (right.op == "number" and left.op != "number")):
        first, second = second, first
    other = _wrap(second, PRODUCT)
    level = SIGNED if first[1] == SIGNED else SCALED if node.is_scalar and second[1] != PRODUCT else PRODUCT
    one = first[0] if level == SIGNED else _wrap(first, SCALED)
    return one + (" \\cdot " if other[0].isdigit() else " ") + other, level


def _matmul(node: Expression, parts: list[TextPart]) -> TextPart:
    other = _wrap(parts[1], POWER if node.args[1].op == "multiply" else PRODUCT)
    level = SIGNED if parts[0][1] == SIGNED else PRODUCT
    return f"{_wrap(parts[0], level)} {other}", level


def _divide(node: Expression, parts: list[TextPart]) -> TextPart:
    above, below = parts
    if node.args[1].is_scalar:
        sign = "-" if above[1] == SIGNED else ""
        return f"{sign}\\frac{{{above[0][len(sign):]}}}{{{below[0]}}}", SIGNED if sign else POWER
    return f"{_wrap(above, POWER)} \\oslash {_wrap(below, POWER)}", ENTRYWISE


def _power(node: Expression, parts: list[TextPart]) -> TextPart:
    base, exponent = node.args
    is_half = exponent.op == "number" and exponent.data[0] == Fraction(1, 2)
    is_half = is_half or (exponent.op == "divide" and parts[1][0] == "\\frac{1}{2}")
    # The circle would bind to the first term of a sum alone.
    written = parts[1][0] if node.is_scalar or parts[1][1] != SUM else enclose(parts[1][0])
    return _write_power(base, parts[0], "1/2" if is_half else written, node.is_scalar)


def _write_power(base: Expression, part: TextPart, exponent: str, is_scalar: bool) -> TextPart:
    if exponent == "1/2" and not _is_matrix(base):
        return f"\\sqrt{{{part[0]}}}", ATOM
    sign = "" if is_scalar else "\\circ "
    return f"{_wrap(part, ATOM)}^{{{sign}{exponent}}}", POWER


def _is_matrix(node: Expression) -> bool:
    return len(node.squeezed_shape) > 1


def _transpose(node: Expression, parts: list[TextPart]) -> TextPart:
    (operand,) = node.args
    if node.is_scalar:
        return parts[0]
    if operand.op == "call" and operand.data[0].function == "inv" and parts[0][0].endswith("^{-1}"):
        return parts[0][0].removesuffix("1}") + "\\top}", POWER
    return _wrap(parts[0], ATOM) + "^\\top", POWER


# --- calls ----------------------------------------------------------------------------------------


def _abstract_derivative(node: Expression, parts: list[TextPart]) -> TextPart:
    """Write D(u, x) as a partial derivative, at another argument as D u(A x)."""
    name, order = write_name(node.name), f"^{{{node.data[1]}}}" if node.data[1] > 1 else ""
    if node.args[0].op == "symbol":
        return f"\\frac{{\\partial{order} {name}}}{{\\partial {parts[0][0]}{order}}}", POWER
    return f"\\mathrm{{D}}{order} {name}{enclose(parts[0][0])}", ATOM


def _call(node: Expression, parts: list[TextPart]) -> TextPart:
    rule, axis, keepdims = node.data
    if rule.name in _SPECIAL:
        return _SPECIAL[rule.name](node, parts)
    template = rule.latex or write_sympy_template(rule) or _make_template(node)
    if axis is not None:
        template = _mark_operator(template, f"{{\\mathrm{{axis}}\\,{axis}}}")
    elif rule.is_elementwise and _is_matrix(node) and rule.function in _ALSO_OF_MATRICES:
        template = _mark_operator(template, "\\circ")
    arguments = {parameter.name: part for parameter, part in zip(rule.variables, parts, strict=True)}
    text, level = fill_template(template, arguments)
    return (f"{text}^\\top", POWER) if keepdims and axis == 0 else (text, level)


# exp(X) and its kin, entry by entry, could be taken for functions of the matrix.
_ALSO_OF_MATRICES = frozenset({"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign"})


def _make_template(node: Expression) -> str:
    rule = node.data[0]
    inside = [f"\\text{{{p.literal}}}" if p.literal is not None else f"{{{p.name}}}" for p in rule.parameters]
    return f"{write_word(rule.function)}({', '.join(inside)})"


@cache
def write_sympy_template(rule: Rule) -> str:
    r"""Return how SymPy typesets the function that a rule names, with its parameters in braces; "" where it names none.

    >>> from matcalc.rule_files import find_sympy_rules
    >>> write_sympy_template(find_sympy_rules("besselj", 0)[0])
    'J_{0}({x})'
    """
    if not rule.sympy_word or not rule.is_elementwise:
        return ""
    import sympy

    # A printer of SymPy may lay out an argument as it likes, but leaves letters alone that mean nothing.
    places = {f"placeof{chr(97 + at)}": parameter.name for at, parameter in enumerate(rule.variables)}
    word, symbols = find_sympy_word(rule), [sympy.Symbol(place) for place in places]
    function = apply_word(rule, word, symbols)
    if not isinstance(function, sympy.Function):  # a polynomial of numeric order
        function = apply_word(rule, partial(word, evaluate=False), symbols)
    text = re.sub(r"(?<!\^)\{\\left\(", "(", str(sympy.latex(function)).replace(" \\right)}", ")"))
    text = text.replace("\\left(", "(").replace("\\right)", ")").replace("\\middle|", " \\mid")
    return re.sub("|".join(places), lambda place: f"{{{places[place[0]]}}}", text)


def _mark_operator(template: str, mark: str) -> str:
    """Put a subscript on the operator before the first bracket, or on brackets around the whole."""
    operator, bracket, rest = template.partition("(")
    if operator and bracket and "{x}" not in operator:
        # What has a subscript already, as D_{KL}, takes no second one unless it is in braces.
        marked = f"{{{operator}}}" if re.search(r"_\S+$", operator) else operator
        return f"{marked}_{mark}({rest}"
    return f"({template})_{mark}"


def _sum(node: Expression, parts: list[TextPart]) -> TextPart:
    """Write a sum as a product with ones, on the left for the rows and on the right for the columns."""
    (operand,) = node.args
    _, axis, keepdims = node.data
    rows, columns = operand.shape[0], operand.shape[-1]
    if len(operand.shape) > 2 or operand.is_scalar:
        return f"\\mathrm{{sum}}{enclose(parts[0][0])}", ATOM
    if axis == 0 and not keepdims and not columns.is_unit and not rows.is_unit:
        return f"{_wrap(parts[0], ATOM)}^\\top {_write_ones(rows)}", PRODUCT
    left = "" if axis == 1 or rows.is_unit else f"{_write_ones(rows)}^\\top "
    right = "" if axis == 0 or columns.is_unit else f" {_write_ones(columns)}"
    return left + _wrap(parts[0], POWER if left and operand.op == "multiply" else PRODUCT) + right, PRODUCT


def _write_ones(size: object) -> str:
    return f"\\mathbf{{1}}_{{{_write_size(size)}}}"


def _where(node: Expression, parts: list[TextPart]) -> TextPart:
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




# --- einsum -------------------------------------------------------------------------------------------
#
# einsum -> a sum over entries: \left[ \sum_{j} A_{i j} B_{j k} \right]_{i k}.


def _einsum(node: Expression, parts: list[TextPart]) -> TextPart:
    """Return the entries of an einsum, in square brackets with their indices where there are any."""
    factors, summed, output = list_indexed_factors(node)
    written = dict(zip(node.args, parts, strict=True))
    body = " ".join(_write_factor(operand, written[operand], word) for operand, word in factors) or "1"
    if summed:
        body = f"\\sum_{{{' '.join(summed)}}} {body}"
    if output:
        return f"\\left[ {body} \\right]_{{{' '.join(output)}}}", POWER
    return body, SUM if summed else PRODUCT


def _write_factor(node: Expression, part: TextPart, word: str) -> str:
    """Return one operand with its indices; the unit matrix is Kronecker's delta."""
    if not word:
        return _wrap(part, POWER)
    below = f"_{{{' '.join(word)}}}"
    if node.is_filled("eye"):
        return "\\delta" + below
    if node.is_filled("ones"):
        return "\\mathbf{1}" + below
    return enclose_before_index(node, part[0]) + below


def enclose_before_index(node: Expression, latex: str) -> str:
    """Return the text of a factor to which an index is added, in brackets where it is not one plain piece."""
    # A text that ends in an index of its own would get a second one.
    is_plain = re.fullmatch(r"\w|\\[A-Za-z]+|\\\w+\{\w+\}", latex) or (latex[-1] == ")" and "_" not in latex)
    return latex if is_plain and node.op in ("symbol", "call", "abstract") else enclose(latex)


def _slice(node: Expression, parts: list[TextPart]) -> TextPart:
    """Write the range below the array: x_{1:}, counted from 0 as in the text."""
    axis, before, after = node.data
    inner = node.args[0]
    taken = _write_size(write_range(before, after, inner.shape[axis]))
    if axis and inner.op == "sliced" and inner.data[0] == 0:
        return f"{parts[0][0][:-1]},\\,{taken}}}", ATOM
    array = f"{{{parts[0][0]}}}" if parts[0][1] == ATOM else enclose(parts[0][0])
    return f"{array}_{{{':,' if axis else ''}{taken}}}", ATOM


def _pad(node: Expression, parts: list[TextPart]) -> TextPart:
    axis, before, after = node.data
    below = f"{_write_size(before)},{_write_size(after)}"
    where = "^{\\mathrm{columns}}" if axis else ""
    return f"\\operatorname{{pad}}_{{{below}}}{where}{enclose(parts[0][0])}", ATOM


def _join(node: Expression, parts: list[TextPart]) -> TextPart:
    between = " & " if node.data[0] else " \\\\ "
    return f"\\begin{{bmatrix}}{between.join(text for text, _ in parts)}\\end{{bmatrix}}", ATOM


_SPECIAL: dict[str, WriteNode] = {
    "sum": _sum, "where": _where,
    "square": lambda node, parts: _write_power(node.args[0], parts[0], "2", node.is_scalar),
    "sqrt": lambda node, parts: _write_power(node.args[0], parts[0], "1/2", node.is_scalar),
}  # fmt: skip
_WRITERS: dict[str, WriteNode] = {
    "size": _size, "filled": _filled, "multiply": _multiply, "divide": _divide, "power": _power, "matmul": _matmul,
    "transpose": _transpose, "call": _call, "einsum": _einsum, "abstract_derivative": _abstract_derivative,
    "sliced": _slice, "padded": _pad, "joined": _join,
}  # fmt: skip


# --- latex names ------------------------------------------------------------------------------------
#
# Names -> LaTeX: Greek words, subscripts, accents.


# Capitals that look like Latin ones have no command of their own.
_CAPITALS = frozenset("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split())
_ACCENTS = {"hat": "\\hat", "bar": "\\bar", "tilde": "\\tilde", "dot": "\\dot"}
_NAME = re.compile(r"([^\W\d_]+)(?:_?(\d+))?((?:_[^\W_]+)*)")


def write_name(name: str, bold: bool = False) -> str:
    r"""Return a name as LaTeX.

    >>> [write_name(name) for name in ("x", "alpha", "λ", "x1", "X_12", "x_hat", "loss", "w_max")]
    ['x', '\\alpha', '\\lambda', 'x_{1}', 'X_{12}', '\\hat{x}', '\\mathrm{loss}', 'w_{\\mathrm{max}}']
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return write_word(name)
    stem, digits, rest = match.groups()
    words = rest.split("_")[1:]
    text = _write_letter(stem)
    if bold:
        text = f"\\{'boldsymbol' if text.startswith(chr(92)) else 'mathbf'}{{{text}}}"
    if words and words[0] in _ACCENTS:
        text = f"{_ACCENTS[words.pop(0)]}{{{text}}}"
    below = ",".join(([digits] if digits else []) + [_write_letter(word) for word in words])
    return f"{text}_{{{below}}}" if below else text


_is_bold: ContextVar[bool] = ContextVar("is_bold", default=False)


@contextmanager
def bold_arrays(bold: bool) -> Iterator[None]:
    """Write the names of vectors and matrices in bold meanwhile."""
    token = _is_bold.set(bold)
    try:
        yield
    finally:
        _is_bold.reset(token)


def write_variable(name: str, is_array: bool) -> str:
    r"""Return the name of a variable, that of an array in bold where that was asked for.

    >>> with bold_arrays(True):
    ...     [write_variable(name, name != "c") for name in ("x", "x_hat", "Sigma", "c")]
    ['\\mathbf{x}', '\\hat{\\mathbf{x}}', '\\boldsymbol{\\Sigma}', 'c']
    """
    return write_name(name, bold=is_array and _is_bold.get())


def _write_letter(stem: str) -> str:
    """A letter stands as it is, a Greek word becomes its letter, another word stands upright."""
    word = _spell_greek(stem)
    if word == "omicron":
        return "o"
    if word in GREEK or word in _CAPITALS:
        return "\\" + word
    return stem if len(stem) == 1 or stem.isdigit() else write_word(stem)


def _spell_greek(stem: str) -> str:
    """Return "lambda" for λ and "Sigma" for Σ, other texts as they are."""
    spelled = unicodedata.name(stem, "").split() if len(stem) == 1 else []
    if spelled[:1] != ["GREEK"] or spelled[2:3] != ["LETTER"]:
        return stem
    word = spelled[-1].lower().replace("lamda", "lambda")
    return word.capitalize() if spelled[1] == "CAPITAL" else word


def write_word(word: str) -> str:
    """Return a word in upright letters."""
    return "\\mathrm{" + word.replace("_", "\\_") + "}"


# --- latex templates --------------------------------------------------------------------------------
#
# The `latex` of a rule, with arguments in the places of its parameters.
#
# In a template `{x}` stands for the argument x, in brackets where it would be misread: in `\log({x})` a sum
# needs none, in `{x}^\top` it does.  All else is LaTeX as it is.  So `{{x}}` is the argument in braces; where
# a command asks for braces, as in `\sqrt{x}` and `\frac{x}{y}`, those of the parameter are kept.


_OPENERS = ("(", "[", "{", ",", "|", ";")
_CLOSERS = (")", "]", "}", ",", "|", ";", "\\right")
# The commands whose argument is in braces; other commands are operators before their argument.
_MACRO = r"\\(?:[dt]?frac|sqrt|binom|(?:over|under)(?:line|set)|bar|hat|tilde|dot|wide(?:hat|tilde)|text|math\w+)"


def fill_template(template: str, arguments: Mapping[str, TextPart]) -> TextPart:
    r"""Return a template with its parameters replaced by arguments.

    >>> fill_template("{X}^{-1}", {"X": ("A + B", SUM)})
    ('(A + B)^{-1}', 7)
    """
    if any(is_tall(text) for text, _ in arguments.values()):
        template = re.sub(r"(?<!\\left)(?<!\\right)\(", r"\\left(", template)
        template = re.sub(r"(?<!\\left)(?<!\\right)\)", r"\\right)", template)
    names = "|".join(map(re.escape, arguments))
    filled = re.sub(r"\{(" + names + r")\}", lambda place: _fill_place(place, arguments), template)
    return filled, find_level(template)


def _fill_place(place: re.Match[str], arguments: Mapping[str, TextPart]) -> str:
    before, after = place.string[: place.start()], place.string[place.end() :].lstrip()
    part = arguments[place[1]]
    if re.search(_MACRO + r"$|(frac|binom|set)\{[^{}]*\}$|[\^_]$", before):
        return "{" + part[0] + "}"
    space = " " if re.search(r"\\[A-Za-z]+$", before) else ""
    return space + _bracket(part, before.rstrip(), after)


def _bracket(part: TextPart, before: str, after: str) -> str:
    """Return an argument between these texts, in brackets where it would be misread without."""
    if after.startswith("^"):
        return _wrap(part, ATOM)
    if not after.startswith(_CLOSERS) and after:
        return _wrap(part, POWER)
    if before.endswith(("+", "-")):
        return _wrap(part, ENTRYWISE)
    return part[0] if before.endswith(_OPENERS) else _wrap(part, POWER)


def find_level(template: str) -> int:
    r"""Return how tightly a filled template binds.

    >>> [find_level(text) for text in (r"\exp({x})", r"{X}^{-1}", r"{A} \otimes {B}", r"{A}^{-1} {b}")]
    [8, 7, 3, 4]
    """
    flat, before = re.sub(r"\\(left|right)(?![A-Za-z])", "", template), ""
    flat = re.sub(r"\\(\||[lr]?[vV]ert(?![A-Za-z]))", "|", flat)
    while flat != before:
        before = flat
        flat = re.sub(r"\([^(){}|]*\)|\|[^(){}|]*\|", "#", re.sub(r"\{[^(){}|]*\}", "~", flat))
    flat = re.sub(_MACRO + r"(?=~)", "", flat)
    if re.search(r"\s[+-]\s", flat):
        return SUM
    if re.search(r"\\(otimes|odot|oslash|oplus)", flat):
        return ENTRYWISE
    if re.fullmatch(r"(\w|~)\^(~|\w)", flat):
        return POWER
    closed = re.fullmatch(r"(\\[A-Za-z]+|[\w~_])*#+(_[\w~*])?|~+", flat)
    return ATOM if closed else PRODUCT


def _wrap(part: TextPart, level: int) -> str:
    return wrap(part, level, enclose)


def enclose(text: str) -> str:
    """Return the text in brackets, which grow with it where it is tall."""
    return f"\\left({text}\\right)" if is_tall(text) else f"({text})"


def is_tall(text: str) -> bool:
    """Whether a text is higher than a line, so that its brackets have to grow."""
    return any(command in text for command in ("\\frac", "\\left(", "\\sum", "\\substack", "bmatrix"))


# --- latex aligned ----------------------------------------------------------------------------------
#
# Long results in LaTeX: the definitions and the formula as lines of an `aligned` block, long sums over several.


# As many characters of plain text as fit on a line of a paper.
_WIDTH = 90

Row = tuple[str, str]  # what stands on the left and on the right of &


def to_latex_named(expression: Expression, taken: Collection[str] = (), left: str = "") -> str:
    r"""Return the LaTeX of an expression: as `to_latex` where it is short, else as an `aligned` block.

    `left` is what the expression is equal to, such as \nabla f; without it a long formula stands alone.
    Raises LimitError for what has more than 100,000 characters.

    >>> from matcalc.language.text_to_expression import parse
    >>> to_latex_named(parse("A @ x").expressions[0], left="y")
    'y = A x'
    """
    if not has_named_parts(expression, taken):
        return f"{left} = {to_latex(expression)}" if left else to_latex(expression)
    lines = [f"{before} & {after}".strip() for before, after in list_rows(expression, taken, left)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def list_rows(expression: Expression, taken: Collection[str] = (), left: str = "") -> list[Row]:
    """Return the lines of a long result, each in two parts: the definitions, then the formula."""
    named = name_parts(expression, taken)
    named_parts = [(write_variable(name, not part.is_scalar), part) for name, part in named.definitions]
    rows = [row for name, part in named_parts for row in _break_sum(name, part)]
    return rows + _break_sum(left, named.formula)


def _break_sum(left: str, expression: Expression) -> list[Row]:
    """Return the lines of left = expression: one, or a sum of which each line has what fits on it."""
    sign = "= " if left else ""
    lines: list[list[str]] = [[]]
    width = 0
    for term, latex in list_latex_terms(expression):
        length = len(to_text(term)) + 3
        if lines[-1] and width + length > _WIDTH:
            lines.append([])
            width = 0
        lines[-1].append(latex)
        width += length
    first, *others = [" ".join(line) for line in lines]
    return [(left, sign + first), *(("", "\\quad " + line) for line in others)]


# --- left latex -------------------------------------------------------------------------------------
#
# The left side of an answer in LaTeX: \frac{\partial Y}{\partial X}, and the formula of one entry.


def write_left_side(own: str, by: Sequence[str], layout: str = "") -> str:
    r"""Return the derivative of `own` by one variable after the other as a fraction; by none it is `own` itself.

    >>> print(write_left_side("f", ["x", "x", "y"]))
    \frac{\partial^{3} f}{\partial x^{2} \, \partial y}
    >>> print(write_left_side("Y", ["X"], "vec"))
    \frac{\partial \, \mathrm{vec}(Y)}{\partial \, \mathrm{vec}(X)^\top}
    """
    if layout == "vec" and by:
        earlier = write_left_side(own, by[:-1])
        last = f"\\mathrm{{vec}}({write_name(by[-1])})" if by[-1].isidentifier() else write_change(by[-1])
        above, below = (f"\\partial \\, {text}" for text in (f"\\mathrm{{vec}}({earlier})", last))
        return f"\\frac{{{above}}}{{{below}^\\top}}"
    return write_fraction(write_name(own), by, write_change)


def write_change(name: str) -> str:
    """Return what a derivative is by: a name, or vech(X)."""
    word, bracket, inner = name.partition("(")
    if not bracket:
        return write_name(name)
    transposed = "^\\top" if inner.endswith(".T)") else ""
    return f"\\mathrm{{{word}}}({write_name(inner.removesuffix(')').removesuffix('.T'))}{transposed})"


def write_fraction(above: str, by: Sequence[str], write: Callable[[str], str]) -> str:
    if not by:
        return above
    runs = [(name, len(list(run))) for name, run in groupby(by)]
    below = " \\, ".join(f"\\partial {write(name)}{_write_order(count)}" for name, count in runs)
    return f"\\frac{{\\partial{_write_order(len(by))} {above}}}{{{below}}}"


def _write_order(count: int) -> str:
    return f"^{{{count}}}" if count > 1 else ""
