"""Mutants of the engine and the judge themselves: a line is changed, and the tests that belong to its file must notice.

`python -m tests.mutate matcalc/check/factors.py --count 40` prints the mutants that survive; without a file all files
of `TESTS` are taken.  `--seed` draws others.  A copy of the repository is changed, never the repository itself.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 240  # seconds that the tests of one mutant may take: an endless loop is noticed, too
COPIED = ("matcalc", "rules", "tests", "pyproject.toml", "README.md")

# Which tests belong to a file; each is an argument of pytest.  The examples in its docstrings are run first.
TESTS: dict[str, tuple[str, ...]] = {
    "matcalc/check/factors.py": ("tests/check/test_factors.py", "tests/check/test_repairs.py"),
    "matcalc/check/slips.py": ("tests/check/test_slips.py", "tests/check/test_broken_backwards.py"),
    "matcalc/check/forks.py": ("tests/check/test_forks.py",),
    "matcalc/check/repairs.py": ("tests/check/test_repairs.py",),
    "matcalc/check/explain.py": ("tests/check/test_slips.py", "tests/check/test_broken_backwards.py"),
    "matcalc/check/diagnose.py": ("tests/check/test_forks.py", "tests/check/test_claims.py"),
    "matcalc/check/terms.py": ("tests/check/test_repairs.py", "tests/check/test_claims.py"),
    "matcalc/check/compare.py": ("tests/check/test_verdict.py", "tests/check/test_claims.py"),
    "matcalc/check/conditions.py": ("tests/check/test_points.py", "tests/check/test_verdict.py"),
    "matcalc/check/points.py": ("tests/check/test_points.py", "tests/check/test_branches.py"),
    "matcalc/check/scales.py": ("tests/check/test_scales.py",),
    "matcalc/check/prove.py": ("tests/check/test_prove.py",),
    "matcalc/engine/products.py": ("tests/engine/test_products.py", "tests/test_cases.py"),
    "matcalc/engine/index_form.py": ("tests/engine/test_differentiate.py", "tests/test_cases.py"),
    "matcalc/engine/layout.py": ("tests/engine/test_layout.py",),
    "matcalc/engine/special_points.py": ("tests/test_special_points.py",),
}


@dataclass(frozen=True)
class Mutant:
    """A file with one place of its tree changed."""

    path: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"


# --- changes --------------------------------------------------------------------------------------

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def list_changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node: another comparison, operator or number, a condition turned round."""
    match node:
        case ast.Compare(left, [operator], [right]) if type(operator) in COMPARISONS:
            yield ast.Compare(left, [COMPARISONS[type(operator)]()], [right])
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(operator)](), right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            yield from values[1:]
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            yield from (ast.IfExp(test, orelse, body), body, orelse)
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)


def list_places(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run: no annotations, no decorators, and no constants of the module in capitals."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns", "decorator_list"):
                waiting += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)]


def list_mutants(path: str, text: str) -> list[Mutant]:
    """Return every file with one change in it."""
    tree = ast.parse(text)
    found = []
    for number, node in enumerate(list_places(tree)):
        for place, changed in enumerate(list_changes(node)):
            mutated = copy.deepcopy(tree)
            target = list(list_places(mutated))[number]
            new = list(list_changes(target))[place]
            Exchange(target, new).visit(mutated)
            before, after = (ast.unparse(one).splitlines()[0] for one in (node, changed))
            source = ast.unparse(ast.fix_missing_locations(mutated))
            found.append(Mutant(path, getattr(node, "lineno", 0), before, after, source))
    return found


class Exchange(ast.NodeTransformer):
    """Put one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


# --- running --------------------------------------------------------------------------------------


def copy_repository(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, folder / name)


def run_tests(folder: Path, path: str) -> bool:
    """Whether the tests of a file pass in a copy of the repository."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    module = path.removesuffix(".py").replace("/", ".")
    doctests = f"import doctest, importlib, sys; sys.exit(doctest.testmod(importlib.import_module({module!r})).failed)"
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not browser"]
    for command in (["-c", doctests], ["-m", "pytest", *options, *TESTS[path]]):
        try:
            done = subprocess.run(
                [sys.executable, *command], cwd=folder, env=environment, capture_output=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            return False
    return True


def find_survivors(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """Return the mutants, of so many drawn from the files, that the tests do not notice."""
    mutants = [mutant for path in paths for mutant in list_mutants(path, (ROOT / path).read_text(encoding="utf-8"))]
    chosen = random.Random(seed).sample(mutants, min(count, len(mutants)))
    survivors = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_repository(folder)
        for path in sorted({mutant.path for mutant in chosen}):
            if not run_tests(folder, path):
                raise SystemExit(f"the tests of {path} fail without a change")
        for number, mutant in enumerate(chosen, 1):
            whole = (folder / mutant.path).read_text(encoding="utf-8")
            (folder / mutant.path).write_text(mutant.source, encoding="utf-8")
            survives = run_tests(folder, mutant.path)
            (folder / mutant.path).write_text(whole, encoding="utf-8")
            survivors += [mutant] if survives else []
            print(f"{number:4} {'SURVIVES' if survives else 'noticed '}  {mutant}", flush=True)
    return survivors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", default=list(TESTS))
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    survivors = find_survivors(options.paths, options.count, options.seed)
    print(f"{len(survivors)} of {options.count} survive")


if __name__ == "__main__":
    main()
