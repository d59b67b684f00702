"""A check report as a page for a notebook: the verdict, the claim beside the truth, and both Jacobians as heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.check.question import ExpressionFunction
from matcalc.check.report import write_pair
from matcalc.errors import MatcalcError
from matcalc.language.declarations import name_change
from matcalc.language.expression import Expression, symbols
from matcalc.language.sizes import write_shape
from matcalc.render.heat_map import draw_jacobians, find_place, is_drawable
from matcalc.render.html import (  # fmt: skip
    escape,
    fold,
    typeset,
    write_card,
    write_chip,
    write_code,
    write_line,
    write_note,
    write_picture,
    write_table,
    write_told,
    write_typeset,
    write_verdict,  # fmt: skip
)
from matcalc.render.latex import write_left_side, write_name
from matcalc.render.report import choose_result_name, count_row_axes, name_question_axes

if TYPE_CHECKING:
    from matcalc.backward import BackwardReport
    from matcalc.check.data_parallel import DataParallelReport
    from matcalc.check.question import NumericJacobians, Question
    from matcalc.check.report import CheckReport


# So many rows and columns are drawn; more would be a blur, and make a notebook large.
_MOST_DRAWN = 100


def write_check_html(report: CheckReport, correct: Expression | None = None) -> str:
    """Return the page of a check: what was found, claim and truth, the numbers behind it.

    `correct` is the right derivative as an expression; without it the report's text is shown.  All texts are
    escaped.  Raises nothing of its own: numbers that cannot be drawn are left out.
    """
    return write_card(write_check_body(report, correct))


def write_check_body(report: CheckReport, correct: Expression | None = None) -> str:
    """Return what stands in the card of a check."""
    # Of what could not be checked the reason is the message.
    reasons = report.reasons if report.verdict == "differs" else ()
    labels = " ".join(write_chip(escape(reason)) for reason in reasons)
    return "".join([
        write_told(report.verdict, report.message), f"<p>{labels}</p>" if labels else "",
        _write_formulas(report, correct), *map(write_note, report.notes),
        _write_numbers(report), _write_settings(report),
    ])  # fmt: skip


# --- formulas -------------------------------------------------------------------------------------


def _write_formulas(report: CheckReport, correct: Expression | None) -> str:
    """The function, the claim, the truth, and the terms that are missing or too much, one below the other."""
    evidence = report.evidence
    asked = [] if evidence is None else list(_list_question(evidence.question))
    rows = [[f'<span class="mc-soft">{name}</span>', text] for name, text in (*asked, *_list_truth(report, correct))]
    return f'<div class="mc-wide">{write_table([], rows)}</div>' if rows else ""


def _list_question(question: Question) -> Iterator[tuple[str, str]]:
    asked = QuestionNames(question)
    if isinstance(question.function, ExpressionFunction):
        yield "function", write_typeset(question.function.root, left=write_name(asked.own))
    else:
        yield "function", "Python code"
    shape = escape(write_shape(question.claim.shape))
    left = write_left_side(asked.own, [wrt.name for wrt in question.by], question.layout)
    if question.claim.root is None:
        yield "claim", f"{typeset(left)} as Python code computes it &emsp; {shape}"
    else:
        yield "claim", f"{write_typeset(question.claim.root, left=left)} &emsp; {shape}"


def _list_truth(report: CheckReport, correct: Expression | None) -> Iterator[tuple[str, str]]:
    if report.verdict == "differs" and correct is not None:
        yield "correct", f"{write_typeset(correct)} &emsp; {escape(write_shape(correct.squeezed_shape))}"
    elif report.verdict == "differs" and report.correct:
        yield "correct", write_code(report.correct)
    if report.missing:
        yield "missing", write_code(report.missing)
    if report.extra:
        yield "too much", write_code(report.extra)


@dataclass(frozen=True)
class QuestionNames:
    """The names by which a page speaks of a question: its function, its variables, the axes of the derivative."""

    question: Question

    @property
    def own(self) -> str:
        """The name of the function: Y, y or f."""
        question = self.question
        claimed = () if question.claim.root is None else (question.claim.root,)
        taken = symbols(question.function.root, *claimed, *question.function.variables, *question.by)
        return choose_result_name(len(question.function.shape), taken)

    @property
    def axes(self) -> list[str]:
        """What each axis of the derivative is."""
        question = self.question
        names = [name_change(wrt, question.meaning) for wrt in question.by]
        by = list(zip(names, question.shapes_of_change, strict=True))
        return name_question_axes(self.own, len(self.question.function.shape), by, self.question.layout)

    @property
    def split(self) -> int:
        """How many axes are the rows of a heat map: those of the function, or of the variable where they come first."""
        question = self.question
        ranks = [len(shape) for shape in question.shapes_of_change]
        return count_row_axes(len(question.function.shape), ranks, question.layout)

    def label(self, sizes: dict[str, int]) -> tuple[str, str]:
        """Return what stands beside the rows and above the columns: y axis 0, m = 3."""
        shape = self.question.shape(self.question.layout)
        told = [
            f"{name}, {size}" + (f" = {size.value(sizes)}" if size.letters and {*size.letters} <= sizes.keys() else "")
            for name, size in zip(self.axes, shape, strict=True)
        ]
        return "\n".join(told[: self.split]), "; ".join(told[self.split :])


# --- numbers --------------------------------------------------------------------------------------


def _write_numbers(report: CheckReport) -> str:
    """Both Jacobians as heat maps, open where the claim differs, and the worst entry in words."""
    try:
        evidence, jacobians = report.evidence, report.jacobians()
    except (MatcalcError, RuntimeError):
        return ""
    if evidence is None or jacobians is None:
        return ""
    from matcalc.check.modes import own_modes

    asked = QuestionNames(evidence.question)
    with own_modes(dtype=None):
        drawn = f"{_draw(jacobians, asked)}{_tell_worst(jacobians, asked.split)}"
    return fold("both Jacobians in numbers", drawn, report.verdict == "differs")


def _draw(jacobians: NumericJacobians, asked: QuestionNames) -> str:
    if not is_drawable():
        return "<p>heat maps need matplotlib: <code>pip install matplotlib</code></p>"
    rows, columns = asked.label(jacobians.sizes)
    drawn = draw_jacobians(jacobians, rows, columns, split=asked.split, most=_MOST_DRAWN)
    return write_line(write_picture(drawn, "heat maps of the true derivative and of the claim"))


def _tell_worst(jacobians: NumericJacobians, split: int) -> str:
    """The entry with the largest error, which is framed in both maps unless they end before it."""
    index = jacobians.worst
    if index is None or jacobians.truth.shape != jacobians.claim.shape:
        return ""
    entry = f"entry {write_code(list(index))}" if index else "the value"
    should, found = write_pair(float(jacobians.truth[index]), float(jacobians.claim[index]))
    is_in_map = max(find_place(index, jacobians.truth.shape, split)) < _MOST_DRAWN
    where = (", framed" if is_in_map else ", beyond what is drawn") if is_drawable() else ""
    return f"<p>the worst{where}: {entry} should be <b>{should}</b>, is <b>{found}</b></p>"


def _write_settings(report: CheckReport) -> str:
    """Sizes, point and seed, and in a fold the command that repeats the check."""
    told = [f"{report.layout} layout"] if report.layout else []
    told += [f"{letter} = {number}" for letter, number in report.sizes.items()]
    told += [f"{report.points} point{'s' * (report.points != 1)}"] if report.points else []
    told += [f"the worst at point {report.worst.point}"] if report.worst else []
    told += [f"seed {report.seed}"]
    line = f'<p class="mc-soft">{escape(", ".join(told))}</p>'
    return line + (fold("repeat this check", write_code(report.command)) if report.command else "")


# --- a hand-written backward pass, and data-parallel training -----------------------------------------


def write_backward_html(report: BackwardReport) -> str:
    """Return the page of a backward pass: a row for the value and for each input, and the page of each in a fold."""
    parts = {"forward": report.forward, **report.inputs}
    head = f"<p>{write_verdict(report.verdict)}</p>" + write_part_table(parts)
    return write_card(head, "".join(map(write_note, report.notes)), _fold_parts(parts))


def write_data_parallel_html(report: DataParallelReport) -> str:
    """Return the page of a data-parallel check: what was found, and a row for each parameter."""
    shares = f", each with {report.batch}/{report.processes} samples" if report.batch else ""
    told = f"<p>{escape(f'{report.processes} processes{shares}')}</p>" + "".join(map(write_note, report.notes))
    table = write_part_table(report.parameters) if report.parameters else ""
    command = fold("repeat this check", write_code(report.command)) if report.command else ""
    return write_card(
        write_told(report.verdict, report.message), table, told, _fold_parts(report.parameters), command
    )


def write_part_table(parts: Mapping[str, CheckReport]) -> str:
    """Return a row for each part: its name, its verdict, what was found and, where it differs, what it should be."""
    rows = [[f"<b>{escape(name)}</b>", write_verdict(one.verdict), _tell(one)] for name, one in parts.items()]
    return f'<div class="mc-wide">{write_table([], rows)}</div>'


def _tell(report: CheckReport) -> str:
    told = escape(report.message.removeprefix(report.verdict).lstrip(" .:"))
    if report.verdict == "differs" and report.correct:
        told += f"<br>It should be {write_code(report.correct)}"
    return told


def _fold_parts(parts: Mapping[str, CheckReport]) -> str:
    return "".join(fold(escape(name), write_check_body(one)) for name, one in parts.items())
