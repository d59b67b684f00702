"""The command line as people type it -> the arguments of a command: `matcalc "A@x"` derives, -l is --layout."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from matcalc.cli.arguments import UsageError

# The letters of options that take a value; a lone dash before other letters begins an expression, as in -x.
OPTION_LETTERS = {"-l": "--layout", "-w": "--wrt", "-v": "--vars", "-o": "--order", "-a": "--assume", "-s": "--syntax"}
_FLAGS = {"-h": "--help", "-V": "--version"}


def spell_out(arguments: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return the arguments with the command that is meant and whole options; raises UsageError for no command.

    >>> spell_out(["A@x", "-l", "denominator"], ["derive", "check"])
    ['derive', 'A@x', '--layout', 'denominator']
    >>> spell_out(["derive", "-x"], ["derive", "check"])
    ['derive', ' -x']
    """
    found = _name_command([_FLAGS.get(argument, argument) for argument in arguments], commands)
    return [_spell_option(found, place) for place in range(len(found))]


def _name_command(arguments: list[str], commands: Collection[str]) -> list[str]:
    """Return the arguments with derive before an expression that stands alone."""
    if not arguments or arguments[0] in commands or arguments[0] in ("--help", "--version", "--"):
        return arguments
    first, *rest = arguments
    is_word = re.fullmatch(r"[A-Za-z]{3,}", first) is not None
    close = get_close_matches(first.lower(), list(commands), 1, 0.7) if is_word else []
    if close:
        line = " ".join(["matcalc", close[0], *(f"'{word}'" if re.search(r"[^\w.-]", word) else word for word in rest)])
        raise UsageError(f"there is no command {first!r}", advice=f"did you mean {line[:200]}")
    if is_word and rest and not rest[0].startswith("-"):
        raise UsageError(f"there is no command {first[:40]!r}", advice="use one of " + ", ".join(commands))
    return ["derive", *arguments]


def _spell_option(arguments: Sequence[str], place: int) -> str:
    """Return an option of one letter in full; what begins with one dash is an expression, shielded by a space."""
    argument = arguments[place]
    following = arguments[place + 1] if place + 1 < len(arguments) else "--"
    if argument in OPTION_LETTERS and place and not following.startswith("--"):
        return OPTION_LETTERS[argument]
    return f" {argument}" if re.match(r"-[^-]", argument) else argument
