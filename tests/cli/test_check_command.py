"""`matcalc check` as a person or a script meets it."""

from __future__ import annotations

import json
import re

import pytest

from matcalc.cli import main


@pytest.fixture
def run(capsys):
    """Return a function that runs the command in this process: arguments -> (code, stdout, stderr)."""

    def run_command(*arguments):
        code = main(["check", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


def test_a_right_claim(run):
    code, out, err = run("A @ x", "--claim", "A")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "A: (m, n)   x: (n,)"
    assert lines[2].startswith("agrees: exactly equal in SymPy at m, n = 2, 3 and 3, 2; agrees with torch.autograd.")
    assert lines[2].endswith("; identical in index form, so for every size")
    assert lines[3].startswith("  points  3 with seed 0; m = ")


def test_a_claim_in_the_other_layout(run):
    code, out, _ = run("A @ x", "--claim", "A", "--layout", "denominator")
    assert code == 1
    assert "differs. Right in numerator, torch and vec layout; in denominator layout, which you asked for, " in out
    assert "  derivative  A.T        denominator layout\n" in out
    assert "  reasons     layout, transpose, shape\n" in out


def test_a_claim_that_is_off_shows_the_worst_entry(run):
    code, out, _ = run("sum(sigmoid(x))", "--claim", "sigmoid(x)", "--seed", "4")
    assert code == 1
    assert "  worst       entry [" in out
    assert "--seed 4" in out


def test_what_could_not_be_checked(run):
    code, out, _ = run("log(-x**2)", "--claim", "diag(2/x)")
    assert code == 3
    assert "could not check: " in out


def test_shapes_that_do_not_fit_show_the_place(run):
    code, out, _ = run("A @ x", "--claim", "A + A.T")
    assert code == 1
    assert re.search(r"\n +A \+ A\.T\n +\^{7}\n", out)


def test_declarations_and_order(run):
    code, out, _ = run("t*A @ A", "--claim", "A @ A", "--wrt", "t", "--vars", "t: scalar; A: n,n")
    assert code == 0, out
    assert run("x.T @ P @ x", "--claim", "2*P", "--order", "2", "--assume", "P: symmetric")[0] == 0


def test_json_is_versioned_and_whole(run):
    code, out, _ = run("x.T @ x", "--claim", "x", "--json", "--dtype", "float32")
    answer = json.loads(out)
    assert (code, answer["version"]) == (1, 1)
    report = answer["check"]
    assert (report["reasons"], report["factor"], report["dtype"]) == (["factor"], 0.5, "float32")
    assert report["variables"] == {"x": ["n"]}
    assert report["command"].startswith("matcalc check 'x.T @ x' --claim x ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["A @ x"], "the following arguments are required: --claim"),
        (["A @ x", "--claim", "A @@ x"], "A @@ x\n"),
        (["A @ x", "--claim", "A", "--dtype", "int8"], "'int8' is not a dtype"),
        (["A @ x", "--claim", "A", "--layout", "rows"], "'rows' is not a layout"),
    ],
)
def test_bad_input_is_refused(run, arguments, sentence):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
