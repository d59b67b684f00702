"""A derivative -> Python source for NumPy, torch or JAX that needs no matcalc and checks itself."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, collect_letters, list_letters, rebuild, walk
from matcalc.language.expression_to_text import ATOM, to_text
from matcalc.language.show_slices import has_selections, show_slices
from matcalc.language.sizes import Shape, Size, write_shape
from matcalc.language.text_to_expression import Problem, rules_in_force
from matcalc.render.code.backends import has_source, write_source
from matcalc.render.code.definitions import define_call, define_function
from matcalc.render.code.products import CodePart
from matcalc.render.code.regroup import regroup, share_sums
from matcalc.render.code.safe import make_safe, split_powers
from matcalc.render.code.self_check import CheckedCode, choose_sampling, write_arranged, write_check, write_draws
from matcalc.render.code.signature import Signature
from matcalc.render.code.words import CODE_BACKENDS, Words
from matcalc.render.code.writer import Names, free_arrays, name_derivative_of, write_lines
from matcalc.render.report import name_derivative
from matcalc.rule_files import RuleBook, shipped_rules

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


_IMPORTS = {"numpy": "import numpy as np", "torch": "import torch", "jax": "import jax\nimport jax.numpy as jnp"}
_LONGEST_FORMULA = 300
_TURN_BLOCKS = (
    "def turn_blocks(tensor, rank, order):",
    "    first = tensor.ndim - order * rank",
    "    starts = range(first, tensor.ndim, rank or 1)",
    "    axes = [axis for start in starts for axis in reversed(range(start, start + rank))]",
    "    return np.transpose(tensor, [*range(first), *axes])",
)


def to_code(derivative: Derivative, backend: str) -> str:
    """Return the source of a module with the function, its derivative in the layout at hand, and a check of the two.

    `backend` is numpy, torch or jax.  Vectors are (n,), scalars numbers or arrays without axes; the derivative
    has the axes of `derivative.shape`.  Raises MissingRuleError for a function that the backend has no word for.
    """
    check_backend(backend)
    return _Module(derivative, backend).write()


def check_backend(backend: str) -> None:
    """Raise DeclarationError where no code is written for a backend."""
    if backend not in CODE_BACKENDS:
        raise DeclarationError(f"there is no code for {backend!r}", advice="use one of " + ", ".join(CODE_BACKENDS))


class WrittenFunction:
    """A function whose values are several expressions, in one program; `pack` makes what is returned of their sources.

    `further` are expressions whose sizes are arguments too, though they are not computed.
    """

    def __init__(
        self, name: str, problem: Problem, roots: Sequence[Expression], backend: str, book: RuleBook | None,
        pack: Callable[[list[str]], str], further: Sequence[Expression] = (),
    ) -> None:  # fmt: skip
        self.name, self.backend, self.book, self.pack = name, backend, book, pack
        self.symbols = problem.symbols
        self.signature = Signature(problem.symbols, problem.abstract, (name,))
        self.words = Words(backend, self.signature)
        self.roots = prepare(roots, self.words, book)
        # Where the arrays tell every size, there is nothing to find in what is not computed.
        is_needed = problem.abstract or self.signature.list_unknown(collect_letters(further))
        self.further = prepare(further, self.words, book) if is_needed else []

    @property
    def arguments(self) -> list[str]:
        """The arguments, in order; known once the function is written."""
        return _list_arguments(self.signature, self.backend, [*self.roots, *self.further], self.words)

    def write(self, measure: Callable[[Size], int] | None = None, is_concrete: bool = False) -> str:
        """Return the source of a module with the function; `measure` gives numbers for sizes.

        `is_concrete` says that it is called with plain arrays of one dtype, and never traced.
        """
        body = _write_body(
            self.roots, self.signature, self.words, self.name, self.pack, measure, is_concrete=is_concrete
        )  # fmt: skip
        helpers, imports = write_helpers(self.words, self.book), write_imports(self.words)
        if self.further:
            _write_body(self.further, self.signature, self.words, self.name)
        described = [f"Return {self.name}.", "", *(f"  {line}" for line in self.signature.describe())]
        function = _write_function(self.name, self.arguments, described, body)
        return "\n\n\n".join([imports, *helpers, function]) + "\n"


class _Module:
    """One module of source: what its functions take, and what it needs above them."""

    def __init__(self, derivative: Derivative, backend: str) -> None:
        self.derivative, self.backend = derivative, backend
        self.book = derivative.result.graph.rules
        own = derivative.result_name
        self.function_name, self.derivative_name = own, f"derivative_of_{own}"
        self.signature = Signature(derivative.problem.symbols, derivative.problem.abstract, (own,))
        self.words = Words(backend, self.signature)
        (self.function,) = prepare([derivative.function], self.words, self.book)
        (self.formula,) = prepare([derivative.numeric], self.words, self.book)

    def write(self) -> str:
        bodies = [
            _write_body([expression], self.signature, self.words, self.function_name, structured=structured)
            for expression, structured in ((self.function, False), (self.formula, True))
        ]
        check = self._write_check()
        functions = [
            _write_function(self.function_name, self.arguments, self._describe_function(), bodies[0]),
            _write_function(self.derivative_name, self.arguments, self._describe_derivative(), bodies[1]),
        ]
        helpers = write_helpers(self.words, self.book)
        imports = write_imports(self.words, "functools" if "functools." in check else "")
        return "\n\n\n".join([f"{self._describe_module()}\n\n{imports}", *helpers, *functions, check])

    # --- parts ------------------------------------------------------------------------------------

    @property
    def arguments(self) -> list[str]:
        """The arguments of both functions, in order."""
        return _list_arguments(self.signature, self.backend, [self.function, self.formula], self.words)

    @property
    def _derivatives_given(self) -> dict[str, Expression]:
        return _find_derivatives(self.backend, [self.function, self.formula])

    def _describe_module(self) -> str:
        text = self._write_formula(self.derivative.function) or "a function"
        what = f"{self.function_name} = {text} and its derivative by {self.derivative.wrt.name}."
        return f'"""{what} Run this file to check it."""'

    def _describe_function(self) -> list[str]:
        text = self._write_formula(self.derivative.function) or "the function"
        return [f"Return {self.function_name} = {text}, {describe_shape(self.derivative.function.squeezed_shape)}."]

    def _describe_derivative(self) -> list[str]:
        derivative = self.derivative
        name = name_derivative(self.function_name, derivative.wrt.name, derivative.order)
        text = self._write_formula(derivative.expression)
        first = f"Return {name} = {text}." if text else f"Return {name}."
        lines = [*textwrap.wrap(first, 110), "", f"{derivative.layout} layout, {describe_shape(derivative.shape)}"]
        lines += [f"  {line}" for line in self.signature.describe()]
        given = self._derivatives_given
        for name, node in given.items():
            lines.append(f"  {name}: the derivative of {node.name} of order {node.data[1]}, in numerator layout")
        return lines

    def _write_formula(self, expression: Expression) -> str:
        return to_text(expression) if measure_texts(expression)[expression] <= _LONGEST_FORMULA else ""

    # --- the check --------------------------------------------------------------------------------

    def _write_check(self) -> str:
        derivative = self.derivative
        others = (derivative.expression, *self.signature.variables.values())
        with rules_in_force(self.book):
            sampling = choose_sampling(derivative.function, others, derivative.shape)
        draws = write_draws(self.signature, sampling, self.backend)
        wrt = self.signature.names[derivative.wrt.name]
        code = CheckedCode(
            self.function_name, self.derivative_name, tuple(self.arguments), wrt, derivative.order
        )
        arranged = write_arranged(derivative, "truth", self.backend, self.signature)
        return write_check(code, draws, arranged, self.backend, self._define_derivatives())

    def _define_derivatives(self) -> list[str]:
        lines = list(_TURN_BLOCKS) if self._derivatives_given else []
        for name, node in self._derivatives_given.items():
            order = node.data[1]
            again = f", order={order}" if order > 1 else ""
            taken = f"take_differences({node.name}, x{again})"
            lines += [f"def {name}(x):", f"    return turn_blocks({taken}, np.ndim(x), {order})"]
        return lines


def _list_arguments(signature: Signature, backend: str, roots: Sequence[Expression], words: Words) -> list[str]:
    """Return the arguments: variables, abstract functions and their derivatives, sizes that no array tells."""
    sizes = [signature.letters[letter] for letter in signature.list_unknown(words.sizes_used)]
    return [*signature.names.values(), *signature.abstract, *_find_derivatives(backend, roots), *sizes]


def _find_derivatives(backend: str, roots: Sequence[Expression]) -> dict[str, Expression]:
    """Return the derivatives of abstract functions that NumPy code is given, by name."""
    if backend != "numpy":
        return {}
    nodes = [node for node in walk(*roots) if node.op == "abstract_derivative"]
    found = {name_derivative_of(node.name, node.data[1]): node for node in nodes}
    return {name: found[name] for name in sorted(found)}


def _write_body(
    roots: Sequence[Expression], signature: Signature, words: Words, own: str,
    pack: Callable[[list[str]], str] = ", ".join, measure: Callable[[Size], int] | None = None, structured: bool = True,
    is_concrete: bool = False,
) -> list[str]:  # fmt: skip
    letters = words.sizes_used | dict.fromkeys(list_letters(*roots))
    local = {signature.letters[letter] for letter in letters}
    names = Names({*signature.names.values(), *signature.abstract, own, *local})
    # The variables below the expressions may differ from the declared ones in what is assumed.
    variables = {**signature.variables, **{node.name: node for node in walk(*roots) if node.op == "symbol"}}
    known = {node: CodePart(signature.names[name], ATOM, node.shape) for name, node in variables.items()}
    writer, sizes, results = write_lines(list(roots), words, names, known, measure, structured, is_concrete)
    lines = [*sizes, *map(str, writer.lines), f"return {pack([result.text for result in results])}"]
    return free_arrays(lines) if is_concrete else lines


def write_imports(words: Words, further: str = "") -> str:
    """Return the import lines that the source needs, the standard library's first."""
    needed = sorted(words.imports | ({f"import {further}"} if further else set()))
    standard = [line for line in needed if line in ("import functools", "import math")]
    other = [line for line in needed if line not in standard]
    blocks = ["\n".join(standard), "\n".join([_IMPORTS[words.backend], *other])]
    return "\n\n".join(block for block in blocks if block)


def _write_function(name: str, arguments: list[str], described: list[str], body: list[str]) -> str:
    doc = [f'"""{described[0]}"""'] if len(described) == 1 else [f'"""{described[0]}', *described[1:], '"""']
    lines = "\n".join(f"    {line}" if line else "" for line in (*doc, *body))
    return f"def {name}({', '.join(arguments)}):\n{lines}"


def describe_shape(shape: Shape) -> str:
    """Return "a scalar" or "shape (m, n)"."""
    written = write_shape(shape)
    return "a scalar" if written == "scalar" else f"shape {written}"


def write_helpers(words: Words, book: RuleBook | None) -> list[str]:
    """Return the source of each function that the code calls and the backend lacks, after those that it calls."""
    written: dict[tuple[str, bool], str] = {}
    while waiting := [helper for helper in words.helpers.items() if helper not in written]:
        name, is_along = waiting[0]
        is_source = has_source(name, words.backend)
        text = write_source(name, words.backend) if is_source else _write_definition(name, is_along, words, book)
        written[waiting[0]] = text
    sources = [name for name in words.helpers if has_source(name, words.backend)]
    return [written[name, words.helpers[name]] for name in dict.fromkeys([*sources, *reversed(words.helpers)])]


def _write_definition(name: str, is_along: bool, words: Words, book: RuleBook | None) -> str:
    """Return the source of a function that is its definition; of all entries where axis is None."""
    rule = shipped_rules()[name]
    found = define_function(rule, words.backend)
    assert found is not None
    variables, body = found
    signature = Signature({variable.name: variable for variable in variables}, {})
    names = list(signature.names.values())
    before, words.like, words.is_along = words.like, names[0], is_along
    known = {node: CodePart(signature.names[node.name], ATOM, node.shape) for node in variables}
    writer, _, (part,) = write_lines(regroup(*expand([body], words, book)), words, Names({*names}), known)
    result = part.text
    if is_along and body.is_scalar:
        result = f"{words.prefix}.squeeze({result}, axis=axis)"
    words.like, words.is_along = before, False
    lines = [*(line.text.split("  #")[0] for line in writer.lines), f"return {result}"]
    return _write_function(name, names + ["axis=None"] * is_along, [rule.sympy_definition], lines)


# --- before writing -----------------------------------------------------------------------------------


def prepare(roots: Sequence[Expression], words: Words, book: RuleBook | None) -> list[Expression]:
    """Return expressions as they are planned: safe from overflow, in words of the backend, products regrouped."""
    expanded = split_powers(expand(make_safe(*roots), words, book), words.backend)
    return share_sums(*regroup(*expanded))


def expand(roots: Sequence[Expression], words: Words, book: RuleBook | None) -> list[Expression]:
    """Return expressions with calls that a backend has no word for replaced by their definitions."""
    done: dict[Expression, Expression] = {}
    seen: set[int] = set()

    def expand_new(root: Expression) -> Expression:
        # A definition holds the arguments, which are expanded already: walked again they would be at every layer.
        for node in walk(root, seen=seen):
            whole = rebuild(node, [done[arg] for arg in node.args])
            defined = define_call(whole) if whole.op == "call" and not words.knows(whole) else None
            done[node] = whole if defined is None else expand_new(defined)
            done.setdefault(done[node], done[node])
            seen.add(id(done[node]))
        return done[root]

    with rules_in_force(book):
        # Looked for once below all: a walk below each of many gradients would take the square of their number.
        shown = [show_slices(root) for root in roots] if has_selections(*roots) else roots
        return [expand_new(root) for root in shown]


def measure_texts(*roots: Expression) -> dict[Expression, int]:
    """Return about how long the texts of expressions and of all below them are, without writing them."""
    lengths: dict[Expression, int] = {}
    for node in walk(*roots):
        lengths[node] = 3 + sum(lengths[arg] for arg in node.args)
    return lengths
