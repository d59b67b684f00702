"""Imports point one way, the ones inside functions included; the judge knows only the language."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "matcalc"

# One statement of the order: a module imports from its own layer and from those before it.
LAYERS = [
    ("matcalc.errors",),
    ("matcalc.rule_words",),
    ("matcalc.rule_files",),
    ("matcalc.language",),
    ("matcalc.engine", "matcalc.check"),
    ("matcalc.render",),
    ("matcalc.inputs",),
    ("matcalc.directional", "matcalc.several_variables", "matcalc.structured"),
    ("matcalc.derivation",),
    ("matcalc.claim",),
    ("matcalc.backward",),
    ("matcalc.assertions",),
    ("matcalc.data_parallel", "matcalc.sympy", "matcalc.cli.arguments"),
    ("matcalc.notebook",),
    ("matcalc",),  # the package itself: the names that people import
    ("matcalc.verify",),
    ("matcalc.cli.check", "matcalc.cli.derive", "matcalc.cli.explore", "matcalc.cli.graph", "matcalc.cli.rules",
     "matcalc.cli.verify"),
    ("matcalc.cli",),
    ("matcalc.__main__",),
]
# The judge shares nothing with the judged.
JUDGE = "matcalc.check"
RULES = ("matcalc.rule_words", "matcalc.rule_files")
JUDGE_MAY_IMPORT = ("matcalc.errors", *RULES, "matcalc.language", JUDGE)
ENGINE_MAY_IMPORT = ("matcalc.errors", *RULES, "matcalc.language", "matcalc.engine")


def name_module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def list_modules() -> dict[str, Path]:
    return {name_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_within(module: str, layer: str) -> bool:
    """The package itself is a layer of its own, not the home of all the others."""
    return module == layer or (layer != "matcalc" and module.startswith(layer + "."))


def find_layer(module: str) -> int:
    found = [i for i, layers in enumerate(LAYERS) for layer in layers if is_within(module, layer)]
    assert found, f"{module} has no place in LAYERS; give it one"
    return found[0]


def read_imports(tree: ast.AST, module: str, modules: dict[str, Path]) -> set[str]:
    """Return the matcalc modules that the source imports anywhere: at the top, in functions, for types only."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {part if part in modules else str(node.module) for part in parts}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            imported |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return {name for name in imported if is_within(name, "matcalc") or name.startswith("matcalc.")}


def drop_type_imports(tree: ast.Module) -> ast.Module:
    """Return the source without what stands under TYPE_CHECKING, which never runs: a page may name what it shows."""

    class Dropper(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    dropped = Dropper().visit(tree)
    assert isinstance(dropped, ast.Module)
    return dropped


@cache
def read_package(with_types):
    """The matcalc modules that each module of the package imports, those for types only if they are asked for."""
    modules = list_modules()
    trees = {name: ast.parse(path.read_text()) for name, path in modules.items()}
    return {
        name: read_imports(tree if with_types else drop_type_imports(tree), name, modules)
        for name, tree in trees.items()
    }


def test_imports_point_backwards():
    wrong = [
        f"{module} imports {name}, which stands after it"
        for module, imports in read_package(with_types=False).items()
        for name in sorted(imports) if find_layer(name) > find_layer(module)
    ]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize(("part", "allowed"), [(JUDGE, JUDGE_MAY_IMPORT), ("matcalc.engine", ENGINE_MAY_IMPORT)])
def test_judge_and_engine_import_what_they_may(part, allowed):
    wrong = [
        f"{module} imports {name}"
        for module, imports in read_package(with_types=True).items() if is_within(module, part)
        for name in sorted(imports) if not any(is_within(name, layer) for layer in allowed)
    ]  # fmt: skip
    assert not wrong


def test_no_module_lies_on_an_import_cycle():
    waiting = {name: imports - {name} for name, imports in read_package(with_types=False).items()}
    while free := {name for name, imports in waiting.items() if not imports & set(waiting)}:
        for name in free:
            del waiting[name]
    assert not waiting, f"these import each other in a circle: {', '.join(sorted(waiting))}"


def test_the_reader_of_imports_sees_hidden_ones():
    source = "def f():\n    from matcalc.engine import layout\nimport matcalc.cli\n__import__('matcalc.check')"
    modules = {"matcalc.engine.layout": PACKAGE}
    seen = read_imports(ast.parse(source), "x", modules)
    assert seen == {"matcalc.engine.layout", "matcalc.cli", "matcalc.check"}


def test_a_module_without_a_place_is_noticed():
    with pytest.raises(AssertionError, match="no place in LAYERS"):
        find_layer("matcalc.helpers")
