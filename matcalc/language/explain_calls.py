"""What to write in place of a call that does not fit: other spellings, other libraries' habits."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection

from matcalc.errors import MissingRuleError
from matcalc.language import names as names
from matcalc.language.draft import Draft, Reading
from matcalc.rule_files import Rule

_Span = tuple[int, int]

# --- functions that are spelled otherwise, or that are formulas ---------------------------------------

_HUBER = "where(abs({0}) <= delta, {0}**2/2, delta*(abs({0}) - delta/2))"
_OTHER_NAMES = {
    "ln": "log({0})", "tr": "trace({0})", "inverse": "inv({0})", "pinverse": "pinv({0})", "transpose": "{0}.T",
    "sgn": "sign({0})",
    "power": "{0}**{1}", "pow": "{0}**{1}", "matmul": "{0} @ {1}", "mm": "{0} @ {1}", "mv": "{0} @ {1}",
    "multiply": "{0} * {1}", "mul": "{0} * {1}", "hadamard": "{0} * {1}", "divide": "{0} / {1}", "div": "{0} / {1}",
    "add": "{0} + {1}", "subtract": "{0} - {1}", "sub": "{0} - {1}", "negative": "-{0}", "neg": "-{0}",
    "slogdet": "logabsdet({0})", "determinant": "det({0})", "identity": "eye({0})",
    "fabs": "abs({0})", "absolute": "abs({0})", "swish": "silu({0})", "logistic": "sigmoid({0})",
    "clamp": "clip({0}, a, b)", "clamp_min": "maximum({0}, {1})", "clamp_max": "minimum({0}, {1})",
    "fmax": "maximum({0}, {1})", "fmin": "minimum({0}, {1})", "amax": "max({0})", "amin": "min({0})",
    "nansum": "sum({0})", "nanmean": "mean({0})", "nanprod": "prod({0})", "nanmax": "max({0})", "nanmin": "min({0})",
    "nanstd": "std({0})", "nanvar": "var({0})", "average": "mean({0})", "ptp": "max({0}) - min({0})",
    "matrix_exp": "expm({0})", "cbrt": "{0}**(1/3)", "exp10": "10**{0}", "hypot": "sqrt({0}**2 + {1}**2)",
    "frobenius": "norm({0})", "vector_norm": "norm({0})", "l2_norm": "norm({0})",
    "matrix_norm": "norm({0})", "inner": "dot({0}, {1})", "vdot": "dot({0}, {1})", "mse": "mean(({0} - {1})**2)",
    "rmse": "sqrt(mean(({0} - {1})**2))", "huber": _HUBER,
    "l1": "l1_loss({0}, {1})", "mae": "l1_loss({0}, {1})", "smooth_l1": "smooth_l1_loss({0}, {1})",
    "bce": "binary_cross_entropy({0}, {1})", "bce_loss": "binary_cross_entropy({0}, {1})",
    "bce_with_logits": "binary_cross_entropy_with_logits({0}, {1})", "kl_divergence": "kl_div({0}, {1})",
    "rel_entr": "xlogy({0}, {0}/{1})", "xlog1py": "xlogy({0}, 1 + {1})", "entropy": "sum(entr({0}))",
    "logcosh": "log(cosh({0}))",
    "hard_sigmoid": "hardsigmoid({0})", "hard_swish": "hardswish({0})", "hard_silu": "hardswish({0})",
    "hard_tanh": "hardtanh({0})", "soft_sign": "softsign({0})", "log_sigmoid": "logsigmoid({0})",
    "log_expit": "logsigmoid({0})", "logsoftmax": "log_softmax({0})", "softmin": "softmax(-{0})",
    "tanhshrink": "{0} - tanh({0})", "prelu": "leaky_relu({0}, {1})", "layernorm": "layer_norm({0})",
    "batchnorm": "batch_norm({0})", "rmsnorm": "rms_norm({0})", "diagonal": "diag({0})",
    "chol": "cholesky({0})", "potrf": "cholesky({0})", "eigmax": "lambda_max({0})", "eigmin": "lambda_min({0})",
    "max_eig": "lambda_max({0})", "min_eig": "lambda_min({0})", "eigenvalues": "eigvalsh({0})",
    "singular_values": "svdvals({0})", "sigma_max": "norm({0}, 2)", "spectral_norm": "norm({0}, 2)",
    "sigma_min": "min(svdvals({0}))", "nuclear_norm": "norm({0}, 'nuc')", "trace_norm": "norm({0}, 'nuc')",
    "frobenius_norm": "norm({0})", "condition_number": "cond({0})", "log_matrix": "logm({0})",
    "matrix_log": "logm({0})", "mpower": "matrix_power({0}, {1})", "mpow": "matrix_power({0}, {1})",
    "cofactor": "adj({0}).T", "hat_matrix": "{0} @ pinv({0})", "projection": "{0} @ pinv({0})",
    "multi_dot": "{0} @ {1}", "lstsq": "pinv({0}) @ {1}", "lsqminnorm": "pinv({0}) @ {1}",
    "solve_triangular": "solve({0}, {1})", "cho_solve": "solve({0} @ {0}.T, {1})",
    "cholesky_solve": "solve({1} @ {1}.T, {0})", "lu_solve": "solve({0}, {1})",
    "symmetrize": "sym({0})", "hat": "skew({0})", "commutator": "{0} @ {1} - {1} @ {0}",
    "anticommutator": "{0} @ {1} + {1} @ {0}", "wedge": "outer({0}, {1}) - outer({1}, {0})",
    "quad_form": "{0}.T @ {1} @ {0}", "quad_over_lin": "sum({0}**2)/{1}", "matrix_frac": "{0}.T @ inv({1}) @ {0}",
    "mahalanobis": "sqrt(({0} - {1}).T @ inv(A) @ ({0} - {1}))", "tr_inv": "trace(inv({0}))",
    "sum_squares": "sum({0}**2)", "sumsqr": "sum({0}**2)", "sse": "sum(({0} - {1})**2)",
    "norm_inf": "max(abs({0}))", "norm_fro": "norm({0})", "log_sum_exp": "logsumexp({0})", "log_det": "logdet({0})",
    "logmeanexp": "logsumexp({0}) - log(size({0}))", "rms": "sqrt(mean({0}**2))", "pos": "relu({0})",
    "geo_mean": "exp(mean(log({0})))", "geomean": "exp(mean(log({0})))", "gmean": "exp(mean(log({0})))",
    "harmonic_mean": "1/mean(1/{0})", "harmmean": "1/mean(1/{0})", "hmean": "1/mean(1/{0})",
    "zscore": "({0} - mean({0}))/std({0})", "standardize": "({0} - mean({0}))/std({0})",
    "skewness": "mean((({0} - mean({0}))/std({0}))**3)", "kurtosis": "mean((({0} - mean({0}))/std({0}))**4)",
    "mad": "mean(abs({0} - mean({0})))", "hinge": "mean(relu(1 - {0}*{1}))", "hinge_loss": "mean(relu(1 - {0}*{1}))",
    "nll_loss": "-sum({1}*{0})", "bilinear": "{0}.T @ A @ {1}", "lerp": "{0} + t*({1} - {0})",
    "soft_threshold": "sign({0})*relu(abs({0}) - {1})", "softshrink": "sign({0})*relu(abs({0}) - {1})",
    "swiglu": "silu({0})*{1}", "glu": "{0}*sigmoid({1})", "attention": "softmax({0} @ {1}.T, axis=1) @ V",
    "ramp": "relu({0})",
}  # fmt: skip
_STACKED = "concat(A, B) puts arrays below one another, concat(A, B, axis=1) side by side"
_COMPLEX = """
    re im conjugate arg adjoint hankel1 hankel2 hn1 hn2 ynm znm exp_polar polar_lift periodic_argument
    principal_branch
"""
_WHOLE = """
    andre bell bernoulli carmichael chebyshevt_root chebyshevu_root divisor_sigma euler factorial2 fibonacci genocchi
    jacobi_symbol kronecker_symbol kroneckerdelta legendre_symbol levicivita lucas mobius motzkin partition primenu
    primeomega primepi reduced_totient rem stieltjes subfactorial totient tribonacci
"""
_WITHOUT_VALUES = "erf2inv lerchphi marcumq mathieuc mathieucprime mathieus mathieusprime multigamma riemann_xi"
_WITHOUT_DERIVATIVE = "rf ff risingfactorial fallingfactorial"
_OF_LISTS = "appellf1 hyper meijerg"
_ORDERED = "where no two entries are equal it is P @ x with a constant permutation P"
_CONVOLUTION = "a convolution is T @ x with a matrix T of shifted copies of the kernel; declare T as a matrix"
_INTEGER = "it jumps where its argument is whole, and has derivative 0 between"
_COMPLEX_TRANSFORM = "it is complex valued; a real transform is F @ x with a constant matrix F"
_FACTORS = "its factors are not in the language; cholesky, eigvecsh, svd_left and svd_right are"
_ABSENT = {
    **dict.fromkeys(("vstack", "hstack", "stack", "concatenate", "cat", "block"), _STACKED),
    "len": "a size is a letter: declare x: n, and write n", "median": "there is no median; mean(x) is the average",
    **dict.fromkeys(("sort", "msort", "topk", "flip", "roll", "fliplr", "flipud", "rot90"), _ORDERED),
    **dict.fromkeys(("quantile", "percentile", "iqr", "nanmedian"), f"there are no quantiles; {_ORDERED}"),
    **dict.fromkeys(("conv", "conv1d", "conv2d", "conv3d", "convolve", "correlate", "xcorr"), _CONVOLUTION),
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "dft", "fft2", "hilbert"), _COMPLEX_TRANSFORM),
    **dict.fromkeys(("dct", "idct"), "it is F @ x with a constant matrix F"),
    **dict.fromkeys(("qr", "lu", "lu_factor", "schur", "hessenberg", "ldl", "qz"), _FACTORS),
    **dict.fromkeys(("orth", "null", "null_space"), "a basis is not unique; A @ pinv(A) projects onto its span"),
    **dict.fromkeys(("cosm", "sinm", "tanm", "coshm", "sinhm", "tanhm", "signm", "funm", "fractional_matrix_power"),
                    "the functions of whole matrices are expm, logm, sqrtm, inv and matrix_power"),
    **dict.fromkeys(("argsort", "argmin", "searchsorted", "bincount", "histogram", "unique", "mode", "count_nonzero",
                     "nnz", "any", "all", "isnan"), "it gives places, counts or truth, and has no derivative"),
    **dict.fromkeys(("diff", "ediff1d"), "differences are x[1:] - x[:-1]"),
    **dict.fromkeys(("trapz", "trapezoid", "cumtrapz", "simpson"), "an integral is dot(w, x) with constant weights w"),
    "cumprod": "of positive entries it is exp(cumsum(log(x)))",
    **dict.fromkeys(("cummax", "cummin"), "there is no running maximum; max(x) is the largest entry"),
    **dict.fromkeys(("polyval", "polyfit"), "powers are written out, as in a*x**2 + b*x + c"),
    **dict.fromkeys(("vander", "hankel", "companion", "hilb"), "there is no such matrix; declare it as a constant one"),
    "gumbel_softmax": "what is random has no derivative; declare the noise, as in softmax((x + g)/tau)",
    **dict.fromkeys(("rand", "randn", "normal", "bernoulli", "sample"), "what is random is declared as a name"),
    **dict.fromkeys(("embedding", "gather", "index_select", "take"), "rows are picked by S @ W with a one-hot S"),
    "one_hot": "declare the targets and assume one-hot",
    **dict.fromkeys(("permanent", "perm"), "there is no permanent; det(X) is the determinant"),
    **dict.fromkeys(("circulant", "block_diag"), "there is no such matrix; kron(eye(n), A) repeats A on the diagonal"),
    **dict.fromkeys(("squeeze", "unsqueeze", "permute", "swapaxes", "moveaxis"), "axes of one entry are dropped; "
                    "X.T swaps those of a matrix"),
    **dict.fromkeys(("tensordot", "addmm", "baddbmm", "bmm"), "products are written with @, or as einsum"),
    **dict.fromkeys(("mod", "fmod", "frac", "heaviside", "step"), _INTEGER),
    **dict.fromkeys(("total_variation", "tv"), "it is norm(D @ x, 1) with a constant matrix D of differences"),
    **dict.fromkeys(("elastic_net", "lasso", "ridge"), "a penalty is written out, as in norm(A @ x - b) + norm(x, 1)"),
    **dict.fromkeys(("sum_largest", "sum_smallest", "lambda_sum_largest"), "max(x) is the largest entry; the sum of "
                    "several is dot(s, x) with a constant mask s"),
    **dict.fromkeys(("proj_simplex", "sparsemax", "softsort"), "it is the solution of a problem and no formula"),
    "interp": "between two points it is a + t*(b - a)",
    **dict.fromkeys(("tile", "repeat", "broadcast_to", "expand", "meshgrid"), "arrays of equal letters broadcast; "
                    "kron(ones(m), x) repeats x"),
    **dict.fromkeys(("cdist", "pdist", "pairwise_distances"), "distances of rows are sqrt(r + r.T - 2*X @ X.T), "
                    "where r is sum(X**2, axis=1)"),
    "spectral_radius": "eigenvalues may be complex; lambda_max(X) is the largest one of a symmetric matrix",
    "eigh": "eigvalsh(X) has the eigenvalues, eigvecsh(X) the eigenvectors in its columns",
    **dict.fromkeys(("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"), "a mean over a window is P @ x with a "
                    "constant matrix P"),
    **dict.fromkeys(("jacobian", "hessian", "gradient", "grad"), "write only the function; matcalc derives it"),
    **dict.fromkeys(("stop_gradient", "detach"), "give what is held constant a name of its own"),
    **dict.fromkeys(("ceil", "round", "trunc"), _INTEGER),
    **dict.fromkeys(("flatten", "ravel"), "vec(X) stacks the columns, vec(X.T) the rows"),
    "dropout": "what is random has no derivative; multiply by a mask, x*m",
    **dict.fromkeys(("rank", "matrix_rank"), "a rank has no derivative"),
    "argmax": "argmax has no derivative; largest(x) marks the largest entry",
    **dict.fromkeys(("eig", "eigvals"), "eigenvalues may be complex; eigvalsh(X) has those of a symmetric matrix"),
    "svd": "svdvals(X) has the singular values, svd_left(X) and svd_right(X) the vectors",
    # Functions of SymPy that are no words here.
    "piecewise": "write where(x > 0, x, y)",
    **dict.fromkeys(_COMPLEX.split(), "it is complex valued, and all numbers here are real"),
    **dict.fromkeys(_WHOLE.split(), "it is a function of whole numbers and has no derivative"),
    **dict.fromkeys(_WITHOUT_VALUES.split(), "there are no values of it by which a derivative could be proven"),
    **dict.fromkeys(_WITHOUT_DERIVATIVE.split(), "SymPy knows no derivative of it"),
    **dict.fromkeys(_OF_LISTS.split(), "it takes lists of numbers"),
    "diracdelta": "it is no function of numbers; Heaviside(x) is the step",
    "singularityfunction": "it is no function of numbers; Heaviside(x) is the step",
}  # fmt: skip
_ENTRIES = {
    1: '    [{name}]\n    elementwise = "..."   # the derivative of {name}(x) by x',
    2: '    [{name}]\n    call = "{name}(x, y)"\n    elementwise = ["...", "..."]   # the derivatives by x and by y',
}


def explain_missing(reading: Reading, name: str, span: _Span, written: list[str] | None = None) -> MissingRuleError:
    """Return the error for a function without a rule: its name here, a close spelling, or the entry to add."""
    reason = f"the function {name} has no rule"
    given = written or ["x"]
    advice = _ABSENT.get(name.lower()) or _respell(reading, name, given)
    return MissingRuleError(reason, span=span, advice=advice or _show_entry(name, len(given)))


def is_explained(name: str) -> bool:
    """Whether a function that has no rule is known by its name elsewhere, so that none that looks alike is meant."""
    return name.lower() in _ABSENT or name.lower() in _OTHER_NAMES


def advise_function(name: str, functions: Collection[str]) -> str:
    """Return what to write in the place of a function that is not known: a formula, a close name, or a rule for it."""
    if (told := _ABSENT.get(name.lower())) is not None:
        return told
    close = difflib.get_close_matches(name.lower(), functions, n=1, cutoff=0.8)
    return (f"{close[0]} is near by its name; else " if close else "") + f"add a rule, {_OWN_RULES}"


def _respell(reading: Reading, name: str, written: list[str]) -> str | None:
    """Return what a name is called here: by the table, in small letters, or nearly so spelled."""
    form = _OTHER_NAMES.get(name.lower())
    if form is not None and ("{1}" not in form or len(written) > 1):
        loose = [text if re.fullmatch(r"\w+|\w+\([^()]*\)", text) else f"({text})" for text in written]
        inside = re.search(r"\w\(\{0\}[,)]", form)
        return "write " + form.format(*(written if inside and "{1}" not in form and form.count("{0}") == 1 else loose))
    known = [*reading.book.functions, *names.SPECIAL]
    if name.lower() in known:
        return f"write {name.lower()}({', '.join(written)})"
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    if close:
        return f"if {close[0]} is meant, write {close[0]}({', '.join(written)}); else add a rule, {_OWN_RULES}"
    return None


_OWN_RULES = "given with --rules FILE or load_rules(FILE)"


def _show_entry(name: str, count: int) -> str:
    return (
        f"add a rule to rules/elementwise.toml, or to a file of your own, {_OWN_RULES}:\n\n"
        + _ENTRIES[min(count, 2)].format(name=name)
        + "\n\n  or declare its shape to use it as an abstract function"
    )


# --- keywords of other libraries ----------------------------------------------------------------------


def advise_axis(reading: Reading, rules: list[Rule], args: tuple[Draft, ...], axis: object) -> str:
    """Return what to write in the place of a call along an axis that the function does not have."""
    kind = args[1].value if len(args) == 2 else None
    if rules[0].function == "norm" and isinstance(axis, int) and kind in (1, 2):
        first = reading.write(args[0])
        return f"write norm({first}, axis={axis})" if kind == 2 else f"write sum(abs({first}), axis={axis})"
    return "write " + write_forms(rules)


def advise_keyword(reading: Reading, name: str, keyword: ast.keyword, node: ast.Call) -> str:
    """Return how an option of another library is written here."""
    value = reading.source.write(keyword.value)[:40]
    has_axis = any(rule.axis for rule in reading.book.overloads(name))
    if keyword.arg in ("dim", "axis") and has_axis and re.fullmatch(r"-?[012]|[(\[]-?[01], ?-?[01][)\]]", value):
        return f"write axis={value}"
    if keyword.arg == "keepdim" and has_axis:
        return f"write keepdims={value}"
    if keyword.arg in ("ord", "p") and name == "norm" and node.args:
        return f"write norm({reading.source.write(node.args[0])[:40]}, {value})"
    return "the only options are axis=0, axis=1, axis=(0, 1) and keepdims=True" if has_axis else "leave it out"


# --- arguments of another kind --------------------------------------------------------------------------


def advise_arguments(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    """Return what the reader most likely means by arguments that no form of the function takes."""
    adviser = _ADVISERS.get(name)
    return adviser(reading, name, args) if adviser is not None and len(args) == 2 else None


def _advise_extreme(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    """max(x, 0) is maximum; max(X, 0) may be along an axis as well."""
    if args[1].op == "text":
        return None
    first, second = reading.write(args[0]), reading.write(args[1])
    pair = f"write {name}imum({first}, {second}) entry by entry"
    along = args[0].is_matrix and args[1].value in (0, 1)
    return f"{pair}, or {name}({first}, axis={second})" if along else pair


def _advise_norm(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    first, second = reading.write(args[0]), args[1]
    if second.op == "symbol" and second.data[0].lower() in ("inf", "oo", "infty", "infinity"):
        return f"write max(abs({first}))" if not args[0].is_matrix else f"write max(sum(abs({first}), axis=1))"
    if args[0].is_matrix and second.value == 1:
        return f"write sum(abs({first})) for the sum of the entries, max(sum(abs({first}), axis=0)) for the 1-norm"
    if args[0].is_matrix and second.op != "text":
        return f"write norm({first}), the Frobenius norm, norm({first}, 2) or norm({first}, 'nuc')"
    return None


def _advise_dot(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    if not (args[0].is_matrix or args[1].is_matrix) or "text" in (args[0].op, args[1].op):
        return None
    first, second = (_bracket(reading.write(arg)) for arg in args)
    if args[0].is_scalar or args[1].is_scalar:
        return f"write {first} * {second}"
    return f"write {first}.T @ {second}" if args[0].is_column else f"write {first} @ {second}"


def _advise_solve(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    if args[1].is_matrix and not args[0].is_matrix:
        swapped = f"solve({reading.write(args[1])}, {reading.write(args[0])})"
        return f"the matrix comes first: write {swapped}, which is inv(A) @ b"
    return None


def _bracket(text: str) -> str:
    return text if re.fullmatch(r"\w+(\.T)?|\w+\([^()]*\)", text) else f"({text})"


def _advise_softplus(reading: Reading, name: str, args: tuple[Draft, ...]) -> str | None:
    """The second argument of torch's softplus is its sharpness."""
    first, beta = reading.write(args[0]), _bracket(reading.write(args[1]))
    return f"write softplus({beta}*{_bracket(first)})/{beta}" if args[1].is_scalar and args[1].op != "text" else None


_ADVISERS = {
    "softplus": _advise_softplus,
    "max": _advise_extreme, "min": _advise_extreme, "norm": _advise_norm, "dot": _advise_dot, "solve": _advise_solve,
}  # fmt: skip


def write_forms(rules: list[Rule]) -> str:
    """Return the forms of a function as a reader writes them: norm(x, 2) or norm(X, 'nuc')."""
    return " or ".join(dict.fromkeys(re.sub(r"\[[^\]]*\]", "", rule.call) for rule in rules))
