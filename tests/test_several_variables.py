"""Several variables from one derivation, mixed second derivatives, and the block Hessian."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from matcalc import derive
from matcalc.check.jacobian import arrange_axes, layout_shape
from matcalc.check.question import ask
from matcalc.check.verdict import judge_question
from matcalc.cli import main
from matcalc.engine.differentiate import differentiate_by_each
from matcalc.engine.expression_to_index import convert
from matcalc.engine.index_form import Graph
from matcalc.engine.layout import LAYOUTS
from matcalc.engine.result import derive_each, derive_result
from matcalc.errors import DeclarationError, EvaluationError, LimitError
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import parse
from matcalc.render.report import name_mixed
from matcalc.several_variables import BlockHessian, Derivatives

FUNCTIONS = [
    "norm(W @ x + b)**2", "sum(tanh(W @ x + b))", "softmax(W @ x + b)", "A @ X @ B", "x.T @ A @ y", "x * y",
    "alpha * x @ y.T", "logdet(A @ X)", "cross_entropy(W @ x + b, y)", "trace(A @ X @ B @ X.T)", "exp(alpha * x)",
]  # fmt: skip
MIXED = [
    ("x.T @ A @ y", ("x", "y")), ("sum(tanh(A @ x) * (B @ y))", ("y", "x")), ("norm(W @ x + b)**2", ("W", "b")),
    ("norm(W @ x + b)**2", ("b", "W")), ("exp(alpha * x)", ("x", "alpha")), ("exp(alpha * x)", ("alpha", "x")),
    ("A @ X @ x", ("X", "x")), ("alpha * X @ Y", ("X", "alpha")), ("X @ Y", ("X", "Y")), ("x * y", ("x", "y")),
    ("sum((x * y)**3)", ("x", "x", "y")), ("sum((x * y)**3)", ("x", "y", "x")), ("logdet(X + x @ x.T)", ("X", "x")),
    ("alpha * beta**2", ("alpha", "beta")), ("trace(A @ X @ B @ Y)", ("Y", "X")),
]  # fmt: skip


# --- by each of several variables ---------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", FUNCTIONS)
def test_together_they_are_what_each_is_alone(text: str, layout: str) -> None:
    together = derive(text, "all", layout=layout)
    shapes = together.first.declared
    assert list(together) == list(shapes)
    for name, one in together.items():
        alone = derive(text, name, layout=layout, shapes=shapes)
        assert (str(one), one.shape, one.axes, one.header) == (str(alone), alone.shape, alone.axes, alone.header)
        assert (one.layout, one.wrt.name, one.is_mixed) == (layout, name, False)


@pytest.mark.parametrize("text", FUNCTIONS)
def test_each_of_them_agrees_with_torch(text: str) -> None:
    reports = derive(text, "all").check(trials=1)
    assert {report.verdict for report in reports.values()} == {"agrees"}
    assert all(f"--wrt {name} " in report.command for name, report in reports.items())


def test_one_backward_pass_serves_all_variables() -> None:
    """All six weights of a network need hardly more nodes than the first alone, whose pass meets all layers."""

    def count(*names: str) -> int:
        hidden = "x"
        for layer in range(1, 7):
            hidden = f"tanh(W{layer} @ {hidden})"
        problem = parse(f"sum({hidden})")
        graph = Graph(frozenset(names))
        node = convert(graph, problem.expressions[0]).node
        before = len(list(graph.nodes()))
        differentiate_by_each(graph, node, [graph.variable(problem.symbols[name]) for name in names])
        return len(list(graph.nodes())) - before

    names = [f"W{layer}" for layer in range(1, 7)]
    assert count(*names) < sum(count(name) for name in names) / 2
    assert count(*names) < count("W1") + 3 * len(names)


def test_results_of_one_derivation_share_their_graph() -> None:
    problem = parse("sum(tanh(A @ tanh(B @ x)))")
    wrts = list(problem.symbols.values())
    results = derive_each(problem.expressions[0], [wrts])
    assert len({id(result.graph) for result in results}) == 1
    for wrt, result in zip(wrts, results, strict=True):
        alone = derive_result(problem.expressions[0], wrt)
        assert to_text(result.expression("numerator")) == to_text(alone.expression("numerator"))


def test_it_is_a_mapping_that_prints_each_with_its_header() -> None:
    answer = derive("norm(W @ x + b)**2", ["b", "W"], layout="denominator")
    assert isinstance(answer, Derivatives)
    assert (list(answer), len(answer), "x" in answer) == (["b", "W"], 2, False)
    assert str(answer["W"]) == "2*(W @ x + b) @ x.T"
    assert str(answer) == (
        "df/db   denominator layout, shape (n,), a column\n  2*(W @ x + b)\n"
        "df/dW   denominator layout, shape (n, p)\n  2*(W @ x + b) @ x.T"
    )
    assert answer.report().count("f = norm(W @ x + b)**2") == 1
    assert repr(answer).startswith("Derivatives({'b': Derivative(")


def test_turning_keeps_all_of_them() -> None:
    answer = derive("A @ x", "all").in_layout("denominator")
    assert (answer.layout, [one.layout for one in answer.values()]) == ("denominator", ["denominator"] * 2)
    assert str(answer["x"]) == "A.T"


def test_values_of_each() -> None:
    rng = np.random.default_rng(0)
    values = {"W": rng.normal(size=(3, 2)), "x": rng.normal(size=2), "b": rng.normal(size=3)}
    got = derive("norm(W @ x + b)**2", ["W", "b"], layout="denominator").evaluate(values)
    rest = 2 * (values["W"] @ values["x"] + values["b"])
    np.testing.assert_allclose(got["b"], rest)
    np.testing.assert_allclose(got["W"], np.outer(rest, values["x"]))


def test_plain_data_lists_them() -> None:
    data = json.loads(json.dumps(derive("A @ x", "all").to_dict()))
    assert [one["wrt"] for one in data["derivatives"]] == ["A", "x"]
    assert (data["expression"], data["layout"]) == ("A @ x", "numerator")


@pytest.mark.parametrize("wrt", ["A,x", " A , x ", ["A", "x"], ("A", "x"), "all"])
def test_ways_to_name_them(wrt: Any) -> None:
    assert list(derive("A @ x", wrt)) == ["A", "x"]


def test_sympy_symbols_name_them() -> None:
    import sympy
    x, y = sympy.symbols("x y")
    answer = derive(x**2 * y, [x, y])
    assert {name: str(one) for name, one in answer.items()} == {"x": "2*y*x", "y": "x**2"}


def test_a_declared_variable_that_is_absent_gives_zeros() -> None:
    answer = derive("norm(x)**2", ["x", "c"], shapes={"c": ("p",)}, layout="denominator")
    assert (str(answer["c"]), answer["c"].check(1).verdict) == ("zeros(p)", "agrees")


def test_a_variable_called_all_is_meant_by_its_name() -> None:
    assert str(derive("2 * all", "all")) == "2*eye(n)"


def test_structure_is_used_in_each() -> None:
    answer = derive("x.T @ A @ x", "all", assume="A: symmetric", layout="denominator")
    assert (str(answer["x"]), str(answer["A"])) == ("2*A @ x", "x @ x.T")


# --- mixed derivatives --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("text", "order"), MIXED)
def test_mixed_derivatives_agree_with_torch(text: str, order: tuple[str, ...], layout: str) -> None:
    derivative = derive(text, order=order, layout=layout)
    report = derivative.check(trials=1, seed=3)
    assert (report.verdict, report.layout) == ("agrees", layout), report.message
    shapes = [wrt.squeezed_shape for wrt in derivative.by]
    assert derivative.shape == layout_shape(derivative.function.squeezed_shape, shapes, layout)
    assert len(derivative.axes) == len(list(derivative.shape))


def test_first_by_x_then_by_y() -> None:
    derivative = derive("A @ X @ x", order=("X", "x"))
    assert derivative.shape == ("m", "k", "n", "k")
    assert derivative.is_mixed
    assert derivative.axes == (
        "y axis 0", "X axis 1 (differentiation 1)", "X axis 0 (differentiation 1)", "x axis 0 (differentiation 2)"
    )  # fmt: skip
    assert derivative.in_layout("denominator").shape == ("k", "n", "k", "m")
    assert derivative.header == "d2y/(dX dx)   numerator layout, shape (m, k, n, k)"
    assert derivative.entries == "d2y[i]/(dX[a,b] dx[c]) = A[i,a]*delta(b,c)"


def test_its_transpose_is_the_other_order() -> None:
    text = "sum(tanh(A @ x) * (B @ y))"
    here, there = derive(text, order=("x", "y")), derive(text, order=("y", "x"))
    assert str(here) == str(there.in_layout("denominator"))
    assert name_mixed("f", ["x", "x", "y"]) == "d3f/(dx2 dy)"


def test_a_wrong_mixed_derivative_differs() -> None:
    """The judge is not satisfied by the transpose, nor by a factor, nor by the other variable's derivative."""
    for claim, verdict in [("A", "agrees"), ("2*A", "differs"), ("A.T", "differs"), ("A + x @ y.T", "differs")]:
        problem = parse(["x.T @ A @ y", claim], shapes={"A": ("n", "p")})
        by = [problem.symbols[name] for name in ("x", "y")]
        report = judge_question(ask(*problem.expressions, by, "numerator"), trials=2)
        assert report.verdict == verdict, (claim, report.message)


def test_equal_names_are_the_derivative_of_that_order() -> None:
    derivative = derive("x.T @ A @ x", order=("x", "x"))
    assert not derivative.is_mixed
    assert (str(derivative), derivative.header) == (str(derive("x.T @ A @ x", order=2)), derivative.header)
    assert derivative.to_dict() == derive("x.T @ A @ x", order=2).to_dict()


def test_the_command_line_of_its_check_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    command = derive("x.T @ A @ y", order=("x", "y")).check(1).command
    assert "--order x,y" in command
    assert "--wrt" not in command
    assert main(shlex.split(command)[1:]) == 0
    assert "d2f/(dx dy)" in capsys.readouterr().out


def test_a_mixed_derivative_is_text_of_the_language() -> None:
    derivative = derive("x.T @ A @ (y * y)", order=("y", "x"))
    assert str(derive(derivative, "A").in_layout("torch").function) == str(derivative.expression)
    assert derivative.to_dict()["wrt"] == "y,x"


def test_the_judges_arrangement_is_the_engines() -> None:
    sizes = {"m": 2, "n": 3, "k": 5, "p": 7}
    y, x, w = (tuple(map(Size.of, letters)) for letters in ("m", "nk", "p"))
    tensor = torch.zeros(2, 3, 5, 7)
    for layout in LAYOUTS:
        expected = tuple(size.value(sizes) for size in layout_shape(y, [x, w], layout))
        assert tuple(arrange_axes(tensor, 1, [2, 1], layout).shape) == expected
    assert layout_shape(y, [x, w], "numerator") == ("m", "k", "n", "p")
    assert layout_shape(y, [x, w], "denominator") == ("p", "n", "k", "m")


# --- the block Hessian --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_blocks_agree_with_torch_and_with_the_mixed_derivatives(layout: str) -> None:
    text = "sum(tanh(A @ x) * y) + norm(x)**2"
    blocks = derive(text, ["x", "y"], order=2, layout=layout)
    assert isinstance(blocks, BlockHessian)
    assert list(blocks) == [("x", "x"), ("x", "y"), ("y", "x"), ("y", "y")]
    assert {report.verdict for report in blocks.check(trials=1).values()} == {"agrees"}
    for key, block in blocks.items():
        alone = derive(text, order=key, layout=layout, shapes=block.declared)
        assert (str(block), block.shape) == (str(alone), alone.shape)


def test_blocks_by_matrices_agree_with_torch() -> None:
    blocks = derive("norm(W @ x + b)**2", "all", order=2)
    assert len(blocks) == 9
    assert {report.verdict for report in blocks.check(trials=1).values()} == {"agrees"}
    assert blocks["W", "x"].shape == ("k", "n", "k")


def test_blocks_print_as_a_table_with_their_shapes() -> None:
    blocks = derive("x.T @ A @ y + norm(x)**2", ["x", "y"], order=2, shapes={"A": ("n", "p")})
    assert str(blocks).splitlines() == [
        "block Hessian, numerator layout; row: first by, column: then by",
        "      x                  y",
        "  x   2*eye(n)  (n, n)   A  (n, p)",
        "  y   A.T  (p, n)        zeros(p, p)  (p, p)",
    ]


def test_wide_blocks_stand_below_a_table_of_shapes() -> None:
    text = str(derive("norm(W @ x + b)**2", "all", order=2))
    assert "(k, n, k, n)" in text.splitlines()[2]
    assert "d2f/(dW dx)   numerator layout, shape (k, n, k)" in text
    assert max(map(len, text.splitlines()[:5])) <= 110


def test_one_matrix_of_a_scalar_function() -> None:
    text = "sum(tanh(A @ x) * y) + alpha**2 * norm(x)**2"
    rng = np.random.default_rng(1)
    values = {"A": rng.normal(size=(3, 2)), "x": rng.normal(size=2), "y": rng.normal(size=3), "alpha": 0.7}
    blocks = derive(text, ["x", "alpha", "y"], order=2)
    matrix = blocks.matrix(values)

    def function(flat: torch.Tensor) -> torch.Tensor:
        x, alpha, y = flat[:2], flat[2], flat[3:]
        return (torch.tanh(torch.tensor(values["A"]) @ x) * y).sum() + alpha**2 * (x @ x)

    flat = torch.tensor(np.concatenate([values["x"], [0.7], values["y"]]))
    truth = torch.autograd.functional.hessian(function, flat).numpy()
    assert isinstance(matrix, np.ndarray)
    assert matrix.shape == (6, 6)
    np.testing.assert_allclose(matrix, truth, atol=1e-12)
    for layout in LAYOUTS:
        np.testing.assert_allclose(blocks.in_layout(layout).matrix(values), truth, atol=1e-12)
    assert isinstance(blocks.matrix({name: torch.as_tensor(value) for name, value in values.items()}), torch.Tensor)


def test_one_matrix_is_refused_where_there_is_none() -> None:
    with pytest.raises(EvaluationError, match="scalar function"):
        derive("x * y", ["x", "y"], order=2).matrix({"x": [1.0], "y": [2.0]})
    with pytest.raises(EvaluationError, match="X is a matrix"):
        derive("y.T @ X @ y", ["X", "y"], order=2).matrix({})


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"wrt": ["x", "x"]}, "x is named twice"),
        ({"wrt": []}, "no variable is named"),
        ({"wrt": ["x", "q"]}, "the expression has no variable q; the variables are A, x, y"),
        ({"wrt": ["q", "x"]}, "the expression has no variable q; the variables are A, x, y"),
        ({"wrt": ["x", 3]}, "is a name, not 3"),
        ({"wrt": "x,,y"}, "is empty"),
        ({"wrt": "all", "order": 3}, "first and second derivatives here, not those of order 3"),
        ({"wrt": "x", "order": ("x", "y")}, "the order x, y names the variables already"),
        ({"order": ()}, "names from 1 to 6 variables, not 0"),
        ({"order": ("x",) * 7}, "names from 1 to 6 variables, not 7"),
        ({"order": ("x", "q")}, "the expression has no variable q"),
        ({"order": "x,A@y"}, "is a name, not A@y"),
        ({"order": "twice"}, "the order is a whole number from 1 to 6"),
    ],
)
def test_errors_are_plain_sentences(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason):
        derive("A @ x * y", **options)


def test_too_many_axes_are_refused() -> None:
    with pytest.raises(LimitError, match="more than 12"):
        derive("X @ Y", order=("X", "Y", "X", "Y", "X", "X"))


def test_no_variable_at_all() -> None:
    with pytest.raises(DeclarationError, match="there is no variable"):
        derive("2 + 3", "all")


def test_steps_of_a_mixed_derivative_are_refused() -> None:
    with pytest.raises(DeclarationError, match="by one variable"):
        _ = derive("x.T @ A @ y", order=("x", "y")).steps


# --- the command --------------------------------------------------------------------------------------


def test_the_command_answers_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "norm(W@x + b)**2", "--wrt", "W,b"]) == 0
    out = capsys.readouterr().out
    assert out.count("f = norm(W @ x + b)**2") == 1
    assert out.count("check   exactly equal in SymPy at n, k = 2, 3 and 3, 2; agrees") == 2
    assert out.index("df/dW") < out.index("df/db")


def test_the_command_shows_the_block_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "x.T@A@y", "--wrt", "x,y", "--order", "2", "--no-check"]) == 0
    out = capsys.readouterr().out
    assert "block Hessian, numerator layout" in out
    assert "d2f/(dx dy)" in out


def test_the_json_is_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "A@x", "--wrt", "all", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["version"] == 1
    assert [one["derivative"]["wrt"] for one in answer["derivatives"]] == ["A", "x"]
    assert [one["check"]["verdict"] for one in answer["derivatives"]] == ["agrees", "agrees"]


def test_latex_has_a_comment_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "A@x", "--wrt", "all", "--latex", "--no-check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("% dy/dA")
    assert lines[2].startswith("% dy/dx")


def test_the_worst_verdict_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """One that cannot be checked, since no point is allowed, is not hidden by those that agree."""
    assert main(["derive", "sqrt(-norm(x)**2 - 1) * y", "--wrt", "x,y"]) == 3
    assert "could not check" in capsys.readouterr().out


def test_errors_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "A@x", "--wrt", "x,x", "--json"]) == 2
    answer = capsys.readouterr()
    assert json.loads(answer.out)["error"]["kind"] == "DeclarationError"
    assert "x is named twice" in answer.err


def test_deriving_by_several_needs_no_torch() -> None:
    code = "import sys, matcalc; matcalc.derive('A @ x', 'all', order=2).report(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
