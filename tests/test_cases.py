"""Every case of `tests/cases`: value, shape, text and verdict, against torch and against the textbook."""

from __future__ import annotations

import ast
from statistics import median

import pytest

import matcalc
from matcalc.check.evaluate import evaluate_with
from matcalc.language.text_to_expression import parse
from matcalc.render.named_parts import to_text_named
from tests.read_cases import LAYOUTS, Case, derive_case, error_of, find_point, read_cases, read_text, true_derivative
from tests.sampling import sample

CASES = read_cases()
BOTH = ("numerator", "denominator")
KNOWN = [case for case in CASES if any(map(case.closed_form, BOTH))]
# Those whose length is that of a book have a closed form in either layout.
WRITTEN = [case for case in KNOWN if all(map(case.closed_form, BOTH))]
TEXTBOOK = [case for case in WRITTEN if case.topic in ("textbook", "sympy_issues")]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
some_cases = pytest.mark.parametrize("case", sample("cases", CASES, 0.15), ids=lambda case: case.id)
known_cases = pytest.mark.parametrize("case", sample("known cases", KNOWN, 0.3), ids=lambda case: case.id)
written_cases = pytest.mark.parametrize("case", sample("written cases", WRITTEN, 0.3), ids=lambda case: case.id)


@every_case
def test_value_and_shape_are_those_of_torch_in_every_layout(case: Case) -> None:
    for layout in LAYOUTS:
        derivative, point = derive_case(case, layout), find_point(case, 0)
        truth = true_derivative(case, layout, 0)
        assert tuple(size.value(point.sizes) for size in derivative.shape) == truth.shape
        value = derivative.evaluate({**point.values, **point.functions}, point.sizes)
        assert error_of(value, truth) < 1e-9, (layout, str(derivative))
        if layout in BOTH:
            stated = case.shape(layout)
            assert stated is None or derivative.shape == stated
            assert derivative.expression.squeezed_shape == derivative.shape


@some_cases
def test_value_is_that_of_torch_at_other_points(case: Case) -> None:
    for seed in (1, 2):
        for layout in BOTH:
            point = find_point(case, seed)
            value = derive_case(case, layout).evaluate({**point.values, **point.functions}, point.sizes)
            assert error_of(value, true_derivative(case, layout, seed)) < 1e-9, str(derive_case(case, layout))


@some_cases
def test_printed_text_read_again_means_the_same(case: Case) -> None:
    for layout in BOTH:
        derivative, point = derive_case(case, layout), find_point(case, 0)
        again = parse(str(derivative), shapes=derivative.declared, assume=derivative.assumed).expressions[0]
        known = derivative.problem.symbols.values()
        value = evaluate_with(again, {**point.values, **point.functions}, point.sizes, known)
        assert error_of(value, true_derivative(case, layout, 0)) < 1e-9
        assert to_text_named(again, derivative.taken) == str(derivative)


@some_cases
def test_printed_text_read_by_python_is_the_derivative(case: Case) -> None:
    for layout in BOTH:
        text = str(derive_case(case, layout))
        assert error_of(read_text(case, text, 0), true_derivative(case, layout, 0)) < 1e-9, text


@some_cases
def test_judge_agrees(case: Case) -> None:
    for layout in BOTH:
        report = derive_case(case, layout).check()
        assert report.verdict == "agrees", report.message


# --- closed forms ------------------------------------------------------------------------------------------


def count_nodes(text: str) -> int:
    return sum(1 for _ in ast.walk(ast.parse(text, mode="eval")))


def compare_lengths(case: Case, layout: str) -> float:
    """How many times as long as the closed form the answer is, in nodes of Python's syntax tree."""
    return count_nodes(str(derive_case(case, layout))) / count_nodes(case.closed_form(layout))


@known_cases
def test_closed_form_of_the_case_is_true(case: Case) -> None:
    for layout in filter(case.closed_form, BOTH):
        value = read_text(case, case.closed_form(layout), 0)
        assert error_of(value, true_derivative(case, layout, 0)) < 1e-9


@written_cases
def test_answer_is_in_matrix_notation_as_short_as_the_closed_form(case: Case) -> None:
    for layout in BOTH:
        text = str(derive_case(case, layout))
        assert "einsum" not in text
        assert compare_lengths(case, layout) <= 1.5, f"{text}  for  {case.closed_form(layout)}"


def test_median_answer_is_no_longer_than_the_textbook() -> None:
    assert median(compare_lengths(case, layout) for case in TEXTBOOK for layout in BOTH) <= 1.0


# --- formulas by their exact text ---------------------------------------------------------------------------

EXACT = [
    ("x.T @ A @ x", "x", {}, "(A + A.T) @ x"),
    ("x.T @ A @ x", "x", {"A": "symmetric"}, "2*A @ x"),
    ("norm(X@w - y)**2", "w", {}, "2*X.T @ (X @ w - y)"),
    ("softmax(x)", "x", {}, "diag(softmax(x)) - softmax(x) @ softmax(x).T"),
]


@pytest.mark.parametrize(("text", "wrt", "assume", "expected"), EXACT)
def test_answer_is_written_as_in_a_textbook(text: str, wrt: str, assume: dict[str, str], expected: str) -> None:
    assert str(matcalc.derive(text, wrt, layout="denominator", assume=assume)) == expected


def test_inverse_has_entries_einsum_and_vec() -> None:
    derivative = matcalc.derive("inv(X)")
    assert derivative.vec == "-kron(inv(X).T, inv(X))"
    assert derivative.entries.startswith("dY[i,j]/dX[a,b] = ")
    assert "einsum" in derivative.einsum


@pytest.mark.parametrize(
    ("text", "wrt", "shape"),
    [("A @ X @ B", "X", ("m", "l", "k", "n")), ("A @ x", "x", ("m", "n")), ("inv(X)", "X", ("n", "n", "n", "n"))],
)
def test_sizes_are_lettered_as_in_a_textbook(text: str, wrt: str, shape: tuple[str, ...]) -> None:
    assert matcalc.derive(text, wrt).shape == shape


def test_product_prints_its_matrix() -> None:
    assert str(matcalc.derive("A @ x")) == "A"
    assert matcalc.derive("A @ X @ B", "X").vec == "kron(B.T, A)"
