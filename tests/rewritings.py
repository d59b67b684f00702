"""A formula written otherwise, with the same value: one node of it replaced by an equal one.

Each entry of the tables is an identity of the language, as a reader would use it on paper; no word of matcalc's own
simplification is used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import replace

# Functions of one argument, entry by entry or of a matrix: what f(x) is as well.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "sigmoid": ("1/(1 + exp(-({x})))", "1 - sigmoid(-({x}))", "(1 + tanh(({x})/2))/2"),
    "tanh": ("2*sigmoid(2*({x})) - 1", "(exp(2*({x})) - 1)/(exp(2*({x})) + 1)", "sinh({x})/cosh({x})"),
    "exp": ("1/exp(-({x}))", "exp(({x})/2)**2", "exp({x} - 1)*e", "cosh({x}) + sinh({x})"),
    "log": ("-log(1/({x}))", "log(2*({x})) - log(2)", "2*log(sqrt({x}))"),
    "sqrt": ("({x})**(1/2)", "sqrt(4*({x}))/2", "exp(log({x})/2)"),
    "square": ("({x})*({x})", "({x})**2"),
    "sin": ("cos(pi/2 - ({x}))", "-sin(-({x}))", "2*sin(({x})/2)*cos(({x})/2)"),
    "cos": ("sin(pi/2 - ({x}))", "1 - 2*sin(({x})/2)**2"),
    "tan": ("sin({x})/cos({x})",),
    "sinh": ("(exp({x}) - exp(-({x})))/2",),
    "cosh": ("(exp({x}) + exp(-({x})))/2",),
    "abs": ("sqrt(({x})**2)", "maximum({x}, -({x}))", "({x})*sign({x})"),
    "relu": ("maximum({x}, 0)", "(abs({x}) + {x})/2", "where({x} > 0, {x}, 0)"),
    "softplus": ("log(1 + exp({x}))", "{x} - log(sigmoid({x}))"),
    "log1p": ("log(1 + {x})",),
    "expm1": ("exp({x}) - 1",),
    "silu": ("({x})*sigmoid({x})",),
    "erf": ("-erf(-({x}))",),
    "trace": ("trace(({x}).T)", "sum(diag({x}))"),
    "det": ("det(({x}).T)", "1/det(inv({x}))"),
    "logdet": ("log(det({x}))", "-log(det(inv({x})))"),
    "inv": ("inv(({x}).T).T", "2*inv(2*({x}))", "inv({x}) @ ({x}) @ inv({x})"),
    "mean": ("sum({x})/size({x})",),
    "softmax": ("exp({x})/sum(exp({x}))",),
    "log_softmax": ("({x}) - logsumexp({x})",),
    "logsumexp": ("log(sum(exp({x})))",),
    "norm": ("sqrt(sum(({x})**2))",),
}


def write_otherwise(root: Expression, choices: random.Random) -> tuple[str, str] | None:
    """Return the name of an identity, and the root's text with a node rewritten by it; None where none applies."""
    found: dict[str, list[tuple[Expression, str]]] = {}
    for node in walk(root):
        for kind, text in list_equals(node):
            found.setdefault(kind, []).append((node, text))
    if not found:
        return None
    kind = choices.choice(sorted(found))
    node, text = choices.choice(found[kind])
    hole = symbol("Hole", node.shape)
    return kind, to_text(replace(root, {node: hole})).replace("Hole", f"({text})")


def list_equals(node: Expression) -> Iterator[tuple[str, str]]:
    """Yield the name of an identity and what a node is by it."""
    args = [f"({to_text(arg)})" for arg in node.args]
    if node.op == "number":
        yield from _list_numbers(node.data[0])
    elif node.op not in ("size", "symbol", "filled"):
        yield "scaled", f"3*({to_text(node)})/3"
        yield "split", f"0.25*({to_text(node)}) + ({to_text(node)})*3/4"
    if len(node.shape) == 2 and node.op != "number":
        yield "transposed twice", f"({to_text(node)}).T.T"
    if node.op in ("add", "subtract", "multiply", "divide", "power"):
        yield from _list_operations(node, *args)
    elif node.op == "matmul":
        yield from _list_products(node, *args)
    elif node.op == "transpose":
        yield from _list_transposes(node.args[0])
    elif node.op == "einsum":
        yield from _list_einsums(node, args)
    elif node.op == "call":
        yield from _list_calls(node, args)


def _list_numbers(value: Fraction) -> Iterator[tuple[str, str]]:
    yield "number", f"({3 * value.numerator}/{3 * value.denominator})"
    yield "number", f"({value.numerator - value.denominator}/{value.denominator} + 1)"


def _list_operations(node: Expression, a: str, b: str) -> Iterator[tuple[str, str]]:
    left, right = node.args
    if node.op == "add":
        yield from (("sum reordered", f"{b} + {a}"), ("sum", f"{a} - (-{b})"), ("factored", f"2*({a}/2 + {b}/2)"))
    if node.op == "subtract":
        yield from (("sum reordered", f"-{b} + {a}"), ("sum", f"-({b} - {a})"))
        if left.op == "number" and left.data[0] == 1 and right.op == "call" and right.data[0].function == "sigmoid":
            yield "sigmoid", f"sigmoid(-({to_text(right.args[0])}))"
    if node.op in ("add", "subtract") and left.op == right.op == "multiply" and left.args[0] is right.args[0]:
        sign, inner = "+" if node.op == "add" else "-", [f"({to_text(arg.args[1])})" for arg in node.args]
        yield "factored out", f"({to_text(left.args[0])})*({inner[0]} {sign} {inner[1]})"
    if node.op == "multiply":
        yield from (("product reordered", f"{b}*{a}"), ("signs", f"(-{a})*(-{b})"))
        yield from (("distributed", f"{a}*{c} {sign} {a}*{d}") for sign, c, d in _split_sum(right))
        yield from (("distributed", f"{c}*{b} {sign} {d}*{b}") for sign, c, d in _split_sum(left))
        if left.is_column and len(right.shape) == 2 and not right.shape[1].is_unit and left.shape[0] == right.shape[0]:
            yield "diagonal", f"diag({a}) @ {b}"
        if left.shape == right.shape and not any(size.is_unit for size in left.shape):
            letters = "abcdefgh"[: len(left.shape)]
            yield "einsum", f"einsum('{letters},{letters}->{letters}', {a}, {b})"
    if node.op == "divide":
        yield from (("quotient", f"{a}*(1/{b})"), ("quotient", f"{a}*{b}**-1"), ("quotient", f"(2*{a})/(2*{b})"))
        yield from (("distributed", f"{c}/{b} {sign} {d}/{b}") for sign, c, d in _split_sum(left))
    if node.op == "power" and right.op == "number":
        if right.data[0] == 2:
            yield "power", f"{a}*{a}"
        if right.data[0].denominator == 1:
            yield from (("power", f"{a}*{a}**({b} - 1)"), ("power", f"1/{a}**(-{b})"))
            yield "power", f"(-{a})**{b}*(-1)**{b}"


def _split_sum(node: Expression) -> Iterator[tuple[str, str, str]]:
    if node.op in ("add", "subtract"):
        yield "+" if node.op == "add" else "-", *(f"({to_text(arg)})" for arg in node.args)


def _list_products(node: Expression, a: str, b: str) -> Iterator[tuple[str, str]]:
    left, right = node.args
    yield "product transposed", f"({b}.T @ {a}.T).T"
    yield "scalar moved", f"(2*{a}) @ ({b}/2)"
    for sign, c, d in _split_sum(right):
        if right.args[0].shape == right.args[1].shape:
            yield "distributed", f"{a} @ {c} {sign} {a} @ {d}"
    for sign, c, d in _split_sum(left):
        if left.args[0].shape == left.args[1].shape:
            yield "distributed", f"{c} @ {b} {sign} {d} @ {b}"
    if left.op == "matmul":
        yield "bracketed", "({}) @ (({}) @ ({}))".format(*map(to_text, (*left.args, right)))
    if left.is_call("inv") and right.op != "number":
        yield "solve", f"solve({to_text(left.args[0])}, {b})"
    if not any(size.is_unit for size in (*left.shape, *right.shape)):
        yield "einsum", f"einsum('ab,bc->ac', {a}, {b})"
    if left.is_row and right.is_column:
        yield from (("dot", f"sum({a}.T*{b})"), ("dot", f"dot({a}.T, {b})"), ("trace", f"trace({b} @ {a})"))
    if right.is_column and not left.is_row and not left.shape[1].is_unit:
        yield "einsum", f"einsum('ab,b->a', {a}, {b})"
    if left.is_column and right.is_row:
        yield from (("outer", f"outer({a}, {b}.T)"), ("outer", f"{a}*{b}"), ("einsum", f"einsum('a,b->ab', {a}, {b})"))
    if left.is_call("diag") and left.args[0].is_column:
        yield "diagonal", f"({to_text(left.args[0])})*{b}"


def _list_transposes(inner: Expression) -> Iterator[tuple[str, str]]:
    args = [f"({to_text(arg)})" for arg in inner.args]
    if inner.op == "matmul":
        yield "product transposed", f"{args[1]}.T @ {args[0]}.T"
    if inner.op in ("add", "subtract", "multiply", "divide") and inner.args[0].shape == inner.args[1].shape:
        sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}[inner.op]
        yield "sum transposed", f"{args[0]}.T {sign} {args[1]}.T"
    if not any(size.is_unit for size in inner.shape):
        yield "einsum", f"einsum('ab->ba', {to_text(inner)})"


def _list_einsums(node: Expression, args: list[str]) -> Iterator[tuple[str, str]]:
    inputs, output = node.data[0].split("->")
    terms = inputs.split(",")
    renamed = str.maketrans("abcdefghijklmnop", "qrstuvwxyzabcdef")
    turn = ".T" if node.is_row else ""
    yield "einsum reordered", f"einsum('{','.join(terms[::-1])}->{output}', {', '.join(args[::-1])}){turn}"
    if all(letter in "abcdefghijklmnop" for letter in inputs.replace(",", "")):
        yield "einsum renamed", f"einsum('{node.data[0].translate(renamed)}', {', '.join(args)}){turn}"
    yield "einsum halved", f"einsum('{node.data[0]}', {', '.join([f'{args[0]}/2', *args[1:]])}){turn}*2"


def _list_calls(node: Expression, args: list[str]) -> Iterator[tuple[str, str]]:
    rule, axis, _ = node.data
    (first, *others) = node.args
    is_other_norm = rule.function == "norm" and rule.name not in ("norm", "norm_2", "norm_fro")
    if axis is None and not others and not is_other_norm:
        yield from ((rule.function, one.format(x=to_text(first))) for one in FUNCTIONS.get(rule.function, ()))
    if axis is None and first.op == "matmul" and not others:
        a, b = (f"({to_text(arg)})" for arg in first.args)
        is_square = first.args[0].shape[0] == first.args[0].shape[1]
        if rule.function == "trace":
            yield from (("trace cyclic", f"trace({b} @ {a})"), ("trace of a product", f"sum({a}*{b}.T)"))
        if rule.function == "inv" and is_square:
            yield "inverse of a product", f"inv({b}) @ inv({a})"
        if rule.function == "det" and is_square:
            yield "det of a product", f"det({b})*det({a})"
    if rule.function == "sum" and axis is None and len(first.shape) == 2:
        rows, columns = first.shape
        yield "ones", f"ones({rows}).T @ {args[0]}" + ("" if columns.is_unit else f" @ ones({columns})")
    if rule.function == "solve":
        yield "solve", f"inv({args[0]}) @ {args[1]}"
    if rule.function == "outer":
        yield "outer", f"{args[0]} @ {args[1]}.T"
