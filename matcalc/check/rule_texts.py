"""The texts of rules, read with the rule book in force, so that a reader's rules may call each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import Rule, RuleBook

_book: ContextVar[RuleBook | None] = ContextVar("book", default=None)


@contextmanager
def rules_in_force(book: RuleBook | None) -> Iterator[None]:
    """Read the texts of rules with this book meanwhile; None leaves the one in force, at first the shipped rules."""
    token = _book.set(book if book is not None else _book.get())
    try:
        yield
    finally:
        _book.reset(token)


def read_rule_text(rule: Rule, text: str, shapes: tuple[Shape, ...]) -> Expression:
    """Return the typed expression of a text of a rule, for arguments of these 2-D shapes."""
    return parse_rule_text(rule, text, shapes, _book.get())
