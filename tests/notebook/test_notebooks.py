"""The notebooks are run, cell by cell, and what is saved in them is what they answer.

A cell may be tagged: `own-code` where it defines something, as a user does (a backward pass, a module); `measured`
where its answer is a time or a size of memory; `raises-exception` where an error is what it shows; `covers:` with a
heading of the notes where it belongs to that.
"""

import ast
import html
import platform
import re
import sys
import tempfile
from importlib.metadata import version
from itertools import zip_longest

import pytest

from tests.requirements import need
from tests.write_course import HEADINGS, TAG
from tests.write_notebooks import METADATA, ROOT, WIDGET, clean_notebook, list_notebooks, main, run_notebook

need("nbclient", "ipykernel")

TAGS = {"own-code", "measured", "raises-exception", *(f"{TAG}{slug}" for slug in HEADINGS)}
LARGEST_FILE = 400_000
LONGEST_CELL, LONGEST_OWN_CODE = 15, 25
LARGEST_ROUNDING = 1e-5  # in single precision
# Whether the last bit is equal is the processor's: these are one answer.
NO_ROUNDING, ROUNDING = "equal to the last bit", "largest relative error 0.0"
OPENING = "After this notebook you can"
TEXTS = ("text/plain", "text/latex", "text/markdown")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FLOAT = re.compile(r"\b\d+\.\d+(?:e[+-]?\d+)?\b|\b\d+e[+-]?\d+\b")
UNSEEN = re.compile(r"<(style|svg|script)\b.*?</\1>|<[^>]*>", re.DOTALL)
# What another machine, another day or another kernel would write otherwise.
FLEETING = {
    "an address": re.compile(r"0x[0-9a-f]{6,}"),
    "a temporary path": re.compile(rf"{re.escape(tempfile.gettempdir())}/|/tmp/|/var/folders/"),
    "a path of this machine": re.compile(rf"{re.escape(str(ROOT))}|/home/\w+/|/root/|/Users/\w+/"),
    "a version": re.compile(rf"\b({re.escape(platform.python_version())}|{re.escape(version('torch'))})"),
}


# --- what is saved --------------------------------------------------------------------------------


def find_faults(notebook):
    """What is wrong with a saved notebook, as sentences."""
    import nbformat

    nbformat.validate(notebook)
    first, codes = notebook.cells[0], [cell for cell in notebook.cells if cell.cell_type == "code"]
    if first.cell_type != "markdown" or OPENING not in " ".join(first.source.split()):
        yield f'the first cell must be Markdown and say "{OPENING} ..."'
    if notebook.metadata != METADATA:
        yield "the metadata are not those of a saved notebook; run python -m tests.write_notebooks"
    if [cell.execution_count for cell in codes] != [*range(1, len(codes) + 1)]:
        yield "it is not saved as run from top to bottom; run python -m tests.write_notebooks"
    for number, cell in enumerate(notebook.cells):
        faults = [*find_metadata_faults(cell), *(find_code_faults(cell) if cell.cell_type == "code" else ())]
        yield from (f"cell {number} ({cell.source[:40]!r}): {fault}" for fault in faults)


def find_metadata_faults(cell):
    if set(cell.metadata) - {"tags"} or set(cell.metadata.get("tags", ())) - TAGS:
        yield f"its metadata may hold tags only, of {', '.join(sorted(TAGS))}"


def find_code_faults(cell):
    tags = cell.metadata.get("tags", ())
    longest = LONGEST_OWN_CODE if "own-code" in tags else LONGEST_CELL
    if len(cell.source.splitlines()) > longest:
        yield f"it is longer than {longest} lines"
    defines = any(isinstance(node, DEFINITIONS) for node in ast.walk(read_code(cell.source)))
    if defines and "own-code" not in tags:
        yield "it defines something; a notebook calls, or the cell is tagged own-code"
    for output in cell.outputs:
        yield from find_output_faults(output, tags)


def read_code(source):
    """The syntax tree of a cell, its magics and shell commands being calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(source))


def find_output_faults(output, tags):
    if output.output_type == "error" and "raises-exception" not in tags:
        yield "an error is saved"
    if output.get("name") == "stderr":
        yield "it writes to stderr"
    if WIDGET in output.get("data", {}):
        yield "a widget is saved"
    text = "\n".join(list_all_texts(output))
    yield from (f"{what} is saved: {found[0]}" for what, pattern in FLEETING.items() if (found := pattern.search(text)))


def list_all_texts(output):
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.evalue, *output.traceback]
    return [text for mime, text in output.data.items() if isinstance(text, str) and not mime.startswith("image/p")]


# --- what is answered -----------------------------------------------------------------------------


def find_stale(saved, fresh):
    """The cells whose saved answers are not those of a fresh run, as sentences."""
    for number, (old, new) in enumerate(zip(saved.cells, fresh.cells, strict=True)):
        if old.cell_type != "code" or "measured" in old.metadata.get("tags", ()):
            continue
        pairs = zip_longest(list_answers(old), list_answers(new), fillvalue="nothing")
        told = [f"{now}\n  and not, as is saved:\n{before}" for before, now in pairs if not is_same(before, now)]
        if told:
            yield "\n".join([f"cell {number} ({old.source[:40]!r}) answers", *told])


def list_answers(cell):
    """What a reader reads of the answers: texts, and the words of a page; no pictures."""
    return [text for output in cell.outputs for text in list_texts(output)]


def list_texts(output):
    if output.output_type in ("stream", "error"):
        return [output.text] if output.output_type == "stream" else [f"{output.ename}: {output.evalue}"]
    page = html.unescape(UNSEEN.sub(" ", output.data.get("text/html", "")))
    return [*(output.data[mime] for mime in TEXTS if mime in output.data), " ".join(page.split())]


def is_same(before, now):
    """Whether two answers are the same but for last digits, rounding errors and how wide they make a column."""
    (words, numbers), (words_now, numbers_now) = map(split_numbers, (before, now))
    return words == words_now and numbers == pytest.approx(numbers_now, rel=1e-4)


def split_numbers(text):
    """The text with a sign for each number, 0 for a rounding error, and the numbers."""
    text = text.replace(NO_ROUNDING, ROUNDING)
    numbers = [float(number) for number in FLOAT.findall(text)]
    words = FLOAT.sub(lambda found: "#" if float(found[0]) > LARGEST_ROUNDING else "0", text)
    return re.sub(" {2,}", "  ", words), [number for number in numbers if number > LARGEST_ROUNDING]


# --- the notebooks --------------------------------------------------------------------------------

NOTEBOOKS = list_notebooks()
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def read_notebook(path):
    import nbformat

    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert [int(path.stem.split("_")[0]) for path in NOTEBOOKS] == [*range(len(NOTEBOOKS))]
    assert NOTEBOOKS


@each_notebook
def test_a_notebook_is_well_made(path):
    assert path.stat().st_size < LARGEST_FILE
    assert not [*find_faults(read_notebook(path))]


@each_notebook
def test_a_notebook_runs_and_answers_what_is_saved(path):
    saved = read_notebook(path)
    stale = [*find_stale(saved, run_notebook(saved))]
    if stale:
        pytest.fail("\n".join([*stale, f"python -m tests.write_notebooks {path.stem}"]), pytrace=False)


@each_notebook
def test_links_and_pictures_exist(path):
    texts = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown"]
    named = re.findall(r"\]\((?!https?:|#|attachment:)([^)#\s]+)", "\n".join(texts))
    assert not [name for name in named if not (path.parent / name).exists()]


# --- the checks can fail --------------------------------------------------------------------------


def make_notebook(*cells, opening=f"# Numbers\n\n{OPENING} count."):
    """A notebook as it is saved, of code cells: (source, tags, outputs)."""
    from nbformat import from_dict
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    made = [new_markdown_cell(opening, id="opening")]
    for number, (source, tags, outputs) in enumerate(cells, start=1):
        metadata = {"tags": tags} if tags else {}
        known = {"id": f"cell-{number}", "metadata": metadata, "execution_count": number}
        made.append(new_code_cell(source, outputs=from_dict(outputs), **known))
    return new_notebook(cells=made, metadata=METADATA)


def show(text, **more):
    return {
        "output_type": "execute_result", "data": {"text/plain": text, **more}, "metadata": {}, "execution_count": 1,
    }  # fmt: skip


def print_out(text, name="stdout"):
    return {"output_type": "stream", "text": text, "name": name}


ERROR = {"output_type": "error", "ename": "ShapeError", "evalue": "x @ A", "traceback": ["ShapeError: x @ A"]}
GOOD = ("%matcalc A@x", [], [show("Derivative(A)")])


def test_a_good_notebook_has_no_faults():
    defined = ("def f(x):\n    return x", ["own-code"], [])
    failing = ("matcalc.derive('x @ A')", ["raises-exception"], [ERROR])
    assert not [*find_faults(make_notebook(GOOD, defined, failing, ("!matcalc rules", [], [print_out("abs\n")])))]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        (("def f(x):\n    return x", [], []), "it defines something"),
        (("%time 1\nclass A:\n    pass", [], []), "it defines something"),
        (("x = 1\n" * 16, [], []), "longer than 15 lines"),
        (("1", ["slow"], []), "tags only"),
        (("1", ["covers:nothing"], []), "tags only"),
        (("1", [], [ERROR]), "an error is saved"),
        (("1", [], [print_out("Warning", "stderr")]), "writes to stderr"),
        (("1", [], [show("<Line2D at 0x7f84e2a79600>")]), "an address is saved: 0x7f84e2a79600"),
        (("1", [], [show("done", **{"text/html": "<b>/tmp/ipykernel_1/2.py</b>"})]), "a temporary path is saved"),
        (("1", [], [print_out(f"{ROOT}/rules")]), "a path of this machine is saved"),
        (("1", [], [print_out(f"Python {platform.python_version()}")]), "a version is saved"),
        (("1", [], [show("Explorer()", **{WIDGET: {"model_id": "1"}})]), "a widget is saved"),
    ],
)
def test_faults_of_a_cell_are_found(cell, fault):
    assert any(fault in found for found in find_faults(make_notebook(cell)))


def test_faults_of_a_notebook_are_found():
    assert any("first cell" in found for found in find_faults(make_notebook(GOOD, opening="# Numbers")))
    unfinished = make_notebook(GOOD)
    unfinished.cells[1].execution_count = None
    unfinished.metadata["widgets"] = {}
    assert [found.split(";")[0] for found in find_faults(unfinished)] == [
        "the metadata are not those of a saved notebook", "it is not saved as run from top to bottom",
    ]  # fmt: skip


def test_an_answer_that_is_not_what_is_saved_is_found():
    cells = [
        ("1 + 1", [], [show("3")]),
        ("print(1 / 3)\nprint(4e-17)", [], [print_out("0.33333333333333326\n1e-16\n")]),
        ("print('error   ', 3.1e-7)", [], [print_out("error      1.31e-07\n")]),
        ("print(0.5002)", [], [print_out("0.5001\n")]),
        ("import time\ntime.perf_counter()", ["measured"], [show("17.0")]),
        ("import sys\nprint(sys.executable, end='')", [], [print_out("another Python")]),
        ("import matcalc\nmatcalc.derive('x @ A')", ["raises-exception"], [ERROR]),
    ]
    saved = make_notebook(*cells)
    stale = [*find_stale(saved, run_notebook(saved))]
    assert [text.split("(")[0] for text in stale] == ["cell 1 ", "cell 4 ", "cell 6 ", "cell 7 "]
    assert stale[0].endswith("answers\n2\n  and not, as is saved:\n3")
    assert sys.executable in stale[2]
    assert "needs equal inner sizes" in stale[3]


def test_the_words_of_a_page_are_compared_and_its_style_is_not():
    def page(text):
        return make_notebook(("1", [], [show("1", **{"text/html": text})]))

    saved = page("<style>p {color: red}</style><p>error 1.3e-16</p> <svg><text>0.1</text></svg>")
    assert not [*find_stale(saved, page("<p class='a'>error 0.0</p>"))]
    assert [*find_stale(saved, page("<p>error 0.5</p>"))]
    rounded = page("<p>at 3 points, largest relative error 2.5e-17</p>")
    assert not [*find_stale(rounded, page("<p>at 3 points, equal to the last bit</p>"))]
    assert [*find_stale(page("<p>largest relative error 0.5</p>"), page("<p>equal to the last bit</p>"))]


def test_a_cell_that_fails_is_an_error():
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run_notebook(make_notebook(("1 / 0", [], [])))


def test_what_changes_from_run_to_run_is_not_saved():
    notebook = make_notebook(("1", ["measured"], [print_out("a"), print_out("b"), show("W()", **{WIDGET: {}})]))
    notebook.metadata["widgets"] = {"state": {}}
    notebook.cells[1].metadata["execution"] = {"iopub.execute_input": "2025-01-01"}
    cleaned = clean_notebook(notebook)
    assert cleaned.metadata == METADATA
    assert cleaned.cells[1].metadata == {"tags": ["measured"]}
    assert [output.text for output in cleaned.cells[1].outputs] == ["ab"]


def test_writing_an_unknown_notebook_is_refused():
    with pytest.raises(SystemExit, match="there is no notebook 99_nothing"):
        main(["99_nothing"])
