"""Scalar calculus is SymPy's: what a function of numbers is in SymPy, and its derivatives as texts of the language.

A text of a rule is read by the language, and written in SymPy node by node: no text reaches SymPy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from matcalc.errors import MatcalcError, MissingRuleError, RuleError
from matcalc.language.expression import Expression, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import SCALAR
from matcalc.language.text_to_expression import choose_book, parse_rule_text
from matcalc.rule_files import Rule, RuleBook, shipped_rules

OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow, "negate": operator.neg,
}  # fmt: skip
RELATIONS: dict[str, Callable[..., Any]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


def state_partial(rule: Rule, place: int, book: RuleBook | None = None) -> str:
    """Return the derivative of a function of entries by its parameter at a place: that of its entry, else SymPy's.

    It holds the parameters of the rule, and is read with the book.  Raises MissingRuleError where SymPy knows none.

    >>> from matcalc.rule_files import find_sympy_rules, read_rule
    >>> state_partial(find_sympy_rules("besselj", 0)[0], 0)
    '-besselj(1, x)'
    >>> state_partial(read_rule("mine", {"function": "x*exp(-x**2)"}, "my.toml"), 0)
    'exp(-x**2) - 2*x**2*exp(-x**2)'
    """
    return rule.elementwise[place] if rule.elementwise else _state_partial(rule, place, choose_book(book))


@lru_cache(maxsize=2000)
def _state_partial(rule: Rule, place: int, book: RuleBook) -> str:
    import sympy

    symbols = [sympy.Symbol(parameter.name, real=True) for parameter in rule.variables]
    try:
        with _opened(rule):
            function = write_function(rule, symbols, book)
        derivative = _replace_jumps(sympy.diff(function, symbols[place]))
    except (sympy.core.function.ArgumentIndexError, NotImplementedError, ValueError):
        raise _refuse_partial(rule, place, "") from None
    if _is_open(derivative):
        raise _refuse_partial(rule, place, "")
    if derivative.has(sympy.nan, sympy.zoo, sympy.I):
        raise _refuse_partial(rule, place, f"; it finds {derivative}, which is no real number")
    forms = [*_write_in_own_terms(rule, function, derivative, symbols, book), derivative]
    shortest = min(map(_keep_moderate, forms), key=lambda form: int(sympy.count_ops(form)))
    try:
        return _write_text(shortest, book)
    except MatcalcError as error:
        raise _refuse_partial(rule, place, f" in the words of the language: {error.reason}") from error


def _is_open(derivative: Any) -> bool:
    """Whether SymPy leaves a derivative as it was asked for."""
    import sympy

    return bool(derivative.has(sympy.Derivative, sympy.Subs, sympy.Integral, sympy.Sum))


def _write_text(form: Any, book: RuleBook) -> str:
    from matcalc.language.sympy_to_expression import read_sympy

    return to_text(read_sympy(form, book)[0])


def _refuse_partial(rule: Rule, place: int, why: str) -> MissingRuleError:
    name = rule.variables[place].name
    reason = f"SymPy knows no derivative of {rule.call} by {name}{why}"
    return MissingRuleError(reason, advice=f"hold {name} constant, or state the derivatives in a rule of your own")


# --- what a function is in SymPy ----------------------------------------------------------------------


_open: ContextVar[tuple[Rule, ...]] = ContextVar("open", default=())


@contextmanager
def _opened(rule: Rule) -> Iterator[None]:
    """Read what a function is; raises RuleError where that calls the function itself."""
    if rule in _open.get():
        raise RuleError(f"rule [{rule.name}] in {rule.file} is defined by itself")
    token = _open.set((*_open.get(), rule))
    try:
        yield
    finally:
        _open.reset(token)


def write_function(rule: Rule, args: Sequence[Any], book: RuleBook | None = None, expand: bool = False) -> Any:
    """Return what a function of numbers is in SymPy, of these arguments: its word there, or its formula.

    Functions in the formula for which SymPy has no word stay what they are, with the derivatives of their rules, so
    that what does not overflow is kept; with `expand` they are replaced by their definitions.  Raises RuleError for
    what is no function of numbers.
    """
    if word := find_sympy_word(rule):
        return apply_word(rule, word, args)
    text = rule.formula or rule.sympy_definition
    if not text:
        raise RuleError(f"SymPy has no word for {rule.call}")
    return _write_text_of(rule, text, args, book, expand)


def _write_text_of(rule: Rule, text: str, args: Sequence[Any], book: RuleBook | None, expand: bool) -> Any:
    """Return a text of a rule in SymPy, of these arguments."""
    body = parse_rule_text(rule, text, (SCALAR,) * len(rule.variables), book)
    values = dict(zip((parameter.name for parameter in rule.variables), args, strict=True))
    return write_scalar(body, values, choose_book(book), expand)


def write_scalar(expression: Expression, values: Mapping[str, Any], book: RuleBook, expand: bool = False) -> Any:
    """Return an expression of numbers in SymPy, with values for its symbols; raises RuleError for any other."""
    import sympy

    done: dict[Expression, Any] = {}
    for node in walk(expression):
        args = [done[arg] for arg in node.args]
        match node.op:
            case "symbol" if node.name in values:
                done[node] = values[node.name]
            case "number":
                done[node] = sympy.Rational(node.data[0].numerator, node.data[0].denominator)
            case "constant":
                done[node] = sympy.pi if node.name == "pi" else sympy.E
            case "compare":
                done[node] = RELATIONS[node.data[0]](*args)
            case "call":
                done[node] = _write_call(node.data[0], args, book, expand)
            case _ if node.op in OPERATIONS and node.is_scalar:
                done[node] = OPERATIONS[node.op](*args)
            case _:
                raise RuleError(f"{to_text(node)} is no function of numbers")
    return done[expression]


def _write_call(rule: Rule, args: list[Any], book: RuleBook, expand: bool) -> Any:
    if rule.name == "where":
        return choose(*args)
    if find_sympy_word(rule) or (expand and rule.is_elementwise):
        return write_function(rule, args, book, expand)
    if rule.is_elementwise:
        return _make_opaque(rule, book)(*args)
    if rule.is_definition and not any(parameter.axes for parameter in rule.variables):
        return _write_text_of(rule, rule.define, args, book, expand)
    raise RuleError(f"{rule.call} is no function of numbers")


def find_sympy_word(rule: Rule) -> Any:
    """Return the SymPy function that a rule names, None where it names none."""
    import sympy

    return getattr(sympy, rule.sympy_word.removeprefix("sympy.")) if rule.sympy_word else None


def apply_word(rule: Rule, word: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Return a function of SymPy of the parameters of a rule, its literals in their places."""
    rest = iter(args)
    return word(*(next(rest) if parameter.literal is None else parameter.literal for parameter in rule.parameters))


def choose(condition: Any, chosen: Any, otherwise: Any) -> Any:
    """Return `chosen` where the condition holds, else `otherwise`."""
    import sympy

    return sympy.Piecewise((chosen, condition), (otherwise, True))


@lru_cache(maxsize=1000)
def _make_opaque(rule: Rule, book: RuleBook) -> Any:
    """Return the function of a rule as a class of SymPy that knows its derivatives and nothing else."""
    import sympy

    def fdiff(self: Any, argindex: int = 1) -> Any:
        return _write_text_of(rule, state_partial(rule, argindex - 1, book), self.args, book, expand=False)

    return type(rule.function, (sympy.Function,), {"fdiff": fdiff, "is_real": True, "nargs": len(rule.variables)})


# --- forms of a derivative ----------------------------------------------------------------------------


def _replace_jumps(derivative: Any) -> Any:
    """Return a derivative that holds beside its jumps: a step is a choice, and what is 0 but at one point is 0."""
    import sympy

    steps = derivative.replace(sympy.DiracDelta, lambda *args: sympy.Integer(0))
    return steps.replace(sympy.Heaviside, lambda at, middle: choose(at > 0, sympy.Integer(1), sympy.Integer(0)))


def _keep_moderate(form: Any) -> Any:
    """Return a form with sigmoid and softplus for what overflows: exp(u)/(1 + exp(u)) and log(1 + exp(u))."""
    import sympy

    book = shipped_rules()
    sigmoid, softplus, logaddexp = (_make_opaque(book[name], book) for name in ("sigmoid", "softplus", "logaddexp"))
    one, other = sympy.Wild("one"), sympy.Wild("other")
    power = sympy.Wild("power", properties=[lambda found: found.is_negative])
    form = form.replace(sympy.log(1 + sympy.exp(one)), softplus(one))
    form = form.replace(sympy.log(sympy.exp(one) + sympy.exp(other)), logaddexp(one, other))
    form = form.replace((1 + sympy.exp(one)) ** power, sigmoid(-one) ** (-power))
    for call in sorted(form.atoms(sigmoid), key=sympy.default_sort_key):
        (at,) = call.args
        form = form.replace(
            lambda part, at=at: part.is_Mul and {sympy.exp(-at), sigmoid(at)} <= set(part.args),
            lambda part, at=at: part / sympy.exp(-at) / sigmoid(at) * sigmoid(-at),
        )
    quotient = sympy.exp(one) / (sympy.exp(one) + sympy.exp(other))
    return form.replace(quotient, sigmoid(one - other))


def _write_in_own_terms(
    rule: Rule, function: Any, derivative: Any, symbols: Sequence[Any], book: RuleBook
) -> Iterator[Any]:
    """Yield the derivative in terms of the function s itself: of 1/(1 + exp(-x)), where exp(x) is s/(1 - s), s*(1 - s).

    That is so where the function is a quotient, linear above and below, in a power of one exponential.
    """
    import sympy

    if book.find(rule.name) is not rule:
        return
    exponents = sorted((part.args[0] for part in function.atoms(sympy.exp)), key=sympy.default_sort_key)
    if not exponents:
        return
    base, own, power = exponents[0], sympy.Dummy("own"), sympy.Dummy("power", positive=True)

    def lower(part: Any) -> Any:
        ratio = sympy.cancel(part / base)
        return power**ratio if ratio.is_Integer else sympy.exp(part)

    above, below = sympy.fraction(sympy.together(function.replace(sympy.exp, lower)))
    equation = sympy.expand(above - own * below)
    if equation.has(*symbols) or not equation.is_polynomial(power):
        return
    terms = dict(sympy.Poly(equation, power).terms())
    highest = max(terms)
    if not highest[0] or set(terms) - {highest} != {(0,)}:
        return
    solved = (-terms[(0,)] / terms[highest]) ** sympy.Rational(1, highest[0])
    named = sympy.factor(sympy.cancel(sympy.cancel(derivative.replace(sympy.exp, lower)).subs(power, solved)))
    if named.is_rational_function(own):
        yield _turn_difference(named).subs(own, _make_opaque(rule, book)(*symbols))


def _turn_difference(product: Any) -> Any:
    """Return -(s - 1)*s as (1 - s)*s."""
    for factor in product.args if product.is_Mul and product.could_extract_minus_sign() else ():
        if factor.is_Add:
            return product / factor * -1 * (-factor)
    return product


# --- a stated derivative ------------------------------------------------------------------------------

# Numbers on both sides of the usual jumps, none of them special, and how small a difference is none at 40 digits.
_TRIED = ("37/123", "213/124", "-52/125", "331/127")
_NO_DIFFERENCE = 1e-25


def is_exactly_stated(rule: Rule, place: int, book: RuleBook | None = None) -> bool | None:
    """Whether the derivative that a rule states is SymPy's of what the function is; None where neither can be shown.

    >>> from matcalc.rule_files import read_rule
    >>> entry = {"elementwise": "2.0000000001*x", "define": "x**2"}
    >>> is_exactly_stated(read_rule("mine", entry, "my.toml"), 0)
    False
    >>> is_exactly_stated(shipped_rules()["sigmoid"], 0)
    True
    """
    import sympy

    symbols = [sympy.Symbol(parameter.name, real=True) for parameter in rule.variables]
    try:
        function = write_function(rule, symbols, book, expand=True)
        stated = _write_text_of(rule, rule.elementwise[place], symbols, book, expand=True)
        difference = _replace_jumps(sympy.diff(function, symbols[place])) - stated
        if _is_open(difference):
            return None
        if _differs_somewhere(function, difference, symbols):
            return False
        return all(map(_is_shown_zero, _split_at_zero(difference, symbols))) or None
    except (MatcalcError, TypeError, ValueError, AttributeError, NotImplementedError):
        return None


def _differs_somewhere(function: Any, difference: Any, symbols: Sequence[Any]) -> bool:
    """Whether a difference is not 0 at a point where the function is a real number."""
    import sympy

    for place in range(len(_TRIED)):
        point = {symbol: sympy.Rational(_TRIED[(place + at) % len(_TRIED)]) for at, symbol in enumerate(symbols)}
        value, gap = (sympy.N(part.subs(point), 40) for part in (function, difference))
        if value.is_real and gap.is_real and gap.is_finite and abs(gap) > _NO_DIFFERENCE:
            return True
    return False


def _split_at_zero(difference: Any, symbols: Sequence[Any]) -> list[Any]:
    """Return what a difference is on both sides of 0, or of x = y, where it has jumps or kinks."""
    import sympy

    if not difference.has(sympy.Piecewise, sympy.Max, sympy.Min, sympy.Abs, sympy.sign):
        return [difference]
    step, first, *others = sympy.Symbol("step", positive=True), *symbols
    middle = others[0] if others else sympy.Integer(0)
    return [difference.subs(first, middle + sign * step) for sign in (1, -1)]


def _is_shown_zero(difference: Any) -> bool:
    """Whether the difference of two forms is 0 as a quotient of polynomials in exponentials, or by simplification."""
    import sympy

    above, _ = sympy.fraction(sympy.together(difference.rewrite(sympy.exp)))
    return bool(sympy.expand(above) == 0 or sympy.simplify(difference) == 0)
