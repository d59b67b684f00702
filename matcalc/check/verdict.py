"""Expression and claimed derivative -> a verdict: agrees, differs, or could not check, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.expression import Expression
from matcalc.language.sizes import UNIT, Shape, drop_units, write_shape

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.sample import Point, PointSearch

AGREES, DIFFERS, COULD_NOT_CHECK = "agrees", "differs", "could not check"
LAYOUTS = ("numerator", "denominator", "mixed", "torch", "vec")
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}
ROUNDING = {"float64": 1e-13, "float32": 1e-6}
MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


@dataclass(frozen=True)
class Worst:
    """The entry with the largest error: its index, the true value, the claimed one, and the point's number."""

    index: tuple[int, ...]
    expected: float
    got: float
    point: int


@dataclass(frozen=True)
class CheckReport:
    """What the judge found; true only where the claim agrees with the truth at one point or more."""

    verdict: str
    reasons: tuple[str, ...] = ()
    max_error: float | None = None
    points: int = 0
    seed: int = 0
    layout: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    worst: Worst | None = None
    message: str = ""

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        plain = asdict(self)
        return plain | {"reasons": list(self.reasons), "worst": plain["worst"] and self._worst_to_dict()}

    def _worst_to_dict(self) -> dict[str, Any]:
        assert self.worst is not None
        return asdict(self.worst) | {"index": list(self.worst.index)}


@dataclass(frozen=True)
class Comparison:
    """Truth and claim at one point: the relative error and the entry where it is largest."""

    error: float
    worst: Worst
    point: Point


def judge(
    expression: Expression,
    claim: Expression,
    wrt: Expression,
    *,
    layout: str = "numerator",
    order: int = 1,
    trials: int = 3,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    abstract: Mapping[str, Shape] | None = None,
) -> CheckReport:
    """Return whether claim is the derivative of expression by wrt in that layout, tried at random points.

    The truth is torch.autograd.functional.jacobian of the expression.  `abstract` is accepted for the
    shapes of abstract functions, which the nodes carry already.  Raises DeclarationError for an unknown
    layout or dtype; everything else that goes wrong is the verdict "could not check".
    """
    _check_options(layout, dtype)
    settings: dict[str, Any] = {"seed": seed, "layout": layout}
    shape = layout_shape(expression.dropped_shape, wrt.dropped_shape, layout, order)
    if not same_shape(claim.dropped_shape, shape):
        written = f"the claim has shape {write_shape(claim.dropped_shape)}"
        message = f"differs: {written}, but the {layout} layout has shape {write_shape(shape)}"
        return CheckReport(DIFFERS, ("shape",), message=message, **settings)
    try:
        import torch  # noqa: F401
    except ImportError:
        return could_not_check("torch is not installed", **settings)
    if trials < 1:
        return could_not_check("no points were asked for", **settings)
    return _judge_at_points(expression, claim, wrt, layout, order, trials, seed, dtype, device)


def _check_options(layout: str, dtype: str) -> None:
    for what, given, known in (("layout", layout, LAYOUTS), ("dtype", dtype, tuple(TOLERANCES))):
        if given not in known:
            raise DeclarationError(f"{given!r} is not a {what}", advice="use one of " + ", ".join(known))


def layout_shape(shape_y: Shape, shape_x: Shape, layout: str, order: int = 1) -> Shape:
    """Return the shape of a derivative in a layout, without unit axes.

    >>> from matcalc.language.sizes import Size
    >>> m, n, k = (Size.of(letter) for letter in "mnk")
    >>> layout_shape((m,), (n, k), "numerator"), layout_shape((m,), (n, k), "vec")
    ((m, k, n), (m, n*k))
    """
    if layout == "torch" or (layout == "mixed" and not shape_y):
        return shape_y + order * shape_x
    if layout == "vec":
        rows, columns = shape_y + (order - 1) * shape_x, shape_x
        return drop_units((math.prod(rows, start=UNIT), math.prod(columns, start=UNIT)))
    numerator = shape_y + order * shape_x[::-1]
    return numerator[::-1] if layout == "denominator" else numerator


def same_shape(left: Shape, right: Shape) -> bool:
    """Return whether two shapes without unit axes are the same."""
    return left == right


def could_not_check(reason: str, **settings: Any) -> CheckReport:
    """Return the report of a check that could not be made."""
    return CheckReport(COULD_NOT_CHECK, (reason,), message=f"could not check: {reason}", **settings)


# --- points ---------------------------------------------------------------------------------------


def _judge_at_points(
    expression: Expression, claim: Expression, wrt: Expression,
    layout: str, order: int, trials: int, seed: int, dtype: str, device: str,
) -> CheckReport:  # fmt: skip
    import torch

    from matcalc.check.sample import PointSearch

    shape = layout_shape(expression.dropped_shape, wrt.dropped_shape, "torch", order)
    search = PointSearch(
        expression, (claim, wrt), seed=seed, shape=shape, dtype=getattr(torch, dtype), device=device
    )  # fmt: skip
    comparisons: list[Comparison] = []
    reason = ""
    for trial in range(trials):
        try:
            found = _compare_at_some_point(search, trial, expression, claim, wrt, layout, order, dtype)
        except (MatcalcError, RuntimeError) as error:
            found = getattr(error, "reason", str(error))
        if isinstance(found, str):
            reason = found
            break
        comparisons.append(found)
    return summarize(comparisons, reason, seed, layout, dtype, "torch.autograd.functional.jacobian")


def _compare_at_some_point(
    search: PointSearch, trial: int,
    expression: Expression, claim: Expression, wrt: Expression, layout: str, order: int, dtype: str,
) -> Comparison | str:  # fmt: skip
    """Return the comparison at the first point where truth and claim are finite, or why there is none."""
    from matcalc.check.conditions import Trouble, names_below
    from matcalc.check.evaluate import evaluate
    from matcalc.check.jacobian import arrange, true_derivative
    from matcalc.check.sample import NoPoint

    while not isinstance(point := search.find(trial), NoPoint):
        too_large = _exceeds_bounds(expression, wrt, order, point)
        if too_large:
            return too_large
        truth = true_derivative(expression, wrt, point.values, point.sizes, point.functions, order)
        truth = arrange(truth, len(expression.dropped_shape), len(wrt.dropped_shape), order, layout)
        try:
            got = evaluate(claim, point.values, point.sizes, point.functions).detach().reshape(truth.shape)
        except MatcalcError as error:
            search.reject(Trouble(f"the claim cannot be evaluated: {error.reason}", names_below(claim)))
            continue
        comparison = compare(truth, got, point, trial + 1, dtype)
        if comparison is not None:
            return comparison
        search.reject(Trouble("the derivative or the claim is not finite", names_below(claim)))
    return point.reason


def _exceeds_bounds(expression: Expression, wrt: Expression, order: int, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    of_y = math.prod(size.value(point.sizes) for size in expression.dropped_shape)
    of_x = math.prod(size.value(point.sizes) for size in wrt.dropped_shape)
    if of_y * of_x**order > MAX_ENTRIES:
        return f"the derivative has {of_y * of_x**order} entries, more than {MAX_ENTRIES}"
    if of_y * of_x ** (order - 1) > MAX_PASSES:
        return f"the derivative needs {of_y * of_x ** (order - 1)} passes of autograd, more than {MAX_PASSES}"
    return None


def compare(truth: Tensor, got: Tensor, point: Point, number: int, dtype: str) -> Comparison | None:
    """Return how far apart two tensors of one shape are, or None where one is not finite.

    The error is relative to the largest true entry, with a floor for derivatives that are exactly zero:
    rounding of the largest value met on the way counts as no error.
    """
    difference = (truth - got).abs()
    if not bool(difference.isfinite().all()):
        return None
    floor = ROUNDING[dtype] * point.largest / TOLERANCES[dtype]
    error = float(difference.amax()) / max(float(truth.abs().amax()), floor)
    place = _unravel(int(difference.reshape(-1).argmax()), tuple(truth.shape))
    worst = Worst(place, float(truth[place]), float(got[place]), number)
    return Comparison(error, worst, point)


def _unravel(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        place, rest = divmod(place, size)
        index.append(rest)
    return tuple(reversed(index))


# --- summary --------------------------------------------------------------------------------------


def summarize(
    comparisons: list[Comparison], reason: str, seed: int, layout: str, dtype: str, truth: str
) -> CheckReport:
    """Return the verdict over all points; without a single point there is none."""
    if not comparisons:
        return could_not_check(reason, seed=seed, layout=layout)
    worst = max(comparisons, key=lambda comparison: comparison.error)
    agrees = worst.error <= TOLERANCES[dtype]
    message = _write_agreement(worst, comparisons, truth) if agrees else _write_difference(worst)
    return CheckReport(
        AGREES if agrees else DIFFERS, () if agrees else ("value",), worst.error, len(comparisons), seed, layout,
        worst.point.sizes, worst.point.domains, None if agrees else worst.worst, message,
    )  # fmt: skip


def _write_agreement(worst: Comparison, comparisons: list[Comparison], truth: str) -> str:
    count = f"{len(comparisons)} point" + ("s" if len(comparisons) != 1 else "")
    return f"agrees with {truth} at {count}, largest relative error {worst.error:.1e}"


def _write_difference(comparison: Comparison) -> str:
    worst = comparison.worst
    entry = f"entry [{', '.join(map(str, worst.index))}]" if worst.index else "the value"
    return (
        f"differs: {entry} should be {worst.expected:.6g}, not {worst.got:.6g} "
        f"(point {worst.point}, relative error {comparison.error:.1e})"
    )
