"""Each heading of the notes has its place in a notebook, and the answers of the exercises are right."""

from __future__ import annotations

import ast
import re

import pytest

import matcalc
from tests.requirements import need
from tests.write_course import HEADINGS, LINE, PAGE, list_places, put_line, read_places, write_line, write_page
from tests.write_notebooks import list_notebooks

need("nbclient", "ipykernel")

NOTEBOOKS = list_notebooks()
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
ANSWER = re.compile(r"<summary>Answer</summary>\s+`([^`\n]+)`")


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


def find_empty(places):
    return [heading for slug, heading in HEADINGS.items() if not places[slug]]


def test_no_heading_of_the_notes_is_without_a_cell():
    places = read_places(NOTEBOOKS)
    assert not find_empty(places)
    assert {*places} == {*HEADINGS}


def test_a_heading_without_a_cell_is_found():
    assert "norms · 范数" in find_empty(read_places(path for path in NOTEBOOKS if path.stem[0] in "02"))


def test_the_page_is_what_the_tags_say():
    assert PAGE.read_text(encoding="utf-8") == write_page(read_places(NOTEBOOKS)), "python -m tests.write_course"


@each_notebook
def test_a_notebook_says_which_headings_it_covers(path):
    notebook = read(path)
    lines = [text for text in notebook.cells[0].source.splitlines() if text.startswith(LINE)]
    assert lines == [write_line(slug for slug, _ in list_places(path, notebook))], "python -m tests.write_course"


def test_the_line_stands_below_the_title_and_once():
    written = put_line("# Title\n\nText\n\nMore", write_line(["norms"]))
    assert written == f"# Title\n\n{LINE}norms · 范数.\n\nText\n\nMore"
    assert put_line(written, write_line(["norms"])) == written


# --- exercises --------------------------------------------------------------------------------------


def list_exercises(notebook):
    """Yield each exercise: the last check before the answer, what was assigned until then, and the answer's formula."""
    known, call = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(read_code(cell.source)):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    with_known(known, node)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "matcalc.check":
                    call = node
        else:
            for text in ANSWER.findall(cell.source):
                yield call, dict(known), text


def read_code(source):
    try:
        return ast.parse(source)
    except SyntaxError:  # magics
        return ast.parse("")


def with_known(known, node):
    """Keep what is assigned a text, a dictionary of shapes and the like."""
    try:
        known[node.targets[0].id] = eval(compile(ast.Expression(node.value), "", "eval"), {"__builtins__": {}}, known)
    except Exception:
        known.pop(node.targets[0].id, None)


@each_notebook
def test_the_exercises_have_answers_that_the_judge_agrees_with(path):
    notebook = read(path)
    exercises = [*list_exercises(notebook)]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    asked = len(re.findall(r"^\*\*\d\.\*\*", text.partition("Exercises")[2], re.MULTILINE))
    assert (asked, text.count("<summary>Answer</summary>")) == (len(exercises), len(exercises))
    for call, known, answer in exercises:
        arguments = [eval(ast.unparse(each), {"__builtins__": {}}, known) for each in call.args]
        keywords = {each.arg: eval(ast.unparse(each.value), {"__builtins__": {}}, known) for each in call.keywords}
        expression, claim, *wrt = arguments
        assert not matcalc.check(expression, claim, *wrt, **keywords, proof="torch"), claim
        assert matcalc.check(expression, answer, *wrt, **keywords, proof="torch"), answer
