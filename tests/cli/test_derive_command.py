"""The command as a person or a script meets it: what it prints where, and the exit codes."""

import json
import os
import subprocess
import sys
import time

import pytest

from matcalc.cli import main
from tests.sampling import only_in_whole_run

FAST = ["--no-check"]


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function that runs the command in this process: arguments -> (code, stdout, stderr)."""

    def run_command(*arguments, stdin=None):
        if stdin is not None:
            import io

            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


def run_process(*arguments, **options):
    """Run `python -m matcalc` in a process of its own."""
    settings = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    return subprocess.run([sys.executable, "-m", "matcalc", *arguments], **settings)


# --- derive ---------------------------------------------------------------------------------------


def test_the_first_answer(run):
    code, out, err = run("derive", "A@x", "--layout", "numerator")
    assert code == 0
    assert err == ""
    assert "dy/dx   numerator layout, shape (m, n)" in out
    assert "formula       A\n" in out
    equal = "exactly equal in SymPy at m, n = 2, 3 and 3, 2"
    assert f"check   {equal}; agrees with torch.autograd.functional.jacobian at 3 points" in out


def test_a_result_of_rank_four_shows_every_view(run):
    code, out, _ = run("derive", "A @ X @ B", "--wrt", "X", "--layout", "numerator", *FAST)
    assert code == 0
    for line in (
        "A: (m, n)   X: (n, k)   B: (k, l)   Y: (m, l)",
        "dY/dX   numerator layout, shape (m, l, k, n)",
        "dY[i,j]/dX[a,b] = A[i,a]*B[b,j]",
        "kron(B.T, A)",
        "dY = A @ dX @ B",
    ):
        assert line in out


@pytest.mark.parametrize(
    ("expression", "options", "printed"),
    [
        ("x.T @ A @ x", ["--layout", "denominator"], "(A + A.T) @ x"),
        ("x.T @ A @ x", ["--layout", "denominator", "--assume", "A: symmetric"], "2*A @ x"),
        ("norm(X@w - y)**2", ["--wrt", "w", "--layout", "denominator"], "2*X.T @ (X @ w - y)"),
        ("x**3", ["--vars", "x: scalar", "--order", "2"], "6*x"),
        ("-x", ["--vars", "x: scalar"], "-1"),
        ("-2*x", ["--vars", "x: scalar"], "-2"),
    ],
)
def test_options_reach_the_answer(run, expression, options, printed):
    code, out, err = run("derive", expression, *options, *FAST)
    assert code == 0, err
    assert printed in out


def test_options_may_stand_before_an_expression_that_starts_with_minus(run):
    assert (
        run("derive", *FAST, "--vars", "x: scalar", "-x")[1]
        == run("derive", *FAST, "--vars", "x: scalar", "--", "-x")[1]
    )


def test_expression_from_standard_input(run):
    assert run("derive", "-", *FAST, stdin="A@x\n") == run("derive", "A@x", *FAST)


def test_the_derivation_is_printed_before_the_proof(monkeypatch):
    """The answer must be on the screen while torch is still loading."""
    code = (
        "import sys, matcalc.cli.arguments, matcalc.derivation as d\n"
        "def stop(*_, **__): sys.stdout.flush(); import os; os._exit(9)\n"
        "d.Derivative.check = stop\n"
        "import builtins; assert 'torch' not in sys.modules\n"
        "from matcalc.cli import main; main(['derive', 'A@x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert "shape (m, n)" in done.stdout


def test_json_is_versioned_and_whole(run):
    code, out, err = run("derive", "A@x", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert list(answer) == ["version", "derivative", "check"]
    assert answer["version"] == 1
    assert answer["check"]["verdict"] == "agrees"
    assert list(answer["derivative"]["shape"]) == ["m", "n"]


def test_json_without_a_check_says_null(run):
    assert json.loads(run("derive", "A@x", "--json", *FAST)[1])["check"] is None


def test_latex_can_be_pasted(run):
    _, out, _ = run("derive", "inv(X)", "--latex", "--layout", "vec")
    lines = out.splitlines()
    assert "^{-1}" in lines[0]
    assert lines[-1].startswith("% check   exactly equal in SymPy at n = 2 and 3; agrees")


@pytest.mark.parametrize(("verdict", "code"), [("agrees", 0), ("differs", 1), ("could not check", 3)])
def test_exit_codes_follow_the_verdict(run, monkeypatch, verdict, code):
    from matcalc.derivation import Derivative

    class Report:
        message = "said"

        def __bool__(self):
            return verdict == "agrees"

        def to_dict(self):
            return {"verdict": verdict, "max_error": float("nan")}

    Report.verdict = verdict
    monkeypatch.setattr(Derivative, "check", lambda *_, **__: Report())
    assert run("derive", "A@x")[0] == code
    json_code, out, _ = run("derive", "A@x", "--json")
    assert json_code == code
    assert json.loads(out)["check"] == {"verdict": verdict, "max_error": None}


def test_a_device_that_is_not_there_is_no_traceback(run):
    code, out, err = run("derive", "A@x", "--device", "cuda:99")
    assert code == 3
    assert "could not check" in out
    assert "Traceback" not in out + err


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["integrate", "x"],
        ["derive"],
        ["derive", "A@x", "--layot", "numerator"],
        ["derive", "A@x", "--layout", "sideways"],
        ["derive", "A@x", "--order", "0"],
        ["derive", "A@x", "--order", "9**9"],
        ["derive", "A@x", "--order", "-1"],
        ["derive", "A@x", "--trials", "many"],
        ["derive", "A@x", "--seed", "-1"],
        ["derive", "A@x", "--device", "abacus"],
        ["derive", "A@x", "--wrt", "y"],
        ["derive", "A@x", "--vars", "A; x"],
        ["derive", "A@x", "--vars", "A: m,n: 3"],
        ["derive", "A@x", "--assume", "symmetric"],
        ["derive", "A@x", "--assume", "A: lovely"],
        ["derive", "A@x", "--rules", "/no/such/file.toml"],
        ["derive", "A @ B", *FAST],
        ["rules", "show"],
        ["rules", "show", "no_such_rule"],
        ["rules", "check", "--rules", "/no/such/file.toml"],
        ["rules", "check", "--trials", "0"],
    ],
    ids=" ".join,
)
def test_bad_arguments_end_with_two_and_a_reason(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert "internal error" not in err


HOSTILE = {
    "nothing": "",
    "a blank": " ",
    "a syntax error": "A @@ x",
    "an open bracket": "sin(x",
    "an import": "__import__('os')",
    "an attribute": "x.__class__.__mro__",
    "a lambda": "(lambda: x)()",
    "a walrus": "(x := 3)",
    "a tower of powers": "9**9**9",
    "a large power": "x**(10**9)",
    "a large array": "ones(10**9)",
    "a long number": "1" * 10_000,
    "a small number": "1e-999999999*x",
    "10,000 brackets": "(" * 10_000 + "x" + ")" * 10_000,
    "10,000 signs": "-" * 10_000 + "x",
    "10,000 terms": "+".join(["x"] * 10_000),
    "10,000 transposes": "X" + ".T" * 10_000,
    "100 kB": "sin(x)+" * 15_000 + "x",
    "100 kB of nothing": " " * 100_000,
    "wrong shapes": "eye(2) + eye(3)",
    "no inner size": "A @ b.T",
    "an einsum of nothing": "einsum('', x)",
    "an einsum of too much": "einsum('ij,jk->il', A, B)",
    "an einsum without text": "einsum(A, B)",
    "an einsum of three dots": "einsum('...i->...', A)",
    "a letter that is none": "x\u200b + \U0001f600",
    "half of a pair": "x + '\udc80'",
    "two lines": "x\ny",
    "a statement": "import os",
    "a format": "f'{x}'",
    "no argument": "sum()",
    "many arguments": f"sum({','.join(['x'] * 500)})",
    "an infinity": "1e9999*x",
    "a complex number": "3j*x",
    "an unknown function": "frobnicate(x)",
    "a star": "sum(*x)",
    "a dead recursion": "sin(" * 2_000 + "x" + ")" * 2_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_within_two_seconds(run, text):
    start = time.perf_counter()
    code, out, err = run("derive", "-", *FAST, stdin=text)
    assert time.perf_counter() - start < 2
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert "internal error" not in err
    assert len(err) < 2_000


@pytest.mark.parametrize("text", ["A @@ x", "eye(2) @ eye(3)", "frobnicate(x)"])
def test_errors_are_json_too(run, text):
    code, out, err = run("derive", text, "--json")
    answer = json.loads(out)
    assert code == 2
    assert answer["version"] == 1
    assert answer["error"]["reason"] in err
    assert answer["error"]["kind"].endswith("Error")


def test_a_misspelled_option_is_json_too(run):
    assert json.loads(run("derive", "A@x", "--json", "--layot", "x")[1])["error"]["kind"] == "UsageError"


def test_json_and_latex_exclude_each_other(run):
    assert json.loads(run("derive", "A@x", "--json", "--latex")[1])["error"]["kind"] == "UsageError"


def test_an_error_of_ours_is_one_line(run, monkeypatch):
    monkeypatch.delenv("MATCALC_DEBUG", raising=False)
    monkeypatch.setattr("matcalc.cli.derive.derive", lambda *_, **__: 1 / 0)
    code, out, err = run("derive", "A@x")
    assert (code, out) == (2, "")
    assert err.startswith("error: internal error: ZeroDivisionError: division by zero; please report it")
    assert err.count("\n") == 1


def test_debugging_shows_where(run, monkeypatch):
    monkeypatch.setenv("MATCALC_DEBUG", "1")
    monkeypatch.setattr("matcalc.cli.derive.derive", lambda *_, **__: 1 / 0)
    assert "Traceback" in run("derive", "A@x")[2]


def test_an_interrupt_is_quiet(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("matcalc.cli.derive.derive", interrupt)
    assert run("derive", "A@x") == (130, "", "")


# --- rules ----------------------------------------------------------------------------------------


def test_rules_are_listed(run):
    code, out, _ = run("rules")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["rule", "sum"]
    assert "logdet(X[n,n])" in out
    assert "Matrix Cookbook (43)" in out


def test_a_rule_is_shown(run):
    code, out, _ = run("rules", "show", "logdet")
    assert code == 0
    assert "differential  trace(inv(X) @ dX)" in out
    assert "domain        det(X) > 0" in out


def test_a_function_shows_all_its_rules(run):
    out = run("rules", "show", "norm")[1]
    assert "[norm_2]" in out
    assert "[norm_nuc]" in out


def test_a_misspelled_rule_is_advised(run):
    assert "try: matcalc rules show logdet" in run("rules", "show", "logdett")[2]


def test_rules_as_json(run):
    answer = json.loads(run("rules", "show", "logdet", "--json")[1])
    assert answer["version"] == 1
    assert answer["rules"][0]["differential"] == "trace(inv(X) @ dX)"
    assert json.loads(run("rules", "--json")[1])["rules"]


@only_in_whole_run()
def test_every_shipped_rule_is_proven(run):
    code, out, _ = run("rules", "check")
    lines = out.splitlines()
    assert code == 0, out
    assert lines[-1] == f"agrees: {len(lines) - 1}, differs: 0, could not check: 0"


RIGHT = '[cube]\ndefine = "x**3"\n\n[mish]\ncall = "mish(x)"\nelementwise = "{}"\ntorch = "torch.nn.functional.mish"\n'
MISH = RIGHT.format("tanh(softplus(x)) + x*sigmoid(x)*(1 - tanh(softplus(x))**2)")
WRONG_MISH = RIGHT.format("tanh(softplus(x)) - x*sigmoid(x)*(1 - tanh(softplus(x))**2)")
NO_MEANING = '[frob]\nelementwise = "cos(x)"\n'


@pytest.mark.parametrize(("rules", "code", "counts"), [
    (MISH, 0, "agrees: 2, differs: 0, could not check: 0"),
    (WRONG_MISH, 1, "agrees: 1, differs: 1, could not check: 0"),
    (NO_MEANING, 3, "agrees: 0, differs: 0, could not check: 1"),
])  # fmt: skip
def test_own_rules_are_proven(run, tmp_path, rules, code, counts):
    path = tmp_path / "my.toml"
    path.write_text(rules)
    found, out, _ = run("rules", "check", "--rules", str(path))
    assert found == code
    assert out.splitlines()[-1] == counts
    assert json.loads(run("rules", "check", "--json", "--rules", str(path))[1])["version"] == 1


def test_own_rules_are_used(run, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(MISH)
    code, out, err = run("derive", "sum(mish(x)) + sum(cube(x))", "--rules", str(path))
    assert code == 0, err
    assert "agrees" in out


@pytest.mark.parametrize(("rules", "said"), [
    (WRONG_MISH, "mish"),
    (NO_MEANING, "frob"),
    ("[logdet]\nelementwise = '1'", "already defined"),
    ("[f]\nelementwise = '1'\ndifferential = 'dx'", "it must state one of"),
    ("[f]\ndefine = 'x +'", "f"),
    ("not = = TOML", "not valid TOML"),
])  # fmt: skip
def test_own_wrong_rules_are_refused(run, tmp_path, rules, said):
    path = tmp_path / "my.toml"
    path.write_text(rules)
    code, out, err = run("derive", "sum(mish(x))", "--rules", str(path))
    assert (code, out) == (2, "")
    assert said in err
    assert "internal error" not in err


# --- as a process ---------------------------------------------------------------------------------


def test_python_m_is_the_command():
    done = run_process("derive", "A@x", "--no-check")
    assert done.returncode == 0, done.stderr
    assert "shape (m, n)" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["derive", "-h"], ["rules", "--help"], ["--version"]], ids=" ".join
)
def test_help_and_version_end_well(arguments):
    done = run_process(*arguments)
    assert done.returncode == 0
    assert "matcalc" in done.stdout


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m matcalc rules | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


def test_a_narrow_terminal_gets_numbers_for_letters():
    done = run_process("derive", "α*x", "--no-check", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr


def test_bytes_that_are_no_text_are_refused():
    done = run_process("derive", "-", input=b"\xff\xfe", text=False, stdin=None, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def show_in_terminal(arguments, **environment):
    """Run the command on a pseudo-terminal and return what it wrote."""
    import pty

    leader, follower = pty.openpty()
    settings = {"TERM": "xterm"} | environment
    run_process(*arguments, capture_output=False, stdout=follower, stderr=follower,
                env={k: v for k, v in os.environ.items() if k != "NO_COLOR"} | settings)  # fmt: skip
    os.close(follower)
    text = b""
    try:
        while chunk := os.read(leader, 4096):
            text += chunk
    except OSError:  # the follower is closed: the end
        pass
    os.close(leader)
    return text.decode()


def test_colour_on_a_terminal_unless_asked_otherwise():
    assert "\x1b[31m" in show_in_terminal(["derive", "A @@ x"])
    assert "\x1b[" not in show_in_terminal(["derive", "A @@ x"], NO_COLOR="1")
    assert "\x1b[" not in show_in_terminal(["derive", "A @@ x"], TERM="dumb")


def test_no_colour_in_a_pipe():
    assert "\x1b[" not in run_process("derive", "A @@ x").stderr


@pytest.mark.parametrize("order", ["0", "7", "-1", "two", "9999999"])
def test_the_order_has_one_sentence(run, order):
    code, _, err = run("derive", "A@x", "--order", order)
    assert code == 2
    assert "the order is a whole number from 1 to 6, not " in err
    assert order in err
