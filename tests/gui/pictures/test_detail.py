"""Everything that is known of what is selected."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

import gui.looking.tensor_viewer
from core import load_recipe, plan_merge, read_record
from core.deltas.tensor_view import view_tensor
from core.kernels.interface import Values
from gui.pictures.detail_model import Column
from gui.window.window import MainWindow

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
    assert "Choose one tensor" in detail.map.sentence
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
    np.testing.assert_allclose(detail.map.plot.values, 100 * (1 - changed.T))
    assert "48 × 16" in detail.accessibleDescription()
    looked.pictures.selection.select(model=0)
    np.testing.assert_allclose(detail.map.plot.values, 100 * (runs[0] == base).numpy().T)
    assert detail.table.selectionModel().selectedRows()[0].row() == 0
    detail.map.plot.pointed.emit((3, 5))
    assert detail.accessibleDescription().startswith("Row 5, column 3: ")
    detail.map.plot.setFocus()
    QTest.keyClick(detail.map.plot, Qt.Key.Key_Right)
    QTest.keyClick(detail.map.plot, Qt.Key.Key_Down)
    assert detail.accessibleDescription().startswith("Row 1, column 0: ")


def test_overlap_is_drawn_and_read_out(looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    base, *runs = (
        load_file(models / name / "model.safetensors")[UP] for name in ("base", "run-1", "run-2", "run-3")
    )
    times = np.sum([(run != base).numpy() for run in runs], axis=0)
    expected = np.bincount(times.ravel(), minlength=4) / times.size
    np.testing.assert_allclose(detail.plots._bars.opts["height"], 100 * expected)
    detail.plots.overlap.pointed.emit((1, 10.0))
    assert "were changed by exactly 1 of 3" in detail.accessibleDescription()


def test_after_a_merge_it_says_what_was_taken(qtbot: QtBot, looked: MainWindow, tmp_path: Path) -> None:
    looked.start_merge()
    qtbot.waitUntil(lambda: "Merged in" in looked.run.message.text, timeout=30_000)
    looked.layout_.show_detail()
    select(looked, 1, "mlp up")
    record = next(tensor for tensor in read_record(tmp_path / "out").tensors if tensor.name == UP)
    assert record.selected is not None
    qtbot.waitUntil(lambda: cell(looked, 2, Column.TAKEN) == f"{100 * record.selected[2] / 768:.1f} %")
    assert "merged with n = 4, seed 7: " in looked.pictures.detail.accessibleDescription()


def test_large_tensors_are_read_on_request(
    qtbot: QtBot, looked: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.looking.tensor_viewer, "_UNASKED_BYTES", 1000)
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    qtbot.waitUntil(detail.map.look_button.isVisible)
    assert "is found by reading 6.14 kB" in detail.map.sentence
    assert detail._view_of_wanted is None
    QTest.mouseClick(detail.map.look_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)


def test_nothing_is_read_while_a_merge_runs(
    qtbot: QtBot, looked: MainWindow, held_merge: SimpleNamespace
) -> None:
    detail = looked.pictures.detail
    looked.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set)
    looked.layout_.show_detail()
    select(looked, 1, "mlp up")
    qtbot.waitUntil(lambda: "when the merge is done" in detail.map.sentence)
    held_merge.released.set()
    qtbot.waitUntil(lambda: not looked.merging)
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)


def test_going_from_cell_to_cell_reads_the_last_one_only(qtbot: QtBot, looked: MainWindow) -> None:
    begun: list[str] = []
    view = gui.looking.tensor_viewer.view_tensor

    def look(plan: object, name: str, **options: object) -> object:
        begun.append(name)
        return view(plan, name, **options)  # type: ignore[arg-type]

    gui.looking.tensor_viewer.view_tensor = look  # type: ignore[assignment]
    try:
        for layer in (0, 1, 2):
            select(looked, layer, "mlp up")
        qtbot.waitUntil(lambda: looked.pictures.detail._view_of_wanted is not None)
    finally:
        gui.looking.tensor_viewer.view_tensor = view
    assert begun == [UP.replace(".1.", ".2.")]


def test_its_numbers_are_tables(qtbot: QtBot, looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    names = ["detail"] + [f"detail-{rest}" for rest in ("overlap", "resampling", "agreement", "histogram")]
    qtbot.waitUntil(lambda: [table.name for table in detail.tables()] == [*names, "detail-tiles"])
    numbers, overlap, draws, pairs, histogram, tiles = (
        list(csv.DictReader(io.StringIO(table.text()))) for table in detail.tables()
    )
    base, *runs = (
        load_file(models / name / "model.safetensors")[UP].double()
        for name in ("base", "run-1", "run-2", "run-3")
    )
    deltas = [run - base for run in runs]
    assert [row["sub-model"] for row in numbers] == ["run-1", "run-2", "run-3"]
    for row, delta in zip(numbers, deltas, strict=True):
        assert float(row["norm"]) == pytest.approx(float(delta.norm()))
        assert float(row["zero deltas"]) == float((delta == 0).double().mean())
        assert float(row["zero deltas error"]) == 0
    unchanged = np.mean([(delta == 0).numpy() for delta in deltas], axis=0)
    assert len(overlap) == 4
    assert float(draws[6]["expected"]) == pytest.approx((unchanged**7).mean())
    one, other = deltas[0].flatten(), deltas[2].flatten()
    assert float(pairs[1]["cosine"]) == pytest.approx(
        float(one @ other / one.norm() / other.norm()), abs=1e-6
    )
    assert sum(float(row["run-2"]) for row in histogram) == int((deltas[1] != 0).sum())
    assert len(tiles) == 48 * 16
    assert [*tiles[0]] == ["tensor", "first row", "first column", "run-1", "run-2", "run-3"]


def test_each_of_its_plots_follows_the_selection(looked: MainWindow, models: Path) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    base, *runs = (
        load_file(models / name / "model.safetensors")[UP].double()
        for name in ("base", "run-1", "run-2", "run-3")
    )
    unchanged = np.mean([(run == base).numpy() for run in runs], axis=0)
    detail.plot_field.setCurrentIndex(1)
    np.testing.assert_allclose(detail.plots.draws.expected.getData()[1][3], 100 * (unchanged**4).mean())
    detail.plots.draws.pointed.emit(3)
    assert detail.accessibleDescription().startswith("n = 3: ")
    detail.plot_field.setCurrentIndex(2)
    shares = detail.plots.sizes.steps[0].getData()[1]
    assert shares.sum() == pytest.approx(100 * float((runs[0] != base).double().mean()))
    detail.plot_field.setCurrentIndex(3)
    one, other = ((run - base).flatten() for run in runs[:2])
    expected = float(one @ other / one.norm() / other.norm())
    assert detail.plots.pairs.values[0, 1] == pytest.approx(expected, abs=1e-6)
    detail.plots.pairs.chosen.emit((0, 1))
    assert detail.accessibleDescription().startswith("run-2 and run-1: cosine ")


def test_the_curve_of_a_viewed_tensor_is_that_of_the_weights_now(
    qtbot: QtBot, looked: MainWindow, models: Path
) -> None:
    detail = looked.pictures.detail
    plan = plan_merge(load_recipe(models / "recipe.yaml"))
    heavy = tuple(
        replace(tensor, job=replace(tensor.job, parameters=Values.of(weight=[100.0, 1.0, 1.0], resamples=1)))
        for tensor in plan.tensors
        if tensor.job is not None
    )
    select(looked, 1, "mlp up")
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)
    findings = looked.observer.findings
    assert findings is not None
    expected = findings.part_of_tensor(UP).predicted
    assert expected is not None
    view = view_tensor(replace(plan, tensors=heavy), UP)
    assert view.statistics is not None
    assert view.statistics.draws
    detail.show_view(view)
    detail.plot_field.setCurrentIndex(1)
    np.testing.assert_allclose(detail.plots.draws.expected.getData()[1], 100 * expected.value)


def test_a_row_of_numbers_is_gone_to_by_key(looked: MainWindow) -> None:
    table = looked.pictures.detail.table
    table.setFocus()
    assert looked.pictures.selection.value.model is None
    QTest.keyClick(table, Qt.Key.Key_Down)
    QTest.keyClick(table, Qt.Key.Key_Down)
    assert looked.pictures.selection.value.model == table.selected_row
    assert table.selected_row is not None
    looked.pictures.selection.select(model=0)
    assert table.selected_row == 0


def test_what_is_printed_shows_every_row_and_column(looked: MainWindow, tmp_path: Path) -> None:
    detail = looked.pictures.detail
    detail.plot_field.setCurrentIndex(3)
    printed = detail.to_print()
    assert printed is not detail
    printed.set_printing(True)
    printed.grab()
    assert printed.table.horizontalScrollBar().maximum() == 0
    assert printed.table.verticalScrollBar().maximum() == 0
    assert printed.plots.currentIndex() == 3
    assert "Measured on every parameter" in printed.source
    printed.deleteLater()


def test_another_family_forgets_where_the_deltas_were(qtbot: QtBot, looked: MainWindow) -> None:
    detail = looked.pictures.detail
    select(looked, 1, "mlp up")
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)
    detail.forget_view()
    assert detail._view_of_wanted is None
    assert detail.map.currentWidget() is not detail.map.plot


def test_the_focus_says_which_picture_is_meant(qtbot: QtBot, looked: MainWindow) -> None:
    assert looked.pictures.current is looked.pictures.zero_deltas
    looked.activateWindow()
    looked.pictures.detail.table.setFocus()
    qtbot.waitUntil(lambda: looked.pictures.current is looked.pictures.detail)
