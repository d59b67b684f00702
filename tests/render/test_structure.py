"""What a derivative is called is what it is in numbers: every word, in every case, in three layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import matcalc
from matcalc import Derivative, MatcalcError
from matcalc.language.expression import walk
from tests.read_cases import Case, derive_case, read_cases
from tests.sampling import sample

CASES = read_cases()
LAYOUTS = ("numerator", "denominator", "vec")
KNOWN = [
    ("x**2", {}, ("diagonal", "symmetric")),
    ("x", {}, ("constant", "identity", "diagonal", "symmetric")),
    ("softmax(x)", {}, ("diagonal plus rank 1", "symmetric")),
    ("layer_norm(x)", {}, ("diagonal plus rank at most 2", "symmetric")),
    ("x*(a.T @ x)", {}, ("diagonal plus rank 1",)),
    ("a*(b.T @ x)", {"shapes": {"a": "m"}}, ("constant", "rank 1")),
    ("cumsum(x)", {}, ("constant", "lower triangular")),
    ("cumsum(x)", {"layout": "denominator"}, ("constant", "upper triangular")),
    ("x.T @ A @ x", {"order": 2}, ("constant", "symmetric")),
    ("norm(A @ x - b)**2", {"order": 2}, ("constant", "symmetric")),
    ("logsumexp(A @ x)", {"order": 2}, ("symmetric",)),
    ("A @ X @ B", {}, ("constant", "Kronecker product")),
    ("inv(X)", {}, ("Kronecker product",)),
    ("0*x", {}, ("zero",)),
    ("A @ x", {}, ("constant",)),
    ("u(x)", {}, ()),
]


@pytest.mark.parametrize(("text", "options", "words"), KNOWN, ids=[f"{text} {options}" for text, options, _ in KNOWN])
def test_words_of_known_derivatives(text: str, options: dict[str, Any], words: tuple[str, ...]) -> None:
    assert matcalc.derive(text, **options).structure == words


def test_what_is_only_symmetric_at_a_point_is_not_called_so() -> None:
    assert "symmetric" not in matcalc.derive("A @ x", shapes={"A": ("n", "n")}).structure
    assert "symmetric" in matcalc.derive("A @ x", assume="A: symmetric").structure
    assert "symmetric" not in matcalc.derive("A @ B @ x", assume="A: symmetric; B: symmetric").structure


@pytest.mark.parametrize("case", sample("structure", CASES), ids=lambda case: case.id)
def test_every_word_holds_in_numbers(case: Case) -> None:
    derivative = derive_case(case, "numerator")
    for layout in LAYOUTS:
        turned = derivative.in_layout(layout)
        if turned.structure:
            check_words(turned)


def check_words(derivative: Derivative) -> None:
    sizes = {letter: 3 + place for place, letter in enumerate(derivative.letters)}
    try:
        point = derivative.draw_point(sizes)
        values = np.asarray(derivative.evaluate(point, sizes))
    except MatcalcError as error:
        pytest.skip(str(error))
    for word in derivative.structure:
        if word == "constant":
            assert is_constant(derivative, point, sizes)
        elif "Kronecker" in word:
            assert has_kronecker_terms(word, derivative, point, sizes)
        else:
            assert holds(word, values / max(1.0, float(np.abs(values).max()))), (word, str(derivative))


def is_constant(derivative: Derivative, point: dict[str, Any], sizes: dict[str, int]) -> bool:
    moved = point | {wrt.name: point[wrt.name] + 0.1 for wrt in derivative.by if wrt.name in point}
    return bool(np.allclose(derivative.evaluate(moved, sizes), derivative.evaluate(point, sizes)))


def holds(word: str, values: np.ndarray) -> bool:
    close = 1e-9
    if word == "zero":
        return not values.any()
    if word == "identity":
        return bool(np.allclose(values, np.eye(len(values)), atol=close))
    if word == "diagonal":
        return bool(np.abs(values - np.diag(np.diag(values))).max(initial=0) < close)
    if word == "symmetric":
        return bool(np.allclose(values, values.T, atol=close))
    if word.endswith("triangular"):
        part = np.tril(values) if word.startswith("lower") else np.triu(values)
        return bool(np.allclose(values, part, atol=close))
    if word.startswith("rank"):
        return int(np.linalg.matrix_rank(values, tol=close)) <= int(word.split()[-1])
    assert word.startswith("diagonal plus")
    return has_low_rank_off_the_diagonal(values, int(word.split()[-1]))


def has_low_rank_off_the_diagonal(values: np.ndarray, rank: int) -> bool:
    """A block of rows and columns that do not meet on the diagonal has no higher rank."""
    half = len(values) // 2
    return int(np.linalg.matrix_rank(values[:half, half:], tol=1e-9)) <= rank


def has_kronecker_terms(word: str, derivative: Derivative, point: dict[str, Any], sizes: dict[str, int]) -> bool:
    """Blocks of the size of the right factor, each laid out as a row, have no higher rank than there are terms."""
    vec = derivative.in_layout("vec")
    # Operands come first, so that the last product is that of a term as a whole.
    *_, product = [node for node in walk(vec.expression) if node.op == "call" and node.data[0].function == "kron"]
    height, width = (size.value(sizes) for size in product.args[1].shape)
    rows, columns = (size.value(sizes) for size in vec.expression.shape)
    values = np.asarray(vec.evaluate(point, sizes)).reshape(rows, columns)
    blocks = values.reshape(rows // height, height, columns // width, width).transpose(0, 2, 1, 3)
    terms = 1 if word == "Kronecker product" else int(word.split()[2])
    return int(np.linalg.matrix_rank(blocks.reshape(-1, height * width))) <= terms


def test_a_compiled_derivative_takes_arrays_of_its_backend() -> None:
    derivative = matcalc.derive("softmax(A @ x)", "x")
    point = derivative.draw_point({"m": 3, "n": 4})
    expected = derivative.evaluate(point)
    assert np.allclose(derivative.compile()(point["A"], point["x"]), expected)
    tensors = {name: torch.tensor(value) for name, value in point.items()}
    assert np.allclose(derivative.compile("torch")(**tensors).numpy(), expected)


def test_a_compiled_derivative_takes_lists_for_arrays() -> None:
    assert matcalc.derive("norm(x)**2", layout="denominator").compile()([1.0, 2.0]).tolist() == [2.0, 4.0]
    assert matcalc.derive("x**3").compile("torch")(x=[1.0, 2.0]).tolist() == [[3.0, 0.0], [0.0, 12.0]]


def test_a_compiled_derivative_takes_columns_and_refuses_what_does_not_fit() -> None:
    x, y = np.arange(3.0), np.ones((3, 1))
    assert np.allclose(matcalc.derive("x*y", "x").compile()(x, y), np.eye(3))
    with pytest.raises(MatcalcError, match="A is \\(3, 4\\), but its value has shape \\(2, 2\\)"):
        matcalc.derive("A @ x", "A", shapes={"A": (3, 4)}).compile()(np.ones((2, 2)), np.ones(2))


def test_code_of_another_backend_is_refused() -> None:
    with pytest.raises(MatcalcError, match="there is no code for 'fortran'"):
        matcalc.derive("A @ x").compile("fortran")
