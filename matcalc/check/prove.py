"""A rule -> a verdict on it: what it states, against what torch computes for its function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from itertools import product
from operator import mul
from typing import TYPE_CHECKING

from matcalc.check.question import MAX_ENTRIES
from matcalc.check.report import AGREES, DIFFERS, CheckReport, Worst, could_not_check, find_missing
from matcalc.errors import EvaluationError, MatcalcError, MissingRuleError
from matcalc.language.expression import Expression, call, compare, number, symbol, symbols
from matcalc.language.scalar_calculus import is_exactly_stated, state_partial
from matcalc.language.sizes import SCALAR, UNIT, Shape, Size, to_2d_shape, write_shape
from matcalc.language.text_to_expression import parse_rule_text, rules_in_force
from matcalc.rule_files import COMPOUND_SIZE, Parameter, Rule, RuleBook

if TYPE_CHECKING:
    from torch import Tensor

    from matcalc.check.compare import Comparison
    from matcalc.check.points import Point, PointSearch

    Pair = tuple[Tensor, Tensor]
    Compute = Callable[[Expression, Point, dict[str, Tensor]], Pair]

_COLUMN: Shape = (Size.of("n"), UNIT)
_MATRIX: Shape = (Size.of("m"), Size.of("n"))


def prove_rule(rule: Rule, trials: int = 3, seed: int = 0, book: RuleBook | None = None) -> CheckReport:
    """Return whether what a rule states is true of its function, at random points and in every shape it takes.

    A derivative is compared with torch's jacobian of the function, a definition with the torch function of that
    name; a definition alone, or a function without a derivative, only has to evaluate.  Its words must have the
    function's values.  `book` holds the rules that its texts may call, by default the shipped ones.
    """
    if missing := find_missing():
        return could_not_check(missing, seed=seed)
    from matcalc.check.modes import own_modes

    with rules_in_force(book), own_modes():
        return _prove(rule, trials, seed)


def _prove(rule: Rule, trials: int, seed: int) -> CheckReport:
    missing = None if trials > 0 else "no points were asked for"
    try:
        missing = missing or _find_unknown(rule)
        if missing:
            return could_not_check(missing, seed=seed)
        from matcalc.check.prove_words import find_change, prove_words

        calls = [_build_call(rule, shapes) for shapes in _list_shapes(rule)]
        for node in calls:
            if misfit := _find_misfit(rule, node):
                return CheckReport(DIFFERS, ("shape",), seed=seed, message=f"differs: {misfit}")
        if change := find_change(rule, calls):
            return CheckReport(DIFFERS, ("other",), seed=seed, message=f"differs: {change}")
        report = _prove_calls(rule, calls, _choose_computation(rule), trials, seed)
        if report and _has_nothing_to_compare(rule):
            message = f"evaluates at {report.points} points; nothing to compare it with"
            report = CheckReport(AGREES, points=report.points, seed=seed, message=message)
        if report and rule.everywhere:
            special = replace(rule, differential=rule.everywhere)
            of_special = [call(special, node.args, node.shape) for node in calls]
            if not (held := _prove_calls(rule, of_special, _compute_differentials, trials, seed)):
                return held
        if report and rule.linear and not (linear := _prove_calls(rule, calls, _compute_sums, trials, seed)):
            return linear
        if report and rule.symmetric:
            of_square = _build_call(rule, tuple(arg.shape[:1] * 2 for arg in calls[0].args))
            if not (kept := _prove_calls(rule, [of_square], _compute_transposes, trials, seed)):
                return kept
        if report and rule.orthogonal and not (turned := _prove_calls(rule, calls, _compute_gram, trials, seed)):
            return turned
        for text, named in _list_values(rule) if report else ():
            value = _prove_calls(rule, calls, partial(_compute_values, text), trials, seed)
            if not value:
                return value
            report = replace(report, message=f"{report.message}; {named} agrees")
        if report and rule.scalar:
            of_numbers = _build_call(rule, tuple(SCALAR for _ in rule.variables))
            value = _prove_calls(rule, [of_numbers], partial(_compute_values, rule.scalar), trials, seed)
            if not value:
                return value
        if report and rule.elementwise:
            report = _compare_with_sympy(rule, report)
        return prove_words(rule, calls, report, trials) if report else report
    except (MatcalcError, RuntimeError) as error:
        return could_not_check(getattr(error, "reason", str(error)), seed=seed)


def _compare_with_sympy(rule: Rule, report: CheckReport) -> CheckReport:
    """Return the report, with whether the stated derivatives are exactly those of SymPy, where that is shown."""
    exact = [is_exactly_stated(rule, place) for place in range(len(rule.variables))]
    if False in exact:
        text = rule.elementwise[exact.index(False)]
        message = f"differs: {text} agrees in its first digits, but is not the derivative that SymPy finds"
        return CheckReport(DIFFERS, ("other",), seed=report.seed, message=message)
    return replace(report, message=f"{report.message}; exactly SymPy's derivative") if all(exact) else report


def _find_unknown(rule: Rule) -> str | None:
    """Return why it is not known what the function is, or None."""
    from matcalc.check.torch_values import require_value

    try:
        require_value(rule)
    except EvaluationError as error:
        return f"{error.reason}; {error.advice}" if error.advice else error.reason
    return None


# --- calls to try ---------------------------------------------------------------------------------


def _list_shapes(rule: Rule) -> list[tuple[Shape, ...]]:
    """Return the shapes of arguments to try: those written; else scalar (entry by entry), column and matrix."""
    if rule.is_elementwise:
        return [tuple(shape for _ in rule.variables) for shape in (SCALAR, _COLUMN, _MATRIX)]
    if any(parameter.axes for parameter in rule.variables):
        letters = sorted({letter for parameter in rule.variables for letter in parameter.axes or ()})
        units = product((False, True), repeat=len(letters)) if rule.vectors else [(False,) * len(letters)]
        chosen = [{letter for letter, is_unit in zip(letters, each, strict=True) if is_unit} for each in units]
        listed = [tuple(_read_axes(parameter, each) for parameter in rule.variables) for each in chosen]
        return [shapes for shapes in listed if not rule.vectors or SCALAR not in shapes]
    others = tuple(SCALAR for _ in rule.variables[1:])
    return [(shape, *others) for shape in (_COLUMN, _MATRIX)]


def _read_axes(parameter: Parameter, units: set[str]) -> Shape:
    sizes = tuple(UNIT if letter in units else Size.of(letter) for letter in parameter.axes or ())
    return to_2d_shape(sizes)


def _build_call(rule: Rule, shapes: tuple[Shape, ...]) -> Expression:
    """Return the call of the rule's function on one variable for each parameter."""
    args = tuple(_build_argument(rule, p, shape) for p, shape in zip(rule.variables, shapes, strict=True))
    return call(rule, args, _shape_of_result(rule, shapes))


def _build_argument(rule: Rule, parameter: Parameter, shape: Shape) -> Expression:
    """Return a variable; where's condition is a comparison, the exponent of a matrix is 3."""
    variable = symbol(parameter.name, shape)
    if rule.name == "where" and parameter.name == "c":
        return compare(">", variable, number(0))
    return number(3) if rule.name == "matrix_power" and parameter.name == "k" else variable


def _shape_of_result(rule: Rule, shapes: tuple[Shape, ...]) -> Shape:
    if rule.is_elementwise:
        return shapes[0]
    if isinstance(rule.result, str):
        return dict(zip((parameter.name for parameter in rule.variables), shapes, strict=True))[rule.result]
    if rule.is_definition and not rule.result and not any(parameter.axes for parameter in rule.variables):
        return parse_rule_text(rule, rule.define, shapes).shape
    sizes: dict[str, Size] = {}
    for parameter, shape in zip(rule.variables, shapes, strict=True):
        sizes |= zip(parameter.axes or (), shape, strict=False)
    return to_2d_shape(tuple(_read_size(text, sizes) for text in rule.result))


def _read_size(text: str, sizes: dict[str, Size]) -> Size:
    """Return a size of a result for parameters of these sizes, of two letters the smaller one being the second."""
    if compound := COMPOUND_SIZE.fullmatch(text):
        return sizes[compound[2]] if compound[2] else sizes[compound[3]].triangle()
    return reduce(mul, (sizes.get(part.strip()) or Size.of(part.strip()) for part in text.split("*")))


def _stated_texts(rule: Rule) -> tuple[str, ...]:
    differentials = (*rule.elementwise, rule.differential, rule.everywhere)
    return tuple(text for text in (*differentials, rule.define, rule.sympy_definition) if text)


def _find_misfit(rule: Rule, node: Expression) -> str | None:
    """Return how the shape of what the rule states differs from the function's, if it does."""
    for text in _stated_texts(rule):
        stated = parse_rule_text(rule, text, tuple(arg.shape for arg in node.args))
        if not stated.is_scalar and stated.shape != node.shape:
            return f"{text} has shape {write_shape(stated.shape)}, but {rule.call} has {write_shape(node.shape)}"
    return None


# --- points ---------------------------------------------------------------------------------------


def _prove_calls(rule: Rule, calls: list[Expression], compute: Compute, trials: int, seed: int) -> CheckReport:
    """Return the verdict over all calls and trials; every call needs a point."""
    from matcalc.check.compare import summarize
    from matcalc.check.points import PointSearch

    comparisons: list[Comparison] = []
    for node in calls:
        search = PointSearch(node, seed=seed)
        for trial in range(trials):
            found = _compare_at_some_point(compute, node, search, trial, len(comparisons) + 1)
            if isinstance(found, str):
                return could_not_check(found, seed=seed)
            comparisons.append(found)
    report = summarize(comparisons, "", _name_truth(rule), seed=seed)
    wrong = _prove_over_scales(rule, calls, compute, seed, len(comparisons) + 1) if report else None
    return report if wrong is None else wrong


def _prove_over_scales(
    rule: Rule, calls: list[Expression], compute: Compute, seed: int, number: int
) -> CheckReport | None:
    """Return the report of a place far from 1 where what is stated is wrong, None where it is right wherever tried."""
    from matcalc.check.compare import summarize
    from matcalc.check.points import Point, PointSearch
    from matcalc.check.scales import find_wrong, scan_entries

    for node in calls if not rule.is_elementwise or rule.name == "where" else ():
        point = PointSearch(node, seed=seed).find(0)
        found = find_wrong(node, partial(compute, node), point, number) if isinstance(point, Point) else None
        if found is not None:
            return summarize([found], "", _name_truth(rule), seed=seed)
    if not rule.is_elementwise or rule.name == "where":
        return None
    by_entry = _compute_partials_by_entry if compute is _compute_partials else compute
    column = next((node for node in calls if node.shape == _COLUMN), None)
    wrong = column and scan_entries(column, _stated_texts(rule), by_entry, seed)
    if not wrong:
        return None
    by = f"the derivative by {wrong.name} " if compute is _compute_partials else ""
    message = f"differs: at {wrong.place} {by}should be {wrong.expected:.6g}, not {wrong.got:.6g}"
    worst = Worst((), wrong.expected, wrong.got, number, seed)
    return CheckReport(DIFFERS, ("other",), seed=seed, worst=worst, message=message)


def _compare_at_some_point(
    compute: Compute, node: Expression, search: PointSearch, trial: int, count: int
) -> Comparison | str:
    from matcalc.check.compare import compare_tensors
    from matcalc.check.conditions import Trouble
    from matcalc.check.points import NoPoint

    while not isinstance(point := search.find(trial), NoPoint):
        if excess := _find_excess(node, point):
            return excess
        found = compare_tensors(lambda values: compute(node, point, values), point, count)
        if found is not None:
            return found
        reason = f"what the rule states is not finite where {node.data[0].call} is"
        search.reject(Trouble(reason, tuple(search.domains)))
    return point.reason


def _find_excess(node: Expression, point: Point) -> str | None:
    """Return why the derivatives are too large to be computed, if they are to be and are."""
    rule = node.data[0]
    if not rule.is_elementwise and not rule.differential:
        return None
    entries = math.prod(size.value(point.sizes) for size in node.shape)
    entries *= max(value.numel() for value in point.values.values())
    return f"its derivative has {entries} entries, more than {MAX_ENTRIES}" if entries > MAX_ENTRIES else None


def _has_nothing_to_compare(rule: Rule) -> bool:
    from matcalc.check.torch_values import has_own_value

    derivative = rule.is_elementwise or rule.differential or rule.primary
    return not derivative and not (rule.define and has_own_value(rule))


def _list_values(rule: Rule) -> list[tuple[str, str]]:
    """Return the definitions that stand beside what says what the function is, and what each is called."""
    from matcalc.check.torch_values import has_own_value

    beside = rule.define if not rule.is_definition and has_own_value(rule) else ""
    of_sympy = "" if rule.sympy_word else rule.sympy
    formula = rule.formula if rule.formula != rule.define else ""
    texts = ((beside, "its definition"), (formula, "its function"), (of_sympy, "that for SymPy"))
    return [(text, named) for text, named in texts if text]


def _name_truth(rule: Rule) -> str:
    from matcalc.check.torch_values import has_own_value

    own = "the judge's own function" if has_own_value(rule) else "its definition"
    named = rule.read_form("torch").path or own
    if rule.primary:
        return f"{named}, in a trace and along X,"
    return named if rule.is_definition else f"the jacobian of {named}"


def _choose_computation(rule: Rule) -> Compute:
    if rule.is_elementwise:
        return _compute_partials
    if rule.differential:
        return _compute_differentials
    if rule.primary:
        return _compute_primary
    return partial(_compute_values, "" if _has_nothing_to_compare(rule) else rule.define)


def _compute_values(text: str, node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return the function's own value, and that of a text of its rule where there is one."""
    import torch

    from matcalc.check.torch_values import evaluate

    with torch.no_grad():
        truth = evaluate(node, values, point.sizes)
        return truth, _evaluate_text(node, text, point, values) if text else truth


def _compute_sums(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return, for each parameter, the function of the sum of two arguments, and the sum of the functions of each."""
    import torch

    from matcalc.check.torch_values import evaluate

    truths, sums = [], []
    with torch.no_grad():
        for name in _names(node):
            other = values | {name: values[name].flip(0).cos()}
            both = values | {name: values[name] + other[name]}
            truth, *parts = (evaluate(node, each, point.sizes) for each in (both, values, other))
            truths.append(truth)
            sums.append(sum(parts))
    return torch.stack(truths), torch.stack(sums)


def _compute_transposes(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return the function of a symmetric matrix, and its transpose."""
    import torch

    from matcalc.check.torch_values import evaluate

    name = _names(node)[0]
    with torch.no_grad():
        value = evaluate(node, values | {name: values[name] @ values[name].mT}, point.sizes)
    return value, value.mT


def _compute_gram(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return the product of the function's transpose with it, and the identity."""
    import torch

    from matcalc.check.torch_values import evaluate

    with torch.no_grad():
        value = evaluate(node, values, point.sizes)
        return value.mT @ value, torch.eye(len(value)).to(value)


def _compute_primary(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return the trace of a Jacobian J of f and J along X, and what they are by f'(X): f'(X) and X @ f'(X)."""
    import torch

    from matcalc.check.torch_values import evaluate

    (x,) = values.values()
    with torch.no_grad():
        jacobian = evaluate(node, values, point.sizes)
        stated = evaluate(
            parse_rule_text(node.data[0], node.data[0].primary, (node.args[0].shape,)), values, point.sizes
        )
    truths = [torch.einsum("iiab->ba", jacobian), torch.einsum("ijab,ab->ij", jacobian, x)]
    return torch.stack(truths), torch.stack([stated, x @ stated])


def _compute_partials(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return torch's jacobian by each parameter, and the stated derivatives on the diagonals of zeros."""
    import torch

    truths, stated = [], []
    for name, text in _list_partials(node.data[0]):
        entries = values[name].numel()
        truths.append(_compute_jacobian(node, name, point, values).reshape(entries, entries))
        stated.append(torch.diag(_evaluate_text(node, text, point, values).reshape(-1)))
    return torch.stack(truths), torch.stack(stated)


def _compute_partials_by_entry(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return torch's derivative of each entry by the entry of each parameter, and the stated ones, as columns."""
    import torch

    from matcalc.check.torch_values import evaluate

    partials = _list_partials(node.data[0])
    inputs = {name: values[name].detach().requires_grad_() for name in _names(node)}
    total = evaluate(node, inputs, point.sizes).sum()
    truths = torch.autograd.grad(total, [inputs[name] for name, _ in partials], materialize_grads=True)
    stated = [_evaluate_text(node, text, point, values) for _, text in partials]
    return torch.stack(truths), torch.stack(stated)


def _list_partials(rule: Rule) -> list[tuple[str, str]]:
    """Return each parameter with the derivative by it; raises MissingRuleError where SymPy knows none of them."""
    found, refused = [], None
    for place, parameter in enumerate(rule.variables):
        try:
            found.append((parameter.name, state_partial(rule, place)))
        except MissingRuleError as error:
            refused = error
    if refused and not found:
        raise refused
    return found


def _compute_differentials(node: Expression, point: Point, values: dict[str, Tensor]) -> Pair:
    """Return, for each parameter, torch's jacobian times a random change of it, and the stated differential."""
    import torch

    generator = torch.Generator().manual_seed(7)
    unchanged = {f"d{name}": torch.zeros_like(values[name]) for name in _names(node)}
    truths, stated = [], []
    for name in _names(node):
        change = torch.randn(values[name].shape, generator=generator, dtype=torch.float64)
        jacobian = _compute_jacobian(node, name, point, values).reshape(-1, change.numel())
        truths.append(jacobian @ change.reshape(-1))
        changes = unchanged | {f"d{name}": change}
        stated.append(_evaluate_text(node, node.data[0].differential, point, values | changes).reshape(-1))
    return torch.stack(truths), torch.stack(stated)


def _names(node: Expression) -> list[str]:
    return [parameter.name for parameter in node.data[0].variables]


def _compute_jacobian(node: Expression, name: str, point: Point, values: dict[str, Tensor]) -> Tensor:
    from matcalc.check.jacobian import true_derivative

    return true_derivative(node, [symbols(node)[name]], values, point.sizes)


def _evaluate_text(node: Expression, text: str, point: Point, values: dict[str, Tensor]) -> Tensor:
    """Return the value of a text of the node's rule, in the node's shape; values of dX are among the values."""
    import torch

    from matcalc.check.torch_values import evaluate

    shape = tuple(size.value(point.sizes) for size in node.shape)
    with torch.no_grad():
        args = {name: evaluate(arg, values, point.sizes) for name, arg in zip(_names(node), node.args, strict=True)}
        stated = parse_rule_text(node.data[0], text, tuple(arg.shape for arg in node.args))
        return evaluate(stated, values | args, point.sizes).expand(shape)
