"""Differentials: the laws that say what d(f(U)) is, and the steps from d(Y) to a formula in dX.

Each law is an equation of the language in which the operator d(..) stands for the change of what is in the
brackets; where it is from is said beside it.  The laws of functions are read from their rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

from matcalc.engine.assemble import Lengths, build_number, call_shipped, chain, flatten, product_of
from matcalc.engine.result import derive_result
from matcalc.errors import LimitError, MissingRuleError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, rebuild, walk
from matcalc.language.rewrite import map_along, replace
from matcalc.language.scalar_calculus import state_partial
from matcalc.language.sizes import UNIT, Shape, squeeze_shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, RuleBook

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


def _list_operands(node: Expression) -> list[Expression]:
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
    letters = _name_operands(_list_operands(node), moving, node.name if node.op.startswith("abstract") else "")
    # dU of a variable U, d(..) of what is no variable.
    changes = tuple([
        ex.symbol(f"d{one.name}", one.shape) if one.op == "symbol" else differential_of(one) for one in letters
    ])
    whole = _apply(node, letters)
    if is_multilinear(node, moving, book):
        right, source = _state_product(whole, node, letters, changes, moving)
    elif node.op == "call":
        right, source = state_call(whole, letters, changes, moving, book)
    elif node.op not in _BUILT_IN:
        raise MissingRuleError(f"there is no law for the differential of {node.op}")
    else:
        right, source = _BUILT_IN[node.op](whole, letters, changes, moving)
    return Law(differential_of(whole), fit(right, node.shape), source, letters, changes)


def _name_operands(operands: Sequence[Expression], moving: Sequence[bool], taken: str) -> tuple[Expression, ...]:
    """Letters for the operands: U, V, W vary, C, K do not; small ones for vectors and scalars; numbers stay."""
    varying, fixed = iter("UVWXYZPQRST".replace(taken.upper(), "")), iter("CKABEFGHLMN")
    letters = []
    for arg, moves in zip(operands, moving, strict=True):
        if arg.is_scalar and not any(node.op in ("symbol", "abstract") for node in walk(arg)):
            letters.append(arg)
            continue
        letter = next(varying if moves else fixed, f"U{len(letters)}")
        letters.append(ex.symbol(letter if len(arg.squeezed_shape) > 1 else letter.lower(), arg.shape))
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
        log = call_shipped("log", base, base.shape)
        factor = whole if base.op == "constant" and base.name == "e" else ex.multiply(whole, log)
        terms.append(ex.multiply(factor, up))
    return reduce(ex.add, terms), "power rule"


def _lower(base: Expression, exponent: Expression) -> Expression:
    """u**(v - 1), u itself for v = 2."""
    if exponent.op == "number":
        less = exponent.data[0] - 1
        return base if less == 1 else ex.power(base, build_number(less))
    return ex.power(base, ex.subtract(exponent, ex.number(1)))


def _abstract(whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool]) -> _Stated:
    """d u(x) = D(u, x) @ dx; more axes are contracted one by one."""
    (argument,), (change,) = letters, changes
    name, order, shape = (whole.name, 0, whole.shape) if whole.op == "abstract" else whole.data
    derivative = ex.abstract_derivative(name, argument, order + 1, shape)
    own, inner = whole.squeezed_shape, argument.squeezed_shape
    if not inner:
        return ex.multiply(derivative, change), "chain rule"
    if len(own) < 2 and argument.is_column and derivative.shape[-1] == inner[0]:
        return ex.matmul(derivative, change), "chain rule"
    rows, columns = "ijklmnop"[: len(own)], "abcdefgh"[: len(inner)]
    subscripts = f"{rows}{columns[::-1]},{columns}->{rows}"
    return ex.einsum(subscripts, (derivative, change)), "chain rule"


_BUILT_IN: dict[str, Callable[[Expression, _Letters, _Letters, Sequence[bool]], _Stated]] = {
    "add": _add, "subtract": _add, "divide": _divide, "power": _power, "abstract": _abstract,
    "abstract_derivative": _abstract,
}  # fmt: skip


# --- differential steps -----------------------------------------------------------------------------
#
# The differential of an expression, law by law: from d(Y) to a formula in dX, as a person writes it.


MAX_LINES = 400


@dataclass(frozen=True)
class DifferentialLine:
    """One line, equal to the line before it, and the laws that lead to it."""

    expression: Expression
    laws: tuple[Law, ...] = ()


def expand_differential(
    expression: Expression, wrt: Expression, moving: Expression, rules: RuleBook | None = None
) -> Iterator[DifferentialLine]:
    """Yield the lines from d(expression) to one in which only `moving`, the change of the variable, is left.

    Each line applies one law wherever it fits, the outermost first; what is linear is done at once.  Raises
    MissingRuleError where a function has no rule, LimitError beyond 400 lines.
    """
    yield from _Expansion(wrt, moving, rules).run(expression)


class _Expansion:
    """The lines for one variable."""

    def __init__(self, wrt: Expression, moving: Expression, rules: RuleBook | None) -> None:
        self.wrt, self.moving, self.rules = wrt, moving, rules
        self._varying: dict[Expression, bool] = {}
        self._laws: dict[Expression, Law] = {}

    def run(self, expression: Expression) -> Iterator[DifferentialLine]:
        """Yield the lines."""
        line = differential_of(expression)
        yield DifferentialLine(line)
        if not list_differentials(line := self._settle(line)):
            yield DifferentialLine(line)
        for _ in range(MAX_LINES):
            differentials = list_differentials(line)
            if not differentials:
                return
            line, laws = self._take_step(line, differentials)
            yield DifferentialLine(line, laws)
        raise LimitError(f"the derivation has more than {MAX_LINES} lines")

    def _settle(self, line: Expression) -> Expression:
        return replace(line, {node: self._change(node.args[0]) for node in list_differentials(line)})

    def _take_step(self, line: Expression, differentials: list[Expression]) -> tuple[Expression, tuple[Law, ...]]:
        """Do all that is linear; where nothing is, apply the law of the first differential wherever it fits."""
        linear = [node for node in differentials if self._is_linear(node.args[0])]
        if linear:
            return self._go_inside(line, linear)
        key = _kind(differentials[0].args[0])
        return self._apply([node for node in differentials if _kind(node.args[0]) == key], line)

    def _go_inside(self, line: Expression, differentials: list[Expression]) -> tuple[Expression, tuple[Law, ...]]:
        laws: dict[Expression, Law] = {}
        while differentials:
            line, applied = self._apply(differentials, line)
            laws.update({law.left: law for law in applied})
            differentials = [node for node in list_differentials(line) if self._is_linear(node.args[0])]
        return line, tuple(laws.values())

    def _apply(self, differentials: list[Expression], line: Expression) -> tuple[Expression, tuple[Law, ...]]:
        laws: dict[Expression, Law] = {}
        table = {}
        for node in differentials:
            law = self._find_law(node.args[0])
            operands = _list_operands(node.args[0])
            table[node] = self._settle(law.instantiate(operands, [self._change(operand) for operand in operands]))
            laws.setdefault(law.left, law)
        return replace(line, table), tuple(laws.values())

    # --- one node -------------------------------------------------------------------------------------

    def _varies(self, root: Expression) -> bool:
        if root not in self._varying:
            for node in walk(root):
                if node not in self._varying:
                    self._varying[node] = self._moves(node)
        return self._varying[root]

    def _moves(self, node: Expression) -> bool:
        """Whether a node changes with the variable; a comparison, a number of entries and sign(x) do not."""
        if node is self.wrt:
            return True
        if node.op == "compare" or (node.op == "call" and node.data[0].name == "size"):
            return False
        rule = node.data[0] if node.op == "call" and node.data[0].is_elementwise else None
        return any(
            self._varying[arg] and not (rule and state_partial(rule, place, self.rules) == "0")
            for place, arg in enumerate(node.args)
        )

    def _change(self, node: Expression) -> Expression:
        """The change of a node: dX, zeros, or a differential, its signs and transposes outside."""
        if is_differential(node):
            return node
        if not self._varies(node):
            return zeros(node.shape)
        if node is self.wrt:
            return self.moving
        if node.op == "negate":
            return ex.negate(self._change(node.args[0]))
        if node.op == "transpose":
            return ex.transpose(self._change(node.args[0]))
        return differential_of(node)

    def _moving_operands(self, node: Expression) -> list[bool]:
        return [self._varies(operand) for operand in _list_operands(node)]

    def _is_linear(self, node: Expression) -> bool:
        """Whether d goes inside: the node is linear in all that moves, taken together."""
        moving = self._moving_operands(node)
        return node.op in ("add", "subtract") or (sum(moving) == 1 and is_multilinear(node, moving, self.rules))

    def _find_law(self, node: Expression) -> Law:
        if node not in self._laws:
            self._laws[node] = state_law(node, self._moving_operands(node), self.rules)
        return self._laws[node]


def _kind(node: Expression) -> tuple[object, ...]:
    """Nodes of one kind obey one law."""
    if node.op != "call":
        return (node.op,)
    return (node.data[0].name, node.data[1])


# --- call laws --------------------------------------------------------------------------------------
#
# The laws of functions, read from their rules: elementwise, by the stated differential, or by the definition.


# A function whose differential has more nodes than this is replaced by its definition instead.
LONGEST_LAW = 30


def state_call(
    whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool], book: RuleBook | None
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
    whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool], book: RuleBook | None
) -> Expression:
    rule = whole.data[0]
    terms = [
        ex.multiply(_read(rule, text, letters, (), book), changes[place])
        for place, moves in enumerate(moving)
        if moves and (text := state_partial(rule, place, book)) != "0"
    ]
    return reduce(ex.add, terms) if terms else zeros(whole.shape)


def _read(rule: Rule, text: str, letters: _Letters, changes: _Letters, book: RuleBook | None) -> Expression:
    """A text of a rule with letters for its parameters and changes for their d."""
    body = parse_rule_text(rule, text, tuple([letter.shape for letter in letters]), book)
    table = {}
    for parameter, letter in zip(rule.variables, letters, strict=True):
        table[ex.symbol(parameter.name, letter.shape)] = letter
    for parameter, change in zip(rule.variables, changes, strict=False):
        table[ex.symbol(f"d{parameter.name}", change.shape)] = change
    return replace(body, table)


def _state_differential(
    whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool], book: RuleBook | None
) -> Expression:
    rule, axis, _ = whole.data
    changes = [change if moves else zeros(change.shape) for change, moves in zip(changes, moving, strict=True)]
    if not is_along(whole):
        return _read(rule, rule.differential, letters, changes, book)
    table = {f"d{parameter.name}": change for parameter, change in zip(rule.variables, changes, strict=True)}
    body = map_along(_read_core(whole, rule.differential, letters, book), table | _name_letters(rule, letters), axis)
    return body or _ask_engine(whole, letters[list(moving).index(True)], book)


def is_along(whole: Expression) -> bool:
    """Whether a call works along one axis of a matrix."""
    return whole.data[1] is not None and len(whole.args[0].squeezed_shape) == 2


def _read_core(whole: Expression, text: str, letters: _Letters, book: RuleBook | None) -> Expression:
    """A text of a rule for one column or one row of each letter, taken as a vector."""
    rule, axis, _ = whole.data
    return parse_rule_text(rule, text, tuple([(letter.shape[axis], UNIT) for letter in letters]), book)


def _name_letters(rule: Rule, letters: _Letters) -> dict[str, Expression]:
    return {parameter.name: letter for parameter, letter in zip(rule.variables, letters, strict=True)}


def _ask_engine(whole: Expression, letter: Expression, book: RuleBook | None) -> Expression:
    """The differential of a function of one letter, as the engine finds it."""
    return derive_result(whole, letter, 1, book).differential()


def _state_defined(
    whole: Expression, letters: _Letters, changes: _Letters, moving: Sequence[bool], book: RuleBook | None
) -> tuple[Expression, str]:
    """The differential of the definition where it is short, else the differential d(..) of the definition."""
    rule, axis, _ = whole.data
    if sum(moving) == 1 and not is_along(whole):
        letter, change = letters[list(moving).index(True)], changes[list(moving).index(True)]
        found = _ask_engine(whole, letter, book) if not letter.is_row and len(letter.shape) == 2 else None
        if found is not None and Lengths()(found) <= LONGEST_LAW:
            return replace(found, {ex.symbol(f"d{letter.name}", letter.squeezed_shape): change}), rule.source
    if not is_along(whole):
        value = fit(_read(rule, rule.define, letters, (), book), whole.shape)
        return differential_of(value), f"definition; {rule.source}"
    body = map_along(_read_core(whole, rule.define, letters, book), _name_letters(rule, letters), axis)
    if body is None:
        return _ask_engine(whole, letters[list(moving).index(True)], book), rule.source
    return differential_of(fit(body, whole.shape)), f"definition; {rule.source}"


def _state_matrix_power(whole: Expression, letters: _Letters, changes: _Letters) -> Expression:
    """d(U**3) = dU @ U @ U + U @ dU @ U + U @ U @ dU; of a negative power that of the inverse."""
    base, exponent = letters[0], _value(letters[1])
    if exponent < 0:
        inverse = call_shipped("inv", base, base.shape)
        power = ex.call(whole.data[0], (inverse, ex.number(-exponent)), whole.shape)
        return differential_of(inverse if exponent == -1 else power)
    if not exponent:
        return zeros(whole.shape)
    factors = [base] * exponent
    return reduce(ex.add, [chain([*factors[:k], changes[0], *factors[k + 1 :]]) for k in range(exponent)])


def _value(exponent: Expression) -> int:
    return -_value(exponent.args[0]) if exponent.op == "negate" else int(exponent.data[0])


# --- linear functions -------------------------------------------------------------------------------
#
# Which functions are linear in which of their parameters: read off their definitions.


_PRIMITIVES = frozenset({"sum", "tril", "triu"})
_CONSTANT, _LINEAR, _OTHER = range(3)


def is_linear_call(rule: Rule, shapes: tuple[Shape, ...], place: int, book: RuleBook | None) -> bool:
    """Whether a function is linear in its parameter at a place, the others held fixed.

    Only a primitive or a definition can tell; a function that is known by its differential is none.
    """
    if rule.primitive:
        return rule.name in _PRIMITIVES
    return rule.is_definition and place in _list_linear(rule, shapes, book)


@lru_cache(maxsize=500)
def _list_linear(rule: Rule, shapes: tuple[Shape, ...], book: RuleBook | None) -> frozenset[int]:
    body = parse_rule_text(rule, rule.define, shapes, book)
    places = enumerate(rule.variables)
    return frozenset(place for place, parameter in places if _measure(body, parameter.name, book) == _LINEAR)


def _measure(root: Expression, name: str, book: RuleBook | None) -> int:
    """Return how the expression depends on a variable: not at all, linearly, or in another way."""
    found: dict[Expression, int] = {}
    for node in walk(root):
        found[node] = _measure_node(node, [found[arg] for arg in node.args], name, book)
    return found[root]


def _measure_node(node: Expression, args: list[int], name: str, book: RuleBook | None) -> int:
    if node.op == "symbol":
        return _LINEAR if node.name == name else _CONSTANT
    if not any(args):
        return _CONSTANT
    if node.op == "call":
        return _measure_call(node, args, book)
    if node.op in ("negate", "transpose"):
        return args[0]
    if node.op in ("add", "subtract"):
        return _LINEAR if args == [_LINEAR, _LINEAR] else _OTHER
    if node.op in ("multiply", "matmul", "einsum") or (node.op == "divide" and args[1] == _CONSTANT):
        return _LINEAR if sum(args) == _LINEAR else _OTHER
    return _OTHER


def _measure_call(node: Expression, args: list[int], book: RuleBook | None) -> int:
    rule = node.data[0]
    if rule.name == "size":
        return _CONSTANT
    shapes = tuple([arg.shape for arg in node.args])
    linear = sum(args) == _LINEAR and is_linear_call(rule, shapes, args.index(_LINEAR), book)
    return _LINEAR if linear else _OTHER


# --- differentials ------------------------------------------------------------------------------------------
#
# The operator d(..): the change of what stands in its brackets, while the variable changes by dX.


# No name of a reader has a space in it.
D_OPERATOR = "the change of"


def differential_of(node: Expression) -> Expression:
    """d(node), of the same 2-D shape."""
    return ex.abstract(D_OPERATOR, node, node.shape)


def is_differential(node: Expression) -> bool:
    """Whether the node is d(..)."""
    return node.op == "abstract" and node.name == D_OPERATOR


def list_differentials(line: Expression) -> list[Expression]:
    """The differentials of a line, in reading order."""
    return [node for node in walk(line) if is_differential(node)]


def zeros(shape: Shape) -> Expression:
    """Zeros of a 2-D shape."""
    return ex.filled("zeros", *_name_sizes(shape)) if squeeze_shape(shape) else ex.number(0)


def fit(node: Expression, shape: Shape) -> Expression:
    """Return the node with a column transposed to a row or the reverse, or repeated along the axes that it lacks."""
    if node.shape == shape:
        return node
    if node.shape == shape[::-1]:
        return ex.transpose(node)
    return ex.multiply(ex.filled("ones", *_name_sizes(shape)), node)


def _name_sizes(shape: Shape) -> Shape:
    """The sizes of zeros and ones as they are written: a column has one."""
    return shape[:1] if len(shape) == 2 and shape[1].is_unit else shape
