"""The sheets of claims, tests/cases/claims*.toml: every verdict and every reading, and what the report says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import matcalc
from matcalc.check.report import REASONS, CheckReport
from matcalc.errors import DeclarationError, MatcalcError
from tests.sampling import sample

SHEETS = sorted((Path(__file__).parents[1] / "cases").glob("claims*.toml"))
CLAIMS = [claim for path in SHEETS for claim in tomllib.loads(path.read_text(encoding="utf-8"))["claim"]]
BY_ID = {claim["id"]: claim for claim in CLAIMS}


def judge(claim: dict[str, Any], **options: Any) -> CheckReport:
    given = {"layout": claim["layout"], "shapes": claim["shapes"], "assume": claim.get("domain")}
    given |= {"strict": claim.get("strict", False), "meaning": claim.get("meaning", "free")}
    return matcalc.check(claim["expr"], claim["claim"], claim["wrt"], order=claim.get("order", 1), **given, **options)


@cache
def report_on(name: str) -> CheckReport:
    return judge(BY_ID[name])


def test_the_sheets_are_there():
    assert len(BY_ID) == len(CLAIMS) > 400
    assert {reason for claim in CLAIMS for reason in claim.get("reasons", ())} == set(REASONS)


@pytest.mark.parametrize("name", sample("claims", BY_ID, 0.4))
def test_verdict_and_every_reading(name):
    claim, report = BY_ID[name], report_on(name)
    assert report.verdict == claim["verdict"], report.message
    assert list(report.reasons) == claim.get("reasons", []), report.message
    assert list(report.fits) == claim.get("fits", [])
    assert list(report.meanings) == claim.get("meanings", [])
    assert report.turned == claim.get("turned", report.turned)
    assert list(report.symmetric) == claim.get("symmetric", [])
    assert report.factor == pytest.approx(claim["factor"]) if "factor" in claim else report.factor is None


WRONG = [name for name, claim in BY_ID.items() if claim["verdict"] == "differs"]
LACKING = [name for name, claim in BY_ID.items() if {"missing", "extra"} & set(claim)]


@pytest.mark.parametrize("name", sample("wrong claims", WRONG, 0.25))
def test_the_correct_derivative_is_correct(name):
    claim, report = BY_ID[name], report_on(name)
    assert report.correct
    assert judge(claim | {"claim": report.correct}, seed=1).verdict == "agrees"


@pytest.mark.parametrize("name", sample("terms", LACKING, 0.3))
def test_the_terms_named_repair_the_claim(name):
    claim, report = BY_ID[name], report_on(name)
    sign, term = ("+", report.missing) if "missing" in claim else ("-", report.extra)
    assert judge(claim | {"claim": f"({claim['claim']}) {sign} ({term})"}, seed=1).verdict == "agrees"


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_reads_the_same(seed):
    for claim in sample(f"seed {seed}", CLAIMS[::5], 0.3):
        first, again = report_on(claim["id"]), judge(claim, seed=seed)
        assert (again.verdict, again.reasons, again.factor) == (first.verdict, first.reasons, first.factor), claim["id"]


# --- sentences ------------------------------------------------------------------------------------

SENTENCES = [
    (
        ("A @ x", "A", "denominator", {}),
        "differs. Right in numerator, torch and vec layout; in denominator layout, which you asked for, "
        "it is the transpose, (m, n) → (n, m).",
    ),
    (("x.T @ x", "x", "denominator", {}), "differs. It is 1/2 of the derivative: multiply it by 2."),
    (("x.T @ x", "-2*x", "denominator", {}), "differs. It is the derivative with the wrong sign."),
    (("mean(x**2)", "2*x", "denominator", {}), "differs. It is n times the derivative: divide it by n."),
    (("norm(x - a)**2", "2*x", "denominator", {}), "differs. Missing: -2*a."),
    (("x.T @ x", "2*x + a", "denominator", {}), "differs. Too much: a."),
    (
        ("x.T @ P @ x", "2*P @ x", "denominator", {}),
        "differs. Right only if P is symmetric, which is not assumed.",
    ),
    (
        ("A @ x", "x", "numerator", {}),
        "differs. It has shape (n,), but the derivative in numerator layout has shape (m, n).",
    ),
    (
        ("A @ x", "A + A.T", "numerator", {}),
        "differs. The shapes in the claim do not fit: + works entry by entry: A is (m, n), A.T is (n, m); "
        "m and n are different sizes.",
    ),
    (
        ("exp(x)", "exp(x)", "numerator", {}),
        "differs. It has shape (n,), but the derivative in numerator layout has shape (n, n). "
        "It is the diagonal of the derivative: write diag(...) around it.",
    ),
]


@pytest.mark.parametrize(("question", "sentence"), SENTENCES)
def test_sentences_for_a_student(question, sentence):
    expression, claim, layout, shapes = question
    assert matcalc.check(expression, claim, layout=layout, shapes=shapes).message == sentence


HINTS = [
    ("norm(A @ x - b)**2", "2*A.T @ (A @ x + b)", "denominator", "The term -2*A.T @ b has the wrong sign in it."),
    ("norm(x)", "x", "denominator", "It is norm(x) times the derivative: divide it by norm(x)."),
    ("alpha**3", "3*alpha", "numerator", "It is 1/alpha of the derivative: multiply it by alpha."),
    ("A @ X", "kron(A, eye(k))", "vec", "It would be right if vec stacked rows, as NumPy's reshape does"),
    ("sum(x)", "1", "denominator", "Each entry of the derivative is this number: multiply it by ones(...)."),
    ("norm(W @ x - y)**2", "(W @ x - y) @ x.T", "numerator", "In denominator and torch layout it is 1/2 of"),
    ("x.T @ x + b.T @ x", "2*x + c", "denominator", "Some of its terms are right, but c stands where b should."),
]


@pytest.mark.parametrize(("expression", "claim", "layout", "hint"), HINTS)
def test_hints_where_no_single_reading_holds(expression, claim, layout, hint):
    shapes = {"X": ("n", "k")} if "X" in expression else None
    report = matcalc.check(expression, claim, "W" if "W" in expression else None, layout=layout, shapes=shapes)
    assert report.verdict == "differs"
    assert set(report.reasons) <= {"shape", "other"}
    assert hint in report.message


# --- the report -----------------------------------------------------------------------------------


def test_the_claim_cannot_change_the_shapes_of_the_expression():
    assert matcalc.check("A @ x", "A + A.T").verdict == "differs"
    square = {"shapes": {"A": ("n", "n")}, "assume": {"A": "symmetric"}}
    assert matcalc.check("A @ x", "(A + A.T)/2", **square).verdict == "agrees"


def test_the_sizes_of_the_expression_may_be_used():
    assert matcalc.check("mean(x**2)", "2*x/n").verdict == "agrees"


def test_a_name_that_only_the_claim_has_is_noted():
    report = matcalc.check("x.T @ x", "2*x + c")
    assert report.notes == ("c stands in the claim only; it is taken for an array of shape (n,)",)


def test_sizes_differ_at_every_trial():
    """A number in the place of a size would agree at the one size that it is."""
    for number in (2, 3, 5, 7):
        assert matcalc.check("mean((X @ w - y)**2)", f"2*X.T @ (X @ w - y)/{number}", "w", layout="denominator").factor


def test_the_second_derivative_can_be_claimed():
    assert matcalc.check("x.T @ A @ x", "A + A.T", order=2).verdict == "agrees"
    assert matcalc.check("x.T @ A @ x", "A", order=2).missing == "A.T"


@pytest.mark.parametrize(("option", "value"), [("order", 0), ("order", 7), ("layout", "rows"), ("dtype", "int8")])
def test_impossible_options_are_refused(option, value):
    with pytest.raises(DeclarationError, match=str(value)):
        matcalc.check("A @ x", "A", **{option: value})


def test_an_error_in_the_claim_points_at_the_claim():
    with pytest.raises(MatcalcError, match=r"A @@ x\n +\^"):
        matcalc.check("A @ x", "A @@ x")


def test_the_command_repeats_the_check_exactly():
    """The command of a report, typed in a shell, gives the same numbers."""
    shapes = {"A": ("m", "n"), "x": ("n",), "c": ()}
    report = matcalc.check("c*log(A @ x)", "c*A", "x", shapes=shapes, assume={"A": "positive"}, layout="torch", seed=7)
    words = shlex.split(report.command)
    done = subprocess.run(
        [sys.executable, "-m", *words, "--json"], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 1, done.stderr
    again = json.loads(done.stdout)["check"]
    assert again == json.loads(json.dumps(report.to_dict()))


def test_versions_are_told():
    assert set(matcalc.check("A @ x", "A").versions) == {"python", "matcalc", "torch", "sympy"}


def test_the_worst_entry_names_its_point():
    worst = matcalc.check("x.T @ x", "x", layout="denominator", seed=3).worst
    assert worst is not None
    assert (worst.seed, worst.got / worst.expected) == (3, 0.5)

@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize(
    ("expr", "claim"),
    [("x.T@x/3", "0.66666667*x"), ("norm(x)**2/6", "0.33333333*x"), ("x.T@x/3", "0.6667*x"),
     ("1e-9*x.T@x", "2.0001e-9*x")],
)  # fmt: skip
def test_a_rounded_number_is_no_other_layout_and_no_factor(expr, claim, layout):
    report = matcalc.check(expr, claim, "x", layout=layout)
    assert (report.verdict, report.reasons, report.fits, report.factor) == ("differs", ("other",), (), None)
    assert report.message.startswith("differs. It is nearly the derivative: ")
    should, found = re.search(r"should be (\S+), not (\S+):", report.message).groups()
    assert should != found
