"""Rules files that want to run, read, write or show something: each a table [evil], and the field that is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Hostile:
    """One file: its name, the field at which it is refused, its text."""

    name: str
    field: str
    text: str


def make_rule(name: str, field: str, **fields: str) -> Hostile:
    """A rule that would be right but for one field."""
    right = {"elementwise": '"cos(x)"', "torch": '"torch.sin"'} if "define" not in fields else {}
    lines = (right | fields).items()
    return Hostile(name, field, "[evil]\n" + "".join(f"{key} = {value}\n" for key, value in lines))


def name_words(backend: str, *words: str) -> list[Hostile]:
    return [make_rule(f"{backend}: {word!a}", backend, **{backend: json.dumps(word)}) for word in words]


WORDS = [
    *name_words(
        "torch",
        "torch.load", "torch.save", "torch.hub.load", "torch.ops.load_library", "torch.classes.load_library",
        "torch.jit.load", "torch.utils.cpp_extension.load_inline", "torch.from_file", "torch.compile", "torch.exp_",
        "torch.nn.functional.dropout", "torch.rand", "torch.Tensor.map_", "torch.serialization.pickle.load",
        "torch.os.system", "torch.__class__", "torch.linalg.__builtins__", "torch.special.torch.load", "torch.vmap",
        "torch.nn.functional.handle_torch_function", "torch", "exp", "math.exp", "torch.exp()", "torch..exp",
    ),
    *name_words(
        "numpy",
        "numpy.load", "numpy.save", "numpy.savetxt", "numpy.memmap", "numpy.fromfile", "numpy.genfromtxt",
        "numpy.loadtxt", "numpy.fromregex", "numpy.lib.npyio.load", "numpy.lib.format.open_memmap",
        "numpy.ctypeslib.load_library", "numpy.f2py.compile", "numpy.testing.rundocs", "numpy.testing.measure",
        "numpy.vectorize", "numpy.frompyfunc", "numpy.apply_along_axis", "numpy.fromfunction", "numpy.piecewise",
        "numpy.random.normal", "numpy.einsum", "numpy.seterrcall", "numpy.ufunc.at", "numpy.exp.at", "numpy.exp.reduce",
        "numpy.__loader__", "numpy.linalg.__loader__.load_module", "numpy._core.multiarray.fromfile",
        "numpy.linalg.linalg.functools.reduce", "scipy.io.loadmat", "scipy.special.seterr", "scipy.special.test",
        "scipy.linalg.funm", "scipy.LowLevelCallable", "builtins.eval", "builtins.open", "__import__", "eval",
        "os.system", "subprocess.run", "pickle.load", "np.exp", "jax.numpy.exp",
        " numpy.exp", "numpy.exp ", "numpy .exp", "numpy.exp\nimport os", "numpy.exp;numpy.load", "numpy.exp#",
        "numpy.exp\u200b", "num\u0440y.exp", "numpy.\uff45\uff58\uff50", "numpy\u2024exp", "\x1b[2Jnumpy.exp",
        "numpy.exp)(x) or __import__('os').system('touch marker'", "lambda x: x", "numpy.exp or numpy.load",
    ),
    *name_words(
        "jax",
        "jax.numpy.load", "jax.numpy.save", "jax.numpy.fromfile", "jax.numpy.frompyfunc", "jax.numpy.vectorize",
        "jax.debug.callback", "jax.pure_callback", "jax.experimental.io_callback", "jax.custom_jvp", "jax.lax.map",
        "jax.lax.while_loop", "jax.lax.custom_root", "jax.scipy.linalg.funm", "jax.profiler.start_trace",
        "jax.numpy.linalg.__loader__", "jax.nn.initializers.normal", "jax.lax.rng_uniform", "numpy.exp", "jnp.exp",
    ),
]  # fmt: skip

CALLED = [
    *name_words(
        "torch",
        "torch.load(x)", "torch.exp(open('evil'))", "torch.exp(x)(x)", "torch.exp(x, out=x)", "torch.exp(*x)",
        "torch.exp(x.T)", "torch.exp(x, 'evil')", "torch.exp(x, 1e999)", "torch.exp(0)", "torch.exp(evil)",
        "torch.sum(x, dim)", "torch.sum(x, axis)", "torch.sum(x, dtype=1)", "torch.exp(x) or torch.load(x)",
        "torch.nn.functional.gelu(x, approximate='evil')", "torch.exp(x, inplace=True)", "torch.exp(x if x else x)",
        "torch.exp(x, correction=0, correction=0)", "torch.clamp(min_val=0, x)", "torch.exp(lambda: x)",
    ),
    *name_words("numpy", "numpy.exp(x, dim)", "numpy.load(x, mmap_mode='r')", "numpy.exp(__import__('os'))"),
    *name_words("jax", "jax.nn.gelu(x, approximate=evil)", "jax.numpy.exp(x, where=x)", "jax.numpy.exp(x; x)"),
]  # fmt: skip

WORD = {"numpy": '"numpy.linalg.norm"', "torch": '"torch.linalg.norm"'}
CALLS = [
    make_rule("literals to memmap", "numpy", call='"f(\'evil\', \'r\', 1, x)"', numpy='"numpy.memmap"', torch='""'),
    make_rule("text to sin", "call", call='"f(\'evil\', x)"'),
    make_rule("text of no norm", "call", call='"f(x, \'evil\')"', **WORD),
    make_rule("text before the array", "call", call='"f(\'nuc\', x)"', **WORD),
    make_rule("text in the place of dim", "call", call='"f(x, 2, \'fro\')"', **WORD),
    make_rule("text of a path", "call", call='"f(x, \'/etc/passwd\')"', **WORD),
    make_rule("number without end", "call", call='"f(x, 1000000000000000000000000000000)"'),
    make_rule("number in other digits", "call", call='"f(x, ٣٣)"'),
    make_rule("sizes without end", "call", call='"f(X[1000000000,n])"'),
    make_rule("axes without end", "call", call='"f(X[a,b,c,d,e,g,h])"'),
    make_rule("parameters without end", "call", call='"f(a,b,c,d,e,g,h,i,j,k)"'),
    make_rule("a long call", "call", call='"f(' + "x, " * 1000 + 'x)"'),
    make_rule("keyword", "call", call='"f(x, allow_pickle=True)"'),
    make_rule("star", "call", call='"f(*x)"'),
    make_rule("default", "call", call='"f(x=__import__(\'os\'))"'),
    make_rule("call in a call", "call", call='"f(open(x))"'),
    make_rule("dunder path", "call", call='"x.__class__.__base__(x)"'),
    make_rule("word of Python", "call", call='"import(x)"'),
    make_rule("parameter that is a word of Python", "call", call='"f(lambda)"'),
    make_rule("parameter that is no name", "call", call='"f(1x)"'),
    make_rule("twice the same parameter", "call", call='"f(x, x)"', elementwise='["cos(x)", "0"]'),
    make_rule("parameter that is the change of another", "call", call='"f(x, dx)"', elementwise='["cos(x)", "0"]'),
    make_rule("no parameter", "call", call='"f()"'),
    make_rule("code in the axes", "call", call='"f(X[m;import os,n])"'),
    make_rule("code in the result", "call", call='"f(x) -> __import__(\'os\')"'),
    make_rule("result of a size from nowhere", "call", call='"f(x[n]) -> [os]"'),
    make_rule("letter in another width", "call", call='"ｆ(x)"'),
    make_rule("lines in the call", "call", call='"f(x)\\nimport os"'),
]

LATEX = [
    make_rule(f"latex: {latex!a}", "latex", latex=json.dumps(latex))
    for latex in (
        "\\input{/etc/passwd}", "\\include{x}", "\\write18{touch marker}", "\\immediate\\write18{x}", "\\openout1=x",
        "\\read1 to x", "\\catcode`\\@=11", "\\csname input\\endcsname", "\\def\\x{x}", "\\let\\x=\\input",
        "\\newcommand{\\x}{x}", "\\href{javascript:alert(1)}{x}", "\\url{http://x}", "\\require{html}",
        "\\htmlData{x=y}{x}", "\\class{x}{x}", "\\style{color:red}{x}", "\\cssId{x}{x}", "\\unicode{x41}",
        "\\includegraphics{x}", "\\special{x}", "\\directlua{x}", "\\begin{filecontents}{x}\\end{filecontents}",
        "\\begin{verbatim}", "^^5cinput{x}", "$x$", "\\) x \\(", "%", "#1", "{x", "x}", "\\", "\\(x\\)", "x\x07",
        "x" * 501,
    )
]  # fmt: skip

FIELDS = [
    make_rule("unknown parameter of a note", "nondifferentiable", nondifferentiable='"where {y} = 0"'),
    make_rule("unknown field", "import", **{"import": '"os"'}),
    make_rule("list of words", "torch", torch='["torch.sin"]'),
    make_rule("table in the place of a word", "numpy", numpy='{ load = "evil" }'),
    make_rule("number in the place of a text", "source", source="1"),
    make_rule("text in the place of a flag", "axis", axis='"yes"'),
    make_rule("a function that the engine knows", "primitive", elementwise='""', primitive="true"),
    make_rule("escapes for the terminal", "note", note='"\\u001b[2J"'),
    make_rule("text that runs backwards", "source", source='"\\u202e"'),
    make_rule("list of numbers", "elementwise", elementwise="[1, 2]"),
]

HOSTILE = [*WORDS, *CALLED, *CALLS, *LATEX, *FIELDS]
