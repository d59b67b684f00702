"""A function -> a torch.autograd.Function whose backward is derived by matcalc, with gradcheck at the bottom."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from matcalc.engine.result import derive_each
from matcalc.engine.special_points import derive_each_everywhere
from matcalc.errors import MissingRuleError
from matcalc.language.expression import Expression, einsum, list_letters, multiply, symbol, walk
from matcalc.language.expression_to_text import ATOM, to_text
from matcalc.language.rewrite import replace_each
from matcalc.language.text_to_expression import rules_in_force
from matcalc.render.code.module import describe_shape, expand, measure_texts, write_helpers, write_imports
from matcalc.render.code.products import CodePart
from matcalc.render.code.regroup import regroup, share_sums
from matcalc.render.code.self_check import choose_sampling, write_drawing, write_draws
from matcalc.render.code.signature import Signature
from matcalc.render.code.words import Words
from matcalc.render.code.writer import Names, Writer, write_lines

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


_LONGEST_FORMULA = 300
_CHEAP = ("symbol", "transpose", "number", "constant", "size", "filled")


def to_autograd_function(derivative: Derivative, name: str = "Formula") -> str:
    """Return the source of a torch.autograd.Function that computes the function which was differentiated.

    Its backward gives the gradient of every variable: the derivative of sum(grad_output*Y) by it, of its shape.
    `name` is that of the class; layout, order and variable of the derivative do not matter.  Raises
    MissingRuleError for a function that torch lacks, or of which no derivative is known.
    """
    return _AutogradFunction(derivative, name).write()


class _AutogradFunction:
    """The class that is written: forward, backward, and its check."""

    def __init__(self, derivative: Derivative, name: str) -> None:
        self.derivative, self.name, self.own = derivative, name, derivative.result_name
        if derivative.problem.abstract:
            function = next(iter(derivative.problem.abstract))
            reason = f"{function} is an abstract function, which a torch.autograd.Function cannot differentiate"
            raise MissingRuleError(reason, advice=f"write what {function} is")
        self.book = derivative.result.graph.rules
        self.signature = Signature(derivative.problem.symbols, {}, (name, "grad_output"))
        self.names = dict(self.signature.names)
        self.like = next(iter(self.names.values()))
        self.words = Words("torch", self.signature, self.like)
        (self.plain,) = expand([derivative.function], self.words, self.book)
        (self.function,) = regroup(self.plain)
        self.variables = {**derivative.problem.symbols, **_find_symbols(self.function)}
        self.cotangent = symbol(self._choose_cotangent(), derivative.function.squeezed_shape)
        self.result = symbol(self.own, self.function.squeezed_shape)
        self.gradients = self._derive()
        self.saves_result = self.result in walk(*self.gradients.values())

    def _choose_cotangent(self) -> str:
        name = "grad_output"
        while name in self.derivative.problem.symbols:
            name += "_"
        return name

    def _derive(self) -> dict[str, Expression]:
        """Return the gradient of sum(grad_output*Y) by each variable, shaped like it."""
        function = self.derivative.function
        if function.is_scalar:
            weighted = multiply(self.cotangent, function)
        else:
            letters = "ijklabcdefgh"[: len(function.squeezed_shape)]
            weighted = einsum(f"{letters},{letters}->", (self.cotangent, function))
        wrts = list(self.variables.values())
        gradients = [one.expression("torch") for one in derive_each(weighted, [wrts], self.book)]
        numeric = derive_each_everywhere(weighted, wrts, gradients, self.book)
        gradients = [
            gradient if one is None else one.expression("torch")
            for gradient, one in zip(gradients, numeric, strict=True)
        ]
        gradients = expand(gradients, self.words, self.book)
        # A row is saved without its unit axis, so it would be taken for a column.
        if self.function.op not in _CHEAP and self.result.shape == self.function.shape:
            gradients = replace_each(gradients, {self.plain: self.result})
        return dict(zip(self.variables, gradients, strict=True))

    def write(self) -> str:
        forward, backward = self._write_forward(), self._write_backward()
        check = self._write_check()
        helpers = write_helpers(self.words, self.book)
        methods = f"{self._describe()}\n\n{_indent(forward)}\n\n{_indent(backward)}"
        whole = f"class {self.name}(torch.autograd.Function):\n{methods}"
        return "\n\n\n".join([f"{self._describe_module()}\n\n{write_imports(self.words)}", *helpers, whole, check])

    # --- forward and backward ---------------------------------------------------------------------

    @property
    def _saved(self) -> list[str]:
        """The variables that backward needs."""
        needed = {node.name for node in walk(*self.gradients.values()) if node.op == "symbol"}
        sized = self._sources_of_sizes
        return [self.names[name] for name in self.variables if name in needed or name in sized]

    @property
    def _sources_of_sizes(self) -> set[str]:
        """The variables whose shapes tell the sizes that backward may need."""
        letters = set(list_letters(*self.gradients.values()))
        needed = {node.name for node in walk(*self.gradients.values()) if node.op == "symbol"}
        own = {letter for name in needed & set(self.variables) for letter in list_letters(self.variables[name])}
        return {name for name, node in self.variables.items() if set(list_letters(node)) & (letters - own)}

    def _write_forward(self) -> list[str]:
        # The entries of a structured variable are moved one by one by gradcheck.
        writer, sizes, (result,) = self._run([self.function], {}, self.like, structured=False)
        # An input that is returned as it is would be taken for the result of forward and of what came before.
        text = f"{result.wrap(ATOM)}.clone()" if self.function.op in ("symbol", "transpose") else result.text
        saved = self._saved + ([self.own] if self.saves_result else [])
        lines = [*sizes, *map(str, writer.lines), f"{self.own} = {text}"]
        lines += [f"ctx.save_for_backward({', '.join(saved)})"] if saved else []
        return _write_method("forward", ["ctx", *self._arguments], [*lines, f"return {self.own}"])

    def _write_backward(self) -> list[str]:
        known = {self.cotangent: CodePart(self.cotangent.name, ATOM, self.cotangent.shape)}
        if self.saves_result:
            known[self.result] = CodePart(self.own, ATOM, self.function.shape)
        roots = share_sums(*regroup(*self.gradients.values()))
        writer, sizes, parts = self._run(roots, known, self.cotangent.name)
        saved = self._saved + ([self.own] if self.saves_result else [])
        targets = ", ".join(saved) if len(saved) > 1 else f"({''.join(saved)},)"
        unpacked = [f"{targets} = ctx.saved_tensors"] if saved else []
        bits, own = writer.list_roots(), defaultdict[int, list[str]](list)
        for line in writer.lines:
            own[bits[line.operation]].append(str(line))
        lines = [str(line) for line in writer.lines if bits[line.operation].bit_count() > 1]
        grads = [f"grad_{self.names[name]}" for name in self.gradients]
        body = [*unpacked, *sizes, *lines, f"{' = '.join(grads)} = None"]
        for place, (grad, part) in enumerate(zip(grads, parts, strict=True)):
            body.append(f"if ctx.needs_input_grad[{place}]:")
            body += [f"    {line}" for line in (*own[1 << place], f"{grad} = {part.text}")]
        none = ["None"] * len(self.words.sizes_given)
        return _write_method("backward", ["ctx", self.cotangent.name], [*body, f"return {', '.join([*grads, *none])}"])

    def _run(
        self, roots: list[Expression], further: Mapping[Expression, CodePart], like: str, structured: bool = True
    ) -> tuple[Writer, list[str], list[CodePart]]:
        """Return what `write_lines` does, with the arrays that this method of the class knows."""
        self.words.like = like
        taken = {*self.names.values(), self.own, self.cotangent.name, *(f"grad_{name}" for name in self.names.values())}
        taken |= {self.signature.letters[letter] for letter in list_letters(*roots)}
        known = {node: CodePart(self.names[name], ATOM, node.shape) for name, node in self.variables.items()}
        known |= {node: CodePart(self.names[node.name], ATOM, node.shape) for node in walk(*roots)
                  if node.op == "symbol" and node.name in self.names}  # fmt: skip
        return write_lines(roots, self.words, Names(taken), {**known, **further}, structured=structured)

    @property
    def _arguments(self) -> list[str]:
        return [*self.names.values(), *self.words.sizes_given]

    # --- words around it --------------------------------------------------------------------------

    def _describe_module(self) -> str:
        what = f"{self.function_text or 'A formula'} as a torch.autograd.Function."
        return f'"""{what} Run this file to check it."""'

    @property
    def function_text(self) -> str:
        """The function as an equation, "" where it is too long to be read."""
        function = self.derivative.function
        return f"{self.own} = {to_text(function)}" if measure_texts(function)[function] <= _LONGEST_FORMULA else ""

    def _describe(self) -> str:
        shape = describe_shape(self.derivative.function.squeezed_shape)
        what = self.function_text or "A formula"
        lines = [f'"""{what}, {shape}.', "", *self.signature.describe()]
        lines += ["", f"Call it as {self.name}.apply({', '.join(self._arguments)}).", ""]
        lengths = measure_texts(*self.gradients.values())
        for name, gradient in self.gradients.items():
            if lengths[gradient] <= _LONGEST_FORMULA:
                lines += textwrap.wrap(f"grad_{self.names[name]} = {to_text(gradient)}", 108, subsequent_indent="  ")
        return _indent([*lines, '"""'])

    def _write_check(self) -> str:
        with rules_in_force(self.book):
            sampling = choose_sampling(self.derivative.function, tuple(self.variables.values()), ())
        draws = write_draws(self.signature, sampling, "torch")
        tensors = ", ".join(f"{name}.requires_grad_()" for name in self.names.values())
        inputs = ", ".join([tensors, *self.words.sizes_given])
        lines = ["torch.manual_seed(0)", *draws, f"inputs = ({inputs}{',' if ',' not in inputs else ''})"]
        lines += [f"torch.autograd.gradcheck({self.name}.apply, inputs)  # raises an error that shows both gradients"]
        lines += [f'print("{self.name}: every gradient agrees with finite differences")']
        drawing = write_drawing(draws, "torch")
        body = _indent([lines[0]]) + "\n" + "\n".join(drawing) + "\n" + _indent(lines[1:])
        return f'if __name__ == "__main__":\n{body}\n'


def _find_symbols(expression: Expression) -> dict[str, Expression]:
    return {node.name: node for node in walk(expression) if node.op == "symbol"}


def _write_method(name: str, arguments: list[str], body: list[str]) -> list[str]:
    return ["@staticmethod", f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in body)]


def _indent(lines: list[str]) -> str:
    return "\n".join(f"    {line}" if line else "" for line in lines)
