"""Calls of the language's functions -> Python source: the backend's own word, or one that is written out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from matcalc.errors import MissingRuleError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import ATOM, COMPARE, PRODUCT, SIGN, write_decimal
from matcalc.language.sizes import Shape, Size
from matcalc.render.code.backends import find_helper, list_modules, list_needed, name_helper
from matcalc.render.code.products import CodePart, align, hold_part, join_parts, transpose_part
from matcalc.rule_files import AXIS_NAMES, Rule
from matcalc.rule_words import is_word, needs_axis, takes_last_axis, takes_one_axis

CODE_BACKENDS = ("numpy", "torch", "jax")
# Torch's functions of numbers are Python's own.
_OF_NUMBERS = {
    "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf",
}  # fmt: skip
_OF_NUMBERS_TOO = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "abs": "fabs"}


class Words:
    """The words of one backend, and what the code so far needs: imports, helpers, letters of sizes.

    `like` names a tensor that has the dtype and device of the result; `letters` says what each size is called.
    """

    def __init__(self, backend: str, like: str, letters: Mapping[str, str]) -> None:
        self.backend, self.like, self.letters = backend, like, letters
        self.prefix = {"numpy": "np", "torch": "torch", "jax": "jnp"}[backend]
        self.imports: set[str] = set()
        self.helpers: list[str] = []
        self.sizes_used: dict[str, None] = {}

    # --- numbers, sizes ---------------------------------------------------------------------------

    def write_number(self, value: Fraction) -> CodePart:
        """Return an exact number as Python writes it."""
        text = str(value) if value.denominator == 1 else write_decimal(value)
        if text is None:
            return _number(f"{value.numerator} / {value.denominator}", PRODUCT)
        return _number(text, SIGN if value < 0 else ATOM)

    def write_constant(self, name: str) -> CodePart:
        """Return pi or e."""
        if self.backend == "torch":
            self.imports.add("import math")
            return _number(f"math.{name}", ATOM)
        return _number(f"{self.prefix}.{name}", ATOM)

    def write_size(self, size: Size) -> CodePart:
        """Return a size as a product of local names."""
        self.sizes_used.update(dict.fromkeys(size.letters))
        parts = [str(size.number)] if size.number != 1 or not size.letters else []
        parts += [self.letters[letter] for letter in size.letters]
        return _number(" * ".join(parts), ATOM if len(parts) == 1 else PRODUCT)

    def write_sizes(self, shape: Shape) -> str:
        """Return several sizes with commas between them."""
        return ", ".join(self.write_size(size).text for size in shape)

    def to_tensor(self, part: CodePart) -> CodePart:
        """Return a part that is an array of the backend, even where it was a number."""
        if not part.plain:
            return part
        word = f"{self.like}.new_tensor" if self.backend == "torch" else f"{self.prefix}.array"
        if self.backend == "torch":
            return CodePart(f"{word}({part.text})", ATOM, part.shape)
        number = f"{part.text}.0" if re.fullmatch(r"-?\d+", part.text) else f"{part.text}, dtype=float"
        return CodePart(f"{word}({number})", ATOM, part.shape)

    # --- arrays filled with numbers ---------------------------------------------------------------

    def fill(self, node: Expression) -> CodePart:
        """Return eye, ones, zeros, fuse or commutation."""
        name, sizes = node.data
        if name in ("ones", "zeros"):
            return self.fill_with(name, node.squeezed_shape, node.shape)
        if name == "eye":
            return self._eye(node.shape[0] if sizes[0] == sizes[-1] else None, node.shape, sizes)
        rows, columns = sizes
        eye = self._eye(rows * columns, node.shape, ())
        m, n, whole = (self.write_size(size).text for size in (rows, columns, rows * columns))
        if name == "fuse":
            return CodePart(f"{eye.text}.reshape({whole}, {m}, {n})", ATOM, node.shape)
        transposed = f"{self.prefix}.{'permute' if self.backend == 'torch' else 'transpose'}"
        text = f"{transposed}({eye.text}.reshape({n}, {m}, {whole}), (1, 0, 2)).reshape({whole}, {whole})"
        return CodePart(text, ATOM, node.shape)

    def fill_with(self, name: str, dropped: Shape, shape: Shape) -> CodePart:
        """Return an array of ones or zeros."""
        sizes = self.write_sizes(dropped)
        if not dropped:
            return _number("1.0" if name == "ones" else "0.0", ATOM)
        if self.backend == "torch":
            return CodePart(f"{self.like}.new_{name}({sizes})", ATOM, shape)
        return CodePart(f"{self.prefix}.{name}({sizes if len(dropped) == 1 else f'({sizes})'})", ATOM, shape)

    def _eye(self, size: Size | None, shape: Shape, sizes: Shape) -> CodePart:
        inside = self.write_size(size).text if size is not None else self.write_sizes(sizes)
        options = f", dtype={self.like}.dtype, device={self.like}.device" if self.backend == "torch" else ""
        return CodePart(f"{self.prefix}.eye({inside}{options})", ATOM, shape)

    # --- calls ------------------------------------------------------------------------------------

    def knows(self, node: Expression) -> bool:
        """Whether the backend has a word for a call, or one is written out."""
        rule: Rule = node.data[0]
        if rule.name in _EXPANDED:
            return False
        if rule.name in _SPECIAL or find_helper(rule.name, self.backend) is not None:
            return True
        return bool(self._find_word(rule)) and self._takes(rule, node, self._find_axis(node))

    def _takes(self, rule: Rule, node: Expression, axis: int | str | None) -> bool:
        """Whether the word can be told the axes of a call; a name alone has none in torch."""
        if self.backend != "torch" or not rule.axis:
            return True
        form = rule.read_form("torch")
        if axis is not None:
            return form.has_axis or axis == "unit"
        if rule.name in _OF_ALL or not form.has_axis:
            return True
        return len(node.args[0].squeezed_shape) < 2 or not (needs_axis(form.path) and takes_one_axis(form.path))

    def call(self, node: Expression, args: list[CodePart]) -> CodePart:
        """Return a call; raises MissingRuleError for a function that the backend has no word for."""
        rule: Rule = node.data[0]
        axis = self._find_axis(node)
        special = _SPECIAL.get(rule.name)
        if special is not None:
            return special(self, node, args)
        if rule.is_elementwise:
            args = self._align_entries(rule, args, node.shape)
        if axis == "unit":
            return self._along_unit(rule, args[0], node)
        if self.backend == "torch" and rule.name in _OF_ALL and axis is None and args[0].rank > 1:
            return CodePart(f"{self.use_helper(rule.name + '_of_all')}({args[0].text})", ATOM, node.shape)
        if not self._takes(rule, node, axis) and find_helper(rule.name, self.backend) is None:
            raise self._refuse(rule, " along an axis")
        return self._call_word(rule, args, axis, node.shape)

    def _find_axis(self, node: Expression) -> int | str | None:
        """Return the axis of the array without unit axes; "unit" for one that it lacks."""
        axis = node.data[1]
        if axis is None or not node.args:
            return None
        shape = node.args[0].shape
        if shape[axis].is_unit:
            return "unit"
        return int(axis) if len(node.args[0].squeezed_shape) == len(shape) else None

    def _along_unit(self, rule: Rule, part: CodePart, node: Expression) -> CodePart:
        """Return a function of single entries, each taken by itself."""
        if rule.name in ("sum", "mean", "prod", "max", "min", "logsumexp", "cumsum"):
            return CodePart(part.text, part.level, node.shape, part.plain)
        if rule.name in ("softmax", "largest", "smallest"):
            return self.fill_with("ones", node.squeezed_shape, node.shape)
        if rule.name in ("var", "log_softmax", "layer_norm"):
            return self.fill_with("zeros", node.squeezed_shape, node.shape)
        raise self._refuse(rule, " along an axis")

    def _align_entries(self, rule: Rule, args: list[CodePart], shape: Shape) -> list[CodePart]:
        parts = [align(part, shape) for part in args]
        if self.backend != "torch" or all(not part.plain for part in parts):
            return parts
        if all(part.plain for part in parts) and (rule.name in _OF_NUMBERS or rule.name in _OF_NUMBERS_TOO):
            return parts
        return [self.to_tensor(part) for part in parts]

    def _call_word(self, rule: Rule, args: list[CodePart], axis: int | str | None, shape: Shape) -> CodePart:
        plain = bool(args) and all(part.plain for part in args)
        if plain and self.backend == "torch" and rule.name in _OF_NUMBERS | set(_OF_NUMBERS_TOO):
            self.imports.add("import math")
            return _number(f"math.{_OF_NUMBERS_TOO.get(rule.name, rule.name)}({args[0].text})", ATOM)
        word, form = self._use_word(rule), rule.read_form(self.backend)
        if self.backend == "torch":
            args = [self.to_tensor(part) for part in args]
        parts = form.fill(dict(zip((parameter.name for parameter in rule.variables), args, strict=True)))
        inside = [part.text if isinstance(part, CodePart) else repr(part) for part in parts]
        inside += self._write_axis(rule, args[0], axis)
        inside += [f"{keyword}={value!r}" for keyword, value in form.keywords]
        return CodePart(f"{word}({', '.join(inside)})", ATOM, shape, plain and rule.is_elementwise)

    def _write_axis(self, rule: Rule, part: CodePart, axis: int | str | None) -> list[str]:
        """Return the option that names the axis of a function, or all of them where the word must be told so."""
        form, keyword = rule.read_form(self.backend), AXIS_NAMES[self.backend]
        if axis is not None:
            return [f"{keyword}={axis}"]
        if self.backend != "torch":
            return ["axis=None"] if rule.axis and takes_last_axis(form.path) and part.rank > 1 else []
        if not rule.axis or not (needs_axis(form.path) or find_helper(rule.name, "torch")):
            return []
        return ["dim=0" if part.rank < 2 else f"dim={tuple(range(part.rank))}"]

    def _use_word(self, rule: Rule) -> str:
        """Return the word for a rule's function and note what it needs."""
        entry = find_helper(rule.name, self.backend)
        word = self._find_word(rule)
        if word and (entry is None or self.backend != "torch"):
            module = word.rpartition(".")[0]
            if "scipy" in module:
                self.imports.add(f"import {module}")
            return word.replace("jax.numpy.", "jnp.").replace("numpy.", "np.")
        if entry is None:
            raise self._refuse(rule, "")
        return self.use_helper(entry)

    def use_helper(self, entry: str) -> str:
        """Note that a helper is needed, with those that it calls, and return its name."""
        for name in list_needed(entry, self.backend):
            if name not in self.helpers:
                self.helpers.append(name)
        self.imports.update(f"import {module}" for module in list_modules(entry, self.backend))
        return name_helper(entry, self.backend)

    def _find_word(self, rule: Rule) -> str:
        """Return the word that the code calls, never one that is not on the list of what rules may name."""
        word = rule.read_form(self.backend).path
        return word if is_word(word, self.backend) else ""

    def _refuse(self, rule: Rule, how: str) -> MissingRuleError:
        name = {"numpy": "NumPy", "torch": "torch", "jax": "JAX"}[self.backend]
        example = {"numpy": "numpy. ...", "torch": "torch. ...", "jax": "jax.numpy. ..."}[self.backend]
        if how and self.backend == "torch":
            example = f"{rule.read_form('torch').path or example}(x, dim)"
        advice = f'name it in the rule [{rule.name}]: {self.backend} = "{example}"'
        return MissingRuleError(f"{rule.call}{how} has no word in {name}", advice=advice)


def _number(text: str, level: int) -> CodePart:
    unit = Size((), 1)
    return CodePart(text, level, (unit, unit), plain=True)


# --- words that are no plain calls ------------------------------------------------------------------


def _write_diag(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    word = f"{words.prefix}.diagonal" if node.data[0].name == "diag_of_matrix" else f"{words.prefix}.diag"
    return CodePart(f"{word}({words.to_tensor(args[0]).text})", ATOM, node.shape)


def _write_vec(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    if args[0].rank < 2:
        return CodePart(args[0].text, args[0].level, node.shape, args[0].plain)
    return CodePart(f"{transpose_part(args[0]).text}.reshape(-1)", ATOM, node.shape)


def _write_kron(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    """Vectors that meet matrices are columns or rows again."""
    left, right = args
    if not left.rank or not right.rank:
        return join_parts("multiply", left, right, node.shape)
    if left.rank == right.rank == 1 and left.shape[0].is_unit != right.shape[0].is_unit:
        column, row = (left, right) if right.shape[0].is_unit else (right, left)
        return CodePart(f"{words.prefix}.outer({column.text}, {row.text})", ATOM, node.shape)
    if left.rank != right.rank:
        left, right = hold_part(left), hold_part(right)
    if words.backend == "torch":
        # torch.kron takes no transposed views.
        left, right = (CodePart(f"{part.wrap(ATOM)}.contiguous()", ATOM, part.shape) for part in (left, right))
    return CodePart(f"{words.prefix}.kron({left.text}, {right.text})", ATOM, node.shape)


def _write_size_of(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    total = Size((), 1)
    for size in node.args[0].squeezed_shape:
        total = total * size
    return words.write_size(total)


def _write_where(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    condition, chosen, other = (align(part, node.shape) for part in args)
    test = condition.text if node.args[0].op == "compare" else f"{condition.wrap(COMPARE + 1)} != 0"
    if words.backend != "torch":
        chosen, other = _as_float(chosen), _as_float(other)
        return CodePart(f"{words.prefix}.where({test}, {chosen.text}, {other.text})", ATOM, node.shape)
    if (chosen.text, other.text) == ("1", "0"):
        return CodePart(f"({test}).to({words.like}.dtype)", ATOM, node.shape)
    if chosen.plain and other.plain:
        chosen = words.to_tensor(chosen)
    return CodePart(f"torch.where({test}, {chosen.text}, {other.text})", ATOM, node.shape)


def _as_float(part: CodePart) -> CodePart:
    return CodePart(f"{part.text}.0", part.level, part.shape, True) if part.text.isdigit() else part


def _write_power(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    exponent = args[1].text if args[1].plain else f"int({args[1].text})"
    return CodePart(f"{words.prefix}.linalg.matrix_power({args[0].text}, {exponent})", ATOM, node.shape)


_SPECIAL: dict[str, Callable[[Words, Expression, list[CodePart]], CodePart]] = {
    "diag_of_vector": _write_diag, "diag_of_matrix": _write_diag, "vec": _write_vec, "vec_of_vector": _write_vec,
    "size": _write_size_of, "where": _write_where, "matrix_power": _write_power, "kron": _write_kron,
    "kron_of_vectors": _write_kron, "kron_of_vector_and_matrix": _write_kron, "kron_of_matrix_and_vector": _write_kron,
    "kron_of_row_and_matrix": _write_kron, "kron_of_matrix_and_row": _write_kron, "kron_of_rows": _write_kron,
    "kron_of_column_and_row": _write_kron, "kron_of_row_and_column": _write_kron,
}  # fmt: skip
# Their definitions are what a person would write.
_EXPANDED = {"dot", "outer", "solve", "solve_vector", "square", "cross_entropy"}
# Torch takes these along one axis alone: of a matrix as a whole, they are written out.
_OF_ALL = {"softmax", "log_softmax"}
