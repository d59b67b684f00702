"""Text -> typed expression: shapes are inferred first, sizes are named, then the nodes are built."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

from matcalc.errors import DeclarationError, MatcalcError, RuleError, ShapeError
from matcalc.language import expression
from matcalc.language.calls import list_size_names
from matcalc.language.declarations import (
    SQUARE_ASSUMPTIONS,
    Declared,
    read_assumptions,
    read_shapes,
)
from matcalc.language.draft import (
    Draft,
    Kinds,
    Letters,
    Reading,
    hold_axes,
    is_unit,
    name_sizes,
    resolve,
    settle,
    squeeze_axes,
    unify,
)
from matcalc.language.expression import Expression, list_letters, symbol, symbols, walk
from matcalc.language.infer_shapes import infer
from matcalc.language.names import CONSTANTS, describe_lookalikes
from matcalc.language.read_text import SourceText
from matcalc.language.rewrite import replace
from matcalc.language.sizes import UNIT, Shape, Size, squeeze_shape, write_shape
from matcalc.language.slices import list_bound_names, require_ranges
from matcalc.rule_files import Rule, RuleBook, shipped_rules


class UnchosenError(DeclarationError):
    """The text is read, and has several variables by which it may be derived."""


@dataclass(frozen=True)
class Problem:
    """What texts say: the expressions, their variables by name, and the one to differentiate by.

    `abstract` holds the output shapes of abstract functions without unit axes; `notes` what the reader
    should know about how the texts were understood, `definitions` what the names that the texts define stand for,
    `reading` the first text in the language where it was written in another notation, `inferred` the names that are by
    their use what their letters do not say.
    """

    expressions: tuple[Expression, ...]
    symbols: dict[str, Expression]
    abstract: dict[str, Shape]
    wrt: Expression | None
    notes: tuple[str, ...]
    definitions: tuple[tuple[str, Expression], ...] = ()
    reading: str | None = None
    inferred: tuple[str, ...] = ()


def parse(
    texts: str | Expression | Sequence[str | Expression],
    *,
    wrt: str | None = None,
    choose_wrt: bool = False,
    shapes: Declared = None,
    assume: Declared = None,
    rules: RuleBook | None = None,
) -> Problem:
    """Return the typed expressions of texts that share their names; sizes are lettered as a textbook would.

    An expression that is typed already may stand for a text; its shapes count as declared.  With `wrt` its symbol
    is returned as well; with `choose_wrt` that is x, else X, else the only variable.  Raises a MatcalcError that
    points at the place: ParseError, ShapeError, DeclarationError, MissingRuleError or LimitError.

    >>> problem = parse("A @ X @ B", wrt="X")
    >>> {name: symbol.shape for name, symbol in problem.symbols.items()}
    {'A': (m, n), 'X': (n, k), 'B': (k, l)}
    """
    asked = Texts.of(texts, wrt, choose_wrt, shapes, assume, rules)
    return asked.settle(asked.read_language())


@dataclass(frozen=True)
class Understood:
    """What one way to read the texts gives: the names and drafts, the roots, the variable and the assumptions."""

    reading: Reading
    roots: list[Draft | Expression]
    wrt: str | None
    assumptions: dict[str, frozenset[str]]


@dataclass(frozen=True)
class Texts:
    """The texts that are read together, and what is declared about their names."""

    texts: tuple[str | Expression, ...]
    wrt: str | None
    choose_wrt: bool
    declared: dict[str, Shape]
    assumptions: dict[str, frozenset[str]]
    rules: RuleBook

    @classmethod
    def of(
        cls, texts: str | Expression | Sequence[str | Expression], wrt: str | None, choose_wrt: bool,
        shapes: Declared, assume: Declared, rules: RuleBook | None,
    ) -> Texts:  # fmt: skip
        """Return the texts with what is declared about them; raises DeclarationError for what is no declaration."""
        given = (texts,) if isinstance(texts, str | Expression) else tuple(texts)
        book = shipped_rules() if rules is None else rules
        return cls(given, wrt, choose_wrt, read_shapes(shapes), read_assumptions(assume), book)

    def read_language(self) -> Understood:
        """Return what the texts mean in the language itself."""
        return self.understand([_read_source(text) for text in self.texts])

    def understand(
        self, sources: Sequence[Source], kinds: Mapping[str, int] | None = None, infer_own: InferOwn | None = None
    ) -> Understood:
        """Return what texts, trees and expressions mean; with `kinds` names have the axes that are assumed there.

        `infer_own` reads a source that is neither a text of the language nor an expression.
        """
        declared, assumptions = dict(self.declared), dict(self.assumptions)
        for source in sources:
            if isinstance(source, Expression):
                _declare_typed(source, declared, assumptions)
            elif isinstance(source, NotatedText):
                source.declare(declared, assumptions)
        reading = Reading(self.rules, find_stated_shape, declared, has_identity=kinds is not None)
        reading.sizes = _collect_sizes(reading, sources)
        for name, axes in (kinds or {}).items():
            reading.assumed[name] = axes
        try:
            roots = [
                infer_own(reading, source) if infer_own is not None and isinstance(source, NotatedText)
                else _infer_source(reading, source) for source in sources
            ]  # fmt: skip
            for name in reading.abstract:
                if name in reading.symbols:
                    reason = f"{name} is used as a function and as a variable"
                    raise DeclarationError(reason, advice="rename one of them")
            chosen = _choose_wrt(reading, self.wrt, self.choose_wrt)
            _apply_assumptions(reading, assumptions)
            require_ranges(reading)
        except MatcalcError as error:
            raise error.complete(reading.source.text, reading.write_symbols()) from None
        return Understood(reading, roots, chosen, assumptions)

    def settle(self, understood: Understood) -> Problem:
        """Name the sizes and build the nodes."""
        return _settle_problem(understood.reading, understood.roots, understood.wrt, understood.assumptions)


class NotatedText(SourceText):
    """A text in mathematical notation, whose parts know their places themselves."""

    def __init__(
        self, text: str, sizes: Collection[str], shapes: Mapping[str, Shape], assumed: Mapping[str, frozenset[str]]
    ) -> None:
        self.text = re.sub(r"\s", " ", text)
        self.definitions = ()
        self.sizes = frozenset(sizes)
        self.shapes, self.assumed = shapes, assumed

    def declare(self, declared: dict[str, Shape], assumptions: dict[str, frozenset[str]]) -> None:
        """Add what the text says of its names, unless the reader declared them."""
        for name, shape in self.shapes.items():
            declared.setdefault(name, shape)
        for name, words in self.assumed.items():
            assumptions[name] = assumptions.get(name, frozenset()) | words


Source = SourceText | Expression
InferOwn = Callable[[Reading, NotatedText], Draft]


def _read_source(text: str | Expression) -> Source:
    if isinstance(text, Expression):
        return text
    try:
        return SourceText(text)
    except MatcalcError as error:
        raise error.complete(text if isinstance(text, str) else repr(text), {}) from None


def _declare_typed(root: Expression, declared: dict[str, Shape], assumptions: dict[str, frozenset[str]]) -> None:
    """Add the shapes of a typed expression, and what is assumed of its symbols unless the reader says otherwise."""
    for node in walk(root):
        if node.op == "symbol":
            require_shape(node.name, declared.setdefault(node.name, node.declared_shape), node.declared_shape)
            if node.data[1]:
                assumptions.setdefault(node.name, node.data[1])
    for name, shape in list_abstract(root).items():
        require_shape(name, declared.setdefault(name, shape), shape)


def require_shape(name: str, declared: Shape, carried: Shape) -> None:
    """Raise DeclarationError where a name is declared with another shape than its symbol carries."""
    if hold_axes(declared) != hold_axes(carried):
        reason = f"{name} has two shapes, {write_shape(declared)} and {write_shape(carried)}"
        raise DeclarationError(reason, advice="declare no shape, or rename one of them")


def list_abstract(*roots: Expression) -> dict[str, Shape]:
    """Return the shapes of the abstract functions below the roots, without unit axes."""
    found = {}
    for node in walk(*roots):
        if node.op in ("abstract", "abstract_derivative"):
            found[node.name] = node.squeezed_shape if node.op == "abstract" else squeeze_shape(node.data[2])
    return found


def _collect_sizes(reading: Reading, sources: Sequence[Source]) -> dict[str, Size]:
    """Return the names that stand for sizes: declared letters, and names used as sizes in a text."""
    letters = {letter for shape in reading.declared.values() for size in shape for letter in size.base_letters}
    for source in sources:
        if isinstance(source, Expression):
            sizes = [node.data[0] for node in walk(source) if node.op == "size"]
            letters.update(list_letters(source), *(size.base_letters for size in sizes))
            continue
        if isinstance(source, NotatedText):
            letters |= source.sizes - set(reading.declared)
            continue
        for tree in (*(definition.tree for definition in source.definitions), source.tree):
            letters |= list_size_names(tree).union(*map(list_bound_names, ast.walk(tree)))
    if "pi" in letters:
        raise DeclarationError("pi is a number and cannot be a size", advice="use another letter for the size")
    for letter in sorted(letters & set(reading.declared)):
        advice = f"use another letter for one of them; a size is also a number, as in sum(x)/{letter}, undeclared"
        raise DeclarationError(f"{letter} is declared as a variable and used as a size", advice=advice)
    return {letter: Size.of(letter) for letter in letters}


def _infer_source(reading: Reading, source: Source) -> Draft | Expression:
    if isinstance(source, Expression):
        for name, node in symbols(source).items():
            reading.symbols.setdefault(name, node.shape)
        reading.abstract.update(list_abstract(source))
        return source
    reading.source = source
    return infer(reading)


def _choose_wrt(reading: Reading, wrt: str | None, choose: bool) -> str | None:
    """Return the name to differentiate by; raises DeclarationError that lists the names."""
    known = list(reading.symbols)
    if wrt is None and choose:
        wrt = next((name for name in ("x", "X") if name in known), known[0] if len(known) == 1 else None)
        if wrt is None:
            listed = ", ".join(known)
            reason = f"which variable to differentiate by? there are {listed}" if known else "there is no variable"
            raise UnchosenError(reason, advice="say which with --wrt, or wrt=")
    if wrt in reading.defined and wrt not in known:
        reason = f"{wrt} is defined by the formula, so it is not a variable; the variables are {', '.join(known)}"
        raise DeclarationError(reason, advice=f"leave the definition of {wrt} out to derive by it")
    if wrt is not None and wrt not in known:
        if wrt not in reading.declared or wrt in reading.abstract:
            listed = f"the variables are {', '.join(known)}" if known else "it has none"
            reason = f"the expression has no variable {wrt}; {listed}"
            raise DeclarationError(reason, advice=f"declare the shape of {wrt} if the derivative shall be zero")
        reading.symbols[wrt] = hold_axes(reading.declared[wrt])
    return wrt


def _apply_assumptions(reading: Reading, assumptions: dict[str, frozenset[str]]) -> None:
    """Make the matrices square that are assumed to be of a square kind."""
    for name, words in assumptions.items():
        axes = reading.symbols.get(name)
        if axes is None:
            if name not in reading.declared:
                listed = ", ".join(reading.symbols) or "none"
                raise DeclarationError(f"{name} is no variable, so nothing can be assumed about it; there are {listed}")
            continue
        if "orthogonal" in words and name not in reading.declared and resolve(axes[0]) is not resolve(axes[-1]):
            reading.note(f"{name} is square, since it is orthogonal; orthonormal columns alone cannot be assumed")
        square = sorted(words & SQUARE_ASSUMPTIONS)
        if square and not (len(axes) == 2 and is_unit(axes[0]) == is_unit(axes[1]) and unify(*axes)):
            raise ShapeError(f"{name} is {reading.describe(axes)}, and only a square matrix can be {square[0]}")


def _settle_problem(
    reading: Reading, roots: list[Draft | Expression], wrt: str | None, assumptions: dict[str, frozenset[str]]
) -> Problem:
    """Name the sizes and build the nodes."""
    own = squeeze_axes(reading.symbols[wrt]) if wrt is not None else ()
    taken = {*reading.symbols, *reading.sizes, *reading.abstract, *reading.declared, *reading.defined, *CONSTANTS}
    others = [*reading.symbols.values(), *reading.abstract.values(), *(draft.axes for draft in reading.drafts)]
    result = (roots[0].shape if isinstance(roots[0], Expression) else roots[0].axes) if roots else ()
    letters = name_sizes(own, squeeze_axes(result), others, taken)
    found = {
        name: symbol(name, settle(axes, letters), assumptions.get(name, frozenset()))
        for name, axes in reading.symbols.items()
    }
    built = build_expressions(reading.drafts, letters, found)
    abstract = {name: settle(axes, letters) for name, axes in reading.abstract.items()}
    # The symbols of the problem may have more assumptions than those of a typed expression.
    expressions = tuple(
        replace(root, {node: found[node.name] for node in walk(root) if node.op == "symbol"})
        if isinstance(root, Expression) else built[root.position] for root in roots
    )  # fmt: skip
    definitions = tuple((name, built[draft.position]) for name, draft in reading.defined.items())
    moved = None if wrt is None else found[wrt]
    lookalikes = [note for name in (*found, *abstract) if (note := describe_lookalikes(name))]
    return Problem(expressions, found, abstract, moved, (*reading.notes, *lookalikes), definitions)


# --- nodes ----------------------------------------------------------------------------------------------
#
# Drafts -> typed nodes, once every size has its letter.


_BUILDERS: dict[str, Callable[..., Expression]] = {
    "add": expression.add, "subtract": expression.subtract, "multiply": expression.multiply,
    "divide": expression.divide, "power": expression.power, "matmul": expression.matmul,
    "negate": expression.negate, "transpose": expression.transpose,
}  # fmt: skip


def build_expressions(drafts: list[Draft], letters: Letters, symbols: Mapping[str, Expression]) -> list[Expression]:
    """Return one node for each draft; a draft comes after the drafts that it uses."""
    built: list[Expression] = []
    for draft in drafts:
        built.append(_build(draft, tuple(built[arg.position] for arg in draft.args), letters, symbols))
    return built


def _build(
    draft: Draft, args: tuple[Expression, ...], letters: Letters, symbols: Mapping[str, Expression]
) -> Expression:
    if draft.op in _BUILDERS:
        return _BUILDERS[draft.op](*args)
    data = draft.data
    match draft.op:
        case "symbol":
            return symbols[data[0]]
        case "call":
            return expression.call(data[0], args, settle(draft.axes, letters), *data[1:])
        case "compare":
            return expression.compare(data[0], *args)
        case "einsum":
            return expression.einsum(data[0], args)
        case "number":
            return expression.number(data[0])
        case "constant":
            return expression.constant(data[0])
        case "size":
            return expression.size_value(*settle(data, letters))
        case "filled":
            return expression.filled(data[0], *settle(data[1], letters))
        case "abstract":
            return expression.abstract(data[0], args[0], settle(draft.axes, letters))
        case "abstract_derivative":
            return expression.abstract_derivative(data[0], args[0], data[1], settle(data[2], letters))
    return expression.number(0)  # a quoted literal such as 'nuc', which the chosen rule stands for


# --- texts of rules -----------------------------------------------------------------------------------


_book: ContextVar[RuleBook | None] = ContextVar("book", default=None)


@contextmanager
def rules_in_force(book: RuleBook | None) -> Iterator[None]:
    """Read the texts of rules with this book meanwhile; None leaves the one in force, at first the shipped rules."""
    token = _book.set(book if book is not None else _book.get())
    try:
        yield
    finally:
        _book.reset(token)


def parse_rule_text(rule: Rule, text: str, shapes: tuple[Shape, ...], book: RuleBook | None = None) -> Expression:
    """Return the typed expression of a text of a rule, for arguments of these 2-D shapes.

    The names are the rule's parameters, dX for each parameter X (of the same shape), and the letters of its
    axes, which stand for the sizes given; without a book it is read with the one in force.  Raises the MatcalcErrors of
    `parse`.
    """
    return _parse_rule_text(rule, text, shapes, choose_book(book))


def choose_book(book: RuleBook | None) -> RuleBook:
    """Return the book, without one that in force, at first the shipped rules."""
    return book or _book.get() or shipped_rules()


@lru_cache(maxsize=4000)
def _parse_rule_text(rule: Rule, text: str, shapes: tuple[Shape, ...], book: RuleBook) -> Expression:
    declared = {parameter.name: shape for parameter, shape in zip(rule.variables, shapes, strict=True)}
    declared |= {"d" + name: shape for name, shape in declared.items()}
    reading = Reading(book, find_stated_shape, declared, _bind_sizes(rule, shapes), is_rule=True)
    try:
        reading.source = SourceText(text)
        root = infer(reading)
    except MatcalcError as error:
        raise error.complete(text, {name: write_shape(shape) for name, shape in declared.items()}) from None
    symbols = {name: symbol(name, declared[name]) for name in reading.symbols}
    return build_expressions(reading.drafts, {}, symbols)[root.position]


def _bind_sizes(rule: Rule, shapes: tuple[Shape, ...]) -> dict[str, Size]:
    """Return the sizes that the letters of a rule's axes stand for."""
    bound: dict[str, Size] = {}
    for parameter, shape in zip(rule.variables, shapes, strict=True):
        axes = parameter.axes or ()
        sizes = shape if len(axes) != 1 or not shape[0].is_unit else shape[::-1]
        bound |= {letter: size for letter, size in zip(axes, sizes, strict=False) if letter.isidentifier()}
    return bound


@lru_cache(maxsize=500)
def find_stated_shape(book: RuleBook, rule: Rule, kinds: Kinds) -> int | None:
    """Return which argument a rule's definition is shaped like, None for a scalar; raises RuleError for neither."""
    shapes = tuple(tuple(UNIT if unit else Size.of(f"s{place}") for place, unit in enumerate(kind)) for kind in kinds)
    shape = _infer_definition(book, rule, shapes)
    if all(size.is_unit for size in shape):
        return None
    if shape in shapes:
        return shapes.index(shape)
    raise RuleError(
        f"rule [{rule.name}] in {rule.file} does not say the shape of its result",
        advice=f'write call = "{rule.call} -> [m,n]"',
    )


_open_definitions: ContextVar[tuple[Rule, ...]] = ContextVar("open_definitions", default=())


def _infer_definition(book: RuleBook, rule: Rule, shapes: tuple[Shape, ...]) -> Shape:
    if rule in _open_definitions.get():
        raise RuleError(f"rule [{rule.name}] in {rule.file} is defined by itself")
    token = _open_definitions.set((*_open_definitions.get(), rule))
    try:
        return parse_rule_text(rule, rule.define, shapes, book).shape
    except RuleError:
        raise
    except MatcalcError as error:
        raise RuleError(f"rule [{rule.name}] in {rule.file} cannot be used here: {error}") from None
    finally:
        _open_definitions.reset(token)
