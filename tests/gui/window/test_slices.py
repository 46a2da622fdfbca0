"""Slices and several documents in the window: opened, shown, edited, merged, saved without loss."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QLineEdit, QToolButton
from pytestqt.qtbot import QtBot

import gui.window.recipes
from core import Cancelled, CancelToken, load_recipe, plan_merge, read_record, run_merge
from core.recipe.recipe import Recipe
from gui.recipe.slices.table_model import Column
from gui.widgets.theme import model_colour
from gui.window.window import MainWindow

STACKED = """\
merge_method: passthrough
slices:
  - sources: [{model: run-1, layer_range: [0, 2]}]
  - sources:
      - model: run-2
        layer_range: [1, 3]
        parameters: {scale: [{filter: up_proj, value: 0.5}, {value: 1}]}
  - sources: [{model: run-1, layer_range: [2, 3]}]
dtype: bfloat16
chat_template: chatml
"""
BLENDED = """\
merge_method: slerp
base_model: base
slices:
  - sources: [{model: base, layer_range: [0, 2]}, {model: run-1, layer_range: [1, 3]}]
    parameters: {t: [{filter: mlp, value: [0, 1]}]}
  - sources: [{model: run-2, layer_range: [0, 1]}, {model: run-3, layer_range: [2, 3]}]
    base_model: run-3
parameters: {t: 0.25}
"""
AVERAGED = """\
merge_method: linear
slices:
  - sources:
      - {model: run-1, layer_range: [0, 3], parameters: {weight: 0.2}}
      - {model: run-2, layer_range: [0, 3]}
  - sources: [{model: run-3, layer_range: [1, 2]}]
parameters: {weight: 0.7, normalize: false}
"""
DOCUMENTS = """\
name: first
merge_method: linear
models: [{model: run-1}, {model: run-2}]
---
merge_method: slerp
base_model: first
models: [{model: run-3}]
parameters: {t: 0.75}
"""


def open_text(window: MainWindow, models: Path, text: str) -> Path:
    path = models / "opened.yaml"
    path.write_text(text)
    assert window.recipes.load(path)
    return path


def saved(window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: models / "saved.yaml")
    assert window.recipes.save_as()
    return load_recipe(models / "saved.yaml")


def values(recipe: Recipe) -> list[object]:
    """All that a slice is merged by, in the layers and outside."""
    names = ("layers.0.mlp.up_proj", "layers.0.self_attn", "norm")
    return [
        [
            one.base,
            [(source.model.path, source.layers) for source in one.sources],
            [part.values_for(name, position).listed for name in names for position in (0.0, 0.5, 1.0)],
        ]
        for one, part in zip(recipe.slices, recipe.parts, strict=True)
    ]


def table_texts(window: MainWindow) -> list[list[str]]:
    model = window.recipe.slices.model
    return [[str(model.index(row, column).data()) for column in Column] for row in range(model.rowCount())]


@pytest.mark.parametrize("text", [STACKED, BLENDED, AVERAGED])
def test_an_opened_recipe_comes_back_when_it_is_saved(
    window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    asked = load_recipe(open_text(window, models, text))
    assert not window.isWindowModified()
    again = saved(window, models, monkeypatch)
    assert values(again) == values(asked)
    assert (again.chat_template, again.dtype, again.base) == (asked.chat_template, asked.dtype, asked.base)
    assert str(models) not in (models / "saved.yaml").read_text()


def test_documents_come_back_when_they_are_saved(
    window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = load_recipe(open_text(window, models, DOCUMENTS))
    assert "first (Weighted average of run-1, run-2)" in window.recipe.others.label.text()
    again = saved(window, models, monkeypatch)
    assert again == asked
    assert (models / "saved.yaml").read_text().count("merge_method") == 2


def test_what_is_shown(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_text(window, models, STACKED)
    assert table_texts(window) == [
        ["0–1", "run-1", "0–1", ""],
        ["2–3", "run-2", "1–2", "scale up_proj 0.5, else 1"],
        ["4", "run-1", "2", ""],
    ]
    assert window.recipe.slices_fold.unfolded
    assert "chat template chatml" in window.recipe.others.label.text()
    strip = window.recipe.slices.strip
    qtbot.waitUntil(lambda: strip.height() >= 16)
    assert strip.text_at(3) == "Layer 3 of the result: layer 2 of run-2"
    picture = strip.grab().toImage()
    cell = picture.width() / 5
    colours = [picture.pixelColor(int((at + 0.5) * cell), picture.height() - 4) for at in range(5)]
    assert colours == [QColor(model_colour(number)) for number in (0, 0, 1, 1, 0)]
    qtbot.waitUntil(lambda: window.preflight.merge_button.isEnabled())


def test_slices_that_are_opened_are_in_sight(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.resize(1280, 800)
    assert window.recipes.load(models / "recipe.yaml")
    assert window.recipe.show_field("shard_size_bytes")
    qtbot.waitUntil(lambda: not window.recipe.slices_fold.visibleRegion().contains(QPoint(1, 1)))
    qtbot.wait(50)  # it scrolls once more when all is laid out
    window.history.table.setFocus()
    open_text(window, models, STACKED)
    strip = window.recipe.slices.strip
    qtbot.waitUntil(lambda: strip.visibleRegion().boundingRect().height() == strip.height() >= 16)


def type_layers(qtbot: QtBot, window: MainWindow, row: int, text: str) -> None:
    """Type a range into the table, as a person does."""
    table = window.recipe.slices.table
    table.setFocus()
    table.setCurrentIndex(window.recipe.slices.model.index(row, Column.LAYERS))
    QTest.keyClick(table, Qt.Key.Key_F2)
    editor = next(one for one in table.findChildren(QLineEdit) if one.isVisible())
    editor.selectAll()
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: table.state() is not QAbstractItemView.State.EditingState)


def test_a_range_is_typed_undone_and_merged(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, compiled: None
) -> None:
    open_text(window, models, STACKED)
    type_layers(qtbot, window, 0, "0-2")
    assert [row[0] for row in table_texts(window)] == ["0–2", "3–4", "5"]
    assert window.isWindowModified()
    window.document.undo.undo()
    assert [row[0] for row in table_texts(window)] == ["0–1", "2–3", "4"]
    type_layers(qtbot, window, 2, "0-1")
    window.recipe.output_field.setText(str(tmp_path / "deeper"))
    qtbot.waitUntil(lambda: window.preflight.merge_button.isEnabled())
    qtbot.mouseClick(window.preflight.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (tmp_path / "deeper").exists() and not window.merging, timeout=30_000)
    names = {tensor.name for tensor in read_record(tmp_path / "deeper").tensors}
    assert {name.split(".")[2] for name in names if "layers" in name} == set("012345")


@pytest.mark.parametrize(("typed", "said"), [("7-3", "is before the first"), ("all", "such as 0-15")])
def test_what_is_no_range_is_said(
    qtbot: QtBot, window: MainWindow, models: Path, typed: str, said: str
) -> None:
    open_text(window, models, STACKED)
    before = table_texts(window)
    type_layers(qtbot, window, 0, typed)
    assert said in window.recipe.slices.message_label.text()
    assert table_texts(window) == before
    type_layers(qtbot, window, 0, "1-2")
    assert window.recipe.slices.message_label.text() == ""


def test_layers_that_a_model_has_not_lead_to_their_slice(
    qtbot: QtBot, window: MainWindow, models: Path
) -> None:
    open_text(window, models, STACKED)
    type_layers(qtbot, window, 1, "1-9")
    said = "Slice 2 takes layers 1–9 of run-2, which has 0–2."
    qtbot.waitUntil(lambda: window.preflight.reason == said)
    window.recipe.slices_fold.unfold(False)
    link = next(one for one in window.preflight.findChildren(QToolButton) if one.text() == "Show me")
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    assert window.recipe.slices_fold.unfolded
    assert window.recipe.slices.table.hasFocus()


def test_slices_are_made_from_nothing_and_taken_away(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.recipes.load(models / "recipe.yaml")
    panel, fold = window.recipe.slices, window.recipe.slices_fold
    assert not fold.unfolded
    qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)
    assert panel.invitation.isVisible()
    qtbot.waitUntil(lambda: panel._layers == 3)
    for _ in range(2):
        qtbot.mouseClick(panel.add_button, Qt.MouseButton.LeftButton)
    assert [row[:3] for row in table_texts(window)] == [["0–2", "run-1", "0–2"], ["3–5", "run-2", "0–2"]]
    assert fold.summary_label.text() == "6 layers of 2 models" or panel.summary() == "6 layers of 2 models"
    QTest.keyClick(panel.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert [row[1] for row in table_texts(window)] == ["run-2", "run-1"]
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    assert [row[1] for row in table_texts(window)] == ["run-1"]
    qtbot.mouseClick(panel.whole_button, Qt.MouseButton.LeftButton)
    assert window.setup().slices == ()
    assert panel.invitation.isVisible()


def test_a_further_model_is_added_to_a_slice_and_its_row_stays_chosen(
    qtbot: QtBot, window: MainWindow, models: Path
) -> None:
    open_text(window, models, AVERAGED)
    panel = window.recipe.slices
    panel.focus(1)
    qtbot.waitUntil(lambda: panel.join_button.height() > 8)
    qtbot.mouseClick(panel.join_button, Qt.MouseButton.LeftButton)
    assert [row[:3] for row in table_texts(window)][2:] == [["3", "run-3", "1"], ["", "run-1", "1"]]
    assert (panel.table.currentIndex().row(), panel.table.hasFocus()) == (3, True)
    type_layers(qtbot, window, 3, "2")
    assert panel.table.currentIndex().row() == 3
    assert [source.layers for source in window.setup().slices[1].sources] == [(1, 2), (2, 3)]
    qtbot.mouseClick(panel.join_button, Qt.MouseButton.LeftButton)
    assert [row[1] for row in table_texts(window)][2:] == ["run-3", "run-1", "run-2"]
    assert not panel.join_button.isEnabled(), "there is no further model"
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    assert panel.join_button.isEnabled()
    window.document.undo.undo()
    assert panel.table.currentIndex().row() == len(table_texts(window)) - 1
    open_text(window, models, STACKED)
    panel.focus(0)
    assert not panel.join_button.isEnabled(), "passthrough takes one"


def test_no_scroll_bar_covers_the_fields_in_the_narrowest_column(
    qtbot: QtBot, window: MainWindow, models: Path
) -> None:
    open_text(window, models, AVERAGED)
    window.resize(window.minimumSizeHint())
    window.recipe.slices_fold.unfold(True)
    window.recipe.precision_fold.unfold(True)
    panel = window.recipe.slices
    dock = window.layout_.docks[0]
    window.resizeDocks([dock], [1], Qt.Orientation.Horizontal)
    rest = window.recipe._scrolled
    qtbot.waitUntil(lambda: rest.verticalScrollBar().isVisible() and panel.down.isVisible())
    assert rest.content.width() <= rest.viewport().width()


def test_another_model_is_chosen(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_text(window, models, STACKED)
    panel = window.recipe.slices
    panel.table.setCurrentIndex(panel.model.index(0, Column.MODEL))
    QTest.keyClick(panel.table, Qt.Key.Key_F2)
    box = panel.table.findChild(QComboBox)
    assert box is not None
    assert [box.itemText(at) for at in range(box.count())] == ["run-1", "run-2"]
    qtbot.waitUntil(lambda: box.view().isVisible())
    QTest.keyClick(box.view(), Qt.Key.Key_Down)
    QTest.keyClick(box.view(), Qt.Key.Key_Return)
    assert table_texts(window)[0] == ["0–1", "run-2", "0–1", ""]


def test_a_click_on_the_strip_chooses_its_slice(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_text(window, models, STACKED)
    panel = window.recipe.slices
    strip = panel.strip
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(strip.width() - 2, strip.height() // 2))
    assert panel.table.currentIndex().row() == 2


def test_an_edge_of_the_strip_is_dragged(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_text(window, models, STACKED)
    strip = window.recipe.slices.strip
    qtbot.waitUntil(lambda: strip.height() >= 16)

    def at(layer: float) -> QPoint:
        return QPoint(round(strip.width() * layer / 5), strip.height() // 2)

    def drag(first: float, last: float) -> None:
        QTest.mousePress(strip, Qt.MouseButton.LeftButton, pos=at(first))
        QTest.mouseMove(strip, at(last))
        QTest.mouseRelease(strip, Qt.MouseButton.LeftButton, pos=at(last))

    drag(2, 1.1)
    assert [row[:3] for row in table_texts(window)] == [
        ["0", "run-1", "0"],
        ["1–3", "run-2", "0–2"],
        ["4", "run-1", "2"],
    ]
    drag(1, 0)  # each keeps a layer
    drag(4, 5)
    assert [row[2] for row in table_texts(window)] == ["0", "0–2", "2"]
    window.document.undo.undo()
    assert [row[0] for row in table_texts(window)] == ["0–1", "2–3", "4"]
    assert not window.isWindowModified()


def test_a_model_that_takes_no_part_gives_no_layers(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_text(window, models, STACKED)
    window.models.table.select_rows([1])
    window.models.toggle_selected()
    qtbot.waitUntil(lambda: "run-2, which takes no part" in (window.preflight.reason or ""))
    window.models.toggle_selected()
    qtbot.waitUntil(lambda: window.preflight.reason is None)


def test_a_model_that_is_merged_first_is_no_misfit(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    text = DOCUMENTS.replace("base_model: first", "base_model: base").replace("run-3", "first")
    open_text(window, models, text)
    qtbot.waitUntil(lambda: window.preflight.merge_button.isEnabled())
    assert window.pictures.sentence.startswith("Some of these models are merged first.")
    model = window.models.sub_models_model
    texts = [str(model.index(0, column).data()) for column in range(model.columnCount())]
    assert texts.count("first") == 2, "its name, and when it is made"
    assert "!" not in texts
    assert "merged first, as the recipe says" in str(model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole))


def test_documents_are_merged_one_after_the_other(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, compiled: None
) -> None:
    open_text(window, models, DOCUMENTS)
    window.recipe.output_field.setText(str(tmp_path / "out"))
    qtbot.waitUntil(lambda: window.preflight.merge_button.isEnabled())
    qtbot.mouseClick(window.preflight.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (tmp_path / "out").exists() and not window.merging, timeout=30_000)
    assert "Merge 1 of 2: first." in window.log.text
    for between in ("Merge 1", "Left where"):
        assert between not in window.run.message.text, "what came between is in the log alone"


def test_of_models_that_are_merged_first_the_pictures_show_what_the_merge_counted(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, compiled: None
) -> None:
    text = DOCUMENTS.replace("slerp", "parameter_selection").replace("base_model: first", "base_model: base")
    text = text.replace("[{model: run-3}]", "[{model: run-3}, {model: first}]").replace(
        "parameters: {t: 0.75}", "seed: 1"
    )
    open_text(window, models, text)
    window.recipe.output_field.setText(str(tmp_path / "out"))
    qtbot.waitUntil(lambda: window.preflight.merge_button.isEnabled())
    assert window.observer.findings is None
    qtbot.mouseClick(window.preflight.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (tmp_path / "out").exists() and not window.merging, timeout=30_000)
    qtbot.waitUntil(lambda: window.observer.findings is not None)
    findings = window.observer.findings
    assert findings is not None
    assert findings.models == ("run-3", "first")
    assert findings.counted
    qtbot.waitUntil(lambda: window.pictures.sentence == "")
    window.models.sub_models_model.remove([0])
    assert window.observer.findings is None, "it says nothing of other models"
    assert window.pictures.sentence.startswith("Some of these models are merged first.")
    window.document.undo.undo()
    qtbot.waitUntil(lambda: window.observer.findings is not None)


def test_what_was_cut_off_between_two_merges_goes_on(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, compiled: None
) -> None:
    path, token = open_text(window, models, DOCUMENTS), CancelToken()

    def note(sentence: str) -> None:
        if sentence == "merge 2 of 2: the result":
            token.cancel(keep=True)

    with pytest.raises(Cancelled):
        run_merge(plan_merge(load_recipe(path)), tmp_path / "out", cancel=token, on_note=note)
    assert (tmp_path / "out.stages" / "first").is_dir()
    window.recipe.output_field.setText(str(tmp_path / "out"))
    qtbot.waitUntil(lambda: "was cut off" in (window.preflight.reason or ""))
    link = next(one for one in window.preflight.findChildren(QToolButton) if one.text() == "Resume")
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (tmp_path / "out").exists() and not window.merging, timeout=30_000)
    assert not (tmp_path / "out.stages").exists()
