"""Data-parallel gradients, measured in real gloo processes with torch's own DistributedDataParallel."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from matcalc.check.data_parallel import LossText, Settings, find_batch, split_loss
from matcalc.check.data_parallel.judge import find_ratio, judge_losses, write_multiple
from matcalc.check.data_parallel.processes import ProcessTask, clean_environment, run_tasks, run_together
from matcalc.check.points import Point
from matcalc.data_parallel import check_data_parallel, read_loss
from matcalc.errors import DeclarationError, MatcalcError, ShapeError
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import parse
from tests.sampling import only_in_whole_run

ROOT = Path(__file__).parents[2]
MISH = """
[mish]
elementwise = "tanh(softplus(x)) + x*sigmoid(x)*(1 - tanh(softplus(x))**2)"
torch = "torch.nn.functional.mish"
"""

# loss, parameters, batch axis, declarations, verdict, reasons, factor, words of the message
ROWS = "X: m,n"
LOSSES = {
    "mean": ("mean((X@w - y)**2)", "w", 0, {}, "agrees", (), None, "2 processes"),
    "sum": ("norm(X@w - y)**2", "w", 0, {}, "differs", ("factor",), 0.5,
            "differs: the averaged gradient is 1/2 of the derivative of "
            "the whole-batch loss: the loss sums over the batch, and DistributedDataParallel averages over its 2 "
            "processes; use the mean over the batch, or multiply the loss by the number of processes"),
    "sum by einsum": ("einsum('ij,j->', X, w)", "w", 0, {}, "differs", ("factor",), 0.5, "sums over the batch"),
    "half the sum over m": ("sum((X@w - y)**2)/(2*m)", "w", "m", {"shapes": ROWS}, "agrees", (), None, "agrees"),
    "logistic": ("mean(log(1 + exp(-y*(X@w))))", "w", 0, {"assume": "y: sign"}, "agrees", (), None, "agrees"),
    "cross entropy": ("-mean(sum(Y*log_softmax(X@W + b.T, axis=1), axis=1))", ["W", "b"], 0, {}, "agrees", (),
                      None, "agrees"),
    "summed cross entropy": ("-sum(Y*log_softmax(X@W, axis=1))", "W", 0, {}, "differs", ("factor",), 0.5, "sums"),
    "two layers": ("mean((relu(X@W + b.T)@v - y)**2)", ["W", "b", "v"], 0, {}, "agrees", (), None, "agrees"),
    "samples in columns": ("mean((w.T@X - y.T)**2)", "w", 1, {"shapes": "X: n,m; y: m"}, "agrees", (), None, "agrees"),
    "axes by name": ("mean((X.T@w - y)**2)", "w", {"X": 1, "y": 0}, {}, "agrees", (), None, "agrees"),
    "a row": ("mean((X@w.T - y)**2)", "w", 0, {"shapes": "w: 1,n"}, "agrees", (), None, "agrees"),
    "regularised": ("norm(X@w - y)**2/m + alpha*norm(w)**2", "w", 0, {"shapes": ROWS}, "agrees", (), None, "agrees"),
    "whole matrix": ("w.T@A@w + mean(X@w)", "w", 0, {}, "agrees", (), None, "agrees"),
    "regularised sum": ("norm(X@w - y)**2 + alpha*norm(w)**2", "w", 0, {}, "differs", ("other",), None,
                        "norm(X @ w - y)**2 sums over the batch and arrives as 1/2 of its derivative; "
                        "alpha*norm(w)**2 arrives whole"),
    "divided term": ("(norm(X@w - y)**2 + alpha*norm(w)**2)/m", "w", 0, {"shapes": ROWS}, "differs", ("other",), None,
                     "norm(X @ w - y)**2/m arrives whole; alpha*norm(w)**2/m arrives as 2 times its derivative"),
    "one parameter of two": ("norm(w)**2 + sum(X@u)", ["w", "u"], 0, {}, "differs", ("other",), None, "arrives whole"),
    "divided twice": ("sum((X@w - y)**2)/m**2", "w", 0, {"shapes": ROWS}, "differs", ("factor",), 2.0, "divides by"),
    "unbiased": ("sum((X@w - y)**2)/(m - 1)", "w", 0, {"shapes": ROWS}, "differs", ("other",), None, "1.25 times"),
    "norm": ("norm(X@w - y)", "w", 0, {}, "differs", ("other",), None, "neither a sum nor a mean over samples"),
    "log of a sum": ("log(sum(exp(X@w)))", "w", 0, {}, "differs", ("other",), None, "neither a sum nor a mean"),
    "batch normalised": ("mean((layer_norm(X@w) - y)**2)", "w", 0, {}, "differs", ("other",), None, "neither a sum"),
    "term that does not split": ("log(sum(exp(X@w))) + mean(X@w)", "w", 0, {}, "differs", ("other",), None,
                                 "log(sum(exp(X @ w))) does not split into samples"),
    "scalar mean": ("mean(alpha*x)", "alpha", 0, {}, "agrees", (), None, "agrees"),
    "scalar sum": ("sum(alpha*x)", "alpha", 0, {}, "differs", ("factor",), 0.5, "sums over the batch"),
    "scalar norm": ("norm(alpha*x - y)", "alpha", 0, {}, "differs", ("other",), None, "neither a sum"),
    "abstract": ("mean(u(w)*X@w)", "w", 0, {"shapes": {"u": ()}}, "agrees", (), None, "agrees"),
    "unused parameter": ("mean(X@w)", ["w", "v"], 0, {"shapes": "v: q"}, "agrees", (), None, "agrees"),
    "condition": ("mean(where(X@w > beta, X@w, beta))", ["w", "beta"], 0, {}, "agrees", (), None, "agrees"),
    "no gradient at all": ("mean(where(X@w > 0, 1, 0))", "w", 0, {}, "agrees", (), None, "agrees"),
    "rule of one's own": ("sum(mish(X@w))", "w", 0, {"rules": MISH}, "differs", ("factor",), 0.5, "sums over"),
    "no fair point": ("mean(log(-exp(X@w)))", "w", 0, {}, "could not check", ("log(x) needs x > 0",), None, "log(x)"),
}  # fmt: skip


def read(loss, wrt, batch_axis, given, tmp_path):
    if "rules" in given:
        (tmp_path / "mish.toml").write_text(given["rules"])
        given = {**given, "rules": tmp_path / "mish.toml"}
    return read_loss(loss, wrt, batch_axis, **given)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The reports on all losses, from one start of two processes."""
    folder = tmp_path_factory.mktemp("rules")
    questions = [read(*row[:4], folder) for row in LOSSES.values()]
    return dict(zip(LOSSES, judge_losses(questions, Settings()), strict=True))


@pytest.mark.parametrize("name", LOSSES)
def test_verdicts_and_reasons(reports, name):
    *_, verdict, reasons, factor, words = LOSSES[name]
    report = reports[name]
    assert (report.verdict, report.reasons, report.factor) == (verdict, reasons, factor), report.message
    assert words in report.message
    assert report.message.startswith(verdict)
    assert report.points == (0 if verdict == "could not check" else 3)


def test_each_parameter_has_its_own_report(reports):
    report = reports["one parameter of two"]
    assert report.parameters["w"].verdict == "agrees"
    assert (report.parameters["u"].verdict, report.parameters["u"].factor) == ("differs", 0.5)
    assert report.parameters["u"].message == "differs: the averaged gradient of u is 1/2 of its derivative"
    assert report.correct == "w: 2*w; u: sum(X, axis=0)"
    assert "entry [" in reports["norm"].parameters["w"].message


def test_a_report_is_plain_data(reports):
    plain = json.loads(json.dumps(reports["sum"].to_dict()))
    assert (plain["verdict"], plain["factor"], plain["processes"], plain["batch"]) == ("differs", 0.5, 2, "p")
    assert plain["parameters"]["w"]["reasons"] == ["factor"]
    assert plain["correct"] == "2*X.T @ (X @ w - y)"
    assert plain["sizes"]["p"] % 2 == 0
    assert plain["versions"]["torch"]


@only_in_whole_run()
def test_three_processes_in_single_precision():
    losses = ["sum((X@w - y)**2)", "mean((X@w - y)**2)", "norm(X@w - y)**2 + norm(w)**2"]
    questions = [read_loss(loss, "w") for loss in losses]
    summed, averaged, mixed = judge_losses(questions, Settings(processes=3, trials=2, seed=1, dtype="float32"))
    assert (summed.factor, summed.reasons) == (1 / 3, ("factor",))
    assert "its 3 processes" in summed.message
    assert (averaged.verdict, averaged.dtype, averaged.points) == ("agrees", "float32", 2)
    assert 0 < averaged.max_error < 1e-4
    assert "arrives as 1/3 of its derivative" in mixed.message


def make_point(values, **sizes):
    return Point(values, sizes, {}, {}, 1.0)


@only_in_whole_run()
def test_the_processes_average_what_each_finds_on_its_share():
    """The gradients written out by hand, on shares that differ."""
    shares = [torch.tensor([[1.0, 2.0], [3.0, 5.0]]).double(), torch.tensor([[7.0, -1.0], [0.5, 2.0]]).double()]
    w = torch.tensor([[0.3], [-0.7]]).double()
    points = [make_point({"X": X, "w": w}, m=2, n=2) for X in shares]
    source = LossText("sum((X@w)**2)", ("w",), {"X": ("m", "n"), "w": ("n",)}, {})
    [[found]] = run_tasks([ProcessTask(source, [points])], 2, 120)
    expected = sum(2 * X.T @ X @ w for X in shares) / 2
    assert torch.allclose(found["w"], expected, rtol=1e-14)


HOSTILE = {
    "RANK": "3", "WORLD_SIZE": "7", "LOCAL_RANK": "3", "MASTER_ADDR": "10.255.255.1", "MASTER_PORT": "1",
    "TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_USE_AGENT_STORE": "True", "GLOO_SOCKET_IFNAME": "none0",
}  # fmt: skip


@only_in_whole_run()
def test_it_runs_from_a_bare_line_in_any_folder_under_another_launcher(tmp_path, reports):
    """The command of a report, whole in one -c text, so without a main guard."""
    python, *arguments = shlex.split(check_data_parallel(*LOSSES["sum"][:3], timeout=0.01).command)
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    environment = os.environ | HOSTILE | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert python == "python"
    assert (done.returncode, done.stdout.strip()) == (0, reports["sum"].message), done.stderr


# --- processes that fail --------------------------------------------------------------------------


def test_a_process_that_dies_is_no_verdict(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'the disk is full' >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    report = check_data_parallel("mean(X@w)", "w")
    assert report.verdict == "could not check"
    # Both die at once; which is seen first is for the machine to say.
    assert re.fullmatch(r"could not check: process [12] of 2 ended with exit code 7: the disk is full", report.message)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    assert "cannot be started" in check_data_parallel("mean(X@w)", "w").message


def test_processes_that_hang_are_stopped():
    report = check_data_parallel("mean(X@w)", "w", timeout=0.2)
    assert report.message == "could not check: the 2 processes did not end within 0.2 seconds"
    assert not report


@only_in_whole_run()
def test_an_error_in_a_process_is_told_in_its_words():
    point = make_point({"X": torch.ones(2, 3).double(), "w": torch.ones(5, 1).double()}, m=2, n=3)
    source = LossText("sum(X@w)", ("w",), {"X": ("m", "n"), "w": ("n",)}, {})
    reason = run_tasks([ProcessTask(source, [[point, point]])], 2, 120)
    assert reason.startswith("process ")
    assert "ended with exit code 1" in reason
    assert "cannot be evaluated" in reason


def test_the_others_do_not_outlive_one_that_dies(tmp_path):
    beat = "import pathlib, time\nwhile True: pathlib.Path('beat').write_text(str(time.time_ns())); time.sleep(0.01)"
    die = "import os, pathlib, time\nwhile not pathlib.Path('beat').exists(): time.sleep(0.01)\nos.kill(os.getpid(), 9)"
    reason = run_together([[sys.executable, "-c", beat], [sys.executable, "-c", die]], tmp_path, 60)
    assert reason == "process 2 of 2 was killed by signal 9 without a word"
    last = (tmp_path / "beat").read_text()
    time.sleep(0.1)
    assert (tmp_path / "beat").read_text() == last


def test_the_environment_of_another_group_is_left_behind(monkeypatch):
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("A_SETTING", "kept")
    found = clean_environment()
    assert not {"RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"} & found.keys()
    assert (found["A_SETTING"], found["OMP_NUM_THREADS"]) == ("kept", "1")
    assert str(ROOT) in found["PYTHONPATH"].split(os.pathsep)


# --- what is asked --------------------------------------------------------------------------------

SQUARE = "mean((X@w - y)**2)"
MISTAKES = [
    ((SQUARE,), {}, "X was taken for the parameter", "say which variables are trained"),
    (("mean(w)", "w"), {}, "no data to split", "only what is trained"),
    ((SQUARE, "w", 5), {}, "none of the data has an axis 5", "declare the shapes"),
    ((SQUARE, "w", 1), {}, "the size n, which the parameter w has too", "batch_axis=0"),
    ((SQUARE, "w", "m"), {}, "no variable of the data has the size m: X is (p, n), y is (p,)", "declare the shapes"),
    ((SQUARE, "w", "n"), {}, "n is a size of the parameter w", "counts the samples"),
    ((SQUARE, "w", {"X": 0}), {}, "y has the size p of the batch, too", "name y as well"),
    ((SQUARE, "w", {"X": 1, "y": 0}), {}, "the batch has one size, not n and p", "one letter"),
    ((SQUARE, "w", {"w": 0}), {}, "w is none of the data; they are X, y", "no parameters"),
    ((SQUARE, "w", {"X": 2}), {}, "X has no axis 2; its shape is (p, n)", "count the axes from 0"),
    ((SQUARE, "w", {}), {}, "not none", "one letter"),
    ((SQUARE, "w", True), {}, "not 'True'", 'give 0, "m" or'),
    ((SQUARE, "w"), {"shapes": "X: 6,n"}, "the fixed size 6 along axis 0", "give the batch a letter"),
    ((SQUARE, "w"), {"shapes": "X: 2*m,n"}, "the size 2*m, and a batch needs a letter of its own", "declare"),
    ((SQUARE + " + norm(G@w)**2", "w"), {}, "could be p (of X, y) or q (of G) along axis 0", 'batch_axis="p"'),
    (("y.T@K@y*norm(w)", "w"), {}, "K has the size p of the batch along 2 axes", "one in each row"),
    (("mean(u(X@w))", "w"), {"shapes": {"u": ("q",)}}, "u takes or gives all p samples", "known functions"),
    ((SQUARE, []), {}, "the list of parameters is empty", "name the parameters"),
    ((SQUARE, "z"), {}, "no variable z", "declare"),
    ((SQUARE, "w", 0, 1), {}, "processes is a whole number from 2 to 16, not 1", ""),
    ((SQUARE, "w", 0, 2), {"trials": 0}, "trials is a whole number from 1 to 100, not 0", ""),
    ((SQUARE, "w", 0, 2), {"dtype": "int8"}, "'int8' is not a dtype", "float64, float32"),
    ((SQUARE, "w", 0, 2), {"timeout": "long"}, "the timeout is a number of seconds", ""),
    ((SQUARE, "w", 0, 2), {"seed": "a"}, "the seed is a whole number", ""),
]


@pytest.mark.parametrize(("arguments", "given", "reason", "advice"), MISTAKES)
def test_mistakes_are_errors_with_advice(arguments, given, reason, advice):
    with pytest.raises(DeclarationError) as caught:
        check_data_parallel(*arguments, **given)
    assert reason in caught.value.reason
    assert advice in (caught.value.advice or "")


def test_a_loss_is_read_in_notation():
    question = read_loss("1/2 ‖Xw − y‖² + λ‖w‖²", "w")
    assert question.source.text == "1/2*norm(X @ w - y)**2 + λ*norm(w)**2"
    assert dict(question.batch.axes) == {"X": 0, "y": 0}
    assert read_loss("F.mse_loss(X @ beta, y)", "beta").source.shapes["beta"] == question.source.shapes["w"]


def test_a_loss_is_a_scalar():
    with pytest.raises(ShapeError, match="a loss is a scalar") as caught:
        check_data_parallel("(X@w - y)**2", "w")
    assert "mean" in caught.value.advice
    with pytest.raises(ShapeError) as caught:
        check_data_parallel("sum((X@w - y)**2)/m", "w")
    assert caught.value.advice.startswith("if m counts the samples, declare it as a size")


def test_the_derivatives_and_the_loss_are_read_with_the_same_sizes():
    question = read_loss("mean(relu(X@W + b.T)@v)", ["W", "b", "v"])
    assert [wrt.name for wrt in question.parameters] == ["W", "b", "v"]
    again = parse(question.source.text, wrt="v", shapes=question.source.shapes).expressions[0]
    assert again is question.loss
    assert dict(question.batch.axes) == {"X": 0}


def test_a_share_is_every_so_manieth_sample():
    symbols = parse("X.T@w + y", shapes="X: n,m; y: m; w: n").symbols
    batch = find_batch(symbols, ["w"], "m")
    values = {"X": torch.arange(8).reshape(2, 4), "y": torch.arange(4).reshape(4, 1), "w": torch.ones(2, 1)}
    share = batch.deal(Point(values, {"m": 4, "n": 2}, {}, {}, 1.0), 2)[1].values
    assert (batch.letter, dict(batch.axes)) == ("m", {"X": 1, "y": 0})
    assert share["X"].tolist() == [[1, 3], [5, 7]]
    assert share["y"].tolist() == [[1], [3]]
    assert share["w"] is values["w"]


@pytest.mark.parametrize(
    ("loss", "parts"),
    [
        ("(norm(X@w)**2 + alpha*norm(w)**2)/2", ["norm(X @ w)**2/2", "alpha*norm(w)**2/2"]),
        ("alpha*(sum(w) - mean(X@w))", ["alpha*sum(w)", "alpha*mean(X @ w)"]),
        ("norm(w)*(sum(w) + mean(X@w))", ["norm(w)*(sum(w) + mean(X @ w))"]),
        ("-(sum(w) - 1)", ["sum(w)", "1"]),
    ],
)
def test_a_loss_falls_into_its_terms(loss, parts):
    found = split_loss(parse(loss, wrt="w").expressions[0], frozenset({"w"}))
    assert [to_text(part) for part in found] == parts


def pair(truth, got):
    return torch.tensor(truth).double(), torch.tensor(got).double()


def test_ratios():
    half = find_ratio([pair([1.0, 2.0], [0.5, 1.0])], 2)
    assert half.constant == 0.5
    assert find_ratio([pair([1.0, 2.0], [0.5, 1.1])], 2) is None
    varying = find_ratio([pair([1.0, 2.0], [2.0, 4.0]), pair([1.0, 3.0], [4.0, 12.0])], 2)
    assert (varying.constant, varying.at) == (None, (2.0, 4.0))
    # One number is a multiple of any other.
    assert find_ratio([pair([1.0], [0.7])], 2) is None
    assert find_ratio([pair([1.0], [0.7]), pair([2.0], [1.3])], 2) is None
    assert find_ratio([pair([1.0], [0.7]), pair([2.0], [1.4])], 2).constant == 0.7
    assert find_ratio([pair([1.0], [0.5])], 2).constant == 0.5
    assert find_ratio([pair([0.0, 0.0], [1.0, 1.0])], 2) is None
    assert (write_multiple(1 / 3), write_multiple(4.0)) == ("1/3 of", "4 times")


def test_an_unknown_function_is_an_error():
    with pytest.raises(MatcalcError, match="mystery"):
        check_data_parallel("mean(mystery(X@w))", "w")


def test_the_command_carries_what_was_asked(tmp_path):
    (tmp_path / "mish.toml").write_text(MISH)
    given = {"assume": "A: symmetric", "rules": tmp_path / "mish.toml", "seed": 5, "dtype": "float32", "timeout": 0.01}
    report = check_data_parallel("w.T@A@w + mean(mish(X@w))", ["w"], "p", 3, **given)
    expected = (
        "import matcalc; print(matcalc.check_data_parallel('w.T@A@w + mean(mish(X@w))', ['w'], 'p', 3, "
        "shapes={'w': ['n'], 'A': ['n', 'n'], 'X': ['p', 'n']}, assume={'A': ['symmetric']}, "
        f"rules=['{tmp_path / 'mish.toml'}'], trials=3, seed=5, dtype='float32'))"
    )
    assert shlex.split(report.command) == ["python", "-c", expected]
    assert report.variables == {"w": ("n",), "A": ("n", "n"), "X": ("p", "n")}
