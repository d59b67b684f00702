"""What an error says to write can be written: it is read, and it derives."""

from __future__ import annotations

import re

import pytest

import matcalc
from matcalc import MatcalcError
from matcalc.language.explain_calls import _ABSENT, _OTHER_NAMES
from matcalc.language.text_to_expression import parse
from matcalc.rule_files import shipped_rules
from tests.language.test_language_errors import ADVICE

SHAPES = {"X": ("n", "n"), "Y": ("n", "n"), "A": ("n", "n"), "B": ("n", "n")}
FURTHER = [
    "norm(X, 1, axis=0)", "norm(X, 2, axis=1)", "det(X, axis=0)", "exp(X, axis=0)", "asinh(x)", "erfcc(x)",
    "arctan2(y)", "Std(x)", "inverse(X)", "clamp(x)", "nansum(x)", "acos(x)", "logit(x, y)", "mean(x, y)",
    "var(X, dim=1)", "sum(X, keepdim=True)", "max(X, 0)", "max(x, y)", "norm(X, 1)", "norm(x, inf)", "trace(x)",
    "dot(A, x)", "solve(x, A)", "leaky_relu(x, y, y)", "kron(x)", "layernorm(x)",
]  # fmt: skip


def find_advice(text: str) -> str:
    with pytest.raises(MatcalcError) as refused:
        parse(text, shapes=SHAPES, choose_wrt=True)
    return refused.value.advice or ""


def list_written(advice: str) -> list[str]:
    """The formulas that an advice says to write."""
    found = re.search(r"write (.*)", advice)
    ends = r" entry by entry|, the (?:sum|Frobenius)|, which|, since|; else| for | of "
    told = re.split(ends, found[1])[0] if found else ""
    return [part for part in re.split(r" or ", told) if re.search(r"[()@*/+-]|\.T", part) and "what" not in part]


def check_written(text: str) -> None:
    problem = parse(text, shapes={name: shape for name, shape in SHAPES.items() if name in text})
    if problem.symbols:
        assert matcalc.derive(text, next(iter(problem.symbols)), shapes={
            name: shape for name, shape in SHAPES.items() if name in problem.symbols
        }).check().verdict == "agrees", text  # fmt: skip


@pytest.mark.parametrize("name", _OTHER_NAMES)
def test_another_name_is_answered_with_the_right_word(name: str) -> None:
    form = _OTHER_NAMES[name]
    of_matrices = re.search(r"(trace|inv|pinv|logabsdet|det|expm|diag)\(", form) is not None
    given = ["n"] if form.startswith("eye") else ["X", "Y"] if of_matrices else ["x", "y"]
    if name in ("matmul", "mm", "mv"):
        given = ["A", "x"]
    advice = find_advice(f"{name}({', '.join(given if '{1}' in form else given[:1])})")
    assert advice.startswith("write ")
    check_written(advice.removeprefix("write "))


def test_no_function_of_the_language_is_said_to_have_another_name() -> None:
    assert not (set(_OTHER_NAMES) | set(_ABSENT)) & set(shipped_rules().functions)


@pytest.mark.parametrize("text", [*ADVICE, *FURTHER])
def test_what_an_error_says_to_write_derives(text: str) -> None:
    for written in list_written(find_advice(text)):
        check_written(written)


@pytest.mark.parametrize(
    ("text", "advice"),
    [("asinh(x)", "write arcsinh(x)"), ("median(x)", "there is no median"), ("atan2(y, x)", "write arctan2(y, x)"),
     ("detach(x)", "a name of its own"), ("inverse(X)", "write inv(X)"), ("nansum(x)", "write sum(x)")],
)  # fmt: skip
def test_names_of_other_libraries(text: str, advice: str) -> None:
    assert advice in find_advice(text)
