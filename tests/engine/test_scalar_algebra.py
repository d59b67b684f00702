"""Scalar algebra: an answer is as short as a book prints it, and what is not shorter or not safe stays as it is."""

from __future__ import annotations

import io
import subprocess
import sys
import tokenize

import pytest

import matcalc
from matcalc.engine import scalar_algebra
from matcalc.engine.expression_to_index import convert
from matcalc.engine.index_form import Graph
from matcalc.language.text_to_expression import parse

SHORTER = [
    ("x/(1+x)", "x", "diag(1/(1 + x)**2)"),
    ("-sum(y*log(sigmoid(X@w)) + (1-y)*log(1-sigmoid(X@w)))", "w", "X.T @ (sigmoid(X @ w) - y)"),
    ("sum(log(cosh(x)))", "x", "tanh(x)"),
    ("sum(log(1/(A@x)))", "x", "-A.T @ (1/(A @ x))"),
    ("sum(V*log(V/(W@H)))", "H", "-W.T @ (V/(W @ H))"),
    ("sum((x**2-1)/(x-1))", "x", "ones(n)"),
    ("sum((A@x)**2*(A@x)*(A@x))", "x", "4*A.T @ (A @ x)**3"),
    ("log(abs(det(A @ diag(x))))", "x", "1/x"),
    ("logdet(diag(t) @ S @ diag(t))", "t", "2/t"),
    ("sum(maximum(0, z))", "z", "where(z > 0, 1, 0)"),
    ("sum(maximum(z, 0))", "z", "where(z >= 0, 1, 0)"),
    ("sum(maximum(x, x))", "x", "ones(n)"),
    ("sum(where(x > 0, x, exp(x) - 1))", "x", "where(x > 0, 1, exp(x))"),
    ("sum(where(abs(r) <= 1, r**2/2, abs(r) - 1/2))", "r", "where(abs(r) <= 1, r, sign(r))"),
    ("sum(exp(x)/(1+exp(x)))", "x", "exp(x)/(1 + exp(x))**2"),
    ("sum((x-y)**2/(x+y))", "x", "(x - y)*(x + 3*y)/(x + y)**2"),
    ("sum(0.044715*x**3)", "x", "0.134145*x**2"),
    ("sum(sin(x)/cos(x))", "x", "1 + tan(x)**2"),
    ("sum(y*(1 + 1/(exp(x)+1))/((exp(x)+1)*(exp(x)+2)))", "y", "1/(exp(x) + 1)**2"),
    ("trace(A @ cov(X))", "X", "(A + A.T) @ (X - mean(X, axis=1, keepdims=True))/(k - 1)"),
]


@pytest.mark.parametrize(("text", "wrt", "answer"), SHORTER)
def test_a_part_computed_entry_by_entry_is_as_short_as_in_a_book(text: str, wrt: str, answer: str) -> None:
    assert str(matcalc.derive(text, wrt, layout="denominator")) == answer


KEPT = [
    ("sum(x*sigmoid(x))", "x*sigmoid(x)*(1 - sigmoid(x)) + sigmoid(x)"),  # one sum of three terms is not shorter
    ("sum(tanh(x)**2)", "2*tanh(x)*(1 - tanh(x)**2)"),
    ("sum(sigmoid(x)**2)", "2*sigmoid(x)**2*(1 - sigmoid(x))"),
    ("sum(exp(-x)/(1+exp(-x)))", "-exp(-x)/(1 + exp(-x))**2"),  # exp(x) would overflow where exp(-x) does not
    ("sum(log(x)/x)", "1/x**2 - log(x)/x**2"),
    ("sum(2*x/(1+exp(x)))", "2*(1/(1 + exp(x)) - x*exp(x)/(1 + exp(x))**2)"),  # no sigmoid without its numerator
    ("norm(x/norm(x) - y)**2", "2*((x.T @ y)*x/norm(x)**3 - y/norm(x))"),  # numbers made of all of x stay
]


@pytest.mark.parametrize(("text", "answer"), KEPT)
def test_what_would_not_be_shorter_or_overflow_sooner_stays(text: str, answer: str) -> None:
    assert str(matcalc.derive(text, "x", layout="denominator")) == answer


def test_the_order_of_a_sum_is_not_that_of_a_form_that_was_tried_and_left() -> None:
    derivative = matcalc.derive("-sum(y*log(sigmoid(X@w)) + (1-y)*log(1-sigmoid(X@w)))", "w", layout="numerator")
    assert str(derivative) == "(sigmoid(X @ w) - y).T @ X"


def test_sympy_is_imported_only_where_something_may_become_shorter() -> None:
    program = "import sys, matcalc; str(matcalc.derive({!r}, 'x')); print('sympy' in sys.modules)"
    for text, imported in (("norm(A@x - b)**2", "False"), ("sum(log(1 + exp(x)))", "False"), ("x/(1+x)", "True")):
        run = subprocess.run([sys.executable, "-c", program.format(text)], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == imported, text


LENGTHS = ["x", "2*x", "-x", "3*x*y", "(x + y)*z", "2*(x + y)", "(x + y)*(y + z)", "x + 2*y - z", "x**2", "(x + y)**2",
           "y/x", "z/(x + y)", "y/x**2", "sin(x)", "sin(x + 2*y)*z"]  # fmt: skip


@pytest.mark.parametrize("text", LENGTHS)
def test_the_length_of_a_form_is_the_number_of_its_tokens(text: str) -> None:
    graph = Graph()
    node = convert(graph, parse(text).expressions[0]).node
    words = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.string.strip()]
    assert scalar_algebra._Lengths(graph).of(node) == len(words)
