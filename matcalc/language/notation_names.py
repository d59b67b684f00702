"""What names are, as a person assumes it: by their use first, by their letter second.

Each name has the kinds it may have, each with a cost: the usual kind of its letter costs nothing.  The cheapest kinds
with which the formula is one are taken; where two readings cost the same, the reader is asked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from matcalc.errors import MatcalcError
from matcalc.language import names as names
from matcalc.language.draft import Draft, Reading
from matcalc.language.habits import COUNTS, AmbiguityError, is_mixed_sum
from matcalc.language.notation_statements import Formula
from matcalc.language.notation_tokens import is_greek
from matcalc.language.notation_tree import NotationNode, walk_nodes
from matcalc.language.notation_words import NAME_WORDS
from matcalc.language.text_to_expression import UnchosenError

MOST_ATTEMPTS = 400
# Two readings whose costs differ by less than this are both usual.
CLOSE_COSTS = 0.3
KINDS = {0: "a scalar", 1: "a vector", 2: "a matrix"}

Option = tuple[int, float]  # the number of axes, or the number of a reading, and what it costs


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is assumed in one attempt: the axes of the names, and the reading of each choice."""

    kinds: Mapping[str, int]
    choices: Mapping[int, int]
    cost: float


# --- the kinds that a name may have ---------------------------------------------------------------------


# Greek letters that stand for vectors as often as for numbers, as lambda, sigma and epsilon hardly do.
_VECTOR_LETTERS = frozenset("mu nu beta theta phi psi xi eta omega zeta delta chi pi varphi vartheta".split())


def is_vector_letter(draft: Draft) -> bool:
    """Whether a draft is a Greek name that stands for a vector as often as for a number."""
    return draft.op == "symbol" and _spell(draft.data[0].partition("_")[0]) in _VECTOR_LETTERS


def _spell(stem: str) -> str:
    return names.spell_greek(stem) if is_greek(stem[0]) else stem


def list_kinds(name: str, is_own: bool, is_wrt: bool, is_bold: bool = False, is_code: bool = False) -> list[Option]:
    """Return the numbers of axes that a name may have, the usual one first; `is_own` for a text of the language itself.

    A small letter in bold is a vector, a Greek one as well.
    Code, as `is_code` says, has no vectors with a capital letter.

    >>> list_kinds("mu", False, False), list_kinds("A", False, False)[0]
    ([(0, 0.0), (1, 1.0)], (2, 0.0))
    """
    usual = names.count_axes(name)
    stem = name.partition("_")[0] or name
    later = 1.0 if is_wrt else 0.0
    if usual < 2 and is_bold:
        return [(1, 0.0), (0, 3.0)]
    if usual == 0:
        return [(0, 0.0), (1, 1.0 if _spell(stem) in _VECTOR_LETTERS else 2.2)]
    if usual == 2:
        is_count = stem in COUNTS
        if is_greek(name[0]) or len(stem) > 1:
            return [(2, 0.0)]
        return [(2, 0.0), (0, (1.4 if is_count else 3.6) + later), *([] if is_own or is_code else [(1, 2.6 + later)])]
    if len(stem) > 1:
        is_greek_like = stem in NAME_WORDS
        return [(0, 0.0), (1, 1.0)] if is_greek_like and not is_own else [(1, 0.0), (0, 1.0 + later)]
    if stem == "n" and not is_own:
        return [(0, 0.0), (1, 1.0)]
    if stem in "xyzwvu":
        return [(1, 0.0), (0, 1.8 + later)]
    return [(1, 0.0), (0, (0.9 if stem in "abcdkmnprst" else 1.4) + later)]


def list_choices(roots: Iterable[NotationNode]) -> dict[int, list[Option]]:
    """Return the readings of each choice, with their costs."""
    found: dict[int, list[Option]] = {}
    for node in walk_nodes(*roots):
        if node.kind == "choice":
            assert isinstance(node.value, tuple)
            number, costs = node.value
            found[number] = sorted(enumerate(costs), key=lambda option: option[1])
    return found


def list_formula_names(formula: Formula) -> list[str]:
    """Return the names of a formula in order, those that are defined in it left out."""
    roots = [*(tree for _, tree in formula.definitions), formula.root]
    found: dict[str, None] = {}
    for node in walk_nodes(*roots):
        if node.kind == "name":
            found.setdefault(names.normalize_name(str(node.value)))
        elif node.kind == "entry":
            assert isinstance(node.value, tuple)
            found.update(dict.fromkeys((str(node.value[0]), str(node.value[2]))))
    defined = {name for name, _ in formula.definitions}
    return [name for name in found if name not in defined | names.CONSTANTS | {"π"}]


# --- the cheapest reading ---------------------------------------------------------------------------------


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Success(Generic[Found]):
    """An attempt that gave a formula: what it assumed and used, what it costs in all, and what was found."""

    assumed: Assumed
    cost: float
    found: Found
    used_names: frozenset[str]
    used_choices: frozenset[int]


def search(
    kinds: Mapping[str, Sequence[Option]],
    choices: Mapping[int, Sequence[Option]],
    attempt: Callable[[Assumed], tuple[Found, float, frozenset[str], frozenset[int]]],
    most: int = MOST_ATTEMPTS,
) -> tuple[list[Success[Found]], MatcalcError | None]:
    """Return the cheapest readings, cheapest first, those that cost about the same; or the error of the usual one.

    Raises AmbiguityError where what is cheaper than all of them has two meanings.

    It ends: each attempt changes one assumption of an earlier one, none is made twice, and their number is bounded.
    """
    slots: list[tuple[str | int, Sequence[Option]]] = [*kinds.items(), *choices.items()]
    start = tuple(0 for _ in slots)
    heap, ticket, seen = [(0.0, 0, start)], count(1), {start}
    found: list[Success[Found]] = []
    error: MatcalcError | None = None
    unsure: tuple[float, MatcalcError] | None = None
    tried: set[tuple[frozenset[tuple[str | int, int]], ...]] = set()
    for _ in range(most):
        if not heap:
            break
        cost, _, places = heapq.heappop(heap)
        if found and cost > found[0].cost + CLOSE_COSTS:
            break
        picked = {slot: options[place][0] for (slot, options), place in zip(slots, places, strict=True)}
        assumed = Assumed(
            {slot: value for slot, value in picked.items() if isinstance(slot, str)},
            {slot: value for slot, value in picked.items() if isinstance(slot, int)}, cost,
        )  # fmt: skip
        try:
            result, penalty, used_names, used_choices = attempt(assumed)
        except (AmbiguityError, UnchosenError) as refused:
            # That several variables are left to choose from is no reason to take a name for something else.
            paid = cost + (refused.cost if isinstance(refused, AmbiguityError) else 0.0)
            if not found and (unsure is None or paid < unsure[0]):
                unsure = paid, refused
            error = error or refused
        except MatcalcError as refused:
            error = error or refused
        else:
            used = frozenset(
                {(slot, value) for slot, value in picked.items() if slot in used_names or slot in used_choices}
            )
            changed = {slots[index][0] for index, place in enumerate(places) if place}
            if changed <= used_names | used_choices and (used,) not in tried:
                tried.add((used,))
                found.append(Success(assumed, cost + penalty, result, used_names, used_choices))
                found.sort(key=lambda success: success.cost)
        for index, (_, options) in enumerate(slots):
            following = places[index] + 1
            grown = (*places[:index], following, *places[index + 1 :])
            if following < len(options) and grown not in seen:
                seen.add(grown)
                heapq.heappush(heap, (cost - options[following - 1][1] + options[following][1], next(ticket), grown))
    if unsure is not None and (not found or found[0].cost > unsure[0]):
        raise unsure[1]
    return [success for success in found if success.cost <= found[0].cost + CLOSE_COSTS], error


def note_kinds(assumed: Mapping[str, int], reading: Reading) -> None:
    """Remark what a name was taken for where its letter says otherwise."""
    for name, axes in assumed.items():
        if name in reading.symbols and name not in reading.declared and axes != names.count_axes(name):
            sizes = {0: "scalar", 1: "n", 2: "m,n"}[names.count_axes(name)]
            otherwise = f"to say otherwise declare it, --vars '{name}: {sizes}'"
            reading.note(f"{name} is taken for {KINDS[axes]}, as that fits best; {otherwise}")


def count_column_row_sums(drafts: Iterable[Draft]) -> int:
    """Return how many sums have a column beside a row, or a vector beside a matrix."""
    sums = [draft.args for draft in drafts if draft.op in ("add", "subtract")]
    kinds = [{(each.is_column, each.is_row, each.is_matrix) for each in pair if not each.is_scalar} for pair in sums]
    return sum(1 for pair in kinds if len(pair) > 1)


def count_mixed_sums(drafts: Iterable[Draft]) -> int:
    """Return how many sums have a scalar, which is no number, beside an array."""
    return sum(map(is_mixed_sum, drafts))
