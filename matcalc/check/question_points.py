"""The points at which a question can be asked, and what is too large to be asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from matcalc.check.question import Question

if TYPE_CHECKING:
    from matcalc.check.sample import Point, PointSearch

MAX_ENTRIES = 10**6
MAX_PASSES = 20_000


def search_points(
    question: Question, seed: int, dtype: str, device: str, symmetric: Iterable[str] = ()
) -> PointSearch:
    """Return the search for points at which the question can be asked, some matrices symmetric where asked."""
    import torch

    from matcalc.check.sample import PointSearch

    return PointSearch(
        question.function.root, question.names,
        seed=seed, shape=question.shape("torch"), dtype=getattr(torch, dtype), device=device, symmetric=symmetric,
    )  # fmt: skip


def find_excess(question: Question, point: Point) -> str | None:
    """Return why a derivative is too large to be checked: too many entries or too many passes of autograd."""
    entries = math.prod(size.value(point.sizes) for size in question.shape("torch"))
    passes = entries // math.prod(size.value(point.sizes) for size in question.wrt.dropped_shape)
    if entries > MAX_ENTRIES:
        return f"the derivative has {entries} entries, more than {MAX_ENTRIES}"
    if passes > MAX_PASSES:
        return f"the derivative needs {passes} passes of autograd, more than {MAX_PASSES}"
    return None
