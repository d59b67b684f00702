"""Whether a point is a fair one: every function within its domain, away from kinks, nothing near singular."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from matcalc.check.torch_values import draw_unit, evaluate_all, take_symmetric_part
from matcalc.language.expression import Expression, walk
from matcalc.language.sizes import Shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule

if TYPE_CHECKING:
    from matcalc.check.points import Point

KINK_DISTANCE = 1e-2
POLE_DISTANCE = 1e-3
WORST_CONDITION = 1e3
LARGEST = 1e6
SMALLEST = 1e-10
_NUDGE = 1e-6
_BY_CHANCE = "nearly equal"
_FADING = ("exp", "sigmoid", "softplus")


@dataclass(frozen=True)
class Trouble:
    """Why a point will not do, and the names whose domain could cure it; no names where another draw does."""

    reason: str
    names: tuple[str, ...] = ()


def names_below(node: Expression) -> tuple[str, ...]:
    """Return the variables and abstract functions that a node depends on."""
    return tuple(part.name for part in walk(node) if part.op in ("symbol", "abstract", "abstract_derivative"))


def find_trouble(
    expression: Expression, point: Point, largest: float = LARGEST
) -> tuple[Trouble | None, float]:
    """Return the first condition that a node violates at a point, if any, and the largest magnitude of a node.

    A node may not be more than `largest` times as large as what is constant.  Raises EvaluationError where a node
    cannot be evaluated at all.
    """
    values = evaluate_all((expression,), point.values, point.sizes, point.functions)
    inspection = _Inspection(values, point, largest)
    for node in values:
        reason = inspection.inspect(node)
        if reason is not None:
            return Trouble(reason, () if reason.endswith(_BY_CHANCE) else names_below(node)), inspection.largest
    return None, inspection.largest


def find_hidden_kink(expression: Expression, point: Point) -> str | None:
    """Return the kink on which a point lies only by the structure of a variable, as relu of a skew matrix, if any.

    There is no derivative there: it says how each entry moves on its own, and then the kink is left.
    """
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: value + _NUDGE * draw_unit(value.shape, generator).to(value)
        for name, value in point.values.items()
    }
    trouble, _ = find_trouble(expression, replace(point, values=moved))
    return None if trouble is None else trouble.reason


class _Inspection:
    """The values of all nodes at one point, and the conditions on them."""

    def __init__(self, values: dict[Expression, Tensor], point: Point, bound: float) -> None:
        self.values, self.point, self.bound = values, point, bound
        self.largest = self.limit = 1.0
        self.variable: set[Expression] = set()

    def inspect(self, node: Expression) -> str | None:
        """Return what is wrong with the node's value or its operands' values, or None; operands come first."""
        if node.op in ("symbol", "abstract", "abstract_derivative") or not self.variable.isdisjoint(node.args):
            self.variable.add(node)
        return self._inspect_node(node, [self.values[arg] for arg in node.args]) or self._inspect_magnitude(node)

    def _inspect_magnitude(self, node: Expression) -> str | None:
        value = self.values[node]
        if value.dtype == torch.bool:
            return None
        magnitude = float(value.abs().amax())
        if magnitude < SMALLEST and self._fades(node):
            return f"{_describe(node)} is nearly 0"
        if math.isfinite(magnitude) and node not in self.variable:
            self.limit = max(self.limit, magnitude)
        if not magnitude <= self.limit * self.bound:
            return f"{_describe(node)} is not a finite number of moderate size"
        self.largest = max(self.largest, magnitude)
        return None

    def _fades(self, node: Expression) -> bool:
        """Whether a function is nearly 0 only because it fades out there, as exp(-1000): nothing can be seen there."""
        if node.op == "call":
            return node.data[0].name in _FADING
        return node.op == "power" and bool((self.values[node.args[0]].abs() > SMALLEST).any())

    def _inspect_node(self, node: Expression, args: list[Tensor]) -> str | None:
        if node.op == "divide":
            return "a division by 0 or nearly 0" if _reaches_zero(args[1]) else None
        if node.op == "power":
            return self._inspect_power(node, args)
        if node.op == "compare":
            near = _is_kink(args[0] - args[1], args)
            return f"the two sides of {node.data[0]} are {_BY_CHANCE}" if near else None
        return self._inspect_call(node, args) if node.op == "call" else None

    def _inspect_power(self, node: Expression, args: list[Tensor]) -> str | None:
        base, exponent = args
        whole = node.args[1] not in self.variable and exponent.numel() == 1 and float(exponent).is_integer()
        if whole:
            pole = float(exponent) < 0 and _reaches_zero(base)
            return "a negative power of 0 or nearly 0" if pole else None
        return None if bool((base > POLE_DISTANCE).all()) else "a power needs a positive base"

    def _inspect_call(self, node: Expression, args: list[Tensor]) -> str | None:
        rule, axis, _ = node.data
        shapes = tuple(arg.shape for arg in node.args)
        return (
            self._inspect_domain(rule, shapes, args)
            or self._inspect_kinks(rule, shapes, args)
            or _inspect_by_name(rule, axis, args)
            or self._inspect_definition(rule, shapes, args, axis)
        )

    def _inspect_domain(self, rule: Rule, shapes: tuple[Shape, ...], args: list[Tensor]) -> str | None:
        if not rule.domain:
            return None
        values = self._evaluate_text(rule, rule.domain, shapes, args)
        comparison = list(values)[-1]
        left, right = (values[side] for side in comparison.args)
        inside = left - right if comparison.data[0] in (">", ">=") else right - left
        return None if bool((inside > POLE_DISTANCE).all()) else f"{rule.call} needs {rule.domain}"

    def _inspect_kinks(self, rule: Rule, shapes: tuple[Shape, ...], args: list[Tensor]) -> str | None:
        if not rule.kinks or "det(" in rule.kinks:
            return None
        values = self._evaluate_text(rule, rule.kinks, shapes, args)
        distance = values[list(values)[-1]]
        return f"{rule.call}: {rule.kinks} and 0 are {_BY_CHANCE}" if _is_kink(distance, args) else None

    def _inspect_definition(
        self, rule: Rule, shapes: tuple[Shape, ...], args: list[Tensor], axis: int | None
    ) -> str | None:
        """Look inside a function that states no conditions of its own."""
        if not rule.is_definition or rule.domain or rule.kinks or axis is not None:
            return None
        inner = _Inspection(self._evaluate_text(rule, rule.define, shapes, args), self.point, self.bound)
        found = next((reason for reason in map(inner.inspect, inner.values) if reason), None)
        return f"{rule.call}: {found}" if found else None

    def _evaluate_text(
        self, rule: Rule, text: str, shapes: tuple[Shape, ...], args: list[Tensor]
    ) -> dict[Expression, Tensor]:
        values = {parameter.name: value for parameter, value in zip(rule.variables, args, strict=True)}
        return evaluate_all((parse_rule_text(rule, text, shapes),), values, self.point.sizes, self.point.functions)


def _describe(node: Expression) -> str:
    if node.op == "call":
        return str(node.data[0].call)
    return node.name if node.op in ("symbol", "abstract", "abstract_derivative") else f"a value of {node.op}"


def _reaches_zero(value: Tensor) -> bool:
    return not bool((value.abs() > POLE_DISTANCE).all())


def _is_kink(distance: Tensor, args: list[Tensor]) -> bool:
    """Whether an entry is nearer to 0 than a hundredth of the values at hand.

    Exactly 0 is no kink met by chance: it comes from the structure, as in relu(relu(x)), and stays 0 nearby.
    """
    scale = min(1.0, max((float(arg.abs().amax()) for arg in args), default=1.0))
    return bool(((distance.abs() < KINK_DISTANCE * max(scale, 1e-6)) & (distance != 0)).any())


# --- conditions that a text cannot say ------------------------------------------------------------


def _inspect_by_name(rule: Rule, axis: int | None, args: list[Tensor]) -> str | None:
    inverts = "det(" in rule.kinks + rule.domain or (rule.name == "matrix_power" and bool((args[1] < 0).all()))
    if inverts and not _is_well_conditioned(args[0]):
        return f"{rule.call} is nearly singular"
    inspect = _BY_NAME.get(rule.name)
    if inspect is None or inspect(args[0], axis):
        return None
    return f"{rule.call}: two of its largest entries, eigenvalues, or a singular value and 0, are {_BY_CHANCE}"


def _is_well_conditioned(x: Tensor) -> bool:
    return bool(torch.linalg.cond(x) < WORST_CONDITION)


def _has_unique_largest(x: Tensor, axis: int | None) -> bool:
    entries = x.reshape(1, -1) if axis is None else x.movedim(axis, -1)
    if entries.shape[-1] < 2:
        return True
    first, second = entries.topk(2, dim=-1).values.unbind(-1)
    gap = first - second
    return bool(((gap > KINK_DISTANCE * entries.abs().amax()) | (gap == 0)).all())


def _has_full_rank(x: Tensor, axis: int | None) -> bool:
    singular = torch.linalg.svdvals(x)
    return bool(singular[-1] > KINK_DISTANCE * singular[0])


def _has_distinct_singular_values(x: Tensor, axis: int | None) -> bool:
    singular = torch.linalg.svdvals(x)
    gaps = singular[:-1] - singular[1:]
    return bool((gaps > KINK_DISTANCE * singular[0]).all()) and _has_full_rank(x, axis)


def _has_distinct_eigenvalues(x: Tensor, axis: int | None) -> bool:
    values = torch.linalg.eigvalsh(take_symmetric_part(x))
    return bool((values.diff() > KINK_DISTANCE * values.abs().amax()).all())


def _has_square_root(x: Tensor, axis: int | None) -> bool:
    """Whether no eigenvalue is near the negative axis, where the principal root has no derivative."""
    angles = torch.linalg.eigvals(x).angle().abs()
    return bool((angles < 2.8).all()) and _is_well_conditioned(x)


_BY_NAME: dict[str, Callable[[Tensor, int | None], bool]] = {
    "max": _has_unique_largest,
    "min": lambda x, axis: _has_unique_largest(-x, axis),
    "largest": _has_unique_largest,
    "smallest": lambda x, axis: _has_unique_largest(-x, axis),
    "pinv": _has_full_rank,
    "norm_nuc": _has_distinct_singular_values,
    "polar": _has_distinct_singular_values,
    "norm_spectral": _has_distinct_singular_values,
    "leading_outer": _has_distinct_singular_values,
    **dict.fromkeys(("svdvals", "svd_left", "svd_right", "trailing_outer", "cond"), _has_distinct_singular_values),
    **dict.fromkeys(("eigvalsh", "eigvecsh"), _has_distinct_eigenvalues),
    "logm": _has_square_root,
    "logm_jacobian": _has_square_root,
    "sqrtm": _has_square_root,
    "sqrtm_jacobian": _has_square_root,
}
