"""What tests of others are built on: assertions with the report as text, verdicts that are false unless they agree."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import torch

import matcalc
from matcalc.check.jacobian import JUDGED_LAYOUTS
from matcalc.check.report import COULD_NOT_CHECK, PROOFS
from matcalc.check.verdict import DTYPES
from matcalc.errors import DeclarationError
from matcalc.inputs import Dtype, Layout, Proof

README = Path(__file__).parent.parent / "README.md"


def test_a_right_derivative_passes():
    assert matcalc.assert_derivative("A @ x", "A", "x") is None


def test_the_text_of_a_failure_is_the_report():
    with pytest.raises(AssertionError) as failure:
        matcalc.assert_derivative("x.T @ A @ x", "2*A @ x", "x", layout="denominator")
    text = str(failure.value)
    assert text.startswith("differs. Right only if A is symmetric, which is not assumed.")
    assert "derivative  (A + A.T) @ x        denominator layout" in text
    assert "reasons     symmetric-only" in text
    assert "repeat      matcalc check 'x.T @ A @ x'" in text
    assert re.search(r"worst +entry \[\d\] should be \S+, not \S+", text)


def test_what_could_not_be_checked_is_not_asserted():
    with pytest.raises(AssertionError, match="could not check"):
        matcalc.assert_derivative("sum(x**2)", "2*x", "x", layout="torch", trials=0, proof="torch")


def test_a_backward_is_asserted():
    assert matcalc.assert_backward(lambda A, x: A @ x, "A @ x") is None
    with pytest.raises(AssertionError, match=r"forward +differs\. It is 2 times the value: divide it by 2\."):
        matcalc.assert_backward(lambda A, x: 2 * (A @ x), "A @ x", wrt="x")


def test_the_example_of_the_readme_runs(tmp_path):
    (text,) = re.findall(r"```py\n(import torch\nfrom matcalc import assert_.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "test_gradients.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gradients.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


# --- verdicts -------------------------------------------------------------------------------------


def test_a_verdict_is_true_only_if_it_agrees():
    right, wrong = matcalc.check("A @ x", "A", "x"), matcalc.check("A @ x", "2*A", "x")
    assert right.verdict
    assert not wrong.verdict
    assert wrong.verdict == "differs"
    assert not COULD_NOT_CHECK
    assert not matcalc.check_backward(lambda x: 2 * x, "3*x").verdict
    for same in (copy.deepcopy(wrong.verdict), pickle.loads(pickle.dumps(wrong.verdict))):
        assert (same, bool(same)) == ("differs", False)
    assert type(wrong.to_dict()["verdict"]) is str
    assert json.loads(json.dumps(wrong.to_dict()))["verdict"] == "differs"


def test_the_repr_of_a_report_says_all_of_it_the_sentence_first():
    told = repr(matcalc.check("A @ x", "2*A", "x", layout="numerator"))
    assert told.startswith("CheckReport(verdict='differs', message='differs. It is 2 times the derivative")
    for part in ("reasons=('factor',)", "correct='A'", "factor=2", "worst=Worst(", "seed=0", "command=", "exact="):
        assert part in told
    assert "missing=" not in told
    report = matcalc.check_backward(lambda x: 2 * x, "3*x")
    assert "message='differs" in repr(report)


# --- tolerances -----------------------------------------------------------------------------------


def test_tolerances_are_arguments():
    assert not matcalc.check("sum(x**2)", "2.001*x", "x", layout="torch")
    report = matcalc.check("sum(x**2)", "2.001*x", "x", layout="torch", rtol=1e-3)
    assert report
    assert report.message.endswith(", within rtol=0.001")
    assert "--rtol 0.001" in report.command
    assert not matcalc.check("sum(x**2)", "2.001*x", "x", layout="torch", rtol=1e-4)
    assert matcalc.check("sum(x**2)", "2*x + 0.001", "x", layout="torch", atol=1.1e-3)
    assert not matcalc.check("sum(x**2)", "2*x + 0.001", "x", layout="torch", atol=1e-4)
    assert matcalc.check("sum(x - x)", "0*x", "x", layout="torch", atol=0)


def test_tolerances_of_code_hold_at_all_scales():
    near = lambda x: 2.0001 * x  # noqa: E731
    assert not matcalc.check("x**2", near, "x", shapes={"x": ()})
    assert matcalc.check("x**2", near, "x", shapes={"x": ()}, rtol=1e-3)
    assert matcalc.check_backward(lambda x: 1.0001 * x**2, "x**2", rtol=1e-3)


@pytest.mark.parametrize("tolerance", [{"rtol": 0}, {"rtol": -1.0}, {"rtol": float("nan")}, {"atol": -1e-9}])
def test_what_is_no_tolerance_is_refused(tolerance):
    with pytest.raises(DeclarationError, match="is a number"):
        matcalc.check("sum(x**2)", "2*x", "x", layout="torch", **tolerance)


def test_an_exact_proof_has_no_tolerance():
    with pytest.raises(DeclarationError, match="an exact proof has no tolerance"):
        matcalc.check("sum(x**2)", "2*x", "x", layout="torch", rtol=1e-3, proof="exact")


# --- what an editor completes ---------------------------------------------------------------------


def test_the_types_are_the_lists_of_the_judge():
    assert typing.get_args(Layout) == JUDGED_LAYOUTS
    assert typing.get_args(Dtype) == DTYPES
    assert typing.get_args(Proof) == PROOFS


def test_torch_is_told_nothing_about_layouts_in_a_backward():
    report = matcalc.check_backward(lambda A: A.T.clone(), "A", shapes={"A": ("n", "n")})
    assert "asked for" not in report.message


def test_equal_numbers_are_said_to_be_equal():
    report = matcalc.check_backward(lambda A, x: A @ x, "A @ x")
    assert "equal to the last bit" in report.forward.message
    assert "error 0" not in report.message
    assert torch.is_grad_enabled()
