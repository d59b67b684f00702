"""The words of a rule in torch, NumPy, SciPy and JAX -> whether each is its function, called as written code does."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matcalc.check.compare import Comparison, compare_tensors
from matcalc.check.points import NoPoint, Point, PointSearch, choose_sizes
from matcalc.check.report import DIFFERS, CheckReport, could_not_check, write_pair
from matcalc.check.scales import WrongEntry, find_wrong, scan_entries
from matcalc.check.torch_values import Setting, apply_along, call_torch, evaluate, squeeze
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression, call, collect_letters, symbol
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size
from matcalc.rule_files import AXIS_NAMES, Form, Rule
from matcalc.rule_words import BACKENDS, is_word, takes_last_axis

_LIBRARIES = {"torch": "torch", "numpy": "NumPy", "scipy": "SciPy", "jax": "JAX", "sympy": "SymPy"}
_KINDS = {"sympy": np.float64}
_MATRIX: Shape = (Size.of("m"), Size.of("n"))
_COLUMN: Shape = (Size.of("n"), UNIT)
_FEWEST_PADDED = 512


def prove_words(rule: Rule, calls: Sequence[Expression], report: CheckReport, trials: int) -> CheckReport:
    """Return the report, with what is to be said of the rule's words, or the report of a word that differs.

    The judge's own value of the function is the truth, in the calls given and along each axis.
    """
    proven, notes = [], list(report.notes)
    for backend in (*BACKENDS, "sympy"):
        form = rule.read_form(backend) if backend != "sympy" else Form(rule.sympy_word, rule.parameters)
        path, along = form.path, list(_list_along(rule, calls[0]))
        # The torch word is the truth itself, but for how it is told the axis.
        nodes: Sequence[Expression] = (*calls, *along)
        if backend == "torch":
            nodes = along if form.has_axis else []
        if backend == "sympy":  # its functions entry by entry are those of numbers
            has_axes = any(parameter.axes for parameter in rule.variables)
            nodes = calls if has_axes else [call(rule, tuple(symbol(arg.name, ()) for arg in calls[0].args), SCALAR)]
        if not path or not nodes:
            continue
        word = _find_word(form, backend)
        if word is None:
            notes.append(f"its word {path} could not be tried: {_name_library(path)} is not installed")
            continue
        for node in nodes:
            if (failed := _prove_word(word, node, trials, report.seed)) is not None:
                return failed
        if backend != "torch":
            proven.append(path)
    named = " and ".join([", ".join(proven[:-1]), proven[-1]] if proven[1:] else proven)
    told = [f"{named} {'agree' if proven[1:] else 'agrees'}"] if proven else []
    return replace(report, message="; ".join([report.message, *told, *notes]), notes=tuple(notes))


def find_change(rule: Rule, calls: Sequence[Expression]) -> str | None:
    """Return that the rule's word in torch writes into its arguments, as relu(x, inplace) would, if it does."""
    for node in calls if rule.torch else ():
        sizes = choose_sizes(collect_letters([node]), seed=0)
        generator = torch.Generator().manual_seed(0)
        shapes = [[size.value(sizes) for size in arg.squeezed_shape] for arg in node.args]
        args = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
        before = [arg.clone() for arg in args]
        try:
            call_torch(rule, args)
        except (RuntimeError, TypeError, ValueError, IndexError):
            continue  # said with its reason where the function is evaluated
        if not all(map(torch.equal, args, before)):
            return f"{rule.read_form('torch').path} changes its arguments"
    return None


def _list_along(rule: Rule, whole: Expression) -> Iterator[Expression]:
    """Yield the calls along each axis of a matrix, if there are any."""
    if not rule.axis or len(rule.parameters) != len(rule.variables):
        return
    matrices = tuple(symbol(parameter.name, _MATRIX) for parameter in rule.variables)
    for axis in (0, 1):
        yield call(rule, matrices, (_MATRIX[1 - axis], UNIT) if whole.is_scalar else _MATRIX, axis)


# --- words --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Word:
    """A function of a library, and how a rule calls it."""

    form: Form
    backend: str
    function: Callable[..., Any]

    @property
    def path(self) -> str:
        """The name that the rule gives it."""
        return self.form.path

    def apply(self, node: Expression, args: list[Any]) -> Tensor:
        """Return its value where a node calls it; raises EvaluationError where that is no array of real numbers.

        Arguments are arrays without unit axes, or numbers that stand in the formula.  They must come back unchanged
        in either order of memory: written code passes transposes as they lie.
        """
        value = None
        has_order = self.backend == "numpy" and any(np.ndim(arg) > 1 for arg in args)
        for order in ("C", "F") if has_order else ("C",):
            given = [np.array(arg, order=order) if isinstance(arg, np.ndarray) else arg for arg in args]
            value = self._call(node, given)
            if not all(map(np.array_equal, given, args)):
                raise EvaluationError(f"{self.path} changes its arguments")
        if value is None or value.dtype not in (np.float64, np.float32):
            raise EvaluationError(f"{self.path} gives no array of real numbers for {_name_call(node)}")
        return torch.from_numpy(np.array(value))

    def _call(self, node: Expression, args: list[Any]) -> Any:
        rule, axis, _ = node.data
        options = dict(self.form.keywords)
        if axis is not None:
            options[AXIS_NAMES[self.backend]] = axis
        elif rule.axis and takes_last_axis(self.path) and np.ndim(args[0]) > 1:
            options["axis"] = None
        try:
            with _as_usual(self.backend) as convert:
                names = (parameter.name for parameter in rule.variables)
                inside = self.form.fill(dict(zip(names, map(convert, args), strict=True)))
                value = self.function(*inside, **options)
                return np.asarray(value if self.backend != "sympy" else value.doit(), dtype=_KINDS.get(self.backend))
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EvaluationError(f"{self.path} cannot be called as {_name_call(node)} is: {reason[:200]}") from error


def _find_word(form: Form, backend: str) -> _Word | None:
    """Return a word of the list, None where its library is not installed; raises EvaluationError for any other."""
    path = form.path
    if not is_word(path, backend):
        raise EvaluationError(f"{path!r} is no function of {backend} that a rule may name")
    module, _, name = path.rpartition(".")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    function = getattr(found, name, None)
    if not callable(function):
        raise EvaluationError(f"the installed {_name_library(path)} has no {path}")
    return _Word(form, backend, function)


@contextmanager
def _as_usual(backend: str) -> Iterator[Callable[[Any], Any]]:
    """Call a library in silence and in double precision, whatever the reader's settings; give what makes its arrays."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(np.errstate(all="ignore"))
        if backend == "sympy":
            sympy = importlib.import_module("sympy")
            yield lambda value: sympy.ImmutableMatrix(value) if np.ndim(value) else sympy.sympify(float(value))
            return
        if backend != "jax":
            yield lambda value: torch.from_numpy(value) if backend == "torch" and np.ndim(value) else value
            return
        jax, arrays = importlib.import_module("jax"), importlib.import_module("jax.numpy")
        # It holds for this thread while it lasts; older versions keep it among their experiments.
        owner = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
        stack.enter_context(owner.enable_x64(True))
        yield lambda value: arrays.asarray(value) if isinstance(value, np.ndarray) else value


def _name_library(path: str) -> str:
    return _LIBRARIES[path.partition(".")[0]]


def _name_call(node: Expression) -> str:
    rule, axis, _ = node.data
    names = ", ".join(parameter.name for parameter in rule.variables)
    return rule.call if axis is None else f"{rule.function}({names}, axis={axis})"


# --- points -------------------------------------------------------------------------------------------


def _prove_word(word: _Word, node: Expression, trials: int, seed: int) -> CheckReport | None:
    """Return the report of the first point where a word is not the function, None where it is at all of them."""
    # JAX compiles anew for every size, and only a number in the call could be taken for one.
    is_slow = word.backend == "jax" and len(node.data[0].variables) == len(node.data[0].parameters)
    sizes = choose_sizes(collect_letters([node]), seed) if is_slow else None
    search = PointSearch(node, seed=seed, sizes=sizes)
    for trial in range(trials):
        point = search.find(trial)
        if isinstance(point, NoPoint):
            return could_not_check(f"{word.path} for {_name_call(node)}: {point.reason}", seed=seed)
        try:
            found = compare_tensors(partial(_compute, word, node, point), point, trial + 1)
        except EvaluationError as error:
            return CheckReport(DIFFERS, ("other",), seed=seed, message=f"differs: {error.reason}")
        if found is None or not found.is_small:
            return _report_difference(word, node, found, seed)
    # The numbers of SymPy are exact at every scale, and slow.
    return None if word.backend == "sympy" else _prove_far(word, node, search.find(0), trials, seed)


def _prove_far(word: _Word, node: Expression, point: Point | NoPoint, trials: int, seed: int) -> CheckReport | None:
    """Return the report of a word that is another function at another scale or beyond a branch, or None."""
    rule: Rule = node.data[0]
    if isinstance(point, NoPoint):
        return None
    try:
        if rule.is_elementwise and node.shape == _COLUMN:
            texts = [*rule.elementwise, rule.define]
            wrong = scan_entries(node, [text for text in texts if text], partial(_compute_padded, word), seed)
            return None if wrong is None else _report_entry(word, node, wrong, seed)
        if rule.is_elementwise:
            return None  # entry by entry all shapes are alike
        found = find_wrong(node, lambda at, values: _compute(word, node, at, values), point, trials + 1)
    except EvaluationError as error:
        return CheckReport(DIFFERS, ("other",), seed=seed, message=f"differs: {error.reason}")
    return None if found is None else _report_difference(word, node, found, seed)


def _compute_padded(word: _Word, node: Expression, point: Point, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the function's column and the word's; JAX, which compiles for every size, gets one of few."""
    (letter,) = node.shape[0].letters
    count = point.sizes[letter]
    size = max(_FEWEST_PADDED, 1 << (count - 1).bit_length()) if word.backend == "jax" else count
    padded = {name: torch.cat([value, value[-1:].expand(size - count, 1)]) for name, value in values.items()}
    sizes = {**point.sizes, letter: size}
    truth, got = _compute(word, node, replace(point, values=padded, sizes=sizes), padded)
    return truth[:count], got[:count].to(torch.float64)


def _report_entry(word: _Word, node: Expression, wrong: WrongEntry, seed: int) -> CheckReport:
    """Return the report of a word that has another value where an argument is far from 1."""
    told = f"in {_name_library(word.path)} {word.path} is not {_name_call(node)}"
    expected, got = write_pair(wrong.expected, wrong.got)
    message = f"differs: {told}: at {wrong.place} the value should be {expected}, not {got}"
    return CheckReport(DIFFERS, ("other",), seed=seed, message=message)


def _compute(word: _Word, node: Expression, point: Point, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the function's value and the word's, in the word's precision."""
    with torch.no_grad():
        truth = squeeze(node, _evaluate_slices(node, values, point), point.sizes)
        args = [_read_argument(arg, values, point, node.data[0].vectors) for arg in node.args]
    got = word.apply(node, args)
    got = got.reshape(truth.shape) if node.data[0].vectors and got.numel() == truth.numel() else got
    if got.shape != truth.shape:
        shapes = f"shape {tuple(got.shape)}, but {_name_call(node)} has {tuple(truth.shape)}"
        raise EvaluationError(f"{word.path} gives {shapes}")
    return truth.to(got.dtype), got


def _evaluate_slices(node: Expression, values: dict[str, Tensor], point: Point) -> Tensor:
    """Return the value of a call, along an axis of each column or row by itself: a word does not tell its own axis."""
    rule, axis, _ = node.data
    if axis is None:
        return evaluate(node, values, point.sizes)
    args = [evaluate(arg, values, point.sizes) for arg in node.args]
    shapes = tuple(arg.shape for arg in node.args)
    return apply_along(rule, axis, shapes, args, Setting(values, point.sizes))


def _read_argument(arg: Expression, values: dict[str, Tensor], point: Point, has_units: bool) -> Any:
    """Return an argument as written code passes it: a number of the formula as it stands, else an array."""
    if arg.op == "number":
        value = arg.data[0]
        return int(value) if value.denominator == 1 else float(value)
    value = evaluate(arg, values, point.sizes)
    return (value if has_units else squeeze(arg, value, point.sizes)).numpy()


def _report_difference(word: _Word, node: Expression, found: Comparison | None, seed: int) -> CheckReport:
    """Return the report of a word that has another value at a point, or none that is finite."""
    told = f"differs: in {_name_library(word.path)} {word.path} is not {_name_call(node)}"
    if found is None:
        return CheckReport(DIFFERS, ("other",), seed=seed, message=f"{told}: it is not finite where that is")
    worst, point = found.worst, found.point
    message = f"{told}: {worst.entry} {worst.numbers} (point {worst.point}, relative error {found.error:.1e})"
    return CheckReport(
        DIFFERS, ("other",), found.error, worst.point, seed, sizes=point.sizes, domains=point.domains,
        worst=replace(worst, seed=seed), message=message,
    )  # fmt: skip
