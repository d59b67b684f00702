"""A hand-written backward as a claim: the vector-Jacobian product that it returns for one of its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node

from matcalc.check.code import Code, tell_error
from matcalc.check.modes import own_modes
from matcalc.check.points import Point
from matcalc.check.question import Question, Values, search_points
from matcalc.check.torch_values import squeeze
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape


@dataclass(frozen=True)
class BackwardPass:
    """What one pass through a function gave for a variable.

    `returned` is what its own backward gave for the variable, before torch made it fit: torch sums what has too many
    axes and converts another dtype, in silence.  `faults` are sentences about what it wrote into without telling torch;
    `error` is that of a backward that failed.
    """

    gradient: Tensor | None
    returned: tuple[Tensor, ...] = ()
    faults: tuple[str, ...] = ()
    error: EvaluationError | None = None


@dataclass(frozen=True)
class BackwardClaim:
    """What a function's backward returns for `wrt` when it is given the cotangent.

    The inputs in `needed` need a gradient meanwhile.  Of a backward that returns an array with its axes in another
    order `axes` is that order.
    """

    code: Code
    wrt: Expression
    cotangent: Expression
    needed: frozenset[str]
    axes: tuple[int, ...] = ()
    root: Expression | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the gradient: that of the variable, to which torch itself holds every backward."""
        shape = self.wrt.squeezed_shape
        return tuple(shape[axis] for axis in self.axes) if self.axes else shape

    def evaluate(self, values: Values, point: Point) -> Tensor:
        """Return the gradient that backward gives; zeros where it gives none.

        Raises EvaluationError with the function's own error.
        """
        passed = self.run(values, point)
        if passed.error is not None:
            raise passed.error
        at = squeeze(self.wrt, values[self.wrt.name], point.sizes)
        return torch.zeros_like(at) if passed.gradient is None else passed.gradient

    def run(self, values: Values, point: Point) -> BackwardPass:
        """Return what forward and backward give, and do, at a point; they get copies of everything.

        Raises EvaluationError with the error of forward.
        """
        inputs = _Inputs.copy(self.code, values, point, self.needed)
        cotangent = values[self.cotangent.name]
        given = cotangent.clone()
        with torch.enable_grad():
            value = self.code.call_with(inputs.given)
            faults = [f"Its forward changes its input {name} in place." for name in inputs.find_changed()]
            passed = self._pull_back(value, given, inputs)
        changed = [f"its input {name}" for name in ([] if faults else inputs.find_changed())]
        changed += [] if torch.equal(given, cotangent) else [self.cotangent.name]
        return replace(passed, faults=(*faults, *(f"Its backward changes {what} in place." for what in changed)))

    def _pull_back(self, value: Tensor, cotangent: Tensor, inputs: _Inputs) -> BackwardPass:
        if value.numel() != cotangent.numel():
            raise EvaluationError(f"{self.code.name} returned the shape {tuple(value.shape)}, not that of the formula")
        if not value.requires_grad:
            return BackwardPass(None)
        at, node = inputs.find(self.wrt.name)
        returned = _record_returned(value, node)
        try:
            gradient = torch.autograd.grad(value, at, cotangent.reshape(value.shape), allow_unused=True)[0]
        except Exception as error:
            permuted = next((one for one in returned if _find_axes(one, at)), None)
            told = tell_error(f"backward of {self.code.name}", error) if permuted is None else None
            return BackwardPass(permuted, tuple(returned), error=told)
        return BackwardPass(gradient, tuple(returned))


@dataclass(frozen=True)
class _Inputs:
    """The inputs of one pass: the leaves by whose names torch differentiates, and the copies that the function gets."""

    names: tuple[str, ...]
    leaves: tuple[Tensor, ...]
    given: tuple[Tensor, ...]
    nodes: tuple[Node | None, ...]

    @classmethod
    def copy(cls, code: Code, values: Values, point: Point, needed: frozenset[str]) -> _Inputs:
        names = tuple(symbol.name for symbol in code.parameters)
        arguments = code.copy_arguments(values, point.sizes)
        leaves = tuple(one.requires_grad_(name in needed) for name, one in zip(names, arguments, strict=True))
        given = tuple(leaf.clone() for leaf in leaves)
        return cls(names, leaves, given, tuple(copy.grad_fn for copy in given))

    def find(self, name: str) -> tuple[Tensor, Node | None]:
        """Return the leaf of a name, and the node from which its copy comes."""
        place = self.names.index(name)
        return self.leaves[place], self.nodes[place]

    def find_changed(self) -> list[str]:
        """Return the inputs that are not as they were.  One that torch was told of has another node, and may change."""
        whole = zip(self.names, self.leaves, self.given, self.nodes, strict=True)
        return [
            name for name, leaf, copy, node in whole
            if node is not None and copy.grad_fn is node and not torch.equal(copy.detach(), leaf.detach())
        ]  # fmt: skip


def _record_returned(value: Tensor, node: Node | None) -> list[Tensor]:
    """Return a list that fills, during backward, with what hand-written backwards return for what comes from a node."""
    returned: list[Tensor] = []
    for own in _walk_graph(value.grad_fn):
        if isinstance(own, BackwardCFunction) and any(source is node for source, _ in own.next_functions):
            own.register_prehook(partial(_run_backward, own, node, returned))
    return returned


def _run_backward(own: Any, node: Node | None, returned: list[Tensor], cotangents: Sequence[Tensor]) -> None:
    """Run a hand-written backward once more, by itself, and keep what it returns for what comes from a node."""
    result = own.apply(*(None if one is None else one.clone() for one in cotangents))
    result = result if isinstance(result, tuple) else (result,)
    sources = [source for source, _ in own.next_functions if source is not None]
    wanted = [one for one, is_needed in zip(result, own.needs_input_grad, strict=False) if is_needed]
    returned += [one for one, source in zip(wanted, sources, strict=False) if source is node and one is not None]


def _walk_graph(root: Node | None) -> Iterator[Node]:
    """Yield the nodes of torch's graph below a node, each once."""
    waiting, seen = [root], {None}
    while waiting:
        node = waiting.pop()
        if node not in seen and node is not None:
            seen.add(node)
            yield node
            waiting += [source for source, _ in node.next_functions]


def _find_axes(returned: Tensor, at: Tensor) -> tuple[int, ...]:
    """Return the order of the variable's axes that an array has which is not of its shape, () where there is none."""
    shape, orders = tuple(returned.shape), permutations(range(at.ndim))
    if shape == at.shape or sorted(shape) != sorted(at.shape):
        return ()
    return next(axes for axes in orders if tuple(at.shape[axis] for axis in axes) == shape)


# --- faults ---------------------------------------------------------------------------------------


def find_faults(
    question: Question, claim: BackwardClaim, *, trials: int, seed: int, dtype: str, device: str
) -> tuple[BackwardClaim, str]:
    """Return the claim with the axes that its backward returns, and what is wrong beside the numbers, "" if nothing is.

    That is what it writes into, and a gradient of another shape or dtype than its input, which torch makes fit.
    """
    with own_modes(dtype, device):
        search = search_points(question, seed, dtype, device)
        for trial in range(trials):
            point = search.find(trial)
            if not isinstance(point, Point):
                break
            try:
                passed = claim.run(point.values, point)
            except EvaluationError:
                break  # said with its reason where it is judged
            at = squeeze(claim.wrt, point.values[claim.wrt.name], point.sizes)
            axes = next(filter(None, (_find_axes(one, at) for one in passed.returned)), ())
            misfits = [] if axes else [text for one in passed.returned if (text := _tell_misfit(one, at, claim.wrt))]
            if faults := [*passed.faults, *misfits]:
                return claim, " ".join(dict.fromkeys(faults))
            claim = replace(claim, axes=axes)
    return claim, ""


def _tell_misfit(returned: Tensor, at: Tensor, wrt: Expression) -> str:
    if returned.shape != at.shape:
        shapes = f"has the shape {tuple(returned.shape)} where {wrt.name} has {tuple(at.shape)}"
        return f"Its gradient {shapes} (here {_write_sizes(wrt, at)})." if at.ndim else f"Its gradient {shapes}."
    if returned.dtype != at.dtype:
        got, wanted = (str(one.dtype).removeprefix("torch.") for one in (returned, at))
        return f"Its gradient is {got} where {wrt.name} is {wanted}."
    return ""


def _write_sizes(wrt: Expression, at: Tensor) -> str:
    return ", ".join(f"{size} = {number}" for size, number in zip(wrt.squeezed_shape, at.shape, strict=True))


def describe_misuse(question: Question, claim: BackwardClaim, *, seed: int, dtype: str, device: str) -> str:
    """Say what a wrong backward does with grad_output that explains it, "" where nothing stands out."""
    with own_modes(dtype, device):
        point = search_points(question, seed, dtype, device).find(0)
        return _describe_misuse(claim, point) if isinstance(point, Point) else ""


def _describe_misuse(claim: BackwardClaim, point: Point) -> str:
    gradient = claim.run(point.values, point).gradient
    if gradient is None:
        return f"It returns no gradient for {claim.wrt.name}."
    name = claim.cotangent.name
    doubled = claim.run({**point.values, name: 2 * point.values[name]}, point).gradient
    if doubled is None or torch.allclose(doubled, 2 * gradient):
        return ""
    if torch.allclose(doubled, gradient):
        return f"It does not use {name}: what it returns is the same whatever {name} is."
    return f"It is not linear in {name}."
