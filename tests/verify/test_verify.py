"""`matcalc verify` as it is met: answers, exit codes, tasks that hang or die, runs that go on where they stopped."""

from __future__ import annotations

import csv
import json
import os
import re
import signal

import pytest
from junitparser import Error, Failure, JUnitXml

from tests.sampling import only_in_whole_run
from tests.verify.verify_runs import (
    COMMAND,
    QUICK,
    SLOW,
    Terminal,
    count_lines,
    find_chain,
    is_running,
    make_mixed_sheet,
    start,
    verify,
    wait_until,
)

TOML = """
[[claim]]
id = "ax"
expr = "A @ x"
wrt = "x"
layout = "denominator"
claim = "A"
verdict = "differs"

[[case]]
id = "hessian"
expr = "x.T @ A @ x"
wrt = "x"
order = 2
numerator = "A + A.T"
"""
CSV = [
    {"id": "ax", "expr": "A @ x", "claim": "A", "shapes": "A: m,n; x: n", "verdict": "agrees"},
    {"id": "sym", "expr": "x.T @ A @ x", "claim": "2*x.T @ A", "shapes": "", "verdict": "agrees"},
]
JOURNAL = "mixed.jsonl.journal"


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """One run over a sheet of each kind, with all it can write."""
    folder = tmp_path_factory.mktemp("answered")
    (folder / "a.toml").write_text(TOML)
    (folder / "b.jsonl").write_text("".join(json.dumps(table) + "\n" for table in QUICK))
    with open(folder / "c.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(CSV[0]))
        writer.writeheader()
        writer.writerows(CSV)
    options = ["--seed", "7", "--dtype", "float32", "--layout", "vec", "--trials", "2"]
    done = verify(folder, "a.toml", "b.jsonl", "c.csv", *options, "--json", "--junit", "out.xml")
    return folder, done, json.loads(done.stdout)


def test_every_entry_has_its_result_in_the_order_of_the_sheets(answered):
    _, done, answer = answered
    found = [(one["sheet"], one["id"], one["layout"], one["verdict"]) for one in answer["results"]]
    assert found == [
        ("a.toml", "hessian", "numerator", "agrees"),
        ("a.toml", "ax", "denominator", "differs"),
        ("b.jsonl", "affine", "numerator", "agrees"),
        ("b.jsonl", "affine", "denominator", "agrees"),
        ("b.jsonl", "form", "denominator", "differs"),
        ("b.jsonl", "norm", "denominator", "agrees"),
        ("b.jsonl", "no words", "vec", "could not check"),
        ("b.jsonl", "derived", "vec", "agrees"),
        ("b.jsonl", "trace", "vec", "differs"),
        ("b.jsonl", "gram", "denominator", "agrees"),
        ("c.csv", "ax", "vec", "agrees"),
        ("c.csv", "sym", "vec", "differs"),
    ]
    assert done.returncode == 1
    assert answer["version"] == 1
    assert answer["counts"] == {"agrees": 7, "differs": 4, "could not check": 1}
    assert answer["stated"] == {"right": 5, "of": 7}


def test_settings_reach_the_judge(answered):
    _, _, answer = answered
    assert answer["settings"] == {
        "layout": "vec", "trials": 2, "seed": 7, "dtype": "float32", "device": "cpu", "timeout": 60.0, "memory": 4.0,
        "rules": [], "strict": False,
    }  # fmt: skip
    report = answer["results"][0]["report"]
    assert (report["points"], report["seed"], report["dtype"], report["device"]) == (2, 7, "float32", "cpu")


def test_results_tell_what_is_wrong_and_what_is_right(answered):
    by_id = {one["id"]: one for one in answered[2]["results"][:8]}
    assert by_id["ax"]["report"]["fits"] == ["numerator", "torch", "vec"]
    assert by_id["form"]["report"]["symmetric"] == ["A"]
    assert by_id["derived"]["report"]["correct"] == "diag(softmax(x)) - softmax(x) @ softmax(x).T"
    assert by_id["no words"]["report"]["message"].startswith("could not check: '@' cannot stand here")


def test_results_come_as_plain_lines_where_there_is_no_terminal(answered):
    lines = answered[1].stderr.splitlines()
    assert lines[:2] == ["hessian  numerator  agrees", "ax  denominator  differs"]
    assert len(lines) == 12


def test_nothing_is_left_of_a_complete_run(answered):
    assert sorted(path.name for path in answered[0].iterdir()) == ["a.toml", "b.jsonl", "c.csv", "out.xml"]


def test_junit_is_read_back(answered):
    folder, _, answer = answered
    document = JUnitXml.fromfile(str(folder / "out.xml"))
    suites = list(document)
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in suites] == [
        ("a.toml", 2, 1, 0), ("b.jsonl", 8, 2, 1), ("c.csv", 2, 1, 0),
    ]  # fmt: skip
    cases = [case for suite in suites for case in suite]
    assert [case.name for case in cases] == [f"{one['id']} [{one['layout']}]" for one in answer["results"]]
    kinds = {"agrees": [], "differs": [Failure], "could not check": [Error]}
    for case, one in zip(cases, answer["results"], strict=True):
        assert [type(result) for result in case.result] == kinds[one["verdict"]]
        for result in case.result:
            assert result.message in " ".join(one["report"]["message"].split())
            assert f"expression: {one['expression']}" in result.text


def test_no_answer_holds_a_time_or_a_host(answered):
    folder, done, _ = answered
    written = done.stdout + (folder / "out.xml").read_text()
    assert os.uname().nodename not in written.replace("localhost", "")
    assert not re.search(r"\d\d:\d\d|timestamp=|hostname=|time=\"0*\.?0*[1-9]", written)


# --- what goes wrong in a task --------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run with a task that hangs and one that takes too much memory, both followed by others; as a table."""
    folder = tmp_path_factory.mktemp("stopped")
    large = {"id": "large", "expr": "norm(A @ x)", "wrt": "x", "shapes": {"A": [3000, 3000], "x": [3000]}}
    tables = [{**SLOW, "id": "slow"}, QUICK[0], large, QUICK[2]]
    (folder / "hard.jsonl").write_text("".join(json.dumps(table) + "\n" for table in tables))
    return verify(folder, "hard.jsonl", "--timeout", "1", "--memory", "0.05")


def test_a_task_that_hangs_is_stopped_and_the_rest_go_on(stopped):
    assert re.search(r"^slow +numerator +could not check +stopped after 1 s$", stopped.stdout, re.M)
    assert re.search(r"^affine +denominator +agrees +exactly equal in SymPy", stopped.stdout, re.M)
    assert stopped.returncode == 3


def test_a_task_that_takes_too_much_memory_is_stopped_and_the_rest_go_on(stopped):
    reason = re.escape("it needs more than the 0.05 GiB of memory that --memory allows")
    assert re.search(rf"^large +numerator +could not check +{reason}$", stopped.stdout, re.M)
    assert re.search(r"^norm +denominator +agrees +exactly equal in SymPy", stopped.stdout, re.M)


def test_the_table_is_plain_and_counted(stopped):
    lines = stopped.stdout.splitlines()
    assert lines[0].split() == ["id", "layout", "verdict", "found"]
    assert lines[-1] == "agrees: 3, differs: 0, could not check: 2; 1 of 1 as stated in the sheet"
    assert "\x1b" not in stopped.stdout
    assert max(map(len, lines)) <= 120


def test_a_child_that_is_killed_costs_one_task(tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps({**SLOW, "id": "slow"}) + "\n" + json.dumps(QUICK[0]) + "\n")
    with start([*COMMAND, "s.jsonl"], tmp_path) as run:
        os.kill(find_chain(run.pid)[2], signal.SIGKILL)
        out, _ = run.communicate(timeout=60)
    assert "the process that checked it died (signal 9), probably out of memory" in out
    assert "agrees: 2, differs: 0, could not check: 1" in out
    assert run.returncode == 3


def test_nothing_outlives_a_run_that_is_killed(tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps({**SLOW, "id": "slow"}))
    with start([*COMMAND, "s.jsonl"], tmp_path) as run:
        chain = find_chain(run.pid)
        run.kill()
        run.wait()
        wait_until(lambda: not any(map(is_running, chain)))


# --- runs that stop and go on ---------------------------------------------------------------------


@only_in_whole_run()
def test_ctrl_c_keeps_the_results_and_resume_goes_on(tmp_path):
    sheet = make_mixed_sheet(tmp_path)
    terminal = Terminal(tmp_path, sheet)
    wait_until(lambda: count_lines(tmp_path / JOURNAL) == 25)
    terminal.press(b"\x03")
    said = terminal.read()
    assert terminal.process.returncode == 130
    assert "checking" in said  # the bar
    assert f"interrupted; its results so far are in {JOURNAL}" in said
    assert "--resume" in said

    refused = verify(tmp_path, sheet)
    assert refused.returncode == 2
    assert f"{JOURNAL} is left from a run that did not finish" in refused.stderr
    assert count_lines(tmp_path / JOURNAL) == 25

    with open(tmp_path / JOURNAL, "ab") as journal:
        journal.write(b'{"key": "cut o')
    resumed = verify(tmp_path, sheet, "--resume", "--timeout", "1", "--all")
    whole = verify(tmp_path, sheet, "--timeout", "1", "--all")
    assert resumed.stderr.splitlines() == [
        "24 of 26 results taken over from the journal", *whole.stderr.splitlines()[-2:],
    ]  # fmt: skip
    assert resumed.stdout == whole.stdout
    assert resumed.returncode == whole.returncode == 1
    assert not (tmp_path / JOURNAL).exists()


@only_in_whole_run()
def test_what_a_limit_stopped_is_tried_again_under_another(tmp_path):
    (tmp_path / "s.jsonl").write_text("\n".join(json.dumps({**SLOW, "id": f"slow {n}"}) for n in range(2)))
    with start([*COMMAND, "s.jsonl", "--timeout", "0.2"], tmp_path) as run:
        wait_until(lambda: count_lines(tmp_path / "s.jsonl.journal") == 2)
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 143
    assert "ended by SIGTERM; its results so far are in s.jsonl.journal" in said
    kept = (tmp_path / "s.jsonl.journal").read_bytes()
    same = verify(tmp_path, "s.jsonl", "--resume", "--timeout", "0.2")
    assert same.stderr.startswith("1 of 2 results taken over")
    (tmp_path / "s.jsonl.journal").write_bytes(kept)
    other = verify(tmp_path, "s.jsonl", "--resume", "--timeout", "0.3")
    assert "taken over" not in other.stderr
    assert other.stdout.count("stopped after 0.3 s") == 2


@only_in_whole_run()
def test_a_terminal_shows_colours_and_its_own_width(tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps(QUICK[1]))
    coloured = Terminal(tmp_path, "s.jsonl").read()
    plain = Terminal(tmp_path, "s.jsonl", NO_COLOR="1").read()
    assert "\x1b[31mdiffers" in coloured
    assert "\x1b[31m" not in plain
    assert max(len(line.strip()) for line in plain.splitlines() if line.startswith("─")) == 60


# --- rules and refusals ---------------------------------------------------------------------------


def test_own_rules_are_proven_and_used(tmp_path):
    rule = '[thrice]\ndefine = "3*x"\ncall = "thrice(x)"\n'
    (tmp_path / "my.toml").write_text(rule)
    (tmp_path / "s.csv").write_text("id,expr,claim,layout\na,sum(thrice(x)),3*ones(n),denominator\n")
    done = verify(tmp_path, "s.csv", "--rules", "my.toml", "--json")
    result = json.loads(done.stdout)["results"][0]
    assert result["verdict"] == "agrees", result["report"]["message"]
    assert result["report"]["command"].endswith("--rules my.toml")


def test_wrong_rules_are_refused(tmp_path):
    rule = '[mish]\nelementwise = "tanh(softplus(x))"\ntorch = "torch.nn.functional.mish"\nsource = "none"\n'
    (tmp_path / "my.toml").write_text(rule)
    (tmp_path / "s.csv").write_text("expr,claim\nA @ x,A\n")
    done = verify(tmp_path, "s.csv", "--rules", "my.toml", "--json")
    assert done.returncode == 2
    assert "rule [mish] in my.toml is refused: differs" in done.stderr
    assert json.loads(done.stdout)["error"]["kind"] == "RuleError"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.toml", "s.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.toml"], "absent.toml cannot be read"),
        ([], "required: FILE"),
        (["s.csv", "--timeout", "0"], "is not a number above 0"),
        (["s.csv", "--memory", "nan"], "is not a number above 0"),
        (["s.csv", "--dtype", "float16"], "float16"),
        (["s.csv", "--device", "tpu"], "is not cpu, cuda or cuda:N"),
        (["s.csv", "--layout", "rows"], "rows"),
        (["s.csv", "--junit", "absent/out.xml"], "there is no folder for absent/out.xml"),
        (["s.csv", "--rules", "absent.toml"], "absent.toml cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_done(tmp_path, monkeypatch, capsys, arguments, said):
    from matcalc.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.csv").write_text("expr,claim\nA @ x,A\n")
    assert main(["verify", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
