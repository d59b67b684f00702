"""The judge: right claims agree, wrong ones are noticed, and what cannot be checked is said to be so."""

from __future__ import annotations

import itertools
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import matcalc
from matcalc.check.jacobian import arrange_axes, layout_shape, true_derivative
from matcalc.check.report import CheckReport
from matcalc.check.verdict import judge
from matcalc.errors import DeclarationError
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse
from tests.sampling import sample

CASES = Path(__file__).parents[1] / "cases"


def read_cases(name: str, key: str) -> list[dict[str, Any]]:
    return list(tomllib.loads((CASES / f"{name}.toml").read_text(encoding="utf-8"))[key])


def check(
    expression: str,
    claim: str,
    wrt: str = "x",
    shapes: dict[str, Any] | None = None,
    assume: dict[str, str] | None = None,
    **options: Any,
) -> CheckReport:
    problem = parse([expression, claim], wrt=wrt, shapes=shapes, assume=assume)
    assert problem.wrt is not None
    return judge(*problem.expressions, problem.wrt, **options)


TEXTBOOK = [
    pytest.param(case, layout, id=f"{case['id']}-{layout}")
    for name in ("textbook", "sympy_issues")
    for case in read_cases(name, "case")
    for layout in ("numerator", "denominator")
    if layout in case
]


@pytest.mark.parametrize(("case", "layout"), sample("textbook", TEXTBOOK, 0.3))
def test_textbook_derivatives_agree_and_wrong_ones_differ(case: dict[str, Any], layout: str) -> None:
    given = {"wrt": case["wrt"], "shapes": case["shapes"], "assume": case.get("domain"), "layout": layout}
    right = check(case["expr"], case[layout], order=case["order"], **given)
    assert right, right.message
    assert right.points == 3
    is_zero = case[layout] == "0" or case[layout].startswith("zeros(")
    for wrong in () if is_zero else ("-({})", "2*({})", "({})*1.0000001"):
        report = check(case["expr"], wrong.format(case[layout]), order=case["order"], **given)
        assert report.verdict == "differs", report.message


@pytest.mark.parametrize("claim", [pytest.param(c, id=c["id"]) for c in read_cases("claims", "claim")])
def test_verdicts_on_hand_made_claims(claim: dict[str, Any]) -> None:
    report = check(
        claim["expr"], claim["claim"], claim["wrt"], claim["shapes"], claim.get("domain"),
        layout=claim["layout"], order=claim.get("order", 1),
    )  # fmt: skip
    assert report.verdict == claim["verdict"], report.message


@pytest.mark.parametrize(
    ("expression", "claim", "wrt", "shapes"),
    [
        ("A @ x", "A.T", "x", {"A": ("n", "n")}),
        ("logdet(X)", "inv(X).T", "X", None),
        ("trace(A @ X)", "A.T", "X", {"A": ("n", "n"), "X": ("n", "n")}),
        ("inv(X)", "einsum('ia,bj->ijab', -inv(X), inv(X))", "X", None),
        ("x.T @ A @ x", "x.T @ A", "x", None),
        ("x.T @ A @ x", "2*x.T @ A", "x", None),
        ("sum(x)", "zeros(n)", "x", {"x": ("n",)}),
        ("sum(X)", "2*ones(k, n)", "X", {"X": ("n", "k")}),
        ("size(x)*sum(x)", "2*ones(n)", "x", {"x": ("n",)}),
        ("softmax(x)", "diag(softmax(x))", "x", None),
        ("max(x)", "ones(n)", "x", {"x": ("n",)}),
        ("sum(relu(relu(x)))", "ones(n)", "x", {"x": ("n",)}),
        ("sum(abs(x))*log(x.T @ x)", "log(x.T @ x) + 2*sum(x)*x/(x.T @ x)", "x", None),
        ("norm(X, 'nuc')", "X.T", "X", None),
    ],
)
def test_wrong_claims_differ(expression: str, claim: str, wrt: str, shapes: dict[str, Any] | None) -> None:
    report = check(expression, claim, wrt, shapes)
    assert report.verdict == "differs", report.message
    assert report.reasons == ("other",)
    assert report.worst is not None
    assert not report


def test_the_worst_entry_is_named() -> None:
    report = check("x**2", "diag(2*x) + einsum('i,j->ij', e_1, e_1)*0 + 1", shapes={"e_1": ("n",)})
    assert report.worst is not None
    assert report.worst.got - report.worst.expected == pytest.approx(1)
    assert report.message.startswith(f"differs: entry [{report.worst.index[0]}, {report.worst.index[1]}] should be")
    assert report.to_dict()["worst"]["index"] == list(report.worst.index)


def test_the_message_of_agreement() -> None:
    report = check("A @ x", "A", trials=2, seed=5)
    told = "agrees with torch.autograd.functional.jacobian at 2 points, equal to the last bit"
    assert report.message == f"exactly equal in SymPy at m, n = 2, 3 and 3, 2; {told}"
    assert check("A @ x", "A", trials=2, seed=5, proof="torch").message == told
    assert (report.verdict, report.seed, report.layout, report.points) == ("agrees", 5, "numerator", 2)
    assert set(report.sizes) == {"m", "n"}
    assert report.domains == {"A": "real", "x": "real"}
    assert report.to_dict()["verdict"] == "agrees"


# --- zero and nearly zero -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "claim", "shapes"),
    [
        ("a", "zeros(n)", {"a": (), "x": ("n",)}),
        ("sum(softmax(x))", "zeros(n)", {"x": ("n",)}),
        ("sum(sign(x))", "zeros(n)", {"x": ("n",)}),
        ("A @ y", "zeros(m, n)", {"A": ("m", "k"), "y": ("k",), "x": ("n",)}),
        ("sum(x) - sum(x)", "zeros(n)", {"x": ("n",)}),
    ],
)
def test_zero_derivatives_agree(expression: str, claim: str, shapes: dict[str, Any]) -> None:
    assert check(expression, claim, shapes=shapes)


def test_a_small_claim_is_not_zero() -> None:
    assert check("sum(softmax(x))", "ones(n)*1e-9", shapes={"x": ("n",)}).verdict == "differs"


def test_large_constants_do_not_hide_errors() -> None:
    assert check("10**12*sum(x)", "10**12*ones(n)", shapes={"x": ("n",)})
    assert check("10**12 + sum(x)", "1.001*ones(n)", shapes={"x": ("n",)}).verdict == "differs"


# --- could not check ----------------------------------------------------------------------------------


def test_no_points_asked_for() -> None:
    assert check("A @ x", "A", trials=0).message == "could not check: no points were asked for"


def test_shape_is_judged_before_points() -> None:
    report = check("A @ x", "A.T")
    assert (report.verdict, report.reasons, report.points) == ("differs", ("shape",), 0)
    assert report.message == "differs: the claim has shape (n, m), but the numerator layout has (m, n)"


@pytest.mark.parametrize(
    ("expression", "claim", "reason"),
    [
        ("log(-norm(x)**2)", "x", "log(x) needs x > 0"),
        ("norm(x - x)", "x", "norm(x): sqrt(x) needs x > 0"),
        ("sum(x/(x - x))", "x", "a division by 0 or nearly 0"),
        ("sum(x)", "ones(n)/(sum(x) - sum(x))", "the derivative or the claim is not finite"),
        ("sum(x)", "inv(0*x @ x.T) @ x", "inv(X[n,n]) cannot be evaluated"),
    ],
)
def test_no_point_is_not_agreement(expression: str, claim: str, reason: str) -> None:
    report = check(expression, claim, shapes={"x": ("n",)})
    assert report.verdict == "could not check"
    assert reason in report.message
    assert not report


def test_huge_derivatives_are_not_tried() -> None:
    report = check("x", "eye(2000)", shapes={"x": (2000,)})
    assert report.message == "could not check: the derivative has 4000000 entries, more than 1000000"
    report = check("a*y", "y", "a", shapes={"y": (30000,), "a": ()})
    assert "30000 passes" in report.message


def test_torch_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert check("A @ x", "A").message == "could not check: torch is not installed"


def test_unknown_options() -> None:
    with pytest.raises(DeclarationError, match="'fraction' is not a layout"):
        check("A @ x", "A", layout="fraction")
    with pytest.raises(DeclarationError, match="'int8' is not a dtype"):
        check("A @ x", "A", dtype="int8")
    assert "cannot use the device 'nowhere'" in check("A @ x", "A", device="nowhere").message


def test_float32() -> None:
    assert check("sum(exp(A @ x))", "exp(A @ x).T @ A", dtype="float32")
    assert check("sum(exp(A @ x))", "1.01*exp(A @ x).T @ A", dtype="float32").verdict == "differs"


# --- abstract functions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "claim", "shapes", "order", "verdict"),
    [
        ("u(A @ x)", "D(u, A @ x) @ A", {"u": ("m",)}, 1, "agrees"),
        ("u(A @ x)", "D(u, x) @ A", {"u": ("m",), "A": ("n", "n")}, 1, "differs"),
        ("log(u(x))", "D(u, x)/u(x)", {"u": ()}, 1, "agrees"),
        ("u(x)", "D(u, x, 2)", {"u": ()}, 2, "agrees"),
        ("u(x)**2", "2*u(x)*D(u, x, 2)", {"u": ()}, 2, "differs"),
        ("u(x)*v(x)", "diag(v(x)) @ D(u, x) + diag(u(x)) @ D(v, x)", {"u": ("m",), "v": ("m",)}, 1, "agrees"),
    ],
)
def test_abstract_functions(expression: str, claim: str, shapes: dict[str, Any], order: int, verdict: str) -> None:
    assert check(expression, claim, shapes=shapes, order=order).verdict == verdict


# --- layouts ------------------------------------------------------------------------------------------


def count_up(*shape: int) -> torch.Tensor:
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def test_layouts_of_matrix_by_matrix() -> None:
    m, k, n, q = 2, 3, 5, 7
    tensor = count_up(m, k, n, q)
    numerator, denominator, vec = (arrange_axes(tensor, 2, [2], name) for name in ("numerator", "denominator", "vec"))
    assert vec.shape == (m * k, n * q)
    for i, j, a, b in itertools.product(range(m), range(k), range(n), range(q)):
        entry = tensor[i, j, a, b]
        assert numerator[i, j, b, a] == denominator[a, b, j, i] == vec[j * m + i, b * n + a] == entry
    assert arrange_axes(tensor, 2, [2], "torch") is tensor


def test_layouts_of_the_second_order() -> None:
    m, n, q = 2, 3, 5
    tensor = count_up(m, n, q, n, q)
    layouts = "numerator", "denominator", "vec"
    numerator, denominator, vec = (arrange_axes(tensor, 1, [2, 2], layout) for layout in layouts)
    assert vec.shape == (n * q * m, n * q)
    for i, a, b, c, d in itertools.product(range(m), range(n), range(q), range(n), range(q)):
        entry = tensor[i, a, b, c, d]
        assert numerator[i, b, a, d, c] == denominator[c, d, a, b, i] == entry
        assert vec[(b * n + a) * m + i, d * n + c] == entry


@pytest.mark.parametrize("layout", ["numerator", "denominator", "mixed", "torch", "vec"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_arranged_shapes_are_the_layout_shapes(layout: str, order: int) -> None:
    shapes = {(): (), ("m",): (2,), ("m", "l"): (2, 3)}, {(): (), ("n",): (5,), ("n", "k"): (5, 7)}
    sizes = {"m": 2, "l": 3, "n": 5, "k": 7}
    for (letters_y, shape_y), (letters_x, shape_x) in itertools.product(shapes[0].items(), shapes[1].items()):
        symbolic = [tuple(Size.of(letter) for letter in letters) for letters in (letters_y, letters_x)]
        expected = tuple(size.value(sizes) for size in layout_shape(symbolic[0], [symbolic[1]] * order, layout))
        tensor = torch.zeros(shape_y + order * shape_x)
        assert tuple(arrange_axes(tensor, len(shape_y), [len(shape_x)] * order, layout).shape) == expected


def test_mixed_is_torch_for_scalar_functions() -> None:
    assert check("trace(A @ X)", "A.T", "X", layout="mixed")
    assert check("A @ x", "A", layout="mixed")
    assert check("A @ X @ B", "kron(B.T, A)", "X", layout="vec")


def test_true_derivative_is_torchs_jacobian() -> None:
    problem = parse("A @ exp(x)", wrt="x")
    a, x = torch.rand(2, 3, dtype=torch.float64), torch.rand(3, 1, dtype=torch.float64)
    assert problem.wrt is not None
    found = true_derivative(problem.expressions[0], [problem.wrt], {"A": a, "x": x}, {"m": 2, "n": 3})
    expected = torch.autograd.functional.jacobian(lambda v: a @ torch.exp(v), x.reshape(3))
    assert torch.equal(found, expected)


def test_a_claim_that_needs_a_sum_of_1_is_told_of_what() -> None:
    loss, claim = "-sum(Y*log_softmax(X @ W, axis=1))", "X.T @ (softmax(X @ W, axis=1) - Y)"
    found = matcalc.check(loss, claim, "W", layout="denominator")
    assert found.message == 'differs. Right if the rows of Y sum to 1, which is not assumed: "Y: simplex" says so.'
    found = matcalc.check("a.T @ x + sum(b)*sum(x)", "a + 1", "x", layout="denominator")
    assert found.message == 'differs. Right if the entries of b sum to 1, which is not assumed: "b: simplex" says so.'
