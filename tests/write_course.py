"""Writes docs/course.md, where each heading of the course's notes stands, and the line at the top of each notebook.

`python -m tests.write_course` from the root of the repository, after `python -m tests.write_notebooks`.  A code
cell says with a tag such as `covers:norms` which heading it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.write_notebooks import ROOT, list_notebooks

if TYPE_CHECKING:
    from nbformat import NotebookNode

PAGE = ROOT / "docs" / "course.md"
TAG = "covers:"
# The headings of the notes from which matcalc grew, in their order and in both of their languages.
HEADINGS = {
    "axes": "tensor axes in torch · torch 的维度理解",
    "norms": "norms · 范数",
    "torch-basics": "torch basics · torch 代码基础计算",
    "layouts": "denominator and numerator layout · 分母布局和分子布局",
    "scalar-by-vector": "scalar by vector · 标量方程对向量的导数",
    "vector-by-vector": "vector by vector · 向量方程对向量的导数",
    "memory-rules": "memory rules · 记忆小技巧",
    "special-cases": "special cases · 常用特例",
    "nine-shapes": "derivatives of all kinds · 各类方程的导数",
    "chain-rule": "chain rule for vectors · 向量的链式法则",
    "autodiff": "automatic differentiation, computation graph · 自动求导, 计算图",
    "two-modes": "forward and reverse mode · 自动求导的两种模式",
    "over-fitting": "over-fitting · 过拟合",
    "activations": "activation functions · 激活函数",
    "layer-norm": "layer normalisation · Layer Normalization",
    "argparse": "argparse · argparse 标准库",
    "seeds-and-devices": "seeds and devices · 随机种子和设备",
    "data-parallel": "data-parallel training · DDP 分布式训练",
}
LINE = "*Headings of the notes:* "
NONE = "none of its own; it is about matcalc."
_HEAD = """# The course, heading by heading

The notebooks grew from the notes of a course on deep learning. This page says where each heading of the notes stands:
in which notebook, under which title, and in which cells, by the number in brackets beside a cell. It is made from the
tags of the cells: `python -m tests.write_course`.

| heading of the notes | where it stands |
| --- | --- |
"""


@dataclass(frozen=True)
class Place:
    """A cell that covers a heading: its notebook, the title above it, its number when run."""

    notebook: Path
    title: str
    section: str
    number: int


def read_places(paths: Iterable[Path]) -> dict[str, list[Place]]:
    """Return the cells that cover each heading, and those with an unknown tag by that tag."""
    import nbformat

    places: dict[str, list[Place]] = {slug: [] for slug in HEADINGS}
    for path in paths:
        for slug, place in list_places(path, nbformat.read(path, as_version=4)):
            places.setdefault(slug, []).append(place)
    return places


def list_places(path: Path, notebook: NotebookNode) -> Iterator[tuple[str, Place]]:
    """Yield the tags of each code cell with its place."""
    title = section = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^#{2,} (.*)", cell.source, re.MULTILINE)
            section = found[-1] if found else section
        else:
            tags = [tag for tag in cell.metadata.get("tags", ()) if tag.startswith(TAG)]
            yield from ((tag.removeprefix(TAG), Place(path, title, section, cell.execution_count)) for tag in tags)


def write_page(places: dict[str, list[Place]]) -> str:
    """Return the page."""
    rows = [f"| {heading} | {'<br>'.join(write_places(places[slug]))} |" for slug, heading in HEADINGS.items()]
    return _HEAD + "\n".join(rows) + "\n"


def write_places(places: Iterable[Place]) -> Iterator[str]:
    """Yield a line for each notebook: its link, the titles, the numbers of the cells."""
    notebooks: dict[Path, dict[str, list[Place]]] = {}
    for place in places:
        notebooks.setdefault(place.notebook, {}).setdefault(place.section, []).append(place)
    for path, sections in notebooks.items():
        parts = [
            f"{section.replace('|', chr(92) + '|')} {' '.join(f'[{place.number}]' for place in found)}"
            for section, found in sections.items()
        ]
        title = next(iter(sections.values()))[0].title
        yield f"[{title}](../notebooks/{path.name}): {'; '.join(parts)}"


def write_line(slugs: Iterable[str]) -> str:
    """Return the line at the top of a notebook: the headings that its cells cover, in the order of the notes."""
    covered = {*slugs}
    return LINE + ("; ".join(HEADINGS[slug] for slug in HEADINGS if slug in covered) + "." if covered else NONE)


def put_line(source: str, line: str) -> str:
    """Return the first cell of a notebook with the line below its title, in place of an older one."""
    title, *rest = source.splitlines()
    rest = [text for text in rest if not text.startswith(LINE)]
    while rest and not rest[0]:
        del rest[0]
    return "\n".join([title, "", line, "", *rest])


def main() -> None:
    import nbformat

    for path in list_notebooks():
        notebook = nbformat.read(path, as_version=4)
        first = notebook.cells[0]
        first.source = put_line(first.source, write_line(slug for slug, _ in list_places(path, notebook)))
        nbformat.write(notebook, path)
    PAGE.write_text(write_page(read_places(list_notebooks())), encoding="utf-8")


if __name__ == "__main__":
    main()
