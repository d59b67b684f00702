"""The laws of differentials: what d(f(U)) is, stated for letters and then put in for whatever stands there.

Each law is an equation of the language in which a mark, written d(..), stands for the change of what is in the
brackets; where it is from is said beside it.  The laws of functions are read from their rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from matcalc.engine.assemble import chain, flatten, number, product_of
from matcalc.engine.call_laws import state_call
from matcalc.engine.linear_functions import is_linear_call
from matcalc.engine.marks import change_of, fit, mark
from matcalc.errors import MissingRuleError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, walk
from matcalc.language.replace import rebuild, replace
from matcalc.rule_files import RuleBook

COOKBOOK = "Matrix Cookbook"
_SOURCES = {
    "add": f"{COOKBOOK} (35)", "subtract": f"{COOKBOOK} (35)", "matmul": f"{COOKBOOK} (37)",
    "multiply": f"{COOKBOOK} (38)", "trace": f"{COOKBOOK} (36)", "kron": f"{COOKBOOK} (39)",
}  # fmt: skip


@dataclass(frozen=True)
class Law:
    """One equation, `left` = `right`, for operands that are `letters` and change by `changes`."""

    left: Expression
    right: Expression
    source: str
    letters: tuple[Expression, ...]
    changes: tuple[Expression, ...]

    def instantiate(self, operands: Sequence[Expression], changes: Sequence[Expression]) -> Expression:
        """Return the right side for these operands and their changes."""
        table = dict(zip(self.letters, operands, strict=True)) | dict(zip(self.changes, changes, strict=True))
        return replace(self.right, table)


def list_operands(node: Expression) -> list[Expression]:
    """The operands of a node; the factors of a whole chain A @ B @ C or A*B*C."""
    if node.op == "matmul":
        return flatten(node)
    return _split(node) if node.op == "multiply" else list(node.args)


def _split(node: Expression) -> list[Expression]:
    return [factor for arg in node.args for factor in _split(arg)] if node.op == "multiply" else [node]


def _apply(node: Expression, operands: Sequence[Expression]) -> Expression:
    """The node on other operands, of the shapes that `list_operands` gave."""
    if node.op in _CHAINS:
        return _CHAINS[node.op](operands)
    return rebuild(node, operands)


_CHAINS: dict[str, Callable[[Sequence[Expression]], Expression]] = {"matmul": chain, "multiply": product_of}


def is_linear(node: Expression, moving: Sequence[bool], book: RuleBook | None) -> bool:
    """Whether d goes inside: the node is linear in all that moves, taken together."""
    if node.op in ("add", "subtract"):
        return True
    return sum(moving) == 1 and is_multilinear(node, moving, book)


def is_multilinear(node: Expression, moving: Sequence[bool], book: RuleBook | None) -> bool:
    """Whether the node is linear in each operand that moves, the others held fixed."""
    if node.op in ("multiply", "matmul", "einsum"):
        return True
    if node.op == "divide":
        return not moving[1]
    shapes = tuple([arg.shape for arg in node.args])
    return node.op == "call" and all(
        is_linear_call(node.data[0], shapes, place, book) for place, moves in enumerate(moving) if moves
    )


def state_law(node: Expression, moving: Sequence[bool], book: RuleBook | None) -> Law:
    """Return the law for the differential of a node, of whose operands those that are `moving` vary.

    Raises MissingRuleError where a function has no rule for its derivative.
    """
    letters = _name_operands(list_operands(node), moving, node.name if node.op.startswith("abstract") else "")
    changes = tuple([change_of(letter) for letter in letters])
    whole = _apply(node, letters)
    if is_multilinear(node, moving, book):
        right, source = _state_product(whole, node, letters, changes, moving)
    elif node.op == "call":
        right, source = state_call(whole, letters, changes, moving, book)
    else:
        right, source = _BUILT_IN[node.op](whole, letters, changes, moving)
    return Law(mark(whole), fit(right, node.shape), source, letters, changes)


def _name_operands(operands: Sequence[Expression], moving: Sequence[bool], taken: str) -> tuple[Expression, ...]:
    """Letters for the operands: U, V, W vary, C, K do not; small ones for vectors and scalars; numbers stay."""
    varying, fixed = iter("UVWXYZPQRST".replace(taken.upper(), "")), iter("CKABEFGHLMN")
    letters = []
    for arg, moves in zip(operands, moving, strict=True):
        if arg.is_scalar and not any(node.op in ("symbol", "abstract") for node in walk(arg)):
            letters.append(arg)
            continue
        letter = next(varying if moves else fixed, f"U{len(letters)}")
        letters.append(ex.symbol(letter if len(arg.dropped_shape) > 1 else letter.lower(), arg.shape))
    return tuple(letters)


# --- the laws of operators ----------------------------------------------------------------------------

_Stated = tuple[Expression, str]
_Letters = Sequence[Expression]


def _state_product(
    whole: Expression, node: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]
) -> _Stated:
    """d(U @ V) = dU @ V + U @ dV, and so for whatever is linear in each of its operands."""
    terms = [
        _apply(node, [*letters[:place], changes[place], *letters[place + 1 :]])
        for place, moves in enumerate(moving)
        if moves
    ]
    word = node.data[0].function if node.op == "call" else node.op
    usual = f"{node.data[0].function} is linear" if node.op == "call" and len(terms) == 1 else "product rule"
    return reduce(ex.add, terms), _SOURCES.get(word, usual)


def _add(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    terms = [change for change, moves in zip(changes, moving, strict=True) if moves]
    if len(terms) == 2:
        return ex.elementwise(whole.op, terms[0], terms[1]), _SOURCES["add"]
    return ex.negate(terms[0]) if whole.op == "subtract" and moving[1] else terms[0], _SOURCES["add"]


def _divide(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    """d(u/v) = du/v - u*dv/v**2; the first term is there only if u moves."""
    (above, below), (over, under) = letters, changes
    second = ex.divide(ex.multiply(above, under), ex.power(below, ex.number(2)))
    if moving[0]:
        return ex.subtract(ex.divide(over, below), second), "quotient rule"
    return ex.negate(second), "quotient rule"


def _power(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    """d(u**v) = v*u**(v - 1)*du + u**v*log(u)*dv."""
    (base, exponent), (over, up) = letters, changes
    terms = []
    if moving[0]:
        terms.append(ex.multiply(ex.multiply(exponent, _lower(base, exponent)), over))
    if moving[1]:
        factor = whole if base.op == "constant" and base.name == "e" else ex.multiply(whole, _logarithm(base))
        terms.append(ex.multiply(factor, up))
    return reduce(ex.add, terms), "power rule"


def _lower(base: Expression, exponent: Expression) -> Expression:
    """u**(v - 1), u itself for v = 2."""
    if exponent.op == "number":
        less = exponent.data[0] - 1
        return base if less == 1 else ex.power(base, number(less))
    return ex.power(base, ex.subtract(exponent, ex.number(1)))


def _logarithm(base: Expression) -> Expression:
    from matcalc.rule_files import shipped_rules

    return ex.call(shipped_rules()["log"], (base,), base.shape)


def _abstract(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    """d u(x) = D(u, x) @ dx; more axes are contracted one by one."""
    (argument,), (change,) = letters, changes
    name, order, shape = (whole.name, 0, whole.shape) if whole.op == "abstract" else whole.data
    derivative = ex.abstract_derivative(name, argument, order + 1, shape)
    own, inner = whole.dropped_shape, argument.dropped_shape
    if not inner:
        return ex.multiply(derivative, change), "chain rule"
    if len(own) < 2 and argument.is_column and derivative.shape[-1] == inner[0]:
        return ex.matmul(derivative, change), "chain rule"
    rows, columns = "ijklmnop"[: len(own)], "abcdefgh"[: len(inner)]
    subscripts = f"{rows}{columns[::-1]},{columns}->{rows}"
    return ex.einsum(subscripts, (derivative, change)), "chain rule"


def _refuse(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    raise MissingRuleError(f"there is no law for the differential of {whole.op}")


_BUILT_IN: dict[str, Callable[[Expression, _Letters, _Letters, Sequence[bool]], _Stated]] = {
    "add": _add, "subtract": _add, "divide": _divide, "power": _power, "abstract": _abstract,
    "abstract_derivative": _abstract, "compare": _refuse,
}  # fmt: skip
