"""A claim that differs -> every reading that explains it: another layout, a transpose, a factor, a missing term, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor

from matcalc.check.compare import TOLERANCES
from matcalc.check.explain import Explanation, explain, explain_missing_term
from matcalc.check.factors import ClaimFactor, find_factor
from matcalc.check.forks import Fork, find_fork
from matcalc.check.modes import own_modes
from matcalc.check.question import ExpressionClaim, ExpressionFunction, Question
from matcalc.check.repairs import confirm_repairs
from matcalc.check.report import REASONS
from matcalc.check.terms import ROOM, Sample, TermReading, read_terms, sample_at, take_samples
from matcalc.check.torch_values import evaluate
from matcalc.errors import MatcalcError
from matcalc.language.declarations import MEANINGS, list_meanings
from matcalc.language.expression import Expression, symbol, symbols, walk
from matcalc.language.rewrite import replace as replace_nodes
from matcalc.language.sizes import Shape

# "mixed" is always one of these, so it would only say twice what another says.
READ_LAYOUTS = ("numerator", "denominator", "torch", "vec")
SAMPLES = 5
# A factor so close to one is a rounded number, not a mistake of the derivation.
NEARLY_ONE = 1e-4
SYMMETRIC_SAMPLES = 2
MAX_PERMUTED_AXES = 6
MAX_SYMMETRISED = 5
MAX_SUMMING = 4
SYMMETRIC_KINDS = frozenset({
    "symmetric", "posdef", "diagonal", "skew", "lower-triangular", "upper-triangular", "orthogonal",
})  # fmt: skip

_Derive = Callable[[str], Expression | None]


@dataclass(frozen=True)
class Diagnosis:
    """The readings that hold of a claim; `reasons` names them, or "other" where none does.

    `meanings` are those of a derivative by a structured matrix in which the claim is right, `assumed` the one in which
    it would be were the variable symmetric.  `summing` names the arrays whose entries, rows or columns must sum to 1
    for the claim to be right.
    `axes` is the permutation that makes the claim right; `elsewhere` says, where nothing else fits, what the
    claim would be in another layout: a factor or a missing term of the derivative there.  `confirmed` says that
    the derived formula has torch's value at every sample, so that it may be shown.  `nearly` says that the claim is
    off by no more than rounded numbers make; every other reading would hold as nearly, and mean nothing.  `explanation`
    names the slips that make the claim, `fork` says where a branch is missed, `repairs` are the formulas that it
    becomes as it is advised, each of which agrees.
    """

    reasons: tuple[str, ...]
    fits: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    axes: tuple[int, ...] = ()
    factor: ClaimFactor | None = None
    terms: TermReading = field(default_factory=TermReading)
    symmetric: tuple[str, ...] = ()
    summing: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[tuple[str, Diagnosis], ...] = ()
    confirmed: bool = False
    hints: tuple[Hint, ...] = ()
    assumed: str = ""
    nearly: bool = False
    explanation: Explanation | None = None
    repairs: tuple[Expression, ...] = ()
    fork: Fork | None = None


def diagnose(
    question: Question, derive: _Derive, *, seed: int = 0, dtype: str = "float64", device: str = "cpu"
) -> Diagnosis:
    """Return every reading that holds at random points of a claim that differs.

    `derive` gives the derivative as an expression in a layout, or None; its terms are those that may be missing.
    It is used only where it agrees with torch at the same points.
    """
    with own_modes(dtype, device):
        return _diagnose(question, derive, {"seed": seed, "dtype": dtype, "device": device})


def _diagnose(question: Question, derive: _Derive, settings: dict[str, Any]) -> Diagnosis:
    samples = take_samples(question, SAMPLES, **settings)
    reader = _Reader(question, samples, derive, settings)
    # Right as it stands for the tolerance of a reading, if not for that of the verdict.
    found = None if reader.holds(question.layout) else reader.read(question.layout)
    if found is None or _is_nearly_one(found.factor):
        fork = find_fork(question, **settings)
        return Diagnosis(("other",), confirmed=reader.confirm(question.layout), nearly=True, fork=fork)
    if set(found.reasons) <= {"other"} and (fork := find_fork(question, **settings)):
        return replace(found, fork=fork)
    if set(found.reasons) <= {"shape", "other"}:
        found = _look_elsewhere(reader, found)
        if not (found.elsewhere or found.hints or found.assumed):
            explanation = reader.explain()
            # Whose term has a wrong factor is told the term already; code has none that its writer would know.
            repeats = explanation is not None and explanation.slips[0].kind == "through" and bool(found.terms.weighted)
            is_text = question.claim.root is not None
            found = replace(found, explanation=None if repeats and is_text else explanation)
    elif "missing-term" in found.reasons:
        found = replace(found, explanation=explain_missing_term(question, samples))
    return confirm_repairs(found, question, **settings)


def _is_nearly_one(factor: ClaimFactor | None) -> bool:
    return factor is not None and not factor.is_named and abs(float(factor.coefficient) - 1) < NEARLY_ONE


def _look_elsewhere(reader: _Reader, found: Diagnosis) -> Diagnosis:
    """Add hints, and what the claim would be in the other layouts, where one fault alone does not explain it."""
    readings = []
    for layout in reader.list_others(reader.question.layout):
        if reader.fits_shape(layout):
            reading = reader.read_value(layout)
            if set(reading.reasons) - {"other"}:
                readings.append((layout, reading))
    hints = find_hints(reader.question, reader.samples, reader.arrange(reader.question.layout))
    return replace(found, elsewhere=tuple(readings), hints=hints, assumed=reader.find_assumed(reader.question.layout))


class _Reader:
    """The samples of one question, read in one layout or another."""

    def __init__(self, question: Question, samples: list[Sample], derive: _Derive, settings: dict[str, Any]) -> None:
        self.question, self.samples, self.derive, self.settings = question, samples, derive, settings

    def list_others(self, layout: str) -> list[str]:
        """Return the layouts beside one in which the claim may be meant."""
        return [other for other in READ_LAYOUTS if other != layout] if self.question.has_layouts else []

    def holds(self, layout: str) -> bool:
        """Whether the claim is right at every sample in a layout."""
        return self.fits_shape(layout) and self._holds(self.samples, layout)

    def fits_shape(self, layout: str) -> bool:
        """Whether the claim has the shape of the derivative in a layout."""
        return self.question.shape(layout) == self.question.claim.shape

    def read(self, layout: str) -> Diagnosis:
        """Return all readings of the claim in the layout that was asked for."""
        is_fitting = self.fits_shape(layout)
        by_value = self.read_value(layout) if is_fitting else Diagnosis(("shape",), confirmed=self.confirm(layout))
        fits = tuple(other for other in self.list_others(layout) if self.holds(other))
        axes = self._find_axes(layout)
        meanings = self._find_meanings(layout)
        held = {"layout": fits, "transpose": axes, "meaning": meanings}
        found = {*by_value.reasons, *(reason for reason, holds in held.items() if holds)}
        if len(found) > 1:
            found.discard("other")
        reasons = tuple(reason for reason in REASONS if reason in found)
        return replace(by_value, reasons=reasons, fits=fits, axes=axes, meanings=meanings)

    def read_value(self, layout: str) -> Diagnosis:
        """Return the readings of a claim whose shape is right in a layout: factor, terms, symmetric matrices."""
        if not self.samples:
            return Diagnosis(("other",))
        truths = self.arrange(layout)
        confirmed = self.confirm(layout)
        factor = self._find_factor(truths)
        derived = self._derive_like_claim(layout) if confirmed else None
        terms = read_terms(self.samples, truths, self.question.claim.root, derived)
        symmetric = self._find_symmetric(layout)
        summing = self._find_summing(layout)
        held = {"factor": factor is not None, "missing-term": terms.missing, "extra-term": terms.extra,
                "symmetric-only": symmetric, "sum-only": summing}  # fmt: skip
        reasons = tuple(reason for reason in REASONS if held.get(reason)) or ("other",)
        return Diagnosis(
            reasons, factor=factor, terms=terms, symmetric=symmetric, summing=summing, confirmed=confirmed
        )

    # --- other layouts ----------------------------------------------------------------------------

    def _find_axes(self, layout: str) -> tuple[int, ...]:
        """Return the permutation of the claim's axes that makes it right, or ()."""
        given, expected = self.question.claim.shape, self.question.shape(layout)
        rank = len(given)
        if not self.samples or rank != len(expected) or not 2 <= rank <= MAX_PERMUTED_AXES:
            return ()
        truths = self.arrange(layout)
        # But for the identity, the full reversal first: it is the plainest.
        reversal = tuple(reversed(range(rank)))
        for axes in sorted([*permutations(range(rank))][1:], key=lambda axes: axes != reversal):
            if tuple(given[axis] for axis in axes) == expected and all(
                sample.is_equal(sample.claim.permute(axes), truth)
                for sample, truth in zip(self.samples, truths, strict=True)
            ):
                return axes
        return ()

    def _find_meanings(self, layout: str) -> tuple[str, ...]:
        """Return the other meanings of a derivative by a structured matrix in which the claim is right."""
        known = {meaning for wrt in self.question.by for meaning in list_meanings(wrt)}
        others = [meaning for meaning in MEANINGS if meaning in known and meaning != self.question.meaning]
        return tuple(meaning for meaning in others if self._holds_in(replace(self.question, meaning=meaning), layout))

    def find_assumed(self, layout: str) -> str:
        """Return the meaning in which the claim would be right were the variable symmetric, or ""."""
        question, formula = self.question, self.question.claim.root
        is_text = isinstance(question.function, ExpressionFunction)
        if formula is None or not is_text or question.earlier or not _is_free_square(question.wrt):
            return ""
        variable = symbol(question.wrt.name, question.wrt.shape, question.wrt.data[1] | {"symmetric"})
        table = {question.wrt: variable}
        function = ExpressionFunction(replace_nodes(question.function.root, table))
        claim = ExpressionClaim(replace_nodes(formula, table))
        asked = replace(question, function=function, claim=claim, wrt=variable)
        return next((one for one in MEANINGS[1:3] if self._holds_in(replace(asked, meaning=one), layout)), "")

    def _holds_in(self, asked: Question, layout: str) -> bool:
        """Whether another question has the claim as its answer."""
        if asked.shape(layout) != asked.claim.shape:
            return False
        samples = take_samples(asked, SAMPLES, **self.settings)
        return bool(samples) and all(one.is_equal(one.claim, asked.arrange(one.truth, layout)) for one in samples)

    def _holds(self, samples: Sequence[Sample], layout: str) -> bool:
        """Whether the claim is right at the samples in a layout; without a sample nothing is."""
        arrange = self.question.arrange
        return bool(samples) and all(one.is_equal(one.claim, arrange(one.truth, layout)) for one in samples)

    # --- a factor, symmetric matrices -------------------------------------------------------------

    def _find_factor(self, truths: Sequence[Tensor]) -> ClaimFactor | None:
        ratios = _list_ratios(self.samples, truths)
        if not ratios:
            return None
        tolerance = ROOM * TOLERANCES[truths[0].dtype]
        return find_factor(ratios, [sample.point.sizes for sample in self.samples], tolerance)

    def _find_symmetric(self, layout: str) -> tuple[str, ...]:
        """Return the fewest matrices that must be symmetric for the claim to be right, or ()."""
        found = symbols(self.question.function.root, *self.question.names)
        names = [name for name, symbol in found.items() if _is_free_square(symbol)][:MAX_SYMMETRISED]
        if not names or not self._holds_if_symmetric(names, layout):
            return ()
        fewer = (chosen for count in range(1, len(names)) for chosen in combinations(names, count))
        chosen = next((chosen for chosen in fewer if self._holds_if_symmetric(chosen, layout)), tuple(names))
        samples = take_samples(self.question, SAMPLES, symmetric=chosen, **self.settings)
        return chosen if self._holds(samples, layout) and self._needs_each(chosen, _skew, samples, layout) else ()

    def _holds_if_symmetric(self, names: Sequence[str], layout: str) -> bool:
        return self._holds(take_samples(self.question, SYMMETRIC_SAMPLES, symmetric=names, **self.settings), layout)

    def _needs_each(
        self, names: Iterable[str], breaks: Callable[[Tensor], Tensor], samples: Sequence[Sample], layout: str
    ) -> bool:
        """Whether the claim is wrong at most of the points where it was right, once one of the arrays is changed."""
        for name in names:
            broken = [self._change(sample, name, breaks) for sample in samples]
            if sum(1 for one in broken if one is not None and not self._holds([one], layout)) <= len(samples) / 2:
                return False
        return True

    def _change(self, sample: Sample, name: str, breaks: Callable[[Tensor], Tensor]) -> Sample | None:
        """Return a sample at the same point but for one array, None where there is nothing to be compared."""
        point = replace(sample.point, values={**sample.point.values, name: breaks(sample.point.values[name])})
        return sample_at(self.question, point)

    def _find_summing(self, layout: str) -> tuple[tuple[str, str], ...]:
        """Return the fewest arrays whose rows, or columns, must sum to 1 for the claim to be right, or ().

        Of a vector these are its entries.  The variables of the derivative are free.
        """
        found = symbols(self.question.function.root, *self.question.names)
        moving = {*self.question.arbitrary, *(wrt.name for wrt in self.question.by)}
        names = [name for name, node in found.items() if name not in moving and _may_sum(node)][:MAX_SUMMING]
        for kind in ("rows", "columns") if names else ():
            each = {name: kind if len(found[name].squeezed_shape) > 1 else "entries" for name in names}
            if self._holds_if_summing(each, layout):
                for count in range(1, len(names)):
                    for chosen in combinations(each.items(), count):
                        if self._holds_if_summing(dict(chosen), layout):
                            return self._require_summing(chosen, layout)
                return self._require_summing(tuple(each.items()), layout)
        return ()

    def _require_summing(self, chosen: tuple[tuple[str, str], ...], layout: str) -> tuple[tuple[str, str], ...]:
        """Return the arrays whose sums the claim needs, () where it is right without one of them."""
        samples = take_samples(self.question, SAMPLES, summing=dict(chosen), **self.settings)
        return chosen if self._needs_each(dict(chosen), _enlarge, samples, layout) else ()

    def _holds_if_summing(self, kinds: dict[str, str], layout: str) -> bool:
        for count in (SYMMETRIC_SAMPLES, SAMPLES):
            samples = take_samples(self.question, count, summing=kinds, **self.settings)
            # Where the derivative is 0, as that of relu may be, much is right by chance.
            if not self._holds(samples, layout) or not any(bool(one.truth.any()) for one in samples):
                return False
        return True

    # --- the derived answer -----------------------------------------------------------------------

    def _derive_like_claim(self, layout: str) -> Expression | None:
        """Return the derived formula; a vector as a row or a column, as the claim writes it."""
        claim, shape = self.question.claim.root, self.question.shape(layout)
        alike = [layout, *(other for other in READ_LAYOUTS if len(shape) == 1 and self.question.shape(other) == shape)]
        forms = [form for form in map(self.derive, alike) if form is not None]
        return next((form for form in forms if claim is not None and form.shape == claim.shape), forms[0])

    def confirm(self, layout: str) -> bool:
        """Whether the derived formula has torch's value at every sample."""
        derived = self.derive(layout)
        if derived is None or derived.squeezed_shape != self.question.shape(layout) or not self.samples:
            return False
        formula = ExpressionClaim(derived)
        try:
            values = [formula.evaluate(sample.point.values, sample.point) for sample in self.samples]
        except MatcalcError:
            return False
        trios = zip(self.samples, values, self.arrange(layout), strict=True)
        return all(sample.is_equal(value.reshape(truth.shape), truth) for sample, value, truth in trios)

    def explain(self) -> Explanation | None:
        """Return the slips that make the claim, or None."""
        layout = self.question.layout
        derived = self._derive_like_claim(layout) if self.confirm(layout) else None
        return explain(self.question, self.samples, derived, _list_scalars(self.question))

    def arrange(self, layout: str) -> list[Tensor]:
        """Return the true derivative at every sample in a layout."""
        return [self.question.arrange(sample.truth, layout) for sample in self.samples]


def _skew(value: Tensor) -> Tensor:
    """Return a symmetric matrix with a skew part, as large as it is."""
    upper = torch.triu(value.abs() + value.abs().amax() / 2, 1)
    return value + (upper - upper.mT) / 2


def _enlarge(value: Tensor) -> Tensor:
    """Return an array whose sums are no longer 1."""
    return 1.375 * value


def _is_free_square(variable: Expression) -> bool:
    shape: Shape = variable.squeezed_shape
    return len(shape) == 2 and shape[0] == shape[1] and not variable.data[1] & SYMMETRIC_KINDS


def _may_sum(symbol: Expression) -> bool:
    return bool(symbol.squeezed_shape) and not symbol.data[1]


# --- hints ------------------------------------------------------------------------------------------
#
# What a claim is that no single reading explains: the diagonal alone, rows stacked for columns, a scalar off.


MAX_SCALARS = 40


@dataclass(frozen=True)
class Hint:
    """One thing that a reader should know of a wrong claim.

    `kind` is "diagonal" (the claim is the diagonal of the derivative), "matrix" (the derivative is its diagonal),
    "constant" (each entry of the derivative is the claim), "rows" (right if vec stacked rows), or "scalar": the
    claim is the derivative times the factor, or times a scalar without a name.
    """

    kind: str
    factor: ClaimFactor | None = None


def find_hints(question: Question, samples: Sequence[Sample], truths: Sequence[Tensor]) -> tuple[Hint, ...]:
    """Return the hints that hold at every sample."""
    if not samples:
        return ()
    found = [Hint(kind) for kind, holds in _KINDS.items() if _holds(holds, samples, truths)]
    # The derivative with rows stacked in vec, as NumPy's reshape does.
    if question.layout == "vec" and question.order == 1 and all(
        sample.claim.numel() == sample.truth.numel()
        and sample.is_equal(sample.claim, sample.truth.reshape(sample.claim.shape))
        for sample in samples
    ):
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


# --- a scalar factor ------------------------------------------------------------------------------


def _list_ratios(samples: Sequence[Sample], truths: Sequence[Tensor]) -> list[float]:
    """Return the number that the claim is times the truth, at each sample; nothing where it is not."""
    ratios = []
    for sample, truth in zip(samples, truths, strict=True):
        square = float((truth * truth).sum())
        if not square or sample.claim.shape != truth.shape:
            return []
        ratios.append(float((truth * sample.claim).sum()) / square)
        if not ratios[-1] or not sample.is_equal(sample.claim, ratios[-1] * truth):
            return []
    return ratios


def _find_scalar(question: Question, samples: Sequence[Sample], truths: Sequence[Tensor]) -> Iterator[Hint]:
    """Yield what scalar the claim is off by, where at every point it is some number times the derivative."""
    ratios = _list_ratios(samples, truths)
    if not ratios:
        return
    nodes = _list_scalars(question)
    scalars = [(node, values) for node in nodes if (values := _evaluate_scalar(node, samples))]
    factor = find_factor(ratios, [sample.point.sizes for sample in samples], scalars=scalars)
    if factor is not None and factor.is_named:
        yield Hint("scalar", factor)
    # Of a single number every claim is some number times it: that says nothing.
    elif truths[0].ndim:
        yield Hint("scalar")


def _list_scalars(question: Question) -> list[Expression]:
    """Return the scalars in function and claim that are no numbers, the shortest first."""
    scalars = [node for node in walk(question.function.root, *question.names) if node.is_scalar and symbols(node)]
    return sorted(scalars, key=lambda node: sum(1 for _ in walk(node)))[:MAX_SCALARS]


def _evaluate_scalar(node: Expression, samples: Sequence[Sample]) -> list[float]:
    """Return its value at every sample; nothing where it has none, or is 0."""
    try:
        values = [float(evaluate(node, one.point.values, one.point.sizes, one.point.functions)) for one in samples]
    except MatcalcError:
        return []
    return values if all(values) else []
