"""The arguments of a written function: variables, abstract functions, and the sizes that no array tells."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size, write_shape

# Names that written code needs for itself.
_TAKEN = {
    "np", "jnp", "jax", "torch", "math", "functools", "scipy", "rng", "self", "ctx", "draw", "draw_signed", "moved",
    "truth", "value", "errors", "error", "step", "scale", "inputs", "jacobian", "take_differences", "turn_blocks",
    "differentiate",
}  # fmt: skip


@dataclass(frozen=True)
class Signature:
    """The variables by name and the result shapes of abstract functions; `avoided` lists names for other things."""

    variables: Mapping[str, Expression]
    abstract: Mapping[str, Shape]
    avoided: tuple[str, ...] = ()

    @cached_property
    def names(self) -> dict[str, str]:
        """What each variable is called: its own name, with an underscore where Python keeps that for itself."""
        kept = _TAKEN | set(self.avoided)
        return {name: f"{name}_" if keyword.iskeyword(name) or name in kept else name for name in self.variables}

    @property
    def first_array(self) -> str:
        """The first argument that is an array with axes, whose dtype all others have; "" where there is none."""
        return next((self.names[name] for name, node in self.variables.items() if node.squeezed_shape), "")

    @cached_property
    def letters(self) -> dict[str, str]:
        """What each letter of a size is called where it is a local name."""
        taken = set(self.names.values()) | set(self.abstract) | _TAKEN | set(self.avoided)
        return _Letters({}, taken)

    @cached_property
    def _sources(self) -> dict[str, tuple[str, int, Size]]:
        """For each letter that an array tells: which array, which axis, and what that axis' size is beside it.

        Of n - 1, where no rest multiplies the letter, that is the whole size.
        """
        found: dict[str, tuple[str, int, Size]] = {}
        axes = [(name, k, size) for name, node in self.variables.items() for k, size in enumerate(node.squeezed_shape)]
        known = -1
        while len(found) > known:
            known = len(found)
            for name, k, size in axes:
                unknown = [letter for letter in dict.fromkeys(size.base_letters) if letter not in found]
                if len(unknown) == 1 and size.isolate(unknown[0]) is not None:
                    found[unknown[0]] = (name, k, size)
                elif len(unknown) == 1 and size.letters.count(unknown[0]) == 1:
                    rest = Size(tuple(letter for letter in size.letters if letter != unknown[0]), size.number)
                    found[unknown[0]] = (name, k, rest)
        return found

    def list_unknown(self, letters: Iterable[str]) -> list[str]:
        """Return those letters that no array tells."""
        return [letter for letter in dict.fromkeys(letters) if letter not in self._sources]

    def write_letter(self, letter: str) -> str:
        """Return the local name of a letter; n*(n+1)/2 is one as well."""
        base = Size((letter,)).base_letters
        if base == (letter,):
            return self.letters[letter]
        for name in base:
            letter = re.sub(rf"\b{name}\b", self.letters[name], letter)
        letter = letter.replace("/", "//")
        return letter if Size((letter,)).is_sum else f"({letter})"

    def write_sizes(self, letters: Iterable[str]) -> list[str]:
        """Return the lines that find sizes: `m, n = A.shape`."""
        lines, done = [], set(self.list_unknown(letters))
        wanted = self._close(letters)
        rest = []
        for letter in self._sources:
            name, axis, others = self._sources[letter]
            shape = self.variables[name].squeezed_shape
            together = [size.letters[0] for size in shape if len(size.letters) == 1 and size.number == 1]
            own = self.names[name]
            if letter not in wanted:
                continue
            if len(together) == len(shape) > 1 and len(set(together)) == len(shape) and wanted >= set(together):
                if letter not in done:
                    lines.append(f"{', '.join(self.letters[each] for each in together)} = {own}.shape")
                    done.update(together)
                continue
            if (isolated := others.isolate(letter)) is not None:
                rest.append((letter, f"{self.letters[letter]} = {self._solve(f'{own}.shape[{axis}]', *isolated)}"))
                continue
            factors = self._list_factors(others)
            product = f"({' * '.join(factors)})" if len(factors) > 1 else "".join(factors)
            divided = f" // {product}" if factors else ""
            rest.append((letter, f"{self.letters[letter]} = {own}.shape[{axis}]{divided}"))
        return lines + [line for letter, line in rest if letter not in done]

    def _solve(self, length: str, sign: int, rest: Size) -> str:
        """Return a letter that stands in a sum: of n - 1, of so many entries, that is the length + 1."""
        if sign < 0:
            return f"{self.write_size(rest)} - {length}"
        if rest == 0:
            return length
        is_taken = all(count < 0 for count in rest.terms.values())
        text = self.write_size(Size(rest.letters, -rest.number) if is_taken else rest)
        return f"{length} + {text}" if is_taken else f"{length} - ({text})" if " " in text else f"{length} - {text}"

    def write_size(self, size: Size) -> str:
        """Return a size in local names."""
        if size.is_sum:
            return self.write_letter(size.letters[0])[1:-1]
        number = [str(size.number)] if size.number != 1 or not size.letters else []
        return " * ".join(number + [self.write_letter(letter) for letter in size.letters])

    def _list_factors(self, size: Size) -> list[str]:
        number = [str(size.number)] if size.number != 1 else []
        return number + [self.write_letter(letter) for letter in size.letters]

    def _close(self, letters: Iterable[str]) -> set[str]:
        """Add the letters by which others are found."""
        wanted, stack = set(), list(letters)
        while stack:
            letter = stack.pop()
            if letter not in wanted:
                wanted.add(letter)
                stack += self._sources[letter][2].base_letters if letter in self._sources else ()
        return wanted

    def describe(self) -> list[str]:
        """Return one line for each argument: its name and its shape."""
        lines = [f"{self.names[name]}: {write_shape(node.squeezed_shape)}" for name, node in self.variables.items()]
        return lines + [f"{name}: a function, its value {_describe(shape)}" for name, shape in self.abstract.items()]


def _describe(shape: Shape) -> str:
    written = write_shape(shape)
    return "a scalar" if written == "scalar" else f"of shape {written}"


class _Letters(dict[str, str]):
    """Letters by name, those in use for something else as size_n."""

    def __init__(self, known: Mapping[str, str], taken: set[str]) -> None:
        super().__init__(known)
        self._taken = taken

    def __missing__(self, letter: str) -> str:
        kept = letter in self._taken or keyword.iskeyword(letter)
        self[letter] = f"size_{letter}" if kept else letter
        return self[letter]
