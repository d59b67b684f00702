"""The laws of functions, read from their rules: elementwise, by the stated differential, or by the definition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from matcalc.engine.assemble import Lengths
from matcalc.engine.derive_result import derive_result
from matcalc.engine.map_along import map_along
from matcalc.engine.marks import fit, mark, zeros
from matcalc.errors import MissingRuleError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression
from matcalc.language.replace import replace
from matcalc.language.sizes import UNIT, Shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, RuleBook

# A function whose differential has more nodes than this is replaced by its definition instead.
LONGEST_LAW = 30

Letters = Sequence[Expression]


def state_call(
    whole: Expression, letters: Letters, changes: Letters, moving: Sequence[bool], book: RuleBook | None
) -> tuple[Expression, str]:
    """Return what d(f(letters)) is, and the source; raises MissingRuleError where no rule says it."""
    rule = whole.data[0]
    if rule.is_elementwise:
        return _state_elementwise(whole, letters, changes, moving, book), rule.source
    if rule.name == "matrix_power":
        return _state_matrix_power(whole, letters, changes), "product rule"
    if rule.differential:
        return _state_differential(whole, letters, changes, moving, book), rule.source
    if rule.define:
        return _state_defined(whole, letters, changes, moving, book)
    raise MissingRuleError(f"{rule.function} has no rule for its derivative")


def _state_elementwise(
    whole: Expression, letters: Letters, changes: Letters, moving: Sequence[bool], book: RuleBook | None
) -> Expression:
    rule = whole.data[0]
    terms = [
        ex.multiply(_read(rule, rule.elementwise[place], letters, (), book), changes[place])
        for place, moves in enumerate(moving)
        if moves and rule.elementwise[place] != "0"
    ]
    return reduce(ex.add, terms) if terms else zeros(whole.shape)


def _read(rule: Rule, text: str, letters: Letters, changes: Letters, book: RuleBook | None) -> Expression:
    """A text of a rule with letters for its parameters and changes for their d."""
    body = parse_rule_text(rule, text, tuple([letter.shape for letter in letters]), book)
    table = {}
    for parameter, letter in zip(rule.variables, letters, strict=True):
        table[ex.symbol(parameter.name, letter.shape)] = letter
    for parameter, change in zip(rule.variables, changes, strict=False):
        table[ex.symbol(f"d{parameter.name}", change.shape)] = change
    return replace(body, table)


def _state_differential(
    whole: Expression, letters: Letters, changes: Letters, moving: Sequence[bool], book: RuleBook | None
) -> Expression:
    rule, axis, _ = whole.data
    changes = [change if moves else zeros(change.shape) for change, moves in zip(changes, moving, strict=True)]
    if not is_along(whole):
        return _read(rule, rule.differential, letters, changes, book)
    body = _read_core(rule, rule.differential, letters[0], axis, book)
    table = {f"d{rule.variables[0].name}": changes[0], rule.variables[0].name: letters[0]}
    return map_along(body, table, axis) or _ask_engine(whole, letters[0], book)


def is_along(whole: Expression) -> bool:
    """Whether a call works along one axis of a matrix."""
    return whole.data[1] is not None and len(whole.args[0].dropped_shape) == 2


def _read_core(rule: Rule, text: str, letter: Expression, axis: int, book: RuleBook | None) -> Expression:
    """A text of a rule for one column or one row of the letter, taken as a vector."""
    core: Shape = (letter.shape[axis], UNIT)
    return parse_rule_text(rule, text, (core,), book)


def _ask_engine(whole: Expression, letter: Expression, book: RuleBook | None) -> Expression:
    """The differential of a function of one letter, as the engine finds it."""
    return derive_result(whole, letter, 1, book).differential()


def _state_defined(
    whole: Expression, letters: Letters, changes: Letters, moving: Sequence[bool], book: RuleBook | None
) -> tuple[Expression, str]:
    """The differential of the definition where it is short, else the mark of the definition."""
    rule, axis, _ = whole.data
    if sum(moving) == 1 and not is_along(whole):
        letter, change = letters[list(moving).index(True)], changes[list(moving).index(True)]
        found = _ask_engine(whole, letter, book) if not letter.is_row and len(letter.shape) == 2 else None
        if found is not None and Lengths()(found) <= LONGEST_LAW:
            return replace(found, {ex.symbol(f"d{letter.name}", letter.dropped_shape): change}), rule.source
    if not is_along(whole):
        return mark(fit(_read(rule, rule.define, letters, (), book), whole.shape)), f"definition; {rule.source}"
    body = map_along(_read_core(rule, rule.define, letters[0], axis, book), {rule.variables[0].name: letters[0]}, axis)
    if body is None:
        return _ask_engine(whole, letters[0], book), rule.source
    return mark(fit(body, whole.shape)), f"definition; {rule.source}"


def _state_matrix_power(whole: Expression, letters: Letters, changes: Letters) -> Expression:
    """d(U**3) = dU @ U @ U + U @ dU @ U + U @ U @ dU; of a negative power that of the inverse."""
    from matcalc.engine.assemble import chain
    from matcalc.rule_files import shipped_rules

    base, exponent = letters[0], _value(letters[1])
    if exponent < 0:
        inverse = ex.call(shipped_rules()["inv"], (base,), base.shape)
        power = ex.call(whole.data[0], (inverse, ex.number(-exponent)), whole.shape)
        return mark(inverse if exponent == -1 else power)
    if not exponent:
        return zeros(whole.shape)
    factors = [base] * exponent
    return reduce(ex.add, [chain([*factors[:k], changes[0], *factors[k + 1 :]]) for k in range(exponent)])


def _value(exponent: Expression) -> int:
    return -_value(exponent.args[0]) if exponent.op == "negate" else int(exponent.data[0])
