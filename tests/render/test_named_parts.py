"""Long results: parts with names, as a person would choose them, in text and in LaTeX; the same when read again."""

from __future__ import annotations

from collections.abc import Collection

import pytest

import matcalc
from matcalc.engine.result import Result, derive_result
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import to_text
from matcalc.language.text_to_expression import Problem, parse
from matcalc.render.latex import list_latex_terms, list_rows, to_latex, to_latex_named
from matcalc.render.named_parts import LONGEST_LINE, is_long, list_taken, name_parts, to_text_named
from matcalc.rule_files import shipped_rules
from tests.language.test_read_text import repeat
from tests.read_cases import Case, derive_case, read_cases
from tests.render.typesetting import typeset
from tests.sampling import sample


def write_network(depth: int, layer: str = "tanh({W} @ {h})") -> str:
    text = "x"
    for k in range(1, depth + 1):
        text = layer.format(W=f"W_{k}", h=text, b=f"b_{k}")
    return f"sum({text})"


def derive(text: str, wrt: str) -> tuple[Problem, Result]:
    problem = parse(text, wrt=wrt)
    assert problem.wrt is not None
    return problem, derive_result(problem.expressions[0], problem.wrt)


def gradient(text: str, wrt: str = "x") -> Expression:
    return derive(text, wrt)[1].expression("denominator")


def named_text(text: str, taken: Collection[str] = ()) -> str:
    named = name_parts(parse(text).expressions[0], taken)
    return "; ".join([*(f"{name} = {to_text(part)}" for name, part in named.definitions), to_text(named.formula)])


# --- which parts, and which names ---------------------------------------------------------------------


def test_what_is_written_often_has_a_name() -> None:
    text = "p = softmax(A @ x); p*y + p*z + p @ p.T @ y"
    assert named_text(text) == text
    assert named_text("r = X @ w - y; alpha*(r.T @ r) + z.T @ r") == "r = X @ w - y; alpha*(r.T @ r) + z.T @ r"


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("softmax(A @ x + b)", "p"), ("sigmoid(A @ x + b)", "s"), ("tanh(A @ x + b)", "h"), ("A @ x + b + c", "u"),
        ("C @ (A @ x) + b", "z"), ("A @ x - exp(b)", "r"), ("exp(A @ x + b)", "u"), ("tanh(A @ X + b)", "H"),
        ("exp(A @ X + b)", "U"), ("norm(A @ x + b)", "alpha"), ("sigmoid(b.T @ x + 1)", "sigma"),
    ],
)  # fmt: skip
def test_the_name_fits_the_part(part: str, name: str) -> None:
    named = name_parts(parse(f"q = {part}; exp(q)*log(q) + sin(q)*cos(q)").expressions[0])
    assert [(name, to_text(part)) for name, part in named.definitions] == [(name, to_text(parse(part).expressions[0]))]
    assert to_text(named.formula) == f"exp({name})*log({name}) + sin({name})*cos({name})"


def test_a_taken_name_is_not_chosen() -> None:
    text = "q = softmax(A @ x); q*y + q*z + q*q + q/y"
    assert named_text(text).startswith("p = ")
    assert named_text(text, {"p"}).startswith("p1 = ")
    assert named_text(text, {"p", "p1"}).startswith("p_1_1 = ")
    assert named_text(text.replace("y", "p")).startswith("p1 = ")
    assert named_text(text.replace("y", "p(x)")).startswith("p1 = ")


def test_short_parts_stay() -> None:
    for text in ("(A @ x).T @ (A @ x)", "exp(x)*log(exp(x))", "norm(x)**2 + norm(x)", "x.T @ inv(A) @ x*inv(A)"):
        assert named_text(text) == to_text(parse(text).expressions[0])


def test_taken_names_are_those_of_the_readers_own_text() -> None:
    problem = parse("U(x) + A @ y", shapes="A: m,q; U: m")
    assert {"A", "x", "y", "U", "m", "q", "tanh", "extra"} <= set(list_taken(problem, shipped_rules(), ["extra"]))


# --- what is printed can be read again ----------------------------------------------------------------


LAYERS = ["tanh({W} @ {h})", "sigmoid({W} @ {h} + {b})", "relu({h} + {W} @ {h})", "exp({h})*{h}"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("depth", [5, 9])
def test_a_long_answer_is_read_again_as_the_same_node(layer: str, depth: int) -> None:
    text = write_network(depth, layer)
    if len(text) > 15_000:
        text = repeat(layer.format(W="W_1", h="?", b="b_1"), depth)
    problem, result = derive(text, "x")
    answer = result.expression("denominator")
    printed = to_text_named(answer, list_taken(problem, shipped_rules()))
    assert "\n" in printed
    assert parse([text, printed], wrt="x").expressions[1] is answer
    assert parse([text, to_text_named(answer, separator="; ")], wrt="x").expressions[1] is answer


LONG = [case for case in read_cases() if case.topic == "regressions" or "layer-norm" in case.id]


@pytest.mark.parametrize("case", sample("long", LONG, 0.4), ids=lambda case: case.id)
def test_cases_are_named_and_read_again(case: Case) -> None:
    derivative = derive_case(case, "denominator")
    printed = to_text_named(derivative.expression, list_taken(derivative.problem, shipped_rules(), derivative.given))
    assert ("\n" in printed) == (len(str(derivative)) > LONGEST_LINE)
    shapes = {**derivative.given, **derivative.declared}
    again = parse([case.expr, printed, str(derivative)], wrt=case.wrt, shapes=shapes, assume=derivative.assumed)
    assert again.expressions[1] is again.expressions[2]


def test_a_short_answer_is_one_line_to_the_letter() -> None:
    for case in read_cases()[::5]:
        expression = derive_case(case, "denominator").expression
        assert is_long(expression) or to_text_named(expression) == to_text(expression)


def test_what_a_textbook_writes_in_one_line_stays_in_one_line() -> None:
    forms = [case for case in read_cases() if case.denominator]
    assert len(forms) > 100
    for case in forms:
        shapes = {name: tuple(map(str, shape)) for name, shape in case.shapes.items()}
        assert not is_long(parse(case.denominator, shapes=shapes).expressions[0])


# --- depth --------------------------------------------------------------------------------------------


def test_the_gradient_of_a_deep_network_reads_as_a_person_writes_it() -> None:
    assert to_text_named(gradient(write_network(4), "W_1")) == "\n".join([
        "h1 = tanh(W_1 @ x)",
        "h2 = tanh(W_2 @ h1)",
        "h3 = tanh(W_3 @ h2)",
        "h4 = tanh(W_4 @ h3)",
        "g1 = (1 - h3**2)*(W_4.T @ (1 - h4**2))",
        "g2 = (1 - h2**2)*(W_3.T @ g1)",
        "g3 = (1 - h1**2)*(W_2.T @ g2)",
        "g3 @ x.T",
    ])  # fmt: skip


@pytest.mark.parametrize("wrt", ["x", "W_1", "W_16", "W_last"])
def test_text_and_work_grow_linearly_with_depth(wrt: str) -> None:
    measured = []
    for depth in (16, 32, 64):
        name = wrt.replace("last", str(depth))
        _, result = derive(write_network(depth), name)
        answer = result.expression("denominator")
        printed = to_text_named(answer)
        assert parse([write_network(depth), printed], wrt=name).expressions[1] is answer
        # Each step of the work makes indices, so their number counts the steps.
        measured.append((len(printed), result.graph.labels - 1000))
    for one, other in zip(*measured[1:], strict=True):
        assert other < 2.6 * one


# --- LaTeX --------------------------------------------------------------------------------------------


def test_a_short_result_is_one_formula_in_latex() -> None:
    node = parse("(A + A.T) @ x").expressions[0]
    assert to_latex_named(node) == to_latex(node)
    assert to_latex_named(node, left="g") == r"g = (A + A^\top) x"


def test_a_long_result_is_an_aligned_block() -> None:
    written = to_latex_named(gradient(write_network(4)), left=r"\nabla f")
    lines = written.split("\n")
    assert (lines[0], lines[-1]) == (r"\begin{aligned}", r"\end{aligned}")
    assert lines[1] == r"h_{1} & = \tanh(W_{1} x) \\"
    assert lines[-2] == r"\nabla f & = W_{1}^\top g_{3}"
    assert all(line.count("&") == 1 for line in lines[1:-1])


def test_long_sums_are_broken_over_lines() -> None:
    node = parse(" - ".join(f"exp(A_{k} @ x)*(B_{k} @ x)" for k in range(20))).expressions[0]
    rows = list_rows(node, left="y")
    assert len(rows) > 4
    assert rows[0][0] == "y"
    assert all(left == "" and right.startswith(r"\quad - ") for left, right in rows[1:])
    joined = " ".join(right.removeprefix("= ").removeprefix(r"\quad ") for _, right in rows)
    assert joined == to_latex(node)


@pytest.mark.parametrize(
    "text", ["A @ x", "x - (y - z) + -x", "-x - y", "A + B - C @ A*2 + (-A)", "alpha + -beta - (x.T @ y)"]
)
def test_the_terms_of_a_sum_joined_are_the_sum(text: str) -> None:
    node = parse(text).expressions[0]
    assert " ".join(latex for _, latex in list_latex_terms(node)) == to_latex(node)


@pytest.mark.parametrize("case", sample("long", LONG, 0.4), ids=lambda case: case.id)
def test_each_part_of_a_long_result_can_be_typeset(case: Case) -> None:
    for left, right in list_rows(derive_case(case, "denominator").expression, left="Y"):
        typeset(f"{left} {right}")


def test_a_name_that_the_reader_defined_stays_in_the_answer() -> None:
    text = "K = X@X.T + s*eye(n); -y.T@inv(K)@y - logdet(K)"
    derivative = matcalc.derive(text, "X", shapes={"s": ()}, layout="denominator")
    assert str(derivative) == "K = X @ X.T + s*eye(n)\n2*inv(K) @ (y @ y.T @ inv(K) @ X - X)"
    assert matcalc.check(text, str(derivative), "X", shapes={"s": ()}, layout="denominator")
    attention = matcalc.derive("P = softmax(Q @ K.T, axis=1); sum(G*(P @ V))", "Q", layout="denominator")
    assert str(attention).splitlines()[1] == "(P*(G @ V.T - sum(P*(G @ V.T), axis=1, keepdims=True))) @ K"
