"""Points: sizes that are distinct primes, values from the domains that the expression needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from matcalc.check.sample import PRIMES, NoPoint, Point, PointSearch, choose_sizes, draw
from matcalc.language.expression import Expression, symbol
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse


def find_point(text: str, seed: int = 0, trial: int = 0, **declarations: Any) -> Point | NoPoint:
    return PointSearch(parse(text, **declarations).expressions[0], seed=seed).find(trial)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("sum(log(x))", lambda x: (x > 0).all()),
        ("sum(log(1 - x))", lambda x: (x < 1).all()),
        ("sum(arcsin(3*x))", lambda x: (x.abs() < 1 / 3).all()),
        ("sum(x**a)", lambda x: (x > 0).all()),
        ("sum(log(-x))", lambda x: (x < 0).all()),
        ("sum(log(x - 1))", lambda x: (x > 1).all()),
        ("sum(relu(x) + abs(x))", lambda x: (x.abs() > 1e-2).all()),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_domains_follow_from_the_expression(text: str, condition: Any, seed: int) -> None:
    point = find_point(text, seed, shapes={"a": ()} if "a)" in text else None)
    assert isinstance(point, Point)
    assert condition(point.values["x"])


@pytest.mark.parametrize("text", ["logdet(X)", "trace(sqrtm(X))", "trace(inv(X.T @ X))", "trace(inv(X @ X.T))"])
@pytest.mark.parametrize("seed", range(4))
def test_matrices_are_never_near_singular(text: str, seed: int) -> None:
    for trial in range(3):
        point = find_point(text, seed, trial)
        assert isinstance(point, Point)
        assert torch.linalg.cond(point.values["X"]) < 1e3


@pytest.mark.parametrize(
    ("assumption", "holds"),
    [
        ("symmetric", lambda x: torch.equal(x, x.T)),
        ("skew", lambda x: torch.equal(x, -x.T)),
        ("diagonal", lambda x: torch.equal(x, torch.diag(torch.diag(x)))),
        ("orthogonal", lambda x: torch.allclose(x @ x.T, torch.eye(5, dtype=x.dtype))),
        ("posdef", lambda x: torch.equal(x, x.T) and torch.linalg.eigvalsh(x).min() > 0.1),
        ("invertible", lambda x: not torch.allclose(x, x.T) and torch.linalg.det(x) > 0 and torch.linalg.cond(x) < 100),
        ("positive", lambda x: x.min() > 0),
        ("nonzero", lambda x: x.abs().min() > 0.1),
        ("unit-interval", lambda x: x.min() > 0 and x.max() < 1),
        ("sign", lambda x: torch.equal(x.abs(), torch.ones_like(x))),
        ("simplex", lambda x: x.min() > 0 and torch.allclose(x.sum(0), torch.ones(5, dtype=x.dtype))),
    ],
)
def test_assumptions_hold(assumption: str, holds: Any) -> None:
    problem = parse("X", shapes={"X": (5, 5)}, assume={"X": assumption})
    for seed in range(5):
        point = PointSearch(problem.expressions[0], seed=seed).find(0)
        assert isinstance(point, Point)
        assert holds(point.values["X"])
        assert assumption in point.domains["X"]


def test_sizes_are_distinct_primes_that_change() -> None:
    letters = ["m", "n", "p", "q"]
    for seed in range(5):
        trials = [choose_sizes(letters, seed, trial) for trial in range(3)]
        for sizes in trials:
            assert len(set(sizes.values())) == 4
            assert set(sizes.values()) <= set(PRIMES)
        for letter in letters:
            assert len({sizes[letter] for sizes in trials}) == 3
    assert len({choose_sizes(["n"], 0, trial)["n"] for trial in range(3)}) == 3


def test_sizes_keep_large_derivatives_small() -> None:
    shape = tuple(Size.of(letter) for letter in "mlknkn")
    sizes = choose_sizes(list("abcmlkn"), 0, shape=shape)
    entries = 1
    for size in shape:
        entries *= size.value(sizes)
    assert entries <= 20_000
    assert set(choose_sizes(list("abc"), 0).values()) == {2, 3, 5}


def test_points_are_generic_and_repeatable() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = draw((5, 5), "real", generator)
    assert not torch.allclose(matrix, matrix.T)
    assert matrix.unique().numel() == 25
    first, second = find_point("A @ x", seed=3), find_point("A @ x", seed=3)
    assert isinstance(first, Point)
    assert isinstance(second, Point)
    assert torch.equal(first.values["A"], second.values["A"])


def test_a_symbol_needs_no_parser() -> None:
    x: Expression = symbol("x", (Size.of("n"),))
    found = PointSearch(x).find(0)
    assert isinstance(found, Point)
    assert found.values["x"].shape == (found.sizes["n"], 1)
