"""Hand-written layers: a right one agrees, and of a wrong one every input says what is wrong with it."""

from __future__ import annotations

import json

import pytest
import torch

import matcalc
from matcalc.errors import DeclarationError

SHAPES = {"X": ("m", "n"), "W": ("n", "k"), "b": ("k",)}
FORMULA = "X @ W + b.T"


def make_linear(backward):
    """Return a linear layer with that backward."""

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, X, W, b):
            ctx.save_for_backward(X, W)
            return X @ W + b

    Linear.backward = staticmethod(lambda ctx, grad: backward(grad, *ctx.saved_tensors))
    return Linear


RIGHT = make_linear(lambda g, X, W: (g @ W.T, X.T @ g, g.sum(0)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_right_layer_agrees(dtype):
    report = matcalc.check_backward(RIGHT, FORMULA, shapes=SHAPES, dtype=dtype)
    assert report, report.message
    assert [report.forward.dtype, *report.inputs] == [dtype, "X", "W", "b"]


WRONG = [
    (lambda g, X, W: (2 * g @ W.T, X.T @ g, g.sum(0)), "X", ("factor",), "It is 2 times the vector-Jacobian product"),
    (lambda g, X, W: (g @ W.T, -X.T @ g, g.sum(0)), "W", ("factor",), "with the wrong sign"),
    (lambda g, X, W: (g @ W.T, X.T @ g, g.mean(0)), "b", ("factor",), "multiply it by m"),
    (lambda g, X, W: (None, X.T @ g, g.sum(0)), "X", ("other",), "It returns no gradient for X."),
    (lambda g, X, W: (g @ W.T, X.T @ torch.ones_like(g), g.sum(0)), "W", ("other",), "It does not use grad_output"),
    (lambda g, X, W: (g @ W.T, X.T @ g, g.sum(0) ** 2), "b", ("other",), "It is not linear in grad_output."),
]


@pytest.mark.parametrize(("backward", "name", "reasons", "sentence"), WRONG)
def test_a_wrong_gradient_is_named(backward, name, reasons, sentence):
    report = matcalc.check_backward(make_linear(backward), FORMULA, shapes=SHAPES)
    assert report.verdict == "differs"
    assert {key: part.verdict for key, part in report.inputs.items() if part.verdict != "agrees"} == {name: "differs"}
    assert report.forward.verdict == "agrees"
    assert report.inputs[name].reasons == reasons
    assert sentence in report.inputs[name].message
    correct = {"X": "grad_output @ W.T", "W": "X.T @ grad_output", "b": "sum(grad_output, axis=0)"}
    assert report.inputs[name].correct == correct[name]


class Softmax(torch.autograd.Function):
    """A softmax whose backward forgets that all entries share one denominator."""

    @staticmethod
    def forward(ctx, x):
        p = torch.softmax(x, dim=0)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, grad):
        (p,) = ctx.saved_tensors
        return p * grad


def test_a_missing_term_of_a_gradient_is_named():
    report = matcalc.check_backward(Softmax, "softmax(x)").inputs["x"]
    assert report.reasons == ("missing-term",)
    assert report.missing == "-softmax(x) @ softmax(x).T @ grad_output"


class Product(torch.autograd.Function):
    """A product of square matrices, right for symmetric B only."""

    @staticmethod
    def forward(ctx, A, B):
        ctx.save_for_backward(A, B)
        return A @ B

    @staticmethod
    def backward(ctx, grad):
        A, B = ctx.saved_tensors
        return grad @ B, A.T @ grad


def test_right_only_for_a_symmetric_matrix():
    report = matcalc.check_backward(Product, "A @ B", shapes={"A": ("n", "n"), "B": ("n", "n")})
    assert report.inputs["A"].symmetric == ("B",)
    assert report.inputs["B"].verdict == "agrees"


def test_a_backward_that_fails_is_told_in_its_own_words():
    report = matcalc.check_backward(Product, "A @ B", shapes={"A": ("m", "n"), "B": ("n", "k")})
    assert report.inputs["A"].verdict == "could not check"
    assert "backward of Product raised RuntimeError" in report.inputs["A"].message


@pytest.mark.parametrize(
    ("function", "formula", "reasons"),
    [
        (lambda A, B: (A @ B).T, "A @ B", ("transpose", "shape")),
        (lambda A, B: 2 * (A @ B), "A @ B", ("factor",)),
        (lambda A, B: A @ B, "A @ B + A @ A.T @ A @ B", ("missing-term",)),
        (lambda A, B: A @ B @ B.T, "A @ B", ("shape",)),
    ],
)
def test_a_wrong_value_is_diagnosed(function, formula, reasons):
    report = matcalc.check_backward(function, formula, shapes={"A": ("m", "n"), "B": ("n", "k")})
    assert report.verdict == "differs"
    assert report.forward.reasons == reasons


def test_modules_and_single_inputs():
    report = matcalc.check_backward(torch.nn.Softplus(), "softplus(x)", inputs=["x"])
    assert report, report.message
    only = matcalc.check_backward(RIGHT, FORMULA, wrt="W", shapes=SHAPES)
    assert list(only.inputs) == ["W"]


def test_other_names_are_matched_by_order_and_noted():
    shapes = {"X": ("m", "n"), "W": ("n", "k")}
    report = matcalc.check_backward(lambda inp, weight: inp @ weight, "X @ W", shapes=shapes)
    assert report, report.message
    (note,) = report.notes
    assert note == "the arguments were taken in this order: inp is X, weight is W; inputs= names them otherwise"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"wrt": "Z"}, "Z is no input of the function; it takes X, W, b"),
        ({"inputs": ["X", "Q", "b"]}, "the formula has no variable Q; it has X, W, b"),
    ],
)
def test_names_that_do_not_exist_are_refused(options, sentence):
    with pytest.raises(DeclarationError, match=sentence):
        matcalc.check_backward(RIGHT, FORMULA, shapes=SHAPES, **options)


def test_a_function_with_too_few_arguments_is_refused():
    with pytest.raises(DeclarationError, match="the function takes weight, but the formula has X, W"):
        matcalc.check_backward(lambda weight: weight, "X @ W")


def test_a_name_of_the_formula_does_not_collide_with_grad_output():
    report = matcalc.check_backward(lambda grad_output: 3 * grad_output, "3*grad_output")
    assert report, report.message


def test_the_report_is_plain_data():
    plain = matcalc.check_backward(Softmax, "softmax(x)").to_dict()
    assert json.loads(json.dumps(plain))["inputs"]["x"]["reasons"] == ["missing-term"]
