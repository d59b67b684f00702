"""Derivatives by several variables, from one derivation: a gradient by each name, and the block Hessian."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from matcalc.engine.result import Result, derive_each
from matcalc.errors import EvaluationError
from matcalc.language.expression import Expression
from matcalc.language.sizes import write_shape
from matcalc.language.text_to_expression import Problem
from matcalc.read_input import Asked
from matcalc.render.report import write_block_table
from matcalc.rule_files import RuleBook

if TYPE_CHECKING:
    from matcalc.check.report import CheckReport
    from matcalc.derivation import Derivative

Key = TypeVar("Key", bound="str | tuple[str, str]")


class Make(Protocol):
    """Makes the `Derivative` of a result."""

    def __call__(self, problem: Problem, by: tuple[Expression, ...], *, result: Result) -> Derivative:
        """Return the derivative by one variable after the other."""


def derive_several(problem: Problem, asked: Asked, rules: RuleBook, make: Make) -> Derivatives | BlockHessian:
    """Return the derivatives by all names that were asked for; what they share is derived once."""
    wrts = [problem.symbols[name] for name in asked.names]
    results = derive_each(problem.expressions[0], [wrts] * asked.order, rules)
    made = [make(problem, result.by, result=result) for result in results]
    if asked.order == 1:
        return Derivatives({one.by[0].name: one for one in made})
    return BlockHessian({(one.by[0].name, one.by[1].name): one for one in made})


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
        self, trials: int = 3, seed: int = 0, dtype: str = "float64", device: str = "cpu"
    ) -> dict[Key, CheckReport]:
        """Compare each with torch.autograd.functional.jacobian, as `Derivative.check` does."""
        return {key: one.check(trials, seed, dtype, device) for key, one in self.items()}

    def evaluate(self, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> dict[Key, Any]:
        """Return each at a point, as `Derivative.evaluate` does; raises EvaluationError where values do not fit."""
        return {key: one.evaluate(values, sizes) for key, one in self.items()}

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data: a list of what `Derivative.to_dict` gives."""
        return {
            "expression": self.first.text, "layout": self.layout,
            "derivatives": [one.to_dict() for one in self.values()],
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from matcalc.render.answer_html import write_derivatives_html

        return write_derivatives_html(self)

    def _turn(self, layout: str) -> dict[Key, Derivative]:
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

    def in_layout(self, layout: str) -> Derivatives:
        """The same derivatives in another layout; nothing is derived again."""
        return Derivatives(self._turn(layout))


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

    def in_layout(self, layout: str) -> BlockHessian:
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
        lengths = {name: _count_entries(found[name, name]) for name in self.names}
        is_torch = any(isinstance(value, torch.Tensor) for value in values.values())
        join: Any = torch.cat if is_torch else numpy.concatenate
        rows = [
            join([found[row, name].reshape(lengths[row], -1) for name in self.names], 1) for row in self.names
        ]
        return join(rows)

    def _refuse_high_rank(self) -> None:
        if self.function.dropped_shape:
            shape = write_shape(self.function.dropped_shape)
            raise EvaluationError(f"one matrix is the Hessian of a scalar function, not of one of shape {shape}")
        for wrt in (self[name, name].wrt for name in self.names):
            if len(wrt.dropped_shape) > 1:
                reason = f"{wrt.name} is a matrix of shape {write_shape(wrt.dropped_shape)}, so its block is no matrix"
                raise EvaluationError(reason, advice="leave it out, or take the blocks by `evaluate`")


def _count_entries(block: Any) -> int:
    """The side of a diagonal block, 1 for a number."""
    return int(block.shape[0]) if block.ndim else 1
