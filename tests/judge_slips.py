"""Slips too small to see and other ways to write the same, by hand: `python -m tests.judge_slips --count 500 --seed 1`.

Closed forms of all cases and of random problems are made wrong in one term or one entry, by 1e-3, 1e-6 and 1e-8 of it:
the judge must say "differs", SymPy alone never "agrees", torch alone not where the slip is well above its tolerance.
The same forms written otherwise must agree.  Whether a slip is one, and a rewriting is none, our own reader says.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

import torch

from matcalc import MatcalcError
from matcalc.check.compare import TOLERANCES
from matcalc.check.report import EQUAL, CheckReport
from matcalc.check.verdict import judge
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.rewrite import replace as put
from matcalc.language.text_to_expression import Problem
from tests.claim_mutants import BOTH, read_claim, read_value
from tests.random_problems import number_case
from tests.read_cases import Case, derive_case, read_cases
from tests.rewritings import write_otherwise

SIZES = (1e-3, 1e-6, 1e-8)
SEEDS = range(100, 104)
LONGEST = 400
REAL = 1e-6  # what a slip of 1e-3 changes at least, relative to the largest entry, to be called one
SAME = 1e-10
WELL_ABOVE = 100  # times torch's tolerance
SLOW = 4.0

WriteSlip = Callable[[str], str]


@dataclass(frozen=True)
class Question:
    """A problem, and a formula that is the right answer to it in a layout."""

    case: Case
    layout: str
    text: str

    def __str__(self) -> str:
        case = self.case
        return f"{case.expr} by {case.wrt}, order {case.order}, {self.layout}, {case.shapes} {case.domain}"

    def read(self, text: str) -> Problem | None:
        """The expression and a claim; None where the claim does not fit."""
        try:
            return read_claim(self.case, text)
        except MatcalcError:
            return None

    def judge(self, problem: Problem, proof: str = "both") -> CheckReport:
        assert problem.wrt is not None
        return judge(*problem.expressions, problem.wrt, layout=self.layout, order=self.case.order, proof=proof)

    def measure(self, text: str) -> float | None:
        """How far a text is from the right one at further points, relative to its largest entry: the median.

        None where it has no value there, or our own reader does not know a word of it.
        """
        errors = []
        for seed in SEEDS:
            try:
                truth, value = (read_value(self.case, one, seed) for one in (self.text, text))
            except (ArithmeticError, AssertionError, LookupError, MatcalcError, NameError, RuntimeError, TypeError,
                    ValueError):
                return None
            if truth.shape != value.shape:
                return None
            errors.append(float((truth - value).abs().max()) / max(float(truth.abs().max()), 1e-6))
        return median(errors) if all(error < float("inf") for error in errors) else None


# --- slips ------------------------------------------------------------------------------------------


def list_slips(problem: Problem) -> Iterator[tuple[str, WriteSlip]]:
    """Every slip in a claim: its kind, and what writes the claim with a slip of a size, given as a text."""
    root = problem.expressions[1]
    for node in list_terms(root):
        yield "coefficient", fill(root, node, "(1 + {size})*({node})")
    for node in walk(root):
        yield from ((kind, fill(root, node, template)) for kind, template in list_slips_of(node))
    for extra in ("cos({node})", "({node})**2", "exp(-({node})**2)"):
        yield "added term", fill(root, root, f"{{node}} + {{size}}*{extra}")
    for unit in list_units(root):
        yield "altered entry", fill(root, root, f"{{node}} + {{size}}*{unit}")


def list_slips_of(node: Expression) -> Iterator[tuple[str, str]]:
    if node.op == "number" and node.data[0]:
        yield "number", "({node})*(1 + {size})"
    if node.op == "power" and node.args[1].op == "number":
        yield "exponent", f"({to_text(node.args[0])})**({to_text(node.args[1])} + {{size}})"
    if node.op == "call" and len(node.args) == 1 and node.data[0].is_elementwise:
        yield "inside a function", f"{node.data[0].function}({to_text(node.args[0])} + {{size}})"


def list_terms(node: Expression) -> Iterator[Expression]:
    """The terms of a sum, the node itself where it is none."""
    if node.op in ("add", "subtract", "negate"):
        for arg in node.args:
            yield from list_terms(arg)
    else:
        yield node


def list_units(root: Expression) -> Iterator[str]:
    """Arrays of the shape of a claim with one entry 1, the first or the last, and zeros."""
    sizes = [str(size) for size in root.squeezed_shape]
    letters = "abcdefgh"[: len(sizes)]
    for unit in ("basis({}, 0)", "largest(cumsum(ones({})))") if sizes else ():
        units = ", ".join(unit.format(size) for size in sizes)
        turn = ".T" if root.is_row else ""
        yield f"einsum('{','.join(letters)}->{letters}', {units}){turn}"


def fill(root: Expression, node: Expression, template: str) -> WriteSlip:
    """What writes the root with a template in the place of a node."""
    hole = symbol("Hole", node.shape)
    whole, inner = to_text(put(root, {node: hole})), to_text(node)
    return lambda size: whole.replace("Hole", f"({template.format(node=inner, size=size)})")


# --- questions ---------------------------------------------------------------------------------------


def draw_question(choices: random.Random) -> Question | None:
    """A case, or a random problem, in a layout; None where there is nothing to ask."""
    layout = choices.choice(BOTH)
    if choices.random() < 0.5:
        case = choices.choice([case for case in read_cases() if case.order <= 2])
    else:
        drawn = number_case(choices.randrange(10**6), choices.randrange(2, 4))
        shapes = {name: list(shape) for name, shape in drawn.shapes.items()}
        case = Case("random", drawn.expr, drawn.wrt, shapes, drawn.assume, drawn.order)
    try:
        text = case.closed_form(layout) or to_text(derive_case(case, layout).expression)
    except MatcalcError:
        return None
    question = Question(case, layout, text)
    return question if len(text) <= LONGEST and question.read(text) else None


# --- the run ------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What was judged how, and what was judged wrong."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seen: dict[int, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def count(self, what: str) -> int:
        return sum(count for key, count in self.counts.items() if key[0] == what)

    def note(self, told: list[str], what: str, question: Question, text: str, message: str) -> None:
        told.append(f"{what}: {question}\n    right: {question.text}\n    claim: {text}\n    {message}")


def try_slips(question: Question, problem: Problem, choices: random.Random, most: int, tally: Tally) -> None:
    """Judge a few slips of a right claim, of all kinds and sizes."""
    slips = list(list_slips(problem))
    kinds = sorted({kind for kind, _ in slips})
    for _ in range(most):
        kind = choices.choice(kinds)
        write = choices.choice([slip for found, slip in slips if found == kind])
        size = choices.choice(SIZES)
        text = write(f"{size:.8f}".rstrip("0"))
        claimed, change = question.read(text), None
        if claimed is not None and claimed.expressions[1].shape == problem.expressions[1].shape:
            change = measure_slip(question, write, size)
        if claimed is None or change is None:
            tally.counts["no slip", kind, *([] if claimed is None else [question.judge(claimed).verdict])] += 1
            continue
        judge_slip(question, claimed, text, (kind, f"{size:g}"), change, tally)


def measure_slip(question: Question, write: WriteSlip, size: float) -> float | None:
    """How much a slip of a size changes the claim, from what a large one changes; None where that is nothing."""
    error = question.measure(write("0.001"))
    return None if error is None or error < REAL else error / 1e-3 * size


def judge_slip(
    question: Question, problem: Problem, text: str, kind: tuple[str, str], change: float, tally: Tally
) -> None:
    report, alone = question.judge(problem), question.judge(problem, "torch")
    tally.counts["slip", *kind, report.verdict] += 1
    tolerance = TOLERANCES[torch.float64]
    tally.seen.setdefault(len(f"{change / tolerance:.0f}"), Counter())[alone.verdict] += 1
    told = f"{kind}, changes {change:.1e}"
    if report.verdict == "agrees" or (report.exact is not None and report.exact.verdict == EQUAL):
        tally.note(tally.wrong, f"false agree, {told}", question, text, report.message)
    elif report.verdict == "could not check":
        tally.note(tally.open, f"not judged, {told}", question, text, report.message)
    if alone.verdict == "agrees" and change > WELL_ABOVE * tolerance:
        tally.note(tally.wrong, f"false agree of torch, {told}", question, text, alone.message)


def try_rewritings(question: Question, problem: Problem, choices: random.Random, most: int, tally: Tally) -> None:
    """Judge the right claim written otherwise."""
    for _ in range(most):
        text, kinds = question.text, []
        for _ in range(choices.randrange(1, 4)):
            known = question.read(text)
            found = None if known is None else write_otherwise(known.expressions[1], choices)
            if found is not None:
                kinds.append(found[0])
                text = found[1]
        claimed = question.read(text) if kinds and len(text) <= 3 * LONGEST else None
        if claimed is None or claimed.expressions[1].squeezed_shape != problem.expressions[1].squeezed_shape:
            tally.counts["no rewriting", *kinds[:1]] += 1
            continue
        error = question.measure(text)
        if error is None or error > SAME:
            tally.counts["another value", *kinds] += 1
            tally.note(tally.open, f"another value, {error} {kinds}", question, text, "")
            continue
        report = question.judge(claimed)
        tally.counts["rewriting", kinds[0], report.verdict] += 1
        if report.verdict == "differs":
            tally.note(tally.wrong, f"false differs, {kinds}", question, text, report.message)
        elif report.verdict != "agrees":
            tally.note(tally.open, f"not judged, {kinds}", question, text, report.message)


def run(count: int, rewritings: int, seed: int, loud: bool = False) -> Tally:
    """Judge so many slips and rewritings, drawn from a seed."""
    choices, tally, started = random.Random(seed), Tally(), time.perf_counter()
    while tally.count("slip") < count or tally.count("rewriting") < rewritings:
        question = draw_question(choices)
        problem = question and question.read(question.text)
        if question is None or problem is None or question.measure(question.text) is None:
            continue
        begun = time.process_time()
        report = question.judge(problem)
        tally.counts["right", report.verdict] += 1
        if report.verdict == "differs":
            tally.note(tally.wrong, "false differs", question, question.text, report.message)
        if report.verdict != "agrees" or time.process_time() - begun > SLOW:
            continue
        wrong, unclear = len(tally.wrong), len(tally.open)
        try_slips(question, problem, choices, min(6, count - tally.count("slip")), tally)
        try_rewritings(question, problem, choices, min(2, rewritings - tally.count("rewriting")), tally)
        if loud:
            print(*tally.wrong[wrong:], *tally.open[unclear:], sep="\n", end="", flush=True)
            if tally.counts.total() % 50 == 0:
                print(f"\n{tally.count('slip')} slips in {time.perf_counter() - started:.0f} s", flush=True)
    return tally


def write_summary(tally: Tally) -> str:
    lines = [f"{count:6}  {' '.join(key)}" for key, count in sorted(tally.counts.items())]
    lines += ["", "torch alone, by how many times its tolerance a slip changes the claim:"]
    lines += [f"  below 10**{digits}: {dict(seen)}" for digits, seen in sorted(tally.seen.items())]
    return "\n".join([*lines, "", f"wrong verdicts: {len(tally.wrong)}", *tally.wrong])


def main() -> int:
    """Run from the command line; 1 where a verdict was wrong."""
    parser = argparse.ArgumentParser(description="Judge tiny slips and other ways to write what is right.")
    parser.add_argument("--count", type=int, default=500, help="slips")
    parser.add_argument("--rewritings", type=int, help="a fifth of the slips")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rewritings = options.count // 5 if options.rewritings is None else options.rewritings
    tally = run(options.count, rewritings, options.seed, loud=True)
    print(write_summary(tally))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
