"""The check at the bottom of written code: random values, the backend's own derivative, the largest error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matcalc.engine.layout import arrange
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Shape, Size, fit_numbers
from matcalc.render.code.signature import Signature

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


SIZES = (3, 2, 5, 4, 7, 6)
_ENTRIES = {
    "real": "draw_signed(0.2, 1.6{s})", "nonzero": "draw_signed(0.2, 1.6{s})", "positive": "draw(0.3, 1.8{s})",
    "unit-interval": "draw(0.1, 0.9{s})", "sign": "draw_signed(1.0, 1.0{s})", "small": "draw_signed(0.02, 0.22{s})",
    "simplex": "draw(0.2, 1.2{s})", "simplex-columns": "draw(0.2, 1.2{s})", "negative": "draw(-1.8, -0.3{s})",
    "large": "draw(2.0, 4.0{s})", "dominant": "draw_signed(0.2, 1.6{s})", "one-hot": "draw(0.2, 1.2{s})",
}  # fmt: skip
_SYMMETRIC = "({x} + {x}.T) / 2"
# One line after the other; a product with its own transpose is symmetric to the last bit on some processors only.
_STRUCTURES = {
    "invertible": ("{x} + (0.6 + {np}.linalg.norm({x})) * {eye}",),
    "dominant": ("{x} + (0.6 + {np}.linalg.norm({x})) * {eye}",),
    "symmetric": (_SYMMETRIC,),
    "skew": ("({x} - {x}.T) / 2",),
    "diagonal": ("{np}.diag({np}.diag({x}))",),
    "lower-triangular": ("{np}.tril({x})",),
    "upper-triangular": ("{np}.triu({x})",),
    "orthogonal": ("{np}.linalg.qr({x})[0]",),
    "reflection": ("{eye} - 2 * {np}.outer({x}[0], {x}[0]) / ({x}[0] @ {x}[0])",),
    "posdef": ("{x} @ {x}.T / {n} + 0.5 * {eye}", _SYMMETRIC),
    "simplex": ("{x} / {np}.sum({x}, axis=-1, keepdims=True)",),
    "simplex-columns": ("{x} / {np}.sum({x}, axis=0, keepdims=True)",),
    "one-hot": ("{np}.where({x} == {np}.amax({x}, axis=-1, keepdims=True), {x} / {x}, 0 * {x})",),
}


@dataclass(frozen=True)
class Sampling:
    """Numbers for the letters of sizes, and a domain for each variable and abstract function."""

    sizes: Mapping[str, int]
    domains: Mapping[str, str]


def choose_sampling(function: Expression, others: tuple[Expression, ...], shape: Shape) -> Sampling:
    """Return sizes and domains at which the function is defined: those of the judge where torch is installed."""
    try:
        from matcalc.check.modes import own_modes
        from matcalc.check.points import Point, PointSearch
    except ImportError:
        return _guess_sampling((function, *others))
    try:
        with own_modes():
            point = PointSearch(function, others, shape=shape).find(0)
    except EvaluationError:
        return _guess_sampling((function, *others))
    if not isinstance(point, Point):
        return _guess_sampling((function, *others))
    return Sampling(point.sizes, point.domains)


def _guess_sampling(roots: tuple[Expression, ...]) -> Sampling:
    from matcalc.language.expression import collect_sums, list_letters, symbols

    sizes = {letter: SIZES[place % len(SIZES)] for place, letter in enumerate(list_letters(*roots))}
    sizes = fit_numbers(sizes, collect_sums(roots))
    return Sampling(sizes, {name: " ".join(sorted(node.data[1])) for name, node in symbols(*roots).items()})


# --- drawing values ---------------------------------------------------------------------------------


def write_draws(signature: Signature, sampling: Sampling, backend: str) -> list[str]:
    """Return the lines that draw a value for every argument."""
    lines = write_size_numbers(signature, sampling)
    for name, node in signature.variables.items():
        lines += _draw(signature.names[name], node, sampling.domains.get(name, ""), signature, backend)
    for name, shape in signature.abstract.items():
        lines += _draw_function(name, shape, sampling.domains.get(name, "") == "positive", signature, backend)
    return lines


def write_size_numbers(signature: Signature, sampling: Sampling) -> list[str]:
    """Return the line that gives the sizes numbers: m, n = 3, 2."""
    if not sampling.sizes:
        return []
    letters = ", ".join(signature.letters[letter] for letter in sampling.sizes)
    return [f"{letters} = {', '.join(map(str, sampling.sizes.values()))}"]


def _draw(name: str, node: Expression, domain: str, signature: Signature, backend: str) -> list[str]:
    words, _, scale = domain.partition(" times ")
    kinds = words.split()
    kind = next((word for word in kinds if word in _ENTRIES), "real")
    structures = [word for word in kinds if word in _STRUCTURES]
    if "orthogonal" in structures and {"symmetric", "diagonal"} & {*structures}:
        structures = [word if word != "orthogonal" else "reflection" for word in structures]
    # A structure is that of a matrix: a scalar is drawn as the only entry of one.
    is_entry = bool(structures) and node.is_scalar
    sizes = ["1", "1"] if is_entry else _measure(node, signature)
    lines = [f"{name} = {_ENTRIES[kind].format(s=''.join(f', {size}' for size in sizes))}"]
    if scale:
        lines[0] += f" * {scale}"
    lines += [f"{name} = {text}" for word in structures for text in _fill_structure(word, name, sizes[0], backend)]
    return [*lines, f"{name} = {name}[0, 0]"] if is_entry else lines


def _fill_structure(word: str, name: str, size: str, backend: str) -> list[str]:
    prefix = {"numpy": "np", "jax": "jnp", "torch": "torch"}[backend]
    eye = f"torch.eye({size}, dtype=torch.float64)" if backend == "torch" else f"{prefix}.eye({size})"
    return [text.format(x=name, np=prefix, eye=eye, n=size) for text in _STRUCTURES[word]]


def _measure(node: Expression, signature: Signature) -> list[str]:
    return [_write_size(size, signature) for size in node.squeezed_shape]


def _write_size(size: Size, signature: Signature) -> str:
    return signature.write_size(size)


def _draw_function(name: str, shape: Shape, positive: bool, signature: Signature, backend: str) -> list[str]:
    """Return a smooth function in the place of an abstract one: sums of sines of different lengths of wave."""
    sizes = ", ".join(_write_size(size, signature) for size in shape)
    count = " * ".join(f"({_write_size(size, signature)})" for size in shape) or "1"
    shift, comma = "2.5 + " if positive else "", "," if sizes else ""
    prefix = {"numpy": "np", "jax": "jnp", "torch": "torch"}[backend]
    options = ", dtype=torch.float64" if backend == "torch" else ""
    return [
        f"def {name}(x):",
        f"    x = {prefix}.ravel(x)",
        f"    rows, columns = {prefix}.arange(1.0, {count} + 1{options}), {prefix}.arange(1.0, len(x) + 1{options})",
        f"    waves = {prefix}.sin(rows[:, None] * columns)",
        f"    return ({shift}{prefix}.sin(waves @ x / len(x) + rows)).reshape(({sizes}{comma}))",
    ]


# --- the truth, arranged ------------------------------------------------------------------------------


def write_arranged(derivative: Derivative, name: str, backend: str, signature: Signature) -> str:
    """Return the expression that brings the truth from torch's order of axes to the layout."""
    axes, text = derivative.result.axes, name
    places = list(range(len(axes)))
    if derivative.layout == "vec":
        split = len(axes) - len(derivative.wrt.squeezed_shape)
        places = [*reversed(places[:split]), *reversed(places[split:])]
    else:
        places = [axes.index(axis) for axis in arrange(axes, derivative.layout)]
    if places != sorted(places):
        word = {"numpy": "np.transpose", "jax": "jnp.transpose", "torch": "torch.permute"}[backend]
        text = f"{word}({text}, {tuple(places)})"
    if derivative.layout == "vec" and len(axes) != len(derivative.shape):
        text += f".reshape({', '.join(_write_size(size, signature) for size in derivative.shape)})"
    return text


# --- the script ---------------------------------------------------------------------------------------

_DRAW = '''
    def draw(low, high, *shape):
        return {uniform}
'''
_DRAW_SIGNED = '''
    def draw_signed(low, high, *shape):
        return draw(low, high, *shape) * {signs}
'''
_UNIFORM = {
    "numpy": "low + (high - low) * rng.random(shape)",
    "torch": "low + (high - low) * torch.rand(shape, dtype=torch.float64)",
    "jax": "jnp.asarray(low + (high - low) * rng.random(shape))",
}
_SIGNS = {
    "numpy": "rng.choice([-1.0, 1.0], shape)",
    "torch": "(2.0 * torch.randint(2, shape) - 1)",
    "jax": "rng.choice([-1.0, 1.0], shape)",
}
_SEED = {
    "numpy": "    rng = np.random.default_rng({seed})",
    "torch": "    torch.manual_seed({seed})",
    "jax": "    rng = np.random.default_rng({seed})",
}
_DIFFERENCES = '''\
def take_differences(function, at, order=1, step=1e-3):
    """Return the derivative by central differences: the axes of the value, then for each order those of `at`."""
    inner = function if order == 1 else lambda x: take_differences(function, x, order - 1, step)
    at, columns = np.asarray(at, dtype=float), []
    for place in np.ndindex(at.shape):
        move = np.zeros(at.shape)
        move[place] = step
        near = np.asarray(inner(at + move)) - inner(at - move)
        far = np.asarray(inner(at + 2 * move)) - inner(at - 2 * move)
        columns.append((8 * near - far) / (12 * step))
    return np.moveaxis(np.array(columns), 0, -1).reshape(columns[0].shape + at.shape)


'''


@dataclass(frozen=True)
class CheckedCode:
    """What the check calls: the two functions, their arguments in order, and which of them is varied."""

    function: str
    derivative: str
    arguments: tuple[str, ...]
    wrt: str
    order: int


def write_check(
    code: CheckedCode, draws: Iterable[str], arranged: str, backend: str, extra: Iterable[str] = (), seed: int = 0
) -> str:
    """Return the part of the script that runs when it is called by itself."""
    draws = list(draws)
    value = f"value = {code.derivative}({', '.join(code.arguments)})"
    if backend == "torch" and any(line.startswith("def ") for line in draws):
        value += ".detach()"
    compared = [_write_truth(code, backend), f"truth = {arranged}" if arranged != "truth" else "", *_compare(backend)]
    if backend == "numpy":
        # Rounding spoils small steps and curvature large ones; a wrong formula is wrong for all.
        compared = ["errors = []", "for step in (1e-2, 1e-3, 1e-4):", *(f"    {line}" for line in compared if line)]
        compared += ["error = float(np.nanmin(errors))"]
    body = [*draws, *extra, value, *compared, *_conclude(code, backend)]
    lines = [_SEED[backend].format(seed=seed), *write_drawing(body, backend)]
    lines += [f"    {line}" for line in body if line]
    if backend == "jax":
        lines = ["    import numpy as np", "", '    jax.config.update("jax_enable_x64", True)', *lines]
    before = _DIFFERENCES if backend == "numpy" else ""
    return "\n".join([f'{before}if __name__ == "__main__":', *lines, ""])


def write_drawing(body: list[str], backend: str) -> list[str]:
    """Return the functions that draw random numbers, as far as the lines call them."""
    lines = [_DRAW.format(uniform=_UNIFORM[backend])]
    if any("draw_signed(" in line for line in body):
        lines = [lines[0].rstrip(), _DRAW_SIGNED.format(signs=_SIGNS[backend])]
    return lines


def _write_truth(code: CheckedCode, backend: str) -> str:
    arguments = ", ".join("moved" if name == code.wrt else name for name in code.arguments)
    function = f"lambda moved: {code.function}({arguments})"
    if backend == "numpy":
        return f"truth = take_differences({function}, {code.wrt}, {code.order}, step)"
    if backend == "jax":
        return f"truth = {'jax.jacobian(' * code.order}{function}{')' * code.order}({code.wrt})"
    if code.order == 1:
        return f"truth = torch.autograd.functional.jacobian({function}, {code.wrt})"
    lines = [f"jacobian = {function}", f"    for _ in range({code.order}):"]
    inner = "functools.partial(torch.autograd.functional.jacobian, jacobian, create_graph=True)"
    return "\n".join([*lines, f"        jacobian = {inner}", f"    truth = jacobian({code.wrt}).detach()"])


def _compare(backend: str) -> list[str]:
    prefix = {"numpy": "np", "jax": "jnp", "torch": "torch"}[backend]
    shapes = "np.shape(value) == np.shape(truth)" if backend != "torch" else "value.shape == truth.shape"
    error = f"float({prefix}.max({prefix}.abs(value - truth))) / scale"
    return [
        f'assert {shapes}, "the shapes differ"',
        f"scale = max(1e-3, float({prefix}.max({prefix}.abs(truth))))",
        f"errors.append({error})" if backend == "numpy" else f"error = {error}",
    ]


def _conclude(code: CheckedCode, backend: str) -> list[str]:
    tolerance = ("1e-6" if code.order < 3 else "1e-3") if backend == "numpy" else "1e-9"
    return [
        f'print(f"{code.derivative}: largest error {{error:.1e}}")',
        f"raise SystemExit(0 if error < {tolerance} else 1)",
    ]
