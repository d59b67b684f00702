"""The words that a rule may name in torch, NumPy, SciPy and JAX: a fixed list of mathematical functions of arrays.

What stands here is called in the proof and in code that people run.  So nothing is listed that loads, saves, opens,
evaluates, draws, changes its argument by its name, or takes a path or a callable.
"""

from __future__ import annotations

import difflib
import re

BACKENDS = ("torch", "numpy", "jax")
LONGEST_WORD = 100

_ENTRY_BY_ENTRY = """
    abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh cbrt
    ceil clip copysign cos cosh deg2rad degrees divide exp exp2 expm1 fabs float_power floor fmax fmin fmod heaviside
    hypot i0 log log10 log1p log2 logaddexp logaddexp2 maximum minimum mod multiply negative positive pow power rad2deg
    radians remainder rint round sign sin sinc sinh sqrt square subtract tan tanh true_divide trunc where
"""
_OF_ARRAYS = """
    amax amin average convolve corrcoef correlate cov cross cumprod cumsum cumulative_prod cumulative_sum diag diagflat
    diagonal diff dot ediff1d flip fliplr flipud inner kron matmul matrix_transpose matvec max mean median min
    nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar outer prod ptp ravel roll rot90
    sort std sum trace transpose trapezoid tril triu var vdot vecdot vecmat
"""
_LINEAR_ALGEBRA = """
    cholesky cond cross det diagonal eigvalsh inv matmul matrix_norm matrix_power matrix_transpose norm outer pinv solve
    svdvals tensorinv tensorsolve trace vecdot vector_norm
"""
# The language's numbers may reach NumPy as whole ones: numpy.reciprocal, which rounds those to 0, is not among these.
_FUNCTIONS = {
    "torch": {
        "torch": """
            abs absolute acos acosh add addcdiv addcmul addmm addmv addr amax amin arccos arccosh arcsin arcsinh arctan
            arctan2 arctanh asin asinh atan atan2 atanh baddbmm bmm ceil celu cholesky_inverse cholesky_solve clamp
            clamp_max clamp_min clip copysign corrcoef cos cosh cosine_similarity cov cross cumprod cumsum
            cumulative_trapezoid deg2rad det diag diag_embed diagflat diagonal diff digamma dist div divide dot erf erfc
            erfinv exp exp2 expm1 fix flatten fliplr flipud float_power floor fmax fmin fmod frac heaviside hypot i0
            igamma igammac inner inverse kron ldexp lerp lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2
            logcumsumexp logdet logit logsumexp matmul matrix_exp matrix_power max maximum mean median min minimum mm
            mul multiply mv mvlgamma nan_to_num nanmean nanmedian nansum neg negative norm nuclear_norm outer
            pairwise_distance pinverse polygamma positive pow prelu prod rad2deg ravel reciprocal relu remainder roll
            rot90 round rsqrt selu sgn sigmoid sign sin sinc sinh softmax sqrt square std sub subtract sum t tan tanh
            threshold trace transpose trapezoid tril triu true_divide trunc var vdot where xlogy
        """,
        "torch.linalg": """
            cholesky cond cross det diagonal eigvalsh inv matmul matrix_exp matrix_norm matrix_power norm pinv solve
            svdvals tensorinv tensorsolve vecdot vector_norm
        """,
        "torch.special": """
            airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u digamma entr
            erf erfc erfcx erfinv exp2 expit expm1 gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he
            i0 i0e i1 i1e laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr log_softmax logit logsumexp
            modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri
            polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc softmax spherical_bessel_j0
            xlog1py xlogy zeta
        """,
        "torch.nn.functional": """
            bilinear binary_cross_entropy binary_cross_entropy_with_logits celu cosine_similarity cross_entropy elu
            gaussian_nll_loss gelu glu hardshrink hardsigmoid hardswish hardtanh huber_loss kl_div l1_loss leaky_relu
            linear log_softmax logsigmoid mish mse_loss normalize pairwise_distance pdist poisson_nll_loss prelu relu
            relu6 selu sigmoid silu smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign tanh
            tanhshrink threshold triplet_margin_loss
        """,
    },
    "numpy": {
        "numpy": _ENTRY_BY_ENTRY + _OF_ARRAYS,
        "numpy.linalg": _LINEAR_ALGEBRA,
        "scipy.special": """
            agm bei beip ber berp beta betainc betaincc betaincinv betaln binom boxcox boxcox1p cbrt chdtr chdtrc cosdg
            cosm1 cotdg dawsn digamma diric ellipe ellipeinc ellipk ellipkinc ellipkm1 elliprc elliprd elliprf elliprg
            elliprj entr erf erfc erfcinv erfcx erfi erfinv eval_chebyt eval_chebyu eval_gegenbauer eval_genlaguerre
            eval_hermite eval_hermitenorm eval_jacobi eval_laguerre eval_legendre exp1 exp10 exp2 expi expit expm1 expn
            exprel fdtr fdtrc gamma gammainc gammaincc gammainccinv gammaincinv gammaln gammasgn gdtr gdtrc huber hyp0f1
            hyp1f1 hyp2f1 hyperu i0 i0e i1 i1e inv_boxcox inv_boxcox1p iv ive j0 j1 jn jv jve k0 k0e k1 k1e kei keip ker
            kerp kl_div kn kolmogorov kv kve log1p log_expit log_ndtr log_softmax loggamma logit logsumexp modstruve
            multigammaln ndtr ndtri ndtri_exp owens_t poch polygamma powm1 pseudo_huber psi rel_entr rgamma round sinc
            sindg softmax softplus spence spherical_in spherical_jn spherical_kn spherical_yn stdtr stdtrit struve tandg
            tklmbda voigt_profile wright_bessel wrightomega xlog1py xlogy y0 y1 yn yv yve zeta zetac
        """,
        "scipy.linalg": """
            cholesky circulant coshm cosm det eigvalsh expm expm_cond fractional_matrix_power hankel inv khatri_rao logm
            matmul_toeplitz norm pinv pinvh sinhm sinm solve solve_circulant solve_continuous_are
            solve_continuous_lyapunov solve_discrete_are solve_discrete_lyapunov solve_sylvester solve_toeplitz
            solve_triangular sqrtm subspace_angles svdvals tanhm tanm toeplitz
        """,
    },
    "jax": {
        "jax.numpy": _ENTRY_BY_ENTRY + _OF_ARRAYS + "nan_to_num reciprocal",
        "jax.numpy.linalg": _LINEAR_ALGEBRA,
        "jax.nn": """
            celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log1mexp log_sigmoid log_softmax
            logmeanexp logsumexp mish relu relu6 selu sigmoid silu soft_sign softmax softplus sparse_plus sparse_sigmoid
            squareplus standardize swish tanh
        """,
        "jax.lax": """
            abs acos acosh asin asinh atan atanh bessel_i0e bessel_i1e cbrt ceil cos cosh cumlogsumexp cumprod cumsum
            digamma erf erf_inv erfc exp exp2 expm1 floor integer_pow lgamma log log1p logistic neg reciprocal round
            rsqrt sign sin sinh sqrt square tan tanh
        """,
        "jax.scipy.special": """
            beta betainc betaln boxcox boxcox1p dawsn digamma entr erf erfc erfcx erfinv exp1 expi expit expn gamma
            gammainc gammaincc gammaln gammasgn hyp1f1 hyp2f1 i0 i0e i1 i1e kl_div log_ndtr log_softmax loggamma logit
            logsumexp multigammaln ndtr ndtri owens_t poch polygamma rel_entr softmax spence xlog1py xlogy zeta
        """,
        "jax.scipy.linalg": """
            cholesky circulant det expm hankel inv solve solve_sylvester solve_triangular toeplitz
        """,
    },
}  # fmt: skip
WORDS = {
    backend: frozenset(f"{module}.{name}" for module, names in modules.items() for name in names.split())
    for backend, modules in _FUNCTIONS.items()
}
# SymPy's are classes, made of symbols: none evaluates a text.
SYMPY_WORDS = frozenset(f"sympy.{name}" for name in """
    exp log sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh atan2 Abs sign erf erfc Max Min
    Trace Determinant Inverse KroneckerProduct DiagMatrix betainc betainc_regularized catalan
    Chi Ci Ei Heaviside LambertW Li Shi Si acot acoth acsc acsch airyai airyaiprime airybi airybiprime asec asech
    assoc_laguerre assoc_legendre besseli besselj besselk bessely beta binomial ceiling chebyshevt chebyshevu cot
    coth csc csch digamma dirichlet_eta elliptic_e elliptic_f elliptic_k elliptic_pi erf2 erfcinv erfi erfinv expint
    factorial floor frac fresnelc fresnels gamma gegenbauer harmonic hermite hermite_prob jacobi jn laguerre
    legendre li loggamma lowergamma polygamma polylog sec sech sinc trigamma uppergamma yn zeta
""".split())  # fmt: skip
# The kinds of norms that have a name, and the words that take one in the place after the array.
_NORMS = ("fro", "nuc")
_NAMED_NORMS = frozenset("""
    torch.norm torch.linalg.norm torch.linalg.matrix_norm torch.linalg.cond
    numpy.linalg.norm numpy.linalg.matrix_norm numpy.linalg.cond scipy.linalg.norm
    jax.numpy.linalg.norm jax.numpy.linalg.matrix_norm jax.numpy.linalg.cond
""".split())  # fmt: skip


def is_word(word: str, backend: str) -> bool:
    """Whether a rule may name this function of a backend.

    >>> is_word("numpy.exp", "numpy"), is_word("numpy.load", "numpy"), is_word("numpy.exp", "jax")
    (True, False, False)
    """
    return word in (SYMPY_WORDS if backend == "sympy" else WORDS[backend])


def takes_text(word: str, text: str, place: int) -> bool:
    """Whether a word documents a text as its argument at a place, counted from 0.

    >>> takes_text("numpy.linalg.norm", "nuc", 1), takes_text("numpy.linalg.norm", "evil", 1)
    (True, False)
    """
    return place == 1 and word in _NAMED_NORMS and text in _NORMS


def takes_last_axis(word: str) -> bool:
    """Whether a word along an axis takes the last one where it is told none, so that axis=None must be said.

    >>> takes_last_axis("jax.nn.softmax"), takes_last_axis("jax.numpy.sum")
    (True, False)
    """
    return word.startswith("jax.nn.")


# Words of torch along an axis that cannot do without one, and words that take one alone.
_NEED_AXIS = frozenset("""
    torch.cumsum torch.cumprod torch.logcumsumexp torch.log_softmax torch.logsumexp torch.softmax
    torch.special.log_softmax torch.special.logsumexp torch.special.softmax torch.linalg.vecdot
    torch.nn.functional.cosine_similarity torch.nn.functional.log_softmax torch.nn.functional.normalize
    torch.nn.functional.softmax torch.nn.functional.softmin torch.cosine_similarity
""".split())  # fmt: skip
_TAKE_ONE_AXIS = _NEED_AXIS - {"torch.logsumexp", "torch.special.logsumexp"} | {"torch.prod"}


def needs_axis(word: str) -> bool:
    """Whether a word of torch along an axis must be told one, all of them where all entries are meant.

    >>> needs_axis("torch.logsumexp"), needs_axis("torch.sum")
    (True, False)
    """
    return word in _NEED_AXIS


def takes_one_axis(word: str) -> bool:
    """Whether a word of torch along an axis takes one axis at most, so that the entries of a matrix are laid in a row.

    >>> takes_one_axis("torch.softmax"), takes_one_axis("torch.logsumexp")
    (True, False)
    """
    return word in _TAKE_ONE_AXIS


def needs_contiguous(word: str) -> bool:
    """Whether a word of torch can be differentiated only where its arguments lie in memory as they are read."""
    return word == "torch.kron"


def advise_word(word: str, backend: str) -> str:
    """Return what to write in the place of a word that no rule may name.

    >>> advise_word("numpy.expp", "numpy").partition("?")[0]
    'did you mean "numpy.exp"'
    """
    *modules, last = _FUNCTIONS[backend]
    advice = f"a rule names a mathematical function of {', '.join(modules)} or {last}"
    if owner := next((other for other in BACKENDS if is_word(word, other)), None):
        return f'write {owner} = "{word}"; for {backend} {advice}'
    close = difflib.get_close_matches(word[:LONGEST_WORD].strip(), WORDS[backend], n=1, cutoff=0.88)
    return f'did you mean "{close[0]}"? A{advice[1:]}' if close else advice


# --- rule latex -------------------------------------------------------------------------------------
#
# The LaTeX that a rule may use: mathematics alone, for it goes into notebooks and into documents that are compiled.
#
# What is not on this list, such as \input and \href, reaches beyond the formula.


_COMMAND_NAMES = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi
    varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma
    Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega aleph beth ell hbar imath jmath Re Im wp partial nabla
    infty emptyset varnothing forall exists nexists angle prime backslash surd top bot
    mathrm mathbf mathsf mathtt mathit mathcal mathbb mathfrak mathscr mathnormal boldsymbol text textrm textbf textit
    textsf texttt operatorname mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner
    bar hat tilde dot ddot dddot vec check breve acute grave mathring widehat widetilde overline underline overbrace
    underbrace overrightarrow overleftarrow
    frac dfrac tfrac cfrac sqrt binom dbinom tbinom stackrel overset underset substack begin end limits nolimits
    displaystyle textstyle scriptstyle scriptscriptstyle phantom hphantom vphantom smash mathstrut strut
    left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr biggm Biggl Biggr Biggm
    lvert rvert lVert rVert vert Vert langle rangle lfloor rfloor lceil rceil lbrace rbrace lbrack rbrack lgroup rgroup
    quad qquad enspace thinspace medspace thickspace negthinspace
    sum prod coprod int iint iiint oint bigcup bigcap bigoplus bigotimes bigodot bigvee bigwedge biguplus bigsqcup
    pm mp times div cdot ast star circ bullet oplus ominus otimes oslash odot dagger ddagger cap cup vee wedge land lor
    lnot neg setminus wr amalg sqcap sqcup uplus diamond bigcirc triangle triangleleft triangleright boxplus boxminus
    boxtimes boxdot ltimes rtimes intercal perp parallel mid nmid Box square blacksquare
    leq le geq ge lt gt neq ne not equiv approx sim simeq cong propto ll gg prec succ preceq succeq subset supset
    subseteq supseteq in ni notin models vdash dashv asymp doteq colon coloneqq leqslant geqslant lesssim gtrsim
    to gets mapsto longmapsto rightarrow leftarrow leftrightarrow Rightarrow Leftarrow Leftrightarrow longrightarrow
    longleftarrow uparrow downarrow updownarrow Uparrow Downarrow nearrow searrow hookrightarrow xrightarrow xleftarrow
    implies iff
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth exp log ln lg det dim ker deg gcd min max sup inf
    lim liminf limsup arg Pr hom bmod pmod mod ldots cdots vdots ddots dots dotsb dotsc
"""
_COMMANDS = frozenset(_COMMAND_NAMES.split()) | frozenset(",;:! {}|\\_%&#/")
ENVIRONMENTS = frozenset(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases array aligned gathered split".split()
)
_ADVICE = "write mathematics alone, as in \\operatorname{mish}({x})"

_PARTS = re.compile(r"\\([A-Za-z]+|.|$)|\^\^|[^\\^$%#{}\n\t]+|.", re.DOTALL)

_Span = tuple[int, int]


def find_foreign_latex(template: str) -> tuple[str, _Span, str] | None:
    r"""Return what is no mathematics in a rule's LaTeX, with its place and an advice; None where all is.

    >>> find_foreign_latex(r"\log({x})"), find_foreign_latex(r"\input{x}")[:2]
    (None, ('\\input is no command of mathematics that a rule may use', (0, 6)))
    """
    depth = 0
    for part in _PARTS.finditer(template):
        command = part[1]
        if command is not None:
            if reason := _explain_command(command, template[part.end() :]):
                return reason, part.span(), _ADVICE
        elif part[0] == "^^" or part[0] in "$%#\n\t":
            return f"{part[0]!r} has a meaning beyond mathematics", part.span(), _ADVICE
        depth += {"{": 1, "}": -1}.get(part[0], 0)
        if depth < 0:
            return "this brace closes nothing", part.span(), "open it with {"
    return ("a brace is never closed", (len(template), len(template)), "close it with }") if depth else None


def _explain_command(command: str, after: str) -> str | None:
    """Return why a command is refused, the begin or end of an environment by what it names; None for a good one."""
    if command not in _COMMANDS:
        return f"\\{command} is no command of mathematics that a rule may use"
    if command not in ("begin", "end"):
        return None
    environment = re.match(r"\{(\w*\*?)\}", after)
    if environment is None or environment[1] not in ENVIRONMENTS:
        return f"\\{command} is for {', '.join(sorted(ENVIRONMENTS))}"
    return None
