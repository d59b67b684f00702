"""The examples of the explorer: expressions of a course, each with the variable of interest."""

from __future__ import annotations

FIRST_EXPRESSION = "norm(A@x - b)**2"
EXAMPLES: dict[str, tuple[str, str]] = {
    "linear map": ("A @ x", "x"),
    "quadratic form": ("x.T @ A @ x", "x"),
    "least squares": (FIRST_EXPRESSION, "x"),
    "ridge regression": ("norm(X@w - y)**2 + lambda*norm(w)**2", "w"),
    "mean squared error": ("mean((X@w - y)**2)", "w"),
    "logistic loss": ("sum(log(1 + exp(-y*(X@w))))", "w"),
    "softmax": ("softmax(x)", "x"),
    "cross entropy of a layer": ("cross_entropy(W@x, y)", "W"),
    "log determinant": ("logdet(X)", "X"),
    "matrix by matrix": ("A @ X @ B", "X"),
    "layer normalisation": ("layer_norm(x)", "x"),
    "two-layer network": ("norm(W_2 @ relu(W_1 @ x + b) - y)**2", "W_1"),
    "with a definition": ("p = softmax(A @ x); -log(p).T @ y", "x"),
}
