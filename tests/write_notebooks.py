"""Runs the notebooks and saves them with what they answered, so that a reader sees it without running anything.

`python -m tests.write_notebooks` from the root of the repository; names, such as 2_two_layouts, choose some of them.
Where cells or their tags have changed, `python -m tests.write_course` comes after it.
What changes with the clock or the machine is not saved: times of execution, the version of Python, states of widgets.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
PATIENCE = 120  # seconds that one cell may take


# --- running --------------------------------------------------------------------------------------


def list_notebooks(folder: Path = FOLDER) -> list[Path]:
    """Return the notebooks in the order of their numbers."""
    return sorted(folder.glob("*.ipynb"), key=lambda path: (int(path.stem.partition("_")[0]), path.stem))


def run_notebook(notebook: NotebookNode, folder: Path = FOLDER) -> NotebookNode:
    """Run a copy of the notebook in a fresh kernel, in a copy of its folder, and return it without what may differ.

    Raises CellExecutionError for a cell that fails without being tagged raises-exception.
    """
    import nbformat
    from nbclient import NotebookClient

    run = nbformat.from_dict(notebook)
    with tempfile.TemporaryDirectory() as temporary:
        place = shutil.copytree(folder, Path(temporary) / folder.name)
        resources = {"metadata": {"path": str(place)}}
        client = NotebookClient(run, km=_make_kernel_manager(), timeout=PATIENCE, resources=resources)
        client.execute(env=_choose_environment(temporary))
    return clean_notebook(run)


def _make_kernel_manager() -> Any:
    """Every kernel is this Python: whatever kernels a user has installed stay out of it."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class OwnPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name=kernel_name, language="python")

    return AsyncKernelManager(kernel_spec_manager=OwnPython())


def _choose_environment(folder: str) -> dict[str, str]:
    """The environment of the kernel: this repository, one thread, and no settings of the user's IPython."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "MATCALC_DEBUG")}
    own = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": f"{folder}/ipython", "OMP_NUM_THREADS": "1"}
    return kept | own | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # a warning of the debugger, which nobody uses here


# --- cleaning -------------------------------------------------------------------------------------


def clean_notebook(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook, in place, without what changes from one run to the next; ids and tags stay."""
    import nbformat

    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell.outputs = _join_streams(output for output in cell.outputs if not _is_widget(output))
    return notebook


def _is_widget(output: NotebookNode) -> bool:
    """A widget is alive in a kernel only; a page without one has nothing to show."""
    return WIDGET in output.get("data", {})


def _join_streams(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed in several pieces, which depends on how fast it was."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def main(names: list[str]) -> None:
    chosen = [path for path in list_notebooks() if not names or path.stem in names]
    if unknown := {*names} - {path.stem for path in chosen}:
        raise SystemExit(f"there is no notebook {', '.join(sorted(unknown))} in {FOLDER}")
    import nbformat

    for path in chosen:
        notebook = run_notebook(nbformat.read(path, as_version=4))
        nbformat.write(notebook, path)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main([name.removesuffix(".ipynb").removeprefix("notebooks/") for name in sys.argv[1:]])
