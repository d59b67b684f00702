"""The language: what is accepted and of which shape, how sizes are lettered, what is declared and noted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from matcalc.errors import DeclarationError, LimitError, MatcalcError, ShapeError
from matcalc.language.declarations import read_declarations
from matcalc.language.expression import transpose, walk
from matcalc.language.text_to_expression import parse


def shapes_of(text: str, **options: Any) -> dict[str, Any]:
    """The shapes of the names, and of the whole under "=" ."""
    problem = parse(text, **options)
    found: dict[str, Any] = {name: symbol.squeezed_shape for name, symbol in problem.symbols.items()}
    return found | {"=": problem.expressions[0].squeezed_shape}


def shape_of(text: str, **options: Any) -> Any:
    return shapes_of(text, **options)["="]


def error_of(text: Any, **options: Any) -> MatcalcError:
    with pytest.raises(MatcalcError) as caught:
        parse(text, **options)
    return caught.value


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrt", "shapes"),
    [
        ("A @ X @ B", "X", {"A": ("m", "n"), "X": ("n", "k"), "B": ("k", "l"), "=": ("m", "l")}),
        ("A @ x", "x", {"A": ("m", "n"), "x": ("n",), "=": ("m",)}),
        ("A @ x + b", "x", {"A": ("m", "n"), "x": ("n",), "b": ("m",), "=": ("m",)}),
        ("A @ B @ x", "x", {"A": ("m", "p"), "B": ("p", "n"), "x": ("n",), "=": ("m",)}),
        ("A @ B @ C @ x", "x", {"A": ("m", "p"), "B": ("p", "q"), "C": ("q", "n"), "x": ("n",), "=": ("m",)}),
        ("x.T @ A @ x", "x", {"x": ("n",), "A": ("n", "n"), "=": ()}),
        ("X.T", "X", {"X": ("n", "k"), "=": ("k", "n")}),
        ("X @ B", "X", {"X": ("n", "k"), "B": ("k", "l"), "=": ("n", "l")}),
        ("exp(t*A)", "t", {"t": ("n",), "A": ("n", "l"), "=": ("n", "l")}),
        ("tau*A @ x", "tau", {"tau": (), "A": ("m", "n"), "x": ("n",), "=": ("m",)}),
        ("trace(A @ X @ B)", "X", {"A": ("p", "n"), "X": ("n", "k"), "B": ("k", "p"), "=": ()}),
        ("sum(X, axis=0)", "X", {"X": ("n", "k"), "=": ("k",)}),
        ("eye(p) @ A @ x", "x", {"A": ("p", "n"), "x": ("n",), "=": ("p",)}),
        ("A @ x @ ones(1, n)", "x", {"A": ("m", "p"), "x": ("p",), "=": ("m", "n")}),
        ("kron(A, B) @ x", "A", {"A": ("n", "k"), "B": ("p", "q"), "x": ("k*q",), "=": ("n*p",)}),
        ("vec(A @ X @ B)", "X", {"A": ("p", "n"), "X": ("n", "k"), "B": ("k", "q"), "=": ("q*p",)}),
        ("n @ A @ x", "x", None),
        ("m.T @ A @ x", "x", {"m": ("p",), "A": ("p", "n"), "x": ("n",), "=": ()}),
    ],
)
def test_sizes_are_lettered_as_a_textbook_would(text: str, wrt: str, shapes: dict[str, Any] | None) -> None:
    if shapes is None:
        assert isinstance(error_of(text, wrt=wrt), ShapeError)
    else:
        assert shapes_of(text, wrt=wrt) == shapes


def test_letters_that_are_names_are_not_sizes() -> None:
    sizes = shapes_of("n.T @ A @ x", wrt="x")
    assert sizes["x"] == ("p",)
    assert sizes["A"] == ("q", "p")


def test_declared_letters_are_kept_and_not_used_again() -> None:
    sizes = shapes_of("A @ B @ x", wrt="x", shapes={"A": ("n", "m")})
    assert sizes == {"A": ("n", "m"), "B": ("m", "p"), "x": ("p",), "=": ("n",)}


def test_declared_numbers_are_sizes() -> None:
    assert shapes_of("A @ x", shapes={"A": (3, 4)}) == {"A": (3, 4), "x": (4,), "=": (3,)}
    assert shapes_of("kron(A, eye(2)) + eye(6)") == {"A": (3, 3), "=": (6, 6)}


def test_a_declared_unit_axis_is_dropped() -> None:
    assert shapes_of("A @ x", shapes={"A": (1, "n")}) == {"A": ("n",), "x": ("n",), "=": ()}
    assert shapes_of("a * X", shapes={"a": (1, 1)})["a"] == ()


def test_shapes_can_be_texts() -> None:
    assert shapes_of("A @ x*c", shapes={"A": "m,n", "c": "scalar"})["A"] == ("m", "n")
    assert shape_of("A @ x", shapes="A: r,s") == ("r",)


def test_equal_products_of_sizes_are_recognised() -> None:
    text = "vec(A @ X @ B) - kron(B.T, A) @ vec(X)"
    assert shapes_of(text, wrt="X")["="] == ("p*q",)
    assert shapes_of("kron(A, B) + kron(B, A)")["="] == ("n*p", "k*q")


def test_texts_share_their_names() -> None:
    problem = parse(["A @ x", "A.T"], wrt="x")
    shapes: list[Any] = [expression.squeezed_shape for expression in problem.expressions]
    assert shapes == [("m",), ("n", "m")]
    assert list(problem.symbols) == ["A", "x"]


def test_a_size_is_a_number_where_it_stands_bare() -> None:
    problem = parse("sum(x)/n", shapes={"x": ("n",)})
    assert [node.op for node in walk(problem.expressions[0])].count("size") == 1
    assert list(problem.symbols) == ["x"]
    assert list(parse("n*trace(eye(n) @ X)").symbols) == ["X"]


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "axes"),
    [("A", 2), ("X_1", 2), ("Sigma", 2), ("Σ", 2), ("x", 1), ("x1", 1), ("x_hat", 1), ("data", 1),
     ("alpha", 0), ("alpha_2", 0), ("λ", 0), ("lambda", 0), ("lambda_", 0), ("μ_1", 0), ("epsilon3", 0)],
)  # fmt: skip
def test_conventions_of_names(name: str, axes: int) -> None:
    assert len(shapes_of(f"3*{name}")[name]) == axes


def test_pi_and_e_are_numbers_unless_declared() -> None:
    assert list(parse("pi*x + e").symbols) == ["x"]
    assert list(parse("A @ x + e", shapes={"e": ("m",)}).symbols) == ["A", "x", "e"]


def test_names_of_functions_can_be_declared_as_variables() -> None:
    assert shapes_of("det(X)*det", shapes={"det": ()})["det"] == ()


def test_abstract_functions() -> None:
    problem = parse("u(x).T @ v(x)", wrt="x")
    assert problem.abstract == {"u": ("p",), "v": ("p",)}
    assert list(problem.symbols) == ["x"]
    assert parse("f(x)", shapes={"f": ()}).abstract == {"f": ()}
    assert parse("score(x)", shapes={"score": ("m", 1)}).abstract == {"score": ("m",)}
    assert len(parse("U(X)").abstract["U"]) == 2
    assert parse("φ(x)").abstract == {"φ": ()}


def test_derivatives_of_abstract_functions_are_in_numerator_layout() -> None:
    shapes = {"u": ("m",), "x": ("n",), "U": ("m", "l"), "X": ("n", "k")}
    assert shapes_of("D(u, x)", shapes=shapes)["="] == ("m", "n")
    assert shapes_of("D(u, x, 2)", shapes=shapes)["="] == ("m", "n", "n")
    assert shapes_of("D(U, X)", shapes=shapes)["="] == ("m", "l", "k", "n")
    assert shapes_of("D @ x", shapes={"D": ("m", "n")})["="] == ("m",)


# --- shapes -----------------------------------------------------------------------------------------

SHAPES = {
    "A": ("m", "n"),
    "B": ("n", "k"),
    "S": ("n", "n"),
    "x": ("n",),
    "y": ("n",),
    "z": ("m",),
    "c": (),
    "T": ("m", "n", "k"),
}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x @ y", ()), ("x.T @ y", ()), ("x @ x.T", ("n", "n")), ("x @ z.T", ("n", "m")), ("c * A", ("m", "n")),
        ("x.T @ S", ("n",)), ("x @ c", ("n",)), ("c @ x.T", ("n",)), ("A + z", ("m", "n")), ("A + x.T", ("m", "n")),
        ("x + z.T", ("n", "m")), ("A**2 / (1 + A)", ("m", "n")), ("-x**-1", ("n",)), ("+x", ("n",)), ("x ** y", ("n",)),
        ("exp(A)", ("m", "n")), ("maximum(A, 0)", ("m", "n")), ("clip(x, -1, c)", ("n",)),
        ("leaky_relu(x, 0.2)", ("n",)),
        ("where(x > 0, x, 0)", ("n",)), ("where(c >= 0, A, 1)", ("m", "n")), ("where(x < y.T, 1, 0)", ("n", "n")),
        ("sum(A)", ()), ("sum(A, axis=0)", ("n",)), ("sum(A, axis=1)", ("m",)), ("mean(A, axis=-1)", ("m",)),
        ("sum(A, axis=0, keepdims=True)", ("n",)), ("A - mean(A, axis=0, keepdims=True)", ("m", "n")),
        ("A / sum(A, axis=1, keepdims=True)", ("m", "n")), ("sum(A, keepdims=True)", ()), ("sum(x, axis=0)", ()),
        ("sum(A, axis=(0, 1))", ()), ("mean(A, axis=[-1, 0], keepdims=True)", ()), ("var(A, axis=(1,))", ("m",)),
        ("sum(A, axis=[0])", ("n",)), ("sum(x, axis=(0,))", ()), ("size(A)", ()),
        ("softmax(x)", ("n",)), ("softmax(A, axis=1)", ("m", "n")), ("softmax(x, axis=-1)", ("n",)),
        ("cumsum(x)", ("n",)), ("cumsum(x.T)", ("n",)), ("cumsum(A, axis=0)", ("m", "n")), ("var(A, axis=0)", ("n",)),
        ("norm(x)", ()), ("norm(x, 1)", ()), ("norm(x, 2)", ()), ("norm(x, 3/2)", ()), ("norm(x, c)", ()),
        ("norm(A)", ()),
        ("norm(A, 'nuc')", ()), ("norm(A, 2)", ()), ("norm(A, 'fro')", ()), ("norm(x.T, 1)", ()),
        ("dot(x, y)", ()), ("dot(x.T, y)", ()), ("dot(x.T, y.T)", ()), ("outer(x, z)", ("n", "m")),
        ("kron(A, B)", ("m*n", "n*k")), ("kron(x, z)", ("m*n",)), ("vec(A)", ("m*n",)), ("vec(x)", ("n",)),
        ("trace(S)", ()), ("det(S)", ()), ("inv(S)", ("n", "n")), ("pinv(A)", ("n", "m")), ("solve(S, x)", ("n",)),
        ("solve(S, B)", ("n", "k")), ("matrix_power(S, 3)", ("n", "n")), ("matrix_power(S, -1)", ("n", "n")),
        ("diag(x)", ("n", "n")), ("diag(S)", ("n",)), ("expm(S)", ("n", "n")), ("tril(A)", ("m", "n")),
        ("cross_entropy(x, y)", ()), ("trace(x.T @ S @ x)", ()), ("det(c)", ()), ("inv(c)", ()),
        ("logdet(x.T @ x)", ()),
        ("kron(c, A)", ("m", "n")), ("kron(A, c)", ("m", "n")), ("diag(c)", ()), ("sqrt(A)", ("m", "n")),
        ("einsum('ij,jk->ik', A, B)", ("m", "k")), ("einsum('ij,jk', A, B)", ("m", "k")),
        ("einsum('ij->ji', A)", ("n", "m")),
        ("einsum('i,j->ij', x, z.T)", ("n", "m")), ("einsum('ii', S)", ()), ("einsum(' ij , j -> i ', A, x)", ("m",)),
        ("einsum(',ij->ij', c, A)", ("m", "n")), ("einsum('ijk->kij', T)", ("k", "m", "n")),
        ("T*T + 2", ("m", "n", "k")),
        ("eye(n) @ x", ("n",)), ("ones(m, n)", ("m", "n")), ("ones(n)", ("n",)), ("ones(1, n)", ("n",)),
        ("zeros()", ()),
        ("zeros(m, n, k)", ("m", "n", "k")), ("ones(m*n, 3)", ("m*n", 3)), ("eye(1)", ()), ("ones(1, 1)", ()),
        ("fuse(m, n)", ("m*n", "m", "n")), ("commutation(m, n) @ vec(A)", ("m*n",)), ("commutation(1, n) @ x", ("n",)),
    ],
)  # fmt: skip
def test_shapes(text: str, shape: tuple[Any, ...]) -> None:
    assert shape_of(text, shapes=SHAPES) == shape


def test_dot_of_rows_is_the_dot_of_columns() -> None:
    problem = parse(["dot(x.T, y.T)", "dot(x.T.T, y.T.T)"])
    assert problem.expressions[0] is problem.expressions[1]


def test_cumsum_of_a_row_is_a_row() -> None:
    problem = parse(["cumsum(x.T)", "cumsum(x.T.T)"])
    assert problem.expressions[0] is transpose(problem.expressions[1])


@pytest.mark.parametrize(("text", "same"), [("det(x.T @ x)", "x.T @ x"), ("inv(x.T @ x)", "1/(x.T @ x)"),
                                            ("logdet(x.T @ x)", "log(x.T @ x)"), ("kron(c, x)", "c*x")])  # fmt: skip
def test_a_one_by_one_matrix_is_a_scalar(text: str, same: str) -> None:
    first, second = parse([text, same], shapes={"c": ()}).expressions
    assert first is second


def test_numbers_are_exact() -> None:
    values = [
        node.data[0] for node in walk(parse("0.1*x + 1e-5 + 3 + 1_000 + .5 + 2.").expressions[0]) if node.op == "number"
    ]
    assert values == [Fraction(1, 10), Fraction(1, 100000), 3, 1000, Fraction(1, 2), 2]


def test_whitespace_and_lines_do_not_matter() -> None:
    assert len({parse(text).expressions[0].shape for text in ("A@x", "  A \n @\t x  ", "(A\r\n@ x)")}) == 1


# --- notes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("A + b", "b is added to every column; write b.T to add it to every row, as torch does"),
        ("b + A", "b is added to every column; write b.T to add it to every row, as torch does"),
        ("A - b", "b is subtracted from every column; write b.T to subtract it from every row, as torch does"),
        ("b - A", "b is used for every column; write b.T to use it for every row, as torch does"),
        ("A * b", "b multiplies every column; write b.T to multiply every row, as torch does"),
        ("A / b", "b divides every column; write b.T to divide every row, as torch does"),
        ("A + B @ y", "B @ y is added to every column; write (B @ y).T to add it to every row, as torch does"),
        ("A * b.T", "b.T multiplies every row"),
        ("x + y.T", "x and y.T are a column and a row: every pair is combined"),
        ("softmax(X)", "softmax(X) without axis= takes all entries of X together; write axis=1 for each row"),
    ],
)
def test_notes(text: str, note: str) -> None:
    assert parse(text).notes == (note,)


@pytest.mark.parametrize(
    "text", ["A @ x + b", "X/sum(X, axis=1, keepdims=True)", "2*A", "softmax(X, axis=1)", "sum(X)"]
)
def test_no_note_without_need(text: str) -> None:
    assert parse(text).notes == ()


# --- wrt, assumptions, declarations --------------------------------------------------------------------


@pytest.mark.parametrize(("text", "chosen"), [("A @ x", "x"), ("A @ X", "X"), ("X @ x", "x"), ("sum(W)", "W")])
def test_wrt_is_chosen(text: str, chosen: str) -> None:
    wrt = parse(text, choose_wrt=True).wrt
    assert wrt is not None
    assert wrt.name == chosen


def test_wrt_that_cannot_be_chosen_lists_the_names() -> None:
    error = error_of("A @ b", choose_wrt=True)
    assert isinstance(error, DeclarationError)
    assert error.reason == "which variable to differentiate by? there are A, b"
    assert error_of("3", choose_wrt=True).reason == "there is no variable"


def test_a_typed_expression_may_stand_for_a_text():
    typed = parse("log(c)*A @ x + u(c)*ones(n)", shapes="c: scalar; u: scalar; A: n,n", assume="c: positive")
    problem = parse([typed.expressions[0], "A.T"], assume="A: symmetric")
    assert {name: symbol.data[1] for name, symbol in problem.symbols.items()} == {
        "c": {"positive"}, "A": {"symmetric"}, "x": frozenset()
    }  # fmt: skip
    assert problem.expressions[0].shape == typed.expressions[0].shape
    assert problem.expressions[1].args[0] is problem.symbols["A"]
    assert problem.abstract == {"u": ()}
    with pytest.raises(MatcalcError, match=r"x has two shapes, \(4,\) and \(n,\)"):
        parse(typed.expressions[0], shapes={"x": (4,)})


def test_wrt_that_is_absent() -> None:
    assert "the variables are A, b" in error_of("A @ b", wrt="x").reason
    problem = parse("A @ b", wrt="x", shapes={"x": ("n",)})
    assert problem.wrt is problem.symbols["x"]
    assert parse("A @ b").wrt is None


def test_assumptions_are_kept_and_make_square() -> None:
    problem = parse("A @ x", assume={"A": "posdef, real", "x": ["positive"]})
    assert problem.symbols["A"].data[1] == {"posdef"}
    assert problem.symbols["x"].data[1] == {"positive"}
    assert problem.symbols["A"].squeezed_shape == ("m", "m")


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({"assume": {"A": "nice"}}, DeclarationError, "'nice' is not an assumption"),
        ({"assume": {"B": "symmetric"}}, DeclarationError, "B is no variable"),
        ({"assume": {"x": "symmetric"}}, ShapeError, "x is a column"),
        ({"assume": {"A": "symmetric"}, "shapes": {"A": ("m", "n")}}, ShapeError, "only a square matrix"),
        ({"shapes": {"A": ("m", "n"), "x": ("m",)}}, ShapeError, "equal inner sizes, not (m, n) @ (m, 1)"),
        ({"shapes": {"A": ("m", "n"), "n": ()}}, DeclarationError, "n is declared as a variable and used as a size"),
        ({"shapes": {"A": ("m", 0)}}, DeclarationError, "the size 0"),
        ({"shapes": {"A": ("m", "a/b")}}, DeclarationError, "the size 'a/b'"),
        ({"shapes": {"A": 1.5}}, DeclarationError, "cannot be 1.5"),
        ({"shapes": {"A": ("m", 10**9)}}, LimitError, "1000000 is the largest"),
        ({"shapes": {"A": ("pi", "n")}}, DeclarationError, "pi is a number"),
        ({"wrt": "q"}, DeclarationError, "no variable q"),
    ],
)
def test_bad_declarations(options: dict[str, Any], kind: type[MatcalcError], reason: str) -> None:
    error = error_of("A @ x", **options)
    assert type(error) is kind
    assert reason in str(error)


def test_declarations_are_read() -> None:
    assert read_declarations("A: m,n; x: n; c: scalar") == {"A": ("m", "n"), "x": ("n",), "c": ()}
    assert read_declarations(" A : (m, 3) ;; B: m*p, q\nλ: ") == {"A": ("m", "3"), "B": ("m*p", "q"), "λ": ()}


@pytest.mark.parametrize("text", ["A", "A m,n", "A: m,n; A: n", "A: m n", "A: -1", "2: n", "A: m.n"])
def test_declarations_that_cannot_be_read(text: str) -> None:
    with pytest.raises(DeclarationError):
        read_declarations(text)
