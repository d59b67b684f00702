"""What forward and reverse accumulation cost on a deep network: time and memory measured, beside what the graph counts.

The network is f(x) = sum(tanh(W_L @ ... tanh(W_1 @ x))) with square matrices; each pass computes df/dx in torch.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from matcalc.check.data_parallel import LossQuestion
from matcalc.check.data_parallel.processes import ProcessTask, run_tasks
from matcalc.check.modes import own_modes
from matcalc.check.points import Point
from matcalc.check.torch_values import squeeze
from matcalc.data_parallel import MOST_PROCESSES, read_loss
from matcalc.derivation import derive
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.language.declarations import Declared
from matcalc.language.expression import symbols

if TYPE_CHECKING:
    from matcalc.notebook.plots import Picture


MOST_LAYERS, _WIDEST = 1_000, 2_000
FLOAT = 8
"""Bytes of one number in float64."""
LEAST_SECONDS = 0.05
"""How long a pass is run again and again; a machine that is busy now may be idle in between."""


@dataclass(frozen=True)
class Cost:
    """What one pass over a network of some depth took; what the graph predicts is None for a pass it does not know."""

    mode: str
    depth: int
    width: int
    seconds: float
    peak_bytes: int
    multiplications: int | None = None
    predicted_bytes: int | None = None


@dataclass(frozen=True)
class CostTable(Sequence[Cost]):
    """The costs of all passes, by depth; `str` is a table of the times and one of the memory.

    `table.of("reverse")` are those of one mode; `write_memory()` is the part that is the same on every run.
    """

    costs: tuple[Cost, ...]

    def __getitem__(self, place: Any) -> Any:
        return self.costs[place]

    def __len__(self) -> int:
        return len(self.costs)

    @property
    def modes(self) -> tuple[str, ...]:
        """The names of the passes."""
        return tuple(dict.fromkeys(cost.mode for cost in self.costs))

    def of(self, mode: str) -> list[Cost]:
        """Return the costs of one mode, by depth; raises DeclarationError for a mode that was not measured."""
        if mode not in self.modes:
            raise DeclarationError(f"{mode!r} was not measured", advice=f"use one of {', '.join(self.modes)}")
        return [cost for cost in self.costs if cost.mode == mode]

    def __str__(self) -> str:
        return f"{self.write_times()}\n\n{self.write_memory()}"

    def write_times(self) -> str:
        """Return the table of the times, of each pass the shortest that was measured."""
        return _write_table(self, lambda cost: f"{cost.seconds * 1e3:.2f} ms")

    def write_memory(self) -> str:
        """Return the table of the most bytes at one time, with what the graph counts in brackets."""
        return _write_table(self, _write_bytes)


def measure_accumulation(
    depths: Iterable[int] = (1, 2, 4, 8, 16, 32), width: int = 64, seed: int = 0, repeats: int = 7
) -> CostTable:
    """Differentiate a deep network in forward and reverse mode and measure time and memory of each.

    The modes are "forward", which carries all `width` directions at once, "one direction", of which it carries one,
    "reverse", which is torch.autograd, and "checkpoints", reverse mode that keeps the input of every stretch of
    about sqrt(depth) layers and computes the rest again.  `seconds` is the processor's time for the shortest of
    `repeats` runs or more on one thread, in float64, after one that is not counted; `peak_bytes` are the most bytes
    that all tensors of the pass, not x and the matrices, held at one time.  Raises DeclarationError for depths and
    widths out of range.

    >>> costs = measure_accumulation(depths=[2], width=8, repeats=1)
    >>> [(cost.mode, cost.peak_bytes, cost.predicted_bytes) for cost in costs][0]
    ('forward', 1152, 1152)
    """
    depths = list(depths)
    for what, number, most in [*(("depth", depth, MOST_LAYERS) for depth in depths), ("width", width, _WIDEST)]:
        if not isinstance(number, int) or not 1 <= number <= most:
            raise DeclarationError(f"a {what} is a whole number from 1 to {most}, not {number!r}")
    return CostTable(tuple(cost for depth in depths for cost in _measure_depth(depth, width, seed, repeats)))


def write_network(depth: int) -> str:
    """Return the network as a text of the language.

    >>> write_network(2)
    'h_1 = tanh(W_1 @ x); h_2 = tanh(W_2 @ h_1); sum(h_2)'
    """
    names = ["x", *(f"h_{layer}" for layer in range(1, depth + 1))]
    layers = [f"h_{layer} = tanh(W_{layer} @ {names[layer - 1]})" for layer in range(1, depth + 1)]
    return "; ".join([*layers, f"sum({names[depth]})"])


def _measure_depth(depth: int, width: int, seed: int, repeats: int) -> list[Cost]:
    generator = torch.Generator().manual_seed(seed)
    shape = (depth + 1, width, width)
    # Divided by the root of the width, the layers neither saturate nor fade.
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64) / width**0.5
    x, matrices = drawn[0, 0].clone(), [matrix.clone() for matrix in drawn[1:]]
    predicted = _predict(depth, width)
    passes: dict[str, Callable[[], Tensor]] = {
        "forward": lambda: carry_forward(x, matrices, len(x)),
        "one direction": lambda: carry_forward(x, matrices, 1),
        "reverse": lambda: go_back(x, matrices),
        "checkpoints": lambda: go_back_from_checkpoints(x, matrices),
    }
    return [
        Cost(mode, depth, width, _time(run, repeats), measure_peak(run, [x, *matrices]), *predicted.get(mode, ()))
        for mode, run in passes.items()
    ]


def _predict(depth: int, width: int) -> dict[str, tuple[int, int]]:
    """Return multiplications and bytes that the computation graph counts for each mode."""
    shapes = {"x": ("n",), **{f"W_{layer}": ("n", "n") for layer in range(1, depth + 1)}}
    graph = derive(write_network(depth), "x", shapes=shapes).graph({"n": width})
    counted = {one.mode: one.count({"n": width}) for one in (graph.forward, graph.reverse)}
    return {mode: (numbers["multiplications"], FLOAT * numbers["memory"]) for mode, numbers in counted.items()}


def _time(run: Callable[[], Tensor], repeats: int) -> float:
    """Return the processor's seconds of the shortest run on one thread: other work can only make a run longer.

    The first run is not counted, it sets torch up.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run()
        end, times = time.perf_counter() + LEAST_SECONDS, [_time_once(run)]
        while len(times) < repeats or time.perf_counter() < end:
            times.append(_time_once(run))
        return min(times)
    finally:
        torch.set_num_threads(threads)


def _time_once(run: Callable[[], Tensor]) -> float:
    start = _read_clock()
    run()
    return _read_clock() - start


def _read_clock() -> float:
    """Return the time that this process had the processor, not the time that it waited for it while others had it."""
    return time.perf_counter() if os.name == "nt" else time.process_time()  # which ticks too slowly on Windows


# --- the passes -----------------------------------------------------------------------------------


def carry_forward(x: Tensor, matrices: Iterable[Tensor], directions: int) -> Tensor:
    """Return the first `directions` entries of df/dx: value and derivative go up the layers together."""
    value, derivative = x, torch.eye(len(x), directions, dtype=x.dtype)
    for matrix in matrices:
        value, derivative = (matrix @ value).tanh(), matrix @ derivative
        derivative = (1 - value**2)[:, None] * derivative
    return derivative.sum(0)


def go_back(x: Tensor, matrices: Iterable[Tensor]) -> Tensor:
    """Return df/dx by torch.autograd: the way up keeps every activation, the way down takes them."""
    value = leaf = x.detach().requires_grad_()
    return torch.autograd.grad(_climb(value, *matrices).sum(), leaf)[0]


def go_back_from_checkpoints(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Return df/dx by torch.autograd, which keeps only the input of every stretch of layers and climbs it again."""
    value = leaf = x.detach().requires_grad_()
    stretch = max(1, round(len(matrices) ** 0.5))
    for start in range(0, len(matrices), stretch):
        # Nothing is random here: the state of the random numbers, larger than a vector, need not be kept.
        parts = matrices[start : start + stretch]
        value = checkpoint(_climb, value, *parts, use_reentrant=False, preserve_rng_state=False)
    return torch.autograd.grad(value.sum(), leaf)[0]


def _climb(value: Tensor, *matrices: Tensor) -> Tensor:
    for matrix in matrices:
        value = (matrix @ value).tanh()
    return value


# --- tables ---------------------------------------------------------------------------------------


def _write_table(table: CostTable, write: Callable[[Cost], str]) -> str:
    cells = {(cost.depth, cost.mode): write(cost) for cost in table}
    rows = [["depth", *table.modes]]
    for depth in dict.fromkeys(cost.depth for cost in table):
        rows.append([str(depth), *(cells.get((depth, mode), "") for mode in table.modes)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _write_bytes(cost: Cost) -> str:
    told = f"{cost.peak_bytes / 1e3:,.1f}"
    return f"{told} kB" if cost.predicted_bytes is None else f"{told} ({cost.predicted_bytes / 1e3:,.1f}) kB"


# --- what DistributedDataParallel leaves in the parameters, from real processes -------------------


def average_in_processes(
    loss: Any,
    wrt: str,
    values: Mapping[str, Any],
    shares: Sequence[int] = (),
    *,
    batch_axis: Any = 0,
    shapes: Declared = None,
    timeout: float = 120.0,
) -> Any:
    """Return the gradient by `wrt`, a NumPy array, that DistributedDataParallel averages over gloo processes.

    Each process holds the parameter whole and, of the variables that have the batch axis, as many samples as its
    entry in `shares` says, in order: (4, 4) are two processes with four samples each, (6, 2) unequal ones.
    `values` gives an array for every variable of the loss.  Raises DeclarationError where the shares do not make
    up the batch, EvaluationError where values do not fit or the processes fail.

        average_in_processes("mean((X@w - y)**2)", "w", {"X": X, "y": y, "w": w}, shares=(4, 4))
    """
    question = read_loss(loss, wrt, batch_axis, shapes=shapes)
    with own_modes():
        point = _read_point(question, values)
        ends = [0, *accumulate(_check_shares(shares, point.sizes[question.batch.letter]))]
        points = question.batch.split(point, [slice(start, end) for start, end in pairwise(ends)])
        measured = run_tasks([ProcessTask(question.source, [points])], len(points), timeout)
        if isinstance(measured, str):
            raise EvaluationError(measured)
        return squeeze(question.parameters[0], measured[0][0][wrt], point.sizes).numpy()


def _check_shares(shares: Sequence[int], samples: int) -> list[int]:
    """Return the shares, equal ones for two processes where none are given."""
    found = list(shares) or [samples // 2, samples - samples // 2]
    if sum(found) != samples or min(found) < 1:
        reason = f"the shares {', '.join(map(str, found))} do not deal out the {samples} samples of the batch"
        raise DeclarationError(reason, advice="give every process one sample or more, and each sample to one process")
    if not 2 <= len(found) <= MOST_PROCESSES:
        raise DeclarationError(f"there are 2 to {MOST_PROCESSES} processes, not {len(found)}")
    return found


def _read_point(question: LossQuestion, values: Mapping[str, Any]) -> Point:
    """Return the values as the judge's processes take them: float64 tensors with their unit axes."""
    from matcalc.check.points import Point
    from matcalc.language.sizes import deduce_sizes

    variables = symbols(question.loss)
    if missing := [name for name in variables if name not in values]:
        raise EvaluationError(f"{missing[0]} has no value", advice=f"give all of {', '.join(variables)}")
    tensors = {name: torch.as_tensor(values[name], dtype=torch.float64) for name in variables}
    sizes = deduce_sizes({name: (variables[name], tuple(tensor.shape)) for name, tensor in tensors.items()})
    held = {
        name: tensor.reshape([size.value(sizes) for size in variables[name].shape]) for name, tensor in tensors.items()
    }
    largest = max(float(tensor.abs().max()) for tensor in held.values())
    return Point(held, sizes, {}, dict.fromkeys(held, "real"), largest)


# --- the most bytes that tensors hold at one time, observed and not assumed -----------------------


def measure_peak(run: Callable[[], Any], held: Iterable[Tensor] = ()) -> int:
    """Return the most bytes that tensors made by `run` held at one time; those in `held` were there before.

    Every operation that torch dispatches is observed, those of the backward pass included, and each storage until
    nothing refers to it any more; what an operation holds only inside of itself is not seen, nor
    what torch makes without an operation, as the state of its random numbers.

    >>> import torch
    >>> x = torch.ones(100, dtype=torch.float64)
    >>> measure_peak(lambda: (x + 1).sum(), [x])
    808
    """
    observer = _Observer(held)
    with observer:
        run()
    return observer.most


class _Observer(TorchDispatchMode):
    """Keeps count of the storages that are alive: how many bytes they hold, and the most they ever held."""

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in held}
        self.alive: dict[int, weakref.ref[Any]] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = call(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known or key in self.alive:
            return

        def leave(_: Any) -> None:
            del self.alive[key]
            self.now -= size

        self.alive[key] = weakref.ref(storage, leave)
        self.now += size
        self.most = max(self.most, self.now)


# --- time and memory against the depth of the network ---------------------------------------------


MARKERS = "os^D"


def plot_accumulation(table: CostTable) -> Picture:
    """Return a figure of two panels, time and memory of each mode against depth, both with logarithmic axes.

    Lines with markers are measured, dotted ones in the same colour what the computation graph counts.

    >>> from matcalc.notebook.measure import measure_accumulation
    >>> picture = plot_accumulation(measure_accumulation(depths=[1, 2], width=4, repeats=1))
    >>> [panel.get_title() for panel in picture.axes]
    ['time in milliseconds', 'most memory at one time in kB']
    """
    from matcalc.notebook.plots import open_picture

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
    from matcalc.notebook.plots import COLOURS

    for mode, colour, marker in zip(table.modes, COLOURS, MARKERS, strict=False):
        costs = table.of(mode)
        values = [getattr(cost, what) * scale for cost in costs]
        panel.plot([cost.depth for cost in costs], values, color=colour, marker=marker, markersize=4, label=mode)


def _draw_predictions(panel: Any, table: CostTable) -> None:
    from matcalc.notebook.plots import COLOURS

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
