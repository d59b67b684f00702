"""Unicode for the terminal: what a reader sees, and that every answer has a line."""

from __future__ import annotations

import pytest

from matcalc import derive
from matcalc.language.text_to_expression import parse
from matcalc.render.unicode import to_unicode
from tests.read_cases import Case, derive_case, read_cases
from tests.sampling import sample

EXPECTED = [
    ("2*A.T @ (A @ x - b)", "2 Aᵀ (A x − b)"),
    ("(A + A.T) @ x_1", "(A + Aᵀ) x₁"),
    ("inv(X).T", "(X⁻¹)ᵀ"),
    ("-inv(X) @ A", "−X⁻¹ A"),
    ("diag(softmax(x)) - softmax(x) @ softmax(x).T", "diag(softmax(x)) − softmax(x) softmax(x)ᵀ"),
    ("alpha*A*B", "α A ⊙ B"),
    ("x**2/norm(x)**2", "x∘²/‖x‖²"),
    ("x/y", "x ⊘ y"),
    ("alpha**-1 + beta**gamma", "α⁻¹ + β^γ"),
    ("x - (y - z)", "x − (y − z)"),
    ("a @ (x.T @ b)", "a (xᵀ b)"),
    ("eye(n) + ones(n, n)", "Iₙ + ones(n, n)"),
    ("trace(A @ B)*X", "tr (A B) X"),
]


@pytest.mark.parametrize(("text", "shown"), EXPECTED)
def test_the_signs_of_mathematics(text: str, shown: str) -> None:
    assert to_unicode(parse(text).expressions[0]) == shown


@pytest.mark.parametrize("case", sample("unicode", read_cases()), ids=lambda case: case.id)
def test_every_answer_has_a_line_with_balanced_brackets(case: Case) -> None:
    line = derive_case(case, "denominator").unicode()
    assert line
    assert line.count("(") == line.count(")")


def test_the_parts_of_a_long_answer_are_named() -> None:
    network = "sum(tanh(W_4 @ tanh(W_3 @ tanh(W_2 @ tanh(W_1 @ x)))))"
    assert derive(network, "W_1", layout="denominator").unicode().startswith("h₁ = tanh(W₁ x)\n")
