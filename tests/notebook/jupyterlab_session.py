"""A real JupyterLab and a real headless Chromium, as a person would have them on the screen.

Both live in a temporary folder: nothing of the user's settings, kernels or notebooks is read, and nothing is fetched
from a network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds: two busy cores import torch and start a kernel within them
_CHROMIUM_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage "
    "--force-color-profile=srgb"
).split()


# --- what must be there ---------------------------------------------------------------------------


def find_program(*names: str) -> str | None:
    """The path of the first of these programs that is installed."""
    return next((found for name in names if (found := shutil.which(name))), None)


def find_chromium() -> str | None:
    return find_program("chromium", "chromium-browser", "google-chrome")


def find_chromedriver() -> str | None:
    return find_program("chromedriver")


def name_missing_parts() -> list[str]:
    """What this machine lacks for a notebook in a browser, empty where nothing is missing."""
    modules = [name for name in ("jupyterlab", "ipykernel", "ipywidgets", "selenium") if not _is_installed(name)]
    programs = {"chromium": find_chromium(), "chromedriver": find_chromedriver()}
    return modules + [name for name, path in programs.items() if path is None]


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# --- JupyterLab -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: `url` with the port that was free, `token`, and the folders of its own."""

    url: str
    token: str
    home: Path

    @property
    def notebooks(self) -> Path:
        return self.home / "notebooks"

    def write_notebook(self, name: str, cells: list[str]) -> None:
        """Writes a notebook of code cells, none of them run, beside the others."""
        content = {"nbformat": 4, "nbformat_minor": 5, "metadata": _METADATA, "cells": []}
        content["cells"] = [_write_cell(number, source) for number, source in enumerate(cells)]
        (self.notebooks / f"{name}.ipynb").write_text(json.dumps(content))

    def address_of(self, name: str) -> str:
        """Where a browser finds the notebook, alone on the page."""
        return f"{self.url}doc/tree/{name}.ipynb?token={self.token}"

    def choose_theme(self, theme: str) -> None:
        """Sets the theme, "JupyterLab Light" or "JupyterLab Dark", of the pages opened from now on."""
        write_settings(self.home, "apputils-extension", "themes", {"theme": theme})


_METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def _write_cell(number: int, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": f"cell-{number}", "source": source,
        "metadata": {}, "outputs": [], "execution_count": None,
    }  # fmt: skip


def write_settings(home: Path, extension: str, plugin: str, settings: Mapping[str, object]) -> None:
    folder = home / "settings" / "@jupyterlab" / extension
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{plugin}.jupyterlab-settings").write_text(json.dumps(settings))


@contextmanager
def run_lab(home: Path) -> Iterator[Lab]:
    """Runs JupyterLab in a folder of its own until the block ends.

    Raises RuntimeError with its log where it does not start, or where a process of it outlives it.
    """
    _prepare(home)
    token = secrets.token_hex(16)
    log = home / "lab.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            _lab_command(home, token), cwd=home, env=_environment(home), stdin=subprocess.DEVNULL,
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield Lab(_await_url(process, home, log), token, home)
        finally:
            stop_process_tree(process)


def _prepare(home: Path) -> None:
    for folder in ("notebooks", "runtime", "workspaces", "config", "ipython"):
        (home / folder).mkdir()
    kernel = home / "data" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    write_settings(home, "apputils-extension", "notification", {"fetchNews": "false", "checkForUpdates": False})


def _environment(home: Path) -> dict[str, str]:
    """The environment of the server and its kernels: the user's folders are replaced, the repository is importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    return kept | {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"),
        "IPYTHONDIR": str(home / "ipython"), "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_PATH": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def _lab_command(home: Path, token: str) -> list[str]:
    # Port 0: the system picks a free one at the moment of binding, so that nobody can take it in between.
    return [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home / 'notebooks'}",
    ]  # fmt: skip


def _await_url(process: subprocess.Popen[bytes], home: Path, log: Path) -> str:
    """The address that the server writes down once it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for path in (home / "runtime").glob("jpserver-*.json"):
            info = json.loads(path.read_text() or "{}")
            if info.get("port"):
                return f"http://127.0.0.1:{info['port']}/"
        time.sleep(0.1)  # a file cannot be waited for
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def stop_process_tree(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end and waits for all that it started; what stays is killed and is an error."""
    import psutil

    known = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    refuse_survivors(known)


def refuse_survivors(processes: list[Any]) -> None:
    """Waits until all of these processes have ended; what stays is killed, and is a RuntimeError."""
    import psutil

    _, left = psutil.wait_procs(processes, timeout=15)
    for each in left:
        each.kill()
    if left:
        raise RuntimeError(f"processes were left behind: {left}")


# --- the browser ----------------------------------------------------------------------------------


@contextmanager
def run_browser(profile: Path, window: tuple[int, int] = (1280, 1400)) -> Iterator[Any]:
    """Runs headless Chromium with an empty profile until the block ends, and gives its WebDriver.

    The `window` is so many pixels wide and high. Raises RuntimeError where a process of it is left.
    """
    import psutil
    from selenium import webdriver

    # Both paths are given, so that Selenium Manager has nothing to look for on the network.
    service = webdriver.ChromeService(executable_path=find_chromedriver())
    driver = webdriver.Chrome(options=_browser_options(profile, window), service=service)
    started = [psutil.Process(service.process.pid)]
    started += started[0].children(recursive=True)
    try:
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()
        refuse_survivors(started)


def _browser_options(profile: Path, window: tuple[int, int]) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = find_chromium()
    size = ",".join(map(str, window))
    for flag in (*_CHROMIUM_FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return options
