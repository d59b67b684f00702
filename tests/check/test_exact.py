"""The exact comparison in SymPy: what it shows, what it refutes, and that it contradicts torch nowhere."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import sympy

import matcalc
from matcalc.check.exact import list_sizes, prove_exactly
from matcalc.check.question import Question, ask
from matcalc.check.report import DIFFERENT, EQUAL, NOT_SHOWN, CheckReport, ExactProof
from matcalc.cli import main
from matcalc.language.expression import walk
from matcalc.language.text_to_expression import parse
from matcalc.rule_files import read_rule
from tests.check.test_claims import CLAIMS
from tests.claim_mutants import compare_with_truth, list_mutants, read_mutant
from tests.random_problems import number_case
from tests.read_cases import Case, derive_case, read_cases
from tests.sampling import sample, spread

CASES = read_cases()
BOTH = ("numerator", "denominator")
# What takes too many terms, and one that has no derivative at the points in question.
BEYOND = {
    "regression-ties-in-kron", "regression-second-derivative-of-layer-norm-of-kron", "regression-kink-of-skew-matrix",
    "regression-axis-that-no-term-has", "regression-sums-are-written-once",
    "regression-orthogonal-applied-twice", "vector-norm-nuc", "matrix-adjugate", "matrix-adjugate-jacobian-constant",
}  # fmt: skip
# Their entries are roots of polynomials of a degree that no tower of roots holds, or power series.
SPECTRAL = {
    "eigvalsh", "eigvecsh", "lambda_max", "lambda_min", "eigvec_max", "eigvec_min", "svdvals", "svd_left", "svd_right",
    "trailing_outer", "cond", "cholesky", "logm", "logm_jacobian",
}  # fmt: skip


def prove(
    expression: str, claim: str, wrt: str = "x", layout: str = "numerator", order: int = 1, **declared: Any
) -> ExactProof:
    problem = parse([expression, claim], wrt=wrt, **declared)
    assert problem.wrt is not None
    return prove_exactly(ask(*problem.expressions, [problem.wrt] * order, layout))


# --- what is right is shown, what is wrong never ----------------------------------------------------------


@pytest.mark.parametrize(("case", "layout"), spread("exact", sample("exact", CASES, 0.2), BOTH), ids=str)
def test_every_case_is_shown(case: Case, layout: str) -> None:
    derivative = derive_case(case, layout)
    found = prove_exactly(ask(derivative.function, derivative.expression, derivative.by, layout))
    words = {node.data[0].function for node in walk(derivative.function, derivative.expression) if node.op == "call"}
    is_beyond = case.id in BEYOND or words & SPECTRAL
    assert found.verdict == EQUAL or (found.verdict == NOT_SHOWN and is_beyond), (str(derivative), found)


@pytest.mark.parametrize("claim", sample("exact claims", CLAIMS, 0.2), ids=lambda claim: claim["id"])
def test_claims_are_told_apart(claim: dict[str, Any]) -> None:
    report = check_exactly(claim)
    is_beyond = claim["id"] in BEYOND and report.verdict == "could not check"
    assert is_beyond or report.verdict == claim["verdict"], report.message


def check_exactly(claim: dict[str, Any]) -> CheckReport:
    return matcalc.check(
        claim["expr"], claim["claim"], claim["wrt"], layout=claim["layout"], shapes=claim["shapes"],
        assume=claim.get("domain"), order=claim.get("order", 1), proof="exact",
        strict=claim.get("strict", False), meaning=claim.get("meaning", "free"),
    )  # fmt: skip


@pytest.mark.parametrize("case", sample("exact slips", [case for case in CASES if case.numerator]), ids=str)
def test_a_slip_is_never_shown_to_be_right(case: Case) -> None:
    for mutant in list_mutants(case):
        question = read_question(mutant)
        if question is None or question.shape(mutant.layout) != question.claim.shape:
            continue
        found, truth = prove_exactly(question), compare_with_truth(mutant)
        assert (truth, found.verdict) not in (("different", EQUAL), ("equal", DIFFERENT)), (str(mutant), found)
        assert truth != "undefined" or found.verdict != EQUAL, (str(mutant), found)


def read_question(mutant: Any) -> Question | None:
    problem = read_mutant(mutant)
    if problem is None or problem.wrt is None:
        return None
    return ask(*problem.expressions, [problem.wrt] * mutant.case.order, mutant.layout)


@pytest.mark.parametrize("first", sample("exact random", range(0, 600, 10), 0.03))
def test_random_derivatives_are_never_refuted(first: int) -> None:
    verdicts = []
    for number in range(first, first + 10):
        case = number_case(number)
        try:
            derivative = matcalc.derive(case.expr, **case.options())
        except matcalc.MatcalcError:
            continue
        question = ask(derivative.function, derivative.expression, derivative.by, case.layout)
        verdicts.append(prove_exactly(question, products=60_000).verdict)
        assert verdicts[-1] != DIFFERENT, case
    assert EQUAL in verdicts


# --- numbers are what they are ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "claim", "shapes", "agreement"),
    [
        ("x.T @ x", "2.0000000001*x.T", {}, "5e-11"),
        ("sqrt(2*pi)*x", "2.50662827463100051", {"x": ()}, "3e-18"),
        ("x/3", "0.3333333333333333", {"x": ()}, "1e-16"),
    ],
)
def test_a_rounded_number_is_no_derivative(expression: str, claim: str, shapes: Any, agreement: str) -> None:
    report = matcalc.check(expression, claim, "x", shapes=shapes)
    assert (report.verdict, report.reasons) == ("differs", ("other",))
    assert f"The numbers agree to {agreement}, but the formula is not the derivative" in report.message
    assert matcalc.check(expression, claim, "x", shapes=shapes, proof="torch").verdict == "agrees"
    assert report.correct
    assert not report


def test_decimals_are_taken_as_they_are_written() -> None:
    assert prove("0.1*x + 0.2*x", "0.3", shapes={"x": ()}).verdict == EQUAL


# --- relations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "claim", "declared"),
    [
        ("exp(x)*exp(-x)", "0", {}),
        ("log(x*y)", "1/x", {}),
        ("log(x) + log(y) - log(x*y)", "0", {}),
        ("sqrt(x)*sqrt(y) - sqrt(x*y)", "0", {"assume": {"x": "positive", "y": "positive"}}),
        ("sqrt(x**2)", "sign(x)", {}),
        ("abs(x)", "x/abs(x)", {}),
        ("sin(2*x)", "2*cos(x)**2 - 2*sin(x)**2", {}),
        ("sin(x + y)", "cos(x)*cos(y) - sin(x)*sin(y)", {}),
        ("tanh(x)", "1 - (exp(x) - exp(-x))**2/(exp(x) + exp(-x))**2", {}),
        ("sigmoid(2*x)", "(1 - tanh(x)**2)/2", {}),
        ("x**y", "y*x**(y - 1)", {}),
        ("x**(1/3)", "1/(3*x**(2/3))", {}),
        ("x**300*y**7", "300*x**299*y**7", {}),
        ("exp(x/2)**2", "exp(x)", {}),
        ("log(exp(x))", "1", {}),
        ("arctan(1/x)", "-1/(1 + x**2)", {}),
        ("erf(-x)", "-2*exp(-x**2)/sqrt(pi)", {}),
        ("relu(x)", "(1 + sign(x))/2", {}),
        ("maximum(x, y)", "where(x > y, 1, 0)", {}),
        ("relu6(x)", "where(x > 0, 1, 0)*where(x < 6, 1, 0)", {}),
        ("log(abs(x))", "1/x", {}),
        ("hardsigmoid(x*y)", "where(abs(x*y) < 3, y/6, 0)", {}),
    ],
)
def test_relations_between_functions_are_known(expression: str, claim: str, declared: Any) -> None:
    names = {"shapes": {"x": (), "y": ()}} if "y" in expression else {"shapes": {"x": ()}}
    assert prove(expression, claim, **names, **declared).verdict == EQUAL


@pytest.mark.parametrize(
    ("expression", "claim", "wrt", "assume"),
    [
        ("x.T @ A @ x", "2*x.T @ A", "x", {"A": "symmetric"}),
        ("x.T @ A @ x", "2*x.T @ A", "x", {"A": "posdef"}),
        ("trace(A @ A)", "2*A", "A", {"A": "symmetric"}),
        ("x.T @ A @ x", "zeros(n).T", "x", {"A": "skew"}),
        ("norm(Q @ x)**2", "2*x.T", "x", {"Q": "orthogonal"}),
        ("det(Q)**2*x", "eye(n)", "x", {"Q": "orthogonal"}),
        ("sum(p)*x", "eye(n)", "x", {"p": "simplex"}),
        ("sum(P, axis=1).T @ x", "ones(n).T", "x", {"P": "simplex"}),
        ("sum(P, axis=0) @ x", "ones(n).T", "x", {"P": "simplex-columns"}),
        ("sum(P, axis=1).T @ x", "ones(n).T", "x", {"P": "one-hot"}),
        ("(h*h).T @ x", "h.T", "x", {"h": "one-hot"}),
        ("norm(h)*x", "eye(n)", "x", {"h": "one-hot"}),
        ("h @ h.T @ x", "diag(h)", "x", {"h": "one-hot"}),
        ("log(h.T @ x)", "(h/x).T", "x", {"h": "one-hot", "x": "positive"}),
        ("s*s*x", "eye(n)", "x", {"s": "sign"}),
        ("sum(A @ x)", "diag(A).T", "x", {"A": "diagonal"}),
    ],
)
def test_what_is_assumed_is_used(expression: str, claim: str, wrt: str, assume: dict[str, str]) -> None:
    declared = {"shapes": {"x": ("n",), "s": (), "P": ("n", "n")}}
    if wrt == "x":
        assert prove(expression, claim, wrt, **declared, assume=assume).verdict == EQUAL
    assert prove(expression, claim, wrt, **declared).verdict != EQUAL or wrt == "A"


def test_a_structured_variable_is_differentiated_entry_by_entry() -> None:
    assert prove("logdet(S)", "inv(S)", "S", assume={"S": "posdef"}).verdict == EQUAL
    assert prove("sum(S*S)", "4*S - 2*diag(diag(S))", "S", assume={"S": "symmetric"}).verdict == DIFFERENT


@pytest.mark.parametrize("expression", ["log(1 + exp(1.0507009873554805*x) + exp(x))", "softplus(selu(x))"])
def test_the_powers_that_decimals_make_are_not_multiplied_out(expression: str) -> None:
    """exp(1.05*x) and exp(x) are powers of one exponential."""
    derivative = matcalc.derive(expression, "x", shapes={"x": ()})
    found = prove_exactly(ask(derivative.function, derivative.expression, derivative.by, "numerator"))
    assert found.verdict == EQUAL


def test_rounding_where_both_are_zero_refutes_nothing() -> None:
    """All is 0 where x is large; what 50 digits leave of it differs as much as it is."""
    declared = {"shapes": {"X": ("m", "n"), "A": ("n", "n")}, "assume": {"A": "diagonal"}}
    expression = "hardsigmoid(kron(tanh(A) @ prod(X, axis=0), matrix_power(A, 3)))"
    derivative = matcalc.derive(expression, "X", **declared)
    found = prove_exactly(ask(derivative.function, derivative.expression, derivative.by, "numerator"))
    assert found.verdict != DIFFERENT


# Forms with 45 terms; the second is the first, taken twice.
LONG, TWICE = "(a.T @ W @ a)", "(a.T @ (W + W.T) @ a)"


@pytest.mark.parametrize(
    ("expression", "claim"),
    [
        (f"{LONG}**2*x", f"({TWICE}/2)**2"),
        (f"x/(1 + {LONG}**2)", f"1/(1 + {LONG}*{TWICE}/2)"),
        (f"exp({LONG}**2)*x", f"exp({TWICE}*{LONG}/2)"),
        (f"log({LONG}**2)*x", f"2*log(abs({TWICE}/2))"),
        (f"sqrt({LONG}**2)*x", f"abs({TWICE})/2"),
        (f"log(1 + {LONG}**2)*x", f"log(4 + {TWICE}**2) - log(4)"),
    ],
)
def test_a_long_sum_is_the_same_in_any_form(expression: str, claim: str) -> None:
    assert prove(expression, claim, shapes={"x": (), "W": (9, 9), "a": (9,)}).verdict == EQUAL


@pytest.mark.parametrize("claim", ["({0})/({0})", "1/({0})*({0})", "0*log(abs({0})) + 1", "({0})**0.5*0 + 1"])
def test_what_is_0_in_disguise_is_not_divided_by(claim: str) -> None:
    zero = f"({LONG} + 1)*({LONG} - 1) - {LONG}**2 + 1"
    assert prove("x", claim.format(zero), shapes={"x": (), "W": (9, 9), "a": (9,)}).verdict != EQUAL


# --- what must not be shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "claim"),
    [
        ("x", "sign(relu(x))**2"),  # 0 on one side
        ("x", "where(relu(x) >= 0, 1, 0)*sign(relu(x))"),
        ("log(-x**2)", "2/x"),  # defined nowhere
        ("sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)"),
        ("abs(x)", "1"),
        ("sqrt(x**2)", "1"),
        ("x*det(Q)", "1"),
        ("x", "relu(x)/relu(x)"),
        ("x", "sum(y/y)/sum(y)"),  # 0/0 but for one entry
        ("abs(x)", "exp(log(x))/x"),  # no value where x < 0
        ("x", "exp(log(x)/2)**2/x"),
    ],
)
def test_what_holds_in_part_is_not_shown(expression: str, claim: str) -> None:
    assume = {"Q": "orthogonal", "y": "one-hot"}
    assume = {name: word for name, word in assume.items() if name in expression + claim}
    assert prove(expression, claim, shapes={"x": ()}, assume=assume).verdict != EQUAL


def test_what_a_branch_needs_is_not_assumed() -> None:
    rules = matcalc.inputs.current_rules().extended(
        [read_rule("mine", {"define": "where(x > 0, log(x), -x)"}, "my.toml")]
    )
    for claim, verdict in (("1/x", DIFFERENT), ("where(x > 0, 1/x, -1)", EQUAL)):
        problem = parse(["mine(x)", claim], wrt="x", shapes={"x": ()}, rules=rules)
        assert problem.wrt is not None
        found = prove_exactly(ask(*problem.expressions, [problem.wrt], "numerator"), rules)
        assert found.verdict in (verdict, NOT_SHOWN)
        assert found.verdict != EQUAL or verdict == EQUAL


def test_what_is_like_cosh_may_be_negative() -> None:
    """The entries of exp of a matrix with complex eigenvalues are cosines."""
    found = prove("sum(abs(expm(X)))", "einsum('ijab,ij->ab', expm_jacobian(X), ones(n, n))", "X", "denominator")
    assert found.verdict != EQUAL


def test_a_size_is_no_number() -> None:
    assert prove("x.T @ ones(n) * sum(ones(n))", "2*ones(n).T", shapes={"x": ("n",)}).verdict == DIFFERENT
    assert prove("trace(eye(n))*x", "n*eye(n)", shapes={"x": ("n",)}).verdict == EQUAL


def test_any_two_letters_differ() -> None:
    for count in range(2, 7):
        letters = "mnklpq"[:count]
        first, second, *_ = list_sizes(list(letters))
        pairs = [(a, b) for a in letters for b in letters if a < b]
        assert all(first[a] != first[b] or second[a] != second[b] for a, b in pairs)


# --- the report -------------------------------------------------------------------------------------------


def test_both_proofs_are_told() -> None:
    report = matcalc.derive("A @ x").check()
    start = "exactly equal in SymPy at m, n = 2, 3 and 3, 2; agrees with torch.autograd.functional.jacobian at 3 points"
    assert report.message.startswith(start)
    assert report.exact == ExactProof(EQUAL, ({"m": 2, "n": 3}, {"m": 3, "n": 2}))
    assert report.to_dict()["exact"]["sizes"] == [{"m": 2, "n": 3}, {"m": 3, "n": 2}]


def test_for_every_size_is_the_engines_word() -> None:
    report = matcalc.check("x.T @ A @ x", "x.T @ A.T + x.T @ A", "x")
    assert report.every_size
    assert report.message.endswith("identical in index form, so for every size")
    assert not matcalc.check("tanh(x)", "1 - (2*sigmoid(2*x) - 1)**2", shapes={"x": ()}).every_size


def test_one_proof_alone() -> None:
    assert matcalc.check("A @ x", "A", proof="torch").exact is None
    report = matcalc.check("A @ x", "A.T", layout="denominator", proof="exact")
    assert (report.verdict, report.points, report.max_error) == ("agrees", 0, None)
    report = matcalc.check("x.T @ x", "3*x.T", "x", proof="exact")
    assert (report.verdict, report.reasons, report.correct) == ("differs", ("other",), "2*x.T")
    assert "entry [" in report.message
    assert matcalc.check("A @ x", "A", proof="none").message == "could not check: no proof was asked for"
    with pytest.raises(matcalc.MatcalcError, match="'some' is not a proof"):
        matcalc.check("A @ x", "A", proof="some")


def test_what_is_not_shown_says_why() -> None:
    report = matcalc.check("norm(A @ X, 'nuc')", "A.T @ polar(A @ X)", "X", layout="denominator", proof="exact")
    assert report.message.startswith("could not check: not shown in SymPy: ")
    code = matcalc.check(lambda x: x * x, "diag(2*x)", "x", proof="both")
    assert code.verdict == "agrees"
    assert code.message.startswith("agrees with torch")


def test_without_torch_the_exact_finding_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    report = matcalc.check("A @ x", "A")
    assert report.verdict == "could not check"
    assert report.notes == ("exactly equal in SymPy at m, n = 2, 3 and 3, 2",)
    assert matcalc.check("A @ x", "A", proof="exact").verdict == "agrees"


@pytest.mark.parametrize(
    "call",
    [
        "matcalc.check('x.T @ x', '2*x.T', 'x', proof='exact')",
        "matcalc.check('x.T @ x', '3*x.T', 'x', proof='exact')",
        "matcalc.check('x.T @ x', '3*x', 'x', layout='vec', proof='exact')",
        "matcalc.derive('softmax(W @ x)', 'x').check(proof='exact')",
        "matcalc.derive('inv(X)').components()",
    ],
)
def test_the_exact_proof_imports_neither_torch_nor_numpy(call: str) -> None:
    code = f"import matcalc, sys; {call}; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


# --- components -------------------------------------------------------------------------------------------


def test_components_are_in_the_shape_of_the_layout() -> None:
    found = matcalc.derive("A @ x", layout="denominator").components({"m": 2, "n": 3})
    assert found.sizes == {"m": 2, "n": 3}
    assert (found.function.shape, found.derivative.shape) == ((2, 1), (3, 2))
    A, x = sympy.MatrixSymbol("A", 2, 3), sympy.MatrixSymbol("x", 3, 1)
    assert found.function[1, 0] == sum(A[1, k] * x[k, 0] for k in range(3))
    assert found.derivative[2, 1] == A[1, 2]


def test_components_of_higher_rank_are_arrays() -> None:
    found = matcalc.derive("inv(X)").components({"n": 2})
    assert isinstance(found.derivative, sympy.ImmutableDenseNDimArray)
    assert found.derivative.shape == (2, 2, 2, 2)
    X = sympy.MatrixSymbol("X", 2, 2)
    truth = X.as_explicit().inv()[0, 1].diff(X[1, 0])
    assert sympy.simplify(found.derivative[0, 1, 0, 1] - truth) == 0


def test_components_of_a_function_without_a_formula_are_its_derivatives() -> None:
    found = matcalc.derive("u(x)", shapes={"u": ("m",), "x": ("n",)}).components({"m": 2, "n": 2})
    x = sympy.MatrixSymbol("x", 2, 1)
    assert found.derivative[1, 0] == sympy.Derivative(sympy.Function("u_1")(x[0, 0], x[1, 0]), x[0, 0])


def test_components_of_a_function_without_a_formula_of_something_else() -> None:
    shapes = {"u": ("k",), "A": ("m", "n"), "x": ("n",)}
    found = matcalc.derive("u(A @ x)", "x", shapes=shapes).components({"k": 1, "m": 2, "n": 2})
    A, x = sympy.MatrixSymbol("A", 2, 2).as_explicit(), sympy.MatrixSymbol("x", 2, 1).as_explicit()
    first, second = A @ x

    def put(expression: Any) -> Any:
        return expression.replace(sympy.Function("u_0"), lambda a, b: sympy.sin(a) * b**2).doit()

    for place in range(2):
        truth = (sympy.sin(first) * second**2).diff(x[place])
        assert sympy.simplify(put(sympy.sympify(found.derivative[place])) - truth) == 0


def test_components_of_too_many_entries_are_refused() -> None:
    with pytest.raises(matcalc.MatcalcError, match="entries, more than"):
        matcalc.derive("A @ X", "X").components({"m": 9, "n": 9})
    with pytest.raises(matcalc.MatcalcError, match="there is no size q"):
        matcalc.derive("A @ x").components({"q": 2})


# --- the command ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["derive", "A @ x", "--proof", "exact"], 0, "check   exactly equal in SymPy at m, n = 2, 3 and 3, 2\n"),
        (["derive", "A @ x", "--proof", "none"], 0, "formula       A\n"),
        (["check", "A @ x", "--claim", "A", "--proof", "exact"], 0, "agrees: exactly equal in SymPy at m, n"),
        (["check", "A @ x", "--claim", "2*A", "--proof", "exact"], 1, "derivative  A  "),
        (["check", "A @ x", "--claim", "A", "--proof", "none"], 3, "could not check: no proof was asked for"),
        (["check", "x.T @ x", "--claim", "2.0000000001*x.T"], 1, "The numbers agree to 5e-11"),
    ],
)
def test_the_command_takes_the_proof(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert told in capsys.readouterr().out


def test_without_a_check_sympy_is_not_imported() -> None:
    run = "main(['derive', 'A @ x', '--no-check'])"
    code = f"import sys; from matcalc.cli import main; {run}; print('sympy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("False\n"), done.stderr


@pytest.mark.parametrize("claim", ["2*x/(7*x)**0.99999999", "x/((x + 1)/7)**0.99999999", "x/(x.T @ x/7)**0.99999999"])
def test_a_number_is_not_raised_to_a_hundred_million(claim: str) -> None:
    """An exponent next to a whole number is a root of a high degree; its inverse has the coefficient to that power."""
    report = matcalc.check("x.T @ x", claim, "x", layout="denominator", assume={"x": "positive"})
    assert report.verdict == "differs", report.message
