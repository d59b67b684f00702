"""Derivatives by several variables, from one derivation: a gradient by each name, and the block Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from matcalc.engine.special_points import derive_each_everywhere
from matcalc.errors import EvaluationError
from matcalc.inputs import Dtype, Layout, Proof
from matcalc.language.expression import Expression
from matcalc.language.sizes import write_shape
from matcalc.render.report import write_block_table

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative

Key = TypeVar("Key", bound="str | tuple[str, str]")


class _Collection(Mapping[Key, "Derivative"]):
    """Derivatives of one function in one layout, by key."""

    def __init__(self, derivatives: Mapping[Key, Derivative]) -> None:
        self._derivatives = dict(derivatives)
        self.first = next(iter(self._derivatives.values()))

    def __getitem__(self, key: Key) -> Derivative:
        return self._derivatives[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._derivatives)

    def __len__(self) -> int:
        return len(self._derivatives)

    @property
    def function(self) -> Expression:
        """The expression that was differentiated."""
        return self.first.function

    @property
    def layout(self) -> str:
        """The layout of all of them."""
        return self.first.layout

    @property
    def declaration(self) -> str:
        """The line that echoes what each name was taken for."""
        return self.first.declaration

    def __repr__(self) -> str:
        told = ", ".join(f"{key!r}: {one!r}" for key, one in self.items())
        return f"{type(self).__name__}({{{told}}})"

    def write_head(self) -> str:
        """Return what stands above the single answers."""
        return self.declaration

    def report(self) -> str:
        """The whole answer as text, without the verdicts."""
        parts = [one.report().removeprefix(f"{one.declaration}\n\n") for one in self.values()]
        return "\n\n".join([self.write_head(), *parts])

    def check(
        self, trials: int = 3, seed: int = 0, dtype: Dtype = "float64", device: str = "cpu", proof: Proof = "both"
    ) -> dict[Key, CheckReport]:
        """Compare each with torch.autograd.functional.jacobian, and exactly, as `Derivative.check` does."""
        return {key: one.check(trials, seed, dtype, device, proof) for key, one in self.items()}

    def evaluate(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> dict[Key, Any]:
        """Return each at a point, as `Derivative.evaluate` does; raises EvaluationError where values do not fit."""
        return {key: one.evaluate(values, sizes) for key, one in self.items()}

    def compile(self, backend: str = "numpy") -> Callable[..., dict[Key, Any]]:
        """Return one function of arrays that gives all of them by key, what they have in common computed once.

        Raises MissingRuleError where a function has no word in the backend.

        >>> from matcalc import derive
        >>> gradients = derive("norm(w*x + b)**2", ["w", "b"], layout="denominator").compile()
        >>> {name: value.tolist() for name, value in gradients(w=[1.0, 2.0], x=[1.0, 1.0], b=[0.0, 0.0]).items()}
        {'w': [2.0, 4.0], 'b': [2.0, 4.0]}
        """
        return self._compile(f"derivatives_of_{self.first.result_name}", backend, with_value=False)

    def value_and_derivative(self, backend: str = "numpy") -> Callable[..., tuple[Any, dict[Key, Any]]]:
        """Return one function of arrays that gives the value and all derivatives by key, as `compile` does."""
        return self._compile(f"value_and_derivatives_of_{self.first.result_name}", backend, with_value=True)

    def _compile(self, name: str, backend: str, with_value: bool) -> Callable[..., Any]:
        from matcalc.render.code.compile import compile_expressions

        keys = list(self)

        def pack(texts: list[str]) -> str:
            inside = ", ".join(f"{key!r}: {text}" for key, text in zip(keys, texts[-len(keys):], strict=True))
            return f"{texts[0]}, {{{inside}}}" if with_value else f"{{{inside}}}"

        roots = [*([self.function] if with_value else []), *self._list_numeric()]
        return compile_expressions(self.first.problem, roots, name, backend, self.first.result.graph.rules, pack)

    def _list_numeric(self) -> list[Expression]:
        """Return the formulas by which numbers are computed, as `Derivative.numeric` has them."""
        return [one.numeric for one in self.values()]

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data: a list of what `Derivative.to_dict` gives."""
        return {
            "expression": self.first.text, "layout": self.layout,
            "derivatives": [one.to_dict() for one in self.values()],
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from matcalc.render.answer_html import write_derivatives_html

        return write_derivatives_html(self)

    def _turn(self, layout: Layout) -> dict[Key, Derivative]:
        return {key: one.in_layout(layout) for key, one in self.items()}


class Derivatives(_Collection[str]):
    """The derivatives of an expression by several variables, by name, all in one layout.

    `str` gives a line for each, with its header.

    >>> from matcalc import derive
    >>> print(derive("norm(W @ x + b)**2", ["W", "b"], layout="denominator"))
    df/dW   denominator layout, shape (n, k)
      2*(W @ x + b) @ x.T
    df/db   denominator layout, shape (n,), a column
      2*(W @ x + b)
    """

    def __str__(self) -> str:
        return "\n".join(f"{one.header}\n  {one}" for one in self.values())

    def in_layout(self, layout: Layout) -> Derivatives:
        """The same derivatives in another layout; nothing is derived again."""
        return Derivatives(self._turn(layout))

    def _list_numeric(self) -> list[Expression]:
        # One derivation for all variables: one for each would take the square of their number.
        wrts, printed = [one.wrt for one in self.values()], [one.expression for one in self.values()]
        book, meaning = self.first.result.graph.rules, self.first.meaning
        found = derive_each_everywhere(self.function, wrts, printed, book, meaning)
        return [one if each is None else each.expression(self.layout) for one, each in zip(printed, found, strict=True)]


class BlockHessian(_Collection[tuple[str, str]]):
    """All second derivatives of an expression by several variables: (x, y) is first by x, then by y.

    In numerator layout a block has shape S_Y + reversed(S_x) + reversed(S_y), in denominator layout all of it
    reversed.

    >>> from matcalc import derive
    >>> print(derive("x.T @ A @ y", ["x", "y"], order=2)["x", "y"])
    A
    """

    def __str__(self) -> str:
        return write_block_table(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables, in the order of the blocks."""
        return tuple(dict.fromkeys(name for name, _ in self))

    def write_head(self) -> str:
        """Return what stands above the single answers: what was read, and the table of blocks."""
        return f"{self.declaration}\n\n{write_block_table(self, formulas=False)}"

    def in_layout(self, layout: Layout) -> BlockHessian:
        """The same derivatives in another layout; nothing is derived again."""
        return BlockHessian(self._turn(layout))

    def matrix(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Any:
        """Return the Hessian of a scalar function at a point as one matrix, the blocks in the order of `names`.

        NumPy in, NumPy out; torch in, torch out.  Row and column of an entry count the entries of all variables,
        scalars and vectors.  Raises EvaluationError for a function or a variable of higher rank.
        """
        self._refuse_high_rank()
        import numpy
        import torch

        # Of scalars and vectors the torch layout has the axes of the row before those of the column.
        found = {key: block.evaluate(values, sizes) for key, block in self._turn("torch").items()}
        lengths = {name: len(block) if (block := found[name, name]).ndim else 1 for name in self.names}
        is_torch = any(isinstance(value, torch.Tensor) for value in values.values())
        join: Any = torch.cat if is_torch else numpy.concatenate
        rows = [
            join([found[row, name].reshape(lengths[row], -1) for name in self.names], 1) for row in self.names
        ]
        return join(rows)

    def _refuse_high_rank(self) -> None:
        if self.function.squeezed_shape:
            shape = write_shape(self.function.squeezed_shape)
            raise EvaluationError(f"one matrix is the Hessian of a scalar function, not of one of shape {shape}")
        for wrt in (self[name, name].wrt for name in self.names):
            if len(wrt.squeezed_shape) > 1:
                reason = f"{wrt.name} is a matrix of shape {write_shape(wrt.squeezed_shape)}, so its block is no matrix"
                raise EvaluationError(reason, advice="leave it out, or take the blocks by `evaluate`")
