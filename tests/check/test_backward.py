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


# --- what the engine of torch hides ---------------------------------------------------------------


def make_function(forward, backward):
    """Return a function of one or two inputs; `backward` gets the context and grad_output."""

    class Own(torch.autograd.Function):
        pass

    def run(ctx, *inputs):
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    Own.forward, Own.backward = staticmethod(run), staticmethod(backward)
    return Own


def multiply_wrongly_when_both_need_it(ctx, grad):
    a, b = ctx.saved_tensors
    both = all(ctx.needs_input_grad)
    return grad * b * (2 if both else 1), grad * a


def multiply_wrongly_when_one_needs_it(ctx, grad):
    a, b = ctx.saved_tensors
    alone = not ctx.needs_input_grad[1]
    return grad * b * (2 if alone else 1), grad * a


def test_a_backward_that_is_wrong_only_when_all_inputs_need_a_gradient():
    own = make_function(lambda a, b: a * b, multiply_wrongly_when_both_need_it)
    report = matcalc.check_backward(own, "u*v", inputs=["u", "v"], shapes={"u": "n", "v": "n"})
    assert report.inputs["v"].verdict == "agrees"
    assert report.inputs["u"].factor == 2
    assert "That is so where u, v need a gradient; where u alone needs a gradient, it agrees." in report.message
    given = [torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(own.apply, given)


def test_a_backward_that_is_wrong_only_when_one_input_needs_a_gradient():
    own = make_function(lambda a, b: a * b, multiply_wrongly_when_one_needs_it)
    report = matcalc.check_backward(own, "u*v", inputs=["u", "v"], shapes={"u": "n", "v": "n"})
    assert report.inputs["u"].verdict == "differs"
    assert "That is so where u alone needs a gradient; where u, v need a gradient, it agrees." in report.message


def write_into_data(x):
    x.data.mul_(2)
    return 3 * x


def write_under_no_grad(x):
    with torch.no_grad():
        x.mul_(2)
    return 3 * x


IN_PLACE = [
    (write_into_data, "6*x", "Its forward changes its input x in place."),
    (write_under_no_grad, "6*x", "Its forward changes its input x in place."),
    (
        make_function(lambda x: x.mul_(2), lambda ctx, grad: 2 * grad).apply,
        "2*x",
        "Its forward changes its input x in place.",
    ),
    (
        make_function(lambda x: 2 * x, lambda ctx, grad: grad.mul_(2)).apply,
        "2*x",
        "Its backward changes grad_output in place.",
    ),
    (
        make_function(lambda x: 2 * x, lambda ctx, grad: (ctx.saved_tensors[0].mul_(2), 2 * grad)[1]).apply,
        "2*x",
        "Its backward changes its input x in place.",
    ),
]


@pytest.mark.parametrize(("function", "formula", "sentence"), IN_PLACE)
def test_what_writes_into_its_inputs_differs(function, formula, sentence):
    report = matcalc.check_backward(function, formula, inputs=["x"])
    assert report.inputs["x"].verdict == "differs"
    assert sentence in report.message
    assert "not linear" not in report.message


def test_what_tells_torch_that_it_writes_in_place_agrees():
    report = matcalc.check_backward(torch.nn.ReLU(inplace=True), "relu(x)", inputs=["x"])
    assert report, report.message


def test_code_that_writes_into_its_arguments_does_not_change_the_points_of_the_judge():
    report = matcalc.check("x**2", write_into_data, "x", layout="torch", shapes={"x": ()})
    assert report.verdict == "differs"


SHAPES_OF_GRADIENTS = [
    (lambda grad: (3 * grad)[:, None], "shape (2, 1) where x has (2,) (here n = 2)"),
    (lambda grad: (3 * grad)[None], "shape (1, 2) where x has (2,) (here n = 2)"),
    (lambda grad: (3 * grad).expand(4, -1) / 4, "shape (4, 2) where x has (2,) (here n = 2)"),
    (lambda grad: (3 * grad).float(), "Its gradient is float32 where x is float64."),
]


@pytest.mark.parametrize(("backward", "sentence"), SHAPES_OF_GRADIENTS)
def test_a_gradient_of_another_shape_or_dtype_differs(backward, sentence):
    own = make_function(lambda x: 3 * x, lambda ctx, grad: backward(grad))
    report = matcalc.check_backward(own, "3*x", inputs=["x"], shapes={"x": "n"}).inputs["x"]
    assert report.verdict == "differs"
    assert sentence in report.message


def test_a_gradient_in_float64_of_an_input_in_float32_differs():
    own = make_function(lambda x: 3 * x, lambda ctx, grad: (3 * grad).double())
    report = matcalc.check_backward(own, "3*x", inputs=["x"], dtype="float32").inputs["x"]
    assert "Its gradient is float64 where x is float32." in report.message


@pytest.mark.parametrize("sizes", [("n", "k"), ("n", "n")])
def test_a_transposed_gradient_is_called_so(sizes):
    own = make_linear(lambda g, X, W: (g @ W.T, (X.T @ g).T, g.sum(0)))
    shapes = {"X": ("m", sizes[0]), "W": sizes, "b": (sizes[1],)}
    report = matcalc.check_backward(own, FORMULA, shapes=shapes).inputs["W"]
    assert report.verdict == "differs"
    assert report.reasons[0] == "transpose"
    assert "It is the transpose of the vector-Jacobian product." in report.message
    assert "asked for" not in report.message
    assert "layout" not in report.message


def test_a_formula_with_definitions():
    report = matcalc.check_backward(lambda A, x: torch.tanh(A @ x), "h = A@x; tanh(h)")
    assert report, report.message
    assert list(report.inputs) == ["A", "x"]


def test_a_formula_that_is_a_row():
    report = matcalc.check_backward(
        lambda A, x: x @ A, "x.T @ A", shapes={"A": ("m", "n"), "x": ("m",)}, inputs=["A", "x"]
    )
    assert report, report.message


# --- modules --------------------------------------------------------------------------------------


LINEAR = {"X": ("m", "n"), "W": ("k", "n"), "b": ("k",)}


def test_variables_that_the_function_does_not_get_are_refused():
    with pytest.raises(DeclarationError, match="the formula has W, b, which the function does not get"):
        matcalc.check_backward(torch.nn.Linear(3, 5), "X @ W.T + b.T", inputs=["X"], shapes=LINEAR)


def test_parameters_of_a_module_are_bound_to_variables():
    module = torch.nn.Linear(3, 5)
    before = module.weight.clone()
    params = {"W": "weight", "b": "bias"}
    report = matcalc.check_backward(module, "X @ W.T + b.T", inputs=["X"], shapes=LINEAR, params=params)
    assert report, report.message
    assert list(report.inputs) == ["X", "W", "b"]
    assert (report.inputs["W"].sizes["n"], report.inputs["W"].sizes["k"]) == (3, 5)
    assert torch.equal(module.weight, before)
    wrong = matcalc.check_backward(module, "X @ W.T + 2*b.T", inputs=["X"], shapes=LINEAR, params=params)
    assert [wrong.forward.verdict, wrong.inputs["b"].factor] == ["differs", 0.5]


def test_a_module_of_fixed_sizes_is_judged_in_them():
    shapes = {"x": ("n",), "g": ("n",), "c": ("n",)}
    formula = "g*(x - mean(x))/sqrt(sum((x - mean(x))**2)/size(x) + 0.00001) + c"
    params = {"g": "weight", "c": "bias"}
    report = matcalc.check_backward(torch.nn.LayerNorm(4), formula, inputs=["x"], shapes=shapes, params=params)
    assert report, report.message
    assert report.inputs["x"].sizes == {"n": 4}


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"W": "wait", "b": "bias"}, "the module has no parameter 'wait'; it has weight, bias"),
        ({"Q": "weight", "b": "bias"}, "the formula has no variable Q"),
    ],
)
def test_parameters_that_do_not_exist_are_refused(params, sentence):
    with pytest.raises(DeclarationError, match=sentence):
        matcalc.check_backward(torch.nn.Linear(3, 5), "X @ W.T + b.T", inputs=["X"], shapes=LINEAR, params=params)


def test_parameters_are_those_of_modules():
    with pytest.raises(DeclarationError, match="this is none"):
        matcalc.check_backward(lambda X: X, "X @ W", params={"W": "weight"})


def test_weights_are_arbitrary_by_what_they_are_and_not_by_their_name() -> None:
    """A variable that happens to be called grad_output may be what must sum to 1."""
    claim = "softmax(x) - grad_output"
    report = matcalc.check("-sum(grad_output*log(softmax(x)))", claim, "x", layout="denominator")
    assert report.reasons == ("sum-only",)
