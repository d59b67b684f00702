"""Question -> whether the claim is the derivative exactly, every entry compared in SymPy's rings at small sizes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain, combinations, pairwise, product
from typing import Any

from mpmath import mp
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement as Element

from matcalc.check.exact_entries import Entries, Writing, find_determinant, transpose_entries, write_out
from matcalc.check.exact_field import Condition, Tower
from matcalc.check.exact_generators import Budget, FreeEntry, Generator, NoRoom, NotShown, Numbers, UnitEntry
from matcalc.check.jacobian import order_axes
from matcalc.check.meaning import Ties, find_ties
from matcalc.check.question import ExpressionFunction, Question
from matcalc.check.report import DIFFERENT, EQUAL, NOT_SHOWN, ExactProof
from matcalc.errors import MatcalcError
from matcalc.language.declarations import list_structures
from matcalc.language.expression import Expression, collect_letters, collect_sums, symbols, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import UNIT, Size, fit_numbers
from matcalc.language.text_to_expression import rules_in_force
from matcalc.rule_files import RuleBook

# Products of terms are counted, since a report must be the same on a slow machine; the time is for what is not counted.
PRODUCTS = 160_000
SECONDS = 30.0
_CAPACITIES = (20, 36, 60, 100)
_DIGITS = 50
_TRIES = 24
_MOST_POINTS = 6
_MOST_SEGMENTS, _HALVINGS, _FAR = 5, 64, 10**12

_Values = dict[tuple[str, int], Fraction]


def prove_exactly(
    question: Question, rules: RuleBook | None = None, products: int = PRODUCTS, seconds: float = SECONDS,
    at: Mapping[str, int] | None = None,
) -> ExactProof:  # fmt: skip
    """Return whether the claim is the derivative, entry by entry, at two assignments of sizes to the letters.

    `at` is one assignment at which alone they are compared.  Where sizes count as numbers a third assignment is tried
    that no claim can be built for.
    """
    root, claim = question.function.root, question.claim.root
    if claim is None or not isinstance(question.function, ExpressionFunction):
        return ExactProof(NOT_SHOWN, reason="code has no exact form")
    letters = collect_letters((root, claim, *question.by))
    deadline, left = time.monotonic() + seconds, products
    shown: list[dict[str, int]] = []
    reason = ""
    with rules_in_force(rules):
        sums = collect_sums((root, claim, *question.by))
        for sizes in list_sizes(letters, sums) if at is None else [{letter: at[letter] for letter in letters}]:
            budget = Budget(min(left, products // 2), deadline)
            try:
                answer = _prove_at(question, sizes, budget)
            except (NotShown, MatcalcError) as error:
                answer = ExactProof(NOT_SHOWN, reason=error.reason)
            except RecursionError:
                answer = ExactProof(NOT_SHOWN, reason="it is nested too deeply")
            left -= budget.spent
            if answer.verdict == DIFFERENT:
                return answer
            if answer.verdict == EQUAL:
                shown.append(sizes)
            reason = reason or answer.reason
            if _tell_apart(shown, letters) or (shown and at is not None):
                for smallest in _list_elsewhere(root, claim) if at is None else ():
                    other = _prove_elsewhere(
                        question, letters, smallest, Budget(min(left, _PRODUCTS_ELSEWHERE), deadline)
                    )
                    if other.verdict == DIFFERENT:
                        return other
                    shown += other.sizes
                return ExactProof(EQUAL, tuple(shown))
            if left < 0 or time.monotonic() > deadline:
                break
    return ExactProof(NOT_SHOWN, tuple(shown), reason)


_PRODUCTS_ELSEWHERE = 50_000
_ELSEWHERE, _MOST_ADDED, _LARGEST_LIMIT = 4, 6, 90


def _list_elsewhere(*roots: Expression) -> list[int]:
    """Return the smallest of other sizes to be tried where sizes count as numbers: usual ones, and beyond a limit."""
    nodes = list(walk(*roots))
    if not has_counts(nodes):
        return []
    whole = {int(node.data[0]) for node in nodes if node.op == "number" and node.data[0].denominator == 1}
    limits = [number for number in whole if number in range(_ELSEWHERE + _MOST_ADDED, _LARGEST_LIMIT)]
    return [_ELSEWHERE, *([max(limits) + 1] if limits else [])]


def has_counts(nodes: Iterable[Expression]) -> bool:
    """Whether a size counts as a number: n, size(x), trace(eye(n))."""
    fixed: set[Expression] = set()
    for node in nodes:
        if node.op == "filled" or (node.args and fixed.issuperset(node.args)):
            fixed.add(node)
        if node.op == "size" or node.is_call("size") or (node in fixed and node.is_scalar):
            return True
    return False


def _prove_elsewhere(
    question: Question, letters: Sequence[str], smallest: int, budget: Budget
) -> ExactProof:
    """Return the answer at sizes that follow from the claim, and that are none of the first ones."""
    choices = random.Random(to_text(question.claim.root) if question.claim.root is not None else "")
    roots = [root for root in (question.function.root, question.claim.root, *question.by) if root is not None]
    drawn = {letter: smallest + choices.randrange(_MOST_ADDED) for letter in letters}
    try:
        return _prove_at(question, fit_numbers(drawn, collect_sums(roots)), budget)
    except (NotShown, MatcalcError, RecursionError):
        return ExactProof(NOT_SHOWN)


def _tell_apart(shown: Sequence[Mapping[str, int]], letters: Sequence[str]) -> bool:
    """Whether a claim that mistakes a letter for another one, or for a number, would have been seen."""
    numbers = [tuple(sizes[letter] for sizes in shown) for letter in letters]
    return bool(shown) and len(set(numbers)) == len(numbers) and all(len(set(hand)) > 1 for hand in numbers)


def list_sizes(letters: Sequence[str], sums: Collection[Size] = ()) -> Iterator[dict[str, int]]:
    """Yield assignments of small sizes; in the first two each letter changes, and any two letters differ in one.

    Where the sums would be below 1, some letters have larger numbers.

    >>> list(list_sizes(["m", "n"]))[:2]
    [{'m': 2, 'n': 3}, {'m': 3, 'n': 2}]
    """
    if not letters:
        yield {}
        return
    count, shown = len(letters), list[dict[str, int]]()
    # Where all letters have to be larger, such as n of n - 5, all assignments are, and stay as different as they are.
    ones = (dict.fromkeys(letters, 1 + more) for more in range(_LARGEST_SHIFT))
    fits = (all(size.evaluate(each) >= 1 for size in sums) for each in ones)
    least = next((more for more, is_fitting in enumerate(fits) if is_fitting), 0)
    for hand in dict.fromkeys((hand * (count // len(hand) + 1))[:count] for hand in _HANDS):
        first = {letter: number + least for letter, number in zip(letters, hand, strict=True)}
        larger = ({letter: number + more for letter, number in first.items()} for more in range(7))
        fitting = (each for each in larger if all(size.evaluate(each) >= 1 for size in sums))
        sizes = next(fitting, None) or _spread(fit_numbers(first, sums), first, sums)
        if sizes not in shown:
            shown.append(sizes)
            yield sizes


def _spread(fitted: dict[str, int], first: Mapping[str, int], sums: Collection[Size]) -> dict[str, int]:
    """Return fitted sizes that differ where the first ones do: what had to grow grows by its first number more."""
    spread = {letter: size + (first[letter] if size > first[letter] else 0) for letter, size in fitted.items()}
    return spread if all(size.evaluate(spread) >= 1 for size in sums) else fitted


_LARGEST_SHIFT = 8
# What cannot be written out at these sizes, or takes too long, is tried at those that follow.
_HANDS = (
    (2, 3, 4, 3, 2, 4), (3, 2, 2, 4, 4, 3), (2, 3, 2, 3, 1, 1),
    (1, 2, 2, 3, 3, 2), (2, 1, 3, 2, 2, 3), (4, 2, 1, 1, 3, 2),
)  # fmt: skip


def _prove_at(question: Question, sizes: dict[str, int], budget: Budget) -> ExactProof:
    """Return the answer at some sizes, in the smallest ring that has room."""
    for capacity in _CAPACITIES:
        try:
            return _Comparison(question, sizes, Tower(capacity, budget)).judge()
        except NoRoom as error:
            reason = error.reason
    raise NotShown(reason)


class _Comparison:
    """The derivative and the claim at some sizes, entry by entry."""

    def __init__(self, question: Question, sizes: dict[str, int], tower: Tower) -> None:
        self.question, self.sizes, self.tower = question, sizes, tower
        root, claim = question.function.root, question.claim.root
        assert claim is not None
        nodes = list(walk(root, claim))
        tower.assumes_conditions = not any(node.op == "compare" for node in nodes)
        self.variables = symbols(root, claim, *question.by)
        self.moving = {wrt.name for wrt in question.by}
        self.free: dict[str, list[Generator]] = {}
        self.images: dict[int, Element] = {}
        self.values: dict[str, Entries] = {}
        self.structured: dict[str, Entries] = {}
        self.ties: dict[str, Ties] = {}
        self.moving_entries: dict[str, list[tuple[Generator, int]]] = {}
        for name, variable in self.variables.items():
            self.structured[name] = write_out_symbol(tower, variable, sizes)
            ties = self._find_ties(variable) if name in self.moving else None
            if ties is not None:
                self.ties[name] = ties
                self.moving_entries[name] = [self._find_entry(name, places) for places in ties.places]
            is_free = name in self.moving and ties is None
            self.values[name] = self._free(variable) if is_free else self.structured[name]

    def _find_ties(self, variable: Expression) -> Ties | None:
        """Return which entries move together, None where each moves on its own."""
        if self.question.meaning == "free":
            return None
        return find_ties(variable, variable.shape[0].value(self.sizes))

    def _find_entry(self, name: str, places: Sequence[tuple[int, int, int]]) -> tuple[Generator, int]:
        """Return what stands for an independent entry, or for its negative (-1); raises NotShown where nothing does."""
        entries = self.structured[name]
        for i, j, sign in places:
            entry = entries.flat[i * entries.shape[1] + j]
            generators = self.tower.list_generators(entry)
            if len(generators) == 1 and entry == self.tower.element(generators[0]):
                return generators[0], sign
        raise NotShown(f"the entries of {name} are not independent")

    def _free(self, variable: Expression) -> Entries:
        """Return entries that move freely, whatever structure the variable has."""
        structured = self.structured[variable.name]
        if not variable.data[1] - _KINDS_OF_ENTRIES:
            self.free[variable.name] = [_find_generator(self.tower, entry) for entry in structured.flat]
            return structured
        found = []
        for place, image in enumerate(structured.flat):
            generator = self.tower.add(FreeEntry(f"free {variable.name}", place))
            self.images[generator.index] = image
            found.append(generator)
        self.free[variable.name] = found
        return Entries(structured.shape, tuple(map(self.tower.element, found)))

    def judge(self) -> ExactProof:
        """Return whether the two are equal."""
        truth = self.compute_truth()
        needed = list(self.tower.conditions)
        # What the claim needs, the function may do without.
        self.tower.assumes_conditions = False
        apart = [a - b for a, b in zip(truth, self.compute_claim(), strict=True)]
        if not all(map(self.tower.comes_to_zero, apart)):
            return self._refute(truth, apart)
        if self.tower.conditions:
            points = list(self._list_points(needed))
            if not points:
                return ExactProof(NOT_SHOWN, reason="no point was found at which everything is defined")
            if not all(self._is_defined(values, self.tower.conditions) for values in points):
                return ExactProof(NOT_SHOWN, reason="the claim has no value at some points")
        return ExactProof(EQUAL, (self.sizes,))

    def compute_truth(self) -> list[Element]:
        """Return the entries of the derivative in the layout's order."""
        function = write_out(self.question.function.root, Writing(self.tower, self.values, self.sizes))
        flat = list(function.flat)
        for wrt in self.question.by:
            flat = [one for entry in flat for one in self._differentiate(entry, wrt.name)]
        if self.images:
            images = dict(self.images)
            flat = [self.tower.substitute(entry, images) for entry in flat]
        return self._arrange(flat)

    def _differentiate(self, entry: Element, name: str) -> list[Element]:
        """Return the derivative of an entry by a variable, in the question's meaning."""
        ties, meaning = self.ties.get(name), self.question.meaning
        if ties is None:
            return [self.tower.differentiate(entry, by) for by in self.free[name]]
        found = [self.tower.differentiate(entry, by) * sign for by, sign in self.moving_entries[name]]
        if meaning == "vech":
            return found
        spread = [self.tower.zero] * ties.size**2
        for (i, j), (k, sign) in ties.number.items():
            weight = QQ(sign, len(ties.places[k]) if meaning == "space" else 1)
            spread[i * ties.size + j] = found[k].mul_ground(weight)
        return spread

    def compute_claim(self) -> list[Element]:
        """Return the entries of the claim."""
        root = self.question.claim.root
        assert root is not None
        return list(write_out(root, Writing(self.tower, self.structured, self.sizes)).flat)

    def _arrange(self, flat: list[Element]) -> list[Element]:
        """Return entries in torch's order of axes in the layout's order."""
        question = self.question
        ranks = [len(shape) for shape in question.shapes_of_change]
        axes = order_axes(len(question.function.shape), ranks, question.layout)
        shape = [size.value(self.sizes) for size in question.shape("torch")]
        steps = [1] * len(shape)
        for place in range(len(shape) - 2, -1, -1):
            steps[place] = steps[place + 1] * shape[place + 1]
        return [
            flat[sum(place * steps[axis] for place, axis in zip(index, axes, strict=True))]
            for index in product(*(range(shape[axis]) for axis in axes))
        ]

    # --- numbers ---

    def _refute(self, truth: list[Element], differences: list[Element]) -> ExactProof:
        """Return that the two differ where a number with many digits shows it, else that nothing was shown."""
        drawn = list(self._list_points(self.tower.conditions))
        for values in chain(drawn, self._list_points_between(drawn, differences)):
            try:
                found, _ = self._measure(values, truth, differences, _DIGITS)
                apart, largest = self._measure(values, truth, differences, 2 * _DIGITS)
            except NotShown:
                continue
            place = max(range(len(apart)), key=apart.__getitem__)
            # What is only rounding has another size with other digits.
            if apart[place] and abs(found[place] - apart[place]) < apart[place] / 1000:
                shape = [size.value(self.sizes) for size in self.question.shape(self.question.layout)]
                relative = float(apart[place] / max(largest, apart[place]))
                return ExactProof(DIFFERENT, (self.sizes,), "", relative, find_index(place, shape))
        return ExactProof(NOT_SHOWN, reason="the difference did not come to zero")

    def _measure(
        self, values: Mapping[Any, Any], truth: list[Element], differences: list[Element], digits: int
    ) -> tuple[list[Any], Any]:
        """Return how large each difference is at a point, and the largest entry of the derivative."""
        with mp.workdps(digits):
            numbers = Numbers(self.tower, _to_numbers(values))
            largest = max(abs(numbers.evaluate(entry)) for entry in truth)
            return [abs(numbers.evaluate(difference)) for difference in differences], largest

    def _list_points(self, conditions: Sequence[Condition]) -> Iterator[dict[tuple[str, int], Fraction]]:
        """Yield rational values of the variables at which conditions hold, of all signs, a few of them."""
        generators = [g for g in self.tower.generators if isinstance(g, FreeEntry) and not g.name.startswith("free")]
        choices = random.Random(0)
        left = _MOST_POINTS
        for attempt in range(_TRIES):
            values = {
                (g.name, g.place): _draw(g, attempt, choices) + self._lift_diagonal(g, attempt) for g in generators
            }
            if self._is_defined(values, conditions):
                yield values
                left -= 1
            if not left:
                return

    def _list_points_between(self, drawn: Sequence[_Values], differences: Iterable[Element]) -> Iterator[_Values]:
        """Yield points between two places of a segment where signs in the differences change, and beyond the last one.

        A kink that is moved by little is felt there only.  Some segments end far away.
        """
        signs = {g.index: g for one in differences for g in self.tower.list_signs(one)}
        if not signs or not drawn:
            return
        near, far = combinations(drawn, 2), [(drawn[0], self._go_far(drawn[0], side)) for side in (1, -1)]
        for start, end in [*far, *near][:_MOST_SEGMENTS]:
            place = partial(_go_along, start, end)
            found = {self._find_change(sign.of, place) for sign in signs.values()} - {None}
            for one, other in pairwise(sorted([*filter(None, found), Fraction(1)])):
                values = place((one + other) / 2)
                if self._is_defined(values, self.tower.conditions):
                    yield values

    def _go_far(self, values: _Values, side: int) -> _Values:
        """Return values that are large, on a side of 0 where they may be; what is 1 or -1 stays."""
        kinds = {(g.name, g.place): g for g in self.tower.generators if isinstance(g, FreeEntry)}
        sides = {key: 1 if kinds[key].positive else side for key in values}
        return {
            key: value if isinstance(kinds[key], UnitEntry) else abs(value) * sides[key] * _FAR
            for key, value in values.items()
        }

    def _find_change(self, element: Element, place: Callable[[Fraction], _Values]) -> Fraction | None:
        """Return at which share of a segment an element changes its sign, None where it does not or has no value."""
        def is_positive(share: Fraction) -> bool:
            return bool(Numbers(self.tower, _to_numbers(place(share))).evaluate(element) > 0)

        with mp.workdps(_DIGITS):
            try:
                first, low, high = is_positive(Fraction(0)), Fraction(0), Fraction(1)
                if is_positive(high) == first:
                    return None
                for _ in range(_HALVINGS):
                    middle = (low + high) / 2
                    low, high = (middle, high) if is_positive(middle) == first else (low, middle)
            except NotShown:
                return None
        return low

    def _is_defined(self, values: Mapping[tuple[str, int], Fraction], conditions: Sequence[Condition]) -> bool:
        """Whether what must be positive is so at a point."""
        with mp.workdps(20):
            numbers = Numbers(self.tower, _to_numbers(values))
            try:
                return all(numbers.evaluate(self._place(condition)) > 1e-6 for condition, _ in conditions)
            except NotShown:
                return False

    def _lift_diagonal(self, generator: FreeEntry, attempt: int) -> int:
        """Return what is added to an entry of a square matrix: every other time the diagonal outweighs the rest."""
        variable = self.structured.get(generator.name)
        if variable is None or not attempt % 2 or variable.shape[0] != variable.shape[-1] or len(variable.shape) != 2:
            return 0
        size = variable.shape[0]
        return 2 * size if size > 1 and generator.place % (size + 1) == 0 and type(generator) is FreeEntry else 0

    def _place(self, element: Element) -> Element:
        """Return an element with the variable's own structure in the place of its free entries."""
        return self.tower.substitute(element, dict(self.images)) if self.images else element


def _go_along(start: _Values, end: _Values, share: Fraction) -> _Values:
    """Return the values at a share of the way; what is 1 or -1 stays."""
    return {
        key: value if abs(value) == 1 else value + (end[key] - value) * share for key, value in start.items()
    }


def find_index(place: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the index of the entry at a place in the row by row order.

    >>> find_index(5, (2, 3))
    (1, 2)
    """
    index: list[int] = []
    for size in reversed(shape):
        place, rest = divmod(place, size)
        index.append(rest)
    return tuple(reversed(index))


def _draw(generator: FreeEntry, attempt: int, choices: random.Random) -> Fraction:
    """Return a number for a variable: at first positive ones, then of both signs, near 0, negative, large."""
    if isinstance(generator, UnitEntry):
        return Fraction(choices.choice((1, -1)))
    unit = Fraction(choices.randrange(1, 997), 997)
    if generator.name.startswith("share"):
        return unit / 10
    if generator.positive:
        return Fraction(1, 4) + unit * (1, 3, Fraction(1, 2))[attempt % 3]
    spread = (Fraction(1), Fraction(2), Fraction(1, 5), Fraction(1), Fraction(4), Fraction(1, 20))[attempt % 6]
    side = (1, choices.choice((1, -1)), choices.choice((1, -1)), -1, 1, choices.choice((1, -1)))[attempt % 6]
    return side * (Fraction(1, 4) + unit) * spread


def _to_numbers(values: Mapping[tuple[str, int], Fraction]) -> dict[tuple[str, int], Any]:
    return {key: mp.mpf(value.numerator) / value.denominator for key, value in values.items()}


# --- variables ----------------------------------------------------------------------------------------------

# What is known of each entry on its own; other assumptions tie the entries together.
_KINDS_OF_ENTRIES = frozenset({"positive", "nonzero", "invertible"})
_KINDS_OF_LINES = frozenset({"simplex", "simplex-columns", "one-hot"})
_KNOWN = _KINDS_OF_LINES | {
    "symmetric", "posdef", "skew", "diagonal", "lower-triangular", "upper-triangular", "unit-interval", "sign",
    "orthogonal",
}  # fmt: skip


def write_out_symbol(tower: Tower, variable: Expression, sizes: Mapping[str, int]) -> Entries:
    """Return the entries of a variable, with what is assumed of it written into them; raises NotShown."""
    shape = tuple(size.value(sizes) for size in variable.shape)
    assumed = list_structures(variable) - {"real"}
    ties = assumed - _KINDS_OF_ENTRIES
    if not ties <= _KNOWN or len(ties - {"posdef", "symmetric"}) > 1 or (
        ties & {"orthogonal", *_KINDS_OF_LINES} and len(ties) > 1
    ):  # fmt: skip
        raise NotShown(f"{variable.name} is assumed to be {', '.join(sorted(ties))}")
    is_positive = bool(assumed & {"positive", "unit-interval"})
    make = UnitEntry if "sign" in assumed else FreeEntry

    def entry(place: int) -> Element:
        key = ("variable", variable.name, place)
        return tower.element(tower.find(key, lambda: make(variable.name, place, positive=is_positive)))

    for kind in ties & _KINDS_OF_LINES:
        is_down = kind == "simplex-columns" or variable.shape[1] == UNIT
        return _write_lines(tower, variable.name, kind, shape, 0 if is_down else 1)
    if "orthogonal" in assumed:
        return _write_orthogonal(tower, variable.name, shape)
    columns = shape[-1]
    flat = []
    for place, index in enumerate(product(*map(range, shape))):
        flat.append(_tie(tower, ties, index, place, columns, entry))
    found = Entries(shape, tuple(flat))
    if "posdef" in ties:
        _require_posdef(tower, found, variable.name)
    if "unit-interval" in assumed:
        for one in flat:
            tower.conditions.append((tower.one - one, f"{variable.name} is below 1"))
    return found


def _tie(tower: Tower, ties: frozenset[str], index: tuple[int, ...], place: int, columns: int, entry: Any) -> Element:
    """Return an entry of a matrix whose entries are tied to each other."""
    if len(index) == 2 and index[0] != index[1]:
        is_above = index[0] < index[1]
        if "diagonal" in ties or ("lower-triangular" in ties and is_above) or (
            "upper-triangular" in ties and not is_above
        ):  # fmt: skip
            return tower.zero
        mirrored = index[1] * columns + index[0]
        if ties & {"symmetric", "posdef"} and index[0] > index[1]:
            one: Element = entry(mirrored)
            return one
        if "skew" in ties and index[0] > index[1]:
            return -entry(mirrored)
    elif "skew" in ties:
        return tower.zero
    one = entry(place)
    return one


def _require_posdef(tower: Tower, x: Entries, name: str) -> None:
    """Note that the leading minors of a matrix are positive."""
    rows = x.rows()
    for count in range(1, len(rows) + 1):
        corner = Entries((count, count), tuple(entry for row in rows[:count] for entry in row[:count]))
        tower.conditions.append((find_determinant(tower, corner), f"{name} is positive definite"))


def _write_lines(tower: Tower, name: str, kind: str, shape: tuple[int, ...], axis: int) -> Entries:
    """Return entries of which each line along an axis is a point of the simplex, or has one 1 among zeros."""
    width = shape[axis]
    write = _write_place if kind == "one-hot" else _write_shares
    flat = tuple(entry for line in range(shape[1 - axis]) for entry in write(tower, name, line * width, width))
    return Entries(shape, flat) if axis == 1 else transpose_entries(Entries(shape[::-1], flat))


def _write_shares(tower: Tower, name: str, start: int, width: int) -> list[Element]:
    """Return positive entries with the sum 1."""
    own = [
        tower.element(tower.add(FreeEntry(f"share {name}", start + place, positive=True)))
        for place in range(width - 1)
    ]
    last = tower.one - tower.sum(own)
    tower.conditions.append((last, f"{name} has positive entries"))
    return [*own, last]


def _write_place(tower: Tower, name: str, start: int, width: int) -> list[Element]:
    """Return a 1 and zeros, 1 or -1 saying in which half of the line it is, and so on in that half."""
    if width == 1:
        return [tower.one]
    side = tower.element(tower.add(UnitEntry(f"place {name}", start)))
    half = width // 2
    found = []
    for sign, first, count in ((1, start, half), (-1, start + half, width - half)):
        is_here = (tower.one + side.mul_ground(QQ(sign))).mul_ground(QQ(1, 2))
        found += [tower.multiply(is_here, entry) for entry in _write_place(tower, name, first, count)]
    return found


def _write_orthogonal(tower: Tower, name: str, shape: tuple[int, ...]) -> Entries:
    """Return a rotation with rational entries, the first column times 1 or -1; of two or three rows."""
    size = shape[0]
    if size not in (2, 3):
        raise NotShown(f"{name} is assumed to be orthogonal")
    side = tower.element(tower.add(UnitEntry(f"side {name}")))
    letters = [tower.element(tower.add(FreeEntry(f"angle {name}", place))) for place in range(3 if size == 3 else 1)]
    if size == 2:
        (t,) = letters
        over = tower.invert(tower.one + t**2)
        rotation = [[1 - t**2, 2 * t], [-2 * t, 1 - t**2]]
    else:
        b, c, d = letters
        over = tower.invert(tower.one + b**2 + c**2 + d**2)
        rotation = [
            [1 + b**2 - c**2 - d**2, 2 * (b * c - d), 2 * (b * d + c)],
            [2 * (b * c + d), 1 - b**2 + c**2 - d**2, 2 * (c * d - b)],
            [2 * (b * d - c), 2 * (c * d + b), 1 - b**2 - c**2 + d**2],
        ]
    flat = []
    for row in rotation:
        for column, entry in enumerate(row):
            one = tower.multiply(entry.mul_ground(QQ(1)), over)
            flat.append(tower.multiply(one, side) if column == 0 else one)
    return Entries(shape, tuple(flat))


def _find_generator(tower: Tower, entry: Element) -> Generator:
    return tower.list_generators(entry)[0]
