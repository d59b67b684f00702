r"""The LaTeX that a rule may use: mathematics alone, for it goes into notebooks and into documents that are compiled.

What is not on this list, such as \input and \href, reaches beyond the formula.
"""

from __future__ import annotations

import re

_COMMANDS = """
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
COMMANDS = frozenset(_COMMANDS.split()) | frozenset(",;:! {}|\\_%&#/")
ENVIRONMENTS = frozenset(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases array aligned gathered split".split()
)
_ADVICE = "write mathematics alone, as in \\operatorname{mish}({x})"

_PARTS = re.compile(r"\\([A-Za-z]+|.|$)|\^\^|[^\\^$%#{}\n\t]+|.", re.DOTALL)

Span = tuple[int, int]


def find_foreign_latex(template: str) -> tuple[str, Span, str] | None:
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
    if command not in COMMANDS:
        return f"\\{command} is no command of mathematics that a rule may use"
    if command not in ("begin", "end"):
        return None
    environment = re.match(r"\{(\w*\*?)\}", after)
    if environment is None or environment[1] not in ENVIRONMENTS:
        return f"\\{command} is for {', '.join(sorted(ENVIRONMENTS))}"
    return None
