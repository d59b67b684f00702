"""What the language would accept and people hardly mean so: a free I, * for a product of matrices, X @ W + b."""

from __future__ import annotations

import re

from matcalc.errors import ParseError
from matcalc.language.draft import Draft, Reading, resolve
from matcalc.language.sizes import Size


class AmbiguityError(ParseError):
    """The text has two meanings, and nothing tells which is meant; a reading that costs less than `cost` is."""

    cost = 0.0


def is_doubtful(reading: Reading) -> bool:
    """Whether a text is of the language, but likely a habit of another: a free I, σ(x), a scalar beside an array."""
    free = set(reading.symbols) - set(reading.declared)
    if calls_habit(reading):
        return True
    if free and weigh_scales(reading):
        return True
    return "I" in free or (bool(free) and any(map(is_mixed_sum, reading.drafts)))


def calls_habit(reading: Reading) -> bool:
    """Whether a text calls σ(x), which is the sigmoid, or has d(A @ x)/dx, which asks for a derivative."""
    called = set(reading.abstract) - set(reading.declared)
    is_derivative = "d" in called and any(re.fullmatch(r"d\w+", name) for name in reading.symbols)
    return bool({"σ", "sigma"} & called) or is_derivative


_CAPITALS = re.compile(r"[A-Z]{2}|(?=.*[ABX])[A-Z]{3,4}")
_VECTORS = re.compile(r"[abcw][xyz]|xy|xz|yz|uv")
_TRANSPOSED = re.compile(r"[a-z]T[A-Z]{0,2}[a-z]")
_MATRIX_AND_VECTOR = re.compile(r"[A-Z]{1,2}[xyzwvβθ]")
_SCALED_MATRIX = re.compile(r"[a-ce-z][A-Z]")  # dX is a differential
_GREEK_AND_LATIN = re.compile(r"[\u0370-\u03ff][A-Za-z]|[A-Za-z][\u0370-\u03ff]")
_OWN_MARKS = re.compile(r"@|axis|keepdims|\*\*|einsum")
_PLAIN = "; --syntax matcalc reads it as it stands"


def require_names(reading: Reading, wrt: str | None) -> None:
    """Raise AmbiguityError for a name that may be a product, Ax, xTAx or tA, where it is not declared."""
    text = reading.source.text
    for name in reading.symbols:
        is_run = _CAPITALS.fullmatch(name) if not reading.abstract else None
        runs = [_MATRIX_AND_VECTOR, _GREEK_AND_LATIN, _TRANSPOSED, _VECTORS]
        if not _OWN_MARKS.search(text):  # who writes @ for products has names such as wQ
            runs.append(_SCALED_MATRIX)
        if (is_run or any(each.fullmatch(name) for each in runs)) and name not in reading.declared and name != wrt:
            place = re.search(rf"\b{name}\b", text)
            product = name.replace("T", ".T", 1) if _TRANSPOSED.fullmatch(name) else name
            product = (" @ " if name[0].isupper() or product != name else "*").join(re.findall(r"\w(?:\.T)?", product))
            advice = f"did you mean {product}, or one name {name}? then declare it, --vars '{name}: m,n'"
            raise AmbiguityError(f"{name} may be a product", span=place and place.span(), advice=advice).complete(
                text, {}
            )


def require_one_meaning(reading: Reading, wrt: str | None) -> None:
    """Raise AmbiguityError where * stands for a product of matrices, A(x + b) for one, or AB @ x for A @ B @ x."""
    if any(size.is_unit for name in reading.symbols for size in reading.declared.get(name, ())):
        # Who declares a row as (1, n) thinks of arrays that are repeated along an axis, not of matrices.
        return
    require_names(reading, wrt)
    text = reading.source.text
    for draft in reading.drafts:
        if bias := _find_bias(reading, draft):
            product = next(reading.write(each) for each in draft.args if each is not bias)
            name = bias.data[0]
            advice = (
                f"did you mean {product} + {name}.T, where {name} is added to every row as in NumPy and torch, or to "
                f"every column? then declare it, --vars '{name}: m'"
            )
            error = AmbiguityError(f"{name} may be added to rows or to columns", span=draft.span, advice=advice)
            raise error.complete(text, reading.write_symbols())
        if draft.op in ("add", "subtract") and not draft.is_scalar and any(map(_is_e, draft.args)):
            advice = "a residual is declared, --vars 'e: m'; the number is exp(1)"
            error = AmbiguityError("e may be the number 2.718... or a vector", span=draft.span, advice=advice)
            raise error.complete(text, reading.write_symbols())
        if draft.op == "abstract" and draft.data[0].isupper() and (
                draft.args[0].op in ("add", "subtract") or _is_run_of_capitals(draft.args[0])):  # fmt: skip
            name, inside = draft.data[0], reading.write(draft.args[0])
            if name not in reading.declared:
                advice = f"did you mean {name} @ ({inside}), or a function {name}{_PLAIN}?"
                error = AmbiguityError(f"{name}(...) may be a product", span=draft.span, advice=advice)
                raise error.complete(text, reading.write_symbols())
        if draft.op == "call" and not _OWN_MARKS.search(text) and _takes_product(reading, draft):
            left, right = map(reading.write, draft.args[0].args)
            advice = f"did you mean {left} @ {right}, or {left} * {right} entry by entry{_PLAIN}?"
            error = AmbiguityError("* may stand for a product of matrices", span=draft.args[0].span, advice=advice)
            raise error.complete(text, reading.write_symbols())
        if draft.op == "multiply" and not _OWN_MARKS.search(text) and _is_scaled_matrix(reading, *draft.args):
            left, right = map(reading.write, draft.args)
            advice = (
                f"did you mean diag({left}) @ {right}, or a scalar {left}? then declare it, --vars '{left}: scalar'"
            )
            error = AmbiguityError(f"{left} may be a scalar", span=draft.span, advice=advice)
            raise error.complete(text, reading.write_symbols())
        if draft.op == "multiply" and not _OWN_MARKS.search(text) and (
                _is_matrix_product(*draft.args) or _is_product_of_free(reading, draft)):  # fmt: skip
            left, right = map(reading.write, draft.args)
            advice = f"did you mean {left} @ {right}, or {left} * {right} entry by entry{_PLAIN}?"
            error = AmbiguityError("* may stand for a product of matrices", span=draft.span, advice=advice)
            raise error.complete(text, reading.write_symbols())
        if draft.op == "divide" and not _OWN_MARKS.search(text) and _is_quotient_of_free(reading, *draft.args):
            left, right = map(reading.write, draft.args)
            turned = f"{left}.T" if draft.args[0].is_column else left
            advice = f"did you mean {turned} @ inv({right}), or {left} / {right} entry by entry{_PLAIN}?"
            error = AmbiguityError("/ may stand for a product with the inverse", span=draft.span, advice=advice)
            raise error.complete(text, reading.write_symbols())


def _is_run_of_capitals(draft: Draft) -> bool:
    return draft.op == "symbol" and _CAPITALS.fullmatch(draft.data[0]) is not None


# Matrices that hold a sample in each row.
DATA = frozenset("XHZQVY")


def _is_e(draft: Draft) -> bool:
    return draft.op == "constant" and bool(draft.data[0] == "e")


def _find_bias(reading: Reading, draft: Draft) -> Draft | None:
    """Return the vector of X @ W + b, which code adds to every row, where nothing is declared about it."""
    if draft.op not in ("add", "subtract"):
        return None
    for product, vector in (draft.args, draft.args[::-1]):
        if product.op != "matmul" or not product.is_matrix or vector.op != "symbol" or not vector.is_column:
            continue
        first = product
        while first.op == "matmul":
            first = first.args[0]
        is_data = first.op == "symbol" and first.data[0][0] in DATA
        if is_data and vector.data[0] not in reading.declared:
            return vector
    return None


def _is_matrix_product(left: Draft, right: Draft) -> bool:
    """Whether * stands between a row and a matrix, a matrix and a column, or a row and a column that @ multiplies."""
    if not ((left.is_row and (right.is_matrix or right.is_column)) or (left.is_matrix and right.is_column)):
        return False
    inner, outer = resolve(left.axes[1]), resolve(right.axes[0])
    return inner == outer or not (isinstance(inner, Size) and isinstance(outer, Size))


def _is_product_of_free(reading: Reading, product: Draft) -> bool:
    """Whether A*X of matrices, none of them declared, stands elsewhere than in a sum of all entries."""
    if not all(each.is_matrix for each in product.args) or set(reading.symbols) & set(reading.declared):
        return False
    inside, summed = {product.position}, False
    for draft in reading.drafts[product.position + 1 :]:
        if inside & {arg.position for arg in draft.args}:
            summed = summed or (draft.op == "call" and draft.data[0].function in ("sum", "mean") and draft.is_scalar)
            if draft.op in ("add", "subtract", "negate", "multiply", "divide", "power"):
                inside.add(draft.position)
    return not summed


def _is_quotient_of_free(reading: Reading, left: Draft, right: Draft) -> bool:
    """Whether an array is divided by the name of a matrix, and nothing is declared."""
    is_free = right.op == "symbol" and not set(reading.symbols) & set(reading.declared)
    return is_free and right.is_matrix and not left.is_scalar


_OF_PRODUCTS = frozenset({"det", "logdet", "logabsdet", "inv", "pinv", "trace", "vec", "expm", "sqrtm"})


def _takes_product(reading: Reading, call: Draft) -> bool:
    """Whether a function of whole matrices takes A*X of matrices that are not declared."""
    inside = call.args[0]
    if call.data[0].function not in _OF_PRODUCTS or inside.op != "multiply":
        return False
    return all(each.is_matrix for each in inside.args) and not set(reading.symbols) & set(reading.declared)


def _is_scaled_matrix(reading: Reading, left: Draft, right: Draft) -> bool:
    """Whether a vector that is not declared stands before a matrix, as a scalar does in t*A."""
    is_free = left.op == "symbol" and left.data[0] not in reading.declared and not _is_identity(right)
    return is_free and left.is_column and right.is_matrix


def weigh_scales(reading: Reading) -> float:
    """Return what speaks against vectors that only scale: c in c*norm(x)**2, t in t*A, d in Q @ K.T/sqrt(d)."""
    return sum(weigh_scale(draft, reading) for draft in reading.drafts)


def weigh_scale(draft: Draft, reading: Reading) -> float:
    """Return what speaks against a product, quotient or power in which a name for a vector is likely a number."""
    if draft.op not in ("multiply", "divide", "power"):
        return 0.0
    left, right = draft.args
    pairs = [(left, right), (right, left)] if draft.op == "multiply" else [(left, right)]
    for other, scale in pairs:
        name = find_scale(scale)
        if name in _GAINS and scale.op == "symbol" and scale.is_scalar and name not in reading.declared:
            return _GAIN if _is_normalized(other) else 0.0
        if name is None or not (scale.is_column or scale.is_row) or name in reading.declared or name in reading.defined:
            continue
        if _is_identity(other):
            return _SURELY_NUMBER
        if other.is_row != scale.is_row and not other.is_scalar and not other.is_matrix and name[0] in _NUMBERS:
            return 0.0 if (find_scale(other) or "x")[0] in _NUMBERS else _LIKELY_NUMBER
        if other.is_matrix and draft.op != "power" and (name[0] in _NUMBERS or draft.op == "divide"):
            return _LIKELY_NUMBER
        if not other.is_scalar and (name in _SCALAR_WORDS or (draft.op == "power" and name[0] in _NUMBERS)):
            return _LIKELY_NUMBER
        if other.is_scalar and is_reduced(other):
            if name[0] in "xzuvw" or (name[0] == "y" and not has_product(other)):
                return 0.0
            return _MAYBE_NUMBER if name[0] in "ab" else _LIKELY_NUMBER
    return 0.0


# Small letters that stand for numbers and counts as often as for vectors.
_NUMBERS = frozenset("cdkmnprst")
# The gain of a normalised array, a vector as often as a number, and what the number costs.
_GAINS, _GAIN = frozenset("gamma γ g weight".split()), 2.0
_SCALAR_WORDS = frozenset("lam lamb lmbda eps reg lr tol".split())
# What a vector that only scales costs; where a scalar of that letter costs about the same, it is asked.
_SURELY_NUMBER, _LIKELY_NUMBER, _MAYBE_NUMBER = 4.0, 1.6, 0.9


def find_scale(draft: Draft) -> str | None:
    """Return the name that stands in a scale: d in sqrt(d), 2*d and d**2."""
    while draft.op in ("call", "power", "multiply", "transpose", "negate", "divide", "add", "subtract"):
        inside = [arg for arg in draft.args if arg.value is None]
        if len(inside) != 1:
            return None
        draft = inside[0]
    return str(draft.data[0]) if draft.op == "symbol" else None


def _is_normalized(array: Draft) -> bool:
    """Whether an array is centred or divided by its standard deviation, as in (x - mean(x))/sqrt(var(x) + eps)."""
    stack = [] if array.is_scalar else [array]
    while stack:
        each = stack.pop()
        if each.op == "call" and each.data[0].function in ("var", "std", "mean"):
            return True
        stack.extend(each.args)
    return False


def has_product(scalar: Draft) -> bool:
    """Whether a scalar is made of a product such as w.T @ x, which a label y multiplies in a loss."""
    stack = [scalar]
    while stack:
        each = stack.pop()
        if each.op == "matmul" or (each.op == "call" and each.data[0].function == "dot"):
            return True
        stack.extend(arg for arg in each.args if arg.is_scalar)
    return False


def is_reduced(draft: Draft) -> bool:
    """Whether a scalar is made of arrays, as norm(x) and w.T @ x are."""
    stack = [draft]
    while stack:
        each = stack.pop()
        if not each.is_scalar:
            return True
        stack.extend(each.args)
    return False


# Capital letters that count as often as they stand for matrices.
COUNTS = frozenset("NCKDTLEZ")


def _is_identity(draft: Draft) -> bool:
    return draft.op == "filled" and bool(draft.data[0] == "eye")


def is_mixed_sum(draft: Draft) -> bool:
    """Whether a draft adds a scalar, which is no number, and an array, or divides a scalar by a name for an array.

    A matrix N in 1/N is as unlikely.
    """
    if draft.op == "divide":
        over, under = draft.args
        is_array = over.is_scalar and under.op == "symbol" and not under.is_scalar
        return is_array and (over.value is None or (under.is_matrix and under.data[0] in COUNTS))
    if draft.op not in ("add", "subtract"):
        return False
    left, right = draft.args
    scalar = left if left.is_scalar else right
    return left.is_scalar != right.is_scalar and scalar.value is None and scalar.op not in ("constant", "size")
