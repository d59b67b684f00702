"""%matcalc and %%matcalc in a real kernel, and what a notebook shows of an error."""

import subprocess
import sys

import pytest

import matcalc
from matcalc.cli.arguments import UsageError
from matcalc.notebook.magic import COMMANDS, HELP, SHELL_COMMANDS, MagicLine, complete, read_cell, read_line, run_magic
from tests.requirements import need, needs
from tests.write_notebooks import run_notebook

# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A @ x", MagicLine(None, "A @ x")),
        ("  A @ x --layout denominator ", MagicLine(None, "A @ x", (("layout", "denominator"),))),
        ("derive A @ x --layout=vec", MagicLine("derive", "A @ x", (("layout", "vec"),))),
        ("check A @ x --claim A.T - 1 --wrt x", MagicLine("check", "A @ x", (("claim", "A.T - 1"), ("wrt", "x")))),
        ("A @ x --vars A: m, n; x: n", MagicLine(None, "A @ x", (("vars", "A: m, n; x: n"),))),
        ('"A @ x" --claim "A.T"', MagicLine(None, "A @ x", (("claim", "A.T"),))),
        ("'x --alpha' --order 2", MagicLine(None, "x --alpha", (("order", "2"),))),
        ("x --y", MagicLine(None, "x --y")),
        ("x - -y --help", MagicLine(None, "x - -y", (("help", ""),))),
        ("norm(X, 'nuc') --wrt X", MagicLine(None, "norm(X, 'nuc')", (("wrt", "X"),))),
        ("A' @ x --claim \"A'\"", MagicLine(None, "A' @ x", (("claim", "A'"),))),
        ("A @ x  # it's linear", MagicLine(None, "A @ x")),
        ("check @ x", MagicLine(None, "check @ x")),
        ("graph", MagicLine("graph", "")),
        ("A @ x; --layout vec;  # shown", MagicLine(None, "A @ x", (("layout", "vec"),))),
        ("A @ x;", MagicLine(None, "A @ x")),
        ("derive -x", MagicLine("derive", "-x")),
        ("p = softmax(x); diag(p)", MagicLine(None, "p = softmax(x); diag(p)")),
        ("", MagicLine(None, "")),
    ],
)
def test_a_line_is_read(text, read):
    assert read_line(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A @ x", ("A @ x", None)),
        ("# linear\n\np = A @ x  # first\n\np + x\n", ("p = A @ x\np + x", None)),
        ("A @ x\nclaim: A", ("A @ x", "A")),
        ("A @ x;\nclaim: A;", ("A @ x", "A")),
        ("A @ x\n  Claim = 3", ("A @ x\n  Claim = 3", None)),
        ("softmax(x)\nclaim:\n  p = softmax(x)\n  diag(p)", ("softmax(x)", "p = softmax(x)\n  diag(p)")),
    ],
)
def test_a_cell_is_read(text, read):
    assert read_cell(text) == read


@pytest.mark.parametrize(
    ("line", "cell", "reason"),
    [
        ("", "# nothing\n", "there is no expression in the cell"),
        ("", "A @ x\nclaim: # later", "there is no formula behind claim:"),
        ("", "A @ x\nclaim: A\nclaim: A.T", "the cell has two claims"),
        ("--claim A", "A @ x\nclaim: A", "there are two claims"),
        ("graph", "A @ x\nclaim: A", "graph judges no claim"),
        ("derive", "A @ x\nclaim: A", "derive judges no claim"),
        ("A @ x", "A @ x", "behind %%matcalc stand options only"),
        ("check", "A @ x", "there is no claim to judge"),
        ("check A @ x", None, "there is no claim to judge"),
        ("--layout denominator A @ x", None, "the expression comes first"),
        ("A @ x --layuot vec", None, "unrecognized arguments: --layuot=vec"),
        ("A @ x --wrt", None, "argument --wrt: expected one argument"),
        ("A @ x --claim A --claim A.T", None, "--claim stands there twice"),
        ("A @ x --layout vec --layout torch", None, "--layout stands there twice"),
        ("A @ x --seed 1", None, "--seed is of the command in the shell"),
        ("graph A @ x + b --wrt x,b", None, "a graph is drawn for one variable"),
        ("graph A @ x --sizes m", None, "is not a size"),
        ("rules show sigmoid", None, "rules is a command of the shell"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(line, cell, reason):
    with pytest.raises(UsageError) as caught:
        run_magic(line, cell)
    assert reason in caught.value.reason
    assert caught.value.advice


# --- answers --------------------------------------------------------------------------------------


def test_the_answers_are_those_of_the_functions():
    derived = run_magic("x.T @ A @ x --layout denominator --assume A: symmetric")
    assert isinstance(derived, matcalc.Derivative)
    assert (str(derived), derived.layout) == ("2*A @ x", "denominator")
    assert str(run_magic("W @ x + b --wrt W, b")["b"]) == "eye(n)"
    assert str(run_magic("--layout denominator", "u = A @ x\nnorm(u)**2")) == "2*A.T @ A @ x"
    assert run_magic("graph A @ x --sizes m=3, n=4").sizes == {"m": 3, "n": 4}


def test_claims_are_judged():
    judged = run_magic("check x.T @ A @ x --claim 2*A @ x --layout denominator --vars A: n,n --trials 2")
    assert (judged.verdict, judged.reasons, judged.points) == ("differs", ("symmetric-only",), 2)
    for line, cell in (("A @ x --claim A", None), ("", "A @ x\nclaim: A"), ("check", "A @ x\nclaim: A")):
        assert run_magic(line, cell).verdict == "agrees"


@needs("ipywidgets")
def test_the_explorer_begins_with_what_was_typed():
    explorer = run_magic("explore A @ x --layout denominator --claim A.T")
    assert (str(explorer.derivative), explorer.claim_report.verdict) == ("A.T", "agrees")


def test_help_is_printed(capsys):
    for line in ("", "-h", "--help"):
        assert run_magic(line) is None
        assert capsys.readouterr().out.startswith(HELP)
    for command in COMMANDS:
        run_magic(f"{command} --help")
        assert f"usage: %matcalc {command}" in capsys.readouterr().out


@needs("ipywidgets")
def test_every_line_of_the_help_works():
    shown = [text.split("  ")[0].removeprefix("%matcalc ") for text in HELP.splitlines() if text.startswith("%matcalc")]
    assert len(shown) == len(COMMANDS) + 1
    assert all(run_magic(line) is not None for line in shown if "--help" not in line)
    head, _, cell = HELP.split("%%matcalc ")[1].partition("\n")
    lines = [line.split("  ")[0] for line in cell.split("\n\n")[0].splitlines()]
    assert run_magic(head.split("  ")[0], "\n".join(lines)).verdict == "differs"


def test_every_command_of_the_shell_is_known():
    """A command that the magic does not know would be read as the name of a variable."""
    from matcalc.cli import build_parser

    commands = [action.choices for action in build_parser()._actions if isinstance(action.choices, dict)]
    assert [{*choices} for choices in commands] == [{*COMMANDS, *SHELL_COMMANDS}]


# --- in a kernel ----------------------------------------------------------------------------------

CELLS = {
    "load": "%load_ext matcalc",
    "line": "%matcalc A @ x --layout denominator",
    "kept": "d = %matcalc A @ x\nd.shape",
    "cell": "%%matcalc --layout denominator\np = softmax(x)  # the classes\n\ndiag(p) @ p",
    "claim": "%%matcalc\nA @ x\nclaim: A.T",
    "graph": "%matcalc graph A @ x",
    "as typed": "x = 'A @'\nd = %matcalc exp({x})",
    "wrong line": "\n\ny = 1\n%matcalc x @ A",
    "wrong cell": "%%matcalc\nx @ A",
    "wrong call": "import matcalc\n\nd = matcalc.derive('x @ A')",
    "own function": "def derive(text):\n    return matcalc.derive(text)\n\nderive('x @ A')",
    "own file": "import own_formulas\nown_formulas.derive_wrong()",
    "again": "%tb",
    "in full": "%tb Verbose",
    "complete": "[get_ipython().complete(None, line)[1] for line in "
    "('%matcalc softm', '%matcalc A@x --lay', '%matcalc A@x --layout d', '%%matcalc check --cl')]",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The outputs of each cell, run in one kernel."""
    need("nbclient", "ipykernel")
    from nbformat.v4 import new_code_cell, new_notebook

    folder = tmp_path_factory.mktemp("own")
    (folder / "own_formulas.py").write_text("import matcalc\n\ndef derive_wrong():\n    matcalc.derive('x @ A')\n")
    cells = [new_code_cell(source, metadata={"tags": ["raises-exception"]}) for source in CELLS.values()]
    run = run_notebook(new_notebook(cells=cells), folder)
    return dict(zip(CELLS, (cell.outputs for cell in run.cells), strict=True))


def read_plain(outputs):
    assert [output.output_type for output in outputs] == ["execute_result"], outputs
    return outputs[0].data["text/plain"]


def read_error(outputs):
    assert [output.output_type for output in outputs] == ["error"], outputs
    return "\n".join(outputs[0].traceback)


def test_a_line_is_answered_richly(answers):
    assert not answers["load"]
    assert read_plain(answers["line"]) == "Derivative(A.T, shape=(n, m), layout='denominator')"
    assert {"text/latex", "text/html"} <= {*answers["line"][0].data}
    assert read_plain(answers["kept"]) == "(m, n)"
    assert read_plain(answers["graph"]).lstrip().startswith("node")


def test_a_cell_is_answered(answers):
    assert "softmax(x)" in read_plain(answers["cell"])
    assert read_plain(answers["claim"]).startswith("differs. Right in denominator layout")


def test_what_is_typed_is_not_replaced_by_variables(answers):
    assert "exp({x})" in read_error(answers["as typed"])


WRONG = """\
ShapeError: x @ A needs equal inner sizes, not (n, 1) @ (k, p)
  x @ A
  ^^^^^
  shapes: x: (n,)   A: (k, p)
  try: write x.T @ A"""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("wrong line", "line 2: %matcalc x @ A"),
        ("wrong cell", "line 1: %%matcalc"),
        ("wrong call", "line 3: d = matcalc.derive('x @ A')"),
        ("own function", "line 2: return matcalc.derive(text)"),
    ],
)
def test_an_error_is_shown_short_with_the_line_it_came_from(answers, name, place):
    number = [*CELLS].index(name) + 1
    assert read_error(answers[name]) == f"{WRONG}\n  in Cell In[{number}], {place}"


def test_an_error_of_an_own_file_names_it(answers):
    shown = read_error(answers["own file"])
    assert shown.startswith(WRONG)
    assert shown.endswith("own_formulas.py, line 4: matcalc.derive('x @ A')")
    assert read_error(answers["again"]) == shown


def test_the_whole_traceback_is_there_for_who_asks(answers):
    shown = read_error(answers["in full"])
    assert "infer_shapes.py" in shown
    assert "needs equal inner sizes" in shown


def test_what_is_typed_is_completed(answers):
    assert read_plain(answers["complete"]) == "[['softmax'], ['--layout'], ['denominator'], ['--claim']]"


def test_completion_begins_with_the_commands():
    class Event:
        line, symbol = "%matcalc ", ""

    assert {*COMMANDS, "sigmoid"} <= {*complete(None, Event)}


# --- outside of a notebook ------------------------------------------------------------------------


def test_python_itself_shows_its_traceback():
    code = "import matcalc\nmatcalc.derive('x @ A')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "infer_shapes.py" in done.stderr


def test_an_error_that_was_never_raised_is_shown_too():
    assert matcalc.MatcalcError("no", advice="yes")._render_traceback_() == ["MatcalcError: no\n  try: yes"]


def test_help_is_no_variable(capsys):
    assert run_magic("help") is None
    assert capsys.readouterr().out == f"{HELP}\n"


@needs("ipywidgets")
def test_explore_opens_without_an_expression():
    panel = run_magic("explore --layout denominator")
    assert str(panel.derivative) == "2*A.T @ (A @ x - b)"


def test_advice_keeps_the_other_options():
    with pytest.raises(UsageError) as refused:
        run_magic("norm(X@w - y)**2 --wrt w --layout denominator --steps")
    assert refused.value.advice == "d = %matcalc norm(X@w - y)**2 --wrt w --layout denominator and then d.steps"
