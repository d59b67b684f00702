"""SymPy expression -> typed nodes, with the shapes and assumptions that its symbols carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.matrices import expressions as matrices
from sympy.matrices.expressions.diagonal import DiagonalMatrix
from sympy.matrices.expressions.special import GenericIdentity, GenericZeroMatrix

from matcalc.errors import DeclarationError, LimitError, MatcalcError
from matcalc.language import names
from matcalc.language.calls import HIGHEST_ORDER, infer_where, read_power, refuse_comparison
from matcalc.language.draft import SCALAR_AXES, Draft, hold_axes, is_unit
from matcalc.language.expression import Expression
from matcalc.language.match_rules import find_forms
from matcalc.language.read_text import DEEPEST_TREE, MOST_NODES
from matcalc.language.sizes import Size
from matcalc.language.sympy_arrays_to_expression import ARRAY_READERS, list_dimensions, read_running, unit_vector
from matcalc.language.sympy_reader import (
    NOWHERE,
    Derive,
    Read,
    Reader,
    ReadSteps,
    leaf,
    list_sums,
    read_all,
    refuse,
    show,
)
from matcalc.language.text_to_expression import find_stated_shape
from matcalc.rule_files import RuleBook, shipped_rules

# Whether a minus stands before a fraction, and the factors above and below its line.
_Fraction = tuple[bool, list[Any], list[Any]]


def read_sympy(
    expr: Any, rules: RuleBook | None = None, beside: Sequence[Any] = (), derive: Derive | None = None
) -> tuple[Expression, dict[str, Any]]:
    """Return the typed expression that a SymPy expression is, and its symbols by name, those of sizes too.

    An n x 1 MatrixSymbol is a vector, a 1 x 1 one a scalar.  What is a size in the SymPy objects `beside` it, the
    variables to derive by, is one here too.  `derive` is asked for the value of a Derivative.  Raises a MatcalcError
    that names the SymPy class for what the language has no word for, a DeclarationError for names that would mean
    something else here, and a LimitError for what is too long or too deep.

    >>> n = sympy.Symbol("n")
    >>> A, x = sympy.MatrixSymbol("A", n, n), sympy.MatrixSymbol("x", n, 1)
    >>> read_sympy(A * x)[0].shape
    (n, 1)
    """
    if not isinstance(expr, sympy.Basic | sympy.MatrixBase):
        reason = f"an expression is a text or a SymPy expression, not {type(expr).__name__}"
        raise MatcalcError(reason, advice='write it as "A @ x"')
    reader = Reader(shipped_rules() if rules is None else rules, find_stated_shape, readers=_READERS, derive=derive)
    try:
        reader.letters, reader.sums = _find_letters([expr, *beside])
        root = reader.read(expr)
        refuse_comparison(root)
        _refuse_deep(reader.drafts)
        return reader.build(root), reader.objects
    except RecursionError:
        raise LimitError("the SymPy expression is nested too deeply", advice="split it into parts") from None
    except MatcalcError as error:
        error.span = None
        raise


def read_entry(
    entry: Any, rules: RuleBook | None = None, beside: Sequence[Any] = ()
) -> tuple[Expression, tuple[Expression, ...], dict[str, Any]]:
    """Return the variable of which a SymPy object is an entry, the unit vectors that pick it, and the names they need.

    Raises as `read_sympy`, and DeclarationError for an entry of anything but a MatrixSymbol.
    """
    if not isinstance(entry.parent, sympy.MatrixSymbol):
        advice = "derive by an entry of a MatrixSymbol"
        raise DeclarationError(f"{show(entry)} is no entry of a variable", advice=advice)
    reader = Reader(shipped_rules() if rules is None else rules, find_stated_shape, readers=_READERS)
    reader.letters, reader.sums = _find_letters([entry, *beside])
    variable = reader.read(entry.parent)
    units = [
        unit_vector(reader, entry, axis, place)
        for axis, place in zip(variable.axes, entry.args[1:], strict=True) if not is_unit(axis)
    ]  # fmt: skip
    return reader.build(variable), tuple(map(reader.build, units)), reader.objects


def _find_letters(roots: list[Any]) -> tuple[frozenset[Any], frozenset[Any]]:
    """Return the symbols of all sizes, and the sizes that are sums, by a walk that meets each part once."""
    letters: set[Any] = set()
    sums: set[Any] = set()
    seen: dict[int, Any] = {}
    stack = list(roots)
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen[id(expr)] = expr
        if len(seen) > 2 * MOST_NODES:
            raise LimitError(f"the expression is more than {MOST_NODES} parts long")
        is_sized = isinstance(expr, _SIZED) and not isinstance(expr, _UNSIZED)
        for dimension in map(sympy.sympify, expr.shape if is_sized else list_dimensions(expr)):
            letters |= dimension.free_symbols
            sums.update(list_sums(dimension))
        if not is_sized:
            stack += expr if isinstance(expr, sympy.MatrixBase) else getattr(expr, "args", ())
    return frozenset(letters), frozenset(sums)


_SIZED = (sympy.MatrixSymbol, sympy.Identity, sympy.OneMatrix, sympy.ZeroMatrix)
_UNSIZED = (GenericIdentity, GenericZeroMatrix)


def _refuse_deep(drafts: list[Draft]) -> None:
    depths: list[int] = []
    for draft in drafts:
        depths.append(1 + max((depths[arg.position] for arg in draft.args), default=0))
    if max(depths) > DEEPEST_TREE:
        raise LimitError(f"the expression is more than {DEEPEST_TREE} levels deep", advice="split it into parts")


# --- names and numbers --------------------------------------------------------------------------------


def _refuse(reader: Reader, expr: Any) -> Draft:
    raise refuse(expr)


def _symbol(reader: Reader, expr: Any) -> Draft:
    if expr in reader.bound:
        return reader.bound[expr]
    if expr in reader.running:
        return read_running(reader, reader.running[expr])
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


def _filled(function: str) -> Read:
    """A reader of Identity, OneMatrix or ZeroMatrix."""
    return leaf(lambda reader, expr: reader.fill(function, *map(reader.size, expr.shape)))


# --- sums, products, powers ---------------------------------------------------------------------------


def _sum(reader: Reader, expr: Any) -> ReadSteps:
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


def _product(reader: Reader, expr: Any) -> ReadSteps:
    return (yield from _read_fraction(reader, expr, _split(expr)))


def _read_fraction(reader: Reader, expr: Any, fraction: _Fraction) -> ReadSteps:
    """Read 2*A @ x/3: the scalars first, then the matrices in their order, then the scalars below the line."""
    above, below = (yield from read_all(fraction[1])), (yield from read_all(fraction[2]))
    reader.require_scalars(expr, below)
    arrays = [draft for draft in above if not reader.is_number(draft)]
    numbers = [draft for draft in above if reader.is_number(draft)]
    factors = numbers or arrays
    if fraction[0]:
        factors[:1] = [reader.negate(factors[0]) if factors else reader.number(-1)]
    front = [reduce(partial(reader.combine, "multiply"), numbers)] if numbers else []
    if arrays:
        front = [reader.combine("multiply", front[0], arrays[0]) if front else arrays[0]]
        front = [reduce(partial(reader.matmul, expr), arrays[1:], front[0])]
    whole = front[0] if front else reader.number(1)
    return reader.combine("divide", whole, reduce(partial(reader.combine, "multiply"), below)) if below else whole


def _entrywise_product(reader: Reader, expr: Any) -> ReadSteps:
    found = yield from read_all(expr.args)
    reader.require_alike(expr, found)
    return reduce(partial(reader.combine, "multiply"), found)


def _power(reader: Reader, expr: Any) -> ReadSteps:
    base = yield expr.args[0]
    exponent = expr.args[1]
    if not reader.is_number(base):
        return _matrix_power(reader, expr, base)
    if exponent == -1:
        return reader.combine("divide", reader.number(1), base)
    if exponent == sympy.Rational(1, 2):
        return reader.call("sqrt", base)
    found = yield exponent
    reader.require_scalars(expr, [found])
    return reader.combine("power", base, found)


def _matrix_power(reader: Reader, expr: Any, base: Draft) -> Draft:
    exponent = expr.args[1]
    if exponent == -1:
        return reader.call("inv", base)
    if not exponent.is_Rational or exponent.q not in (1, 2):
        raise refuse(expr, _NO_POWER, "write a whole number, or a half of one, as the exponent")
    if exponent.q == 2:
        base, exponent = reader.call("sqrtm", base), exponent.p
    if exponent == 1:
        return base
    power = reader.number(int(exponent))
    return reader.call("matrix_power", *read_power(reader, (base, power), NOWHERE))


_NO_POWER = "the derivative of such a power of a matrix is a sum of as many terms as the exponent says, or an integral"


def _entrywise_power(reader: Reader, expr: Any) -> ReadSteps:
    base, exponent = yield from read_all(expr.args)
    if expr.args[1] == sympy.Rational(1, 2):
        return reader.call("sqrt", base)
    if not (base.is_scalar or exponent.is_scalar):
        reader.require_alike(expr, [base, exponent])
    return reader.combine("power", base, exponent)


# --- functions ----------------------------------------------------------------------------------------


def _function(function: str, of: str = "scalars") -> Read:
    """A reader of a function; one of two arguments takes more of them in turn."""

    def steps(reader: Reader, expr: Any) -> ReadSteps:
        found = yield from read_all(expr.args)
        if of == "scalars":
            reader.require_scalars(expr, found)
        return reduce(partial(reader.call, function), found) if len(found) > 1 else reader.call(function, *found)

    return steps


def _polygamma(reader: Reader, expr: Any) -> ReadSteps:
    if expr.args[0] == 0:
        return reader.call("digamma", (yield expr.args[1]))
    return (yield from _named(reader, expr))


def _named(reader: Reader, expr: Any) -> ReadSteps:
    """Read a function of numbers that the language calls by the name that SymPy has for it."""
    found = yield from read_all(expr.args)
    reader.require_scalars(expr, found)
    if not find_forms(reader, expr.func.__name__, tuple(found)):
        raise refuse(expr)
    return reader.call(expr.func.__name__, *found)


def _rewritten(form: Callable[..., Any]) -> Read:
    """A reader of a function of numbers that others express."""

    def steps(reader: Reader, expr: Any) -> ReadSteps:
        return (yield form(*expr.args))

    return steps


def _exponential(reader: Reader, expr: Any) -> ReadSteps:
    operand = yield expr.args[0]
    return reader.call("exp" if reader.is_number(operand) else "expm", operand)


def _logarithm(reader: Reader, expr: Any) -> ReadSteps:
    found = yield from read_all(expr.args)
    reader.require_scalars(expr, found)
    return reduce(partial(reader.combine, "divide"), [reader.call("log", draft) for draft in found])


def _transpose(reader: Reader, expr: Any) -> ReadSteps:
    return reader.transpose((yield expr.args[0]))


def _diagonal_matrix(reader: Reader, expr: Any) -> ReadSteps:
    operand = yield expr.args[0]
    return reader.call("diag", reader.transpose(operand) if operand.is_row else operand)


def _diagonal(reader: Reader, expr: Any) -> ReadSteps:
    """Read DiagonalOf(A), the diagonal as a column, or DiagonalMatrix(A), all else 0; of a vector diag is neither."""
    operand = yield expr.args[0]
    if not (operand.is_scalar or operand.is_matrix):
        raise refuse(expr)
    found = reader.call("diag", operand)
    return reader.call("diag", found) if isinstance(expr, DiagonalMatrix) else found


def _heaviside(reader: Reader, expr: Any) -> ReadSteps:
    """Read a step: its value at 0 is 1/2, unless 0 or 1 is given."""
    operand, middle = (yield expr.args[0]), expr.args[1]
    reader.require_scalars(expr, [operand])
    zero, one = reader.number(0), reader.number(1)
    if middle == sympy.Rational(1, 2):
        return reader.combine("divide", reader.combine("add", one, reader.call("sign", operand)), reader.number(2))
    if middle not in (0, 1):
        raise refuse(expr)
    condition = reader.compare(">" if middle == 0 else ">=", operand, zero)
    return _choose(reader, condition, one, zero)


def _choose(reader: Reader, condition: Draft, chosen: Draft, otherwise: Draft) -> Draft:
    if condition.op == "compare":
        left, right, chosen, otherwise = reader.align([*condition.args, chosen, otherwise])
        condition = reader.compare(condition.data[0], left, right)
    return infer_where(reader, (condition, chosen, otherwise), NOWHERE)


def _relation(sign: str) -> Read:
    def steps(reader: Reader, expr: Any) -> ReadSteps:
        found = yield from read_all(expr.args)
        reader.require_scalars(expr, found)
        return reader.compare(sign, *found)

    return steps


def _piecewise(reader: Reader, expr: Any) -> ReadSteps:
    *choices, (otherwise, last) = expr.args
    if last != sympy.true:
        reason = f"{show(expr)} has no value where none of its conditions holds"
        raise MatcalcError(reason, advice="give the last piece the condition True")
    chosen = yield from read_all(value for value, _ in (*choices, (otherwise, last)))
    reader.require_alike(expr, chosen)
    found = chosen.pop()
    for (_, condition), value in zip(reversed(choices), reversed(chosen), strict=True):
        found = yield from _decide(reader, condition, value, found)
    return found


def _decide(reader: Reader, condition: Any, chosen: Draft, otherwise: Draft) -> ReadSteps:
    """Read one choice, where both, one or none of several conditions hold as one choice inside another."""
    if isinstance(condition, sympy.Not):
        return (yield from _decide(reader, condition.args[0], otherwise, chosen))
    if isinstance(condition, sympy.And | sympy.Or):
        is_both, found = isinstance(condition, sympy.And), chosen if isinstance(condition, sympy.And) else otherwise
        for part in reversed(condition.args):
            found = yield from _decide(reader, part, *((found, otherwise) if is_both else (chosen, found)))
        return found
    return _choose(reader, (yield condition), chosen, otherwise)


# --- undefined functions ------------------------------------------------------------------------------


def _abstract(reader: Reader, expr: AppliedUndef) -> ReadSteps:
    """Read u(z), of which nothing is known."""
    name = _name_abstract(reader, expr)
    argument = yield expr.args[0]
    if not argument.is_scalar:
        raise refuse(expr)
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


def _derivative(reader: Reader, expr: Any) -> ReadSteps:
    """Read Derivative(u(z), (z, k)) as D(u, z, k), and Subs(Derivative(u(z), z), z, y) as D(u, y)."""
    inside, point = (expr.args[0], expr.args[2]) if isinstance(expr, sympy.Subs) else (expr, expr.args[1])
    function, *variables = inside.args
    if not (isinstance(inside, sympy.Derivative) and isinstance(function, AppliedUndef) and len(variables) == 1):
        return (yield from _derivative_of_expression(reader, expr))
    variable, order = variables[0]
    is_at_it = function.args == (variable,) and (inside is expr or tuple(expr.args[1]) == (variable,))
    if not (is_at_it and order.is_Integer and 1 <= order <= HIGHEST_ORDER):
        return (yield from _derivative_of_expression(reader, expr))
    name = _name_abstract(reader, function)
    argument = yield point[0]
    if not argument.is_scalar:
        raise refuse(expr)
    return reader.add("abstract_derivative", (argument,), SCALAR_AXES, NOWHERE, (name, int(order), ()))


def _derivative_of_expression(reader: Reader, expr: Any) -> ReadSteps:
    """Read Derivative(y, X) as its value, with the axes of X before those of y as in SymPy."""
    if not isinstance(expr, sympy.Derivative) or reader.derive is None or reader.bound or reader.running:
        raise refuse(expr, "the value of a derivative inside another expression is not known here", "use its doit()")
    found = yield expr.args[0]
    if any(not count.is_Integer for _, count in expr.args[1:]):
        raise refuse(expr, "its order is no number")
    for variable in (variable for variable, count in expr.args[1:] for _ in range(int(count))):
        wrt = yield variable
        if wrt.op != "symbol":
            raise refuse(expr, f"{show(variable)} is no variable", "derive by a Symbol or a MatrixSymbol")
        is_row = found.is_row if wrt.is_scalar else wrt.is_row and found.is_scalar
        found = reader.adopt(reader.derive(reader.build(found), reader.make_symbols()[wrt.data[0]]))
        found = reader.transpose(found) if is_row else found
    return found


_READERS: dict[type, Read] = ARRAY_READERS | {
    sympy.Symbol: leaf(_symbol), sympy.MatrixSymbol: leaf(_matrix_symbol), sympy.Rational: leaf(_rational),
    sympy.Float: leaf(_float),
    type(sympy.pi): leaf(lambda reader, expr: reader.add("constant", (), SCALAR_AXES, NOWHERE, ("pi",))),
    type(sympy.E): leaf(lambda reader, expr: reader.call("exp", reader.number(1))),
    sympy.Identity: _filled("eye"), sympy.OneMatrix: _filled("ones"), sympy.ZeroMatrix: _filled("zeros"),
    GenericIdentity: leaf(_refuse), GenericZeroMatrix: leaf(_refuse),
    sympy.Add: _sum, matrices.MatAdd: _sum, sympy.Mul: _product, matrices.MatMul: _product,
    sympy.Pow: _power, matrices.MatPow: _power,
    sympy.HadamardProduct: _entrywise_product, sympy.HadamardPower: _entrywise_power,
    matrices.Transpose: _transpose, matrices.Adjoint: _transpose, sympy.Trace: _function("trace", "matrices"),
    sympy.Determinant: _function("det", "matrices"), sympy.KroneckerProduct: _function("kron", "matrices"),
    matrices.DotProduct: _function("dot", "matrices"), matrices.DiagMatrix: _diagonal_matrix,
    matrices.DiagonalOf: _diagonal, DiagonalMatrix: _diagonal,
    sympy.exp: _exponential, sympy.log: _logarithm, sympy.sin: _function("sin"), sympy.cos: _function("cos"),
    sympy.tan: _function("tan"), sympy.sinh: _function("sinh"), sympy.cosh: _function("cosh"),
    sympy.tanh: _function("tanh"), sympy.asin: _function("arcsin"), sympy.acos: _function("arccos"),
    sympy.atan: _function("arctan"), sympy.Abs: _function("abs"), sympy.sign: _function("sign"),
    sympy.erf: _function("erf"), sympy.erfc: _function("erfc"), sympy.asinh: _function("arcsinh"),
    sympy.acosh: _function("arccosh"), sympy.atanh: _function("arctanh"), sympy.atan2: _function("arctan2"),
    sympy.re: _rewritten(lambda t: t), sympy.conjugate: _rewritten(lambda t: t), sympy.Max: _function("maximum"),
    sympy.Min: _function("minimum"), sympy.Function: _named, sympy.polygamma: _polygamma,
    sympy.Heaviside: _heaviside, sympy.Piecewise: _piecewise, sympy.Gt: _relation(">"), sympy.Lt: _relation("<"),
    sympy.Ge: _relation(">="), sympy.Le: _relation("<="),
    AppliedUndef: _abstract, sympy.Derivative: _derivative, sympy.Subs: _derivative,
}  # fmt: skip
