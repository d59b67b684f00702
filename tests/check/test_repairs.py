"""Whatever a report advises is applied to the claim, and the claim then agrees."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

import matcalc
from matcalc.check.report import CheckReport
from tests.check.test_claims import CLAIMS
from tests.claim_mutants import list_mutants
from tests.read_cases import Case, read_cases
from tests.sampling import sample

TOPICS = ("textbook", "neural", "vector", "matrix")
MOST_OF_A_CASE = 6


CASES = [
    case for case in read_cases() if case.topic in TOPICS and case.order == 1 and (case.numerator or case.denominator)
]
WRONG = [claim for claim in CLAIMS if claim["verdict"] == "differs"]


def list_slips(case: Case) -> Iterator[dict[str, Any]]:
    """Closed forms of a case with a slip in them, a few of them."""
    mutants = sorted(list_mutants(case), key=lambda mutant: zlib.crc32(str(mutant).encode()))
    for mutant in mutants[:MOST_OF_A_CASE]:
        options = {"layout": mutant.layout, "shapes": case.shapes, "assume": case.domain}
        yield {"question": (case.expr, mutant.text, case.wrt), "options": options}


def read_claim(claim: dict[str, Any]) -> dict[str, Any]:
    options = {"layout": claim["layout"], "shapes": claim["shapes"], "assume": claim.get("domain")}
    return {
        "question": (claim["expr"], claim["claim"], claim["wrt"]), "options": options | {"order": claim.get("order", 1)}
    }


PIECES = {
    r"(?<!that: )divide it by (?!that)(.+?)\.(?= |$)": "({claim})/({part})",
    r"multiply it by (?!that|ones)(.+?)\.(?= |$)": "({part})*({claim})",
    r"Missing: (.+?)\.(?= [A-Z]|$)": "({claim}) + ({part})",
    r"Too much: (.+?)\.(?= [A-Z]|$)": "({claim}) - ({part})",
    r"lacks the factor (.+?), entry by entry": "({claim})*({part})",
    r"has the factor (.+?) too much, entry by entry": "({claim})/({part})",
}


def apply_sentences(claim: str, report: CheckReport) -> Iterator[tuple[str, str]]:
    """The claim as each sentence advises to write it, and the layout in which it is right then."""
    for sentence in re.split(r"(?<=\.) (?=In |It |Missing|Too much|Right)", report.message):
        layouts = re.match(r"In (\w+)", sentence)
        for pattern, text in PIECES.items():
            if "explain it" not in sentence and (found := re.search(pattern, sentence)):
                yield text.format(claim=claim, part=found[1]), layouts[1] if layouts else report.layout


def is_right(question: tuple[str, str, str], options: dict[str, Any], claim: str, layout: str) -> bool:
    expr, _, wrt = question
    again = matcalc.check(expr, claim, wrt, **options | {"layout": layout}, seed=5, proof="torch", syntax="matcalc")
    return again.verdict == "agrees"


def count_repairs(wrong: dict[str, Any]) -> int:
    """How many repairs are advised for a wrong claim; each of them is right, else the test fails."""
    question, options = wrong["question"], wrong["options"]
    report = matcalc.check(*question, **options, proof="torch", syntax="matcalc")
    if report.verdict != "differs":
        return 0
    advised = [*apply_sentences(question[1], report), *((formula, report.layout) for formula in report.repairs)]
    for claim, layout in advised:
        assert is_right(question, options, claim, layout), f"{question} {options}: {report.message} -> {claim}"
    return len(advised)


@pytest.mark.parametrize("case", sample("repairs of slips", CASES, 0.03), ids=lambda case: case.id)
def test_what_is_advised_for_a_slip_is_right(case):
    for wrong in list_slips(case):
        count_repairs(wrong)


@pytest.mark.parametrize("claim", sample("repairs of claims", WRONG, 0.04), ids=lambda claim: claim["id"])
def test_what_is_advised_for_a_claim_is_right(claim):
    advised = count_repairs(read_claim(claim))
    assert advised or not {"factor", "missing-term", "extra-term"} & set(claim["reasons"])


def test_there_are_many_of_them():
    assert len(WRONG) + MOST_OF_A_CASE*len(CASES)/2 > 500


KNOWN = [
    ("A@x", "A/sqrt(size(x))", "x", "numerator", "multiply it by sqrt(n)."),
    ("alpha*x.T@x", "2*x/alpha", "x", "denominator", "multiply it by alpha**2."),
    ("mean(x**2)", "2*x/(n - 1)", "x", "denominator", "multiply it by (n - 1)/n."),
    ("x.T@x/(1 - alpha)", "2*x", "x", "denominator", "divide it by (1 - alpha)."),
    ("x.T@x/sqrt(size(x))", "2*x/sqrt(3)", "x", "denominator", "multiply it by sqrt(3)/sqrt(n)."),
    ("sum(X**3/3)", "X", "X", "denominator", "It lacks the factor X, entry by entry: multiply it by that."),
    ("norm(A@x - b)**2", "2*A.T@(A@x + b)", "x", "denominator", "right with A @ x - b in the place of A @ x + b."),
]


@pytest.mark.parametrize(("expr", "claim", "wrt", "layout", "sentence"), KNOWN)
def test_the_advice_is_right(expr, claim, wrt, layout, sentence):
    report = matcalc.check(expr, claim, wrt, layout=layout)
    assert sentence in report.message
    assert report.repairs
    for repaired in report.repairs:
        assert matcalc.check(expr, repaired, wrt, layout=layout, seed=3).verdict == "agrees"
