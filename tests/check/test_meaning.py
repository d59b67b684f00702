"""What a derivative by a structured matrix means: each meaning against torch's jacobian of f(P(t)), P written here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import matcalc
from matcalc.check.meaning import list_ties
from matcalc.check.points import Point, PointSearch
from matcalc.errors import DeclarationError
from matcalc.inputs import StructureMeaning
from matcalc.language.declarations import MEANINGS, list_meanings
from matcalc.language.sizes import Size
from tests.read_cases import arrange, differentiate, error_of
from tests.sampling import sample
from tests.torch_words import drop, read

SHEET = Path(__file__).parents[1] / "cases" / "meanings.toml"
CASES = {case["id"]: case for case in tomllib.loads(SHEET.read_text(encoding="utf-8"))["case"]}
LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")

# X = P(t), t standing in the lower triangle, but for an upper-triangular X.
PARAMETRISED: dict[str, Callable[[Tensor], Tensor]] = {
    "symmetric": lambda t: torch.tril(t) + torch.tril(t, -1).T,
    "posdef": lambda t: torch.tril(t) + torch.tril(t, -1).T,
    "skew": lambda t: torch.tril(t, -1) - torch.tril(t, -1).T,
    "diagonal": lambda t: torch.diag(torch.diag(t)),
    "lower-triangular": torch.tril,
    "upper-triangular": torch.triu,
}


def derive_case(case: dict[str, Any], layout: str) -> matcalc.Derivative:
    return matcalc.derive(
        case["expr"], case["wrt"], layout=layout, shapes=case["shapes"], assume=case["domain"],
        order=case.get("order", 1), meaning=case["meaning"],
    )  # fmt: skip


def find_point(derivative: matcalc.Derivative, seed: int) -> Point:
    search = PointSearch(
        derivative.function, (derivative.expression, derivative.wrt), seed=seed,
        shape=derivative.in_layout("torch").shape,
    )  # fmt: skip
    found = search.find(0)
    assert isinstance(found, Point)
    return found


def true_derivative(case: dict[str, Any], point: Point, layout: str) -> Tensor:
    """The derivative by t through P, told of the matrix again."""
    kind, order = case["domain"][case["wrt"]], case.get("order", 1)
    at = point.values[case["wrt"]]

    def function(t: Tensor) -> Tensor:
        return drop(read(case["expr"], {**point.values, case["wrt"]: PARAMETRISED[kind](t)}, point.sizes))

    truth = differentiate(function, at, order).detach()
    rank = truth.ndim - 2 * order
    if case["meaning"] == "vech":
        return arrange(take_independent(truth, rank, order, kind), rank, 1, layout)
    mirrored = {"symmetric": 1, "posdef": 1, "skew": -1}.get(kind, 0)
    for place in range(rank, truth.ndim, 2):
        eye = torch.eye(at.shape[0], dtype=at.dtype)
        eye = eye.reshape(eye.shape + (1,) * (truth.ndim - place - 2))
        other = truth.swapaxes(place, place + 1) * (1 - eye)
        truth = truth + mirrored * other
        if case["meaning"] == "space" and mirrored:
            truth = truth * (1 + eye) / 2
    return arrange(truth, rank, 2, layout)


def take_independent(truth: Tensor, rank: int, order: int, kind: str) -> Tensor:
    """The entries on and below the diagonal, column by column; of an upper-triangular matrix those of its transpose."""
    size = truth.shape[-1]
    places = [(i, j) for j in range(size) for i in range(j, size) if kind != "diagonal" or i == j]
    rows, columns = (list(ends) for ends in zip(*places, strict=True))
    if kind == "upper-triangular":
        rows, columns = columns, rows
    for place in range(rank, rank + order):
        # Axes before the place stay, and the pair at it becomes one.
        moved = truth.movedim((place, place + 1), (0, 1))[rows, columns]
        truth = moved.movedim(0, place)
    return truth


@pytest.mark.parametrize("name", CASES)
def test_value_is_that_of_torch_through_the_parametrisation(name: str) -> None:
    case = CASES[name]
    for layout in LAYOUTS:
        derivative = derive_case(case, layout)
        for seed in (0, 1):
            point = find_point(derivative, seed)
            value = derivative.evaluate(point.values, point.sizes)
            assert error_of(value, true_derivative(case, point, layout)) < 1e-9, (layout, str(derivative))


@pytest.mark.parametrize("name", CASES)
def test_judge_agrees_by_both_proofs(name: str) -> None:
    report = derive_case(CASES[name], "denominator").check()
    assert report.verdict == "agrees", report.message
    assert report.exact, report.exact
    assert "by the independent entries of X" in report.message


KNOWN = [name for name, case in CASES.items() if "denominator" in case]


@pytest.mark.parametrize("name", KNOWN)
def test_the_formula_of_the_book_is_right_in_its_meaning(name: str) -> None:
    case = CASES[name]
    given = {"layout": "denominator", "shapes": case["shapes"], "assume": case["domain"]}
    assert matcalc.check(case["expr"], case["denominator"], "X", **given, meaning=case["meaning"])
    assert len(str(derive_case(case, "denominator"))) <= 1.3 * len(case["denominator"])


@pytest.mark.parametrize("name", sample("other meanings", KNOWN, 0.5))
def test_a_claim_that_is_right_in_another_meaning_is_told_so(name: str) -> None:
    case = CASES[name]
    given = {"layout": "denominator", "shapes": case["shapes"], "assume": case["domain"]}
    for meaning in list_meanings(derive_case(case, "denominator").wrt):
        report = matcalc.check(case["expr"], case["denominator"], "X", **given, meaning=meaning)
        assert report or ("meaning" in report.reasons and case["meaning"] in report.meanings), report.message
        assert report or f"meaning {case['meaning']}" in report.message


def test_the_sentence_on_tied_entries() -> None:
    report = matcalc.check("det(X)", "det(X)*(2*inv(X) - inv(X)*eye(n))", "X", assume={"X": "symmetric"})
    assert report.message == "differs. Right if X's tied entries count once: meaning tied."
    assert (report.reasons, report.meanings) == (("meaning",), ("tied",))


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("2*inv(X) - diag(diag(inv(X)))", "X's tied entries count once: assume \"X: symmetric\", meaning tied."),
        ("(inv(X) + inv(X).T)/2 + 0*X", "Right only if X is symmetric, which is not assumed."),
    ],
)
def test_a_claim_by_a_matrix_that_is_not_said_to_be_symmetric(claim: str, sentence: str) -> None:
    report = matcalc.check("logdet(X)", claim, "X", layout="denominator")
    assert report.verdict == "differs"
    assert sentence in report.message


def test_code_is_judged_in_a_meaning() -> None:
    given: dict[str, Any] = {"shapes": {"X": ("n", "n")}, "assume": {"X": "posdef"}}
    claim = "2*inv(X) - diag(diag(inv(X)))"
    assert matcalc.check(lambda X: torch.logdet(X), claim, "X", **given, meaning="tied").verdict == "agrees"
    assert matcalc.check(lambda X: torch.logdet(X), claim, "X", **given, meaning="space").meanings == ("tied",)


# --- ties -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "count"),
    [("symmetric", 10), ("posdef", 10), ("skew", 6), ("diagonal", 4), ("lower-triangular", 10),
     ("upper-triangular", 10)],
)  # fmt: skip
def test_ties_are_what_the_parametrisation_ties(kind: str, count: int) -> None:
    ties = list_ties(frozenset({kind}), 4)
    t = torch.rand(4, 4, dtype=torch.float64)
    matrix = PARAMETRISED[kind](t)
    assert len(ties.places) == count == len(ties.read(matrix))
    assert torch.equal(ties.write(ties.read(matrix)), matrix)


def test_a_symmetric_triangular_matrix_is_diagonal() -> None:
    for words in ("symmetric, lower-triangular", "lower-triangular, upper-triangular", "posdef, upper-triangular"):
        derivative = matcalc.derive("trace(A @ X)", "X", shapes={"A": ("n", "n")}, assume={"X": words}, meaning="tied")
        assert str(derivative) == "diag(diag(A))"
        assert derivative.check()


# --- what is refused, and the other entrances ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("assume", "meaning", "reason"),
    [
        ({}, "tied", "there is no derivative of meaning tied by X, whose entries are all free"),
        ({"X": "orthogonal"}, "space", "by X, as orthogonal matrices are no linear space"),
        ({"X": "symmetric"}, "both", "'both' is not a meaning"),
        ({"X": "skew"}, "vech", "there is no derivative of meaning vech by X, which is skew"),
    ],
)
def test_meanings_that_a_derivative_does_not_have(assume: dict[str, str], meaning: Any, reason: str) -> None:
    for ask in (matcalc.derive, lambda text, wrt, **given: matcalc.check(text, "inv(X)", wrt, **given)):
        with pytest.raises(DeclarationError, match=reason):
            ask("logdet(X)", "X", assume=assume, meaning=meaning)


def test_steps_and_code_are_of_the_free_derivative() -> None:
    derivative = matcalc.derive("det(X)", "X", assume={"X": "symmetric"}, meaning="tied")
    for view in (lambda: derivative.steps, derivative.chain, derivative.code):
        with pytest.raises(DeclarationError, match="of derivatives with every entry free"):
            view()


def test_an_answer_says_what_it_means() -> None:
    derivative = matcalc.derive("det(X)", "X", assume={"X": "symmetric"}, meaning="tied")
    assert str(derivative) == "det(X)*(2*inv(X) - diag(diag(inv(X))))"
    note = "the entries of X that are tied by its being symmetric move together, and are one entry"
    assert derivative.notes[0] == note
    assert derivative.differential == "df = det(X)*trace(inv(X) @ dX)"
    assert derivative.to_dict()["meaning"] == "tied"
    assert str(derivative.in_layout("torch")) == str(derivative)
    assert "--meaning tied" in derivative.check().command


def test_the_words_are_the_same_everywhere() -> None:
    from typing import get_args

    assert get_args(StructureMeaning) == MEANINGS


def test_a_sheet_and_the_command_take_a_meaning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from matcalc.cli import main

    asked = ["check", "logdet(X)", "--claim", "2*inv(X) - diag(diag(inv(X)))", "--assume", "X: posdef"]
    assert main([*asked, "--meaning", "tied"]) == 0
    assert main(asked) == 1
    assert "reasons     meaning" in capsys.readouterr().out
    assert main(["derive", "logdet(X)", "--assume", "X: posdef", "--meaning", "tied", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["derivative"]["derivative"] == "2*inv(X) - diag(diag(inv(X)))"


# --- vech -------------------------------------------------------------------------------------------------------


def test_the_size_of_vech_is_one_letter() -> None:
    size = Size.of("n").triangle()
    assert size == "n*(n + 1)/2"
    assert str(size) == "n*(n+1)/2"
    assert {Size.of("n*(n+1)/2")} == {size}
    assert size.value({"n": 5}) == 15
    assert (size * Size.of("m")).value({"n": 5, "m": 2}) == 30
    assert Size.of(4).triangle() == 10
    assert Size.of("m*p").triangle().value({"m": 2, "p": 3}) == 21
    assert Size.of("m*p").triangle().base_letters == ("m", "p")


def test_an_answer_by_vech() -> None:
    derivative = matcalc.derive("logdet(X)", "X", assume={"X": "posdef"}, meaning="vech")
    assert derivative.header == "df/d vech(X)   numerator layout, shape (n*(n+1)/2,), a 1×n*(n+1)/2 row"
    assert derivative.shape == ("n*(n+1)/2",)
    assert derivative.axes == ("vech(X) axis 0",)
    assert derivative.in_layout("vec").header.startswith("d vec(f)/d vech(X).T ")
    assert "\\partial \\mathrm{vech}(X)" in derivative._repr_html_()
    assert derivative.components({"n": 2}).derivative.shape == (1, 3)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["vech-vector-function", "cookbook-140", "tied-cholesky-factor"])
def test_the_answer_can_be_compiled(name: str, backend: str) -> None:
    derivative = derive_case(CASES[name], "numerator")
    values = derivative.draw_point(seed=1)
    given = {key: torch.tensor(value) if backend == "torch" else value for key, value in values.items()}
    computed = derivative.compile(backend)(**given)
    assert torch.allclose(torch.as_tensor(computed), torch.as_tensor(derivative.evaluate(values)))


def test_duplication_is_a_word_of_the_language() -> None:
    derivative = matcalc.derive("duplication(n).T @ vec(A)", "A", shapes={"A": ("n", "n")}, layout="vec")
    assert str(derivative) == "duplication(n).T"
    assert derivative.check()
    assert derivative.latex() == "D_{n}^\\top"
    written = derivative.to_sympy().subs({next(iter(derivative.to_sympy().free_symbols)): 3}).as_explicit()
    assert written.shape == (6, 9)
