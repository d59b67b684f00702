"""A long expression -> definitions and a formula: p = softmax(A @ x), then diag(p) - p @ p.T."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from matcalc.language import names as names
from matcalc.language.expression import Expression, rebuild, symbol, walk
from matcalc.language.expression_to_text import POWER, TextPart, is_bracketed, is_longer, to_text, write_node
from matcalc.language.show_slices import has_selections, show_slices
from matcalc.language.text_to_expression import Problem
from matcalc.render.code.regroup import share_sums
from matcalc.rule_files import RuleBook, shipped_rules

# A line is too long with so many characters, or with fewer in so many brackets that it cannot be followed.
LONGEST_LINE, LONGEST_NESTED_LINE, MOST_BRACKETS = 350, 160, 7
# What has no more characters is as soon read as a name for it.
_SHORT_PART = 4


@dataclass(frozen=True)
class Named:
    """An expression whose parts have names; a definition uses those before it, each name is a symbol."""

    definitions: tuple[tuple[str, Expression], ...]
    formula: Expression


@dataclass(frozen=True)
class KnownNames(Collection[str]):
    """Names that have a meaning already, and what those stand for that the reader defined."""

    names: frozenset[str]
    definitions: tuple[tuple[str, Expression], ...] = ()

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def has_named_parts(expression: Expression, taken: Collection[str] = ()) -> bool:
    """Whether parts have names where an expression is written: it is long, or the reader has named some of them."""
    if is_long(expression):
        return True
    # Most texts define nothing, and then there is nothing to walk for.
    is_named = isinstance(taken, KnownNames) and bool(taken.definitions)
    return is_named and bool(_list_own(list(walk(show_slices(expression))), taken))


def _list_own(nodes: Sequence[Expression], taken: Collection[str]) -> dict[int, str]:
    """Return the names that the reader gave to nodes, by the id of the node; what is short is not worth a line."""
    known = taken.definitions if isinstance(taken, KnownNames) else ()
    if not known:
        return {}
    # Looked at once below all: a walk below each of the layers of a network would take the square of their number.
    is_shown = not has_selections(*(part for _, part in known))
    shown = known if is_shown else [(name, show_slices(part)) for name, part in known]
    texts = _write_all(nodes, set())
    inside = set(map(id, nodes[:-1]))
    return {id(part): name for name, part in shown if id(part) in inside and len(texts[id(part)][0]) > _SHORT_PART}


def name_parts(expression: Expression, taken: Collection[str] = ()) -> Named:
    """Return an expression with names for the parts that are written again and again, or nested deeply.

    No name is taken, or stands for something else in the expression.  Parts that the reader has named keep those
    names; a short expression has no others.

    >>> from matcalc.language.text_to_expression import parse
    >>> text = "softmax(A @ x)*y + softmax(A @ x)*z + softmax(A @ x) @ softmax(A @ x).T @ y"
    >>> named = name_parts(parse(text).expressions[0])
    >>> [(name, to_text(part)) for name, part in named.definitions], to_text(named.formula)
    ([('p', 'softmax(A @ x)')], 'p*y + p*z + p @ p.T @ y')
    """
    expression = show_slices(expression)
    is_broken = is_long(expression)
    nodes = list(walk(*share_sums(expression) if is_broken else [expression]))
    given = _list_own(nodes, taken)
    chosen = choose_parts(nodes) if is_broken or not given else set()
    parts = [node for node in nodes if id(node) in chosen and id(node) not in given]
    own = {node.name for node in nodes if node.op in ("symbol", "abstract", "abstract_derivative")}
    letters = {letter for node in nodes for size in node.shape for letter in size.base_letters}
    names = choose_names(parts, {*taken, *own, *letters})
    return _replace(nodes, given | dict(zip(map(id, parts), names, strict=True)))


def _replace(nodes: list[Expression], names: dict[int, str]) -> Named:
    definitions = []
    built: dict[int, Expression] = {}
    for node in nodes:
        args = tuple([built[id(arg)] for arg in node.args])
        built[id(node)] = node if args == node.args else rebuild(node, args)
        if id(node) in names:
            definitions.append((names[id(node)], built[id(node)]))
            built[id(node)] = symbol(names[id(node)], node.shape)
    return Named(tuple(definitions), built[id(nodes[-1])])


def list_taken(problem: Problem, rules: RuleBook | None = None, declared: Iterable[str] = ()) -> KnownNames:
    """Return the names that a part of an answer cannot have: all that mean something in the reader's own text."""
    functions = (shipped_rules() if rules is None else rules).functions
    shapes = [*(found.shape for found in problem.symbols.values()), *problem.abstract.values()]
    letters = {letter for shape in shapes for size in shape for letter in size.letters}
    own = (name for name, _ in problem.definitions)
    names = frozenset((*problem.symbols, *problem.abstract, *functions, *declared, *letters, *own))
    return KnownNames(names, problem.definitions)


def is_long(expression: Expression) -> bool:
    """Whether the text of an expression is too long for one line; it is not written to find that out."""
    if not is_longer(expression, LONGEST_NESTED_LINE):
        return False
    if is_longer(expression, LONGEST_LINE):
        return True
    return count_brackets(list(walk(expression)), set())[id(expression)] > MOST_BRACKETS


def to_text_named(
    expression: Expression, taken: Collection[str] = (), separator: str = "\n", left: str = ""
) -> str:
    """Return the text of an expression, in definitions and a formula where one line would be too long.

    Both can be read again.  `left` is written before the formula, as "df = ".  Raises LimitError for a text of
    more than 100,000 characters.
    """
    if not has_named_parts(expression, taken):
        return left + to_text(expression)
    named = name_parts(expression, taken)
    lines = [f"{name} = {to_text(part)}" for name, part in named.definitions]
    return separator.join([*lines, left + to_text(named.formula)])


# --- part names -------------------------------------------------------------------------------------
#
# Names for the parts of an expression, as a person would choose them: p for softmax, h1, h2 for layers.


_SCALARS, _VECTORS, _MATRICES, _ARRAYS = range(4)
# For parts that are nothing in particular: scalars are Greek, vectors small, matrices capital.
_ANY = (
    ("alpha", "beta", "gamma", "delta", "eta", "kappa", "rho", "tau"),
    ("u", "v", "w", "z", "q", "t"), ("U", "V", "W", "Z", "Q", "M"), ("G", "H", "K", "L"),
)  # fmt: skip
# The letters of parts that have a usual one.
_USUAL = {
    "softmax": ("omega", "p", "P", "P"), "sigmoid": ("sigma", "s", "S", "S"), "layer": ("eta", "h", "H", "H"),
    "residual": ("rho", "r", "R", "R"), "affine": ("zeta", "z", "Z", "Z"), "delta": ("delta", "g", "G", "G"),
}  # fmt: skip
_ACTIVATIONS = frozenset({"tanh", "relu", "leaky_relu", "elu", "silu", "gelu", "softplus"})


def choose_names(parts: Sequence[Expression], taken: Collection[str]) -> list[str]:
    """Return a name for each part, none of them taken, the name of a function or a number.

    >>> from matcalc.language.text_to_expression import parse
    >>> choose_names(parse(["softmax(A @ x)", "A @ x", "tanh(B @ x)"]).expressions, {"u"})
    ['p', 'v', 'h']
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, part in enumerate(parts):
        kind, usual = min(len(part.squeezed_shape), _ARRAYS), _find_usual(part)
        groups.setdefault(_ANY[kind] if usual is None else (_USUAL[usual][kind],), []).append(place)
    used, chosen = set(taken), [""] * len(parts)
    # Letters of their own come before those that are nothing in particular.
    for letters, places in sorted(groups.items(), key=lambda group: len(group[0])):
        for place, name in zip(places, _list_free_names(letters, len(places), used), strict=False):
            chosen[place] = name
            used.add(name)
    return chosen


def _find_usual(part: Expression) -> str | None:
    """Return which of the parts with a usual letter this is: a layer, a residual, ..."""
    function = part.data[0].function if part.op == "call" else ""
    if function in ("softmax", "log_softmax"):
        return "softmax"
    if function == "sigmoid":
        return function
    if function in _ACTIVATIONS:
        return "layer"
    has_product = any(arg.op == "matmul" for arg in part.args)
    if part.op == "subtract" and has_product:
        return "residual"
    if part.op == "add" and has_product:
        return "affine"
    return "delta" if part.op == "multiply" and has_product and not part.is_scalar else None


def _list_free_names(letters: tuple[str, ...], many: int, used: Collection[str]) -> Iterator[str]:
    """Yield so many names: the letters as they are where there are enough of them, else one with numbers."""
    fixed = {*used, *names.CONSTANTS, *names.SPECIAL}
    free = [letter for letter in letters if letter not in fixed and not shipped_rules().overloads(letter)]
    if len(free) >= many:
        return iter(free[:many])
    numbered = next(
        stem
        for stem in chain(letters, (f"{letters[0]}_{number}_" for number in count(1)))
        if not any(f"{stem}{number}" in used for number in range(1, many + 1))
    )
    return (f"{numbered}{number}" for number in range(1, many + 1))


# --- shared parts -----------------------------------------------------------------------------------
#
# Which parts of a long expression deserve a name: those that are written again and again, or nested too deeply.
#
# All is worked out on the shared graph, in time linear in its size: the text itself may be exponentially longer.


# A transpose, a sign and a comparison are written where they stand; what they are of can have a name.
_NAMEABLE = frozenset({
    "add", "subtract", "multiply", "divide", "power", "matmul", "call", "einsum", "abstract", "abstract_derivative",
})  # fmt: skip
_MOST_PLACES = 10**9
_LONGEST_PART = 200
_NAME: TextPart = ("h1", POWER)

# How many characters a name must save: A @ x is read at a glance, tanh(W @ x + b) is not.
_SAVED, _SAVED_BY_ONE_OPERATION = 9, 20
# Beyond so many brackets a formula is broken; what is then named has brackets and at least so many characters.
_DEEPEST, _DEEPEST_PART, _SHORTEST_CALL, _SHORTEST_PRODUCT = 6, 4, 12, 20


def choose_parts(nodes: Sequence[Expression]) -> set[int]:
    """Return the ids of the nodes that deserve a name; `nodes` are those of one expression, operands first."""
    shared = _choose_shared(nodes)
    return shared | _choose_nested(nodes, shared)


# --- what stands at several places --------------------------------------------------------------------


def _choose_shared(nodes: Sequence[Expression]) -> set[int]:
    """Return the nodes that stand at two places or more, counting a part that has a name once."""
    chosen = set[int]()
    lengths, operations = _measure(nodes, lambda *_: False)[:2]
    places = {id(node): 0 for node in nodes} | {id(nodes[-1]): 1}
    for node in reversed(nodes):
        count = places[id(node)]
        if count > 1 and node.op in _NAMEABLE and _is_worth_it(lengths[id(node)], operations[id(node)], count):
            chosen.add(id(node))
            count = 1
        for arg in node.args:
            places[id(arg)] = min(places[id(arg)] + count, _MOST_PLACES)
    # Without those that are short once their own parts have names, such as u**2; what they stand in is longer then.
    return _measure(nodes, lambda part, length, count: part in chosen and _is_worth_it(length, count, places[part]))[2]


def _is_worth_it(length: int, operations: int, places: int) -> bool:
    saved = (places - 1) * (length - 3)
    return saved >= (_SAVED if operations > 1 else _SAVED_BY_ONE_OPERATION)


def _measure(
    nodes: Iterable[Expression], deserves_name: Callable[[int, int, int], bool]
) -> tuple[dict[int, int], dict[int, int], set[int]]:
    """Return the length of each node, whether it is made of 0, 1 or more (2) operations, and those that get a name.

    `deserves_name` is asked with the id of a node, its length and its operations; what has a name is a leaf.
    """
    lengths, counts, named = dict[int, int](), dict[int, int](), set[int]()
    written = dict[int, TextPart]()
    for node in nodes:
        part, inside = _write(node, written), sum([0 if id(arg) in named else counts[id(arg)] for arg in node.args])
        lengths[id(node)], counts[id(node)] = len(part[0]), min(2, bool(node.args) + inside)
        if deserves_name(id(node), lengths[id(node)], counts[id(node)]):
            named.add(id(node))
        written[id(node)] = _NAME if id(node) in named else part
    return lengths, counts, named


def _write_all(nodes: Iterable[Expression], named: set[int]) -> dict[int, TextPart]:
    """Return the beginnings of all texts, with a name in place of what has one."""
    written: dict[int, TextPart] = {}
    for node in nodes:
        written[id(node)] = _NAME if id(node) in named else _write(node, written)
    return written


def _write(node: Expression, written: dict[int, TextPart]) -> TextPart:
    text, level = write_node(node, [written[id(arg)] for arg in node.args])
    return text[:_LONGEST_PART], level


# --- what is nested too deeply ------------------------------------------------------------------------


def _choose_nested(nodes: Sequence[Expression], shared: set[int]) -> set[int]:
    """Return the nodes that break formulas of more brackets than one can follow, from the inside out."""
    deep = _list_deep(nodes, shared)
    if not deep:
        return deep
    breakable = deep & _list_bracketed(nodes, _write_all(nodes, shared))
    named = set(shared)
    written: dict[int, TextPart] = {}
    depths: dict[int, int] = {}
    for node in nodes[:-1]:
        written[id(node)], depths[id(node)] = _write(node, written), _count_own(node, written, depths, named)
        if id(node) in breakable and _breaks(node, written[id(node)][0], depths[id(node)]):
            named.add(id(node))
        if id(node) in named:
            written[id(node)] = _NAME
    return named - shared


def _breaks(node: Expression, text: str, depth: int) -> bool:
    if node.op not in _NAMEABLE or not depth:
        return False
    shortest = _SHORTEST_CALL if node.op == "call" else _SHORTEST_PRODUCT
    return depth >= _DEEPEST_PART or (node.op in ("call", "multiply") and len(text) >= shortest)


def count_brackets(nodes: Iterable[Expression], named: set[int]) -> dict[int, int]:
    """Return for each node how many brackets are open at its deepest place; in what has a name there are none."""
    written, depths = _write_all(nodes, named), dict[int, int]()
    for node in nodes:
        depths[id(node)] = _count_own(node, written, depths, named)
    return depths


def _count_own(node: Expression, written: dict[int, TextPart], depths: dict[int, int], named: set[int]) -> int:
    return max(
        (
            is_bracketed(node, place, written[id(arg)]) + (0 if id(arg) in named else depths[id(arg)])
            for place, arg in enumerate(node.args)
        ),
        default=0,
    )


def _list_deep(nodes: Sequence[Expression], shared: set[int]) -> set[int]:
    """Return the nodes of those definitions, and of the formula, that have too many brackets in each other."""
    depths = count_brackets(nodes, shared)
    deep = {part for part in (*shared, id(nodes[-1])) if depths[part] > _DEEPEST}
    for node in reversed(nodes):
        if id(node) in deep:
            deep.update(id(arg) for arg in node.args if id(arg) not in shared)
    return deep


def _list_bracketed(nodes: Sequence[Expression], written: dict[int, TextPart]) -> set[int]:
    """Return the nodes that stand in brackets or are a call: no mere beginnings of a sum or a product."""
    found = {id(node) for node in nodes if node.op == "call"}
    for node in nodes:
        found.update(id(arg) for at, arg in enumerate(node.args) if is_bracketed(node, at, written[id(arg)]))
    return found
