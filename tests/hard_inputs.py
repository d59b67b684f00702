"""Numerically hard inputs: texts, and points where numbers overflow, vanish, cancel, or matrices are near singular."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Hard:
    """A text with values of its variables; each entry of a function entry by entry is a case of its own.

    `condition` is by how much more than rounding an answer may be off, `order` that of the derivative; `is_kink` says
    that the derivative there is torch's choice.
    """

    text: str
    wrt: str
    values: dict[str, Any]
    condition: float = 1.0
    order: int = 1
    is_kink: bool = False
    is_entrywise: bool = False
    assume: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The text, with what is asked of it."""
        at = np.asarray(self.values[self.wrt]).reshape(-1)
        return f"{self.text} by {self.wrt} of order {self.order} at {at[0]:g}"

    @property
    def shapes(self) -> dict[str, tuple[str, ...]]:
        """What `derive` is told: axes of one length have one letter."""
        letters = {2: "k", 3: "n", 4: "4" if "ones(4)" in self.text else "m"}
        return {name: tuple(letters.get(size, "p") for size in np.shape(value)) for name, value in self.values.items()}

    @property
    def count(self) -> int:
        """How many cases it is."""
        return len(self.values[self.wrt]) if self.is_entrywise else 1


WHOLE = np.array([-1e3, -1e2, -37.0, -1.0, -1e-8, 1e-8, 1.0, 37.0, 1e2, 1e3])
POSITIVE = np.array([1e-300, 1e-12, 1e-8, 0.5, 1.0, 40.0, 1e3, 1e12, 1e100])
UNIT = np.array([1e-300, 1e-12, 1e-8, 0.5, 1 - 1e-8, 1 - 1e-12])
# How far exp can go.
MODERATE = np.array([-7e2, -1e2, -37.0, -1.0, -1e-8, 1e-8, 1.0, 37.0, 1e2, 7e2])
SMALL = np.array([-1e-3, -1e-8, -1e-12, 1e-12, 1e-8, 1e-3])
LARGE = np.array([1.0, 1e6, 1e12, 1e15])
# A random matrix times numbers large and small.
A = np.array([[0.3, -1.2, 0.7], [1.9, 0.4, -0.6], [-0.8, 1.1, 0.2], [0.5, -0.1, 1.4]])
W = np.array([0.9, -1.7, 0.4])
LABELS = np.array([1.0, 0.0, 1.0, 0.0])
ONE_HOT = np.array([0.0, 1.0, 0.0, 0.0])
SCORES = np.array([1.0, -1.0, 0.25, 0.5])

ENTRYWISE_OF_ALL = [
    "sigmoid(x)", "tanh(x)", "softplus(x)", "silu(x)", "gelu(x)", "logsigmoid(x)", "softsign(x)", "erf(x)", "erfc(x)",
    "arctan(x)", "arcsinh(x)", "elu(x)", "x/(1 + abs(x))", "sqrt(1 + x**2)", "1/(1 + x**2)", "x/sqrt(1 + x**2)",
    "log(1 + x**2)", "log1p(x**2)", "exp(-x**2)", "exp(-x**2/2)/sqrt(2*pi)", "-x**2/2 - log(2*pi)/2",
    "log(exp(-x**2/2)/sqrt(2*pi))", "1/(1 + exp(-x))", "exp(x)/(1 + exp(x))", "log(1 + exp(x))", "log(1 + exp(-x))",
    "log1p(exp(x))", "log(2 + exp(x))", "log(exp(x) + 1)", "log(exp(x) + exp(-x))", "log(cosh(x))", "log(2*cosh(x))",
    "log(exp(x) + exp(2*x))", "log(1 + exp(x) + exp(2*x))", "log(sigmoid(x))", "log(1 - sigmoid(x))",
    "log(1/(1 + exp(-x)))", "log(exp(x))", "log(3*exp(x))", "sqrt(exp(x))", "(exp(x) - exp(-x))/(exp(x) + exp(-x))",
    "(1 - exp(-2*x))/(1 + exp(-2*x))", "(exp(2*x) - 1)/(exp(2*x) + 1)", "2/(1 + exp(-2*x)) - 1", "sinh(x)/cosh(x)",
    "1/cosh(x)", "2/(exp(x) + exp(-x))", "exp(x)/(2 + exp(x))", "exp(x)/(1 + exp(x))**2", "exp(-x)/(1 + exp(-x))**2",
    "1/(2 + exp(-x))", "(2 + exp(x))/(1 + exp(x))", "exp(x)/(exp(x) + exp(3*x))", "x/(1 + exp(-x))", "x*sigmoid(x)",
    "x*tanh(softplus(x))", "x*tanh(log(1 + exp(x)))", "tanh(x/2)/2 + 1/2", "exp(x)*exp(-x)",
    "exp(x - log(1 + exp(x)))", "1 - tanh(x)**2", "sigmoid(x)*(1 - sigmoid(x))", "x - tanh(x)", "arctan2(x, 2)",
    "x**3/(1 + x**2)", "log(1 + exp(x))/2", "logaddexp(x, 2*x)", "sin(x)", "abs(x)", "log(1 + exp(x**2))",
    "sqrt(1 + exp(x))", "log(log(2 + exp(x)))", "1/(exp(x) + exp(-x))**2", "log(1 + cosh(x))", "exp(-abs(x))",
    "exp(x)**2/(1 + exp(x)**2)", "(x/2)*(1 + erf(x/sqrt(2)))", "x*erfc(-x/sqrt(2))/2",
]  # fmt: skip
ENTRYWISE_OF_MODERATE = [
    "exp(x)", "exp(x) - 1", "expm1(x)", "cosh(x)", "sinh(x)", "exp(x)/x", "(exp(x) - 1)/x", "cosh(x) - sinh(x)",
]  # fmt: skip
ENTRYWISE_OF_SMALL = [
    "1 - cos(x)", "log(1 + x)", "exp(x) - 1", "log1p(x)", "expm1(x)", "sqrt(1 + x) - 1", "sin(x)/x",
    "(1 - cos(x))/x**2", "log(1 - x)", "1 - exp(-x)", "log(1 + x)/x", "x - sin(x)", "1/(1 + x) - 1",
    "sqrt(1 + x**2) - 1", "tan(x) - x", "cosh(x) - 1", "(exp(x) - 1)/x", "log((1 + x)/(1 - x))/2", "2**x - 1",
    "1 - 1/(1 + x**2)",
]  # fmt: skip
ENTRYWISE_OF_POSITIVE = [
    "log(x)", "sqrt(x)", "x*log(x)", "-x*log(x)", "1/x", "x**0.3", "log(x)/x", "x**(1/3)", "x**1.5", "entr(x)",
    "log(1 + 1/x)", "sqrt(x)*log(x)", "log(x**2)", "log(sqrt(x))", "x/(1 + x)", "x**x",
]  # fmt: skip
ENTRYWISE_OF_LARGE = [
    "sqrt(x + 1) - sqrt(x)", "log(x + 1) - log(x)", "1/x - 1/(x + 1)", "x - sqrt(x**2 + 1)", "arctan(x)",
    "sqrt(x**2 + 1)",
]  # fmt: skip
ENTRYWISE_OF_UNIT = [
    "log(x)", "log(1 - x)", "log(x/(1 - x))", "logit(x)", "-x*log(x) - (1 - x)*log(1 - x)", "1/(x*(1 - x))",
    "log(x) - log(1 - x)",
]  # fmt: skip
SECOND = [
    "log(cosh(x))", "log(1 + exp(x))", "softplus(x)", "log(2 + exp(x))", "tanh(x)", "sigmoid(x)", "silu(x)", "gelu(x)",
    "sqrt(1 + x**2)", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "1/(1 + exp(-x))", "x*tanh(softplus(x))",
]  # fmt: skip

LOSSES = [
    "-sum(y*log(softmax(A @ x)))", "-y.T @ log(softmax(A @ x))", "-sum(y*log_softmax(A @ x))",
    "cross_entropy(A @ x, y)", "logsumexp(A @ x) - y.T @ (A @ x)", "log(sum(exp(A @ x))) - y.T @ A @ x",
    "-y.T @ log(exp(A @ x)/sum(exp(A @ x)))", "-log(y.T @ softmax(A @ x))",
    "-sum(y*log(sigmoid(A @ x)) + (1 - y)*log(1 - sigmoid(A @ x)))",
    "-y.T @ log(sigmoid(A @ x)) - (1 - y).T @ log(1 - sigmoid(A @ x))",
    "sum(-y*log(1/(1 + exp(-A @ x))) - (1 - y)*log(1 - 1/(1 + exp(-A @ x))))", "sum(log(1 + exp(A @ x)) - y*(A @ x))",
    "sum(softplus(A @ x) - y*(A @ x))", "mean(softplus(A @ x)) - mean(y*(A @ x))",
    "binary_cross_entropy_with_logits(A @ x, y)", "sum(log(cosh(A @ x - y)))", "norm(tanh(A @ x) - y)**2",
    "norm(sigmoid(A @ x) - y)**2", "sum(sqrt(1 + (A @ x - y)**2))", "log(1 + sum(exp(A @ x)))",
    "log(mean(exp(A @ x)))", "logsumexp(A @ x)/2", "y.T @ softmax(A @ x)", "sum(log(1 + exp(-(2*y - 1)*(A @ x))))",
    "log(sum(exp(A @ x)) + sum(exp(-A @ x)))", "log(sum(cosh(A @ x)))",
    "sum(exp(A @ x))**(1/2)/sum(exp(A @ x))**(1/2)", "log(ones(4).T @ exp(A @ x))",
    "sum(y*exp(A @ x))/sum(exp(A @ x))", "sum(exp(A @ x)*(A @ x))/sum(exp(A @ x))",
    "-sum((1 - sigmoid(A @ x))**2*log(sigmoid(A @ x)))", "sum(exp(-A @ x))/(1 + sum(exp(-A @ x)))",
    "-log(exp(y.T @ A @ x)/(exp(y.T @ A @ x) + sum(exp(A @ x))))", "sum(log(exp(A @ x) + 1e-8))",
    "-sum(softmax(A @ x)*log(softmax(A @ x)))", "-sum(softmax(A @ x)*log_softmax(A @ x))", "log(y.T @ exp(A @ x))",
]  # fmt: skip


# Others that are written with labels of which one is 1.
OF_ONE = ("softmax", "sum(exp", "cross_entropy(")


def list_hard() -> list[Hard]:
    """Return all hard inputs."""
    return [*_list_entries(), *_list_losses(), *_list_sums(), *_list_matrices(), *_list_at_zero(), *_list_others()]


def _list_entries() -> Iterator[Hard]:
    grids = [
        (ENTRYWISE_OF_ALL, WHOLE, 1), (ENTRYWISE_OF_MODERATE, MODERATE, 1), (ENTRYWISE_OF_SMALL, SMALL, 1),
        (ENTRYWISE_OF_POSITIVE, POSITIVE, 1), (ENTRYWISE_OF_LARGE, LARGE, 1), (ENTRYWISE_OF_UNIT, UNIT, 1),
        (SECOND, WHOLE, 2),
    ]  # fmt: skip
    for texts, at, order in grids:
        for text in texts:
            yield Hard(text, "x", {"x": at}, order=order, is_entrywise=True)


def _list_losses() -> Iterator[Hard]:
    for text in LOSSES:
        labels = ONE_HOT if any(word in text for word in OF_ONE) else LABELS
        for scale in (1e2, 1e3):
            yield Hard(text, "x", {"A": scale * A, "x": W, **({"y": labels} if "y" in text else {})})


def _list_sums() -> Iterator[Hard]:
    texts = ["logsumexp(x)", "log(sum(exp(x)))", "softmax(x)", "log(softmax(x))", "log_softmax(x)",
             "exp(x)/sum(exp(x))", "log(exp(x)/sum(exp(x)))", "x - log(sum(exp(x)))", "exp(x - logsumexp(x))",
             "sum(x*exp(x))/sum(exp(x))", "log(mean(exp(x)))", "max(x) + log(sum(exp(x - max(x))))",
             "log(1 + sum(exp(x)))"]  # fmt: skip
    for text in texts:
        for at in (1e3 * SCORES, 40 * SCORES, -1e3 * np.abs(SCORES), 1e5 * SCORES):
            yield Hard(text, "x", {"x": at})
    of_rows = ["softmax(X, axis=1)", "log(softmax(X, axis=1))", "sum(log(sum(exp(X), axis=1)))",
               "sum(logsumexp(X, axis=0))", "exp(X)/sum(exp(X), axis=1)",
               "sum(log(exp(X)/sum(exp(X), axis=1, keepdims=True)))", "sum(log(sum(exp(X), axis=0)))"]  # fmt: skip
    for text in of_rows:
        yield Hard(text, "X", {"X": np.stack([1e3 * SCORES, -1e3 * SCORES])})
    for text in ("softmax(x)", "logsumexp(x)", "log(sum(exp(x)))"):
        yield Hard(text, "x", {"x": 1e3 * SCORES}, order=2)


def _near_singular(condition: float) -> Array:
    """A symmetric matrix with eigenvalues 1, the root of 1/condition, and 1/condition, and full eigenvectors."""
    basis, _ = np.linalg.qr(A[:3])
    matrix: Array = basis @ np.diag([1.0, condition**-0.5, 1 / condition]) @ basis.T
    return (matrix + matrix.T) / 2


def _list_matrices() -> Iterator[Hard]:
    texts = ["logdet(X)", "inv(X)", "det(X)", "b.T @ inv(X) @ b", "trace(inv(X) @ C)", "log(det(X))", "logdet(X.T @ X)",
             "norm(inv(X) @ b)"]  # fmt: skip
    others = {"b": W, "C": np.array([[2.0, 0.3, -0.4], [0.1, 1.5, 0.2], [-0.2, 0.6, 1.1]])}
    for text in texts:
        for condition in (1e10, 1e12, 1e14):
            matrix = _near_singular(condition**0.5 if "X.T @ X" in text else condition)
            yield Hard(text, "X", {"X": matrix, **{n: value for n, value in others.items() if n in text}}, condition)
    values = {"x": W, "y": np.zeros(3), "S": _near_singular(1e10)}
    yield Hard("-(x - y).T @ inv(S) @ (x - y)/2 - logdet(S)/2", "S", values, 1e10)


def _list_at_zero() -> Iterator[Hard]:
    zero = np.zeros(3)
    texts = ["norm(x)", "norm(x)**2", "x.T @ x/2", "norm(x)**3", "sqrt(1 + norm(x)**2)", "sum(abs(x))", "sum(x**0)",
             "sum(x**1)", "sum(x**2)", "sum(x**3)", "prod(x)", "sum(relu(x))", "x/(1 + norm(x))", "sum(x*exp(x))",
             "sum(abs(x)**3)", "sum(x**1.5)", "sum(x**2.5)", "exp(-norm(x)**2/2)", "norm(x, 3)", "max(x)",
             "sum(x/(1 + abs(x)))", "sum(x*sin(x))", "sum(x*norm(x))"]  # fmt: skip
    for text in texts:
        yield Hard(text, "x", {"x": zero}, is_kink=True)
    yield Hard("norm(A @ x)", "x", {"A": A, "x": zero}, is_kink=True)
    yield Hard("norm(x - y)", "x", {"x": W, "y": W}, is_kink=True)
    yield Hard("prod(x)", "x", {"x": np.array([0.0, 2.0, 3.0])})
    yield Hard("prod(x)", "x", {"x": np.array([0.0, 0.0, 3.0])})
    yield Hard("x.T @ y*norm(x)", "x", {"x": np.array([0.0, 2.0, 0.0]), "y": W})
    yield Hard("sum(x*y/(1 + x*y))", "x", {"x": np.array([0.0, 2.0, 0.0]), "y": np.array([0.0, 0.0, 3.0])})
    yield Hard("sum(xlogy(x, y))", "y", {"x": np.array([0.0, 0.5, 0.5]), "y": np.array([0.2, 0.5, 1e-300])})
    yield Hard("-sum(p*log(q))", "q", {"p": np.array([0.0, 0.5, 0.5]), "q": np.array([0.2, 0.5, 1e-12])})
    yield Hard("sum(p*log(p/q))", "q", {"p": np.array([1e-300, 0.5, 0.5]), "q": np.array([0.2, 0.5, 1e-12])})
    yield Hard("sum(y**0*x)", "x", {"x": W, "y": zero})
    yield Hard("sum(x**0*y)", "x", {"x": zero, "y": W}, is_kink=True)
    yield Hard("sum(x**y)", "x", {"x": np.array([0.0, 2.0, 1e-8]), "y": np.array([2.0, 0.0, 3.0])}, is_kink=True)
    for text in ("norm(x)", "x/norm(x)", "norm(x)**2/norm(x)", "sqrt(sum(x**2))"):
        for scale in (1e-100, 1e-8, 1e8, 1e100):
            yield Hard(text, "x", {"x": scale * W})
    for scale in (1e-160, 1e160):
        yield Hard("norm(x)", "x", {"x": scale * W})
    for scale in (1e-8, 1e8):
        yield Hard("x.T @ A @ x/(x.T @ x)", "x", {"x": scale * W, "A": A[:3]})


def _list_others() -> Iterator[Hard]:
    sides = {"x": np.array([1e-8, -1e8, 0.0]), "y": np.array([1e8, 1e-8, 1.0])}
    yield Hard("sum(arctan2(y, x))", "x", sides)
    yield Hard("sum(arctan2(y, x))", "y", {"x": np.array([1e-8, 1e8, 2.0]), "y": np.array([1e8, 1e-8, 0.0])})
    yield Hard("sum(sqrt(x**2 + y**2))", "x", sides)
    yield Hard("exp(-norm(x - y)**2/2)", "x", {"x": 30 * W, "y": -10 * W})
    pair = {"a": np.array([1e3, -1e3, 5.0]), "b": np.array([9.99e2, 1e3, -1e3])}
    for text in ("exp(a)/(exp(a) + exp(b))", "log(exp(a) + exp(b))", "log(exp(a)/(exp(a) + exp(b)))"):
        yield Hard(text, "a", pair)
    yield Hard("log(alpha + exp(beta))", "beta", {"alpha": 2.0, "beta": 1e3})
    yield Hard("log(alpha + exp(beta))", "alpha", {"alpha": -2.0, "beta": 1e2})
    yield Hard("exp(x)/(alpha + exp(x))", "x", {"alpha": -2.0, "x": np.array([1e3, -1e3, 1.0])})
    yield Hard("log(cosh(beta))", "beta", {"beta": -1e3})
    yield Hard("log(c*exp(-alpha*t))", "t", {"c": np.array([1.0, 2.0]), "alpha": 3.0, "t": np.array([1e3, -1e3])})
    cold = {"beta": 50.0, "x": 40 * SCORES}
    yield Hard("exp(-beta*x)/sum(exp(-beta*x))", "x", cold)
    yield Hard("-log(sum(exp(-beta*x)))/beta", "x", cold)
    yield Hard("-log(sum(exp(-beta*x)))/beta", "beta", cold)
    gauss = {"x": W, "y": np.zeros(3)}
    yield Hard("-sum((x - y)**2)/(2*beta**2) - log(beta)", "beta", {"beta": 1e-8, **gauss})
    yield Hard("sum(log(exp(-(x - y)**2/(2*beta**2))/beta))", "x", {"beta": 1e-2, **gauss})
    mixture = "log(pi_1*exp(-(x - 1)**2/2) + (1 - pi_1)*exp(-(x + 1)**2/2))"
    of_mixture = {"pi_1": 0.3, "x": np.array([-60.0, 0.1, 60.0])}
    yield Hard(mixture, "x", of_mixture)
    yield Hard(mixture, "x", of_mixture, assume={"pi_1": "unit-interval"})
    yield Hard(mixture, "pi_1", of_mixture, assume={"pi_1": "unit-interval"})
    yield Hard("log(y.T @ exp(A @ x))", "x", {"A": 1e3 * A, "x": W, "y": SCORES + 2}, assume={"y": "positive"})
