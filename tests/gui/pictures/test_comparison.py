"""Two runs of the history beside each other, in the window."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

import gui.history.comparison_job
from core import CancelToken, load_recipe, read_record
from core.runs.comparison import RunComparison, compare_runs
from core.runs.history import HistoryEntry
from gui.pictures.export import save_picture
from gui.window.window import MainWindow


@pytest.fixture
def merged_twice(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """Seeds 7 and 8; the outputs are tmp_path/out and tmp_path/out-2."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    for number, seed in enumerate((7, 8), start=1):
        window.recipe.set_seed(seed)
        qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
        window.start_merge()
        qtbot.waitUntil(lambda: not window.merging and window.run.message.text != "", timeout=30_000)
        qtbot.waitUntil(lambda number=number: window.pictures.comparison.left_field.count() == number)
    return window


def compare(qtbot: QtBot, window: MainWindow) -> None:
    picture = window.pictures.comparison
    window.pictures.tabs.setCurrentWidget(picture)
    QTest.mouseClick(picture.compare_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: picture.compare_button.text() == "Compare", timeout=30_000)


def test_before_two_runs_it_is_said_what_to_do(qtbot: QtBot, window: MainWindow) -> None:
    picture = window.pictures.comparison
    window.pictures.show_comparison()
    assert "Merge twice" in picture.sentence
    assert not picture.compare_button.isEnabled()


def test_a_run_that_goes_gives_way_to_another_than_the_one_beside_it(
    window: MainWindow, models: Path, tmp_path: Path
) -> None:
    picture = window.pictures.comparison
    first = HistoryEntry.begin(load_recipe(models / "recipe.yaml"), tmp_path / "out")
    runs = [replace(first, id=name, status="done", out=tmp_path / name) for name in "abc"]

    def chosen() -> list[str]:
        return [field.currentData() for field in picture._runs.both]

    picture.set_runs(runs)
    assert chosen() == ["a", "b"]
    picture.right_field.setCurrentIndex(2)
    picture.right_field.activated.emit(2)
    picture.set_runs([runs[0], runs[1]])
    assert chosen() == ["a", "b"]
    picture.set_runs([runs[1], runs[2]])
    assert chosen() == ["c", "b"]
    picture.set_runs([runs[2]])
    assert chosen() == ["c", None]


def test_the_elements_that_differ_are_those_of_the_files(
    qtbot: QtBot, merged_twice: MainWindow, tmp_path: Path
) -> None:
    picture = merged_twice.pictures.comparison
    assert picture.left_field.currentText().startswith("out-2  ·  n = 4, seed 8")
    assert picture.right_field.currentText().startswith("out  ·  n = 4, seed 7")
    compare(qtbot, merged_twice)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("out-2", "out"))
    name = "model.layers.1.mlp.up_proj.weight"
    share = float((one[name] != other[name]).double().mean())
    assert picture.plot.values[2, 2] == pytest.approx(100 * share)
    differ = sum(int((one[name] != other[name]).sum()) for name in one)
    assert picture.read_out.text().replace("\u202f", "").startswith(f"{differ} of ")
    picture.plot.pointed.emit((2, 2))
    assert f"Layer 1 · mlp up: {round(768 * share)} of 768" in picture.read_out.text()
    assert "in this layer" in picture.read_out.text()


def test_maps_are_subtracted(qtbot: QtBot, merged_twice: MainWindow, tmp_path: Path) -> None:
    picture = merged_twice.pictures.comparison
    compare(qtbot, merged_twice)
    maps = [picture.map_field.itemText(at) for at in range(picture.map_field.count())]
    assert maps[:3] == ["Elements that differ", "Left as in the base", "Zero deltas, mean"]
    runs = (1, 2, 3)
    assert maps[3] == "Zero deltas, spread"
    assert maps[4:7] == [f"Taken from run-{number}" for number in runs]
    assert maps[7:] == [*(f"Zero deltas of run-{number}" for number in runs), "Resampling, by layer"]
    picture.map_field.setCurrentIndex(5)
    picture.map_field.activated.emit(5)
    name = "model.layers.0.self_attn.q_proj.weight"
    shares = []
    for out in ("out-2", "out"):
        tensor = next(tensor for tensor in read_record(tmp_path / out).tensors if tensor.name == name)
        shares.append(tensor.selected[1] / tensor.elements)
    assert picture.plot.values[1, 1] == pytest.approx(100 * (shares[0] - shares[1]))
    table = picture.tables()[0].text().splitlines()
    assert table[0].startswith("layer,kind,elements compared,elements that differ,Left as in the base")
    assert len(table) == 9


def test_what_was_left_after_each_draw_is_subtracted(
    qtbot: QtBot, merged_twice: MainWindow, tmp_path: Path
) -> None:
    picture = merged_twice.pictures.comparison
    compare(qtbot, merged_twice)
    picture.map_field.setCurrentText("Resampling, by layer")
    picture.map_field.activated.emit(picture.map_field.currentIndex())
    shares = []
    for out in ("out-2", "out"):
        layer = [
            tensor
            for tensor in read_record(tmp_path / out).tensors
            if tensor.name.startswith("model.layers.2.")
        ]
        left = sum(np.array(tensor.zero_after_draw) for tensor in layer)
        shares.append(left / sum(tensor.elements for tensor in layer))
    np.testing.assert_allclose(picture.plot.values[3], 100 * (shares[0] - shares[1]))
    picture.plot.chosen.emit((3, 2))
    assert picture.read_out.text().startswith("Layer 2, n = 2: ")
    assert merged_twice.pictures.selection.value.column == 3
    rows = [row.split(",") for row in picture.tables()[1].text().splitlines()]
    found = [float(row[2]) for row in rows if row[0] == "2"]
    np.testing.assert_allclose(found, shares[0] - shares[1])


def test_other_runs_take_the_picture_away(qtbot: QtBot, merged_twice: MainWindow) -> None:
    picture = merged_twice.pictures.comparison
    compare(qtbot, merged_twice)
    assert picture.sentence == ""
    picture.right_field.setCurrentIndex(0)
    picture.right_field.activated.emit(0)
    assert "two different runs" in picture.sentence
    assert not picture.compare_button.isEnabled()
    assert picture.tables() == []
    picture.left_field.setCurrentIndex(1)
    picture.left_field.activated.emit(1)
    assert "press Compare" in picture.sentence
    compare(qtbot, merged_twice)
    assert "between out and out-2" in picture.explanation.text()


def test_what_is_printed_names_the_runs_without_their_fields(
    qtbot: QtBot, merged_twice: MainWindow, tmp_path: Path
) -> None:
    picture = merged_twice.pictures.comparison
    compare(qtbot, merged_twice)
    save_picture(picture, tmp_path / "comparison.svg")
    texts = [t.strip() for t in ElementTree.parse(tmp_path / "comparison.svg").getroot().itertext()]
    assert any("between out-2 and out" in text for text in texts)
    assert not {"Compare", "minus", "Elements that differ"} & set(texts)
    assert picture.compare_button.isVisible()


def test_nothing_is_compared_while_a_merge_runs(qtbot: QtBot, merged_twice: MainWindow) -> None:
    picture = merged_twice.pictures.comparison
    picture.set_merging(True)
    assert not picture.compare_button.isEnabled()
    picture.set_merging(False)
    assert picture.compare_button.isEnabled()


def test_the_selection_is_that_of_the_other_pictures(qtbot: QtBot, merged_twice: MainWindow) -> None:
    picture = merged_twice.pictures.comparison
    compare(qtbot, merged_twice)
    picture.plot.chosen.emit((3, 1))
    assert merged_twice.pictures.selection.value.column == 3
    merged_twice.pictures.selection.select(kind=2)
    assert picture.plot._selected == (3, 2)


def test_two_runs_of_the_history_are_compared_at_once(qtbot: QtBot, merged_twice: MainWindow) -> None:
    merged_twice.new_recipe()
    qtbot.waitUntil(lambda: merged_twice.pictures.sentence != "")
    qtbot.waitUntil(lambda: merged_twice.history.table.model().rowCount() == 2)
    merged_twice.history.table.selectAll()
    merged_twice.history._compare.trigger()
    picture = merged_twice.pictures.comparison
    assert picture.isVisible()
    assert picture.left_field.currentText().startswith("out-2  ·")
    assert picture.right_field.currentText().startswith("out  ·")
    qtbot.waitUntil(lambda: picture.compare_button.text() == "Compare" and picture.sentence == "")
    assert np.isfinite(picture.plot.values).any()  # no models are needed for it


def test_what_cannot_be_compared_is_told(qtbot: QtBot, merged_twice: MainWindow, tmp_path: Path) -> None:
    picture = merged_twice.pictures.comparison
    shutil.copy(tmp_path / "out" / "paramosaic.json", tmp_path / "out-2" / "paramosaic.json")
    record = (tmp_path / "out-2" / "paramosaic.json").read_text()
    (tmp_path / "out-2" / "paramosaic.json").write_text(record.replace('"elements"', '"elemente"'))
    compare(qtbot, merged_twice)
    assert "is not a run record" in picture.sentence


def test_counting_can_be_stopped_and_leaves_the_maps(
    qtbot: QtBot, merged_twice: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def wait(left: Path, right: Path, *, cancel: CancelToken, **options: object) -> RunComparison:
        begun.set()
        while not cancel.cancelled:
            pass
        return compare_runs(left, right, cancel=cancel)

    monkeypatch.setattr(gui.history.comparison_job, "compare_runs", wait)
    picture = merged_twice.pictures.comparison
    merged_twice.pictures.tabs.setCurrentWidget(picture)
    picture.compare_button.click()
    qtbot.waitUntil(begun.is_set)
    qtbot.waitUntil(lambda: picture.sentence.startswith("Counting elements"))
    assert picture.compare_button.text() == "Stop"
    picture.compare_button.click()
    qtbot.waitUntil(lambda: picture.compare_button.text() == "Compare")
    assert picture.sentence == "The elements were not counted."
    picture.map_field.setCurrentIndex(1)
    picture.map_field.activated.emit(1)
    assert np.isfinite(picture.plot.values).any()
