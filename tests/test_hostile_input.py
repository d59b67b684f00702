"""What strangers send: paths, sheets, journals, names and streams that would break a program or deceive its reader."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import matcalc
from matcalc.cli import main
from matcalc.errors import DeclarationError, MatcalcError, escape_hidden
from matcalc.verify.journal import HEADER, Journal
from matcalc.verify.read_sheet import read_sheet

SHEET = "id,expr,wrt\na,sin(x),x\n"
FINDING = {"report": {"verdict": "agrees"}}


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.csv"
    path.write_text(SHEET, encoding="utf-8")
    return path


# --- paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "a\0b.csv"],
        ["verify", "s.csv", "--journal", "a\0b"],
        ["verify", "s.csv", "--junit", "a\0b"],
        ["verify", "s.csv", "--rules", "a\0b"],
        ["derive", "sin(x)", "--rules", "a\0b"],
    ],
)
def test_a_path_with_a_hidden_character(sheet: Path, capsys: Any, arguments: list[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "internal" not in said
    assert r"a\x00b" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["--journal", "s.csv"],
        ["--junit", "s.csv"],
        ["--junit", "./s.csv"],
        ["--journal", "new", "--junit", "new"],
        ["--rules", "r.toml", "--junit", "r.toml"],
    ],
)
def test_a_file_of_the_reader_is_not_written_over(sheet: Path, capsys: Any, arguments: list[str]) -> None:
    assert main(["verify", "s.csv", *arguments]) == 2
    assert "would write over" in capsys.readouterr().err
    assert sheet.read_text(encoding="utf-8") == SHEET


# --- sheets --------------------------------------------------------------------------------------------------

SHEETS = [
    ("deep.toml", "a = " + "[" * 50_000 + "]" * 50_000),
    ("digits.toml", f'[[case]]\nid = {"9" * 5000}\nexpr = "sin(x)"'),
    ("order.toml", f'[[case]]\norder = {"9" * 5000}\nexpr = "sin(x)"'),
    ("expr.toml", f"[[case]]\nexpr = [0x{'f' * 5000}]"),
    ("deep.jsonl", '{"expr": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    ("digits.jsonl", f'{{"id": {"9" * 5000}, "expr": "sin(x)"}}'),
]


@pytest.mark.parametrize(("name", "text"), SHEETS, ids=[name for name, _ in SHEETS])
def test_a_sheet_of_absurd_values_is_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeclarationError) as refused:
        read_sheet(path)
    assert len(str(refused.value)) < 600


def test_an_id_of_thousands_of_digits_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'[[case]]\nid = 0x{"f" * 5000}\nexpr = "sin(x)"', encoding="utf-8")
    (entry,) = read_sheet(path)
    assert entry.id == "0x" + "f" * 198


def test_hidden_characters_of_an_id_do_not_reach_the_terminal(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.jsonl").write_text(json.dumps({"id": "evil\x1b[2J\u202e", "expr": "sin(x"}), encoding="utf-8")
    main(["verify", "s.jsonl"])
    shown = capsys.readouterr()
    assert r"evil\x1b[2J\u202e" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert "\u202e" not in shown.out + shown.err


def test_an_error_shows_hidden_characters_by_their_numbers() -> None:
    with pytest.raises(MatcalcError) as refused:
        matcalc.derive("sin(x\x1b[31m)")
    assert "\x1b" not in str(refused.value)
    error = MatcalcError("bad", span=(2, 3)).complete("a \u202e b", {})
    assert str(error).splitlines() == ["bad", r"  a \u202e b", "    ^^^^^^"]
    assert escape_hidden("a\nβ é") == "a\nβ é"


# --- journals ------------------------------------------------------------------------------------------------


def write_journal(path: Path) -> Journal:
    journal = Journal(path)
    journal.add("key", FINDING)
    journal.close()
    assert journal.read() == {"key": FINDING}
    return journal


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b"agrees", b"differs"),
        lambda line: line.replace(b"agrees", b"splendid"),
        lambda line: line.replace(b'"key"', b'"yek"'),
        lambda line: line[:-20] + b"0" + line[-19:],
        lambda line: b"[1, 2]\n",
        lambda line: b"[" * 100_000 + b"\n",
    ],
)
def test_what_was_changed_in_a_journal_is_not_believed(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    journal = write_journal(tmp_path / "j")
    line = journal.path.read_bytes().removeprefix(HEADER)
    assert change(line) != line
    journal.path.write_bytes(HEADER + change(line))
    assert journal.read() == {}


def test_a_verdict_that_there_is_not_is_not_believed_with_its_sum(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.add("key", {"report": {"verdict": "splendid"}})
    journal.close()
    assert journal.read() == {}


# --- stdout --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["derive 'sin(x)'", "verify s.csv", "rules"])
@pytest.mark.parametrize(("where", "said"), [(">/dev/full", "cannot be written"), (">&-", "stdout is closed")])
def test_an_answer_that_cannot_be_written(sheet: Path, command: str, where: str, said: str) -> None:
    line = f"{sys.executable} -m matcalc {command} {where}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "internal" not in done.stderr
    assert "Traceback" not in done.stderr


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["\u0410", "\u0391"])
def test_a_letter_that_looks_like_another_is_told(letter: str) -> None:
    notes = matcalc.derive(f"A @ x + {letter} @ x", "x").notes
    assert any(f"U+{ord(letter):04X}, which is not the Latin A" in note for note in notes)


@pytest.mark.parametrize("word", ["class", "None", "True"])
def test_a_word_of_python_is_no_name_anywhere(word: str) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: matcalc.derive(f"{word}*x", "x"),
        lambda: matcalc.derive("c*x", "x", shapes={word: ()}),
        lambda: matcalc.derive("c*x", "x", shapes=f"{word}: scalar"),
        lambda: matcalc.derive("c*x", word),
        lambda: matcalc.derive("c*x", "x", assume={word: "positive"}),
        lambda: matcalc.derive(f"{word} = 3; {word}*x", "x"),
    ]
    for ask in asked:
        with pytest.raises(MatcalcError):
            ask()


def test_lambda_is_a_name_everywhere() -> None:
    assert str(matcalc.derive("lambda*x", "x", shapes={"lambda": ()}, assume={"lambda": "positive"})) == "lambda*eye(n)"
    assert str(matcalc.derive("lambda*x", "lambda", shapes="lambda: scalar")) == "x"
    assert str(matcalc.derive("lambda = 3; lambda*x", "x")) == "3*eye(n)"
    assert matcalc.check("lambda*x", "lambda*eye(n)", "x")
