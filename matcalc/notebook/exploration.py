"""What the explorer shows, without widgets: everything that follows from an expression and the reader's choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from matcalc.claim import check
from matcalc.derivation import Derivative, derive
from matcalc.engine.layout import check_layout
from matcalc.errors import DeclarationError, MatcalcError
from matcalc.language.declarations import Declared, split_assumptions, split_shapes
from matcalc.language.sizes import write_shape
from matcalc.notebook.explorer_reading import (
    Declarations,
    Reading,
    Trouble,
    Variable,
    join_lines,
    list_words,
    read_expression,
)
from matcalc.read_input import read_input, write_input
from matcalc.rule_files import RuleBook
from matcalc.user_rules import choose_rules

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport

Found = TypeVar("Found")

HIGHEST_ORDER = 3


@dataclass(frozen=True)
class Question:
    """What a reader has entered: the texts and choices of the panel."""

    expr: str
    wrt: str | None = None
    layout: str = "numerator"
    order: int = 1
    claim: str = ""
    shapes: Mapping[str, str] = field(default_factory=dict)
    assume: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> Declarations:
        """The declarations of the reader."""
        return Declarations(self.shapes, self.assume)


class Exploration:
    """The state of the explorer: a question, and what follows from it, each part computed when it is asked for.

    What cannot be answered is None, and `troubles` say why and in which field.  `turn` gives the state after a
    change; what the change leaves as it was is not computed again.

    >>> state = explore_state("A @ x", claim="A.T")
    >>> str(state.derivative), state.report.verdict, state.claim_report.fits
    ('A', 'agrees', ('denominator',))
    >>> str(state.turn(layout="denominator").derivative)
    'A.T'
    >>> [trouble.field for trouble in state.turn(expr="A @@ x").troubles]
    ['expression']
    """

    def __init__(self, question: Question, rules: RuleBook, before: Exploration | None = None) -> None:
        self.rules = rules
        self.reading = _reuse_reading(question, before) or _read(question, rules)
        self.question = _forget(question, self.reading)
        self.wrt_note = "" if self.question.wrt == question.wrt else _note_lost(question.wrt, self.wrt)
        self._known: Derivative | None = None
        self.earlier: Derivative | None = None
        if before is not None and before.derivative and _name_derivation(before) == _name_derivation(self):
            self._take_over(before)

    def _take_over(self, before: Exploration) -> None:
        """Keep what is known of the same derivation: the derivative, whatever its layout, and the verdicts."""
        self._known, self.wrt_note = before.derivative, before.wrt_note
        if before.question.layout != self.question.layout:
            self.earlier = before.derivative
            return
        self.earlier = before.earlier
        kept = ["_outcome", "report"] + (["_judgement"] if before.question.claim == self.question.claim else [])
        self.__dict__.update({name: value for name, value in vars(before).items() if name in kept})

    def turn(self, **changes: Any) -> Exploration:
        """Return the state after some fields of the question have changed."""
        return Exploration(replace(self.question, **changes), self.rules, self)

    def declare(self, kind: str, name: str, text: str) -> Exploration:
        """Return the state with another shape ("shapes") or assumption ("assume") of a name; "" infers it again."""
        declared = self.question.declared.change(kind, name, text)
        return self.turn(shapes=declared.shapes, assume=declared.assume)

    # --- the derivative ---------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The rows of the table: the names of the expression, as far as it can be read."""
        return self.reading.variables

    @property
    def wrt(self) -> str | None:
        """The variable, None where the expression cannot be read."""
        return self.reading.wrt

    @cached_property
    def _outcome(self) -> tuple[Derivative | None, Trouble | None]:
        if self.reading.problem is None:
            return None, self.reading.troubles[0]
        known = self._known
        return attempt(self._blame, self._derive if known is None else lambda: known.in_layout(self.question.layout))

    @property
    def _blame(self) -> str:
        return "order" if self.question.order > 1 else "expression"

    def _derive(self) -> Derivative:
        asked = self.question
        kept = asked.declared.keep(list_words(asked.expr))
        return derive(
            asked.expr, self.wrt, layout=asked.layout, order=asked.order, shapes=kept.shapes, assume=kept.assume,
            rules=self.rules,
        )  # fmt: skip

    @property
    def derivative(self) -> Derivative | None:
        """The derivative, or None where there is none; `earlier` is the same in the layout before, after a flip."""
        return self._outcome[0]

    @cached_property
    def report(self) -> CheckReport | None:
        """The proof of the derivative, or None where there is no derivative."""
        derivative = self.derivative
        return None if derivative is None else derivative.check()

    # --- the claim --------------------------------------------------------------------------------

    @cached_property
    def _judgement(self) -> tuple[CheckReport | None, Trouble | None]:
        if not self.question.claim.strip() or self.reading.problem is None:
            return None, None
        return attempt("claim", self._judge)

    def _judge(self) -> CheckReport:
        asked = self.question
        kept = asked.declared.keep(list_words(asked.expr) | list_words(asked.claim))
        return check(
            asked.expr, asked.claim, self.wrt, layout=asked.layout, order=asked.order, shapes=kept.shapes,
            assume=kept.assume, rules=self.rules,
        )  # fmt: skip

    @property
    def claim_report(self) -> CheckReport | None:
        """What the judge says of the claim; None where there is none, or where it cannot be read."""
        return self._judgement[0]

    # --- what is wrong ----------------------------------------------------------------------------

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What keeps the expression from being read and derived; more than one where several fields are wrong."""
        own = self._outcome[1]
        return self.reading.troubles or ((own,) if own else ())

    @property
    def claim_trouble(self) -> Trouble | None:
        """What keeps the claim from being judged."""
        return self._judgement[1]


def explore_state(
    expr: Any, wrt: str | None = None, *, layout: str = "numerator", shapes: Declared = None,
    assume: Declared = None, order: int = 1, claim: str = "", rules: Any = None,
) -> Exploration:  # fmt: skip
    """Return the state in which the explorer starts; `expr` may be a text or a SymPy expression.

    Raises MatcalcError for declarations and rules that cannot be read at all.
    """
    check_layout(layout)
    if order not in range(1, HIGHEST_ORDER + 1):
        raise DeclarationError(f"the explorer shows the orders 1 to {HIGHEST_ORDER}, not {order!r}")
    source, shapes, assume, _ = read_input(expr, shapes, assume)
    text = write_input(source)
    question = Question(
        join_lines(text), wrt, layout, order, join_lines(claim), _write_shapes(shapes), _write_assumptions(assume)
    )
    return Exploration(question, choose_rules(rules))


def _write_shapes(declared: Declared) -> dict[str, str]:
    shapes = split_shapes(declared)
    return {name: shape if isinstance(shape, str) else _write_given(shape) for name, shape in shapes.items()}


def _write_given(shape: Any) -> str:
    return write_shape(tuple(shape)) if isinstance(shape, list | tuple) else str(shape)


def _write_assumptions(declared: Declared) -> dict[str, str]:
    given = split_assumptions(declared)
    return {name: words if isinstance(words, str) else ", ".join(sorted(words)) for name, words in given.items()}


def attempt(field_name: str, compute: Callable[[], Found]) -> tuple[Found | None, Trouble | None]:
    """Return what a computation gives, or the trouble it ends in: whatever goes wrong, the panel goes on."""
    try:
        return compute(), None
    except MatcalcError as error:
        return None, Trouble(field_name, str(error))
    except KeyboardInterrupt:
        return None, Trouble(field_name, "interrupted; change something to go on")
    except Exception as error:
        return None, Trouble(field_name, describe_surprise(error))


def describe_surprise(error: BaseException) -> str:
    """Return one sentence on an error that nobody foresaw."""
    told = " ".join(str(error).split())[:200]
    return f"this did not work, which is a mistake in matcalc: {type(error).__name__}" + (f": {told}" if told else "")


# --- from one state to the next -------------------------------------------------------------------


def _forget(question: Question, reading: Reading) -> Question:
    """Return the question without what is said of names that are gone, once the expression can be read."""
    if reading.problem is None:
        return question
    kept = question.declared.keep(list_words(question.expr) | list_words(question.claim))
    wrt = question.wrt if question.wrt in reading.names else None
    return replace(question, wrt=wrt, shapes=kept.shapes, assume=kept.assume)


def _note_lost(asked: str | None, found: str | None) -> str:
    return f"{asked} is no variable of this expression; the derivative is by {found}"


def _read(question: Question, rules: RuleBook) -> Reading:
    asked = question
    reading, trouble = attempt("expression", lambda: read_expression(asked.expr, asked.declared, rules, asked.wrt))
    return reading or Reading((), None, (trouble,) if trouble else ())


def _reuse_reading(question: Question, before: Exploration | None) -> Reading | None:
    if before is None or _name_reading(question) != _name_reading(before.question):
        return None
    return before.reading if before.reading.problem else None


def _name_reading(question: Question) -> tuple[Any, ...]:
    """What the reading of an expression depends on."""
    return question.expr, question.wrt, question.shapes, question.assume


def _name_derivation(state: Exploration) -> tuple[Any, ...]:
    """What a derivation depends on: not the layout."""
    return *_name_reading(state.question), state.question.order
