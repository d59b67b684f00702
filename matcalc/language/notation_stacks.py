"""Calls of NumPy and torch, and MATLAB's brackets, that put arrays together or flatten them -> drafts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matcalc.errors import ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.draft import Draft, multiply_axes, resolve, subtract_axes
from matcalc.language.notation_arguments import CallNode, read_integer
from matcalc.language.notation_calls import open_call, read_call
from matcalc.language.notation_entries import read_bound
from matcalc.language.notation_to_draft import Handler, Interpreter, Meaning
from matcalc.language.notation_tree import NotationNode
from matcalc.language.sizes import Size
from matcalc.language.slices import concatenate, pad_array

_WHOLE_ARRAYS = "write vectors and matrices, as in np.concatenate([x, y])"


def read_any_call(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return what a call puts together or flattens, and what `read_call` makes of any other."""
    name = str(node.value).rpartition(".")[2]
    handler = _JOINING.get(name)
    return read_call(reader, node) if handler is None else handler(reader, open_call(node))


def _list_arrays(reader: Interpreter, call: CallNode) -> list[Draft]:
    """Return the arrays that a call is given in a list, a tuple, or one by one."""
    nodes = [node for node in call.args if node.kind != "keyword"]
    if len(nodes) >= 1 and nodes[0].kind == "list":
        nodes = list(nodes[0].args)
    elif len(nodes) > 1 and nodes[-1].kind in ("number", "negate") and nodes[0].kind == "group":
        nodes = [nodes[0]]
    drafts = [reader.draft(node) for node in nodes]
    if not drafts or any(len(draft.axes) != 2 for draft in drafts):
        raise ParseError(f"{call.name} takes vectors and matrices", span=call.span, advice=_WHOLE_ARRAYS)
    return drafts


def _read_axis(reader: Interpreter, call: CallNode) -> int:
    """Return the axis that a call names, by keyword or behind the list; 0 where it names none."""
    if unknown := [name for name in call.keywords if name not in ("axis", "dim")]:
        raise ParseError(f"{call.name} takes no {unknown[0]}= here", span=call.span)
    behind = call.args[1] if len(call.args) == 2 and call.args[0].kind in ("list", "group") else None
    node = next(iter(call.keywords.values()), behind)
    axis = 0 if node is None else read_integer(reader, node)
    if axis not in (-2, -1, 0, 1):
        raise ShapeError(f"a matrix has no axis {axis}", span=call.span, advice="write axis=0 or axis=1")
    return axis


def _is_flat(reader: Interpreter, draft: Draft) -> bool:
    """Whether an array has one axis or none in NumPy."""
    return not draft.is_matrix and draft.position not in reader.columns


def _concatenate(reader: Interpreter, call: CallNode) -> Meaning:
    """Return arrays one after another along an axis that they have."""
    drafts, axis = _list_arrays(reader, call), _read_axis(reader, call)
    if all(_is_flat(reader, draft) for draft in drafts):
        if axis not in (0, -1):
            reason = f"vectors have no axis {axis}"
            raise ShapeError(reason, span=call.span, advice="write np.column_stack([x, y]) for a matrix of columns")
        return _join_flat(reader, drafts, call)
    return _join(reader, drafts, axis % 2, call)


def _join_flat(reader: Interpreter, drafts: Sequence[Draft], call: CallNode) -> Draft:
    columns = [reader.transpose(draft, draft.span) if draft.is_row else draft for draft in drafts]
    return concatenate(reader.reading, columns, 0, call.span)


def _join(reader: Interpreter, drafts: Sequence[Draft], axis: int, call: CallNode) -> Draft:
    joined = concatenate(reader.reading, drafts, axis, call.span)
    if joined.is_column:
        reader.columns.add(joined.position)
    return joined


def _stack_across(reader: Interpreter, call: CallNode) -> Meaning:
    """Return hstack([x, y]), one after another for vectors, and side by side for matrices."""
    drafts = _list_arrays(reader, call)
    _refuse_options(call)
    if all(_is_flat(reader, draft) for draft in drafts):
        return _join_flat(reader, drafts, call)
    return _join(reader, drafts, 1, call)


def _stack_down(reader: Interpreter, call: CallNode) -> Meaning:
    """Return vstack([X, x]): matrices one below the other, each vector as a row."""
    drafts = _list_arrays(reader, call)
    _refuse_options(call)
    rows = [reader.transpose(draft, draft.span) if _is_flat(reader, draft) and draft.is_column else draft
            for draft in drafts]  # fmt: skip
    return _join(reader, rows, 0, call)


def _stack_columns(reader: Interpreter, call: CallNode) -> Meaning:
    """Return column_stack([x, Y]): vectors as columns, side by side."""
    drafts = _list_arrays(reader, call)
    _refuse_options(call)
    return _join(reader, drafts, 1, call)


def _stack(reader: Interpreter, call: CallNode) -> Meaning:
    """Return stack([x, y]), a matrix of which each vector is a row, with axis=1 a column; of numbers a vector."""
    drafts, axis = _list_arrays(reader, call), _read_axis(reader, call)
    if all(draft.is_scalar for draft in drafts):
        return concatenate(reader.reading, drafts, 0, call.span)
    if not all(draft.is_column or draft.is_row for draft in drafts):
        reason = "stacked matrices have three axes, which are not in the language"
        raise ShapeError(reason, span=call.span, advice="write concatenate for one matrix")
    columns = [reader.transpose(draft, draft.span) if draft.is_row else draft for draft in drafts]
    if axis in (1, -1):
        return _join(reader, columns, 1, call)
    return _join(reader, [reader.transpose(draft, draft.span) for draft in columns], 0, call)


def _block(reader: Interpreter, call: CallNode) -> Meaning:
    """Return block([[A, B], [C, D]])."""
    _refuse_options(call)
    rows = call.args[0].args if len(call.args) == 1 and call.args[0].kind in ("list", "group") else call.args
    if not all(row.kind in ("list", "group") for row in rows):
        return _stack_across(reader, call)
    return _join_rows(reader, [row.args for row in rows], call.node)


def _join_rows(reader: Interpreter, rows: Sequence[Sequence[NotationNode]], node: NotationNode) -> Draft:
    """Return arrays in rows, side by side in each."""
    lines = [concatenate(reader.reading, [reader.draft(item) for item in row], 1, node.span) for row in rows]
    return concatenate(reader.reading, lines, 0, node.span)


def read_blocks(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return MATLAB's [A, B; C, D]."""
    return _join_rows(reader, [row.args for row in node.args], node)


def _refuse_options(call: CallNode) -> None:
    if call.keywords:
        raise ParseError(f"{call.name} takes no {next(iter(call.keywords))}= here", span=call.span)


def _pad(reader: Interpreter, call: CallNode) -> Meaning:
    """Return np.pad(x, (1, 0)) and pad(x, 1, 0): zeros before and behind a vector."""
    ends = call.args[1].args if len(call.args) == 2 and call.args[1].kind == "list" else call.args[1:]
    array = reader.draft(call.args[0])
    if call.keywords or len(ends) not in (1, 2) or not array.is_column:
        reason = f"{call.name} is read of a vector, with how many zeros stand before and behind it"
        raise ParseError(reason, span=call.span, advice=f"write {names.SPECIAL[names.PAD]}")
    sizes = [read_bound(reader, end, array.axes[0]) for end in ends]
    if not call.library and len(ends) == 1:
        sizes = [*sizes, sizes[0]]
    return pad_array(reader.reading, array, sizes[0], sizes[-1], 0, call.span)


# --- flattening -----------------------------------------------------------------------------------------


def _flatten(reader: Interpreter, call: CallNode) -> Meaning:
    """Return the rows behind each other, as Python has them: vec(X.T)."""
    operand = reader.draft(call.args[0])
    sizes = [item for arg in call.args[1:] for item in (arg.args if arg.kind in ("list", "group") else (arg,))]
    if call.name == "reshape":
        places = [_read_length(item) for item in sizes]
        if places in ([-1, 1], [1, -1]):
            return _add_axis(reader, operand, places == [1, -1], call)
        if places != [-1] and not _is_whole(reader, operand, sizes):
            reason = f"reshape is read as reshape(-1), all entries of {reader.spell(operand)} in one vector"
            advice = "write a formula of the vector, or name the matrix and take vec of it"
            raise ParseError(reason, span=call.span, advice=advice)
    order = call.keywords.get("order")
    if call.name == "flatten" and len(call.args) == 2 and call.args[1].kind == "text":
        order = call.args[1]
    elif set(call.keywords) - {"order"} or (call.name == "flatten" and len(call.args) > 1):
        raise ParseError(f"{call.name} is read without options", span=call.span)
    if order is not None and str(order.value) not in ("C", "F"):
        raise ParseError("the order is 'C', row by row, or 'F', column by column", span=order.span)
    if not operand.is_matrix:
        return operand
    if order is not None and order.value == "F":
        return reader.call("vec", (operand,), call.span)
    reader.reading.note(f"{reader.reading.write(operand)} is flattened row by row, as in NumPy: vec of the transpose")
    return reader.call("vec", (reader.transpose(operand, call.span),), call.span)


def _read_length(node: NotationNode) -> int | None:
    """Return a length that is written as a number, be it -1."""
    if node.kind == "negate":
        inner = _read_length(node.args[0])
        return None if inner is None else -inner
    return int(str(node.value)) if node.kind == "number" and str(node.value).isdigit() else None


def _is_whole(reader: Interpreter, operand: Draft, sizes: Sequence[NotationNode]) -> bool:
    """Whether one length is written, and is the number of all entries."""
    if len(sizes) != 1:
        return False
    left = subtract_axes(read_bound(reader, sizes[0], Size.of(1)), multiply_axes(operand.axes))
    return resolve(left) == Size((), 0)


def _unsqueeze(reader: Interpreter, call: CallNode) -> Meaning:
    """Return x with a second axis: as a column, or as a row."""
    if len(call.args) != 2 or call.keywords:
        raise ParseError("unsqueeze takes an axis", span=call.span)
    return _add_axis(reader, reader.draft(call.args[0]), read_integer(reader, call.args[1]) in (0, -2), call)


def _add_axis(reader: Interpreter, vector: Draft, as_row: bool, call: CallNode) -> Draft:
    if not vector.is_column:
        raise ShapeError("only a vector is given a second axis", span=call.span)
    if as_row:
        return reader.transpose(vector, call.span)
    shown = reader.reading.add(vector.op, vector.args, vector.axes, vector.span, vector.data)
    reader.columns.add(shown.position)
    return shown


def list_joined_sizes(node: NotationNode) -> set[str]:
    """Return the names that stand for sizes in reshape(X, m*n) and pad(x, q, 0)."""
    if node.kind != "call" or str(node.value).rpartition(".")[2] not in ("reshape", "view", names.PAD):
        return set()
    from matcalc.language.notation_tree import walk_nodes

    return {str(part.value) for arg in node.args[1:] for part in walk_nodes(arg) if part.kind == "name"}


_JOINING: dict[str, Callable[[Interpreter, CallNode], Meaning]] = {
    **dict.fromkeys(("concatenate", "concat", "cat"), _concatenate),
    **dict.fromkeys(("hstack",), _stack_across), **dict.fromkeys(("vstack", "row_stack"), _stack_down),
    "column_stack": _stack_columns, "stack": _stack, "block": _block, names.PAD: _pad,
    **dict.fromkeys(("flatten", "ravel", "reshape", "view"), _flatten), "unsqueeze": _unsqueeze,
}  # fmt: skip
JOINING_WORDS = frozenset(_JOINING)
STACK_HANDLERS: Mapping[str, Handler] = {"call": read_any_call, "blocks": read_blocks}
