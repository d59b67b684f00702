"""Rules of one's own: read from a file, proven numerically, and only then used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matcalc.errors import RuleError
from matcalc.rule_files import RuleBook, read_rules, shipped_rules

_loaded: list[RuleBook] = []


def rules_in_force() -> RuleBook:
    """The shipped rules and those loaded by `load_rules`."""
    return _loaded[-1] if _loaded else shipped_rules()


def choose_rules(rules: RuleBook | str | Path | Iterable[str | Path] | None) -> RuleBook:
    """Return the book that a call names: a book as it is, those in force and the files', or those in force."""
    if isinstance(rules, RuleBook):
        return rules
    return rules_in_force() if rules is None else verified_rules(rules)


def load_rules(path: str | Path) -> RuleBook:
    """Add the rules of a file to all later derivations, each proven numerically first.

    Raises RuleError, naming the entry where a rule differs, and adds nothing then.
    """
    book = verified_rules([path])
    _loaded.append(book)
    return book


def verified_rules(paths: str | Path | Iterable[str | Path]) -> RuleBook:
    """Return the rules in force and those of the files, each proven numerically first; raises RuleError."""
    if not isinstance(paths, Iterable) and not isinstance(paths, Path):
        raise RuleError(f"rules are a RuleBook, a file or several files, not {paths!r}"[:200])
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    added = [rule for path in paths for rule in read_rules(path)]
    # Reading runs nothing and imports nothing; what may not be used has been refused by now.
    from matcalc.check.verdict import prove_rule

    book = rules_in_force().extended(added)
    for rule in added:
        report = prove_rule(rule, book=book)
        if report.verdict != "agrees":
            raise RuleError(f"rule [{rule.name}] in {rule.file} is refused: {report.message}")
    return book
