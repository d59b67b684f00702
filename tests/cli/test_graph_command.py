"""`matcalc graph` as a person or a script meets it."""

from __future__ import annotations

import argparse
import json

import pytest

from matcalc.cli.arguments import UsageError
from matcalc.cli.graph import add_graph, read_sizes
from matcalc.errors import MatcalcError


@pytest.fixture
def run(capsys):
    """Return a function that runs the command in this process and gives its output."""

    def run_command(*arguments):
        parser = argparse.ArgumentParser()
        add_graph(parser.add_subparsers())
        options = parser.parse_args(["graph", *arguments])
        assert options.run(options) == 0
        return capsys.readouterr().out

    return run_command


def test_text(run):
    out = run("norm(A@x - b)**2", "--wrt", "x", "--vars", "A: m,n", "--sizes", "m=100, n=1000")
    assert out.startswith("node  operator  formula   shape\nx     input               (n,)\n")
    assert "∂v3/∂v2  v2.T/v3           (m,)    m\n" in out
    assert "  multiplications  m*n + m + 1 = 100,101\n" in out
    assert out.endswith("here 1,000 times as many.\n")


def test_other_formats(run):
    assert run("A@x", "--format", "dot").startswith("digraph {\n")
    assert run("A@x", "--format", "mermaid").startswith("flowchart BT\n")
    assert run("A@x", "--format", "svg").startswith("<svg ")


def test_json(run):
    graph = json.loads(run("A@x", "--json", "--sizes", "m=2,n=3"))["graph"]
    assert graph["edges"][0]["derivative"] == "A"
    assert graph["forward"]["numbers"]["multiplications"] == 18


def test_the_ending_tells_the_format(run, tmp_path):
    assert run("A@x", "--output", str(tmp_path / "graph.gv")) == ""
    assert (tmp_path / "graph.gv").read_text().startswith("digraph {")
    run("A@x", "--output", str(tmp_path / "graph.md"), "--format", "mermaid")
    assert (tmp_path / "graph.md").read_text().startswith("flowchart BT")
    run("A@x", "--output", str(tmp_path / "graph.png"))
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_cannot_be_written(run, tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        run("A@x", "--output", str(tmp_path / "none" / "graph.dot"))


def test_several_variables_are_refused(run):
    with pytest.raises(MatcalcError):
        run("A@x", "--wrt", "A,x")


def test_sizes_are_read():
    assert read_sizes("m=3, n = 5") == {"m": 3, "n": 5}
    for text in ("m", "m=x", "m=3 n=5", "m=-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a size"):
            read_sizes(text)
