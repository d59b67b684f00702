"""Outcomes -> JUnit XML, as CI systems read it: a suite for each sheet, a test for each task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from matcalc.check.report import COULD_NOT_CHECK, DIFFERS
from matcalc.errors import DeclarationError
from matcalc.verify.outcome import Outcome

# The characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(outcomes: Sequence[Outcome], path: str | Path) -> None:
    """Write the outcomes: what differs is a failure, what could not be checked an error, for it proves nothing.

    Raises DeclarationError where the file cannot be written.
    """
    document: Any = JUnitXml("matcalc verify")
    for sheet, group in groupby(outcomes, key=lambda outcome: outcome.task.sheet):
        document.add_testsuite(_build_suite(sheet, group))
    document.update_statistics()
    try:
        document.write(str(path), pretty=True)
    except OSError as error:
        raise DeclarationError(f"{path} cannot be written: {error.strerror or error}") from None


def _build_suite(sheet: str, outcomes: Iterable[Outcome]) -> Any:
    suite = TestSuite(_clean(Path(sheet).name))
    for outcome in outcomes:
        suite.add_testcase(_build_case(outcome))
    return suite


def _build_case(outcome: Outcome) -> Any:
    case = TestCase(_clean(f"{outcome.task.id} [{outcome.task.layout}]"), _clean(Path(outcome.task.sheet).stem))
    kinds = {DIFFERS: Failure, COULD_NOT_CHECK: Error}
    if outcome.verdict in kinds:
        result = kinds[outcome.verdict](_clean(" ".join(outcome.message.split())), outcome.verdict)
        result.text = _clean("\n".join(_list_lines(outcome)))
        case.result = [result]
    return case


def _list_lines(outcome: Outcome) -> Iterator[str]:
    """Give the task and what the report says of it, a field a line; a reader of CI pages wants no JSON."""
    task = outcome.task
    asked = {"expression": task.expr, "wrt": task.wrt, "order": task.order, "layout": task.layout, "claim": task.claim}
    for name, value in (asked | outcome.report).items():
        if value not in (None, "", [], {}):
            yield f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
