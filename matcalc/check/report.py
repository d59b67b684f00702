"""What a check reports: the verdict, its reasons, and the numbers behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

AGREES, DIFFERS, COULD_NOT_CHECK = "agrees", "differs", "could not check"


@dataclass(frozen=True)
class Worst:
    """The entry with the largest error: its index, the true value, the claimed one, and the point's number."""

    index: tuple[int, ...]
    expected: float
    got: float
    point: int


@dataclass(frozen=True)
class CheckReport:
    """What the judge found; true only where the claim agrees with the truth at one point or more.

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

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        plain = asdict(self) | {"reasons": list(self.reasons)}
        if self.worst is not None:
            plain["worst"] = asdict(self.worst) | {"index": list(self.worst.index)}
        return plain


def could_not_check(reason: str, **settings: Any) -> CheckReport:
    """Return the report of a check that could not be made."""
    return CheckReport(COULD_NOT_CHECK, (reason,), message=f"could not check: {reason}", **settings)


def find_missing(device: str = "cpu") -> str | None:
    """Return what keeps torch from computing on that device, or None."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return f"torch cannot use the device {device!r}: {str(error).splitlines()[0]}"
    return None
