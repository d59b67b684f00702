"""Random expressions of the whole language: derived, evaluated and compared with autograd, printed and read again."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch

from matcalc.language import names as names
from matcalc.rule_files import shipped_rules
from tests.examine import examine
from tests.random_problems import Case, number_case
from tests.sampling import sample
from tests.shrink import shrink

EXAMPLES = 450
MOST_UNCHECKED = 0.15
# Only derivatives write these.
OPAQUE = {
    "expm_jacobian", "sqrtm_jacobian", "polar", "leading_outer", "prod_pairs", "adjugate_jacobian",
    "prod_pairs_of_rows",
}  # fmt: skip
RULE_WORDS = {
    "fuse", "commutation", "duplication", "adjugate", "prod_others", "reciprocal_or_zero",
    "selection",  # written as x[1:]
}



@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("first", sample("random", range(0, EXAMPLES, 25), 0.05))
def test_numbered_random_derivatives_are_right_and_most_are_checked(first: int) -> None:
    outcomes = Counter(require_right(number_case(number)) for number in range(first, first + 25))
    assert outcomes["agrees"] >= (1 - MOST_UNCHECKED) * 25, outcomes


def require_right(case: Case) -> str:
    """Derive, evaluate and read again; return what came out."""
    outcome = examine(case)
    if outcome.is_failure:
        small = shrink(case, lambda smaller: examine(smaller).kind == outcome.kind, patience=100)
        pytest.fail(f"{small}\n{examine(small)}")
    return outcome.kind


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
