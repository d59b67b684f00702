"""What the judge, compiled code and `matcalc verify` answer on a GPU: what they answer on the processor."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

import matcalc
from tests.check.test_claims import BY_ID, judge
from tests.read_cases import Case, derive_case, error_of, find_point, read_cases
from tests.sampling import sample
from tests.torch_words import drop
from tests.verify.verify_runs import make_mixed_sheet, verify, verify_with_torchrun

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

CASES = sample("cases on a GPU", read_cases(), 0.5)
CLAIMS = sample("claims on a GPU", BY_ID, 0.4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_derivative_agrees(case: Case, dtype: str) -> None:
    alone = derive_case(case).check(dtype=dtype, proof="torch")
    report = derive_case(case).check(dtype=dtype, device="cuda", proof="torch")
    assert (report.verdict, report.device) == (alone.verdict, "cuda"), report.message


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_read_the_same(name: str) -> None:
    alone, report = judge(BY_ID[name]), judge(BY_ID[name], device="cuda")
    told = [(one.verdict, one.reasons, one.fits, one.meanings, one.symmetric) for one in (alone, report)]
    assert told[0] == told[1], report.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_compiled_code_computes_there(case: Case) -> None:
    point = find_point(case, 0)
    if point.functions:
        pytest.skip("an abstract function has no code")
    derivative = derive_case(case)
    compiled, values = derivative.compile("torch"), {name: drop(one).cuda() for name, one in point.values.items()}
    given = {name: (point.sizes | values)[name] for name in inspect.signature(compiled).parameters}
    found = compiled(**given)
    assert found.dtype == torch.float64
    assert found.is_cuda or values.keys().isdisjoint(given)
    # The value there, not on the processor: another library may turn a singular vector round.
    truth = torch.as_tensor(derivative.evaluate(values, point.sizes))
    assert error_of(found.cpu(), truth.cpu()) < 1e-9


def test_a_backward_pass_is_judged_there() -> None:
    right = matcalc.check_backward(lambda A, x: torch.tanh(A @ x), "tanh(A@x)", device="cuda")
    wrong = matcalc.check_backward(lambda A, x: torch.tanh(A @ x).detach() * A.sum(), "tanh(A@x)", device="cuda")
    assert (right.verdict, wrong.verdict) == ("agrees", "differs")


def test_verify_gives_the_same_answer(tmp_path) -> None:
    sheet = make_mixed_sheet(tmp_path).name
    (tmp_path / sheet).write_text("".join((tmp_path / sheet).read_text().splitlines(keepends=True)[:21]))
    reports = []
    for run in (
        lambda *options: verify(tmp_path, sheet, "--json", *options),
        lambda *options: verify(tmp_path, sheet, "--json", "--device", "cuda", *options),
        lambda *options: verify_with_torchrun(tmp_path, 1, sheet, "--json", *options),
    ):
        done = run()
        assert done.returncode == 1, done.stderr
        reports.append(json.loads(done.stdout))
    verdicts = [[entry["verdict"] for entry in one["results"]] for one in reports]
    assert verdicts[0] == verdicts[1] == verdicts[2]
