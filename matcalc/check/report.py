"""What a check reports: the verdict, its reasons, and the numbers behind it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matcalc.check.question import Evidence, NumericJacobians


class Verdict(str):
    """A verdict as text, true only if it is "agrees": `assert report.verdict` is what it seems.

    >>> bool(Verdict("agrees")), bool(Verdict("differs"))
    (True, False)
    """

    def __bool__(self) -> bool:
        return self == "agrees"


AGREES, DIFFERS, COULD_NOT_CHECK = Verdict("agrees"), Verdict("differs"), Verdict("could not check")

REASONS = (
    "layout", "meaning", "transpose", "factor", "missing-term", "extra-term", "symmetric-only", "sum-only", "shape",
    "orientation", "other",
)  # fmt: skip


@cache
def list_versions() -> tuple[tuple[str, str], ...]:
    """Return the versions on which the numbers of a report depend, by name."""
    from importlib.metadata import PackageNotFoundError, version

    found = [("python", platform.python_version())]
    for name, distribution in (("matcalc", "matcalc-checker"), ("torch", "torch"), ("sympy", "sympy")):
        try:
            found.append((name, version(distribution)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return tuple(found)


@dataclass(frozen=True)
class Worst:
    """The entry with the largest error: its index, the true value, the claimed one, and the point's number.

    The seed and the number say which point it is.
    """

    index: tuple[int, ...]
    expected: float
    got: float
    point: int
    seed: int = 0

    @property
    def entry(self) -> str:
        """The name of the entry: "entry [4]", of a scalar "the value"."""
        return f"entry [{', '.join(map(str, self.index))}]" if self.index else "the value"

    @property
    def numbers(self) -> str:
        """What the entry should be and what it is, with as many digits as tell them apart."""
        expected, got = write_pair(self.expected, self.got)
        return f"should be {expected}, not {got}"


EQUAL, DIFFERENT, NOT_SHOWN = "equal", "different", "not shown"
PROOFS = ("both", "exact", "torch", "none")


@dataclass(frozen=True)
class ExactProof:
    """What the exact comparison in SymPy found: "equal" at all of the sizes, "different", or "not shown" and why.

    `sizes` are those at which the two sides are equal, entry by entry; of different ones the sizes at which they
    differ, at `index` by `apart`, relative to the largest entry of the derivative.
    """

    verdict: str
    sizes: tuple[dict[str, int], ...] = ()
    reason: str = ""
    apart: float = 0.0
    index: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        """The sizes in words.

        >>> ExactProof("equal", ({"m": 2, "n": 3}, {"m": 3, "n": 2})).where
        ' at m, n = 2, 3 and 3, 2'
        """
        if not any(self.sizes):
            return ""
        *before, last = [", ".join(map(str, sizes.values())) for sizes in self.sizes]
        numbers = (" and " if len(self.sizes[0]) > 1 else ", ").join(before)
        return f" at {', '.join(self.sizes[0])} = " + (f"{numbers} and {last}" if before else last)

    def __bool__(self) -> bool:
        return self.verdict == EQUAL


@dataclass(frozen=True, repr=False)
class CheckReport:
    """What the judge found; true only where the claim agrees with the truth at one point or more.

    Of a claim that differs `reasons` are all the readings that hold, a subset of REASONS, and `message` is a
    sentence for a student.  `fits` lists the layouts in which the claim would be right, `meanings` the meanings of a
    derivative by a structured matrix in which it would; the claim is `factor`
    times the derivative, a number or a text in the sizes; `missing` and `extra` are the terms it lacks or has
    too much; `symmetric` names the matrices that must be symmetric for it to be right; `repairs` are what the claim
    becomes as it is advised, each of them judged to be right; `correct` is the right derivative.  `variables` holds the
    shape each name was taken for, `command` repeats the check exactly.
    `turn` says of a claim that is a column where the layout has a row, or the reverse, which it should be, "row" or
    "column", and `turned` is the claim written so.  `exact` says what the exact comparison in SymPy found, None where
    there was none, and `every_size` that claim and derivative are one and the same in index form, which is the
    engine's word and decides nothing.
    `jacobians()` computes both sides again; `page` writes what a notebook shows, given by who asked for the check.

    >>> bool(CheckReport("could not check", message="could not check: torch is not installed"))
    False
    """

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
    fits: tuple[str, ...] = ()
    factor: int | float | str | None = None
    missing: str = ""
    extra: str = ""
    symmetric: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    correct: str = ""
    meanings: tuple[str, ...] = ()
    turn: str = ""
    turned: str = ""
    variables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dtype: str = "float64"
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=lambda: dict(list_versions()))
    command: str = ""
    exact: ExactProof | None = None
    every_size: bool = False
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    page: Callable[[CheckReport], str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the verdict as one, whatever text it was given as."""
        object.__setattr__(self, "verdict", Verdict(self.verdict))

    def __bool__(self) -> bool:
        return bool(self.verdict)

    def __repr__(self) -> str:
        """Return all that the report holds, the sentence first: tools that show a report may cut it."""
        names = ("verdict", "message", *(one.name for one in fields(self) if one.repr))
        held = {name: getattr(self, name) for name in names}
        told = (f"{name}={value!r}" for name, value in held.items() if value not in ((), {}, "", None))
        return f"{type(self).__name__}({', '.join(told)})"

    def __str__(self) -> str:
        return self.message

    @property
    def is_refuted_exactly(self) -> bool:
        """Whether the exact comparison alone shows the difference, since torch was not asked or saw none."""
        return self.exact is not None and self.exact.verdict == DIFFERENT and self.worst is None

    def jacobians(self) -> NumericJacobians | None:
        """Return the true derivative and the claimed one in numbers, None where they could not be computed."""
        return None if self.evidence is None else self.evidence.compute()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        plain = asdict(replace(self, evidence=None, page=None))
        return {key: _make_plain(value) for key, value in plain.items() if key not in ("evidence", "page")}

    def _repr_html_(self) -> str | None:
        return None if self.page is None else self.page(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.message)


def _make_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _make_plain(item) for key, item in value.items()}
    if isinstance(value, Verdict):
        return str(value)
    return [_make_plain(item) for item in value] if isinstance(value, tuple) else value


def write_pair(expected: float, got: float) -> tuple[str, str]:
    """Return two numbers with as few digits as tell them apart.

    >>> write_pair(0.5, 1.0), write_pair(2/3, 0.66666667)
    (('0.5', '1'), ('0.666666667', '0.66666667'))
    """
    pairs = [(f"{expected:.{digits}g}", f"{got:.{digits}g}") for digits in (6, 9, 12, 17)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


def find_worst(verdicts: Iterable[str]) -> str:
    """Return the verdict over several: one that differs outweighs what could not be checked, and that what agrees.

    >>> find_worst(["agrees", "could not check"]), find_worst([])
    ('could not check', 'agrees')
    """
    found = set(verdicts)
    return next((verdict for verdict in (DIFFERS, COULD_NOT_CHECK) if verdict in found), AGREES)


def could_not_check(reason: str, **settings: Any) -> CheckReport:
    """Return the report of a check that could not be made."""
    return CheckReport(COULD_NOT_CHECK, (reason,), message=f"could not check: {reason}", **settings)


def find_missing(device: str = "cpu") -> str | None:
    """Return what keeps torch from computing on that device as the judge needs it, or None."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    from matcalc.check.modes import find_strange_mode

    if strange := find_strange_mode():
        return strange
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return f"torch cannot use the device {device!r}: {str(error).splitlines()[0]}"
    return None
