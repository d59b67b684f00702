"""Numbers at hard inputs: finite, and right to 10 digits, wherever those of torch are, and where nobody's need be."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import matcalc
from matcalc.check.evaluate import evaluate_with
from matcalc.language.expression import symbols
from matcalc.language.text_to_expression import parse
from matcalc.render.code.safe import make_safe
from tests.hard_inputs import Array, Hard, list_hard
from tests.mpmath_reading import (
    differentiate_entries_with_mpmath,
    differentiate_with_mpmath,
    read_with_mpmath,
)
from tests.requirements import needs
from tests.sampling import sample
from tests.torch_words import drop, entrywise, hold, read

CASES = list_hard()
# What has a number and none here, nor in torch: who computes it otherwise takes the text from this list.
ENDLESS = {
    "exp(x)*exp(-x)", "sqrt(1 + exp(x))", "log(1 + 1/x)", "log(x**2)", "-log(y.T @ softmax(A @ x))", "norm(x)",
    "log(y.T @ exp(A @ x))", "log(pi_1*exp(-(x - 1)**2/2) + (1 - pi_1)*exp(-(x + 1)**2/2))",
}  # fmt: skip

WORDS: dict[str, Any] = {
    **{name: entrywise(function) for name, function in {
        "logsigmoid": functional.logsigmoid, "softsign": functional.softsign, "erfc": torch.special.erfc,
        "arcsinh": torch.arcsinh, "arctan2": torch.arctan2, "logit": torch.logit, "logaddexp": torch.logaddexp,
        "xlogy": torch.xlogy, "entr": torch.special.entr,
    }.items()},
    "norm": lambda x, p=2: hold(torch.linalg.vector_norm(x, p)), "ones": lambda n: hold(torch.ones(n).double()),
}  # fmt: skip


@lru_cache(maxsize=1)
def find_truth(place: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The value and the derivative of a case, those of many digits and those of torch."""
    case = CASES[place]
    of_torch = ask_torch(case)
    if case.is_kink:
        return of_torch, of_torch
    value = read_with_mpmath(case.text, case.values)
    if not case.is_entrywise:
        return (value, differentiate_with_mpmath(case.text, case.wrt, case.values, case.order)), of_torch
    entries = differentiate_entries_with_mpmath(case.text, case.wrt, case.values, case.order)
    whole = np.zeros([len(entries)] * (case.order + 1))
    whole[(np.arange(len(entries)),) * (case.order + 1)] = entries
    return (value, whole), of_torch


def ask_torch(case: Hard) -> tuple[Array, Array]:
    """Torch's own value and derivative."""
    held = {name: hold(torch.tensor(value, dtype=torch.float64)) for name, value in case.values.items()}

    def function(at: torch.Tensor) -> torch.Tensor:
        return drop(read(case.text, {**held, case.wrt: at, **WORDS}, {}))

    def differentiate(at: torch.Tensor) -> Any:
        return torch.autograd.functional.jacobian(function, at, create_graph=case.order > 1)

    at = held[case.wrt]
    value = function(at).numpy()
    found = differentiate(at) if case.order == 1 else torch.autograd.functional.jacobian(differentiate, at)
    kept = [size for size in at.shape if size != 1]
    return value, found.detach().reshape([*value.shape, *kept * case.order]).numpy()


def find_faults(case: Hard, found: Any, truth: Array, of_torch: Array, least: float = 1e-150) -> list[str]:
    """Where numbers are wrong by more than `least`, or none where there are some: each place with what was found."""
    ours = np.asarray(found, dtype=float).reshape(truth.shape)
    with np.errstate(all="ignore"):
        error, other = np.abs(ours - truth), np.abs(of_torch - truth)
        largest = np.max(np.abs(truth), initial=0, where=np.isfinite(truth))
        floor = least if case.is_entrywise else max(1e-14 * case.condition * largest, least)
        is_right = error <= 1e-10 * max(1, 1e-4 * case.condition) * np.abs(truth) + floor
        # As inexact as torch: 1 - cos(x) near 0.
        is_right |= error <= 10 * other
        is_right |= ~np.isfinite(truth) & ~np.isfinite(ours)
        if case.text in ENDLESS:
            is_right |= ~np.isfinite(ours) & ~np.isfinite(of_torch)
    return [f"{tuple(map(int, at))}: {ours[tuple(at)]} for {truth[tuple(at)]}" for at in np.argwhere(~is_right)]


def derive(case: Hard) -> matcalc.Derivative:
    return matcalc.derive(
        case.text, case.wrt, order=case.order, layout="torch", shapes=case.shapes, assume=case.assume or None
    )


PLACES = sample("hard inputs", range(len(CASES)), 0.5)


@pytest.mark.parametrize("place", PLACES, ids=[CASES[place].name for place in PLACES])
def test_numbers_are_finite_and_right(place: int) -> None:
    case = CASES[place]
    (value, derivative), torch_has = find_truth(place)
    answer = derive(case)
    arrays = {name: np.asarray(given, dtype=float) for name, given in case.values.items()}
    with np.errstate(all="ignore"):
        found = {"evaluate": (answer.evaluate(arrays), 1)}
        for backend in ("numpy", "torch"):
            given = arrays if backend == "numpy" else {name: torch.tensor(array) for name, array in arrays.items()}
            both = answer.value_and_derivative(backend)(**given)
            found |= {f"value in {backend}": (both[0], 0), f"derivative in {backend}": (both[1], 1)}
    truth = (value, derivative)
    faults = {how: find_faults(case, got, truth[at], torch_has[at]) for how, (got, at) in found.items()}
    assert not any(faults.values()), {how: some[:3] for how, some in faults.items() if some}


@pytest.mark.parametrize("text", sorted(ENDLESS))
def test_what_has_no_number_yet(text: str) -> None:
    """A text that has its numbers is no longer in the list."""
    found = []
    for place in [place for place, case in enumerate(CASES) if case.text == text and not case.assume]:
        case, (truth, _) = CASES[place], find_truth(place)
        arrays = {name: np.asarray(given, dtype=float) for name, given in case.values.items()}
        with np.errstate(all="ignore"):
            both = derive(case).value_and_derivative()(**arrays)
        found += [np.isfinite(ours)[np.isfinite(true)].all() for ours, true in zip(both, truth, strict=True)]
    assert not all(found)


@pytest.fixture
def jax_in_double() -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


# JAX has fewer digits for the determinant of a near singular matrix, and in what cancels.
IN_JAX = [place for place, case in enumerate(CASES) if case.condition == 1 and case.text not in ENDLESS]


@needs("jax")
@pytest.mark.usefixtures("jax_in_double")
@pytest.mark.parametrize("place", sample("hard in jax", IN_JAX, 0.02))
def test_jax_has_the_same_numbers(place: int) -> None:
    case = CASES[place]
    (value, derivative), torch_has = find_truth(place)
    both = derive(case).value_and_derivative("jax")(**{n: np.asarray(v, dtype=float) for n, v in case.values.items()})
    assert not find_faults(case, both[0], value, torch_has[0], least=1e-15)
    assert not find_faults(case, both[1], derivative, torch_has[1], least=1e-15)


def test_there_are_many_cases() -> None:
    assert sum(case.count for case in CASES) > 1500


ERRORS = ((0.0, False), (1e-12, False), (1e-9, True), (np.inf, True), (np.nan, True))


@pytest.mark.parametrize(("error", "is_fault"), ERRORS)
def test_a_wrong_number_is_a_fault(error: float, is_fault: bool) -> None:
    case, truth = Hard("exp(x)", "x", {"x": np.ones(2)}), np.array([2.0, 3.0])
    assert bool(find_faults(case, truth * (1 + error), truth, truth)) == is_fault
    assert find_faults(case, truth * (1 + error), truth, truth + np.nan) or not is_fault


# --- the same numbers where nothing overflows ---------------------------------------------------------------------

REWRITTEN = [
    "2**x/(1 + 2**x)", "log(3**x + e**-y)", "2**(x - y)*exp(x)/(2 + exp(x))**2", "pi**x/(pi**x + pi**y)",
    "exp(x)*sigmoid(-x)*y", "sinh(x)**2/(2 + cosh(x))**2", "exp(x)**2*y/(2 + exp(x) + exp(-x))**2",
    "log(2 + exp(x))", "log(cosh(x)/(3 + exp(y)))", "log(x**2*exp(y))", "log((exp(x) - 9)*(exp(y) - 9))",
    "log1p(x**2 + exp(y))", "log((y + exp(x))*(x + exp(y)))", "log(exp(x) - exp(-20 - x**2))",
    "log(mean(exp(X), axis=1))", "log(sum(exp(x)*y**2))", "log(sum(exp(X), axis=0)).T @ y", "log(a*exp(x) + a)",
    "log(sqrt(exp(x)) + exp(x)**-2)", "log(sum(cosh(x)) + exp(2)*norm(y)**2)", "(2*exp(x) - 3)/(1 + exp(x))",
    "expm1(x)/(2 + exp(x))", "(exp(x) + 2)**2/(1 + exp(x))**3", "exp(y)/(exp(x) + exp(y))**2",
    "sinh(x)*sinh(y)/(1 + cosh(x))", "(1 + exp(x))/(1 + exp(x))", "exp(x)*(y/exp(x) - x/(1 + exp(x)))", "x/cosh(x)**2",
    "exp(X)/sum(exp(X), axis=1, keepdims=True)", "exp(X)/sum(exp(X), axis=0, keepdims=True)",
    "diag(y/sum(exp(x))) @ exp(X)", "exp(X) @ diag(1/sum(exp(X), axis=0))",
    "exp(x) @ exp(y).T/(sum(exp(x))*sum(exp(y)))", "sum(exp(x)*y)/(1 + sum(exp(x)))**2",
    "sigmoid(x)*(1 - sigmoid(x))*y", "sigmoid(x)*sigmoid(-x)", "sigmoid(x)/(1 - sigmoid(-x))",
    "exp(x)/(y**2 + exp(x) + exp(2*x))", "X @ exp(y)/(exp(a) + sum(exp(y)))", "exp(x)**2/(exp(x) - 0.1 + exp(3*x))",
    "1/(1 + exp(x))**3", "exp(-X @ y)/(1 + exp(-X @ y))", "exp(x)*(1 - exp(y))/(exp(x) + exp(x + y))",
    "exp(x.T)/sum(exp(x))", "-exp(x)/(-1 - exp(x))", "exp(a*x)/exp(y)", "exp(x)*exp(y)/(2*exp(y) + 1)**2",
    "where(x > 0, 1, 0)*exp(x)/(1 + exp(x))", "mean(exp(x))/sum(exp(x) + exp(-x))",
]  # fmt: skip


@pytest.mark.parametrize("text", REWRITTEN)
def test_what_is_rewritten_has_the_same_values(text: str) -> None:
    shapes = {"x": ("n",), "y": ("n",), "X": ("n", "n"), "a": ()}
    (expression,) = parse(text, shapes={name: shape for name, shape in shapes.items() if name in text}).expressions
    (safe,) = make_safe(expression)
    assert safe.shape == expression.shape
    draw = np.random.default_rng(5)
    for _ in range(3):
        values = {"x": 2 * draw.normal(size=3), "y": 2 * draw.normal(size=3), "X": draw.normal(size=(3, 3)), "a": 0.7}
        known = {name: value for name, value in values.items() if name in symbols(expression)}
        expected = symbols(expression).values()
        with np.errstate(all="ignore"):
            truth = evaluate_with(expression, known)
            np.testing.assert_allclose(evaluate_with(safe, known, known=expected), truth, rtol=1e-12)
