"""Functions and claims that are Python code: judged as text is, their shapes found by running them."""

from __future__ import annotations

import pytest
import torch

import matcalc
from matcalc.errors import DeclarationError

SHAPES = {"A": ("m", "n"), "x": ("n",)}


def multiply(A, x):
    return A @ x


def soften(x):
    return torch.softmax(x, dim=0)


class Layer(torch.nn.Module):
    """y = scale*x with a keyword that is no variable."""

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return scale * x


@pytest.mark.parametrize(
    ("function", "claim", "options", "reasons"),
    [
        (multiply, "A", {"wrt": "x", "shapes": SHAPES}, ()),
        (multiply, "A", {"wrt": "x", "shapes": SHAPES, "layout": "denominator"}, ("layout", "transpose", "shape")),
        (multiply, "3*A", {"wrt": "x", "shapes": SHAPES}, ("factor",)),
        (multiply, "einsum('ij,k->ikj', eye(m), x)", {"wrt": "A", "shapes": SHAPES}, ()),
        (soften, "diag(softmax(x)) - softmax(x) @ softmax(x).T", {}, ()),
        (soften, "diag(softmax(x)) - softmax(x) @ softmax(x).T + x @ x.T", {}, ("extra-term",)),
        (Layer(), "2*eye(n)", {"shapes": {"x": ("n",)}}, ()),
        (lambda x: torch.sum(x**2), "2*x", {"layout": "denominator"}, ()),
        (lambda x: torch.outer(x, x).reshape(-1), "kron(x, eye(n)) + kron(eye(n), x)", {}, ()),
        (lambda x: torch.log(x), "diag(1/x)", {}, ()),
        (lambda x: x.sum() ** 3, "6*sum(x)*ones(n, n)", {"order": 2}, ()),
    ],
)
def test_a_function_that_is_code(function, claim, options, reasons):
    report = matcalc.check(function, claim, **options)
    assert report.reasons == reasons, report.message
    assert report.verdict == ("differs" if reasons else "agrees")


def test_a_claim_that_is_code():
    assert matcalc.check("softmax(x)", lambda x: torch.diag(soften(x)) - torch.outer(soften(x), soften(x)))
    report = matcalc.check("softmax(x)", lambda x: torch.diag(soften(x)))
    assert report.missing == "-softmax(x) @ softmax(x).T"


def test_points_come_from_where_the_function_is_finite():
    report = matcalc.check(lambda x: torch.log(-x), "diag(1/x)", trials=10)
    assert (report.verdict, report.points) == ("agrees", 10), report.message


def detach(x):
    return x * x.detach()


def fail(x):
    raise ValueError("no such luck")


def give_list(x):
    return [x]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (detach, "torch's derivative of detach is not that of its values: it detaches, or has a wrong backward"),
        (fail, "fail raised ValueError: no such luck"),
        (give_list, "give_list returned a list, not a tensor"),
        (lambda x: torch.zeros(int(x.shape[0]) + 1), "an axis of the value of <lambda> has the sizes"),
    ],
)
def test_code_that_cannot_be_checked(function, sentence):
    report = matcalc.check(function, "diag(x)")
    assert report.verdict == "could not check"
    assert sentence in report.message


def test_shapes_that_nothing_tells_are_asked_for():
    with pytest.raises(DeclarationError, match="nothing tells the shape of A, x"):
        matcalc.check(multiply, "A", "x")


def test_an_unknown_dtype_is_refused():
    with pytest.raises(DeclarationError, match="'float23' is not a dtype"):
        matcalc.check(soften, "diag(x)", dtype="float23")


def test_arguments_without_names_are_refused():
    with pytest.raises(DeclarationError, match=r"\*args"):
        matcalc.check(lambda *args: args[0], "x")
