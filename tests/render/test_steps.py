"""The derivation: every line is an identity at a random point, and is written as a person would write it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import groupby

import pytest
import torch
from torch import Tensor

import matcalc
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.engine.differentials import D_OPERATOR, differential_of, expand_differential, list_differentials
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.rewrite import replace as put_in
from matcalc.render.steps import (
    Step,
    list_rules,
    list_steps,
    tell_shape,
    unfold_shape,
    write_differential_latex,
    write_left,
    write_right,
    write_steps,
    write_steps_latex,
    write_steps_markdown,
)
from matcalc.rule_files import RuleBook, shipped_rules
from tests.read_cases import Case, derive_case, error_of, find_point, read_cases, true_derivative
from tests.render import typesetting
from tests.render.evaluate_lines import evaluate_lines
from tests.sampling import sample
from tests.write_shapes import COMBINATIONS, PAGE, write_page

CASES = read_cases()
FIRST = [case for case in CASES if case.order == 1]
TOLERANCE = 1e-9
LONGEST_TYPESET = 250


def draw_direction(case: Case, seed: int) -> Tensor:
    shape = find_point(case, seed).values[case.wrt].shape
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def evaluate_at(case: Case, moving: Expression, lines: list[Expression], seed: int = 0) -> list[Tensor]:
    point, direction = find_point(case, seed), (moving.name, draw_direction(case, seed))
    wrt = derive_case(case).wrt
    return evaluate_lines(lines, D_OPERATOR, wrt, direction, point.values, point.sizes, point.functions)


def measure_errors(case: Case, steps: list[Step]) -> list[float]:
    """How far each line of one differentiation is from the change of its function along dX."""
    function, moving = steps[0].function, steps[0].moving
    assert function is not None
    assert moving is not None
    lines = [step.expression for step in steps if step.kind != "read" and step.expression is not None]
    seed = choose_seed(case, function, moving)
    truth, *values = evaluate_at(case, moving, [differential_of(function), *lines], seed)
    read = [step.expression for step in steps if step.kind == "read"]
    values += [multiply_by_direction(case, line, seed) for line in read if line is not None]
    assert len(values) == len(steps)
    return [error_of(value, truth.squeeze()) for value in values]


@cache
def find_steps(case: Case) -> tuple[Step, ...]:
    return list_steps(derive_case(case))


def group_lines(case: Case) -> list[list[Step]]:
    """The lines of each differentiation."""
    lines = [step for step in find_steps(case) if step.moving is not None]
    return [list(group) for _, group in groupby(lines, key=lambda step: step.function)]


def choose_seed(case: Case, function: Expression, moving: Expression) -> int:
    """The first point where the change is not next to nothing: layer_norm of two numbers hardly changes."""
    for seed in range(3):
        (truth,) = evaluate_at(case, moving, [differential_of(function)], seed)
        if truth.abs().max() > 1e-2:
            return seed
    return 0


def multiply_by_direction(case: Case, derivative: Expression, seed: int) -> Tensor:
    """A derivative in numerator layout times dX."""
    point, moved = find_point(case, seed), draw_direction(case, seed).squeeze()
    value = evaluate(derivative, point.values, point.sizes, point.functions)
    value = squeeze(derivative, value, point.sizes)
    return torch.tensordot(value, moved.permute(list(range(moved.ndim))[::-1]), moved.ndim)


@pytest.mark.parametrize("case", sample("lines", CASES, 0.2), ids=lambda case: case.id)
def test_every_line_is_an_identity(case: Case) -> None:
    groups = group_lines(case)
    assert len(groups) == case.order
    for steps in groups:
        assert {step.kind for step in steps} >= {"start", "rule", "read"}
        for step, error in zip(steps, measure_errors(case, steps), strict=True):
            assert error < TOLERANCE, step.line


def test_it_ends_in_the_answer() -> None:
    for case in sample("ends", CASES):
        last = find_steps(case)[-1]
        assert (last.kind, last.right) == ("layout", str(derive_case(case)))
        assert last.shapes == tell_shape(derive_case(case).shape)


@pytest.mark.parametrize("layout", ["numerator", "denominator", "mixed", "torch", "vec"])
def test_it_ends_in_the_layout_that_was_asked_for(layout: str) -> None:
    derivative = matcalc.derive("A @ X @ B", "X", layout=layout)
    assert list_steps(derivative)[-1].right == str(derivative)


@pytest.mark.parametrize("case", [case for case in CASES if case.order > 1], ids=lambda case: case.id)
def test_what_is_differentiated_again_is_the_derivative_before(case: Case) -> None:
    first = replace(case, order=1)
    again = [step for step in find_steps(case) if step.kind == "again"]
    assert len(again) == case.order - 1
    point, expression = find_point(case, 0), again[0].expression
    assert expression is not None
    value = evaluate(expression, point.values, point.sizes, point.functions)
    find_same_point(case, first)
    assert error_of(squeeze(expression, value, point.sizes), true_derivative(first, "torch", 0)) < TOLERANCE


def find_same_point(case: Case, first: Case) -> None:
    """The point of the case itself will do for the derivative before, if it is the same one."""
    same, other = find_point(case, 0), find_point(first, 0)
    if any(not torch.equal(same.values[name], other.values[name]) for name in same.values):
        pytest.skip("the derivative before is tried at another point")


# --- a line that is wrong is noticed --------------------------------------------------------------------------


TEXTBOOK = [case for case in FIRST if case.topic == "textbook"]


@pytest.mark.parametrize("case", sample("wrong lines", TEXTBOOK, 0.2), ids=lambda case: case.id)
def test_a_line_that_is_no_identity_is_noticed(case: Case) -> None:
    (steps,) = group_lines(case)
    wrong = [replace(step, expression=ex.multiply(ex.number(2), step.expression)) for step in steps]
    if str(derive_case(case)).startswith(("0", "zeros")):
        pytest.skip("twice zero is zero")
    assert min(measure_errors(case, wrong)) > 0.1


@pytest.mark.parametrize("name", ["inv", "logdet", "det", "softmax", "var", "logsumexp", "sigmoid", "tanh"])
def test_a_rule_with_the_wrong_sign_is_noticed(name: str) -> None:
    wrong = RuleBook([spoil(rule) if rule.name == name else rule for rule in shipped_rules()])
    case = next(case for case in FIRST if f"{name}(" in case.expr and not case.expr.count("(") > 1)
    derivative = derive_case(case)
    function = matcalc.language.text_to_expression.parse(
        case.expr, shapes=derivative.declared, assume=case.domain, rules=wrong
    ).expressions[0]
    moving = derivative.result.moving
    lines = [line.expression for line in expand_differential(function, derivative.wrt, moving, wrong)]
    first, *_, last = evaluate_at(case, moving, lines)
    assert error_of(last, first.squeeze()) > 0.1


def spoil(rule):  # type: ignore[no-untyped-def]
    if rule.elementwise:
        return replace(rule, elementwise=tuple(f"-({text})" for text in rule.elementwise))
    return replace(rule, differential=f"-({rule.differential})")


# --- as a person writes it ------------------------------------------------------------------------------------

WRITTEN = [
    ("x.T @ A @ x", "x", ["d(x.T @ A @ x)", "dx.T @ A @ x + x.T @ A @ dx", "x.T @ (A + A.T) @ dx"]),
    ("A @ X @ B", "X", ["d(A @ X @ B)", "A @ dX @ B"]),
    ("inv(X)", "X", ["d(inv(X))", "-inv(X) @ dX @ inv(X)"]),
    ("logdet(X.T @ X)", "X", [
        "d(logdet(X.T @ X))", "trace(inv(X.T @ X) @ d(X.T @ X))",
        "trace(inv(X.T @ X) @ (dX.T @ X + X.T @ dX))", "2*trace(inv(X.T @ X) @ X.T @ dX)",
    ]),
    ("sum(exp(A @ x + b))", "x", [
        "d(sum(exp(A @ x + b)))", "sum(d(exp(A @ x + b)))", "sum(exp(A @ x + b)*d(A @ x + b))",
        "sum(exp(A @ x + b)*(A @ dx))", "exp(A @ x + b).T @ A @ dx",
    ]),
    ("softmax(X, axis=1)", "X", [
        "d(softmax(X, axis=1))",
        "softmax(X, axis=1)*(dX - sum(softmax(X, axis=1)*dX, axis=1, keepdims=True))",
        "softmax(X, axis=1)*dX - diag(sum(softmax(X, axis=1)*dX, axis=1)) @ softmax(X, axis=1)",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "lines"), WRITTEN, ids=[text for text, _, _ in WRITTEN])
def test_it_is_written_as_by_hand(text: str, wrt: str, lines: list[str]) -> None:
    steps = list_steps(matcalc.derive(text, wrt))
    assert [step.right for step in steps if step.kind in ("start", "rule", "collect")] == lines


LAWS = [
    ("inv(A @ X)", ("d inv(U) = -inv(U) @ dU @ inv(U)", "Matrix Cookbook (40)")),
    ("logdet(X)", ("d logdet(U) = trace(inv(U) @ dU)", "Matrix Cookbook (43)")),
    ("trace(A @ X)", ("d trace(U) = trace(dU)", "Matrix Cookbook (36)")),
    ("X @ X", ("d(U @ V) = dU @ V + U @ dV", "Matrix Cookbook (37)")),
    ("kron(X, X)", ("d kron(U, V) = kron(dU, V) + kron(U, dV)", "Matrix Cookbook (39)")),
    ("norm(A @ X)", ("d norm(U) = trace(U.T @ dU)/norm(U)", "Matrix Cookbook, sections 10.3.1 and 10.4.3")),
    ("sum(X**3)", ("d(U**3) = 3*U**2*dU", "power rule")),
]


@pytest.mark.parametrize(("text", "law"), LAWS, ids=[text for text, _ in LAWS])
def test_each_rule_is_named_with_its_source(text: str, law: tuple[str, str]) -> None:
    assert law in list_rules(list_steps(matcalc.derive(text, "X")))


def test_a_network_takes_two_lines_for_each_layer() -> None:
    text = "A0 @ x"
    for layer in range(1, 8):
        text = f"A{layer} @ tanh({text})"
    lines = [step for step in list_steps(matcalc.derive(f"sum({text})", "x")) if step.kind == "rule"]
    assert len(lines) <= 2 * 8


def test_parts_of_long_lines_have_names() -> None:
    steps = list_steps(matcalc.derive("exp(B @ tanh(A @ x + b))/norm(exp(B @ tanh(A @ x + b)))", "x"))
    names = {step.left: step.right for step in steps if step.kind == "name"}
    assert names == {"h": "tanh(A @ x + b)", "u": "exp(B @ h)"}
    assert steps[3].right == "d(u)/norm(u) - u*d(norm(u))/norm(u)**2"
    assert max(len(step.right) for step in steps[:-1]) < 110


def test_a_named_line_is_the_line() -> None:
    for case in FIRST:
        check_names(find_steps(case))


def check_names(steps: tuple[Step, ...]) -> None:
    parts: dict[Expression, Expression] = {}
    for step in steps:
        if step.kind == "name" and step.expression is not None:
            part = put_in(step.expression, parts)
            parts[ex.symbol(step.left, part.shape)] = part
        elif step.shown is not None:
            assert put_in(step.shown, parts) is step.expression


def test_the_shape_unfolds_axis_by_axis() -> None:
    steps = list_steps(matcalc.derive("A @ X @ B", "X"))
    axes = [(step.left, step.right) for step in steps if step.kind == "axis"]
    assert axes == [
        ("Y's first axis, m", "(m,)"), ("Y's second axis, l", "(m, l)"),
        ("X's second axis, k", "(m, l, k)"), ("X's first axis, n", "(m, l, k, n)"),
    ]  # fmt: skip


@pytest.mark.parametrize("layout", ["numerator", "denominator", "torch", "vec"])
def test_the_unfolded_shape_is_that_of_the_answer(layout: str) -> None:
    for case in sample("shapes", FIRST, 0.3):
        derivative = derive_case(case, layout)
        axes = list(unfold_shape(derivative))
        assert len(axes) == (len(derivative.shape) if len(derivative.result.axes) > 2 and layout != "vec" else 0)
        if axes:
            assert axes[-1][1] == "(" + ", ".join(map(str, derivative.shape)) + ")"


MEMORY = [
    ("sum(x)", "x", "numerator", "read f as a row of one, x as a column: rows as f above, (1, n)"),
    ("sum(x)", "x", "denominator", "read f as a row of one, x as a column: rows as x below, (n, 1)"),
    ("sum(x)", "x", "mixed", "read f as a row of one, x as a column: rows as x below, (n, 1)"),
    ("alpha*b", "alpha", "numerator", "read alpha as a row of one, y as a column: rows as y above, (m, 1)"),
    ("alpha*b", "alpha", "denominator", "read alpha as a row of one, y as a column: rows as alpha below, (1, m)"),
]


@pytest.mark.parametrize(("text", "wrt", "layout", "rule"), MEMORY)
def test_the_memory_rules_are_told(text: str, wrt: str, layout: str, rule: str) -> None:
    assert list_steps(matcalc.derive(text, wrt, layout=layout))[-1].rule == f"{layout} layout: {rule}"


# --- text, Markdown, LaTeX ------------------------------------------------------------------------------------


def test_text_has_the_rule_beside_the_line() -> None:
    lines = write_steps(list_steps(matcalc.derive("A @ X @ B", "X"))).splitlines()
    assert lines[1] == "   = A @ dX @ B                        d(C @ U @ K) = C @ dU @ K  [Matrix Cookbook (37)]"
    assert lines[2].strip() == "(m, n) @ (n, k) @ (k, l), shape (m, l)"


@pytest.mark.parametrize("case", sample("typeset steps", CASES), ids=lambda case: case.id)
def test_every_step_can_be_typeset(case: Case) -> None:
    steps = find_steps(case)
    # Of each case the line in which most stands: the functions and the answer are typeset where answers are tested.
    longest = max((step for step in steps if step.kind == "rule"), key=lambda step: len(step.right))
    for step in steps:
        typeset(write_left(step) if step.expression is not None else "")
        if step is longest or step.kind == "name":
            typeset(write_right(step))
        for law in step.laws:
            typeset(f"{write_differential_latex(law.left)} = {write_differential_latex(law.right)}")


@cache
def typeset(latex: str) -> None:
    """Typeset what is not so long that the typesetter takes seconds."""
    assert D_OPERATOR not in latex
    assert latex.count("{") - latex.count("\\{") == latex.count("}") - latex.count("\\}")
    if 0 < len(latex) < LONGEST_TYPESET:
        typesetting.typeset(latex)


def test_latex_is_one_aligned_block() -> None:
    latex = write_steps_latex(list_steps(matcalc.derive("inv(X)", layout="denominator")))
    assert latex.startswith("\\begin{align*}\n\\mathrm{d} Y &= \\mathrm{d}(X^{-1}) \\\\\n")
    assert r"&= -X^{-1} \, \mathrm{d} X \, X^{-1} && \mathrm{d}(U^{-1}) = -U^{-1} \, \mathrm{d} U \, U^{-1}" in latex
    assert latex.endswith("\\end{align*}")
    assert latex.count("{") == latex.count("}")


def test_markdown_is_a_table() -> None:
    rows = write_steps_markdown(list_steps(matcalc.derive("inv(X)"))).splitlines()
    assert rows[0] == "| line | rule | shapes |"
    assert all(row.replace("\\|", "").count("|") == 4 for row in rows)
    assert "| `dY = -inv(X) @ dX @ inv(X)` | `d inv(U) = -inv(U) @ dU @ inv(U)` (Matrix Cookbook (40)) |" in rows[3]


def test_marks_are_gone_at_the_end() -> None:
    for case in FIRST:
        lines = [step for step in find_steps(case) if step.kind in ("rule", "collect")]
        assert lines[-1].expression is not None
        assert not list_differentials(lines[-1].expression)


# --- the page of the nine shapes --------------------------------------------------------------------------------


def test_the_page_of_shapes_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(), "write it again: python -m tests.write_shapes"


def test_the_nine_shapes_are_those_of_the_layout() -> None:
    shapes = [matcalc.derive(text, wrt).shape for _, _, text, wrt in COMBINATIONS]
    assert [len(shape) for shape in shapes] == [0, 1, 2, 1, 2, 3, 2, 3, 4]
    assert shapes[-1] == ("m", "l", "k", "n")
    kinds = {(of, by) for of, by, _, _ in COMBINATIONS}
    assert len(kinds) == 9
