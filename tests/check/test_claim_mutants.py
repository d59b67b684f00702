"""Every closed form of the textbook with one mistake in it is judged to differ, unless it is no mistake."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.claim_mutants import BOTH, compare_with_truth, judge_text, list_mutants, mutate
from tests.read_cases import Case, read_cases
from tests.sampling import is_whole, sample

CASES = [case for case in read_cases() if case.topic == "textbook" and case.numerator]

# Where our own reader finds no number at any further point, as in 1/sqrt(-2), nothing is there to agree with.
EXPECTED = {
    "equal": {"agrees"},
    "different": {"differs"},
    "of another shape": {"differs"},
    "undefined": {"could not check", "differs"},
}


@cache
def count_verdicts(case: Case) -> Counter[tuple[str, str]]:
    """How many mutants of a case are what in truth, and how they were judged; a wrong verdict fails at once."""
    counts: Counter[tuple[str, str]] = Counter()
    for mutant in list_mutants(case):
        report, truth = judge_text(case, mutant.layout, mutant.text), compare_with_truth(mutant)
        assert report.verdict in EXPECTED[truth], f"{mutant}, in truth {truth}: {report.message}"
        assert ("shape" in report.reasons) == (truth == "of another shape"), f"{mutant}: {report.reasons}"
        counts[truth, report.verdict] += 1
    return counts


@pytest.mark.parametrize("case", sample("mutants", CASES), ids=lambda case: case.id)
def test_mutants_are_judged_right(case: Case) -> None:
    counts = count_verdicts(case)
    is_zero = all(case.closed_form(layout).startswith(("0", "zeros")) for layout in BOTH)
    assert is_zero or counts["different", "differs"]


def test_mutants_are_many_and_nearly_all_are_judged() -> None:
    cases = sample("mutants", CASES)
    counts = sum(map(count_verdicts, cases), Counter())
    assert counts["different", "differs"] > (1800 if is_whole() else len(cases))
    assert not is_whole() or counts["undefined", "could not check"] < 0.01 * counts.total()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*A @ x", {"3 * A @ x", "4 * A @ x", "2 * A.T @ x", "-(2 * A @ x)", "2 * A", "x", "A @ x", "2 @ x"}),
        ("A.T + B", {"A + B", "A.T - B", "-A.T + B", "A.T + -B", "(A.T + B).T"}),
        ("-exp(x)", {"exp(x)", "-exp(-x)", "-exp(x.T)"}),
        ("einsum('ij->ji', A)", {"einsum('ij->ji', -A)", "einsum('ij->ji', A.T)"}),
    ],
)
def test_a_mutant_has_one_mistake(text: str, expected: set[str]) -> None:
    found = mutate(text)
    assert expected <= set(found)
    assert text not in found
    assert set(found.values()) <= {"sign", "number", "transpose", "factor dropped"}
