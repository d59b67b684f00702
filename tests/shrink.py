"""Make a failing problem small: replace parts of its text by smaller ones while it fails in the same way."""

from __future__ import annotations

import ast
import copy
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from matcalc import MatcalcError
from matcalc.language.text_to_expression import parse
from tests.random_problems import Case


def shrink(case: Case, fails: Callable[[Case], bool], patience: int = 300, seconds: float = 60) -> Case:
    """Return a smaller case for which `fails` still holds; tries at most `patience` candidates, for so long."""
    improved, end = True, time.monotonic() + seconds
    while improved:
        improved = False
        for candidate in _list_smaller(case):
            patience -= 1
            if patience <= 0 or time.monotonic() > end:
                return case
            if _is_valid(candidate) and fails(candidate):
                case, improved = candidate, True
                break
    return case


def _is_valid(case: Case) -> bool:
    try:
        parse(case.expr, wrt=case.wrt, shapes=case.shapes, assume=case.assume)
    except MatcalcError:
        return False
    return True


def _list_smaller(case: Case) -> Iterator[Case]:
    if case.order > 1:
        yield replace(case, order=1)
    if case.layout != "numerator":
        yield replace(case, layout="numerator")
    for name in case.assume:
        yield replace(case, assume={other: word for other, word in case.assume.items() if other != name})
    texts = {_tidy(text) for text in _list_smaller_texts(case.expr, list(case.shapes))}
    for text in sorted(texts, key=lambda text: (len(text), text)):
        if len(text) < len(case.expr):
            used = {name: shape for name, shape in case.shapes.items()
                    if name == case.wrt or re.search(rf"\b{name}\b", text)}  # fmt: skip
            yield replace(case, expr=text, shapes=used, assume={n: w for n, w in case.assume.items() if n in used})


def _list_smaller_texts(text: str, names: list[str]) -> Iterator[str]:
    """Every text in which one part is replaced by a part of itself, by a variable or by 1."""
    tree = ast.parse(text, mode="eval")
    parts = _list_parts(tree)
    for place, part in enumerate(parts):
        below = [node for node in ast.walk(part) if isinstance(node, ast.expr) and node is not part]
        for other in [*below, *(ast.Name(name, ast.Load()) for name in names), ast.Constant(1)]:
            changed = copy.deepcopy(tree)
            target = _list_parts(changed)[place]
            try:
                yield ast.unparse(_Replace(target, other).visit(changed))
            except (ValueError, AttributeError):
                continue


def _list_parts(tree: ast.AST) -> list[ast.expr]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.expr) and not isinstance(node, ast.Constant)]


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.expr, other: ast.expr) -> None:
        self.target, self.other = target, other

    def visit(self, node: ast.AST) -> ast.AST:
        return self.other if node is self.target else super().visit(node)


def _tidy(text: str) -> str:
    return text.replace(" ** ", "**").replace(" * ", "*").replace(" / ", "/")
