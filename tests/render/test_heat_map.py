"""Heat maps: every number in its place, one scale about zero, the worst entry framed, small and the same every time."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from matcalc.check.question import NumericJacobians
from matcalc.render.heat_map import draw_heat_map, draw_jacobians, is_drawable, shrink_svg

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
FRAME = "#00c853"


def read_svg(svg: str) -> ET.Element:
    """The picture as XML: it must be one that stands on its own as well."""
    return ET.fromstring(svg)


def list_texts(svg: str) -> list[str]:
    return [text.text or "" for text in read_svg(svg).iter(f"{SVG}text")]


def read_images(svg: str) -> list[np.ndarray]:
    """The colours of each map as rows, columns, RGBA; the last is the bar."""
    found = []
    for image in read_svg(svg).iter(f"{SVG}image"):
        data = base64.b64decode(image.attrib[LINK].partition("base64,")[2])
        found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")))
    return found


def put_side_by_side(truth: torch.Tensor, claim: torch.Tensor, worst: tuple[int, ...] | None) -> str:
    return draw_jacobians(NumericJacobians(truth, claim, {}, 1, worst), "rows", "columns")


def test_the_cells_hold_the_numbers_row_by_row():
    texts = list_texts(draw_heat_map([[1.0, -2.5], [0.0, 1234567.0]]))
    assert [text for text in texts if "shape" not in text][:4] == ["1", "−2.5", "0", "1.23e+06"]


def test_small_numbers_are_not_rounded_away():
    assert {"0.00012", "1.23e−05"} <= set(list_texts(draw_heat_map([0.00012, 0.0000123])))


def test_zero_is_white_and_the_scale_symmetrical():
    (colours, _) = read_images(draw_heat_map([[0.0, 3.0, -3.0], [1.0, -1.0, 0.0]]))
    white = colours[0, 0].astype(int)
    assert (white[:3] > 240).all()
    assert colours[1, 2].tolist() == colours[0, 0].tolist()
    red, blue = colours[0, 1].astype(int), colours[0, 2].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_two_maps_share_one_scale():
    truth, claim = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -8.0]])
    should, found, _ = read_images(put_side_by_side(truth, claim, (0, 1)))
    assert should[0, 0].tolist() == found[0, 0].tolist()
    alone = read_images(draw_heat_map(truth))[0]
    assert alone[0, 0].tolist() != should[0, 0].tolist()


@pytest.mark.parametrize(
    ("shape", "split", "drawn"),
    [((), None, (1, 1)), ((5,), None, (5, 1)), ((5,), 0, (1, 5)), ((2, 3), None, (2, 3)), ((2, 3, 4), None, (2, 12)),
     ((2, 3, 4), 2, (6, 4)), ((2, 3, 4, 5), None, (6, 20))],
)  # fmt: skip
def test_axes_are_joined_to_rows_and_columns(shape, split, drawn):
    values = torch.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)
    colours = read_images(draw_heat_map(values, split=split))[0]
    assert colours.shape[:2] == drawn
    flat = values.numpy().reshape(drawn)
    assert colours[0, 0, 1] >= colours[-1, -1, 1], "the last entry is the largest, and the darkest"
    assert flat.flat[-1] == flat.max()


def test_lines_stand_between_the_blocks():
    def count_lines(svg: str) -> int:
        return len(re.findall(r"stroke: #333(?:333)?\b", svg))

    assert count_lines(draw_heat_map(np.ones((2, 3, 4, 5)))) == 1 + 3
    assert count_lines(draw_heat_map(np.ones((6, 20)))) == 0


def find_frame(svg: str) -> list[tuple[float, float]]:
    """The middle of each frame, relative to the picture before it: (column, row) in cells."""
    found, place = [], None
    for node in read_svg(svg).iter():
        if node.tag == f"{SVG}image":
            numbers = [float(word) for word in re.findall(r"-?[\d.]+", node.attrib["transform"])]
            place = (numbers[0], numbers[3], numbers[4], numbers[5])
        elif FRAME in node.attrib.get("style", ""):
            assert place is not None
            pairs = np.array([float(word) for word in re.findall(r"[\d.]+", node.attrib["d"])]).reshape(-1, 2)
            middle = (pairs.min(0) + pairs.max(0)) / 2
            found.append((round((middle[0] - place[2]) / place[0], 1), round((middle[1] - place[3]) / place[1], 1)))
    return found


def test_the_worst_entry_is_framed_in_both():
    values = torch.arange(6.0).reshape(2, 3)
    svg = put_side_by_side(values, values + 1, (1, 2))
    assert find_frame(svg) == [(2.5, 1.5), (2.5, 1.5)]


def test_the_frame_of_higher_rank_is_where_the_entry_is():
    assert find_frame(draw_heat_map(np.zeros((2, 3, 4, 5)), mark=(1, 2, 3, 4))) == [(19.5, 5.5)]
    assert find_frame(draw_heat_map(np.zeros((2, 3, 4, 5)), mark=(1, 0, 2, 1))) == [(11.5, 3.5)]


def test_other_shapes_have_no_frame_in_the_claim_and_say_so():
    svg = put_side_by_side(torch.ones(2, 3), torch.ones(3, 2), None)
    assert find_frame(svg) == []
    assert {"should be, shape (2, 3)", "claim, shape (3, 2)"} <= set(list_texts(svg))


def test_what_is_not_finite_is_grey_and_written():
    svg = draw_heat_map([[float("nan"), 1.0], [float("inf"), -1.0]])
    assert {"nan", "inf"} <= set(list_texts(svg))
    (colours, _) = read_images(svg)
    assert colours[0, 0, :3].tolist() == colours[1, 0, :3].tolist() == [0xBD] * 3


def test_very_large_ones_are_cut_and_say_so():
    svg = draw_heat_map(np.ones((450, 20)), mark=(449, 0))
    assert read_images(svg)[0].shape[:2] == (400, 20)
    assert "(the first 400 rows and 20 columns of 450×20)" in list_texts(svg)
    assert find_frame(svg) == []


def test_numbers_stand_in_small_ones_only():
    assert list_texts(draw_heat_map(np.full((8, 8), 7.0))).count("7") == 64 + 1
    assert list_texts(draw_heat_map(np.full((9, 8), 7.0))).count("7") == 1


def test_pictures_are_small_and_the_same_every_time():
    values = np.arange(64.0).reshape(8, 8)
    first = draw_heat_map(values, rows="y axis 0", columns="x axis 0")
    assert first == draw_heat_map(values, rows="y axis 0", columns="x axis 0")
    assert len(first) < 12_000
    assert len(draw_heat_map(np.random.default_rng(0).normal(size=(60, 60)))) < 20_000


def test_pictures_share_no_names_and_style_no_page():
    svg = draw_heat_map(np.ones((2, 2)))
    assert " id=" not in svg
    assert "<style" not in svg
    assert "<script" not in svg


def test_names_that_are_used_differ_from_picture_to_picture():
    one, other = (f'<svg><path id="a" d="{d}"/><use href="#a"/></svg>' for d in "12")
    names = [re.findall(r'"#?(m\w{8}-a)"', shrink_svg(svg)) for svg in (one, other)]
    assert names[0][0] == names[0][1] != names[1][0]


def test_titles_are_text_and_never_tags_or_mathematics():
    svg = draw_heat_map([1.0], title="<b>&$x_1$")
    assert "<b>&$x_1$, shape (1,)" in list_texts(svg)


def test_the_readers_own_settings_stay_and_do_not_matter():
    plain = draw_heat_map(np.ones((2, 2)))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path"}):
        assert draw_heat_map(np.ones((2, 2))) == plain
        assert matplotlib.rcParams["font.size"] == 30
    assert is_drawable()


def test_pyplot_is_never_loaded():
    drawing = "from matcalc.render.heat_map import draw_heat_map; draw_heat_map([1.0])"
    code = f"import sys; {drawing}; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_matplotlib_it_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from matcalc.render.heat_map import *\n"
        "try: draw_heat_map([1.0])\nexcept HeatMapError as error: print(is_drawable(), error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "False to draw a heat map matplotlib is needed, and it is not here", "  try: pip install matplotlib"
    ]  # fmt: skip


def test_a_claim_of_another_rank_is_no_long_row():
    truth, claim = np.ones(5), np.arange(15.0).reshape(5, 3)
    svg = draw_jacobians(NumericJacobians(torch.tensor(truth), torch.tensor(claim), {"n": 5}, 1, None), split=0)
    assert [image.shape[:2] for image in read_images(svg)[:2]] == [(1, 5), (5, 3)]
