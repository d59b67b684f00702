"""Judge the derivatives of SymPy's own tests of matrix and array derivatives, matcalc's answers beside SymPy's.

    python benchmarks/sympy_own_tests.py [--each]

Every expression that these tests differentiate is taken from the files that come with the installed SymPy.  The truth
is the difference quotient of what each SymPy class means in NumPy, as tests/sympy_reading.py has it: neither side is
asked.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
from rich.console import Console
from rich.table import Table
from sympy.tensor.array.expressions import ArraySymbol

sys.path.insert(0, str(Path(__file__).parents[1]))

import matcalc
from tests.sympy_reading import read_sympy_value

FILES = (
    "sympy.matrices.expressions.tests.test_derivatives",
    "sympy.tensor.array.expressions.tests.test_arrayexpr_derivatives",
)
SIZE, STEP, TOLERANCE = 3, 1e-5, 1e-6
# As an index each of them is its whole part; as a number it may be moved by a step.
PLACES = ({"i": 1.25, "j": 0.25, "m": 1.25, "n": 2.25}, {"i": 0.75, "j": 2.25, "m": 1.75, "n": 2.75})
RIGHT, WRONG, UNEVALUATED, REFUSED = VERDICTS = "right", "wrong", "no value", "refused"


@dataclass(frozen=True)
class Question:
    """One derivative of the tests: what is differentiated, by what, and what SymPy says."""

    where: str
    expr: Any
    wrt: Any
    ask_sympy: Callable[[], Any]


def list_questions(module: str) -> Iterator[Question]:
    """Yield each derivative that a file of tests takes, once for each test, as its statements are carried out.

    What is asserted in a comment only, since SymPy cannot do it yet, is asked as well.
    """
    loaded = import_module(module)
    tree = ast.parse(_COMMENTED.sub(r"\1\2", Path(str(loaded.__file__)).read_text()))
    for test in tree.body:
        if not (isinstance(test, ast.FunctionDef) and test.name.startswith("test_")):
            continue
        names, seen = dict(vars(loaded)), set()
        for statement in test.body:
            for expr, wrt, ask in _find_derivatives(statement, names):
                if (expr, wrt) not in seen:
                    seen.add((expr, wrt))
                    yield Question(f"{test.name}:{statement.lineno}", expr, wrt, ask)
            if not isinstance(statement, ast.Expr) or "diff" not in ast.unparse(statement):
                exec(compile(ast.Module([statement], []), module, "exec"), names)


_COMMENTED = re.compile(r"^( *)# *assert (\w+\.diff\(\w+\)).*$", re.MULTILINE)


def _find_derivatives(statement: ast.stmt, names: dict[str, Any]) -> Iterator[tuple[Any, Any, Callable[[], Any]]]:
    def evaluate(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "<test>", "eval"), names)

    for node in ast.walk(statement):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "diff":
            expr, wrt = evaluate(node.func.value), evaluate(node.args[0])
            yield expr, wrt, lambda expr=expr, wrt=wrt: expr.diff(wrt)  # type: ignore[misc]
        elif isinstance(node.func, ast.Name) and node.func.id == "array_derive":
            expr, wrt = map(evaluate, node.args)
            yield expr, wrt, lambda expr=expr, wrt=wrt: names["array_derive"](expr, wrt)  # type: ignore[misc]


# --- the truth ----------------------------------------------------------------------------------------


def draw_values(question: Question, places: dict[str, float], seed: int) -> dict[str, Any]:
    """Return values for all symbols: of square matrices such that their inverses exist."""
    generator = np.random.default_rng(seed)
    values: dict[str, Any] = {"k": SIZE, **places}
    for array in sorted(_list_arrays(question.expr, question.wrt), key=str):
        shape = tuple(int(sp.sympify(size).subs("k", SIZE)) for size in array.shape)
        values[str(array.name)] = generator.uniform(0.1, 0.5, shape)
        if shape == (SIZE, SIZE):
            values[str(array.name)] += np.eye(SIZE)
    return {**{"mu": 0.7}, **values}


def _list_arrays(*roots: Any) -> set[Any]:
    kinds = (sp.MatrixSymbol, ArraySymbol)
    return {part for root in roots for part in sp.preorder_traversal(root) if isinstance(part, kinds)}


def differentiate(question: Question, values: dict[str, Any]) -> Any:
    """Return the central difference quotient with the axes of the variable first, those of the function behind."""
    wrt = question.wrt
    if isinstance(wrt, sp.Symbol):
        return _quotient(question.expr, values, wrt.name, None)
    if hasattr(wrt, "parent"):
        place = tuple(int(values.get(str(at), at)) for at in wrt.args[1:])
        return _quotient(question.expr, values, wrt.parent.name, place)
    name = str(wrt.name)
    rows = [_quotient(question.expr, values, name, place) for place in np.ndindex(values[name].shape)]
    return np.array(rows).reshape(*values[name].shape, *np.shape(rows[0]))


def _quotient(expr: Any, values: dict[str, Any], name: str, place: tuple[int, ...] | None) -> Any:
    ends = []
    for step in (STEP, -STEP):
        moved = np.array(values[name], dtype=float)
        if place is None:
            moved = moved + step
        else:
            moved[place] += step
        ends.append(read_sympy_value(expr, {**values, name: moved}))
    return (ends[0] - ends[1]) / (2 * STEP)


def judge(question: Question, answer: Any, is_wrt_first: bool) -> str:
    """Return whether an answer in SymPy has the true values at all points, the axes of the variable first or last."""
    for seed, places in enumerate(PLACES):
        values = draw_values(question, places, seed)
        truth = differentiate(question, values)
        try:
            value = read_sympy_value(answer, values)
        except (AssertionError, KeyError, TypeError, ValueError):
            return UNEVALUATED
        if not is_wrt_first:
            own = np.ndim(read_sympy_value(question.expr, values))
            truth = np.moveaxis(truth, range(truth.ndim - own, truth.ndim), range(own))
        value, truth = np.squeeze(value), np.squeeze(truth)
        if value.shape != truth.shape or not np.allclose(value, truth, rtol=TOLERANCE, atol=TOLERANCE):
            return WRONG
    return RIGHT


# --- both sides ---------------------------------------------------------------------------------------


def judge_matcalc(question: Question) -> tuple[str, str]:
    """Return the verdict on our answer and what there is to say about it: the answer, or why there is none."""
    try:
        derivative = matcalc.derive(question.expr, question.wrt, layout="torch")
        answer = derivative.to_sympy()
    except matcalc.MatcalcError as error:
        return REFUSED, error.reason
    verdict = judge(question, answer, is_wrt_first=False)
    proof = derivative.check().verdict
    return (verdict if proof == "agrees" else WRONG), f"{answer}"[:200] + ("" if proof == "agrees" else f" ({proof})")


def judge_sympy(question: Question) -> tuple[str, str]:
    """Return the verdict on SymPy's own answer, and the answer."""
    try:
        answer = question.ask_sympy()
    except Exception as error:
        return UNEVALUATED, type(error).__name__
    return judge(question, answer, is_wrt_first=True), str(answer)[:200]


def main() -> int:
    """Print a table of both sides, the reasons of all refusals, and with --each a line for every derivative."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", action="store_true", help="a line for every derivative")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    console = Console(width=180, highlight=False)
    table = Table("file", "derivatives", "side", *VERDICTS)
    told: list[tuple[str, str, Question, str]] = []
    for module in FILES:
        counts = {"matcalc": Counter[str](), "SymPy": Counter[str]()}
        questions = list(list_questions(module))
        for question in questions:
            for side, ask in (("matcalc", judge_matcalc), ("SymPy", judge_sympy)):
                verdict, note = ask(question)
                counts[side][verdict] += 1
                told.append((side, verdict, question, note))
        for side, count in counts.items():
            shown = [str(count[verdict]) for verdict in VERDICTS]
            table.add_row(module.rpartition(".")[2] if side == "matcalc" else "", str(len(questions)), side, *shown)
    console.print(table)
    for side, verdict, question, note in told:
        if options.each or verdict != RIGHT:
            asked = f"d {question.expr} / d {question.wrt}"
            console.print(f"{side}: {verdict}: {asked}: {note}  [{question.where}]", markup=False)
    return any(side == "matcalc" and verdict == WRONG for side, verdict, *_ in told)


if __name__ == "__main__":
    sys.exit(main())
