"""Calls in mathematical notation, MATLAB and Python -> drafts, each with the meaning that it has there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from matcalc.errors import ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.calls import infer_einsum, infer_where, read_power
from matcalc.language.draft import SCALAR_AXES, Draft
from matcalc.language.explain_calls import advise_function, explain_missing, is_explained
from matcalc.language.infer_shapes import infer_product
from matcalc.language.notation_arguments import (
    CallNode,
    apply_along_axis,
    read_axes,
    read_axis,
    read_bool,
    read_drafts,
    read_integer,
    strip_groups,
)
from matcalc.language.notation_fills import fill_constant, fill_like, fill_sizes, read_size, read_sized
from matcalc.language.notation_powers import INFINITE, ask_about_order
from matcalc.language.notation_to_draft import (
    SCALAR_FOR_ARRAY,
    Handler,
    Indexed,
    Interpreter,
    Meaning,
    add_drafts,
    add_meanings,
    ask_which,
    multiply_arrays,
    negate_meaning,
    solve,
)
from matcalc.language.notation_tree import NotationNode
from matcalc.language.notation_words import PARTS_OF_CALLS


def open_call(node: NotationNode) -> CallNode:
    """Return the parts of a call."""
    path = str(node.value)
    library, _, name = path.rpartition(".")
    keywords = {str(arg.value): arg.args[0] for arg in node.args if arg.kind == "keyword"}
    args = tuple(arg for arg in node.args if arg.kind != "keyword")
    if args and args[0].kind == "list" and not library and name not in ("kron", "dot"):
        args = (*args[0].args, *args[1:])
    origin = library.partition(".")[0] if not path.startswith(".") else "method"
    name = _IN_CVXPY.get(name, name) if origin in ("cp", "cvxpy") else name
    return CallNode(_SAME.get(name, name), origin, args, keywords, node)


def read_call(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return the draft of a call; raises a MatcalcError where the function, or what it is given, is not known."""
    call = open_call(node)
    args = call.args
    if not args and call.name != "eye":
        raise ParseError(f"{call.name} takes an argument", span=node.span, advice=f"write {call.name}(x)")
    handler = _SPECIAL.get(call.name)
    return handler(reader, call) if handler is not None else _call_plain(reader, call)


# What CVXPY calls as others do, and means otherwise.
_IN_CVXPY = {"logistic": "softplus", "kl_div": "kl_div of CVXPY", "pos": "relu"}
_SAME = {
    "absolute": "abs", "fabs": "abs", "arcsin": "arcsin", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "inverse": "inv", "amax": "max", "amin": "min", "negative": "neg", "mm": "matmul", "mv": "matmul", "bmm": "matmul",
    "mul": "multiply", "hadamard": "multiply", "times": "multiply", "true_divide": "divide", "div": "divide",
    "quotient": "divide", "sub": "subtract", "clamp": "clip", "vdot": "vdot", "power": "pow", "float_power": "pow",
    "t": "transpose", "swapaxes": "transpose", "permute": "transpose", "special.expit": "expit", "matrix_exp": "expm",
    "logistic": "sigmoid", "ravel": "flatten", "view": "reshape", "adjoint": "transpose", "clip_by_value": "clip",
    "concat": "concatenate", "logsoftmax": "log_softmax", "sgn": "sign", "log_sigmoid": "logsigmoid", "swish": "silu",
    "matvec": "matmul", "log_det": "logdet", "log_sum_exp": "logsumexp", "squeeze": "item", "numel": "size",
    "tr": "trace", "diagonal": "diag", "diag_embed": "diag", "diagflat": "diag", "reduce_sum": "sum",
    "reduce_mean": "mean",
    "vector_norm": "norm", "matrix_norm": "norm",
    "identity": "eye", "multi_dot": "chain", "chain_matmul": "chain", "asinh": "arcsinh", "acosh": "arccosh",
    "chol": "cholesky", "eigmax": "lambda_max", "eigmin": "lambda_min",
    "atanh": "arctanh", "sigmoid": "sigmoid", "matrix_transpose": "transpose", "mtimes": "matmul", "mldivide": "solve",
}  # fmt: skip


# --- functions that the language has ------------------------------------------------------------------------


def _call_plain(reader: Interpreter, call: CallNode) -> Meaning:
    reading = reader.reading
    if not reading.book.overloads(call.name):
        if is_explained(call.name):
            advice = explain_missing(reading, call.name, call.span).advice
        else:
            advice = advise_function(call.name, reading.book.functions)
        raise ParseError(f"{call.name} is no function that is known here", span=call.span, advice=advice)
    if call.name == "log" and len(call.args) == 1 and not call.keywords and _is_determinant(reader, call.args[0]):
        inside = strip_groups(reader, call.args[0])
        operand = reader.draft(inside.args[0])
        if operand.is_matrix:
            return reader.call("logdet", (operand,), call.span)
    axis, keepdims, rest = read_axis(reader, call)
    if rest:
        raise ParseError(f"{call.name} takes no {rest[0]}=", span=call.span, advice="leave it out")
    meanings = [_read_argument(reader, arg, call) for arg in call.args]
    if axis is not None or keepdims:
        drafts = [meaning if isinstance(meaning, Draft) else reader.close(meaning, call.node) for meaning in meanings]
        return apply_along_axis(reader, call, drafts, axis, keepdims)
    rule = reading.book.overloads(call.name)[0]
    if (
        any(isinstance(meaning, Indexed) for meaning in meanings)
        and not rule.is_elementwise
        and not _is_entrywise(reader, call.name)
    ):
        meanings = [each if isinstance(each, Draft) else _whole(reader, each, call) for each in meanings]
    if any(isinstance(meaning, Indexed) for meaning in meanings):
        call = replace(call, library="entry")  # exp(X_ij), whose entries are no matrix
    return reader.over_entries(lambda drafts: _call_drafts(reader, call, drafts), meanings, call.node)


def _whole(reader: Interpreter, meaning: Indexed, call: CallNode) -> Draft:
    if meaning.free and call.name in ("sum", "mean", "prod", "max", "min"):
        raise ParseError(
            f"{call.name} of an entry", span=call.span, advice=f"write {call.name}_i x_i, or {call.name}(x)"
        )
    return reader.close(meaning, call.node)


_REDUCTIONS = frozenset({"sum", "mean", "max", "min", "prod", "var", "std", "norm", "logsumexp", "size"})


def _is_entrywise(reader: Interpreter, name: str) -> bool:
    """Whether a function takes each entry by itself: by its rule, or by a definition that keeps the shape."""
    reading = reader.reading
    rules = reading.book.overloads(name)
    return name not in _REDUCTIONS and all(
        rule.is_elementwise
        or (
            rule.is_definition and not rule.axis
            and reading.find_stated_shape(reading.book, rule, ((False, True),) * len(rule.variables)) is not None
        )
        for rule in rules
    )  # fmt: skip


def _read_argument(reader: Interpreter, arg: NotationNode, call: CallNode) -> Meaning:
    """Return an argument; in sum(X^2) the square is that of the entries."""
    inside = strip_groups(reader, arg)
    if call.name in ("sum", "mean") and inside.kind == "power":
        base = reader.draft(inside.args[0])
        if base.is_matrix:
            raise ask_which(
                "a square in a sum has two meanings",
                "the square of each entry, .^2",
                "the product with itself",
                inside.span,
            )
    if call.name not in ("sum", "mean"):
        return reader.read(arg)
    reader.summing += 1
    meaning = _read_summed(reader, arg)
    reader.summing -= 1
    return meaning


def _read_summed(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return what is summed: of sum(p log p) the product is that of the entries."""
    inside = strip_groups(reader, node)
    if inside.kind == "negate":
        return negate_meaning(reader, _read_summed(reader, inside.args[0]), inside)
    if inside.kind in ("add", "subtract"):
        left, right = (_read_summed(reader, arg) for arg in inside.args)
        return add_meanings(reader, left, right, inside)
    if inside.kind == "juxtapose" or (inside.kind == "star" and reader.syntax != "python"):
        meanings = [_read_summed(reader, arg) for arg in inside.args]
        drafts = [meaning for meaning in meanings if isinstance(meaning, Draft)]
        if len(drafts) == 2 and all(draft.is_column for draft in drafts):
            return reader.elementwise("multiply", drafts[0], drafts[1], inside.span)
    return reader.read(node)


def _call_drafts(reader: Interpreter, call: CallNode, drafts: Sequence[Draft]) -> Draft:
    if reader.syntax == "matlab" and len(drafts) == 1 and drafts[0].is_matrix:
        _ask_about_matlab(reader, call, drafts[0])
    if reader.syntax in ("math", "latex") and call.name in _MATRIX_FUNCTIONS and drafts[0].is_matrix:
        if call.name == "exp" and call.library != "entry":
            text = reader.spell(drafts[0])
            raise ask_which(
                "exp of a matrix has two meanings", f"expm({text})", f"exp({text}) entry by entry", call.span
            )
        if call.name == "log" and call.library != "entry" and not reader.summing:
            text = reader.spell(drafts[0])
            raise ask_which(
                "log of a matrix has two meanings", f"logm({text})", f"log({text}) entry by entry", call.span
            )
    return reader.call(call.name, drafts, call.span)


_MATRIX_FUNCTIONS = frozenset({"exp", "log"})


def _ask_about_matlab(reader: Interpreter, call: CallNode, matrix: Draft) -> None:
    """Raise for what MATLAB and mathematics read otherwise: sum(X) down the columns, norm(X) the spectral norm."""
    text = reader.spell(matrix)
    if call.name in ("sum", "mean", "max", "min", "prod", "var", "std"):
        first, second = f"{call.name}({text}, axis=0)", f"{call.name}({text}) of all entries"
        raise ask_which(f"{call.name} of a matrix is taken down the columns in MATLAB", first, second, call.span)
    if call.name == "norm":
        first, second = f"norm({text}, 2), as MATLAB does", f"norm({text}, 'fro')"
        raise ask_which("norm of a matrix has two meanings", first, second, call.span)


def _is_determinant(reader: Interpreter, node: NotationNode) -> bool:
    inside = strip_groups(reader, node)
    return inside.kind == "bars" or (
        inside.kind == "call" and str(inside.value).rpartition(".")[2] == "det" and len(inside.args) == 1
    )


# --- functions with a meaning of their own ------------------------------------------------------------------------


def _matmul(reader: Interpreter, call: CallNode) -> Meaning:
    left, right = read_drafts(reader, call, 2)
    if reader.syntax != "python":
        return reader.product(left, right, call.span)
    return multiply_arrays(reader, left, right, call.span)


def _cross_product(reader: Interpreter, call: CallNode) -> Meaning:
    """crossprod(X, Y) of R is X.T @ Y, tcrossprod(X, Y) is X @ Y.T; without Y it is X."""
    if len(call.args) > 2:
        raise ParseError(f"{call.name} takes one or two arguments", span=call.span)
    left, *rest = read_drafts(reader, call)
    right = rest[0] if rest else left
    if call.name == "crossprod":
        return infer_product(reader.reading, call.span, reader.transpose(left, left.span), right)
    return infer_product(reader.reading, call.span, left, reader.transpose(right, right.span))


def _sum_squares(reader: Interpreter, call: CallNode) -> Meaning:
    (operand,) = read_drafts(reader, call, 1)
    return reader.call("sum", (reader.call("square", (operand,), call.span),), call.span)


def _quad_form(reader: Interpreter, call: CallNode) -> Meaning:
    """quad_form(x, P) of CVX is x.T @ P @ x."""
    vector, matrix = read_drafts(reader, call, 2)
    if not (vector.is_column and matrix.is_matrix):
        raise ShapeError("quad_form takes a vector and a matrix", span=call.span)
    row = infer_product(reader.reading, call.span, reader.transpose(vector, vector.span), matrix)
    return infer_product(reader.reading, call.span, row, vector)


def _dot(reader: Interpreter, call: CallNode) -> Meaning:
    if len(call.args) == 3 and reader.syntax != "python":  # dot(x, A, y) of Julia
        row, matrix, column = read_drafts(reader, call, 3)
        inside = multiply_arrays(reader, multiply_arrays(reader, row, matrix, call.span), column, call.span)
        if inside.is_scalar:
            return inside
        raise ShapeError("dot of three takes a vector, a matrix and a vector", span=call.span)
    left, right = read_drafts(reader, call, 2)
    if left.is_scalar or right.is_scalar:
        reader.cost += SCALAR_FOR_ARRAY
        return reader.elementwise("multiply", left, right, call.span)
    if (left.is_column and right.is_column) or (reader.syntax != "python" and not call.library):
        return reader.call("dot", (left, right), call.span)
    return multiply_arrays(reader, left, right, call.span)


def _inner(reader: Interpreter, call: CallNode) -> Meaning:
    left, right = read_drafts(reader, call, 2)
    if left.is_column and right.is_column:
        return reader.call("dot", (left, right), call.span)
    if left.is_matrix and call.library in ("np", "numpy", "torch", "jnp"):
        return multiply_arrays(
            reader, left, reader.transpose(right, right.span) if right.is_matrix else right, call.span
        )
    if call.library:
        raise ShapeError("inner takes two vectors", span=call.span)
    return _sum_of_products(reader, call, left, right)


def _vdot(reader: Interpreter, call: CallNode) -> Meaning:
    left, right = read_drafts(reader, call, 2)
    return _sum_of_products(reader, call, left, right)


def _sum_of_products(reader: Interpreter, call: CallNode, left: Draft, right: Draft) -> Draft:
    if left.is_column and right.is_column:
        return reader.call("dot", (left, right), call.span)
    if not (left.is_matrix and right.is_matrix):
        raise ShapeError(f"{call.name} takes two vectors or two matrices", span=call.span)
    return reader.call("sum", (reader.elementwise("multiply", left, right, call.span),), call.span)


def _chain(reader: Interpreter, call: CallNode) -> Meaning:
    items = call.args[0].args if len(call.args) == 1 and call.args[0].kind == "list" else call.args
    product = reader.draft(items[0])
    for item in items[1:]:
        product = multiply_arrays(reader, product, reader.draft(item), call.span)
    return product


def _entrywise(op: str) -> Callable[[Interpreter, CallNode], Meaning]:
    kinds = {"multiply": "hadamard", "divide": "quotient", "add": "add", "subtract": "subtract", "pow": "entry_power"}

    def read(reader: Interpreter, call: CallNode) -> Meaning:
        if len(call.args) != 2 or call.keywords:
            raise ParseError(f"{call.name} takes two arguments", span=call.span)
        return reader.read(NotationNode(kinds[op], call.args, None, *call.span))

    return read


def _negate(reader: Interpreter, call: CallNode) -> Meaning:
    (operand,) = read_drafts(reader, call, 1)
    return reader.reading.add("negate", (operand,), operand.axes, call.span)


def _transpose(reader: Interpreter, call: CallNode) -> Meaning:
    if not call.args or len(call.args) not in (1, 3):
        raise ParseError("transpose takes one matrix", span=call.span)
    if len(call.args) == 3 and sorted(read_integer(reader, arg) % 2 for arg in call.args[1:]) != [0, 1]:
        raise ParseError("a transpose exchanges the axes 0 and 1", span=call.span)
    return reader.transpose(reader.draft(call.args[0]), call.span)


def _clip(reader: Interpreter, call: CallNode) -> Meaning:
    words = {"min": 1, "max": 2, "a_min": 1, "a_max": 2, "min_value": 1, "max_value": 2}
    bounds: list[Draft | None] = [None, None]
    for place, arg in enumerate(call.args[1:3]):
        bounds[place] = None if arg.kind == "name" and arg.value == "None" else reader.draft(arg)
    for name, value in call.keywords.items():
        if name not in words:
            raise ParseError(f"clip takes no {name}=", span=call.span)
        bounds[words[name] - 1] = reader.draft(value)
    operand = reader.draft(call.args[0])
    low, high = bounds
    if low is not None and high is not None:
        return reader.call("clip", (operand, low, high), call.span)
    if low is not None:
        return reader.call("maximum", (operand, low), call.span)
    if high is not None:
        return reader.call("minimum", (operand, high), call.span)
    raise ParseError("clip needs a bound", span=call.span)


def _norm(reader: Interpreter, call: CallNode) -> Meaning:
    axis, keepdims, rest = read_axis(reader, call)
    operand = reader.draft(call.args[0])
    if operand.is_scalar:
        reader.cost += SCALAR_FOR_ARRAY
    given = [*call.args[1:2], *(call.keywords[name] for name in rest if name in ("ord", "p"))]
    if len(call.args) > 2 or len(given) > 1 or any(name not in ("ord", "p") for name in rest):
        raise ParseError("norm takes an array and an order", span=call.span)
    order = _read_order(reader, given[0]) if given else None
    if axis is not None or keepdims:
        if order not in (None, 2):
            raise ParseError("norm along an axis is the 2-norm here", span=call.span)
        return apply_along_axis(reader, call, [operand], axis, keepdims)
    return _apply_norm(reader, call, operand, order)


def _read_order(reader: Interpreter, node: NotationNode) -> str | int | None:
    if node.kind == "text":
        return {"frobenius": "fro", "frob": "fro", "nuclear": "nuc"}.get(str(node.value).lower(), str(node.value))
    if node.kind == "name" and node.value == "None":
        return None
    if str(node.value).rpartition(".")[2].lower() in INFINITE:
        return "inf"
    return read_integer(reader, node)


def _apply_norm(reader: Interpreter, call: CallNode, operand: Draft, order: str | int | None) -> Draft:
    if order is None and operand.is_matrix and call.library in ("cp", "cvxpy"):
        order = 2
    if order is None and reader.syntax == "matlab" and operand.is_matrix:
        _ask_about_matlab(reader, call, operand)
    if order in (None, "fro", "f") or (order == 2 and operand.is_column):
        if order in (None, 2) or not operand.is_matrix:
            return reader.call("norm", (operand,), call.span)
        return reader.call(
            "norm", (operand, reader.reading.add("text", (), SCALAR_AXES, call.span, ("fro",))), call.span
        )
    is_flat = call.is_torch and "linalg" not in str(call.node.value)
    if is_flat and operand.is_matrix and isinstance(order, int):  # torch.norm(X, 2) is that of the entries
        if order == 2:
            return reader.call("norm", (operand,), call.span)
        operand = reader.call("vec", (operand,), call.span)
    if operand.is_matrix and (order == 1 or str(order) in INFINITE):
        raise ask_about_order(reader, operand, "1" if order == 1 else "inf", call.span)
    if str(order) in INFINITE:
        return reader.call("max", (reader.call("abs", (operand,), call.span),), call.span)
    if isinstance(order, str):
        argument = reader.reading.add("text", (), SCALAR_AXES, call.span, (order,))
    else:
        argument = reader.number(order or 0, call.span)
    return reader.call("norm", (operand, argument), call.span)


def _norm1(reader: Interpreter, call: CallNode) -> Meaning:
    (operand,) = read_drafts(reader, call, 1)
    return reader.call("norm", (operand, reader.number(1, call.span)), call.span)


def _norm2(reader: Interpreter, call: CallNode) -> Meaning:
    (operand,) = read_drafts(reader, call, 1)
    if operand.is_matrix:
        raise ask_which("norm2 of a matrix has two meanings", "norm(X, 2)", "norm(X, 'fro')", call.span)
    return reader.call("norm", (operand,), call.span)


def _variance(reader: Interpreter, call: CallNode) -> Meaning:
    """var and std: torch divides by n - 1, NumPy by n, unless a keyword says otherwise."""
    axis, keepdims, rest = read_axis(reader, call)
    operand = reader.draft(call.args[0])
    less: int | None = None
    for name in rest:
        if name in ("unbiased",):
            less = int(read_bool(call.keywords[name]))
        elif name in ("ddof", "correction"):
            less = read_integer(reader, call.keywords[name])
        else:
            raise ParseError(f"{call.name} takes no {name}=", span=call.span)
    if less is None:
        if call.library == "method" and not call.is_torch and "axis" not in call.keywords:
            raise ask_which(f"{call.name} has two meanings", f"{call.name}(x), divided by n as NumPy does",
                      f"{call.name}(x)*n/(n - 1), as torch does", call.span)  # fmt: skip
        less = int(call.is_torch or call.library == "")
        if not call.library and reader.syntax != "matlab":
            less = 0
    if len(call.args) > 1:
        raise ParseError(f"{call.name} takes one argument", span=call.span)
    if axis is not None or keepdims:
        value = apply_along_axis(reader, call, [operand], axis, keepdims)
        size_axis = None if value.is_scalar or not operand.is_matrix else operand.axes[0]
    else:
        value, size_axis = reader.call(call.name, (operand,), call.span), None
    if not less:
        return value
    if size_axis is not None:
        raise ParseError(
            f"{call.name} along an axis, divided by n - 1, is not read", span=call.span, advice="say unbiased=False"
        )
    size = reader.call("size", (operand,), call.span)
    rest_size = reader.elementwise("subtract", size, reader.number(less, call.span), call.span)
    ratio = reader.elementwise("divide", size, rest_size, call.span)
    if call.name == "std":
        ratio = reader.call("sqrt", (ratio,), call.span)
    return reader.elementwise("multiply", value, ratio, call.span)


def _reduce(reader: Interpreter, call: CallNode) -> Meaning:
    """sum, mean and their kin: a second argument is an axis, counted from 1 in MATLAB and from 0 in Python."""
    if len(call.args) == 2 and call.args[0].kind == "function":  # sum(abs2, x) of Julia
        first, second = call.args
        inner = NotationNode("call", (second,), f"entry.{first.value}", *call.span)
        return _reduce(reader, replace(call, args=(inner,)))
    inside = strip_groups(reader, call.args[0]) if call.args else None
    if reader.syntax == "matlab" and inside is not None and inside.kind == "call" and inside.value == call.name:
        operand = reader.draft(inside.args[0])
        if len(inside.args) == 1 and len(call.args) == 1 and operand.is_matrix:  # sum(sum(X))
            return reader.call(call.name, (operand,), call.span)
    if len(call.args) == 2 and call.args[1].kind in ("number", "negate", "text", "name", "list"):
        axis_node = call.args[1]
        keywords = dict(call.keywords)
        if call.name in ("max", "min") and call.library != "method":
            if call.library and not call.is_torch:
                raise ParseError(f"{call.name} along an axis", span=call.span, advice="write axis=0")
            return _call_plain(reader, replace(call, name=f"{call.name}imum"))
        operand = reader.draft(call.args[0])
        if axis_node.kind == "text" and axis_node.value == "all":
            return reader.call(call.name, (operand,), call.span)
        axis = read_axes(reader, axis_node)
        if reader.syntax != "python":
            if not operand.is_matrix:
                raise ShapeError(f"{reader.reading.write(operand)} has no second axis", span=call.span)
            axis = tuple(each - 1 for each in axis) if isinstance(axis, tuple) else axis - 1
        _, keepdims, _ = read_axis(reader, CallNode(call.name, call.library, call.args, keywords, call.node))
        return apply_along_axis(reader, call, [operand], axis, keepdims)
    if call.name in ("max", "min") and len(call.args) == 2:
        return _call_plain(reader, replace(call, name=f"{call.name}imum"))
    return _call_plain(reader, call)


def _softmax(reader: Interpreter, call: CallNode) -> Meaning:
    if len(call.args) == 2:
        axis = read_integer(reader, call.args[1])
        return apply_along_axis(reader, call, [reader.draft(call.args[0])], axis, False)
    if len(call.args) != 1:
        raise ParseError(f"{call.name} takes one argument", span=call.span)
    operand = reader.draft(call.args[0])
    if call.name != "logsumexp" and not {"dim", "axis"} & set(call.keywords) and operand.is_matrix:
        text = reader.spell(operand)
        if call.library in ("jax", "tf"):
            return apply_along_axis(reader, call, [operand], -1, False)
        first, second = f"{call.name}({text}, axis=1), of each row", f"{call.name}({text}, axis=0), of each column"
        raise ask_which(f"{call.name} of a matrix has several meanings", first, second, call.span)
    return _call_plain(reader, call)


def _gelu(reader: Interpreter, call: CallNode) -> Meaning:
    """gelu is exact in torch, and a formula with tanh in JAX unless approximate=False says otherwise."""
    approximate = call.library == "jax"
    for name, value in call.keywords.items():
        if name != "approximate":
            raise ParseError(f"gelu takes no {name}=", span=call.span)
        approximate = value.value in ("tanh", "True")
    if len(call.args) != 1:
        raise ParseError("gelu takes one argument", span=call.span)
    operand = reader.draft(call.args[0])
    if not approximate:
        return reader.call("gelu", (operand,), call.span)
    span, make = call.span, reader.elementwise
    cube = make(
        "multiply",
        reader.number(Fraction("0.044715"), span),
        make("power", operand, reader.number(3, span), span),
        span,
    )
    pi = reader.reading.add("constant", (), SCALAR_AXES, span, ("pi",))
    scale = reader.call("sqrt", (make("divide", reader.number(2, span), pi, span),), span)
    inside = make("multiply", scale, make("add", operand, cube, span), span)
    grown = make("add", reader.number(1, span), reader.call("tanh", (inside,), span), span)
    return make("divide", make("multiply", operand, grown, span), reader.number(2, span), span)


def _leaky_relu(reader: Interpreter, call: CallNode) -> Meaning:
    slope = [*call.args[1:2], *(value for name, value in call.keywords.items() if name in ("negative_slope", "alpha"))]
    args = [reader.draft(call.args[0]), *(reader.draft(node) for node in slope)]
    return reader.call("leaky_relu", args, call.span)


def _solve(reader: Interpreter, call: CallNode) -> Meaning:
    if len(call.args) == 1:  # solve(A) of R
        return reader.call("inv", read_drafts(reader, call, 1), call.span)
    left, right = read_drafts(reader, call, 2)
    return solve(reader, left, right, call.span)


def _diag(reader: Interpreter, call: CallNode) -> Meaning:
    (operand,) = read_drafts(reader, call, 1)
    return reader.call("diag", (operand,), call.span)


def _outer(reader: Interpreter, call: CallNode) -> Meaning:
    left, right = read_drafts(reader, call, 2)
    return reader.call("outer", (left, right), call.span)


def _kron(reader: Interpreter, call: CallNode) -> Meaning:
    left, right = read_drafts(reader, call, 2)
    return reader.call("kron", (left, right), call.span)


def _einsum(reader: Interpreter, call: CallNode) -> Meaning:
    if not call.args or call.args[0].kind != "text" or call.keywords or "..." in str(call.args[0].value):
        raise ParseError("einsum begins with its letters", span=call.span, advice="write einsum('ij,jk->ik', A, B)")
    first = call.args[0]
    letters = reader.reading.add("text", (), SCALAR_AXES, first.span, (str(first.value),))
    operands = [reader.draft(arg) for arg in call.args[1:]]
    reader.cost += SCALAR_FOR_ARRAY * any(operand.op == "symbol" and operand.is_scalar for operand in operands)
    return infer_einsum(reader.reading, (letters, *operands), call.span)


def _where(reader: Interpreter, call: CallNode) -> Meaning:
    if len(call.args) != 3 or call.args[0].kind != "compare":
        raise ParseError("where takes a comparison and two values", span=call.span)
    left, right = (reader.draft(arg) for arg in call.args[0].args)
    compared = reader.elementwise("add", left, right, call.args[0].span)
    condition = reader.reading.add("compare", (left, right), compared.axes, call.args[0].span, (call.args[0].value,))
    return infer_where(reader.reading, (condition, *(reader.draft(arg) for arg in call.args[1:])), call.span)


def _matrix_power(reader: Interpreter, call: CallNode) -> Meaning:
    drafts = read_drafts(reader, call, 2)
    return reader.call("matrix_power", read_power(reader.reading, tuple(drafts), call.span), call.span)


def _refuse_several(reader: Interpreter, call: CallNode) -> Meaning:
    """slogdet, eigh and svd give several arrays; svd(X, compute_uv=False) gives one."""
    if "compute_uv" in call.keywords and not read_bool(call.keywords["compute_uv"]):
        return reader.call("svdvals", (reader.draft(call.args[0]),), call.span)
    part = next(iter(PARTS_OF_CALLS[call.name]))
    raise ParseError(f"{call.name} gives several arrays", span=call.span, advice=f"write {call.name}(X)[{part}]")


def _tensordot(reader: Interpreter, call: CallNode) -> Meaning:
    axes = call.keywords.get("axes", call.args[2] if len(call.args) == 3 else None)
    if axes is None or axes.kind != "number" or axes.value != "1":
        raise ParseError("tensordot is read with axes=1", span=call.span, advice="write einsum('ij,jk->ik', A, B)")
    return multiply_arrays(reader, reader.draft(call.args[0]), reader.draft(call.args[1]), call.span)


def _item(reader: Interpreter, call: CallNode) -> Meaning:
    return reader.draft(call.args[0])


def _loss(reader: Interpreter, call: CallNode) -> Meaning:
    """mse_loss and l1_loss: their mean over all entries, or with reduction='sum' their sum."""
    left, right = read_drafts(reader, call, 2, ("reduction",))
    reduction = call.keywords.get("reduction")
    word = "mean" if reduction is None else str(reduction.value)
    if word not in ("mean", "sum"):
        raise ParseError(f"{call.name} is read with reduction='mean' or 'sum'", span=call.span)
    difference = add_drafts(reader, "subtract", left, right, call.span)
    function = {"mse_loss": "square", "l1_loss": "abs"}[call.name]
    return reader.call(word, (reader.call(function, (difference,), call.span),), call.span)


def _linear(reader: Interpreter, call: CallNode) -> Meaning:
    """F.linear(x, W, b), which is x @ W.T + b."""
    operand, weight, *bias = read_drafts(reader, call)
    product = multiply_arrays(reader, operand, reader.transpose(weight, weight.span), call.span)
    return add_drafts(reader, "add", product, bias[0], call.span) if bias else product


_SPECIAL: dict[str, Callable[[Interpreter, CallNode], Meaning]] = {
    "matmul": _matmul, "crossprod": _cross_product, "tcrossprod": _cross_product, "sum_squares": _sum_squares,
    "quad_form": _quad_form, "dot": _dot, "inner": _inner, "vdot": _vdot, "chain": _chain, "neg": _negate,
    "multiply": _entrywise("multiply"), "divide": _entrywise("divide"), "add": _entrywise("add"),
    "subtract": _entrywise("subtract"), "pow": _entrywise("pow"), "transpose": _transpose, "clip": _clip, "norm": _norm,
    "norm1": _norm1, "norm2": _norm2, "var": _variance, "std": _variance,
    **dict.fromkeys(("sum", "mean", "max", "min", "prod"), _reduce),
    "softmax": _softmax, "log_softmax": _softmax, "logsumexp": _softmax,
    "tensordot": _tensordot, "gelu": _gelu, "leaky_relu": _leaky_relu,
    "solve": _solve, "diag": _diag, "outer": _outer, "kron": _kron, "einsum": _einsum, "where": _where,
    **dict.fromkeys(PARTS_OF_CALLS, _refuse_several), "matrix_power": _matrix_power, "item": _item,
    "eye": fill_sizes, "ones": fill_sizes, "zeros": fill_sizes, "ones_like": fill_like, "zeros_like": fill_like,
    "ones_or_zeros": fill_constant, "mse_loss": _loss, "l1_loss": _loss, "linear": _linear,
}  # fmt: skip


# The functions of libraries and of mathematics that are read, by the last part of their names.
KNOWN_CALLS = frozenset({*_SPECIAL, *_SAME})


# --- sizes and conditions -------------------------------------------------------------------------------------------


def read_condition(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return [x > 0], which is 1 where it holds and 0 elsewhere."""
    one, zero = (NotationNode("number", (), value, *node.span) for value in ("1", "0"))
    return read_call(reader, NotationNode("call", (node, one, zero), "where", *node.span))


CALL_HANDLERS: Mapping[str, Handler] = {
    "size_of": read_size, "call": read_call, "sized": read_sized, "compare": read_condition,
}  # fmt: skip
