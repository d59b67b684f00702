"""A rules file runs no code: what is not mathematics is refused while it is read, and every word is proven."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import matcalc
from matcalc.check import conditions, torch_values
from matcalc.check.prove import prove_rule
from matcalc.errors import LimitError, MatcalcError, MissingRuleError, RuleError
from matcalc.render import latex, to_sympy
from matcalc.render.code import words
from matcalc.rule_files import read_rule, shipped_rules
from matcalc.rule_words import BACKENDS, SYMPY_WORDS, WORDS
from tests.requirements import needs
from tests.rules.hostile_rules import HOSTILE, Hostile

needs_jax, needs_scipy = needs("jax"), needs("scipy")


@pytest.fixture(autouse=True)
def _forget_loaded_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcalc.inputs._loaded", [])


def write_rules(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def lay_bomb(folder: Path) -> None:
    """Lay a file `evil` there that makes a file `marker` when it is unpickled."""

    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, ("touch marker",)

    (folder / "evil").write_bytes(pickle.dumps(Bomb()))


# --- refused while it is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_hostile_file_is_refused_with_its_place(hostile: Hostile, tmp_path: Path) -> None:
    path = write_rules(tmp_path, hostile.text, "hostile.toml")
    with pytest.raises(RuleError) as refused:
        matcalc.load_rules(path)
    reason, shown, carets, *_ = str(refused.value).splitlines()
    assert reason.startswith("rule [evil] in hostile.toml: ")
    assert shown.startswith(f"  {hostile.field} = ") or len(hostile.text) > 500
    assert set(carets.strip()) == {"^"}
    assert str(refused.value).replace("\n", "").isprintable()
    assert "evil" not in shipped_rules()


# Counts what Python tells while the files are read; it is installed after everything is imported.
WATCH = """
import json, sys
from pathlib import Path
import matcalc
from matcalc.errors import RuleError

files = sorted(map(str, Path("rules").iterdir()))
seen, watching = [], True
def watch(event, args):
    if watching and event.startswith(tuple(WATCHED)):
        seen.append((event, str(args[0]) if args else ""))
WATCHED = "open import exec compile code. os. shutil. subprocess. socket. pickle. ctypes. mmap.".split()
sys.addaudithook(watch)
refused = 0
for file in files:
    try:
        matcalc.load_rules(file)
    except RuleError:
        refused += 1
watching = False
heavy = [name for name in ("numpy", "torch", "jax", "scipy") if name in sys.modules]
print(json.dumps({"files": files, "refused": refused, "seen": seen, "heavy": heavy}))
"""


def test_hostile_files_open_import_and_run_nothing(tmp_path: Path) -> None:
    lay_bomb(tmp_path)
    (tmp_path / "rules").mkdir()
    for number, hostile in enumerate(HOSTILE):
        write_rules(tmp_path / "rules", hostile.text, f"{number}.toml")
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["refused"] == len(HOSTILE) >= 40
    assert told["seen"] == [["open", file] for file in told["files"]]
    assert told["heavy"] == []
    assert sorted(tmp_path.rglob("*")) == before


def test_the_bomb_is_one(tmp_path: Path) -> None:
    lay_bomb(tmp_path)
    code = "import numpy; numpy.load('evil', allow_pickle=True)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, timeout=120)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("hostile", [HOSTILE[0], *HOSTILE[25:29], HOSTILE[-1]], ids=lambda hostile: hostile.name)
def test_hostile_file_is_refused_in_a_shell(hostile: Hostile, tmp_path: Path) -> None:
    lay_bomb(tmp_path)
    write_rules(tmp_path, hostile.text, "hostile.toml")
    command = [sys.executable, "-m", "matcalc", "derive", "evil(x)", "--rules", "hostile.toml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: rule [evil] in hostile.toml: ")
    assert f"\n  {hostile.field} = " in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil", "hostile.toml"]


@pytest.mark.parametrize(
    "text",
    [
        "# " + "x" * 4000 + "\n" + "[a]\n" * 30_000, "a = " + "[" * 4000, "a = " + "{a=" * 1000,
        ".".join("a" * 2000) + " = 1", ".".join("a" * 20_000) + " = 1", "a = " + "9" * 4990, "x" * 200_000,
        "".join(f'[f{k}]\ndefine = "x"\n' for k in range(400)), "[evil]\n" * 2, "\x00", "[[evil]]\n", "evil = 1",
        '["evil\\u001b"]\n', '["os.system"]\n', '[""]\n', "[evil.numpy]\n",
    ],
    ids=range(16),
)  # fmt: skip
def test_absurd_file_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises((RuleError, LimitError)) as refused:
        matcalc.load_rules(write_rules(tmp_path, text))
    assert "mine.toml" in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert str(refused.value).replace("\n", "").isprintable()


def test_a_folder_and_bytes_are_no_rules_files(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "bytes.toml", tmp_path / "absent.toml"):
        with pytest.raises(RuleError):
            matcalc.load_rules(path)


def test_advice_names_the_word_that_was_meant() -> None:
    entry = {"elementwise": "exp(x)", "torch": "torch.exp"}
    for field, word, meant in (("numpy", "numpy.expp", "numpy.exp"), ("jax", "jax.numpy.maximun", "jax.numpy.maximum")):
        with pytest.raises(RuleError, match=f'did you mean "{meant}"'):
            read_rule("mine", {**entry, field: word}, "my.toml")
    with pytest.raises(RuleError, match=r'write jax = "jax\.numpy\.exp"'):
        read_rule("mine", {**entry, "numpy": "jax.numpy.exp"}, "my.toml")


# --- the list ---------------------------------------------------------------------------------------------------

SKIPPED = {"jax": needs_jax, "scipy": needs_scipy}
MODULES = sorted({word.rpartition(".")[0] for words in WORDS.values() for word in words})


def test_every_word_of_sympy_makes_an_expression() -> None:
    assert all(callable(getattr(sympy, word.removeprefix("sympy."), None)) for word in SYMPY_WORDS)


@pytest.mark.parametrize(
    "module", [pytest.param(name, marks=SKIPPED.get(name.partition(".")[0], ())) for name in MODULES]
)
def test_every_word_of_the_list_is_a_function(module: str) -> None:
    found = importlib.import_module(module)
    names = {word.rpartition(".")[2] for words in WORDS.values() for word in words if word.rpartition(".")[0] == module}
    functions = {name: getattr(found, name, None) for name in names}
    assert not [name for name, one in functions.items() if not callable(one) or isinstance(one, type)]


def test_no_word_of_the_list_reaches_beyond_mathematics() -> None:
    parts = "load save open file read write eval exec compile from callback apply vectorize custom rand dropout".split()
    polynomials = {word for word in WORDS["numpy"] if word.startswith("scipy.special.eval_")}
    words = {word for listed in WORDS.values() for word in listed} - polynomials - {"scipy.special.voigt_profile"}
    names = {word.rpartition(".")[2] for word in words}
    assert not [name for name in names if name.startswith("_") or name.endswith("_")]
    assert not [name for name in names if any(part in name for part in parts)]


def test_words_of_shipped_rules_are_on_the_list() -> None:
    for backend in BACKENDS:
        assert {rule.read_form(backend).path for rule in shipped_rules()} - {""} <= WORDS[backend]


# --- proven -----------------------------------------------------------------------------------------------------

EXP = {"elementwise": "exp(x)", "torch": "torch.exp"}
GELU = {"elementwise": shipped_rules()["gelu"].elementwise[0], "torch": "torch.nn.functional.gelu"}
INVERSE = {"call": "mine(X[n,n]) -> [n,n]", "define": "inv(X)", "kinks": "det(X)"}
RUNNING = {"call": "mine(x[n]) -> x", "define": "tril(ones(n, n)) @ x", "axis": True}


def prove(entry: dict[str, Any]) -> Any:
    return prove_rule(read_rule("mine", entry, "my.toml"))


@pytest.mark.parametrize(
    "entry",
    [
        {**EXP, "numpy": "numpy.exp"},
        {"define": "log(1 + x)", "domain": "x > 0", "numpy": "numpy.log1p"},
        {"define": "max(x) - min(x)", "axis": True, "numpy": "numpy.ptp"},
        {"define": "sum(x)/size(x)", "axis": True, "numpy": "numpy.average"},
        {**RUNNING, "numpy": "numpy.nancumsum"},
        {"call": "mine(X[m,n], 'nuc')", "define": "norm(X, 'nuc')", "numpy": "numpy.linalg.norm"},
        {"call": "mine(A[n,n], b[n]) -> [n]", "define": "inv(A) @ b", "kinks": "det(A)", "numpy": "numpy.linalg.solve"},
        {**INVERSE, "numpy": "numpy.linalg.inv"},
        {"call": "mine(x, 2)", "define": "x**2", "numpy": "numpy.power"},
        pytest.param({"elementwise": "2/sqrt(pi)*exp(-x**2)", "torch": "torch.erf", "numpy": "scipy.special.erf"},
                     marks=needs_scipy),
        pytest.param({**INVERSE, "numpy": "scipy.linalg.inv"}, marks=needs_scipy),
        pytest.param({**EXP, "jax": "jax.numpy.exp"}, marks=needs_jax),
        pytest.param({**EXP, "jax": "jax.lax.exp"}, marks=needs_jax),
        pytest.param({"define": "log(mean(exp(x)))", "axis": True, "jax": "jax.nn.logmeanexp"}, marks=needs_jax),
        pytest.param({**RUNNING, "jax": "jax.numpy.cumsum"}, marks=needs_jax),
    ],
)  # fmt: skip
def test_right_words_are_proven(entry: dict[str, Any]) -> None:
    report = prove(entry)
    assert report, report.message
    assert report.message.endswith(f"; {entry.get('numpy') or entry.get('jax')} agrees")
    assert not report.notes


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**EXP, "numpy": "numpy.sin"}, "in NumPy numpy.sin is not mine(x): the value should be "),
        ({**EXP, "numpy": "numpy.log"}, "in NumPy numpy.log is not mine(x): it is not finite where that is"),
        ({"define": "exp(x)", "numpy": "numpy.expm1"}, "in NumPy numpy.expm1 is not mine(x): entry ["),
        ({"define": "sum(x)", "numpy": "numpy.cumsum"}, "numpy.cumsum gives shape ("),
        ({"call": "mine(X[m,n]) -> [m,n]", "define": "X", "numpy": "numpy.transpose"}, "numpy.transpose gives shape ("),
        ({"call": "mine(x[n]) -> x", "define": "x", "axis": True, "numpy": "numpy.ravel"},
         "numpy.ravel cannot be called as mine(x, axis=0) is: "),
        ({**RUNNING, "numpy": "numpy.cumprod"}, "in NumPy numpy.cumprod is not mine(x[n]): entry ["),
        ({"define": "exp(x)", "numpy": "numpy.linalg.inv"}, "numpy.linalg.inv cannot be called as mine(x) is: "),
        ({"call": "mine(x[n], y[n]) -> x", "define": "exp(x) + 0*y", "numpy": "numpy.exp"},
         "numpy.exp changes its arguments"),
        ({"call": "mine(x, 1)", "elementwise": "where(x > 0, 1, 0)", "kinks": "x",
          "torch": "torch.nn.functional.relu"}, "torch.nn.functional.relu changes its arguments"),
        ({"call": "mine(X[n,n])", "define": "sum(X)", "numpy": "numpy.linalg.eigvalsh"}, "numpy.linalg.eigvalsh gives"),
        # Right near 1, wrong where the entries are large or small.
        ({"call": "mine(x, 7)", "define": "x", "numpy": "numpy.fmod"}, "in NumPy numpy.fmod is not mine(x, 7): entry"),
        ({"call": "mine(x, 900)", "elementwise": "1", "define": "x", "numpy": "numpy.minimum"},
         "in NumPy numpy.minimum is not mine(x, 900): at x = 1037.1 the value should be 1037.1, not 900"),
        pytest.param({"elementwise": "where(x > 0, 1, 0)", "kinks": "x", "torch": "torch.nn.functional.relu",
                      "jax": "jax.nn.relu6"}, "in JAX jax.nn.relu6 is not mine(x): at x = ", marks=needs_jax),
        pytest.param({**INVERSE, "call": "mine(X[n,n], 1) -> [n,n]", "numpy": "scipy.linalg.inv"},
                     "scipy.linalg.inv changes its arguments", marks=needs_scipy),
        pytest.param({**EXP, "numpy": "scipy.special.expm1"}, "in SciPy scipy.special.expm1 is not", marks=needs_scipy),
        pytest.param({**EXP, "jax": "jax.numpy.sin"}, "in JAX jax.numpy.sin is not mine(x): ", marks=needs_jax),
        pytest.param({**GELU, "jax": "jax.nn.gelu"}, "in JAX jax.nn.gelu is not mine(x): ", marks=needs_jax),
        pytest.param({"call": "mine(x) -> x", "define": "softmax(x)", "axis": True, "jax": "jax.nn.relu"},
                     "in JAX jax.nn.relu is not mine(x): ", marks=needs_jax),
    ],
)  # fmt: skip
def test_wrong_words_are_refused(entry: dict[str, Any], said: str, tmp_path: Path) -> None:
    report = prove(entry)
    assert report.verdict == "differs", report.message
    assert report.message.startswith(f"differs: {said}")
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    with pytest.raises(RuleError, match=r"rule \[mine\] in mine\.toml is refused: differs: "):
        matcalc.load_rules(write_rules(tmp_path, f"[mine]\n{text}"))


def test_a_word_does_not_say_what_the_function_is() -> None:
    report = prove({"elementwise": "exp(x)", "numpy": "numpy.exp"})
    assert report.message.startswith("could not check: what mine(x) is, is not known")


@needs_jax
def test_the_readers_settings_of_jax_are_left() -> None:
    import jax

    before = jax.config.jax_enable_x64
    assert prove({**EXP, "jax": "jax.numpy.exp"})
    assert jax.config.jax_enable_x64 == before


ABSENT = """
import sys
{absent}
import matcalc
from matcalc.check.prove import prove_rule
rule = matcalc.load_rules("mine.toml")["mine"]
print(prove_rule(rule).message)
print(*[name for name in ("jax", "scipy") if sys.modules.get(name)])
"""


def run_without(absent: str, rules: str, folder: Path) -> list[str]:
    write_rules(folder, rules)
    code = ABSENT.format(absent="".join(f"sys.modules[{name!r}] = None\n" for name in absent.split()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("word", "library"), [('jax = "jax.numpy.exp"', "JAX"), ('numpy = "scipy.special.exp2"', "SciPy")]
)
def test_an_absent_library_is_told_and_the_rule_loads(word: str, library: str, tmp_path: Path) -> None:
    text = f'[mine]\nelementwise = "exp(x)"\ntorch = "torch.exp"\n{word}\n'
    message, _ = run_without("jax scipy", text, tmp_path)
    path = word.partition('"')[2].strip('"')
    assert message.startswith("agrees with the jacobian of torch.exp")
    assert message.endswith(f"; its word {path} could not be tried: {library} is not installed")


def test_jax_is_imported_for_a_word_of_its_own_alone(tmp_path: Path) -> None:
    text = '[mine]\nelementwise = "exp(x)"\ntorch = "torch.exp"\nnumpy = "numpy.exp"\n'
    message, imported = run_without("", text, tmp_path)
    assert message.endswith("; numpy.exp agrees")
    assert imported == ""


def test_reading_the_shipped_rules_imports_no_library() -> None:
    code = "import sys; from matcalc.rule_files import shipped_rules; shipped_rules(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert not {"numpy", "torch", "jax", "scipy"} & set(done.stdout.split())


def test_a_proof_that_would_take_too_long_is_not_made() -> None:
    call = "mine(A[m,n,p], B[r,s,t]) -> [m*r,n*s,p*t]"
    report = prove({"call": call, "differential": "sum(dA)", "torch": "torch.kron"})
    assert report.verdict == "could not check"
    assert "entries, more than 1000000" in report.message
    assert prove({"call": "mine(A[m,n,p,q])", "define": "sum(A)"})


# --- what is written ----------------------------------------------------------------------------------------------


def test_code_calls_no_word_that_is_not_on_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_bomb(tmp_path)
    monkeypatch.chdir(tmp_path)
    rule = read_rule("mine", {**EXP, "numpy": "numpy.exp", "jax": "jax.numpy.exp"}, "my.toml")
    for backend, word in (("numpy", "numpy.load"), ("torch", "torch.load"), ("jax", "jax.numpy.load")):
        book = shipped_rules().extended([replace(rule, **{backend: word})])
        with pytest.raises(MissingRuleError, match="has no word in"):
            matcalc.derive("mine(x)", rules=book).code(backend)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["differentiate", "softmax_of_all", "log_softmax_of_all"])
def test_a_rule_does_not_take_the_source_of_a_helper(name: str, tmp_path: Path) -> None:
    entry = 'elementwise = "exp(x)"\ntorch = "torch.exp"\nnumpy = "numpy.exp"\n'
    derivative = matcalc.derive(f"{name}(x)", rules=write_rules(tmp_path, f"[{name}]\n{entry}"))
    for backend, word in (("numpy", "np.exp(x)"), ("torch", "torch.exp(x)")):
        source = derivative.code(backend)
        assert word in source
        assert f"def {name.removesuffix('_of_all')}(" not in source
    assert np.allclose(derivative.compile("numpy")(np.ones(2)), np.eye(2) * np.e)
    with pytest.raises(MissingRuleError):
        derivative.code("jax")


def test_tables_by_name_hold_shipped_rules_alone() -> None:
    """A reader's rule cannot have a shipped name, so that it is never taken for what a table says."""
    tables: list[Any] = [
        torch_values.ALONG, torch_values.PLAIN, conditions._BY_NAME,
        words._BUILT_IN, latex._SPECIAL, to_sympy._BUILT_IN,
    ]  # fmt: skip
    assert not [name for table in tables for name in table if name not in shipped_rules()]


def test_an_overload_of_a_shipped_function_is_typeset_by_its_own_rule(tmp_path: Path) -> None:
    path = write_rules(tmp_path, '[sum_of_two]\ncall = "sum(x[n], y[n])"\ndefine = "sum(x*y)"\nlatex = "({x}, {y})"\n')
    assert matcalc.derive("sum(x, y)", "x", rules=path)._repr_html_()


@pytest.mark.parametrize("view", ["page", "steps"])
def test_texts_of_a_rule_are_text_in_a_page(view: str, tmp_path: Path) -> None:
    tag = "<img src=x onerror=alert(1)>"
    fields = f'note = "{tag} $x$"\nsource = "{tag}"\nlatex = "{{x}} < {tag}"\n'
    rules = write_rules(tmp_path, f'[mine]\nelementwise = "exp(x)"\ntorch = "torch.exp"\n{fields}')
    derivative = matcalc.derive("sum(mine(x))", rules=rules)
    page = derivative._repr_html_() if view == "page" else derivative.steps._repr_html_()
    assert page is not None
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_texts_of_a_rule_are_text_in_markdown_and_latex(tmp_path: Path) -> None:
    source = "<b> [x](javascript:y) $x$ `y` \\\\input{z} |"
    rules = write_rules(tmp_path, f'[mine]\nelementwise = "exp(x)"\ntorch = "torch.exp"\nsource = "{source}"\n')
    derivative = matcalc.derive("sum(mine(x))", rules=rules)
    markdown, latex = derivative.write_steps("markdown"), derivative.write_steps("latex")
    assert "\\<b> \\[x\\](javascript:y) \\$x\\$ \\`y\\` \\\\input{z} \\|" in markdown
    assert "\\input" not in latex
    assert "\\textbackslash{}input\\{z\\}" in latex


def test_what_is_refused_is_an_error_of_matcalc() -> None:
    with pytest.raises(MatcalcError, match="is no name of a rule"):
        read_rule("a b", {"define": "x"}, "my.toml")
