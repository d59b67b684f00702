"""What an expression is in torch: the judge's own reading of every node and function, nothing of the engine in it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from math import prod
from typing import Any

import torch
from torch import Tensor

from matcalc.errors import EvaluationError, LimitError
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import UNIT, Shape, squeeze_shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Parameter, Rule
from matcalc.rule_words import advise_word, is_word, needs_axis, takes_one_axis

_MAX_ENTRIES = 10**7

TensorFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """What a node's value depends on besides its operands."""

    values: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    functions: Mapping[str, TensorFunction] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    needs_regular: bool = True

    def measure(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape in numbers; raises EvaluationError for a size that is not known."""
        try:
            return tuple(size.value(self.sizes) for size in shape)
        except KeyError as error:
            letter = error.args[0]
            reason = f"the size {letter} does not follow from the values"
            raise EvaluationError(reason, advice=f"pass sizes={{{letter!r}: 3}}") from None

    def fill(self, value: float) -> Tensor:
        """Return a scalar as held, of shape (1, 1)."""
        return torch.full((1, 1), value, dtype=self.dtype, device=self.device)


def evaluate(
    expression: Expression,
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
    needs_regular: bool = True,
) -> Tensor:
    """Return the expression's value, of the shape it is held in: a column is (n, 1), a scalar (1, 1).

    `values` are held tensors by name, `sizes` numbers by letter, `functions` stand for abstract functions
    and take and give tensors without unit axes.  Where it `needs_regular` matrices, a function that inverts one which
    is singular but for rounding has no number.  Raises EvaluationError, or LimitError for huge arrays.
    """
    return evaluate_all((expression,), values, sizes, functions, needs_regular)[expression]


def evaluate_all(
    roots: tuple[Expression, ...],
    values: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    functions: Mapping[str, TensorFunction] | None = None,
    needs_regular: bool = True,
) -> dict[Expression, Tensor]:
    """Return the value of every node below the roots, each node computed once.

    Letters that only the value of an abstract function tells are added to `sizes`, where that is a dict.
    """
    kinds = ((value.dtype, value.device) for value in values.values() if value.is_floating_point())
    dtype, device = next(kinds, (torch.float64, torch.device("cpu")))
    setting = Setting(values, sizes, functions or {}, dtype, device, needs_regular)
    found: dict[Expression, Tensor] = {}
    measured: dict[int, tuple[int, ...]] = {}
    for node, place in _list_steps(roots):
        args = [found[arg] for arg in node.args]
        if node.op in ("abstract", "abstract_derivative"):
            _learn_sizes(node, args, setting)
        if place not in measured:
            measured[place] = _measure_moderate(node.shape, setting)
        found[node] = _compute(node, args, measured[place], setting)
    return found


@lru_cache(maxsize=512)
def _list_steps(roots: tuple[Expression, ...]) -> tuple[tuple[Expression, int], ...]:
    """Return the nodes in the order in which they are computed, each with the number of its shape."""
    places: dict[Shape, int] = {}
    return tuple((node, places.setdefault(node.shape, len(places))) for node in walk(*roots))


def _measure_moderate(shape: Shape, setting: Setting) -> tuple[int, ...]:
    measured = setting.measure(shape)
    if math.prod(measured) > _MAX_ENTRIES:
        raise LimitError(f"an array of shape {measured} has more than {_MAX_ENTRIES} entries")
    return measured


def _compute(node: Expression, args: list[Tensor], shape: tuple[int, ...], setting: Setting) -> Tensor:
    """Return a node's value; torch's errors become an EvaluationError that names the operation."""
    try:
        simple = _OPERATORS.get(node.op)
        value = simple(*args) if simple else _read(node, args, setting)
        return value if value.shape == shape else value.reshape(shape)
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        what = node.data[0].call if node.op == "call" else node.op
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EvaluationError(f"{what} cannot be evaluated: {reason}") from error


def _read(node: Expression, args: list[Tensor], setting: Setting) -> Tensor:
    match node.op:
        case "call":
            return _call(node, args, setting)
        case "symbol":
            if node.name not in setting.values:
                raise EvaluationError(f"{node.name} has no value")
            return setting.values[node.name]
        case "number":
            return setting.fill(float(node.data[0]))
        case "constant":
            return setting.fill({"pi": math.pi, "e": math.e}[node.name])
        case "size":
            return setting.fill(float(setting.measure(node.data)[0]))
        case "compare":
            return _COMPARISONS[node.data[0]](*args)
        case "einsum":
            plain = [squeeze(operand, value, setting.sizes) for operand, value in zip(node.args, args, strict=True)]
            return contract(node.data[0], plain)
        case "filled":
            return _fill(node, setting)
        case "abstract":
            return _call_abstract(node, args, setting)
    return _differentiate_abstract(node, args, setting)


def squeeze(node: Expression, value: Tensor, sizes: Mapping[str, int]) -> Tensor:
    """Return a node's value without its unit axes: a column (n, 1) becomes (n,), a scalar ()."""
    return value.reshape(tuple(size.value(sizes) for size in node.squeezed_shape))


def draw_unit(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random float64 entries from 0 to 1, on the generator's device whatever the default one is."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)


# --- operators ------------------------------------------------------------------------------------


def raise_to(base: Tensor, exponent: Tensor) -> Tensor:
    """Return base**exponent; a constant exponent is a plain number, so that negative bases have derivatives."""
    if exponent.numel() == 1 and not exponent.requires_grad:
        return torch.pow(base, exponent.item())
    return torch.pow(base, exponent)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "negate": torch.neg,
    "matmul": torch.matmul,
    "transpose": lambda operand: operand.mT,
    "power": raise_to,
}

_COMPARISONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    ">": torch.gt,
    "<": torch.lt,
    ">=": torch.ge,
    "<=": torch.le,
}


def _fill(node: Expression, setting: Setting) -> Tensor:
    """Return eye, ones, zeros, fuse[I,i,p] = 1 where I = i*p_size + p, commutation @ vec(X) = vec(X.T), or duplication.

    duplication @ h = vec(X) for a symmetric X whose entries on and below the diagonal are h, column by column.
    """
    name, sizes = node.data
    shape = setting.measure(sizes)
    options: dict[str, Any] = {"dtype": setting.dtype, "device": setting.device}
    if name in ("ones", "zeros"):
        return torch.full(setting.measure(node.shape), float(name == "ones"), **options)
    if name == "eye":
        return torch.eye(shape[0], shape[-1], **options)
    if name == "duplication":
        rows, columns = torch.arange(shape[0] ** 2) % shape[0], torch.arange(shape[0] ** 2) // shape[0]
        first, last = torch.minimum(rows, columns), torch.maximum(rows, columns)
        return torch.eye(shape[0] * (shape[0] + 1) // 2, **options)[first * (2 * shape[0] - 1 - first) // 2 + last]
    rows, columns = shape
    if name == "fuse":
        return torch.eye(rows * columns, **options).reshape(rows * columns, rows, columns)
    units = torch.eye(rows * columns, **options).reshape(columns, rows, rows * columns)
    return units.transpose(0, 1)


# --- abstract functions ---------------------------------------------------------------------------


def repeat_jacobian(function: TensorFunction, at: Tensor, order: int) -> Tensor:
    """Return the derivative of that order, S_Y + order*S_X in torch's order of axes, itself differentiable."""
    if order == 0:
        return function(at)
    inner = function if order == 1 else lambda x: repeat_jacobian(function, x, order - 1)
    # In inference mode torch's derivatives are 0, and a tensor that was made in it has none anywhere.
    with torch.inference_mode(False):
        at = at.clone() if at.is_inference() else at
        return torch.autograd.functional.jacobian(inner, at, create_graph=True)


def _find_function(name: str, setting: Setting) -> TensorFunction:
    if name not in setting.functions:
        raise EvaluationError(f"{name} is an abstract function", advice=f"give a function of tensors as {name}")
    return setting.functions[name]


def _call_abstract(node: Expression, args: list[Tensor], setting: Setting) -> Tensor:
    function = _find_function(node.name, setting)
    return function(squeeze(node.args[0], args[0], setting.sizes))


def _learn_sizes(node: Expression, args: list[Tensor], setting: Setting) -> None:
    """Add the sizes of a function's result that nothing else tells, by calling it."""
    declared = node.squeezed_shape if node.op == "abstract" else squeeze_shape(node.data[2])
    unknown = [letter for size in declared for letter in size.letters if letter not in setting.sizes]
    if unknown and isinstance(setting.sizes, dict):
        value = _call_abstract(node, args, setting)
        known = {size.letters: number for size, number in zip(declared, value.shape, strict=False)}
        setting.sizes.update({letter: known[(letter,)] for letter in unknown if (letter,) in known})


def _differentiate_abstract(node: Expression, args: list[Tensor], setting: Setting) -> Tensor:
    """Return D(u, x): S_u + order*reversed(S_x)."""
    name, order, _ = node.data
    at = squeeze(node.args[0], args[0], setting.sizes)
    tensor = repeat_jacobian(_find_function(name, setting), at, order)
    first = tensor.ndim - order * at.ndim
    axes = list(range(first))
    for copy in range(order):
        start = first + copy * at.ndim
        axes += reversed(range(start, start + at.ndim))
    return tensor.permute(axes)


# --- calls ----------------------------------------------------------------------------------------


def _call(node: Expression, args: list[Tensor], setting: Setting) -> Tensor:
    rule, axis, _ = node.data
    if rule.name in ALONG:
        return ALONG[rule.name](args[0], tuple(range(args[0].ndim)) if axis is None else (axis,))
    shapes = tuple(arg.shape for arg in node.args)
    if axis is None:
        return apply_rule(rule, shapes, args, setting)
    if rule.read_form("torch").has_axis:
        return call_torch(rule, args, axis)
    return apply_along(rule, axis, shapes, args, setting)


def apply_along(rule: Rule, axis: int, shapes: tuple[Shape, ...], args: list[Tensor], setting: Setting) -> Tensor:
    """Apply a function to every column (axis 0) or every row (axis 1) of its matrices, each taken as a vector."""
    of_columns = tuple((shape[axis], UNIT) for shape in shapes)
    columns = zip(*([column.reshape(-1, 1) for column in arg.unbind(1 - axis)] for arg in args), strict=True)
    results = [apply_rule(rule, of_columns, list(each), setting) for each in columns]
    return torch.stack([result.reshape(-1) for result in results], dim=1 - axis)


def apply_rule(rule: Rule, shapes: tuple[Shape, ...], args: list[Tensor], setting: Setting) -> Tensor:
    """Return a function's value: from the table, else the torch function its rule names, else its definition."""
    if rule.name == "where":
        return select(*args)
    if is_of_sympy(rule):
        from matcalc.check.sympy_values import call_mpmath

        return call_mpmath(rule, args)
    if rule.is_elementwise and rule.torch:
        return call_torch(rule, args)
    if rule.name in ALONG:
        return ALONG[rule.name](args[0], tuple(range(args[0].ndim)))
    if rule.name in PLAIN or rule.torch:
        pairs = zip(rule.variables, shapes, strict=True)
        plain_shapes = [setting.measure(_list_axes(rule, parameter, shape)) for parameter, shape in pairs]
        # By way of one axis: a transposed row counts as contiguous, and torch.kron cannot read it.
        plain = [value.reshape(-1).reshape(shape) for shape, value in zip(plain_shapes, args, strict=True)]
        value = PLAIN[rule.name](*plain) if rule.name in PLAIN else call_torch(rule, plain)
        return require_regular(plain[0], value) if setting.needs_regular and _inverts(rule, plain) else value
    require_value(rule)
    values = {parameter.name: value for parameter, value in zip(rule.variables, args, strict=True)}
    body = parse_rule_text(rule, rule.define, shapes)
    return evaluate(body, values, setting.sizes, setting.functions, setting.needs_regular)


def _inverts(rule: Rule, args: list[Tensor]) -> bool:
    return rule.inverts or (rule.name == "matrix_power" and args[1].item() < 0)


def _list_axes(rule: Rule, parameter: Parameter, shape: Shape) -> Shape:
    """Return the axes of an argument in torch: none of size 1, but those of the array that a scalar stands for."""
    is_scalar = all(size.is_unit for size in shape)
    return shape if rule.vectors else shape[: len(parameter.axes or ())] if is_scalar else squeeze_shape(shape)


def call_torch(rule: Rule, args: list[Tensor], axis: int | None = None) -> Tensor:
    """Return the value of the function that the rule names, called as the rule says, without an axis of all entries."""
    form = rule.read_form("torch")
    function = find_torch_function(form.path)
    values = dict(zip((parameter.name for parameter in rule.variables), args, strict=True))
    options = dict(form.keywords)
    if axis is not None:
        options["dim"] = axis
    elif form.has_axis and needs_axis(form.path):
        options["dim"] = tuple(range(args[0].ndim))
        if takes_one_axis(form.path):
            values |= {name: value.reshape(-1) for name, value in values.items()}
            options["dim"] = 0
    return function(*form.fill(values), **options)


def has_own_value(rule: Rule) -> bool:
    """Return whether the function has a value without its definition: in the table, or by a word of torch or SymPy."""
    return bool(rule.name == "where" or rule.name in ALONG or rule.name in PLAIN or rule.torch or is_of_sympy(rule))


def is_of_sympy(rule: Rule) -> bool:
    """Whether it is SymPy's word that says what a function of numbers is, where torch has none or not all digits."""
    is_of_torch = bool(rule.torch) and rule.read_form("torch").path not in _OF_FEW_DIGITS
    return rule.is_elementwise and bool(rule.sympy_word) and not (is_of_torch or rule.define)


def is_slow(node: Expression) -> bool:
    """Whether a node is a function of several numbers that only mpmath has: far from 1 a value takes it minutes."""
    return node.op == "call" and is_of_sympy(node.data[0]) and len(node.data[0].variables) > 1


# torch's polygamma of order 1, the derivative of digamma, is off by 1e-9.
_OF_FEW_DIGITS = frozenset({"torch.lgamma", "torch.digamma", "torch.polygamma"})


def require_value(rule: Rule) -> None:
    """Raise EvaluationError unless it is known what the function is."""
    if rule.torch:
        find_torch_function(rule.read_form("torch").path)
    if not has_own_value(rule) and not rule.define:
        raise EvaluationError(
            f"what {rule.call} is, is not known: its rule has a derivative and no value",
            advice='name the function in torch: torch = "torch.special. ..."',
        )


# --- torch functions --------------------------------------------------------------------------------
#
# The functions that no definition states and that torch lacks; all others are what their rules say.
#
# Two manners of calling: ALONG functions get one held array and the axes they run along, which they keep with
# one entry; PLAIN functions get arrays without unit axes.  All can be differentiated again by torch.


_Axes = tuple[int, ...]

SMALLEST_PIVOT = 100


def select(condition: Tensor, chosen: Tensor, otherwise: Tensor) -> Tensor:
    """Return chosen where the condition holds, otherwise elsewhere; a number other than 0 holds."""
    return torch.where(condition if condition.dtype == torch.bool else condition != 0, chosen, otherwise)


def largest(x: Tensor, axes: _Axes) -> Tensor:
    """Return 1 at the largest entry along the axes and 0 elsewhere; equal largest entries share the 1."""
    chosen = (x >= torch.amax(x, dim=axes, keepdim=True)).to(x.dtype)
    return chosen / torch.sum(chosen, dim=axes, keepdim=True)


def multiply_others(x: Tensor, axes: _Axes) -> Tensor:
    """Return for each entry the product of all others along the axes: 0 unless every 0 is the entry itself."""
    is_zero = x == 0
    filled = torch.where(is_zero, torch.ones_like(x), x)
    product, others = filled, is_zero.to(x.dtype)
    for axis in axes:
        product, others = product.prod(axis, keepdim=True), others.sum(axis, keepdim=True)
    return product / filled * (others == is_zero.to(x.dtype))


def find_adjugate(x: Tensor) -> Tensor:
    """Return the transpose of the cofactors, from U @ diag(s) @ V.T: det(U)*det(V)*V @ diag(prod_others(s)) @ U.T."""
    left, values, right = torch.linalg.svd(x)
    sign = torch.linalg.det(left) * torch.linalg.det(right)
    return sign * (right.mT * multiply_others(values, (0,))) @ left.mT


def multiply_but_two(x: Tensor) -> Tensor:
    """Return [i,j], the product of all entries of x but those two, 0 on the diagonal."""
    entries = x.reshape(-1)
    eye = torch.eye(len(entries), dtype=torch.bool, device=x.device)
    return multiply_others(torch.where(eye, torch.ones_like(entries), entries), (1,)).masked_fill(eye, 0)


def differentiate_adjugate(x: Tensor) -> Tensor:
    """Return [i,j,a,b] = d adjugate(X)[i,j]/dX[a,b], from that of diag(s) in the singular value decomposition."""
    left, values, right = torch.linalg.svd(x)
    sign = torch.linalg.det(left) * torch.linalg.det(right)
    pairs = multiply_but_two(values)
    along = torch.einsum("pi,jp,pc,ac,cb->ijab", right, left, pairs, left, right)
    across = torch.einsum("pi,jq,pq,ap,qb->ijab", right, left, pairs, left, right)
    return sign * (along - across)


def require_regular(x: Tensor, value: Tensor) -> Tensor:
    """Return a value that needs the inverse of X; no number where X has none but for rounding, as x @ x.T."""
    if torch.is_grad_enabled() or not bool(value.isfinite().all()):
        return value
    singular = torch.linalg.svdvals(x)
    is_regular = bool(singular[-1] > SMALLEST_PIVOT * torch.finfo(x.dtype).eps * singular[0])
    return value if is_regular else torch.full_like(value, torch.nan)


def take_power(x: Tensor, exponent: Tensor) -> Tensor:
    """Return the matrix X multiplied with itself, or its inverse, exponent times."""
    return torch.linalg.matrix_power(x, round(exponent.item()))


def square_root(x: Tensor) -> Tensor:
    """Return the principal square root of X by the Denman-Beavers iteration.

    Two steps more than the values need, so that derivatives have converged as well; no number where there is no
    such root.
    """
    root, inverse_root = x, torch.eye(x.shape[0], dtype=x.dtype, device=x.device)
    steps_left, has_converged = 40, False
    while steps_left:
        following = (root + torch.linalg.inv(inverse_root)) / 2
        inverse_root = (inverse_root + torch.linalg.inv(root)) / 2
        change = (following - root).abs().max() / following.abs().max()
        root, steps_left = following, steps_left - 1
        if steps_left > 2 and change < 1e-8:
            steps_left, has_converged = 2, True
    return root if has_converged else root * torch.nan


def differentiate_square_root(x: Tensor) -> Tensor:
    """Return [i,j,a,b] = d sqrtm(X)[i,j]/dX[a,b], from S @ dS + dS @ S = dX."""
    size = x.shape[0]
    root, eye = square_root(x), torch.eye(size, dtype=x.dtype, device=x.device)
    both_sides = torch.kron(root, eye) + torch.kron(eye, root.mT.contiguous())
    return torch.linalg.inv(both_sides).reshape(size, size, size, size)


def differentiate_exponential(x: Tensor) -> Tensor:
    """Return [i,j,a,b] = d expm(X)[i,j]/dX[a,b], the corner of expm([[X, E], [0, X]]) for each unit matrix E."""
    size = x.shape[0]
    units = torch.eye(size * size, dtype=x.dtype, device=x.device).reshape(-1, size, size)
    copies = x.expand(size * size, size, size)
    blocks = torch.cat([torch.cat([copies, units], 2), torch.cat([torch.zeros_like(units), copies], 2)], 1)
    corners = torch.linalg.matrix_exp(blocks)[:, :size, size:]
    return corners.reshape(size, size, size, size).permute(2, 3, 0, 1)


def polar_factor(x: Tensor) -> Tensor:
    """Return U @ V.T of the thin singular value decomposition U @ diag(s) @ V.T."""
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return left @ right


def leading_outer(x: Tensor) -> Tensor:
    """Return u1 @ v1.T, of the singular vectors of the largest singular value."""
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return torch.outer(left[:, 0], right[0])


def trailing_outer(x: Tensor) -> Tensor:
    """Return u @ v.T, of the singular vectors of the smallest singular value."""
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return torch.outer(left[:, -1], right[-1])


def take_symmetric_part(x: Tensor) -> Tensor:
    """Return (X + X.T)/2, of which eigenvalues and factors are taken: torch reads one triangle of X alone."""
    return (x + x.mT) / 2


def take_logarithm(x: Tensor) -> Tensor:
    """Return the principal logarithm of X: 2*artanh of inv(X + I) @ (X - I), after square roots that bring X near I.

    No number where there is no such root.
    """
    eye = torch.eye(x.shape[0], dtype=x.dtype, device=x.device)
    root, halvings = x, 0
    while halvings < 40 and bool(torch.linalg.matrix_norm(root - eye, 1) > 0.25):
        root, halvings = square_root(root), halvings + 1
    power = quotient = torch.linalg.solve(root + eye, root - eye)
    result = torch.zeros_like(x)
    for odd in range(1, 25, 2):
        result, power = result + power / odd, power @ quotient @ quotient
    return 2 ** (halvings + 1) * result


def differentiate_logarithm(x: Tensor) -> Tensor:
    """Return [i,j,a,b] = d logm(X)[i,j]/dX[a,b], the inverse of the derivative of expm at logm(X)."""
    size = x.shape[0]
    of_exponential = differentiate_exponential(take_logarithm(x)).reshape(size**2, size**2)
    return torch.linalg.inv(of_exponential).reshape(size, size, size, size)


ALONG: dict[str, Callable[[Tensor, _Axes], Tensor]] = {
    "largest": largest, "prod_others": multiply_others, "prod_others_of_vector": multiply_others,
}  # fmt: skip

PLAIN: dict[str, Callable[..., Tensor]] = {
    "size": lambda x: torch.tensor(float(x.numel()), dtype=x.dtype, device=x.device),
    "matrix_power": take_power,
    "sqrtm": square_root,
    "sqrtm_jacobian": differentiate_square_root,
    "expm_jacobian": differentiate_exponential,
    "logm": take_logarithm,
    "logm_jacobian": differentiate_logarithm,
    "eigvalsh": lambda x: torch.linalg.eigvalsh(take_symmetric_part(x)),
    "eigvecsh": lambda x: torch.linalg.eigh(take_symmetric_part(x)).eigenvectors,
    "svd_left": lambda x: torch.linalg.svd(x, full_matrices=False).U,
    "svd_right": lambda x: torch.linalg.svd(x, full_matrices=False).Vh.mT,
    "cholesky": lambda x: torch.linalg.cholesky(take_symmetric_part(x)),
    "polar": polar_factor,
    "leading_outer": leading_outer,
    "trailing_outer": trailing_outer,
    "adjugate": find_adjugate,
    "adjugate_jacobian": differentiate_adjugate,
    "prod_pairs": multiply_but_two,
    "prod_pairs_of_rows": lambda x: torch.stack([multiply_but_two(row) for row in x.unbind()]),
}


@lru_cache(maxsize=1024)
def find_torch_function(path: str) -> Callable[..., Any]:
    """Return the torch function of a dotted path such as torch.linalg.det.

    Only what a rule may name is found; raises EvaluationError for any other path, and for what this torch lacks.
    """
    if not is_word(path, "torch"):
        reason = f"{path!r} is no function of torch that a rule may name"
        raise EvaluationError(reason, advice=advise_word(path, "torch"))
    module, _, name = path.rpartition(".")
    function: Callable[..., Any] | None = getattr(importlib.import_module(module), name, None)
    if function is None:
        raise EvaluationError(f"the installed torch has no {path}")
    return function


# --- contract ---------------------------------------------------------------------------------------
#
# einsum of many operands, contracted two at a time, the smallest intermediate first.


def contract(subscripts: str, operands: list[Tensor]) -> Tensor:
    """Return einsum(subscripts, *operands) without the huge intermediates of one sum over all letters.

    >>> contract("ij,jk,k->i", [torch.ones(2, 3), torch.ones(3, 5), torch.ones(5)])
    tensor([15., 15.])
    """
    inputs, output = subscripts.split("->")
    parts = list(zip(inputs.split(","), operands, strict=True))
    sizes = {letter: size for letters, operand in parts for letter, size in zip(letters, operand.shape, strict=True)}
    while len(parts) > 2:
        first, second = _find_cheapest([letters for letters, _ in parts], output, sizes)
        right, left = parts.pop(second), parts.pop(first)
        kept = _keep(left[0] + right[0], [letters for letters, _ in parts], output)
        parts.append((kept, torch.einsum(f"{left[0]},{right[0]}->{kept}", left[1], right[1])))
    return torch.einsum(",".join(letters for letters, _ in parts) + "->" + output, *[operand for _, operand in parts])


def _keep(letters: str, others: list[str], output: str) -> str:
    """Return the letters that the result or another operand still needs, each once."""
    needed = set(output).union(*others)
    return "".join(letter for letter in dict.fromkeys(letters) if letter in needed)


def _find_cheapest(terms: list[str], output: str, sizes: dict[str, int]) -> tuple[int, int]:
    """Return the places of the two operands whose product has the fewest entries."""

    def count(pair: tuple[int, int]) -> int:
        others = [term for place, term in enumerate(terms) if place not in pair]
        return prod(sizes[letter] for letter in _keep(terms[pair[0]] + terms[pair[1]], others, output))

    return min(combinations(range(len(terms)), 2), key=count)
