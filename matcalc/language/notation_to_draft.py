"""A tree of mathematical notation -> drafts: what each sign means for what stands beside it.

Where the kinds of the names do not decide what a sign means, an error asks with the readings written out; so a formula
is read as its writer means it, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from matcalc.errors import ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.calls import fill_open, infer_einsum
from matcalc.language.draft import (
    SCALAR_AXES,
    Draft,
    Reading,
    broadcast_axes,
    hold_axes,
    name_sizes,
    open_shape,
    settle,
    unify,
)
from matcalc.language.expression import symbol
from matcalc.language.expression_to_text import to_text
from matcalc.language.habits import DATA, AmbiguityError, find_scale, has_product, is_reduced
from matcalc.language.infer_shapes import compute_value, infer_product, use_definition
from matcalc.language.match_rules import call_function
from matcalc.language.notation_tree import NotationNode, list_entry_letters, walk_nodes
from matcalc.language.sizes import Size
from matcalc.language.text_to_expression import build_expressions

_COUNTS = frozenset("cdkmnt")
# What a reading costs where it is possible, but hardly meant.
MIXED_SUM, SCALAR_FOR_ARRAY, SCALAR_BEHIND, UNUSUAL, BIAS, NUMBER_AND_ARRAY = 2.0, 4.0, 1.4, 2.0, 2.8, 0.6
# What a reading may cost where the usual kinds add a number to a matrix: that of two names of another kind.
NO_SUM = 3.3


@dataclass(frozen=True, slots=True)
class Indexed:
    """A product of entries such as A_ij x_j: each factor with its indices, and the indices still free."""

    factors: tuple[tuple[Draft, str], ...]
    free: str


Meaning = Draft | Indexed
Handler = Callable[["Interpreter", NotationNode], Meaning]


@dataclass(slots=True, eq=False)
class Interpreter:
    """Turns one tree into drafts, with what is assumed of the names and one reading of each choice.

    `cost` grows with each part that is hardly meant so; `summing` counts the sums around a part; `handlers` say what
    each kind of part means; `columns` are the drafts that Python holds with two axes; `limits` the sizes up to which
    indices run.
    """

    reading: Reading
    syntax: str
    kinds: Mapping[str, int]
    choices: Mapping[int, int]
    handlers: Mapping[str, Handler]
    repeated: frozenset[str] = frozenset()
    summed: frozenset[str] = frozenset()
    cost: float = 0.0
    visited: set[str] = field(default_factory=set)
    chosen: set[int] = field(default_factory=set)
    columns: set[int] = field(default_factory=set)
    bound: list[str] = field(default_factory=list)
    limits: dict[str, Size] = field(default_factory=dict)
    summing: int = 0

    # --- drafts

    def draft(self, node: NotationNode) -> Draft:
        """Return the draft of a part that is no entry; an index that is repeated is summed."""
        meaning = self.read(node)
        return meaning if isinstance(meaning, Draft) else self.close(meaning, node)

    def read(self, node: NotationNode) -> Meaning:
        """Return what a part means; raises a MatcalcError where it means nothing."""
        handler = self.handlers.get(node.kind)
        if handler is None:
            raise ParseError("this has no meaning here", span=node.span)
        return handler(self, node)

    def close(self, meaning: Indexed, node: NotationNode) -> Draft:
        """Return entries as an array, summed over the indices that are repeated: A_ij x_j is A @ x."""
        letters = [letter for _, each in meaning.factors for letter in dict.fromkeys(each)]
        twice = {letter for letter in letters if letters.count(letter) > 1 or self._is_diagonal(meaning, letter)}
        free = "".join(letter for letter in meaning.free if letter not in twice or letter in self.bound)
        return self._contract(meaning, free, node)

    @staticmethod
    def _is_diagonal(meaning: Indexed, letter: str) -> bool:
        return any(each.count(letter) > 1 for _, each in meaning.factors)

    def _contract(self, meaning: Indexed, output: str, node: NotationNode) -> Draft:
        scalars = [factor for factor, letters in meaning.factors if not letters]
        factors = [(factor, letters) for factor, letters in meaning.factors if letters]
        if len(factors) == 1 and factors[0][1] == output:
            product = factors[0][0]
        elif len(factors) == 2 and not output and factors[0][1] == factors[1][1] and len(factors[0][1]) == 1:
            product = self.call("dot", [factor for factor, _ in factors], node.span)
        elif len(factors) == 1 and not output and len(set(factors[0][1])) == len(factors[0][1]):
            product = call_function(self.reading, "sum", (factors[0][0],), node.span)
        else:
            text = ",".join(letters for _, letters in factors) + "->" + output
            quoted = self.reading.add("text", (), SCALAR_AXES, node.span, (text,))
            product = infer_einsum(self.reading, (quoted, *(factor for factor, _ in factors)), node.span)
        for scalar in reversed(scalars):
            product = self.reading.add("multiply", (scalar, product), product.axes, node.span)
        return product

    def number(self, value: Fraction | int, span: tuple[int, int]) -> Draft:
        """Return the draft of a number."""
        return self.reading.add("number", (), SCALAR_AXES, span, (Fraction(value),), Fraction(value))

    def call(self, name: str, args: Sequence[Draft], span: tuple[int, int]) -> Draft:
        """Return a call of a function of the language."""
        if name in ARRAY_FUNCTIONS and args and args[0].is_scalar and args[0].value is None:
            self.cost += SCALAR_FOR_ARRAY + UNUSUAL * (name in ("trace", "det", "logdet") and not is_reduced(args[0]))
        return call_function(self.reading, name, tuple(args), span)

    def transpose(self, operand: Draft, span: tuple[int, int]) -> Draft:
        """Return the transpose; of a transpose what was transposed."""
        if operand.op == "transpose":
            return operand.args[0]
        if operand.is_scalar:
            self.cost += SCALAR_FOR_ARRAY * (operand.op == "symbol")
            return operand
        if len(operand.axes) != 2:
            raise ShapeError("only vectors and matrices are transposed", span=span)
        return self.reading.add("transpose", (operand,), operand.axes[::-1], span)

    def elementwise(self, op: str, left: Draft, right: Draft, span: tuple[int, int]) -> Draft:
        """Return left op right entry by entry, shapes broadcast as the language does."""
        value = compute_value(op, left, right, span)
        axes = broadcast_axes(left.axes, right.axes)
        if axes is None:
            one, other = self.reading.write_shapes(left.axes, right.axes)
            raise ShapeError(f"{self.reading.write(left)} is {one}, {self.reading.write(right)} is {other}", span=span)
        return self.reading.add(op, (left, right), axes, span, (), value)

    def filled(self, name: str, span: tuple[int, int]) -> Draft:
        """Return the identity, or a column of ones, of the size that fits."""
        return fill_open(self.reading, name, span)

    def spell(self, draft: Draft) -> str:
        """Return a draft in the language, as advice has it: norm(A @ x), where the text has ‖Ax‖."""
        reading = self.reading
        taken = {*reading.symbols, *reading.sizes, *reading.declared, *names.CONSTANTS}
        letters = name_sizes((), (), [*reading.symbols.values(), *(each.axes for each in reading.drafts)], taken)
        found = {name: symbol(name, settle(axes, letters)) for name, axes in reading.symbols.items()}
        return to_text(build_expressions(reading.drafts, letters, found)[draft.position])

    # --- names and choices

    def read_name(self, name: str, span: tuple[int, int]) -> Draft:
        """Return the draft of a name: a definition, a variable, a size, a number, or the identity."""
        reading = self.reading
        name = names.normalize_name(name)
        self.visited.add(name)
        stem, _, below = name.partition("_")
        if stem in self.summed and len(below) == 1 and below.isalpha() and name not in reading.declared:
            advice = f"write {stem}_k for an entry, or rename {name}"
            raise AmbiguityError(f"{name} may be one entry of {stem}", span=span, advice=advice)
        if name in self.bound and name not in reading.declared:
            raise ParseError(f"the index {name} stands as a number", span=span, advice="write a vector in its place")
        if name in reading.awaited or name in reading.defined:
            return use_definition(reading, name, span)
        if name in reading.declared:
            reading.symbols.setdefault(name, hold_axes(reading.declared[name]))
        elif name in reading.sizes:
            return reading.add("size", (), SCALAR_AXES, span, (reading.sizes[name],))
        elif name == "π":
            return reading.add("constant", (), SCALAR_AXES, span, ("pi",))
        elif name in names.CONSTANTS:
            return reading.add("constant", (), SCALAR_AXES, span, (name,))
        elif (name == "I" or name.startswith("I_")) and name not in self.kinds:
            return self.filled("eye", span)
        elif name not in reading.symbols:
            if not names.is_plain_name(name) or name.startswith("__") or len(name) > 50:
                raise ParseError(f"{name[:50]} cannot be a name", span=span)
            reading.symbols[name] = open_shape(self.kinds.get(name, names.count_axes(name)))
        return reading.add("symbol", (), reading.symbols[name], span, (name,))

    def choose(self, node: NotationNode) -> NotationNode:
        """Return the reading that a choice has in this attempt."""
        assert isinstance(node.value, tuple)
        number = node.value[0]
        self.chosen.add(number)
        return node.args[self.choices.get(number, 0)]

    # --- products

    def product(self, left: Draft, right: Draft, span: tuple[int, int]) -> Draft:
        """Return the product of mathematics: of a scalar with anything, and of matrices and vectors that fit."""
        if left.is_scalar or right.is_scalar:
            if left.is_scalar and left.value == 1 and right.value is None:
                return right
            is_behind = right.op == "symbol" and self.kinds.get(right.data[0]) == 0
            is_turned = left.is_row and left.op == "transpose" and right.value is None and not is_reduced(right)
            if is_behind and left.is_matrix and right.data[0][0] in "xyzuvw":
                self.cost += SCALAR_FOR_ARRAY
            elif (is_behind and (left.is_matrix or right.data[0][0].isupper())) or is_turned:
                self.cost += SCALAR_BEHIND
            return self.elementwise("multiply", left, right, span)
        if left.is_column and right.is_column:
            one, other = self.spell(left), self.spell(right)
            advice = f"did you mean {one}.T @ {other}, or {one}*{other} entry by entry?"
            # w x of two letters for vectors has no cheaper reading, nor has y log p; of c x, c is a number.
            inside = right.args[0] if right.op == "call" else right
            is_named = left.op == inside.op == "symbol" and left.data[0][0] in "xyzuvw"
            is_certain = is_named and (inside.data[0][0] in "xyzuvw" or (right.op == "call" and inside.is_column))
            is_certain = is_certain and (right is inside or inside.data != left.data)
            error = AmbiguityError if is_certain else ParseError
            raise error(f"{one} and {other} are two columns", span=span, advice=advice)
        if left.is_row and right.is_column and left.op == "transpose" and _is_ones(left.args[0]):
            if not unify(left.axes[1], right.axes[0]):
                raise ShapeError("the sizes do not fit", span=span)
            return self.call("sum", (right,), span)
        if right.is_column and (name := _find_likely_scalar(left)) is not None:
            self.cost += UNUSUAL + (name == "y") / 2  # of k x'y, k is hardly a vector, and of y w'x the label y not
        return infer_product(self.reading, span, left, right)

    def multiply_meanings(self, left: Meaning, right: Meaning, node: NotationNode) -> Meaning:
        """Return a product of which a factor may be an entry."""
        if isinstance(left, Draft) and isinstance(right, Draft):
            return self.product(left, right, node.span)
        factors = (*self._factors(left, node), *self._factors(right, node))
        letters = "".join(dict.fromkeys("".join(each for _, each in factors)))
        return Indexed(factors, letters)

    def _factors(self, meaning: Meaning, node: NotationNode) -> tuple[tuple[Draft, str], ...]:
        if isinstance(meaning, Indexed):
            return meaning.factors
        if not meaning.is_scalar:
            raise ParseError(
                "entries and whole arrays stand in one product", span=node.span,
                advice="write all with indices; where x_i is a row of a matrix X, X @ w has w.T @ x_i for every i",
            )  # fmt: skip
        return ((meaning, ""),)

    # --- entries, each with its indices

    def over_entries(
        self, apply: Callable[[Sequence[Draft]], Draft], meanings: Sequence[Meaning], node: NotationNode
    ) -> Meaning:
        """Return what is done entry by entry to parts of which some are entries: exp(x_i), x_i - y_i."""
        if all(isinstance(meaning, Draft) for meaning in meanings):
            return apply([meaning for meaning in meanings if isinstance(meaning, Draft)])
        frees = sorted((meaning.free for meaning in meanings if isinstance(meaning, Indexed)), key=len, reverse=True)
        letters = "".join(dict.fromkeys("".join(frees)))
        if len(letters) > 2:
            raise ParseError("more than two indices stand in a sum", span=node.span)
        drafts = [self._align(meaning, letters, node) for meaning in meanings]
        return Indexed(((apply(drafts), letters),), letters)

    def sum_repeated(self, term: Meaning, other: Meaning, node: NotationNode) -> Meaning:
        """Return a term summed over the indices that stand twice in it, and not in the term beside it."""
        if isinstance(term, Draft):
            return term
        letters = "".join(each for _, each in term.factors)
        beside = other.free if isinstance(other, Indexed) else ""
        twice = {letter for letter in term.free if letters.count(letter) > 1} - set(beside) - set(self.bound)
        if not twice:
            return term
        free = "".join(letter for letter in term.free if letter not in twice)
        array = self._contract(term, free, node)
        return Indexed(((array, free),), free) if free else array

    def _align(self, meaning: Meaning, letters: str, node: NotationNode) -> Draft:
        """Return a part as an array whose axes are those of the letters."""
        if isinstance(meaning, Draft):
            if not meaning.is_scalar:
                raise ParseError(
                    "entries and whole arrays stand in one sum", span=node.span, advice="write all with indices"
                )
            return meaning
        output = "".join(letter for letter in letters if letter in meaning.free)
        array = self._contract(meaning, output, node)
        if len(letters) == 2 and output == letters[1]:
            return self.transpose(array, node.span)
        return array


def ask_which(reason: str, first: str, second: str, span: tuple[int, int], cost: float = 0.0) -> AmbiguityError:
    """Return the error that asks which of two readings is meant, unless one that costs less than `cost` is found."""
    error = AmbiguityError(reason, span=span, advice=f"did you mean {first}, or {second}?")
    error.cost = cost
    return error


def _find_likely_scalar(draft: Draft) -> str | None:
    """Return the k of a product k x' of two vectors, where it has a letter for numbers and is not the second."""
    if draft.op != "matmul" or not draft.is_matrix or not draft.args[1].is_row:
        return None
    column, row = draft.args
    name = find_scale(column)
    is_square = row.op == "transpose" and row.args[0].op == "symbol" and row.args[0].data[0] == name
    return None if name is None or is_square or name[0] not in _COUNTS | {"y"} else name


def _is_ones(draft: Draft) -> bool:
    return draft.op == "filled" and bool(draft.data[0] == "ones")


# Functions that take an array, so that a scalar is hardly meant.
ARRAY_FUNCTIONS = frozenset(
    """sum mean norm max min prod var std softmax log_softmax logsumexp trace det logdet inv diag dot outer vec
    normalize""".split()
)


# --- leaves -----------------------------------------------------------------------------------------------


def _read_number(self: Interpreter, node: NotationNode) -> Meaning:
    return self.number(Fraction(str(node.value)), node.span)


def _read_text(self: Interpreter, node: NotationNode) -> Meaning:
    raise ParseError("a text in quotes has no meaning here", span=node.span, advice="write names without quotes")


def _read_name(self: Interpreter, node: NotationNode) -> Meaning:
    return self.read_name(str(node.value), node.span)


def _read_ones(self: Interpreter, node: NotationNode) -> Meaning:
    return self.filled("ones", node.span)


def _read_group(self: Interpreter, node: NotationNode) -> Meaning:
    return self.read(node.args[0])


def _read_choice(self: Interpreter, node: NotationNode) -> Meaning:
    return self.read(self.choose(node))


# --- sums -------------------------------------------------------------------------------------------------


def _read_sum(self: Interpreter, node: NotationNode) -> Meaning:
    _ask_where_a_sum_ends(self, node)
    left, right = (self.read(arg) for arg in node.args)
    return add_meanings(self, left, right, node)


def _ask_where_a_sum_ends(self: Interpreter, node: NotationNode) -> None:
    """Raise for sum_i x_i^2 + y_i^2, where y_i stands behind the sum and belongs to it."""
    last = node.args[0].args[1] if node.args[0].kind in ("add", "subtract") else node.args[0]
    if not any(each.kind == "sum" for each in walk_nodes(last)):
        return
    over = {letter for each in walk_nodes(last) if each.kind == "sum" for letter in str(each.value[0])}  # type: ignore[index]
    if over & set(list_entry_letters(node.args[1])) - set(self.bound) and not list_entry_letters(last):
        advice = "write what is summed in brackets, as in sum_i (x_i^2 + y_i^2)"
        raise AmbiguityError("a term behind the sum has its index", span=node.args[1].span, advice=advice)


def add_meanings(self: Interpreter, left: Meaning, right: Meaning, node: NotationNode) -> Meaning:
    """Return a sum or difference of which a term may be an entry; A_ij x_j + b_i is summed over j first."""
    terms = (self.sum_repeated(left, right, node), self.sum_repeated(right, left, node))
    add = add_drafts if all(isinstance(term, Draft) for term in terms) else Interpreter.elementwise
    return self.over_entries(lambda drafts: add(self, node.kind, drafts[0], drafts[1], node.span), terms, node)


def add_drafts(self: Interpreter, op: str, left: Draft, right: Draft, span: tuple[int, int]) -> Draft:
    """Return a sum or difference; a vector beside a matrix is a row in Python, and an error in mathematics."""
    if left.is_scalar != right.is_scalar:
        scalar = left if left.is_scalar else right
        if scalar.value is None and (left.is_matrix or right.is_matrix) and self.syntax in ("math", "latex"):
            raise _ask_about_scalar(self, op, left, right, span)
        is_shift = scalar.op == "call" and scalar.data[0].function in ("mean", "max", "min", "logsumexp")
        if scalar.value is None and not is_shift:  # x - mean(x) is usual
            array = right if scalar is left else left
            # Of y - w'x, which is a residual, y is a number.
            is_score = self.syntax in ("math", "latex") and array.op == "symbol" and has_product(scalar)
            self.cost += SCALAR_FOR_ARRAY if is_score and not self.reading.declared else MIXED_SUM
        elif self.syntax in ("math", "latex"):  # of 1 - y, where y may be a number
            self.cost += NUMBER_AND_ARRAY
    elif self.syntax == "python" and (is_bias_of_samples(left, right) or is_bias_of_samples(right, left)):
        self.cost += BIAS
    elif left.is_matrix != right.is_matrix and not left.is_scalar:
        left, right = _broadcast_vector(self, left, right, span)
    elif ((left.is_column and right.is_row) or (left.is_row and right.is_column)) and not (
        {left.position, right.position} & self.columns
    ):
        one, other = self.reading.write(left), self.reading.write(right)
        raise ShapeError(f"{one} and {other} are a column and a row", span=span, advice="transpose one of them")
    return self.elementwise(op, left, right, span)


def _ask_about_scalar(
    self: Interpreter, op: str, left: Draft, right: Draft, span: tuple[int, int]
) -> AmbiguityError:
    """Return the error that asks about det A + I and X - μ: no sum of mathematics, and of code one entry by entry."""
    sign, (one, other) = "+" if op == "add" else "-", (self.spell(left), self.spell(right))
    size = "n"
    scaled = f"{one} {sign} {other}*eye({size})" if right.is_scalar else f"{one}*eye({size}) {sign} {other}"
    if left.op == "call" and left.args[0].is_matrix:  # det A + I
        scaled = f"{left.data[0].function}({self.spell(left.args[0])} {sign} {other})"
    first = f"{one} {sign} {other} entry by entry"
    return ask_which("a number stands beside a matrix", first, scaled, span, NO_SUM)


def is_bias_of_samples(product: Draft, vector: Draft) -> bool:
    """Whether a sum is X @ w + b, where b is one number for all samples as often as a vector."""
    if product.op != "matmul" or not product.is_column or vector.op != "symbol" or not vector.is_column:
        return False
    first = product.args[0]
    return first.op == "symbol" and first.data[0][0] in DATA and vector.data[0].startswith("b")


def _broadcast_vector(self: Interpreter, left: Draft, right: Draft, span: tuple[int, int]) -> tuple[Draft, Draft]:
    vector = right if left.is_matrix else left
    matrix = left if left.is_matrix else right
    if self.syntax in ("math", "latex") and vector.op == "symbol" and matrix is left:
        one, name = self.spell(matrix), vector.data[0]
        first, second = f"{one} + {name}, where {name} is added to every column", f"{one} + {name}.T, to every row"
        raise ask_which("a vector stands beside a matrix", first, second, span, UNUSUAL)
    if self.syntax != "python":
        one, other = (self.reading.describe(each.axes) for each in (left, right))
        raise ShapeError(f"{self.reading.write(left)} is {one}, {self.reading.write(right)} is {other}", span=span)
    if vector.is_column and vector.position not in self.columns:
        turned = self.transpose(vector, vector.span)
        return (left, turned) if vector is right else (turned, right)
    return left, right


def _read_negate(self: Interpreter, node: NotationNode) -> Meaning:
    return negate_meaning(self, self.read(node.args[0]), node)


def negate_meaning(self: Interpreter, meaning: Meaning, node: NotationNode) -> Meaning:
    """Return -x, of entries as well."""
    if isinstance(meaning, Indexed):
        return Indexed(((self.number(-1, node.span), ""), *meaning.factors), meaning.free)
    value = None if meaning.value is None else -meaning.value
    return self.reading.add("negate", (meaning,), meaning.axes, node.span, (), value)


# --- products ---------------------------------------------------------------------------------------------


def _list_factors(self: Interpreter, node: NotationNode) -> list[NotationNode]:
    """Return the factors of a product without signs, those of letters in a run among them."""
    if node.kind == "choice":
        return _list_factors(self, self.choose(node))
    if node.kind == "juxtapose":
        return [factor for arg in node.args for factor in _list_factors(self, arg)]
    return [node]


def _read_juxtaposed(self: Interpreter, node: NotationNode) -> Meaning:
    factors = _list_factors(self, node)
    product = self.read(factors[0])
    for factor in factors[1:]:
        if factor.kind == "number" and isinstance(product, Draft) and not product.is_scalar:
            if factor.value != "1":
                raise ParseError(
                    "a number stands behind what it multiplies", span=factor.span, advice="write it in front"
                )
            right: Meaning = self.filled("ones", factor.span)
        else:
            right = self.read(factor)
        product = self.multiply_meanings(product, right, NotationNode("juxtapose", start=node.start, end=factor.end))
    return product


def _read_star(self: Interpreter, node: NotationNode) -> Meaning:
    if self.syntax == "python":
        return _read_entrywise(self, node, "multiply")
    return self.multiply_meanings(self.read(node.args[0]), self.read(node.args[1]), node)


def _read_star_row(self: Interpreter, node: NotationNode) -> Meaning:
    """Return A*x as NumPy has it: x times every row, where A @ x is possible as well."""
    left, right = (self.draft(arg) for arg in node.args)
    if not (left.is_matrix and right.is_column and self.reading.declared):
        raise ParseError("this is no matrix and vector", span=node.span)
    return self.elementwise("multiply", left, self.transpose(right, right.span), node.span)


def _read_entrywise(self: Interpreter, node: NotationNode, op: str) -> Meaning:
    self.summing += 1  # of Y ⊙ log P the logarithm is that of the entries
    meanings = tuple(self.read(arg) for arg in node.args)
    self.summing -= 1

    def combine(drafts: Sequence[Draft]) -> Draft:
        left, right = drafts
        if op == "multiply" and self.syntax in ("math", "latex"):  # the sign ⊙ stands between arrays
            self.cost += SCALAR_FOR_ARRAY * sum(each.is_scalar and each.op == "symbol" for each in drafts)
        if self.syntax == "python" and left.is_matrix != right.is_matrix and not (left.is_scalar or right.is_scalar):
            left, right = _broadcast_vector(self, left, right, node.span)
        elif self.syntax in ("math", "latex") and {left.is_column, right.is_column} == {True, False} and not (
                left.is_scalar or right.is_scalar):  # fmt: skip
            raise ShapeError("entry by entry, both have the same shape", span=node.span, advice="write diag(x) A")
        return self.elementwise(op, left, right, node.span)

    return self.over_entries(combine, meanings, node)


def _read_matmul(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.draft(arg) for arg in node.args)
    return multiply_arrays(self, left, right, node.span)


def multiply_arrays(self: Interpreter, left: Draft, right: Draft, span: tuple[int, int]) -> Draft:
    """Return left @ right as NumPy has it, where a vector has one axis: x @ A is x.T @ A."""
    if left.is_scalar or right.is_scalar:
        raise ShapeError("@ multiplies vectors and matrices, and this is a scalar", span=span, advice="write *")
    if left.op == "transpose" and left.args[0].op == "matmul" and left.is_column and right.is_row:
        return infer_product(self.reading, span, left.args[0], self.transpose(right, right.span))  # x @ A @ x.T
    if left.is_column and (right.is_matrix or right.is_column):
        if not (right.is_matrix and left.position in self.columns):
            row = self.transpose(left, left.span)
            product = infer_product(self.reading, span, row, right)
            # What NumPy makes of x @ A has one axis as well: a column here.
            return product if right.is_column else self.transpose(product, span)
    return infer_product(self.reading, span, left, right)


def _read_dot_sign(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.read(arg) for arg in node.args)
    if isinstance(left, Draft) and isinstance(right, Draft) and left.is_column and right.is_column:
        return self.call("dot", (left, right), node.span)
    if isinstance(left, Draft) and isinstance(right, Draft) and left.is_column and right.is_matrix:
        if left.op != "symbol" or left.data[0][0] in "xyzuvw":  # x·A·x, where c·A has a number
            return multiply_arrays(self, left, right, node.span)
    return self.multiply_meanings(left, right, node)


def _read_cross_sign(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.draft(arg) for arg in node.args)
    if left.is_column and right.is_column:
        raise ParseError("the cross product is not known here", span=node.span)
    if left.is_scalar or right.is_scalar or (left.is_matrix and right.is_column):
        return self.product(left, right, node.span)
    one, other = (self.spell(each) for each in (left, right))
    raise ask_which("× has several meanings", f"{one} @ {other}", f"kron({one}, {other})", node.span)


def _read_inner(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.draft(arg) for arg in node.args)
    if left.is_column and right.is_column:
        return self.call("dot", (left, right), node.span)
    if left.is_matrix and right.is_matrix:
        return self.call("sum", (self.elementwise("multiply", left, right, node.span),), node.span)
    if left.is_scalar and right.is_scalar:
        return self.elementwise("multiply", left, right, node.span)
    raise ShapeError("an inner product takes two vectors, or two matrices", span=node.span)


def _read_kron(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.draft(arg) for arg in node.args)
    return self.call("kron", (left, right), node.span)


def _read_solve(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.draft(arg) for arg in node.args)
    return solve(self, left, right, node.span)


def solve(self: Interpreter, left: Draft, right: Draft, span: tuple[int, int]) -> Draft:
    """Return A\\b, which is inv(A) @ b."""
    if left.is_scalar:
        return self.elementwise("divide", right, left, span)
    return self.product(self.call("inv", (left,), left.span), right, span)


# --- quotients and transposes -------------------------------------------------------------------------------


def _read_quotient(self: Interpreter, node: NotationNode) -> Meaning:
    return _read_entrywise(self, node, "divide")


def _read_divide(self: Interpreter, node: NotationNode) -> Meaning:
    left, right = (self.read(arg) for arg in node.args)
    if self.syntax == "python" or isinstance(left, Indexed) or isinstance(right, Indexed):
        return _divide_entries(self, node, left, right)
    if right.is_scalar:
        return self.elementwise("divide", left, right, node.span)
    if self.syntax == "matlab" and right.is_matrix and not left.is_scalar:
        return self.product(left, self.call("inv", (right,), right.span), node.span)
    if right.is_matrix or (node.value == "frac" and not left.is_scalar):
        raise ShapeError(
            "by a matrix nothing is divided", span=node.span, advice="write X^{-1}, or A ⊘ X entry by entry"
        )
    # Inside of a sum two vectors are divided entry by entry, as in sum(p log(p/q)).
    self.cost += 0.8 if self.summing and left.is_column and right.is_column else UNUSUAL
    return self.elementwise("divide", left, right, node.span)


def _divide_entries(self: Interpreter, node: NotationNode, left: Meaning, right: Meaning) -> Meaning:
    if isinstance(right, Draft) and right.is_scalar and isinstance(left, Indexed):
        inverse = self.elementwise("divide", self.number(1, right.span), right, right.span)
        return Indexed(((inverse, ""), *left.factors), left.free)
    if isinstance(left, Draft) and isinstance(right, Draft):
        if left.is_scalar and left.value is None and right.op == "symbol" and not right.is_scalar:
            self.cost += UNUSUAL
        if left.is_matrix != right.is_matrix and not (left.is_scalar or right.is_scalar):
            left, right = _broadcast_vector(self, left, right, node.span)
        return self.elementwise("divide", left, right, node.span)
    return self.over_entries(
        lambda drafts: self.elementwise("divide", drafts[0], drafts[1], node.span), (left, right), node
    )


def _read_transpose(self: Interpreter, node: NotationNode) -> Meaning:
    return self.transpose(self.draft(node.args[0]), node.span)


def _read_dagger(self: Interpreter, node: NotationNode) -> Meaning:
    """Return x†, a transpose as all numbers are real; of a matrix it may be the pseudoinverse as well."""
    operand = self.draft(node.args[0])
    if operand.is_matrix:
        text = self.spell(operand)
        turned = f"{text}.T" if operand.op == "symbol" else f"({text}).T"
        raise ask_which("† has two meanings", turned, f"pinv({text})", node.span)
    return self.transpose(operand, node.span)


def _read_size_of(self: Interpreter, node: NotationNode) -> Meaning:
    """Read A.size, how many entries there are; A.shape and A.ndim are no numbers of this kind."""
    operand = self.draft(node.args[0])
    if node.value != "size":
        text = self.spell(operand)
        advice = f"write size({text}) for the number of its entries; a size by itself is a letter that is declared"
        raise ParseError(f".{node.value} has no meaning here", span=node.span, advice=advice)
    return self.call("size", (operand,), node.span)


HANDLERS: Mapping[str, Handler] = {
    "number": _read_number, "text": _read_text, "name": _read_name, "ones": _read_ones,
    "group": _read_group, "choice": _read_choice, "add": _read_sum, "subtract": _read_sum, "negate": _read_negate,
    "juxtapose": _read_juxtaposed, "star": _read_star, "star_row": _read_star_row, "matmul": _read_matmul,
    "dot_sign": _read_dot_sign,
    "cross_sign": _read_cross_sign, "inner": _read_inner, "frobenius": _read_inner, "kron": _read_kron,
    "hadamard": lambda self, node: _read_entrywise(self, node, "multiply"), "quotient": _read_quotient,
    "divide": _read_divide, "solve": _read_solve,
    "transpose": _read_transpose, "dagger": _read_dagger,
    "size_of": _read_size_of,
}  # fmt: skip
