"""Time of derivation and of printing against depth, beside the gradient of JAX; the growth laws are fitted.

The function is f = sum(h_L), h_{l+1} = tanh(W_l @ h_l), derived by x and by W_1. Run it with
`python benchmarks/depth_time.py`; JAX is optional.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

from matcalc.engine.result import Result, derive_result
from matcalc.language.text_to_expression import parse
from matcalc.render.named_parts import to_text_named

DEPTHS = (1, 2, 4, 8, 16, 32, 64)
FITTED = (16, 32, 64)


def write_network(depth: int) -> str:
    """Return the text of the network, one definition for each layer."""
    layers = [f"a{k} = tanh(W_{k} @ {'x' if k == 1 else f'a{k - 1}'})" for k in range(1, depth + 1)]
    return "; ".join([*layers, f"sum(a{depth})"])


def measure(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest time of several runs, in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def measure_matcalc(depth: int, wrt: str, repeats: int) -> dict[str, float]:
    """Return the times of reading, deriving and printing, and the length of what is printed."""
    text = write_network(depth)
    problem = parse(text, wrt=wrt)
    assert problem.wrt is not None
    function, variable = problem.expressions[0], problem.wrt

    def derive() -> Result:
        result = derive_result(function, variable)
        result.expression("denominator")
        return result

    answer = derive().expression("denominator")
    return {
        "read": measure(lambda: parse(text, wrt=wrt), repeats),
        "derive": measure(derive, repeats),
        "print": measure(lambda: to_text_named(answer), repeats),
        "characters": len(to_text_named(answer)),
    }


def measure_jax(depth: int, repeats: int) -> dict[str, float]:
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

    # A new function each time, since JAX keeps what it has traced.
    def trace() -> object:
        return jax.make_jaxpr(jax.grad(lambda *args: function(*args)))(*values)

    return {"jaxpr": measure(trace, repeats), "jaxpr characters": len(str(trace()))}


def fit_exponent(values: dict[int, float]) -> float:
    """Return the exponent k of time ~ depth**k, by least squares between the fitted depths."""
    points = [(math.log(depth), math.log(values[depth])) for depth in FITTED]
    middle = [sum(axis) / len(points) for axis in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def print_table(title: str, rows: dict[int, dict[str, float]]) -> None:
    """Print one row for each depth, and the exponents below."""
    columns = list(rows[DEPTHS[0]])
    print(f"\n{title}\n{'depth':>9} " + " ".join(f"{column:>16}" for column in columns))
    for depth, row in rows.items():
        print(f"{depth:>9} " + " ".join(f"{row[column]:16.1f}" for column in columns))
    exponents = [fit_exponent({depth: row[column] for depth, row in rows.items()}) for column in columns]
    print(f"{'exponent':>9} " + " ".join(f"{exponent:16.2f}" for exponent in exponents))


def main() -> None:
    """Measure all depths and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for wrt in ("x", "W_1"):
        rows = {depth: measure_matcalc(depth, wrt, repeats) for depth in DEPTHS}
        print_table(f"matcalc, by {wrt} (times in ms; exponent between depth 16 and 64)", rows)
    by_jax = {depth: measure_jax(depth, repeats) for depth in DEPTHS}
    if by_jax[1]:
        print_table("jax.make_jaxpr of jax.grad, by x", by_jax)


if __name__ == "__main__":
    main()
