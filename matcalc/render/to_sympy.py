"""Typed expression -> SymPy: matrix expressions, and array expressions where there is no matrix form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sympy
from sympy.core.cache import clear_cache
from sympy.matrices.expressions import DiagonalOf, FunctionMatrix, HadamardPower, HadamardProduct, MatPow
from sympy.matrices.expressions.hadamard import canonicalize
from sympy.matrices.matrixbase import MatrixBase
from sympy.tensor.array.expressions import (
    ArrayAdd,
    ArrayContraction,
    ArrayDiagonal,
    ArraySymbol,
    ArrayTensorProduct,
    OneArray,
    PermuteDims,
    ZeroArray,
)
from sympy.tensor.array.expressions.array_expressions import ArrayElementwiseApplyFunc, Reshape

from matcalc.errors import MatcalcError
from matcalc.language import expression as ex
from matcalc.language.expression import Expression, walk
from matcalc.language.names import BASIS, SELECTION
from matcalc.language.scalar_calculus import OPERATIONS, RELATIONS, apply_word, choose, find_sympy_word
from matcalc.language.sizes import SCALAR, Shape, Size
from matcalc.language.sympy_arrays_to_expression import find_unit_place, make_unit_vector
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.render.code.definitions import define_call
from matcalc.render.sympy_parts import Parts
from matcalc.rule_files import Rule


def to_sympy(expression: Expression, names: Mapping[str, Any] | None = None) -> Any:
    """Return the SymPy form of an expression: vectors are columns (n, 1), scalars are numbers.

    `names` gives the SymPy objects to use for variables and sizes, others are made.  A scalar product of
    vectors is the Trace of a 1x1 product.  Raises MatcalcError where SymPy has no word for a function.

    >>> from matcalc.language.text_to_expression import parse
    >>> to_sympy(parse("(A + A.T) @ x").expressions[0])
    (A + A.T)*x
    """
    try:
        # A 1x1 matrix is a scalar in the language, and no factor of a matrix in SymPy.
        found = {name: one for name, one in (names or {}).items() if getattr(one, "shape", None) != (1, 1)}
        writer = _Writer(found)
        return writer.parts.restore(writer.write(expression))
    except RecursionError:
        raise MatcalcError("SymPy cannot build what is nested so deeply", advice=_INSTEAD) from None
    except (AttributeError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise MatcalcError(f"SymPy cannot build this expression: {error}", advice=_INSTEAD) from error


# So many nodes take time where they are compared, though not where each is written once.
_MANY_NODES = 200
_INSTEAD = "use str(d), d.einsum or d.latex()"


class _Writer:
    """One reading of an expression, with the SymPy objects of its names."""

    def __init__(
        self, names: dict[str, Any], arguments: Mapping[str, Any] | None = None, parts: Parts | None = None
    ) -> None:
        self.names = names
        self.arguments = arguments or {}
        self.values: dict[Expression, Any] = {}
        self.parts = parts or Parts()

    def write(self, expression: Expression) -> Any:
        """Return the value of an expression, each node's once."""
        nodes = list(walk(expression))
        if len(nodes) > _MANY_NODES:
            # What is equal to a key of SymPy's cache is compared with it place by place, each shared part many times.
            clear_cache()
        for node in nodes:
            if node not in self.values:
                value = _WRITERS[node.op](self, node, [self.values[arg] for arg in node.args])
                self.values[node] = self.parts.shorten(value)
        return self.values[expression]

    def size(self, size: Size) -> Any:
        made = sympy.sympify(size)
        return made.xreplace({letter: self.names.get(letter.name, letter) for letter in made.free_symbols})

    def shape(self, node: Expression) -> list[Any]:
        return [self.size(size) for size in node.shape]

    def stretch(self, node: Expression, value: Any, like: Expression) -> Any:
        """Return a value broadcast to the shape of another node."""
        if node.shape == like.shape:
            return value
        rows, columns = self.shape(like)
        if node.is_scalar:
            return _times(value, sympy.OneMatrix(rows, columns))
        ones = sympy.OneMatrix(1, columns) if node.is_column else sympy.OneMatrix(rows, 1)
        return _times(value, ones) if node.is_column else _times(ones, value)


def _refuse(what: str) -> MatcalcError:
    return MatcalcError(f"SymPy has no word for {what}", advice=_INSTEAD)


# --- leaves ---------------------------------------------------------------------------------------


def _symbol(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    if node.name in writer.arguments:
        return writer.arguments[node.name]
    if node.name not in writer.names:
        writer.names[node.name] = _make_symbol(writer, node)
    return writer.names[node.name]


def _make_symbol(writer: _Writer, node: Expression) -> Any:
    if node.is_scalar:
        return sympy.Symbol(node.name, **({"positive": True} if "positive" in node.data[1] else {}))
    if len(node.shape) > 2:
        return ArraySymbol(node.name, tuple(writer.shape(node)))
    return sympy.MatrixSymbol(node.name, *writer.shape(node))


def _filled(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    name, sizes = node.data[0], [writer.size(size) for size in node.data[1]]
    if node.is_scalar:
        return sympy.Integer(0 if name == "zeros" else 1)
    if name == "commutation":
        return commute(*sizes)
    if name == "duplication":
        return duplicate(*sizes)
    if name == "eye" and sizes[0] == sizes[-1]:
        return sympy.Identity(sizes[0])
    if name in ("ones", "zeros") and len(node.shape) > 2:
        return (OneArray if name == "ones" else ZeroArray)(*sizes)
    if name == "fuse":
        return Reshape(sympy.Identity(sizes[0] * sizes[1]), (sizes[0] * sizes[1], *sizes))
    if name in ("ones", "zeros"):
        return (sympy.OneMatrix if name == "ones" else sympy.ZeroMatrix)(*writer.shape(node))
    raise _refuse(f"{name}({', '.join(map(str, sizes))})")


# --- operators ------------------------------------------------------------------------------------


def _add(writer: _Writer, node: Expression, args: list[Any], sign: int = 1) -> Any:
    left, right = args
    if any(map(is_array, node.args, args)):
        return add_arrays(node, args, [writer.size(size) for size in node.squeezed_shape], sign)
    first, second = writer.stretch(node.args[0], left, node), writer.stretch(node.args[1], right, node)
    if not isinstance(first, sympy.MatrixExpr) and not isinstance(second, sympy.MatrixExpr):
        return first + second if sign == 1 else first - second
    return _add_matrices(_settle(first), _settle(second if sign == 1 else _times(-1, second)))


# A sum of more terms stays one term of those that it stands in, as those do that run through the layers of a network.
_LONG_SUM = 8


def _add_matrices(first: Any, second: Any) -> Any:
    """Return a sum in SymPy's own order; SymPy goes through all below a term to multiply it by its number."""
    terms = [
        term for value in (first, second)
        for term in (value.args if isinstance(value, sympy.MatAdd) and len(value.args) <= _LONG_SUM else [value])
    ]  # fmt: skip
    matrices = {term.as_coeff_mmul()[1] if isinstance(term, sympy.MatMul) else term for term in terms}
    if len(matrices) < len(terms) or any(isinstance(term, sympy.ZeroMatrix | MatrixBase) for term in terms):
        return sympy.MatAdd(*terms).doit(deep=False)
    return sympy.MatAdd(*sorted(terms, key=sympy.default_sort_key))


def _times(left: Any, right: Any) -> Any:
    """Return a product of matrices and numbers that are in order: SymPy's own `*` goes through all below them."""
    if not isinstance(left, sympy.MatrixExpr) and not isinstance(right, sympy.MatrixExpr):
        return left * right
    return sympy.MatMul(_settle(left), _settle(right)).doit(deep=False)


def _settle(value: Any) -> Any:
    """Return an operand in SymPy's own order; sums and products are in it as they are made."""
    if isinstance(value, HadamardProduct):
        return canonicalize(HadamardProduct(*map(_settle, value.args)))
    is_settled = not isinstance(value, sympy.MatrixExpr) or isinstance(value, sympy.MatAdd | sympy.MatMul)
    return value if is_settled else value.doit(deep=False)


def _negate(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    return scale_array(-1, args[0]) if is_array(node, args[0]) else _times(-1, args[0])


def _multiply(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    (first, left), (second, right) = zip(node.args, args, strict=True)
    if first.is_scalar or second.is_scalar:
        scalar, other, value = (left, second, right) if first.is_scalar else (right, first, left)
        return scale_array(scalar, value) if is_array(other, value) else _times(scalar, value)
    _refuse_arrays(node, args)
    return HadamardProduct(writer.stretch(first, left, node), writer.stretch(second, right, node))


def _divide(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    left, right = args
    divisor = node.args[1]
    if divisor.is_scalar:
        return scale_array(1 / right, left) if is_array(node.args[0], left) else _times(left, 1 / right)
    _refuse_arrays(node, args)
    return _multiply(writer, node, [left, HadamardPower(right, -1)])


def _power(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    base, exponent = args
    _refuse_arrays(node, args)
    if node.is_scalar:
        return base**exponent
    if node.args[1].is_scalar:
        return HadamardPower(base, exponent)
    return _entrywise(writer, node, args)


def _matmul(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    left, right = args
    _refuse_arrays(node, args)
    if node.is_scalar and not node.args[0].is_scalar:
        return take_entry(_times(left, right))
    return _times(left, right)


def _transpose(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    _refuse_arrays(node, args)
    return args[0] if node.is_scalar else sympy.Transpose(args[0]).doit(deep=False)


def _refuse_arrays(node: Expression, args: list[Any]) -> None:
    if any(map(is_array, node.args, args)):
        raise _refuse(f"this use of an array without matrix form ({node.op})")


# --- entry by entry -------------------------------------------------------------------------------

_ENTRIES = ("d", *(f"d{number}" for number in range(100)))


def _works_entrywise(node: Expression) -> bool:
    is_function = node.op == "call" and _is_function_of_entries(node.data[0])
    return not node.is_scalar and (node.op in OPERATIONS or node.op == "compare" or is_function)


def _is_function_of_entries(rule: Rule) -> bool:
    """Whether SymPy has the function of numbers, or a definition entry by entry."""
    of_arrays = rule.axis or any(parameter.axes for parameter in rule.variables)
    is_known = rule.name == "where" or find_sympy_word(rule) or (rule.is_elementwise and rule.sympy_definition)
    return bool(is_known) and not of_arrays


def _apply(node: Expression, args: list[Any]) -> Any:
    """Return one entry of a node, of the entries of its operands."""
    if node.op == "compare":
        return RELATIONS[node.data[0]](*args)
    if node.op in OPERATIONS:
        return OPERATIONS[node.op](*args)
    rule = node.data[0]
    if rule.name == "where":
        return choose(*args)
    if (word := find_sympy_word(rule)) is not None:
        return apply_word(rule, word, args)
    return _define(_Writer({}), rule, rule.sympy_definition, (SCALAR,) * len(args), args)


def _entrywise(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    """Return a function of numbers or, of one array, an applyfunc; SymPy has none of two arrays."""
    if node.is_scalar:
        return _apply(node, args)
    leaves = {id(leaf): leaf for leaf in _list_leaves(node)}
    if len(leaves) != 1:
        leaves = {id(arg): arg for arg in node.args if not arg.is_scalar}
    if len(leaves) != 1 or any(leaf.shape != node.shape for leaf in leaves.values()):
        raise _refuse(f"{node.data[0].function if node.op == 'call' else node.op} of several arrays entry by entry")
    return _map_entries(writer, node, *leaves.values())


def _map_entries(writer: _Writer, node: Expression, leaf: Expression) -> Any:
    """Return a node whose entries are functions of the entries of one array."""
    entry = _choose_entry(writer, node, leaf)
    function = sympy.Lambda(entry, _entry_of(writer, node, leaf, entry))
    value = writer.values[leaf]
    return ArrayElementwiseApplyFunc(function, value) if is_array(leaf, value) else value.applyfunc(function)


def _choose_entry(writer: _Writer, node: Expression, leaf: Expression) -> Any:
    """Return a variable for a Lambda that no Lambda inside its body has: SymPy would take them for one."""
    inside = [writer.values[part] for part in walk(node, seen={id(leaf)}) if part.is_scalar]
    return next(entry for entry in map(make_dummy, _ENTRIES) if not any(value.has(entry) for value in inside))


def _list_leaves(node: Expression) -> list[Expression]:
    """Return the arrays that an entrywise node is made of, looking through where and comparisons."""
    if len([arg for arg in node.args if not arg.is_scalar]) == 1 and node.args[0].op != "compare":
        return [arg for arg in node.args if not arg.is_scalar]
    found, stack = [], list(node.args)
    while stack:
        arg = stack.pop()
        if _works_entrywise(arg):
            stack += arg.args
        elif not arg.is_scalar:
            found.append(arg)
    return found


def _entry_of(writer: _Writer, node: Expression, leaf: Expression, entry: Any) -> Any:
    """Return the formula of one entry of a node in terms of an entry of the leaf."""
    entries: dict[int, Any] = {id(leaf): entry}
    for part in walk(node, seen={id(leaf)}):
        if part.is_scalar:
            entries[id(part)] = writer.values[part]
        elif id(part) not in entries and all(id(arg) in entries for arg in part.args) and _works_entrywise(part):
            entries[id(part)] = _apply(part, [entries[id(arg)] for arg in part.args])
    return entries[id(node)]


# --- calls ----------------------------------------------------------------------------------------


def _call(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    rule, axis, _ = node.data
    place = _find_place(node)
    if place is not None:
        return make_unit_vector(writer.size(node.shape[0]), place)
    if rule.name == SELECTION:
        return _select(writer.size(node.shape[0]), writer.size(node.shape[1]), args[2])
    if axis is not None:
        return _along_axis(writer, node, args)
    if rule.name == "where" and (of_difference := _compare_difference(node)) is not None:
        writer.write(of_difference.args[0].args[0])
        return _map_entries(writer, of_difference, of_difference.args[0].args[0])
    if _is_function_of_entries(rule):
        return _entrywise(writer, node, args)
    _refuse_arrays(node, args)
    shapes = tuple(arg.shape for arg in node.args)
    of_arrays = [parameter.axes is not None for parameter in rule.variables]
    arrays = [arg for arg, is_array in zip(node.args, of_arrays, strict=True) if is_array or not any(of_arrays)]
    if any(arg.is_scalar for arg in arrays) and (rule.scalar or rule.name in _BUILT_IN):
        return _define(writer, rule, rule.scalar, shapes, args) if rule.scalar else args[0]
    if rule.name in _BUILT_IN:
        return _BUILT_IN[rule.name](*args)
    if (word := find_sympy_word(rule)) is not None:
        return _call_word(word, args)
    definition = rule.sympy_definition
    nodes = walk(parse_rule_text(rule, definition, shapes)) if definition else ()
    if not definition or any(each.op == "filled" and each.name == "fuse" for each in nodes):
        raise _refuse(f"the function {rule.function}")
    return _define(writer, rule, definition, shapes, args)


def _call_word(word: Callable[..., Any], args: list[Any]) -> Any:
    """Return a function of arrays, numbers in front of what is linear in each: SymPy 1.14 leaves them in a product."""
    if len(args) < 2:
        return word(*args)
    numbers, arrays = zip(*(arg.as_coeff_mmul() for arg in args), strict=True)
    return sympy.Mul(*numbers) * word(*arrays)


def _compare_difference(node: Expression) -> Expression | None:
    """where(u - v > 0, a, b) for where(u > v, a, b) of arrays u and v: SymPy has functions of one array only."""
    condition, *branches = node.args
    if condition.op != "compare" or not all(branch.is_scalar for branch in branches):
        return None
    if len({arg for arg in condition.args if not arg.is_scalar}) != 2:
        return None
    difference = ex.subtract(*condition.args)
    return ex.call(node.data[0], (ex.compare(condition.data[0], difference, ex.number(0)), *branches), node.shape)


def _find_place(node: Expression) -> int | None:
    """Return the place, from 0, of the 1 of basis(n, 1); None for anything else."""
    place = node.args[-1]
    is_unit = node.data[0].name == BASIS and place.op == "number"
    return int(place.data[0]) if is_unit else None


def _select(rows: Any, columns: Any, before: Any) -> Any:
    """Return the rows of the identity with so many before them."""
    i, j = make_dummy("i"), make_dummy("j")
    return FunctionMatrix(rows, columns, sympy.Lambda((i, j), sympy.KroneckerDelta(i + before, j)))


def _define(writer: _Writer, rule: Rule, definition: str, shapes: tuple[Shape, ...], args: list[Any]) -> Any:
    """Return the value of a definition for arguments of these shapes."""
    names = (parameter.name for parameter in rule.variables)
    inner = _Writer(writer.names, dict(zip(names, args, strict=True)), writer.parts)
    return inner.write(parse_rule_text(rule, definition, shapes))


def _along_axis(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    """Return the sums of rows or columns; without keepdims those of the columns are a column too."""
    rule, axis, _ = node.data
    if rule.name != "sum":
        return _define_along(writer, node)
    _refuse_arrays(node, args)
    found = total_along(args[0], axis)
    return found if tuple(found.shape) == tuple(writer.shape(node)) else found.T


def _define_along(writer: _Writer, node: Expression) -> Any:
    """Return the definition of a function along an axis; raises MatcalcError where there is none that SymPy can say."""
    rule = node.data[0]
    texts = [text for text in (rule.sympy_definition, rule.define) if text]
    defined = next(filter(None, (define_call(node, text) for text in texts)), None)
    if defined is None:
        raise _refuse(f"the function {rule.function} along an axis")
    return writer.write(defined)


def _einsum(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    if not node.is_scalar:
        return _write_einsum(node, args)
    _refuse_arrays(node, args)
    return write_number(node, args)


def _abstract(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    if not (node.is_scalar and node.args[0].is_scalar):
        raise _refuse(f"the abstract function {node.name} of arrays")
    return sympy.Function(node.name)(args[0])


def _abstract_derivative(writer: _Writer, node: Expression, args: list[Any]) -> Any:
    name, order, _ = node.data
    if not (node.is_scalar and node.args[0].is_scalar):
        raise _refuse(f"the derivative of the abstract function {name} of arrays")
    at = args[0] if isinstance(args[0], sympy.Symbol) else make_dummy("z")
    derivative = sympy.Derivative(sympy.Function(name)(at), (at, order))
    return derivative if at == args[0] else sympy.Subs(derivative, at, args[0])


_WRITERS: dict[str, Callable[[_Writer, Expression, list[Any]], Any]] = {
    "number": lambda writer, node, args: sympy.Rational(node.data[0].numerator, node.data[0].denominator),
    "constant": lambda writer, node, args: sympy.pi if node.name == "pi" else sympy.E,
    "size": lambda writer, node, args: writer.size(node.data[0]),
    "subtract": lambda writer, node, args: _add(writer, node, args, -1),
    # A comparison of arrays has no value of its own; `where` looks through it.
    "compare": lambda writer, node, args: _apply(node, args) if node.is_scalar else None,
    "symbol": _symbol, "filled": _filled, "add": _add, "negate": _negate, "multiply": _multiply, "divide": _divide,
    "power": _power, "matmul": _matmul, "transpose": _transpose, "call": _call, "einsum": _einsum,
    "abstract": _abstract, "abstract_derivative": _abstract_derivative,
}  # fmt: skip


# --- sympy arrays -----------------------------------------------------------------------------------
#
# einsum in SymPy: a Sum over entries where it is a number, else an array expression.


def is_array(node: Expression, value: Any) -> bool:
    """Whether a value is an array expression, not a matrix and not a number."""
    return not node.is_scalar and not getattr(value, "is_Matrix", False)


def _squeeze_unit_axes(node: Expression, value: Any) -> Any:
    """Return a matrix as an array without unit axes: a column (n, 1) becomes (n,)."""
    units = [(axis,) for axis, size in enumerate(node.shape) if size.is_unit]
    return ArrayContraction(value, *units) if units and not is_array(node, value) else value


def add_arrays(node: Expression, values: list[Any], shape: list[Any], sign: int) -> Any:
    """Return the sum, or the difference, of two arrays of one shape; a number is added to every entry."""
    first, second = (
        scale_array(value, OneArray(*shape)) if arg.is_scalar else _squeeze_unit_axes(arg, value)
        for arg, value in zip(node.args, values, strict=True)
    )
    return ArrayAdd(first, second if sign == 1 else scale_array(sign, second))


def scale_array(factor: Any, value: Any) -> Any:
    """Return an array times a number."""
    return ArrayTensorProduct(factor, value)


@cache
def make_dummy(letter: str) -> Any:
    """Return a bound variable, the same one each time, so that equal results are equal to SymPy too."""
    return sympy.Dummy(letter)


def write_number(node: Expression, values: list[Any]) -> Any:
    """Return an einsum without free indices as a Sum over entries of matrices."""
    words = node.data[0].split("->")[0].split(",")
    term: Any = sympy.Integer(1)
    ranges: dict[Any, Any] = {}
    for arg, value, word in zip(node.args, values, words, strict=True):
        letters = iter(word)
        places = [0 if size.is_unit else make_dummy(next(letters)) for size in arg.shape]
        ranges |= {place: size for place, size in zip(places, getattr(value, "shape", ()), strict=False) if place != 0}
        term = term * (value if arg.is_scalar else value[tuple(places)])
    return sympy.Sum(term, *((index, 0, size - 1) for index, size in ranges.items())) if ranges else term


def _write_einsum(node: Expression, values: list[Any]) -> Any:
    """Return an einsum as a contraction of a tensor product; the result has no unit axes."""
    inputs, output = node.data[0].split("->")
    axes = _label_axes(node, values, inputs.split(","))
    whole = ArrayTensorProduct(*values)
    summed = _gather(axes, [label for label in dict.fromkeys(axes) if label not in output])
    if summed:
        whole = ArrayContraction(whole, *summed)
    gone = {place for group in summed for place in group}
    return _arrange(whole, [label for place, label in enumerate(axes) if place not in gone], output)


def _label_axes(node: Expression, values: list[Any], words: list[str]) -> list[str]:
    """Return the letter of each axis of the tensor product; a unit axis gets a number of its own."""
    labels: list[str] = []
    for arg, value, word in zip(node.args, values, words, strict=True):
        letters = iter(word)
        sizes = () if arg.is_scalar else arg.squeezed_shape if is_array(arg, value) else arg.shape
        for size in sizes:
            labels.append(str(len(labels)) if size.is_unit else next(letters))
    return labels


def _gather(axes: list[str], labels: list[str]) -> list[tuple[int, ...]]:
    """Return the places of each label."""
    return [tuple(place for place, other in enumerate(axes) if other == label) for label in labels]


def _arrange(whole: Any, axes: list[str], output: str) -> Any:
    """Bring axes of the same letter together, then all in the order of the output."""
    repeated = [label for label in dict.fromkeys(axes) if axes.count(label) > 1]
    if repeated:
        whole = ArrayDiagonal(whole, *_gather(axes, repeated))
        axes = [label for label in axes if label not in repeated] + repeated
    order = [axes.index(letter) for letter in output]
    return whole if order == list(range(len(order))) else PermuteDims(whole, order)


# --- sympy functions --------------------------------------------------------------------------------
#
# The functions that are no single word of SymPy; the rules name the words.


def take_entry(product: Any) -> Any:
    """Return a 1x1 product as a number: the trace of its matrices times its scalars."""
    scalar, matrices = product.as_coeff_matrices() if product.is_MatMul else (sympy.Integer(1), [product])
    matrices = [matrix for matrix in matrices if matrix != sympy.OneMatrix(1, 1)]
    return scalar * _trace_or_entry(matrices) if matrices else scalar


def _trace_or_entry(matrices: list[Any]) -> Any:
    """Return a 1x1 product as its trace or, where unit vectors stand at its ends, as an entry of what is between."""
    row = find_unit_place(matrices[0].arg) if isinstance(matrices[0], sympy.Transpose) else None
    column = find_unit_place(matrices[-1])
    inner = matrices[row is not None : len(matrices) - (column is not None)]
    if row is None and column is None:
        return sympy.Trace(sympy.MatMul(*matrices))
    if not inner:
        return sympy.KroneckerDelta(row, column, (0, matrices[-1].shape[0] - 1))
    whole = inner[0] if len(inner) == 1 else sympy.MatMul(*inner)
    return whole[0 if row is None else row, 0 if column is None else column]


def total(x: Any) -> Any:
    """Return the sum of all entries as the trace of a product with ones."""
    rows, columns = x.shape
    product = x if rows == 1 else _times(sympy.OneMatrix(1, rows), x)
    return take_entry(product if columns == 1 else _times(product, sympy.OneMatrix(columns, 1)))


def total_along(x: Any, axis: int) -> Any:
    """Return the sums of the columns (axis 0, a row) or of the rows (axis 1, a column)."""
    rows, columns = x.shape
    return _times(sympy.OneMatrix(1, rows), x) if axis == 0 else _times(x, sympy.OneMatrix(columns, 1))


def _product(x: Any) -> Any:
    rows, columns = x.shape
    i, j = make_dummy("i"), make_dummy("j")
    return sympy.Product(x[i, j], (i, 0, rows - 1), (j, 0, columns - 1))


def _triangle(x: Any, relation: Any) -> Any:
    i, j = make_dummy("i"), make_dummy("j")
    mask = sympy.Lambda((i, j), choose(relation(i, j), sympy.Integer(1), sympy.Integer(0)))
    return HadamardProduct(FunctionMatrix(*x.shape, mask), x)


# Of arrays, by the name of the rule: what no single word of SymPy is.
_BUILT_IN: dict[str, Callable[..., Any]] = {
    "sum": total, "size": lambda x: x.shape[0] * x.shape[1], "matrix_power": MatPow, "prod": _product,
    "diag_of_matrix": DiagonalOf, "sqrtm": lambda x: MatPow(x, sympy.Rational(1, 2)),
    "tril": lambda x: _triangle(x, sympy.Ge), "triu": lambda x: _triangle(x, sympy.Le),
}  # fmt: skip


def commute(rows: Any, columns: Any) -> Any:
    """Return the commutation matrix K of K @ vec(X) = vec(X.T), X of this shape."""
    i, j = make_dummy("i"), make_dummy("j")
    place = sympy.Mod(i, columns) * rows + sympy.floor(i / columns)
    one = choose(sympy.Eq(place, j), sympy.Integer(1), sympy.Integer(0))
    return FunctionMatrix(rows * columns, rows * columns, sympy.Lambda((i, j), one))


def duplicate(size: Any) -> Any:
    """Return the duplication matrix D of D @ h = vec(X), X symmetric with h on and below its diagonal."""
    i, j = make_dummy("i"), make_dummy("j")
    row, column = sympy.Mod(i, size), sympy.floor(i / size)
    first, last = sympy.Min(row, column), sympy.Max(row, column)
    one = choose(sympy.Eq(first * (2 * size - 1 - first) / 2 + last, j), sympy.Integer(1), sympy.Integer(0))
    return FunctionMatrix(size**2, size * (size + 1) / 2, sympy.Lambda((i, j), one))
