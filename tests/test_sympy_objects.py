"""A derivative is a SymPy object where SymPy wants one, `matcalc.sympy.diff` works on them, entries are variables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sympy as sp

import matcalc
from matcalc import MatcalcError, check, derive
from matcalc.sympy import diff
from tests.sympy_reading import read_sympy_value

n, m = sp.symbols("n m", integer=True, positive=True)
i, j, t = sp.symbols("i j t")
A, X, x = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("X", n, n), sp.MatrixSymbol("x", n, 1)
B, r = sp.MatrixSymbol("B", n, m), sp.MatrixSymbol("r", 1, n)

# --- a derivative as a SymPy object -------------------------------------------------------------------


def test_sympy_takes_a_derivative_for_what_it_is() -> None:
    derivative = derive(x.T * A * x, x, layout="denominator")
    assert sp.sympify(derivative) == (A + A.T) * x
    assert x + derivative == derivative + x == x + (A + A.T) * x
    assert t * derivative == t * (A + A.T) * x
    assert t + derive("c**2", "c", shapes={"c": ()}) == t + 2 * sp.Symbol("c")


def test_sympy_prints_a_derivative() -> None:
    derivative = derive(x.T * A * x, x, layout="denominator")
    assert sp.latex(derivative) == derivative.latex()
    assert sp.pretty(derivative) == sp.pretty((A + A.T) * x)
    assert sp.sstr(derivative) == str(derivative)


def test_what_sympy_has_no_word_for_is_printed_all_the_same() -> None:
    derivative = derive("expm(X) @ X", "X")
    assert sp.pretty(derivative, use_unicode=True, wrap_line=False) == derivative.unicode()
    with pytest.raises(MatcalcError, match="SymPy has no word"):
        sp.sympify(derivative)


# --- sympy.diff ---------------------------------------------------------------------------------------


def test_diff_takes_and_returns_sympy_objects() -> None:
    assert diff(x.T * A * x, x) == matcalc.sympy.diff(x.T * A * x, x) == (A + A.T) * x
    assert diff(x.T * A * x, x, layout="numerator") == x.T * (A + A.T)
    assert diff(sp.Trace(A * X), X) == A.T
    assert diff(A * x, x) == A.T
    assert diff(x.T * A * x, x, 2) == diff(x.T * A * x, x, x) == A + A.T
    assert diff(t**3 * sp.Trace(X), (t, 2)) == 6 * t * sp.Trace(X)
    assert diff(t**3 * sp.Trace(X), t, X) == 3 * t**2 * sp.Identity(n)
    assert diff(sp.Trace(A), X) == sp.ZeroMatrix(n, n)
    with pytest.raises(MatcalcError, match="no variable is given"):
        diff(sp.Trace(A))


# --- an entry as the variable -------------------------------------------------------------------------


def explicit(size: int) -> dict[Any, Any]:
    return {n: sp.Integer(size), m: sp.Integer(size - 1)}


FUNCTIONS = [
    (sp.Trace(A * X * X), X), (sp.Trace(X), X), (A * X * x, X), (X, X), (X.T * A * X, X), (A * x, x), (x * x.T, x),
    (X[0, 1] * X[1, 0] * t, X), (sp.Sum(X[i, j] ** 2 * x[j, 0], (i, 0, n - 1), (j, 0, n - 1)), X), (r * A * r.T, r),
    ((B * B.T), B), (sp.Trace(A), X),
]  # fmt: skip


@pytest.mark.parametrize(("function", "variable"), FUNCTIONS, ids=str)
@pytest.mark.parametrize("place", [(0, 1), (1, 0), (1, 1)])
def test_the_derivative_by_an_entry_is_sympys_own(function: Any, variable: Any, place: tuple[int, int]) -> None:
    """Written out at a small size SymPy differentiates entry by entry."""
    place = tuple(0 if size == 1 else at for at, size in zip(place, variable.shape, strict=True))
    claimed = diff(function, variable[place], layout="torch")
    small = function.subs(explicit(3)).doit()
    small = sp.Matrix(small.as_explicit()) if getattr(small, "is_Matrix", False) else sp.Matrix([[small]])
    small = small.xreplace({trace: sp.Matrix(trace.arg.as_explicit()).trace() for trace in small.atoms(sp.Trace)})
    wrt = variable.subs(explicit(3))
    entry = sp.Symbol("entry")
    truth = small.xreplace({wrt[place]: entry}).diff(entry).xreplace({entry: wrt[place]})
    generator = np.random.default_rng(1)
    shapes = {"A": (3, 3), "X": (3, 3), "x": (3, 1), "B": (3, 2), "r": (1, 3)}
    values: dict[str, Any] = {name: generator.uniform(0.2, 1, shape) for name, shape in shapes.items()}
    values |= {"t": 0.7, "n": 3, "m": 2}
    found, true = (np.squeeze(read_sympy_value(each, values)) for each in (claimed, truth))
    np.testing.assert_allclose(found, true, rtol=1e-10)


@pytest.mark.parametrize(("function", "variable"), FUNCTIONS, ids=str)
def test_the_derivative_by_an_entry_agrees_in_each_layout(function: Any, variable: Any) -> None:
    places = [0 if size == 1 else place for size, place in zip(variable.shape, (i, j), strict=True)]
    derivative = derive(function, variable[tuple(places)])
    for layout in ("numerator", "denominator", "mixed", "torch", "vec"):
        assert derivative.in_layout(layout).check().verdict == "agrees"
    assert any("is the entry" in note for note in derivative.notes)


def test_an_entry_by_an_entry_is_a_kronecker_delta() -> None:
    k, h = sp.symbols("k h")
    assert diff(X[i, j], X[i, j]) == 1
    assert diff(X[0, 1], X[1, 0]) == 0
    over = (0, n - 1)
    assert diff(X[i, j], X[k, h]) == sp.KroneckerDelta(i, k, over) * sp.KroneckerDelta(j, h, over)
    assert diff(sp.Trace(X * A), X[i, j]) == A[j, i]
    assert diff(sp.log(sp.Determinant(X)), X[1, 0]) == X.I[0, 1]
    assert diff(sp.Trace(X * A * X * A), X[0, 1], X[1, 0]) == 2 * A[0, 0] * A[1, 1]
    assert diff(t**2 * sp.Trace(X * A) ** 2, X[0, 1], 2, t, 2) == 4 * A[1, 0] ** 2
    assert diff(x.T * A * x, A[0, 1], x[0, 0]) == x[1, 0]


def test_a_claim_about_an_entry_is_judged() -> None:
    assert check(sp.Trace(X * A), A[1, 0], X[0, 1]).verdict == "agrees"
    assert check(sp.Trace(X * A), A[j, i], X[i, j]).verdict == "agrees"
    report = check(sp.Trace(X * A), A[i, j], X[i, j])
    assert report.verdict == "differs"
    assert report.correct == "e_j.T @ A @ e_i"
    assert check(sp.Trace(X * A), A[0, 1], X[0, 1]).verdict == "differs"


def test_what_an_entry_cannot_be_asked_is_refused() -> None:
    derivative = derive(sp.Trace(A * X), X[0, 1])
    for ask in (lambda: derivative.steps, derivative.code, derivative.chain):
        with pytest.raises(MatcalcError, match="by a whole variable"):
            ask()
    with pytest.raises(MatcalcError, match="derives by it once"):
        derive(sp.Trace(A * X), X[0, 1], order=2)
    with pytest.raises(MatcalcError, match="no entry of a variable"):
        derive(X, X.I[0, 1])


def test_entries_are_told_apart_from_variables_of_their_name() -> None:
    derivative = derive(sp.Symbol("X_01") * sp.Trace(A * X), X[0, 1])
    assert derivative.wrt.name == "X_01_"
    assert derivative.check().verdict == "agrees"


def test_every_pair_of_indices_has_its_own_entry() -> None:
    values = {"A": np.arange(9.0).reshape(3, 3) + 1, "n": 3}
    for place in itertools.product(range(2), range(2)):
        found = read_sympy_value(diff(sp.Trace(A * X), X[place]), values)
        assert found == values["A"][place[1], place[0]]
