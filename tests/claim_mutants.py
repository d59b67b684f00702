"""Closed forms with one mistake in them, and whether a mistake is one: decided by our own reader, not by the judge."""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor

from matcalc import MatcalcError
from matcalc.check.report import CheckReport
from matcalc.check.verdict import judge
from matcalc.inputs import declared_shapes
from matcalc.language.text_to_expression import Problem, parse
from tests.read_cases import Case, read_text
from tests.torch_words import WORDS, drop, hold

BOTH = ("numerator", "denominator")
FURTHER_SEEDS = range(100, 110)
SAME, DIFFERENT = 1e-11, 1e-7
REMAINDER = 1e-9


@dataclass(frozen=True)
class Mutant:
    """A closed form of a case, and the same with one mistake."""

    case: Case
    layout: str
    kind: str
    truth: str
    text: str

    def __str__(self) -> str:
        return f"{self.case.id}-{self.layout}: {self.text}"


# --- mistakes ------------------------------------------------------------------------------------------------


def list_changes(node: ast.expr, is_term: bool) -> Iterator[tuple[str, ast.expr]]:
    """What a slip of the pen may make of one node: its sign, its number, its transpose, a factor forgotten."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
            yield "sign", ast.BinOp(left, ast.Sub() if isinstance(sign, ast.Add) else ast.Add(), right)
        case ast.BinOp(left, ast.Mult() | ast.MatMult(), right):
            yield from (("factor dropped", left), ("factor dropped", right))
        case ast.BinOp(left, ast.Div(), _):
            yield "factor dropped", left
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.Constant(int() | float() as value):
            yield from (("number", ast.Constant(value + 1)), ("number", ast.Constant(2 * value)))
        case ast.Attribute(value, "T"):
            yield "transpose", value
    if is_term and not isinstance(node, ast.UnaryOp):
        yield "sign", ast.UnaryOp(ast.USub(), node)
    if not isinstance(node, ast.Constant | ast.Attribute):
        yield "transpose", ast.Attribute(node, "T")


def change_once(node: ast.expr, is_term: bool = True) -> Iterator[tuple[str, ast.expr]]:
    """Every tree with one change, in this node or below it; names of functions and texts stay."""
    yield from list_changes(node, is_term)
    for holder, name, place in list_operands(node):
        child = getattr(holder, name) if place is None else getattr(holder, name)[place]
        for kind, changed in change_once(child, not isinstance(node, ast.BinOp) or is_sum(node)):
            whole = copy.copy(node)
            if place is None:
                setattr(whole, name, changed)
            else:
                setattr(whole, name, [*getattr(node, name)[:place], changed, *getattr(node, name)[place + 1 :]])
            yield kind, whole


def list_operands(node: ast.expr) -> list[tuple[ast.expr, str, int | None]]:
    """Where the operands of a node stand: the node, the field, and the place in it where it is a list."""
    if isinstance(node, ast.Call):
        texts = [isinstance(arg, ast.Constant) and isinstance(arg.value, str) for arg in node.args]
        return [(node, "args", place) for place, is_text in enumerate(texts) if not is_text]
    fields = {ast.BinOp: ("left", "right"), ast.UnaryOp: ("operand",), ast.Attribute: ("value",)}
    return [(node, name, None) for name in fields.get(type(node), ())]


def is_sum(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Add | ast.Sub)


def mutate(text: str) -> dict[str, str]:
    """Every text with one mistake, each once, and the kind of the mistake."""
    found = {ast.unparse(tree): kind for kind, tree in change_once(ast.parse(text, mode="eval").body)}
    found.pop(ast.unparse(ast.parse(text)), None)
    return found


def list_mutants(case: Case) -> Iterator[Mutant]:
    """Every mutant of a case's closed forms that the language reads; a mutant that does not fit says nothing."""
    for layout in BOTH:
        truth = case.closed_form(layout)
        for text, kind in mutate(truth).items() if truth else ():
            mutant = Mutant(case, layout, kind, truth, text)
            if read_mutant(mutant) is not None:
                yield mutant


def read_mutant(mutant: Mutant) -> Problem | None:
    """The expression and the mutant as the language reads them; None where it does not, or the shapes do not fit."""
    try:
        return read_claim(mutant.case, mutant.text)
    except MatcalcError:
        return None


def read_claim(case: Case, text: str) -> Problem:
    """The expression and a text, the shapes of the expression's variables being given, as a claim is read."""
    alone = parse(case.expr, wrt=case.wrt, shapes=case.shapes, assume=case.domain)
    shapes = {**case.shapes, **declared_shapes(alone.symbols), **alone.abstract}
    return parse([case.expr, text], wrt=case.wrt, shapes=shapes, assume=case.domain)


def judge_text(case: Case, layout: str, text: str, seed: int = 0) -> CheckReport:
    """What the judge says of a text as the derivative of a case."""
    problem = read_claim(case, text)
    assert problem.wrt is not None
    return judge(*problem.expressions, problem.wrt, layout=layout, order=case.order, seed=seed)


# --- what is in truth equal ------------------------------------------------------------------------------------


def multiply(left: Any, right: Any) -> Tensor:
    """left @ right as the language has it: numbers scale, two columns give their dot product."""
    left, right = hold(left), hold(right)
    if 1 in (left.numel(), right.numel()):
        return left * right
    return left.mT @ right if left.shape == right.shape and left.shape[1] == 1 else left @ right


def hold_first(word: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda first, *rest, **options: word(hold(first), *rest, **options)


# A slip may transpose a number, or put one in the place of an array: our reader's words expect arrays.
OF_SIZES = ("eye", "ones", "zeros", "fuse", "commutation", "duplication", "einsum", "basis")
LENIENT: dict[str, Any] = {
    **{name: hold_first(word) for name, word in WORDS.items() if callable(word) and name not in OF_SIZES},
    "transpose": lambda x: hold(x).mT,
    "multiply": multiply,
    "dot": lambda x, y: (hold(x).reshape(-1) * hold(y).reshape(-1)).sum().reshape(1, 1),
    "outer": lambda x, y: hold(x).reshape(-1, 1) @ hold(y).reshape(1, -1),
}


class CallByName(ast.NodeTransformer):
    """Write transpose(x) for x.T and multiply(x, y) for x @ y."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Call(ast.Name("transpose", ast.Load()), [self.visit(node.value)], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.MatMult):
            return ast.Call(ast.Name("multiply", ast.Load()), [left, right], [])
        return ast.BinOp(left, node.op, right)


def read_value(case: Case, text: str, seed: int) -> Tensor:
    """The value of a text at the case's point, by the tests' own reader."""
    tree = CallByName().visit(ast.parse(text, mode="eval"))
    return drop(read_text(case, ast.unparse(tree), seed, **LENIENT)).detach()


read_truth = cache(read_value)


def compare_with_truth(mutant: Mutant) -> str:
    """Say what the mutant is in truth at ten further points: equal, different, of another shape, undefined, ..."""
    errors = [measure_error(mutant, seed) for seed in FURTHER_SEEDS]
    known = [error for error in errors if not math.isnan(error)]
    if not known:
        return "undefined"
    if math.inf in known:
        return "of another shape"
    return "equal" if max(known) <= SAME else "different" if max(known) >= DIFFERENT else "unclear"


def measure_error(mutant: Mutant, seed: int) -> float:
    """The largest error at a point, relative to the largest true entry; infinite for another shape, or nan."""
    truth = read_truth(mutant.case, mutant.truth, seed)
    try:
        value = read_value(mutant.case, mutant.text, seed)
    except RuntimeError:
        return float("nan")
    if value.shape != truth.shape:
        return float("inf")
    return float((value - truth).abs().max()) / max(float(truth.abs().max()), REMAINDER)

