"""The public interface: derive, its arguments and errors, and the views of a Derivative."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import matcalc
from matcalc import MatcalcError, derive
from matcalc.cli import main
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


NOTES: list[tuple[str, str, str]] = [
    # text, wrt, note
    ("maximum(0, 1 - y*(X @ w))", "w", "maximum(0, 1 - y*(X @ w)) is not differentiable where 1 - y*(X @ w) = 0"),
    ("maximum(a - b, c - x)", "x", "maximum(a - b, c - x) is not differentiable where a - b = c - x"),
    ("minimum(x, y)", "x", "minimum(x, y) is not differentiable where x = y"),
    ("clip(x, 0, 1)", "x", "clip(x, 0, 1) is not differentiable where x = 0 or x = 1"),
    ("norm(x - y)", "x", "norm(x - y) is not differentiable where x - y = 0"),
    ("norm(x, 1)", "x", "norm(x, 1) is not differentiable where an entry of x is 0"),
    ("max(x)", "x", "max(x) is not differentiable where two entries of x are the largest"),
    ("min(X, axis=1)", "X", "min(X, axis=1) is not differentiable where two entries of a row of X are the smallest"),
    ("where(x > y, x**2, 0)", "x", "where(x > y, x**2, 0) may have no derivative where x = y"),
    ("logdet(X)", "X", "every entry of X is free in this derivative, though X is posdef"),
    ("A**-1 @ x", "x", "A**-1 works entry by entry; inv(A) is the inverse"),
    ("trace(exp(X))", "X", "exp(X) works entry by entry; expm(X) is the matrix exponential"),
    ("trace(X**2)", "X", "X**2 works entry by entry; matrix_power(X, 2) is the matrix power"),
    ("u(x)", "x", "D(u, x), the derivative of u, has the shape (m, n), axes in numerator layout"),
    ("e*x", "x", "e is the number 2.718...; declare e to use it as a variable"),
    ("xTAx", "xTAx", "xTAx is one name; the product is x.T @ A @ x"),
    ("xT @ x", "x", "xT is one name; the transpose is x.T"),
    ("I @ x", "x", "I is a variable; the identity is eye(n)"),
    ("sum(x_i)", "x_i", "x_i is a name of its own, not an entry; write sum(x)"),
    ("x**T @ A", "A", "x**T is a power with the exponents T; write x.T for the transpose"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "note"), NOTES)
def test_notes_name_the_likely_misreadings(text: str, wrt: str, note: str) -> None:
    assume, shapes = ({"X": "posdef"} if text == "logdet(X)" else None), ({"u": ("m",)} if "u(" in text else None)
    assert note in derive(text, wrt, assume=assume, shapes=shapes, syntax="matcalc").notes


@pytest.mark.parametrize(
    ("text", "wrt"),
    [
        ("norm(X @ w - y)**2", "w"), ("x/norm(x)", "x"), ("exp(x)", "x"), ("x**2", "x"), ("sum((X @ X.T)**2)", "X"),
        ("exp(X @ y)", "y"), ("relu(b)*x", "x"), ("Wq @ x", "x"), ("x_i*y", "y"),
        ("(X - mean(X, axis=0, keepdims=True))/sqrt(var(X, axis=0, keepdims=True) + epsilon)", "X"),
    ],
)  # fmt: skip
def test_notes_are_rare(text: str, wrt: str) -> None:
    assert derive(text, wrt).notes == ()


def test_kinks_that_a_branch_avoids_are_not_named() -> None:
    notes = derive("where(abs(x) <= delta, x**2/2, delta*(abs(x) - delta/2))", "x").notes
    assert not any(note.startswith("abs(x)") for note in notes)
    assert any(note.startswith("abs(x) ") for note in derive("where(x > y, abs(x), 0)", "x").notes)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("norm(X)", "X = 0"), ("norm(A @ x, 1)", "an entry of A @ x is 0"),
        ("norm(X, 'nuc')", "a singular value of X is 0"),
        ("norm(X, axis=1)", "a row of X = 0"), ("norm(X, 2)", "the two largest singular values of X are equal"),
    ],
)  # fmt: skip
def test_a_norm_says_where_it_has_no_derivative(text: str, where: str) -> None:
    assert f"{text} is not differentiable where {where}" in derive(text, "X" if "X" in text else "x").notes


def test_an_orthogonal_matrix_is_said_to_be_square() -> None:
    notes = derive("norm(X - W @ W.T @ X)**2", "X", assume="W: orthogonal").notes
    assert notes == ("W is square, since it is orthogonal; orthonormal columns alone cannot be assumed",)


def test_shapes_and_assumptions_may_be_one_text_each() -> None:
    derivative = derive("x.T @ A @ x", "x", layout="denominator", shapes="x: p", assume="A: symmetric; x: positive")
    assert (str(derivative), derivative.shape) == ("2*A @ x", ("p",))
    assert str(derive(derivative, "x", shapes="b: n", assume="A: symmetric")) == "2*A"
    assert matcalc.check("x.T @ A @ x", "2*A @ x", "x", layout="denominator", assume="A: symmetric").verdict == "agrees"


@pytest.mark.parametrize(
    ("wrt", "reason"),
    [("A@y", "is a name, not A@y"), (3, "is a name, not 3"), ("", "is empty")],
)  # fmt: skip
def test_the_variable_is_one_name(wrt: Any, reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason):
        derive("A @ x * y", wrt)


def test_indices_do_not_take_the_letters_of_sizes() -> None:
    derivative = derive("kron(A, X) @ b", "X")
    assert derivative.entries == "dy[i]/dX[a,c] = sum_rst(fuse(p, n)[i,s,a]*b[t]*A[s,r]*fuse(q, k)[t,r,c])"
    assert "\\sum_{s t r}" in derivative.latex()


def test_powers_read_as_they_were_meant() -> None:
    assert derive("sum(x**p)", "x", shapes="p: scalar", layout="denominator").latex() == "p x^{\\circ (p - 1)}"
    assert str(derive("A**-1 @ x", "x")) == "A**-1"


def test_plain_data_has_the_fields_of_version_1() -> None:
    plain = derive("A @ x").to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert list(plain) == [
        "expression", "wrt", "order", "layout", "derivative", "shape", "axes", "variables", "assumptions",
        "result_shape", "entries", "einsum", "vec", "vec_shape", "differential", "latex", "notes", "reading",
        "meaning",
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
    assert report.message.startswith("exactly equal in SymPy at m, n = 2, 3 and 3, 2; agrees with torch.")


# --- rules of one's own --------------------------------------------------------------------------------------

LOG2 = '[binary_log]\nelementwise = "{}/(x*log(2))"\ndomain = "x > 0"\ntorch = "torch.log2"\n'


@pytest.fixture(autouse=True)
def _forget_loaded_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcalc.inputs._loaded", [])


def write_rules(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_rule_is_used(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(1) + '[cubic]\ndefine = "x**3 + x"\n')
    derivative = derive("sum(binary_log(x) + cubic(x))", rules=path)
    assert derivative.check().verdict == "agrees"
    assert "binary_log" not in shipped_rules()


def test_loaded_rules_hold_for_later_derivations(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(1))
    matcalc.load_rules(path)
    assert derive("binary_log(x)").check().verdict == "agrees"


def test_a_wrong_rule_is_refused_and_named(tmp_path: Path) -> None:
    path = write_rules(tmp_path, LOG2.format(2))
    with pytest.raises(RuleError, match=r"rule \[binary_log\] in mine.toml is refused: differs: entry"):
        matcalc.load_rules(path)
    with pytest.raises(MatcalcError):
        derive("binary_log(x)")


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
    ['[f]\nelementwise = "1"\ndifferential = "dx"\n', '[f]\nwrong = "1"\n', "f = 1\n", "[f\n", '[f]\ndefine = "x +"\n'],
)
def test_a_rule_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuleError):
        matcalc.load_rules(write_rules(tmp_path, text))


def test_a_book_of_rules_is_taken_as_it_is() -> None:
    assert str(derive("exp(x)", rules=RuleBook(shipped_rules()))) == "diag(exp(x))"


def test_differential_that_its_own_function_states_is_refused(tmp_path: Path) -> None:
    entry = '[same]\ncall = "same(x[n]) -> x"\ndifferential = "same(dx)"\ntorch = "torch.positive"\n'
    (tmp_path / "my.toml").write_text(entry, encoding="utf-8")
    with pytest.raises(RuleError, match=r"the differential of \[same\] is stated by same itself"):
        derive("same(x)", rules=tmp_path / "my.toml")


@pytest.mark.parametrize("entry", ["elementwise = 3", 'call = 3\nelementwise = "x"',
                                   'call = "foo(x, 2)"\nelementwise = ["x", "x"]'])  # fmt: skip
def test_malformed_rule_is_a_rule_error(entry: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(f'[foo]\n{entry}\ntorch = "torch.exp"\n', encoding="utf-8")
    with pytest.raises(RuleError):
        derive("foo(x)", rules=tmp_path / "my.toml")


def test_names_of_a_third_derivative_in_vec_layout() -> None:
    third = derive("x**4", shapes={"x": ("n",)}, layout="vec", order=3)
    assert third.header.startswith("d vec(d2y/dx2)/d vec(x).T")
    assert third.axes == ("vec(d2y/dx2)", "vec(x)")


WRONG_KINDS = [{"shapes": 5}, {"assume": 5}, {"assume": {"A": 5}}, {"rules": 5}, {"layout": 5}, {"order": "2"}]


@pytest.mark.parametrize("wrong", WRONG_KINDS)
def test_arguments_of_a_wrong_kind_are_refused_with_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(MatcalcError):
        matcalc.derive("A @ x", **wrong)


def test_long_products_are_refused_before_they_take_long() -> None:
    assert str(matcalc.derive("@".join(["A"] * 100) + "@x")) == "matrix_power(A, 100)"
    with pytest.raises(MatcalcError, match="a product of more than 200 factors"):
        matcalc.derive("@".join(["A"] * 400) + "@x")


def test_the_differential_keeps_clear_of_the_readers_names() -> None:
    assert matcalc.derive("dx.T @ x", "x").differential == "df = dx.T @ d_x"


def test_division_by_an_array_with_zeros_is_refused() -> None:
    with pytest.raises(MatcalcError, match="division by zero"):
        matcalc.derive("sum(X/eye(n))", "X")


def test_a_proof_carries_the_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = matcalc.derive("logdet(X)", layout="vec", assume="X: posdef").check(seed=4, dtype="float32")
    given = "--wrt X --vars 'X: n,n' --assume 'X: posdef' --layout vec --dtype float32 --seed 4"
    command = f"matcalc derive 'logdet(X)' {given}"
    assert report.command == command
    assert main([*shlex.split(command)[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check"] == json.loads(json.dumps(report.to_dict()))


def test_indices_do_not_take_the_names_of_variables():
    assert derive("a.T @ X @ b", "X", order=2).entries == "d2f/(dX[c,d] dX[e,f]) = 0"
    assert derive("A @ X @ b", "X").entries == "dy[i]/dX[a,c] = A[i,a]*b[c]"
    assert derive("x*i", "x").entries == "dy[j]/dx[a] = i[j]*delta(j,a)"


ROWS = [
    ("x @ A", "A.T @ dx.T"),
    ("exp(x)", "exp(x.T)*dx.T"),
    ("x @ B @ x.T", "x @ (B + B.T) @ dx.T"),
    ("outer(x.T, a)", "dx.T @ a.T"),
    ("a @ x", "a @ dx"),
    ("sum(x**2)", "2*x @ dx.T"),
    ("X*x", "X @ diag(dx.T)"),
    ("trace(X @ x.T @ a.T)", "a.T @ X @ dx.T"),
]


@pytest.mark.parametrize(("expression", "change"), ROWS)
def test_the_change_of_a_row_is_a_row(expression: str, change: str) -> None:
    """The differential is read again, and derived by the change it is the derivative."""
    shapes = {"x": (1, "k"), "A": ("k", "n"), "B": ("k", "k"), "X": ("n", "k"), "a": ("n",)}
    derivative = derive(expression, "x", shapes=shapes, layout="torch")
    assert derivative.differential.partition(" = ")[2] == change
    again = derive(change, "dx", shapes={**shapes, "dx": (1, "k")}, layout="torch")
    assert matcalc.check(expression, str(again), "x", shapes=shapes, layout="torch")
