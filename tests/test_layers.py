"""The house rules: which package may import which, read from every import statement of core and gui."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GROUND = frozenset(
    path.stem
    for path in (ROOT / "core").glob("*.py")
    if path.stem not in ("__init__", "first_start", "table")
)
"""Small modules directly in core, which everything may import."""

CORE: Mapping[str, frozenset[str]] = {
    "kernels.interface": frozenset(),
    "kernels": frozenset({"kernels.interface"}),
    "checkpoint": frozenset(),
    "tokenizer": frozenset({"checkpoint"}),
    "sources": frozenset({"tokenizer", "checkpoint"}),
    "methods": frozenset({"kernels.interface"}),
    "recipe": frozenset({"methods", "kernels.interface"}),
    "table": frozenset({"methods", "kernels", "kernels.interface"}),
    "first_start": frozenset({"table", "kernels", "sources"}),
    "plan": frozenset(
        {"recipe", "methods", "table", "sources", "tokenizer", "checkpoint", "kernels.interface"}
    ),
    "run": frozenset({"plan", "recipe", "methods", "table", "sources", "checkpoint", "kernels.interface"}),
    "deltas": frozenset(
        {"run", "plan", "recipe", "methods", "table", "sources", "checkpoint", "kernels", "kernels.interface"}
    ),
    "runs": frozenset({"deltas", "run", "plan", "recipe", "sources", "checkpoint", "kernels"}),
    "pretrained": frozenset(),
    "data": frozenset({"tokenizer", "checkpoint"}),
    "evaluate": frozenset(
        {"data", "pretrained", "run", "plan", "recipe", "methods", "sources"} | {"tokenizer", "checkpoint"}
    ),
    "train": frozenset({"data", "pretrained", "run", "plan", "recipe", "methods", "tokenizer", "checkpoint"}),
    "study": frozenset(
        {"evaluate", "train", "data", "deltas", "run", "plan", "recipe", "methods", "checkpoint"}
    ),
    "cli": frozenset(
        {"study", "evaluate", "train", "data"}
        | {"runs", "deltas", "run", "plan", "recipe", "methods", "checkpoint", "kernels.interface"}
    ),
}
"""What each package of core may import beside the ground. Packages that are not named may import nothing."""


GUI_GROUND = frozenset({"words", "numbers", "failure", "jobs", "settings", "display"})
"""Small modules directly in gui, which every room may import."""

GUI: Mapping[str, frozenset[str]] = {
    "widgets": frozenset(),
    "document": frozenset(),
    "pictures": frozenset({"widgets"}),
    "models": frozenset({"document", "widgets"}),
    "recipe": frozenset({"document", "widgets"}),
    "preflight": frozenset({"document", "widgets"}),
    "run": frozenset({"document", "widgets"}),
    "history": frozenset({"pictures", "document", "widgets"}),
    "background": frozenset(),
    "evaluation": frozenset({"background", "pictures", "document", "widgets"}),
    "training": frozenset({"background", "pictures", "document", "widgets"}),
    "trying": frozenset({"background", "document", "widgets"}),
    "looking": frozenset({"pictures", "preflight", "document", "widgets"}),
    "window": frozenset(
        {"run", "looking", "history", "pictures", "models", "recipe", "preflight", "document", "widgets"}
        | {"background", "evaluation", "training", "trying"}
    ),
    "app": frozenset({"window", "widgets"}),
    "entry": frozenset({"app", "pictures"}),
}
"""What each room of the window may import beside the ground."""


def imports_of(source: str, module: str) -> Iterator[str]:
    """The modules of core and gui that `source` imports anywhere, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in ("core", "gui"))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            if node.module and node.module.split(".")[0] in ("core", "gui"):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield whole if _is_module(whole) else node.module


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def package_of(module: str) -> str:
    """ "plan" for core.plan.estimate, "kernels.interface" for that one, the name of a ground module."""
    parts = module.split(".")[1:]
    return "kernels.interface" if parts[:2] == ["kernels", "interface"] else parts[0] if parts else ""


def refusals(source: str, module: str) -> list[str]:
    """What of the imports of a module of core or gui runs against the order."""
    package = package_of(module)
    found = []
    for imported in imports_of(source, module):
        target = package_of(imported)
        if module.startswith("gui"):
            rooms = frozenset() if package in GUI_GROUND else GUI.get(package, frozenset())
            if imported.startswith("gui") and target not in (package, *GUI_GROUND, *rooms):
                found.append(f"{module} imports {imported}: {package} may not import {target}")
        elif imported.startswith("gui") or (not target and package):
            found.append(f"{module} imports {imported}")
        elif target != package and target not in GROUND and target not in CORE.get(package, frozenset()):
            found.append(f"{module} imports {imported}: {package} may not import {target}")
    return found


def modules(top: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / top).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path.read_text()


@pytest.mark.parametrize("top", ["core", "gui"])
def test_imports_run_one_way(top: str) -> None:
    found = [refusal for name, source in modules(top) if name != top for refusal in refusals(source, name)]
    assert not found, "\n".join(found)


def test_the_ground_has_no_circles() -> None:
    edges = {
        name.split(".")[1]: {package_of(imported) for imported in imports_of(source, name)}
        for name, source in modules("core")
        if name.count(".") == 1 and name.split(".")[1] in GROUND
    }
    while edges:
        leaves = {name for name, targets in edges.items() if not targets & edges.keys()}
        assert leaves, f"circle among {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in leaves}


@pytest.mark.parametrize(
    ("planted", "module"),
    [
        ("from core.methods import METHODS", "core.kernels.cpu.loops"),
        ("from core.kernels.cpu import loops", "core.methods.linear"),
        ("def f():\n    import core.kernels.cpu.loops", "core.checkpoint.files"),
        ("from core.run.record import RunRecord", "core.plan.estimate"),
        ("from core import table", "core.recipe.recipe"),
        ("from core import run_merge", "core.deltas.survey"),
        ("from gui import words", "core.cli.output"),
        ("from core.plan.planning import plan_merge", "core.draws"),
        ("from core.recipe.recipe import Recipe", "core.brand_new.room"),
        ("from gui.window.window import MainWindow", "gui.models.panel"),
        ("from gui.document.merge_setup import MergeSetup", "gui.widgets.fields"),
        ("from gui.widgets import theme", "gui.words"),
        ("def f():\n    from gui.looking.looking import Looking", "gui.pictures.panel"),
        ("from gui.recipe.panel import RecipePanel", "gui.brand_new.room"),
    ],
)
def test_a_planted_import_is_refused(planted: str, module: str) -> None:
    assert refusals(planted, module)


def test_what_is_allowed_is_not_refused() -> None:
    assert not refusals(
        "from core.errors import MergeError\nfrom core import draws", "core.kernels.gpu.launch"
    )
    assert not refusals("from core.kernels.interface import MapJob", "core.methods.spec")
