"""The domains that a variable may be drawn from, and random values from each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from matcalc.check.modes import own_modes
from matcalc.language.expression import Expression


class SmoothFunction:
    """A random smooth function in the place of an abstract one: shift + C @ sin(W @ x + b), x of any shape.

    All its derivatives are generic; with `positive` all its values are.
    """

    def __init__(self, shape: tuple[int, ...], seed: int, positive: bool, dtype: torch.dtype, device: str) -> None:
        self.shape, self.seed, self.positive, self.dtype, self.device = shape, seed, positive, dtype, device
        self._weights: dict[tuple[int, ...], tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        inner, phases, outer = self._weights.get(tuple(x.shape)) or self._draw(tuple(x.shape))
        waves = outer @ torch.sin(inner @ x.reshape(-1) + phases)
        return (waves + 2.5 * self.positive).reshape(self.shape)

    @own_modes(None)  # what is drawn is kept: no mode of the first caller may mark it
    def _draw(self, shape: tuple[int, ...], features: int = 6) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        entries = max(1, math.prod(shape))
        inner = torch.randn(features, entries, generator=generator, dtype=torch.float64) / math.sqrt(entries)
        phases = torch.rand(features, generator=generator, dtype=torch.float64) * 6
        outer = torch.rand(math.prod(self.shape), features, generator=generator, dtype=torch.float64) - 0.5
        to = {"dtype": self.dtype, "device": self.device}
        self._weights[shape] = (inner.to(**to), phases.to(**to), (outer * 4 / math.sqrt(features)).to(**to))
        return self._weights[shape]


def draw_unit(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random float64 entries from 0 to 1, on the generator's device whatever the default one is."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)


def _eye_like(x: Tensor) -> Tensor:
    return torch.eye(x.shape[0], dtype=x.dtype, device=x.device)


def _signed(u: Tensor, generator: torch.Generator) -> Tensor:
    return torch.where(draw_unit(u.shape, generator) < 0.5, -u, u)


_ENTRIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "real": lambda u, g: _signed(0.2 + 1.4 * u, g),
    "nonzero": lambda u, g: _signed(0.2 + 1.4 * u, g),
    "positive": lambda u, g: 0.3 + 1.5 * u,
    "unit-interval": lambda u, g: 0.1 + 0.8 * u,
    "sign": lambda u, g: _signed(torch.ones_like(u), g),
    "simplex": lambda u, g: (0.2 + u) / (0.2 + u).sum(dim=0, keepdim=True),
    "one-hot": lambda u, g: (u == u.amax(dim=0, keepdim=True)).to(u.dtype),
    "small": lambda u, g: _signed(0.02 + 0.2 * u, g),
    "negative": lambda u, g: -0.3 - 1.5 * u,
    "large": lambda u, g: 2 + 2 * u,
    "huge": lambda u, g: 4 + 36 * u**2,
    "tiny": lambda u, g: _signed(0.0005 + 0.02 * u**2, g),
    "near": lambda u, g: 0.85 + 0.3 * u,
    "around": lambda u, g: _signed(0.85 + 0.3 * u, g),
    "dominant": lambda u, g: _dominate(_signed(0.2 + 1.4 * u, g)),
}


def _dominate(x: Tensor) -> Tensor:
    """Add to the diagonal until every eigenvalue has a positive real part."""
    return x + (0.6 + float(torch.linalg.matrix_norm(x, 2))) * _eye_like(x)


def _make_invertible(x: Tensor) -> Tensor:
    """Return a matrix that is not symmetric, well conditioned, with a positive determinant."""
    left, singular, right = torch.linalg.svd(x)
    x = left @ torch.diag(singular + 0.3 * singular[0]) @ right
    if float(torch.linalg.det(x)) < 0:
        x[0] = -x[0]
    return x


def _make_symmetric(x: Tensor) -> Tensor:
    return (x + x.mT) / 2


def _make_orthogonal(x: Tensor) -> Tensor:
    """Return an orthogonal matrix; of one that is symmetric, or diagonal, a reflection, which is so as well."""
    if not torch.equal(x, x.mT):
        return torch.linalg.qr(x).Q
    normal = x[:, 0] / torch.linalg.vector_norm(x[:, 0])
    return _eye_like(x) - 2 * torch.outer(normal, normal)


def _make_posdef(x: Tensor) -> Tensor:
    """Return a symmetric matrix with eigenvalues from 1/2 on; the product alone is not symmetric on every processor."""
    return _make_symmetric(x @ x.mT / x.shape[0] + 0.5 * _eye_like(x))


# Each holds to the last bit, save orthogonality: a formula may take the largest entry of A - A.T.
_STRUCTURES: dict[str, Callable[[Tensor], Tensor]] = {
    "invertible": _make_invertible,
    "symmetric": _make_symmetric,
    "skew": lambda x: (x - x.mT) / 2,
    "diagonal": lambda x: torch.diag(torch.diag(x)),
    "orthogonal": _make_orthogonal,
    "posdef": _make_posdef,
}


_TIMES = " times "
_FIXED = {"sign", "simplex", "one-hot", "unit-interval", "orthogonal"}
_CAN_DOMINATE = ("", " invertible", " symmetric", " diagonal")


def list_domains(symbol: Expression) -> list[str]:
    """Return the domains that a variable may be drawn from, the least special first; assumptions fix the first word."""
    assumptions: frozenset[str] = symbol.data[1]
    structure = "".join(f" {name}" for name in _STRUCTURES if name in assumptions)
    for fixed in ("sign", "one-hot", "simplex", "unit-interval"):
        if fixed in assumptions:
            return [fixed + structure]
    if "positive" in assumptions:
        kinds = ["positive", "unit-interval", "large", "huge"]
    else:
        kinds = ["nonzero" if "nonzero" in assumptions else "real"]
        kinds += ["positive", "unit-interval", "small", "negative", "large", "huge", "tiny"]
        square = len(symbol.shape) == 2 and symbol.shape[0] == symbol.shape[1] and not symbol.is_scalar
        kinds[1:1] = ["dominant"] if square and structure in _CAN_DOMINATE else []
    return [kind + structure for kind in kinds]


def draw(shape: tuple[int, ...], domain: str, generator: torch.Generator) -> Tensor:
    """Return random float64 entries from a domain such as "real", "positive symmetric" or "real times 10"."""
    domain, _, scale = domain.partition(_TIMES)
    kind, *structures = domain.split()
    value = _ENTRIES[kind](draw_unit(shape, generator), generator)
    for structure in structures:
        value = _STRUCTURES[structure](value)
    return float(scale) * value if scale else value


def move(domains: list[str], numbers: Iterable[float], choices: random.Random) -> str:
    """Return one of the domains, in half of the cases scaled to one of the numbers or near it, if it may be."""
    domain = choices.choice(domains)
    if choices.random() < 0.5 or not _FIXED.isdisjoint(domain.split()):
        return domain
    kind, *structures = domain.split()
    near = "around" if any(other.startswith("negative") for other in domains) else "near"
    scale = choices.choice([number for number in numbers if number] or [3.0, 10.0])
    return f"{' '.join([choices.choice([kind, near]), *structures])}{_TIMES}{scale:g}"
