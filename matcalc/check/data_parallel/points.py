"""Points whose batch can be dealt to the processes in equal shares, each share a fair point itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from matcalc.check.conditions import Trouble
from matcalc.check.data_parallel.question import LossQuestion, split_point
from matcalc.check.points import PATIENCE, PRIMES, Point, PointSearch, draw
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.language.expression import Expression

__all__ = ["ShareSearch", "average_gradients", "find_gradients"]

# Of two samples too much is special: their deviations from the mean, for one, are equal but for the sign.
SHARES = (*PRIMES[1:], 2)


class ShareSearch(PointSearch):
    """Draws points whose batch has `processes` times as many samples as a share."""

    def __init__(self, question: LossQuestion, processes: int, *, seed: int, dtype: torch.dtype) -> None:
        extra = (*question.parameters, *question.derivatives)
        shape = max((wrt.squeezed_shape for wrt in question.parameters), key=len)
        super().__init__(question.loss, extra, seed=seed, shape=shape, dtype=dtype)
        self.batch, self.processes = question.batch, processes

    def _draw(self, trial: int) -> Point:
        point = super()._draw(trial)
        sizes = point.sizes | {self.batch.letter: self.processes * self._choose_share(trial, point.sizes)}
        generator = torch.Generator().manual_seed(hash((self.seed, trial, self.tries_left)) % 2**62)
        values = dict(point.values)
        for name in self.batch.axes:
            shape = tuple(size.value(sizes) for size in self.variables[name].shape)
            values[name] = draw(shape, point.domains[name], generator).to(self.device, self.dtype)
        return replace(point, values=values, sizes=sizes)

    def _choose_share(self, trial: int, sizes: Mapping[str, int]) -> int:
        """Return a size of the shares that is none of the other sizes, another one at each trial."""
        others = {size for letter, size in sizes.items() if letter != self.batch.letter}
        free = [prime for prime in SHARES if prime not in others]
        return free[(trial + self.rejections // PATIENCE) % len(free)]

    def _inspect(self, point: Point) -> Point | Trouble:
        """Return the point where it and all its shares will do, else what is wrong."""
        found = super()._inspect(point)
        if isinstance(found, Trouble):
            return found
        inspected = map(super()._inspect, split_point(found, self.batch, self.processes))
        return next((share for share in inspected if isinstance(share, Trouble)), found)


def find_gradients(
    expression: Expression, parameters: tuple[Expression, ...], point: Point, values: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return torch's gradients of a scalar expression by name, without unit axes; `values` may move the point."""
    given = dict(point.values if values is None else values)
    for wrt in parameters:
        given[wrt.name] = given[wrt.name].detach().clone().requires_grad_()
    at = [given[wrt.name] for wrt in parameters]
    with torch.enable_grad():
        value = evaluate(expression, given, dict(point.sizes), point.functions).reshape(())
    found = torch.autograd.grad(value, at, allow_unused=True) if value.requires_grad else [None] * len(at)
    return {
        wrt.name: squeeze(wrt, torch.zeros_like(x) if gradient is None else gradient, point.sizes)
        for wrt, x, gradient in zip(parameters, at, found, strict=True)
    }


def average_gradients(
    expression: Expression, parameters: tuple[Expression, ...], shares: list[Point]
) -> dict[str, Tensor]:
    """Return the mean over the shares of their gradients, by name."""
    found = [find_gradients(expression, parameters, share) for share in shares]
    return {name: torch.stack([one[name] for one in found]).mean(dim=0) for name in found[0]}
