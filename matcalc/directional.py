"""Products with a derivative that is never formed: vjp from the left, jvp from the right, hvp of a Hessian."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from matcalc.engine.result import derive_result
from matcalc.errors import DeclarationError
from matcalc.language.expression import Expression, einsum, multiply, symbol
from matcalc.language.sizes import write_shape
from matcalc.render.named_parts import list_taken, to_text_named

if TYPE_CHECKING:
    from matcalc.derivation import Derivative
    from matcalc.rule_files import RuleBook

Files = tuple[str, ...]


def derive_vjp(derivative: Derivative, name: str, rules: RuleBook, files: Files = ()) -> Derivative:
    """Return the gradient of sum(g*Y) by X, of the shape of X: one backward pass.

    >>> from matcalc import derive
    >>> str(derive("A @ X @ B", "X").vjp())
    'A.T @ g @ B.T'
    """
    weighted, _ = _weigh(derivative, derivative.function, name)
    return _derive(derivative, weighted, derivative.wrt, name, derivative.function, rules, files)


def derive_jvp(derivative: Derivative, name: str, rules: RuleBook, files: Files = ()) -> Derivative:
    """Return the derivative of Y along dX, of the shape of Y: that of the vjp, which is linear in g, by g.

    >>> from matcalc import derive
    >>> str(derive("A @ X @ B", "X").jvp())
    'A @ dX @ B'
    """
    cotangent = _choose_free(derivative, "g")
    weighted, free = _weigh(derivative, derivative.function, cotangent)
    backward = derive_result(weighted, derivative.wrt, 1, rules).expression("torch")
    along, _ = _weigh(derivative, backward, name, derivative.wrt)
    return _derive(derivative, along, free, name, derivative.wrt, rules, files)


def derive_hvp(derivative: Derivative, name: str, rules: RuleBook, files: Files = ()) -> Derivative:
    """Return the Hessian of a scalar function times dX, of the shape of X: the gradient of sum(dX*gradient).

    Raises DeclarationError for a function that is no scalar.

    >>> from matcalc import derive
    >>> str(derive("sum(exp(A @ x))", "x").hvp())
    'A.T @ (exp(A @ x)*(A @ dx))'
    """
    function = derivative.function
    if not function.is_scalar:
        shape = write_shape(function.squeezed_shape)
        raise DeclarationError(f"hvp is of a scalar function, this one has shape {shape}", advice="ask for jvp or vjp")
    gradient = derive_result(function, derivative.wrt, 1, rules).expression("torch")
    along, _ = _weigh(derivative, gradient, name, derivative.wrt)
    return _derive(derivative, along, derivative.wrt, name, derivative.wrt, rules, files)


def _weigh(
    derivative: Derivative, function: Expression, name: str, like: Expression | None = None
) -> tuple[Expression, Expression]:
    """Return sum(name*function) and the new variable, which has the shape of the function."""
    _refuse_taken(derivative, name)
    shape = (function if like is None else like).squeezed_shape
    weight = symbol(name, shape)
    if not shape:
        return multiply(weight, function), weight
    letters = "ijklabcdefgh"[: len(shape)]
    return einsum(f"{letters},{letters}->", (weight, function)), weight


def _derive(
    derivative: Derivative, function: Expression, wrt: Expression, name: str, like: Expression, rules: RuleBook,
    files: Files,
) -> Derivative:  # fmt: skip
    symbols = {**derivative.problem.symbols, name: symbol(name, like.squeezed_shape)}
    symbols[wrt.name] = wrt
    problem = replace(derivative.problem, expressions=(function,), symbols=symbols, wrt=wrt, notes=(), reading=None)
    result = derive_result(function, wrt, 1, rules)
    text = to_text_named(function, list_taken(problem, rules, derivative.given), "; ")
    return type(derivative)(
        problem, result, text=text, layout="torch", rules=rules, names=derivative.names,
        given={}, files=files,
    )  # fmt: skip


def _refuse_taken(derivative: Derivative, name: str) -> None:
    if _is_taken(derivative, name):
        raise DeclarationError(f"{name} is a name in the expression", advice='give another one, as in .vjp("seed")')


def _choose_free(derivative: Derivative, name: str) -> str:
    while _is_taken(derivative, name):
        name += "_"
    return name


def _is_taken(derivative: Derivative, name: str) -> bool:
    return name in derivative.problem.symbols or name in derivative.problem.abstract
