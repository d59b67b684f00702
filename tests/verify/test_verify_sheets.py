"""What stands in a sheet, what is to be done for it, and the journal of what was done."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from matcalc.errors import DeclarationError, RuleError
from matcalc.verify.journal import HEADER, Journal
from matcalc.verify.read_sheet import SheetEntry, read_sheet
from matcalc.verify.run import Ranks
from matcalc.verify.tasks import RunSettings, find_keys, list_tasks

CASES = Path(__file__).parents[1] / "cases"
CPU = RunSettings(device="cpu")

# --- sheets ---------------------------------------------------------------------------------------

TOML = """
[[case]]
id = "ax"
source = "a field that nobody asked for"
expr = "A @ x"
wrt = "x"
shapes = { A = ["m", "n"], x = ["n"] }
domain = { A = "real" }
order = 1
numerator = "A"
denominator = "A.T"
verdict = "agrees"
"""
ENTRY = SheetEntry(
    "", "ax", "A @ x", "x", {"A": ["m", "n"], "x": ["n"]}, {"A": "real"}, 1, None, None,
    {"numerator": "A", "denominator": "A.T"}, "agrees",
)  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def write_csv(tables, delimiter=","):
    lines = []
    writer = csv.DictWriter(_Lines(lines), list(tables[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(tables)
    return "".join(lines)


class _Lines:
    def __init__(self, lines):
        self.write = lines.append


def test_toml(write):
    path = write("a.toml", TOML)
    assert read_sheet(path) == [replace(ENTRY, sheet=str(path))]


def test_json_lines(write):
    table = {"id": "ax", "expr": "A @ x", "wrt": "x", "shapes": ENTRY.shapes, "domain": ENTRY.assume, **ENTRY.forms}
    path = write("a.jsonl", "\n" + json.dumps(table | {"verdict": "agrees", "note": 3}) + "\n\n")
    assert read_sheet(path) == [replace(ENTRY, sheet=str(path))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv(write, delimiter, mark):
    declared = {"shapes": "A: m,n; x: n", "domain": "A: real", "order": "1", "claim": ""}
    table = {"id": "ax", "expr": "A @ x", "wrt": "x", **declared, **ENTRY.forms, "verdict": "agrees", "who": "me"}
    path = write("a.csv", mark + write_csv([table], delimiter).encode())
    assert read_sheet(path) == [replace(ENTRY, sheet=str(path), shapes="A: m,n; x: n", assume="A: real")]


def test_every_sheet_of_these_tests_is_read():
    for path in {*CASES.glob("*.toml")} - {*CASES.glob("written*.toml"), CASES / "backwards.toml"}:
        entries = read_sheet(path)
        assert all(entry.id and entry.expr for entry in entries)
    claims = read_sheet(CASES / "claims.toml")
    assert {entry.expected for entry in claims} == {"agrees", "differs"}
    assert all(entry.claim for entry in claims)


def test_an_entry_without_an_id_is_called_after_its_place(write):
    path = write("sheet.csv", "expr,claim\nA @ x,A\nx.T @ x,2*x.T\n")
    assert [entry.id for entry in read_sheet(path)] == ["sheet-1", "sheet-2"]


WRONG_SHEETS = {
    "no file": ("absent.toml", None, "absent.toml cannot be read: No such file"),
    "a kind unknown": ("a.xlsx", "", "a.xlsx is not a sheet that can be read"),
    "nothing in it": ("a.jsonl", "\n", "a.jsonl has no entries"),
    "no text": ("a.csv", b"expr\n\xff\xfe", "a.csv is not text in UTF-8"),
    "broken toml": ("a.toml", "[[case]]\nid = \n", "a.toml is not TOML: Invalid value (at line 2"),
    "one bracket": ("a.toml", "[case]\nexpr = 'x'\n", "case is not a list of tables"),
    "no expr": ("a.toml", "[[case]]\nid = 'ax'\n", "case 1 (ax) has no expr"),
    "no claim": ("a.toml", "[[claim]]\nexpr = 'A @ x'\n", "claim 1 has no claim"),
    "broken json": ("a.jsonl", '{"expr": "x"}\n{"expr": \n', "a.jsonl, line 2 is not JSON"),
    "deep json": ("a.jsonl", "[" * 100_000, "a.jsonl, line 1 is not JSON"),
    "no object": ("a.jsonl", '["A @ x"]\n', "a.jsonl, line 1 is not a JSON object"),
    "no header": ("a.csv", "A @ x,A\n", "a.csv, line 1: the header has no column expr"),
    "too many cells": ("a.csv", "id,expr,shapes\nax,A @ x,A: m,n\n", "a.csv, line 2 has more cells than the header"),
    "open quotes": ("a.csv", 'id,expr\nax,"A @ x\n', "is not CSV: unexpected end of data"),
    "no text in expr": ("a.toml", "[[case]]\nid = 'ax'\nexpr = ['x']\n", "case 1 (ax): expr is a text, not ['x']"),
    "shapes by place": ("a.jsonl", '{"expr": "x", "shapes": [3]}', "a.jsonl, line 1: shapes is not given by name"),
    "order of words": ("a.jsonl", '{"expr": "x", "order": "two"}', "order is a whole number, not 'two'"),
    "a verdict unknown": ("a.csv", "expr,verdict\nx,maybe\n", "a.csv, line 2: 'maybe' is not a verdict"),
}


@pytest.mark.parametrize(("name", "text", "said"), WRONG_SHEETS.values(), ids=WRONG_SHEETS)
def test_a_sheet_that_cannot_be_read_says_where_and_why(write, tmp_path, name, text, said):
    path = tmp_path / name if text is None else write(name, text)
    with pytest.raises(DeclarationError) as caught:
        read_sheet(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


# --- tasks ----------------------------------------------------------------------------------------


def list_layouts(**fields):
    return [(task.layout, task.claim) for task in list_tasks([SheetEntry("a.toml", "ax", "A @ x", **fields)], "mixed")]


def test_a_case_is_a_task_for_each_closed_form():
    assert list_layouts(forms={"numerator": "A", "vec": "A"}) == [("numerator", "A"), ("vec", "A")]


def test_a_claim_is_judged_in_its_layout():
    assert list_layouts(claim="A", layout="torch") == [("torch", "A")]
    assert list_layouts(claim="A") == [("mixed", "A")]


def test_a_case_without_closed_form_is_derived():
    assert list_layouts() == [("mixed", None)]


def test_ids_that_stand_twice_are_told_apart():
    entries = [SheetEntry("a.toml", "ax", "A @ x", claim=claim) for claim in ("A", "A.T", "A")]
    assert [task.id for task in list_tasks([*entries, SheetEntry("b.toml", "ax", "A @ x")], "vec")] == [
        "ax", "ax#2", "ax#3", "ax",
    ]  # fmt: skip


def test_keys_hold_all_that_a_result_depends_on(write):
    rules = write("my.toml", "[twice]\n")
    task = list_tasks([SheetEntry("a.toml", "ax", "A @ x", claim="A", expected="agrees")], "numerator")[0]
    same = [
        (task, CPU), (replace(task, expected="differs"), CPU), (replace(task, sheet="elsewhere/a.toml"), CPU),
        (task, replace(CPU, timeout=1.0, memory=1.0)),
    ]  # fmt: skip
    others = [
        (replace(task, **{field: "B"}), CPU) for field in ("id", "layout", "expr", "wrt", "shapes", "assume", "claim")
    ] + [(replace(task, order=2), CPU)]
    others += [(task, replace(CPU, **change)) for change in (
        {"seed": 1}, {"trials": 1}, {"dtype": "float32"}, {"device": "cuda:1"}, {"rules": (str(rules),)},
    )]  # fmt: skip
    assert len({key for one, settings in same for key in find_keys([one], settings)}) == 1
    assert len({key for one, settings in [same[0], *others] for key in find_keys([one], settings)}) == len(others) + 1


def test_keys_know_the_rules_and_not_only_their_file(write):
    tasks = list_tasks([SheetEntry("a.toml", "ax", "A @ x")], "numerator")
    path = write("my.toml", "[twice]\n")
    settings = replace(CPU, rules=(str(path),))
    before = find_keys(tasks, settings)
    path.write_text("[thrice]\n")
    assert find_keys(tasks, settings) != before
    path.unlink()
    with pytest.raises(RuleError, match="cannot be read"):
        find_keys(tasks, settings)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 6, 7, 20])
def test_work_is_split_as_by_the_distributed_sampler(world, count):
    from torch.utils.data import DistributedSampler

    seen = []
    for rank in range(world):
        ranks = Ranks()
        ranks.rank, ranks.world = rank, world
        own = list(ranks.split(range(count)))
        theirs = list(DistributedSampler(range(count), world, rank, shuffle=False)) if count else []
        assert own == theirs[: len(own)]
        assert len(theirs) - len(own) <= 1  # what the sampler deals out twice
        seen += own
    assert sorted(seen) == list(range(count))


# --- the journal ----------------------------------------------------------------------------------


def make_finding(verdict="agrees", limits=None):
    return {"report": {"verdict": verdict, "message": "Ω"}, "limits": limits}


def test_a_journal_gives_back_what_it_was_given(tmp_path):
    journal = Journal(tmp_path / "j")
    assert journal.read() == {}
    for key in ("a", "b"):
        journal.add(key, make_finding())
    assert Journal(tmp_path / "j").read() == {"a": make_finding(), "b": make_finding()}
    journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", range(1, 30, 7))
def test_a_line_that_was_cut_off_is_dropped_and_written_anew(tmp_path, lost):
    path = tmp_path / "j"
    first = Journal(path)
    for key in ("a", "b"):
        first.add(key, make_finding())
    first.close()
    path.write_bytes(path.read_bytes()[:-lost])
    second = Journal(path)
    assert second.read() == {"a": make_finding()}
    second.add("c", make_finding())
    second.close()
    assert list(Journal(path).read()) == ["a", "c"]
    assert path.read_bytes().startswith(HEADER)


@pytest.mark.parametrize("kept", range(len(HEADER)))
def test_a_journal_cut_off_in_its_first_line_is_empty(tmp_path, kept):
    path = tmp_path / "j"
    path.write_bytes(HEADER[:kept])
    journal = Journal(path)
    assert journal.read() == {}
    journal.add("a", make_finding())
    journal.close()
    assert list(Journal(path).read()) == ["a"]


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"key": 3, "finding": 1}', b"\xff", b'{"key": "a"}', b""])
def test_a_damaged_line_is_done_again(tmp_path, damaged):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.add("b", make_finding())
    journal.close()
    path.write_bytes(HEADER + damaged + b"\n" + path.read_bytes().removeprefix(HEADER))
    assert list(journal.read()) == ["b"]


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    path = tmp_path / "sheet.toml"
    path.write_text(TOML)
    with pytest.raises(DeclarationError, match="is not a journal"):
        Journal(path).read()
    with pytest.raises(DeclarationError, match="did not finish"):
        Journal(path).refuse_leftovers()
    assert path.read_text() == TOML


def test_the_journals_of_all_processes_are_read_and_removed(tmp_path):
    for rank in (None, 0, 3):
        journal = Journal(tmp_path / "j[1]", rank)
        journal.add(f"of {rank}", make_finding())
        journal.close()
    (tmp_path / "j[1]x").write_text("of somebody else")
    assert set(Journal(tmp_path / "j[1]", 1).read()) == {"of None", "of 0", "of 3"}
    Journal(tmp_path / "j[1]").remove()
    assert [path.name for path in tmp_path.iterdir()] == ["j[1]x"]


def test_a_journal_is_written_by_one_run_at_a_time(tmp_path):
    first, second = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    first.add("a", make_finding())
    with pytest.raises(DeclarationError, match="being written by another run"):
        second.add("b", make_finding())
    assert list(second.read()) == ["a"]
    first.close()
    second.add("b", make_finding())
    second.close()


def test_a_journal_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(DeclarationError, match="cannot be written: No such file"):
        Journal(tmp_path / "absent" / "j").add("a", make_finding())
