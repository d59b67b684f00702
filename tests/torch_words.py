"""The words of the language as plain torch functions, written without matcalc: what a case's text means.

Everything is held with two axes: a vector is (n, 1), a row (1, n), a scalar (1, 1).  The texts are our own,
so Python may read them.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

DOUBLE = torch.float64


def hold(value: Any) -> Tensor:
    """Return a tensor with two axes or more; a list of n numbers stands as a column."""
    tensor = torch.as_tensor(value, dtype=DOUBLE) if not isinstance(value, Tensor) else value
    return tensor.reshape(-1, 1) if tensor.ndim < 2 else tensor


def drop(value: Tensor) -> Tensor:
    """Return the tensor without its unit axes."""
    return value.reshape([size for size in value.shape if size != 1])


def read(text: str, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Tensor:
    """Return the value of a text of the language: a formula, with definitions before it or none."""
    *definitions, formula = text.replace(";", "\n").split("\n")
    known = {**WORDS, **sizes, **values}
    for definition in definitions:
        name, _, part = definition.partition(" = ")
        known[name.strip()] = hold(eval(part, {"__builtins__": {}}, known))
    return hold(eval(formula, {"__builtins__": {}}, known))


# --- functions of one array, whole or along an axis ---------------------------------------------------------


def is_matrix(x: Tensor) -> bool:
    return 1 not in x.shape


def reduction(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """sum(x), sum(X, axis=(0, 1)); sum(X, axis=0) as a column, sum(X, axis=0, keepdims=True) as a row."""

    def reduce(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        x = hold(x)
        if isinstance(axis, Sequence):
            axis = axis[0] if len(axis) == 1 else None
        if axis is None or not is_matrix(x):
            return hold(function(x.reshape(-1)))
        column = torch.stack([function(part) for part in x.unbind(1 - axis % 2)]).reshape(-1, 1)
        return column.mT if keepdims and axis % 2 == 0 else column

    return reduce


def pairing(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """dot-like functions of two vectors, of each pair of columns (axis 0) or rows (axis 1) of two matrices."""

    def reduce(x: Any, y: Any, axis: int | None = None) -> Tensor:
        x, y = hold(x), hold(y)
        if axis is None or not is_matrix(x):
            return hold(function(x.reshape(-1), y.reshape(-1)))
        pairs = zip(x.unbind(1 - axis % 2), y.unbind(1 - axis % 2), strict=True)
        return torch.stack([function(one, other) for one, other in pairs]).reshape(-1, 1)

    return reduce


def mapping(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """softmax(x) of all entries together, softmax(X, axis=1) of each row."""

    def apply(x: Any, axis: int | None = None) -> Tensor:
        x = hold(x)
        if axis is None or not is_matrix(x):
            return function(x.reshape(-1)).reshape(x.shape)
        return torch.stack([function(part) for part in x.unbind(1 - axis % 2)], dim=1 - axis % 2)

    return apply


def normalize(x: Tensor) -> Tensor:
    return (x - x.mean()) / torch.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)


def standardize(x: Tensor) -> Tensor:
    return x / torch.sqrt((x**2).mean() + 1e-5)


def entrywise(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *args: function(*[hold(arg) for arg in args])


def select(condition: Any, chosen: Any, otherwise: Any) -> Tensor:
    return torch.where(hold(condition), hold(chosen).to(DOUBLE), hold(otherwise).to(DOUBLE))


def clip(x: Any, low: Any, high: Any) -> Tensor:
    return torch.minimum(hold(high).to(DOUBLE), torch.maximum(hold(x), hold(low).to(DOUBLE)))


def share(x: Tensor, extreme: Tensor) -> Tensor:
    """Return 1 at the extreme entry, shared by equal ones, 0 elsewhere."""
    places = (x == extreme).to(DOUBLE)
    return places / places.sum()


# --- vectors and matrices ----------------------------------------------------------------------------------


def norm(x: Tensor, kind: Any = None, **along: Any) -> Tensor:
    if along:
        return reduction(lambda part: (part**2).sum() ** 0.5)(x, **along)
    if is_matrix(x) and kind in ("nuc", 2):
        singular = torch.linalg.svdvals(x)
        return hold(singular.sum() if kind == "nuc" else singular.max())
    if kind in (None, "fro", 2):
        return hold((x**2).sum() ** 0.5)
    power = hold(kind).to(DOUBLE)
    return (x.abs() ** power).sum() ** (1 / power)


def log_abs_det(x: Tensor) -> Tensor:
    return hold(torch.linalg.slogdet(x).logabsdet)


def loss(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The mean of a function of two arrays entry by entry."""
    return lambda x, y: hold(function(*torch.broadcast_tensors(hold(x), hold(y))).mean())


def huber(x: Tensor, y: Tensor) -> Tensor:
    distance = (x - y).abs()
    return torch.where(distance < 1, distance**2 / 2, distance - 0.5)


def diag(x: Tensor) -> Tensor:
    return hold(torch.diagonal(x)) if is_matrix(x) else torch.diag(x.reshape(-1))


def einsum(subscripts: str, *operands: Any) -> Tensor:
    letters = subscripts.replace(" ", "").split("->")[0].split(",")
    plain = [drop(hold(x)) if drop(hold(x)).ndim == len(at) else x for at, x in zip(letters, operands, strict=True)]
    return hold(torch.einsum(subscripts.replace(" ", ""), *plain))


def square_root(x: Tensor) -> Tensor:
    """The principal square root by way of the eigenvectors, which is enough for values without derivatives."""
    values, vectors = torch.linalg.eig(x)
    return (vectors @ torch.diag(values.sqrt()) @ torch.linalg.inv(vectors)).real


class SquareRoot(torch.autograd.Function):
    """sqrtm, whose derivative solves S @ dS + dS @ S = dX."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        root = square_root(x)
        context.save_for_backward(root)
        return root

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (root,) = context.saved_tensors
        size = root.shape[0]
        eye = torch.eye(size, dtype=DOUBLE)
        system = torch.kron(eye, root) + torch.kron(root.mT.contiguous(), eye)
        return torch.linalg.solve(system.mT, gradient.mT.reshape(-1)).reshape(size, size).mT


def jacobian_of(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.autograd.functional.jacobian(function, x)


def polar(x: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return left @ right


def leading_outer(x: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return torch.outer(left[:, 0], right[0])


def adjugate(x: Tensor) -> Tensor:
    """The transpose of the cofactors, each a determinant of what is left without its row and column."""
    size = len(x)
    rest = [[place for place in range(size) if place != gone] for gone in range(size)]
    cofactors = [[(-1) ** (i + j) * torch.linalg.det(x[rest[j]][:, rest[i]]) for j in range(size)] for i in range(size)]
    return torch.stack([torch.stack(row) for row in cofactors])


def multiply_others(x: Tensor) -> Tensor:
    return torch.stack([torch.cat([x[:place], x[place + 1 :]]).prod() for place in range(len(x))])


def fuse(first: int, second: int) -> Tensor:
    return torch.eye(first * second, dtype=DOUBLE).reshape(first * second, first, second)


def commutation(rows: int, columns: int) -> Tensor:
    """The matrix K with K @ vec(X) = vec(X.T) for X (rows, columns)."""
    matrix = torch.zeros(rows * columns, rows * columns, dtype=DOUBLE)
    for i in range(rows):
        for j in range(columns):
            matrix[i * columns + j, j * rows + i] = 1
    return matrix


def duplication(size: int) -> Tensor:
    """The matrix D with D @ vech(X) = vec(X) for a symmetric X."""
    places = [(i, j) for j in range(size) for i in range(j, size)]
    matrix = torch.zeros(size * size, len(places), dtype=DOUBLE)
    for place, (i, j) in enumerate(places):
        matrix[j * size + i, place] = matrix[i * size + j, place] = 1
    return matrix


def filled(value: float) -> Callable[..., Tensor]:
    return lambda *sizes: hold(torch.full(sizes, value, dtype=DOUBLE))


def unit_vector(first: int | Tensor, place: float | Tensor) -> Tensor:
    """The column that is 1 at the place nearest to a number, of a size or as long as a column."""
    size = first if isinstance(first, int) else len(first)
    column = torch.zeros(size, 1, dtype=DOUBLE)
    nearest = round(float(place.detach() if isinstance(place, Tensor) else place))
    if 0 <= nearest < size:
        column[nearest] = 1
    return column


def select_rows(rows: Tensor, columns: Tensor, before: float | Tensor, after: float | Tensor) -> Tensor:
    """The rows of the identity from the one whose number is nearest to `before`, zeros beyond it."""
    place = round(float(before.detach() if isinstance(before, Tensor) else before))
    count, whole = len(rows), len(columns)
    wide = torch.eye(whole + 2 * (count + abs(place)), dtype=DOUBLE)[count + abs(place) + place :][:count]
    return wide[:, count + abs(place) :][:, :whole]


def pad(array: Tensor, before: int, after: int, axis: int = 0) -> Tensor:
    """An array between zeros, below one another or side by side."""
    array = hold(array)
    ends = (0, 0, before, after) if axis == 0 else (before, after)
    return torch.nn.functional.pad(array, ends)


def skew(x: Tensor) -> Tensor:
    """The part of a matrix that is skew; of a vector of three the matrix that multiplies as the cross product does."""
    if x.shape[1] > 1:
        return (x - x.mT) / 2
    first, second, third = x[:, 0]
    zero = torch.zeros((), dtype=DOUBLE)
    rows = [[zero, -third, second], [third, zero, -first], [-second, first, zero]]
    return torch.stack([torch.stack(row) for row in rows])


ENTRYWISE: dict[str, Callable[..., Tensor]] = {
    "exp": torch.exp, "log": torch.log, "log1p": torch.log1p, "expm1": torch.expm1, "sqrt": torch.sqrt,
    "square": lambda x: x * x, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "arcsin": torch.arcsin, "arccos": torch.arccos, "arctan": torch.arctan,
    "abs": torch.abs, "sign": torch.sign, "sigmoid": torch.sigmoid, "relu": torch.relu,
    "leaky_relu": lambda x, slope=0.01: torch.where(x > 0, x, slope * x), "elu": functional.elu,
    "silu": functional.silu, "gelu": functional.gelu, "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "erf": torch.erf, "maximum": torch.maximum, "minimum": torch.minimum,
}  # fmt: skip

WORDS: dict[str, Any] = {
    **{name: entrywise(function) for name, function in ENTRYWISE.items()},
    "where": select, "clip": clip, "pi": math.pi, "e": math.e,
    "sum": reduction(torch.sum), "mean": reduction(torch.mean), "prod": reduction(torch.prod),
    "max": reduction(torch.amax), "min": reduction(torch.amin),
    "largest": mapping(lambda x: share(x, x.amax())), "smallest": mapping(lambda x: share(x, x.amin())),
    "var": reduction(lambda x: ((x - x.mean()) ** 2).mean()),
    "logsumexp": reduction(lambda x: torch.logsumexp(x, 0)),
    "softmax": mapping(lambda x: torch.softmax(x, 0)), "log_softmax": mapping(lambda x: torch.log_softmax(x, 0)),
    "layer_norm": mapping(normalize), "cumsum": mapping(lambda x: torch.cumsum(x, 0)),
    "cross_entropy": pairing(lambda z, y: -(y * torch.log_softmax(z, 0)).sum()),
    "size": lambda x: hold(float(hold(x).numel())), "norm": norm, "diag": diag, "einsum": einsum,
    "dot": lambda x, y: x.mT @ y, "outer": lambda x, y: x @ y.mT, "vec": lambda x: x.mT.reshape(-1, 1),
    "kron": lambda a, b: torch.kron(a.contiguous(), b.contiguous()), "trace": lambda x: hold(torch.trace(x)),
    "det": lambda x: hold(torch.linalg.det(x)), "logdet": lambda x: hold(torch.logdet(x)), "inv": torch.linalg.inv,
    "pinv": torch.linalg.pinv, "solve": torch.linalg.solve, "matrix_power": torch.linalg.matrix_power,
    "expm": torch.linalg.matrix_exp, "sqrtm": SquareRoot.apply, "tril": torch.tril, "triu": torch.triu,
    "expm_jacobian": jacobian_of(torch.linalg.matrix_exp), "sqrtm_jacobian": jacobian_of(SquareRoot.apply),
    "std": reduction(lambda x: ((x - x.mean()) ** 2).mean().sqrt()), "rms_norm": mapping(standardize),
    "batch_norm": mapping(normalize), "normalize": mapping(lambda x: x / (x**2).sum() ** 0.5),
    "cosine_similarity": pairing(lambda x, y: (x * y).sum() / ((x**2).sum() * (y**2).sum()) ** 0.5),
    "logabsdet": log_abs_det,
    "hardsigmoid": lambda x: torch.clamp(hold(x) / 6 + 0.5, 0, 1), "mse_loss": loss(lambda x, y: (x - y) ** 2),
    "l1_loss": loss(lambda x, y: (x - y).abs()), "huber_loss": loss(huber), "smooth_l1_loss": loss(huber),
    "binary_cross_entropy": loss(lambda p, y: -y * p.log() - (1 - y) * (1 - p).log()),
    "binary_cross_entropy_with_logits": loss(lambda z, y: functional.softplus(z, threshold=1000) - z * y),
    "kl_div": pairing(lambda p, q: (p * (p / q).log()).sum()),
    "adjugate": adjugate, "prod_others": mapping(multiply_others), "adjugate_jacobian": jacobian_of(adjugate),
    "prod_pairs": lambda x: torch.func.jacfwd(multiply_others)(drop(x)),
    "prod_pairs_of_rows": torch.func.vmap(torch.func.jacfwd(multiply_others)),
    "adj": lambda x: torch.linalg.det(x) * torch.linalg.inv(x),
    "reciprocal_or_zero": entrywise(lambda x: torch.where(x == 0, torch.zeros_like(x), 1 / x)), "polar": polar,
    "basis": unit_vector, "selection": select_rows, "pad": pad,
    "concat": lambda *arrays, axis=0: torch.cat([hold(array) for array in arrays], axis),
    "cross": lambda x, y: torch.linalg.cross(x, y, dim=0), "skew": skew, "sym": lambda x: (x + x.mT) / 2,
    "cov": torch.cov,
    "leading_outer": leading_outer, "fuse": fuse, "commutation": commutation,
    "duplication": duplication,
    "eye": lambda size: torch.eye(size, dtype=DOUBLE), "ones": filled(1.0), "zeros": filled(0.0),
}  # fmt: skip


def read_words() -> dict[str, Callable[..., Tensor]]:
    """The functions entry by entry that the rules name in torch and that have no place above."""
    found: dict[str, Callable[..., Tensor]] = {}
    tables = tomllib.loads((Path(__file__).parents[1] / "rules" / "elementwise.toml").read_text(encoding="utf-8"))
    for name, entry in tables.items():
        function = entry.get("call", name).partition("(")[0]
        path = entry.get("torch", "").partition("(")[0].removeprefix("torch.")
        if function not in WORDS and path:
            found[function] = entrywise(attrgetter(path)(torch))
    return found


WORDS |= read_words()
