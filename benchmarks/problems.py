"""The derivatives that are timed: each as a text, as a function in torch and JAX, and as closed forms by hand.

Every derivative has torch's axis order.  Of several closed forms the fastest at a size is the measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Arrays = Mapping[str, Any]
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Problem:
    """One derivative; `sizes` gives the numbers for each letter, `points` what the values are drawn from."""

    name: str
    text: str
    wrt: str
    shapes: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, tuple[int, int, int]]
    function: Callable[[Any, Arrays], Any]
    numpy: tuple[Callable[..., Any], ...]
    torch: tuple[Callable[..., Any], ...]
    order: int = 1
    assume: Mapping[str, str] = field(default_factory=dict)

    def size(self, which: str) -> dict[str, int]:
        """Return the number for each letter."""
        return {letter: numbers[SIZES.index(which)] for letter, numbers in self.sizes.items()}


def _sigmoid(np: Any, z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _softmax(np: Any, z: Any) -> Any:
    raised = np.exp(z - z.max())
    return raised / raised.sum()


# --- closed forms in NumPy ----------------------------------------------------------------------------------


def _logistic(np: Any, X: Any, w: Any, y: Any) -> Any:
    s = _sigmoid(np, X @ w)
    return (X.T * (s * (1 - s))) @ X


def _factorisation(np: Any, U: Any, V: Any, M: Any) -> Any:
    m, r = U.shape
    T = np.zeros((m, r, m, r))
    places = np.arange(m)
    T[places, :, places, :] = 2 * (V.T @ V)
    return T


def _factorisation_view(np: Any, U: Any, V: Any, M: Any) -> Any:
    m, r = U.shape
    T = np.zeros((m, r, m, r))
    np.einsum("abad->abd", T)[...] = 2 * (V.T @ V)
    return T


def _inverse(np: Any, X: Any) -> Any:
    R = np.linalg.inv(X)
    return np.einsum("ia,bj->ijab", -R, R)


def _inverse_broadcast(np: Any, X: Any) -> Any:
    R = np.linalg.inv(X)
    T = R.T.copy()
    return (-R)[:, None, :, None] * T[None, :, None, :]


def _two_sided(np: Any, A: Any, X: Any, B: Any) -> Any:
    return np.einsum("ia,bj->ijab", A, B)


def _two_sided_broadcast(np: Any, A: Any, X: Any, B: Any) -> Any:
    return A[:, None, :, None] * B.T.copy()[None, :, None, :]


def _softmax_jacobian(np: Any, A: Any, x: Any) -> Any:
    p = _softmax(np, A @ x)
    return p[:, None] * (A - p @ A)


def _layer_norm(np: Any, x: Any) -> Any:
    n = len(x)
    centred = x - x.mean()
    scale = 1 / np.sqrt(centred @ centred / n + 1e-5)
    normed = centred * scale
    J = np.outer(normed * (-scale / n), normed)
    J -= scale / n
    J.flat[:: n + 1] += scale
    return J


def _layer_norm_outer(np: Any, x: Any) -> Any:
    n = len(x)
    centred = x - x.mean()
    scale = 1 / np.sqrt(centred @ centred / n + 1e-5)
    J = np.outer(centred * (-(scale**3) / n), centred) - scale / n
    J.flat[:: n + 1] += scale
    return J


def _quadratic(np: Any, A: Any, x: Any) -> Any:
    return A + A.T


def _logsumexp(np: Any, A: Any, x: Any) -> Any:
    p = _softmax(np, A @ x)
    mean = p @ A
    return (A.T * p) @ A - np.outer(mean, mean)


def _logsumexp_centred(np: Any, A: Any, x: Any) -> Any:
    p = _softmax(np, A @ x)
    return A.T @ (p[:, None] * (A - p @ A))


def _network_by_weights(np: Any, W: Any, V: Any, x: Any, y: Any) -> Any:
    h = np.tanh(W @ x)
    r = V @ h - y
    d = 1 - h * h
    M = (V * (2 * d)).T @ (V * d)
    M.flat[:: len(M) + 1] -= 4 * h * d * (V.T @ r)
    return M[:, None, :, None] * np.outer(x, x)[None, :, None, :]


def _network_by_input(np: Any, W: Any, V: Any, x: Any, y: Any) -> Any:
    h = np.tanh(W @ x)
    r = V @ h - y
    d = 1 - h * h
    J = (V * d) @ W
    return (2 * J).T @ J - (W.T * (4 * h * d * (V.T @ r))) @ W


def _network_by_input_inside(np: Any, W: Any, V: Any, x: Any, y: Any) -> Any:
    h = np.tanh(W @ x)
    r = V @ h - y
    d = 1 - h * h
    J = (V * d) @ W
    return 2 * (J.T @ J) - W.T @ ((4 * h * d * (V.T @ r))[:, None] * W)


def _batched(np: Any, X: Any, W: Any, V: Any, Y: Any) -> Any:
    H = np.tanh(X @ W)
    R = H @ V - Y
    return X.T @ ((1 - H * H) * (R @ (2 * V).T))


def _logdet(np: Any, X: Any) -> Any:
    return X @ (2 * np.linalg.inv(X.T @ X))


def _logdet_solve(np: Any, X: Any) -> Any:
    return np.linalg.solve(X.T @ X, (2 * X).T).T


def _gaussian(np: Any, S: Any, x: Any, mu: Any) -> Any:
    R = np.linalg.inv(S)
    u = R @ (x - mu)
    return np.outer(u / 2, u) - R / 2


# --- closed forms in torch ----------------------------------------------------------------------------------


def _factorisation_torch(torch: Any, U: Any, V: Any, M: Any) -> Any:
    m, r = U.shape
    T = U.new_zeros((m, r, m, r))
    T.diagonal(dim1=0, dim2=2).copy_((2 * (V.T @ V))[:, :, None])
    return T


def _inverse_torch(torch: Any, X: Any) -> Any:
    R = torch.linalg.inv(X)
    return (-R)[:, None, :, None] * R.T.contiguous()[None, :, None, :]


def _two_sided_torch(torch: Any, A: Any, X: Any, B: Any) -> Any:
    return A[:, None, :, None] * B.T.contiguous()[None, :, None, :]


def _softmax_jacobian_torch(torch: Any, A: Any, x: Any) -> Any:
    p = torch.softmax(A @ x, 0)
    return p[:, None] * (A - p @ A)


def _layer_norm_torch(torch: Any, x: Any) -> Any:
    n = len(x)
    centred = x - x.mean()
    scale = 1 / torch.sqrt(centred @ centred / n + 1e-5)
    J = torch.outer(centred * (-(scale**3) / n), centred)
    J -= scale / n
    J.diagonal().add_(scale)
    return J


def _logsumexp_torch(torch: Any, A: Any, x: Any) -> Any:
    p = torch.softmax(A @ x, 0)
    return A.T @ (p[:, None] * (A - p @ A))


def _logistic_torch(torch: Any, X: Any, w: Any, y: Any) -> Any:
    s = torch.sigmoid(X @ w)
    return (X.T * (s * (1 - s))) @ X


def _network_by_weights_torch(torch: Any, W: Any, V: Any, x: Any, y: Any) -> Any:
    h = torch.tanh(W @ x)
    r = V @ h - y
    d = 1 - h * h
    M = (V * (2 * d)).T @ (V * d)
    M.diagonal().sub_(4 * h * d * (V.T @ r))
    return M[:, None, :, None] * torch.outer(x, x)[None, :, None, :]


def _network_by_input_torch(torch: Any, W: Any, V: Any, x: Any, y: Any) -> Any:
    h = torch.tanh(W @ x)
    r = V @ h - y
    d = 1 - h * h
    J = (V * d) @ W
    return (2 * J).T @ J - (W.T * (4 * h * d * (V.T @ r))) @ W


def _batched_torch(torch: Any, X: Any, W: Any, V: Any, Y: Any) -> Any:
    H = torch.tanh(X @ W)
    return X.T @ ((1 - H * H) * ((H @ V - Y) @ (2 * V).T))


def _logdet_torch(torch: Any, X: Any) -> Any:
    return torch.cholesky_solve((2 * X).T, torch.linalg.cholesky(X.T @ X)).T


def _logdet_inverse_torch(torch: Any, X: Any) -> Any:
    return X @ (2 * torch.cholesky_inverse(torch.linalg.cholesky(X.T @ X)))


def _gaussian_torch(torch: Any, S: Any, x: Any, mu: Any) -> Any:
    R = torch.cholesky_inverse(torch.linalg.cholesky(S))
    u = R @ (x - mu)
    return torch.outer(u / 2, u) - R / 2


def _gaussian_inverse_torch(torch: Any, S: Any, x: Any, mu: Any) -> Any:
    R = torch.linalg.inv(S)
    u = R @ (x - mu)
    return torch.outer(u / 2, u) - R / 2


# --- the functions, for automatic differentiation -------------------------------------------------------------
#
# `np` is torch or jax.numpy, `v` the values of all variables.


def _layer_norm_function(np: Any, v: Arrays) -> Any:
    centred = v["x"] - v["x"].mean()
    return centred / np.sqrt((centred**2).mean() + 1e-5)


def _softmax_function(np: Any, v: Arrays) -> Any:
    raised = np.exp(v["A"] @ v["x"] - (v["A"] @ v["x"]).max())
    return raised / raised.sum()


def _logsumexp_function(np: Any, v: Arrays) -> Any:
    z = v["A"] @ v["x"]
    return np.log(np.exp(z - z.max()).sum()) + z.max()


def _gaussian_function(np: Any, v: Arrays) -> Any:
    r = v["x"] - v["mu"]
    return -np.linalg.slogdet(v["S"])[1] / 2 - r @ np.linalg.inv(v["S"]) @ r / 2


_NET = {"W": ("p", "n"), "V": ("m", "p"), "x": ("n",), "y": ("m",)}

PROBLEMS = (
    Problem(
        "logistic regression, Hessian", "sum(softplus(X @ w)) - y.T @ X @ w", "w",
        {"X": ("m", "n"), "w": ("n",), "y": ("m",)}, {"m": (20, 400, 4000), "n": (5, 60, 300)},
        lambda np, v: np.log(1 + np.exp(v["X"] @ v["w"])).sum() - v["y"] @ v["X"] @ v["w"],
        (_logistic,), (_logistic_torch,), 2,
    ),
    Problem(
        "matrix factorisation, Hessian by U", "norm(U @ V.T - M)**2", "U",
        {"U": ("m", "r"), "V": ("n", "r"), "M": ("m", "n")},
        {"m": (6, 40, 200), "n": (5, 60, 300), "r": (3, 8, 12)},
        lambda np, v: ((v["U"] @ v["V"].T - v["M"]) ** 2).sum(),
        (_factorisation, _factorisation_view), (_factorisation_torch,), 2,
    ),
    Problem(
        "inv(X), Jacobian", "inv(X)", "X", {"X": ("n", "n")}, {"n": (4, 20, 50)},
        lambda np, v: np.linalg.inv(v["X"]), (_inverse, _inverse_broadcast), (_inverse_torch,),
    ),
    Problem(
        "A @ X @ B, Jacobian", "A @ X @ B", "X", {"A": ("m", "n"), "X": ("n", "k"), "B": ("k", "l")},
        {"m": (4, 20, 48), "n": (3, 22, 50), "k": (5, 24, 52), "l": (6, 18, 46)},
        lambda np, v: v["A"] @ v["X"] @ v["B"], (_two_sided, _two_sided_broadcast), (_two_sided_torch,),
    ),
    Problem(
        "softmax(A @ x), Jacobian", "softmax(A @ x)", "x", {"A": ("m", "n"), "x": ("n",)},
        {"m": (8, 200, 1500), "n": (6, 150, 1200)}, _softmax_function, (_softmax_jacobian,), (_softmax_jacobian_torch,),
    ),
    Problem(
        "layer_norm(x), Jacobian", "layer_norm(x)", "x", {"x": ("n",)}, {"n": (10, 200, 1500)},
        _layer_norm_function, (_layer_norm, _layer_norm_outer), (_layer_norm_torch,),
    ),
    Problem(
        "x.T @ A @ x, Hessian", "x.T @ A @ x", "x", {"A": ("n", "n"), "x": ("n",)}, {"n": (8, 200, 1500)},
        lambda np, v: v["x"] @ v["A"] @ v["x"], (_quadratic,), (_quadratic,), 2,
    ),
    Problem(
        "logsumexp(A @ x), Hessian", "logsumexp(A @ x)", "x", {"A": ("m", "n"), "x": ("n",)},
        {"m": (8, 200, 1500), "n": (6, 150, 600)}, _logsumexp_function,
        (_logsumexp, _logsumexp_centred), (_logsumexp_torch,), 2,
    ),
    Problem(
        "two layers, Hessian by W", "norm(V @ tanh(W @ x) - y)**2", "W", _NET,
        {"p": (4, 20, 60), "n": (5, 24, 50), "m": (3, 10, 20)},
        lambda np, v: ((v["V"] @ np.tanh(v["W"] @ v["x"]) - v["y"]) ** 2).sum(),
        (_network_by_weights,), (_network_by_weights_torch,), 2,
    ),
    Problem(
        "two layers, Hessian by x", "norm(V @ tanh(W @ x) - y)**2", "x", _NET,
        {"p": (8, 150, 800), "n": (6, 100, 500), "m": (3, 40, 200)},
        lambda np, v: ((v["V"] @ np.tanh(v["W"] @ v["x"]) - v["y"]) ** 2).sum(),
        (_network_by_input, _network_by_input_inside), (_network_by_input_torch,), 2,
    ),
    Problem(
        "batched network, gradient by W", "norm(tanh(X @ W) @ V - Y)**2", "W",
        {"X": ("m", "n"), "W": ("n", "k"), "V": ("k", "l"), "Y": ("m", "l")},
        {"m": (8, 128, 1000), "n": (5, 64, 400), "k": (4, 48, 300), "l": (3, 10, 50)},
        lambda np, v: ((np.tanh(v["X"] @ v["W"]) @ v["V"] - v["Y"]) ** 2).sum(), (_batched,), (_batched_torch,),
    ),
    Problem(
        "logdet(X.T @ X), gradient", "logdet(X.T @ X)", "X", {"X": ("m", "n")},
        {"m": (8, 200, 1500), "n": (4, 60, 300)},
        lambda np, v: np.linalg.slogdet(v["X"].T @ v["X"])[1], (_logdet, _logdet_solve),
        (_logdet_torch, _logdet_inverse_torch),
    ),
    Problem(
        "Gaussian likelihood, gradient by S", "-logdet(S)/2 - (x - mu).T @ inv(S) @ (x - mu)/2", "S",
        {"S": ("n", "n"), "x": ("n",), "mu": ("n",)}, {"n": (5, 80, 500)}, _gaussian_function,
        (_gaussian,), (_gaussian_torch, _gaussian_inverse_torch), 1, {"S": "posdef"},
    ),
)  # fmt: skip
