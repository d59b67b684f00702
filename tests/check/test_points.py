"""Points: sizes that are distinct primes, values from the domains that the expression needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import matcalc
from matcalc.check.conditions import find_trouble
from matcalc.check.points import PRIMES, NoPoint, Point, PointSearch, choose_sizes, draw, list_domains
from matcalc.check.report import CheckReport
from matcalc.check.verdict import judge
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
        ("one-hot", lambda x: torch.equal(x.sort(1).values, torch.eye(5, dtype=x.dtype)[-1:].expand(5, 5))),
        ("simplex", lambda x: x.min() > 0 and torch.allclose(x.sum(1), torch.ones(5, dtype=x.dtype))),
        ("simplex-columns", lambda x: x.min() > 0 and torch.allclose(x.sum(0), torch.ones(5, dtype=x.dtype))),
    ],
)
def test_assumptions_hold(assumption: str, holds: Any) -> None:
    problem = parse("X", shapes={"X": (5, 5)}, assume={"X": assumption})
    for seed in range(5):
        point = PointSearch(problem.expressions[0], seed=seed).find(0)
        assert isinstance(point, Point)
        assert holds(point.values["X"])
        assert assumption in point.domains["X"]


@pytest.mark.parametrize(
    ("assumptions", "holds"),
    [
        ("symmetric", lambda x: torch.equal(x, x.T)),
        ("skew", lambda x: torch.equal(x, -x.T)),
        ("posdef", lambda x: torch.equal(x, x.T)),
        ("positive, posdef", lambda x: torch.equal(x, x.T)),
        ("invertible, symmetric", lambda x: torch.equal(x, x.T)),
        ("diagonal, posdef", lambda x: torch.equal(x, torch.diag(torch.diag(x)))),
        ("symmetric, orthogonal", lambda x: torch.equal(x, x.T) and is_orthogonal(x)),
        ("diagonal, orthogonal", lambda x: torch.equal(x, torch.diag(torch.diag(x))) and is_orthogonal(x)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [2, 7, 31])
def test_structures_hold_to_the_last_bit(assumptions: str, holds: Any, dtype: torch.dtype, size: int) -> None:
    """In every domain, at sizes for which a product takes other kernels."""
    (symbol_of_x,) = parse("X", shapes={"X": (size, size)}, assume={"X": assumptions}).expressions
    for domain in [*list_domains(symbol_of_x), f"{list_domains(symbol_of_x)[0]} times 3.7"]:
        if "orthogonal" not in domain or "times" not in domain:
            assert holds(draw((size, size), domain, torch.Generator().manual_seed(size)).to(dtype)), domain


def is_orthogonal(x: torch.Tensor) -> bool:
    return torch.allclose(x @ x.T, torch.eye(len(x), dtype=x.dtype), atol=1e-5)


def test_what_is_symmetric_to_the_last_bit_may_be_subtracted() -> None:
    assert matcalc.derive("max(A - A.T)", "A", assume={"A": "posdef"}).check().verdict == "agrees"


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


# --- what must not fool the judge --------------------------------------------------------------------


def judge_claim(text: str, claim: str, seed: int = 0, layout: str = "numerator", **declarations: Any) -> CheckReport:
    problem = parse([text, claim], choose_wrt="wrt" not in declarations, **declarations)
    assert problem.wrt is not None
    return judge(*problem.expressions, problem.wrt, seed=seed, layout=layout)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("text", "claim", "reason"),
    [
        ("log(-x**2)", "2/x", "log(x) needs x > 0"),
        ("sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)", "sqrt(x) needs x > 0"),
        ("arcsin(2 + x**2)", "2*x/sqrt(1 - (2 + x**2)**2)", "arcsin(x) needs"),
        ("1/(x - x)", "0", "a division by 0 or nearly 0"),
        ("log(relu(-x**2))", "0", "log(x) needs x > 0"),
        ("exp(-exp(exp(10 + x**2)))", "0", "not a finite number"),
        ("exp(-1000 - x**2)", "0", "exp(x) is nearly 0"),
    ],
)
def test_an_empty_domain_is_no_agreement(text: str, claim: str, reason: str, seed: int) -> None:
    report = judge_claim(text, claim, seed, shapes={"x": ()})
    assert (report.verdict, report.points) == ("could not check", 0)
    assert reason in report.message


@pytest.mark.parametrize(
    ("text", "claim"), [("sum(inv(x @ x.T))", "x"), ("logdet(x @ x.T)", "x"), ("trace(inv(X - X))", "X")]
)
def test_matrices_that_are_always_singular(text: str, claim: str) -> None:
    shapes = {"X": ("n", "n")} if "X" in text else {"x": ("n",)}
    assert judge_claim(text, claim, shapes=shapes).verdict == "could not check"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("text", "claim", "verdict"),
    [
        ("exp(exp(exp(x)))", "exp(x)*exp(exp(x))*exp(exp(exp(x)))", "agrees"),
        ("exp(exp(exp(x)))", "exp(exp(x))*exp(exp(exp(x)))", "differs"),
        ("exp(1000*x)", "1000*exp(1000*x)", "agrees"),
        ("exp(1000*x)", "exp(1000*x)", "differs"),
        ("x**200", "200*x**199", "agrees"),
        ("x**200", "199*x**199", "differs"),
        ("sigmoid(300*x)", "300*sigmoid(300*x)*(1 - sigmoid(300*x))", "agrees"),
        ("log(x - 5)", "exp(-log(x - 5))", "agrees"),
        ("log(abs(x))", "1/abs(x)", "differs"),
    ],
)
def test_neither_overflow_nor_underflow_hides_a_factor(text: str, claim: str, verdict: str, seed: int) -> None:
    assert judge_claim(text, claim, seed, shapes={"x": ()}).verdict == verdict


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("text", "claim", "wrt", "verdict"),
    [
        ("trace(A @ X)", "A @ inv(B @ B.T) @ B @ B.T", "X", "agrees"),
        ("trace(A @ X)", "A + sqrtm(X) @ sqrtm(X) - X", "X", "agrees"),
        ("trace(A @ X)", "A @ solve(B.T @ B, B.T @ B)", "X", "agrees"),
        ("trace(A @ X)", "2*A @ inv(B @ B.T) @ B @ B.T", "X", "differs"),
        ("sum(x)", "ones(n) + 0*inv(x @ x.T) @ x", "x", "could not check"),
        ("sum(x)", "ones(n)*log(-norm(x))", "x", "could not check"),
        ("sum(x)", "1/relu(x)", "x", "differs"),
        ("sum(x)", "exp(log(x))/x", "x", "agrees"),
        ("sum(x)", "exp(log(x - 5))/(x - 5)", "x", "agrees"),
    ],
)
def test_claims_are_judged_where_they_are_defined(text: str, claim: str, wrt: str, verdict: str, seed: int) -> None:
    report = judge_claim(text, claim, seed, wrt=wrt, shapes={"x": ("n",), "B": ("k", "l")})
    assert report.verdict == verdict, report.message
    assert (report.points > 0) == (verdict != "could not check")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("text", "claim", "verdict"),
    [
        ("max(x)", "largest(x)", "agrees"),
        ("max(x)", "smallest(x)", "differs"),
        ("max(kron(x, ones(3)))", "largest(x)", "agrees"),
        ("sum(maximum(x, x))", "ones(n)", "agrees"),
        ("max(abs(x))", "largest(abs(x))*sign(x)", "agrees"),
        ("max(abs(x))", "largest(abs(x))", "differs"),
    ],
)
def test_ties_are_avoided_or_shared(text: str, claim: str, verdict: str, seed: int) -> None:
    assert judge_claim(text, claim, seed, shapes={"x": ("n",)}).verdict == verdict


def test_the_domain_is_shown() -> None:
    assert judge_claim("sum(log(x))", "1/x", shapes={"x": ("n",)}).domains == {"x": "positive"}
    report = judge_claim("sum(log(alpha*x))", "1/x", wrt="x", shapes={"x": ("n",)})
    assert set(report.domains) == {"alpha", "x"}
    assert report.domains["x"] in ("positive", "unit-interval", "large", "negative", "huge")


def test_the_reason_is_the_one_that_stood_in_the_way_most() -> None:
    found = find_point("log(-norm(x)**2)", shapes={"x": ("n",)})
    assert isinstance(found, NoPoint)
    assert found.reason == "log(x) needs x > 0"


@pytest.mark.parametrize("call", ["reciprocal(x)", "normalize(x)", "std(x)"])
def test_what_a_definition_needs_is_a_condition(call: str) -> None:
    expression = parse(f"sum({call})").expressions[0]
    (letter,) = expression.args[0].args[0].shape[0].letters
    columns = (torch.zeros(3, 1, dtype=torch.float64), torch.tensor([[2.0], [3.0], [4.0]], dtype=torch.float64))
    bad, good = (find_trouble(expression, Point({"x": column}, {letter: 3}, {}, {}, 1.0))[0] for column in columns)
    assert bad is not None
    assert call.partition("(")[0] in bad.reason
    assert good is None
