"""Numerically hard inputs: texts, and points where their numbers overflow, vanish, cancel or lie near singular matrices."""

from __future__ import annotations

from dataclasses import dataclass
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

    @property
    def name(self) -> str:
        """The text, with what is asked of it."""
        at = np.asarray(self.values[self.wrt]).reshape(-1)
        return f"{self.text} by {self.wrt}, order {self.order}, at {at[0]:g} ..."


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
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
SCORES = np.array([1.0, -1.0, 0.25, 0.5])

ENTRYWISE_OF_ALL = [
    "sigmoid(x)", "tanh(x)", "softplus(x)", "silu(x)", "gelu(x)", "logsigmoid(x)", "softsign(x)", "erf(x)",
    "erfc(x)", "arctan(x)", "arcsinh(x)", "elu(x)", "x/(1 + abs(x))", "sqrt(1 + x**2)", "1/(1 + x**2)", "x/sqrt(1 + x**2)",
    "log(1 + x**2)", "log1p(x**2)", "exp(-x**2)", "exp(-x**2/2)/sqrt(2*pi)", "-x**2/2 - log(2*pi)/2",
    "log(exp(-x**2/2)/sqrt(2*pi))", "1/(1 + exp(-x))", "exp(x)/(1 + exp(x))", "log(1 + exp(x))", "log(1 + exp(-x))",
    "log1p(exp(x))", "log(2 + exp(x))", "log(exp(x) + 1)", "log(exp(x) + exp(-x))", "log(cosh(x))",
    "log(2*cosh(x))", "log(exp(x) + exp(2*x))", "log(1 + exp(x) + exp(2*x))", "log(sigmoid(x))", "log(1 - sigmoid(x))",
    "log(1/(1 + exp(-x)))", "log(exp(x))", "log(3*exp(x))", "sqrt(exp(x))", "(exp(x) - exp(-x))/(exp(x) + exp(-x))",
    "(1 - exp(-2*x))/(1 + exp(-2*x))", "(exp(2*x) - 1)/(exp(2*x) + 1)", "2/(1 + exp(-2*x)) - 1", "sinh(x)/cosh(x)",
    "1/cosh(x)", "2/(exp(x) + exp(-x))", "exp(x)/(2 + exp(x))", "exp(x)/(1 + exp(x))**2", "exp(-x)/(1 + exp(-x))**2",
    "1/(2 + exp(-x))", "(2 + exp(x))/(1 + exp(x))", "exp(x)/(exp(x) + exp(3*x))", "x/(1 + exp(-x))", "x*sigmoid(x)",
    "x*tanh(softplus(x))", "x*tanh(log(1 + exp(x)))", "tanh(x/2)/2 + 1/2", "exp(x)*exp(-x)", "exp(x - log(1 + exp(x)))",
    "1 - tanh(x)**2", "sigmoid(x)*(1 - sigmoid(x))", "x - tanh(x)", "arctan2(x, 2)", "x**3/(1 + x**2)",
    "log(1 + exp(x))/2", "logaddexp(x, 2*x)", "sin(x)", "abs(x)", "log(1 + exp(x**2))", "sqrt(1 + exp(x))",
    "log(log(2 + exp(x)))", "1/(exp(x) + exp(-x))**2", "log(1 + cosh(x))", "exp(-abs(x))", "exp(x)**2/(1 + exp(x)**2)",
    "(x/2)*(1 + erf(x/sqrt(2)))", "x*erfc(-x/sqrt(2))/2",
]  # fmt: skip
ENTRYWISE_OF_MODERATE = [
    "exp(x)", "exp(x) - 1", "expm1(x)", "cosh(x)", "sinh(x)", "exp(x)/x", "(exp(x) - 1)/x", "cosh(x) - sinh(x)",
]  # fmt: skip
ENTRYWISE_OF_SMALL = [
    "1 - cos(x)", "log(1 + x)", "exp(x) - 1", "log1p(x)", "expm1(x)", "sqrt(1 + x) - 1", "sin(x)/x", "(1 - cos(x))/x**2",
    "log(1 - x)", "1 - exp(-x)", "log(1 + x)/x", "x - sin(x)", "1/(1 + x) - 1", "sqrt(1 + x**2) - 1", "tan(x) - x",
    "cosh(x) - 1", "(exp(x) - 1)/x", "log((1 + x)/(1 - x))/2", "2**x - 1", "1 - 1/(1 + x**2)",
]  # fmt: skip
ENTRYWISE_OF_POSITIVE = [
    "log(x)", "sqrt(x)", "x*log(x)", "-x*log(x)", "1/x", "x**0.3", "log(x)/x", "x**(1/3)", "x**1.5", "entr(x)",
    "log(1 + 1/x)", "sqrt(x)*log(x)", "log(x**2)", "log(sqrt(x))", "x/(1 + x)", "x**x",
]  # fmt: skip
ENTRYWISE_OF_LARGE = ["sqrt(x + 1) - sqrt(x)", "log(x + 1) - log(x)", "1/x - 1/(x + 1)", "x - sqrt(x**2 + 1)",
                      "arctan(x)", "sqrt(x**2 + 1)"]  # fmt: skip
ENTRYWISE_OF_UNIT = ["log(x)", "log(1 - x)", "log(x/(1 - x))", "logit(x)", "-x*log(x) - (1 - x)*log(1 - x)",
                     "1/(x*(1 - x))", "log(x) - log(1 - x)"]  # fmt: skip
SECOND = ["log(cosh(x))", "log(1 + exp(x))", "softplus(x)", "log(2 + exp(x))", "tanh(x)", "sigmoid(x)", "silu(x)", "gelu(x)",
          "sqrt(1 + x**2)", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "1/(1 + exp(-x))", "x*tanh(softplus(x))"]  # fmt: skip

LOSSES = [
    "-sum(y*log(softmax(A @ x)))", "-y.T @ log(softmax(A @ x))", "-sum(y*log_softmax(A @ x))", "cross_entropy(A @ x, y)",
    "logsumexp(A @ x) - y.T @ (A @ x)", "log(sum(exp(A @ x))) - y.T @ A @ x", "-y.T @ log(exp(A @ x)/sum(exp(A @ x)))",
    "-log(y.T @ softmax(A @ x))", "-sum(y*log(sigmoid(A @ x)) + (1 - y)*log(1 - sigmoid(A @ x)))",
    "-y.T @ log(sigmoid(A @ x)) - (1 - y).T @ log(1 - sigmoid(A @ x))",
    "sum(-y*log(1/(1 + exp(-A @ x))) - (1 - y)*log(1 - 1/(1 + exp(-A @ x))))",
    "sum(log(1 + exp(A @ x)) - y*(A @ x))", "sum(softplus(A @ x) - y*(A @ x))", "mean(softplus(A @ x)) - mean(y*(A @ x))",
    "binary_cross_entropy_with_logits(A @ x, y)", "sum(log(cosh(A @ x - y)))", "norm(tanh(A @ x) - y)**2",
    "norm(sigmoid(A @ x) - y)**2", "sum(sqrt(1 + (A @ x - y)**2))", "log(1 + sum(exp(A @ x)))",
    "log(mean(exp(A @ x)))", "logsumexp(A @ x)/2", "y.T @ softmax(A @ x)", "sum(log(1 + exp(-(2*y - 1)*(A @ x))))",
    "log(sum(exp(A @ x)) + sum(exp(-A @ x)))", "log(sum(cosh(A @ x)))", "sum(exp(A @ x))**(1/2)/sum(exp(A @ x))**(1/2)",
    "log(ones(4).T @ exp(A @ x))", "sum(y*exp(A @ x))/sum(exp(A @ x))", "sum(exp(A @ x)*(A @ x))/sum(exp(A @ x))",
    "-sum(softmax(A @ x)*log(softmax(A @ x)))", "-sum(softmax(A @ x)*log_softmax(A @ x))", "log(y.T @ exp(A @ x))",
]  # fmt: skip


def list_hard() -> list[Hard]:
    """Return all hard inputs."""
    grids = [
        (ENTRYWISE_OF_ALL, WHOLE, 1), (ENTRYWISE_OF_MODERATE, MODERATE, 1), (ENTRYWISE_OF_SMALL, SMALL, 1),
        (ENTRYWISE_OF_POSITIVE, POSITIVE, 1), (ENTRYWISE_OF_LARGE, LARGE, 1), (ENTRYWISE_OF_UNIT, UNIT, 1), (SECOND, WHOLE, 2),
    ]  # fmt: skip
    of_entries = [Hard(text, "x", {"x": at}, order=order, is_entrywise=True) for texts, at, order in grids for text in texts]
    losses = [
        Hard(text, "x", {"A": scale * A, "x": W, **({"y": ONE_HOT if "max" in text or "sum(exp" in text else LABELS} if "y" in text else {})})
        for text in LOSSES for scale in (1e2, 1e3)
    ]  # fmt: skip
    return [*of_entries, *losses, *_list_sums(), *_list_matrices(), *_list_special()]


def _list_sums() -> list[Hard]:
    vectors = [1e3 * SCORES, 40 * SCORES, -1e3 * np.abs(SCORES), 1e5 * SCORES]
    texts = ["logsumexp(x)", "log(sum(exp(x)))", "softmax(x)", "log(softmax(x))", "log_softmax(x)", "exp(x)/sum(exp(x))",
             "log(exp(x)/sum(exp(x)))", "x - log(sum(exp(x)))", "exp(x - logsumexp(x))", "sum(x*exp(x))/sum(exp(x))",
             "log(mean(exp(x)))", "max(x) + log(sum(exp(x - max(x))))", "log(1 + sum(exp(x)))"]  # fmt: skip
    rows = np.stack([1e3 * SCORES, -1e3 * SCORES])
    of_rows = ["softmax(X, axis=1)", "log(softmax(X, axis=1))", "sum(log(sum(exp(X), axis=1)))", "sum(logsumexp(X, axis=0))",
               "exp(X)/sum(exp(X), axis=1)", "sum(log(exp(X)/sum(exp(X), axis=1, keepdims=True)))"]  # fmt: skip
    # Rows whose normaliser is a column are divided by it through broadcasting.
    return [
        *(Hard(text, "x", {"x": at}) for text in texts for at in vectors),
        *(Hard(text, "X", {"X": rows}) for text in of_rows),
        Hard("softmax(x)", "x", {"x": 1e3 * SCORES}, order=2), Hard("logsumexp(x)", "x", {"x": 1e3 * SCORES}, order=2),
        Hard("log(sum(exp(x)))", "x", {"x": 1e3 * SCORES}, order=2),
    ]  # fmt: skip


def _near_singular(condition: float) -> Array:
    """A symmetric matrix, with eigenvectors of no axis, whose eigenvalues are 1, the root of 1/condition, 1/condition."""
    basis, _ = np.linalg.qr(A[:3])
    matrix: Array = basis @ np.diag([1.0, condition**-0.5, 1 / condition]) @ basis.T
    return (matrix + matrix.T) / 2


def _list_matrices() -> list[Hard]:
    texts = ["logdet(X)", "inv(X)", "det(X)", "b.T @ inv(X) @ b", "trace(inv(X) @ C)", "log(det(X))", "logdet(X.T @ X)",
             "norm(inv(X) @ b)"]  # fmt: skip
    others = {"b": W, "C": np.array([[2.0, 0.3, -0.4], [0.1, 1.5, 0.2], [-0.2, 0.6, 1.1]])}
    found = []
    for text in texts:
        for condition in (1e10, 1e12, 1e14):
            squared = "X.T @ X" in text
            matrix = _near_singular(condition**0.5 if squared else condition)
            values = {"X": matrix, **{name: value for name, value in others.items() if name in text}}
            found.append(Hard(text, "X", values, condition))
    return found


def _list_special() -> list[Hard]:
    zero, near, far = np.zeros(3), 1e-160 * W, 1e160 * W
    return [
        *(Hard(text, "x", {"x": at}) for text in ("norm(x)", "x/norm(x)", "norm(x)**2/norm(x)", "sqrt(sum(x**2))")
          for at in (1e-8 * W, 1e8 * W, 1e-100 * W, 1e100 * W)),
        *(Hard("norm(x)", "x", {"x": at}) for at in (near, far)),
        *(Hard(text, "x", {"x": zero}, is_kink=True) for text in ("norm(x)", "norm(x)**2", "x.T @ x/2", "norm(x)**3",
          "sqrt(1 + norm(x)**2)", "norm(A @ x)", "sum(abs(x))", "sum(x**0)", "sum(x**1)", "sum(x**2)", "sum(x**3)",
          "prod(x)", "sum(relu(x))", "x/(1 + norm(x))", "sum(x*exp(x))", "sum(abs(x)**3)", "sum(x**1.5)", "sum(x**2.5)",
          "exp(-norm(x)**2/2)", "norm(x, 3)", "max(x)", "sum(x/(1 + abs(x)))", "sum(x*sin(x))", "sum(x*norm(x))") if "A" not in text),
        Hard("norm(A @ x)", "x", {"A": A, "x": zero}, is_kink=True),
        Hard("prod(x)", "x", {"x": np.array([0.0, 2.0, 3.0])}), Hard("prod(x)", "x", {"x": np.array([0.0, 0.0, 3.0])}),
        Hard("x.T @ y*norm(x)", "x", {"x": np.array([0.0, 2.0, 0.0]), "y": W}),
        Hard("sum(x*y/(1 + x*y))", "x", {"x": np.array([0.0, 2.0, 0.0]), "y": np.array([0.0, 0.0, 3.0])}),
        Hard("sum(xlogy(x, y))", "y", {"x": np.array([0.0, 0.5, 0.5]), "y": np.array([0.2, 0.5, 1e-300])}),
        Hard("-sum(p*log(q))", "q", {"p": np.array([0.0, 0.5, 0.5]), "q": np.array([0.2, 0.5, 1e-12])}),
        Hard("sum(p*log(p/q))", "q", {"p": np.array([1e-300, 0.5, 0.5]), "q": np.array([0.2, 0.5, 1e-12])}),
        Hard("sum(y**0*x)", "x", {"x": W, "y": zero}), Hard("sum(x**0*y)", "x", {"x": zero, "y": W}, is_kink=True),
        Hard("sum(x**y)", "x", {"x": np.array([0.0, 2.0, 1e-8]), "y": np.array([2.0, 0.0, 3.0])}, is_kink=True),
        Hard("x.T @ A @ x/(x.T @ x)", "x", {"x": 1e-8 * W, "A": A[:3]}), Hard("x.T @ A @ x/(x.T @ x)", "x", {"x": 1e8 * W, "A": A[:3]}),
        Hard("sum(arctan2(y, x))", "x", {"x": np.array([1e-8, -1e8, 0.0]), "y": np.array([1e8, 1e-8, 1.0])}),
        Hard("sum(arctan2(y, x))", "y", {"x": np.array([1e-8, 1e8, 2.0]), "y": np.array([1e8, 1e-8, 0.0])}),
        Hard("sum(sqrt(x**2 + y**2))", "x", {"x": np.array([1e-8, -1e8, 0.0]), "y": np.array([1e8, 1e-8, 1.0])}),
        Hard("norm(x - y)", "x", {"x": W, "y": W}, is_kink=True), Hard("exp(-norm(x - y)**2/2)", "x", {"x": 30 * W, "y": -10 * W}),
        Hard("exp(a)/(exp(a) + exp(b))", "a", {"a": np.array([1e3, -1e3, 5.0]), "b": np.array([9.99e2, 1e3, -1e3])}),
        Hard("log(exp(a) + exp(b))", "a", {"a": np.array([1e3, -1e3, 5.0]), "b": np.array([9.99e2, -1e3, -1e3])}),
        Hard("log(exp(a)/(exp(a) + exp(b)))", "a", {"a": np.array([1e3, -1e3, 5.0]), "b": np.array([9.99e2, 1e3, -1e3])}),
        Hard("log(alpha + exp(beta))", "beta", {"alpha": 2.0, "beta": 1e3}), Hard("log(cosh(beta))", "beta", {"beta": -1e3}),
        Hard("log(c*exp(-alpha*t))", "t", {"c": np.array([1.0, 2.0]), "alpha": 3.0, "t": np.array([1e3, -1e3])}),
        Hard("exp(-beta*x)/sum(exp(-beta*x))", "x", {"beta": 50.0, "x": 40 * SCORES}),
        Hard("-log(sum(exp(-beta*x)))/beta", "x", {"beta": 50.0, "x": 40 * SCORES}),
        Hard("-log(sum(exp(-beta*x)))/beta", "beta", {"beta": 50.0, "x": 40 * SCORES}),
        Hard("-sum((x - y)**2)/(2*beta**2) - log(beta)", "beta", {"beta": 1e-8, "x": W, "y": zero}),
        Hard("sum(log(exp(-(x - y)**2/(2*beta**2))/beta))", "x", {"beta": 1e-2, "x": W, "y": zero}),
        Hard("-(x - y).T @ inv(S) @ (x - y)/2 - logdet(S)/2", "S", {"x": W, "y": zero, "S": _near_singular(1e10)}, 1e10),
        Hard("log(pi_1*exp(-(x - 1)**2/2) + (1 - pi_1)*exp(-(x + 1)**2/2))", "x", {"pi_1": 0.3, "x": np.array([-60.0, 0.1, 60.0])}),
    ]  # fmt: skip
