"""What is right near 1 and wrong far from it: rules of a reader's own, and claims that are code."""

from __future__ import annotations

import pytest
import torch

import matcalc
from matcalc.check.prove import prove_rule
from matcalc.check.scales import DECADES, list_scaled
from matcalc.errors import RuleError
from matcalc.rule_files import read_rules

WRONG_RULES = {
    "relu6 without its end": ('elementwise = "where(x > 0, 1, 0)"', "nn.functional.relu6"),
    "hardswish in its middle": ('elementwise = "x/3 + 1/2"', "nn.functional.hardswish"),
    "sine up to 2.5": ('elementwise = "where(x < 2.5, cos(x), 0)"', "sin"),
    "hardtanh with one end": ('elementwise = "where(x > -1, 1, 0)"', "nn.functional.hardtanh"),
    "sine but for a window": ('elementwise = "where(x < 200, where(x > 190, 0, cos(x)), cos(x))"', "sin"),
    "sine but for a place": ('elementwise = "where((x - 53)*(x - 53) < 0.01, 0, cos(x))"', "sin"),
    "sine with a large power": ('elementwise = "cos(x) + (x/100)**30"', "sin"),
    "the logarithm up to 10": ('elementwise = "where(x > 10, 0, 1/x)"\ndomain = "x > 0"', "log"),
    "the logarithm near 0": ('elementwise = "where(x < 0.02, 0, 1/x)"\ndomain = "x > 0"', "log"),
    "two arguments": (
        'call = "own(x, y)"\nelementwise = ["where(x > 20, 1, sigmoid(x - y))", "sigmoid(y - x)"]',
        "logaddexp",
    ),
    "a vector": (
        'call = "own(x[n])"\ndifferential = "x.T @ dx/(norm(x) + where(norm(x) > 40, 1, 0))"',
        "linalg.vector_norm",
    ),
    "softplus defined": ('define = "where(x > 30, 0, log(1 + exp(x)))"', "nn.functional.softplus"),
}


def prove(text, word, folder):
    path = folder / "own.toml"
    path.write_text(f'[own]\n{text}\ntorch = "torch.{word}"\n')
    (rule,) = read_rules(path)
    return prove_rule(rule)


@pytest.mark.parametrize("name", WRONG_RULES)
def test_a_rule_that_is_wrong_far_from_1_is_refused(name, tmp_path):
    report = prove(*WRONG_RULES[name], tmp_path)
    assert report.verdict == "differs", report.message


RIGHT_RULES = {
    "relu6": ('elementwise = "where(x > 0, where(x < 6, 1, 0), 0)"\nkinks = "x*(x - 6)"', "nn.functional.relu6"),
    "softplus": ('elementwise = "sigmoid(x)"', "nn.functional.softplus"),
    "tanh by cosh": ('elementwise = "1/cosh(x)**2"', "tanh"),
    "arctangent of two": ('call = "own(x, y)"\nelementwise = ["y/(x**2 + y**2)", "-x/(x**2 + y**2)"]', "atan2"),
}


@pytest.mark.parametrize("name", RIGHT_RULES)
def test_a_rule_that_is_right_everywhere_is_taken(name, tmp_path):
    report = prove(*RIGHT_RULES[name], tmp_path)
    assert report, report.message


def test_the_place_where_a_rule_is_wrong_is_told(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[relu_up_to_6]\nelementwise = "where(x > 0, 1, 0)"\ntorch = "torch.nn.functional.relu6"\n')
    with pytest.raises(RuleError, match=r"at x = \S+ the derivative by x should be 0, not 1"):
        matcalc.load_rules(path)


# --- code -----------------------------------------------------------------------------------------


def diagonal(derivative):
    return lambda x: torch.diag(derivative(x).to(x.dtype))


RELU6, HARDSWISH = torch.nn.functional.relu6, torch.nn.functional.hardswish
FUNCTIONS = {
    "relu6": lambda x: RELU6(x),
    "hardswish": lambda x: HARDSWISH(x),
    "hardtanh": lambda x: torch.nn.functional.hardtanh(x),
    "hardtanh, wide": lambda x: torch.nn.functional.hardtanh(x, -40.0, 40.0),
}
CODE = [
    ("relu6", lambda x: x > 0, "differs"),
    ("relu6", lambda x: (x > 0) & (x < 6), "agrees"),
    ("hardswish", lambda x: x / 3 + 0.5, "differs"),
    ("hardswish", lambda x: torch.where(x < -3, 0.0, torch.where(x > 3, 1.0, x / 3 + 0.5)), "agrees"),
    ("hardtanh", lambda x: ((x > -1) & (x < 1)) | (x > 2), "differs"),
    ("hardtanh", lambda x: (x > -1) & (x < 1), "agrees"),
    ("hardtanh, wide", torch.ones_like, "differs"),
    ("hardtanh, wide", lambda x: x.abs() < 40, "agrees"),
]


@pytest.mark.parametrize(("name", "derivative", "verdict"), CODE)
def test_claims_that_are_code_are_tried_over_all_scales(name, derivative, verdict):
    report = matcalc.check(FUNCTIONS[name], diagonal(derivative), "x", shapes={"x": "n"})
    assert report.verdict == verdict, report.message
    assert "rounded" not in report.message


@pytest.mark.parametrize(
    ("name", "claim"), [("relu6", "diag(where(x > 0, 1, 0))"), ("hardswish", "diag(x/3 + 1/2)")]
)
def test_formulas_for_code_are_tried_over_all_scales(name, claim):
    report = matcalc.check(FUNCTIONS[name], claim, "x", shapes={"x": "n"})
    assert report.verdict == "differs"
    assert "It is the derivative at most points, but not everywhere" in report.message


def test_a_backward_without_its_mask_differs():
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(0, 6)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * (x > 0)

    report = matcalc.check_backward(Own, "relu6(x)")
    assert [report.forward.verdict, report.inputs["x"].verdict] == ["agrees", "differs"]


RIGHT_CODE = [
    (lambda x: torch.logsumexp(x, 0), "softmax(x)", {"x": "n"}),
    (lambda A: torch.logdet(A), "inv(A).T", {"A": ("n", "n")}),
    (lambda A: torch.trace(torch.linalg.matrix_exp(A)), "expm(A).T", {"A": ("n", "n")}),
    (lambda X: torch.linalg.inv(X.T @ X).trace(), "-2*X @ inv(X.T @ X) @ inv(X.T @ X)", {"X": ("m", "n")}),
    (lambda x: (1 - torch.cos(x)).sum(), "sin(x)", {"x": "n"}),
    (lambda x: torch.log(x).prod(), "prod(log(x))/(x*log(x))", {"x": "n"}),
]


@pytest.mark.parametrize("case", range(len(RIGHT_CODE)))
def test_right_claims_about_code_agree_at_all_scales(case):
    function, claim, shapes = RIGHT_CODE[case]
    report = matcalc.check(function, claim, shapes=shapes, layout="torch")
    assert report.verdict != "differs", report.message


def test_structures_are_kept_at_all_scales():
    from matcalc.check.points import PointSearch
    from matcalc.language.text_to_expression import parse

    assume = {"A": "posdef", "B": "skew", "y": "simplex"}
    (expression,) = parse("logdet(A) + trace(B) + sum(y*log(x))", assume=assume).expressions
    point = PointSearch(expression).find(0)
    largest = []
    for scaled in list_scaled(point):
        assert bool((torch.linalg.eigvalsh(scaled.values["A"]) > 0).all())
        assert torch.equal(scaled.values["B"], -scaled.values["B"].mT)
        assert torch.equal(scaled.values["y"], point.values["y"])
        largest.append(float(scaled.values["x"].abs().max()))
    assert min(largest) < 2 * 10**-DECADES
    assert max(largest) > 10 ** (DECADES - 1)
