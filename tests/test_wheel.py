"""The wheel and the sdist hold what they must, and a wheel works where there is no checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = sorted(path.name for path in (ROOT / "rules").glob("*.toml"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist, the wheel built from the sdist; needs no network."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder), wheel]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return folder


def run_elsewhere(installed: Path, elsewhere: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in another folder, where matcalc is the installed one."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)


def test_wheel_holds_the_package_and_its_rules(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith("matcalc_checker-")
    assert {f"matcalc/rules/{name}" for name in RULES} <= set(names)
    assert "matcalc/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"matcalc", "matcalc_checker"}


def test_sdist_holds_the_tests_and_the_rules(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"rules/{name}" for name in RULES} <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "tests/test_wheel.py"} <= names


def test_rules_come_from_the_package(installed, tmp_path):
    code = "import matcalc, matcalc.rule_files as r; print(matcalc.__file__); print(r.rules_folder())"
    done = run_elsewhere(installed, tmp_path, "-c", code)
    assert done.stdout.splitlines() == [str(installed / "matcalc/__init__.py"), str(installed / "matcalc/rules")]


def test_a_stray_rules_folder_is_not_ours(installed, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "matrix.toml").write_text("not TOML at all")
    done = run_elsewhere(installed, tmp_path, "-m", "matcalc", "rules", "show", "logdet")
    assert done.returncode == 0, done.stderr


def test_the_installed_command_derives(installed, tmp_path):
    done = run_elsewhere(installed, tmp_path, str(installed / "bin" / "matcalc"), "derive", "A@x", "--no-check")
    assert done.returncode == 0, done.stderr
    assert "shape (m, n)" in done.stdout
