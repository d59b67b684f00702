"""The public interface: derive, its arguments and errors, and the views of a Derivative."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import matcalc
from matcalc import MatcalcError, derive
from matcalc.errors import DeclarationError, EvaluationError, LimitError, MissingRuleError, RuleError, ShapeError
from matcalc.rule_files import RuleBook, shipped_rules

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")

# --- arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrt"), [("A @ x", "x"), ("A @ X", "X"), ("b.T @ X @ x", "x"), ("sin(t)", "t"), ("W @ W", "W")]
)
def test_variable_is_x_else_X_else_the_only_one(text: str, wrt: str) -> None:
    assert derive(text).wrt.name == wrt


def test_without_a_choice_the_names_are_listed() -> None:
    with pytest.raises(DeclarationError, match="there are A, B"):
        derive("A @ B")


def test_declared_shapes_are_kept() -> None:
    derivative = derive("A @ x", shapes={"A": ("p", 3), "x": (3,)})
    assert derivative.shape == ("p", 3)
    assert derivative.declared == {"A": ("p", "3"), "x": ("3",)}


def test_a_declared_variable_that_does_not_occur_gives_zeros() -> None:
    derivative = derive("A @ x", "z", shapes={"z": ("k",)})
    assert (str(derivative), derivative.shape) == ("zeros(m, k)", ("m", "k"))


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("symmetric", "x.T @ A @ x", "2*A @ x"),
        ("skew", "x.T @ A @ x", "zeros(n)"),
        ("orthogonal", "norm(A @ x)**2", "2*x"),
        ("diagonal", "A.T @ x", "A"),
    ],
)
def test_assumptions_are_used(word: str, text: str, expected: str) -> None:
    derivative = derive(text, "x", layout="denominator", assume={"A": word})
    assert str(derivative) == expected
    assert derivative.assumed == {"A": (word,)}


def test_derivative_by_a_symmetric_matrix_moves_every_entry_on_its_own() -> None:
    assert str(derive("x.T @ A @ x", "A", assume={"A": "symmetric"})) == "x @ x.T"


@pytest.mark.parametrize(
    ("order", "text", "expected"),
    [(2, "x.T @ A @ x", "A + A.T"), (2, "sum(x**3)", "6*diag(x)"), (1, "sum(x**3)", "3*(x**2).T")],
)
def test_orders(order: int, text: str, expected: str) -> None:
    assert str(derive(text, "x", order=order)) == expected


def test_third_order_has_three_axes() -> None:
    derivative = derive("sum(x**4)", order=3)
    assert derivative.shape == ("n", "n", "n")
    assert derivative.check().verdict == "agrees"


def test_a_derivative_is_differentiated_again() -> None:
    gradient = derive("x.T @ A @ x", "x", layout="denominator", assume={"A": "symmetric"})
    assert str(derive(gradient, "x")) == "2*A"


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({"expr": "A @ x", "wrt": "z"}, DeclarationError, "no variable z; the variables are A, x"),
        ({"expr": "A @ x", "layout": "sideways"}, DeclarationError, "no layout 'sideways'"),
        ({"expr": "A @ x", "order": 0}, DeclarationError, "from 1 to 6, not 0"),
        ({"expr": "A @ x", "order": 1.5}, DeclarationError, "not 1.5"),
        ({"expr": "X @ X @ X", "order": 6}, LimitError, "14 axes"),
        ({"expr": "A @ x", "shapes": {"A": ("m", 3), "x": (4,)}}, ShapeError, r"\(m, 3\) @ \(4, 1\)"),
        ({"expr": "A @ x", "assume": {"z": "positive"}}, DeclarationError, "z is no variable"),
        ({"expr": "A @ x", "assume": {"A": "blue"}}, DeclarationError, "blue"),
        ({"expr": "foo(x)"}, MissingRuleError, "foo has no rule"),
        ({"expr": "polar(X)"}, MissingRuleError, "polar has no rule for its derivative"),
        ({"expr": "A @ x", "rules": "nowhere.toml"}, RuleError, "nowhere.toml"),
    ],
)
def test_errors_say_what_is_wrong(arguments: dict[str, Any], kind: type[MatcalcError], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        derive(**arguments)


def test_missing_rule_shows_the_entry_to_add() -> None:
    with pytest.raises(MissingRuleError) as caught:
        derive("foo(x) + 1")
    assert "[foo]" in str(caught.value)
    assert "foo(x) + 1\n  ^^^^^^" in str(caught.value)


# --- views ---------------------------------------------------------------------------------------------------


def test_every_view_of_one_answer() -> None:
    derivative = derive("A @ X @ B", "X")
    assert derivative.entries == "dY[i,j]/dX[a,b] = A[i,a]*B[b,j]"
    assert derivative.einsum == "einsum('ia,bj->ijba', A, B)"
    assert (derivative.vec, derivative.vec_shape) == ("kron(B.T, A)", ("m*l", "n*k"))
    assert derivative.differential == "dY = A @ dX @ B"
    assert derivative.axes == ("Y axis 0", "Y axis 1", "X axis 1", "X axis 0")
    assert repr(derivative) == "Derivative(einsum('ia,bj->ijba', A, B), shape=(m, l, k, n), layout='numerator')"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", ["A @ x", "x.T @ A @ x", "A @ X", "trace(A @ X)", "X @ x", "u(x)"])
def test_layouts_of_one_derivation_are_those_of_its_own(text: str, layout: str) -> None:
    declared = {"u": ("m",)} if "u(" in text else None
    derivative = derive(text, layout=layout, shapes=declared)
    other = derive(text, shapes=declared).in_layout(layout)
    assert (str(other), other.shape, other.axes, other.layout) == (
        str(derivative), derivative.shape, derivative.axes, layout,
    )  # fmt: skip
    assert len(other.axes) == len(other.shape)


def test_notes_say_how_the_text_was_understood_and_where_there_is_no_derivative() -> None:
    assert "every column" in derive("X + b", "X").notes[0]
    assert derive("abs(x)").notes == ("abs(x) is not differentiable where x = 0",)
    assert derive("A @ x").notes == ()


def test_plain_data_has_the_fields_of_version_1() -> None:
    plain = derive("A @ x").to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert list(plain) == [
        "expression", "wrt", "order", "layout", "derivative", "shape", "axes", "variables", "assumptions",
        "result_shape", "entries", "einsum", "vec", "vec_shape", "differential", "latex", "notes",
    ]  # fmt: skip
    assert (plain["derivative"], plain["shape"], plain["variables"]["A"]) == ("A", ["m", "n"], ["m", "n"])


def test_result_is_named_with_a_letter_that_is_free() -> None:
    assert derive("X @ A", "X").result_name == "Y"
    assert derive("X @ Y", "X").result_name == "Z"
    assert derive("y.T @ x", "x").result_name == "f"


# --- numbers -------------------------------------------------------------------------------------------------


def test_numpy_in_numpy_out() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for x in (np.ones(3), np.ones((3, 1)), [1, 1, 1]):
        value = derive("A @ x", layout="denominator").evaluate({"A": a, "x": x})
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, a.T)


def test_torch_in_torch_out() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    value = derive("sum(x**3)").evaluate({"x": x})
    assert isinstance(value, torch.Tensor)
    torch.testing.assert_close(value, 3 * x**2)
    assert derive("sum(x**3)").evaluate({"x": x.float()}).dtype == torch.float32


def test_sizes_follow_from_variables_that_the_derivative_lacks() -> None:
    np.testing.assert_array_equal(derive("sum(X)").evaluate({"X": np.zeros((2, 3))}), np.ones((3, 2)))


def test_sizes_that_no_value_tells_are_given() -> None:
    derivative = derive("ones(m) @ x.T", "x")
    assert derivative.evaluate({"x": np.ones(2)}, sizes={"m": 3}).shape == (3, 2, 2)
    with pytest.raises(EvaluationError, match="the size m"):
        derivative.evaluate({"x": np.ones(2)})


def test_unit_axes_are_dropped() -> None:
    assert derive("x.T @ A @ x").evaluate({"A": np.eye(3), "x": np.ones((3, 1))}).shape == (3,)
    assert derive("t**2", shapes={"t": ()}).evaluate({"t": 3.0}) == 6


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"x": np.ones(3)}, "A has no value"),
        ({"A": np.ones((2, 3)), "x": np.ones(4)}, "x is"),
        ({"A": np.ones((2, 3)), "x": np.ones(3), "y": 1.0}, "y is not a variable"),
        ({"A": "text", "x": np.ones(3)}, "the value of A"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        derive("A @ x").evaluate(values)


def test_check_agrees_and_says_how_closely() -> None:
    report = derive("A @ x").check(trials=2, seed=5)
    assert (report.verdict, report.points, report.seed) == ("agrees", 2, 5)
    assert report.message.startswith("agrees with torch.autograd.functional.jacobian at 2 points")


# --- rules of one's own --------------------------------------------------------------------------------------

LOG2 = '[log2]\nelementwise = "{}/(x*log(2))"\ndomain = "x > 0"\ntorch = "torch.log2"\n'


@pytest.fixture(autouse=True)
def _forget_loaded_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcalc.user_rules._loaded", [])


def write_rules(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_rule_is_used(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(1) + '[cubic]\ndefine = "x**3 + x"\n')
    derivative = derive("sum(log2(x) + cubic(x))", rules=path)
    assert derivative.check().verdict == "agrees"
    assert "log2" not in shipped_rules()


def test_loaded_rules_hold_for_later_derivations(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(1))
    matcalc.load_rules(path)
    assert derive("log2(x)").check().verdict == "agrees"


def test_a_wrong_rule_is_refused_and_named(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(2))
    with pytest.raises(RuleError, match=r"rule \[log2\] in mine.toml is refused: differs: entry"):
        matcalc.load_rules(path)
    with pytest.raises(MatcalcError):
        derive("log2(x)")


def test_a_rule_whose_function_is_unknown_is_refused(tmp_path: Path) -> None:
    path = write_rules(tmp_path, '[mystery]\nelementwise = "1/x"\n')
    with pytest.raises(RuleError, match=r"rule \[mystery\] in mine.toml is refused: could not check"):
        matcalc.load_rules(path)


def test_a_name_registered_twice_is_an_error(tmp_path: Path) -> None:
    path = write_rules(tmp_path, '[exp]\nelementwise = "exp(x)"\ntorch = "torch.exp"\n')
    with pytest.raises(RuleError, match="already defined"):
        matcalc.load_rules(path)


@pytest.mark.parametrize(
    "text",
    ['[f]\nelementwise = "1"\ndefine = "x"\n', '[f]\nwrong = "1"\n', "f = 1\n", "[f\n", '[f]\ndefine = "x +"\n'],
)
def test_a_rule_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuleError):
        matcalc.load_rules(write_rules(tmp_path, text))


def test_a_book_of_rules_is_taken_as_it_is() -> None:
    assert str(derive("exp(x)", rules=RuleBook(shipped_rules()))) == "diag(exp(x))"
