"""The command `matcalc rules`: list the rules, show one, prove them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from matcalc.check.prove import prove_rule
from matcalc.check.report import CheckReport, find_worst
from matcalc.cli.arguments import EXIT_CODES, JSON_VERSION, add_proof_options, paint, print_json
from matcalc.errors import RuleError
from matcalc.render.report import align_columns
from matcalc.rule_files import Rule, RuleBook, find_sympy_rules, read_rules, shipped_rules


def add_rules(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser("rules", help="list, show or prove the rules", prog="matcalc rules")
    parser.set_defaults(run=print_rules)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    show = actions.add_parser("show", help="one rule in full", prog="matcalc rules show")
    show.add_argument("name", metavar="NAME", type=str.strip)
    show.set_defaults(run=show_rules)
    check = actions.add_parser("check", help="prove the shipped rules, or those of --rules", prog="matcalc rules check")
    check.set_defaults(run=check_rules)
    add_proof_options(check)
    for one in (parser, show, check):
        # The options stand before or after the action; a suppressed default keeps what stood before.
        default = {} if one is parser else {"default": argparse.SUPPRESS}
        one.add_argument("--rules", action="append", metavar="FILE", help="your own rules as well", **default)
        one.add_argument("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}", **default)


def print_rules(options: argparse.Namespace) -> int:
    """Print every rule in force, one a line."""
    book = _known_rules(options.rules)
    if options.json:
        print_json({"rules": [_describe(rule) for rule in book]})
    else:
        rows = [(rule.name, _write_signature(rule), _kind(rule), rule.source) for rule in book]
        print("\n".join(align_columns([("rule", "call", "derived by", "source"), *rows])))
    return 0


def show_rules(options: argparse.Namespace) -> int:
    """Print the entries of one name in full."""
    rules = _find_rules(_known_rules(options.rules), options.name)
    if options.json:
        print_json({"rules": [_describe(rule) for rule in rules]})
    else:
        print("\n\n".join(_write_rule(rule) for rule in rules))
    return 0


def check_rules(options: argparse.Namespace) -> int:
    """Prove rule after rule, printing each verdict as soon as it is known, and count the verdicts."""
    rules = _rules_to_prove(options.rules)
    reports = dict(_prove(rules, options))
    counts = {verdict: sum(report.verdict == verdict for report in reports.values()) for verdict in EXIT_CODES}
    if options.json:
        print_json({"rules": {name: report.to_dict() for name, report in reports.items()}, "counts": counts})
    else:
        print(", ".join(f"{verdict}: {count}" for verdict, count in counts.items()))
    return EXIT_CODES[find_worst(report.verdict for report in reports.values())]


def _prove(rules: list[Rule], options: argparse.Namespace) -> Iterator[tuple[str, CheckReport]]:
    book = _known_rules(options.rules)
    width = max((len(rule.name) for rule in rules), default=0)
    for rule in rules:
        report = prove_rule(rule, trials=options.trials, seed=options.seed, book=book)
        if not options.json:
            print(f"{rule.name:{width}}  {paint(report.message, report.verdict, sys.stdout)}", flush=True)
        yield rule.name, report


def _known_rules(paths: list[str] | None) -> RuleBook:
    """Return the shipped rules and those of the files as they are written: to look at, not to derive with."""
    return shipped_rules().extended(rule for path in paths or [] for rule in read_rules(path))


def _rules_to_prove(paths: list[str] | None) -> list[Rule]:
    shipped = shipped_rules()
    return [rule for rule in _known_rules(paths) if rule.name not in shipped] if paths else list(shipped)


def _find_rules(book: RuleBook, name: str) -> list[Rule]:
    """Return the entry of this name, or every entry of the function of this name."""
    found = book.overloads(name) or ([book[name]] if name in book else []) or list(find_sympy_rules(name, None))
    if found:
        return found
    close = get_close_matches(name, [*book.functions, *(rule.name for rule in book)])
    advice = f"matcalc rules show {close[0]}" if close else "matcalc rules lists them"
    raise RuleError(f"there is no rule {name[:80]!r}", advice=advice)


def _kind(rule: Rule) -> str:
    """Say what the rule states; the engine itself knows a primitive."""
    if rule.is_derived_by_sympy:
        return "function"
    fields = ("elementwise", "differential", "define", "opaque")
    return next((field for field in fields if getattr(rule, field)), "primitive")


def _write_signature(rule: Rule) -> str:
    if isinstance(rule.result, str):
        return f"{rule.call} -> {rule.result}"
    return f"{rule.call} -> [{','.join(rule.result)}]" if rule.result else rule.call


def _describe(rule: Rule) -> dict[str, Any]:
    texts = (
        "differential", "everywhere", "define", "domain", "kinks", "nondifferentiable", "torch", "latex", "source",
        "note", "file",
    )  # fmt: skip
    described: dict[str, Any] = {"name": rule.name, "call": _write_signature(rule), "kind": _kind(rule)}
    if rule.elementwise:
        described["elementwise"] = list(rule.elementwise)
    if rule.is_derived_by_sympy:
        described["function"] = rule.formula or rule.sympy
    return described | {field: getattr(rule, field) for field in texts if getattr(rule, field)}


def _write_rule(rule: Rule) -> str:
    fields = {key: value for key, value in _describe(rule).items() if key not in ("name", "kind", "file")}
    if rule.elementwise:
        fields["elementwise"] = ",  ".join(rule.elementwise)
    head = f"[{rule.name}]   {_kind(rule)}, {rule.file}"
    return "\n".join([head, *(f"  {key:12}  {value}" for key, value in fields.items())])
