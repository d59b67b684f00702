"""The functions of the language, one by one: a rule that is lost or comes to take other arguments is noticed.

What a rule states is guarded by its cases and its mutants; this list guards that it is there.
"""

from __future__ import annotations

from matcalc.rule_files import shipped_identities, shipped_rules

FUNCTIONS = """
    abs arccos arcsin arctan clip cos cosh elu erf exp expm1 gelu leaky_relu log log1p maximum minimum relu sigmoid
    sign silu sin sinh softplus sqrt square tan tanh where
    arccosh arcsinh arctan2 arctanh celu entr erfc exp2 expit hardsigmoid hardswish hardtanh log10 log2 logaddexp
    logit logsigmoid reciprocal relu6 rsqrt selu softsign xlogy
    cosine_similarity logabsdet normalize std
    batch_norm binary_cross_entropy binary_cross_entropy_with_logits huber_loss kl_div l1_loss mse_loss rms_norm
    smooth_l1_loss
    cumsum diag dot logsumexp max mean min norm outer prod sum var vec
    det expm inv kron logdet matrix_power pinv solve sqrtm trace tril triu
    cross_entropy layer_norm log_softmax softmax
"""

CALLS = """
    abs(x) arccos(x) clip(x, a, b) cross_entropy(z[n], y[n]) cumsum(x[n]) det(X[n,n]) diag(X[n,n]) diag(x[n])
    dot(x[n], y[n]) expm(X[n,n]) inv(X[n,n]) kron(A[m,n], B[p,q]) layer_norm(x) leaky_relu(x) leaky_relu(x, a)
    log_softmax(x) logdet(X[n,n]) logsumexp(x) matrix_power(X[n,n], k) max(x) maximum(x, y) mean(x) min(x)
    norm(X, 'fro') norm(X[m,n], 'nuc') norm(X[m,n], 2) norm(x) norm(x[n], 1) norm(x[n], 2) norm(x[n], p)
    outer(x[m], y[n]) pinv(X[m,n]) prod(x) softmax(x) solve(A[n,n], B[n,k]) solve(A[n,n], b[n]) sqrtm(X[n,n]) sum(x)
    trace(X[n,n]) tril(X[m,n]) triu(X[m,n]) var(x) vec(X[m,n]) where(c, x, y)
"""

ALONG_AN_AXIS = """
    batch_norm cosine_similarity cross_entropy cumsum kl_div layer_norm log_softmax logsumexp max mean min norm
    normalize prod rms_norm softmax std sum var
"""


def test_no_function_is_lost() -> None:
    assert set(FUNCTIONS.split()) <= set(shipped_rules().functions)


def test_functions_take_what_they_took() -> None:
    calls = [rule.call for rule in shipped_rules()]
    pinned = CALLS.replace(") ", ")\n").split("\n")
    assert not [call.strip() for call in pinned if call.strip() and call.strip() not in calls]


def test_functions_along_an_axis_still_are() -> None:
    assert all(any(rule.axis for rule in shipped_rules().overloads(name)) for name in ALONG_AN_AXIS.split())


def test_every_rule_names_its_source() -> None:
    assert not [rule.name for rule in shipped_rules() if not rule.source or not rule.latex]
    assert not [identity.name for identity in shipped_identities().values() if not identity.source]
