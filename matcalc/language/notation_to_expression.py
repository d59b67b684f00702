"""Texts that may be mathematical notation -> typed expressions: the language first, then what people write.

What the language accepts keeps its meaning; only what it refuses, or what is plainly a habit, is read as notation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from matcalc.errors import LimitError, MatcalcError, ParseError
from matcalc.language import names as names
from matcalc.language.declarations import read_shape
from matcalc.language.draft import Draft, Reading
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import to_text
from matcalc.language.habits import AmbiguityError, calls_habit, require_names, weigh_scales
from matcalc.language.infer_shapes import infer_product
from matcalc.language.notation_calls import CALL_HANDLERS
from matcalc.language.notation_entries import ENTRY_HANDLERS, list_place_letters
from matcalc.language.notation_fills import list_written_sizes
from matcalc.language.notation_index_sums import INDEX_HANDLERS, find_repeated, find_summed, read_index_sum
from matcalc.language.notation_names import (
    MOST_ATTEMPTS,
    Assumed,
    Option,
    Success,
    count_column_row_sums,
    count_mixed_sums,
    is_vector_letter,
    list_choices,
    list_formula_names,
    list_kinds,
    note_kinds,
    search,
)
from matcalc.language.notation_powers import POWER_HANDLERS
from matcalc.language.notation_stacks import JOINING_WORDS, STACK_HANDLERS, list_joined_sizes
from matcalc.language.notation_statements import Formula, read_formula, read_variable, strip_question
from matcalc.language.notation_to_draft import (
    ARRAY_FUNCTIONS,
    HANDLERS,
    MIXED_SUM,
    SCALAR_FOR_ARRAY,
    Interpreter,
)
from matcalc.language.notation_tokens import detect_syntax, is_mixed_code
from matcalc.language.notation_tree import walk_nodes
from matcalc.language.read_text import LONGEST_SOURCE, SourceText
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import NotatedText, Problem, Source, Texts, UnchosenError, Understood


def read_notation(asked: Texts, syntax: str, understood: Understood | None, refused: MatcalcError | None) -> Problem:
    """Return what texts mean in some notation; raises the error of what is better understood.

    `understood` is what the language makes of them where it does, `refused` its error where it does not.
    """
    candidates: list[Candidate] = []
    for sources in _list_sources(asked, syntax):
        try:
            candidates.append(_Search(asked, sources(), understood).find())
        except AmbiguityError:
            raise
        except MatcalcError as error:
            refused = error if refused is None or _says_more(error, refused, asked) else refused
        if candidates and candidates[-1].cost <= FREE:
            break
    if candidates:
        return min(candidates, key=lambda candidate: candidate.cost).settle()
    if understood is not None:
        return asked.settle(understood)
    assert refused is not None
    raise refused


def _says_more(error: MatcalcError, refused: MatcalcError, asked: Texts) -> bool:
    """Whether the error of a notation says more than that of the language, which stumbled over the signs."""
    if isinstance(error, UnchosenError):
        return True
    if not isinstance(refused, ParseError):
        return False
    texts = [text for text in asked.texts if isinstance(text, str)]
    if refused.reason.startswith("this is not an expression") and error.span is not None:
        return True
    return refused.reason.endswith("is not in the language") or any(detect_syntax(text) != "math" for text in texts)


def _list_sources(asked: Texts, syntax: str) -> Iterator[Callable[[], list[Source]]]:
    """Yield the ways in which the texts can be read: as texts of the language where they are, else as notation."""
    own = [_read_own(text) if syntax == "auto" or isinstance(text, Expression) else None for text in asked.texts]

    def read(sources: Sequence[Source | None]) -> list[Source]:
        pairs = zip(sources, asked.texts, strict=True)
        return [
            source or (text if isinstance(text, Expression) else read_notated(text, asked, syntax))
            for source, text in pairs
        ]

    if any(isinstance(source, SourceText) for source in own):
        yield lambda: read(own)
    yield lambda: read([None] * len(own))
    if syntax == "auto" and any(isinstance(text, str) and is_mixed_code(text) for text in asked.texts):
        yield lambda: [
            text
            if isinstance(text, Expression)
            else read_notated(text, asked, "math" if is_mixed_code(text) else syntax)
            for text in asked.texts
        ]


def _read_own(text: str | Expression) -> Source | None:
    try:
        return text if isinstance(text, Expression) else SourceText(text)
    except MatcalcError:
        return None


# So many parts are read in all attempts together, and so many attempts are made of a long text.
MOST_PARTS, FEWEST_ATTEMPTS = 20_000, 40
# A reading that costs no more needs no other one beside it.
FREE = 2.0
# What is as good as never meant, and what no reading may cost.
HABIT, TOO_MUCH = 9.0, 4.5


class Notation(NotatedText):
    """A text, the formula that it is, and the syntax in which it was read."""

    def __init__(self, text: str, formula: Formula, syntax: str) -> None:
        trees = [*(tree for _, tree in formula.definitions), formula.root]
        sizes = {size for tree in trees for node in walk_nodes(tree) for size in list_written_sizes(node)}
        sizes |= {size for tree in trees for node in walk_nodes(tree) for size in list_joined_sizes(node)}
        sizes |= {read_index_sum(node)[1] for tree in trees for node in walk_nodes(tree) if node.kind == "sum"} - {""}
        shapes = {name: read_shape(name, shape) for name, shape in formula.shapes.items()}
        sizes |= {letter for shape in shapes.values() for size in shape for letter in size.base_letters}
        assumed = {name: frozenset(words) for name, words in formula.assumed.items()}
        indices = {letter for node in walk_nodes(*trees) if node.kind == "sum" for letter in read_index_sum(node)[0]}
        places = {letter for node in walk_nodes(*trees) for letter in list_place_letters(node)} - indices
        assumed |= {f"e_{letter}": frozenset({"one-hot"}) for letter in places}
        super().__init__(text, sizes, shapes, assumed)
        self.formula, self.syntax, self.trees = formula, syntax, trees


def read_notated(text: str, asked: Texts, syntax: str) -> Notation:
    """Return a text as notation; raises ParseError where it cannot be read."""
    if len(text) > LONGEST_SOURCE // 4:
        raise LimitError(f"the text has {len(text)} characters; {LONGEST_SOURCE // 4} is the most in notation")
    syntax = detect_syntax(strip_question(text)[0]) if syntax == "auto" else syntax
    known = {*asked.declared, *([asked.wrt] if asked.wrt else [])}
    functions = {*asked.rules.functions, *names.SPECIAL, *JOINING_WORDS}
    try:
        return Notation(text, read_formula(text, syntax, known, functions), syntax)
    except MatcalcError as error:
        raise error.complete(text, {}) from None
    except RecursionError:
        raise LimitError("the formula is nested too deeply", advice="split it into parts") from None


@dataclass(frozen=True)
class Candidate:
    """One way to read the texts, what it costs, and whether it is told how they were read."""

    asked: Texts
    found: Understood
    cost: float
    is_told: bool

    def settle(self) -> Problem:
        """Return the problem, with the reading where the texts were spelled otherwise."""
        problem = self.asked.settle(self.found)
        unusual = [
            name for name, found in problem.symbols.items() if len(found.squeezed_shape) != names.count_axes(name)
        ]
        problem = replace(problem, inferred=tuple(name for name in unusual if name not in self.asked.declared))
        return (
            replace(problem, reading=to_text(problem.expressions[0]))
            if self.is_told and problem.expressions
            else problem
        )


@dataclass
class _Search:
    """The search for the cheapest reading of sources; `usual` is what the language itself makes of them, if it does."""

    asked: Texts
    sources: Sequence[Source]
    usual: Understood | None

    def find(self) -> Candidate:
        """Return the cheapest reading; raises ParseError that asks where two are as cheap."""
        parts = sum(1 for source in self.sources if isinstance(source, Notation) for _ in walk_nodes(*source.trees))
        most = min(MOST_ATTEMPTS, max(FEWEST_ATTEMPTS, MOST_PARTS // max(1, parts)))
        found, error = search(self._list_kinds(), self._list_choices(), self.attempt, most)
        if not found or (found[0].cost >= TOO_MUCH and self.usual is None):
            raise error or ParseError(
                "this fits no kinds of its names", advice="declare them, as in --vars 'A: m,n; x: n'"
            )
        if len(found) > 1:
            self._ask(found)
        first = found[0]
        self._ask_about_sizes(first)
        if not self._is_notated:
            require_names(first.found.reading, self._wrt)
        if self.usual is not None and not self._is_notated and first.cost >= self._usual_cost():
            return Candidate(self.asked, self.usual, self._usual_cost(), False)
        note_kinds(first.assumed.kinds, first.found.reading)
        shown = self._is_notated or any(draft.op == "filled" for draft in first.found.reading.drafts)
        return Candidate(self.asked, first.found, first.cost, shown)

    def _ask_about_sizes(self, found: Success[Understood]) -> None:
        """Raise AmbiguityError where n beside the identity or ones may be their size, and was taken for a scalar."""
        reading = found.found.reading
        opened = [draft for draft in reading.drafts if draft.op == "filled" and not isinstance(draft.data[1][0], Size)]
        scalars = [name for name, axes in found.assumed.kinds.items() if axes == 0 and name in reading.symbols]
        counts = [name for name in scalars if name in ("n", "m", "N", "d", "p", "k")]
        if opened and counts:
            first, name = reading.write(opened[0]), counts[0]
            advice = f"declare it, --vars '{name}: scalar', or write the size, as in ones({name}) and eye({name})"
            error = AmbiguityError(f"{name} may be a number, or the size of {first}", advice=advice)
            raise error.complete(reading.source.text, {})

    @property
    def _is_notated(self) -> bool:
        return any(isinstance(source, Notation) for source in self.sources)

    def _usual_cost(self) -> float:
        assert self.usual is not None
        reading = self.usual.reading
        known = set(reading.declared)
        is_habit = bool({"I"} & set(reading.symbols) - known) or calls_habit(reading)
        crossed = SCALAR_FOR_ARRAY * count_column_row_sums(reading.drafts)
        mixed = MIXED_SUM * count_mixed_sums(reading.drafts) + weigh_scales(reading)
        return crossed + mixed + HABIT * is_habit

    def _list_kinds(self) -> dict[str, list[Option]]:
        found: dict[str, list[Option]] = {}
        wrt = self._wrt
        for source in self.sources:
            is_own = not isinstance(source, Notation)
            for name in list_formula_names(source.formula) if isinstance(source, Notation) else _list_own_names(source):
                settled = name in self.asked.declared or (isinstance(source, NotatedText) and name in source.shapes)
                if not settled and name not in found and not (name == "I" or name.startswith("I_")):
                    found[name] = list_kinds(name, is_own, name == wrt, _is_bold(source, name), _is_code(source))
        return found

    @property
    def _wrt(self) -> str | None:
        asked = next((source.formula.wrt for source in self.sources if isinstance(source, Notation)), None)
        return self.asked.wrt or asked

    def _list_choices(self) -> dict[int, list[Option]]:
        # The numbers of choices count from 0 in each text.
        found: dict[int, list[Option]] = {}
        for place, source in enumerate(self.sources):
            if isinstance(source, Notation):
                found |= {
                    number * len(self.sources) + place: options
                    for number, options in list_choices(source.trees).items()
                }
        return found

    def attempt(self, assumed: Assumed) -> tuple[Understood, float, frozenset[str], frozenset[int]]:
        """Return what the sources mean under some assumptions, and what speaks against it."""
        interpreters: list[tuple[int, Interpreter]] = []

        def infer_notation(reading: Reading, source: NotatedText) -> Draft:
            assert isinstance(source, Notation)
            place = next(place for place, each in enumerate(self.sources) if each is source)
            count = len(self.sources)
            choices = {number // count: value for number, value in assumed.choices.items() if number % count == place}
            handlers = {
                **HANDLERS, **CALL_HANDLERS, **ENTRY_HANDLERS, **INDEX_HANDLERS, **POWER_HANDLERS, **STACK_HANDLERS,
            }  # fmt: skip
            reader = Interpreter(reading, source.syntax, assumed.kinds, choices, handlers)
            interpreters.append((place, reader))
            return _infer_notation(reader, source)

        asked = self.asked
        if asked.wrt is None and self._wrt is not None:
            asked = replace(asked, wrt=read_variable(self._wrt), choose_wrt=False)
        understood = asked.understand(self.sources, assumed.kinds, infer_notation)
        cost = sum(reader.cost for _, reader in interpreters) + weigh_scales(understood.reading)
        if not self._is_notated:
            cost += HABIT * calls_habit(understood.reading)
            cost += SCALAR_FOR_ARRAY * count_column_row_sums(understood.reading.drafts)
            cost += MIXED_SUM * count_mixed_sums(understood.reading.drafts)
            cost += SCALAR_FOR_ARRAY * _count_scalars_for_arrays(understood.reading, assumed)
        chosen = {number * len(self.sources) + place for place, reader in interpreters for number in reader.chosen}
        return understood, cost, frozenset(understood.reading.symbols), frozenset(chosen)

    def _ask(self, found: Sequence[Success[Understood]]) -> None:
        """Raise ParseError that asks which of two readings is meant, unless they are the same expression."""
        texts: dict[str, Problem] = {}
        for success in found:
            problem = self.asked.settle(success.found)
            shapes = ", ".join(f"{name} {_describe(symbol)}" for name, symbol in problem.symbols.items())
            texts.setdefault("; ".join(map(to_text, problem.expressions)) + f"  ({shapes})", problem)
        if len(texts) > 1:
            first, second, *_ = texts
            advice = f"did you mean {first}, or {second}?"
            kinds = [{name: _describe(found) for name, found in problem.symbols.items()} for problem in texts.values()]
            unsure = [name for name, kind in kinds[1].items() if kind != kinds[0].get(name, kind)]
            if unsure:
                written = "; ".join(f"{name}: {_DECLARED.get(kinds[1][name], 'n')}" for name in unsure)
                advice += f" declare it, as in --vars '{written}'"
            error = AmbiguityError("this can be read in two ways", advice=advice)
            raise error.complete(str(self.asked.texts[0]), {})


_DECLARED = {"scalar": "scalar", "vector": "n", "matrix": "m,n"}


def _count_scalars_for_arrays(reading: Reading, assumed: Assumed) -> int:
    """Return how many products with @, transposes and functions of arrays have a name that is assumed a scalar."""
    return sum(
        1 for draft in reading.drafts for place, arg in enumerate(draft.args)
        if arg.op == "symbol" and arg.is_scalar and arg.data[0] in assumed.kinds
        and (draft.op in ("matmul", "transpose", "einsum") or (draft.op == "call" and _takes_array(draft, place)))
    )  # fmt: skip


def _takes_array(call: Draft, place: int) -> bool:
    """Whether an argument of a call is an array by the rule, or what is summed or normed."""
    rule = call.data[0]
    variables = rule.variables
    has_axes = place < len(variables) and bool(variables[place].axes)
    return has_axes or (place == 0 and rule.function in ARRAY_FUNCTIONS)


def _is_bold(source: Source, name: str) -> bool:
    return isinstance(source, Notation) and name in source.formula.bold


def _is_code(source: Source) -> bool:
    return isinstance(source, Notation) and source.syntax == "python"


def _describe(symbol: Expression) -> str:
    return {0: "scalar", 1: "vector", 2: "matrix"}.get(len(symbol.squeezed_shape), "array")


def _infer_notation(reader: Interpreter, source: Notation) -> Draft:
    reading, formula = reader.reading, source.formula
    reading.source = source
    for name, tree in formula.definitions:
        if name in reading.declared or name in reading.symbols:
            raise ParseError(f"{name} is declared as a variable, so it cannot be defined", span=tree.span)
        reader.repeated = find_repeated(tree)
        reading.defined[names.normalize_name(name)] = reader.draft(tree)
    reader.repeated, reader.summed = find_repeated(formula.root), find_summed(formula.root)
    root = reader.draft(formula.root)
    if root.is_row and root.op == "multiply" and root.args[0].is_scalar and is_vector_letter(root.args[0]):
        reader.cost += 1.0  # δ xᵀ alone is the product of two vectors as often
    if formula.root.kind == "matmul" and source.syntax == "python" and root.op == "transpose" and root.is_column:
        # x @ A alone: with one axis in NumPy, it is a row or a column here, as its reader says.
        row, _ = root.args[0].args
        infer_product(reading, formula.root.span, row.args[0], root.args[0].args[1])
    return root


def _list_own_names(source: Source) -> list[str]:
    import ast

    from matcalc.language.expression import symbols
    from matcalc.language.read_text import restore_name

    if isinstance(source, Expression):
        return list(symbols(source))
    defined = {definition.name for definition in source.definitions}
    trees = [*(definition.tree for definition in source.definitions), source.tree]
    found: dict[str, None] = {}
    for tree in trees:
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and id(node) not in called:
                found.setdefault(restore_name(node.id))
    return [name for name in found if name not in defined and name not in names.CONSTANTS]
