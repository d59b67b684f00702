"""What an error says to write can be written: it is read, and it derives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import matcalc
from matcalc import MatcalcError, language
from matcalc.language import names
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.explain_calls import _ABSENT, _OTHER_NAMES, write_forms
from matcalc.language.text_to_expression import parse
from matcalc.rule_files import Rule, shipped_rules
from tests.language.test_language_errors import ADVICE, BAD
from tests.sampling import sample
from tests.written import CASES, read_written

SHAPES: dict[str, tuple[str, ...]] = {"X": ("n", "n"), "Y": ("n", "n"), "A": ("n", "n"), "B": ("n", "n")}
FURTHER = [
    "norm(X, 1, axis=0)", "norm(X, 2, axis=1)", "det(X, axis=0)", "exp(X, axis=0)", "sgn(x)", "erfcc(x)",
    "arctan2(y)", "Std(x)", "inverse(X)", "clamp(x)", "nansum(x)", "Piecewise(x)", "hermite(x, y)",
    "logit(x, y)", "mean(x, y)",
    "var(X, dim=1)", "sum(X, keepdim=True)", "max(X, 0)", "max(x, y)", "norm(X, 1)", "norm(x, inf)", "trace(x)",
    "dot(A, x)", "solve(x, A)", "leaky_relu(x, y, y)", "kron(x)", "layernorm(x)",
]  # fmt: skip


# What a reader may write in the place of a function's arguments.
ARGUMENTS = [
    "x", "X", "a", "x.T", "x, y", "X, y", "X, Y", "a, x", "x, A", "x, y, z", "X, 1", "X, 2", "x, 3", "", "x > 0", "'x'",
    "x, 'x'", "X, 'x'", "X, axis=0", "x, axis=0", "X, axis=2", "X, dim=0", "X, keepdim=True", "x, ord=2", "ones(2, 3)",
    "X, axis=0, keepdims=True", "X, Y, axis=1",
]  # fmt: skip
# Signs and notations of elsewhere, and the built-in functions without what they take.
SIGNS = [
    "fuse(m)", "commutation(m)", "ones(m, n, axis=0)", "zeros(m, keepdims=True)", "fuse(1, m)", "eye()",
    "u = A @ x; u(y)", "norm(A, inf)", "x, y", "(y := x)", "p = x", "p = x;", "x · y", "A × B", "A ∗ B", "A ⊗ B",
    "A ⊙ B", "x ÷ 2", "x − y", "∑x", "∏x", "√x", "‖x‖", "∣x∣", "⟨x, y⟩", "where(x ≤ y, x, y)", "where(x ≥ y, x, y)",
    "X′", "X⊤", "∇f", "x + ∞", "norm(X, ‘nuc’)", "x \\ y", "|x|", "||x||", "|X|", "log|X|", "X^T", "X^-1", "x²",
    "X⁻¹", "Xᵀ", "x₁", "½*x", "exp (x) y", "np.sum(X, axis=0)", "np.exp(np.log(x))", "np.matmul(A, x)",
    "X.sum(axis=1)", "A.dot(x)", "A.I", "X.H", "A.t()", "np.clip(x)", "np.median(x)",
]  # fmt: skip


def list_forms() -> Iterator[tuple[Rule, str]]:
    """Each function that has a derivative, as a reader writes it."""
    for rule in shipped_rules():
        if not rule.opaque:
            yield rule, names.SPECIAL.get(rule.function) or write_forms([rule])


def list_texts() -> Iterator[str]:
    """Texts with an error in them: those of the other tests, and every function called in every wrong way."""
    yield from [row[0] for row in BAD]
    yield from ADVICE
    yield from FURTHER
    yield from SIGNS
    for rule, form in list_forms():
        name, inside = rule.function, form.partition("(")[2]
        first, _, rest = inside.removesuffix(")").partition(", ")
        yield from (f"{name}({arguments})" for arguments in ARGUMENTS)
        yield from (name, f"{name.upper()}({inside}", f"np.{form}", f"{first}.{name}({rest})", f"{name}x({inside}")


def find_advice(text: str) -> str:
    with pytest.raises(MatcalcError) as refused:
        parse(text, shapes=SHAPES, choose_wrt=True)
    return refused.value.advice or ""


@cache
def collect_advice() -> dict[str, str]:
    """Every advice or note that one of the texts is given, with the first text that is given it."""
    found: dict[str, str] = {}
    for text in list_texts():
        try:
            for note in parse(text, shapes=SHAPES, choose_wrt=True).notes:
                found.setdefault(note, text)
        except MatcalcError as error:
            found.setdefault(error.advice or "", text)
    return found


def list_written(advice: str) -> list[str]:
    """The formulas that an advice says to write."""
    found = re.search(r"\bwrite (.*)", advice)
    told = re.split(r"\b(?:as in|such as) ", found[1])[-1] if found else ""
    ends = "entry by entry|the sum|the Frobenius|which|since|else|for|of|a column|and|with|without|1/X|declare|rename"
    parts = re.split(r",? or ", re.split(rf"[,;]? (?:or )?\b(?:{ends})\b", told)[0])
    return [part for part in parts if is_formula(part)]


def is_formula(text: str) -> bool:
    """Whether it is more than a name, and no sentence or option."""
    has_operator = re.search(r"[()@*/+]| - |\.T", text) is not None
    return has_operator and re.match(r"(?!axis=|keepdims=)[\w(]", text) is not None and not re.search(r"\w \w", text)


def choose_shapes(text: str) -> dict[str, tuple[str, ...]]:
    """The shapes of the names in a text: norm(x, p) takes a number p."""
    return {name: shape for name, shape in SHAPES.items() if name in text} | ({"p": ()} if "norm(x, p)" in text else {})


def check_written(text: str) -> None:
    shapes = choose_shapes(text)
    problem = parse(text, shapes=shapes)
    if problem.symbols:
        shapes = {name: shape for name, shape in shapes.items() if name in problem.symbols}
        derivative = matcalc.derive(text, next(iter(problem.symbols)), shapes=shapes)
        assert derivative.check().verdict == "agrees", text


_GIVEN = {
    "cholesky_solve": ["x", "A"], "quad_form": ["x", "A"], "matrix_frac": ["x", "A"], "mahalanobis": ["x", "y"],
    "attention": ["X", "Y"], "commutator": ["X", "Y"], "anticommutator": ["X", "Y"], "hat": ["w"],
    "quad_over_lin": ["x", "a"], "mpower": ["X", "2"], "mpow": ["X", "2"],
}  # fmt: skip
_OF_MATRICES = (
    "trace|inv|pinv|logabsdet|logdet|det|expm|logm|diag|cholesky|eigvalsh|svdvals|lambda_max|lambda_min|cond|adj|sym"
)


@pytest.mark.parametrize("name", _OTHER_NAMES)
def test_another_name_is_answered_with_the_right_word(name: str) -> None:
    form = _OTHER_NAMES[name]
    of_matrices = re.search(rf"({_OF_MATRICES})\(", form) is not None or form in ("norm({0}, 2)", "norm({0}, 'nuc')")
    given = ["n"] if form.startswith("eye") else ["X", "Y"] if of_matrices else ["x", "y"]
    if name in ("matmul", "mm", "mv", "lstsq", "lsqminnorm", "solve_triangular", "cho_solve", "lu_solve"):
        given = ["A", "x"]
    given = _GIVEN.get(name, given)
    advice = find_advice(f"{name}({', '.join(given if '{1}' in form else given[:1])})")
    assert advice.startswith("write ")
    check_written(advice.removeprefix("write "))


def test_no_function_of_the_language_is_said_to_have_another_name() -> None:
    assert not (set(_OTHER_NAMES) | set(_ABSENT)) & set(shipped_rules().functions)


@pytest.mark.parametrize("text", [*ADVICE, *FURTHER])
def test_what_an_error_says_to_write_derives(text: str) -> None:
    for written in list_written(find_advice(text)):
        check_written(written)


def test_whatever_an_error_says_to_write_can_be_read() -> None:
    for advice in collect_advice():
        for written in list_written(advice):
            parse(written, shapes=choose_shapes(written))


@pytest.mark.parametrize("advice", sample("advice", sorted(filter(list_written, collect_advice())), 0.1))
def test_whatever_an_error_says_to_write_derives(advice: str) -> None:
    for written in list_written(advice):
        check_written(written)


# What these files say to write is said of rules, of declarations, of SymPy's objects and of notation.
ELSEWHERE = frozenset(
    """declarations sympy_to_expression sympy_reader sympy_arrays_to_expression text_to_expression habits
    notation notation_arguments notation_calls notation_cursor notation_entries notation_fills notation_index_sums
    notation_names notation_powers notation_stacks notation_statements notation_to_draft notation_to_expression
    notation_tokens notation_tree notation_word_reader scalar_calculus""".split()
)


def test_every_advice_of_the_language_is_among_those_that_are_tried() -> None:
    """A new "write ..." in the language's files asks for a text that is answered with it."""
    told, missing = list(collect_advice()), []
    for path in Path(next(iter(language.__path__))).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in comments]
        said = {text[text.index("write ") :].strip() for text in texts if isinstance(text, str) and "write " in text}
        missing += [text for text in said if path.stem not in ELSEWHERE and not any(text in advice for advice in told)]
    assert not missing


# Spellings that are asked about, or refused with something to write.
ASKED = [
    "X/Y", "b/A", "A^k", "A^0", "tr A + B", "det A + I", "A - λI", "W^T X + b", "1/2n ||y - Xw||^2", "A x = b",
    "Ax = λx", "sum_i x_i^2 + y_i^2", "x_{i+1} - x_i", "sum_i i x_i", "log x y", "x_1 x_2", "-y log p - (1-y) log(1-p)",
    "y log p + (1-y) log(1-p)", "LN(x)", "A*X*B", "norm(X, 1)", "norm(X, inf)", "norm(x, inf)", "||X||_1", "||X||_inf",
    "||x||_A", "A† b", "wx + b", "f(x + t v)", "σ'(x)", "[A B]", "2^A", "diag(Ax)", "A(BC)", "AXB", "aTb", "A×B",
    "foo(x)", r"\theta^{(t+1)}", r"1_{x>0}", r"\delta x^\top",
    r"-\log \frac{e^{x_y}}{\sum_j e^{x_j}}", r"\begin{bmatrix} A & B \\ C & D \end{bmatrix}", "{}^tX X",
    "gamma * (x - mean(x)) / sqrt(var(x) + eps) + beta", "(A + B)T(A + B)", "cp.kl_div(x, y)",
]  # fmt: skip


def list_offered(advice: str) -> list[str]:
    """The formulas that a question offers: norm(x) and abs(x) of "did you mean norm(x), or abs(x) entry by entry?"."""
    found = re.match(r"did you mean (.*)", advice)
    told = re.split(r"\? (?:declare|--)|; --syntax|\?$|\? ", found[1])[0] if found else ""
    ends = r"  \(|, of each|, the |, where| of all entries| entry by entry|, to every|, divided|, as |, or .*as in "
    parts = [re.split(ends, part)[0].strip() for part in told.split(", or ") if found]
    return [part for part in parts if not re.match(r"(a|one|an|the|to every|matrix_power)\b|arc", part)]


def find_question(text: str) -> MatcalcError | None:
    try:
        parse_any(text)
    except MatcalcError as error:
        return error
    return None


@pytest.mark.parametrize("text", ASKED)
def test_what_is_hardly_meant_is_asked_or_refused(text: str) -> None:
    assert find_question(text) is not None


def test_whatever_a_question_about_a_spelling_offers_is_read() -> None:
    """What is offered is read, or only a declaration is left to ask for; nothing leads to a third question."""
    third = read_written(CASES.with_name("written_third.toml"))
    for text in [*ASKED, *(case["written"] for case in sample("offered", third, 0.15))]:
        question = find_question(text)
        advice = question.advice or "" if question else ""
        offered = [*list_offered(advice), *list_written(advice)]
        plain = "matcalc" if "--syntax matcalc" in advice else "auto"
        for formula in offered:
            again = find_question(formula)
            if again is not None and plain == "matcalc" and formula == offered[-1]:
                parse_any(formula, syntax=plain)
            else:
                assert again is None or "declare it" in (again.advice or ""), (text, formula, str(again))


@pytest.mark.parametrize(
    ("text", "advice"),
    [("sgn(x)", "write sign(x)"), ("median(x)", "there is no median"), ("hankel1(n, x)", "complex valued"),
     ("sort(x)", "constant permutation"), ("topk(x, 3)", "constant permutation"), ("quantile(x, y)", "no quantiles"),
     ("fft(x)", "F @ x"), ("conv1d(x, y)", "T @ x"), ("qr(X)", "eigvecsh"), ("eig(X)", "eigvalsh(X)"),
     ("svd(X)", "svdvals(X)"), ("chol(X)", "write cholesky(X)"), ("eigmax(X)", "write lambda_max(X)"),
     ("sinm(X)", "logm"), ("lstsq(A, x)", "write pinv(A) @ x"), ("softplus(x, 2)", "write softplus(2*x)/2"),
     ("detach(x)", "a name of its own"), ("inverse(X)", "write inv(X)"), ("nansum(x)", "write sum(x)")],
)  # fmt: skip
def test_names_of_other_libraries(text: str, advice: str) -> None:
    assert advice in find_advice(text)
