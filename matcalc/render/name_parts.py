"""A long expression -> definitions and a formula: p = softmax(A @ x), then diag(p) - p @ p.T."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from matcalc.language.expression import Expression, replace_args, symbol, walk
from matcalc.language.text_to_expression import Problem
from matcalc.render.part_names import choose_names
from matcalc.render.shared_parts import choose_parts, count_brackets
from matcalc.render.to_text import is_longer, to_text
from matcalc.rule_files import RuleBook, shipped_rules

# A line is too long with so many characters, or with fewer in so many brackets that it cannot be followed.
LONGEST_LINE, LONGEST_NESTED_LINE, MOST_BRACKETS = 350, 160, 7


@dataclass(frozen=True)
class Named:
    """An expression whose parts have names; a definition uses those before it, each name is a symbol."""

    definitions: tuple[tuple[str, Expression], ...]
    formula: Expression


def name_parts(expression: Expression, taken: Collection[str] = ()) -> Named:
    """Return an expression with names for the parts that are written again and again, or nested deeply.

    No name is taken, or stands for something else in the expression.

    >>> from matcalc.language.text_to_expression import parse
    >>> text = "softmax(A @ x)*y + softmax(A @ x)*z + softmax(A @ x) @ softmax(A @ x).T @ y"
    >>> named = name_parts(parse(text).expressions[0])
    >>> [(name, to_text(part)) for name, part in named.definitions], to_text(named.formula)
    ([('p', 'softmax(A @ x)')], 'p*y + p*z + p @ p.T @ y')
    """
    nodes = list(walk(expression))
    chosen = choose_parts(nodes)
    parts = [node for node in nodes if id(node) in chosen]
    names = choose_names(parts, {*taken, *_list_names(nodes)})
    return _replace(nodes, dict(zip(map(id, parts), names, strict=True)))


def _replace(nodes: list[Expression], names: dict[int, str]) -> Named:
    definitions = []
    built: dict[int, Expression] = {}
    for node in nodes:
        args = tuple([built[id(arg)] for arg in node.args])
        built[id(node)] = node if args == node.args else replace_args(node, args)
        if id(node) in names:
            definitions.append((names[id(node)], built[id(node)]))
            built[id(node)] = symbol(names[id(node)], node.shape)
    return Named(tuple(definitions), built[id(nodes[-1])])


def _list_names(nodes: Iterable[Expression]) -> set[str]:
    """Return the names of variables and abstract functions, and the letters of sizes."""
    found = {node.name for node in nodes if node.op in ("symbol", "abstract", "abstract_derivative")}
    return found | {letter for node in nodes for size in node.shape for letter in size.letters}


def list_taken(problem: Problem, rules: RuleBook | None = None, declared: Iterable[str] = ()) -> set[str]:
    """Return the names that a part of an answer cannot have: all that mean something in the reader's own text."""
    functions = (shipped_rules() if rules is None else rules).functions
    shapes = [*(found.shape for found in problem.symbols.values()), *problem.abstract.values()]
    letters = {letter for shape in shapes for size in shape for letter in size.letters}
    return {*problem.symbols, *problem.abstract, *functions, *declared, *letters}


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
    if not is_long(expression):
        return left + to_text(expression)
    named = name_parts(expression, taken)
    lines = [f"{name} = {to_text(part)}" for name, part in named.definitions]
    return separator.join([*lines, left + to_text(named.formula)])
