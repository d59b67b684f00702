"""A block Hessian as a table: a row for the first variable, a column for the second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matcalc.language.sizes import write_shape

if TYPE_CHECKING:
    from matcalc.derivatives import BlockHessian

# A wider table would be broken by most terminals; it then shows the shapes alone.
WIDEST = 110
GAP = "   "


def write_block_table(blocks: BlockHessian, formulas: bool = True) -> str:
    """Return the blocks with their shapes as a table.

    Where it would be too wide it shows the shapes alone, with the `formulas` below it if they are asked for.
    """
    title = f"block Hessian, {blocks.layout} layout; row: first by, column: then by"
    shapes = {key: write_shape(block.shape) for key, block in blocks.items()}
    full = _lay_out(blocks.names, {key: f"{block}  {shapes[key]}" for key, block in blocks.items()})
    if all(len(line) <= WIDEST for line in full):
        return "\n".join([title, *full])
    below = [line for block in blocks.values() for line in (block.header, f"  {block}") if formulas]
    return "\n".join([title, *_lay_out(blocks.names, shapes), *below])


def _lay_out(names: tuple[str, ...], cells: dict[tuple[str, str], str]) -> list[str]:
    rows = [["", *names], *([row, *(cells[row, column] for column in names)] for row in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [f"  {line}".rstrip() for line in lines]
