"""What the language's functions are, in torch: a table for those that torch lacks or words differently.

Three manners of calling: ENTRYWISE functions get arrays as held (columns (n, 1)) and broadcast them;
ALONG functions get one held array and the axes they run along, which they keep with one entry; PLAIN
functions get arrays without unit axes.  All can be differentiated again by torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from matcalc.errors import EvaluationError
from matcalc.rule_words import advise_word, is_word

Axes = tuple[int, ...]

SMALLEST_PIVOT = 100


def select(condition: Tensor, chosen: Tensor, otherwise: Tensor) -> Tensor:
    """Return chosen where the condition holds, otherwise elsewhere; a number other than 0 holds."""
    return torch.where(condition if condition.dtype == torch.bool else condition != 0, chosen, otherwise)


def largest(x: Tensor, axes: Axes) -> Tensor:
    """Return 1 at the largest entry along the axes and 0 elsewhere; equal largest entries share the 1."""
    chosen = (x >= torch.amax(x, dim=axes, keepdim=True)).to(x.dtype)
    return chosen / torch.sum(chosen, dim=axes, keepdim=True)


def p_norm(x: Tensor, p: Tensor) -> Tensor:
    """Return (|x1|**p + ... + |xn|**p)**(1/p)."""
    return torch.sum(torch.abs(x) ** p) ** (1 / p)


def stack_columns(x: Tensor) -> Tensor:
    """Return vec(X): the columns of X (m, n) one under the other, entry (i, j) at j*m + i."""
    return x.mT.reshape(-1) if x.ndim == 2 else x.reshape(-1)


def require_regular(x: Tensor, value: Tensor) -> Tensor:
    """Return a value that needs the inverse of X; no number where X has none but for rounding, as x @ x.T."""
    if torch.is_grad_enabled() or not bool(value.isfinite().all()):
        return value
    singular = torch.linalg.svdvals(x)
    is_regular = bool(singular[-1] > SMALLEST_PIVOT * torch.finfo(x.dtype).eps * singular[0])
    return value if is_regular else torch.full_like(value, torch.nan)


def take_power(x: Tensor, exponent: Tensor) -> Tensor:
    """Return the matrix X multiplied with itself, or its inverse, exponent times."""
    value = torch.linalg.matrix_power(x, round(exponent.item()))
    return value if exponent.item() >= 0 else require_regular(x, value)


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


ENTRYWISE: dict[str, Callable[..., Tensor]] = {
    "where": select,
}

ALONG: dict[str, Callable[[Tensor, Axes], Tensor]] = {
    "largest": largest,
    "smallest": lambda x, axes: largest(-x, axes),
}

PLAIN: dict[str, Callable[..., Tensor]] = {
    "inv": lambda x: require_regular(x, torch.linalg.inv(x)),
    "solve": lambda a, b: require_regular(a, torch.linalg.solve(a, b)),
    "logdet": lambda x: require_regular(x, torch.logdet(x)),
    "size": lambda x: torch.tensor(float(x.numel()), dtype=x.dtype, device=x.device),
    "norm_p": p_norm,
    "norm_nuc": lambda x: torch.sum(torch.linalg.svdvals(x)),
    "norm_spectral": lambda x: torch.linalg.svdvals(x)[0],
    "matrix_power": take_power,
    "sqrtm": square_root,
    "sqrtm_jacobian": differentiate_square_root,
    "expm_jacobian": differentiate_exponential,
    "polar": polar_factor,
    "leading_outer": leading_outer,
    "kron_of_vector_and_matrix": lambda a, b: torch.kron(a.reshape(-1, 1), b),
    "kron_of_matrix_and_vector": lambda a, b: torch.kron(a, b.reshape(-1, 1)),
    "kron_of_row_and_matrix": lambda a, b: torch.kron(a.reshape(1, -1), b),
    "kron_of_matrix_and_row": lambda a, b: torch.kron(a, b.reshape(1, -1)),
    "kron_of_rows": lambda a, b: torch.kron(a.reshape(1, -1), b.reshape(1, -1)),
    "kron_of_column_and_row": lambda a, b: torch.kron(a.reshape(-1, 1), b.reshape(1, -1)),
    "kron_of_row_and_column": lambda a, b: torch.kron(a.reshape(1, -1), b.reshape(-1, 1)),
    "vec": stack_columns,
    "vec_of_vector": stack_columns,
}


@lru_cache(maxsize=1024)
def resolve(path: str) -> Callable[..., Any]:
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
