"""Adapters in the list of models: rows like any other, merged, shown and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from adapters import make_adapter, make_base, merged, read
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core import CancelToken, load_recipe
from core.adapter_paths import split_adapters
from core.plan.estimate import Throughput
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.models.table_model import Column
from gui.preflight.preflight import look_ahead
from gui.window.window import MainWindow

Drop = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_base(tmp_path / "base")
    make_adapter(tmp_path / "adapter-1", "plain", seed=1)
    make_adapter(tmp_path / "adapter-2", "dora", seed=2)
    return tmp_path


def shown(window: MainWindow, row: int, column: Column, role: Qt.ItemDataRole) -> str:
    model = window.models.sub_models_model
    return str(model.data(model.index(row, column), role))


def fits(window: MainWindow, rows: int) -> bool:
    states = [shown(window, row, Column.STATE, Qt.ItemDataRole.DisplayRole) for row in range(rows)]
    return states == ["✓"] * rows


def test_what_is_dropped_is_a_row_like_any_other(
    qtbot: QtBot, window: MainWindow, folder: Path, drop: Drop, compiled: None
) -> None:
    """A folder, and the file in another: read, put on the base, looked at and merged."""
    (folder / "recipe.yaml").write_text(
        "merge_method: parameter_selection\nbase_model: base\nmodels:\n- model: adapter-1\n"
    )
    assert window.load_recipe(folder / "recipe.yaml", folder / "out")
    window.models.sub_models_model.remove([0])
    drop(window.models.table, folder / "adapter-1", folder / "adapter-2" / "adapter_model.safetensors")
    qtbot.waitUntil(lambda: len(window.models.choices()) == 2)
    qtbot.waitUntil(lambda: fits(window, 2))
    kinds = [shown(window, row, Column.PARAMETERS, Qt.ItemDataRole.DisplayRole) for row in range(2)]
    assert kinds == ["rank 11", "DoRA 11"]
    tip = shown(window, 0, Column.NAME, Qt.ItemDataRole.ToolTipRole)
    assert "adapter on base, rank 11" in tip
    assert str(folder / "adapter-1") in tip
    qtbot.waitUntil(lambda: window.pictures.sentence == "", timeout=60_000)  # the very first time it compiles
    qtbot.waitUntil(lambda: window.merge_button.isEnabled())
    QTest.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (folder / "out" / "paramosaic.json").exists(), timeout=20_000)
    result = read(folder / "out")
    of_adapters = [merged(folder / "base", folder / f"adapter-{number}") for number in (1, 2)]
    for name, tensor in result.items():
        from_one = (tensor == of_adapters[0][name]) | (tensor == of_adapters[1][name])
        assert from_one.all(), name
    assert any(not torch.equal(tensor, read(folder / "base")[name]) for name, tensor in result.items())
    qtbot.waitUntil(lambda: not window.merging)


def test_a_recipe_with_stacks_opens_and_is_saved_without_loss(
    qtbot: QtBot, window: MainWindow, folder: Path
) -> None:
    path = folder / "recipe.yaml"
    path.write_text(
        "merge_method: linear\nmodels:\n- model: base+adapter-1\n  parameters: {weight: 0.25}\n"
        "- model: {model: {path: base}, lora: {path: adapter-2}}\n  parameters: {weight: 0.75}\n"
    )
    assert window.recipes.load(path)
    qtbot.waitUntil(lambda: fits(window, 2))
    assert window.models.sub_models_model.names == ["base+adapter-1", "base+adapter-2"]
    tip = shown(window, 0, Column.NAME, Qt.ItemDataRole.ToolTipRole)
    assert "adapter on base, rank 11" in tip
    assert window.recipes.save_to(folder / "saved.yaml")
    again = load_recipe(folder / "saved.yaml")
    assert [split_adapters(entry.path) for entry in again.models] == [
        (folder / "base", folder / "adapter-1"),
        (folder / "base", folder / "adapter-2"),
    ]
    assert again.plain_value("weight") == (0.25, 0.75)
    assert "model: base+adapter-1" in (folder / "saved.yaml").read_text()


def test_the_base_that_all_adapters_name_is_one_press_away(
    qtbot: QtBot, window: MainWindow, folder: Path
) -> None:
    """As a recipe without base_model has it; adapters that name none, or several, offer nothing."""
    window.models.add_sub_models([folder / "adapter-1", folder / "adapter-2"])
    said = ["Choose the base model. The adapters were trained on base."]
    qtbot.waitUntil(lambda: window.preflight.problems.texts == said)
    (link,) = window.preflight.problems.links
    assert link.text() == "Use base"
    QTest.mouseClick(link, Qt.MouseButton.LeftButton)
    assert window.models.base_folder == folder / "base"
    qtbot.waitUntil(lambda: fits(window, 2))
    window.document.undo.undo()
    assert window.models.base_folder is None
    config = folder / "adapter-1" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": "no/where"}))
    models = tuple(ModelChoice(folder / f"adapter-{number}") for number in (1, 2))
    setup = MergeSetup("parameter_selection", None, models, 2, out=str(folder / "out"))
    (problem,) = look_ahead(setup, Throughput(), CancelToken()).errors
    assert (problem.target, problem.missing, problem.base) == ("base", True, None)


def test_an_adapter_in_the_place_of_the_base_is_one_problem(folder: Path) -> None:
    config = folder / "adapter-1" / "adapter_config.json"
    said = json.loads(config.read_text()) | {"base_model_name_or_path": "somebody/base"}
    config.write_text(json.dumps(said))
    models = (ModelChoice(folder / "base"), ModelChoice(folder / "adapter-2"))
    setup = MergeSetup("parameter_selection", folder / "adapter-1", models, 2, out=str(folder / "out"))
    (problem,) = look_ahead(setup, Throughput(), CancelToken()).errors
    assert "is an adapter" in problem.message
    assert (problem.target, problem.path) == ("base", folder / "adapter-1")
    assert problem.hint is not None
    assert "as the base" in problem.hint


def test_an_adapter_that_does_not_fit_says_why(qtbot: QtBot, window: MainWindow, folder: Path) -> None:
    make_adapter(folder / "of-gpt", "conv1d")
    window.models.set_base(folder / "base")
    window.models.add_sub_models([folder / "adapter-1", folder / "of-gpt"])
    model = window.models.sub_models_model
    qtbot.waitUntil(lambda: model.problem(1) is not None and fits(window, 1))
    problem = model.problem(1)
    assert problem is not None
    assert "goes on the module 'transformer.h.0.attn.c_attn'" in problem.message
