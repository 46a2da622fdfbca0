"""Everything that is known of what is selected."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

import gui.tensor_viewer
from core import read_record
from gui.pictures.detail_model import Column
from gui.window import MainWindow

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def looked(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window that has looked at the models, with the detail in front."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(lambda: window.pictures.source.text == "Measured on every parameter", timeout=30_000)
    window.layout_.show_detail()
    qtbot.waitUntil(lambda: window.pictures.detail.can_be_seen)
    return window


def select(window: MainWindow, layer: int, kind: str) -> None:
    findings = window.observer.findings
    assert findings is not None
    column = [one.layer for one in findings.grid.columns].index(layer)
    window.pictures.selection.select(column=column, kind=findings.grid.kinds.index(kind))


def cell(window: MainWindow, row: int, column: Column) -> str:
    return window.pictures.detail._model.item(row, column).text()


def test_everything_is_shown_until_something_is_selected(looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    base = load_file(models / "base" / "model.safetensors")
    run = load_file(models / "run-2" / "model.safetensors")
    zero = sum(int((run[name] == value).sum()) for name, value in base.items())
    parameters = sum(value.numel() for value in base.values())
    assert cell(looked, 1, Column.NAME) == "run-2"
    assert cell(looked, 1, Column.ZERO) == f"{100 * zero / parameters:.1f} %"
    assert cell(looked, 1, Column.TAKEN) == ""
    assert detail.accessibleDescription().startswith("8 tensors · ")
    assert "Choose one tensor" in detail._offer.text()
    tensors = [detail.tensor_field.itemText(at) for at in range(detail.tensor_field.count())]
    assert (tensors[0], len(tensors)) == ("all 8 tensors", 9)


def test_a_click_in_a_map_brings_the_detail_to_the_front(qtbot: QtBot, looked: MainWindow) -> None:
    looked.layout_._history.raise_()
    qtbot.waitUntil(lambda: not looked.pictures.detail.can_be_seen)
    looked.pictures.zero_deltas.plot.chosen.emit((2, 1))
    qtbot.waitUntil(lambda: looked.pictures.detail.can_be_seen)
    assert looked.pictures.detail._heading.text() == "Layer 1 · attention q"


def test_where_the_deltas_are_is_counted_by_itself(qtbot: QtBot, looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    qtbot.waitUntil(
        lambda: detail._view_of_wanted is not None and detail._view_of_wanted.statistics is not None
    )
    base, *runs = (
        load_file(models / name / "model.safetensors")[UP] for name in ("base", "run-1", "run-2", "run-3")
    )
    changed = np.mean([(run != base).numpy() for run in runs], axis=0)  # 48 rows, 16 columns: a tile each
    np.testing.assert_allclose(detail.map_plot.values, 100 * (1 - changed.T))
    assert "48 × 16" in detail.accessibleDescription()
    looked.pictures.selection.select(model=0)
    np.testing.assert_allclose(detail.map_plot.values, 100 * (runs[0] == base).numpy().T)
    assert detail.table.selectionModel().selectedRows()[0].row() == 0
    detail.map_plot.pointed.emit((3, 5))
    assert detail.accessibleDescription().startswith("Rows 5 to 5, columns 3 to 3: ")


def test_overlap_is_drawn_and_read_out(looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    base, *runs = (
        load_file(models / name / "model.safetensors")[UP] for name in ("base", "run-1", "run-2", "run-3")
    )
    times = np.sum([(run != base).numpy() for run in runs], axis=0)
    expected = np.bincount(times.ravel(), minlength=4) / times.size
    np.testing.assert_allclose(detail._bars.opts["height"], 100 * expected)
    detail.overlap_plot.pointed.emit((1, 10.0))
    assert "were changed by exactly 1 of 3" in detail.accessibleDescription()


def test_after_a_merge_it_says_what_was_taken(qtbot: QtBot, looked: MainWindow, tmp_path: Path) -> None:
    looked.start_merge()
    qtbot.waitUntil(lambda: "Merged in" in looked.run.message.text, timeout=30_000)
    looked.layout_.show_detail()
    select(looked, 1, "mlp up")
    record = next(tensor for tensor in read_record(tmp_path / "out").tensors if tensor.name == UP)
    assert record.selected is not None
    qtbot.waitUntil(lambda: cell(looked, 2, Column.TAKEN) == f"{100 * record.selected[2] / 768:.1f} %")
    assert "of the result as in the base" in looked.pictures.detail.accessibleDescription()


def test_large_tensors_are_read_on_request(
    qtbot: QtBot, looked: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.tensor_viewer, "_UNASKED_BYTES", 1000)
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    qtbot.waitUntil(detail.look_button.isVisible)
    assert "is found by reading 6.14 kB" in detail._offer.text()
    assert detail._view_of_wanted is None
    QTest.mouseClick(detail.look_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)


def test_nothing_is_read_while_a_merge_runs(
    qtbot: QtBot, looked: MainWindow, held_merge: SimpleNamespace
) -> None:
    detail = looked.pictures.detail
    looked.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set)
    looked.layout_.show_detail()
    select(looked, 1, "mlp up")
    qtbot.waitUntil(lambda: "when the merge is done" in detail._offer.text())
    held_merge.released.set()
    qtbot.waitUntil(lambda: not looked.merging)
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)


def test_going_from_cell_to_cell_reads_the_last_one_only(qtbot: QtBot, looked: MainWindow) -> None:
    begun: list[str] = []
    view = gui.tensor_viewer.view_tensor

    def look(plan: object, name: str, **options: object) -> object:
        begun.append(name)
        return view(plan, name, **options)  # type: ignore[arg-type]

    gui.tensor_viewer.view_tensor = look  # type: ignore[assignment]
    try:
        for layer in (0, 1, 2):
            select(looked, layer, "mlp up")
        qtbot.waitUntil(lambda: looked.pictures.detail._view_of_wanted is not None)
    finally:
        gui.tensor_viewer.view_tensor = view
    assert begun == [UP.replace(".1.", ".2.")]


def test_its_numbers_are_tables(qtbot: QtBot, looked: MainWindow) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    qtbot.waitUntil(lambda: len(detail.tables()) == 3)
    numbers, overlap, tiles = (table.text().splitlines() for table in detail.tables())
    assert len(numbers) == 4
    assert len(overlap) == 5
    assert len(tiles) == 1 + 48 * 16
    assert tiles[0] == "tensor,first row,first column,run-1,run-2,run-3"


def test_the_focus_says_which_picture_is_meant(qtbot: QtBot, looked: MainWindow) -> None:
    assert looked.pictures.current is looked.pictures.zero_deltas
    looked.activateWindow()
    looked.pictures.detail.table.setFocus()
    qtbot.waitUntil(lambda: looked.pictures.current is looked.pictures.detail)
