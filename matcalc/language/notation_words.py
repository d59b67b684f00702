"""The words of mathematical notation: what functions, modules and names are called, and what is no name."""

from __future__ import annotations

from matcalc.language.names import GREEK

# Functions that notation calls otherwise than the language, by their name in small letters.
FUNCTION_WORDS = {
    "tr": "trace", "ln": "log", "sgn": "sign", "logistic": "sigmoid", "asin": "arcsin", "acos": "arccos",
    "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "inverse": "inv", "lse": "logsumexp",
    "vect": "vec", "lndet": "logdet", "determinant": "det", "diagonal": "diag", "logsoftmax": "log_softmax",
    "average": "mean", "kronecker": "kron", "diagmat": "diag", "exponential": "exp", "identity": "eye",
    "vector": "ones_or_zeros", "matrix": "ones_or_zeros", "adjoint": "transpose", "mm": "matmul", "absolute": "abs",
    "fabs": "abs", "squared": "square", "swish": "silu", "mtimes": "matmul", "times": "hadamard", "mldivide": "solve",
    "layernorm": "layer_norm", "batchnorm": "batch_norm", "crossentropy": "cross_entropy",
    "length": "size", "numel": "size", "len": "size", "multiply": "hadamard", "pow": "power",
    "spur": "trace", "Sp": "trace", "total": "sum", "matrixexp": "expm", "kroneckerproduct": "kron",
    "conjugatetranspose": "transpose", "linearsolve": "solve", "pseudoinverse": "pinv", "identitymatrix": "eye",
    "diagonalmatrix": "diag", "ramp": "relu", "logisticsigmoid": "sigmoid", "matrixpower": "matrix_power",
    "abs2": "square", "sumsquares": "sum_squares", "log_sum_exp": "logsumexp", "log_det": "logdet",
    **{name: name for name in ("norm1", "norm2", "transpose", "hadamard", "ones", "zeros", "eye", "power", "inner",
                               "matmul", "einsum", "dot", "size", "crossprod", "tcrossprod", "quad_form",
                               "sum_squares")},
}  # fmt: skip
# What stands behind a call that gives several arrays, and the function that it is.
PARTS_OF_CALLS = {
    "slogdet": {"1": "logabsdet", "logabsdet": "logabsdet"}, "svd": {"1": "svdvals", "S": "svdvals"},
    "eigh": {"0": "eigvalsh", "1": "eigvecsh", "eigenvalues": "eigvalsh", "eigenvectors": "eigvecsh"},
}  # fmt: skip


def find_part(function: str, part: str) -> str | None:
    """Return the function that a part of a call is, None for no such part.

    >>> find_part("np.linalg.eigh", "0"), find_part("exp", "0")
    ('eigvalsh', None)
    """
    return PARTS_OF_CALLS.get(function.rpartition(".")[2], {}).get(part)


# Names that formulas spell out and that are no product of letters.
NAME_WORDS = frozenset(
    """lam eps reg lr tol mu nu xi pi sig gam alp bet del tau phi psi chi rho eta loss err res obs out pred target
    targets inputs input weights weight bias logits data noise cov prior post temp scale shift hat wd kappa
    zeta""".split()
)
MODULES = frozenset(
    "np numpy torch jnp jax F nn scipy sp tf math linalg LA la numpy.linalg functional special cp cvxpy".split()
)
GREEK_LETTERS = GREEK | {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"}
TRANSPOSES = frozenset({"T", "⊤", "t", "'", "tr", "⊺", "H", "top", "transpose", "prime", "*T"})

# The norms that are told by a word before "norm".
NORM_WORDS = {"frobenius": "fro", "nuclear": "*", "euclidean": "2", "l1": "1", "l2": "2"}

INFIX_WORDS = {
    "kron": "kron", "otimes": "kron", "odot": "hadamard", "hadamard": "hadamard", "circ": "hadamard", "o": "hadamard",
    "dot": "dot_sign", "cdot": "dot_sign", "times": "cross_sign",
}  # fmt: skip
NORMS = frozenset({"1", "2", "f", "fro", "nuc", "*", "op"})
# Words of English and of Python that are no product of letters.
KEYWORDS = frozenset("if is in or as not and for else del def try of to the".split())
# Words of a question that are no name in mathematics, as hidden and weights are.
QUESTION_WORDS = frozenset(
    """compute calculate differentiate derive derivative gradient jacobian hessian find evaluate determine respect with
    transpose transposed inverse by where when please help here what how answer solve given let such that matrix vector
    scalar function symmetric over under argmax argmin""".split()
)
# Words of functions that are names where no bracket follows.
CALLED_WORDS = frozenset("vector matrix inner power size length times total ramp Sp".split())
INVERTIBLE = frozenset("sin cos tan sinh cosh tanh".split())
# Letters that stand for functions where a bracket follows at once.
# Letters of which f'(x) is more likely the derivative than a product.
DERIVED_LETTERS = frozenset("f g h σ φ ϕ ψ sigma phi psi varphi".split())
FUNCTION_LETTERS = frozenset("f g h u φ ϕ ψ phi psi varphi".split())
