"""A hand-written backward as a claim: the vector-Jacobian product that it returns for one of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from matcalc.check.code import Code, tell_error
from matcalc.check.modes import own_modes
from matcalc.check.points import Point
from matcalc.check.question import Question, Values, search_points
from matcalc.check.torch_values import squeeze
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape


@dataclass(frozen=True)
class BackwardClaim:
    """What a function's backward returns for `wrt` when it is given the cotangent."""

    code: Code
    wrt: Expression
    cotangent: Expression
    root: Expression | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the variable, to which torch itself holds every backward."""
        return self.wrt.squeezed_shape

    def evaluate(self, values: Values, point: Point) -> Tensor:
        """Return the gradient that backward gives; zeros where it gives none.

        Raises EvaluationError with the function's own error.
        """
        gradient = self.run(values, point)
        at = squeeze(self.wrt, values[self.wrt.name], point.sizes)
        return torch.zeros_like(at) if gradient is None else gradient.reshape(at.shape)

    def run(self, values: Values, point: Point) -> Tensor | None:
        """Return what backward gives for the variable, None included."""
        watched = dict(values)
        at = values[self.wrt.name].detach().clone().requires_grad_()
        watched[self.wrt.name] = at
        with torch.enable_grad():
            value = self.code.run(watched, point.sizes)
            return self._pull_back(value, values[self.cotangent.name], at)

    def _pull_back(self, value: Tensor, cotangent: Tensor, at: Tensor) -> Tensor | None:
        if value.numel() != cotangent.numel():
            raise EvaluationError(f"{self.code.name} returned the shape {tuple(value.shape)}, not that of the formula")
        if not value.requires_grad:
            return None
        try:
            return torch.autograd.grad(value, at, cotangent.reshape(value.shape), allow_unused=True)[0]
        except Exception as error:
            raise tell_error(f"backward of {self.code.name}", error) from error


def describe_misuse(question: Question, claim: BackwardClaim, *, seed: int, dtype: str, device: str) -> str:
    """Say what a wrong backward does with grad_output that explains it, "" where nothing stands out."""
    with own_modes(dtype, device):
        point = search_points(question, seed, dtype, device).find(0)
        return _describe_misuse(claim, point) if isinstance(point, Point) else ""


def _describe_misuse(claim: BackwardClaim, point: Point) -> str:
    gradient = claim.run(point.values, point)
    if gradient is None:
        return f"It returns no gradient for {claim.wrt.name}."
    name = claim.cotangent.name
    doubled = claim.run({**point.values, name: 2 * point.values[name]}, point)
    if doubled is None or torch.allclose(doubled, 2 * gradient):
        return ""
    if torch.allclose(doubled, gradient):
        return f"It does not use {name}: what it returns is the same whatever {name} is."
    return f"It is not linear in {name}."
