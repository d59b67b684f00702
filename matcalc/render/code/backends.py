"""Functions that a backend lacks and that no definition states, as source that is written above the code.

The sources of NumPy and JAX, and some of torch, are the same but for words in braces.  `axis` is None for all entries
together.
"""

from __future__ import annotations

import re

_EVERYWHERE = {
    "adjugate": '''
def adjugate(X):
    """The transpose of the cofactors of X, det(X)*inv(X) where X is invertible."""
    left, values, right = {np}.linalg.svd(X)
    sign = {np}.linalg.det(left) * {np}.linalg.det(right)
    return sign * (right.T * prod_others(values)) @ left.T
''',
    "adjugate_jacobian": '''
def adjugate_jacobian(X):
    """The derivative of adjugate(X) by X, (n, n, n, n), from that of diag(s) in the singular value decomposition."""
    left, values, right = {np}.linalg.svd(X)
    sign, pairs = {np}.linalg.det(left) * {np}.linalg.det(right), prod_pairs(values)
    along = {np}.einsum("pi,jp,pc,ac,cb->ijab", right, left, pairs, left, right)
    across = {np}.einsum("pi,jq,pq,ap,qb->ijab", right, left, pairs, left, right)
    return sign * (along - across)
''',
    "prod_pairs": '''
def prod_pairs(x):
    """[i,j], the product of all entries of x but those two, 0 on the diagonal."""
    diagonal = {eye_of_x} == 1
    return {np}.where(diagonal, 0.0, prod_others({np}.where(diagonal, 1.0, x), 1))
''',
    "prod_pairs_of_rows": '''
def prod_pairs_of_rows(X):
    """[i,j,k], the product of all entries of row i but those two, 0 where j = k."""
    return {np}.stack([prod_pairs(row) for row in X])
''',
    "leading_outer": '''
def leading_outer(X):
    """u @ v.T of the singular vectors of the largest singular value."""
    left, _, right = {np}.linalg.svd(X, full_matrices=False)
    return {np}.outer(left[:, 0], right[0])
''',
    "polar": '''
def polar(X):
    """U @ V.T of the thin singular value decomposition."""
    left, _, right = {np}.linalg.svd(X, full_matrices=False)
    return left @ right
''',
    "sqrtm": '''
def sqrtm(X):
    """The principal square root of a matrix, by Newton's iteration of Denman and Beavers."""
    n = len(X)
    root, inverse = X, {eye}
    for _ in range(30):
        root, inverse = (root + {np}.linalg.inv(inverse)) / 2, (inverse + {np}.linalg.inv(root)) / 2
    return root
''',
    "sqrtm_jacobian": '''
def sqrtm_jacobian(X):
    """The derivative of S = sqrtm(X) by X, (n, n, n, n), from S @ dS + dS @ S = dX."""
    n, root = len(X), sqrtm(X)
    eye = {eye}
    both_sides = {np}.kron(root, eye) + {np}.kron(eye, root.T{contiguous})
    return {np}.linalg.inv(both_sides).reshape(n, n, n, n)
''',
}
_ARRAYS = {
    "differentiate": '''
def differentiate(function, at, order=1):
    """Return the derivative in numerator layout: the axes of the value, then for each order those of `at` reversed."""
    derivative = function
    for _ in range(order):
        derivative = jax.jacobian(derivative)
    tensor, rank = derivative(at), jnp.ndim(at)
    first = tensor.ndim - order * rank
    blocks = [range(start, start + rank) for start in range(first, tensor.ndim, rank or 1)]
    return jnp.transpose(tensor, [*range(first), *(axis for block in blocks for axis in reversed(block))])
''',
    "erf": '''
def erf(x):
    """The error function."""
    return {np}.fromiter(map(math.erf, {np}.ravel(x).tolist()), x.dtype, x.size).reshape(x.shape)
''',
    "expm": '''
def expm(X):
    """The exponential of a matrix, by halving it, its power series, and squaring."""
    halvings = max(0, math.ceil(math.log2(max({np}.linalg.norm(X, 1), 1e-300))) + 3)
    scaled = X / 2**halvings
    result = term = {np}.eye(len(X), dtype=X.dtype)
    for k in range(1, 19):
        term = term @ scaled / k
        result = result + term
    return {np}.linalg.matrix_power(result, 2**halvings)
''',
    "expm_jacobian": '''
def expm_jacobian(X):
    """The derivative of expm(X) by X, (n, n, n, n): a corner of expm([[X, E], [0, X]]) for each unit matrix E."""
    n = len(X)
    units = {np}.eye(n * n, dtype=X.dtype).reshape(n * n, n, n)
    blocks = [{np}.block([[X, unit], [{np}.zeros((n, n), X.dtype), X]]) for unit in units]
    corners = {np}.stack([{expm}(block)[:n, n:] for block in blocks])
    return {np}.transpose(corners.reshape(n, n, n, n), (2, 3, 0, 1))
''',
    "largest": '''
def largest(x, axis=None):
    """1 at the largest entry, shared by equal ones, 0 elsewhere."""
    chosen = (x >= {np}.max(x, axis=axis, keepdims=True)).astype(x.dtype)
    return chosen / {np}.sum(chosen, axis=axis, keepdims=True)
''',
    "prod_others": '''
def prod_others(x, axis=None):
    """For each entry the product of all others: 0 unless every 0 is the entry itself."""
    filled = {np}.where(x == 0, 1.0, x)
    others = {np}.sum(x == 0, axis=axis, keepdims=True) - (x == 0)
    return {np}.where(others == 0, {np}.prod(filled, axis=axis, keepdims=True) / filled, 0.0)
''',
    "logdet": '''
def logdet(X):
    """The logarithm of the determinant, nan where that is negative."""
    sign, value = {np}.linalg.slogdet(X)
    return {np}.where(sign > 0, value, {np}.nan)
''',
}
_NUMPY = {
    "softmax": '''
def softmax(x, axis=None):
    """exp(x)/sum(exp(x))"""
    shares = np.exp(x - x.max(axis=axis, keepdims=True))
    shares /= shares.sum(axis=axis, keepdims=True)
    return shares
''',
}
_TORCH = {
    "inverse_of_symmetric": '''
def inverse_of_symmetric(S):
    """The inverse of a symmetric matrix: by its Cholesky factor where it has one."""
    factor, failed = torch.linalg.cholesky_ex(S)
    return torch.linalg.inv(S) if failed else torch.cholesky_inverse(factor)
''',
    "solve_symmetric": '''
def solve_symmetric(S, B):
    """inv(S) @ B of a symmetric matrix: by its Cholesky factor where it has one."""
    factor, failed = torch.linalg.cholesky_ex(S)
    if failed:
        return torch.linalg.solve(S, B)
    return torch.cholesky_solve(B.reshape(len(S), -1), factor).reshape(B.shape)
''',
    "differentiate": '''
def differentiate(function, at, order=1):
    """Return the derivative in numerator layout: the axes of the value, then for each order those of `at` reversed."""
    derivative = function
    for _ in range(order):
        derivative = functools.partial(torch.autograd.functional.jacobian, derivative, create_graph=True)
    with torch.inference_mode(False):  # in inference mode every derivative is 0
        tensor = derivative(at.clone())
    rank = at.ndim
    first = tensor.ndim - order * rank
    blocks = [range(start, start + rank) for start in range(first, tensor.ndim, rank or 1)]
    return tensor.permute(*range(first), *(axis for block in blocks for axis in reversed(block)))
''',
    "expm_jacobian": '''
def expm_jacobian(X):
    """The derivative of expm(X) by X, (n, n, n, n): a corner of expm([[X, E], [0, X]]) for each unit matrix E."""
    n = len(X)
    units = torch.eye(n * n, dtype=X.dtype, device=X.device).reshape(n * n, n, n)
    copies = X.expand(n * n, n, n)
    blocks = torch.cat([torch.cat([copies, units], 2), torch.cat([torch.zeros_like(units), copies], 2)], 1)
    return torch.linalg.matrix_exp(blocks)[:, :n, n:].reshape(n, n, n, n).permute(2, 3, 0, 1)
''',
    "largest": '''
def largest(x, dim=()):
    """1 at the largest entry, shared by equal ones, 0 elsewhere."""
    chosen = (x >= torch.amax(x, dim=dim, keepdim=True)).to(x.dtype)
    return chosen / torch.sum(chosen, dim=dim, keepdim=True)
''',
    "prod_others": '''
def prod_others(x, dim=None):
    """For each entry the product of all others: 0 unless every 0 is the entry itself."""
    filled, zeros = torch.where(x == 0, 1.0, x), x == 0
    whole = torch.prod(filled) if dim is None else torch.prod(filled, dim=dim, keepdim=True)
    others = (torch.sum(zeros) if dim is None else torch.sum(zeros, dim=dim, keepdim=True)) - zeros.to(torch.int64)
    return torch.where(others == 0, whole / filled, 0.0)
''',
}
# What stands in the braces.
_WORDS = {
    "numpy": {"np": "np", "eye": "np.eye(n, dtype=X.dtype)", "contiguous": "", "expm": "expm",
              "eye_of_x": "np.eye(len(x))"},
    "jax": {"np": "jnp", "eye": "jnp.eye(n, dtype=X.dtype)", "contiguous": "", "expm": "jax.scipy.linalg.expm",
            "eye_of_x": "jnp.eye(len(x))"},
    "torch": {"np": "torch", "eye": "torch.eye(n, dtype=X.dtype, device=X.device)", "contiguous": ".contiguous()",
              "eye_of_x": "torch.eye(len(x), dtype=x.dtype, device=x.device)"},
}
_SOURCES = {"numpy": _EVERYWHERE | _ARRAYS | _NUMPY, "jax": _EVERYWHERE | _ARRAYS, "torch": _EVERYWHERE | _TORCH}
_MODULES = ("functools", "math", "jax.scipy.linalg")


def has_source(name: str, backend: str) -> bool:
    """Whether the source of a function stands here.

    >>> has_source("polar", "numpy"), has_source("exp", "numpy")
    (True, False)
    """
    return name in _SOURCES[backend]


def write_source(name: str, backend: str) -> str:
    """Return the source of a function."""
    return _SOURCES[backend][name].strip("\n").format(**_WORDS[backend])


def list_called(name: str, backend: str) -> list[str]:
    """Return a function after those of the functions here that it calls.

    >>> list_called("sqrtm_jacobian", "torch"), list_called("expm_jacobian", "jax")
    (['sqrtm', 'sqrtm_jacobian'], ['expm_jacobian'])
    """
    called = re.findall(r"(?<![\w.])(\w+)\(", write_source(name, backend).split('"""')[2])
    others = [other for other in called if other != name and has_source(other, backend)]
    return list(dict.fromkeys([*(each for other in others for each in list_called(other, backend)), name]))


def list_modules(name: str, backend: str) -> list[str]:
    """Return the modules that a function and those that it calls need besides the backend's own."""
    sources = [write_source(called, backend) for called in list_called(name, backend)]
    return [module for module in _MODULES if any(f"{module}." in source for source in sources)]
