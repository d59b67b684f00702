"""What the README shows is what happens: every command, every Python example, every rule, every path."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matcalc.rule_files import read_rules

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "rules/README.md", "benchmarks/README.md")]
README = PAGES[0].read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ERROR_SIZE = re.compile(r"\b(?:\d(?:\.\d+)?e[+-]\d+|0\.0)\b")  # the last digits of a proof differ between machines
OWN_COMMAND = (
    f'matcalc() {{ {sys.executable} -m matcalc "$@"; }}\n'
    f'torchrun() {{ {sys.executable} -m torch.distributed.run --standalone "$@"; }}\n'
)


def find_blocks(language: str, text: str = README) -> list[str]:
    return [block for name, block in FENCE.findall(text) if name == language]


def split_session(block: str) -> list[tuple[str, str]]:
    """Return (command, what it prints) for each "$ " line of a console block."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [tuple(part.split("\n", 1)) for part in parts]


SESSIONS = [step for block in find_blocks("console") for step in split_session(block)]


@pytest.fixture
def folder(tmp_path):
    """An empty folder with the README's rules file and its sheet in it."""
    (tmp_path / "my.toml").write_text("\n".join(find_blocks("toml")))
    (tmp_path / "formulas.csv").write_text("\n".join(find_blocks("csv")))
    return tmp_path


def make_plain(text: str) -> str:
    """Return the text without what may differ: the size of a rounding error, blanks at the end of lines."""
    return "\n".join(line.rstrip() for line in ERROR_SIZE.sub("<error>", text).strip().splitlines())


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_commands_print_what_is_shown(command, shown, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        ["bash", "-c", OWN_COMMAND + command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert make_plain(done.stdout + done.stderr) == make_plain(shown)


class AboutEqual(doctest.OutputChecker):
    """Compares as the commands are compared."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(make_plain(want) + "\n", make_plain(got) + "\n", optionflags)


@pytest.mark.parametrize("number", range(len(find_blocks("python"))))
def test_python_examples_print_what_is_shown(number, folder, monkeypatch):
    monkeypatch.chdir(folder)
    example = doctest.DocTestParser().get_doctest(find_blocks("python")[number], {}, f"block {number}", "README.md", 0)
    assert example.examples, "write Python examples with >>>, so that they are tested"
    said: list[str] = []
    result = doctest.DocTestRunner(AboutEqual(), optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_rules_shown_can_be_read(page, tmp_path):
    for block in find_blocks("toml", page.read_text()):
        (tmp_path / "shown.toml").write_text(block)
        assert read_rules(tmp_path / "shown.toml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_named_exist(page):
    named = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert not [path for path in named if not (page.parent / path).exists()]


def test_two_commands_set_everything_up():
    """.ci/run takes these two lines from here and runs them, each in a copy of the tree."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith('matcalc derive "A@x" --layout numerator')
    assert commands[1].endswith("python -m pytest -n auto")
    assert all("-c constraints.txt" in command for command in commands)
