"""The derivation as a person writes it: its steps, the names of its parts, as text, Markdown, LaTeX and a page."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, Any

from matcalc.engine.assemble import flatten
from matcalc.engine.differentials import (
    D_OPERATOR,
    DifferentialLine,
    Law,
    expand_differential,
    is_differential,
    list_differentials,
)
from matcalc.engine.layout import Axis, arrange
from matcalc.engine.result import Result, derive_result
from matcalc.language.declarations import SQUARE_ASSUMPTIONS
from matcalc.language.expression import Expression, symbol, walk
from matcalc.language.expression_to_text import is_longer, to_text
from matcalc.language.names import SELECTION
from matcalc.language.rewrite import replace
from matcalc.language.sizes import Shape, Size, write_shape
from matcalc.render.entries import write_entries
from matcalc.render.html import STYLE, escape, typeset, write_table
from matcalc.render.latex import to_latex, write_name, write_word
from matcalc.render.named_parts import choose_names, choose_parts, list_taken
from matcalc.render.report import name_derivative
from matcalc.rule_files import shipped_rules

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


@dataclass(frozen=True)
class Step:
    """One line of a derivation, `left` = `right`, with the rule that leads to it, its source and its shapes.

    `kind` says what the step does: "start", "rule", "collect", "name" (a part gets a name), "read" (the derivative
    is read off), "again" (the function of the next differentiation), "axis" (the shape unfolds) or "layout".
    `expression` is the right side where it is one; d(..) in it is an abstract function named D_OPERATOR; `shown` is the
    same with names for its parts.  `function` is what is differentiated here and `moving` the variable's
    change, so that a line can be checked.
    """

    left: str
    right: str
    kind: str
    rule: str = ""
    source: str = ""
    shapes: str = ""
    expression: Expression | None = None
    laws: tuple[Law, ...] = ()
    function: Expression | None = None
    moving: Expression | None = None
    shown: Expression | None = None

    @property
    def line(self) -> str:
        """The line as text."""
        return f"{self.left} = {self.right}" if self.kind != "axis" else f"{self.left}: {self.right}"

    def to_dict(self) -> dict[str, str]:
        """The step as plain data."""
        return {
            "line": self.line, "kind": self.kind, "rule": self.rule, "source": self.source, "shapes": self.shapes,
        }  # fmt: skip


def write_differential(expression: Expression) -> str:
    """The text of a line with d(..) for its differentials."""
    return to_text(expression).replace(f"{D_OPERATOR}(", "d(")


def write_law(law: Law) -> str:
    """A law as an equation: d inv(U) = -inv(U) @ dU @ inv(U)."""
    inside = law.left.args[0]
    plain = inside.op == "call" and inside.data[1] is None
    left = f"d {to_text(inside)}" if plain else f"d({to_text(inside)})"
    return f"{left} = {write_differential(law.right)}"


# --- steps ------------------------------------------------------------------------------------------
#
# The derivation as a person writes it: by differentials, law by law, then read off, then put in the layout.


_STRUCTURES = SQUARE_ASSUMPTIONS - {"invertible"}
_AGAIN = "differentiate again, the axes in the order of torch layout"


class Steps(tuple[Step, ...]):
    """The lines of a derivation, in order; a notebook shows them as a table."""

    def __str__(self) -> str:
        return write_steps(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return f'{STYLE}<div class="matcalc">{write_steps_table(self)}</div>'


def list_steps(derivative: Derivative) -> Steps:
    """Return the derivation of a derivative step by step, of a higher order one differentiation after the other.

    Raises MissingRuleError where a function has no rule, LimitError where the derivation has too many lines.
    """
    return Steps(_derive(derivative))


def _derive(derivative: Derivative) -> Iterator[Step]:
    name, function, wrt, result = derivative.result_name, derivative.function, derivative.wrt, derivative.result
    if derivative.order > 1:
        # Every entry is free: what is known of the variable must not enter before the last differentiation.
        free = symbol(wrt.name, wrt.shape, wrt.data[1] - _STRUCTURES)
        function, wrt = replace(function, {wrt: free}), free
        result = derive_result(function, wrt, 1, derivative.result.graph.rules)
    for order in range(1, derivative.order + 1):
        steps = [*_differentiate(name, function, result, derivative), _read_off(name, function, result)]
        known = list_taken(derivative.problem, result.graph.rules or shipped_rules(), derivative.declared)
        yield from name_parts_of_steps(steps, {*known, result.moving.name, derivative.result_name, *"GHJK"})
        if order < derivative.order:
            whole = name_derivative(derivative.result_name, wrt.name, order)
            taken = {*derivative.problem.symbols, *derivative.problem.abstract, derivative.result_name}
            name = [letter for letter in "GHJKLMNPQRSTUVWZ" if letter not in taken][order - 1]
            function = result.expression("torch")
            shapes = tell_shape(function.squeezed_shape)
            yield Step(name, f"{whole} = {to_text(function)}", "again", rule=_AGAIN, shapes=shapes, expression=function)
            result = derive_result(function, wrt, 1, derivative.result.graph.rules)
    yield from _arrange(derivative)


def _differentiate(name: str, function: Expression, result: Result, derivative: Derivative) -> Iterator[Step]:
    """The lines from d(Y) to the differential in its shortest form."""
    moving = result.moving
    known = (function, moving)
    lines = list(expand_differential(function, result.wrt, moving, derivative.result.graph.rules))
    for place, line in enumerate(lines):
        yield _write_line(f"d{name}", line, place, known)
    shortest = result.differential()
    if to_text(shortest) != write_differential(lines[-1].expression):
        rule = "terms collected, products in order" if lines[-1].laws else "simplified"
        yield _write_expression(f"d{name}", shortest, "collect", rule, known)


def _write_line(left: str, line: DifferentialLine, place: int, known: tuple[Expression, Expression]) -> Step:
    rules = "; ".join(dict.fromkeys(write_law(law) for law in line.laws))
    sources = "; ".join(dict.fromkeys(law.source for law in line.laws))
    kind = "rule" if place else "start"
    if place and not line.laws:
        varies = line.expression.op not in ("filled", "number")
        rules = "the variable itself" if varies else "a constant does not change"
    return _write_expression(left, line.expression, kind, rules, known, sources, line.laws)


def _write_expression(
    left: str, expression: Expression, kind: str, rule: str, known: tuple[Expression, Expression], source: str = "",
    laws: tuple[Law, ...] = (),
) -> Step:  # fmt: skip
    shapes = write_line_shapes(expression)
    return Step(left, write_differential(expression), kind, rule, source, shapes, expression, laws, *known)


# --- reading off ----------------------------------------------------------------------------------------


def _read_off(name: str, function: Expression, result: Result) -> Step:
    """The derivative in numerator layout as what stands before dX, or entry by entry."""
    left, rank = f"d{name}/d{result.wrt.name}", len(result.wrt.squeezed_shape)
    expression = result.expression("numerator")
    shape = tell_shape(result.shape("numerator"))
    read = Step(
        left, to_text(expression), "read", shapes=shape, expression=expression, function=function, moving=result.moving
    )
    moving = to_text(result.moving)
    if len(function.squeezed_shape) + rank > 2:
        left, _, right = write_entries(result, name).partition(" = ")
        letters = ",".join(result.letters[axis] for axis in result.axes if axis.of == "wrt")
        rule = f"read off the derivative: what stands before {moving}[{letters}]"
        return replace_fields(read, left=left, right=right, rule=rule, shapes=f"all entries together: {shape}")
    if rank == 2:
        rule = f"read off the derivative: d{name} = trace({left} @ {moving}) in numerator layout"
    else:
        rule = f"read off the derivative: what stands before {moving}"
    return replace_fields(read, rule=rule)


def _arrange(derivative: Derivative) -> Iterator[Step]:
    """The shape axis by axis where it has three or more, and the derivative in the layout that was asked for."""
    for left, right in unfold_shape(derivative):
        yield Step(left, right, "axis")
    name = name_derivative(derivative.result_name, derivative.wrt.name, derivative.order)
    rule = f"{derivative.layout} layout: {_remember(derivative) or _order_axes(derivative)}"
    yield Step(
        name, str(derivative), "layout", rule, shapes=tell_shape(derivative.shape), expression=derivative.expression,
        function=derivative.function,
    )  # fmt: skip


def list_rules(steps: Iterable[Step]) -> Sequence[tuple[str, str]]:
    """Every law that a derivation uses with its source, each once."""
    return list(dict.fromkeys((write_law(law), law.source) for step in steps for law in step.laws))


# --- step names -------------------------------------------------------------------------------------
#
# Names for what stands in the lines of a derivation again and again: z = W @ x + b, then d(softmax(z)).


_LONGEST_LINE = 100
_LINES = frozenset({"rule", "collect", "read"})


def name_parts_of_steps(steps: Sequence[Step], taken: Collection[str]) -> list[Step]:
    """Return the steps of one differentiation, in names where a line is too long; the names stand behind the start."""
    lines = [step.expression for step in steps if step.kind in _LINES and step.expression is not None]
    if not any(is_longer(line, _LONGEST_LINE) for line in lines):
        return list(steps)
    table = _choose(steps, taken)
    named = [_rename(step, table) for step in steps]
    return [*named[:1], *_define(table), *named[1:]] if table else named


def _choose(steps: Sequence[Step], taken: Collection[str]) -> dict[Expression, Expression]:
    """The parts that deserve a name, operands first, each with the symbol that stands for it."""
    last = [step.expression for step in steps if step.kind == "rule"][-1]
    assert last is not None
    nodes = list(walk(last))
    chosen, constant = choose_parts(nodes), _list_constant(nodes, steps[0].moving)
    # A selection is shown as the slice that it takes of what follows.
    parts = [node for node in nodes if id(node) in chosen and node in constant and not node.is_call(SELECTION)]
    names = choose_names(parts, taken)
    return {part: symbol(name, part.shape) for part, name in zip(parts, names, strict=True)}


def _list_constant(nodes: Sequence[Expression], moving: Expression | None) -> set[Expression]:
    """The nodes in which nothing changes: without dX and differentials."""
    found: set[Expression] = set()
    for node in nodes:
        if node is not moving and not is_differential(node) and all(arg in found for arg in node.args):
            found.add(node)
    return found


def _define(table: dict[Expression, Expression]) -> list[Step]:
    steps = []
    for place, (part, name) in enumerate(table.items()):
        earlier = dict(list(table.items())[:place])
        body = replace(part, earlier)
        shapes = tell_shape(part.squeezed_shape)
        steps.append(Step(name.name, to_text(body), "name", shapes=shapes, expression=body))
    return steps


def _rename(step: Step, table: dict[Expression, Expression]) -> Step:
    """The step in names; entry by entry, and where it begins, it stays as it is."""
    if step.expression is None or step.kind not in _LINES or "[" in step.left:
        return step
    shown = replace(step.expression, table)
    return replace_fields(step, right=write_differential(shown), shown=shown)


# --- steps text -------------------------------------------------------------------------------------
#
# A derivation as text, as Markdown and as LaTeX.


_WIDTH = 120
WIDEST_LINE = 64
_GAP = "    "


def write_steps(steps: Sequence[Step]) -> str:
    """Return a derivation as aligned text, rule, source and shapes beside each line or, where too wide, below it."""
    rows = []
    for step, before in zip(steps, [None, *steps], strict=False):
        told = f"{step.rule}  [{step.source}]" if step.source else step.rule
        rows.append((_write_sides(step, before), [text for text in (told, step.shapes) if text]))
    width = max((len(line) for line, _ in rows if len(line) <= WIDEST_LINE), default=0)
    return "\n".join(text for line, comment in rows for text in _place(line, comment, width))


def _write_sides(step: Step, before: Step | None) -> str:
    """left = right; the left side once where it stays the same."""
    if step.kind == "axis":
        return f"{_GAP}{step.line}"
    if before is not None and before.left == step.left and step.kind != "layout":
        return f"{' ' * len(step.left)} = {step.right}"
    return step.line


def _place(line: str, comment: list[str], width: int) -> Iterator[str]:
    """The line with its comment beside it, or below where one of them is too wide."""
    widest = max(map(len, comment), default=0)
    if not comment or len(line) > width or width + len(_GAP) + widest > _WIDTH:
        yield line
        yield from (f"{_GAP}{_GAP}{text}" for text in comment)
        return
    yield f"{line.ljust(width)}{_GAP}{comment[0]}"
    yield from (f"{' ' * width}{_GAP}{text}" for text in comment[1:])


def write_steps_markdown(steps: Sequence[Step]) -> str:
    """Return a derivation as a Markdown table: line, rule with its source, shapes."""
    rows = ["| line | rule | shapes |", "| --- | --- | --- |"]
    for step in steps:
        # The words of a rule stand as they are: no tag, no link, no mathematics.
        source = " (" + re.sub(r"[\\`\[\]$|<]", r"\\\g<0>", step.source) + ")" if step.source else ""
        rule, shapes = (f"`{step.rule}`" if step.laws else step.rule), step.shapes
        told = [text.replace("|", "\\|") for text in (rule, shapes)]
        rows.append(f"| `{step.line}` | {told[0]}{source} | {told[1]} |")
    return "\n".join(rows)


# --- steps latex ------------------------------------------------------------------------------------
#
# A derivation as LaTeX: one align* with the rule beside each line.


_SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "^": r"\^{}", "~": r"\~{}",
})  # fmt: skip


# Signs that have their own space; what stands behind one of them, and what before.
_SIGNS = "odot|oslash|otimes|cdot"
_SIGN = r"\\odot)(?<!\\oslash)(?<!\\otimes)(?<!\\cdot"


def write_steps_latex(steps: Sequence[Step]) -> str:
    r"""Return a derivation as an align* environment, the rule and its source beside each line.

    Raises nothing of its own; what has no matrix notation stands in index notation.
    """
    shown = [step for step in steps if step.expression is not None]
    lines = []
    for step, before in zip(shown, [None, *shown], strict=False):
        same = before is not None and before.left == step.left
        left = "" if same else write_left(step)
        told = write_comment(step)
        lines.append(f"{left} &= {write_right(step)}" + (f" && {told}" if told else ""))
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def write_left(step: Step) -> str:
    """The left side: dY, or the derivative as a fraction."""
    if step.kind in ("again", "name"):
        return write_name(step.left)
    if "/" not in step.left:
        return _write_change(step.left)
    above, below = [side.split("[")[0][1:] for side in step.left.split("/")]
    order = above[0] if above[0].isdigit() else ""
    below = below.removesuffix(order)
    power = f"^{{{order}}}" if order else ""
    return f"\\frac{{\\partial{power} {write_name(above.removeprefix(order))}}}{{\\partial {write_name(below)}{power}}}"


def _write_change(text: str) -> str:
    return f"\\mathrm{{d}} {write_name(text[1:])}"


def write_right(step: Step) -> str:
    """The right side, d(..) and dX with an upright d."""
    shown = step.shown or step.expression
    assert shown is not None
    return write_differential_latex(shown)


def write_differential_latex(expression: Expression) -> str:
    r"""Return the LaTeX of a line: \mathrm{d}(..) for its differentials, \mathrm{d} X for the change of X."""
    text = to_latex(expression)
    for node in walk(expression):
        if node.op == "symbol" and node.name.startswith("d") and len(node.name) > 1:
            text = set_change(text, node.name)
    if list_differentials(expression):
        text = text.replace(write_word(D_OPERATOR), "\\mathrm{d}")
    return text


def set_change(latex: str, name: str) -> str:
    r"""Return a formula with an upright d for the change `name` of a variable, a thin space on its open sides.

    >>> set_change(r"A \mathrm{dX} B + C \odot \mathrm{dX}", "dX")
    'A \\, \\mathrm{d} X \\, B + C \\odot \\mathrm{d} X'
    """
    change = _write_change(name)
    latex = latex.replace(write_name(name), change)
    place = re.escape(change)
    latex = re.sub(rf"(?<!{_SIGN})(?<=[\w)\]}}]) (?={place})", r" \\, ", latex)
    return re.sub(rf"({place}) (?=[\w(]|\\(?!{_SIGNS}|,|right))", r"\1 \\, ", latex)


def _write_law_latex(law: Law) -> str:
    return f"{write_differential_latex(law.left)} = {write_differential_latex(law.right)}"


def write_comment(step: Step) -> str:
    """The laws as equations with their sources in words."""
    laws = dict.fromkeys(map(_write_law_latex, step.laws))
    words = step.source if step.laws else step.rule
    told = f"\\text{{{words.translate(_SPECIAL)}}}" if words else ""
    return ",\\; ".join(laws) + ("\\quad " if laws and told else "") + told


# --- steps html -------------------------------------------------------------------------------------
#
# A derivation as a table for a notebook: each line typeset, with the law, its source and the shapes.


# A longer line of LaTeX scrolls by itself, so that law and shapes stay in sight.
LONG_LINE = 240


def write_steps_table(steps: Sequence[Step]) -> str:
    """Return a derivation as a table that scrolls where it is too wide or too long.

    >>> from matcalc.derivation import derive
    >>> write_steps_table(derive("A @ x").steps).count("<tr>")
    5
    """
    rows = []
    for step, before in zip(steps, [None, *steps], strict=False):
        laws = dict.fromkeys(map(_write_law_latex, step.laws))
        told = "<br>".join(map(typeset, laws)) or _keep_shapes(escape(step.rule))
        rows.append([_write_line_html(step, before), told, escape(step.source), _keep_shapes(escape(step.shapes))])
    return f'<div class="mc-wide mc-tall">{write_table(["line", "law", "source", "shapes"], rows)}</div>'


def _keep_shapes(told: str) -> str:
    """A shape is not broken over lines."""
    return re.sub(r"\([^()]*\)", lambda shape: shape[0].replace(" ", "&nbsp;"), told)


def _write_line_html(step: Step, before: Step | None) -> str:
    """left = right; the left side once where it stays the same."""
    if step.expression is None:
        return f'<span style="white-space:nowrap">&emsp;{escape(step.line)}</span>'
    same = before is not None and before.left == step.left and step.kind != "layout"
    latex = f"{'' if same else write_left(step)} = {write_right(step)}"
    if len(latex) <= LONG_LINE:
        return typeset(latex)
    return f'<div style="max-width:34em;overflow-x:auto;overflow-y:hidden;padding:.4em 0">{typeset(latex)}</div>'


# --- line shapes ------------------------------------------------------------------------------------
#
# The shapes beside a line: (m, n) @ (n, k) @ (k, l) of a chain of products, else the shapes of what it is made of.


LONGEST = 100


def write_line_shapes(line: Expression) -> str:
    """Return the shapes of the chains of products in a line and of the whole line.

    >>> from matcalc.language.text_to_expression import parse
    >>> write_line_shapes(parse("A @ x + 2*B @ x").expressions[0])
    '(m, n) @ (n, 1), shape (m,)'
    """
    told = tell_shape(line.squeezed_shape)
    chains = [[f"({', '.join(map(str, shape))})" for shape in chain] for chain in _list_chains(line)]
    text = ", ".join([*dict.fromkeys(map(" @ ".join, chains)), told])
    return text if len(text) <= LONGEST else told


def tell_shape(shape: Shape) -> str:
    """A shape without unit axes in words: shape (m, n), or a scalar."""
    return f"shape {write_shape(shape)}" if shape else "a scalar"


def _list_chains(line: Expression) -> Iterator[list[Shape]]:
    """The shapes of the factors of every chain that stands at the top of a term."""
    stack = [line]
    while stack:
        node = stack.pop()
        if node.op in ("add", "subtract", "negate", "divide", "transpose"):
            stack += reversed(node.args)
        elif node.op == "multiply":
            stack += [arg for arg in reversed(node.args) if arg.op != "number"]
        elif node.op == "call" and node.data[0].function in ("trace", "sum") and node.data[1] is None:
            stack.append(node.args[0])
        elif node.op == "matmul":
            yield [factor.shape for factor in flatten(node)]


# --- unfold shape -----------------------------------------------------------------------------------
#
# How the shape of a derivative comes about: axis by axis in each layout, and the two memory rules for vectors.


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def unfold_shape(derivative: Derivative) -> Iterator[tuple[str, str]]:
    """Yield the axes of a derivative of rank 3 and more one after the other, each with the shape so far.

    >>> from matcalc import derive
    >>> for axis, shape in unfold_shape(derive("A @ X @ B", "X")):
    ...     print(axis, shape)
    Y's first axis, m (m,)
    Y's second axis, l (m, l)
    X's second axis, k (m, l, k)
    X's first axis, n (m, l, k, n)
    """
    axes = derivative.result.axes
    if len(axes) < 3 or derivative.layout == "vec":
        return
    sizes = dict(zip(axes, derivative.result.node.shape, strict=True))
    shape: list[Size] = []
    for axis in arrange(axes, derivative.layout):
        shape.append(sizes[axis])
        yield f"{_name_axis(derivative, axis)}, {sizes[axis]}", write_shape(tuple(shape))


def _name_axis(derivative: Derivative, axis: Axis) -> str:
    name = derivative.result_name if axis.of == "result" else derivative.wrt.name
    rank = len((derivative.function if axis.of == "result" else derivative.wrt).squeezed_shape)
    again = f" (differentiation {axis.order})" if axis.of == "wrt" and derivative.order > 1 else ""
    return f"{name}'s {_ORDINALS[axis.axis] + ' ' if rank > 1 else ''}axis{again}"


def _remember(derivative: Derivative) -> str:
    """The memory rule for a scalar by a vector and a vector by a scalar."""
    own, other = derivative.function.squeezed_shape, derivative.wrt.squeezed_shape
    if derivative.order > 1 or len(own) + len(other) != 1 or derivative.layout in ("torch", "vec"):
        return ""
    top, bottom = derivative.result_name, derivative.wrt.name
    scalar, vector = (bottom, top) if own else (top, bottom)
    size = (own or other)[0]
    read = f"read {scalar} as a row of one, {vector} as a column"
    if derivative.layout == "denominator" or (derivative.layout == "mixed" and not own):
        return f"{read}: rows as {bottom} below, {f'({size}, 1)' if other else f'(1, {size})'}"
    return f"{read}: rows as {top} above, {f'({size}, 1)' if own else f'(1, {size})'}"


def _order_axes(derivative: Derivative) -> str:
    """The order of the axes in words."""
    own = f"the axes of {derivative.result_name}" if derivative.function.squeezed_shape else ""
    other = derivative.wrt.name
    rank = len(derivative.wrt.squeezed_shape)
    if not derivative.shape:
        return "two scalars, no axes to order"
    match derivative.layout:
        case "vec":
            return f"columns of {derivative.result_name} stacked give the rows, columns of {other} stacked the columns"
        case "denominator":
            return "all axes of numerator layout in reverse"
    transposed = derivative.layout != "torch" and not (derivative.layout == "mixed" and not own) and rank > 1
    by = f"the axes of {other}{' in reverse' if transposed else ''}" if rank else ""
    by += ", once for each differentiation" if derivative.order > 1 else ""
    return ", then ".join(text for text in (own, by) if text)
