"""What a claim is that no single reading explains: the diagonal alone, rows stacked for columns, a scalar off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from matcalc.check.evaluate_nodes import evaluate
from matcalc.check.factor import name_factor
from matcalc.check.question import Question
from matcalc.check.samples import Sample
from matcalc.errors import MatcalcError
from matcalc.language.expression import Expression, symbols, walk

MAX_SCALARS = 40
POWERS = (1, -1, 2, -2)


@dataclass(frozen=True)
class Hint:
    """One thing that a reader should know of a wrong claim.

    `kind` is "diagonal" (the claim is the diagonal of the derivative), "matrix" (the derivative is its diagonal),
    "constant" (each entry of the derivative is the claim), "rows" (right if vec stacked rows), or "scalar": the
    claim is the derivative times coefficient*scalar**power, or times a scalar without a name.
    """

    kind: str
    scalar: Expression | None = None
    power: int = 1
    coefficient: int | float | str | None = 1


def find_hints(question: Question, samples: Sequence[Sample], truths: Sequence[Tensor]) -> tuple[Hint, ...]:
    """Return the hints that hold at every sample."""
    if not samples:
        return ()
    found = [Hint(kind) for kind, holds in _KINDS.items() if _holds(holds, samples, truths)]
    if question.layout == "vec" and question.order == 1 and _holds_of_rows(samples):
        found.append(Hint("rows"))
    return tuple(found or _find_scalar(question, samples, truths))


Test = Callable[[Tensor, Tensor], Tensor | None]


def _holds(test: Test, samples: Sequence[Sample], truths: Sequence[Tensor]) -> bool:
    """Whether the claim, rewritten as the test says, is the truth; the test gives None where it does not apply."""
    rewritten = [test(sample.claim, truth) for sample, truth in zip(samples, truths, strict=True)]
    return all(
        got is not None and sample.is_equal(got, truth)
        for sample, got, truth in zip(samples, rewritten, truths, strict=True)
    )


_KINDS: dict[str, Test] = {
    "diagonal": lambda claim, truth: torch.diag(claim) if claim.ndim == 1 and truth.ndim == 2 else None,
    "matrix": lambda claim, truth: (
        torch.diag(claim) if truth.ndim == 1 and claim.ndim == 2 and _is_diagonal(claim) else None
    ),
    "constant": lambda claim, truth: claim.expand(truth.shape) if claim.ndim == 0 and truth.ndim else None,
}


def _is_diagonal(claim: Tensor) -> bool:
    return claim.shape[0] == claim.shape[1] and bool((claim == torch.diag(torch.diag(claim))).all())


def _holds_of_rows(samples: Sequence[Sample]) -> bool:
    """Whether the claim is the derivative with rows stacked in vec, as NumPy's reshape does."""
    return all(
        sample.claim.numel() == sample.truth.numel()
        and sample.is_equal(sample.claim, sample.truth.reshape(sample.claim.shape))
        for sample in samples
    )


# --- a scalar factor ------------------------------------------------------------------------------


def _find_scalar(question: Question, samples: Sequence[Sample], truths: Sequence[Tensor]) -> Iterator[Hint]:
    """Yield what scalar the claim is off by, where at every point it is some number times the derivative."""
    ratios = []
    for sample, truth in zip(samples, truths, strict=True):
        square = float((truth * truth).sum())
        if not square or sample.claim.shape != truth.shape:
            return
        ratios.append(float((truth * sample.claim).sum()) / square)
        if not sample.is_equal(sample.claim, ratios[-1] * truth) or not ratios[-1]:
            return
    scalars = [(node, values) for node in _list_scalars(question) if (values := _evaluate_scalar(node, samples))]
    named = (_name_scalar(*scalar, power, ratios, samples) for scalar, power in product(scalars, POWERS))
    found = next((hint for hint in named if hint is not None), None)
    # Of a single number every claim is some number times it: that says nothing.
    if found or truths[0].ndim:
        yield found or Hint("scalar")


def _list_scalars(question: Question) -> list[Expression]:
    """Return the scalars in function and claim that are no numbers, the shortest first."""
    roots = (question.function.root, *question.names)
    found = [node for node in walk(*roots) if not node.dropped_shape and symbols(node)]
    return sorted(found, key=lambda node: sum(1 for _ in walk(node)))[:MAX_SCALARS]


def _evaluate_scalar(node: Expression, samples: Sequence[Sample]) -> list[float]:
    """Return its value at every sample; nothing where it has none, or is 0."""
    try:
        values = [float(evaluate(node, one.point.values, one.point.sizes, one.point.functions)) for one in samples]
    except MatcalcError:
        return []
    return values if all(values) else []


def _name_scalar(
    node: Expression, values: Sequence[float], power: int, ratios: Sequence[float], samples: Sequence[Sample]
) -> Hint | None:
    rest = [ratio / value**power for ratio, value in zip(ratios, values, strict=True)]
    coefficient = name_factor(rest, [sample.point.sizes for sample in samples])
    return None if coefficient is None else Hint("scalar", node, power, coefficient)
