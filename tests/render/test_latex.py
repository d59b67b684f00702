"""LaTeX: what a paper would print, brackets where they are needed, and always something that can be typeset."""

from __future__ import annotations

import random
import re

import pytest

from matcalc import MatcalcError, derive
from matcalc.language.expression_to_text import POWER, SUM
from matcalc.language.text_to_expression import parse
from matcalc.render.latex import fill_template, find_level, to_latex, write_name
from matcalc.rule_files import read_rule, shipped_rules
from tests.random_problems import write_case
from tests.read_cases import Case, derive_case, read_cases
from tests.render.typesetting import typeset, write_flat
from tests.sampling import sample, spread

RANDOM_EXPRESSIONS = 150

EXPECTED = [
    ("A @ x", r"A x"),
    ("x.T @ A @ x", r"x^\top A x"),
    ("(A + A.T) @ x", r"(A + A^\top) x"),
    ("2*X.T @ (X @ w - y)", r"2 X^\top (X w - y)"),
    ("-X.T @ (y - X @ w)/alpha", r"-\frac{X^\top (y - X w)}{\alpha}"),
    ("(A @ B).T", r"(A B)^\top"),
    ("inv(A).T @ b", r"A^{-\top} b"),
    ("inv(A + B)", r"(A + B)^{-1}"),
    ("inv(inv(A))", r"(A^{-1})^{-1}"),
    ("pinv(A).T", r"(A^{+})^\top"),
    ("expm(A) @ exp(A)", r"e^{A} \exp_\circ(A)"),
    ("log(x)", r"\log(x)"),
    ("log1p(x)", r"\log(1 + x)"),
    ("log1p(x - y)", r"\log(1 + (x - y))"),
    ("log1p(x*y)", r"\log(1 + x \odot y)"),
    ("diag(softmax(x)) - softmax(x) @ softmax(x).T",
     r"\operatorname{diag}(\operatorname{softmax}(x)) - \operatorname{softmax}(x) \operatorname{softmax}(x)^\top"),
    ("kron(B.T, A) @ x", r"(B^\top \otimes A) x"),
    ("x*y*z", r"x \odot y \odot z"),
    ("x*(y*z)", r"x \odot (y \odot z)"),
    ("x*(A @ y)", r"x \odot (A y)"),
    ("(x + y)*z", r"(x + y) \odot z"),
    ("x/y", r"x \oslash y"),
    ("1/x", r"1 \oslash x"),
    ("x/norm(x)", r"\frac{x}{\left\| x \right\|}"),
    ("x**2", r"x^{\circ 2}"),
    ("(-x)**2", r"(-x)^{\circ 2}"),
    ("-x**2", r"-x^{\circ 2}"),
    ("alpha**beta", r"\alpha^{\beta}"),
    ("(alpha**beta)**2", r"(\alpha^{\beta})^{2}"),
    ("alpha**(beta - 1)", r"\alpha^{\beta - 1}"),
    ("alpha*(x.T @ y)", r"\alpha x^\top y"),
    ("(x.T @ y)*z", r"(x^\top y) z"),
    ("dot(x, y)*z", r"(x^\top y) z"),
    ("alpha*beta*x", r"\alpha \beta x"),
    ("x*alpha", r"\alpha x"),
    ("alpha*2", r"2 \alpha"),
    ("2*3*x", r"2 \cdot 3 x"),
    ("alpha - (beta - gamma)", r"\alpha - (\beta - \gamma)"),
    ("alpha - -beta", r"\alpha - (-\beta)"),
    ("alpha + (-beta)", r"\alpha + (-\beta)"),
    ("alpha/(beta/gamma)", r"\frac{\alpha}{\frac{\beta}{\gamma}}"),
    ("(alpha/beta)**2", r"\left(\frac{\alpha}{\beta}\right)^{2}"),
    ("exp(alpha/beta)", r"\exp\left(\frac{\alpha}{\beta}\right)"),
    ("sqrt(alpha)", r"\sqrt{\alpha}"),
    ("alpha**(1/2)", r"\sqrt{\alpha}"),
    ("sqrt(A)", r"A^{\circ 1/2}"),
    ("square(x)", r"x^{\circ 2}"),
    ("0.01*x", r"0.01 x"),
    ("1e-5*alpha", r"10^{-5} \alpha"),
    ("sum(x)", r"\mathbf{1}_{n}^\top x"),
    ("sum(X)", r"\mathbf{1}_{n}^\top X \mathbf{1}_{k}"),
    ("sum(X, axis=0)", r"X^\top \mathbf{1}_{n}"),
    ("sum(X, axis=0, keepdims=True)", r"\mathbf{1}_{n}^\top X"),
    ("sum(X, axis=1)", r"X \mathbf{1}_{k}"),
    ("sum(x + y)*z", r"(\mathbf{1}_{n}^\top (x + y)) z"),
    ("softmax(X, axis=1)", r"\operatorname{softmax}_{\mathrm{axis}\,1}(X)"),
    ("max(X, axis=0, keepdims=True)", r"\max_{\mathrm{axis}\,0}(X)^\top"),
    ("abs(alpha)", r"\left| \alpha \right|"),
    ("norm(x, 1)**2", r"\left\| x \right\|_1^{2}"),
    ("norm(X, 'nuc')", r"\left\| X \right\|_*"),
    ("matrix_power(A, 3)", r"A^{3}"),
    ("eye(n) @ x", r"I_{n} x"),
    ("ones(m, n) @ x", r"\mathbf{1}_{m \times n} x"),
    ("zeros(n)", r"\mathbf{0}_{n}"),
    ("commutation(m, n)", r"K_{m,n}"),
    ("where(x > 0, 1, 0)", r"[x > 0]"),
    ("where(x > 0, 0, 1)", r"[x \leq 0]"),
    ("where(x >= y, x, 0)", r"\left\{ \substack{ x \;\text{if}\; x \geq y \\ 0 \;\text{otherwise} } \right."),
    ("einsum('ij,jk->ik', A, B)", r"\left[ \sum_{j} A_{i j} B_{j k} \right]_{i k}"),
    ("einsum('ia,bj->ijba', A, eye(n))", r"\left[ A_{i a} \delta_{b j} \right]_{i j b a}"),
    ("einsum('ij->', A)", r"\sum_{i j} A_{i j}"),
    ("einsum('i,i->', A @ x, x1)", r"\sum_{i} (A x)_{i} (x_{1})_{i}"),
    ("u(A @ x)", r"u(A x)"),
    ("D(u, x)", r"\frac{\partial u}{\partial x}"),
    ("D(u, x, 2)", r"\frac{\partial^{2} u}{\partial x^{2}}"),
    ("D(u, A @ x)", r"\mathrm{D} u(A x)"),
    ("2*pi*e", r"2 \pi e"),
]  # fmt: skip


def write(text: str) -> str:
    return to_latex(parse(text, wrt="X" if "X" in text else None).expressions[0])


@pytest.mark.parametrize(("text", "latex"), EXPECTED, ids=[text for text, _ in EXPECTED])
def test_a_paper_would_print_it_so(text: str, latex: str) -> None:
    assert write(text) == latex
    typeset(latex)


def split_lines(latex: str) -> list[str]:
    """Return the lines of an aligned block, which mathtext does not know, or the formula itself."""
    inside = re.fullmatch(r"\\begin\{aligned\}\n(.*)\n\\end\{aligned\}", latex, re.DOTALL)
    return [line.replace("&", "").strip() for line in inside[1].split(r"\\")] if inside else [latex]


@pytest.mark.parametrize("case", sample("typeset", read_cases()), ids=lambda case: case.id)
def test_every_answer_can_be_typeset(case: Case) -> None:
    for layout in ("numerator", "denominator"):
        for line in split_lines(write_flat(derive_case(case, layout).latex())):
            typeset(line)
    typeset(to_latex(derive_case(case).function))


def test_random_expressions_can_be_typeset() -> None:
    for seed in sample("random", range(RANDOM_EXPRESSIONS), 0.3):
        case = write_case(random.Random(seed).choice)
        try:
            function = parse(case.expr, wrt=case.wrt, shapes=case.shapes, assume=case.assume).expressions[0]
        except MatcalcError:
            continue
        typeset(to_latex(function))


# --- brackets -----------------------------------------------------------------------------------------------

DIFFERENT = [
    ("(x + y)*z", "x + y*z"),
    ("(A @ B).T", "A @ B.T"),
    ("(alpha*beta)**2", "alpha*beta**2"),
    ("-(alpha**2)", "(-alpha)**2"),
    ("alpha - (beta + gamma)", "alpha - beta + gamma"),
    ("alpha/(beta*gamma)", "alpha/beta*gamma"),
    ("sum(x)*y", "sum(x*y)"),
    ("inv(A @ B)", "A @ inv(B)"),
    ("inv(A.T)", "inv(A)"),
    ("kron(A, B @ C)", "kron(A, B) @ C"),
    ("kron(A + B, C)", "A + kron(B, C)"),
    ("exp(X)", "expm(X)"),
    ("X**2", "matrix_power(X, 2)"),
    ("X**-1", "inv(X)"),
    ("log(det(A))*alpha", "log(det(A)*alpha)"),
    ("x*(A @ y)", "(x*A) @ y"),
    ("square(x + y)", "x + square(y)"),
    ("cross_entropy(x, y)", "cross_entropy(y, x)"),
    ("sum(X, axis=0)", "sum(X, axis=1)"),
    ("einsum('ij->ji', A)", "einsum('ij->ij', A)"),
    ("(x.T @ y)*z", "x.T @ (y*z)"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_means_something_else_looks_different(one: str, other: str) -> None:
    assert to_latex(parse(one).expressions[0]) != to_latex(parse(other).expressions[0])


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("x", "x"), ("X", "X"), ("alpha", r"\alpha"), ("α", r"\alpha"), ("λ", r"\lambda"), ("lambda", r"\lambda"),
        ("Sigma", r"\Sigma"), ("Σ", r"\Sigma"), ("omicron", "o"), ("x1", "x_{1}"), ("x_1", "x_{1}"),
        ("alpha_2", r"\alpha_{2}"), ("x_hat", r"\hat{x}"), ("x_bar_2", r"\bar{x}_{2}"), ("w_max", r"w_{\mathrm{max}}"),
        ("loss", r"\mathrm{loss}"), ("x_i", "x_{i}"), ("x_1_2", "x_{1,2}"), ("_x", r"\mathrm{\_x}"),
        ("theta_alpha", r"\theta_{\alpha}"), ("É", "É"), ("x_", r"\mathrm{x\_}"),
    ],
)  # fmt: skip
def test_names_are_typeset(name: str, latex: str) -> None:
    assert write_name(name) == latex
    typeset(latex)


def test_a_name_with_an_index_gets_no_second_one() -> None:
    assert write("einsum('i,i->', x_1, y)") == r"\sum_{i} (x_{1})_{i} y_{i}"


# --- templates ----------------------------------------------------------------------------------------------


ARGUMENTS = ("x", "x + y", "-x", r"A x", r"x^\top", r"\frac{x}{y}", r"x_{1}")
# The symbol of Levi-Civita says its size by where it stands.
TYPESET_RULES = [rule for rule in shipped_rules() if rule.latex and rule.name != "levi_civita"]


@pytest.mark.parametrize(
    ("rule", "text"), spread("templates", TYPESET_RULES, ARGUMENTS), ids=lambda part: getattr(part, "name", part)
)
def test_every_template_can_be_typeset_with_every_argument(rule, text) -> None:
    level = find_level(text.replace("x", "{x}")) if "^" not in text else POWER
    filled, _ = fill_template(rule.latex, {parameter.name: (text, level) for parameter in rule.variables})
    assert text in filled
    typeset(filled)


@pytest.mark.parametrize(
    ("template", "sum_filled"),
    [
        (r"\log {x}", r"\log (a + b)"),
        (r"\log{x}", r"\log (a + b)"),
        (r"\log({x})", r"\log(a + b)"),
        (r"\sqrt{x}", r"\sqrt{a + b}"),
        (r"\sqrt{{x}}", r"\sqrt{a + b}"),
        (r"\frac{x}{2}", r"\frac{a + b}{2}"),
        (r"\frac{1}{x}", r"\frac{1}{a + b}"),
        (r"2^{x}", r"2^{a + b}"),
        (r"{x}^2", r"(a + b)^2"),
        (r"{x} \tanh({x})", r"(a + b) \tanh(a + b)"),
        (r"\left| {x} \right|_p", r"\left| a + b \right|_p"),
        (r"f({x}, 1)", r"f(a + b, 1)"),
        (r"1 - {x}", r"1 - (a + b)"),
    ],
)
def test_brackets_of_a_template(template: str, sum_filled: str) -> None:
    assert fill_template(template, {"x": ("a + b", SUM)})[0] == sum_filled


def test_a_rule_without_latex_is_written_by_its_name() -> None:
    rule = read_rule("my_relu", {"elementwise": "where(x > 0, 1, 0)"}, "my.toml")
    book = shipped_rules().extended([rule])
    latex = to_latex(parse("my_relu(A @ x)", rules=book).expressions[0])
    assert latex == r"\mathrm{my\_relu}(A x)"
    typeset(latex)


def test_a_deep_network_is_written() -> None:
    typeset(derive("norm(W @ tanh(V @ tanh(U @ x)))**2", "U").latex())


def test_arrays_may_stand_in_bold() -> None:
    latex = derive("c*Sigma @ x_hat", "c", shapes={"c": (), "Sigma": ("m", "n")}).latex(bold=True)
    assert latex == r"\boldsymbol{\Sigma} \hat{\mathbf{x}}"
    typeset(latex)
    assert "mathbf" not in derive("A @ x").latex()
