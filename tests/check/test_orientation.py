"""A derivative of one axis is a row or a column, as the layout says: what is printed, and what is said of a claim."""

from __future__ import annotations

from pathlib import Path

import pytest

import matcalc
from matcalc.check.jacobian import JUDGED_LAYOUTS, find_orientation
from matcalc.check.question import ask
from matcalc.engine.layout import is_row, mixed_axes
from matcalc.language.expression import transpose
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import transpose_inside
from matcalc.language.text_to_expression import parse
from tests.read_cases import Case, derive_case, read_cases
from tests.sampling import sample

PRINTED = [
    ("x.T @ A @ x", "x", "numerator", "x.T @ (A + A.T)", "a 1×n row"),
    ("x.T @ A @ x", "x", "denominator", "(A + A.T) @ x", "a column"),
    ("x.T @ A @ x", "x", "mixed", "(A + A.T) @ x", "a column"),
    ("x.T @ A @ x", "x", "vec", "x.T @ (A + A.T)", "a 1×n row"),
    ("alpha**2*v", "alpha", "numerator", "2*alpha*v", "a column"),
    ("alpha**2*v", "alpha", "denominator", "2*alpha*v.T", "a 1×m row"),
    ("alpha**2*v", "alpha", "mixed", "2*alpha*v", "a column"),
    ("alpha**2*v", "alpha", "torch", "2*alpha*v", "a column"),
    ("alpha**2*v", "alpha", "vec", "2*alpha*v", "a column"),
    ("A @ x*alpha", "alpha", "denominator", "x.T @ A.T", "a 1×m row"),
    ("sum(b)", "x", "numerator", "zeros(1, n)", "a 1×n row"),
    ("b", "alpha", "denominator", "zeros(1, n)", "a 1×n row"),
]


@pytest.mark.parametrize(("text", "wrt", "layout", "expected", "form"), PRINTED)
def test_an_answer_is_printed_as_its_layout_has_it(text: str, wrt: str, layout: str, expected: str, form: str) -> None:
    shapes = {"b": ("n",), "x": ("n",), "alpha": ()} if "b" in text else None
    derivative = matcalc.derive(text, wrt, layout=layout, shapes=shapes)
    assert str(derivative) == expected
    assert derivative.header.endswith(form)
    assert derivative.check()


ONE_AXIS = [case for case in read_cases() if len(derive_case(case).shape) == 1]


@pytest.mark.parametrize("case", sample("one axis", ONE_AXIS, 0.3), ids=str)
def test_the_judge_finds_no_answer_of_the_wrong_orientation(case: Case) -> None:
    for layout in JUDGED_LAYOUTS:
        derivative = derive_case(case, layout)
        question = ask(derivative.function, derivative.expression, derivative.by, layout)
        assert question.strict
        assert not question.find_turn(layout), str(derivative)


@pytest.mark.parametrize(("rank", "ranks"), [(0, [1]), (1, [0]), (0, [0, 1]), (0, [1, 0]), (1, [0, 0]), (0, [2])])
@pytest.mark.parametrize("layout", ["numerator", "denominator", "mixed", "vec"])
def test_engine_and_judge_have_the_same_orientation(rank: int, ranks: list[int], layout: str) -> None:
    found = find_orientation(rank, ranks, layout)
    if found is not None:
        assert is_row(mixed_axes(rank, ranks), layout, len(ranks)) == (found == "row")


# --- what a claim is told ---------------------------------------------------------------------------------------


def test_a_column_in_numerator_layout_agrees_and_is_told_so() -> None:
    report = matcalc.check("x.T @ A @ x", "(A + A.T) @ x")
    assert report.verdict == "agrees"
    assert report.message.endswith("; as a 1×n row in numerator layout: write x.T @ (A + A.T)")
    assert (report.turn, report.turned) == ("row", "x.T @ (A + A.T)")


def test_a_strict_check_refuses_it() -> None:
    report = matcalc.check("x.T @ A @ x", "(A + A.T) @ x", strict=True)
    assert (report.verdict, report.reasons, report.fits) == ("differs", ("orientation",), ("denominator", "torch"))
    assert report.message == (
        "differs. It is the derivative as a column; in numerator layout it is a 1×n row: write x.T @ (A + A.T)."
    )
    assert report.correct == "x.T @ (A + A.T)"
    assert report.command.endswith("--strict --seed 0")
    assert matcalc.check("x.T @ A @ x", report.correct, strict=True)


def test_the_other_mistakes_are_named_beside_it() -> None:
    report = matcalc.check("x.T @ A @ x", "A @ x", strict=True)
    assert report.reasons == ("missing-term", "orientation")
    assert "Missing: A.T @ x." in report.message


@pytest.mark.parametrize("proof", ["both", "exact", "torch"])
def test_each_proof_confirms_the_advice(proof: str) -> None:
    assert matcalc.check("norm(A @ x - b)**2", "2*A.T @ (A @ x - b)", "x", proof=proof).turned == "2*(A @ x - b).T @ A"
    assert matcalc.check("sum(exp(x))", "exp(x)", proof=proof, strict=True).reasons == ("orientation",)


@pytest.mark.parametrize(("text", "wrt", "claim"), [
    ("sum(x)", "x", "ones(1, n)"),  # a declared row has two readings, and either will do
    ("sum(x)", "x", "ones(n)"),
])  # fmt: skip
def test_a_variable_that_is_a_row_asks_for_no_orientation(text: str, wrt: str, claim: str) -> None:
    assert not matcalc.check(text, claim, wrt, shapes={"x": (1, "n")}, strict=True).turn


def test_code_has_one_axis() -> None:
    assert matcalc.check(lambda x: x @ x, lambda x: 2 * x, strict=True).verdict == "agrees"


def test_every_entrance_is_strict_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from matcalc.cli import main
    from matcalc.notebook.magic import run_magic

    assert main(["check", "x.T @ x", "--claim", "2*x"]) == 0
    assert main(["check", "x.T @ x", "--claim", "2*x", "--strict"]) == 1
    assert run_magic("check x.T @ x --claim 2*x --strict").reasons == ("orientation",)
    with pytest.raises(AssertionError, match="it is a 1×n row"):
        matcalc.assert_derivative("x.T @ x", "2*x", strict=True)
    capsys.readouterr()


TRANSPOSED = [
    ("(A + A.T) @ x", "x.T @ (A + A.T)"),
    ("2*A.T @ (A @ x - b)", "2*(A @ x - b).T @ A"),
    ("-A.T @ b", "-b.T @ A"),
    ("softmax(x) - y", "(softmax(x) - y).T"),
    ("2*x", "2*x.T"),
    ("x/norm(x)", "x.T/norm(x)"),
    ("x.T @ A", "A.T @ x"),
    ("exp(x)", "exp(x).T"),
    ("S @ x", "x.T @ S"),
    ("inv(S) @ x", "x.T @ inv(S)"),
    ("diag(d) @ x", "x.T @ diag(d)"),
]


@pytest.mark.parametrize(("text", "expected"), TRANSPOSED)
def test_the_advice_is_written_as_one_would(text: str, expected: str) -> None:
    shapes = {"A": ("n", "n"), "S": ("n", "n"), "x": ("n",), "b": ("n",), "y": ("n",), "d": ("n",)}
    (formula,) = parse(text, shapes=shapes, assume={"S": "symmetric"}).expressions
    turned = transpose_inside(formula)
    assert to_text(turned) == expected
    assert turned.shape == transpose(formula).shape
