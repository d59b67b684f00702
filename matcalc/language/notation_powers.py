"""Powers, norms and bars in notation -> drafts: X^{-1}, e^A, x.^2, ‖x‖_1, ‖X‖_F, |X|."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from matcalc.errors import ParseError, ShapeError
from matcalc.language import names as names
from matcalc.language.calls import read_power
from matcalc.language.draft import SCALAR_AXES, Draft, unify
from matcalc.language.habits import AmbiguityError
from matcalc.language.infer_shapes import infer_product
from matcalc.language.notation_to_draft import SCALAR_FOR_ARRAY, Handler, Interpreter, Meaning, ask_which
from matcalc.language.notation_tree import NotationNode, spell_as_known

# --- powers ---------------------------------------------------------------------------------------------------


def _read_power(self: Interpreter, node: NotationNode) -> Meaning:
    base, exponent = self.read(node.args[0]), node.args[1]
    if isinstance(base, Draft) and base.op == "constant" and base.data[0] == "e":
        raised = self.read(exponent)
        return self.over_entries(lambda drafts: exponentiate(self, drafts[0], node.span), (raised,), node)
    if exponent.kind == "entrywise":
        power = self.draft(exponent.args[0])
        return self.over_entries(lambda drafts: self.elementwise("power", drafts[0], power, node.span), (base,), node)
    power = self.draft(exponent)
    if isinstance(base, Draft) and base.is_matrix:
        return raise_matrix(self, base, power, node)
    if isinstance(base, Draft) and not base.is_scalar and power.value is not None and power.value < 0:
        raise ShapeError(
            "a vector has no inverse", span=node.span, advice=f"write 1/{self.reading.write(base)} entry by entry"
        )
    if power.is_matrix and isinstance(base, Draft) and base.value is not None and self.syntax != "python":
        one, other = self.spell(base), self.spell(power)
        raise ask_which("a matrix as exponent has two meanings", f"expm(log({one})*{other})",
                        f"{one}**{other} entry by entry", node.span)  # fmt: skip
    if not power.is_scalar and not (isinstance(base, Draft) and base.is_scalar and base.value is not None):
        raise ShapeError("an exponent is a number", span=exponent.span, advice="write x.^y entry by entry")
    return self.over_entries(lambda drafts: self.elementwise("power", drafts[0], power, node.span), (base,), node)


def exponentiate(self: Interpreter, power: Draft, span: tuple[int, int]) -> Draft:
    """Return e^x; of a square matrix it is the exponential of the matrix, of another one it is asked."""
    if power.is_matrix and unify(*power.axes):
        self.reading.note(f"e^{self.reading.write(power)} is the exponential of the matrix, expm")
        return self.call("expm", (power,), span)
    if power.is_matrix:
        text = self.spell(power)
        raise ask_which(
            "the exponential of a matrix has two meanings", f"expm({text})", f"exp({text}) entry by entry", span
        )
    return self.call("exp", (power,), span)


def raise_matrix(self: Interpreter, base: Draft, power: Draft, node: NotationNode) -> Draft:
    """Return a power of a matrix: the inverse, the square root, or the product with itself."""
    value, span = power.value, node.span
    if value is None:
        advice = f"did you mean a number, as in matrix_power({self.spell(base)}, 3)?"
        raise AmbiguityError("a letter is no power of a matrix here", span=node.args[1].span, advice=advice)
    if value == -1:
        return self.call("inv", (base,), span)
    if abs(value) == Fraction(1, 2):
        root = self.call("sqrtm", (base,), span)
        return root if value > 0 else self.call("inv", (root,), span)
    if value.denominator != 1 or value == 0:
        advice = "write X^{1/2} or X^{-1} or X^2"
        raise AmbiguityError("this power of a matrix is not known", span=span, advice=advice)
    if value == 2:
        return infer_product(self.reading, span, base, base)
    return self.call("matrix_power", read_power(self.reading, (base, power), span), span)


def _read_entry_power(self: Interpreter, node: NotationNode) -> Meaning:
    meanings = [self.read(arg) for arg in node.args]
    return self.over_entries(lambda drafts: self.elementwise("power", drafts[0], drafts[1], node.span), meanings, node)


# --- norms and bars -------------------------------------------------------------------------------------------


INFINITE = frozenset("inf infty ∞ infinity oo max".split())


def _read_norm(self: Interpreter, node: NotationNode) -> Meaning:
    operand, below = self.draft(node.args[0]), str(node.value or "").strip("{}").lower()
    if operand.is_scalar:
        self.cost += SCALAR_FOR_ARRAY
    if below in ("f", "fro", "frob"):
        below = "fro" if operand.is_matrix else ""
    if below in ("2", "l2", "ℓ2", "") and not (below and operand.is_matrix):
        return self.call("norm", (operand,), node.span)
    if below in ("2", "op", "1") and operand.is_matrix:
        if below == "1":
            raise ask_about_order(self, operand, "1", node.span)
        text = self.spell(operand)
        first, second = f"norm({text}, 2), the largest singular value", f"norm({text}, 'fro')"
        raise ask_which("this norm of a matrix has two meanings", first, second, node.span)
    if below in INFINITE:
        if operand.is_matrix:
            raise ask_about_order(self, operand, "inf", node.span)
        return self.call("max", (self.call("abs", (operand,), node.span),), node.span)
    if below in ("1", "l1", "fro"):
        second_arg = (
            self.number(1, node.span)
            if below != "fro"
            else self.reading.add("text", (), SCALAR_AXES, node.span, ("fro",))
        )
        return self.call("norm", (operand, second_arg), node.span)
    if below in ("*", "nuc", "tr"):
        return self.call("norm", (operand, self.reading.add("text", (), SCALAR_AXES, node.span, ("nuc",))), node.span)
    if below.isdigit() and not operand.is_matrix and int(below) > 2:
        return self.call("norm", (operand, self.number(int(below), node.span)), node.span)
    if operand.is_column and str(node.value).isalpha() and (str(node.value)[0].isupper() or len(str(node.value)) > 2):
        one, by = self.spell(operand), spell_as_known(names.spell_greek(str(node.value)), self.reading.declared)
        one = one if operand.op == "symbol" else f"({one})"
        first, second = f"sqrt({one}.T @ {by} @ {one})", f"sqrt({one}.T @ inv({by}) @ {one})"
        raise ask_which(f"the norm ‖·‖_{node.value} has two meanings", first, second, node.span)
    raise ParseError(f"the norm ‖·‖_{node.value} is not known here", span=node.span)


def ask_about_order(self: Interpreter, matrix: Draft, order: str, span: tuple[int, int]) -> AmbiguityError:
    """Return the error that asks about the 1-norm and the infinity-norm of a matrix, which some take entry by entry."""
    text = self.spell(matrix)
    function, axis, line = ("sum", 0, "column") if order == "1" else ("max", 1, "row")
    first = f"{function}(abs({text})) of all entries"
    second = f"max(sum(abs({text}), axis={axis})), the largest sum of a {line}"
    return ask_which("this norm of a matrix has two meanings", first, second, span)


def _read_bars(self: Interpreter, node: NotationNode) -> Meaning:
    meaning = self.read(node.args[0])
    if isinstance(meaning, Draft) and not meaning.is_scalar:
        if node.value is not None or meaning.is_row:
            raise ParseError("these bars have no meaning here", span=node.span)
        if meaning.is_matrix:
            return self.call("det", (meaning,), node.span)
        text = self.spell(meaning)
        raise ask_which("bars of a vector have two meanings", f"norm({text})", f"abs({text}) entry by entry", node.span)
    return self.over_entries(lambda drafts: self.call("abs", drafts, node.span), (meaning,), node)


POWER_HANDLERS: Mapping[str, Handler] = {
    "power": _read_power, "entry_power": _read_entry_power, "norm": _read_norm, "bars": _read_bars,
}  # fmt: skip
