"""Functions that a backend lacks, as source that is written above the code which calls them.

The sources of NumPy and JAX are the same but for words in braces.  `axis` is None for all entries together.
"""

from __future__ import annotations

from matcalc.rule_files import shipped_rules

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
    "elu": '''
def elu(x):
    """x where positive, exp(x) - 1 elsewhere."""
    return {np}.where(x > 0, x, {np}.expm1({np}.minimum(x, 0)))
''',
    "erf": '''
def erf(x):
    """The error function."""
    return {np}.vectorize(math.erf, otypes=[float])(x)
''',
    "expm": '''
def expm(X):
    """The exponential of a matrix, by halving it, its power series, and squaring."""
    halvings = max(0, math.ceil(math.log2(max({np}.linalg.norm(X, 1), 1e-300))) + 3)
    scaled = X / 2**halvings
    result = term = {np}.eye(len(X))
    for k in range(1, 19):
        term = term @ scaled / k
        result = result + term
    return {np}.linalg.matrix_power(result, 2**halvings)
''',
    "expm_jacobian": '''
def expm_jacobian(X):
    """The derivative of expm(X) by X, (n, n, n, n): a corner of expm([[X, E], [0, X]]) for each unit matrix E."""
    n = len(X)
    units = {np}.eye(n * n).reshape(n * n, n, n)
    blocks = [{np}.block([[X, unit], [{np}.zeros((n, n)), X]]) for unit in units]
    corners = {np}.stack([{expm}(block)[:n, n:] for block in blocks])
    return {np}.transpose(corners.reshape(n, n, n, n), (2, 3, 0, 1))
''',
    "gelu": '''
def gelu(x):
    """x times the normal distribution function."""
    return x * (1 + {erf}(x / {np}.sqrt(2))) / 2
''',
    "largest": '''
def largest(x, axis=None):
    """1 at the largest entry, shared by equal ones, 0 elsewhere."""
    chosen = {np}.where(x >= {np}.max(x, axis=axis, keepdims=True), 1.0, 0.0)
    return chosen / {np}.sum(chosen, axis=axis, keepdims=True)
''',
    "layer_norm": '''
def layer_norm(x, axis=None):
    """(x - mean)/sqrt(variance + 1e-5)."""
    centred = x - {np}.mean(x, axis=axis, keepdims=True)
    return centred / {np}.sqrt({np}.mean(centred**2, axis=axis, keepdims=True) + 1e-5)
''',
    "leading_outer": '''
def leading_outer(X):
    """u @ v.T of the singular vectors of the largest singular value."""
    left, _, right = {np}.linalg.svd(X, full_matrices=False)
    return {np}.outer(left[:, 0], right[0])
''',
    "leaky_relu": '''
def leaky_relu(x, slope=0.01):
    """x where positive, slope*x elsewhere."""
    return {np}.where(x > 0, x, slope * x)
''',
    "log_softmax": '''
def log_softmax(x, axis=None):
    """The logarithm of softmax."""
    shifted = x - {np}.max(x, axis=axis, keepdims=True)
    return shifted - {np}.log({np}.sum({np}.exp(shifted), axis=axis, keepdims=True))
''',
    "logdet": '''
def logdet(X):
    """The logarithm of the determinant, nan where that is negative."""
    sign, value = {np}.linalg.slogdet(X)
    return {np}.where(sign > 0, value, {np}.nan)
''',
    "logsumexp": '''
def logsumexp(x, axis=None):
    """log(sum(exp(x))) without overflow."""
    top = {np}.max(x, axis=axis, keepdims=True)
    return {np}.squeeze(top, axis=axis) + {np}.log({np}.sum({np}.exp(x - top), axis=axis))
''',
    "norm_p": '''
def p_norm(x, p):
    """(|x1|**p + ... + |xn|**p)**(1/p)."""
    return {np}.sum({np}.abs(x) ** p) ** (1 / p)
''',
    "polar": '''
def polar(X):
    """U @ V.T of the thin singular value decomposition."""
    left, _, right = {np}.linalg.svd(X, full_matrices=False)
    return left @ right
''',
    "relu": '''
def relu(x):
    """x where positive, 0 elsewhere."""
    return {np}.maximum(x, 0)
''',
    "sigmoid": '''
def sigmoid(x):
    """1/(1 + exp(-x)) without overflow."""
    return {np}.exp(-{np}.logaddexp(0, -x))
''',
    "silu": '''
def silu(x):
    """x*sigmoid(x)."""
    return x * {np}.exp(-{np}.logaddexp(0, -x))
''',
    "smallest": '''
def smallest(x, axis=None):
    """1 at the smallest entry, shared by equal ones, 0 elsewhere."""
    return largest(-x, axis)
''',
    "softmax": '''
def softmax(x, axis=None):
    """exp(x)/sum(exp(x)) without overflow."""
    exponentials = {np}.exp(x - {np}.max(x, axis=axis, keepdims=True))
    return exponentials / {np}.sum(exponentials, axis=axis, keepdims=True)
''',
    "softplus": '''
def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return {np}.logaddexp(x, 0)
''',
    "sqrtm": '''
def sqrtm(X):
    """The principal square root of a matrix, by Newton's iteration of Denman and Beavers."""
    root, inverse = X, {np}.eye(len(X))
    for _ in range(30):
        root, inverse = (root + {np}.linalg.inv(inverse)) / 2, (inverse + {np}.linalg.inv(root)) / 2
    return root
''',
    "sqrtm_jacobian": '''
def sqrtm_jacobian(X):
    """The derivative of S = sqrtm(X) by X, (n, n, n, n), from S @ dS + dS @ S = dX."""
    n, root = len(X), sqrtm(X)
    both_sides = {np}.kron(root, {np}.eye(n)) + {np}.kron({np}.eye(n), root.T)
    return {np}.linalg.inv(both_sides).reshape(n, n, n, n)
''',
}
_TORCH = {
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
    "layer_norm": '''
def layer_norm(x, dim=()):
    """(x - mean)/sqrt(variance + 1e-5)."""
    centred = x - torch.mean(x, dim=dim, keepdim=True)
    return centred / torch.sqrt(torch.mean(centred**2, dim=dim, keepdim=True) + 1e-5)
''',
    "leading_outer": '''
def leading_outer(X):
    """u @ v.T of the singular vectors of the largest singular value."""
    left, _, right = torch.linalg.svd(X, full_matrices=False)
    return torch.outer(left[:, 0], right[0])
''',
    "leaky_relu_slope": '''
def leaky_relu(x, slope=0.01):
    """x where positive, slope*x elsewhere."""
    return torch.where(x > 0, x, slope * x)
''',
    "norm_p": '''
def p_norm(x, p):
    """(|x1|**p + ... + |xn|**p)**(1/p)."""
    return torch.sum(torch.abs(x) ** p) ** (1 / p)
''',
    "polar": '''
def polar(X):
    """U @ V.T of the thin singular value decomposition."""
    left, _, right = torch.linalg.svd(X, full_matrices=False)
    return left @ right
''',
    "smallest": '''
def smallest(x, dim=()):
    """1 at the smallest entry, shared by equal ones, 0 elsewhere."""
    return largest(-x, dim)
''',
    "softmax_of_all": '''
def softmax(x):
    """exp(x)/sum(exp(x)) of all entries together."""
    return torch.softmax(x.flatten(), dim=0).reshape(x.shape)
''',
    "log_softmax_of_all": '''
def log_softmax(x):
    """The logarithm of softmax, of all entries together."""
    return torch.log_softmax(x.flatten(), dim=0).reshape(x.shape)
''',
    "softplus": '''
def softplus(x):
    """log(1 + exp(x)); torch.nn.functional.softplus is rounded above 20."""
    return torch.logaddexp(x, torch.zeros_like(x))
''',
    "sqrtm": '''
def sqrtm(X):
    """The principal square root of a matrix, by Newton's iteration of Denman and Beavers."""
    root, inverse = X, torch.eye(len(X), dtype=X.dtype, device=X.device)
    for _ in range(30):
        root, inverse = (root + torch.linalg.inv(inverse)) / 2, (inverse + torch.linalg.inv(root)) / 2
    return root
''',
    "sqrtm_jacobian": '''
def sqrtm_jacobian(X):
    """The derivative of S = sqrtm(X) by X, (n, n, n, n), from S @ dS + dS @ S = dX."""
    n, root = len(X), sqrtm(X)
    eye = torch.eye(n, dtype=X.dtype, device=X.device)
    both_sides = torch.kron(root, eye) + torch.kron(eye, root.T.contiguous())
    return torch.linalg.inv(both_sides).reshape(n, n, n, n)
''',
}
_WORDS = {
    "numpy": {"np": "np", "erf": "erf", "expm": "expm"},
    "jax": {"np": "jnp", "erf": "jax.scipy.special.erf", "expm": "jax.scipy.linalg.expm"},
}
_NEEDED = {"gelu": ("erf",), "smallest": ("largest",), "expm_jacobian": ("expm",), "sqrtm_jacobian": ("sqrtm",)}
_JAX_HAS = {"gelu": ("jax.scipy.special",), "expm_jacobian": ("jax.scipy.linalg",)}
_NUMPY_USES = dict.fromkeys(("erf", "gelu", "expm", "expm_jacobian"), ("math",))
_TORCH_USES = {"differentiate": ("functools",)}
_SAME = {"leaky_relu_slope": "leaky_relu"}


def find_helper(name: str, backend: str) -> str | None:
    """Return the entry whose source defines a rule's function for a backend, None where there is none.

    Only shipped rules have one: a reader's rule called [differentiate] is not the helper of that name.

    >>> find_helper("leaky_relu_slope", "numpy"), find_helper("exp", "numpy"), find_helper("differentiate", "numpy")
    ('leaky_relu', None, None)
    """
    if name not in shipped_rules():
        return None
    sources = _list_sources(backend)
    return name if name in sources else _SAME.get(name) if _SAME.get(name) in sources else None


def list_needed(entry: str, backend: str) -> list[str]:
    """Return an entry after those that it calls."""
    needed = () if backend == "jax" and entry in _JAX_HAS else _NEEDED.get(entry, ())
    return [name for name in (*needed, entry) if name in _list_sources(backend)]


def list_modules(entry: str, backend: str) -> list[str]:
    """Return the modules that an entry's source uses besides the backend's own."""
    return list({"numpy": _NUMPY_USES, "torch": _TORCH_USES, "jax": _JAX_HAS}[backend].get(entry, ()))


def name_helper(entry: str, backend: str) -> str:
    """Return the name that an entry's source defines.

    >>> name_helper("norm_p", "torch")
    'p_norm'
    """
    return _list_sources(backend)[entry].split("def ", 1)[1].split("(", 1)[0]


def write_helper(entry: str, backend: str) -> str:
    """Return the source of an entry."""
    source = _list_sources(backend)[entry].strip("\n")
    return source if backend == "torch" else source.format(**_WORDS[backend])


def _list_sources(backend: str) -> dict[str, str]:
    return _TORCH if backend == "torch" else _ARRAYS
