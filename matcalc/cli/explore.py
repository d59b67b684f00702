"""The command `matcalc explore`: JupyterLab, opened on a notebook with the explorer in it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from matcalc.cli.arguments import UsageError, read_expression, read_whole_number
from matcalc.errors import INSTALL_NOTEBOOK, MatcalcError

NAME = "matcalc-explorer"
_NEEDED = ("jupyterlab", "ipykernel", "ipywidgets")
_HOW = (
    "Press **Shift+Enter** in the cell below: the explorer opens under it.\n\n"
    "Type an expression, choose the variable and the layout, and read the derivative, its shape and the verdict."
)


def add_explore(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("explore", help="open the explorer in JupyterLab", prog="matcalc explore")
    add = parser.add_argument
    add("expression", nargs="?", metavar="EXPR", type=str.strip, help='what to begin with, such as "A@x"')
    add("--no-browser", action="store_true", help="print the address instead of opening it")
    port = partial(read_whole_number, allowed=range(1, 65536), told="a port from 1 to 65535")
    add("--port", type=port, metavar="N", help="of the server (default: 8888, or the next that is free)")
    add("--allow-root", action="store_true", help="run JupyterLab as root, which it refuses otherwise")
    parser.set_defaults(run=open_explorer)


def open_explorer(options: argparse.Namespace) -> int:
    """Write the notebook and become JupyterLab; does not return."""
    _check_installed()
    path = write_notebook(Path.cwd(), read_expression(options.expression or ""))
    print(f"JupyterLab opens {path.name} of this folder: press Shift+Enter in it; Ctrl+C here ends it", flush=True)
    command = [sys.executable, "-m", "jupyterlab", path.name, *_list_server_options(options, path.name)]
    # A process of its own would leave two to hear Ctrl+C, and JupyterLab asks back.
    os.execv(sys.executable, command)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"the explorer needs what is not installed: {', '.join(missing)}"
        raise MatcalcError(reason, advice=INSTALL_NOTEBOOK)


def _list_server_options(options: argparse.Namespace, name: str) -> list[str]:
    chosen = [f"--LabApp.default_url=/lab/tree/{name}"]  # the address that --no-browser prints leads there as well
    chosen += [f"--port={options.port}"] if options.port else []
    return chosen + [f"--{flag}" for flag in ("no-browser", "allow-root") if getattr(options, flag.replace("-", "_"))]


# --- the notebook ---------------------------------------------------------------------------------


def write_notebook(folder: Path, expression: str = "") -> Path:
    """Write the notebook with the explorer, unless it is there, and return its path; other files stay as they are.

    Raises UsageError where the folder cannot be written.
    """
    call = f"import matcalc\n\nmatcalc.explore({expression!r})" if expression else "import matcalc\n\nmatcalc.explore()"
    names = (f"{NAME}-{number}.ipynb" if number > 1 else f"{NAME}.ipynb" for number in count(1))
    return next(path for path in map(folder.joinpath, names) if _create(path, call) or _list_code(path) == [call])


def _create(path: Path, call: str) -> bool:
    """Write a new file; False where there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_write_content(call))
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", advice="go to another folder") from None
    return True


def _write_content(call: str) -> str:
    code: dict[str, Any] = {"cell_type": "code", "id": "explorer", "metadata": {}, "execution_count": None}
    cells = [
        {"cell_type": "markdown", "id": "how", "metadata": {}, "source": _HOW},
        code | {"outputs": [], "source": call},
    ]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"


def _list_code(path: Path) -> list[str] | None:
    """Return the source of each code cell that is not empty; what is no notebook has None."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        return [source for source in sources if source.strip()]  # Shift+Enter in the last cell adds an empty one
    except (OSError, ValueError, KeyError, TypeError):
        return None
