"""Formulas -> functions of arrays that are ready to be called, one program for each combination of shapes."""

from __future__ import annotations

import functools
import importlib
import itertools
import linecache
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import Size, deduce_sizes, fit_shape
from matcalc.language.text_to_expression import Problem
from matcalc.render.code.module import WrittenFunction, check_backend
from matcalc.render.code.program import measure_usual
from matcalc.rule_files import RuleBook

# Of so many combinations of shapes each gets a program of its own, those beyond share the one for usual sizes.
_MOST_PROGRAMS = 32
_numbers = itertools.count(1)


def compile_function(written: Callable[[], WrittenFunction]) -> Callable[..., Any]:
    """Return a function of arrays: the source of `written()`, planned for the shapes at hand.

    Its arguments are those of the source, or lists, and columns (n, 1) for vectors; arrays of integers are made arrays
    of floats.  Shapes are checked, and the order of the products chosen by them, once for each combination of shapes.
    The function raises EvaluationError for arrays that do not fit, this MissingRuleError for what has no word in the
    backend and EvaluationError for a library that is not installed (SciPy for NumPy's Bessel functions).  Under
    torch.compile and jax.jit it is traced as it stands; its attribute `source` is the program for usual sizes.
    """
    return _Specialised(written).as_function()


def compile_expressions(
    problem: Problem, roots: Sequence[Expression], name: str, backend: str, book: RuleBook | None,
    pack: Callable[[list[str]], str] = ", ".join,
) -> Callable[..., Any]:  # fmt: skip
    """Return a function of the variables of a problem that computes several expressions in one program.

    `pack` makes what is returned of their sources.  Raises DeclarationError for a backend that there is not, and as
    `compile_function`.
    """
    check_backend(backend)
    further = [problem.expressions[0]]
    return compile_function(lambda: WrittenFunction(name, problem, roots, backend, book, pack, further))


# Written for the arguments by name, since a function of (*values) takes longer to look at them than small arrays take.
_CALL = """
def {_}make({_}general, {_}ready, {_}prepare, {_}is_traced):
    def {name}({given}):
        if {_}is_traced is not None and {_}is_traced():
            return {_}general({given})
        try:
            {_}program = {_}ready.get(({key}))
        except AttributeError:  # a list or a number
            {_}program = None
        return {_}prepare(({given})) if {_}program is None else {_}program({given})
    return {name}
"""


class _Specialised:
    """A function that is written again for each combination of shapes."""

    def __init__(self, written: Callable[[], WrittenFunction]) -> None:
        self.written = written
        first = written()
        self.backend, self.known = first.backend, first.symbols
        self.source = first.write()
        self.general = _load(self.source, first.name, self.backend)
        self.arguments = first.arguments
        own = {first.signature.names[name]: name for name in self.known}
        self.arrays = [(place, own[name]) for place, name in enumerate(self.arguments) if name in own]
        self.is_plain = len(self.arrays) == len(self.arguments)
        self.convert = _choose_conversion(self.backend)
        self.ready: dict[Any, Callable[..., Any]] = {}

    def as_function(self) -> Callable[..., Any]:
        """Return what is called: where the shapes were seen before, it looks the program up and runs it."""
        prefix = "_"
        while any(name.startswith(prefix) for name in self.arguments):
            prefix += "_"
        given = "".join(f"{name}, " for name in self.arguments)
        key = "".join(f"{name}.shape, {name}.dtype, type({name}), " for name in self.arguments)
        text = _CALL.format(name=self.general.__name__, given=given, key=key if self.is_plain else "", _=prefix)
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        make: Callable[..., Callable[..., Any]] = namespace[f"{prefix}make"]
        call = make(self.general, self.ready, self.prepare, _choose_tracing(self.backend))
        functools.update_wrapper(call, self.general)
        call.source = self.source  # type: ignore[attr-defined]
        return call

    def prepare(self, values: tuple[Any, ...]) -> Any:
        """Check shapes, write the program for them, note it, and run it."""
        arrays = {name: self.convert(values[place]) for place, name in self.arrays}
        shapes = {name: (self.known[name], tuple(array.shape)) for name, array in arrays.items()}
        numbers = deduce_sizes(shapes)
        fitted = {name: fit_shape(name, *shapes[name]) for name in arrays}
        given = list(values)
        for place, name in self.arrays:
            given[place] = arrays[name] if fitted[name] == shapes[name][1] else arrays[name].reshape(fitted[name])
        key = (*fitted.values(), is_concrete := self._is_concrete(list(arrays.values())))
        function = self.ready.get(key)
        if function is None:
            function = self._specialise(numbers, is_concrete)
            self.ready[key] = function
        if self.is_plain and all(value is array for value, array in zip(values, given, strict=True)):
            if len(self.ready) < 8 * _MOST_PROGRAMS:
                kinds = [(value.shape, value.dtype, type(value)) for value in values]
                self.ready[tuple(itertools.chain.from_iterable(kinds))] = function
        return function(*given)

    def _is_concrete(self, arrays: Sequence[Any]) -> bool:
        """Whether arrays may be changed in place: plain ones of one dtype, not what stands for arrays."""
        kinds = {type(array).__name__ for array in arrays}
        return kinds <= {"ndarray", "Tensor", "Parameter"} and len({array.dtype for array in arrays}) < 2

    def _specialise(self, numbers: Mapping[str, int], is_concrete: bool) -> Callable[..., Any]:
        if len(self.ready) >= 2 * _MOST_PROGRAMS:
            return self.general

        def measure(size: Size) -> int:
            known = all(letter in numbers for letter in size.letters)
            return size.value(numbers) if known else measure_usual(size)

        again = self.written()
        source = again.write(measure, is_concrete)
        is_same = source == self.source or again.arguments != self.arguments
        return self.general if is_same else _load(source, again.name, self.backend)


def _load(source: str, name: str, backend: str) -> Callable[..., Any]:
    """Run the source of a module and return a function of it; tracebacks show its lines.

    Raises EvaluationError for a library that is not installed.
    """
    file = f"<matcalc {name} {next(_numbers)}>"
    # Without a __name__, which torch.compile would import.
    namespace: dict[str, Any] = {}
    # The source is written from typed nodes, whose names the language has checked; no text of a reader runs.
    try:
        exec(compile(source, file, "exec"), namespace)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        reason = f"the code for {backend} imports {package}, which is not installed"
        raise EvaluationError(reason, advice=f"pip install {package}, or take another backend") from error
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    function: Callable[..., Any] = namespace[name]
    return function


def _choose_tracing(backend: str) -> Callable[[], bool] | None:
    """Return what says whether torch.compile or torch.func reads the function, which takes no look at shapes."""
    if backend != "torch":
        return None
    import torch

    is_compiling: Callable[[], bool] = torch.compiler.is_compiling
    find_transform: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack

    def is_traced() -> bool:
        return is_compiling() or find_transform() is not None

    return is_traced


def _choose_conversion(backend: str) -> Callable[[Any], Any]:
    """Return what makes an array of floats of an array or a list; a tensor stays on its device."""
    library = importlib.import_module({"numpy": "numpy", "torch": "torch", "jax": "jax.numpy"}[backend])
    if backend == "torch":

        def convert_tensor(value: Any) -> Any:
            tensor = value if isinstance(value, library.Tensor) else library.as_tensor(value)
            is_number = tensor.is_floating_point() or tensor.is_complex()
            return tensor if is_number else tensor.to(library.get_default_dtype())

        return convert_tensor

    def convert(value: Any) -> Any:
        array = library.asarray(value)
        return array.astype(float) if array.dtype.kind in "iub" else array

    return convert
