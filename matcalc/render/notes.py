"""What the reader should know beside the formula: kinks, structure, entry-by-entry functions, rarer words."""

from __future__ import annotations

from collections.abc import Iterator

from matcalc.language.declarations import name_structure
from matcalc.language.expression import Expression, walk
from matcalc.language.expression_to_text import to_text
from matcalc.language.sizes import write_shape


def describe_notes(
    function: Expression, wrt: Expression, answer: Expression, meaning: str = "free"
) -> Iterator[str]:
    """Yield the notes on a derivative, each a short sentence."""
    yield from _describe_structure(wrt, meaning)
    yield from _describe_matrix_functions(function)
    yield from describe_kinks(function, wrt)
    yield from _describe_divisions(function, answer)
    yield from _describe_words(function, answer)


def _describe_divisions(function: Expression, answer: Expression) -> Iterator[str]:
    """Say where a formula holds that is written with a quotient or an inverse, though the derivative exists beyond."""
    printed = {_word(node) for node in walk(answer)}
    told: set[str] = set()
    for node in walk(function):
        word = _word(node)
        if word in printed - told and node.op == "call" and node.data[0].differential and node.data[0].note:
            told.add(word)
            if word not in {"largest", "smallest"}:
                yield node.data[0].note


_MEANINGS = {
    "tied": "the entries of {name} that are tied by its being {kind} move together, and are one entry",
    "space": "the gradient within the {kind} matrices: that with every entry free, projected onto them",
    "vech": "by the independent entries of the {kind} {name}, column by column, the others moving with them",
}
_STRUCTURES = ("symmetric", "posdef", "skew", "diagonal", "lower-triangular", "upper-triangular", "orthogonal")


def _describe_structure(wrt: Expression, meaning: str) -> Iterator[str]:
    """Say what the derivative by a structured matrix means."""
    if meaning != "free" and (kind := name_structure(wrt)) is not None:
        yield _MEANINGS[meaning].format(name=wrt.name, kind=kind)
        return
    found = [word for word in _STRUCTURES if word in wrt.data[1]]
    if found and not wrt.is_scalar:
        yield f"every entry of {wrt.name} is free in this derivative, though {wrt.name} is {found[0]}"


# --- functions that exist of entries and of matrices ----------------------------------------------

_OF_MATRICES = {
    "exp": "expm({0}) is the matrix exponential", "sqrt": "sqrtm({0}) is the matrix square root",
    "log": "", "sin": "", "cos": "",
}  # fmt: skip


def _describe_matrix_functions(function: Expression) -> Iterator[str]:
    """Say once of each function that it takes a square matrix entry by entry."""
    summed = {id(arg) for node in walk(function) if _word(node) in ("sum", "mean") for arg in node.args}
    told: set[str] = set()
    for node in walk(function):
        word = "**" if node.op == "power" else _word(node)
        if word in told or id(node) in summed or not (word == "**" or word in _OF_MATRICES):
            continue
        other = _name_matrix_power(node) if word == "**" else _OF_MATRICES[word].format(to_text(node.args[0]))
        shape = node.args[0].squeezed_shape
        looks_inverse = len(node.squeezed_shape) == 2 and word == "**" and other.startswith("inv(")
        if looks_inverse or (len(shape) == 2 and shape[0] == shape[1]):
            told.add(word)
            yield f"{to_text(node)} works entry by entry" + (f"; {other}" if other else "")


def _name_matrix_power(node: Expression) -> str:
    base, exponent = node.args
    text, sign = to_text(base), 1
    if exponent.op == "negate":
        sign, exponent = -1, exponent.args[0]
    if exponent.op != "number" or exponent.data[0].denominator != 1:
        return ""
    power = sign * exponent.data[0].numerator
    return f"inv({text}) is the inverse" if power == -1 else f"matrix_power({text}, {power}) is the matrix power"


# --- kinks ----------------------------------------------------------------------------------------

# Their kinks are points where they have no value, or only where their rule divides by zero.
_SMOOTH_WHERE_DEFINED = {"tan", "inv", "det", "solve", "prod", "elu"}


def describe_kinks(function: Expression, wrt: Expression) -> Iterator[str]:
    """Say where the function has no derivative by the variable, for each function with kinks."""
    moving, told = {wrt}, set()
    for node in walk(function):
        if moving.isdisjoint(node.args):
            continue
        moving.add(node)
        condition = _find_kink(node) if node.op == "call" else None
        if condition and condition not in told and _is_exposed(function, node):
            told.add(condition)
            yield f"{to_text(node)} {condition}"


def _find_kink(node: Expression) -> str | None:
    """Where a call has no derivative, as the end of a sentence about it."""
    rule, texts = node.data[0], [to_text(arg) for arg in node.args]
    line = {0: "a column of ", 1: "a row of "}.get(node.data[1], "")
    if rule.nondifferentiable:
        values = {parameter.name: line + text for parameter, text in zip(rule.variables, texts, strict=True)}
        return f"is not differentiable where {rule.nondifferentiable.format_map(values)}"
    if rule.function in ("max", "min"):
        extreme = "largest" if rule.function == "max" else "smallest"
        return f"is not differentiable where two entries of {line}{texts[0]} are the {extreme}"
    if rule.function == "where" and node.args[0].op == "compare":
        return f"may have no derivative where {_write_equation(*map(to_text, node.args[0].args))}"
    if not rule.kinks or rule.function in _SMOOTH_WHERE_DEFINED:
        return None
    return _substitute_names(node, texts)


def _substitute_names(node: Expression, texts: list[str]) -> str | None:
    """The condition of a kink with the arguments in place of the rule's parameters."""
    rule = node.data[0]
    values = {p.name: text for p, text in zip(rule.variables, texts, strict=True)}
    conditions = []
    for factor in rule.kinks.replace("(", "").replace(")", "").split("*"):
        left, _, right = factor.partition(" - ")
        if left not in values or right not in {*values, ""}:
            return None
        if rule.variables[0].name == left:  # a border that moves, not two borders that meet
            conditions.append(_write_equation(values[left], values.get(right, "0")))
    return "is not differentiable where " + " or ".join(dict.fromkeys(conditions)) if conditions else None


def _write_equation(left: str, right: str) -> str:
    """left = right, a plain 0 last."""
    return f"{right} = {left}" if left == "0" else f"{left} = {right}"


def _is_exposed(function: Expression, kink: Expression) -> bool:
    """Whether the kink shows in the function: not in the condition of where, nor in a branch away from it."""
    seen, stack = {id(function)}, [function]
    while stack:
        node = stack.pop()
        if node is kink:
            return True
        for place, arg in enumerate(node.args):
            if id(arg) not in seen and not _hides(node, place, kink):
                seen.add(id(arg))
                stack.append(arg)
    return False


def _hides(node: Expression, place: int, kink: Expression) -> bool:
    """Whether a kink cannot be seen through this argument of a node."""
    if node.op == "compare":
        return True
    if kink is node.args[place] and _word(kink) == "norm":
        exponent = node.args[1].data[0] if node.op == "power" and node.args[1].op == "number" else 0
        is_even_power = _word(node) == "square" or (exponent > 0 and exponent % 2 == 0)
        return is_even_power or (node.op == "divide" and place == 1)
    if _word(node) != "where" or node.args[0].op != "compare" or kink not in node.args[0].args:
        return False
    # Of where(abs(x) <= c, ...) the branch that is taken for large abs(x) only.
    larger_first = node.args[0].data[0] in (">", ">=")
    return place == (1 if larger_first == (node.args[0].args[0] is kink) else 2)


# --- words of the answer --------------------------------------------------------------------------


def _describe_words(function: Expression, answer: Expression) -> Iterator[str]:
    """Say what the rarer words of the answer mean, those that the reader did not use."""
    used = {_word(node) for node in walk(function)}
    told: set[str] = set()
    for node in walk(answer):
        word = _word(node)
        note = _explain_derivative(node) if node.op == "abstract_derivative" else _FILLED_NOTES.get(word, "")
        note = str(node.data[0].note) if node.op == "call" else note
        if note and word not in used | told:
            told.add(word)
            yield note


def _word(node: Expression) -> str:
    if node.op == "call":
        return str(node.data[0].function)
    if node.op == "abstract_derivative":
        return f"D({node.name})"
    return node.name if node.op == "filled" else ""


def _explain_derivative(node: Expression) -> str:
    """Say what D(u, x) is and how its axes lie, whatever the layout of the answer."""
    shape = node.squeezed_shape
    lie = ", a column" if len(shape) == 1 else ", axes in numerator layout"
    order = "" if node.data[1] == 1 else f"{('second', 'third')[node.data[1] - 2]} " if node.data[1] < 4 else "higher "
    told = f" has the shape {write_shape(shape)}{lie}" if shape else " is a scalar"
    return f"{to_text(node)}, the {order}derivative of {node.name},{told}"


_FILLED_NOTES = {
    "fuse": "fuse(m, p)[I, i, j] is 1 where I = i*p + j, and 0 elsewhere: the axis I joins the axes i and j",
    "commutation": "commutation(m, n) @ vec(X) is vec(X.T) for X of shape (m, n)",
    "duplication": "duplication(n) @ h is vec(X) for the symmetric X with h on and below its diagonal by columns",
}
