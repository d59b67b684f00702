"""The cases of `tests/cases/*.toml`, and what is true of them: torch's jacobian of the text, arranged by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import matcalc
from matcalc import Derivative
from matcalc.check.points import Point, PointSearch
from matcalc.engine.layout import LAYOUTS
from tests.torch_words import drop, hold, read

FOLDER = Path(__file__).parent / "cases"
TOPICS = ("primitives", "elementwise", "vector", "matrix", "neural", "identities")


@dataclass(frozen=True)
class Case:
    """One expression and what is known of its derivative; the header of textbook.toml says what the fields mean."""

    id: str
    expr: str
    wrt: str
    shapes: dict[str, list[Any]] = field(hash=False)
    domain: dict[str, str] = field(default_factory=dict, hash=False)
    order: int = 1
    source: str = ""
    topic: str = ""
    numerator: str = ""
    denominator: str = ""
    shape_numerator: tuple[str, ...] | None = None
    shape_denominator: tuple[str, ...] | None = None
    layouts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.id

    def closed_form(self, layout: str) -> str:
        return {"numerator": self.numerator, "denominator": self.denominator}.get(layout, "")

    def shape(self, layout: str) -> tuple[str, ...] | None:
        return {"numerator": self.shape_numerator, "denominator": self.shape_denominator}.get(layout)


@cache
def read_cases() -> tuple[Case, ...]:
    """Every case of every file; an id that stands twice is a mistake."""
    cases = []
    for path in sorted(FOLDER.glob("*.toml")):
        if path.stem.startswith(("written", "meanings")):  # tests/written.py and tests/check/test_meaning.py judge them
            continue
        for table in tomllib.loads(path.read_text(encoding="utf-8")).get("case", []):
            table |= {key: tuple(map(str, table[key])) for key in table if key.startswith("shape_")}
            table["layouts"] = tuple(table.get("layouts", ()))
            cases.append(Case(topic=path.stem, **table))
    assert len({case.id for case in cases}) == len(cases)
    return tuple(cases)


@cache
def derive_case(case: Case, layout: str = "numerator") -> Derivative:
    """The derivative of a case; the numerator layout is derived, the others are its arrangements."""
    if layout != "numerator":
        return derive_case(case).in_layout(layout)
    return matcalc.derive(case.expr, case.wrt, shapes=case.shapes, assume=case.domain, order=case.order)


# --- points and truth ----------------------------------------------------------------------------------------


@cache
def find_point(case: Case, seed: int) -> Point:
    """A random point where the case's expression is defined."""
    derivative = derive_case(case)
    shape = derivative.in_layout("torch").shape
    found = PointSearch(derivative.function, (derivative.expression, derivative.wrt), seed=seed, shape=shape).find(0)
    assert isinstance(found, Point), f"no point for {case.id}: {found.reason}"
    return found


def read_text(case: Case, text: str, seed: int, **moved: Tensor) -> Tensor:
    """The value of a text at the case's point, read by Python with the words written in torch."""
    point = find_point(case, seed)
    functions = {name: _held(function) for name, function in point.functions.items()}
    return read(text, {**functions, "D": _differentiate_abstract, **point.values, **moved}, point.sizes)


def _held(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: hold(function(drop(hold(x))))


def _differentiate_abstract(function: Callable[[Tensor], Tensor], x: Tensor, order: int = 1) -> Tensor:
    """D(u, x) and D(u, x, 2): in numerator layout, held as every array is."""
    at = drop(hold(x))
    torch_order = differentiate(lambda moved: drop(function(moved)), at, order)
    return hold(arrange(torch_order, torch_order.ndim - order * at.ndim, at.ndim, "numerator"))


@cache
def true_jacobian(case: Case, seed: int) -> Tensor:
    """The derivative of the text in torch's order of axes: S_Y + order * S_X."""
    at = find_point(case, seed).values[case.wrt]

    def function(x: Tensor) -> Tensor:
        return drop(read_text(case, case.expr, seed, **{case.wrt: x.reshape(at.shape)}))

    return differentiate(function, drop(at), case.order)


def differentiate(function: Callable[[Tensor], Tensor], at: Tensor, order: int) -> Tensor:
    inner = function if order == 1 else lambda x: differentiate(function, x, order - 1)
    return torch.autograd.functional.jacobian(inner, at, create_graph=True)


def true_derivative(case: Case, layout: str, seed: int) -> Tensor:
    """The truth in a layout."""
    truth, rank = true_jacobian(case, seed).detach(), drop(find_point(case, seed).values[case.wrt]).ndim
    return arrange(truth, truth.ndim - case.order * rank, rank, layout)


def arrange(tensor: Tensor, rank_y: int, rank_x: int, layout: str) -> Tensor:
    """Bring S_Y + order * S_X to the order of a layout; vec stacks columns."""
    count = tensor.ndim
    if layout == "torch" or (layout == "mixed" and not rank_y):
        return tensor
    if layout == "vec":
        split = count - rank_x
        axes = [*reversed(range(split)), *reversed(range(split, count))]
        sides = [prod(side) for side in (tensor.shape[:split], tensor.shape[split:]) if side]
        return tensor.permute(axes).reshape(sides)
    blocks = [range(k, k + rank_x) for k in range(rank_y, count, rank_x)] if rank_x else []
    axes = [*range(rank_y), *(axis for block in blocks for axis in reversed(block))]
    return tensor.permute(axes[::-1] if layout == "denominator" else axes)


def error_of(value: Tensor, truth: Tensor) -> float:
    """The largest error relative to the largest true entry, with a floor for what is exactly zero."""
    value = drop(hold(value)).detach()
    if value.shape != truth.shape:
        return float("inf")
    scale = max(float(truth.abs().max()), 1e-4)
    return float((value - truth).abs().max()) / scale


__all__ = ["FOLDER", "LAYOUTS", "TOPICS", "Case", "arrange", "derive_case", "error_of", "find_point", "read_cases",
           "read_text", "true_derivative", "true_jacobian"]  # fmt: skip
