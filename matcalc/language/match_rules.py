"""Which form of a function fits its arguments, and the shape of what it returns, along an axis too."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction

from matcalc.errors import MatcalcError, ParseError, RuleError, ShapeError
from matcalc.language.draft import (
    SCALAR_AXES,
    Axes,
    Draft,
    DraftAxis,
    Reading,
    broadcast_axes,
    hold_axes,
    is_unit,
    read_result_size,
    unify,
)
from matcalc.language.explain_calls import advise_arguments, advise_axis, advise_keyword, write_forms
from matcalc.language.sizes import UNIT, Size
from matcalc.rule_files import HIGHEST_POLYNOMIAL, ORDERS, Parameter, Rule, find_sympy_rules

_Span = tuple[int, int]

# --- the form that fits ------------------------------------------------------------------------------


def call_rule(reading: Reading, name: str, node: ast.Call, args: tuple[Draft, ...]) -> Draft:
    """Return the draft of a call in a text, keywords included; raises ShapeError where no overload fits."""
    span = reading.source.span(node)
    axis, keepdims = _read_keywords(reading, name, node)
    if name == "norm":
        _refuse_counting(args, span)
        _refuse_infinite(reading, args, span)
    if axis is not None or keepdims:
        return call_along_axis(reading, find_forms(reading, name, args), span, args, axis, keepdims)
    return call_function(reading, name, args, span)


def call_function(reading: Reading, name: str, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """Return the draft of a function of its arguments by the first overload that fits; raises ShapeError."""
    rules = find_forms(reading, name, args)
    for rule in rules:
        variables = _match(rule, args)
        if variables is not None:
            return _apply(reading, rule, variables, span)
    scalar = _call_of_scalars(reading, rules, args, span)
    if scalar is not None:
        return scalar
    raise _explain_no_match(reading, name, rules, args, span)


def find_forms(reading: Reading, name: str, args: tuple[Draft, ...]) -> list[Rule]:
    """Return the forms of a function: the reader's and the shipped ones, else those that SymPy knows by this name."""
    if rules := reading.book.overloads(name):
        return rules
    order = args[0].value if args else None
    rules = list(find_sympy_rules(name, int(order) if order is not None and order.denominator == 1 else None))
    for rule in rules:
        if rule.parameters[0].name == ORDERS[0] and len(args) == len(rule.parameters):
            given = reading.write(args[0])
            reason = f"the order of {name} is a whole number up to {HIGHEST_POLYNOMIAL}, and {given} is none"
            raise ParseError(reason, span=args[0].span, advice=f"write {rule.call.replace(ORDERS[0], '2', 1)}")
    return rules


def _refuse_counting(args: tuple[Draft, ...], span: tuple[int, int]) -> None:
    if len(args) == 2 and args[1].op != "text" and args[1].value == 0:
        raise ParseError("norm(x, 0) counts the entries that are not 0 and has no derivative", span=span,
                         advice="write norm(x, 1), the sum of their absolute values")  # fmt: skip


def _refuse_infinite(reading: Reading, args: tuple[Draft, ...], span: tuple[int, int]) -> None:
    """Raise for norm(x, inf), whose inf is no variable."""
    is_name = len(args) == 2 and args[1].op == "symbol" and args[1].data[0] not in reading.declared
    if is_name and args[1].data[0].lower() in ("inf", "infty", "infinity", "oo"):
        raise ParseError("the norm for inf is a maximum", span=span, advice=advise_arguments(reading, "norm", args))


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
        return _is_literal(parameter, arg)
    if arg.op in ("text", "compare"):
        return False
    if parameter.axes is None:
        return not has_axes or arg.is_scalar
    if len(parameter.axes) == 1 and arg.is_row:
        return rule.result == () or isinstance(rule.result, str)
    if rule.vectors:
        return len(arg.axes) == 2 and not arg.is_scalar
    wanted = parameter.axes + ("1",) * (2 - len(parameter.axes))
    return len(wanted) == len(arg.axes) and all(
        is_unit(axis) == (letter == "1") for letter, axis in zip(wanted, arg.axes, strict=True)
    )


def _is_literal(parameter: Parameter, arg: Draft) -> bool:
    return bool((arg.data[0] if arg.op == "text" else arg.value) == parameter.literal)


# --- the shape of the result --------------------------------------------------------------------------


def _apply(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> Draft:
    """Return the draft of a call whose arguments have the kinds that the rule takes."""
    pairs = zip(rule.variables, args, strict=True)
    transposed = tuple(_transpose_row(reading, parameter, arg) for parameter, arg in pairs)
    letters = _bind_letters(reading, rule, transposed, span)
    axes = _shape_result(reading, rule, transposed, letters, span)
    if rule.axis and args[0].is_matrix and axes is args[0].axes and not reading.is_rule:
        reading.note(
            f"{rule.function}({reading.write(args[0])}) without axis= takes all entries of "
            f"{reading.write(args[0])} together; write axis=1 for each row"
        )
    draft = reading.add("call", transposed, axes, span, (rule, None, False))
    if isinstance(rule.result, str) and transposed[0] is not args[0]:
        return reading.add("transpose", (draft,), axes[::-1], span)
    return draft


def _transpose_row(reading: Reading, parameter: Parameter, arg: Draft) -> Draft:
    """Return a row as a column where the rule is stated for a vector."""
    if parameter.axes is None or len(parameter.axes) != 1 or not arg.is_row:
        return arg
    return reading.add("transpose", (arg,), arg.axes[::-1], arg.span)


def _bind_letters(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> dict[str, DraftAxis]:
    """Return what each letter of the signature stands for; raises ShapeError for two different sizes."""
    letters: dict[str, DraftAxis] = {}
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
    reading: Reading, rule: Rule, args: tuple[Draft, ...], letters: dict[str, DraftAxis], span: tuple[int, int]
) -> Axes:
    if rule.is_elementwise:
        return _broadcast_all(reading, rule, args, span)
    if isinstance(rule.result, str):
        return next(arg.axes for p, arg in zip(rule.variables, args, strict=True) if p.name == rule.result)
    if rule.result:
        return hold_axes(tuple(read_result_size(reading, rule.function, text, letters) for text in rule.result))
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


def _shape_stated(reading: Reading, rule: Rule, args: tuple[Draft, ...], span: tuple[int, int]) -> Axes:
    """Return the shape that the rule's own text has: [sqrt] with define = "x**(1/2)" is shaped like x."""
    kinds = tuple(tuple(is_unit(axis) for axis in arg.axes) for arg in args)
    like = reading.find_stated_shape(reading.book, rule, kinds)
    if len(args) > 1:
        _broadcast_all(reading, rule, args, span)
    return SCALAR_AXES if like is None else args[like].axes


# --- axis= and keepdims= --------------------------------------------------------------------------------


# One axis, several of them, or None for no axis=.
Along = int | tuple[int, ...] | None


def _read_keywords(reading: Reading, name: str, node: ast.Call) -> tuple[Along, bool]:
    axis: Along = None
    keepdims = False
    for keyword in node.keywords:
        span = reading.source.span(keyword)
        value = _read_literal(keyword.value)
        if keyword.arg == "axis" and (type(value) is int or isinstance(value, tuple)):
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
    """Return the value of a constant, of a negative number, or of a tuple or list of whole numbers; None for others."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if type(node.operand.value) is int else None
    if isinstance(node, ast.Tuple | ast.List):
        values = tuple(_read_literal(each) for each in node.elts)
        return values if all(type(value) is int for value in values) else None
    return node.value if isinstance(node, ast.Constant) else None


def call_along_axis(
    reading: Reading, rules: list[Rule], span: _Span, args: tuple[Draft, ...], axis: Along, keepdims: bool
) -> Draft:
    """sum(X, axis=0), softmax(X, axis=1): the rule holds for each column or row; axis=(0, 1) takes both axes."""
    fitting = (rule for rule in rules if rule.axis and len(rule.parameters) == len(rule.variables) == len(args))
    rule = next(fitting, None)
    if rule is None or any(arg.op in ("text", "compare") for arg in args):
        advice = advise_axis(reading, rules, args, axis)
        raise ParseError(f"{rules[0].function} takes no axis= or keepdims= here", span=span, advice=advice)
    reduces = rule.result == () and _is_reduction(reading, rule, args)
    if keepdims and not reduces:
        raise ParseError(f"{rule.function} takes no keepdims=", span=span, advice="leave it out")
    if isinstance(axis, tuple):
        axis = _settle_axes(reading, rule, args[0], axis, reduces, span)
    if axis is None or not any(arg.is_matrix for arg in args):
        return _call_whole(reading, rule, args, axis, span)
    if axis not in (-2, -1, 0, 1):
        raise ShapeError(f"a matrix has no axis {axis}", span=span, advice="write axis=0 (down) or axis=1 (across)")
    axis %= 2
    for arg in args[1:]:
        if len(arg.axes) != 2 or not all(map(unify, args[0].axes, arg.axes)):
            written = " and ".join(reading.write_shapes(*(each.axes for each in args)))
            reason = f"{rule.function} along an axis takes matrices of one shape, not {written}"
            raise ShapeError(reason, span=span, advice="declare their shapes")
    axes = _reduce(args[0].axes, axis, keepdims) if reduces else args[0].axes
    return reading.add("call", args, axes, span, (rule, axis, keepdims))


def _settle_axes(
    reading: Reading, rule: Rule, arg: Draft, named: tuple[int, ...], reduces: bool, span: _Span
) -> int | None:
    """Return the one axis that a tuple or list names, or None where it names both axes of a matrix."""
    whole = f"{rule.function}({reading.write(arg)})"
    if len(named) == 1:
        return named[0]
    if not named:
        raise ParseError("axis=() names no axis", span=span, advice=f"write {whole} for all entries")
    if not arg.is_matrix:
        reason = f"{reading.write(arg)} is {reading.describe(arg.axes)} and has no {len(named)} axes"
        raise ShapeError(reason, span=span, advice="leave axis= out")
    if beyond := [axis for axis in named if axis not in (-2, -1, 0, 1)]:
        advice = f"write {whole} for both axes"
        raise ShapeError(f"a matrix has no axis {beyond[0]}", span=span, advice=advice)
    places = [axis % 2 for axis in named]
    if len({*places}) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        reason = f"axis {twice} is named more than once"
        raise ParseError(reason, span=span, advice=f"write {rule.function}({reading.write(arg)}, axis={twice})")
    if not reduces:
        advice = f"write {rule.function}({reading.write(arg)}, axis=0) or {rule.function}({reading.write(arg)}, axis=1)"
        raise ParseError(f"{rule.function} goes along one axis", span=span, advice=advice)
    return None


def _is_reduction(reading: Reading, rule: Rule, args: tuple[Draft, ...]) -> bool:
    has_axes = any(parameter.axes for parameter in rule.variables)
    return has_axes or not rule.is_definition or _shape_stated(reading, rule, args, args[0].span) is SCALAR_AXES


def _reduce(axes: Axes, axis: int, keepdims: bool) -> Axes:
    """Return the shape left of a matrix: a column, or with keepdims a row for axis 0."""
    return (UNIT, axes[1]) if axis == 0 and keepdims else (axes[1 - axis], UNIT)


def _call_whole(
    reading: Reading, rule: Rule, args: tuple[Draft, ...], axis: int | None, span: tuple[int, int]
) -> Draft:
    """Return the plain call: without axis, or along the only axis of a vector."""
    arg = args[0]
    fitting = {None, 0, -1} | ({1} if arg.is_row else set())
    if axis not in fitting or (axis is not None and len(arg.axes) != 2):
        raise ShapeError(
            f"{reading.write(arg)} is {reading.describe(arg.axes)} and has no axis {axis}",
            span=span,
            advice="leave axis= out",
        )
    if _match(rule, args) is None:
        raise _explain_no_match(reading, rule.function, [rule], args, span)
    return _apply(reading, rule, args, span)


# --- scalars and misfits --------------------------------------------------------------------------------


def _call_of_scalars(
    reading: Reading, rules: list[Rule], args: tuple[Draft, ...], span: tuple[int, int]
) -> Draft | None:
    """Return what a function of arrays makes of scalars, as its rule says: inv(a) is 1/a, kron(a, B) is a*B."""
    for rule in rules:
        if rule.scalar and _takes_scalars(rule, args):
            pairs = zip(rule.parameters, args, strict=True)
            known = {parameter.name: arg for parameter, arg in pairs if parameter.literal is None}
            return _read_scalar(reading, ast.parse(rule.scalar, mode="eval").body, known, span)
    return None


def _takes_scalars(rule: Rule, args: tuple[Draft, ...]) -> bool:
    """Whether scalars stand in the place of arrays: of all of them, or of one where vectors may stand as well."""
    if len(rule.parameters) != len(args):
        return False
    pairs = list(zip(rule.parameters, args, strict=True))
    if not all(_is_literal(p, arg) if p.literal is not None else arg.op not in ("text", "compare") for p, arg in pairs):
        return False
    scalars = [arg.is_scalar for parameter, arg in pairs if parameter.literal is None]
    return any(scalars) if rule.vectors else all(scalars)


_SCALAR_OPERATORS: dict[type[ast.operator], str] = {ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power"}


def _read_scalar(reading: Reading, tree: ast.expr, known: Mapping[str, Draft], span: tuple[int, int]) -> Draft:
    """Return the draft of a rule's text for scalars: a parameter, a number, a product, a quotient, a call."""
    match tree:
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.Constant(value=int(value)):
            return reading.add("number", (), SCALAR_AXES, span, (Fraction(value),), Fraction(value))
        case ast.BinOp(left=first, op=ast.Mult() | ast.Div() | ast.Pow() as op, right=second):
            left, right = (_read_scalar(reading, side, known, span) for side in (first, second))
            axes = left.axes if right.is_scalar else right.axes
            return reading.add(_SCALAR_OPERATORS[type(op)], (left, right), axes, span)
        case ast.Call(func=ast.Name(id=function), args=inside):
            args = tuple(_read_scalar(reading, arg, known, span) for arg in inside)
            for rule in reading.book.overloads(function):
                if _match(rule, args) is not None:
                    return _apply(reading, rule, args, span)
    raise RuleError(f"{ast.unparse(tree)} is no text for scalars")


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
