"""`torchrun -m matcalc verify` with real processes: the same answer from any number, and no waiting for the dead."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import ExitStack

import pytest
from junitparser import JUnitXml

from tests.sampling import only_in_whole_run
from tests.verify.verify_runs import (
    COMMAND,
    QUICK,
    SLOW,
    count_lines,
    find_chain,
    list_children,
    make_environment,
    make_mixed_sheet,
    start,
    verify,
    verify_with_torchrun,
    wait_until,
    write_torchrun,
)

ANSWER = ("--timeout", "1", "--json", "--junit", "out.xml")
JOURNAL = "mixed.jsonl.journal"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one process answers: stdout, JUnit XML, and the lines on stderr."""
    folder = tmp_path_factory.mktemp("whole")
    done = verify(folder, make_mixed_sheet(folder).name, *ANSWER)
    assert done.returncode == 1, done.stderr
    return done.stdout, (folder / "out.xml").read_bytes(), sorted(done.stderr.splitlines())


def list_result_lines(said):
    return sorted(line for line in said.splitlines() if line.endswith(("  agrees", "  differs", "  could not check")))


@only_in_whole_run()
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_gives_the_same_answer(tmp_path, whole, processes):
    done = verify_with_torchrun(tmp_path, processes, make_mixed_sheet(tmp_path).name, *ANSWER)
    stdout, junit, lines = whole
    assert done.stdout == stdout
    assert (tmp_path / "out.xml").read_bytes() == junit
    assert list_result_lines(done.stderr) == lines
    assert done.returncode == 1  # torchrun's own, as something differs
    assert "exit code 1: the answer is complete" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.jsonl", "out.xml"]


@only_in_whole_run()
def test_a_dead_process_ends_the_run_and_another_number_of_processes_goes_on(tmp_path, whole):
    """Kill one of two that are both in a task of minutes; three go on from the two journals."""
    sheet = make_mixed_sheet(tmp_path).name
    with start(write_torchrun(2, sheet, "--timeout", "600"), tmp_path) as torchrun:
        files = [tmp_path / f"{JOURNAL}.rank{rank}" for rank in range(2)]
        wait_until(lambda: [count_lines(path) for path in files] == [13, 13])
        os.kill(list_children(torchrun.pid)[-1], signal.SIGKILL)
        out, said = torchrun.communicate(timeout=60)
    assert torchrun.returncode == 1
    assert out == ""
    assert "ended by torchrun: another process of the run died" in said
    assert "its results so far are in " + JOURNAL in said
    assert "try: run the same command with --resume to go on" in said

    alone = verify(tmp_path, sheet, *ANSWER)
    assert alone.returncode == 2
    assert f"{JOURNAL}.rank0 is left from a run that did not finish" in alone.stderr

    resumed = verify_with_torchrun(tmp_path, 3, sheet, *ANSWER, "--resume")
    assert "24 of 26 results taken over from the journal" in resumed.stderr
    assert len(list_result_lines(resumed.stderr)) == 2
    assert (resumed.stdout, (tmp_path / "out.xml").read_bytes()) == whole[:2]
    assert not list(tmp_path.glob("*.journal*"))


def start_rank(stack, folder, rank, port, *arguments):
    """Start one of two processes as torchrun would on a machine of its own, with files of its own."""
    place = {"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
    environment = make_environment(**place, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    return stack.enter_context(start([*COMMAND, *arguments], folder, env=environment))


def find_free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@only_in_whole_run()
def test_machines_that_share_no_files_share_what_they_found(tmp_path):
    """The first has done its part and waits when the second dies; then both go on."""
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        tables = [QUICK[2], {**SLOW, "id": "slow"}]
        (tmp_path / str(rank) / "s.jsonl").write_text("".join(json.dumps(table) + "\n" for table in tables))
    with ExitStack() as stack:
        port = find_free_port()
        first, second = (start_rank(stack, tmp_path / str(rank), rank, port, "s.jsonl") for rank in range(2))
        wait_until((tmp_path / "0" / "s.jsonl.journal.rank0").exists)
        find_chain(second.pid)
        second.kill()
        _, said = first.communicate(timeout=60)
    assert first.returncode == 3
    assert "process 0: another process of the run has died; its results so far are in s.jsonl.journal.rank0" in said

    with ExitStack() as stack:
        port = find_free_port()
        options = ("s.jsonl", "--resume", "--timeout", "0.5")
        first, second = (start_rank(stack, tmp_path / str(rank), rank, port, *options) for rank in range(2))
        out, said = first.communicate(timeout=60)
        nothing, _ = second.communicate(timeout=60)
    assert said.splitlines()[:2] == ["1 of 2 results taken over from the journal", "slow  numerator  could not check"]
    assert "agrees: 1, differs: 0, could not check: 1" in out
    assert (nothing, first.returncode, second.returncode) == ("", 3, 0)
    assert [path.name for path in sorted(tmp_path.glob("*/*"))] == ["s.jsonl"] * 2


def test_an_error_is_said_once(tmp_path):
    done = verify_with_torchrun(tmp_path, 2, "absent.toml", "--json", "--junit", "out.xml")
    assert done.stderr.count("error: absent.toml cannot be read") == 1
    assert json.loads(done.stdout)["error"]["kind"] == "DeclarationError"
    assert not list(tmp_path.iterdir())


@only_in_whole_run()
def test_the_answer_of_one_process_is_whole(whole):
    """The others are compared with it; it must not be empty."""
    answer = json.loads(whole[0])
    assert answer["counts"] == {"agrees": 15, "differs": 6, "could not check": 5}
    assert [one["report"]["message"] for one in answer["results"][-2:]] == ["could not check: stopped after 1 s"] * 2
    assert sum(suite.tests for suite in JUnitXml.fromstring(whole[1])) == 26
