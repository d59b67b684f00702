"""How far two arrays may be apart and still agree, as a reader asks for it; nothing of torch is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matcalc.errors import DeclarationError


@dataclass(frozen=True)
class Tolerance:
    """How far claim and truth may be apart: by `rtol` times the largest true entry or by `atol`, whichever is more.

    Where they are None it is by what rounding explains.  Raises DeclarationError for what is no tolerance.
    """

    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        if self.rtol is not None and not 0 < self.rtol < math.inf:
            raise DeclarationError(f"rtol is a number above 0, not {self.rtol}")
        if self.atol is not None and not 0 <= self.atol < math.inf:
            raise DeclarationError(f"atol is a number from 0 on, not {self.atol}")

    def __bool__(self) -> bool:
        """Whether a tolerance was asked for."""
        return self.rtol is not None or self.atol is not None

    def __str__(self) -> str:
        given = {"rtol": self.rtol, "atol": self.atol}
        return ", ".join(f"{name}={value:g}" for name, value in given.items() if value is not None)


USUAL = Tolerance()
