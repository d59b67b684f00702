"""Operations of a program -> source, in the words of a backend."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import Protocol

from matcalc.engine.index_form import Labels
from matcalc.language.expression_to_text import ATOM, PRODUCT, SUM
from matcalc.language.sizes import Shape, Size
from matcalc.render.code.contraction import FRESH
from matcalc.render.code.products import CodePart, align_labels, join_parts, negate_part, transpose_part
from matcalc.render.code.program import Operation, find_symbols, order_entries
from matcalc.render.code.words import Words

# A denominator up to here is divided by; beyond, the number is written as a decimal.
_LARGEST_DENOMINATOR = 100


class Lines(Protocol):
    """What an operation is written into: the parts that are written, and a place for lines."""

    words: Words
    parts: dict[Operation, CodePart]
    uses: Counter[Operation]
    is_concrete: bool

    def name_line(self, operation: Operation, part: CodePart) -> CodePart:
        """Give a value a name."""

    def add_line(self, operation: Operation, text: str) -> None:
        """Write a statement."""


class OperationWriter:
    """Writes each operation from the sources of its operands."""

    def __init__(self, lines: Lines) -> None:
        self.lines, self.words = lines, lines.words
        self.backend, self.prefix = lines.words.backend, lines.words.prefix
        self._symbols: dict[Operation, frozenset[str]] = {}

    def write(self, operation: Operation) -> CodePart:
        """Return the source of an operation, whose shape is without unit axes."""
        parts = [self.lines.parts[arg] for arg in operation.args]
        part: CodePart = getattr(self, f"_write_{operation.kind}")(operation, *parts)
        return replace(part, shape=operation.shape)

    def _atom(self, text: str) -> CodePart:
        return CodePart(text, ATOM, ())

    def _call(self, word: str, *parts: CodePart, more: str = "") -> CodePart:
        return self._atom(f"{self.prefix}.{word}({', '.join(part.text for part in parts)}{more})")

    # --- one array --------------------------------------------------------------------------------

    def _write_one(self, operation: Operation) -> CodePart:
        return CodePart("1", ATOM, (), True)

    def _write_inverse(self, operation: Operation, matrix: CodePart) -> CodePart:
        (kind,) = operation.data
        if kind == "definite" and self.backend == "torch":
            return self._call("cholesky_inverse", self._call("linalg.cholesky", matrix))
        if kind and self._may_look:
            return self._atom(f"{self.words.use_helper('inverse_of_symmetric')}({matrix.text})")
        return self._call("linalg.inv", matrix)

    @property
    def _may_look(self) -> bool:
        """Whether torch may see whether a matrix has a Cholesky factor."""
        return self.backend == "torch" and self.lines.is_concrete

    def _write_alone(self, operation: Operation, part: CodePart) -> CodePart:
        own, wanted = operation.data
        if len(set(own)) < len(own):
            return self._write_diagonal_of(part, own, wanted)
        summed = [place for place, label in enumerate(own) if label not in wanted]
        left = tuple(label for label in own if label in wanted)
        if summed:
            axis = summed[0] if len(summed) == 1 else tuple(summed)
            along = f", axis={axis}" if left else ""
            part = replace(self._call("sum", part, more=along), shape=operation.shape)
        return part if left == wanted else self._permute(part, left, wanted)

    def _permute(self, part: CodePart, own: Labels, wanted: Labels) -> CodePart:
        if len(own) == 2:
            return transpose_part(replace(part, shape=(_AXIS, _AXIS)))
        word = "permute" if self.backend == "torch" else "transpose"
        return self._call(word, part, more=f", {tuple(own.index(label) for label in wanted)}")

    def _write_diagonal_of(self, part: CodePart, own: Labels, wanted: Labels) -> CodePart:
        if len(own) == 2:
            return self._call("diagonal" if wanted else "trace", part)
        return self._write_einsum_of([part], [own], wanted)

    def _write_scale(self, operation: Operation, base: CodePart, *scalars: CodePart) -> CodePart:
        number, count = operation.data
        times, over = list(scalars[:count]), list(scalars[count:])
        value = abs(number)
        if value.denominator > 1 and value.denominator <= _LARGEST_DENOMINATOR:
            over.insert(0, self.words.write_number(Fraction(value.denominator)))
            value = Fraction(value.numerator)
        if value != 1:
            times.insert(0, self.words.write_number(value))
        is_one = operation.args[0].kind == "one"
        if number < 0 and times:
            times[0] = negate_part(times[0])
        front = _join("multiply", times)
        below = _join("multiply", over)
        if self._is_scaled_in_place(operation, base):
            return self._scale_in_place(operation, base, front, below)
        base = replace(base, shape=operation.shape)
        if is_one:
            whole = front if front is not None else CodePart("-1" if number < 0 else "1", ATOM, (), True)
            whole = whole if below is None else join_parts("divide", whole, below, ())
        elif front is None:
            signed = negate_part(base) if number < 0 else base
            whole = signed if below is None else join_parts("divide", signed, below, ())
        else:
            front = front if below is None else join_parts("divide", front, below, ())
            whole = join_parts("multiply", front, base, ())
        is_plain = all(part.plain for part in (base, *scalars))
        return CodePart(whole.text, whole.level, operation.shape, is_plain)

    def _is_scaled_in_place(self, operation: Operation, base: CodePart) -> bool:
        """Whether a new matrix is multiplied where it stands, which NumPy does itself to large ones without a name."""
        arg, scalars = operation.args[0], operation.args[1:]
        if len(arg.shape) < 2 or self.backend == "jax":
            return False
        if self.backend == "numpy":
            return self._is_new(arg) and (base.text.isidentifier() or self.lines.is_concrete)
        return self._may_change(arg, scalars)

    def _scale_in_place(
        self, operation: Operation, base: CodePart, front: CodePart | None, below: CodePart | None
    ) -> CodePart:
        steps = [(symbol, part) for symbol, part in (("*", front), ("/", below)) if part is not None]
        if front is not None and below is not None:
            steps = [("*", join_parts("divide", front, below, ()))]
        elif front is None and operation.data[0] < 0:
            steps = [("/", negate_part(below))] if below is not None else [("*", CodePart("-1", ATOM, (), True))]
        ((symbol, part),) = steps
        if self.backend == "torch":
            return self._atom(f"{base.wrap(ATOM)}.{'mul' if symbol == '*' else 'div'}_({part.text})")
        if not base.text.isidentifier():
            base = self.lines.name_line(operation.args[0], replace(base, shape=operation.shape))
        self.lines.add_line(operation, f"{base.text} {symbol}= {part.text}")
        return base

    # --- two arrays -------------------------------------------------------------------------------

    def _write_multiply(self, operation: Operation, left: CodePart, right: CodePart) -> CodePart:
        own, other, wanted = operation.data
        if len(own) == len(other) == 1 and own != other:
            return self._call("outer", *((left, right) if wanted == own + other else (right, left)))
        if self.backend == "numpy" and len(wanted) > 2:
            opened = [self._open_view(arg, labels) for arg, labels in zip(operation.args, (own, other), strict=True)]
            if any(part is not None for part in opened):
                # einsum reads a transposed array faster than arithmetic entry by entry does.
                given = [(left, own), (right, other)]
                parts, labels = zip(*(new or old for new, old in zip(opened, given, strict=True)), strict=True)
                return self._write_einsum_of(parts, labels, wanted)
        for place, (own_labels, other_labels) in enumerate(((own, other), (other, own))):
            arg, further = operation.args[place], operation.args[1 - place]
            if own_labels == wanted and self._may_change(arg, [further], len(other_labels) < len(wanted)):
                changed, by = (left, right) if place == 0 else (right, left)
                if not changed.is_simple:
                    changed = self.lines.name_line(arg, replace(changed, shape=arg.shape))
                self.lines.add_line(operation, f"{changed.text} *= {align_labels(by, other_labels, wanted).text}")
                return changed
        if self.backend == "torch" and len(wanted) > 2:
            left, right = (self._lay_out(arg, part) for arg, part in zip(operation.args, (left, right), strict=True))
        return join_parts("multiply", align_labels(left, own, wanted), align_labels(right, other, wanted), ())

    def _lay_out(self, operation: Operation, part: CodePart) -> CodePart:
        """Return a transposed array as a new one, which is read once for each entry of a larger array."""
        return self._atom(f"{part.wrap(ATOM)}.contiguous()") if _is_view(operation) else part

    def _open_view(self, operation: Operation, labels: Labels) -> tuple[CodePart, Labels] | None:
        """Return the array that is transposed, with its indices; None for what is no transpose."""
        if not _is_view(operation):
            return None
        inner, outer = operation.data
        names = dict(zip(outer, labels, strict=True))
        return self.lines.parts[operation.args[0]], tuple(names[label] for label in inner)

    def _write_matmul(self, operation: Operation, left: CodePart, right: CodePart) -> CodePart:
        return join_parts("matmul", left, right, ())

    def _write_solve(self, operation: Operation, matrix: CodePart, right: CodePart) -> CodePart:
        transposed, kind = operation.data
        if kind == "definite" and self.backend == "torch":
            factor, column = self._call("linalg.cholesky", matrix), align_labels(right, "i", "ij")
            if right.rank > 1:
                return self._call("cholesky_solve", right, factor)
            return self._atom(f"{self._call('cholesky_solve', column, factor).text}[:, 0]")
        if kind and self._may_look:
            return self._atom(f"{self.words.use_helper('solve_symmetric')}({matrix.text}, {right.text})")
        left = transpose_part(replace(matrix, shape=(_AXIS, _AXIS))) if transposed else matrix
        return self._call("linalg.solve", left, right)

    def _write_contract(self, operation: Operation, left: CodePart, right: CodePart) -> CodePart:
        *is_first, inner = operation.data
        sides = [
            self._flatten(arg, part, inner, is_inner_first, is_right)
            for arg, part, is_inner_first, is_right in zip(
                operation.args, (left, right), is_first, (False, True), strict=True
            )
        ]  # fmt: skip
        product = join_parts("matmul", sides[0], sides[1], ())
        if len(operation.shape) < 3 and all(len(arg.shape) - inner < 2 for arg in operation.args):
            return product
        return self._atom(f"{product.wrap(ATOM)}.reshape({self.words.write_sizes(operation.shape)})")

    def _flatten(
        self, operation: Operation, part: CodePart, inner: int, is_inner_first: bool, is_right: bool
    ) -> CodePart:
        """Return an array as a matrix: what is summed over are columns of the left one, rows of the right one."""
        rank = len(operation.shape)
        flat = self._join_axes(part, operation.shape, inner if is_inner_first else rank - inner)
        if is_inner_first == is_right or rank == inner:
            return flat
        return transpose_part(replace(flat, shape=(_AXIS, _AXIS)))

    def _join_axes(self, part: CodePart, shape: Shape, first: int) -> CodePart:
        """Return an array as a matrix: the first axes joined, and those after them."""
        groups = [group for group in (shape[:first], shape[first:]) if group]
        if all(len(group) == 1 for group in groups):
            return part
        sizes = self.words.write_sizes(tuple(reduce(mul, group) for group in groups))
        return self._atom(f"{part.wrap(ATOM)}.reshape({sizes})")

    def _write_dot(self, operation: Operation, left: CodePart, right: CodePart) -> CodePart:
        return self._call("sum", join_parts("multiply", left, right, ()))

    def _write_einsum(self, operation: Operation, left: CodePart, right: CodePart) -> CodePart:
        own, other, wanted = operation.data
        return self._write_einsum_of([left, right], [own, other], wanted)

    def _write_einsum_of(
        self, parts: Sequence[CodePart], labels: Sequence[Labels], wanted: Labels
    ) -> CodePart:
        letters = "abcdefghijklmnopqrstuvwxyz" + string.ascii_uppercase
        names = dict(zip(dict.fromkeys(label for own in labels for label in own), letters, strict=False))
        texts = ["".join(names[label] for label in each) for each in (*labels, wanted)]
        # What is summed over in arrays of more axes is a product of matrices to NumPy only where it is asked for.
        is_product = len(labels) == 2 and max(map(len, labels)) > 2 and bool(set().union(*labels) - set(wanted))
        more = ", optimize=True" if self.backend == "numpy" and is_product else ""
        arrays = ", ".join(part.text for part in parts)
        return self._atom(f"{self.prefix}.einsum('{','.join(texts[:-1])}->{texts[-1]}', {arrays}{more})")

    # --- sums -------------------------------------------------------------------------------------

    def _write_sum(self, operation: Operation, *parts: CodePart) -> CodePart:
        signs, labels, wanted = operation.data
        aligned = [align_labels(part, own, wanted) for part, own in zip(parts, labels, strict=True)]
        is_whole = len(wanted) > 1 and labels[0] == wanted
        is_broadcast = any(0 < len(own) < len(wanted) for own in labels)
        if is_whole and self._may_change(operation.args[0], operation.args[1:], is_broadcast):
            whole = aligned[0]
            if not whole.is_simple:
                whole = self.lines.name_line(operation.args[0], replace(whole, shape=operation.shape))
            for sign, part in zip(signs[1:], aligned[1:], strict=True):
                self.lines.add_line(operation, f"{whole.text} {'+' if sign > 0 else '-'}= {part.text}")
            return whole
        texts = [aligned[0].wrap(SUM)]
        for sign, part in zip(signs[1:], aligned[1:], strict=True):
            second = part.wrap(PRODUCT)
            texts.append(("+ " if sign > 0 else "- ") + (f"({second})" if second.startswith("-") else second))
        return CodePart(" ".join(texts), SUM, operation.shape, all(part.plain for part in parts))

    def _may_change(self, operation: Operation, others: Sequence[Operation], is_broadcast: bool = False) -> bool:
        """Whether an array is changed in place: a new one, which any batched operand makes a batched one.

        NumPy does so itself with large values that have no name, unless the other one is broadcast.
        """
        if self.backend == "jax" or not self._is_new(operation) or len(operation.shape) < 2:
            return False
        if self.backend == "numpy":
            return self.lines.is_concrete and (is_broadcast or self.lines.parts[operation].text.isidentifier())
        if self.lines.is_concrete:
            return True
        own = find_symbols(operation, self._symbols)
        return all(find_symbols(other, self._symbols) <= own for other in others)

    def _is_new(self, operation: Operation) -> bool:
        """Whether a value is an array that nothing else reads; torch's autograd keeps solutions of linear systems."""
        is_kept = operation.kind == "solve" and self.backend == "torch"
        return operation.kind in FRESH and self.lines.uses[operation] == 1 and not is_kept

    def _write_diagonal(self, operation: Operation, value: CodePart, total: CodePart | None = None) -> CodePart:
        sign, own, pattern = operation.data
        entries = order_entries(pattern)
        if self.backend == "jax":
            return self._add_placed(operation, value, total, sign, own, pattern)
        if total is None:
            return self._place(operation, value, own, pattern)
        base, arg = total, operation.args[1]
        if self.backend == "torch" and not self._may_change(arg, operation.args[:1]):
            placed = self._place(operation, value, own, pattern)
            return join_parts("add" if sign > 0 else "subtract", total, placed, ())
        if not self._is_new(arg):
            copied = f"{base.wrap(ATOM)}.{'clone' if self.backend == 'torch' else 'copy'}()"
            base = self.lines.name_line(operation, CodePart(copied, ATOM, operation.shape))
        elif not base.is_simple:
            base = self.lines.name_line(arg, replace(base, shape=operation.shape))
        view, order = self._view(base.text, pattern, own if len(own) == len(entries) else entries)
        added = self._fit(value, own, order)
        if self.backend == "torch":
            self.lines.add_line(operation, f"{view}.{'add' if sign > 0 else 'sub'}_({added})")
        else:
            self.lines.add_line(operation, f"{view} {'+' if sign > 0 else '-'}= {added}")
        return base

    def _place(self, operation: Operation, value: CodePart, own: Labels, pattern: Labels) -> CodePart:
        """Return an array of zeros with values at the entries of equal indices."""
        if len(pattern) == 2 and own:
            return self._call("diag", value)
        sizes = self.words.write_sizes(operation.shape)
        if value.plain:
            like = f"{self.words.like}." if self.words.like else ""
        else:
            value = value if value.is_simple else self.lines.name_line(operation.args[0], value)
            like = f"{value.text}."
        if self.backend == "torch":
            zeros = self._atom(f"{like}new_zeros({sizes})")
        else:
            zeros = self._call("zeros", self._atom(f"({sizes})"), more=f", {like}dtype" if like else "")
        whole = self.lines.name_line(operation, replace(zeros, shape=operation.shape))
        entries = order_entries(pattern)
        view, order = self._view(whole.text, pattern, own if len(own) == len(entries) else entries)
        placed = self._fit(value, own, order)
        if self.backend == "torch":
            fill = f"{view}.fill_({placed})" if value.plain else f"{view}.copy_({placed})"
            self.lines.add_line(operation, fill)
        else:
            self.lines.add_line(operation, f"{view} = {placed}")
        return whole

    def _view(self, name: str, pattern: Labels, entries: Labels) -> tuple[str, Labels]:
        """Return the view of the entries of equal indices, and the indices of its axes."""
        if self.backend == "numpy":
            letters = "ijklmnopqrstuvwxyzabcdefgh"
            whole, kept = ("".join(letters[label] for label in each) for each in (pattern, entries))
            return f"np.einsum('{whole}->{kept}', {name})[...]", entries
        text, axes = name, list(pattern)
        for label in dict.fromkeys(pattern):
            while axes.count(label) > 1:
                first = axes.index(label)
                second = axes.index(label, first + 1)
                options = "" if (first, second, len(axes)) == (0, 1, 2) else f"dim1={first}, dim2={second}"
                text += f".diagonal({options})"
                del axes[second], axes[first]
                axes.append(label)
        return text, tuple(axes)

    def _fit(self, value: CodePart, own: Labels, order: Labels) -> str:
        kept = tuple(label for label in order if label in own)
        turned = value if kept == own else self._permute(value, own, kept)
        return align_labels(turned, kept, order).text

    def _add_placed(
        self, operation: Operation, value: CodePart, total: CodePart | None, sign: int, own: Labels, pattern: Labels
    ) -> CodePart:
        """Return the sum with an array of zeros but for the entries of equal indices; XLA forms no such array."""
        entries = tuple(dict.fromkeys(pattern))
        kept = tuple(label for label in entries if label in own)
        base = value if kept == own else self._permute(value, own, kept)
        if len(pattern) == 2 and own:
            placed = self._call("diag", base)
        else:
            first = [label if label not in pattern[:place] else None for place, label in enumerate(pattern)]
            placed = align_labels(base, kept, first)
            again = [place for place, label in enumerate(first) if label is None]
            placed = _join("multiply", [placed, *(self._eye(operation, pattern, place) for place in again)]) or placed
            if total is None and not set(entries) <= {*own, *(pattern[place] for place in again)}:
                placed = self._call("broadcast_to", placed, more=f", ({self.words.write_sizes(operation.shape)})")
        if total is None:
            return placed
        return join_parts("add" if sign > 0 else "subtract", total, placed, ())

    def _eye(self, operation: Operation, pattern: Labels, place: int) -> CodePart:
        """Return the identity that says that two indices are equal."""
        size, first = self.words.write_size(operation.shape[place]).text, pattern.index(pattern[place])
        eye = self._atom(f"jnp.eye({size}{f', dtype={self.words.like}.dtype' if self.words.like else ''})")
        return align_labels(eye, (first, place), range(len(pattern)))


# The two axes of a matrix, whose sizes do not matter for its text.
_AXIS = Size.of("n")


def _is_view(operation: Operation) -> bool:
    """Whether an operation only changes the order of axes."""
    return operation.kind == "alone" and sorted(operation.data[0]) == sorted(operation.data[1])


def _join(op: str, parts: Sequence[CodePart]) -> CodePart | None:
    whole = None
    for part in parts:
        whole = part if whole is None else join_parts(op, whole, part, ())
    return whole
