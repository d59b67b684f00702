"""The computation graph: its nodes, local derivatives and costs, and its pictures."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import matcalc
from matcalc.errors import DeclarationError, MissingRuleError
from matcalc.language.sizes import Size
from matcalc.render.graph import ComputationGraph, write_graph
from matcalc.render.graph_costs import Peak, Polynomial
from matcalc.rule_files import shipped_rules
from tests.render.mermaid_grammar import check_mermaid
from tests.requirements import needs

NETWORK = {"W": ("k", "m"), "V": ("m", "n"), "x": ("n",)}


def build(expr, wrt=None, sizes=None, **options) -> ComputationGraph:
    return write_graph(matcalc.derive(expr, wrt, **options), shipped_rules(), sizes)


def list_local(graph: ComputationGraph) -> dict[str, str]:
    return {edge.name: edge.text for edge in graph.edges}


# --- nodes and edges ------------------------------------------------------------------------------


def test_nodes_stand_operands_first_and_the_result_last():
    graph = build("norm(A @ x - b)**2", "x")
    assert [(node.name, node.text, node.operator) for node in graph.nodes] == [
        ("x", "x", "input"), ("A", "A", "input"), ("b", "b", "input"), ("v1", "A @ x", "@"), ("v2", "v1 - b", "-"),
        ("v3", "norm(v2)", "norm"), ("f", "v3**2", "**"),
    ]  # fmt: skip
    assert graph.result.formula == "norm(A @ x - b)**2"
    assert graph.nodes[3].shape == ("p",)


def test_what_is_used_twice_is_one_node():
    graph = build("tanh(A @ x)*exp(tanh(A @ x))", "x")
    assert [node.text for node in graph.nodes if not node.is_input] == ["A @ x", "tanh(v1)", "exp(v2)", "v2*v3"]
    assert list_local(graph)["∂y/∂v2"] == "diag(v3)"


def test_constants_are_part_of_the_operation():
    assert [node.text for node in build("2*pi*x + ones(n)", shapes={"x": ("n",)}).nodes] == [
        "x", "2*pi*x", "v1 + ones(n)",
    ]  # fmt: skip


def test_local_derivatives_are_in_numerator_layout_and_in_the_names_of_nodes():
    graph = build("W @ tanh(V @ x)", "x", shapes=NETWORK, layout="denominator")
    assert [(edge.name, edge.text, edge.shape) for edge in graph.edges] == [
        ("∂v1/∂x", "V", ("m", "n")), ("∂v2/∂v1", "diag(1 - v2**2)", ("m", "m")), ("∂y/∂v2", "W", ("k", "m")),
    ]  # fmt: skip


def test_an_operand_that_stands_twice_has_one_edge():
    graph = build("x*x")
    assert [(edge.text, str(edge.multiplications)) for edge in graph.edges] == [("2*diag(x)", "2*n")]


def test_only_what_varies_has_a_local_derivative():
    graph = build("where(A @ x > 0, x.T @ x * y, y)", "x", shapes={"y": ("m",)})
    assert {node.name for node in graph.nodes if node.varies} == {"x", "v3", "v4", "v5", graph.result.name}
    assert "v1" not in {edge.target for edge in graph.edges}


def test_names_that_are_taken_are_not_given_again():
    graph = build("exp(v1 @ A.T @ x) + f", "x", shapes={"v1": ("1", "n"), "f": (), "A": ("n", "n")})
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)
    assert not {"v2", "v3"} & set(names)


def test_a_function_without_a_rule_is_named():
    derivative = matcalc.derive("norm(polar(A) @ x)", "x")
    assert write_graph(derivative, shipped_rules()).result.name == "f"
    with pytest.raises(MissingRuleError):
        build("polar(X)", "X")


# --- costs ----------------------------------------------------------------------------------------

COSTS = [
    ("A @ x", "x", "m*n"),
    ("A @ X", "X", "k*m*n"),
    ("X @ X", "X", "2*n**3"),
    ("A + X.T", "X", "0"),
    ("sum(X)", "X", "0"),
    ("trace(X)", "X", "0"),
    ("cumsum(x)", "x", "0"),
    ("mean(x)", "x", "1"),
    ("exp(X)", "X", "k*n"),
    ("A**2/X", "X", "k*n"),
    ("softmax(x)", "x", "2*n"),
    ("softmax(X, axis=0)", "X", "2*k*n"),
    ("log_softmax(X, axis=1)", "X", "k*n"),
    ("norm(x)", "x", "n"),
    ("inv(X)", "X", "2*n**3"),
    ("logdet(X)", "X", "n**2"),
    ("matrix_power(X, 3)", "X", "4*n**3"),
    ("matrix_power(X, -1)", "X", "2*n**3"),
    ("matrix_power(X, 1)", "X", "0"),
    ("diag(x)", "x", "0"),
    ("u(x)", "x", "m*n"),
    ("einsum('ij,jk,kl->il', A, X, B)", "X", "2*k*l*m*n"),
]


@pytest.mark.parametrize(("expr", "wrt", "cost"), COSTS, ids=[expr for expr, _, _ in COSTS])
def test_cost_of_one_direction(expr, wrt, cost):
    graph = build(expr, wrt)
    (edge,) = [edge for edge in graph.edges if edge.target == graph.result.name]
    assert str(edge.multiplications) == cost


def test_the_constants_that_fuse_axes_cost_nothing():
    graph = build("kron(A, X)", "X", shapes={"A": ("m", "n"), "X": ("k", "l")})
    assert str(graph.edges[0].multiplications) == "k*l*m*n"


def test_a_scalar_loss_is_cheaper_in_reverse():
    graph = build("norm(W @ tanh(V @ x))**2", "x", {"k": 10, "m": 100, "n": 1000}, shapes=NETWORK)
    assert str(graph.reverse.multiplications) == "k*m + m*n + k + m + 1"
    assert str(graph.forward.multiplications) == "k*m*n + m*n**2 + k*n + m*n + n"
    assert graph.reverse.count(graph.sizes)["multiplications"] == 101_111
    assert graph.forward.count(graph.sizes)["multiplications"] == 101_111_000
    assert "Reverse mode never takes more: it carries 1 direction, forward n, here 1,000 times as many." in str(graph)


def test_many_results_of_one_number_are_cheaper_forward():
    graph = build("exp(c*x)", "c", shapes={"c": (), "x": ("n",)})
    assert "Forward mode never takes more: it carries 1 direction, reverse n." in str(graph)


def test_where_it_depends_the_sizes_decide():
    assert "depends on the sizes: forward carries n directions, reverse m." in str(build("A @ x"))
    assert "forward carries n directions, reverse m: 3 and 2." in str(build("A @ x", sizes={"m": 2, "n": 3}))


def test_reverse_keeps_what_local_derivatives_take():
    graph = build("sum(tanh(V @ x)*exp(b))", "x")
    assert graph.reverse.kept == ("v2", "v3")
    assert graph.forward.kept == ()
    linear = build("sum(V @ x)", "x")
    assert linear.reverse.kept == ()


def test_a_transpose_is_not_kept_beside_its_operand():
    graph = build("x.T @ A @ x", "x")
    assert graph.reverse.kept == ("v2",)
    assert list_local(graph)["∂f/∂v2"] == "x.T"


def test_order_of_visits():
    graph = build("W @ tanh(V @ x)", "x", shapes=NETWORK)
    assert graph.forward.order == ("x", "v1", "v2", "y")
    assert graph.reverse.order == ("y", "v2", "v1", "x")
    assert graph.forward.visits[1].product == "dv1/dx = ∂v1/∂x · dx/dx"
    assert graph.reverse.visits[1].product == "dy/dv1 += dy/dv2 · ∂v2/∂v1"


def test_memory_of_a_chain_grows_in_reverse_alone():
    def measure(depth: int) -> tuple[int, int]:
        expr = "x"
        for _ in range(depth):
            expr = f"tanh(A @ {expr})"
        graph = build(f"sum({expr})", "A", {"n": 10}, shapes={"A": ("n", "n"), "x": ("n",)})
        forward, reverse = (mode.count({"n": 10}) for mode in (graph.forward, graph.reverse))
        return reverse["kept_memory"], forward["memory"]

    (kept_4, memory_4), (kept_8, memory_8) = measure(4), measure(8)
    assert (kept_4, kept_8) == (40, 80)
    assert memory_4 == memory_8


def test_an_independent_result_costs_nothing():
    graph = build("A @ y", "x", shapes={"x": ("n",)})
    assert (graph.edges, graph.forward.visits, graph.reverse.visits) == ((), (), ())
    assert "does not depend on the variable" in str(graph)


def test_sizes_must_fit():
    with pytest.raises(DeclarationError, match="the size m has no number"):
        build("A @ x", sizes={"n": 3})
    with pytest.raises(DeclarationError, match="there is no size q"):
        build("A @ x", sizes={"m": 2, "n": 3, "q": 1})
    with pytest.raises(DeclarationError, match="whole number from 1 on"):
        build("A @ x", sizes={"m": 2, "n": 0})


# --- polynomials ----------------------------------------------------------------------------------


def test_polynomials():
    m, n = (Polynomial.of(Size.of(letter)) for letter in "mn")
    assert str(m * n + 2 * m + n * m + Polynomial.of(3)) == "2*m*n + 2*m + 3"
    assert (m * m + n).value({"m": 4, "n": 5}) == 21
    assert m * n == n * m
    assert hash(m + n) == hash(n + m)
    assert m.is_at_most(m * n)
    assert not m.is_at_most(n)
    assert not (2 * m).is_at_most(m * n)
    assert str(Polynomial()) == "0"
    with pytest.raises(DeclarationError):
        m.value({})


def test_the_peak_leaves_out_what_is_never_largest():
    m, n = (Polynomial.of(Size.of(letter)) for letter in "mn")
    peak = Peak.of([m, m * n, n, n * n])
    assert str(peak) == "max(m*n, n**2)"
    assert peak.value({"m": 2, "n": 3}) == 9


# --- pictures -------------------------------------------------------------------------------------


@needs("pydot")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dot_is_read_by_pydot():
    import pydot

    (read,) = pydot.graph_from_dot_data(build("einsum('ij,jk->ik', A, X) @ B", "X").to_dot())
    assert len(read.get_nodes()) - 2 == 5  # the two that say how nodes and edges look
    assert sum(edge.get_style() == "dashed" for edge in read.get_edges()) == 2


def test_mermaid_shields_marks():
    text = build("where(x > 0, x, x**2)").to_mermaid()
    check_mermaid(text)
    assert "v1 #62; 0" in text or "x #62; 0" in text
    with pytest.raises(AssertionError):
        check_mermaid('flowchart BT\n  n0["a"b"]\n')


def list_texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]


def test_the_drawing_says_what_the_graph_says():
    graph = build("norm(A @ x - b)**2", "x")
    assert list_texts(graph.to_svg())[:4] == ["x", "(n,)", "A", "(p, n)"]
    assert {"v2.T/v3", "v1 = A @ x", "f = v3**2"} < {*list_texts(graph.to_svg())}
    assert graph._repr_mimebundle_()["image/svg+xml"] == graph._repr_svg_() == graph.to_svg()


def test_the_result_stands_above_its_operands_which_stand_from_left_to_right():
    drawing = build("W2 @ tanh(W1 @ x)", "W1").drawing
    boxes = {box.lines[0]: box for box in drawing.boxes if box.kind != "label"}
    heights = [boxes[text].y for text in ("y = W2 @ v2", "v2 = tanh(v1)", "v1 = W1 @ x", "W1")]
    assert heights == sorted(heights)
    assert boxes["W2"].x < boxes["v2 = tanh(v1)"].x
    assert boxes["W1"].x < boxes["x"].x


def test_what_varies_is_drawn_solid_with_its_derivative_on_the_way():
    drawing = build("A @ x", "x").drawing
    assert [(line.dashed, line.arrow) for line in drawing.lines] == [(True, True), (False, True), (False, False)]
    assert [box.kind for box in drawing.boxes] == ["input", "input", "operation", "label"]


def test_a_variable_that_stands_nowhere_is_drawn_beside():
    drawing = build("A @ y", "x", shapes={"x": ("n",)}).drawing
    assert {box.lines[0] for box in drawing.boxes} == {"x", "A", "y", "z = A @ y"}


def test_png_shows_the_same_picture():
    graph = build("norm(A @ x - b)**2", "x")
    picture = Image.open(io.BytesIO(graph.to_png()))
    assert picture.size == pytest.approx((2 * graph.drawing.width, 2 * graph.drawing.height), abs=2)
    dark = np.asarray(picture.convert("L")) < 128
    for box in graph.drawing.boxes:
        rows = slice(int(2 * (box.y - box.height / 2)) - 2, int(2 * (box.y + box.height / 2)) + 3)
        columns = slice(int(2 * (box.x - box.width / 2)) - 2, int(2 * (box.x + box.width / 2)) + 3)
        assert dark[rows, columns].any(), box.lines
        dark[rows, columns] = False
    assert dark.any(), "the lines between the boxes"


def test_a_drawing_is_the_same_in_every_process():
    code = "import matcalc; print(matcalc.derive('-sum(y*log(softmax(W @ relu(V @ x))))', 'V').graph().to_svg())"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(drawn) == 1


def test_texts_that_a_page_would_read_as_marks_are_shielded():
    graph = build("where(x > 0, x, x**2)")
    assert "v1 = x > 0" in list_texts(graph.to_svg())
    assert "<svg" in graph.to_svg()


@pytest.mark.parametrize(("package", "kind"), [("grandalf", "svg"), ("grandalf", "png"), ("matplotlib", "png")])
def test_without_a_package_the_error_names_it(package, kind):
    done = run_without(package, f"graph.to_{kind}()")
    assert done.returncode == 1
    assert f"to draw {'the graph' if package == 'grandalf' else 'PNG'} the package {package} is needed" in done.stderr
    assert f"try: pip install {package}, or take the format" in done.stderr


def test_without_a_drawing_notebooks_show_mermaid():
    bundle = ast.literal_eval(run_without("grandalf", "print(graph._repr_mimebundle_())").stdout)
    assert bundle["text/markdown"] == f"```mermaid\n{bundle['text/vnd.mermaid']}```\n"
    assert "image/svg+xml" not in bundle


def run_without(package: str, call: str) -> subprocess.CompletedProcess[str]:
    """Run a call on a graph in a Python to which a package does not exist."""
    without = f"import sys; sys.modules[{package!r}] = None"
    code = f"{without}\nimport matcalc\ngraph = matcalc.derive('A @ x').graph()\n{call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_table_tells_total_and_local_derivatives_apart():
    graph = build("x.T @ A @ x + abs(norm(x))", "x")
    table = str(graph.table())
    assert r"\frac{\mathrm{d}f}{\mathrm{d}x} = " in table
    for edge in graph.edges:
        source, target = (re.sub(r"v(\d+)", r"v_{\1}", name) for name in (edge.source, edge.target))
        assert rf"| $\frac{{\partial {target}}}{{\partial {source}}}$ |" in table
    for part in table.split("\n\n"):
        assert len({line.count("|") for line in part.splitlines()}) == 1
    assert "**" not in table
    assert table.count("$") % 2 == 0
