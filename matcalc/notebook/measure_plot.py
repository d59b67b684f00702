"""Time and memory of forward and reverse accumulation, drawn against the depth of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matcalc.notebook.measure import CostTable
    from matcalc.notebook.plots_picture import Picture

MARKERS = "os^D"


def plot_accumulation(table: CostTable) -> Picture:
    """Return a figure of two panels, time and memory of each mode against depth, both with logarithmic axes.

    Lines with markers are measured, dotted ones in the same colour what the computation graph counts.

    >>> from matcalc.notebook.measure import measure_accumulation
    >>> picture = plot_accumulation(measure_accumulation(depths=[1, 2], width=4, repeats=1))
    >>> [panel.get_title() for panel in picture.axes]
    ['time in milliseconds', 'most memory at one time in kB']
    """
    from matcalc.notebook.plots_picture import open_picture

    picture, (times, memory) = open_picture(2, height=3.1)
    _draw_lines(times, table, "seconds", 1e3)
    _draw_lines(memory, table, "peak_bytes", 1e-3)
    _draw_predictions(memory, table)
    _label(times, table, "time in milliseconds")
    _label(memory, table, "most memory at one time in kB")
    handles, labels = memory.get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    return picture


def _draw_lines(panel: Any, table: CostTable, what: str, scale: float) -> None:
    from matcalc.notebook.plots_picture import COLOURS

    for mode, colour, marker in zip(table.modes, COLOURS, MARKERS, strict=False):
        costs = table.of(mode)
        values = [getattr(cost, what) * scale for cost in costs]
        panel.plot([cost.depth for cost in costs], values, color=colour, marker=marker, markersize=4, label=mode)


def _draw_predictions(panel: Any, table: CostTable) -> None:
    from matcalc.notebook.plots_picture import COLOURS

    for mode, colour in zip(table.modes, COLOURS, strict=False):
        costs = [cost for cost in table.of(mode) if cost.predicted_bytes is not None]
        depths, values = [cost.depth for cost in costs], [(cost.predicted_bytes or 0) * 1e-3 for cost in costs]
        panel.plot(depths, values, color=colour, linestyle=":", linewidth=3, alpha=0.5)
    panel.plot([], [], color=COLOURS[-1], linestyle=":", linewidth=3, alpha=0.5, label="counted on the graph")


def _label(panel: Any, table: CostTable, title: str) -> None:
    depths = list(dict.fromkeys(cost.depth for cost in table))
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(f"layers (width {table[0].width})", fontsize=8)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(depths, [str(depth) for depth in depths])
