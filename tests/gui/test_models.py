"""Choosing models: the list, K, dropping, and what is said of a folder that holds none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from gui.sub_models_model import Column, SubModelsModel
from gui.window import MainWindow

Drop = Callable[..., None]
DISPLAY = Qt.ItemDataRole.DisplayRole


def rows(model: SubModelsModel) -> list[str]:
    return [model.index(row, Column.NAME).data() for row in range(model.rowCount())]


def weights(model: SubModelsModel) -> list[str]:
    return [model.index(row, Column.WEIGHT).data() for row in range(model.rowCount())]


def greyed(model: SubModelsModel) -> list[bool]:
    grey = QPalette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
    role = Qt.ItemDataRole.ForegroundRole
    return [model.index(row, Column.NAME).data(role) == grey for row in range(model.rowCount())]


@pytest.fixture
def three(qtbot: QtBot, window: MainWindow, models: Path) -> SubModelsModel:
    """The list of a window with three sub-models, their headers read."""
    panel = window.models
    panel.add_sub_models([models / f"run-{number}" for number in (1, 2, 3)])
    qtbot.waitUntil(lambda: None not in panel.summaries())
    return panel.sub_models_model


def test_dropped_folders_become_rows(qtbot: QtBot, window: MainWindow, models: Path, drop: Drop) -> None:
    drop(window, models / "run-1", models / "run-2" / "model.safetensors")
    model = window.models.sub_models_model
    qtbot.waitUntil(lambda: model.index(1, Column.TYPE).data() == "bf16")
    assert rows(model) == ["run-1", "run-2"]
    assert model.index(0, Column.PARAMETERS).data().endswith("K")
    assert window.models.k_box.value() == 2


def test_a_folder_dropped_on_the_base_is_the_base(
    qtbot: QtBot, window: MainWindow, models: Path, drop: Drop
) -> None:
    drop(window.models.base, models / "base")
    qtbot.waitUntil(lambda: window.models.base.summary is not None)
    assert window.models.base.folder == models / "base"
    assert window.models.sub_models_model.rowCount() == 0


def test_a_dropped_recipe_is_opened(qtbot: QtBot, window: MainWindow, models: Path, drop: Drop) -> None:
    drop(window, models / "recipe.yaml")
    assert rows(window.models.sub_models_model) == ["run-1", "run-2", "run-3"]
    assert window.setup().base == models / "base"
    assert window.setup().seed == 7
    assert window.setup().parameters == {"resamples": 4}


def test_drops_reach_the_window_wherever_they_fall(window: MainWindow) -> None:
    takers = {widget for widget in window.findChildren(QWidget) if widget.acceptDrops()}
    combo_lists = {widget for widget in takers if widget.window() is not window}
    assert takers - combo_lists == {window.models.base, window.recipe.output_field}


def test_the_same_folder_comes_in_once(three: SubModelsModel, window: MainWindow, models: Path) -> None:
    window.models.add_sub_models([models / "run-2"])
    assert three.rowCount() == 3
    assert "run-2" in window.statusBar().currentMessage()


def test_the_first_k_take_part(three: SubModelsModel, window: MainWindow, models: Path) -> None:
    window.models.k_box.setValue(2)
    assert greyed(three) == [False, False, True]
    assert [folder.name for folder, _ in window.setup().models] == ["run-1", "run-2"]


def test_k_follows_the_list(three: SubModelsModel, window: MainWindow, models: Path) -> None:
    box = window.models.k_box
    box.setValue(2)
    three.remove([2])
    assert (box.value(), box.maximum(), greyed(three)) == (2, 2, [False, False])
    window.models.add_sub_models([models / "run-3"])
    box.setValue(2)
    three.remove([0])
    assert (box.value(), box.maximum(), greyed(three)) == (1, 2, [False, True])
    three.remove([1])
    assert (box.value(), box.maximum()) == (1, 1)
    window.models.add_sub_models([models / "run-1"])
    assert (box.value(), greyed(three)) == (2, [False, False])
    three.remove([0, 1])
    assert (box.value(), box.isEnabled()) == (0, False)


def test_moving_a_row_decides_who_takes_part(three: SubModelsModel, window: MainWindow) -> None:
    window.models.k_box.setValue(1)
    three.move(2, 0)
    assert rows(three) == ["run-3", "run-1", "run-2"]
    assert [folder.name for folder, _ in window.setup().models] == ["run-3"]
    three.move(0, 2)
    assert rows(three) == ["run-1", "run-2", "run-3"]


@pytest.mark.parametrize(
    ("typed", "shown"), [("0.25", "0.25"), ("2,5", "2.5"), ("1e-3", "0.001"), ("-1", "-1")]
)
def test_a_weight_is_edited_in_its_column(
    three: SubModelsModel, window: MainWindow, typed: str, shown: str
) -> None:
    assert three.setData(three.index(1, Column.WEIGHT), typed)
    assert weights(three) == ["1", shown, "1"]
    assert window.setup().models[1][1] == float(shown)


@pytest.mark.parametrize("typed", ["", "many", "inf", "nan", "1_000"])
def test_what_is_no_number_is_no_weight(three: SubModelsModel, typed: str) -> None:
    assert not three.setData(three.index(1, Column.WEIGHT), typed)
    assert weights(three) == ["1", "1", "1"]


def test_a_folder_without_a_model_is_told_inline(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, drop: Drop
) -> None:
    (tmp_path / "empty").mkdir()
    drop(window, tmp_path / "empty")
    qtbot.waitUntil(lambda: window.models.message.text != "")
    assert "holds no model" in window.models.message.text
    assert "config.json" in window.models.message.text  # the hint
    assert not window.merge_button.isEnabled()
    window.models.sub_models_model.remove([0])
    assert window.models.message.text == ""


def test_the_list_keeps_the_rules_of_item_models(qtmodeltester: ModelTester, models: Path) -> None:
    model = SubModelsModel()
    qtmodeltester.check(model)
    for number in (1, 2, 3):
        model.add(models / f"run-{number}")
    model.set_k(2)
    model.move(0, 2)
    model.remove([1])
    model.replace_all([(models / "run-1", 0.5)])
    qtmodeltester.check(model)
