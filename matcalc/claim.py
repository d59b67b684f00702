"""`check`: a formula that somebody claims is judged against torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matcalc.derivation import read_input
from matcalc.language.declarations import Declared
from matcalc.language.names import name_wrt
from matcalc.language.text_to_expression import parse
from matcalc.user_rules import rules_in_force

if TYPE_CHECKING:
    from matcalc.check.verdict import CheckReport


def check(
    expr: Any,
    claim: Any,
    wrt: Any = None,
    *,
    layout: str = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
) -> CheckReport:
    """Compare a formula that somebody claims with torch.autograd.functional.jacobian of the expression.

    >>> check("A @ x", "A", layout="denominator").verdict
    'differs'
    """
    from matcalc.check.verdict import judge

    text, shapes, assume, _ = read_input(expr, shapes, assume)
    claimed, shapes, assume, _ = read_input(claim, shapes, assume)
    name = name_wrt(wrt)
    problem = parse(
        [text, claimed], wrt=name, choose_wrt=name is None, shapes=shapes, assume=assume, rules=rules_in_force()
    )
    assert problem.wrt is not None
    expression, formula = problem.expressions
    return judge(
        expression, formula, problem.wrt, layout=layout,
        trials=trials, seed=seed, dtype=dtype, device=device, abstract=problem.abstract, rules=rules_in_force(),
    )  # fmt: skip
