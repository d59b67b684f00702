"""`matcalc explore`: the notebook that it writes, and a real JupyterLab that serves it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from matcalc.cli import main
from matcalc.cli.arguments import UsageError
from matcalc.cli.explore import write_notebook
from tests.requirements import find_absent, need, needs
from tests.write_notebooks import ROOT

PATIENCE = 60  # seconds


def read_code(path):
    cells = json.loads(path.read_text())["cells"]
    return [cell["source"] for cell in cells if cell["cell_type"] == "code"]


# --- the notebook ---------------------------------------------------------------------------------


def test_the_notebook_says_what_to_press_and_calls_the_explorer(tmp_path):
    path = write_notebook(tmp_path)
    assert path == tmp_path / "matcalc-explorer.ipynb"
    assert read_code(path) == ["import matcalc\n\nmatcalc.explore()"]
    assert "Shift+Enter" in json.loads(path.read_text())["cells"][0]["source"]


@needs("nbformat")
def test_the_notebook_is_one_to_jupyter(tmp_path):
    import nbformat

    nbformat.validate(nbformat.read(write_notebook(tmp_path, "A@x"), as_version=4))


@pytest.mark.parametrize("expression", ["A@x", "norm(X, 'nuc')", 'p = softmax(x)\n"p"', "α*x"])
def test_the_expression_reaches_the_call(tmp_path, expression):
    (code,) = read_code(write_notebook(tmp_path, expression))
    called = []
    exec(code.replace("import matcalc\n", "").replace("matcalc.explore", "called.append"), {"called": called})
    assert called == [expression]


@needs("nbformat")
def test_a_notebook_that_is_there_is_used_again(tmp_path):
    import nbformat

    first = write_notebook(tmp_path, "A@x")
    notebook = nbformat.read(first, as_version=4)
    notebook.cells[1].execution_count = 1
    notebook.cells.append(nbformat.v4.new_code_cell(""))
    nbformat.write(notebook, first)
    saved = first.read_text()
    assert write_notebook(tmp_path, "A@x") == first
    assert first.read_text() == saved


@pytest.mark.parametrize("content", ["mine", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code", "source": "1"}]}'])
def test_a_file_of_another_content_stays_as_it_is(tmp_path, content):
    (tmp_path / "matcalc-explorer.ipynb").write_text(content)
    assert write_notebook(tmp_path).name == "matcalc-explorer-2.ipynb"
    assert write_notebook(tmp_path, "A@x").name == "matcalc-explorer-3.ipynb"
    assert write_notebook(tmp_path).name == "matcalc-explorer-2.ipynb"
    assert (tmp_path / "matcalc-explorer.ipynb").read_text() == content


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_notebook(tmp_path / "nowhere")
    assert caught.value.advice


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "²"])
def test_a_port_that_cannot_be_is_refused(port, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["explore", f"--port={port}"]) == 2
    assert "is not a port from 1 to 65535" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_without_jupyterlab_it_says_what_to_install(tmp_path):
    absent = "import sys; sys.modules['jupyterlab'] = None"
    code = f"{absent}; from matcalc.cli import main; sys.exit(main(['explore']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    missing = ", ".join(["jupyterlab", *(name for name in ("ipykernel", "ipywidgets") if find_absent(name))])
    assert done.stderr == (
        f"error: the explorer needs what is not installed: {missing}\n"
        "  try: in the clone of matcalc: pip install -c constraints.txt '.[notebook]'\n"
    )
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def folders(tmp_path):
    need("jupyterlab")
    for name in ("work", "home", "runtime"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def explorer(folders):
    """The command as a person starts it, in a folder and with settings of its own; ended with the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"HOME": folders / "home", "JUPYTER_RUNTIME_DIR": folders / "runtime", "PYTHONPATH": ROOT}
    words = ["explore", "A @ x", "--no-browser", "--allow-root", f"--port={port}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    with (folders / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "matcalc", *words], cwd=folders / "work", stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=kept | {name: str(value) for name, value in own.items()},
        )  # fmt: skip
        yield process, port
        process.terminate()
        process.wait(PATIENCE)


def await_server(folder, process):
    """What JupyterLab writes down about itself once it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for path in (folder / "runtime").glob(f"jpserver-{process.pid}.json"):
            if text := path.read_text():
                return json.loads(text)
        time.sleep(0.1)
    pytest.fail((folder / "log").read_text())


def test_jupyterlab_serves_the_notebook(folders, explorer):
    process, port = explorer
    server = await_server(folders, process)
    assert server["port"] == port
    assert server["pid"] == process.pid, "the command becomes JupyterLab, so that Ctrl+C reaches it once"
    address, token = server["url"], server["token"]
    with urllib.request.urlopen(f"{address}api/contents/matcalc-explorer.ipynb?token={token}") as answer:
        content = json.load(answer)["content"]
    assert content["cells"][1]["source"] == "import matcalc\n\nmatcalc.explore('A @ x')"
    with urllib.request.urlopen(f"{address}lab/tree/matcalc-explorer.ipynb?token={token}") as answer:
        assert "JupyterLab" in answer.read().decode()
    log = (folders / "log").read_text()
    assert log.startswith("JupyterLab opens matcalc-explorer.ipynb of this folder")
    assert f"/lab/tree/matcalc-explorer.ipynb?token={token}" in log
