"""The command `matcalc verify`: judge whole sheets of cases and claims, alone or under torchrun."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matcalc.check.report import find_worst
from matcalc.cli.arguments import (
    EXIT_CODES,
    JSON_VERSION,
    add_proof_options,
    add_strict,
    paint,
    print_json,
    read_device,
)
from matcalc.engine.layout import LAYOUTS, spell_layout
from matcalc.errors import DeclarationError, MatcalcError

if TYPE_CHECKING:
    from types import FrameType

    from matcalc.verify.run import Run
    from matcalc.verify.tasks import Outcome, RunSettings


_INTERRUPTED, ENDED = 130, 143


class Ended(BaseException):
    """SIGTERM has come: torchrun sends it to the others when one of its processes dies."""


def add_verify(commands: Any) -> None:
    """Add the command to the parser's commands."""
    parser = commands.add_parser(
        "verify", help="judge sheets of cases and claims", prog="matcalc verify",
        description="Judges every case and claim of the sheets: TOML with [[case]] and [[claim]], JSON Lines, or CSV.",
    )  # fmt: skip
    add = parser.add_argument
    add("sheets", nargs="+", metavar="FILE", help=".toml, .jsonl or .csv")
    layouts: dict[str, Any] = {"type": spell_layout, "choices": LAYOUTS, "metavar": "LAYOUT", "default": "numerator"}
    add("--layout", **layouts, help="of entries that name none (default numerator)")
    add_proof_options(parser)
    add("--dtype", default="float64", choices=("float64", "float32"), help="float64 (default) or float32")
    add("--device", type=read_device, metavar="DEVICE", help="cpu (default), cuda or cuda:N; torchrun: own GPU")
    add("--rules", action="append", default=[], metavar="FILE", help="your own rules, verified first; may be repeated")
    add_strict(parser)
    add("--timeout", type=_positive, default=60.0, metavar="SECONDS", help="of one entry (default 60)")
    add("--memory", type=_positive, default=4.0, metavar="GIB", help="that one entry may take (default 4)")
    add("--journal", metavar="FILE", help="where results are kept until the run is complete (default SHEET.journal)")
    add("--resume", action="store_true", help="go on from the journal of a run that was interrupted")
    add("--junit", metavar="FILE", help="write the results as JUnit XML as well")
    add("--json", action="store_true", help=f"one JSON object, version {JSON_VERSION}, instead of the table")
    add("--all", action="store_true", help="a row for every result, however many")
    parser.set_defaults(run=verify_sheets)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(f"{text.strip()[:40]!r} is not a number above 0 and up to 1000000")
    return number


def verify_sheets(options: argparse.Namespace) -> int:
    """Judge the sheets, print the answer and return its exit code; under torchrun rank 0 alone prints and fails."""
    from matcalc.verify.processes import LostProcessError
    from matcalc.verify.run import Run
    from matcalc.verify.tasks import RunSettings

    # What would lose the answer of a long run at its end, or a file of the reader, is refused now.
    _refuse_paths(options)
    if options.junit and not Path(options.junit).resolve().parent.is_dir():
        raise DeclarationError(f"there is no folder for {options.junit}", advice="make the folder first")
    names = ("layout", "trials", "seed", "dtype", "device", "timeout", "memory", "strict")
    settings = RunSettings(rules=tuple(options.rules), **{name: getattr(options, name) for name in names})
    journal = options.journal or f"{Path(options.sheets[0]).name}.journal"
    with _raise_on_sigterm(), Run(options.sheets, settings, journal, options.resume) as run:
        try:
            return _verify(run, options)
        except (KeyboardInterrupt, Ended, LostProcessError) as reason:
            return _explain_end(run, reason)
        except MatcalcError:
            if run.is_first:
                raise
            return 0


def _refuse_paths(options: argparse.Namespace) -> None:
    """Raise DeclarationError for what is no path, and where a file to write is one to read or the other to write."""
    written = {"--journal": options.journal, "--junit": options.junit}
    named = [(option, path) for option, path in written.items() if path]
    for path in (*options.sheets, *options.rules, *(path for _, path in named)):
        if "\0" in path:
            raise DeclarationError(f"{path} is no path", advice="leave out the character that cannot be seen")
    taken = {Path(path).resolve(): path for path in (*options.sheets, *options.rules)}
    for option, path in named:
        if (resolved := Path(path).resolve()) in taken:
            reason = f"{option} {path} would write over {taken[resolved]}"
            raise DeclarationError(reason, advice=f"name another file with {option}")
        taken[resolved] = path


def _verify(run: Run, options: argparse.Namespace) -> int:
    from matcalc.verify.output import show_progress

    run.prepare()
    with show_progress(run) as show:
        outcomes = run.judge(show)
    try:
        code = _answer(outcomes, run.settings, options) if run.is_first else 0
    except BrokenPipeError:  # whoever read the answer has seen enough
        run.finish()
        raise
    run.finish()
    if code and run.rank is not None:
        print(f"exit code {code}: the answer is complete; torchrun reports the code as a failure", file=sys.stderr)
    return code


def _answer(outcomes: Sequence[Outcome], settings: RunSettings, options: argparse.Namespace) -> int:
    from matcalc.verify.output import print_table, write_junit
    from matcalc.verify.tasks import count_verdicts

    if options.junit:
        write_junit(outcomes, options.junit)
    if options.json:
        print_json(_describe(outcomes, settings, options.sheets))
    else:
        print_table(outcomes, options.all)
    sys.stdout.flush()
    counts = count_verdicts(outcomes)
    return EXIT_CODES[find_worst(verdict for verdict, count in counts.items() if count)]


def _describe(outcomes: Sequence[Outcome], settings: RunSettings, sheets: Sequence[str]) -> dict[str, Any]:
    from matcalc.verify.tasks import count_stated, count_verdicts

    right, stated = count_stated(outcomes)
    how = {name: value for name, value in vars(settings).items() if name != "local_rank"}
    return {
        "sheets": list(sheets),
        "settings": how,
        "results": [outcome.to_dict() for outcome in outcomes],
        "counts": count_verdicts(outcomes),
        "stated": {"right": right, "of": stated},
    }


# --- a run that ends early ----------------------------------------------------------------------------------


@contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; the journal is to be closed in peace
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _explain_end(run: Run, reason: BaseException) -> int:
    """Say on stderr what happened, what is kept, and how to go on."""
    many = run.rank is not None
    code = {KeyboardInterrupt: _INTERRUPTED, Ended: ENDED}.get(type(reason), EXIT_CODES["could not check"])
    said = {KeyboardInterrupt: "interrupted", Ended: "ended by SIGTERM"}.get(type(reason), str(reason))
    if type(reason) is Ended and many:
        said = "ended by torchrun: another process of the run died, or the run was interrupted"
    kept = run.journal.exists()
    saved = f"its results so far are in {run.journal.path}" if kept else "there were no results yet"
    advice = "run the same command with --resume to go on" if kept else "run the same command again"
    who = f"process {run.rank}: " if many else ""
    print(paint("error:", "error", sys.stderr), f"{who}{said}; {saved}\n  try: {advice}", file=sys.stderr)
    return code
