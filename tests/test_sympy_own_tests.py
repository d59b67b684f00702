"""The derivatives that SymPy's own tests take are right here, but for powers X**k, refused with the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.sampling import sample

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from sympy_own_tests import FILES, REFUSED, RIGHT, Question, judge_matcalc, list_questions

QUESTIONS = [question for module in FILES for question in list_questions(module)]


def test_all_derivatives_of_the_files_are_found() -> None:
    assert len(QUESTIONS) >= 123


@pytest.mark.parametrize("question", sample("sympy's own tests", QUESTIONS, 0.25), ids=lambda question: question.where)
def test_a_derivative_of_sympys_tests_is_right(question: Question) -> None:
    verdict, note = judge_matcalc(question)
    assert verdict == RIGHT or (verdict == REFUSED and "sum of as many terms as the exponent says" in note), note
