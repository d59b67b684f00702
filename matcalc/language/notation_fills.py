"""Arrays filled with numbers, and sizes, in notation -> drafts: eye(n), ones(m, 1), I_n, X.shape[0], zeros_like(x)."""

from __future__ import annotations

from matcalc.errors import LimitError, ParseError
from matcalc.language.calls import fill
from matcalc.language.declarations import LARGEST_SIZE
from matcalc.language.draft import DraftAxis, Unknown, is_unit
from matcalc.language.notation_arguments import CallNode, read_drafts, read_integer
from matcalc.language.notation_to_draft import Interpreter, Meaning, ask_which
from matcalc.language.notation_tree import NotationNode, walk_nodes
from matcalc.language.sizes import UNIT, Size


def fill_sizes(reader: Interpreter, call: CallNode) -> Meaning:
    """eye(n), ones(m, n) and their kin; without sizes, or with _, of the size that fits."""
    nodes = [item for arg in call.args for item in (arg.args if arg.kind in ("list", "group") else (arg,))]
    if call.name == "eye" and (not nodes or nodes[0].kind in ("call", "size_of", "pick")):
        return reader.filled("eye", call.span)
    sizes = [_read_size(reader, node) for node in nodes]
    if call.name == "eye":
        if len(set(sizes)) != 1:
            raise ParseError("eye takes one size", span=call.span)
        sizes = sizes[:1]
    if call.name != "eye" and len(sizes) == 2 and sizes[0].is_unit and not sizes[1].is_unit:
        column = fill(reader.reading, call.name, sizes[1:], call.span)
        return reader.transpose(column, call.span)
    if reader.syntax == "matlab" and len(sizes) == 1 and call.name != "eye":
        size = str(sizes[0])
        raise ask_which(
            f"{call.name}({size}) is a matrix in MATLAB",
            f"{call.name}({size}, 1)",
            f"{call.name}({size}, {size})",
            call.span,
        )
    return fill(reader.reading, call.name, sizes, call.span)


def _read_size(reader: Interpreter, node: NotationNode) -> Size:
    if node.kind == "number" and str(node.value).isdigit() and int(str(node.value)[:20]) >= 1:
        if int(str(node.value)[:20]) > LARGEST_SIZE:
            raise LimitError(f"the size is beyond {LARGEST_SIZE}", span=node.span)
        return Size.of(int(str(node.value)))
    if node.kind == "name" and str(node.value) in reader.reading.sizes:
        return reader.reading.sizes[str(node.value)]
    if node.kind == "pick" and node.args[0].kind == "size_of":
        axis = read_axis_size(reader, node)
        if isinstance(axis, Size):
            return axis
    raise ParseError("this is not a size", span=node.span, advice="sizes are names and whole numbers, as in eye(n)")


def read_axis_size(reader: Interpreter, node: NotationNode) -> DraftAxis:
    """Return the size X.shape[1] of an axis."""
    sized, *items = node.args
    array = reader.draft(sized.args[0])
    axes = [axis for axis in array.axes if not is_unit(axis)]
    place = read_integer(reader, items[0]) if len(items) == 1 else len(axes)
    if sized.value != "shape" or not -len(axes) <= place < len(axes):
        raise ParseError("there is no such axis", span=node.span, advice="write X.shape[0] or X.shape[1]")
    return axes[place]


def list_written_sizes(node: NotationNode) -> set[str]:
    """Return the names that stand for sizes in eye(n) and its kin."""
    if node.kind == "sized":
        assert isinstance(node.value, tuple)
        return {size for size in node.value[1] if size.isidentifier()}
    if node.kind == "range":
        return {str(part.value) for part in walk_nodes(node) if part.kind == "name"} - {"end"}
    if node.kind == "call" and str(node.value).rpartition(".")[2] in ("eye", "ones", "zeros", "identity"):
        inside = [item for arg in node.args for item in (arg.args if arg.kind in ("list", "group") else (arg,))]
        return {str(item.value) for item in inside if item.kind == "name"}
    return set()


def fill_like(reader: Interpreter, call: CallNode) -> Meaning:
    (like,) = read_drafts(reader, call, 1)
    name = call.name.removesuffix("_like")
    one = reader.elementwise("multiply", reader.number(0, call.span), like, call.span)
    return reader.elementwise("add", one, reader.number(1, call.span), call.span) if name == "ones" else one


def fill_constant(reader: Interpreter, call: CallNode) -> Meaning:
    """vector(1) and matrix(1) of matrixcalculus.org: an array of that number, of the size that fits."""
    value = reader.draft(call.args[0]) if len(call.args) == 1 else None
    if value is None or value.value is None:
        raise ParseError("vector takes a number, as in vector(1)", span=call.span)
    word = reader.reading.source.text[call.span[0] : call.span[0] + 6].lower()
    sizes = (Unknown(),) if word == "vector" else (Unknown(), Unknown())
    axes = (*sizes, UNIT) if len(sizes) == 1 else sizes
    ones = reader.reading.add("filled", (), axes, call.span, ("ones", sizes))
    return ones if value.value == 1 else reader.elementwise("multiply", value, ones, call.span)


def read_sized(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return I_n, 1_n or 0_{m x n}."""
    assert isinstance(node.value, tuple)
    word, written = node.value
    known = reader.reading.sizes
    if not all(size.isdigit() or size in known for size in written):
        return reader.filled(word, node.span)
    sizes = [Size.of(int(size)) if size.isdigit() else known[size] for size in written]
    return fill(reader.reading, word, sizes, node.span)


def read_size(reader: Interpreter, node: NotationNode) -> Meaning:
    """Return x.size, the number of entries."""
    if node.value != "size":
        raise ParseError(f"{node.value} is no number", span=node.span, advice="write X.shape[0] or X.size")
    return reader.call("size", (reader.draft(node.args[0]),), node.span)
