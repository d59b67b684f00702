"""The sheet to print: what stands on it is proven, and the files are what the script writes."""

from __future__ import annotations

import re

import pytest

import matcalc
from tests.read_cases import derive_case
from tests.requirements import needs
from tests.write_sheet import (
    HTML,
    PDF,
    SIZES,
    TRAPS,
    VEC,
    find_strict_shape,
    list_nine,
    list_table,
    place_cells,
    write_html,
    write_pdf,
)

TABLE = [case for _, case in list_table()]


def test_the_page_is_what_the_script_writes() -> None:
    assert HTML.read_text(encoding="utf-8") == write_html(), "python -m tests.write_sheet"
    assert len(TABLE) == len({*TABLE}) == 30


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_each_derivative_of_the_table_is_proven_in_both_layouts(case) -> None:
    for layout in ("numerator", "denominator"):
        assert derive_case(case, layout).check(trials=1, proof="torch").verdict == "agrees"


@pytest.mark.parametrize("trap", TRAPS, ids=[trap.expr for trap in TRAPS])
def test_a_trap_is_one(trap) -> None:
    asked = {"layout": "denominator", "shapes": trap.shapes, "proof": "torch"}
    assert matcalc.check(trap.expr, trap.wrong, trap.wrt, **asked).verdict == "differs"
    assert matcalc.check(trap.expr, trap.right, trap.wrt, **asked).verdict == "agrees"


def test_vec_stacks_columns() -> None:
    assert matcalc.check(VEC.expr, VEC.wrong, VEC.wrt, layout="vec").verdict == "differs"
    assert matcalc.check(VEC.expr, VEC.right, VEC.wrt, layout="vec").verdict == "agrees"


def test_the_drawn_arrays_have_as_many_cells_as_their_shapes_say() -> None:
    for _, _, derivative in list_nine():
        for layout in ("numerator", "denominator"):
            turned = derivative.in_layout(layout)
            cells = place_cells(find_strict_shape(turned))
            values = turned.evaluate(turned.draw_point({letter: SIZES[letter] for letter in turned.letters}))
            assert len(cells) == len({*cells}) == values.size


def test_a_scalar_by_a_vector_is_a_row_in_numerator_layout_and_a_vector_by_a_scalar_a_column() -> None:
    shapes = {(of, by): [find_strict_shape(each.in_layout(layout)) for layout in ("numerator", "denominator")]
              for of, by, each in list_nine()}  # fmt: skip
    assert shapes["scalar", "vector"] == [("1", "n"), ("n", "1")]
    assert shapes["vector", "scalar"] == [("m", "1"), ("1", "m")]


@needs("matplotlib")
def test_the_pdf_has_two_pages(tmp_path) -> None:
    write_pdf(tmp_path / "sheet.pdf")
    for path in (PDF, tmp_path / "sheet.pdf"):
        assert len(re.findall(rb"/Type /Page\b", path.read_bytes())) == 2
