"""Branches as of relu, abs and where: a claim that is right on one side only is noticed, whatever the seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import matcalc
from matcalc.check.points import Coverage, Point, PointSearch, list_branches
from matcalc.check.verdict import judge
from matcalc.language.text_to_expression import parse
from tests.sampling import sample

SEEDS = sample("seeds of branches", range(10), 0.3)


def judge_claim(text: str, claim: str, seed: int, **declarations: Any) -> str:
    problem = parse([text, claim], choose_wrt="wrt" not in declarations, **declarations)
    assert problem.wrt is not None
    return judge(*problem.expressions, problem.wrt, seed=seed).verdict


VECTOR, SQUARE = {"x": ("n",)}, {"X": ("n", "n")}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("text", "claim", "shapes"),
    [
        ("abs(trace(X))", "eye(n)", SQUARE),
        ("abs(sum(x))", "ones(n)", VECTOR),
        ("abs(det(X))", "det(X)*inv(X)", None),
        ("(alpha**2)**0.5", "1", None),
        ("sqrt(trace(X)*trace(X))", "eye(n)", SQUARE),
        ("sqrt(square(alpha))", "1", None),
        ("clip(x, -3, 3)", "eye(n)", VECTOR),
        ("relu(x - 5)", "zeros(n, n)", VECTOR),
        ("maximum(alpha, 7)", "0", None),
        ("where(sum(x) > 0, sum(x), 2*sum(x))", "ones(n)", VECTOR),
        ("where(x > 1000, 2*x, x)", "1", {"x": ()}),
        ("where(abs(x) < 0.001, 2*x, x)", "1", {"x": ()}),
        ("x", "where(x > 3, 2, 1)*eye(n)", VECTOR),
        ("alpha**3", "3*alpha*abs(alpha)", None),
        ("x**2", "2*x + 0.0001*(abs(x) - x)", {"x": ()}),
    ],
)
def test_claims_that_forget_a_side_differ(text: str, claim: str, shapes: Any, seed: int) -> None:
    assert judge_claim(text, claim, seed, shapes=shapes) == "differs"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dead_network_is_no_proof(seed: int) -> None:
    shapes = {"a": ("m",), "B": ("m", "k"), "C": ("k", "n"), "x": ("n",)}
    wrong = "-((a*where(B @ relu(C @ x) > 0, 1, 0)).T @ B @ (where(C @ x > 0, 1, 0)*C))"
    text = "a.T @ relu(B @ relu(C @ x))"
    assert judge_claim(text, wrong, seed, wrt="x", shapes=shapes) == "differs"
    assert judge_claim(text, wrong[1:], seed, wrt="x", shapes=shapes) == "agrees"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("text", "claim", "options"),
    [
        ("abs(x)", "diag(x/abs(x))", {"shapes": VECTOR}),
        ("abs(det(X))", "abs(det(X))*inv(X)", {}),
        ("relu(-exp(x))", "zeros(n, n)", {"shapes": VECTOR}),
        ("sqrt(alpha**2)", "1", {"assume": {"alpha": "positive"}}),
        ("maximum(alpha, beta)", "where(alpha > beta, 1, 0)", {"wrt": "alpha"}),
        ("clip(alpha, -1, 1)", "where(abs(alpha) < 1, 1, 0)", {}),
        ("softplus(x)", "where(x > 40, 1, sigmoid(x))", {"shapes": {"x": ()}}),
    ],
)
def test_right_claims_agree_on_both_sides(text: str, claim: str, options: Any, seed: int) -> None:
    assert judge_claim(text, claim, seed, **options) == "agrees"


# --- the branches of a formula ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("relu(x) + relu(x)", 1),
        ("maximum(x, y) - minimum(y, x) + relu(y - x)", 1),
        ("clip(x, 0, 1)", 2),
        ("where(x > 1, x, y)", 1),
        ("relu(-x) + abs(2*x) + where(0 < x, 1, x)", 1),
        ("sqrt(x**2*y) + sqrt(square(y))", 2),
        ("norm(x, 1) + sum(sign(x)) + norm(x) + sqrt(x.T @ x) + sqrt(1 - x**2) + tan(x)", 1),
        ("x**2 + exp(x) + sqrt(y)", 0),
        ("relu(ones(3))", 0),
        (" + ".join(f"relu(x - {k})" for k in range(40)), 12),
    ],
)
def test_branches_are_found_and_bounded(text: str, count: int) -> None:
    assert len(list_branches(*parse(text).expressions)) == count


def find_all(text: str, trials: int, seed: int) -> tuple[list[Point], Coverage]:
    search = PointSearch(parse(text).expressions[0], seed=seed)
    points = [search.find(trial) for trial in search.list_trials(trials)]
    assert all(isinstance(point, Point) for point in points)
    return [point for point in points if isinstance(point, Point)], search.coverage


@pytest.mark.parametrize("seed", SEEDS)
def test_more_trials_show_every_pair_of_sides(seed: int) -> None:
    points, coverage = find_all("relu(alpha)*relu(beta - 2) + abs(gamma)", 3, seed)
    assert 3 <= len(points) <= 9
    signs = {(float(p.values["alpha"]) > 0, float(p.values["beta"]) > 2) for p in points}
    assert len(signs) == 4
    assert len({(float(p.values["alpha"]) > 0, float(p.values["gamma"]) > 0) for p in points}) == 4
    assert not coverage.find_lacking()


def test_what_needs_no_more_gets_no_more() -> None:
    for seed in SEEDS:
        assert len(find_all("exp(x)*sin(x)", 3, seed)[0]) == 3
        assert len(find_all("abs(A @ x)", 3, seed)[0]) == 3
        assert len(find_all("relu(exp(alpha))", 3, seed)[0]) == 4
        assert not find_all("relu(alpha)", 0, seed)[0]


def test_other_domains_keep_what_is_assumed_and_are_shown() -> None:
    problem = parse("where(alpha > 50, alpha, 2)*relu(trace(X) - 9)", assume={"alpha": "positive", "X": "symmetric"})
    search = PointSearch(problem.expressions[0], seed=1)
    points = [search.find(trial) for trial in search.list_trials(3)]
    for point in points:
        assert isinstance(point, Point)
        assert float(point.values["alpha"]) > 0
        assert (point.values["X"] == point.values["X"].T).all()
        assert "symmetric" in point.domains["X"]
    assert any(" times 50" in point.domains["alpha"] for point in points if isinstance(point, Point))


def test_points_of_one_seed_are_the_same() -> None:
    first, second = (find_all("relu(alpha)*relu(beta)", 3, 5)[0] for _ in range(2))
    assert [point.values for point in first] == [point.values for point in second]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("text", "claim", "wrt"),
    [
        ("relu(alpha)*relu(beta)", "where(beta > 0, beta, 0)", "alpha"),
        ("maximum(alpha, maximum(beta, maximum(gamma, delta)))", "where(alpha > beta, 1, 0)", "alpha"),
    ],
)
def test_pairs_of_branches_of_scalars_are_seen_together(text: str, claim: str, wrt: str, seed: int) -> None:
    assert matcalc.check(text, claim, wrt, seed=seed).verdict == "differs"


def test_a_claim_without_a_value_where_it_would_be_wrong_is_noted() -> None:
    report = matcalc.check("relu(x)", "diag(relu(x)/relu(x))")
    assert report.domains["x"].startswith("positive")
    assert report.notes == ("at some points it could not be tried: the derivative or the claim is not finite",)


def test_a_side_where_code_has_no_value_is_not_looked_for_again_and_again() -> None:
    report = matcalc.check(lambda x: torch.log(-x), "where(x < 0, 1/x, 5)*eye(n)", trials=5)
    assert (report.verdict, report.points >= 5) == ("agrees", True), report.message
