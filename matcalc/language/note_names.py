"""Remarks on names that are not what they look like: Ax is one name, I no unit matrix, e a number."""

from __future__ import annotations

import re

from matcalc.language.draft import Draft, Reading


def note_name(reading: Reading, name: str) -> None:
    """Remark, once, that a name which the reader did not declare may be a product or a transpose in their mind."""
    if reading.is_rule or name in reading.declared:
        return
    if re.fullmatch(r"([A-Z]{1,2}|[xyzwv]T[A-Z]?)[xyzwv]", name):
        reading.note(f"{name} is one name; the product is {_space_factors(name)}")
    elif re.fullmatch(r"[xyzwv]T", name):
        reading.note(f"{name} is one name; the transpose is {name[0]}.T")
    elif name == "I":
        reading.note("I is a variable; the identity is eye(n)")


def _space_factors(text: str) -> str:
    """Write ABx as A @ B @ x, and xTAx as x.T @ A @ x."""
    return " @ ".join(factor.replace("T", ".T") if factor[0].islower() else factor
                      for factor in re.findall(r"[a-z]T|\w", text))  # fmt: skip


def note_constant(reading: Reading, name: str) -> None:
    """Remark that e is a number, which many a text uses for a residual."""
    if name == "e" and not reading.is_rule:
        reading.note("e is the number 2.718...; declare e to use it as a variable")


def note_index(reading: Reading, function: str, args: tuple[Draft, ...]) -> None:
    """Remark that sum(x_i) does not run over i."""
    if reading.is_rule or function not in ("sum", "mean", "prod") or len(args) != 1 or args[0].op != "symbol":
        return
    found = re.fullmatch(r"([A-Za-z])_[ijk]", args[0].data[0])
    if found and args[0].data[0] not in reading.declared:
        reading.note(f"{found[0]} is a name of its own, not an entry; write {function}({found[1]})")
