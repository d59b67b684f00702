"""Formulas as people write them: each spelling is read as what it means, or the reader is asked."""

import pytest

from matcalc import MatcalcError, check, derive, parse
from matcalc.check.evaluate import evaluate_with
from matcalc.language.any_text_to_expression import parse_any
from matcalc.language.declarations import read_declarations
from matcalc.language.expression import Expression, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.habits import AmbiguityError
from matcalc.language.notation_tokens import detect_syntax
from tests.fuzz_readings import LIMIT, make_texts, read_one
from tests.read_cases import Case, read_cases
from tests.sampling import is_whole, sample
from tests.written import CASES, judge_reading, read_written

LEAST_RIGHT = 0.97


@pytest.mark.parametrize("name", ["written.toml", "written_more.toml", "written_third.toml"])
def test_what_people_write_is_read_as_they_mean_it(name: str) -> None:
    """Of the third file a sample: none is read as something else, and so few are refused as of all of them."""
    cases = read_written(CASES.with_name(name))
    is_third = name == "written_third.toml"
    outcomes = [(case, judge_reading(case)) for case in (sample(name, cases, 0.3) if is_third else cases)]
    assert not [(case["written"], outcome.told) for case, outcome in outcomes if outcome.word == "misread"]
    plain = [(case, outcome) for case, outcome in outcomes if not case.get("ambiguous")]
    unread = [(case["written"], outcome.told) for case, outcome in plain if outcome.word != "right"]
    # Of a sample chance may draw twice as many of those that are asked about.
    most = (2 if is_third and not is_whole() else 1) * (1 - LEAST_RIGHT)
    assert len(unread) <= most * len(plain), unread


def test_what_spellings_mean_is_read_without_shapes() -> None:
    """Each formula of the language, without any shapes, means the same or is asked; never something else."""
    for case in (*read_written(), *read_written(CASES.with_name("written_more.toml"))):
        for meaning in [case["means"]] if isinstance(case["means"], str) else case["means"]:
            bare = {**case, "written": meaning, "means": meaning, "declared": False}
            assert meaning in SCALED_ENTRY_BY_ENTRY or judge_reading(bare).word != "misread", meaning


# A scalar that only multiplies a vector entry by entry: the language takes it for a vector.
SCALED_ENTRY_BY_ENTRY = {"(1 - t)*x + t*y", "i*f*x"}


def test_what_the_language_accepts_means_what_it_means_there() -> None:
    for case in read_cases():
        plain = parse(case.expr, wrt=case.wrt, shapes=case.shapes, syntax="matcalc")
        found = parse(case.expr, wrt=case.wrt, shapes=case.shapes)
        assert (found.expressions, found.notes, found.reading) == (plain.expressions, plain.notes, None), case.expr


@pytest.mark.parametrize(
    ("text", "wrt", "reading"),
    [
        ("x^T A x", None, "x.T @ A @ x"),
        ("‖Ax − b‖²", None, "norm(A @ x - b)**2"),
        (r"\frac12 \lVert \mathbf{A}\mathbf{x} - \mathbf{b} \rVert_2^2", None, "1/2*norm(A @ x - b)**2"),
        ("log|X|", None, "logdet(X)"),
        ("sum_i log(x_i)", None, "sum(log(x))"),
        ("d/dX tr(AX)", None, "trace(A @ X)"),
        ("A\\b", "b", "inv(A) @ b"),
        ("np.linalg.norm(A@x-b)**2", None, "norm(A @ x - b)**2"),
        ("X - X.mean(axis=0)", None, "X - mean(X, axis=0).T"),
        ("A.sum(axis=[0, 1])/A.numel()", None, "sum(A)/size(A)"),
        ("np.sum(A, axis=(0, 1))/A.size", None, "sum(A)/size(A)"),
        ("torch.mean(A, (0, 1), keepdim=True)", None, "mean(A)"),
        ("torch.linalg.slogdet(X)[1]", None, "logabsdet(X)"),
        ("eigh(S)[0]", None, "eigvalsh(S)"),
        ("np.sum(np.linalg.eigh(S)[0]**2)", None, "sum(eigvalsh(S)**2)"),
        ("torch.linalg.eigh(S).eigenvalues.max()", None, "max(eigvalsh(S))"),
        ("np.linalg.svd(X)[1]", None, "svdvals(X)"),
        ("np.linalg.svd(X, compute_uv=False)", None, "svdvals(X)"),
        ("torch.svd(X).S.sum()", None, "sum(svdvals(X))"),
        ("2*np.log(np.diag(np.linalg.cholesky(S))).sum()", None, "2*sum(log(diag(cholesky(S))))"),
        ("λ_max(A^T A)", None, "lambda_max(A.T @ A)"),
        (r"\lambda_{\min}(S)", None, "lambda_min(S)"),
        ("（A@x－b）.T＠（A@x－b）", None, "(A @ x - b).T @ (A @ x - b)"),
        (
            "-1/2 y^T (K + sigma^2 I)^{-1} y - 1/2 log|K + sigma^2 I|", "K",
            "-1/2*y.T @ inv(K + sigma**2*eye(n)) @ y - 1/2*logdet(K + sigma**2*eye(n))",
        ),
    ],
)  # fmt: skip
def test_the_answer_says_how_a_text_was_read(text: str, wrt: str | None, reading: str) -> None:
    derivative = derive(text, wrt)
    assert derivative.reading == derivative.to_dict()["reading"] == reading
    assert derivative.report().startswith(f"read as  {reading}\n")
    assert str(derive(reading, derivative.wrt.name, shapes=derivative.declared)) == str(derivative)


@pytest.mark.parametrize(
    ("text", "wrt", "reading"),
    [
        ("x[0]*x[1]", None, "(basis(n, 0).T @ x)*(basis(n, 1).T @ x)"),
        ("X[i, j]", "X", "e_i.T @ X @ e_j"),
        ("X[:, k]", "X", "X @ e_k"),
        ("X[:, 0]", "X", "X @ basis(k, 0)"),
        ("np.exp(X[0]) @ x", "x", "exp(X.T @ basis(p, 0)).T @ x"),
        ("x[-1]", None, "basis(n, n - 1).T @ x"),
        ("sum_i X[i, i]", None, "einsum('ii->', X)"),
    ],
)
def test_entries_are_products_with_unit_vectors(text: str, wrt: str | None, reading: str) -> None:
    derivative = derive(text, wrt)
    assert derivative.reading == reading
    assert derivative.check().verdict == "agrees"


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("np.sum((x[1:] - x[:-1])**2)", "sum((x[1:] - x[:-1])**2)"),
        ("\u2016x[1:] \u2212 x[:-1]\u2016\u00b2", "norm(x[1:] - x[:-1])**2"),
        ("norm(x(2:end) - x(1:end-1))^2", "norm(x[1:] - x[:-1])**2"),
        ("x(2:end)'*A*x(2:end)", "x[1:].T @ A @ x[1:]"),
        ("tr(A[q:, q:])^2", "trace(A[q:, q:])**2"),
        ("A[1:,1:] x[1:]", "A[1:, 1:] @ x[1:]"),
        ("np.sum(X[1:, 0])", "sum(X[1:] @ basis(k, 0))"),
        ("np.exp(x[q:n-q]) @ y", "exp(x[q:-q]).T @ y"),
        ("np.concatenate([A @ x, b])", "concat(A @ x, b)"),
        ("torch.cat((A, B), dim=1)", "concat(A, B, axis=1)"),
        ("np.hstack([x, y])", "concat(x, y)"),
        ("np.hstack([A, B])", "concat(A, B, axis=1)"),
        ("np.vstack([X, x])", "concat(X, x.T)"),
        ("torch.stack([x, y])", "concat(x.T, y.T)"),
        ("np.column_stack([X, x])", "concat(X, x, axis=1)"),
        ("np.block([[A, B], [C, D]])", "concat(concat(A, B, axis=1), concat(C, D, axis=1))"),
        ("norm([A*x; b])^2", "norm(concat(A @ x, b))**2"),
        ("[A B; C D]*x", "concat(concat(A, B, axis=1), concat(C, D, axis=1)) @ x"),
        ("np.pad(x, (1, 0))", "pad(x, 1, 0)"),
        ("X.reshape(-1)", "vec(X.T)"),
        ("np.ravel(X)", "vec(X.T)"),
    ],
)
def test_ranges_and_stacks_are_read(text: str, reading: str) -> None:
    problem = parse_any(text, shapes="x: n" if "n-q" in text else None)
    assert problem.reading == reading
    declared = {name: found.declared_shape for name, found in problem.symbols.items()}
    assert to_text(parse_any(reading, shapes=declared).expressions[0]) == reading


@pytest.mark.parametrize(
    ("text", "shapes", "reason"),
    [
        ("np.sum(x[::2])", "x: n", "a range has no step here"),
        ("0:2", "x: n", "a range stands in brackets behind an array"),
        ("np.stack([A, B])", "A: m,n; B: m,n", "stacked matrices have three axes"),
        ("np.concatenate([x, y], axis=1)", "x: n; y: n", "vectors have no axis 1"),
        ("X.reshape(n, m)", "X: m,n", "reshape is read as reshape(-1)"),
        ("tr(X[1:])^2", "X: n,n", "X has two axes"),
        ("np.sum(x[1:2.5])", "x: n", "2.5 is no bound of a range"),
        ("np.sum(x[1:y])", "x: n; y: n", "y is declared as a variable and used as a size"),
    ],
)
def test_what_no_range_can_be_is_refused(text: str, shapes: str, reason: str) -> None:
    with pytest.raises(MatcalcError) as caught:
        parse_any(text, shapes=shapes)
    assert reason in caught.value.reason


def test_a_colon_in_the_brackets_of_an_index_is_a_range() -> None:
    derivative = derive("sum(A[0:2,:] @ x)", "x", shapes={"A": "4,n", "x": "n"})
    assert str(derivative) == "pad(ones(2), 0, 2).T @ A"
    assert derivative.check().verdict == "agrees"


@pytest.mark.parametrize(
    ("text", "wrt", "formula", "shape"),
    [
        ("norm(X)**2", "X[:, k]", "2*e_k.T @ X.T", ("n",)),
        ("x.T @ A @ x", "x[:-1]", "x.T @ (A + A.T)[:, :-1]", ("n - 1",)),
        ("logdet(X)", "X[:q, :q]", "inv(X)[:q, :q]", ("q", "q")),
        ("X @ b", "X[0, :]", "basis(n, 0) @ b.T", ("n", "k")),
    ],
)
def test_one_derives_by_a_part(text: str, wrt: str, formula: str, shape: tuple[str, ...]) -> None:
    derivative = derive(text, wrt)
    assert (str(derivative), derivative.shape) == (formula, shape)
    assert derivative.check().verdict == "agrees"
    assert check(text, formula, wrt, shapes=derivative.declared).verdict == "agrees"


@pytest.mark.parametrize(
    ("text", "wrt", "formula"),
    [
        ("trace(A @ X)", "X[0, 1]", "basis(k, 1).T @ A @ basis(n, 0)"),
        ("X @ B", "X[i,j]", "e_i @ e_j.T @ B"),
        ("inv(X)", "X[0,0]", "-inv(X) @ basis(n, 0) @ basis(n, 0).T @ inv(X)"),
        ("norm(x)**2", "x[2]", "2*x.T @ basis(n, 2)"),
    ],
)
def test_one_derives_by_an_entry(text: str, wrt: str, formula: str) -> None:
    derivative = derive(text, wrt)
    assert str(derivative) == formula
    report = derivative.check()
    assert report.verdict == "agrees"
    assert report.command is not None
    name, _, places = wrt.partition("[")
    assert f"--wrt '{name}[{', '.join(places.replace(' ', '').split(','))}'" in report.command


def test_an_entry_is_picked_by_a_place_for_each_axis() -> None:
    cases = [("norm(X)", "X[0]", "2 axes"), ("norm(x)", "x[3]", "no place 3"), ("x", "x[0,1]", "1 axes")]
    for text, wrt, reason in cases:
        with pytest.raises(MatcalcError, match=reason):
            derive(text, wrt, shapes={"x": (3,)} if "3" in wrt else None)


@pytest.mark.parametrize(
    ("text", "reasons", "advice"),
    [
        ("sofmax(A x) + tnah(B x", ["'(' is never closed", "sofmax is", "tnah is"], "softmax(A @ x) + tanh(B @ x)"),
        (
            r"\opreatorname{tr}(A X) + \lamda x^\top x", [r"\opreatorname is a command", r"\lamda is a command"],
            "trace(A @ X) + lambda*x.T @ x",
        ),
        ("tr(A X", ["'(' is never closed"], "trace(A @ X)"),
        ("x^T A x +", ["ends too early"], "x.T @ A @ x"),
        ("A @@ x  # the product", ["one @ too many", "'#'"], "A @ x"),
        ("(A x] + y", ["']'"], "A @ x + y"),
    ],
)  # fmt: skip
def test_all_faults_are_told_at_once_with_the_whole_text(text: str, reasons: list[str], advice: str) -> None:
    with pytest.raises(MatcalcError) as caught:
        parse(text)
    error = caught.value
    assert all(reason in str(error) for reason in reasons)
    assert error.advice == advice
    parse(advice)
    for _, (start, end) in error.others:
        assert 0 <= start <= end <= len(text) + 2


def test_a_text_of_the_language_has_no_other_reading() -> None:
    assert derive("x.T @ A @ x").reading is None


def test_names_are_what_their_use_says() -> None:
    derivative = derive("norm(X @ w - y)**2 + lam*norm(w)**2", "w", layout="denominator")
    assert (str(derivative), derivative.shape) == ("2*(X.T @ (X @ w - y) + lam*w)", ("n",))
    assert "lam is taken for a scalar" in derivative.notes[0]
    assert derive("(x - mu).T @ inv(Sigma) @ (x - mu)", "mu").declared["mu"] == ("n",)
    assert derive("X @ beta", "beta").declared["beta"] == ("n",)
    assert derive("sigmoid(w.T @ x + b)", "w").declared["b"] == ()
    assert derive("softmax(W @ x + b)", "x").declared["b"] == ("m",)


def test_a_declaration_decides() -> None:
    declared = {"lam": ("n",), "w": ("n",)}
    assert derive("lam*norm(w)**2 + sum(w)", "w", shapes=declared).declared["lam"] == ("n",)
    assert derive("I @ x", shapes={"I": ("m", "n")}).declared["I"] == ("m", "n")
    assert derive("I + A").declared == {"A": ("n", "n")}


def test_what_is_said_of_names_is_assumed() -> None:
    assert str(derive("x^T A x, A symmetric", layout="denominator")) == "2*A @ x"
    assert derive("x^T A x, x ∈ R^d").declared["x"] == ("d",)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("x.T*A*x", "x.T @ A"),
        ("AB @ x", "A @ B"),
        ("A(x + b)", "A @ (x + b)"),
        ("(a·b)/(|a||b|)", "norm(a)"),
        ("X @ W + b", "X @ W + b.T"),
        ("tanh(Wx)", "tanh(W @ x)"),
        ("cos θ x", "cos(θ)*x"),
        ("y*(w.T @ x)", "y scalar"),
        ("-log(p_i), p = softmax(z)", "p[i]"),
        (r"\exp(X)", "expm(X)"),
        ("exp(tA)", "t*A"),
        ("expm(tA)", "t*A"),
        ("det(sI)", "s*I"),
    ],
)
def test_where_two_readings_remain_the_reader_is_asked(text: str, advice: str) -> None:
    with pytest.raises(AmbiguityError, match="did you mean") as error:
        parse(text)
    assert advice in str(error.value)


def test_the_language_alone_is_asked_for() -> None:
    with pytest.raises(MatcalcError, match="not in the language"):
        derive("x^T A x", syntax="matcalc")
    assert derive("A(x + b)", syntax="matcalc", wrt="x").text == "A(x + b)"
    with pytest.raises(MatcalcError, match="no syntax 'fortran'"):
        derive("x", syntax="fortran")


def test_the_syntax_is_told_by_the_text() -> None:
    told = {
        "x^T A x": "math",
        "x'*A*x": "matlab",
        r"x^\top A x": "latex",
        "x.T.dot(A).dot(x)": "python",
        "A\\b": "matlab",
    }
    assert {text: detect_syntax(text) for text in told} == told


@pytest.mark.parametrize("case", [case for case in read_cases() if case.topic == "textbook"], ids=str)
def test_what_we_print_is_read_back(case: Case) -> None:
    """LaTeX and Unicode of a derivative mean the derivative, or are refused: arrays of more than two axes are."""
    derivative = derive(case.expr, case.wrt, shapes=case.shapes, order=case.order, layout="denominator")
    sizes = dict(zip(derivative.letters, (3, 5, 2, 4, 7, 6), strict=False))
    for text in (derivative.latex(), derivative.unicode()):
        try:
            root = parse(text, shapes=derivative.declared, assume=derivative.assumed).expressions[0]
        except MatcalcError:
            assert any(mark in text for mark in ("einsum", "left[", "substack", "1ₘ", "where")), text
            continue
        values = derivative.draw_point(sizes)
        pair = [
            evaluate_with(each, {name: values[name] for name in values if name in names_of(each)}, sizes)
            for each in (root, derivative.expression)
        ]
        assert pair[0].shape == pair[1].shape, text
        assert abs(pair[0] - pair[1]).max() < 1e-8 * (1 + abs(pair[1]).max()), text


def names_of(root: Expression) -> set[str]:
    return {str(node.name) for node in walk(root) if node.op in ("symbol", "abstract", "abstract_derivative")}


def test_mutated_texts_are_read_or_refused() -> None:
    """A sample of what `python -m tests.fuzz_readings 20000` tries; any exception but a MatcalcError fails."""
    for text, syntax in make_texts(20_000 if is_whole() else 700, seed=7):
        _, seconds = read_one(text, syntax)
        assert seconds < LIMIT, text


@pytest.mark.parametrize(
    "text", ["foo(x)", "f(x) + A x", "A[0] x", "__import__('os')", "exp({x})", "3j x", "x^T A +", "‖x", "x @ A"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(MatcalcError):
        parse(text)


def test_declarations_are_read_from_other_keyboards() -> None:
    assert read_declarations("A：m，n；c：标量") == {"A": ("m", "n"), "c": ()}
    assert read_declarations("A: R^{m×n}; B: 3×4") == {"A": ("m", "n"), "B": ("3", "4")}
    for kind in ("vector", "mxn"):
        with pytest.raises(MatcalcError, match=f"{kind} is no size of x"):
            read_declarations(f"x: {kind}")
