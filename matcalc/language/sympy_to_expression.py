"""SymPy expression -> typed nodes, with the shapes and assumptions that its symbols carry."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.matrices import expressions as matrices
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.diagonal import DiagonalMatrix
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.special import GenericIdentity, GenericZeroMatrix

from matcalc.errors import DeclarationError, LimitError, MatcalcError, ShapeError
from matcalc.language import names
from matcalc.language.calls import HIGHEST_ORDER, call_function, fill, infer_where, read_power, refuse_comparison
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import SCALAR_AXES, Draft, Reading, broadcast_axes, hold_axes, settle, unify
from matcalc.language.expression import Expression, symbol
from matcalc.language.infer_shapes import bound_value, compute_value
from matcalc.language.read_text import DEEPEST_TREE, MOST_NODES
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import build_expressions, find_stated_shape
from matcalc.rule_files import RuleBook, shipped_rules

# Whether a minus stands before a fraction, and the factors above and below its line.
_Fraction = tuple[bool, list[Any], list[Any]]
# A reader of a class yields the parts of its expression that it needs as drafts, and returns its own draft.
_Steps = Generator[Any, Draft, Draft]
Read = Callable[["Reader", Any], _Steps]
NOWHERE = (0, 0)  # there is no text to point at


def read_sympy(
    expr: Any, rules: RuleBook | None = None, beside: Sequence[Any] = ()
) -> tuple[Expression, dict[str, Any]]:
    """Return the typed expression that a SymPy expression is, and its symbols by name, those of sizes too.

    An n x 1 MatrixSymbol is a vector, a 1 x 1 one a scalar.  What is a size in the SymPy objects `beside` it, the
    variables to derive by, is one here too.  Raises a MatcalcError that names the SymPy class for what the language
    has no word for, a DeclarationError for names that would mean something else here, and a LimitError for what is
    too long or too deep.

    >>> n = sympy.Symbol("n")
    >>> A, x = sympy.MatrixSymbol("A", n, n), sympy.MatrixSymbol("x", n, 1)
    >>> read_sympy(A * x)[0].shape
    (n, 1)
    """
    if not isinstance(expr, sympy.Basic | sympy.MatrixBase):
        reason = f"an expression is a text or a SymPy expression, not {type(expr).__name__}"
        raise MatcalcError(reason, advice='write it as "A @ x"')
    reader = Reader(shipped_rules() if rules is None else rules, find_stated_shape)
    try:
        reader.letters = _find_letters([expr, *beside])
        root = reader.read(expr)
        refuse_comparison(root)
        _refuse_deep(reader.drafts)
    except RecursionError:
        raise LimitError("the SymPy expression is nested too deeply", advice="split it into parts") from None
    except MatcalcError as error:
        error.span = None
        raise
    found = {
        name: symbol(name, settle(axes, {}), reader.assumptions.get(name, frozenset()))
        for name, axes in reader.symbols.items()
    }
    return build_expressions(reader.drafts, {}, found)[root.position], reader.objects


def _find_letters(roots: list[Any]) -> frozenset[Any]:
    """Return the symbols of all sizes, by a walk that meets each part once."""
    found: set[Any] = set()
    seen: dict[int, Any] = {}
    stack = list(roots)
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen[id(expr)] = expr
        if len(seen) > 2 * MOST_NODES:
            raise LimitError(f"the expression is more than {MOST_NODES} parts long")
        if isinstance(expr, _SIZED) and not isinstance(expr, _UNSIZED):
            found.update(*(sympy.sympify(size).free_symbols for size in expr.shape))
        else:
            stack += getattr(expr, "args", ())
    return frozenset(found)


_SIZED = (sympy.MatrixSymbol, sympy.Identity, sympy.OneMatrix, sympy.ZeroMatrix)
_UNSIZED = (GenericIdentity, GenericZeroMatrix)


def _refuse_deep(drafts: list[Draft]) -> None:
    depths: list[int] = []
    for draft in drafts:
        depths.append(1 + max((depths[arg.position] for arg in draft.args), default=0))
    if max(depths) > DEEPEST_TREE:
        raise LimitError(f"the expression is more than {DEEPEST_TREE} levels deep", advice="split it into parts")


@dataclass(slots=True, eq=False)
class Reader(Reading):
    """One reading of a SymPy expression: a `Reading` whose sizes are all known from the start.

    `letters` are the symbols of sizes, `objects` all symbols by name; `bound` holds the draft of each Lambda's
    variable while its body is read.
    """

    letters: frozenset[Any] = frozenset()
    objects: dict[str, Any] = field(default_factory=dict)
    assumptions: dict[str, frozenset[str]] = field(default_factory=dict)
    bound: dict[Any, Draft] = field(default_factory=dict)
    done: dict[int, tuple[Any, Draft]] = field(default_factory=dict)
    origins: dict[int, Any] = field(default_factory=dict)
    visited: int = 0
    depth: int = 0

    # --- the walk ---------------------------------------------------------------------------------

    def read(self, root: Any) -> Draft:
        """Return the draft of an expression; a part that is used twice is read once."""
        waiting = [(root, self._begin(root))]
        answer: Any = None
        while waiting:
            expr, steps = waiting[-1]
            try:
                wanted = steps.send(answer)
            except StopIteration as end:
                waiting.pop()
                answer = self._finish(expr, end.value)
                continue
            # The expression is kept beside its draft, so that no other can get its id.
            answer = self.done[id(wanted)][1] if id(wanted) in self.done else None
            if answer is None:
                waiting.append((wanted, self._begin(wanted)))
        assert isinstance(answer, Draft)
        return answer

    def _begin(self, expr: Any) -> _Steps:
        self.visited, self.depth = self.visited + 1, self.depth + 1
        if self.depth > DEEPEST_TREE:
            raise LimitError(f"the expression is more than {DEEPEST_TREE} levels deep", advice="split it into parts")
        if max(self.visited, len(self.drafts)) > MOST_NODES:
            raise LimitError(f"the expression is more than {MOST_NODES} parts long")
        for kind in type(expr).__mro__:
            if kind in _READERS:
                return _READERS[kind](self, expr)
        raise refuse(expr)

    def _finish(self, expr: Any, draft: Draft) -> Draft:
        self.depth -= 1
        self.done[id(expr)] = expr, draft
        self.origins.setdefault(draft.position, expr)
        return draft

    def read_body(self, variable: Any, body: Any) -> tuple[Draft, Draft]:
        """Return the draft of a Lambda's variable, a number, and that of its body."""
        # What it is a draft of does not matter: `apply` puts a matrix in its place.
        entry = self.add("number", (), SCALAR_AXES, NOWHERE, (Fraction(0),))
        outer = self.bound, self.done
        self.bound, self.done = {**self.bound, variable: entry}, {}
        try:
            return entry, self.read(body)
        finally:
            self.bound, self.done = outer

    def apply(self, expr: Any, body: Draft, entry: Draft, matrix: Draft) -> Draft:
        """Return a body with a matrix in the place of its variable; raises where it does not work entry by entry."""
        needed = {body.position}
        for draft in reversed(self.drafts[entry.position : body.position + 1]):
            needed |= {arg.position for arg in draft.args if draft.position in needed}
        made = {entry.position: matrix}
        for draft in self.drafts[entry.position : body.position + 1]:
            if draft.position in needed and any(arg.position in made for arg in draft.args):
                if not (draft.is_scalar and _is_entrywise(draft)):
                    reason = f"{show(self.origins.get(draft.position, expr))} is no function of the single entries"
                    raise MatcalcError(reason, advice="apply a known function of numbers")
                args = tuple(made.get(arg.position, arg) for arg in draft.args)
                made[draft.position] = self.add(draft.op, args, matrix.axes, NOWHERE, draft.data)
        return made.get(body.position, body)

    def write(self, draft: Draft) -> str:
        """Return a draft as SymPy writes it."""
        return show(self.origins.get(draft.position, "it"))

    # --- names and sizes --------------------------------------------------------------------------

    def remember(self, found: Any) -> str:
        """Return a name and keep its object; raises DeclarationError where two objects have it."""
        name = names.read_name(found)
        if name == "pi":
            reason = "a SymPy symbol is called pi, which is the number 3.141... here"
            raise DeclarationError(reason, advice="rename it, or use sympy.pi")
        known = self.objects.setdefault(name, found)
        if known != found:
            raise _explain_two(name, known, found)
        return name

    def size(self, dimension: Any) -> Size:
        """Return a dimension as a size; raises MatcalcError for one that is no product of letters and numbers."""
        number, letters = 1, []
        for factor in sympy.Mul.make_args(sympy.sympify(dimension)):
            base, exponent = factor.as_base_exp()
            if not (exponent.is_Integer and 0 < exponent < 9 and (base.is_Symbol or (base.is_Integer and base > 0))):
                reason = f"the dimension {show(dimension)} cannot be a size"
                raise MatcalcError(reason, advice="sizes are names, numbers and products")
            if base.is_Symbol:
                letters += [self.remember(base)] * int(exponent)
            else:
                number *= int(base) ** int(exponent)
        if number > LARGEST_SIZE:
            raise LimitError(f"the dimension {show(dimension)} is too large; {LARGEST_SIZE} is the largest")
        return Size(tuple(letters), number)

    # --- drafts -----------------------------------------------------------------------------------

    def require_scalars(self, expr: Any, drafts: Iterable[Draft]) -> None:
        """Raise where a part of an expression is an array, of which SymPy means another thing than its entries."""
        if not all(draft.is_scalar for draft in drafts):
            raise refuse(expr)

    def require_alike(self, expr: Any, drafts: Sequence[Draft]) -> None:
        """Raise unless all parts have one shape: nothing is broadcast in SymPy."""
        for draft in drafts[1:]:
            if not all(map(unify, drafts[0].axes, draft.axes)):
                one, other = self.write_shapes(drafts[0].axes, draft.axes)
                raise ShapeError(f"the shapes {one} and {other} in {show(expr)} are not the same")

    def number(self, value: Fraction | int) -> Draft:
        """Return the draft of an exact number."""
        value = bound_value(Fraction(value), NOWHERE)
        return self.add("number", (), SCALAR_AXES, NOWHERE, (value,), value)

    def combine(self, op: str, left: Draft, right: Draft) -> Draft:
        """Return left op right, entry by entry."""
        for part in (left, right):
            refuse_comparison(part)
        axes = broadcast_axes(left.axes, right.axes)
        assert axes is not None
        value = compute_value(op, left, right, NOWHERE)
        return self.add(op, (left, right), axes, NOWHERE, (), value)

    def negate(self, operand: Draft) -> Draft:
        """Return -operand."""
        value = None if operand.value is None else -operand.value
        return self.add("negate", (operand,), operand.axes, NOWHERE, (), value)

    def transpose(self, operand: Draft) -> Draft:
        """Return operand.T, of a number itself."""
        return operand if operand.is_scalar else self.add("transpose", (operand,), operand.axes[::-1], NOWHERE)

    def matmul(self, expr: Any, left: Draft, right: Draft) -> Draft:
        """Return left @ right; raises ShapeError where the inner sizes differ."""
        if not unify(left.axes[1], right.axes[0]):
            one, other = self.write_shapes(left.axes, right.axes)
            raise ShapeError(f"{show(expr)} needs equal inner sizes, not {one} and {other}")
        return self.add("matmul", (left, right), (left.axes[0], right.axes[1]), NOWHERE)

    def call(self, function: str, *args: Draft) -> Draft:
        """Return the call of a function of the language."""
        return call_function(self, function, args, NOWHERE)

    def fill(self, function: str, rows: Size, columns: Size) -> Draft:
        """Return eye, ones or zeros of a shape."""
        if function == "eye":
            return fill(self, function, [rows], NOWHERE)
        if rows.is_unit:
            return self.transpose(fill(self, function, [columns], NOWHERE))
        return fill(self, function, [rows] if columns.is_unit else [rows, columns], NOWHERE)


def _is_entrywise(draft: Draft) -> bool:
    """Whether a draft of numbers means the same for each entry of an array."""
    if draft.op == "call":
        return all(parameter.axes is None for parameter in draft.data[0].variables)
    return draft.op in ("add", "subtract", "multiply", "divide", "power", "negate", "compare")


# --- errors -------------------------------------------------------------------------------------------


def show(expr: Any) -> str:
    """Return a SymPy expression as an error shows it; a long one is not written, which can take forever."""
    stack, count = [expr], 0
    while stack and count <= 400:
        stack += getattr(stack.pop(), "args", ())
        count += 1
    text = str(expr) if count <= 400 else f"{type(expr).__name__}(...)"
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(expr: Any) -> MatcalcError:
    """Return the error for a SymPy class that the language has no word for."""
    name = type(expr).__name__
    reason = f"the SymPy class {name} has no word in the language: {show(expr)}"
    return MatcalcError(reason, advice=_ADVICE.get(name, _USUAL))


_USUAL = "use MatrixSymbol, Trace, Determinant, Inverse, HadamardProduct, applyfunc, or write a text"
_ADVICE = {
    "MatrixElement": "pick an entry with vectors, a.T*X*b",
    "Sum": "write Trace(x.T*y) for a 1x1 product instead of its entry [0, 0], and OneMatrix(1, n)*x for a sum",
    "MutableDenseMatrix": "use a MatrixSymbol and put the numbers in by evaluate",
    "ImmutableDenseMatrix": "use a MatrixSymbol and put the numbers in by evaluate",
}


def require_same(name: str, one: Any, other: Any) -> None:
    """Raise DeclarationError unless two SymPy symbols are equal, or matrices of the same shape, letter by letter."""
    if isinstance(one, sympy.MatrixSymbol) and isinstance(other, sympy.MatrixSymbol):
        if str(one.shape) == str(other.shape):
            return
    if one != other:
        raise _explain_two(name, one, other)


def _explain_two(name: str, one: Any, other: Any) -> DeclarationError:
    first, second = (
        f"a MatrixSymbol of shape {found.shape}" if isinstance(found, sympy.MatrixSymbol)
        else f"a {type(found).__name__}" if isinstance(found, sympy.Symbol) else "a Function" for found in (one, other)
    )  # fmt: skip
    second = "another one, of which other things are assumed" if second == first == "a Symbol" else second
    return DeclarationError(f"two SymPy symbols are called {name}: {first} and {second}", advice="rename one of them")


# --- names and numbers --------------------------------------------------------------------------------


def _leaf(read: Callable[[Reader, Any], Draft]) -> Read:
    """A reader of what has no parts."""

    def steps(reader: Reader, expr: Any) -> _Steps:
        return read(reader, expr)
        yield

    return steps


def _refuse(reader: Reader, expr: Any) -> Draft:
    raise refuse(expr)


def _symbol(reader: Reader, expr: Any) -> Draft:
    if expr in reader.bound:
        return reader.bound[expr]
    name = reader.remember(expr)
    if expr in reader.letters:
        return reader.add("size", (), SCALAR_AXES, NOWHERE, (Size((name,)),))
    if not expr.is_commutative:
        reason = f"the symbol {name} does not commute, and the scalars of the language do"
        raise DeclarationError(reason, advice=f'for a matrix write MatrixSymbol("{name}", n, n)')
    if expr.is_real is False:
        raise DeclarationError(f"the symbol {name} is not real, and the scalars of the language are")
    reader.symbols[name] = SCALAR_AXES
    if expr.is_positive or expr.is_nonzero:
        reader.assumptions[name] = frozenset({"positive" if expr.is_positive else "nonzero"})
    return reader.add("symbol", (), SCALAR_AXES, NOWHERE, (name,))


def _matrix_symbol(reader: Reader, expr: Any) -> Draft:
    name = reader.remember(expr)
    rows, columns = map(reader.size, expr.shape)
    reader.symbols[name] = hold_axes((rows,) if columns.is_unit else (rows, columns))
    return reader.add("symbol", (), reader.symbols[name], NOWHERE, (name,))


def _rational(reader: Reader, expr: Any) -> Draft:
    above, below = reader.number(int(expr.p)), reader.number(int(expr.q))
    return above if below.value == 1 else reader.combine("divide", above, below)


def _float(reader: Reader, expr: Any) -> Draft:
    """Read a double as the shortest decimal that means it, and a number of more digits with all of them."""
    is_double = sympy.Float(float(expr)) == expr
    return reader.number(Fraction(repr(float(expr)) if is_double else str(expr)))


def _pi(reader: Reader, expr: Any) -> Draft:
    return reader.add("constant", (), SCALAR_AXES, NOWHERE, ("pi",))


def _e(reader: Reader, expr: Any) -> Draft:
    return reader.call("exp", reader.number(1))


def _filled(function: str) -> Read:
    """A reader of Identity, OneMatrix or ZeroMatrix."""
    return _leaf(lambda reader, expr: reader.fill(function, *map(reader.size, expr.shape)))


# --- sums, products, powers ---------------------------------------------------------------------------


def _read_all(parts: Iterable[Any]) -> Generator[Any, Draft, list[Draft]]:
    found = []
    for part in parts:
        found.append((yield part))
    return found


def _sum(reader: Reader, expr: Any) -> _Steps:
    """Read a sum in the order in which SymPy prints it, a term with a plus sign first."""
    terms = sorted(map(_split, expr.as_ordered_terms()), key=lambda term: term[0])
    total: Draft | None = None
    for is_negative, above, below in terms:
        draft = yield from _read_fraction(reader, expr, (is_negative and total is None, above, below))
        if total is not None:
            reader.require_alike(expr, [total, draft])
            draft = reader.combine("subtract" if is_negative else "add", total, draft)
        total = draft
    assert total is not None
    return total


def _split(expr: Any) -> _Fraction:
    """Return the factors of a product, or of anything else itself."""
    is_negative, above, below, stack = False, [], [], [expr]
    while stack:
        factor = stack.pop()
        if factor.is_Mul and (factor is expr or not getattr(factor, "is_Matrix", False)):
            stack += reversed(factor.args)
            continue
        if factor.is_Number and factor.is_negative:
            is_negative, factor = not is_negative, -factor
        if factor.is_Rational:
            above += [sympy.Integer(factor.p)] if factor.p != 1 else []
            below += [sympy.Integer(factor.q)] if factor.q != 1 else []
        elif factor is not expr and factor.is_Pow and factor.exp.is_Rational and factor.exp < 0:
            below.append(factor.base ** (-factor.exp))
        else:
            above.append(factor)
    return is_negative, above, below


def _product(reader: Reader, expr: Any) -> _Steps:
    return (yield from _read_fraction(reader, expr, _split(expr)))


def _read_fraction(reader: Reader, expr: Any, fraction: _Fraction) -> _Steps:
    """Read 2*A @ x/3: the scalars first, then the matrices in their order, then the scalars below the line."""
    above, below = (yield from _read_all(fraction[1])), (yield from _read_all(fraction[2]))
    reader.require_scalars(expr, below)
    arrays = [draft for draft in above if not draft.is_scalar]
    numbers = [draft for draft in above if draft.is_scalar]
    factors = numbers or arrays
    if fraction[0]:
        factors[:1] = [reader.negate(factors[0]) if factors else reader.number(-1)]
    front = [reduce(partial(reader.combine, "multiply"), numbers)] if numbers else []
    if arrays:
        front = [reader.combine("multiply", front[0], arrays[0]) if front else arrays[0]]
        front = [reduce(partial(reader.matmul, expr), arrays[1:], front[0])]
    whole = front[0] if front else reader.number(1)
    return reader.combine("divide", whole, reduce(partial(reader.combine, "multiply"), below)) if below else whole


def _entrywise_product(reader: Reader, expr: Any) -> _Steps:
    found = yield from _read_all(expr.args)
    reader.require_alike(expr, found)
    return reduce(partial(reader.combine, "multiply"), found)


def _power(reader: Reader, expr: Any) -> _Steps:
    base = yield expr.args[0]
    exponent = expr.args[1]
    if not base.is_scalar:
        return (yield from _matrix_power(reader, expr, base))
    if exponent == -1:
        return reader.combine("divide", reader.number(1), base)
    if exponent == sympy.Rational(1, 2):
        return reader.call("sqrt", base)
    found = yield exponent
    reader.require_scalars(expr, [found])
    return reader.combine("power", base, found)


def _matrix_power(reader: Reader, expr: Any, base: Draft) -> _Steps:
    exponent = expr.args[1]
    if exponent == -1:
        return reader.call("inv", base)
    if exponent == sympy.Rational(1, 2):
        return reader.call("sqrtm", base)
    if not exponent.is_Integer:
        raise refuse(expr)
    return reader.call("matrix_power", *read_power(reader, (base, (yield exponent)), NOWHERE))


def _entrywise_power(reader: Reader, expr: Any) -> _Steps:
    base, exponent = yield from _read_all(expr.args)
    if expr.args[1] == sympy.Rational(1, 2):
        return reader.call("sqrt", base)
    if not (base.is_scalar or exponent.is_scalar):
        reader.require_alike(expr, [base, exponent])
    return reader.combine("power", base, exponent)


# --- functions ----------------------------------------------------------------------------------------


def _function(function: str, of: str = "scalars") -> Read:
    """A reader of a function; one of two arguments takes more of them in turn."""

    def steps(reader: Reader, expr: Any) -> _Steps:
        found = yield from _read_all(expr.args)
        if of == "scalars":
            reader.require_scalars(expr, found)
        return reduce(partial(reader.call, function), found) if len(found) > 1 else reader.call(function, *found)

    return steps


def _exponential(reader: Reader, expr: Any) -> _Steps:
    operand = yield expr.args[0]
    return reader.call("exp" if operand.is_scalar else "expm", operand)


def _logarithm(reader: Reader, expr: Any) -> _Steps:
    found = yield from _read_all(expr.args)
    reader.require_scalars(expr, found)
    return reduce(partial(reader.combine, "divide"), [reader.call("log", draft) for draft in found])


def _transpose(reader: Reader, expr: Any) -> _Steps:
    return reader.transpose((yield expr.args[0]))


def _diagonal_matrix(reader: Reader, expr: Any) -> _Steps:
    operand = yield expr.args[0]
    return reader.call("diag", reader.transpose(operand) if operand.is_row else operand)


def _diagonal(reader: Reader, expr: Any) -> _Steps:
    """Read DiagonalOf(A), the diagonal as a column, or DiagonalMatrix(A), all else 0; of a vector diag is neither."""
    operand = yield expr.args[0]
    if not (operand.is_scalar or operand.is_matrix):
        raise refuse(expr)
    found = reader.call("diag", operand)
    return reader.call("diag", found) if isinstance(expr, DiagonalMatrix) else found


def _element(reader: Reader, expr: Any) -> _Steps:
    matrix, *places = expr.args
    found = yield matrix
    if found.is_scalar and places == [0, 0]:
        return found
    raise refuse(expr)


def _apply(reader: Reader, expr: Any) -> _Steps:
    """Read X.applyfunc(f): the body of f with X in the place of its variable."""
    matrix = yield expr.expr
    (variable,), body = expr.function.variables, expr.function.expr
    entry, found = reader.read_body(variable, body)
    reader.require_scalars(expr, [found])
    applied = reader.apply(expr, found, entry, matrix)
    if matrix.is_scalar or not applied.is_scalar:
        return applied
    return reader.combine("multiply", applied, reader.fill("ones", *map(reader.size, expr.shape)))


def _heaviside(reader: Reader, expr: Any) -> _Steps:
    """Read a step: its value at 0 is 1/2, unless 0 or 1 is given."""
    operand, middle = (yield expr.args[0]), expr.args[1]
    reader.require_scalars(expr, [operand])
    zero, one = reader.number(0), reader.number(1)
    if middle == sympy.Rational(1, 2):
        return reader.combine("divide", reader.combine("add", one, reader.call("sign", operand)), reader.number(2))
    if middle not in (0, 1):
        raise refuse(expr)
    condition = _compare(reader, ">" if middle == 0 else ">=", operand, zero)
    return infer_where(reader, (condition, one, zero), NOWHERE)


def _compare(reader: Reader, sign: str, left: Draft, right: Draft) -> Draft:
    return reader.add("compare", (left, right), SCALAR_AXES, NOWHERE, (sign,))


def _relation(sign: str) -> Read:
    def steps(reader: Reader, expr: Any) -> _Steps:
        found = yield from _read_all(expr.args)
        reader.require_scalars(expr, found)
        return _compare(reader, sign, *found)

    return steps


def _piecewise(reader: Reader, expr: Any) -> _Steps:
    *choices, (otherwise, last) = expr.args
    if last != sympy.true:
        reason = f"{show(expr)} has no value where none of its conditions holds"
        raise MatcalcError(reason, advice="give the last piece the condition True")
    chosen = yield from _read_all(value for value, _ in (*choices, (otherwise, last)))
    conditions = yield from _read_all(condition for _, condition in choices)
    reader.require_alike(expr, chosen)
    found = chosen.pop()
    for condition, value in zip(reversed(conditions), reversed(chosen), strict=True):
        found = infer_where(reader, (condition, value, found), NOWHERE)
    return found


# --- undefined functions ------------------------------------------------------------------------------


def _abstract(reader: Reader, expr: AppliedUndef) -> _Steps:
    """Read u(z), of which nothing is known."""
    name = _name_abstract(reader, expr)
    argument = yield expr.args[0]
    reader.require_scalars(expr, [argument])
    return reader.add("abstract", (argument,), SCALAR_AXES, NOWHERE, (name,))


def _name_abstract(reader: Reader, expr: AppliedUndef) -> str:
    """Return the name of an undefined function; raises DeclarationError for one that has a meaning here."""
    if len(expr.args) != 1:
        raise refuse(expr)
    name = reader.remember(expr.func)
    if name in names.SPECIAL or name == "D" or reader.book.overloads(name):
        reason = f"{name} is a function of the language, and {show(expr)} is one of which nothing is known"
        raise DeclarationError(reason, advice=f'rename it, as in Function("{name}_1"), or write SymPy\'s own function')
    if expr.func.is_commutative is False:
        raise DeclarationError(f"the function {name} does not commute, and the scalars of the language do")
    reader.abstract[name] = ()
    return name


def _derivative(reader: Reader, expr: Any) -> _Steps:
    """Read Derivative(u(z), (z, k)) as D(u, z, k), and Subs(Derivative(u(z), z), z, y) as D(u, y)."""
    inside, point = (expr.args[0], expr.args[2]) if isinstance(expr, sympy.Subs) else (expr, expr.args[1])
    function, *variables = inside.args
    if not (isinstance(inside, sympy.Derivative) and isinstance(function, AppliedUndef) and len(variables) == 1):
        raise refuse(expr)
    variable, order = variables[0]
    is_at_it = function.args == (variable,) and (inside is expr or tuple(expr.args[1]) == (variable,))
    if not (is_at_it and order.is_Integer and 1 <= order <= HIGHEST_ORDER):
        raise refuse(expr)
    name = _name_abstract(reader, function)
    argument = yield point[0]
    reader.require_scalars(expr, [argument])
    return reader.add("abstract_derivative", (argument,), SCALAR_AXES, NOWHERE, (name, int(order), ()))


_READERS: dict[type, Read] = {
    sympy.Symbol: _leaf(_symbol), sympy.MatrixSymbol: _leaf(_matrix_symbol), sympy.Rational: _leaf(_rational),
    sympy.Float: _leaf(_float), type(sympy.pi): _leaf(_pi), type(sympy.E): _leaf(_e),
    sympy.Identity: _filled("eye"), sympy.OneMatrix: _filled("ones"), sympy.ZeroMatrix: _filled("zeros"),
    GenericIdentity: _leaf(_refuse), GenericZeroMatrix: _leaf(_refuse),
    sympy.Add: _sum, matrices.MatAdd: _sum, sympy.Mul: _product, matrices.MatMul: _product,
    sympy.Pow: _power, matrices.MatPow: _power,
    sympy.HadamardProduct: _entrywise_product, sympy.HadamardPower: _entrywise_power,
    matrices.Transpose: _transpose, matrices.Adjoint: _transpose, sympy.Trace: _function("trace", "matrices"),
    sympy.Determinant: _function("det", "matrices"), sympy.KroneckerProduct: _function("kron", "matrices"),
    matrices.DotProduct: _function("dot", "matrices"), matrices.DiagMatrix: _diagonal_matrix,
    matrices.DiagonalOf: _diagonal, DiagonalMatrix: _diagonal,
    ElementwiseApplyFunction: _apply, MatrixElement: _element,
    sympy.exp: _exponential, sympy.log: _logarithm, sympy.sin: _function("sin"), sympy.cos: _function("cos"),
    sympy.tan: _function("tan"), sympy.sinh: _function("sinh"), sympy.cosh: _function("cosh"),
    sympy.tanh: _function("tanh"), sympy.asin: _function("arcsin"), sympy.acos: _function("arccos"),
    sympy.atan: _function("arctan"), sympy.Abs: _function("abs"), sympy.sign: _function("sign"),
    sympy.erf: _function("erf"), sympy.Max: _function("maximum"), sympy.Min: _function("minimum"),
    sympy.Heaviside: _heaviside, sympy.Piecewise: _piecewise, sympy.Gt: _relation(">"), sympy.Lt: _relation("<"),
    sympy.Ge: _relation(">="), sympy.Le: _relation("<="),
    AppliedUndef: _abstract, sympy.Derivative: _derivative, sympy.Subs: _derivative,
}  # fmt: skip
