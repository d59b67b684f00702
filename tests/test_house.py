"""The rules of the house that a machine can see to."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "matcalc").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "--no-cache", "."], ["mypy"]],
    ids=["ruff", "mypy"],
)
def test_tools_find_nothing(command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def test_every_file_has_a_name_that_says_something():
    assert not [path for path in SOURCES if path.stem in ("utils", "util", "helpers", "misc", "common")]


def test_a_public_name_has_one_definition():
    """Two things of one name are told apart by nobody who reads a call."""
    homes = {}
    for path in SOURCES:
        for name in list_public_names(ast.parse(path.read_text())):
            homes.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    assert not {name: sorted(places) for name, places in homes.items() if len(places) > 1}


def list_public_names(tree):
    """What a module defines at its top for others to import; what begins with _ is its own."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from [] if node.name.startswith("_") else [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            yield from (name for name in names if not name.startswith("_"))


def test_a_name_defined_twice_is_found():
    tree = ast.parse("A, _b = 1, 2\nc: int = 3\nclass D: pass\ndef _e(): f = 1")
    assert [*list_public_names(tree)] == ["A", "c", "D"]


def test_rules_are_data():
    assert not list((ROOT / "rules").rglob("*.py"))
