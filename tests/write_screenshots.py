"""Writes the pictures of docs/explorer.md from the real page: `python -m tests.write_screenshots` from the root.

Needs what the browser's tests need: JupyterLab, chromium and chromedriver.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.notebook.explorer_panel import ANSWER, ERROR, EXPRESSION, JUDGEMENT, PANEL, TABS, ExplorerPanel, NotebookPage
from tests.notebook.jupyterlab_session import Lab, run_browser, run_lab

DOCS = Path(__file__).parents[1] / "docs"
_LIGHT, _DARK = "JupyterLab Light", "JupyterLab Dark"
_COLOURS = 200  # enough for letters and heat maps, and half the bytes
_OUTPUT = ".jp-OutputArea-output"


def write_screenshots() -> None:
    """Writes every picture, each from a notebook of its own."""
    with tempfile.TemporaryDirectory() as folder, run_lab(Path(folder)) as lab, open_browser(lab) as browser:
        lab.choose_theme(_LIGHT)
        for show in (show_layouts, show_claim, show_error, show_result):
            show(browser, lab)
        lab.choose_theme(_DARK)
        show_numbers_in_the_dark(browser, lab)


def open_browser(lab: Lab) -> AbstractContextManager[Any]:
    return run_browser(lab.home / "profile", window=(1180, 2400))


def show_layouts(browser: Any, lab: Lab) -> None:
    panel = ExplorerPanel(browser, lab)
    panel.open_explorer("layouts")
    panel.enter(EXPRESSION, "A @ X @ B")
    panel.await_text(ANSWER, "numerator layout, shape (m, l, k, n)")
    panel.choose_layout("denominator")
    panel.await_text(ANSWER, "denominator layout, shape (n, k, l, m)", "agrees")
    panel.wait(lambda: len(panel.read_mathematics(TABS)) > 3, "typeset steps")
    save(panel, PANEL, "explorer.png")


def show_claim(browser: Any, lab: Lab) -> None:
    panel = ExplorerPanel(browser, lab)
    panel.open_explorer("claim", "matcalc.explore('x.T @ A @ x', layout='denominator', claim='2*A @ x')")
    panel.await_text(JUDGEMENT, "differs")
    panel.wait(lambda: panel.list_pictures(JUDGEMENT) and panel.read_mathematics(JUDGEMENT), "claim and truth")
    panel.wait(lambda: panel.read_mathematics(TABS), "typeset steps")
    save(panel, PANEL, "explorer-claim.png")


def show_error(browser: Any, lab: Lab) -> None:
    panel = ExplorerPanel(browser, lab)
    panel.open_explorer("error")
    panel.enter(EXPRESSION, "x @ A")
    panel.await_text(ERROR, "^^^^^")
    save(panel, PANEL, "explorer-error.png")


def show_numbers_in_the_dark(browser: Any, lab: Lab) -> None:
    panel = ExplorerPanel(browser, lab)
    panel.open_explorer("numbers", "matcalc.explore('softmax(A @ x)')")
    panel.open_tab("heat map")
    panel.await_text(TABS, "shape (")
    save(panel, PANEL, "explorer-dark.png")


def show_result(browser: Any, lab: Lab) -> None:
    page = NotebookPage(browser, lab)
    page.open("result", "import matcalc\nmatcalc.derive('norm(A@x - b)**2', layout='denominator')")
    page.run_cell()
    page.await_text(_OUTPUT, "agrees")
    page.click_named(f"{_OUTPUT} summary", "steps")
    page.wait(lambda: len(page.read_mathematics(_OUTPUT)) > 6, "typeset steps")
    save(page, ".jp-OutputArea-output .matcalc", "explorer-result.png")


def save(page: NotebookPage, selector: str, name: str) -> None:
    """Writes what can be seen at a place as a picture of few colours."""
    from PIL import Image

    page.await_rest()
    page.browser.execute_script("document.activeElement.blur()")  # no caret, so that two runs give one picture
    seen = Image.open(io.BytesIO(page.find(selector).screenshot_as_png)).convert("RGB")
    seen.quantize(_COLOURS, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)


if __name__ == "__main__":
    write_screenshots()
