"""Sub-expressions replaced by others of the same shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matcalc.language.expression import Expression, replace_args, walk


def replace(root: Expression, table: Mapping[Expression, Expression]) -> Expression:
    """Return the expression with every node of the table replaced by its partner, which has the same shape.

    What stands below a replaced node is not looked at.

    >>> from matcalc.language.text_to_expression import parse
    >>> from matcalc.render.to_text import to_text
    >>> problem = parse("exp(A @ x) + x")
    >>> to_text(replace(problem.expressions[0], {problem.symbols["x"]: parse("y").expressions[0]}))
    'exp(A @ y) + y'
    """
    done: dict[Expression, Expression] = {}
    for node in walk(root):
        found = table.get(node)
        done[node] = rebuild(node, [done[arg] for arg in node.args]) if found is None else found
    return done[root]


def rebuild(node: Expression, args: Iterable[Expression]) -> Expression:
    """Return the same operation on other operands of the same shapes."""
    return replace_args(node, tuple(args))
