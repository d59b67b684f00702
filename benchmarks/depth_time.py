"""Time and size of each stage against the depth of a network; the growth laws are fitted.

Each family of networks is derived by x, by the first weights, by all weights at once and twice by x.  Stages are
reading, deriving in index form, matrix notation, printing, code, SymPy and an autograd function; sizes are the nodes of
the answer and the characters of what is written.  Run it with `python benchmarks/depth_time.py`; JAX is optional.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator

from matcalc import derive
from matcalc.derivation import Derivative
from matcalc.engine.result import derive_each
from matcalc.language.expression import walk
from matcalc.language.text_to_expression import parse

DEPTHS = (8, 16, 32, 64, 128, 256)
# What a layer adds to h, and the weights it has.
FAMILIES = {
    "plain": ("tanh(W{k} @ {h})", "W"),
    "bias": ("tanh(W{k} @ {h} + b{k})", "Wb"),
    "residual": ("{h} + tanh(W{k} @ {h})", "W"),
    "residual, bias": ("{h} + tanh(W{k} @ {h} + b{k})", "Wb"),
    "residual, layer norm": ("{h} + tanh(W{k} @ layer_norm({h}))", "W"),
    "residual, two matrices": ("{h} + V{k} @ relu(W{k} @ {h})", "VW"),
    "scaled residual": ("a*{h} + tanh(W{k} @ {h})", "W"),
}
BY = ("x", "W1", "all W", "x twice")


def write_network(family: str, depth: int) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return the text of sum(h_L), one definition for each layer, and the shapes of its variables."""
    layer, weights = FAMILIES[family]
    numbers = range(1, depth + 1)
    layers = [f"h{k} = " + layer.format(k=k, h=f"h{k - 1}" if k > 1 else "x") for k in numbers]
    shapes = {f"{name}{k}": ("n", "n") if name != "b" else ("n",) for name in weights for k in numbers}
    constants: dict[str, tuple[str, ...]] = {"a": ()} if family.startswith("scaled") else {}
    return "; ".join([*layers, f"sum(h{depth})"]), {**shapes, **constants, "x": ("n",)}


class Stages:
    """The stages of one derivation, each timed once it is done."""

    def __init__(self) -> None:
        self.row: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], object]) -> object:
        """Do something, and note how many milliseconds it takes, or that it fails."""
        start = time.process_time()
        try:
            found = work()
        except Exception as error:
            print(f"{name}: {type(error).__name__} {str(error)[:100]}")
            found = None
        self.row[name] = 1e3 * (time.process_time() - start) if found is not None else math.nan
        return found

    def count(self, name: str, found: object) -> None:
        """Note the characters of what was written."""
        self.row[name] = len(found) if isinstance(found, str) else math.nan


def measure(family: str, depth: int, by: str) -> dict[str, float]:
    """Return the times of all stages in milliseconds, and the sizes."""
    text, shapes = write_network(family, depth)
    stages = Stages()
    names = [f"W{k}" for k in range(1, depth + 1)] if by == "all W" else [by.removesuffix(" twice")]
    order = 2 if by.endswith("twice") else 1
    problem = parse(text, shapes=shapes, wrt=names[0])
    stages.time("read", lambda: parse(text, shapes=shapes, wrt=names[0]))
    wrts = [[problem.symbols[name] for name in names]] * order
    stages.time("index", lambda: derive_each(problem.expressions[0], wrts))
    if by == "all W":
        found = stages.time("derive", lambda: derive(text, names, layout="denominator", shapes=shapes))
        if found is not None:
            stages.time("compile", lambda: found.compile())  # type: ignore[attr-defined]
            stages.row["nodes"] = len(list(walk(*[one.expression for one in found.values()])))  # type: ignore[attr-defined]
        return stages.row
    one = stages.time("derive", lambda: derive(text, by[:2].strip(), layout="denominator", shapes=shapes, order=order))
    if isinstance(one, Derivative):
        for name, way in _list_ways(one, order):
            stages.count(f"{name} characters", stages.time(name, way))
        if order == 1:
            stages.row.pop("sympy characters", None)
        stages.row["nodes"] = len(list(walk(one.expression)))
    return stages.row


def _list_ways(one: Derivative, order: int) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "print", lambda: str(one)
    for backend in ("numpy", "torch", "jax"):
        yield backend, lambda backend=backend: one.code(backend)  # type: ignore[misc]
    if order == 1:
        yield "sympy", one.to_sympy
        yield "autograd", one.autograd_function


def measure_jax(depth: int) -> dict[str, float]:
    """Return the time of jax.make_jaxpr of the gradient, and the length of its text; nothing without JAX."""
    try:
        import jax
        import jax.numpy as jnp
        import numpy as np
    except ImportError:
        return {}

    def function(x: jax.Array, weights: list[jax.Array]) -> jax.Array:
        for weight in weights:
            x = jnp.tanh(weight @ x)
        return jnp.sum(x)

    values = np.ones(3), [np.ones((3, 3))] * depth
    stages = Stages()

    # A new function each time, since JAX keeps what it has traced.
    def trace() -> object:
        return jax.make_jaxpr(jax.grad(lambda *args: function(*args)))(*values)

    trace()
    found = stages.time("jaxpr", trace)
    return {**stages.row, "jaxpr characters": len(str(found))}


def fit_exponent(values: dict[int, float]) -> float:
    """Return the exponent k of value ~ depth**k, by least squares over the deeper half of the depths."""
    deep = sorted(values)[len(values) // 2 - 1 :]
    points = [(math.log(depth), math.log(max(values[depth], 1e-9))) for depth in deep]
    middle = [sum(axis) / len(points) for axis in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def print_table(title: str, rows: dict[int, dict[str, float]]) -> None:
    """Print one row for each depth, and the exponents below."""
    columns = list(next(iter(rows.values())))
    width = [max(9, len(column)) for column in columns]
    print(f"\n{title}\n{'depth':>9} " + " ".join(f"{one:>{w}}" for one, w in zip(columns, width, strict=True)))
    for depth, row in rows.items():
        cells = [f"{row.get(one, math.nan):{w}.1f}" for one, w in zip(columns, width, strict=True)]
        print(f"{depth:>9} " + " ".join(cells))
    if len(rows) > 2:
        exponents = [fit_exponent({depth: row.get(one, math.nan) for depth, row in rows.items()}) for one in columns]
        print(f"{'exponent':>9} " + " ".join(f"{k:{w}.2f}" for k, w in zip(exponents, width, strict=True)), flush=True)


def main() -> None:
    """Measure all depths and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, nargs="+", default=list(FAMILIES))
    parser.add_argument("--by", choices=BY, nargs="+", default=list(BY))
    parser.add_argument("--deepest", type=int, default=256)
    options = parser.parse_args()
    for family in options.family:
        for by in options.by:
            deepest = min(options.deepest, 64 if by == "x twice" else 256)
            measure(family, 4, by)
            rows = {depth: measure(family, depth, by) for depth in DEPTHS if depth <= deepest}
            print_table(f"{family}, by {by} (times in ms)", rows)
    by_jax = {depth: measure_jax(depth) for depth in DEPTHS if depth <= options.deepest}
    if all(by_jax.values()):
        print_table("jax.make_jaxpr of jax.grad, plain, by x", by_jax)


if __name__ == "__main__":
    main()
