"""Time compiled derivatives beside the best closed forms by hand and the tools for automatic differentiation.

    python -m benchmarks [--sizes small medium large] [--problem inv] [--rounds 7] [--json FILE] [--picture FILE]
    python -m benchmarks --device cuda --dtype float32

All peers of a problem take turns in one process, on one thread, in float64; what is measured is the time of the
processor, the least of several rounds, after every peer's answer was compared with the closed form.  The table shows
how many times as long as the fastest closed form in the same library each peer takes.  On a GPU it is the time of the
clock until all calls of a round are done, of the peers that run there, and the measure is the closed form in torch.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # of a GPU's memory torch needs some, too
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import argparse
import json
import math
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import matcalc
from benchmarks.problems import PROBLEMS, SIZES, Problem

try:
    import jax
except ImportError:
    jax = None

Work = Callable[[], Any]
# A round of a peer lasts about so long, in seconds; one that takes longer than this for one call is left out, and there
# are no more rounds of one that took so long altogether.
_ROUND, _TOO_LONG, _ENOUGH = 0.02, 3.0, 6.0
HAND = ("by hand, NumPy", "by hand, torch")
PEERS = (
    "matcalc, NumPy", "matcalc, torch", "matcalc, JAX", "autograd.functional", "torch.func", "jax.jit",
)  # fmt: skip
ON_GPU = ("matcalc, torch", "matcalc, JAX", "autograd.functional", "torch.func", "jax.jit")


def choose_measure(peer: str, device: str) -> str:
    """Return the closed form that a peer is compared with: on a GPU NumPy has none."""
    return HAND[1] if device != "cpu" or peer in ("matcalc, torch", "autograd.functional", "torch.func") else HAND[0]


def draw(problem: Problem, which: str, dtype: str) -> dict[str, np.ndarray]:
    """Return values for every variable at a size."""
    rng, sizes = np.random.default_rng(0), problem.size(which)
    values = {}
    for name, shape in problem.shapes.items():
        numbers = tuple(sizes[letter] for letter in shape)
        value = rng.standard_normal(numbers) / math.sqrt(numbers[-1])
        square = len(numbers) == 2 and numbers[0] == numbers[1]
        value = value @ value.T if "posdef" in problem.assume.get(name, "") else value
        values[name] = (value + 2 * np.eye(numbers[0]) if square else value).astype(dtype)
    return values


def list_works(
    problem: Problem, values: dict[str, np.ndarray], peers: tuple[str, ...], device: str
) -> dict[str, list[Work]]:
    """Return what is timed, by peer; of closed forms there may be several."""
    derivative = matcalc.derive(
        problem.text, problem.wrt, layout="torch", shapes=problem.shapes, assume=problem.assume, order=problem.order
    )
    tensors = {name: torch.from_numpy(value.copy()).to(device) for name, value in values.items()}
    works: dict[str, list[Work]] = {
        HAND[0]: [partial(form, np, *values.values()) for form in problem.numpy],
        HAND[1]: [partial(form, torch, *tensors.values()) for form in problem.torch],
        "matcalc, NumPy": [partial(_order(derivative.compile("numpy"), values))],
        "matcalc, torch": [partial(_order(derivative.compile("torch"), tensors))],
    }

    def at(x: Any) -> Any:
        return problem.function(torch, {**tensors, problem.wrt: x})

    x = tensors[problem.wrt]
    functional, func = torch.autograd.functional, torch.func
    scalar = problem.text.startswith(("norm", "sum", "logdet", "-logdet", "x.T", "logsumexp"))
    if problem.order == 2:
        works["autograd.functional"] = [lambda: functional.hessian(at, x)]
        works["torch.func"] = [lambda: func.hessian(at)(x)]
    else:
        works["autograd.functional"] = [lambda: functional.jacobian(at, x)]
        works["torch.func"] = [lambda: (func.grad(at) if scalar else func.jacrev(at))(x)]
    if jax is not None:
        arrays = {name: jax.numpy.asarray(value) for name, value in values.items()}

        def of(x: Any, others: Any) -> Any:
            return problem.function(jax.numpy, {**others, problem.wrt: x})

        compiled = jax.jit(jax.hessian(of) if problem.order == 2 else (jax.grad if scalar else jax.jacrev)(of))
        # One call after the other on a processor; a GPU is given the next while it works, by torch as well.
        wait = jax.block_until_ready if device == "cpu" else (lambda found: found)
        works["jax.jit"] = [lambda: wait(compiled(arrays[problem.wrt], arrays))]
        written = jax.jit(derivative.compile("jax"))
        ordered = _arrange(derivative.compile("jax"), arrays)
        works["matcalc, JAX"] = [lambda: wait(written(*ordered))]
    return {name: forms for name, forms in works.items() if name in (*HAND, *peers)}


def _arrange(function: Callable[..., Any], values: dict[str, Any]) -> list[Any]:
    import inspect

    return [values[name] for name in inspect.signature(function).parameters]


def _order(function: Callable[..., Any], values: dict[str, Any]) -> Work:
    return partial(function, *_arrange(function, values))


def measure(works: dict[str, list[Work]], rounds: int, device: str) -> dict[str, float]:
    """Return seconds for one call of each peer, of the fastest form; those that take too long are left out."""
    timed: dict[tuple[str, int], tuple[Work, int]] = {}
    best: dict[tuple[str, int], float] = {}
    for name, forms in works.items():
        for place, work in enumerate(forms):
            _time(work, 1, device)
            once = _time(work, 1, device)
            if once < _TOO_LONG:
                timed[name, place] = work, max(1, int(_ROUND / max(once, 1e-7)))
                best[name, place] = once
    for number in range(rounds):
        for key, (work, count) in timed.items():
            if number * count * best[key] < _ENOUGH:
                best[key] = min(best[key], _time(work, count, device))
    return {name: min(found) for name in works if (found := [best[key] for key in best if key[0] == name])}


def _time(work: Work, count: int, device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    for _ in range(count):
        found = work()
    if isinstance(found, torch.Tensor) and found.is_cuda:
        torch.cuda.synchronize()
    elif device != "cpu":
        found.block_until_ready()
    return (clock() - start) / count


def measure_memory(work: Work, device: str) -> int:
    """Return the most bytes that NumPy, or torch on a GPU, holds during a call beyond what was there before."""
    work()
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def compare(works: dict[str, list[Work]]) -> dict[str, float]:
    """Return the largest relative difference of each peer's answer from the closed form."""
    truth = np.asarray(works[HAND[0]][0]())
    scale = np.abs(truth).max()

    def compare_one(found: Any) -> float:
        array = np.asarray(found.cpu() if isinstance(found, torch.Tensor) else found)
        return float(np.abs(array.reshape(truth.shape) - truth).max() / scale)

    return {name: max(compare_one(work()) for work in forms) for name, forms in works.items()}


def run(problem: Problem, which: str, rounds: int, peers: tuple[str, ...], device: str, dtype: str) -> dict[str, Any]:
    """Return times, ratios, differences and memory of one problem at one size."""
    works = list_works(problem, draw(problem, which, dtype), peers, device)
    errors = compare(works)
    if device != "cpu":
        del works[HAND[0]]
    seconds = measure(works, rounds, device)
    ratios = {name: seconds[name] / seconds[choose_measure(name, device)] for name in peers if name in seconds}
    held = (HAND[0], "matcalc, NumPy") if device == "cpu" else (HAND[1], "matcalc, torch")
    memory = {name: min(measure_memory(work, device) for work in works[name]) for name in held if name in works}
    return {
        "problem": problem.name, "size": which, "sizes": problem.size(which), "seconds": seconds, "ratios": ratios,
        "errors": errors, "memory": memory,
    }  # fmt: skip


def write_table(found: list[dict[str, Any]], peers: tuple[str, ...]) -> Table:
    """Return the table of ratios, with geometric means below."""
    table = Table("problem", "size", "by hand", *peers, "memory", box=None, pad_edge=False)
    for row in found:
        cells = [f"{row['ratios'][name]:.2f}" if name in row["ratios"] else "" for name in peers]
        held = list(row["memory"].values())
        memory = held[1] / max(held[0], 1) if len(held) == 2 else 0
        by_hand = row["seconds"].get(HAND[0], row["seconds"][HAND[1]])
        table.add_row(row["problem"], row["size"], f"{by_hand * 1e6:.0f} µs", *cells, f"{memory:.2f}")
    for which in SIZES:
        rows = [row for row in found if row["size"] == which]
        means = [[row["ratios"][name] for row in rows if name in row["ratios"]] for name in peers]
        if rows:
            cells = [f"{statistics.geometric_mean(each):.2f}" if each else "" for each in means]
            table.add_row("geometric mean", which, "", *cells)
    return table


def draw_picture(found: list[dict[str, Any]], peers: tuple[str, ...], path: Path) -> None:
    """Save cost against size for each problem, both on logarithmic axes."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["problem"] for row in found))
    figure = Figure(figsize=(15, 2.8 * math.ceil(len(names) / 4)), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(math.ceil(len(names) / 4), 4, place + 1)
        rows = [row for row in found if row["problem"] == name]
        for peer in (*HAND, *peers):
            points = [(row["size"], row["seconds"][peer] * 1e6) for row in rows if peer in row["seconds"]]
            style = {"linestyle": "--", "color": "black" if peer == HAND[0] else "grey"} if peer in HAND else {}
            axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", markersize=3, label=peer, **style)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
        axes.set_ylabel("µs", fontsize=8)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=8)
    figure.savefig(path, dpi=80)


def name_machine() -> str:
    """Return the name of the processor, as far as the system tells it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def name_device(device: str) -> str:
    """Return the name of what the peers run on."""
    return name_machine() if device == "cpu" else torch.cuda.get_device_name(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--problem", default="", help="only those whose name contains this")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")  # as torch's: a GPU may round to 10 bits
    there = PEERS if given.device == "cpu" else ON_GPU
    peers = tuple(peer for peer in given.peers if peer in there and (jax is not None or "JAX" not in peer.upper()))
    found: list[dict[str, Any]] = []
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    told = {"machine": name_device(given.device), "dtype": given.dtype, "versions": versions, "measured": found}
    for problem in PROBLEMS:
        if given.problem in problem.name:
            for which in given.sizes:
                print(f"{problem.name}, {which}", file=sys.stderr)
                found.append(run(problem, which, given.rounds, peers, given.device, given.dtype))
            if given.json:  # so far: a run on a machine that is lent may be cut short
                given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    Console(width=180).print(write_table(found, peers))
    worst = max((error, name, row["problem"]) for row in found for name, error in row["errors"].items())
    print(f"largest relative difference from the closed form {worst[0]:.1e} ({worst[1]}: {worst[2]})")
    if given.picture:
        draw_picture(found, peers, given.picture)


if __name__ == "__main__":
    main()
