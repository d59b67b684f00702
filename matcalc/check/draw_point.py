"""Random values for the names of an expression, at sizes that a reader chooses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from matcalc.check.deduce_sizes import collect_letters
from matcalc.check.modes import own_modes
from matcalc.check.points import NoPoint, PointSearch
from matcalc.check.question import MAX_ENTRIES
from matcalc.check.rule_texts import rules_in_force
from matcalc.check.torch_values import squeeze
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, check_sizes
from matcalc.rule_files import RuleBook


def draw_point(
    expression: Expression,
    extra: tuple[Expression, ...],
    shape: Shape,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    rules: RuleBook | None = None,
) -> dict[str, Any]:
    """Return a NumPy array without unit axes for each variable, and a function for each abstract one.

    The values come from the domains in which the expression is defined.  `extra` adds the names of other expressions,
    `shape` is the derivative's; sizes that are not given are small.  Raises DeclarationError for sizes that are unknown
    or too large, EvaluationError where no point is found.
    """
    letters = collect_letters((expression, *extra))
    check_sizes(sizes or {}, letters)
    with rules_in_force(rules), own_modes():
        search = PointSearch(expression, extra, seed=seed, shape=shape, sizes=sizes)
        _refuse_large([shape, *(node.shape for node in search.variables.values())], search, sizes or {})
        point = search.find(0)
        if isinstance(point, NoPoint):
            raise EvaluationError(f"no point was found: {point.reason}")
        values = {name: squeeze(search.variables[name], value, point.sizes) for name, value in point.values.items()}
        return {name: value.numpy() for name, value in values.items()} | point.functions


def _refuse_large(shapes: Iterable[Shape], search: PointSearch, sizes: Mapping[str, int]) -> None:
    """Raise DeclarationError before an array is drawn that nobody would look at."""
    numbers = dict.fromkeys(search.letters, 2) | dict(sizes)
    entries = max(math.prod(size.value(numbers) for size in shape) for shape in shapes)
    if entries > MAX_ENTRIES:
        reason = f"an array would have {entries} entries, more than {MAX_ENTRIES}"
        raise DeclarationError(reason, advice="choose smaller sizes")
