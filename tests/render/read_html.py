"""What a browser makes of a page: tags in balance, the texts, the mathematics, the fold-outs."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

VOID = {"br", "hr", "img", "image"}
PICTURE = re.compile(r'<img [^>]*alt="[^"]+" src="data:image/svg\+xml;base64,([^"]*)">')


def open_pictures(html: str) -> str:
    """Return a page with its pictures as the drawings that they hold."""
    return PICTURE.sub(lambda found: base64.b64decode(found[1]).decode(), html)


class Page(HTMLParser):
    """A page as it is read; `tags` are all that were opened, `pieces` the texts, those in folds included."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.read_by_mathjax: list[str] = []  # it leaves code alone
        self.folds: list[str] = []
        self.feed(open_pictures(html))
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["summary"]:
            self.folds.append(data)
        if self.open[-1:] != ["style"]:
            self.pieces.append(data)
        if not {"style", "code", "pre"} & set(self.open):
            self.read_by_mathjax.append(data)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def mathematics(self) -> list[str]:
        r"""What stands between \( and \), which MathJax finds within one piece of text."""
        pieces = [piece.replace(r"\mathstrut ", " ") for piece in self.read_by_mathjax]
        return [found for piece in pieces for found in re.findall(r"\\\((.*?)\\\)", piece, re.DOTALL)]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def find_classes(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.tags)
