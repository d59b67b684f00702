"""Calls of the language's functions -> Python source: the backend's own word, or one that is written out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from operator import mul

from matcalc.errors import MissingRuleError
from matcalc.language.expression import Expression
from matcalc.language.expression_to_text import ATOM, COMPARE, PRODUCT, SIGN, SUM, write_decimal
from matcalc.language.show_slices import find_bounds
from matcalc.language.sizes import Shape, Size
from matcalc.render.code.backends import has_source, list_called, list_modules
from matcalc.render.code.definitions import define_call, define_function
from matcalc.render.code.products import CodePart, align, hold_part
from matcalc.render.code.signature import Signature
from matcalc.rule_files import AXIS_NAMES, Form, Rule, shipped_rules
from matcalc.rule_words import is_word, needs_axis, needs_contiguous, takes_last_axis, takes_one_axis

_UNIT = Size((), 1)
CODE_BACKENDS = ("numpy", "torch", "jax")


class Words:
    """The words of one backend, and what the code so far needs: imports, functions above it, letters of sizes.

    `like` names an array that has the dtype and device of the result, "" where there is none; the signature says what
    each size is called.  Of `helpers`, the functions that the backend lacks, the value says whether they are called
    along an axis.  Within the body of such a function (`is_along`) each function is called along the axis that this one
    is given.
    """

    def __init__(self, backend: str, signature: Signature, like: str = "") -> None:
        self.backend, self.signature = backend, signature
        self.like = like or signature.first_array
        if not self.like and backend == "torch":  # a tensor without axes is one too
            self.like = next(iter(signature.names.values()), "")
        self.prefix = {"numpy": "np", "torch": "torch", "jax": "jnp"}[backend]
        self.imports: set[str] = set()
        self.helpers: dict[str, bool] = {}
        self.sizes_used: dict[str, None] = {}
        self.is_along = False

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
        self.sizes_used.update(dict.fromkeys(size.base_letters))
        text = self.signature.write_size(size)
        return _number(text, SUM if size.is_sum else PRODUCT if " * " in text else ATOM)

    @property
    def sizes_given(self) -> list[str]:
        """The sizes that no array tells, which are arguments."""
        return [self.signature.letters[letter] for letter in self.signature.list_unknown(self.sizes_used)]

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
        if self.like:
            number = f"{part.text}{self._write_dtype()}"
        return CodePart(f"{word}({number})", ATOM, part.shape)

    # --- arrays filled with numbers ---------------------------------------------------------------

    def fill(self, node: Expression) -> CodePart:
        """Return eye, ones, zeros, fuse, commutation or duplication."""
        name, sizes = node.data
        if name in ("ones", "zeros"):
            return self.fill_with(name, node.squeezed_shape, node.shape)
        if name == "eye":
            return self._eye(node.shape[0] if sizes[0] == sizes[-1] else None, node.shape, sizes)
        if name == "duplication":
            return self._duplicate(sizes[0], node.shape)
        rows, columns = sizes
        eye = self._eye(rows * columns, node.shape, ())
        m, n, whole = (self.write_size(size).text for size in (rows, columns, rows * columns))
        if name == "fuse":
            return CodePart(f"{eye.text}.reshape({whole}, {m}, {n})", ATOM, node.shape)
        transposed = f"{self.prefix}.{'permute' if self.backend == 'torch' else 'transpose'}"
        text = f"{transposed}({eye.text}.reshape({n}, {m}, {whole}), (1, 0, 2)).reshape({whole}, {whole})"
        return CodePart(text, ATOM, node.shape)

    def _duplicate(self, size: Size, shape: Shape) -> CodePart:
        n, prefix = self.write_size(size).text, self.prefix
        n = n if n.isidentifier() or n.isdigit() else f"({n})"
        places = f"{prefix}.arange({n} * {n})"
        ends = f"({places} % {n}, {places} // {n})"
        first, last = f"{prefix}.minimum{ends}", f"{prefix}.maximum{ends}"
        eye = self._eye(size.triangle(), shape, ()).text
        return CodePart(f"{eye}[{first} * (2 * {n} - 1 - {first}) // 2 + {last}]", ATOM, shape)

    def fill_with(self, name: str, dropped: Shape, shape: Shape) -> CodePart:
        """Return an array of ones or zeros."""
        sizes = self.write_sizes(dropped)
        if not dropped:
            return _number("1.0" if name == "ones" else "0.0", ATOM)
        if self.backend == "torch":
            return CodePart(f"{self.like}.new_{name}({sizes})", ATOM, shape)
        sizes = sizes if len(dropped) == 1 else f"({sizes})"
        return CodePart(f"{self.prefix}.{name}({sizes}{self._write_dtype()})", ATOM, shape)

    def _write_dtype(self) -> str:
        """Return the option that keeps the dtype of the arguments."""
        return f", dtype={self.like}.dtype" if self.like else ""

    def _eye(self, size: Size | None, shape: Shape, sizes: Shape) -> CodePart:
        inside = self.write_size(size).text if size is not None else self.write_sizes(sizes)
        options = self._write_dtype() + (f", device={self.like}.device" if self.backend == "torch" else "")
        return CodePart(f"{self.prefix}.eye({inside}{options})", ATOM, shape)

    # --- parts of arrays --------------------------------------------------------------------------

    def slice(self, node: Expression, array: CodePart) -> CodePart:
        """Return x[1:], X[:, 1:]."""
        axis, before, after = node.data
        whole = array.shape[axis]
        start, stop = find_bounds(before, after, whole)
        taken = ":".join("" if bound is None else self._write_bound(*bound) for bound in (start, stop))
        place = array.shape[:axis].count(_UNIT)
        index = ", ".join([*[":"] * (axis - place), taken])
        return CodePart(f"{array.wrap(ATOM)}[{index}]", ATOM, node.shape)

    def _write_bound(self, sign: int, size: Size) -> str:
        part = self.write_size(size)
        return part.text if sign > 0 else f"-{part.wrap(PRODUCT)}"

    def pad(self, node: Expression, array: CodePart) -> CodePart:
        """Return an array with zeros before and behind it along an axis."""
        axis, before, after = node.data
        ends = f"({self.write_size(before).text}, {self.write_size(after).text})"
        if self.backend == "torch":
            ends = f"(0, 0, {ends[1:]}" if array.rank == 2 and axis == 0 else ends
            return CodePart(f"torch.nn.functional.pad({self.to_tensor(array).text}, {ends})", ATOM, node.shape)
        if array.rank == 2:
            ends = f"({ends}, (0, 0))" if axis == 0 else f"((0, 0), {ends})"
        return CodePart(f"{self.prefix}.pad({array.text}, {ends})", ATOM, node.shape)

    def join(self, node: Expression, arrays: Sequence[CodePart]) -> CodePart:
        """Return arrays one after another along an axis."""
        (axis,) = node.data
        whole = [self._hold(self.to_tensor(array), node.shape) for array in arrays]
        along = f", {AXIS_NAMES[self.backend]}={axis}" if node.squeezed_shape == node.shape and axis else ""
        word = "cat" if self.backend == "torch" else "concatenate"
        return CodePart(f"{self.prefix}.{word}([{', '.join(whole)}]{along})", ATOM, node.shape)

    @staticmethod
    def _hold(array: CodePart, shape: Shape) -> str:
        """Return an array with as many axes as what it becomes a part of."""
        kept = [own for own, size in zip(array.shape, shape, strict=True) if not size.is_unit]
        index = ["None" if own.is_unit else ":" for own in kept]
        return f"{array.wrap(ATOM)}[{', '.join(index)}]" if "None" in index else array.text

    # --- calls ------------------------------------------------------------------------------------

    def knows(self, node: Expression) -> bool:
        """Whether the backend has a word for a call, or a function above the code stands for one.

        A definition that is a product is not called: it is multiplied with what stands around it.
        """
        rule: Rule = node.data[0]
        if rule.name in _BUILT_IN:
            return True
        if rule.is_definition and not rule.axis:
            defined = define_call(node)
            if defined is not None and defined.op == "matmul":
                return False
        return self._find_word(node) is not None or self._has_function(rule)

    def call(self, node: Expression, args: list[CodePart]) -> CodePart:
        """Return a call; raises MissingRuleError for a function that the backend has no word for."""
        rule: Rule = node.data[0]
        if rule.name in _BUILT_IN:
            return _BUILT_IN[rule.name](self, node, args)
        if rule.is_elementwise:
            args = [align(part, node.shape) for part in args]
        if rule.vectors and len({(part.rank, part.shape[0].is_unit) for part in args}) > 1:
            args = [hold_part(part) for part in args]
        form = self._find_word(node)
        plain = bool(args) and all(part.plain for part in args)
        name = "" if form is None or rule.axis else form.path.rpartition(".")[2]
        # Of numbers torch has no functions, and those of NumPy are float64, whatever they are multiplied with.
        if plain and self.backend != "jax" and hasattr(math, name):
            self.imports.add("import math")
            return _number(f"math.{name}({args[0].text})", ATOM)
        # A number beside arrays, such as an exponent, stands as it is.
        numbers = [p.name for p in rule.variables if not p.axes] if any(p.axes for p in rule.variables) else []
        parts = {parameter.name: part for parameter, part in zip(rule.variables, args, strict=True)}
        if self.backend == "torch":
            parts = {name: part if name in numbers else self.to_tensor(part) for name, part in parts.items()}
        text = self._call_function(node, parts) if form is None else self._call_word(node, form, parts)
        return CodePart(text, ATOM, node.shape, plain and rule.is_elementwise)

    def _call_word(self, node: Expression, form: Form, parts: Mapping[str, CodePart]) -> str:
        rule, first = node.data[0], next(iter(parts.values()))
        texts = {name: part.text for name, part in parts.items()}
        axis, shaped = self._write_axis(node), "{}"
        if self.backend == "torch" and rule.axis and not axis and needs_axis(form.path):
            axis = [f"dim={tuple(range(first.rank))}"] if first.rank > 1 else ["dim=0"]
            if first.rank > 1 and takes_one_axis(form.path):
                axis, texts = ["dim=0"], {name: f"{part.wrap(ATOM)}.flatten()" for name, part in parts.items()}
                shaped = "{}" if node.is_scalar else f"{{}}.reshape({self.write_sizes(node.squeezed_shape)})"
        elif rule.axis and not axis and takes_last_axis(form.path) and first.rank > 1:
            axis = ["axis=None"]
        if needs_contiguous(form.path):
            # A transposed row counts as contiguous, whatever its strides: only a copy is sure to have others.
            ways = ["clone(memory_format=torch.contiguous_format)" if one.op == "transpose" else "contiguous()"
                    for one in node.args]  # fmt: skip
            texts = {name: f"{part.wrap(ATOM)}.{way}" for (name, part), way in zip(parts.items(), ways, strict=True)}
        module = form.path.rpartition(".")[0]
        if "scipy" in module:
            self.imports.add(f"import {module}")
        word = form.path.replace("jax.numpy.", "jnp.").replace("numpy.", "np.")
        inside = [texts[place.name] if place.literal is None else repr(place.literal) for place in form.places]
        inside += axis + [f"{keyword}={value!r}" for keyword, value in form.keywords]
        return shaped.format(f"{word}({', '.join(inside)})")

    def _call_function(self, node: Expression, parts: Mapping[str, CodePart]) -> str:
        rule = node.data[0]
        parts = {name: self.to_tensor(part) for name, part in parts.items()}
        if not self._has_function(rule):
            raise self._refuse(rule, " along an axis" if node.data[1] is not None else "")
        axis = self._write_axis(node)
        inside = [*(part.text for part in parts.values()), *(text for text in axis if "keepdim" not in text)]
        name = rule.function if has_source(rule.function, self.backend) else rule.name
        return f"{self.use_helper(name, bool(axis))}({', '.join(inside)})"

    def _write_axis(self, node: Expression) -> list[str]:
        """Return the options that name the axis of a function: that of the call, or of the function it is in."""
        rule, axis, _ = node.data
        keyword = AXIS_NAMES[self.backend]
        if self.is_along and rule.axis:
            return [f"{keyword}={keyword}", *(["keepdims=True"] if node.is_scalar else [])]
        if axis is not None and node.args[0].shape[axis].is_unit:
            raise self._refuse(rule, " along an axis of one entry")
        return [] if axis is None or len(node.args[0].squeezed_shape) < 2 else [f"{keyword}={axis}"]

    def _find_word(self, node: Expression) -> Form | None:
        """Return the word that a call is written with, one of the list of what rules may name.

        A name alone has no axis in torch.
        """
        rule: Rule = node.data[0]
        form = rule.read_form(self.backend)
        has_axis = self.backend != "torch" or node.data[1] is None or form.has_axis
        return form if has_axis and is_word(form.path, self.backend) else None

    def _has_function(self, rule: Rule) -> bool:
        """Whether a function that the backend lacks is written above the code."""
        is_source = rule.name in shipped_rules() and has_source(rule.function, self.backend)
        return is_source or define_function(rule, self.backend) is not None

    def use_helper(self, name: str, is_along: bool = False) -> str:
        """Note that a function above the code is needed, with those that it calls, and return its name."""
        if has_source(name, self.backend):
            self.helpers |= dict.fromkeys(list_called(name, self.backend), False)
            self.imports.update(f"import {module}" for module in list_modules(name, self.backend))
        else:
            self.helpers[name] = is_along or self.helpers.get(name, False)
        return name

    def _refuse(self, rule: Rule, how: str) -> MissingRuleError:
        name = {"numpy": "NumPy", "torch": "torch", "jax": "JAX"}[self.backend]
        example = {"numpy": "numpy. ...", "torch": "torch. ...", "jax": "jax.numpy. ..."}[self.backend]
        if how and self.backend == "torch":
            example = f"{rule.read_form('torch').path or example}(x, dim)"
        advice = f'name it in the rule [{rule.name}]: {self.backend} = "{example}"'
        return MissingRuleError(f"{rule.call}{how} has no word in {name}", advice=advice)


def _number(text: str, level: int) -> CodePart:
    return CodePart(text, level, (_UNIT, _UNIT), plain=True)


# --- what the language itself knows ------------------------------------------------------------------


def _write_size_of(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    return words.write_size(reduce(mul, node.args[0].squeezed_shape, Size((), 1)))


def _write_where(words: Words, node: Expression, args: list[CodePart]) -> CodePart:
    condition, chosen, other = (align(part, node.shape) for part in args)
    test = condition.text if node.args[0].op == "compare" else f"{condition.wrap(COMPARE + 1)} != 0"
    if words.backend != "torch":
        if chosen.plain and other.plain and words.like:
            cast = f".astype({words.like}.dtype)"
            if (chosen.text, other.text) == ("1", "0"):
                return CodePart(f"({test}){cast}", ATOM, node.shape)
            return CodePart(f"{words.prefix}.where({test}, {chosen.text}, {other.text}){cast}", ATOM, node.shape)
        chosen, other = _as_float(chosen), _as_float(other)
        return CodePart(f"{words.prefix}.where({test}, {chosen.text}, {other.text})", ATOM, node.shape)
    if (chosen.text, other.text) == ("1", "0"):
        return CodePart(f"({test}).to({words.like}.dtype)", ATOM, node.shape)
    if chosen.plain and other.plain:
        chosen = words.to_tensor(chosen)
    return CodePart(f"torch.where({test}, {chosen.text}, {other.text})", ATOM, node.shape)


def _as_float(part: CodePart) -> CodePart:
    return CodePart(f"{part.text}.0", part.level, part.shape, True) if part.text.isdigit() else part


_BUILT_IN: dict[str, Callable[[Words, Expression, list[CodePart]], CodePart]] = {
    "size": _write_size_of, "where": _write_where,
}  # fmt: skip
