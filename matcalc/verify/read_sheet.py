"""Sheet -> entries: TOML with [[case]] and [[claim]], JSON Lines, or CSV with a header."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matcalc.check.report import AGREES, COULD_NOT_CHECK, DIFFERS
from matcalc.engine.layout import LAYOUTS
from matcalc.errors import DeclarationError, escape_hidden

VERDICTS = (AGREES, DIFFERS, COULD_NOT_CHECK)
DELIMITERS = ",;\t"
LONGEST_ID = 200
_TEXTS = ("wrt", "layout", "claim", "verdict", "meaning", *LAYOUTS)
_READABLE = "write a sheet as .toml, .jsonl (one JSON object a line) or .csv"


@dataclass(frozen=True)
class SheetEntry:
    """One case or claim as it stands in a sheet; `forms` are the closed forms it gives, by layout."""

    sheet: str
    id: str
    expr: str
    wrt: str | None = None
    shapes: Any = None
    assume: Any = None
    order: int = 1
    layout: str | None = None
    claim: str | None = None
    forms: dict[str, str] = field(default_factory=dict)
    expected: str | None = None
    meaning: str = "free"
    strict: bool = False


def read_sheet(path: str | Path) -> list[SheetEntry]:
    """Return the entries of a sheet in its order, of a TOML file the cases first.

    Fields that are not known are passed over, since sheets carry sources and notes.  An entry without an id is
    called after the file and its number.  Raises DeclarationError, naming file, place and field.
    """
    readers = {".toml": _read_toml, ".jsonl": _read_json_lines, ".ndjson": _read_json_lines, ".csv": _read_csv}
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise DeclarationError(f"{path} is not a sheet that can be read", advice=_READABLE)
    tables = list(reader(str(path), _read_text(path)))
    if not tables:
        raise DeclarationError(f"{path} has no entries", advice=_READABLE)
    return [_read_entry(str(path), place, number, table) for number, (place, table) in enumerate(tables, 1)]


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DeclarationError(f"{path} is not text in UTF-8", advice="save it as UTF-8") from None
    except OSError as error:
        raise DeclarationError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a character that none may have
        raise DeclarationError(f"{path} cannot be read: {error}") from None


# --- files: (place, table) after (place, table) --------------------------------------------------------------

_Tables = Iterable[tuple[str, dict[str, Any]]]


def _read_toml(path: str, text: str) -> _Tables:
    try:
        sheet = tomllib.loads(text)
    except RecursionError:
        raise DeclarationError(f"{path} is nested too deeply") from None
    except ValueError as error:  # what TOML is not, and numbers of thousands of digits
        raise DeclarationError(f"{path} is not TOML: {error}"[:300]) from None
    for kind in ("case", "claim"):
        tables = sheet.get(kind, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            advice = f"begin each entry with [[{kind}]]"
            raise DeclarationError(f"{path}: {kind} is not a list of tables", advice=advice)
        for number, table in enumerate(tables, 1):
            if kind == "claim" and "claim" not in table:
                table = table | {"claim": ""}
            yield f"{kind} {number}", table


def _read_json_lines(path: str, text: str) -> _Tables:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _read_json(f"{path}, line {number}", line)


def _read_json(place: str, line: str) -> dict[str, Any]:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DeclarationError(f"{place} is not JSON: {error}"[:300], advice="write one object a line") from None
    if not isinstance(table, dict):
        raise DeclarationError(f"{place} is not a JSON object", advice='write {"expr": "A @ x", "claim": "A"}')
    return table


def _read_csv(path: str, text: str) -> _Tables:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_find_delimiter(path, text), strict=True)
    try:
        for row in reader:
            yield f"line {reader.line_num}", _read_row(f"{path}, line {reader.line_num}", row)
    except csv.Error as error:
        raise DeclarationError(f"{path}, line {reader.line_num} is not CSV: {error}") from None


def _find_delimiter(path: str, text: str) -> str:
    """Return the sign between the columns: a header has an expr, and spreadsheets of some countries write ;."""
    header = next(iter(text.splitlines()), "")
    for delimiter in DELIMITERS:
        if "expr" in (cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])):
            return delimiter
    advice = "begin with a header such as id,expr,wrt,layout,claim,shapes"
    raise DeclarationError(f"{path}, line 1: the header has no column expr", advice=advice)


def _read_row(place: str, row: dict[str | Any, Any]) -> dict[str, Any]:
    if None in row:
        raise DeclarationError(f"{place} has more cells than the header", advice="put texts with commas in quotes")
    return {name.strip(): cell.strip() for name, cell in row.items() if cell and cell.strip()}


# --- tables --------------------------------------------------------------------------------------------------


def _read_entry(sheet: str, place: str, number: int, table: dict[str, Any]) -> SheetEntry:
    # A number is as good an id as a text, which stands on one line and moves no cursor.
    entry_id = escape_hidden(" ".join(_write_value(table.get("id", "")).split()))[:LONGEST_ID]
    entry_id = entry_id or f"{Path(sheet).stem}-{number}"
    where = f"{sheet}, {place}" + (f" ({entry_id})" if "id" in table else "")
    texts = {name: _read_field(where, name, table) for name in ("expr", *_TEXTS)}
    expr = texts["expr"]
    if not expr:
        advice = "every entry has an expr, the function to derive, such as expr = \"A @ x\""
        raise DeclarationError(f"{where} has no expr", advice=advice)
    if "claim" in table and not texts["claim"]:
        raise DeclarationError(f"{where} has no claim", advice="write the formula to judge, or make it a case")
    verdict = texts["verdict"] or None
    if verdict and verdict not in VERDICTS:
        advice = "use one of " + ", ".join(VERDICTS) + ", or leave the field out"
        raise DeclarationError(f"{where}: {verdict[:80]!r} is not a verdict", advice=advice)
    shapes, assume = _read_declared(where, table)
    return SheetEntry(
        sheet, entry_id, expr, texts["wrt"] or None, shapes, assume, _read_order(where, table),
        texts["layout"] or None, texts["claim"], {name: form for name in LAYOUTS if (form := texts[name])}, verdict,
        texts["meaning"] or "free", _read_strict(where, table),
    )  # fmt: skip


def _write_value(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # a number of thousands of digits, written in another base
        return hex(value) if isinstance(value, int) else "..."


def _show_value(value: Any) -> str:
    return repr(value) if isinstance(value, str) else _write_value(value)


def _read_field(where: str, name: str, table: dict[str, Any]) -> str | None:
    value = table.get(name)
    if value is None or isinstance(value, str):
        return value.strip() if value is not None else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _write_value(value)
    reason = f"{where}: {name} is a text, not {_show_value(value)}"
    raise DeclarationError(reason[:300], advice=f'write {name} = "..."')


def _read_declared(where: str, table: dict[str, Any]) -> Iterator[Any]:
    """Give shapes and assumptions as they are declared; what they say is judged with the entry."""
    for name, given, example in (
        ("shapes", table.get("shapes"), '"A: m,n; x: n"'),
        ("domain", table.get("domain", table.get("assume")), '"A: symmetric; x: positive"'),
    ):
        if not isinstance(given, dict | str | None):
            advice = f"write {name} = {example}, or a table by name"
            reason = f"{where}: {name} is not given by name, but as {_show_value(given)}"
            raise DeclarationError(reason[:300], advice=advice)
        yield given or None


def _read_strict(where: str, table: dict[str, Any]) -> bool:
    given = table.get("strict", False)
    words = {"true": True, "false": False}
    if isinstance(given, str) and given.lower() in words:
        return words[given.lower()]
    if not isinstance(given, bool):
        raise DeclarationError(f"{where}: strict is true or false, not {_show_value(given)}"[:300])
    return given


def _read_order(where: str, table: dict[str, Any]) -> int:
    given = table.get("order", 1)
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 7:
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        reason = f"{where}: order is a whole number, not {_show_value(given)}"
        raise DeclarationError(reason[:300], advice="write order = 2")
    return given
