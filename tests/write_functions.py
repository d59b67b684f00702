"""Writes docs/functions.md: the scalar functions of SymPy with their derivatives and where they can be run.

`python -m tests.write_functions` from the root of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from matcalc.errors import MissingRuleError
from matcalc.language.explain_calls import _ABSENT
from matcalc.language.expression import walk
from matcalc.language.scalar_calculus import state_partial
from matcalc.language.sizes import SCALAR
from matcalc.language.text_to_expression import parse_rule_text
from matcalc.rule_files import ORDERS, Rule, find_sympy_rules, shipped_rules, sympy_rules

PAGE = Path(__file__).parents[1] / "docs" / "functions.md"

_HEAD = """# The scalar functions of SymPy

Each of these is a word without an entry of yours, entry by entry of vectors and matrices. The derivative is SymPy's. A
library that has the function runs the code written for it; "formula" says that the code holds what the function is in
other words, and an empty field that code for that library is refused. An order `n` is a whole number up to 12 that is
written out, as the 2 here; an order `v` may be any number. This page is written by the program:
`python -m tests.write_functions`.

| function | derivative by its last argument | NumPy, SciPy | torch | JAX |
| --- | --- | --- | --- | --- |
"""


def write_page() -> str:
    """Return the page."""
    rows = [_write_row(rule) for rule in sympy_rules()]
    return "\n".join([_HEAD + "\n".join(rows), "", *_write_names(), *_write_refused()])


def _write_row(rule: Rule) -> str:
    order = 2 if rule.parameters[0].name == ORDERS[0] else None
    named = find_sympy_rules(rule.function, order)
    shown = next(form for form in named if form.name in (rule.name, f"{rule.name}_2"))
    try:
        derivative = f"`{state_partial(shown, len(shown.variables) - 1)}`"
    except MissingRuleError:
        derivative = "SymPy knows none"
    words = [_write_word(shown, backend) for backend in ("numpy", "torch", "jax")]
    return f"| `{shown.call}` | {derivative} | " + " | ".join(words) + " |"


def _write_word(rule: Rule, backend: str) -> str:
    word = rule.read_form(backend).path
    return f"`{word}`" if word else "formula" if _has_formula(rule, backend) else ""


def _has_formula(rule: Rule, backend: str) -> bool:
    """Whether the function is defined by what the library has; shipped functions are written for each."""
    body = parse_rule_text(rule, rule.define, (SCALAR,) * len(rule.variables)) if rule.define else None
    called = [node.data[0] for node in walk(body) if node.op == "call"] if body is not None else []
    return body is not None and all(
        each.read_form(backend).path or each.name in shipped_rules() or _has_formula(each, backend) for each in called
    )


def _write_names() -> Iterator[str]:
    """Say which functions have another name here."""
    pairs = [
        f"`{rule.sympy_word.removeprefix('sympy.')}` is `{rule.function}`"
        for rule in (*shipped_rules(), *sympy_rules())
        if rule.is_elementwise and rule.sympy_word.removeprefix("sympy.") not in ("", rule.function)
    ]
    yield from ("SymPy's other names are understood as well: " + ", ".join(sorted(set(pairs))) + ".", "")


def _write_refused() -> Iterator[str]:
    """Say which of SymPy's functions are refused, and why."""
    import sympy

    names = {name for name in dir(sympy) if name.lower() in _ABSENT and not find_sympy_rules(name, None)}
    homes = {name: str(getattr(getattr(sympy, name), "__module__", "")) for name in names}
    functions = [name for name, home in homes.items() if home.startswith("sympy.functions")]

    def reason(name: str) -> str:
        return _ABSENT[name.lower()]

    yield from ("What is refused, with the reason:", "")
    for why, group in groupby(sorted(functions, key=lambda name: (reason(name), name)), reason):
        yield f"- {', '.join(f'`{name}`' for name in group)}: {why}"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
