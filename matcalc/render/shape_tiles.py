"""The axes of a derivative as a row of tiles, which slide to their new places when the layout changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matcalc.language.sizes import write_shape
from matcalc.render.axis_rows import AxisRow, list_axis_rows
from matcalc.render.html_parts import escape

if TYPE_CHECKING:
    from matcalc.derivation import Derivative

STRIDE = 8  # em from one tile to the next
_SIDES = {"result": "of the function", "wrt": "of the variable"}

# A tile starts --from em away from its place; who asks for less motion sees it in its place at once.
TILE_STYLE = """<style>
.matcalc-tiles{color:var(--jp-ui-font-color1,#111);padding:.3em 0;overflow-x:auto}
.matcalc-tiles .mc-row{display:flex}
.matcalc-tiles .mc-tile{flex:none;box-sizing:border-box;width:7.5em;margin-right:.5em;padding:.3em .4em;
text-align:center;border:2px solid #888;border-radius:6px;line-height:1.3;animation:matcalc-slide 1.1s ease-in-out both}
.matcalc-tiles .mc-tile b{display:block;font-size:1.6em}
.matcalc-tiles .mc-tile span,.matcalc-tiles .mc-tile i{display:block;font-size:.85em}
.matcalc-tiles .mc-tile.mc-result{background:rgba(33,150,243,.2);border-color:#1e88e5}
.matcalc-tiles .mc-tile.mc-wrt{background:rgba(255,152,0,.25);border-color:#fb8c00}
.matcalc-tiles p{margin:.4em 0}
@keyframes matcalc-slide{from{transform:translateX(var(--from,0em))}to{transform:none}}
@media (prefers-reduced-motion:reduce){.matcalc-tiles .mc-tile{animation:none}}
</style>"""


def write_shape_tiles(derivative: Derivative, before: Derivative | None = None) -> str:
    """Return the axes of a derivative as tiles: the size large, what it is small, two colours for the two sides.

    `before` is the same derivative in the layout before: each tile starts where it stood there.

    >>> from matcalc.derivation import derive
    >>> d = derive("A @ x")
    >>> "numerator (m, n) → denominator (n, m)" in write_shape_tiles(d.in_layout("denominator"), d)
    True
    """
    rows = list_axis_rows(derivative)
    former = [] if before is None else list_axis_rows(before)
    tiles = "".join(_write_tile(row, _find_start(place, row, former)) for place, row in enumerate(rows))
    tiles = tiles or '<div class="mc-tile"><b>scalar</b><span>no axes</span></div>'
    told = derivative.header.partition("   ")[2] if before is None else _tell_change(before, derivative)
    return f'{TILE_STYLE}<div class="matcalc-tiles"><div class="mc-row">{tiles}</div><p>{escape(told)}</p></div>'


def _write_tile(row: AxisRow, start: float) -> str:
    style = f' style="--from:{start:g}em"' if start else ""
    told = f"<b>{escape(row.size)}</b><span>{escape(row.name)}</span><i>{_SIDES[row.of]}</i>"
    return f'<div class="mc-tile mc-{row.of}"{style}>{told}</div>'


def _find_start(place: int, row: AxisRow, former: Sequence[AxisRow]) -> float:
    """How far from its place, in em, the tile stood before: in the middle of the tiles that had its axes."""
    stood = [k for k, one in enumerate(former) if set(one.members) & set(row.members)]
    return STRIDE * (sum(stood) / len(stood) - place) if stood else 0.0


def _tell_change(before: Derivative, derivative: Derivative) -> str:
    """numerator (m, n) → denominator (n, m); where the sizes are the same, what each axis is."""
    told = [f"{one.layout} {write_shape(one.shape)}" for one in (before, derivative)]
    if before.shape == derivative.shape and before.axes != derivative.axes:
        told = [f"{text}: {', '.join(one.axes)}" for text, one in zip(told, (before, derivative), strict=True)]
    elif before.shape == derivative.shape:
        told = [one.header.partition("   ")[2] for one in (before, derivative)]
    return " → ".join(told)
