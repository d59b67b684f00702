"""The command line as people type it: a command that is left out, options of one letter, layouts in short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matcalc.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["A@x"], "numerator layout, shape (m, n)"),
        (["A@x", "--layout", "num"], "numerator layout, shape (m, n)"),
        (["A@x", "--layout", "denom"], "denominator layout, shape (n, m)"),
        (["derive", "A@x", "--layout", "Denominator"], "denominator layout, shape (n, m)"),
        (["A@x", "-l", "denom", "-w", "A", "-v", "A: p,q"], "denominator layout, shape (p, q, p)"),
        (["d(A@x)/dx"], "read as  A @ x"),
        (["derive", "-x"], "y = -x"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_people_type_is_understood(capsys, arguments, shown):
    assert main([*arguments, "--no-check"]) == 0
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["derv", "A@x"], "did you mean matcalc derive 'A@x'"),
        (["chek", "A@x", "--claim", "A"], "did you mean matcalc check 'A@x' --claim A"),
        (["integrate", "x"], "use one of derive, check"),
        (["derive", "A@x", "--wtr", "x"], "did you mean --wrt?"),
        (["derive", "A@x", "--layout", "sideways"], "use one of numerator"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_is_misspelled_is_answered_with_what_was_meant(capsys, arguments, advice):
    assert main(arguments) == 2
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("text", ["x 'y z", "3a_1b", "A' @", "x''", "0x", "07*x", "2x)", "'", "f'{x}'", "1e5x", "0b12"])
def test_no_phrase_of_python_reaches_the_reader(capsys, text):
    main(["derive", text, "--no-check"])
    told = capsys.readouterr().err
    for phrase in ("literal", "token", "syntax", "EOF", "parenthes", "f-string"):
        assert phrase not in told, told


def test_the_shell_completes_commands_options_and_layouts(tmp_path):
    pytest.importorskip("argcomplete")
    for line, offered in {
        "matcalc de": "derive", "matcalc derive A@x --lay": "--layout", "matcalc derive A@x --layout d": "denominator",
    }.items():  # fmt: skip
        answer = tmp_path / "answer"
        environment = os.environ | {
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "COMP_LINE": line, "COMP_POINT": str(len(line)), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        subprocess.run([sys.executable, "-m", "matcalc"], env=environment, check=False, timeout=60)
        assert offered in answer.read_text()
