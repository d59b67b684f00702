"""The typed expression: immutable, interned nodes, each with its shape.

Nodes are interned, so equal means identical and a shared sub-expression is one object; walks are
memoised on the node itself (`walk`), never recursive over the text's tree.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial, reduce
from threading import Lock
from typing import Any

from matcalc.errors import ShapeError
from matcalc.language.names import BASIS
from matcalc.language.sizes import SCALAR, Shape, Size, squeeze_shape, to_2d_shape, write_shape
from matcalc.rule_files import Rule


class Expression:
    """One node: an operation on other expressions, with its shape.

    `shape` has two axes for scalars (1, 1), columns (n, 1), rows (1, n) and matrices, and as many
    axes as it takes beyond that. `data` holds what is not an expression:

    | op | args | data |
    | --- | --- | --- |
    | symbol | | name, assumptions (frozenset) |
    | number | | value (Fraction) |
    | constant | | name: pi or e |
    | size | | the Size, used as a number |
    | add subtract multiply divide power matmul | two | |
    | negate transpose | one | |
    | compare | two | one of > < >= <= |
    | call | one per parameter that is no literal | rule, axis (None, 0, 1), keepdims |
    | einsum | operands | subscripts such as ij,jk->ik |
    | filled | | eye, ones, zeros, fuse, commutation or duplication; sizes |
    | abstract | the argument | name |
    | sliced padded | the array | as printed only: axis, how many rows stand before and behind what is taken or put |
    | joined | arrays one after another, as printed only | axis |
    | abstract_derivative | the argument | name, order, declared shape of the function |
    """

    __slots__ = ("op", "args", "data", "shape", "__weakref__")
    op: str
    args: tuple[Expression, ...]
    data: tuple[Any, ...]
    shape: Shape

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an Expression is immutable")

    @property
    def squeezed_shape(self) -> Shape:
        """The shape without unit axes: () for scalars, (n,) for columns and rows."""
        return squeeze_shape(self.shape)

    @property
    def declared_shape(self) -> Shape:
        """The shape that declares it: without unit axes, unless it would be held otherwise then, as a row (1, n)."""
        return self.squeezed_shape if to_2d_shape(self.squeezed_shape) == self.shape else self.shape

    @property
    def is_scalar(self) -> bool:
        """Whether every axis is a unit axis."""
        return all(size.is_unit for size in self.shape)

    @property
    def is_column(self) -> bool:
        """Whether the shape is (n, 1)."""
        return len(self.shape) == 2 and self.shape[1].is_unit and not self.shape[0].is_unit

    @property
    def is_row(self) -> bool:
        """Whether the shape is (1, n)."""
        return len(self.shape) == 2 and self.shape[0].is_unit and not self.shape[1].is_unit

    @property
    def name(self) -> str:
        """The name of a symbol, a constant, a filled array or an abstract function."""
        return str(self.data[0])

    def is_filled(self, name: str) -> bool:
        """Whether it is an array such as eye or ones."""
        return self.op == "filled" and bool(self.data[0] == name)

    def is_call(self, name: str) -> bool:
        """Whether it is a call by the rule of that name."""
        return self.op == "call" and bool(self.data[0].name == name)

    def __repr__(self) -> str:
        return self._write_shallow(_DEEPEST_SHOWN)

    def _write_shallow(self, depth: int) -> str:
        """Write the tree down to a depth: what is shared would double the text at each level."""
        told = [getattr(item, "name", str(item)) for item in self.data]
        inside = [arg._write_shallow(depth - 1) for arg in self.args] if depth else ["..."] * bool(self.args)
        return f"{self.op}({', '.join([*inside, *told])})"


_DEEPEST_SHOWN = 6


_interned: weakref.WeakValueDictionary[Any, Expression] = weakref.WeakValueDictionary()
_interning = Lock()


def _node(op: str, args: tuple[Expression, ...], data: tuple[Any, ...], shape: Shape) -> Expression:
    """Return the one node with these contents."""
    key = (op, tuple(map(id, args)), data, shape)
    found = _interned.get(key)
    if found is not None:
        return found
    node = object.__new__(Expression)
    for field, value in (("op", op), ("args", args), ("data", data), ("shape", shape)):
        object.__setattr__(node, field, value)
    # Of two threads that write the same node at once, the second must get the node of the first.
    with _interning:
        return _interned.setdefault(key, node)


def walk(*roots: Expression, seen: set[int] | None = None) -> Iterator[Expression]:
    """Yield every distinct node below the roots once, operands before the nodes that use them.

    What has its id in `seen` is left out, with all below it, and what is reached is added.
    """
    seen = set() if seen is None else seen
    stack: list[tuple[Expression, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))


def rebuild(node: Expression, args: Iterable[Expression]) -> Expression:
    """Return the same operation on other operands of the same shapes."""
    return _node(node.op, tuple(args), node.data, node.shape)


def symbols(*roots: Expression) -> dict[str, Expression]:
    """Return the variables below the roots by name, in the order of their appearance."""
    return {node.name: node for node in walk(*roots) if node.op == "symbol"}


def collect_letters(roots: Iterable[Expression]) -> list[str]:
    """Return the letters of all sizes below the roots, those used as numbers too, in the order of their appearance."""
    letters: dict[str, None] = {}
    for node in walk(*roots):
        for size in (*node.shape, *(node.data if node.op == "size" else ())):
            letters.update(dict.fromkeys(size.base_letters))
    return list(letters)


def collect_sums(roots: Iterable[Expression]) -> tuple[Size, ...]:
    """Return the sizes below the roots that are sums, such as n - 1, which are 1 or more only at some sizes.

    A place that is named is one of them: with basis(n, 4) it is n - 4.
    """
    nodes = list(walk(*roots))
    sizes = [size for node in nodes for size in (*node.shape, *(node.data if node.op == "size" else ()))]
    for node in nodes:
        if node.is_call(BASIS) and node.args[1].op == "number" and len(node.args[0].shape[0].letters) == 1:
            sizes.append(node.args[0].shape[0] - Size.of(int(node.args[1].data[0])))
    return tuple(dict.fromkeys(Size((letter,)) for size in sizes for letter in size.letters if Size((letter,)).is_sum))


def list_letters(*roots: Expression) -> tuple[str, ...]:
    """Return the letters of all sizes in the shapes below the roots, in the order of their appearance."""
    return tuple(dict.fromkeys(letter for node in walk(*roots) for size in node.shape for letter in size.base_letters))


# --- leaves ---------------------------------------------------------------------------------------


def symbol(name: str, shape: Shape, assumptions: frozenset[str] = frozenset()) -> Expression:
    """A variable; `shape` is as declared, so a vector is (n,) and is held as a column."""
    return _node("symbol", (), (name, assumptions), to_2d_shape(shape))


def number(value: Fraction | int) -> Expression:
    """An exact number."""
    return _node("number", (), (Fraction(value),), SCALAR)


def constant(name: str) -> Expression:
    """The number pi or e."""
    return _node("constant", (), (name,), SCALAR)


def size_value(size: Size) -> Expression:
    """A size used as a number, as in sum(x)/n."""
    return number(size.number) if not size.letters else _node("size", (), (size,), SCALAR)


def filled(name: str, *sizes: Size) -> Expression:
    """eye(n), ones(m, n), zeros(m, ...), fuse(m, p) of shape (m*p, m, p), commutation(m, n) or duplication(n)."""
    if name == "eye":
        shape: Shape = (sizes[0], sizes[-1])
    elif name == "fuse":
        shape = (sizes[0] * sizes[1], *sizes)
    elif name == "commutation":
        shape = (sizes[0] * sizes[1], sizes[0] * sizes[1])
    elif name == "duplication":
        shape = (sizes[0] * sizes[0], sizes[0].triangle())
    else:
        shape = to_2d_shape(sizes)
    return _node("filled", (), (name, sizes), shape)


# --- operators ------------------------------------------------------------------------------------


def broadcast(left: Shape, right: Shape) -> Shape | None:
    """Return NumPy's common shape of two shapes of as many axes, or None where there is none."""
    if left == right:
        return left
    if all(size.is_unit for size in left):
        return right
    if all(size.is_unit for size in right):
        return left
    if len(left) != len(right):
        return None
    common = []
    for a, b in zip(left, right, strict=True):
        if a != b and not a.is_unit and not b.is_unit:
            return None
        common.append(b if a.is_unit else a)
    return tuple(common)


def elementwise(op: str, left: Expression, right: Expression, data: tuple[Any, ...] = ()) -> Expression:
    """left op right entry by entry, for add, subtract, multiply, divide, power and compare."""
    shape = broadcast(left.shape, right.shape)
    if shape is None:
        raise ShapeError(
            f"{op} needs equal shapes, not {write_shape(left.squeezed_shape)} and {write_shape(right.squeezed_shape)}"
        )
    return _node(op, (left, right), data, shape)


_Binary = Callable[[Expression, Expression], Expression]

# left + right and its kin, entry by entry.
add: _Binary = partial(elementwise, "add")
subtract: _Binary = partial(elementwise, "subtract")
multiply: _Binary = partial(elementwise, "multiply")
divide: _Binary = partial(elementwise, "divide")
power: _Binary = partial(elementwise, "power")


def negate(operand: Expression) -> Expression:
    """-operand."""
    return _node("negate", (operand,), (), operand.shape)


def matmul(left: Expression, right: Expression) -> Expression:
    """left @ right; two plain columns give their dot product, left.T @ right."""
    if len(left.shape) != 2 or len(right.shape) != 2:
        raise ShapeError("@ multiplies matrices and vectors; use einsum for arrays with more axes")
    if left.shape[1] == right.shape[0]:
        return _node("matmul", (left, right), (), (left.shape[0], right.shape[1]))
    if left.is_column and right.is_column and left.shape == right.shape:
        return matmul(transpose(left), right)
    raise ShapeError(
        f"@ needs equal inner sizes, not {write_shape(left.shape)} @ {write_shape(right.shape)}"
    )


def transpose(operand: Expression) -> Expression:
    """operand.T."""
    if len(operand.shape) != 2:
        raise ShapeError(".T turns matrices and vectors; use einsum for arrays with more axes")
    return _node("transpose", (operand,), (), operand.shape[::-1])


def compare(op: str, left: Expression, right: Expression) -> Expression:
    """left > right and its kin: the condition of where."""
    return elementwise("compare", left, right, (op,))


# --- parts of arrays, as printed ------------------------------------------------------------------
#
# The language has products with selections instead; these stand for them where they are shown and in code.


def sliced(array: Expression, axis: int, before: Size, after: Size) -> Expression:
    """The array without so many rows (axis 0) or columns (axis 1) before and behind."""
    shape = list(array.shape)
    shape[axis] = shape[axis] - before - after
    return _node("sliced", (array,), (axis, before, after), tuple(shape))


def padded(array: Expression, axis: int, before: Size, after: Size) -> Expression:
    """The array with so many rows or columns of zeros before and behind."""
    shape = list(array.shape)
    shape[axis] = before + shape[axis] + after
    return _node("padded", (array,), (axis, before, after), tuple(shape))


def joined(arrays: Sequence[Expression], axis: int) -> Expression:
    """Arrays one after another along an axis; arrays that are joined along it already are so many more."""
    opened = [array.args if array.op == "joined" and array.data == (axis,) else (array,) for array in arrays]
    flat = [part for parts in opened for part in parts]
    shape = list(flat[0].shape)
    shape[axis] = reduce(Size.__add__, (array.shape[axis] for array in flat))
    return _node("joined", tuple(flat), (axis,), tuple(shape))


# --- calls ----------------------------------------------------------------------------------------


def einsum(subscripts: str, operands: tuple[Expression, ...]) -> Expression:
    """einsum('ij,jk->ik', A, B); operands have their unit axes dropped, the result too."""
    inputs, output = subscripts.split("->")
    sizes: dict[str, Size] = {}
    for letters, operand in zip(inputs.split(","), operands, strict=True):
        shape = operand.squeezed_shape
        if len(letters) != len(shape):
            raise ShapeError(f"einsum gives {len(letters)} letters to an operand of shape {write_shape(shape)}")
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(f"einsum letter {letter!r} stands for two sizes, {sizes[letter]} and {size}")
    shape = tuple(sizes[letter] for letter in output)
    return _node("einsum", operands, (subscripts,), to_2d_shape(shape))


def call(
    rule: Rule, args: tuple[Expression, ...], shape: Shape, axis: int | None = None, keepdims: bool = False
) -> Expression:
    """A call of a function that has a rule; the caller has worked out the (held) shape of the result."""
    return _node("call", args, (rule, axis, keepdims), shape)


def abstract(name: str, argument: Expression, shape: Shape) -> Expression:
    """u(x), a function of which only the shape of the result is known."""
    return _node("abstract", (argument,), (name,), to_2d_shape(shape))


def abstract_derivative(name: str, argument: Expression, order: int, shape: Shape) -> Expression:
    """D(u, x): the derivative of u at x in numerator layout, shape S_u + order * reversed(S_x)."""
    whole = squeeze_shape(shape) + order * argument.squeezed_shape[::-1]
    return _node("abstract_derivative", (argument,), (name, order, shape), to_2d_shape(whole))
