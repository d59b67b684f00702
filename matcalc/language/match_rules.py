"""Which form of a function fits its arguments, and the shape of what it returns."""

from __future__ import annotations

import ast
from fractions import Fraction

from matcalc.errors import MatcalcError, ParseError, RuleError, ShapeError
from matcalc.language.draft import (
    SCALAR_AXES,
    Axes,
    Axis,
    Draft,
    Reading,
    broadcast_axes,
    hold,
    is_unit,
    multiply_axes,
    unify,
)
from matcalc.language.explain_calls import advise_arguments, advise_axis, advise_keyword, write_forms
from matcalc.language.sizes import UNIT, Size
from matcalc.rule_files import Rule
from matcalc.rule_signature import Parameter

# Functions of a 1 by 1 matrix, which counts as a scalar: trace(x.T @ A @ x) is x.T @ A @ x.
_SAME_FOR_SCALARS = frozenset({"trace", "det", "diag", "vec", "tril", "triu"})
_SCALAR_FORMS = {"logdet": "log", "expm": "exp", "sqrtm": "sqrt", "norm": "abs"}


def call_rule(reading: Reading, name: str, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return the draft of a call in a text, keywords included; raises ShapeError where no overload fits."""
    span = reading.source.span(node)
    axis, keepdims = _read_keywords(reading, name, node)
    if name == "norm":
        _refuse_counting(args, span)
    if axis is not None or keepdims:
        return _call_along_axis(reading, reading.book.overloads(name), node, args, axis, keepdims)
    return call_function(reading, name, args, span)


def call_function(reading: Reading, name: str, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """Return the draft of a function of its arguments by the first overload that fits; raises ShapeError."""
    rules = reading.book.overloads(name)
    for rule in rules:
        variables = _match(rule, args)
        if variables is not None:
            return _apply(reading, rule, variables, span)
    scalar = _call_of_scalar(reading, name, args, span)
    if scalar is not None:
        return scalar
    raise _explain_no_match(reading, name, rules, args, span)


def _refuse_counting(args: tuple[Draft, ...], span: tuple[int, int]) -> None:
    if len(args) == 2 and args[1].op != "text" and args[1].value == 0:
        raise ParseError("norm(x, 0) counts the entries that are not 0 and has no derivative", span=span,
                         advice="write norm(x, 1), the sum of their absolute values")  # fmt: skip


# --- which overload fits --------------------------------------------------------------------------------


def _match(rule: Rule, args: tuple[Draft, ...]) -> tuple[Draft, ...] | None:
    """Return the arguments that are expressions if the rule takes these kinds of arguments, else None."""
    if len(rule.parameters) != len(args):
        return None
    if _list_misfits(rule, args):
        return None
    return tuple(arg for parameter, arg in zip(rule.parameters, args, strict=True) if parameter.literal is None)


def _accepts(rule: Rule, parameter: Parameter, arg: Draft, has_axes: bool) -> bool:
    if parameter.literal is not None:
        given = arg.data[0] if arg.op == "text" else arg.value
        return bool(given == parameter.literal)
    if arg.op in ("text", "compare"):
        return False
    if parameter.axes is None:
        return not has_axes or arg.is_scalar
    if len(parameter.axes) == 1 and arg.is_row:
        return rule.result == () or isinstance(rule.result, str)
    wanted = hold_letters(parameter.axes)
    return len(wanted) == len(arg.axes) and all(
        is_unit(axis) == (letter == "1") for letter, axis in zip(wanted, arg.axes, strict=True)
    )


def hold_letters(axes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the axes of a signature as they are held: [n] is (n, 1)."""
    return axes + ("1",) * (2 - len(axes))


# --- the shape of the result --------------------------------------------------------------------------


def _apply(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """Return the draft of a call whose arguments have the kinds that the rule takes."""
    turned = tuple(_turn_row(reading, parameter, arg) for parameter, arg in zip(rule.variables, args, strict=True))
    letters = _bind_letters(reading, rule, turned, span)
    axes = _shape_result(reading, rule, turned, letters, span)
    if rule.axis and args[0].is_matrix and axes is args[0].axes and not reading.is_rule:
        reading.note(
            f"{rule.function}({reading.write(args[0])}) without axis= takes all entries of "
            f"{reading.write(args[0])} together; write axis=1 for each row"
        )
    draft = reading.add("call", turned, axes, span, (rule, None, False))
    if isinstance(rule.result, str) and turned[0] is not args[0]:
        return reading.add("transpose", (draft,), axes[::-1], span)
    return draft


def _turn_row(reading: Reading, parameter: Parameter, arg: Draft) -> Draft:
    """Return a row as a column where the rule is stated for a vector."""
    if parameter.axes is None or len(parameter.axes) != 1 or not arg.is_row:
        return arg
    return reading.add("transpose", (arg,), arg.axes[::-1], arg.span)


def _bind_letters(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> dict[str, Axis]:
    """Return what each letter of the signature stands for; raises ShapeError for two different sizes."""
    letters: dict[str, Axis] = {}
    for parameter, arg in zip(rule.variables, args, strict=True):
        for letter, axis in zip(parameter.axes or (), arg.axes, strict=False):
            if letter.isdigit():
                letters[letter] = Size.of(letter)
            if not unify(letters.setdefault(letter, axis), axis):
                raise _explain_sizes(reading, rule, arg, span)
    return letters


def _explain_sizes(reading: Reading, rule: Rule, arg: Draft, span: tuple[int, int]) -> ShapeError:
    parameter = next(p for p in rule.variables if p.axes is not None)
    if len(rule.variables) == 1 and parameter.axes and len(set(parameter.axes)) < len(parameter.axes):
        reason = f"{rule.function} takes a square matrix, and {reading.write(arg)} is {reading.describe(arg.axes)}"
        return ShapeError(reason, span=arg.span, advice="declare its shape, or use a product such as X.T @ X")
    return ShapeError(
        f"the sizes do not fit {rule.call}: {reading.write(arg)} is {reading.describe(arg.axes)}", span=arg.span
    )


def _shape_result(
    reading: Reading, rule: Rule, args: tuple[Draft, ...], letters: dict[str, Axis], span: tuple[int, int]
) -> Axes:
    if rule.is_elementwise:
        return _broadcast_all(reading, rule, args, span)
    if isinstance(rule.result, str):
        return _shape_like(rule, rule.result, args)
    if rule.result:
        return hold(tuple(_read_result_size(rule, text, letters) for text in rule.result))
    if any(parameter.axes is not None for parameter in rule.variables) or not rule.is_definition:
        return SCALAR_AXES
    return _shape_stated(reading, rule, args, span)


def _broadcast_all(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> Axes:
    axes: Axes | None = SCALAR_AXES
    for arg in args:
        axes = broadcast_axes(axes, arg.axes) if axes is not None else None
    if axes is None:
        written = ", ".join(reading.write_shapes(*(arg.axes for arg in args)))
        raise ShapeError(f"{rule.function} cannot combine {written} entry by entry", span=span)
    return axes


def _shape_like(rule: Rule, name: str, args: tuple[Draft, ...]) -> Axes:
    for parameter, arg in zip(rule.variables, args, strict=True):
        if parameter.name == name:
            return arg.axes
    raise RuleError(f"rule [{rule.name}] in {rule.file} returns the shape of {name}, which is no parameter")


def _read_result_size(rule: Rule, text: str, letters: dict[str, Axis]) -> Axis:
    factors: list[Axis] = []
    for part in text.replace(" ", "").split("*"):
        if not part.isdigit() and part not in letters:
            raise RuleError(f"rule [{rule.name}] in {rule.file} returns the size {part}, which no parameter has")
        factors.append(Size.of(part) if part.isdigit() else letters[part])
    return multiply_axes(factors)


def _shape_stated(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> Axes:
    """Return the shape that the rule's own text has: [sqrt] with define = "x**(1/2)" is shaped like x."""
    kinds = tuple(tuple(is_unit(axis) for axis in arg.axes) for arg in args)
    like = reading.find_stated_shape(reading.book, rule, kinds)
    if len(args) > 1:
        _broadcast_all(reading, rule, args, span)
    return SCALAR_AXES if like is None else args[like].axes


# --- axis= and keepdims= --------------------------------------------------------------------------------


def _read_keywords(reading: Reading, name: str, node: ast.Call) -> tuple[int | None, bool]:
    axis, keepdims = None, False
    for keyword in node.keywords:
        span = reading.source.span(keyword)
        value = _read_literal(keyword.value)
        if keyword.arg == "axis" and type(value) is int:
            axis = value
        elif keyword.arg == "keepdims" and isinstance(value, bool):
            keepdims = value
        elif keyword.arg == "axis" and value is None and isinstance(keyword.value, ast.Constant):
            axis = None
        else:
            raise ParseError(
                f"{name} cannot take {reading.source.write(keyword)[:40]}",
                span=span, advice=advise_keyword(reading, name, keyword, node),
            )  # fmt: skip
    return axis, keepdims


def _read_literal(node: ast.expr) -> object:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if type(node.operand.value) is int else None
    return node.value if isinstance(node, ast.Constant) else None


def _call_along_axis(
    reading: Reading, rules: list[Rule], node: ast.Call, args: tuple[Draft, ...], axis: int | None, keepdims: bool
) -> Draft:
    """sum(X, axis=0), softmax(X, axis=1): the rule holds for each column, or for each row."""
    span = reading.source.span(node)
    rule = next((rule for rule in rules if rule.axis and len(rule.parameters) == len(args) == 1), None)
    if rule is None or args[0].op in ("text", "compare"):
        advice = advise_axis(reading, rules, args, axis)
        raise ParseError(f"{rules[0].function} takes no axis= or keepdims= here", span=span, advice=advice)
    reduces = rule.result == () and _is_reduction(reading, rule, args[0])
    if keepdims and not reduces:
        raise ParseError(f"{rule.function} takes no keepdims=", span=span, advice="leave it out")
    (arg,) = args
    if axis is None or not arg.is_matrix:
        return _call_whole(reading, rule, arg, axis, span)
    if axis not in (-2, -1, 0, 1):
        raise ShapeError(f"a matrix has no axis {axis}", span=span, advice="write axis=0 (down) or axis=1 (across)")
    axis %= 2
    axes = _reduce(arg.axes, axis, keepdims) if reduces else arg.axes
    return reading.add("call", args, axes, span, (rule, axis, keepdims))


def _is_reduction(reading: Reading, rule: Rule, arg: Draft) -> bool:
    return not rule.is_definition or _shape_stated(reading, rule, (arg,), arg.span) is SCALAR_AXES


def _reduce(axes: Axes, axis: int, keepdims: bool) -> Axes:
    """Return the shape left of a matrix: a column, or with keepdims a row for axis 0."""
    return (UNIT, axes[1]) if axis == 0 and keepdims else (axes[1 - axis], UNIT)


def _call_whole(reading: Reading, rule: Rule, arg: Draft, axis: int | None, span: tuple[int, int]) -> Draft:
    """Return the plain call: without axis, or along the only axis of a vector."""
    fitting = {None, 0, -1} | ({1} if arg.is_row else set())
    if axis not in fitting or (axis is not None and len(arg.axes) != 2):
        raise ShapeError(
            f"{reading.write(arg)} is {reading.describe(arg.axes)} and has no axis {axis}",
            span=span,
            advice="leave axis= out",
        )
    if _match(rule, (arg,)) is None:
        raise _explain_no_match(reading, rule.function, [rule], (arg,), span)
    return _apply(reading, rule, (arg,), span)


# --- scalars and misfits --------------------------------------------------------------------------------


def _call_of_scalar(reading: Reading, name: str, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft | None:
    """Return what a function of matrices makes of scalars: trace(a) is a, inv(a) is 1/a, kron(a, B) is a*B."""
    if not args or not args[0].is_scalar or any(arg.op in ("text", "compare") for arg in args[:1]):
        if name == "kron" and len(args) == 2 and args[1].is_scalar:
            return reading.add("multiply", args, args[0].axes, span)
        return None
    if name in _SAME_FOR_SCALARS and len(args) == 1:
        return args[0]
    if name in ("inv", "pinv") and len(args) == 1:
        one = reading.add("number", (), SCALAR_AXES, span, (Fraction(1),))
        return reading.add("divide", (one, args[0]), SCALAR_AXES, span)
    if name in ("kron", "dot", "outer") and len(args) == 2 and (name == "kron" or args[1].is_scalar):
        return reading.add("multiply", args, args[1].axes, span)
    form = _SCALAR_FORMS.get(name)
    if form is None or (name == "norm" and len(args) == 2 and args[1].op != "text" and args[1].value is None):
        return None
    return _apply(reading, reading.book.overloads(form)[0], args[:1], span)


def _explain_no_match(
    reading: Reading, name: str, rules: list[Rule], args: tuple[Draft, ...], span: tuple[int, int]
) -> MatcalcError:
    """Say what the function takes, and what it was given."""
    if all(len(rule.parameters) != len(args) for rule in rules):
        advice = advise_arguments(reading, name, args)
        if advice is None and any(rule.axis for rule in rules) and len(args) == 2 and args[1].value in (0, 1, -1):
            advice = f"write {name}({reading.write(args[0])}, axis={reading.write(args[1])})"
        advice = advice or "write " + write_forms(rules)
        return ParseError(f"{name} cannot take {len(args)} arguments", span=span, advice=advice)
    fitting = [rule for rule in rules if len(rule.parameters) == len(args)]
    nearest = min(fitting, key=lambda rule: _rank_misfits(rule, args))
    parameter, arg = _list_misfits(nearest, args)[0]
    if arg.op == "text" and not any(isinstance(p.literal, str) for rule in fitting for p in rule.parameters):
        return ParseError("a text in quotes has no meaning here", span=arg.span, advice="write names without quotes")
    given = f"{reading.write(arg)} is {reading.describe(arg.axes)}" if arg.op != "text" else f"not {reading.write(arg)}"
    advice = advise_arguments(reading, name, args) or _advise(reading, nearest, parameter, arg)
    return ShapeError(f"{name} takes {write_forms(fitting)}; {given}", span=span, advice=advice)


def _rank_misfits(rule: Rule, args: tuple[Draft, ...]) -> tuple[int, bool]:
    """Return how badly the arguments fit: the number of misfits, then whether it is only another literal."""
    misfits = _list_misfits(rule, args)
    return len(misfits), any(parameter.literal is not None and arg.op != "text" for parameter, arg in misfits)


def _list_misfits(rule: Rule, args: tuple[Draft, ...]) -> list[tuple[Parameter, Draft]]:
    has_axes = not rule.is_elementwise and any(parameter.axes is not None for parameter in rule.variables)
    pairs = zip(rule.parameters, args, strict=True)
    return [(parameter, arg) for parameter, arg in pairs if not _accepts(rule, parameter, arg, has_axes)]


def _advise(reading: Reading, rule: Rule, parameter: Parameter, arg: Draft) -> str | None:
    """Return how the argument can be made to fit the parameter."""
    if parameter.literal is not None:
        return f"write {write_forms([rule])}"
    if parameter.axes is None:
        return f"declare {reading.write(arg)} as a scalar"
    if len(parameter.axes) == 1 and arg.is_matrix:
        along = "write axis=0 for each column or axis=1 for each row"
        return along if rule.axis else f"write {rule.function} of a vector"
    if len(parameter.axes) == 1 and arg.is_row:
        return f"write {reading.write(arg).removesuffix('.T')}, a column"
    if len(parameter.axes) == 2 and not arg.is_matrix:
        return f"{rule.function} takes a matrix; declare the shape of each name, or build one with @"
    return None
