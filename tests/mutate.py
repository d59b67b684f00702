"""Mutants of the engine and the judge themselves: a line is changed, and the tests that run it must notice.

`python -m tests.mutate matcalc/check/factors.py --count 40` prints the mutants that survive; a place such as
`matcalc/check/points.py:227` takes those of one line, and without any the engine and the judge are taken.  `--seed`
draws others.  Which tests run which functions is measured once, and kept in the file that `--map` names.  A copy of
the repository is changed, never the repository itself.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PATIENCE = 90  # seconds that the tests of one mutant may take beside what they take without it: an endless loop ends
LONGEST_WAIT = 10  # times the patience, where other processes have the machine, or a test sleeps
MOST_TESTS, MOST_SECONDS = 400, 60.0  # the quickest tests that run a function, as long as this takes
COPIED = ("matcalc", "rules", "tests", "docs", "pyproject.toml", "README.md")
MUTATED = ("matcalc/engine", "matcalc/check")  # where no file is named
OWN_TESTS = (
    "tests/check", "tests/engine", "tests/rules", "tests/test_cases.py", "tests/test_derivation.py",
    "tests/render/test_steps.py", "tests/test_docstrings.py", "tests/test_several_variables.py", "tests/test_sheet.py",
    "tests/test_special_points.py", "tests/test_structured.py", "tests/test_sympy_objects.py",
)  # fmt: skip

# Mutants that change nothing anybody could see, and why: the file, the line as it stands, the change.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "matcalc/engine/products.py",
        "closed = [group for group in groups if group[0][1] and "
        "out.isdisjoint(at for _, axes in group for at in axes)]",
        "group[0][1] and out.isdisjoint((at for _, axes in group for at in axes)) -> "
        "out.isdisjoint((at for _, axes in group for at in axes))",
    ): "a factor without axes is a product by itself, which is the factor",
    (
        "matcalc/engine/products.py",
        "if not closed or (len(groups) == 1 and self.coefficient == 1):",
        "not closed or (len(groups) == 1 and self.coefficient == 1) -> len(groups) == 1 and self.coefficient == 1",
    ): "where nothing is closed the factors are the same ones, and their powers are collected already",
    (
        "matcalc/engine/products.py", "places[label].append((k, 0 if node.symmetric else position))", "0 -> 1",
    ): "all places of a symmetric factor get the same number, whichever it is",
    (
        "matcalc/engine/products.py",
        "self.factors.append((self.graph.delta(node.shape[0]), (labels[1 - position], labels2[1 - position])))",
        "0 -> 1",
    ): "an orthogonal matrix is square",
    (
        "matcalc/engine/products.py", "if len(node.shape) != 2 or node.shape[0] != node.shape[1]:", "0 -> 1",
    ): "what is not square is not its transpose, which would only be written to see it",
    (
        "matcalc/engine/simplify.py",
        "expanded = [(c, graph.product(1, factors, range(rank)), range(rank)) for c, factors in "
        "_expand(graph, parts, k)]",
        "1 -> 2",
    ): "the weight and the number of terms do not depend on a number in front of all",
    (
        "matcalc/engine/scalar_algebra.py", "return len({number > 0 for number in factor.coeffs()}) == 2",
        "number > 0 -> number >= 0",
    ): "no coefficient of a polynomial is 0",
    (
        "matcalc/language/sizes.py", "rows = (math.isqrt(8 * number + 1) - 1) // 2", "1 -> 2",
    ): "the root of 8*n + 1, which is odd where n fits, is rounded down",
    (
        "matcalc/check/exact_field.py", "if not total or (total.is_ground and total.LC < 0):",
        "total.LC < 0 -> total.LC <= 0",
    ): "the leading coefficient of what is not 0 is not 0",
    (
        "matcalc/check/exact_field.py", "if exponent > 1 and len(self.shorten(base)) == 1:",
        "exponent > 1 -> exponent >= 1",
    ): "a long sum and the name that is given to it are equal",
    (
        "matcalc/check/explain.py", "return [form for form in forms if _count(form) <= LONGEST_FORMULA]",
        "_count(form) <= LONGEST_FORMULA -> _count(form) < LONGEST_FORMULA",
    ): "a limit of effort, which may as well be one less",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with one place of its tree changed."""

    path: str
    line: int
    text: str
    before: str
    after: str
    function: int
    number: int
    place: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"

    @property
    def reason(self) -> str | None:
        """Why it is none, where that is known."""
        return EQUIVALENT.get((self.path, self.text, f"{self.before} -> {self.after}"))


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


def list_places(tree: ast.Module) -> Iterator[tuple[ast.AST, int]]:
    """Yield the nodes that run, each with the first line of the function it is in: no annotations, no decorators.

    And no strict=True, which asserts what nobody would see otherwise.
    """
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    while waiting:
        node, function = waiting.pop()
        yield node, function
        if isinstance(node, ast.FunctionDef):
            function = min(node.lineno, *(one.lineno for one in node.decorator_list), node.lineno)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                below = value if isinstance(value, list) else [value]
                waiting += [(one, function) for one in below if isinstance(one, ast.AST) and not _is_strict(one)]


def _is_strict(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg == "strict"


def list_mutants(path: str, line: int | None = None) -> list[Mutant]:
    """Return every mutant of a file, or of one line of it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    found = []
    for number, (node, function) in enumerate(list_places(ast.parse(text))):
        at = getattr(node, "lineno", 0)
        for place, changed in enumerate(list_changes(node) if line in (None, at) else ()):
            before, after = (ast.unparse(one).splitlines()[0] for one in (node, changed))
            found.append(Mutant(path, at, lines[at - 1].strip(), before, after, function, number, place))
    return found


def write_mutant(mutant: Mutant, text: str) -> str:
    """Return the whole text of its file with the change."""
    tree = ast.parse(text)
    target = [node for node, _ in list_places(tree)][mutant.number]
    new = copy.deepcopy(list(list_changes(target))[mutant.place])
    return ast.unparse(ast.fix_missing_locations(Exchange(target, new).visit(tree)))


class Exchange(ast.NodeTransformer):
    """Put one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


# --- which tests run what ---------------------------------------------------------------------------


@dataclass
class TestMap:
    """Seconds of each test that passes, and the functions that each runs, as "path:first line"."""

    __test__ = False
    seconds: dict[str, float] = field(default_factory=dict)
    runs: dict[str, list[str]] = field(default_factory=dict)

    def choose(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the mutant's function, the quickest first, as many as there is time for."""
        own = f"{mutant.path}:{mutant.function or ''}"  # what stands outside of functions belongs to all of the file
        names = [own] if mutant.function else [name for name in self.runs if name.startswith(own)]
        tests = {test for name in names for test in self.runs.get(name, ())}
        # What the first test of a case derives, its other tests find in a cache.
        cases = {_find_case(test) for test in tests} - {None}
        tests |= {test for test in self.seconds if _find_case(test) in cases}
        chosen, left = [], MOST_SECONDS
        for test in sorted(tests, key=self.seconds.__getitem__)[:MOST_TESTS]:
            left -= self.seconds[test]
            if left < 0 and chosen:
                break
            chosen.append(test)
        return chosen


def _find_case(test: str) -> tuple[str, str] | None:
    """The file and the case of a test that is one of several of a case: its parameters, which stand in brackets."""
    path, _, name = test.partition("::")
    return (path, name.partition("[")[2]) if "[" in name else None


class Recorder:
    """A plugin of pytest that writes a TestMap."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.prefix, self.output, self.found = f"{folder}/", output, TestMap()
        self.codes: dict[CodeType, str] = {}
        self.seen: set[CodeType] = set()

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        self.seen.add(frame.f_code)

    def _name(self, code: CodeType) -> str:
        if code not in self.codes:
            path = code.co_filename.removeprefix(self.prefix)
            self.codes[code] = f"{path}:{code.co_firstlineno}" if path.startswith("matcalc/") else ""
        return self.codes[code]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.seen.clear()
        started = time.process_time()
        sys.settrace(self._see)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.found.seconds[item.nodeid] = time.process_time() - started
            for name in sorted({self._name(code) for code in self.seen} - {""}):
                self.found.runs.setdefault(name, []).append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            raise SystemExit(f"{report.nodeid} fails without a change: {report.longreprtext}")

    def pytest_sessionfinish(self) -> None:
        self.output.write_text(json.dumps(vars(self.found)), encoding="utf-8")


class Chosen:
    """A plugin of pytest that keeps some tests, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self.places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.places), key=lambda item: self.places[item.nodeid]
        )


# --- running --------------------------------------------------------------------------------------


def copy_repository(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, folder / name)


def run_tests(folder: Path, tests: list[str], plugin: object, patience: float) -> int | None:
    """Return pytest's exit status in a copy of the repository, None where the patience ends, in seconds of its own.

    The process is a fork of this one, which has imported torch and SymPy, and nothing of matcalc.
    """
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(patience), math.ceil(patience)))
        _become(folder, lambda: pytest.main([*OPTIONS, *dict.fromkeys(tests)], plugins=[plugin]))
    end = time.monotonic() + LONGEST_WAIT * patience
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


OPTIONS = (
    "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not browser", "--sample-seed", "0",
)  # fmt: skip


def _become(folder: Path, run: Callable[[], int]) -> None:
    """Run in the folder as if this process had been started there, and end; what is printed goes to a file."""
    status = 3
    try:
        os.chdir(folder)
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["PYTHONPATH"] = str(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "matcalc")]:
            del sys.modules[name]
        status = run()
    finally:
        sys.stdout.flush()
        os._exit(int(status))


def measure_tests(folder: Path, tests: tuple[str, ...], output: Path) -> TestMap:
    """Return which tests run what, measured where the file does not tell."""
    if not output.exists():
        status = run_tests(folder, list(tests), Recorder(folder, output), 3600)
        if status or not output.exists():
            raise SystemExit(f"the tests fail without a change:\n{(folder / 'output.txt').read_text()[-3000:]}")
    return TestMap(**json.loads(output.read_text(encoding="utf-8")))


def survives(folder: Path, mutant: Mutant, tests: list[str], seconds: float) -> bool:
    """Whether no test notices a mutant; one that ends the process, or never ends, is noticed."""
    target = folder / mutant.path
    whole = target.read_text(encoding="utf-8")
    target.write_text(write_mutant(mutant, whole), encoding="utf-8")
    try:
        files = [test.partition("::")[0] for test in tests]
        return not tests or run_tests(folder, files, Chosen(tests), PATIENCE + seconds) == pytest.ExitCode.OK
    finally:
        target.write_text(whole, encoding="utf-8")


def find_survivors(mutants: list[Mutant], tests: tuple[str, ...], known: Path | None) -> list[Mutant]:
    """Return the mutants that the tests do not notice, those left out that are known to change nothing."""
    survivors = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "copy"
        folder.mkdir()
        copy_repository(folder)
        found = measure_tests(folder, tests, known or Path(temporary) / "map.json")
        for number, mutant in enumerate(mutants, 1):
            chosen, started = found.choose(mutant), time.perf_counter()
            alive = survives(folder, mutant, chosen, sum(found.seconds[test] for test in chosen))
            word = ("SURVIVES" if mutant.reason is None else "the same") if alive else "noticed "
            survivors += [mutant] if alive and mutant.reason is None else []
            cost = f"{len(chosen)} tests, {time.perf_counter() - started:.0f} s"
            print(f"{number:4} {word}  {mutant}  ({cost})", flush=True)
    return survivors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", help="a file, or a line of one as FILE:LINE; the engine and the judge")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--map", type=Path, help="file with what was measured before, written where it is missing")
    parser.add_argument("--tests", nargs="+", default=OWN_TESTS, help="the tests that may notice a mutant")
    options = parser.parse_args()
    files = sorted(path.relative_to(ROOT).as_posix() for folder in MUTATED for path in (ROOT / folder).rglob("*.py"))
    places = [place.partition(":") for place in options.places or files]
    mutants = [mutant for path, _, line in places for mutant in list_mutants(path, int(line) if line else None)]
    chosen = random.Random(options.seed).sample(mutants, min(options.count, len(mutants)))
    survivors = find_survivors(chosen, tuple(options.tests), options.map)
    print(*survivors, f"{len(survivors)} of {len(chosen)} survive", sep="\n")


if __name__ == "__main__":
    for name in ("numpy", "sympy", "torch"):  # what every fork needs; nothing of matcalc
        importlib.import_module(name)
    main()
