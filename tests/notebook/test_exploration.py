"""The explorer's state without widgets: whatever is entered, what it says belongs together."""

import pytest

from matcalc.errors import DeclarationError, MatcalcError
from matcalc.notebook.exploration import Exploration, FieldTrouble, attempt, explore_state, join_lines
from matcalc.notebook.pages import (
    CODE_KINDS,
    MOST_ENTRIES,
    choose_shown_sizes,
    write_answer_page,
    write_claim_page,
    write_code_page,
    write_graph_page,
    write_heat_page,
    write_steps_page,
    write_troubles,
)

LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")


def list_rows(state: Exploration) -> dict[str, tuple[str, str]]:
    return {variable.name: (variable.shape, variable.how) for variable in state.variables}


def list_fields(state: Exploration) -> list[str]:
    return [trouble.field for trouble in state.troubles]


# --- the table of variables -----------------------------------------------------------------------


def test_the_table_is_filled_by_inference_in_the_letters_of_the_answer():
    state = explore_state("norm(A@x - b)**2")
    assert list_rows(state) == {"A": ("(p, n)", "inferred"), "x": ("(n,)", "inferred"), "b": ("(p,)", "inferred")}
    assert state.derivative is not None
    assert all(f"{name}: {shape}" in state.derivative.declaration for name, (shape, _) in list_rows(state).items())


def test_another_variable_gets_the_first_letters():
    by_b = explore_state("norm(A@x - b)**2").turn(wrt="b")
    assert list_rows(by_b)["b"] == ("(n,)", "inferred")


def test_a_declared_shape_changes_what_is_inferred_of_the_others():
    state = explore_state("A @ x").declare("shapes", "A", "5, q")
    assert list_rows(state) == {"A": ("(5, q)", "declared"), "x": ("(q,)", "inferred")}
    assert str(state.derivative.shape) == "(5, q)"


@pytest.mark.parametrize("text", ["q,q", "(q, q)", "q × q", "[q]q"])
def test_a_shape_may_be_spelled_in_several_ways_or_is_refused_in_its_own_field(text):
    state = explore_state("A @ x").declare("shapes", "A", text)
    if "[" in text:
        assert list_fields(state) == ["shape of A"]
    else:
        assert list_rows(state)["A"] == ("(q, q)", "declared")


def test_an_empty_shape_is_inferred_again():
    state = explore_state("A @ x", shapes={"A": ("q", "q")}).declare("shapes", "A", "  ")
    assert list_rows(state)["A"] == ("(m, n)", "inferred")


def test_a_scalar_may_be_declared():
    state = explore_state("c*x").declare("shapes", "c", "scalar")
    assert list_rows(state)["c"] == ("scalar", "declared")
    assert str(state.derivative) == "c*eye(n)"


def test_an_assumption_changes_the_answer():
    state = explore_state("x.T @ A @ x", layout="denominator").declare("assume", "A", "symmetric")
    assert str(state.derivative) == "2*A @ x"
    assert next(variable.assumed for variable in state.variables if variable.name == "A") == "symmetric"


def test_abstract_functions_have_a_row_and_a_shape_to_declare():
    state = explore_state("u(A @ x)")
    assert [variable.name for variable in state.variables if variable.is_function] == ["u"]
    assert "u" not in state.reading.names
    declared = state.declare("shapes", "u", "7")
    assert [str(size) for size in declared.derivative.shape] == ["7", "n"]


def test_declarations_last_as_long_as_the_name_does():
    state = explore_state("A @ x").declare("shapes", "A", "q,q").declare("assume", "A", "symmetric")
    longer = state.turn(expr="x.T @ A @ x + b.T @ x")
    assert list_rows(longer)["A"] == ("(q, q)", "declared")
    gone = longer.turn(expr="B @ x")
    assert gone.turn(expr="A @ x").question.shapes == {}
    assert list_rows(gone.turn(expr="A @ x"))["A"] == ("(m, n)", "inferred")


def test_declarations_outlast_an_expression_that_cannot_be_read():
    state = explore_state("A @ x").declare("shapes", "A", "q,q")
    assert list_rows(state.turn(expr="A @").turn(expr="A @ x"))["A"] == ("(q, q)", "declared")


def test_declarations_of_names_of_the_claim_are_kept():
    state = explore_state("A @ x", shapes={"c": ()}, claim="c*A")
    assert state.claim_report.variables["c"] == ()


# --- errors belong to fields ----------------------------------------------------------------------


WRONG = [
    "A @@ x", "", "  ", "x @ A", "foo(x)", "x[0", "x[0, 0, 0]", "A @", "((((", "9**9**9*x", "x = 3", "\x00", "'",
    "import os",
]  # fmt: skip


@pytest.mark.parametrize("expr", WRONG)
def test_a_wrong_expression_has_no_answer_and_says_why(expr):
    state = explore_state("A @ x", claim="A").turn(expr=expr)
    assert list_fields(state) == ["expression"]
    assert state.derivative is state.report is state.claim_report is None
    assert (write_answer_page(state), write_claim_page(state)) == ("", "")
    assert state.turn(expr="A @ x").claim_report.verdict == "agrees"


def test_the_caret_stands_under_the_place():
    (trouble,) = explore_state("A @ x + x.T @ x.T").troubles
    lines = trouble.message.splitlines()
    assert lines[1][lines[2].index("^") :][: lines[2].count("^")] == "x.T @ x.T"


def test_an_expression_without_a_variable_says_so():
    state = explore_state("3 + 4")
    assert list_fields(state) == ["expression"]
    assert "no variable" in state.troubles[0].message


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        ("shapes", "3x4", "shape of A"), ("shapes", "0, n", "shape of A"), ("shapes", "m,n,k", "shape of A"),
        ("shapes", "x, n", "shape of A"), ("shapes", "1e9", "shape of A"), ("shapes", "(3,", "shape of A"),
        ("assume", "sym", "assumptions of A"), ("assume", "symmetric; x: positive", "assumptions of A"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_blamed_where_it_stands(kind, text, field):
    state = explore_state("A @ x").declare(kind, "A", text)
    assert list_fields(state) == [field]
    assert state.derivative is None
    assert "A" in list_rows(state)
    assert state.declare(kind, "A", "").derivative is not None


def test_a_shape_that_does_not_fit_the_expression_is_blamed_with_the_caret():
    state = explore_state("inv(A) @ x").declare("shapes", "A", "m, n")
    assert list_fields(state) == ["shape of A"]
    assert "^" in state.troubles[0].message


def test_an_assumption_that_does_not_fit_is_blamed():
    assert list_fields(explore_state("A @ x").declare("assume", "x", "symmetric")) == ["assumptions of x"]


def test_two_declarations_that_only_fail_together_are_blamed_on_the_table():
    state = explore_state("A @ x").declare("shapes", "A", "2, 3").declare("shapes", "x", "4")
    # Without either of them the expression can be read: the first is named.
    assert list_fields(state) == ["shape of A"]
    both_wrong = explore_state("inv(A) @ inv(B) @ x", shapes={"A": ("2", "3"), "B": ("4", "5")})
    assert list_fields(both_wrong) == ["variables"]


def test_every_wrong_field_has_its_own_error():
    state = explore_state("A @ x").declare("shapes", "A", "?").declare("assume", "x", "nice")
    assert list_fields(state) == ["shape of A", "assumptions of x"]


def test_an_order_that_has_no_derivative_is_blamed_on_the_order():
    state = explore_state("expm(X)")
    assert state.derivative is not None
    second = state.turn(order=2)
    assert list_fields(second) == ["order"]
    assert second.turn(order=1).report.verdict == "agrees"


@pytest.mark.parametrize(
    "given", [{"layout": "sideways"}, {"order": 0}, {"order": 4}, {"shapes": "no"}, {"shapes": 3}, {"assume": "A"}]
)
def test_a_call_that_makes_no_sense_raises(given):
    with pytest.raises(MatcalcError):
        explore_state("A @ x", **given)


def test_an_error_that_nobody_foresaw_is_one_sentence():
    _, trouble = attempt("claim", lambda: 1 // 0)
    told = "this did not work, which is a mistake in matcalc: ZeroDivisionError: integer division or modulo by zero"
    assert trouble == FieldTrouble("claim", told)


def test_an_interruption_is_told_and_not_kept():
    def interrupt():
        raise KeyboardInterrupt

    _, trouble = attempt("expression", interrupt)
    assert "interrupted" in trouble.message


# --- the variable ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("expr", "wrt"), [("y*x", "x"), ("A @ X", "X"), ("b.T @ A @ c", "b"), ("logdet(M)", "M")])
def test_the_variable_is_chosen_as_derive_does_else_the_first(expr, wrt):
    assert explore_state(expr).wrt == wrt


def test_a_variable_that_vanishes_gives_way_and_is_told():
    state = explore_state("norm(X@w - y)**2", "w")
    other = state.turn(expr="A @ x")
    assert (other.wrt, other.derivative.wrt.name) == ("x", "x")
    assert other.wrt_note == "w is no variable of this expression; the derivative is by x"
    assert other.turn(claim="A").wrt_note == other.wrt_note
    assert other.turn(expr="B @ x").wrt_note == ""


def test_a_variable_survives_an_expression_that_cannot_be_read():
    state = explore_state("norm(X@w - y)**2", "w").turn(expr="norm(X@").turn(expr="norm(X@w)")
    assert (state.wrt, state.wrt_note) == ("w", "")


def test_a_name_that_is_no_variable_from_the_start_is_told():
    assert explore_state("A @ x", "q").wrt_note.startswith("q is no variable")
    assert explore_state("p = A @ x; norm(p)", "p").wrt == "x"


# --- layouts and orders ---------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("expr", "wrt"), [("A @ x", "x"), ("norm(X@w - y)**2", "w"), ("A @ X @ B", "X"), ("x*2", "x")])
def test_a_flip_gives_what_deriving_in_that_layout_gives(expr, wrt, layout):
    turned, fresh = explore_state(expr, wrt).turn(layout=layout), explore_state(expr, wrt, layout=layout)
    assert (str(turned.derivative), turned.derivative.shape) == (str(fresh.derivative), fresh.derivative.shape)
    assert turned.report.verdict == "agrees"
    assert turned.report.layout == layout


def test_a_flip_derives_nothing_again_and_remembers_the_layout_before():
    state = explore_state("A @ X @ B", "X")
    turned = state.turn(layout="denominator")
    assert turned.derivative.result is state.derivative.result
    assert turned.earlier is state.derivative
    assert turned.turn(claim="A").earlier is state.derivative
    assert turned.turn(order=2).earlier is None
    assert turned.turn(expr="A @ X").earlier is None


def test_a_claim_alone_leaves_derivative_and_proof_as_they_are():
    state = explore_state("A @ x")
    assert state.report is not None
    after = state.turn(claim="A")
    assert after.derivative is state.derivative
    assert after.report is state.report


def test_orders_repeat_the_axes_of_the_variable():
    state = explore_state("x.T @ A @ x")
    ranks = [len(state.turn(order=order).derivative.shape) for order in (1, 2, 3)]
    assert ranks == [1, 2, 3]
    assert str(state.turn(order=2).derivative) == "A + A.T"


# --- claims ---------------------------------------------------------------------------------------


def test_a_claim_is_judged_again_whenever_something_changes():
    state = explore_state("x.T @ A @ x", claim="2*A @ x", layout="denominator")
    assert (state.claim_report.verdict, state.claim_report.reasons) == ("differs", ("symmetric-only",))
    assert state.declare("assume", "A", "symmetric").claim_report.verdict == "agrees"
    assert state.turn(claim="(A + A.T) @ x").claim_report.verdict == "agrees"
    assert state.turn(claim="2*A", order=2).claim_report.reasons == ("symmetric-only",)
    flipped = explore_state("A @ x", claim="A").turn(layout="denominator")
    assert flipped.claim_report.fits == ("numerator", "torch", "vec")
    assert state.turn(expr="x.T @ x", claim="2*x").claim_report.verdict == "agrees"
    assert state.turn(expr="x.T @ x").claim_report.verdict == "differs"


@pytest.mark.parametrize("claim", ["", "   "])
def test_no_claim_is_no_judgement(claim):
    state = explore_state("A @ x", claim=claim)
    assert state.claim_report is state.claim_trouble is None


@pytest.mark.parametrize("claim", ["A @@", "foo(A)", "A[0", "%"])
def test_a_claim_that_cannot_be_read_is_its_own_trouble(claim):
    state = explore_state("A @ x", claim=claim)
    assert state.claim_report is None
    assert state.claim_trouble.field == "claim"
    assert "^" in state.claim_trouble.message
    assert state.report.verdict == "agrees"


def test_a_claim_that_cannot_be_read_counts_as_no_answer_to_the_one_before():
    state = explore_state("A @ x", claim="A")
    assert state.claim_report.verdict == "agrees"
    assert state.turn(claim="A @").claim_report is None


def test_a_claim_is_judged_where_the_engine_has_no_derivative():
    state = explore_state("expm(X)", order=2, claim="X")
    assert state.derivative is None
    assert state.claim_report.verdict == "differs"


# --- texts ----------------------------------------------------------------------------------------


def test_several_lines_become_one():
    assert join_lines("p = softmax(A @ x)\n\ndiag(p) - p @ p.T") == "p = softmax(A @ x); diag(p) - p @ p.T"
    state = explore_state("p = softmax(x)\nsum(\n  p)")
    assert state.question.expr == "p = softmax(x); sum( p)"
    assert state.derivative is not None


def test_an_expression_of_sympy_brings_its_shapes_along():
    import sympy

    n = sympy.Symbol("n")
    matrix, vector = sympy.MatrixSymbol("M", n, n), sympy.MatrixSymbol("z", n, 1)
    state = explore_state(vector.T * matrix * vector, "z", layout="denominator")
    assert str(state.derivative) == "(M + M.T) @ z"


def test_greek_letters_may_be_declared():
    assert list_rows(explore_state("α*x"))["α"] == ("scalar", "inferred")
    assert explore_state("α*x").declare("shapes", "α", "n").derivative is not None


# --- pages ----------------------------------------------------------------------------------------


def test_the_answer_says_shape_layout_and_verdict():
    page = write_answer_page(explore_state("A @ X @ B", "X", layout="denominator"))
    assert "denominator layout, shape (n, k, l, m)" in page
    assert "agrees" in page
    assert 'role="status"' in page


def test_the_judgement_says_what_is_wrong():
    page = write_claim_page(explore_state("A @ x", claim="A", layout="denominator"))
    assert "differs" in page
    assert "transpose" in page


@pytest.mark.parametrize("backend", CODE_KINDS)
def test_the_code_can_be_copied(backend):
    derivative = explore_state("norm(A@x - b)**2").derivative
    source = derivative.autograd_function() if backend == "autograd" else derivative.code(backend)
    import html

    page = html.unescape(write_code_page(derivative, backend))
    assert source in page
    assert "<button" in page


def test_steps_and_graph_are_written():
    derivative = explore_state("norm(A@x - b)**2").derivative
    assert "power rule" in write_steps_page(derivative)
    assert "Reverse mode" in write_graph_page(derivative)


def test_what_a_reader_typed_is_never_a_tag():
    page = write_troubles(explore_state("<img src=x onerror=alert(1)>").troubles)
    assert "<img" not in page
    assert 'role="alert"' in page


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("expr", "wrt", "order"),
    [("A @ x", "x", 1), ("norm(x)**2", "x", 1), ("A @ X @ B", "X", 1), ("logdet(X)", "X", 2), ("x.T @ x", "x", 2),
     ("c*2", "c", 1), ("u(x)", "x", 1), ("X*x.T", "X", 1)],
)  # fmt: skip
def test_the_heat_map_is_drawn_in_every_layout(expr, wrt, order, layout):
    shapes = {"c": ()} if "c" in expr else None
    state = explore_state(expr, wrt, order=order, layout=layout, shapes=shapes)
    page = write_heat_page(state.derivative, choose_shown_sizes(state.derivative, {}))
    assert "<svg" in page


def test_the_heat_map_is_of_the_chosen_sizes_and_another_seed_is_another_point():
    derivative = explore_state("norm(A@x)**2", "A").derivative
    sizes = choose_shown_sizes(derivative, {"m": 7, "n": 2, "k": 5})
    pages = [write_heat_page(derivative, sizes, seed) for seed in (0, 1, 0)]
    assert f"({sizes[str(derivative.shape[0])]}, {sizes[str(derivative.shape[1])]})" in pages[0]
    assert pages[0] == pages[2] != pages[1]


def test_a_jacobian_that_is_too_large_is_refused_before_it_is_computed():
    derivative = explore_state("A @ X @ B", "X").derivative
    with pytest.raises(MatcalcError, match=f"{MOST_ENTRIES:,}"):
        write_heat_page(derivative, dict.fromkeys(derivative.letters, 50))


def test_a_network_of_32_layers_goes_all_the_way():
    text = "x"
    for layer in range(1, 33):
        text = f"tanh(W_{layer} @ {text})"
    state = explore_state(f"sum({text})", "W_1", claim="W_1").turn(layout="denominator")
    assert (state.report.verdict, state.claim_report.verdict) == ("agrees", "differs")
    assert len(state.variables) == 33
    assert "g_{1}" in write_answer_page(state)
    derivative = state.derivative
    pages = [write_steps_page(derivative), write_graph_page(derivative), write_code_page(derivative, "torch")]
    assert all(len(page) < 10**6 for page in pages)


def test_a_call_without_arguments_to_speak_of():
    state = explore_state("norm(A@x - b)**2", order=1)
    assert isinstance(state.question.order, int)
    with pytest.raises(DeclarationError):
        explore_state("A @ x", order="x")
