"""Random expressions of the whole language: derived, evaluated and compared with autograd, printed and read again."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

from matcalc.language import names
from matcalc.rule_files import shipped_rules
from tests.examine import examine
from tests.shrink import shrink
from tests.strategies import Case, cases, number_case

EXAMPLES = 300
MOST_UNCHECKED = 0.15
OPAQUE = {"expm_jacobian", "sqrtm_jacobian", "polar", "leading_outer"}  # only derivatives write these
RULE_WORDS = {"fuse", "commutation"}

outcomes: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@settings(
    max_examples=EXAMPLES // 2, derandomize=True, deadline=None, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
@given(cases())
def test_random_derivatives_are_right(case: Case) -> None:
    require_right(case)


@pytest.mark.parametrize("first", range(0, EXAMPLES, 50))
def test_numbered_random_derivatives_are_right(first: int) -> None:
    for number in range(first, first + 50):
        require_right(number_case(number))


def require_right(case: Case) -> None:
    outcome = examine(case)
    outcomes[outcome.kind] += 1
    if outcome.is_failure:
        small = shrink(case, lambda smaller: examine(smaller).kind == outcome.kind, patience=100)
        pytest.fail(f"{small}\n{examine(small)}")


def test_most_random_derivatives_are_checked() -> None:
    if sum(outcomes.values()) < EXAMPLES / 2:
        pytest.skip("counts what the test above found")
    assert outcomes["agrees"] >= (1 - MOST_UNCHECKED) * sum(outcomes.values()), outcomes


def test_every_function_is_written() -> None:
    texts = [number_case(number).expr for number in range(4000)]
    written = {name for text in texts for name in re.findall(r"(\w+)\(", text)}
    functions = {rule.function for rule in shipped_rules()} | set(names.FILLED) | {"einsum", "where", "matrix_power"}
    assert functions - OPAQUE - RULE_WORDS <= written


@pytest.mark.parametrize("case", [
    Case("einsum('ij->j', ones(m, p))*X", "X", {"X": ("p", "p")}),
    Case("kron(ones(m, n), A) @ kron(ones(n), A) @ (x @ x.T)", "x", {"x": ("m",), "A": ("m", "m")}),
], ids=lambda case: case.expr)  # fmt: skip
def test_sizes_that_no_variable_has_are_read_again(case: Case) -> None:
    assert examine(case).kind == "agrees"


def test_a_failing_problem_is_made_small() -> None:
    case = Case("sum(tanh(A @ x)*y) + norm(x)**2", "x", {"A": ("m", "n"), "x": ("n",), "y": ("m",)}, order=2)
    small = shrink(case, lambda smaller: "tanh" in smaller.expr)
    assert (small.expr, small.order) == ("tanh(1)", 1)
